"""Every refusal with its sentence, the digest, callables, and the numbers that follow from a configuration."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from hwgen.cores.activation import CORE, ActivationConfig, Formats, Vector
from hwgen.cores.activation.accuracy import accuracy
from hwgen.cores.activation.design import design
from hwgen.errors import BadInput

Q3_12: dict[str, Any] = {"in_bits": 16, "in_fraction": 12, "out_bits": 16, "out_fraction": 12}
OCTAVE: dict[str, Any] = {"variant": "delta_octave", **Q3_12}
NAMES = "gelu, gelu_tanh, quick_gelu, silu, sigmoid, tanh, exp, exp2, reciprocal, rsqrt, custom"
VARIANTS = (
    "table, delta_uniform, delta_octave, delta_quad, uniform, octave, quad, ibert, sigmoid1702, cheapest"
)

REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"function": "mish"}, f"function must be one of {NAMES}, not 'mish'"),
    ({"variant": "rom"}, f"variant must be one of {VARIANTS}, not 'rom'"),
    ({"in_bits": 3}, "in_bits must be an integer in 4..20, not 3"),
    ({"in_bits": 21}, "in_bits must be an integer in 4..20, not 21"),
    ({"out_bits": 25}, "out_bits must be an integer in 2..24, not 25"),
    ({"in_fraction": -9}, "in_fraction must be an integer in -8..24, not -9"),
    ({"out_fraction": 2.0}, "out_fraction must be an integer in -8..24, not 2.0"),
    ({"in_signed": 1}, "in_signed must be true or false, not 1"),
    ({"lanes": 33}, "lanes must be an integer in 1..32, not 33"),
    ({"guard": 21}, "guard must be an integer in 0..20, not 21"),
    ({"scale": "0"}, "scale must be a number such as 0.125 or -1/8, and not zero; it is '0'"),
    ({"scale": "1e999999999"}, "scale must be a number such as 0.125 or 1/8, not '1e999999999'"),
    (
        {"scale": "1e-999999999"},
        "scale must be a number such as 0.125 or -1/8, and not zero; it is '1e-999999999'",
    ),
    ({"scale": "nan"}, "scale must be a number such as 0.125 or 1/8, not 'nan'"),
    ({"variant": "cheapest", "max_error": "-1"}, "max_error must be positive, not -1"),
    ({"scale": "pi"}, "scale must be a number such as 0.125 or 1/8, not 'pi'"),
    (
        {"in_bits": 13},
        "the variant table takes arguments of at most 12 bits, not 13; choose a piecewise one",
    ),
    ({"steps": "77"}, "the variant table has an entry per argument: leave steps and guard empty"),
    (
        {"variant": "octave"},
        "gelu has the variants table, delta_uniform, delta_octave, delta_quad, ibert, sigmoid1702, not octave",
    ),
    (
        {"function": "silu", "variant": "ibert"},
        "silu has the variants table, delta_uniform, delta_octave, delta_quad, not ibert",
    ),
    (
        {"variant": "ibert", "in_fraction": 9, "guard": 2},
        "the variant ibert has one parabola: leave steps and guard empty",
    ),
    (
        {"variant": "ibert"},
        "ibert needs arguments in steps of 1/16384 to 1/256, because it always drops 14 bits of its parabola, not "
        "1/16; choose other fraction bits or another scale",
    ),
    (
        {"variant": "ibert", **Q3_12, "scale": "-1/2"},
        "ibert needs arguments in steps of 1/16384 to 1/256, because it always drops 14 bits of its parabola, not "
        "-1/8192; choose other fraction bits or another scale",
    ),
    (
        {"variant": "sigmoid1702", "scale": "1/2"},
        "sigmoid1702 needs scale 1, because x itself is a factor of the result, not 1/2; choose the variant table, "
        "or other fraction bits",
    ),
    (
        {"variant": "sigmoid1702", "in_fraction": 0, "out_fraction": 20, "saturate": True},
        "sigmoid1702 has at most 15 fraction bits of results for 0 of arguments, not 20; choose the variant table",
    ),
    (
        {"variant": "cheapest"},
        "max_error is for the variant cheapest, and that one needs it: give both or neither",
    ),
    (
        {"max_error": "0.1"},
        "max_error is for the variant cheapest, and that one needs it: give both or neither",
    ),
    (
        {"variant": "cheapest", "max_error": "none"},
        "max_error must be a number such as 0.125 or 1/8, not 'none'",
    ),
    (
        {"variant": "cheapest", "max_error": "0.1", "steps": "77"},
        "the variant cheapest chooses steps and guard of a function with a name; leave them and table empty",
    ),
    (
        {"function": "exp", "variant": "octave"},
        "exp has the variants table, uniform, quad, not octave",
    ),
    (
        {"function": "custom"},
        "a custom function comes as a table, without steps and guard, and no other one does; make it by "
        "ActivationConfig.of_callable",
    ),
    (
        {"function": "custom", "table": "knots;1;x"},
        "table must be a text that ActivationConfig.of_callable wrote",
    ),
    (
        {"out_fraction": 5},
        "gelu is 3.99987 at 4, but s8 with 5 fraction bits holds -4..3.96875; choose a wider format, or set "
        "saturate=true",
    ),
    (
        {"function": "reciprocal", "in_signed": False},
        "reciprocal is inf at 0, but s8 with 4 fraction bits holds -8..7.9375; choose a wider format, or set "
        "saturate=true",
    ),
    (
        {"function": "rsqrt", "saturate": True},
        "rsqrt is not a number at -8; every argument of s8 with 4 fraction bits must have a result",
    ),
    (
        {"function": "reciprocal", "variant": "quad", "saturate": True},
        "reciprocal by pieces takes unsigned arguments and scale 1; set in_signed=false and scale=1, or choose the "
        "variant table",
    ),
    (
        {**OCTAVE, "scale": "1/2"},
        "delta_octave needs scale 1, because max(x, 0) goes to the result as it is, not 1/2; choose the variant "
        "table, or other fraction bits",
    ),
    (
        {"function": "tanh", "variant": "quad", "scale": "-1"},
        "scale must be positive for quad, not -1; choose the variant table",
    ),
    (
        {"function": "exp2", "variant": "quad", "scale": "-99999999", "saturate": True},
        "the exponents of neighbouring arguments are 6.25e+06 apart, which leaves no fraction for a table; choose "
        "the variant table, or more fraction bits than 4",
    ),
    (
        {"function": "exp", "variant": "quad", "in_signed": False, "scale": "-1", "out_fraction": 0},
        "the largest result has 0 bits; give more fraction bits, or choose the variant table",
    ),
]


@pytest.mark.parametrize(("parameters", "sentence"), REFUSALS, ids=lambda x: str(x)[:40])
def test_a_bad_parameter_is_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        ActivationConfig(**parameters)


STEPS: list[tuple[str, str, str]] = [
    (
        "delta_octave",
        "78",
        "steps must be step:stop with commas between, such as 1/32:1,1/16:3, or one of the variant's presets "
        "(19, 37, 77, 109), not '78'",
    ),
    ("delta_octave", "1/32:a", "steps must be step:stop with commas between"),
    ("delta_octave", "1/0:1", "steps must be step:stop with commas between"),
    (
        "delta_octave",
        "1/8192:1",
        "a step must be a power of two of at least 1/2048 (two arguments), not 1/8192",
    ),
    ("delta_octave", "3/32:3", "a step must be a power of two of at least 1/2048 (two arguments), not 3/32"),
    (
        "delta_octave",
        "1/4:1.1",
        "the region of step 1/4 must begin and end at multiples of its step, not at 11/10",
    ),
    (
        "delta_octave",
        "1/32:1.125,1/4:2",
        "the region of step 1/4 must begin and end at multiples of its step",
    ),
    ("delta_uniform", "1/32:1,1/16:3", "the variant delta_uniform has one step, not '1/32:1,1/16:3'"),
]


@pytest.mark.parametrize(("variant", "steps", "sentence"), STEPS)
def test_segments_that_cannot_be_are_refused(variant: str, steps: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=re.escape(sentence)):
        ActivationConfig(variant=variant, steps=steps, **Q3_12)


def test_settings_are_read() -> None:
    texts = {"function": "silu", "variant": "delta_octave", "in_bits": "16", "in_fraction": "12"}
    texts |= {"out_bits": "0x10", "out_fraction": "12", "lanes": "2", "saturate": "yes"}
    told = ActivationConfig(function="silu", variant="delta_octave", lanes=2, saturate=True, **Q3_12)
    assert ActivationConfig.from_settings(texts) == told


def test_the_variant_cheapest_becomes_what_it_stands_for() -> None:
    """From texts, as the command line gives them; the configuration is then that of the design, digest and all."""
    texts = {"variant": "cheapest", "max_error": "1/512", "in_bits": "12", "in_fraction": "8"}
    config = ActivationConfig.from_settings({**texts, "out_bits": "12", "out_fraction": "8", "lanes": "3"})
    formats = Formats(in_bits=12, in_fraction=8, out_bits=12, out_fraction=8)
    assert config == design("gelu", formats, 1 / 512, lanes=3)
    assert config.variant != "cheapest"
    assert config.max_error == ""
    assert config == ActivationConfig(**config.to_dict())
    with pytest.raises(
        BadInput, match=r"^no variant stays within 0\.01; the nearest, table with 2048 table bits"
    ):
        ActivationConfig.from_settings({"variant": "cheapest", "max_error": "0.01"})


CHANGES: dict[str, Any] = {
    "function": "silu", "variant": "delta_quad", "in_bits": 15, "in_fraction": 11, "in_signed": False,
    "out_bits": 18, "out_fraction": 13, "out_signed": False, "steps": "37", "guard": 3, "saturate": True, "lanes": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_every_parameter_is_in_the_digest(name: str) -> None:
    base: dict[str, Any] = {**OCTAVE, "saturate": False}
    if name in ("in_fraction", "in_signed", "out_fraction", "out_signed"):
        base["saturate"] = True
    changed = ActivationConfig(**{**base, name: CHANGES[name]})
    assert changed.digest != ActivationConfig(**base).digest
    assert changed == dataclasses.replace(changed)


def mish(v: Any) -> Any:
    return v * np.tanh(np.log1p(np.exp(v)))


def test_a_callable_leaves_its_integers() -> None:
    """Equal functions give equal digests, in whatever way they are written; the text alone is the function."""
    config = ActivationConfig.of_callable(mish)
    same = ActivationConfig.of_callable(lambda v: mish(v))
    assert config.digest == same.digest
    assert config.digest != ActivationConfig.of_callable(np.sin, saturate=True).digest
    told = ActivationConfig.from_settings({"function": "custom", "table": config.table})
    assert told == config
    assert accuracy(config, mish).ulp <= 0.5
    wide = ActivationConfig.of_callable(mish, variant="octave", steps="1/4:-4,1/16:2,1/4:8", **Q3_12)
    assert accuracy(wide, mish).largest <= 1e-3
    with pytest.raises(BadInput, match=r"give the callable to compare it with$"):
        accuracy(config)


@pytest.mark.parametrize(
    ("function", "settings", "sentence"),
    [
        (np.log, {}, "the function is not a number at -8; every argument of s8"),
        (lambda v: np.where(v == 2.5, np.nan, v), {}, "the function is not a number at 2.5;"),
        (lambda v: 1 / np.abs(v), {"in_fraction": 0}, "the function is inf at 0, but s8 with 4 fraction bits holds"),
        (lambda v: v + 2, {}, "the function is 8 at 6, but s8 with 4 fraction bits holds -8..7.9375; choose a wider"),
        (lambda v: v[:3], {}, "the function must give one result per argument, not shape (3,) for (256,)"),
        (np.sin, {"variant": "quad"}, "the variant quad of a callable needs steps, such as steps='1/4:0,1/2:4'"),
        (np.sin, {"variant": "delta_quad"}, "variant must be one of table, uniform, octave, quad"),
    ],
)  # fmt: skip
def test_callables_that_cannot_be_are_refused(function: Any, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=re.escape(sentence)):
        ActivationConfig.of_callable(function, **settings)


def test_results_saturate_if_asked() -> None:
    config = ActivationConfig.of_callable(lambda v: v + 2, saturate=True)
    y = CORE.values(config, [Vector(np.array([-128, 94, 95, 127]))])[0]
    assert y.tolist() == [-96, 126, 127, 127]
    vertical = ActivationConfig.of_callable(lambda v: 1 / v, saturate=True)
    assert CORE.values(vertical, [Vector(np.array([-1, 0, 1]))])[0].tolist() == [-128, 127, 127]


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        ([], "x must be a vector of at least one element, not of shape (0,)"),
        ([[1, 2]], "x must be a vector of at least one element, not of shape (1, 2)"),
        ([1, 128], "x must hold whole numbers in -128..127 (s8), not 128 at index [1]"),
        ([0.5], "x must hold whole numbers in -128..127 (s8), not 0.5 at index [0]"),
    ],
)
def test_vectors_that_the_core_cannot_take_are_refused(x: Any, sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        Vector.checked(ActivationConfig(), x)


def test_arguments_beyond_the_segments_are_clamped() -> None:
    """Results go on from the last segment: x on the right, zero on the left, the bounds of tanh."""
    gelu = ActivationConfig(**OCTAVE)
    x = np.array([-32768, -32767, 32767])
    assert CORE.values(gelu, [Vector(x)])[0].tolist() == [0, 0, 32767]
    tanh = ActivationConfig(function="tanh", variant="quad", **{**Q3_12, "in_fraction": 9})
    assert CORE.values(tanh, [Vector(x)])[0].tolist() == [-4096, -4096, 4096]


def test_presets_are_for_any_format() -> None:
    """Steps of a preset that are shorter than two arguments become two; those asked for are refused."""
    config = ActivationConfig(variant="delta_octave")
    assert config.pieces.regions[0].step_bits == 1
    assert accuracy(config).ulp <= 1.0


def test_supported_configurations_are_named_after_what_they_are() -> None:
    for name, config in CORE.supported.items():
        assert name.startswith("activation_")
        assert isinstance(config.formats, Formats)
        assert CORE.tile(config, np.random.default_rng(0))[0].macs == 0
