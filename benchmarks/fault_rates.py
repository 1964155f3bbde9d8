"""Faults per second: the lane engine on two threads beside hooked Verilog that begins every run with a reset."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.commands.inject import subject_of
from hwgen.faults.campaign import manifest, perform
from hwgen.faults.models import Model, faults
from hwgen.faults.plan import Exhaustive, Plan, Uniform, population
from hwgen.faults.sites import Kind
from hwgen.faults.subject import Subject
from hwgen.faults.transients import GateSubject

COMMAND = "python -m benchmarks.fault_rates"
SERIAL = 200
"""Faults of the hooked Verilog: enough for a rate."""
THREADS = 2
REPEATS = 5
PEER = "hooked Verilog, one process, every run from reset, this run"
ENFOR_SA = "ENFOR-SA over an HDFIT-style injector, published ratio: 2.03x"


@dataclass(frozen=True)
class Case:
    """A design, how many faults, and what is wanted.

    Parameters
    ----------
    name, target, settings, workload
        See :func:`hwgen.commands.inject.subject_of`.
    samples : int or None
        Uniform draws; every fault if absent.
    rate, ratio, seconds : float, optional
        Goals: faults per second, that over the hooked Verilog, and time of the campaign.
    """

    name: str
    target: str
    settings: dict[str, str]
    workload: str
    samples: int | None = None
    rate: float | None = None
    ratio: float | None = None
    seconds: float | None = None


_GEMM = "dsp_gemm"


def _array(size: int) -> dict[str, str]:
    return {"rows": str(size), "cols": str(size), "tile_steps": "16"}


CASES = (
    Case("core 8x8", _GEMM, _array(8), "gemm:8x64x8", rate=2e6, ratio=100),
    Case("core 16x16", _GEMM, _array(16), "gemm:16x64x16", rate=1e6, ratio=100, seconds=10),
    Case("accelerator 8x8", "edge", {}, "gemm:8x64x8", 1_000_000, 1e5, 100),
    Case(
        "accelerator 16x16",
        "accelerator",
        {"lanes": "16", "lut": "false"},
        "gemm:16x64x16",
        1_000_000,
        5e4,
        100,
    ),
)


def measure(console: Console) -> list[Figure]:
    figures, rows = [], []
    for case in CASES:
        subject = subject_of(case.target, case.settings, case.workload)
        members = population(subject.sites, subject.lanes.cycles, faults(0, 0))
        plan: Plan = Exhaustive(members)
        if case.samples is not None:
            plan = Uniform(members, min(case.samples, len(members)), 0)
        seconds = statistics.median(_campaign(subject, plan) for _ in range(REPEATS))
        rate = plan.total / seconds
        serial = subject.run_verilated(Uniform(members, SERIAL, 1)(0, SERIAL), forked=False, processes=1)
        beside = SERIAL / serial.seconds
        sample = Uniform(members, min(100_000, len(members)), 2)
        _, effort = subject.lanes.inject(sample(0, sample.total))
        name = f"fault_rates.{case.name.replace(' ', '_')}"
        figures += _figures(name, rate, beside, seconds, case)
        rows.append(
            (
                case.name, members.sites, members.cycles, "every fault" if case.samples is None else "uniform",
                f"{plan.total:,}", f"{seconds:.2f}", f"{rate:,.0f}", f"{100 * effort.simulated / sample.total:.0f} %",
                f"{beside:,.0f}", f"{rate / beside:,.0f}",
            )
        )  # fmt: skip
    heads = (
        "design", "flip-flops", "cycles", "drawn", "faults", "s", "faults/s", "simulated", "hooked Verilog/s", "ratio",
    )  # fmt: skip
    console.print(
        table(f"flip-flop upsets, {THREADS} threads, results written, median of {REPEATS}", heads, rows)
    )
    figures.append(_transients(console))
    return figures


def _figures(name: str, rate: float, beside: float, seconds: float, case: Case) -> list[Figure]:
    found = [
        Figure(
            name=name, value=rate, unit="faults/s", command=COMMAND, goal=Goal(">=", case.rate) if case.rate else None,
            peer=beside, peer_source=PEER,
        )
    ]  # fmt: skip
    if case.ratio is not None:
        goal = Goal(">=", case.ratio)
        found.append(
            Figure(
                name=f"{name}.ratio", value=rate / beside, unit="x", command=COMMAND, goal=goal, peer=2.03,
                peer_source=ENFOR_SA,
            )
        )  # fmt: skip
    if case.seconds is not None:
        limit = Goal("<=", case.seconds)
        found.append(
            Figure(
                name=f"{name}.every_flip_flop_and_cycle", value=seconds, unit="s", command=COMMAND, goal=limit
            )
        )
    return found


def _campaign(subject: Subject, plan: Plan) -> float:
    """Time of a campaign, its results in files; the design is lowered and its fault-free run known."""
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        _ = subject.lanes
        began = time.perf_counter()
        perform(Path(folder, "campaign"), subject, plan, manifest(subject, plan, {}), processes=THREADS)
        return time.perf_counter() - began


def _transients(console: Console) -> Figure:
    """Every gate in every cycle."""
    subject = GateSubject.of(subject_of(_GEMM, _array(8), "gemm:8x64x8"))
    members = population(subject.sites, subject.lanes.cycles, faults(0, 0, Model.SET), kinds=[Kind.GATE])
    plan = Exhaustive(members)
    seconds = _campaign(subject, plan)
    gates, cycles = members.sites, members.cycles
    total = gates * cycles
    console.print(
        table(
            f"transients at gates, core 8x8, {THREADS} threads, results written",
            ("gates", "cycles", "faults", "s", "faults/s"),
            [(f"{gates:,}", cycles, f"{total:,}", f"{seconds:.1f}", f"{total / seconds:,.0f}")],
        )
    )
    return Figure(
        name="fault_rates.every_gate_and_cycle_8x8",
        value=seconds,
        unit="s",
        command=COMMAND,
        goal=Goal("<=", 60),
    )


if __name__ == "__main__":
    main(measure, __doc__)
