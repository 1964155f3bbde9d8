"""Where a value's bits are, in the words that go in and in the planes that come out; no hardware."""

from __future__ import annotations

import numpy as np

from hwgen.numerics import IntArray, ceil_div
from hwgen.streams import Beats

__all__ = ["LATENCY", "WIDTHS", "beats", "block_beats", "codes", "travel_bits"]

WIDTHS = (1, 2, 4, 8)
"""Widths in which values travel; a value of three bits travels in four."""

LATENCY = 8
"""Cycles from a word of a block to the plane of the same number: 1 + 2 + 4 in the exchanges, and a register."""


def travel_bits(bits: int) -> int:
    """Width in which values of ``bits`` bits (1..8) travel."""
    return next(width for width in WIDTHS if bits <= width)


def block_beats(values: int, travel: int) -> int:
    """Words of a block of ``values`` values that carry any: all ``travel`` of them but in a very short block."""
    return min(values, travel)


def beats(values: IntArray, width: int, travel: int) -> Beats:
    """Words that carry rows of values, row after row.

    Value ``k`` of a block of ``width`` values is in word ``k % travel``, lane ``k // travel``; words in which
    no value lies are left out. Lanes beyond the last value are filled with ones: hardware must ignore them.

    Parameters
    ----------
    values : int array, shape (rows, length)
        Codes; only their low ``travel`` bits are looked at.
    width : int
        Bits of a word, a multiple of 8.
    travel : int
        Bits of a value, one of :data:`WIDTHS`.

    Returns
    -------
    uint8 array, shape (words, width / 8)
    """
    rows, length = values.shape
    blocks = ceil_div(length, width)
    filled = np.full((rows, blocks * width), -1, np.int64)
    filled[:, :length] = values
    # (rows, blocks, lane, word) -> (rows, blocks, word, lane, bit)
    lanes = filled.reshape(rows, blocks, width // travel, travel).transpose(0, 1, 3, 2)
    bits = ((lanes[..., None] >> np.arange(travel)) & 1).astype(np.uint8)
    words = np.packbits(bits.reshape(rows, blocks * travel, width), axis=2, bitorder="little")
    sent = (blocks - 1) * travel + block_beats(length - (blocks - 1) * width, travel)
    return words[:, :sent].reshape(rows * sent, width // 8)


def codes(values: IntArray, bits: int, *, bipolar: bool = False) -> IntArray:
    """The bits that stand for values: two's complement or plain binary, and (v + 1) / 2 for +1 and -1."""
    return (values + 1) >> 1 if bipolar else values & ((1 << bits) - 1)
