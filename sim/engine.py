"""Runs operations on a core's cycle model, with or without values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sim.streams import Consumer, Gate, Producer

__all__ = ["CycleModel", "Result", "Times", "simulate"]


class Times(Protocol):
    """What a cycle model answers: see ``hwgen.core.Schedule``."""

    @property
    def starts(self) -> Sequence[int]:
        """Cycle in which each operation was taken."""
        ...

    @property
    def ends(self) -> Sequence[int]:
        """Cycle of each operation's last transfer."""
        ...

    @property
    def cycles(self) -> int:
        """Length of the run."""
        ...


class CycleModel(Protocol):
    """A core's exact timing: see ``hwgen.core.Timing``."""

    def free(self, operations: Sequence[Any]) -> Times:
        """Schedule when no stream ever waits."""
        ...

    def stalled(self, operations: Sequence[Any], ends: Mapping[str, Any]) -> Times:
        """Schedule against given other sides."""
        ...


@dataclass(frozen=True, eq=False)
class Result:
    """Outcome of a simulation.

    Parameters
    ----------
    cycles : int
        From the first cycle after reset to the last transfer, inclusive.
    starts, ends : sequence of int
        First and last cycle of each operation.
    outputs : list of array or None
        Each operation's result; None if only the time was asked for.
    transfers : mapping of str to int array
        Cycle of every beat of every stream; empty unless streams were gated or asked for.
    """

    cycles: int
    starts: Sequence[int]
    ends: Sequence[int]
    outputs: list[Any] | None
    transfers: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)


def simulate(
    model: CycleModel,
    operations: Sequence[Any],
    *,
    values: Callable[[Sequence[Any]], list[Any]] | None = None,
    inputs: Mapping[str, Gate] | None = None,
    outputs: Mapping[str, Gate] | None = None,
) -> Result:
    """Simulate ``operations`` in order on one core.

    Parameters
    ----------
    model : CycleModel
        The core's timing.
    operations : sequence
        What the core is to do; passed on to the model and to ``values``.
    values : callable, optional
        Computes the results; without it only time is simulated.
    inputs, outputs : mapping of str to Gate, optional
        Streams of the core and when their other sides move. If either is given every beat is simulated and
        its cycle recorded; if neither, every stream is always ready and time is computed in closed form.
    """
    results = values(operations) if values else None
    if inputs is None and outputs is None:
        times = model.free(operations)
        return Result(times.cycles, times.starts, times.ends, results)
    ends: dict[str, Producer | Consumer] = {name: Producer(gate) for name, gate in (inputs or {}).items()}
    ends |= {name: Consumer(gate) for name, gate in (outputs or {}).items()}
    times = model.stalled(operations, ends)
    transfers = {name: np.array(end.times, np.int64) for name, end in ends.items()}
    return Result(times.cycles, times.starts, times.ends, results, transfers)
