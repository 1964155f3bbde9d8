"""Checksums of the GEMM core: what they must be, that they never err, and what they find."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from hwgen.cores.dsp_gemm import DspGemmConfig, Gemm, Shape
from hwgen.cores.dsp_gemm.abft_config import AbftConfig
from hwgen.cores.dsp_gemm.tiling import passes
from hwgen.errors import BadInput
from hwgen.faults.engine.engine import NEVER
from hwgen.faults.models import Model, faults
from hwgen.faults.protection.measure import Guarded, block_sites, coverage, guard
from hwgen.faults.protection.plan import Checksums, Choice, Plan
from hwgen.faults.protection.transform import DETECTED, protected
from hwgen.faults.sites import Kind
from hwgen.faults.subject import CoreSubject, core_subject
from hwgen.numerics import IntArray
from hwgen.verify.stimulus import REGIMES
from tests.cores.dsp_gemm.test_rtl import CONFIGURATIONS
from tests.faults.abft_bench import gemms, watch
from tests.faults.subjects import drawn, subject

SCHEMES = [str(what) for what in Checksums]
WRAP = 1 << 32


@cache
def guarded(name: str, scheme: str) -> Guarded:
    return guard(subject(name), Plan.of({"*": [scheme]}))


# What the sums must be.


def exact_rows(a: IntArray, b: IntArray) -> list[int]:
    """Row sums of A·B from row sums of B, in exact integers modulo 2**32."""
    of_b = [sum(map(int, row)) for row in b]
    return [sum(int(x) * y for x, y in zip(row, of_b, strict=True)) % WRAP for row in a]


def exact_columns(a: IntArray, b: IntArray) -> list[int]:
    """Column sums of A·B from column sums of A."""
    of_a = [sum(map(int, column)) for column in a.T]
    return [sum(x * int(y) for x, y in zip(of_a, column, strict=True)) % WRAP for column in b.T]


ERRORS = [
    [0, 0, 0],
    [1, 0, 0],
    [0, -1, 1],
    [0, 0, 1 << 31],
    [1 << 31, 0, 1 << 31],
    [-(1 << 30), 1 << 30, 0],
    [1 << 30, 1 << 30, 1 << 31],
    [5, -3, -1],
    [-1, -1, 2],
]


@pytest.mark.parametrize("busy", [1.0, 0.6])
def test_a_row_alarms_exactly_when_mathematics_says_so(busy: float) -> None:
    core = DspGemmConfig(rows=3, cols=3, tile_steps=4)
    config = AbftConfig(core)
    rng = np.random.default_rng(5)
    a, b = core.act.random(rng, (20, 8)), core.weight.random(rng, (8, 3))
    a[3:6], b[:, 1] = core.act.low, core.weight.low  # -128 times -128
    seen = watch(
        config, [Gemm(a, b)], busy=busy, tamper=lambda beat: np.array(ERRORS[beat % len(ERRORS)], np.int64)
    )
    must = exact_rows(a, b)
    wrong = [int(total.sum()) % WRAP != must[i] for i, total in enumerate(seen.sums)]
    assert len(wrong) == 20
    assert 5 < sum(wrong) < 15
    told = [cycle + config.result_registers + 2 for cycle, bad in zip(seen.beats, wrong, strict=True) if bad]
    assert seen.alarms == told
    assert (
        config.row_latency == config.result_registers + 2 + 2
    )  # a register around the checker, and the sticky one


@pytest.mark.parametrize(
    "tampered", [[], [(0, 0, 1)], [(2, 1, 1 << 31)], [(0, 2, 7), (3, 2, -7)], [(1, 0, 9), (1, 1, -9)]]
)
def test_a_column_alarms_exactly_when_mathematics_says_so(tampered: list[tuple[int, int, int]]) -> None:
    core = DspGemmConfig(rows=3, cols=3, tile_steps=4)
    rng = np.random.default_rng(6)
    a, b = core.act.random(rng, (4, 8)), core.weight.random(rng, (8, 3))

    def tamper(beat: int) -> IntArray:
        return np.array(
            [sum(v for i, n, v in tampered if (i, n) == (beat, lane)) for lane in range(3)], np.int64
        )

    for rows in (False, True):
        config = AbftConfig(core, rows, True)
        seen = watch(config, [Gemm(a, b)], tamper=tamper)
        bad_columns = (sum(seen.sums) % WRAP).tolist() != exact_columns(a, b)  # type: ignore[arg-type]
        bad_rows = [int(total.sum()) % WRAP for total in seen.sums] != exact_rows(a, b)
        assert bool(seen.alarms) == (bad_columns or (rows and bad_rows))
        if bad_columns and not rows:
            # One tile is one epoch; its last products come after its last result, or before.
            limit = max(
                seen.beats[-1] + config.column_latency,
                seen.beats[-1] - core.latency + config.product_delay + 6,
            )
            assert seen.alarms[0] + 2 <= limit


def test_a_reset_in_between_is_no_error() -> None:
    for what in ((True, False), (False, True)):
        config = AbftConfig(DspGemmConfig(rows=2, cols=2, tile_steps=4), *what)
        rng = np.random.default_rng(7)
        ops = gemms(config.core, rng)[:14]
        seen = watch(config, ops, busy=0.8, resets=(30, 31, 90, 200, 333))
        assert len(seen.beats) > 50
        assert not seen.alarms


def test_what_waits_for_column_sums_has_room() -> None:
    for rows in (1, 2, 5, 16, 64):
        config = AbftConfig(DspGemmConfig(rows=rows, cols=1, tile_steps=128), False, True)
        rng = np.random.default_rng(rows)
        most = _waiting(config, [Shape(100, 1, rows), Shape(1, 1, rows), Shape(1, 200, 1)] * 2)
        for _ in range(8):
            sizes = [rng.choice([1, 2, rows, rows + 1, 2 * rows, 100], 3).tolist() for _ in range(8)]
            most = np.maximum(most, _waiting(config, [Shape(*size) for size in sizes]))
        assert 2 * rows <= most[0] < config.ring_depth
        assert min(2, rows) <= most[1] < config.job_depth


def _waiting(config: AbftConfig, shapes: list[Shape]) -> IntArray:
    """Most rows of B, and most passes, that wait at once: nothing stalls, so that they come as fast as they can."""
    walker, swap, finish = 0, -1, -1
    rows_in: list[int] = []
    jobs: list[tuple[int, int]] = []  # cycle of the last activations, rows
    for shape in shapes:
        walker += 1
        for p in passes(config.core, *shape.shape):
            take = max(walker, swap)
            walker = take + 1
            rows_in += range(take + 1, take + 1 + p.k_count)
            first = max(take + p.k_count, finish) + 1
            swap, taken = first, first + p.steps - 1
            finish = taken if p.last else taken + max(0, config.core.ACCUMULATE_CYCLES - p.steps)
            jobs.append((taken, p.k_count))
    done, begins, rows_out = 0, [], []
    for taken, count in jobs:
        begins.append(max(taken + 2, done))
        rows_out += range(begins[-1] + 1, begins[-1] + 1 + count)
        done = begins[-1] + count
    pushes = np.array([taken + 1 for taken, _ in jobs])
    ins, outs = np.array(rows_in) + 1, np.array(rows_out)
    waiting = [
        np.arange(1, len(ins) + 1) - np.searchsorted(outs, ins),
        np.arange(1, len(pushes) + 1) - np.searchsorted(begins, pushes),
    ]
    return np.array([int(count.max()) for count in waiting])


# No false alarm.


def quiet(name: str, scheme: str, regime: str) -> Guarded:
    config = DspGemmConfig(**CONFIGURATIONS[name])
    ops = gemms(config, np.random.default_rng([len(name), REGIMES.index(regime)]))
    one = core_subject("dsp_gemm", config, ops, regime=regime, seed=3)
    return guard(one, Plan.of({"top": [scheme]}))  # same cycles, same outputs, no report


@pytest.mark.parametrize(
    ("name", "regime"),
    [
        ("1x1", "both"),
        ("odd", "free"),
        ("int4x4", "both"),
        ("int8x2 unsigned", "slow producer"),
    ],
)
def test_never_a_false_alarm(name: str, regime: str) -> None:
    made = quiet(name, "abft:both", regime)
    assert made.protected.reports == (DETECTED,)
    assert made.after.lanes.cycles > 300


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_never_a_false_alarm_in_any_configuration(name: str, regime: str, scheme: str) -> None:
    made = quiet(name, scheme, regime)
    found = coverage(made, np.arange(made.before.sites.flip_flops), 1000)
    assert found.harmful > 20
    # Small operands often add up to nothing, and dropped sums hide an epoch of columns: each completes the other.
    assert found.escaped <= found.harmful * {"abft": 0.05, "abft:columns": 0.4, "abft:both": 0.02}[scheme]
    assert found.added_harmful == 0


# What is found.


@pytest.mark.parametrize("count", [15_000, pytest.param(None, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["array", "size one", "dsp blocks"])
def test_every_upset_of_a_flip_flop(name: str, count: int | None) -> None:
    one = subject(name)
    last = one.lanes.cycles - 8
    every = np.arange(one.sites.flip_flops * last)  # all bits in all cycles
    some = every if count is None else np.random.default_rng(4).permutation(every)[:count]
    where, when = some // last, some % last
    plain, _ = one.lanes.inject(faults(where, when))
    harmful = (plain["digest"] != one.lanes.fault_free["digest"]) | (plain["status"] != 0)
    assert harmful.sum() > 2000
    for scheme in SCHEMES:
        made = guarded(name, scheme)
        safe, _ = made.after.lanes.inject(faults(made.sites.original[where], when))
        escaped = np.flatnonzero(harmful & (safe["flag"] == NEVER))
        assert len(escaped) <= {"abft": 2e-4, "abft:columns": 6e-3, "abft:both": 0}[scheme] * harmful.sum()
        if escaped.size:
            _explained(one, scheme, where[escaped], when[escaped])


def _explained(one: Any, scheme: str, where: IntArray, when: IntArray) -> None:
    """What was not seen leaves the sums as they are: nobody who looks at them could tell."""
    assert isinstance(one, CoreSubject)
    draw = np.random.default_rng(0).permutation(len(where))[:64]
    words, _ = one.lanes.observe(faults(where[draw], when[draw]))
    for word in words:
        for op, got in zip(one.operations, one.results(word), strict=True):
            if scheme == "abft":
                assert [int(total) % WRAP for total in got.sum(1)] == exact_rows(op.a, op.b)
            else:
                for n in range(op.b.shape[1]):  # tile by tile, and so over all rows
                    assert int(got[:, n].sum()) % WRAP == exact_columns(op.a, op.b)[n]


def test_rows_miss_an_activation_whose_weights_add_up_to_nothing() -> None:
    config = DspGemmConfig(rows=2, cols=2, tile_steps=4)
    rng = np.random.default_rng(1)
    a, b = config.act.random(rng, (4, 2)), np.array([[5, -5], [7, -7]])
    one = core_subject("dsp_gemm", config, [Gemm(a, b)])
    sites = np.concatenate(
        [np.arange(e.first, e.first + e.sites) for e in one.sites if e.name.startswith("act_")]
    )
    found = {}
    for scheme in ("abft", "abft:columns"):
        found[scheme] = coverage(guard(one, Plan.of({"top": [scheme]})), sites, 400)
    assert found["abft"].escaped == found["abft"].harmful > 20
    assert found["abft:columns"].escaped == 0


def test_columns_are_judged_though_kept_sums_are_dropped() -> None:
    core = DspGemmConfig(rows=2, cols=2, tile_steps=4)
    rng = np.random.default_rng(2)
    ops = [
        Gemm(core.act.random(rng, (4, 3)), core.weight.random(rng, (3, 2)), keep=keep)
        for keep in (False, True, False, True, True, *(False,) * 5)
    ]
    for beat in (1, 6, 9, 20):
        seen = watch(AbftConfig(core, False, True), ops, tamper=lambda i, beat=beat: np.array([i == beat, 0]))
        assert seen.alarms, beat
        assert len(seen.beats) == 28


def test_memories_and_stuck_bits_are_seen_too() -> None:
    made = guarded("array", "abft:both")
    found = coverage(made, block_sites(made.before.sites, "*", Kind.MEMORY), 3000)
    assert found.harmful > 50
    assert found.escaped == 0
    one = made.before
    rng = np.random.default_rng(3)
    where = rng.integers(0, one.sites.flip_flops, 1500)
    when = rng.integers(0, one.lanes.cycles - 8, 1500)
    plain, _ = one.lanes.inject(faults(where, when, Model.STUCK_AT_1))
    safe, _ = made.after.lanes.inject(faults(made.sites.original[where], when, Model.STUCK_AT_1))
    harmful = (plain["digest"] != one.lanes.fault_free["digest"]) | (plain["status"] != 0)
    assert harmful.sum() > 400
    assert (safe["flag"][harmful] != NEVER).all()


@pytest.mark.slow
def test_the_core_of_an_accelerator() -> None:
    one = subject("plain accelerator")
    made = guard(one, Plan.of({"dsp_engine": ["abft"], "dispatch": ["parity"]}))
    assert made.protected.copies == ("dsp_engine.core_abft",)
    found = coverage(made, block_sites(one.sites, "dsp_engine.core", Kind.FLIP_FLOP), 1500, added=200)
    assert found.harmful > 50
    assert found.escaped == found.added_harmful == 0


def test_lanes_agree_with_verilator() -> None:
    one = guarded("size one", "abft:both").after
    listed = drawn(one, Model.SEU, 400)
    ours, _ = one.lanes.inject(listed)
    theirs = one.run_verilated(listed)
    for field in ("digest", "end", "wrong", "flag", "status"):
        assert (ours[field] == theirs.results[field]).all(), field
    assert (ours["flag"] != NEVER).sum() > 60


# What is written.


def test_the_core_stays_as_it_is() -> None:
    one = subject("array")
    made = guarded("array", "abft").protected
    text = one.verilog[0][1]
    for module in text.split("\nmodule ")[1:]:
        name = module.partition("(")[0]
        if name != one.top:
            assert f"\nmodule {module.rstrip()}" in made.verilog
    assert "(* keep_hierarchy *)\nmodule dsp_gemm_abft_rows(" in made.verilog
    assert made.copies == ("abft",)
    assert made.notes == ()
    # With other schemes, they see what they saw before.
    both = guard(one, Plan.of({"*": ["abft:columns", "parity"]}))
    assert coverage(both, np.arange(one.sites.flip_flops), 500).escaped == 0


def test_models_of_vendor_cells_may_be_part_of_it() -> None:
    one = subject("dsp blocks")
    made = guard(one, Plan.of({"top": ["abft"]}), vendor=True)
    assert made.protected.copies == ("abft",)
    assert len(made.sites.original) == len(made.before.sites)


def test_choices() -> None:
    assert Choice.of(["abft"]).abft is Checksums.ROWS
    assert Choice.of(["abft:both", "parity"]).words == ("abft:both", "parity")
    assert not Choice.of(["abft:columns"]).empty
    for blocks in ({"a": ["abft:columns"]}, {"a": ["abft", "dmr", "hardened"]}):
        assert (
            Plan.of(Plan.of(blocks).to_dict()) == Plan.of(blocks) == Plan.from_toml(Plan.of(blocks).to_toml())
        )
    with pytest.raises(BadInput, match="abft:both is for rows and columns"):
        Choice.of(["abft", "abft:columns"])


@pytest.mark.parametrize(
    ("name", "block", "says"),
    [
        (
            "array",
            "column_0",
            "'column_0' has no GEMM core that abft can watch; such cores of the design: top",
        ),
        ("plain accelerator", "dispatch", "such cores of the design: dsp_engine.core"),
        ("plain accelerator", "top", "'top' has no GEMM core"),
        ("softmax", "*", "such cores of the design: none"),
    ],
)
def test_other_blocks_are_refused(name: str, block: str, says: str) -> None:
    one = subject(name)
    with pytest.raises(BadInput, match=says):
        protected(one.sources, one.top, Plan.of({block: ["abft"]}))


def test_another_configuration_is_refused() -> None:
    one = subject("array")
    text = one.verilog[0][1].replace("cols=3", "cols=4", 1)
    other = replace(one, verilog=((one.verilog[0][0], text),))
    with pytest.raises(BadInput, match="has no port"):
        protected(other.sources, other.top, Plan.of({"*": ["abft"]}))
    with pytest.raises(BadInput, match="something to check"):
        AbftConfig(one.config, rows=False)  # type: ignore[attr-defined]


def test_checksums_are_ready_before_the_results_in_every_configuration() -> None:
    for rows in (1, 2, 3, 4, 7, 8, 16, 17, 31, 32, 33, 64):
        for cols in (1, 2, 3, 5, 8, 9, 16, 17, 33, 64):
            for target, bits in (("generic", 8), ("ultrascale+", 8), ("ultrascale+", 3)):
                core = DspGemmConfig(rows=rows, cols=cols, act_bits=bits, weight_bits=bits, target=target)
                config = AbftConfig(core)
                assert config.expected_delay <= core.latency + config.result_registers
