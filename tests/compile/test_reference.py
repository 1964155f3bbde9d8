"""The layers' mathematics against onnxruntime, which nobody here wrote."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.compile import reference
from hwgen.compile.network import LayerData, Requantiser
from hwgen.workloads.layers import Layer

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")


def conv_integer(x, w, pads, strides, groups):
    """ConvInteger on NCHW int8 data, zero points zero."""
    from onnx import TensorProto, helper

    node = helper.make_node("ConvInteger", ["x", "w"], ["y"], pads=pads, strides=strides, group=groups)
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape),
         helper.make_tensor_value_info("w", TensorProto.INT8, w.shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT32, None)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": x, "w": w})[0]


@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "groups"), [(3, 1, 1, 1), (3, 2, 1, 4), (7, 2, 3, 1), (1, 2, 0, 8)]
)
def test_convolutions(kernel, stride, pad, groups):
    rng = np.random.default_rng(kernel)
    x = rng.integers(0, 128, (9, 11, 8))
    w = rng.integers(-128, 128, (kernel, kernel, 8 // groups, 16))
    layer = Layer(
        "c", "conv", inputs=("input",), out_channels=16, kernel=(kernel, kernel), stride=(stride, stride),
        pad=(pad,) * 4, groups=groups,
    )  # fmt: skip
    expected = conv_integer(
        x.transpose(2, 0, 1)[None].astype(np.uint8), w.transpose(3, 2, 0, 1).astype(np.int8),
        [pad] * 4, [stride] * 2, groups,
    )[0].transpose(1, 2, 0)  # fmt: skip
    sums = reference._product(layer, w, x[None].astype(np.int64), (9, 11, 8), 0)[0]
    np.testing.assert_array_equal(sums, expected)
    requantiser = Requantiser(np.zeros(16, np.int64), np.full(16, 1), np.full(16, 12))
    result = reference.layer_result(layer, LayerData(requantiser, w), [x], (9, 11, 8), expected.shape, 0)
    np.testing.assert_array_equal(result, np.clip(np.rint(expected / 4096), -128, 127))


def test_pools():
    """Against pooling written as loops."""
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (7, 6, 3))
    layer = Layer("p", "maxpool", inputs=("input",), kernel=(3, 2), stride=(2, 2), pad=(1, 0, 1, 0))
    same = Requantiser(np.zeros(3, np.int64), np.ones(3, np.int64), np.zeros(3, np.int64))
    result = reference.layer_result(layer, LayerData(same), [x], (7, 6, 3), (4, 3, 3), 0)
    for row in range(4):
        for column in range(3):
            window = x[max(0, 2 * row - 1) : 2 * row + 2, 2 * column : 2 * column + 2]
            assert (result[row, column] == window.max(axis=(0, 1))).all()
