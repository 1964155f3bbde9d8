"""The golden model against Python integers, bit by bit, and the fast values against the golden model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hwgen.cores.lut_gemm import CORE, Gemm, LutGemmConfig, Operand, golden, values
from hwgen.cores.lut_gemm.operand import KINDS
from hwgen.parts.corner_turn import codes

FORMATS = [Operand(kind, bits) for kind in KINDS[:2] for bits in (1, 2, 3, 8)]
FORMATS += [Operand("bipolar", 1), Operand("ternary", 2)]


def _value(code: int, form: Operand) -> int:
    """What a code stands for, by the words of the README."""
    if form.bipolar:
        return 2 * code - 1
    if form.kind != "unsigned" and code >> (form.bits - 1):
        return code - (1 << form.bits)
    return code


@pytest.mark.parametrize("a_format", FORMATS, ids=str)
@pytest.mark.parametrize("b_format", FORMATS, ids=str)
def test_products_are_those_of_python_integers(a_format: Operand, b_format: Operand) -> None:
    rng = np.random.default_rng([a_format.bits, b_format.bits])
    a, b = a_format.random(rng, (3, 11)), b_format.random(rng, (11, 4))
    left = codes(a, a_format.bits, bipolar=a_format.bipolar)
    right = codes(b, b_format.bits, bipolar=b_format.bipolar)
    assert left.min() >= 0
    assert left.max() < 1 << a_format.bits
    expected = [
        [
            sum(_value(int(left[m, k]), a_format) * _value(int(right[k, n]), b_format) for k in range(11))
            for n in range(4)
        ]
        for m in range(3)
    ]
    op = Gemm(a, b, a_format, b_format)
    assert golden.run([op])[0].tolist() == expected
    assert values.run([op])[0].tolist() == expected


@pytest.mark.parametrize(
    ("w", "k", "total"),
    [(-128, 131_071, 2**31 - 2**14), (-128, 131_072, -(2**31)), (127, 132_105, 2**32 - 127 * 128 * 132_105)],
)
@pytest.mark.parametrize("run", [golden.run, values.run], ids=["golden", "values"])
def test_sums_wrap_like_a_register(run: Callable[..., list[np.ndarray]], w: int, k: int, total: int) -> None:
    s8 = Operand("signed", 8)
    op = Gemm(np.full((1, k), -128, np.int64), np.full((k, 1), w, np.int64), s8, s8)
    assert run([op])[0].item() == total


@pytest.mark.parametrize("seed", range(20))
def test_fast_values_are_the_golden_ones(seed: int, random_config: Callable[..., LutGemmConfig]) -> None:
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    ops = CORE.random_operations(config, 12, rng)
    for op in ops:
        again = Gemm.checked(config, op.a, op.b, a_format=op.a_format, b_format=op.b_format)
        assert again.shape == op.shape
    for expected, found in zip(CORE.golden(config, ops), CORE.values(config, ops), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("k", [257, 258, 259, 5000])
@pytest.mark.parametrize("value", [0, 1, 255])
def test_fast_values_of_equal_operands(k: int, value: int) -> None:
    u8 = Operand("unsigned", 8)
    op = Gemm(np.full((2, k), 255, np.int64), np.full((k, 3), value, np.int64), u8, u8)
    assert values.run([op])[0].tolist() == [[255 * value * k] * 3] * 2
