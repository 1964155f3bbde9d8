"""How a product is cut for the sparse core: passes along K, tiles of outputs, groups of column tiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from hwgen.compile.plan import (
    LOAD_CYCLES,
    PARAMETER_PLACES,
    RESIDENT,
    RUN_CYCLES,
    Bands,
    Geometry,
    candidates,
    widths,
)
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, ceil_div
from hwgen.parts.sparse import BLOCK, PATTERNS, SparseMatrix
from hwgen.system.config import CODE_WORD, SPARSE_WEIGHT_BITS, SystemConfig
from hwgen.workloads.layers import Layer

__all__ = ["SparsePlan", "SparseWeights", "plan_sparse"]

_MOST_TILES = 1023  # what an instruction counts
_VALUE_UNIT = 16  # bits: a step takes as many units of values as a weight has bits
_WORD_UNITS = 8
_SLOTS = np.array([p.slots for p in PATTERNS])
_INDEX_HALVES = np.array([p.index_bits // 2 for p in PATTERNS])
_LIMITS = ("sparse_code_words", "sparse_value_words", "sparse_index_words")


@dataclass(frozen=True, eq=False)
class SparseWeights:
    """A layer's weights for the sparse core.

    Parameters
    ----------
    matrix : int array, shape (K, N)
        In the order of the operand words: kernel rows, kernel columns, channels; multiples of 16.
    bits : int
        Width of a weight in the streams.
    ways : int
        Neighbouring column tiles that share codes; more than one in matrix-vector mode.
    passes : tuple of (int, int)
        First block along K, and how many.
    dense : bool
        Give every block all of its slots: for weights that are not known.
    """

    matrix: IntArray
    bits: int
    ways: int
    passes: tuple[tuple[int, int], ...]
    dense: bool = False

    @property
    def round_columns(self) -> int:
        """Columns of a round."""
        return BLOCK * self.ways

    @property
    def rounds(self) -> int:
        """Rounds of the whole layer."""
        return ceil_div(self.matrix.shape[1], self.round_columns)

    def packed(self, part: tuple[int, int], first: int, count: int) -> SparseMatrix:
        """Some rounds of a pass."""
        rows = slice(part[0] * BLOCK, (part[0] + part[1]) * BLOCK)
        columns = slice(first * self.round_columns, (first + count) * self.round_columns)
        patterns = [p for p in PATTERNS if p.n == p.m] if self.dense else PATTERNS
        # Alone, a vector waits for its weights; a matrix waits for the multipliers.
        fewest: Literal["bytes", "slots"] = "bytes" if self.ways > 1 else "slots"
        return SparseMatrix.pack(
            self.matrix[rows, columns], bits=self.bits, patterns=patterns, fewest=fewest, ways=self.ways
        )

    @cached_property
    def codes(self) -> tuple[npt.NDArray[np.uint8], ...]:
        """Codes of the blocks of each pass, shape (rounds, blocks)."""
        return tuple(self.packed(part, 0, self.rounds).codes for part in self.passes)

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Steps, code words, units of values and half words of indices, shape (passes, rounds, 4).

        Steps do not count what a short round is filled up with.
        """
        found = []
        for codes in self.codes:
            slots = _SLOTS[codes]
            words = ceil_div(codes.shape[1], CODE_WORD)
            by_word = np.zeros((self.rounds, words * CODE_WORD), np.int64)
            by_word[:, : slots.shape[1]] = slots
            steps = np.maximum(by_word.reshape(self.rounds, words, CODE_WORD).sum(-1), 1).sum(-1)
            halves = slots * _INDEX_HALVES[codes]
            columns = (steps, np.full(self.rounds, words), slots.sum(-1) * self.bits, halves.sum(-1))
            found.append(np.stack(columns, axis=-1))
        return np.stack(found)


@dataclass(frozen=True, kw_only=True)
class SparsePlan(Bands):
    """Sizes that fit the buffers.

    Parameters
    ----------
    rect : tuple of int
        Rows and columns of outputs that are computed together; one of them lies at equal distances in the buffer.
    spread : bool
        Matrix-vector mode.
    weights : SparseWeights
        How they are cut along K.
    groups : tuple of (int, int)
        Rounds whose weights are in the buffers together: the first one, and how many.
    """

    rect: tuple[int, int]
    spread: bool
    weights: SparseWeights
    groups: tuple[tuple[int, int], ...]

    def steps(self, config: SystemConfig, part: int, first: int, count: int) -> int:
        """Cycles of the array for some rounds of a pass."""
        taken = self.weights.sizes[part, first : first + count, 0]
        least, gap = config.sparse_least(self.spread), config.sparse_gap(self.spread)
        return int(np.maximum(taken, least).sum()) + count * gap

    def tile_steps(self, config: SystemConfig) -> int:
        """Cycles of the array for one tile of outputs: all passes and rounds."""
        weights = self.weights
        return sum(self.steps(config, part, 0, weights.rounds) for part in range(len(weights.passes)))

    def full_tile_steps(self, config: SystemConfig) -> int:
        """The same if every block had all of its slots."""
        least, gap = config.sparse_least(self.spread), config.sparse_gap(self.spread)
        of_rounds = (max(BLOCK * blocks, least) + gap for _, blocks in self.weights.passes)
        return self.weights.rounds * sum(of_rounds)

    def rows(self, config: SystemConfig, part: int, first: int, count: int) -> tuple[int, int]:
        """Rows of values and of indices for some rounds of a pass."""
        return stream_rows(config, self.spread, self.weights.sizes[part, first : first + count].sum(axis=0))

    def cycles(self, config: SystemConfig, g: Geometry) -> float:
        """Rough cycles of the layer: the chains, or the transfers."""
        parts = range(len(self.weights.passes))
        tiles = ceil_div(g.size[0], self.rect[0]) * ceil_div(g.size[1], self.rect[1])
        every = [self.steps(config, part, *group) for group in self.groups for part in parts]
        bands = ceil_div(g.size[0], self.band) * ceil_div(g.size[1], self.columns)
        weights = 0
        for part in parts:
            values, indices = self.rows(config, part, 0, self.weights.rounds)
            weights += values * config.value.word_bytes + indices * config.index.word_bytes
        reloads = bands if len(self.groups) > RESIDENT else 1
        unit = max(1, config.bus_bytes // config.lanes)
        load = g.rows(self.band) * g.row_words(self.columns, unit) * config.lanes
        store = self.band * self.columns * g.tiles * config.lanes
        loads = len(self.groups) * len(_LIMITS) * LOAD_CYCLES * config.bus_bytes
        moved = bands * (load + store) + reloads * (weights + loads)
        chains = tiles * (sum(every) + RUN_CYCLES * len(every))
        return (load + store) / config.bus_bytes + max(chains, moved / config.bus_bytes)


def stream_rows(config: SystemConfig, spread: bool, sizes: IntArray) -> tuple[int, int]:
    words = ceil_div(int(sizes[2]), _WORD_UNITS), ceil_div(int(sizes[3]), 2)
    ways = 1 if spread else config.sparse_ways
    return ceil_div(words[0], ways), ceil_div(words[1], ways)


def plan_sparse(config: SystemConfig, layer: Layer, g: Geometry, weight: IntArray, known: bool) -> SparsePlan:
    """A plan for a product on the sparse core.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    layer : Layer
        The product.
    g : Geometry
        Its geometry.
    weight : int array, shape (kernel rows, kernel columns, channels in whole words, outputs in whole tiles)
        Its weights.
    known : bool
        Whether they are the weights; if not, every block is dense.

    Raises
    ------
    BadInput
        If it does not fit; the sentence says which buffer is too small.
    """
    matrix = weight.reshape(-1, weight.shape[3])
    bits = min(b for b in SPARSE_WEIGHT_BITS if b >= (layer.weight_bits if config.sparse_narrow else 8))
    most = config.sparse_depth // 2 // BLOCK
    blocks = len(matrix) // BLOCK
    count = ceil_div(blocks, most)
    size = ceil_div(blocks, count)
    passes = tuple((first, min(size, blocks - first)) for first in range(0, blocks, size))
    spread = g.size[0] * g.size[1] <= config.sparse_way_rows(True) < config.sparse_rows
    weights = SparseWeights(matrix, bits, config.sparse_ways if spread else 1, passes, not known)
    reason = f"act_words={config.act_words}"
    for columns in widths(config, g):
        for height in sorted(candidates(g.size[0]), reverse=True):
            for double in (True, False):
                if not _fits(config, g, height, columns, double):
                    continue
                rect = _rect(config, g, height, columns, spread)
                groups = _groups(config, weights, spread, rect[0] * rect[1])
                if isinstance(groups, str):
                    reason = groups
                    break
                return SparsePlan(
                    band=height, columns=columns, double=double, rect=rect, spread=spread, weights=weights,
                    groups=groups,
                )  # fmt: skip
    raise BadInput(
        f"layer {layer.name!r} does not fit: its smallest piece needs more than {reason}; choose a larger buffer"
    )


def _fits(config: SystemConfig, g: Geometry, height: int, columns: int, double: bool) -> bool:
    """Whether input and output of a band fit."""
    unit = max(1, config.bus_bytes // config.lanes)
    region = config.act_words // (4 if double else 2)
    out_row = ceil_div(columns * g.tiles, unit) * unit
    return g.rows(height) * g.row_words(columns, unit) <= region and height * out_row <= region


def _rect(config: SystemConfig, g: Geometry, height: int, columns: int, spread: bool) -> tuple[int, int]:
    """Outputs that are computed together, so that their inputs lie at equal distances."""
    most = config.sparse_way_rows(spread)
    if columns == 1:
        return min(height, most), 1
    unit = max(1, config.bus_bytes // config.lanes)
    even = g.steps[1] * g.words * columns == g.steps[0] * g.row_words(columns, unit)
    if columns >= most or not even or g.size[1] % columns:
        return 1, min(columns, most)
    return min(height, most // columns), columns


def _groups(
    config: SystemConfig, weights: SparseWeights, spread: bool, outputs: int
) -> tuple[tuple[int, int], ...] | str:
    """Rounds that fit the buffers together, or the buffer that not even one fits."""
    ways, parts = weights.ways, len(weights.passes)
    acc = config.acc_words // 2 // (outputs * parts) // ways
    tiles = min(config.parameter_words // PARAMETER_PLACES, _MOST_TILES) // ways
    if not acc:
        return f"acc_words={config.acc_words}"
    if not tiles:
        return f"parameter_words={config.parameter_words}"
    sums = np.concatenate([np.zeros((parts, 1, 4), np.int64), weights.sizes.cumsum(axis=1)], axis=1)

    def short(first: int, count: int) -> str:
        """The buffer in which so many rounds do not fit."""
        taken = sums[:, first + count] - sums[:, first]
        rows = np.array([stream_rows(config, spread, part) for part in taken])
        needs = (int(taken[:, 1].sum()), *(int(n) for n in rows.sum(axis=0)))
        for which, name in enumerate(_LIMITS):
            if needs[which] > getattr(config, name) // 2:
                return f"{name}={getattr(config, name)}"
        return ""

    groups, first = [], 0
    while first < weights.rounds:
        low, high = 0, min(acc, tiles, weights.rounds - first)
        while low < high:  # the most that fit
            middle = (low + high + 1) // 2
            low, high = (low, middle - 1) if short(first, middle) else (middle, high)
        if not low:
            return short(first, 1)
        groups.append((first, low))
        first += low
    return tuple(groups)
