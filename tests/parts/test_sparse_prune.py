"""Pruning against sorting by Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.parts.sparse import LANE_BITS, PATTERNS, WAYS, SparseMatrix, pattern_named, prune


def _pruned(weights: np.ndarray, codes: np.ndarray, lanes: int, ways: int) -> np.ndarray:
    kept = np.zeros_like(weights)
    K, N = weights.shape
    for row, column in np.ndindex(K, N):
        pattern = PATTERNS[codes[column // (16 * lanes * ways), row // 16]]
        way, lane_0 = column // (16 * lanes), column % 16
        columns = [way * 16 * lanes + lane * 16 + lane_0 for lane in range(lanes)]
        first = row // pattern.m * pattern.m
        sums = {
            r: sum(abs(weights[r, c].item()) for c in columns if c < N)
            for r in range(first, min(first + pattern.m, K))
        }
        if row in sorted(sums, key=lambda r, sums=sums: (-sums[r], r))[: pattern.n]:
            kept[row, column] = weights[row, column]
    return kept


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 70)),
    st.sampled_from(sorted(LANE_BITS)),
    st.sampled_from(WAYS),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["i1", "i8", "u1", "u8", "f4", "f8", "?"]),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_pruning_keeps_the_largest(
    shape: tuple[int, int], lanes: int, ways: int, seed: int, kind: str, narrow: bool
) -> None:
    rng = np.random.default_rng(seed)
    if kind[0] in "iu":
        info = np.iinfo(kind)
        low, high = (max(-2, info.min), 2) if narrow else (info.min, info.max)  # narrow: many ties
        weights = rng.integers(low, high, shape, dtype=kind, endpoint=True)
    else:
        steps = 1 if narrow else 256  # a power of two: sums of lanes are exact
        weights = ((rng.normal(size=shape) * steps).round() / steps).astype(kind)
    before = weights.copy()
    codes = rng.integers(0, 8, (math.ceil(shape[1] / (16 * lanes * ways)), math.ceil(shape[0] / 16)))
    pruned = prune(weights, codes, lanes=lanes, ways=ways)
    assert pruned.dtype == weights.dtype
    assert np.array_equal(pruned, _pruned(weights, codes, lanes, ways))
    assert np.array_equal(prune(pruned, codes, lanes=lanes, ways=ways), pruned)
    assert np.array_equal(weights, before)
    pattern = PATTERNS[codes[0, 0]]
    same = prune(weights, np.full_like(codes, pattern.code), lanes=lanes, ways=ways)
    assert np.array_equal(prune(weights, pattern, lanes=lanes), same)
    bits = LANE_BITS[lanes][-1]
    ones = (same != 0).astype(int) * -1
    packed = SparseMatrix.pack(ones, bits=bits, patterns=pattern, lanes=lanes, ways=ways)
    assert np.array_equal(packed.unpack(), ones)


def test_the_lowest_integers_are_the_largest_magnitudes() -> None:
    weights = np.array([[127], [-128], [127], [-128]], np.int8)
    assert prune(weights, pattern_named("2:4")).ravel().tolist() == [0, -128, 0, -128]
    lowest = np.iinfo(np.int64).min
    assert prune([[lowest + 1], [lowest]], pattern_named("1:4")).ravel().tolist() == [0, lowest]
    packed = SparseMatrix.pack(weights, patterns=pattern_named("16:16"))
    assert [packed.streams().values[16 * k] for k in range(4)] == [127, 128, 127, 128]
    assert packed.unpack().tolist() == weights.tolist()


def test_the_lanes_decide_together() -> None:
    weights = np.zeros((4, 48), int)
    weights[0, 0] = 7
    weights[2, [0, 16, 32]] = -3, 3, 2  # 8 in sum
    weights[3, [16, 32]] = 6, -2  # 8 too, but lower down
    kept = prune(weights, pattern_named("1:4"), lanes=3)
    assert np.flatnonzero(kept.any(axis=1)).tolist() == [2]
    assert kept[2].tolist() == weights[2].tolist()
    # Of sums beyond the range of floats the first row stays, and nothing warns.
    huge = np.full((4, 64), np.finfo(float).max)
    assert np.flatnonzero(prune(huge, pattern_named("1:4"), lanes=4).all(axis=1)).tolist() == [0]


def test_bad_pruning_is_refused() -> None:
    weights = np.zeros((40, 40))
    weights[5, 17] = np.nan
    with pytest.raises(BadInput, match="must be finite to be pruned, not nan at row 5, column 17"):
        prune(weights, pattern_named("16:16"))
    with pytest.raises(BadInput, match=r"shape \(3, 2\)"):
        prune(np.zeros((20, 40)), np.zeros((2, 3), int))
    with pytest.raises(BadInput, match=r"shape \(1, 2\)"):
        prune(np.zeros((20, 40)), np.zeros((3, 2), int), lanes=3)
    with pytest.raises(BadInput, match=r"integers of shape \(1, 1\)"):
        prune(np.zeros((1, 1)), np.zeros((1, 1)))
    with pytest.raises(BadInput, match="block row 1, block column 0 has the unknown code 8"):
        prune(np.zeros((20, 1)), np.array([[0, 8]]))
    with pytest.raises(BadInput, match="lanes must be one of 1, 3, 4, not 2"):
        prune(np.zeros((20, 1)), pattern_named("1:4"), lanes=2)
