"""One lane of the vector engine: the reduction of its inputs."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit

__all__ = ["DIGIT_BITS", "TERM_AGES", "VecLane"]

DIGIT_BITS = 7
"""Bits of a digit of its exponentials: an activation that is not negative."""

TERM_AGES = {"acc": 1, "act": 4}
"""Cycles from a buffer's answer to the term that it adds to the sum."""


class VecLane(Unit):
    """Sums, products, maxima of a stream of inputs.

    Ages are cycles since the buffer answered. Sums become the term at once; activations by way of a product: of
    ``x - zero`` (or the largest ``x`` so far) and ``weight`` (or the ``x - zero`` before).

    Parameters
    ----------
    logits : bool
        Whether the lane puts digits of exponentials together.

    Members
    -------
    acc_data : In(32), act_data : In(8)
        What the buffers answer.
    from_acc, is_max : In(1)
        Where terms come from; keep the largest. Constant during a run.
    take : In(1)
        ``acc_data`` is an input; always, if terms come from activations.
    first, chain : In(1), zero : In(signed(8)), weight : In(signed(16))
        Of the activation with age 1: it begins a reduction; multiply it with the one before instead of ``weight``.
    load : In(1)
        The term is a sum's first.
    digits : In(1)
        With ``logits`` only: sums are moved up by a digit before each further term.
    x : Out(8), term, total : Out(32)
        Activation with age 1, term, and reduction.
    """

    def __init__(self, logits: bool):
        self.logits = logits
        super().__init__({
            "acc_data": In(32), "act_data": In(8), "from_acc": In(1), "is_max": In(1), "take": In(1),
            "first": In(1), "chain": In(1), "zero": In(signed(8)), "weight": In(signed(16)), "load": In(1),
            "x": Out(8), "term": Out(32), "total": Out(signed(32)),
            **({"digits": In(1)} if logits else {}),
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
        total = Signal(signed(32), name="reduction", reset_less=True)
        keeps = Signal()
        before: Value = (
            Mux(self.digits, total << DIGIT_BITS, total)[:32].as_signed() if self.logits else total
        )
        m.d.comb += [
            keeps.eq(self.is_max & ~self.first & (operand > x)),
            self.x.eq(x),
            self.term.eq(term),
            self.total.eq(total),
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
        return m
