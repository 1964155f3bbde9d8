"""Real scales as the constants of each mode."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import IntArray
from hwgen.parts.requantise import MODES

__all__ = ["ort_constants", "pot_shift", "scale_constants", "tflite_constants"]

_SIGNIFICAND = 24  # bits of a float32's
_TFLITE_BITS = 31


def scale_constants(scale: npt.ArrayLike, bits: int = 24) -> tuple[IntArray, IntArray]:
    """Multiplier and shift of the modes ``nearest`` and ``single``, nearest to each positive ``scale``.

    Parameters
    ----------
    scale : float array
        Positive, below 2**bits.
    bits : int
        Width of the multiplier.

    Returns
    -------
    multiplier, shift : int64 arrays
        ``2**(bits - 1) <= multiplier < 2**bits`` unless the shift would leave 0..63.
    """
    mantissa, exponent = np.frexp(np.asarray(scale, np.float64))
    multiplier = np.rint(mantissa * (1 << bits)).astype(np.int64)
    shift = bits - exponent.astype(np.int64)
    over = multiplier == 1 << bits
    multiplier = np.where(over, multiplier >> 1, multiplier)
    shift = np.where(over, shift - 1, shift)
    excess = np.maximum(shift - 63, 0)
    return multiplier >> np.minimum(excess, 62), np.minimum(shift, 63)


def ort_constants(
    a_scale: npt.ArrayLike, b_scale: npt.ArrayLike, y_scale: npt.ArrayLike
) -> tuple[IntArray, IntArray]:
    """Multiplier and shift of the mode ``ort`` for ``QLinearMatMul`` and ``QLinearConv``.

    Parameters
    ----------
    a_scale, b_scale, y_scale : float32 arrays that broadcast against each other
        Scales of activations, of weights (one, or one per channel), and of the result, as the model holds them.

    Returns
    -------
    multiplier, shift : int64 arrays
        Exactly the float32 ``a_scale * b_scale / y_scale``, each operation rounded, as onnxruntime computes it.
        Where the shift would leave 0..63 it is the next one, and no result changes: all are zero, or clamped.

    Raises
    ------
    BadInput
        If a scale, or what comes out, is negative or not finite.
    """
    with np.errstate(all="ignore"):
        a, b, y = (np.asarray(scale, np.float32) for scale in (a_scale, b_scale, y_scale))
        m = a * b / y
    if not (np.isfinite(m) & (m >= 0)).all():
        raise BadInput("scales must be positive float32 numbers whose a_scale * b_scale / y_scale is finite")
    mantissa, exponent = np.frexp(m.astype(np.float64))
    multiplier = (mantissa * (1 << _SIGNIFICAND)).astype(np.int64)
    return multiplier, np.clip(_SIGNIFICAND - exponent.astype(np.int64), 0, MODES["ort"].max_shift)


def tflite_constants(scale: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """Multiplier and shift of the mode ``tflite``, and of ``single`` with 31 bits, as TFLite makes them.

    Parameters
    ----------
    scale : float64 array
        Not negative, below 2**30.

    Returns
    -------
    multiplier, shift : int64 arrays
        TFLite's ``QuantizeMultiplier``; its shift, which is to the left, is 31 less this one. Scales below 2**-32
        become zero.

    Raises
    ------
    BadInput
        If a scale is out of range.
    """
    real = np.asarray(scale, np.float64)
    if not ((real >= 0) & (real < 1 << (_TFLITE_BITS - 1))).all():
        raise BadInput(f"scales must lie in 0..2**{_TFLITE_BITS - 1}, not {real.min()}..{real.max()}")
    mantissa, exponent = np.frexp(real)
    multiplier = np.floor(mantissa * (1 << _TFLITE_BITS) + 0.5).astype(np.int64)
    shift = _TFLITE_BITS - exponent.astype(np.int64)
    over = multiplier == 1 << _TFLITE_BITS
    multiplier, shift = np.where(over, multiplier >> 1, multiplier), shift - over
    small = shift > MODES["tflite"].max_shift
    return np.where(small, 0, multiplier), np.where(small, _TFLITE_BITS, shift)


def pot_shift(scale: npt.ArrayLike) -> IntArray:
    """Shift of the mode ``pot``.

    Parameters
    ----------
    scale : float array
        Powers of two, 2**-31..1.

    Raises
    ------
    BadInput
        If a scale is none of these.
    """
    real = np.asarray(scale, np.float64)
    mantissa, exponent = np.frexp(real)
    shift: IntArray = 1 - exponent.astype(np.int64)
    wrong = (mantissa != 0.5) | (shift < 0) | (shift > MODES["pot"].max_shift)
    if wrong.any():
        first = real.ravel()[int(np.flatnonzero(wrong)[0])]
        raise BadInput(f"a scale of the mode pot must be a power of two in 2**-31..1, not {first}")
    return shift
