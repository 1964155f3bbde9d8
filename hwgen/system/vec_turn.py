"""Blocks of words in, the same blocks turned by a quarter out: for transposing, and for bit planes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.numerics import ceil_log2, index_bits

__all__ = ["Turn"]


class Turn(Unit):
    """Part ``k`` of the word ``l`` that leaves was part ``l`` of the word ``k`` that came.

    A block is 1..``rows`` words; they come in any cycles. It leaves as ``count`` words in consecutive cycles, the
    first of them in ``o`` four cycles after the block's last word; parts that no word came for are zero. The next
    block may follow at once if no block takes less than ``count`` cycles, from its first word to the next one's.

    The parts of a word lie in different memories, those of a column too, each word one memory further than the one
    before: so a word is written, and a column is read, in one cycle.

    Parameters
    ----------
    name : str
        What distinguishes the module.
    rows, parts : int
        Powers of two, ``parts`` at least 2.
    bits : int
        Width of a part.

    Members
    -------
    i : In(parts × bits), write : In(1)
        A word.
    last, mark : In(1)
        It ends its block; a mark of the block, given with its last word.
    count : In
        Words that leave per block, 1..``parts``; must not change while a block is inside.
    o : Out(rows × bits)
        A word that leaves.
    coming, coming_marked : Out(1)
        In the next cycle ``o`` holds a word; it is the last one of a marked block.
    comes, comes_marked : Out(1)
        The same, a cycle before.
    """

    def __init__(self, name: str, rows: int, parts: int, bits: int):
        self.name = name
        self.rows = rows
        self.parts = parts
        self.bits = bits
        super().__init__({
            "i": In(parts * bits), "write": In(1), "last": In(1), "mark": In(1),
            "count": In(ceil_log2(parts) + 1), "o": Out(rows * bits), "coming": Out(1), "coming_marked": Out(1),
            "comes": Out(1), "comes_marked": Out(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``turn`` and the name."""
        return f"turn_{self.name}"

    def elaborate(self, platform: Any) -> Module:
        """Build the memories and the two rotations."""
        m = Module()
        count = max(self.rows, self.parts)
        banks = [_Bank(self.name, 2 * self.parts, self.bits) for _ in range(count)]
        for n, bank in enumerate(banks):
            place(m, f"bank_{n}", bank, platform)
        self._read(m, banks, *self._write(m, banks))
        return m

    def _write(self, m: Module, banks: list[_Bank]) -> tuple[Value, Value, Value, Value]:
        """Put words in place; returns end of block, its mark, its half and the rows present."""
        part_bits = ceil_log2(self.parts)
        row = Signal(ceil_log2(len(banks)), name="row")
        half = Signal(name="half")  # blocks take turns: one is written while the one before is read
        with m.If(self.write):
            m.d.sync += row.eq(Mux(self.last, 0, row + 1))
            with m.If(self.last):
                m.d.sync += half.eq(~half)
        word = [self.i.word_select(n, self.bits) for n in range(self.parts)]
        turned = Signal(self.parts * self.bits, name="turned", reset_less=True)
        m.d.sync += turned.eq(Cat(_rotate(m, "spread", word, row[:part_bits], 1)))
        written = Signal(name="written")
        ended = Signal(name="block_ended")
        marked = Signal(name="block_marked", reset_less=True)
        row_was = Signal(len(row), name="row_was", reset_less=True)
        half_was = Signal(name="half_was", reset_less=True)
        present = Signal(self.rows, name="present", reset_less=True)
        m.d.sync += [
            written.eq(self.write),
            ended.eq(self.write & self.last),
            marked.eq(self.mark),
            row_was.eq(row),
            half_was.eq(half),
        ]
        with m.If(self.write & self.last):
            m.d.sync += present.eq(Cat(row >= n if n else Value.cast(1) for n in range(self.rows)))
        for n, bank in enumerate(banks):
            part = Signal(
                len(row), name=f"part_{n}"
            )  # of the word; beyond the last one if the bank gets none
            m.d.comb += [
                part.eq(n - row_was),
                bank.write_en.eq(written & ~part[part_bits:].any() if len(part) > part_bits else written),
                bank.write_address.eq(Cat(part[:part_bits], half_was)),
                bank.write_data.eq(turned.word_select(n % self.parts, self.bits)),
            ]
        return ended, marked, half_was, present

    def _read(
        self, m: Module, banks: list[_Bank], ended: Value, marked: Value, half_was: Value, present: Value
    ) -> None:
        """Give the block's words as soon as all of it is there."""
        part_bits = ceil_log2(self.parts)
        giving = Signal(name="giving")
        mark = Signal(name="kept_mark", reset_less=True)
        half = Signal(name="read_half", reset_less=True)
        number = Signal(part_bits, name="number", reset_less=True)
        number_was = Signal(part_bits, name="number_was", reset_less=True)
        through = Signal(name="given_all")
        m.d.comb += [
            through.eq(number + 1 == self.count),
            self.comes.eq(giving),
            self.comes_marked.eq(giving & through & mark),
        ]
        with m.If(ended):
            m.d.sync += [giving.eq(1), number.eq(0), mark.eq(marked), half.eq(half_was)]
        with m.Elif(giving):
            m.d.sync += number.eq(number + 1)
            with m.If(through):
                m.d.sync += giving.eq(0)
        m.d.sync += [
            number_was.eq(number),
            self.coming.eq(self.comes),
            self.coming_marked.eq(self.comes_marked),
        ]
        for bank in banks:
            m.d.comb += bank.read_address.eq(Cat(number, half))
        column = _rotate(m, "gather", [bank.read_data for bank in banks], number_was, -1)
        word = Signal(self.rows * self.bits, name="word", reset_less=True)
        m.d.sync += word.eq(Cat(Mux(present[n], column[n], 0) for n in range(self.rows)))
        m.d.comb += self.o.eq(word)


def _rotate(m: Module, name: str, parts: list[Value], places: Value, direction: int) -> list[Value]:
    """``parts`` moved by ``places`` towards the end, or the beginning if ``direction`` is -1."""
    n = len(parts)
    for bit in range(len(places)):
        moved = [parts[(at - direction * (1 << bit)) % n] for at in range(n)]
        chosen: list[Value] = []
        for at in range(n):
            one = Signal(len(parts[at]), name=f"{name}_{bit}_{at}")
            m.d.comb += one.eq(Mux(places[bit], moved[at], parts[at]))
            chosen.append(one)
        parts = chosen
    return parts


class _Bank(Unit):
    """A small memory, a write and a read per cycle; data come a cycle after their address."""

    def __init__(self, name: str, depth: int, bits: int):
        self.name = name
        self.depth = depth
        self.bits = bits
        super().__init__({
            "write_en": In(1), "write_address": In(index_bits(depth)), "write_data": In(bits),
            "read_address": In(index_bits(depth)), "read_data": Out(bits),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``turn_bank`` and the name."""
        return f"turn_bank_{self.name}"

    def elaborate(self, platform: Any) -> Module:
        """Build the memory."""
        m = Module()
        # What is read was written at least a cycle before.
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "distributed"}
        memory: Memory[Any, Any] = Memory(shape=self.bits, depth=self.depth, init=[], attrs=attrs)
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()
        m.d.comb += [
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            write.en.eq(self.write_en),
            read.addr.eq(self.read_address),
            self.read_data.eq(read.data),
        ]
        return m
