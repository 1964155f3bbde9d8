"""onnxruntime's integer product against exact 64-bit NumPy."""

import sys

import numpy as np
import pytest

from hwgen.errors import BadInput, MissingTool
from hwgen.workloads import ort_matmul_integer
from hwgen.workloads.optional import demo_module

SHAPES = [(1, 1, 1), (1, 7, 3), (5, 2, 1), (16, 16, 16), (73, 384, 97), (3, 4099, 5)]


def exact(a, b):
    return a.astype(np.int64) @ b.astype(np.int64)


@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
def test_random_operands_of_the_full_range(m, k, n):
    rng = np.random.default_rng(20240 + m + k + n)
    a = rng.integers(-128, 128, (m, k), dtype=np.int8)
    b = rng.integers(-128, 128, (k, n), dtype=np.int8)
    got = ort_matmul_integer(a, b)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, exact(a, b))


@pytest.mark.parametrize("left", [-128, 127])
@pytest.mark.parametrize("right", [-128, 127])
@pytest.mark.parametrize("k", [1, 2, 64, 1537])
def test_extreme_operands_do_not_saturate(left, right, k):
    a = np.full((9, k), left, np.int8)
    b = np.full((k, 17), right, np.int8)
    np.testing.assert_array_equal(ort_matmul_integer(a, b), np.full((9, 17), left * right * k))


def test_largest_k_fills_the_32_bit_sum_without_overflow():
    k = 131_071
    a, b = np.full((1, k), -128, np.int8), np.full((k, 1), -128, np.int8)
    assert int(ort_matmul_integer(a, b)[0, 0]) == 16384 * k


def test_strided_operands_are_read_as_they_look():
    rng = np.random.default_rng(1)
    a = rng.integers(-128, 128, (40, 20), dtype=np.int8)[::2]
    b = rng.integers(-128, 128, (30, 20), dtype=np.int8).T
    np.testing.assert_array_equal(ort_matmul_integer(a, b), exact(a, b))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (
            np.zeros((2, 3), np.int16),
            np.zeros((3, 2), np.int8),
            "a must be a non-empty int8 matrix, not int16",
        ),
        (np.zeros((2, 3), np.int8), np.zeros(3, np.int8), r"b must be .* of shape \(3,\)"),
        (np.zeros((2, 0), np.int8), np.zeros((0, 2), np.int8), "a must be a non-empty int8 matrix"),
        (np.zeros((2, 3), np.int8), np.zeros((4, 2), np.int8), "a has 3 columns but b has 4 rows"),
        (np.zeros((1, 131_072), np.int8), np.zeros((131_072, 1), np.int8), r"K must lie in 1\.\.131071"),
    ],
)
def test_refuses_what_the_kernel_would_misread(a, b, message):
    with pytest.raises(BadInput, match=message):
        ort_matmul_integer(a, b)


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingTool, match=r"'onnxruntime' .* run `pip install hwgen\[demo\]`"):
        demo_module("onnxruntime")
