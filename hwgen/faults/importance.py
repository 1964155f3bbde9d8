"""Importance sampling: registers whose faults matter are struck more often, and count less."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.faults import draws, statistics
from hwgen.faults.intervals import Interval
from hwgen.faults.models import Faults
from hwgen.faults.plan import Plan, Population

__all__ = ["Importance", "proposal"]

Floats = npt.NDArray[np.float64]

_DEFENSIVE = 0.1
"""Part of the draws that is uniform, whatever the pilot saw: so no fault counts more than ten times."""
_PRIOR = 4.0
"""Draws that the class of a register stands for where the pilot knows little of the register itself."""


@dataclass(frozen=True)
class Importance(Plan):
    """Draws with replacement: an element by its share, then one of its bits and a cycle, all alike.

    Parameters
    ----------
    population : Population
        All faults.
    shares : tuple of float
        Probability of each of its elements, above 0; they sum to 1.
    total : int
        Draws.
    seed : int
        Of the draws.
    """

    population: Population
    shares: tuple[float, ...]
    total: int
    seed: int

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.population.elements) or min(self.shares) <= 0:
            raise BadInput("each element needs a share above 0; take them from proposal()")
        if abs(sum(self.shares) - 1) > 1e-9:
            raise BadInput(f"shares must sum to 1, not {sum(self.shares):g}; divide them by their sum")

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Faults of each element."""
        return self.population.sites_of * self.population.cycles

    @cached_property
    def _weights(self) -> Floats:
        weights: Floats = self.sizes / self.sizes.sum() / np.asarray(self.shares)
        return weights

    def __call__(self, first: int, count: int) -> Faults:
        """See :class:`hwgen.faults.plan.Plan`; the stratum of a row is the place of its element."""
        ends = np.cumsum(self.shares)
        element = np.searchsorted(ends, draws.uniforms(self.seed, 0, first, count) * ends[-1], side="right")
        element = np.minimum(element, len(ends) - 1)
        inside = (draws.uniforms(self.seed, 1, first, count) * self.sizes[element]).astype(np.int64)
        place, cycle = np.divmod(inside, self.population.cycles)
        starts = np.cumsum(self.population.sites_of) - self.population.sites_of
        return self.population.at(starts[element] + place, cycle, element)

    def to_dict(self) -> dict[str, Any]:
        """See :class:`hwgen.faults.plan.Plan`."""
        return {"kind": "importance", "seed": self.seed, "shares": list(self.shares)}

    def weights(self, rows: Faults) -> Floats:
        """What rows of this plan count: how much more often a uniform draw had made each; 1 on average."""
        weights: Floats = self._weights[rows["stratum"]]
        return weights

    def share(self, rows: Faults, chosen: npt.NDArray[np.bool_], confidence: float = 0.95) -> Interval:
        """Share of faults with some property, from all rows of this plan or from those of a part of the population.

        Parameters
        ----------
        rows : structured array of :data:`hwgen.faults.plan.ROW`
            All of them, or those of some sites and cycles: then the share is one of that part, and its weights are
            divided by their mean (a ratio estimate, whose bias goes with 1/n).
        chosen : bool array, shape (rows,)
            Those that have the property.
        confidence : float
            Of the interval, see :func:`hwgen.faults.statistics.importance`.
        """
        weights, bound = self.weights(rows), float(self._weights.max())
        if len(rows) < self.total:
            bound /= weights.mean()
            weights = weights / weights.mean()
        return statistics.importance(chosen, weights, confidence, bound)


def proposal(members: Population, pilot: Faults, effect: npt.NDArray[np.bool_]) -> tuple[float, ...]:
    """Shares for a campaign after a pilot.

    The variance of the estimate is least if an element is drawn in proportion to its size times the root of the share
    of its faults that have the effect (Hansen & Hurwitz, Ann. Math. Statist. 14, 1943). That share is the pilot's,
    drawn towards that of the element's class; a tenth of the draws is uniform (defensive mixture: Hesterberg,
    Technometrics 37, 1995).

    Parameters
    ----------
    members : Population
        All faults.
    pilot : structured array of :data:`hwgen.faults.plan.ROW`
        Drawn uniformly.
    effect : bool array, shape (rows,)
        Whether a row of the pilot had the effect that is looked for.

    Returns
    -------
    tuple of float
        For :class:`Importance`.
    """
    if len(pilot) != len(effect) or not len(pilot):
        raise BadInput(f"a pilot of {len(pilot)} faults with {len(effect)} outcomes tells nothing; draw one")
    firsts = np.array([e.first for e in members.elements], np.int64)
    order = np.argsort(firsts)
    own = order[np.searchsorted(firsts[order], pilot["site"], side="right") - 1]
    drawn = np.bincount(own, minlength=len(firsts))
    hits = np.bincount(own, weights=effect, minlength=len(firsts))
    groups = [e.group for e in members.elements]
    code = np.array([list(dict.fromkeys(groups)).index(g) for g in groups])
    common = (np.bincount(code, weights=hits) + 0.5) / (np.bincount(code, weights=drawn) + 1)
    share = (hits + _PRIOR * common[code]) / (drawn + _PRIOR)
    sizes = members.sites_of / members.sites_of.sum()
    best = sizes * np.sqrt(share)
    mixed = (1 - _DEFENSIVE) * best / best.sum() + _DEFENSIVE * sizes
    return tuple((mixed / mixed.sum()).tolist())
