"""What each core does for a product: loads of its weights, its runs, and for the LUT core the conversion to planes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from hwgen.compile.banded import Band
from hwgen.compile.builder import Region
from hwgen.compile.image import Bytes, align, pack_dsp, pack_lut
from hwgen.compile.plan import RESIDENT, Part, Planes, channel_chunks, cut, unit_rows
from hwgen.compile.product import DenseProduct, Rect, Visit
from hwgen.compile.steps import Step

__all__ = ["DspShare", "LutShare"]


@dataclass
class _Group:
    """Column tiles whose weights are in the buffer together.

    Parameters
    ----------
    tile, tiles : int
        First tile, and how many.
    parts : list of Part
        Parts of the sums; more than one if not even one tile's weights fit.
    blocks : list of tuple of int
        Address and size of each part's weights.
    weight, parameter : int
        Where they lie in the buffers.
    """

    tile: int
    tiles: int
    parts: list[Part]
    blocks: list[tuple[int, int]]
    weight: int = 0
    parameter: int = 0


@dataclass
class _Place:
    """Where a step's weights begin in their buffer."""

    weight: int = 0


@dataclass
class DspShare:
    """The DSP core's column tiles of a product: the first ones."""

    product: DenseProduct
    tiles: int
    groups: list[_Group] = field(init=False)

    def __post_init__(self) -> None:
        p = self.product
        self.groups = []
        for tile in range(0, self.tiles, p.plan.dsp_group):
            tiles = min(p.plan.dsp_group, self.tiles - tile)
            parts = list(p.plan.parts)
            if p.layer.groups > 1:
                inner, outer = p.g.source[2] // p.layer.groups, p.g.size[2] // p.layer.groups
                first, count = channel_chunks(inner, outer, tile, p.g)
                pieces = cut(p.g, p.config.weight_words // 2 // p.g.lanes, first, count)
                assert pieces is not None
                parts = list(pieces)
            blocks = []
            for part in parts:
                size = tiles * self._products(part) * p.g.lanes**2
                blocks.append((p.image.constant(size, partial(self._pack, tile, tiles, part)), size))
            self.groups.append(_Group(tile, tiles, parts, blocks))

    def _products(self, part: Part) -> int:
        return part.ky_count * self.product.g.window[1] * part.c_count

    def _pack(self, tile: int, tiles: int, part: Part) -> Bytes:
        lanes = self.product.g.lanes
        rows = slice(part.ky, part.ky + part.ky_count)
        channels = slice(part.c * lanes, (part.c + part.c_count) * lanes)
        kernel = self.product.weight[rows, :, channels]
        return np.concatenate(
            [
                pack_dsp(kernel[..., t * lanes : (t + 1) * lanes].reshape(-1, lanes, lanes))
                for t in range(tile, tile + tiles)
            ]
        )

    def steps(self, band: Band) -> list[Step]:
        """Steps of a band."""
        p, rows = self.product, band.rows
        high, wide = p.plan.rect
        width = band.columns
        rects = [
            (y, min(high, rows - y), x, min(wide, width - x))
            for y in range(0, rows, high)
            for x in range(0, width, wide)
        ]
        out: list[Step] = []
        for group in self.groups:
            stays = len(self.groups) <= RESIDENT and len(group.parts) == 1
            for at, rect in enumerate(rects):
                visit = Visit(group.tile, group.tiles, rect, rect[1] * rect[3])
                for number, part in enumerate(group.parts):
                    last = number == len(group.parts) - 1
                    load = len(group.parts) > 1 or (at == 0 and (band.number == 0 or not stays))
                    place = _Place()  # the next part's weights are loaded before this part's run
                    step = Step(
                        "dsp",
                        visit.stride * group.tiles * self._products(part),
                        partial(self._compute, visit, part, place, number > 0, not last),
                        partial(self._weights, group, visit, number, place, load),
                    )
                    if last:
                        step.finish = partial(p.requantise, visit)
                    out.append(step)
        return out

    def _weights(self, group: _Group, visit: Visit, number: int, place: _Place, load: bool) -> None:
        p = self.product
        if load:
            address, size = group.blocks[number]
            group.weight = p.turns.next("weight") * (p.config.weight_words // 2)
            p.builder.load(address, size, "weight", group.weight, p.config.lanes)
            if number == len(group.parts) - 1:
                p.load_parameters(visit, "dsp")
                group.parameter = visit.parameter
        place.weight, visit.parameter = group.weight, group.parameter

    def _compute(self, visit: Visit, part: Part, place: _Place, accumulate: bool, keep: bool) -> None:
        p = self.product
        g, b = p.g, p.builder
        y, rows, x, columns = visit.rect
        sy, sx = g.steps
        b.set(
            "dsp.shape", x_count=columns, x_stride=sx * g.words, y_count=rows, y_stride=sy * p.band.row_words,
            c_count=part.c_count, kx_count=g.window[1], kx_stride=g.words if g.window[1] > 1 else 0,
            ky_count=part.ky_count, ky_stride=p.band.row_words if part.ky_count > 1 else 0,
        )  # fmt: skip
        act = p.band.source + (y * sy + part.ky) * p.band.row_words + x * sx * g.words + part.c
        span = ((rows - 1) * sy + part.ky_count - 1) * p.band.row_words
        span += ((columns - 1) * sx + g.window[1] - 1) * g.words + part.c_count
        if not keep:
            visit.acc = p.sums("dsp")
        b.emit(
            "dsp.run", act=act, weight=place.weight, acc=0 if keep else visit.acc, tiles=visit.tiles,
            acc_stride=visit.stride if visit.tiles > 1 else 0, accumulate=int(accumulate), keep=int(keep),
            reads=[
                Region.span("act", act, span),
                Region.span("weight", place.weight, visit.tiles * self._products(part) * g.lanes),
            ],
            writes=[] if keep else [Region.span("acc", visit.acc, visit.tiles * visit.stride)],
        )  # fmt: skip


@dataclass
class LutShare:
    """The LUT core's column tiles of a product: the last ones."""

    product: DenseProduct
    first_tile: int
    tiles: int

    def __post_init__(self) -> None:
        p = self.product
        self.packing = Planes.of(p.config, p.g)
        self.pixel = self.packing.chunks * p.layer.act_bits  # plane words per pixel
        self.groups: list[_Group] = []
        end = self.first_tile + self.tiles
        for tile in range(self.first_tile, end, p.plan.lut_group):
            tiles = min(p.plan.lut_group, end - tile)
            size = tiles * self.packing.products * p.layer.weight_bits * p.config.plane_weight.word_bytes
            address = p.image.constant(size, partial(self._pack, tile, tiles))
            self.groups.append(_Group(tile, tiles, [], [(address, size)]))

    def _pack(self, tile: int, tiles: int) -> Bytes:
        p = self.product
        lanes, width = p.g.lanes, p.config.lut_width
        kernel = p.weight
        kh, kw, channels, _ = kernel.shape
        pixels, columns = self.packing.pixels, self.packing.columns
        kernel = np.pad(kernel, ((0, 0), (0, columns * pixels - kw), (0, 0), (0, 0)))
        kernel = kernel.reshape(kh, columns, pixels * channels, -1)
        kernel = np.pad(
            kernel, ((0, 0), (0, 0), (0, align(pixels * channels, width) - pixels * channels), (0, 0))
        )
        return np.concatenate(
            [
                pack_lut(
                    kernel[..., t * lanes : (t + 1) * lanes].reshape(-1, width, lanes), p.layer.weight_bits
                )
                for t in range(tile, tile + tiles)
            ]
        )

    def prepare(self, band: Band) -> None:
        """Emit the conversion of a band's input to planes: every unit gets the rows that its outputs need."""
        if not self.tiles:
            return
        p, rows = self.product, band.rows
        g, b, cfg = p.g, p.builder, p.config
        bits = p.layer.act_bits
        per_chunk = cfg.lut_width // cfg.lanes
        high, units = unit_rows(cfg, rows)
        pixels = g.pixels(band.columns)
        band.planes = p.turns.next("planes", p.places) * (cfg.plane_words // p.places)
        # Pixels that share a plane word are read again for each of them.
        whole, rest = (
            divmod(g.words, per_chunk) if self.packing.pixels == 1 else (0, self.packing.pixels * g.words)
        )
        pieces = [(0, whole, per_chunk), (whole, 1, rest)]
        for unit in range(units):
            first = unit * high * g.steps[0]
            count = min(g.rows(high), g.rows(rows) - first)
            for chunk, number, words in pieces:
                if not number or not words:
                    continue
                b.set("vec.shape", r0=words, n0=number, n1=pixels, n2=count)
                b.set("vec.source", r0=1, n0=per_chunk, n1=g.words, n2=band.row_words)
                b.set("vec.target", n0=bits, n1=self.pixel, n2=pixels * self.pixel)
                source = band.source + first * band.row_words + chunk * per_chunk
                span = (
                    (count - 1) * band.row_words + (pixels - 1) * g.words + (number - 1) * per_chunk + words
                )
                b.emit(
                    "vec.run", op="planes", source=source, target=band.planes + chunk * bits, planes=bits, unit=unit,
                    reads=[Region.span("act", source, span)],
                    writes=[Region.span("planes", unit * cfg.plane_words + band.planes, count * pixels * self.pixel)],
                )  # fmt: skip

    def steps(self, band: Band) -> list[Step]:
        """Steps of a band."""
        p, rows = self.product, band.rows
        high, units = unit_rows(p.config, rows)
        rect: Rect = (0, rows, 0, band.columns)
        outputs = high * band.columns
        cycles = max(p.layer.act_bits * p.layer.weight_bits * self.packing.products, p.config.lut_units)
        out: list[Step] = []
        for group in self.groups:
            visit, place = Visit(group.tile, group.tiles, rect, units * outputs), _Place()
            load = band.number == 0 or len(self.groups) > RESIDENT
            out.append(
                Step(
                    "lut",
                    outputs * group.tiles * cycles,
                    partial(self._compute, visit, place, high, units),
                    partial(self._weights, group, visit, place, load),
                    partial(p.requantise, visit),
                )
            )
        return out

    def _weights(self, group: _Group, visit: Visit, place: _Place, load: bool) -> None:
        p = self.product
        if load:
            address, size = group.blocks[0]
            group.weight = p.turns.next("plane") * (p.config.plane_weight_words // 2)
            p.builder.load(address, size, "plane", group.weight, p.config.plane_weight.word_bytes)
            p.load_parameters(visit, "lut")
            group.parameter = visit.parameter
        place.weight, visit.parameter = group.weight, group.parameter

    def _compute(self, visit: Visit, place: _Place, high: int, units: int) -> None:
        p = self.product
        g, b = p.g, p.builder
        row = g.pixels(p.band.columns) * self.pixel
        b.set(
            "lut.shape", x_count=p.band.columns, x_stride=g.steps[1] * self.pixel, y_count=high,
            y_stride=g.steps[0] * row, c_count=self.packing.chunks, kx_count=self.packing.columns,
            kx_stride=self.packing.pixels * self.pixel if self.packing.columns > 1 else 0, ky_count=g.window[0],
            ky_stride=row if g.window[0] > 1 else 0,
        )  # fmt: skip
        visit.acc = p.sums("lut")
        span = g.rows(high) * row
        every = range(p.config.lut_units)
        weight_words = visit.tiles * self.packing.products * p.layer.weight_bits
        b.emit(
            "lut.run", act=p.band.planes, weight=place.weight, acc=visit.acc, tiles=visit.tiles,
            acc_stride=visit.stride, units=units, unit_stride=high * p.band.columns, act_bits=p.layer.act_bits,
            weight_bits=p.layer.weight_bits, act_signed=1, weight_signed=1,
            reads=[
                *(Region.span("planes", u * p.config.plane_words + p.band.planes, span) for u in every),
                Region.span("plane", place.weight, weight_words),
            ],
            writes=[Region.span("acc", visit.acc, visit.tiles * visit.stride)],
        )  # fmt: skip
