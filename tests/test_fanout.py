"""Copies of registers with readers all over the chip."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from hwgen.synth.fanout import copy_registers
from tests.netlists import compared, flip_flop, lut, synthesised

# `fire` is read by 48 bits; it comes from two registers by way of a LUT.
WIDE = """
module wide(input clk, input a, b, x, input [5:0] at, output reg y);
  reg p, q, fire;
  reg [47:0] bits;
  integer i;
  always @(posedge clk) begin
    {p, q} <= {a, b};
    fire <= p & ~q;
    for (i = 0; i < 48; i = i + 1)
      if (fire) bits[i] <= x ^ bits[i];
    y <= bits[at];
  end
endmodule
"""


def _star(readers: int, luts: int = 1) -> dict[str, Any]:
    """A register with so many readers, and so many LUTs in front of it."""
    cells = {"start": flip_flop(3, 10)}
    for i in range(luts):
        cells[f"lut_{i}"] = lut(10 + i, out=11 + i)
    cells["star"] = flip_flop(10 + luts, 50)
    cells |= {f"reader_{i}": flip_flop(50, 100 + i) for i in range(readers)}
    return {"ports": {}, "netnames": {}, "cells": cells}


def _line(readers: int, step: float) -> dict[str, tuple[float, float]]:
    return {f"reader_{i}": (0.0, step * i) for i in range(readers)}


def _sources(module: dict[str, Any]) -> dict[str, str]:
    """The cell that each reader reads."""
    drivers = {
        cell["connections"]["Q"][0]: name
        for name, cell in module["cells"].items()
        if "Q" in cell["connections"]
    }
    return {
        name: drivers[cell["connections"]["DI"][0]]
        for name, cell in module["cells"].items()
        if name.startswith("reader")
    }


@pytest.mark.parametrize("luts", [0, 1, 2])
def test_readers_that_lie_together_share_a_copy(luts: int) -> None:
    module = _star(50, luts)
    places = _line(50, 2.0)
    del places["reader_7"]  # nobody knows where
    copies = copy_registers(module, places)
    sources = _sources(module)
    assert copies == 3
    assert sources.pop("reader_7") == "star"
    assert len(set(sources.values())) == copies
    assert "star" not in sources.values()
    for source in set(sources.values()):
        columns = [places[reader][1] for reader, own in sources.items() if own == source]
        assert max(columns) - min(columns) <= 40
        # All of it but its output is the register's.
        made, star = module["cells"][source], module["cells"]["star"]
        assert made["parameters"] == star["parameters"]
        if luts == 1:  # and a copy of the LUT
            own, lut_0 = module["cells"][f"{source}$lut"], module["cells"]["lut_0"]
            assert own["connections"] | {"Z": lut_0["connections"]["Z"]} == lut_0["connections"]
            assert own["parameters"] == lut_0["parameters"]
            assert made["connections"]["DI"] == own["connections"]["Z"]
            made["connections"]["DI"] = star["connections"]["DI"]
        assert made["connections"] | {"Q": [50]} == star["connections"]


def test_registers_in_front_of_copied_luts_are_copied_too() -> None:
    """Six copies of a LUT are six readers far apart of the register that it reads."""
    module = _star(50)
    places = _line(50, 5.0)
    copies = copy_registers(module, places)
    sources = set(_sources(module).values()) - {"star"}
    stars = [name for name in module["cells"] if name.startswith("star$copy") and not name.endswith("$lut")]
    starts = [name for name in module["cells"] if name.startswith("start$copy")]
    assert sources == set(stars)
    assert len(stars) == 6
    assert starts
    assert copies == len(stars) + len(starts)
    driven = {module["cells"][f"{name}$lut"]["connections"]["A"][0] for name in stars}
    assert driven == {module["cells"][name]["connections"]["Q"][0] for name in starts}


@pytest.mark.parametrize(
    ("module", "places"),
    [
        (_star(39), _line(39, 2.0)),  # few, and near enough
        (_star(50), _line(50, 0.5)),  # one group
        (_star(5), _line(5, 100.0)),  # far from each other, but five
        (_star(50, luts=3), _line(50, 2.0)),  # no time is left for a way
        (_star(50), {}),  # no places
    ],
)
def test_other_registers_stay(module: dict[str, Any], places: dict[str, tuple[float, float]]) -> None:
    before = copy.deepcopy(module)
    assert copy_registers(module, places) == 0
    assert module == before


def test_few_readers_far_apart_are_enough() -> None:
    assert copy_registers(_star(6, luts=0), _line(6, 20.0)) == 2


def test_copies_change_no_output(tmp_path: Path) -> None:
    """Yosys proves it for eight cycles from the start: a value takes four from input to output."""
    gold = synthesised(tmp_path, WIDE, "wide")
    gate = copy.deepcopy(gold)
    flip_flops = [name for name, cell in gold["cells"].items() if cell["type"] == "TRELLIS_FF"]
    assert copy_registers(gate, {name: (0.0, 2.0 * i) for i, name in enumerate(flip_flops)}) == 3
    assert compared(tmp_path, gold, gate, "-verify -tempinduct-baseonly -seq 1 -maxsteps 8 -set-init-zero")
