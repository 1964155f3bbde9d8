"""Hardware of published units that follow a running maximum, for comparison: Softermax, SOLE and ITA."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.cores.softmax.exponential import rom
from hwgen.cores.softmax.latency import MAXIMUM, PEER_TERMS
from hwgen.cores.softmax.passes import FirstPass, SecondPass
from hwgen.cores.softmax.peers import ITA_NUMERATOR, SOLE_INVERSE, softermax_powers, softermax_reciprocals
from hwgen.cores.softmax.reciprocal import Divide, normalise
from hwgen.cores.softmax.stages import at_most, lanes_of, register, shift
from hwgen.cores.softmax.sums import LaneSum, RunningMaximum, RunningSum
from hwgen.emit import place
from hwgen.parts.delay import delay

__all__ = ["ItaFirst", "ItaSecond", "SofterFirst", "SofterSecond", "SoleFirst", "SoleSecond"]


class _ShiftingFirst(FirstPass):
    """A running maximum, terms that are shifted by how far they are below it, and their sum, which is too."""

    def elaborate(self, platform: Any) -> Module:
        """Build the maximum, the terms, the sum, and what is made of it."""
        m = Module()
        cfg, levels = self.config, self.latency.levels
        keep = register(m, "kept", self.keep)
        values, age = self._values(m, keep)
        top = RunningMaximum(len(values[0]), cfg.lanes, 2)
        place(m, "top", top, platform)
        valid = delay(m, self.take, age, reset=True, name="valid")
        last = delay(m, self.last, age, name="ends")
        m.d.comb += [
            top.valid.eq(valid),
            top.last.eq(last),
            top.values.eq(Cat(values)),
        ]
        terms = self._terms(m, delay(m, keep, age - 1 + levels + MAXIMUM, name="keep_delay"), top)
        lanes = LaneSum(len(terms[0]), cfg.lanes)
        place(m, "lane_sum", lanes, platform)
        m.d.comb += lanes.values.eq(Cat(terms))
        wait = PEER_TERMS - 2 + levels  # of the rises, of which one cycle is for their shifts: the sum's own
        rises = [self._places(getattr(top, f"rise_{i}")) for i in (1, 2)]
        total = RunningSum(len(lanes.value), cfg.total_bits, len(rises[0]))
        place(m, "sum", total, platform)
        m.d.comb += [
            total.valid.eq(delay(m, valid, levels + MAXIMUM + 1 + wait, reset=True, name="adds")),
            total.last.eq(delay(m, last, levels + MAXIMUM + 1 + wait, name="add_ends")),
            total.term.eq(lanes.value),
            *(
                getattr(total, f"places_{i}").eq(delay(m, rises[i - 1], wait - 1, name=f"fall_{i}_delay"))
                for i in (1, 2)
            ),
            *(
                getattr(total, f"young_{i}").eq(
                    delay(m, getattr(top, f"young_{i}"), wait, name=f"young_{i}_delay")
                )
                for i in (1, 2)
            ),
        ]
        m.d.comb += self.stat.eq(self._statistics(m, platform, total.total, top.top))
        return m

    def _masked(self, m: Module, keep: Value) -> Sequence[Value]:
        """Logits in registers, the smallest in lanes that take no part; what is kept is what they are."""
        cfg = self.config
        x = register(m, "logits", self.x)
        least = Const(1 << (cfg.in_bits - 1), cfg.in_bits)
        logits = lanes_of(x, cfg.lanes)
        self._logits = x
        return [Mux(keep[i], q, least) for i, q in enumerate(logits)]

    def _distances(self, m: Module, top: RunningMaximum) -> Sequence[Value]:
        """How far logits are below the maximum so far, in registers."""
        cfg = self.config
        late = delay(m, self._logits, self.latency.levels + MAXIMUM, name="logits_delay")
        return [
            register(m, f"distance_{i}", (top.top - q.as_signed())[: cfg.in_bits])
            for i, q in enumerate(lanes_of(late, cfg.lanes))
        ]

    def _until(self, m: Module, top: Value, age: int) -> Value:
        """The maximum, until ``age`` cycles before all of the row is known."""
        return delay(m, top, self.latency.statistics - age - self.latency.maximum, name="top_delay")

    @abstractmethod
    def _values(self, m: Module, keep: Value) -> tuple[Sequence[Value], int]:
        """Of what the maximum is taken, and its age."""

    @abstractmethod
    def _terms(self, m: Module, keep: Value, top: RunningMaximum) -> Sequence[Value]:
        """What the lanes add, PEER_TERMS cycles after the maximum; stores what is kept of them."""

    @abstractmethod
    def _places(self, rise: Value) -> Value:
        """The shift of a sum whose maximum has risen."""

    @abstractmethod
    def _statistics(self, m: Module, platform: Any, total: Value, top: Value) -> Value:
        """What the second pass needs."""


def _ita_places(distance: Value) -> Value:
    """32nds of an octave to the nearest octave."""
    return (distance + 16)[5:]


class ItaFirst(_ShiftingFirst):
    """ITA: exponentials are powers of two."""

    def _values(self, m: Module, keep: Value) -> tuple[Sequence[Value], int]:
        masked = self._masked(m, keep)
        logits = lanes_of(self._logits, self.config.lanes)
        m.d.comb += self.store.eq(Cat(Cat(q, keep[i]) for i, q in enumerate(logits)))
        return masked, 1

    def _terms(self, m: Module, keep: Value, top: RunningMaximum) -> Sequence[Value]:
        keep = delay(m, keep, 2, name="term_keep_delay")
        terms = []
        for i, distance in enumerate(self._distances(m, top)):
            code = register(m, f"code_{i}", _ita_places(distance))
            terms.append(register(m, f"term_{i}", (Mux(keep[i], 256, 0) >> code)[:9]))
        return terms

    def _places(self, rise: Value) -> Value:
        return _ita_places(rise)

    def _statistics(self, m: Module, platform: Any, total: Value, top: Value) -> Value:
        steps = self.config.out_bits
        divide = Divide(len(total) + steps - 1, steps, 1)
        place(m, "divide", divide, platform)
        m.d.comb += [divide.numerators.eq(ITA_NUMERATOR), divide.denominator.eq(total << (steps - 1))]
        return Cat(register(m, "inverse", divide.quotients), self._until(m, top, 0))


class ItaSecond(SecondPass):
    """ITA: the inverse of the sum, shifted."""

    def elaborate(self, platform: Any) -> Module:
        """Build a shift per lane."""
        m = Module()
        cfg = self.config
        inverse, top = self.row[: cfg.out_bits], self.row[cfg.out_bits :].as_signed()
        late = register(m, "inverse", inverse)
        late = register(m, "inverse_late", late)
        results = []
        for i, word in enumerate(self.words):
            distance = register(m, f"distance_{i}", (top - word[:-1].as_signed())[: cfg.in_bits])
            code = register(m, f"code_{i}", _ita_places(distance))
            keep = delay(m, word[-1], 2, name=f"keep_{i}_delay")
            results.append(register(m, f"result_{i}", Mux(keep, late >> code, 0), cfg.out_bits))
        m.d.comb += self.answer.eq(Cat(results))
        return m


class SoleFirst(_ShiftingFirst):
    """SOLE: exponentials are powers of two, of which four bits are kept."""

    def _values(self, m: Module, keep: Value) -> tuple[Sequence[Value], int]:
        return self._masked(m, keep), 1

    def _terms(self, m: Module, keep: Value, top: RunningMaximum) -> Sequence[Value]:
        keep = delay(m, keep, 2, name="term_keep_delay")
        terms, words = [], []
        for i, distance in enumerate(self._distances(m, top)):
            octaves = sole_octaves(self.config.in_fraction, distance)
            code = register(m, f"code_{i}", at_most(octaves, 15), 4)
            terms.append(register(m, f"term_{i}", (Mux(keep[i], 1 << 15, 0) >> code)[:16]))
            words.append(Cat(code, keep[i]))
        m.d.comb += self.store.eq(Cat(*words, delay(m, top.top, 2, name="store_top_delay")))
        return terms

    def _places(self, rise: Value) -> Value:
        return sole_octaves(self.config.in_fraction, rise)

    def _statistics(self, m: Module, platform: Any, total: Value, top: Value) -> Value:
        leading, zeros = normalise(m, total, 2)
        # From the highest bit that the sum has to the lowest power of two that it can be.
        above = register(m, "place", len(total) - 16 - zeros)
        return Cat(register(m, "half", leading[0]), above[: self.config.place_bits], self._until(m, top, 0))


def sole_octaves(fraction: int, distance: Value) -> Value:
    """Octaves of natural logits with so many fraction bits: 1 + 1/2 - 1/16 for log2(e)."""
    return (distance + (distance >> 1) - (distance >> 4))[fraction : len(distance) + 1]


class SoleSecond(SecondPass):
    """SOLE: one of two values for the mantissa's inverse, shifted."""

    def elaborate(self, platform: Any) -> Module:
        """Build a shift per lane."""
        m = Module()
        cfg = self.config
        half, above, top = self.row[0], self.row[1 : -cfg.in_bits], self.row[-cfg.in_bits :].as_signed()
        at = self.kept[-cfg.in_bits :].as_signed()
        distance = register(m, "distance", (top - at)[: cfg.in_bits])
        octaves = sole_octaves(cfg.in_fraction, distance)
        rise = register(m, "rise", octaves + register(m, "place", above))
        inverse = delay(m, Mux(half, SOLE_INVERSE[1], SOLE_INVERSE[0]), 3, name="inverse")
        results = []
        for i, word in enumerate(self.words):
            code, keep = delay(m, word[:-1], 2, name=f"code_{i}"), delay(m, word[-1], 3, name=f"keep_{i}")
            places = register(m, f"places_{i}", code + rise)
            results.append(register(m, f"result_{i}", Mux(keep, inverse >> places, 0), cfg.out_bits))
        m.d.comb += self.answer.eq(Cat(results))
        return m


class SofterFirst(_ShiftingFirst):
    """Softermax: the maximum of integers above the logits."""

    def _values(self, m: Module, keep: Value) -> tuple[Sequence[Value], int]:
        cfg = self.config
        ceilings, words = [], []
        age = delay(m, keep, 2, name="ceiling_keep_delay")
        for i, logit in enumerate(lanes_of(self.x, cfg.lanes)):
            octaves = register(
                m, f"octaves_{i}", register(m, f"logit_{i}", logit.as_signed()) * cfg.multiplier
            )
            rounded = Signal(signed(len(octaves) - cfg.multiplier_shift + 4), name=f"rounded_{i}")
            m.d.comb += rounded.eq(((octaves >> (cfg.multiplier_shift - 3)) + 1) >> 1)
            low, high = rounded < -128, rounded > 127
            clamped = register(m, f"clamped_{i}", Mux(low, -128, Mux(high, 127, rounded)), signed(8))
            ceiling = Signal(signed(7), name=f"ceiling_{i}")
            m.d.comb += ceiling.eq(Mux(age[i], (clamped + 3) >> 2, -32))
            ceilings.append(ceiling)
            words.append(Cat(clamped, age[i]))
        self._words = Cat(words)
        m.d.comb += self.store.eq(self._words)
        return ceilings, 3

    def _terms(self, m: Module, keep: Value, top: RunningMaximum) -> Sequence[Value]:
        cfg = self.config
        late = delay(m, self._words, self.latency.levels + MAXIMUM, name="words_delay")
        terms = []
        for i, word in enumerate(lanes_of(late, cfg.lanes)):
            whole = word[2:8].as_signed()
            places = register(m, f"places_{i}", (top.top - whole)[:7])
            power = rom(m, f"power_{i}", word[:2], softermax_powers().tolist(), 16)
            kept = register(m, f"keep_{i}", word[8])
            terms.append(shift(m, f"term_{i}", power & kept.replicate(16), places, 16))
        return terms

    def _places(self, rise: Value) -> Value:
        return rise

    def _statistics(self, m: Module, platform: Any, total: Value, top: Value) -> Value:
        cut = total[9:]
        clamped = register(m, "total", Mux(cut[16:].any(), (1 << 16) - 1, cut), 16)
        leading, zeros = normalise(m, clamped, 7)
        inverse = rom(m, "inverse", leading[:6], softermax_reciprocals().tolist(), 8)
        late = register(m, "zeros_held", zeros)
        # Where the sum's first one is, of 16 bits with six behind the point; nine for the product's point.
        reference = register(m, "reference", self._until(m, top, 1) + 9 + 15 - late, signed(9))
        return Cat(register(m, "inverse_held", inverse), reference)


class SofterSecond(SecondPass):
    """Softermax: products of seven fraction bits."""

    def elaborate(self, platform: Any) -> Module:
        """Build a product and a shift per lane."""
        m = Module()
        cfg = self.config
        inverse, reference = self.row[:8], self.row[8:].as_signed()
        late = register(m, "inverse", inverse)
        results = []
        for i, word in enumerate(self.words):
            power = rom(m, f"power_{i}", word[:2], softermax_powers().tolist(), 16)
            places = register(m, f"places_{i}", (reference - word[2:8].as_signed())[:9])
            product = register(m, f"product_{i}", power * late)
            shifted = shift(m, f"result_{i}", product, register(m, f"places_{i}_held", places), 9)
            keep = delay(m, word[8], 4, name=f"keep_{i}_delay")
            doubled = Mux(shifted[7:].any(), 255, shifted << 1)
            results.append(register(m, f"clamped_{i}", Mux(keep, doubled, 0), cfg.out_bits))
        m.d.comb += self.answer.eq(Cat(results))
        return m
