"""The cycle model: when each beat moves, exactly, with and without stalls.

Names of the recurrences, all in cycles after reset (the hardware's registers are named alike):

* ``take``: the loader takes a pass from the command walker; the first weight beat may follow a cycle later.
* ``loaded``: the pass's last weight beat is taken.
* ``swap``: the pass's first activation beat is taken; the loaded weights become the active ones.
* ``finish``: the runner is done with the pass (activations taken, accumulators safe to read again).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwgen.core import Schedule, StreamEnd
from hwgen.cores.dsp_gemm.config import DspGemmConfig
from hwgen.cores.dsp_gemm.operation import Gemm
from hwgen.cores.dsp_gemm.tiling import passes, tile_runs
from hwgen.numerics import ceil_div

__all__ = ["DspGemmTiming", "Shape"]


@dataclass(frozen=True)
class Shape:
    """A GEMM without operands: all that the cycle count depends on."""

    m: int
    n: int
    k: int
    accumulate: bool = False
    keep: bool = False

    @classmethod
    def of(cls, op: Gemm | Shape) -> Shape:
        """The shape of an operation."""
        return op if isinstance(op, Shape) else cls(*op.shape, op.accumulate, op.keep)

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, N, K."""
        return self.m, self.n, self.k

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.m * self.n * self.k


class DspGemmTiming:
    """Cycle model of one configuration.

    Parameters
    ----------
    config : DspGemmConfig
        The core.
    """

    def __init__(self, config: DspGemmConfig):
        self.config = config

    def _pass_cycles(self, steps: int, safe: bool, next_k: int) -> int:
        """Cycles from one pass's swap to the next one's, nothing waiting.

        The activations take ``steps``; the next pass's ``next_k`` weight beats start ``load_cycles`` after the swap
        and end a cycle before the next; sums that are read again need ``accumulate_cycles``.
        """
        run = steps if safe else max(steps, self.config.accumulate_cycles)
        return max(run, next_k + self.config.load_cycles)

    def _lead(self, steps: int, k: int) -> int:
        """Cycles from the swap of a tile's first pass to the swap of its last one."""
        rows = self.config.rows
        count = ceil_div(k, rows)
        if count == 1:
            return 0
        tail = k - (count - 1) * rows
        return (count - 2) * self._pass_cycles(steps, False, rows) + self._pass_cycles(steps, False, tail)

    def free(self, operations: Sequence[Gemm | Shape]) -> Schedule:
        """Schedule when every stream is always ready: closed form per command."""
        cfg = self.config
        shapes = [Shape.of(op) for op in operations]
        if not shapes:
            return Schedule([], [], 0)
        firsts = [min(cfg.rows, shape.k) for shape in shapes] + [0]
        starts, ends = [], []
        command, take = 0, cfg.command_cycles
        swap = take + firsts[0] + 1
        for shape, first_k, next_k in zip(shapes, firsts, firsts[1:], strict=False):
            starts.append(command)
            sends = not shape.keep
            runs = tile_runs(ceil_div(shape.m, cfg.m_lanes), cfg.tile_steps)
            last = runs[-1][0]
            tiles = {t: self._lead(t, shape.k) + self._pass_cycles(t, sends, first_k) for t, _ in runs}
            blocks = ceil_div(shape.n, cfg.n_lanes)
            before = blocks * sum(count * tiles[t] for t, count in runs) - tiles[last]
            final = swap + before + self._lead(last, shape.k)  # swap of the command's last pass
            ends.append(final + last - 1 + (cfg.latency if sends else 0))
            command = self._last_take(shape, runs, take, final) + 1
            take = max(final + cfg.load_cycles - 1, command + cfg.command_cycles)
            swap = max(final + self._pass_cycles(last, sends, next_k), take + next_k + 1)
        return Schedule(starts, ends, max(ends) + 1)

    def losses(self, operation: Gemm | Shape) -> dict[str, float]:
        """Where the cycles of one command go when it runs alone; the values add up to its cycles.

        ``compute`` is the physical bound, M·N·K over the array's MACs per cycle; ``edges`` what partly filled
        tiles add; ``weight load`` cycles in which activations wait for weights; ``fill and drain`` the way in
        and out.
        """
        cfg, shape = self.config, Shape.of(operation)
        steps = ceil_div(shape.m, cfg.m_lanes)
        tiled = steps * ceil_div(shape.n, cfg.n_lanes) * ceil_div(shape.k, cfg.rows)
        compute = shape.macs / (cfg.rows * cfg.cols)
        ends = cfg.command_cycles + min(cfg.rows, shape.k) + 1 + (0 if shape.keep else cfg.latency)
        total = self.free([shape]).cycles
        return {
            "compute": compute,
            "edges": tiled - compute,
            "weight load": float(total - tiled - ends),
            "fill and drain": float(ends),
        }

    def _last_take(self, shape: Shape, runs: list[tuple[int, int]], first_take: int, final: int) -> int:
        """Cycle in which the walker hands over a command's last pass: the swap of the pass before it."""
        rows = self.config.rows
        count = ceil_div(shape.k, rows)
        if shape.n <= self.config.n_lanes and runs == [(runs[0][0], 1)] and count == 1:
            return first_take
        # Tiles never end with a run of several, so the tile before the last one is of the run before.
        steps = runs[-2][0] if count == 1 and len(runs) > 1 else runs[-1][0]
        tail = shape.k - (count - 1) * rows
        before = final - self._pass_cycles(steps, count == 1 and not shape.keep, tail)
        return before + self.config.load_cycles - 1

    def stalled(self, operations: Sequence[Gemm | Shape], ends: Mapping[str, StreamEnd]) -> Schedule:
        """Schedule with producers and a consumer that may wait: every beat in turn."""
        cfg = self.config
        cmd, weights, acts, results = ends["cmd"], ends["b"], ends["a"], ends["c"]
        credits: deque[int] = deque()  # cycles in which the result buffer's entries were freed
        starts: list[int] = []
        finals: list[int] = []
        walker, swap, finish, taken = 0, -1, -1, -1
        sent = 0
        moved: deque[int] = deque([-1] * cfg.result_queue, cfg.result_queue)  # latest results' transfers
        for op in operations:
            shape = Shape.of(op)
            command = cmd.transfer(walker)
            starts.append(command)
            walker, first = command + 1, command + cfg.command_cycles
            for p in passes(cfg, shape.m, shape.n, shape.k):
                take = max(walker, first, swap + cfg.load_cycles - 1)
                walker = take + 1
                loaded = take
                for _ in range(p.k_count):
                    loaded = weights.transfer(loaded + 1)
                emit = p.last and not shape.keep
                taken = max(loaded, finish)
                for step in range(p.steps):
                    earliest = taken + 1
                    if emit and sent >= cfg.result_depth:
                        earliest = max(earliest, credits.popleft() + 1 + cfg.pipelined)
                    taken = acts.transfer(earliest)
                    if step == 0:
                        swap = taken
                    if emit:
                        sent += 1
                        # Room for it is seen in the cycle of a transfer if there is one place, else a cycle later.
                        room = moved[0] + (cfg.result_queue > 1)
                        read = max(taken + cfg.store_delay, room)
                        credits.append(read)
                        moved.append(results.transfer(max(read + cfg.result_cycles, moved[-1] + 1)))
                finish = taken if emit else taken + max(0, cfg.accumulate_cycles - p.steps)
            finals.append(taken if shape.keep else moved[-1])
        return Schedule(starts, finals, max(finals) + 1 if finals else 0)
