"""The memories of an accelerator, and how many blocks of RAM they take."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from hwgen.parts import ram
from hwgen.system.config import SPARSE_LANES, Space, SystemConfig

__all__ = ["Memory", "block_rams", "memories"]


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


def memories(config: SystemConfig) -> list[Memory]:
    """Every memory that is larger than a queue."""
    lanes, bus = config.lanes, config.bus_bytes

    def buffer(space: Space, widest: int) -> Memory:
        return Memory(space.name, space.banks, space.bytes // space.banks // widest, 8 * widest)

    found = [
        buffer(config.act, max(bus, lanes)),
        buffer(config.parameter, max(bus, config.parameter.word_bytes // config.requantise_cycles)),
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
    if config.sparse:
        found += [
            buffer(space, max(bus, space.word_bytes)) for space in (config.code, config.value, config.index)
        ]
        chains = config.sparse_chain  # a copy for every position of every chain
        found.append(Memory("operand", chains.chains * SPARSE_LANES, chains.depth, 8 * chains.shared.rows))
    if config.makes_sums:
        found.append(buffer(config.acc, config.acc.word_bytes))
    return found


def block_rams(config: SystemConfig, family: str) -> dict[str, int]:
    """An *estimate* of block RAMs by buffer, from depths and widths alone; ``total`` is their sum.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    family : str
        Of :data:`hwgen.parts.ram.FAMILIES`.
    """
    counts: dict[str, float] = {}
    for memory in memories(config):
        if memory.rows >= ram.BLOCK_ROWS:
            parts = ram.block_rams(memory.rows, memory.bits, family)
            counts[memory.name] = counts.get(memory.name, 0.0) + memory.copies * parts
    whole = {name: ceil(count) for name, count in counts.items()}
    return whole | {"total": sum(whole.values())}
