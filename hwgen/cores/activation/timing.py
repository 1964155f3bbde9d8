"""The cycle model: beats through lanes of fixed latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hwgen.core import Schedule, StreamEnd
from hwgen.cores.activation.config import ActivationConfig
from hwgen.cores.activation.operation import Vector
from hwgen.numerics import ceil_div

__all__ = ["ActivationTiming"]


class ActivationTiming:
    """Cycle model of one configuration.

    Parameters
    ----------
    config : ActivationConfig
        The core.
    """

    def __init__(self, config: ActivationConfig):
        self.config = config

    def free(self, operations: Sequence[Vector]) -> Schedule:
        """Schedule when every stream is always ready: a beat per cycle."""
        return self.config.elastic.run(self._beats(operations), None, None)

    def stalled(self, operations: Sequence[Vector], ends: Mapping[str, StreamEnd]) -> Schedule:
        """Schedule with a producer and a consumer that may wait."""
        return self.config.elastic.run(self._beats(operations), ends["x"], ends["y"])

    def losses(self, operation: Vector) -> dict[str, float]:
        """Where the cycles of one vector go when it runs alone; the values add up to its cycles.

        ``compute`` is one element per lane and cycle, ``edges`` what a partly filled last beat adds, ``fill and
        drain`` the latency.
        """
        beats = self._beats([operation])[0]
        compute = operation.x.size / self.config.lanes
        return {
            "compute": compute,
            "edges": beats - compute,
            "fill and drain": float(self.config.latency + 1),
        }

    def _beats(self, operations: Sequence[Vector]) -> list[int]:
        return [ceil_div(op.x.size, self.config.lanes) for op in operations]
