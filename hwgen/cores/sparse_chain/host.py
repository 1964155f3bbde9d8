"""The host's side: operands to beats in the order of the passes, and beats back to C."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hwgen.cores.sparse_chain.config import SparseChainConfig
from hwgen.cores.sparse_chain.operation import Shape, SparseProduct
from hwgen.cores.sparse_chain.tiling import Pass, cut
from hwgen.numerics import IntArray, ceil_div
from hwgen.parts.sparse import BLOCK, PATTERNS
from hwgen.streams import Beats

__all__ = ["collect", "marks", "outside", "stimulus"]


def stimulus(config: SparseChainConfig, operations: Sequence[SparseProduct]) -> dict[str, Beats]:
    """Beats of the input streams.

    Rows beyond M carry the smallest value: the hardware drops them, and would be found out if it did not.
    """
    acts: list[IntArray] = []
    streams: dict[str, list[Beats]] = {"code": [], "value": [], "index": []}
    widths = {"code": BLOCK // 2, "value": config.array.value_bytes, "index": config.array.index_bytes}
    for op in operations:
        for part in op.cut(config).passes():
            block = op.a[part.m : part.m + part.m_count, part.k : part.k + part.k_count]
            column = np.full((part.k_count, config.rows), -128, np.int64)
            column[:, : part.m_count] = block.T
            acts.append(column)
            packed = op.packed(config, part).streams()
            for name, data in zip(streams, packed, strict=True):
                streams[name].append(_rows(data, widths[name]))
    cuts = [(op, op.cut(config)) for op in operations]
    fields = [
        [c.m for _, c in cuts],
        [ceil_div(c.n, BLOCK) for _, c in cuts],
        [c.k for _, c in cuts],
        [c.rounds for _, c in cuts],
        [c.group_rounds for _, c in cuts],
        [c.pass_blocks for _, c in cuts],
        [op.weight_bits for op, _ in cuts],
        [int(op.spread) for op, _ in cuts],
    ]
    command = [np.array(values, np.int64)[:, None] for values in fields]
    return {
        "cmd": config.streams[0].pack(*command),
        "a": config.streams[1].pack(np.concatenate(acts)),
        **{name: np.concatenate(beats) for name, beats in streams.items()},
    }


def _rows(data: bytes, width: int) -> Beats:
    """Bytes as rows, the last one padded."""
    padded = np.zeros(ceil_div(len(data), width) * width, np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    return padded.reshape(-1, width)


def _words(config: SparseChainConfig, part: Pass) -> npt.NDArray[np.int64]:
    """Row of C and first column of each word that a pass sends, in order, shape (words, 2).

    The ways of a round follow each other as column tiles do.
    """
    lanes = config.array.shared.columns
    found = []
    for column in range(part.n, part.n + part.n_count, BLOCK * lanes):
        for row in range(part.m, part.m + part.m_count):
            found += [
                (row, column + BLOCK * lane)
                for lane in range(lanes)
                if column + BLOCK * lane < part.n + part.n_count
            ]
    return np.array(found, np.int64).reshape(-1, 2)


def _sent(config: SparseChainConfig, op: SparseProduct | Shape) -> npt.NDArray[np.int64]:
    passes = [part for part in cut(config, *op.shape, op.spread).passes() if part.last]
    return np.concatenate([_words(config, part) for part in passes])


def collect(config: SparseChainConfig, operations: Sequence[SparseProduct], beats: Beats) -> list[IntArray]:
    """C of each operation from the beats of stream ``c``."""
    words, at, results = _values(beats), 0, []
    for op in operations:
        m, n, _ = op.shape
        c = np.zeros((m, ceil_div(n, BLOCK) * BLOCK), np.int64)
        for row, column in _sent(config, op):
            c[row, column : column + BLOCK] = words[at]
            at += 1
        results.append(c[:, :n])
    return results


def _values(beats: Beats) -> IntArray:
    lanes: IntArray = np.ascontiguousarray(beats).view("<i4").astype(np.int64)
    return lanes.reshape(-1, BLOCK)


def outside(config: SparseChainConfig, operations: Sequence[SparseProduct], beats: Beats) -> IntArray:
    """Every value in a lane of stream ``c`` that is outside its C: all must be zero."""
    words, at, found = _values(beats), 0, []
    for op in operations:
        n = op.shape[1]
        for _, column in _sent(config, op):
            found.append(words[at][max(0, n - int(column)) :])
            at += 1
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _weight_beats(config: SparseChainConfig, op: SparseProduct | Shape, part: Pass) -> tuple[int, int, int]:
    """Beats of codes, values and indices of a pass."""
    codes = op.codes(config, part)
    steps = np.array([p.slots for p in PATTERNS])[codes]
    halves = steps * np.array([p.index_bits // 2 for p in PATTERNS])[codes]  # of a word of indices
    units = int(steps.sum()) * op.weight_bits * config.array.shared.columns  # of 16 bits
    words = ceil_div(units, config.array.value_word // 2), ceil_div(int(halves.sum()), 2)
    ways = 1 if op.spread else config.ways  # words of a row that a stream of one way fills
    code_words = len(codes) * ceil_div(codes.shape[1], BLOCK)
    return code_words, ceil_div(words[0], ways), ceil_div(words[1], ways)


def marks(config: SparseChainConfig, operations: Sequence[SparseProduct | Shape]) -> dict[str, list[int]]:
    """Beats of each operation on every stream."""
    counts: dict[str, list[int]] = {name: [] for name in ("cmd", "a", "code", "value", "index", "c")}
    for op in operations:
        parts = list(cut(config, *op.shape, op.spread).passes())
        beats = np.array([_weight_beats(config, op, part) for part in parts]).sum(axis=0)
        counts["cmd"].append(1)
        counts["a"].append(sum(part.k_count for part in parts))
        for name, count in zip(("code", "value", "index"), beats.tolist(), strict=True):
            counts[name].append(count)
        counts["c"].append(len(_sent(config, op)))
    return counts
