"""An accelerator on a bus that someone else gives access to, word by word: a LiteX SoC over its bridge, for example."""

from __future__ import annotations

import time
from typing import Any, Protocol

from hwgen.errors import BadInput
from hwgen.host.config import PAGE
from hwgen.host.transport import LinkError
from hwgen.system.registers import register

__all__ = ["RemoteBus", "RemoteTransport"]

_WORD = 4
_CHUNK = 64  # words per call
_STOP_SECONDS = 1.0


class RemoteBus(Protocol):
    """What of LiteX's ``RemoteClient`` is used."""

    def read(self, addr: int, length: int | None = None) -> Any:
        """A word, or a list of ``length`` words."""

    def write(self, addr: int, datas: Any) -> None:
        """Write a word, or a list of words."""


class RemoteTransport:
    """Registers and memory by addresses of a bus.

    Parameters
    ----------
    bus : RemoteBus
        Words of 32 bits by byte addresses, such as ``litex.RemoteClient()`` after ``open()``.
    control : int
        Where the accelerator's registers are.
    memory : int
        Where its memory is: the same address for host and accelerator, a multiple of 4 KiB.
    memory_bytes : int
        How much of it there is.

    Raises
    ------
    BadInput
        If the memory lies wrong.
    """

    def __init__(self, bus: RemoteBus, control: int, memory: int, memory_bytes: int):
        if memory < 0 or memory % PAGE or memory_bytes < PAGE:
            raise BadInput(
                f"memory must begin at a multiple of {PAGE} and have as many bytes, not {memory_bytes} at {memory:#x}"
            )
        self.bus = bus
        self.control = control
        self.base = memory
        self.memory_bytes = memory_bytes

    def read_register(self, offset: int) -> int:
        """A register of 32 bits."""
        return int(self.bus.read(self.control + offset))

    def write_register(self, offset: int, value: int) -> None:
        """Write a register of 32 bits."""
        self.bus.write(self.control + offset, value)

    def read(self, address: int, count: int) -> bytes:
        """``count`` bytes of memory, both numbers multiples of 4."""
        found = bytearray()
        for at in range(address, address + count, _CHUNK * _WORD):
            words = self.bus.read(self.base + at, min(_CHUNK, (address + count - at) // _WORD))
            found += b"".join(int(word).to_bytes(_WORD, "little") for word in words)
        return bytes(found)

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to memory, address and number multiples of 4."""
        words = [int.from_bytes(data[i : i + _WORD], "little") for i in range(0, len(data), _WORD)]
        for i in range(0, len(words), _CHUNK):
            self.bus.write(self.base + address + i * _WORD, words[i : i + _CHUNK])

    def reset(self) -> None:
        """Stop a program that runs; the reset belongs to the SoC.

        Raises
        ------
        LinkError
            If it does not stop.
        """
        self.write_register(register("CONTROL").offset, 0b10)
        end = self.now() + _STOP_SECONDS
        while self.read_register(register("STATUS").offset) & 1:
            if self.now() > end:
                raise LinkError("the accelerator does not stop; reset the SoC")
            self.pause(1e-3)

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Let time go by."""
        time.sleep(seconds)

    def close(self) -> None:
        """Nothing is held; whoever opened the bus closes it."""
