"""The other side of a stream: producers and consumers that wait in a pattern known beforehand.

A *gate* is a cyclic pattern of open and closed cycles, counted from the first cycle after reset. A producer
offers its next beat in the first open cycle in which it holds none, and then holds it until it is taken; a
consumer is ready exactly in the open cycles. The benches around the Verilog follow the same two rules, so
cycles can be compared exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = ["OPEN", "Consumer", "Gate", "Producer"]


@dataclass(frozen=True, eq=False)
class Gate:
    """A cyclic pattern of open cycles.

    Parameters
    ----------
    pattern : bool array, shape (period,)
        True where open; at least one cycle is.
    """

    pattern: npt.NDArray[np.bool_]

    @cached_property
    def _wait(self) -> list[int]:
        twice = np.concatenate([self.pattern, self.pattern])
        opens = np.flatnonzero(twice)
        period = len(self.pattern)
        following = opens[np.searchsorted(opens, np.arange(period))]
        waits: list[int] = (following - np.arange(period)).tolist()
        return waits

    def first_open(self, cycle: int) -> int:
        """First open cycle not before ``cycle``."""
        return cycle + self._wait[cycle % len(self._wait)]


OPEN = Gate(np.ones(1, np.bool_))
"""Never closed."""


@dataclass
class Producer:
    """Feeds a core's input stream.

    Parameters
    ----------
    gate : Gate
        When it may begin to offer a beat.
    """

    gate: Gate
    times: list[int] = field(default_factory=list)
    """Cycle of each transfer so far."""

    def transfer(self, earliest: int) -> int:
        """Cycle of the next transfer, the core being ready from ``earliest`` on."""
        free = self.times[-1] + 1 if self.times else 0
        cycle = max(self.gate.first_open(free), earliest)
        self.times.append(cycle)
        return cycle


@dataclass
class Consumer:
    """Drains a core's output stream.

    Parameters
    ----------
    gate : Gate
        When it is ready.
    """

    gate: Gate
    times: list[int] = field(default_factory=list)
    """Cycle of each transfer so far."""

    def transfer(self, earliest: int) -> int:
        """Cycle of the next transfer, the core offering it from ``earliest`` on."""
        cycle = self.gate.first_open(earliest)
        self.times.append(cycle)
        return cycle
