"""Random runs of the sparse engine: weights of random patterns, their streams in DRAM and in the buffers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwgen.numerics import ceil_div
from hwgen.parts.sparse import PATTERNS, SparseMatrix, prune
from hwgen.program.encoding import instr
from hwgen.program.table import BUFFERS, VEC_OPS
from hwgen.system.access import Access, Run, Words, overlap, touched
from hwgen.system.config import SPARSE_LANES, SPARSE_WEIGHT_BITS, SystemConfig
from hwgen.verify.case import Bytes
from hwgen.verify.writer import Settings, Writer

__all__ = ["SparseWriter"]

_BLOCKS = 40  # most blocks of a sum: more than a word of codes holds
_BYTES = 1 << 12  # most bytes of a matrix
_TRIES = 4  # draws of one until it is small enough
_STREAMS = ("code", "value", "index")


@dataclass(eq=False)
class _Weights:
    """A matrix whose streams lie in DRAM."""

    shape: dict[str, int]  # of sparse.shape, but for its rows
    stream: dict[str, int]
    rounds: int
    streams: dict[str, tuple[int, int]]  # address and bytes
    words: dict[str, Words] = field(default_factory=dict)  # in the buffers, while it is in them


class SparseWriter(Writer):
    """Draws of the sparse engine.

    Parameters
    ----------
    config, rng, size
        As for :func:`hwgen.verify.programs.random_program`.
    """

    def __init__(self, config: SystemConfig, rng: np.random.Generator, size: int):
        super().__init__(config, rng, size)
        self.known: list[_Weights] = []  # those that lie in DRAM

    def run(self, engine: str, settings: Settings, **fields: int) -> bool:
        """As :meth:`Writer.run`; weights that a run of LOAD overwrites are in the buffers no more."""
        done = super().run(engine, settings, **fields)
        if done and engine == "load":
            values: dict[str, Any] = {**fields}
            one = instr("load.run", **values)
            for access in touched(Run(0, one, one.fields, settings), self.config):
                for weights in self.known:
                    if _overwrites(access, weights):
                        weights.words = {}
        return done

    def sparse(self) -> bool:
        """One run of SPARSE, and what it lacks before it: weights, often new operands."""
        ready = [weights for weights in self.known if weights.words]
        if ready and self.rng.random() < 0.5:
            weights = ready[int(self.rng.integers(len(ready)))]
        else:
            found = self._some_weights()
            if found is None or not self._load_weights(found):
                return False
            weights = found
        spread = weights.shape["spread"]
        ways = self.config.sparse_ways if spread else 1
        tiles = (weights.rounds - 1) * ways + int(self.rng.integers(1, ways + 1))
        return self._sparse_run(weights, self.count(self.config.sparse_way_rows(spread)), tiles)

    def _sparse_run(self, weights: _Weights, rows: int, tiles: int, acc: int | None = None) -> bool:
        """A run with weights that are in the buffers."""
        stride = rows + self.one_of(0, 0, 0, 1, 3) if acc is None else rows
        at = self.base("acc", ((rows, 1), (tiles, stride))) if acc is None else acc
        blocks = weights.shape["blocks"]
        operand = self.base("operand", ((SPARSE_LANES * blocks, 1),), SPARSE_LANES)
        if at is None or operand is None:
            return False
        if self.rng.random() < 0.6:
            self.fill_operands(operand, blocks, rows, weights.shape["spread"])
        settings = {"shape": weights.shape | {"rows": rows}, "stream": weights.stream}
        return self.run(
            "sparse", settings, operand=operand // SPARSE_LANES, acc=at, tiles=tiles, acc_stride=stride,
            **{name: words.base for name, words in weights.words.items()},
        )  # fmt: skip

    def fill_operands(self, word: int, blocks: int, rows: int, spread: int) -> bool:
        """A run of VEC that fills whole blocks of operands with activations; tells whether it was appended."""
        lanes = self.config.lanes
        drawn = self.one_of(0, 1, rows)
        bases = {step: self.base("act", ((rows, 1), (blocks, step))) for step in (drawn, 1, 0)}
        step, source = next(((step, base) for step, base in bases.items() if base is not None), (0, None))
        if source is None:
            return False
        shape = {"r0": rows, "r1": 1, "n0": lanes, "n1": blocks, "n2": 1}
        settings = {
            "shape": shape,
            "source": {"r0": 1, "r1": 0, "n0": 0, "n1": step, "n2": 0},
            "target": {"n0": 1, "n1": lanes, "n2": 0},
        }
        op = VEC_OPS.index("columns")
        return self.run(
            "vec", settings, op=op, source=source, target=word, parameter=0, planes=1, unit=spread
        )

    def fill_sparse(self) -> None:
        """Operands all over their memory."""
        low, high = self.arenas["operand"]
        first = ceil_div(low, SPARSE_LANES)
        blocks = high // SPARSE_LANES - first
        if not self.fill_operands(SPARSE_LANES * first, blocks, self.config.sparse_rows, 0):
            raise AssertionError("the operands do not fit")

    def fill_sums(self, low: int, high: int) -> None:
        """Sums by the sparse engine, for accelerators that have no other."""
        rows = min(self.config.sparse_rows, high - low)
        tiles = max(1, min(8, (high - low) // rows))
        weights = self._new_weights(2, tiles, 8, 1, [1])
        assert weights is not None
        assert self._load_weights(weights)
        for word in range(low, high - tiles * rows + 1, tiles * rows):
            if not self._sparse_run(weights, rows, tiles, word):
                raise AssertionError(f"sums of the sparse engine do not fit at word {word}")

    def _some_weights(self) -> _Weights | None:
        """New weights, or some that lie in DRAM already."""
        rng, cfg = self.rng, self.config
        if rng.random() < 0.6 or not self.known:
            bits = self.one_of(*SPARSE_WEIGHT_BITS) if cfg.sparse_narrow else 8
            ways = self.one_of(1, cfg.sparse_ways)
            few = rng.choice([p.code for p in PATTERNS], self.one_of(1, 2, len(PATTERNS)), replace=False)
            low, high = self.arenas["operand"]
            most = min(
                self.one_of(_BLOCKS, _BLOCKS // ways + 1), high // SPARSE_LANES - ceil_div(low, SPARSE_LANES)
            )
            for _ in range(_TRIES):
                tiles = ways * self.count(4)
                found = self._new_weights(self.count(most), tiles, bits, ways, few.tolist())
                if found is not None:
                    return found
        return self.known[int(rng.integers(len(self.known)))] if self.known else None

    def _new_weights(
        self, blocks: int, tiles: int, bits: int, ways: int, codes: list[int]
    ) -> _Weights | None:
        """Weights in a mix of patterns; None if there is no room for them."""
        rng, cfg = self.rng, self.config
        k, n = (
            SPARSE_LANES * count - self.one_of(0, 0, int(rng.integers(SPARSE_LANES)))
            for count in (blocks, tiles)
        )
        half = 1 << (bits - 1)
        dense = rng.integers(-half, half, (k, n))
        dense[rng.random((k, n)) < 0.1] = -half
        rounds = tiles // ways
        chosen = rng.choice(codes, (rounds, blocks))
        matrix = SparseMatrix.pack(
            prune(dense, chosen, ways=ways),
            bits=bits,
            ways=ways,
            fewest="bytes" if rng.random() < 0.5 else "slots",
        )
        parts = dict(zip(_STREAMS, matrix.streams(), strict=True))
        size = sum(map(len, parts.values()))
        if size > _BYTES or self.streams_used + size > self.stored - self.streams:
            return None
        spread = int(ways > 1)
        # A row has a slice for each way; if only one reads, it takes all slices of a row, one after the other.
        per_row = 1 if spread else cfg.sparse_ways
        stream = {
            "steps": matrix.cycles(cfg.sparse_least(spread), cfg.sparse_gap(spread)),
            "value_rows": ceil_div(matrix.value_rows, per_row),
            "index_rows": ceil_div(matrix.index_rows, per_row),
        }
        shape = {"blocks": blocks, "weight_bits": bits, "spread": spread}
        places = {
            name: (self.place_stream(np.frombuffer(data, np.uint8)), len(data))
            for name, data in parts.items()
        }
        made = _Weights(shape, stream, rounds, places)
        self.known.append(made)
        return made

    def place_stream(self, data: Bytes) -> int:
        """Put bytes into the part of DRAM that streams have; gives their address."""
        address = self.streams + self.streams_used
        self.contents.append((address, data))
        self.streams_used += len(data)
        return address

    def _load_weights(self, weights: _Weights) -> bool:
        """Runs of LOAD that bring the streams to their buffers; tells whether they fit."""
        places = {}
        for name, (_, size) in weights.streams.items():
            space, bus = self.spaces[name], self.config.bus_bytes
            written = ceil_div(size, max(bus, self.config.lanes)) * max(bus, self.config.lanes)
            loops = ((max(1, ceil_div(written, space.word_bytes)), 1),)
            first = self.base(name, loops, max(1, bus // space.word_bytes))
            if first is None:
                return False
            places[name] = Words(first, loops)
        for name in self.rng.permutation(_STREAMS).tolist():
            address, size = weights.streams[name]
            target = places[name].base * self.spaces[name].word_bytes
            given = {"address": address, "buffer": BUFFERS.index(name), "target": target, "run_bytes": size}
            if size and not self.run("load", {}, **given):
                return False
        weights.words = places
        return True


def _overwrites(access: Access, weights: _Weights) -> bool:
    """Whether an access changes weights in the buffers."""
    where = weights.words.get(access.space)
    return access.write and where is not None and overlap(access.where, where) is not None
