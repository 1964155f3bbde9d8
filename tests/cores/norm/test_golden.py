"""The golden model against exact arithmetic, crfix and onnxruntime, and the errors that it may have."""

from __future__ import annotations

from typing import Any

import crfix
import mpmath
import numpy as np
import numpy.typing as npt
import onnx
import pytest

from hwgen.cores.norm import CORE, NormConfig, Parameters, Row
from hwgen.cores.norm.golden import line, normalise, reciprocal_root
from hwgen.cores.norm.rsqrt import error_bound, table
from hwgen.numerics import IntArray
from hwgen.workloads.minilm_norm import load_norms
from hwgen.workloads.onnx_reference import cpu_session

ONE = 2.0**-NormConfig.NORMALISED_FRACTION
GOALS = {1: 1.5e-4, 2: 3e-6}
FLOAT = npt.NDArray[np.float64]
FORMS = [(form, in_bits, terms) for form in ("layer", "rms") for in_bits in (8, 16) for terms in range(3)]


def truth(config: NormConfig, x: IntArray, keep: npt.NDArray[np.bool_], eps: int) -> FLOAT:
    """In float64 from exact integers."""
    x = np.where(keep, x, 0)
    n, s1, s2 = keep.sum(1, keepdims=True), x.sum(1, keepdims=True), (x * x).sum(1, keepdims=True)
    if config.form == "rms":
        s1 = np.zeros_like(s1)
    variance = n * s2 - s1 * s1
    spread = variance + n * n * (eps * 2.0**-config.eps_fraction)
    y = np.zeros(x.shape)
    np.divide(n * x - s1, np.sqrt(spread), out=y, where=np.broadcast_to(variance > 0, x.shape))
    return y


def rows(config: NormConfig, rng: np.random.Generator) -> dict[str, IntArray]:
    """Rows by what is hard about them."""
    form, n = config.element, config.longest
    ends = [form.low, form.high]
    level = rng.integers(form.low + 1, form.high, (60, 1))
    nearly, outlier = np.repeat(level, n, 1), np.repeat(level, n, 1)
    nearly[np.arange(60), rng.integers(n, size=60)] += rng.choice([-1, 1], 60)
    outlier[np.arange(60), rng.integers(n, size=60)] = rng.choice(ends, 60)
    spread = 2.0 ** rng.uniform(-1, config.in_bits - 2, (200, 1))
    normal = rng.normal(rng.uniform(form.low / 2, form.high / 2, (200, 1)), spread, (200, n))
    return {
        "normal": np.clip(np.rint(normal), form.low, form.high).astype(np.int64),
        "one differs by one": nearly,
        "one outlier": outlier,
        "alternating ends": np.resize(np.array(ends), (1, n)),
        "constant": np.repeat(np.array([*ends, 0, 1, -1])[:, None], n, 1),
        "uniform": rng.integers(form.low, form.high, (60, n), endpoint=True),
    }


@pytest.mark.parametrize("longest", [1, 2, 15, 384, 4096])
@pytest.mark.parametrize(("form", "in_bits", "terms"), FORMS)
def test_errors_stay_below_their_bound(form: str, in_bits: int, terms: int, longest: int) -> None:
    config = NormConfig(form=form, in_bits=in_bits, terms=terms, longest=longest)
    bound = error_bound(config)
    assert bound <= GOALS.get(terms, 0.02)
    rng = np.random.default_rng([in_bits, terms, longest])
    for name, x in rows(config, rng).items():
        for eps in (0, 1, 1000, config.EPS.high):
            keep = np.ones(x.shape, np.bool_) if eps else rng.random(x.shape) < 0.8
            y = normalise(config, x, keep, eps) * ONE
            error = np.abs(y - truth(config, x, keep, eps))[keep].max(initial=0.0)
            assert error <= bound, (name, eps)
            assert np.abs(y[keep]).max(initial=0.0) < 2 ** (config.normalised.bits - 1) * ONE


@pytest.mark.parametrize("terms", [0, 1])
def test_every_mantissa(terms: int) -> None:
    """All 2**14 of the table, all 2**24 of a Newton step, both parities of the exponent."""
    config = NormConfig(terms=terms)
    bits = config.mantissa_bits
    worst = [0.0, 0.0]
    for parity in (0, 1):
        for start in range(1 << (bits - 1), 1 << bits, 1 << 20):
            stop = min(start + (1 << 20), 1 << bits)
            mantissas = np.arange(start, stop, dtype=np.int64)
            # In the middle of the spreads that share the mantissa, above 2**32 and away from its end.
            spread = (mantissas << 8 | 128) << (32 - bits + parity)
            root, k = reciprocal_root(config, spread)
            exact = 1 / np.sqrt(spread.astype(np.float64))
            error = root * 2.0**-config.root_fraction * 2.0**-k / exact - 1
            worst = [min(worst[0], float(error.min())), max(worst[1], float(error.max()))]
    limit = {0: 3e-4, 1: 2.2e-7}[terms]
    assert max(-worst[0], worst[1]) <= limit


def test_the_series_replaces_a_second_newton_step() -> None:
    config = NormConfig(terms=2)
    rng = np.random.default_rng(1)
    spread = rng.integers(1 << 61, 1 << 62, 2_000_000) >> rng.integers(0, 62, 2_000_000)
    spread = np.maximum(spread, 1)
    root, k = reciprocal_root(config, spread)
    error = root * 2.0**-config.root_fraction * 2.0**-k * np.sqrt(spread.astype(np.float64)) - 1
    assert np.abs(error).max() <= 6e-9


def test_the_root_against_many_digits() -> None:
    config = NormConfig(terms=2, in_bits=16, longest=4096)
    rng = np.random.default_rng(2)
    with mpmath.workdps(40):
        for _ in range(300):
            spread = int(rng.integers(1, 1 << 62)) >> int(rng.integers(0, 61)) or 1
            root, k = (int(v[0]) for v in reciprocal_root(config, np.array([spread])))
            exact = 1 / mpmath.sqrt(spread)
            assert abs(mpmath.mpf(root) / 2 ** (config.root_fraction + k) / exact - 1) < 6e-9


def test_the_table_fits_its_hardware() -> None:
    assert table().out.bits == NormConfig.TABLE_FRACTION
    assert not table().out.signed
    assert table().latency == NormConfig.TABLE_LATENCY


@pytest.mark.parametrize(("form", "in_bits"), [("layer", 8), ("layer", 16), ("rms", 8), ("rms", 16)])
def test_formats_hold_the_extremes(form: str, in_bits: int) -> None:
    for longest in (*range(1, 70), 255, 256, 257, 1023, 1024, 1025, 4095, 4096):
        config = NormConfig(form=form, in_bits=in_bits, longest=longest, terms=2)
        kinds = rows(config, np.random.default_rng(longest))
        x = np.concatenate([kind[:6] for kind in kinds.values()])
        keep = np.ones(x.shape, np.bool_)
        found = line(config, x, keep, 0)
        assert found.slope.max() < 1 << config.slope.bits
        squares, total = np.square(x).sum(1), x.sum(1)
        assert squares.max() < 1 << config.squares.bits
        assert config.sum.low <= total.min()
        assert total.max() <= config.sum.high
        assert (longest * squares).max() < 1 << config.variance.bits
        spread = ((longest * squares) << config.eps_fraction) + longest**2 * config.EPS.high
        assert spread.max() < 1 << 63


@pytest.mark.parametrize("form", ["layer", "rms"])
def test_a_row_counts_only_what_is_kept(form: str) -> None:
    config = NormConfig(form=form, lanes=4, longest=64, out_bits=16, gamma_fraction=3)
    rng = np.random.default_rng(3)
    x, keep = config.element.random(rng, (1, 64)), rng.random((1, 64)) < 0.5
    short = normalise(config, x[keep][None], np.ones((1, keep.sum()), np.bool_), 7)
    np.testing.assert_array_equal(normalise(config, x, keep, 7)[keep], short[0])
    other = np.where(keep, x, config.element.random(rng, (1, 64)))
    np.testing.assert_array_equal(normalise(config, other, keep, 7)[keep], short[0])
    empty = Row(x[0], np.zeros(64, np.bool_), Parameters(np.full(64, 1), np.full(64, 1000), 0))
    assert not CORE.golden(config, [empty])[0].any()


def test_a_constant_row_is_its_offset() -> None:
    config = NormConfig(lanes=4, longest=64)
    for eps in (0, 1):
        load = Parameters(np.full(8, 1 << 10), np.arange(8) << config.BETA_FRACTION, eps)
        (y,) = CORE.golden(config, [Row(np.full(8, 55), np.ones(8, np.bool_), load)])
        assert y.tolist() == list(range(8))


@pytest.mark.parametrize(("in_bits", "terms"), [(8, 1), (8, 2), (16, 1), (16, 2)])
def test_crfix_agrees(in_bits: int, terms: int) -> None:
    """Its LayerNorm is correctly rounded; ours is as near to it as the bound says, and half a unit."""
    config = NormConfig(terms=terms, longest=384, in_bits=in_bits)
    for name, x in rows(config, np.random.default_rng(4)).items():
        for eps in (0, 1, 12345):
            theirs = crfix.layernorm(x, 0, config.NORMALISED_FRACTION, eps=eps, fe=config.eps_fraction)
            ours = normalise(config, x, np.ones(x.shape, np.bool_), eps)
            assert np.abs(ours - theirs).max() * ONE <= error_bound(config) + ONE / 2, (name, eps)


def _onnxruntime(x: npt.NDArray[np.float32], gamma: Any, beta: Any, eps: float) -> npt.NDArray[np.float32]:
    types = onnx.TensorProto
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("LayerNormalization", ["x", "gamma", "beta"], ["y"], epsilon=eps)],
        "norm",
        [onnx.helper.make_tensor_value_info("x", types.FLOAT, x.shape)],
        [onnx.helper.make_tensor_value_info("y", types.FLOAT, x.shape)],
        [onnx.numpy_helper.from_array(v, name) for v, name in ((gamma, "gamma"), (beta, "beta"))],
    )
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    (y,) = cpu_session(model.SerializeToString()).run(None, {"x": x})
    return y  # type: ignore[no-any-return]


@pytest.mark.parametrize(("in_bits", "out_bits", "gamma_fraction"), [(8, 8, 10), (16, 16, 3)])
def test_real_rows_against_onnxruntime(in_bits: int, out_bits: int, gamma_fraction: int) -> None:
    """Every LayerNorm of MiniLM: the same integers through onnxruntime's float operator."""
    config = NormConfig(
        longest=384, in_bits=in_bits, out_bits=out_bits, terms=2, gamma_fraction=gamma_fraction
    )
    for problem in load_norms():
        scale = float(np.abs(problem.x).max()) / config.element.high
        out_scale = float(np.abs(problem.reference).max()) / config.result.high
        x = np.rint(problem.x / scale).astype(np.int64)
        load = Parameters.of_reals(
            config, problem.gamma, problem.beta, eps=problem.eps, in_scale=scale, out_scale=out_scale
        )
        keep = np.ones(384, np.bool_)
        ops = [Row.checked(config, row, keep, None if i else load) for i, row in enumerate(x)]
        got = np.array(CORE.golden(config, ops)) * out_scale
        want = _onnxruntime((x * scale).astype(np.float32), problem.gamma, problem.beta, problem.eps)
        # Half a unit of the result, what rounding the factor costs, and onnxruntime's own error.
        factor = 20 * 2.0 ** -(gamma_fraction + 1)
        assert np.abs(got - want).max() <= out_scale * (0.51 + factor) + 5e-5, problem.name
        normalised = normalise(config, x, np.ones(x.shape, np.bool_), load.eps) * ONE
        plain = _onnxruntime(
            (x * scale).astype(np.float32), np.ones(384, np.float32), np.zeros(384, np.float32), problem.eps
        )
        assert np.abs(normalised - plain).max() < 5e-5, problem.name
