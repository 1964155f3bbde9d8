"""Carry chains: what moves into those of an ECP5, and the constant that leaves those of a Nexus."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hwgen import toolchain
from hwgen.synth.carries import fill_carries, free_carries
from tests.netlists import compared, lut, synthesised

# Each output is a sum of which other logic makes the terms; the comment says what a bit of it needs.
SUMS = """
module sums(
  input clk, input [7:0] a, b, c, input [3:0] k, input s,
  output [9:0] pair, less, chosen, three, plain, twice, output [7:0] one, low, output more, output [7:0] mixed
);
  // Both terms fit: a bit of each, and what it is multiplied by.
  assign pair = (k[0] ? a : 8'd0) + ((k[1] ? b : 8'd0) << 1);
  assign less = (k[2] ? a : 8'd0) - (k[3] ? b : 8'd0);
  // One of two terms has three inputs: five in all.
  assign chosen = (s ? a : b) + (k[2] ? c : 8'd0);
  assign three = (s ? a : b) + c;
  // Nothing to take but the constants.
  assign plain = a + 10'd5;
  // Read twice: stays.
  assign one = a ^ {8{k[3]}};
  assign twice = one + b;
  // No sum at all is read, only the last carry.
  assign more = (a & {8{s}}) > (b | {8{k[0]}});
  assign low = 8'd1 - (a & b);
  assign mixed = ((a & b) ^ c) + ((b | c) & {8{s}});
endmodule
"""


def kinds(module: dict[str, Any]) -> Counter[str]:
    return Counter(cell["type"] for cell in module["cells"].values())


def test_sums_stay_what_they_are(tmp_path: Path) -> None:
    gold = synthesised(tmp_path, SUMS, "sums", "-noabc9")
    gate = copy.deepcopy(gold)
    gone = fill_carries(gate)
    before, after = kinds(gold), kinds(gate)
    assert before["LUT4"] - after["LUT4"] == gone > 48
    assert before["CCU2C"] == after["CCU2C"]
    assert compared(tmp_path, gold, gate, "")


def test_a_wrong_table_would_be_seen(tmp_path: Path) -> None:
    gold = synthesised(tmp_path, SUMS, "sums", "-noabc9")
    gate = copy.deepcopy(gold)
    fill_carries(gate)
    for cell in gate["cells"].values():
        if cell["type"] == "CCU2C" and "1" not in {
            bit for pin in cell["connections"].values() for bit in pin
        }:
            table = cell["parameters"]["INIT0"]
            cell["parameters"]["INIT0"] = table[:-1] + str(1 - int(table[-1]))
            break
    assert not compared(tmp_path, gold, gate, "")


def test_a_product_of_adders_keeps_only_its_adders(tmp_path: Path) -> None:
    """Pairs of partial products: a bit is two ANDs and a sum, and all of it is one half of a CCU2C."""
    verilog = """
      module product(input [7:0] a, input [3:0] k, output [9:0] low, high);
        assign low = (a & {8{k[0]}}) + {a & {8{k[1]}}, 1'b0};
        assign high = (a & {8{k[2]}}) + {a & {8{k[3]}}, 1'b0};
      endmodule
    """
    gold = synthesised(tmp_path, verilog, "product", "-noabc9")
    gate = copy.deepcopy(gold)
    fill_carries(gate)
    assert compared(tmp_path, gold, gate, "")
    assert kinds(gate)["CCU2C"] == kinds(gold)["CCU2C"]
    # The lowest bit has no sum: it is the one LUT left of each.
    assert kinds(gate)["LUT4"] <= 4 < kinds(gold)["LUT4"]


def test_no_constant_of_an_adder_is_brought_to_it(tmp_path: Path) -> None:
    module = synthesised(tmp_path, SUMS, "sums", "-noabc9")
    pins = [pin + half for pin in "ABCD" for half in "01"]

    def zeros() -> int:
        adders = [cell for cell in module["cells"].values() if cell["type"] == "CCU2C"]
        return sum(cell["connections"][pin] == ["0"] for cell in adders for pin in pins)

    assert zeros() > 50
    fill_carries(module)
    assert zeros() == 0


def _adder() -> dict[str, Any]:
    """One bit of a sum, of which a LUT makes a term."""
    inputs = [pin + half for half in "01" for pin in "ABCD"]
    adder = {
        "type": "CCU2C",
        "parameters": {
            "INIT0": f"{0x96AA:016b}",
            "INIT1": f"{0x96AA:016b}",
            "INJECT1_0": "NO",
            "INJECT1_1": "NO",
        },
        "port_directions": {**dict.fromkeys(["CIN", *inputs], "input"), "S0": "output", "COUT": "output"},
        "connections": {
            **{pin: ["0"] for pin in inputs},
            "CIN": ["0"],
            "A0": [90],
            "B0": [4],
            "S0": [5],
            "COUT": [6],
        },
    }
    return {"ports": {"y": {"bits": [5, 6]}}, "cells": {"adder": adder, "term": lut(2, 3, out=90)}}


def test_a_term_moves_into_its_sum() -> None:
    module = _adder()
    assert fill_carries(module) == 1
    (adder,) = module["cells"].values()
    assert {bit for pin in "ABCD" for bit in adder["connections"][f"{pin}0"]} == {2, 3, 4, "1"}


@pytest.mark.parametrize("what", ["read twice", "at a port", "injected", "five inputs", "another kind"])
def test_a_term_that_must_stay_stays(what: str) -> None:
    module = _adder()
    cells = module["cells"]
    match what:
        case "read twice":
            cells["reader"] = lut(90, 7, out=91)
        case "at a port":
            module["ports"]["term"] = {"bits": [90]}
        case "injected":
            cells["adder"]["parameters"]["INJECT1_0"] = "YES"
        case "five inputs":
            cells["term"] = lut(2, 3, 7, 8, out=90)
        case "another kind":
            cells["term"]["type"] = "PFUMX"
    assert fill_carries(module) == 0
    assert cells["adder"]["connections"]["A0"] == [90] or 90 in [
        bit for pin in "ABCD" for bit in cells["adder"]["connections"][f"{pin}0"]
    ]
    assert "term" in cells


def _chain(**changes: Any) -> dict[str, Any]:
    """The first cell of a chain of carries on a Nexus, and one that goes on."""
    first = {
        "type": "CCU2",
        "parameters": {"INIT0": "0xFFFF", "INIT1": "0x00AA", "INJECT": "NO", **changes},
        "port_directions": {"CIN": "input", "A1": "input", "COUT": "output", "S0": "output"},
        "connections": {"CIN": [5], "A1": [7], "COUT": [8], "S0": [9]},
    }
    second = copy.deepcopy(first) | {"connections": {"CIN": [8], "A1": [10], "S0": [11]}}
    low = {"type": "VLO", "parameters": {}, "port_directions": {"Z": "output"}, "connections": {"Z": [5]}}
    return {"ports": {"q": {"bits": [11]}}, "cells": {"first": first, "second": second, "low": low}}


def test_the_first_carry_of_a_chain_loses_its_constant() -> None:
    module = _chain()
    assert free_carries(module) == 1
    assert "CIN" not in module["cells"]["first"]["connections"]
    assert module["cells"]["second"]["connections"]["CIN"] == [8]


@pytest.mark.parametrize("what", ["another table", "sum read", "carry that varies"])
def test_a_carry_that_matters_stays(what: str) -> None:
    module = _chain(**({"INIT1": "0x96AA"} if what == "another table" else {}))
    if what == "sum read":
        module["ports"]["s"] = {"bits": [9]}
    if what == "carry that varies":
        module["cells"]["low"]["type"] = "LUT4"
    before = copy.deepcopy(module)
    assert free_carries(module) == 0
    assert module == before


def test_the_first_carry_does_not_depend_on_what_is_taken_off(tmp_path: Path) -> None:
    """Yosys proves it with its own model of the cell: the carry is A1, whatever comes in."""
    source = tmp_path / "first.v"
    source.write_text(
        "module top(input a, input c, output carry);\n"
        'CCU2 #(.INIT0("0xFFFF"), .INIT1("0x00AA"), .INJECT("NO")) first(.CIN(c), .A0(1\'b1), .B0(1\'b1), '
        ".C0(1'b1), .D0(1'b1), .A1(a), .B1(1'b1), .C1(1'b1), .D1(1'b1), .COUT(carry));\nendmodule\n"
    )
    toolchain.yosys(
        f"read_verilog -D NO_INIT {source}\nread_verilog +/lattice/cells_sim_nexus.v\nhierarchy -top top\n"
        "proc\nflatten\nopt_clean\nsat -verify -prove carry a top\n"
    )
