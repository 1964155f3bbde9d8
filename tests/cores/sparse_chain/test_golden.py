"""The golden model against Python integers, the fast values against the golden model, and the streams read back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hwgen.cores.sparse_chain import CORE, SparseChainConfig, SparseProduct, golden, values
from hwgen.parts.sparse import BLOCK, PATTERNS, SparseMatrix, pattern_named, prune

SHAPES = [(1, 1, 1), (1, 9, 40), (17, 1, 3), (5, 33, 7), (40, 16, 129)]


def _exact(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``A·B`` by Python's integers, as a 32-bit register keeps it."""
    return (a.astype(object) @ b.astype(object) + 2**31) % 2**32 - 2**31


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("run", [golden.run, values.run], ids=["golden", "values"])
def test_products_are_those_of_python_integers(
    run: Callable[..., list[np.ndarray]], bits: int, shape: tuple[int, int, int]
) -> None:
    m, n, k = shape
    rng = np.random.default_rng(m + n + k)
    a, b = rng.integers(-128, 128, (m, k)), rng.integers(-1 << (bits - 1), 1 << (bits - 1), (k, n))
    for pattern in PATTERNS:
        pruned = prune(b, pattern)
        np.testing.assert_array_equal(run([SparseProduct(a, pruned, bits)])[0], _exact(a, pruned))


@pytest.mark.parametrize(
    ("w", "k", "total"),
    [(-128, 131_071, 2**31 - 2**14), (-128, 131_072, -(2**31)), (127, 132_105, 2**32 - 127 * 128 * 132_105)],
)
@pytest.mark.parametrize("run", [golden.run, values.run], ids=["golden", "values"])
def test_sums_wrap_like_a_register(run: Callable[..., list[np.ndarray]], w: int, k: int, total: int) -> None:
    op = SparseProduct(np.full((1, k), -128, np.int64), np.full((k, 1), w, np.int64))
    assert run([op])[0].item() == total


@pytest.mark.parametrize("seed", range(20))
def test_fast_values_are_the_golden_ones(seed: int, random_config: Callable[..., SparseChainConfig]) -> None:
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    ops = CORE.random_operations(config, 12, rng)
    assert len(ops) == 12
    for op in ops:
        again = SparseProduct.checked(config, op.a, op.b, weight_bits=op.weight_bits, spread=op.spread)
        assert again.shape == op.shape
    for expected, found in zip(CORE.golden(config, ops), CORE.values(config, ops), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("seed", range(20))
def test_the_passes_cover_a_product_once(seed: int, random_config: Callable[..., SparseChainConfig]) -> None:
    """Their packed weights, unpacked, times their activations are C; the last ones of each sum are marked."""
    rng = np.random.default_rng([1, seed])
    config = random_config(rng)
    for op in CORE.random_operations(config, 8, rng):
        m, n, _ = op.shape
        c, sent = np.zeros((m, n), np.int64), np.zeros((m, n), np.int64)
        parts = list(op.cut(config).passes())
        for part in parts:
            packed = op.packed(config, part)
            rows, columns = slice(part.m, part.m + part.m_count), slice(part.n, part.n + part.n_count)
            terms = slice(part.k, part.k + part.k_count)
            np.testing.assert_array_equal(packed.unpack(), op.b[terms, columns])
            again = SparseMatrix.from_bytes(packed.to_bytes())
            c[rows, columns] += op.a[rows, terms] @ again.unpack().astype(np.int64)
            sent[rows, columns] += part.last
            assert part.k_count <= config.depth // 2
            assert part.first == (part.k == 0)
        np.testing.assert_array_equal(c, CORE.golden(config, [op])[0])
        assert (sent == 1).all()
        assert [part.end for part in parts] == [False] * (len(parts) - 1) + [True]
        # Sums that wait for the next pass all have an accumulator.
        if len({part.k for part in parts}) > 1:
            assert op.cut(config).group_rounds * config.array.words <= config.sum_words


def test_blocks_take_the_pattern_with_the_fewest_slots() -> None:
    rng = np.random.default_rng(2)
    config = SparseChainConfig()
    names = ["1:4", "0:16", "8:16", "16:16", "1:16", "2:4"]
    codes = np.array([[pattern_named(name).code for name in names]])
    weights = prune(rng.integers(1, 8, (BLOCK * len(names), BLOCK)), codes)
    op = SparseProduct.checked(config, np.ones((1, len(weights))), weights, weight_bits=4)
    (part,) = op.cut(config).passes()
    slots = op.packed(config, part).slots[0].tolist()
    assert slots == [4, 0, 8, 16, 1, 8]
    assert CORE.timing(config).losses(op)["edges"] > 0
