"""Fixed-point formats of arguments and results, and the real function between them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from hwgen.config import require_bool, require_int
from hwgen.cores.activation.functions import FloatArray, RealFunction
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, IntFormat

__all__ = ["Formats", "rational"]


def rational(text: str) -> Fraction:
    """The number that a text such as ``0.125``, ``1e-3`` or ``-1/8`` spells.

    Raises
    ------
    ValueError
        If it spells none, or one that float64 does not hold: 1e999999999 as a fraction would take forever.
    """
    try:
        if "/" not in text and not float(text):
            return Fraction(0)
        if "/" not in text:
            float(text).as_integer_ratio()
        found = Fraction(text)
        float(found)
    except (ZeroDivisionError, OverflowError):
        raise ValueError(f"{text!r} is no number") from None
    return found


@dataclass(frozen=True, kw_only=True)
class Formats:
    """Formats of an activation: ``x`` means ``x * 2**-in_fraction``, ``y`` means ``y * 2**-out_fraction``.

    Parameters
    ----------
    in_bits, in_fraction, in_signed : int, int, bool
        Format of arguments: 4..20 bits, -8..24 fraction bits.
    out_bits, out_fraction, out_signed : int, int, bool
        Format of results: 2..24 bits, -8..24 fraction bits.
    """

    in_bits: int = 8
    in_fraction: int = 4
    in_signed: bool = True
    out_bits: int = 8
    out_fraction: int = 4
    out_signed: bool = True

    def __post_init__(self) -> None:
        require_int("in_bits", self.in_bits, 4, 20)
        require_int("out_bits", self.out_bits, 2, 24)
        require_int("in_fraction", self.in_fraction, -8, 24)
        require_int("out_fraction", self.out_fraction, -8, 24)
        require_bool("in_signed", self.in_signed)
        require_bool("out_signed", self.out_signed)

    @cached_property
    def argument(self) -> IntFormat:
        """Of ``x``."""
        return IntFormat(self.in_bits, self.in_signed)

    @cached_property
    def result(self) -> IntFormat:
        """Of ``y``."""
        return IntFormat(self.out_bits, self.out_signed)

    @property
    def magnitude_bits(self) -> int:
        """Bits of ``|x|``; that of the lowest argument is taken as the largest one that they hold."""
        return self.in_bits - self.in_signed

    @property
    def arguments(self) -> IntArray:
        """Every argument, ascending, as int64."""
        return np.arange(self.argument.low, self.argument.high + 1, dtype=np.int64)

    def clip(self, y: FloatArray) -> FloatArray:
        """Real results, none beyond what the output format holds."""
        unit = 2.0**-self.out_fraction
        clipped: FloatArray = np.clip(y, self.result.low * unit, self.result.high * unit)
        return clipped

    def ideal(self, of: RealFunction, scale: float, *, saturate: bool, name: str) -> FloatArray:
        """The real results of every argument, ascending.

        Parameters
        ----------
        of : callable
            The real function.
        scale : float
            A further factor of the argument.
        saturate : bool
            Whether results beyond the output format are clipped to it; otherwise they are refused.
        name : str
            The function's, for the sentence.

        Raises
        ------
        BadInput
            If a result is not a number or, unless ``saturate``, is beyond the output format: the first such
            argument is named.
        """
        v = np.asarray(self.arguments * (scale * 2.0**-self.in_fraction), np.float64)
        with np.errstate(all="ignore"):
            y = np.asarray(of(v), np.float64)
        if y.shape != v.shape:
            raise BadInput(f"{name} must give one result per argument, not shape {y.shape} for {v.shape}")
        if np.isnan(y).any():
            raise BadInput(
                f"{name} is not a number at {v[np.isnan(y)][0]:g}; every argument of {self.argument} with "
                f"{self.in_fraction} fraction bits must have a result"
            )
        rounded = np.rint(y * 2.0**self.out_fraction)
        beyond = (rounded < self.result.low) | (rounded > self.result.high)
        if beyond.any() and not saturate:
            at = int(np.argmax(beyond))
            low, high = (end * 2.0**-self.out_fraction for end in (self.result.low, self.result.high))
            raise BadInput(
                f"{name} is {y[at]:g} at {v[at]:g}, but {self.result} with {self.out_fraction} fraction bits holds "
                f"{low:g}..{high:g}; choose a wider format, or set saturate=true"
            )
        return self.clip(y)
