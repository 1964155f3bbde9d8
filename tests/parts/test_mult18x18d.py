# amaranth: UnusedElaboratable=no
"""The MULT18X18D model against integers, cycle by cycle; its interface against Yosys' declaration."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out

from hwgen import toolchain
from hwgen.emit import Unit, emit
from hwgen.parts.mult18x18d import PRODUCT_CYCLES, SIMULATION_MODEL
from hwgen.parts.mult18x18d.rtl import registered_product
from hwgen.verilated import build_model

CYCLES = 20_000

# Which of the registers of A, B, the multiplier and the product are there.
REGISTERS = list(itertools.product((0, 1), repeat=4))

# One wrong constant each, caught in the configuration with all registers.
MUTANTS = {
    "sign_of_a": ("a_sign_q : SIGNEDA) && a[17]", "a_sign_q : SIGNEDA) && a[16]"),
    "sign_of_b": ("wire signed [18:0] b_factor = {b_sign, b}", "wire signed [18:0] b_factor = {a_sign, b}"),
    "enable": ("else if (CE0)", "else if (CE0 || SIGNEDA)"),
    "reset": ("p_q <= 36'd0;\n        end", "p_q <= m[35:0];\n        end"),
    "upper_bit": ("p_q <= m[35:0];\n        end\n", "p_q <= {1'b0, m[34:0]};\n        end\n"),
    "register": ("m_q <= m_next", "m_q <= m"),
}

HARNESS = r"""
#include "Vtop.h"
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
static uint64_t state = 0x9e3779b97f4a7c15u;
static uint64_t bits(int width) {
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    return (state * 0x2545f4914f6cdd1du) >> (64 - width);
}
static uint64_t operand() {
    const uint64_t edges[] = {0, 1, 0x3ffff, 0x20000, 0x1ffff, 0x20001};
    return bits(1) ? edges[bits(20) % 6] : bits(18);
}
static int64_t value(uint64_t word, bool sign) { return int64_t(word) - (sign && word >> 17 ? 1 << 18 : 0); }
static const uint64_t MASK = (uint64_t(1) << 36) - 1;
// A block with the registers that the bits of `held` say: A, B, multiplier, product.
struct Block {
    int held;
    uint64_t a = 0, b = 0, m = 0, p = 0;
    bool sa = false, sb = false;
    uint64_t product(uint64_t now_a, uint64_t now_b, bool now_sa, bool now_sb) const {
        const int64_t left = held & 1 ? value(a, sa) : value(now_a, now_sa);
        const int64_t right = held & 2 ? value(b, sb) : value(now_b, now_sb);
        return uint64_t(left * right) & MASK;
    }
    uint64_t multiplied(uint64_t x, uint64_t y, bool s, bool t) const { return held & 4 ? m : product(x, y, s, t); }
    uint64_t out(uint64_t x, uint64_t y, bool s, bool t) const { return held & 8 ? p : multiplied(x, y, s, t); }
    void clock(uint64_t x, uint64_t y, bool s, bool t, bool enable, bool reset) {
        if (reset) { a = b = m = p = 0; sa = sb = false; return; }
        if (!enable) return;
        p = multiplied(x, y, s, t); m = product(x, y, s, t);
        a = x; b = y; sa = s; sb = t;
    }
};
int main(int argc, char** argv) {
    Vtop top;
    Block blocks[COUNT];
    const int held[] = {HELD};
    for (int i = 0; i < COUNT; ++i) blocks[i].held = held[i];
    uint64_t ever = 0;
    for (long cycle = 0; cycle < atol(argv[1]); ++cycle) {
        const uint64_t a = operand(), b = operand();
        const bool sa = bits(1), sb = bits(1), enable = bits(2) != 0, reset = bits(5) == 0;
        top.clk = 0; top.a = a; top.b = b; top.sa = sa; top.sb = sb; top.ce = enable; top.rst = reset;
        for (int edge = 0; edge < 2; ++edge) {
            top.clk = edge;
            top.eval();
            for (int i = 0; i < COUNT; ++i) {
                if (edge) blocks[i].clock(a, b, sa, sb, enable, reset);
                uint64_t seen = 0;
                for (int bit = 0; bit < 36; ++bit)
                    seen |= uint64_t(top.p[(36 * i + bit) / 32] >> ((36 * i + bit) % 32) & 1) << bit;
                if (seen != blocks[i].out(a, b, sa, sb)) ever |= uint64_t(1) << i;
            }
        }
    }
    printf("%" PRIx64 "\n", ever);
}
"""


def _top() -> str:
    """Return a module with a block per configuration and per mutant, products side by side."""
    count = len(REGISTERS) + len(MUTANTS)
    lines = [
        "module top (input clk, ce, rst, sa, sb, input [17:0] a, b,",
        f"  output [{36 * count - 1}:0] p);",
    ]
    kinds = [("MULT18X18D", held) for held in REGISTERS]
    kinds += [(f"MULT18X18D_{name}", (1, 1, 1, 1)) for name in MUTANTS]
    stages = ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")
    for index, (kind, held) in enumerate(kinds):
        used = ", ".join(
            f'.REG_{stage}_CLK("{"CLK0" if on else "NONE"}")' for stage, on in zip(stages, held, strict=True)
        )
        pins = [f".{port}{bit}({port.lower()}[{bit}])" for port in "AB" for bit in range(18)]
        pins += [f".C{bit}(1'b0)" for bit in range(18)]
        pins += [f".P{bit}(p[{36 * index + bit}])" for bit in range(36)]
        pins += [
            ".SIGNEDA(sa), .SIGNEDB(sb), .SOURCEA(1'b0), .SOURCEB(1'b0), .CLK0(clk), .CE0(ce), .RST0(rst)"
        ]
        lines.append(f"  {kind} #({used}) block_{index} ({', '.join(pins)});")
    return "\n".join([*lines, "endmodule\n"])


@pytest.fixture(scope="module")
def differing(tmp_path_factory: pytest.TempPathFactory) -> list[bool]:
    """Return for every configuration, and every mutant behind them, whether it ever differed from integers."""
    folder = tmp_path_factory.mktemp("mult18x18d")
    text = SIMULATION_MODEL.read_text(encoding="utf-8")
    sources = {"top": _top()}
    for name, (right, wrong) in MUTANTS.items():
        assert text.count(right) == 1, name
        sources[name] = text.replace(right, wrong).replace(
            "module MULT18X18D (", f"module MULT18X18D_{name} ("
        )
    for name, source in sources.items():
        (folder / f"{name}.v").write_text(source, encoding="utf-8")
    waiver = folder / "waiver.vlt"
    waiver.write_text("`verilator_config\n" + "".join(f'lint_off -file "*/{name}.v"\n' for name in MUTANTS))
    held = [sum(on << i for i, on in enumerate(registers)) for registers in REGISTERS] + [15] * len(MUTANTS)
    harness = HARNESS.replace("COUNT", str(len(held))).replace("HELD", ", ".join(map(str, held)))
    program = build_model(
        verilog=[SIMULATION_MODEL, *(folder / f"{name}.v" for name in sources)],
        top="top",
        harness=harness,
        waivers=[waiver],
        flags=["-CFLAGS", "-O0"],
    )
    answer = subprocess.run([program, str(CYCLES)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return [bool(int(answer.stdout, 16) >> i & 1) for i in range(len(held))]


@pytest.mark.parametrize("index", range(len(REGISTERS)), ids=[str(held) for held in REGISTERS])
def test_equals_integers_every_cycle(differing: list[bool], index: int) -> None:
    assert not differing[index]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_copy_is_caught(differing: list[bool], name: str) -> None:
    assert differing[len(REGISTERS) + list(MUTANTS).index(name)]


def _declared() -> dict[str, Any]:
    """Return Yosys' declaration of the primitive."""
    spec = importlib.util.find_spec("pyosys")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "share" / "ecp5" / "cells_bb.v"
    found = re.search(
        r"^module MULT18X18D\(.*?^endmodule\n", path.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    assert found is not None
    return {"text": found[0]}


def _interface(text: str, folder: Path) -> dict[str, Any]:
    (folder / "cell.v").write_text(text, encoding="utf-8")
    toolchain.yosys(f"read_verilog -lib {folder / 'cell.v'}\nwrite_json {folder / 'cell.json'}")
    module = json.loads((folder / "cell.json").read_text(encoding="utf-8"))["modules"]["MULT18X18D"]
    ports = {name: (port["direction"], len(port["bits"])) for name, port in module["ports"].items()}
    return {"ports": ports, "parameters": module["parameter_default_values"]}


def test_interface_is_the_primitives_as_far_as_it_goes(tmp_path: Path) -> None:
    theirs = _interface(_declared()["text"], tmp_path)
    ours = _interface(SIMULATION_MODEL.read_text(encoding="utf-8"), tmp_path)
    assert ours["parameters"] == theirs["parameters"]
    assert ours["ports"].items() <= theirs["ports"].items()
    missing = {re.sub(r"\d+$", "", name) for name in theirs["ports"].keys() - ours["ports"].keys()}
    assert missing == {
        *("CLK", "CE", "RST", "SIGNEDP", "SRIA", "SRIB", "SROA", "SROB", "ROA", "ROB", "ROC"),
    }


def test_lints_clean_with_every_warning() -> None:
    verilator = toolchain.verilator()
    answer = subprocess.run(
        [verilator.executable, "--lint-only", "-Wall", "--quiet", SIMULATION_MODEL],
        env=verilator.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, "")


CLOCKED = r"""
#include "Vtop.h"
#include <cstdlib>
int main(int argc, char** argv) {
    Vtop top;
    top.SOURCEA = atoi(argv[1]);
    for (int i = 0; i < 8; ++i) { top.CLK0 = i & 1; top.eval(); }
}
"""


@pytest.mark.parametrize(
    ("flag", "source", "named"),
    [
        ('-GREG_INPUTA_CLK="CLK1"', 0, "REG_INPUTA_CLK"),
        ('-GREG_OUTPUT_CE="CE2"', 0, "every clock enable"),
        ('-GRESETMODE="ASYNC"', 0, "RESETMODE"),
        ('-GGSR="DISABLED"', 1, "SOURCEA"),
        ('-GGSR="DISABLED"', 0, None),
    ],
)
def test_stops_outside_the_subset(flag: str, source: int, named: str | None) -> None:
    program = build_model(verilog=[SIMULATION_MODEL], top="MULT18X18D", harness=CLOCKED, flags=[flag])
    answer = subprocess.run([program, str(source)], capture_output=True, text=True, check=False)
    assert (answer.returncode != 0) == (named is not None)
    if named is not None:
        assert f"MULT18X18D: {named}" in answer.stdout + answer.stderr


class _Product(Unit):
    """One product, as the generator instantiates it."""

    def __init__(self) -> None:
        super().__init__({"a": In(18), "b": In(17), "p": Out(36)})

    @property
    def kind(self) -> str:
        return "product"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += self.p.eq(registered_product(m, self.a.as_signed(), self.b))
        return m


PIPELINE = r"""
#include "Vtop.h"
#include <cstdio>
#include <cstdlib>
int main(int argc, char** argv) {
    Vtop top;
    for (int i = 1; i + 1 < argc; i += 2) {
        top.a = atol(argv[i]) & 0x3ffff; top.b = atol(argv[i + 1]);
        top.clk = 0; top.eval();
        printf("%lld\n", (long long)(top.p << 28) >> 28);
        top.clk = 1; top.eval();
    }
}
"""


def test_an_instance_uses_every_register(tmp_path: Path) -> None:
    verilog = tmp_path / "product.v"
    verilog.write_text(emit(_Product(), "product", {}).verilog, encoding="utf-8")
    program = build_model(verilog=[SIMULATION_MODEL, verilog], top="product", harness=PIPELINE)
    rng = np.random.default_rng(1)
    a, b = rng.integers(-(1 << 17), 1 << 17, 50), rng.integers(0, 1 << 17, 50)
    a[:2], b[:2] = (-(1 << 17), (1 << 17) - 1), (1 << 17) - 1
    arguments = [str(v) for pair in zip(a, b, strict=True) for v in pair]
    answer = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    seen = [int(line) for line in answer.stdout.split()]
    assert seen[PRODUCT_CYCLES:] == (a * b)[:-PRODUCT_CYCLES].tolist()


@pytest.mark.parametrize(("left", "right"), [(19, 8), (18, 18)])
def test_operands_that_do_not_fit_are_refused(left: int, right: int) -> None:
    unit = _Product()
    operands = unit.a.as_signed() if left == 18 else unit.p[:left].as_signed(), unit.p[:right]
    with pytest.raises(ValueError, match=r"^an operand must fit 18 bits, signed, not"):
        registered_product(Module(), *operands)
