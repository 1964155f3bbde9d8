"""Convolutions and GEMMs as instructions: what all cores share, and the split between the dense ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from hwgen.compile.banded import Band, Banded, parameter_place
from hwgen.compile.builder import Region
from hwgen.compile.image import Tensor, pack_parameters
from hwgen.compile.plan import Bands, Geometry, Plan
from hwgen.compile.steps import Work
from hwgen.numerics import IntArray
from hwgen.workloads.layers import Layer

__all__ = ["DenseProduct", "Product", "Rect", "Visit", "padded_weight"]

Rect = tuple[int, int, int, int]
"""Outputs of a band: first row, rows, first column, columns."""


@dataclass
class Visit:
    """Column tiles that a core computes for some outputs, and where their things lie.

    Parameters
    ----------
    tile, tiles : int
        First column tile, and how many.
    rect : tuple of int
        The outputs.
    parameter, acc : int
        First words in the buffers; known once the instructions that fill them are emitted.
    stride : int
        Words of sums per tile.
    parts : int
        Parts that a sum comes in, each ``tiles * stride`` words behind the one before; they are added up.
    """

    tile: int
    tiles: int
    rect: Rect
    stride: int
    parameter: int = 0
    acc: int = 0
    parts: int = 1


@dataclass
class Product(Banded):
    """A product layer being lowered: what all cores share.

    Parameters
    ----------
    plan : Bands
        How it is cut.
    source : Tensor
        Where its input lies.
    """

    plan: Bands
    source: Tensor

    def __post_init__(self) -> None:
        self._cut(self.plan.band, self.plan.columns, self.plan.double)
        assert self.data.weight is not None
        self.weight = padded_weight(self.data.weight, self.layer, self.g)
        parameters = pack_parameters(self.data.requantiser, self.config.lanes)
        self.parameters = self.image.constant(len(parameters), lambda: parameters)

    def load_parameters(self, visit: Visit, user: str) -> None:
        """Emit the load of the visited tiles' parameters."""
        word = self.config.parameter.word_bytes
        visit.parameter = parameter_place(self.config, self.turns, user)
        self.builder.load(
            self.parameters + visit.tile * word, visit.tiles * word, "parameter", visit.parameter, word
        )

    def _load_band(self, band: Band) -> None:
        """The input of a band, padding included."""
        g, tensor = self.g, self.source
        band.source = self.turns.next("act", self.places) * self.region
        if not g.gathered:
            self._load_rows(tensor, band, band.source, self.zero)
            return
        self._window(tensor, g.stride[1] * tensor.pixel, self.zero)
        x = (band.left * g.stride[1] - g.pad[1]) * tensor.pixel
        for row in range(band.rows):
            y = (band.first + row) * g.stride[0] - g.pad[0]
            self.builder.set("load.position", x_start=x, y_start=y, group_count=band.columns)
            word = band.source + row * band.row_words
            self._windowed(tensor, x, y, word, band.row_words, g.kernel[1] * tensor.pixel, g.kernel[0])

    def requantise(self, visit: Visit) -> None:
        """Emit what brings sums to the band's output."""
        g, b, r = self.g, self.builder, self.data.requantiser
        y, rows, x, columns = visit.rect
        base = self.band.target + y * self.band.out_row + x * g.tiles + visit.tile
        parts = visit.parts
        b.set(
            "vec.shape",
            r0=parts,
            n0=columns,
            n1=rows,
            n2=visit.tiles,
            rounding=self.config.roundings.index(r.rounding),
            zero=r.zero,
            low=r.low,
            high=r.high,
        )
        size = visit.tiles * visit.stride
        b.set("vec.source", r0=size if parts > 1 else 0, n0=1, n1=columns, n2=visit.stride)
        b.set("vec.target", n0=g.tiles, n1=self.band.out_row, n2=1, parameter_n2=1)
        pixels = np.add.outer(np.arange(rows) * self.band.out_row, np.arange(columns) * g.tiles)
        words = np.add.outer(pixels, np.arange(visit.tiles)).reshape(-1)
        tiles = [(part * visit.tiles + t) * visit.stride for part in range(parts) for t in range(visit.tiles)]
        sums = [Region.span("acc", visit.acc + at, rows * columns) for at in tiles]
        b.emit(
            "vec.run", op="requantise", source=visit.acc, target=base, parameter=visit.parameter,
            reads=[*sums, Region.span("parameter", visit.parameter, visit.tiles)],
            writes=[Region("act", base + words)],
        )  # fmt: skip


@dataclass
class DenseProduct(Product):
    """A product whose output channels are split between the DSP and the LUT core."""

    plan: Plan

    def work(self) -> Iterator[Work]:
        """The layer's bands."""
        from hwgen.compile.cores import DspShare, LutShare

        dsp = DspShare(self, self.g.tiles - self.plan.lut_tiles)
        lut = LutShare(self, self.g.tiles - self.plan.lut_tiles, self.plan.lut_tiles)
        for band in self.bands:
            yield Work(
                self.layer.name,
                [*dsp.steps(band), *lut.steps(band)],
                inputs=partial(self._load_band, band),
                prepare=partial(lut.prepare, band),
                begin=partial(self._begin, band),
                end=partial(self._end, band),
                barrier=self._waits(band),
            )

    def sums(self, engine: str) -> int:
        """First word of the place that an engine's next sums go to; places are in banks of their own."""
        shared = 0 < self.plan.lut_tiles < self.g.tiles
        place = self.config.acc_words // (4 if shared else 2)
        base = 2 * place if shared and engine == "lut" else 0
        return base + self.turns.next(f"acc_{engine}") * place


def padded_weight(weight: IntArray, layer: Layer, g: Geometry) -> IntArray:
    """Weights as (kernel rows, kernel columns, channels in whole words, outputs in whole tiles), groups as zeros."""
    if layer.groups > 1:
        full = np.zeros((*weight.shape[:2], g.source[2], g.size[2]), weight.dtype)
        inner, outer = weight.shape[2], weight.shape[3] // layer.groups
        for group in range(layer.groups):
            ins, outs = slice(group * inner, (group + 1) * inner), slice(group * outer, (group + 1) * outer)
            full[:, :, ins, outs] = weight[..., outs]
        weight = full
    if g.gathered:
        weight = weight.reshape(1, 1, -1, weight.shape[3])
    channels = g.words * g.lanes - weight.shape[2]
    outputs = g.tiles * g.lanes - weight.shape[3]
    return np.pad(weight, ((0, 0), (0, 0), (0, channels), (0, outputs)))
