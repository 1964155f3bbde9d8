"""Whether intervals hold what they promise: coverage by resampling a known truth, and computed exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve
from scipy.stats import binom

from hwgen.errors import BadInput
from hwgen.faults.draws import permuted
from hwgen.faults.intervals import METHODS, Interval, Method, check_count, check_counts, wilson
from hwgen.numerics import IntArray

__all__ = ["Coverage", "ExactCoverage", "Fixed", "Plan", "coverage", "effects", "exact_coverage"]


class Plan(Protocol):
    """When a campaign stops, and what it reports; :class:`~hwgen.faults.statistics.Sequential` is one."""

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of samples at which it may stop, rising."""

    @property
    def population(self) -> int | None:
        """Faults that it draws from without replacement, if that is limited."""

    def stop(self, x: int, n: int) -> bool:
        """Whether it stops at ``n`` samples of which ``x`` had an effect."""

    def interval(self, x: int, n: int) -> Interval:
        """What it reports then."""


@dataclass(frozen=True)
class Fixed:
    """The plan that stops at a given number of samples.

    Parameters
    ----------
    samples : int
        At least 1, at most ``population``.
    method : {"wilson", "clopper-pearson", "mixture"}
        Kind of interval.
    confidence : float
        Above 0, below 1.
    population : int, optional
        Faults that samples are drawn from without replacement.

    Raises
    ------
    BadInput
        If a parameter is outside of its range.
    """

    samples: int
    method: Method = "wilson"
    confidence: float = 0.95
    population: int | None = None

    def __post_init__(self) -> None:
        check_counts(0, self.samples, self.confidence, self.population)
        if self.method not in METHODS:
            raise BadInput(f"method must be one of {', '.join(METHODS)}, not {self.method!r}: choose one")

    @property
    def looks(self) -> tuple[int, ...]:
        """The one number of samples."""
        return (self.samples,)

    def stop(self, x: int, n: int) -> bool:
        """Whether ``n`` samples are there."""
        return n >= self.samples

    def interval(self, x: int, n: int) -> Interval:
        """The interval of ``x`` effects in ``n`` samples."""
        return METHODS[self.method](x, n, self.confidence, self.population)


@dataclass(frozen=True)
class Coverage:
    """What resampled campaigns reported, beside the truth.

    Parameters
    ----------
    truth : float
        Share of faults that have an effect.
    campaigns : int
        How many were resampled.
    covered, below, above : int
        Campaigns whose interval held the truth, ended below it, began above it.
    samples : float
        Mean number of samples of a campaign.
    half_width : float
        Mean half-width of the intervals.
    """

    truth: float
    campaigns: int
    covered: int
    below: int
    above: int
    samples: float
    half_width: float

    @property
    def share(self) -> Interval:
        """Share of campaigns that covered the truth, with the 95 % interval that so many campaigns leave."""
        return wilson(self.covered, self.campaigns)


@dataclass(frozen=True)
class ExactCoverage:
    """What a plan does on average over all campaigns.

    Parameters
    ----------
    covered, below, above : float
        Probabilities that the interval holds the truth, ends below it, begins above it.
    samples : float
        Mean number of samples.
    """

    covered: float
    below: float
    above: float
    samples: float


def effects(truth: npt.ArrayLike, looks: Sequence[int], campaigns: int, seed: int = 0) -> IntArray:
    """Effects among the first faults of resampled campaigns, drawn without replacement.

    Parameters
    ----------
    truth : array_like of bool or of 0 and 1, shape (N,)
        Whether each fault has an effect.
    looks : sequence of int
        Numbers of samples, rising, ``1..N``.
    campaigns : int
        At least 1. Campaign c is ``permuted(seed, c, ...)``: the same in any run.
    seed : int
        ``0..2**64 - 1``.

    Returns
    -------
    ndarray of int64, shape (campaigns, looks)
        Effects seen at each look.

    Raises
    ------
    BadInput
        If the truth is no list of 0 and 1, or a number is outside of its range.
    """
    known = _known(truth)
    check_count("campaigns", campaigns, 1, 1 << 32)
    if not looks or min(np.diff([0, *looks])) < 1 or looks[-1] > known.size:
        raise BadInput(
            f"looks must rise and lie in 1..{known.size}, the faults of the truth, not {list(looks)}"
        )
    order, starts = np.arange(looks[-1]), np.array([0, *looks[:-1]])
    result = np.empty((campaigns, len(looks)), np.int64)
    for c in range(campaigns):
        seen = known.take(permuted(seed, c, order, known.size))
        result[c] = np.add.reduceat(seen, starts, dtype=np.int64)
    return result.cumsum(axis=1)


def coverage(
    truth: npt.ArrayLike, plans: Sequence[Plan], campaigns: int = 1000, seed: int = 0
) -> list[Coverage]:
    """Resample campaigns from an exhaustive truth and count how often the intervals of plans hold it.

    All plans see the same campaigns. A thousand campaigns tell a coverage of 95 % to 1.4 % (two deviations).

    Parameters
    ----------
    truth, campaigns, seed
        As for :func:`effects`.
    plans : sequence of Plan
        What to try, such as ``Fixed(10_000, population=N)`` or a ``Sequential`` for that population.

    Raises
    ------
    BadInput
        If an argument is outside of its range, or a plan is for another population.
    """
    known = _known(truth)
    for plan in plans:
        if plan.population not in (None, known.size):
            raise BadInput(
                f"a plan is for {plan.population} faults, the truth has {known.size}: make them equal"
            )
    looks = sorted({look for plan in plans for look in plan.looks})
    if not looks:
        raise BadInput("coverage needs at least one plan, not none: give one")
    seen = effects(known, looks, campaigns, seed)
    share = int(known.sum()) / known.size
    result = []
    for plan in plans:
        at = np.searchsorted(looks, plan.looks)
        ends = _ends(plan, seen[:, at])
        intervals = {end: plan.interval(*end) for end in set(ends)}
        reported = [intervals[end] for end in ends]
        covered = sum(share in interval for interval in reported)
        above = sum(share not in interval and interval.low > share for interval in reported)
        result.append(
            Coverage(
                truth=share,
                campaigns=campaigns,
                covered=covered,
                below=campaigns - covered - above,
                above=above,
                samples=float(np.mean([n for _, n in ends])),
                half_width=float(np.mean([interval.half_width for interval in reported])),
            )
        )
    return result


def exact_coverage(plan: Plan, truth: float | int) -> ExactCoverage:
    """Coverage of a plan without resampling: the probability of every number of effects at every look.

    Effects are binomial between looks. For a plan with a population, the ways to get to a look are those of
    independent draws, given how many effects there are in all: the rest of the population has the rest of them.
    Bounds are taken to rise with x, and half-widths with ``min(x, n - x)``; here as when campaigns are resampled.

    Parameters
    ----------
    plan : Plan
        What to try.
    truth : float or int
        Share of effects in 0..1; for a plan with a population, the number of its faults that have an effect.

    Raises
    ------
    BadInput
        If the truth is outside of its range.
    """
    total = plan.population
    if total is not None:
        check_count("truth", int(truth), 0, total)
    p = float(truth) if total is None else int(truth) / total
    if not 0 <= p <= 1:
        raise BadInput(f"truth must lie in 0..1, not {truth}: correct it")
    running, before = np.ones(1), 0
    covered = below = above = samples = 0.0
    for n in plan.looks:
        step = n - before
        running = np.maximum(fftconvolve(running, binom.pmf(np.arange(step + 1), step, p)), 0.0)
        before = n
        few = _few(plan, n)
        x = np.arange(n + 1)
        stops = (x <= few) | (x >= n - few)
        ending = np.where(stops, running, 0.0)
        if total is not None:
            ending *= binom.pmf(int(truth) - x, total - n, p) / binom.pmf(int(truth), total, p)
        low = _last(partial(_below, plan, n, p), 0, n)
        high = n - _last(partial(_above, plan, n, p), 0, n) - 1
        below += float(ending[: low + 1].sum())
        covered += float(ending[low + 1 : high + 1].sum())
        above += float(ending[high + 1 :].sum())
        samples += n * float(ending.sum())
        running = np.where(stops, 0.0, running)
    return ExactCoverage(covered, below, above, samples)


def _ends(plan: Plan, seen: IntArray) -> list[tuple[int, int]]:
    """Effects and samples at which each campaign stops; ``seen`` is effects at the plan's looks."""
    n = np.array(plan.looks)
    stops = np.minimum(seen, n - seen) <= [_few(plan, look) for look in plan.looks]
    stops[:, -1] = True
    at = stops.argmax(axis=1)
    return list(zip(seen[np.arange(len(seen)), at].tolist(), n[at].tolist(), strict=True))


def _below(plan: Plan, n: int, p: float, x: int) -> bool:
    """Whether the interval of ``x`` effects ends below a share."""
    interval = plan.interval(x, n)
    return p not in interval and interval.high < p


def _above(plan: Plan, n: int, p: float, without: int) -> bool:
    """Whether the interval of all but ``without`` effects begins above a share."""
    interval = plan.interval(n - without, n)
    return p not in interval and interval.low > p


def _few(plan: Plan, n: int) -> int:
    """Effects, or faults without one, up to which a plan stops at a look; -1 if it never does."""
    return _last(lambda x: plan.stop(x, n), 0, n // 2)


def _last(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Largest number in ``low..high`` that ``holds``, if that never begins again once it ended; else ``low - 1``."""
    low -= 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _known(truth: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    array = np.asarray(truth)
    if (
        array.ndim != 1
        or not array.size
        or array.dtype.kind not in "biuf"
        or not np.isin(array, (0, 1)).all()
    ):
        raise BadInput("truth must be a list of 0 and 1, one per fault, and not empty: correct it")
    return array.astype(np.uint8)
