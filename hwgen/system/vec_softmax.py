"""Softmax in the vector engine: rows of logits to exponentials in digits, and a scale for each row.

What a row's exponentials have to be divided by is known only when all of them have been added up. So they leave
undivided, the product with the values is made of them, and its requantiser divides: with parameters of this unit,
a word for every row (*late normalisation*, FuseMax, arXiv 2406.10491).
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.cores.softmax.latency import Latency
from hwgen.cores.softmax.pairs import PairsSecond, RunningFirst
from hwgen.emit import Unit, place
from hwgen.parts.delay import delay
from hwgen.parts.elastic.rtl import Rows
from hwgen.system.config import PARAMETER_BYTES, SystemConfig
from hwgen.system.vec_lane import DIGIT_BITS
from hwgen.system.vec_requantise import LOGIT_BITS
from hwgen.system.vec_timing import softmax_rows

__all__ = ["VecSoftmax"]

_SCALE_BITS = 24  # of a parameter's multiplier


class VecSoftmax(Unit):
    """Rows of logits, one word per cycle, without a pause within a run.

    Members
    -------
    starts : In(1)
        A run begins: the next row is the first of a block.
    valid, last, block : In(1)
        A word of logits; it ends a row; that row is the last of a block (n1).
    logits : In(16 · lanes)
        Signed, eight fraction bits.
    keep : In, keep_step, digit : In(1), shift : In(signed(5))
        Fields of ``vec.row``, constant during a run.
    out_valid, out_last, out : Out
        Words of digits; TLAST of a row.
    scale_valid, scale : Out
        The parameter of a row, the same in every lane.
    """

    def __init__(self, config: SystemConfig):
        assert config.softmax is not None
        self.config = config
        self.core = config.softmax
        lanes = config.lanes
        super().__init__({
            "starts": In(1), "valid": In(1), "last": In(1), "block": In(1), "logits": In(LOGIT_BITS * lanes),
            "keep": In(13), "keep_step": In(1), "digit": In(1), "shift": In(signed(5)),
            "out_valid": Out(1), "out_last": Out(1), "out": Out(8 * lanes),
            "scale_valid": Out(1), "scale": Out(8 * PARAMETER_BYTES * lanes),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``vec_softmax``."""
        return "vec_softmax"

    def elaborate(self, platform: Any) -> Module:
        """Build the two passes of the rows, and what is around them."""
        m = Module()
        cfg, core = self.config, self.core
        first, second = RunningFirst(core), PairsSecond(core)
        digits = cfg.softmax_digits * DIGIT_BITS
        shape = softmax_rows(cfg)
        rows = Rows(
            "softmax", len(first.store), len(first.stat), digits * cfg.lanes, shape, Latency(core).store
        )
        for name, unit in (("first_pass", first), ("second_pass", second), ("rows", rows)):
            place(m, name, unit, platform)
        m.d.comb += [
            # Every run lets the rows of the one before leave, and rows of one run are equally long: there is room.
            rows.in_valid.eq(self.valid),
            rows.in_last.eq(self.last),
            rows.out_ready.eq(1),
            first.take.eq(rows.take),
            first.last.eq(rows.take_last),
            first.x.eq(self.logits),
            first.keep.eq(self._keep(m)),
            rows.store.eq(first.store),
            rows.stat.eq(first.stat),
            second.kept.eq(rows.kept),
            second.row.eq(rows.row),
            rows.answer.eq(Cat(self._rounded(m, i, second.answer) for i in range(cfg.lanes))),
            self.out_valid.eq(rows.out_valid),
            self.out_last.eq(rows.out_last),
            # The DSP core counts the elements of its weights' blocks backwards.
            self.out.eq(
                Cat(self._digit(rows.out.word_select(i, digits)) for i in reversed(range(cfg.lanes)))
            ),
            self.scale_valid.eq(
                delay(m, rows.take_last, shape.stat_latency + 1, reset=True, name="scale_due")
            ),
        ]
        self._scale(m, first.stat[: core.scale_bits])
        return m

    def _keep(self, m: Module) -> Value:
        """Which elements of the word take part: those whose number in the row is below a limit."""
        lanes = self.config.lanes
        limit = Signal(14, name="row_limit")
        left = Signal(14, name="row_left")
        following = Signal(14, name="next_limit")
        m.d.comb += following.eq(Mux(self.block, self.keep, limit + self.keep_step))
        with m.If(self.starts):
            m.d.sync += [limit.eq(self.keep), left.eq(self.keep)]
        with m.Elif(self.valid):
            m.d.sync += left.eq(Mux(left < lanes, 0, left - lanes))
            with m.If(self.last):
                m.d.sync += [limit.eq(following), left.eq(following)]
        return Cat(left > i for i in range(lanes))

    def _rounded(self, m: Module, lane: int, answers: Value) -> Value:
        """An exponential without the bits that no digit holds, rounded, a cycle later."""
        bits, kept = self.core.out_bits, self.config.softmax_digits * DIGIT_BITS
        value = answers.word_select(lane, bits)
        total = Signal(kept + 1, name=f"rounded_{lane}")
        m.d.comb += total.eq(value[bits - kept :] + value[bits - kept - 1])
        result = Signal(kept, name=f"exponential_{lane}", reset_less=True)
        m.d.sync += result.eq(Mux(total[-1], (1 << kept) - 1, total))
        return result

    def _digit(self, value: Value) -> Value:
        """The digit that is asked for, as an activation."""
        if self.config.softmax_digits == 1:
            return Cat(value, Const(0, 1))
        return Cat(Mux(self.digit, value[:DIGIT_BITS], value[DIGIT_BITS:]), Const(0, 1))

    def _scale(self, m: Module, scale: Value) -> None:
        """A row's factor and shift as a requantiser's parameters; no bias."""
        bits = self.core.reciprocal_bits + 1
        dropped = self.core.out_bits - self.config.softmax_digits * DIGIT_BITS
        factor = Signal(bits, name="scale_factor", reset_less=True)
        places = Signal(6, name="scale_places", reset_less=True)
        m.d.sync += [
            factor.eq(scale[:bits]),
            places.eq(Mux(scale[:bits].any(), scale[bits:] - dropped - self.shift, 0)),
        ]
        word = Cat(Const(0, 32), factor, Const(0, _SCALE_BITS - bits), places, Const(0, 2))
        m.d.comb += self.scale.eq(Cat(word for _ in range(self.config.lanes)))
