"""The fastest exact way to compute a GEMM on the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgen.cores.dsp_gemm.operation import Gemm, check_kept
from hwgen.matmul import exact_matmul
from hwgen.numerics import IntArray

__all__ = ["run"]


def run(operations: Sequence[Gemm]) -> list[IntArray]:
    """Results of a sequence of operations as int32 arrays; empty where the sums are kept."""
    check_kept(operations)
    results: list[IntArray] = []
    kept: IntArray | None = None
    for op in operations:
        product = exact_matmul(op.a, op.b, _peak(op.a) * _peak(op.b))
        if op.accumulate and kept is not None:
            product += kept  # int32 wraps as the accumulators do
        kept = product
        results.append(product[:0] if op.keep else product)
    return results


def _peak(operand: IntArray) -> int:
    """Bound on the magnitude of an operand: from its type if that is narrow, else measured."""
    if operand.dtype.itemsize == 1:
        info = np.iinfo(operand.dtype)
        return max(-int(info.min), int(info.max))
    return max(1, -int(operand.min(initial=0)), int(operand.max(initial=0)))
