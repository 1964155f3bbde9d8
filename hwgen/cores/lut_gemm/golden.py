"""The mathematics: C = A·B of the values that the bits stand for, in 32-bit sums that wrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgen.cores.lut_gemm.operation import Gemm
from hwgen.numerics import IntArray, wrap

__all__ = ["gemm", "run"]


def gemm(a: IntArray, b: IntArray) -> IntArray:
    """``A·B`` modulo 2**32, as int64 values in int32's range.

    Parameters
    ----------
    a : int array, shape (M, K)
    b : int array, shape (K, N)
    """
    return wrap(a.astype(np.int64) @ b.astype(np.int64), 32)


def run(operations: Sequence[Gemm]) -> list[IntArray]:
    """Results of a sequence of operations, one array of shape (M, N) each."""
    return [gemm(op.a, op.b) for op in operations]
