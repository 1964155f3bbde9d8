"""Where codes, values and indices are in the three streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.parts.sparse.bitstrings import ByteArray, read_bits, write_bits
from hwgen.parts.sparse.blocks import grid
from hwgen.parts.sparse.patterns import BLOCK, CODE_BITS, INDEX_BITS, PATTERNS, SLOTS, Pattern

__all__ = [
    "StreamSizes",
    "Streams",
    "by_pattern",
    "code_bytes",
    "read_codes",
    "read_indices",
    "read_values",
    "stream_sizes",
    "write_streams",
]

IndexArray = npt.NDArray[np.intp]

_UNIT = 4  # bytes of a step's indices of two bits; a step's indices of four bits are two units


class Streams(NamedTuple):
    """What the hardware reads: three bit strings."""

    codes: bytes
    values: bytes
    indices: bytes


class StreamSizes(NamedTuple):
    """Bytes of each stream."""

    codes: int
    values: int
    indices: int

    @property
    def total(self) -> int:
        """Bytes of all three."""
        return sum(self)


def code_bytes(shape: tuple[int, int]) -> int:
    """Bytes of the stream of codes."""
    columns, rows = grid(shape)
    return ceil_div(columns * rows * CODE_BITS, 8)


def stream_sizes(codes: ByteArray, bits: int) -> StreamSizes:
    """Bytes of the streams of a matrix with these codes."""
    slots = SLOTS[codes]
    return StreamSizes(
        ceil_div(codes.size * CODE_BITS, 8),
        int(slots.sum()) * BLOCK * bits // 8,
        int((slots * INDEX_BITS[codes]).sum()) * BLOCK // 8,
    )


def by_pattern(codes: ByteArray) -> Iterator[tuple[Pattern, IndexArray, IndexArray]]:
    """Each pattern that has slots in a matrix, its blocks, and their steps, shape (blocks, slots)."""
    slots = SLOTS[codes.ravel()]
    starts = np.cumsum(slots) - slots
    for pattern in PATTERNS:
        blocks = np.flatnonzero(codes == pattern.code)
        if blocks.size and pattern.slots:
            yield pattern, blocks, starts[blocks][:, None] + np.arange(pattern.slots)


def write_streams(codes: ByteArray, bits: int, values: npt.NDArray[np.int8], indices: ByteArray) -> Streams:
    """The streams of a matrix."""
    sizes = stream_sizes(codes, bits)
    padded = np.zeros(ceil_div(codes.size, 8) * 8, np.uint8)
    padded[: codes.size] = codes.ravel()
    written = np.empty((sizes.indices // _UNIT, _UNIT), np.uint8)
    for width, steps, units in _by_index_bits(codes):
        numbers = indices.reshape(-1, BLOCK)[steps].ravel()
        written[units] = write_bits(numbers, width).reshape(*units.shape, _UNIT)
    return Streams(
        write_bits(padded, CODE_BITS)[: sizes.codes].tobytes(),
        write_bits(values.view(np.uint8), bits).tobytes(),
        written.tobytes(),
    )


def read_codes(stream: bytes, shape: tuple[int, int]) -> ByteArray:
    """Codes of the blocks of a matrix, shape (block columns, block rows).

    Raises
    ------
    BadInput
        If bits behind the last code are set.
    """
    columns, rows = grid(shape)
    padded = np.zeros(ceil_div(columns * rows, 8) * CODE_BITS, np.uint8)
    padded[: len(stream)] = np.frombuffer(stream, np.uint8)
    # What is behind the last code reads as further codes, so none of its bits escapes.
    numbers = read_bits(padded, CODE_BITS)
    if numbers[columns * rows :].any():
        raise BadInput(
            f"the bits behind the last of {columns * rows} codes must be zero; the bytes are damaged"
        )
    return numbers[: columns * rows].reshape(columns, rows)


def read_values(stream: bytes, bits: int) -> npt.NDArray[np.int8]:
    """Values of a stream whose length fits."""
    numbers = read_bits(np.frombuffer(stream, np.uint8), bits)
    # Up to the sign of a byte and down again: that extends the sign.
    spare = 8 - bits
    return (numbers << np.uint8(spare)).view(np.int8) >> np.int8(spare)


def read_indices(stream: bytes, codes: ByteArray) -> ByteArray:
    """Index of every slot, from a stream whose length fits; in dense blocks the row."""
    units_read = np.frombuffer(stream, np.uint8).reshape(-1, _UNIT)
    indices = np.empty((int(SLOTS[codes].sum()), BLOCK), np.uint8)
    indices[:] = np.arange(BLOCK)
    for width, steps, units in _by_index_bits(codes):
        indices[steps] = read_bits(units_read[units].ravel(), width).reshape(-1, BLOCK)
    return indices.ravel()


def _by_index_bits(codes: ByteArray) -> Iterator[tuple[int, IndexArray, IndexArray]]:
    """Each width of indices, the steps that have it, and their units in the stream, shape (steps, units)."""
    widths = np.repeat(INDEX_BITS[codes.ravel()], SLOTS[codes.ravel()])
    units = widths // 2
    starts = np.cumsum(units) - units
    for width in (2, 4):
        steps = np.flatnonzero(widths == width)
        yield width, steps, starts[steps][:, None] + np.arange(width // 2)
