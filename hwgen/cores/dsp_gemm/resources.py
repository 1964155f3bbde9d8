"""Resource estimate: every part counted from its structure, the control fitted to Yosys.

What is known exactly is counted: accumulators, separation, canaries, skew, operand registers, memories. The
control (sequencer and address counters) is a linear form whose coefficients were fitted to Yosys 0.70
(``synth_xilinx -family xcup -flatten``) on the configurations that ``benchmarks/dsp_gemm_resources.py`` lists.
That benchmark prints the error on others.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from hwgen.core import Resources
from hwgen.cores.dsp_gemm.config import DspGemmConfig
from hwgen.cores.dsp_gemm.resources_pipelined import estimate_pipelined
from hwgen.numerics import bits_for_range, ceil_div, index_bits
from hwgen.parts.ram import memory_cells

__all__ = ["CONTROL_LUT", "control_units", "estimate"]

_SRL_DEPTH = 32
_SHORTEST_SRL = 3  # Yosys leaves shorter delays in flip-flops
_SUM_BITS = 32

_FLAGS_IN_LUTS = 2048  # deepest one-bit memory that Yosys builds from LUTs

# Yosys infers a multiplier in LUTs when its product is narrower than this; measured, by operand widths: of signed
# operands, if the narrower one has no sign, if the wider one has none, and if neither has.
_DSP_PRODUCT = 9
_LUTS_PER_PRODUCT = {
    (2, 2): (4, 4, 4, 5), (2, 3): (6, 6, 5, 7), (2, 4): (8, 8, 7, 8), (2, 5): (10, 10, 9, 10),
    (2, 6): (12, 12, 11, 12), (3, 3): (8, 8, 8, 9), (3, 4): (13, 13, 11, 11), (3, 5): (18, 19, 16, 14),
    (4, 4): (28, 21, 21, 21),
}  # fmt: skip


@dataclass
class _Count:
    """LUTs, SRLs included, and flip-flops."""

    lut: float = 0
    ff: float = 0

    def add(self, *, lut: float = 0, ff: float = 0) -> None:
        """Add cells."""
        self.lut += lut
        self.ff += ff

    def delay(self, bits: int, cycles: int) -> None:
        """Add a delay that is not reset: SRLs, and flip-flops for a short rest."""
        full, rest = divmod(cycles, _SRL_DEPTH)
        short = rest < _SHORTEST_SRL
        self.add(lut=bits * (full + (not short)), ff=bits * rest if short else 0)


def estimate(config: DspGemmConfig) -> Resources:
    """LUT, flip-flops, DSP blocks and block RAMs of one configuration.

    Parameters
    ----------
    config : DspGemmConfig
        The core.
    """
    if config.pipelined:
        return estimate_pipelined(config)
    count = _Count()
    _chains(config, count)
    _sums(config, count)
    _weights(config, count)
    _acts(config, count)
    _steps(config, count)
    bram36 = _memories(config, count)
    _control(config, count)
    width = config.weight_bits + config.act_bits
    dsp = config.dsps if config.target != "generic" or width >= _DSP_PRODUCT else 0
    return Resources(lut=round(count.lut), ff=round(count.ff), dsp=dsp, bram36=ceil(bram36))


def _canary(config: DspGemmConfig) -> int:
    """Width of the canaries in use."""
    return 0 if config.target == "generic" else config.arithmetic.scheme.canary_bits


def _canary_columns(config: DspGemmConfig) -> int:
    """Columns that have canaries: those with a second lane."""
    if not _canary(config):
        return 0
    return sum(config.column_lanes(column) > 1 for column in range(config.columns))


def _sum_bits(config: DspGemmConfig, terms: int) -> int:
    """Width of a separated sum."""
    low, high = config.arithmetic.product_range
    return bits_for_range(low * terms - 1, high * terms)


def _chains(config: DspGemmConfig, count: _Count) -> None:
    """Canaries beside DSP blocks, or inferred multipliers with all their registers and adders."""
    rows, columns, segments = config.rows, config.columns, len(config.segments)
    if config.target != "generic":
        bits = _canary(config)
        beside = _canary_columns(config)
        # Shadow, active and count per row, one more to be in step; the activation's bits serve all columns.
        count.add(lut=bits * rows * beside, ff=bits * ((3 * rows + segments) * beside + rows * bool(beside)))
        return
    # Shadow, active, product and total; Yosys packs none of them into the DSP block.
    low, high = config.arithmetic.product_range
    total = bits_for_range(low * config.segments[0].rows, high * config.segments[0].rows)
    product = config.weight_bits + config.act_bits
    count.add(ff=rows * columns * (2 * config.weight_bits + product + total))
    # The first totals of a chain do not need their whole width.
    spare = max(0, total - product)
    count.add(ff=-columns * segments * spare * (spare - 1) / 2)
    adder = total if config.act_signed or config.weight_signed else min(total, product + 1)
    count.add(lut=columns * (rows - segments) * adder)
    if product < _DSP_PRODUCT:
        acts, weights = (config.act_bits, config.act_signed), (config.weight_bits, config.weight_signed)
        (narrow, narrow_signed), (wide, wide_signed) = sorted((acts, weights))
        kind = (not narrow_signed) + 2 * (not wide_signed)
        count.add(lut=rows * columns * _LUTS_PER_PRODUCT[narrow, wide][kind])
    if rows == 1:  # product, total and separated sum are one shift register
        count.add(lut=columns * product, ff=-3 * columns * product)


def _sums(config: DspGemmConfig, count: _Count) -> None:
    """Separation, the tree over the segments, accumulators' adders."""
    packing, segments = config.arithmetic, len(config.segments)
    lanes = [config.column_lanes(column) for column in range(config.columns)]
    top = sum(lane == packing.scheme.weight_lanes for lane in lanes)  # columns that use the top field
    wide = _sum_bits(config, config.segments[0].rows)
    count.add(ff=segments * (top * wide + (config.cols - top) * min(wide, packing.window)))
    if packing.offset_binary and len(packing.fields) > 1:
        count.add(lut=segments * (config.cols - top))  # the inverted bit
    if _canary(config):
        count.add(lut=segments * _canary_columns(config) * (wide - _canary(config)))  # the borrow
    levels, left = _sum_bits(config, config.rows), segments
    while left > 1:
        count.add(lut=left // 2 * levels * config.cols, ff=ceil_div(left, 2) * levels * config.cols)
        left = ceil_div(left, 2)
    count.add(lut=_SUM_BITS * config.cols, ff=_SUM_BITS * config.cols)


def _weights(config: DspGemmConfig, count: _Count) -> None:
    """Packed weights and canary bits, and their way to the later groups."""
    bits, signed = config.weight_bits, config.weight_signed
    canary = bool(_canary(config))
    for column in range(config.columns):
        lanes, group = config.column_lanes(column), config.group(column)
        # A signed lane is added to what the sign of the one below left, so only the lowest is cleared by its
        # flip-flops' reset; the others may start a shift register.
        added = (lanes - 1) * (bits + 1) if signed else 0
        shifted = added + 3 if canary and added else added
        cleared = (bits if signed else bits * lanes) - (canary and added > 0)
        count.add(lut=added, ff=cleared)
        count.delay(cleared, group)
        count.delay(shifted, group + 1)


def _acts(config: DspGemmConfig, count: _Count) -> None:
    """Packed activations with load and swap, their skew, and their way to the later groups."""
    bits = config.act_bits
    added = (config.m_lanes - 1) * (bits + 1) if config.act_signed else 0
    width = bits + (added if config.act_signed else (config.m_lanes - 1) * bits)
    generic = config.target == "generic"  # its multipliers have an input register in the fabric
    longest = 0
    for segment in config.segments:
        for i in range(segment.rows):
            count.add(lut=added, ff=width + 1)
            count.delay(width, segment.skew + i + generic)
            count.delay(1, segment.first_row + i)
            longest = max(longest, segment.skew + i)
    count.add(ff=1 + longest)
    count.add(ff=(config.groups - 1) * (config.rows * (width + 1) + 1))


def _steps(config: DspGemmConfig, count: _Count) -> None:
    """What the accumulators do, delayed until the sums arrive, and for each group."""
    index, entry = index_bits(config.tile_steps), index_bits(config.result_depth)
    more = config.groups - 1
    count.delay(index, config.read_delay)
    count.delay(1, config.read_delay + 1)
    count.delay(1, config.read_delay + 2)
    count.add(ff=2 * index + 2 * (config.read_delay + 2) + entry)
    count.add(ff=more * (2 * index + 4 + entry) - min(2, more) * index)


def _memories(config: DspGemmConfig, count: _Count) -> float:
    """Accumulators, result buffer and the flags beside it; returns block RAMs."""
    blocks = 0.0
    for column in range(config.columns):
        width = _SUM_BITS * config.column_lanes(column) * config.m_lanes
        for depth in (config.tile_steps, config.result_depth):
            lut, rams = memory_cells(depth, width)
            count.add(lut=lut, ff=width if lut else 0)
            blocks += rams
    if config.result_depth > _FLAGS_IN_LUTS:
        return blocks + 0.5
    count.add(lut=8 * _flag_cells(config))
    return blocks


def _flag_cells(config: DspGemmConfig) -> int:
    """RAM64M8 cells of the flag memory."""
    return 0 if config.result_depth > _FLAGS_IN_LUTS else ceil_div(config.result_depth, 64)


CONTROL_LUT = {
    "always": 53.5,
    "size_bits": 7.34,
    "depth_bits": 6.94,
    "row": 2.44,
    "lane": 3.42,
    "column": -5.26,
    "canary_column": 2.78,
    "flag_cell": 2.08,
    "weight_adder": 0.25,
}
"""Fitted: LUTs of the control per unit of :func:`control_units`."""

_CONTROL_FF = {"always": 21, "size_bits": 5, "depth_bits": 4, "row": 3, "lane": 1}
# The same for flip-flops: sizes and counters of the walker, masks of the loader and of the runner.


def control_units(config: DspGemmConfig) -> dict[str, int]:
    """What the size of the control depends on; a column and its adders may save logic elsewhere.

    Parameters
    ----------
    config : DspGemmConfig
        The core.
    """
    lanes = sum(config.column_lanes(c) - 1 for c in range(config.columns)) if config.weight_signed else 0
    return {
        "always": 1,
        "size_bits": config.size_bits,
        "depth_bits": index_bits(config.tile_steps),
        "row": config.rows,
        "lane": config.n_lanes,
        "column": config.columns,
        "canary_column": _canary_columns(config),
        "flag_cell": _flag_cells(config),
        "weight_adder": lanes * (config.weight_bits + 1),
    }


def _control(config: DspGemmConfig, count: _Count) -> None:
    """Sequencer, counters of the result buffer, masks."""
    units = control_units(config)
    count.add(
        lut=sum(CONTROL_LUT[name] * number for name, number in units.items()),
        ff=sum(_CONTROL_FF.get(name, 0) * number for name, number in units.items()),
    )
    # Entries stored and entries to come: counters of the result buffer.
    count.add(ff=2 * index_bits(config.result_depth))
