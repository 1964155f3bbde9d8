"""Published softmax units, re-derived from their papers and brought to this core's rows: for comparison.

Sources: I-BERT, arXiv 2101.01321, with the integers of its published modules; Softermax, arXiv 2103.09301; SOLE,
arXiv 2510.17189; ITA, arXiv 2307.03493. Each keeps its widths and its rounding; running sums are kept in
``interleave`` parts as everywhere in this core.
"""

from __future__ import annotations

import numpy as np

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.golden.arithmetic import Mask, beats, running, top_bit
from hwgen.cores.softmax.peers import (
    IBERT_ONE,
    ITA_NUMERATOR,
    SOLE_INVERSE,
    ibert_constants,
    softermax_powers,
    softermax_reciprocals,
)
from hwgen.numerics import IntArray

__all__ = ["ibert", "ita", "softermax", "sole"]


def ibert(config: SoftmaxConfig, x: IntArray, keep: Mask) -> tuple[IntArray, ...]:
    """I-BERT, algorithm 2 and 3: a parabola for the fraction, 16-bit exponentials, a reciprocal rounded down."""
    c = ibert_constants(config)
    top = np.where(keep, x, config.logit.low).max(axis=1)
    distance = np.minimum(np.where(keep, top[:, None] - x, 0), c.farthest)
    halvings = distance // c.ln2
    r = halvings * c.ln2 - distance
    parabola = (r + c.linear) * r + c.constant
    places = c.places + halvings
    e = np.where(
        keep, np.minimum((parabola * c.factor + (np.int64(1) << (places - 1))) >> places, IBERT_ONE), 0
    )
    factor = (np.int64(1) << 32) // np.maximum(e.sum(axis=1), 1)
    return (np.minimum(e * factor[:, None] >> (32 - config.out_bits), (1 << config.out_bits) - 1),)


def softermax(config: SoftmaxConfig, x: IntArray, keep: Mask) -> tuple[IntArray, ...]:
    """Softermax: base 2, a maximum that is an integer, logits Q(6,2), exponentials UQ(1,15), sum UQ(10,6), 1/x UQ(1,7).

    The running sum keeps the exponentials' 15 fraction bits and is cut to 6 at the row's end.
    """
    octaves = x * config.multiplier + (np.int64(1) << (config.multiplier_shift - 3)) >> (
        config.multiplier_shift - 2
    )
    octaves = np.where(keep, np.clip(octaves, -128, 127), -128)
    whole, power = octaves >> 2, softermax_powers()[octaves & 3]
    power = np.where(keep, power, 0)
    ceiling = -(-octaves >> 2)
    tops = np.maximum.accumulate(beats(ceiling, config.lanes, -32).max(axis=2), axis=1)
    shift = np.minimum(tops[:, :, None] - beats(whole, config.lanes, -32), 31)
    terms = (beats(power, config.lanes) >> shift).sum(axis=2)
    total = running(config.interleave, terms, tops, lambda sums, old, new: sums >> np.minimum(new - old, 31))
    total = np.minimum(total >> 9, (1 << 16) - 1)
    place = top_bit(total)
    inverse = softermax_reciprocals()[(total << 6 >> place) & 63]
    # UQ(1,7) out: twice that in eighths, so that all variants give u0.8.
    y = power * inverse[:, None] >> np.minimum(9 + place[:, None] + tops[:, -1:] - whole, 62)
    return (np.minimum(2 * y, 255),)


def sole(config: SoftmaxConfig, x: IntArray, keep: Mask) -> tuple[IntArray, ...]:
    """SOLE's E2Softmax: exponentials as powers of two with 4-bit exponents, and two values for 1/mantissa."""
    q = beats(np.where(keep, x, config.logit.low), config.lanes, config.logit.low)
    kept = beats(keep, config.lanes)
    tops = np.maximum.accumulate(q.max(axis=2), axis=1)
    codes = np.minimum(_sole_octaves(config, tops[:, :, None] - q), 15)
    terms = np.where(kept, 1 << (15 - codes), 0).sum(axis=2)
    total = running(
        config.interleave,
        terms,
        tops,
        lambda sums, old, new: sums >> np.minimum(_sole_octaves(config, new - old), 31),
    )
    place = top_bit(total)
    half = (total << 1 >> place) & 1
    fill = _sole_octaves(config, tops[:, -1:] - tops)[:, :, None]
    shift = (codes + fill).reshape(len(x), -1)[:, : x.shape[1]] + (place - 15)[:, None]
    return (np.asarray(SOLE_INVERSE)[half][:, None] >> np.clip(shift, 0, 31),)


def _sole_octaves(config: SoftmaxConfig, distance: IntArray) -> IntArray:
    octaves: IntArray = (distance + (distance >> 1) - (distance >> 4)) >> config.in_fraction
    return octaves


def ita(config: SoftmaxConfig, x: IntArray, keep: Mask) -> tuple[IntArray, ...]:
    """ITA: logits in 32nds of an octave, exponentials and results as shifts, one integer division per row."""
    q = beats(np.where(keep, x, config.logit.low), config.lanes, config.logit.low)
    tops = np.maximum.accumulate(q.max(axis=2), axis=1)
    shift = (tops[:, :, None] - q + 16) >> 5
    terms = np.where(beats(keep, config.lanes), 256 >> shift, 0).sum(axis=2)
    total = running(config.interleave, terms, tops, lambda sums, old, new: sums >> ((new - old + 16) >> 5))
    inverse = ITA_NUMERATOR // np.maximum(total, 1)
    return (inverse[:, None] >> ((tops[:, -1:] - np.where(keep, x, tops[:, -1:]) + 16) >> 5),)
