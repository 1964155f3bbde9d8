"""Matrix products at the speed of BLAS, exact where the operands are integers.

A float32 holds every integer up to 2**24. As long as no sum of the magnitudes of a run's products can exceed
that, every partial sum is such an integer, so the run is exact whatever the order of summation: 1024 products
of signed 8-bit operands, 258 of unsigned ones. The runs are added up in int32, which wraps as accumulators do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["exact_matmul", "float_matmul"]

_EXACT = 1 << 24


def exact_matmul(a: npt.NDArray[Any], b: npt.NDArray[Any], largest: int) -> npt.NDArray[np.int32]:
    """``a @ b`` modulo 2**32.

    Parameters
    ----------
    a, b : arrays, shapes (m, k) and (k, n)
        Integers, of any type.
    largest : int
        Bound on the magnitude of every product of two elements, at most 2**24.

    Returns
    -------
    int32 array, shape (m, n)
    """
    left, right = a.astype(np.float32, copy=False), b.astype(np.float32, copy=False)
    run = _EXACT // max(1, largest)
    total = float_matmul(left[:, :run], right[:run]).astype(np.int32)
    for k in range(run, left.shape[1], run):
        total += float_matmul(left[:, k : k + run], right[k : k + run]).astype(np.int32)
    return total


def float_matmul(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``a @ b`` of finite floats, without the warnings of BLAS about operands that are not there.

    Kernels of OpenBLAS load whole vectors beyond the end of small matrices and multiply what lies there, which
    can set the processor's invalid flag though the lanes are dropped (numpy issues 13173 and 24067).
    """
    with np.errstate(all="ignore"):
        product: npt.NDArray[Any] = a @ b
    return product
