"""Netlists in Yosys' JSON for the tests of what is done to them: single cells, synthesised modules, and proofs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hwgen import toolchain


def flip_flop(data: Any, q: int) -> dict[str, Any]:
    """A flip-flop of an ECP5, clocked by net 2, without enable, reset and start value."""
    return {
        "type": "TRELLIS_FF",
        "parameters": {"CEMUX": "1 ", "CLKMUX": "CLK", "REGSET": "RESET"},
        "port_directions": {"CLK": "input", "DI": "input", "LSR": "input", "Q": "output"},
        "connections": {"CLK": [2], "DI": [data], "LSR": ["0"], "Q": [q]},
    }


def lut(*inputs: int, out: int) -> dict[str, Any]:
    """AND of up to four nets."""
    pins: dict[str, list[Any]] = {pin: ["0"] for pin in "ABCD"}
    pins.update({pin: [bit] for pin, bit in zip("ABCD", inputs, strict=False)})
    ones = (1 << len(inputs)) - 1
    table = sum((index & ones == ones) << index for index in range(16))
    return {
        "type": "LUT4",
        "parameters": {"INIT": f"{table:016b}"},
        "port_directions": {**dict.fromkeys("ABCD", "input"), "Z": "output"},
        "connections": {**pins, "Z": [out]},
    }


def synthesised(folder: Path, verilog: str, top: str, options: str = "") -> dict[str, Any]:
    """A module as cells of an ECP5."""
    design, netlist = folder / "design.v", folder / "netlist.json"
    design.write_text(verilog)
    toolchain.yosys(f"read_verilog {design}\nsynth_ecp5 {options} -top {top} -json {netlist}\n")
    module: dict[str, Any] = json.loads(netlist.read_text())["modules"][top]
    del module["attributes"]["top"]  # of two, Yosys keeps one
    return module


def compared(folder: Path, gold: dict[str, Any], gate: dict[str, Any], sat: str, models: str = "") -> bool:
    """Whether Yosys proves two modules equal, with its own models of the cells, and those given."""
    both, others = folder / "both.json", folder / "models.v"
    both.write_text(json.dumps({"modules": {"gold": gold, "gate": gate}}))
    others.write_text(models)
    answer = toolchain.yosys(
        f"read_json {both}\nread_verilog -D NO_INCLUDES +/ecp5/cells_sim.v\nread_verilog {others}\n"
        "hierarchy -check\nproc\nflatten gold gate\nasync2sync\n"
        f"miter -equiv -flatten -make_outputs gold gate both\nsat {sat} -prove trigger 0 both\n"
    )
    return "SUCCESS" in answer
