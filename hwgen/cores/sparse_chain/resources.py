"""Resource estimate: memories, registers and selections counted from their structure, the rest fitted to Yosys.

Counted: operand memories, accumulators, result buffer and queues; registers of steps, slots and sums; the reduction
node's selections; what ways take turns by. Fitted to Yosys 0.70 (``synth_xilinx -family xcup -flatten``) on the
configurations that ``benchmarks/sparse_chain_resources.py`` lists: counts of carries and their adders, expansion,
control. That benchmark prints the error on others.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from hwgen.core import Resources
from hwgen.cores.sparse_chain.config import SparseChainConfig
from hwgen.numerics import ceil_div, ceil_log2
from hwgen.parts.ram import block_rams, lut_ram
from hwgen.parts.sparse import BLOCK

__all__ = ["FITTED", "estimate", "units"]

_SUM_BITS = 32
_ACT_BITS = 8
_GROUP = 4  # chains that share a register of the reduction node
_SHORTEST_SRL = 3  # Yosys leaves shorter delays in flip-flops
_DEEP = 128  # activations from which on a memory of them is block RAM

FITTED: dict[tuple[str, str], dict[str, float]] = {
    ("ultrascale+", "lut"): {
        "always": 463, "size_bits": 24, "way": 175, "narrow": 460, "position": 1.1, "field": 11.3,
    },
    ("ultrascale+", "ff"): {"always": 312, "size_bits": 9.6, "way": 13},
    ("generic", "lut"): {"always": 570, "size_bits": 12.7, "way": 122, "narrow": 476, "position": 3.1},
    ("generic", "ff"): {"always": -112, "size_bits": 11.4, "way": 1},
}  # fmt: skip
"""Cells per unit of :func:`units`, by target and kind of cell."""


@dataclass
class _Count:
    """LUTs, flip-flops and block RAMs."""

    lut: float = 0
    ff: float = 0
    bram36: float = 0

    def memory(self, count: int, rows: int, bits: int, least: int = 64) -> None:
        """Add memories that are read synchronously, block RAM from so many rows on."""
        if rows >= least:
            self.bram36 += count * block_rams(rows, bits)
        else:
            self.lut += count * _lut_ram(rows, bits)
            self.ff += count * bits


def units(config: SparseChainConfig) -> dict[str, float]:
    """What the fitted parts depend on.

    Parameters
    ----------
    config : SparseChainConfig
        The core.
    """
    array, shared = config.array, config.array.shared
    positions = array.chains * BLOCK
    return {
        "always": 1,
        "size_bits": config.size_bits,
        "way": config.ways,
        "narrow": config.ways * config.narrow,
        "position": positions,
        "field": positions * (shared.columns - 1),
    }


def estimate(config: SparseChainConfig) -> Resources:
    """LUT, flip-flops, DSP blocks and block RAMs of one configuration.

    Parameters
    ----------
    config : SparseChainConfig
        The core.
    """
    count = _Count()
    _memories(config, count)
    _steps(config, count)
    _positions(config, count)
    _reduction(config, count)
    of = units(config)
    count.lut += sum(each * of[name] for name, each in FITTED[config.target, "lut"].items())
    count.ff += sum(each * of[name] for name, each in FITTED[config.target, "ff"].items())
    return Resources(round(count.lut), round(count.ff), config.array.dsps, ceil(count.bram36))


def _lut_ram(rows: int, bits: int) -> int:
    """LUTs of a memory of distributed RAM: 14 bits of 32 rows in eight, or 7 bits of 64."""
    return min(lut_ram(rows, bits), 8 * ceil_div(bits, 7) * ceil_div(rows, 64))


def _select(inputs: int) -> int:
    """LUTs that select one of so many bits; more than four take the multiplexers behind LUTs too."""
    return 0 if inputs == 1 else ceil_div(inputs, 4)


def _memories(config: SparseChainConfig, count: _Count) -> None:
    """Operand memories, accumulators, result buffer; queues in front of the decoder and of the passes."""
    array = config.array
    count.memory(array.chains * BLOCK, config.depth, _ACT_BITS * array.shared.rows, _DEEP)
    count.memory(1, config.sum_words, BLOCK * _SUM_BITS)
    count.memory(1, config.result_depth, BLOCK * _SUM_BITS + 1)
    count.lut += BLOCK * _SUM_BITS  # the accumulators' adders
    count.ff += BLOCK * _SUM_BITS
    rows = [8 * array.value_bytes, 8 * array.index_bytes]
    count.ff += 2 * sum(rows)  # on their way to the expanders
    a_pass = 2 * config.size_bits + array.block_bits + config.rows.bit_length() + 9
    for bits in [4 * BLOCK, *rows, a_pass, a_pass]:
        count.lut += lut_ram(config.FIFO_DEPTH, bits)


def _steps(config: SparseChainConfig, count: _Count) -> None:
    """Slots out of the expanders, and their way from chain to chain; activations on their way in."""
    array = config.array
    slots = BLOCK * (4 + array.slot_bits)
    step = 1 + array.block_bits + slots
    count.ff += config.ways * (slots + 32 * config.narrow)
    count.ff += array.chains * (1 + BLOCK * array.slot_bits)
    # A step goes on to the next chain after as many cycles as a chain has words; three make a shift register. The
    # memories take block and row numbers a cycle before the weights are needed.
    hops = array.chains - 1
    if array.shared.words < _SHORTEST_SRL:
        count.ff += hops * (array.shared.words * step - 1 - BLOCK * array.slot_bits)
    else:
        count.lut += hops * step
    # The first way takes words by turns; the first chains of the others have their own slots or the chain's before.
    word = 8 * array.value_word + 4 * BLOCK
    count.lut += word * _select(config.ways) + (config.ways - 1) * step
    filled = _ACT_BITS * array.shared.rows
    count.ff += array.chains * filled + 1 + ceil_log2(config.depth)
    count.lut += (array.chains - array.way_chains) * filled


def _positions(config: SparseChainConfig, count: _Count) -> None:
    """Counts beside the DSP blocks, or the registers and adders of inferred multipliers."""
    array, shared = config.array, config.array.shared
    positions = array.chains * BLOCK
    if not array.primitive:
        products = positions * shared.rows
        count.ff += positions * 2 * shared.weight_bits
        count.ff += products * (3 * _ACT_BITS + shared.weight_bits + array.sum_bits)
        count.lut += products * array.sum_bits
        if config.depth < _DEEP:  # three registers behind a memory of LUTs are shift registers
            count.ff -= products * 3 * _ACT_BITS
            count.lut += products * _ACT_BITS
        # What goes on to the next chain of a way is what the multipliers' registers hold.
        same = 2 * (array.chains - array.ways) + array.ways - 1
        count.ff -= same * BLOCK * shared.weight_bits
        return
    wraps = (shared.words - 1) * array.wrap_bits(shared.spacing)
    count.ff += positions * (wraps + 2) if shared.rows == 2 else positions * (wraps + 2 * (shared.words - 1))
    count.ff += 4 * array.chains
    count.lut += positions * (wraps if shared.rows == 2 else wraps + 2 * (shared.words - 1))


def _reduction(config: SparseChainConfig, count: _Count) -> None:
    """Sums of four chains to one register, one register to the separation, words to the accumulators."""
    array, shared = config.array, config.array.shared
    words = shared.words
    lower = words - 1 if array.primitive else 0
    sums = BLOCK * (lower * shared.spacing + array.sum_bits if array.primitive else words * array.sum_bits)
    groups = [min(_GROUP, array.chains - at) for at in range(0, array.chains, _GROUP)]
    count.ff += len(groups) * sums + BLOCK * words * array.sum_bits
    count.lut += sums * (sum(_select(group) for group in groups) + _select(len(groups)))
    count.lut += BLOCK * lower * array.wrap_bits(shared.spacing) * _select(array.chains)
    count.lut += BLOCK * array.sum_bits * (_select(words) + lower)
