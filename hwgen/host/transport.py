"""How a driver reaches an accelerator: what every way of doing it can do."""

from __future__ import annotations

from typing import Protocol

from hwgen.errors import HwgenError

__all__ = ["LinkError", "Transport"]


class LinkError(HwgenError):
    """The way to the hardware failed: nobody answers, or a word was refused."""


class Transport(Protocol):
    """Registers and memory of an accelerator, wherever it is."""

    @property
    def base(self) -> int:
        """Address at which the accelerator sees the first byte of memory, a multiple of 4 KiB."""

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory."""

    def read_register(self, offset: int) -> int:
        """A register of 32 bits."""

    def write_register(self, offset: int, value: int) -> None:
        """Write a register of 32 bits."""

    def read(self, address: int, count: int) -> bytes:
        """``count`` bytes of memory from ``address`` on, both multiples of 4; the first byte is 0."""

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to memory, as many as a multiple of 4; the first byte is 0."""

    def reset(self) -> None:
        """Reset the accelerator; memory keeps its bytes."""

    def now(self) -> float:
        """Seconds since some moment, in the time that the hardware lives in."""

    def pause(self, seconds: float) -> None:
        """Let time go by."""

    def close(self) -> None:
        """Let go of the hardware."""
