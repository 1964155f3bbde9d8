"""The fastest exact way to compute a GEMM on the host."""

from __future__ import annotations

from collections.abc import Sequence

from hwgen.cores.lut_gemm.operand import Operand
from hwgen.cores.lut_gemm.operation import Gemm
from hwgen.matmul import exact_matmul
from hwgen.numerics import IntArray

__all__ = ["run"]


def run(operations: Sequence[Gemm]) -> list[IntArray]:
    """Results of a sequence of operations as int32 arrays."""
    return [exact_matmul(op.a, op.b, _peak(op.a_format) * _peak(op.b_format)) for op in operations]


def _peak(operand: Operand) -> int:
    return max(-operand.low, operand.high)
