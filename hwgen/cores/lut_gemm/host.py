"""The host's side: operands to beats, and beats back to C."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hwgen.cores.lut_gemm.config import LutGemmConfig
from hwgen.cores.lut_gemm.operation import Gemm
from hwgen.cores.lut_gemm.tiling import Shape
from hwgen.numerics import IntArray
from hwgen.parts.corner_turn import beats as packed
from hwgen.parts.corner_turn import codes
from hwgen.streams import Beats

__all__ = ["collect", "marks", "outside", "stimulus"]


def stimulus(config: LutGemmConfig, operations: Sequence[Gemm]) -> dict[str, Beats]:
    """Beats of the streams ``cmd``, ``a`` and ``b``; bits in no value are ones, which the hardware must mask."""
    words = [
        (*op.shape, op.a_format.bits - 1, op.b_format.bits - 1, op.a_format.code, op.b_format.code)
        for op in operations
    ]
    fields = [np.array(column, np.int64)[:, None] for column in zip(*words, strict=True)]
    a: list[Beats] = []
    b: list[Beats] = []
    for op in operations:
        for into, values, form in ((a, op.a, op.a_format), (b, op.b.T, op.b_format)):
            into.append(packed(codes(values, form.bits, bipolar=form.bipolar), config.dk, form.travel))
    return {"cmd": config.streams[0].pack(*fields), "b": np.concatenate(b), "a": np.concatenate(a)}


def _tiles(config: LutGemmConfig, op: Gemm) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of C in the order in which they leave."""
    m, n, _ = op.shape
    for top in range(0, m, config.dm):
        for left in range(0, n, config.dn):
            yield slice(top, min(top + config.dm, m)), slice(left, min(left + config.dn, n))


def _rows(beats: Beats) -> IntArray:
    return np.ascontiguousarray(beats).view("<i4").astype(np.int64)


def collect(config: LutGemmConfig, operations: Sequence[Gemm], beats: Beats) -> list[IntArray]:
    """C of each operation from the beats of stream ``c``; :func:`outside` gives the other lanes."""
    sums = _rows(beats)
    results, at = [], 0
    for op in operations:
        m, n, _ = op.shape
        c = np.zeros((m, n), np.int64)
        for rows, columns in _tiles(config, op):
            count, width = rows.stop - rows.start, columns.stop - columns.start
            c[rows, columns] = sums[at : at + count, :width]
            at += count
        results.append(c)
    return results


def outside(config: LutGemmConfig, operations: Sequence[Gemm], beats: Beats) -> IntArray:
    """Every value in a lane of stream ``c`` that is outside its C: all must be zero."""
    sums = _rows(beats)
    values, at = [np.zeros(0, np.int64)], 0
    for op in operations:
        for rows, columns in _tiles(config, op):
            count = rows.stop - rows.start
            values.append(sums[at : at + count, columns.stop - columns.start :].ravel())
            at += count
    return np.concatenate(values)


def marks(config: LutGemmConfig, operations: Sequence[Gemm | Shape]) -> dict[str, list[int]]:
    """Beats of each operation on every stream."""
    walks = [Shape.of(op) for op in operations]
    return {
        "cmd": [1] * len(walks),
        "b": [s.n * s.row_beats(config, s.b_bits) for s in walks],
        "a": [s.m * s.row_beats(config, s.a_bits) for s in walks],
        "c": [s.m * s.column_tiles(config) for s in walks],
    }
