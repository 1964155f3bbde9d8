"""Golden model = simulator = Verilog: values, and the cycle of every beat, under four flow-control regimes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwgen.cores.activation import CORE, ActivationConfig, Vector
from hwgen.cores.activation.lane import Lane
from hwgen.cores.activation.values import all_results
from hwgen.emit import emit
from hwgen.verify.block import Block
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import REGIMES, Stimulus

Q3_12: dict[str, Any] = {"in_bits": 16, "in_fraction": 12, "out_bits": 16, "out_fraction": 12}
UNSIGNED: dict[str, Any] = {"in_signed": False, "out_signed": False, "saturate": True}
EXP: dict[str, Any] = {
    "in_signed": False,
    "out_signed": False,
    "out_bits": 18,
    "out_fraction": 17,
    "scale": "-1",
}

CONFIGURATIONS: dict[str, ActivationConfig] = {
    "gelu_int8": ActivationConfig(lanes=3),
    "gelu_octave": ActivationConfig(variant="delta_octave", lanes=2, **Q3_12),
    "gelu_quad_clamped": ActivationConfig(
        variant="delta_quad", in_bits=16, in_fraction=12, out_bits=8, out_fraction=5, saturate=True
    ),
    "exp_falling": ActivationConfig(function="exp2", variant="uniform", in_bits=17, in_fraction=12, **EXP),
    "rsqrt_quad": ActivationConfig(
        function="rsqrt", variant="quad", in_bits=14, in_fraction=9, out_bits=12, out_fraction=9, **UNSIGNED
    ),
    "gelu_edge_moe": ActivationConfig(variant="delta_uniform", **Q3_12),
    "tanh_octave": ActivationConfig(
        function="tanh", variant="octave", lanes=3, **{**Q3_12, "out_fraction": 14}
    ),
    "gelu_ibert": ActivationConfig(variant="ibert", lanes=3, **Q3_12),
    "gelu_sigmoid1702": ActivationConfig(variant="sigmoid1702", lanes=5, **Q3_12),
    "callable_octave": ActivationConfig.of_callable(
        np.sin, variant="octave", steps="1/4:-4,1/8:4,1/4:8", in_bits=12, in_fraction=8, out_bits=10,
        out_fraction=8,
    ),
}  # fmt: skip
"""What every run of the tests builds."""

MORE: dict[str, ActivationConfig] = {
    "gelu_int4": ActivationConfig(in_bits=4, in_fraction=2, out_bits=4, out_fraction=2, lanes=32),
    "gelu_ibert_unsigned": ActivationConfig(
        variant="ibert", in_bits=20, in_fraction=14, in_signed=False, out_bits=24, out_fraction=17, saturate=True
    ),
    "gelu_ibert_coarse": ActivationConfig(
        variant="ibert", in_bits=12, in_fraction=9, scale="7/9", out_bits=8, out_fraction=5, saturate=True
    ),
    "gelu_sigmoid1702_int8": ActivationConfig(variant="sigmoid1702", lanes=4),
    "gelu_sigmoid1702_unsigned": ActivationConfig(
        variant="sigmoid1702", in_bits=12, in_fraction=6, in_signed=False, out_bits=10, out_fraction=8,
        out_signed=False, saturate=True,
    ),
    "gelu_tanh_19": ActivationConfig(function="gelu_tanh", variant="delta_octave", steps="19", **Q3_12),
    "gelu_coarse_arguments": ActivationConfig(
        variant="delta_octave", in_bits=9, in_fraction=5, out_bits=16, out_fraction=11
    ),
    "gelu_unsigned": ActivationConfig(
        variant="delta_quad", in_bits=12, in_fraction=9, in_signed=False, out_bits=13, out_fraction=9
    ),
    "silu_fine_arguments": ActivationConfig(
        function="silu", variant="delta_quad", in_bits=16, in_fraction=12, out_bits=12, out_fraction=8
    ),
    "quick_gelu": ActivationConfig(function="quick_gelu", variant="delta_octave", lanes=5, **Q3_12),
    "sigmoid_u16": ActivationConfig(
        function="sigmoid", variant="octave", in_bits=16, in_fraction=12, out_bits=16, out_fraction=16,
        out_signed=False, saturate=True,
    ),
    "sigmoid_quad": ActivationConfig(function="sigmoid", variant="quad", **{**Q3_12, "out_fraction": 14}),
    "tanh_uniform": ActivationConfig(
        function="tanh", variant="uniform", saturate=True, scale="1/2", **{**Q3_12, "out_fraction": 15}
    ),
    "tanh_quad": ActivationConfig(function="tanh", variant="quad", **{**Q3_12, "out_fraction": 14}),
    "tanh_unsigned_result": ActivationConfig(
        function="tanh", variant="quad", in_bits=10, in_fraction=6, out_bits=9, out_fraction=9,
        out_signed=False, saturate=True,
    ),
    "exp_difference": ActivationConfig(function="exp", in_bits=8, in_fraction=4, lanes=4, **EXP),
    "exp_quad": ActivationConfig(function="exp", variant="quad", in_bits=16, in_fraction=12, **EXP),
    "exp_rising": ActivationConfig(
        function="exp", variant="uniform", in_bits=12, in_fraction=8, out_bits=16, out_fraction=3
    ),
    "exp_overflow": ActivationConfig(
        function="exp", variant="quad", in_bits=12, in_fraction=8, out_bits=10, out_fraction=4, saturate=True
    ),
    "exp2_of_thirds": ActivationConfig(
        function="exp2", variant="quad", in_bits=10, in_fraction=5, scale="1/3", out_bits=14, out_fraction=6
    ),
    "exp2_signed_falling": ActivationConfig(
        function="exp2", variant="uniform", in_bits=10, in_fraction=7, scale="-1", out_bits=12, out_fraction=6
    ),
    "reciprocal_quad": ActivationConfig(
        function="reciprocal", variant="quad", in_bits=16, in_fraction=8, out_bits=16, out_fraction=12, **UNSIGNED
    ),
    "reciprocal_linear": ActivationConfig(
        function="reciprocal", variant="uniform", in_bits=11, in_fraction=3, in_signed=False, out_bits=13,
        out_fraction=11, saturate=True,
    ),
    "rsqrt_linear": ActivationConfig(
        function="rsqrt", variant="uniform", in_bits=9, in_fraction=-2, out_bits=12, out_fraction=14, **UNSIGNED
    ),
    "callable_table": ActivationConfig.of_callable(lambda v: v * np.tanh(np.log1p(np.exp(v))), lanes=2),
    "callable_quad_clamped": ActivationConfig.of_callable(
        lambda v: v**3, variant="quad", steps="1/2:2", in_bits=10, in_fraction=8, out_bits=8, out_fraction=5,
        saturate=True,
    ),
    "callable_unsigned": ActivationConfig.of_callable(
        np.sqrt, variant="octave", steps="1/64:1/4,1/8:4", in_bits=10, in_fraction=8, in_signed=False,
        out_bits=9, out_fraction=7, out_signed=False,
    ),
}  # fmt: skip
"""What only the long run of the tests builds."""

ALL = {**CONFIGURATIONS, **MORE}


def check(config: ActivationConfig, agree: Callable[..., None]) -> None:
    """All regimes on random vectors, and every argument there is."""
    for i, regime in enumerate(REGIMES):
        agree(config, CORE.random_operations(config, 25, np.random.default_rng([config.in_bits, i])), regime)
    agree(config, [Vector(config.formats.arguments)])


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_three_executors_agree(name: str, agree: Callable[..., None]) -> None:
    check(CONFIGURATIONS[name], agree)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_three_executors_agree_on_more(name: str, agree: Callable[..., None]) -> None:
    check(MORE[name], agree)


def test_what_the_host_puts_beside_a_vector_does_not_matter(
    harness: Callable[..., Harness], stimulus: Callable[..., Stimulus]
) -> None:
    """Lanes that are not kept are zero, whatever they hold and wherever they are."""
    config = CONFIGURATIONS["gelu_int8"]
    rng = np.random.default_rng(5)
    ops = [Vector(config.argument.random(rng, (30,)))]
    base = stimulus(config, ops)
    x, keep = config.streams[0].unpack(base.inputs["x"])
    keep = rng.integers(0, 2, keep.shape)
    beats = config.streams[0].pack(x, keep)
    seen = harness(config).run(Stimulus({"x": beats}, base.expected, base.gates, base.lasts))
    y = config.streams[1].unpack(seen.outputs["y"])[0]
    np.testing.assert_array_equal(y, np.where(keep, all_results(config)[x - config.argument.low], 0))


@pytest.mark.parametrize("name", ALL)
def test_the_latency_is_stated(name: str) -> None:
    """Of the lane in Verilog: the registers on the way from x to y, by the cycle model's number."""
    config = ALL[name]
    told = CORE.timing(config).free([Vector(np.zeros(1, np.int64))])
    assert told.cycles == config.latency + 2
    assert CORE.characteristics(config)["latency_cycles"] == config.latency + 1
    losses = CORE.timing(config).losses(Vector(np.zeros(config.lanes + 1, np.int64)))
    assert sum(losses.values()) == pytest.approx(config.latency + 3)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_verilog_is_for_people(name: str) -> None:
    config = CONFIGURATIONS[name]
    emission = Block(CORE, config).emission
    names = {"activation", "activation_lane", "activation_lane_pieces", "activation_pieces"}
    assert set(emission.modules) - {"activation_elastic_y", "activation_fifo_y_out"} <= names
    assert not re.search(r"\[-1:0\]|if \(1'h[01]\)", emission.verilog)
    assert (
        emission.verilog == emit(CORE.component(config), "activation", {}).verilog
        or "digest" in emission.verilog
    )


def test_lanes_of_equal_configurations_are_one_module() -> None:
    text = emit(Lane(CONFIGURATIONS["gelu_octave"]), "lane", {}).verilog
    assert text.count("module lane_pieces(") == 1
