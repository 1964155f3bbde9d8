"""Packed sums to separate, signed sums."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit
from hwgen.numerics import bits_for_range
from hwgen.parts.chain.mac import mac_shapes, mac_style
from hwgen.parts.delay import delay
from hwgen.parts.packing import Packing

__all__ = ["Separate", "sum_shape"]


def sum_shape(packing: Packing, terms: int) -> Any:
    """Shape of a sum of ``terms`` products, with room for an increment that a bias may leave behind."""
    low, high = packing.product_range
    return signed(bits_for_range(low * terms - 1, high * terms))


class Separate(Unit):
    """One signed sum per field of a packed accumulator, ``Style.separate_cycles`` registers of latency.

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
        Whether ``p`` comes from the packing's blocks.

    Members
    -------
    p : In
        Packed sums.
    canary : In
        With a canary only: the upper fields' sums modulo a small power of two.
    s_<i> : Out
        Sum of the packing's field ``i``.
    """

    def __init__(self, packing: Packing, terms: int, weight_lanes: int, *, primitive: bool):
        self.packing = packing
        self.style = mac_style(packing, primitive)
        self.canary_bits = packing.scheme.canary_bits if self.style.count_bits(packing) else 0
        self.terms = terms
        self.fields = [f for f in packing.fields if f.weight_lane < weight_lanes]
        self.shape = sum_shape(packing, terms)
        members = {"p": In(mac_shapes(packing, terms, primitive)["p"])}
        if self.canary_bits:
            members["canary"] = In(self.style.count_bits(packing))
        members |= {f"s_{i}": Out(self.shape) for i in range(len(self.fields))}
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``separate`` and the number of sums and terms."""
        return f"separate_{len(self.fields)}_of_{self.terms}"

    def elaborate(self, platform: Any) -> Module:
        """Build the separation."""
        m = Module()
        if self.style.pipelined and self.canary_bits:
            self._in_turn(m)
            return m
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

    def _in_turn(self, m: Module) -> None:
        """Field by field, the lowest first: a cycle for what it lent, a cycle for taking that from those above."""
        packing, bits = self.packing, self.canary_bits
        spacing, top = packing.scheme.spacing, len(packing.fields) - 1
        rest = Signal.like(self.p, name="rest_0", reset_less=True)
        m.d.sync += rest.eq(self.p)
        for i in range(min(len(self.fields), top)):
            seen = rest[spacing : spacing + bits]
            count = delay(m, self.canary.word_select(i, bits), 2 * i + 1, name=f"count_{i}")
            found = Signal(self.shape, name=f"field_{i}", reset_less=True)
            borrow = Signal(name=f"borrow_{i}", reset_less=True)
            above = Signal(len(rest) - spacing - bits, name=f"above_{i}", reset_less=True)
            next_count = Signal(bits, name=f"low_{i + 1}", reset_less=True)
            m.d.sync += [
                found.eq(self._unbias(Cat(rest[:spacing], (seen - count)[:bits]))),
                borrow.eq(seen < count),
                above.eq(rest[spacing + bits :]),
                next_count.eq(count),
            ]
            after = Signal(signed(len(rest) - spacing), name=f"rest_{i + 1}", reset_less=True)
            m.d.sync += after.eq(Cat(next_count, above.as_signed() - borrow))
            rest = after
            m.d.comb += getattr(self, f"s_{i}").eq(delay(m, found, 2 * (top - i) - 1))
        if len(self.fields) > top:
            m.d.comb += getattr(self, f"s_{top}").eq(rest)

    def _unbias(self, field: Value) -> Value:
        if self.packing.scheme.lane_bits:
            return field.as_signed()
        if not self.packing.offset_binary:
            return field
        return (field ^ Const(1 << (len(field) - 1), len(field))).as_signed()
