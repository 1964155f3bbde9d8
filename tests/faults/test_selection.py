"""The choice of protection against every choice there is, against dynamic programming, and against hand-made cases."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hwgen.errors import BadInput
from hwgen.faults.knapsack import Demand, cheapest, exact, front
from hwgen.faults.outcome import Assumptions, Counts, Outcome
from hwgen.faults.rates import parse_rates
from hwgen.faults.safety import assess
from hwgen.faults.selection import (
    BIT_WEIGHTS,
    OPTIONS,
    Block,
    Effect,
    Exposure,
    Option,
    choose,
    evaluate,
    exposures,
    pareto,
)
from hwgen.faults.targets import Target, confirm, parse_target

NONE = Option("none", 0, {})


def option(name, area, low, estimate=1.0, kind="transient", **more):
    return Option(name, area, {kind: Effect(estimate, low, **more)})


def block(name, raw, high, *options, estimate=0.0, kind="transient"):
    return Block(name, {kind: Exposure(raw, estimate, high)}, (NONE, *options))


# Residual rates at the upper bound: mac 4, 1 with residue, 0 with DMR; control 2, 0.5 with parity, 0 with TMR.
MAC = block(
    "mac", 100.0, 4.0, option("residue", 30, 0.75, corrected=0.25), option("dmr", 100, 1.0), estimate=3.0
)
CONTROL = block("control", 10.0, 2.0, option("parity", 5, 0.75, 0.8), option("tmr", 25, 1.0), estimate=1.0)


@pytest.mark.parametrize(
    ("limit", "area", "picks"),
    [
        (6.0, 0, ("none", "none")),
        (5.999, 5, ("none", "parity")),
        (4.5, 5, ("none", "parity")),
        (4.0, 25, ("none", "tmr")),
        (3.9, 30, ("residue", "none")),
        (1.5, 35, ("residue", "parity")),
        (1.0, 55, ("residue", "tmr")),
        (0.5, 105, ("dmr", "parity")),
        (0.0, 125, ("dmr", "tmr")),
    ],
)
def test_two_blocks_by_hand(limit, area, picks):
    found = choose([MAC, CONTROL], Target("t", residual_fit=limit))
    if limit == 3.9:  # residue alone leaves 3, for 30
        assert found.residual_fit["transient"] == 3.0
    assert (found.area, tuple(found.choice.values())) == (area, picks)
    assert found.residual_fit["transient"] <= limit
    assert found.least


def test_figures_of_a_choice_by_hand():
    found = evaluate([MAC, CONTROL], {"mac": "residue", "control": "parity"})
    assert found.residual_fit == {"transient": 1.5, "permanent": 0.0}
    # Estimates of coverage are 1 and 0.8.
    assert found.residual_estimate["transient"] == pytest.approx(3 * 0 + 1 * 0.2)
    assert found.corrected_estimate == {"transient": 3 * 0.25, "permanent": 0.0}
    assert found.raw_fit == {"transient": 110.0, "permanent": 0.0}
    assert found.spfm == {"transient": pytest.approx(1 - 1.5 / 110)}
    assert (found.area, found.cycles, found.lfm, found.pmhf_fit) == (35.0, 1.0, None, None)


def test_spfm_counts_the_bits_that_an_option_adds():
    # Hardening takes half of 10 FIT, and of 2 residual; SPFM stays 0.8. A copy of 10 FIT that never fails makes it 0.9.
    hardened = option("hardened", 1, 0.0, 0.0, factor=0.5)
    copied = option("safe copy", 9, 0.0, 0.0, added=10.0, added_residual=0.0)
    one = block("a", 10.0, 2.0, hardened, copied)
    assert choose([one], Target("t", spfm=0.8)).area == 0
    assert choose([one], Target("t", spfm=0.9)).choice == {"a": "safe copy"}
    assert choose([one], Target("t", residual_fit=1.0)).choice == {"a": "hardened"}
    with pytest.raises(
        BadInput, match=r"target t cannot be met .*: SPFM of transient faults is at best 0\.9; inject"
    ):
        choose([one], Target("t", spfm=0.901))


def test_what_an_option_adds_is_residual_unless_it_is_said_not_to_be():
    worst = option("dmr", 1, 1.0, added=3.0)
    assert evaluate([block("a", 9.0, 2.0, worst)], {"a": "dmr"}).residual_fit["transient"] == 3.0
    told = option("dmr", 1, 1.0, added=3.0, added_residual=0.5, added_latent=2.5)
    assert evaluate([block("a", 9.0, 2.0, told)], {"a": "dmr"}).residual_fit["transient"] == 0.5


def test_a_limit_on_cycles_is_on_their_product():
    slow = replace(option("abft", 1, 1.0), cycles=1.1)
    fast = option("dmr", 50, 1.0)
    blocks = [block(name, 10.0, 1.0, slow, fast) for name in "abc"]
    for limit, area in ((1.331, 3), (1.33, 52), (1.21, 52), (1.1, 101), (1.0, 150)):
        found = choose(blocks, Target("t", residual_fit=0.0, cycles=limit))
        assert (found.area, found.cycles <= limit) == (area, True)
    with pytest.raises(BadInput, match="each of its demands can, but not all together"):
        choose([block(name, 10.0, 1.0, slow) for name in "abc"], Target("t", residual_fit=0.0, cycles=1.2))


def test_both_kinds_must_meet_their_metrics():
    parity = Option("parity", 3, {"transient": Effect(1, 1), "permanent": Effect(0.5, 0.5)})
    dmr = Option("dmr", 10, {kind: Effect(1, 1) for kind in ("transient", "permanent")})
    both = {"transient": Exposure(10, 1, 1), "permanent": Exposure(1, 0.1, 0.1, 0.05)}
    one = [Block("a", both, (NONE, parity, dmr))]
    assert choose(one, Target("t", spfm=0.9)).area == 0
    assert choose(one, Target("t", spfm=0.95)).area == 3
    assert choose(one, Target("t", spfm=0.96)).area == 10
    found = choose(one, Target("t", residual_fit=0.05, lifetime_hours=1e9))
    assert found.area == 3
    assert found.lfm == pytest.approx(1 - 0.05 / 0.95)
    assert found.pmhf_fit == pytest.approx(
        0.05 + 11 * 0.05
    )  # residual, and all that may be detected x latent
    # PMHF must be below its limit, not at it.
    assert choose(one, Target("t", pmhf_fit=0.6, lifetime_hours=1e9)).area == 10
    assert choose(one, Target("t", pmhf_fit=0.6000001, lifetime_hours=1e9)).area == 3
    with pytest.raises(BadInput, match=r"PMHF is at best 0\.55 FIT"):
        choose(one, Target("t", pmhf_fit=0.55, lifetime_hours=1e9))
    with pytest.raises(BadInput, match=r"LFM of permanent faults is at best 0\.95"):
        choose(one, Target("t", lfm=0.96))


def test_a_level_needs_faults_of_both_kinds():
    with pytest.raises(BadInput, match="asks PMHF, and no block has permanent faults"):
        choose([MAC], Target("t", pmhf_fit=1.0, lifetime_hours=1.0))
    with pytest.raises(BadInput, match="asks LFM, and no block has permanent faults"):
        choose([MAC], Target("t", lfm=0.9))


def drawn(rng, blocks, options, whole=True):
    """Blocks with options of random area, coverage and added bits, for both kinds."""
    found = []
    for index in range(blocks):
        its = {}
        for kind, scale in (("transient", 1.0), ("permanent", 0.1)):
            raw = scale * float(rng.integers(1, 1000)) / 10
            high = raw * float(rng.integers(0, 50)) / 100
            its[kind] = Exposure(raw, high / 2, high, raw * 0.02)
        choices = [NONE]
        for k in range(options - 1):
            area = float(rng.integers(1, 200)) if whole else float(rng.uniform(0, 3e-3))
            effects = {}
            for kind in its:
                low = float(rng.integers(0, 101)) / 100
                added = float(rng.integers(0, 10)) / 100
                effects[kind] = Effect(1.0, low, factor=float(rng.choice([0.3, 1.0])), added=added,
                                       added_residual=added / 4, added_latent=added / 2)  # fmt: skip
            choices.append(Option(f"o{k}", area, effects, cycles=float(rng.choice([1.0, 1.05]))))
        found.append(Block(f"b{index}", its, tuple(choices)))
    return found


def everything(blocks):
    """Figures of all choices, from their definitions in plain arithmetic."""
    found = []
    for picks in itertools.product(*(each.options for each in blocks)):
        sums = {kind: [0.0, 0.0, 0.0] for kind in ("transient", "permanent")}
        for each, picked in zip(blocks, picks, strict=True):
            for kind, own in each.exposures.items():
                does = picked.effects.get(kind, Effect(0, 0))
                sums[kind][0] += own.raw * does.factor + does.added
                sums[kind][1] += own.residual_high * does.factor * (1 - does.coverage_low) + does.residual
                sums[kind][2] += own.latent_high * does.factor + does.added_latent
        (_, transient, _), (raw, residual, latent) = sums["transient"], sums["permanent"]
        found.append({
            "area": sum(picked.area for picked in picks),
            "cycles": np.prod([picked.cycles for picked in picks]),
            "residual_fit": transient + residual,
            "transient": 1 - transient / sums["transient"][0],
            "permanent": 1 - residual / raw,
            "lfm": 1 - latent / (raw - residual),
        })  # fmt: skip
    return {name: np.array([one[name] for one in found]) for name in found[0]}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("whole", [True, False])
def test_the_least_area_of_all_choices(seed, whole):
    rng = np.random.default_rng([seed, whole])
    blocks = drawn(rng, 4, 4, whole)
    every = everything(blocks)
    every["spfm"] = np.minimum(every["transient"], every["permanent"])
    met = 0
    for _ in range(5):
        at = rng.integers(len(every["area"]), size=3)
        # Limits are figures of choices, just missed or just met: where a solver's tolerance would show.
        off = float(rng.choice([1 - 1e-7, 1 + 1e-9]))
        limits = {
            "residual_fit": every["residual_fit"][at[0]] * off,
            "spfm": min(1.0, every["spfm"][at[1]] / off),
            "lfm": min(1.0, every["lfm"][at[2]] / off),
        }
        for names in (["residual_fit"], ["spfm"], ["lfm", "residual_fit"], ["residual_fit", "spfm", "lfm"]):
            asked = {name: float(limits[name]) for name in names}
            ok = every["cycles"] <= 1.11
            for name, limit in asked.items():
                ok &= every[name] <= limit if name == "residual_fit" else every[name] >= limit
            target = Target("t", cycles=1.11, **asked)
            if not ok.any():
                with pytest.raises(BadInput, match="target t cannot be met"):
                    choose(blocks, target)
                continue
            met += 1
            found = choose(blocks, target)
            assert found.least
            assert found.area == pytest.approx(every["area"][ok].min(), rel=1e-9)
            figures = (
                found.area,
                sum(found.residual_fit.values()),
                min(found.spfm.values()),
                found.lfm,
                found.cycles,
            )
            table = np.stack([every[name] for name in ("area", "residual_fit", "spfm", "lfm", "cycles")], 1)[
                ok
            ]
            assert np.isclose(table, figures, rtol=1e-11).all(axis=1).any()
    assert met > 5


@pytest.mark.parametrize("seed", range(4))
def test_the_best_that_can_be_reached_is_that_of_all_choices(seed):
    blocks = drawn(np.random.default_rng([9, seed]), 4, 4)
    every = everything(blocks)
    best = {name: float(every[name].max()) for name in ("transient", "permanent", "lfm")}
    with pytest.raises(BadInput) as caught:
        choose(blocks, Target("t", spfm=max(best["transient"], best["permanent"]) + 1e-8))
    for kind in ("transient", "permanent"):
        assert f"SPFM of {kind} faults is at best {best[kind]:.9g}" in str(caught.value)
    assert choose(blocks, Target("t", lfm=best["lfm"] - 1e-9)).lfm == pytest.approx(best["lfm"], abs=1e-9)
    with pytest.raises(BadInput, match=f"LFM of permanent faults is at best {best['lfm']:.9g}"):
        choose(blocks, Target("t", lfm=best["lfm"] + 1e-8))
    least = float(every["residual_fit"].min())
    assert choose(blocks, Target("t", residual_fit=least + 1e-9))
    with pytest.raises(BadInput, match=f"the residual rate is at best {least:.6g} FIT"):
        choose(blocks, Target("t", residual_fit=least * 0.999))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("whole", [True, False])
def test_the_front_is_that_of_all_choices(seed, whole):
    blocks = drawn(np.random.default_rng([3, seed, whole]), 5, 4, whole)
    every = everything(blocks)
    expected: list[tuple[float, float]] = []
    for area, residual in sorted(zip(every["area"].tolist(), every["residual_fit"].tolist(), strict=True)):
        if not expected or residual < expected[-1][1] * (1 - 1e-12):
            expected.append((area, residual))
    found = pareto(blocks)
    assert len(found.area) == len(expected) > 5
    assert list(found.area) == pytest.approx([area for area, _ in expected], rel=1e-12)
    assert list(found.residual_fit) == pytest.approx([residual for _, residual in expected], rel=1e-12)
    for point in range(0, len(expected), 5):
        one = found.selection(point)
        assert one.area == pytest.approx(found.area[point])
        assert sum(one.residual_fit.values()) == pytest.approx(found.residual_fit[point])
        assert evaluate(blocks, one.choice) == replace(one, least=False)


def test_many_binaries_are_solved_fast_and_agree_with_the_front():
    blocks = drawn(np.random.default_rng(7), 50, 8)
    start = time.process_time()
    points = pareto(blocks)
    assert time.process_time() - start < 3
    assert len(points.area) > 1000
    for point in (0, len(points.area) // 3, 2 * len(points.area) // 3, len(points.area) - 1):
        limit = points.residual_fit[point] * (1 + 1e-12)
        start = time.process_time()
        found = choose(blocks, Target("t", residual_fit=limit))
        assert time.process_time() - start < 2  # about 0.2 s; other jobs share the machine
        assert found.area == points.area[point]
        assert found.least


def test_the_optimum_costs_less_than_a_copy_of_everything():
    """The shape of the Ethos-U55 study: a small part of the hardware carries most of the residual rate."""
    parts = [("control", 10, 6.0), ("dma", 15, 3.0), ("array", 60, 0.6), ("buffers", 15, 0.1)]
    blocks = [
        block(name, 50.0, rate, option("hardened", 0.3 * size, 0.0, factor=0.1), option("dmr", size, 1.0))
        for name, size, rate in parts
    ]
    found = choose(blocks, Target("t", residual_fit=1.0))
    # DMR of control; hardening leaves 0.3 of dma; array and buffers stay as they are... which is 1.0 exactly.
    assert found.residual_fit["transient"] == 1.0
    assert found.choice == {"control": "dmr", "dma": "hardened", "array": "none", "buffers": "none"}
    assert found.area == 14.5
    copy = evaluate(blocks, {name: "dmr" for name, _, _ in parts})
    assert (copy.area, copy.residual_fit["transient"]) == (100.0, 0.0)


# The solver alone.


def table(rows):
    return [[exact(value) for value in row] for row in rows]


def test_a_choice_within_the_solvers_tolerance_of_a_limit_is_not_taken():
    # 1 and 1e-8 is cheaper, and above the limit of 1 by less than what HiGHS looks at.
    cost, load = table([[0, 5], [0, 7]]), table([[1, 0.5], [1e-8, 0]])
    demand = Demand("load", "", load, Fraction(1))
    assert cheapest(cost, [demand]) == ([1, 0], True)
    assert cheapest(cost, [replace(demand, limit=1 + Fraction(1, 10**8))]) == ([0, 0], True)
    strict = replace(demand, limit=1 + Fraction(1, 10**8), strict=True)
    assert cheapest(cost, [strict]) == ([1, 0], True)
    assert cheapest(cost, [replace(demand, limit=Fraction(1, 2), strict=True)]) is None


def test_too_many_choices_at_the_limit_are_told():
    cost, load = table([[0, 1]] * 24), table([[1, 0]] * 24)
    # Half of them must be taken; every half is at the limit, and below it is asked.
    picks, certain = cheapest(cost, [Demand("load", "", load, Fraction(12), strict=True)])
    assert sum(picks) == 13
    assert not certain
    assert cheapest(cost, [Demand("load", "", load, Fraction(12))])[1]


def test_what_else_must_hold_is_asked_of_every_choice():
    cost, load = table([[0, 1], [0, 1]]), table([[1, 0], [1, 0]])
    found = cheapest(cost, [Demand("load", "", load, Fraction(1))], lambda picks: picks[0] == 1)
    assert found == ([1, 0], True)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 80),
)
def test_small_whole_numbers_against_all_choices_and_the_front(items, limit):
    cost, load = ([[Fraction(pair[i]) for pair in item] for item in items] for i in (0, 1))
    sums = [
        (sum(pair[0] for pair in picked), sum(pair[1] for pair in picked))
        for picked in itertools.product(*items)
    ]
    fit = [a for a, b in sums if b <= limit]
    found = cheapest(cost, [Demand("load", "", load, Fraction(limit))])
    assert (found is None) == (not fit)
    if found:
        picks, certain = found
        assert sum(row[k] for row, k in zip(cost, picks, strict=True)) == min(fit)
        assert sum(row[k] for row, k in zip(load, picks, strict=True)) <= limit
        assert certain
    best = [(a, b) for a, b in set(sums) if not any(c <= a and d <= b and (c, d) != (a, b) for c, d in sums)]
    a_sums, b_sums, picks = front(cost, load)
    assert list(zip(a_sums, b_sums, strict=True)) == sorted(best)
    assert picks.shape == (len(best), len(items))


def test_a_front_of_numbers_without_a_common_step_is_rounded_up_by_little():
    cost = [[Fraction(0), Fraction(1, 3)], [Fraction(1, 7), Fraction(10**30, 10**30 + 1)]]
    load = [[Fraction(1), Fraction(0)], [Fraction(1, 10**30), Fraction(0)]]
    a_sums, b_sums, picks = front(cost, load)
    # Nothing of the first and all of the second is worse than all of the first and nothing of the second.
    assert picks.tolist() == [[0, 0], [1, 0], [1, 1]]
    true = [Fraction(1, 7), Fraction(1, 7) + Fraction(1, 3), Fraction(10**30, 10**30 + 1) + Fraction(1, 3)]
    for value, found in zip(true, a_sums, strict=True):
        assert 0 <= found - value < Fraction(1, 2**57)
    assert [float(value) for value in b_sums] == pytest.approx([1, 0, 0], abs=1e-17)


# From a campaign, and targets as they are said.

RATES = parse_rates("""
[transient]
flip_flop = { fit_per_bit = 0.01, source = "beam" }
[permanent]
flip_flop = { fit_per_bit = 0.001, source = "handbook" }
""")
MASKED, CRITICAL, LATENT, DETECTED = Outcome.MASKED, Outcome.CRITICAL, Outcome.LATENT, Outcome.DETECTED


def counts(name, found, kind="transient", bits=100, population=10**12, **more):
    return Counts(name, "flip_flop", kind, bits, sum(found.values()), population, found, **more)


def test_exposures_are_bounds_that_hold_together():
    rows = [
        counts("a", {MASKED: 90, CRITICAL: 10}, stratum="early"),
        counts("a", {CRITICAL: 1, MASKED: 3}, population=4, stratum="late"),
        counts("b", {MASKED: 70, LATENT: 20, CRITICAL: 10}, "permanent"),
    ]
    found = exposures(rows, RATES)
    # Three sampled shares: residual of a's early row, residual and latent of b.
    high = {x: stats.beta.ppf(1 - 0.05 / 3, x + 1, 100 - x) for x in (10, 20)}
    a, b = found["a"]["transient"], found["b"]["permanent"]
    assert (a.raw, a.residual, a.latent_high) == (2.0, pytest.approx(0.1 + 0.25), 0.0)
    assert a.residual_high == pytest.approx(high[10] + 0.25, rel=1e-6)
    assert b.residual_high == pytest.approx(0.1 * high[10], rel=1e-6)
    assert b.latent_high == pytest.approx(0.1 * high[20], rel=1e-6)
    lenient = exposures(
        [counts("a", {Outcome.SDC: 4}, population=4)], RATES, Assumptions(frozenset({CRITICAL}))
    )
    assert lenient["a"]["transient"].residual_high == 0
    weights = exposures(rows, BIT_WEIGHTS)
    assert weights["a"]["transient"].raw == 200
    assert weights["a"]["transient"].residual_high == pytest.approx(100 * a.residual_high)


def test_bounds_of_exposures_hold_together_as_often_as_said():
    rng, shares, runs = np.random.default_rng(3), [0.02, 0.1, 0.4, 0.7], 200
    hits = 0
    for _ in range(runs):
        seen = [(p, int(rng.binomial(200, p))) for p in shares]
        rows = [counts(str(p), {CRITICAL: x, MASKED: 200 - x}, population=10**5) for p, x in seen]
        found = exposures(rows, RATES, confidence=0.8)
        hits += all(p <= found[str(p)]["transient"].residual_high for p in shares)
    assert runs * 0.8 - 3 * (runs * 0.16) ** 0.5 < hits < runs * 0.95


def test_from_campaign_to_choice_to_confirmation():
    rows = [
        counts("mac", {MASKED: 800, CRITICAL: 200}),
        counts("control", {MASKED: 500, CRITICAL: 500}, bits=20),
        counts("mac", {MASKED: 900, CRITICAL: 100}, "permanent"),
    ]
    assumed = Assumptions(lifetime_hours=1e4, budget_share=0.05)
    target = parse_target("asil-d", assumed)
    dmr = Option("dmr", 100, {kind: Effect(1.0, 0.999, factor=2.0) for kind in ("transient", "permanent")})
    blocks = [Block(name, its, (NONE, dmr)) for name, its in exposures(rows, RATES, assumed).items()]
    found = choose(blocks, target)
    assert set(found.choice.values()) == {"dmr"}
    assert min(*found.spfm.values(), found.lfm) > 0.99
    assert found.pmhf_fit < target.pmhf_fit == 0.5
    # The copies are there, and what was critical is detected now.
    masked = [10 * row.counts[MASKED] for row in rows]
    after = [
        replace(row, bits=2 * row.bits, samples=10_000, counts={MASKED: x, DETECTED: 10_000 - x})
        for row, x in zip(rows, masked, strict=True)
    ]
    assert all(verdict.met for verdict in confirm(assess(after, RATES, assumed), target))
    assert not any(
        verdict.met for verdict in confirm(assess(rows, RATES, assumed), target) if verdict.metric == "SPFM"
    )
    bare = parse_target("asil-d", rates_given=False)
    weighed = [Block(name, its, (NONE, dmr)) for name, its in exposures(rows, BIT_WEIGHTS).items()]
    assert set(choose(weighed, bare).choice.values()) == {"dmr"}
    assert "shares by bits" in bare.note
    assert "PMHF is not asked" in bare.note
    assert [v.met for v in confirm(assess(after, BIT_WEIGHTS), bare)] == [True] * 3


def test_targets_as_they_are_said():
    assert parse_target("fit=2.5") == Target("fit=2.5", residual_fit=2.5)
    assert parse_target("spfm=0.97") == Target("spfm=0.97", spfm=0.97)
    assert parse_target("spfm=97%", cycles=1.5) == Target("spfm=97%", spfm=0.97, cycles=1.5)
    asil = parse_target("asil-b", Assumptions(lifetime_hours=8000, budget_share=0.1))
    assert (asil.spfm, asil.lfm, asil.pmhf_fit, asil.lifetime_hours) == (0.9, 0.6, 10.0, 8000)
    assert "0.1 of the item's, the user's choice" in asil.note
    assert "from memory" in asil.note
    for text in (
        "asil-e",
        "",
        "fit",
        "fit=",
        "fit=-1",
        "fit=inf",
        "fit=3%",
        "spfm=99",
        "spfm=1/0",
        "spfm=nan",
        "lfm=0.9",
    ):
        with pytest.raises(BadInput, match="is no target; expected asil-b, asil-c, asil-d, fit=N"):
            parse_target(text)
    with pytest.raises(BadInput, match="asil-d asks PMHF, which needs a lifetime and this hardware's share"):
        parse_target("asil-d", Assumptions(lifetime_hours=8000))
    with pytest.raises(BadInput, match="needs raw rates; give a file of raw rates, or spfm=P"):
        parse_target("fit=1", rates_given=False)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Exposure(1.0, 0.5, 0.4), "rates must be 0 <= residual 0.5"),
        (lambda: Exposure(1.0, 0.5, 1.1), "raw 1.0"),
        (lambda: Exposure(1.0, 0.5, 0.6, 1.1), "latent 1.1"),
        (lambda: Exposure(float("inf"), 0.5, 0.6), "raw inf"),
        (lambda: Effect(0.9, 0.95), "coverage 0.9"),
        (lambda: Effect(1.1, 0.95), "coverage 1.1"),
        (lambda: Effect(0.9, 0.8, corrected=0.95), "what is corrected, 0.95"),
        (lambda: Effect(0.9, 0.8, factor=0.0), "factor must be a number above 0"),
        (lambda: Effect(0.9, 0.8, added=1.0, added_residual=0.7, added_latent=0.4), "of the added rate 1.0"),
        (lambda: Effect(0.9, 0.8, added=-1.0), "of the added rate -1.0"),
        (lambda: Option("a", -1, {}), "has area -1"),
        (lambda: Option("a", 1, {}, cycles=0), "cycles factor 0"),
        (lambda: Option("a", 1, {"soft": Effect(1, 1)}), "option 'a' speaks of 'soft' faults"),
        (lambda: Block("a", {}, ()), "give at least one, each name once"),
        (lambda: Block("a", {}, (NONE, NONE)), "give at least one, each name once"),
        (lambda: Block("a", {"soft": Exposure(1, 0, 0)}, (NONE,)), "block 'a' speaks of 'soft' faults"),
        (lambda: Target("t", residual_fit=-1.0), "residual_fit must be a number"),
        (lambda: Target("t", cycles=0.0), "cycles must be a number above 0"),
        (lambda: Target("t", spfm=99.0), "spfm must be a share from 0 to 1"),
        (lambda: Target("t", pmhf_fit=1.0), "PMHF needs a lifetime"),
        (lambda: choose([], Target("t")), "give at least one, each name once"),
        (lambda: choose([MAC, MAC], Target("t")), "give at least one, each name once"),
        (lambda: evaluate([MAC], {}), "give one option for each block"),
        (lambda: evaluate([MAC], {"mac": "magic"}), "has no option 'magic'; it has none, residue, dmr"),
        (lambda: exposures([], RATES), "0 rows of counts"),
        (lambda: exposures([counts("a", {MASKED: 1})], RATES, confidence=1.0), "at confidence 1.0"),
    ],
)
def test_bad_input_is_refused(make, what):
    with pytest.raises(BadInput, match=what):
        make()


def test_the_usual_options_have_names():
    assert OPTIONS[0] == "none"
    assert len(set(OPTIONS)) == 8
