"""Blocks, options and the choice among them, on figures that are given."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from hwgen.errors import BadInput
from hwgen.faults.campaign import classified
from hwgen.faults.engine.engine import NEVER, RESULT
from hwgen.faults.models import Model, faults
from hwgen.faults.outcome import UNDETECTED, Assumptions, Counts, Outcome
from hwgen.faults.plan import ROW
from hwgen.faults.protection.blocks import cut
from hwgen.faults.protection.candidates import Effects, Lab, Part
from hwgen.faults.protection.options import Measured, options
from hwgen.faults.results import share_of, together
from hwgen.faults.selection import BIT_WEIGHTS, choose, evaluate
from hwgen.faults.targets import Target
from tests.faults.subjects import subject

NAMES = ("a", "b", "c", "d")
HARM = {"a": 400, "b": 90, "c": 5, "d": 0}
AREAS = {"parity": {"a": 40, "b": 30, "c": 20, "d": 10}, "tmr": {"a": 90, "b": 50, "c": 25, "d": 12}}


def measured(escaped: int = 0) -> Measured:
    """A campaign of a thousand upsets in each of four blocks, and two schemes."""
    rows = tuple(
        Counts(n, "flip_flop", "transient", 100, 1000, 10**6,
               {Outcome.SDC: HARM[n], Outcome.MASKED: 1000 - HARM[n]})
        for n in NAMES
    )  # fmt: skip
    effects = []
    for scheme, added in (("parity", 4), ("tmr", 200)):
        parts = {
            (n, "flip_flop"): Part(HARM[n], True, min(escaped, HARM[n]), 0, (), added, 500, 0) for n in NAMES
        }
        effects.append(Effects(scheme, 0, parts, 100, 0, 50, ()))
    return Measured(rows, tuple(effects))


def made(one: Measured, only: dict[str, list[str]] | None = None):
    areas = {(n, scheme): AREAS[scheme][n] for scheme in AREAS for n in NAMES}
    return options(NAMES, [one], areas, BIT_WEIGHTS, Assumptions(), 0.95, only)


@pytest.mark.parametrize("spfm", [0.5, 0.8, 0.9, 0.95, 0.96, 0.97, 0.975])
def test_the_choice_is_the_best_of_all_choices(spfm: float) -> None:
    blocks = made(measured())
    every = [
        evaluate(blocks, dict(zip(NAMES, names, strict=True)))
        for names in product(*([o.name for o in block.options] for block in blocks))
    ]
    good = [one.area for one in every if one.spfm["transient"] >= spfm]
    target = Target("test", spfm=spfm)
    if not good:
        with pytest.raises(BadInput, match="cannot be met"):
            choose(blocks, target)
        return
    found = choose(blocks, target)
    assert found.area == min(good)
    assert found.least
    assert found.spfm["transient"] >= spfm


def test_bounds_are_worse_than_what_was_seen_and_escapes_make_them_worse() -> None:
    blocks, leaky = made(measured()), made(measured(40))
    everywhere = dict.fromkeys(NAMES, "parity")
    one, two = evaluate(blocks, everywhere), evaluate(leaky, everywhere)
    assert one.residual_estimate["transient"] < one.residual_fit["transient"] < two.residual_fit["transient"]
    # Of 40 escapes among 1,000 upsets of 100 bits at least 4 bits' worth are left, in each of two blocks.
    assert two.residual_fit["transient"] > 8
    # Half of the error is shared by 16 bounds of schemes: none of 1,000 escaped.
    least = 100 * (1 - (0.025 / 16) ** (1 / 1000))
    effect = next(o for o in blocks[0].options if o.name == "parity").effects["transient"]
    left = blocks[0].exposures["transient"].residual_high * (1 - effect.coverage_low)
    assert left == pytest.approx(least, rel=2e-3)  # drawn without replacement


def test_what_does_nothing_in_a_block_is_no_option() -> None:
    one = measured()
    idle = {
        where: replace(part, escaped=part.harmful, added_bits=0)
        for where, part in one.effects[0].parts.items()
    }
    blocks = made(replace(one, effects=(replace(one.effects[0], parts=idle), one.effects[1])))
    assert all([o.name for o in block.options] == ["none", "tmr"] for block in blocks)
    # In a block without memories, schemes that differ in what memories get are one.
    twins = replace(one, effects=(*one.effects, replace(one.effects[0], scheme="parity+secded")))
    areas = {(n, e.scheme): 1 for e in twins.effects for n in NAMES}
    for block in options(NAMES, [twins], areas, BIT_WEIGHTS, Assumptions(), 0.95):
        assert [o.name for o in block.options] == ["none", "parity", "tmr"]
    some = made(measured(), {"tmr": ["a"]})
    assert [len(block.options) for block in some] == [3, 2, 2, 2]


def test_campaigns_of_registers_and_memories_add_up() -> None:
    one = measured()
    other = Measured(
        tuple(replace(row, element="memory") for row in one.rows),
        tuple(replace(e, parts={(n, "memory"): p for (n, _), p in e.parts.items()}) for e in one.effects),
    )
    # What a campaign did not strike it does not know: its parts of registers are empty.
    blank = {(n, "flip_flop"): Part(whole=True) for n in NAMES}
    other = replace(other, effects=tuple(replace(e, parts={**e.parts, **blank}) for e in other.effects))
    areas = {(n, scheme): AREAS[scheme][n] for scheme in AREAS for n in NAMES}
    blocks = options(NAMES, [one, other], areas, BIT_WEIGHTS, Assumptions(), 0.95)
    alone = made(one)
    for both, single in zip(blocks, alone, strict=True):
        assert both.exposures["transient"].raw == 2 * single.exposures["transient"].raw
        for name in ("parity", "tmr"):
            two, first = (
                next(o for o in block.options if o.name == name).effects["transient"]
                for block in (both, single)
            )
            assert two.added == 2 * first.added
            assert two.coverage == first.coverage == 1
            assert abs(two.coverage_low - first.coverage_low) < 0.1


def test_the_same_faults_twice_are_refused() -> None:
    with pytest.raises(BadInput, match="two campaigns"):
        options(NAMES, [measured(), measured()], {}, BIT_WEIGHTS, Assumptions(), 0.95)


def test_latent_faults_of_blocks_and_of_what_is_added() -> None:
    rows = tuple(
        Counts(n, "flip_flop", "permanent", 100, 1000, 10**6, {Outcome.LATENT: 300, Outcome.MASKED: 700})
        for n in NAMES
    )

    def lfm(left: int, silent: int, added: int = 10) -> float:
        part = Part(
            whole=True, added_bits=added, added=500, added_silent=silent, latent=300, latent_left=left
        )
        parts = {(n, "flip_flop"): part for n in NAMES}
        blocks = made(Measured(rows, (Effects("parity", 0, parts, 0, 0, 0, ()),)))
        found = evaluate(blocks, dict.fromkeys(NAMES, "parity")).lfm
        assert found is not None
        assert evaluate(blocks, dict.fromkeys(NAMES, "none")).lfm == pytest.approx(0.66, abs=0.01)
        return found

    # 100 bits of each block and 10 that are added: bounds are below what was seen, and not by much.
    for left, silent in ((0, 0), (0, 250), (150, 0), (300, 500)):
        seen = 1 - (30 * left / 300 + 10 * silent / 500) / 110
        assert seen - 0.1 < lfm(left, silent) < seen
    assert lfm(0, 0) > lfm(0, 250) > lfm(150, 250)


def test_bits_stuck_at_both_values_share_the_raw_rate() -> None:
    def stuck(model: Model, harm: int) -> list[Counts]:
        counts = {Outcome.SDC: harm, Outcome.MASKED: 1000 - harm}
        return [Counts("a", "flip_flop", "permanent", 100, 1000, 10**6, counts)]

    models = {Model.STUCK_AT_0: 100, Model.STUCK_AT_1: 300}
    parts = together([(model, stuck(model, harm)) for model, harm in models.items()])
    assert [(row.bits, row.stratum) for (row,) in parts] == [(50, "STUCK_AT_0"), (50, "STUCK_AT_1")]
    measured = [
        Measured(
            tuple(rows),
            (Effects("parity", 0, {("a", "flip_flop"): Part(harm, True, 0, 0, (), 10, 500)}, 0, 0, 0, ()),),
            share_of(model, models),
        )
        for rows, (model, harm) in zip(parts, models.items(), strict=True)
    ]
    (block,) = options(("a",), measured, {("a", "parity"): 5}, BIT_WEIGHTS, Assumptions(), 0.95)
    assert block.exposures["permanent"].raw == 100
    assert block.exposures["permanent"].residual == pytest.approx(20)
    assert block.options[1].effects["permanent"].added == 10
    assert together([(Model.STUCK_AT_0, parts[0])]) == [parts[0]]
    with pytest.raises(BadInput, match="two campaigns"):
        options(("a",), [measured[0], measured[0]], {("a", "parity"): 5}, BIT_WEIGHTS, Assumptions(), 0.95)


@pytest.mark.parametrize("name", ["array", "size one", "plain accelerator"])
@pytest.mark.parametrize("most", [1, 12, 40])
def test_blocks_cover_a_design_and_are_as_few_as_asked(name: str, most: int) -> None:
    table = subject(name).sites
    blocks = cut(table, most)
    outermost = {e.path[:1] for e in table}
    assert len(outermost) <= len(blocks.paths) <= max(most, len(outermost))
    assert len(set(blocks.paths)) == len(blocks.paths)
    plan = blocks.plan({blocks.names[-1]: ["parity"]})
    for e in table:
        own = blocks.of(e.path)
        assert own in blocks.names
        assert bool(plan.choice(e.path).registers) == (own == blocks.names[-1])
    path = blocks.paths[-1]
    assert blocks.of((*path[:-1], f"{path[-1]}_copy", "x")) == blocks.names[-1]
    assert blocks.of((*path, "own_third")) == blocks.names[-1]
    with pytest.raises(BadInput, match="at least 1"):
        cut(table, 0)


def test_what_was_measured_is_kept(tmp_path: Path) -> None:
    one = subject("size one")
    draw = np.random.default_rng(0)
    listed = faults(draw.integers(0, one.sites.flip_flops, 2000), draw.integers(0, one.lanes.cycles, 2000))
    results, _ = one.lanes.inject(listed)
    rows = np.zeros(2000, ROW)
    for name in ("site", "cycle", "model"):
        rows[name] = listed[name]
    outcomes = classified(rows, results, one.lanes.fault_free)
    blocks = cut(one.sites)
    found = [
        Lab(one, blocks, outcomes, faults, UNDETECTED, str(tmp_path)).effects("parity") for _ in range(2)
    ]
    assert found[0] == found[1]
    harmful = np.isin(outcomes["outcome"], [int(o) for o in UNDETECTED]).sum()
    parts = found[0].parts
    assert sum(part.harmful for part in parts.values()) == harmful > 100
    assert sum(part.escaped for part in parts.values()) == 0
    assert all(part.whole for part in parts.values())
    assert found[0].new_harm == 0
    assert found[0].cycles == 0
    assert {name for name, element in parts if parts[name, element].added_bits} <= set(blocks.names)


def test_reports_come_first_and_what_would_have_been_is_kept() -> None:
    free = np.zeros(1, RESULT)[0]
    free["digest"], free["flag"] = 7, NEVER
    results = np.zeros(5, RESULT)
    results["digest"], results["flag"] = [7, 8, 7, 8, 7], [NEVER, NEVER, 5, 5, NEVER]
    results["mended"], results["status"] = [1, 1, 1, 0, 1], [0, 0, 0, 0, 1]
    found = classified(np.zeros(5, ROW), results, free)
    told = [Outcome.CORRECTED, Outcome.SDC, Outcome.DETECTED, Outcome.DETECTED, Outcome.HANG]
    assert found["outcome"].tolist() == told
    assert found["effect"].tolist() == [
        Outcome.MASKED,
        Outcome.SDC,
        Outcome.MASKED,
        Outcome.SDC,
        Outcome.HANG,
    ]
