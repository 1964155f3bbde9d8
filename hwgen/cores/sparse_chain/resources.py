"""Resource estimate: memories, registers and selections counted from their structure, the rest fitted to Yosys.

Counted: activations, FIFOs, accumulators and the result buffer; registers of steps on their way, of sums on their way
out; selections of chains, words and ways. Fitted to Yosys 0.70 (``synth_xilinx -family xcup -flatten``) on the
configurations that ``benchmarks/sparse_chain_resources.py`` lists: what a position has beside its multiplier, what
expands narrow weights, control. That benchmark prints the error on others.
"""

from __future__ import annotations

from math import ceil

from hwgen.core import Resources
from hwgen.cores.sparse_chain.config import SparseChainConfig
from hwgen.cores.sparse_chain.shape import ChainShape
from hwgen.numerics import bits_for_range, ceil_div, index_bits
from hwgen.parts.ram import lut_ram, memory_cells
from hwgen.parts.sparse import BLOCK

__all__ = ["FITTED", "estimate", "units"]

_SUM_BITS = 32
_GROUP = 4  # chains that are selected from at once
_DEEP = 128  # activations from which on a memory of them is block RAM

FITTED: dict[tuple[str, str], dict[str, float]] = {
    ("ultrascale+", "lut"): {
        "always": 598, "size_bits": 12, "position": 6.85, "field": 22.76, "way": 321, "narrow": 338,
    },
    ("ultrascale+", "ff"): {"always": 599, "size_bits": 22, "position": 1.72, "field": -4.56},
    ("generic", "lut"): {"always": -485, "size_bits": 12, "position": 103.1},
    ("generic", "ff"): {"always": 595, "size_bits": 22, "position": -19.6},
}  # fmt: skip
"""Cells per unit of :func:`units`, by target and kind of cell; negative where more was counted than Yosys keeps."""


def units(config: SparseChainConfig) -> dict[str, float]:
    """What the fitted parts depend on.

    Parameters
    ----------
    config : SparseChainConfig
        The core.
    """
    array = config.array
    positions = array.chains * BLOCK
    return {
        "always": 1,
        "size_bits": config.size_bits,
        "position": positions,
        "field": positions * (array.shared.columns - 1),
        "way": config.ways,
        "narrow": config.ways * config.narrow,
    }


def estimate(config: SparseChainConfig) -> Resources:
    """LUT, flip-flops, DSP blocks and block RAMs of one configuration.

    Parameters
    ----------
    config : SparseChainConfig
        The core.
    """
    of, array = units(config), config.array
    lut, bram36 = _memories(config)
    lut += _selections(config)
    ff = _registers(config)
    lut += sum(count * of[name] for name, count in FITTED[config.target, "lut"].items())
    ff += sum(count * of[name] for name, count in FITTED[config.target, "ff"].items())
    return Resources(lut=round(lut), ff=round(ff), dsp=array.dsps, bram36=ceil(bram36))


def _picks(count: int) -> int:
    """LUTs that select one of ``count`` bits: four to a LUT."""
    luts = 0
    while count > 1:
        luts += count // 4 + (count % 4 > 1)
        count = ceil_div(count, 4)
    return luts


def _widths(shape: ChainShape) -> tuple[int, int]:
    """Bits of a position's sums, and of the counts beside them."""
    fields = shape.shared.words - 1
    if not shape.primitive:
        return shape.shared.words * shape.sum_bits, 0
    return fields * shape.shared.spacing + shape.sum_bits, fields * shape.wrap_bits(shape.shared.spacing)


def _selections(config: SparseChainConfig) -> int:
    """LUTs of the way from the positions to the accumulators, and of ways that take their own steps."""
    shape = config.array
    sums, counts = _widths(shape)
    groups = [min(_GROUP, shape.chains - at) for at in range(0, shape.chains, _GROUP)]
    lut = BLOCK * sum(sums for group in groups if group > 1)
    lut += BLOCK * counts * _picks(shape.chains)
    # The selection of groups and words rides on the adder that takes fields apart; the words' is one of its own.
    lut += BLOCK * shape.sum_bits * (_picks(len(groups)) + _picks(shape.shared.words))
    lut += BLOCK * (shape.sum_bits + counts) if shape.primitive else 0
    lut += BLOCK * _SUM_BITS
    if shape.ways > 1:
        step = BLOCK * (shape.slot_bits + 4) + shape.block_bits + 1
        lut += (shape.ways - 1) * step + (8 * shape.value_word + 4 * BLOCK) * _picks(shape.ways)
        lut += 8 * shape.rows * (shape.ways - 1) // shape.ways
    return lut


def _registers(config: SparseChainConfig) -> int:
    """Flip-flops of steps, activations, rows and sums on their way."""
    shape = config.array
    sums, _ = _widths(shape)
    words = shape.shared.words
    step = 1 + shape.block_bits + BLOCK * (4 + shape.slot_bits)
    fill = 1 + index_bits(shape.depth) + 8 * shape.shared.rows
    # The last chain keeps no more of a step than its own positions need.
    ff = shape.chains * (step * words + fill) - (words - 1) * step
    ff -= BLOCK * 4 + shape.block_bits  # what the last chain would pass on
    ff += BLOCK * sums * ceil_div(shape.chains, _GROUP) + BLOCK * shape.sum_bits * words
    ff += shape.ways * BLOCK * (4 + shape.slot_bits) + 2 * 8 * (shape.value_bytes + shape.index_bytes)
    ff += 32 * shape.ways * config.narrow
    if not shape.primitive:
        product = bits_for_range(*shape.shared.product_range)
        ff += shape.chains * BLOCK * (words * (16 + product + shape.sum_bits) + 16)
    return ff + BLOCK * _SUM_BITS


def _memories(config: SparseChainConfig) -> tuple[int, float]:
    """LUTs and block RAMs of all memories."""
    shape, size = config.array, config.size_bits
    lut, bram36 = 0, 0.0
    descriptor = 2 * size + index_bits(shape.blocks) + config.rows.bit_length() + 9
    for bits in (8 * shape.value_bytes, 8 * shape.index_bytes, 4 * BLOCK, descriptor, descriptor):
        lut += lut_ram(config.FIFO_DEPTH, bits)
    blocks = [
        (config.sum_words, BLOCK * _SUM_BITS, 1),
        (config.result_depth, BLOCK * _SUM_BITS + 1, 1),
    ]
    bits, copies = 8 * shape.shared.rows, shape.chains * BLOCK
    if shape.depth < _DEEP:
        lut += copies * lut_ram(shape.depth, bits)
    else:
        blocks.append((shape.depth, bits, copies))
    for rows, width, count in blocks:
        luts, rams = memory_cells(rows, width)
        lut, bram36 = lut + count * luts, bram36 + count * rams
    return lut, bram36
