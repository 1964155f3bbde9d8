"""Which weights of a block are not zero, which pattern fits it, and what is in its slots."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.parts.sparse.bitstrings import ByteArray
from hwgen.parts.sparse.blocks import AnyArray, block_name, grid, groups
from hwgen.parts.sparse.patterns import BLOCK, Pattern, names

__all__ = ["choose", "fill", "nonzero_masks"]

MaskArray = npt.NDArray[np.uint16]


def nonzero_masks(blocks: AnyArray) -> MaskArray:
    """A bit per weight that is not zero, row 0 lowest: blocks (blocks, 16, 16) become (blocks, 16)."""
    return np.packbits(blocks != 0, axis=-1, bitorder="little").view("<u2")[..., 0].astype(np.uint16)


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
    """Indices in a group's slots by its mask, ascending, shape (2**m, n).

    Those that are not zero come first, then the lowest others: a group with free slots has indices that
    still ascend, so one rule checks all groups.
    """
    order = np.argsort(1 - _rows_of_masks(pattern.m), axis=1, kind="stable")[:, : pattern.n]
    return np.sort(order, axis=1).astype(np.uint8)


def choose(
    masks: MaskArray,
    patterns: tuple[Pattern, ...],
    cost: Callable[[Pattern], tuple[int, ...]],
    shape: tuple[int, int],
) -> ByteArray:
    """Code of the cheapest pattern that fits each block.

    Parameters
    ----------
    masks : uint16 array, shape (blocks, 16)
        From :func:`nonzero_masks`.
    patterns : tuple of Pattern
        The patterns to choose from.
    cost : callable
        What to minimise; no two patterns may cost the same.
    shape : tuple of int
        Of the matrix, for the words of an error.

    Returns
    -------
    uint8 array, shape (block columns, block rows)

    Raises
    ------
    BadInput
        If no pattern fits a block.
    """
    fullest = {m: _fullest(m)[masks].max(axis=1) for m in {p.m for p in patterns}}
    ordered = sorted(patterns, key=cost)
    fits = np.stack([fullest[p.m] <= p.n for p in ordered])
    misfits = np.flatnonzero(~fits.any(axis=0))
    if misfits.size:
        raise BadInput(_misfit(masks, int(misfits[0]), patterns, shape))
    codes: ByteArray = np.array([p.code for p in ordered], np.uint8)[fits.argmax(axis=0)]
    return codes.reshape(grid(shape))


def _misfit(masks: MaskArray, block: int, patterns: tuple[Pattern, ...], shape: tuple[int, int]) -> str:
    """Why no pattern fits a block: the first group that is too full for the pattern with the most slots."""
    widest = max(patterns, key=lambda p: (p.slots, p.m))
    block_column, block_row = divmod(block, grid(shape)[1])
    full = groups(_rows_of_masks(BLOCK)[masks[block]], widest)[0]  # (columns, groups, rows)
    column, group = (int(i) for i in np.argwhere(full.sum(axis=2) > widest.n)[0])
    rows = np.flatnonzero(full[column, group])
    first = block_row * BLOCK + group * widest.m
    return (
        f"{block_name(block_row, block_column)} fits none of {names(patterns)}: column "
        f"{block_column * BLOCK + column} has {rows.size} non-zero weights in rows "
        f"{first}..{min(first + widest.m, shape[0]) - 1}, the last in row {first + int(rows[-1])}, and {widest} "
        f"allows {widest.n}; prune the matrix or allow a denser pattern"
    )


def fill(blocks: AnyArray, masks: MaskArray, pattern: Pattern) -> tuple[AnyArray, ByteArray]:
    """Values and indices in the slots of blocks that have one pattern.

    Parameters
    ----------
    blocks : int8 array, shape (blocks, 16, 16)
        From :func:`~hwgen.parts.sparse.blocks.to_blocks`.
    masks : uint16 array, shape (blocks, 16)
        Theirs.
    pattern : Pattern
        One that fits them all and has slots.

    Returns
    -------
    values, indices : int8 and uint8 array, shape (blocks, 16, groups, n)
    """
    grouped = groups(blocks, pattern)
    if pattern.n == pattern.m:
        return grouped, np.broadcast_to(np.arange(pattern.m, dtype=np.uint8), grouped.shape)
    shifts = np.arange(0, BLOCK, pattern.m, dtype=np.uint16)
    of_groups = (masks[..., None] >> shifts) & ((1 << pattern.m) - 1)
    indices = _kept(pattern)[of_groups]
    return np.take_along_axis(grouped, indices.astype(np.intp), axis=-1), indices
