"""Resource estimate: multipliers, block RAMs, adders and registers counted, their cells fitted to Yosys.

Fitted to Yosys 0.70 (``synth_xilinx -family xcup -flatten``) on those of the configurations that ``benchmarks/norm.py``
lists that have up to 6 lanes, and on six with multipliers of 18 bits: 1 to 6 lanes, rows of 40 to 1,000 elements, both
forms, 8 and 16 bits, 0 to 2 terms. That benchmark and ``benchmarks/resource_model.py`` print the error on others.
"""

from __future__ import annotations

from math import ceil

from hwgen.core import Resources
from hwgen.cores.norm.config import NormConfig
from hwgen.numerics import IntFormat, ceil_div, index_bits
from hwgen.parts.product import NARROW, product_parts
from hwgen.parts.ram import BLOCK_ROWS, lut_ram, memory_cells

__all__ = ["FITTED", "estimate", "units"]

_SOFT_BITS = 9  # Yosys makes shorter products of LUTs
_SHORTEST_SRL = 3  # Yosys leaves shorter delays in flip-flops


FITTED: dict[str, dict[str, float]] = {
    "lut": {
        "always": 190.0, "lane": 3.4, "byte lane": 4.2, "adders": 1.223, "windows": 0.873, "squares": 57.8,
        "soft": 1.07, "held": 1.28,
    },
    "ff": {"always": 469.0, "lane": 19.1, "byte lane": -22.6, "registers": 0.78},
}  # fmt: skip
"""Cells per unit of :func:`units`, by kind of cell."""


class _Count:
    """Adders, registers and multipliers of products."""

    def __init__(self, port: int):
        self.port = port
        self.adders = self.registers = self.dsp = self.soft = 0

    def product(self, wide: IntFormat, narrow: IntFormat, bits: int | None = None) -> int:
        """Counts a product; its width."""
        size = wide.bits + narrow.bits if bits is None else bits
        counts = product_parts(wide, narrow, self.port)
        places, widths = [], []
        for i in range(counts[0]):
            for j in range(counts[1]):
                place = i * (self.port - 1) + j * NARROW
                a = _part(wide.bits, self.port - 1, i, counts[0])
                b = _part(narrow.bits, NARROW, j, counts[1])
                width = min(a + b, size - place)
                self.registers += width
                # Beside a signed part, one without a sign gets another bit.
                signs = wide.signed and i == counts[0] - 1, narrow.signed and j == counts[1] - 1
                least = min(a + (signs[1] and not signs[0]), b + (signs[0] and not signs[1]))
                if width < _SOFT_BITS or least < 2:
                    self.soft += width * min(a, b, width)
                else:
                    self.dsp += 1
                places.append(place)
                widths.append(width)
        while len(places) > 1:
            order = sorted(zip(places, widths, strict=True))
            places, widths = [], []
            for n in range(0, len(order), 2):
                place, width = order[n]
                if n + 1 < len(order):
                    above, high = order[n + 1]
                    total = min(max(width - (above - place), high) + 1, size - above)
                    self.adders += total
                    width = total + above - place
                self.registers += width
                places.append(place)
                widths.append(width)
        return min(widths[0], size)


def _part(bits: int, size: int, index: int, count: int) -> int:
    return size if index < count - 1 else bits - (count - 1) * size


def units(config: NormConfig) -> dict[str, float]:
    """What the cells depend on.

    Parameters
    ----------
    config : NormConfig
        The core.
    """
    statistics, lane = _statistics(config), _lane(config)
    tree_adders, tree_registers = _sums(config)
    lanes = config.lanes
    line = config.slope.bits + (config.intercept.bits if config.form == "layer" else 0)
    return {
        "always": 1,
        "lane": lanes,
        # Squares of bytes that are products of small multipliers.
        "byte lane": lanes * (config.in_bits == 8 and not config.square_table),
        "adders": statistics.adders + tree_adders + lanes * lane.adders,
        "registers": statistics.registers + tree_registers + lanes * lane.registers,
        "windows": 3 * config.mantissa_bits + 5 * line,
        "squares": lanes * config.square_table,
        "soft": statistics.soft + lanes * lane.soft,
        "held": lanes * config.out_bits + line,
    }


def _statistics(config: NormConfig) -> _Count:
    count = _Count(config.multiplier_bits)
    layer = config.form == "layer"
    count.product(config.squares, config.count)
    if layer:
        count.product(config.sum, config.sum)
        count.adders += config.variance.bits
        count.registers += config.variance.bits
    square = IntFormat(2 * config.count.bits, False)
    count.product(config.count, config.count)
    count.product(config.EPS, square)
    spread = config.variance.bits + config.eps_fraction
    count.adders += spread
    count.registers += spread + 3 * config.mantissa_bits + 15 + 3
    count.dsp += 1  # of the table
    count.registers += 57
    count.adders += 16
    if config.terms:
        guess = IntFormat(config.TABLE_FRACTION, False)
        mantissa = IntFormat(config.mantissa_bits + 1, False)
        drop = config.mantissa_bits - 1 + 2 * config.TABLE_FRACTION - config.error_fraction
        count.product(guess, guess)
        count.product(IntFormat(2 * guess.bits, False), mantissa, drop + config.error.bits)
        count.product(config.error, guess)
        count.adders += config.error.bits + config.root.bits + 1
        count.registers += config.error.bits + config.root.bits
        if config.terms == 2:
            count.dsp += 1
            count.adders += 15 + config.error.bits
            count.registers += 15 + 28 + 13 + 2 * config.error.bits
    lines = [(config.count, config.slope)] + ([(config.sum, config.intercept)] if layer else [])
    for operand, line in lines:
        count.product(config.root, operand)
        count.adders += line.bits
        count.registers += 3 * line.bits + 9
    return count


def _lane(config: NormConfig) -> _Count:
    count = _Count(config.multiplier_bits)
    fine = config.slope_fraction - config.intercept_fraction
    count.product(config.slope, config.element, fine + config.intercept.bits)
    delay = config.normalised_latency - 1
    if config.form == "layer":
        count.adders += config.intercept.bits
        count.registers += config.intercept.bits * (delay if delay < 3 else 1)
    elif config.intercept_fraction > config.NORMALISED_FRACTION:
        count.adders += config.normalised.bits
    count.registers += config.normalised.bits
    count.product(config.normalised, config.GAMMA)
    if not _shifted(config):
        count.registers += config.beta.bits * config.latency_of(config.normalised, config.GAMMA)
    count.adders += config.scaled.bits + 1
    count.registers += config.scaled.bits + 1 + config.out_bits
    return count


def _shifted(config: NormConfig) -> bool:
    """Whether offsets wait in shift registers: the register of a memory of LUTs and two more make one."""
    in_luts = 2 << index_bits(config.beats) < BLOCK_ROWS
    return config.latency_of(config.normalised, config.GAMMA) + in_luts >= _SHORTEST_SRL


def _sums(config: NormConfig) -> tuple[int, int]:
    """Bits of the adders and registers of the trees and accumulators."""
    adders, registers = 0, config.lanes * (config.in_bits + 1 + 2 * config.in_bits - 1)
    starts = {config.squares.bits: 2 * config.in_bits - 1, config.count.bits: 1}
    if config.form == "layer":
        starts[config.sum.bits] = config.in_bits
    for total, width in starts.items():
        left = config.lanes
        while left > 1:
            pairs, left = left // 2, ceil_div(left, 2)
            width += 1
            adders += pairs * width
            registers += left * width
        adders += total
        registers += total
    return adders, registers


def _memories(config: NormConfig) -> tuple[float, float]:
    """LUTs and block RAMs of all memories."""
    lanes = config.lanes
    line = config.slope.bits + (config.intercept.bits if config.form == "layer" else 0)
    memories = [
        (lanes * (config.in_bits + 1), config.rows.words),
        (lanes * (config.GAMMA.bits + config.beta.bits), 2 << index_bits(config.beats)),
    ]
    found = [memory_cells(depth, width) for width, depth in memories]
    lut, blocks = float(sum(luts for luts, _ in found)), sum(rams for _, rams in found)
    queues = (
        (line + 2, config.rows.rows),
        (lanes * config.out_bits + 1, config.rows.results),
        (10, config.rows.rows),
    )
    lut += sum(lut_ram(depth, width) for width, depth in queues)
    return lut, blocks


def estimate(config: NormConfig) -> Resources:
    """LUT, flip-flops, DSP blocks and block RAMs of one configuration.

    Parameters
    ----------
    config : NormConfig
        The core.
    """
    of = units(config)
    lut, bram36 = _memories(config)
    lut += sum(share * of[name] for name, share in FITTED["lut"].items())
    ff = sum(share * of[name] for name, share in FITTED["ff"].items())
    lanes = config.lanes
    if _shifted(config):
        lut += lanes * config.beta.bits
    dsp = _statistics(config).dsp + lanes * (_lane(config).dsp + (not config.square_table))
    return Resources(lut=round(lut), ff=round(ff), dsp=dsp, bram36=ceil(bram36))
