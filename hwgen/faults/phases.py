"""Parts of a run with names, from the fault-free run: what streams or engines did when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hwgen.faults.engine.engine import LaneEngine
from hwgen.program.table import ENGINES
from hwgen.streams import Stream

__all__ = ["Phases", "phases_of", "stream_phases", "system_phases"]

Phases = dict[str, tuple[int, int]]
"""Names of parts of a run, in order: first cycle, and one after the last."""

_PARTS = 4


def stream_phases(engine: LaneEngine, streams: Sequence[Stream]) -> Phases:
    """Of a core with streams: ``fill`` until the first result, ``steady`` until the last operand, ``drain``.

    If the last operand comes before the first result, ``load``, ``compute`` and ``drain``. After the last result the
    core is ``idle``.
    """
    inputs, outputs = engine.program.inputs, engine.program.outputs
    beats: dict[str, list[int]] = {"in": [], "out": []}
    for s in streams:
        valid, ready = (inputs, outputs) if s.direction == "in" else (outputs, inputs)
        moved = _trace(engine, valid[f"{s.prefix}_tvalid"][0]) & _trace(
            engine, ready[f"{s.prefix}_tready"][0]
        )
        beats[s.direction] += np.flatnonzero(moved).tolist()
    if not beats["in"] or not beats["out"]:
        return {}
    read, given, done = max(beats["in"]) + 1, min(beats["out"]), max(beats["out"]) + 1
    if given < read:
        return _parts(engine, {"fill": given, "steady": read, "drain": done, "idle": engine.cycles})
    return _parts(engine, {"load": read, "compute": given, "drain": done, "idle": engine.cycles})


def system_phases(engine: LaneEngine) -> Phases:
    """Of an accelerator with a program.

    ``start`` until it runs, ``fetch`` until an engine begins, ``load`` until one that computes does, ``run`` until the
    last of these ends, ``store`` until the last engine ends, ``finish``. In ``run``, loads and stores go on.
    """
    outputs = engine.program.outputs
    if not {"running", "event_began", "event_ended"} <= set(outputs):
        return {}
    runs, began, ended = (_trace(engine, outputs[n][0]) for n in ("running", "event_began", "event_ended"))
    computing = sum(1 << i for i, name in enumerate(ENGINES) if name.lower() not in ("load", "store"))
    if not (runs.any() and began.any() and ended.any()):
        return {}
    ends = {"start": _first(runs), "fetch": _first(began)}
    if (began & computing).any():
        ends["load"] = _first(began & computing)
        ends["run"] = _last(ended & computing)
    ends["store"] = _last(ended)
    return _parts(engine, ends | {"finish": engine.cycles})


def phases_of(named: Mapping[str, tuple[int, int]], first: int, cycles: int) -> Phases:
    """Phases of a window: what of the named ones lies in it; without names equal parts, called by their cycles.

    Parameters
    ----------
    named : mapping of str to (int, int)
        Of the whole run, such as ``Subject.phases``.
    first, cycles : int
        The window.
    """
    end = first + cycles
    cut = {name: (max(a, first), min(b, end)) for name, (a, b) in named.items()}
    found = {name: (a, b) for name, (a, b) in cut.items() if a < b}
    if found:
        return found
    count = min(_PARTS, cycles)
    cuts = [first + cycles * i // count for i in range(count + 1)]
    return {f"cycles {a}..{b - 1}": (a, b) for a, b in pairwise(cuts)}


def _trace(engine: LaneEngine, value: int) -> npt.NDArray[np.int64]:
    return np.array([engine.value(cycle, value) for cycle in range(engine.cycles)], np.int64)


def _first(trace: npt.NDArray[np.int64]) -> int:
    return int(np.flatnonzero(trace)[0])


def _last(trace: npt.NDArray[np.int64]) -> int:
    """One cycle after the last."""
    return int(np.flatnonzero(trace)[-1]) + 1


def _parts(engine: LaneEngine, ends: Mapping[str, int]) -> Phases:
    """Parts from where they end; those without a cycle are left out."""
    found, at = {}, 0
    for name, end in ends.items():
        if at < min(end, engine.cycles):
            found[name] = at, min(end, engine.cycles)
            at = found[name][1]
    return found
