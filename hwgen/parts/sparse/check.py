"""What a sparse matrix must satisfy, and the first place where it does not."""

from __future__ import annotations

import numpy as np

from hwgen.errors import BadInput
from hwgen.numerics import IntFormat
from hwgen.parts.sparse.bitstrings import ByteArray
from hwgen.parts.sparse.blocks import AnyArray, Tiling, block_name
from hwgen.parts.sparse.patterns import BLOCK, LANE_BITS, PATTERNS, SLOTS, Pattern, names

__all__ = ["check_bits", "check_codes", "check_outside", "check_patterns", "check_slots", "check_weights"]

_N = np.array([p.n for p in PATTERNS])
_M = np.array([p.m for p in PATTERNS])


def check_bits(bits: int, lanes: int) -> None:
    """Refuse a width that weights in so many lanes cannot have.

    Raises
    ------
    BadInput
        With the widths that they can have.
    """
    if bits not in LANE_BITS[lanes]:
        raise BadInput(
            f"weights in {lanes} lane{'s' * (lanes > 1)} must have "
            f"{', '.join(map(str, LANE_BITS[lanes]))} bits, not {bits}"
        )


def check_weights(matrix: AnyArray, bits: int, tiling: Tiling) -> None:
    """Refuse weights that ``bits`` bits do not hold.

    Raises
    ------
    BadInput
        For the first that is no whole number in range, with row, column and block.
    """
    form = IntFormat(bits, True)
    whole = matrix.dtype.kind != "f" or bool((matrix == np.trunc(matrix)).all())
    if whole and matrix.min() >= form.low and matrix.max() <= form.high:
        return
    broken = (matrix < form.low) | (matrix > form.high) | (matrix != np.trunc(matrix))
    row, column = (int(i) for i in np.argwhere(broken)[0])
    raise BadInput(
        f"weights of {bits} bits must be whole numbers in {form.low}..{form.high}, not "
        f"{matrix[row, column].item()!r} at {tiling.place_name(row, column)}"
    )


def check_codes(codes: AnyArray, tiling: Tiling) -> None:
    """Refuse codes that are not one per block, or that no pattern has.

    Raises
    ------
    BadInput
        With the first block that has no pattern.
    """
    if codes.dtype.kind not in "iu" or codes.shape != tiling.grid:
        raise BadInput(
            f"codes must be integers of shape {tiling.grid} (block columns, block rows), "
            f"not {codes.dtype} of shape {codes.shape}"
        )
    unknown = np.argwhere((codes < 0) | (codes >= len(PATTERNS)))
    if unknown.size:
        column, row = (int(i) for i in unknown[0])
        raise BadInput(
            f"{block_name(row, column)} has the unknown code {codes[column, row]}; codes are 0..{len(PATTERNS) - 1}"
        )


def check_patterns(codes: ByteArray, patterns: tuple[Pattern, ...]) -> None:
    """Refuse blocks with another pattern than these.

    Raises
    ------
    BadInput
        With the first such block.
    """
    foreign = np.argwhere(~np.isin(codes, [p.code for p in patterns]))
    if foreign.size:
        column, row = (int(i) for i in foreign[0])
        pattern = PATTERNS[codes[column, row]]
        raise BadInput(
            f"{block_name(row, column)} has the pattern {pattern} (code {pattern.code}), but only "
            f"{names(patterns)} can be read; pack the matrix with these"
        )


def check_slots(codes: ByteArray, bits: int, tiling: Tiling, values: AnyArray, indices: AnyArray) -> None:
    """Refuse slots whose value is too wide, or whose index leaves its group or does not ascend in it.

    Raises
    ------
    BadInput
        With row, column and block of the first such slot, or with the shapes that are wanted and found.
    """
    slots = SLOTS[codes.ravel()]
    of_step = np.repeat(codes.ravel(), slots)
    positions = (len(of_step), tiling.ways, BLOCK)
    wanted = {"values": (*positions, tiling.lanes), "indices": positions}
    for array, (what, shape) in zip((values, indices), wanted.items(), strict=True):
        if array.dtype.kind not in "iu" or array.shape != shape:
            axes = ", ".join(("steps", "ways", "positions", "lanes")[: len(shape)])
            raise BadInput(
                f"{what} must be integers of shape {shape} ({axes}) for the patterns of these blocks, not "
                f"{array.dtype} of shape {array.shape}"
            )
    if not len(of_step):
        return
    form = IntFormat(bits, True)
    if values.min() < form.low or values.max() > form.high:
        step, way, position, lane = _first((values < form.low) | (values > form.high))
        raise BadInput(
            f"weights of {bits} bits must lie in {form.low}..{form.high}, not "
            f"{values[step, way, position, lane]} at "
            f"{_slot_name(codes, tiling, (step, way, position), int(indices[step, way, position]), lane)}"
        )
    leaves = (indices < 0) | (indices >= _M[of_step, None, None])
    if leaves.any():
        place = _first(leaves)
        raise BadInput(
            f"indices must lie in 0..{_M[of_step[place[0]]] - 1}, not {indices[place]} in "
            f"{_slot_name(codes, tiling, place)}"
        )
    in_block = np.arange(len(of_step)) - np.repeat(np.cumsum(slots) - slots, slots)
    continues = in_block[1:] % _N[of_step[1:]] != 0  # the group of the step before
    falls = (indices[1:] <= indices[:-1]) & continues[:, None, None]
    if falls.any():
        step, way, position = _first(falls)
        before, index = (int(i) for i in indices[step : step + 2, way, position])
        raise BadInput(
            f"indices must ascend in a group, but {index} follows {before} at "
            f"{_slot_name(codes, tiling, (step + 1, way, position), index)}"
        )


def _first(broken: AnyArray) -> tuple[int, ...]:
    """Where the first one is true."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(broken)), broken.shape))


def _slot_name(
    codes: ByteArray,
    tiling: Tiling,
    place: tuple[int, ...],
    index: int | None = None,
    lane: int | None = None,
) -> str:
    """Step, way and position in a sentence: the row if the index is one, else the rows of the group.

    All columns of the position, or that of one lane.
    """
    step, way, position = place
    ends = np.cumsum(SLOTS[codes.ravel()])
    block = int(np.searchsorted(ends, step, side="right"))
    pattern = PATTERNS[codes.ravel()[block]]
    block_column, block_row = divmod(block, codes.shape[1])
    in_block = step - int(ends[block]) + pattern.slots
    first = block_row * BLOCK + in_block // pattern.n * pattern.m
    rows = f"rows {first}..{first + pattern.m - 1}"
    if index is not None and 0 <= index < pattern.m:
        rows = f"row {first + index}"
    columns = tiling.columns_name(block_column, way, position)
    if lane is not None:
        columns = f"column {tiling.column(block_column, way, position, lane)}"
    return f"{rows}, {columns} ({block_name(block_row, block_column)})"


def check_outside(padded: AnyArray, tiling: Tiling) -> None:
    """Refuse weights around the matrix.

    Raises
    ------
    BadInput
        With row, column and block of the first.
    """
    rows, columns = tiling.shape
    outside = padded != 0
    outside[:rows, :columns] = False
    if outside.any():
        row, column = _first(outside)
        raise BadInput(
            f"the padding around {rows} rows and {columns} columns must be zero, not "
            f"{padded[row, column]} at {tiling.place_name(row, column)}"
        )
