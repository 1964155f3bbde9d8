"""The multiple-choice knapsack in rational numbers: one option for each item, least cost, sums within their limits.

HiGHS solves it (``scipy.optimize.milp``). Its tolerances are not ours: what it chooses is checked in rational numbers;
a choice that misses a limit is forbidden, and the rest solved again. So limits hold for certain, and the cost is the
least one, unless more choices than a few dozen lay within the solver's tolerance of a limit, which is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from hwgen.numerics import IntArray

__all__ = ["Demand", "Table", "cheapest", "exact", "front", "total"]

Table = Sequence[Sequence[Fraction]]
"""A number for each item and option."""

_ATTEMPTS = 24  # choices within the solver's tolerance that are forbidden one by one
_MARGIN = 1e-5  # of the slack; more than the solver's tolerances
_STEPS = 1 << 60  # of a sum of the front


def exact(value: float) -> Fraction:
    """The decimal number that a float prints as."""
    return Fraction(repr(float(value)))


def total(table: Table, picks: Sequence[int]) -> Fraction:
    """Sum of the options that were picked."""
    return sum((row[pick] for row, pick in zip(table, picks, strict=True)), Fraction(0))


@dataclass(frozen=True)
class Demand:
    """Either Σ num ≤ limit (< if strict), or 1 − Σ num / Σ den ≥ limit.

    Parameters
    ----------
    what, unit : str
        Names it in sentences.
    num : Table
        At least 0, if there is a ``den``.
    limit : Fraction
        The limit.
    den : Table, optional
        At least 0.
    strict : bool
        Whether the limit itself is not enough; of sums only.
    """

    what: str
    unit: str
    num: Table
    limit: Fraction
    den: Table | None = None
    strict: bool = False

    @property
    def most(self) -> Fraction:
        """What the sum of :meth:`costs` must not be above."""
        return self.limit if self.den is None else Fraction(0)

    def costs(self, limit: Fraction) -> Table:
        """The sum that is limited; of a quotient, what is too much of it at some limit."""
        if self.den is None:
            return self.num
        pairs = zip(self.num, self.den, strict=True)
        return [[n - (1 - limit) * d for n, d in zip(*pair, strict=True)] for pair in pairs]

    def _enough(self, value: Fraction) -> bool:
        return value < self.most if self.strict else value <= self.most

    def met(self, picks: Sequence[int]) -> bool:
        """Whether a choice meets it."""
        return self._enough(total(self.costs(self.limit), picks))

    def reachable(self) -> bool:
        """Whether some choice meets it."""
        return self._enough(sum((min(row) for row in self.costs(self.limit)), Fraction(0)))

    def best(self) -> Fraction:
        """The best sum or quotient of any choice; of a quotient by Dinkelbach's iteration, which ends exactly there."""
        if self.den is None:
            return sum((min(row) for row in self.num), Fraction(0))
        picks = [max(range(len(row)), key=row.__getitem__) for row in self.den]
        while whole := total(self.den, picks):
            value = 1 - total(self.num, picks) / whole
            costs = self.costs(value)
            picks = [min(range(len(row)), key=row.__getitem__) for row in costs]
            if total(costs, picks) >= 0:  # no choice is better
                return value
        return Fraction(1)


def cheapest(
    cost: Table, demands: Sequence[Demand], also: Callable[[Sequence[int]], bool] = lambda picks: True
) -> tuple[list[int], bool] | None:
    """The choice of least cost that meets all demands.

    Parameters
    ----------
    cost : Table
        Of each option, at least 0. Whole numbers are compared exactly, others to 1e-12 of their sum.
    demands : sequence of Demand
        What must be met.
    also : callable
        What must hold besides, of a choice that meets the demands; the demands should say nearly the same.

    Returns
    -------
    tuple of list of int and bool, optional
        The option of each item, and whether no other choice costs less for certain; nothing if no choice will do.
    """
    allowed = [[True] * len(row) for row in cost]
    sums: list[list[list[float]]] = []  # of what each option takes of the slack; each sum at most 1
    for demand in demands:
        if not demand.reachable():
            return None
        costs = demand.costs(demand.limit)
        extra = [[value - min(row) for value in row] for row in costs]
        slack = demand.most - sum((min(row) for row in costs), Fraction(0))
        allowed = [
            [a and e <= slack for a, e in zip(*rows, strict=True)]
            for rows in zip(allowed, extra, strict=True)
        ]
        if slack:
            sums.append([[float(min(Fraction(2), value / slack)) for value in row] for row in extra])
    cells = [(i, k) for i, row in enumerate(allowed) for k, may in enumerate(row) if may]
    if len({i for i, _ in cells}) < len(cost):
        return None
    price = np.array([float(cost[i][k]) for i, k in cells])
    if any(value.denominator != 1 for row in cost for value in row):
        price *= 1e6 / price.sum()  # the solver stops at a gap of 1e-6
    constraints = [
        LinearConstraint(
            csr_array((np.ones(len(cells)), ([i for i, _ in cells], np.arange(len(cells))))), 1, 1
        )
    ]
    limits = np.array([[table[i][k] for i, k in cells] for table in sums])
    cuts: list[LinearConstraint] = []
    for attempt in range(_ATTEMPTS + 1):
        certain = attempt < _ATTEMPTS
        within = [LinearConstraint(csr_array(limits), -np.inf, 1 if certain else 1 - _MARGIN)] if sums else []
        result = milp(
            price,
            integrality=np.ones(len(cells)),
            bounds=Bounds(0, 1),
            constraints=[*constraints, *within, *cuts],
            options={"mip_rel_gap": 0.0},
        )
        if result.status == 2:  # infeasible
            return None
        if result.status != 0:
            raise RuntimeError(f"HiGHS gave up: {result.message}")
        chosen = result.x > 0.5
        picks = [k for (_, k), taken in zip(cells, chosen.tolist(), strict=True) if taken]
        if all(demand.met(picks) for demand in demands) and also(picks):
            return picks, certain
        cuts.append(LinearConstraint(chosen.astype(float), -np.inf, len(cost) - 1))
    return None


def front(first: Table, second: Table) -> tuple[list[Fraction], list[Fraction], IntArray]:
    """All choices for which no other one has both sums as small and one of them smaller.

    By dominance, item after item, in whole numbers: values are rounded up to steps of 2**-60 of the largest sum, if
    they have no common step that is larger.

    Returns
    -------
    sums of the first table, rising; sums of the second, falling; and options, points x items
        Of choices with equal sums, one.
    """
    a, a_step = _integers(first)
    b, b_step = _integers(second)
    a_sums, b_sums = np.zeros(1, np.int64), np.zeros(1, np.int64)
    trail: list[tuple[IntArray, IntArray]] = []
    for a_row, b_row in zip(a, b, strict=True):
        a_all, b_all = np.add.outer(a_sums, a_row).ravel(), np.add.outer(b_sums, b_row).ravel()
        order = np.lexsort((b_all, a_all))
        least = np.minimum.accumulate(b_all[order])
        kept = order[np.concatenate([[True], b_all[order[1:]] < least[:-1]])]
        a_sums, b_sums = a_all[kept], b_all[kept]
        trail.append(np.divmod(kept, len(a_row)))
    picks = np.zeros((len(a_sums), len(a)), np.int64)
    at = np.arange(len(a_sums))
    for item in reversed(range(len(a))):
        before, option = trail[item]
        picks[:, item], at = option[at], before[at]
    return [v * a_step for v in a_sums.tolist()], [v * b_step for v in b_sums.tolist()], picks


def _integers(table: Table) -> tuple[list[IntArray], Fraction]:
    """Values as multiples of a step."""
    largest = sum((max(row) for row in table), Fraction(0))
    step = Fraction(1, math.lcm(*(value.denominator for row in table for value in row)))
    if largest / step > _STEPS:
        step = largest / _STEPS
    return [np.array([math.ceil(value / step) for value in row], np.int64) for row in table], step
