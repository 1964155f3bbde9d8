"""The memories of an accelerator, and how many blocks of RAM they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from hwgen.numerics import ceil_div
from hwgen.system.config import Space, SystemConfig

__all__ = ["FAMILIES", "BlockRam", "Memory", "block_rams", "memories"]

BLOCK_ROWS = 64
"""Rows from which on a memory asks for block RAM; shorter ones are built from LUTs."""


@dataclass(frozen=True)
class Memory:
    """Equal memories with one read and one write port.

    Parameters
    ----------
    name : str
        Of the buffer, or of the unit that they are in.
    copies, rows, bits : int
        How many, their depth and their width.
    """

    name: str
    copies: int
    rows: int
    bits: int


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


_RAMB18 = BlockRam("RAMB36", {512: 36, 1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}, 0.5)
_RAMB36 = BlockRam("RAMB36", {512: 72, 1024: 36, 2048: 18, 4096: 9, 8192: 4, 16384: 2, 32768: 1})

FAMILIES: dict[str, tuple[BlockRam, ...]] = {
    "xilinx": (_RAMB18, _RAMB36),
    "ecp5": (BlockRam("DP16KD", {512: 36, 1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}),),
}
"""Blocks by family: RAMB36 of the 7 series and UltraScale, which is two RAMB18; DP16KD of ECP5."""


def memories(config: SystemConfig) -> list[Memory]:
    """Every memory that is larger than a queue."""
    lanes, bus = config.lanes, config.bus_bytes

    def buffer(space: Space, widest: int) -> Memory:
        return Memory(space.name, space.banks, space.bytes // space.banks // widest, 8 * widest)

    found = [
        buffer(config.act, max(bus, lanes)),
        buffer(config.parameter, max(bus, config.parameter.word_bytes)),
    ]
    if config.dsp:
        core = config.dsp_core
        found.append(buffer(config.weight, max(bus, lanes)))
        for column in range(core.columns):
            bits = 32 * core.column_lanes(column) * core.m_lanes
            found += [Memory("dsp core", 1, depth, bits) for depth in (core.tile_steps, core.result_depth)]
    if config.lut:
        found.append(buffer(config.plane_weight, max(bus, config.plane_weight.word_bytes)))
        found.append(Memory("plane_act", config.lut_units, config.plane_words, config.lut_width))
    if config.dsp or config.lut:
        found.append(buffer(config.acc, config.acc.word_bytes))
    return found


def block_rams(config: SystemConfig, family: str) -> dict[str, int]:
    """An *estimate* of block RAMs by buffer, from depths and widths alone; ``total`` is their sum.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    family : str
        Of :data:`FAMILIES`.
    """
    counts: dict[str, float] = {}
    for memory in memories(config):
        if memory.rows >= BLOCK_ROWS:
            parts = min(block.parts(memory.rows, memory.bits) for block in FAMILIES[family])
            counts[memory.name] = counts.get(memory.name, 0.0) + memory.copies * parts
    whole = {name: ceil(count) for name, count in counts.items()}
    return whole | {"total": sum(whole.values())}
