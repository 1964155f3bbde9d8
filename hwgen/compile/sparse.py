"""A product on the sparse core: activations turned by VEC, weights as three streams, sums requantised by VEC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from hwgen.compile.banded import Band
from hwgen.compile.builder import Region
from hwgen.compile.plan import RESIDENT
from hwgen.compile.product import Product, Rect, Visit, padded_weight
from hwgen.compile.sparse_figures import SparseFigures
from hwgen.compile.sparse_plan import SparsePlan
from hwgen.compile.sparse_weights import STREAMS, stream_spaces
from hwgen.compile.steps import Step, Work
from hwgen.parts.sparse import BLOCK, PATTERNS

__all__ = ["SparseProduct"]


@dataclass
class _Group:
    """Rounds whose weights are in the buffers together.

    Parameters
    ----------
    number, first, count : int
        Of the group; its first round, and how many.
    blocks : mapping of str to (int, int)
        Address and size of each stream: all passes, one behind the other.
    base : mapping of str to int
        Where the streams lie in their buffers, once they are loaded.
    parameter : int
        Where its parameters lie.
    """

    number: int
    first: int
    count: int
    blocks: dict[str, tuple[int, int]]
    base: dict[str, int] = field(default_factory=dict)
    parameter: int = 0


@dataclass
class _Job:
    """A run: one pass of one tile of outputs for one group.

    Parameters
    ----------
    group : _Group
        Weights.
    visit : Visit
        Outputs.
    part : int
        The pass.
    last : bool
        It completes the sums.
    half : int
        Half of the operand memories, once it is filled.
    """

    group: _Group
    visit: Visit
    part: int
    last: bool
    half: int = 0


@dataclass
class SparseProduct(Product):
    """A product on the sparse core."""

    plan: SparsePlan

    def __post_init__(self) -> None:
        super().__post_init__()
        self.groups = [
            self._group(number, first, count) for number, (first, count) in enumerate(self.plan.groups)
        ]

    def figures(self) -> SparseFigures:
        """What the layer's weights are, for reports."""
        plan, weights, given = self.plan, self.plan.weights, self.data.weight
        assert given is not None
        blocks = np.bincount(np.concatenate([codes.reshape(-1) for codes in weights.codes]))
        taken = [sum(group.blocks[name][1] for group in self.groups) for name in STREAMS]
        return SparseFigures(
            weights=given.size,
            nonzero=given.size if weights.dense else int(np.count_nonzero(given)),
            known=not weights.dense,
            patterns={str(PATTERNS[code]): count for code, count in enumerate(blocks.tolist()) if count},
            bits=weights.bits,
            codes=taken[0],
            values=taken[1],
            indices=taken[2],
            spread=weights.spread,
            tiles=sum(len(self._rects(band)) for band in self.bands),
            tile_steps=plan.tile_steps,
            dense_tile_steps=self._dense_steps(),
        )

    def _dense_steps(self) -> int:
        """Steps of one tile of outputs if no weight of the layer were zero."""
        weights, given = self.plan.weights, self.data.weight
        assert given is not None
        g = self.g
        inner = g.kernel[0] * g.kernel[1] * g.source[2] if g.gathered else g.source[2]
        if weights.dense or (self.layer.groups == 1 and inner % BLOCK == 0):
            return weights.full_steps()
        # What pads channels to words, or lies between groups, is no weight.
        ones = padded_weight(np.ones(given.shape, np.int8), self.layer, g)
        full = replace(weights, matrix=ones.reshape(weights.matrix.shape))
        return replace(self.plan, weights=full).tile_steps

    def work(self) -> Iterator[Work]:
        """The layer's bands: a step for each group of weights."""
        for band in self.bands:
            jobs = list(self._jobs(self._rects(band)))
            steps = []
            for group in self.groups:
                own = [number for number, job in enumerate(jobs) if job.group is group]
                cycles = sum(self.plan.weights.steps(jobs[n].part, group.first, group.count) for n in own)
                steps.append(
                    Step(
                        "sparse",
                        cycles,
                        partial(self._compute, jobs, own[0], own[-1] + 1),
                        partial(self._weights, band, group),
                    )
                )
            yield Work(
                self.layer.name,
                steps,
                inputs=partial(self._load_band, band),
                begin=partial(self._begin, band),
                end=partial(self._end, band),
                barrier=self._waits(band),
            )

    def _group(self, number: int, first: int, count: int) -> _Group:
        """Addresses of a group's streams; their bytes are made with the image."""
        weights, blocks = self.plan.weights, {}
        needs = weights.needs(first, count)
        for name, space in stream_spaces(self.config).items():
            size = sum(needs[name]) * space.word_bytes
            make = partial(weights.stream, name, first, count)
            blocks[name] = (self.image.constant(size, make) if size else 0, size)
        return _Group(number, first, count, blocks)

    def _rects(self, band: Band) -> list[Rect]:
        """Outputs of a band that are computed together."""
        high, wide = self.plan.rect
        return [
            (y, min(high, band.rows - y), x, min(wide, band.columns - x))
            for y in range(0, band.rows, high)
            for x in range(0, band.columns, wide)
        ]

    def _jobs(self, rects: list[Rect]) -> Iterator[_Job]:
        """Runs of a band: groups outermost, so that weights are loaded once."""
        parts = len(self.plan.weights.passes)
        for group in self.groups:
            for rect in rects:
                first, count = self.plan.weights.tiles(group.first, group.count)
                visit = Visit(first, count, rect, rect[1] * rect[3], parts=parts)
                for part in range(parts):
                    yield _Job(group, visit, part, part == parts - 1)

    def _weights(self, band: Band, group: _Group) -> None:
        """Emit the loads of a group's weights and parameters, unless they are there."""
        if band.number and len(self.groups) <= RESIDENT:
            return
        for name, space in stream_spaces(self.config).items():
            address, size = group.blocks[name]
            group.base[name] = self.turns.next(name) * (space.words // 2)
            if size:
                self.builder.load(address, size, name, group.base[name], space.word_bytes)
        visit = Visit(*self.plan.weights.tiles(group.first, group.count), (0, 0, 0, 0), 0)
        self.load_parameters(visit, "dsp")
        group.parameter = visit.parameter

    def _compute(self, jobs: list[_Job], first: int, end: int) -> None:
        """Emit runs: while one is under way, the next one's activations come, and the last one's sums go."""
        if first == 0:
            self._fill(jobs[0])
        for number in range(first, end):
            if number + 1 < len(jobs):
                self._fill(jobs[number + 1])
            self._run(jobs[number])
            if number and jobs[number - 1].last:
                self.requantise(jobs[number - 1].visit)
        if end == len(jobs):
            self.requantise(jobs[-1].visit)

    def _fill(self, job: _Job) -> None:
        """Emit what turns a tile's activations into operands."""
        g, b, cfg = self.g, self.builder, self.config
        y, rows, x, columns = job.visit.rect
        sy, sx = g.steps
        stride = sx * g.words if columns > 1 else sy * self.band.row_words
        job.half = self.turns.next("operand")
        first, count = self.plan.weights.passes[job.part]
        target = job.half * (cfg.sparse_depth // 2)
        origin = self.band.source + y * sy * self.band.row_words + x * sx * g.words
        outputs = np.arange(rows * columns) * stride
        for at, kernel_row, kernel_column, chunk, chunks, positions in self._pieces(first, count):
            source = origin + kernel_row * self.band.row_words + kernel_column * g.words + chunk
            b.set("vec.shape", r0=rows * columns, n0=BLOCK, n1=chunks, n2=positions)
            b.set("vec.source", r0=stride if rows * columns > 1 else 0, n1=1, n2=g.words)
            b.set("vec.target", n0=1, n1=BLOCK, n2=BLOCK * chunks)
            words = np.add.outer(outputs, np.add.outer(np.arange(positions) * g.words, np.arange(chunks)))
            place = target + (at - first) * BLOCK
            b.emit(
                "vec.run", op="columns", source=source, target=place, parameter=0, planes=1,
                unit=int(self.plan.weights.spread), reads=[Region("act", source + words.reshape(-1))],
                writes=[Region.span("operand", place, positions * chunks * BLOCK)],
            )  # fmt: skip

    def _pieces(self, first: int, count: int) -> Iterator[tuple[int, int, int, int, int, int]]:
        """Blocks of a pass as loops: block, kernel row, kernel column, first chunk, chunks, kernel columns."""
        words, wide = self.g.words, self.g.window[1]
        at, end = first, first + count
        while at < end:
            position, chunk = divmod(at, words)
            row, column = divmod(position, wide)
            if chunk or end - at < words:
                chunks, positions = min(words - chunk, end - at), 1
            else:
                chunks, positions = words, min(wide - column, (end - at) // words)
            yield at, row, column, chunk, chunks, positions
            at += chunks * positions

    def _run(self, job: _Job) -> None:
        """Emit a run."""
        group, visit = job.group, job.visit
        if job.part == 0:
            visit.acc = self.turns.next("acc_sparse") * (self.config.acc_words // 2)
            visit.parameter = group.parameter
        acc = visit.acc + job.part * visit.tiles * visit.stride
        self.plan.weights.emit_run(
            self.builder, job.part, group.first, group.count, rows=visit.stride, half=job.half, acc=acc, at=group.base
        )  # fmt: skip
