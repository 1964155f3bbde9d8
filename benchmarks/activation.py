"""Activation lanes: errors over every argument, table bits, and what Yosys makes of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.cores.activation import ActivationConfig
from hwgen.cores.activation.accuracy import Accuracy, accuracy
from hwgen.cores.activation.functions import FUNCTIONS
from hwgen.cores.activation.lane import Lane
from hwgen.emit import emit
from hwgen.synthesis import Cells, synthesise

COMMAND = "python -m benchmarks.activation"
SAME_TOOL = (
    "re-implemented, combinational, Yosys 0.70 synth_xilinx -family xcup, registers and flow control excluded"
)
IBERT_GELU = f"I-BERT i-GELU, 16-bit argument, {SAME_TOOL}"
IBERT_EXP = f"I-BERT i-exp, {SAME_TOOL}"
EDGE_MOE = f"Edge-MoE's 177 x 22-bit table in Q10.22, {SAME_TOOL}"
ISPA = "ISPA, 16 pieces of erf (Electronics 2025), as published"
SOFTEX = "SoftEx's bf16 exponential, re-implemented"

Q3_12: dict[str, Any] = {"in_bits": 16, "in_fraction": 12, "out_bits": 16, "out_fraction": 12}
UNSIGNED: dict[str, Any] = {"in_signed": False, "out_signed": False}
FALLING: dict[str, Any] = {**UNSIGNED, "out_bits": 18, "out_fraction": 17, "scale": "-1"}


def _gelu(variant: str, steps: str) -> ActivationConfig:
    return ActivationConfig(variant=variant, steps=steps, **Q3_12)


def _difference(scale: str) -> ActivationConfig:
    """e^(-scale d) of an unsigned difference of two INT8 numbers."""
    return ActivationConfig(function="exp", in_bits=8, in_fraction=0, **{**FALLING, "scale": f"-{scale}"})


def _normalised(function: str, in_fraction: int, out_fraction: int) -> ActivationConfig:
    return ActivationConfig(
        function=function, variant="quad", in_bits=16, in_fraction=in_fraction, out_bits=16,
        out_fraction=out_fraction, saturate=True, **UNSIGNED,
    )  # fmt: skip


INT8 = ActivationConfig()
ONE_MULTIPLIER = _gelu("delta_octave", "77")
TWO_MULTIPLIERS = _gelu("delta_quad", "16")
EXP_INT8 = _difference("1/8")
EXP_16 = ActivationConfig(function="exp2", variant="uniform", in_bits=17, in_fraction=12, **FALLING)

LANES: dict[str, ActivationConfig] = {
    "GELU s8.4, table": INT8,
    "GELU s16.12, uniform, Edge-MoE's segments": _gelu("delta_uniform", "edge_moe"),
    "GELU s16.12, uniform 1/32 to 4": _gelu("delta_uniform", "1/32:4"),
    **{f"GELU s16.12, octave {n}": _gelu("delta_octave", n) for n in ("19", "37", "77", "109")},
    **{f"GELU s16.12, quad {n}": _gelu("delta_quad", n) for n in ("8", "16", "40")},
    **{f"GELU s16.12, {name}, for comparison": _gelu(name, "") for name in ("ibert", "sigmoid1702")},
    "GELU (tanh form) s16.12, octave 77": ActivationConfig(
        function="gelu_tanh", variant="delta_octave", **Q3_12
    ),
    "SiLU s16.12, octave": ActivationConfig(function="silu", variant="delta_octave", **Q3_12),
    "SiLU s16.12, quad": ActivationConfig(function="silu", variant="delta_quad", **Q3_12),
    "sigmoid s16.12, octave": ActivationConfig(function="sigmoid", variant="octave", **Q3_12),
    "sigmoid s16.12, quad": ActivationConfig(function="sigmoid", variant="quad", **Q3_12),
    "tanh s16.12, octave": ActivationConfig(function="tanh", variant="octave", **Q3_12),
    "tanh s16.12, quad": ActivationConfig(function="tanh", variant="quad", **Q3_12),
    **{f"e^(-d {s}), u8 to u18.17, table": _difference(s) for s in ("1/4", "1/8", "1/16", "1/32")},
    "2^-d, u17.12 to u18.17, 16 lines": EXP_16,
    "2^-d, u17.12 to u18.17, 4 parabolas": ActivationConfig(
        function="exp2", variant="quad", in_bits=17, in_fraction=12, **FALLING
    ),
    "e^-d, u16.12 to u18.17, 16 lines": ActivationConfig(
        function="exp", variant="uniform", in_bits=16, in_fraction=12, **FALLING
    ),
    "e^-d, u16.12 to u18.17, 4 parabolas": ActivationConfig(
        function="exp", variant="quad", in_bits=16, in_fraction=12, **FALLING
    ),
    "1/x, u16.8 to u16.12, 8 parabolas": _normalised("reciprocal", 8, 12),
    "1/sqrt(x), u16.9 to u16.11, 16 parabolas": _normalised("rsqrt", 9, 11),
}


def measured(config: ActivationConfig) -> Cells:
    """Cells of one lane: everything between its argument and its result, without flow control."""
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        path = Path(folder, "lane.v")
        path.write_text(emit(Lane(config), "lane", {}).verilog, encoding="utf-8")
        return synthesise(path, "lane")


def measure(console: Console) -> list[Figure]:
    console.print(
        "Yosys 0.70, synth_xilinx -family xcup, one lane, flattened. LUT: logic, tables and shift registers (SRL, "
        "also listed alone); datapath registers are the FF column. Errors: over every argument.",
        highlight=False,
    )
    cells: dict[str, Cells] = {}
    errors: dict[str, Accuracy] = {}
    rows = []
    for name, config in LANES.items():
        one, error = measured(config), accuracy(config)
        cells[name], errors[name] = one, error
        rows.append(
            (name, config.table_bits, one.lut, one.srl, one.ff, one.dsp, config.latency,
             f"{error.largest:.2e}", f"{error.ulp:.3f}", f"{error.mean:.2e}")
        )  # fmt: skip
    heads = ("lane", "table bits", "LUT", "of it SRL", "FF", "DSP", "latency", "max error", "in ulp", "mean")
    console.print(table("Lanes", heads, rows))
    v, gelu = np.linspace(-8, 8, (1 << 16) + 1), FUNCTIONS["gelu"].of
    others = [
        (name, f"{np.abs(FUNCTIONS[name].of(v) - gelu(v)).max():.2e}") for name in ("gelu_tanh", "quick_gelu")
    ]
    console.print(
        table("Functions in GELU's place, before any rounding, on [-8, 8]", ("", "max error"), others)
    )
    return _figures({LANES[name]: (cells[name], errors[name]) for name in LANES})


def _figures(found: dict[ActivationConfig, tuple[Cells, Accuracy]]) -> list[Figure]:
    """What the project promises of five lanes."""
    figures: list[Figure] = []

    def add(
        name: str, value: float, unit: str, goal: Goal | None, peer: float | None = None, source: str = ""
    ) -> None:
        figures.append(
            Figure(
                name=f"activation.{name}", value=value, unit=unit, command=COMMAND, goal=goal,
                peer=peer, peer_source=source or None,
            )
        )  # fmt: skip

    def area(name: str, config: ActivationConfig, lut: int, dsp: int, peer: float, source: str) -> None:
        one = found[config][0]
        add(f"{name}.lut", one.lut, "LUT", Goal("<=", lut), peer, source)
        add(f"{name}.dsp", one.dsp, "DSP", Goal("<=", dsp))

    add("gelu_int8.error", found[INT8][1].ulp, "ulp", Goal("<=", 0.5))
    area("gelu_int8", INT8, 30, 0, 61, IBERT_GELU)

    delta = ONE_MULTIPLIER.reduction.of
    before = ONE_MULTIPLIER.pieces.max_error(delta, rounded=False)
    add("gelu_one_multiplier.error_before_rounding", before, "", Goal("<=", 6e-5), 9.74e-5, EDGE_MOE)
    add("gelu_one_multiplier.error", found[ONE_MULTIPLIER][1].ulp, "ulp of Q3.12", Goal("<=", 0.75))
    bits = ONE_MULTIPLIER.pieces.table_bits
    add("gelu_one_multiplier.table", bits, "bits", Goal("<=", 1200), 3894, EDGE_MOE)
    area("gelu_one_multiplier", ONE_MULTIPLIER, 200, 1, 562, EDGE_MOE)

    pieces = TWO_MULTIPLIERS.pieces
    t = np.arange((4 << 12) + 1)  # the delta is even, so that [0, 4] stands for [-4, 4]
    square = float(np.square(pieces.unrounded(t) - delta(pieces.argument(t))).mean())
    add("gelu_two_multipliers.mean_square_error", square, "", Goal("<=", 5e-10), 4.29e-9, ISPA)
    add("gelu_two_multipliers.error", found[TWO_MULTIPLIERS][1].ulp, "ulp of Q3.12", None)
    add("gelu_two_multipliers.table", pieces.table_bits, "bits", Goal("<=", 660))
    area("gelu_two_multipliers", TWO_MULTIPLIERS, 130, 2, 562, EDGE_MOE)

    add("exp_int8.error", found[EXP_INT8][1].largest, "", Goal("<=", 2.0**-18), 1.9e-3, IBERT_EXP)
    area("exp_int8", EXP_INT8, 60, 0, 93, IBERT_EXP)
    for scale in ("1/16", "1/32"):
        one = found[LANES[f"e^(-d {scale}), u8 to u18.17, table"]][0]
        add(f"exp_int8.lut_at_scale_{scale.replace('/', '_')}", one.lut, "LUT", None)

    f = np.arange(1 << EXP_16.reduction.in_bits)
    mantissa = EXP_16.pieces.evaluate(f) * 2.0**-EXP_16.pieces.out_fraction
    relative = float(np.abs(mantissa / np.exp2(-EXP_16.pieces.argument(f)) - 1).max())
    add("exp_16.relative_error", relative, "", Goal("<=", 2.4e-4), 3.3e-3, SOFTEX)
    area("exp_16", EXP_16, 90, 1, 93, IBERT_EXP)
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
