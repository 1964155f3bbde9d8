"""From codes to steps: which block, which of its slots, and which rows of values and indices they are in."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.cores.sparse_chain.shape import ROUND_BITS, ChainShape
from hwgen.emit import Unit
from hwgen.numerics import ceil_log2, index_bits
from hwgen.parts.select import select, words_of
from hwgen.parts.sparse import BLOCK

__all__ = ["CODE_BITS", "Decoder"]

CODE_BITS = 4
"""Width of a code."""

_DENSE = 5


class Decoder(Unit):
    """One step per cycle, empty blocks skipped.

    Three registers, each one ahead of the next: the *word* of sixteen codes, the *next* block that is not empty, the
    *item*, whose slots are the steps. A word of sixteen empty blocks is an item of one step without slots, so that a
    round always has one. A round lasts no less than the shape's ``least`` cycles, and ``gap`` cycles pass until the
    next one begins.

    Members
    -------
    start : In(1)
        Take the run below; the decoder is not ``busy``.
    blocks, rounds, base, weight_bits, spread : In
        Blocks along K and rounds of the run, at least one; first block in the operand memories; width of a weight;
        matrix-vector mode. All but ``start`` stay the same until the run has ended.
    code_valid, code : In, code_take : Out
        Words of codes.
    value_ready, index_ready, room : In(1)
        Another row of values, of indices, can be had; another round may begin.
    busy : Out(1)
        A run is under way.
    begins, last : Out(1)
        First and last cycle of a round.
    step : Out(1)
        Slots are taken; ``block``, ``turn``, ``dense``, ``four``, ``pair`` say which: block in the operand memories,
        step within it, all rows have a slot, groups of four, with two slots.
    value_new, index_new : Out(1)
        The step takes another row; ``value_word``, ``index_word`` is the way's word in it if ways take turns,
        ``value_unit`` the first 16-bit unit in the word (or in the one before it, if it does not end in it),
        ``index_half`` the half of the word.
    error : Out(1)
        A code that no pattern has, or one behind the last block.
    """

    def __init__(self, shape: ChainShape):
        self.shape = shape
        bits = shape.block_bits
        way_bits = index_bits(shape.ways)
        super().__init__({
            "start": In(1), "blocks": In(bits + 1), "rounds": In(ROUND_BITS), "base": In(bits),
            "weight_bits": In(4), "spread": In(1),
            "code_valid": In(1), "code": In(BLOCK * CODE_BITS), "code_take": Out(1),
            "value_ready": In(1), "index_ready": In(1), "room": In(1),
            "busy": Out(1), "begins": Out(1), "last": Out(1), "step": Out(1),
            "block": Out(bits), "turn": Out(4), "dense": Out(1), "four": Out(1), "pair": Out(1),
            "value_new": Out(1), "value_word": Out(way_bits), "value_unit": Out(3),
            "index_new": Out(1), "index_word": Out(way_bits), "index_half": Out(1), "error": Out(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``nm_decoder``."""
        return "nm_decoder"

    def elaborate(self, platform: Any) -> Module:
        """Build the three registers and the rounds."""
        m = Module()
        taken = Signal(name="next_taken")
        nxt = self._next(m, taken)
        self._steps(m, nxt, taken)
        return m

    def _next(self, m: Module, taken: Signal) -> dict[str, Value]:
        """Words of codes, and the next block that is not empty."""
        bits = self.shape.block_bits
        high = max(1, bits - 4)
        rounds_left = Signal(ROUND_BITS)
        words_left = Signal(high + 1)
        words = Signal(high + 1, name="round_words")
        word_valid = Signal()
        word_last = Signal()
        mask = Signal(BLOCK, name="blocks_left")
        codes = Signal(3 * BLOCK, name="word_codes", reset_less=True)
        number = Signal(high, name="word_number")
        next_valid = Signal()
        next_null = Signal(reset_less=True)
        next_final = Signal(reset_less=True)
        next_place = Signal(4 + high, reset_less=True)  # all of it: to see codes behind the last block
        next_code = Signal(3, reset_less=True)

        move = Signal(name="block_moves")
        rest = Signal(BLOCK, name="blocks_behind")
        first = Signal(4, name="first_block")
        empties = Signal(name="word_empties")
        load = Signal(name="word_loads")
        m.d.comb += [
            words.eq((self.blocks + 15) >> 4),
            rest.eq(mask & (mask - 1)),
            first.eq(_lowest(mask)),
            move.eq(word_valid & (~next_valid | taken)),
            empties.eq(move & (rest == 0)),
            load.eq((words_left != 0) & (~word_valid | empties) & self.code_valid),
            self.code_take.eq(load),
        ]
        with m.If(self.start):
            m.d.sync += [rounds_left.eq(self.rounds), words_left.eq(words), number.eq(0)]
        with m.If(empties):
            m.d.sync += word_valid.eq(0)
        with m.If(move):
            m.d.sync += mask.eq(rest)
        nibbles = words_of(self.code, CODE_BITS)
        with m.If(load):
            m.d.sync += [
                word_valid.eq(1),
                word_last.eq(words_left == 1),
                codes.eq(Cat(nibble[:3] for nibble in nibbles)),
                mask.eq(Cat((nibble != 0) & ~nibble[3] for nibble in nibbles)),
            ]
            with m.If(words_left == 1):
                m.d.sync += [
                    words_left.eq(Mux(rounds_left == 1, 0, words)),
                    rounds_left.eq(rounds_left - 1),
                ]
            with m.Else():
                m.d.sync += words_left.eq(words_left - 1)
        with m.If(empties):
            m.d.sync += number.eq(Mux(word_last, 0, number + 1))
        with m.If(move):
            m.d.sync += [
                next_valid.eq(1),
                next_null.eq(mask == 0),
                next_final.eq((rest == 0) & word_last),
                next_place.eq(Cat(first, number)),
                next_code.eq(select(words_of(codes, 3), first)),
            ]
        with m.Elif(taken):
            m.d.sync += next_valid.eq(0)
        beyond = Signal(name="beyond_blocks")
        unknown = Signal(name="unknown_code")
        m.d.sync += [
            unknown.eq(load & Cat(nibble[3] for nibble in nibbles).any()),
            beyond.eq(next_valid & ~next_null & (next_place >= self.blocks)),
        ]
        m.d.comb += self.error.eq(unknown | beyond)
        return {
            "valid": next_valid, "null": next_null, "final": next_final, "block": next_place[:bits],
            "code": next_code,
        }  # fmt: skip

    def _steps(self, m: Module, nxt: dict[str, Value], taken: Signal) -> None:
        """The item's steps, and the rounds that they make."""
        shape = self.shape
        item_valid = Signal()
        null = Signal(name="item_null", reset_less=True)
        final = Signal(name="item_final", reset_less=True)
        left = Signal(4, name="slots_left", reset_less=True)
        fresh = Signal(init=1)  # no cycle of the round has been
        padding = Signal()  # its slots are through, its least cycles are not
        rounds_left = Signal(ROUND_BITS, name="rounds_to_end")
        age = Signal(range(shape.least(False)), name="round_age")
        gap = Signal(range(shape.gap(True) + 1), name="gap_left")
        fire = Signal()
        ends = Signal(name="item_ends")
        round_ends = Signal()
        value_new, index_new = self._rows(m, fire & ~null)
        age_now = Mux(fresh, 0, age)
        long_enough = age_now == Mux(self.spread, shape.least(True) - 1, shape.least(False) - 1)
        has_value = ~value_new | self.value_ready
        has_index = self.dense | ~index_new | self.index_ready
        m.d.comb += [
            fire.eq(
                item_valid & ~padding & (~fresh | (self.room & (gap == 0))) & (null | (has_value & has_index))
            ),
            ends.eq(fire & (left == 0)),
            taken.eq(nxt["valid"] & (~item_valid | ends)),
            round_ends.eq(((ends & final) | padding) & long_enough),
            self.begins.eq(fire & fresh),
            self.step.eq(fire & ~null),
            self.last.eq(round_ends),
            self.value_new.eq(value_new & fire & ~null),
            self.index_new.eq(index_new & fire & ~null & ~self.dense),
            self.busy.eq(rounds_left != 0),
        ]
        code: Value = nxt["code"]
        slots = Signal(5, name="next_slots")
        four = code[1:] == 3
        m.d.comb += slots.eq(Mux(nxt["null"], 1, Mux(four, Mux(code[0], 8, 4), (1 << code) >> 1)))
        with m.If(taken):
            m.d.sync += [
                item_valid.eq(1),
                null.eq(nxt["null"]),
                final.eq(nxt["final"]),
                left.eq(slots - 1),
                self.turn.eq(0),
                self.block.eq(self.base + nxt["block"]),
                self.dense.eq(code == _DENSE),
                self.four.eq(four),
                self.pair.eq(four & code[0]),
            ]
        with m.Elif(ends):
            m.d.sync += item_valid.eq(0)
        with m.If(fire & ~ends):
            m.d.sync += [left.eq(left - 1), self.turn.eq(self.turn + 1)]
        with m.If(self.start):
            m.d.sync += rounds_left.eq(self.rounds)
        with m.Elif(round_ends):
            m.d.sync += rounds_left.eq(rounds_left - 1)
        with m.If(ends & final & ~long_enough):
            m.d.sync += padding.eq(1)
        with m.Elif(round_ends):
            m.d.sync += padding.eq(0)
        with m.If(fire & ~round_ends):
            m.d.sync += fresh.eq(0)
        with m.Elif(round_ends):
            m.d.sync += fresh.eq(1)
        with m.If((fire | ~fresh) & ~long_enough):
            m.d.sync += age.eq(age_now + 1)
        with m.If(round_ends & self.spread):
            m.d.sync += gap.eq(shape.gap(True))
        with m.Elif(gap != 0):
            m.d.sync += gap.eq(gap - 1)

    def _rows(self, m: Module, takes: Value) -> tuple[Value, Value]:
        """Where the next step's units of values, and its word of indices, are."""
        shape = self.shape
        ways = ceil_log2(shape.ways)
        value_new = Signal(name="wants_value")
        index_new = Signal(name="wants_index")
        # One way after the other uses a row, where they do not compute side by side.
        turns = Signal(name="ways_take_turns")
        m.d.comb += turns.eq(~self.spread if ways else 0)
        place = Signal(max(1, ways), name="index_place")
        half = Signal(name="second_half")
        word_through = ~self.four | half
        m.d.comb += [
            index_new.eq(~half & ((place == 0) | ~turns)),
            self.index_word.eq(place),
            self.index_half.eq(half),
        ]
        with m.If(self.start):
            m.d.sync += [place.eq(0), half.eq(0)]
        with m.Elif(takes & ~self.dense):
            m.d.sync += half.eq(self.four & ~half)
            if ways:
                with m.If(word_through & turns):
                    m.d.sync += place.eq(place + 1)
        if not shape.narrow:
            word = Signal(max(1, ways), name="value_place")
            m.d.comb += [value_new.eq((word == 0) | ~turns), self.value_word.eq(word), self.value_unit.eq(0)]
            with m.If(self.start):
                m.d.sync += word.eq(0)
            if ways:
                with m.Elif(takes & turns):
                    m.d.sync += word.eq(word + 1)
            return value_new, index_new
        # A unit's number within a row, of as many words as there are turns.
        unit = Signal(3 + ways, name="first_unit")
        behind = Signal(4 + ways, name="unit_behind")
        last = Signal(4 + ways, name="last_unit")
        kept = Signal(3 + ways, name="unit_kept")
        m.d.comb += [
            kept.eq(Mux(turns, unit, unit[:3]) if ways else unit),
            behind.eq(kept + self.weight_bits),
            last.eq(behind - 1),
            value_new.eq(
                (kept == 0) | Mux(turns, last[3 + ways], last[3:].any()) if ways else (kept == 0) | last[3]
            ),
            self.value_word.eq(last[3 : 3 + ways] if ways else 0),
            self.value_unit.eq(unit[:3]),
        ]
        with m.If(self.start):
            m.d.sync += unit.eq(0)
        with m.Elif(takes):
            m.d.sync += unit.eq(behind)
        return value_new, index_new


def _lowest(mask: Value) -> Value:
    """Number of the lowest bit that is set."""
    found: list[Value] = [mask[i] for i in range(len(mask))]
    # Halves: whether the lower one has a bit decides a digit.
    digits: list[Value] = []
    while len(found) > 1:
        half = len(found) // 2
        low = Cat(found[:half]).any()
        digits.append(~low)
        found = [Mux(low, found[i], found[half + i]) for i in range(half)]
    return Cat(reversed(digits))
