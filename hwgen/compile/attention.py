"""Attention as a program: scores, softmax and the product with the values without leaving the chip.

    scores = Q · Kᵀ  (DSP)  ─►  exponentials, a scale per row  (VEC)  ─►  exponentials · V  (DSP)  ─►  scaled  (VEC)

The rows are divided by their sums after the product with the values (late normalisation). What the DSP core
multiplies with comes from DRAM; the values lie there as it wants them, row by row, but keys do not: VEC transposes
them first, by way of DRAM, because no engine writes into the buffer of weights but LOAD.

Bands of queries take turns: while VEC works on the scores of one, the DSP core multiplies for another. With a mask a
band's scores are those of its key tiles only, one beside the other, as if there were no other keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.compile.attention_plan import Band, Head, Place, Plan, plan_attention
from hwgen.compile.builder import Builder, Region
from hwgen.compile.image import Image, Tensor, align, pack_parameters
from hwgen.compile.masks import Stretch, stretches
from hwgen.compile.network import Requantiser
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, ceil_div
from hwgen.parts.requantise.scales import scale_constants
from hwgen.program.program import Program
from hwgen.system.config import SystemConfig

__all__ = ["Attention", "Head", "compile_attention"]

LOGIT_FRACTION = 8
"""Fraction bits of a logit."""

_PIECE = 16
"""Key tiles that are transposed at once: a piece's way to DRAM and back runs beside the next one's."""


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
        If the accelerator has no softmax or no DSP core, or the head does not fit, or a query sees no key.
    """
    if config.softmax is None or not config.dsp:
        raise BadInput("attention needs dsp=true and softmax_words; build the accelerator with both")
    return _Lowering(config, head, plan_attention(config, head)).attention()


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
    plan : Plan
        Bands and places.
    """

    def __init__(self, config: SystemConfig, head: Head, plan: Plan):
        self.config, self.head, self.plan = config, head, plan
        self.chunks = plan.chunks
        self.unit = max(1, config.bus_bytes // config.lanes)
        tiles = max(plan.tiles, plan.loaded[-1][1])
        self.keys = tiles * config.lanes  # rows of keys and values in DRAM, with those that only fill words
        self.block = self.chunks * plan.slots * config.lanes  # words of keys, or of values
        self.missing = np.ones(tiles, bool)  # tiles of values that nobody loaded yet
        self.image = Image(config)
        self.builder = Builder(config)

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
        size = self.config.parameter.word_bytes
        self.builder.load(constants, size, "parameter", 0, size)
        self._bands(query, value, _Rows(result, self.chunks * lanes))
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
        turned = self.config.act_words // 2  # other banks than those of the keys as they are
        tile = self.chunks * lanes  # words
        pieces = list(self._pieces())
        for slot, begin, end in pieces:
            self._load_rows(key, self.keys, begin * lanes, (end - begin) * lanes, slot * tile)
        b.set("vec.source", r0=self.chunks, r1=0, n0=0, n1=1, n2=tile)
        b.set("vec.target", n0=-1, n1=lanes, n2=tile, parameter_n2=0, weight0=1, weight1=1)
        most = (1 << 19) // self.config.bus_bytes * self.config.bus_bytes
        for slot, begin, end in pieces:
            # Block (t, c) has a word for each of its features, the last one first; a word is that of `lanes` keys.
            b.set("vec.shape", r0=lanes, r1=1, n0=lanes, n1=self.chunks, n2=end - begin, **_PLAIN)
            at, words = slot * tile, (end - begin) * tile
            b.emit(
                "vec.run", op="transpose", source=at, target=turned + at + lanes - 1, parameter=0, planes=1,
                reads=[Region.span("act", at, words)], writes=[Region.span("act", turned + at, words)],
            )  # fmt: skip
            for first in range(0, words * lanes, most):
                count, source = min(most, words * lanes - first), turned + at + first // lanes
                address = blocks + at * lanes + first
                b.emit(
                    "store.run", address=address, source=source, run_bytes=count, run_count=1,
                    reads=[Region.span("act", source, ceil_div(count, lanes))], writes=[Region.dram(address, count)],
                )  # fmt: skip
        for slot, begin, end in pieces:
            at = slot * tile
            self.builder.load(blocks + at * lanes, (end - begin) * tile * lanes, "weight", at, lanes)

    def _pieces(self) -> Iterator[tuple[int, int, int]]:
        """Key tiles in pieces: where the first one lies on the chip, the first tile, one behind the last."""
        slot = 0
        for begin, end in self.plan.loaded:
            for first in range(begin, end, _PIECE):
                last = min(first + _PIECE, end)
                yield slot, first, last
                slot += last - first

    def _load_values(self, value: _Rows, tiles: tuple[Stretch, ...]) -> None:
        """Values as blocks of weights, those that are not there yet: a column of words after the other.

        Their keys are counted backwards, because softmax writes a word's elements backwards.
        """
        lanes, slots = self.config.lanes, self.plan.slots
        wanted = np.zeros_like(self.missing)
        for begin, end in tiles:
            wanted[begin:end] = True
        wanted &= self.missing
        self.missing &= ~wanted
        for begin, end in stretches(wanted):
            rows, first = (end - begin) * lanes, begin * lanes
            address = value.tensor.address + first * value.tensor.pitch
            reads = [Region.dram(address, rows * value.tensor.pitch)]
            # Columns follow each other without a gap only if they are whole.
            groups = self.chunks if end - begin == slots else 1
            for column in range(0, self.chunks, groups):
                at = self.block + (column * slots + self.plan.slot(begin)) * lanes
                self._window(value, self.keys, groups, lanes, first, column * lanes)
                self.builder.emit(
                    "load.run", address=address + column * lanes, buffer="weight", target=at * lanes, run_bytes=lanes,
                    run_count=rows, windowed=1, reads=reads,
                    writes=[Region.span("weight", at, groups * rows)],
                )  # fmt: skip

    # Queries.

    def _bands(self, query: _Rows, value: _Rows, result: _Rows) -> None:
        """All queries. With two places a band's products come after the next band's scores."""
        bands, places = self.plan.bands, self.plan.places
        behind = len(places) - 1
        self._fetch(query, value, 0)
        for i in range(len(bands) + behind):
            if i < len(bands):
                self._scores(bands[i], places[i % len(places)])
                if i + 1 < len(bands):
                    self._fetch(query, value, i + 1)
            if i >= behind:
                self._results(result, bands[i - behind], places[(i - behind) % len(places)])

    def _fetch(self, query: _Rows, value: _Rows, number: int) -> None:
        """What a band needs from DRAM."""
        band, places = self.plan.bands[number], self.plan.places
        place = places[number % len(places)]
        self._load_rows(query, self.head.queries, band.first, band.rows, place.queries)
        self._load_values(value, band.loaded)

    def _scores(self, band: Band, place: Place) -> None:
        """Scores and their exponentials."""
        b, head, rows, kept = self.builder, self.head, band.rows, band.kept
        # Tile by tile, a word of sums per query.
        tile = 0
        for begin, end in band.slots:
            at = place.scores + tile * rows
            self._product(
                band, place.queries, (self.chunks, 1), self.chunks, begin * self.chunks, at, end - begin
            )
            tile += end - begin
        b.set("vec.shape", r0=1, r1=1, n0=kept, n1=rows, n2=1, **_PLAIN)
        b.set("vec.source", r0=0, r1=0, n0=rows, n1=1, n2=0)
        b.set("vec.target", n0=1, n1=kept, n2=0, parameter_n2=0, weight0=1, weight1=1)
        for digit in range(self.config.softmax_digits):
            b.set(
                "vec.row", keep=band.keep, keep_step=int(head.causal), digit=digit, parameter=place.scales,
                shift=head.shift,
            )  # fmt: skip
            at = place.exponentials + digit * rows * kept
            b.emit(
                "vec.run", op="softmax", source=place.scores, target=at, parameter=0, planes=1,
                reads=[Region.span("acc", place.scores, kept * rows), Region.span("parameter", 0, 1)],
                writes=[Region.span("act", at, rows * kept), Region.span("parameter", place.scales, rows)],
            )  # fmt: skip

    def _results(self, result: _Rows, band: Band, place: Place) -> None:
        """Exponentials times values, scaled, to DRAM."""
        b, rows, kept, chunks = self.builder, band.rows, band.kept, self.chunks
        digits, slots = self.config.softmax_digits, self.plan.slots
        first = self.block // self.config.lanes  # the values' first block of weights
        if kept == slots:
            self._product(band, place.exponentials, (kept, digits), kept, first, place.sums, chunks)
        else:
            for chunk in range(chunks):
                tile, at = 0, place.sums + chunk * digits * rows
                for begin, end in band.slots:
                    self._product(
                        band, place.exponentials + tile, (kept, digits), end - begin, first + chunk * slots + begin, at,
                        1, accumulate=tile > 0, more=tile + end - begin < kept,
                    )  # fmt: skip
                    tile += end - begin
        pitch = align(chunks, self.unit)
        b.set("vec.shape", r0=digits, r1=1, n0=chunks, n1=1, n2=rows, **{**_PLAIN, "digits": int(digits > 1)})
        b.set("vec.source", r0=rows, r1=0, n0=digits * rows, n1=0, n2=1)
        b.set("vec.target", n0=1, n1=0, n2=pitch, parameter_n2=1, weight0=1, weight1=1)
        b.emit(
            "vec.run", op="requantise", source=place.sums, target=place.out, parameter=place.scales, planes=1,
            reads=[
                Region.span("acc", place.sums, digits * rows * chunks),
                Region.span("parameter", place.scales, rows),
            ],
            writes=[Region.span("act", place.out, rows * pitch)],
        )  # fmt: skip
        self._store(result, band.first, rows, place.out, pitch)

    def _product(
        self, band: Band, act: int, pitch: tuple[int, int], inner: int, block: int, acc: int, tiles: int,
        *, accumulate: bool = False, more: bool = False,
    ) -> None:  # fmt: skip
        """Sums of a band's rows, each of ``inner`` words, in ``tiles`` tiles.

        ``pitch`` are the words from one row to the next, and how many operands a row has: its digits, those of all
        rows one behind the other. ``block`` is the first block of weights. ``more``: the next product adds to these.
        """
        b, lanes, rows = self.builder, self.config.lanes, band.rows
        stride, digits = pitch
        outputs = digits * rows
        b.set(
            "dsp.shape", x_count=rows, x_stride=stride, y_count=digits, y_stride=rows * stride if digits > 1 else 0,
            c_count=inner, kx_count=1, kx_stride=0, ky_count=1, ky_stride=0,
        )  # fmt: skip
        reach = (outputs - 1) * stride + inner
        b.emit(
            "dsp.run", act=act, weight=block * lanes, acc=0 if more else acc, tiles=tiles,
            acc_stride=outputs if tiles > 1 else 0, accumulate=int(accumulate), keep=int(more),
            reads=[Region.span("act", act, reach), Region.span("weight", block * lanes, tiles * inner * lanes)],
            writes=[] if more else [Region.span("acc", acc, tiles * outputs)],
        )  # fmt: skip

    # Transfers.

    def _window(self, source: _Rows, rows: int, groups: int, step: int, first: int, column: int) -> None:
        """What the next runs read: groups of runs from row ``first`` and byte ``column`` on."""
        t = source.tensor
        self.builder.set(
            "load.window", row_pitch=t.pitch, row_bytes=source.width, row_count=rows, pad_value=0, x_step=step
        )
        self.builder.set("load.position", x_start=column, y_start=first, group_count=groups)

    def _load_rows(self, source: _Rows, total: int, first: int, rows: int, word: int) -> None:
        """Whole rows to activations, one behind the other; there are ``total`` in DRAM."""
        t = source.tensor
        self._window(source, total, 1, 0, first, 0)
        address = t.address + first * t.pitch
        words = rows * self.chunks
        self.builder.emit(
            "load.run", address=address, buffer="act", target=word * self.config.lanes, run_bytes=source.width,
            run_count=rows, windowed=1, reads=[Region.dram(address, rows * t.pitch)],
            writes=[Region.span("act", word, align(words, self.unit))],
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
