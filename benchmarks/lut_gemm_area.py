"""LUTs of the bit-serial array per binary operation, and of the whole core, by part."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.cores.lut_gemm import CORE, LutGemmConfig
from hwgen.cores.lut_gemm.array import Array
from hwgen.emit import emit
from hwgen.synthesis import ModuleCells, synthesise_modules
from hwgen.verify.block import Block

COMMAND = "python -m benchmarks.lut_gemm_area"
BISMO = (
    "BISMO's published model, LUT = Dm Dn (1.17 Dk + 44.1 + 120.1), of its dot-product array on Zynq (Vivado)"
)

CASES: dict[str, tuple[LutGemmConfig, Goal]] = {
    "8x256x8": (LutGemmConfig(dm=8, dk=256, dn=8, target="ultrascale+"), Goal("<=", 0.85)),
    "8x128x16": (LutGemmConfig(dm=8, dk=128, dn=16, target="ultrascale+"), Goal("<=", 1.10)),
}


def measure(console: Console) -> list[Figure]:
    console.print(
        "Yosys 0.70, synth_xilinx -family xcup, hierarchy kept: every module times its instances, so nothing is "
        "shared between dot products. Array: operand registers, counters, accumulators, result registers, row "
        "selection.",
        highlight=False,
    )
    figures = []
    for name, (config, goal) in CASES.items():
        with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
            path = Path(folder, "array.v")
            path.write_text(emit(Array(config.array), "array", {}).verilog, encoding="utf-8")
            array = _print(console, f"{name}: the array", synthesise_modules(path, "array"))
        block = Block(CORE, config)
        parts = synthesise_modules(block.sources[0], block.emission.top)
        whole = _print(console, f"{name}: the whole core", parts)
        operations = config.binary_ops_per_cycle
        peer = config.dm * config.dn * (1.17 * config.dk + 44.1 + 120.1)
        figures += [
            Figure(
                name=f"lut_gemm_area.{name}.array_lut_per_binary_op",
                value=array["LUT"] / operations,
                unit="LUT",
                command=COMMAND,
                goal=goal,
                peer=peer / operations,
                peer_source=BISMO,
            ),
            Figure(name=f"lut_gemm_area.{name}.array_lut", value=array["LUT"], unit="LUT", command=COMMAND),
            Figure(name=f"lut_gemm_area.{name}.array_ff", value=array["FF"], unit="FF", command=COMMAND),
            Figure(name=f"lut_gemm_area.{name}.core_lut", value=whole["LUT"], unit="LUT", command=COMMAND),
            Figure(name=f"lut_gemm_area.{name}.core_ff", value=whole["FF"], unit="FF", command=COMMAND),
            Figure(
                name=f"lut_gemm_area.{name}.core_bram36",
                value=whole["BRAM36"],
                unit="block RAM",
                command=COMMAND,
            ),
        ]
    return figures


def _print(console: Console, title: str, parts: dict[str, ModuleCells]) -> dict[str, float]:
    """Print what every module takes, all its instances; returns the sums."""
    heads = ("LUT", "FF", "BRAM36", "CARRY4")
    rows = []
    for name, part in sorted(parts.items(), key=lambda item: -item[1].instances * item[1].cells.lut):
        one = part.cells
        counts = [part.instances * v for v in (one.lut, one.ff, one.bram36, one.carry)]
        rows.append((name, part.instances, *counts))
    total = [sum(float(row[i]) for row in rows) for i in range(2, 6)]
    rows.append(("all", "", *total))
    console.print(table(title, ("part", "instances", *heads), rows))
    return dict(zip(heads, total, strict=True))


if __name__ == "__main__":
    main(measure, __doc__)
