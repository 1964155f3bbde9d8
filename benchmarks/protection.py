"""Protection scheme by scheme: area by Yosys, coverage and latency by injected upsets, cycles."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.commands.inject import Request, inject, job_of, subject_of
from hwgen.commands.protect import protect
from hwgen.faults.protection.measure import Guarded, area, block_sites, coverage, guard
from hwgen.faults.protection.plan import Plan
from hwgen.faults.rates import parse_rates
from hwgen.faults.sites import Kind
from hwgen.faults.subject import Subject
from hwgen.synthesis import Cells

COMMAND = "python -m benchmarks.protection"
UPSETS = 20_000
SCHEMES = {
    "core": (
        *("parity", "parity+secded", "residue", "secded", "dmr", "dmr+secded", "tmr"),
        *("abft", "abft:columns", "abft:both"),
    ),
    "accelerator": ("parity", "dmr", "tmr"),
}
CORE = ("dsp_gemm", {"rows": "8", "cols": "8", "tile_steps": "256"}, "gemm:24x24x24")
SYSTEM = ("accelerator", {"lanes": "4", "dsp": "true", "lut": "false"}, "gemm:6x8x8")
BLOCK = "dispatch"
PEER = "selected duplication and hardened flops in Ethos-U55, arXiv 2404.09317, published figure: 38 % area for ASIL-D"
ASIL_D = 99.0  # %, of SPFM
ACCELERATORS = ("tiny", "edge")
WORKLOAD = "gemm:8x64x8"
CAMPAIGN = 250_000  # upsets without protection, and again with it
RATES = """
[transient]
flip_flop = { fit_per_mbit = 1000.0, source = "assumed for this figure: every flip-flop alike" }
"""


def _cells(subject: Subject) -> Cells:
    return area(subject.sources[0], subject.top, dsp=False)


def _row(made: Guarded, block: str, before: Cells, seed: int) -> tuple[tuple[object, ...], dict[str, float]]:
    """A line of the table, and what figures are made of."""
    after = _cells(made.after)
    found = coverage(
        made, block_sites(made.before.sites, block, Kind.FLIP_FLOP), UPSETS, seed, added=UPSETS // 4
    )
    cells, whole = after.lut + after.ff, before.lut + before.ff
    share = 100 * (cells / whole - 1)
    latency = "/".join(map(str, found.latency)) or "-"
    row = (
        f"{after.lut} ({100 * (after.lut / before.lut - 1):+.1f} %)",
        f"{after.ff} ({100 * (after.ff / before.ff - 1):+.1f} %)",
        f"{share:+.1f} %",
        after.bram36,
        made.added_flip_flops,
        made.added_memory_bits,
        found.harmful,
        f"{100 * found.detected / found.harmful:.2f} %",
        f"{100 * found.corrected / found.harmful:.2f} %",
        found.escaped,
        latency,
        f"{found.added_alarms}/{found.added_harmful}/{found.added}",
        made.after.lanes.cycles - made.before.lanes.cycles,
    )
    return row, {"area": share, "coverage": 100 * found.diagnostic, "cells": float(cells - whole)}


def measure(console: Console) -> list[Figure]:
    heads = (
        *("scheme", "LUT", "FF", "LUT + FF", "BRAM36", "FF bits", "RAM bits", "harmful", "detected", "corrected"),
        *("escaped", "latency", "added bits struck: alarms/harm/of", "cycles"),
    )  # fmt: skip
    figures = []
    for place, (target, settings, workload), block in (("core", CORE, "*"), ("accelerator", SYSTEM, BLOCK)):
        subject = subject_of(target, settings, workload)
        before = _cells(subject)
        rows: list[tuple[object, ...]] = []
        for seed, scheme in enumerate(SCHEMES[place]):
            made = guard(subject, Plan.of({block: scheme.split("+")}))
            row, values = _row(made, block, before, seed)
            rows.append((scheme, *row))
            figures.append(
                Figure(
                    name=f"protection.{place}.{scheme}.area", value=values["area"], unit="% LUT + FF", command=COMMAND,
                    goal=Goal("<=", 38) if place == "core" and scheme == "parity" else None,
                    peer=38 if place == "core" else None, peer_source=PEER if place == "core" else None,
                )
            )  # fmt: skip
            figures.append(
                Figure(
                    name=f"protection.{place}.{scheme}.coverage", value=values["coverage"],
                    unit="% of harmful upsets", command=COMMAND, goal=Goal(">=", ASIL_D),
                )
            )  # fmt: skip
        console.print(
            table(
                f"{subject.name}: {'all' if block == '*' else block} protected, {UPSETS} upsets of its flip-flops; "
                f"without: {before.lut} LUT, {before.ff} FF, {before.bram36:g} BRAM36, {subject.lanes.cycles} cycles; "
                "latency: least/median/99 %/most, cycles",
                heads,
                rows,
            )
        )
    return figures + _accelerators(console)


def _accelerators(console: Console) -> list[Figure]:
    """What ASIL-D's SPFM for transient faults costs an accelerator: the choice of ``hwgen protect``, confirmed."""
    figures = []
    rows: list[tuple[object, ...]] = []
    for target in ACCELERATORS:
        with tempfile.TemporaryDirectory(prefix="hwgen-") as temporary:
            subject = subject_of(target, {}, WORKLOAD)
            job = job_of(target, (), WORKLOAD, 0, "free", None, None, None)
            inject(subject, Path(temporary, "plain"), Request(samples=CAMPAIGN, job=job), processes=2)
            found = protect(
                Path(temporary, "plain"), f"spfm={ASIL_D}%", Path(temporary, "protected"), rates=parse_rates(RATES),
                schemes=("parity",), processes=2,
            )  # fmt: skip
        assert found.confirmation is not None
        (verdict,) = found.confirmation.verdicts
        bound = 100 * (verdict.bound or 0.0)
        share = 100 * found.overhead
        whole = found.confirmation.campaigns[0].summary.whole
        rows.append(
            (
                target, f"{found.before.lut} → {found.after.lut}", f"{found.before.ff} → {found.after.ff}",
                f"{share:+.1f} % ({100 * found.predicted:+.1f} % predicted)", f"{bound:.3f} %",
                f"{100 * whole.alarm.estimate:.1f} %", sum(c != "none" for c in found.selection.choice.values()),
                len(found.blocks),
            )
        )  # fmt: skip
        figures.append(
            Figure(
                name=f"protection.{target}.asil_d_spfm.area", value=share, unit="% LUT + FF", command=COMMAND,
                goal=Goal("<=", 38), peer=38, peer_source=PEER,
            )
        )  # fmt: skip
        figures.append(
            Figure(
                name=f"protection.{target}.asil_d_spfm.bound", value=bound, unit="% SPFM, lower bound",
                command=COMMAND, goal=Goal(">=", ASIL_D),
            )
        )  # fmt: skip
    heads = (
        "accelerator",
        "LUT",
        "FF",
        "LUT + FF",
        "SPFM at least",
        "false alarms",
        "blocks protected",
        "of",
    )
    console.print(
        table(f"hwgen protect, spfm={ASIL_D}%, transient faults of flip-flops, {WORKLOAD}", heads, rows)
    )
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
