"""The table of the reciprocal square root, which golden model and hardware share, and what errors follow from it."""

from __future__ import annotations

from functools import cache

import numpy as np

from hwgen.cores.norm.config import NormConfig
from hwgen.parts.piecewise.fit import uniform
from hwgen.parts.piecewise.table import FloatArray, Table

__all__ = ["COARSE", "centre", "error_bound", "table"]

COARSE = 9
"""Lowest bits of the error that its square leaves out."""

_SEGMENTS = 32  # a column of 32 entries is a LUT per bit


@cache
def table() -> Table:
    """``1 / sqrt(m)`` for ``m`` in [1, 4) by 32 lines, 16 per octave, so that the relative error is the same in both.

    The argument is the parity of the exponent above the mantissa's bits behind its leading one: ``m`` is ``1 + v``
    for ``v`` below one, and ``2 v`` beyond. It stands for the middle of the mantissas that share its bits.
    """
    half = 2.0**-NormConfig.TABLE_BITS
    return uniform(
        lambda v: _root(v + half),
        0.0,
        2.0,
        in_bits=NormConfig.TABLE_BITS,
        segments=_SEGMENTS,
        form="linear",
        out_fraction=NormConfig.TABLE_FRACTION,
    )


def _root(v: FloatArray) -> FloatArray:
    root: FloatArray = 1 / np.sqrt(np.where(v < 1, 1 + v, 2 * v))
    return root


@cache
def _errors() -> tuple[float, float]:
    """Smallest and largest relative error of the table, over every argument and all that it stands for."""
    x = np.arange(1 << NormConfig.TABLE_BITS, dtype=np.int64)
    guess = table().evaluate(x) * 2.0**-NormConfig.TABLE_FRACTION
    start, stop = table().argument(x), table().argument(x + 1)
    low, high = guess / _root(start) - 1, guess / _root(stop * (1 - 2.0**-53)) - 1
    return float(min(low.min(), high.min())), float(max(low.max(), high.max()))


@cache
def centre(fraction: int) -> int:
    """What makes the error of a Newton step as large upwards as downwards, in units of ``2**-fraction``.

    A step makes of a relative error d one of -3/2 d². So ``1 - m r²`` gets 3/2 of the largest d² on top, half of
    which reaches the root.
    """
    return round(1.5 * max(d * d for d in _errors()) * 2.0**fraction)


def error_bound(config: NormConfig) -> float:
    """Largest error of a normalised element, for every row and every eps.

    That of the root times the largest element, which is below ``sqrt(longest)``; that of the slope times the
    largest input; and the roundings of the intercept and of the sum.
    """
    d = np.linspace(*_errors(), 10_001)
    error = 1 - np.square(1 + d)
    mantissa, unit = 2.0**-config.mantissa_bits, 2.0**-config.error_fraction
    if config.terms == 0:
        relative = float(np.abs(d).max())
    elif config.terms == 1:
        step = (1 + d) * (1 + (error + centre(config.error_fraction) * unit) / 2) - 1
        relative = float(np.abs(step).max()) + mantissa + unit / 2 + 2.0**-config.root_fraction
    else:
        series = (1 + d) * (1 + error / 2 + 3 / 8 * np.square(error)) - 1
        square = 3 / 4 * float(np.abs(error).max()) * 2.0**COARSE * unit + unit / 2
        relative = float(np.abs(series).max()) + mantissa + unit / 2 + square + 2.0**-config.root_fraction
    slope = -config.element.low * 2.0 ** -(config.slope_fraction + 1)
    intercept = 2.0 ** -(config.intercept_fraction + 1)
    cut = 2.0**-config.intercept_fraction if config.slope_fraction > config.intercept_fraction else 0.0
    rounding = 2.0 ** -(config.NORMALISED_FRACTION + 1) if cut else 0.0
    return relative * float(np.sqrt(config.longest)) + slope + intercept + cut + rounding
