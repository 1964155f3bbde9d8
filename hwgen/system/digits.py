"""What softmax leaves in the buffers: exponentials as digits of base 128, and what divides them as parameters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hwgen.cores.softmax import golden
from hwgen.numerics import IntArray
from hwgen.system.config import SystemConfig

__all__ = ["DIGIT", "exponential_digits", "logit_range", "scale_words"]

DIGIT = 7
"""Bits of a digit."""

logit_range = (-(1 << 15), (1 << 15) - 1)
"""Smallest and largest logit; eight bits are a fraction."""


def exponential_digits(
    config: SystemConfig, logits: IntArray, row: Mapping[str, int]
) -> tuple[IntArray, npt.NDArray[np.uint8]]:
    """Digits of the exponentials of rows, and a parameter word for each row.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    logits : int array, shape (blocks, rows, elements)
        Sixteen bits, in the order of (n2, n1).
    row : mapping of str to int
        Fields of ``vec.row``.

    Returns
    -------
    digits : int array, shape (blocks, rows, elements)
        0..127: the digit that is asked for. The elements of each word are in reverse order, as the DSP core wants them
        for values that lie in memory row by row.
    words : uint8 array, shape (blocks * rows, bytes)
        Parameters: no bias, the row's factor, its shift.
    """
    assert config.softmax is not None
    _, rows, elements = logits.shape
    limits = row["keep"] + row["keep_step"] * np.arange(rows)
    keep = np.broadcast_to(np.arange(elements) < limits[:, None], logits.shape).reshape(-1, elements)
    found = golden.softmax(config.softmax, logits.reshape(-1, elements).astype(np.int64), keep)
    y, factor, places = found[:, :-2], found[:, -2], found[:, -1]
    kept = DIGIT * config.softmax_digits
    dropped = config.softmax_bits - kept
    whole = np.minimum((y + (1 << (dropped - 1))) >> dropped, (1 << kept) - 1)
    digits = whole >> (DIGIT * (config.softmax_digits - 1 - row["digit"])) & ((1 << DIGIT) - 1)
    # Each digit was rounded off ``dropped`` bits, so the sum of products is smaller by as many.
    shift = np.where(factor > 0, (places - dropped - row["shift"]) & 63, 0)
    words = digits.reshape(-1, config.lanes)[:, ::-1]
    return words.reshape(logits.shape), scale_words(config, factor, shift)


def scale_words(config: SystemConfig, factor: IntArray, shift: IntArray) -> npt.NDArray[np.uint8]:
    """Parameter words of multipliers and shifts, the same in every lane."""
    one = np.zeros((len(factor), 8), np.uint8)
    one[:, 4:7] = factor.astype("<u4")[:, None].view(np.uint8)[:, :3]
    one[:, 7] = shift
    return np.tile(one, (1, config.lanes))
