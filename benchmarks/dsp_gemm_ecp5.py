"""Clock frequency of the INT8 8 × 8 dense GEMM core on ECP5, speed grade 6, and its MACs per multiplier.

The core with packed products (target ``ecp5``), its ports on registers, is placed and routed once per seed; the figure
is the median. Beside it, by the same tools in the same run, a plain systolic array in Amaranth: operands, product and
accumulator in registers, one MAC per multiplier. The first run takes some twenty minutes on two cores, others seconds.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib.wiring import In, Out
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from benchmarks.nonlinear_fmax import path_text
from hwgen import toolchain
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig
from hwgen.emit import Unit, emit
from hwgen.files import output_folder, write_if_changed
from hwgen.place_and_route import ECP5_85_6, Layout, layouts
from hwgen.verify.block import Block

COMMAND = "python -m benchmarks.dsp_gemm_ecp5"
GOAL_MHZ = 150
SIZE = 8
SEEDS = (1, 2, 3)
TARGET_MHZ = 200.0
PLAIN = "plain Amaranth systolic array, 8 x 8 INT8, Yosys and nextpnr, same run"


class PlainArray(Unit):
    """Output-stationary systolic array, as one writes it first: no packing, no registers for the device's sake.

    Members
    -------
    a, b : In(8 × size)
        Operands of the first column and of the first row.
    clear, column : In(1), In
        Starts the sums; chooses a column to be read.
    c : Out(32 × size)
        Sums of that column.
    """

    def __init__(self, size: int):
        self.size = size
        super().__init__({"a": In(8 * size), "b": In(8 * size), "clear": In(1), "column": In(range(size)),
                          "c": Out(32 * size)})  # fmt: skip

    @property
    def kind(self) -> str:
        """``plain_array``."""
        return "plain_array"

    def elaborate(self, platform: Any) -> Module:
        """Build the array."""
        m = Module()
        sums: list[list[Signal]] = [[] for _ in range(self.size)]
        down = [self.b.word_select(j, 8) for j in range(self.size)]
        for i in range(self.size):
            left = self.a.word_select(i, 8)
            for j in range(self.size):
                a, b = (Signal(signed(8), name=f"{name}_{i}_{j}", reset_less=True) for name in "ab")
                product = Signal(signed(16), name=f"product_{i}_{j}", reset_less=True)
                total = Signal(signed(32), name=f"sum_{i}_{j}")
                m.d.sync += [a.eq(left), b.eq(down[j]), product.eq(a * b), total.eq(total + product)]
                with m.If(self.clear):
                    m.d.sync += total.eq(0)
                left, down[j] = a, b
                sums[j].append(total)
        with m.Switch(self.column):
            for j in range(self.size):
                with m.Case(j):
                    m.d.sync += self.c.eq(Cat(sums[j]))
        return m


def _place(sources: Path, top: str) -> list[Layout]:
    return layouts(sources, top, seeds=SEEDS, target_mhz=TARGET_MHZ)


def measure(console: Console) -> list[Figure]:
    config = DspGemmConfig(rows=SIZE, cols=SIZE, target="ecp5")
    block = Block(CORE, config)
    folder = output_folder(toolchain.cache_dir() / "verilog" / "plain_array")
    plain = folder / "plain_array.v"
    write_if_changed(plain, emit(PlainArray(SIZE), "plain_array", {}).verilog)
    found = {
        "dsp_gemm": _place(block.sources[0], block.emission.top),
        "plain array": _place(plain, "plain_array"),
    }
    rows, paths = [], []
    for name, seen in found.items():
        use = seen[0].use
        counts = [use[kind].used if kind in use else 0 for kind in
                  ("TRELLIS_COMB", "TRELLIS_FF", "MULT18X18D", "DP16KD")]  # fmt: skip
        frequencies = " ".join(f"{layout.slowest:.0f}" for layout in seen)
        rows.append((name, round(median(layout.slowest for layout in seen), 1), frequencies, *counts))
        worst = min(seen, key=lambda layout: layout.slowest)
        paths.append(f"{name}, seed {worst.seed}: {path_text(worst.limiting)}")
    heads = ("8 x 8 INT8", "MHz, median", "seeds 1, 2, ..", "LUT4", "FF", "MULT18", "DP16K")
    console.print(table(f"{ECP5_85_6.name}, Yosys and nextpnr, wrapper included", heads, rows))
    for line in paths:
        console.print(line, highlight=False)
    ours, theirs = (
        (median(layout.slowest for layout in seen), SIZE * SIZE / seen[0].use["MULT18X18D"].used)
        for seen in found.values()
    )
    return [
        Figure(
            name="dsp_gemm_ecp5.fmax", value=round(ours[0], 1), unit="MHz", command=COMMAND,
            goal=Goal(">=", GOAL_MHZ), peer=round(theirs[0], 1), peer_source=PLAIN,
        ),
        Figure(
            name="dsp_gemm_ecp5.macs_per_multiplier", value=ours[1], unit="MAC/MULT18X18D", command=COMMAND,
            goal=Goal(">=", 2), peer=theirs[1], peer_source=PLAIN,
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main(measure, __doc__)
