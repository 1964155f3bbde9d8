"""The resource estimate of the dense GEMM core beside Yosys, on configurations that it was not fitted to.

With the environment variable HWGEN_FIT=1 the configurations of the fit are measured too (a quarter of an hour
the first time), and the fit is made again.
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
from hwgen.core import Resources
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig
from hwgen.cores.dsp_gemm.resources import CONTROL_LUT, control_units
from hwgen.synthesis import Cells, synthesise
from hwgen.verify.block import Block

COMMAND = "python -m benchmarks.dsp_gemm_resources"


def _config(target: str, rows: int, cols: int, **more: Any) -> DspGemmConfig:
    return DspGemmConfig(target=target, rows=rows, cols=cols, **more)


def _ultra(rows: int, cols: int, **more: Any) -> DspGemmConfig:
    return _config("ultrascale+", rows, cols, **more)


def _generic(rows: int, cols: int, **more: Any) -> DspGemmConfig:
    return _config("generic", rows, cols, **more)


INT4 = {"act_bits": 4, "weight_bits": 4}

FIT = {
    "ultrascale+": (
        *(_ultra(r, c) for r, c in ((1, 1), (4, 4), (8, 8), (16, 16), (32, 16), (64, 8), (8, 40))),
        *(_ultra(r, c, **INT4) for r, c in ((16, 16), (32, 16), (8, 32), (64, 4))),
        *(_ultra(8, 8, tile_steps=depth) for depth in (16, 64, 1024, 4096)),
        *(_ultra(2, 2, tile_steps=depth) for depth in (4, 128, 2048)),
        *(_ultra(8, 8, size_bits=bits) for bits in (12, 32)),
        _ultra(24, 10, act_signed=False),
        _ultra(16, 16, weight_bits=4),
        _ultra(16, 8, packing="none"),
        _ultra(8, 8, act_bits=3, weight_bits=3, act_signed=False, weight_signed=False),
        _ultra(16, 4, tile_steps=32, size_bits=10),
        *(_ultra(r, c) for r, c in ((3, 5), (12, 12), (48, 8), (32, 32))),
        *(_ultra(r, c, **INT4) for r, c in ((24, 24), (40, 8))),
        *(_ultra(2, 2, tile_steps=depth) for depth in (32, 512)),
        _ultra(20, 20, act_signed=False),
        _ultra(10, 6, act_bits=5, weight_bits=5),
        _ultra(16, 16, tile_steps=1024),
        _ultra(12, 16, **INT4, act_signed=False, size_bits=16),
        _ultra(6, 7, packing="none"),
        _ultra(4, 6, **INT4, tile_steps=8),
        _ultra(4, 4, tile_steps=512, size_bits=24),
    ),
    "generic": (
        *(_generic(r, c) for r, c in ((1, 1), (2, 2), (4, 4), (8, 8), (4, 16), (16, 4), (40, 2))),
        *(
            _generic(4, 4, act_bits=a, weight_bits=w)
            for a, w in ((2, 2), (4, 8), (4, 3), (5, 3), (6, 2), (2, 3), (2, 4), (5, 2), (3, 3))
        ),
        _generic(8, 4, **INT4),
        _generic(4, 4, tile_steps=1024),
        _generic(4, 4, tile_steps=16),
        _generic(6, 10, act_signed=False, weight_signed=False),
        *(_generic(r, c) for r, c in ((5, 5), (8, 12), (16, 8))),
        _generic(4, 8, **INT4, tile_steps=64),
        _generic(3, 10, act_bits=6, weight_bits=3),
        _generic(8, 8, act_bits=3, weight_bits=3),
        _generic(3, 3, act_bits=5, weight_bits=4, size_bits=16),
    ),
}
"""What the coefficients were fitted to."""

OTHERS = {
    "ultrascale+": (
        *(_ultra(r, c) for r, c in ((16, 24), (28, 18))),
        *(_ultra(r, c, **INT4) for r, c in ((10, 20), (18, 6))),
        _ultra(11, 13, act_bits=6, weight_bits=7, weight_signed=False),
        _ultra(20, 12, **INT4, tile_steps=128),
        _ultra(36, 6, tile_steps=2048),
        _ultra(7, 9, size_bits=28),
        _ultra(14, 10, act_bits=3, weight_bits=4),
        _ultra(5, 3, packing="none", tile_steps=32),
        _ultra(40, 10, tile_steps=512),
        _ultra(8, 36, act_bits=2, weight_bits=4),
    ),
    "generic": (
        *(_generic(r, c) for r, c in ((6, 7), (20, 4))),
        _generic(12, 6, tile_steps=128),
        _generic(7, 5, act_bits=7, act_signed=False),
        _generic(9, 9, act_bits=3, weight_bits=5),
    ),
}
"""What the estimate is judged by: neither coefficients nor formulas were chosen with these in sight."""


def measured(config: DspGemmConfig) -> Cells:
    """Cells of a configuration's Verilog."""
    block = Block(CORE, config)
    return synthesise(block.sources[0], block.emission.top)


def _name(config: DspGemmConfig) -> str:
    default = DspGemmConfig().to_dict()
    more = {
        k: v for k, v in config.to_dict().items() if v != default[k] and k not in ("rows", "cols", "target")
    }
    return " ".join([f"{config.rows} x {config.cols}", *(f"{k}={v}" for k, v in more.items())])


def _compare(
    console: Console, title: str, configs: Sequence[DspGemmConfig]
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
    if os.environ.get("HWGEN_FIT"):
        for target, configs in FIT.items():
            _compare(console, f"{target}, fitted", configs)
        _fit(console, [config for configs in FIT.values() for config in configs])
    figures = []
    for target, configs in OTHERS.items():
        errors, exact = _compare(console, f"{target}, not fitted", configs)
        for kind, found in errors.items():
            sizes = [abs(error) for error in found]
            for name, value, bound in (("median", statistics.median(sizes), 5), ("worst", max(sizes), 15)):
                figures.append(
                    Figure(
                        name=f"dsp_gemm_resources.{target}.{kind}_error_{name}",
                        value=round(value, 2),
                        unit="%",
                        command=COMMAND,
                        goal=Goal("<=", bound),
                    )
                )
        figures.append(
            Figure(
                name=f"dsp_gemm_resources.{target}.dsp_and_bram_exact",
                value=exact,
                unit=f"of {len(configs)}",
                command=COMMAND,
                goal=Goal("==", len(configs)),
            )
        )
    return figures


def _fit(console: Console, configs: Sequence[DspGemmConfig]) -> None:
    """Least squares for the control's LUTs on what the counted parts leave."""
    units = np.array([list(control_units(config).values()) for config in configs], float)
    used = np.array(list(CONTROL_LUT.values()))
    guesses: list[Resources] = [CORE.resources(config) for config in configs]
    left = np.array([measured(c).lut - g.lut for c, g in zip(configs, guesses, strict=True)]) + units @ used
    best = np.linalg.lstsq(units, left, rcond=None)[0]
    fitted = [round(float(value), 2) for value in best]
    rows = [(name, used, new) for (name, used), new in zip(CONTROL_LUT.items(), fitted, strict=True)]
    console.print(table("LUTs of the control per unit", ("unit", "in use", "fitted now"), rows))


if __name__ == "__main__":
    main(measure, __doc__)
