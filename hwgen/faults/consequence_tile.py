"""A tile of a quantised network's layer on the dense core, and the exact rest of the network behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hwgen.compile.network import Network, Requantiser
from hwgen.cores.dsp_gemm import DspGemmConfig, Gemm
from hwgen.errors import BadInput
from hwgen.faults.algorithmic.forward import Array, LayerRun, evaluate, patches
from hwgen.faults.consequence import FOLLOWED, Where, distinct
from hwgen.faults.models import Faults
from hwgen.faults.subject import CoreSubject, core_subject
from hwgen.numerics import IntArray, wrap
from hwgen.parts.requantise.golden import requantise
from hwgen.registry import core as core_of
from hwgen.verify.stimulus import patterns, stimulus
from hwgen.workloads.layers import Layer, input_shapes, shapes

__all__ = ["ROWS", "Suffix", "TileSite", "span", "tile_subject"]

ROWS = 64
"""Rows of a tile, unless somebody says otherwise."""

_BATCH = 64  # images behind the struck layer at a time
_ANY = 1 << 62  # a bound that clamps nothing


@dataclass(frozen=True, eq=False)
class TileSite:
    """Where a fault strikes: rows of a layer's im2col matrix times some columns of its weights, on one image.

    Parameters
    ----------
    network : Network
        The network.
    layer : str
        A product of it.
    tensors : mapping of str to float array, shape (1, h, w, c)
        Fault-free input and results of all layers.
    rows, columns : tuple of int
        First output pixel (row by row) and how many; first output channel and how many.
    a, b : int64 array, shapes (m, k) and (k, n)
        Operands as the accelerator has them: activations with their zero point, which pads too.
    label : int or None
        What the image shows.
    """

    network: Network
    layer: str
    tensors: Mapping[str, Array]
    rows: tuple[int, int]
    columns: tuple[int, int]
    a: IntArray
    b: IntArray
    label: int | None = None
    _subjects: dict[str, CoreSubject] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, network: Network, layer: str, image: IntArray, *, rows: tuple[int, int] | None = None,
        columns: tuple[int, int] | None = None, label: int | None = None,
    ) -> TileSite:  # fmt: skip
        """A tile with the operands that it has in this network on this image.

        Parameters
        ----------
        network : Network
            All of its layers read the input or each other.
        layer : str
            A product.
        image : int array, shape (h, w, c)
            As the network reads it.
        rows : (int, int), optional
            First output pixel, row by row, and how many; the middle :data:`ROWS` if absent.
        columns : (int, int), optional
            First output channel and how many, all of one group; the first 8 if absent.
        label : int, optional
            What the image shows.

        Raises
        ------
        BadInput
            If there is no such product or the tile does not lie within it.
        """
        known = {one.name: one for one in network.workload.layers if one.product}
        if layer not in known:
            raise BadInput(
                f"there is no product {layer!r} in {network.workload.name!r}; name one of {', '.join(known)}"
            )
        given = known[layer]
        h, w, c = shapes(network.workload)[layer]
        inner = c // given.groups
        at, count = span("rows", rows, h * w, ROWS, middle=True)
        first, wide = span("columns", columns, c, min(8, inner))
        group = first // inner
        if (first + wide - 1) // inner != group:
            raise BadInput(
                f"columns {first}..{first + wide - 1} of {layer!r} lie in several of its {given.groups} groups of "
                f"{inner}; a tile has one group"
            )
        tensors = evaluate(network, image[None], gradient=False).tensors
        weight = network.data[layer].weight
        assert weight is not None
        a = patches(
            given,
            tensors[given.inputs[0]],
            input_shapes(network.workload)[layer],
            network.zero(given.inputs[0]),
        )[group][at : at + count]
        b = weight.reshape(-1, c)[:, first : first + wide]
        return cls(
            network, layer, tensors, (at, count), (first, wide), a.astype(np.int64), b.astype(np.int64), label
        )

    @cached_property
    def sums(self) -> IntArray:
        """What the core gives without a fault, shape (m, n)."""
        return wrap(self.a @ self.b, 32)

    @cached_property
    def requantiser(self) -> Requantiser:
        """Of the tile's channels."""
        r, (first, count) = self.network.data[self.layer].requantiser, self.columns
        own = slice(first, first + count)
        return replace(r, bias=r.bias[own], multiplier=r.multiplier[own], shift=r.shift[own])

    @cached_property
    def logits(self) -> IntArray:
        """Fault-free results of the last layer."""
        last = self.network.workload.layers[-1].name
        return self.tensors[last].reshape(-1).astype(np.int64)

    @property
    def answer(self) -> int:
        """The fault-free class: the first of the largest results."""
        return int(self.logits.argmax())

    @cached_property
    def suffix(self) -> Suffix:
        """The rest of the network."""
        return Suffix(self.network, self.layer, self.tensors)

    def subject(self, config: DspGemmConfig) -> CoreSubject:
        """The core that computes this tile and nothing else.

        Raises
        ------
        BadInput
            If an operand does not fit the core.
        """
        name = f"{self.network.workload.name} {self.layer} {config.digest}"
        if name not in self._subjects:
            self._subjects[name] = tile_subject(config, self.a, self.b, name)
        return self._subjects[name]

    def steps(self, sums: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Sums behind each step of the requantiser: products with the multipliers, rounded, and clamped."""
        r = self.requantiser
        free = {"rounding": r.rounding, "zero": 0, "low": -_ANY, "high": _ANY}
        scaled = requantise(sums, r.bias, r.multiplier, 0, **free)  # type: ignore[arg-type]
        rounded = requantise(sums, r.bias, r.multiplier, r.shift, **free)  # type: ignore[arg-type]
        return scaled, rounded, np.clip(rounded + r.zero, r.low, r.high)

    def untouched(self, count: int) -> Faults:
        """See :class:`hwgen.faults.consequence.Tile`."""
        made = np.zeros(count, FOLLOWED)
        made["masked"], made["top"] = Where.ARRAY, self.answer
        made["margin"] = _margins(self.logits[None], self.answer)[0]
        for name in ("product", "layer", "answer"):
            made[name] = np.nan
        return made

    def follow(self, sums: IntArray) -> Faults:
        """See :class:`hwgen.faults.consequence.Tile`."""
        parts = [self._follow(sums[i : i + 4096].astype(np.int64)) for i in range(0, len(sums), 4096)]
        return np.concatenate(parts) if parts else self.untouched(0)

    def _follow(self, sums: IntArray) -> Faults:
        steps = self.steps(sums)
        made = self.follow_outputs(steps[-1])
        for where, values, right in zip(
            (Where.CLAMP, Where.ROUND, Where.SCALE, Where.ARRAY),
            (*steps[::-1], sums), (*self.steps(self.sums)[::-1], self.sums), strict=True,
        ):  # fmt: skip
            made["masked"][(values == right).all(axis=(1, 2))] = where
        return made

    def follow_outputs(self, outputs: IntArray) -> Faults:
        """What becomes of requantised values, shape (count, m, n); those that are right count as clamped."""
        made = self.untouched(len(outputs))
        right = self.steps(self.sums)[-1]
        off = np.abs(outputs - right)
        made["changed"] = (off != 0).sum(axis=(1, 2))
        made["deviation"] = off.max(axis=(1, 2), initial=0)
        made["masked"] = Where.CLAMP
        wrong = np.flatnonzero(made["changed"])
        if not len(wrong):
            return made
        own, of = distinct(outputs[wrong].astype(np.int8))
        logits, pooled = self._answers(outputs[wrong[own]])
        same = (logits == self.logits).all(axis=1)
        made["masked"][wrong] = np.where(pooled, Where.POOL, np.where(same, Where.NETWORK, Where.NOWHERE))[of]
        top = logits.argmax(axis=1)
        made["top"][wrong] = top[of]
        made["critical"][wrong] = (top != self.answer)[of]
        made["margin"][wrong] = _margins(logits, self.answer)[of]
        return made

    def _answers(self, outputs: IntArray) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        (at, count), (first, wide) = self.rows, self.columns
        base = self.tensors[self.layer][0]
        logits, pooled = [], []
        for begin in range(0, len(outputs), _BATCH):
            some = outputs[begin : begin + _BATCH]
            whole = np.repeat(base.reshape(1, -1, base.shape[-1]), len(some), axis=0)
            whole[:, at : at + count, first : first + wide] = some
            found, same = self.suffix(whole.reshape(-1, *base.shape))
            logits.append(found)
            pooled.append(same)
        return np.concatenate(logits), np.concatenate(pooled)


class Suffix:
    """What a network makes of other results of one layer.

    Parameters
    ----------
    network : Network
        The network.
    layer : str
        Whose results are given.
    tensors : mapping of str to float array, shape (1, h, w, c)
        Fault-free input and results.
    """

    def __init__(self, network: Network, layer: str, tensors: Mapping[str, Array]):
        self.layer, self.tensors = layer, tensors
        sources, sizes = input_shapes(network.workload), shapes(network.workload)
        stale = {layer}
        self.rest: list[tuple[Layer, LayerRun]] = []
        for one in network.workload.layers:
            if stale.intersection(one.inputs):
                stale.add(one.name)
                self.rest.append((one, LayerRun(network, one, sources[one.name], sizes[one.name])))
        readers = [one for one, _ in self.rest if layer in one.inputs]
        pools = all(one.kind in ("maxpool", "avgpool") for one in readers)
        self.pools = [one.name for one in readers] if pools else []
        self.last = network.workload.layers[-1].name

    def __call__(self, outputs: Array) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """Results of the last layer, and whether pools behind the layer gave what they should.

        Parameters
        ----------
        outputs : float array, shape (count, h, w, c)
            Of the layer.
        """
        count = len(outputs)
        found = {self.layer: outputs}
        for one, run in self.rest:
            found[one.name] = run.result([self._known(found, name, count) for name in one.inputs])[0]
        same = np.full(count, bool(self.pools))
        for name in self.pools:
            same &= (found[name] == self.tensors[name]).reshape(count, -1).all(axis=1)
        last = self._known(found, self.last, count)
        return last.reshape(count, -1).astype(np.int64), same

    def _known(self, found: Mapping[str, Array], name: str, count: int) -> Array:
        if name in found:
            return found[name]
        right = self.tensors[name]
        return np.broadcast_to(right, (count, *right.shape[1:]))


def span(
    name: str, given: tuple[int, int] | None, size: int, most: int, *, middle: bool = False
) -> tuple[int, int]:
    """First and number of some of ``size`` things; ``most`` of them if nothing is given.

    Raises
    ------
    BadInput
        If they are not there.
    """
    if given is None:
        count = min(most, size)
        return ((size - count) // 2 if middle else 0), count
    first, count = given
    if first < 0 or count < 1 or first + count > size:
        raise BadInput(
            f"{name} must be the first and a number of those in 0..{size - 1}, not {first} and {count}"
        )
    return first, count


def tile_subject(
    config: DspGemmConfig, a: IntArray, b: IntArray, name: str, like: CoreSubject | None = None
) -> CoreSubject:
    """The dense core with one product.

    Parameters
    ----------
    config : DspGemmConfig
        The core.
    a, b : int array, shapes (m, k) and (k, n)
        Operands.
    name : str
        For people.
    like : CoreSubject, optional
        One of the same core, whose netlist need not be read again.
    """
    operations = [Gemm.checked(config, a, b)]
    if like is None:
        return replace(core_subject("dsp_gemm", config, operations), name=name)
    core = core_of("dsp_gemm")
    given = stimulus(core, config, operations, patterns("free", like.streams, 0))
    made = replace(like, name=name, stimulus=given, operations=tuple(operations))
    made.__dict__.update(sources=like.sources, netlist=like.netlist, sites=like.sites, lowered=like.lowered)
    return made


def _margins(logits: IntArray, answer: int) -> npt.NDArray[np.float64]:
    """By how much one class leads, or how far it is behind."""
    others = np.delete(logits, answer, axis=1)
    lead: npt.NDArray[np.float64] = (logits[:, answer] - others.max(axis=1)).astype(np.float64)
    return lead
