"""The way out: sums of several passes added up, rows of C kept until they are taken."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.cores.sparse_chain.config import SparseChainConfig
from hwgen.emit import Unit, place
from hwgen.numerics import index_bits
from hwgen.parts.select import words_of
from hwgen.parts.sparse import BLOCK

__all__ = ["Accumulators", "Results"]

_SUM_BITS = 32


class Results(Unit):
    """Words of sums from the array to C.

    Members
    -------
    rows, tiles, rounds, first, last, closing, spread : In
        The pass whose words come: rows of C, column tiles that are left, rounds; whether it begins a sum, ends one,
        ends the command; the mode.
    coming, number, row : In
        The array's: a word comes in the next cycle, which; and the word.
    drained : Out(1)
        The pass' last word comes in the next cycle.
    begins, keeps : In(1)
        A round begins whose words will be sent; ``keeps`` says that they will not.
    room : Out(1)
        There is room for a round's words.
    valid, data, tlast : Out, ready : In
        Stream of results.
    """

    def __init__(self, config: SparseChainConfig):
        self.config = config
        array, size = config.array, config.size_bits
        super().__init__({
            "rows": In(config.rows.bit_length()), "tiles": In(size), "rounds": In(size), "first": In(1),
            "last": In(1), "closing": In(1), "spread": In(1),
            "coming": In(1), "number": In(index_bits(array.words)), "row": In(BLOCK * array.sum_bits),
            "drained": Out(1), "begins": In(1), "keeps": In(1), "room": Out(1),
            "valid": Out(1), "data": Out(BLOCK * _SUM_BITS), "tlast": Out(1), "ready": In(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``results``."""
        return "results"

    def elaborate(self, platform: Any) -> Module:
        """Build accumulators and result buffer."""
        m = Module()
        sent, ends, address = self._places(m)
        push = Signal(name="push")
        dropped = Signal(name="dropped")
        push_last = Signal(name="push_last", reset_less=True)
        came = Signal(name="came")
        sends = Signal(name="sends", reset_less=True)
        is_last = Signal(name="is_last", reset_less=True)
        used = Signal(name="used_word", reset_less=True)
        m.d.sync += [
            came.eq(self.coming),
            sends.eq(self.last),
            used.eq(sent),
            is_last.eq(ends),
            push.eq(came & sends & used),
            dropped.eq(came & sends & ~used),
            push_last.eq(is_last),
        ]
        sums = Accumulators(self.config)
        place(m, "accumulators", sums, platform)
        m.d.comb += [
            sums.address.eq(address),
            sums.row.eq(self.row),
            sums.first.eq(self.first),
            sums.keep.eq(came & ~sends),
        ]
        self._buffer(m, sums.total, push, push_last, dropped)
        return m

    def _places(self, m: Module) -> tuple[Value, Value, Value]:
        """Whether the coming word is one of C, whether it is the command's last one, and its accumulator."""
        cfg, array = self.config, self.config.array
        shared = array.shared
        row = Signal(index_bits(cfg.rows), name="row_of_way")
        part = Signal(index_bits(shared.columns), name="column_of_position")
        tile = Signal(cfg.size_bits, name="first_tile")  # first column tile of the way
        rounds = Signal(cfg.size_bits, name="rounds_done")
        address = Signal(index_bits(cfg.sum_words), name="accumulator")
        last_row = Mux(self.spread, cfg.rows // cfg.ways - 1, cfg.rows - 1)
        part_ends = Signal()
        way_ends = Signal()
        round_ends = Signal()
        pass_ends = Signal()
        column = Signal(cfg.size_bits + 1)
        sent = Signal(name="is_of_c")
        m.d.comb += [
            part_ends.eq(part == shared.columns - 1),
            way_ends.eq(part_ends & (row == last_row)),
            round_ends.eq(self.number == array.words - 1),
            pass_ends.eq(self.coming & round_ends & (rounds + 1 == self.rounds)),
            column.eq(tile + part),
            sent.eq((row < self.rows) & (column < self.tiles)),
            self.drained.eq(pass_ends),
        ]
        with m.If(self.coming):
            m.d.sync += address.eq(address + 1)
            if shared.columns > 1:
                m.d.sync += part.eq(Mux(part_ends, 0, part + 1))
            with m.If(part_ends):
                m.d.sync += row.eq(Mux(way_ends, 0, row + 1))
            with m.If(way_ends):
                m.d.sync += tile.eq(tile + shared.columns)
            with m.If(round_ends):
                m.d.sync += rounds.eq(rounds + 1)
            with m.If(pass_ends):
                m.d.sync += [rounds.eq(0), tile.eq(0), address.eq(0)]
        ends = self.closing & (row + 1 == self.rows) & (column + 1 == self.tiles)
        return sent, ends, address

    def _buffer(self, m: Module, total: Value, push: Value, push_last: Value, dropped: Value) -> None:
        """Rows of C wait here; fetched whenever the output is free."""
        depth, words = self.config.result_depth, self.config.array.words
        attrs: dict[str, Any] = {"no_rw_check": 1}
        if depth >= 64:
            attrs["ram_style"] = "block"
        memory: Memory[Any, Any] = Memory(shape=BLOCK * _SUM_BITS + 1, depth=depth, init=[], attrs=attrs)
        m.submodules.results = memory
        write = memory.write_port()
        read = memory.read_port()
        free = Signal(range(depth + 1), init=depth)  # entries that no word stands in or is promised to
        stored = Signal(range(depth + 1))
        into = Signal(index_bits(depth))
        out = Signal(index_bits(depth))
        fetch = Signal()
        promised = Mux(self.begins & ~self.keeps, Const(words), 0)
        m.d.comb += [
            fetch.eq((stored != 0) & (~self.valid | self.ready)),
            self.room.eq(self.keeps | (free >= words)),
            write.addr.eq(into),
            write.data.eq(Cat(total, push_last)),
            write.en.eq(push),
            read.addr.eq(out),
            read.en.eq(fetch),
            self.data.eq(read.data[:-1]),
            self.tlast.eq(read.data[-1]),
        ]
        m.d.sync += [
            free.eq(free - promised + dropped + fetch),
            stored.eq(stored + push - fetch),
        ]
        with m.If(push):
            m.d.sync += into.eq(into + 1)
        with m.If(fetch):
            m.d.sync += [self.valid.eq(1), out.eq(out + 1)]
        with m.Elif(self.ready):
            m.d.sync += self.valid.eq(0)


class Accumulators(Unit):
    """Sums of earlier passes.

    Members
    -------
    address, first : In
        Of the word that comes in the next cycle: its accumulator, and whether it begins a sum.
    row, keep : In
        The word; keep its total.
    total : Out
        The word plus what was kept, a cycle later.
    """

    def __init__(self, config: SparseChainConfig):
        self.config = config
        super().__init__({
            "address": In(index_bits(config.sum_words)), "first": In(1),
            "row": In(BLOCK * config.array.sum_bits), "keep": In(1), "total": Out(BLOCK * _SUM_BITS),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``accumulators``."""
        return "accumulators"

    def elaborate(self, platform: Any) -> Module:
        """Build memory and adders."""
        m = Module()
        cfg = self.config
        attrs = {"ram_style": "block"} if cfg.sum_words >= 64 else {}
        memory: Memory[Any, Any] = Memory(shape=BLOCK * _SUM_BITS, depth=cfg.sum_words, init=[], attrs=attrs)
        m.submodules.memory = memory
        read = memory.read_port()
        write = memory.write_port()
        add = Signal(name="adds", reset_less=True)
        total = Signal(BLOCK * _SUM_BITS, name="sums", reset_less=True)
        at = Signal(len(self.address), name="at", reset_less=True)
        at_was = Signal(len(self.address), name="at_was", reset_less=True)
        kept = Signal(name="kept")
        m.d.comb += [
            read.addr.eq(self.address),
            write.addr.eq(at_was),
            write.data.eq(total),
            write.en.eq(kept),
            self.total.eq(total),
        ]
        m.d.sync += [add.eq(~self.first), at.eq(self.address), at_was.eq(at), kept.eq(self.keep)]
        for i, word in enumerate(words_of(self.row, cfg.array.sum_bits)):
            old = Signal(signed(_SUM_BITS), name=f"old_{i}")
            m.d.comb += old.eq(Mux(add, read.data.word_select(i, _SUM_BITS), 0))
            m.d.sync += total.word_select(i, _SUM_BITS).eq(old + word.as_signed())
        return m
