"""The requantiser's modes: results that differ from onnxruntime's, and what a lane of each mode costs."""

from __future__ import annotations

import tempfile
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.emit import emit
from hwgen.parts.requantise import MODES
from hwgen.parts.requantise.golden import requantise
from hwgen.parts.requantise.rtl import Requantise
from hwgen.parts.requantise.scales import ort_constants, scale_constants, tflite_constants
from hwgen.synthesis import Cells, synthesise
from hwgen.workloads.onnx_qlinear import OPERATORS, QLinearProduct, random_product

COMMAND = "python -m benchmarks.requantiser"
ONNXRUNTIME = "onnxruntime, run here: its own results are what the mismatches are counted against"

_PRODUCTS = 4  # of each kind
_FLOAT_EXACT = 1 << 24  # a float32 rounds sums beyond it

_ARITHMETIC = {
    "ort": "ort",
    "nearest, half to even": "half_even",
    "single": "half_up",
    "tflite": "tflite",
}


def _results(made: QLinearProduct, rounding: str) -> np.ndarray:
    """The same sums through one of our modes."""
    if rounding == "ort":
        multiplier, shift = ort_constants(made.a_scale, made.b_scale, made.y_scale)
    else:
        scale = np.float64(made.a_scale) * made.b_scale / np.float64(made.y_scale)
        multiplier, shift = (tflite_constants if rounding == "tflite" else scale_constants)(scale)
    signed = requantise(
        made.sums(), 0, multiplier, shift,
        rounding=rounding, zero=made.y_zero - made.offset, low=-128, high=127,
    )  # fmt: skip
    return signed + made.offset


def _mismatches(operator: str) -> Counter[str]:
    """Results, sums beyond 2**24, and results that differ, over products of every kind."""
    found: Counter[str] = Counter()
    for large, ties, seed in product((False, True), (False, True), range(_PRODUCTS)):
        made = random_product(operator, np.random.default_rng([large, ties, seed]), large=large, ties=ties)
        expected = made.run()
        found["results"] += expected.size
        found["beyond"] += int((np.abs(made.sums()) > _FLOAT_EXACT).sum())
        for name, rounding in _ARITHMETIC.items():
            found[name] += int((_results(made, rounding) != expected).sum())
    return found


def _cells(mode: str, scale_bits: int, family: str) -> Cells:
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        path = Path(folder, "requantise.v")
        path.write_text(emit(Requantise(mode, scale_bits), "requantise", {}).verilog, encoding="utf-8")
        return synthesise(path, "requantise", family)


def measure(console: Console) -> list[Figure]:
    figures, rows = [], []
    for operator in OPERATORS:
        found = _mismatches(operator)
        rows.append((operator, found["results"], found["beyond"], *(found[name] for name in _ARITHMETIC)))
        name = f"requantiser.ort.{operator}"
        figures += [
            Figure(
                name=f"{name}.mismatches", value=found["ort"], unit=f"of {found['results']:,}", command=COMMAND,
                goal=Goal("==", 0), peer_source=ONNXRUNTIME,
            ),
            Figure(
                name=f"{name}.results", value=found["results"], unit="results", command=COMMAND,
                goal=Goal(">=", 1_000_000),
            ),
            Figure(name=f"{name}.sums_beyond_2**24", value=found["beyond"], unit="sums", command=COMMAND),
        ]  # fmt: skip
    console.print(
        "Half of the products have scales that are powers of two and quotients in, or just beside, the middle of "
        "two integers: far more than a network has.",
        highlight=False,
    )
    heads = ("operator", "results", "sums beyond 2^24", *_ARITHMETIC)
    console.print(table("Results that differ from onnxruntime's", heads, rows))

    rows = []
    for mode, spec in MODES.items():
        for scale_bits in sorted({*spec.scale_bits, 24} if mode == "single" else {*spec.scale_bits}):
            cells = {family: _cells(mode, scale_bits, family) for family in ("xcup", "xc7")}
            counts = [v for c in cells.values() for v in (c.lut, c.ff, c.dsp)]
            rows.append((mode, scale_bits, spec.latency, *counts))
            if scale_bits == max(spec.scale_bits):
                figures += [
                    Figure(name=f"requantiser.{mode}.{kind}", value=value, unit=kind.upper(), command=COMMAND)
                    for kind, value in zip(("lut", "ff", "dsp"), counts, strict=False)
                ]
    heads = (
        "mode",
        "scale_bits",
        "latency",
        *(f"{k} {f}" for f in ("xcup", "xc7") for k in ("LUT", "FF", "DSP")),
    )
    console.print(table("One lane, Yosys 0.70 synth_xilinx", heads, rows))
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
