"""Control: walks a command's passes, takes weights for the next one while activations run on this one."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.cores.dsp_gemm.config import DspGemmConfig
from hwgen.emit import Unit
from hwgen.numerics import ceil_log2, index_bits
from hwgen.parts.delay import delay

__all__ = ["Sequencer"]


class Sequencer(Unit):
    """Three stages, each one pass ahead of the next: *walker*, *loader*, *runner*.

    The walker holds a command and yields its passes (N outermost, then M, then K). The loader takes one weight
    beat per row of a pass into the shadow weights; it may begin a cycle after the runner took the first
    activations of the pass before, because that is when the shadow weights became the active ones. The runner
    takes one activation beat per step. No ``ready`` depends on a ``valid``, and none on another stream's.

    Pipelined, what the walker yields comes out of registers, a cycle after its counters, and the loader begins a
    cycle later. Passes are two cycles apart at least in any case, so only a command's first one waits for the walker.

    Parameters
    ----------
    config : DspGemmConfig
        The core.
    more : flow and shape
        Members that a subclass adds.

    Members
    -------
    cmd_valid, cmd_ready, m, n, k, accumulate, keep : In, Out
        Command stream. A command with a size of zero is taken and ignored.
    b_valid, b_ready, a_valid, a_ready : In, Out
        Handshakes of the operand streams.
    load : Out(rows)
        Rows that take the weight beat of this cycle.
    column_mask : Out(n_lanes)
        Lanes of the weight beat that are inside B.
    row_mask : Out(rows)
        Lanes of the activation beat that are inside A.
    odd : Out(1)
        The activation beat's upper rows of A are outside A (two rows per step and M odd).
    swap : Out(1)
        The activation beat of this cycle is its pass's first.
    step_write, step_send, step_clear, step_last : Out(1)
        What becomes of this cycle's sums: written back, sent, started from zero, last of the command.
    step_index : Out
        Their accumulator.
    freed : In(1)
        An entry of the result buffer was read.
    """

    def __init__(self, config: DspGemmConfig, **more: Any):
        self.config = config
        size = config.size_bits
        super().__init__({
            "cmd_valid": In(1), "cmd_ready": Out(1), "m": In(size), "n": In(size), "k": In(size),
            "accumulate": In(1), "keep": In(1),
            "b_valid": In(1), "b_ready": Out(1), "a_valid": In(1), "a_ready": Out(1),
            "load": Out(config.rows), "column_mask": Out(config.n_lanes),
            "row_mask": Out(config.rows), "odd": Out(1), "swap": Out(1),
            "step_write": Out(1), "step_send": Out(1), "step_clear": Out(1), "step_last": Out(1),
            "step_index": Out(index_bits(config.tile_steps)), "freed": In(1),
            **more,
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``sequencer``."""
        return "sequencer"

    def elaborate(self, platform: Any) -> Module:
        """Build the three stages."""
        m = Module()
        walk_valid = Signal()
        take = Signal()
        runner_swap = Signal()
        loaded = Signal()
        start = Signal()
        walk = self._walker(m, walk_valid, take)
        load = self._loader(m, walk, walk_valid, take, runner_swap, loaded, start)
        self._runner(m, load, loaded, start, runner_swap)
        return m

    def _walker(self, m: Module, ready: Signal, take: Signal) -> dict[str, Value]:
        """The pass that comes next, while ``ready``; advances when ``take``."""
        cfg = self.config
        valid = Signal(name="walk_busy") if cfg.pipelined else ready
        size = cfg.size_bits
        depth_bits = ceil_log2(cfg.tile_steps)
        steps_total = Signal(size)
        steps_left = Signal(size)
        n_left = Signal(size)
        k_total = Signal(size)
        k_left = Signal(size)
        walk_odd = Signal()
        walk_accumulate = Signal()
        walk_keep = Signal()
        k_first = Signal()

        # Steps of this tile: the whole depth, half of what is left, or all of it (tiling.tile_runs).
        steps = Signal(depth_bits + 1)
        deep = steps_left[depth_bits + 1 :].any()
        over = (steps_left[depth_bits:] != 0) & (steps_left != cfg.tile_steps)
        half = (steps_left + 1) >> 1
        m.d.comb += steps.eq(Mux(deep, cfg.tile_steps, Mux(over, half, steps_left)))
        m_last = Signal()
        n_last = Signal()
        k_last = Signal()
        m.d.comb += [
            m_last.eq(~deep & ~over),
            n_last.eq(n_left <= cfg.n_lanes),
            k_last.eq(k_left <= cfg.rows),
            self.cmd_ready.eq(~valid),
        ]
        send = k_last & ~walk_keep
        walk: dict[str, Value] = {
            "last_step": (steps - 1)[:depth_bits],
            "row_mask": _thermometer(k_left, cfg.rows),
            "column_mask": _thermometer(n_left, cfg.n_lanes),
            "clear": k_first & ~walk_accumulate,
            "send": send,
            "odd": walk_odd & m_last,
            "end": send & m_last & n_last,
        }
        if cfg.pipelined:
            m.d.sync += ready.eq(valid & ~take)
            walk = {name: _later(m, name, value) for name, value in walk.items()}
            # What the counters become, and whether they do, is known a cycle before it is needed.
            k_less = _later(m, "k_left", Mux(k_last, k_total, k_left - cfg.rows))
            rest = steps_left - half
            if size > depth_bits + 1:  # then, without carries: what half leaves is the half below
                rest = Mux(deep, steps_left - cfg.tile_steps, steps_left >> 1)
            steps_less = _later(m, "steps_left", Mux(m_last, steps_total, rest)[:size])
            n_less = _later(m, "n_left", n_left - cfg.n_lanes)
            sum_ends = _later(m, "sum_ends", k_last)
            tile_ends = _later(m, "tile_ends", k_last & m_last)
            ends = _later(m, "ends", k_last & m_last & n_last)
            with m.If(take):
                m.d.sync += [k_first.eq(sum_ends), k_left.eq(k_less)]
            with m.If(take & sum_ends):
                m.d.sync += steps_left.eq(steps_less)
            with m.If(take & tile_ends):
                m.d.sync += n_left.eq(n_less)
            with m.If(take & ends):
                m.d.sync += valid.eq(0)
        else:
            with m.If(take):
                m.d.sync += [k_first.eq(k_last), k_left.eq(Mux(k_last, k_total, k_left - cfg.rows))]
                with m.If(k_last):
                    m.d.sync += steps_left.eq(Mux(m_last, steps_total, steps_left - steps))
                    with m.If(m_last):
                        m.d.sync += n_left.eq(n_left - cfg.n_lanes)
                        with m.If(n_last):
                            m.d.sync += valid.eq(0)
        with m.If(self.cmd_valid & self.cmd_ready):
            m_steps = self.m if cfg.m_lanes == 1 else (self.m + 1) >> 1
            m.d.sync += [
                valid.eq((self.m != 0) & (self.n != 0) & (self.k != 0)),
                steps_total.eq(m_steps),
                steps_left.eq(m_steps),
                n_left.eq(self.n),
                k_total.eq(self.k),
                k_left.eq(self.k),
                k_first.eq(1),
                walk_odd.eq(self.m[0] if cfg.m_lanes == 2 else 0),
                walk_accumulate.eq(self.accumulate),
                walk_keep.eq(self.keep),
            ]
        return walk

    def _loader(
        self,
        m: Module,
        walk: dict[str, Value],
        walk_valid: Signal,
        take: Signal,
        swap: Signal,
        loaded: Signal,
        start: Signal,
    ) -> dict[str, Value]:
        """Takes the pass's weights; ``loaded`` from the last beat's cycle until the runner's ``start``."""
        cfg = self.config
        held = {name: Signal(len(value), name=f"load_{name}") for name, value in walk.items()}
        busy = Signal()
        waiting = Signal()
        shadow_used = Signal()
        # Rows still to be filled: a beat goes to all of them, and the topmost then has its own.
        pending = Signal(cfg.rows)
        load_beat = Signal()
        done = Signal()
        m.d.comb += [
            load_beat.eq(self.b_valid & busy),
            done.eq(load_beat & ~pending[1] if cfg.rows > 1 else load_beat),
            take.eq(walk_valid & (~shadow_used if cfg.pipelined else ~shadow_used | swap)),
            loaded.eq(waiting | done),
            self.b_ready.eq(busy),
            self.load.eq(Mux(load_beat, pending, 0)),
            self.column_mask.eq(held["column_mask"]),
        ]
        with m.If(load_beat):
            m.d.sync += pending.eq(pending >> 1)
        with m.If(done):
            m.d.sync += [busy.eq(0), waiting.eq(1)]
        with m.If(start):
            m.d.sync += waiting.eq(0)
        with m.If(swap):
            m.d.sync += shadow_used.eq(0)
        with m.If(take):
            m.d.sync += [held[name].eq(value) for name, value in walk.items()]
            m.d.sync += [pending.eq(walk["row_mask"]), busy.eq(1), shadow_used.eq(1)]
        return {name: value for name, value in held.items() if name != "column_mask"}

    def _runner(
        self, m: Module, load: dict[str, Value], loaded: Signal, start: Signal, swap: Signal
    ) -> Value:
        """Takes the pass's activations, one step per beat; gives whether the step is the pass's last."""
        cfg = self.config
        now = {name: Signal(len(value), name=f"run_{name}") for name, value in load.items()}
        active = Signal()
        first = Signal()
        resting = Signal()
        step = Signal(index_bits(cfg.tile_steps))
        credits, there_are = self._credits(m)
        at_last = Signal()
        finish = Signal()
        act_beat = Signal()
        # Sums that are read again must have been written: a short pass rests until they are.
        rest_until = cfg.accumulate_cycles - 1
        short = ~now["send"] & (now["last_step"] < rest_until)
        m.d.comb += [
            self.a_ready.eq(active & ~resting & (~now["send"] | there_are)),
            act_beat.eq(self.a_valid & self.a_ready),
            at_last.eq(step == now["last_step"]),
            finish.eq(Mux(resting, step == rest_until % cfg.tile_steps, act_beat & at_last & ~short)),
            start.eq(loaded & (~active | finish)),
            swap.eq(act_beat & first),
            self.swap.eq(swap),
            self.row_mask.eq(now["row_mask"]),
            self.odd.eq(now["odd"] & at_last),
            self.step_write.eq(act_beat & ~now["send"]),
            self.step_send.eq(act_beat & now["send"]),
            self.step_clear.eq(now["clear"]),
            self.step_last.eq(now["end"] & at_last),
            self.step_index.eq(step),
        ]
        with m.If(act_beat | resting):
            m.d.sync += step.eq(step + 1)
        with m.If(act_beat):
            m.d.sync += first.eq(0)
            with m.If(at_last & short):
                m.d.sync += resting.eq(1)
        with m.If(finish):
            m.d.sync += [active.eq(0), resting.eq(0)]
        with m.If(start):
            m.d.sync += [now[name].eq(value) for name, value in load.items()]
            m.d.sync += [active.eq(1), first.eq(1), step.eq(0)]
        # Pipelined, an entry counts a cycle after it is free: the buffer's other side may be far.
        freed = delay(m, self.freed, int(cfg.pipelined), reset=True, name="freed_before")
        m.d.sync += credits.eq(credits - self.step_send + freed)
        return at_last

    def _credits(self, m: Module) -> tuple[Signal, Value]:
        """Count of the result buffer's free entries, and whether there are any."""
        depth = self.config.result_depth
        if not self.config.pipelined:
            credits = Signal(range(depth + 1), init=depth)
            return credits, credits != 0
        credits = Signal(range(-1, depth), init=depth - 1)  # one less: the sign says that there is none
        return credits, ~credits[-1]


def _later(m: Module, name: str, value: Value) -> Value:
    """The value a cycle later, as the walker's next one."""
    return delay(m, value, 1, name=f"next_{name}")


def _thermometer(count: Value, lanes: int) -> Value:
    """One bit per lane, set where the lane's index is below ``count``."""
    width = lanes.bit_length()
    low, full = count[:width], count[width:].any()
    return Cat(full | (low > lane) for lane in range(lanes))
