"""The hardware of the corner turn: three exchanges of a bit of the time with a bit of the lane."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit
from hwgen.numerics import ceil_log2
from hwgen.parts.corner_turn.layout import LATENCY
from hwgen.parts.delay import delay

__all__ = ["CornerTurn"]

_LANES = 8  # bits of the widest value: planes are exchanged within a byte
_EXCHANGES = 3


class CornerTurn(Unit):
    """Blocks of packed values in, their bit planes out, one word per cycle without a gap.

    A block is ``travel`` = 1, 2, 4 or 8 words of ``width / travel`` values each, in consecutive cycles; any
    number of cycles may lie between two blocks. Plane ``p`` (its values' bits of weight 2**p) leaves
    :data:`LATENCY` cycles after word ``p``; bit ``k`` of a plane is of value ``k``, which came in word
    ``k % travel``, lane ``k // travel``.

    Members
    -------
    i : In(width)
        Words.
    first : In(1)
        This word is a block's first.
    travel_log : In(2)
        Binary logarithm of ``travel``; taken with the first word.
    count : In
        Values in the block, 1..width; taken with the first word. Bits of values beyond them are zero in the
        planes, whatever came in.
    o : Out(width)
        Planes.
    """

    def __init__(self, width: int):
        self.width = width
        super().__init__(
            {
                "i": In(width),
                "first": In(1),
                "travel_log": In(2),
                "count": In(ceil_log2(width) + 1),
                "o": Out(width),
            }
        )

    @property
    def kind(self) -> str:
        """``corner_turn`` and its width."""
        return f"corner_turn_{self.width}"

    def elaborate(self, platform: Any) -> Module:
        """Build the exchanges and the mask."""
        m = Module()
        held = Signal(2)
        held_phase = Signal(_EXCHANGES)
        travel = Signal(2)
        phase = Signal(_EXCHANGES)
        m.d.comb += [
            travel.eq(Mux(self.first, self.travel_log, held)),
            phase.eq(Mux(self.first, 0, held_phase)),
        ]
        m.d.sync += [held.eq(travel), held_phase.eq(phase + 1)]
        word: list[Any] = [self.i[n] for n in range(self.width)]
        age = 0
        for stage in range(_EXCHANGES):
            swap = Signal(name=f"swap_{stage}")
            m.d.comb += swap.eq(phase[stage] & (travel > stage))
            word = self._exchange(m, word, stage, delay(m, swap, age))
            age += 1 << stage
        planes = Signal(self.width, reset_less=True)
        m.d.sync += planes.eq(Cat(word) & self._inside(m, age - 1))
        m.d.comb += self.o.eq(planes)
        assert age + 1 == LATENCY
        return m

    def _exchange(self, m: Module, word: list[Any], stage: int, swap: Value) -> list[Any]:
        """Exchange bit ``stage`` of the time with bit ``stage`` of the lane while ``swap`` follows the time."""
        later = 1 << stage
        even = [n for n in range(self.width) if not n >> stage & 1]
        odd = [n for n in range(self.width) if n >> stage & 1]
        straight = Cat(word[n] for n in even)
        waited = delay(m, Cat(word[n] for n in odd), later, name=f"before_{stage}")
        low, high = Signal(len(even), name=f"low_{stage}"), Signal(len(even), name=f"high_{stage}")
        m.d.comb += [low.eq(Mux(swap, waited, straight)), high.eq(Mux(swap, straight, waited))]
        out = delay(m, low, later, name=f"after_{stage}")
        result = list(word)
        for at, (n, other) in enumerate(zip(even, odd, strict=True)):
            result[n], result[other] = out[at], high[at]
        return result

    def _inside(self, m: Module, age: int) -> Value:
        """Bits of the values that are in the block; from ``age`` cycles after its first word to the next one's."""
        first = delay(m, self.first, age, name="first_delay")
        count = delay(m, self.count, age, name="count_delay")
        groups = self.width // _LANES
        whole = Signal(groups, reset_less=True)
        part = Signal(groups, reset_less=True)
        few = Signal(_LANES - 1, reset_less=True)
        number = count[_EXCHANGES:]
        with m.If(first):
            m.d.sync += [
                whole.eq(Cat(number > g for g in range(groups))),
                part.eq(Cat(~(number ^ g).any() for g in range(groups))),
                few.eq(Cat(count[:_EXCHANGES] > lane for lane in range(_LANES))),
            ]
        begun = Cat(few, C(0, 1))  # a group's last value is inside only if the whole group is
        return Cat(whole[n // _LANES] | (part[n // _LANES] & begun[n % _LANES]) for n in range(self.width))
