"""Safety figures against definitions worked out by hand, and their bounds against drawn campaigns."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hwgen.errors import BadInput
from hwgen.faults.outcome import (
    DUE,
    HANDLED,
    NOT_MASKED,
    SILENT,
    UNDETECTED,
    Assumptions,
    Counts,
    Outcome,
    fault_class,
)
from hwgen.faults.rates import Rate, Rates, parse_rates
from hwgen.faults.safety import CLASSES, COLUMNS, DISCLAIMER, assess, fmeda_csv
from hwgen.faults.statistics import clopper_pearson
from hwgen.faults.targets import ASIL, Target, confirm, judge, parse_target

MASKED, LATENT, SDC, CRITICAL, HANG, PROTOCOL, DETECTED, CORRECTED = Outcome

RATES = parse_rates("""
[transient]
flip_flop = { fit_per_bit = 0.01, source = "beam" }
memory = { fit_per_bit = 0.02, source = "beam, memory" }
[permanent]
flip_flop = { fit_per_bit = 0.001, source = "handbook" }
""")


def row(block, counts, kind="transient", element="flip_flop", bits=100, population=10**9, **more):
    return Counts(block, element, kind, bits, sum(counts.values()), population, counts, **more)


def exhaustive(block, counts, **more):
    return row(block, counts, population=sum(counts.values()), **more)


def test_the_numbers_of_outcomes_are_fixed_and_sets_add_up():
    assert [o.value for o in Outcome] == list(range(8))
    assert (CRITICAL, HANG, CORRECTED) == (3, 4, 7)
    assert {SDC, CRITICAL} == SILENT
    assert SILENT | DUE == UNDETECTED
    assert not UNDETECTED & HANDLED
    assert UNDETECTED | HANDLED | {LATENT} == NOT_MASKED


@pytest.mark.parametrize(
    ("outcome", "kind", "mechanism", "expected"),
    [
        (MASKED, "permanent", False, "safe"),
        (MASKED, "permanent", True, "latent"),
        (MASKED, "transient", True, "safe"),
        (LATENT, "transient", False, "latent"),
        (SDC, "transient", False, "residual"),
        (CRITICAL, "permanent", True, "residual"),
        (HANG, "transient", False, "residual"),
        (PROTOCOL, "permanent", False, "residual"),
        (DETECTED, "permanent", True, "detected"),
        (CORRECTED, "transient", False, "detected"),
    ],
)
def test_classes_of_faults(outcome, kind, mechanism, expected):
    one = row("a", {outcome: 1}, kind, mechanism=mechanism)
    assert fault_class(one, outcome, Assumptions()) == expected


def test_assumptions_move_outcomes_between_classes():
    one = row("a", {SDC: 1})
    lenient = Assumptions(violations=frozenset({CRITICAL}))
    assert [fault_class(one, o, lenient) for o in (SDC, CRITICAL, HANG, PROTOCOL)] == [
        "safe", "residual", "detected", "detected",
    ]  # fmt: skip
    strict = Assumptions(violations=UNDETECTED | {LATENT})
    assert fault_class(one, LATENT, strict) == "residual"
    said = " ".join(lenient.statements())
    assert "violated by: CRITICAL." in said
    assert "monitor outside of the hardware detects: HANG, PROTOCOL" in said


# Two blocks, exhaustive. FIT of a row: rate x bits. mac: 0.01 x 100 = 1; buffer: 0.02 x 200 = 4;
# permanent mac: 0.001 x 100 = 0.1; permanent checker, a mechanism: 0.001 x 50 = 0.05.
HAND = [
    exhaustive("mac", {MASKED: 50, SDC: 20, CRITICAL: 10, HANG: 5, PROTOCOL: 5, DETECTED: 8, CORRECTED: 2}),
    exhaustive("buffer", {MASKED: 6, LATENT: 1, CORRECTED: 3}, element="memory", bits=200),
    exhaustive("mac", {MASKED: 70, LATENT: 10, CRITICAL: 4, DETECTED: 16}, kind="permanent"),
    exhaustive("checker", {MASKED: 3, DETECTED: 1}, kind="permanent", bits=50, mechanism=True),
]


def test_an_exhaustive_campaign_by_hand():
    found = assess(HAND, RATES, Assumptions(lifetime_hours=10_000))
    transient, permanent, both = (found.totals[name] for name in ("transient", "permanent", "both"))
    assert transient.raw_fit == pytest.approx(5)
    assert permanent.raw_fit == pytest.approx(0.15)
    # By bits: (100 x 0.5 + 200 x 0.4) / 300.
    assert transient.avf.estimate == pytest.approx(130 / 300)
    assert transient.fit["sdc"].estimate == pytest.approx(0.3)
    assert transient.fit["critical"].estimate == pytest.approx(0.1)
    assert transient.fit["due"].estimate == pytest.approx(0.1)
    assert transient.fit["detected"].estimate == pytest.approx(0.08)
    assert transient.fit["corrected"].estimate == pytest.approx(0.02 + 4 * 0.3)
    assert transient.fit["latent"].estimate == pytest.approx(0.4)
    # Residual 0.4 of 5; by bits 0.4 x 100 of 300.
    assert transient.spfm.estimate == pytest.approx(1 - 0.4 / 5)
    assert transient.spfm_by_bits.estimate == pytest.approx(1 - 40 / 300)
    assert transient.lfm is None
    # Residual 0.004; latent 0.01 of mac and the checker's masked 0.0375.
    assert permanent.spfm.estimate == pytest.approx(1 - 0.004 / 0.15)
    assert permanent.lfm.estimate == pytest.approx(1 - (0.01 + 0.0375) / (0.15 - 0.004))
    # Detected: 0.08 + 0.02 + 1.2 transient, 0.016 + 0.0125 permanent; 10,000 h are 1e-5 of the hours of a FIT.
    assert transient.pmhf.estimate == pytest.approx(0.4 + 1.3 * 0.0475e-5, rel=1e-12)
    assert permanent.pmhf.estimate == pytest.approx(0.004 + 0.0285 * 0.0475e-5, rel=1e-12)
    assert both.pmhf.estimate == pytest.approx(transient.pmhf.estimate + permanent.pmhf.estimate, rel=1e-12)
    assert both.spfm is None
    for figures in (*found.blocks, *found.totals.values()):
        assert sum(figures.rates[name].estimate for name in CLASSES) == pytest.approx(figures.raw_fit)
        for figure in (figures.avf, figures.spfm or figures.avf, figures.lfm or figures.avf, figures.pmhf):
            assert figure.low == pytest.approx(figure.estimate, abs=1e-12)
            assert figure.high == pytest.approx(figure.estimate, abs=1e-12)
    blocks = {(figures.block, figures.kind): figures for figures in found.blocks}
    assert list(blocks) == [
        ("mac", "transient"),
        ("buffer", "transient"),
        ("mac", "permanent"),
        ("checker", "permanent"),
    ]
    assert blocks["mac", "transient"].spfm.estimate == pytest.approx(0.6)
    assert blocks["buffer", "transient"].spfm.estimate == 1
    assert sum(f.pmhf.estimate for f in found.blocks) == pytest.approx(both.pmhf.estimate)


def test_coverage_is_of_dangerous_faults():
    found = assess(HAND, RATES)
    assert [figures.coverage and figures.coverage.estimate for figures in found.rows] == [0.2, 1.0, 0.8, 1.0]
    sampled = assess([row("a", {MASKED: 900, DETECTED: 299})]).rows[0].coverage
    # 299 of 299 show 99 % at a one-sided confidence of 95 %.
    assert assess([row("a", {DETECTED: 299})], confidence=0.9).rows[0].coverage.low == pytest.approx(
        0.99, abs=1e-4
    )
    assert sampled.low == pytest.approx(0.025 ** (1 / 299))
    assert assess([row("a", {MASKED: 5})]).rows[0].coverage is None


def test_intervals_of_one_row_are_clopper_pearson_and_wilson():
    found = assess([row("a", {MASKED: 990, SDC: 10})], RATES)
    exact = stats.binomtest(10, 1000).proportion_ci(0.95, "exact")
    score = stats.binomtest(10, 1000).proportion_ci(0.95, "wilson")
    (one,), (block,) = found.rows, found.blocks
    assert (one.avf.low, one.avf.high) == pytest.approx(exact, rel=1e-4)
    assert (one.avf_wilson.low, one.avf_wilson.high) == pytest.approx(score, rel=1e-4)
    assert (block.fit["sdc"].low, block.fit["sdc"].high) == pytest.approx(exact, rel=1e-4)  # 1 FIT in all
    assert (block.spfm.low, block.spfm.high) == pytest.approx((1 - exact.high, 1 - exact.low), rel=1e-6)


def test_bounds_of_a_sum_are_those_of_bonferroni():
    rows = [
        row("a", {MASKED: 990, SDC: 10}),
        row("b", {MASKED: 400, SDC: 100}, bits=300),
        exhaustive("c", {SDC: 1}),
    ]
    total = assess(rows, RATES).totals["transient"]
    a, b = (stats.binomtest(x, n).proportion_ci(0.975, "exact") for x, n in ((10, 1000), (100, 500)))
    assert total.fit["sdc"].high == pytest.approx(a.high + 3 * b.high + 1, rel=1e-5)
    assert total.fit["sdc"].low == pytest.approx(a.low + 3 * b.low + 1, rel=1e-5)
    assert total.spfm.low == pytest.approx(1 - (a.high + 3 * b.high + 1) / 5, rel=1e-5)
    assert total.avf.high == pytest.approx((a.high + 3 * b.high + 1) / 5, rel=1e-5)


def test_lfm_and_pmhf_take_the_worst_of_all_shares():
    one = row("a", {MASKED: 800, LATENT: 40, CRITICAL: 60, DETECTED: 100}, kind="permanent", bits=1000)
    rows = [one, exhaustive("b", {MASKED: 1})]
    total = assess(rows, RATES, Assumptions(lifetime_hours=1e8)).totals["permanent"]  # 1 FIT

    def ends(x, shares):
        return stats.binomtest(x, 1000).proportion_ci(1 - 0.05 / shares, "exact")

    latent, residual = ends(40, 2), ends(60, 2)
    assert total.lfm.low == pytest.approx(1 - latent.high / (1 - residual.high), rel=1e-5)
    assert total.lfm.high == pytest.approx(1 - latent.low / (1 - residual.low), rel=1e-5)
    latent, residual, detected = ends(40, 3), ends(60, 3), ends(100, 3)
    assert total.pmhf.high == pytest.approx(residual.high + 0.1 * detected.high * latent.high, rel=1e-5)
    assert total.pmhf.low == pytest.approx(residual.low + 0.1 * detected.low * latent.low, rel=1e-5)


TRUTH = {  # block, kind, mechanism: bits, samples, and shares of the outcomes
    ("mac", "transient", False): (100, 200, [0.6, 0.05, 0.15, 0.05, 0.02, 0.01, 0.1, 0.02]),
    ("control", "transient", False): (10, 150, [0.3, 0.1, 0.0, 0.3, 0.2, 0.05, 0.05, 0.0]),
    ("mac", "permanent", False): (100, 120, [0.5, 0.1, 0.05, 0.05, 0.0, 0.0, 0.3, 0.0]),
    ("checker", "permanent", True): (30, 100, [0.2, 0.1, 0.01, 0.0, 0.0, 0.0, 0.69, 0.0]),
}


def drawn(rng, truth=None, scale=1):
    return [
        row(block, {o: int(x) for o, x in zip(Outcome, rng.multinomial(n * scale, p), strict=True)}, kind, bits=bits,
            mechanism=mechanism, population=10**9)
        for (block, kind, mechanism), (bits, n, p) in (truth or TRUTH).items()
    ]  # fmt: skip


def true_figures():
    """The same campaign as if every fault was injected: shares are exact multiples of 1/100."""
    rows = [
        exhaustive(block, {o: round(100 * x) for o, x in zip(Outcome, p, strict=True)}, kind=kind, bits=bits,
                   mechanism=mechanism)
        for (block, kind, mechanism), (bits, n, p) in TRUTH.items()
    ]  # fmt: skip
    return pick(assess(rows, RATES, Assumptions(lifetime_hours=1e8)))


def pick(found):
    transient, permanent, both = (found.totals[name] for name in ("transient", "permanent", "both"))
    return {
        "AVF": transient.avf,
        "residual": both.rates["residual"],
        "detected": both.rates["detected"],
        "latent": both.rates["latent"],
        "SDC": transient.fit["sdc"],
        "SPFM transient": transient.spfm,
        "SPFM permanent": permanent.spfm,
        "LFM": permanent.lfm,
        "PMHF": both.pmhf,
    }


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_true_value_lies_between_the_bounds_at_least_as_often_as_said(confidence):
    rng, truth, runs = np.random.default_rng(11), true_figures(), 250
    hits: Counter[str] = Counter()
    for _ in range(runs):
        figures = pick(assess(drawn(rng), RATES, Assumptions(lifetime_hours=1e8), confidence))
        for name, figure in figures.items():
            assert figure.low <= figure.estimate <= figure.high
            hits[name] += figure.low <= truth[name].estimate <= figure.high
    # Three standard deviations of the count below what was promised.
    least = runs * confidence - 3 * (runs * confidence * (1 - confidence)) ** 0.5
    assert {name: n for name, n in hits.items() if n < least} == {}
    assert len(hits) == 9


def test_bounds_close_in_with_samples_and_hold_the_truth_only_because_they_must():
    rng, truth = np.random.default_rng(12), true_figures()
    few, many = (
        pick(assess(drawn(rng, scale=k), RATES, Assumptions(lifetime_hours=1e8))) for k in (1, 10_000)
    )
    for name, figure in many.items():
        wide = few[name].high - few[name].low
        assert 60 < wide / (figure.high - figure.low) < 160, name  # 1/sqrt(10,000)
        assert figure.estimate == pytest.approx(truth[name].estimate, rel=0.02)
    # Shares of a different hardware are not covered.
    other = {key: (bits, n * 100, [0.9, 0, 0.1, 0, 0, 0, 0, 0]) for key, (bits, n, _) in TRUTH.items()}
    wrong = pick(assess(drawn(rng, other), RATES, Assumptions(lifetime_hours=1e8)))
    assert not any(
        wrong[name].low <= truth[name].estimate <= wrong[name].high for name in ("AVF", "LFM", "PMHF")
    )


def test_one_row_covers_about_what_it_says():
    """Clopper and Pearson's interval of one row is not wider than it must be: it misses at times."""
    p, n, runs = 0.1, 300, 1000
    found = Counter(np.random.default_rng(5).binomial(n, p, runs).tolist())
    hits = 0
    for x, times in found.items():
        avf = assess([row("a", {MASKED: n - x, SDC: x}, population=10**12)]).totals["transient"].avf
        hits += times * (avf.low <= p <= avf.high)
    assert 0.94 * runs < hits < 0.985 * runs


def test_a_finite_population_narrows_the_bounds():
    counts = {MASKED: 80, SDC: 20}
    wide, narrow = (assess([row("a", counts, population=n)]).totals["transient"].avf for n in (10**9, 110))
    assert narrow.high - narrow.low < 0.5 * (wide.high - wide.low)
    assert narrow.low >= 20 / 110  # what was seen is certain
    assert narrow.high <= 30 / 110


def test_bounds_of_few_of_many_are_not_narrower_than_those_of_the_population():
    for n in (7, 100):
        for x in range(0, n + 1, max(1, n // 9)):
            for population in (100 * n, 1000 * n):
                given = (
                    assess([row("a", {MASKED: n - x, SDC: x}, population=population)]).totals["transient"].avf
                )
                exact = clopper_pearson(x, n, 0.95, population)
                assert given.low <= exact.low <= exact.high <= given.high
                assert given.high - given.low < 1.02 * (exact.high - exact.low) + 2 / population


def test_without_rates_fit_is_refused_and_avf_is_given():
    found = assess(HAND)
    transient = found.totals["transient"]
    assert transient.avf.estimate == pytest.approx(130 / 300)
    assert transient.spfm_by_bits.estimate == pytest.approx(1 - 40 / 300)
    assert (transient.raw_fit, transient.fit, transient.rates, transient.spfm, transient.pmhf) == (None,) * 5
    assert [text.split(":")[0] for text in found.refused] == [
        "FIT, SPFM and PMHF of transient faults are refused",
        "FIT, SPFM, LFM and PMHF of permanent faults are refused",
    ]
    assert "give a file of raw rates with their sources" in found.refused[0]
    assert found.sources == ()


def test_a_kind_with_all_its_rates_is_given_though_the_other_has_none():
    rates = Rates({key: rate for key, rate in RATES.rates.items() if key != ("transient", "memory")})
    found = assess(HAND, rates, Assumptions(lifetime_hours=1e4, budget_share=0.1))
    assert found.totals["permanent"].spfm is not None
    assert found.totals["transient"].fit is None
    assert found.totals["both"].fit is None
    (why,) = found.refused
    assert "no raw rate of transient faults of a memory bit" in why


def test_pmhf_needs_a_lifetime_and_its_verdict_a_share():
    found = assess(HAND, RATES)
    assert found.totals["both"].pmhf is None
    assert [text.split(":")[0] for text in found.refused] == ["PMHF is refused", "PMHF is not judged"]
    given = Assumptions(lifetime_hours=1e4, budget_share=0.5)
    assert assess(HAND, RATES, given).refused == ()
    part = assess(HAND[:2], RATES, given)
    assert part.totals["transient"].pmhf is None
    assert "no permanent faults were injected" in part.refused[0]


def test_metrics_that_are_not_defined_are_not_given():
    nothing = Rates({key: Rate(0.0, "hardened") for key in RATES.rates})
    found = assess(HAND, nothing)
    assert found.totals["transient"].spfm is None
    assert found.totals["transient"].raw_fit == 0
    assert "all their raw rates are 0" in found.refused[0]
    everything = assess([exhaustive("a", {CRITICAL: 3}, kind="permanent")], RATES).totals["permanent"]
    assert everything.spfm.estimate == 0
    assert everything.lfm is None


def test_strata_of_a_block_count_by_their_bits():
    rows = [
        exhaustive("a", {MASKED: 1, SDC: 1}, bits=37.5, stratum="early"),
        exhaustive("a", {MASKED: 3, SDC: 1}, bits=62.5, stratum="late"),
    ]
    (block,) = assess(rows, RATES).blocks
    assert block.avf.estimate == pytest.approx(0.375 * 0.5 + 0.625 * 0.25)
    assert block.fit["sdc"].estimate == pytest.approx(0.375 * 0.5 + 0.625 * 0.25)  # 1 FIT in all


def test_verdicts_take_the_worse_bound():
    good = [row("a", {MASKED: 9990, DETECTED: 5, SDC: 5}), row("a", {DETECTED: 10_000}, kind="permanent")]
    given = Assumptions(lifetime_hours=1e4, budget_share=0.01)
    verdicts = judge(assess(good, RATES, given), "asil-d")
    assert [(v.metric, v.kind, v.limit, v.met) for v in verdicts] == [
        ("SPFM", "transient", 0.99, True),
        ("SPFM", "permanent", 0.99, True),
        ("LFM", "permanent", 0.90, True),
        ("PMHF", "both", 0.1, True),
    ]
    assert "0.01 of the item's, the user's choice" in verdicts[3].note
    # 9 of 1,000 is 99.1 %, and its lower bound is not 99 %.
    close = judge(assess([row("a", {MASKED: 991, SDC: 9})], RATES, given), "asil-d")
    assert [v.met for v in close] == [False, None, None]  # no permanent faults: neither LFM nor PMHF
    assert judge(assess([row("a", {MASKED: 991, SDC: 9})], RATES, given), "asil-c")[0].met is True
    tight = judge(assess(good, RATES, replace(given, budget_share=1e-4)), "asil-d")
    assert tight[3].met is False
    assert tight[3].bound == assess(good, RATES, given).totals["both"].pmhf.high
    unsaid = judge(assess(good, RATES, Assumptions(lifetime_hours=1e4)), "asil-d")
    assert unsaid[3].met is None
    assert "without this hardware's share" in unsaid[3].note
    assert all(v.met is None for v in judge(assess(good), "asil-b"))
    with pytest.raises(BadInput, match="no targets of 'asil-e'"):
        judge(assess(good), "asil-e")


def test_levels_say_what_is_from_memory():
    assert [(name, t.spfm, t.lfm, t.pmhf_fit) for name, t in ASIL.items()] == [
        ("asil-b", 0.90, 0.60, 100), ("asil-c", 0.97, 0.80, 100), ("asil-d", 0.99, 0.90, 10),
    ]  # fmt: skip
    assert all("from memory" in ASIL[name].source for name in ("asil-b", "asil-c"))


def test_a_new_campaign_confirms_or_not():
    given = Assumptions(lifetime_hours=1e4, budget_share=0.5)
    rows = [row("a", {MASKED: 9990, SDC: 10}), row("a", {DETECTED: 10_000}, kind="permanent")]
    found = assess(rows, RATES, given)
    high = found.totals["both"].rates["residual"].high
    assert confirm(found, Target("t", residual_fit=high))[0].met is True
    assert confirm(found, Target("t", residual_fit=high * 0.999))[0].met is False
    assert [v.met for v in confirm(found, parse_target("asil-d", given))] == [True] * 4
    assert confirm(found, parse_target("spfm=0.9999"))[0].met is False
    other = confirm(assess(rows, RATES, replace(given, lifetime_hours=1e3)), parse_target("asil-d", given))
    assert other[3].met is None
    assert "another lifetime" in other[3].note


def test_the_table_for_an_fmeda():
    rows = [*HAND, row('b,"1"', {MASKED: 990, SDC: 10})]
    found = assess(rows, RATES)
    text = fmeda_csv(found)
    lines = list(csv.DictReader(io.StringIO(text)))
    assert tuple(lines[0]) == COLUMNS
    assert len(lines) == 5 * 8
    assert {line["note"] for line in lines} == {DISCLAIMER}
    by = {(line["block"], line["fault_kind"], line["failure_mode"]): line for line in lines}
    critical = by["mac", "transient", "critical"]
    assert (critical["fault_class"], critical["count"], critical["samples"]) == ("residual", "10", "100")
    assert (float(critical["share"]), float(critical["mode_fit"])) == (0.1, 0.1)
    assert critical["raw_rate_source"] == "beam"
    assert by["checker", "permanent", "masked"]["fault_class"] == "latent"
    sdc = by['b,"1"', "transient", "sdc"]
    assert sdc["fault_class"] == "single-point or residual"
    exact = stats.binomtest(10, 1000).proportion_ci(0.95, "exact")
    assert (float(sdc["mode_fit_low"]), float(sdc["mode_fit_high"])) == pytest.approx(exact, rel=1e-4)
    fits = [float(line["mode_fit"]) for line in lines]
    assert sum(fits) == pytest.approx(found.totals["both"].raw_fit)
    bare = list(csv.DictReader(io.StringIO(fmeda_csv(assess(HAND)))))
    assert {line["mode_fit"] + line["row_raw_fit"] + line["raw_rate_source"] for line in bare} == {""}
    assert float(bare[0]["share"]) == 0.5
    assert "evidence" in DISCLAIMER
    assert "no certification" in DISCLAIMER


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"block": ""}, "a block's name must be one line"),
        ({"element": "latch"}, "element must be one of flip_flop, memory, gate"),
        ({"kind": "soft"}, "kind must be one of transient, permanent"),
        ({"bits": 0}, "bits must be a number above 0"),
        ({"bits": float("nan")}, "bits must be a number above 0"),
        ({"samples": 0, "counts": {}}, "0 samples of a population of 10"),
        ({"samples": 11, "counts": {MASKED: 11}}, "11 samples of a population of 10"),
        ({"counts": {MASKED: 3}}, "add up to 3, not to the 4 samples"),
        ({"counts": {MASKED: 5, SDC: -1}}, "counts are of outcomes, from 0"),
        ({"counts": {0: 4}}, "counts are of outcomes, from 0"),
    ],
)
def test_bad_counts_are_refused(change, what):
    good = {"block": "a", "element": "memory", "kind": "transient", "bits": 1, "samples": 4, "population": 10}
    good["counts"] = {MASKED: 4}
    assert not Counts(**good).exhaustive
    with pytest.raises(BadInput, match=what):
        Counts(**{**good, **change})


def test_bad_campaigns_and_assumptions_are_refused():
    with pytest.raises(BadInput, match="no counts to assess"):
        assess([])
    with pytest.raises(BadInput, match=r"row 'mac' .* is there twice"):
        assess([HAND[0], HAND[0]])
    with pytest.raises(BadInput, match="confidence must be between 0 and 1, not 95"):
        assess(HAND, confidence=95)
    for wrong in ({SDC}, {CRITICAL, MASKED}, {CRITICAL, DETECTED}, set()):
        with pytest.raises(BadInput, match="violations of the safety goal are CRITICAL, and any of"):
            Assumptions(violations=frozenset(wrong))
    for wrong in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(BadInput, match="budget_share must be above 0 and at most 1"):
            Assumptions(budget_share=wrong)
    for wrong in (0.0, float("inf")):
        with pytest.raises(BadInput, match="lifetime_hours must be a number above 0"):
            Assumptions(lifetime_hours=wrong)
