"""The fastest exact way to compute a GEMM on the host: BLAS in float64.

Every product and every sum of up to 2**37 products of 8-bit operands is an integer below 2**53, so float64
holds it exactly whatever the order of summation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgen.cores.dsp_gemm.operation import Gemm
from hwgen.numerics import IntArray

__all__ = ["run"]


def run(operations: Sequence[Gemm]) -> list[IntArray]:
    """Results of a sequence of operations as int32 arrays; empty where the sums are kept."""
    results: list[IntArray] = []
    kept: IntArray | None = None
    for op in operations:
        product = (op.a.astype(np.float64) @ op.b.astype(np.float64)).astype(np.int64).astype(np.int32)
        if op.accumulate and kept is not None:
            product += kept  # int32 wraps as the accumulators do
        kept = product
        results.append(product[:0] if op.keep else product)
    return results
