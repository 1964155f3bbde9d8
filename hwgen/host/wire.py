"""Serial lines: a real one, and the pins of a simulated board."""

from __future__ import annotations

import importlib
import time
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from hwgen.errors import BadInput, MissingTool
from hwgen.host.child import Child
from hwgen.host.config import BoardConfig, UartConfig
from hwgen.host.transport import LinkError

__all__ = ["SerialWire", "SimulatedWire", "Wire", "board_model"]


class Wire(Protocol):
    """A line for bytes in both directions."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def read(self, count: int, seconds: float) -> bytes:
        """Bytes that came, up to ``count``; fewer if the time is over first."""

    def pause(self, seconds: float) -> None:
        """Let time go by."""

    def now(self) -> float:
        """Seconds since some moment, in the time of the other end."""

    def close(self) -> None:
        """Let go of it."""


class SerialWire:
    """A serial port of this computer, through pyserial.

    Parameters
    ----------
    port : str
        Its name, such as ``/dev/ttyUSB0`` or ``COM3``; or a URL of pyserial, such as ``loop://``.
    baud : int
        Bits per second.

    Raises
    ------
    MissingTool
        If pyserial is not installed.
    BadInput
        If the port cannot be opened.
    """

    def __init__(self, port: str, baud: int):
        try:
            serial: Any = importlib.import_module("serial")
        except ImportError:
            raise MissingTool("a serial port needs pyserial: pip install 'hwgen[serial]'") from None
        self.port = port
        self._error: type[Exception] = serial.SerialException
        try:
            self._serial = serial.serial_for_url(port, baudrate=baud, timeout=0, write_timeout=10)
            self._serial.reset_input_buffer()
        except (serial.SerialException, ValueError, OSError) as error:
            raise BadInput(
                f"the serial port {port} cannot be opened at {baud} baud ({error}); name another one, or make it free"
            ) from None

    def write(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self._serial.write(data)
            self._serial.flush()
        except (self._error, OSError) as error:
            raise self._lost(error) from None

    def read(self, count: int, seconds: float) -> bytes:
        """Bytes that came, up to ``count``; fewer if the time is over first."""
        try:
            self._serial.timeout = seconds
            return bytes(self._serial.read(count))
        except (self._error, OSError) as error:
            raise self._lost(error) from None

    def _lost(self, error: Exception) -> LinkError:
        return LinkError(f"the serial port {self.port} was lost ({error}); check the cable")

    def pause(self, seconds: float) -> None:
        """Let time go by."""
        time.sleep(seconds)

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def close(self) -> None:
        """Close the port."""
        self._serial.close()


class SimulatedWire:
    """The pins of a board's Verilog; its time is that of the simulated clock.

    Parameters
    ----------
    executable : Path
        What :func:`board_model` compiled.
    uart : UartConfig
        The board's line.
    """

    def __init__(self, executable: Path, uart: UartConfig):
        self.uart = uart
        self.child = Child(executable)

    def _cycles(self, seconds: float) -> int:
        return max(1, round(seconds * self.uart.clock_hz))

    def write(self, data: bytes) -> None:
        """Send bytes, bit by bit, one right after the other."""
        self.child.order("S", len(data), data=data)

    def read(self, count: int, seconds: float) -> bytes:
        """Bytes that came, up to ``count``; fewer if so much simulated time is over first."""
        return self.child.bytes(self.child.ask("R", count, self._cycles(seconds)))

    def pause(self, seconds: float) -> None:
        """Let the clock run."""
        self.child.order("P", self._cycles(seconds))

    def now(self) -> float:
        """Simulated seconds."""
        return self.status()[0] / self.uart.clock_hz

    def status(self) -> tuple[int, int, int]:
        """Cycles so far, the lights, bytes that came without a stop bit."""
        cycles = self.child.ask("Q")
        return cycles, self.child.number(), self.child.number()

    def hold(self, level: int, cycles: int) -> None:
        """Hold the line that goes to the board at a level."""
        self.child.order("L", level, cycles)

    def press_reset(self, cycles: int = 4) -> None:
        """Hold the board's reset."""
        self.child.order("X", cycles)

    def close(self) -> None:
        """End the simulation."""
        self.child.close()


@cache
def board_model(config: BoardConfig) -> Path:
    """The Verilog of a board's system as a program that :class:`SimulatedWire` drives, built now or before.

    Raises
    ------
    BadInput, MissingTool
        If it cannot be compiled.
    """
    from hwgen.host.board import board_emission  # Amaranth, only for those who build hardware
    from hwgen.host.model import compiled
    from hwgen.verify.system_harness import simulation_sources

    made = board_emission(config)
    harness = (
        f"#define DIVISOR {config.uart.divisor}\n" + Path(__file__).with_name("board_harness.cpp").read_text()
    )
    return compiled(made, config.digest, harness, simulation_sources(config.system))
