"""The mathematics of requantisation, on whole arrays. Knows nothing of stages and windows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import IntArray, wrap

__all__ = ["requantise", "round_shift"]

_TIES = ("half_even", "half_away", "half_up")
_MAX_SHIFT = 63
_FLOAT32_BITS = 24  # significant bits of a float32
_HIGH_MUL_SHIFT = 31  # gemmlowp's doubling high multiplication drops so many bits


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
        int32; 0..2**31 - 1; 0..63. The sum ``acc + bias`` wraps at 32 bits.
    rounding : str
        One rounding of the exact quotient, ``half_even``, ``half_away`` or ``half_up``; or ``ort``, the float32
        arithmetic of onnxruntime, whose multiplier is a float32's significand, 2**23..2**24 - 1 or zero; or
        ``tflite``, the two roundings of gemmlowp, whose multiplier has 31 bits.
    zero, low, high : int
        int8, ``low <= high``.

    Raises
    ------
    BadInput
        If there is no such rounding, or a shift is out of range.

    Notes
    -----
    ``ort`` is ``rint(float32(acc) * float32(m))`` with ``m = multiplier / 2**shift`` (onnxruntime, MLAS
    ``RequantizeOutput``): both operations round to 24 significant bits, ties to even.

    ``tflite`` is gemmlowp's ``SaturatingRoundingDoublingHighMul``, which for a positive multiplier rounds
    ``acc * multiplier / 2**31`` with ties upwards, and ``RoundingDivideByPOT``, which rounds ties away from zero.
    A shift below 31 is TFLite's left shift before them; here it cannot overflow.
    """
    total = wrap(acc.astype(np.int64) + np.asarray(bias, np.int64), 32)
    factor, places = np.asarray(multiplier, np.int64), np.asarray(shift, np.int64)
    if rounding == "ort":
        quotient = round_shift(_float32(_float32(total) * factor), places, "half_even")
    elif rounding == "tflite":
        high_product = round_shift(total * factor, np.minimum(places, _HIGH_MUL_SHIFT), "half_up")
        quotient = round_shift(high_product, np.maximum(places - _HIGH_MUL_SHIFT, 0), "half_away")
    else:
        quotient = round_shift(total * factor, places, rounding)  # at most 62 bits
    return np.clip(zero + quotient, low, high)


def round_shift(value: IntArray, shift: npt.ArrayLike, rounding: str) -> IntArray:
    """``value / 2**shift`` rounded to the nearest integer; int64 in and out.

    Parameters
    ----------
    value : int array
        What is divided.
    shift : int or int array that broadcasts against ``value``
        0..63.
    rounding : str
        What becomes of a tie: ``half_even`` takes the even neighbour, ``half_away`` the one farther from zero,
        ``half_up`` the larger one.

    Raises
    ------
    BadInput
        If there is no such rounding, or a shift is out of range.
    """
    if rounding not in _TIES:
        raise BadInput(f"rounding must be one of {', '.join(_TIES)}, not {rounding!r}")
    places = np.asarray(shift, np.int64)
    if ((places < 0) | (places > _MAX_SHIFT)).any():
        raise BadInput(f"shift must lie in 0..{_MAX_SHIFT}, not {places.min()}..{places.max()}")
    one = np.int64(1)
    floor = value >> places
    rest = value - (floor << places)
    half = np.where(places > 0, one << np.maximum(places - 1, 0), 0)
    tie = (rest == half) & (places > 0)
    up = {"half_even": floor & 1 == 1, "half_away": value > 0, "half_up": True}[rounding]
    nearest: IntArray = floor + ((rest > half) | (tie & up))
    return nearest


def _float32(value: IntArray) -> IntArray:
    """The nearest integers that a float32 holds, ties to even: 24 significant bits."""
    size = np.abs(value)
    length = np.frexp(size.astype(np.float64))[1].astype(np.int64)
    length -= size < (np.int64(1) << np.maximum(length - 1, 0))  # the conversion rounded up to a power of two
    drop = np.maximum(length - _FLOAT32_BITS, 0)
    return round_shift(value, drop, "half_even") << drop
