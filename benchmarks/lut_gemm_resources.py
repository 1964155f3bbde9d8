"""The resource estimate of the bit-serial GEMM core beside Yosys, on configurations that it was not fitted to.

With the environment variable HWGEN_FIT=1 the configurations of the fit are measured too (half an hour the
first time), and the fit is made again.
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
from hwgen.cores.lut_gemm import CORE, LutGemmConfig
from hwgen.cores.lut_gemm.resources import FITTED, units
from hwgen.synthesis import Cells, synthesise
from hwgen.verify.block import Block

COMMAND = "python -m benchmarks.lut_gemm_resources"


def _config(dm: int, dk: int, dn: int, target: str, **more: Any) -> LutGemmConfig:
    return LutGemmConfig(dm=dm, dk=dk, dn=dn, target=target, **more)


FIT_SHAPES: tuple[tuple[int, int, int, dict[str, int]], ...] = (
    (1, 8, 1, {}),
    (2, 16, 3, {}),
    (4, 32, 4, {}),
    (4, 64, 4, {}),
    (8, 16, 4, {"a_words": 64, "b_words": 2048, "size_bits": 24}),
    (2, 128, 2, {}),
    (2, 256, 1, {"a_words": 2048, "b_words": 128}),
    (1, 512, 1, {"a_words": 64}),
    (9, 16, 9, {}),
    (16, 8, 2, {"a_words": 16, "b_words": 8, "size_bits": 12}),
    (2, 64, 10, {}),
    (6, 8, 6, {"a_words": 1024, "b_words": 1024, "size_bits": 32}),
    (1, 32, 16, {"b_words": 16}),
)
"""What the coefficients were fitted to, for each target."""

OTHER_SHAPES: tuple[tuple[int, int, int, dict[str, int]], ...] = (
    (5, 32, 3, {}),
    (4, 64, 6, {"b_words": 1024}),
    (2, 128, 5, {}),
    (12, 16, 4, {}),
    (1, 256, 2, {"a_words": 128, "size_bits": 28}),
    (7, 32, 7, {}),
)
"""What the estimate is judged by: no coefficient was fitted to these."""

TARGETS = ("ultrascale+", "generic")


def measured(config: LutGemmConfig) -> Cells:
    """Cells of a configuration's Verilog."""
    block = Block(CORE, config)
    return synthesise(block.sources[0], block.emission.top)


def _name(config: LutGemmConfig) -> str:
    default = LutGemmConfig().to_dict()
    more = {
        k: v for k, v in config.to_dict().items() if v != default[k] and k not in ("dm", "dk", "dn", "target")
    }
    return " ".join([f"{config.dm} x {config.dk} x {config.dn}", *(f"{k}={v}" for k, v in more.items())])


def _compare(
    console: Console, title: str, configs: Sequence[LutGemmConfig]
) -> tuple[dict[str, list[float]], int]:
    """Errors in percent by resource, and how many configurations have block RAMs exactly."""
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
    if os.environ.get("HWGEN_FIT"):
        for target in TARGETS:
            configs = [_config(m, k, n, target, **more) for m, k, n, more in FIT_SHAPES]
            _compare(console, f"{target}, fitted", configs)
            _fit(console, target, configs)
    figures = []
    for target in TARGETS:
        others = [_config(m, k, n, target, **more) for m, k, n, more in OTHER_SHAPES]
        errors, exact = _compare(console, f"{target}, not fitted", others)
        for kind, found in errors.items():
            sizes = [abs(error) for error in found]
            for name, value, bound in (("median", statistics.median(sizes), 5), ("worst", max(sizes), 15)):
                figures.append(
                    Figure(
                        name=f"lut_gemm_resources.{target}.{kind}_error_{name}",
                        value=round(value, 2),
                        unit="%",
                        command=COMMAND,
                        goal=Goal("<=", bound),
                    )
                )
        figures.append(
            Figure(
                name=f"lut_gemm_resources.{target}.dsp_and_bram_exact",
                value=exact,
                unit=f"of {len(others)}",
                command=COMMAND,
                goal=Goal("==", len(others)),
            )
        )
    return figures


def _fit(console: Console, target: str, configs: Sequence[LutGemmConfig]) -> None:
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
