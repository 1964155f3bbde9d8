# amaranth: UnusedElaboratable=no
"""The SB_MAC16 model against Yosys' own, cycle by cycle, in every configuration that it takes."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, Signal

from hwgen import toolchain
from hwgen.parts.sb_mac16 import SIMULATION_MODEL
from hwgen.parts.sb_mac16.rtl import registered_pair
from hwgen.verilated import build_model

CYCLES = 20_000

# Registers of A, of B and of the products, signs of A and of B, and whether the outputs have registers.
CONFIGURATIONS = list(itertools.product((0, 1), repeat=6))
ALL = (1, 1, 1, 1, 1, 1)
MUTANTS = {
    "sign_of_a": ("{8{A_SIGNED && a[7]}}", "{8{A_SIGNED && a[15]}}"),
    "sign_of_b": ("{8{B_SIGNED && b[15]}}", "{8{A_SIGNED && b[7]}}"),
    "lane": ("bottom_next = a_low * b_low", "bottom_next = a_low * b_high"),
    "hold": ("if (!OHOLDTOP)", "if (!OHOLDBOT)"),
    "addend": ("bottom + D", "bottom + C"),
    "enable": ("if (CE) begin", "if (CE || AHOLD) begin"),
}
INPUTS = {"CE": 1, "A": 16, "B": 16, "C": 16, "D": 16, "AHOLD": 1, "BHOLD": 1, "OHOLDTOP": 1, "OHOLDBOT": 1}
TIED = (
    "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT", "OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT",
    "CI", "ACCUMCI", "SIGNEXTIN",
)  # fmt: skip


def _theirs() -> str:
    """Return Yosys' model of the primitive."""
    spec = importlib.util.find_spec("pyosys")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "share" / "ice40" / "cells_sim.v"
    found = re.search(r"^module SB_MAC16 \(.*?^endmodule\n", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


def _parameters(held: tuple[int, ...]) -> str:
    a, b, product, sign_a, sign_b, output = held
    names = {"A_REG": a, "B_REG": b, "A_SIGNED": sign_a, "B_SIGNED": sign_b, "MODE_8x8": 1}
    for half in ("TOP", "BOT"):
        names |= {f"{half}_8x8_MULT_REG": product, f"{half}OUTPUT_SELECT": 1 if output else 2}
        names |= {f"{half}ADDSUB_LOWERINPUT": 1, f"{half}ADDSUB_UPPERINPUT": 1}
    return ", ".join(f".{name}({value})" for name, value in names.items())


def _top() -> str:
    """Return a module that compares a block of each kind, for every configuration and every mutant."""
    kinds = [("SB_MAC16", held) for held in CONFIGURATIONS]
    kinds += [(f"SB_MAC16_{name}", ALL) for name in MUTANTS]
    ports = ", ".join(f"input [{width - 1}:0] {name}" for name, width in INPUTS.items())
    pins = ", ".join([".CLK(CLK)", *(f".{n}({n})" for n in INPUTS), *(f".{n}(1'b0)" for n in TIED)])
    lines = [f"module compare (input CLK, {ports}, output [{len(kinds) - 1}:0] bad);"]
    for index, (kind, held) in enumerate(kinds):
        lines.append(f"  wire [31:0] o{index}, y{index};")
        for name, instance in ((kind, "o"), ("SB_MAC16_yosys", "y")):
            lines.append(
                f"  {name} #({_parameters(held)}) block_{instance}{index} ({pins}, .O({instance}{index}));"
            )
        lines.append(f"  assign bad[{index}] = o{index} !== y{index};")
    return "\n".join([*lines, "endmodule\n"])


HARNESS = r"""
#include "Vtop.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
static uint64_t state = 0x9e3779b97f4a7c15u;
static uint64_t bits(int width) {
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    return (state * 0x2545f4914f6cdd1du) >> (64 - width);
}
static uint64_t byte() {
    const uint64_t edges[] = {0, 1, 0x80, 0x7f, 0xff};
    return bits(1) ? edges[bits(20) % 5] : bits(8);
}
int main(int argc, char** argv) {
    Vtop top;
    std::string ever(COUNT, '0');
    for (long cycle = 0; cycle < atol(argv[1]); ++cycle) {
        top.CLK = 0;
        top.A = byte() << 8 | byte(); top.B = byte() << 8 | byte();
        top.C = bits(1) ? 0 : bits(16); top.D = bits(1) ? 0 : bits(16);
        top.CE = bits(3) != 0;
        top.AHOLD = bits(3) == 0; top.BHOLD = bits(3) == 0;
        top.OHOLDTOP = bits(3) == 0; top.OHOLDBOT = bits(3) == 0;
        for (int edge = 0; edge < 2; ++edge) {
            top.CLK = edge;
            top.eval();
            for (int i = 0; i < COUNT; ++i) if (top.bad[i / 32] >> (i % 32) & 1) ever[i] = '1';
        }
    }
    puts(ever.c_str());
}
"""


@pytest.fixture(scope="module")
def differing(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a digit per configuration and mutant: whether it ever differed from Yosys' model."""
    folder = tmp_path_factory.mktemp("sb_mac16")
    text = SIMULATION_MODEL.read_text(encoding="utf-8")
    sources = {"compare": _top(), "yosys": _theirs().replace("module SB_MAC16 (", "module SB_MAC16_yosys (")}
    for name, (right, wrong) in MUTANTS.items():
        assert text.count(right) == 1, name
        sources[name] = text.replace(right, wrong).replace("module SB_MAC16 (", f"module SB_MAC16_{name} (")
    for name, source in sources.items():
        (folder / f"{name}.v").write_text(source, encoding="utf-8")
    # Yosys' model and wrong copies are not ours to keep tidy; SB_MAC16.v stays strict.
    waiver = folder / "waiver.vlt"
    waiver.write_text("`verilator_config\n" + "".join(f'lint_off -file "*/{name}.v"\n' for name in sources))
    program = build_model(
        verilog=[SIMULATION_MODEL, *(folder / f"{name}.v" for name in sources)],
        top="compare",
        harness=HARNESS.replace("COUNT", str(len(CONFIGURATIONS) + len(MUTANTS))),
        waivers=[waiver],
        flags=["-CFLAGS", "-O0"],
    )
    answer = subprocess.run([program, str(CYCLES)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout.strip()


def test_equals_yosys_model_every_cycle(differing: str) -> None:
    seen = zip(CONFIGURATIONS, differing, strict=False)
    assert [held for held, digit in seen if digit != "0"] == []


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_copy_is_caught(differing: str, name: str) -> None:
    assert differing[len(CONFIGURATIONS) + list(MUTANTS).index(name)] == "1"


def _interface(text: str, folder: Path) -> dict[str, Any]:
    (folder / "cell.v").write_text(text, encoding="utf-8")
    toolchain.yosys(f"read_verilog -lib {folder / 'cell.v'}\nwrite_json {folder / 'cell.json'}")
    module = json.loads((folder / "cell.json").read_text(encoding="utf-8"))["modules"]["SB_MAC16"]
    ports = {name: (port["direction"], len(port["bits"])) for name, port in module["ports"].items()}
    return {"ports": ports, "parameters": module["parameter_default_values"]}


def test_interface_is_the_primitives_as_far_as_it_goes(tmp_path: Path) -> None:
    ours, theirs = _interface(SIMULATION_MODEL.read_text(), tmp_path), _interface(_theirs(), tmp_path)
    assert ours["parameters"] == theirs["parameters"]
    assert ours["ports"].items() <= theirs["ports"].items()
    assert theirs["ports"].keys() - ours["ports"].keys() == {"CO", "ACCUMCO", "SIGNEXTOUT"}


def test_lints_clean_with_every_warning() -> None:
    verilator = toolchain.verilator()
    answer = subprocess.run(
        [verilator.executable, "--lint-only", "-Wall", "--quiet", "-GMODE_8x8=1", SIMULATION_MODEL],
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
    top.ADDSUBTOP = atoi(argv[1]);
    for (int i = 0; i < 8; ++i) { top.CLK = i & 1; top.eval(); }
}
"""


@pytest.mark.parametrize(
    ("flags", "subtract", "named"),
    [
        ("-GMODE_8x8=0", 0, "MODE_8x8"),
        ("-GTOPOUTPUT_SELECT=0 -GMODE_8x8=1", 0, "TOPOUTPUT_SELECT"),
        ("-GTOPOUTPUT_SELECT=2'd2 -GBOTOUTPUT_SELECT=2'd2 -GMODE_8x8=1", 1, "ADDSUBTOP"),
        ("-GTOPOUTPUT_SELECT=2'd2 -GBOTOUTPUT_SELECT=2'd2 -GMODE_8x8=1", 0, None),
    ],
)
def test_stops_outside_the_subset(flags: str, subtract: int, named: str | None) -> None:
    program = build_model(verilog=[SIMULATION_MODEL], top="SB_MAC16", harness=CLOCKED, flags=flags.split())
    answer = subprocess.run([program, str(subtract)], capture_output=True, text=True, check=False)
    assert (answer.returncode != 0) == (named is not None)
    if named is not None:
        assert f"SB_MAC16: {named}" in answer.stdout + answer.stderr


@pytest.mark.parametrize(("pair", "other"), [(15, 8), (16, 9)])
def test_operands_that_do_not_fit_are_refused(pair: int, other: int) -> None:
    with pytest.raises(
        ValueError, match=f"^operands must have 16 and at most 8 bits, not {pair} and {other}$"
    ):
        registered_pair(Module(), Signal(pair), Signal(other), signed_pair=True)
