"""Resource estimate: multipliers and memories counted, LUTs and flip-flops by what they grow with.

Fitted to Yosys 0.70 (``synth_xilinx -family xcup``) on what ``benchmarks/softmax_resources.py`` draws; the LUTs then
moved, as little as that takes, towards 15 configurations, most of them its draws with multipliers of 18 bits. That
benchmark and ``benchmarks/resource_model.py`` print the error on others.
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
        "joined": 1.812,
        "logits": 10.9,
        "total": 9.913,
        "online_pow2 divided": 7.645,
        "added": 3.462,
        "newton": 10.21,
        "online": 511.6,
        "online scaled": 1.638,
        "factors": 2.432,
        "twopass_ext": 230.9,
        "paired": 4.497,
        "linear": 1.452,
        "divider": 1.487,
        "unified_max": 24.52,
        "divided": 1.351,
        "ibert": 607.6,
        "ibert lane": 66.4,
        "softermax": 123.1,
        "softermax lane": 86.35,
        "sole": 176.7,
        "ita": 246.8,
        "online_pow2 scaled": 5.833,
        "online divided": 5.458,
        "unified_max scaled": 1.741,
    },
    "ff": {
        "joined": 1.677,
        "online_pow2": 289.3,
        "online_pow2 lane": 106.2,
        "logits": 8.958,
        "total": 15.38,
        "online_pow2 divided": 0.5062,
        "added": 1.267,
        "quadratic": 7.477,
        "online": 1069,
        "online scaled": 1.614,
        "twopass_ext": 289.5,
        "paired": 6.324,
        "linear": 6.546,
        "divider": 1.743,
        "unified_max divided": 5.611,
        "table_exact": 105.2,
        "table_exact lane": 167.1,
        "divided": 1.108,
        "ibert": 935.8,
        "ibert lane": 186.4,
        "softermax": 48.55,
        "softermax lane": 103.5,
        "sole": 55.7,
        "sole lane": 12.19,
        "ita": 348.2,
        "unified_max scaled": 9.545,
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
    joined = [
        count * (parts - 1) * (a + b - _NARROW)
        for count, a, b in _products(config)
        if (parts := _dsp(config, a, b))
    ]
    found: dict[str, float] = {
        "joined": sum(joined),  # parts of products, by adders
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
        found[f"{name} divided" if config.divides else f"{name} scaled"] = lanes * config.mantissa_bits
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
            passes = lanes * (1 + (name == "online"))
            found["kernel"] = passes * _kernel(mantissas(config))
            found[mantissas(config).form] = passes * config.mantissa_bits
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


def _products(config: SoftmaxConfig) -> list[tuple[int, int, int]]:
    """How many, and the bits of both operands, of every kind of product."""
    lanes, name = config.lanes, config.variant
    if name == "ibert":
        c = ibert_constants(config)
        inverse, _ = ibert_division(config)
        return [
            (lanes, config.in_bits, inverse.bit_length()),
            (lanes, c.ln2.bit_length(), c.places.bit_length()),
            (lanes, max(c.linear, c.ln2).bit_length(), c.ln2.bit_length()),
            (lanes, c.constant.bit_length(), c.factor.bit_length()),
            (lanes, config.kept_bits, IBERT_FACTOR_BITS),
        ]
    if name == "softermax":
        return [(lanes, config.in_bits, config.multiplier.bit_length()), (lanes, 16, 8)]
    if name in ("sole", "ita", "table_exact"):
        return []
    found = _exponentials(config, lanes * (1 + (name == "online")), mantissas)
    if config.divides:
        found.append((lanes, config.mantissa_bits + 1, config.reciprocal_bits + 1))
    if config.reciprocal == "newton":
        start = reciprocals()
        low, high = reciprocal_error(config.reciprocal_bits)
        found += _polynomial(1, start)
        found.append((1, config.reciprocal_bits + 1, start.out_fraction + 1))
        found.append((1, start.out_fraction + 1, max(abs(low), high).bit_length()))
    if name == "online":
        # Two factors, each for two products: of the upper and of the lower part of a sum.
        bits = RESCALE_BITS[config.out_bits] + 1
        found += _exponentials(config, 2, rescale_mantissas)
        found += [(2, config.total_bits - _NARROW, bits), (2, _NARROW, bits)]
    return found


def _exponentials(
    config: SoftmaxConfig, count: int, table: Callable[[SoftmaxConfig], Table]
) -> list[tuple[int, int, int]]:
    if config.exponential == "table":
        return []
    octaves = (count, config.in_bits, config.multiplier.bit_length())
    return [octaves, *_polynomial(count, table(config))]


def _polynomial(count: int, table: Table) -> list[tuple[int, int, int]]:
    return [(count, form.bits - form.signed, table.step_bits) for form in table.formats[1:]]


def _dsp(config: SoftmaxConfig, a: int, b: int) -> int:
    """DSP48E2 of a product of numbers of so many bits, their signs apart."""
    if min(a, b) < _NARROWEST or a + b < _LEAST:
        return 0
    wide = _WIDE if config.split is None else config.split - 1
    return min(ceil_div(a, wide) * ceil_div(b, _NARROW), ceil_div(b, wide) * ceil_div(a, _NARROW))


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
    return Resources(
        lut=round(lut),
        ff=round(ff),
        dsp=sum(count * _dsp(config, a, b) for count, a, b in _products(config)),
        bram36=ceil(bram36),
    )


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
