"""The driver: programs and memory in, results and counters out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput, Misbehaviour
from hwgen.host.config import PAGE
from hwgen.host.transport import LinkError, Transport
from hwgen.program.program import Program
from hwgen.program.table import CONTROL, ENGINES, INSTRUCTION_BYTES
from hwgen.system.config import SystemConfig
from hwgen.system.registers import ERRORS, ID, REGISTERS, register

__all__ = ["Device", "Identity", "Outcome", "relocated"]

Bytes = npt.NDArray[np.uint8]

_STATES = ("run", "idle", "wait", "stall", "done")
_ERRORS = {error.code: error for error in ERRORS}
_PLACES = {**dict(enumerate(ENGINES)), CONTROL: "control"}
_MOVED = {"load.run": "address", "store.run": "address"}  # fields that hold addresses of DRAM
_FIRST_PAUSE, _LONGEST_PAUSE = 1e-4, 0.05  # seconds between two looks at the status


@dataclass(frozen=True)
class Identity:
    """What the device says that it is.

    Parameters
    ----------
    version : tuple of int
        Version of hwgen that generated it: major, minor, patch.
    digest : str
        Digest of its configuration, 16 hexadecimal digits.
    memory_bytes : int
        Memory that a program can use.
    """

    version: tuple[int, int, int]
    digest: str
    memory_bytes: int


@dataclass(frozen=True)
class Outcome:
    """How a run went.

    Parameters
    ----------
    cycles : int
        From start to end.
    instructions : int
        Dispatched.
    counters : dict of dict of int
        Of every engine: cycles in which it worked, had nothing, waited for a token, waited for memory, and instructions
        that it completed (``run``, ``idle``, ``wait``, ``stall``, ``done``).
    read_beats, write_beats : int
        Beats over the bus.
    error : str
        Name of the error, ``NONE`` if it came to its end.
    error_engine : str
        Where it happened: an engine or ``control``; empty without an error.
    error_instruction : int
        Index of the instruction with the error.
    waiting : dict of str to tuple of str
        Engines whose next instruction lacks tokens, and whose.
    """

    cycles: int
    instructions: int
    counters: Mapping[str, Mapping[str, int]]
    read_beats: int
    write_beats: int
    error: str = "NONE"
    error_engine: str = ""
    error_instruction: int = 0
    waiting: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the program came to its end."""
        return self.error == "NONE"

    @property
    def sentence(self) -> str:
        """How it ended, for people."""
        if self.ok:
            return f"the program ended after {self.cycles:,} cycles"
        meaning = next((error.meaning for error in ERRORS if error.name == self.error), self.error)
        lacks = "; ".join(f"{engine} waits for {', '.join(names)}" for engine, names in self.waiting.items())
        return (
            f"the program stopped at cycle {self.cycles - 1}, instruction {self.error_instruction}, "
            f"{self.error_engine}: {meaning}" + (f" ({lacks})" if lacks else "")
        )


class Device:
    """An accelerator that is there, and runs programs.

    Parameters
    ----------
    transport : Transport
        The way to it.
    config : SystemConfig, optional
        What it must be; any if absent, but then counters are those of all engines.

    Raises
    ------
    LinkError
        If it is no accelerator.
    BadInput
        If it is one of another configuration.
    """

    def __init__(self, transport: Transport, config: SystemConfig | None = None):
        self.transport = transport
        self.config = config
        self.identity = self._identify()
        if config is not None and config.digest != self.identity.digest:
            raise BadInput(
                f"the device has configuration {self.identity.digest}, not {config.digest}; name the configuration "
                "that its bitstream was made of, or load the other bitstream"
            )

    def _identify(self) -> Identity:
        seen = self.read_register("ID")
        if seen != ID:
            raise LinkError(
                f"register ID reads {seen:#010x}, not {ID:#010x}: this is no accelerator of hwgen; check bitstream and "
                "address"
            )
        version = self.read_register("VERSION")
        digest = self.read_register("DIGEST_HIGH") << 32 | self.read_register("DIGEST_LOW")
        return Identity(
            (version >> 16, version >> 8 & 0xFF, version & 0xFF),
            f"{digest:016x}",
            self.transport.memory_bytes,
        )

    @property
    def engines(self) -> tuple[str, ...]:
        """Engines whose counters are read."""
        return ENGINES if self.config is None else self.config.engines

    def read_register(self, name: str) -> int:
        """A register by its name; KeyError if there is none."""
        return self.transport.read_register(register(name).offset)

    def write_register(self, name: str, value: int) -> None:
        """Write a register by its name; KeyError if there is none."""
        self.transport.write_register(register(name).offset, value)

    def registers(self) -> dict[str, int]:
        """All registers that can be read, by name."""
        return {
            r.name: self.transport.read_register(r.offset)
            for r in REGISTERS
            if r.access != "wo" and r.engine in ("", *self.engines)
        }

    def load(self, memory: Bytes | bytes, program: Program, address: int) -> None:
        """Bring a memory image with a program in it to the device.

        Parameters
        ----------
        memory : bytes
            The image from address 0 on, program included.
        program : Program
            The instructions, as they lie in the image.
        address : int
            Where they lie, a multiple of 4 KiB.

        Raises
        ------
        BadInput
            If the image does not fit, or the program is for another configuration.
        """
        data = bytes(np.asarray(memory, np.uint8)) if not isinstance(memory, bytes) else memory
        self._check(len(data), program, address)
        base = self.transport.base
        if base:
            body = relocated(program, base, self.config).body
            data = data[:address] + body + data[address + len(body) :]
        self.transport.write(0, data + bytes(-len(data) % 4))

    def _check(self, size: int, program: Program, address: int) -> None:
        room = self.transport.memory_bytes
        if size > room:
            raise BadInput(
                f"the memory image has {size} bytes and the device {room}; choose a smaller workload, or generate the "
                f"board with memory_bytes={-(-size // PAGE) * PAGE}"
            )
        if program.digest and program.digest != self.identity.digest:
            raise BadInput(
                f"the program is for configuration {program.digest}, and the device has {self.identity.digest}; "
                "compile it for that one"
            )
        if address % PAGE or address + INSTRUCTION_BYTES * len(program) > size:
            raise BadInput(
                f"the program must begin at a multiple of {PAGE} and end in the image of {size} bytes, "
                f"not lie at {address}"
            )

    def start(self, address: int, count: int) -> None:
        """Start ``count`` instructions that lie at ``address`` of the device's memory.

        Raises
        ------
        BadInput
            If a program runs already.
        """
        if self.running:
            raise BadInput("a program runs on the device already; wait for it, or stop it")
        where = address + self.transport.base
        self.write_register("IRQ_STATUS", 0b11)
        self.write_register("IRQ_ENABLE", 0b11)
        self.write_register("PROGRAM_LOW", where & 0xFFFFFFFF)
        self.write_register("PROGRAM_HIGH", where >> 32)
        self.write_register("PROGRAM_COUNT", count)
        self.write_register("CONTROL", 0b01)

    @property
    def running(self) -> bool:
        """Whether a program runs."""
        return bool(self.read_register("STATUS") & 0b001)

    def stop(self) -> None:
        """Abort the program that runs, if any."""
        self.write_register("CONTROL", 0b10)

    def wait(self, timeout: float = 60.0) -> Outcome:
        """Wait until the program ends, and tell how.

        Parameters
        ----------
        timeout : float
            Seconds, in the time that the device lives in.

        Raises
        ------
        Misbehaviour
            If it does not end in time; it was stopped then.
        """
        end = self.transport.now() + timeout
        pause = _FIRST_PAUSE
        # Only a run raises the interrupt; a look at `running` could come before the run begins.
        while not self.read_register("IRQ_STATUS") & 0b11:
            if self.transport.now() > end:
                self.stop()
                raise Misbehaviour(
                    f"the program did not end within {timeout:g} s and was stopped; give it more time, or look at "
                    f"what it waits for: {self._waiting() or 'no engine waits'}"
                )
            self.transport.pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return self.outcome()

    def outcome(self) -> Outcome:
        """How the last run ended, from the registers; clears the interrupt."""
        self.write_register("IRQ_STATUS", 0b11)
        seen = self.registers()
        code, engine = seen["ERROR"] & 0xFF, seen["ERROR"] >> 8 & 0xF
        error = _ERRORS.get(code)
        where = _PLACES.get(engine, f"engine {engine}") if code else ""
        return Outcome(
            cycles=seen["CYCLES_HIGH"] << 32 | seen["CYCLES_LOW"],
            instructions=seen["INSTRUCTIONS"],
            counters={
                name: {state: seen[f"{name.upper()}_{state.upper()}"] for state in _STATES}
                for name in self.engines
            },
            read_beats=seen["READ_BEATS"],
            write_beats=seen["WRITE_BEATS"],
            error=error.name if error is not None else f"code {code}",
            error_engine=where,
            error_instruction=seen["ERROR_INSTRUCTION"],
            waiting=self._waiting(seen) if code else {},
        )

    def _waiting(self, seen: Mapping[str, int] | None = None) -> dict[str, tuple[str, ...]]:
        values = self.registers() if seen is None else seen
        masks = {name: values[f"{name.upper()}_WAITING"] for name in self.engines}
        return {
            name: tuple(other for bit, other in enumerate(ENGINES) if mask >> bit & 1)
            for name, mask in masks.items()
            if mask
        }

    def read(self, address: int, count: int) -> Bytes:
        """``count`` bytes of memory from ``address`` on."""
        low = address & ~3
        high = -(-(address + count) // 4) * 4
        if address < 0 or count < 0 or high > self.transport.memory_bytes:
            raise BadInput(
                f"bytes {address}..{address + count - 1} do not lie in the device's memory of "
                f"{self.transport.memory_bytes}; read inside of it"
            )
        return np.frombuffer(self.transport.read(low, high - low), np.uint8)[address - low :][:count]

    def run(
        self, memory: Bytes | bytes, program: Program, address: int, *, timeout: float = 60.0
    ) -> tuple[Outcome, Bytes]:
        """Load, start, wait, and read the whole memory back.

        Returns
        -------
        Outcome, uint8 array
            How it went, and memory from address 0 on, as long as the image.

        Raises
        ------
        Misbehaviour
            If the program fails, or does not end in time.
        """
        self.load(memory, program, address)
        self.start(address, len(program))
        found = self.wait(timeout)
        if not found.ok:
            raise Misbehaviour(found.sentence)
        after = np.array(self.read(0, len(memory)))
        if self.transport.base:  # the caller knows nothing of it
            body = np.frombuffer(program.body, np.uint8)
            after[address : address + len(body)] = body
        return found, after

    def reset(self) -> None:
        """Reset the accelerator: a program that runs ends, memory keeps its bytes."""
        self.transport.reset()

    def close(self) -> None:
        """Let go of the device."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


def relocated(program: Program, base: int, config: SystemConfig | None = None) -> Program:
    """A program that works on memory from ``base`` on instead of 0.

    Parameters
    ----------
    program : Program
        For memory from 0 on.
    base : int
        A multiple of 4 KiB, so that no burst crosses a page that did not before.
    config : SystemConfig, optional
        The accelerator, whose addresses must reach.

    Raises
    ------
    BadInput
        If the base does not fit.
    """
    if base < 0 or base % PAGE:
        raise BadInput(f"the memory's address must be a multiple of {PAGE}, not {base:#x}")
    moved = []
    for one in program.instructions:
        name = _MOVED.get(one.mnemonic)
        if name is not None:
            fields = one.fields
            fields[name] += base
            if config is not None and fields[name] >> config.address_bits:
                raise BadInput(
                    f"memory at {base:#x} lies beyond the {config.address_bits} bits of the accelerator's addresses; "
                    "generate it with a larger address_bits"
                )
            one = replace(one, values=tuple(fields.values()))
        moved.append(one)
    return replace(program, instructions=tuple(moved))
