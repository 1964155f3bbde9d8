"""``hwgen check`` for accelerators: golden model = simulator = Verilog on random programs and compiled networks.

Compared are DRAM after the run, start and end of every instruction, the performance counters, and the cycles of the
whole run, each time with another memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from hwgen.commands import executors
from hwgen.errors import BadInput, HwgenError
from hwgen.faults.protection.plan import UNPROTECTED, Plan
from hwgen.numerics import IntArray
from hwgen.program.table import ENGINES
from hwgen.system.check import check, order
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.system.registers import ERRORS
from hwgen.system.values import Values
from hwgen.verify.case import Bytes, RandomProgram
from hwgen.verify.networks import random_network_program
from hwgen.verify.programs import random_program
from hwgen.verify.system_harness import SystemRun
from sim import events
from sim.machine import Dram, Outcome
from sim.machine import Run as Simulated

__all__ = ["ProgramRun", "SystemCheckResult", "SystemDifference", "check_system", "compare", "random_dram"]

_COUNTERS = ("run", "idle", "wait", "stall")
_NAMES = dict(enumerate(ENGINES))


@dataclass(frozen=True)
class SystemDifference:
    """Two executors disagree about a program.

    Parameters
    ----------
    kind : {"value", "error", "cycle", "counter"}
        A byte of DRAM or a result; how the run ended; start or end of an instruction, or the run's length; a
        performance counter.
    program : str
        Which program.
    executors : (str, str)
        Who disagrees; the reference first.
    text : str
        What each of them has.
    """

    kind: Literal["value", "error", "cycle", "counter"]
    program: str
    executors: tuple[str, str]
    text: str

    def __str__(self) -> str:
        return f"{self.program}: {self.text}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"text": str(self)}


@dataclass(frozen=True)
class ProgramRun:
    """One program on all executors.

    Parameters
    ----------
    program : str
        Its name: kind and number.
    instructions : int
        How many.
    dram : dict of int
        The memory's parameters.
    sim_cycles, rtl_cycles : int
        Length of the run.
    off : int
        Largest difference in cycles between the two, over start and end of every instruction and the run's length.
    seconds : float
        Of the Verilog.
    """

    program: str
    instructions: int
    dram: dict[str, int]
    sim_cycles: int
    rtl_cycles: int
    off: int
    seconds: float


@dataclass
class SystemCheckResult:
    """Outcome of a check.

    Parameters
    ----------
    config : SystemConfig
        What was checked.
    vectors, seed : int
        Random programs, and the seed that made them.
    """

    config: SystemConfig
    vectors: int
    seed: int
    runs: list[ProgramRun] = field(default_factory=list)
    differences: list[SystemDifference] = field(default_factory=list)

    @property
    def values_equal(self) -> bool:
        """Whether all executors left the same in DRAM and ended well."""
        return not any(d.kind in ("value", "error") for d in self.differences)

    @property
    def cycles_equal(self) -> bool:
        """Whether simulator and Verilog agree about time."""
        return not any(d.kind in ("cycle", "counter") for d in self.differences)

    @property
    def passed(self) -> bool:
        """Whether nothing differed."""
        return not self.differences

    @property
    def instructions(self) -> int:
        """Instructions that were compared."""
        return sum(run.instructions for run in self.runs)

    def summary(self) -> list[tuple[str, int, int, int, int, int]]:
        """By kind of program: how many, instructions, cycles of simulator and Verilog, the latter's per second."""
        rows = []
        for kind in ("program", "network"):
            runs = [run for run in self.runs if run.program.startswith(kind)]
            if runs:
                rtl = sum(run.rtl_cycles for run in runs)
                speed = round(rtl / sum(run.seconds for run in runs))
                sums = (sum(run.instructions for run in runs), sum(run.sim_cycles for run in runs))
                rows.append((f"{kind}s", len(runs), *sums, rtl, speed))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """For JSON; keys of the design's section 8."""
        cycles = {name: sum(getattr(run, f"{name}_cycles") for run in self.runs) for name in ("sim", "rtl")}
        return {
            "core": self.config.core,
            "config": self.config.to_dict(),
            "digest": self.config.digest,
            "vectors": self.vectors,
            "seed": self.seed,
            "executors": ["golden", "sim", "harness"],
            "values_equal": self.values_equal,
            "cycles_equal": self.cycles_equal,
            "first_difference": self.differences[0].to_dict() if self.differences else None,
            "cycles": cycles,
            "instructions": self.instructions,
            "runs": [asdict(run) for run in self.runs],
        }


def check_system(
    config: SystemConfig,
    *,
    vectors: int = 20,
    seed: int = 0,
    networks: int | None = None,
    size: int = 40,
    plan: Plan = UNPROTECTED,
    tell: Callable[[str], None] = lambda text: None,
) -> SystemCheckResult:
    """Compare golden model, simulator and Verilog of an accelerator.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    vectors : int
        Random programs, at least one.
    seed : int
        Of programs and memories, not negative.
    networks : int, optional
        Compiled random networks; a quarter of the programs, at least one, if absent.
    size : int
        Random runs per program.
    plan : Plan
        What of the Verilog is protected.
    tell : callable
        Is told what goes on.

    Raises
    ------
    BadInput, HwgenError, MissingTool
        If the parameters are wrong, the Verilog hangs, or a tool is missing.
    """
    if vectors < 1:
        raise BadInput(f"vectors must be at least 1, not {vectors}")
    if seed < 0:
        raise BadInput(f"seed must not be negative, not {seed}")
    count = max(1, vectors // 4) if networks is None else networks
    result = SystemCheckResult(config, vectors, seed)
    made: list[tuple[str, RandomProgram]] = []
    for number in range(vectors + count):
        rng = np.random.default_rng([seed, number])
        if number < vectors:
            made.append((f"program {number}", random_program(config, rng, size)))
        else:
            made.append((f"network {number - vectors}", random_network_program(config, rng)))
    tell("building the Verilog simulation")
    executors.harness(config, plan)
    for number, (name, program) in enumerate(made):
        tell(name)
        dram = random_dram(np.random.default_rng([seed, number, 1]))
        run, found = compare(config, name, program, dram, plan=plan)
        result.runs.append(run)
        result.differences += found
    return result


def random_dram(rng: np.random.Generator) -> Dram:
    """A memory: latency 1 to 200, one to three cycles per beat, shallow or deep."""
    return Dram(
        latency=int(rng.choice([1, 2, 20, 200, int(rng.integers(1, 201))])),
        interval=int(rng.integers(1, 4)),
        depth=int(rng.choice([1, 2, 3, 8, 16])),
        write_latency=int(rng.choice([1, 4, int(rng.integers(1, 101))])),
    )


def compare(
    config: SystemConfig,
    name: str,
    made: RandomProgram,
    dram: Dram,
    told: Dram | None = None,
    plan: Plan = UNPROTECTED,
) -> tuple[ProgramRun, list[SystemDifference]]:
    """One program on all executors.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    name : str
        Of the program, for the differences.
    made : RandomProgram
        The program.
    dram : Dram
        The memory.
    told : Dram, optional
        What the simulator is told instead: to see whether a wrong simulator would be noticed.
    plan : Plan
        What of the Verilog is protected.

    Returns
    -------
    ProgramRun, list of SystemDifference
        The first difference of each kind.

    Raises
    ------
    HwgenError
        If the program is not legal, or the Verilog hangs; the program is named.
    """
    program, body = made.program, made.program.instructions
    try:
        check(program, config, dram_bytes=len(made.memory), program_address=made.address)
        simulated = executors.simulate(config, program, told or dram)
        parameters = (dram.latency, dram.interval, dram.depth, dram.write_latency)
        seen = executors.harness(config, plan).run(
            made.memory,
            made.address,
            len(body),
            dram=parameters,
            limit=100_000 + 4 * max(0, simulated.drained),
        )
    except HwgenError as error:
        raise type(error)(f"{name}: {error}") from None
    golden = Machine(config, made.memory)
    golden.run(body[i] for i in order(program, config))
    values = Values(config, made.memory[None].copy())
    values.run(body)
    numbers = np.array([ENGINES.index(one.engine) if one.engine in ENGINES else -1 for one in body])
    # The dispatcher's own instructions have no events in the Verilog; the run's length shows them.
    expected = np.where(numbers >= 0, np.stack([simulated.starts, simulated.ends]), -1)
    times = _times(numbers, seen)
    told_events, seen_events = (events.records(both[0], both[1], numbers) for both in (expected, times))
    found = [
        _ended(name, simulated, seen),
        _results(name, made, golden.dram),
        _first_byte(name, made, ("golden", "sim"), golden.dram, values.dram[0]),
        _first_byte(name, made, ("golden", "rtl"), golden.dram, seen.memory),
        _first_event(name, told_events, seen_events),
        _length(name, simulated, seen),
        _first_counter(name, config, len(body), simulated, seen),
    ]
    cycles = simulated.drained + 1
    off = max(int(np.abs(expected - times).max()), abs(cycles - seen.cycles))
    run = ProgramRun(name, len(body), asdict(dram), cycles, seen.cycles, off, seen.seconds)
    return run, [difference for difference in found if difference is not None]


def _ended(name: str, simulated: Simulated, seen: SystemRun) -> SystemDifference | None:
    """How the run ended, if not with its halt on both sides."""
    if simulated.outcome is not Outcome.FINISHED:
        text = f"the program is legal, and the simulator says {simulated.outcome.value}"
        return SystemDifference("error", name, ("golden", "sim"), text)
    code = seen.registers["ERROR"] & 0xFF
    if code:
        error = next((e.name for e in ERRORS if e.code == code), str(code))
        at = seen.registers["ERROR_INSTRUCTION"]
        text = f"the program is legal, and the Verilog reports {error} at instruction {at}"
        return SystemDifference("error", name, ("golden", "rtl"), text)
    return None


def _results(name: str, made: RandomProgram, dram: Bytes) -> SystemDifference | None:
    """First element of a network's results that is not what its layers' mathematics says."""
    for layer, (found, wanted) in made.results(dram).items():
        at = np.argwhere(found != wanted)
        if len(at):
            where = tuple(int(i) for i in at[0])
            text = f"layer {layer} at {list(where)}: reference has {wanted[where]}, golden has {found[where]}"
            return SystemDifference("value", name, ("reference", "golden"), text)
    return None


def _first_byte(
    name: str, made: RandomProgram, who: tuple[str, str], one: Bytes, other: Bytes
) -> SystemDifference | None:
    at = np.flatnonzero(one != other)
    if not len(at):
        return None
    first = int(at[0])
    text = f"{made.where(first)}: {who[0]} has {one[first]}, {who[1]} has {other[first]}"
    return SystemDifference("value", name, who, text)


def _first_event(name: str, expected: events.Events, found: events.Events) -> SystemDifference | None:
    """First start or end of an instruction in another cycle."""
    difference = events.first_difference(expected, found, names=("sim", "rtl"), engines=_NAMES)
    return None if difference is None else SystemDifference("cycle", name, ("sim", "rtl"), difference.text)


def _length(name: str, simulated: Simulated, seen: SystemRun) -> SystemDifference | None:
    """The cycles of the whole run."""
    if simulated.drained + 1 == seen.cycles:
        return None
    text = f"sim needs {simulated.drained + 1} cycles, rtl needs {seen.cycles}"
    return SystemDifference("cycle", name, ("sim", "rtl"), text)


def _times(numbers: IntArray, seen: SystemRun) -> IntArray:
    """Starts and ends of all instructions, -1 for none: an engine's events are its instructions, in order."""
    times = np.full((2, len(numbers)), -1, np.int64)
    for row, column in zip(times, ("began", "ended"), strict=True):
        for engine in range(len(ENGINES)):
            own = np.flatnonzero(numbers == engine)
            cycles = seen.events["cycle"][seen.events[column] >> engine & 1 == 1]
            count = min(len(own), len(cycles))
            row[own[:count]] = cycles[:count]
    return times


def _first_counter(
    name: str, config: SystemConfig, count: int, simulated: Simulated, seen: SystemRun
) -> SystemDifference | None:
    for register, expected in _counters(config, count, simulated):
        found = seen.registers[register]
        if found != expected:
            text = f"counter {register}: sim has {expected}, rtl has {found}"
            return SystemDifference("counter", name, ("sim", "rtl"), text)
    return None


def _counters(config: SystemConfig, count: int, simulated: Simulated) -> Iterator[tuple[str, int]]:
    """What every counter register must hold."""
    yield "INSTRUCTIONS", count
    yield "CYCLES_LOW", simulated.drained + 1 & 0xFFFFFFFF
    yield "READ_BEATS", simulated.read_beats
    yield "WRITE_BEATS", simulated.write_beats
    told: Mapping[int, Any] = simulated.counters
    for engine in config.engines:
        for counter in _COUNTERS:
            yield f"{engine.upper()}_{counter.upper()}", getattr(told[ENGINES.index(engine)], counter)
