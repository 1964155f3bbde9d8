"""The resource estimate of softmax beside Yosys, on configurations that it was not fitted to.

With the environment variable HWGEN_FIT=1 the configurations of its fit are measured too (half an hour the first
time), and the fit is made again.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from rich.console import Console
from scipy.optimize import nnls

from benchmarks.common import Figure, Goal, main, table
from benchmarks.softmax import cells
from hwgen.cores.softmax import CORE, SoftmaxConfig
from hwgen.cores.softmax.config import ITA_SCALE, KERNELS, VARIANTS
from hwgen.cores.softmax.resources import FITTED, units
from hwgen.errors import BadInput

COMMAND = "python -m benchmarks.softmax_resources"
HELD, FIT = 9, 54
_FORMATS: dict[str, dict[str, Any]] = {
    "table_exact": {"in_bits": 8, "in_fraction": 3},
    "softermax": {"in_bits": 8, "in_fraction": 2},
    "sole": {"in_bits": 8, "in_fraction": 3},
    "ita": {"in_bits": 8, "in_fraction": 5, "scale": ITA_SCALE},
}


def configs(count: int, seed: int) -> list[SoftmaxConfig]:
    """Random configurations, variants in turn."""
    rng = np.random.default_rng(seed)
    found: list[SoftmaxConfig] = []
    while len(found) < count:
        variant = VARIANTS[len(found) % len(VARIANTS)]
        settings: dict[str, Any] = {
            "lanes": int(rng.choice([1, 1, 2, 3, 4])), "longest": int(rng.choice([16, 100, 400, 1024, 4096])),
            **_FORMATS.get(variant, {}),
        }  # fmt: skip
        if variant == "ibert":
            settings |= {
                "out_bits": int(rng.choice([8, 16])),
                "in_bits": int(rng.choice([8, 12, 16])),
                "in_fraction": 5,
            }
        elif variant not in _FORMATS:
            settings |= {
                "out_bits": int(rng.choice([8, 16])), "in_bits": int(rng.choice([8, 12, 16, 20])),
                "in_fraction": int(rng.integers(3, 9)), "kernel": str(rng.choice(["auto", *KERNELS])),
                "normalise": str(rng.choice(["before_pv", "after_pv"])),
                "reciprocal": str(rng.choice(["newton", "newton", "divider"])),
            }  # fmt: skip
        try:
            found.append(SoftmaxConfig(variant=variant, **settings))
        except BadInput:
            continue
    return found


def measure(console: Console) -> list[Figure]:
    if os.environ.get("HWGEN_FIT"):
        _fit(console, configs(FIT, 1))
    rows, errors = [], {"lut": [0.0], "ff": [0.0]}
    exact = {"dsp": 0, "bram36": 0}
    held = configs(HELD, 2)
    for kind in errors:
        errors[kind].clear()
    for config in held:
        found, guess = cells(config), CORE.resources(config)
        for kind, some in errors.items():
            some.append(abs(100 * (getattr(guess, kind) / getattr(found, kind) - 1)))
        exact["dsp"] += guess.dsp == found.dsp
        exact["bram36"] += guess.bram36 == ceil(found.bram36)
        name = (
            f"{config.variant}, {config.lanes} lanes, {config.longest}, {config.in_bits} to {config.out_bits}"
        )
        name += f", {config.exponential}, {config.reciprocal}, {config.normalise}"
        pairs = [f"{getattr(guess, k):.0f} / {getattr(found, k):.0f}" for k in ("lut", "ff", "dsp")]
        rows.append((name, *pairs, f"{guess.bram36} / {found.bram36}"))
    console.print(table("Estimate / Yosys", ("configuration", "LUT", "FF", "DSP", "BRAM36"), rows))
    figures = []
    for kind, some in errors.items():
        for name, value, bound in (("median", statistics.median(some), 6), ("worst", max(some), 15)):
            figures.append(
                Figure(
                    name=f"softmax.estimate.{kind}_error_{name}", value=round(value, 2), unit="%", command=COMMAND,
                    goal=Goal("<=", bound),
                )
            )  # fmt: skip
    return figures + [
        Figure(name=f"softmax.estimate.{kind}_exact", value=n, unit=f"of {HELD}", command=COMMAND)
        for kind, n in exact.items()
    ]


def _fit(console: Console, some: Sequence[SoftmaxConfig]) -> None:
    """Least squares of relative errors without negative shares, for what the memories leave."""
    found = [cells(config) for config in some]
    names = list(dict.fromkeys(name for config in some for name in units(config)))
    for kind in ("lut", "ff"):
        matrix = np.array([[units(config).get(name, 0.0) for name in names] for config in some], float)
        real = np.array([getattr(one, kind) for one in found], float)
        used = FITTED[kind]
        guesses = np.array([getattr(CORE.resources(config), kind) for config in some], float)
        fixed = guesses - matrix @ np.array([used.get(name, 0.0) for name in names])
        best, _ = nnls(matrix / real[:, None], (real - fixed) / real)
        console.print(f'    "{kind}": {{', highlight=False)
        for name, share in zip(names, best, strict=True):
            if share:
                console.print(f'        "{name}": {share:.4g},', highlight=False)
        console.print("    },", highlight=False)


if __name__ == "__main__":
    main(measure, __doc__)
