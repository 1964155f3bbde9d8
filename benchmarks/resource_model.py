"""The resource estimates of all cores beside Yosys, on a sweep that no estimate was fitted to.

No configuration here is in a fit or in a test of an estimate; whoever improves an estimate takes others. A first run
takes ten minutes on one core.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.config import CoreConfig
from hwgen.core import Core, Resources
from hwgen.cores.activation import CORE as ACTIVATION
from hwgen.cores.dsp_gemm import CORE as DSP_GEMM
from hwgen.cores.lut_gemm import CORE as LUT_GEMM
from hwgen.cores.norm import CORE as NORM
from hwgen.cores.softmax import CORE as SOFTMAX
from hwgen.cores.softmax.config import ITA_SCALE
from hwgen.cores.sparse_chain import CORE as SPARSE_CHAIN
from hwgen.synth.families import family
from hwgen.synthesis import cells
from hwgen.verify.block import Block

COMMAND = "python -m benchmarks.resource_model"
MEDIAN, WORST = 5.0, 15.0
KINDS = ("LUT", "FF", "DSP", "BRAM")

INT4 = {"act_bits": 4, "weight_bits": 4}
W4 = {"packing": "w4x3", "narrow": False}
W2 = {"packing": "w2x4", "narrow": False}
BYTES = {"in_bits": 8, "in_fraction": 3}
Q3_8 = {"in_bits": 12, "in_fraction": 8, "out_bits": 12, "out_fraction": 8}
UNSIGNED = {"in_signed": False, "out_signed": False}


@dataclass(frozen=True)
class Sweep:
    """Configurations of one core.

    Parameters
    ----------
    core : Core
        The core.
    settings : tuple of mapping
        What differs from the core's defaults, and from ``common``.
    target : str, optional
        The core's target; none if the core has no targets.
    family : str
        Of devices, whose synthesis is the measure.
    """

    core: Core
    settings: tuple[Mapping[str, Any], ...]
    target: str | None = None
    family: str = "ultrascale+"

    @property
    def name(self) -> str:
        """Core, and target if there are several."""
        return f"{self.core.name}.{self.target}" if self.target else self.core.name

    def config(self, settings: Mapping[str, Any]) -> CoreConfig:
        """One configuration."""
        return self.core.config(**({"target": self.target} if self.target else {}), **settings)


SWEEPS = (
    Sweep(
        DSP_GEMM,
        (
            {"rows": 1, "cols": 1, "tile_steps": 32, "weight_bits": 6},
            {"rows": 3, "cols": 7},
            {"rows": 10, "cols": 3, "act_bits": 4, "weight_bits": 6, "tile_steps": 32},
            {"rows": 5, "cols": 9, **INT4, "act_signed": False, "size_bits": 12},
            {"rows": 13, "cols": 2, "tile_steps": 2048},
            {"rows": 7, "cols": 6, "act_bits": 2, "weight_bits": 3, "tile_steps": 8},
            {"rows": 34, "cols": 1, "size_bits": 26},
        ),
        "generic",
    ),
    Sweep(
        DSP_GEMM,
        (
            {"rows": 1, "cols": 1, "tile_steps": 16, "size_bits": 8},
            {"rows": 1, "cols": 7},
            {"rows": 9, "cols": 5},
            {"rows": 13, "cols": 6, **INT4},
            {"rows": 6, "cols": 11, "packing": "none", "act_signed": False, "weight_bits": 7},
            {"rows": 33, "cols": 3, "tile_steps": 1024},
            {"rows": 5, "cols": 19, "act_bits": 3, "size_bits": 30},
        ),
        "ultrascale+",
    ),
    Sweep(
        DSP_GEMM,
        (
            {"rows": 1, "cols": 1},
            {"rows": 2, "cols": 7, "tile_steps": 64},
            {"rows": 5, "cols": 5, "packing": "none", "size_bits": 12},
            {"rows": 7, "cols": 6, **INT4},
            {"rows": 3, "cols": 19, "tile_steps": 2048},
            {"rows": 9, "cols": 4, "act_bits": 6, "weight_bits": 5, "tile_steps": 512},
            {"rows": 11, "cols": 2, "act_signed": False, "tile_steps": 16, "size_bits": 28},
        ),
        "xilinx7",
        "xilinx7",
    ),
    Sweep(
        DSP_GEMM,
        (
            {"rows": 1, "cols": 1},
            {"rows": 2, "cols": 5, "tile_steps": 64},
            {"rows": 5, "cols": 3, "packing": "none", "size_bits": 12},
            {"rows": 3, "cols": 6, **INT4, "tile_steps": 1024},
            {"rows": 1, "cols": 9, "act_bits": 6, "weight_bits": 6, "tile_steps": 8},
            {"rows": 4, "cols": 2, "act_signed": False, "size_bits": 28},
        ),
        "ecp5",
        "ecp5",
    ),
    Sweep(
        LUT_GEMM,
        (
            {"dm": 1, "dk": 16, "dn": 1, "a_words": 32, "b_words": 32},
            {"dm": 3, "dk": 8, "dn": 5},
            {"dm": 5, "dk": 32, "dn": 2, "a_words": 8, "b_words": 256, "size_bits": 16},
            {"dm": 3, "dk": 64, "dn": 3, "b_words": 128},
            {"dm": 1, "dk": 128, "dn": 2, "a_words": 256},
            {"dm": 11, "dk": 16, "dn": 3, "size_bits": 26},
        ),
        "generic",
    ),
    Sweep(
        LUT_GEMM,
        (
            {"dm": 1, "dk": 16, "dn": 1, "a_words": 16, "b_words": 64},
            {"dm": 7, "dk": 8, "dn": 3, "a_words": 64},
            {"dm": 2, "dk": 64, "dn": 5, "b_words": 2048},
            {"dm": 10, "dk": 32, "dn": 2, "a_words": 8, "size_bits": 14},
            {"dm": 3, "dk": 128, "dn": 1, "a_words": 1024, "size_bits": 30},
            {"dm": 1, "dk": 256, "dn": 3, "a_words": 32, "b_words": 32},
        ),
        "ultrascale+",
    ),
    Sweep(
        LUT_GEMM,
        (
            {"dm": 1, "dk": 8, "dn": 3},
            {"dm": 5, "dk": 16, "dn": 5, "a_words": 128, "b_words": 32},
            {"dm": 3, "dk": 32, "dn": 2, "size_bits": 28},
            {"dm": 6, "dk": 64, "dn": 1, "b_words": 1024},
            {"dm": 1, "dk": 128, "dn": 3, "a_words": 16, "size_bits": 16},
        ),
        "xilinx7",
        "xilinx7",
    ),
    Sweep(
        SPARSE_CHAIN,
        (
            {"rows": 2, "depth": 256, "sum_words": 32},
            {"rows": 4, "depth": 64, "narrow": False},
            {"rows": 4, "ways": 2, "narrow": False, "size_bits": 12},
            {"rows": 8, "depth": 128, "narrow": False, "sum_words": 512},
            {"rows": 2, "depth": 2048, "size_bits": 28, "sum_words": 2048},
        ),
        "generic",
    ),
    Sweep(
        SPARSE_CHAIN,
        (
            {"rows": 2, "depth": 64, "sum_words": 256},
            {"rows": 6, "depth": 256, "narrow": False, "size_bits": 14},
            {"rows": 6, "sum_words": 128},
            {"rows": 1, **W4},
            {"rows": 5, "depth": 1024, **W2, "size_bits": 28},
            {"rows": 4, "ways": 2, "depth": 64, "size_bits": 16},
            {"rows": 4, "ways": 4, "depth": 128, **W4},
        ),
        "ultrascale+",
    ),
    Sweep(
        SOFTMAX,
        (
            {"lanes": 1, "longest": 300, "in_bits": 11, "in_fraction": 6},
            {"lanes": 3, "longest": 50, "out_bits": 16, "reciprocal": "divider", "kernel": "quad8"},
            {"lanes": 2, "longest": 700, "multiplier_bits": 18, "normalise": "after_pv"},
            {"variant": "online", "lanes": 1, "longest": 2000, "in_bits": 14, "kernel": "linear16"},
            {"variant": "twopass_ext", "lanes": 5, "longest": 150, "in_bits": 13, "fe": 22},
            {"variant": "unified_max", "lanes": 2, "longest": 90, "span": 7, "normalise": "after_pv"},
            {"variant": "table_exact", "lanes": 2, "longest": 250, "in_bits": 7, "in_fraction": 3},
            {"variant": "ibert", "lanes": 3, "longest": 600, "in_bits": 10, "in_fraction": 5},
            {"variant": "softermax", "lanes": 5, "longest": 128, **BYTES},
            {"variant": "sole", "lanes": 1, "longest": 3000, **BYTES},
            {"variant": "ita", "lanes": 5, "longest": 64, "in_bits": 8, "in_fraction": 5, "scale": ITA_SCALE},
        ),
    ),
    Sweep(
        NORM,
        (
            {"lanes": 1, "longest": 33},
            {"form": "rms", "lanes": 2, "longest": 300, "in_bits": 16, "terms": 0},
            {"lanes": 3, "longest": 1000, "out_bits": 16, "gamma_fraction": 5, "multiplier_bits": 25},
            {"form": "rms", "lanes": 7, "longest": 128, "terms": 2},
            {"lanes": 2, "longest": 500, "in_bits": 16, "out_bits": 16, "terms": 2, "multiplier_bits": 18},
            {"form": "rms", "lanes": 4, "longest": 48, "multiplier_bits": 18},
            {"lanes": 5, "longest": 2500, "terms": 0},
        ),
    ),
    Sweep(
        ACTIVATION,
        (
            {"function": "silu", "lanes": 3, "in_bits": 6, "in_fraction": 3, "out_fraction": 3},
            {"variant": "delta_octave", "lanes": 2, **Q3_8},
            {"function": "silu", "variant": "delta_quad", "lanes": 3, **Q3_8},
            {"function": "tanh", "variant": "octave", "lanes": 1, **Q3_8},
            {"function": "sigmoid", "variant": "quad", "lanes": 5, **Q3_8},
            {"variant": "sigmoid1702", "lanes": 2, **Q3_8},
            {"variant": "ibert", "lanes": 1, **Q3_8},
            {
                "function": "exp", "variant": "uniform", "lanes": 2, "in_bits": 14, "in_fraction": 10,
                "out_bits": 16, "out_fraction": 15, "scale": "-1", **UNSIGNED,
            },
            {
                "function": "rsqrt", "variant": "quad", "lanes": 1, "in_bits": 12, "in_fraction": 6, "out_bits": 14,
                "out_fraction": 9, "saturate": True, **UNSIGNED,
            },
        ),
    ),
)  # fmt: skip


def measured(sweep: Sweep, settings: Mapping[str, Any]) -> dict[str, float]:
    """What Yosys needs, by kind; two block RAMs of 18 Kbit are one of 36."""
    block, devices = Block(sweep.core, sweep.config(settings)), family(sweep.family)
    found = cells(block.sources[0], block.emission.top, f"{devices.synthesis} {devices.part}".strip())
    counts = devices.count(found)
    return {kind: ceil(counts[kind]) for kind in KINDS}


def estimated(sweep: Sweep, settings: Mapping[str, Any]) -> dict[str, float]:
    """What the core says, by kind."""
    guess: Resources = sweep.core.resources(sweep.config(settings))
    return {"LUT": guess.lut, "FF": guess.ff, "DSP": guess.dsp, "BRAM": guess.bram36}


def error(guess: float, found: float) -> float:
    """Signed error in percent; of one cell where there is none."""
    return 100 * (guess - found) / max(found, 1)


def label(settings: Mapping[str, Any]) -> str:
    """A configuration in words."""
    return " ".join(
        f"{name}={str(value)[:8]}" if isinstance(value, str) else f"{name}={value}"
        for name, value in settings.items()
    )


def measure(console: Console) -> list[Figure]:
    figures, rows = [], []
    for sweep in SWEEPS:
        pairs = [(estimated(sweep, one), measured(sweep, one)) for one in sweep.settings]
        for kind in KINDS:
            errors = [error(guess[kind], found[kind]) for guess, found in pairs]
            sizes = [abs(value) for value in errors]
            median, at = statistics.median(sizes), max(range(len(sizes)), key=sizes.__getitem__)
            where = "" if not sizes[at] else f"{label(sweep.settings[at])} ({errors[at]:+.1f} %)"
            rows.append((sweep.name, kind, len(pairs), f"{median:.1f}", f"{sizes[at]:.1f}", where))
            for name, value, bound in (("median", median, MEDIAN), ("worst", sizes[at], WORST)):
                figures.append(
                    Figure(
                        name=f"resource_model.{sweep.name}.{kind.lower()}_error_{name}",
                        value=round(value, 2), unit="%", command=COMMAND, goal=Goal("<=", bound),
                    )
                )  # fmt: skip
    heads = ("core", "resource", "configurations", "median %", "worst %", "the worst one")
    console.print(table("Estimate beside Yosys, size of the error", heads, rows))
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
