"""Quantised products of onnxruntime, whose results are requantised sums: truth that hwgen had no hand in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hwgen.config import require_choice
from hwgen.matmul import exact_matmul
from hwgen.numerics import IntArray
from hwgen.workloads.onnx_reference import cpu_session
from hwgen.workloads.optional import demo_module

__all__ = ["OPERATORS", "QLinearProduct", "random_product"]

OPERATORS = ("QLinearMatMul", "QLinearConv")
"""Operators that :class:`QLinearProduct` runs."""

_OPSET, _IR_VERSION = 21, 10
_KERNEL = 3  # of a convolution, padded to keep its image's size
_LARGEST = 255 * 255


@dataclass(frozen=True, eq=False)
class QLinearProduct:
    """A quantised matrix product or 3 × 3 convolution.

    Parameters
    ----------
    operator : str
        Of :data:`OPERATORS`.
    a : int8 or uint8 array
        Activations: (M, K), or (1, channels, height, width).
    b : array of the same type
        Weights: (K, N), or (N, channels, 3, 3). Signed by unsigned is left out: its kernel is wrong on some CPUs
        (microsoft/onnxruntime#6004, #16105).
    bias : int32 array, shape (N,)
        Of a convolution; zeros for a matrix product, which has none.
    a_zero, y_zero : int
        Zero points of activations and result.
    b_zero : int array, shape (N,)
        Zero points of the weights; a convolution has one for all.
    a_scale, y_scale : float32
        Scales of activations and result.
    b_scale : float32 array, shape (N,)
        Scales of the weights.
    """

    operator: str
    a: npt.NDArray[Any]
    b: npt.NDArray[Any]
    bias: IntArray
    a_zero: int
    b_zero: IntArray
    y_zero: int
    a_scale: np.float32
    b_scale: npt.NDArray[np.float32]
    y_scale: np.float32

    @property
    def offset(self) -> int:
        """What an unsigned result is more than the signed one of the same hardware: 0 or 128."""
        return 128 if self.a.dtype == np.uint8 else 0

    def sums(self) -> IntArray:
        """The exact sums, bias included, shape (results, N)."""
        if self.operator == "QLinearMatMul":
            return _product(self.a, self.a_zero, self.b, self.b_zero)
        image = np.pad(
            self.a[0], ((0, 0), (1, 1), (1, 1)), constant_values=cast("int", self.a.dtype.type(self.a_zero))
        )
        patches = np.lib.stride_tricks.sliding_window_view(image, (_KERNEL, _KERNEL), axis=(1, 2))
        rows = patches.transpose(1, 2, 0, 3, 4).reshape(-1, self.b[0].size)
        return _product(rows, self.a_zero, self.b.reshape(len(self.b), -1).T, self.b_zero) + self.bias

    def run(self) -> IntArray:
        """What onnxruntime makes of it, shape (results, N).

        Raises
        ------
        MissingTool
            If onnx or onnxruntime is not installed.
        """
        (y,) = cpu_session(self._model()).run(None, {"a": self.a})
        if self.operator == "QLinearConv":
            y = y[0].reshape(len(self.b), -1).T
        return cast("IntArray", y.astype(np.int64))

    def _model(self) -> bytes:
        onnx = demo_module("onnx")
        helper, types = onnx.helper, onnx.TensorProto
        kind = self.a.dtype.type
        conv = self.operator == "QLinearConv"
        constants = {
            "a_scale": self.a_scale, "a_zero": kind(self.a_zero), "b": self.b, "b_scale": self.b_scale,
            "b_zero": kind(self.b_zero[0]) if conv else self.b_zero.astype(kind),
            "y_scale": self.y_scale, "y_zero": kind(self.y_zero),
        }  # fmt: skip
        if conv:
            constants |= {
                "bias": self.bias.astype(np.int32),
                "b_zero": np.full(len(self.b), self.b_zero[0], kind),
            }
        inputs = ["a", *(name for name in constants if name != "bias"), *(["bias"] if conv else [])]
        attributes = {"pads": [1, 1, 1, 1]} if conv else {}
        element = types.UINT8 if self.offset else types.INT8
        graph = helper.make_graph(
            [helper.make_node(self.operator, inputs, ["y"], **attributes)],
            "product",
            [helper.make_tensor_value_info("a", element, self.a.shape)],
            [helper.make_tensor_value_info("y", element, None)],
            [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
        return cast("bytes", model.SerializeToString())


def _product(a: npt.NDArray[Any], a_zero: int, b: npt.NDArray[Any], b_zero: IntArray) -> IntArray:
    left, right = a.astype(np.int16) - a_zero, b.astype(np.int16) - b_zero.astype(np.int16)
    return exact_matmul(left, right, _LARGEST).astype(np.int64)


def random_product(operator: str, rng: np.random.Generator, *, large: bool, ties: bool) -> QLinearProduct:
    """A product of about 150,000 results that spread over the range of a byte and a little beyond.

    Parameters
    ----------
    operator : str
        Of :data:`OPERATORS`.
    rng : Generator
        Where it comes from; signed and unsigned are equally likely.
    large : bool
        Whether most sums lie beyond 2**24, where a float32 rounds them.
    ties : bool
        Whether many quotients lie in the middle of two integers, or a little beside it: scales are powers of two.
    """
    require_choice("operator", operator, OPERATORS)
    conv = operator == "QLinearConv"
    kind = np.int8 if rng.integers(2) else np.uint8
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    k, n = (16, 64) if conv else (2048 if large else 64, 500)
    a_shape, b_shape = ((1, k, 48, 48), (n, k, _KERNEL, _KERNEL)) if conv else ((300, k), (k, n))
    span = (low, high)
    if ties and (conv or not large):  # small operands: small sums, or sums near their bias
        span = (low + 112, low + (114 if large else 128))

    def integers(shape: int | tuple[int, ...]) -> IntArray:
        return rng.integers(*span, shape, endpoint=True)

    a, b = integers(a_shape), integers(b_shape)
    a_zero, b_zero = integers(1), integers(1 if conv else n)
    bias = np.zeros(n, np.int64)
    if large and conv:
        bias = (2 * rng.integers(32, 90, n) + 1) * rng.choice([-1, 1], n) << 21
    elif large:  # operands on one side of their zero points; rows differ in how far
        a, a_zero = np.where(rng.random(a_shape) < rng.uniform(0, 1, (len(a), 1)), high, a), np.array([low])
        b_zero = rng.choice([low, high], n)
        b = np.where(rng.random(b_shape) < 0.9, low + high - b_zero, b)
    b_zero = np.broadcast_to(b_zero, n)
    one = np.ones(n, np.float32)
    a_scale = np.float32(2.0**-6 if ties else rng.uniform(0.001, 0.1))
    y_zero = int(rng.integers(low + 100, high - 100))
    made = QLinearProduct(
        operator, a.astype(kind), b.astype(kind), bias, int(a_zero[0]), b_zero, y_zero, a_scale, one, one[0]
    )
    # A channel's scale brings its larger sums near the ends of the range.
    size = np.maximum(np.quantile(np.abs(made.sums()), 0.9, axis=0), 1)
    wanted = np.log2(128 / size) + rng.uniform(-0.7, 0.5, n)
    b_scale = np.exp2(np.rint(wanted) if ties else wanted) / a_scale
    return replace(made, b_scale=b_scale.astype(np.float32))
