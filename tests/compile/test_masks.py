"""Masks of attention: what their blocks keep, against the definition, pair by pair."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hwgen.compile.masks import WindowMask, stretches, whole
from hwgen.errors import BadInput

SIZES = [(1, 1), (1, 50), (7, 40), (13, 13), (40, 40), (33, 64)]
MASKS = [
    WindowMask(1), WindowMask(3, 1), WindowMask(8, 5), WindowMask(9, 9, rows=5), WindowMask(16, 2, rows=16),
    WindowMask(4, 3, rows=1), WindowMask(1000, 0), WindowMask(2, 1000),
]  # fmt: skip


def wants(mask: WindowMask, i: int, j: int, queries: int, keys: int, causal: bool) -> bool:
    """The definition of a pair."""
    if causal:
        at = keys - queries + i
        return j <= at and (j < mask.sinks or j > at - mask.window)
    return j < mask.sinks or abs(i - j) < mask.window


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lanes", [4, 8])
def test_pairs_are_the_tiles_that_a_block_wants(mask: WindowMask, causal: bool, lanes: int) -> None:
    for queries, keys in SIZES:
        wanted = np.array(
            [[wants(mask, i, j, queries, keys, causal) for j in range(keys)] for i in range(queries)]
        )
        np.testing.assert_array_equal(mask.wanted(queries, keys, causal=causal), wanted)
        rows = mask.rows or lanes
        pairs = np.zeros_like(wanted)
        for i in range(queries):
            block = wanted[i // rows * rows : i // rows * rows + rows]
            for j in range(keys):
                pairs[i, j] = block[:, j // lanes * lanes : j // lanes * lanes + lanes].any()
                pairs[i, j] &= not causal or j <= keys - queries + i
        np.testing.assert_array_equal(mask.pairs(queries, keys, lanes, causal=causal), pairs)
        assert pairs[wanted].all()


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("causal", [False, True])
def test_blocks_follow_each_other_and_differ(mask: WindowMask, causal: bool) -> None:
    for queries, keys in SIZES:
        blocks = mask.blocks(queries, keys, 4, causal=causal)
        assert [b.first for b in blocks] == np.cumsum([0] + [b.rows for b in blocks])[:-1].tolist()
        assert sum(b.rows for b in blocks) == queries
        assert all(a.tiles != b.tiles for a, b in pairwise(blocks))
        for block in blocks:
            assert block.kept == sum(end - begin for begin, end in block.tiles)
            gaps = [b[0] - a[1] for a, b in pairwise(block.tiles)]
            assert all(gap > 0 for gap in gaps)
            if causal:  # what the softmax instruction needs: only the end of a row is left out
                past = keys - queries
                assert block.tiles[-1][0] <= (past + block.first) // 4
                assert block.tiles[-1][1] == (past + block.first + block.rows - 1) // 4 + 1


def test_a_window_over_all_keys_is_one_block() -> None:
    assert WindowMask(40).blocks(40, 40, 8) == whole(40, 40, 8)
    assert WindowMask(1, 40).blocks(40, 40, 8) == whole(40, 40, 8)
    assert WindowMask(26).blocks(40, 40, 8) == whole(40, 40, 8)
    assert WindowMask(25).blocks(40, 40, 8) != whole(40, 40, 8)


def test_stretches() -> None:
    assert stretches([]) == ()
    assert stretches([False, False]) == ()
    assert stretches([True, False, True, True]) == ((0, 1), (2, 4))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no window": ({"window": 0}, "window must be an integer in 1"),
    "fraction": ({"window": 1.5}, "window must be an integer"),
    "negative sinks": ({"window": 1, "sinks": -1}, "sinks must be an integer in 0"),
    "no rows": ({"window": 1, "rows": 0}, "rows must be an integer in 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_numbers_out_of_range_are_refused(case: str) -> None:
    fields, text = REFUSED[case]
    with pytest.raises(BadInput, match=text):
        WindowMask(**fields)


def test_queries_that_see_nothing_are_refused() -> None:
    with pytest.raises(BadInput, match="as many keys as queries, 5, not 4"):
        WindowMask(2).pairs(5, 4, 4, causal=True)
    with pytest.raises(BadInput, match="queries from 12 on see none of the 8 keys through a window of 5"):
        WindowMask(5).blocks(13, 8, 4)
    assert WindowMask(5, 1).blocks(13, 8, 4)[-1].tiles == ((0, 1),)
    assert WindowMask(6).blocks(13, 8, 4)[-1].tiles == ((1, 2),)
