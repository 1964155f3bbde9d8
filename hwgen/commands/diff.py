"""``hwgen diff``: the first event in which two runs of a program part."""

from __future__ import annotations

from pathlib import Path

from hwgen.errors import BadInput
from hwgen.program.table import CONTROL, ENGINES
from sim import events

__all__ = ["diff"]


def diff(first: Path, second: Path) -> tuple[int, events.Difference | None]:
    """Compare two files of events.

    Returns
    -------
    int
        Events of the first file.
    Difference or None
        Where they part, if they do.

    Raises
    ------
    BadInput
        If a file cannot be read, or a line of it is no event.
    """
    a, b = (_read(path) for path in (first, second))
    names = (str(first), str(second)) if first != second else ("the first", "the second")
    engines = {**dict(enumerate(ENGINES)), CONTROL: "control"}
    return len(a), events.first_difference(a, b, names=names, engines=engines)


def _read(path: Path) -> events.Events:
    try:
        return events.read(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); name a file that --events wrote") from None
    except ValueError as error:
        raise BadInput(str(error)) from None
