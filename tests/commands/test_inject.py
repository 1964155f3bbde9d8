"""``hwgen inject`` from the command line to its files, on a core of two by two cells."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from hwgen.faults.safety import DISCLAIMER
from tests.commands.conftest import Run, command

CORE = ("dsp_gemm", "--set", "rows=2", "--set", "cols=2", "--set", "tile_steps=4", "gemm:3x4x3")
RATES = """
[transient]
flip_flop = { fit_per_mbit = 50.0, source = "a figure made up for tests" }
[permanent]
flip_flop = { fit_per_bit = 1e-6, source = "another one" }
"""


def call(*arguments: object) -> int:
    """Run a campaign in this process; gives its exit code."""
    return command("inject", "--processes", 1, *arguments)


@pytest.fixture
def run(run: Run) -> Run:
    """Runs it: exit code, standard output, standard error."""
    return lambda *arguments: run("inject", "--processes", 1, *arguments)


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Campaigns that tests read: every upset, and every bit stuck at 1, of the first twelve cycles."""
    place = tmp_path_factory.mktemp("campaigns")
    (place / "rates.toml").write_text(RATES)
    window = ("--window", "0..12", "--exhaustive")
    assert call(*CORE, *window, "-o", place / "seu", "--json", place / "seu.json") == 0
    assert call(*CORE, *window, "--model", "stuck-at-1", "-o", place / "stuck") == 0
    return place


def test_every_fault(folder: Path) -> None:
    found = read(folder / "seu.json")
    assert found["schema"] == "hwgen.inject/1"
    assert found["injections"] == found["population"] == found["sites"] * 12
    assert sum(found["outcomes"].values()) == found["injections"]
    assert found["avf"]["estimate"] == found["avf"]["low"] == found["avf"]["high"]
    assert found["avf"]["estimate"] == pytest.approx(1 - found["outcomes"]["masked"] / found["injections"])
    assert found["rate_per_second"] > 0
    assert {one["name"] for one in found["blocks"]} == {"top", "column_0", "column_1", "sequencer"}
    totals = found["safety"]["totals"]
    assert totals["transient"]["avf"] == pytest.approx(found["avf"])
    assert totals["transient"]["fit"] is None
    assert "raw rates" in found["safety"]["refused"][0]
    assert found["safety"]["disclaimer"] == DISCLAIMER


def test_a_finished_campaign_is_only_read(folder: Path, run: Run, tmp_path: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in folder.joinpath("seu").rglob("*.parquet")}
    given = (*CORE, "--window", "0..12", "--exhaustive", "-o", folder / "seu", "--resume")
    code, out, _ = run(*given, "--json", tmp_path / "again.json", "--report", tmp_path / "page")
    assert code == 0
    assert "per second" not in out
    again, first = read(tmp_path / "again.json"), read(folder / "seu.json")
    assert again["rate_per_second"] == 0
    for key in ("results_digest", "outcomes", "blocks", "avf", "safety"):
        assert again[key] == first[key]
    assert files == {path: path.stat().st_mtime_ns for path in files}
    page = (tmp_path / "page" / "report.html").read_text()
    assert run(*given, "--report", tmp_path / "twice")[0] == 0
    assert page == (tmp_path / "twice" / "report.html").read_text()


def test_the_report_shows_all_parts(folder: Path, run: Run, tmp_path: Path) -> None:
    given = (*CORE, "--window", "0..12", "--exhaustive", "-o", folder / "seu", "--resume")
    rates = ("--rates", folder / "rates.toml", "--with", folder / "stuck", "--lifetime", 1000)
    assert run(*given, "--report", tmp_path / "bare")[0] == 0
    assert run(*given, *rates, "--report", tmp_path / "full")[0] == 0
    bare, full = ((tmp_path / name / "report.html").read_text() for name in ("bare", "full"))
    titles = re.findall(r"<h2>(.*?)</h2>", full)
    assert titles == [
        "Outcomes", "Where: the array", "Which bit", "When", "Detection latency", "Most vulnerable registers", "Safety",
        "What the figures mean",
    ]  # fmt: skip
    digest = read(folder / "seu.json")
    for text in (digest["digest"], digest["results_digest"][:16], "column_#.chain_#.row_#", DISCLAIMER):
        assert text in bare
        assert text in full
    assert "need raw rates, which were not given" in bare
    assert "a figure made up for tests" not in bare
    for text in ("a figure made up for tests", "another one", "ASIL-D", "PMHF", "permanent"):
        assert text in full


def test_a_report_of_few_faults(folder: Path, run: Run, tmp_path: Path) -> None:
    given = (*CORE, "--samples", 2, "-o", tmp_path / "out")
    code, _, _ = run(*given, "--report", tmp_path)
    assert code == 0
    assert re.search(r"\b0( to [12])? faults in each instance", (tmp_path / "report.html").read_text())
    code, _, err = run(*given, "--resume", "--rates", folder / "rates.toml")
    assert (code, err.count("\n")) == (2, 1)
    assert "their FIT is not known" in err


def test_designs_without_an_array_have_a_map_of_blocks(run: Run, tmp_path: Path) -> None:
    code, _, _ = run(
        *CORE, "--sites", "sequencer", "--samples", 40, "-o", tmp_path / "out", "--report", tmp_path
    )
    assert code == 0
    page = (tmp_path / "report.html").read_text()
    assert "Where: blocks and classes" in page
    assert "selected sites" in page


def test_safety_figures_of_both_kinds_of_faults(folder: Path, run: Run, tmp_path: Path) -> None:
    given = (*CORE, "--window", "0..12", "--exhaustive", "-o", folder / "seu", "--resume")
    more = ("--with", folder / "stuck", "--lifetime", 8760, "--budget-share", 0.1)
    files = ("--fmeda", tmp_path / "deep" / "fmeda.csv", "--json", tmp_path / "found.json")
    code, out, _ = run(*given, "--rates", folder / "rates.toml", *more, *files)
    assert code == 0
    assert "ASIL-D: SPFM (transient) not met" in out
    assert DISCLAIMER in " ".join(out.split())
    found = read(tmp_path / "found.json")
    totals, sites = found["safety"]["totals"], found["sites"]
    assert set(totals) == {"transient", "permanent", "both"}
    assert totals["transient"]["raw_fit"] == pytest.approx(sites * 50 / 2**20)
    assert totals["permanent"]["raw_fit"] == pytest.approx(sites * 1e-6)
    silent = found["outcomes"]["sdc"] + found["outcomes"]["hang"] + found["outcomes"]["protocol"]
    assert totals["transient"]["spfm"]["estimate"] == pytest.approx(1 - silent / found["injections"])
    assert totals["both"]["pmhf"]["estimate"] > 0
    assert {v["metric"] for v in found["safety"]["verdicts"]["asil-b"]} == {"SPFM", "LFM", "PMHF"}
    assert found["safety"]["refused"] == []
    assert len(found["safety"]["raw_rates"]) == 2
    with (tmp_path / "deep" / "fmeda.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["fault_kind"] for row in rows} == {"transient", "permanent"}
    assert sum(int(row["count"]) for row in rows if row["fault_kind"] == "transient") == found["injections"]
    assert sum(float(row["mode_fit"]) for row in rows) == pytest.approx(totals["both"]["raw_fit"])


def test_an_fmeda_without_rates_has_shares_and_no_fit(folder: Path, run: Run, tmp_path: Path) -> None:
    given = (*CORE, "--window", "0..12", "--exhaustive", "-o", folder / "seu", "--resume")
    assert run(*given, "--fmeda", tmp_path / "fmeda.csv")[0] == 0
    with (tmp_path / "fmeda.csv").open() as file:
        assert {(row["row_raw_fit"], row["share"] != "") for row in csv.DictReader(file)} == {("", True)}


def test_uniform_draws_repeated_on_the_verilog(run: Run, tmp_path: Path) -> None:
    report = tmp_path / "found.json"
    given = (*CORE, "--samples", 300, "-o", tmp_path / "out")
    code, out, _ = run(*given, "--verify", 25, "--json", report, "--report", tmp_path)
    assert code == 0
    found = read(report)
    assert (found["verified"], found["mismatches"], found["first_mismatch"]) == (25, 0, "")
    assert found["baseline_rate_per_second"] > 0
    assert found["injections"] == 300
    assert found["avf"]["low"] < found["avf"]["estimate"] < found["avf"]["high"]
    assert "25 faults, 0 mismatches" in out
    assert "300 faults in" in out
    assert "25 of the faults" in (tmp_path / "report.html").read_text()
    # The folder is not overwritten by accident.
    code, _, err = run(*given)
    assert (code, err.count("\n")) == (2, 1)
    assert "--resume" in err


def test_stratified_draws(run: Run, folder: Path, tmp_path: Path) -> None:
    given = (
        *CORE,
        "--window",
        "0..12",
        "--stratified",
        "--phases",
        2,
        "--samples",
        600,
        "-o",
        tmp_path / "out",
    )
    code, out, _ = run(*given, "--json", tmp_path / "a.json", "--report", tmp_path)
    assert code == 0
    found, truth = read(tmp_path / "a.json"), read(folder / "seu.json")
    assert found["avf"]["low"] - 0.05 < truth["avf"]["estimate"] < found["avf"]["high"] + 0.05
    assert found["population"] == truth["population"]
    assert "per second" in out
    bits = sum(one["bits"] for one in found["safety"]["blocks"])
    assert bits == pytest.approx(found["sites"])
    assert {one["block"] for one in found["safety"]["blocks"]} <= {"control", "datapath", "configuration"}
    code, out, _ = run(*given, "--resume", "--json", tmp_path / "b.json")
    assert code == 0
    assert "per second" not in out
    again = read(tmp_path / "b.json")
    assert again["results_digest"] == found["results_digest"]
    assert again["avf"] == found["avf"]
    code, _, err = run(*CORE, "--stratified", "-o", folder / "seu", "--resume")
    assert code == 2
    assert "holds another campaign" in err


def test_transients_at_gates(run: Run, tmp_path: Path) -> None:
    given = (*CORE, "--model", "set", "--samples", 2000, "-o", tmp_path / "out")
    code, _, _ = run(*given, "--json", tmp_path / "a.json", "--report", tmp_path)
    assert code == 0
    found = read(tmp_path / "a.json")
    assert found["injections"] == 2000
    assert found["outcomes"]["sdc"] > 50 < found["outcomes"]["masked"]
    assert " gates of " in (tmp_path / "report.html").read_text()
    assert [share["name"] for share in found["classes"]] == ["logic"]


def test_importance(run: Run, tmp_path: Path) -> None:
    given = (*CORE, "--importance", "hang", "--samples", 1500, "-o", tmp_path / "out")
    code, out, _ = run(*given, "--json", tmp_path / "a.json", "--report", tmp_path)
    assert code == 0
    found = read(tmp_path / "a.json")
    assert found["outcomes"]["hang"] > 30  # of 1,500 uniform ones, some 10 would be
    assert "Safety figures rest on the pilot alone" in (tmp_path / "report.html").read_text()
    code, again, _ = run(*given, "--resume")
    assert code == 0
    assert next(line for line in out.splitlines() if line.startswith("hang")) in again


def test_early_stop(run: Run, tmp_path: Path) -> None:
    given = (*CORE, "--early-stop", "--error", 0.05, "-o", tmp_path / "out")
    code, out, _ = run(*given, "--samples", 20_000, "--json", tmp_path / "a.json", "--report", tmp_path)
    assert code == 0
    found = read(tmp_path / "a.json")
    assert found["stopped_early"]
    assert found["injections"] < 20_000
    assert (found["avf"]["high"] - found["avf"]["low"]) / 2 <= 0.05
    assert "stopped early" in out
    assert "stopped early" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--sites", "nowhere"), "there is no site 'nowhere'"),
        (("--window", "5..100000"), "not within the run's cycles"),
        (("--window", "5"), "--window takes FIRST..END"),
        (("--exhaustive", "--samples", "3"), "leave out --stratified, --importance, --samples"),
        (("--importance", "hang", "--stratified"), "two ways to draw"),
        (("--importance", "hang", "--early-stop"), "--early-stop is for uniform draws"),
        (("--lifetime", "100"), "add --rates FILE"),
        (("--rates", "no-such.toml"), "no-such.toml cannot be read"),
        (("--classes", "memory"), "the selection has no site"),
    ],
)
def test_refusals(more: tuple[str, ...], expected: str, run: Run, tmp_path: Path) -> None:
    code, out, err = run(*CORE, *more, "-o", tmp_path / "out")
    assert code == 2
    assert not out
    assert expected in " ".join(err.split())
    assert err.startswith("hwgen: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_results_of_another_design_are_refused(folder: Path, run: Run, tmp_path: Path) -> None:
    other = [word.replace("rows=2", "rows=3") for word in CORE]
    code, _, err = run(*other, "--window", "0..12", "--exhaustive", "-o", folder / "seu", "--resume")
    assert (code, err.count("\n")) == (2, 1)
    assert "another netlist digest" in err
    code, _, err = run(*other, "--samples", 20, "-o", tmp_path / "out", "--with", folder / "stuck")
    assert (code, err.count("\n")) == (2, 1)
    assert "another design or job" in err
    repeated = (
        "--window",
        "0..12",
        "--exhaustive",
        "-o",
        folder / "seu",
        "--resume",
        "--with",
        folder / "seu",
    )
    code, _, err = run(*CORE, *repeated)
    assert code == 2
    assert "is there twice" in err


def test_a_corrupt_shard_is_computed_again(run: Run, tmp_path: Path) -> None:
    given = (*CORE, "--samples", 1500, "-o", tmp_path / "out")
    assert run(*given, "--json", tmp_path / "a.json")[0] == 0
    shard = sorted(tmp_path.joinpath("out").rglob("*.parquet"))[0]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    code, out, err = run(*given, "--resume", "--json", tmp_path / "b.json")
    assert code == 0
    assert "it is computed again" in err
    assert "1,024 faults in" in out
    a, b = read(tmp_path / "a.json"), read(tmp_path / "b.json")
    assert a["results_digest"] == b["results_digest"]
    # What another campaign left damaged or unfinished is not used.
    (tmp_path / "out" / "finished.json").unlink()
    code, _, err = run(*CORE, "--samples", 20, "-o", tmp_path / "more", "--with", tmp_path / "out")
    assert code == 2
    assert "is not finished" in err
