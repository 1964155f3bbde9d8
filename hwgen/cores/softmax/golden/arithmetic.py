"""Exact integer arithmetic that the golden models share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.tables import mantissas, pairs, reciprocals
from hwgen.numerics import IntArray

__all__ = ["beats", "exponential", "quotients", "reciprocal", "round_shift", "running", "top_bit"]

Mask = npt.NDArray[np.bool_]

_Number = TypeVar("_Number", np.signedinteger[Any], np.bool_)

_FAR = 62


def round_shift(value: IntArray, places: npt.ArrayLike) -> IntArray:
    """``value / 2**places`` rounded to nearest, halves up; ``value`` lies in 0..2**61 - 1, ``places`` may be large."""
    shift = np.clip(np.asarray(places, np.int64), 0, _FAR)
    one = np.int64(1)
    half = np.where(shift > 0, one << np.maximum(shift - 1, 0), 0)
    return (value + half) >> shift


def top_bit(value: IntArray) -> IntArray:
    """Place of the highest one; 0 for zero."""
    place = np.frexp(value.astype(np.float64))[1].astype(np.int64) - 1
    place = np.maximum(place, 0)
    # A float64 may have rounded up to the next power of two.
    return np.where((value >> place) == 0, np.maximum(place - 1, 0), place)


def beats(array: npt.NDArray[_Number], lanes: int, fill: int = 0) -> npt.NDArray[_Number]:
    """Rows, shape (rows, n), as beats, shape (rows, beats, lanes); ``fill`` stands in the lanes beyond a row."""
    rows, n = array.shape
    full = np.full((rows, -(-n // lanes) * lanes), fill, array.dtype)
    full[:, :n] = array
    return full.reshape(rows, -1, lanes)


def running(
    interleave: int,
    terms: IntArray,
    tops: IntArray,
    rescale: Callable[[IntArray, IntArray, IntArray], IntArray],
) -> IntArray:
    """Sum of each row while its reference rises.

    Parameters
    ----------
    interleave : int
        Beat ``j`` adds to partial sum ``j mod interleave``.
    terms, tops : int array, shape (rows, beats)
        What a beat adds, and the reference that it is relative to; references of a row do not fall.
    rescale : callable
        From sums, their references and new references to sums.

    Returns
    -------
    int array, shape (rows,)
        All partial sums at the last reference.
    """
    count, beats_ = terms.shape
    sums = np.zeros((interleave, count), np.int64)
    at = np.tile(tops[:, 0], (interleave, 1))
    for j in range(beats_):
        slot = j % interleave
        sums[slot] = rescale(sums[slot], at[slot], tops[:, j]) + terms[:, j]
        at[slot] = tops[:, j]
    return np.asarray(rescale(sums, at, np.broadcast_to(tops[:, -1], at.shape)).sum(axis=0))


def exponential(config: SoftmaxConfig, logits: IntArray) -> tuple[IntArray, IntArray]:
    """``exp(logits * step)`` as mantissa in [1, 2) and exponent.

    A table is read; or the logit times a constant is cut into exponent and fraction (downwards: softmax does not
    see what all elements share) and the kernel gives ``2**fraction``, at least one.
    """
    if config.exponential == "table":
        low = int(logits.min(initial=0))
        mantissa, exponent = pairs(config, config.mantissa_bits, np.arange(low, 1 << config.in_bits))
        return mantissa[logits - low], exponent[logits - low]
    bits = config.mantissa_bits
    octaves = logits * config.multiplier >> (config.multiplier_shift - bits)
    mantissa = mantissas(config).evaluate(octaves & ((1 << bits) - 1))
    return np.maximum(mantissa, 1 << bits), octaves >> bits


def reciprocal(config: SoftmaxConfig, total: IntArray, fraction: int) -> tuple[IntArray, IntArray]:
    """``1 / total`` as ``r * 2**-(reciprocal_bits + k)`` with r in [1/2, 1]; returns ``r`` and ``k``.

    ``total`` has ``fraction`` fraction bits. A total of zero gives zeros.
    """
    bits = config.reciprocal_bits
    place = top_bit(total)
    scaled = np.where(
        place > bits, total >> np.maximum(place - bits, 0), total << np.maximum(bits - place, 0)
    )
    empty = total == 0
    one = np.int64(1)
    if config.reciprocal == "divider":
        r = (one << (2 * bits)) // np.where(empty, 1, scaled)
    else:
        table = reciprocals()
        f = table.out_fraction
        start = table.evaluate((scaled >> (bits - table.in_bits)) & ((1 << table.in_bits) - 1))
        # One minus the product of both, with two bits more than the result; then r = start + start * error.
        error = ((one << (bits + f)) - scaled * start) >> (f - 2)
        r = (start << (bits - f)) + (start * error + (one << (f + 1)) >> (f + 2))
    return np.where(empty, 0, r), np.where(empty, 0, place - fraction)


def quotients(config: SoftmaxConfig, mantissa: IntArray, r: IntArray, places: IntArray) -> IntArray:
    """``mantissa * r * 2**-places`` in units of the result's last bit, rounded; at most the largest result."""
    drop = config.mantissa_bits + config.reciprocal_bits - config.out_bits
    return np.minimum(round_shift(mantissa * r, drop + places), (1 << config.out_bits) - 1)
