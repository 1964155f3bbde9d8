"""``hwgen run`` with sparse weights: figures against counts by hand, sums, table, report, and all executors equal."""

from __future__ import annotations

import io
import json
import re
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from hwgen.commands.executors import DRAM
from hwgen.commands.jobs import numbers
from hwgen.commands.run import RunResult
from hwgen.commands.run import run as run_workload
from hwgen.commands.run_account import layer_bounds, on_chip_bytes
from hwgen.commands.run_report import run_report
from hwgen.commands.run_table import run_table
from hwgen.commands.targets import accelerator
from hwgen.compile.compiler import compile_network
from hwgen.compile.network import random_network
from hwgen.compile.sparse_figures import SparseFigures
from hwgen.explore.account import LOSSES
from hwgen.report import render
from hwgen.workloads import Layer, load
from tests.commands.conftest import Run

TABLE = """
name = "thin"
input = [6, 6, 16]
layer = [
  { name = "c1", kind = "conv", inputs = ["input"], out_channels = 32, kernel = 3, pad = 1, pattern = "2:4" },
  { name = "p1", kind = "maxpool", inputs = ["c1"], kernel = 2, stride = 2 },
  { name = "c2", kind = "conv", inputs = ["p1"], out_channels = 24, weight_bits = 4, pattern = "4:16" },
  { name = "fc", kind = "gemm", inputs = ["c2"], gemm = [1, 216, 300], pattern = "1:16" },
]
"""

BOTH = """
name = "both"
input = [6, 6, 16]
layer = [
  { name = "thin", kind = "conv", inputs = ["input"], out_channels = 32, kernel = 3, pattern = "2:4", sparse = true },
  { name = "full", kind = "conv", inputs = ["thin"], out_channels = 16, kernel = 3, sparse = false },
]
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "thin.toml"
    path.write_text(TABLE.replace('" },', '", sparse = true },'))
    return path


def _shown(result: RunResult) -> str:
    console = Console(width=160, file=io.StringIO())
    with console.capture() as shown:
        console.print(run_table(result))
    return shown.get()


def _sums(found: dict) -> None:
    assert sum(layer["cycles"] for layer in found["layers"]) == found["cycles"]
    for layer in found["layers"]:
        assert layer["compute"] + sum(layer["losses"].values()) == layer["cycles"]
        assert list(layer["losses"]) == list(LOSSES)
        assert layer["utilisation"] == (layer["compute"] / layer["cycles"] if layer["macs"] else 0)


@pytest.mark.parametrize("target", ["sparse_edge", "sparse_u280"])
def test_figures_are_counts_that_can_be_made_by_hand(target: str, table: Path) -> None:
    config = accelerator(target, {})
    result = run_workload(config, str(table), verify=True)
    assert result.differences == []
    found = json.loads(json.dumps(result.to_dict()))
    _sums(found)
    c1, p1, c2, fc = found["layers"]
    assert "sparse" not in p1
    weights = {name: one.weight for name, one in numbers(config, str(table)).network.data.items()}
    sizes = {"c1": (36, 9 * 16, 32), "c2": (9, 32, 24), "fc": (1, 216, 300)}
    for layer in (c1, c2, fc):
        m, k, n = sizes[layer["name"]]
        sparse, weight = layer["sparse"], weights[layer["name"]]
        assert weight is not None
        assert sparse["weights"] == weight.size == k * n
        assert sparse["nonzero"] == np.count_nonzero(weight)
        assert sparse["density"] == sparse["nonzero"] / (k * n)
        assert sparse["known"]
        assert sparse["dense_bytes"] == k * n * sparse["bits"] // 8
        assert layer["macs"] == m * k * n
        assert layer["engine"] == "sparse"
        assert layer["lut_share"] is None
        # Compute: the products that must be made.
        assert layer["compute"] == ceil(m * sparse["nonzero"] / (16 * config.sparse_rows))
        assert layer["bounds"]["compute"] == layer["compute"]
        # Every step of the chains is a step of the engine.
        assert layer["tiles"] == sparse["steps"]
        assert layer["losses"]["split"] == layer["losses"]["weight load"] == 0
        assert sparse["speed_up"] == sparse["dense_steps"] / sparse["steps"]
        assert sparse["ideal_speed_up"] == k * n / sparse["nonzero"]
        streams = sum(sparse["bytes"].values())
        outputs = m * n
        inputs = {"c1": 36 * 16, "c2": 9 * 32, "fc": 216}[layer["name"]]
        assert layer["bounds"]["compulsory_bytes"] == inputs + streams + outputs
        # Parameters beside it, 16 bytes for a channel.
        assert streams < layer["read_bytes"]

    # 2:4: 8 of 16 slots of a byte each, 2 bits of index; 9 blocks of 2 column tiles, codes in words of 8 bytes.
    ways = config.sparse_ways
    sparse = c1["sparse"]
    assert (sparse["mode"], sparse["bits"], sparse["patterns"]) == ("matrix", 8, {"2:4": 18})
    assert sparse["bytes"] == {
        "codes": 2 * 8,
        "values": ceil(18 * 8 / ways) * ways * 16,
        "indices": ceil(18 * 4 / ways) * ways * 8,
    }
    assert (sparse["steps"], sparse["dense_steps"]) == (sparse["tiles"] * 144, sparse["tiles"] * 288)
    assert sparse["tiles"] == 6 * ceil(
        6 / config.sparse_rows
    )  # rows of 8 pixels: each row of outputs is on its own
    # 4:16 of 4 bits: 4 of 16 slots, 2 blocks of 2 column tiles; 8 steps of a round are less than 16 rows take to leave.
    sparse = c2["sparse"]
    assert (sparse["bits"], sparse["patterns"]) == (4, {"4:16": 4})
    least = config.sparse_least(spread=False)
    assert sparse["steps"] == sparse["tiles"] * 2 * max(8, least)
    assert sparse["dense_steps"] == sparse["tiles"] * 2 * 32
    # 216 = 3 · 3 · 24: a pixel has 2 words, the second one half full; a slot of it stays.
    sparse = fc["sparse"]
    assert sparse["mode"] == ("vector" if ways > 1 else "matrix")
    rounds = ceil(300 / 16 / ways)
    assert sparse["patterns"] == {"1:16": 18 * rounds}
    assert sparse["bytes"]["codes"] == rounds * 2 * 8
    spread = ways > 1
    assert sparse["tiles"] == 1
    least, gap = config.sparse_least(spread), config.sparse_gap(spread)
    assert sparse["steps"] == rounds * (max(18, least) + gap)
    assert sparse["dense_steps"] == rounds * (9 * (16 + 8) + gap)  # 8:16 holds a word that is half full


def test_the_table_has_columns_for_sparse_weights_only_where_there_are_any(tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    path.write_text(BOTH)
    config = accelerator("sparse_u280", {})
    text = _shown(run_workload(config, str(path), timing_only=True))
    assert re.search(r"layer +density +× dense +cycles", text)
    assert re.search(r"thin +50\.0 % +2\.00 ", text)
    assert re.search(r"full +– +– +\d", text)
    text = _shown(run_workload(accelerator("tiny", {}), "gemm:4x8x8"))
    assert "density" not in text


def test_a_dense_layer_beside_it_keeps_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    path.write_text(BOTH)
    result = run_workload(accelerator("sparse_u280", {}), str(path), verify=True)
    assert result.differences == []
    found = result.to_dict()
    _sums(found)
    thin, full = found["layers"]
    assert (thin["engine"], full["engine"]) == ("sparse", "dsp")
    assert "sparse" not in full
    assert (thin["lut_share"], full["lut_share"]) == (None, 0)
    assert full["compute"] == 4 * 9 * 32 * 16 // 256
    assert thin["compute"] == 16 * 9 * 16 * 32 // 2 // 256
    page = render(run_report(result))
    assert "DSP core, SPARSE core" in page
    assert "main engine SPARSE" in page
    assert "16 × 16 INT8 on DSP blocks and 16 × 16 INT8 of sparse weights on DSP blocks" in page


def test_time_alone_is_told_of_the_same_weights(table: Path) -> None:
    config = accelerator("sparse_edge", {})
    first, second = (run_workload(config, str(table), timing_only=only).to_dict() for only in (False, True))
    assert first["cycles"] == second["cycles"]
    assert first["layers"] == second["layers"]


def test_weights_that_nobody_knows_are_dense() -> None:
    config = accelerator("sparse_edge", {})
    workload = load("gemm:8x40x20")
    compiled = compile_network(config, random_network(workload, 0, config.scale_bits, with_weights=False))
    found = compiled.sparse["gemm"]
    assert not found.known
    assert found.nonzero == found.weights == 800
    assert found.patterns == {"16:16": 6}
    assert found.steps == found.dense_steps
    assert (found.density, found.speed_up, found.ideal) == (1, 1, 1)
    assert compiled.lut_shares == {}


def test_what_lies_between_groups_is_no_weight(tmp_path: Path) -> None:
    path = tmp_path / "groups.toml"
    path.write_text(
        'name = "g"\ninput = [4, 4, 32]\n[[layer]]\nname = "g"\nkind = "conv"\ninputs = ["input"]\n'
        'out_channels = 32\ngroups = 2\npattern = "4:16"\n'
    )
    result = run_workload(accelerator("sparse_edge", {}), str(path), verify=True)
    assert result.differences == []
    sparse = result.layers[0].sparse
    assert sparse is not None
    assert sparse.weights == 2 * 16 * 16
    assert sparse.patterns == {"0:16": 2, "4:16": 2}
    assert (sparse.tile_steps, sparse.dense_tile_steps) == (2 * 4, 2 * 16)


def test_weights_of_zeros_only_have_no_ideal(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    path.write_text('name = "z"\n[[gemm]]\nname = "z"\nm = 4\nk = 64\nn = 32\npattern = "0:16"\n')
    result = run_workload(accelerator("sparse_edge", {}), str(path), verify=True)
    assert result.differences == []
    (layer,) = result.to_dict()["layers"]
    assert (layer["compute"], layer["sparse"]["ideal_speed_up"]) == (0, None)
    assert layer["sparse"]["bytes"] == {"codes": 16, "values": 0, "indices": 0}
    page = render(run_report(result))
    assert "Sparse weights" in page
    assert "Speed-up of the array" not in page


def test_little_room_on_the_chip_raises_the_bound_by_the_products_that_are_made() -> None:
    config = accelerator("sparse_edge", {"sparse_value_words": "1024", "sparse_index_words": "1024"})
    words = on_chip_bytes(config)
    layer = Layer("g", "gemm", gemm=(1 << 14, 256, 1 << 14))
    for part in (1, 4):
        weights = 1 << 22
        sparse = SparseFigures(
            weights=weights, nonzero=weights // part, known=True, patterns={}, bits=8, codes=1000, indices=2000,
            values=3000, spread=False, tiles=1, tile_steps=1, dense_tile_steps=1,
        )  # fmt: skip
        found = layer_bounds(config, layer, (1 << 14, 1, 256), DRAM, sparse)
        assert found.compute == (1 << 14) * (weights // part) // 64
        assert found.compulsory_bytes == (1 << 22) + (1 << 28) + 6000
        moved = 2 * (1 << 14) * (weights // part) / words**0.5 - 2 * words
        assert found.capacity == pytest.approx(max(moved, found.compulsory_bytes) / 16, abs=2)
        assert (found.capacity > found.compulsory) == (part == 1)


def test_the_report_tells_of_sparse_weights(run: Run, table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    code, out, _ = run("run", "sparse_edge", table, "--report", folder, "--json", tmp_path / "run.json")
    assert code == 0
    assert "× dense" in out
    page = (folder / "report.html").read_text()
    for text in (
        "4 × 16 INT8 of sparse weights on DSP blocks", "Sparse weights", "Weights in memory [bytes]",
        "Steps of the array [cycles]", "Speed-up of the array over dense weights", "SPARSE core", "speed-up",
        "operand",
    ):  # fmt: skip
        assert text in page
    found = json.loads((tmp_path / "run.json").read_text())
    for layer in found["layers"]:
        for number in (layer.get("sparse") or {"bytes": {}})["bytes"].values():
            assert f"{number:,}" in page
    assert str(tmp_path) not in page
    folder = tmp_path / "dense"
    assert run("run", "tiny", "gemm:4x8x8", "--report", folder)[0] == 0
    assert "Sparse weights" not in (folder / "report.html").read_text()


def test_all_executors_agree(run: Run, table: Path, tmp_path: Path) -> None:
    found, values = {}, {}
    for executor in ("golden", "sim", "rtl"):
        code, out, err = run(
            "run", "sparse_edge", table, "--executor", executor, "--outputs", tmp_path / f"{executor}.npz",
            "--json", tmp_path / f"{executor}.json",
        )  # fmt: skip
        assert (code, err) == (0, "")
        values[executor] = np.load(tmp_path / f"{executor}.npz")
        found[executor] = json.loads((tmp_path / f"{executor}.json").read_text())
        assert ("density" in out) == (executor != "golden")
    for executor in ("sim", "rtl"):
        assert set(values[executor]) == {"c1", "p1", "c2", "fc"}
        for name in values["golden"]:
            np.testing.assert_array_equal(values[executor][name], values["golden"][name])
    for key in ("cycles", "traffic_bytes", "counters", "layers"):
        assert found["rtl"][key] == found["sim"][key]


def test_a_bare_program_counts_the_chains_too(table: Path, tmp_path: Path) -> None:
    config = accelerator("sparse_edge", {})
    given = numbers(config, str(table))
    compiled = compile_network(config, given.network)
    compiled.program.save(tmp_path / "thin.hwp")
    memory = compiled.memory({name: values[0] for name, values in given.inputs.items()})
    (tmp_path / "memory.bin").write_bytes(memory.tobytes())
    result = run_workload(config, program=tmp_path / "thin.hwp", memory=tmp_path / "memory.bin")
    found = result.to_dict()
    _sums(found)
    (layer,) = found["layers"]
    assert layer["engine"] == "sparse"
    assert layer["compute"] == layer["tiles"] == sum(one.steps for one in compiled.sparse.values())
    assert "SPARSE core" in render(run_report(result))


def test_the_tile_fits_the_sparse_core_alone() -> None:
    for target in ("sparse_edge", "sparse_u280"):
        config = accelerator(target, {"dsp": "no", "softmax_words": "0"})
        result = run_workload(config, "tile", verify=True)
        assert result.differences == []
        assert result.layers[0].sparse is not None
