"""The mathematics of LayerNorm and RMSNorm on integers: exact statistics, then fixed point.

For a row of N integers q, with S1 their sum and S2 the sum of their squares::

    V = N S2 - S1²,  X = V + N² eps          N² times the variance; exact
    y = (N q - S1) / sqrt(X)                 = q a - c with a = N / sqrt(X), c = S1 / sqrt(X)

RMSNorm is the same without S1. ``1 / sqrt(X)`` is ``r 2**-k`` with ``X = m 4**k``, ``m`` in [1, 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.cores.norm.config import NormConfig
from hwgen.cores.norm.operation import Row, effective
from hwgen.cores.norm.rsqrt import COARSE, centre, table
from hwgen.numerics import IntArray

__all__ = ["Line", "line", "normalise", "reciprocal_root", "run"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Line:
    """What a row's elements are multiplied with, and what is subtracted.

    Parameters
    ----------
    slope, intercept : int64 arrays, shape (rows,)
        1 / sigma and mean / sigma, with ``slope_fraction`` and ``intercept_fraction`` bits behind the point.
    """

    slope: IntArray
    intercept: IntArray


def run(config: NormConfig, operations: Sequence[Row]) -> list[IntArray]:
    """Results of a sequence of rows."""
    results = []
    for row, parameters in zip(operations, effective(operations), strict=True):
        y = normalise(config, row.x[None], row.keep[None], parameters.eps)[0]
        size = len(row.x)
        product = y * parameters.gamma[:size]  # 27 + 18 bits
        sum_fraction = config.NORMALISED_FRACTION + config.gamma_fraction
        total = product + (parameters.beta[:size] << (sum_fraction - config.BETA_FRACTION))
        out = np.clip(total >> sum_fraction, config.result.low, config.result.high)
        results.append(np.where(row.keep, out, 0))
    return results


def normalise(config: NormConfig, x: IntArray, keep: Mask, eps: int) -> IntArray:
    """Normalised elements of rows, with ``NORMALISED_FRACTION`` bits behind the point.

    Parameters
    ----------
    config : NormConfig
        The core.
    x : int array, shape (rows, elements)
        Elements, of format ``config.element``.
    keep : bool array of the same shape
        Which of them are there; the others count as little as if the row were shorter.
    eps : int
        In units of ``2**-eps_fraction``.
    """
    found = line(config, np.where(keep, x, 0), keep, eps)
    fine = config.slope_fraction - config.intercept_fraction
    extra = config.intercept_fraction - config.NORMALISED_FRACTION
    y = ((x * found.slope[:, None]) >> fine) - found.intercept[:, None]
    return (y + (1 << extra >> 1)) >> extra


def line(config: NormConfig, x: IntArray, keep: Mask, eps: int) -> Line:
    """Slope and intercept of rows; elements that are not kept are zero. Zero if the variance is zero."""
    x = x.astype(np.int64)
    n, s1, s2 = keep.sum(1, dtype=np.int64), x.sum(1), np.square(x).sum(1)
    if config.form == "rms":
        s1 = np.zeros_like(s1)
    variance = n * s2 - s1 * s1
    spread = (variance << config.eps_fraction) + n * n * eps
    root, k = reciprocal_root(config, spread)
    # 1 / sqrt(variance) = root 2**-root_fraction 2**-k 2**(eps_fraction / 2)
    exponent = np.maximum(k - config.eps_fraction // 2, 0)
    slope = _scaled(n * root, config.root_fraction - config.slope_fraction, exponent)
    intercept = _scaled(s1 * root, config.root_fraction - config.intercept_fraction, exponent)
    return Line(np.where(variance > 0, slope, 0), np.where(variance > 0, intercept, 0))


def _scaled(product: IntArray, drop: int, exponent: IntArray) -> IntArray:
    """``product / 2**(drop + exponent)``, to the nearest integer, halves up."""
    twice: IntArray = (product << (max(-drop, 0) + 1)) >> (max(drop, 0) + exponent)
    return (twice + 1) >> 1


def reciprocal_root(config: NormConfig, spread: IntArray) -> tuple[IntArray, IntArray]:
    """``r`` and ``k`` with ``1 / sqrt(spread) = r 2**-root_fraction 2**-k``; anything for zero.

    The table gives a first ``r``; with ``e = 1 - m r²`` the series of ``(1 - e)**(-1/2)``, ``1 + e / 2 + 3 e² / 8``,
    corrects it.
    """
    bits, table_fraction = config.mantissa_bits, config.TABLE_FRACTION
    place = _leading(spread)
    k, parity = place >> 1, place & 1
    up, down = np.maximum(bits - 1 - place, 0), np.maximum(place - (bits - 1), 0)
    mantissa = (spread << up) >> down
    address = (parity << (bits - 1)) + (mantissa & ((1 << (bits - 1)) - 1))
    guess = table().evaluate(address >> (bits - config.TABLE_BITS))
    if not config.terms:
        return guess, k
    fraction = bits - 1 + 2 * table_fraction
    drop = fraction - config.error_fraction
    one = (1 << config.error_fraction) + (centre(config.error_fraction) if config.terms == 1 else 0)
    error = one - (((mantissa << parity) * (guess * guess)) >> drop)
    shift = table_fraction + 1 + config.error_fraction - config.root_fraction
    if config.terms == 2:
        coarse = error >> COARSE
        square_fraction = 2 * (config.error_fraction - COARSE)
        # 3/8 e² beside e / 2: three quarters of e², in units of the error
        error = error + ((3 * coarse * coarse) >> (square_fraction + 2 - config.error_fraction))
    root = (guess << (config.root_fraction - table_fraction)) + ((guess * error + (1 << shift >> 1)) >> shift)
    return root, k


def _leading(value: IntArray) -> IntArray:
    """Place of the uppermost one, 0 for zero."""
    place = np.maximum(np.frexp(value.astype(np.float64))[1].astype(np.int64) - 1, 0)
    place -= (value >> place) == 0  # the conversion rounded up to a power of two
    return np.maximum(place, 0)
