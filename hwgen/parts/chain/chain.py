"""A chain: one column of multipliers along K whose sums leave at the end."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.parts.chain.mac import Mac, mac_shapes, mac_style
from hwgen.parts.packing import Packing

__all__ = ["Chain"]


class Chain(Unit):
    """``p`` = bias + sum over the rows of weight × activation, packed.

    Timing: row ``r``'s activation enters ``r`` cycles after row 0's; the sum is in ``p`` ``rows + 3`` cycles
    after row 0's, pipelined ``rows + 5``. Weights enter at row 0 and move one row per cycle in which ``load`` of
    that row is set.

    Parameters
    ----------
    packing : Packing
        Operand formats and placement.
    rows : int
        Length.
    terms : int
        Length of the longest chain of the design, which fixes the widths of all.
    primitive : bool
        The packing's block if true, otherwise ``*`` and one product each.
    first : bool
        Whether weights come from the fabric or continue the chain before.

    Members
    -------
    w_in, w_out : In, Out
        Packed weights.
    load, swap : In(rows)
        One bit per row.
    a : In(rows × width)
        Packed activations, row 0 lowest.
    p : Out
        Packed sums.
    low_in, low_out, canary : In, Out
        With a canary only; ``canary`` is in step with ``p``.
    """

    def __init__(self, packing: Packing, rows: int, *, terms: int, primitive: bool, first: bool):
        self.packing = packing
        self.rows = rows
        self.terms = terms
        self.primitive = primitive
        self.first = first
        self.shapes = mac_shapes(packing, terms, primitive)
        self.act_bits = packing.packed_act_bits
        self.style = mac_style(packing, primitive)
        self.count_bits = self.style.count_bits(packing)
        members = {
            "w_in": In(self.shapes["w"]),
            "w_out": Out(self.shapes["w"]),
            "load": In(rows),
            "swap": In(rows),
            "a": In(rows * self.act_bits),
            "p": Out(self.shapes["p"]),
        }
        if self.count_bits:
            low_bits = self.style.low_bits(packing)
            members |= {"low_in": In(low_bits), "low_out": Out(low_bits)}
            members |= {"canary": Out(self.count_bits)}
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``chain``, its length, and whether it continues another."""
        return f"chain_{self.rows}{'' if self.first else '_next'}"

    def elaborate(self, platform: Any) -> Module:
        """Build the chain."""
        m = Module()
        w: Any = self.w_in
        p: Any = None
        low: Any = self.low_in if self.count_bits else None
        canary: Any = None
        signed_act = self.packing.act.signed
        for row in range(self.rows):
            mac = Mac(
                self.packing,
                self.terms,
                primitive=self.primitive,
                head=row == 0,
                cascade=row > 0 or not self.first,
            )
            place(m, f"row_{row}", mac, platform)
            act = self.a.word_select(row, self.act_bits)
            m.d.comb += [
                mac.w_in.eq(w),
                mac.load.eq(self.load[row]),
                mac.swap.eq(self.swap[row]),
                mac.a.eq(act.as_signed() if signed_act else act),
            ]
            if p is not None:
                m.d.comb += mac.p_in.eq(p)
            w, p = mac.w_out, mac.p_out if self.style.cascade else mac.p
            if self.count_bits:
                m.d.comb += mac.low_in.eq(low)
                if canary is not None:
                    m.d.comb += mac.canary_in.eq(canary)
                low, canary = mac.low_out, mac.canary_out
        m.d.comb += [self.w_out.eq(w), self.p.eq(mac.p)]
        if self.count_bits:
            if not self.style.pipelined:
                in_step = Signal(self.count_bits, reset_less=True)  # the count runs a cycle ahead of the sums
                m.d.sync += in_step.eq(canary)
                canary = in_step
            m.d.comb += [self.low_out.eq(low), self.canary.eq(canary)]
        return m
