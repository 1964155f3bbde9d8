"""Size of the array and the latencies that follow from it, without any hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwgen.numerics import ceil_div
from hwgen.parts.popcount import plan

__all__ = ["LUT6_TARGETS", "ArrayShape"]

LUT6_TARGETS = ("xilinx7", "ultrascale+")
"""Targets with LUTs of six inputs, which may be two of five: LUT6 and LUT6_2."""

_LANES_PER_GROUP = 8  # a plane word drives at most this many dot products before it is registered again


@dataclass(frozen=True)
class ArrayShape:
    """An array of dot-product units.

    Parameters
    ----------
    dm, dk, dn : int
        Rows, bits per word, columns.
    primitive : bool
        Whether the counters are LUT6 and LUT6_2 instances.
    """

    dm: int
    dk: int
    dn: int
    primitive: bool

    COUNT_STAGES: ClassVar[int] = 2
    """LUT levels between the registers of a counter."""

    def group(self, lane: int) -> int:
        """Registers between the array's edge and row or column ``lane``."""
        return lane // _LANES_PER_GROUP

    @property
    def row_groups(self) -> int:
        """Groups of rows."""
        return ceil_div(self.dm, _LANES_PER_GROUP)

    @property
    def column_groups(self) -> int:
        """Groups of columns."""
        return ceil_div(self.dn, _LANES_PER_GROUP)

    @property
    def count_latency(self) -> int:
        """Cycles from registered plane words to the number of ones of their products."""
        return plan(self.dk, products=True).latency(self.COUNT_STAGES)

    @property
    def latency(self) -> int:
        """Cycles from a sum's last step to its first row.

        Operand register, count, sum, result register, row register, and one for every further group of columns.
        """
        return self.count_latency + 4 + self.column_groups - 1
