"""What figures show, against counts made one by one; and arrays found in names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from hwgen.faults.campaign import OUTCOME
from hwgen.faults.classes import SiteClass
from hwgen.faults.figures import Groups, Sample, Shares, grids, kind_of
from hwgen.faults.outcome import NOT_MASKED, SILENT, Outcome
from hwgen.faults.plan import Exhaustive, Plan, Population, Stratified, Uniform, strata_of
from hwgen.faults.results import summary
from hwgen.faults.sites import Element, Kind, SiteTable
from hwgen.faults.statistics import wilson

SEU = (0, 1, 1, 1, 1, 0)
CYCLES = 50


def table(*listed: tuple[str, int]) -> SiteTable:
    """Registers by label and width; those whose name begins with m are memories of four words."""
    elements, first = [], 0
    for number, (label, width) in enumerate(listed):
        *path, name = label.split(".")
        memory = name.startswith("m")
        group = SiteClass.MEMORY if memory else SiteClass.CONTROL if width == 1 else SiteClass.DATAPATH
        kind = Kind.MEMORY if memory else Kind.FLIP_FLOP
        one = Element(
            number, tuple(path), "unit", name, kind, group, 0, width, 4 if memory else 1, first, False
        )
        elements.append(one)
        first += one.sites
    return SiteTable("digest", tuple(elements))


ARRAY = table(
    *((f"core.column_{x}.chain_0.row_{y}.sum", 8) for x in range(3) for y in range(2)),
    *((f"core.column_{x}.chain_0.row_{y}.cell.act", 4) for x in range(3) for y in range(2)),
    ("core.column_0.separate_0.s", 5),
    ("core.column_1.separate_1.s", 5),
    ("control.busy", 1),
    ("control.count", 60),
    ("buffer.memory", 6),
)


def whole(sites: SiteTable, first: int = 10, cycles: int = CYCLES) -> Population:
    return Population(sites.elements, first, cycles, SEU)


def happened(plan: Plan, rng: np.random.Generator) -> np.ndarray:
    """Outcomes that depend on the fault alone: more effects at low bits, late, and in the array."""
    listed = plan(0, plan.total)
    rows = np.zeros(len(listed), OUTCOME)
    for name in ("site", "cycle", "model", "stratum"):
        rows[name] = listed[name]
    level = (listed["site"] * 7919 + listed["cycle"].astype(np.int64) * 104729) % 1000 / 1000
    share = np.where(listed["site"] < 72, 0.5, 0.1) * (listed["cycle"] / 60)
    kinds = rng.choice([Outcome.SDC, Outcome.HANG, Outcome.LATENT, Outcome.DETECTED], 4)
    rows["outcome"] = np.where(level < share, np.asarray(kinds)[listed["site"] % 4], Outcome.MASKED)
    rows["latency"] = listed["site"] % 7
    return rows


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def shape_of(*labels: str) -> list[tuple[str, int, int]]:
    sites = table(*((label, 2) for label in labels))
    return [(g.name, len(g.columns), len(g.rows)) for g in grids(sites, sites.elements)]


def test_an_array_is_found_in_the_paths() -> None:
    (grid,) = grids(ARRAY, ARRAY.elements)
    assert grid.name == "core.column_#.chain_#.row_#"
    assert (grid.across, grid.down) == ("column", "row")
    assert (grid.columns, grid.rows) == (("0", "1", "2"), ("0", "1"))
    for e in ARRAY.elements:
        numbers = [int(name[-1]) for name in e.path if name[-1].isdigit()]
        expected = numbers[2] * 3 + numbers[0] if len(numbers) == 3 else -1
        assert grid.cell[e.number] == expected


def test_two_numbers_in_one_name_are_row_and_column() -> None:
    sites = table(*((f"array.dot_{y}_{x}.counter.r", 3) for y in range(2) for x in range(5)))
    (grid,) = grids(sites, sites.elements)
    assert (grid.name, len(grid.columns), len(grid.rows)) == ("array.dot_#_#", 5, 2)
    assert [int(grid.cell[e.number]) for e in sites] == list(range(10))
    assert "second" in grid.across


def test_chains_in_a_column_stand_below_each_other() -> None:
    names = [f"column_{x}.chain_{c}.row_{y}.r" for x in range(2) for c in range(2) for y in range(3)]
    (grid,) = grids(table(*((name, 1) for name in names)), table(*((name, 1) for name in names)).elements)
    assert grid.down == "chain.row"
    assert grid.rows == ("0.0", "0.1", "0.2", "1.0", "1.1", "1.2")


@pytest.mark.parametrize(
    "labels",
    [
        [f"lane_{i}.r" for i in range(8)],
        [f"bank_{i}.half_{i}.r" for i in range(8)],
        [f"stage_2.lane_{i}.r" for i in range(8)],
        [f"bank_{i}.port_{i + j}.r" for i in range(0, 40, 10) for j in (0, 1)],
        ["control.r", "r_1", "r_2"],
    ],
)
def test_what_is_no_array(labels: Sequence[str]) -> None:
    assert shape_of(*labels) == []


def test_of_two_arrays_the_larger_is_first() -> None:
    small = [f"lut.dot_{y}_{x}.r" for y in range(2) for x in range(2)]
    large = [f"dsp.column_{x}.row_{y}.r" for x in range(4) for y in range(3)]
    assert shape_of(*small, *large) == [("dsp.column_#.row_#", 4, 3), ("lut.dot_#_#", 2, 2)]


def every(sample: Sample) -> dict[str, Groups]:
    (grid,) = grids(sample.table, sample.population.elements)
    return {
        "kind": sample.by(lambda e: e.kind.value),
        "register": sample.by(lambda e: kind_of(e.label)),
        "cell": sample.by_cell(grid),
        "bit": sample.by_bit(),
        "cycle": sample.by_cycle(7),
    }


def test_shares_of_all_faults_are_counts_over_counts(rng: np.random.Generator) -> None:
    plan = Exhaustive(whole(ARRAY))
    sample = Sample(happened(plan, rng), ARRAY, plan.population)
    for name, groups in every(sample).items():
        shares, mix = sample.shares(groups, NOT_MASKED), sample.mix(groups)
        total = Counter(groups.member.tolist())
        hits = Counter(groups.member[sample.rows["outcome"] != Outcome.MASKED].tolist())
        for i in range(len(groups.names)):
            assert groups.sizes[0, i] == total[i] == shares.faults[i], name
            assert shares.estimate[i] == shares.low[i] == shares.high[i] == hits[i] / total[i]
            assert mix[i].sum() == pytest.approx(1)
            assert 1 - mix[i, Outcome.MASKED] == pytest.approx(hits[i] / total[i])


def test_members_are_where_their_names_say(rng: np.random.Generator) -> None:
    plan = Uniform(whole(ARRAY), 800, 3)
    sample = Sample(happened(plan, rng), ARRAY, plan.population)
    groups = every(sample)
    for i, row in enumerate(sample.rows):
        site = ARRAY.site(int(row["site"]))
        assert groups["kind"].names[groups["kind"].member[i]] == site.element.kind.value
        bit = groups["bit"].member[i]
        if site.element.width == 1:
            assert bit == -1
        else:
            name = "32+" if site.bit >= 32 else str(site.bit)
            assert groups["bit"].names[bit] == name
        first, end = groups["cycle"].names[groups["cycle"].member[i]]  # type: ignore[misc]
        assert first <= row["cycle"] < end
    assert sample.latencies.size == np.count_nonzero(sample.rows["outcome"] == Outcome.DETECTED)


def test_intervals_of_uniform_draws_are_wilsons(rng: np.random.Generator) -> None:
    plan = Uniform(whole(ARRAY), 900, 4)
    rows = happened(plan, rng)
    sample = Sample(rows, ARRAY, plan.population, confidence=0.9)
    groups = sample.by(lambda e: e.block)
    shares = sample.shares(groups, SILENT)
    for i in range(len(groups.names)):
        mine = rows["outcome"][groups.member == i]
        x = int(np.count_nonzero(mine == Outcome.SDC))
        expected = wilson(x, len(mine), 0.9, int(groups.sizes[0, i]))
        assert (shares.estimate[i], shares.low[i], shares.high[i]) == (
            expected.estimate,
            expected.low,
            expected.high,
        )


def test_stratified_shares_are_those_of_the_summary_and_of_all_faults(rng: np.random.Generator) -> None:
    members = whole(ARRAY)
    strata = strata_of(members, 3)
    plan = Stratified(
        strata, tuple(min(60 + 40 * (h % 3), len(s.population)) for h, s in enumerate(strata)), 9
    )
    state = rng.bit_generator.state
    rows = happened(plan, rng)
    rng.bit_generator.state = state
    truth = Sample(happened(Exhaustive(members), rng), ARRAY, members)
    sample = Sample(rows, ARRAY, members, strata)
    told = summary(rows, ARRAY, members.elements, members.cycles, strata=strata)
    for listed, key in (([told.whole], lambda e: "all"), (told.classes, lambda e: e.group.value)):
        groups = sample.by(key)
        shares = sample.shares(groups, NOT_MASKED)
        assert groups.sizes.sum() == len(members)
        for share in listed:
            i = groups.names.index(share.name)
            got = shares.estimate[i], shares.low[i], shares.high[i]
            assert got == pytest.approx((share.avf.estimate, share.avf.low, share.avf.high))
    for name, groups in every(sample).items():
        expected = every(truth)[name]
        assert groups.names == expected.names
        np.testing.assert_array_equal(groups.sizes.sum(axis=0), expected.sizes[0])
    cycles, exact = (s.mix(s.by_cycle(3))[:, Outcome.MASKED] for s in (sample, truth))
    np.testing.assert_allclose(cycles, exact, atol=0.06)


def test_groups_without_faults_have_no_share(rng: np.random.Generator) -> None:
    plan = Uniform(whole(ARRAY), 3, 1)
    sample = Sample(happened(plan, rng), ARRAY, plan.population)
    groups = sample.by(lambda e: e.label)
    shares = sample.shares(groups, NOT_MASKED)
    empty = shares.faults == 0
    assert empty.any()
    assert np.isnan(shares.estimate[empty]).all()
    assert np.isnan(sample.mix(groups)[empty]).all()
    assert not np.isnan(shares.estimate[~empty]).any()


def test_bits_of_wide_registers_share_groups() -> None:
    sites = table(("wide", 512), ("flag", 1))
    sample = Sample(np.zeros(0, OUTCOME), sites, whole(sites, cycles=2))
    groups = sample.by_bit()
    assert groups.names[30:] == ("30", "31", "32+", "64+", "128+", "256+")
    assert groups.sizes[0, 30:].tolist() == [2, 2, 64, 128, 256, 512]


def test_the_worst_groups_have_the_largest_lower_bounds() -> None:
    shares = Shares(
        np.array([1, 50, 9, 0, 40]),
        np.array([1.0, 0.8, 0.0, np.nan, 0.9]),
        np.array([0.2, 0.7, 0.0, np.nan, 0.7]),
        np.array([1.0, 0.9, 0.1, np.nan, 0.95]),
    )
    assert shares.worst(5).tolist() == [4, 1, 0]
    assert shares.worst(1).tolist() == [4]
