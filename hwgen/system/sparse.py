"""SPARSE: the chains between the buffers of sparse weights, the operands that VEC turns, and the sums."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.cores.sparse_chain.chains import SparseChains
from hwgen.emit import Unit, place
from hwgen.numerics import ceil_log2, index_bits
from hwgen.parts.payload import payload
from hwgen.parts.prefetch import Prefetch
from hwgen.parts.select import words_of
from hwgen.parts.sparse import BLOCK
from hwgen.program.layout import layout
from hwgen.program.table import INSTRUCTION_BYTES
from hwgen.system.config import SystemConfig
from hwgen.system.fields import field, hold

__all__ = ["Sparse"]

_SUM_BITS = 32


class Sparse(Unit):
    """The SPARSE engine.

    Members
    -------
    start, begins, head, done
        The shell's side; with ``begins`` what starts is a run.
    operand_en, operand_address, operand_data, operand_spread : In
        An operand of every row; ``operand_spread`` gives the first way's rows to all ways.
    code_en, code_address : Out, code_data : In
        Buffer of codes; likewise ``value`` and ``index``.
    acc_en, acc_address, acc_data : Out
        Buffer of sums.
    error : Out(1)
        The stream of a run had a code that there is not, or not the length that the program says.
    """

    def __init__(self, config: SystemConfig):
        self.config = config
        self.shape = config.sparse_chain
        members: dict[str, Any] = {
            "start": In(1), "begins": In(1), "head": In(8 * INSTRUCTION_BYTES), "done": Out(1),
            "operand_en": In(1), "operand_address": In(index_bits(config.sparse_depth)),
            "operand_data": In(8 * config.sparse_rows), "operand_spread": In(1),
            "acc_en": Out(1), "acc_address": Out(index_bits(config.acc_words)),
            "acc_data": Out(_SUM_BITS * BLOCK), "error": Out(1),
        }  # fmt: skip
        for space in (config.code, config.value, config.index):
            members |= {
                f"{space.name}_en": Out(1),
                f"{space.name}_address": Out(index_bits(space.words)),
                f"{space.name}_data": In(8 * space.word_bytes),
            }
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``sparse``."""
        return "sparse"

    def elaborate(self, platform: Any) -> Module:
        """Build readers, chains and writer."""
        m = Module()
        begin = self.begins
        run = layout("sparse.run")
        given = {name: field(self.head, run, name) for name in run}
        settings = {
            name: hold(m, self.start, self.head, function, layout(f"sparse.{kind}"), name)
            for function, kind in enumerate(("shape", "stream"))
            for name in layout(f"sparse.{kind}")
        }
        chains = SparseChains(self.shape)
        place(m, "chains", chains, platform)
        ways = ceil_log2(self.shape.ways)
        rounds = Signal(len(given["tiles"]) + 1, name="rounds")
        tiles = given["tiles"]
        m.d.comb += [
            rounds.eq(Mux(settings["spread"], (tiles + (self.shape.ways - 1)) >> ways, tiles)),
            chains.start.eq(begin),
            chains.blocks.eq(settings["blocks"]),
            chains.rounds.eq(rounds),
            chains.base.eq(given["operand"]),
            chains.weight_bits.eq(settings["weight_bits"]),
            chains.spread.eq(settings["spread"]),
            chains.value_ready.eq(1),
            chains.index_ready.eq(1),
            chains.room.eq(1),
            chains.fill_en.eq(self.operand_en),
            chains.fill_address.eq(self.operand_address),
            chains.fill_data.eq(self.operand_data),
            chains.fill_spread.eq(self.operand_spread),
        ]
        self._codes(m, platform, begin, given["code"], chains)
        self._sums(m, begin, rounds, given, settings, chains)
        self._streams(m, begin, given, settings, chains)
        return m

    def _codes(self, m: Module, platform: Any, begin: Signal, first: Value, chains: SparseChains) -> None:
        """Words of codes, ahead of the decoder."""
        ahead = Prefetch(len(self.code_data))
        place(m, "codes", ahead, platform)
        asking = Signal(name="asks_for_codes")
        address = Signal(len(self.code_address), name="next_code", reset_less=True)
        with m.If(begin):
            m.d.sync += [asking.eq(1), address.eq(first)]
        with m.Else():
            with m.If(self.done):
                m.d.sync += asking.eq(0)
            with m.If(ahead.step):
                m.d.sync += address.eq(address + 1)
        m.d.comb += [
            ahead.ask.eq(asking),
            ahead.last.eq(0),
            ahead.clear.eq(self.done),
            ahead.read_data.eq(self.code_data),
            ahead.ready.eq(chains.code_take),
            self.code_en.eq(ahead.step),
            self.code_address.eq(address),
            chains.code_valid.eq(ahead.valid),
            chains.code.eq(ahead.data),
        ]

    def _streams(
        self,
        m: Module,
        begin: Signal,
        given: dict[str, Value],
        settings: dict[str, Value],
        chains: SparseChains,
    ) -> None:
        """Rows of values and indices, and whether all streams are as long as the program says."""
        wrong = []
        for name in ("value", "index"):
            take, rows = getattr(chains, f"{name}_take"), settings[f"{name}_rows"]
            address = Signal(len(getattr(self, f"{name}_address")), name=f"next_{name}", reset_less=True)
            left = Signal(len(rows) + 1, name=f"{name}_rows_left", reset_less=True)
            with m.If(begin):
                m.d.sync += [address.eq(given[name]), left.eq(rows)]
            with m.Elif(take):
                m.d.sync += [address.eq(address + 1), left.eq(left - 1)]
            m.d.comb += [
                getattr(self, f"{name}_en").eq(take),
                getattr(self, f"{name}_address").eq(address),
                getattr(chains, f"{name}_row").eq(getattr(self, f"{name}_data")),
            ]
            wrong.append(left != 0)
        # From the first round's begin to the end of the last one's gap.
        steps = Signal(len(settings["steps"]) + 1, name="steps_left", reset_less=True)
        counting = Signal(name="counts_steps")
        gap = Mux(settings["spread"], self.shape.gap(True), 0)
        with m.If(begin):
            m.d.sync += [steps.eq(settings["steps"] - gap), counting.eq(0)]
        with m.Elif((chains.begins | counting) & chains.busy):
            m.d.sync += [steps.eq(steps - 1), counting.eq(1)]
        wrong.append(steps != 0)
        failed = Signal(name="stream_failed")
        with m.If(chains.error):
            m.d.sync += failed.eq(1)
        m.d.sync += self.error.eq(self.done & (failed | Cat(wrong).any()))

    def _sums(
        self,
        m: Module,
        begin: Signal,
        rounds: Value,
        given: dict[str, Value],
        settings: dict[str, Value],
        chains: SparseChains,
    ) -> None:
        """Words of sums to the buffer: of every way's rows, one after the other."""
        shape = self.shape
        bits = len(self.acc_address)
        base = Signal(bits, name="tile_sums", reset_less=True)
        stride = Signal(bits, name="tile_stride", reset_less=True)
        tiles_left = Signal(len(given["tiles"]), reset_less=True)
        rounds_left = Signal(len(rounds), reset_less=True)
        spread = settings["spread"]
        number = chains.number
        way_rows = shape.words // shape.ways
        row_in_way = number[: ceil_log2(way_rows)]
        row = Signal(index_bits(shape.words), name="sums_row")
        way_ends = Signal(name="way_ends")
        round_ends = Signal(name="round_ends")
        m.d.comb += [
            row.eq(Mux(spread, row_in_way, number)),
            round_ends.eq(number == shape.words - 1),
            way_ends.eq(Mux(spread, row_in_way == way_rows - 1, round_ends)),
        ]
        write = Signal(name="writes")
        address = Signal(bits, name="sums_address", reset_less=True)
        ends = Signal(name="last_word")
        with m.If(begin):
            m.d.sync += [
                base.eq(given["acc"]),
                stride.eq(given["acc_stride"]),
                tiles_left.eq(given["tiles"]),
                rounds_left.eq(rounds),
            ]
        with m.Elif(chains.coming & way_ends):
            m.d.sync += base.eq(base + stride)
            with m.If(tiles_left != 0):
                m.d.sync += tiles_left.eq(tiles_left - 1)
            with m.If(round_ends):
                m.d.sync += rounds_left.eq(rounds_left - 1)
        # The word comes a cycle after its number, and goes to the buffer another one later.
        m.d.sync += [
            write.eq(chains.coming & (row < settings["rows"]) & (tiles_left != 0)),
            address.eq(base + row),
            ends.eq(chains.coming & round_ends & (rounds_left == 1)),
            self.acc_en.eq(write),
            self.acc_address.eq(address),
            self.done.eq(ends),
        ]
        sums = [word.as_signed() for word in words_of(chains.row, shape.sum_bits)]
        m.d.sync += payload(m, self.acc_data).eq(
            Cat(
                Cat(one, one[-1].replicate(_SUM_BITS - len(one))) if len(one) < _SUM_BITS else one
                for one in sums
            )
        )
