"""A layer's weights for the sparse core: cut along K, packed, measured, and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from hwgen.compile.builder import Builder, Region
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, ceil_div
from hwgen.parts.sparse import BLOCK, PATTERNS, SparseMatrix
from hwgen.system.config import CODE_WORD, SPARSE_WEIGHT_BITS, Space, SystemConfig

__all__ = ["STREAMS", "SparseWeights", "stream_spaces"]

STREAMS = ("code", "value", "index")
"""Streams by the names of their buffers, in the order of :class:`hwgen.parts.sparse.Streams`."""

_WORD_UNITS = 8  # a step takes as many units of values as a weight has bits, and a word holds eight
_SLOTS = np.array([p.slots for p in PATTERNS])
_INDEX_HALVES = np.array([p.index_bits // 2 for p in PATTERNS])  # of a word of indices, by step


def stream_spaces(config: SystemConfig) -> dict[str, Space]:
    """The streams' buffers, by name."""
    return {"code": config.code, "value": config.value, "index": config.index}


@dataclass(frozen=True, eq=False)
class SparseWeights:
    """Weights for runs of the sparse core.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    matrix : int array, shape (K, N)
        In the order of the operand words; multiples of 16.
    weight_bits : int
        Width of a weight, 1..8; the streams have the next width that there is.
    spread : bool
        Matrix-vector mode.
    dense : bool
        Give every block all of its slots: for weights that are not known.
    """

    config: SystemConfig
    matrix: IntArray
    weight_bits: int
    spread: bool
    dense: bool = False

    @property
    def bits(self) -> int:
        """Width of a weight in the streams."""
        least = self.weight_bits if self.config.sparse_narrow else SPARSE_WEIGHT_BITS[-1]
        if not 1 <= self.weight_bits <= SPARSE_WEIGHT_BITS[-1]:
            raise BadInput(f"weight_bits must lie in 1..{SPARSE_WEIGHT_BITS[-1]}, not {self.weight_bits}")
        return min(bits for bits in SPARSE_WEIGHT_BITS if bits >= least)

    @property
    def ways(self) -> int:
        """Neighbouring column tiles that share codes."""
        return self.config.sparse_ways if self.spread else 1

    @cached_property
    def passes(self) -> tuple[tuple[int, int], ...]:
        """First block along K and how many, of each pass: balanced, in half of the operand memories each."""
        blocks = len(self.matrix) // BLOCK
        size = ceil_div(blocks, ceil_div(blocks, self.config.sparse_depth // 2 // BLOCK))
        return tuple((first, min(size, blocks - first)) for first in range(0, blocks, size))

    @property
    def rounds(self) -> int:
        """Rounds of the whole layer."""
        return ceil_div(self.matrix.shape[1], BLOCK * self.ways)

    def tiles(self, first: int, count: int) -> tuple[int, int]:
        """First column tile of some rounds, and how many."""
        begin, there = first * self.ways, self.matrix.shape[1] // BLOCK
        return begin, min(count * self.ways, there - begin)

    def _packed(self, part: int, first: int, count: int) -> SparseMatrix:
        at, blocks = self.passes[part]
        begin, tiles = self.tiles(first, count)
        patterns = [p for p in PATTERNS if p.n == p.m] if self.dense else PATTERNS
        # Alone, a vector waits for its weights; a matrix waits for the multipliers.
        fewest: Literal["bytes", "slots"] = "bytes" if self.spread else "slots"
        block = self.matrix[at * BLOCK : (at + blocks) * BLOCK, begin * BLOCK : (begin + tiles) * BLOCK]
        return SparseMatrix.pack(block, bits=self.bits, patterns=patterns, fewest=fewest, ways=self.ways)

    @cached_property
    def codes(self) -> tuple[npt.NDArray[np.uint8], ...]:
        """Codes of the blocks of each pass, shape (rounds, blocks)."""
        return tuple(self._packed(part, 0, self.rounds).codes for part in range(len(self.passes)))

    @cached_property
    def _sizes(self) -> npt.NDArray[np.int64]:
        """Of rounds up to each: steps, code words, units of values, half words of indices; (passes, rounds + 1, 4).

        Steps are those of rounds that are filled up, with the gaps between them.
        """
        least, gap = self.config.sparse_least(self.spread), self.config.sparse_gap(self.spread)
        found = []
        for codes in self.codes:
            slots = _SLOTS[codes]
            words = ceil_div(codes.shape[1], CODE_WORD)
            by_word = np.zeros((self.rounds, words * CODE_WORD), np.int64)
            by_word[:, : slots.shape[1]] = slots
            taken = np.maximum(by_word.reshape(self.rounds, words, CODE_WORD).sum(-1), 1).sum(-1)
            halves = slots * _INDEX_HALVES[codes]
            columns = (
                np.maximum(taken, least) + gap,
                np.full(self.rounds, words),
                slots.sum(-1) * self.bits,
                halves.sum(-1),
            )
            found.append(np.stack(columns, axis=-1).cumsum(axis=0))
        return np.pad(np.stack(found), ((0, 0), (1, 0), (0, 0)))

    def steps(self, part: int, first: int, count: int) -> int:
        """Cycles of the array for some rounds of a pass."""
        return int(self._sizes[part, first + count, 0] - self._sizes[part, first, 0])

    def full_steps(self) -> int:
        """Cycles of the array for all passes and rounds if every block had all of its slots."""
        least, gap = self.config.sparse_least(self.spread), self.config.sparse_gap(self.spread)
        return self.rounds * sum(max(BLOCK * blocks, least) + gap for _, blocks in self.passes)

    def needs(self, first: int, count: int) -> dict[str, list[int]]:
        """Words or rows that some rounds take of each stream, by pass."""
        taken = self._sizes[:, first + count] - self._sizes[:, first]
        beside = 1 if self.spread else self.config.sparse_ways  # words of one way that a row holds
        return {
            "code": [int(one[1]) for one in taken],
            "value": [ceil_div(ceil_div(int(one[2]), _WORD_UNITS), beside) for one in taken],
            "index": [ceil_div(ceil_div(int(one[3]), 2), beside) for one in taken],
        }

    def fitting(self, first: int, most: int, room: Mapping[str, int]) -> tuple[int, str]:
        """How many rounds from ``first`` on, at most so many, take no more than that; what stops one more, if anything.

        Parameters
        ----------
        first, most : int
            Rounds.
        room : mapping of str to int
            Words or rows of each stream.
        """

        def stops(count: int) -> str:
            needs = self.needs(first, count)
            return next((name for name in STREAMS if sum(needs[name]) > room[name]), "")

        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (low, middle - 1) if stops(middle) else (middle, high)
        return low, stops(low + 1) if low < most else ""

    def stream(self, name: str, first: int, count: int) -> npt.NDArray[np.uint8]:
        """Bytes of a stream of some rounds: of every pass, in whole words or rows."""
        unit = stream_spaces(self.config)[name].word_bytes
        out = []
        for part, size in enumerate(self.needs(first, count)[name]):
            data = self._packed(part, first, count).streams()[STREAMS.index(name)]
            padded = np.zeros(size * unit, np.uint8)
            padded[: len(data)] = np.frombuffer(data, np.uint8)
            out.append(padded)
        return np.concatenate(out)

    def emit_run(
        self,
        b: Builder,
        part: int,
        first: int,
        count: int,
        *,
        rows: int,
        half: int,
        acc: int,
        at: Mapping[str, int],
    ) -> None:
        """Emit a run of some rounds of a pass.

        Parameters
        ----------
        b : Builder
            The program.
        part, first, count : int
            The pass, and its rounds.
        rows : int
            Outputs.
        half : int
            Half of the operand memories in which their activations are.
        acc : int
            First word of sums; ``rows`` for every column tile.
        at : mapping of str to int
            Word or row at which the rounds' streams begin in their buffers, all passes one behind the other.
        """
        blocks, tiles, needs = self.passes[part][1], self.tiles(first, count)[1], self.needs(first, count)
        sizes = {name: needs[name][part] for name in STREAMS}
        where = {name: at[name] + sum(needs[name][:part]) for name in STREAMS}
        operand = half * (self.config.sparse_depth // 2)
        b.set("sparse.shape", blocks=blocks, rows=rows, weight_bits=self.bits, spread=int(self.spread))
        steps = self.steps(part, first, count)
        b.set("sparse.stream", steps=steps, value_rows=sizes["value"], index_rows=sizes["index"])
        b.emit(
            "sparse.run", operand=operand // BLOCK, acc=acc, tiles=tiles, acc_stride=rows if tiles > 1 else 0,
            settings=where,
            reads=[
                Region.span("operand", operand, blocks * BLOCK),
                *(Region.span(name, where[name], sizes[name]) for name in STREAMS if sizes[name]),
            ],
            writes=[Region.span("acc", acc, tiles * rows)],
        )  # fmt: skip
