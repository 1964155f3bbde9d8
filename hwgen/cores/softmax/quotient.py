"""Second pass: a kept exponential and its row's sum make a result."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.cores.softmax.latency import QUOTIENT, SCALED
from hwgen.cores.softmax.stages import FINE_SHIFT, register, shift_coarse, shift_fine
from hwgen.emit import Unit
from hwgen.parts.delay import delay
from hwgen.parts.product import product_latency
from hwgen.parts.product.rtl import format_of, multiply

__all__ = ["Quotient", "Scaled"]


class _Result(Unit):
    """What both ways to a result share: its ports, and the end of its pipeline."""

    def __init__(self, mantissa: int, places: int, out: int, members: dict[str, Any]):
        self.mantissa_bits = mantissa
        self.out_bits = out
        super().__init__({
            "keep": In(1), "mantissa": In(mantissa), "places": In(places), **members, "result": Out(out),
        })  # fmt: skip

    def _round(self, m: Module, value: Value, places: Value) -> None:
        """Shift, round halves up, clamp; ``value`` has one bit before the result's and one behind it."""
        width = self.out_bits + 2
        fine = register(m, "fine_places", places[:FINE_SHIFT])
        coarse = shift_coarse(m, "result", value, places, width + (1 << FINE_SHIFT) - 1)
        shifted = shift_fine(m, "result", coarse, fine, width)
        rounded = Signal(self.out_bits + 2, name="rounded")
        m.d.comb += rounded.eq(shifted[1:] + shifted[0])
        high = (1 << self.out_bits) - 1
        m.d.comb += self.result.eq(
            register(m, "clamped", Mux(rounded[self.out_bits :].any(), high, rounded), self.out_bits)
        )


class Quotient(_Result):
    """``result = mantissa * r * 2**-places``, rounded, at most the largest result; zero without ``keep``.

    Timing: the result belongs to the operands of :data:`~hwgen.cores.softmax.latency.QUOTIENT` cycles before, and
    one more for each by which the product takes longer;
    ``mantissa`` and ``r`` must be registers, ``places`` comes a cycle later.

    Parameters
    ----------
    mantissa, r, places, out : int
        Bits of mantissa (one before the point), reciprocal (one before the point), shift and result.
    port : int
        Wider operand of the target's multipliers.

    Members
    -------
    keep, mantissa, r, places : In
        Operands.
    result : Out
        The result.
    """

    def __init__(self, mantissa: int, r: int, places: int, out: int, port: int | None):
        self.r_bits = r
        self.port = port
        super().__init__(mantissa, places, out, {"r": In(r)})

    @property
    def kind(self) -> str:
        """``quotient``."""
        return "quotient"

    def elaborate(self, platform: Any) -> Module:
        """Build the product and the shift."""
        m = Module()
        product: Value = multiply(m, "product", self.mantissa, self.r, self.port)
        # A second register, for the one behind a DSP block's multiplier.
        product = register(m, "product_held", product)
        cycles = product_latency(format_of(self.mantissa), format_of(self.r), self.port)
        keep = delay(m, self.keep, cycles + 1)
        drop = (self.mantissa_bits - 1) + (self.r_bits - 1) - self.out_bits - 1
        value = Signal(len(product) - drop, name="kept_product")
        m.d.comb += value.eq(product[drop:] & keep.replicate(len(value)))
        self._round(m, value, delay(m, self.places, cycles, name="places_held"))
        assert QUOTIENT == 5
        return m


class Scaled(_Result):
    """``result = mantissa * 2**-places``, rounded, at most the largest result; zero without ``keep``.

    Timing: the result belongs to the operands of :data:`~hwgen.cores.softmax.latency.SCALED` cycles before;
    ``mantissa`` must be a register, ``places`` comes a cycle later.

    Parameters
    ----------
    mantissa, places, out : int
        Bits of mantissa (one before the point), shift and result.
    whole : int
        Bits before the point of what the result's format holds: 0, or 1 if the mantissa is to be halved.
    """

    def __init__(self, mantissa: int, places: int, out: int, whole: int):
        self.whole = whole
        super().__init__(mantissa, places, out, {})

    @property
    def kind(self) -> str:
        """``scaled``."""
        return "scaled"

    def elaborate(self, platform: Any) -> Module:
        """Build the shift."""
        m = Module()
        mantissa, keep = delay(m, self.mantissa, 1), delay(m, self.keep, 1)
        below = (
            self.out_bits + 1 - self.whole - (self.mantissa_bits - 1)
        )  # zeros behind the mantissa, or bits cut
        wide = Cat(Const(0, max(below, 0)), mantissa)[max(-below, 0) :]
        value = Signal(len(wide), name="kept_mantissa")
        m.d.comb += value.eq(wide & keep.replicate(len(wide)))
        self._round(m, value, self.places)
        assert SCALED == 4
        return m
