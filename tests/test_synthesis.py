"""Cell counts: what counts as what, and the way through Yosys and the cache."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwgen import toolchain
from hwgen.errors import BadInput, HwgenError
from hwgen.synthesis import Cells, synthesise, synthesise_modules

DESIGN = """
module lane(input clk, input a, input b, output reg q);
  always @(posedge clk) q <= a & b;
endmodule
module top(input clk, input [3:0] a, input [3:0] b, output [3:0] q, input d, output reg late);
  lane lane_0(.clk(clk), .a(a[0]), .b(b[0]), .q(q[0]));
  lane lane_1(.clk(clk), .a(a[1]), .b(b[1]), .q(q[1]));
  lane lane_2(.clk(clk), .a(a[2]), .b(b[2]), .q(q[2]));
  lane lane_3(.clk(clk), .a(a[3]), .b(b[3]), .q(q[3]));
  reg [7:0] line;
  always @(posedge clk) {late, line} <= {line, d};
endmodule
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def design(tmp_path: Path) -> Path:
    path = tmp_path / "a design; with $trange name.v"
    path.write_text(DESIGN)
    return path


def test_every_kind_of_lut_counts() -> None:
    cells = Cells({
        "LUT1": 1, "LUT2": 2, "LUT6": 4, "LUT6_2": 8, "INV": 16, "SRL16E": 32, "SRLC32E": 64,
        "MUXF7": 1000, "MUXF8": 1000, "BUFG": 1000, "CARRY4": 3, "CARRY8": 2,
    })  # fmt: skip
    assert cells.lut == cells.lut_cells == 127
    assert cells.srl == 96
    assert cells.inverters == 16
    assert cells.carry == 5


@pytest.mark.parametrize(
    ("cell", "luts"),
    [
        ("RAM32M", 4), ("RAM32M16", 8), ("RAM64M", 4), ("RAM64M8", 8), ("RAM32X1D", 2), ("RAM64X1D", 2),
        ("RAM128X1D", 4), ("RAM256X1D", 8), ("RAM64X1S", 1), ("RAM32X1D_1", 2),
    ],
)  # fmt: skip
def test_distributed_ram_counts_by_the_luts_it_occupies(cell: str, luts: int) -> None:
    cells = Cells({cell: 3, "LUT3": 1})
    assert (cells.lut, cells.lutram, cells.lut_cells) == (3 * luts + 1, 3 * luts, 4)
    assert cells.bram36 == 0


def test_unknown_distributed_ram_is_refused() -> None:
    with pytest.raises(HwgenError, match="RAM1024X1D"):
        _ = Cells({"RAM1024X1D": 1}).lut


def test_registers_dsp_blocks_and_block_rams() -> None:
    cells = Cells({"FDRE": 3, "FDSE": 1, "FDCE": 1, "FDPE_1": 1, "DSP48E2": 5, "RAMB36E2": 2, "RAMB18E2": 3})
    assert (cells.ff, cells.dsp, cells.bram36, cells.lut) == (6, 5, 3.5, 0)


def test_flattened_design(cache: Path, design: Path) -> None:
    cells = synthesise(design, "top")
    assert cells.counts["LUT2"] == 4
    assert cells.srl == 1  # nine cycles of delay
    assert cells.ff == 4
    assert cells.lut == 5
    assert all(not name.startswith("$") for name in cells.counts)


def test_modules_are_counted_once_and_their_instances_beside(cache: Path, design: Path) -> None:
    parts = synthesise_modules([design], "top")
    assert {name: part.instances for name, part in parts.items()} == {"top": 1, "lane": 4}
    assert (parts["lane"].cells.lut, parts["lane"].cells.ff) == (1, 1)
    assert (parts["top"].cells.lut, parts["top"].cells.ff) == (1, 0)


def test_second_call_comes_from_the_cache(cache: Path, design: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = synthesise(design, "top")
    (kept,) = (cache / "synthesis").iterdir()
    assert json.loads(kept.read_text())["inputs"]["yosys"] == toolchain.yosys_version()
    moved = design.rename(design.with_name("moved.v"))  # contents decide, not names

    def refuse(script: str, *, timeout: float | None = None) -> str:
        raise AssertionError("Yosys was called again")

    monkeypatch.setattr(toolchain, "yosys", refuse)
    assert synthesise(moved, "top") == first


def test_bad_input_is_told(cache: Path, design: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        synthesise(tmp_path / "absent.v", "top")
    with pytest.raises(BadInput, match="plain names"):
        synthesise(design, "top; shell")
    with pytest.raises(BadInput, match="absent"):
        synthesise(design, "absent")
    broken = tmp_path / "broken.v"
    broken.write_text("module top(;")
    with pytest.raises(BadInput, match="Yosys stopped"):
        synthesise(broken, "top")
    assert not (cache / "synthesis").exists()
