"""Products by BLAS: exact against Python's own integers, and quiet."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.matmul import exact_matmul, float_matmul


@pytest.mark.parametrize("k", [1, 2, 257, 258, 259, 1024, 1025, 3000])
@pytest.mark.parametrize(("low", "high"), [(-128, 127), (0, 255), (-1, 1), (-4096, 4095)])
def test_products_are_those_of_whole_numbers(k: int, low: int, high: int) -> None:
    rng = np.random.default_rng([k, high])
    a = rng.integers(low, high, (3, k), endpoint=True)
    b = rng.integers(low, high, (k, 2), endpoint=True)
    a[0], b[:, 0] = low, low
    wanted = a.astype(object) @ b.astype(object)
    wrapped = [[(int(v) + 2**31) % 2**32 - 2**31 for v in row] for row in wanted]
    assert exact_matmul(a, b, max(-low, high) ** 2).tolist() == wrapped


def test_no_products_are_zero() -> None:
    assert exact_matmul(np.zeros((2, 0), np.int8), np.zeros((0, 3), np.int8), 1).tolist() == [[0] * 3] * 2


@pytest.mark.filterwarnings("error")
def test_flags_of_the_processor_do_not_become_warnings() -> None:
    assert np.isnan(float_matmul(np.array([[np.inf]], np.float32), np.zeros((1, 1), np.float32))).all()
