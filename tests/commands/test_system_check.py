"""``hwgen check``, ``generate`` and ``list`` of accelerators, and that a wrong executor is noticed."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwgen import toolchain
from hwgen.commands import executors, system_check
from hwgen.commands.system_check import check_system, compare
from hwgen.errors import BadInput, Misbehaviour
from hwgen.program.program import Program
from hwgen.system.golden import Machine
from hwgen.verify.networks import random_network_program
from hwgen.verify.programs import random_program
from hwgen.verify.sweep import CI
from hwgen.verify.system_harness import SystemHarness, SystemRun
from sim.machine import Dram
from tests.commands.conftest import Run

CONFIG = CI["dsp"]
FIELDS = ("lanes", "act_words", "acc_words", "weight_words", "dsp_tile", "parameter_words")
SETTINGS = [part for name in FIELDS for part in ("--set", f"{name}={getattr(CONFIG, name)}")]


def program(seed: int = 5) -> Any:
    return random_program(CONFIG, np.random.default_rng(seed), 10)


def kinds(told: Dram | None = None) -> dict[str, str]:
    """Kinds of differences of one program, with their texts."""
    _, found = compare(CONFIG, "program 0", program(), Dram(latency=20), told)
    return {difference.kind: str(difference) for difference in reversed(found)}


def test_equal_executors_differ_in_nothing() -> None:
    assert kinds() == {}


@pytest.mark.parametrize("wrong", [{"latency": 21}, {"interval": 2}, {"write_latency": 5}])
def test_a_wrong_simulator_is_noticed(wrong: dict[str, int]) -> None:
    found = kinds(replace(Dram(latency=20), **wrong))
    assert set(found) <= {"cycle", "counter"}
    pattern = (
        r"program 0: event \d+: sim has the (start|end) of instruction \d+ on \w+ in cycle \d+; rtl has .*"
    )
    assert re.fullmatch(pattern, found["cycle"])


def test_a_wrong_length_of_the_run_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = executors.simulate

    def wrong(*arguments: Any) -> Any:
        seen = right(*arguments)
        return replace(seen, drained=seen.drained + 1, write_beats=seen.write_beats + 2)

    monkeypatch.setattr(executors, "simulate", wrong)
    found = kinds()
    assert re.fullmatch(r"program 0: sim needs \d+ cycles, rtl needs \d+", found["cycle"])
    assert re.fullmatch(r"program 0: counter CYCLES_LOW: sim has \d+, rtl has \d+", found["counter"])


def test_a_wrong_golden_model_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Machine._store

    def wrong(self: Machine, run: Any) -> None:
        right(self, run)
        self.dram[run["address"]] ^= 1

    monkeypatch.setattr(Machine, "_store", wrong)
    found = kinds()
    assert re.fullmatch(
        r"program 0: byte 0x\w+ of DRAM \(byte \d+ of .*\): golden has \d+, sim has \d+", found["value"]
    ) or ("rtl has" in found["value"])


def test_a_wrong_network_is_noticed() -> None:
    made = random_network_program(CONFIG, np.random.default_rng(0))
    name, (found, wanted) = next(iter(made.results(made.memory).items()))
    changed = replace(
        made,
        results=lambda dram: {name: (wanted, wanted + (np.arange(wanted.size).reshape(wanted.shape) == 0))},
    )
    assert found.shape == wanted.shape
    _, differences = compare(CONFIG, "network 0", changed, Dram())
    assert re.fullmatch(
        rf"network 0: layer {name} at \[0, 0, 0\]: reference has -?\d+, golden has -?\d+", str(differences[0])
    )


def test_an_error_of_the_hardware_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = SystemHarness.run

    def wrong(self: SystemHarness, *arguments: Any, **options: Any) -> SystemRun:
        seen = right(self, *arguments, **options)
        return replace(seen, registers=seen.registers | {"ERROR": 7, "ERROR_INSTRUCTION": 3})

    monkeypatch.setattr(SystemHarness, "run", wrong)
    assert kinds()["error"].endswith("the Verilog reports BANK_CONFLICT at instruction 3")


def test_a_hang_names_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(*_: Any, **__: Any) -> SystemRun:
        raise Misbehaviour("the accelerator did not end within 5 cycles")

    monkeypatch.setattr(SystemHarness, "run", hangs)
    with pytest.raises(Misbehaviour, match="program 0: the accelerator did not end within 5 cycles"):
        kinds()


def test_a_program_that_is_not_legal_is_refused() -> None:
    made = program()
    short = replace(made, program=Program(made.program.instructions[:-1], CONFIG.digest))
    with pytest.raises(BadInput, match=r"program 0: .*must end with control\.halt"):
        compare(CONFIG, "program 0", short, Dram())


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(BadInput, match="vectors must be at least 1, not 0"):
        check_system(CONFIG, vectors=0)
    with pytest.raises(BadInput, match="seed must not be negative, not -1"):
        check_system(CONFIG, seed=-1)


def test_the_command_reports_all(run: Run, tmp_path: Path) -> None:
    report = tmp_path / "check.json"
    code, out, _ = run("check", "accelerator", *SETTINGS, "--vectors", 2, "--seed", 4, "--json", report)
    assert code == 0
    assert "values equal, cycles equal" in out
    found = json.loads(report.read_text())
    wanted = {
        "schema",
        "version",
        "digest",
        "seconds",
        "config",
        "vectors",
        "seed",
        "values_equal",
        "cycles_equal",
    }
    assert wanted | {"first_difference", "cycles"} <= set(found)
    assert (found["digest"], found["vectors"], found["seed"]) == (CONFIG.digest, 2, 4)
    assert found["cycles"]["sim"] == found["cycles"]["rtl"] == sum(r["rtl_cycles"] for r in found["runs"]) > 0
    assert [r["program"] for r in found["runs"]] == ["program 0", "program 1", "network 0"]


def test_the_command_names_the_first_difference(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    right = system_check.compare

    def slow(*given: Any, **more: Any) -> Any:
        return right(*given, replace(given[3], latency=300), **more)

    monkeypatch.setattr(system_check, "compare", slow)
    code, out, _ = run("check", "accelerator", *SETTINGS, "--vectors", 1, "--json", tmp_path / "check.json")
    assert code == 1
    assert "values equal, cycles DIFFER" in out
    assert re.search(r"first difference: program 0: event \d+: sim has the", out)
    found = json.loads((tmp_path / "check.json").read_text())
    assert (found["values_equal"], found["cycles_equal"]) == (True, False)
    assert found["first_difference"]["executors"] == ["sim", "rtl"]
    assert "sim has the" in found["first_difference"]["text"]


def test_a_file_is_a_target(run: Run, tmp_path: Path) -> None:
    lines = [f"{name} = {getattr(CONFIG, name)}" for name in FIELDS]
    path = tmp_path / "mine.toml"
    path.write_text('summary = "mine"\nstatus = "experimental"\n[parameters]\n' + "\n".join(lines))
    code, out, _ = run("check", path, "--vectors", 1)
    assert code == 0
    assert f"digest {CONFIG.digest}" in out


BAD_INPUT = {
    "rtl": (
        ("check", "tiny", "--rtl", "icarus"),
        r"an accelerator is run by --rtl harness only, not icarus; .*",
    ),
    "parameter": (
        ("check", "tiny", "--set", "lane=4"),
        r"accelerator has no parameter 'lane'; it has target, .*",
    ),
    "value": (("generate", "tiny", "--set", "lanes=5"), r"lanes must be a power of two, not 5"),
    "few lanes": (
        ("generate", "tiny", "--set", "requantise_cycles=8"),
        r"requantise_cycles is 8, and there are no more than 4 lanes; choose requantise_cycles=4 or less",
    ),
    "softmax": (
        ("generate", "attention", "--set", "requantise_cycles=2"),
        r"softmax takes the logits of all lanes at once, and requantise_cycles is 2; set requantise_cycles=1",
    ),
    "file": (("check", "absent.toml"), r"absent\.toml cannot be read \(No such file or directory\); .*"),
    "top": (("generate", "tiny", "--top", "a-b"), r"top must be a Verilog identifier .*, not 'a-b'"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_sentence(
    run: Run, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, sentence = BAD_INPUT[case]
    code, _, err = run(*arguments)
    assert code == 2
    assert re.fullmatch(rf"hwgen: {sentence}\n", err)
    assert list(tmp_path.iterdir()) == []


def test_accelerators_are_listed(run: Run) -> None:
    _, out, _ = run("list")
    assert "accelerator  " in out
    assert re.search(r"tiny +supported: the smallest useful accelerator", out)
    assert re.search(r"n3h_z7020 +experimental: ", out)


def test_generate_writes_verilog_manifest_and_header(run: Run, tmp_path: Path) -> None:
    code, out, _ = run(
        "generate", "accelerator", *SETTINGS, "--set", "target=ultrascale+", "-o", tmp_path, "--top", "acc"
    )
    assert code == 0
    assert "acc: " in out
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert {f["path"] for f in manifest["files"]} == {"acc.v", "acc.h", "simulation/DSP48E2.v"}
    assert all((tmp_path / f["path"]).is_file() for f in manifest["files"])
    verilog = (tmp_path / "acc.v").read_text()
    assert manifest["digest"] in verilog
    for port in manifest["ports"]:
        assert port["meaning"]
        width = "" if port["width"] == 1 else f"[{port['width'] - 1}:0] "
        assert f"{port['direction']} {width}{port['name']};" in verilog
    assert [e["name"] for e in manifest["engines"]] == ["load", "dsp", "vec", "store"]
    assert manifest["characteristics"]["int8_macs_per_cycle"] == 16
    assert {b["name"]: b["bytes"] for b in manifest["buffers"]}["act"] == CONFIG.act.bytes
    names = {r["name"] for r in manifest["registers"]}
    assert "DSP_RUN" in names
    assert "LUT_RUN" not in names
    assert "estimated_resources" not in manifest


def test_the_header_is_c_and_c_plus_plus(run: Run, tmp_path: Path) -> None:
    run("generate", "accelerator", *SETTINGS, "-o", tmp_path)
    source = tmp_path / "use.c"
    source.write_text(
        '#include "accelerator.h"\n#include "accelerator.h"\n'
        "int main(void) { uint64_t word[2]; hwgen_control_halt(word);\n"
        f"return !(word[0] == 15 && ACCELERATOR_LANES == {CONFIG.lanes} && ACCELERATOR_REG_CONTROL == 16u); }}\n"
    )
    for flags in (["-std=c99", "-x", "c"], ["-std=c++11", "-x", "c++"]):
        use = tmp_path / "use"
        subprocess.run(
            [toolchain.compiler(), *flags, "-Wall", "-Wextra", "-Werror", source, "-o", use], check=True
        )
        assert subprocess.run([use], check=False).returncode == 0
