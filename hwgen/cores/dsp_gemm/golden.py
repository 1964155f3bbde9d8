"""The mathematics: C = A·B (+ C) in 32-bit accumulators that wrap. Knows nothing of arrays and tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgen.cores.dsp_gemm.operation import Gemm, check_kept
from hwgen.numerics import IntArray, wrap

__all__ = ["gemm", "run"]


def gemm(a: IntArray, b: IntArray, c: IntArray | None = None) -> IntArray:
    """``C + A·B`` modulo 2**32, as int64 values in int32's range.

    Parameters
    ----------
    a : int array, shape (M, K)
    b : int array, shape (K, N)
    c : int array, shape (M, N), optional
        What is accumulated on; zero if absent.
    """
    total = a.astype(np.int64) @ b.astype(np.int64)
    return wrap(total if c is None else total + c, 32)


def run(operations: Sequence[Gemm]) -> list[IntArray]:
    """Results of a sequence of operations, one array each; empty (0, N) where the sums are kept."""
    check_kept(operations)
    results: list[IntArray] = []
    kept: IntArray | None = None
    for op in operations:
        c = gemm(op.a, op.b, kept if op.accumulate else None)
        kept = c
        results.append(c[:0] if op.keep else c)
    return results
