"""The cycle model: when each beat moves, exactly, with and without stalls.

Rows go by twice as :class:`~hwgen.parts.elastic.timing.RowsTiming` says. A row that loads a set is not taken before
the cycle after the set's last beat; a set is not begun before the cycle after the one in which the first word of a
row goes into its second pass that took the set before the last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from hwgen.core import Schedule, StreamEnd
from hwgen.cores.norm.config import NormConfig
from hwgen.cores.norm.operation import Row
from hwgen.numerics import ceil_div
from hwgen.parts.elastic.timing import READ_LATENCY, RowsTiming

__all__ = ["NormTiming"]

_SETS = 2


class NormTiming:
    """Cycle model of one configuration.

    Parameters
    ----------
    config : NormConfig
        The core.
    """

    def __init__(self, config: NormConfig):
        self.config = config

    def free(self, operations: Sequence[Row]) -> Schedule:
        """Schedule when no stream ever waits."""
        return self._run(operations, RowsTiming(self.config.rows), None)

    def stalled(self, operations: Sequence[Row], ends: Mapping[str, StreamEnd]) -> Schedule:
        """Schedule with the given other sides, beat by beat."""
        return self._run(operations, RowsTiming(self.config.rows, ends["x"], ends["y"]), ends["p"])

    def _run(self, operations: Sequence[Row], rows: RowsTiming, source: StreamEnd | None) -> Schedule:
        lanes = self.config.lanes
        free = deque(
            [0] * _SETS, maxlen=_SETS
        )  # first cycle in which the places of sets are free, the next one first
        sent = -1
        starts, ends = [], []
        taken = False
        for row in operations:
            earliest = 0
            if row.load is not None:
                room = free.popleft()
                for _ in range(row.load.beats(lanes)):
                    ready = max(sent + 1, room)
                    sent = ready if source is None else source.transfer(ready)
                earliest = sent + 1
            moved = rows.row(row.beats(lanes), earliest)
            if row.load is not None:
                if taken:  # the set before this row's
                    free.append(moved.begun + READ_LATENCY + 1)
                taken = True
            starts.append(moved.first)
            ends.append(moved.end)
        return Schedule(starts, ends, max(ends) + 1 if ends else 0)

    def losses(self, operation: Row) -> dict[str, float]:
        """Where the cycles of one row go when it runs alone; the values add up to its cycles.

        ``compute`` is its elements over the lanes, ``edges`` what a partly filled beat adds, ``load`` the wait for its
        set, ``first pass`` the beats that must be there before the second one begins, ``fill and drain`` the latency.
        """
        lanes, beats = self.config.lanes, operation.beats(self.config.lanes)
        compute = len(operation.x) / lanes
        return {
            "compute": compute,
            "edges": ceil_div(len(operation.x), lanes) - compute,
            "load": float(operation.load.beats(lanes)) if operation.load else 0.0,
            "first pass": float(beats - 1),
            "fill and drain": float(self.config.latency),
        }
