"""Importance sampling: no bias against the exhaustive truth, and fewer faults for the same interval."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.errors import BadInput
from hwgen.faults import statistics
from hwgen.faults.importance import Importance, proposal
from hwgen.faults.models import faults
from hwgen.faults.plan import Exhaustive, Population, Uniform, population
from tests.faults.subjects import subject


def members() -> Population:
    one = subject("array")
    return population(one.sites, one.lanes.cycles, faults(0, 0))


def hung(rows: np.ndarray) -> np.ndarray:
    """A rare effect."""
    found, _ = subject("array").lanes.inject(rows)
    return found["status"] == 1


def test_no_bias_and_a_narrower_interval() -> None:
    whole = members()
    truth = hung(Exhaustive(whole)(0, len(whole)))
    pilot = Uniform(whole, 3000, 7)(0, 3000)
    shares = proposal(whole, pilot, hung(pilot))
    held, widths, centre = 0, [], []
    for seed in range(40):
        plan = Importance(whole, shares, 2000, seed)
        rows = plan(0, plan.total)
        assert 0.8 < plan.weights(rows).mean() < 1.2
        found = plan.share(rows, hung(rows))
        held += found.low <= truth.mean() <= found.high
        widths.append(found.half_width)
        centre.append(found.estimate)
    assert held >= 35  # 40 of 95 %: fewer in 5 of 10,000 cases
    spread = np.std(centre) / np.sqrt(40)
    assert abs(np.mean(centre) - truth.mean()) < 4 * spread
    uniform = statistics.wilson(round(truth.mean() * 2000), 2000)
    assert np.median(widths) < 0.8 * uniform.half_width


def test_shares_of_parts() -> None:
    whole = members()
    everything = Exhaustive(whole)(0, len(whole))
    truth = hung(everything)
    pilot = Uniform(whole, 3000, 7)(0, 3000)
    plan = Importance(whole, proposal(whole, pilot, hung(pilot)), 20_000, 2)
    rows = plan(0, plan.total)
    known = np.searchsorted([e.first for e in whole.elements], rows["site"], side="right") - 1
    assert (known == rows["stratum"]).all()
    seen = hung(rows)
    for part in (lambda r: r["cycle"] < 20, lambda r: r["site"] < 60):
        found = plan.share(rows[part(rows)], seen[part(rows)], 0.9999)
        assert found.low <= truth[part(everything)].mean() <= found.high
        assert found.half_width < 0.1


def test_draws_do_not_depend_on_chunks() -> None:
    whole = members()
    n = len(whole.elements)
    plan = Importance(whole, (1 / n,) * n, 100, 5)
    parts = np.concatenate([plan(0, 30), plan(30, 70)])
    assert (plan(0, 100) == parts).all()


def test_refusals() -> None:
    whole = members()
    n = len(whole.elements)
    with pytest.raises(BadInput, match="above 0"):
        Importance(whole, (0.0, *([1 / (n - 1)] * (n - 1))), 10, 0)
    with pytest.raises(BadInput, match="sum to 1"):
        Importance(whole, (1.0,) * n, 10, 0)
    with pytest.raises(BadInput, match="tells nothing"):
        proposal(whole, Uniform(whole, 1, 0)(0, 0), np.zeros(0, bool))
