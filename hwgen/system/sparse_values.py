"""The weights of the sparse engine as a matrix of floats, all steps of its streams at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.system.config import SystemConfig

__all__ = ["dense_weights"]

Bytes = npt.NDArray[np.uint8]
_Int = npt.NDArray[np.int64]

_SLOTS = np.array([0, 1, 2, 4, 8, 16, 4, 8])  # steps of a block, by code
_WIDTH = np.array([0, 4, 4, 4, 4, 0, 2, 2])  # bits of an index, by code
_PER_GROUP = np.array([1, 1, 2, 4, 8, 16, 1, 2])  # steps after which the next group of rows begins
_GROUP = np.array([0, 0, 0, 0, 0, 0, 4, 4])  # rows of a group, where there are several


def dense_weights(
    config: SystemConfig,
    code: Bytes,
    value: Bytes,
    index: Bytes,
    shape: Mapping[str, int],
    stream: Mapping[str, int],
    run: Mapping[str, int],
) -> npt.NDArray[np.float32]:
    """The weights that a run reads.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    code, value, index : uint8 array, shape (words, bytes)
        The buffers.
    shape, stream, run : mapping of int
        Fields of the instructions.

    Returns
    -------
    float32 array, shape (16 × blocks, 16 × tiles)

    Raises
    ------
    BadInput
        If a code is unknown, indices do not ascend, or the streams are not as long as the instructions say.
    """
    blocks, tiles = shape["blocks"], run["tiles"]
    group = config.sparse_ways if shape["spread"] else 1
    rounds, words = -(-tiles // group), -(-blocks // 16)
    packed = code[run["code"] : run["code"] + rounds * words]
    codes = np.stack((packed & 15, packed >> 4), -1).reshape(rounds, -1)
    if codes.max() > 7 or codes[:, blocks:].any():
        raise BadInput(
            "the codes of sparse weights are not those of so many blocks; the program loads others"
        )
    slots = _SLOTS[codes]
    spread = bool(shape["spread"])
    work = np.maximum(slots.reshape(rounds, words, 16).sum(2), 1).sum(1)
    steps = int((np.maximum(work, config.sparse_least(spread)) + config.sparse_gap(spread)).sum())

    # One entry per step: its block, its number within that, and the pattern.
    flat = slots[:, :blocks].ravel()
    owner = np.repeat(np.arange(flat.size), flat)
    number = np.arange(owner.size) - np.repeat(np.cumsum(flat) - flat, flat)
    kind = codes[:, :blocks].ravel()[owner]
    bits = shape["weight_bits"]
    sizes = owner.size * 2 * bits, int(2 * _WIDTH[kind].sum())
    slices = value.shape[1] // group, index.shape[1] // group
    found = [steps, *(-(-size // part) for size, part in zip(sizes, slices, strict=True))]
    said = [stream[name] for name in ("steps", "value_rows", "index_rows")]
    if found != said:
        raise BadInput(
            f"steps, value_rows and index_rows of sparse weights are {found}, and the program says {said}"
        )
    numbers = _numbers(_slices(value, run["value"], said[1], group)[:, : sizes[0]], bits)
    numbers -= (numbers >> (bits - 1)) << bits
    rows = _rows(_slices(index, run["index"], said[2], group), kind, number)
    if (rows[:, 1:] <= rows[:, :-1])[:, number[1:] > 0].any():
        raise BadInput("indices of sparse weights do not ascend within a block; the program loads others")

    # Column of every slot's output, and the row that its weight has.
    tile = owner // blocks * group + np.arange(group)[:, None]
    column = 16 * tile[..., None] + np.arange(16)
    width = 16 * rounds * group
    place = (16 * (owner % blocks)[:, None] + rows) * width + column
    # Sums, not assignments: free slots hold zero, wherever they point.
    dense = np.bincount(place.ravel(), numbers.ravel(), 16 * blocks * width).reshape(-1, width)
    return dense[:, : 16 * tiles].astype(np.float32)


def _slices(buffer: Bytes, first: int, rows: int, group: int) -> Bytes:
    """A stream's bytes for each way, shape (ways, bytes)."""
    width = buffer.shape[1] // group
    words = buffer[first : first + rows].reshape(rows, group, width)
    return words.swapaxes(0, 1).reshape(group, rows * width)


def _numbers(data: Bytes, bits: int) -> _Int:
    """Unsigned numbers of some bits, shape (ways, steps, 16)."""
    if bits == 8:
        return data.reshape(len(data), -1, 16).astype(np.int64)
    each = np.unpackbits(data, axis=1, bitorder="little").reshape(len(data), -1, 16, bits)
    return np.asarray(each @ np.left_shift(1, np.arange(bits)), np.int64)


def _rows(data: Bytes, kind: npt.NDArray[Any], number: _Int) -> _Int:
    """Row of every slot within its block, shape (ways, steps, 16)."""
    rows = np.empty((len(data), len(kind), 16), np.int64)
    rows[:] = number[:, None]  # of dense blocks
    size = 2 * _WIDTH[kind]
    start = np.cumsum(size) - size
    for width in (2, 4):
        own = np.flatnonzero(_WIDTH[kind] == width)
        at = (start[own][:, None] + np.arange(2 * width)).reshape(-1)
        within = _numbers(np.ascontiguousarray(data[:, at]), width)
        rows[:, own] = within + (number // _PER_GROUP[kind] * _GROUP[kind])[own][:, None]
    return rows
