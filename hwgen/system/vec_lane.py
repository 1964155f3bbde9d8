"""One lane of the vector engine: reduction of the inputs, and a requantiser behind it."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.parts.requantise import MODES
from hwgen.parts.requantise.rtl import Requantise

__all__ = ["DIGIT_BITS", "LOGIT_BITS", "TERM_AGES", "VecLane"]

_BIAS_BITS, _SCALE_BITS, _SHIFT_BITS = 32, 24, 6

LOGIT_BITS = 16
"""Width of the logits that softmax takes."""

DIGIT_BITS = 7
"""Bits of a digit of its exponentials: an activation that is not negative."""

TERM_AGES = {"acc": 1, "act": 4}
"""Cycles from a buffer's answer to the term that it adds to the sum."""


class VecLane(Unit):
    """Sums, products, maxima of a stream of inputs, requantised.

    Ages are cycles since the buffer answered. Sums become the term at once; activations by way of a product: of
    ``x - zero`` (or the largest ``x`` so far) and ``weight`` (or the ``x - zero`` before).

    Parameters
    ----------
    mode : str
        Of the requantiser.
    scale_bits : int
        Width of its multiplier.
    logits : bool
        Whether the lane makes logits too, of :data:`LOGIT_BITS`, and puts digits together.
    made_of : str
        What the requantiser's multiplier is made of.

    Members
    -------
    acc_data : In(32), act_data : In(8), par_data : In(64)
        What the buffers answer; the parameter's age is one less than that of the complete reduction.
    from_acc, is_max : In(1)
        Where terms come from; keep the largest. Constant during a run.
    take : In(1)
        ``acc_data`` is an input; always, if terms come from activations.
    first, chain : In(1), zero : In(signed(8)), weight : In(signed(16))
        Of the activation with age 1: it begins a reduction; multiply it with the one before instead of ``weight``.
    load : In(1)
        The term is a sum's first.
    rounding, zero_point, low, high : In
        Of the requantiser; there is a choice of rounding in mode ``nearest`` only.
    is_logit, digits : In(1)
        With ``logits`` only: results are logits; sums are moved up by a digit before each further term.
    x : Out(8), term : Out(32), y : Out(8), logit : Out(16)
        Activation with age 1, term, and result.
    """

    def __init__(self, mode: str, scale_bits: int, logits: bool, made_of: str):
        self.mode = mode
        self.scale_bits = scale_bits
        self.logits = logits
        self.made_of = made_of
        super().__init__({
            "acc_data": In(32), "act_data": In(8), "par_data": In(64),
            "from_acc": In(1), "is_max": In(1), "take": In(1),
            "first": In(1), "chain": In(1), "zero": In(signed(8)), "weight": In(signed(16)), "load": In(1),
            "rounding": In(1), "zero_point": In(signed(8)), "low": In(signed(8)), "high": In(signed(8)),
            "x": Out(8), "term": Out(32), "y": Out(8),
            **({"is_logit": In(1), "digits": In(1), "logit": Out(LOGIT_BITS)} if logits else {}),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``vec_lane``."""
        return "vec_lane"

    def elaborate(self, platform: Any) -> Module:
        """Build the reduction."""
        m = Module()
        x = Signal(signed(8), name="act", reset_less=True)
        operand = Signal(signed(9), reset_less=True)
        factor = Signal(signed(16), reset_less=True)
        product = Signal(signed(25), reset_less=True)
        term = Signal(signed(32), name="addend", reset_less=True)
        total = Signal(signed(32), reset_less=True)
        keeps = Signal()
        before: Value = (
            Mux(self.digits, total << DIGIT_BITS, total)[:32].as_signed() if self.logits else total
        )
        m.d.comb += [
            keeps.eq(self.is_max & ~self.first & (operand > x)),
            self.x.eq(x),
            self.term.eq(term),
        ]
        m.d.sync += [
            x.eq(self.act_data),
            operand.eq(Mux(keeps, operand, x - self.zero)),
            factor.eq(Mux(self.chain, operand, self.weight)),
            product.eq(operand * factor),
            total.eq(term + Mux(self.load, 0, before)),
        ]
        with m.If(self.take):
            m.d.sync += term.eq(Mux(self.from_acc, self.acc_data, product))

        parameter = Signal(_BIAS_BITS + _SCALE_BITS + _SHIFT_BITS, name="held_parameter", reset_less=True)
        m.d.sync += parameter.eq(self.par_data)
        scale: Value = parameter[_BIAS_BITS : _BIAS_BITS + self.scale_bits]
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
            requantise.acc.eq(total),
            requantise.bias.eq(parameter[:_BIAS_BITS]),
            requantise.multiplier.eq(scale),
            requantise.shift.eq(parameter[_BIAS_BITS + _SCALE_BITS :]),
            requantise.zero.eq(zero),
            requantise.low.eq(low),
            requantise.high.eq(high),
            self.y.eq(requantise.y),
        ]
        if MODES[self.mode].rounding is None:
            m.d.comb += requantise.rounding.eq(self.rounding)
        return m
