"""Hardware of ``online``: every exponential is relative to the true maximum, which rescales the sum by a product."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.cores.softmax.exponential import Align, Exponential
from hwgen.cores.softmax.latency import MAXIMUM, RESCALE
from hwgen.cores.softmax.passes import FirstPass, SecondPass
from hwgen.cores.softmax.quotient import Quotient, Scaled
from hwgen.cores.softmax.reciprocal import Reciprocal
from hwgen.cores.softmax.stages import lanes_of, register
from hwgen.cores.softmax.sums import LaneSum, RunningMaximum, add
from hwgen.cores.softmax.tables import RESCALE_BITS
from hwgen.emit import Unit, place
from hwgen.parts.delay import delay

__all__ = ["OnlineFirst", "OnlineSecond", "Rescale"]

_SPLIT = 17  # bits of a sum in the lower product: what a signed 18-bit multiplier takes of an unsigned number


class Rescale(Unit):
    """``total = value * factor * 2**-places + term + carry``: a shift and two products, all cut at the last bit.

    Timing: ``total`` belongs to ``value`` and ``places`` of :data:`~hwgen.cores.softmax.latency.RESCALE` cycles
    before; ``factor`` comes a cycle later, ``term``, ``carry`` and ``enable`` two.

    Parameters
    ----------
    value, factor, places, term : int
        Bits of the sum, of the factor (one before the point), of the shift and of what is added.

    Members
    -------
    value, places, factor, term, carry : In
        Operands, unsigned.
    enable : In(1)
        Otherwise the total stays.
    total : Out
        The result.
    """

    def __init__(self, value: int, factor: int, places: int, term: int):
        self.width = value
        self.factor_bits = factor
        super().__init__({
            "value": In(value), "places": In(places), "factor": In(factor), "term": In(term), "carry": In(1),
            "enable": In(1), "total": Out(value),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``rescale``."""
        return "rescale"

    def elaborate(self, platform: Any) -> Module:
        """Build the three steps."""
        m = Module()
        bits = self.factor_bits - 1
        shifted = register(m, "shifted", (self.value >> self.places)[: self.width])
        upper = register(m, "upper_product", shifted[_SPLIT:] * self.factor)
        lower = register(m, "lower_product", shifted[:_SPLIT] * self.factor)
        added = Signal(self.width, name="added")
        m.d.comb += added.eq((upper >> (bits - _SPLIT)) + (lower >> bits))
        total = Signal(self.width, name="sum", reset_less=True)
        with m.If(self.enable):
            m.d.sync += total.eq(add(m, "whole", added, self.term, self.carry))
        m.d.comb += self.total.eq(total)
        assert RESCALE == 3
        return m


class OnlineFirst(FirstPass):
    """First pass: the maximum, and the reciprocal of the sum of exponentials relative to it."""

    def elaborate(self, platform: Any) -> Module:
        """Build maximum, exponentials, the sum, and its reciprocal."""
        m = Module()
        cfg, levels = self.config, self.latency.levels
        x, keep = register(m, "logits", self.x), register(m, "kept", self.keep)
        m.d.comb += self.store.eq(Cat(Cat(q, keep[i]) for i, q in enumerate(lanes_of(x, cfg.lanes))))
        valid, last = delay(m, self.take, 1, reset=True), delay(m, self.last, 1)
        top = RunningMaximum(cfg.in_bits, cfg.lanes, 3)
        place(m, "top", top, platform)
        least = Const(1 << (cfg.in_bits - 1), cfg.in_bits)
        m.d.comb += [
            top.valid.eq(valid),
            top.last.eq(last),
            top.values.eq(Cat(Mux(keep[i], q, least) for i, q in enumerate(lanes_of(x, cfg.lanes)))),
        ]
        age = levels + MAXIMUM
        lanes = self._terms(m, platform, delay(m, x, age), delay(m, keep, age), top.top)
        valid = delay(m, valid, age + 1, reset=True, name="risen")
        total = self._sum(m, platform, top, lanes, valid, delay(m, last, age + 1, name="risen_last"))
        reciprocal = Reciprocal(cfg)
        place(m, "reciprocal", reciprocal, platform)
        m.d.comb += reciprocal.total.eq(total)
        r = register(m, "r", reciprocal.r)
        # The maximum is known long before: it waits.
        largest = delay(m, top.top, self.latency.statistics - 1 - age, name="top_delay")
        if cfg.divides:
            m.d.comb += self.stat.eq(Cat(r, register(m, "exponent", reciprocal.exponent), largest))
        else:
            places = Mux(reciprocal.r[-2:].any(), cfg.reciprocal_bits + cfg.out_bits + reciprocal.exponent, 0)
            m.d.comb += self.stat.eq(Cat(r, register(m, "places", places, cfg.scale_places_bits), largest))
        return m

    def _terms(self, m: Module, platform: Any, x: Value, keep: Value, top: Value) -> LaneSum:
        """Sum of a beat's exponentials, relative to the maximum so far."""
        cfg = self.config
        keep = delay(m, keep, 1 + self.latency.exponential, name="keep_delay")
        lanes = LaneSum(cfg.fraction + 1, cfg.lanes)
        place(m, "lane_sum", lanes, platform)
        values, carries = [], []
        for i, logit in enumerate(lanes_of(x, cfg.lanes)):
            power = Exponential(cfg, difference=True)
            align = Align(cfg.mantissa_bits + 1, cfg.fraction, cfg.fall_bits)
            place(m, f"exponential_{i}", power, platform)
            place(m, f"align_{i}", align, platform)
            m.d.comb += [
                power.x.eq(register(m, f"difference_{i}", logit.as_signed() - top)),
                align.keep.eq(keep[i]),
                align.mantissa.eq(power.mantissa),
                align.places.eq(power.exponent),
            ]
            values.append(align.value)
            carries.append(align.carry)
        m.d.comb += [lanes.values.eq(Cat(values)), lanes.carries.eq(Cat(carries))]
        return lanes

    def _sum(
        self, m: Module, platform: Any, top: RunningMaximum, lanes: LaneSum, valid: Value, last: Value
    ) -> Value:
        """Three parts: a beat adds to that of three beats before; the row's last three are brought together.

        ``valid`` and ``last`` are as old as the rises of the maximum.
        """
        cfg = self.config
        bits = RESCALE_BITS[cfg.out_bits]
        wait = self.latency.rescale_wait  # from the rises to the loop's first cycle
        ready = 1 + self.latency.fine_exponential  # from the rises to their factors
        late = wait - ready
        powers, rescales = [], []
        for name in ("loop", "end"):
            power = Exponential(cfg, difference=True, fine=True)
            rescale = Rescale(cfg.total_bits, bits + 1, cfg.fall_bits, len(lanes.value))
            place(m, f"{name}_exponential", power, platform)
            place(m, f"{name}_rescale", rescale, platform)
            powers.append(power)
            rescales.append(rescale)
        loop, end = rescales
        # The end takes the oldest part in the cycle of the last beat, and the middle one in the next: rows that
        # have them end that far apart.
        ends = valid & last & ~top.young_2
        rises = (top.rise_3, Mux(ends, top.rise_2, delay(m, top.rise_1, 1, name="rise_1_delay")))
        for name, power, rise in zip(("loop", "end"), powers, rises, strict=True):
            m.d.comb += power.x.eq(register(m, f"{name}_fall", -rise, signed(cfg.in_bits + 1)))

        start = delay(m, valid, wait, reset=True, name="start")
        under_way = Signal(RESCALE - 1, name="under_way")
        m.d.sync += under_way.eq(Cat(start, under_way[:-1]))
        parts: list[Value] = [loop.total]
        for i in (1, 2):
            held = Signal(cfg.total_bits, name=f"part_{i}", reset_less=True)
            with m.If(under_way[-1]):
                m.d.sync += held.eq(parts[-1])
            parts.append(held)
        mine = Mux(under_way.all(), parts[0], Mux(under_way.any(), parts[1], parts[2]))
        new = delay(m, top.young_3, wait, name="young_3_delay")
        m.d.comb += [
            loop.value.eq(Mux(new, 0, mine)),
            loop.places.eq(delay(m, powers[0].exponent, late, name="loop_places")),
            loop.factor.eq(delay(m, powers[0].mantissa, late + 1, name="loop_factor")),
            loop.term.eq(delay(m, lanes.value, self.latency.term_wait, name="term")),
            loop.carry.eq(delay(m, lanes.carry, self.latency.term_wait, name="term_carry")),
            loop.enable.eq(under_way[-1]),
        ]
        here = wait + RESCALE  # from the rises to the row's parts
        only = [delay(m, getattr(top, f"young_{i}"), here, name=f"only_{i}") for i in (1, 2)]
        oldest = delay(m, ends, here, name="oldest")
        m.d.comb += [
            end.value.eq(Mux(oldest, parts[2], delay(m, parts[1], 1, name="part_1_delay"))),
            end.places.eq(delay(m, powers[1].exponent, late + RESCALE, name="end_places")),
            end.factor.eq(delay(m, powers[1].mantissa, late + RESCALE + 1, name="end_factor")),
            end.enable.eq(1),
        ]
        first = delay(m, parts[0], RESCALE, name="first_part")
        only_1, only_2 = (delay(m, only[i], RESCALE + 1 - i, name=f"only_{i + 1}_held") for i in (0, 1))
        two = register(m, "two_parts", (first + Mux(only_2, 0, end.total))[: cfg.total_bits])
        return register(m, "three_parts", (two + Mux(only_1, 0, end.total))[: cfg.total_bits])


class OnlineSecond(SecondPass):
    """Second pass: the exponentials once more, relative to the row's maximum, and their results."""

    def elaborate(self, platform: Any) -> Module:
        """Build a lane's arithmetic per lane."""
        m = Module()
        cfg = self.config
        age = 1 + self.latency.exponential
        top = self.row[-cfg.in_bits :].as_signed()
        r_bits = cfg.reciprocal_bits + 1
        row = delay(m, self.row[: -cfg.in_bits], age, name="row_delay")
        keep = delay(m, Cat(word[-1] for word in self.words), age, name="keep_delay")
        results = []
        for i, word in enumerate(self.words):
            power = Exponential(cfg, difference=True)
            place(m, f"exponential_{i}", power, platform)
            m.d.comb += power.x.eq(register(m, f"difference_{i}", word[:-1].as_signed() - top))
            lane: Quotient | Scaled
            if cfg.divides:
                places = Signal(cfg.fall_bits + 1, name=f"places_now_{i}")
                m.d.comb += places.eq(
                    power.exponent + row[r_bits:].as_signed()
                )  # never negative: the sum is at least one
                lane = Quotient(cfg.mantissa_bits + 1, r_bits, len(places), cfg.out_bits, cfg.split)
                m.d.comb += lane.r.eq(row[:r_bits])
            else:
                places = power.exponent
                lane = Scaled(cfg.mantissa_bits + 1, len(places), cfg.out_bits, whole=0)
            place(m, f"lane_{i}", lane, platform)
            m.d.comb += [
                lane.keep.eq(keep[i]),
                lane.mantissa.eq(power.mantissa),
                lane.places.eq(register(m, f"places_{i}", places)),
            ]
            results.append(lane.result)
        m.d.comb += self.answer.eq(Cat(results))
        return m
