"""The command line in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hwgen.cli import main

Run = Callable[..., tuple[int, str, str]]


def command(*arguments: object) -> int:
    """Run a command; gives its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["hwgen", *map(str, arguments)])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command: exit code, standard output, standard error."""

    def one(*arguments: object) -> tuple[int, str, str]:
        code = command(*arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return one
