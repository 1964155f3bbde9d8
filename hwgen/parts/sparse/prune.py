"""Pruning by magnitude to a pattern, or to a pattern for each block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.parts.sparse.blocks import AnyArray, Tiling, from_blocks, matrix_of, to_blocks
from hwgen.parts.sparse.check import check_codes
from hwgen.parts.sparse.patterns import BLOCK, PATTERNS, Pattern, allowed

__all__ = ["prune"]


def prune(
    weights: npt.ArrayLike, pattern: Pattern | npt.ArrayLike, *, lanes: int = 1, ways: int = 1
) -> AnyArray:
    """The ``n`` rows of largest magnitude in each group of ``m`` rows; the others become zero.

    The magnitude of a row of a position is the sum of its lanes' magnitudes: exact for integers, of floats
    in double precision or the weights' own if that is wider. Of equal ones the row of the smaller number stays.

    Parameters
    ----------
    weights : array, shape (K, N)
        Integers or finite floats of any type.
    pattern : Pattern or integer array, shape (block columns, block rows)
        One pattern, or a code per block as in :attr:`SparseMatrix.codes`.
    lanes, ways : int
        As in :meth:`SparseMatrix.pack`; ``ways`` matters only to the shape of codes.

    Returns
    -------
    array, shape (K, N)
        A new one of the same type.

    Raises
    ------
    BadInput
        If the weights are no matrix of finite numbers, or the codes are not one legal code per block.
    """
    matrix = matrix_of(weights)
    tiling = Tiling((matrix.shape[0], matrix.shape[1]), lanes, ways)
    if not np.isfinite(matrix).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(matrix))[0])
        raise BadInput(
            f"weights must be finite to be pruned, not {matrix[row, column]} at {tiling.place_name(row, column)}"
        )
    codes = _codes(pattern, tiling).ravel()
    blocks = to_blocks(matrix, tiling)
    keys = _descending(blocks)
    for each in PATTERNS:
        chosen = np.flatnonzero(codes == each.code)
        if chosen.size and each.n < each.m:
            part = keys[chosen].reshape(-1, each.m, ways, BLOCK)
            largest = np.argsort(part, axis=1, kind="stable")[:, : each.n]
            dropped = np.ones(part.shape, bool)
            np.put_along_axis(dropped, largest, False, axis=1)
            kept = blocks[chosen]
            kept[dropped.reshape(kept.shape[:-1])] = 0
            blocks[chosen] = kept
    return from_blocks(blocks, tiling)[: matrix.shape[0], : matrix.shape[1]].copy()


def _codes(pattern: Pattern | npt.ArrayLike, tiling: Tiling) -> npt.NDArray[np.integer]:
    """A code for each block of a matrix."""
    if isinstance(pattern, Pattern):
        return np.full(tiling.grid, allowed(pattern)[0].code)
    codes = np.asarray(pattern)
    check_codes(codes, tiling)
    return codes


def _descending(blocks: AnyArray) -> AnyArray:
    """Keys that put rows of large magnitude first: the lanes' magnitudes, summed and negated."""
    kind: npt.DTypeLike = np.promote_types(blocks.dtype, np.float64)
    if blocks.dtype.kind != "f":
        # Sums of a few integers can leave 64 bits; Python's cannot.
        small = int(blocks.min()) > -(1 << 60) and int(blocks.max()) < 1 << 60
        kind = np.int64 if small else object
    with np.errstate(over="ignore"):  # floating sums beyond the range are equal
        sums: AnyArray = np.abs(blocks.astype(kind)).sum(axis=-1)
    return -sums
