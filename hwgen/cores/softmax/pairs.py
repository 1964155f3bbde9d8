"""Hardware of the variants that keep exponentials as mantissa and exponent: both passes, and two ways to the sum."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.cores.softmax.exponential import Align, Exponential
from hwgen.cores.softmax.latency import ALIGN, MAXIMUM
from hwgen.cores.softmax.passes import FirstPass, SecondPass
from hwgen.cores.softmax.quotient import Quotient, Scaled
from hwgen.cores.softmax.reciprocal import Reciprocal
from hwgen.cores.softmax.stages import lanes_of, register
from hwgen.cores.softmax.sums import LaneSum, RunningMaximum, RunningSum
from hwgen.emit import place
from hwgen.numerics import ceil_log2
from hwgen.parts.delay import delay

__all__ = ["Pair", "PairsFirst", "PairsSecond", "RunningFirst"]


@dataclass(frozen=True)
class Pair:
    """An element of a beat.

    Parameters
    ----------
    keep : Value
        Whether it takes part.
    mantissa : Value
        Of its exponential.
    exponent : Value
        The smallest there is if it does not take part.
    """

    keep: Value
    mantissa: Value
    exponent: Value


class PairsFirst(FirstPass):
    """First pass: an exponential per element, and the reciprocal of their sum."""

    def elaborate(self, platform: Any) -> Module:
        """Build exponentials, the sum, and its reciprocal."""
        m = Module()
        cfg = self.config
        pairs = self._exponentials(m, platform)
        valid = delay(m, self.take, self.latency.store, reset=True)
        last = delay(m, self.last, self.latency.store)
        total, reference, top = self._sum(m, platform, valid, last, pairs)
        reciprocal = Reciprocal(cfg)
        place(m, "reciprocal", reciprocal, platform)
        m.d.comb += reciprocal.total.eq(total)
        age = reciprocal.latency
        reference = delay(m, reference, age, name="reference_delay")
        top = delay(m, top, age, name="top_delay")
        r = register(m, "r", reciprocal.r)
        places: Value
        if cfg.divides:
            places = register(m, "row", reference + reciprocal.exponent, signed(cfg.row_bits))
        else:
            places = cfg.reciprocal_bits + cfg.out_bits - 1 + reciprocal.exponent + reference - top
            places = register(m, "places", Mux(reciprocal.r[-2:].any(), places, 0), cfg.scale_places_bits)
        m.d.comb += self.stat.eq(Cat(r, places, *self._ends(m, top, age)))
        return m

    def _ends(self, m: Module, top: Value, age: int) -> list[Value]:
        """What else the second pass needs; ``age`` is that of the largest exponent since the sum was known."""
        return [] if self.config.divides else [register(m, "largest", top)]

    def _exponentials(self, m: Module, platform: Any) -> list[Pair]:
        """Mantissa and exponent of every lane, kept for the second pass."""
        cfg = self.config
        early = delay(m, self.keep, self.latency.store - 1, name="keep_delay")
        keep = register(m, "keep_held", early)
        pairs = []
        for i, logit in enumerate(lanes_of(self.x, cfg.lanes)):
            unit = Exponential(cfg, difference=False)
            place(m, f"exponential_{i}", unit, platform)
            m.d.comb += unit.x.eq(register(m, f"logit_{i}", logit.as_signed()))
            m.d.comb += unit.keep.eq(early[i])
            pairs.append(Pair(keep[i], unit.mantissa, unit.exponent))
        m.d.comb += self.store.eq(Cat(Cat(p.mantissa[:-1], p.exponent, p.keep) for p in pairs))
        return pairs

    def _lane_sum(self, m: Module, platform: Any, pairs: Sequence[Pair], places: Sequence[Value]) -> LaneSum:
        """Add the lanes; ``places`` are a cycle later than the pairs."""
        cfg = self.config
        lanes = LaneSum(cfg.total_fraction + 1, cfg.lanes)
        place(m, "lane_sum", lanes, platform)
        values, carries = [], []
        for i, (pair, shift) in enumerate(zip(pairs, places, strict=True)):
            align = Align(cfg.mantissa_bits + 1, cfg.total_fraction, len(shift))
            place(m, f"align_{i}", align, platform)
            m.d.comb += [align.keep.eq(pair.keep), align.mantissa.eq(pair.mantissa), align.places.eq(shift)]
            values.append(align.value)
            carries.append(align.carry)
        m.d.comb += [lanes.values.eq(Cat(values)), lanes.carries.eq(Cat(carries))]
        return lanes

    @abstractmethod
    def _sum(
        self, m: Module, platform: Any, valid: Value, last: Value, pairs: list[Pair]
    ) -> tuple[Value, Value, Value]:
        """Sum, its reference and the largest exponent, ``Latency.total`` cycles after a row's last beat."""


class RunningFirst(PairsFirst):
    """``online_pow2``: the sum is kept at the largest exponent so far."""

    def _sum(
        self, m: Module, platform: Any, valid: Value, last: Value, pairs: list[Pair]
    ) -> tuple[Value, Value, Value]:
        cfg = self.config
        levels = self.latency.levels
        top = RunningMaximum(cfg.exponent_bits, cfg.lanes, 2)
        place(m, "top", top, platform)
        m.d.comb += [top.valid.eq(valid), top.last.eq(last), top.values.eq(Cat(p.exponent for p in pairs))]
        late = [
            Pair(
                delay(m, p.keep, levels + MAXIMUM + 1, name=f"keep_{i}_delay"),
                delay(m, p.mantissa, levels + MAXIMUM + 1, name=f"mantissa_{i}_delay"),
                delay(m, p.exponent, levels + MAXIMUM, name=f"exponent_{i}_delay"),
            )
            for i, p in enumerate(pairs)
        ]
        places = [
            register(m, f"places_{i}", (top.top - p.exponent)[: cfg.exponent_bits])
            for i, p in enumerate(late)
        ]
        lanes = self._lane_sum(m, platform, late, places)
        # The shift of the running sum goes before the addition of what is still being aligned.
        wait = ALIGN + levels - 1
        places_bits = ceil_log2(cfg.total_bits)
        running = RunningSum(len(lanes.value), cfg.total_bits, places_bits)
        place(m, "sum", running, platform)
        for i in (1, 2):
            rise, young = getattr(top, f"rise_{i}"), getattr(top, f"young_{i}")
            gone = delay(m, young | rise[places_bits:].any(), wait, name=f"gone_{i}")
            m.d.comb += [
                getattr(running, f"places_{i}").eq(
                    delay(m, rise[:places_bits], wait - 1, name=f"rise_{i}_delay")
                ),
                getattr(running, f"young_{i}").eq(gone),
            ]
        m.d.comb += [
            running.valid.eq(delay(m, valid, levels + MAXIMUM + 1 + wait, reset=True, name="valid_delay")),
            running.last.eq(delay(m, last, levels + MAXIMUM + 1 + wait, name="last_age")),
            running.term.eq(lanes.value),
            running.carry.eq(lanes.carry),
        ]
        age = self.latency.total - self.latency.store - levels - MAXIMUM
        reference = delay(m, top.top, age, name="top_age")
        return running.total, reference, reference


class PairsSecond(SecondPass):
    """Second pass: results of kept exponentials."""

    def elaborate(self, platform: Any) -> Module:
        """Build a lane's arithmetic per lane."""
        m = Module()
        cfg = self.config
        bits = cfg.mantissa_bits
        r_bits = cfg.reciprocal_bits + 1
        r = self.row[:r_bits]
        reference = (
            self.row[r_bits:][: cfg.row_bits] if cfg.divides else self.row[-cfg.exponent_bits :]
        ).as_signed()
        results = []
        for i, word in enumerate(self.words):
            exponent, keep = word[bits:-1].as_signed(), word[-1]
            fall = Signal(len(reference), name=f"fall_{i}")  # never negative for elements that take part
            m.d.comb += fall.eq(reference - exponent)
            lane: Quotient | Scaled
            if cfg.divides:
                lane = Quotient(bits + 1, r_bits, len(fall), cfg.out_bits, cfg.split)
                m.d.comb += lane.r.eq(r)
            else:
                lane = Scaled(bits + 1, len(fall), cfg.out_bits, whole=1)
            place(m, f"lane_{i}", lane, platform)
            m.d.comb += [
                lane.keep.eq(keep),
                lane.mantissa.eq(Cat(word[:bits], Const(1, 1))),
                lane.places.eq(register(m, f"places_{i}", fall)),
            ]
            results.append(lane.result)
        if cfg.may_repeat:
            results.append(delay(m, self.row[-cfg.exponent_bits - 1], self.latency.results, name="repeated"))
        m.d.comb += self.answer.eq(Cat(results))
        return m
