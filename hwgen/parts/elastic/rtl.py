"""Valid and ready around datapaths of fixed latency: bubbles flow through, nothing is ever frozen."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
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
    stat_again : In(1)
        If the shape has ``again``: with ``stat``; the row has to go through the first pass once more.
    emit_again, again_last : Out(1)
        If the shape has ``again``: a word for the first pass, with the statistics found so far, the row's last; new
        statistics are taken from ``stat``, ``shape.again`` cycles later. ``emit`` is low, and no word is taken.
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
            **({} if shape.again is None else {"stat_again": In(1), "emit_again": Out(1), "again_last": Out(1)}),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``rows`` and the name."""
        return f"rows_{self.name}"

    def elaborate(self, platform: Any) -> Module:
        """Build the row buffer, its two walks, and the queues."""
        m = Module()
        shape = self.shape
        lengths = Fifo(f"{self.name}_lengths", index_bits(shape.longest), shape.rows, registered=True)
        again = shape.again is not None
        stats = Fifo(f"{self.name}_statistics", self.statistics + again, shape.rows)
        results = Fifo(f"{self.name}_results", self.result + 1, shape.results)
        for name, queue in (("lengths", lengths), ("statistics", stats), ("results", results)):
            place(m, f"queue_{name}", queue, platform)

        go = Signal()
        last = Signal()
        due, row, again_walk, held = (
            self._again(m, stats, last) if again else (stats.valid, stats.head, None, None)
        )

        # First pass.
        words = Signal(range(shape.words + 1))
        rows = Signal(range(shape.rows + 1))
        # Whether counters are at their ends is known in registers: ready and go are the longest paths of many a block.
        words_full, rows_full, results_full = (Signal(name=f"{n}_full") for n in ("words", "rows", "results"))
        beat = Signal(index_bits(shape.longest))
        m.d.comb += [
            self.in_ready.eq(~words_full & ~rows_full & (1 if held is None else ~held)),
            self.take.eq(self.in_valid & self.in_ready),
            self.take_last.eq(self.take & self.in_last),
            lengths.push.eq(self.take_last),
            lengths.data.eq(beat),
            stats.push.eq(delay(m, self.take_last, shape.stat_latency, reset=True)),
            stats.data.eq(Cat(self.stat, self.stat_again) if again else self.stat),
        ]
        with m.If(self.take):
            m.d.sync += beat.eq(Mux(self.in_last, 0, beat + 1))

        # Second pass.
        first = Signal(init=1)
        position = Signal(index_bits(shape.longest))
        going = Signal(range(shape.results + 1))
        pop = Signal()
        m.d.comb += [
            go.eq(due & ~results_full),
            last.eq(position == lengths.head),
            self.freed.eq(go & last),
            stats.pop.eq(self.freed),
            lengths.pop.eq(self.freed),
        ]
        step = go if again_walk is None else go | again_walk
        with m.If(step):
            m.d.sync += [position.eq(Mux(last, 0, position + 1)), first.eq(last)]
        m.d.sync += [
            words.eq(words + self.take - go),
            rows.eq(rows + self.take_last - self.freed),
            going.eq(going + go - pop),
            words_full.eq(Mux(words_full, ~go, (words == shape.words - 1) & self.take & ~go)),
            rows_full.eq(
                Mux(rows_full, ~self.freed, (rows == shape.rows - 1) & self.take_last & ~self.freed)
            ),
            results_full.eq(Mux(results_full, ~pop, (going == shape.results - 1) & go & ~pop)),
        ]
        m.d.comb += [
            self.kept.eq(self._buffer(m, step, go, last)),
            self.row.eq(delay(m, row, READ_LATENCY, name="row_delay")),
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

    def _again(self, m: Module, stats: Fifo, last: Signal) -> tuple[Value, Value, Value, Value]:
        """A row that must go through the first pass once more: its words are read, and stay, before the second one.

        Returns whether a row may begin its second pass, its statistics, whether a word is read for the first one,
        and whether that keeps new words from it.
        """
        shape = self.shape
        walked, done = Signal(name="again_walked"), Signal(name="again_done")
        waited = Signal(range(shape.settle + 1), name="again_waited")
        statistics = Signal(self.statistics, name="again_statistics", reset_less=True)
        wanted, walk = Signal(name="again_wanted"), Signal(name="again_walk")
        m.d.comb += [
            wanted.eq(stats.valid & stats.head[-1] & ~walked),
            walk.eq(wanted & (waited == shape.settle)),
            self.emit_again.eq(delay(m, walk, READ_LATENCY, reset=True)),
            self.again_last.eq(delay(m, walk & last, READ_LATENCY, reset=True, name="again_last_delay")),
        ]
        known = delay(m, self.again_last, shape.again or 0, reset=True, name="again_known")
        with m.If(wanted & ~walk):
            m.d.sync += waited.eq(waited + 1)
        with m.If(walk & last):
            m.d.sync += [walked.eq(1), waited.eq(0)]
        with m.If(known):
            m.d.sync += [done.eq(1), statistics.eq(self.stat)]
        with m.If(self.freed):
            m.d.sync += [walked.eq(0), done.eq(0)]
        return stats.valid & (~stats.head[-1] | done), Mux(done, statistics, stats.head[:-1]), walk, wanted

    def _buffer(self, m: Module, step: Value, go: Value, last: Value) -> Signal:
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
        for pointer, moves in ((free, write.en), (oldest, step)):
            with m.If(moves):
                m.d.sync += pointer.eq(Mux(pointer == depth - 1, 0, pointer + 1))
        if self.shape.again is not None:
            start = Signal.like(oldest, name="row_start")
            with m.If(go & last):
                m.d.sync += start.eq(Mux(oldest == depth - 1, 0, oldest + 1))
            with m.Elif(step & last):
                m.d.sync += oldest.eq(start)
        return kept
