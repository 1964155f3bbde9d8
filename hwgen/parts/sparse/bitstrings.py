"""Bit strings of small unsigned numbers: the first number in the lowest bits of the first byte."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ByteArray", "read_bits", "write_bits"]

ByteArray = npt.NDArray[np.uint8]


def write_bits(numbers: ByteArray, width: int) -> ByteArray:
    """Low ``width`` bits (1..8) of each number, one behind the other.

    Parameters
    ----------
    numbers : uint8 array, shape (count,)
        ``count`` is a multiple of 8.
    width : int
        Bits of a number.

    Returns
    -------
    uint8 array, shape (count * width / 8,)
    """
    if width == 8:
        return numbers.copy()
    # Eight numbers are ``width`` whole bytes, the low ones of a 64-bit word.
    eights = numbers.reshape(-1, 8)
    words = np.zeros(len(eights), "<u8")
    for place in range(8):
        words |= (eights[:, place] & ((1 << width) - 1)).astype("<u8") << np.uint64(place * width)
    return words.view(np.uint8).reshape(-1, 8)[:, :width].flatten()


def read_bits(string: ByteArray, width: int) -> ByteArray:
    """Numbers of a bit string: what :func:`write_bits` was given.

    Parameters
    ----------
    string : uint8 array, shape (count * width / 8,)
        ``count`` is a multiple of 8.
    width : int
        Bits of a number, 1..8.

    Returns
    -------
    uint8 array, shape (count,)
    """
    if width == 8:
        return string.copy()
    padded = np.zeros((len(string) // width, 8), np.uint8)
    padded[:, :width] = string.reshape(-1, width)
    words = padded.view("<u8")
    return ((words >> (np.arange(8, dtype=np.uint64) * width)) & ((1 << width) - 1)).astype(np.uint8).ravel()
