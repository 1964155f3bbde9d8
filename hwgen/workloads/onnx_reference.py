"""The integer matrix product of onnxruntime: truth that hwgen had no hand in."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.workloads.optional import demo_module

__all__ = ["cpu_session", "ort_matmul_integer"]

# The largest K for which (-128) * (-128) * K still fits a signed 32-bit sum.
_K_LIMIT = (2**31 - 1) // 2**14

# onnxruntime otherwise takes every core of the machine, also for the smallest product.
_THREADS = 2

# Versions old enough for every onnxruntime the extra admits; `onnx` would write its newest.
_IR_VERSION = 8
_OPSET = 10


def cpu_session(model: bytes) -> Any:
    """Open a serialised ONNX model on the CPU, two threads, errors only.

    Parameters
    ----------
    model : bytes
        A serialised ``ModelProto``.

    Returns
    -------
    onnxruntime.InferenceSession
        Ready to run.

    Raises
    ------
    MissingTool
        If onnxruntime is not installed.
    """
    ort = demo_module("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = _THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def ort_matmul_integer(a: npt.NDArray[np.int8], b: npt.NDArray[np.int8]) -> npt.NDArray[np.int32]:
    """Multiply two INT8 matrices with the ``MatMulInteger`` operator of onnxruntime.

    Both operands stay signed and no zero point is used. The other encoding of the same product,
    unsigned activations with signed weights, is avoided on purpose: on x86 CPUs without VNNI its
    kernel adds pairs of products in saturating 16 bits and is wrong for large weights
    (microsoft/onnxruntime#6004, #16105), while no signed-by-signed kernel does that.

    Parameters
    ----------
    a : ndarray of int8, shape (M, K)
        Activations, full range -128..127.
    b : ndarray of int8, shape (K, N)
        Weights, full range -128..127. M, N at least 1, K in 1..131071 so that no sum overflows.

    Returns
    -------
    ndarray of int32, shape (M, N)
        The exact product ``a @ b``.

    Raises
    ------
    BadInput
        If a type, rank or size is not as above.
    MissingTool
        If onnx or onnxruntime is not installed.

    Notes
    -----
    Source: ONNX operator MatMulInteger, version 10; onnxruntime, CPU execution provider.
    """
    _check_operands(a, b)
    (product,) = _matmul_integer_session().run(None, {"a": a, "b": b})
    return cast("npt.NDArray[np.int32]", product)


def _check_operands(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> None:
    """Refuse what the kernel would misread: K = 0, for one, returns uninitialised memory."""
    for role, operand in (("a", a), ("b", b)):
        if operand.dtype != np.int8 or operand.ndim != 2 or operand.size == 0:
            raise BadInput(
                f"{role} must be a non-empty int8 matrix, not {operand.dtype} of shape {operand.shape}; "
                "convert it first."
            )
    if a.shape[1] != b.shape[0]:
        raise BadInput(
            f"a has {a.shape[1]} columns but b has {b.shape[0]} rows; make them equal, "
            "or transpose b to (K, N)."
        )
    if a.shape[1] > _K_LIMIT:
        raise BadInput(
            f"K must lie in 1..{_K_LIMIT} so that no 32-bit sum overflows, not {a.shape[1]}; "
            "split the product along K."
        )


@cache
def _matmul_integer_session() -> Any:
    """A session for the one-node model, any matrix sizes."""
    onnx = demo_module("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["y"])],
        "matmul_integer",
        [
            helper.make_tensor_value_info("a", types.INT8, ["M", "K"]),
            helper.make_tensor_value_info("b", types.INT8, ["K", "N"]),
        ],
        [helper.make_tensor_value_info("y", types.INT32, ["M", "N"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    return cpu_session(model.SerializeToString())
