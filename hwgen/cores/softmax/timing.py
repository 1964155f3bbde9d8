"""The cycle model: when each beat moves, exactly, with and without stalls."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from hwgen.core import Schedule, StreamEnd
from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.latency import FRONT, Latency
from hwgen.cores.softmax.operation import Row, out_of_reach
from hwgen.numerics import ceil_div
from hwgen.parts.elastic.timing import READ_LATENCY, RowsTiming

__all__ = ["SoftmaxTiming"]


class _Into:
    """The end of a stream that leads into other rows."""

    def __init__(self, rows: RowsTiming):
        self.rows = rows

    def transfer(self, earliest: int) -> int:
        return self.rows.take(earliest)


class _Queue:
    """A queue of two beats between a port and rows that now and then close their input."""

    def __init__(self, port: StreamEnd | None):
        self.port = port
        self.rows: RowsTiming
        self.first = -1  # transfer of a row's first beat
        self._pops: deque[int] = deque(maxlen=FRONT)
        self._pushed = -1

    def transfer(self, earliest: int) -> int:
        room = self._pops[0] + 1 if len(self._pops) == FRONT else 0
        push = max(room, self._pushed + 1)
        self._pushed = self.port.transfer(push) if self.port else push
        if self.first < 0:
            self.first = self._pushed
        pop = max(self._pushed + 1, earliest)
        for start, end in self.rows.closed:
            if start <= pop <= end:
                pop = end + 1
        self._pops.append(pop)
        return pop


class SoftmaxTiming:
    """Cycle model of one configuration.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = config
        self.latency = Latency(config)
        self.passes = 2 if config.finds_maximum else 1  # behind the first one

    def free(self, operations: Sequence[Row]) -> Schedule:
        """Schedule when no stream ever waits."""
        return self._schedule(operations, None, None, None)

    def stalled(self, operations: Sequence[Row], ends: Mapping[str, StreamEnd]) -> Schedule:
        """Schedule with a producer and consumers that may wait: every beat in turn."""
        return self._schedule(operations, ends["x"], ends["y"], ends.get("s"))

    def _schedule(
        self, operations: Sequence[Row], x: StreamEnd | None, y: StreamEnd | None, s: StreamEnd | None
    ) -> Schedule:
        cfg, shape = self.config, self.latency.shape
        starts, last = [], []
        sent: deque[int] = deque(maxlen=shape.rows)
        queue = _Queue(x)
        rows = RowsTiming(shape, None if cfg.finds_maximum else queue if cfg.may_repeat else x, y)
        front = RowsTiming(self.latency.distances, x, _Into(rows)) if cfg.finds_maximum else rows
        queue.rows = rows
        for row, beats in zip(operations, self._beats(operations), strict=True):
            queue.first = -1
            for beat in range(beats):
                front.take(sent[0] + 1 if beat == 0 and len(sent) == shape.rows else 0)
            first = front.finish(again=cfg.may_repeat and out_of_reach(cfg, row))
            second = rows.finish() if cfg.finds_maximum else first
            starts.append(queue.first if cfg.may_repeat else first.first)
            last.append(second.end)
            if not cfg.divides:
                known = max(second.freed + READ_LATENCY + 1, sent[-1] + 1 if sent else 0)
                sent.append(s.transfer(known) if s else known)
                last[-1] = max(second.end, sent[-1])
        return Schedule(starts, last, max(last, default=-1) + 1)

    def losses(self, operation: Row) -> dict[str, float]:
        """Where the cycles of one row go when it runs alone; the values add up to its cycles.

        ``compute`` is the bound by the elements; ``edges`` what a partly filled beat adds; ``second pass`` and
        ``fill and drain`` what a row waits for its own sum and results, in which other rows may run.
        """
        beats = self._beats([operation])[0]
        compute = len(operation.x) / self.config.lanes
        return {
            "compute": compute,
            "edges": beats - compute,
            "second pass": float(self.passes * (beats - 1)),
            "fill and drain": float(self.free([operation]).cycles - beats - self.passes * (beats - 1)),
        }

    def _beats(self, operations: Sequence[Row]) -> list[int]:
        return [ceil_div(len(row.x), self.config.lanes) for row in operations]
