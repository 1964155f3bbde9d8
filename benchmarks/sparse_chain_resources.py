"""The resource estimate of the sparse chain beside Yosys, on configurations that it was not fitted to.

With the environment variable HWGEN_FIT=1 the configurations of the fit are measured too (half an hour the first time),
and the fit is made again.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.cores.sparse_chain import CORE, SparseChainConfig
from hwgen.cores.sparse_chain.resources import FITTED, units
from hwgen.synthesis import Cells, synthesise
from hwgen.verify.block import Block

COMMAND = "python -m benchmarks.sparse_chain_resources"
W4 = {"packing": "w4x3", "narrow": False}
W2 = {"packing": "w2x4", "narrow": False}

FIT: dict[str, tuple[dict[str, Any], ...]] = {
    "ultrascale+": (
        {"rows": 2, "depth": 64, "narrow": False, "sum_words": 16},
        {"rows": 4, "depth": 128},
        {"rows": 8, "narrow": False},
        {"rows": 16, "narrow": False},
        {"rows": 8, "ways": 4, "depth": 256},
        {"rows": 16, "ways": 8, "depth": 1024},
        {"rows": 4, "ways": 2, **W4},
        {"rows": 4, "ways": 4, "depth": 256, **W2},
        {"rows": 6, "size_bits": 32, "narrow": False},
    ),
    "generic": (
        {"rows": 4},
        {"rows": 8, "ways": 4, "depth": 256},
        {"rows": 2, "depth": 128, "narrow": False, "sum_words": 64},
        {"rows": 4, "depth": 1024, "narrow": False, "size_bits": 32},
        {"rows": 12, "ways": 2, "narrow": False},
    ),
}
"""What the coefficients were fitted to."""

OTHERS: dict[str, tuple[dict[str, Any], ...]] = {
    "ultrascale+": (
        {"rows": 2, "depth": 128, "sum_words": 64},
        {"rows": 12, "ways": 2, "depth": 1024},
        {"rows": 6, "ways": 2, "depth": 256, **W4},
        {"rows": 3, "depth": 128, **W2},
    ),
    "generic": (
        {"rows": 6, "depth": 256},
        {"rows": 8, "ways": 2, "depth": 64, "size_bits": 10, "narrow": False},
        {"rows": 10, "narrow": False},
    ),
}
"""What the estimate is judged by: no coefficient was fitted to these."""


def _configs(settings: Sequence[dict[str, Any]], target: str) -> list[SparseChainConfig]:
    return [SparseChainConfig(**one, target=target) for one in settings]


def measured(config: SparseChainConfig) -> Cells:
    """Cells of a configuration's Verilog."""
    block = Block(CORE, config)
    return synthesise(block.sources[0], block.emission.top)


def _name(config: SparseChainConfig) -> str:
    default = SparseChainConfig().to_dict()
    more = {k: v for k, v in config.to_dict().items() if v != default[k] and k not in ("rows", "target")}
    return " ".join([f"rows={config.rows}", *(f"{k}={v}" for k, v in more.items())])


def _compare(
    console: Console, title: str, configs: Sequence[SparseChainConfig]
) -> tuple[dict[str, list[float]], int]:
    """Errors in percent by resource, and how many configurations have DSP blocks and block RAMs exactly."""
    errors: dict[str, list[float]] = {"lut": [], "ff": []}
    rows, exact = [], 0
    for config in configs:
        cells, guess = measured(config), CORE.resources(config)
        exact += guess.dsp == cells.dsp and guess.bram36 == ceil(cells.bram36)
        row: list[object] = [_name(config)]
        for kind, found in errors.items():
            ours, theirs = getattr(guess, kind), getattr(cells, kind)
            found.append(100 * (ours / theirs - 1))
            row += [ours, theirs, f"{found[-1]:+.1f} %"]
        rows.append((*row, guess.dsp, cells.dsp, guess.bram36, cells.bram36))
    heads = ["configuration"]
    for kind in ("LUT", "FF"):
        heads += [f"{kind} est.", f"{kind} Yosys", "error"]
    heads += ["DSP est.", "Yosys", "BRAM est.", "Yosys"]
    console.print(table(title, heads, rows))
    return errors, exact


def measure(console: Console) -> list[Figure]:
    figures = []
    for target, settings in OTHERS.items():
        if os.environ.get("HWGEN_FIT"):
            fitted = _configs(FIT[target], target)
            _compare(console, f"{target}, fitted", fitted)
            _fit(console, target, fitted)
        others = _configs(settings, target)
        errors, exact = _compare(console, f"{target}, not fitted", others)
        for kind, found in errors.items():
            sizes = [abs(error) for error in found]
            for name, value, bound in (("median", statistics.median(sizes), 5), ("worst", max(sizes), 15)):
                figures.append(
                    Figure(
                        name=f"sparse_chain_resources.{target}.{kind}_error_{name}",
                        value=round(value, 2),
                        unit="%",
                        command=COMMAND,
                        goal=Goal("<=", bound),
                    )
                )
        figures.append(
            Figure(
                name=f"sparse_chain_resources.{target}.dsp_and_bram_exact",
                value=exact,
                unit=f"of {len(others)}",
                command=COMMAND,
                goal=Goal("==", len(others)),
            )
        )
    return figures


def _fit(console: Console, target: str, configs: Sequence[SparseChainConfig]) -> None:
    """Least squares, relative errors, for what the counted parts leave."""
    for kind in ("lut", "ff"):
        used = FITTED[target, kind]
        matrix = np.array([[units(config)[name] for name in used] for config in configs], float)
        cells = np.array([getattr(measured(config), kind) for config in configs], float)
        guesses = np.array([getattr(CORE.resources(config), kind) for config in configs], float)
        left = cells - guesses + matrix @ np.array(list(used.values()))
        best = np.linalg.lstsq(matrix / cells[:, None], left / cells, rcond=None)[0]
        rows = [
            (name, old, round(float(new), 3)) for (name, old), new in zip(used.items(), best, strict=True)
        ]
        console.print(table(f"{target}: {kind} per unit", ("unit", "in use", "fitted now"), rows))


if __name__ == "__main__":
    main(measure, __doc__)
