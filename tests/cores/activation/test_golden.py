"""The golden model against fractions, against crfix and mpmath, and its errors over every argument."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import floor
from typing import Any

import crfix
import mpmath
import numpy as np
import pytest

from hwgen.cores.activation import CORE, ActivationConfig, Vector
from hwgen.cores.activation.accuracy import accuracy
from hwgen.cores.activation.functions import FUNCTIONS, FloatArray
from hwgen.cores.activation.values import all_results
from hwgen.numerics import IntArray

Q3_12: dict[str, Any] = {"in_bits": 16, "in_fraction": 12, "out_bits": 16, "out_fraction": 12}
CRFIX = {"reciprocal": "recip"}
FORMATS: list[dict[str, Any]] = [
    {"in_bits": 8, "in_fraction": 4, "out_bits": 8, "out_fraction": 4},
    {"in_bits": 8, "in_fraction": 6, "out_bits": 8, "out_fraction": 7},
    {"in_bits": 12, "in_fraction": 8, "out_bits": 16, "out_fraction": 12},
    {"in_bits": 10, "in_fraction": 3, "out_bits": 16, "out_fraction": 8},
    {"in_bits": 5, "in_fraction": 1, "out_bits": 8, "out_fraction": 3},
    {"in_bits": 11, "in_fraction": 7, "out_bits": 16, "out_fraction": 15},
]


@pytest.mark.parametrize("formats", FORMATS, ids=lambda f: "-".join(map(str, f.values())))
@pytest.mark.parametrize(
    "function", ["gelu", "silu", "sigmoid", "tanh", "exp", "exp2", "reciprocal", "rsqrt"]
)
def test_tables_are_rounded_correctly(function: str, formats: dict[str, Any]) -> None:
    """Every result equals that of crfix, which computes in integers."""
    signed = function not in ("reciprocal", "rsqrt")
    config = ActivationConfig(function=function, in_signed=signed, saturate=True, **formats)
    x = config.formats.arguments.astype(np.int32)
    want = getattr(crfix, CRFIX.get(function, function))(
        x, fin=config.in_fraction, fout=config.out_fraction, bits=config.out_bits
    )
    np.testing.assert_array_equal(all_results(config), want)


MP: dict[str, Callable[[Any], Any]] = {
    "gelu": lambda v: v * mpmath.ncdf(v),
    "gelu_tanh": lambda v: (
        v / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (v + mpmath.mpf("0.044715") * v**3)))
    ),
    "quick_gelu": lambda v: v / (1 + mpmath.exp(-mpmath.mpf("1.702") * v)),
    "silu": lambda v: v / (1 + mpmath.exp(-v)),
    "sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)),
    "tanh": mpmath.tanh,
    "exp": mpmath.exp,
    "exp2": lambda v: mpmath.mpf(2) ** v,
    "reciprocal": lambda v: 1 / v,
    "rsqrt": lambda v: 1 / mpmath.sqrt(v),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_tables_of_scaled_arguments_are_rounded_correctly(function: str) -> None:
    """Against mpmath at 50 digits: arguments a third apart."""
    config = ActivationConfig(
        function=function, in_bits=7, in_fraction=3, in_signed=function not in ("reciprocal", "rsqrt"), scale="1/3",
        out_bits=20, out_fraction=15, saturate=True,
    )  # fmt: skip
    with mpmath.workdps(50):
        for x, y in zip(config.formats.arguments.tolist(), all_results(config).tolist(), strict=True):
            if x == 0 and not config.in_signed:
                assert y == config.result.high
                continue
            exact = MP[function](mpmath.mpf(x) / 24) * 2**config.out_fraction
            assert y == min(int(mpmath.nint(exact)), config.result.high), x


def test_real_functions_are_precise_to_the_last_digits() -> None:
    """What every error is measured against."""
    at = np.concatenate([np.linspace(-12, 12, 97), [1e-3, -1e-3]])
    with mpmath.workdps(150):  # the formulas with tanh cancel
        for name, real in FUNCTIONS.items():
            v = np.abs(at) + 0.01 if name in ("reciprocal", "rsqrt") else at
            want = np.array([float(MP[name](mpmath.mpf(float(t)))) for t in v])
            np.testing.assert_allclose(real.of(v), want, rtol=1e-13, err_msg=name)


def by_definition(config: ActivationConfig, x: int) -> int:
    """A result from the formulas of the README, in fractions; the table's own results are taken as they are."""
    how = config.reduction

    def table(u: int) -> int:
        return int(config.pieces.evaluate(np.array([u]))[0])

    def half_up(value: Fraction) -> int:
        return floor(value + Fraction(1, 2))

    t = min(abs(x), 2**how.in_bits - 1)
    if how.shape == "direct":
        return table(x - config.argument.low)
    if how.shape == "delta":
        relu = Fraction(max(x, 0), 1) / Fraction(2) ** config.in_fraction
        return half_up((relu - Fraction(table(t), 2**how.out_fraction)) * 2**config.out_fraction)
    if how.shape == "odd":
        return table(t) if x >= 0 else -table(t)
    if how.shape == "mirror":
        return 2**config.out_fraction - table(t) if x >= 0 else table(t)
    if how.shape == "product":
        weight = Fraction(table(t), 2**how.out_fraction)
        return half_up(
            Fraction(x, 2**config.in_fraction) * (weight if x < 0 else 1 - weight) * 2**config.out_fraction
        )
    if how.shape == "power":
        exponent = Fraction(half_up(Fraction(x * how.factor, 2**how.drop)), 2**how.in_fraction)
        whole = floor(exponent)
        mantissa = Fraction(table(int((exponent - whole) * 2**how.in_fraction)), 2**how.out_fraction)
        value = mantissa * Fraction(2) ** (-whole if how.falling else whole)
    else:
        if x == 0:
            return config.result.high
        top = x.bit_length() - 1
        u = (x << (config.in_bits - 1 - top)) - (1 << (config.in_bits - 1))
        power = top - config.in_fraction
        if how.shape == "rsqrt":
            u += (power % 2) << (config.in_bits - 1)
            power = power // 2
        value = Fraction(table(u), 2**how.out_fraction) / Fraction(2) ** power
    beyond = value * 2**config.out_fraction > config.result.high + 1
    return config.result.high if beyond else half_up(value * 2**config.out_fraction)


SMALL: list[dict[str, Any]] = [
    {"function": "silu", "variant": "delta_octave"},
    {"function": "gelu", "variant": "delta_quad", "in_fraction": 6, "out_fraction": 4},
    {"function": "gelu", "variant": "delta_quad", "in_fraction": 3, "out_fraction": 5, "saturate": True},
    {"function": "gelu", "variant": "sigmoid1702"},
    {"function": "gelu", "variant": "sigmoid1702", "in_signed": False, "out_fraction": 3, "saturate": True},
    {"function": "tanh", "variant": "octave", "out_fraction": 6},
    {"function": "tanh", "variant": "quad", "out_fraction": 7, "saturate": True},
    {"function": "sigmoid", "variant": "uniform", "out_fraction": 6},
    {"function": "exp", "variant": "quad", "in_fraction": 5, "saturate": True},
    {"function": "exp", "variant": "uniform", "scale": "-1/3", "in_signed": False, "out_fraction": 6},
    {"function": "exp2", "variant": "quad", "scale": "-1", "in_fraction": 6, "out_fraction": 4},
    {"function": "exp2", "variant": "uniform", "scale": "3/7", "saturate": True},
    {"function": "reciprocal", "variant": "quad", "in_signed": False, "saturate": True},
    {"function": "reciprocal", "variant": "uniform", "in_signed": False, "out_signed": False, "saturate": True},
    {"function": "rsqrt", "variant": "quad", "in_signed": False, "saturate": True, "in_fraction": 5},
    {"function": "rsqrt", "variant": "uniform", "in_signed": False, "saturate": True, "in_fraction": -3,
     "out_fraction": 9},
]  # fmt: skip


@pytest.mark.parametrize("settings", SMALL, ids=lambda s: "-".join(map(str, s.values())))
def test_results_are_those_of_the_definition(settings: dict[str, Any]) -> None:
    config = ActivationConfig(**settings)
    want = [by_definition(config, x) for x in config.formats.arguments.tolist()]
    want = np.clip(want, config.result.low, config.result.high).tolist()
    vector = Vector(config.formats.arguments)
    assert CORE.golden(config, [vector])[0].tolist() == want
    assert CORE.values(config, [vector])[0].tolist() == want


def published_ibert(x: IntArray, step: float) -> tuple[FloatArray, float]:
    """I-BERT's GELU with its own names, signs and floors, in float64 (Kim et al., algorithm 2): integers, scale."""
    scale = step / 1.4142
    b, c = np.floor(-1.769 / scale), np.floor(1 / -0.2888 / scale**2)
    erf = np.floor(np.sign(x) * ((np.minimum(np.abs(x), -b) + b) ** 2 + c) / 2**14)
    erf_scale = -0.2888 * scale**2 * 2**14
    return x * (erf + 1.0 // erf_scale), step * erf_scale / 2


@pytest.mark.parametrize("scale", ["1", "7/9"])
@pytest.mark.parametrize("fraction", [9, 12, 13])
def test_ibert_has_its_own_integers(fraction: int, scale: str) -> None:
    """Up to the rounding to our output format; the lowest argument, which I-BERT does not have, excepted."""
    config = ActivationConfig(
        variant="ibert",
        in_bits=16,
        in_fraction=fraction,
        out_bits=24,
        out_fraction=16,
        scale=scale,
        saturate=True,
    )
    x = config.formats.arguments[1:]
    integers, unit = published_ibert(x, float(Fraction(scale)) / 2**fraction)
    wanted = integers * unit * 2**16
    # Half a unit, and half of one in the last place of a factor of 17 bits.
    assert (np.abs(all_results(config)[1:] - wanted) <= 0.5 + np.abs(wanted) * 2.0**-17 + 1e-6).all()


@pytest.mark.parametrize(
    ("settings", "largest", "ulp"),
    [
        ({"variant": "delta_uniform"}, 1.70e-4, 0.70),
        ({"variant": "delta_octave", "steps": "19"}, 9.0e-4, 3.7),
        ({"variant": "delta_octave", "steps": "37"}, 3.2e-4, 1.31),
        ({"variant": "delta_octave", "steps": "77"}, 1.74e-4, 0.72),
        ({"variant": "delta_octave", "steps": "109"}, 1.56e-4, 0.64),
        ({"variant": "delta_quad", "steps": "8"}, 6.4e-4, 2.6),
        ({"variant": "delta_quad", "steps": "16"}, 1.96e-4, 0.81),
        ({"variant": "delta_quad", "steps": "40"}, 1.31e-4, 0.54),
        ({"variant": "ibert"}, 1.86e-2, 75.8),
        ({"variant": "sigmoid1702"}, 2.06e-2, 84.3),
        ({"function": "gelu_tanh", "variant": "delta_octave"}, 1.75e-4, 0.72),
        ({"function": "silu", "variant": "delta_octave"}, 2.5e-4, 1.01),
        ({"function": "quick_gelu", "variant": "delta_octave"}, 1.85e-4, 0.76),
        ({"function": "sigmoid", "variant": "quad"}, 1.6e-4, 0.64),
        ({"function": "tanh", "variant": "octave"}, 1.8e-4, 0.71),
        ({"function": "tanh", "variant": "quad"}, 1.6e-4, 0.64),
    ],
    ids=lambda s: "-".join(map(str, s.values())) if isinstance(s, dict) else "",
)
def test_errors_are_bounded_over_every_argument(settings: dict[str, Any], largest: float, ulp: float) -> None:
    found = accuracy(ActivationConfig(**{**Q3_12, **settings}))
    assert found.largest <= largest
    assert found.ulp <= ulp
    assert found.mean <= found.largest
    assert found.mean_square <= found.largest**2


def test_the_delta_before_rounding_is_that_of_the_figures() -> None:
    """One multiplier: 6e-5 with 1,200 bits. Two: a mean square of 5e-10 on [-4, 4] with 660 bits."""
    one = ActivationConfig(variant="delta_octave", **Q3_12)
    delta = one.reduction.of
    assert one.pieces.max_error(delta, rounded=False) <= 6e-5
    assert one.pieces.table_bits <= 1200
    assert one.multipliers == 1
    two = ActivationConfig(variant="delta_quad", **Q3_12)
    t = np.arange((4 << 12) + 1)  # the delta is even: -4 to 4 is its argument from 0 to 4, twice
    error = two.pieces.unrounded(t) - delta(two.pieces.argument(t))
    assert np.square(error).mean() <= 5e-10
    assert two.pieces.table_bits <= 660
    assert two.multipliers == 2


def test_exponentials_have_the_relative_error_of_the_figures() -> None:
    config = ActivationConfig(
        function="exp2", variant="uniform", in_bits=17, in_fraction=12, in_signed=False, scale="-1", out_bits=18,
        out_fraction=17, out_signed=False,
    )  # fmt: skip
    f = np.arange(1 << 12)
    mantissa = config.pieces.evaluate(f) * 2.0**-17
    assert np.abs(mantissa / np.exp2(-f / 4096) - 1).max() <= 2.4e-4
    eight = ActivationConfig(
        function="exp", in_bits=8, in_fraction=4, in_signed=False, scale="-1", out_bits=18, out_fraction=17,
        out_signed=False,
    )  # fmt: skip
    assert accuracy(eight).largest <= 2.0**-18


def test_int8_gelu_has_no_error_beyond_rounding() -> None:
    assert accuracy(ActivationConfig()).ulp <= 0.5


@pytest.mark.parametrize("function", ["reciprocal", "rsqrt"])
def test_nothing_divided_by_is_the_largest_result(function: str) -> None:
    for variant in ("table", "quad"):
        config = ActivationConfig(
            function=function, variant=variant, in_signed=False, saturate=True, in_bits=10, out_bits=12
        )
        assert all_results(config)[0] == config.result.high
