"""Results of many rows at once: rows of equal length go through the golden model together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from hwgen.cores.softmax import golden
from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.operation import Row
from hwgen.numerics import IntArray

__all__ = ["run"]


def run(config: SoftmaxConfig, rows: Sequence[Row]) -> list[IntArray]:
    """Results of a sequence of rows, as :func:`hwgen.cores.softmax.golden.run` gives them."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        by_length[len(row.x)].append(i)
    results: list[IntArray] = [np.zeros(0, np.int64)] * len(rows)
    for group in by_length.values():
        x, keep = np.stack([rows[i].x for i in group]), np.stack([rows[i].keep for i in group])
        for i, result in zip(group, golden.softmax(config, x, keep), strict=True):
            results[i] = result
    return results
