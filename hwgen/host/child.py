"""A compiled simulation that obeys commands over pipes, and stands still between two of them."""

from __future__ import annotations

import contextlib
import struct
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from hwgen.errors import HwgenError

__all__ = ["Child"]


class Child:
    """A simulation in a process of its own, without any socket.

    Parameters
    ----------
    executable : Path
        What was compiled.
    """

    def __init__(self, executable: Path):
        self._process = subprocess.Popen([executable], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def order(self, command: str, *numbers: int, data: bytes = b"") -> None:
        """Send a command."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command.encode() + struct.pack(f"<{len(numbers)}Q", *numbers) + data)
        except (BrokenPipeError, ValueError):
            raise self._gone() from None

    def ask(self, command: str, *numbers: int) -> int:
        """Send a command, and give the first number of its answer."""
        self.order(command, *numbers)
        return self.number()

    def number(self) -> int:
        """The next number of an answer."""
        return int.from_bytes(self.bytes(8), "little")

    def bytes(self, count: int) -> bytes:
        """The next bytes of an answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise self._gone() from None
        found = self._process.stdout.read(count) if count else b""
        if len(found) != count:
            raise self._gone()
        return found

    def _gone(self) -> HwgenError:
        self.close()
        return HwgenError(f"the simulation ended with code {self._process.returncode}; start it again")

    def close(self) -> None:
        """End the simulation."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:  # it is in the middle of a long command
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()
