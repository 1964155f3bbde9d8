"""The hardware of a popcount plan."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import C, Cat, Instance, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.parts.popcount.plan import Plan

__all__ = ["Compressor", "Popcount"]


def _full_adder(a: Value, b: Value, c: Value) -> tuple[Value, Value]:
    return a ^ b ^ c, (a & b) | (c & (a ^ b))


def _suffix(products: bool, primitive: bool) -> str:
    return ("_products" if products else "") + ("_luts" if primitive else "")


class Compressor(Unit):
    """The count of three or six bits, or of three products of two bits; combinational.

    Parameters
    ----------
    inputs : int
        Bits that are counted: 2 or 3 (products), 3 or 6.
    products : bool
        Whether each is the AND of a bit of ``i`` and a bit of ``j``.
    primitive : bool
        LUT6 and LUT6_2 instances if true, otherwise logic.

    Members
    -------
    i, j : In(inputs)
        Bits; ``j`` with products only.
    o : Out
        Count.
    """

    def __init__(self, inputs: int, *, products: bool = False, primitive: bool = False):
        self.inputs = inputs
        self.products = products
        self.primitive = primitive
        members: dict[str, Any] = {"i": In(inputs), "o": Out(inputs.bit_length())}
        if products:
            members["j"] = In(inputs)
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``count`` and what is counted."""
        return f"count_{self.inputs}{_suffix(self.products, self.primitive)}"

    def elaborate(self, platform: Any) -> Module:
        """Build the compressor."""
        m = Module()
        if self.primitive:
            self._luts(m)
        else:
            self._logic(m)
        return m

    def _luts(self, m: Module) -> None:
        pins = [*self.i, *self.j] if self.products else [*self.i]

        def count(x: int) -> int:
            return ((x & (x >> self.inputs)) if self.products else x & ((1 << self.inputs) - 1)).bit_count()

        wired = {f"i_I{n}": pins[n] if n < len(pins) else C(0, 1) for n in range(6)}
        if len(pins) < 6:
            # O6 looks into the upper half of INIT because I5 is high, O5 into the lower one.
            mask = (1 << len(pins)) - 1
            init = sum((count(x & mask) >> (x < 32) & 1) << x for x in range(64))
            m.submodules.lut = Instance(
                "LUT6_2", p_INIT=C(init, 64), o_O6=self.o[0], o_O5=self.o[1], **(wired | {"i_I5": C(1, 1)})
            )
            return
        for bit in range(len(self.o)):
            init = sum((count(x) >> bit & 1) << x for x in range(64))
            m.submodules[f"lut_{bit}"] = Instance("LUT6", p_INIT=C(init, 64), o_O=self.o[bit], **wired)

    def _logic(self, m: Module) -> None:
        bits: list[Any] = [self.i[n] & self.j[n] if self.products else self.i[n] for n in range(self.inputs)]
        if self.inputs == 2:
            m.d.comb += self.o.eq(Cat(bits[0] ^ bits[1], bits[0] & bits[1]))
        elif self.inputs == 3:
            m.d.comb += self.o.eq(Cat(*_full_adder(*bits)))
        else:
            low, low_carry = _full_adder(*bits[:3])
            high, high_carry = _full_adder(*bits[3:])
            m.d.comb += self.o.eq(Cat(low ^ high, *_full_adder(low_carry, high_carry, low & high)))


class Popcount(Unit):
    """``o`` = number of ones in ``i``, or in ``i & j``.

    Timing: ``plan.latency(every)`` cycles, one word per cycle, no flow control.

    Parameters
    ----------
    plan : Plan
        What is compressed with what.
    every : int
        Stages between registers, at least one.
    primitive : bool
        LUT6 and LUT6_2 instances if true: synthesizers split the products' count into three LUTs.

    Members
    -------
    i, j : In(bits)
        Words; ``j`` with products only.
    o : Out
        Count.
    """

    def __init__(self, plan: Plan, *, every: int = 1, primitive: bool = False):
        self.plan = plan
        self.every = every
        self.primitive = primitive
        members: dict[str, Any] = {"i": In(plan.bits), "o": Out(plan.out_bits)}
        if plan.products:
            members["j"] = In(plan.bits)
        super().__init__(members)

    @property
    def latency(self) -> int:
        """Cycles from input to output."""
        return self.plan.latency(self.every)

    @property
    def kind(self) -> str:
        """``popcount``, its width and its latency."""
        return f"popcount_{self.plan.bits}{_suffix(self.plan.products, self.primitive)}_after_{self.latency}"

    def elaborate(self, platform: Any) -> Module:
        """Build the stages."""
        m = Module()
        weights: list[list[Value]] = [[self.i[n] for n in range(self.plan.bits)]]
        depth = 0
        if self.plan.products:
            weights = self._products(m, platform)
            depth = 1
            weights = self._register(m, weights, depth)
        for stage in self.plan.stages:
            left: list[list[Value]] = [[] for _ in range(len(weights) + 2)]
            queues = [list(bits) for bits in weights]
            for n, group in enumerate(stage):
                taken = [queues[group.weight].pop(0) for _ in range(group.inputs)]
                cell = Compressor(group.inputs, primitive=self.primitive)
                place(m, f"stage_{depth}_{n}", cell, platform)
                m.d.comb += cell.i.eq(Cat(taken))
                for i in range(group.outputs):
                    left[group.weight + i].append(cell.o[i])
            for weight, rest in enumerate(queues):
                left[weight] += rest
            depth += 1
            weights = self._register(m, [bits for bits in left if bits], depth)
        self._add(m, weights)
        return m

    def _products(self, m: Module, platform: Any) -> list[list[Value]]:
        ones, twos = [], []
        for n in range(0, self.plan.bits, 3):
            inputs = min(3, self.plan.bits - n)
            if inputs == 1:
                ones.append(self.i[n] & self.j[n])
                continue
            cell = Compressor(inputs, products=True, primitive=self.primitive)
            place(m, f"products_{n // 3}", cell, platform)
            m.d.comb += [cell.i.eq(self.i[n : n + inputs]), cell.j.eq(self.j[n : n + inputs])]
            ones.append(cell.o[0])
            twos.append(cell.o[1])
        return [ones, twos] if twos else [ones]

    def _register(self, m: Module, weights: list[list[Value]], depth: int) -> list[list[Value]]:
        """The bits a cycle later, if a register belongs after stage ``depth``."""
        if depth % self.every and depth != self.plan.depth:
            return weights
        held = []
        for weight, bits in enumerate(weights):
            register = Signal(len(bits), name=f"after_{depth}_weight_{weight}", reset_less=True)
            m.d.sync += register.eq(Cat(bits))
            held.append([register[n] for n in range(len(bits))])
        return held

    def _add(self, m: Module, weights: list[list[Value]]) -> None:
        """The final adder over the weights with two bits; those below it only wait."""
        rows = [Cat(bits[row] if row < len(bits) else C(0, 1) for bits in weights) for row in (0, 1)]
        low = self.plan.out_bits - self.plan.adder_bits
        if not self.plan.adder_bits:
            m.d.comb += self.o.eq(rows[0])
            return
        total = Signal(self.plan.out_bits, reset_less=True)
        m.d.sync += total.eq(Cat(rows[0][:low], (rows[0][low:] + rows[1][low:])[: self.plan.adder_bits]))
        m.d.comb += self.o.eq(total)
