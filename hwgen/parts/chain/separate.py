"""Packed sums to separate, signed sums."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit
from hwgen.numerics import bits_for_range
from hwgen.parts.chain.mac import mac_shapes
from hwgen.parts.packing import Packing

__all__ = ["Separate", "sum_shape"]


def sum_shape(packing: Packing, terms: int) -> Any:
    """Shape of a sum of ``terms`` products, with room for an increment that a bias may leave behind."""
    low, high = packing.product_range
    return signed(bits_for_range(low * terms - 1, high * terms))


class Separate(Unit):
    """One signed sum per field of a packed accumulator, one register of latency.

    Numerics: sum ``i`` is left ``packing.increment(i)`` too small; whoever adds it next adds that by the
    carry-in that it has for free.

    Parameters
    ----------
    packing : Packing
        Where the fields are.
    terms : int
        Products per sum, at most ``packing.max_terms``.
    weight_lanes : int
        Weight lanes in use; sums of the others are not built.
    primitive : bool
        Whether ``p`` comes from DSP48E2 instances.

    Members
    -------
    p : In
        Packed sums.
    canary : In
        With a canary only: the upper field's sum modulo a small power of two.
    s_<i> : Out
        Sum of the packing's field ``i``.
    """

    def __init__(self, packing: Packing, terms: int, weight_lanes: int, *, primitive: bool):
        self.packing = packing
        self.canary_bits = packing.scheme.canary_bits if primitive else 0
        self.terms = terms
        self.fields = [f for f in packing.fields if f.weight_lane < weight_lanes]
        self.shape = sum_shape(packing, terms)
        members = {"p": In(mac_shapes(packing, terms, primitive)["p"])}
        if self.canary_bits:
            members["canary"] = In(self.canary_bits)
        members |= {f"s_{i}": Out(self.shape) for i in range(len(self.fields))}
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``separate`` and the number of sums and terms."""
        return f"separate_{len(self.fields)}_of_{self.terms}"

    def elaborate(self, platform: Any) -> Module:
        """Build the separation."""
        m = Module()
        packing, spacing = self.packing, self.packing.scheme.spacing
        for i, field in enumerate(self.fields):
            out = Signal(self.shape, name=f"field_{i}", reset_less=True)
            at = field.offset
            top = i == len(packing.fields) - 1
            if self.canary_bits == 0:
                value = self.p[at:].as_signed() if top else self._unbias(self.p[at : at + spacing])
            elif top:
                # The field above a canary: its low bits are the canary itself, and the rest is one less
                # where the low bits seen are below it, because then a carry from below went past them.
                bits = self.canary_bits
                borrow = self.p[at : at + bits] < self.canary
                value = Cat(self.canary, self.p[at + bits :].as_signed() - borrow).as_signed()
            else:
                above = self.p[at + spacing : at + packing.window]
                carry = (above - self.canary)[: self.canary_bits]
                value = self._unbias(Cat(self.p[at : at + spacing], carry))
            m.d.sync += out.eq(value)
            m.d.comb += getattr(self, f"s_{i}").eq(out)
        return m

    def _unbias(self, field: Value) -> Value:
        if not self.packing.offset_binary:
            return field
        return (field ^ Const(1 << (len(field) - 1), len(field))).as_signed()
