"""Resource estimate: the counters and adders counted from their structure, the rest fitted to Yosys.

Counted: dot products with LUT instances, selection of rows, memories, block RAMs. Fitted to Yosys 0.70
(``synth_xilinx -family xcup -flatten``) on the configurations that ``benchmarks/lut_gemm_resources.py`` lists:
loaders per bit of a word, the way out per column, control, and the counters that are left to the synthesizer;
what ``ultrascale+`` shares with the flip-flops of all targets also to 1 x 8 x 1, 1 x 16 x 2 and 3 x 32 x 1 with buffers
of 8 to 64 words, and to 2 x 8 x 2 with sizes of 32 bits. That benchmark and ``benchmarks/resource_model.py`` print the
error on others.
"""

from __future__ import annotations

from math import ceil

from hwgen.core import Resources
from hwgen.cores.lut_gemm.config import LutGemmConfig
from hwgen.numerics import ceil_div, ceil_log2, index_bits
from hwgen.parts.popcount import Plan, plan
from hwgen.parts.ram import lut_ram, memory_cells

__all__ = ["FITTED", "estimate", "units"]

_SUM_BITS = 32


_FITTED_FF = {
    "always": 406, "size_bits": 10.1, "word_bits": 12.7, "dk": 8.97, "column": 25.3, "held": 1.045,
}  # fmt: skip

FITTED: dict[tuple[str, str], dict[str, float]] = {
    ("ultrascale+", "lut"): {
        "always": 402, "size_bits": 10.7, "word_bits": 24.7, "dk": 9.84, "column": 111.6, "dot": 1.88,
    },
    ("ultrascale+", "ff"): _FITTED_FF,
    ("generic", "lut"): {"always": 431, "word_bits": 33.9, "dk": 13.24, "column": 104.4, "product": 2.185},
    ("generic", "ff"): _FITTED_FF,  # the same registers
}  # fmt: skip
"""Cells per unit of :func:`units`, by target and kind of cell."""


def units(config: LutGemmConfig) -> dict[str, float]:
    """What the fitted parts depend on.

    Parameters
    ----------
    config : LutGemmConfig
        The core.
    """
    dots = config.dm * config.dn
    return {
        "always": 1,
        "size_bits": config.size_bits,
        "word_bits": ceil_log2(config.a_words) + ceil_log2(config.b_words),
        "dk": config.dk,
        "row": config.dm,
        "column": config.dn,
        "dot": dots,
        "product": dots * config.dk,
        "held": dots * _held(plan(config.dk, products=True), config.array.COUNT_STAGES),
    }


def estimate(config: LutGemmConfig) -> Resources:
    """LUT, flip-flops, DSP blocks and block RAMs of one configuration.

    Parameters
    ----------
    config : LutGemmConfig
        The core.
    """
    of = units(config)
    like = "ultrascale+" if config.array.primitive else "generic"
    lut, ff, bram36 = _memories(config)
    lut += config.dm * config.dn * _SUM_BITS + config.dn * _SUM_BITS * _picks(config.dm)
    if config.array.primitive:
        lut += config.dm * config.dn * plan(config.dk, products=True).luts + plan(config.dk).luts * 2
    ff += config.dm * config.dn * 2 * _SUM_BITS + _words(config)
    lut += sum(count * of[name] for name, count in FITTED[like, "lut"].items())
    ff += sum(count * of[name] for name, count in FITTED[like, "ff"].items())
    return Resources(lut=round(lut), ff=round(ff), dsp=0, bram36=ceil(bram36))


def _words(config: LutGemmConfig) -> int:
    """Registers of plane words in the array: once per lane, again for every group crossed."""
    shape = config.array
    own = sum(1 + shape.group(row) for row in range(config.dm)) + (shape.column_groups - 1) * config.dm
    other = sum(1 + shape.group(column) for column in range(config.dn)) + (shape.row_groups - 1) * config.dn
    return config.dk * (own + other)


def _picks(rows: int) -> int:
    """LUTs that select one of ``rows`` bits and may invert it: four to a LUT, three to the last one."""
    luts = 1
    while rows > 3:
        luts += rows // 4 + (rows % 4 > 1)
        rows = ceil_div(rows, 4)
    return luts


def _held(shape: Plan, every: int) -> int:
    """Flip-flops in a counter, the final adder's included."""
    heights = [ceil_div(shape.bits, 3), shape.bits // 3 + (shape.bits % 3 == 2)]
    held, depth = 0, 1
    for stage in (None, *shape.stages):
        if stage is not None:
            heights += [0, 0]
            for group in stage:
                heights[group.weight] -= group.inputs
                for i in range(group.outputs):
                    heights[group.weight + i] += 1
            depth += 1
        if depth % every == 0 or depth == shape.depth:
            held += sum(heights)
    return held + (shape.out_bits if shape.adder_bits else 0)


def _memories(config: LutGemmConfig) -> tuple[float, float, float]:
    """LUTs, flip-flops and block RAMs of all memories."""
    bits = config.dk
    row_sums = 2 << index_bits(config.dm)
    memories = [
        (config.dm, bits, 2 * config.a_words),
        (config.dn, bits, 2 * config.b_words),
        (config.dn, _SUM_BITS, 2 * config.b_words),
        (1, _SUM_BITS, row_sums),
        (1, _SUM_BITS * config.dn + 1, config.result_depth),
    ]
    lut: float = 2 * lut_ram(2, bits)  # the FIFOs, whose output register is the corner turn's
    ff = blocks = 0.0
    for count, width, depth in memories:
        luts, rams = memory_cells(depth, width)
        lut += count * luts
        ff += count * width if luts else 0
        blocks += count * rams
    return lut, ff, blocks
