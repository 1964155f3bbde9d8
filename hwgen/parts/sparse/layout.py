"""Where codes, values and indices are in the three streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.parts.sparse.bitstrings import ByteArray, read_bits, write_bits
from hwgen.parts.sparse.blocks import Tiling
from hwgen.parts.sparse.check import check_codes
from hwgen.parts.sparse.patterns import BLOCK, CODE_BITS, INDEX_BITS, PATTERNS, SLOTS, Pattern

__all__ = [
    "CODE_WORD_BLOCKS",
    "WORD_BYTES",
    "Streams",
    "by_pattern",
    "code_bytes",
    "index_rows",
    "read_codes",
    "read_indices",
    "read_values",
    "value_rows",
    "value_word_bytes",
    "write_streams",
]

IndexArray = npt.NDArray[np.intp]

WORD_BYTES = 8
"""Bytes of a word of codes, and of one of indices."""

CODE_WORD_BLOCKS = WORD_BYTES * 8 // CODE_BITS
"""Blocks whose codes are in one code word."""

_UNIT = 4  # bytes of a step's indices of two bits; a step's indices of four bits are two units


class Streams(NamedTuple):
    """What the hardware reads: words of codes, and rows of words of values and of indices."""

    codes: bytes
    values: bytes
    indices: bytes


def value_word_bytes(bits: int, lanes: int) -> int:
    """Bytes of a word of values: 24 for weights of four bits in three lanes, else 16.

    Parameters
    ----------
    bits : int
        Width of a weight.
    lanes : int
        Weights of a slot.
    """
    return 24 if lanes * bits > 8 else 16


def code_bytes(tiling: Tiling) -> int:
    """Bytes of the stream of codes."""
    columns, rows = tiling.grid
    return columns * ceil_div(rows, CODE_WORD_BLOCKS) * WORD_BYTES


def value_rows(codes: ByteArray, bits: int, lanes: int) -> int:
    """Rows of the stream of values, of one word for each way."""
    return ceil_div(int(SLOTS[codes].sum()) * _step_bytes(bits, lanes), value_word_bytes(bits, lanes))


def index_rows(codes: ByteArray) -> int:
    """Rows of the stream of indices, of one word for each way."""
    return int((SLOTS[codes] * INDEX_BITS[codes]).sum()) * BLOCK // (WORD_BYTES * 8)


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
    columns, rows = codes.shape
    steps, ways, _, lanes = values.shape
    nibbles = np.zeros((columns, ceil_div(rows, CODE_WORD_BLOCKS) * CODE_WORD_BLOCKS), np.uint8)
    nibbles[:, :rows] = codes

    word = value_word_bytes(bits, lanes)
    written = np.zeros((ways, value_rows(codes, bits, lanes) * word), np.uint8)
    used = written[:, : steps * _step_bytes(bits, lanes)]
    used[:] = write_bits(values.view(np.uint8).swapaxes(0, 1).ravel(), bits).reshape(used.shape)

    units_written = np.empty((ways, index_rows(codes) * WORD_BYTES // _UNIT, _UNIT), np.uint8)
    for width, chosen, units in _by_index_bits(codes):
        numbers = write_bits(indices[chosen].swapaxes(0, 1).ravel(), width)
        units_written[:, units] = numbers.reshape(ways, *units.shape, _UNIT)
    return Streams(
        write_bits(nibbles.ravel(), CODE_BITS).tobytes(),
        _write_rows(written, word),
        _write_rows(units_written, WORD_BYTES),
    )


def read_codes(stream: bytes, tiling: Tiling) -> ByteArray:
    """Codes of the blocks of a matrix from a stream whose length fits, shape (block columns, block rows).

    Raises
    ------
    BadInput
        If a code is that of no pattern, or codes behind a block column are not zero.
    """
    columns, rows = tiling.grid
    nibbles = read_bits(np.frombuffer(stream, np.uint8), CODE_BITS).reshape(columns, -1)
    check_codes(nibbles[:, :rows], tiling)
    behind = np.argwhere(nibbles[:, rows:])
    if behind.size:
        column, place = (int(i) for i in behind[0])
        raise BadInput(
            f"codes behind the last block row of block column {column} must be 0, not "
            f"{nibbles[column, rows + place]}; the bytes are damaged"
        )
    return nibbles[:, :rows]


def read_values(stream: bytes, codes: ByteArray, bits: int, tiling: Tiling) -> npt.NDArray[np.int8]:
    """Values of a stream whose length fits, shape (steps, ways, 16, lanes).

    Raises
    ------
    BadInput
        If bits behind a way's last step are set.
    """
    steps = int(SLOTS[codes].sum())
    strings = _read_rows(stream, tiling.ways, value_word_bytes(bits, tiling.lanes))
    used = steps * _step_bytes(bits, tiling.lanes)
    if strings[:, used:].any():
        way = int(np.argmax(strings[:, used:].any(axis=1)))
        raise BadInput(
            f"the bits behind the last step of way {way}'s values must be zero; the bytes are damaged"
        )
    numbers = read_bits(strings[:, :used].ravel(), bits)
    # Up to the sign of a byte and down again: that extends the sign.
    spare = 8 - bits
    values = (numbers << np.uint8(spare)).view(np.int8) >> np.int8(spare)
    return values.reshape(tiling.ways, steps, BLOCK, tiling.lanes).swapaxes(0, 1)


def read_indices(stream: bytes, codes: ByteArray, ways: int) -> ByteArray:
    """Index of every slot from a stream whose length fits, shape (steps, ways, 16); in dense blocks the row."""
    units_read = _read_rows(stream, ways, WORD_BYTES).reshape(ways, -1, _UNIT)
    indices = np.empty((int(SLOTS[codes].sum()), ways, BLOCK), np.uint8)
    for pattern, _, dense in by_pattern(codes):
        if not pattern.index_bits:
            indices[dense] = np.arange(BLOCK)[:, None, None]
    for width, steps, units in _by_index_bits(codes):
        numbers = read_bits(units_read[:, units].ravel(), width)
        indices[steps] = numbers.reshape(ways, -1, BLOCK).swapaxes(0, 1)
    return indices


def _step_bytes(bits: int, lanes: int) -> int:
    """Bytes of the values of a step in one way."""
    return BLOCK * lanes * bits // 8


def _by_index_bits(codes: ByteArray) -> Iterator[tuple[int, IndexArray, IndexArray]]:
    """Each width of indices, the steps that have it, and their units in a way's string, shape (steps, units)."""
    widths = np.repeat(INDEX_BITS[codes.ravel()], SLOTS[codes.ravel()])
    units = widths // 2
    starts = np.cumsum(units) - units
    for width in (2, 4):
        steps = np.flatnonzero(widths == width)
        if steps.size:
            yield width, steps, starts[steps][:, None] + np.arange(width // 2)


def _write_rows(strings: ByteArray, word: int) -> bytes:
    """Words of each way's string, shape (ways, ...), by rows: word r of way 0, word r of way 1 and so on."""
    return strings.reshape(len(strings), -1, word).swapaxes(0, 1).tobytes()


def _read_rows(stream: bytes, ways: int, word: int) -> ByteArray:
    """The strings that :func:`_write_rows` was given, shape (ways, bytes)."""
    words = np.frombuffer(stream, np.uint8).reshape(-1, ways, word).swapaxes(0, 1)
    return words.reshape(ways, words.shape[1] * word)
