"""Timelines of a program: as a trace for Perfetto or Chrome, and as waves (VCD)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from vcd import VCDWriter

from sim.machine import Program, Run

__all__ = ["Timeline", "chrome", "timeline", "write_chrome", "write_vcd"]

Int64s = npt.NDArray[np.int64]

_PROCESS = 1


@dataclass(frozen=True, eq=False)
class Timeline:
    """What is drawn. All arrays have one entry per instruction.

    Parameters
    ----------
    starts, ends : int64 array
        First and last cycle; -1 if it never came to that.
    engines : int64 array
        Engine of each.
    cycles : int
        The cycle in which the program ended: where unfinished instructions are cut off.
    names : mapping of int to str
        The engines that get a track, in the order of their numbers. Instructions of others are left out.
    labels : sequence of str, optional
        What each instruction is called.
    waited, stalled : int64 array, optional
        See :class:`sim.machine.Run`.
    wait, signal : int array, optional
        Masks of tokens, for counter tracks of the semaphores.
    """

    starts: Int64s
    ends: Int64s
    engines: Int64s
    cycles: int
    names: Mapping[int, str]
    labels: Sequence[str] | None = None
    waited: Int64s | None = None
    stalled: Int64s | None = None
    wait: npt.NDArray[Any] | None = None
    signal: npt.NDArray[Any] | None = None
    _last: Int64s = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("ends", "engines", "labels", "waited", "stalled", "wait", "signal"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.starts):
                raise ValueError(f"{name} has {len(column)} entries for {len(self.starts)} instructions")
        unfinished = np.maximum(self.cycles, self.starts)
        object.__setattr__(self, "_last", np.where(self.ends >= 0, self.ends, unfinished))

    def busy(self, engine: int) -> list[tuple[int, int, int]]:
        """(instruction, first cycle, last cycle) of what an engine did, in order of time."""
        found = np.flatnonzero((self.engines == engine) & (self.starts >= 0))
        return [(int(i), int(self.starts[i]), int(self._last[i])) for i in found]

    def waiting(self, engine: int) -> list[tuple[int, int, int]]:
        """(instruction, first cycle, last cycle) in which an engine's first instruction lacked a token."""
        if self.waited is None:
            return []
        found = np.flatnonzero((self.engines == engine) & (self.waited > 0))
        # An instruction that never began waited to the last cycle before the reset, see machine.cpp.
        ends = np.where(self.starts >= 0, self.starts - 1, self.cycles + 1)
        return [(int(i), int(ends[i] - self.waited[i] + 1), int(ends[i])) for i in found]


def timeline(
    run: Run, program: Program, names: Mapping[int, str], labels: Sequence[str] | None = None
) -> Timeline:
    """All that a simulation tells, as a timeline.

    Parameters
    ----------
    run : Run
        What happened.
    program : Program
        What was run.
    names : mapping of int to str
        Names of the engines that get a track.
    labels : sequence of str, optional
        What each instruction is called.
    """
    return Timeline(
        run.starts, run.ends, program.engine.astype(np.int64), run.cycles, names, labels,
        run.waited, run.stalled, program.wait, program.signal,
    )  # fmt: skip


def chrome(line: Timeline) -> dict[str, Any]:
    """The trace as JSON data in the Trace Event Format; one microsecond is one cycle.

    Every engine is a thread of one process, with a slice per instruction and a slice ``wait`` before those that
    lacked a token. Slices of one track never overlap. With masks, every pair of engines that exchange tokens has a
    counter.

    Parameters
    ----------
    line : Timeline
        What is drawn.
    """
    events: list[dict[str, Any]] = [_meta("process_name", 0, name="accelerator")]
    for engine, name in sorted(line.names.items()):
        events.append(_meta("thread_name", engine, name=name))
        events.append(_meta("thread_sort_index", engine, sort_index=engine))
    for engine in sorted(line.names):
        slices = [_slice(line, *one) for one in line.busy(engine)]
        slices += [
            _event("wait", engine, first, last, "wait", instruction=i)
            for i, first, last in line.waiting(engine)
        ]
        events += sorted(slices, key=lambda one: int(one["ts"]))
    events += _tokens(line)
    return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": {"unit": "1 us is 1 cycle"}}


def _meta(what: str, engine: int, **values: Any) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": _PROCESS, "tid": engine, "args": values}


def _event(name: str, engine: int, first: int, last: int, category: str, **values: Any) -> dict[str, Any]:
    return {
        "name": name, "cat": category, "ph": "X", "ts": first, "dur": last - first + 1,
        "pid": _PROCESS, "tid": engine, "args": values,
    }  # fmt: skip


def _slice(line: Timeline, i: int, first: int, last: int) -> dict[str, Any]:
    values: dict[str, Any] = {"instruction": i}
    if line.waited is not None:
        values["waited"] = int(line.waited[i])
    if line.stalled is not None:
        values["stalled"] = int(line.stalled[i])
    if line.ends[i] < 0:
        values["unfinished"] = True
    name = line.labels[i] if line.labels is not None else str(i)
    return _event(name, int(line.engines[i]), first, last, "instruction", **values)


def _tokens(line: Timeline) -> Iterator[dict[str, Any]]:
    """Levels of the semaphores: a token counts from the cycle after its giver's end, to its taker's start."""
    if line.wait is None or line.signal is None:
        return
    for giver in sorted(line.names):
        for taker in sorted(line.names):
            gives = (line.engines == giver) & (line.signal >> taker & 1 != 0) & (line.ends >= 0)
            takes = (line.engines == taker) & (line.wait >> giver & 1 != 0) & (line.starts >= 0)
            cycles = np.concatenate([line.ends[gives], line.starts[takes]]) + 1
            steps = np.concatenate([np.ones(gives.sum(), np.int64), -np.ones(takes.sum(), np.int64)])
            name = f"tokens {line.names[giver]} to {line.names[taker]}"
            times, inverse = np.unique(cycles, return_inverse=True)
            changes = np.zeros(len(times), np.int64)
            np.add.at(changes, inverse, steps)
            for cycle, level in zip(times.tolist(), np.cumsum(changes).tolist(), strict=True):
                yield {
                    "name": name,
                    "ph": "C",
                    "ts": cycle,
                    "pid": _PROCESS,
                    "tid": giver,
                    "args": {"tokens": level},
                }


def write_chrome(path: Path, line: Timeline) -> None:
    """Write :func:`chrome`'s trace to a file; https://ui.perfetto.dev opens it.

    Parameters
    ----------
    path : Path
        The file.
    line : Timeline
        What is drawn.
    """
    path.write_text(json.dumps(chrome(line), separators=(",", ":")) + "\n", encoding="utf-8")


def write_vcd(path: Path, line: Timeline) -> None:
    """Write waves: per engine ``busy``, ``waiting`` and ``instruction``, one nanosecond per cycle.

    ``instruction`` is the number of what the engine does or waits with; it is unknown (x) when there is none.

    Parameters
    ----------
    path : Path
        The file.
    line : Timeline
        What is drawn.
    """
    with path.open("w", encoding="ascii") as file:
        _vcd(file, line)


def _vcd(file: IO[str], line: Timeline) -> None:
    with VCDWriter(file, timescale="1 ns", date="", version="hwgen") as writer:
        changes: dict[int, dict[Any, int | str]] = {}
        for engine, name in sorted(line.names.items()):
            busy = writer.register_var(name, "busy", "wire", size=1, init=0)
            waits = writer.register_var(name, "waiting", "wire", size=1, init=0)
            current = writer.register_var(name, "instruction", "integer", size=32, init="x")
            spans = [(first, last, i, busy) for i, first, last in line.busy(engine)]
            spans += [(first, last, i, waits) for i, first, last in line.waiting(engine)]
            # In order of time, so that what begins overwrites the end of what was before.
            for first, last, i, flag in sorted(spans, key=lambda span: span[0]):
                changes.setdefault(first, {}).update({flag: 1, current: i})
                changes.setdefault(last + 1, {}).update({flag: 0, current: "x"})
        for time in sorted(changes):
            for variable, value in changes[time].items():
                writer.change(variable, time, value)
        writer.close(max([line.cycles + 1, *changes]))
