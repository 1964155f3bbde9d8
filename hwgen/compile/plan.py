"""How a layer is cut: bands of output rows, groups of column tiles, and who computes which."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from hwgen.compile.network import kernel_of
from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.system.config import SystemConfig
from hwgen.workloads.layers import Hwc, Layer

__all__ = ["Geometry", "Part", "Plan", "geometry", "plan"]


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
    def padded_width(self) -> int:
        """Pixels of a row in the buffer."""
        return self.size[1] if self.gathered else self.source[1] + self.pad[1] + self.pad[3]

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

    def row_words(self, unit: int) -> int:
        """Words from one row in the buffer to the next; gathered rows begin at a multiple of ``unit``."""
        words = self.padded_width * self.words
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


@dataclass(frozen=True)
class Plan:
    """Sizes that fit the buffers.

    Parameters
    ----------
    band : int
        Rows of outputs per band.
    lut_tiles : int
        Column tiles of the LUT core: the last ones.
    dsp_group, lut_group : int
        Column tiles whose weights are in the buffer at once.
    parts : tuple of Part
        More than one if the weights of a single tile do not fit: then their sums are kept inside the core.
    rect : tuple of int
        Rows and columns of outputs per ``dsp.run``.
    double : bool
        Whether input and output of a band each have two places.
    """

    band: int
    lut_tiles: int
    dsp_group: int
    lut_group: int
    parts: tuple[Part, ...]
    rect: tuple[int, int]
    double: bool


def plan(config: SystemConfig, layer: Layer, g: Geometry, lut_share: float) -> Plan:
    """The plan of a product.

    Raises
    ------
    BadInput
        If even one row of outputs does not fit; the sentence says which buffer is too small.
    """
    lut_tiles = _lut_tiles(config, layer, g, lut_share)
    dsp_tiles = g.tiles - lut_tiles
    acc_region = config.acc_words // (4 if lut_tiles and dsp_tiles else 2)
    unit = max(1, config.bus_bytes // config.lanes)
    out_row = ceil_div(g.size[1] * g.tiles, unit) * unit
    best: tuple[float, Plan] | None = None
    reason = ""
    for double in (True, False):
        region = config.act_words // (4 if double else 2)
        for band in _candidates(g.size[0]):
            if g.rows(band) * g.row_words(unit) > region or band * out_row > region:
                reason = f"act_words={config.act_words}"
                continue
            if lut_tiles:
                planes = _unit_planes(config, layer, g, band)
                if planes > config.plane_words // (2 if double else 1):
                    reason = f"plane_words={config.plane_words}"
                    continue
                if _lut_words(config, g, band) > acc_region:
                    reason = f"acc_words={config.acc_words}"
                    continue
            made = _with_groups(config, layer, g, band, lut_tiles, acc_region, double)
            if isinstance(made, str):
                reason = made
                continue
            cost = _exposed(config, g, made)
            if best is None or cost < best[0]:
                best = cost, made
    if best is None:
        raise BadInput(
            f"layer {layer.name!r} does not fit: one row of its outputs needs more than {reason}; "
            "choose a larger buffer"
        )
    return best[1]


def _candidates(rows: int) -> list[int]:
    """Heights of bands worth trying: those that cut the rows into equal bands."""
    return sorted({ceil_div(rows, n) for n in range(1, rows + 1)})


def _lut_tiles(config: SystemConfig, layer: Layer, g: Geometry, share: float) -> int:
    if not config.lut or layer.groups > 1:
        if not config.dsp:
            raise BadInput(f"layer {layer.name!r} has groups, which only the DSP core computes; add dsp=true")
        return 0
    return g.tiles if not config.dsp else min(g.tiles, round(g.tiles * share))


def _unit_rows(config: SystemConfig, band: int) -> int:
    """Rows of outputs per unit of the LUT core."""
    return ceil_div(band, config.lut_units)


def _unit_planes(config: SystemConfig, layer: Layer, g: Geometry, band: int) -> int:
    """Plane words that a unit needs for a band."""
    chunks = ceil_div(g.words * g.lanes, config.lut_width)
    return g.rows(_unit_rows(config, band)) * g.padded_width * chunks * layer.act_bits


def _lut_words(config: SystemConfig, g: Geometry, band: int) -> int:
    """Words of sums of one column tile of a band, whole units."""
    rows = _unit_rows(config, band)
    return ceil_div(band, rows) * rows * g.size[1]


def _with_groups(
    config: SystemConfig, layer: Layer, g: Geometry, band: int, lut_tiles: int, acc_region: int, double: bool
) -> Plan | str:
    columns = min(g.size[1], config.dsp_tile, acc_region, 4095)
    rows = (
        max(1, min(band, config.dsp_tile // columns, acc_region // columns, 4095))
        if columns == g.size[1]
        else 1
    )
    dsp_tiles = g.tiles - lut_tiles
    parts: tuple[Part, ...] = (Part(0, g.window[0], 0, g.words),)
    dsp_group = lut_group = 1
    parameter_cap = config.parameter_words // 8  # see product.PARAMETER_PLACES
    if dsp_tiles:
        room = config.weight_words // 2
        per_tile = (g.products if layer.groups == 1 else _grouped_products(layer, g)) * config.lanes
        if per_tile <= room:
            dsp_group = min(dsp_tiles, room // per_tile, acc_region // (rows * columns), parameter_cap, 1023)
            if layer.groups > 1:
                dsp_group = 1
        elif layer.groups > 1:
            return f"weight_words={config.weight_words}"
        else:
            cut = _cut(g, room // config.lanes)
            if cut is None:
                return f"weight_words={config.weight_words}"
            parts = cut
    if lut_tiles:
        per_tile = _lut_products(config, g) * layer.weight_bits
        room = config.plane_weight_words // 2
        if per_tile > room:
            return f"plane_weight_words={config.plane_weight_words}"
        words = _lut_words(config, g, band)
        lut_group = min(lut_tiles, room // per_tile, acc_region // words, parameter_cap, 1023)
    return Plan(band, lut_tiles, dsp_group, lut_group, parts, (rows, columns), double)


def _lut_products(config: SystemConfig, g: Geometry) -> int:
    return g.window[0] * g.window[1] * ceil_div(g.words * g.lanes, config.lut_width)


def _grouped_products(layer: Layer, g: Geometry) -> int:
    """Operand words per output of a layer with groups: the chunks that hold a tile's channels, at most."""
    inner = g.source[2] // layer.groups
    outer = g.size[2] // layer.groups
    most = 0
    for tile in range(g.tiles):
        _first, count = channel_chunks(inner, outer, tile, g)
        most = max(most, count)
    return g.window[0] * g.window[1] * most


def channel_chunks(inner: int, outer: int, tile: int, g: Geometry) -> tuple[int, int]:
    """First chunk of input channels that a column tile of a grouped layer needs, and how many."""
    first_group = tile * g.lanes // outer
    last_group = (min((tile + 1) * g.lanes, g.size[2]) - 1) // outer
    first = first_group * inner // g.lanes
    return first, ceil_div((last_group + 1) * inner, g.lanes) - first


def _cut(g: Geometry, room: int) -> tuple[Part, ...] | None:
    """Parts of at most ``room`` operand words: whole kernels of some chunks, else kernel rows of one chunk."""
    kh, kw = g.window
    if kh * kw <= room:
        step = room // (kh * kw)
        return tuple(Part(0, kh, c, min(step, g.words - c)) for c in range(0, g.words, step))
    if kw <= room:
        step = room // kw
        return tuple(Part(ky, min(step, kh - ky), c, 1) for c in range(g.words) for ky in range(0, kh, step))
    return None


def _exposed(config: SystemConfig, g: Geometry, p: Plan) -> float:
    """Rough cycles of a layer: transfers that nothing hides, reloads, short runs."""
    unit = max(1, config.bus_bytes // config.lanes)
    bands = ceil_div(g.size[0], p.band)
    load = g.rows(p.band) * g.row_words(unit) * config.lanes / config.bus_bytes
    store = p.band * g.size[1] * g.tiles * config.lanes / config.bus_bytes
    dsp_tiles = g.tiles - p.lut_tiles
    groups = ceil_div(dsp_tiles, p.dsp_group) if dsp_tiles else 0
    weights = dsp_tiles * g.products * config.lanes * config.lanes / config.bus_bytes
    reloads = 1 if groups <= 2 and len(p.parts) == 1 else bands
    rects = ceil_div(p.band, p.rect[0]) * ceil_div(g.size[1], p.rect[1])
    if len(p.parts) > 1:
        reloads *= rects
    runs = bands * rects * max(1, groups) * len(p.parts)
    steps = p.rect[0] * p.rect[1]
    compute = bands * rects * dsp_tiles * g.products * max(steps, config.lanes + 1) + runs * 60
    moved = bands * (load + store) + weights * reloads
    if not p.double:
        return load * bands + store * bands + max(compute, weights * reloads)
    return load + store + max(compute, moved) + ceil(60 * bands)
