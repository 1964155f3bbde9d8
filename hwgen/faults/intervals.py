"""Intervals of the share of faults that have an effect, from one sample.

``x`` of ``n`` sampled faults had an effect. ``population`` is the number of faults that could have been drawn, if they
were drawn without replacement; ``None`` stands for any number (or for draws with replacement). Shares and confidences
have no unit; ``x``, ``n`` and populations count faults.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv, betaln, ndtri

from hwgen.errors import BadInput

__all__ = [
    "METHODS",
    "MOST",
    "Interval",
    "Method",
    "check_count",
    "check_counts",
    "check_share",
    "clopper_pearson",
    "cutoff",
    "mixture",
    "upper",
    "wilson",
]

Method = Literal["wilson", "clopper-pearson", "mixture"]

MOST = 1 << 53
"""Largest number of faults: beyond, a float does not hold every count."""


@dataclass(frozen=True)
class Interval:
    """A share and the bounds that it lies between with the confidence that was asked for.

    Parameters
    ----------
    estimate, low, high : float
        In 0..1.
    """

    estimate: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the distance of the bounds."""
        return (self.high - self.low) / 2

    def __contains__(self, share: float) -> bool:
        # Shares are fractions of counts: bounds that are the same fraction may differ in the last bit.
        return self.low - 1e-12 <= share <= self.high + 1e-12


def wilson(x: int, n: int, confidence: float = 0.95, population: int | None = None) -> Interval:
    """Wilson's score interval: covers ``confidence`` on average over shares; the default for estimates.

    The interval holds every p with ``|x/n - p| <= z·sqrt(p(1-p)/n)``. For a finite population the variance under the
    root is that of the hypergeometric distribution, ``p(1-p)/n·(N-n)/(N-1)``: Wilson's formula with the sample size
    ``n(N-1)/(N-n)``. The bounds are also kept inside ``x/N .. (N-n+x)/N``, which is certain; at ``n = N`` both are x/N.

    Parameters
    ----------
    x, n : int
        ``0 <= x <= n``, ``n >= 1``.
    confidence : float
        Above 0, below 1.
    population : int, optional
        At least ``n``.

    Raises
    ------
    BadInput
        If a number is outside of its range.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    check_counts(x, n, confidence, population)
    if population == n:
        return Interval(x / n, x / n, x / n)
    size = n if population is None else n * (population - 1) / (population - n)
    p, zz = x / n, cutoff(confidence) ** 2
    centre = (p + zz / (2 * size)) / (1 + zz / size)
    half = sqrt(zz * (p * (1 - p) / size + zz / (4 * size**2))) / (1 + zz / size)
    least, most = (0.0, 1.0) if population is None else (x / population, (population - n + x) / population)
    low = least if x == 0 else max(least, centre - half)
    high = most if x == n else min(most, centre + half)
    return Interval(p, low, high)


def clopper_pearson(x: int, n: int, confidence: float = 0.95, population: int | None = None) -> Interval:
    """The exact interval of Clopper and Pearson: never covers less than ``confidence``; for safety claims.

    With a population it is exact for it: the bounds are the smallest and largest number of critical faults of N of
    which x or more, or x or fewer, in n draws without replacement have a probability above ``(1 - confidence)/2``
    (tails of the hypergeometric distribution). At ``n = N`` both are x/N.

    Parameters
    ----------
    x, n, confidence, population
        As for :func:`wilson`.

    Raises
    ------
    BadInput
        If a number is outside of its range.

    References
    ----------
    Clopper & Pearson, Biometrika 26 (1934); Konijn, "Statistical theory of sample survey design and analysis" (1973)
    for the finite population.
    """
    check_counts(x, n, confidence, population)
    tail = (1 - confidence) / 2
    return _both(x, n, population, lambda seen: _upper(seen, n, tail, population))


def upper(x: int, n: int, confidence: float = 0.95, population: int | None = None) -> float:
    """Exact one-sided upper bound of a share; ``1 - (1 - confidence)**(1/n)`` if nothing was seen.

    Parameters
    ----------
    x, n, confidence, population
        As for :func:`wilson`.

    Raises
    ------
    BadInput
        If a number is outside of its range.
    """
    check_counts(x, n, confidence, population)
    return _upper(x, n, 1 - confidence, population) / (population or 1)


def mixture(x: int, n: int, confidence: float = 0.95, population: int | None = None) -> Interval:
    """A confidence sequence: the intervals of *all* n hold the share at once with at least ``confidence``.

    So one may look after every fault and stop for any reason. It is wider than an interval for one n: 1.8 to 2.0 times
    at n = 1,000, 2.1 to 2.3 times at 100,000. It holds the shares whose posterior probability, after a uniform prior,
    is at least ``1 - confidence`` times the prior one; the ratio is a martingale (Robbins' mixture; Ville's
    inequality). With a population, the prior is uniform on 0..N critical faults, and draws are without replacement.

    Parameters
    ----------
    x, n, confidence, population
        As for :func:`wilson`.

    Raises
    ------
    BadInput
        If a number is outside of its range.

    References
    ----------
    Robbins, Ann. Math. Stat. 41 (1970); Howard, Ramdas, McAuliffe & Sekhon, Ann. Stat. 49 (2021); Waudby-Smith &
    Ramdas, "Confidence sequences for sampling without replacement", NeurIPS 2020.
    """
    check_counts(x, n, confidence, population)
    alpha = 1 - confidence
    return _both(x, n, population, lambda seen: _mixture_upper(seen, n, alpha, population))


METHODS: dict[Method, Callable[[int, int, float, int | None], Interval]] = {
    "wilson": wilson,
    "clopper-pearson": clopper_pearson,
    "mixture": mixture,
}
"""Intervals by name."""


def _both(x: int, n: int, population: int | None, bound: Callable[[int], float]) -> Interval:
    """The interval of an upper bound; the lower one is that of what had no effect.

    It is stretched to hold x/n, which of a population that is nearly exhausted may be no possible share.
    """
    whole, share = population or 1, x / n
    return Interval(share, min(share, (whole - bound(n - x)) / whole), max(share, bound(x) / whole))


def _upper(x: int, n: int, tail: float, population: int | None) -> float:
    """Largest share, of a population the largest count, for which x or fewer in n have a probability above ``tail``."""
    if x == n:
        return float(population or 1)
    if population is None:
        return float(betaincinv(x + 1, n - x, 1 - tail)) if x else -np.expm1(log(tail) / n)
    # Outside of this range the data are impossible.
    low, high = x, population - n + x
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _at_most(x, n, middle, population) > tail else (low, middle - 1)
    return float(low)


def _at_most(x: int, n: int, critical: int, population: int) -> float:
    """Probability of at most x critical faults among n of a population, drawn without replacement.

    Ratios of neighbouring probabilities are multiplied outwards from the mode, and divided by their sum: logarithms
    of factorials would cancel for large populations. What lies 12 deviations and 60 away is below 1e-30.
    """
    share = critical / population
    deviation = sqrt(n * share * (1 - share) * (population - n) / max(1, population - 1))
    mode, reach = (n + 1) * (critical + 1) // (population + 2), int(12 * deviation) + 60
    low, high = max(0, n - population + critical, mode - reach), min(n, critical, mode + reach)
    if x < low:
        return 0.0
    if x >= high:
        return 1.0
    k = np.arange(low, high, dtype=np.float64)
    ratios = (n - k) / (k + 1) * ((critical - k) / (population - n - critical + k + 1))  # of k + 1 to k
    at = min(max(mode, low), high) - low
    up, down = np.cumprod(ratios[at:]), np.cumprod(1 / ratios[:at][::-1])
    relative = np.concatenate([down[::-1], [1.0], up])
    return float(relative[: x - low + 1].sum() / relative.sum())


def _mixture_upper(x: int, n: int, alpha: float, population: int | None) -> float:
    """Largest share, of a population the largest count, of a posterior probability of ``alpha`` times the prior one."""
    if x == n:
        return float(population or 1)
    bar = log(alpha) + float(betaln(x + 1, n - x + 1))
    if population is None:
        if x == 0:
            return -float(np.expm1(bar / n))
        return float(
            brentq(lambda p: x * log(p) + (n - x) * np.log1p(-p) - bar, x / n, 1 - 1e-16, xtol=1e-16)
        )
    # C(K, x)·C(N-K, n-x) over its sum C(N+1, n+1), against alpha / (N+1).
    bar = log(alpha) - log(population + 1) + _log_choose(population + 1, n + 1)
    low, high = round(x * population / n), population - n + x
    low = min(max(low, x), high)
    while low < high:
        middle = (low + high + 1) // 2
        inside = _log_choose(middle, x) + _log_choose(population - middle, n - x) >= bar
        low, high = (middle, high) if inside else (low, middle - 1)
    return float(low)


def _log_choose(n: int, k: int) -> float:
    """Logarithm of the number of ways to choose k of n."""
    return -float(betaln(n - k + 1, k + 1)) - log(n + 1)


def cutoff(confidence: float) -> float:
    """Two-sided quantile z of the normal distribution."""
    return -float(ndtri((1 - confidence) / 2))


def check_counts(x: int, n: int, confidence: float, population: int | None) -> None:
    """Refuse counts, a confidence or a population that an interval cannot have."""
    check_count("n", n, 1, MOST)
    check_count("x", x, 0, n)
    check_share("confidence", confidence)
    if population is not None:
        check_count("population", population, n, MOST)


def check_count(name: str, value: int, low: int, high: int) -> None:
    """Refuse what is no whole number in ``low..high``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise BadInput(f"{name} must be a whole number in {low}..{high}, not {value!r}: correct it")


def check_share(name: str, value: float) -> None:
    """Refuse what is not between 0 and 1."""
    if not 0 < value < 1:
        raise BadInput(f"{name} must lie between 0 and 1, both excluded, not {value}: correct it")
