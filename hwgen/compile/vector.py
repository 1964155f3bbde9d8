"""Pools and additions as instructions: bands through the VEC engine alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from hwgen.compile.banded import Band, Banded, parameter_place
from hwgen.compile.builder import Region
from hwgen.compile.image import Tensor, align, pack_parameters
from hwgen.compile.network import Requantiser
from hwgen.compile.plan import candidates, widths
from hwgen.compile.steps import Step, Work
from hwgen.errors import BadInput
from hwgen.numerics import ceil_div

__all__ = ["Vector"]


def _nothing() -> None:
    """Emit nothing."""


@dataclass
class Vector(Banded):
    """A pool or an addition being lowered; all channels share the constants of its requantiser.

    Parameters
    ----------
    sources : sequence of Tensor
        Where its inputs lie.
    """

    sources: Sequence[Tensor]

    def __post_init__(self) -> None:
        r = self.data.requantiser
        if any(len(set(values.tolist())) > 1 for values in (r.bias, r.multiplier, r.shift)):
            raise BadInput(
                f"layer {self.layer.name!r} ({self.layer.kind}) has constants per channel, which only products have; "
                "give all channels the same"
            )
        self._cut(*self._size())
        lanes = self.config.lanes
        uniform = Requantiser(
            r.bias[:1].repeat(lanes), r.multiplier[:1].repeat(lanes), r.shift[:1].repeat(lanes)
        )
        word = pack_parameters(uniform, lanes)
        self.parameter_address = self.image.constant(len(word), lambda: word)

    def _size(self) -> tuple[int, int, bool]:
        """Rows and columns of the largest band of which two fit, or one; not all at once, so that transfers overlap."""
        cfg, g = self.builder.config, self.g
        unit = max(1, cfg.bus_bytes // cfg.lanes)
        for columns in widths(cfg, g):
            for double in (True, False):
                region = cfg.act_words // (4 if double else 2)
                for rows in reversed(candidates(g.size[0])):
                    taken = align(g.rows(rows) * g.row_words(columns, unit), unit) * len(self.sources)
                    fits = taken <= region and rows * ceil_div(columns * g.tiles, unit) * unit <= region
                    all_at_once = double and rows == g.size[0] > 1 and taken > region // 8
                    if fits and not all_at_once:
                        return rows, columns, double
        raise BadInput(
            f"layer {self.layer.name!r} does not fit: its smallest piece needs more than act_words={cfg.act_words}; "
            "choose a larger buffer"
        )

    def work(self) -> Iterator[Work]:
        """The layer's bands."""
        for band in self.bands:
            weights = self._load_parameters if band.number == 0 else _nothing
            yield Work(
                self.layer.name,
                [Step("vec", 1, partial(self._compute, band), weights)],
                inputs=partial(self._load_band, band),
                begin=partial(self._begin, band),
                end=partial(self._end, band),
                barrier=self._waits(band),
            )

    def _load_parameters(self) -> None:
        self.parameter = parameter_place(self.config, self.turns, "vec")
        size = self.config.parameter.word_bytes
        self.builder.load(self.parameter_address, size, "parameter", self.parameter, size)

    def _load_band(self, band: Band) -> None:
        """The inputs of a band, one behind the other."""
        word = band.source = self.turns.next("act", self.places) * self.region
        for tensor in self.sources:
            word += self._load_rows(tensor, band, word, -128 if self.layer.kind == "maxpool" else self.zero)

    def _compute(self, band: Band) -> None:
        g, b, r = self.g, self.builder, self.data.requantiser
        add = self.layer.kind == "add"
        second = align(g.rows(band.rows) * band.row_words, self.unit)  # from one input to the other
        b.set(
            "vec.shape", r0=2 if add else g.kernel[1], r1=g.kernel[0], n0=band.columns, n1=band.rows, n2=g.words,
            rounding=self.config.roundings.index(r.rounding), zero=r.zero, low=r.low, high=r.high,
        )  # fmt: skip
        b.set(
            "vec.source", r0=second if add else g.words, r1=band.row_words, n0=g.stride[1] * g.words,
            n1=g.stride[0] * band.row_words, n2=1,
        )  # fmt: skip
        weights = self.data.weights if add else (1, 1)
        b.set(
            "vec.target",
            n0=g.words,
            n1=band.out_row,
            n2=1,
            parameter_n2=0,
            weight0=weights[0],
            weight1=weights[1],
        )
        b.emit(
            "vec.run", op="max" if self.layer.kind == "maxpool" else "sum", source=band.source, target=band.target,
            parameter=self.parameter,
            reads=[
                Region.span("act", band.source, second * len(self.sources)),
                Region.span("parameter", self.parameter, 1),
            ],
            writes=[Region.span("act", band.target, band.rows * band.out_row)],
        )  # fmt: skip
