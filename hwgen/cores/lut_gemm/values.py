"""The fastest exact way to compute a GEMM on the host: BLAS, in float32 where no sum can leave its integers.

A float32 holds every integer up to 2**24, a float64 up to 2**53. As long as no sum of the products' magnitudes
exceeds that, every partial sum is exact whatever the order of summation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hwgen.cores.lut_gemm.operation import Gemm
from hwgen.numerics import IntArray

__all__ = ["run"]

_EXACT_FLOAT32 = 1 << 24


def run(operations: Sequence[Gemm]) -> list[IntArray]:
    """Results of a sequence of operations as int32 arrays."""
    return [_product(op) for op in operations]


def _product(op: Gemm) -> npt.NDArray[np.int32]:
    largest = max(-op.a_format.low, op.a_format.high) * max(-op.b_format.low, op.b_format.high)
    kind = np.float32 if largest * op.a.shape[1] <= _EXACT_FLOAT32 else np.float64
    total: npt.NDArray[np.int64] = (op.a.astype(kind) @ op.b.astype(kind)).astype(np.int64)
    return total.astype(np.int32)  # wraps as the sums do
