"""One over the sum of a row, pipelined: a new row may come in every cycle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.latency import NORMALISE, Latency
from hwgen.cores.softmax.stages import lanes_of, register
from hwgen.cores.softmax.sums import add
from hwgen.cores.softmax.tables import reciprocal_error, reciprocals
from hwgen.emit import Unit, place
from hwgen.numerics import bits_for_range
from hwgen.parts.delay import delay
from hwgen.parts.piecewise.rtl import Piecewise
from hwgen.parts.product.rtl import multiply

__all__ = ["Divide", "Reciprocal", "normalise"]


def normalise(m: Module, total: Value, width: int) -> tuple[Value, Value]:
    """The highest ``width`` bits from the first one on, and the number of zeros before it; NORMALISE cycles."""
    value: Value = total
    zeros: Value = Const(0, 0)
    for stage in reversed(range(NORMALISE)):
        step = 1 << (2 * stage)
        # How often so many zeros are at the top, up to three times.
        clear = [value[-n * step :] == 0 for n in (1, 2, 3) if n * step < len(value)]
        moved = Signal(len(value), name=f"moved_{stage}")
        times = Signal(min(len(clear), 2), name=f"times_{stage}")
        if clear:
            odd = clear[0] if len(clear) == 1 else clear[0] & ~clear[1]
            m.d.comb += times.eq(Cat(odd | clear[2] if len(clear) == 3 else odd, *clear[1:2]))
        m.d.comb += moved.eq(value << Cat(Const(0, 2 * stage), times))
        value = register(m, f"normal_{stage}", moved)
        zeros = register(m, f"zeros_{stage}", Cat(times, zeros))
    top = value[-width:] if width <= len(value) else Cat(Const(0, width - len(value)), value)
    return top, zeros


class Reciprocal(Unit):
    """``1 / total = r * 2**-(reciprocal_bits + exponent)``, one per cycle.

    Timing: the results belong to the ``total`` of ``Latency.reciprocal`` cycles before.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.

    Members
    -------
    total : In
        The sum.
    r : Out
        In [1/2, 1]; zero for a sum of zero.
    exponent : Out(signed)
        Its exponent.
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = config
        self.latency = Latency(config).reciprocal
        super().__init__({
            "total": In(config.total_bits), "r": Out(config.reciprocal_bits + 1),
            "exponent": Out(signed(config.place_bits)),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``reciprocal``."""
        return "reciprocal"

    def elaborate(self, platform: Any) -> Module:
        """Build the shift to the first one, and the division or Newton's step."""
        m = Module()
        cfg = self.config
        scaled, zeros = normalise(m, self.total, cfg.reciprocal_bits + 1)
        exponent = register(
            m, "place", (len(self.total) - 1 - cfg.total_fraction - zeros).as_signed(), signed(cfg.place_bits)
        )
        m.d.comb += self.exponent.eq(delay(m, exponent, self.latency - NORMALISE - 1, name="place_delay"))
        full = delay(m, scaled[-1], self.latency - NORMALISE - 1, name="full_delay")
        r = (
            self._divide(m, platform, scaled)
            if cfg.reciprocal == "divider"
            else self._newton(m, platform, scaled)
        )
        m.d.comb += self.r.eq(register(m, "r_now", Mux(full, r, 0), len(self.r)))
        return m

    def _divide(self, m: Module, platform: Any, scaled: Value) -> Value:
        """Bit by bit."""
        bits = self.config.reciprocal_bits
        divide = Divide(bits + 1, bits + 1, 1)
        place(m, "divide", divide, platform)
        m.d.comb += [divide.numerators.eq(1 << bits), divide.denominator.eq(scaled)]
        quotient: Value = divide.quotients
        return quotient

    def _newton(self, m: Module, platform: Any, scaled: Value) -> Value:
        """A first value from a table, and how far its product with the sum is from one."""
        bits = self.config.reciprocal_bits
        table = reciprocals()
        f = table.out_fraction
        kernel = Piecewise("first_reciprocal", table)
        place(m, "kernel", kernel, platform)
        m.d.comb += kernel.x.eq(scaled[bits - table.in_bits : bits])
        start: Value = kernel.y
        low, high = reciprocal_error(bits)
        late = delay(m, scaled, table.latency, name="scaled_delay")
        product = multiply(m, "product", late, start, self.config.split)
        error = register(
            m,
            "error",
            (((1 << (bits + f)) - product) >> (f - 2)).as_signed(),
            signed(bits_for_range(low, high)),
        )
        start = delay(m, start, Latency(self.config).newton + 1, name="start_delay")
        step = register(m, "step", start * error)
        start = delay(m, start, 1, name="start_last_delay")
        # The rounding's half is the carry of the addition.
        total = Signal(signed(bits + 4), name="corrected")
        m.d.comb += total.eq(
            Cat(Const(1, 1), Const(0, bits - f), start, Const(0, 1)).as_signed() + (step >> (f + 1))
        )
        return total[1:]


class Divide(Unit):
    """``quotient = floor(numerator * 2**(steps - 1) / denominator)``, an addition or subtraction per bit and cycle.

    What is left may become negative and is then added to: the signs are the bits of the quotient.

    Timing: ``steps`` cycles.

    Parameters
    ----------
    bits : int
        Of the denominator.
    steps : int
        Bits of a quotient.
    lanes : int
        Numerators that are divided by the same.

    Members
    -------
    numerators : In
        Less than twice the denominator, one bit wider than it.
    denominator : In
        Not zero.
    quotients, exact : Out
        The quotients; whether nothing is left behind the last bit, which is then a one.
    """

    def __init__(self, bits: int, steps: int, lanes: int):
        self.bits = bits
        self.steps = steps
        self.lanes = lanes
        super().__init__({
            "numerators": In((bits + 1) * lanes), "denominator": In(bits), "quotients": Out(steps * lanes),
            "exact": Out(lanes),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``divide``."""
        return "divide"

    def elaborate(self, platform: Any) -> Module:
        """Build a row of adders per lane."""
        m = Module()
        width = self.bits + 1
        denominator: Value = self.denominator
        rest = lanes_of(self.numerators, self.lanes)
        quotients: Sequence[Value] = [Const(0, 0)] * self.lanes
        for step in range(self.steps):
            if step:  # the sign of one step is put to the others in the next
                signs = zip(rest, quotients, strict=True)
                quotients = [
                    register(m, f"quotient_{i}_{step}", Cat(~r[-1], q)) for i, (r, q) in enumerate(signs)
                ]
            for i in range(self.lanes):
                subtract = ~rest[i][-1] if step else Const(1, 1)
                doubled = Cat(Const(0, 1), rest[i])[:width] if step else rest[i]
                operand = Cat(denominator, Const(0, 1)) ^ subtract.replicate(width)
                left = add(m, f"left_{i}_{step}", doubled, operand, subtract)
                rest[i] = register(m, f"rest_{i}_{step}", left[:width])
            if step < self.steps - 1:
                denominator = register(m, f"denominator_{step}", denominator)
        m.d.comb += [
            self.quotients.eq(Cat(Cat(~r[-1], q) for r, q in zip(rest, quotients, strict=True))),
            self.exact.eq(Cat(r == 0 for r in rest)),
        ]
        return m
