"""INT8 softmax without approximation: a table of every difference, an exact sum, a correctly rounded division."""

from __future__ import annotations

import numpy as np

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.golden.arithmetic import Mask
from hwgen.cores.softmax.tables import exact_exponentials
from hwgen.numerics import IntArray

__all__ = ["rows"]


def rows(config: SoftmaxConfig, x: IntArray, keep: Mask) -> tuple[IntArray, ...]:
    """Results, shape (rows, n): ``256 e / sum(e)``, to nearest, ties to even, at most 255."""
    top = np.where(keep, x, config.logit.low).max(axis=1)
    e = np.where(keep, exact_exponentials(config)[np.where(keep, top[:, None] - x, 0)], 0)
    total = np.maximum(e.sum(axis=1), 1)[:, None]
    floor, rest = np.divmod(e << config.out_bits, total)
    up = (2 * rest > total) | ((2 * rest == total) & (floor & 1 == 1))
    return (np.minimum(floor + up, (1 << config.out_bits) - 1),)
