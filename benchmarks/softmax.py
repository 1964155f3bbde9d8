"""Softmax: errors on real and adversarial rows beside the bound, cells per lane, latency, late normalisation."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.cores.softmax import CORE, SoftmaxConfig, quantise
from hwgen.cores.softmax.accuracy import accuracy, adversarial_rows, approximate
from hwgen.cores.softmax.bound import error_bound
from hwgen.cores.softmax.config import ITA_SCALE
from hwgen.synthesis import Cells, synthesise
from hwgen.verify.block import Block
from hwgen.workloads.minilm import load_sentences
from hwgen.workloads.minilm_attention import join_sentences, load_attention, mean_cosine_distance

COMMAND = "python -m benchmarks.softmax"
LONGEST = 1024
FEW, MORE = 1, 3  # lanes, whose difference is what a lane costs

_BYTES: dict[str, Any] = {"in_bits": 8, "in_fraction": 3}
_REACH: dict[str, Any] = {"phi": 16, "span": 16}

VARIANTS: dict[str, SoftmaxConfig] = {
    **{
        f"{variant} u0.{bits}": SoftmaxConfig(
            variant=variant, out_bits=bits, **(_REACH if variant == "unified_max" else {})
        )
        for bits in (8, 16)
        for variant in ("online_pow2", "online", "twopass_ext", "unified_max")
    },
    "online_pow2 u0.8, INT8 in": SoftmaxConfig(**_BYTES),
    "online_pow2 u0.8, divider": SoftmaxConfig(reciprocal="divider"),
    "online_pow2 u0.8, after PV": SoftmaxConfig(normalise="after_pv"),
    "online_pow2 u0.16, after PV": SoftmaxConfig(normalise="after_pv", out_bits=16),
    "table_exact u0.8": SoftmaxConfig(variant="table_exact", **_BYTES),
    "ibert u0.8": SoftmaxConfig(variant="ibert"),
    "softermax u0.8": SoftmaxConfig(variant="softermax", **_BYTES),
    "sole u0.8": SoftmaxConfig(variant="sole", **_BYTES),
    "ita u0.8": SoftmaxConfig(variant="ita", in_bits=8, in_fraction=5, scale=ITA_SCALE),
}
"""What is compared; each is built with a few lanes to see what one costs."""

GOALS = {8: (0.51, 1.0), 16: (0.9, 1.2)}
"""By bits of the result: on real logits, and on every row of 1,024 elements."""

IBERT = "I-BERT's softmax with results of 8 bits, re-implemented as a variant of this core, on the same rows"
EDGE_MOE = (
    "Edge-MoE's softmax in ap_fixed<32,10>, re-implemented for the project's design: 2.9e-5 on ViT logits"
)
EARLY = "the same unit with probabilities of 8 bits, normalised before the product, on the same rows"
_EDGE_MOE_ERROR = 2.9e-5


@cache
def real_rows() -> tuple[npt.NDArray[np.float32], ...]:
    """Logits of MiniLM, all layers and heads, on three sentences."""
    return tuple(p.logits.reshape(-1, p.logits.shape[-1]) for p in load_attention())


@cache
def cells(config: SoftmaxConfig) -> Cells:
    """The whole block, synthesised."""
    block = Block(CORE, config)
    return synthesise(block.sources[0], block.emission.top)


def lane_cells(config: SoftmaxConfig) -> dict[str, float]:
    """What one more lane costs, from blocks with few lanes."""
    few, more = (cells(replace(config, lanes=lanes, longest=LONGEST)) for lanes in (FEW, MORE))
    return {kind: (getattr(more, kind) - getattr(few, kind)) / (MORE - FEW) for kind in ("lut", "ff", "dsp")}


def real_error(config: SoftmaxConfig) -> float:
    """Largest error on MiniLM's logits, in units of the last bit."""
    return max(accuracy(config, quantise(config, rows, centre=True)).ulp for rows in real_rows())


def measure(console: Console) -> list[Figure]:
    return [*_errors(console), *_late(console), *_costs(console)]


def _key(name: str) -> str:
    return f"softmax.{name.replace('u0.', 'u').replace(', ', '_').replace(' ', '_')}"


def _errors(console: Console) -> list[Figure]:
    figures, rows = [], []
    peers = {8: (real_error(VARIANTS["ibert u0.8"]), IBERT), 16: (_EDGE_MOE_ERROR * (1 << 16), EDGE_MOE)}
    for name, config in VARIANTS.items():
        if not config.divides:
            continue
        bound, real = error_bound(config, LONGEST), real_error(config)
        hard = {n: accuracy(config, adversarial_rows(config, n)).ulp for n in (64, LONGEST)}
        columns = [f"{v:.4g}" for v in (real, *hard.values())]
        rows.append((name, *columns, f"{bound.ulp:.4g}" if bound else ""))
        if bound is None:
            continue
        goal, every_row = GOALS[config.out_bits]
        peer, source = peers[config.out_bits]
        figures.append(
            Figure(
                name=f"{_key(name)}.real_logits", value=round(real, 4), unit="ulp", command=COMMAND,
                goal=Goal("<=", goal), peer=round(peer, 4), peer_source=source,
            )
        )  # fmt: skip
        figures += [
            Figure(
                name=f"{_key(name)}.{kind}_{LONGEST}", value=round(value, 4), unit="ulp", command=COMMAND,
                goal=Goal("<=", every_row),
            )
            for kind, value in (("adversarial", hard[LONGEST]), ("bound", bound.ulp))
        ]  # fmt: skip
    heads = ("variant", "MiniLM", "adversarial, N = 64", "adversarial, N = 1024", "bound, N = 1024")
    console.print(
        table("Largest error of a result in units of its last bit, double precision as truth", heads, rows)
    )
    return figures


def _late(console: Console) -> list[Figure]:
    """Attention's output with late normalisation, and with probabilities of 8 bits."""
    texts = {31: load_attention(), 511: load_attention(sentences=[join_sentences(load_sentences(), 7)])}
    figures, rows = [], []
    for variant in ("online", "online_pow2"):
        for bits, goal in ((16, 1e-6), (8, 2.5e-4)):
            early, late = (
                SoftmaxConfig(variant=variant, out_bits=bits, normalise=when)
                for when in ("before_pv", "after_pv")
            )
            told = {
                (n, c.normalise): mean_cosine_distance(problems, partial(approximate, c))
                for n, problems in texts.items()
                for c in (early, late)
            }
            rows.append((f"{variant}, {bits} bits", *(f"{v:.2e}" for v in told.values())))
            for n in texts:
                # A power of two above the largest exponential leaves up to one bit of eight unused.
                promised = variant == "online" or bits == 16 or n > 31
                figures.append(
                    Figure(
                        name=f"softmax.{variant}.after_pv.{bits}_bits.{n}_tokens.one_minus_cosine",
                        value=told[n, "after_pv"], unit="", command=COMMAND,
                        goal=Goal("<=", goal) if promised else None,
                        peer=told[n, "before_pv"] if bits == 8 else None,
                        peer_source=EARLY if bits == 8 else None,
                    )
                )  # fmt: skip
    heads = (
        "exponentials",
        *(f"{n} tokens, {when}" for n in texts for when in ("normalised before", "after")),
    )
    console.print(
        table("Attention of MiniLM, all heads and layers: 1 - cosine of the output, mean", heads, rows)
    )
    return figures


def _costs(console: Console) -> list[Figure]:
    rows, figures = [], []
    for name, config in VARIANTS.items():
        whole, lane = cells(replace(config, lanes=FEW, longest=LONGEST)), lane_cells(config)
        latency = CORE.characteristics(replace(config, lanes=FEW, longest=LONGEST))["row_latency_cycles"]
        fixed = (whole.lut, whole.ff, whole.dsp, whole.bram36)
        rows.append((name, *fixed, *(lane[kind] for kind in ("lut", "ff", "dsp")), latency))
        figures.append(
            Figure(name=f"{_key(name)}.lut_per_lane", value=lane["lut"], unit="LUT", command=COMMAND)
        )
    heads = ("variant", "LUT", "FF", "DSP", "BRAM36", "LUT per further lane", "FF", "DSP", "latency")
    console.print(
        table(f"One lane, N <= {LONGEST}, whole block; Yosys 0.70 synth_xilinx -family xcup", heads, rows)
    )
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
