"""The command line as a user meets it: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import numpy as np
import pytest

from hwgen import toolchain
from hwgen.commands import check as check_module
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig
from hwgen.streams import Beats
from tests.commands.conftest import Run

SMALL = ("--set", "rows=2", "--set", "cols=3", "--set", "tile_steps=4")


def test_list_names_cores_configurations_and_tools(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("list", "--json", tmp_path / "list.json")
    assert code == 0
    for name in ("dsp_gemm", *CORE.supported, "verilator", "yosys"):
        assert name in out
    found = json.loads((tmp_path / "list.json").read_text())
    assert found["schema"] == "hwgen.list/1"
    assert {*CORE.supported, "tiny"} <= set(found["configs"]) == set(found["digest"])


def test_generate_writes_all_and_says_so(run: Run, tmp_path: Path) -> None:
    report = tmp_path / "found.json"
    code, out, _ = run(
        "generate", "dsp_gemm", *SMALL, "--top", "gem", "-o", tmp_path / "out", "--json", report
    )
    assert code == 0
    assert "gem: " in out
    found = json.loads(report.read_text())
    assert {"schema", "version", "digest", "seconds", "top", "files", "modules", "bytes"} <= set(found)
    assert found["top"] == "gem"
    names = {Path(path).name for path in found["files"]}
    assert names == {"gem.v", "gem.h", "manifest.json"}
    assert found["bytes"] == (tmp_path / "out" / "gem.v").stat().st_size
    digest = CORE.config(rows=2, cols=3, tile_steps=4).digest
    for name in names:
        assert digest in (tmp_path / "out" / name).read_text()


def test_the_manifest_tells_sign_meaning_and_place_of_everything(run: Run, tmp_path: Path) -> None:
    assert run("generate", "dsp_gemm", *SMALL, "--set", "weight_signed=no", "-o", tmp_path)[0] == 0
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert all(port["meaning"] for port in manifest["ports"])
    verilog = (tmp_path / "dsp_gemm.v").read_text()
    for port in manifest["ports"]:
        width = "" if port["width"] == 1 else f"[{port['width'] - 1}:0] "
        assert f"{port['direction']} {width}{port['name']};" in verilog
    fields = {f["name"]: f for s in manifest["streams"] for f in s["fields"]}
    assert (fields["a"]["signed"], fields["b"]["signed"], fields["c"]["signed"]) == (True, False, True)
    assert (fields["b"]["lanes"], fields["b"]["lane_bits"]) == (3, 8)


def test_generate_changes_nothing_the_second_time(run: Run, tmp_path: Path) -> None:
    run("generate", "dsp_gemm", *SMALL, "-o", tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    run("generate", "dsp_gemm", *SMALL, "-o", tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_vendor_cells_come_with_their_model(run: Run, tmp_path: Path) -> None:
    run("generate", "dsp_gemm", *SMALL, "--set", "target=ultrascale+", "-o", tmp_path)
    roles = {f["path"]: f["role"] for f in json.loads((tmp_path / "manifest.json").read_text())["files"]}
    assert "leave out for synthesis" in roles["simulation/DSP48E2.v"]
    assert (tmp_path / "simulation" / "DSP48E2.v").is_file()


def test_check_reports_values_and_cycles_of_all_executors(run: Run, tmp_path: Path) -> None:
    report = tmp_path / "check.json"
    code, out, _ = run(
        "check", "dsp_gemm", *SMALL, "--vectors", 5, "--seed", 3, "--rtl", "harness", "--json", report
    )
    assert code == 0
    assert "values equal, cycles equal" in out
    found = json.loads(report.read_text())
    assert {"config", "vectors", "seed", "values_equal", "cycles_equal", "first_difference", "cycles"} <= set(
        found
    )
    assert (found["vectors"], found["seed"], found["first_difference"]) == (5, 3, None)
    assert found["cycles"]["sim"] == found["cycles"]["rtl"] > 0
    assert {r["regime"] for r in found["runs"]} == {"free", "slow producer", "slow consumer", "both"}


def test_check_by_cocotb(run: Run) -> None:
    code, out, _ = run("check", "dsp_gemm", *SMALL, "--vectors", 3, "--rtl", "cocotb")
    assert code == 0
    assert "cocotb" in out
    assert "values equal, cycles equal" in out


def test_check_names_a_wrong_value_and_exits_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right = CORE.golden

    def wrong(
        config: DspGemmConfig, operations: object
    ) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
        results = [c.copy() for c in right(config, operations)]  # type: ignore[arg-type]
        results[1][0, 0] += 1
        return results

    monkeypatch.setattr(CORE, "golden", wrong)
    code, out, _ = run("check", "dsp_gemm", *SMALL, "--vectors", 3, "--rtl", "harness")
    assert code == 1
    assert "values DIFFER, cycles equal" in out
    assert re.search(
        r"first difference: value of operation 1 at \[0, 0\]: golden has -?\d+, sim has -?\d+", out
    )


def test_check_names_a_wrong_cycle_and_exits_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DspGemmConfig, "ACCUMULATE_CYCLES", 4)  # the hardware in the cache has 3
    config = CORE.config(rows=2, cols=3, tile_steps=4)
    monkeypatch.undo()
    block = check_module.Block(CORE, config)
    assert block.sources[0].is_file()
    monkeypatch.setattr(DspGemmConfig, "store_delay", property(lambda self: self.read_delay + 4))
    monkeypatch.setattr(check_module, "Block", lambda core, config, plan: block)
    code, out, _ = run("check", "dsp_gemm", *SMALL, "--vectors", 3, "--rtl", "harness")
    assert code == 1
    assert "values equal, cycles DIFFER" in out
    assert re.search(r"first difference: cycle of stream c, beat 0: sim has \d+, harness has \d+", out)


def test_check_names_a_lane_that_is_not_masked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CORE, "outside", lambda config, operations, beats: np.array([0, 0, 7]))
    code, out, _ = run("check", "dsp_gemm", *SMALL, "--vectors", 3, "--rtl", "harness")
    assert code == 1
    assert "golden has 0, harness outside the results has 7" in out


def test_hardware_that_hangs_is_a_finding(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right = CORE.stimulus

    def short(config: DspGemmConfig, operations: object) -> dict[str, Beats]:
        beats = right(config, operations)  # type: ignore[arg-type]
        return beats | {"b": beats["b"][:-1]}

    monkeypatch.setattr(CORE, "stimulus", short)
    code, _, err = run("check", "dsp_gemm", *SMALL, "--vectors", 3, "--rtl", "harness")
    assert code == 1
    assert re.fullmatch(
        r"hwgen: free, harness: dsp_gemm failed after \d+ cycles: no beat moved for .*\n", err
    )


BAD_INPUT = {
    "no such target": (
        ("check", "gem"),
        r"there is no accelerator or core 'gem'; there are attention, .*",
    ),
    "zero rows": (("check", "dsp_gemm", "--set", "rows=0"), r"rows must be an integer in 1\.\.64, not 0"),
    "negative": (("generate", "dsp_gemm", "--set", "cols=-3"), r"cols must be an integer in 1\.\.64, not -3"),
    "no number": (("check", "dsp_gemm", "--set", "rows=nan"), r"rows must be an integer, not 'nan'"),
    "width": (("check", "dsp_gemm", "--set", "act_bits=9"), r"act_bits must be an integer in 2\.\.8, not 9"),
    "unknown parameter": (
        ("check", "dsp_gemm", "--set", "row=1"),
        r"dsp_gemm has no parameter 'row'; it has rows, .*",
    ),
    "no value": (("check", "dsp_gemm", "--set", "rows"), r"--set takes NAME=VALUE, not 'rows'"),
    "twice": (
        ("check", "dsp_gemm", "--set", "rows=1", "--set", "rows=2"),
        r"--set gives rows twice; keep one",
    ),
    "wide operands": (
        ("generate", "dsp_gemm", "--set", "target=ecp5", "--set", "packing=int4x4"),
        r"packing int4x4 takes operands of up to 4 bits, not s8 weights and s8 activations; choose packing=auto",
    ),
    "no vectors": (("check", "dsp_gemm", "--vectors", "0"), r"vectors must be at least 1, not 0"),
    "negative seed": (("check", "dsp_gemm", "--seed", "-1"), r"seed must not be negative, not -1"),
    "top name": (("generate", "dsp_gemm", "--top", "2x"), r"top must be a Verilog identifier .*, not '2x'"),
    "settings for all": (
        ("generate", "supported", "--set", "rows=1"),
        r"'supported' takes none of --set, --top, --protect, --hooks; .*",
    ),
}


@pytest.mark.parametrize(("arguments", "sentence"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_one_sentence_and_exit_2(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"hwgen: {sentence}\n", err)
    assert not list(tmp_path.iterdir())


def test_usage_errors_exit_2(run: Run) -> None:
    for arguments in (("list", "nothing"), ("check",), ("fly",), ("check", "dsp_gemm", "--vectors", "many")):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert re.fullmatch(r"hwgen: .+ \(see `hwgen.* --help`\)\n", err)


def test_an_output_folder_that_is_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        code, _, err = run("generate", "dsp_gemm", *SMALL, "-o", folder)
        assert code == 2
        assert re.fullmatch(r"hwgen: output folder .* is a file or lies below one; name a folder\n", err)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_read_only_output_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # By hand, because root may write anywhere.
    monkeypatch.setattr("os.access", lambda path, mode: not mode & os.W_OK or Path(path) != tmp_path)
    code, _, err = run("generate", "dsp_gemm", *SMALL, "-o", tmp_path)
    assert code == 2
    assert re.fullmatch(r"hwgen: output folder .* is read-only; name one that can be written to\n", err)
    assert not list(tmp_path.iterdir())


def test_a_missing_compiler(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))
    empty = tmp_path / "empty"
    empty.mkdir(mode=stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.delenv("CXX", raising=False)
    code, _, err = run("check", "dsp_gemm", *SMALL, "--rtl", "harness")
    assert code == 2
    assert err.startswith("hwgen: ")
    assert err.count("\n") == 1
    assert not list((tmp_path / "cache").rglob("model"))


def test_tools_that_are_missing_are_listed_with_their_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Path:
        raise toolchain.MissingTool("make was not found")

    monkeypatch.setattr(toolchain, "make", missing)
    code, out, _ = run("list", "tools")
    assert code == 0
    assert "make was not found" in out


@pytest.mark.parametrize("command", [(), ("list",), ("generate",), ("check",), ("demo",)])
def test_help_has_an_example(run: Run, command: tuple[str, ...]) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    if command:
        assert f"  hwgen {command[0]}" in out


def test_interrupting_ends_quietly(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hwgen.cli.build.check", interrupted)
    code, _, err = run("check", "dsp_gemm", *SMALL)
    assert (code, err.strip()) == (130, "hwgen: interrupted")
