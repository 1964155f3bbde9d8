"""The cycle model against itself: closed form and beat by beat, bounds, and the utilisation it promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest

import sim
from hwgen.core import Schedule
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig, Shape
from hwgen.verify.stimulus import REGIMES, patterns
from hwgen.workloads import GemmShape, minilm_gemms, resnet18_gemms

ARRAY = DspGemmConfig(rows=16, cols=16)
TARGETS = ["generic", "ultrascale+", "ecp5"]  # ecp5: one that is pipelined
NETWORKS = {"minilm": minilm_gemms(128), "resnet18": resnet18_gemms()}


def _shapes(config: DspGemmConfig, rng: np.random.Generator) -> list[Shape]:
    """Commands of a few tiles each, some of them chains of kept sums."""

    def near(unit: int) -> int:
        return int(
            rng.choice([1, max(1, unit - 1), unit, unit + 1, rng.integers(1, 3 * unit, endpoint=True)])
        )

    rows = config.tile_steps * config.m_lanes
    shapes: list[Shape] = []
    for _ in range(int(rng.integers(1, 6))):
        m = near(int(rng.choice([1, 3, min(config.rows, 20), min(rows, 32)])))
        n, k = near(config.n_lanes), near(config.rows)
        shapes.append(Shape(m, n, k))
        while rng.random() < 0.3:
            m, n, k = min(m, rows), min(n, config.n_lanes), near(config.rows)
            shapes.append(Shape(m, n, k, accumulate=bool(rng.integers(2)), keep=bool(rng.integers(2))))
    return shapes


def _stalled(config: DspGemmConfig, shapes: Sequence[Shape], regime: str = "free", seed: int = 0) -> Schedule:
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


@pytest.mark.parametrize("seed", range(30))
def test_the_closed_form_is_the_walk_of_every_beat(
    seed: int, random_config: Callable[..., DspGemmConfig]
) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(10):
        config = random_config(rng, target=str(rng.choice(TARGETS)))
        shapes = _shapes(config, rng)
        free, walked = CORE.timing(config).free(shapes), _stalled(config, shapes)
        assert _same(free, walked), (config, shapes)


@pytest.mark.parametrize("regime", REGIMES[1:])
@pytest.mark.parametrize("seed", range(10))
def test_waiting_never_makes_anything_earlier(
    regime: str, seed: int, random_config: Callable[..., DspGemmConfig]
) -> None:
    rng = np.random.default_rng(100 + seed)
    config = random_config(rng, target=str(rng.choice(TARGETS)))
    shapes = _shapes(config, rng)
    free, slow = CORE.timing(config).free(shapes), _stalled(config, shapes, regime, seed)
    assert all(a <= b for a, b in zip(free.starts, slow.starts, strict=True))
    assert all(a <= b for a, b in zip(free.ends, slow.ends, strict=True))
    assert slow.cycles >= free.cycles


def test_no_commands_take_no_time() -> None:
    assert _same(CORE.timing(ARRAY).free([]), Schedule([], [], 0))
    assert _same(_stalled(ARRAY, []), Schedule([], [], 0))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("tiles_m", "tiles_n", "passes"), [(1, 1, 1), (1, 1, 7), (3, 1, 1), (2, 3, 4), (256, 4096, 4096)], ids=str
)
@pytest.mark.parametrize("act_bits", [4, 8])
def test_a_gemm_of_full_tiles_has_no_bubble(
    target: str, tiles_m: int, tiles_n: int, passes: int, act_bits: int
) -> None:
    config = DspGemmConfig(
        target=target, act_bits=act_bits, weight_bits=act_bits, tile_steps=128, size_bits=32
    )
    shape = Shape(
        tiles_m * config.tile_steps * config.m_lanes, tiles_n * config.n_lanes, passes * config.rows
    )
    steps = tiles_m * config.tile_steps * tiles_n * passes
    # The command, the first weights and a cycle to the swap; a step per cycle; the way out.
    begin = config.command_cycles + config.rows + 1
    assert CORE.timing(config).free([shape]).cycles == begin + steps + config.latency
    assert shape.macs == steps * config.rows * config.cols
    # In a list of commands all but the steps overlap.
    both = CORE.timing(config).free([shape, shape])
    assert both.ends[1] - both.ends[0] == steps


def _full(network: Sequence[GemmShape]) -> list[Shape]:
    fits = [g for g in network if g.n % 16 == 0 and g.k % 16 == 0 and g.m >= 17]
    return [Shape(g.m, g.n, g.k) for g in fits for _ in range(g.repeat)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("network", "count"), [("minilm", 180), ("resnet18", 19)])
def test_networks_keep_the_array_busy(target: str, network: str, count: int) -> None:
    config = DspGemmConfig(rows=16, cols=16, target=target)
    timing, shapes = CORE.timing(config), _full(NETWORKS[network])
    assert len(shapes) == count
    whole = timing.free(shapes)
    assert sum(s.macs for s in shapes) / (256 * whole.cycles) >= 0.999
    for shape, (before, end) in zip(shapes, pairwise([-1, *whole.ends]), strict=True):
        assert shape.macs / (256 * (end - before)) >= 0.999, shape
    for shape in set(shapes):
        assert 0.97 <= shape.macs / (256 * timing.free([shape]).cycles) < 1, shape


@pytest.mark.parametrize("seed", range(10))
def test_more_work_never_takes_less_time(seed: int, random_config: Callable[..., DspGemmConfig]) -> None:
    rng = np.random.default_rng(200 + seed)
    config = random_config(rng, tile_steps=8, target=str(rng.choice(TARGETS)))
    free = CORE.timing(config).free
    m, n, k = (int(x) for x in rng.integers(1, 40, 3))
    for axis in range(3):
        sizes = [[m, n, k] for _ in range(60)]
        for more, size in enumerate(sizes):
            size[axis] += more
        cycles = [free([Shape(*size)]).cycles for size in sizes]
        assert cycles == sorted(cycles)
        assert cycles[0] < cycles[-1]
        assert all(
            c > Shape(*size).macs / (config.rows * config.cols) for c, size in zip(cycles, sizes, strict=True)
        )


@pytest.mark.parametrize("seed", range(10))
def test_losses_add_up(seed: int, random_config: Callable[..., DspGemmConfig]) -> None:
    rng = np.random.default_rng(300 + seed)
    config = random_config(rng, target=str(rng.choice(TARGETS)))
    timing = CORE.timing(config)
    for shape in _shapes(config, rng):
        losses = timing.losses(shape)
        assert sum(losses.values()) == pytest.approx(timing.free([shape]).cycles)
        assert min(losses.values()) >= 0
        assert losses["compute"] == pytest.approx(shape.macs / config.rows / config.cols)
    full = Shape(config.tile_steps * config.m_lanes, config.n_lanes, config.rows)
    assert timing.losses(full)["edges"] == pytest.approx(0)
    assert timing.losses(full)["weight load"] == 0
