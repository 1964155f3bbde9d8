"""How far results are from the exact softmax of the same integer logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.golden import softmax
from hwgen.cores.softmax.golden.arithmetic import Mask
from hwgen.cores.softmax.operation import quantise
from hwgen.numerics import IntArray

__all__ = ["Accuracy", "accuracy", "adversarial_rows", "approximate", "exact", "probabilities"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Accuracy:
    """Errors over some rows; a probability that rounds to one counts as the largest result.

    Parameters
    ----------
    ulp : float
        The largest error, in units of a result's last bit; half of one is correct rounding.
    largest, mean : float
        Of the absolute error of a probability.
    total : float
        Largest distance of a row's sum from one.
    divergence : float
        Mean over the rows of the Kullback-Leibler divergence from the exact row, in nats, of rows scaled to a sum of
        one. Results of zero count as half of their last bit, so that they do not make it infinite.
    top_1 : float
        Share of the rows whose largest result, the first of equals, belongs to a largest logit.
    """

    ulp: float
    largest: float
    mean: float
    total: float
    divergence: float
    top_1: float


def exact(config: SoftmaxConfig, x: IntArray, keep: Mask) -> FloatArray:
    """Softmax in double precision of rows of integer logits, shape (rows, n); zeros if no element takes part."""
    logits = np.where(keep, x * float(config.step), -np.inf)
    top = np.where(keep.any(axis=1), logits.max(axis=1), 0.0)
    e = np.exp(logits - top[:, None])
    return np.asarray(e / np.maximum(e.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny))


def probabilities(config: SoftmaxConfig, results: IntArray) -> FloatArray:
    """What results mean, shape (rows, n).

    Parameters
    ----------
    config : SoftmaxConfig
        The core.
    results : int array, shape (rows, n and more)
        As :func:`~hwgen.cores.softmax.golden.softmax` gives them.
    """
    if config.may_repeat:
        results = results[:, :-1]
    if config.divides:
        return np.asarray(results * 2.0**-config.out_bits, np.float64)
    y, factor, places = results[:, :-2], results[:, -2:-1], results[:, -1:]
    return np.asarray(y * factor * 2.0**-places, np.float64)


def approximate(config: SoftmaxConfig, logits: npt.ArrayLike) -> FloatArray:
    """Softmax of real logits, shape (rows, n), as the core has it: centred, quantised, and as probabilities again."""
    x = quantise(config, logits, centre=True)
    return probabilities(config, softmax(config, x, np.ones(x.shape, bool)))


def accuracy(config: SoftmaxConfig, x: IntArray, keep: Mask | None = None) -> Accuracy:
    """Errors of rows of one length.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.
    x : int array, shape (rows, n)
        Logits.
    keep : bool array, shape (rows, n), optional
        Whether an element takes part; all do by default. Rows without any count in ``ulp`` and ``largest`` only.
    """
    mask = np.ones(x.shape, bool) if keep is None else keep
    want, got = exact(config, x, mask), probabilities(config, softmax(config, x, mask))
    unit = 2.0**-config.out_bits
    held = np.minimum(want, 1 - unit) if config.divides else want
    error = np.abs(got - held)
    some = mask.any(axis=1)
    if not some.any():
        return Accuracy(float(error.max()) / unit, float(error.max()), 0.0, 0.0, 0.0, 1.0)
    floored = np.where(mask, np.maximum(got, unit / 2), 0)
    floored /= np.maximum(floored.sum(axis=1, keepdims=True), unit)
    log = np.log(np.where(want > 0, want, 1) / np.where(want > 0, floored, 1))
    best = np.take_along_axis(want, got.argmax(axis=1)[:, None], axis=1)[:, 0]
    return Accuracy(
        ulp=float(error.max()) / unit,
        largest=float(error.max()),
        mean=float(error[mask].mean()),
        total=float(np.abs(got.sum(axis=1) - 1)[some].max()),
        divergence=float((want * log).sum(axis=1)[some].mean()),
        top_1=float((best == want.max(axis=1))[some].mean()),
    )


def adversarial_rows(config: SoftmaxConfig, n: int, count: int = 512) -> IntArray:
    """Rows of one maximum and ``n - 1`` equal logits, swept: where roundings of small terms add up.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.
    n : int
        Elements of a row.
    count : int
        Distances between the two, at most; up to where all but the maximum round to zero, and further.

    Returns
    -------
    int array, shape (rows, n)
        The maximum comes first in a third of the rows, in the middle in another one, and last.
    """
    low, high = config.logit.low, config.logit.high
    octaves = config.fraction + 2
    far = min(high - low, int(octaves / float(config.octave_step)) + 1)
    distances = np.unique(np.linspace(0, far, count).astype(np.int64))
    rows = []
    for place in (0, n // 2, n - 1):
        block = np.repeat(high - distances[:, None], n, axis=1)
        block[:, place] = high
        rows.append(block)
    return np.concatenate(rows)
