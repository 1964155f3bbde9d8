"""Resource estimate: multipliers and memories counted, LUTs and flip-flops by what they grow with.

Fitted to Yosys 0.70 (``synth_xilinx -family xcup``) on what ``benchmarks/softmax_resources.py`` draws;
that benchmark prints the error on others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil

from hwgen.core import Resources
from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.latency import Latency
from hwgen.cores.softmax.peers import IBERT_FACTOR_BITS, ibert_constants, ibert_division
from hwgen.cores.softmax.tables import (
    RESCALE_BITS,
    mantissas,
    reciprocal_error,
    reciprocals,
    rescale_mantissas,
)
from hwgen.numerics import ceil_div, ceil_log2, index_bits
from hwgen.parts.piecewise.table import Table
from hwgen.parts.ram import lut_ram, memory_cells

__all__ = ["FITTED", "estimate", "units"]

_WIDE, _NARROW = 26, 17  # bits of a DSP48E2's operands, without a sign
_NARROWEST, _LEAST = 2, 10  # Yosys makes shorter products of LUTs

FITTED: Mapping[str, Mapping[str, float]] = {
    "lut": {
        "online_pow2 lane": 107.4,
        "logits": 10.9,
        "results": 0.006,
        "total": 9.975,
        "added": 3.309,
        "newton": 15.93,
        "online": 829.4,
        "twopass_ext": 100.7,
        "paired": 4.361,
        "divider": 2.246,
        "unified_max": 77.73,
        "divided": 1.407,
        "ibert": 618,
        "ibert lane": 72.09,
        "softermax": 134.4,
        "softermax lane": 90.47,
        "sole": 196.8,
        "sole lane": 0.3554,
        "ita": 266.5,
    },
    "ff": {
        "online_pow2": 157.7,
        "online_pow2 lane": 80.57,
        "kept": 1.753,
        "logits": 6.035,
        "results": 0.538,
        "total": 13,
        "added": 1.079,
        "kernel": 2.363,
        "newton": 10.89,
        "online": 968.9,
        "twopass_ext": 298.7,
        "paired": 3.759,
        "divider": 2.453,
        "unified_max lane": 49.19,
        "table_exact": 194.8,
        "table_exact lane": 106.5,
        "divided": 1.205,
        "ibert": 979.5,
        "ibert lane": 191.1,
        "softermax": 100.5,
        "softermax lane": 107.7,
        "sole": 124.3,
        "sole lane": 18.19,
        "ita": 398.4,
    },
}
"""Cells per unit of :func:`units`, by kind of cell."""


def units(config: SoftmaxConfig) -> dict[str, float]:
    """What LUTs and flip-flops grow with, memories apart.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.
    """
    lanes, name = config.lanes, config.variant
    fraction, out = config.total_fraction + 1, config.out_bits
    levels = ceil_log2(lanes)
    found: dict[str, float] = {
        name: 1,
        f"{name} lane": lanes,
        "kept": lanes * config.kept_bits,
        "logits": lanes * config.in_bits,
        "results": lanes * out,
        "total": config.total_bits,
    }
    if name in ("online_pow2", "unified_max", "online"):
        found["aligned"] = lanes * fraction
        found["aligned waits"] = lanes * levels * config.mantissa_bits
    if name in ("online_pow2", "unified_max", "online", "table_exact"):
        found["added"] = (lanes - 1) * fraction
    if name == "twopass_ext":
        found["paired"] = (lanes + 2) * config.total_bits
    if name in ("online", "softermax", "sole", "ita"):
        found["logits wait"] = lanes * levels * config.in_bits
    if name == "table_exact":
        found["divided"] = lanes * out * config.total_bits
        found["table"] = lanes * _rom(config.in_bits, fraction)
        return found
    if name not in ("ibert", "softermax", "sole", "ita"):
        if config.exponential == "table":
            width = config.mantissa_bits + config.exponent_bits
            found["table"] = lanes * (1 + (name == "online")) * _rom(config.in_bits, width)
        else:
            found["kernel"] = lanes * (1 + (name == "online")) * _kernel(mantissas(config))
        if config.reciprocal == "divider":
            found["divider"] = config.reciprocal_bits**2
        else:
            found["newton"] = config.reciprocal_bits
        if not config.divides:
            found["factors"] = config.scale_bits
    return found


def _rom(address: int, width: int) -> float:
    return width * max(1.0, (1 << address) / 64)


def _kernel(table: Table) -> float:
    return table.in_bits + sum(form.bits for form in table.formats)


def _products(config: SoftmaxConfig) -> int:
    """DSP blocks of all products."""
    lanes, name = config.lanes, config.variant
    if name == "ibert":
        c = ibert_constants(config)
        inverse, _ = ibert_division(config)
        parabola = (
            _dsp(config.in_bits, inverse.bit_length()),
            _dsp(c.ln2.bit_length(), c.places.bit_length()),
            _dsp(max(c.linear, c.ln2).bit_length(), c.ln2.bit_length()),
            _dsp(c.constant.bit_length(), c.factor.bit_length()),
        )
        return lanes * (sum(parabola) + _dsp(config.kept_bits, IBERT_FACTOR_BITS))
    if name == "softermax":
        return lanes * (_dsp(config.in_bits, config.multiplier.bit_length()) + _dsp(16, 8))
    if name in ("sole", "ita", "table_exact"):
        return 0
    divides = _dsp(config.mantissa_bits + 1, config.reciprocal_bits + 1) if config.divides else 0
    count = lanes * ((1 + (name == "online")) * _exponential(config, mantissas) + divides)
    if config.reciprocal == "newton":
        start = reciprocals()
        low, high = reciprocal_error(config.reciprocal_bits)
        count += _polynomial(start) + _dsp(config.reciprocal_bits + 1, start.out_fraction + 1)
        count += _dsp(start.out_fraction + 1, max(abs(low), high).bit_length())
    if name == "online":
        # Two factors, each for two products: of the upper and of the lower part of a sum.
        count += 2 * _exponential(config, rescale_mantissas)
        bits = RESCALE_BITS[config.out_bits] + 1
        count += 2 * (_dsp(config.total_bits - _NARROW, bits) + _dsp(_NARROW, bits))
    return count


def _exponential(config: SoftmaxConfig, table: Callable[[SoftmaxConfig], Table]) -> int:
    if config.exponential == "table":
        return 0
    return _dsp(config.in_bits, config.multiplier.bit_length()) + _polynomial(table(config))


def _polynomial(table: Table) -> int:
    widths = [form.bits - form.signed for form in table.formats[1:]]
    return sum(_dsp(width, table.step_bits) for width in widths)


def _dsp(a: int, b: int) -> int:
    """DSP48E2 of a product of numbers of so many bits, their signs apart."""
    if min(a, b) < _NARROWEST or a + b < _LEAST:
        return 0
    return min(ceil_div(a, _WIDE) * ceil_div(b, _NARROW), ceil_div(b, _WIDE) * ceil_div(a, _NARROW))


def estimate(config: SoftmaxConfig) -> Resources:
    """LUT, flip-flops, DSP blocks and block RAMs of one configuration.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.
    """
    of = units(config)
    lut, bram36 = _memories(config)
    lut += sum(of.get(name, 0) * each for name, each in FITTED["lut"].items())
    ff = sum(of.get(name, 0) * each for name, each in FITTED["ff"].items())
    return Resources(lut=round(lut), ff=round(ff), dsp=_products(config), bram36=ceil(bram36))


def _memories(config: SoftmaxConfig) -> tuple[float, float]:
    """LUTs and block RAMs of all memories."""
    latency, lanes = Latency(config), config.lanes
    shape = latency.shape
    memories = [(shape.words, config.kept_bits * lanes + config.kept_once_bits)]
    queues = [
        (shape.rows, index_bits(shape.longest)),
        (shape.rows, config.stat_bits + config.may_repeat),
        (shape.results, config.answer_bits + 1),
    ]
    if config.finds_maximum:
        front = latency.distances
        memories.append((front.words, (config.in_bits + 1) * lanes))
        queues += [
            (front.rows, index_bits(front.longest)),
            (front.rows, config.in_bits),
            (front.results, (config.in_bits + 1) * lanes + 1),
        ]
    if not config.divides:
        queues.append((shape.rows, config.scale_bits))
    found = [memory_cells(rows, bits) for rows, bits in memories]
    lut = sum(luts for luts, _ in found) + sum(lut_ram(rows, bits) for rows, bits in queues)
    return float(lut), sum(blocks for _, blocks in found)
