"""Popcounts: the plan conserves weight, and the hardware counts every word, a new one in each cycle."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out

from hwgen import toolchain
from hwgen.emit import Unit, emit, place
from hwgen.errors import BadInput
from hwgen.parts.popcount import SIMULATION_MODEL, plan
from hwgen.parts.popcount.rtl import Popcount
from hwgen.synthesis import synthesise
from hwgen.verilated import build_model

WIDEST = 512
EXHAUSTIVE = [(n, False) for n in range(1, 17)] + [(n, True) for n in range(1, 9)]
WIDE = [(n, products) for n in (36, 128, 255, 512) for products in (False, True)]
VARIANTS = [
    *((n, products, 1 + i % 3, i % 2 == 0) for i, (n, products) in enumerate(EXHAUSTIVE)),
    *((n, products, 1 + (i + 1) % 3, i % 2 == 1) for i, (n, products) in enumerate(EXHAUSTIVE)),
    *((n, products, 1 + i % 3, i // 2 % 2 == 0) for i, (n, products) in enumerate(WIDE)),
]
"""Width, products, stages between registers, LUT instances."""


class Many(Unit):
    """All variants side by side on the same words."""

    def __init__(self) -> None:
        self.parts = [Popcount(plan(n, products=p), every=e, primitive=q) for n, p, e, q in VARIANTS]
        outs = {f"o_{i}": Out(part.plan.out_bits) for i, part in enumerate(self.parts)}
        super().__init__({"i": In(WIDEST), "j": In(WIDEST), **outs})

    @property
    def kind(self) -> str:
        return "many"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for i, part in enumerate(self.parts):
            place(m, f"part_{i}", part, platform)
            bits = part.plan.bits
            m.d.comb += [part.i.eq(self.i[:bits]), getattr(self, f"o_{i}").eq(part.o)]
            if part.plan.products:
                m.d.comb += part.j.eq(self.j[:bits])
        return m


HARNESS = """
#include <cstdint>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>
#include "Vtop.h"
#include "verilated.h"

struct Word { uint32_t i[16], j[16]; };

static int count(const Word& w, int bits, bool products) {
    int ones = 0;
    for (int n = 0; n < bits; n++)
        ones += (w.i[n / 32] >> (n % 32) & 1) & (products ? w.j[n / 32] >> (n % 32) & 1 : 1);
    return ones;
}

int main() {
    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<Vtop>(context.get());
    std::mt19937_64 random(1);
    std::vector<Word> words;
    for (int n = 0; n < 65536; n++) {
        Word w = {};
        w.i[0] = n;
        w.j[0] = n >> 8;
        words.push_back(w);
    }
    for (int n = 0; n < 4000; n++) {
        Word w = {};
        for (int k = 0; k < 16; k++) {
            w.i[k] = random(); w.j[k] = random();
            if (n % 4 == 1) { w.i[k] |= random() | random(); w.j[k] |= random() | random(); }
            if (n % 4 == 2) { w.i[k] &= random() & random(); }
            if (n % 4 == 3) { w.i[k] = w.j[k] = n % 8 == 3 ? ~0u : 0u; }
        }
        words.push_back(w);
    }
    uint64_t compared = 0;
    for (size_t t = 0; t < words.size(); t++) {
        top->clk = 0;
        for (int k = 0; k < 16; k++) { top->i[k] = words[t].i[k]; top->j[k] = words[t].j[k]; }
        top->eval();
CHECKS
        top->clk = 1;
        top->eval();
    }
    std::printf("%llu\\n", (unsigned long long)compared);
    return 0;
}
"""


def _checks() -> str:
    lines = []
    for i, (n, products, every, _) in enumerate(VARIANTS):
        latency = plan(n, products=products).latency(every)
        first = 0 if (n, products) in EXHAUSTIVE else 65536
        lines.append(
            f"        if (t >= {first + latency}) {{ compared++; if ((int)top->o_{i} != "
            f'count(words[t - {latency}], {n}, {int(products)})) {{ std::printf("variant {i}\\n"); return 1; }} }}'
        )
    return "\n".join(lines)


def test_every_count_is_right_and_in_time(tmp_path: Path) -> None:
    verilog = tmp_path / "many.v"
    verilog.write_text(emit(Many(), "many", {}).verilog)
    model = build_model(
        verilog=[verilog, SIMULATION_MODEL],
        top="many",
        harness=HARNESS.replace("CHECKS", _checks()),
        flags=["-CFLAGS", "-O0"],
        waivers=[toolchain.waivers()],
    )
    done = subprocess.run([model], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout.strip()}: {VARIANTS[int(done.stdout.split()[-1])]}"
    assert int(done.stdout) > 2 * 65536 * len(EXHAUSTIVE)


@pytest.mark.parametrize("products", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 36, 64, 100, 128, 255, 256, 512])
def test_no_stage_loses_or_makes_weight(bits: int, products: bool) -> None:
    shape = plan(bits, products=products)
    heights = [bits]
    if products:
        heights = [-(-bits // 3), bits // 3 + (bits % 3 == 2)]
    for stage in shape.stages:
        for group in stage:
            heights[group.weight] -= group.inputs
        assert min(heights) >= 0
        heights += [0, 0]
        for group in stage:
            for i in range(group.outputs):
                heights[group.weight + i] += 1
    while heights[-1] == 0:
        heights.pop()
    assert heights == list(shape.heights)
    assert max(heights) <= 2
    # All ones, counted: the most that the bits left can say is enough, and fits the output.
    assert bits < 1 << shape.out_bits
    assert sum(h << w for w, h in enumerate(heights)) >= bits


def test_a_popcount_of_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^a popcount needs at least one bit, not 0$"):
        plan(0)


def test_the_plan_tells_the_luts_that_synthesis_needs(tmp_path: Path) -> None:
    shape = plan(64, products=True)
    path = tmp_path / "popcount.v"
    path.write_text(emit(Popcount(shape, every=2, primitive=True), "popcount", {}).verilog)
    cells = synthesise(path, "popcount")
    assert abs(cells.lut - shape.luts) <= 4
    assert cells.lut < 64 * 1.5


def test_our_lut_is_the_vendors(tmp_path: Path) -> None:
    """Ours against Yosys' cell models, both outputs, every address of many contents."""
    import pyosys

    cells = Path(pyosys.__file__).parent / "share" / "xilinx" / "cells_sim.v"
    text = SIMULATION_MODEL.read_text().replace("module LUT6", "module OUR_LUT6")
    ours = tmp_path / "ours.v"
    ours.write_text(text)
    inits = [0x1, 1 << 63, 0x8000000000000000 >> 31, 0x6AC0_8888_1234_F00F, 0xFEDC_BA98_7654_3210]
    pins = ", ".join(f".I{n}(x[{n}])" for n in range(6))
    wires = "".join(
        f"  wire a{k}, b{k}, c{k}, d{k}, e{k}, f{k};\n"
        f"  LUT6 #(64'd{init}) l{k}(.O(a{k}), {pins});\n  OUR_LUT6 #(64'd{init}) m{k}(.O(b{k}), {pins});\n"
        f"  LUT6_2 #(64'd{init}) n{k}(.O6(c{k}), .O5(e{k}), {pins});\n"
        f"  OUR_LUT6_2 #(64'd{init}) o{k}(.O6(d{k}), .O5(f{k}), {pins});\n"
        for k, init in enumerate(inits)
    )
    same = " & ".join(f"a{k} == b{k} & c{k} == d{k} & e{k} == f{k}" for k in range(len(inits)))
    bench = tmp_path / "bench.v"
    bench.write_text(f"module bench(input [5:0] x, output ok);\n{wires}  assign ok = {same};\nendmodule\n")
    answer = toolchain.yosys(
        f"read_verilog {cells}\nread_verilog {ours}\nread_verilog {bench}\nprep -flatten -top bench\n"
        "sat -verify -prove ok 1 bench"
    )
    assert "SAT proof finished - no model found: SUCCESS!" in answer
