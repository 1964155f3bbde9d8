"""I-BERT's GELU in its own integers: for comparison, not for use.

Kim et al., I-BERT, ICML 2021, equation 8 and algorithm 2; constants and roundings as published with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Self

import numpy as np

from hwgen.errors import BadInput
from hwgen.numerics import IntArray

__all__ = ["DROPPED", "LATENCY", "IbertGelu"]

DROPPED = 14
"""Bits of the parabola that I-BERT drops, whatever the scale."""

LATENCY = 8
"""Cycles of its hardware."""

_FACTOR_BITS = 17
_CURVATURE, _ROOT, _SQRT2 = Fraction("0.2888"), Fraction("1.769"), Fraction("1.4142")
_STEPS = (Fraction(1, 1 << 14), Fraction(1, 1 << 8))


@dataclass(frozen=True)
class IbertGelu:
    """``y = round(x h factor / 2**drop)``, ``h = one + ceil(sgn(x) (top - (root - min(|x|, root))**2) / 2**14)``.

    Parameters
    ----------
    root, top, one : int
        The parabola's root, its value there, and what I-BERT adds for the one of ``1 + erf``.
    factor, drop : int
        The rescaling to the output format, with a factor of 17 bits.
    """

    root: int
    top: int
    one: int
    factor: int
    drop: int

    @classmethod
    def of(cls, step: Fraction, out_fraction: int) -> Self:
        """The integers for arguments ``x * step``.

        Raises
        ------
        BadInput
            If the 14 bits leave too little of the parabola, or too much for the multipliers.
        """
        if not _STEPS[0] <= step <= _STEPS[1]:
            raise BadInput(
                f"ibert needs arguments in steps of {_STEPS[0]} to {_STEPS[1]}, because it always drops {DROPPED} bits "
                f"of its parabola, not {step}; choose other fraction bits or another scale"
            )
        scaled = step / _SQRT2
        unit = _CURVATURE * scaled**2
        real = step * unit * Fraction(2) ** (DROPPED - 1 + out_fraction)
        drop = 1
        while real * 2**drop < 1 << (_FACTOR_BITS - 1):
            drop += 1
        factor = floor(real * 2**drop + Fraction(1, 2))
        return cls(ceil(_ROOT / scaled), ceil(1 / unit), ceil(1 / (unit * (1 << DROPPED))), factor, drop)

    def evaluate(self, x: IntArray, magnitude: IntArray) -> IntArray:
        """Results as int64 before they are clamped.

        Parameters
        ----------
        x : int array
            Arguments.
        magnitude : int array
            Theirs.
        """
        q = self.top - np.square(self.root - np.minimum(magnitude, self.root))
        h = self.one - (np.where(x < 0, q, -q) >> DROPPED)
        y: IntArray = (x * h * self.factor + ((1 << self.drop) >> 1)) >> self.drop
        return y
