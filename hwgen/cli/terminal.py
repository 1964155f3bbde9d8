"""What the commands share: the terminal, progress, JSON files, options."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hwgen.errors import BadInput
from hwgen.files import output_folder, write_if_changed
from hwgen.version import VERSION

__all__ = [
    "ERR",
    "JSON",
    "OUT",
    "PROTECT",
    "SET",
    "examples",
    "file_option",
    "print_table",
    "progress",
    "write_json",
]

OUT = Console(highlight=False)
ERR = Console(stderr=True, highlight=False)
_PIPE_WIDTH = 240


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A spinner with the step's name on a terminal, nothing in a pipe."""
    if not ERR.is_terminal:
        yield lambda text: None
        return
    with ERR.status("starting") as status:
        yield lambda text: status.update(text)


def write_json(path: Path | None, schema: str, found: dict[str, Any], began: float) -> None:
    """What was found as JSON, if it was asked for."""
    if path is None:
        return
    facts = {
        "schema": f"hwgen.{schema}/1",
        "version": VERSION,
        "seconds": round(time.perf_counter() - began, 3),
    }
    output_folder(path.parent)
    try:
        write_if_changed(path, json.dumps(facts | found, indent=2) + "\n")
    except OSError as error:
        raise BadInput(f"--json {path} cannot be written ({error.strerror}); name another file") from None


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


SET = click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change one parameter; may be repeated."
)
JSON = click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what was found as JSON.",
)


def file_option(option: str, text: str, metavar: str = "FILE") -> Callable[[Any], Any]:
    """An option that names a file or a folder."""
    return click.option(option, type=click.Path(path_type=Path), metavar=metavar, help=text)


PROTECT = file_option(
    "--protect", 'What to protect (TOML): [blocks] with lines such as "*" = ["parity"].', "PLAN"
)


def print_table(table: Table, lines: list[str]) -> None:
    """A table, and lines below it."""
    # A pipe has no width: nothing is cut there.
    console = OUT if OUT.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)
    console.print(table)
    for line in lines:
        OUT.print(line, soft_wrap=True, markup=False)
