"""What a sparse matrix must satisfy, and the first place where it does not."""

from __future__ import annotations

import numpy as np

from hwgen.errors import BadInput
from hwgen.numerics import IntFormat
from hwgen.parts.sparse.bitstrings import ByteArray
from hwgen.parts.sparse.blocks import AnyArray, block_name, grid, place_name
from hwgen.parts.sparse.patterns import BLOCK, PATTERNS, SLOTS, WEIGHT_BITS, Pattern, names

__all__ = ["check_codes", "check_form", "check_outside", "check_patterns", "check_slots", "check_weights"]

# Whether a slot of a step, from the second on, is in the same group as the one before it; by code.
_CONTINUES = np.array([np.arange(1, BLOCK) % max(p.n, 1) != 0 for p in PATTERNS])

_GROUP = np.array([p.m for p in PATTERNS], np.uint8)


def check_form(shape: tuple[int, int], bits: int) -> None:
    """Refuse a shape without weights and a width that weights cannot have.

    Raises
    ------
    BadInput
        If either is wrong.
    """
    if len(shape) != 2 or min(shape) < 1 or max(shape) >= 1 << 32:
        raise BadInput(f"a matrix must have 1..{(1 << 32) - 1} rows and columns, not shape {shape}")
    if bits not in WEIGHT_BITS:
        raise BadInput(f"weights must have {', '.join(map(str, WEIGHT_BITS))} bits, not {bits}")


def check_weights(matrix: AnyArray, bits: int) -> None:
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
        f"{matrix[row, column].item()!r} at {place_name(row, column)}"
    )


def check_codes(codes: AnyArray, shape: tuple[int, int]) -> None:
    """Refuse codes that are not one per block, or that no pattern has.

    Raises
    ------
    BadInput
        With the first block that has no pattern.
    """
    if codes.dtype.kind not in "iu" or codes.shape != grid(shape):
        raise BadInput(
            f"codes must be integers of shape {grid(shape)} (block columns, block rows), "
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


def check_slots(codes: ByteArray, bits: int, values: AnyArray, indices: AnyArray) -> None:
    """Refuse slots whose value is too wide, or whose index leaves its group or does not ascend in it.

    Raises
    ------
    BadInput
        With row, column and block of the first such slot, or with both numbers of slots.
    """
    steps = np.repeat(codes.ravel(), SLOTS[codes.ravel()])
    for array, what in ((values, "values"), (indices, "indices")):
        if array.dtype.kind not in "iu" or array.shape != (steps.size * BLOCK,):
            raise BadInput(
                f"{what} must be {steps.size * BLOCK} integers, one for each slot of the blocks' patterns, "
                f"not {array.dtype} of shape {array.shape}"
            )
    if not steps.size:
        return
    form = IntFormat(bits, True)
    if values.min() < form.low or values.max() > form.high:
        slot = int(np.argmax((values < form.low) | (values > form.high)))
        raise BadInput(
            f"weights of {bits} bits must lie in {form.low}..{form.high}, not {values[slot]} at "
            f"{_slot_name(codes, slot, int(indices[slot]))}"
        )
    by_step = indices.reshape(-1, BLOCK)
    leaves = (by_step < 0) | (by_step >= _GROUP[steps][:, None])
    if leaves.any():
        slot = int(np.argmax(leaves))
        raise BadInput(
            f"indices must lie in 0..{_GROUP[steps[slot // BLOCK]] - 1}, not {indices[slot]} in "
            f"{_slot_name(codes, slot, None)}"
        )
    falls = (by_step[:, 1:] <= by_step[:, :-1]) & _CONTINUES[steps]
    if falls.any():
        step, place = (int(i) for i in np.argwhere(falls)[0])
        slot = step * BLOCK + place + 1
        raise BadInput(
            f"indices must ascend in a group, but {indices[slot]} follows {indices[slot - 1]} at "
            f"{_slot_name(codes, slot, int(indices[slot]))}"
        )


def _slot_name(codes: ByteArray, slot: int, index: int | None) -> str:
    """Place of a slot in a sentence: its row if its index is one, else the rows of its group."""
    ends = np.cumsum(SLOTS[codes.ravel()]) * BLOCK
    block = int(np.searchsorted(ends, slot, side="right"))
    pattern = PATTERNS[codes.ravel()[block]]
    block_column, block_row = divmod(block, codes.shape[1])
    output, within = divmod(slot - int(ends[block]) + pattern.slots * BLOCK, pattern.slots)
    first = block_row * BLOCK + within // pattern.n * pattern.m
    column = block_column * BLOCK + output
    if index is not None and 0 <= index < pattern.m:
        return place_name(first + index, column)
    rows = f"rows {first}..{first + pattern.m - 1}"
    return f"{rows}, column {column} ({block_name(block_row, block_column)})"


def check_outside(padded: AnyArray, shape: tuple[int, int]) -> None:
    """Refuse weights around the matrix.

    Raises
    ------
    BadInput
        With row, column and block of the first.
    """
    outside = padded != 0
    outside[: shape[0], : shape[1]] = False
    if outside.any():
        row, column = (int(i) for i in np.argwhere(outside)[0])
        raise BadInput(
            f"the padding around {shape[0]} rows and {shape[1]} columns must be zero, not "
            f"{padded[row, column]} at {place_name(row, column)}"
        )
