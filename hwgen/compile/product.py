"""Convolutions and GEMMs as instructions, their output channels split between the two cores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from hwgen.compile.builder import Builder, Region
from hwgen.compile.image import Image, Tensor, align, pack_parameters
from hwgen.compile.network import LayerData
from hwgen.compile.plan import PARAMETER_PLACES, Geometry, Plan
from hwgen.compile.steps import Work
from hwgen.numerics import IntArray, ceil_div
from hwgen.system.config import SystemConfig
from hwgen.workloads.layers import Layer

__all__ = ["Band", "Product", "Rect", "Turns", "Visit", "parameter_place"]

Rect = tuple[int, int, int, int]
"""Outputs of a band: first row, rows, first column, columns."""


@dataclass
class Turns:
    """Which of several places is used next; kept over layers, so that one fills while the other empties."""

    counts: dict[str, int] = field(default_factory=dict)

    def next(self, name: str, places: int = 2) -> int:
        """The place after the one given out last."""
        turn = self.counts.get(name, -1) + 1
        self.counts[name] = turn
        return turn % places


def parameter_place(config: SystemConfig, turns: Turns, user: str) -> int:
    """First word of the part that ``dsp``, ``lut`` or ``vec`` fills next."""
    first, places = {"dsp": (0, 3), "lut": (3, 3), "vec": (6, 2)}[user]
    return (first + turns.next(f"parameter_{user}", places)) * (config.parameter_words // PARAMETER_PLACES)


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
    """

    tile: int
    tiles: int
    rect: Rect
    stride: int
    parameter: int = 0
    acc: int = 0


@dataclass
class Band:
    """Rows of outputs that are worked on together.

    Parameters
    ----------
    first, rows : int
        First row, and how many.
    source, target, planes : int
        First words of its input, its output and its plane words; known once it is loaded, begun, converted.
    """

    first: int
    rows: int
    source: int = 0
    target: int = 0
    planes: int = 0


@dataclass
class Product:
    """A product layer being lowered: what both cores share.

    Parameters
    ----------
    builder, image, turns
        What the whole program shares.
    layer, data : Layer, LayerData
        The layer.
    g, plan : Geometry, Plan
        How it is cut.
    source, result : Tensor
        Where its input and output lie.
    zero : int
        Value of padding.
    barrier : bool
        The input is made by the step before this layer's first.
    """

    builder: Builder
    image: Image
    turns: Turns
    layer: Layer
    data: LayerData
    g: Geometry
    plan: Plan
    source: Tensor
    result: Tensor
    zero: int
    barrier: bool

    def __post_init__(self) -> None:
        cfg = self.config = self.builder.config
        self.unit = max(1, cfg.bus_bytes // cfg.lanes)
        self.row_words = self.g.row_words(self.unit)
        self.out_row = ceil_div(self.g.size[1] * self.g.tiles, self.unit) * self.unit
        self.places = 2 if self.plan.double else 1
        self.region = cfg.act_words // (2 * self.places)
        self.band = Band(0, 0)  # the one at work
        assert self.data.weight is not None
        self.weight = _padded(self.data.weight, self.layer, self.g)
        parameters = pack_parameters(self.data.requantiser, cfg.lanes)
        self.parameters = self.image.constant(len(parameters), lambda: parameters)

    @property
    def double(self) -> bool:
        """Whether a band's input leaves room for the next one's."""
        return self.plan.double

    def work(self) -> Iterator[Work]:
        """The layer's bands."""
        from hwgen.compile.cores import DspShare, LutShare

        dsp = DspShare(self, self.g.tiles - self.plan.lut_tiles)
        lut = LutShare(self, self.g.tiles - self.plan.lut_tiles, self.plan.lut_tiles)
        for first in range(0, self.g.size[0], self.plan.band):
            band = Band(first, min(self.plan.band, self.g.size[0] - first))
            yield Work(
                self.layer.name,
                [*dsp.steps(band), *lut.steps(band)],
                inputs=partial(self._load_band, band),
                prepare=partial(lut.prepare, band),
                begin=partial(self._begin_band, band),
                end=partial(self._end_band, band),
                # One place for a band's input: it is free when the band before has been computed.
                barrier=not self.plan.double or (self.barrier and first == 0),
            )

    def load(self, address: int, size: int, buffer: str, word: int, word_bytes: int) -> None:
        """Emit plain runs of constants to a buffer, from its ``word`` on."""
        cfg = self.config
        most = (1 << 20) - max(cfg.bus_bytes, cfg.lanes)
        target = word * word_bytes
        for at in range(0, size, most):
            count = min(most, size - at)
            written = align(align(count, cfg.lanes), cfg.bus_bytes)
            words = slice((target + at) // word_bytes, ceil_div(target + at + written, word_bytes))
            self.builder.emit(
                "load.run", address=address + at, buffer=buffer, target=target + at, run_bytes=count,
                reads=[Region.dram(address + at, count)], writes=[Region(buffer, words)],
            )  # fmt: skip

    def load_parameters(self, visit: Visit, user: str) -> None:
        """Emit the load of the visited tiles' parameters."""
        word = self.config.parameter.word_bytes
        visit.parameter = parameter_place(self.config, self.turns, user)
        self.load(self.parameters + visit.tile * word, visit.tiles * word, "parameter", visit.parameter, word)

    def _load_band(self, band: Band) -> None:
        """The input of a band, padding included."""
        g, b, tensor = self.g, self.builder, self.source
        band.source = self.turns.next("act", self.places) * self.region
        top, left = g.pad[0], g.pad[1]
        h, w, _ = g.source
        b.set(
            "load.window", row_pitch=tensor.pitch, row_bytes=w * tensor.pixel, row_count=h, pad_value=self.zero,
            x_step=g.stride[1] * tensor.pixel if g.gathered else 0,
        )  # fmt: skip
        if g.gathered:
            for row in range(band.rows):
                y = (band.first + row) * g.stride[0] - top
                b.set("load.position", x_start=-left * tensor.pixel, y_start=y, group_count=g.size[1])
                self._load_window(
                    y, band.source + row * self.row_words, self.row_words, g.kernel[1], g.kernel[0]
                )
        else:
            y, count = band.first * g.stride[0] - top, g.rows(band.rows)
            b.set("load.position", x_start=-left * tensor.pixel, y_start=y, group_count=1)
            self._load_window(y, band.source, align(count * self.row_words, self.unit), g.padded_width, count)

    def _load_window(self, y: int, word: int, words: int, pixels: int, count: int) -> None:
        """One windowed run: ``count`` rows from ``y`` on, to ``words`` words."""
        tensor = self.source
        low, high = max(y, 0), min(y + count, tensor.shape[0])
        reads = [Region.dram(tensor.address + low * tensor.pitch, (high - low) * tensor.pitch)]
        address = tensor.address + y * tensor.pitch - self.g.pad[1] * tensor.pixel
        self.builder.emit(
            "load.run", address=address, buffer="act", target=word * self.config.lanes,
            run_bytes=pixels * tensor.pixel, run_count=count, windowed=1, reads=reads if high > low else [],
            writes=[Region.span("act", word, words)],
        )  # fmt: skip

    def _begin_band(self, band: Band) -> None:
        self.band = band
        band.target = (2 * self.places - 1 - self.turns.next("out", self.places)) * self.region

    def _end_band(self, band: Band) -> None:
        b, tensor = self.builder, self.result
        b.set("store.window", row_pitch=tensor.pitch, source_pitch=self.out_row)
        address, rows = tensor.address + band.first * tensor.pitch, band.rows
        b.emit(
            "store.run", address=address, source=band.target, run_bytes=self.g.size[1] * tensor.pixel, run_count=rows,
            reads=[Region.span("act", band.target, rows * self.out_row)],
            writes=[Region.dram(address, rows * tensor.pitch)],
        )  # fmt: skip

    def sums(self, engine: str) -> int:
        """First word of the place that an engine's next sums go to; places are in banks of their own."""
        shared = 0 < self.plan.lut_tiles < self.g.tiles
        place = self.config.acc_words // (4 if shared else 2)
        base = 2 * place if shared and engine == "lut" else 0
        return base + self.turns.next(f"acc_{engine}") * place

    def requantise(self, visit: Visit) -> None:
        """Emit what brings sums to the band's output."""
        g, b, r = self.g, self.builder, self.data.requantiser
        y, rows, x, columns = visit.rect
        base = self.band.target + y * self.out_row + x * g.tiles + visit.tile
        b.set(
            "vec.shape",
            n0=columns,
            n1=rows,
            n2=visit.tiles,
            rounding=r.rounding,
            zero=r.zero,
            low=r.low,
            high=r.high,
        )
        b.set("vec.source", n0=1, n1=columns, n2=visit.stride)
        b.set("vec.target", n0=g.tiles, n1=self.out_row, n2=1, parameter_n2=1)
        pixels = np.add.outer(np.arange(rows) * self.out_row, np.arange(columns) * g.tiles)
        words = np.add.outer(pixels, np.arange(visit.tiles)).reshape(-1)
        sums = [Region.span("acc", visit.acc + t * visit.stride, rows * columns) for t in range(visit.tiles)]
        b.emit(
            "vec.run", op="requantise", source=visit.acc, target=base, parameter=visit.parameter,
            reads=[*sums, Region.span("parameter", visit.parameter, visit.tiles)],
            writes=[Region("act", base + words)],
        )  # fmt: skip


def _padded(weight: IntArray, layer: Layer, g: Geometry) -> IntArray:
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
