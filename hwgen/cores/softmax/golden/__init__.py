"""The mathematics of every variant, in exact integers, on whole batches of rows of one length."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.golden import exact, online, pairs, peers
from hwgen.cores.softmax.golden.arithmetic import Mask
from hwgen.cores.softmax.operation import Row
from hwgen.numerics import IntArray

__all__ = ["run", "softmax"]

_Rows = Callable[[SoftmaxConfig, IntArray, Mask], tuple[IntArray, ...]]

_VARIANTS: dict[str, _Rows] = {
    "online_pow2": pairs.rows,
    "twopass_ext": pairs.rows,
    "unified_max": pairs.rows,
    "online": online.rows,
    "table_exact": exact.rows,
    "ibert": peers.ibert,
    "softermax": peers.softermax,
    "sole": peers.sole,
    "ita": peers.ita,
}


def softmax(config: SoftmaxConfig, x: IntArray, keep: Mask) -> IntArray:
    """Softmax of rows.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.
    x, keep : int array, bool array, shape (rows, n)
        Logits; whether they take part.

    Returns
    -------
    int array, shape (rows, n) and more
        Results in units of ``2**-out_bits``; zero for elements that take no part. With ``after_pv`` behind them
        factor and shift of the row, of which ``y * factor / 2**shift`` are the probabilities; both are zero if no
        element takes part. With ``unified_max`` the last entry is one if the row was recomputed.
    """
    y, *more = _VARIANTS[config.variant](config, x, keep)
    return np.concatenate([np.where(keep, y, 0), *(part[:, None] for part in more)], axis=1)


def run(config: SoftmaxConfig, rows: Sequence[Row]) -> list[IntArray]:
    """Results of a sequence of rows, row by row."""
    return [softmax(config, row.x[None], row.keep[None])[0] for row in rows]
