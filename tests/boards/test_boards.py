"""The folders of `boards/`: what each says is whole, agrees with itself, and with tables that others wrote."""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from hwgen.boards import FOLDER, STATUSES, Board, board, boards, load
from hwgen.cores.dsp_gemm import CORE
from hwgen.errors import BadInput
from hwgen.files import write_all
from hwgen.host.zynq import is_zynq
from hwgen.synth.families import family, placer_of
from hwgen.synth.project import project_files
from hwgen.system.config import SystemConfig

BOARDS = boards()
OPEN = [one for one in BOARDS.values() if family(one.family).placer is not None]
CLOSED = [one for one in BOARDS.values() if family(one.family).placer is None]

SITES = {
    ".lpf": r'^LOCATE COMP "(\w+)" SITE "(\w+)";$',
    ".pcf": r"^set_io .*?(\w+) (\w+)$",
    ".pdc": r"^ldc_set_location -site \{(\w+)\} \[get_ports (\w+)\]$",
    ".cst": r'^IO_LOC "(\w+)" (\w+);$',
}


def by_name(one: Board) -> str:
    return one.name


def test_the_boards_are_there() -> None:
    assert {
        "ulx3s", "ecpix5", "icebreaker", "crosslink_nx_evn", "tangnano20k", "pynq_z2", "zc706", "ultra96v2", "zcu102",
        "zcu104", "alveo_u280",
    } <= set(BOARDS)  # fmt: skip


@pytest.mark.parametrize("one", BOARDS.values(), ids=by_name)
def test_a_folder_is_whole(one: Board) -> None:
    text = (one.folder / "README.md").read_text()
    assert one.device in text
    assert (one.constraints is None) == (one.project is not None)
    if one.status == "placed and routed":
        assert one in OPEN
        placer_of(one)
    else:
        assert one.project is not None
        assert list(one.folder.glob("*.xdc"))
        assert "no bitstream was built" in text.lower()
        with pytest.raises(BadInput, match="no open tools"):
            placer_of(one)


@pytest.mark.parametrize("one", BOARDS.values(), ids=by_name)
def test_the_table_of_boards_says_what_was_done_and_no_more(one: Board) -> None:
    (row,) = [
        line
        for line in (FOLDER / "README.md").read_text().splitlines()
        if line.startswith(f"| [`{one.name}`]")
    ]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[-1].startswith(one.status)
    for status in STATUSES:
        assert (status in cells[-1]) == (status == one.status)


@pytest.mark.parametrize("one", OPEN, ids=by_name)
def test_constraints_and_table_of_pins_agree(one: Board) -> None:
    assert one.constraints is not None
    suffix = one.constraints.suffix
    found = re.findall(SITES[suffix], one.constraints.read_text(), re.MULTILINE)
    placed = {b: a for a, b in found} if suffix == ".pdc" else dict(found)
    assert placed == dict(one.pins)
    assert set(placed) == {"clk", "serial_in", "serial_out"}


@pytest.mark.parametrize(
    ("name", "module", "platform", "clock"),
    [
        ("ulx3s", "ulx3s", "ULX3S_85F_Platform", "clk25"),
        ("ecpix5", "ecpix5", "ECPIX585Platform", "clk100"),
        ("icebreaker", "icebreaker", "ICEBreakerPlatform", "clk12"),
    ],
)
def test_pins_are_those_of_amaranth_boards(name: str, module: str, platform: str, clock: str) -> None:
    """The same pins from tables that were made by others, and used on the boards."""
    pytest.importorskip("amaranth_boards")
    other: Any = getattr(importlib.import_module(f"amaranth_boards.{module}"), platform)()
    one = board(name)
    (oscillator,) = other.lookup(clock).ios[0].names
    uart = {io.name: io.ios[0].names for io in other.lookup("uart", 0).ios}
    assert dict(one.pins) == {"clk": oscillator, "serial_in": uart["rx"][0], "serial_out": uart["tx"][0]}
    assert other.lookup(clock).clock.frequency == 1e6 * one.clock_mhz
    assert other.device.lower().replace("5-85", "5-85") in one.device.lower()


GOOD = (FOLDER / "ulx3s" / "board.toml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('status = "placed and routed"', 'status = "works"', "status must be one of"),
        ('family = "ecp5"', 'family = "max10"', "family must be one of"),
        ('speed = "6"', "speed = 6", "speed must be a str"),
        ('speed = "6"', "", "'speed' is missing"),
        ('speed = "6"', 'speed = "6"\nvendor = "x"', "no key 'vendor'"),
        ("DSP = 156", "MULT = 156", "no resource 'MULT'"),
        ("DSP = 156", "", "resource DSP is missing"),
        ("DSP = 156", "DSP = -1", "DSP must be a number of cells"),
        ("mhz = 25", "mhz = 0", "clock must have mhz"),
        ('clk = "G2"', "clk = 2", "pins must be sites"),
        ("place = [", "route = [", "no step 'route'"),
        ('pack = ["--compress"]', 'pack = "--compress"', "options of pack must be a list"),
        ("summary", "summary is", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_in_a_sentence(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in GOOD
    path = tmp_path / "board.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(BadInput, match=reason) as error:
        load(path)
    assert str(path) in str(error.value)


def test_a_board_may_lie_elsewhere(tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "ulx3s", tmp_path / "mine")
    assert board(str(tmp_path / "mine")).device == "LFE5U-85F"
    with pytest.raises(BadInput, match=r"no board 'ulx3'; there are alveo_u280, .*ulx3s"):
        board("ulx3")
    with pytest.raises(BadInput, match="cannot be read"):
        load(tmp_path / "board.toml")


# Enough of Vivado for its scripts to run to their end: every command is written down and answered with its name.
STUBS = """
set calls {}
proc unknown {args} { lappend ::calls $args; return [lindex $args 0] }
proc get_property {name object args} {
    lappend ::calls [list get_property $name $object]
    switch $name { PROGRESS { return 100% } name { return $object } default { return "" } }
}
proc get_board_parts {args} { return [string map {* 1.0} [lindex $args end]] }
"""


def run_tcl(folder: Path, before: str = "") -> list[str]:
    """Run a project's script with the stubs; gives Vivado's commands in order."""
    tkinter = pytest.importorskip("tkinter")
    tcl = tkinter.Tcl()
    tcl.eval(STUBS + before)
    tcl.call("source", str(folder / "build.tcl"))
    return [str(call) for call in tcl.splitlist(tcl.eval("set calls"))]


def project(one: Board, folder: Path, top: str, config: Any) -> None:
    write_all(folder, project_files(one, top, f"{top}.v", config, config.digest))


@pytest.mark.parametrize("one", CLOSED, ids=by_name)
def test_a_project_packages_the_accelerator_and_goes_on(one: Board, tmp_path: Path) -> None:
    project(one, tmp_path, "accelerator", SystemConfig(lanes=4))
    calls = run_tcl(tmp_path, "set ::env(HWGEN_NO_BUILD) 1\n")
    text = "\n".join(calls)
    assert f"read_verilog {tmp_path}/accelerator.v" in text
    assert f"-part {one.option('part')[0]}" in text
    for order in ("ipx::package_project", "create_bd_design", "validate_bd_design"):
        assert sum(call.startswith(order) for call in calls) == 1, order
    (constraints,) = [call for call in calls if call.startswith("add_files -fileset")]
    assert f"{one.name}.xdc" in constraints
    assert (tmp_path / "overlay" / "overlay.json").is_file() == is_zynq(one)


def test_the_project_without_a_zynq_joins_all_pins_of_the_core(tmp_path: Path) -> None:
    (one,) = [one for one in CLOSED if not is_zynq(one)]
    project(one, tmp_path, "accelerator", SystemConfig(lanes=4))
    calls = run_tcl(tmp_path)
    for order in ("launch_runs", "write_hw_platform"):
        assert sum(call.startswith(order) for call in calls) == 1, order
    assert [call for call in calls if call.startswith("connect_bd_intf_net")]
    # Each pin of the core is connected once: what it has is clock, reset, control, memory and interrupt.
    asked = [call.split()[-1] for call in calls if call.startswith("get_bd_") and "core/" in call]
    assert sorted(asked) == ["core/clk", "core/irq", "core/m_axi", "core/rst", "core/s_axi"]


@pytest.mark.parametrize("name", ["zc706", "alveo_u280"])
def test_a_project_without_the_boards_files_says_so(name: str, tmp_path: Path) -> None:
    project(board(name), tmp_path, "accelerator", SystemConfig())
    with pytest.raises(Exception, match=r"xilinx.com:(zc706|au280):\*.* are not installed"):
        run_tcl(tmp_path, "proc get_board_parts {args} {}")


def test_a_core_alone_is_built_out_of_context(tmp_path: Path) -> None:
    project(board("zcu104"), tmp_path, "dsp_gemm", CORE.config())
    calls = run_tcl(tmp_path)
    assert any("-mode out_of_context" in call for call in calls)
    assert not any(call.startswith("create_bd_design") for call in calls)


def test_a_board_with_open_tools_has_no_project() -> None:
    config = SystemConfig()
    with pytest.raises(BadInput, match="add --pnr"):
        project_files(board("ulx3s"), "accelerator", "a.v", config, config.digest)
