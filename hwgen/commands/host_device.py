"""``hwgen host run`` and ``info``: a workload on hardware that is there, or on the pins of its Verilog."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from hwgen.commands.run import RunResult, run
from hwgen.errors import BadInput
from hwgen.host import BoardConfig, Device, SerialWire, SimulatedWire, UartConfig, UartLink
from hwgen.host.device import Outcome
from hwgen.host.wire import board_model
from hwgen.numerics import IntArray, ceil_div
from hwgen.system.config import SystemConfig
from sim import machine

__all__ = ["SIMULATED", "HostRun", "board_config", "host_info", "host_run", "memory_of", "opened"]

SIMULATED = "simulated"
"""The port that is no port: the board's Verilog in Verilator."""

_SIMULATED_DIVISOR = 4  # the fastest line, because every cycle of it is simulated
_DRAM = ("latency", "interval", "depth", "write_latency")


def board_config(
    config: SystemConfig, clock_mhz: float, baud: int | None, memory_kib: int, port: str = ""
) -> BoardConfig:
    """A board from what a user says of it; on the simulated port the line is as fast as can be, unless they say.

    Raises
    ------
    BadInput
        If a number does not fit.
    """
    clock = round(clock_mhz * 1e6)
    if baud is None:
        baud = clock // _SIMULATED_DIVISOR if port == SIMULATED else UartConfig().baud
    uart = UartConfig(clock_hz=clock, baud=baud)
    if port == SIMULATED:  # nobody is late there, and every cycle of waiting is simulated
        uart = replace(uart, timeout_us=ceil_div(1000 * uart.divisor * 10**6, clock))
    return BoardConfig(system=config, uart=uart, memory_bytes=memory_kib << 10)


def memory_of(board: BoardConfig) -> machine.Dram:
    """The board's memory as the simulator has it."""
    return machine.Dram(**dict(zip(_DRAM, board.memory_timing, strict=True)))


@contextmanager
def opened(
    port: str, board: BoardConfig, config: SystemConfig | None, tell: Callable[[str], None]
) -> Iterator[Device]:
    """The device at a port.

    Raises
    ------
    BadInput, MissingTool, LinkError
        If the port cannot be opened, or nobody or someone else answers there.
    """
    uart = board.uart
    wire: SerialWire | SimulatedWire
    if port == SIMULATED:
        tell("build of the Verilog")
        wire = SimulatedWire(board_model(board), uart)
    else:
        wire = SerialWire(port, uart.baud)
    try:
        yield Device(UartLink(wire, uart.baud, uart.timeout_us / 1e6), config)
    finally:
        wire.close()


@dataclass(frozen=True, eq=False)
class HostRun:
    """What a run on a device found.

    Parameters
    ----------
    expected : RunResult
        The same on the simulator, with the board's memory.
    board : BoardConfig
        The board.
    port : str
        Where it is.
    outcomes : list of Outcome
        How every image went.
    outputs : dict of str to int array
        Results of every layer, images first.
    seconds : float
        Wall time on the device, transfers included.
    repeated : int
        Requests that had to be sent again.
    checks, differences : list of str
        What is as expected, and what is not.
    """

    expected: RunResult
    board: BoardConfig
    port: str
    outcomes: list[Outcome]
    outputs: dict[str, IntArray]
    seconds: float
    repeated: int
    checks: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    @property
    def cycles(self) -> int:
        """Of the first image."""
        return self.outcomes[0].cycles

    def to_dict(self) -> dict[str, Any]:
        """For JSON; keys of the design's section 8, and more."""
        first = self.outcomes[0]
        width = self.board.system.bus_bytes
        return self.expected.to_dict() | {
            "executor": "device",
            "port": self.port,
            "cycles": first.cycles,
            "traffic_bytes": (first.read_beats + first.write_beats) * width,
            "read_bytes": first.read_beats * width,
            "written_bytes": first.write_beats * width,
            "counters": first.counters,
            "board": {"uart": asdict(self.board.uart), "memory_bytes": self.board.memory_bytes},
            "device_seconds": round(self.seconds, 4),
            "requests_repeated": self.repeated,
            "checks": self.checks,
            "differences": self.differences,
        }


def host_run(
    config: SystemConfig,
    workload: str,
    port: str,
    *,
    board: BoardConfig,
    seed: int = 0,
    images: int = 1,
    timeout: float = 60.0,
    verify: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> HostRun:
    """Run a workload on a device; every value and the cycles are compared with the simulator's.

    Parameters
    ----------
    config : SystemConfig
        What the device is.
    workload : str
        See :func:`hwgen.commands.jobs.numbers`.
    port : str
        A serial port, or :data:`SIMULATED`.
    board : BoardConfig
        Line and memory.
    seed, images : int
        Of random weights and inputs, and how many inputs.
    timeout : float
        Seconds that one image may take, in the device's time.
    verify : bool
        Compare the simulator's values with the golden model's too.
    tell : callable
        Is told what goes on.

    Raises
    ------
    BadInput, MissingTool, LinkError
        If the workload does not fit, or the device is not there.
    Misbehaviour
        If a program fails on it.
    """
    if timeout <= 0:
        raise BadInput(f"timeout must be above 0 seconds, not {timeout:g}")
    expected = run(
        config, workload, "sim", seed=seed, images=images, dram=memory_of(board), verify=verify, tell=tell
    )
    job, timing, values = expected.job, expected.timing, expected.outputs
    assert job is not None
    assert timing is not None
    assert values is not None
    if job.size > board.memory_bytes:
        raise BadInput(
            f"{job.name} takes {job.size >> 10} KiB of memory and the board has {board.memory_bytes >> 10}; "
            f"choose a smaller workload, or generate the board with --memory {job.size >> 10}"
        )
    outcomes: list[Outcome] = []
    parts: list[dict[str, IntArray]] = []
    with opened(port, board, config, tell) as device:
        began = time.perf_counter()
        for memories in job.batches():
            for memory in memories:
                tell(f"image {len(outcomes) + 1} of {job.images} on {port}")
                found, after = device.run(memory, job.program, job.address, timeout=timeout)
                outcomes.append(found)
                parts.append(job.results(after))
        seconds = time.perf_counter() - began
        link = device.transport
        assert isinstance(link, UartLink)
        repeated = link.repeated
    outputs = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    result = HostRun(expected, board, port, outcomes, outputs, seconds, repeated, list(expected.checks),
                     list(expected.differences))  # fmt: skip
    _compare(result, values, timing.cycles)
    return result


def _compare(result: HostRun, values: dict[str, IntArray], cycles: int) -> None:
    """Note what is as the simulator says, and the first value and run that are not."""
    for name, wanted in values.items():
        got = result.outputs[name]
        if not np.array_equal(got, wanted):
            at = tuple(int(i) for i in np.argwhere(got != wanted)[0])
            result.differences.append(
                f"{name}{list(at)}: the simulator has {wanted[at]}, the device {got[at]}"
            )
            break
    else:
        result.checks.append("every value of every layer equals the simulator's")
    other = next((o.cycles for o in result.outcomes if o.cycles != cycles), None)
    if other is None:
        result.checks.append(f"every run took the simulator's {cycles:,} cycles")
    else:
        result.differences.append(f"cycles: the device took {other}, the simulator says {cycles}")


def host_info(port: str, board: BoardConfig, tell: Callable[[str], None]) -> dict[str, Any]:
    """What the device at a port says of itself; registers included.

    Raises
    ------
    BadInput, MissingTool, LinkError
        If the port cannot be opened, or nobody answers there.
    """
    with opened(port, board, None, tell) as device:
        identity = device.identity
        return {
            "port": port,
            "digest": identity.digest,
            "device_version": ".".join(str(part) for part in identity.version),
            "memory_bytes": identity.memory_bytes,
            "running": device.running,
            "registers": device.registers(),
        }
