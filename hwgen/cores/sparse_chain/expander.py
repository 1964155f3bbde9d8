"""A way's words of values and indices to sixteen slots: weights at full width, activations by number."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.cores.sparse_chain.shape import ChainShape
from hwgen.emit import Unit
from hwgen.parts.select import select, words_of
from hwgen.parts.sparse import BLOCK

__all__ = ["Expander"]

_UNIT = 16  # a step takes as many of these bits as a weight has bits
_REACH = 2  # units of the word before that a step can begin in: steps of three units


class Expander(Unit):
    """Slots of one step, a cycle after the words that they are in.

    Members
    -------
    step, weight_bits, unit, half, turn, dense, four, pair : In
        As :class:`Decoder` gives them, in step with the words.
    value, index : In
        The way's words: the one that the step's values end in, and that of its indices.
    weights : Out(16 × slot bits)
        Two's complement; zero without a step.
    numbers : Out(16 × 4)
        Rows of the block; kept until the next step's.
    error : Out(1)
        A row that does not come behind the one that the step before had: no packed block has that.
    """

    def __init__(self, shape: ChainShape):
        self.shape = shape
        super().__init__({
            "step": In(1), "weight_bits": In(4), "unit": In(3), "half": In(1), "turn": In(4), "dense": In(1),
            "four": In(1), "pair": In(1), "value": In(8 * shape.value_word), "index": In(4 * BLOCK),
            "weights": Out(BLOCK * shape.slot_bits), "numbers": Out(4 * BLOCK), "error": Out(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``nm_expander``."""
        return "nm_expander"

    def elaborate(self, platform: Any) -> Module:
        """Build both selections and the registers behind them."""
        m = Module()
        whole: Value = self.value
        weights = self._narrow(m) if self.shape.narrow else whole
        with m.If(self.step):
            m.d.sync += self.weights.eq(weights)
        with m.Else():
            m.d.sync += self.weights.eq(0)
        halves = words_of(self.index, 2 * BLOCK)
        twos = words_of(Mux(self.half, halves[1], halves[0]), 2)
        group = Mux(self.pair, self.turn[1:3], self.turn[:2])
        numbers = []
        for two, four in zip(twos, words_of(self.index, 4), strict=True):
            numbers.append(Mux(self.dense, self.turn, Mux(self.four, Cat(two, group), four)))
        ascends = [now > before for now, before in zip(numbers, words_of(self.numbers, 4), strict=True)]
        m.d.sync += self.error.eq(self.step & (self.turn != 0) & ~Cat(ascends).all())
        with m.If(self.step):
            m.d.sync += self.numbers.eq(Cat(numbers))
        return m

    def _narrow(self, m: Module) -> Value:
        """Weights of 2, 3, 4 or 8 bits, each as 8."""
        units = words_of(self.value, _UNIT)
        before = Signal(_REACH * _UNIT, name="word_before", reset_less=True)
        with m.If(self.step):
            m.d.sync += before.eq(Cat(units[-_REACH:]))
        reaches = Signal(name="reaches_back")
        m.d.comb += reaches.eq(self.unit + self.weight_bits > len(units))
        held = words_of(before, _UNIT)
        for i in range(_REACH):
            at = len(units) - _REACH + i
            units[at] = Mux(reaches, held[i], units[at])
        taken = Signal(4 * _UNIT, name="units")
        m.d.comb += taken.eq(
            Cat(
                select([units[(place + i) % len(units)] for place in range(len(units))], self.unit)
                for i in range(4)
            )
        )
        wide = words_of(self.value, 8)
        out = []
        for slot in range(BLOCK):
            two, three, four = (taken[bits * slot : bits * slot + bits].as_signed() for bits in (2, 3, 4))
            narrow = Mux(self.weight_bits[2], four, Mux(self.weight_bits[0], three, two))
            out.append(Mux(self.weight_bits[3], wide[slot].as_signed(), narrow).as_unsigned())
        return Cat(out)
