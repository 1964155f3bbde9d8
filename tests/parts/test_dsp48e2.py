"""The DSP48E2 model against Yosys' model of the DSP48E1, and against integers where they differ."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hwgen import toolchain
from hwgen.parts.dsp48e2 import SIMULATION_MODEL
from hwgen.verilated import build_model
from tests.parts.dsp48_bench import (
    COMPARE,
    CONFIGURATIONS,
    CYCLES,
    INPUTS,
    PARAMETERS,
    RANDOM,
    drive,
    interface,
    module,
    words,
    yosys_cells,
)

# One wrong constant each, in places that only the stimulus in question would show.
MUTANTS = {
    "shift": ("{{17{PCIN[47]}}, PCIN[47:17]}", "{{16{PCIN[47]}}, PCIN[47:16]}"),
    "subtract": ("alumode[1] ? ~sum : sum", "alumode[0] ? ~sum : sum"),
    "reset": ("if (RSTD) ad_q", "if (RSTA) ad_q"),
    "enable": ("else if (CEA2) a2_q", "else if (CEA1) a2_q"),
    "cascade": ("BREG == 2 && BCASCREG == 1", "BREG == 2 && BCASCREG == 2"),
    "blank": ("!B_TO_AD && inmode[1]", "!B_TO_AD && inmode[2]"),
    "carry": ("3'b011: cin = PCIN[47]", "3'b011: cin = ~PCIN[47]"),
    "sign": ("x = {{3{m[44]}}, m}", "x = {3'd0, m}"),
}


def _cell(kind: str, index: int, *, old: bool) -> str:
    """Return one block of the chain; `old` for a DSP48E1."""
    tag = f"{'old' if old else 'new'}{index}"
    before = f"{'old' if old else 'new'}{index - 1}"
    parameters = [f".{name}({name})" for name in PARAMETERS if name not in ("CTRLREG", "CINREG", "DPORT")]
    parameters += [f".{name}(CTRLREG)" for name in ("INMODEREG", "OPMODEREG", "ALUMODEREG", "CARRYINSELREG")]
    parameters += [".CARRYINREG(CINREG)"]
    parameters += ['.USE_DPORT(DPORT ? "TRUE" : "FALSE")' if old else '.AMULTSEL(DPORT ? "AD" : "A")']
    if index:
        parameters += ['.A_INPUT("CASCADE")', '.B_INPUT("CASCADE")']
    special = ("A", "D", "PCIN", "OPMODE", "CARRYINSEL")
    pins = [f".{name}({name})" for name in INPUTS if name not in special]
    pins += [".A(a)", ".D(d)" if old else ".D({{2{d[24]}}, d})", ".CARRYINSEL(carryinsel)", ".CLK(CLK)"]
    pins += [".OPMODE(opmode)" if old else ".OPMODE({2'b00, opmode})"]
    pins += [f".ACIN({before}_a)", f".BCIN({before}_b)", f".PCIN({before}_p)"] if index else [".PCIN(PCIN)"]
    pins += ["" if index else ".ACIN(30'd0), .BCIN(18'd0)", ".CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0)"]
    pins += [f".ACOUT({tag}_a), .BCOUT({tag}_b), .PCOUT({tag}_p), .P({tag}_q)"]
    outputs = f"wire [29:0] {tag}_a; wire [17:0] {tag}_b; wire [47:0] {tag}_p; wire [47:0] {tag}_q;"
    return f"{outputs}\n{kind} #({', '.join(parameters)}) {tag} ({', '.join(filter(None, pins))});\n"


def _pair(name: str, new: str) -> str:
    """Return a module with a chain of two blocks of each kind, whose output is any difference."""
    parameters = ", ".join(f"parameter {name} = 1" for name in PARAMETERS)
    ports = ", ".join(f"input [{width - 1}:0] {port}" for port, width in INPUTS.items())
    signals = [f"{index}_{part}" for index in (0, 1) for part in "abpq"]
    differences = " || ".join(f"old{signal} !== new{signal}" for signal in signals)
    return f"""
module {name} #({parameters}) (input CLK, {ports}, output bad);
// The DSP48E1 has 25-bit operands and a 25-bit pre-adder: stay where 27 bits give the same.
wire [29:0] a = DPORT ? {{A[29:27], {{4{{A[23]}}}}, A[22:0]}} : {{A[29:27], {{3{{A[24]}}}}, A[23:0]}};
wire [24:0] d = {{D[23], D[23:0]}};
// P can be read back only from its register.
wire [6:0] opmode = PREG ? OPMODE : {{OPMODE[4] ? OPMODE[6:4] : 3'b000,
                                     OPMODE[3:2], OPMODE[1:0] == 2'b10 ? 2'b00 : OPMODE[1:0]}};
wire [2:0] carryinsel = PREG ? CARRYINSEL : CARRYINSEL & 3'b011;
{_cell("DSP48E1", 0, old=True)}{_cell("DSP48E1", 1, old=True)}
{_cell(new, 0, old=False)}{_cell(new, 1, old=False)}
assign bad = {differences};
endmodule
"""


def _comparison() -> str:
    """Return a top module with every configuration of the model, and every mutant in the first."""
    ports = ", ".join(f"input [{width - 1}:0] {port}" for port, width in INPUTS.items())
    pins = ", ".join(f".{port}({port})" for port in INPUTS)
    instances = [("pair", values) for values in CONFIGURATIONS.values()]
    instances += [(f"pair_{name}", CONFIGURATIONS["all"]) for name in MUTANTS]
    lines = [_pair("pair", "DSP48E2"), *(_pair(f"pair_{name}", f"DSP48E2_{name}") for name in MUTANTS)]
    lines += [f"module compare (input CLK, {ports}, output [{len(instances) - 1}:0] bad);"]
    for index, (kind, values) in enumerate(instances):
        settings = ", ".join(f".{name}({value})" for name, value in zip(PARAMETERS, values, strict=True))
        lines += [f"{kind} #({settings}) u{index} (.CLK(CLK), {pins}, .bad(bad[{index}]));"]
    return "\n".join([*lines, "endmodule\n"])


def _mutated(name: str) -> str:
    right, wrong = MUTANTS[name]
    text = SIMULATION_MODEL.read_text(encoding="utf-8")
    assert text.count(right) == 1
    return text.replace(right, wrong).replace("module DSP48E2 (", f"module DSP48E2_{name} (")


# Yosys' model is not ours to keep tidy, and the chains leave pins open; DSP48E2.v stays strict.
COMPARE_WAIVERS = """`verilator_config
lint_off -file "*/DSP48E1.v"
lint_off -rule COMBDLY -file "*/DSP48E1.v"
lint_off -file "*/compare.v"
"""


@pytest.fixture(scope="module")
def differing(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the configurations and the mutants that ever differed from the DSP48E1."""
    folder = tmp_path_factory.mktemp("dsp48e1")
    sources = {"DSP48E1": module(yosys_cells("cells_sim.v"), "DSP48E1"), "compare": _comparison()}
    sources |= {f"DSP48E2_{name}": _mutated(name) for name in MUTANTS}
    for name, text in sources.items():
        (folder / f"{name}.v").write_text(text, encoding="utf-8")
    waiver = folder / "compare.vlt"
    waiver.write_text(COMPARE_WAIVERS, encoding="utf-8")
    harness = COMPARE.replace("ENABLES", drive("CE", "bits(3) != 0"))
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
def test_equals_dsp48e1_every_cycle(differing: set[str], name: str) -> None:
    assert name not in differing


@pytest.mark.parametrize("name", MUTANTS)
def test_comparison_catches_a_wrong_constant(differing: set[str], name: str) -> None:
    assert name in differing


BEYOND = """
module beyond (input CLK, input [29:0] A, input [17:0] B, input [47:0] C, input [26:0] D, input [47:0] PCIN,
    input [4:0] INMODE, input [8:0] OPMODE, input [3:0] ALUMODE, input CARRYIN,
    output [47:0] plain, output [47:0] added, output [47:0] added_b, output [47:0] square,
    output [47:0] total);
"""
CONSTANT = 0xFEDC_BA98_7654
SETTINGS = {
    "plain": {},
    "added": {"AMULTSEL": '"AD"'},
    "added_b": {"AMULTSEL": '"AD"', "PREADDINSEL": '"B"'},
    "square": {"AMULTSEL": '"AD"', "BMULTSEL": '"AD"'},
    "total": {"PREG": "1"},
}

BEYOND_HARNESS = (
    RANDOM
    + r"""
static int64_t as_signed(uint64_t value, int width) { return int64_t(value << (64 - width)) >> (64 - width); }
int main(int argc, char** argv) {
    const uint64_t mask = (uint64_t(1) << 48) - 1;
    VerilatedContext context;
    Vtop top{&context};
    uint64_t total = 0;
    for (long cycle = 0; cycle < atol(argv[1]); ++cycle) {
        top.CLK = 0;
        top.A = operand(bits(1) ? 27 : 30, top.A);
        top.B = operand(18, top.B);
        top.C = operand(48, top.C);
        top.D = operand(27, top.D);
        top.PCIN = operand(48, top.PCIN);
        top.INMODE = bits(5);
        top.ALUMODE = bits(1) ? 3 : 0;
        top.CARRYIN = bits(1);
        const int w = bits(1) ? 2 : 3, z = bits(1) ? 3 : bits(1);
        top.OPMODE = w << 7 | z << 4 | 5;

        const bool a_off = top.INMODE & 2, subtract = top.INMODE & 8;
        const int64_t a = as_signed(top.A, 27), b = as_signed(top.B, 18);
        const int64_t d = top.INMODE & 4 ? as_signed(top.D, 27) : 0;
        const int64_t with_a = a_off ? 0 : a, with_b = a_off ? 0 : b;
        const int64_t ad = as_signed(subtract ? d - with_a : d + with_a, 27);
        const int64_t ad_b = as_signed(subtract ? d - with_b : d + with_b, 27);
        const uint64_t other = w == 2 ? CONSTANT : top.C;
        const uint64_t left = z == 3 ? top.C : z == 1 ? top.PCIN : 0;
        auto result = [&](int64_t product, uint64_t w_value) {
            const uint64_t right = uint64_t(product) + w_value + top.CARRYIN;
            return (top.ALUMODE ? left - right : left + right) & mask;
        };
        top.eval();
        bool right = top.plain == result(with_a * b, other);
        right &= top.added == result(ad * b, other);
        right &= top.added_b == result(ad_b * with_b, other);
        right &= top.square == result(ad * as_signed(ad, 18), other);
        if (!right) return printf("cycle %ld: inmode %x opmode %x\n", cycle, top.INMODE, top.OPMODE), 1;

        top.OPMODE = 1 << 7 | z << 4 | 5;
        top.eval();
        total = result(with_a * b, total);
        top.CLK = 1;
        top.OPMODE = 1 << 7 | z << 4 | 5;
        top.eval();
        if (top.total != total) return printf("cycle %ld: total\n", cycle), 1;
    }
}
"""
)


def _beyond() -> str:
    """Return blocks without registers, one a setting; ``total`` feeds P back through W."""
    registers = [name for name in PARAMETERS if name.endswith("REG") and name != "CTRLREG"]
    registers += ["INMODEREG", "OPMODEREG", "ALUMODEREG", "CARRYINSELREG", "CARRYINREG"]
    registers.remove("CINREG")
    base = dict.fromkeys(registers, "0") | {"RND": f"48'd{CONSTANT}"}
    pins = ", ".join(f".{name}({name})" for name in words("CLK A B C D PCIN INMODE ALUMODE CARRYIN"))
    pins += (
        ", .CEP(1'b1), .ACIN(30'd0), .BCIN(18'd0), .CARRYINSEL(3'd0), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0)"
    )
    idle = [name for name in INPUTS if name.startswith(("CE", "RST")) and name != "CEP"]
    pins += "".join(f", .{name}(1'b0)" for name in idle)
    lines = [BEYOND]
    for name, setting in SETTINGS.items():
        parameters = ", ".join(f".{key}({value})" for key, value in (base | setting).items())
        # A block without a register on P must not see the mode that reads it.
        mode = "OPMODE" if name == "total" else "OPMODE[8] ? OPMODE : 9'd0"
        lines += [f"DSP48E2 #({parameters}) u_{name} ({pins}, .OPMODE({mode}), .P({name}));"]
    return "\n".join([*lines, "endmodule\n"])


def test_what_only_the_dsp48e2_has_equals_integers(tmp_path: Path) -> None:
    source = tmp_path / "beyond.v"
    source.write_text(_beyond(), encoding="utf-8")
    waiver = tmp_path / "beyond.vlt"
    waiver.write_text('`verilator_config\nlint_off -rule PINMISSING -file "*/beyond.v"\n')
    program = build_model(
        verilog=[SIMULATION_MODEL, source],
        top="beyond",
        harness=BEYOND_HARNESS.replace("CONSTANT", f"uint64_t({CONSTANT})"),
        waivers=[waiver],
    )
    answer = subprocess.run([program, str(CYCLES)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_interface_is_the_primitives(tmp_path: Path) -> None:
    theirs = interface(module(yosys_cells("cells_xtra.v"), "DSP48E2"), "DSP48E2", tmp_path)
    ours = interface(SIMULATION_MODEL.read_text(encoding="utf-8"), "DSP48E2", tmp_path)
    assert ours == theirs


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
        ("-GIS_CLK_INVERTED=1", 0, "IS_CLK_INVERTED"),
        ("-GPREG=1", 4, "ALUMODE"),
        ("-GPREG=1", 3, None),
    ],
)
def test_stops_outside_the_subset(flag: str, alumode: int, named: str | None) -> None:
    program = build_model(verilog=[SIMULATION_MODEL], top="DSP48E2", harness=CLOCKED, flags=[flag])
    answer = subprocess.run([program, str(alumode)], capture_output=True, text=True, check=False)
    assert (answer.returncode != 0) == (named is not None)
    assert named is None or named in answer.stdout + answer.stderr


ICARUS_BENCH = """
module bench;
reg clk = 0; wire [47:0] p;
DSP48E2 #(.OPMODEREG(0)) dut (.CLK(clk), .A(30'd5), .B(18'h3fffd), .C(48'd0), .D(27'd0), .PCIN(48'd0),
    .OPMODE(9'h085), .ALUMODE(4'd0), .INMODE(5'd0), .CARRYIN(1'b0), .CARRYINSEL(3'd0), .P(p),
    .CEA1(1'b0), .CEA2(1'b1), .CEB1(1'b0), .CEB2(1'b1), .CEC(1'b1), .CED(1'b1), .CEAD(1'b1), .CEM(1'b1),
    .CEP(1'b1), .CECTRL(1'b1), .CEALUMODE(1'b1), .CEINMODE(1'b1), .CECARRYIN(1'b1), .RSTA(1'b0),
    .RSTB(1'b0), .RSTC(1'b0), .RSTD(1'b0), .RSTM(1'b0), .RSTP(1'b0), .RSTCTRL(1'b0), .RSTALUMODE(1'b0),
    .RSTINMODE(1'b0), .RSTALLCARRYIN(1'b0), .ACIN(30'd0), .BCIN(18'd0), .CARRYCASCIN(1'b0),
    .MULTSIGNIN(1'b0));
integer i;
initial begin
    for (i = 0; i < 6; i = i + 1) begin #1 clk = 1; #1 clk = 0; end
    $display("%0d", $signed(p));
end
endmodule
"""


def test_runs_in_icarus(tmp_path: Path) -> None:
    iverilog = toolchain.icarus()
    if iverilog is None:
        pytest.skip("Icarus is not installed")
    (tmp_path / "bench.v").write_text(ICARUS_BENCH, encoding="utf-8")
    sources = [str(SIMULATION_MODEL), str(tmp_path / "bench.v")]
    command = [str(iverilog), "-g2005", "-s", "bench", "-o", str(tmp_path / "bench.vvp"), *sources]
    subprocess.run(command, check=True)
    answer = subprocess.run(["vvp", str(tmp_path / "bench.vvp")], capture_output=True, text=True, check=True)
    # OPMODE 01_000_01_01, P through W: two edges fill the pipeline, four accumulate 5 * -3.
    assert answer.stdout.split() == ["-60"]
