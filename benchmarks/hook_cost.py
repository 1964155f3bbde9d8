"""What hooks cost: LUTs per hooked bit and flip-flops after Yosys, and the clock frequency on an ECP5.

A hooked bit is a bit of a flip-flop, or a bit of what a memory reads: a fault in any of its rows is put there. Two
figures have other denominators: all LUTs over flip-flop bits alone, and over the bits that are left when synthesis has
removed those that nothing reads. Hooks of flip-flops take no flip-flop. Memories take some that say whether the row is
wrong (*tracking*); and what synthesis hid in shift registers and DSP blocks becomes a flip-flop again, because it has
to be reached: so there are never more than the design has bits of registers. The first run takes half an hour.
"""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from benchmarks.nonlinear_fmax import path_text
from hwgen import toolchain
from hwgen.cores import activation
from hwgen.faults.hooks import Hooked, hooked
from hwgen.faults.netlist import read_netlist
from hwgen.faults.sites import Kind
from hwgen.files import output_folder, write_if_changed
from hwgen.parts.dsp48e2 import SIMULATION_MODEL as DSP_MODEL
from hwgen.place_and_route import ECP5_85_6, layouts
from hwgen.synthesis import synthesise
from hwgen.verify.block import Block

COMMAND = "python -m benchmarks.hook_cost"
LUT_GOAL = Goal("<=", 1.1)
SEEDS = (1, 2, 3)
TARGET_MHZ = 200.0

RTL = Path(__file__).parents[1] / "rtl_out"
CASES = {
    "dsp_gemm_8x8": (RTL / "dsp_gemm_int8_8x8_generic" / "dsp_gemm.v", "dsp_gemm"),
    "dsp_gemm_16x16": (RTL / "dsp_gemm_int8_16x16_ultrascale" / "dsp_gemm.v", "dsp_gemm"),
    "tiny": (RTL / "tiny" / "accelerator.v", "accelerator"),
}
SMALL = activation.ActivationConfig(
    function="gelu", variant="delta_octave", in_bits=16, in_fraction=12, out_bits=16, out_fraction=12
)
"""The core whose clock frequency is measured: one lane of GELU."""


def _written(name: str, made: Hooked) -> Path:
    """The hooked Verilog in the cache."""
    path = output_folder(toolchain.cache_dir() / "hooks") / f"{name}_{made.digest}.v"
    write_if_changed(path, made.verilog)
    return path


def _area(console: Console) -> list[Figure]:
    figures: list[Figure] = []
    rows = []
    for name, (source, top) in CASES.items():
        made = hooked([source, DSP_MODEL], top)
        path = _written(name, made)
        own = [e for e in made.map.table if not e.vendor]
        registers = sum(e.width for e in own if e.kind is Kind.FLIP_FLOP)
        ports = sum(m.width * len(m.reads) for m in read_netlist(made.sources, top).memories)
        netlist = read_netlist([path, DSP_MODEL], top)
        tracking = sum(
            len(r.q) for r in netlist.registers if re.fullmatch(r"fault_\w+_(live|odd|slice)_\d+", r.name)
        )
        before, after = synthesise(source, top), synthesise(path, top)
        bits = registers + ports
        rows.append(
            (f"{name}, without", "", "", before.lut, before.srl, before.lutram, before.ff, before.bram36)
        )
        rows.append(
            (f"{name}, hooks", registers, ports, after.lut, after.srl, after.lutram, after.ff, after.bram36)
        )
        more = after.lut - before.lut
        figures += [
            Figure(
                name=f"hook_cost.{name}.lut_per_bit", value=round(more / bits, 3), unit="LUT", command=COMMAND,
                goal=LUT_GOAL,
            ),
            Figure(
                name=f"hook_cost.{name}.lut_per_flip_flop", value=round(more / registers, 3), unit="LUT",
                command=COMMAND,
            ),
            Figure(
                name=f"hook_cost.{name}.lut_per_bit_left", value=round(more / (after.ff - tracking + ports), 3),
                unit="LUT", command=COMMAND,
            ),
            Figure(
                name=f"hook_cost.{name}.more_ff_than_bits", value=max(0, after.ff - tracking - registers), unit="FF",
                command=COMMAND, goal=Goal("==", 0),
            ),
            Figure(name=f"hook_cost.{name}.tracking", value=tracking, unit="FF", command=COMMAND),
            Figure(
                name=f"hook_cost.{name}.out_of_srl_and_dsp", value=after.ff - tracking - before.ff, unit="FF",
                command=COMMAND,
            ),
            Figure(
                name=f"hook_cost.{name}.bram36", value=after.bram36 - before.bram36, unit="block RAM", command=COMMAND,
                goal=Goal("==", 0),
            ),
        ]  # fmt: skip
    heads = ("design", "flip-flop bits", "memory bits read", "LUT", "SRL", "RAM", "FF", "BRAM36")
    console.print(table("Yosys, synth_xilinx -family xcup", heads, rows))
    return figures


def _frequency(console: Console) -> list[Figure]:
    block = Block(activation.CORE, SMALL)
    source, top = block.sources[0], block.emission.top
    path = _written("gelu", hooked([source], top))
    rows, found, paths = [], {}, []
    for name, verilog in (("without", source), ("hooks", path)):
        placed = layouts(verilog, top, seeds=SEEDS, target_mhz=TARGET_MHZ)
        found[name] = median(layout.slowest for layout in placed)
        seeds = " ".join(f"{layout.slowest:.0f}" for layout in placed)
        use = [placed[0].use[kind].used for kind in ("TRELLIS_COMB", "TRELLIS_FF")]
        rows.append((f"GELU, one lane, {name}", round(found[name], 1), seeds, *use))
        worst = min(placed, key=lambda layout: layout.slowest)
        paths.append(f"{name}, seed {worst.seed}: {path_text(worst.limiting)}")
    heads = ("design", "MHz, median", "seeds 1, 2, 3", "LUT4", "FF")
    console.print(table(f"{ECP5_85_6.name}, Yosys and nextpnr, wrapper included", heads, rows))
    for line in paths:
        console.print(line, highlight=False)
    change = 100 * (found["hooks"] / found["without"] - 1)
    return [
        Figure(name="hook_cost.ecp5.fmax", value=round(found["hooks"], 1), unit="MHz", command=COMMAND),
        Figure(name="hook_cost.ecp5.fmax_change", value=round(change, 1), unit="%", command=COMMAND),
    ]


def measure(console: Console) -> list[Figure]:
    return [*_area(console), *_frequency(console)]


if __name__ == "__main__":
    main(measure, __doc__)
