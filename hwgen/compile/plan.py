"""How a layer is cut: bands of output rows, groups of column tiles, and who computes which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import gcd

from hwgen.compile.network import kernel_of
from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.system.config import SystemConfig
from hwgen.workloads.layers import Hwc, Layer

__all__ = [
    "LOAD_CYCLES",
    "PARAMETER_PLACES",
    "RESIDENT",
    "RUN_CYCLES",
    "Bands",
    "Geometry",
    "Part",
    "Plan",
    "Planes",
    "candidates",
    "channel_chunks",
    "cut",
    "geometry",
    "plan",
    "rough_cycles",
    "unit_rows",
    "widths",
]

PARAMETER_PLACES = 8
"""Parts of the parameter buffer: three each for DSP and LUT (one finishes, one runs, one is loaded), two for VEC."""

RESIDENT = 2
"""Groups of weights that stay in a buffer over the bands, one in each half."""

_MOST_OUTPUTS = 4095  # what a loop counts
_MOST_TILES = 1023
LOAD_CYCLES = 50
"""Rough cycles of a load beside its bytes, while the next one has not begun."""

RUN_CYCLES = 60
"""Rough cycles of a run beside the work itself: setting loops, filling and draining the array."""


@dataclass(frozen=True)
class Geometry:
    """A product as the engines see it: a convolution over words.

    Parameters
    ----------
    source, size : tuple of int
        (h, w, c) of input and output.
    kernel, stride, pad : tuple of int
        Of the convolution; pad is (top, left, bottom, right).
    gathered : bool
        LOAD lays out the patches of every output in full: the engines see a 1 × 1 convolution.
    lanes : int
        Elements per word.
    words : int
        Words per pixel of what lies in the buffer (per output, if gathered).
    tiles : int
        Words per pixel of the output.
    """

    source: Hwc
    size: Hwc
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int, int, int]
    gathered: bool
    lanes: int
    words: int
    tiles: int

    @property
    def steps(self) -> tuple[int, int]:
        """Stride as the engines see it."""
        return (1, 1) if self.gathered else self.stride

    @property
    def window(self) -> tuple[int, int]:
        """Kernel as the engines see it."""
        return (1, 1) if self.gathered else self.kernel

    def rows(self, outputs: int) -> int:
        """Rows in the buffer for so many rows of outputs."""
        return (outputs - 1) * self.steps[0] + self.window[0]

    def pixels(self, outputs: int) -> int:
        """Pixels of a row in the buffer for so many columns of outputs."""
        return (outputs - 1) * self.steps[1] + self.window[1]

    def row_words(self, outputs: int, unit: int) -> int:
        """Words from one row in the buffer to the next; gathered rows begin at a multiple of ``unit``."""
        words = self.pixels(outputs) * self.words
        return ceil_div(words, unit) * unit if self.gathered else words

    @property
    def products(self) -> int:
        """Operand words per output."""
        return self.window[0] * self.window[1] * self.words


def geometry(config: SystemConfig, layer: Layer, source: Hwc, size: Hwc, dense: bool) -> Geometry:
    """Geometry of a layer; a dense input (channels not padded to words) is gathered."""
    kernel = kernel_of(layer, source)
    words = ceil_div(source[2], config.lanes)
    if dense:
        words = ceil_div(kernel[0] * kernel[1] * source[2], config.lanes)
    if max(kernel) > 63:
        raise BadInput(f"layer {layer.name!r} has a kernel of {kernel}, and the loops count to 63; split it")
    return Geometry(
        source,
        size,
        kernel,
        layer.stride,
        layer.pad,
        dense,
        config.lanes,
        words,
        ceil_div(size[2], config.lanes),
    )


@dataclass(frozen=True)
class Part:
    """A range of a sum's products whose weights are in the buffer at once: kernel rows and chunks of channels."""

    ky: int
    ky_count: int
    c: int
    c_count: int


@dataclass(frozen=True, kw_only=True)
class Bands:
    """How a layer's outputs are cut into what is worked on at once.

    Parameters
    ----------
    band : int
        Rows of outputs per band.
    columns : int
        Columns of outputs per band: all, unless not even one row fits.
    double : bool
        Whether input and output of a band each have two places.
    """

    band: int
    columns: int
    double: bool


@dataclass(frozen=True, kw_only=True)
class Plan(Bands):
    """Sizes that fit the buffers, of a product on the DSP and the LUT core.

    Parameters
    ----------
    lut_tiles : int
        Column tiles of the LUT core: the last ones.
    dsp_group, lut_group : int
        Column tiles whose weights are in the buffer at once.
    parts : tuple of Part
        More than one if the weights of a single tile do not fit: then their sums are kept inside the core.
    rect : tuple of int
        Rows and columns of outputs per ``dsp.run``.
    """

    lut_tiles: int
    dsp_group: int
    lut_group: int
    parts: tuple[Part, ...]
    rect: tuple[int, int]


@dataclass(frozen=True)
class Planes:
    """A product as the LUT core sees it: which elements share a plane word, and how many words a sum has.

    Parameters
    ----------
    pixels : int
        Pixels side by side in one plane word: more than one where their channels leave room, so that a kernel needs
        fewer words.
    chunks : int
        Plane words per pixel and plane.
    columns : int
        Plane words per kernel row and chunk.
    products : int
        Plane words per sum and pair of planes.
    """

    pixels: int
    chunks: int
    columns: int
    products: int

    @classmethod
    def of(cls, config: SystemConfig, g: Geometry) -> Planes:
        """The packing of a product."""
        per_word = config.lut_width // config.lanes
        kh, kw = g.window
        pixels = max(1, min(per_word // g.words, kw))
        chunks = ceil_div(g.words, per_word)
        columns = ceil_div(kw, pixels)
        return cls(pixels, chunks, columns, kh * columns * chunks)


def unit_rows(config: SystemConfig, band: int) -> tuple[int, int]:
    """Rows of a band's outputs that each unit of the LUT core computes, and units in use."""
    high = ceil_div(band, config.lut_units)
    return high, ceil_div(band, high)


def plan(config: SystemConfig, layer: Layer, g: Geometry, lut_share: float | None) -> Plan:
    """The plan of a product: of all that fit, the one that should take the fewest cycles.

    ``lut_share`` is the share of the column tiles that the LUT core computes; None tries all of them.

    Raises
    ------
    BadInput
        If even one row of outputs does not fit; the sentence says which buffer is too small.
    """
    best: tuple[float, Plan] | None = None
    reason = ""
    for columns in widths(config, g):
        for lut_tiles in _shares(config, layer, g, lut_share):
            for double in (True, False):
                for band in candidates(g.size[0]):
                    made = _fitted(config, layer, g, band, columns, lut_tiles, double)
                    if isinstance(made, str):
                        reason = made
                        continue
                    for variant in _variants(g, made):
                        cost = rough_cycles(config, layer, g, variant)
                        if best is None or cost < best[0]:
                            best = cost, variant
        if best is not None:
            return best[1]
    raise BadInput(
        f"layer {layer.name!r} does not fit: its smallest piece needs more than {reason}; choose a larger buffer"
    )


def _variants(g: Geometry, p: Plan) -> Iterator[Plan]:
    """The plan; and with one band, on the DSP core, smaller groups of weights: less to do behind the last load."""
    yield p
    if p.band >= g.size[0] and p.columns >= g.size[1] and not p.lut_tiles:
        for part in (2, 4, 8):
            yield replace(p, dsp_group=ceil_div(p.dsp_group, part))


def widths(config: SystemConfig, g: Geometry) -> Iterator[int]:
    """Columns of outputs that a band may have: all, then fewer and fewer, so that bands begin at a bus word."""
    yield g.size[1]
    step = config.bus_bytes // gcd(config.bus_bytes, g.tiles * config.lanes)
    width = g.size[1]
    while width > step:
        width = ceil_div(ceil_div(width, 2), step) * step
        yield width
        if width == step:
            return


def candidates(rows: int) -> list[int]:
    """Heights of bands worth trying: those that cut the rows into equal bands."""
    return sorted({ceil_div(rows, n) for n in range(1, rows + 1)})


def _shares(config: SystemConfig, layer: Layer, g: Geometry, share: float | None) -> Sequence[int]:
    """Numbers of column tiles that the LUT core may compute."""
    if not config.lut or layer.groups > 1:
        if not config.dsp:
            raise BadInput(f"layer {layer.name!r} has groups, which only the DSP core computes; add dsp=true")
        return [0]
    if not config.dsp:
        return [g.tiles]
    return range(g.tiles + 1) if share is None else [round(g.tiles * share)]


def _fitted(
    config: SystemConfig, layer: Layer, g: Geometry, band: int, columns: int, lut_tiles: int, double: bool
) -> Plan | str:
    """A plan with bands of this size, or the buffer that is too small for it."""
    dsp_tiles = g.tiles - lut_tiles
    unit = max(1, config.bus_bytes // config.lanes)
    places = 2 if double else 1
    region = config.act_words // (2 * places)
    acc_place = config.acc_words // (4 if lut_tiles and dsp_tiles else 2)
    parameters = config.parameter_words // PARAMETER_PLACES
    out_row = ceil_div(columns * g.tiles, unit) * unit
    if g.rows(band) * g.row_words(columns, unit) > region or band * out_row > region:
        return f"act_words={config.act_words}"
    wide = min(columns, config.dsp_tile, acc_place, _MOST_OUTPUTS)
    high = (
        1 if wide < columns else max(1, min(band, config.dsp_tile // wide, acc_place // wide, _MOST_OUTPUTS))
    )
    parts: tuple[Part, ...] = (Part(0, g.window[0], 0, g.words),)
    dsp_group = lut_group = 1
    if dsp_tiles:
        room = config.weight_words // 2 // config.lanes
        products = _dsp_products(layer, g)
        if products <= room and layer.groups == 1:
            dsp_group = min(dsp_tiles, room // products, acc_place // (high * wide), parameters, _MOST_TILES)
        elif products > room:
            pieces = cut(g, room, 0, g.words)
            if pieces is None:
                return f"weight_words={config.weight_words}"
            parts = pieces
    if lut_tiles:
        planes = Planes.of(config, g)
        rows, units = unit_rows(config, band)
        if g.rows(rows) * g.pixels(columns) * planes.chunks * layer.act_bits > config.plane_words // places:
            return f"plane_words={config.plane_words}"
        if g.rows(band) * g.row_words(columns, unit) + (planes.pixels - 1) * g.words > region:
            return f"act_words={config.act_words}"  # the last pixel's plane word reads behind it
        words = units * rows * columns
        per_tile = planes.products * layer.weight_bits
        room = config.plane_weight_words // 2
        if words > acc_place:
            return f"acc_words={config.acc_words}"
        if per_tile > room:
            return f"plane_weight_words={config.plane_weight_words}"
        lut_group = min(lut_tiles, room // per_tile, acc_place // words, parameters, _MOST_TILES)
    return Plan(
        band=band, columns=columns, double=double, lut_tiles=lut_tiles, dsp_group=dsp_group, lut_group=lut_group,
        parts=parts, rect=(high, wide),
    )  # fmt: skip


def _dsp_products(layer: Layer, g: Geometry) -> int:
    """Operand words per output; with groups, the chunks that hold a tile's channels, at most."""
    if layer.groups == 1:
        return g.products
    inner, outer = g.source[2] // layer.groups, g.size[2] // layer.groups
    return g.window[0] * g.window[1] * max(channel_chunks(inner, outer, t, g)[1] for t in range(g.tiles))


def channel_chunks(inner: int, outer: int, tile: int, g: Geometry) -> tuple[int, int]:
    """First chunk of input channels that a column tile of a grouped layer needs, and how many."""
    first_group = tile * g.lanes // outer
    last_group = (min((tile + 1) * g.lanes, g.size[2]) - 1) // outer
    first = first_group * inner // g.lanes
    return first, ceil_div((last_group + 1) * inner, g.lanes) - first


def cut(g: Geometry, room: int, first: int, count: int) -> tuple[Part, ...] | None:
    """Parts of at most ``room`` operand words: whole kernels of some chunks, else kernel rows of one chunk.

    ``count`` chunks from ``first`` on are wanted; None if not even one kernel row of one chunk fits.
    """
    kh, kw = g.window
    end = first + count
    if kh * kw <= room:
        step = room // (kh * kw)
        return tuple(Part(0, kh, c, min(step, end - c)) for c in range(first, end, step))
    if kw <= room:
        step = room // kw
        return tuple(
            Part(ky, min(step, kh - ky), c, 1) for c in range(first, end) for ky in range(0, kh, step)
        )
    return None


def rough_cycles(config: SystemConfig, layer: Layer, g: Geometry, p: Plan) -> float:
    """Rough cycles of a layer: the busiest engine, and the transfers that nothing hides."""
    unit = max(1, config.bus_bytes // config.lanes)
    bands = ceil_div(g.size[0], p.band) * ceil_div(g.size[1], p.columns)
    beats = config.lanes / config.bus_bytes
    load = g.rows(p.band) * g.row_words(p.columns, unit) * beats
    if g.gathered:  # short runs: a few cycles each beside their bytes
        load = p.band * p.columns * g.kernel[0] * (4 + g.kernel[1] * g.source[2] / config.bus_bytes)
    store = p.band * p.columns * g.tiles * beats
    moved = bands * (load + store)
    dsp = lut = vec = 0.0
    tail = 0.0  # the last run, behind the last load
    vec += g.size[0] * g.size[1] * g.tiles
    dsp_tiles = g.tiles - p.lut_tiles
    if dsp_tiles:
        groups = ceil_div(dsp_tiles, p.dsp_group)
        rects = bands * ceil_div(p.band, p.rect[0]) * ceil_div(p.columns, p.rect[1])
        products = _dsp_products(layer, g)
        dsp = rects * dsp_tiles * products * max(p.rect[0] * p.rect[1], config.lanes + 1)
        dsp += rects * groups * len(p.parts) * RUN_CYCLES
        tail = 0.0 if p.lut_tiles else dsp / (rects * groups)
        reloads = rects if len(p.parts) > 1 else bands if groups > RESIDENT else 1
        moved += reloads * (dsp_tiles * products * config.lanes * beats + 2 * groups * LOAD_CYCLES)
    if p.lut_tiles:
        planes = Planes.of(config, g)
        groups = ceil_div(p.lut_tiles, p.lut_group)
        rows, units = unit_rows(config, p.band)
        steps = layer.act_bits * layer.weight_bits * planes.products
        lut = bands * rows * p.columns * p.lut_tiles * max(steps, config.lut_units)
        lut += bands * groups * RUN_CYCLES
        gathered = max(planes.pixels * g.words, layer.act_bits) if planes.chunks == 1 else g.words
        vec += bands * units * (g.rows(rows) * g.pixels(p.columns) * gathered + RUN_CYCLES)
        weights = p.lut_tiles * planes.products * layer.weight_bits * config.plane_weight.word_bytes
        reloads = bands if groups > RESIDENT else 1
        moved += reloads * (weights / config.bus_bytes + 2 * groups * LOAD_CYCLES)
    if not p.double:
        return bands * (load + store) + max(dsp, lut, vec, moved + tail)
    return load + store + max(dsp, lut, vec, moved + tail)
