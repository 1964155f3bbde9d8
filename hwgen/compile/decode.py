"""Layers one after the other on a vector, or a few: weights stream through, activations stay on the chip.

    load    | piece 0 | piece 1 | piece 2 | ...           weights of as many layers as half of the buffers holds
    sparse            | layer 0 | layer 1 | 1 | 2 | ...
    vec             turn, then requantise and turn for each layer

Weights do not depend on activations, so LOAD is a piece ahead, whichever layers are in it: memory never waits for the
chain of layers as long as that takes less time than the piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hwgen.compile.builder import Builder, Region
from hwgen.compile.image import Bytes, Image, Tensor, align, pack_parameters
from hwgen.compile.network import Requantiser
from hwgen.compile.sparse_weights import STREAMS, SparseWeights, stream_spaces
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, ceil_div
from hwgen.parts.sparse import BLOCK
from hwgen.program.program import Program
from hwgen.system.config import Space, SystemConfig

__all__ = ["Decode", "Linear", "compile_decode"]


@dataclass(frozen=True, eq=False)
class Linear:
    """A layer ``y = requantise(x[first : first + K] · W)``.

    Parameters
    ----------
    name : str
        For reports.
    weight : int array, shape (K, N)
        Weights; zeros are skipped as far as patterns allow.
    requantiser : Requantiser
        To the layer's output, N channels.
    weight_bits : int
        Width of a weight: 2, 3, 4 or 8.
    first : int
        First channel of the layer before that it reads, a multiple of 16.
    """

    name: str
    weight: IntArray
    requantiser: Requantiser
    weight_bits: int = 8
    first: int = 0


@dataclass(frozen=True, eq=False)
class Decode:
    """A program with its memory.

    Parameters
    ----------
    config : SystemConfig
        For what.
    program : Program
        The instructions.
    image : Image
        Memory.
    source, result : Tensor
        Where input and output lie: a pixel per row.
    weight_bytes : dict of str to int
        Bytes of each stream (``code``, ``value``, ``index``, ``parameter``) that are loaded, all layers together.
    pieces : int
        Loads of each stream.
    shapes : tuple of (int, int)
        K and N of the layers.
    """

    config: SystemConfig
    program: Program
    image: Image
    source: Tensor
    result: Tensor
    weight_bytes: dict[str, int]
    pieces: int
    shapes: tuple[tuple[int, int], ...]

    def memory(self, x: IntArray) -> npt.NDArray[np.uint8]:
        """DRAM before the run; int8, shape (rows, channels)."""
        dram = self.image.make()
        self.source.write(dram, x[:, None])
        return dram

    def output(self, dram: npt.NDArray[np.uint8]) -> IntArray:
        """The last layer's output, shape (rows, channels), from DRAM after the run."""
        return self.result.read(dram)[:, 0]


def compile_decode(config: SystemConfig, layers: Sequence[Linear], rows: int = 1, times: int = 1) -> Decode:
    """Compile a chain of layers.

    Parameters
    ----------
    config : SystemConfig
        The accelerator; it needs the sparse core.
    layers : sequence of Linear
        At least one.
    rows : int
        Vectors, 1..16; few enough for matrix-vector mode are computed in it.
    times : int
        How often the chain is run: its output is the next input, and its weights are loaded again.

    Raises
    ------
    BadInput
        If the accelerator has no sparse core, sizes do not match, or something does not fit.
    """
    if not config.sparse:
        raise BadInput(
            "layers of sparse weights need the sparse core; build the accelerator with sparse=true"
        )
    if not layers:
        raise BadInput("there must be at least one layer, not none")
    if not 1 <= rows <= config.sparse_rows:
        raise BadInput(f"rows must lie in 1..{config.sparse_rows} on this accelerator, not {rows}")
    if times < 1:
        raise BadInput(f"times must be at least 1, not {times}")
    previous = [None if times == 1 else layers[-1], *layers]
    for before, layer in zip(previous, layers, strict=False):
        there = layer.first + layer.weight.shape[0] if before is None else before.weight.shape[1]
        if layer.first % BLOCK or layer.first + layer.weight.shape[0] > there:
            raise BadInput(
                f"layer {layer.name!r} reads channels {layer.first}..{layer.first + layer.weight.shape[0] - 1} of "
                f"{there}, which must be there and begin at a multiple of {BLOCK}"
            )
    return _Lowering(config, layers, rows).decode(times)


@dataclass
class _Segment:
    """Rounds of a layer whose weights are in one piece.

    Parameters
    ----------
    layer, first, count : int
        Of the layer; first round, and how many.
    places : mapping of str to int
        Where it begins in each of the piece's streams, in words or rows.
    """

    layer: int
    first: int
    count: int
    places: dict[str, int]


@dataclass
class _Piece:
    """What is loaded together.

    Parameters
    ----------
    segments : list of _Segment
        In order.
    sizes : mapping of str to int
        Words or rows of each stream, and of parameters.
    """

    segments: list[_Segment] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*STREAMS, "parameter"), 0))


class _Lowering:
    """A chain of layers being compiled."""

    def __init__(self, config: SystemConfig, layers: Sequence[Linear], rows: int):
        self.config, self.layers, self.rows = config, layers, rows
        self.spread = rows <= config.sparse_way_rows(True) < config.sparse_rows
        self.units: dict[str, Space] = {**stream_spaces(config), "parameter": config.parameter}
        self.weights = []
        for layer in layers:
            k, n = layer.weight.shape
            matrix = np.pad(layer.weight, ((0, -k % BLOCK), (0, -n % BLOCK)))
            self.weights.append(SparseWeights(config, matrix, layer.weight_bits, self.spread))
        self.image, self.builder = Image(config), Builder(config)
        self.filled: list[tuple[int, int] | None] = [
            None,
            None,
        ]  # place and pass in each half of the operands
        self.turn = {"acc": 0, "half": 0}
        self.pitch = align(config.act_words // 2, max(1, config.bus_bytes // config.lanes))

    def decode(self, times: int) -> Decode:
        """Emit everything."""
        cfg, b = self.config, self.builder
        first, last = self.layers[0], self.layers[-1]
        source = self.image.tensor((self.rows, 1, first.first + first.weight.shape[0]))
        result = self.image.tensor((self.rows, 1, last.weight.shape[1]))
        pieces = self._pieces()
        addresses = [self._place(piece) for piece in pieces]
        b.reach(self.image.bytes)
        self._load_source(source)
        order = [number for _ in range(times) for number in range(len(pieces))]
        self._load(pieces[0], addresses[0], 0)
        for turn, number in enumerate(order):
            if turn + 1 < len(order):
                self._load(pieces[order[turn + 1]], addresses[order[turn + 1]], turn + 1)
            for segment in pieces[number].segments:
                place = turn // len(pieces) * len(self.layers) + segment.layer
                self._segment(segment, place, turn % 2)
        self._store(result, times * len(self.layers))
        program = b.program()
        self.image.program(program)
        taken = {
            name: times * sum(piece.sizes[name] for piece in pieces) * space.word_bytes
            for name, space in self.units.items()
        }
        shapes = tuple((layer.weight.shape[0], layer.weight.shape[1]) for layer in self.layers)
        return Decode(cfg, program, self.image, source, result, taken, len(order), shapes)

    # Weights.

    def _pieces(self) -> list[_Piece]:
        """Layers cut into pieces: as many rounds as half of every buffer holds."""
        pieces = [_Piece()]
        for number, weights in enumerate(self.weights):
            first = 0
            while first < weights.rounds:
                count = self._most(pieces[-1], number, first)
                if not count and pieces[-1].segments:
                    pieces.append(_Piece())
                    continue
                if not count:
                    raise BadInput(
                        f"layer {self.layers[number].name!r} does not fit: {BLOCK * weights.ways} of its outputs take "
                        "more than half of a buffer of weights or sums; choose larger buffers"
                    )
                self._append(pieces[-1], number, first, count)
                first += count
        return pieces

    def _most(self, piece: _Piece, number: int, first: int) -> int:
        """Rounds of a layer, from ``first`` on, that still fit."""
        weights = self.weights[number]
        acc = self.config.acc_words // 2 // (self.rows * len(weights.passes)) // weights.ways
        room = {name: space.words // 2 - piece.sizes[name] for name, space in self.units.items()}
        most = min(acc, room["parameter"] // weights.ways, weights.rounds - first)
        return weights.fitting(first, most, room)[0]

    def _append(self, piece: _Piece, number: int, first: int, count: int) -> None:
        piece.segments.append(_Segment(number, first, count, dict(piece.sizes)))
        for name, sizes in self.weights[number].needs(first, count).items():
            piece.sizes[name] += sum(sizes)
        piece.sizes["parameter"] += self.weights[number].tiles(first, count)[1]

    def _place(self, piece: _Piece) -> dict[str, int]:
        """Addresses of a piece's streams."""
        found = {}
        for name, space in self.units.items():
            size = piece.sizes[name] * space.word_bytes
            found[name] = self.image.constant(size, lambda p=piece, n=name: self._bytes(p, n)) if size else 0  # type: ignore[misc]
        return found

    def _bytes(self, piece: _Piece, name: str) -> Bytes:
        """One stream of a piece."""
        out = []
        for segment in piece.segments:
            weights = self.weights[segment.layer]
            if name != "parameter":
                out.append(weights.stream(name, segment.first, segment.count))
                continue
            words = pack_parameters(self.layers[segment.layer].requantiser, self.config.lanes)
            first, tiles = weights.tiles(segment.first, segment.count)
            unit = self.units[name].word_bytes
            out.append(words[first * unit : (first + tiles) * unit])
        return np.concatenate(out)

    def _load(self, piece: _Piece, addresses: dict[str, int], turn: int) -> None:
        """Emit the loads of a piece; pieces take turns in the buffers' halves."""
        for name, space in self.units.items():
            size, base = piece.sizes[name] * space.word_bytes, turn % 2 * (space.words // 2)
            self.builder.load(addresses[name], size, name, base, space.word_bytes)

    # Activations.

    def _words(self, place: int) -> int:
        """Words of a row of the input of the layer at a place in the chain, counted on when it begins anew."""
        if place == 0:
            return ceil_div(self.layers[0].first + self.layers[0].weight.shape[0], BLOCK)
        words: int = self.weights[(place - 1) % len(self.layers)].matrix.shape[1] // BLOCK
        return words

    def _vector(self, place: int) -> int:
        """First word of a layer's input."""
        return place % 2 * self.pitch

    def _load_source(self, source: Tensor) -> None:
        words = self._words(0) * self.rows
        self._check_words(words)
        b = self.builder
        b.set(
            "load.window",
            row_pitch=source.pitch,
            row_bytes=source.pixel,
            row_count=self.rows,
            pad_value=0,
            x_step=0,
        )
        b.set("load.position", x_start=0, y_start=0, group_count=1)
        unit = max(1, self.config.bus_bytes // self.config.lanes)
        b.emit(
            "load.run", address=source.address, buffer="act", target=0, run_bytes=source.pixel, run_count=self.rows,
            windowed=1, reads=[Region.dram(source.address, source.bytes)],
            writes=[Region.span("act", 0, align(words, unit))],
        )  # fmt: skip

    def _check_words(self, words: int) -> None:
        if words > self.pitch or self.pitch * 2 > self.config.act_words:
            raise BadInput(
                f"{self.rows} rows of a layer take {words} words, and half of act_words={self.config.act_words} holds "
                "them; choose a larger act_words"
            )

    def _segment(self, segment: _Segment, place: int, side: int) -> None:
        """Emit the runs of a segment, and what brings its sums to the next layer's input."""
        weights = self.weights[segment.layer]
        acc = self.turn["acc"] % 2 * (self.config.acc_words // 2)
        self.turn["acc"] += 1
        tiles = weights.tiles(segment.first, segment.count)[1]
        at = {name: side * (self.units[name].words // 2) + segment.places[name] for name in STREAMS}
        for part in range(len(weights.passes)):
            half = self._fill(segment.layer, place, part)
            weights.emit_run(
                self.builder, part, segment.first, segment.count, rows=self.rows, half=half,
                acc=acc + part * tiles * self.rows, at=at,
            )  # fmt: skip
        self._requantise(segment, place, acc, side)

    def _fill(self, number: int, place: int, part: int) -> int:
        """Half of the operands with a pass; what turns its activations is emitted unless they are there."""
        if (place, part) in self.filled:
            return self.filled.index((place, part))
        b = self.builder
        side = self.turn["half"] % 2
        self.turn["half"] += 1
        self.filled[side] = (place, part)
        target = side * (self.config.sparse_depth // 2)
        first, count = self.weights[number].passes[part]
        words = self._words(place)
        source = self._vector(place) + self.layers[number].first // BLOCK + first
        b.set("vec.shape", r0=self.rows, n0=BLOCK, n1=count, n2=1)
        b.set("vec.source", r0=words if self.rows > 1 else 0, n1=1, n2=0)
        b.set("vec.target", n0=1, n1=BLOCK, n2=0)
        read = np.add.outer(np.arange(self.rows) * words, np.arange(count)).reshape(-1)
        b.emit(
            "vec.run", op="columns", source=source, target=target, parameter=0, planes=1, unit=int(self.spread),
            reads=[Region("act", source + read)], writes=[Region.span("operand", target, count * BLOCK)],
        )  # fmt: skip
        return side

    def _requantise(self, segment: _Segment, place: int, acc: int, side: int) -> None:
        weights = self.weights[segment.layer]
        begin, tiles = weights.tiles(segment.first, segment.count)
        b, r = self.builder, self.layers[segment.layer].requantiser
        parts, words = len(weights.passes), self._words(place + 1)
        self._check_words(words * self.rows)
        b.set(
            "vec.shape", r0=parts, n0=self.rows, n1=1, n2=tiles, rounding=self.config.roundings.index(r.rounding),
            zero=r.zero, low=r.low, high=r.high,
        )  # fmt: skip
        b.set("vec.source", r0=tiles * self.rows if parts > 1 else 0, n0=1, n1=0, n2=self.rows)
        b.set("vec.target", n0=words, n1=0, n2=1, parameter_n2=1)
        target = self._vector(place + 1) + begin
        parameter = side * (self.config.parameter_words // 2) + segment.places["parameter"]
        written = np.add.outer(np.arange(self.rows) * words, np.arange(tiles)).reshape(-1)
        b.emit(
            "vec.run", op="requantise", source=acc, target=target, parameter=parameter,
            reads=[
                Region.span("acc", acc, parts * tiles * self.rows), Region.span("parameter", parameter, tiles)
            ],
            writes=[Region("act", target + written)],
        )  # fmt: skip

    def _store(self, result: Tensor, number: int) -> None:
        """Emit the store of the last layer's output, row by row: rows lie without gaps."""
        words, first = self._words(number), self._vector(number)
        unit = max(1, self.config.bus_bytes // self.config.lanes)
        if words % unit and self.rows > 1:
            raise BadInput(
                f"rows of {words} words do not begin at bus words of {self.config.bus_bytes} bytes; pad the last "
                f"layer's outputs to a multiple of {unit * BLOCK}"
            )
        b = self.builder
        b.set("store.window", row_pitch=result.pitch, source_pitch=align(words, unit))
        b.emit(
            "store.run", address=result.address, source=first, run_bytes=result.pixel, run_count=self.rows,
            reads=[Region.span("act", first, self.rows * words)],
            writes=[Region.dram(result.address, result.bytes)],
        )  # fmt: skip
