"""What all lowered layers share: bands of outputs, where they lie in the buffers, transfers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hwgen.compile.builder import Builder, Region
from hwgen.compile.image import Image, Tensor, align
from hwgen.compile.network import LayerData
from hwgen.compile.plan import PARAMETER_PLACES, Geometry
from hwgen.numerics import ceil_div
from hwgen.system.config import SystemConfig
from hwgen.workloads.layers import Layer

__all__ = ["Band", "Banded", "Turns", "parameter_place"]


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
class Band:
    """Outputs that are worked on together.

    Parameters
    ----------
    number : int
        Of the band in its layer.
    first, rows, left, columns : int
        First row, and how many; first column, and how many.
    row_words, out_row : int
        Words from one row to the next, of the input and of the output in the buffer.
    source, target, planes : int
        First words of its input, its output and its plane words; known once it is loaded, begun, converted.
    """

    number: int
    first: int
    rows: int
    left: int
    columns: int
    row_words: int
    out_row: int
    source: int = 0
    target: int = 0
    planes: int = 0


@dataclass
class Banded:
    """A layer being lowered.

    Parameters
    ----------
    builder, image, turns
        What the whole program shares.
    layer, data : Layer, LayerData
        The layer.
    g : Geometry
        Its shape, as the engines see it.
    result : Tensor
        Where its output lies.
    zero : int
        Value of padding.
    barrier : bool
        An input is made by the band before this layer's first.
    """

    builder: Builder
    image: Image
    turns: Turns
    layer: Layer
    data: LayerData
    g: Geometry
    result: Tensor
    zero: int
    barrier: bool

    def _cut(self, rows: int, columns: int, double: bool) -> None:
        """Bands of at most so many rows and columns of outputs; ``double`` if two of them fit."""
        cfg = self.config = self.builder.config
        self.unit = max(1, cfg.bus_bytes // cfg.lanes)
        self.double = double
        self.places = 2 if double else 1
        self.region = cfg.act_words // (2 * self.places)
        self.bands = list(self._bands(rows, columns))
        self.band = self.bands[0]  # the one at work

    def _bands(self, height: int, width: int) -> Iterator[Band]:
        number = 0
        for first in range(0, self.g.size[0], height):
            rows = min(height, self.g.size[0] - first)
            for left in range(0, self.g.size[1], width):
                columns = min(width, self.g.size[1] - left)
                out_row = ceil_div(columns * self.g.tiles, self.unit) * self.unit
                yield Band(number, first, rows, left, columns, self.g.row_words(columns, self.unit), out_row)
                number += 1

    def _waits(self, band: Band) -> bool:
        """Whether the band's input cannot be loaded while the band before is at work."""
        # With one place for inputs, it is free when the band before has been computed.
        return not self.double or (self.barrier and band.number == 0)

    def _load_rows(self, tensor: Tensor, band: Band, word: int, pad: int) -> int:
        """The part of an input that a band needs, padding included, from ``word`` on; gives the words that it takes."""
        g, b = self.g, self.builder
        self._window(tensor, 0, pad)
        x = (band.left * g.stride[1] - g.pad[1]) * tensor.pixel
        y, count = band.first * g.stride[0] - g.pad[0], g.rows(band.rows)
        words = align(count * band.row_words, self.unit)
        b.set("load.position", x_start=x, y_start=y, group_count=1)
        self._windowed(tensor, x, y, word, words, g.pixels(band.columns) * tensor.pixel, count)
        return words

    def _window(self, tensor: Tensor, x_step: int, pad: int) -> None:
        """What of a tensor exists."""
        h, w, _ = tensor.shape
        self.builder.set(
            "load.window",
            row_pitch=tensor.pitch,
            row_bytes=w * tensor.pixel,
            row_count=h,
            pad_value=pad,
            x_step=x_step,
        )

    def _windowed(self, tensor: Tensor, x: int, y: int, word: int, words: int, size: int, count: int) -> None:
        """One windowed run: ``count`` rows of ``size`` bytes from row ``y``, byte ``x`` on, to ``words`` words."""
        low, high = max(y, 0), min(y + count, tensor.shape[0])
        reads = [Region.dram(tensor.address + low * tensor.pitch, (high - low) * tensor.pitch)]
        self.builder.emit(
            "load.run", address=tensor.address + y * tensor.pitch + x, buffer="act", target=word * self.config.lanes,
            run_bytes=size, run_count=count, windowed=1, reads=reads if high > low else [],
            writes=[Region.span("act", word, words)],
        )  # fmt: skip

    def _begin(self, band: Band) -> None:
        """A band is at work from now on."""
        self.band = band
        band.target = (2 * self.places - 1 - self.turns.next("out", self.places)) * self.region

    def _end(self, band: Band) -> None:
        """Emit the store of a band's output."""
        b, tensor = self.builder, self.result
        b.set("store.window", row_pitch=tensor.pitch, source_pitch=band.out_row)
        rows = band.rows
        address = tensor.address + band.first * tensor.pitch + band.left * tensor.pixel
        b.emit(
            "store.run", address=address, source=band.target, run_bytes=band.columns * tensor.pixel, run_count=rows,
            reads=[Region.span("act", band.target, rows * band.out_row)],
            writes=[Region.dram(address, rows * tensor.pitch)],
        )  # fmt: skip
