"""The cycle model against itself: closed form and beat by beat, bounds, and the speed-up that it promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

import sim
from hwgen.core import Schedule
from hwgen.cores.sparse_chain import CORE, Shape, SparseChainConfig, SparseProduct
from hwgen.cores.sparse_chain.tiling import cut
from hwgen.numerics import ceil_div
from hwgen.parts.sparse import BLOCK, PATTERNS, Pattern, SparseMatrix, pattern_named, prune
from hwgen.verify.stimulus import REGIMES, patterns

ARRAY = SparseChainConfig(rows=16, depth=1024)
FFN = [(384, 1536), (1536, 384)]
"""K, N of MiniLM's two FFN matrices."""


def _stalled(
    config: SparseChainConfig, ops: Sequence[SparseProduct | Shape], regime: str = "free", seed: int = 0
) -> Schedule:
    gates = patterns(regime, config.streams, seed)
    ends = {
        s.name: (sim.Producer if s.direction == "in" else sim.Consumer)(sim.Gate(gates[s.name]))
        for s in config.streams
    }
    return CORE.timing(config).stalled(ops, ends)


def _same(one: Schedule, other: Schedule) -> bool:
    return (list(one.starts), list(one.ends), one.cycles) == (
        list(other.starts),
        list(other.ends),
        other.cycles,
    )


def _shapes(config: SparseChainConfig, rng: np.random.Generator) -> list[Shape]:
    """Dense commands of a few tiles."""

    def near(unit: int) -> int:
        choices = [1, max(1, unit - 1), unit, unit + 1, rng.integers(1, 3 * unit, endpoint=True)]
        return min(int(rng.choice(choices)), (1 << config.size_bits) - 1)

    found = []
    for _ in range(int(rng.integers(1, 5))):
        spread = config.ways > 1 and bool(rng.integers(2))
        bits = int(rng.choice(config.weight_bits))
        found.append(
            Shape(near(config.rows), near(config.array.tile), near(min(config.depth, 96)), bits, spread)
        )
    return found


@pytest.mark.parametrize("seed", range(25))
def test_the_closed_form_is_the_walk_of_every_beat(
    seed: int, random_config: Callable[..., SparseChainConfig]
) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(10):
        config = random_config(rng)
        ops = [*CORE.random_operations(config, int(rng.integers(1, 8)), rng), *_shapes(config, rng)]
        ops = [ops[i] for i in rng.permutation(len(ops))]
        assert _same(CORE.timing(config).free(ops), _stalled(config, ops)), config


@pytest.mark.parametrize("regime", REGIMES[1:])
@pytest.mark.parametrize("seed", range(10))
def test_waiting_never_makes_anything_earlier(
    regime: str, seed: int, random_config: Callable[..., SparseChainConfig]
) -> None:
    rng = np.random.default_rng(100 + seed)
    config = random_config(rng)
    ops = [*CORE.random_operations(config, 6, rng), *_shapes(config, rng)]
    free, slow = CORE.timing(config).free(ops), _stalled(config, ops, regime, seed)
    assert all(a <= b for a, b in zip(free.starts, slow.starts, strict=True))
    assert all(a <= b for a, b in zip(free.ends, slow.ends, strict=True))
    assert slow.cycles >= free.cycles


def test_no_commands_take_no_time() -> None:
    assert _same(CORE.timing(ARRAY).free([]), Schedule([], [], 0))
    assert _same(_stalled(ARRAY, []), Schedule([], [], 0))


def _cycles(config: SparseChainConfig, m: int, weights: np.ndarray, **fields: object) -> int:
    op = SparseProduct(np.zeros((m, weights.shape[0]), np.int64), weights, **fields)  # type: ignore[arg-type]
    return CORE.timing(config).free([op]).cycles


def _pruned(k: int, n: int, pattern: Pattern | np.ndarray) -> np.ndarray:
    return prune(np.random.default_rng([k, n]).integers(1, 127, (k, n)), pattern)


@pytest.mark.parametrize(("k", "n"), FFN)
@pytest.mark.parametrize(
    ("name", "share"),
    [("8:16", 0.97), ("4:16", 0.97), ("2:16", 0.97), ("2:4", 0.97), ("1:4", 0.97), ("1:16", 0.96)],
)
def test_a_pattern_is_as_many_times_faster_as_it_has_fewer_slots(
    name: str, share: float, k: int, n: int
) -> None:
    pattern = pattern_named(name)
    dense = _cycles(ARRAY, 128, np.ones((k, n), np.int64))
    sparse = _cycles(ARRAY, 128, _pruned(k, n, pattern))
    bound = pattern.m / pattern.n
    assert share * bound <= dense / sparse <= bound


@pytest.mark.parametrize(("k", "n"), FFN)
def test_a_mix_of_patterns_is_as_fast_as_its_slots(k: int, n: int) -> None:
    codes = np.random.default_rng(1).integers(1, len(PATTERNS), (n // BLOCK, k // BLOCK))
    weights = _pruned(k, n, codes)
    slots = SparseMatrix.pack(weights, fewest="slots").slots
    bound = BLOCK * slots.size / slots.sum()
    speed_up = _cycles(ARRAY, 128, np.ones((k, n), np.int64)) / _cycles(ARRAY, 128, weights)
    assert 0.97 * bound <= speed_up <= bound


@pytest.mark.parametrize(("k", "n"), FFN)
def test_ways_multiply_the_speed_of_a_matrix_vector_product(k: int, n: int) -> None:
    """One row of C: the others' chains compute other columns, or nothing."""
    ways = replace(ARRAY, ways=8)
    weights = _pruned(k, n, pattern_named("4:16"))
    alone, together = _cycles(ways, 1, weights), _cycles(ways, 1, weights, spread=True)
    assert alone == _cycles(ARRAY, 1, weights)
    passes = ceil_div(k, ARRAY.depth // 2)
    steps, gaps = k // 4 * n // BLOCK // 8, n // BLOCK // 8 * passes * ways.array.gap(True)
    # The first pass' activations take a cycle each; then those of the next passes do, or the steps and the gaps.
    assert steps + gaps < together < k // passes + max(k, steps + gaps) + 40 * passes


def test_the_fill_is_hidden_behind_the_pass_before() -> None:
    """Four more rows of C: the rounds of two more tiles and five cycles to start each, whatever had to be loaded."""
    config = SparseChainConfig(rows=2, depth=128)
    for blocks, tiles in ((1, 5), (4, 2), (4, 9)):
        shapes = [Shape(m, BLOCK * tiles, BLOCK * blocks) for m in (8, 12)]
        fewer, more = (CORE.timing(config).free([shape]).cycles for shape in shapes)
        assert more - fewer == 2 * (tiles * BLOCK * blocks + 5)


@pytest.mark.parametrize("seed", range(10))
def test_more_work_never_takes_less_time(seed: int, random_config: Callable[..., SparseChainConfig]) -> None:
    rng = np.random.default_rng(200 + seed)
    config = random_config(rng, size_bits=24)
    free = CORE.timing(config).free
    sizes = [int(x) for x in rng.integers(1, 40, 3)]
    for axis in range(3):
        runs = [[*sizes] for _ in range(40)]
        for more, size in enumerate(runs):
            size[axis] += more
        cycles = [free([Shape(*size, config.weight_bits[-1])]).cycles for size in runs]
        assert cycles == sorted(cycles)
        for cycle, size in zip(cycles, runs, strict=True):
            assert cycle > Shape(*size).macs / config.array.macs


@pytest.mark.parametrize("seed", range(10))
def test_losses_add_up(seed: int, random_config: Callable[..., SparseChainConfig]) -> None:
    rng = np.random.default_rng(300 + seed)
    config = random_config(rng)
    timing = CORE.timing(config)
    for op in [*CORE.random_operations(config, 5, rng), *_shapes(config, rng)]:
        losses = timing.losses(op)
        assert sum(losses.values()) == pytest.approx(timing.free([op]).cycles)
        assert min(losses.values()) >= 0
        slots = blocks = 0
        for part in cut(config, *op.shape, op.spread).passes():
            codes = op.codes(config, part)
            slots, blocks = slots + sum(PATTERNS[code].slots for code in codes.flat), blocks + codes.size
        assert losses["compute"] == pytest.approx(op.macs * slots / (BLOCK * blocks) / config.array.macs)
