"""The hardware of the requantiser, for one lane: multipliers, a shifter that keeps only what matters, a clamp."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.config import require_choice
from hwgen.emit import Unit
from hwgen.errors import BadInput
from hwgen.numerics import index_bits
from hwgen.parts.delay import delay
from hwgen.parts.requantise import MODES, ROUNDINGS
from hwgen.parts.requantise.float32 import NORMALISE, ROUND_PRODUCT, normalise, round_product
from hwgen.parts.requantise.product import LATENCY as PRODUCT
from hwgen.parts.requantise.product import multiply
from hwgen.parts.requantise.window import Window

__all__ = ["Requantise"]

_ACC_BITS = 32
_FINE, _COARSE = 2, 4  # bits of the shift that the last step does, and the last two
_HIGH_MUL_SHIFT = 31  # places that gemmlowp's first rounding drops


class Requantise(Unit):
    """``y = clamp(zero + round((acc + bias) · multiplier / 2**shift), low, high)``, one result per cycle.

    The result is exact: bit for bit what :func:`~hwgen.parts.requantise.golden.requantise` says of the mode's
    rounding.

    Timing: ``y`` belongs to the ``acc``, ``bias``, ``multiplier`` and ``shift`` of the mode's ``latency`` cycles
    before. The others must not change while anything is inside.

    Parameters
    ----------
    mode : str
        Of :data:`~hwgen.parts.requantise.MODES`.
    scale_bits : int, optional
        Width of the multiplier; by default the widest that the mode has.
    out_bits : int
        Width of the result, of its zero point and bounds; 8 in ``ort``.
    made_of : str
        What its multiplier is made of, of :data:`~hwgen.parts.requantise.product.MADE_OF`.

    Members
    -------
    acc, bias : In(signed(32))
        Their sum wraps.
    multiplier : In(scale_bits)
        Unsigned; not in mode ``pot``. In ``ort`` its upper bit is set, or all of it is zero.
    shift : In
        0 to the mode's ``max_shift``.
    rounding : In
        Number of the rounding in :data:`~hwgen.parts.requantise.ROUNDINGS`; in ``nearest`` and ``pot``.
    zero, low, high : In(signed(out_bits))
        Zero point and bounds of the result, ``low <= high``.
    y : Out(signed(out_bits))
        The result.
    """

    def __init__(
        self, mode: str, scale_bits: int | None = None, out_bits: int = 8, *, made_of: str = "multipliers"
    ):
        require_choice("mode", mode, tuple(MODES))
        self.mode = mode
        self.made_of = made_of
        spec = MODES[mode]
        least, most = spec.scale_bits
        self.scale_bits = most if scale_bits is None else scale_bits
        self.out_bits = out_bits
        self._integer = out_bits + 1  # bits of the rounded-down quotient that can still matter
        self._kept = self._integer + 1  # and the bit behind the point
        if not least <= self.scale_bits <= most:
            raise BadInput(f"scale_bits of mode {mode} must lie in {least}..{most}, not {scale_bits}")
        members: dict[str, Any] = {"acc": In(signed(_ACC_BITS)), "bias": In(signed(_ACC_BITS))}
        if self.scale_bits:
            members["multiplier"] = In(self.scale_bits)
        members["shift"] = In(index_bits(spec.max_shift + 1))
        if spec.rounding is None:
            members["rounding"] = In(index_bits(len(ROUNDINGS)))
        if mode == "ort" and out_bits != 8:
            raise BadInput(f"mode ort gives 8 bits, as onnxruntime does, not {out_bits}; choose mode nearest")
        result = signed(out_bits)
        members |= {"zero": In(result), "low": In(result), "high": In(result), "y": Out(result)}
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``requantise``, the mode unless it is ``nearest``, the multiplier's width where there is a choice."""
        least, most = MODES[self.mode].scale_bits
        parts = [self.mode] if self.mode != "nearest" else []
        parts += [str(self.scale_bits)] if least < most else []
        parts += [f"to_{self.out_bits}"] if self.out_bits != 8 else []
        parts += [self.made_of] if self.made_of != "multipliers" else []
        return "_".join(["requantise", *parts])

    def elaborate(self, platform: Any) -> Module:
        """Build the stages."""
        m = Module()
        total = Signal(signed(_ACC_BITS), name="total", reset_less=True)
        m.d.sync += total.eq(self.acc + self.bias)
        stages = {
            "nearest": self._nearest,
            "pot": self._pot,
            "single": self._single,
            "tflite": self._tflite,
            "ort": self._ort,
        }
        far, up_when_due, age = stages[self.mode](m, total)
        up = Signal(name="up")
        m.d.comb += up.eq(up_when_due)
        self._finish(m, far, up)
        assert age + 3 == MODES[self.mode].latency
        return m

    def _nearest(self, m: Module, total: Signal) -> tuple[Window, Value, int]:
        """A product; downwards, and up again behind the middle, or in it by the rule."""
        product = multiply(m, total, self.multiplier, self.made_of)
        far = self._cut(m, product, 1 + PRODUCT)
        return far, self._up_or_tie(far), 3 + PRODUCT

    def _pot(self, m: Module, total: Signal) -> tuple[Window, Value, int]:
        """The same without a product."""
        far = self._cut(m, total, 1)
        return far, self._up_or_tie(far), 3

    def _single(self, m: Module, total: Signal) -> tuple[Window, Value, int]:
        """The bit behind the point decides alone."""
        product = multiply(m, total, self.multiplier, self.made_of)
        far = self._cut(m, product, 1 + PRODUCT)
        return far, far.bits[0], 3 + PRODUCT

    def _tflite(self, m: Module, total: Signal) -> tuple[Window, Value, int]:
        """Two roundings as one.

        Without a second one (shifts to 31) ties go up. Else the first one, to the 31st place, ties upwards, makes
        a half of what lies behind the point if all that it leaves there and the bit behind it are ones: then a
        positive number goes up. A negative one stays, and so it does if they are zeros behind a half: a tie goes
        away from zero.
        """
        product = multiply(m, total, self.multiplier, self.made_of)
        far = self._cut(m, product, 1 + PRODUCT, ignored=_HIGH_MUL_SHIFT - 1)
        assert far.gap is not None
        half = far.bits[0]
        twice = delay(m, self.shift[-1], 3 + PRODUCT, name="twice")
        return far, Mux(twice, Mux(far.sign, half & far.sticky, half | ~far.gap), half), 3 + PRODUCT

    def _ort(self, m: Module, total: Signal) -> tuple[Window, Value, int]:
        """The sum as a float32's significand, the product rounded to one, and that shifted and rounded."""
        significand, raised = normalise(m, total)
        product = multiply(m, significand, delay(m, self.multiplier, NORMALISE), self.made_of)
        far, up = round_product(m, product, delay(m, self.shift, 1 + NORMALISE), raised)
        return far, up, 1 + NORMALISE + PRODUCT + ROUND_PRODUCT

    def _cut(self, m: Module, number: Value, age: int, ignored: int | None = None) -> Window:
        """The quotient's integer bits and the one behind the point, two cycles later."""
        shift = delay(m, self.shift, age)
        place = Signal(len(shift), name="place", reset_less=True)
        coarse, fine = shift[_COARSE:], place[:_COARSE]
        # The sign is carried along: what is cut off above the window must be copies of it.
        far = Window(Cat(Const(0, 1), number), number[-1], gaps=ignored is not None)
        far.cut(
            m, "far", coarse, _COARSE, self._kept + (1 << _COARSE) - 1, 0 if ignored is None else 1 + ignored
        )
        m.d.sync += place.eq(shift)
        far.hold(m, "far")
        far.cut(m, "near", fine[_FINE:], _FINE, self._kept + (1 << _FINE) - 1)
        far.cut(m, "last", fine[:_FINE], 0, self._kept)
        far.hold(m, "last")
        return far

    def _up_or_tie(self, far: Window) -> Value:
        # Downwards was the rule so far. In the middle: up to an even number, or up if that is away from zero.
        up_on_tie = Mux(self.rounding == ROUNDINGS.index("half_even"), far.bits[1], ~far.sign)
        return far.bits[0] & (far.sticky | up_on_tie)

    def _finish(self, m: Module, far: Window, up: Signal) -> None:
        """Round, add the zero point, compare, clamp: three cycles."""
        quotient = far.bits[1:].as_signed()
        shifted = Signal(signed(self._integer + 1), reset_less=True)
        carried = Signal(
            signed(self._integer + 2), name="carried"
        )  # the lowest bit makes the carry of the others
        over = Signal(reset_less=True)
        negative = Signal(reset_less=True)
        m.d.comb += carried.eq(Cat(Const(1, 1), quotient).as_signed() + Cat(up, self.zero).as_signed())
        m.d.sync += [shifted.eq(carried[1:]), over.eq(far.over), negative.eq(far.sign)]

        between = Signal(self.out_bits, reset_less=True)
        too_low = Signal(reset_less=True)
        too_high = Signal(reset_less=True)
        result = Signal(signed(self.out_bits), reset_less=True)
        m.d.sync += [
            between.eq(shifted),
            too_low.eq(Mux(over, negative, shifted < self.low)),
            too_high.eq(Mux(over, ~negative, shifted > self.high)),
            result.eq(Mux(too_low, self.low, Mux(too_high, self.high, between))),
        ]
        m.d.comb += self.y.eq(result)
