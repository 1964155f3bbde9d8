"""Blocks of a matrix in the order of the streams, their groups, and the words that name a place."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.parts.sparse.patterns import BLOCK, Pattern

__all__ = ["AnyArray", "block_name", "from_blocks", "grid", "groups", "matrix_of", "place_name", "to_blocks"]

AnyArray = npt.NDArray[Any]


def matrix_of(weights: npt.ArrayLike) -> AnyArray:
    """Weights as an array of numbers with two axes.

    Raises
    ------
    BadInput
        If they are no matrix, an empty one, or not of numbers.
    """
    array = np.asarray(weights)
    if array.ndim != 2 or not array.size:
        raise BadInput(
            f"weights must be a matrix with at least one row and one column, not of shape {array.shape}"
        )
    if array.dtype.kind not in "iubf":
        raise BadInput(f"weights must be integers or floats, not {array.dtype}")
    return array


def grid(shape: tuple[int, int]) -> tuple[int, int]:
    """Numbers of block columns and of block rows: the shape of an array with one entry per block."""
    return ceil_div(shape[1], BLOCK), ceil_div(shape[0], BLOCK)


def to_blocks(matrix: AnyArray) -> AnyArray:
    """Blocks of a matrix in the order of the streams, zeros around it.

    Parameters
    ----------
    matrix : array, shape (K, N)

    Returns
    -------
    array, shape (block columns * block rows, 16 columns, 16 rows)
    """
    columns, rows = grid((matrix.shape[0], matrix.shape[1]))
    padded = np.zeros((rows * BLOCK, columns * BLOCK), matrix.dtype)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    blocks = padded.reshape(rows, BLOCK, columns, BLOCK).transpose(2, 0, 3, 1).reshape(-1, BLOCK, BLOCK)
    return np.ascontiguousarray(blocks)  # of one block, or of one block column, it is still a view


def from_blocks(blocks: AnyArray, shape: tuple[int, int]) -> AnyArray:
    """The matrix of :func:`to_blocks` with what was around it: a multiple of 16 rows and columns."""
    columns, rows = grid(shape)
    return (
        blocks.reshape(columns, rows, BLOCK, BLOCK)
        .transpose(1, 3, 0, 2)
        .reshape(rows * BLOCK, columns * BLOCK)
    )


def groups(blocks: AnyArray, pattern: Pattern) -> AnyArray:
    """Blocks, shape (blocks, 16, 16), with their rows in the pattern's groups: (blocks, 16, groups, m)."""
    return blocks.reshape(-1, BLOCK, BLOCK // pattern.m, pattern.m)


def block_name(block_row: int, block_column: int) -> str:
    """A block in a sentence."""
    return f"block row {block_row}, block column {block_column}"


def place_name(row: int, column: int) -> str:
    """A weight's place in a sentence."""
    return f"row {row}, column {column} ({block_name(row // BLOCK, column // BLOCK)})"
