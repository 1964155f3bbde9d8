"""The DSP48E1 model against Yosys' own, at full widths."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from hwgen import toolchain
from hwgen.parts.dsp48e1 import SIMULATION_MODEL
from hwgen.verilated import build_model
from tests.parts.dsp48_bench import (
    COMPARE,
    CONFIGURATIONS,
    CYCLES,
    INPUTS,
    PARAMETERS,
    drive,
    interface,
    module,
    yosys_cells,
)

WIDTHS = INPUTS | {"D": 25}

# One wrong constant each, in places that only the stimulus in question would show.
MUTANTS = {
    "shift": ("{{17{PCIN[47]}}, PCIN[47:17]}", "{{16{PCIN[47]}}, PCIN[47:16]}"),
    "subtract": ("alumode[1] ? ~sum : sum", "alumode[0] ? ~sum : sum"),
    "reset": ("if (RSTD) ad_q", "if (RSTA) ad_q"),
    "enable": ("else if (CEA2) a2_q", "else if (CEA1) a2_q"),
    "cascade": ("BREG == 2 && BCASCREG == 1", "BREG == 2 && BCASCREG == 2"),
    "blank": ("inmode[1] ? 25'sd0", "inmode[2] ? 25'sd0"),
    "carry": ("3'b011: cin = PCIN[47]", "3'b011: cin = ~PCIN[47]"),
    "sign": ("x = {{5{m[42]}}, m}", "x = {5'd0, m}"),
    "width": ("{{18{a_factor[24]}}, a_factor}", "{{19{a_factor[23]}}, a_factor[23:0]}"),
    "pre_adder": ("d_operand - a_operand", "a_operand - d_operand"),
}


def _cell(kind: str, tag: str, index: int) -> str:
    """Return one block of a chain of two."""
    parameters = [f".{name}({name})" for name in PARAMETERS if name not in ("CTRLREG", "CINREG", "DPORT")]
    parameters += [f".{name}(CTRLREG)" for name in ("INMODEREG", "OPMODEREG", "ALUMODEREG", "CARRYINSELREG")]
    parameters += [".CARRYINREG(CINREG)", '.USE_DPORT(DPORT ? "TRUE" : "FALSE")']
    pins = [f".{name}({name})" for name in INPUTS if name not in ("PCIN", "OPMODE", "CARRYINSEL")]
    pins += [".OPMODE(opmode)", ".CARRYINSEL(carryinsel)", ".CLK(CLK), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0)"]
    if index:
        parameters += ['.A_INPUT("CASCADE")', '.B_INPUT("CASCADE")']
        pins += [f".{name}CIN({tag}{index - 1}_{name.lower()})" for name in "ABP"]
    else:
        pins += [".ACIN(30'd0), .BCIN(18'd0), .PCIN(PCIN)"]
    tag += str(index)
    pins += [f".ACOUT({tag}_a), .BCOUT({tag}_b), .PCOUT({tag}_p), .P({tag}_q)"]
    outputs = f"wire [29:0] {tag}_a; wire [17:0] {tag}_b; wire [47:0] {tag}_p; wire [47:0] {tag}_q;"
    return f"{outputs}\n{kind} #({', '.join(parameters)}) {tag} ({', '.join(pins)});\n"


def _pair(name: str, kind: str) -> str:
    """Return a module with a chain of two blocks of each kind, whose output is any difference."""
    parameters = ", ".join(f"parameter {name} = 1" for name in PARAMETERS)
    ports = ", ".join(f"input [{width - 1}:0] {port}" for port, width in WIDTHS.items())
    differences = " || ".join(
        f"old{index}_{part} !== new{index}_{part}" for index in (0, 1) for part in "abpq"
    )
    return f"""
module {name} #({parameters}) (input CLK, {ports}, output bad);
// P can be read back only from its register.
wire [6:0] opmode = PREG ? OPMODE : {{OPMODE[4] ? OPMODE[6:4] : 3'b000,
                                     OPMODE[3:2], OPMODE[1:0] == 2'b10 ? 2'b00 : OPMODE[1:0]}};
wire [2:0] carryinsel = PREG ? CARRYINSEL : CARRYINSEL & 3'b011;
{"".join(_cell("DSP48E1_yosys", "old", index) + _cell(kind, "new", index) for index in (0, 1))}
assign bad = {differences};
endmodule
"""


def _comparison() -> str:
    """Return a top module with every configuration of the model, and every mutant in the first."""
    ports = ", ".join(f"input [{width - 1}:0] {port}" for port, width in WIDTHS.items())
    pins = ", ".join(f".{port}({port})" for port in WIDTHS)
    instances = [("pair", values) for values in CONFIGURATIONS.values()]
    instances += [(f"pair_{name}", CONFIGURATIONS["all"]) for name in MUTANTS]
    lines = [_pair("pair", "DSP48E1"), *(_pair(f"pair_{name}", f"DSP48E1_{name}") for name in MUTANTS)]
    lines += [f"module compare (input CLK, {ports}, output [{len(instances) - 1}:0] bad);"]
    for index, (kind, values) in enumerate(instances):
        settings = ", ".join(f".{name}({value})" for name, value in zip(PARAMETERS, values, strict=True))
        lines += [f"{kind} #({settings}) u{index} (.CLK(CLK), {pins}, .bad(bad[{index}]));"]
    return "\n".join([*lines, "endmodule\n"])


def _renamed(text: str, name: str) -> str:
    assert text.count("module DSP48E1 (") == 1
    return text.replace("module DSP48E1 (", f"module DSP48E1_{name} (")


def _mutated(name: str) -> str:
    right, wrong = MUTANTS[name]
    text = SIMULATION_MODEL.read_text(encoding="utf-8")
    assert text.count(right) == 1
    return _renamed(text.replace(right, wrong), name)


# Yosys' model is not ours to keep tidy, and the chains leave pins open; DSP48E1.v stays strict.
WAIVERS = """`verilator_config
lint_off -file "*/DSP48E1_*.v"
lint_off -rule COMBDLY -file "*/DSP48E1_yosys.v"
lint_off -file "*/compare.v"
"""


@pytest.fixture(scope="module")
def differing(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the configurations and the mutants that ever differed from Yosys' model."""
    folder = tmp_path_factory.mktemp("dsp48e1")
    sources = {
        "DSP48E1_yosys": _renamed(module(yosys_cells("cells_sim.v"), "DSP48E1"), "yosys"),
        "compare": _comparison(),
    }
    sources |= {f"DSP48E1_{name}": _mutated(name) for name in MUTANTS}
    for name, text in sources.items():
        (folder / f"{name}.v").write_text(text, encoding="utf-8")
    waiver = folder / "compare.vlt"
    waiver.write_text(WAIVERS, encoding="utf-8")
    harness = COMPARE.replace("ENABLES", drive("CE", "bits(3) != 0")).replace("operand(24,", "operand(25,")
    program = build_model(
        verilog=[SIMULATION_MODEL, *(folder / f"{name}.v" for name in sources)],
        top="compare",
        harness=harness.replace("RESETS", drive("RST", "bits(6) == 0")),
        # Compiling well would take 30 seconds more, to run 2 seconds less.
        flags=["-CFLAGS", "-O0"],
        waivers=[waiver],
    )
    answer = subprocess.run([program, str(CYCLES)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    ever = int(answer.stdout, 16)
    return {name for index, name in enumerate([*CONFIGURATIONS, *MUTANTS]) if ever >> index & 1}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_equals_yosys_model_every_cycle(differing: set[str], name: str) -> None:
    assert name not in differing


@pytest.mark.parametrize("name", MUTANTS)
def test_comparison_catches_a_wrong_constant(differing: set[str], name: str) -> None:
    assert name in differing


def test_interface_is_the_primitives(tmp_path: Path) -> None:
    theirs = module(yosys_cells("cells_sim.v"), "DSP48E1")
    plain = re.sub(r"`ifdef YOSYS.*?`endif", "", theirs, flags=re.DOTALL)
    ours = SIMULATION_MODEL.read_text(encoding="utf-8")
    assert interface(ours, "DSP48E1", tmp_path) == interface(plain, "DSP48E1", tmp_path)


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
    top.CEP = top.CEALUMODE = 1;
    top.ALUMODE = atoi(argv[1]);
    for (int i = 0; i < 8; ++i) { top.CLK = i & 1; top.eval(); }
}
"""


@pytest.mark.parametrize(
    ("flag", "alumode", "named"),
    [
        ('-GUSE_SIMD="FOUR12"', 0, "USE_SIMD"),
        ('-GUSE_DPORT="MAYBE"', 0, "USE_DPORT"),
        ("-GPREG=1", 4, "ALUMODE"),
        ("-GPREG=1", 3, None),
    ],
)
def test_stops_outside_the_subset(flag: str, alumode: int, named: str | None) -> None:
    program = build_model(verilog=[SIMULATION_MODEL], top="DSP48E1", harness=CLOCKED, flags=[flag])
    answer = subprocess.run([program, str(alumode)], capture_output=True, text=True, check=False)
    assert (answer.returncode != 0) == (named is not None)
    if named is not None:
        assert f"DSP48E1: {named}" in answer.stdout + answer.stderr
