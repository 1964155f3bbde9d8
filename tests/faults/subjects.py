"""Small designs that differ in everything that matters to a fault engine, with jobs for them."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np

from hwgen.commands.inject import subject_of
from hwgen.faults.models import Faults, Model, faults
from hwgen.faults.sites import Kind
from hwgen.faults.subject import Subject

#: Name: target, settings, workload, regime of the streams.
SUBJECTS: dict[str, tuple[str, dict[str, str], str, str]] = {
    "array": ("dsp_gemm", {"rows": "3", "cols": "3", "tile_steps": "8"}, "gemm:9x7x5", "free"),
    "dsp blocks": (
        "dsp_gemm",
        {"rows": "3", "cols": "4", "tile_steps": "8", "target": "ultrascale+"},
        "gemm:9x7x5",
        "both",
    ),
    "size one": ("dsp_gemm", {"rows": "1", "cols": "1", "tile_steps": "4"}, "gemm:3x2x2", "slow consumer"),
    "bit-serial": (
        "lut_gemm",
        {"dm": "2", "dk": "8", "dn": "2"},
        "tile",
        "slow producer",
    ),
    "softmax": ("softmax", {}, "tile", "free"),
    "accelerator": ("tiny", {}, "gemm:5x9x6", "free"),
    "plain accelerator": (
        "accelerator",
        {"lanes": "4", "dsp": "true", "lut": "false"},
        "gemm:6x8x8",
        "free",
    ),
}

#: Those that everybody waits for; the rest is behind the marker `slow`.
QUICK = ("array", "dsp blocks", "size one", "bit-serial", "softmax", "plain accelerator")


@cache
def subject(name: str) -> Subject:
    """A subject, built once."""
    target, settings, workload, regime = SUBJECTS[name]
    return subject_of(target, settings, workload, seed=1, regime=regime)


def drawn(one: Subject, model: Model, count: int, seed: int = 3) -> Faults:
    """Random faults of a model that the hooks can inject too, half of those in memories near the first rows."""
    rng = np.random.default_rng(seed)
    table = one.sites
    cycle = rng.integers(0, one.lanes.cycles, count)
    memories = [e for e in table.elements if e.kind is Kind.MEMORY]
    registers = [e for e in table.elements if e.kind is Kind.FLIP_FLOP]
    if model in (Model.WORD, Model.MBU, Model.OVERRIDE):
        registers = [e for e in registers if 2 <= e.width <= 32]
        memories = [e for e in memories if e.width <= 32]
    wanted = memories if model in (Model.COLUMN_AT_0, Model.COLUMN_AT_1) else registers
    share = len(memories) and model in (Model.SEU, Model.STUCK_AT_0, Model.STUCK_AT_1)
    sites = []
    for i in range(count):
        pool = memories if share and i % 4 == 0 else wanted
        e = pool[rng.integers(len(pool))]
        row = int(rng.integers(min(e.depth, 4 if i % 8 else e.depth)))
        # A multi-bit upset must lie within one hook: any pair in a register of at most 32 bits does.
        sites.append(e.first + row * e.width + int(rng.integers(e.width)))
    if model is Model.SWAP:
        pairs = _pairs(one)
        chosen = [pairs[i] for i in rng.integers(len(pairs), size=count)]
        return faults(
            [a for a, _ in chosen],
            cycle,
            model,
            duration=int(rng.integers(1, 4)),
            value=[b for _, b in chosen],
        )
    if model is Model.OVERRIDE:
        widths = [one.sites.site(site).element.width for site in sites]
        return faults(sites, cycle, model, duration=3, value=[int(rng.integers(1 << w)) for w in widths])
    extra = {"period": 7, "on": 2, "duration": 60} if model is Model.INTERMITTENT else {}
    return faults(sites, cycle, model, size=2, **extra)


def _pairs(one: Subject) -> list[tuple[int, int]]:
    """Registers that can be exchanged, none of them twice; the first sites of each."""
    labels = Counter(e.label for e in one.sites)
    behind = {
        label for layout in one.hooked.layouts.values() for names in layout.raw.values() for label, _ in names
    }
    found: list[tuple[int, int]] = []
    open_: dict[tuple[object, ...], int] = {}
    for e in one.sites:
        if e.kind is Kind.MEMORY or labels[e.label] > 1 or e.name in behind or e.width < 2:
            continue
        key = e.path, e.width
        if key in open_:
            found.append((open_.pop(key), e.first))
        else:
            open_[key] = e.first
    return found


def verilog_of(path: Path) -> list[Path]:
    """Sources of a committed configuration: the design first."""
    design = next(path.glob("*.v"))
    return [design, *sorted((path / "simulation").glob("*.v"))]
