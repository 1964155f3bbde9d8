"""What memories take: blocks of RAM by family, LUTs of distributed RAM, and cycles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwgen.numerics import ceil_div

__all__ = [
    "BLOCK_ROWS",
    "FAMILIES",
    "LATENCIES",
    "READ_LATENCY",
    "BlockRam",
    "block_rams",
    "lut_ram",
    "memory_cells",
]

BLOCK_ROWS = 64
"""Rows from which on a memory asks for block RAM; shorter ones are built from LUTs."""

READ_LATENCY = 2
"""Cycles from a banked memory's address to its data: the memory's register, and one behind the choice of a bank."""

LATENCIES = range(READ_LATENCY, READ_LATENCY + 4)
"""What a scratchpad can have: 3 has a register in front of every bank, 4 one behind it too, 5 one at every port."""

_LUT_RAM_BITS, _LUT_RAM_ROWS, _LUT_RAM_LUTS = 14, 32, 8  # of a RAM32M16


@dataclass(frozen=True)
class BlockRam:
    """A family's block of RAM with one read and one write port.

    Parameters
    ----------
    name : str
        Vendor's name.
    widths : mapping of int to int
        Bits per row by depth.
    share : float
        Blocks that such a part takes: one half if two of them make one block.
    """

    name: str
    widths: Mapping[int, int]
    share: float = 1.0

    def parts(self, rows: int, bits: int) -> float:
        """Blocks for a memory, by the shape that takes least."""
        return self.share * min(
            ceil_div(rows, depth) * ceil_div(bits, width) for depth, width in self.widths.items()
        )


FAMILIES: dict[str, tuple[BlockRam, ...]] = {
    "xilinx": (
        BlockRam("RAMB36", {512: 36, 1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}, 0.5),
        BlockRam("RAMB36", {512: 72, 1024: 36, 2048: 18, 4096: 9, 8192: 4, 16384: 2, 32768: 1}),
    ),
    "ecp5": (BlockRam("DP16KD", {512: 36, 1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}),),
}
"""Blocks by family: RAMB36 of the 7 series and UltraScale, which is two RAMB18; DP16KD of ECP5."""


def block_rams(rows: int, bits: int, family: str = "xilinx") -> float:
    """Blocks of RAM of one memory."""
    return min(block.parts(rows, bits) for block in FAMILIES[family])


def lut_ram(rows: int, bits: int) -> int:
    """LUTs of one memory of distributed RAM (RAM32M16: 14 data bits in eight LUTs)."""
    return _LUT_RAM_LUTS * ceil_div(bits, _LUT_RAM_BITS) * ceil_div(rows, _LUT_RAM_ROWS)


def memory_cells(rows: int, bits: int) -> tuple[int, float]:
    """LUTs and RAMB36 of a memory that is read synchronously, as Yosys builds it: one of both is zero."""
    if rows < BLOCK_ROWS:
        return lut_ram(rows, bits), 0.0
    return 0, block_rams(rows, bits)
