"""Constants of the published units that are rebuilt for comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.numerics import IntArray

__all__ = [
    "IBERT_FACTOR_BITS",
    "IBERT_ONE",
    "ITA_NUMERATOR",
    "SOLE_INVERSE",
    "IbertConstants",
    "ibert_constants",
    "ibert_division",
    "softermax_powers",
    "softermax_reciprocals",
]

IBERT_ONE = (1 << 15) - 1
"""One, as a 16-bit exponential."""

_IBERT = (0.35815147, 0.96963238, 1.0)
_IBERT_LN2 = 0.6931
_IBERT_HALVINGS = 30
_FACTOR_BITS = 16

IBERT_FACTOR_BITS = 18
"""Bits of ``2**32`` over a sum that is at least almost one."""

ITA_NUMERATOR = 255 << 8
"""What is divided by the sum."""

SOLE_INVERSE = (round(512 * math.log(1.5)), round(512 * math.log(4 / 3)))
"""Means of 1/x over the lower and the upper half of [1, 2), eight bits."""


@dataclass(frozen=True)
class IbertConstants:
    """Integers of I-BERT's exponential for one scale of the logits.

    Parameters
    ----------
    ln2 : int
        The logarithm of two in steps of a logit.
    farthest : int
        Distances from the maximum are at most so large.
    linear, constant : int
        ``(r + linear) * r + constant`` is the exponential of ``r`` in (-ln2, 0].
    factor, places : int
        What turns that into 16 bits: times ``factor * 2**-places``.
    """

    ln2: int
    farthest: int
    linear: int
    constant: int
    factor: int
    places: int


def ibert_constants(config: SoftmaxConfig) -> IbertConstants:
    """The constants for a configuration's scale."""
    step = float(config.step)
    a, b, c = _IBERT
    ln2 = math.floor(_IBERT_LN2 / step)
    constant = math.floor(c / a / step**2)
    # One is the parabola's value at zero; as much as a 16-bit QuantAct with range one makes of it.
    ratio = a * step**2 * IBERT_ONE
    places = _FACTOR_BITS - math.frexp(ratio)[1]
    farthest = min(_IBERT_HALVINGS * ln2, (1 << config.in_bits) - 1)
    return IbertConstants(ln2, farthest, math.floor(b / a / step), constant, round(ratio * 2**places), places)


def ibert_division(config: SoftmaxConfig) -> tuple[int, int]:
    """``inverse`` and ``places`` of which ``x * inverse >> places`` is ``x // ln2`` for every distance ``x``."""
    c = ibert_constants(config)
    x = np.arange(c.farthest + 1, dtype=np.int64)
    places = 0
    while True:
        inverse = -(-(1 << places) // c.ln2)
        if ((x * inverse >> places) == x // c.ln2).all():
            return inverse, places
        places += 1


def softermax_powers() -> IntArray:
    """Powers of two of quarters, UQ(1,15)."""
    return np.array([round(2 ** (15 + f / 4)) for f in range(4)], np.int64)


def softermax_reciprocals() -> IntArray:
    """``1 / (1 + i / 64)``, UQ(1,7)."""
    return np.array([round(128 / (1 + i / 64)) for i in range(64)], np.int64)
