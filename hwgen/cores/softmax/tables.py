"""The constants of a configuration: tables of exponentials and of the reciprocal."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from hwgen.cores.softmax.config import PEERS, SoftmaxConfig
from hwgen.numerics import IntArray, IntFormat
from hwgen.parts.piecewise.fit import uniform
from hwgen.parts.piecewise.table import FloatArray, Table

__all__ = [
    "RESCALE_BITS",
    "exact_exponentials",
    "mantissas",
    "pairs",
    "reciprocal_error",
    "reciprocals",
    "rescale_mantissas",
    "table_bits",
]

_KERNELS = {
    "linear16": (16, "linear"),
    "quad4": (4, "quadratic"),
    "quad8": (8, "quadratic"),
    "quad16": (16, "quadratic"),
}

RESCALE_BITS = {8: 20, 16: 24}
"""Fraction bits of the factors by which ``online`` rescales a sum, by bits of the result."""

_RECIPROCAL_SEGMENTS, _RECIPROCAL_BITS, _RECIPROCAL_IN = 16, 13, 16


def _power(x: FloatArray) -> FloatArray:
    return np.asarray(2.0**x)


def _inverse(x: FloatArray) -> FloatArray:
    return 1 / x


@cache
def _powers(bits: int, segments: int, form: str) -> Table:
    out = IntFormat(bits + 1, False)
    return uniform(_power, 0, 1, in_bits=bits, segments=segments, form=form, out_fraction=bits, out=out)


def mantissas(config: SoftmaxConfig) -> Table:
    """``2**f`` for fractions ``f``, as the kernel has it; what it has below one counts as one."""
    return _powers(config.mantissa_bits, *_KERNELS[config.exponential])


def rescale_mantissas(config: SoftmaxConfig) -> Table:
    """The same, finer: errors of these factors multiply."""
    return _powers(RESCALE_BITS[config.out_bits], 16 if config.out_bits == 8 else 64, "quadratic")


@cache
def _reciprocals() -> Table:
    return uniform(
        _inverse, 1, 2, in_bits=_RECIPROCAL_IN, segments=_RECIPROCAL_SEGMENTS, form="linear",
        out_fraction=_RECIPROCAL_BITS,
    )  # fmt: skip


def reciprocals() -> Table:
    """``1 / s`` for ``s`` in [1, 2): where Newton's method begins."""
    return _reciprocals()


@cache
def reciprocal_error(bits: int) -> tuple[int, int]:
    """Smallest and largest ``1 - s * reciprocals(s)`` over every ``s`` of ``bits`` fraction bits, two bits finer."""
    table = reciprocals()
    start = table.evaluate(np.arange(1 << table.in_bits))
    first = np.arange(1 << table.in_bits, 2 << table.in_bits) << (bits - table.in_bits)
    f = table.out_fraction
    ends = [
        ((1 << (bits + f)) - s * start) >> (f - 2) for s in (first, first + (1 << (bits - table.in_bits)) - 1)
    ]
    return min(int(e.min()) for e in ends), max(int(e.max()) for e in ends)


def pairs(config: SoftmaxConfig, bits: int, logits: IntArray) -> tuple[IntArray, IntArray]:
    """Correctly rounded mantissas (``bits`` fraction bits) and exponents of the exponentials of ``logits``."""
    mantissa, exponent = [], []
    for q in logits.tolist():
        octaves = config.octave_step * q
        whole = math.floor(octaves)
        value = round(2.0 ** float(octaves - whole) * (1 << bits))
        mantissa.append(min(value, (2 << bits) - 1))  # a mantissa stays below two
        exponent.append(whole)
    return np.array(mantissa, np.int64), np.array(exponent, np.int64)


def exact_exponentials(config: SoftmaxConfig) -> IntArray:
    """``exp(-d * step)`` with ``config.fraction`` bits, correctly rounded, for every difference of two logits."""
    step = float(config.step)
    return np.array(
        [round(math.exp(-d * step) * (1 << config.fraction)) for d in range(1 << config.in_bits)], np.int64
    )


def table_bits(config: SoftmaxConfig) -> int:
    """Bits of all constant tables of one lane and one row: what a block of one lane holds."""
    if config.variant in PEERS:
        # Softermax: powers in both passes, and the reciprocals. The others compute, or hold two constants.
        return 2 * 4 * 16 + 64 * 8 if config.variant == "softermax" else 0
    if config.variant == "table_exact":
        return (config.fraction + 1) << config.in_bits
    passes = 2 if config.variant == "online" else 1
    if config.exponential == "table":
        exponent = config.fall_bits if config.variant == "online" else config.exponent_bits
        lanes = passes * (config.mantissa_bits + exponent) << config.in_bits
        rescale = 2 * (RESCALE_BITS[config.out_bits] + exponent) << config.in_bits
    else:
        lanes, rescale = passes * mantissas(config).table_bits, 2 * rescale_mantissas(config).table_bits
    newton = reciprocals().table_bits if config.reciprocal == "newton" else 0
    return lanes + newton + (rescale if config.variant == "online" else 0)
