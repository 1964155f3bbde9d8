"""The cycle model: when each beat moves, exactly, with and without stalls.

Names of the recurrences, all in cycles after reset (the hardware's registers are named alike):

* ``take``: a loader, or the runner, takes a command from the front.
* ``begin``: the first beat of a block leaves the FIFO for the corner turn; the block takes ``travel`` cycles.
* ``loaded``: a tile of A, or the B of a command, is stored.
* ``last``: a tile's last step; ``finish`` is that of a tile of A, with its last tile of B.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from hwgen.core import Schedule, StreamEnd
from hwgen.cores.lut_gemm.config import LutGemmConfig
from hwgen.cores.lut_gemm.operation import Gemm
from hwgen.cores.lut_gemm.tiling import Shape
from hwgen.numerics import ceil_div
from hwgen.parts.corner_turn import travel_bits

__all__ = ["LutGemmTiming"]

_REGIONS = 2


class _Loader:
    """One operand's way in. ``pops`` are the cycles in which the last beats left the FIFO."""

    def __init__(self, config: LutGemmConfig):
        self.config = config
        self.pops: deque[int] = deque(maxlen=config.FIFO_DEPTH)
        self.free = 0  # first cycle in which a command can be taken
        self.beats = 0

    def rows(self, shape: Shape, bits: int, count: int, ready: int, beat: Callable[[int], int]) -> int:
        """Load ``count`` rows, beat by beat; the cycle of the last plane.

        ``ready`` is the first cycle in which a block may begin; ``beat`` gives a beat's transfer for the first
        cycle in which the FIFO has room for it.
        """
        travel, blocks = travel_bits(bits), shape.blocks(self.config)
        for _ in range(count):
            for block in range(blocks):
                beats = travel if block < blocks - 1 else shape.last_beats(self.config, bits)
                arrived = -1
                for _ in range(beats):
                    full = len(self.pops) == self.config.FIFO_DEPTH
                    arrived = beat(self.pops.popleft() + 1 if full else 0)
                    self.pops.append(-1)  # its own cycle is known when the block begins
                begin = max(ready, arrived + 1)
                for at in range(beats):
                    self.pops[at - beats] = begin + at
                ready = begin + travel
        return ready - 1

    def rows_free(self, shape: Shape, bits: int, count: int, ready: int) -> int:
        """As :meth:`rows`, with a producer that never waits, in closed form.

        Beat ``i`` moves in cycle ``max(i, pop of beat i - FIFO depth + 1)``. Once a command's first block has
        begun, its blocks follow without a gap: they need no more beats than arrived while the one before ran.
        """
        travel, blocks = travel_bits(bits), shape.blocks(self.config)
        last = shape.last_beats(self.config, bits)
        first = last if blocks == 1 else travel
        begin = max(ready, self._arrival(self.beats + first - 1) + 1)
        self.beats += count * shape.row_beats(self.config, bits)
        end = begin + count * blocks * travel
        tail: list[int] = []
        block = count * blocks
        while block and len(tail) < self.config.FIFO_DEPTH:
            block -= 1
            beats = last if block % blocks == blocks - 1 else travel
            tail[:0] = range(begin + block * travel, begin + block * travel + beats)
        self.pops.extend(tail)
        return end - 1

    def _arrival(self, beat: int) -> int:
        """Cycle of a beat's transfer when the producer never waits; ``self.beats`` have left the FIFO."""
        before = beat - self.config.FIFO_DEPTH - self.beats + len(self.pops)
        return max(beat, self.pops[before] + 1 if before >= 0 else 0)


class LutGemmTiming:
    """Cycle model of one configuration.

    Parameters
    ----------
    config : LutGemmConfig
        The core.
    """

    def __init__(self, config: LutGemmConfig):
        self.config = config

    def free(self, operations: Sequence[Gemm | Shape]) -> Schedule:
        """Schedule when every stream is always ready; work per tile of A, not per beat."""
        cfg = self.config
        run = _Run(cfg)
        for op in operations:
            shape = Shape.of(op)
            run.command(run.offered)
            if not shape.macs:
                continue
            tiles = shape.column_tiles(cfg)
            b_end = run.b.rows_free(shape, shape.b_bits, shape.n, run.take_b())
            run.loaded_b(b_end)
            ready = run.take_a()
            for top in range(0, shape.m, cfg.dm):
                rows = min(cfg.dm, shape.m - top)
                end = run.a.rows_free(shape, shape.a_bits, rows, max(ready, run.region_a()))
                ready = end + 1
                last = run.tile(run.start(end), shape.steps(cfg))
                # The result buffer never fills: it holds all rows in flight and those of another tile.
                run.last = last + (tiles - 1) * max(shape.steps(cfg), cfg.dm)
                run.finish()
            run.a.free = ready
            run.end(run.last + cfg.latency + rows - 1)
        return run.schedule()

    def stalled(self, operations: Sequence[Gemm | Shape], ends: Mapping[str, StreamEnd]) -> Schedule:
        """Schedule with producers and a consumer that may wait: every beat in turn."""
        cfg = self.config
        cmd, results = ends["cmd"], ends["c"]
        freed: deque[int] = deque([-1] * cfg.result_depth)  # when the result buffer's entries were read
        done = -1  # last transfer of a result
        run = _Run(cfg)
        for op in operations:
            shape = Shape.of(op)
            run.command(cmd.transfer(run.offered))
            if not shape.macs:
                continue
            run.loaded_b(run.b.rows(shape, shape.b_bits, shape.n, run.take_b(), ends["b"].transfer))
            ready = run.take_a()
            for top in range(0, shape.m, cfg.dm):
                rows = min(cfg.dm, shape.m - top)
                room = max(ready, run.region_a())
                end = run.a.rows(shape, shape.a_bits, rows, room, ends["a"].transfer)
                ready = end + 1
                start = run.start(end)
                for _ in range(shape.column_tiles(cfg)):
                    run.last = max(run.tile(start, shape.steps(cfg)), freed[rows - 1] + 1)
                    start = run.last + 1
                    for row in range(rows):
                        freed.popleft()
                        read = max(run.last + cfg.store_delay + row + 1, done)
                        freed.append(read)
                        done = results.transfer(read + 1)
                run.finish()
            run.a.free = ready
            run.end(done)
        return run.schedule()

    def losses(self, operation: Gemm | Shape) -> dict[str, float]:
        """Where the cycles of one command go when it runs alone; the values add up to its cycles.

        ``compute`` is the physical bound, binary operations over the array's per cycle; ``edges`` what partly
        filled tiles and blocks add; ``load`` cycles in which the array waits for operands or for rows to leave;
        ``fill and drain`` the way out.
        """
        cfg, shape = self.config, Shape.of(operation)
        tiles = ceil_div(shape.m, cfg.dm) * shape.column_tiles(cfg)
        steps = tiles * shape.steps(cfg)
        compute = shape.binary_ops / cfg.binary_ops_per_cycle
        drain = cfg.latency + (shape.m - 1) % cfg.dm
        total = self.free([shape]).cycles
        return {
            "compute": compute,
            "edges": steps - compute,
            "load": float(total - steps - drain),
            "fill and drain": float(drain),
        }


class _Run:
    """What commands leave behind for the next ones."""

    def __init__(self, config: LutGemmConfig):
        self.config = config
        self.a, self.b = _Loader(config), _Loader(config)
        self.offered = 0  # first cycle in which the front takes a command
        self.last = -(config.dm + 1)  # of the last tile
        self.finishes_a: deque[int] = deque([-1] * _REGIONS, maxlen=_REGIONS)
        self.finishes_b: deque[int] = deque([-1] * _REGIONS, maxlen=_REGIONS)
        self.starts: list[int] = []
        self.ends: list[int] = []
        self._command = 0
        self._b_ready = 0
        self._taken = False

    def command(self, cycle: int) -> None:
        """A command moves into the front, and leaves it at once if it is empty."""
        self.starts.append(cycle)
        self.offered = self._command = cycle + 1

    def take_b(self) -> int:
        """First cycle in which B's blocks may begin."""
        take = max(self._command, self.b.free, self.finishes_b[0] + 1)
        self.offered = max(self.offered, take + 1)
        return take + 1

    def loaded_b(self, end: int) -> None:
        """B's last plane leaves the FIFO in cycle ``end``."""
        self.b.free = end + 1
        self._b_ready = end + self.config.load_delay + 1
        self._taken = False

    def take_a(self) -> int:
        """First cycle in which A's blocks may begin."""
        take = max(self._command, self.a.free)
        self.offered = max(self.offered, take + 1)
        return take + 1

    def region_a(self) -> int:
        """First cycle in which a region is free for the next tile of A."""
        return self.finishes_a[0] + 1

    def start(self, end: int) -> int:
        """First step on the tile of A whose last plane leaves the FIFO in cycle ``end``."""
        take = max(self.finishes_a[-1], end + self.config.load_delay + 1)
        if not self._taken:
            take = max(take, self._command, self._b_ready)
            self.offered = max(self.offered, take + 1)
            self._taken = True
        return take + 1

    def tile(self, start: int, steps: int) -> int:
        """Last step of a tile that starts in ``start``: its rows need the cycles of those before."""
        return max(start + steps - 1, self.last + self.config.dm)

    def finish(self) -> None:
        """The last step was the last one on this tile of A."""
        self.finishes_a.append(self.last)

    def end(self, cycle: int) -> None:
        """The command's last result moves."""
        self.finishes_b.append(self.last)
        self.ends.append(cycle)

    def schedule(self) -> Schedule:
        """All of it."""
        return Schedule(self.starts, self.ends, max(self.ends) + 1 if self.ends else 0)
