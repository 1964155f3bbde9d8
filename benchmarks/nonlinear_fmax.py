"""Clock frequency of one 16-bit lane of the non-linear units on ECP5, speed grade 6, by Yosys and nextpnr.

Each unit is the stand-alone core with its streams and buffers, its ports on registers. The figure is the median over
seeds of nextpnr; the table lists them all, and what the path is that limits the slowest. The goal is one unit's of each
kind: GELU, the softmax to take, LayerNorm; they have five seeds, the others three. The first run takes some ten minutes
on two cores, others take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import median
from typing import Any

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.config import CoreConfig
from hwgen.core import Core
from hwgen.cores import activation, norm, softmax
from hwgen.place_and_route import ECP5_85_6, Layout, Step, layouts
from hwgen.verify.block import Block

COMMAND = "python -m benchmarks.nonlinear_fmax"
GOAL_MHZ = 150
GOALS = ("gelu.s16_12", "softmax.online_pow2.u16", "norm.layer.int16")
"""Units that have to reach it: one of each kind; the others are for comparison."""

TARGET_MHZ = 200.0
SEEDS = (1, 2, 3, 4, 5)
FEWER_SEEDS = SEEDS[:3]

# Rows of a sequence of 384 tokens, as in MiniLM: the buffer of a row is one block RAM.
_ROWS: dict[str, Any] = {"lanes": 1, "longest": 384}
_WORDS: dict[str, Any] = {**_ROWS, "out_bits": 16, "multiplier_bits": 18}

UNITS: dict[str, tuple[Core, CoreConfig]] = {
    "gelu.s16_12": (
        activation.CORE,
        activation.ActivationConfig(
            function="gelu", variant="delta_octave", in_bits=16, in_fraction=12, out_bits=16, out_fraction=12
        ),
    ),
    **{
        f"softmax.{variant}.u16": (softmax.CORE, softmax.SoftmaxConfig(variant=variant, **_WORDS))
        for variant in ("online_pow2", "online", "twopass_ext", "unified_max")
    },
    # Its logits have at most 8 bits, its results 8.
    "softmax.table_exact.u8": (
        softmax.CORE,
        softmax.SoftmaxConfig(variant="table_exact", in_bits=8, in_fraction=4, **_ROWS),
    ),
    "norm.layer.int16": (
        norm.CORE,
        norm.NormConfig(in_bits=16, gamma_fraction=3, **_WORDS),
    ),
}


def path_text(path: Sequence[Step]) -> str:
    """A path in a line: signals in order, with the nanoseconds that logic and wires up to each take."""
    parts = []
    for name, steps in groupby(path, key=lambda step: step.name.split("[")[0]):
        parts.append(f"{name} {sum(step.ns for step in steps):.2f}")
    return " > ".join(parts)


def place_unit(core: Core, config: CoreConfig, seeds: Sequence[int] = SEEDS) -> list[Layout]:
    """A unit, once per seed."""
    block = Block(core, config)
    return layouts(block.sources[0], block.emission.top, seeds=seeds, target_mhz=TARGET_MHZ)


def measure(console: Console) -> list[Figure]:
    figures, rows = [], []
    paths = []
    for name, (core, config) in UNITS.items():
        found = place_unit(core, config, SEEDS if name in GOALS else FEWER_SEEDS)
        value = median(layout.slowest for layout in found)
        use = found[0].use
        counts = [
            use[kind].used if kind in use else 0
            for kind in ("TRELLIS_COMB", "TRELLIS_FF", "MULT18X18D", "DP16KD")
        ]
        seeds = " ".join(f"{layout.slowest:.0f}" for layout in found)
        rows.append((name, round(value, 1), seeds, *counts))
        worst = min(found, key=lambda layout: layout.slowest)
        paths.append(f"{name}, seed {worst.seed}: {path_text(worst.limiting)}")
        figures.append(
            Figure(
                name=f"{name}.fmax", value=round(value, 1), unit="MHz", command=COMMAND,
                goal=Goal(">=", GOAL_MHZ) if name in GOALS else None,
            )
        )  # fmt: skip
    heads = ("one lane", "MHz, median", "seeds 1, 2, ..", "LUT4", "FF", "MULT18", "DP16K")
    console.print(table(f"{ECP5_85_6.name}, Yosys and nextpnr, wrapper included", heads, rows))
    for line in paths:
        console.print(line, highlight=False)
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
