"""Pruning by magnitude to a pattern, or to a pattern for each block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.parts.sparse.blocks import AnyArray, from_blocks, grid, groups, matrix_of, place_name, to_blocks
from hwgen.parts.sparse.check import check_codes
from hwgen.parts.sparse.patterns import BLOCK, PATTERNS, Pattern, allowed

__all__ = ["prune"]


def prune(weights: npt.ArrayLike, pattern: Pattern | npt.ArrayLike) -> AnyArray:
    """The ``n`` weights of largest magnitude in each group of ``m`` rows; the others become zero.

    Of equal magnitudes the one in the row of the smaller number stays.

    Parameters
    ----------
    weights : array, shape (K, N)
        Integers or finite floats of any type.
    pattern : Pattern or integer array, shape (block columns, block rows)
        One pattern, or a code per block as in :attr:`SparseMatrix.codes`.

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
    if not np.isfinite(matrix).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(matrix))[0])
        raise BadInput(
            f"weights must be finite to be pruned, not {matrix[row, column]} at {place_name(row, column)}"
        )
    shape = (matrix.shape[0], matrix.shape[1])
    codes = _codes(pattern, shape).ravel()
    blocks = to_blocks(matrix)
    for each in PATTERNS:
        chosen = np.flatnonzero(codes == each.code)
        if chosen.size and each.n < each.m:
            part = groups(blocks[chosen], each)
            largest = np.argsort(_descending(part), axis=-1, kind="stable")[..., : each.n]
            dropped = np.ones(part.shape, bool)
            np.put_along_axis(dropped, largest, False, axis=-1)
            part[dropped] = 0
            blocks[chosen] = part.reshape(-1, BLOCK, BLOCK)
    padded = from_blocks(blocks, shape)
    return padded[: shape[0], : shape[1]].copy()


def _codes(pattern: Pattern | npt.ArrayLike, shape: tuple[int, int]) -> npt.NDArray[np.integer]:
    """A code for each block of a matrix."""
    if isinstance(pattern, Pattern):
        return np.full(grid(shape), allowed(pattern)[0].code)
    codes = np.asarray(pattern)
    check_codes(codes, shape)
    return codes


def _descending(part: AnyArray) -> AnyArray:
    """Keys that put large magnitudes first, exactly: the lowest integer has no positive counterpart."""
    if part.dtype.kind in "ub":
        return ~part
    return np.where(part > 0, -part, part)
