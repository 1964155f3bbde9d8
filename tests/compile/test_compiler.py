"""Compiled programs give what the layers' mathematics gives, on every shape and every kind of accelerator."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.compile.compiler import compile_network
from hwgen.compile.network import random_network
from hwgen.errors import BadInput
from hwgen.system.config import SystemConfig
from hwgen.workloads.layers import Layer

SMALL = SystemConfig()
BOTH = SystemConfig(lut=True, lut_units=4, lut_width=32)
ACCELERATORS = {
    "dsp": SMALL,
    "both": BOTH,
    "lut": SystemConfig(lut=True, dsp=False, lut_units=3, lut_width=16, lanes=4, bus_bytes=16),
    "wide bus": SystemConfig(lanes=4, bus_bytes=64),
    "starved": SystemConfig(
        weight_words=256, act_words=512, acc_words=256, dsp_tile=16, act_banks=1, acc_banks=1
    ),
    "wide": SystemConfig(lanes=32, lut=True, lut_units=2, lut_width=64, act_words=512, scale_bits=16),
}


def conv(name: str, source: str, channels: int, kernel: int, stride: int = 1, **more) -> Layer:
    pad = kernel // 2
    more.setdefault("pad", (pad, pad, pad, pad))
    return Layer(
        name,
        "conv",
        inputs=(source,),
        out_channels=channels,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        **more,
    )


NETWORKS = {
    "kernels": (
        (11, 13, 3),
        [
            conv("seven", "input", 10, 7, 2),
            conv("three", "seven", 21, 3),
            conv("one", "three", 5, 1, 2),
            Layer("out", "gemm", inputs=("one",), gemm=(1, 3 * 4 * 5, 7)),
        ],
    ),
    "groups": (
        (6, 5, 12),
        [
            conv("depthwise", "input", 12, 3, groups=12, relu=True),
            conv("groups", "depthwise", 20, 3, 2, groups=4),
            conv("same", "groups", 20, 1),
            Layer("add", "add", inputs=("groups", "same"), relu=True),
        ],
    ),
    "pools": (
        (9, 9, 8),
        [
            Layer("max", "maxpool", inputs=("input",), kernel=(3, 3), stride=(2, 2), pad=(1, 1, 1, 1)),
            conv("mid", "max", 9, 3),
            Layer("mean", "avgpool", inputs=("mid",), kernel=(5, 5), stride=(1, 1)),
        ],
    ),
    "uneven": (
        (5, 7, 5),
        [
            conv("tall", "input", 3, 3, pad=(2, 0, 1, 3)),
            Layer("flat", "conv", inputs=("tall",), out_channels=6, kernel=(1, 4), stride=(2, 1), pad=(0, 3, 0, 0)),
        ],
    ),
    "bits": (
        (6, 6, 16),
        [
            conv("a", "input", 24, 3, act_bits=3, weight_bits=2),
            conv("b", "a", 24, 3, act_bits=1, weight_bits=5),
            conv("c", "b", 17, 1, act_bits=7, weight_bits=1),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_networks(accelerator, network, workload, compiled_right):
    shape, layers = NETWORKS[network]
    config = ACCELERATORS[accelerator]
    if not config.dsp and any(layer.groups > 1 for layer in layers):
        pytest.skip("groups need the DSP core")
    compiled_right(config, workload(layers, shape))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 50, 1), (13, 1, 21), (40, 64, 33), (7, 9, 8)])
@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_gemms(accelerator, shape, workload, compiled_right):
    compiled_right(ACCELERATORS[accelerator], workload([Layer("gemm", "gemm", gemm=shape)]))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0, None])
def test_shares(share, workload, compiled_right):
    made = compiled_right(BOTH, workload([conv("c", "input", 30, 3)], (8, 6, 8)), share)
    used = {one.engine for one in made.program.instructions}
    assert ("lut" in used) == (share != 0.0) or share is None
    assert ("dsp" in used) == (share != 1.0) or share is None


def test_both_cores_run_at_the_same_time(workload):
    """Neither core's run of a band waits for the other's."""
    network = random_network(workload([conv("c", "input", 16, 3)], (8, 8, 8)), 0)
    program = compile_network(BOTH, network, 0.5).program
    for one in program.instructions:
        if one.mnemonic in ("dsp.run", "lut.run"):
            assert not {"dsp", "lut"} & set(one.wait)


def test_padding_takes_the_zero_point(workload, compiled_right):
    """The border of a tensor whose zero point is not zero is that value."""
    layers = workload([conv("c", "input", 8, 3)], (4, 4, 8))
    network = random_network(layers, 0)
    shifted = type(network)(network.workload, network.data, {"input": -7})
    from hwgen.compile import reference
    from hwgen.system.golden import Machine

    made = compile_network(SMALL, shifted)
    x = np.random.default_rng(0).integers(-128, 128, (4, 4, 8))
    machine = Machine(SMALL, made.memory({"input": x}))
    machine.run(made.program.instructions)
    expected = reference.run(shifted, {"input": x})["c"]
    np.testing.assert_array_equal(made.results(machine.dram)["c"], expected)
    assert (expected != reference.run(network, {"input": x})["c"]).any()


def test_what_does_not_fit_is_refused(workload):
    tiny = SystemConfig(act_words=128, act_banks=1)
    layers = workload([conv("big", "input", 8, 3)], (9, 9, 512))
    with pytest.raises(BadInput, match=r"layer 'big' does not fit: .* act_words=128; choose a larger buffer"):
        compile_network(tiny, random_network(layers, 0))


def test_groups_without_a_dsp_core_are_refused(workload):
    layers = workload([conv("g", "input", 8, 3, groups=8)], (4, 4, 8))
    with pytest.raises(BadInput, match="layer 'g' has groups, which only the DSP core computes"):
        compile_network(ACCELERATORS["lut"], random_network(layers, 0))


def test_memory_beyond_the_address_is_refused(workload):
    layers = workload([Layer("gemm", "gemm", gemm=(1, 1200, 1200))])
    with pytest.raises(BadInput, match="reaches; choose a larger address_bits"):
        compile_network(SystemConfig(address_bits=20), random_network(layers, 0))
