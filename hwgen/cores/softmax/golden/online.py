"""Online softmax with the true maximum: every new one rescales the sum by a factor that is no power of two.

Source: Milakov and Gimelshein, arXiv 1805.02867, algorithm 3; as a streaming unit in Edge-MoE, arXiv 2305.18691.
"""

from __future__ import annotations

import numpy as np

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.golden.arithmetic import (
    Mask,
    beats,
    exponential,
    quotients,
    reciprocal,
    round_shift,
    running,
)
from hwgen.cores.softmax.tables import RESCALE_BITS, pairs, rescale_mantissas
from hwgen.numerics import IntArray

__all__ = ["rows"]

_SPLIT = 17  # bits of the lower product


def rows(config: SoftmaxConfig, x: IntArray, keep: Mask) -> tuple[IntArray, ...]:
    """Results, shape (rows, n); with ``after_pv`` also mantissa and exponent of the sum's reciprocal, shape (rows,)."""
    total, top = _sum(config, x, keep)
    r, k = reciprocal(config, total, config.fraction)
    # The second exponential of every element, with the final maximum.
    mantissa, exponent = exponential(config, np.where(keep, x - top[:, None], 0))
    mantissa = np.where(keep, mantissa, 0)
    if config.divides:
        return (quotients(config, mantissa, r[:, None], k[:, None] - exponent),)
    drop = config.mantissa_bits - config.out_bits
    y = np.minimum(round_shift(mantissa, drop - exponent), (1 << config.out_bits) - 1)
    return y, r, np.where(r > 0, config.reciprocal_bits + config.out_bits + k, 0)


def _sum(config: SoftmaxConfig, x: IntArray, keep: Mask) -> tuple[IntArray, IntArray]:
    """Sum of exponentials, and maximum."""
    q = beats(np.where(keep, x, config.logit.low), config.lanes, config.logit.low)
    tops = np.maximum.accumulate(q.max(axis=2), axis=1)
    mantissa, exponent = exponential(config, q - tops[:, :, None])
    terms = round_shift(mantissa << (config.fraction - config.mantissa_bits), -exponent)
    terms = np.where(beats(keep, config.lanes), terms, 0).sum(axis=2)

    def rescale(sums: IntArray, old: IntArray, new: IntArray) -> IntArray:
        return _rescale(config, sums, old - new)

    return running(config.interleave, terms, tops, rescale), tops[:, -1]


def _rescale(config: SoftmaxConfig, total: IntArray, logits: IntArray) -> IntArray:
    """``total * exp(logits * step)``."""
    bits = RESCALE_BITS[config.out_bits]
    if config.exponential == "table":
        mantissa, exponent = pairs(config, bits, np.arange(1 - (1 << config.in_bits), 1))
        index = logits + (1 << config.in_bits) - 1
        factor, places = mantissa[index], -exponent[index]
    else:
        shift = config.multiplier_shift
        octaves = logits * config.multiplier
        octaves = octaves >> (shift - bits) if shift >= bits else octaves << (bits - shift)
        factor = rescale_mantissas(config).evaluate(octaves & ((1 << bits) - 1))
        places = -(octaves >> bits)
    # In two products, each cut at the sum's last bit: what two multipliers make of it.
    total = total >> np.minimum(places, 62)
    upper, lower = total >> _SPLIT, total & ((1 << _SPLIT) - 1)
    return (upper * factor >> (bits - _SPLIT)) + (lower * factor >> bits)
