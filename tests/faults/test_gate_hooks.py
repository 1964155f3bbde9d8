"""Gates with hooks: the same design when idle, and one wrong value in one gate of one instance when not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwgen.errors import BadInput
from hwgen.faults.equivalence import prove_idle
from hwgen.faults.gate_hooks import GATE_PORTS, GateLevel, gate_level
from hwgen.faults.hooks import hooked
from hwgen.faults.netlist import read_netlist
from tests.faults.hook_bench import Bench, Fault, Model

RTL = Path(__file__).parents[2] / "rtl_out"
SMALL = """
module half(input clk, input a, input b, output sum, output reg carry);
  assign sum = a ^ b;
  always @(posedge clk) carry <= a & b;
endmodule
module pair(input clk, input [1:0] a, input [1:0] b, output [1:0] sum, output [1:0] carry);
  half half_0(.clk(clk), .a(a[0]), .b(b[0]), .sum(sum[0]), .carry(carry[0]));
  half half_1(.clk(clk), .a(a[1]), .b(b[1]), .sum(sum[1]), .carry(carry[1]));
endmodule
"""
MIXED = """
module cell_(input clk, input en, input [4:0] a, input [4:0] b, output reg [9:0] p);
  always @(posedge clk) if (en) p <= a * b + p;
endmodule
module top(input clk, input rst, input en, input [4:0] a, input [4:0] b, input [1:0] row, output [9:0] p,
           output [9:0] q, output reg [4:0] seen, output [4:0] chosen, output reg [2:0] state);
  reg [4:0] memory [3:0];
  integer i;
  initial for (i = 0; i < 4; i = i + 1) memory[i] = 0;
  cell_ one(.clk(clk), .en(en), .a(a), .b(b), .p(p));
  cell_ two(.clk(clk), .en(a < b), .a(b), .b(memory[row]), .p(q));
  assign chosen = en ? a - b : (a >> b[1:0]);
  always @(posedge clk) begin
    if (en) memory[row] <= a;
    seen <= memory[~row];
    if (rst) state <= 0;
    else case (state) 0: state <= en ? 3'd3 : 3'd1; 1: state <= 4; 3: state <= 0; default: state <= 1; endcase
  end
endmodule
"""
CYCLES = 12


def bench_of(made: GateLevel, folder: Path) -> Bench:
    path = folder / "gates.v"
    path.write_text(made.verilog)
    netlist = read_netlist(made.sources, made.top)
    inputs = {p.name: len(p.bits) for p in netlist.ports if p.direction == "input" and p.name != "clk"}
    outputs = {p.name: len(p.bits) for p in netlist.ports if p.direction == "output"}
    return Bench(
        [path], made.top, {**inputs, **dict(zip(GATE_PORTS, (1, made.address_bits, 1), strict=True))}, outputs
    )


def shown(addresses: np.ndarray, cycle: int) -> dict[str, Any]:
    strobe = np.zeros((1, CYCLES), int)
    strobe[0, cycle] = 1
    return {"fault_select": 1, "fault_gate": addresses.reshape(-1, 1), "fault_strobe": strobe}


def test_a_gate_is_wrong_in_one_instance_and_in_the_cycle_of_the_strobe(tmp_path: Path) -> None:
    source = tmp_path / "pair.v"
    source.write_text(SMALL)
    made = gate_level([source], "pair")
    gates = [made.gate(i) for i in range(len(made))]
    assert [g.path for g in gates] == [("half_0",)] * 2 + [("half_1",)] * 2
    assert sorted(g.kind for g in gates) == ["and", "and", "xor", "xor"]
    rng = np.random.default_rng(1)
    given = {n: rng.integers(0, 4, (1, CYCLES)) for n in ("a", "b")}
    seen = bench_of(made, tmp_path).run({**given, **shown(made.locate(np.arange(len(made))), 5)}, tmp_path)
    a, b = given["a"][0], given["b"][0]
    for number, gate in enumerate(gates):
        bit = 1 << int(gate.path[0][-1])
        sums, carries = a ^ b, np.concatenate([[0], (a & b)[:-1]])
        if gate.kind == "xor":
            sums[5] ^= bit
        else:
            carries[6] ^= bit
        assert (seen["sum"][number] == sums).all()
        assert (seen["carry"][number] == carries).all()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> GateLevel:
    source = tmp_path_factory.mktemp("mixed") / "mixed.v"
    source.write_text(MIXED)
    return gate_level([source], "top")


def test_idle_gates_are_the_design_and_a_struck_instance_leaves_the_other_alone(
    mixed: GateLevel, tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    widths = {"rst": 1, "en": 1, "a": 5, "b": 5, "row": 2}
    given = {n: rng.integers(0, 1 << w, (1, CYCLES)) for n, w in widths.items()}
    given["rst"][0, 1:] = 0
    netlist = read_netlist(mixed.sources, mixed.top)
    bench = bench_of(mixed, tmp_path)
    idle = bench.run({**given, "fault_select": 1}, tmp_path)
    model = Model(netlist, hooked(mixed.sources, mixed.top).map, [Fault(0, 0, 0, 0, ())])
    for name, values in model.run(given, CYCLES).items():
        assert (idle[name] == values).all(), name
    ids = np.arange(len(mixed))
    seen = bench.run({**given, **shown(mixed.locate(ids), 6)}, tmp_path)
    inside = np.array([mixed.gate(int(i)).path for i in ids], object)
    before = {n: v[:, :6] for n, v in seen.items()}
    for name, values in before.items():
        assert (values == idle[name][:, :6]).all(), name
    for number, path in enumerate(inside):
        if list(path) == ["one"]:
            assert (seen["q"][number] == idle["q"][0]).all()
        if list(path) == ["two"]:
            assert (seen["p"][number] == idle["p"][0]).all()
    changed = sum(any((v[n] != idle[k][0]).any() for k, v in seen.items()) for n in range(len(ids)))
    assert changed > len(ids) // 3


def test_addresses_are_all_different_and_the_text_is_the_same_each_time(mixed: GateLevel) -> None:
    addresses = mixed.locate(np.arange(len(mixed)))
    assert len(np.unique(addresses)) == len(mixed)
    assert addresses.max() < 1 << mixed.address_bits
    again = gate_level(mixed.sources, "top")
    assert again.verilog == mixed.verilog
    assert again.digest == mixed.digest
    with pytest.raises(BadInput, match="there is no gate"):
        mixed.gate(len(mixed))


def test_idle_hooks_are_proved(mixed: GateLevel) -> None:
    proofs = prove_idle(mixed)
    assert {p.kind for p in proofs} == {"cell_", "top"}
    assert all(p.equivalent for p in proofs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dsp_gemm_int8_8x8_generic", "activation_gelu_int8"])
def test_configurations_are_proved(name: str) -> None:
    (path,) = (RTL / name).glob("*.v")
    proofs = prove_idle(gate_level([path], path.stem))
    assert proofs
    assert all(p.equivalent for p in proofs)
