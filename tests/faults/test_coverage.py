"""Coverage: resampled against computed, computed against enumeration, and the promises of every interval."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, hypergeom

from hwgen.errors import BadInput
from hwgen.faults.coverage import Fixed, Plan, coverage, effects, exact_coverage
from hwgen.faults.draws import permuted
from hwgen.faults.statistics import Interval, Method, Sequential

RATIOS = (
    0.3,
    1.0,
    1.7,
    2.06,
    2.14,
    2.31,
    2.5,
    3.3,
    5.0,
    9.0,
    25.0,
)  # share over error; 2 to 2.5 is the worst


def test_effects_are_those_of_the_first_draws() -> None:
    truth = np.random.default_rng(0).random(5000) < 0.1
    seen = effects(truth, [1, 7, 300, 5000], 4, seed=9)
    for c in range(4):
        order = permuted(9, c, np.arange(5000), 5000)
        assert seen[c].tolist() == [int(truth[order[:n]].sum()) for n in (1, 7, 300, 5000)]
    np.testing.assert_array_equal(effects(truth, [300], 2, seed=9)[:, 0], seen[:2, 2])


def test_a_fixed_plan_is_a_sum_over_all_counts() -> None:
    plan = Fixed(80)
    x = np.arange(81)
    held = np.array([0.07 in plan.interval(k, 80) for k in x])
    assert exact_coverage(plan, 0.07).covered == pytest.approx(binom.pmf(x, 80, 0.07)[held].sum(), abs=1e-12)
    finite = Fixed(80, "clopper-pearson", 0.95, 400)
    held = np.array([25 / 400 in finite.interval(k, 80) for k in x])
    exact = hypergeom.pmf(x, 400, 25, 80)[held].sum()
    assert exact_coverage(finite, 25).covered == pytest.approx(exact, abs=1e-9)


@dataclass(frozen=True)
class Hasty:
    """Stops early if it saw nothing, or everything."""

    population: int | None = None
    looks: tuple[int, ...] = (2, 4, 5)

    def stop(self, x: int, n: int) -> bool:
        return x in (0, n) or n == 5

    def interval(self, x: int, n: int) -> Interval:
        return Fixed(n, "wilson", 0.5, self.population).interval(x, n)


@pytest.mark.parametrize("critical", range(9))
def test_stopping_is_counted_path_by_path(critical: int) -> None:
    def run(plan: Plan, path: Any) -> tuple[bool, int]:
        n = next(n for n in plan.looks if plan.stop(sum(path[:n]), n))
        return critical / 8 in plan.interval(sum(path[:n]), n), n

    plan = Hasty(8)
    ends = [run(plan, path) for path in permutations([1] * critical + [0] * (8 - critical), 5)]
    found = exact_coverage(plan, critical)
    assert found.covered == pytest.approx(np.mean([held for held, _ in ends]), abs=1e-9)
    assert found.samples == pytest.approx(np.mean([n for _, n in ends]), abs=1e-9)
    assert found.covered + found.below + found.above == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("method", ["wilson", "clopper-pearson"])
def test_resampling_agrees_with_computation(method: Method) -> None:
    size, critical, campaigns = 20_000, 2600, 1000
    plans = [
        Fixed(1500, method, 0.95, size),
        Sequential(0.03, 0.95, size, method),
        Fixed(1500, method, 0.6, size),  # a wrong level must show
    ]
    results = coverage(np.arange(size) < critical, plans, campaigns, seed=4)
    for plan, result in zip(plans, results, strict=True):
        exact = exact_coverage(plan, critical)
        deviation = (exact.covered * (1 - exact.covered) / campaigns) ** 0.5
        assert abs(result.covered / campaigns - exact.covered) < 3.5 * deviation
        assert result.samples == pytest.approx(exact.samples, rel=0.03)
        assert result.covered + result.below + result.above == campaigns
        assert result.truth == 0.13
        assert result.half_width < 0.03
    least = {"wilson": 0.935, "clopper-pearson": 0.94}[method]
    assert all(least <= r.share.estimate <= 0.985 for r in results[:2])
    assert results[2].share.estimate < 0.7
    again = coverage(np.arange(size) < critical, plans[1:2], campaigns, seed=4)
    assert again == results[1:2]  # whatever else is tried beside it


@pytest.mark.parametrize("growth", [1.1, 1.25])
@pytest.mark.parametrize("population", [None, 8000])
def test_wilson_with_stopping_covers(growth: float, population: int | None) -> None:
    plan = Sequential(0.02, 0.95, population, "wilson", growth)
    for ratio in RATIOS:
        truth = 0.02 * ratio if population is None else round(0.02 * ratio * population)
        covered = exact_coverage(plan, truth).covered
        assert 0.94 <= covered <= (0.97 if ratio > 2 else 0.99), ratio


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("growth", [1.1, 1.25])
def test_clopper_pearson_with_stopping_never_covers_less(confidence: float, growth: float) -> None:
    plan = Sequential(0.02, confidence, None, "clopper-pearson", growth)
    for ratio in RATIOS:
        assert exact_coverage(plan, 0.02 * ratio).covered >= confidence, ratio


def test_plain_intervals_with_stopping_do_not() -> None:
    """The reason for the smaller level at each look: Clopper-Pearson's 95 % do not survive stopping."""

    @dataclass(frozen=True)
    class Plain(Sequential):
        def interval(self, x: int, n: int) -> Interval:
            return Fixed(n, self.method).interval(x, n)

    for method, least in (("wilson", 0.94), ("clopper-pearson", 0.95)):
        plan = Plain(0.02, method=method)  # type: ignore[arg-type]
        assert min(exact_coverage(plan, 0.02 * ratio).covered for ratio in RATIOS[3:]) < least - 0.005


def test_mixture_covers_with_stopping() -> None:
    for population in (None, 3000):
        plan = Sequential(0.05, 0.95, population, "mixture")
        for share in (0.01, 0.1, 0.5):
            truth = share if population is None else round(share * population)
            assert exact_coverage(plan, truth).covered >= 0.99


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: effects([0, 1, 2], [1], 1), "truth must be a list of 0 and 1"),
        (lambda: effects([], [1], 1), "truth must be"),
        (lambda: effects([0, 1], [1, 3], 1), "looks must rise and lie in 1..2"),
        (lambda: effects([0, 1], [2, 1], 1), "looks must rise"),
        (lambda: effects([0, 1], [], 1), "looks must rise"),
        (lambda: effects([0, 1], [1], 0), "campaigns must be"),
        (lambda: coverage([0, 1], []), "at least one plan"),
        (lambda: coverage([0, 1], [Fixed(1, population=3)]), "a plan is for 3 faults, the truth has 2"),
        (lambda: Fixed(0), "n must be"),
        (lambda: Fixed(1, "wald"), "method must be one of"),  # type: ignore[arg-type]
        (lambda: exact_coverage(Fixed(1), 1.5), "truth must lie in 0..1"),
        (lambda: exact_coverage(Fixed(1, population=3), 4), "truth must be a whole number in 0..3"),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        call()
