"""The cycle model: rows without a bubble, the stated latency, and no cost for what does not happen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sim
from hwgen.cores.softmax import CORE, Row, SoftmaxConfig
from hwgen.cores.softmax.config import VARIANTS
from hwgen.cores.softmax.latency import Latency
from hwgen.verify.stimulus import REGIMES, patterns
from tests.cores.softmax.conftest import BYTES, PEERS


def _config(variant: str, **more: Any) -> SoftmaxConfig:
    own = {"table_exact": BYTES, "unified_max": {"phi": 8}, **PEERS}.get(variant, {})
    return SoftmaxConfig(variant=variant, **{**own, **more})


def _rows(lengths: list[int]) -> list[Row]:
    return [Row(np.zeros(n, np.int64), np.ones(n, np.bool_)) for n in lengths]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("lanes", "length"), [(1, 1), (3, 2), (8, 33), (4, 512), (32, 512)])
def test_rows_follow_each_other_without_a_bubble(variant: str, lanes: int, length: int) -> None:
    config = _config(variant, lanes=lanes, longest=512)
    rows = _rows([length] * 200)
    told = CORE.timing(config).free(rows)
    beats = -(-length // lanes)
    assert np.diff(told.ends).tolist() == [beats] * 199
    assert np.diff(told.starts).tolist() == [beats] * 199


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("lanes", [1, 5])
def test_the_stated_latency(variant: str, lanes: int) -> None:
    """From the last beat of the longest row to its first result, and to its last."""
    config = _config(variant, lanes=lanes, longest=60)
    told = CORE.timing(config).free(_rows([60]))
    assert told.ends[0] == 2 * (config.beats - 1) + Latency(config).row


@pytest.mark.parametrize("normalise", ["before_pv", "after_pv"])
def test_late_normalisation_costs_no_cycle(normalise: str) -> None:
    config = _config("online_pow2", normalise=normalise, longest=64)
    told = CORE.timing(config).free(_rows([64] * 50))
    assert np.diff(told.ends).tolist() == [16] * 49


def test_a_recomputed_row_goes_by_once_more() -> None:
    config = SoftmaxConfig(variant="unified_max", phi=0, span=4, longest=64)
    near, far = _rows([64, 64])
    far = Row(far.x + config.logit.high, far.keep)
    free = CORE.timing(config).free
    once, twice = (free([near, row, near]).cycles for row in (near, far))
    assert once + 16 <= twice <= once + 16 + Latency(config).statistics + 64


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_free_run_is_the_open_run(variant: str) -> None:
    config = _config(variant, longest=50, lanes=3)
    for seed in range(5):
        rows = CORE.random_operations(config, 40, np.random.default_rng(seed))
        free = sim.simulate(CORE.timing(config), rows)
        outputs = {s.name: sim.OPEN for s in config.streams if s.direction == "out"}
        walked = sim.simulate(CORE.timing(config), rows, inputs={"x": sim.OPEN}, outputs=outputs)
        assert (list(free.starts), list(free.ends), free.cycles) == (
            list(walked.starts), list(walked.ends), walked.cycles,
        )  # fmt: skip


@pytest.mark.parametrize("regime", REGIMES[1:])
@pytest.mark.parametrize("variant", ["online_pow2", "table_exact", "unified_max"])
def test_waiting_never_makes_anything_earlier(variant: str, regime: str) -> None:
    config = _config(variant, longest=50, lanes=3)
    rows = CORE.random_operations(config, 60, np.random.default_rng(5))
    gates = {name: sim.Gate(p) for name, p in patterns(regime, config.streams, 3).items()}
    free = CORE.timing(config).free(rows)
    slow = sim.simulate(CORE.timing(config), rows, inputs={"x": gates["x"]}, outputs={"y": gates["y"]})
    assert all(a <= b for a, b in zip(free.starts, slow.starts, strict=True))
    assert all(a <= b for a, b in zip(free.ends, slow.ends, strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_add_up(variant: str) -> None:
    config = _config(variant, longest=50, lanes=3)
    timing = CORE.timing(config)
    for row in CORE.random_operations(config, 30, np.random.default_rng(1)):
        losses = timing.losses(row)
        assert sum(losses.values()) == pytest.approx(timing.free([row]).cycles)
        assert min(losses.values()) >= 0


def test_no_rows_take_no_time() -> None:
    assert CORE.timing(SoftmaxConfig()).free([]).cycles == 0
