"""Intervals and allocations against SciPy, exact enumeration, published tables and simulated campaigns."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise, product
from math import comb, inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, betabinom, binomtest, hypergeom

from hwgen.errors import BadInput
from hwgen.faults import intervals
from hwgen.faults.statistics import (
    METHODS,
    Interval,
    Method,
    Sequential,
    Stratum,
    clopper_pearson,
    importance,
    mixture,
    neyman,
    sample_size,
    stratified,
    upper,
    wilson,
)

SEEN = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
CONFIDENCES = st.sampled_from([0.8, 0.95, 0.99])


def close(a: Interval, low: float, high: float, off: float = 1e-9) -> None:
    assert a.low == pytest.approx(low, abs=off)
    assert a.high == pytest.approx(high, abs=off)


@given(SEEN, CONFIDENCES)
def test_intervals_are_those_of_scipy(seen: tuple[int, int], confidence: float) -> None:
    for function, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        theirs = binomtest(*seen).proportion_ci(confidence, method)
        close(function(*seen, confidence), theirs.low, theirs.high)
    assert upper(*seen, confidence) == pytest.approx(
        binomtest(*seen, alternative="less").proportion_ci(confidence).high, abs=1e-9
    )


def test_nothing_seen() -> None:
    assert upper(0, 299) == pytest.approx(1 - 0.05 ** (1 / 299), rel=1e-12)
    # 99 % and 99.9 % with 95 % confidence need so many samples without a miss, and no fewer.
    for share, n in ((0.01, 299), (0.001, 2995)):
        assert upper(0, n) <= share < upper(0, n - 1)
    assert wilson(0, 10).low == 0
    assert wilson(10, 10).high == 1


@given(SEEN, st.integers(0, 10**6), CONFIDENCES)
@settings(deadline=None)
def test_a_population_narrows(seen: tuple[int, int], more: int, confidence: float) -> None:
    x, n = seen
    population = n + more
    for function in METHODS.values():
        finite, infinite = function(x, n, confidence, population), function(x, n, confidence, None)
        slack = 1 / population  # of bounds that are counts over the population
        assert finite.low >= infinite.low - slack
        assert finite.high <= infinite.high + slack
        assert x / population <= finite.low + 1e-12
        assert finite.high <= (population - n + x) / population + 1e-12
        assert finite.low <= finite.estimate <= finite.high
        mirror = function(n - x, n, confidence, population)
        close(mirror, 1 - finite.high, 1 - finite.low, 1e-12)
        whole = function(x, n, confidence, n)
        assert (whole.low, whole.estimate, whole.high) == (x / n,) * 3
        close(function(x, n, confidence, 10**13), infinite.low, infinite.high, 1e-7)


def exact_at_most(x: int, n: int, critical: int, population: int) -> Fraction:
    ways = sum(comb(critical, k) * comb(population - critical, n - k) for k in range(x + 1))
    return Fraction(ways, comb(population, n))


@pytest.mark.parametrize(("population", "n"), [(1, 1), (12, 5), (40, 17), (41, 40), (300, 150), (3000, 40)])
def test_hypergeometric_tails(population: int, n: int) -> None:
    for critical in {0, 1, population // 7, population // 2, population - 1, population}:
        for x in range(n + 1):
            ours = intervals._at_most(x, n, critical, population)
            assert ours == pytest.approx(float(exact_at_most(x, n, critical, population)), rel=1e-10)
    big = [intervals._at_most(x, 5000, 1000, 10**6) for x in range(20)]
    np.testing.assert_allclose(big, hypergeom.cdf(range(20), 10**6, 1000, 5000), rtol=1e-7)


@pytest.mark.parametrize(("population", "n"), [(9, 4), (30, 11), (60, 45), (60, 59)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_exact_intervals_never_cover_less(population: int, n: int, confidence: float) -> None:
    found = [clopper_pearson(x, n, confidence, population) for x in range(n + 1)]
    bounds = [upper(x, n, confidence, population) for x in range(n + 1)]
    ways = [[comb(k, x) * comb(population - k, n - x) for x in range(n + 1)] for k in range(population + 1)]
    for k in range(population + 1):
        share, total = k / population, comb(population, n)
        assert sum(w for w, i in zip(ways[k], found, strict=True) if share in i) >= confidence * total
        assert (
            sum(w for w, b in zip(ways[k], bounds, strict=True) if share <= b + 1e-12) >= confidence * total
        )
    # Nor more than the definition needs: one fault beyond a bound has a tail that is too small.
    tail = Fraction(1 - confidence) / 2
    for x in range(n + 1):
        k = round(upper(x, n, float(1 - tail), population) * population)
        assert exact_at_most(x, n, k, population) > tail
        assert k == population - n + x or exact_at_most(x, n, k + 1, population) <= tail


@given(SEEN, CONFIDENCES)
def test_mixture_is_posterior_over_prior(seen: tuple[int, int], confidence: float) -> None:
    x, n = seen
    found = mixture(x, n, confidence)
    for bound in {found.low, found.high} - {0.0, 1.0}:
        assert beta.pdf(bound, x + 1, n - x + 1) == pytest.approx(1 - confidence, rel=1e-4)
    population = n + 50
    finite = mixture(x, n, confidence, population)
    rest = betabinom.pmf(np.arange(51), 50, x + 1, n - x + 1) * (population + 1)
    held = x + np.flatnonzero(rest > (1 - confidence) * (1 + 1e-9))
    close(finite, min(x / n, held[0] / population), max(x / n, held[-1] / population))


@pytest.mark.parametrize("population", [None, 14])
def test_mixture_holds_at_all_looks_at_once(population: int | None) -> None:
    """Every path of 12 draws, weighted by its probability."""
    length, alpha = 12, 0.2
    found = {(x, n): mixture(x, n, 1 - alpha, population) for n in range(1, length + 1) for x in range(n + 1)}
    paths = [np.cumsum(path).tolist() for path in product((0, 1), repeat=length)]
    for share in [0.07, 0.3, 0.5] if population is None else [k / population for k in range(8)]:
        missed = 0.0
        for path in paths:
            if all(share in found[x, n] for n, x in enumerate(path, 1)):
                continue
            x = path[-1]
            if population is None:
                missed += share**x * (1 - share) ** (length - x)
            elif 0 <= round(share * population) - x <= population - length:
                critical = round(share * population)
                missed += comb(population - length, critical - x) / comb(population, critical)
        assert missed <= alpha


def test_sample_sizes_of_leveugle() -> None:
    tile = 1_241_600  # faults of a 16 x 16 tile; tables of the literature round t
    assert sample_size(None, 0.01) == sample_size(None, 0.01, cutoff=1.96) == 9604
    assert sample_size(None, 0.01, 0.99, cutoff=2.576) == 16_590
    assert sample_size(None, 0.001, cutoff=1.96) == 960_400
    assert sample_size(tile, 0.01, cutoff=1.96) == 9531
    assert sample_size(tile, 0.01, 0.99, cutoff=2.576) == 16_371
    assert round(sample_size(tile, 0.001, cutoff=1.96), -2) == 541_500
    assert sample_size(None, 0.01, 0.99) == 16_588
    assert sample_size(100, 0.01) == 99
    assert sample_size(1, 0.5) == 1
    for population in (50, 5000, 10**6):
        n = sample_size(population, 0.02, p=0.3)
        z = 1.959964
        assert z * np.sqrt(0.21 / n * (population - n) / (population - 1)) <= 0.02 + 1e-9


@given(SEEN, CONFIDENCES, st.integers(0, 5000))
@settings(deadline=None, max_examples=50)
def test_one_stratum_is_wilson(seen: tuple[int, int], confidence: float, more: int) -> None:
    x, n = seen
    for population in (None, n + more):
        one = stratified([Stratum(x, n, 3.0, population)], confidence)
        expected = wilson(x, n, confidence, population)
        close(one, expected.low, expected.high)
    three = stratified([Stratum(x, n, 2.0)] * 3, confidence)  # alike: as pooled
    expected = wilson(3 * x, 3 * n, confidence)
    close(three, expected.low, expected.high)
    assert three.effective == pytest.approx(3 * n)
    assert three.variance == pytest.approx(x * (n - x) / n**3 / 3)


def test_strata_in_which_nothing_was_seen() -> None:
    # All effects may hide in the stratum that counts most per sample.
    hidden = stratified([Stratum(0, 50, 0.5), Stratum(0, 5000, 0.5)])
    close(hidden, 0, 0.5 * wilson(0, 50).high)
    assert hidden.variance == 0
    # What was exhausted adds no width, and a stratum that was not may not be forgotten.
    known = stratified([Stratum(30, 100, 0.5, 100), Stratum(5, 50, 0.5)])
    close(known, 0.15 + wilson(5, 50).low / 2, 0.15 + wilson(5, 50).high / 2)
    whole = stratified([Stratum(30, 100, 0.5, 100), Stratum(0, 50, 0.5, 50)])
    assert (whole.low, whole.high) == (0.15, 0.15)
    every = stratified([Stratum(50, 50, 0.5), Stratum(20, 20, 0.5)])
    close(every, 1 - 0.5 * wilson(0, 20).high, 1)


COVERED = {  # weights, shares, samples
    "one large": ([0.25] * 4, [0.3, 0, 0, 0], [50] * 4),
    "rare": ([0.05] * 20, [0.005] * 20, [50] * 20),
    "mixed": ([0.1, 0.2, 0.3, 0.4], [0.5, 0.1, 0.02, 0], [100] * 4),
    "a rare large one": ([0.9, 0.05, 0.05], [0.002, 0.5, 0.3], [1000, 50, 50]),
    "nearly all": ([0.125] * 8, [0.9, 0.95, 0.99, 1, 1, 0.8, 0.7, 0.97], [60] * 8),
}


@pytest.mark.parametrize("name", COVERED)
def test_strata_cover(name: str) -> None:
    weights, shares, samples = COVERED[name]
    rng, truth, covered, campaigns = np.random.default_rng(1), np.dot(weights, shares), 0, 600
    for _ in range(campaigns):
        x = rng.binomial(samples, shares).tolist()
        covered += truth in stratified([Stratum(*s) for s in zip(x, samples, weights, strict=True)])
    assert 0.925 <= covered / campaigns <= 0.985  # nominal 0.95; three deviations are 0.027


def brute(weights: Any, p: Any, total: int, least: int, sizes: Any) -> float:
    """Least variance over all allocations."""
    ranges = [range(min(least, s), min(s, total) + 1) for s in sizes]
    return min(variance(weights, p, n) for n in product(*ranges) if sum(n) == total)


def variance(weights: Any, p: Any, n: Any) -> float:
    parts = [(w**2 * q * (1 - q), k) for w, q, k in zip(weights, p, n, strict=True)]
    return sum(v / k if k else inf for v, k in parts if v)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_neyman_is_optimal(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    share = st.sampled_from([0.0, 0.001, 0.02, 0.1, 0.5, 1.0])
    p = data.draw(st.lists(share, min_size=count, max_size=count))
    weights = data.draw(st.lists(st.sampled_from([0.0, 0.1, 0.4, 1.0]), min_size=count, max_size=count))
    sizes = data.draw(st.lists(st.integers(0, 6), min_size=count, max_size=count))
    least = data.draw(st.integers(0, 2))
    total = data.draw(st.integers(sum(min(least, s) for s in sizes), sum(sizes)))
    found = neyman(weights, p, total, least, sizes).tolist()
    assert sum(found) == total
    assert all(min(least, s) <= n <= s for n, s in zip(found, sizes, strict=True))
    best = brute(weights, p, total, least, sizes)
    assert variance(weights, p, found) == pytest.approx(best, rel=1e-9) or best == inf


def test_neyman_at_scale() -> None:
    rng = np.random.default_rng(0)
    weights, p, sizes = rng.random(5000), rng.random(5000), rng.integers(1, 10**9, 5000)
    found = neyman(weights, p, 10**6, 1, sizes)
    assert found.sum() == 10**6
    free = (found > 1) & (found < sizes)
    keys = weights * np.sqrt(p * (1 - p))
    rates = found[free] / keys[free]
    assert np.all(np.abs(rates * keys[free] - np.median(rates) * keys[free]) < 1.5)
    assert neyman([1, 1, 2], [0, 0, 0], 8).tolist() == [2, 2, 4]
    assert neyman([1, 1], [0.5, 0.5], 5).tolist() == [3, 2]  # ties go to the first


@given(SEEN.filter(lambda s: s[1] < 500), CONFIDENCES, st.sampled_from([0.2, 1.0]))
@settings(deadline=None, max_examples=50)
def test_equal_weights_are_wilson(seen: tuple[int, int], confidence: float, scale: float) -> None:
    x, n = seen
    found = importance([1] * x + [0] * (n - x), [scale] * n, confidence)
    expected = wilson(x, n, confidence)
    close(found, scale * expected.low, scale * expected.high)
    assert found.effective == pytest.approx(n)


IMPORTANCE = {  # probabilities in the field and of the draw, shares of effects, samples
    "draw what matters": ([9, 1], [1, 1], [0.001, 0.3], 1000),
    "ten classes": ([1] * 10, np.geomspace(0.05, 0.6, 10), np.geomspace(0.002, 0.3, 10), 2000),
    "draw what does not": ([1] * 10, np.geomspace(100, 1, 10), np.geomspace(0.002, 0.3, 10), 2000),
    "seldom drawn": ([1, 1], [1, 19], [0, 0.01], 1000),
}


@pytest.mark.parametrize("name", IMPORTANCE)
def test_importance_covers(name: str) -> None:
    f, g, p, n = IMPORTANCE[name]
    f, g = np.array(f) / np.sum(f), np.array(g) / np.sum(g)
    rng, campaigns = np.random.default_rng(3), 300
    truth, weights = float(f @ np.array(p)), f / g
    estimates, covered = [], 0
    for _ in range(campaigns):
        drawn = rng.choice(g.size, n, p=g)
        outcomes = rng.random(n) < np.array(p)[drawn]
        found = importance(outcomes, weights[drawn], bound=weights.max())
        estimates.append(found.estimate)
        covered += truth in found
    assert abs(np.mean(estimates) - truth) < 4 * np.std(estimates) / campaigns**0.5
    assert 0.93 <= covered / campaigns <= 0.99


def test_a_missed_weight_widens() -> None:
    assert importance([0] * 100, [1.0] * 100, bound=5.0).high == pytest.approx(5 * wilson(0, 100).high)
    severity = importance([0.5, 1, 0, 0], [1.0, 0.5, 1, 1])
    assert severity.estimate == 0.25
    assert severity.low < 0.25 < severity.high


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("population", [None, 700, 50_000])
def test_plans_stop_when_they_are_narrow_enough(method: Method, population: int | None) -> None:
    plan = Sequential(0.05, 0.95, population, method)
    looks = plan.looks
    assert list(looks) == sorted(set(looks))
    assert plan.interval(0, looks[0]).half_width <= 0.05  # the first look can be enough
    assert plan.interval(0, looks[0] - 1).half_width > 0.05
    assert plan.interval(looks[-1] // 2, looks[-1]).half_width <= 0.05  # the last must be
    assert max(b / a for a, b in pairwise(looks)) <= 1.1 + 1 / looks[0]
    for n in looks[:-1]:
        for x in range(0, n + 1, 7):
            assert plan.stop(x, n) == (plan.interval(x, n).half_width <= 0.05)
    assert all(plan.stop(x, looks[-1]) for x in range(0, looks[-1], 7))
    assert plan.next_look(0) == looks[0]
    assert plan.next_look(looks[0]) == looks[1]
    assert plan.next_look(looks[-1]) == looks[-1]


def test_plans_spend_less_than_they_state() -> None:
    for method, part in (("wilson", 0.8), ("clopper-pearson", 0.6), ("mixture", 1.0)):
        plan = Sequential(0.05, 0.9, method=method)  # type: ignore[arg-type]
        expected = METHODS[plan.method](3, 100, 1 - 0.1 * part, None)
        close(plan.interval(3, 100), expected.low, expected.high)
    assert Sequential(0.05, method="mixture").stop(0, 50) is False  # holds at any number
    assert Sequential(0.1, population=3).looks[-1] == 3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: wilson(3, 2), "x must be a whole number in 0..2, not 3"),
        (lambda: wilson(0, 0), "n must be a whole number in 1.."),
        (lambda: wilson(0, 5, 1.0), "confidence must lie between 0 and 1"),
        (lambda: wilson(0, 5, float("nan")), "confidence must lie"),
        (lambda: clopper_pearson(0, 5, 0.95, 4), "population must be a whole number in 5.."),
        (lambda: mixture(0.5, 5), "x must be"),  # type: ignore[arg-type]
        (lambda: upper(-1, 5), "x must be"),
        (lambda: sample_size(0, 0.01), "population must be"),
        (lambda: sample_size(None, 0), "error must lie"),
        (lambda: sample_size(None, 0.1, p=1), "p must lie"),
        (lambda: Stratum(1, 2, 0.0), "weight must be above 0"),
        (lambda: stratified([]), "at least one stratum"),
        (lambda: neyman([1, 2], [0.1], 5), "one weight of at least 0 and one share"),
        (lambda: neyman([1, -2], [0.1, 0.1], 5), "one weight"),
        (lambda: neyman([1, 2], [0.1, 0.1], 50, sizes=[3, 4]), "total must lie in 0..7"),
        (lambda: neyman([1, 2], [0.1, 0.1], 5, 4), "total must lie in 8..10"),
        (lambda: neyman([1, 2], [0.1, 0.1], 5, sizes=[3]), "sizes must hold"),
        (lambda: importance([], []), "one outcome and one weight"),
        (lambda: importance([1, 2], [1, 1]), "outcomes must lie in 0..1"),
        (lambda: importance([1, 0], [1, 3], bound=2), "bound must be at least the largest weight 3"),
        (lambda: Sequential(0), "error must lie"),
        (lambda: Sequential(0.1, growth=1), "growth must lie"),
        (lambda: Sequential(0.1, method="wald"), "method must be one of"),  # type: ignore[arg-type]
        (lambda: Sequential(0.1).stop(3, 5), "5 samples are no look of this plan"),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        call()
