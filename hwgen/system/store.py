"""STORE: rows of activations from the buffer to DRAM."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.numerics import ceil_log2, index_bits
from hwgen.parts.fifo import Fifo
from hwgen.program.layout import layout
from hwgen.program.table import INSTRUCTION_BYTES
from hwgen.system.bursts import burst_limit
from hwgen.system.config import SystemConfig
from hwgen.system.fields import field, hold
from hwgen.system.ports import BEATS_BITS

__all__ = ["Store"]


class Store(Unit):
    """The STORE engine.

    Two walkers over the same rows: one asks for bursts, the other reads the buffer ahead of the bus. The run ends
    when every burst was answered.

    Members
    -------
    start, begins, head, done
        The shell's side; with ``begins`` what starts is a run.
    stall : Out(1)
        A run is under way and no beat was handed to the port in this cycle.
    read_en, read_address : Out, read_data : In
        The buffer, in bus words.
    burst_valid, burst_address, burst_beats : Out, burst_ready : In; beat_valid, beat_data, beat_strobe : Out,
    beat_ready : In; port_idle : In
        The write port.
    """

    def __init__(self, config: SystemConfig):
        self.config = config
        super().__init__({
            "start": In(1), "begins": In(1), "head": In(8 * INSTRUCTION_BYTES), "done": Out(1), "stall": Out(1),
            "read_en": Out(1), "read_address": Out(index_bits(config.act.bytes // config.bus_bytes)),
            "read_data": In(8 * config.bus_bytes),
            "burst_valid": Out(1), "burst_address": Out(config.address_bits),
            "burst_beats": Out(BEATS_BITS), "burst_ready": In(1),
            "beat_valid": Out(1), "beat_data": Out(8 * config.bus_bytes),
            "beat_strobe": Out(config.bus_bytes), "beat_ready": In(1), "port_idle": In(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``store``."""
        return "store"

    def elaborate(self, platform: Any) -> Module:
        """Build both walkers."""
        m = Module()
        cfg = self.config
        shift = ceil_log2(cfg.bus_bytes)
        head: Value = self.head
        run = layout("store.run")
        window = layout("store.window")
        row_pitch = hold(m, self.start, head, 0, window, "row_pitch")
        source_pitch = hold(m, self.start, head, 0, window, "source_pitch")
        begin = self.begins
        run_bytes = field(head, run, "run_bytes")
        beat_bits = len(run_bytes) - shift + 1
        row_beats = Signal(beat_bits, reset_less=True)
        tail = Signal(shift, reset_less=True)  # bytes of a row's last beat, 0 if all
        asked = Signal(init=1)
        read = Signal(init=1)
        with m.If(begin):
            m.d.sync += [row_beats.eq((run_bytes + (cfg.bus_bytes - 1)) >> shift), tail.eq(run_bytes[:shift])]
        rows = field(head, run, "run_count")
        self._bursts(m, begin, row_beats, rows, row_pitch, asked)
        queue = self._data(m, platform, begin, row_beats, tail, rows, source_pitch, read)
        running = Signal()
        stops = Signal()
        m.d.comb += [
            stops.eq(running & asked & read & ~queue.valid & self.port_idle),
            self.stall.eq(~(self.beat_valid & self.beat_ready)),
        ]
        if cfg.far:
            m.d.sync += self.done.eq(stops)
        else:
            m.d.comb += self.done.eq(stops)
        with m.If(begin):
            m.d.sync += running.eq(1)
        with m.Elif(stops):
            m.d.sync += running.eq(0)
        return m

    def _bursts(
        self, m: Module, begin: Signal, row_beats: Signal, rows: Value, pitch: Value, asked: Signal
    ) -> None:
        cfg = self.config
        shift = ceil_log2(cfg.bus_bytes)
        row_address = Signal(cfg.address_bits, reset_less=True)
        address = Signal(cfg.address_bits, name="burst_at", reset_less=True)
        beats = Signal(len(row_beats), name="burst_beats_left", reset_less=True)
        rows_left = Signal(len(rows), name="burst_rows_left", reset_less=True)
        next_row = Signal(name="next_row")
        starts = Signal(name="row_starts")
        last = Signal(name="last_burst")  # of the row
        limit = burst_limit(m, cfg, row_address, starts, self.burst_valid & self.burst_ready)
        m.d.comb += [
            last.eq(beats <= limit),
            self.burst_address.eq(Cat(Const(0, shift), address[shift:])),
            self.burst_beats.eq(Mux(last, beats, limit)),
        ]
        with m.FSM(name="ask"):
            with m.State("IDLE"), m.If(begin):
                m.next = "ROW"
            with m.State("ROW"):
                m.d.comb += starts.eq(1)
                m.d.sync += [beats.eq(row_beats), address.eq(row_address)]
                m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += self.burst_valid.eq(1)
                with m.If(self.burst_ready):
                    m.d.sync += [beats.eq(beats - limit), address.eq(address + (limit << shift))]
                    with m.If(last):
                        m.d.comb += next_row.eq(1)
                        with m.If(rows_left == 1):
                            m.d.sync += asked.eq(1)
                            m.next = "IDLE"
                        with m.Else():
                            m.next = "ROW"
        with m.If(begin):
            m.d.sync += [
                asked.eq(0),
                rows_left.eq(rows),
                row_address.eq(field(self.head, layout("store.run"), "address")[: cfg.address_bits]),
            ]
        with m.Elif(next_row):
            m.d.sync += [rows_left.eq(rows_left - 1), row_address.eq(row_address + pitch)]

    def _data(
        self,
        m: Module,
        platform: Any,
        begin: Signal,
        row_beats: Signal,
        tail: Signal,
        rows: Value,
        pitch: Value,
        read: Signal,
    ) -> Fifo:
        cfg = self.config
        shift = ceil_log2(cfg.bus_bytes)
        queue = Fifo("store", 8 * cfg.bus_bytes + 1, cfg.STORE_FIFO)
        place(m, "queue", queue, platform)
        row = Signal(len(self.read_address), name="read_row", reset_less=True)
        at = Signal(len(self.read_address), name="read_at", reset_less=True)
        beats = Signal(len(row_beats), name="read_beats_left", reset_less=True)
        rows_left = Signal(len(rows), name="read_rows_left", reset_less=True)
        reserved = Signal(range(cfg.STORE_FIFO + 1))  # entries of the queue that are taken or on their way
        on_way = Signal(cfg.store_latency)
        ends = Signal(cfg.store_latency, reset_less=True)
        final = Signal(name="row_final")
        scale = ceil_log2(cfg.lanes) - shift  # bus words per word of activations, as a power of two

        def in_bus_words(words: Value) -> Value:
            return words << scale if scale >= 0 else words >> -scale

        pop = Signal(name="pop")
        m.d.comb += [
            final.eq(beats == 1),
            self.read_address.eq(at),
            self.beat_valid.eq(queue.valid),
            self.beat_data.eq(queue.head[: 8 * cfg.bus_bytes]),
            self.beat_strobe.eq(
                Cat(
                    *(~queue.head[-1] | (tail == 0) | (tail > i) for i in range(cfg.bus_bytes - 1)),
                    ~queue.head[-1] | (tail == 0),
                )
            ),
            pop.eq(queue.valid & self.beat_ready),
            queue.pop.eq(pop),
            queue.push.eq(on_way[-1]),
            queue.data.eq(Cat(self.read_data, ends[-1])),
        ]
        m.d.sync += [
            on_way.eq(Cat(self.read_en, on_way[:-1])),
            ends.eq(Cat(final, ends[:-1])),
            reserved.eq(reserved + self.read_en - pop),
        ]
        with m.FSM(name="fetch"):
            with m.State("IDLE"), m.If(begin):
                m.next = "ROW"
            with m.State("ROW"):
                m.d.sync += [beats.eq(row_beats), at.eq(row)]
                m.next = "READ"
            with m.State("READ"):
                m.d.comb += self.read_en.eq(reserved != cfg.STORE_FIFO)
                with m.If(self.read_en):
                    m.d.sync += [beats.eq(beats - 1), at.eq(at + 1)]
                    with m.If(final):
                        m.d.sync += [rows_left.eq(rows_left - 1), row.eq(row + in_bus_words(pitch))]
                        with m.If(rows_left == 1):
                            m.next = "LAST"
                        with m.Else():
                            m.next = "ROW"
            with m.State("LAST"), m.If(on_way == 0):  # what was read last has reached the queue
                m.d.sync += read.eq(1)
                m.next = "IDLE"
        with m.If(begin):
            m.d.sync += [
                read.eq(0),
                rows_left.eq(rows),
                row.eq(in_bus_words(field(self.head, layout("store.run"), "source"))),
            ]
        return queue
