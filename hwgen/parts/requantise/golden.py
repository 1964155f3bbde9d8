"""The mathematics of requantisation, on whole arrays. Knows nothing of stages and windows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import IntArray, wrap
from hwgen.parts.requantise import MAX_SHIFT, ROUNDINGS

__all__ = ["requantise", "round_shift"]


def requantise(
    acc: IntArray,
    bias: npt.ArrayLike,
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    *,
    rounding: str,
    zero: int,
    low: int,
    high: int,
) -> IntArray:
    """``clamp(zero + round((acc + bias) · multiplier / 2**shift), low, high)`` as int64.

    Parameters
    ----------
    acc : int array
        Sums, int32.
    bias, multiplier, shift : int or int array that broadcasts against ``acc``
        int32; 0..2**24 - 1; 0..63. The sum ``acc + bias`` wraps at 32 bits.
    rounding : str
        Of :data:`~hwgen.parts.requantise.ROUNDINGS`.
    zero, low, high : int
        int8, ``low <= high``.

    Raises
    ------
    BadInput
        If there is no such rounding, or a shift is out of range.
    """
    total = wrap(acc.astype(np.int64) + np.asarray(bias, np.int64), 32)
    product = total * np.asarray(multiplier, np.int64)  # at most 56 bits
    return np.clip(zero + round_shift(product, shift, rounding), low, high)


def round_shift(value: IntArray, shift: npt.ArrayLike, rounding: str) -> IntArray:
    """``value / 2**shift`` rounded to the nearest integer; int64 in and out.

    Parameters
    ----------
    value : int array
        What is divided.
    shift : int or int array that broadcasts against ``value``
        0..63.
    rounding : str
        What becomes of a tie: ``half_even`` takes the even neighbour, ``half_away`` the one farther from zero.

    Raises
    ------
    BadInput
        If there is no such rounding, or a shift is out of range.
    """
    if rounding not in ROUNDINGS:
        raise BadInput(f"rounding must be one of {', '.join(ROUNDINGS)}, not {rounding!r}")
    places = np.asarray(shift, np.int64)
    if ((places < 0) | (places > MAX_SHIFT)).any():
        raise BadInput(f"shift must lie in 0..{MAX_SHIFT}, not {places.min()}..{places.max()}")
    one = np.int64(1)
    floor = value >> places
    rest = value - (floor << places)
    half = np.where(places > 0, one << np.maximum(places - 1, 0), 0)
    tie = (rest == half) & (places > 0)
    up = floor & 1 == 1 if rounding == "half_even" else value > 0
    nearest: IntArray = floor + ((rest > half) | (tie & up))
    return nearest
