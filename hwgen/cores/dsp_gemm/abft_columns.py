"""Column checksums: the column sums of A times B are what the columns of C must add up to."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.cores.dsp_gemm.abft_config import SUM_BITS, AbftConfig
from hwgen.emit import Unit
from hwgen.numerics import index_bits
from hwgen.parts.delay import delay

__all__ = ["ColumnSums"]


class ColumnSums(Unit):
    """Adds up A and C while they pass, and multiplies one row of B in a cycle, when its pass is over.

    *Jobs* are passes whose activations were all taken: their column sums of A wait in one memory, their rows of B in
    another. One row is done in a cycle, which is as quick as rows come.

    *Epochs* are runs of whole tiles whose column sums are compared at once. As long as one waits for results that the
    core still holds, the next one grows tile by tile, so that two sets of sums are enough however the results wait.

    All is modulo 2**32, and so is exact. Sums that were kept but never sent start anew; if there are results of other
    tiles in the epoch already, these cannot be told from them, and the epoch is not compared.

    Parameters
    ----------
    config : AbftConfig
        The checker.

    Members
    -------
    b_beat, b_data, column_mask : In
        Weights that are taken, and which of them are inside B.
    a_data, odd, row_mask, swap : In
        Activations, which of them are inside A, and whether they are a pass's first.
    step_write, step_send, step_clear, step_end : In
        As the sequencer gives them, and whether the step is its pass's last.
    c_beat, c_data : In
        Results that are taken.
    wrong : Out(1)
        The columns of an epoch were not what they must be.
    """

    def __init__(self, config: AbftConfig):
        self.config = config
        core = config.core
        super().__init__({
            "b_beat": In(1), "b_data": In(core.n_lanes * core.weight_bits), "column_mask": In(core.n_lanes),
            "a_data": In(core.m_lanes * core.rows * core.act_bits), "odd": In(1), "row_mask": In(core.rows),
            "swap": In(1),
            "step_write": In(1), "step_send": In(1), "step_clear": In(1), "step_end": In(1),
            "c_beat": In(1), "c_data": In(core.cols * SUM_BITS), "wrong": Out(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``column_sums``."""
        return "column_sums"

    def elaborate(self, platform: Any) -> Module:
        """Build sums, jobs, epochs and comparison."""
        m = Module()
        clear, close, marker = (Signal(name=f"job_{name}") for name in ("clear", "close", "marker"))
        closed = Signal()
        sure = Signal()
        last_beat = Signal()
        checked = Signal()
        self._epochs(m, clear, close, marker, closed, sure, last_beat, checked)
        word = self._jobs(m, self._activations(m), clear, close, marker)
        expected, complete = self._products(m, *word)
        self._compare(m, expected, complete, self._results(m, last_beat), last_beat, sure, checked)
        return m

    def _epochs(
        self,
        m: Module,
        clear: Signal,
        close: Signal,
        marker: Signal,
        closed: Signal,
        sure: Signal,
        last_beat: Signal,
        checked: Signal,
    ) -> None:
        """Where an epoch ends: with a tile, if no other one waits; or as soon as none does, between two tiles.

        ``clear``: the pass's products start new column sums; ``close``: it is the epoch's last, or there comes a
        ``marker`` after it which says so; ``closed``: an epoch waits to be compared; ``sure``: it may be;
        ``last_beat``: the result of this cycle is its last, or was before.
        """
        core = self.config.core
        fresh = Signal(init=1)  # the open epoch has no tile yet
        boundary = Signal()  # it has some, and none is on its way
        partial = Signal()  # sums of the pass before were not sent
        unsure = Signal()
        doubt = Signal()
        in_flight = Signal(range(core.result_depth + 2))
        left = Signal.like(in_flight)  # of what is in flight, what is the closed epoch's
        beat = Signal()
        tile_end = Signal()
        now = Signal()
        late = Signal()
        m.d.comb += [
            beat.eq(self.step_write | self.step_send),
            tile_end.eq(self.step_send & self.step_end),
            now.eq(tile_end & ~closed),
            late.eq(boundary & ~closed & ~beat),
            # What was kept is dropped, or nothing was kept and yet it is added to.
            doubt.eq(beat & self.swap & Mux(self.step_clear, partial & ~fresh, ~partial)),
            clear.eq(self.step_clear & fresh),
            close.eq(now | late),
            marker.eq(late),
            last_beat.eq(Mux(closed, self.c_beat & (left == 1), late & (in_flight == self.c_beat))),
        ]
        m.d.sync += in_flight.eq(in_flight + self.step_send - self.c_beat)
        with m.If(beat & self.swap):
            m.d.sync += unsure.eq(unsure | doubt)
        with m.If(beat & self.step_end):
            m.d.sync += partial.eq(~self.step_send)
        with m.If(beat | late):
            m.d.sync += boundary.eq(tile_end & closed)
        with m.If(closed & self.c_beat & (left != 0)):
            m.d.sync += left.eq(left - 1)
        with m.If(tile_end):
            m.d.sync += fresh.eq(0)
        with m.If(checked):
            m.d.sync += closed.eq(0)
        with m.If(close):
            m.d.sync += [
                closed.eq(1),
                sure.eq(~(unsure | doubt)),
                unsure.eq(0),
                fresh.eq(1),
                left.eq(in_flight + self.step_send - self.c_beat),
            ]

    def _activations(self, m: Module) -> list[Signal]:
        """Column sums of A over the steps of a pass."""
        core, shape = self.config.core, self.config.act_sum
        fmt = core.act
        sums = [
            Signal(Shape(shape.bits, shape.signed), name=f"acts_{r}", reset_less=True)
            for r in range(core.rows)
        ]
        for r, total in enumerate(sums):
            new: Any = Mux(self.swap, 0, total)
            for j in range(core.m_lanes):
                raw: Value = self.a_data.word_select(j * core.rows + r, fmt.bits)
                if j:
                    raw = Mux(self.odd, 0, raw)
                new = new + (raw.as_signed() if fmt.signed else raw)
            with m.If(self.step_write | self.step_send):
                m.d.sync += total.eq(new)
        return sums

    def _jobs(
        self, m: Module, sums: list[Signal], clear: Signal, close: Signal, marker: Signal
    ) -> tuple[Value, Value, Value, Value]:
        """Passes in their order, row by row: column sum of A, there is a row, first of new sums, epoch's last."""
        core, cfg = self.config.core, self.config
        bits = index_bits(core.rows)
        # A thermometer to the index of its last bit: the row of B that came first.
        tops = [self.row_mask[r] & ~self.row_mask[r + 1] for r in range(core.rows - 1)] + [self.row_mask[-1]]
        top = Cat(Cat(bit for r, bit in enumerate(tops) if r >> i & 1).any() for i in range(bits))
        ended = Signal()
        m.d.comb += ended.eq((self.step_write | self.step_send) & self.step_end)
        push = Signal()
        top_in = Signal(bits, reset_less=True)
        notes = Signal(3, reset_less=True)
        m.d.sync += [
            push.eq(ended | marker),
            top_in.eq(Mux(marker, 0, top)),
            notes.eq(Cat(clear, close, marker)),
        ]
        entry = Cat(top_in, notes, *sums)
        memory: Memory[Any, Any] = Memory(
            shape=len(entry), depth=cfg.job_depth, init=[], attrs={"ram_style": "distributed"}
        )
        m.submodules.jobs = memory
        into_jobs = memory.write_port()
        from_jobs = memory.read_port()
        write_at, read_at = (
            Signal(index_bits(cfg.job_depth), name=f"job_{n}") for n in ("write_at", "read_at")
        )
        run = Signal(name="run")
        first = Signal(name="run_first")
        begin = Signal(name="job_begins")
        last = Signal()
        row = Signal(bits, reset_less=True)
        at = Signal(bits)
        starts, closing, no_row = (from_jobs.data[i] for i in range(bits, bits + 3))
        m.d.comb += [
            into_jobs.addr.eq(write_at),
            into_jobs.data.eq(entry),
            into_jobs.en.eq(push),
            from_jobs.addr.eq(read_at),
            from_jobs.en.eq(begin),
            at.eq(Mux(first, from_jobs.data[:bits], row)),
            last.eq(run & (at == 0)),
            begin.eq((write_at != read_at) & (~run | last)),
        ]
        with m.If(push):
            m.d.sync += write_at.eq(write_at + 1)
        m.d.sync += [first.eq(begin), row.eq(at - 1)]
        with m.If(begin):
            m.d.sync += [run.eq(1), read_at.eq(read_at + 1)]
        with m.Elif(last):
            m.d.sync += run.eq(0)
        width = cfg.act_sum.bits
        words = from_jobs.data[bits + 3 :]
        chosen = Signal(Shape(width, cfg.act_sum.signed), name="factor", reset_less=True)
        m.d.sync += chosen.eq(Array(words.word_select(r, width) for r in range(core.rows))[at])
        return chosen, run & ~no_row, first & starts, last & closing

    def _products(
        self, m: Module, factor: Value, there: Value, first: Value, last: Value
    ) -> tuple[list[Signal], Value]:
        """Column checksums, and whether they are those of a whole epoch."""
        core, cfg = self.config.core, self.config
        fmt = core.weight
        weights = [Signal(fmt.bits, name=f"weight_{n}", reset_less=True) for n in range(core.n_lanes)]
        m.d.sync += [
            w.eq(Mux(self.column_mask[n], self.b_data.word_select(n, fmt.bits), 0))
            for n, w in enumerate(weights)
        ]
        depth = cfg.ring_depth
        memory: Memory[Any, Any] = Memory(
            shape=core.n_lanes * fmt.bits, depth=depth, init=[], attrs={"ram_style": "distributed"}
        )
        m.submodules.ring = memory
        into_ring = memory.write_port()
        from_ring = memory.read_port()
        write_at, read_at = (Signal(index_bits(depth), name=f"ring_{n}") for n in ("write_at", "read_at"))
        wrote = delay(m, self.b_beat, 1, reset=True)
        m.d.comb += [
            into_ring.addr.eq(write_at),
            into_ring.data.eq(Cat(weights)),
            into_ring.en.eq(wrote),
            from_ring.addr.eq(read_at),
            from_ring.en.eq(1),
        ]
        with m.If(wrote):
            m.d.sync += write_at.eq(write_at + 1)
        with m.If(there):
            m.d.sync += read_at.eq(read_at + 1)
        valid = delay(m, there, 2, reset=True, name="product_valid")
        clear = delay(m, first, 2, name="product_first")
        done = delay(m, last, 3, reset=True, name="product_last")
        totals = []
        for n in range(core.n_lanes):
            raw: Value = from_ring.data.word_select(n, fmt.bits)
            raw = raw.as_signed() if fmt.signed else raw
            product = Signal((raw * factor).shape(), name=f"product_{n}", reset_less=True)
            total = Signal(SUM_BITS, name=f"expected_{n}", reset_less=True)
            m.d.sync += product.eq(raw * factor)
            old = total.as_signed() if product.shape().signed else total
            with m.If(valid):
                m.d.sync += total.eq(Mux(clear, 0, old) + product)
            totals.append(total)
        return totals, done

    def _results(self, m: Module, last_beat: Signal) -> list[Signal]:
        """Column sums of C over an epoch."""
        core = self.config.core
        first = Signal(init=1, name="sum_first")
        with m.If(last_beat):
            m.d.sync += first.eq(1)
        with m.Elif(self.c_beat):
            m.d.sync += first.eq(0)
        totals = []
        for n in range(core.n_lanes):
            total = Signal(SUM_BITS, name=f"seen_{n}", reset_less=True)
            new: Any = Mux(first, 0, total)
            for j in range(core.m_lanes):
                new = new + self.c_data.word_select(j * core.n_lanes + n, SUM_BITS)
            with m.If(self.c_beat):
                m.d.sync += total.eq(new[:SUM_BITS])
            totals.append(total)
        return totals

    def _compare(
        self,
        m: Module,
        expected: list[Signal],
        expected_end: Value,
        seen: list[Signal],
        last_beat: Signal,
        sure: Signal,
        checked: Signal,
    ) -> None:
        """Exclusive or of both sums, each in the cycle in which it is complete: one LUT per bit."""
        seen_end = delay(m, last_beat, 1, reset=True, name="seen_end")
        one = Signal(name="expected_known")
        other = Signal(name="seen_known")
        m.d.comb += checked.eq(one & other)
        m.d.sync += [one.eq((one | expected_end) & ~checked), other.eq((other | seen_end) & ~checked)]
        unequal = []
        for n, (a, b) in enumerate(zip(expected, seen, strict=True)):
            difference = Signal(SUM_BITS, name=f"difference_{n}")
            some = Signal(name=f"unequal_{n}", reset_less=True)
            parts = Mux(checked, 0, difference) ^ Mux(expected_end, a, 0) ^ Mux(seen_end, b, 0)
            m.d.sync += [difference.eq(parts), some.eq(difference.any())]
            unequal.append(some)
        m.d.sync += self.wrong.eq(delay(m, checked & sure, 1, reset=True, name="judged") & Cat(unequal).any())
