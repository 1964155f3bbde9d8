"""Attention as a program: scores, softmax and the product with the values without leaving the chip.

    scores = Q · Kᵀ  (DSP)  ─►  exponentials, a scale per row  (VEC)  ─►  exponentials · V  (DSP)  ─►  scaled  (VEC)

The rows are divided by their sums after the product with the values (late normalisation). What the DSP core
multiplies with comes from DRAM; the values lie there as it wants them, row by row, but keys do not: VEC transposes
them first, by way of DRAM, because no engine writes into the buffer of weights but LOAD.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.compile.builder import Builder, Region
from hwgen.compile.image import Image, Tensor, align, pack_parameters
from hwgen.compile.network import Requantiser
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, ceil_div
from hwgen.parts.requantise.scales import scale_constants
from hwgen.program.program import Program
from hwgen.system.config import SystemConfig

__all__ = ["Attention", "Head", "compile_attention"]

LOGIT_FRACTION = 8
"""Fraction bits of a logit."""


@dataclass(frozen=True)
class Head:
    """One head's sizes and scales.

    Parameters
    ----------
    queries, keys, features : int
        Rows of Q; rows of K and V; columns of all three.
    logit_scale : float
        What a score, a sum of products of integers, is worth as a logit: scales of Q and K, over the root of the
        features. Logits are kept in steps of 1/256 and clamped to -128..128.
    causal : bool
        Query ``i`` sees the keys up to ``keys - queries + i`` only.
    shift : int
        A result is worth ``2**-shift`` of what a value is worth, -16..15.
    """

    queries: int
    keys: int
    features: int
    logit_scale: float
    causal: bool = False
    shift: int = 0


@dataclass(frozen=True, eq=False)
class Attention:
    """A program with its memory.

    Parameters
    ----------
    head : Head
        What was compiled.
    config : SystemConfig
        For what.
    program : Program
        The instructions.
    image : Image
        Memory.
    query, key, value, result : Tensor
        Where they lie: one pixel per row.
    """

    head: Head
    config: SystemConfig
    program: Program
    image: Image
    query: Tensor
    key: Tensor
    value: Tensor
    result: Tensor

    def memory(self, q: IntArray, k: IntArray, v: IntArray) -> npt.NDArray[np.uint8]:
        """DRAM before the run; int8, shapes (queries, features), (keys, features) twice."""
        dram = self.image.make()
        for tensor, values in ((self.query, q), (self.key, k), (self.value, v)):
            tensor.write(dram, values[:, None])
        return dram

    def output(self, dram: npt.NDArray[np.uint8]) -> IntArray:
        """The result, shape (queries, features), from DRAM after the run."""
        return self.result.read(dram)[:, 0]


def compile_attention(config: SystemConfig, head: Head) -> Attention:
    """Compile one head.

    Raises
    ------
    BadInput
        If the accelerator has no softmax or no DSP core, or the head does not fit.
    """
    if config.softmax is None or not config.dsp:
        raise BadInput("attention needs dsp=true and softmax_words; build the accelerator with both")
    if head.causal and head.keys < head.queries:
        raise BadInput(
            f"with a causal mask there must be as many keys as queries, {head.queries}, not {head.keys}"
        )
    return _Lowering(config, head).attention()


@dataclass(frozen=True)
class _Rows:
    """A matrix in DRAM.

    Parameters
    ----------
    tensor : Tensor
        Where it lies.
    width : int
        Bytes of a row, whole words.
    """

    tensor: Tensor
    width: int


_PLAIN = {"rounding": 0, "zero": 0, "low": -128, "high": 127, "zero0": 0, "zero1": 0, "digits": 0}


class _Lowering:
    """One head being compiled.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    head : Head
        Sizes and scales.
    """

    def __init__(self, config: SystemConfig, head: Head):
        self.config, self.head = config, head
        lanes = config.lanes
        self.chunks, self.tiles = ceil_div(head.features, lanes), ceil_div(head.keys, lanes)
        self.unit = max(1, config.bus_bytes // lanes)
        self.keys = self.tiles * lanes  # rows of keys and values, those that mask the last word among them
        self.block = self.chunks * self.tiles * lanes  # words of keys, or of values
        self.rows = self._band()
        self.image = Image(config)
        self.builder = Builder(config)

    def _band(self) -> int:
        """Queries that are worked on together."""
        cfg, head, digits = self.config, self.head, self.config.softmax_digits
        if self.tiles > cfg.softmax_words:
            raise BadInput(
                f"{head.keys} keys are rows of {self.tiles} words, and softmax_words is {cfg.softmax_words}; "
                "build the accelerator with longer rows"
            )
        if 2 * self.block > cfg.weight_words:
            raise BadInput(
                f"keys and values take {2 * self.block} words of weights, and weight_words is {cfg.weight_words}; "
                "build the accelerator with more"
            )
        if 2 * align(self.block, self.unit) > cfg.act_words:
            raise BadInput(
                f"keys and transposed keys take {2 * self.block} words, and act_words is {cfg.act_words}; "
                "build the accelerator with more"
            )
        per_row = self.chunks + digits * self.tiles + align(self.chunks, self.unit)
        limits = {
            "act_words": (cfg.act_words - 2 * self.unit) // per_row,
            "acc_words": cfg.acc_words // (self.tiles + digits * self.chunks),
            "parameter_words": cfg.parameter_words - self._first_scale,
            "dsp_tile": cfg.dsp_tile,
        }
        name, rows = min(limits.items(), key=lambda item: item[1])
        if rows < 1:
            raise BadInput(
                f"one query with {head.keys} keys does not fit into {name}={getattr(cfg, name)}; build the "
                "accelerator with more"
            )
        return min(rows, head.queries)

    @property
    def _first_scale(self) -> int:
        """Parameter word of a band's first row; the words before it hold the constants of the logits."""
        return max(1, self.config.bus_bytes // self.config.parameter.word_bytes)

    def attention(self) -> Attention:
        """Emit everything."""
        head, image, lanes = self.head, self.image, self.config.lanes
        tensors = [image.tensor((rows, 1, head.features)) for rows in (head.queries, self.keys, self.keys)]
        query, key, value = (_Rows(tensor, self.chunks * lanes) for tensor in tensors)
        result = image.tensor((head.queries, 1, head.features))
        blocks = image.reserve(self.block * lanes)
        multiplier, shift = scale_constants(head.logit_scale * (1 << LOGIT_FRACTION), self.config.scale_bits)
        zero = np.zeros(lanes, np.int64)
        word = pack_parameters(Requantiser(zero, zero + multiplier, zero + shift), lanes)
        constants = image.constant(len(word), lambda: word)
        self.builder.reach(image.bytes)
        self._keys(key, blocks)
        self._load_values(value)
        size = self.config.parameter.word_bytes
        self._plain(constants, size, "parameter", 0, size)
        for first in range(0, head.queries, self.rows):
            self._queries(
                query, _Rows(result, self.chunks * lanes), first, min(self.rows, head.queries - first)
            )
        program = self.builder.program()
        image.program(program)
        counts = (head.queries, head.keys, head.keys)
        shown = [
            Tensor(t.address, (rows, 1, head.features), t.pixel, t.pitch)
            for t, rows in zip(tensors, counts, strict=True)
        ]
        return Attention(head, self.config, program, image, shown[0], shown[1], shown[2], result)

    # Keys and values.

    def _keys(self, key: _Rows, blocks: int) -> None:
        """Keys, transposed, as blocks of weights."""
        b, lanes = self.builder, self.config.lanes
        turned = align(self.block, self.unit)
        self._window(key, self.keys, 1, 0)
        self._load_rows(key, 0, self.keys, "act", 0)
        # Block (t, c) has a word for each of its features, the last one first; a word is that of `lanes` keys.
        b.set("vec.shape", r0=lanes, r1=1, n0=lanes, n1=self.chunks, n2=self.tiles, **_PLAIN)
        b.set("vec.source", r0=self.chunks, r1=0, n0=0, n1=1, n2=lanes * self.chunks)
        b.set("vec.target", n0=-1, n1=lanes, n2=lanes * self.chunks, parameter_n2=0, weight0=1, weight1=1)
        b.emit(
            "vec.run", op="transpose", source=0, target=turned + lanes - 1, parameter=0, planes=1,
            reads=[Region.span("act", 0, self.block)], writes=[Region.span("act", turned, self.block)],
        )  # fmt: skip
        size = self.block * lanes
        most = (1 << 19) // self.config.bus_bytes * self.config.bus_bytes
        for at in range(0, size, most):
            count = min(most, size - at)
            b.emit(
                "store.run", address=blocks + at, source=turned + at // lanes, run_bytes=count, run_count=1,
                reads=[Region.span("act", turned + at // lanes, ceil_div(count, lanes))],
                writes=[Region.dram(blocks + at, count)],
            )  # fmt: skip
        self._plain(blocks, size, "weight", 0, lanes)

    def _load_values(self, value: _Rows) -> None:
        """Values as blocks of weights: a column of words after the other. Their keys are counted backwards."""
        lanes = self.config.lanes
        self._window(value, self.keys, self.chunks, lanes)
        target = self.block * lanes
        self.builder.emit(
            "load.run", address=value.tensor.address, buffer="weight", target=target, run_bytes=lanes,
            run_count=self.keys, windowed=1, reads=[Region.dram(value.tensor.address, value.tensor.bytes)],
            writes=[Region.span("weight", self.block, self.block)],
        )  # fmt: skip

    # Queries.

    def _queries(self, query: _Rows, result: _Rows, first: int, rows: int) -> None:
        """Some queries from scores to results."""
        b, cfg, head = self.builder, self.config, self.head
        digits = cfg.softmax_digits
        tiles, chunks = self.tiles, self.chunks
        exponentials = align(rows * chunks, self.unit)
        out = exponentials + align(digits * rows * tiles, self.unit)
        pitch = align(chunks, self.unit)  # STORE reads whole words of the bus
        self._window(query, head.queries, 1, 0)
        self._load_rows(query, first, rows, "act", 0)
        # Scores: tile by tile, a word of sums per query.
        self._product(0, chunks, chunks, 0, 0, tiles, rows)
        b.set("vec.shape", r0=1, r1=1, n0=tiles, n1=rows, n2=1, **_PLAIN)
        b.set("vec.source", r0=0, r1=0, n0=rows, n1=1, n2=0)
        b.set("vec.target", n0=1, n1=tiles, n2=0, parameter_n2=0, weight0=1, weight1=1)
        seen = head.keys - head.queries + first + 1 if head.causal else head.keys
        scales = self._first_scale
        for digit in range(digits):
            b.set(
                "vec.row",
                keep=seen,
                keep_step=int(head.causal),
                digit=digit,
                parameter=scales,
                shift=head.shift,
            )
            at = exponentials + digit * rows * tiles
            b.emit(
                "vec.run", op="softmax", source=0, target=at, parameter=0, planes=1,
                reads=[Region.span("acc", 0, tiles * rows), Region.span("parameter", 0, 1)],
                writes=[Region.span("act", at, rows * tiles), Region.span("parameter", scales, rows)],
            )  # fmt: skip
        sums = tiles * rows
        for digit in range(digits):
            at = exponentials + digit * rows * tiles
            self._product(at, tiles, tiles, self.block, sums + digit * rows * chunks, chunks, rows)
        b.set("vec.shape", r0=digits, r1=1, n0=chunks, n1=1, n2=rows, **{**_PLAIN, "digits": int(digits > 1)})
        b.set("vec.source", r0=rows * chunks, r1=0, n0=rows, n1=0, n2=1)
        b.set("vec.target", n0=1, n1=0, n2=pitch, parameter_n2=1, weight0=1, weight1=1)
        b.emit(
            "vec.run", op="requantise", source=sums, target=out, parameter=scales, planes=1,
            reads=[Region.span("acc", sums, digits * rows * chunks), Region.span("parameter", scales, rows)],
            writes=[Region.span("act", out, rows * pitch)],
        )  # fmt: skip
        self._store(result, first, rows, out, pitch)

    def _product(
        self, act: int, stride: int, inner: int, weight: int, acc: int, tiles: int, rows: int
    ) -> None:
        """Sums of ``rows`` outputs, each of ``inner`` words in a row, in ``tiles`` tiles."""
        b, lanes = self.builder, self.config.lanes
        b.set(
            "dsp.shape", x_count=rows, x_stride=stride, y_count=1, y_stride=0, c_count=inner, kx_count=1, kx_stride=0,
            ky_count=1, ky_stride=0,
        )  # fmt: skip
        b.emit(
            "dsp.run", act=act, weight=weight, acc=acc, tiles=tiles, acc_stride=rows,
            reads=[Region.span("act", act, rows * stride), Region.span("weight", weight, tiles * inner * lanes)],
            writes=[Region.span("acc", acc, tiles * rows)],
        )  # fmt: skip

    # Transfers.

    def _window(self, source: _Rows, rows: int, groups: int, step: int) -> None:
        t = source.tensor
        self.builder.set(
            "load.window", row_pitch=t.pitch, row_bytes=source.width, row_count=rows, pad_value=0, x_step=step
        )
        self.builder.set("load.position", x_start=0, y_start=0, group_count=groups)

    def _load_rows(self, source: _Rows, first: int, rows: int, buffer: str, word: int) -> None:
        """Whole rows, one behind the other."""
        t = source.tensor
        self.builder.set("load.position", x_start=0, y_start=first, group_count=1)
        address = t.address + first * t.pitch
        words = rows * self.chunks
        self.builder.emit(
            "load.run", address=address, buffer=buffer, target=word * self.config.lanes, run_bytes=source.width,
            run_count=rows, windowed=1, reads=[Region.dram(address, rows * t.pitch)],
            writes=[Region.span(buffer, word, align(words, self.unit))],
        )  # fmt: skip

    def _plain(self, address: int, size: int, buffer: str, word: int, word_bytes: int) -> None:
        """Bytes of DRAM to a buffer, as they are."""
        most = 1 << 19
        for at in range(0, size, most):
            count = min(most, size - at)
            written = align(align(count, self.config.lanes), self.config.bus_bytes)
            begin = word + at // word_bytes
            self.builder.emit(
                "load.run", address=address + at, buffer=buffer, target=word * word_bytes + at, run_bytes=count,
                reads=[Region.dram(address + at, count)],
                writes=[Region.span(buffer, begin, ceil_div(written, word_bytes))],
            )  # fmt: skip

    def _store(self, result: _Rows, first: int, rows: int, word: int, pitch: int) -> None:
        """Rows that begin ``pitch`` words one behind the other."""
        t = result.tensor
        address = t.address + first * t.pitch
        self.builder.set("store.window", row_pitch=t.pitch, source_pitch=pitch)
        self.builder.emit(
            "store.run", address=address, source=word, run_bytes=result.width, run_count=rows,
            reads=[Region.span("act", word, rows * pitch)], writes=[Region.dram(address, rows * t.pitch)],
        )  # fmt: skip
