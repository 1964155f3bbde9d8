"""``hwgen run``: a network, or a program, on golden model, simulator or Verilog."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hwgen.commands.executors import DRAM, deadlock_message, harness, simulate, timed
from hwgen.commands.jobs import Job, NetworkJob, Numbers, network_job, numbers, program_job
from hwgen.commands.run_account import LayerFigures, Totals, figures, untimed
from hwgen.compile import reference
from hwgen.errors import BadInput, Misbehaviour
from hwgen.numerics import IntArray
from hwgen.program.table import CONTROL, ENGINES
from hwgen.system.check import check, order
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.system.registers import ERRORS
from hwgen.system.values import Values
from hwgen.workloads.layers import input_shapes
from sim import events
from sim import machine as sim_machine

__all__ = ["EXECUTORS", "RunResult", "Timing", "parse_dram", "run"]

EXECUTORS = ("golden", "sim", "rtl")
"""Golden model (values), simulator (values and cycles), Verilog in the compiled harness (values and cycles)."""

_STATES = ("run", "idle", "wait", "stall")
_GOLDEN_BATCH = 25
_MEANINGS = {error.code: error.meaning for error in ERRORS}
_CODES = {error.name: error.code for error in ERRORS}
_OUTCOMES = {
    sim_machine.Outcome.ILLEGAL: _CODES["ILLEGAL"],
    sim_machine.Outcome.OVERFLOW: _CODES["TOKEN_OVERFLOW"],
    sim_machine.Outcome.TRUNCATED: _CODES["TRUNCATED"],
}


@dataclass(frozen=True, eq=False)
class Timing:
    """What an executor tells of time.

    Parameters
    ----------
    starts, ends : int64 array
        First and last cycle of every instruction; -1 where it tells nothing of it.
    cycles : int
        Of the run, as the register CYCLES has them.
    counters : dict of dict of int
        Cycles in which every engine was in each state.
    read_bytes, written_bytes : int
        Beats times the width of the bus, instruction fetch included.
    """

    starts: IntArray
    ends: IntArray
    cycles: int
    counters: dict[str, dict[str, int]]
    read_bytes: int
    written_bytes: int


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run found.

    Parameters
    ----------
    name : str
        Of the workload, or the program's file.
    config : SystemConfig
        The accelerator.
    executor : str
        Of :data:`EXECUTORS`.
    settings : mapping of str to object
        Seed, images, share, memory.
    layers : list of LayerFigures
        In order.
    job : Job or None
        What was run; the golden model of a network needs no program.
    timing : Timing or None
        Cycles, if the executor counts them.
    outputs : dict of str to int array, or None
        Results of every layer, images first; of a program its memory.
    labels : int array or None
        Class of every image, where they are real.
    checks : list of str
        What was found right.
    differences : list of str
        What was found different between two executors; none is the point.
    seconds : dict of str to float
        Wall time by step.
    """

    name: str
    config: SystemConfig
    executor: str
    settings: Mapping[str, Any]
    layers: list[LayerFigures]
    job: Job | None = None
    timing: Timing | None = None
    outputs: dict[str, IntArray] | None = None
    labels: IntArray | None = None
    checks: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def totals(self) -> Totals:
        """Sums over the layers."""
        return Totals(self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def traffic_bytes(self) -> int | None:
        """Bytes over the bus, both directions."""
        return None if self.timing is None else self.timing.read_bytes + self.timing.written_bytes

    @property
    def correct(self) -> int | None:
        """Images whose largest result is that of their class."""
        if self.labels is None or self.outputs is None:
            return None
        last = self.outputs[self.layers[-1].name]
        return int((last.reshape(len(last), -1).argmax(axis=1) == self.labels).sum())

    def to_dict(self) -> dict[str, Any]:
        """For JSON; keys of the design's section 8, and more."""
        found: dict[str, Any] = {
            "digest": self.config.digest,
            "config": self.config.to_dict(),
            "workload": self.name,
            "executor": self.executor,
            **self.settings,
            "cycles": self.timing and self.timing.cycles,
            "macs": self.macs,
            "utilisation": self.timing and self.totals.utilisation,
            "traffic_bytes": self.traffic_bytes,
        }
        if self.timing is not None:
            totals = self.totals
            found |= {
                "read_bytes": self.timing.read_bytes, "written_bytes": self.timing.written_bytes,
                "counters": self.timing.counters, "compute": totals.compute, "losses": totals.losses,
                "roofline": totals.roofline,
            }  # fmt: skip
        if self.job is not None:
            found["instructions"] = len(self.job.program)
        if self.labels is not None and self.correct is not None:
            found |= {"images_correct": self.correct, "accuracy": self.correct / len(self.labels)}
        return found | {
            "layers": [layer.to_dict() for layer in self.layers],
            "outputs": None,
            "checks": self.checks,
            "differences": self.differences,
            "step_seconds": {name: round(value, 4) for name, value in self.seconds.items()},
        }


def parse_dram(text: str | None) -> sim_machine.Dram:
    """``"20,1,8,4"`` as a memory: latency, cycles per beat, bursts ahead, write latency.

    Raises
    ------
    BadInput
        If it is anything else.
    """
    if text is None:
        return DRAM
    names = ("latency", "interval", "depth", "write_latency")
    try:
        numbers_ = [int(part) for part in text.split(",")]
        values = dict(zip(names, numbers_, strict=True))
    except ValueError:
        raise BadInput(
            f"--dram takes four whole numbers, {','.join(names)}, such as 20,1,8,4, not {text!r}"
        ) from None
    try:
        return sim_machine.Dram(**values)
    except ValueError as error:
        raise BadInput(f"--dram {text}: {error}") from None


def run(
    config: SystemConfig,
    workload: str | None = None,
    executor: str = "sim",
    *,
    seed: int = 0,
    share: float | None = None,
    dram: sim_machine.Dram = DRAM,
    timing_only: bool = False,
    images: int = 1,
    program: Path | None = None,
    memory: Path | None = None,
    force: bool = False,
    verify: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> RunResult:
    """Run a workload or a program.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    workload : str, optional
        See :func:`hwgen.commands.jobs.numbers`.
    executor : str
        Of :data:`EXECUTORS`.
    seed : int
        Of random weights and inputs.
    share : float, optional
        Share of the output channels on the LUT core, where a layer does not say; the compiler weighs all if absent.
    dram : Dram
        The memory.
    timing_only : bool
        Leave out values; only the simulator can.
    images : int
        How many inputs; every one takes the same cycles.
    program, memory : Path, optional
        Run this program, in this memory, instead of a workload.
    force : bool
        Do not check the program before it runs.
    verify : bool
        Compare the results with those of the golden model.
    tell : callable
        Is told what goes on.

    Raises
    ------
    BadInput
        If the input is wrong, or the program is refused.
    Misbehaviour
        If the program, forced, does not come to its end.
    """
    _refuse(workload, executor, seed, images, timing_only, program, memory, verify)
    seconds: dict[str, float] = {}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        tell(name)
        began = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - began

    settings = {
        "seed": seed, "images": images, "timing_only": timing_only, "share": share, "dram": asdict(dram),
        "forced": force,
    }  # fmt: skip
    given: Numbers | None = None
    job: Job | None = None
    if program is not None:
        job = program_job(config, program, memory)
    else:
        assert workload is not None
        with step("weights and inputs"):
            given = numbers(config, workload, seed=seed, images=images, values=not timing_only)
    if given is not None and executor == "golden":
        with step("golden model"):
            outputs = _golden(given)
        loads = given.network.workload
        layers = untimed(loads.layers, input_shapes(loads))
        return RunResult(
            loads.name, config, executor, settings, layers, outputs=outputs, labels=given.labels, seconds=seconds
        )  # fmt: skip
    if given is not None:
        with step("compiler"):
            job = network_job(config, given, lut_share=share, images=images)
    assert job is not None
    checks = ["the program was not checked, as asked"]
    if not force:
        with step("check of the program"):
            # Its own digest was compared, where it has one; what it touches is compared with the memory there is.
            report = check(job.program, config, dram_bytes=job.size, program_address=job.address)
        checks = [
            f"{report.instructions:,} instructions: operands, tokens, deadlock and hazards are in order"
        ]
    run_ = _Run(job, dram, checks, step)
    if executor == "golden":
        with step("golden model"):
            outputs = run_.interpreted()
        layers = [LayerFigures("program", "program", f"{len(job.program)} instructions", 0)]
        return RunResult(job.name, config, executor, settings, layers, job, outputs=outputs, checks=checks,
                         seconds=seconds)  # fmt: skip
    timing, found = run_.simulated(values=not timing_only) if executor == "sim" else run_.verilog()
    if verify and found is not None:
        with step("golden model"):
            run_.compare(_golden(given) if given is not None else run_.interpreted(), found)
    with step("account"):
        layers = figures(
            job, timed(config, job.program.body), timing.starts, timing.ends, timing.cycles, dram
        )
    labels = given.labels if given is not None else None
    return RunResult(
        job.name,
        config,
        executor,
        settings,
        layers,
        job,
        timing,
        found,
        labels,
        checks,
        run_.differences,
        seconds,
    )


def _refuse(
    workload: str | None, executor: str, seed: int, images: int, timing_only: bool, program: Path | None,
    memory: Path | None, verify: bool,
) -> None:  # fmt: skip
    """BadInput for what does not go together."""
    if executor not in EXECUTORS:
        raise BadInput(f"executor must be one of {', '.join(EXECUTORS)}, not {executor!r}")
    if (workload is None) == (program is None):
        raise BadInput(f"give a workload or --program, {'not both' if workload else 'one of the two'}")
    if images < 1:
        raise BadInput(f"images must be at least 1, not {images}")
    if seed < 0:
        raise BadInput(f"seed must not be negative, not {seed}")
    if timing_only and executor != "sim":
        raise BadInput(f"--timing-only is for the simulator; the executor {executor} computes values always")
    if timing_only and verify:
        raise BadInput("--verify compares values, and --timing-only leaves them out; choose one")
    if memory is not None and program is None:
        raise BadInput("--memory is for --program; a workload brings its own")
    if program is not None and images > 1:
        raise BadInput("a program runs once, in the memory that is given; leave out --images")


def _golden(given: Numbers) -> dict[str, IntArray]:
    """Results of the golden model, int8, some images at a time."""
    count = len(next(iter(given.inputs.values())))
    parts = []
    for first in range(0, count, _GOLDEN_BATCH):
        inputs = {name: values[first : first + _GOLDEN_BATCH] for name, values in given.inputs.items()}
        parts.append({name: y.astype(np.int8) for name, y in reference.run(given.network, inputs).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class _Run:
    """A job on one executor or the other.

    Parameters
    ----------
    job : Job
        What is run.
    dram : Dram
        The memory.
    checks : list of str
        Where findings go.
    step : callable
        Context in which a step is timed.
    """

    def __init__(self, job: Job, dram: sim_machine.Dram, checks: list[str], step: Callable[[str], Any]):
        self.job, self.dram, self.checks, self.step = job, dram, checks, step
        self.differences: list[str] = []

    def simulated(self, *, values: bool) -> tuple[Timing, dict[str, IntArray] | None]:
        """Cycles, and values if wanted, of the simulator."""
        seen = self._simulate()
        if seen.outcome is not sim_machine.Outcome.FINISHED:
            raise Misbehaviour(self._why(seen))
        found = None
        if values:
            with self.step("values"):
                found = self._values()
        return _timing_of(self.job, seen), found

    def _simulate(self) -> sim_machine.Run:
        with self.step("simulator"):
            try:
                return simulate(self.job.config, self.job.program, self.dram)
            except ValueError as error:
                raise BadInput(f"the simulator cannot run the program: {error}") from None

    def _values(self) -> dict[str, IntArray]:
        job = self.job
        instructions = self._in_order()
        parts = []
        for memory in job.batches():
            machine = Values(job.config, memory)
            machine.run(instructions)
            parts += [job.results(one) for one in machine.dram]
        return _stacked(parts)

    def _in_order(self) -> list[Any]:
        program = self.job.program
        if isinstance(self.job, NetworkJob):  # the compiler's tokens all point backwards
            return list(program.instructions)
        return [program.instructions[i] for i in order(program, self.job.config)]

    def interpreted(self) -> dict[str, IntArray]:
        """Values of a program by the golden model of the instruction set."""
        instructions, parts = self._in_order(), []
        for memory in self.job.batches():
            for one in memory:
                machine = Machine(self.job.config, one)
                machine.run(instructions)
                parts.append(self.job.results(machine.dram))
        return _stacked(parts)

    def verilog(self) -> tuple[Timing, dict[str, IntArray]]:
        """Cycles and values of the Verilog; every cycle is compared with the simulator's."""
        job = self.job
        told = self._simulate()
        with self.step("build of the Verilog"):
            built = harness(job.config)
        limit = 2 * told.drained + 100_000 if told.outcome is sim_machine.Outcome.FINISHED else 10_000_000
        dram = (self.dram.latency, self.dram.interval, self.dram.depth, self.dram.write_latency)
        parts: list[dict[str, IntArray]] = []
        first: Timing | None = None
        with self.step("Verilog"):
            for memory in job.batches():
                for one in memory:
                    seen = built.run(one, job.address, len(job.program), dram=dram, limit=limit)
                    if seen.registers["ERROR"] & 0xFF:
                        raise Misbehaviour(self._why(seen.registers))
                    timing = _timing_of_registers(job, seen.cycles, seen.registers, seen.events)
                    self._same(timing, _timing_of(job, told), f"image {len(parts)}" if job.images > 1 else "")
                    first = first or timing
                    parts.append(job.results(seen.memory))
        if not self.differences:
            self.checks.append(
                "the Verilog begins and ends every instruction in the simulator's cycle; beats and counters are equal"
            )
        assert first is not None
        return first, _stacked(parts)

    def _why(self, seen: sim_machine.Run | Mapping[str, int]) -> str:
        """Why a program did not come to its end; the same sentence from simulator and hardware."""
        if isinstance(seen, sim_machine.Run):
            code, position, cycle = _OUTCOMES.get(seen.outcome, 0), seen.position, seen.drained
            deadlock = seen.outcome is sim_machine.Outcome.DEADLOCK
        else:
            code, position = seen["ERROR"] & 0xFF, seen["ERROR_INSTRUCTION"]
            cycle = (seen["CYCLES_HIGH"] << 32 | seen["CYCLES_LOW"]) - 1
            deadlock = code == _CODES["DEADLOCK"]
        if deadlock:
            return deadlock_message(self.job.config, self.job.program, seen)
        return f"the program stopped at cycle {cycle}, instruction {position}: {_MEANINGS[code]}"

    def _same(self, ours: Timing, theirs: Timing, which: str) -> None:
        """Note the first difference between the Verilog and the simulator."""
        engines = timed(self.job.config, self.job.program.body).engine
        mine, other = (events.records(t.starts, t.ends, engines) for t in (ours, theirs))
        found = events.first_difference(
            mine, other, names=("the Verilog", "the simulator"), engines=dict(enumerate(ENGINES))
        )
        texts = [] if found is None else [found.text]
        for name in ("cycles", "read_bytes", "written_bytes", "counters"):
            pair = getattr(ours, name), getattr(theirs, name)
            if pair[0] != pair[1]:
                texts.append(f"{name}: the Verilog has {pair[0]}, the simulator {pair[1]}")
        self.differences += [f"{which}: {text}" if which else text for text in texts[:1]]

    def compare(self, golden: dict[str, IntArray], found: dict[str, IntArray]) -> None:
        """Note the first value that is not the golden model's."""
        for name, values in golden.items():
            got = found[name].reshape(values.shape)
            if not np.array_equal(got, values):
                at = tuple(int(i) for i in np.argwhere(got != values)[0])
                self.differences.append(f"{name}{list(at)}: golden has {values[at]}, this executor {got[at]}")
                return
        self.checks.append("every value of every layer equals the golden model's")


def _stacked(parts: list[dict[str, IntArray]]) -> dict[str, IntArray]:
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}


def _timing_of(job: Job, seen: sim_machine.Run) -> Timing:
    engines = timed(job.config, job.program.body).engine
    # The hardware tells nothing of what the dispatcher does itself.
    starts, ends = (np.where(engines == CONTROL, -1, cycles) for cycles in (seen.starts, seen.ends))
    counters = {ENGINES[e]: {state: getattr(c, state) for state in _STATES} for e, c in seen.counters.items()}
    width = job.config.bus_bytes
    return Timing(starts, ends, seen.drained + 1, counters, seen.read_beats * width, seen.write_beats * width)


def _timing_of_registers(job: Job, cycles: int, registers: Mapping[str, int], seen: Any) -> Timing:
    """From registers and events: each engine's begin and end in the order of its instructions."""
    engines = timed(job.config, job.program.body).engine
    starts, ends = (np.full(len(engines), -1, np.int64) for _ in range(2))
    for name in job.config.engines:
        number = ENGINES.index(name)
        own = np.flatnonzero(engines == number)
        for mask, out in (("began", starts), ("ended", ends)):
            when = seen["cycle"][seen[mask] >> number & 1 == 1].astype(np.int64)
            out[own[: len(when)]] = when[: len(own)]
    counters = {
        name: {state: registers[f"{name.upper()}_{state.upper()}"] for state in _STATES}
        for name in job.config.engines
    }
    width = job.config.bus_bytes
    moved = (registers["READ_BEATS"] * width, registers["WRITE_BEATS"] * width)
    return Timing(starts, ends, cycles, counters, *moved)
