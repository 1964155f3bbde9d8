"""Layers and workloads: shapes against hand counts and counted windows, and every refusal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.workloads import GemmShape, Layer, Workload, gemms
from hwgen.workloads.layers import gemm_view, input_shapes, macs, output_shape, shapes, total_macs

CONV = Layer("c", "conv", out_channels=4, kernel=(3, 3), pad=(1, 1, 1, 1), inputs=("input",))
GEMM = Layer("g", "gemm", gemm=(2, 3, 4))


def network(*layers, shape=(8, 6, 2)):
    return Workload(name="net", layers=layers, input_shape=shape)


def test_shapes_of_a_small_graph():
    net = network(
        CONV,
        Layer("p", "maxpool", inputs=("c",), kernel=(3, 3), stride=(2, 2), pad=(1, 1, 1, 1)),
        Layer("s", "conv", inputs=("p",), out_channels=4),
        Layer("a", "add", inputs=("s", "p"), relu=True),
        Layer("tokens", "gemm", inputs=("a",), gemm=(12, 4, 10)),
        Layer("v", "avgpool", inputs=("tokens",), kernel=(4, 3)),
        Layer("fc", "gemm", inputs=("v",), gemm=(1, 10, 7)),
    )
    assert shapes(net) == {
        "input": (8, 6, 2),
        "c": (8, 6, 4),
        "p": (4, 3, 4),
        "s": (4, 3, 4),
        "a": (4, 3, 4),
        "tokens": (4, 3, 10),
        "v": (1, 1, 10),
        "fc": (1, 1, 7),
    }
    assert input_shapes(net)["fc"] == (1, 1, 10)
    assert total_macs(net) == 48 * 18 * 4 + 12 * 4 * 4 + 12 * 4 * 10 + 10 * 7
    assert gemms(net)[0] == GemmShape(name="c", m=48, k=18, n=4)


def test_flattened_input_of_a_classifier():
    net = network(Layer("fc", "gemm", inputs=("input",), gemm=(1, 96, 5)))
    assert shapes(net)["fc"] == (1, 1, 5)


def test_depthwise_convolution_is_one_gemm_per_channel():
    layer = replace(CONV, groups=2, out_channels=2)
    assert gemm_view(layer, (8, 6, 2)) == (48, 9, 1, 2)
    assert macs(layer, (8, 6, 2)) == 48 * 9 * 2


def test_standing_alone_needs_no_shape():
    heads = Layer("heads", "gemm", gemm=(5, 3, 4), groups=7)
    assert gemm_view(heads) == (5, 3, 4, 7)
    assert macs(heads) == 420
    alone = replace(CONV, inputs=(), input_shape=(8, 6, 2))
    assert gemm_view(alone) == (48, 18, 4, 1)
    assert shapes(Workload(name="list", layers=(heads, alone))) == {"heads": (5, 1, 28), "c": (8, 6, 4)}
    assert shapes(Workload(name="l", layers=(replace(GEMM, input_shape=(2, 1, 3)),)))["g"] == (2, 1, 4)


def test_pools_and_additions_multiply_nothing():
    pool = Layer("p", "maxpool", inputs=("input",))
    assert macs(pool, (8, 6, 2)) == 0
    with pytest.raises(BadInput, match="layer 'p' is of kind 'maxpool', which multiplies no matrices"):
        gemm_view(pool, (8, 6, 2))


@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    pad=st.tuples(*[st.integers(0, 3)] * 4),
)
def test_output_size_is_the_number_of_windows_that_fit(size, kernel, stride, pad):
    layer = replace(CONV, kernel=kernel, stride=stride, pad=pad)
    counts = [
        sum(1 for start in range(0, n + before + after, s) if start + k <= n + before + after)
        for n, k, s, before, after in zip(size, kernel, stride, pad[:2], pad[2:], strict=True)
    ]
    if 0 in counts:
        with pytest.raises(BadInput, match=r"kernel of layer 'c' is .*, but its padded input is only"):
            output_shape(layer, (*size, 1))
    else:
        assert output_shape(layer, (*size, 1)) == (*counts, 4)


REFUSED = {
    "kind": ({"kind": "deconv"}, "kind of layer 'c' must be one of conv, gemm, .*, not 'deconv'"),
    "no name": ({"name": ""}, "name of a layer must not be empty"),
    "two lines": ({"name": "a\nb"}, "name of a layer must be one line of printable text"),
    "reserved": ({"name": "input"}, "must not be 'input', which means the network's input"),
    "channels": ({"out_channels": 0}, r"out_channels of layer 'c' must be an integer in 1\.\.2\^24, not 0"),
    "negative": (
        {"stride": (1, -1)},
        r"stride of layer 'c' must be 2 integers in 1\.\.2\^24, not \(1, -1\)",
    ),
    "count": ({"kernel": (3,)}, r"kernel of layer 'c' must be 2 integers, not \(3,\)"),
    "pad": ({"pad": (0, 0, 0, -1)}, r"pad of layer 'c' must be 4 integers in 0\.\.2\^24"),
    "float": ({"kernel": (3.0, 3)}, "kernel of layer 'c' must be 2 integers in"),
    "bool": ({"groups": True}, "groups of layer 'c' must be an integer in"),
    "groups": ({"groups": 3}, "out_channels of layer 'c' must be a multiple of its 3 groups, not 4"),
    "bits": ({"act_bits": 9}, r"act_bits of layer 'c' must be an integer in 1\.\.8, not 9"),
    "share": (
        {"lut_share": 1.5},
        r"lut_share of layer 'c' must be a number in 0\.\.1, or left out, not 1\.5",
    ),
    "not a number": ({"lut_share": float("nan")}, "lut_share of layer 'c' must be a number"),
    "relu": ({"relu": 1}, "relu of layer 'c' must be true or false, not 1"),
    "inputs": ({"inputs": ("a", "b")}, "inputs of layer 'c' must be 1 name, not"),
    "text": ({"inputs": "input"}, "inputs of layer 'c' must be a list of names of earlier layers"),
    "alone": ({"inputs": ()}, "input_shape of layer 'c' must be given as"),
    "both": ({"input_shape": (8, 8, 2)}, "input_shape of layer 'c' must be left out, because its inputs"),
    "gemm of a conv": ({"gemm": (1, 2, 3)}, "gemm of layer 'c' has no meaning for kind 'conv'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_layer_refuses(case):
    change, message = REFUSED[case]
    with pytest.raises(BadInput, match=message):
        replace(CONV, **change)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Layer("g", "gemm"), "gemm of layer 'g' must be given as"),
        (lambda: replace(GEMM, gemm=(0, 1, 1)), r"gemm of layer 'g' must be 3 integers in 1\.\.2\^24"),
        (lambda: replace(GEMM, out_channels=4), "out_channels of layer 'g' has no meaning for kind 'gemm'"),
        (lambda: Layer("p", "maxpool"), r"inputs of layer 'p' must be 1 name, not \(\)"),
        (lambda: Layer("p", "maxpool", inputs=("input",), relu=True), "relu of layer 'p' has no meaning"),
        (
            lambda: Layer("p", "avgpool", inputs=("input",), kernel=(2, 2), pad=(0, 2, 0, 0)),
            "pad of layer 'p' must be smaller than the kernel",
        ),
        (lambda: Layer("a", "add", inputs=("input",)), "inputs of layer 'a' must be 2 names"),
    ],
)
def test_another_kind_refuses(make, message):
    with pytest.raises(BadInput, match=message):
        make()


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ((), None, "layers of workload 'net' must not be empty"),
        ((CONV, CONV), (8, 6, 2), "layer 'c' occurs twice in workload 'net'"),
        ((replace(CONV, inputs=("b",)),), None, "inputs of layer 'c' name 'b', which is no earlier layer"),
        ((replace(CONV, inputs=("c",)),), None, "inputs of layer 'c' name 'c', which is no earlier layer"),
        ((CONV,), None, "input_shape of workload 'net' must be given as .* because layers read 'input'"),
        ((GEMM,), (8, 6, 2), "input_shape of workload 'net' is given, but no layer reads 'input'"),
        ((CONV,), (8, 0, 2), r"input_shape of workload 'net' must be 3 integers .*, not \(8, 0, 2\)"),
        ((CONV,), (8, 6), "input_shape of workload 'net' must be 3 integers"),
        ((replace(CONV, pad=(0,) * 4),), (2, 6, 2), "kernel of layer 'c' is 3 high, .* is only 2"),
        (
            (replace(CONV, groups=4),),
            (8, 6, 2),
            "groups of layer 'c' must divide its 2 input channels, which 4",
        ),
        (
            (CONV, Layer("a", "add", inputs=("c", "input"))),
            (8, 6, 2),
            "inputs of layer 'a' must have one shape to be added, not 'c' of 8x6x4 and 'input' of 8x6x2",
        ),
        (
            (replace(GEMM, inputs=("input",)),),
            (8, 6, 2),
            r"gemm of layer 'g' is \(2, 3, 4\), but its input is 8x6x2; expected m = 1 and k = 96 .* k = 2 ",
        ),
    ],
)
def test_a_workload_refuses(layers, shape, message):
    with pytest.raises(BadInput, match=message):
        Workload(name="net", layers=layers, input_shape=shape)


def test_a_workload_refuses_text_of_two_lines():
    with pytest.raises(BadInput, match="source of workload 'net' must be one line"):
        Workload(name="net", layers=(GEMM,), source="a\nb")


def test_the_shape_of_another_layers_output_must_be_given():
    with pytest.raises(BadInput, match="the input shape of layer 'c' is that of another layer; give it"):
        macs(CONV)
