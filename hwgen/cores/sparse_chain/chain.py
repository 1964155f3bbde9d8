"""Sixteen positions with the same rows of A, and the way on to the next chain."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.cores.sparse_chain.position import ACT_BITS, Position, position_bits
from hwgen.cores.sparse_chain.shape import ChainShape
from hwgen.emit import Unit, place
from hwgen.numerics import index_bits
from hwgen.parts.delay import delay
from hwgen.parts.select import words_of
from hwgen.parts.sparse import BLOCK

__all__ = ["SLOTS", "Chain", "slot_members"]

SLOTS = ("first", "block", "numbers", "weights")
"""What a step is to a chain."""


def slot_members(shape: ChainShape) -> dict[str, int]:
    """Width of each part of a step."""
    return {
        "first": 1,
        "block": shape.block_bits,
        "numbers": 4 * BLOCK,
        "weights": BLOCK * shape.slot_bits,
    }


class Chain(Unit):
    """Sums of sixteen columns for the chain's rows.

    A step moves on to the next chain as many cycles later as this chain yields words, so that chains end a round one
    after the other, each when the words of the one before have left.

    Members
    -------
    fill_en, fill_address, fill_data : In
        An activation of each of its rows.
    first, block, numbers, weights : In
        A step: it begins new sums; block of activations; rows of the block and weights of the 16 positions.
    next_first, next_block, next_numbers, next_weights : Out
        The same for the next chain.
    sums, wraps : Out
        Of all positions, position 0 lowest; five and six cycles after a step.
    """

    def __init__(self, shape: ChainShape):
        self.shape = shape
        sums, wraps = position_bits(shape)
        step = slot_members(shape)
        members: dict[str, Any] = {
            "fill_en": In(1), "fill_address": In(index_bits(shape.depth)),
            "fill_data": In(ACT_BITS * shape.shared.rows),
            **{name: In(width) for name, width in step.items()},
            **{f"next_{name}": Out(width) for name, width in step.items()},
            "sums": Out(BLOCK * sums),
        }  # fmt: skip
        if wraps:
            members["wraps"] = Out(BLOCK * wraps)
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``nm_chain``."""
        return "nm_chain"

    def elaborate(self, platform: Any) -> Module:
        """Build positions and registers."""
        m = Module()
        shape = self.shape
        later: dict[str, Value] = {}
        for name in SLOTS:
            value: Value = getattr(self, name)
            later[name] = Signal(len(value), name=f"{name}_1", reset_less=True)
            m.d.sync += later[name].eq(value)
            m.d.comb += getattr(self, f"next_{name}").eq(
                delay(m, later[name], shape.shared.words - 1, name=f"{name}_on")
            )
        fill_en = Signal(name="fills")
        fill_address = Signal(len(self.fill_address), name="fills_address", reset_less=True)
        fill_data = Signal(len(self.fill_data), name="fills_data", reset_less=True)
        m.d.sync += [
            fill_en.eq(self.fill_en),
            fill_address.eq(self.fill_address),
            fill_data.eq(self.fill_data),
        ]
        numbers, weights = words_of(self.numbers, 4), words_of(later["weights"], shape.slot_bits)
        sums, wraps = [], []
        for at in range(BLOCK):
            position = Position(shape)
            place(m, f"position_{at}", position, platform)
            m.d.comb += [
                position.fill_en.eq(fill_en),
                position.fill_address.eq(fill_address),
                position.fill_data.eq(fill_data),
                position.address.eq(Cat(numbers[at], self.block)),
                position.weight.eq(weights[at]),
                position.first.eq(later["first"]),
            ]
            sums.append(position.sums)
            if shape.primitive:
                wraps.append(position.wraps)
        m.d.comb += self.sums.eq(Cat(sums))
        if shape.primitive:
            m.d.comb += self.wraps.eq(Cat(wraps))
        return m
