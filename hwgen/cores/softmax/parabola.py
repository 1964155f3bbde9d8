"""Hardware of I-BERT's softmax, for comparison: a parabola for the exponential, a reciprocal rounded down."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.latency import PARABOLA
from hwgen.cores.softmax.passes import FirstPass, SecondPass
from hwgen.cores.softmax.peers import IBERT_FACTOR_BITS, IBERT_ONE, ibert_constants, ibert_division
from hwgen.cores.softmax.reciprocal import Divide
from hwgen.cores.softmax.stages import at_most, lanes_of, register, shift
from hwgen.cores.softmax.sums import LaneSum, RowSum
from hwgen.emit import Unit, place
from hwgen.parts.delay import delay

__all__ = ["IbertFirst", "IbertSecond", "Parabola"]


class Parabola(Unit):
    """I-BERT's exponential of a distance from the maximum, 15 bits.

    Timing: ``y`` belongs to the ``x`` and ``keep`` of :data:`~hwgen.cores.softmax.latency.PARABOLA` cycles before.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.

    Members
    -------
    x, keep : In
        Unsigned distance; whether it counts.
    y : Out
        The exponential, or zero.
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = config
        super().__init__({"x": In(config.in_bits), "keep": In(1), "y": Out(config.kept_bits)})

    @property
    def kind(self) -> str:
        """``parabola``."""
        return "parabola"

    def elaborate(self, platform: Any) -> Module:
        """Build halvings and rest by a product with 1/ln 2, the parabola, and the shift to 16 bits."""
        m = Module()
        c = ibert_constants(self.config)
        inverse, places = ibert_division(self.config)
        distance = register(
            m, "distance", at_most(self.x, c.farthest), min(c.farthest.bit_length(), len(self.x))
        )
        halvings = register(m, "halvings_product", distance * inverse)[places:]
        distance = register(m, "distance_held", distance)
        taken = register(m, "taken", halvings * c.ln2)
        halvings = register(m, "halvings", halvings)
        distance = register(m, "distance_late", distance)
        rest = register(m, "rest", (distance - taken)[: c.ln2.bit_length()])
        # (r + linear) * r with r = -rest
        other = register(m, "other", c.linear - rest, signed(max(c.linear, c.ln2).bit_length() + 1))
        rest = register(m, "rest_held", rest)
        square = register(m, "square", other * rest)
        parabola = register(m, "curve", (c.constant - square)[: c.constant.bit_length()])
        scaled = register(m, "scaled", parabola * c.factor)
        halvings = delay(m, halvings, 5, name="halvings_delay")
        keep = delay(m, self.keep, 8, name="keep_delay")
        kept = Signal(len(scaled) - c.places + 1, name="kept")
        m.d.comb += kept.eq(scaled[c.places - 1 :] & keep.replicate(len(scaled) - c.places + 1))
        shifted = shift(m, "value", kept, halvings, len(kept))
        rounded = Signal(len(kept), name="rounded")
        m.d.comb += rounded.eq(shifted[1:] + shifted[0])
        one = IBERT_ONE
        m.d.comb += self.y.eq(register(m, "result", at_most(rounded, one), len(self.y)))
        assert PARABOLA == 11
        return m


class IbertFirst(FirstPass):
    """I-BERT: exponentials of distances, and ``2**32`` over their sum."""

    def elaborate(self, platform: Any) -> Module:
        """Build exponentials, sum and division."""
        m = Module()
        cfg, latency = self.config, self.latency
        terms: list[Value] = []
        for i, distance in enumerate(lanes_of(self.x, cfg.lanes)):
            unit = Parabola(cfg)
            place(m, f"parabola_{i}", unit, platform)
            m.d.comb += [unit.x.eq(distance), unit.keep.eq(self.keep[i])]
            terms.append(unit.y)
        lanes = LaneSum(cfg.kept_bits, cfg.lanes)
        place(m, "lane_sum", lanes, platform)
        total = RowSum(len(lanes.value), cfg.total_bits)
        place(m, "sum", total, platform)
        steps = IBERT_FACTOR_BITS
        divide = Divide(cfg.total_bits + steps - 1, steps, 1)
        place(m, "divide", divide, platform)
        age = latency.store + latency.levels
        m.d.comb += [
            self.store.eq(Cat(terms)),
            lanes.values.eq(Cat(terms)),
            total.valid.eq(delay(m, self.take, age, reset=True)),
            total.last.eq(delay(m, self.last, age)),
            total.term.eq(lanes.value),
            divide.numerators.eq(1 << 32),
            divide.denominator.eq(total.total << (steps - 1)),
            self.stat.eq(register(m, "factor", divide.quotients)),
        ]
        return m


class IbertSecond(SecondPass):
    """I-BERT: a product, cut."""

    def elaborate(self, platform: Any) -> Module:
        """Build a product per lane."""
        m = Module()
        cfg = self.config
        drop = 32 - cfg.out_bits
        high = (1 << cfg.out_bits) - 1
        results = []
        for i, e in enumerate(self.words):
            product = register(m, f"product_{i}", e * self.row)
            kept = register(m, f"product_{i}_held", product)[drop:]
            results.append(register(m, f"result_{i}", at_most(kept, high), cfg.out_bits))
        m.d.comb += self.answer.eq(Cat(results))
        return m
