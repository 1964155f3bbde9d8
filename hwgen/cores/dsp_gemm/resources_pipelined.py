"""Resource estimate of pipelined configurations: no shift registers in LUTs, sums and canaries in the fabric.

Registers are counted from the structure, adders by their bits. ``lut`` is what ECP5 takes for it: LUT4s, two for each
carry cell, six for each cell of distributed RAM, of which two are its write port's. What a counted bit takes of LUTs,
and the control, were fitted to ``synth_ecp5`` (Yosys 0.70) on configurations that are not those of
``benchmarks/resource_model.py``, which prints the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from hwgen.core import Resources
from hwgen.cores.dsp_gemm.config import DspGemmConfig
from hwgen.numerics import bits_for_range, ceil_div, index_bits
from hwgen.parts.packing import Field
from hwgen.parts.ram import BLOCK_ROWS, block_rams

__all__ = ["PIPELINED_LUT", "estimate_pipelined", "pipelined_units"]

_SUM_BITS = 32
_RAM_ROWS, _RAM_BITS, _RAM_LUTS = 16, 4, 6  # of a cell of distributed RAM
_CANARY_LEVELS = 3
_FLAGS_IN_LUTS = 256  # deepest one-bit memory that Yosys builds from LUTs

PIPELINED_LUT: Mapping[str, float] = {
    "always": 94.3, "size_bits": 11.1, "entry_bits": 9.5, "lane": 0.48, "adder": 1.0, "pair": 1.87, "negative": 10.2,
}  # fmt: skip
"""Fitted: LUTs per unit of :func:`pipelined_units`."""


class _Part:
    """What one column of the array holds; in the last one, lanes that no column of C needs are optimised away.

    Parameters
    ----------
    config : DspGemmConfig
        The core.
    lanes : int
        Columns of C that it computes.
    """

    def __init__(self, config: DspGemmConfig, lanes: int):
        self.config = config
        self.packing = packing = config.arithmetic
        self.lanes = lanes
        self.whole = lanes == packing.scheme.weight_lanes
        self.fields: list[Field] = [f for f in packing.fields if f.weight_lane < lanes]
        low, high = packing.product_range
        self.product = bits_for_range(low, high)
        self.terms = config.segments[0].rows
        self.sum = bits_for_range(low * self.terms - 1, high * self.terms)

    @property
    def counts(self) -> int:
        """Canaries."""
        return len(self.fields) - 1 if self.config.style.count_bits(self.packing) else 0

    @property
    def low(self) -> int:
        """Bits of weights that go along with the packed one, for the canaries."""
        return (
            (self.lanes - 1) * self.packing.low_weight_bits if self.config.style.low_bits(self.packing) else 0
        )

    @property
    def weight(self) -> int:
        """Bits of a packed weight."""
        packing = self.packing
        if packing.scheme.lane_bits:
            return self.lanes * packing.scheme.lane_bits
        ones = sum(1 << (lane * packing.weight_spacing) for lane in range(self.lanes))
        return bits_for_range(packing.weight.low * ones, packing.weight.high * ones)

    @property
    def total(self) -> int:
        """Bits of a packed sum that are read."""
        if self.packing.scheme.lane_bits:
            return self.packing.scheme.spacing * len(self.fields)
        return self.packing.packed_sum_bits(self.terms) if self.whole else self.fields[-1].offset + self.sum

    @property
    def totals(self) -> int:
        """Bits of a segment's packed sums; without a bias the first ones need fewer."""
        spare = max(0, self.total - self.product) if len(self.packing.fields) == 1 else 0
        return self.terms * self.total - sum(range(spare - min(spare, self.terms), spare))

    def canary(self) -> tuple[int, int, int]:
        """Bits of a canary's pairs of partial products, of the sums of those, and of all its registers."""
        bits, size = self.packing.scheme.canary_bits, self.packing.low_weight_bits
        terms = [(at, min(bits - at, size + 2)) for at in range(0, min(bits, self.packing.act.bits), 2)]
        pairs = held = sum(width for _, width in terms)
        sums = 0
        for _ in range(1, _CANARY_LEVELS):
            joined = []
            for i in range(0, len(terms), 2):
                at, width = terms[i]
                if i + 1 < len(terms):
                    above, other = terms[i + 1]
                    sums += min(bits - above, other + 1)
                    width = min(bits - at, above - at + other + 1)
                joined.append((at, width))
            terms = joined
            held += sum(width for _, width in terms)
        return pairs, sums, held + bits

    def separation(self) -> tuple[int, int]:
        """Bits of a segment's adders and registers that separate packed sums."""
        packing, top = self.packing, len(self.packing.fields) - 1
        if not self.config.style.count_bits(packing):
            return 0, self.sum * len(self.fields)
        bits, rest = packing.scheme.canary_bits, self.total
        lut, ff = 0, rest
        for i in range(min(len(self.fields), top)):
            ff += self.sum * 2 * (top - i)
            if not self.whole and i == len(self.fields) - 1:
                break
            rest -= packing.scheme.spacing
            lut += 2 * bits + rest - bits
            ff += bits * (2 * i + 1) + 1 + (rest - bits) + bits + rest
        return lut, ff


def estimate_pipelined(config: DspGemmConfig) -> Resources:
    """LUT, flip-flops, multipliers and block RAMs of one pipelined configuration.

    Parameters
    ----------
    config : DspGemmConfig
        The core; its target's sums are made in the fabric.
    """
    units = pipelined_units(config)
    memory_lut, memory_ff, blocks = _memories(config)
    lut = memory_lut + sum(each * units[name] for name, each in PIPELINED_LUT.items())
    ff = _array(config) + _operands(config) + _steps(config) + _control(config) + memory_ff
    return Resources(lut=round(lut), ff=round(ff), dsp=config.dsps, bram36=ceil(blocks))


def _parts(config: DspGemmConfig) -> list[_Part]:
    return [_Part(config, config.column_lanes(column)) for column in range(config.columns)]


def pipelined_units(config: DspGemmConfig) -> dict[str, float]:
    """What the LUTs depend on, memories apart.

    Parameters
    ----------
    config : DspGemmConfig
        The core.
    """
    packing, parts, segments = config.arithmetic, _parts(config), len(config.segments)
    adders = _SUM_BITS * config.cols + (segments - 1) * config.cols * _tree_bits(config)
    adders += config.weight_signed * sum((part.lanes - 1) * (config.weight_bits + 1) for part in parts)
    adders += config.act_signed * config.rows * (config.m_lanes - 1) * config.act_bits
    canaries = pairs = 0
    for part in parts:
        of_pairs, of_sums, _ = part.canary()
        adders += segments * (part.totals + part.separation()[0])
        adders += config.rows * part.counts * (of_sums + packing.scheme.canary_bits)
        pairs += config.rows * part.counts * of_pairs
        canaries += config.rows * part.counts
    return {
        "always": 1,
        "size_bits": config.size_bits,
        "entry_bits": index_bits(config.result_depth),
        "lane": config.rows + config.n_lanes,
        "adder": adders,
        "pair": pairs,
        "negative": canaries * (config.weight_signed + config.act_signed),
    }


def _tree_bits(config: DspGemmConfig) -> int:
    low, high = config.arithmetic.product_range
    return bits_for_range(low * config.rows - 1, high * config.rows)


def _array(config: DspGemmConfig) -> int:
    """Flip-flops of weights, packed sums, canaries, separated sums, accumulators and what is read from memories."""
    packing, style, segments = config.arithmetic, config.style, len(config.segments)
    ff = config.groups * config.rows * packing.packed_act_bits
    for part in _parts(config):
        each = 2 * (part.weight + part.low) + part.counts * part.canary()[2]
        if style.cell is None and not packing.scheme.lane_bits:  # operands, product and result, in the fabric
            each += 3 * (part.weight + packing.packed_act_bits)
        ff += config.rows * each + segments * (part.totals + part.separation()[1])
    left = segments
    while left > 1:
        left = ceil_div(left, 2)
        ff += left * _tree_bits(config) * config.cols
    # Read, chosen and stored sums, results that are read, and which.
    return ff + 4 * _SUM_BITS * config.cols + index_bits(config.result_depth) + 2


def _operands(config: DspGemmConfig) -> int:
    """Flip-flops of packed weights and activations, their skew, and their way to later groups."""
    act = config.arithmetic.packed_act_bits
    ff = 0
    for column, part in enumerate(_parts(config)):
        ff += (part.weight + part.low) * (1 + config.group(column))
    longest = 0
    for segment in config.segments:
        for i in range(segment.rows):
            ff += (1 + segment.skew + i) * act + 1 + segment.first_row + i
            longest = max(longest, segment.skew + i)
    return ff + 1 + longest + (config.groups - 1) * (config.rows * (act + 1) + 1)


def _steps(config: DspGemmConfig) -> int:
    """Flip-flops of what the accumulators do, delayed until the sums arrive, and for each group."""
    index, entry = index_bits(config.tile_steps), index_bits(config.result_depth)
    late = config.read_delay + config.accumulate_cycles - 1
    return (index + 3) * late + config.read_delay + 2 + entry + (config.groups - 1) * (2 * index + 4 + entry)


def _memories(config: DspGemmConfig) -> tuple[int, int, float]:
    """Accumulators, result buffer, the flags beside it, and the queue behind it: LUTs, flip-flops, block RAMs."""
    lut = _RAM_LUTS * ceil_div(_SUM_BITS * config.cols + 1, _RAM_BITS)
    ff, blocks = 0, 0.0
    for column in range(config.columns):
        bits = _SUM_BITS * config.column_lanes(column) * config.m_lanes
        for rows in (config.tile_steps, config.result_depth):
            if rows < BLOCK_ROWS:
                lut += _ram_luts(rows, bits)
                ff += bits
            else:
                blocks += block_rams(rows, bits, "ecp5")
    if config.result_depth <= _FLAGS_IN_LUTS:
        return lut + _ram_luts(config.result_depth, 1), ff + 1, blocks
    return lut, ff, blocks + block_rams(config.result_depth, 1, "ecp5")


def _ram_luts(rows: int, bits: int) -> int:
    """LUTs of a distributed RAM, and of the choice between its cells."""
    deep = ceil_div(rows, _RAM_ROWS)
    return _RAM_LUTS * deep * ceil_div(bits, _RAM_BITS) + (deep - 1) * bits


def _control(config: DspGemmConfig) -> int:
    """Flip-flops of the sequencer, its masks, and counters of results."""
    size, depth, entry = config.size_bits, index_bits(config.tile_steps), index_bits(config.result_depth)
    odd = 4 * (config.m_lanes == 2)
    return 42 + 8 * size + 4 * depth + 3 * entry + 4 * config.rows + 2 * config.n_lanes + odd
