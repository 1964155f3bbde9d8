"""LayerNorm and RMSNorm: errors of normalised elements on real and on adversarial rows, cells, latency.

With the environment variable HWGEN_FIT=1 the configurations of the resource estimate's fit are measured too (ten
minutes the first time), and the fit is made again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import ceil, isqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.cores.norm import CORE, NormConfig
from hwgen.cores.norm.golden import normalise
from hwgen.cores.norm.resources import FITTED, units
from hwgen.cores.norm.rsqrt import error_bound
from hwgen.numerics import IntArray
from hwgen.synthesis import Cells, synthesise
from hwgen.verify.block import Block
from hwgen.workloads.minilm_norm import NormProblem, load_norms

COMMAND = "python -m benchmarks.norm"
EDGE_MOE = "Edge-MoE's LayerNorm in Q10.22, re-implemented from its source's formulas, on the same rows"
GOALS = {1: 1.5e-4, 2: 3e-6}

FloatArray = npt.NDArray[np.float64]

_CHANNELS = 384
_NORMALISED = 2.0**-NormConfig.NORMALISED_FRACTION

COSTS: dict[str, dict[str, Any]] = {
    "int8, 8 lanes": {"longest": 384},
    "int8, 8 lanes, 2 terms": {"longest": 384, "terms": 2},
    "int8, 1 lane": {"longest": 384, "lanes": 1},
    "int8, 1 lane, RMS": {"longest": 384, "lanes": 1, "form": "rms"},
    "int16, 8 lanes": {"longest": 384, "in_bits": 16, "out_bits": 16, "gamma_fraction": 3},
    "int16, 8 lanes, 2 terms": {
        "longest": 384, "in_bits": 16, "out_bits": 16, "gamma_fraction": 3, "terms": 2,
    },
}  # fmt: skip

FIT: tuple[dict[str, Any], ...] = (
    {},
    {"lanes": 1, "longest": 16},
    {"lanes": 2, "longest": 384, "terms": 2},
    {"lanes": 4, "longest": 768, "in_bits": 16, "out_bits": 16, "gamma_fraction": 3},
    {"form": "rms", "lanes": 3, "longest": 100, "terms": 0},
    {"form": "rms", "lanes": 16, "longest": 4096, "terms": 2},
    {"lanes": 5, "longest": 4096, "in_bits": 16, "terms": 2},
    {"lanes": 8, "longest": 512, "multiplier_bits": 18},
    {"form": "rms", "lanes": 1, "longest": 64, "in_bits": 16, "out_bits": 16, "gamma_fraction": 0,
     "multiplier_bits": 18},
    {"lanes": 32, "longest": 1024, "terms": 0, "multiplier_bits": 25},
    {"lanes": 6, "longest": 300, "out_bits": 16, "gamma_fraction": 17},
    {"form": "rms", "lanes": 12, "longest": 2048, "in_bits": 16, "terms": 0, "multiplier_bits": 25},
)  # fmt: skip
"""What the coefficients of the resource estimate were fitted to."""


def elements(problem: NormProblem, bits: int) -> tuple[IntArray, float]:
    """The integers of a LayerNorm's input, and what one stands for."""
    scale = float(np.abs(problem.x).max()) / ((1 << (bits - 1)) - 1)
    return np.rint(problem.x / scale).astype(np.int64), scale


def _adversarial(config: NormConfig, rng: np.random.Generator) -> IntArray:
    """One outlier, one element that differs by one, alternating ends, constants, noise."""
    form, n = config.element, config.longest
    level = np.repeat(rng.integers(form.low + 1, form.high, (200, 1)), n, 1)
    near, far = level.copy(), level.copy()
    near[:, 0] += rng.choice([-1, 1], 200)
    far[:, 0] = rng.choice([form.low, form.high], 200)
    ends = np.resize(np.array([form.low, form.high]), (1, n))
    return np.concatenate([near, far, ends, level[:20], rng.integers(form.low, form.high, (50, n))])


def _truth(config: NormConfig, x: IntArray, eps: int) -> FloatArray:
    n, s1, s2 = x.shape[1], x.sum(1, keepdims=True), np.square(x).sum(1, keepdims=True)
    if config.form == "rms":
        s1 = np.zeros_like(s1)
    variance = n * s2 - s1 * s1
    spread = np.sqrt(variance + n * n * (eps * 2.0**-config.eps_fraction))
    return np.where(variance > 0, (n * x - s1) / np.maximum(spread, 1e-300), 0.0)


def _error(config: NormConfig, x: IntArray, eps: int) -> float:
    return float(errors(config, x, eps).max())


def errors(config: NormConfig, x: IntArray, eps: int) -> FloatArray:
    """Distance of every normalised element from the exact one."""
    y = normalise(config, x, np.ones(x.shape, np.bool_), eps) * _NORMALISED
    error: FloatArray = np.abs(y - _truth(config, x, eps))
    return error


def real_errors(config: NormConfig, problem: NormProblem) -> FloatArray:
    """The same on a LayerNorm of MiniLM."""
    x, scale = elements(problem, config.in_bits)
    return errors(config, x, round(problem.eps / scale**2 * 2**config.eps_fraction))


def adversarial_error(config: NormConfig) -> float:
    """The largest of rows made to be hard, with and without eps."""
    rng = np.random.default_rng(1)
    return max(_error(config, _adversarial(config, rng), eps) for eps in (0, 1000))


def _ibert(x: IntArray) -> FloatArray:
    """I-BERT's IntLayerNorm (ICML 2021; its reference implementation's integer steps)."""
    centred = x - np.rint(x.mean(1, keepdims=True)).astype(np.int64)
    deviation = np.array([[isqrt(int(v))] for v in np.square(centred).sum(1)])
    factor = (1 << 31) // np.maximum(deviation, 1)
    return np.floor(centred * factor / 2) * np.sqrt(x.shape[1]) / 2.0**30


_EDGE_MOE_EPS = 1e-6


def _edge_moe(x: FloatArray) -> FloatArray:
    """Edge-MoE's LayerNorm (ICCAD 2023, its published source): truncated Q10.22 at every step."""

    def cut(value: FloatArray) -> FloatArray:
        return np.floor(value * 2.0**22) * 2.0**-22

    x = cut(x)
    share = cut(x / x.shape[1])
    mean, square = share.sum(1, keepdims=True), cut(x * share).sum(1, keepdims=True)
    deviation = cut(
        np.sqrt(np.maximum(cut(square - cut(mean * mean)) + cut(np.array(_EDGE_MOE_EPS)), 2.0**-22))
    )
    return cut((x - mean) * cut(1 / deviation))


def _errors(console: Console) -> list[Figure]:
    problems = load_norms()
    figures, rows = [], []
    peers = _peers(problems)
    for form in ("layer", "rms"):
        for in_bits in (8, 16):
            for terms in range(3):
                config = NormConfig(form=form, in_bits=in_bits, terms=terms, longest=_CHANNELS)
                longest = NormConfig(form=form, in_bits=in_bits, terms=terms, longest=4096)
                real = max(float(real_errors(config, problem).max()) for problem in problems)
                hard = [adversarial_error(c) for c in (config, longest)]
                bounds = [error_bound(c) for c in (config, longest)]
                columns = [f"{v:.2e}" for v in (real, *hard, *bounds)]
                rows.append((f"{form}, int{in_bits}, {terms} terms", *columns))
                if terms and form == "layer" and in_bits == 8:
                    figures += [
                        Figure(
                            name=f"norm.layer.int8.{terms}_terms.max_error.{name}", value=value, unit="1",
                            command=COMMAND, goal=Goal("<=", GOALS[terms]), peer=peer, peer_source=source,
                        )
                        for name, value, peer, source in (
                            ("minilm", real, peers["Edge-MoE, Q10.22"], EDGE_MOE),
                            ("adversarial_4096", hard[1], None, None),
                            ("bound_4096", bounds[1], None, None),
                        )
                    ]  # fmt: skip
    rows += [(name, f"{error:.2e}", "", "", "", "") for name, error in peers.items()]
    heads = ("arithmetic", "MiniLM", "hard rows, N = 384", "hard rows, N = 4096", "bound 384", "bound 4096")
    console.print(table("Largest error of a normalised element, float64 as truth", heads, rows))
    console.print(
        "I-BERT and Edge-MoE are re-implemented from their formulas. MiniLM's rows have one large element each. On the "
        "milder LayerNorms of DINOv2 ViT-S/14 such re-implementations were measured at 0.19 and 0.136.",
        highlight=False,
    )
    return figures


def _peers(problems: Sequence[NormProblem]) -> dict[str, float]:
    """Errors of other arithmetic on MiniLM's rows, beside the exact result of what it reads."""
    found = {"I-BERT, int8": 0.0, "Edge-MoE, Q10.22": 0.0}
    for problem in problems:
        x, real = elements(problem, 8)[0], problem.x.astype(np.float64)
        pairs = (_ibert(x), _exact(x, 0.0)), (_edge_moe(real), _exact(real, _EDGE_MOE_EPS))
        for name, (theirs, exact) in zip(found, pairs, strict=True):
            found[name] = max(found[name], float(np.abs(theirs - exact).max()))
    return found


def _exact(x: npt.NDArray[Any], eps: float) -> FloatArray:
    centred = x - x.mean(1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(1, keepdims=True) + eps)


def measured(config: NormConfig) -> Cells:
    """The whole block, synthesised."""
    block = Block(CORE, config)
    return synthesise(block.sources[0], block.emission.top)


def _costs(console: Console) -> list[Figure]:
    """Cells beside the estimate; none of these configurations is in its fit."""
    figures, rows = [], []
    worst = {"lut": 0.0, "ff": 0.0}
    exact = 0
    for name, settings in COSTS.items():
        config = NormConfig(**settings)
        cells, guess = measured(config), CORE.resources(config)
        exact += guess.dsp == cells.dsp and guess.bram36 == ceil(cells.bram36)
        for kind in worst:
            worst[kind] = max(worst[kind], abs(100 * (getattr(guess, kind) / getattr(cells, kind) - 1)))
        counts = (cells.lut, cells.ff, cells.dsp, cells.bram36)
        estimate = f"{guess.lut} {guess.ff} {guess.dsp} {guess.bram36}"
        rows.append((name, *counts, estimate, config.latency, config.lanes))
        key = f"norm.{name.replace(', ', '.').replace(' ', '_')}"
        figures += [
            Figure(name=f"{key}.{kind}", value=value, unit=kind.upper(), command=COMMAND)
            for kind, value in zip(("lut", "ff", "dsp"), counts, strict=False)
        ]
        figures.append(Figure(name=f"{key}.latency", value=config.latency, unit="cycles", command=COMMAND))
    heads = ("N <= 384", "LUT", "FF", "DSP", "BRAM36", "estimate", "latency", "elements per cycle")
    console.print(table("Whole core, Yosys 0.70 synth_xilinx -family xcup", heads, rows))
    figures += [
        Figure(
            name=f"norm.estimate.{kind}_error_worst", value=round(error, 2), unit="%", command=COMMAND,
            goal=Goal("<=", 15),
        )
        for kind, error in worst.items()
    ]  # fmt: skip
    figures.append(
        Figure(
            name="norm.estimate.dsp_and_bram_exact", value=exact, unit=f"of {len(COSTS)}", command=COMMAND,
            goal=Goal("==", len(COSTS)),
        )
    )  # fmt: skip
    return figures


def _fit(console: Console) -> None:
    """Least squares of relative errors, for what the memories leave."""
    configs = [NormConfig(**settings) for settings in FIT]
    cells = [measured(config) for config in configs]
    for kind, used in FITTED.items():
        matrix = np.array([[units(config)[name] for name in used] for config in configs], float)
        real = np.array([getattr(c, kind) for c in cells], float)
        guesses = np.array([getattr(CORE.resources(config), kind) for config in configs], float)
        left = real - guesses + matrix @ np.array(list(used.values()))
        best = np.linalg.lstsq(matrix / real[:, None], left / real, rcond=None)[0]
        rows = [
            (name, old, round(float(new), 3)) for (name, old), new in zip(used.items(), best, strict=True)
        ]
        console.print(table(f"{kind} per unit", ("unit", "in use", "fitted now"), rows))


def measure(console: Console) -> list[Figure]:
    if os.environ.get("HWGEN_FIT"):
        _fit(console)
    return [*_errors(console), *_costs(console)]


if __name__ == "__main__":
    main(measure, __doc__)
