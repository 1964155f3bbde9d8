"""The fastest exact way to compute a GEMM on the host: BLAS in float32, K in runs that are exact.

A float32 holds every integer up to 2**24. As long as no sum of the magnitudes of a run's products can exceed
that, every partial sum is such an integer, so the run is exact whatever the order of summation: 1024 products
of signed 8-bit operands, 258 of unsigned ones. The runs are added up in int32, which wraps as the core does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hwgen.cores.dsp_gemm.operation import Gemm, check_kept
from hwgen.numerics import IntArray

__all__ = ["run"]

_EXACT = 1 << 24


def run(operations: Sequence[Gemm]) -> list[IntArray]:
    """Results of a sequence of operations as int32 arrays; empty where the sums are kept."""
    check_kept(operations)
    results: list[IntArray] = []
    kept: IntArray | None = None
    for op in operations:
        product = _product(op.a, op.b)
        if op.accumulate and kept is not None:
            product += kept  # int32 wraps as the accumulators do
        kept = product
        results.append(product[:0] if op.keep else product)
    return results


def _product(a: IntArray, b: IntArray) -> npt.NDArray[np.int32]:
    """``a @ b`` modulo 2**32, for operands below 2**12 in magnitude."""
    left, left_peak = _as_float(a)
    right, right_peak = _as_float(b)
    length = _EXACT // (left_peak * right_peak)
    product = (left[:, :length] @ right[:length]).astype(np.int32)
    for k in range(length, a.shape[1], length):
        product += (left[:, k : k + length] @ right[k : k + length]).astype(np.int32)
    return product


def _as_float(operand: IntArray) -> tuple[npt.NDArray[np.float32], int]:
    """The operand as float32, and a bound on its magnitude: from its type if that is narrow, else measured."""
    values = operand.astype(np.float32)
    if operand.dtype.itemsize == 1:
        return values, max(-int(np.iinfo(operand.dtype).min), int(np.iinfo(operand.dtype).max))
    return values, max(1, int(-values.min(initial=0)), int(values.max(initial=0)))
