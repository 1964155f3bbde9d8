"""The stand-alone block: AXI-Stream ports, operand registers and skew, columns, result side."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.memory import Memory

from hwgen.cores.dsp_gemm.column import Column
from hwgen.cores.dsp_gemm.config import DspGemmConfig
from hwgen.cores.dsp_gemm.sequencer import Sequencer
from hwgen.emit import Unit, place
from hwgen.numerics import index_bits
from hwgen.parts.axi_stream import stream_ports
from hwgen.parts.delay import delay
from hwgen.parts.fifo import Fifo

__all__ = ["DspGemm"]


class DspGemm(Unit):
    """Dense GEMM with AXI-Stream ports; see the room's README for contract, timing and limits.

    Parameters
    ----------
    config : DspGemmConfig
        The core.
    waits : bool
        Whether results may have to wait. If not, TREADY is not read, and a pipelined core has a register in place of
        its queue of results; no cycle differs.

    Members
    -------
    s_axis_cmd_*, s_axis_b_*, s_axis_a_* : In
        Commands, weights, activations (TDATA, TVALID; TREADY out).
    m_axis_c_* : Out
        Results (TDATA, TVALID, TLAST; TREADY in).
    """

    def __init__(self, config: DspGemmConfig, waits: bool = True):
        self.config = config
        self.waits = waits
        super().__init__(stream_ports(config.streams))

    @property
    def kind(self) -> str:
        """``dsp_gemm``."""
        return "dsp_gemm"

    def elaborate(self, platform: Any) -> Module:
        """Build the block."""
        m = Module()
        sequencer = Sequencer(self.config)
        place(m, "sequencer", sequencer, platform)
        self._command(m, sequencer)
        weights = self._weights(m, sequencer)
        lanes = self._lanes(m, sequencer)
        steps = self._steps(m, sequencer)
        columns = self._columns(m, platform, weights, lanes, steps)
        if self.config.pipelined:
            self._queued_results(m, platform, sequencer, columns, steps)
        else:
            self._results(m, sequencer, columns, steps)
        return m

    def _command(self, m: Module, sequencer: Sequencer) -> None:
        data, size = self.s_axis_cmd_tdata, self.config.size_bits
        m.d.comb += [
            sequencer.m.eq(data.word_select(0, size)),
            sequencer.n.eq(data.word_select(1, size)),
            sequencer.k.eq(data.word_select(2, size)),
            sequencer.accumulate.eq(data[3 * size]),
            sequencer.keep.eq(data[3 * size + 1]),
            sequencer.cmd_valid.eq(self.s_axis_cmd_tvalid),
            self.s_axis_cmd_tready.eq(sequencer.cmd_ready),
            sequencer.b_valid.eq(self.s_axis_b_tvalid),
            self.s_axis_b_tready.eq(sequencer.b_ready),
            sequencer.a_valid.eq(self.s_axis_a_tvalid),
            self.s_axis_a_tready.eq(sequencer.a_ready),
        ]

    def _weights(self, m: Module, sequencer: Sequencer) -> list[tuple[Value, Value]]:
        """Packed weight and canary bits per column, registered; lanes outside B are zero."""
        cfg = self.config
        fmt, packing = cfg.weight, cfg.arithmetic
        entries = []
        for column in range(cfg.columns):
            lanes: list[Any] = []
            first = column * packing.scheme.weight_lanes
            for n in range(first, first + cfg.column_lanes(column)):
                raw = self.s_axis_b_tdata.word_select(n, fmt.bits)
                lane = Mux(sequencer.column_mask[n], raw, 0)
                lane = lane.as_signed() if fmt.signed else lane
                if cfg.pipelined:
                    # A signal of its own: Verilator takes a word that has parts of itself for a loop.
                    masked = Signal(lane.shape(), name=f"lane_{n}")
                    m.d.comb += masked.eq(lane)
                    lane = masked
                lanes.append(lane)
            if packing.scheme.lane_bits:
                lanes = [_widened(lane, packing.scheme.lane_bits) for lane in lanes]
            total = sum((v << (i * packing.weight_spacing) for i, v in enumerate(lanes[1:], 1)), lanes[0])
            packed = Signal(total.shape(), name=f"weight_{column}", reset_less=True)
            low_bits = packing.low_weight_bits
            uppers = [lane[:low_bits] for lane in lanes[1:]]
            low = Signal(cfg.style.low_bits(packing), name=f"weight_low_{column}", reset_less=True)
            m.d.sync += [packed.eq(total), low.eq(Cat(uppers) if uppers else Const(0, low_bits))]
            stages = cfg.group(column)
            entries.append((delay(m, packed, stages), delay(m, low, stages)))
        return entries

    def _lanes(self, m: Module, sequencer: Sequencer) -> list[dict[str, Value]]:
        """Skewed activations, loads and swaps of all rows, one set per group of columns."""
        cfg = self.config
        fmt, packing = cfg.act, cfg.arithmetic
        width = packing.packed_act_bits
        a_rows, load_rows, swap_rows = [], [], []
        swap = Signal()
        m.d.sync += swap.eq(sequencer.swap)
        for segment in cfg.segments:
            for i in range(segment.rows):
                row, skew = segment.first_row + i, segment.skew + i
                total: Any = 0
                for j in range(cfg.m_lanes):
                    raw: Value = self.s_axis_a_tdata.word_select(j * cfg.rows + row, fmt.bits)
                    if j:
                        raw = Mux(sequencer.odd, 0, raw)
                    total = total + ((raw.as_signed() if fmt.signed else raw) << (j * packing.act_spacing))
                entry = Signal(width, name=f"act_{row}", reset_less=True)
                load = Signal(name=f"load_{row}")
                m.d.sync += [entry.eq(Mux(sequencer.row_mask[row], total, 0)), load.eq(sequencer.load[row])]
                a_rows.append(delay(m, entry, skew))
                load_rows.append(delay(m, load, row))
                swap_rows.append(skew)
        taps = [Value.cast(swap)]
        for i in range(max(swap_rows)):
            tap = Signal(name=f"swap_{i + 1}", reset_less=True)
            m.d.sync += tap.eq(taps[-1])
            taps.append(tap)
        swaps = Cat(taps[skew] for skew in swap_rows)
        lanes: dict[str, Value] = {"a": Cat(a_rows), "load": Cat(load_rows), "swap": swaps}
        groups = []
        for group in range(cfg.groups):
            if group:
                lanes = {
                    name: delay(m, value, 1, name=f"{name}_group_{group}") for name, value in lanes.items()
                }
            groups.append(lanes)
        return groups

    def _steps(self, m: Module, sequencer: Sequencer) -> list[dict[str, Value]]:
        """What the accumulators do, in step with the sums, one set per group of columns.

        Only the two enables are reset: the rest means nothing without them, and may live in shift registers.
        """
        cfg = self.config
        stored = cfg.accumulate_cycles - 1  # after the read
        read = {
            "read_index": delay(m, sequencer.step_index, cfg.read_delay),
            "clear": delay(m, sequencer.step_clear, cfg.read_delay + (2 if cfg.pipelined else 1)),
            "last": delay(m, sequencer.step_last, cfg.read_delay + stored),
        }
        now = read | {
            "write_index": delay(m, read["read_index"], stored, name="write_index"),
            "keep": delay(m, sequencer.step_write, cfg.read_delay + stored, reset=True),
            "send": delay(m, sequencer.step_send, cfg.read_delay + stored, reset=True),
        }
        send_index = Signal(index_bits(cfg.result_depth))
        with m.If(now["send"]):
            m.d.sync += send_index.eq(send_index + 1)
        now["send_index"] = send_index
        groups = [now]
        for group in range(1, cfg.groups):
            now = {
                name: delay(m, v, 1, reset=name in ("keep", "send"), name=f"{name}_group_{group}")
                for name, v in now.items()
            }
            groups.append(now)
        return groups

    def _columns(
        self,
        m: Module,
        platform: Any,
        weights: list[tuple[Value, Value]],
        lanes: list[dict[str, Value]],
        steps: list[dict[str, Value]],
    ) -> list[Column]:
        columns = []
        for i, (weight, low) in enumerate(weights):
            column = Column(self.config, self.config.column_lanes(i))
            place(m, f"column_{i}", column, platform)
            group = self.config.group(i)
            m.d.comb += [column.w.eq(weight)]
            m.d.comb += [getattr(column, name).eq(value) for name, value in lanes[group].items()]
            m.d.comb += [
                getattr(column, name).eq(value) for name, value in steps[group].items() if name != "last"
            ]
            if column.low_bits:
                m.d.comb += column.low.eq(low)
            columns.append(column)
        return columns

    def _results(
        self, m: Module, sequencer: Sequencer, columns: list[Column], steps: list[dict[str, Value]]
    ) -> None:
        """The result buffer's read side: fetches whenever the output is free."""
        cfg = self.config
        last_step = steps[-1]  # of the columns that store last
        stored = Signal(range(cfg.result_depth + 1))
        out_index = Signal(index_bits(cfg.result_depth))
        valid = Signal()
        fetch = Signal()
        lasts: Memory[Any, Any] = Memory(shape=1, depth=cfg.result_depth, init=[])
        m.submodules.lasts = lasts
        last_write = lasts.write_port()
        last_read = lasts.read_port()
        m.d.comb += [
            fetch.eq((stored != 0) & (~valid | self.m_axis_c_tready)),
            sequencer.freed.eq(fetch),
            last_write.addr.eq(last_step["send_index"]),
            last_write.data.eq(last_step["last"]),
            last_write.en.eq(last_step["send"]),
            last_read.addr.eq(out_index),
            last_read.en.eq(fetch),
            self.m_axis_c_tlast.eq(last_read.data),
            self.m_axis_c_tvalid.eq(valid),
        ]
        m.d.sync += stored.eq(stored + last_step["send"] - fetch)
        with m.If(fetch):
            m.d.sync += [valid.eq(1), out_index.eq(out_index + 1)]
        with m.Elif(self.m_axis_c_tready):
            m.d.sync += valid.eq(0)
        m.d.comb += self.m_axis_c_tdata.eq(self._fetched(m, columns, fetch, out_index))

    def _fetched(self, m: Module, columns: list[Column], fetch: Value, index: Value) -> Value:
        """What the columns' result buffers give, in the order of the stream."""
        cfg = self.config
        sums: dict[tuple[int, int], Value] = {}
        for i, column in enumerate(columns):
            m.d.comb += [column.out_enable.eq(fetch), column.out_index.eq(index)]
            for at, field in enumerate(column.fields):
                n = i * cfg.arithmetic.scheme.weight_lanes + field.weight_lane
                sums[field.act_lane, n] = column.c.word_select(at, 32)
        return Cat(sums[key] for key in sorted(sums))

    def _queued_results(
        self,
        m: Module,
        platform: Any,
        sequencer: Sequencer,
        columns: list[Column],
        steps: list[dict[str, Value]],
    ) -> None:
        """The same with a register behind the buffer and a queue behind that: fetches while the queue has room."""
        cfg = self.config
        last_step = steps[-1]
        # Counters run one below what they count: the sign says that there is none.
        stored = Signal(signed(index_bits(cfg.result_depth) + 2), init=-1)
        room = Signal(signed(index_bits(cfg.result_queue) + 2), init=cfg.result_queue - 1)
        out_index = Signal(index_bits(cfg.result_depth))
        fetch = Signal()
        # The columns are far: what they read is decided a cycle before.
        reads = Signal(name="fetch_late")
        index = Signal.like(out_index, name="fetched_index", reset_less=True)
        pop = Signal()
        attrs: dict[str, Any] = {"no_rw_check": 1}
        lasts: Memory[Any, Any] = Memory(shape=1, depth=cfg.result_depth, init=[], attrs=attrs)
        m.submodules.lasts = lasts
        last_write = lasts.write_port()
        last_read = lasts.read_port()
        last = Signal(name="last_read", reset_less=True)
        m.d.comb += [
            fetch.eq(~stored[-1] & ~room[-1]),
            sequencer.freed.eq(fetch),
            last_write.addr.eq(last_step["send_index"]),
            last_write.data.eq(last_step["last"]),
            last_write.en.eq(last_step["send"]),
            last_read.addr.eq(index),
            last_read.en.eq(reads),
        ]
        m.d.sync += [
            reads.eq(fetch),
            index.eq(out_index),
            stored.eq(stored + last_step["send"] - fetch),
            room.eq(room + pop - fetch),
            out_index.eq(out_index + fetch),
            last.eq(last_read.data),
        ]
        sums = self._fetched(m, columns, reads, index)
        arrives = delay(m, fetch, cfg.result_cycles - 1, reset=True)
        if not self.waits:
            register = Signal(len(sums) + 1, name="result", reset_less=True)
            m.d.sync += [register.eq(Cat(sums, last)), self.m_axis_c_tvalid.eq(arrives)]
            m.d.comb += [
                Cat(self.m_axis_c_tdata, self.m_axis_c_tlast).eq(register),
                pop.eq(self.m_axis_c_tvalid),
            ]
            return
        queue = Fifo("results", len(sums) + 1, cfg.result_queue)
        place(m, "queue", queue, platform)
        m.d.comb += [
            queue.push.eq(arrives),
            queue.data.eq(Cat(sums, last)),
            queue.pop.eq(pop),
            pop.eq(queue.valid & self.m_axis_c_tready),
            self.m_axis_c_tvalid.eq(queue.valid),
            self.m_axis_c_tdata.eq(queue.head[:-1]),
            self.m_axis_c_tlast.eq(queue.head[-1]),
        ]


def _widened(value: Value, bits: int) -> Value:
    """The value in so many bits, its sign among them."""
    fill = value[-1] if value.shape().signed else Const(0, 1)
    return Cat(value, fill.replicate(bits - len(value)))
