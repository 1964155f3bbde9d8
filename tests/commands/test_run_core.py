"""``hwgen run`` on cores that stand alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hwgen.commands.run_core import run_core
from hwgen.commands.targets import resolve, supported
from tests.commands.conftest import Run

TABLE = """
name = "three"
input = [5, 5, 4]
layer = [
  { name = "c1", kind = "conv", inputs = ["input"], out_channels = 6, kernel = 3, pad = 1, groups = 2, relu = true },
  { name = "p1", kind = "maxpool", inputs = ["c1"], kernel = 2 },
  { name = "fc", kind = "gemm", inputs = ["p1"], gemm = [1, 96, 5], act_bits = 4, weight_bits = 3 },
]
"""


@pytest.fixture
def run(run: Run) -> Run:
    """Runs ``hwgen run``: exit code, standard output, standard error."""
    return lambda *arguments: run("run", *arguments)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "three.toml"
    path.write_text(TABLE)
    return path


CORES = {"dsp_gemm": ("rows=3", "cols=5", "tile_steps=16"), "lut_gemm": ("dm=2", "dk=16", "dn=3")}


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("workload", ["tile", "table"])
def test_three_executors_agree(core: str, workload: str, run: Run, table: Path, tmp_path: Path) -> None:
    given = table if workload == "table" else workload
    settings = [word for one in CORES[core] for word in ("--set", one)]
    found = {}
    for executor in ("sim", "rtl"):
        files = ("--outputs", tmp_path / f"{executor}.npz", "--json", tmp_path / f"{executor}.json")
        code, out, err = run(core, given, *settings, "--executor", executor, "--verify", *files)
        assert (code, err) == (0, "")
        assert "every value equals the golden model's" in out
        found[executor] = json.loads((tmp_path / f"{executor}.json").read_text())
    assert "the Verilog takes the simulator's cycles" in out
    assert (
        found["rtl"]["cycles"] == found["sim"]["cycles"] == sum(x["cycles"] for x in found["sim"]["layers"])
    )
    assert found["sim"]["layers"] == found["rtl"]["layers"]
    assert found["sim"]["left_out"] == (["p1"] if workload == "table" else [])
    one, other = (np.load(tmp_path / f"{executor}.npz") for executor in ("sim", "rtl"))
    assert sorted(one) == sorted(other) == sorted(layer["name"] for layer in found["sim"]["layers"])
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    if workload == "table":
        assert one["c1"].shape == (2, 25, 3)
        assert one["fc"].shape == (1, 5)


@pytest.mark.parametrize("name", supported())
def test_time_alone_is_the_same_time(name: str) -> None:
    core, config = resolve(name, {})
    whole, fast = run_core(core, config, "tile"), run_core(core, config, "tile", timing_only=True)
    assert fast.cycles == whole.cycles
    assert fast.outputs is None
    assert fast.parts == whole.parts
    assert fast.traffic_bytes == whole.traffic_bytes
    assert whole.utilisation is not None
    assert 0.7 < whole.utilisation <= 1


def test_the_golden_model_counts_no_cycles(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("dsp_gemm", "gemm:3x4x5", "--executor", "golden", "--json", tmp_path / "a.json")
    assert code == 0
    assert "60 MACs" in out
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["cycles"] is found["utilisation"] is None
    assert found["macs"] == 60


REFUSED = {
    "an option of accelerators": (
        ("dsp_gemm", "tile", "--lut-share", "0.5"), "--lut-share is for accelerators, and dsp_gemm is a core"
    ),
    "no workload": (("lut_gemm",), "give a workload for lut_gemm"),
    "weights too wide": (
        ("dsp_gemm", "gemm:2x2x2", "--set", "weight_bits=4"),
        "does not fit the core dsp_gemm: weight_bits is 8, and the core has 4",
    ),
    "no room": (("lut_gemm", "gemm:2x100000x2"), "does not fit the core lut_gemm: a row of A has"),
    "no such workload": (("dsp_gemm", "nothing"), "neither a known network"),
    "values of a run without them": (("dsp_gemm", "tile", "--timing-only", "--verify"), "--timing-only leaves"),
    "negative seed": (("dsp_gemm", "tile", "--seed", "-1"), "seed must not be negative"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_sentence(case: str, run: Run) -> None:
    arguments, text = REFUSED[case]
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert text in " ".join(err.split())
    assert err.startswith("hwgen: ")


def test_differences_are_found(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    core, _ = resolve("dsp_gemm", {})
    monkeypatch.setattr(
        type(core), "values", lambda self, config, ops: [x + 1 for x in self.golden(config, ops)]
    )
    code, out, _ = run("dsp_gemm", "gemm:2x2x2", "--verify")
    assert code == 1
    assert "first difference: value of operation 0 at [0, 0]" in out
