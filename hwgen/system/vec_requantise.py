"""What is behind the vector engine's lanes: a requantiser for one of them, or for several in turn."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.parts.delay import delay
from hwgen.parts.requantise import MODES
from hwgen.parts.requantise.rtl import Requantise

__all__ = ["LOGIT_BITS", "VecRequantise"]

_ACC_BITS, _SCALE_BITS, _SHIFT_BITS = 32, 24, 6
_PARAMETER_BITS = 64

LOGIT_BITS = 16
"""Width of the logits that softmax takes."""


class VecRequantise(Unit):
    """Complete reductions of some lanes, requantised one after the other.

    Timing: the reductions are all there in the cycle of ``complete``, the parameters of the first in the cycle before,
    those of the next in that cycle, and so on. All results are in ``y`` when the last one is: the requantiser's latency
    after ``complete``, and a cycle for every lane but the first. ``complete`` comes no oftener than there are lanes.

    Parameters
    ----------
    mode : str
        Of the requantiser.
    scale_bits : int
        Width of its multiplier.
    lanes : int
        Lanes whose reductions it takes.
    logits : bool
        Whether it makes logits too, of :data:`LOGIT_BITS`; of one lane.
    made_of : str
        What the requantiser's multiplier is made of.

    Members
    -------
    totals : In(32 × lanes), par_data : In(64)
        Reductions, and a parameter: from the lowest bit, bias (32 bits), multiplier (24), shift (8).
    complete : In(1)
        With several lanes only.
    rounding, zero_point, low, high : In
        Of the requantiser; there is a choice of rounding in mode ``nearest`` only.
    is_logit : In(1)
        With ``logits`` only: results are logits.
    y : Out(8 × lanes), logit : Out(16)
        Results.
    """

    def __init__(self, mode: str, scale_bits: int, lanes: int, logits: bool, made_of: str):
        assert lanes == 1 or not logits
        self.mode = mode
        self.scale_bits = scale_bits
        self.lanes = lanes
        self.logits = logits
        self.made_of = made_of
        super().__init__({
            "totals": In(_ACC_BITS * lanes), "par_data": In(_PARAMETER_BITS), "rounding": In(1),
            "zero_point": In(signed(8)), "low": In(signed(8)), "high": In(signed(8)), "y": Out(8 * lanes),
            **({"complete": In(1)} if lanes > 1 else {}),
            **({"is_logit": In(1), "logit": Out(LOGIT_BITS)} if logits else {}),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``vec_requantise``."""
        return "vec_requantise"

    def elaborate(self, platform: Any) -> Module:
        """Build the requantiser and what waits around it."""
        m = Module()
        parameter = Signal(_ACC_BITS + _SCALE_BITS + _SHIFT_BITS, name="held_parameter", reset_less=True)
        m.d.sync += parameter.eq(self.par_data)
        out_bits = LOGIT_BITS if self.logits else 8
        requantise = Requantise(self.mode, self.scale_bits, out_bits, made_of=self.made_of)
        place(m, "requantiser", requantise, platform)
        zero, low, high = self.zero_point, self.low, self.high
        if self.logits:
            most = 1 << (LOGIT_BITS - 1)
            zero, low, high = (
                Mux(self.is_logit, Const(end, signed(LOGIT_BITS)), value)
                for end, value in ((0, zero), (-most, low), (most - 1, high))
            )
            m.d.comb += self.logit.eq(requantise.y)
        m.d.comb += [
            requantise.acc.eq(self._one_by_one(m)),
            requantise.bias.eq(parameter[:_ACC_BITS]),
            requantise.multiplier.eq(parameter[_ACC_BITS : _ACC_BITS + self.scale_bits]),
            requantise.shift.eq(parameter[_ACC_BITS + _SCALE_BITS :]),
            requantise.zero.eq(zero),
            requantise.low.eq(low),
            requantise.high.eq(high),
        ]
        if MODES[self.mode].rounding is None:
            m.d.comb += requantise.rounding.eq(self.rounding)
        results = [requantise.y[:8]]
        for i in range(1, self.lanes):
            results.insert(0, delay(m, results[0], 1, name=f"result_{i}"))
        m.d.comb += self.y.eq(Cat(results))
        return m

    def _one_by_one(self, m: Module) -> Value:
        """The first lane's reduction when it is complete, then those of the others."""
        totals: list[Value] = [self.totals.word_select(i, _ACC_BITS) for i in range(self.lanes)]
        if self.lanes == 1:
            return totals[0]
        waiting = [Signal(_ACC_BITS, name=f"waiting_{i}", reset_less=True) for i in range(1, self.lanes)]
        for i, register in enumerate(waiting):
            with m.If(self.complete):
                m.d.sync += register.eq(totals[i + 1])
            if i + 1 < len(waiting):
                with m.Else():
                    m.d.sync += register.eq(waiting[i + 1])
        return Mux(self.complete, totals[0], waiting[0])
