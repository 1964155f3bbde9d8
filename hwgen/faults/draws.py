"""Random numbers that are a function of (seed, stratum, index), and of nothing else.

A campaign that draws here gives the same faults for any number of lanes, threads, processes and chunks, on any machine:
all arithmetic is on integers. The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as
easy as 1, 2, 3", SC'11). The key is the seed; the counter is the index (64 bits), the stratum (32 bits) and the purpose
(32 bits), so that the three functions below never share a block.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import ceil_div

__all__ = ["integers", "permuted", "philox", "uniforms"]

UInts = npt.NDArray[np.uint64]

_LOW = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(32)
_M0, _M1 = np.uint64(0xD251_1F53), np.uint64(0xCD9E_8D57)  # multipliers of Philox4x32
_W0, _W1 = 0x9E37_79B9, 0xBB67_AE85  # its Weyl steps of the key
_ROUNDS = 10  # of Philox
_BLOCK = 1 << 14  # counters at once: their words stay in the L2 cache
_UNIFORM, _INTEGER, _PERMUTE = 0, 1, 16  # purposes; a permutation takes one per round from _PERMUTE on
_FEISTEL = (
    8,
    16,
)  # rounds of a large and a small permutation: of 5 things, 12 make all 120 orders equally likely
_SMALL = 1 << 16  # size below which a permutation is small
_SEEDS, _STRATA, _INDICES = 1 << 64, 1 << 32, 1 << 63


def philox(counter: npt.ArrayLike, key: tuple[int, int]) -> UInts:
    """Philox4x32-10 of many counters.

    Parameters
    ----------
    counter : array_like of int, shape (4, n)
        Words of the counters, each in ``0..2**32 - 1``.
    key : tuple of two int
        Words of the key, each in ``0..2**32 - 1``.

    Returns
    -------
    ndarray of uint64, shape (4, n)
        Words of the random blocks, each in ``0..2**32 - 1``.
    """
    words = np.array(counter, np.uint64)
    for begin in range(0, words.shape[1], _BLOCK):
        part = words[:, begin : begin + _BLOCK]
        c0, c1, c2, c3 = (row.copy() for row in part)
        k0, k1 = key
        for _ in range(_ROUNDS):
            c0 *= _M0
            c2 *= _M1
            c1 ^= c2 >> _HALF
            c1 ^= np.uint64(k0)
            c3 ^= c0 >> _HALF
            c3 ^= np.uint64(k1)
            c2 &= _LOW
            c0 &= _LOW
            c0, c1, c2, c3 = c1, c2, c3, c0
            k0, k1 = (k0 + _W0) & 0xFFFF_FFFF, (k1 + _W1) & 0xFFFF_FFFF
        part[0], part[1], part[2], part[3] = c0, c1, c2, c3
    return words


def uniforms(seed: int, stratum: int, first: int, count: int) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1) with 53 random bits.

    Parameters
    ----------
    seed : int
        ``0..2**64 - 1``.
    stratum : int
        Which sequence of this seed, ``0..2**32 - 1``.
    first, count : int
        Part of the sequence, of indices below ``2**63``: entry ``i`` depends on ``seed, stratum, first + i`` alone.

    Raises
    ------
    BadInput
        If an argument is outside of its range.
    """
    high, _ = _words(seed, stratum, _UNIFORM, _range(first, count))
    return (high >> np.uint64(11)).astype(np.float64) * 2.0**-53


def integers(seed: int, stratum: int, first: int, count: int, bound: int) -> npt.NDArray[np.int64]:
    """Uniform integers in ``range(bound)``, drawn with replacement.

    An integer is the high part of bound × 128 random bits (Lemire, "Fast random integer generation in an interval",
    2019, without its rejection). No probability is off ``1/bound`` by more than ``2**-128``; relative to ``1/bound``
    that is at most ``2**-65``, which no campaign can notice.

    Parameters
    ----------
    seed, stratum, first, count : int
        As for :func:`uniforms`; the sequence is another one.
    bound : int
        ``1..2**63``.

    Raises
    ------
    BadInput
        If an argument is outside of its range.
    """
    _within("bound", bound, 1, _INDICES)
    high, low = _words(seed, stratum, _INTEGER, _range(first, count))
    top, middle = _product(high, bound)
    carry = middle + _product(low, bound)[0] < middle  # of 64-bit sums that wrapped
    return (top + carry).astype(np.int64)


def permuted(seed: int, stratum: int, indices: npt.ArrayLike, size: int) -> npt.NDArray[np.int64]:
    """Where a random permutation of ``range(size)`` sends ``indices``.

    The images of ``0..n-1`` are a sample of n without replacement, in any chunks. The permutation is a Feistel network
    on pairs ``(left, right)`` of ``range(a) × range(b)`` with ``a·b`` just above ``size`` (Black & Rogaway, "Ciphers
    with arbitrary finite domains", CT-RSA 2002): each round adds a random function of one half to the other, modulo
    its range; who lands at or above ``size`` goes through again (cycle walking; less than one in ``isqrt(size)``
    does). The functions are tabulated where that is less work; the result is the same.

    Parameters
    ----------
    seed, stratum : int
        As for :func:`uniforms`. Other seeds or strata give other permutations.
    indices : array_like of int
        Entries in ``range(size)``, any shape.
    size : int
        ``1..2**63``.

    Raises
    ------
    BadInput
        If an argument is outside of its range.
    """
    _within("size", size, 1, _INDICES)
    given = np.asarray(indices)
    if given.dtype.kind not in "iu" and given.size:
        raise BadInput(f"indices must be integers, not {given.dtype}: convert them")
    if given.size and not (given.min() >= 0 and given.max() < size):
        raise BadInput(
            f"indices must lie in 0..{size - 1}, not {given.min()}..{given.max()}: leave the others out"
        )
    network = _Network(seed, stratum, size, given.size)
    result = given.reshape(-1).astype(np.uint64)
    outside = np.arange(result.size)
    while outside.size:
        walked = network(result[outside])
        result[outside] = walked
        outside = outside[walked >= np.uint64(size)]
    return result.astype(np.int64).reshape(given.shape)


class _Network:
    """The Feistel network of a permutation on a domain of at least ``size``; tables if ``expected`` calls pay them."""

    def __init__(self, seed: int, stratum: int, size: int, expected: int):
        self.seed, self.stratum = seed, stratum
        left = isqrt(size - 1) + 1
        self.ranges = left, ceil_div(size, left)
        self.rounds = _FEISTEL[size < _SMALL]
        self.tables: list[UInts] | None = None
        if expected >= left:
            inputs = [np.arange(self.ranges[1 - r % 2], dtype=np.uint64) for r in range(self.rounds)]
            rounds = np.repeat(np.arange(self.rounds, dtype=np.uint64), [v.size for v in inputs])
            words = _words(seed, stratum, rounds + np.uint64(_PERMUTE), np.concatenate(inputs))[0]
            pieces = np.split(words, np.cumsum([v.size for v in inputs])[:-1])
            self.tables = [_scaled(piece, self.ranges[r % 2]) for r, piece in enumerate(pieces)]

    def __call__(self, values: UInts) -> UInts:
        width = np.uint64(self.ranges[1])
        halves: list[UInts] = list(np.divmod(values, width))
        for r in range(self.rounds):
            to, bound = r % 2, np.uint64(self.ranges[r % 2])
            half = halves[to] + self._step(r, halves[1 - to])
            # Modulo the bound: where nothing is to subtract, the difference wraps to a huge number.
            halves[to] = np.minimum(half, half - bound)
        return halves[0] * width + halves[1]

    def _step(self, r: int, half: UInts) -> UInts:
        """The random function of round ``r``."""
        if self.tables is not None:
            return self.tables[r].take(half.view(np.int64))
        return _scaled(_words(self.seed, self.stratum, _PERMUTE + r, half)[0], self.ranges[r % 2])


def _words(seed: int, stratum: int, purpose: int | UInts, index: UInts) -> tuple[UInts, UInts]:
    """Two words of 64 random bits for each index."""
    _within("seed", seed, 0, _SEEDS - 1)
    _within("stratum", stratum, 0, _STRATA - 1)
    counter = np.empty((4, index.size), np.uint64)
    counter[0], counter[1], counter[2], counter[3] = index & _LOW, index >> _HALF, stratum, purpose
    a, b, c, d = philox(counter, (seed & 0xFFFF_FFFF, seed >> 32))
    return a << _HALF | b, c << _HALF | d


def _range(first: int, count: int) -> UInts:
    _within("first", first, 0, _INDICES - 1)
    _within("count", count, 0, _INDICES - first)
    return np.arange(first, first + count, dtype=np.uint64)


def _product(a: UInts, b: int) -> tuple[UInts, UInts]:
    """High and low 64 bits of ``a·b``."""
    a1, a0 = a >> _HALF, a & _LOW
    b1, b0 = np.uint64(b >> 32), np.uint64(b & 0xFFFF_FFFF)
    middle = a1 * b0 + (a0 * b0 >> _HALF)
    other = a0 * b1 + (middle & _LOW)
    return a1 * b1 + (middle >> _HALF) + (other >> _HALF), a * np.uint64(b)


def _scaled(words: UInts, bound: int) -> UInts:
    """High 64 bits of ``words·bound``, for a bound of at most ``2**32``: uniform in ``range(bound)``."""
    b = np.uint64(bound)
    return (words >> _HALF) * b + ((words & _LOW) * b >> _HALF) >> _HALF


def _within(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise BadInput(f"{name} must be an integer in {low}..{high}, not {value!r}: choose one of these")
