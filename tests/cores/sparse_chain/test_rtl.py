"""Golden model = simulator = Verilog: values, and the cycle of every beat, under four flow-control regimes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwgen.cores.sparse_chain import CORE, SparseChainConfig, SparseProduct
from hwgen.parts.sparse import BLOCK, PATTERNS, prune
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import REGIMES, Stimulus

US = {"target": "ultrascale+"}
W4 = {"packing": "w4x3", "narrow": False, **US}
W2 = {"packing": "w2x4", "narrow": False, **US}
CI: dict[str, dict[str, Any]] = {
    "smallest": {"rows": 2, "depth": 64, "sum_words": 16, "size_bits": 6},
    "dsp": {"rows": 2, "depth": 64, "narrow": False, "sum_words": 16, **US},
    "deepest": {"rows": 2, "depth": 4096, "narrow": False, "size_bits": 32},
    "three chains": {"rows": 6, "depth": 128, "sum_words": 16, **US},
    "two ways": {"rows": 4, "ways": 2, "depth": 128, "sum_words": 16, **US},
    "four ways": {"rows": 8, "ways": 4, "depth": 64, "sum_words": 32},
    "eight ways": {"rows": 16, "ways": 8, "depth": 64, "narrow": False, "sum_words": 16, "size_bits": 8},
    "w4x3, one row": {"rows": 1, "depth": 64, "sum_words": 16, **W4},
    "w4x3, three rows": {"rows": 3, "depth": 128, "sum_words": 16, **W4},
    "w2x4, two ways": {"rows": 2, "ways": 2, "depth": 256, "sum_words": 16, **W2},
}  # fmt: skip


def _config(name: str) -> SparseChainConfig:
    return SparseChainConfig(**CI[name])


def _one(
    config: SparseChainConfig, m: int, n: int, k: int, rng: np.random.Generator, **fields: Any
) -> SparseProduct:
    """A dense product of random numbers."""
    bits = fields.setdefault("weight_bits", config.weight_bits[-1])
    high = 1 << (bits - 1)
    return SparseProduct(rng.integers(-128, 128, (m, k)), rng.integers(-high, high, (k, n)), **fields)


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", CI)
def test_three_executors_agree(name: str, regime: str, agree: Callable[..., None]) -> None:
    config = _config(name)
    rng = np.random.default_rng([len(name), REGIMES.index(regime)])
    agree(config, [_one(config, 1, 1, 1, rng), *CORE.random_operations(config, 16, rng)], regime)


def test_the_chosen_configurations_reach_every_structure() -> None:
    configs = [_config(name) for name in CI]
    assert {c.ways for c in configs} == {1, 2, 4, 8}
    assert {(c.packing, c.target, c.narrow) for c in configs} == {
        ("a8x2", "generic", True),
        ("a8x2", "generic", False),
        ("a8x2", "ultrascale+", True),
        ("a8x2", "ultrascale+", False),
        ("w4x3", "ultrascale+", False),
        ("w2x4", "ultrascale+", False),
    }
    assert {c.depth for c in configs} >= {64, 4096}  # distributed RAM, and the deepest
    assert {c.array.least(False) == c.array.words for c in configs} == {True, False}


@pytest.mark.parametrize("regime", [REGIMES[0], REGIMES[3]])
@pytest.mark.parametrize("name", ["two ways", "four ways", "w4x3, three rows", "w2x4, two ways"])
def test_every_pattern_alone_and_mixed(name: str, regime: str, agree: Callable[..., None]) -> None:
    """Empty matrices and dense ones among them; several passes, and groups of one round."""
    config = _config(name)
    lanes, rng, ops = config.array.shared.columns, np.random.default_rng(1), []
    k, n = config.pass_blocks * BLOCK + 17, 2 * config.array.tile * config.ways + 3
    k = min(k, 200)
    for bits in config.weight_bits:
        weights = rng.integers(1, 1 << (bits - 1), (k, n), endpoint=True) * rng.choice([-1, 1], (k, n))
        weights = np.minimum(weights, (1 << (bits - 1)) - 1)
        weights[weights == 0] = -1
        grid = (-(-n // config.array.tile), -(-k // BLOCK))
        for codes in [np.full(grid, p.code) for p in PATTERNS] + [rng.integers(0, len(PATTERNS), grid)] * 2:
            spread = config.ways > 1 and bool(rng.integers(2))
            acts = rng.integers(-128, 128, (int(rng.integers(1, config.rows + 2)), k))
            ops.append(SparseProduct(acts, prune(weights, codes, lanes=lanes), bits, spread))
    agree(config, [ops[i] for i in rng.permutation(len(ops))], regime)


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", ["smallest", "three chains"])
def test_sums_of_several_passes_and_groups(name: str, regime: str, agree: Callable[..., None]) -> None:
    """Fewer accumulators than a row of C has sums: groups of column tiles; an accumulator is used again at once."""
    config = _config(name)
    rng, deep = np.random.default_rng(2), config.pass_blocks * BLOCK
    most = (1 << config.size_bits) - 1
    ops = []
    for m, n, k in (
        (1, 1, deep + 1),
        (2 * config.rows + 1, 60, min(3 * deep, most)),
        (1, 63, min(5 * deep, most)),
    ):
        op = _one(config, m, n, k, rng)
        cut = op.cut(config)
        assert sum(1 for _ in cut.passes()) > 1
        # One weight per block: rounds as short as they may be.
        sparse = np.where(np.arange(k)[:, None] % BLOCK == rng.integers(BLOCK, size=n), op.b, 0)
        ops += [op, SparseProduct(op.a, sparse)]
    agree(config, ops, regime)


@pytest.mark.parametrize("regime", [REGIMES[0], REGIMES[3]])
def test_words_of_empty_blocks(regime: str, agree: Callable[..., None]) -> None:
    """Up to eight words of codes per round, empty ones at the begin, in the middle, at the end, everywhere."""
    config = _config("deepest")
    rng, words, ops = np.random.default_rng(5), config.pass_blocks // BLOCK, []
    assert words == 8
    for filled in [*np.eye(words, dtype=bool), *(rng.random((6, words)) < 0.4), np.zeros(words, bool)]:
        blocks = np.repeat(filled, BLOCK) & (rng.random(words * BLOCK) < rng.choice([0.1, 0.9]))
        k = words * BLOCK * BLOCK - int(rng.choice([0, 1, 15, 16, 300]))
        keep = np.repeat(blocks, BLOCK)[:k, None] & (rng.random((k, 20)) < 0.1)
        ops.append(SparseProduct(rng.integers(-128, 128, (3, k)), rng.integers(-128, 128, (k, 20)) * keep))
    agree(config, ops, regime)


# Runs of products of one sign that fill a field of 18 bits to the brim, over it, and many times around it.
RUNS = [1, 7, 8, 9, 15, 16, 17, 100]


def _waves(config: SparseChainConfig, k: int, rng: np.random.Generator) -> np.ndarray:
    """Activations at the ends of their range: each row goes up and down in runs of its own."""
    acts = np.empty((config.rows + 1, k), np.int64)
    for row in acts:
        at, high = 0, bool(rng.integers(2))
        while at < k:
            length = int(rng.choice(RUNS))
            row[at : at + length] = 127 if high else -128
            at, high = at + length, not high
    return acts


@pytest.mark.parametrize(
    "name", ["smallest", "dsp", "three chains", "w4x3, one row", "w4x3, three rows", "w2x4, two ways"]
)
def test_extreme_operands(name: str, agree: Callable[..., None]) -> None:
    config = _config(name)
    rng = np.random.default_rng(3)
    k = min(2 * config.pass_blocks * BLOCK, (1 << config.size_bits) - 1)
    n = config.array.tile + 1
    ops = []
    for bits in config.weight_bits:
        ends = np.array([-1 << (bits - 1), (1 << (bits - 1)) - 1])
        for acts in (-128, 127):
            for weight in ends:
                a, b = np.full((config.rows, k), acts), np.full((k, n), weight)
                ops.append(SparseProduct(a, b, bits))
        for _ in range(4):
            wave = _waves(config, k, rng)
            # Columns that share a multiplier at the same end, at opposite ones, and at any; each for a whole run.
            ops += [
                SparseProduct(wave, np.tile(ends[rng.integers(2, size=n)], (k, 1)), bits),
                SparseProduct(wave, ends[rng.integers(2, size=(k, n))], bits),
                SparseProduct(wave, np.where(rng.random((k, n)) < 0.5, np.tile(ends[:1], (k, n)), 0), bits),
            ]
    agree(config, ops)


def test_a_lower_field_goes_around_as_often_as_it_can(agree: Callable[..., None]) -> None:
    """A full pass of the deepest memories: 2,048 products of 16,384 in a field of 131,072, up and down."""
    config = SparseChainConfig(rows=2, depth=4096, narrow=False, **US)
    k = config.pass_blocks * BLOCK
    up, down = np.full(k, -128), np.full(k, 127)
    half = np.where(np.arange(k) < k // 2, up, down)
    acts = [
        np.stack(pair) for pair in ((up, up), (up, down), (down, up), (down, down), (half, up), (up, half))
    ]
    weights = np.stack([np.full(k, -128), np.full(k, 127)], axis=1)
    ops = [SparseProduct(a, weights) for a in acts]
    assert CORE.golden(config, ops)[0][0, 0] == k << 14
    agree(config, ops)


@pytest.mark.parametrize("regime", [REGIMES[0], REGIMES[3]])
def test_commands_with_a_size_of_zero_are_taken_and_ignored(
    regime: str, harness: Callable[..., Harness], stimulus: Callable[..., Stimulus]
) -> None:
    config = _config("smallest")
    rng = np.random.default_rng(4)
    real = [_one(config, m, 20, 9, rng) for m in (3, 1)]
    base = stimulus(config, real, regime)
    size, stream = base.inputs["cmd"].shape[1], config.streams[0]
    fields = dict(zip((f.name for f in stream.fields), stream.unpack(base.inputs["cmd"]), strict=True))
    empty = []
    for name in ("m", "tiles", "k"):
        values = {key: column[:1] * (key != name) for key, column in fields.items()}
        empty.append(stream.pack(*values.values()).reshape(-1, size))
    words = np.concatenate([*empty, base.inputs["cmd"][:1], *empty, base.inputs["cmd"][1:], *empty])
    seen = harness(config).run(Stimulus({**base.inputs, "cmd": words}, base.expected, base.gates))
    for got, expected in zip(
        CORE.collect(config, real, seen.outputs), CORE.golden(config, real), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ["smallest", "eight ways", "w4x3, three rows", "w2x4, two ways"])
def test_what_the_host_puts_beside_the_matrices_does_not_matter(
    name: str, harness: Callable[..., Harness], stimulus: Callable[..., Stimulus]
) -> None:
    """Rows beyond M; slots without a weight may point to any row."""
    config = _config(name)
    rng = np.random.default_rng(6)
    weights = _one(config, 1, 5, 30, rng).b * (rng.random((30, 5)) < 0.1)
    ops = [SparseProduct(rng.integers(-128, 128, (1, 30)), weights, config.weight_bits[-1])]
    base = stimulus(config, ops)
    beats = config.streams[1].unpack(base.inputs["a"])[0]
    free = ops[0].packed(config, next(iter(ops[0].cut(config).passes())))
    unused = ~free.values.any(axis=-1)
    assert unused.any()
    for _ in range(4):
        beats[:, 1:] = rng.integers(-128, 128, beats[:, 1:].shape)
        inputs = {**base.inputs, "a": config.streams[1].pack(beats)}
        seen = harness(config).run(Stimulus(inputs, base.expected, base.gates))
        np.testing.assert_array_equal(CORE.collect(config, ops, seen.outputs)[0], CORE.golden(config, ops)[0])
        assert not CORE.outside(config, ops, seen.outputs).any()


SEEDS = range(32)
"""Of the random configurations in the sweep; those of :data:`EXTREMES` are in it too."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_any_configuration_agrees(
    seed: int, random_config: Callable[..., SparseChainConfig], agree: Callable[..., None]
) -> None:
    rng = np.random.default_rng([11, seed])
    config = random_config(rng)
    for i, regime in enumerate(REGIMES):
        agree(config, CORE.random_operations(config, 20, rng), regime, seed=i)


EXTREMES: dict[str, dict[str, Any]] = {
    "tallest": {"rows": 64, "ways": 16, "depth": 4096},
    "tallest, dsp": {"rows": 64, "ways": 1, "depth": 4096, "sum_words": 64, **US},
    "most ways, dsp": {"rows": 32, "ways": 16, "depth": 64, **US},
    "most ways, one row of each": {"rows": 16, "ways": 16, "depth": 64, "sum_words": 64, **W4},
    "w4x3, tallest": {"rows": 64, "ways": 4, "depth": 1024, **W4},
    "w2x4, tallest": {"rows": 64, "ways": 16, "depth": 64, **W2},
    "w2x4, deepest": {"rows": 1, "depth": 4096, "sum_words": 16, "size_bits": 13, **W2},
    "w4x3, deepest": {"rows": 1, "depth": 4096, "sum_words": 16384, "size_bits": 13, **W4},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXTREMES)
def test_the_extremes_agree(name: str, agree: Callable[..., None]) -> None:
    config = SparseChainConfig(**EXTREMES[name])
    for regime in REGIMES:
        agree(config, CORE.random_operations(config, 12, np.random.default_rng(9)), regime)


def test_the_sweep_covers_what_can_differ(random_config: Callable[..., SparseChainConfig]) -> None:
    drawn = {random_config(np.random.default_rng([11, seed])) for seed in SEEDS}
    assert len(drawn) >= 30
    configs = [*drawn, *(SparseChainConfig(**parameters) for parameters in EXTREMES.values())]
    assert {c.rows for c in configs} >= {1, 2, 3, 4, 6, 8, 12, 16, 32, 64}
    assert {c.ways for c in configs} == {1, 2, 4, 8, 16}
    assert {c.depth for c in configs} >= {64, 128, 256, 512, 1024, 4096}
    assert {c.sum_words for c in configs} >= {16, 32, 64, 128, 256, 512, 16384}
    assert {(c.packing, c.target, c.narrow) for c in drawn} == {
        ("a8x2", target, narrow) for target in ("generic", "ultrascale+") for narrow in (False, True)
    } | {("w4x3", "ultrascale+", False), ("w2x4", "ultrascale+", False)}
