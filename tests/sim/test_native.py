"""The compiled library and its cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hwgen import toolchain
from sim import machine, native
from sim.machine import Dram, MachineConfig


@pytest.fixture(autouse=True)
def forget():
    native.library.cache_clear()
    yield
    native.library.cache_clear()


def test_the_library_is_built_once(tmp_path, monkeypatch, build):
    cache = tmp_path / "new folder"
    first = native.library(toolchain.compiler(), cache)
    files = list(cache.iterdir())
    assert [f.suffix for f in files] == [".so"]
    assert native.library(toolchain.compiler(), cache) is first
    native.library.cache_clear()
    monkeypatch.setattr(native.subprocess, "run", None)  # the compiler is not needed any more
    again = native.library(toolchain.compiler(), cache)
    assert machine.run(again, MachineConfig(), Dram(), build.halt().program).cycles > 0


def test_another_source_is_another_library(tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.mkdir()
    for name in native.SOURCES:
        shutil.copy(Path(native.__file__).parent / name, source)
    monkeypatch.setattr(native, "_FOLDER", source)
    before = native._digest(Path("cc"))
    assert native._digest(Path("other")) != before
    with (source / "dram.hpp").open("a") as file:
        file.write("// changed\n")
    assert native._digest(Path("cc")) != before
    with (source / "machine.hpp").open("a") as file:
        file.write("int wrong = nothing;\n")
    with pytest.raises(native.CompileError, match=r"refused the simulator: .*nothing"):
        native.library(toolchain.compiler(), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_missing_compiler(tmp_path):
    with pytest.raises(native.CompileError, match="cannot be run"):
        native.library(tmp_path / "nothing", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_library_of_other_structs_is_refused(build):
    class Other:
        @staticmethod
        def machine_sizes(sizes):
            sizes[0] = 8

    with pytest.raises(RuntimeError, match="build it anew"):
        machine.run(Other(), MachineConfig(), Dram(), build.halt().program)


@pytest.mark.parametrize(
    ("status", "outcome", "error"),
    [(1, 0, MemoryError), (0, 5, RuntimeError)],
)
def test_what_cannot_happen_is_not_silent(build, monkeypatch, status, outcome, error):
    class Broken:
        @staticmethod
        def machine_run(settings, program, result):
            result._obj.outcome = outcome
            return status

    monkeypatch.setattr(machine, "_same_layout", lambda library: None)
    with pytest.raises(error):
        machine.run(Broken(), MachineConfig(), Dram(), build.halt().program)
