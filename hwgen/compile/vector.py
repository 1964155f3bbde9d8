"""Pools and additions as instructions: bands through the VEC engine alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from hwgen.compile.builder import Builder, Region
from hwgen.compile.image import Image, Tensor, align, pack_parameters
from hwgen.compile.network import LayerData, Requantiser
from hwgen.compile.product import Turns, parameter_place
from hwgen.compile.steps import Step, Work
from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.workloads.layers import Layer

__all__ = ["Vector"]


def _nothing() -> None:
    """Emit nothing."""


@dataclass
class Vector:
    """A pool or an addition being lowered.

    Parameters
    ----------
    builder, image, turns
        What the whole program shares.
    layer, data : Layer, LayerData
        The layer; all channels share the constants of its requantiser.
    sources, result : sequence of Tensor, Tensor
        Where inputs and output lie.
    zero : int
        Value of padding.
    barrier : bool
        An input is made by the step before this layer's first.
    """

    builder: Builder
    image: Image
    turns: Turns
    layer: Layer
    data: LayerData
    sources: Sequence[Tensor]
    result: Tensor
    zero: int
    barrier: bool

    def __post_init__(self) -> None:
        cfg = self.config = self.builder.config
        self.unit = max(1, cfg.bus_bytes // cfg.lanes)
        self.words = ceil_div(self.result.shape[2], cfg.lanes)
        self.pad = self.layer.pad if self.layer.kind != "add" else (0, 0, 0, 0)
        self.window = self.layer.kernel if self.layer.kind != "add" else (1, 1)
        self.steps_yx = self.layer.stride if self.layer.kind != "add" else (1, 1)
        self.width = self.sources[0].shape[1] + self.pad[1] + self.pad[3]
        self.row = self.width * self.words
        self.out_row = ceil_div(self.result.shape[1] * self.words, self.unit) * self.unit
        if max(self.window) > 63:
            raise BadInput(
                f"layer {self.layer.name!r} has a kernel of {self.window}, and the loops count to 63"
            )
        r = self.data.requantiser
        if any(len(set(values.tolist())) > 1 for values in (r.bias, r.multiplier, r.shift)):
            raise BadInput(
                f"layer {self.layer.name!r} ({self.layer.kind}) has constants per channel, which only products have; "
                "give all channels the same"
            )
        self._choose()

    def _rows(self, outputs: int) -> int:
        return (outputs - 1) * self.steps_yx[0] + self.window[0]

    def _choose(self) -> None:
        """The tallest band of which two fit, or one; and at least two bands, so that transfers overlap."""
        outputs = self.result.shape[0]
        for double in (True, False):
            self.double = double
            self.region = self.config.act_words // (4 if double else 2)
            for band in sorted({ceil_div(outputs, n) for n in range(1, outputs + 1)}, reverse=True):
                inputs = align(self._rows(band) * self.row, self.unit) * len(self.sources)
                small = inputs <= self.region and band * self.out_row <= self.region
                if small and (band < outputs or outputs == 1 or inputs <= self.region // 8 or not double):
                    self.band = band
                    return
        raise BadInput(
            f"layer {self.layer.name!r} does not fit: one row of its outputs needs more than act_words="
            f"{self.config.act_words}; choose a larger buffer"
        )

    def work(self) -> Iterator[Work]:
        """The layer's bands."""
        r = self.data.requantiser
        lanes = self.config.lanes
        uniform = Requantiser(
            r.bias[:1].repeat(lanes), r.multiplier[:1].repeat(lanes), r.shift[:1].repeat(lanes)
        )
        word = pack_parameters(uniform, lanes)
        self.parameter_address = self.image.constant(len(word), lambda: word)
        for first in range(0, self.result.shape[0], self.band):
            rows = min(self.band, self.result.shape[0] - first)
            place = {"base": 0}
            yield Work(
                self.layer.name,
                [
                    Step(
                        "vec",
                        1,
                        partial(self._compute, rows, place),
                        self._load_parameters if first == 0 else _nothing,
                    )
                ],
                inputs=partial(self._load, first, rows, place),
                end=partial(self._store, first, rows),
                barrier=not self.double or (self.barrier and first == 0),
            )

    def _load_parameters(self) -> None:
        size = self.config.parameter.word_bytes
        self.parameter = parameter_place(self.config, self.turns, "vec")
        self.builder.emit(
            "load.run", address=self.parameter_address, buffer="parameter", target=self.parameter * size,
            run_bytes=size, reads=[Region.dram(self.parameter_address, size)],
            writes=[Region.span("parameter", self.parameter, 1)],
        )  # fmt: skip

    def _load(self, first: int, rows: int, place: dict[str, int]) -> None:
        """The inputs of a band, one behind the other."""
        b, lanes = self.builder, self.config.lanes
        place["base"] = self.turns.next("act", 2 if self.double else 1) * self.region
        y = first * self.steps_yx[0] - self.pad[0]
        count = self._rows(rows)
        pad = -128 if self.layer.kind == "maxpool" else self.zero
        for at, tensor in enumerate(self.sources):
            base = place["base"] + at * align(count * self.row, self.unit)
            h, w, _ = tensor.shape
            b.set(
                "load.window",
                row_pitch=tensor.pitch,
                row_bytes=w * tensor.pixel,
                row_count=h,
                pad_value=pad,
                x_step=0,
            )
            b.set("load.position", x_start=-self.pad[1] * tensor.pixel, y_start=y, group_count=1)
            low, high = max(y, 0), min(y + count, h)
            b.emit(
                "load.run",
                address=(tensor.address + y * tensor.pitch - self.pad[1] * tensor.pixel) & ((1 << 40) - 1),
                buffer="act", target=base * lanes, run_bytes=self.width * tensor.pixel, run_count=count, windowed=1,
                reads=[Region.dram(tensor.address + low * tensor.pitch, (high - low) * tensor.pitch)],
                writes=[Region.span("act", base, align(count * self.row, self.unit))],
            )  # fmt: skip

    def _compute(self, rows: int, place: dict[str, int]) -> None:
        b, r = self.builder, self.data.requantiser
        places = 2 if self.double else 1
        self.out_base = (2 * places - 1 - self.turns.next("out", places)) * self.region
        columns = self.result.shape[1]
        sy, sx = self.steps_yx
        count = self._rows(rows)
        add = self.layer.kind == "add"
        second = align(count * self.row, self.unit)
        b.set(
            "vec.shape", r0=2 if add else self.window[1], r1=self.window[0], n0=columns, n1=rows, n2=self.words,
            rounding=r.rounding, zero=r.zero, low=r.low, high=r.high,
        )  # fmt: skip
        b.set(
            "vec.source",
            r0=second if add else self.words,
            r1=self.row,
            n0=sx * self.words,
            n1=sy * self.row,
            n2=1,
        )
        weights = self.data.weights if add else (1, 1)
        b.set(
            "vec.target",
            n0=self.words,
            n1=self.out_row,
            n2=1,
            parameter_n2=0,
            weight0=weights[0],
            weight1=weights[1],
        )
        b.emit(
            "vec.run", op="max" if self.layer.kind == "maxpool" else "sum", source=place["base"],
            target=self.out_base, parameter=self.parameter,
            reads=[
                Region.span("act", place["base"], second * len(self.sources)),
                Region.span("parameter", self.parameter, 1),
            ],
            writes=[Region.span("act", self.out_base, rows * self.out_row)],
        )  # fmt: skip

    def _store(self, first: int, rows: int) -> None:
        b, tensor = self.builder, self.result
        b.set("store.window", row_pitch=tensor.pitch, source_pitch=self.out_row)
        b.emit(
            "store.run", address=tensor.address + first * tensor.pitch, source=self.out_base,
            run_bytes=tensor.shape[1] * tensor.pixel, run_count=rows,
            reads=[Region.span("act", self.out_base, rows * self.out_row)],
            writes=[Region.dram(tensor.address + first * tensor.pitch, rows * tensor.pitch)],
        )  # fmt: skip
