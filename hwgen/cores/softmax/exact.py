"""Hardware of ``table_exact``: exponentials of differences from a table, an exact sum, a correctly rounded division."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.exponential import rom
from hwgen.cores.softmax.passes import FirstPass, SecondPass
from hwgen.cores.softmax.reciprocal import Divide
from hwgen.cores.softmax.stages import lanes_of, register
from hwgen.cores.softmax.sums import LaneSum, RowSum
from hwgen.cores.softmax.tables import exact_exponentials
from hwgen.emit import Unit, place
from hwgen.parts.delay import delay

__all__ = ["ExactFirst", "ExactSecond"]


class ExactFirst(FirstPass):
    """First pass: a table's exponential per element, and their sum."""

    def elaborate(self, platform: Any) -> Module:
        """Build tables and sum."""
        m = Module()
        cfg = self.config
        latency = self.latency
        terms: list[Value] = []
        for i, distance in enumerate(lanes_of(self.x, cfg.lanes)):
            table = ExactTable(cfg)
            place(m, f"table_{i}", table, platform)
            m.d.comb += [table.x.eq(distance), table.keep.eq(self.keep[i])]
            terms.append(table.y)
        lanes = LaneSum(cfg.kept_bits, cfg.lanes)
        place(m, "lane_sum", lanes, platform)
        total = RowSum(len(lanes.value), cfg.total_bits)
        place(m, "sum", total, platform)
        age = latency.store + latency.levels
        m.d.comb += [
            self.store.eq(Cat(terms)),
            lanes.values.eq(Cat(terms)),
            total.valid.eq(delay(m, self.take, age, reset=True)),
            total.last.eq(delay(m, self.last, age)),
            total.term.eq(lanes.value),
            total.carry.eq(lanes.carry),
            self.stat.eq(register(m, "divisor", total.total | (total.total == 0))),
        ]
        assert age + 2 == latency.statistics
        return m


class ExactTable(Unit):
    """``y = exp(-x * step)`` if ``keep``, otherwise zero; three cycles later.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.

    Members
    -------
    x, keep : In
        Unsigned argument; whether it counts.
    y : Out
        The exponential.
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = config
        super().__init__({"x": In(config.in_bits), "keep": In(1), "y": Out(config.kept_bits)})

    @property
    def kind(self) -> str:
        """``exact_exponential``."""
        return "exact_exponential"

    def elaborate(self, platform: Any) -> Module:
        """Build the table."""
        m = Module()
        words = exact_exponentials(self.config).tolist()
        word = rom(m, "word", register(m, "distance", self.x), words, self.config.kept_bits)
        # A block RAM is slow without a register of its own.
        word = register(m, "word_held", word)
        m.d.comb += self.y.eq(word & delay(m, self.keep, 3).replicate(len(word)))
        return m


class ExactSecond(SecondPass):
    """Second pass: exponentials divided by their sum, to nearest, ties to even."""

    def elaborate(self, platform: Any) -> Module:
        """Build the division and the rounding."""
        m = Module()
        cfg = self.config
        # One bit behind the result: what is to be rounded.
        bits, steps = len(self.row), cfg.out_bits + 2
        divide = Divide(bits, steps, cfg.lanes)
        place(m, "divide", divide, platform)
        numerators = [Cat(e, Const(0, bits + 1 - len(e))) for e in self.words]
        m.d.comb += [divide.numerators.eq(Cat(numerators)), divide.denominator.eq(self.row)]
        results = []
        for i, (quotient, exact) in enumerate(
            zip(lanes_of(divide.quotients, cfg.lanes), divide.exact, strict=True)
        ):
            tie = register(m, f"tie_{i}", exact)
            held = register(m, f"quotient_{i}", quotient)
            rounded = Signal(cfg.out_bits + 2, name=f"rounded_{i}")
            m.d.comb += rounded.eq(held[1:] + (held[0] & (~tie | held[1])))
            high = (1 << cfg.out_bits) - 1
            results.append(
                register(m, f"result_{i}", Mux(rounded[cfg.out_bits :].any(), high, rounded), cfg.out_bits)
            )
        m.d.comb += self.answer.eq(Cat(results))
        assert steps + 2 == self.latency.results
        return m
