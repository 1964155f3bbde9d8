"""Configuration of the normalisation core, and every number that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isqrt
from typing import ClassVar

from hwgen.config import CoreConfig, require_choice, require_int
from hwgen.errors import BadInput
from hwgen.numerics import IntFormat, bits_for_range, ceil_div, ceil_log2
from hwgen.parts.elastic.timing import RowsShape
from hwgen.parts.product import product_latency
from hwgen.streams import Field, Stream

__all__ = ["FORMS", "PORTS", "NormConfig"]

FORMS = ("layer", "rms")
"""LayerNorm, which subtracts the mean, and RMSNorm, which does not."""

PORTS = (27, 25, 18)
"""Wider operand of a target's multipliers: DSP48E2, DSP48E1, MULT18X18D; the other one has 18 bits on all."""

_NARROW = 18


@dataclass(frozen=True, kw_only=True)
class NormConfig(CoreConfig):
    """Parameters of the normalisation core.

    Parameters
    ----------
    form : str
        ``layer`` or ``rms``.
    lanes : int
        Elements per cycle, 1..32.
    longest : int
        Elements of the longest row, 1..4096.
    in_bits, out_bits : int
        8 or 16: signed elements in, signed elements out.
    terms : int
        0..2: terms of the series that refines the reciprocal square root of the table; 1 is a Newton step, 2 takes
        the place of a second one.
    gamma_fraction : int
        0..17: bits behind the point of the factors, which are signed and have 18 bits.
    multiplier_bits : int
        27, 25 or 18: wider operand of the target's multipliers.
    """

    core: ClassVar[str] = "norm"

    form: str = "layer"
    lanes: int = 8
    longest: int = 1024
    in_bits: int = 8
    out_bits: int = 8
    terms: int = 1
    gamma_fraction: int = 10
    multiplier_bits: int = 27

    def __post_init__(self) -> None:
        require_choice("form", self.form, FORMS)
        require_int("lanes", self.lanes, 1, 32)
        require_int("longest", self.longest, 1, 4096)
        for name in ("in_bits", "out_bits"):
            bits = getattr(self, name)
            if bits not in (8, 16) or isinstance(bits, bool):
                raise BadInput(f"{name} must be 8 or 16, not {bits!r}")
        require_int("terms", self.terms, 0, 2)
        require_int("gamma_fraction", self.gamma_fraction, 0, self.GAMMA.bits - 1)
        if self.multiplier_bits not in PORTS:
            raise BadInput(
                f"multiplier_bits must be one of {', '.join(map(str, PORTS))}, not {self.multiplier_bits!r}"
            )

    # Formats of what travels.

    GAMMA: ClassVar[IntFormat] = IntFormat(18, True)
    BETA_FRACTION: ClassVar[int] = 7
    EPS: ClassVar[IntFormat] = IntFormat(26, False)

    @property
    def element(self) -> IntFormat:
        """Of an element of x."""
        return IntFormat(self.in_bits, True)

    @property
    def result(self) -> IntFormat:
        """Of an element of y."""
        return IntFormat(self.out_bits, True)

    @property
    def beta(self) -> IntFormat:
        """Of an offset: twice the range of a result, and 7 bits behind the point."""
        return IntFormat(self.out_bits + 1 + self.BETA_FRACTION, True)

    @property
    def eps_fraction(self) -> int:
        """Bits of eps behind the point; even."""
        return {8: 16, 16: 8}[self.in_bits]

    @property
    def square_table(self) -> bool:
        """Whether squares are read from a table in LUTs: dear where multipliers are small and LUTs too."""
        return self.in_bits == 8 and self.multiplier_bits > _NARROW

    @property
    def beats(self) -> int:
        """Beats of the longest row, and of the largest set of factors and offsets."""
        return ceil_div(self.longest, self.lanes)

    # Formats of a row's statistics.

    @property
    def count(self) -> IntFormat:
        """Of N, the number of elements."""
        return IntFormat(self.longest.bit_length(), False)

    @property
    def sum(self) -> IntFormat:
        """Of the sum of a row."""
        return IntFormat(
            bits_for_range(self.longest * self.element.low, self.longest * self.element.high), True
        )

    @property
    def squares(self) -> IntFormat:
        """Of the sum of squares of a row."""
        return IntFormat((self.longest * self.element.low**2).bit_length(), False)

    @property
    def variance(self) -> IntFormat:
        """Of N² times the variance (``rms``: the mean square)."""
        return IntFormat((self.longest**2 * self.element.low**2).bit_length(), False)

    SPREAD: ClassVar[IntFormat] = IntFormat(64, False)
    """Of N² (variance + eps), with eps' bits behind the point; its place of the leading one has six bits."""

    # Formats of the reciprocal square root, and of what it becomes.

    TABLE_BITS: ClassVar[int] = 14
    TABLE_FRACTION: ClassVar[int] = 13
    TABLE_LATENCY: ClassVar[int] = 3

    @property
    def mantissa_bits(self) -> int:
        """Bits of the spread that count, from its leading one on."""
        return (self.TABLE_BITS, 24, 30)[self.terms]

    @property
    def error(self) -> IntFormat:
        """Of ``1 - m r²``: what the table leaves, below 2**-10."""
        return IntFormat(self.error_fraction - 9, True)

    @property
    def error_fraction(self) -> int:
        """Bits of ``1 - m r²`` behind the point; the table alone has no use for it."""
        return (26, 26, 31)[self.terms]

    @property
    def root_fraction(self) -> int:
        """Bits of the reciprocal root, which is at most one, behind the point."""
        return (self.TABLE_FRACTION, 24, 28)[self.terms]

    @property
    def root(self) -> IntFormat:
        """Of the reciprocal root."""
        return IntFormat(self.root_fraction + (self.terms > 0), False)

    @property
    def integer_bits(self) -> int:
        """Bits before the point of 1 / sigma and of a normalised element: neither exceeds sqrt(longest) + 1."""
        return (isqrt(self.longest) + 1).bit_length()

    @property
    def slope_fraction(self) -> int:
        """Bits of 1 / sigma behind the point: an element times their error must not matter."""
        return self.in_bits + (11, 11, 19)[self.terms]

    @property
    def slope(self) -> IntFormat:
        """Of 1 / sigma."""
        return IntFormat(self.integer_bits + self.slope_fraction, False)

    NORMALISED_FRACTION: ClassVar[int] = 19

    @property
    def normalised(self) -> IntFormat:
        """Of a normalised element, 19 bits of it behind the point."""
        return IntFormat(1 + self.integer_bits + self.NORMALISED_FRACTION, True)

    @property
    def intercept_fraction(self) -> int:
        """Bits of mean / sigma behind the point: those of a normalised element, and four if there are more."""
        return min(self.slope_fraction, self.NORMALISED_FRACTION + 4)

    @property
    def intercept(self) -> IntFormat:
        """Of mean / sigma, of which only the bits of a normalised element are kept: the sum wraps back."""
        return IntFormat(self.normalised.bits + self.intercept_fraction - self.NORMALISED_FRACTION, False)

    @property
    def scaled(self) -> IntFormat:
        """Of a normalised element times its factor, with the bits behind the point of an offset."""
        cut = self.NORMALISED_FRACTION + self.gamma_fraction - self.BETA_FRACTION
        return IntFormat(self.normalised.bits + self.GAMMA.bits - cut, True)

    # Latencies.

    def latency_of(self, wide: IntFormat, narrow: IntFormat) -> int:
        """Cycles of a product on this target."""
        return product_latency(wide, narrow, self.multiplier_bits)

    @property
    def link_latency(self) -> int:
        """Cycles between a square and the product with it: 18-bit multipliers lie far apart, and a square is one."""
        return int(self.multiplier_bits <= _NARROW)

    SHIFT_LATENCY: ClassVar[int] = 3
    """Cycles to find and take the mantissa, and to move a product by the exponent and round it."""

    @property
    def sums_latency(self) -> int:
        """Cycles from a row's last beat to its sums: input, square, tree, accumulator, its copy."""
        return 1 + 1 + ceil_log2(self.lanes) + 1 + self.link_latency

    @property
    def spread_latency(self) -> int:
        """Cycles from a row's sums to its spread, its variance on the way."""
        square = IntFormat(2 * self.count.bits, False)
        variance = self.latency_of(self.squares, self.count)
        if self.form == "layer":
            variance = max(variance, self.latency_of(self.sum, self.sum)) + 1
        eps = self.link_latency + self.latency_of(self.count, self.count) + self.latency_of(self.EPS, square)
        return max(variance, eps) + 1

    @property
    def root_latency(self) -> int:
        """Cycles from the mantissa to the reciprocal root."""
        if not self.terms:
            return self.TABLE_LATENCY
        guess, mantissa = IntFormat(self.TABLE_FRACTION, False), IntFormat(self.mantissa_bits + 1, False)
        square = IntFormat(2 * guess.bits, False)
        series = 0 if self.terms == 1 else 3  # three times the error, its square, the sum
        return (
            self.TABLE_LATENCY
            + self.latency_of(guess, guess)
            + self.link_latency
            + self.latency_of(square, mantissa)
            + 1  # the error
            + series
            + self.latency_of(self.error, guess)
            + 1
        )

    @property
    def line_latency(self) -> int:
        """Cycles from the reciprocal root to slope and intercept."""
        products = [self.latency_of(self.root, self.count)]
        if self.form == "layer":
            products.append(self.latency_of(self.root, self.sum))
        return max(products) + self.SHIFT_LATENCY

    @cached_property
    def rows(self) -> RowsShape:
        """What decides the cycles of both passes."""
        first = (
            self.sums_latency
            + self.spread_latency
            + self.SHIFT_LATENCY
            + self.root_latency
            + self.line_latency
        )
        return RowsShape(self.beats, first, self.result_latency)

    @property
    def normalised_latency(self) -> int:
        """Cycles from an element of the second pass to its normalised value."""
        return self.latency_of(self.slope, self.element) + 1

    @property
    def result_latency(self) -> int:
        """Cycles from an element of the second pass to its result: line, factor and offset, clamp."""
        return self.normalised_latency + self.latency_of(self.normalised, self.GAMMA) + 1 + 1

    @property
    def latency(self) -> int:
        """Cycles from the transfer of a row's last beat to that of its first result, nothing waiting."""
        return self.rows.latency

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Ports of the stand-alone block."""
        bit = IntFormat(1, False)
        return (
            Stream(
                "x",
                "in",
                (
                    Field("x", self.lanes, self.element, "elements"),
                    Field("keep", self.lanes, bit, "1: the element takes part"),
                    Field("load", 1, bit, "of a row's first beat: the next set holds from this row on"),
                ),
                "rows; TLAST ends a row",
                last=True,
            ),
            Stream(
                "p",
                "in",
                (
                    Field(
                        "gamma",
                        self.lanes,
                        self.GAMMA,
                        f"factors, {self.gamma_fraction} bits behind the point",
                    ),
                    Field(
                        "beta", self.lanes, self.beta, f"offsets, {self.BETA_FRACTION} bits behind the point"
                    ),
                    Field("eps", 1, self.EPS, f"of the last beat, {self.eps_fraction} bits behind the point"),
                ),
                "sets of factors and offsets, one beat per beat of a row; TLAST ends a set",
                last=True,
            ),
            Stream(
                "y", "out", (Field("y", self.lanes, self.result, "results"),), "rows, as they came", last=True
            ),
        )
