"""How a matrix is cut into blocks, and the words that name a place in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.parts.sparse.patterns import BLOCK, LANE_BITS, WAYS

__all__ = ["AnyArray", "Tiling", "block_name", "from_blocks", "matrix_of", "to_blocks"]

AnyArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Tiling:
    """How a matrix is cut into blocks.

    Parameters
    ----------
    shape : tuple of int
        K and N of the matrix, without padding.
    lanes : int
        Columns that share an index, one of :data:`LANE_BITS`.
    ways : int
        Neighbouring groups of 16 positions that share a code, one of :data:`WAYS`.

    Raises
    ------
    BadInput
        If the shape has no weights, or lanes or ways are none of those.
    """

    shape: tuple[int, int]
    lanes: int = 1
    ways: int = 1

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or min(self.shape) < 1 or max(self.shape) >= 1 << 32:
            raise BadInput(f"a matrix must have 1..{(1 << 32) - 1} rows and columns, not shape {self.shape}")
        if self.lanes not in LANE_BITS:
            raise BadInput(f"lanes must be one of {', '.join(map(str, LANE_BITS))}, not {self.lanes}")
        if self.ways not in WAYS:
            raise BadInput(f"ways must be one of {', '.join(map(str, WAYS))}, not {self.ways}")

    @property
    def width(self) -> int:
        """Columns of a block with all its ways."""
        return BLOCK * self.lanes * self.ways

    @property
    def grid(self) -> tuple[int, int]:
        """Numbers of block columns and of block rows: the shape of an array with one entry per block."""
        return ceil_div(self.shape[1], self.width), ceil_div(self.shape[0], BLOCK)

    def column(self, block_column: int, way: int, position: int, lane: int) -> int:
        """Column of the matrix that a lane of a position is."""
        return ((block_column * self.ways + way) * self.lanes + lane) * BLOCK + position

    def columns_name(self, block_column: int, way: int, position: int) -> str:
        """Columns of a position in a sentence."""
        columns = [self.column(block_column, way, position, lane) for lane in range(self.lanes)]
        return f"column{'s' * (self.lanes > 1)} {', '.join(map(str, columns))}"

    def place_name(self, row: int, column: int) -> str:
        """A weight's place in a sentence."""
        return f"row {row}, column {column} ({block_name(row // BLOCK, column // self.width)})"


def block_name(block_row: int, block_column: int) -> str:
    """A block in a sentence."""
    return f"block row {block_row}, block column {block_column}"


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


def to_blocks(matrix: AnyArray, tiling: Tiling) -> AnyArray:
    """Blocks of a matrix in the order of the streams, zeros around it.

    Parameters
    ----------
    matrix : array, shape (K, N)
    tiling : Tiling
        Of the same shape.

    Returns
    -------
    array, shape (block columns * block rows, 16 rows, ways, 16 positions, lanes)
    """
    columns, rows = tiling.grid
    padded = np.zeros((rows * BLOCK, columns * tiling.width), matrix.dtype)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    cut = padded.reshape(rows, BLOCK, columns, tiling.ways, tiling.lanes, BLOCK).transpose(2, 0, 1, 3, 5, 4)
    return np.ascontiguousarray(cut).reshape(-1, BLOCK, tiling.ways, BLOCK, tiling.lanes)


def from_blocks(blocks: AnyArray, tiling: Tiling) -> AnyArray:
    """The matrix of :func:`to_blocks` with what was around it: whole blocks."""
    columns, rows = tiling.grid
    return (
        blocks.reshape(columns, rows, BLOCK, tiling.ways, BLOCK, tiling.lanes)
        .transpose(1, 2, 0, 3, 5, 4)
        .reshape(rows * BLOCK, columns * tiling.width)
    )
