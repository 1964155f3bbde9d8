"""Faults per second: the lane engine on two processes beside hooked Verilog that begins every run with a reset."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.commands.inject import subject_of
from hwgen.faults.campaign import manifest, perform
from hwgen.faults.models import faults
from hwgen.faults.plan import Exhaustive, Plan, Uniform, population
from hwgen.faults.subject import Subject

COMMAND = "python -m benchmarks.fault_rates"
SERIAL = 200
"""Faults of the hooked Verilog: enough for a rate."""


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
CASES = (
    Case(
        "core 8x8", _GEMM, {"rows": "8", "cols": "8", "tile_steps": "16"}, "gemm:8x64x8", 2_000_000, 2e6, 100
    ),
    Case(
        "core 16x16", _GEMM, {"rows": "16", "cols": "16", "tile_steps": "16"}, "gemm:16x64x16", 2_000_000, 1e6, 100
    ),
    Case(
        "core 16x16, every flip-flop x cycle", _GEMM, {"rows": "16", "cols": "16", "tile_steps": "16"},
        "gemm:16x64x16", seconds=10,
    ),
    Case("accelerator 8x8", "edge_ecp5", {}, "gemm:8x64x8", 1_000_000, 1e5),
    Case("accelerator 16x16", "accelerator", {"lanes": "16", "lut": "false"}, "gemm:16x64x16", 500_000, 5e4),
)  # fmt: skip


def measure(console: Console) -> list[Figure]:
    figures, rows = [], []
    for case in CASES:
        subject = subject_of(case.target, case.settings, case.workload)
        members = population(subject.sites, subject.lanes.cycles, faults(0, 0))
        plan: Plan = Exhaustive(members)
        if case.samples is not None:
            plan = Uniform(members, min(case.samples, len(members)), 0)
        seconds = _campaign(subject, plan)
        rate = plan.total / seconds
        serial = subject.run_verilated(Uniform(members, SERIAL, 1)(0, SERIAL), forked=False, processes=1)
        beside = SERIAL / serial.seconds
        name = f"fault_rates.{case.name.replace(' ', '_').replace(',', '')}"
        peer = "hooked Verilog, one process, every run from reset, this run"
        goal = None if case.rate is None else Goal(">=", case.rate)
        figures.append(
            Figure(
                name=name,
                value=rate,
                unit="faults/s",
                command=COMMAND,
                goal=goal,
                peer=beside,
                peer_source=peer,
            )
        )
        if case.ratio is not None:
            ratio = Goal(">=", case.ratio)
            figures.append(
                Figure(name=f"{name}.ratio", value=rate / beside, unit="x", command=COMMAND, goal=ratio)
            )
        if case.seconds is not None:
            limit = Goal("<=", case.seconds)
            figures.append(
                Figure(name=f"{name}.seconds", value=seconds, unit="s", command=COMMAND, goal=limit)
            )
        rows.append(
            (
                case.name, members.sites, members.cycles, plan.total, f"{seconds:.1f}", f"{rate:,.0f}",
                f"{beside:,.0f}", f"{rate / beside:,.0f}",
            )
        )  # fmt: skip
    heads = ("design", "flip-flops", "cycles", "faults", "s", "faults/s", "hooked Verilog/s", "ratio")
    table(console, "flip-flop upsets, two processes", heads, rows)
    return figures


def _campaign(subject: Subject, plan: Plan) -> float:
    """Time of a campaign in two processes that have opened the engine before."""
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        # The engine's library is compiled once per machine; that is no part of a campaign.
        _ = subject.lanes
        began = time.perf_counter()
        perform(Path(folder, "campaign"), subject, plan, manifest(subject, plan, {}), processes=2)
        return time.perf_counter() - began


if __name__ == "__main__":
    main(measure, __doc__)
