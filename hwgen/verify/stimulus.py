"""What goes into a stream block, when it may go, and what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.core import Core
from hwgen.streams import Beats, Stream

__all__ = [
    "PATIENCE",
    "QUIET",
    "REGIMES",
    "Observation",
    "Pattern",
    "Stimulus",
    "lasts",
    "patterns",
    "stimulus",
]

Pattern = npt.NDArray[np.bool_]
"""Cyclic pattern of open cycles, counted from the first cycle after reset; shape (period,)."""

REGIMES = ("free", "slow producer", "slow consumer", "both")
"""The four flow-control regimes under which every block is checked."""

PATIENCE = 20_000
"""Cycles without any transfer that count as a hang; no pattern stays closed for nearly as long."""

QUIET = 256
"""Cycles simulated after the last expected beat: long enough to see one that should not come."""

_PERIOD = 1021  # prime, so that it never beats with tile lengths


def _slow(rng: np.random.Generator) -> Pattern:
    """Open about half the time: single gaps, bursts, and now and then a stop of a hundred cycles."""
    pattern: list[bool] = []
    while len(pattern) < _PERIOD:
        length = int(rng.choice([1, 2, 5, 20, 100], p=[0.5, 0.25, 0.15, 0.08, 0.02]))
        pattern += [not pattern[-1] if pattern else bool(rng.integers(2))] * length
    pattern[_PERIOD - 1] = True
    return np.array(pattern[:_PERIOD], np.bool_)


def patterns(regime: str, streams: Sequence[Stream], seed: int) -> dict[str, Pattern]:
    """When the other side of every stream moves, in one of :data:`REGIMES`."""
    rng = np.random.default_rng([seed, REGIMES.index(regime)])
    slow = {"free": (), "slow producer": ("in",), "slow consumer": ("out",), "both": ("in", "out")}[regime]
    return {s.name: _slow(rng) if s.direction in slow else np.ones(1, np.bool_) for s in streams}


@dataclass(frozen=True, eq=False)
class Stimulus:
    """One run of a block.

    Parameters
    ----------
    inputs : mapping of str to Beats
        Beats of every input stream.
    expected : mapping of str to int
        Number of beats that every output stream is to give.
    gates : mapping of str to Pattern
        When the other side of every stream moves.
    lasts : mapping of str to bool array
        TLAST of every beat of the input streams that have it.
    """

    inputs: Mapping[str, Beats]
    expected: Mapping[str, int]
    gates: Mapping[str, Pattern]
    lasts: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)


def lasts(counts: Sequence[int]) -> npt.NDArray[np.bool_]:
    """TLAST of the beats of operations that have so many each."""
    found = np.zeros(sum(counts), np.bool_)
    ends = np.cumsum(counts) - 1
    found[ends[np.asarray(counts) > 0]] = True
    return found


def stimulus(core: Core, config: Any, operations: Sequence[Any], gates: Mapping[str, Pattern]) -> Stimulus:
    """Operations as beats, in whose order and number a block takes and gives them."""
    streams, marks = core.streams(config), core.marks(config, operations)
    return Stimulus(
        core.stimulus(config, operations),
        {s.name: sum(marks[s.name]) for s in streams if s.direction == "out"},
        gates,
        {s.name: lasts(marks[s.name]) for s in streams if s.direction == "in" and s.last},
    )


@dataclass(frozen=True, eq=False)
class Observation:
    """What a run showed.

    Parameters
    ----------
    transfers : mapping of str to int64 array
        Cycle of every beat of every stream, counted from the first cycle after reset.
    outputs : mapping of str to Beats
        Beats of every output stream.
    lasts : mapping of str to bool array
        TLAST of those beats, for the streams that have it.
    seconds : float
        Wall time of the simulation, without building.
    simulated : int
        Cycles simulated, the quiet ones at the end included.
    """

    transfers: Mapping[str, npt.NDArray[np.int64]]
    outputs: Mapping[str, Beats]
    lasts: Mapping[str, npt.NDArray[np.bool_]]
    seconds: float
    simulated: int

    @property
    def cycles(self) -> int:
        """Length of the run: last transfer plus one."""
        return 1 + max((int(times[-1]) for times in self.transfers.values() if len(times)), default=-1)
