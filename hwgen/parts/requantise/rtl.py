"""The hardware of the requantiser, for one lane: two multipliers, a shifter that keeps only what matters, a clamp."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit
from hwgen.errors import BadInput
from hwgen.numerics import ceil_div, index_bits
from hwgen.parts.delay import delay
from hwgen.parts.requantise import LATENCY, MAX_SHIFT, ROUNDINGS

__all__ = ["Requantise"]

_ACC_BITS = 32
_SPLIT = (
    17  # bits of the sum in the lower product: what a signed 18-bit multiplier takes of an unsigned number
)
_INTEGER = 9  # bits of the rounded-down quotient that can still matter: zero and clamp are int8
_KEPT = _INTEGER + 1  # and the bit behind the point
_FINE, _COARSE = 2, 4  # bits of the shift that the last step does, and the last two


class Requantise(Unit):
    """``y = clamp(zero + round((acc + bias) · multiplier / 2**shift), low, high)``, one result per cycle.

    The result is exact: the product is not shortened before it is rounded, and it is rounded once.

    Timing: ``y`` belongs to the ``acc``, ``bias``, ``multiplier`` and ``shift`` of
    :data:`~hwgen.parts.requantise.LATENCY` cycles before. The others must not change while anything is inside.

    Parameters
    ----------
    scale_bits : int
        Width of the multiplier, 8..24.

    Members
    -------
    acc, bias : In(signed(32))
        Their sum wraps.
    multiplier : In(scale_bits)
        Unsigned.
    shift : In(6)
        0..63.
    rounding : In
        Number of the rounding in :data:`~hwgen.parts.requantise.ROUNDINGS`.
    zero, low, high : In(signed(8))
        Zero point and bounds of the result, ``low <= high``.
    y : Out(signed(8))
        The result.
    """

    def __init__(self, scale_bits: int):
        if not 8 <= scale_bits <= 24:
            raise BadInput(f"scale_bits must lie in 8..24, not {scale_bits}")
        self.scale_bits = scale_bits
        super().__init__({
            "acc": In(signed(_ACC_BITS)), "bias": In(signed(_ACC_BITS)), "multiplier": In(scale_bits),
            "shift": In(index_bits(MAX_SHIFT + 1)), "rounding": In(index_bits(len(ROUNDINGS))),
            "zero": In(signed(8)), "low": In(signed(8)), "high": In(signed(8)), "y": Out(signed(8)),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``requantise`` and the multiplier's width."""
        return f"requantise_{self.scale_bits}"

    def elaborate(self, platform: Any) -> Module:
        """Build the stages."""
        m = Module()
        product, age = self._multiply(m)
        shift = delay(m, self.shift, age)
        place = Signal(len(shift), name="place", reset_less=True)
        coarse, fine = shift[_COARSE:], place[:_COARSE]

        # The sign is carried along: what is cut off above the window must be copies of it.
        far = _Window(Cat(Const(0, 1), product), product[-1])
        far.cut(m, "far", coarse, _COARSE, _KEPT + (1 << _COARSE) - 1)
        m.d.sync += place.eq(shift)
        far.hold(m, "far")
        far.cut(m, "near", fine[_FINE:], _FINE, _KEPT + (1 << _FINE) - 1)
        far.cut(m, "last", fine[:_FINE], 0, _KEPT)
        far.hold(m, "last")

        quotient = far.bits[1:].as_signed()
        # Downwards was the rule so far. In the middle: up to an even number, or up if that is away from zero.
        up_on_tie = Mux(self.rounding == ROUNDINGS.index("half_even"), far.bits[1], ~far.sign)
        up = Signal(name="up")
        m.d.comb += up.eq(far.bits[0] & (far.sticky | up_on_tie))
        shifted = Signal(signed(_INTEGER + 1), reset_less=True)
        carried = Signal(signed(_INTEGER + 2), name="carried")  # the lowest bit makes the carry of the others
        over = Signal(reset_less=True)
        negative = Signal(reset_less=True)
        m.d.comb += carried.eq(Cat(Const(1, 1), quotient).as_signed() + Cat(up, self.zero).as_signed())
        m.d.sync += [shifted.eq(carried[1:]), over.eq(far.over), negative.eq(far.sign)]

        between = Signal(8, reset_less=True)
        too_low = Signal(reset_less=True)
        too_high = Signal(reset_less=True)
        result = Signal(signed(8), reset_less=True)
        m.d.sync += [
            between.eq(shifted),
            too_low.eq(Mux(over, negative, shifted < self.low)),
            too_high.eq(Mux(over, ~negative, shifted > self.high)),
            result.eq(Mux(too_low, self.low, Mux(too_high, self.high, between))),
        ]
        m.d.comb += self.y.eq(result)
        assert age + 5 == LATENCY
        return m

    def _multiply(self, m: Module) -> tuple[Value, int]:
        """The exact product, and its age: two multipliers, each of a DSP block's size, the second one adds."""
        total = Signal(signed(_ACC_BITS), name="total", reset_less=True)
        scale = Signal(self.scale_bits, name="scale", reset_less=True)
        scale_later = Signal(self.scale_bits, name="scale_later", reset_less=True)
        upper = Signal(signed(_ACC_BITS - _SPLIT), name="upper", reset_less=True)
        product_bits = _ACC_BITS + self.scale_bits
        low_product = Signal(_SPLIT + self.scale_bits, name="low_product", reset_less=True)
        low_sum = Signal(_SPLIT + self.scale_bits, name="low_sum", reset_less=True)
        high_product = Signal(signed(product_bits - _SPLIT), name="high_product", reset_less=True)
        high_sum = Signal(signed(product_bits - _SPLIT), name="high_sum", reset_less=True)
        low_bits = Signal(_SPLIT, name="low_bits", reset_less=True)
        m.d.sync += [
            total.eq(self.acc + self.bias),
            scale.eq(self.multiplier),
            low_product.eq(total[:_SPLIT] * scale),
            upper.eq(total[_SPLIT:]),
            scale_later.eq(scale),
            low_sum.eq(low_product),
            high_product.eq(upper * scale_later),
            high_sum.eq(high_product + low_sum[_SPLIT:]),
            low_bits.eq(low_sum),
        ]
        return Cat(low_bits, high_sum).as_signed(), 4


class _Window:
    """Bits of a number around the point, and what has to be known of those that were cut off.

    Parameters
    ----------
    bits : Value
        The number; bit 0 lies behind the point.
    sign : Value
        Its sign.
    """

    def __init__(self, bits: Value, sign: Value):
        self.bits = bits
        self.sign = sign
        self.sticky: Value = Const(0, 1)  # something that is not zero was cut off below
        self.over: Value = Const(0, 1)  # something that is not the sign was cut off above

    def cut(self, m: Module, name: str, places: Value, log_step: int, width: int) -> None:
        """Shift right by ``places << log_step`` and keep the lowest ``width`` bits.

        The last cut (``log_step`` 0) also has to know whether the topmost bit it keeps is the sign.
        """
        steps = 1 << len(places)
        step = 1 << log_step
        count = max(len(self.bits), width + (steps - 1) * step)
        extended = Cat(self.bits, *(self.sign for _ in range(count - len(self.bits))))
        kept = Signal(width, name=f"{name}_window")
        sticky = Signal(name=f"{name}_below")
        over = Signal(name=f"{name}_above")
        first_above = width - (log_step == 0)
        choices = [extended[n * step : n * step + width] for n in range(steps)]
        for bit in places:
            choices = [Mux(bit, *pair) for pair in zip(choices[1::2], choices[::2], strict=True)]
        m.d.comb += kept.eq(choices[0])
        # Groups of one step each, so that each is looked at once however far the shift goes.
        beyond = [*(places > n for n in range(steps - 1)), Const(0, 1)]  # the shift goes beyond group n
        below = [extended[n * step : (n + 1) * step].any() & beyond[n] for n in range(steps - 1)]
        above = []
        for n in range(min(steps, ceil_div(len(self.bits) - first_above, step))):
            at = first_above + n * step
            group = self.bits[at : at + step] if n < steps - 1 else self.bits[at:]
            above.append((group ^ self.sign.replicate(len(group))).any() & ~beyond[n])
        m.d.comb += [sticky.eq(self.sticky | Cat(below).any()), over.eq(self.over | Cat(above).any())]
        self.bits, self.sticky, self.over = kept, sticky, over

    def hold(self, m: Module, name: str) -> None:
        """Put a register behind all of it."""
        for part in ("bits", "sign", "sticky", "over"):
            value: Value = getattr(self, part)
            register = Signal(len(value), name=f"{name}_{part}", reset_less=True)
            m.d.sync += register.eq(value)
            setattr(self, part, register)
