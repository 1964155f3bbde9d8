"""DSP blocks, LUTs and flip-flops of the dense GEMM core, and which parts they are in."""

from __future__ import annotations

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig
from hwgen.synthesis import synthesise, synthesise_modules
from hwgen.verify.block import Block

COMMAND = "python -m benchmarks.dsp_gemm_area"
FINN = "FINN finn-rtllib/mvu, PE=SIMD=16, Yosys 0.70 synth_xilinx -family xcup, recorded figure"

CASES: dict[str, tuple[DspGemmConfig, dict[str, Goal | None], dict[str, int]]] = {
    "int8": (
        DspGemmConfig(rows=16, cols=16, target="ultrascale+"),
        {"dsp": Goal("==", 128), "lut": Goal("<=", 2000), "ff": Goal("<=", 6000)},
        {"dsp": 128, "lut": 11_169, "ff": 1_837},
    ),
    "int4": (
        DspGemmConfig(rows=16, cols=16, act_bits=4, weight_bits=4, target="ultrascale+"),
        {"dsp": Goal("==", 64), "lut": Goal("<=", 2400), "ff": None},
        {"dsp": 64, "lut": 7_316, "ff": 1_921},
    ),
}
"""Configuration, goals, and the peer's recorded figures."""


def measure(console: Console) -> list[Figure]:
    figures = []
    for name, (config, goals, peer) in CASES.items():
        block = Block(CORE, config)
        design = block.sources[0]
        cells = synthesise(design, block.emission.top)
        parts = synthesise_modules(design, block.emission.top)
        rows: list[tuple[object, ...]] = []
        for part, entry in sorted(parts.items(), key=lambda item: -item[1].instances * item[1].cells.lut):
            one, n = entry.cells, entry.instances
            counts = [
                one.lut,
                one.lut - one.srl - one.lutram - one.inverters,
                one.inverters,
                one.srl,
                one.lutram,
            ]
            rows.append((part, n, *(n * v for v in (*counts, one.ff, one.dsp, one.bram36, one.carry))))
        total = [sum(float(str(row[i])) for row in rows) for i in range(2, 11)]
        rows.append(("all, hierarchy kept", "", *total))
        logic = cells.lut - cells.srl - cells.lutram - cells.inverters
        flat = (cells.lut, logic, cells.inverters, cells.srl, cells.lutram)
        rows.append(("flattened", "", *flat, cells.ff, cells.dsp, cells.bram36, cells.carry))
        heads = ("part", "instances", "LUT", "logic", "INV", "SRL", "RAM", "FF", "DSP", "BRAM36", "CARRY4")
        console.print(table(f"{name} 16 x 16 ultrascale+: cells by part, all instances", heads, rows))
        console.print(
            f"{name}: {cells.lut} LUTs; counted as Yosys cells (a distributed-RAM cell once) {cells.lut_cells}. "
            f"Beside them: {cells.bram36:g} block RAMs of 36 Kbit.",
            highlight=False,
        )
        values = {"dsp": cells.dsp, "lut": cells.lut, "ff": cells.ff}
        for kind, value in values.items():
            figures.append(
                Figure(
                    name=f"dsp_gemm_area.{name}.{kind}",
                    value=value,
                    unit={"dsp": "DSP48E2", "lut": "LUT", "ff": "FF"}[kind],
                    command=COMMAND,
                    goal=goals[kind],
                    peer=peer[kind],
                    peer_source=FINN,
                )
            )
        figures.append(
            Figure(name=f"dsp_gemm_area.{name}.bram36", value=cells.bram36, unit="block RAM", command=COMMAND)
        )
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
