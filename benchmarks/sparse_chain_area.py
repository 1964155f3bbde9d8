"""LUTs and DSP blocks of the sparse chain per MAC, by part, beside the dense core of the same peak."""

from __future__ import annotations

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.cores import dsp_gemm, sparse_chain
from hwgen.cores.dsp_gemm import DspGemmConfig
from hwgen.cores.sparse_chain import SparseChainConfig
from hwgen.synthesis import Cells, synthesise, synthesise_modules
from hwgen.verify.block import Block

COMMAND = "python -m benchmarks.sparse_chain_area"
FINN = (
    "FINN finn-rtllib/mvu, dense, PE=SIMD=16, Yosys 0.70 synth_xilinx -family xcup, recorded figure: 11,169 LUTs, "
    "128 DSP48E2 for 256 MAC"
)
FINN_LUT, FINN_DSP = 11_169 / 256, 128 / 256

DENSE = DspGemmConfig(rows=16, cols=16, target="ultrascale+")
"""256 MAC per cycle, no sparsity."""

CASES: dict[str, SparseChainConfig] = {
    "int8": SparseChainConfig(narrow=False, target="ultrascale+"),
    "narrow": SparseChainConfig(target="ultrascale+"),
    "eight_ways": SparseChainConfig(ways=8, depth=1024, target="ultrascale+"),
    "w4x3": SparseChainConfig(narrow=False, packing="w4x3", target="ultrascale+"),
    "w2x4": SparseChainConfig(narrow=False, packing="w2x4", target="ultrascale+"),
}
"""The first one has goals; all compute 16 rows of C."""


def measure(console: Console) -> list[Figure]:
    dense_block = Block(dsp_gemm.CORE, DENSE)
    dense = synthesise(dense_block.sources[0], dense_block.emission.top)
    dense_macs = DENSE.rows * DENSE.cols
    rows: list[tuple[object, ...]] = [
        ("dsp_gemm, dense", dense_macs, *_counts(dense), dense.lut / dense_macs, "")
    ]
    figures: list[Figure] = []
    for name, config in CASES.items():
        block = Block(sparse_chain.CORE, config)
        cells, macs = synthesise(block.sources[0], block.emission.top), config.array.macs
        extra = cells.lut / macs - dense.lut / dense_macs
        rows.append((name, macs, *_counts(cells), cells.lut / macs, extra))
        figures += _figures(name, cells, macs, extra)
        if name == "int8":
            _parts(console, block)
    heads = (
        "core",
        "MAC/cycle",
        "LUT",
        "INV",
        "SRL",
        "RAM",
        "FF",
        "DSP48E2",
        "BRAM36",
        "LUT/MAC",
        "more than dense",
    )
    console.print(table("16 rows of C, ultrascale+, flattened", heads, rows))
    for name, config in CASES.items():
        console.print(f"{name}: {config}", highlight=False)
    return figures


def _counts(cells: Cells) -> tuple[float, ...]:
    return cells.lut, cells.inverters, cells.srl, cells.lutram, cells.ff, cells.dsp, cells.bram36


def _figures(name: str, cells: Cells, macs: int, extra: float) -> list[Figure]:
    """Those of the first case have goals."""
    goals = {"extra": Goal("<=", 20), "dsp": Goal("==", FINN_DSP)} if name == "int8" else {}
    prefix = f"sparse_chain_area.{name}"
    return [
        Figure(
            name=f"{prefix}.lut_per_mac_more_than_dense", value=round(extra, 2), unit="LUT", command=COMMAND,
            goal=goals.get("extra"),
        ),
        Figure(
            name=f"{prefix}.lut_per_mac", value=round(cells.lut / macs, 2), unit="LUT", command=COMMAND, peer=FINN_LUT,
            peer_source=FINN,
        ),
        Figure(
            name=f"{prefix}.dsp_per_mac", value=cells.dsp / macs, unit="DSP48E2", command=COMMAND,
            goal=goals.get("dsp"), peer=FINN_DSP, peer_source=FINN,
        ),
        Figure(name=f"{prefix}.bram36", value=cells.bram36, unit="block RAM", command=COMMAND),
    ]  # fmt: skip


def _parts(console: Console, block: Block) -> None:
    """What every module takes, all its instances."""
    parts = synthesise_modules(block.sources[0], block.emission.top)
    rows: list[tuple[object, ...]] = []
    for name, part in sorted(parts.items(), key=lambda item: -item[1].instances * item[1].cells.lut):
        rows.append((name, part.instances, *(part.instances * count for count in _counts(part.cells))))
    total = [sum(float(str(row[i])) for row in rows) for i in range(2, 9)]
    rows.append(("all, hierarchy kept", "", *total))
    heads = ("part", "instances", "LUT", "INV", "SRL", "RAM", "FF", "DSP48E2", "BRAM36")
    console.print(table("int8: cells by part, all instances", heads, rows))


if __name__ == "__main__":
    main(measure, __doc__)
