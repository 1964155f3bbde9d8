"""What every benchmark shares: the record of a figure, its table, and the command line."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from rich.console import Console
from rich.table import Table

from hwgen.errors import HwgenError
from hwgen.files import output_folder, write_if_changed

__all__ = ["Figure", "Goal", "Measure", "MeasureInto", "main", "median_seconds", "report", "table"]

Measure = Callable[[Console], "list[Figure]"]
"""A benchmark: measures, prints its details on the console, returns its figures."""


@dataclass(frozen=True)
class Goal:
    """A bound that a figure has to keep, and the direction that is better.

    Parameters
    ----------
    kind : {"<=", ">=", "=="}
        At most, at least, or exactly.
    bound : float
        The bound.
    over_peer : bool
        Whether it is the ratio to the peer that is bounded, not the value.
    """

    kind: Literal["<=", ">=", "=="]
    bound: float
    over_peer: bool = False

    def met(self, value: float) -> bool:
        """Whether ``value`` keeps the bound."""
        return {"<=": value <= self.bound, ">=": value >= self.bound, "==": value == self.bound}[self.kind]

    def __str__(self) -> str:
        return f"{self.kind} {_number(self.bound)}{' x peer' if self.over_peer else ''}"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number beside its goal and its peer.

    Parameters
    ----------
    name : str
        What it is, dotted.
    value : float
        What was measured, in this run.
    unit : str
        Of value, goal and peer.
    command : str
        Prints it.
    goal : Goal, optional
        What it has to be.
    peer : float, optional
        What the other one needs or reaches.
    peer_source : str, optional
        Who the other one is, and whether the number was measured here or is a published one.
    """

    name: str
    value: float
    unit: str
    command: str
    goal: Goal | None = None
    peer: float | None = None
    peer_source: str | None = None

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer; below one it is worse."""
        if not self.peer or not self.value:
            return None
        more_is_better = self.goal is not None and self.goal.kind == ">="
        return self.value / self.peer if more_is_better else self.peer / self.value

    @property
    def met(self) -> bool:
        """Whether the goal is met; true without one."""
        if self.goal is None:
            return True
        if self.goal.over_peer:
            return self.ratio is not None and self.goal.met(self.ratio)
        return self.goal.met(self.value)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "goal": None if self.goal is None else str(self.goal),
            "value": self.value,
            "unit": self.unit,
            "met": self.met,
            "peer": self.peer,
            "peer_source": self.peer_source,
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "command": self.command,
        }


def _number(value: float) -> str:
    """Plain text of a number: whole ones with separators, others with five digits."""
    if float(value).is_integer() or abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.5g}"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table for the console; numbers are set right, the first column left."""
    result = Table(*columns, title=title, title_justify="left")
    for column in result.columns[1:]:
        column.justify = "right"
    for row in rows:
        result.add_row(*(_number(v) if isinstance(v, int | float) else str(v) for v in row))
    return result


def median_seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Median wall time of ``work``."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def report(console: Console, figures: Sequence[Figure]) -> None:
    """Print figures beside goals and peers."""
    rows = [
        (
            f.name,
            f.value,
            f.unit,
            "" if f.goal is None else str(f.goal),
            "" if f.goal is None else "met" if f.met else "MISSED",
            "" if f.peer is None else f.peer,
            "" if f.ratio is None else f"{f.ratio:.2f}x",
        )
        for f in figures
    ]
    console.print(table("Figures", ("name", "value", "unit", "goal", "", "peer", "ratio"), rows))
    for source in dict.fromkeys(f.peer_source for f in figures if f.peer_source):
        names = ", ".join(f.name for f in figures if f.peer_source == source)
        console.print(f"Peer of {names}: {source}", highlight=False)


class MeasureInto(Protocol):
    """A benchmark that also writes files, if it is given a folder."""

    def __call__(self, console: Console, folder: Path | None = None) -> list[Figure]: ...


def main(measure: Measure, description: str | None, *, into: MeasureInto | None = None) -> None:
    """Run a benchmark from the command line; with ``into``, one that has a further option ``--out FOLDER``.

    The exit code is 0 if all goals are met, 1 if one is missed, and 2 if nothing could be measured.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as a JSON list")
    if into:
        parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the files there")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        if options.json:
            output_folder(options.json.absolute().parent)
        figures = into(console, options.out and options.out.absolute()) if into else measure(console)
        report(console, figures)
        if options.json:
            text = json.dumps([figure.to_dict() for figure in figures], indent=2)
            write_if_changed(options.json.absolute(), text + "\n")
    except HwgenError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    sys.exit(0 if all(figure.met for figure in figures) else 1)
