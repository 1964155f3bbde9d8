"""The golden model against Python integers and onnxruntime, and the fast values against the golden model."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from hwgen.cores.dsp_gemm import CORE, DspGemmConfig, Gemm, golden, values
from hwgen.cores.dsp_gemm.golden import gemm
from hwgen.errors import BadInput
from hwgen.workloads import ort_matmul_integer

SHAPES = [(1, 1, 1), (1, 9, 40), (17, 1, 3), (5, 33, 7), (40, 16, 129)]


def _exact(a: np.ndarray, b: np.ndarray, c: np.ndarray | int = 0) -> np.ndarray:
    """``C + A·B`` by Python's integers, as a 32-bit register keeps it."""
    total = a.astype(object) @ b.astype(object) + c
    return (total + 2**31) % 2**32 - 2**31


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("signed", [True, False])
def test_products_are_those_of_python_integers(shape: tuple[int, int, int], signed: bool) -> None:
    m, n, k = shape
    config = DspGemmConfig(act_signed=signed)
    rng = np.random.default_rng(m + n + k)
    a, b = config.act.random(rng, (m, k)), config.weight.random(rng, (k, n))
    np.testing.assert_array_equal(gemm(a, b), _exact(a, b))
    c = rng.integers(-(2**31), 2**31, (m, n))
    np.testing.assert_array_equal(gemm(a, b, c), _exact(a, b, c))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_are_those_of_onnxruntime(shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    rng = np.random.default_rng(m * n * k)
    a, b = DspGemmConfig().act.random(rng, (m, k)), DspGemmConfig().weight.random(rng, (k, n))
    truth = ort_matmul_integer(a.astype(np.int8), b.astype(np.int8))
    np.testing.assert_array_equal(gemm(a, b), truth)


# 131072 products of 128·128 are 2**31, the first sum that no signed 32-bit register holds.
@pytest.mark.parametrize(
    ("w", "k", "total"),
    [
        (-128, 131_071, 2**31 - 2**14),
        (-128, 131_072, -(2**31)),
        (127, 132_105, 2**32 - 127 * 128 * 132_105),
        (-128, 262_144, 0),
    ],
)
@pytest.mark.parametrize("run", [golden.run, values.run], ids=["golden", "values"])
def test_sums_wrap_like_a_register(run: Callable[..., list[np.ndarray]], w: int, k: int, total: int) -> None:
    a, b = np.full((1, k), -128, np.int64), np.full((k, 1), w, np.int64)
    assert run([Gemm(a, b)])[0].item() == total
    # The same sum kept and continued: it wraps in the accumulator.
    cut = k // 3
    split = [Gemm(a[:, :cut], b[:cut], keep=True), Gemm(a[:, cut:], b[cut:], accumulate=True)]
    assert run(split)[1].item() == total


@pytest.mark.parametrize("run", [golden.run, values.run], ids=["golden", "values"])
def test_chains_of_kept_sums(run: Callable[..., list[np.ndarray]]) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.integers(-8, 8, (4, 3, 5)), rng.integers(-8, 8, (4, 5, 2))
    flags = [(False, True), (True, True), (True, False), (False, False)]
    ops = [Gemm(x, y, *flag) for x, y, flag in zip(a, b, flags, strict=True)]
    alone = [_exact(x, y) for x, y in zip(a, b, strict=True)]
    results = run(ops)
    assert [r.shape for r in results] == [(0, 2), (0, 2), (3, 2), (3, 2)]
    np.testing.assert_array_equal(results[2], alone[0] + alone[1] + alone[2])
    np.testing.assert_array_equal(results[3], alone[3])


# What stands before a command that adds to a 2 x 3 sum: nothing, a sum that was sent, one of another shape.
@pytest.mark.parametrize("before", [None, (2, 3, False), (1, 3, True), (2, 1, True)], ids=str)
@pytest.mark.parametrize("run", [golden.run, values.run], ids=["golden", "values"])
def test_sums_that_were_not_kept_are_refused(
    run: Callable[..., list[np.ndarray]], before: tuple[int, int, bool] | None
) -> None:
    ops = [Gemm(np.ones((2, 4), int), np.ones((4, 3), int), accumulate=True)]
    if before:
        m, n, keep = before
        ops.insert(0, Gemm(np.ones((m, 4), int), np.ones((4, n), int), keep=keep))
    sentence = (
        f"command {len(ops) - 1} adds to 2 × 3 sums that the command before it did not keep; "
        "give that one keep=True and the same M and N"
    )
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        run(ops)


@pytest.mark.parametrize("seed", range(20))
def test_fast_values_are_the_golden_ones(seed: int, random_config: Callable[..., DspGemmConfig]) -> None:
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    ops = CORE.random_operations(config, 12, rng)
    for expected, found in zip(CORE.golden(config, ops), CORE.values(config, ops), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("k", [1, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize(("a", "b"), [(-128, -128), (255, -128), (255, 255), (0, 127), (0, 0)])
def test_fast_values_of_equal_operands(k: int, a: int, b: int) -> None:
    op = Gemm(np.full((2, k), a, np.int64), np.full((k, 3), b, np.int64))
    assert values.run([op])[0].tolist() == [[a * b * k] * 3] * 2
