"""One row of logits, as a host hands it to the core."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.errors import BadInput
from hwgen.numerics import IntArray

__all__ = ["Row", "causal", "out_of_reach", "quantise", "random_rows"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Row:
    """A row of logits.

    Parameters
    ----------
    x : int array, shape (n,)
        Logits, of the configuration's format.
    keep : bool array, shape (n,)
        Whether an element takes part; the result of one that does not is zero. If none takes part all results are
        zero.
    """

    x: IntArray
    keep: Mask

    @property
    def macs(self) -> int:
        """None: a softmax has no multiply-accumulates that belong to a product."""
        return 0

    @classmethod
    def checked(cls, config: SoftmaxConfig, x: npt.ArrayLike, keep: npt.ArrayLike | None = None) -> Row:
        """A row that the core can take.

        Parameters
        ----------
        config : SoftmaxConfig
            The core.
        x : array_like, shape (n,)
            Logits.
        keep : array_like, shape (n,), optional
            Zero for elements that take no part; all do by default.

        Raises
        ------
        BadInput
            If the row is empty or too long, a logit is not of the format, or the shapes differ.
        """
        logits = np.asarray(x)
        if logits.ndim != 1 or not 1 <= len(logits) <= config.longest:
            raise BadInput(
                f"a row must have 1..{config.longest} elements, not shape {list(logits.shape)}; "
                "give other rows, or a configuration with another longest"
            )
        mask = np.ones(len(logits), bool) if keep is None else np.asarray(keep)
        if mask.shape != logits.shape:
            raise BadInput(f"keep must have shape {list(logits.shape)} like the row, not {list(mask.shape)}")
        return cls(config.logit.check(logits, "x"), mask.astype(bool))


def causal(config: SoftmaxConfig, logits: npt.ArrayLike, offset: int = 0) -> list[Row]:
    """Rows of causal attention: query ``i`` sees keys ``0 .. i + offset``.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.
    logits : array_like, shape (queries, keys)
        One row per query.
    offset : int
        Keys before the first query's own, as with a cache of earlier keys.

    Raises
    ------
    BadInput
        As :meth:`Row.checked`, or if there is no matrix.
    """
    matrix = np.asarray(logits)
    if matrix.ndim != 2:
        raise BadInput(f"logits must have shape (queries, keys), not {list(matrix.shape)}")
    places = np.arange(matrix.shape[1])
    return [Row.checked(config, row, places <= i + offset) for i, row in enumerate(matrix)]


def quantise(config: SoftmaxConfig, logits: npt.ArrayLike, *, centre: bool = False) -> IntArray:
    """Real logits as integers of the configuration: nearest, ties to even; clamped, never wrapped.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.
    logits : array_like, shape (..., n)
        Finite numbers.
    centre : bool
        Move every row so that its largest element becomes the largest integer: softmax does not change, and what
        does not fit is clamped where it matters least.

    Raises
    ------
    BadInput
        If a logit is not finite.
    """
    real = np.asarray(logits, np.float64)
    if not np.isfinite(real).all():
        raise BadInput(
            "logits must be finite numbers; give elements that take no part by keep, not as infinity"
        )
    steps = real / float(config.step)
    if centre:
        steps = steps - steps.max(axis=-1, keepdims=True) + config.logit.high
    return np.clip(np.rint(steps), config.logit.low, config.logit.high).astype(np.int64)


def out_of_reach(config: SoftmaxConfig, row: Row) -> bool:
    """Whether ``unified_max`` has to compute a row again, because its maximum is too far from the bound."""
    if not row.keep.any():
        return False
    top = config.exponent(int(row.x[row.keep].max()))
    return not config.phi - config.span <= top <= config.phi


def random_rows(config: SoftmaxConfig, count: int, rng: np.random.Generator) -> list[Row]:
    """Rows of all lengths (one element, one beat, odd, the longest once), logits from flat to extreme, and masks."""
    rows = [_random_row(config, n, rng) for n in _lengths(config, count, rng)]
    return rows[:count]


def _lengths(config: SoftmaxConfig, count: int, rng: np.random.Generator) -> Iterable[int]:
    """Most of them short: what goes wrong does so between rows."""
    few = min(config.longest, 6 * config.lanes)
    for i in range(count):
        if i == 1:
            yield config.longest
        elif i % 3 == 0:
            yield 1
        else:
            yield int(rng.integers(1, few + 1))


def _random_row(config: SoftmaxConfig, n: int, rng: np.random.Generator) -> Row:
    form, spread = config.logit, float(1 / config.octave_step)
    kind = int(rng.integers(6))
    if kind == 0:
        x = form.random(rng, (n,))
    elif kind == 1:  # all equal
        x = np.full(n, rng.choice([form.low, form.high, int(rng.integers(form.low, form.high + 1))]))
    elif kind == 2:  # a new maximum in every beat
        x = np.sort(form.random(rng, (n,)))
    else:  # some octaves around something
        octaves = float(rng.choice([0.5, 3, 12]))
        x = np.rint(rng.integers(form.low, form.high + 1) + rng.normal(0, octaves * spread, n))
    keep = rng.random(n) < rng.choice([1.0, 1.0, 0.5, 0.0], p=[0.5, 0.2, 0.25, 0.05])
    if rng.random() < 0.2:  # causal
        keep &= np.arange(n) <= rng.integers(0, n)
    return Row(np.clip(x, form.low, form.high).astype(np.int64), keep)
