"""Configuration of the softmax core, and every number that follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from hwgen.config import CoreConfig, require_choice, require_int
from hwgen.errors import BadInput
from hwgen.numerics import IntFormat, bits_for_range, ceil_div, ceil_log2
from hwgen.parts.product import NARROW
from hwgen.streams import Field, Stream

__all__ = ["ITA_SCALE", "KERNELS", "LONGEST", "PEERS", "PORTS", "VARIANTS", "SoftmaxConfig"]

OWN = ("online_pow2", "online", "twopass_ext", "unified_max", "table_exact")
PEERS = ("ibert", "softermax", "sole", "ita")
"""Published units with widths of their own, for comparison."""

VARIANTS = OWN + PEERS
KERNELS = ("table", "linear16", "quad4", "quad8", "quad16")
ITA_SCALE = repr(math.log(2))
"""With ``in_fraction=5``: the logits that ``ita`` takes."""

PORTS = (27, 25, 18)
"""Wider operand of a target's multipliers: DSP48E2, DSP48E1, MULT18X18D; the other one has 18 bits on all."""

LONGEST = 4096
"""Longest row that any configuration takes."""

_FRACTION = {8: 19, 16: 27}  # of the sum, by bits of the result
_ONLINE_EXTRA = 3  # online cuts its sum in every beat that has a new maximum
_EXACT_FRACTION = 30
_MANTISSA = {8: 14, 16: 20}  # fraction bits of exponentials, and of their arguments
_RECIPROCAL = {8: 16, 16: 22}
_MULTIPLIER = {8: 17, 16: 25}  # significant bits of log2(e) * scale
_WIDEST = 62  # bits of a sum: golden models compute in int64
_IBERT_STEPS = Fraction(1, 4096), Fraction(1, 16)
_LONGEST_SHIFT = 1 << 12  # octaves between logits


@dataclass(frozen=True, kw_only=True)
class SoftmaxConfig(CoreConfig):
    """Parameters of the softmax core.

    A logit ``q`` means ``q * scale / 2**in_fraction``. What a variant computes is in the core's README.

    Parameters
    ----------
    variant : str
        Of :data:`VARIANTS`.
    lanes : int
        Elements per cycle, 1..32.
    longest : int
        Elements of the longest row, 1..4096.
    in_bits : int
        Bits of a logit, signed, 4..24; ``table`` and ``table_exact`` take at most 8.
    in_fraction : int
        Fraction bits of a logit, 0..32.
    scale : str
        A further factor of the logits, positive: a decimal number or a fraction such as ``1/3``.
    kernel : str
        How exponentials are computed, of :data:`KERNELS`; ``auto`` takes ``table`` up to 8 bits, and otherwise
        ``linear16`` for results of 8 bits, ``quad16`` for 16.
    fe : int
        Fraction bits of the exponentials that are summed, the largest being one; 0 takes 19 for results of
        8 bits, 27 for 16, three more for ``online``, and 30 for ``table_exact``.
    reciprocal : str
        ``newton`` (a table and one step) or ``divider`` (a subtraction per bit).
    normalise : str
        ``before_pv``: results are probabilities. ``after_pv``: results are exponentials, and the stream ``s`` has
        what to multiply with after the product with V.
    out_bits : int
        8 (u0.8) or 16 (u0.16).
    phi : int
        ``unified_max``: the bound, a power of two that no exponential should exceed, by its exponent.
    span : int
        ``unified_max``: octaves below the bound in which a row's maximum may lie, 1..16.
    multiplier_bits : int
        27, 25 or 18: wider operand of the target's multipliers. With 18 every product wider than one multiplier is
        cut into several, with a register behind each and behind each of their sums.
    """

    core: ClassVar[str] = "softmax"

    variant: str = "online_pow2"
    lanes: int = 4
    longest: int = 1024
    in_bits: int = 16
    in_fraction: int = 8
    scale: str = "1"
    kernel: str = "auto"
    fe: int = 0
    reciprocal: str = "newton"
    normalise: str = "before_pv"
    out_bits: int = 8
    phi: int = 0
    span: int = 12
    multiplier_bits: int = 27

    def __post_init__(self) -> None:
        require_choice("variant", self.variant, VARIANTS)
        if not isinstance(self.phi, int) or isinstance(self.phi, bool):
            raise BadInput(f"phi must be an integer, not {self.phi!r}")
        require_int("lanes", self.lanes, 1, 32)
        require_int("longest", self.longest, 1, LONGEST)
        require_int("in_bits", self.in_bits, 4, 24)
        require_int("in_fraction", self.in_fraction, 0, 32)
        require_choice("kernel", self.kernel, ("auto", *KERNELS))
        require_int("fe", self.fe, 0, 40)
        require_choice("reciprocal", self.reciprocal, ("newton", "divider"))
        require_choice("normalise", self.normalise, ("before_pv", "after_pv"))
        if self.out_bits not in (8, 16) or isinstance(self.out_bits, bool):
            raise BadInput(f"out_bits must be 8 or 16, not {self.out_bits!r}")
        require_int("span", self.span, 1, 16)
        if self.multiplier_bits not in PORTS or isinstance(self.multiplier_bits, bool):
            raise BadInput(
                f"multiplier_bits must be one of {', '.join(map(str, PORTS))}, not {self.multiplier_bits!r}"
            )
        self._check_scale()
        self._check_variant()

    def _check_scale(self) -> None:
        try:
            scale = Fraction(self.scale)
        except (ValueError, ZeroDivisionError, TypeError):
            raise BadInput(
                f"scale must be a positive decimal number or fraction such as 0.125 or 1/8, not {self.scale!r}"
            ) from None
        if scale <= 0:
            raise BadInput(f"scale must be positive, not {self.scale}")
        octaves = float(self.octave_step) * (1 << self.in_bits)
        if octaves >= _LONGEST_SHIFT:
            raise BadInput(
                f"logits of {self.in_bits} bits with {self.in_fraction} fraction bits and scale {self.scale} lie "
                f"up to {octaves:.0f} octaves apart, at most {_LONGEST_SHIFT} are taken; give more fraction bits "
                "or a smaller scale"
            )
        if self.multiplier_shift < self.mantissa_bits:
            raise BadInput(
                f"one step of a logit is {float(self.octave_step):.3g} octaves, too coarse for exponentials of "
                f"{self.mantissa_bits} fraction bits; give more fraction bits or a smaller scale"
            )

    def _check_variant(self) -> None:
        unused: tuple[str, ...] = () if self.variant == "unified_max" else ("phi", "span")
        if self.variant in PEERS:
            unused += ("kernel", "fe", "reciprocal", "normalise", "multiplier_bits")
        elif self.variant == "table_exact":
            unused += ("reciprocal", "normalise", "out_bits", "multiplier_bits")
        for name in unused:
            default = type(self).__dataclass_fields__[name].default
            if getattr(self, name) != default:
                raise BadInput(f"{self.variant} has no {name} to choose; leave {name} at {default}")
        if self.variant in PEERS:
            self._check_peer()
            return
        if self.in_bits > 8 and (self.variant == "table_exact" or self.exponential == "table"):
            raise BadInput(
                f"a table of every logit is for at most 8 bits, not {self.in_bits}; choose another kernel"
            )
        if self.variant == "table_exact":
            if self.exponential != "table":
                raise BadInput(f"table_exact has its own table; leave kernel={self.kernel} out")
        elif self.fraction < self.mantissa_bits:
            raise BadInput(
                f"fe must be at least {self.mantissa_bits}, the fraction bits of one exponential, not {self.fe}"
            )
        if self.total_bits > _WIDEST:
            raise BadInput(
                f"sums of {self.longest} elements with {self.total_fraction} fraction bits have {self.total_bits} "
                f"bits, at most {_WIDEST} are taken; choose a smaller fe or span, or a shorter longest"
            )
        if self.variant == "twopass_ext" and not self.divides:
            raise BadInput(
                "twopass_ext knows no maximum by which exponentials could be scaled before the sum divides them; "
                "choose normalise=before_pv or variant=online_pow2"
            )
        low, high = self.exponents
        if self.variant == "unified_max" and not low <= self.phi <= high:
            raise BadInput(
                f"phi must lie in {low}..{high}, the exponents that logits have, not {self.phi}: every row would be "
                "recomputed"
            )

    def _check_peer(self) -> None:
        widest = 16 if self.variant == "ibert" else 8
        if self.variant != "ibert" and self.out_bits != 8:
            raise BadInput(f"{self.variant} gives 8 bits, so out_bits must be 8, not {self.out_bits}")
        if self.in_bits > widest:
            raise BadInput(f"{self.variant} takes logits of at most {widest} bits, not {self.in_bits}")
        if self.variant == "sole" and Fraction(self.scale) != 1:
            raise BadInput(
                f"sole takes logits whose scale is a power of two: choose in_fraction, not scale={self.scale}"
            )
        if self.variant == "sole" and self.in_fraction >= self.in_bits:
            raise BadInput(
                f"sole's logits of {self.in_bits} bits must reach beyond one, so in_fraction must be less than that, "
                f"not {self.in_fraction}"
            )
        if self.variant == "ita" and abs(self.octave_step * 32 - 1) > Fraction(1, 10**6):
            raise BadInput(
                f"ita takes logits in 32nds of an octave: set in_fraction=5 and scale={ITA_SCALE}, not in_fraction="
                f"{self.in_fraction} and scale={self.scale}"
            )
        if self.variant == "ibert" and not _IBERT_STEPS[0] <= self.step <= _IBERT_STEPS[1]:
            raise BadInput(
                f"ibert needs logits in steps of 1/4096 to 1/16, for its integers to fit and mean something, not "
                f"{float(self.step):.3g}; choose another in_fraction or scale"
            )

    # What the parameters say.

    @property
    def exponential(self) -> str:
        """The kernel, ``auto`` resolved."""
        if self.kernel != "auto":
            return self.kernel
        if self.in_bits <= 8:
            return "table"
        return "linear16" if self.out_bits == 8 else "quad16"

    @property
    def fraction(self) -> int:
        """Fraction bits of the summed exponentials."""
        if self.fe:
            return self.fe
        if self.variant == "table_exact":
            return _EXACT_FRACTION
        return _FRACTION[self.out_bits] + _ONLINE_EXTRA * (self.variant == "online")

    @property
    def split(self) -> int | None:
        """Multipliers that products are cut for: those of 18 bits; wider ones take them, or synthesis cuts them."""
        return self.multiplier_bits if self.multiplier_bits <= NARROW + 1 else None

    @property
    def divides(self) -> bool:
        """Whether results are divided by the sum before they leave."""
        return self.normalise == "before_pv"

    @property
    def finds_maximum(self) -> bool:
        """Whether a row goes by once more before all else, for its maximum."""
        return self.variant in ("table_exact", "ibert")

    @property
    def may_repeat(self) -> bool:
        """Whether rows may be recomputed with another reference."""
        return self.variant == "unified_max"

    @property
    def interleave(self) -> int:
        """Partial sums of a row: as many as a sum takes cycles to be rescaled and added to."""
        return {"twopass_ext": 3, "online": 3}.get(self.variant, 2)

    # Formats.

    @property
    def step(self) -> Fraction:
        """What one step of a logit is worth."""
        return Fraction(self.scale) / (1 << self.in_fraction)

    @property
    def octave_step(self) -> Fraction:
        """The same in octaves: powers of two instead of e."""
        return self.step * Fraction(math.log2(math.e))

    @property
    def logit(self) -> IntFormat:
        """Format of a logit."""
        return IntFormat(self.in_bits, True)

    @property
    def mantissa_bits(self) -> int:
        """Fraction bits of a mantissa in [1, 2), and of the argument that it is computed from."""
        return _MANTISSA[self.out_bits]

    @property
    def reciprocal_bits(self) -> int:
        """Fraction bits of the reciprocal in [1/2, 1]."""
        return _RECIPROCAL[self.out_bits]

    @property
    def multiplier_shift(self) -> int:
        """Fraction bits of :attr:`multiplier`."""
        bits = _MULTIPLIER[self.out_bits]
        # Exact: the smallest power of two above the step, from integers.
        step = self.octave_step
        top = (step.numerator.bit_length() - step.denominator.bit_length()) + 1
        while Fraction(2) ** (top - 1) > step:
            top -= 1
        return bits - top

    @property
    def multiplier(self) -> int:
        """Octaves per step of a logit as an integer: times ``2**-multiplier_shift``."""
        return round(self.octave_step * Fraction(2) ** self.multiplier_shift)

    @property
    def exponents(self) -> tuple[int, int]:
        """Smallest and largest integer logarithm of an exponential."""
        return self.exponent(self.logit.low), self.exponent(self.logit.high)

    def exponent(self, logit: int) -> int:
        """Integer logarithm of the exponential of a logit, rounded down."""
        if self.exponential == "table":
            return math.floor(self.octave_step * logit)
        return logit * self.multiplier >> self.multiplier_shift

    @property
    def exponent_bits(self) -> int:
        """Width of an exponent, signed; its smallest value stands for elements that take no part."""
        low, high = self.exponents
        return bits_for_range(low - 1, high)

    @property
    def fall_bits(self) -> int:
        """Width of how far the exponent of a difference is below zero, unsigned."""
        low, high = self.logit.low, self.logit.high
        if self.exponential == "table":
            return (-math.floor(self.octave_step * (low - high))).bit_length()
        return (-((low - high) * self.multiplier >> self.multiplier_shift)).bit_length()

    @property
    def total_fraction(self) -> int:
        """Fraction bits of a row's sum."""
        return self.fraction + (self.span if self.variant == "unified_max" else 0)

    @property
    def total_bits(self) -> int:
        """Width of a row's sum, unsigned."""
        own = {"ibert": 15, "softermax": 16, "sole": 16, "ita": 9}
        one = own.get(self.variant, self.total_fraction + 1)
        return one + (0 if self.variant == "twopass_ext" else self.growth)

    @property
    def place_bits(self) -> int:
        """Width of the place of a sum's first one, relative to one, signed."""
        if self.variant == "sole":
            return self.growth.bit_length()
        return bits_for_range(-self.total_fraction, self.growth + 1)

    @property
    def row_bits(self) -> int:
        """Width of the exponent by which a row is divided, signed."""
        low, high = self.exponents
        return bits_for_range(low, high + self.growth + 1)

    @property
    def kept_bits(self) -> int:
        """Bits of what is kept of an element between the passes."""
        own = {"table_exact": self.fraction + 1, "ibert": 15, "softermax": 9, "sole": 5}
        if self.variant in own:
            return own[self.variant]
        if self.variant in ("online", "ita"):
            return self.in_bits + 1
        return self.mantissa_bits + self.exponent_bits + 1

    @property
    def kept_once_bits(self) -> int:
        """Bits of what is kept of a beat, besides."""
        return self.in_bits if self.variant == "sole" else 0

    @property
    def stat_bits(self) -> int:
        """Bits of what the second pass needs of a row."""
        own = {
            "table_exact": self.total_bits,
            "ibert": 18,
            "softermax": 17,
            "sole": 1 + self.place_bits + self.in_bits,
            "ita": self.out_bits + self.in_bits,
        }
        if self.variant in own:
            return own[self.variant]
        if self.variant == "online":
            return (
                self.reciprocal_bits + 1 + self.place_bits if self.divides else self.scale_bits
            ) + self.in_bits
        largest = self.exponent_bits if self.may_repeat or not self.divides else 0
        divisor = self.reciprocal_bits + 1 + self.row_bits if self.divides else self.scale_bits
        return divisor + self.may_repeat + largest

    @property
    def answer_bits(self) -> int:
        """Bits of a beat of results."""
        return self.out_bits * self.lanes + self.may_repeat

    @property
    def scale_places_bits(self) -> int:
        """Width of the shift that belongs to a row's reciprocal on the stream ``s``."""
        return (self.reciprocal_bits + self.out_bits + self.growth + 1).bit_length()

    @property
    def scale_bits(self) -> int:
        """Width of reciprocal and shift on the stream ``s``."""
        return self.reciprocal_bits + 1 + self.scale_places_bits

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Ports of the stand-alone block."""
        bit, out = IntFormat(1, False), IntFormat(self.out_bits, False)
        what = "probabilities" if self.divides else "exponentials"
        results = [Field("y", self.lanes, out, f"{what}, u0.{self.out_bits}")]
        if self.may_repeat:
            results.append(Field("recomputed", 1, bit, "the row was out of reach of the bound"))
        logits = Field("x", self.lanes, self.logit, "logits")
        keep = Field("keep", self.lanes, bit, "1: the element takes part, 0: its result is zero")
        ports = [
            Stream("x", "in", (logits, keep), "rows, element by element; TLAST ends one", last=True),
            Stream(
                "y",
                "out",
                tuple(results),
                "results in the order of the elements; TLAST ends a row",
                last=True,
            ),
        ]
        if not self.divides:
            r, places = IntFormat(self.reciprocal_bits + 1, False), IntFormat(self.scale_places_bits, False)
            fields = (Field("r", 1, r, "factor"), Field("places", 1, places, "shift to the right"))
            ports.append(
                Stream("s", "out", fields, "y * r / 2**places are the probabilities; one word per row")
            )
        return tuple(ports)

    @property
    def beats(self) -> int:
        """Beats of the longest row."""
        return ceil_div(self.longest, self.lanes)

    @property
    def growth(self) -> int:
        """Bits that a sum has above one exponential."""
        return ceil_log2(self.longest)
