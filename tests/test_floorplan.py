"""The places of a large array's multipliers."""

from __future__ import annotations

from typing import Any

import pytest

from hwgen.synth.floorplan import place_blocks, places

OPTIONS = ["--85k", "--package", "CABGA381"]


def netlist(columns: int, chains: int, rows: int, kind: str = "MULT18X18D") -> dict[str, Any]:
    names = [
        f"design.core.column_{c}.chain_{i}.row_{r}.multiplier"
        for c in range(columns)
        for i in range(chains)
        for r in range(rows)
    ]
    cells = {name: {"type": kind} for name in [*names, "design.lane_0._06__MULT18X18D_P9"]}
    return {"cells": cells}


def sites(module: dict[str, Any]) -> dict[str, tuple[int, int, str]]:
    found = {}
    for name, cell in module["cells"].items():
        if "BEL" in cell.get("attributes", {}):
            x, y, site = cell["attributes"]["BEL"].split("/")
            found[name] = int(x[1:]), int(y[1:]), site
    return found


@pytest.mark.parametrize(("columns", "chains", "rows"), [(8, 2, 8), (9, 1, 16), (3, 2, 26), (156, 1, 1)])
def test_every_multiplier_of_a_large_array_has_a_site_of_its_own(columns, chains, rows):
    module = netlist(columns, chains, rows)
    count = columns * chains * rows
    assert place_blocks(module, OPTIONS) == count
    found = sites(module)
    assert len(found) == len(set(found.values())) == count
    assert {y for _, y, _ in found.values()} == {10, 34, 58}
    # What an nextpnr of version 0.11 knows: four in nine columns, numbered by their column.
    assert {((x - 4 if x < 65 else x - 69) % 9, site) for x, _, site in found.values()} <= {
        (0, "MULT18_0"), (1, "MULT18_1"), (4, "MULT18_4"), (5, "MULT18_5")
    }  # fmt: skip
    assert max(x for x, _, _ in found.values()) <= 119


def test_the_array_lies_as_it_works():
    module = netlist(8, 2, 8)
    place_blocks(module, OPTIONS)
    found = sites(module)

    def x(column, step):
        return found[f"design.core.column_{column}.chain_{step // 8}.row_{step % 8}.multiplier"][0]

    for column in range(8):
        steps = [x(column, step) for step in range(16)]
        assert steps == sorted(steps)
    for step in range(16):  # an activation's multipliers are neighbours
        places = [x(column, step) for column in range(8)]
        assert max(places) - min(places) <= 11


@pytest.mark.parametrize(
    ("module", "options"),
    [
        (netlist(8, 2, 8), ["--45k"]),
        (netlist(4, 1, 8), OPTIONS),  # small
        (netlist(2, 1, 60), OPTIONS),  # longer than a row of the chip
        (netlist(8, 2, 8, "DP16KD"), OPTIONS),
    ],
)
def test_anything_else_is_left_to_the_placer(module, options):
    assert place_blocks(module, options) == 0
    assert not sites(module)


def test_an_array_with_holes_is_left_to_the_placer():
    module = netlist(8, 2, 8)
    del module["cells"]["design.core.column_3.chain_1.row_2.multiplier"]
    assert place_blocks(module, OPTIONS) == 0


def accelerator(lanes: int = 16, banks: int = 4) -> dict[str, Any]:
    """An array of that many columns with its buffers, in slices of nine bits of activations and 36 of sums."""
    module = netlist(lanes // 2, 2, lanes // 2)
    cells = module["cells"]
    slices = {"act": 15, "acc": 15, "parameter": 30, "weight": 30}
    names = [
        f"design.{kind}_buffer.bank_{bank}.memory.0.{at}"
        for kind, count in slices.items()
        for bank in range(banks if kind == "act" else 1)
        for at in range(count)
    ]
    names += [f"design.dsp_engine.core.column_{c}.results.0.0" for c in range(lanes // 2)]
    cells |= {name: {"type": "DP16KD"} for name in [*names, "design.dispatch.table.0.0"]}
    lane = [f"design.vec_engine.lane_{i}." for i in range(lanes)]
    cells |= {f"{name}_06__MULT18X18D_P9": {"type": "MULT18X18D"} for name in lane}
    cells |= {f"{name}total_TRELLIS_FF_Q": {"type": "TRELLIS_FF"} for name in lane}
    return module


def test_what_a_lane_has_lies_where_the_array_takes_its_activations():
    module = accelerator()
    cells = module["cells"]
    assert (
        place_blocks(module, OPTIONS) == len(cells) - 16 - 2
    )  # all but flip-flops, the table, a stray multiplier
    found = sites(module)
    assert len(found) == len(set(found.values()))
    assert "design.dispatch.table.0.0" not in found

    def x(step):
        return found[f"design.core.column_0.chain_{step // 8}.row_{step % 8}.multiplier"][0]

    for lane in range(16):
        assert abs(found[f"design.vec_engine.lane_{lane}._06__MULT18X18D_P9"][0] - x(lane)) < 20
    for kind, count in (("act", 15), ("acc", 15), ("parameter", 30)):
        columns = [found[f"design.{kind}_buffer.bank_0.memory.0.{at}"][0] for at in range(count)]
        away = [abs(column - x(at * 16 // count)) for at, column in enumerate(columns)]
        assert max(away) < 30, kind
        assert sum(away) / count < 12, kind
    weights = [place for name, place in found.items() if "weight_buffer" in name]
    assert max(x for x, _, _ in weights) < 60
    assert {y for name, (_, y, _) in found.items() if cells[name]["type"] == "DP16KD"} <= {22, 46, 70, 82}


def test_logic_of_a_lane_is_where_its_multiplier_is():
    module = accelerator()
    place_blocks(module, OPTIONS)
    known = places(module)
    x, y, _ = sites(module)["design.vec_engine.lane_3._06__MULT18X18D_P9"]
    assert known["design.vec_engine.lane_3.total_TRELLIS_FF_Q"] == (y, x)
    assert "design.dispatch.table.0.0" not in known


def test_what_short_nets_join_lies_together():
    """A row of cells between two sites, a star around one, and a cell that two far sites pull at."""

    def cell(*bits: int, site: str = "") -> dict[str, object]:
        attributes = {"BEL": site} if site else {}
        return {"type": "LUT4", "connections": {"A": list(bits)}, "attributes": attributes}

    cells = {
        "left": cell(1, 6, 20, site="X10/Y22/EBR0"),
        "right": cell(2, site="X14/Y22/EBR0"),
        "far": cell(7, site="X90/Y22/EBR0"),
        "between": cell(1, 2, 3),
        "next": cell(3, 4),
        **{f"after_{i}": cell(4 + 100 * i, 104 + 100 * i) for i in range(6)},
        "torn": cell(6, 7),
    }
    cells |= {f"star_{i}": cell(20) for i in range(8)}
    known = places({"cells": cells})
    assert {known[name] for name in ("between", "next", "after_0", "after_3")} == {(22, 12)}
    assert not {"after_4", "torn", "star_0"} & set(known)


def test_more_memory_than_a_chip_has_is_left_to_the_placer():
    module = accelerator(banks=14)
    place_blocks(module, OPTIONS)
    assert not [name for name in sites(module) if "buffer" in name]
