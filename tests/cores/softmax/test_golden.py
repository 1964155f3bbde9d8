"""The golden model against exact fractions, crfix, onnxruntime and the published formulas."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import crfix
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hwgen.cores.softmax import CORE, Row, SoftmaxConfig, causal, quantise
from hwgen.cores.softmax.accuracy import exact
from hwgen.cores.softmax.config import OWN, VARIANTS
from hwgen.cores.softmax.golden import softmax
from hwgen.cores.softmax.golden.arithmetic import reciprocal, round_shift, top_bit
from hwgen.numerics import IntArray
from hwgen.workloads.onnx_reference import cpu_session
from tests.cores.softmax.conftest import BYTES, PEERS


def _config(variant: str, **more: Any) -> SoftmaxConfig:
    own = {"table_exact": BYTES, "unified_max": {"phi": 8}, **PEERS}.get(variant, {})
    return SoftmaxConfig(variant=variant, **{**own, **more})


def _all(x: IntArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.ones(x.shape, bool)


def _qlinear_softmax(x: IntArray, scale: float) -> IntArray:
    """What onnxruntime makes of unsigned bytes, results in 256ths."""
    tensor = helper.make_tensor
    node = helper.make_node(
        "QLinearSoftmax", ["x", "xs", "xz", "ys", "yz"], ["y"], domain="com.microsoft", axis=-1, opset=13
    )
    graph = helper.make_graph(
        [node], "softmax",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, list(x.shape))],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, list(x.shape))],
        [tensor("xs", TensorProto.FLOAT, [], [scale]), tensor("xz", TensorProto.UINT8, [], [128]),
         tensor("ys", TensorProto.FLOAT, [], [1 / 256]), tensor("yz", TensorProto.UINT8, [], [0])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return np.asarray(
        cpu_session(model.SerializeToString()).run(None, {"x": (x + 128).astype(np.uint8)})[0], np.int64
    )


def _logits(rng: np.random.Generator, scale: float, shape: tuple[int, int]) -> IntArray:
    spread = rng.choice([0.3, 1, 4, 12], (shape[0], 1))
    return np.clip(np.rint(rng.normal(0, spread / scale, shape)), -128, 127).astype(np.int64)


@pytest.mark.parametrize("scale", ["0.02", "0.1", "0.3", "1/8", "1/3"])
@pytest.mark.parametrize("n", [1, 2, 16, 127, 1024])
def test_table_exact_equals_onnxruntime_and_integer_arithmetic(n: int, scale: str) -> None:
    rng = np.random.default_rng([n, len(scale)])
    config = SoftmaxConfig(variant="table_exact", in_bits=8, in_fraction=0, scale=scale)
    x = _logits(rng, float(Fraction(scale)), (500, n))
    ours = softmax(config, x, _all(x))
    if n > 1:  # onnxruntime gives zero to rows of one element
        np.testing.assert_array_equal(ours, _qlinear_softmax(x, float(Fraction(scale))))
    theirs = crfix.softmax(x, float(Fraction(scale)), crfix.Affine(1 / 256, 0, "u8"))
    np.testing.assert_array_equal(ours, theirs)


def test_table_exact_equals_onnxruntime_on_real_logits(real_logits: list[Any]) -> None:
    scale = max(float(np.abs(rows).max()) for rows in real_logits) / 127
    config = SoftmaxConfig(
        variant="table_exact", in_bits=8, in_fraction=0, scale=str(Fraction(np.float32(scale).item()))
    )
    for rows in real_logits:
        x = quantise(config, rows)
        np.testing.assert_array_equal(
            softmax(config, x, _all(x)), _qlinear_softmax(x, float(np.float32(scale)))
        )


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("variant", [v for v in OWN if v != "table_exact"])
def test_results_are_next_to_the_correctly_rounded_ones(variant: str, bits: int) -> None:
    rng = np.random.default_rng([bits, len(variant)])
    config = _config(variant, out_bits=bits, longest=300)
    for n in (1, 5, 64, 300):
        spread = rng.choice([10, 300, 2000], (50, 1))
        x = np.rint(rng.normal(0, spread, (50, n))).astype(np.int64)
        y = softmax(config, x, _all(x))[:, :n]
        theirs = crfix.softmax(x, float(config.step), crfix.Affine(2.0**-bits, 0, f"u{bits}"))
        assert np.abs(y - theirs).max() <= 1
        assert (y == theirs).mean() > 0.99


@pytest.mark.parametrize("variant", VARIANTS)
def test_masked_elements_do_not_matter(variant: str) -> None:
    """The results of those that take part are the same whatever the others hold; the others' are zero."""
    rng = np.random.default_rng(5)
    config = _config(variant)
    x = rng.integers(-60, 60, (30, 41))
    keep = rng.random(x.shape) < 0.6
    keep[0], keep[1, 1:] = True, False
    y = softmax(config, x, keep)[:, :41]
    for other in (config.logit.low, config.logit.high):
        np.testing.assert_array_equal(softmax(config, np.where(keep, x, other), keep)[:, :41], y)
    assert not y[~keep].any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_row_without_elements_that_take_part_is_zero(variant: str) -> None:
    config = _config(variant)
    x = np.array([[3, -5, 7], [0, 0, 0]])
    assert not softmax(config, x, np.zeros(x.shape, bool)).any()


@pytest.mark.parametrize("normalise", ["before_pv", "after_pv"])
def test_one_element_has_the_largest_result(normalise: str) -> None:
    for bits in (8, 16):
        config = _config("online", normalise=normalise, out_bits=bits)
        for q in (config.logit.low, 0, config.logit.high):
            assert softmax(config, np.array([[q]]), np.ones((1, 1), bool))[0, 0] == (1 << bits) - 1


@pytest.mark.parametrize("variant", [v for v in OWN if v not in ("twopass_ext", "online")])
def test_the_order_of_elements_within_a_beat_does_not_matter(variant: str) -> None:
    rng = np.random.default_rng(9)
    config = _config(variant, lanes=8)
    x = rng.integers(-100, 100, (20, 8))
    order = rng.permutation(8)
    y = softmax(config, x, _all(x))[:, :8]
    np.testing.assert_array_equal(softmax(config, x[:, order], _all(x))[:, :8], y[:, order])


def test_all_differences_of_bytes() -> None:
    """Every pair of INT8 logits: the result is the correctly rounded one."""
    config = SoftmaxConfig(variant="table_exact", **BYTES)
    q = np.arange(-128, 128)
    x = np.stack(np.meshgrid(q, q), axis=-1).reshape(-1, 2)
    want = np.minimum(np.rint(exact(config, x, _all(x)) * 256), 255)
    np.testing.assert_array_equal(softmax(config, x, _all(x)), want)


def test_unified_max_says_which_rows_were_out_of_reach() -> None:
    config = SoftmaxConfig(variant="unified_max", phi=4, span=6)
    octave = float(1 / config.octave_step)
    tops = np.array([5.2, 4.5, 0.0, -1.9, -2.3])
    x = np.round(tops[:, None] * octave + np.zeros((1, 3))).astype(np.int64)
    np.testing.assert_array_equal(softmax(config, x, _all(x))[:, -1], [1, 0, 0, 0, 1])


def test_factors_of_late_normalisation_are_the_row_sums() -> None:
    rng = np.random.default_rng(2)
    config = SoftmaxConfig(normalise="after_pv", out_bits=16)
    x = rng.integers(-1500, 1500, (50, 37))
    result = softmax(config, x, _all(x))
    p = result[:, :37] * result[:, -2:-1] / 2.0 ** result[:, -1:]
    np.testing.assert_allclose(p, exact(config, x, _all(x)), rtol=0, atol=2.0**-16)


def test_causal_rows_see_what_came_before() -> None:
    config = SoftmaxConfig(longest=16)
    rng = np.random.default_rng(1)
    logits = rng.integers(-300, 300, (5, 7))
    results = CORE.golden(config, causal(config, logits, offset=2))
    for i, result in enumerate(results):
        seen = min(i + 3, 7)
        alone = CORE.golden(config, [Row.checked(config, logits[i, :seen])])[0]
        np.testing.assert_array_equal(result[:seen], alone)
        assert not result[seen:].any()


def test_reciprocals_of_every_mantissa() -> None:
    for bits in (8, 16):
        for method in ("newton", "divider"):
            config = SoftmaxConfig(out_bits=bits, reciprocal=method)
            f = config.reciprocal_bits
            rng = np.random.default_rng(4)
            total = np.concatenate(
                [np.arange(1 << f, (1 << f) + 4096), rng.integers(1 << f, 2 << f, 4096), [1, 2, 3]]
            )
            r, k = reciprocal(config, total, f)
            error = r * 2.0 ** (-f - k) * (total * 2.0**-f) - 1
            assert np.abs(error).max() < 2.0 ** (1 - f)
            assert ((r >= 1 << (f - 1)) & (r <= 1 << f)).all()


@pytest.mark.parametrize("value", [0, 1, 2, 3, 5, (1 << 53) - 1, 1 << 53, (1 << 61) - 1])
def test_exact_integer_helpers(value: int) -> None:
    assert top_bit(np.array([value]))[0] == max(value.bit_length() - 1, 0)
    for places in (0, 1, 7, 40, 61, 200):
        want = math.floor(Fraction(value, 1 << places) + Fraction(1, 2))
        assert round_shift(np.array([value]), places)[0] == (want if places <= 62 else 0)


def test_softermax_is_what_its_paper_says() -> None:
    """Two elements by hand: UQ(1,15) powers of two of quarters, UQ(10,6) sum, UQ(1,7) reciprocal and result."""
    config = _config("softermax")
    x = np.array([[8, 0]])  # one and zero
    result = softmax(config, x, _all(x))[0] / 256
    want = np.exp2(np.array([1.5, 0]))  # 1.44 octaves as quarters
    np.testing.assert_allclose(result, want / want.sum(), atol=3 / 128)


def test_sole_and_ita_give_powers_of_two_times_a_constant() -> None:
    rng = np.random.default_rng(6)
    for variant in ("sole", "ita"):
        config = _config(variant)
        x = rng.integers(-30, 30, (40, 16))
        y = softmax(config, x, _all(x))
        for row in y:
            some = row[row > 0]
            assert all((int(some.max()) >> k) in range(int(some.max()) + 1) for k in range(8))
            assert {int(v) for v in some} <= {int(some.max()) >> k for k in range(9)}
