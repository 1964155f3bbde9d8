"""Variants whose exponentials are kept as mantissa and exponent: only the way to the sum differs."""

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
from hwgen.numerics import IntArray

__all__ = ["rows"]


def rows(config: SoftmaxConfig, x: IntArray, keep: Mask) -> tuple[IntArray, ...]:
    """Results, shape (rows, n), and what else belongs to each row, shape (rows,).

    With ``normalise=after_pv`` the reciprocal of the sum as mantissa and exponent; with ``unified_max`` whether the
    row was recomputed.
    """
    mantissa, exponent = exponential(config, x)
    least = config.exponents[0]
    mantissa, exponent = np.where(keep, mantissa, 0), np.where(keep, exponent, least)
    top = exponent.max(axis=1)
    extra: tuple[IntArray, ...] = ()
    if config.variant == "online_pow2":
        total, reference, fraction = *_running(config, mantissa, exponent), config.fraction
    elif config.variant == "twopass_ext":
        total, reference, fraction = *_extended(config, mantissa, exponent), config.fraction
    else:
        total, reference, again = _unified(config, mantissa, exponent, top, keep)
        fraction = config.fraction + config.span
        extra = (again,)
    r, k = reciprocal(config, total, fraction)
    if config.divides:
        y = quotients(config, mantissa, r[:, None], (reference + k)[:, None] - exponent)
        return (y, *extra)
    # Mantissas are below two, so half of them fits into a pure fraction.
    drop = config.mantissa_bits + 1 - config.out_bits
    y = np.minimum(round_shift(mantissa, drop + top[:, None] - exponent), (1 << config.out_bits) - 1)
    places = config.reciprocal_bits + config.out_bits - 1 + k + reference - top
    return (y, r, np.where(r > 0, places, 0), *extra)


def _running(config: SoftmaxConfig, mantissa: IntArray, exponent: IntArray) -> tuple[IntArray, IntArray]:
    """Sum and its reference: exponentials are added at the exponent of the largest one so far."""
    m = beats(mantissa, config.lanes) << (config.fraction - config.mantissa_bits)
    e = beats(exponent, config.lanes, config.exponents[0])
    tops = np.maximum.accumulate(e.max(axis=2), axis=1)
    terms = round_shift(m, tops[:, :, None] - e).sum(axis=2)
    total = running(config.interleave, terms, tops, lambda sums, old, new: sums >> np.minimum(new - old, 62))
    return total, tops[:, -1]


def _extended(config: SoftmaxConfig, mantissa: IntArray, exponent: IntArray) -> tuple[IntArray, IntArray]:
    """Sum and its exponent: pairs are added at the larger exponent, and a sum of two or more is halved.

    Neighbouring lanes are added first, then their sums, and so on; beat ``j`` adds to partial sum
    ``j mod interleave``, and the row's last beats' partial sums are added, backwards.
    """
    least = config.exponents[0]
    m = beats(mantissa, config.lanes) << (config.fraction - config.mantissa_bits)
    e = beats(exponent, config.lanes, least)
    while m.shape[2] > 1:
        last = m.shape[2] // 2 * 2
        sums = _add(config, m[:, :, 0:last:2], e[:, :, 0:last:2], m[:, :, 1:last:2], e[:, :, 1:last:2])
        m, e = (np.concatenate([s, old[:, :, last:]], axis=2) for s, old in zip(sums, (m, e), strict=True))
    sums_m = np.zeros((config.interleave, len(m)), np.int64)
    sums_e = np.full((config.interleave, len(m)), least)
    for j in range(m.shape[1]):
        slot = j % config.interleave
        sums_m[slot], sums_e[slot] = _add(config, sums_m[slot], sums_e[slot], m[:, j, 0], e[:, j, 0])
    total = sums_m[slot], sums_e[slot]
    for back in range(1, config.interleave):
        other = (slot - back) % config.interleave
        total = _add(config, *total, sums_m[other], sums_e[other])
    return total


def _add(
    config: SoftmaxConfig, m0: IntArray, e0: IntArray, m1: IntArray, e1: IntArray
) -> tuple[IntArray, IntArray]:
    e = np.maximum(e0, e1)
    m = round_shift(m0, e - e0) + round_shift(m1, e - e1)
    carry = (m >> (config.fraction + 1) > 0).astype(np.int64)
    return m >> carry, e + carry


def _unified(
    config: SoftmaxConfig, mantissa: IntArray, exponent: IntArray, top: IntArray, keep: Mask
) -> tuple[IntArray, IntArray, IntArray]:
    """Sum, its reference, and whether the row was recomputed because its maximum is not within the bound's reach."""
    again = keep.any(axis=1) & ((top > config.phi) | (top < config.phi - config.span))
    reference = np.where(again, top, config.phi)
    m = mantissa << (config.fraction + config.span - config.mantissa_bits)
    return round_shift(m, reference[:, None] - exponent).sum(axis=1), reference, again.astype(np.int64)
