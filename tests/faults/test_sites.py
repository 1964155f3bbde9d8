"""Sites of the emitted Verilog against what Yosys counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hwgen import toolchain
from hwgen.errors import BadInput
from hwgen.faults.classes import SiteClass
from hwgen.faults.netlist import read_netlist
from hwgen.faults.sites import Kind, SiteTable
from tests.faults.subjects import subject, verilog_of

COMMITTED = Path(__file__).parents[2] / "rtl_out"


def counted(sources: list[Path], top: str, folder: Path) -> tuple[int, int]:
    """Flip-flops and memory bits by Yosys alone: flattened, mapped to single flip-flops, and its own statistics."""
    reads = "\n".join(f"read_verilog {path}" for path in sources)
    memory, cells = folder / "memory.json", folder / "cells.json"
    toolchain.yosys(
        f"{reads}\nhierarchy -top {top}\nproc\nopt_clean\nflatten\ntee -q -o {memory} stat -json\n"
        f"select -module {top} t:$dff\nsimplemap\nselect -clear\ntee -q -o {cells} stat -json\n"
    )
    design = json.loads(memory.read_text())["design"]
    kinds = json.loads(cells.read_text())["design"]["num_cells_by_type"]
    assert not any(
        kind.startswith("$") and "dff" in kind.lower() for kind in kinds if not kind.startswith("$_")
    )
    return sum(n for kind, n in kinds.items() if "DFF" in kind), design["num_memory_bits"]


@pytest.mark.parametrize("name", sorted(path.name for path in COMMITTED.iterdir()))
def test_sites_are_what_yosys_counts(name: str, tmp_path: Path) -> None:
    sources = verilog_of(COMMITTED / name)
    top = json.loads((COMMITTED / name / "manifest.json").read_text())["top"]
    table = SiteTable.of(read_netlist(sources, top))
    assert (table.flip_flops, table.memory_bits) == counted(sources, top, tmp_path)


def test_numbers_are_stable_and_find_their_way_back() -> None:
    table = subject("accelerator").sites
    ids = np.random.default_rng(0).integers(0, len(table), 500)
    element, row, bit = table.locate(ids)
    for i, e, r, b in zip(ids, element, row, bit, strict=True):
        site = table.site(int(i))
        assert (site.element.number, site.row, site.bit) == (e, r, b)
        assert site.element.first + r * site.element.width + b == i
    ends = [e.first + e.sites for e in table]
    assert [e.first for e in table] == [0, *ends[:-1]]
    assert len({(e.label, e.low) for e in table}) == len(table.elements)


def test_classes_follow_from_the_netlist() -> None:
    table = subject("accelerator").sites
    group = {e.label: e.group for e in table}
    assert group["dsp_engine.core.sequencer.k_left"] is SiteClass.CONTROL
    assert group["vec_engine.set_1_n1"] is SiteClass.CONFIGURATION
    assert group["load_engine.set_0_row_count"] is SiteClass.CONFIGURATION
    assert group["dsp_engine.core.column_0.chain_0.row_0.act"] is SiteClass.DATAPATH
    assert group["act_buffer.bank_0.memory"] is SiteClass.MEMORY
    assert {e.group for e in table if e.kind is Kind.MEMORY} == {SiteClass.MEMORY}


def test_registers_in_vendor_cells_are_marked() -> None:
    table = subject("dsp blocks").sites
    inside = [e for e in table if e.vendor]
    assert inside
    assert all(e.module == "DSP48E2" for e in inside)
    assert any(e.name == "p_q" and e.width == 48 for e in inside)


@pytest.mark.parametrize("name", ["nothing", "dsp_engine.cor", "dsp_engine.core.colum"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match="no site"):
        subject("accelerator").sites.find(name)


def test_sites_that_do_not_exist_are_refused() -> None:
    table = subject("array").sites
    with pytest.raises(BadInput, match=rf"no site {len(table)}; this netlist has 0..{len(table) - 1}"):
        table.site(len(table))
    with pytest.raises(BadInput, match="no site -1"):
        table.locate([0, -1])
