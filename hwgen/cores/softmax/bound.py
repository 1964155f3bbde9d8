"""How far a result can be from the exact softmax of its row, whatever the row: a bound, from tables that are visited.

An exponential that the hardware computes is the exact one times some ``c`` between ``low`` and ``high``, and a
factor common to the row. With ``s = high / low - 1`` a probability ``p`` moves by at most ``p (1 - p) s <= s / 4``;
a relative error of the sum or of its reciprocal moves it by at most as much, because ``p <= 1``. What is lost of the
sum is counted in its last places; the sum is at least one, its largest exponential.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from hwgen.cores.softmax.config import OWN, SoftmaxConfig
from hwgen.cores.softmax.golden.arithmetic import reciprocal
from hwgen.cores.softmax.tables import RESCALE_BITS, mantissas, pairs, rescale_mantissas
from hwgen.numerics import ceil_div, ceil_log2
from hwgen.parts.piecewise.table import Table

__all__ = ["ErrorBound", "error_bound"]

# Each part is below 2**-7 of the result, so products of two add less than a hundredth of their sum.
_SECOND_ORDER = 1.01
_CUTS = 3  # of online, when a sum is rescaled: the shift, and each of two products


@dataclass(frozen=True)
class ErrorBound:
    """Bound of the error of a result, in units of its last bit, by cause.

    A probability that rounds to one counts as the largest result.

    Parameters
    ----------
    rounding : float
        Of the result: one half.
    kernel : float
        Of the exponentials.
    drift : float
        Of the logits' factor to octaves, which has a finite number of bits.
    sum : float
        Of the terms' rounding and of rescaling what has been summed.
    reciprocal : float
        Of the sum's reciprocal.
    """

    rounding: float
    kernel: float
    drift: float
    sum: float
    reciprocal: float

    @property
    def ulp(self) -> float:
        """All of it."""
        return self.rounding + _SECOND_ORDER * (self.kernel + self.drift + self.sum + self.reciprocal)


def error_bound(config: SoftmaxConfig, n: int | None = None) -> ErrorBound | None:
    """Bound over all rows of up to so many elements, masked or not.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.
    n : int, optional
        Elements, 1..longest; ``config.longest`` by default.

    Returns
    -------
    ErrorBound or None
        None for published variants, which promise nothing, and with ``after_pv``, whose results are no
        probabilities.
    """
    if config.variant not in OWN or not config.divides:
        return None
    elements = config.longest if n is None else n
    unit = 1 << config.out_bits
    half = 2.0 ** -(config.fraction + 1)  # of the last place of what is summed
    if config.variant == "table_exact":
        return ErrorBound(0.5, unit * half, 0.0, unit * elements * half, 0.0)
    low, high = _kernel(config)
    return ErrorBound(
        0.5,
        unit * (high / low - 1) / 4,
        unit * _drift(config, elements),
        unit * _sum(config, elements, half),
        unit * _reciprocal(config.reciprocal, config.out_bits),
    )


def _kernel(config: SoftmaxConfig) -> tuple[float, float]:
    """Smallest and largest ratio of a computed exponential to the exact one, over every argument."""
    if config.exponential != "table":
        return _spread(mantissas(config))
    logits = np.arange(-(1 << config.in_bits) + 1, 1 << config.in_bits)
    mantissa, exponent = pairs(config, config.mantissa_bits, logits)
    octaves = logits * float(config.octave_step) - exponent
    ratio = mantissa * 2.0**-config.mantissa_bits / np.exp2(octaves)
    return float(ratio.min()), float(ratio.max())


@cache
def _spread(table: Table) -> tuple[float, float]:
    """The same of a table of powers of two whose arguments are cut downwards."""
    bits = table.in_bits
    fractions = np.arange(1 << bits)
    value = np.maximum(table.evaluate(fractions), 1 << bits) * 2.0**-bits
    return (
        float((value / np.exp2((fractions + 1) * 2.0**-bits)).min()),
        float((value / np.exp2(fractions * 2.0**-bits)).max()),
    )


def _drift(config: SoftmaxConfig, n: int) -> float:
    """Of the factor to octaves: its relative error times the octaves between elements.

    An element ``x`` octaves below the largest has at most the weight ``2**-x``, and ``x 2**-x <= 1 / (e ln 2)``; over
    the others, the mean of ``x`` is at most the row's entropy, ``log2(n)``.
    """
    if config.exponential == "table":
        return 0.0
    step = config.octave_step
    relative = abs(float(config.multiplier / (step * 2**config.multiplier_shift) - 1))
    return relative * math.log(2) * (1 / (math.e * math.log(2)) + math.log2(n))


def _sum(config: SoftmaxConfig, n: int, half: float) -> float:
    """Of the sum, relative to the largest exponential of the row."""
    beats = ceil_div(n, config.lanes)
    if config.variant == "twopass_ext":
        # Every addition rounds the smaller operand, and may cut a bit of the result, which is one or more.
        return (
            (ceil_log2(config.lanes) + ceil_div(beats, config.interleave) + config.interleave - 1) * 2 * half
        )
    if config.variant == "unified_max":
        return n * half  # further places make up for how far the row may be below the bound
    if config.variant == "online_pow2":
        # Each cut halves with the next rise of the maximum, so that those of a partial sum add up to two.
        return n * half + config.interleave * 2 * (2 * half)
    # An element whose exponential was rescaled is not the largest, so as with kernels p (1 - p) <= 1 / 4.
    factors = _rescalings(config, beats) * _factor(config) / 4
    return n * half + _CUTS * beats * 2 * half + factors


def _factor(config: SoftmaxConfig) -> float:
    """Of ``online``: largest relative error of a factor that rescales a sum."""
    if config.exponential == "table":
        return 2.0 ** -(RESCALE_BITS[config.out_bits] + 1)
    low, high = _spread(rescale_mantissas(config))
    return max(high - 1, 1 - low)


def _rescalings(config: SoftmaxConfig, beats: int) -> float:
    """Of ``online``: how often an exponential is rescaled, in the mean weighted by the exponentials.

    Every rise of the maximum comes with an element of at least the weight of all before it. So the mean is largest
    when ``flat`` full beats of equal elements are followed by beats of one element each, a little larger every time.
    """
    flat = np.arange(beats)
    rising = beats - flat
    full = config.lanes * flat
    mean = (full * rising + rising**2 / 2) / (full + rising)
    return float(mean.max()) / config.interleave + 1


@cache
def _reciprocal(method: str, out_bits: int) -> float:
    """Largest relative error of the reciprocal, over every sum cut to what it reads."""
    config = SoftmaxConfig(reciprocal=method, out_bits=out_bits)
    bits = config.reciprocal_bits
    worst = 0.0
    for start in range(1 << bits, 2 << bits, 1 << 20):
        total = np.arange(start, min(start + (1 << 20), 2 << bits))
        r, _ = reciprocal(config, total, bits)
        for end in (total, total + 1):  # the sum is at least this, and less than that
            worst = max(worst, float(np.abs(r * end * 2.0 ** -(2 * bits) - 1).max()))
    return worst
