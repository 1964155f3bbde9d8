"""What ``sparse.run`` computes, from the definition of the streams: one block, one step after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import IntArray, ceil_div
from hwgen.system.config import CODE_WORD, SPARSE_LANES, SystemConfig

__all__ = ["sparse_sums", "sparse_weights"]

Bytes = npt.NDArray[np.uint8]

_DENSE = 5  # the code of blocks without indices
_BY_FOUR = (6, 7)  # codes of 1:4 and 2:4, whose indices count within groups of four


@dataclass
class _Sequence:
    """Bytes of a stream that are read one after the other."""

    what: str
    data: bytes
    at: int = 0

    def take(self, bits: int) -> list[int]:
        """The next 16 numbers, the first one lowest."""
        size = SPARSE_LANES * bits // 8
        if self.at + size > len(self.data):
            raise BadInput(f"the stream of {self.what} of sparse weights is longer than its rows")
        word = int.from_bytes(self.data[self.at : self.at + size], "little")
        self.at += size
        return [word >> p * bits & ((1 << bits) - 1) for p in range(SPARSE_LANES)]


def sparse_weights(
    config: SystemConfig,
    buffers: Mapping[str, Bytes],
    shape: Mapping[str, int],
    stream: Mapping[str, int],
    run: Mapping[str, int],
) -> IntArray:
    """The weights that a run reads.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    buffers : mapping of uint8 array, shape (words, bytes)
        ``code``, ``value`` and ``index``.
    shape, stream, run : mapping of int
        Fields of the instructions.

    Returns
    -------
    int64 array, shape (16 × blocks, 16 × tiles)

    Raises
    ------
    BadInput
        If a code is unknown, indices do not ascend, or the streams are not as long as the instructions say.
    """
    blocks, bits, spread = shape["blocks"], shape["weight_bits"], bool(shape["spread"])
    together = config.sparse_ways if spread else 1  # tiles that share codes
    rounds = ceil_div(run["tiles"], together)
    words = ceil_div(blocks, CODE_WORD)
    values = _sequences("values", buffers["value"], run["value"], stream["value_rows"], together)
    indices = _sequences("indices", buffers["index"], run["index"], stream["index_rows"], together)
    weights = np.zeros((SPARSE_LANES * blocks, SPARSE_LANES * rounds * together), np.int64)
    steps = 0
    for number in range(rounds):
        codes = _codes(buffers["code"][run["code"] + number * words :][:words], blocks)
        slots = [4 << (code & 1) if code in _BY_FOUR else (1 << code) >> 1 for code in codes]
        for way in range(together):
            column = SPARSE_LANES * (number * together + way)
            for block, (code, count) in enumerate(zip(codes, slots, strict=True)):
                before = [-1] * SPARSE_LANES
                for step in range(count):
                    numbers = values[way].take(bits)
                    rows = _rows(code, step, indices[way])
                    if any(row <= last for row, last in zip(rows, before, strict=True)):
                        raise BadInput("indices of sparse weights do not ascend within a block")
                    before = rows
                    for p in range(SPARSE_LANES):
                        value = numbers[p] - (numbers[p] >> bits - 1 << bits)
                        weights[SPARSE_LANES * block + rows[p], column + p] += value
        by_word = [sum(slots[i : i + CODE_WORD]) for i in range(0, blocks, CODE_WORD)]
        work = sum(max(1, count) for count in by_word)
        steps += max(config.sparse_least(spread), work) + config.sparse_gap(spread)
    _same("steps", steps, stream["steps"])
    for name, sequences, size in (("value", values, 16), ("index", indices, 8)):
        # Every way has its slice of each row, and has read as much as the others.
        row_bytes = size if spread else size * config.sparse_ways
        _same(f"{name}_rows", ceil_div(sequences[0].at, row_bytes), stream[f"{name}_rows"])
    return weights[:, : SPARSE_LANES * run["tiles"]]


def _sequences(what: str, buffer: Bytes, first: int, rows: int, together: int) -> list[_Sequence]:
    """A stream's bytes in the order in which they are read, for each way."""
    # One way that has all slices of a row reads them in their order, which is that of the bytes.
    slices = buffer[first : first + rows].reshape(rows, together, buffer.shape[1] // together)
    return [_Sequence(what, slices[:, way].tobytes()) for way in range(together)]


def _codes(words: Bytes, blocks: int) -> list[int]:
    """Codes of a round's blocks."""
    codes = [
        int(words[b // CODE_WORD, b % CODE_WORD // 2]) >> 4 * (b % 2) & 15 for b in range(2 * words.size)
    ]
    if max(codes[:blocks]) > max(_BY_FOUR):
        raise BadInput(
            f"a block of sparse weights has code {max(codes[:blocks])}; codes are 0..{max(_BY_FOUR)}"
        )
    if any(codes[blocks:]):
        raise BadInput("a code of sparse weights behind the last block is not zero")
    return codes[:blocks]


def _rows(code: int, step: int, indices: _Sequence) -> list[int]:
    """Rows of the block that the slots of a step stand for."""
    if code == _DENSE:
        return [step] * SPARSE_LANES
    if code not in _BY_FOUR:
        return indices.take(4)
    group = step if code == _BY_FOUR[0] else step // 2
    return [4 * group + row for row in indices.take(2)]


def _same(name: str, found: int, said: int) -> None:
    if found != said:
        raise BadInput(f"the streams of sparse weights have {name}={found}, and the program says {said}")


def sparse_sums(
    config: SystemConfig,
    operand: IntArray,
    weights: IntArray,
    shape: Mapping[str, int],
    run: Mapping[str, int],
) -> IntArray:
    """Sums of a run.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    operand : int array, shape (words, rows)
        The operand memory.
    weights : int64 array
        From :func:`sparse_weights`.
    shape, run : mapping of int
        Fields of the instructions.

    Returns
    -------
    int64 array, shape (tiles, rows, 16)
    """
    first = SPARSE_LANES * run["operand"]
    words = operand[first : first + SPARSE_LANES * shape["blocks"]].astype(np.int64)
    ways = config.sparse_ways if shape["spread"] else 1
    sums = []
    for tile in range(run["tiles"]):
        low = tile % ways * config.sparse_way_rows(shape["spread"])
        columns = weights[:, SPARSE_LANES * tile : SPARSE_LANES * (tile + 1)]
        sums.append(words[:, low : low + shape["rows"]].T @ columns)
    return np.array(sums)
