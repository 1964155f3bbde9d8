"""Events: which instruction starts and ends in which cycle, as two executors of one program tell it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["END", "EVENT", "START", "Difference", "first_difference", "read", "records", "write"]

START, END = 0, 1
_WORDS = ("start", "end")

EVENT = np.dtype([("cycle", np.int64), ("engine", np.int64), ("event", np.int64), ("instruction", np.int64)])
"""One event. Arrays of them are sorted by cycle, then engine, then event (START before END), then instruction."""

Events = npt.NDArray[np.void]


def records(starts: npt.ArrayLike, ends: npt.ArrayLike, engines: npt.ArrayLike) -> Events:
    """Events of a program, sorted.

    Parameters
    ----------
    starts, ends : int array
        Cycle of each instruction's start and end; -1 if it never came to that.
    engines : int array
        Engine of each instruction.

    Returns
    -------
    EVENT array
        In the order that :data:`EVENT` states.

    Raises
    ------
    ValueError
        If the arrays differ in length.
    """
    who = np.asarray(engines, np.int64)
    parts = []
    for event, given in ((START, starts), (END, ends)):
        cycles = np.asarray(given, np.int64)
        if cycles.shape != who.shape or who.ndim != 1:
            raise ValueError(
                f"there are {who.size} engines and {cycles.size} cycles of events; give one each"
            )
        seen = np.flatnonzero(cycles >= 0)
        part = np.empty(len(seen), EVENT)
        part["cycle"], part["engine"], part["event"], part["instruction"] = (
            cycles[seen],
            who[seen],
            event,
            seen,
        )
        parts.append(part)
    return _sorted(np.concatenate(parts))


def _sorted(events: Events) -> Events:
    keys = [events[name] for name in reversed(EVENT.names or ())]
    ordered: Events = events[np.lexsort(keys)]
    return ordered


@dataclass(frozen=True)
class Difference:
    """Where two lists of events part.

    Parameters
    ----------
    index : int
        Number of the first record that differs; where one list ends first, its length.
    first, second : dict or None
        The record in each list; None behind its end.
    text : str
        A sentence that says the same.
    """

    index: int
    first: dict[str, Any] | None
    second: dict[str, Any] | None
    text: str


def first_difference(
    a: Events,
    b: Events,
    *,
    names: tuple[str, str] = ("the first", "the second"),
    engines: Mapping[int, str] | None = None,
) -> Difference | None:
    """The first record in which two sorted lists of events differ; None if they are equal.

    Parameters
    ----------
    a, b : EVENT array
        Sorted.
    names : pair of str
        What to call them.
    engines : mapping of int to str, optional
        What to call engines.
    """
    common = min(len(a), len(b))
    differs = np.flatnonzero(a[:common] != b[:common])
    if not differs.size and len(a) == len(b):
        return None
    index = int(differs[0]) if differs.size else common
    pair = [_as_dict(events[index]) if index < len(events) else None for events in (a, b)]
    told = [
        f"{name} has {_tell(one, engines or {})}" if one else f"{name} has no more events"
        for name, one in zip(names, pair, strict=True)
    ]
    return Difference(index, pair[0], pair[1], f"event {index}: {told[0]}; {told[1]}")


def _as_dict(record: np.void) -> dict[str, Any]:
    found: dict[str, Any] = {name: int(record[name]) for name in EVENT.names or ()}
    found["event"] = _WORDS[found["event"]]
    return found


def _tell(one: dict[str, Any], engines: Mapping[int, str]) -> str:
    who = engines.get(one["engine"], f"engine {one['engine']}")
    return f"the {one['event']} of instruction {one['instruction']} on {who} in cycle {one['cycle']}"


def write(path: Path, events: Events) -> None:
    """Write events as JSON lines, one object per event.

    Parameters
    ----------
    path : Path
        The file.
    events : EVENT array
        What is written, in its order.
    """
    lines = (json.dumps(_as_dict(record)) + "\n" for record in events)
    path.write_text("".join(lines), encoding="utf-8")


def read(path: Path) -> Events:
    """Read what :func:`write` wrote, and sort it.

    Parameters
    ----------
    path : Path
        The file; empty lines are ignored.

    Raises
    ------
    ValueError
        If a line is no event; names file and line.
    """
    rows = []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].count(b"\n")
        raise ValueError(f"{path}, line {before + 1}: not text in UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(_parsed(line))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    return _sorted(np.array(rows, EVENT))


def _parsed(line: str) -> tuple[int, ...]:
    try:
        one = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg})") from None
    names = EVENT.names or ()
    if not isinstance(one, dict) or set(one) != set(names):
        raise ValueError(f"an event is an object with exactly {', '.join(names)}")
    if one["event"] not in _WORDS:
        raise ValueError(f"event must be {' or '.join(_WORDS)}, not {one['event']!r}")
    one["event"] = _WORDS.index(one["event"])
    for name in names:
        value = one[name]
        if type(value) is not int or not 0 <= value < 1 << 63:
            raise ValueError(f"{name} must be an integer from 0 on, not {value!r}")
    return tuple(one[name] for name in names)
