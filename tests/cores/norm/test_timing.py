"""The cycle model: rows without a bubble, sets that wait for each other, and no cost for what does not happen."""

from __future__ import annotations

import numpy as np
import pytest

import sim
from hwgen.cores.norm import CORE, NormConfig, Row
from hwgen.cores.norm.operation import random_parameters
from hwgen.verify.stimulus import REGIMES, patterns

SMALL = NormConfig(lanes=4, longest=64)


def _rows(config: NormConfig, lengths: list[int], loads: list[bool]) -> list[Row]:
    rng = np.random.default_rng(1)
    sets = [random_parameters(config, config.longest, rng) if load else None for load in loads]
    return [
        Row(np.zeros(n, np.int64), np.ones(n, np.bool_), load) for n, load in zip(lengths, sets, strict=True)
    ]


@pytest.mark.parametrize("lanes", [1, 3, 8, 32])
@pytest.mark.parametrize("length", [1, 2, 33, 512])
def test_rows_follow_each_other_without_a_bubble(lanes: int, length: int) -> None:
    config = NormConfig(lanes=lanes, longest=512)
    rows = _rows(config, [length] * 200, [True] + [False] * 199)
    told = CORE.timing(config).free(rows)
    beats = rows[0].beats(lanes)
    assert np.diff(told.ends).tolist() == [beats] * 199
    first = rows[0].load.beats(lanes)  # type: ignore[union-attr]
    assert told.starts[0] == first
    assert told.ends[0] == first + beats - 1 + config.latency + beats - 1


def test_sets_load_behind_the_rows() -> None:
    """Three rows hide the load of the next set; it begins when the first of them goes into its second pass."""
    config = NormConfig(lanes=1, longest=512)
    free = CORE.timing(config).free
    told = free(_rows(config, [512] * 30, [True, False, False] * 10))
    assert set(np.diff(told.starts)) == {512}
    told = free(_rows(config, [512] * 30, [True] * 30))
    assert set(np.diff(told.starts[1:])) == {512 + 512 + config.rows.stat_latency + 3}


@pytest.mark.parametrize("seed", range(20))
def test_the_free_run_is_the_open_run(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = CORE.random_operations(SMALL, 40, rng)
    free = sim.simulate(CORE.timing(SMALL), rows)
    ends = {"inputs": {"x": sim.OPEN, "p": sim.OPEN}, "outputs": {"y": sim.OPEN}}
    walked = sim.simulate(CORE.timing(SMALL), rows, **ends)
    assert (list(free.starts), list(free.ends), free.cycles) == (
        list(walked.starts), list(walked.ends), walked.cycles,
    )  # fmt: skip


@pytest.mark.parametrize("regime", REGIMES[1:])
def test_waiting_never_makes_anything_earlier(regime: str) -> None:
    rows = CORE.random_operations(SMALL, 60, np.random.default_rng(5))
    gates = {name: sim.Gate(p) for name, p in patterns(regime, SMALL.streams, 3).items()}
    free = CORE.timing(SMALL).free(rows)
    slow = sim.simulate(
        CORE.timing(SMALL), rows, inputs={"x": gates["x"], "p": gates["p"]}, outputs={"y": gates["y"]}
    )
    assert all(a <= b for a, b in zip(free.starts, slow.starts, strict=True))
    assert all(a <= b for a, b in zip(free.ends, slow.ends, strict=True))


@pytest.mark.parametrize("seed", range(10))
def test_losses_add_up(seed: int) -> None:
    timing = CORE.timing(SMALL)
    for row in CORE.random_operations(SMALL, 20, np.random.default_rng(seed)):
        losses = timing.losses(row)
        assert sum(losses.values()) == pytest.approx(timing.free([row]).cycles)
        assert min(losses.values()) >= 0


def test_no_rows_take_no_time() -> None:
    assert CORE.timing(SMALL).free([]).cycles == 0
