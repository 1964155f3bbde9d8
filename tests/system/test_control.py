# amaranth: UnusedElaboratable=no
"""The accelerator's registers: the table and what is made of it, and the hardware against a model and AXI masters."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwgen import toolchain
from hwgen.emit import Unit
from hwgen.errors import BadInput
from hwgen.program.table import ENGINES
from hwgen.system.control import Control, Counters
from hwgen.system.registers import ERRORS, REGISTERS, c_registers, markdown, register, version_word
from hwgen.verify.bench import CocotbBench

SIMULATORS = ["verilator", *(["icarus"] if toolchain.icarus() else [])]
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "everything": {"engines": ENGINES, "address_bits": 40, "digest": 0x0123456789ABCDEF, "version": "1.2.3"},
    "little": {"engines": ("store", "load"), "address_bits": 20, "digest": 1 << 63, "version": "0.1.0rc1"},
}
PAIRS = [("little", "verilator"), *(("everything", simulator) for simulator in SIMULATORS)]


def test_every_register_has_a_place_of_its_own() -> None:
    offsets = [r.offset for r in REGISTERS]
    assert offsets == sorted(set(offsets))
    assert all(offset % 4 == 0 and offset < 4096 for offset in offsets)
    assert len({r.name for r in REGISTERS}) == len(REGISTERS)
    for r in REGISTERS:
        assert r.access in ("ro", "rw", "wo", "w1c")
        assert sum(f.mask for f in r.fields) < 1 << 32
        for one, other in itertools.combinations(r.fields, 2):
            assert not one.mask & other.mask
    assert [e.code for e in ERRORS] == list(range(len(ERRORS)))
    assert [register(f"{name.upper()}_RUN").offset for name in ENGINES] == [*range(0x100, 0x1C0, 0x20)]


def test_the_header_compiles_and_the_page_is_complete(tmp_path: Path) -> None:
    lines = c_registers("acc")
    page = markdown()
    names = [line.split()[1] for line in lines]
    assert len(set(names)) == len(names)
    assert all(line.startswith("#define ACC_") for line in lines)
    for r in REGISTERS:
        assert f"#define ACC_REG_{r.name} 0x{r.offset:03X}u " in "\n".join(lines)
        assert f"| `0x{r.offset:03X}` | `{r.name}` |" in page
        for f in r.fields:
            assert f"ACC_{r.name}_{f.name.upper()}_MASK" in names
            assert f"| `{r.name}` | {f.place} | `{f.name}` |" in page
    for e in ERRORS:
        assert f"ACC_ERR_{e.name}" in names
        assert f"| {e.code} | `{e.name}` | {e.meaning} |" in page
    checks = [f"static_assert(ACC_REG_{r.name} == {r.offset});" for r in REGISTERS]
    checks += [f"static_assert(ACC_ERR_{e.name} == {e.code});" for e in ERRORS]
    checks += ["static_assert(ACC_ERROR_ENGINE_MASK >> ACC_ERROR_ENGINE_SHIFT == 15);"]
    source = tmp_path / "header.cpp"
    source.write_text("\n".join([*lines, *checks]) + "\n")
    subprocess.run(["g++", "-std=c++17", "-Wall", "-Werror", "-fsyntax-only", source], check=True)


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(BadInput, match=r"^engines must be of load, .*, not 'gpu'$"):
        Control(["gpu"], 32, 0, "1.0.0")
    with pytest.raises(BadInput, match=r"^digest must be an integer in"):
        Control(["load"], 32, 1 << 64, "1.0.0")
    for version in ("1.0", "1.256.0", "65536.0.0", "one"):
        with pytest.raises(BadInput, match=r"^version must begin with major\.minor\.patch"):
            version_word(version)
    assert version_word("1.2.3") == 0x00010203


@pytest.mark.parametrize("count", [1, 2, 8, 33, 40])
def test_a_part_holds_what_comes_between_two_visits(count: int) -> None:
    """Count by hand: the walk needs a cycle per counter, and every fourth cycle may be a read's."""
    for phase in range(4):
        cycles = visits = 0
        while visits < count:
            visits += cycles % 4 != phase
            cycles += 1
        cycles += cycles % 4 == phase
        assert cycles < 1 << Counters(count).part_bits


@pytest.mark.parametrize("test", ["anything", "resets", "counters", "by_hand", "many_cycles"])
@pytest.mark.parametrize(("name", "simulator"), PAIRS)
def test_the_hardware_is_the_model(
    name: str,
    simulator: str,
    test: str,
    build: Callable[[Unit, str, str], CocotbBench],
    run_bench: Callable[..., None],
) -> None:
    config = CONFIGURATIONS[name]
    bench = build(Control(**config), f"control_{name}", simulator)
    run_bench(bench, "control_bench", test, {**config, "version": version_word(config["version"])})
