"""The way out of the array: corrections for bipolar operands, masks, and the result buffer."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.cores.lut_gemm.buffer import WordBuffer, block_ram
from hwgen.cores.lut_gemm.config import LutGemmConfig
from hwgen.emit import Unit, place
from hwgen.numerics import ceil_log2, index_bits
from hwgen.parts.delay import delay

__all__ = ["Results"]

_SUM_BITS = 32


class Results(Unit):
    """Rows of the array's sums in, rows of C out.

    A bipolar operand is ``2 q - 1`` of its bit ``q``, all others are what their planes say. So with ``D`` the
    array's sum, ``A`` and ``B`` the sums of the operands' planes, a row's and a column's:

    * A bipolar: ``2 D - B``; B bipolar: ``2 D - A``; both: ``4 D - 2 A - 2 B + K``.

    What is subtracted comes from the loaders, which store zero where nothing is to be.

    Timing: an entry is written three cycles after its row, and offered two cycles later.

    Members
    -------
    tile, tile_rows, tile_columns, tile_scale, tile_a, tile_b, tile_end : In
        A tile leaves in the cycle after ``tile`` (see ``Sequencer``).
    row_valid, row : In
        From the array.
    a_sum, a_sum_enable, a_sum_tile, b_sum, b_sum_enable, b_sum_tile : In
        Sums of rows of A and columns of B to be stored (see ``Loader``).
    valid, ready, data, last : Out, In, Out, Out
        Result stream.
    freed : Out(1)
        An entry is read.
    """

    def __init__(self, config: LutGemmConfig):
        self.config = config
        b_tile = ceil_log2(config.b_words) + 1
        super().__init__(
            {
                "tile": In(1), "tile_rows": In(config.dm.bit_length()),
                "tile_columns": In(config.dn.bit_length()), "tile_scale": In(2),
                "tile_a": In(1), "tile_b": In(b_tile), "tile_end": In(1),
                "row_valid": In(1), "row": In(config.dn * _SUM_BITS),
                "a_sum": In(_SUM_BITS), "a_sum_enable": In(config.dm), "a_sum_tile": In(1),
                "b_sum": In(_SUM_BITS), "b_sum_enable": In(config.dn), "b_sum_tile": In(b_tile),
                "valid": Out(1), "ready": In(1), "data": Out(config.dn * _SUM_BITS), "last": Out(1),
                "freed": Out(1),
            }
        )  # fmt: skip

    @property
    def kind(self) -> str:
        """``results``."""
        return "results"

    def elaborate(self, platform: Any) -> Module:
        """Build corrections and buffer."""
        m = Module()
        cfg = self.config
        held = {
            name: Signal(len(getattr(self, f"tile_{name}")), name=f"held_{name}", reset_less=True)
            for name in ("rows", "columns", "scale", "a", "b", "end")
        }
        index = Signal(index_bits(cfg.dm), reset_less=True)
        with m.If(self.tile):
            m.d.sync += [signal.eq(getattr(self, f"tile_{name}")) for name, signal in held.items()]
            m.d.sync += index.eq(0)
        with m.Else():
            m.d.sync += index.eq(index + 1)
        inside = Cat(held["columns"] > n for n in range(cfg.dn))
        last_row = (index + 1) == held["rows"]
        a_sum, b_sums = self._sums(m, platform, index, held)

        # Cycle 0: the row, the sums' addresses; 1: the sums; 2: what is added to the row; 3: the entry.
        row = delay(m, self.row, 2, name="row_delay")
        mask = delay(m, inside, 2, name="mask_delay")
        scale = delay(m, held["scale"], 2, name="scale_delay")
        entry = []
        for n in range(cfg.dn):
            addend = Signal(_SUM_BITS, name=f"addend_{n}", reset_less=True)
            total = Signal(_SUM_BITS, name=f"total_{n}", reset_less=True)
            m.d.sync += addend.eq(a_sum + b_sums[n])
            value: Any = row.word_select(n, _SUM_BITS)
            scaled = Mux(scale[1], value << 2, Mux(scale[0], value << 1, value))[:_SUM_BITS]
            m.d.sync += total.eq(Mux(mask[n], addend + scaled, 0))
            entry.append(total)
        write = delay(m, self.row_valid & (index < held["rows"]), cfg.RESULT_DELAY, reset=True, name="write")
        end = delay(m, held["end"] & last_row, cfg.RESULT_DELAY, name="end_delay")
        self._buffer(m, Cat(*entry, end), write)
        return m

    def _sums(
        self, m: Module, platform: Any, index: Signal, held: dict[str, Signal]
    ) -> tuple[Value, list[Value]]:
        """The operands' sums in the cycle after a row."""
        cfg = self.config
        lane_bits = index_bits(cfg.dm)
        rows = WordBuffer(_SUM_BITS, 2 << lane_bits)
        place(m, "row_sums", rows, platform)
        lane = Signal(lane_bits)
        for n in range(cfg.dm):
            with m.If(self.a_sum_enable[n]):
                m.d.comb += lane.eq(n)
        m.d.comb += [
            rows.address.eq(Cat(lane, self.a_sum_tile)),
            rows.word.eq(self.a_sum),
            rows.enable.eq(self.a_sum_enable.any()),
            rows.read_enable.eq(1),
            rows.read_address.eq(Cat(index, held["a"])),
        ]
        # The regions are free from a tile's last step on, and may be refilled while its rows leave. Columns' sums
        # are read with the first row, a row's sum with the row: no later than a loader can store others.
        assert cfg.array.latency < cfg.load_delay
        first = Signal()
        m.d.sync += first.eq(self.tile)
        columns = []
        for n in range(cfg.dn):
            column = WordBuffer(_SUM_BITS, 2 * cfg.b_words)
            place(m, f"column_sums_{n}", column, platform)
            m.d.comb += [
                column.address.eq(self.b_sum_tile),
                column.word.eq(self.b_sum),
                column.enable.eq(self.b_sum_enable[n]),
                column.read_enable.eq(first),
                column.read_address.eq(held["b"]),
            ]
            columns.append(column.o)
        return rows.o, columns

    def _buffer(self, m: Module, entry: Value, write_enable: Value) -> None:
        """The result buffer: fetches whenever the output is free."""
        depth = self.config.result_depth
        memory: Memory[Any, Any] = Memory(shape=len(entry), depth=depth, init=[], attrs=block_ram(depth))
        m.submodules.buffer = memory
        write = memory.write_port()
        read = memory.read_port()
        write_index = Signal(ceil_log2(depth))
        read_index = Signal(ceil_log2(depth))
        stored = Signal(range(depth + 1))
        offered = Signal()
        fetch = Signal()
        m.d.comb += [
            fetch.eq(stored.any() & (~offered | self.ready)),
            self.freed.eq(fetch),
            write.addr.eq(write_index),
            write.data.eq(entry),
            write.en.eq(write_enable),
            read.addr.eq(read_index),
            read.en.eq(fetch),
            Cat(self.data, self.last).eq(read.data),
            self.valid.eq(offered),
        ]
        m.d.sync += [
            stored.eq(stored + write_enable - fetch),
            write_index.eq(write_index + write_enable),
            read_index.eq(read_index + fetch),
        ]
        with m.If(fetch):
            m.d.sync += offered.eq(1)
        with m.Elif(self.ready):
            m.d.sync += offered.eq(0)
