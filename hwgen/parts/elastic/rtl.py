"""Valid and ready around datapaths of fixed latency: bubbles flow through, nothing is ever frozen."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.numerics import index_bits
from hwgen.parts.delay import delay
from hwgen.parts.elastic.timing import READ_LATENCY, ElasticTiming, RowsShape
from hwgen.parts.fifo import Fifo

__all__ = ["Elastic", "Rows"]

_BLOCK_RAM_DEPTH = 64  # fewer words are cheaper in LUTs


class Elastic(Unit):
    """A stream through a datapath: a beat is taken when there is room for its result.

    Parameters
    ----------
    name : str
        What distinguishes the module.
    width : int
        Bits of a result.
    latency : int
        Cycles of the datapath.

    Members
    -------
    in_valid, in_last : In; in_ready : Out
        The input stream; its data go to the datapath directly.
    take : Out(1)
        A beat is taken in this cycle: the datapath's valid.
    result : In(width)
        The datapath's answer, ``latency`` cycles later.
    out_valid, out_last, out : Out; out_ready : In
        The output stream.
    """

    def __init__(self, name: str, width: int, latency: int):
        self.name = name
        self.width = width
        self.latency = latency
        super().__init__({
            "in_valid": In(1), "in_last": In(1), "in_ready": Out(1), "take": Out(1), "result": In(width),
            "out_valid": Out(1), "out_last": Out(1), "out": Out(width), "out_ready": In(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``elastic`` and the name."""
        return f"elastic_{self.name}"

    def elaborate(self, platform: Any) -> Module:
        """Build queue and credits."""
        m = Module()
        queue = Fifo(f"{self.name}_out", self.width + 1, ElasticTiming(self.latency).depth)
        place(m, "queue", queue, platform)
        held = Signal(range(queue.depth + 1))
        pop = Signal()
        m.d.comb += [
            self.in_ready.eq(held != queue.depth),
            self.take.eq(self.in_valid & self.in_ready),
            queue.push.eq(delay(m, self.take, self.latency, reset=True)),
            queue.data.eq(Cat(self.result, delay(m, self.in_last, self.latency))),
            Cat(self.out, self.out_last).eq(queue.head),
            self.out_valid.eq(queue.valid),
            pop.eq(queue.valid & self.out_ready),
            queue.pop.eq(pop),
        ]
        m.d.sync += held.eq(held + self.take - pop)
        return m


class Rows(Unit):
    """Rows that go by twice: once for their statistics, once for their results, which need them.

    The second pass of a row begins when its statistics are known, while the rows behind it are in their first.

    Parameters
    ----------
    name : str
        What distinguishes the modules.
    word, statistics, result : int
        Bits of what is kept of a beat, of a row's statistics, and of a result.
    shape : RowsShape
        Latencies and room.
    store_latency : int
        Cycles from a take to what is kept of it; at most the statistics' latency.

    Members
    -------
    in_valid, in_last : In; in_ready : Out
        The input stream; its data go to the first pass directly.
    take, take_last : Out(1)
        A beat is taken in this cycle, it is a row's last.
    store : In(word)
        What to keep of it, ``store_latency`` cycles later.
    stat : In(statistics)
        The row's statistics, ``stat_latency`` cycles after ``take_last``.
    emit, emit_first, emit_last : Out(1)
        A beat of the second pass, the row's first, its last.
    kept, row : Out
        With it: what was kept, and the statistics.
    answer : In(result)
        Its result, ``result_latency`` cycles later.
    out_valid, out_last, out : Out; out_ready : In
        The output stream.
    freed : Out(1)
        The last word of a row is read for the second pass.
    """

    def __init__(
        self, name: str, word: int, statistics: int, result: int, shape: RowsShape, store_latency: int
    ):
        assert store_latency <= shape.stat_latency, "a row's words must be there when its statistics are"
        self.name = name
        self.word, self.statistics, self.result = word, statistics, result
        self.shape = shape
        self.store_latency = store_latency
        super().__init__({
            "in_valid": In(1), "in_last": In(1), "in_ready": Out(1), "take": Out(1), "take_last": Out(1),
            "store": In(word), "stat": In(statistics),
            "emit": Out(1), "emit_first": Out(1), "emit_last": Out(1), "kept": Out(word), "row": Out(statistics),
            "answer": In(result), "out_valid": Out(1), "out_last": Out(1), "out": Out(result), "out_ready": In(1),
            "freed": Out(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``rows`` and the name."""
        return f"rows_{self.name}"

    def elaborate(self, platform: Any) -> Module:
        """Build the row buffer, its two walks, and the queues."""
        m = Module()
        shape = self.shape
        lengths = Fifo(f"{self.name}_lengths", index_bits(shape.longest), shape.rows)
        stats = Fifo(f"{self.name}_statistics", self.statistics, shape.rows)
        results = Fifo(f"{self.name}_results", self.result + 1, shape.results)
        for name, queue in (("lengths", lengths), ("statistics", stats), ("results", results)):
            place(m, f"queue_{name}", queue, platform)

        # First pass.
        words = Signal(range(shape.words + 1))
        rows = Signal(range(shape.rows + 1))
        beat = Signal(index_bits(shape.longest))
        m.d.comb += [
            self.in_ready.eq((words != shape.words) & (rows != shape.rows)),
            self.take.eq(self.in_valid & self.in_ready),
            self.take_last.eq(self.take & self.in_last),
            lengths.push.eq(self.take_last),
            lengths.data.eq(beat),
            stats.push.eq(delay(m, self.take_last, shape.stat_latency, reset=True)),
            stats.data.eq(self.stat),
        ]
        with m.If(self.take):
            m.d.sync += beat.eq(Mux(self.in_last, 0, beat + 1))

        # Second pass.
        go = Signal()
        first = Signal(init=1)
        last = Signal()
        position = Signal(index_bits(shape.longest))
        going = Signal(range(shape.results + 1))
        pop = Signal()
        m.d.comb += [
            go.eq(stats.valid & (going != shape.results)),
            last.eq(position == lengths.head),
            self.freed.eq(go & last),
            stats.pop.eq(self.freed),
            lengths.pop.eq(self.freed),
        ]
        with m.If(go):
            m.d.sync += [position.eq(Mux(last, 0, position + 1)), first.eq(last)]
        m.d.sync += [
            words.eq(words + self.take - go),
            rows.eq(rows + self.take_last - self.freed),
            going.eq(going + go - pop),
        ]
        m.d.comb += [
            self.kept.eq(self._buffer(m, go)),
            self.row.eq(delay(m, stats.head, READ_LATENCY, name="row_delay")),
            self.emit.eq(delay(m, go, READ_LATENCY, reset=True)),
            self.emit_first.eq(delay(m, first, READ_LATENCY)),
            self.emit_last.eq(delay(m, last, READ_LATENCY)),
            results.push.eq(delay(m, self.emit, shape.result_latency, reset=True)),
            results.data.eq(Cat(self.answer, delay(m, self.emit_last, shape.result_latency))),
            Cat(self.out, self.out_last).eq(results.head),
            self.out_valid.eq(results.valid),
            pop.eq(results.valid & self.out_ready),
            results.pop.eq(pop),
        ]
        return m

    def _buffer(self, m: Module, go: Signal) -> Signal:
        """A ring of words; gives the word of the cycle ``READ_LATENCY`` ago."""
        depth = self.shape.words
        # A word is read when its row is complete, so never in the cycle in which it is written.
        attrs: dict[str, Any] = {"no_rw_check": 1}
        if depth >= _BLOCK_RAM_DEPTH:
            attrs["ram_style"] = "block"
        memory: Memory[Any, Any] = Memory(shape=self.word, depth=depth, init=[], attrs=attrs)
        m.submodules.ring = memory
        write = memory.write_port()
        read = memory.read_port()
        free = Signal(index_bits(depth))
        oldest = Signal(index_bits(depth))
        kept = Signal(self.word, name="kept_word", reset_less=True)
        m.d.comb += [
            write.addr.eq(free),
            write.data.eq(self.store),
            write.en.eq(delay(m, self.take, self.store_latency, reset=True, name="store_delay")),
            read.addr.eq(oldest),
            read.en.eq(1),
        ]
        m.d.sync += kept.eq(read.data)
        for pointer, step in ((free, write.en), (oldest, go)):
            with m.If(step):
                m.d.sync += pointer.eq(Mux(pointer == depth - 1, 0, pointer + 1))
        return kept
