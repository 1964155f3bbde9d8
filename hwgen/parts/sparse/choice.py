"""Which weights of a block are not zero, which pattern fits it, and what is in its slots."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.parts.sparse.bitstrings import ByteArray
from hwgen.parts.sparse.blocks import AnyArray, Tiling, block_name
from hwgen.parts.sparse.patterns import BLOCK, Pattern, names

__all__ = ["choose", "fill", "occupied", "spread"]

MaskArray = npt.NDArray[np.uint16]


def occupied(blocks: AnyArray) -> MaskArray:
    """A bit per row with a weight that is not zero in any lane, row 0 lowest.

    Parameters
    ----------
    blocks : array, shape (blocks, 16 rows, ways, 16 positions, lanes)
        From :func:`~hwgen.parts.sparse.blocks.to_blocks`.

    Returns
    -------
    uint16 array, shape (blocks, ways, 16 positions)
    """
    eights = np.packbits((blocks != 0).any(axis=-1), axis=1, bitorder="little").astype(np.uint16)
    masks: MaskArray = eights[:, 0] | eights[:, 1] << np.uint16(8)
    return masks


@cache
def _rows_of_masks(m: int) -> ByteArray:
    """The bits of every mask of ``m`` rows, shape (2**m, m)."""
    return ((np.arange(1 << m)[:, None] >> np.arange(m)) & 1).astype(np.uint8)


@cache
def _fullest(m: int) -> ByteArray:
    """Bits in the fullest group of ``m`` rows of every column of 16, shape (2**16,)."""
    bits = _rows_of_masks(BLOCK).reshape(-1, BLOCK // m, m)
    counts: ByteArray = bits.sum(axis=2, dtype=np.uint8).max(axis=1)
    return counts


@cache
def _kept(pattern: Pattern) -> ByteArray:
    """Indices in a group's slots by its mask, ascending, shape (n, 2**m).

    Those that are not zero come first, then the lowest others: a group with free slots has indices that
    still ascend, so one rule checks all groups.
    """
    order = np.argsort(1 - _rows_of_masks(pattern.m), axis=1, kind="stable")[:, : pattern.n]
    return np.ascontiguousarray(np.sort(order, axis=1).T, np.uint8)


def _first_rows(pattern: Pattern) -> npt.NDArray[np.intp]:
    """First row of the group of each slot, shape (slots, 1, 1)."""
    return (np.arange(pattern.slots) // pattern.n * pattern.m)[:, None, None]


def choose(
    masks: MaskArray,
    patterns: tuple[Pattern, ...],
    cost: Callable[[Pattern], tuple[int, ...]],
    tiling: Tiling,
) -> ByteArray:
    """Code of the cheapest pattern that fits each block in all its ways.

    Parameters
    ----------
    masks : uint16 array, shape (blocks, ways, 16)
        From :func:`occupied`.
    patterns : tuple of Pattern
        The patterns to choose from.
    cost : callable
        What to minimise; no two patterns may cost the same.
    tiling : Tiling
        Of the matrix.

    Returns
    -------
    uint8 array, shape (block columns, block rows)

    Raises
    ------
    BadInput
        If no pattern fits a block.
    """
    fullest = {m: _fullest(m)[masks].max(axis=(1, 2)) for m in {p.m for p in patterns}}
    ordered = sorted(patterns, key=cost)
    fits = np.stack([fullest[p.m] <= p.n for p in ordered])
    misfits = np.flatnonzero(~fits.any(axis=0))
    if misfits.size:
        raise BadInput(_misfit(masks, int(misfits[0]), patterns, tiling))
    codes: ByteArray = np.array([p.code for p in ordered], np.uint8)[fits.argmax(axis=0)]
    return codes.reshape(tiling.grid)


def _misfit(masks: MaskArray, block: int, patterns: tuple[Pattern, ...], tiling: Tiling) -> str:
    """Why no pattern fits a block: the first group that is too full for the pattern with the most slots."""
    widest = max(patterns, key=lambda p: (p.slots, p.m))
    block_column, block_row = divmod(block, tiling.grid[1])
    full = _rows_of_masks(BLOCK)[masks[block]].reshape(tiling.ways, BLOCK, -1, widest.m)
    way, position, group = (int(i) for i in np.argwhere(full.sum(axis=-1) > widest.n)[0])
    rows = np.flatnonzero(full[way, position, group])
    first = block_row * BLOCK + group * widest.m
    return (
        f"{block_name(block_row, block_column)} fits none of {names(patterns)}: in "
        f"{tiling.columns_name(block_column, way, position)}, {rows.size} of the rows "
        f"{first}..{min(first + widest.m, tiling.shape[0]) - 1} are not zero, the last one row "
        f"{first + int(rows[-1])}, and {widest} allows {widest.n}; prune the matrix or allow a denser pattern"
    )


def fill(blocks: AnyArray, masks: MaskArray, pattern: Pattern) -> tuple[AnyArray, ByteArray]:
    """Values and indices in the slots of blocks that have one pattern.

    Parameters
    ----------
    blocks : int8 array, shape (blocks, 16 rows, ways, 16 positions, lanes)
        From :func:`~hwgen.parts.sparse.blocks.to_blocks`.
    masks : uint16 array, shape (blocks, ways, 16)
        Theirs.
    pattern : Pattern
        One that fits them all and has slots.

    Returns
    -------
    values : int8 array, shape (blocks, slots, ways, 16, lanes)
    indices : uint8 array, shape (blocks, slots, ways, 16)
    """
    if pattern.n == pattern.m:  # step k is row k
        return blocks, np.broadcast_to(np.arange(BLOCK, dtype=np.uint8)[:, None, None], blocks.shape[:-1])
    shifts = np.arange(0, BLOCK, pattern.m, dtype=np.uint16)[:, None, None]
    of_groups = (masks[:, None] >> shifts) & ((1 << pattern.m) - 1)
    by_slot = _kept(pattern)[:, of_groups]  # (n, blocks, groups, ways, 16)
    indices = np.moveaxis(by_slot, 0, 2).reshape(len(blocks), pattern.slots, *masks.shape[1:])
    rows = _first_rows(pattern) + indices
    return np.take_along_axis(blocks, rows[..., None], axis=1), indices


def spread(values: AnyArray, indices: ByteArray, pattern: Pattern) -> AnyArray:
    """The blocks of :func:`fill`."""
    if pattern.n == pattern.m:
        return values
    blocks = np.zeros((len(values), BLOCK, *values.shape[2:]), values.dtype)
    np.put_along_axis(blocks, (_first_rows(pattern) + indices)[..., None], values, axis=1)
    return blocks
