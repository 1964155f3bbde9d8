"""The mathematics of the core on whole arrays: one line or two per shape of function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgen.cores.activation.config import ActivationConfig
from hwgen.cores.activation.operation import Vector
from hwgen.numerics import IntArray

__all__ = ["run", "unclamped"]


def run(config: ActivationConfig, operations: Sequence[Vector]) -> list[IntArray]:
    """Results of a sequence of operations as int64 arrays."""
    low, high = config.result.low, config.result.high
    return [np.clip(unclamped(config, op.x), low, high) for op in operations]


def unclamped(config: ActivationConfig, x: IntArray) -> IntArray:
    """Results as int64 before they are clamped to the output format.

    Parameters
    ----------
    config : ActivationConfig
        The core.
    x : int array
        Arguments in its format.
    """
    if config.shape == "parabola":
        limit = (1 << config.formats.magnitude_bits) - 1
        return config.ibert.evaluate(x, np.minimum(np.abs(x), limit))
    how, table = config.reduction, config.pieces.evaluate
    if how.shape == "direct":
        return table(x - config.argument.low)
    if how.scaled:
        return _scaled(config, x)
    t = np.minimum(np.abs(x), (1 << how.in_bits) - 1)
    if how.shape == "delta":
        y: IntArray = ((np.maximum(x, 0) << how.up) - table(t) + ((1 << how.down) >> 1)) >> how.down
        return y
    if how.shape == "odd":
        return np.where(x < 0, -table(t), table(t))
    weight = np.where(x < 0, table(t), (1 << how.out_fraction) - table(t))
    if how.shape == "mirror":
        return weight
    return (x * weight + ((1 << how.down) >> 1)) >> how.down


def _scaled(config: ActivationConfig, x: IntArray) -> IntArray:
    """A mantissa from the table, shifted by the exponent and rounded half up."""
    how, n = config.reduction, config.in_bits
    if how.shape == "power":
        e = how.exponent(x)
        exponent, u = e >> how.in_bits, e & ((1 << how.in_bits) - 1)
    else:
        # A leading one in front of n - 1 fraction bits; where there is none, the result is the largest.
        zeros = n - np.frexp(x.astype(np.float64))[1]
        u = (x << zeros) & ((1 << (n - 1)) - 1)
        exponent = zeros
        if how.shape == "rsqrt":
            power = n - 1 - zeros - config.in_fraction
            u, exponent = u + ((power & 1) << (n - 1)), power >> 1
    shift = exponent - how.shift_base if how.falling else how.shift_base - exponent
    mantissa = config.pieces.evaluate(u)
    y = ((mantissa << 1 >> np.clip(shift, 0, 62)) + 1) >> 1
    beyond = (shift < 0) | ((x == 0) if how.shape != "power" else False)
    return np.where(beyond, config.result.high, y)
