"""Accelerators whose requantiser is onnxruntime's: layers equal QLinearConv bit for bit, sums beyond 2**24 included."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwgen.compile.compiler import compile_network
from hwgen.compile.network import LayerData, Network, Requantiser, random_input, random_network
from hwgen.compile.reference import run
from hwgen.errors import BadInput
from hwgen.parts.requantise.scales import ort_constants
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.system.values import Values
from hwgen.workloads.layers import INPUT, Layer, Workload
from hwgen.workloads.onnx_qlinear import QLinearProduct

SETTINGS: dict[str, Any] = {"act_words": 4096, "acc_words": 2048, "weight_words": 1024}
SIDE, CHANNELS, KERNELS = 12, 16, 24


def _convolution(rng: np.random.Generator, *, large: bool) -> QLinearProduct:
    """3 × 3, signed; with large biases most sums are beyond what a float32 holds exactly."""
    a = rng.integers(-128, 128, (1, CHANNELS, SIDE, SIDE)).astype(np.int8)
    b = rng.integers(-128, 128, (KERNELS, CHANNELS, 3, 3)).astype(np.int8)
    bias = rng.integers(-(1 << 29), 1 << 29, KERNELS) if large else rng.integers(-5000, 5000, KERNELS)
    zero = np.zeros(KERNELS, np.int64)
    one = np.float32(1)
    made = QLinearProduct(
        "QLinearConv", a, b, bias, int(rng.integers(-20, 20)), zero, int(rng.integers(-20, 20)),
        np.float32(rng.uniform(0.01, 0.1)), np.ones(KERNELS, np.float32), one,
    )  # fmt: skip
    size = np.abs(made.sums()).max(axis=0)
    return replace(made, b_scale=(100 / size / made.a_scale).astype(np.float32))


def _network(made: QLinearProduct) -> Network:
    """The same as a layer; its bias makes up for the input's zero point."""
    layer = Layer(
        "conv", "conv", inputs=(INPUT,), out_channels=KERNELS, kernel=(3, 3), stride=(1, 1), pad=(1, 1, 1, 1)
    )
    weight = made.b.astype(np.int64).transpose(2, 3, 1, 0)
    bias = made.bias - made.a_zero * weight.sum(axis=(0, 1, 2))
    multiplier, shift = ort_constants(made.a_scale, made.b_scale, made.y_scale)
    requantiser = Requantiser(bias, multiplier, shift, made.y_zero, rounding="ort")
    workload = Workload(name="conv", layers=(layer,), input_shape=(SIDE, SIDE, CHANNELS))
    return Network(workload, {"conv": LayerData(requantiser, weight)}, {INPUT: made.a_zero})


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_convolution_equals_onnxruntime(seed: int, large: bool) -> None:
    made = _convolution(np.random.default_rng(seed), large=large)
    network = _network(made)
    image = made.a[0].astype(np.int64).transpose(1, 2, 0)
    want = made.run().reshape(SIDE, SIDE, KERNELS)
    assert (np.abs(made.sums()) > 1 << 24).mean() > 0.5 or not large
    np.testing.assert_array_equal(run(network, {INPUT: image})["conv"], want)
    config = SystemConfig(requantiser="ort", **SETTINGS)
    compiled = compile_network(config, network)
    dram = compiled.memory({INPUT: image})
    machine = Machine(config, dram)
    machine.run(compiled.program.instructions)
    np.testing.assert_array_equal(compiled.results(machine.dram)["conv"], want)
    values = Values(config, dram[None].copy())
    values.run(compiled.program.instructions)
    np.testing.assert_array_equal(values.dram[0], machine.dram)


def test_another_rounding_is_refused() -> None:
    network = _network(_convolution(np.random.default_rng(0), large=False))
    with pytest.raises(
        BadInput,
        match=r"^layer 'conv' rounds ort, and the accelerator's requantiser \(nearest\) half_even or half_away; use "
        r"Network\.rounded, or an accelerator with another requantiser\.$",
    ):
        compile_network(SystemConfig(**SETTINGS), network)


@pytest.mark.parametrize("mode", ["single", "ort"])
def test_rounded_networks_fit_every_accelerator(mode: str) -> None:
    config = SystemConfig(requantiser=mode, **SETTINGS)
    network = random_network(_network(_convolution(np.random.default_rng(0), large=False)).workload, 1)
    compiled = compile_network(config, network.rounded(config.roundings[0]))
    image = random_input(network, None, (SIDE, SIDE, CHANNELS), 2)
    machine = Machine(config, compiled.memory({INPUT: image}))
    machine.run(compiled.program.instructions)
    want = run(compiled.network, {INPUT: image})["conv"]
    np.testing.assert_array_equal(compiled.results(machine.dram)["conv"], want)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"requantiser": "tflite"}, "requantiser must be one of nearest, single, ort, not 'tflite'"),
        ({"requantiser": "ort", "scale_bits": 16}, r"scale_bits must be an integer in 24\.\.24, not 16"),
        (
            {"requantiser": "ort", "softmax_words": 4},
            "softmax takes logits of 16 bits, which requantiser=ort does not give; set requantiser=nearest",
        ),
    ],
)
def test_bad_accelerators_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{sentence}$"):
        SystemConfig(**settings)
