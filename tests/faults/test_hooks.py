"""Hooks: every bit of state has a place, and what a fault does there is what the contract says, cycle by cycle."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwgen import toolchain
from hwgen.cores import dsp_gemm, lut_gemm
from hwgen.cores.dsp_gemm import DspGemmConfig
from hwgen.cores.lut_gemm import LutGemmConfig
from hwgen.errors import BadInput
from hwgen.faults.hooks import FAULT_PORTS, Hooked, hooked
from hwgen.faults.netlist import read_netlist
from hwgen.faults.sites import Kind
from hwgen.parts.dsp48e2 import SIMULATION_MODEL as DSP_MODEL
from hwgen.parts.mult18x18d import SIMULATION_MODEL as MULT_MODEL
from hwgen.parts.popcount import SIMULATION_MODEL as LUT_MODEL
from hwgen.verify.block import Block
from tests.faults.hook_bench import Bench, Fault, Model, ports

RTL = Path(__file__).parents[2] / "rtl_out"
CONFIGURATIONS = sorted(RTL.glob("*/*.v"))
SMALL = {
    "dsp_gemm_int8_8x8_generic",
    "activation_gelu_int8",
    "softmax_u8_online_pow2",
    "sparse_chain_4_generic",
}

DESIGN = """
module leaf(input clk, input rst, input clear, input en, input [7:0] d, output [63:0] q, output reg bit_q);
  reg [7:0] plain = 3;
  reg [7:0] enabled = 5;
  reg [7:0] resets = 7;
  reg [7:0] both = 9;
  reg [7:0] enable_first = 11;
  reg [7:0] twice = 13;
  reg [5:0] count = 0;
  reg [1:0] narrow = 1;
  reg [7:0] counts = 0;
  initial bit_q = 1;
  assign q = {counts, narrow, count, twice, enable_first, both, resets, enabled, plain};
  always @(posedge clk) begin
    plain <= d;
    if (en) enabled <= d;
    if (rst) resets <= 8'h07; else resets <= d + resets;
    if (rst) both <= 8'h5a; else if (en) both <= d;
    if (en) if (clear) enable_first <= 8'h33; else enable_first <= d;
    if (rst) twice <= 0; else if (clear) twice <= 0; else if (en) twice <= twice ^ d;
    if (rst) count <= 0; else count <= count + 1;
    if (!en) narrow <= d[1:0];
    if (clear) counts <= 8'hf0; else if (!en) counts <= counts - d;
    if (rst) bit_q <= 0; else if (en) bit_q <= d[0];
  end
endmodule
module bank(input clk, input [1:0] mask, input [3:0] row, input [39:0] data, input en, input [3:0] at,
            output [39:0] q);
  (* ram_style = "block" *)
  reg [39:0] memory [15:0];
  integer i;
  initial for (i = 0; i < 16; i = i + 1) memory[i] = 0;
  reg [39:0] loaded = 0;
  assign q = loaded;
  always @(posedge clk) begin
    if (mask[0]) memory[row][19:0] <= data[19:0];
    if (mask[1]) memory[row][39:20] <= data[39:20];
  end
  always @(posedge clk) if (en) loaded <= memory[at];
endmodule
module shelf(input clk, input we, input [1:0] row, input [4:0] data, input [1:0] at, input [1:0] then,
             output [4:0] now, output [4:0] late, output reg [4:0] also, output [7:0] rom);
  reg [4:0] memory [2:0];
  reg [7:0] table_ [3:0];
  reg [4:0] kept = 0;
  initial begin
    also = 0; memory[0] = 1; memory[1] = 2; memory[2] = 3;
    table_[0] = 8'h12; table_[1] = 8'h34; table_[2] = 8'h56; table_[3] = 8'h78;
  end
  assign now = memory[at];
  assign late = kept;
  assign rom = table_[then];
  always @(posedge clk) begin
    if (we) memory[row] <= data;
    kept <= memory[then];
    also <= now;
  end
endmodule
module lookup(input [1:0] at, output [2:0] y);
  reg [2:0] values [3:0];
  initial begin values[0] = 1; values[1] = 4; values[2] = 2; values[3] = 7; end
  assign y = values[at];
endmodule
module top(input clk, input rst, input clear, input en, input [7:0] d, input [1:0] mask, input [3:0] row,
           input [39:0] data, input [3:0] at, output [63:0] q_a, output [63:0] q_b, output bit_a, output bit_b,
           output [39:0] bank_q, output [4:0] now, output [4:0] late, output [4:0] also, output [7:0] rom,
           output [2:0] y, output reg [69:0] wide);
  initial wide = 0;
  wire [7:0] between = q_a[7:0] ^ q_a[15:8];
  leaf leaf_a(.clk(clk), .rst(rst), .clear(clear), .en(en), .d(d), .q(q_a), .bit_q(bit_a));
  leaf leaf_b(.clk(clk), .rst(rst), .clear(clear), .en(en), .d(between), .q(q_b), .bit_q(bit_b));
  bank bank_0(.clk(clk), .mask(mask), .row(row), .data(data), .en(en), .at(at), .q(bank_q));
  wire [1:0] into = row[1:0] == 2'd3 ? 2'd0 : row[1:0];
  wire [1:0] from = at[1:0] == 2'd3 ? 2'd1 : at[1:0];
  wire [1:0] then = row[3:2] == 2'd3 ? 2'd2 : row[3:2];
  shelf shelf_0(.clk(clk), .we(mask[0]), .row(into), .data(data[4:0]), .at(from), .then(then), .now(now),
                .late(late), .also(also), .rom(rom));
  lookup lookup_0(.at(at[1:0]), .y(y));
  always @(posedge clk) if (en) wide <= {wide[61:0], d};
endmodule
"""
CYCLES = 24


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("design") / "design.v"
    path.write_text(DESIGN)
    return path


@pytest.fixture(scope="module")
def made(design: Path) -> Hooked:
    return hooked([design], "top")


def bench_of(made: Hooked, folder: Path) -> Bench:
    """The hooked design in a harness."""
    path = folder / f"{made.top}_hooked.v"
    path.write_text(made.verilog)
    netlist = read_netlist(made.sources, made.top)
    widths = dict(zip(FAULT_PORTS, (1, made.address_bits, made.row_bits, 1, 32, 32, 1), strict=True))
    inputs = {p.name: len(p.bits) for p in netlist.ports if p.direction == "input" and p.name != "clk"}
    outputs = {p.name: len(p.bits) for p in netlist.ports if p.direction == "output"}
    return Bench([path], made.top, {**inputs, **widths}, outputs)


def stimulus(made: Hooked, rng: np.random.Generator, runs: int, cycles: int) -> dict[str, Any]:
    """Random values of all inputs; those of one bit that begin or clear something are rare."""
    given = {}
    for port in read_netlist(made.sources, made.top).ports:
        if port.direction == "input" and port.name != "clk":
            values = np.zeros((1, cycles), object)
            for low in range(0, len(port.bits), 16):
                size = min(16, len(port.bits) - low)
                values += rng.integers(0, 1 << size, (1, cycles)).astype(object) << low
            if port.name in ("rst", "clear"):
                values = (rng.random((1, cycles)) < 0.1).astype(object) * 1
            given[port.name] = values
    return given


def same(made: Hooked, faults: list[Fault], seed: int, folder: Path, cycles: int = CYCLES) -> int:
    """Assert that the hooked Verilog gives what the model gives; tells in how many runs the fault was seen."""
    netlist = read_netlist(made.sources, made.top)
    given = stimulus(made, np.random.default_rng(seed), len(faults), cycles)
    seen = bench_of(made, folder).run({**given, **ports(faults, cycles)}, folder)
    told = Model(netlist, made.map, faults).run(given, cycles)
    clean = Model(netlist, made.map, [Fault(0, 0, 0, 0, ())]).run(given, cycles)
    changed = np.zeros(len(faults), bool)
    for name, values in told.items():
        wrong = np.argwhere(seen[name] != values)
        assert not len(wrong), f"{name} of {faults[wrong[0][0]]} in cycle {wrong[0][1]}"
        changed |= (values != clean[name]).any(axis=1)
    return int(changed.sum())


def test_each_bit_has_a_place_of_its_own(made: Hooked) -> None:
    ids = np.arange(len(made.map.table))
    word, row, bit = made.locate(ids)
    places = set(zip(word.tolist(), row.tolist(), bit.tolist(), strict=True))
    assert len(places) == len(ids)
    assert word.min() >= 0
    assert word.max() < 1 << made.address_bits
    assert bit.max() < 32
    assert row.max() < 1 << made.row_bits
    assert not made.unreachable.size


def test_neighbours_in_a_register_are_neighbours_in_a_word(made: Hooked) -> None:
    for element in made.map.table:
        word, _, bit = made.locate(element.first + np.arange(element.width))
        for i in range(1, element.width):
            assert (word[i] == word[i - 1] and bit[i] == bit[i - 1] + 1) or bit[i] == 0


@pytest.mark.parametrize("cycle", [3, 11])
def test_every_bit_upset_once(made: Hooked, tmp_path: Path, cycle: int) -> None:
    word, row, bit = made.locate(np.arange(len(made.map.table)))
    faults = [Fault(int(w), int(r), 0, 1 << int(b), (cycle,)) for w, r, b in zip(word, row, bit, strict=True)]
    assert same(made, faults, cycle, tmp_path) > len(faults) // 3


def random_faults(made: Hooked, rng: np.random.Generator, count: int, cycles: int = CYCLES) -> list[Fault]:
    """Masks of any kind for whole words, of registers and memories, in any cycles."""
    table = made.map.table
    rare = [e.first for e in table if e.kind is Kind.MEMORY]
    found = []
    for _ in range(count):
        site = int(rng.integers(len(table))) if not rare or rng.random() < 0.5 else int(rng.choice(rare))
        (word,), (row,), _ = made.locate([site])
        element = table.site(site).element
        if element.kind is Kind.MEMORY:
            row = rng.integers(element.depth)
        first, length = rng.integers(cycles), rng.integers(1, cycles)
        active = [
            c for c in range(first, min(cycles, first + length)) if rng.random() < rng.choice([0.4, 1.1])
        ]
        masks = [int(rng.integers(1 << 32)) & int(rng.integers(1 << 32)) for _ in range(2)]
        found.append(Fault(int(word), int(row), *masks, tuple(active), column=bool(rng.random() < 0.3)))
    return found


def test_any_masks_in_any_cycles(made: Hooked, tmp_path: Path) -> None:
    faults = random_faults(made, np.random.default_rng(5), 600)
    assert same(made, faults, 6, tmp_path) > 200


def test_idle_hooks_and_hooks_elsewhere_change_nothing(made: Hooked, tmp_path: Path) -> None:
    faults = [Fault(w, 0, 0xFFFFFFFF, 0xFFFFFFFF, ()) for w in range(4)]
    assert same(made, faults, 7, tmp_path) == 0
    given = stimulus(made, np.random.default_rng(8), 1, CYCLES)
    bench = bench_of(made, tmp_path)
    shown = ports([Fault(0, 0, 0, 0xFFFFFFFF, tuple(range(CYCLES)))], CYCLES)
    off = bench.run({**given, **shown, "fault_select": np.zeros((1, 1), int)}, tmp_path)
    idle = bench.run({**given, **ports([Fault(0, 0, 0, 0, ())], CYCLES)}, tmp_path)
    for name, values in off.items():
        assert (values == idle[name]).all()


def test_a_swap_exchanges_what_two_registers_load(design: Path, tmp_path: Path) -> None:
    pair = ("leaf_a.plain", "leaf_a.both")
    made = hooked([design], "top", swaps=[pair])
    bench = bench_of(made, tmp_path)
    given: dict[str, Any] = {"rst": 0, "clear": 0, "en": 1, "d": np.arange(1, 9).reshape(1, 8)}
    plain = bench.run({**given, **ports([Fault(0, 0, 0, 0, ())], 8)}, tmp_path)["q_a"]
    given["rst"] = np.array([[0, 0, 0, 1, 0, 0, 0, 0]])
    fault = Fault(made.swaps[pair], 0, 0, 0, (3,))
    q = bench.run({**given, **ports([fault], 8)}, tmp_path)["q_a"]
    assert [v & 0xFF for v in q[0]] == [3, 1, 2, 3, 0x5A, 5, 6, 7]
    assert [v >> 24 & 0xFF for v in q[0]] == [9, 1, 2, 3, 4, 5, 6, 7]
    assert [v & 0xFF for v in plain[0]] == [3, 1, 2, 3, 4, 5, 6, 7]
    word, _, _ = made.locate(np.arange(len(made.map.table)))
    assert made.swaps[pair] not in word


@pytest.mark.parametrize(
    "pair", [("leaf_a.plain", "leaf_b.plain"), ("leaf_a.plain", "leaf_a.narrow"), ("x.a", "x.b")]
)
def test_registers_that_cannot_be_exchanged(design: Path, pair: tuple[str, str]) -> None:
    with pytest.raises(BadInput, match=r"leaf_a|x\.a|plain"):
        hooked([design], "top", swaps=[pair])


def test_the_text_is_the_same_each_time_and_plain(made: Hooked, design: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "other.v"
    copy.parent.mkdir()
    copy.write_text(design.read_text())
    again = hooked([copy], "top")
    assert again.verilog == made.verilog
    assert again.digest == made.digest
    assert "\\" not in made.verilog
    assert str(design) not in made.verilog
    assert re.findall(r"^module (\w+)\(", made.verilog, re.MULTILINE) == [
        "leaf",
        "bank",
        "shelf",
        "lookup",
        "top",
    ]
    assert '(* ram_style = "block" *)' in made.verilog


def test_a_register_behind_a_ram_stays_its_output_register(made: Hooked) -> None:
    text = re.search(r"^module bank\(.*?^endmodule", made.verilog, re.MULTILINE | re.DOTALL)
    assert text is not None
    assert re.search(r"if \(en\) fault_memory_0_0_raw <= fault_memory_raw_0;", text[0])


@pytest.mark.parametrize(
    ("core", "config"),
    [
        (dsp_gemm.CORE, DspGemmConfig(rows=1, cols=1, act_bits=4, weight_bits=4, tile_steps=4, size_bits=4)),
        (dsp_gemm.CORE, DspGemmConfig(rows=3, cols=2, act_bits=4, weight_bits=4, tile_steps=4, size_bits=4)),
    ],
)
def test_cores_with_random_inputs(core: Any, config: Any, tmp_path: Path) -> None:
    block = Block(core, config)
    before = block.emission.verilog
    made = hooked(block.sources, block.emission.top, vendor=True)
    assert Block(core, config).emission.verilog == before  # the design without hooks knows nothing of them
    same(made, random_faults(made, np.random.default_rng(1), 300, 40), 2, tmp_path, 40)


def test_vendor_models_are_hooked_for_simulation_only(tmp_path: Path) -> None:
    config = DspGemmConfig(
        rows=2, cols=2, act_bits=4, weight_bits=4, target="ultrascale+", tile_steps=4, size_bits=4
    )
    block = Block(dsp_gemm.CORE, config)
    left = hooked(block.sources, block.emission.top)
    vendor = [e for e in left.map.table if e.vendor]
    assert vendor
    assert left.unreachable.size == sum(e.sites for e in vendor)
    assert (left.locate(left.unreachable)[0] == -1).all()
    assert "DSP48E2 #(" in left.verilog
    everything = hooked(block.sources, block.emission.top, vendor=True)
    assert not everything.unreachable.size
    assert "DSP48E2 #(" not in everything.verilog
    same(everything, random_faults(everything, np.random.default_rng(3), 200, 30), 4, tmp_path, 30)


@pytest.mark.slow
def test_a_bit_serial_core_with_random_inputs(tmp_path: Path) -> None:
    block = Block(lut_gemm.CORE, LutGemmConfig(dm=2, dk=8, dn=2, a_words=16, b_words=16, size_bits=8))
    made = hooked(block.sources, block.emission.top)
    same(made, random_faults(made, np.random.default_rng(1), 100, 40), 2, tmp_path, 40)


LARGE = ("n3h_z7020", "n3h_z7045", "edge", "edge_ecp5", "attention", "sparse_u280", "sparse_edge")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=pytest.mark.slow) if path.parent.name in LARGE else path
        for path in CONFIGURATIONS
    ],
    ids=lambda path: path.parent.name,
)
def test_every_configuration_gets_hooks_that_verilator_accepts(path: Path, tmp_path: Path) -> None:
    models = (DSP_MODEL, LUT_MODEL, MULT_MODEL)
    made = hooked([path, *models], path.stem)
    out = tmp_path / "hooked.v"
    out.write_text(made.verilog)
    verilator = toolchain.verilator()
    command = [str(verilator.executable), "--lint-only", "--no-timing", "--top-module", path.stem]
    command += [str(p) for p in (toolchain.waivers(), out, *models)]
    done = subprocess.run(command, env=verilator.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ids = np.arange(made.map.table.flip_flops)
    word, _, bit = made.locate(ids)
    reached = word >= 0
    assert len(np.unique(word[reached] * 32 + bit[reached])) == reached.sum()
    assert word.max() < 1 << made.address_bits
