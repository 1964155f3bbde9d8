"""How an argument becomes a table's, and a table's result the function's: all numbers of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from hwgen.cores.activation.formats import Formats
from hwgen.cores.activation.functions import FUNCTIONS, FloatArray, RealFunction
from hwgen.errors import BadInput
from hwgen.numerics import IntArray

if TYPE_CHECKING:
    from hwgen.cores.activation.config import ActivationConfig

__all__ = ["Reduction", "direct", "reduction"]

_FACTOR_BITS = 17  # what a signed 18-bit multiplier takes of an unsigned number
_DELTA_EXTRA = 2  # fraction bits of a delta behind the argument's, where the result has fewer
_LONGEST_FRACTION = 18  # of an exponent
_WEIGHT_FRACTION = 16  # most of a weight in 0..1 that the argument is multiplied by
_WEIGHT_EXTRA = 3  # fraction bits of it behind the result's


@dataclass(frozen=True)
class Reduction:
    """The integer arithmetic around a table ``T``; ``golden.py`` computes it.

    Parameters
    ----------
    shape : str
        ``direct``, ``delta``, ``odd``, ``mirror``, ``product``, ``power``, ``reciprocal`` or ``rsqrt``.
    of : callable
        The real function that the table stands for.
    in_bits, in_fraction, low : int, int, Fraction
        The table's argument: ``low + u * 2**-in_fraction``, ``u`` of ``in_bits`` bits.
    out_fraction : int
        Fraction bits of the table's result.
    up, down : int
        ``delta``: bits that ReLU is shifted up to the table's fraction. ``delta``, ``product``: bits that are
        rounded away at last.
    factor, drop : int
        ``power``: the exponent is ``(x * factor + half) >> drop``, its fraction is the table's argument; a
        factor of 1 is none.
    falling : bool
        ``power``: the larger the exponent, the smaller the result.
    shift_base, shift_low : int
        ``power``, ``reciprocal``, ``rsqrt``: the table's result is shifted right by ``exponent - shift_base`` if
        falling, by ``shift_base - exponent`` if not; and the least shift that occurs. A negative one means a
        result beyond the output format.
    """

    shape: str
    of: RealFunction
    in_bits: int
    in_fraction: int
    out_fraction: int
    low: Fraction = Fraction(0)
    up: int = 0
    down: int = 0
    factor: int = 1
    drop: int = 0
    falling: bool = False
    shift_base: int = 0
    shift_low: int = 0
    shift_high: int = 0

    @property
    def scaled(self) -> bool:
        """Whether the table's result is a mantissa that is shifted."""
        return self.shape in ("power", "reciprocal", "rsqrt")

    def exponent(self, x: IntArray) -> IntArray:
        """``power``: the exponent with its fraction bits, of any argument."""
        return x if self.factor == 1 else (x * self.factor + ((1 << self.drop) >> 1)) >> self.drop


def reduction(config: ActivationConfig) -> Reduction:
    """The reduction of a configuration.

    Raises
    ------
    BadInput
        If the function cannot be reduced in these formats.
    """
    if config.shape == "direct":
        real = FUNCTIONS.get(config.function)
        return direct(real.of if real else _absent, config.formats, config.factor)
    make = {"delta": _delta, "odd": _mirrored, "mirror": _mirrored, "power": _power, "product": _product}
    return make.get(config.shape, _normalised)(config)


def _absent(v: FloatArray) -> FloatArray:
    raise ValueError("a custom function is known by its table only")


def direct(real: RealFunction, formats: Formats, scale: Fraction) -> Reduction:
    """No reduction: the table's argument is ``x`` itself, counted from the lowest one."""

    def of(v: FloatArray) -> FloatArray:
        return formats.clip(real(v * float(scale)))

    low = formats.argument.low * Fraction(2) ** -formats.in_fraction
    return Reduction("direct", of, formats.in_bits, formats.in_fraction, formats.out_fraction, low)


def _delta(config: ActivationConfig) -> Reduction:
    if config.factor != 1:
        raise BadInput(
            f"{config.variant} needs scale 1, because max(x, 0) goes to the result as it is, not {config.scale}; "
            "choose the variant table, or other fraction bits"
        )
    real = FUNCTIONS[config.function].of

    def of(t: FloatArray) -> FloatArray:
        return -real(-t)

    have, want = config.in_fraction, config.out_fraction
    fraction = want if have <= want else have + _DELTA_EXTRA
    return Reduction(
        "delta", of, config.formats.magnitude_bits, have, fraction, up=fraction - have, down=fraction - want
    )


def _mirrored(config: ActivationConfig) -> Reduction:
    if config.factor < 0:
        raise BadInput(
            f"scale must be positive for {config.variant}, not {config.scale}; choose the variant table"
        )
    real, scale = FUNCTIONS[config.function].of, float(config.factor)
    if config.shape == "odd":

        def of(t: FloatArray) -> FloatArray:
            return config.formats.clip(real(t * scale))
    else:

        def of(t: FloatArray) -> FloatArray:
            return real(-t * scale)

    return Reduction(config.shape, of, config.formats.magnitude_bits, config.in_fraction, config.out_fraction)


def _product(config: ActivationConfig) -> Reduction:
    if config.factor != 1:
        raise BadInput(
            f"{config.variant} needs scale 1, because x itself is a factor of the result, not {config.scale}; choose "
            "the variant table, or other fraction bits"
        )
    fraction = min(max(config.out_fraction + _WEIGHT_EXTRA, 4), _WEIGHT_FRACTION)
    down = config.in_fraction + fraction - config.out_fraction
    if down < 1:
        raise BadInput(
            f"{config.variant} has at most {config.in_fraction + fraction - 1} fraction bits of results for "
            f"{config.in_fraction} of arguments, not {config.out_fraction}; choose the variant table"
        )

    def of(t: FloatArray) -> FloatArray:
        return FUNCTIONS["sigmoid"].of(-1.702 * t)

    return Reduction("product", of, config.formats.magnitude_bits, config.in_fraction, fraction, down=down)


def _power(config: ActivationConfig) -> Reduction:
    falling = config.factor < 0
    step = (
        abs(config.factor) * Fraction(2) ** -config.in_fraction
    )  # of the exponent, per step of the argument
    one = step.numerator == 1 and step.denominator.bit_count() == 1 and step.denominator > 1
    if config.function == "exp2" and one:
        factor, drop, fraction = 1, 0, step.denominator.bit_length() - 1
    else:
        real = float(step) * (math.log2(math.e) if config.function == "exp" else 1.0)
        most = _FACTOR_BITS - 1 - math.floor(math.log2(real))  # fraction bits of a factor of 17 bits
        fraction = min(max(config.result.high.bit_length() + 1, 6), _LONGEST_FRACTION, most)
        drop = most - fraction
        factor = round(real * 2.0**most)
    if not 1 <= fraction <= 24:
        raise BadInput(
            f"the exponents of neighbouring arguments are {float(step):g} apart, which leaves no fraction for a "
            f"table; choose the variant table, or more fraction bits than {config.in_fraction}"
        )
    draft = Reduction("power", np.exp2, fraction, fraction, 0, factor=factor, drop=drop)
    ends = draft.exponent(np.array([config.argument.low, config.argument.high], np.int64)) >> fraction
    bits = config.result.high.bit_length()
    if falling:
        base = max(int(ends[0]), config.out_fraction - bits)
        out_fraction, shifts = config.out_fraction - base, (int(ends[0]) - base, int(ends[1]) - base)
    else:
        base = min(int(ends[1]), bits - 1 - config.out_fraction)
        out_fraction, shifts = config.out_fraction + base, (base - int(ends[1]), base - int(ends[0]))

    def of(f: FloatArray) -> FloatArray:
        return np.exp2(-f if falling else f)

    return Reduction(
        "power", of, fraction, fraction, _precise(out_fraction), factor=factor, drop=drop, falling=falling,
        shift_base=base, shift_low=shifts[0], shift_high=shifts[1],
    )  # fmt: skip


def _normalised(config: ActivationConfig) -> Reduction:
    if config.in_signed or config.factor != 1:
        raise BadInput(
            f"{config.function} by pieces takes unsigned arguments and scale 1; set in_signed=false and scale=1, "
            "or choose the variant table"
        )
    top, bits = config.in_bits - 1, config.result.high.bit_length()
    if config.shape == "reciprocal":
        # 2**lz / (1 + z), less the place of the leading one.
        out_fraction = _precise(min(config.in_fraction + config.out_fraction, bits))
        base = out_fraction + top - config.in_fraction - config.out_fraction
        return Reduction(
            "reciprocal", lambda z: 1 / (1 + z), top, top, out_fraction,
            shift_base=base, shift_low=base - top, shift_high=base,
        )  # fmt: skip
    least = -config.in_fraction // 2  # half of the exponent of the argument 1
    out_fraction = _precise(min(config.out_fraction - least, bits))
    base = config.out_fraction - out_fraction

    def of(z: FloatArray) -> FloatArray:
        return 1 / np.sqrt((1 + z % 1) * np.where(z < 1, 1.0, 2.0))

    return Reduction(
        "rsqrt", of, config.in_bits, top, out_fraction, falling=True,
        shift_base=base, shift_low=least - base, shift_high=((top - config.in_fraction) >> 1) - base,
    )  # fmt: skip


def _precise(fraction: int) -> int:
    """Fraction bits of a mantissa, refused when there is nothing to see of it."""
    if fraction < 2:
        raise BadInput(
            f"the largest result has {max(fraction, 0)} bits; give more fraction bits, or choose the variant table"
        )
    return fraction
