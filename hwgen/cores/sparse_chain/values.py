"""The fastest exact way to compute a product on the host."""

from __future__ import annotations

from collections.abc import Sequence

from hwgen.cores.sparse_chain.operation import SparseProduct
from hwgen.matmul import exact_matmul
from hwgen.numerics import IntArray

__all__ = ["run"]


def run(operations: Sequence[SparseProduct]) -> list[IntArray]:
    """Results of a sequence of operations as int32 arrays."""
    return [exact_matmul(op.a, op.b, 128 << (op.weight_bits - 1)) for op in operations]
