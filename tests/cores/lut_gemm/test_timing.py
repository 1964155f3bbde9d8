"""The cycle model against itself: closed form and beat by beat, bounds, and the utilisation it promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

import sim
from hwgen.core import Schedule
from hwgen.cores.lut_gemm import CORE, LutGemmConfig, Shape
from hwgen.numerics import ceil_div
from hwgen.verify.stimulus import REGIMES, patterns

ARRAY = LutGemmConfig(dm=8, dk=256, dn=8, b_words=1024)


def _shapes(config: LutGemmConfig, rng: np.random.Generator) -> list[Shape]:
    """Commands of a few tiles each, empty ones among them."""

    def near(unit: int) -> int:
        return int(
            rng.choice([1, max(1, unit - 1), unit, unit + 1, rng.integers(1, 4 * unit, endpoint=True)])
        )

    shapes = []
    for _ in range(int(rng.integers(1, 12))):
        a_bits, b_bits = (int(x) for x in rng.integers(1, 9, 2))
        blocks = min(config.a_words // a_bits, config.b_words // b_bits)
        k = min(near(int(rng.choice([1, config.dk]))), config.dk * blocks)
        tiles = config.b_words // (b_bits * ceil_div(k, config.dk))
        n = min(near(config.dn), config.dn * tiles)
        shapes.append(Shape(near(config.dm), n, k, a_bits, b_bits))
        if rng.random() < 0.1:
            shapes.append(Shape(0, n, k, a_bits, b_bits))
    return shapes


def _stalled(config: LutGemmConfig, shapes: Sequence[Shape], regime: str = "free", seed: int = 0) -> Schedule:
    gates = patterns(regime, config.streams, seed)
    ends = {
        s.name: (sim.Producer if s.direction == "in" else sim.Consumer)(sim.Gate(gates[s.name]))
        for s in config.streams
    }
    return CORE.timing(config).stalled(shapes, ends)


def _same(one: Schedule, other: Schedule) -> bool:
    return (list(one.starts), list(one.ends), one.cycles) == (
        list(other.starts),
        list(other.ends),
        other.cycles,
    )


@pytest.mark.parametrize("seed", range(40))
def test_the_closed_form_is_the_walk_of_every_beat(
    seed: int, random_config: Callable[..., LutGemmConfig]
) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(10):
        config = random_config(rng)
        shapes = _shapes(config, rng)
        assert _same(CORE.timing(config).free(shapes), _stalled(config, shapes)), (config, shapes)


@pytest.mark.parametrize("regime", REGIMES[1:])
@pytest.mark.parametrize("seed", range(10))
def test_waiting_never_makes_anything_earlier(
    regime: str, seed: int, random_config: Callable[..., LutGemmConfig]
) -> None:
    rng = np.random.default_rng(100 + seed)
    config = random_config(rng)
    shapes = _shapes(config, rng)
    free, slow = CORE.timing(config).free(shapes), _stalled(config, shapes, regime, seed)
    assert all(a <= b for a, b in zip(free.starts, slow.starts, strict=True))
    assert all(a <= b for a, b in zip(free.ends, slow.ends, strict=True))
    assert slow.cycles >= free.cycles


def test_no_commands_take_no_time() -> None:
    assert _same(CORE.timing(ARRAY).free([]), Schedule([], [], 0))
    assert _same(_stalled(ARRAY, []), Schedule([], [], 0))


@pytest.mark.parametrize("bits", [(1, 1), (2, 2), (3, 4), (8, 8), (8, 1), (1, 8)], ids=str)
@pytest.mark.parametrize("blocks", [1, 2, 16])
def test_full_tiles_follow_each_other_without_a_bubble(bits: tuple[int, int], blocks: int) -> None:
    config = LutGemmConfig(dm=8, dk=64, dn=8, b_words=4096)
    a_bits, b_bits = bits
    tiles = 4096 // (b_bits * blocks)
    shape = Shape(64, 8 * tiles, 64 * blocks, a_bits, b_bits)
    per_tile = max(a_bits * b_bits * blocks, config.dm)
    free = CORE.timing(config).free
    more = Shape(72, *(getattr(shape, name) for name in ("n", "k", "a_bits", "b_bits")))
    # Eight more rows are one more tile of A: nothing but its steps, whatever had to be loaded.
    assert free([more]).cycles - free([shape]).cycles == tiles * per_tile
    alone = free([shape])
    both = free([shape, shape])
    # Loading B takes longer than computing with it only while M is small.
    work = 8 * tiles * per_tile
    load = 8 * tiles * blocks * {1: 1, 2: 2, 3: 4, 4: 4, 8: 8}[b_bits]
    if load + 64 < work:
        assert both.ends[1] - both.ends[0] == work
    assert alone.cycles > work


def test_binary_gemms_keep_the_array_busy() -> None:
    free = CORE.timing(ARRAY).free
    for shape, repeat in (
        (Shape(4096, 256, 4096), 1),
        (Shape(512, 256, 4096), 16),
        (Shape(512, 512, 8192), 8),
    ):
        cycles = free([shape] * repeat).cycles
        assert 0.98 <= repeat * shape.binary_ops / (ARRAY.binary_ops_per_cycle * cycles) < 1


@pytest.mark.parametrize("seed", range(10))
def test_more_work_never_takes_less_time(seed: int, random_config: Callable[..., LutGemmConfig]) -> None:
    rng = np.random.default_rng(200 + seed)
    config = random_config(rng, a_words=256, b_words=1024, size_bits=24)
    free = CORE.timing(config).free
    sizes = [int(x) for x in rng.integers(1, 30, 3)]
    bits = [int(x) for x in rng.integers(1, 9, 2)]
    for axis in range(3):
        runs = [[*sizes] for _ in range(40)]
        for more, size in enumerate(runs):
            size[axis] += more
        cycles = [free([Shape(*size, *bits)]).cycles for size in runs]
        assert cycles == sorted(cycles)
        assert all(
            c > Shape(*size, *bits).binary_ops / config.binary_ops_per_cycle
            for c, size in zip(cycles, runs, strict=True)
        )


@pytest.mark.parametrize("seed", range(10))
def test_losses_add_up(seed: int, random_config: Callable[..., LutGemmConfig]) -> None:
    rng = np.random.default_rng(300 + seed)
    config = random_config(rng)
    timing = CORE.timing(config)
    for shape in (s for s in _shapes(config, rng) if s.macs):
        losses = timing.losses(shape)
        assert sum(losses.values()) == pytest.approx(timing.free([shape]).cycles)
        assert min(losses.values()) >= 0
        assert losses["compute"] == pytest.approx(shape.binary_ops / config.binary_ops_per_cycle)
