"""The lane engine against the hooked Verilog: outcome, length and everything that is given, fault by fault."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.commands import targets
from hwgen.faults.engine.engine import LANES
from hwgen.faults.models import Model
from hwgen.faults.sites import Kind
from hwgen.verify.block import Block
from tests.faults.subjects import QUICK, SUBJECTS, drawn, subject

COMPARED = ["digest", "end", "wrong", "flag", "status", "mended"]


def agree(name: str, model: Model, count: int, seed: int = 3) -> None:
    """Both engines, the same faults."""
    one = subject(name)
    if model in (Model.COLUMN_AT_0, Model.COLUMN_AT_1) and not any(e.kind is Kind.MEMORY for e in one.sites):
        pytest.skip("no memory")
    listed = drawn(one, model, count, seed)
    ours, _ = one.lanes.inject(listed)
    theirs = one.run_verilated(listed)
    assert theirs.cycles == one.lanes.cycles
    for field in COMPARED:
        assert theirs.fault_free[field] == one.lanes.fault_free[field]
        differs = np.flatnonzero(ours[field] != theirs.results[field])
        shown = [
            (str(one.sites.site(int(listed["site"][i]))), listed[i], ours[i], theirs.results[i])
            for i in differs[:3]
        ]
        assert not shown, (field, len(differs), shown)
    # A run in which nothing happens proves nothing.
    assert (ours["digest"] != one.lanes.fault_free["digest"]).sum() > count // 50


@pytest.mark.parametrize(
    "model", [m for m in Model if m not in (Model.SWAP, Model.SET)], ids=lambda model: model.name
)
@pytest.mark.parametrize("name", QUICK)
def test_engines_agree(name: str, model: Model) -> None:
    agree(name, model, 500)


@pytest.mark.parametrize("name", ["array", "size one"])
def test_engines_agree_on_swaps(name: str) -> None:
    """These need hooks of their own, which take time to build."""
    agree(name, Model.SWAP, 500)


@pytest.mark.slow
@pytest.mark.parametrize("model", [m for m in Model if m is not Model.SET], ids=lambda model: model.name)
@pytest.mark.parametrize("name", SUBJECTS)
def test_engines_agree_on_many_faults(name: str, model: Model) -> None:
    agree(name, model, 10_000, seed=4)


@pytest.mark.parametrize("name", ["array", "plain accelerator"])
def test_results_do_not_depend_on_lanes_or_order(name: str) -> None:
    one = subject(name)
    listed = drawn(one, Model.SEU, 3000)
    first, _ = one.lanes.inject(listed, lanes=64)
    for lanes in LANES:
        order = np.random.default_rng(lanes).permutation(len(listed))
        again, _ = one.lanes.inject(listed[order], lanes=lanes, window=50)
        for field in [*COMPARED, "latent"]:
            np.testing.assert_array_equal(again[field], first[field][order], err_msg=field)


def test_serial_runs_are_the_forked_ones() -> None:
    one = subject("array")
    listed = drawn(one, Model.SEU, 100)
    forked = one.run_verilated(listed, processes=3)
    serial = one.run_verilated(listed, forked=False)
    np.testing.assert_array_equal(forked.results, serial.results)


def test_fault_free_run_is_the_harness_run() -> None:
    """The bench is the one that all cores are checked with."""
    target, settings, _, _ = SUBJECTS["array"]
    core, config = targets.resolve(target, settings)
    one = subject("array")
    seen = Block(core, config).harness().run(one.stimulus)
    assert seen.cycles == one.lanes.fault_free["end"]


def test_upset_in_a_register_that_nothing_reads_is_masked() -> None:
    one = subject("array")
    listed = drawn(one, Model.SEU, 2000)
    results, effort = one.lanes.inject(listed)
    same = results["digest"] == one.lanes.fault_free["digest"]
    assert 0 < same.sum() < len(listed)
    assert effort.batches >= len(listed) // 512
