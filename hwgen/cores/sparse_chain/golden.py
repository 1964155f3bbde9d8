"""The mathematics: C = A·B in 32-bit sums that wrap. Knows nothing of patterns, chains and passes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgen.cores.sparse_chain.operation import SparseProduct
from hwgen.numerics import IntArray, wrap

__all__ = ["run"]


def run(operations: Sequence[SparseProduct]) -> list[IntArray]:
    """Results of a sequence of operations, one array of shape (M, N) each."""
    return [wrap(op.a.astype(np.int64) @ op.b.astype(np.int64), 32) for op in operations]
