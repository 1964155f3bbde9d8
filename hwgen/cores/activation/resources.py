"""Resource estimate: tables, adders, shifters and registers counted from the structure.

Yosys 0.70 (``synth_xilinx -family xcup``) is the measure: tests hold the estimate to it on configurations of
every shape.
"""

from __future__ import annotations

from math import ceil

from hwgen.core import Resources
from hwgen.cores.activation.config import ActivationConfig
from hwgen.numerics import ceil_div, ceil_log2
from hwgen.parts.piecewise import Table
from hwgen.parts.ram import lut_ram

__all__ = ["estimate", "lane"]

_LUT_INPUTS = 6
_MULTIPLIER_BITS = 26  # of a DSP48E2's longer operand, without its sign
_WEIGHT_BITS = 17  # of its shorter one
_SOFT_BITS = 9  # Yosys makes shorter products of LUTs
_SHARED = 0.85  # of a deep table's LUTs are left when equal parts are found
_BLOCK_RAM_BITS = 1 << 14  # from here on Yosys takes block RAM for a table


def estimate(config: ActivationConfig) -> Resources:
    """LUT, flip-flops, DSP blocks and block RAMs of one configuration.

    Parameters
    ----------
    config : ActivationConfig
        The core.
    """
    one = lane(config)
    word = config.lanes * config.out_bits + 1
    depth = config.elastic.depth
    count = ceil_log2(depth)
    # Results that a narrower table gives have copies of its sign above.
    made = config.pieces.out.bits if config.shape == "direct" else config.out_bits
    lut = config.lanes * (one.lut + min(config.out_bits, made) + 1) + lut_ram(depth, word)
    return Resources(
        lut=lut + 6 * count + 4,
        ff=config.lanes * (one.ff + 1) + 4 * count + config.latency + 4,
        dsp=config.lanes * one.dsp,
        bram36=ceil(config.lanes * (_block_rams(config.pieces) if config.table_bits else 0)),
    )


def lane(config: ActivationConfig) -> Resources:
    """The same of one lane, without flow control."""
    if config.shape == "parabola":
        return _parabola(config)
    lut, ff = _table(config.pieces)
    soft = _soft(config.pieces)
    lut += sum((min(a, b) - 1) * (max(a, b) + 1) for a, b in soft)  # its adders
    out, n = config.out_bits, config.in_bits
    how = config.reduction
    if how.shape in ("delta", "odd", "mirror"):
        lut += (n + 3 if config.in_signed else 0) + out + (how.in_bits if how.shape == "delta" else 1)
        ff += how.in_bits + out + (how.in_bits if how.shape == "delta" else 1)
    elif how.shape == "product":
        # A weight, the argument delayed for it, their product inside the DSP block, and its rounding.
        weight = how.out_fraction + 1
        lut += (n + 3 if config.in_signed else 0) + 1 + n + out
        ff += how.in_bits + 1 + weight + n + out
    elif how.scaled:
        mantissa = config.pieces.out.bits + 1
        amount = ceil_log2(mantissa + 1)
        lut += 2 * mantissa + amount
        ff += 2 * mantissa + 2
        if how.factor != 1:
            ff += n + 20 + how.in_bits
        if how.shape != "power":
            lut += n * ceil_log2(n) // 2 + 2 * amount + n
            ff += 2 * n + 3 * ceil_log2(n)
    if config.clamps:
        lut, ff = lut + out + 2, ff + out
    return Resources(
        lut=round(lut),
        ff=round(ff),
        dsp=config.multipliers - len(soft),
        bram36=ceil(_block_rams(config.pieces)),
    )


def _soft(table: Table) -> list[tuple[int, int]]:
    """Bits of the operands of products that are too short for a DSP block."""
    pairs = [(form.bits, table.step_bits) for form in table.formats[1:]]
    return [(a, b) for a, b in pairs if a + b < _SOFT_BITS or min(a, b) < 2]


def _parabola(config: ActivationConfig) -> Resources:
    """I-BERT: a square, a product, and its product with a constant, that one in pieces of 26 bits."""
    c, n, out = config.ibert, config.in_bits, config.out_bits
    root, top, weight = c.root.bit_length(), c.top.bit_length(), (2 * c.one + 1).bit_length()
    parts = ceil_div(weight, _WEIGHT_BITS) + ceil_div(n + weight - 1, _MULTIPLIER_BITS)
    lut = (n + 3 if config.in_signed else 0) + root + top + weight + out + _WEIGHT_BITS * (parts - 2)
    ff = 3 * n + 2 * root + top + 2 * weight + out
    if config.clamps:
        lut, ff = lut + out + 2, ff + out
    return Resources(lut=lut, ff=ff, dsp=1 + parts, bram36=0)


def _block_rams(table: Table) -> float:
    """Block RAMs of 36 Kbit of one lane's table."""
    bits = table.out.bits << table.in_bits if table.form == "constant" else 0
    return 0 if bits < _BLOCK_RAM_BITS else max(0.5, bits / 32768)


def _rom(address: int, width: int) -> float:
    return width * (1 << address >> _LUT_INPUTS) * _SHARED if address > _LUT_INPUTS else width


def _table(table: Table) -> tuple[float, float]:
    """LUTs and flip-flops of a table with its datapath."""
    if _block_rams(table):
        return 1, 0
    s, out = table.step_bits, table.out.bits
    address = max(1, table.in_bits - s if table.direct else ceil_log2(table.entries))
    widths = [form.bits for form in table.formats]
    lut = ff = 0.0
    if not table.direct:
        lut += address + len(table.regions)
        ff += address + s
    if table.form == "constant":
        return lut + _rom(address, widths[0]), ff + out
    if table.form == "knots":
        width = widths[0]
        lut += (
            address // 2 + 2 * _rom(address - 1, width) + (s + 1) + 2 * width + (s if not table.direct else 0)
        )
        ff += (address + s if table.direct else 0) + 4 * width + 2 * (s + 1) + 2 * width + out
        return lut, ff
    lut += _rom(address, widths[-1])
    ff += widths[-1]
    for width in reversed(widths[:-1]):
        # A small table is in the LUTs of the adder behind it.
        lut += width + (0 if address < _LUT_INPUTS else _rom(address, width))
        ff += 2 * (s + address) + 2 * width + (width if address >= _LUT_INPUTS else 0)
    return lut, ff + out - widths[0] - s
