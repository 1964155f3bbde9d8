"""What fixes the host path of a board: the serial line, the frames' buffer, the memory on the chip."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from hwgen.config import require_int
from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.system.config import SystemConfig

__all__ = ["MEMORY_LATENCY", "MEMORY_WRITE_LATENCY", "PAGE", "BoardConfig", "UartConfig"]

PAGE = 4096
"""Bytes that no burst crosses; memory is a multiple of it."""

MEMORY_LATENCY, MEMORY_WRITE_LATENCY = 2, 1
"""Of the memory on the chip, as ``sim/dram.hpp`` means them; one beat a cycle."""

_MOST_BAUD_ERROR = 0.02  # half of what ten bits with one sample in the middle of each can bear


@dataclass(frozen=True, kw_only=True)
class UartConfig:
    """A serial line, 8 data bits, no parity, one stop bit, and the frames on it.

    Parameters
    ----------
    clock_hz : int
        Frequency of the design's clock, 100 kHz to 1 GHz.
    baud : int
        Bits per second, at most a quarter of the clock, and within 2 % of what the clock can be divided to.
    buffer_bytes : int
        Longest payload of a frame, a power of two, 64..4096.
    timeout_us : int
        Silence in the middle of a frame that ends it, 1 µs to 10 s; at least four bytes' time.

    Raises
    ------
    BadInput
        If a number is out of range, or the clock cannot make the rate.
    """

    clock_hz: int = 25_000_000
    baud: int = 115_200
    buffer_bytes: int = 1024
    timeout_us: int = 50_000

    def __post_init__(self) -> None:
        require_int("clock_hz", self.clock_hz, 100_000, 10**9)
        require_int("baud", self.baud, 1200, 10**8)
        require_int("buffer_bytes", self.buffer_bytes, 64, 4096)
        require_int("timeout_us", self.timeout_us, 1, 10**7)
        if self.buffer_bytes & (self.buffer_bytes - 1):
            raise BadInput(f"buffer_bytes must be a power of two, not {self.buffer_bytes}")
        if 4 * self.baud > self.clock_hz:
            raise BadInput(
                f"baud must be at most a quarter of the clock, {self.clock_hz // 4}, not {self.baud}; "
                "choose a slower one"
            )
        error = abs(self.clock_hz / self.divisor / self.baud - 1)
        if error > _MOST_BAUD_ERROR:
            raise BadInput(
                f"a clock of {self.clock_hz} Hz divided by {self.divisor} misses {self.baud} baud by "
                f"{100 * error:.1f} %, and {100 * _MOST_BAUD_ERROR:.0f} % is the most; choose another rate"
            )
        if self.timeout_cycles < 40 * self.divisor:
            raise BadInput(
                f"timeout_us must be at least {ceil_div(40 * self.divisor * 10**6, self.clock_hz)} at {self.baud} "
                f"baud, four bytes' time, not {self.timeout_us}"
            )

    @property
    def divisor(self) -> int:
        """Cycles per bit."""
        return (2 * self.clock_hz + self.baud) // (2 * self.baud)

    @property
    def timeout_cycles(self) -> int:
        """Cycles of silence that end a frame."""
        return ceil_div(self.timeout_us * self.clock_hz, 10**6)


@dataclass(frozen=True, kw_only=True)
class BoardConfig:
    """An accelerator with a serial line and its memory on the chip.

    Parameters
    ----------
    system : SystemConfig
        The accelerator.
    uart : UartConfig
        The serial line.
    memory_bytes : int
        Memory, a multiple of 4 KiB that the accelerator's addresses reach.

    Raises
    ------
    BadInput
        If the memory does not fit.
    """

    system: SystemConfig
    uart: UartConfig = field(default_factory=UartConfig)
    memory_bytes: int = 1 << 16

    def __post_init__(self) -> None:
        require_int("memory_bytes", self.memory_bytes, PAGE, 1 << self.system.address_bits)
        if self.memory_bytes % PAGE:
            raise BadInput(f"memory_bytes must be a multiple of {PAGE}, not {self.memory_bytes}")

    @property
    def memory_depth(self) -> int:
        """Bursts that the memory accepts ahead, per direction: all that the accelerator has in flight."""
        return self.system.outstanding

    @property
    def memory_timing(self) -> tuple[int, int, int, int]:
        """Latency, interval, depth and write latency of the memory, the simulator's four numbers."""
        return MEMORY_LATENCY, 1, self.memory_depth, MEMORY_WRITE_LATENCY

    @property
    def digest(self) -> str:
        """SHA-256 (16 hexadecimal digits) of every parameter."""
        facts = {"board": "uart", "system": self.system.digest, "uart": asdict(self.uart)}
        text = json.dumps(facts | {"memory_bytes": self.memory_bytes}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        uart = ", ".join(f"{k}={v}" for k, v in asdict(self.uart).items())
        return f"board({self.system}, {uart}, memory_bytes={self.memory_bytes})"
