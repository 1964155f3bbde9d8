"""Hardware of ``unified_max``: sums at a fixed bound, and once more at the true maximum where that is out of reach."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.latency import ALIGN, MAXIMUM
from hwgen.cores.softmax.pairs import Pair, PairsFirst
from hwgen.cores.softmax.stages import lanes_of, register
from hwgen.cores.softmax.sums import RowSum, RunningMaximum
from hwgen.emit import place
from hwgen.parts.delay import delay

__all__ = ["UnifiedFirst"]


class UnifiedFirst(PairsFirst):
    """``unified_max``: the sum is kept at a constant exponent.

    A row whose largest exponent is above it, or more than ``span`` below, goes by again from the row buffer, with
    its largest exponent in the place of the constant. Its beats take the way of new ones from the exponentials on;
    the sum of a new row that was interrupted waits.

    Members
    -------
    again, again_last : In(1)
        A beat that goes by again; it ends its row.
    again_word, again_row : In
        What was kept of it, and found out about its row.
    stat_again : Out(1)
        With ``stat``: the row has to go by again.
    """

    def __init__(self, config: SoftmaxConfig):
        super().__init__(
            config, again=In(1), again_last=In(1), again_word=In(config.kept_bits * config.lanes),
            again_row=In(config.stat_bits), stat_again=Out(1),
        )  # fmt: skip

    def _sum(
        self, m: Module, platform: Any, valid: Value, last: Value, pairs: list[Pair]
    ) -> tuple[Value, Value, Value]:
        cfg, levels = self.config, self.latency.levels
        bits = cfg.mantissa_bits
        largest = RunningMaximum(cfg.exponent_bits, cfg.lanes, 0)
        place(m, "top", largest, platform)
        m.d.comb += [
            largest.valid.eq(valid),
            largest.last.eq(last),
            largest.values.eq(Cat(p.exponent for p in pairs)),
        ]
        old_top = self.again_row[-cfg.exponent_bits :].as_signed()
        reference = Signal(signed(cfg.exponent_bits), name="reference")
        m.d.comb += reference.eq(Mux(self.again, old_top, cfg.phi))
        chosen, places = [], []
        for i, (pair, word) in enumerate(zip(pairs, lanes_of(self.again_word, cfg.lanes), strict=True)):
            new = Cat(pair.mantissa[:-1], pair.exponent, pair.keep)
            now = register(m, f"chosen_{i}", Mux(self.again, word, new))
            exponent = Mux(self.again, word[bits:-1].as_signed(), pair.exponent)
            places.append(register(m, f"places_{i}", (reference - exponent)[: cfg.exponent_bits]))
            chosen.append(Pair(now[-1], Cat(now[:bits], Const(1, 1)), now[bits:-1]))
        lanes = self._lane_sum(m, platform, chosen, places)
        totals = []
        age = 1 + ALIGN + levels
        for name, beat, end in (("new", valid, last), ("again", self.again, self.again_last)):
            total = RowSum(len(lanes.value), cfg.total_bits)
            place(m, f"sum_{name}", total, platform)
            m.d.comb += [
                total.valid.eq(delay(m, beat, age, reset=True, name=f"{name}_delay")),
                total.last.eq(delay(m, end, age, name=f"{name}_last_delay")),
                total.term.eq(lanes.value),
                total.carry.eq(lanes.carry),
            ]
            totals.append(total.total)
        self._repeated = delay(m, self.again, age + 1, name="repeated")
        top = Mux(
            self._repeated,
            delay(m, old_top, age + 1, name="old_top"),
            delay(m, largest.top, age + 1 - levels - MAXIMUM, name="top_age"),
        )
        return Mux(self._repeated, totals[1], totals[0]), Mux(self._repeated, top, cfg.phi), top

    def _ends(self, m: Module, top: Value, age: int) -> list[Value]:
        """Whether the row went by again, and its largest exponent."""
        cfg = self.config
        repeated = delay(m, self._repeated, age, name="repeated_age")
        kept = top != -(1 << (cfg.exponent_bits - 1))
        reached = (top <= cfg.phi) & (top >= cfg.phi - cfg.span)
        m.d.comb += self.stat_again.eq(register(m, "out_of_reach", ~repeated & kept & ~reached))
        return [register(m, "was_repeated", repeated), register(m, "largest", top)]
