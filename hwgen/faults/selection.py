"""Which protection for which block: least area that meets a target at the upper confidence bound, and the Pareto front.

The problem
-----------
Every block takes one of its options. With upper bounds of rates and lower bounds of coverage, an option of a block has,
for each kind of faults,

- raw = raw rate of the block x factor + raw rate of what it adds;
- residual = residual rate of the block x factor x (1 − coverage) + residual rate of what it adds;
- latent = latent rate of the block x factor x (1 − coverage of latent faults) + latent rate of what it adds.

All sums over blocks are linear in the choice, and so are the targets:

- residual rate: Σ residual ≤ N, over both kinds;
- SPFM ≥ P: Σ (residual − (1 − P) raw) ≤ 0, for each kind apart;
- LFM ≥ L: Σ (latent − (1 − L)(raw − residual)) ≤ 0, of permanent faults;
- PMHF < B: Σ residual + h · Σ latent (permanent) < B, where h = lifetime x the largest Σ raw of any choice: at least
  the dual-point term of :mod:`hwgen.faults.safety`;
- cycles: the product of all factors, as a sum of logarithms, is at most a limit.

This is a multiple-choice knapsack; :mod:`hwgen.faults.knapsack` solves it with HiGHS, and checks what it found in
rational numbers, numbers being the decimals that they print as.

The bounds hold together, for any choice, only if they were made to: :func:`exposures` splits its error over the blocks
(Bonferroni); bounds of coverage are the caller's, who splits the rest of the error over the options.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from hwgen.errors import BadInput
from hwgen.faults.knapsack import Demand, Table, cheapest, exact, front, total
from hwgen.faults.outcome import Assumptions, Counts, Outcome, fault_class
from hwgen.faults.rates import ELEMENTS, KINDS, Rate, Rates
from hwgen.faults.statistics import upper
from hwgen.faults.targets import Target
from hwgen.numerics import IntArray

__all__ = [
    *("BIT_WEIGHTS", "OPTIONS", "Block", "Effect", "Exposure", "Front", "Option", "Selection"),
    *("choose", "evaluate", "exposures", "pareto"),
]

OPTIONS = ("none", "parity", "secded", "residue", "abft", "hardened", "dmr", "tmr")
"""Usual names of options; others are as good."""

BIT_WEIGHTS = Rates(
    {
        (kind, element): Rate(1.0, "all bits alike: weights, no raw rates")
        for kind in KINDS
        for element in ELEMENTS
    }
)
"""Stands for raw rates that were not given: a share by bits comes out, which is no SPFM, and no rate is in FIT."""

_HOURS = Fraction(10**9)  # of a FIT


@dataclass(frozen=True)
class Exposure:
    """What faults of one kind do to a block without protection, in FIT.

    Parameters
    ----------
    raw : float
        Raw rate of all bits; at least 0.
    residual, residual_high : float
        Rate of residual faults, and its upper confidence bound; at most ``raw``.
    latent_high : float
        Upper bound of the rate of latent faults; at most ``raw``.
    """

    raw: float
    residual: float
    residual_high: float
    latent_high: float = 0.0

    def __post_init__(self) -> None:
        ordered = 0 <= self.residual <= self.residual_high <= self.raw and 0 <= self.latent_high <= self.raw
        if not (math.isfinite(self.raw) and ordered):
            raise BadInput(
                f"rates must be 0 <= residual {self.residual!r} <= its upper bound {self.residual_high!r} <= raw "
                f"{self.raw!r}, and 0 <= latent {self.latent_high!r} <= raw; correct them"
            )


@dataclass(frozen=True)
class Effect:
    """What an option does against one kind of faults.

    Parameters
    ----------
    coverage, coverage_low : float
        Share of the block's residual faults that it detects or corrects, and its lower confidence bound; 0 to 1.
    corrected : float
        The part of ``coverage`` that it corrects.
    factor : float
        On all rates of the block's own bits: below 1 for hardened cells, 2 for a copy; above 0.
    added : float
        Raw rate of bits that it adds beside, in FIT.
    added_residual : float, optional
        Upper bound of the part of it that violates the safety goal; by default all of it.
    added_latent : float
        Upper bound of the part of it that is latent.
    latent_low : float
        Share of the block's latent faults that it detects or corrects, lower confidence bound; 0 to 1.
    """

    coverage: float
    coverage_low: float
    corrected: float = 0.0
    factor: float = 1.0
    added: float = 0.0
    added_residual: float | None = None
    added_latent: float = 0.0
    latent_low: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.latent_low <= 1:
            raise BadInput(
                f"coverage of latent faults must be from 0 to 1, not {self.latent_low!r}; correct it"
            )
        if not (0 <= self.coverage_low <= self.coverage <= 1 and 0 <= self.corrected <= self.coverage):
            raise BadInput(
                f"coverage {self.coverage!r} must be from 0 to 1, and neither below its lower bound "
                f"{self.coverage_low!r} nor below what is corrected, {self.corrected!r}; correct them"
            )
        if not (math.isfinite(self.factor) and self.factor > 0):
            raise BadInput(
                f"factor must be a number above 0, not {self.factor!r}; 1 leaves rates as they are"
            )
        if not (
            math.isfinite(self.added)
            and self.residual >= 0
            and self.added_latent >= 0
            and self.residual + self.added_latent <= self.added * (1 + 1e-12)
        ):
            raise BadInput(
                f"of the added rate {self.added!r}, {self.residual!r} residual and {self.added_latent!r} latent are no "
                "parts; give numbers from 0 that add up to no more"
            )

    @property
    def residual(self) -> float:
        """Upper bound of the residual rate of what it adds."""
        return self.added if self.added_residual is None else self.added_residual


@dataclass(frozen=True)
class Option:
    """A way to protect a block.

    Parameters
    ----------
    name : str
        Such as one of :data:`OPTIONS`.
    area : float
        What it adds, in any unit; at least 0. Whole numbers are compared exactly.
    effects : mapping of str to Effect
        By kind of faults; a kind that is not there is not affected.
    cycles : float
        Factor on the cycles of a run; above 0.
    """

    name: str
    area: float
    effects: Mapping[str, Effect]
    cycles: float = 1.0

    def __post_init__(self) -> None:
        if not (
            math.isfinite(self.area) and self.area >= 0 and math.isfinite(self.cycles) and self.cycles > 0
        ):
            raise BadInput(
                f"option {self.name!r} has area {self.area!r} and cycles factor {self.cycles!r}; expected an area from "
                "0 and a factor above 0"
            )
        _known(self.effects, f"option {self.name!r}")


@dataclass(frozen=True)
class Block:
    """A block and its options.

    Parameters
    ----------
    name : str
        The block.
    exposures : mapping of str to Exposure
        By kind of faults.
    options : tuple of Option
        At least one, with different names; unprotected is an option too.
    """

    name: str
    exposures: Mapping[str, Exposure]
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        names = [option.name for option in self.options]
        if not names or len(set(names)) < len(names):
            raise BadInput(f"block {self.name!r} has the options {names}; give at least one, each name once")
        _known(self.exposures, f"block {self.name!r}")


def _known(table: Mapping[str, object], where: str) -> None:
    for kind in table:
        if kind not in KINDS:
            raise BadInput(f"{where} speaks of {kind!r} faults; expected only {', '.join(KINDS)}")


@dataclass(frozen=True)
class Selection:
    """A choice, and what it comes to.

    Parameters
    ----------
    choice : mapping of str to str
        Option by block.
    area : float
        What all options add.
    cycles : float
        Product of their factors on cycles.
    raw_fit, residual_fit : mapping of str to float
        By kind of faults: raw rate, and upper bound of the residual rate.
    residual_estimate, corrected_estimate : mapping of str to float
        By kind of faults, without confidence bounds: residual rate, and rate of faults that an option corrects.
    spfm : mapping of str to float
        Lower bounds by kind of faults; a kind whose raw rate is 0 is not there.
    lfm : float, optional
        Lower bound, of permanent faults; none if nothing is left to be latent.
    pmhf_fit : float, optional
        Upper bound, if a lifetime is known.
    least : bool
        Whether no choice that meets the target has less area.
    """

    choice: Mapping[str, str]
    area: float
    cycles: float
    raw_fit: Mapping[str, float]
    residual_fit: Mapping[str, float]
    residual_estimate: Mapping[str, float]
    corrected_estimate: Mapping[str, float]
    spfm: Mapping[str, float]
    lfm: float | None
    pmhf_fit: float | None
    least: bool = False


@dataclass(frozen=True)
class Front:
    """The whole Pareto front: least area for every residual rate that a choice can have, by rising area.

    Parameters
    ----------
    area, residual_fit : tuple of float
        Of each point; the residual rate of both kinds of faults at its upper bound.
    picks : int array, points x blocks
        Which option of each block.
    problem : object
        What :meth:`selection` needs.
    """

    area: tuple[float, ...]
    residual_fit: tuple[float, ...]
    picks: IntArray
    problem: _Problem = field(repr=False)

    def selection(self, point: int, lifetime_hours: float | None = None) -> Selection:
        """All figures of one point."""
        return _selection(self.problem, self.picks[point].tolist(), lifetime_hours, True)


def exposures(
    rows: Sequence[Counts], rates: Rates, assumptions: Assumptions | None = None, confidence: float = 0.95
) -> dict[str, dict[str, Exposure]]:
    """What a campaign on the unprotected hardware says, by block and kind of faults.

    Parameters
    ----------
    rows : sequence of Counts
        The campaign.
    rates : Rates
        Raw rates; :data:`BIT_WEIGHTS` if there are none.
    assumptions : Assumptions, optional
        What violates the safety goal.
    confidence : float
        With which all upper bounds hold together; between 0 and 1.

    Raises
    ------
    BadInput
        If there is no row, a raw rate is missing, or the confidence is out of range.
    """
    given = Assumptions() if assumptions is None else assumptions
    if not rows or not 0 < confidence < 1:
        raise BadInput(
            f"{len(rows)} rows of counts at confidence {confidence!r}: give some, and one between 0 and 1"
        )
    weights = [rates.fit(row.kind, row.element) * row.bits for row in rows]
    bounds = sum(
        1 + (row.kind == "permanent")
        for row, weight in zip(rows, weights, strict=True)
        if weight and not row.exhaustive
    )
    level = 1 - (1 - confidence) / max(1, bounds)
    sums: dict[tuple[str, str], list[list[float]]] = {}
    for row, weight in zip(rows, weights, strict=True):
        count = {
            name: row.count(o for o in Outcome if fault_class(row, o, given) == name)
            for name in ("residual", "latent")
        }
        high = {name: upper(x, row.samples, level, row.population) for name, x in count.items()}
        latent = high["latent"] if row.kind == "permanent" else 0.0
        parts = (1.0, count["residual"] / row.samples, high["residual"], latent)
        sums.setdefault((row.block, row.kind), []).append([weight * part for part in parts])
    found: dict[str, dict[str, Exposure]] = {}
    for (block, kind), terms in sums.items():
        raw, *rest = (math.fsum(column) for column in zip(*terms, strict=True))
        found.setdefault(block, {})[kind] = Exposure(raw, *(min(raw, value) for value in rest))
    return found


def choose(blocks: Sequence[Block], target: Target) -> Selection:
    """The least area that meets a target at the upper confidence bound.

    Parameters
    ----------
    blocks : sequence of Block
        At least one, with different names.
    target : Target
        What must be met, all of it.

    Returns
    -------
    Selection
        Meets the target exactly, in decimal numbers.

    Raises
    ------
    BadInput
        If no choice meets it, and then the best that can be reached is named; or if it asks a metric of faults that
        no block has.
    """
    problem = _Problem(blocks)
    for metric, asked, kinds in (("PMHF", target.pmhf_fit, KINDS), ("LFM", target.lfm, ("permanent",))):
        for kind in kinds:
            if asked is not None and not any(kind in block.exposures for block in blocks):
                raise BadInput(
                    f"target {target.name} asks {metric}, and no block has {kind} faults; inject them too"
                )
    limit = target.cycles
    found = cheapest(
        problem.area,
        problem.demands(target),
        lambda picks: limit is None or problem.cycles(picks) <= exact(limit),
    )
    if found is None:
        raise BadInput(problem.why_not(target))
    picks, least = found
    return _selection(problem, picks, target.lifetime_hours, least)


def evaluate(
    blocks: Sequence[Block], choice: Mapping[str, str], lifetime_hours: float | None = None
) -> Selection:
    """What a given choice comes to, such as a copy of every block.

    Raises
    ------
    BadInput
        If the choice leaves a block out, or names one or an option that there is not.
    """
    problem = _Problem(blocks)
    if set(choice) != {block.name for block in blocks}:
        raise BadInput(
            f"the choice is of {', '.join(choice)}; give one option for each block, and for no other"
        )
    picks = []
    for block in blocks:
        names = [option.name for option in block.options]
        if choice[block.name] not in names:
            raise BadInput(
                f"block {block.name!r} has no option {choice[block.name]!r}; it has {', '.join(names)}"
            )
        picks.append(names.index(choice[block.name]))
    return _selection(problem, picks, lifetime_hours, False)


def pareto(blocks: Sequence[Block]) -> Front:
    """The whole front of area and residual rate, by dominance, block after block.

    Exact up to 2**-60 of the largest sum. Points of the same area and residual rate appear once.

    Raises
    ------
    BadInput
        If there is no block, or one is there twice.
    """
    problem = _Problem(blocks)
    both = _plus(problem.table("transient", 1), problem.table("permanent", 1))
    area, residual, picks = front(problem.area, both)
    return Front(tuple(map(float, area)), tuple(map(float, residual)), picks, problem)


class _Problem:
    """Rates of all options in rational numbers."""

    def __init__(self, blocks: Sequence[Block]):
        names = [block.name for block in blocks]
        if not names or len(set(names)) < len(names):
            raise BadInput(f"the blocks are {names}; give at least one, each name once")
        self.blocks = blocks
        self.area: Table = [[exact(option.area) for option in block.options] for block in blocks]
        self._cells = {
            kind: [[_cell(block, option, kind) for option in block.options] for block in blocks]
            for kind in KINDS
        }

    def table(self, kind: str, which: int) -> Table:
        """Of each block and option: 0 raw, 1 residual, 2 latent rate; without bounds, 3 residual, 4 corrected rate."""
        return [[cell[which] for cell in row] for row in self._cells[kind]]

    def demands(self, target: Target) -> list[Demand]:
        """What a target asks."""
        found: list[Demand] = []
        raw, residual, latent = ({kind: self.table(kind, i) for kind in KINDS} for i in range(3))
        both = _plus(residual["transient"], residual["permanent"])
        if target.residual_fit is not None:
            found.append(Demand("the residual rate", " FIT", both, exact(target.residual_fit)))
        if target.spfm is not None:
            limit = exact(target.spfm)
            found += [
                Demand(f"SPFM of {kind} faults", "", residual[kind], limit, raw[kind]) for kind in KINDS
            ]
        if target.lfm is not None:
            rest = _plus(raw["permanent"], residual["permanent"], -1)
            found.append(Demand("LFM of permanent faults", "", latent["permanent"], exact(target.lfm), rest))
        if target.pmhf_fit is not None and target.lifetime_hours is not None:
            most = sum((max(row) for row in _plus(raw["transient"], raw["permanent"])), Fraction(0))
            second = _plus(both, latent["permanent"], most * exact(target.lifetime_hours) / _HOURS)
            found.append(Demand("PMHF", " FIT", second, exact(target.pmhf_fit), strict=True))
        if target.cycles is not None:
            logs = [[Fraction(math.log(option.cycles)) for option in block.options] for block in self.blocks]
            found.append(
                Demand("the logarithm of cycles", "", logs, Fraction(math.log(target.cycles) + 1e-9))
            )
        return found

    def cycles(self, picks: Sequence[int]) -> Fraction:
        """Product of the factors on cycles."""
        return math.prod(
            (exact(block.options[pick].cycles) for block, pick in zip(self.blocks, picks, strict=True)),
            start=Fraction(1),
        )

    def why_not(self, target: Target) -> str:
        """One sentence: what cannot be met, and what can."""
        demands = self.demands(target)
        alone = [demand for demand in demands if not demand.reachable()]
        said = [f"{demand.what} is at best {_best(demand)}" for demand in alone or demands]
        together = "" if alone else "each of its demands can, but not all together: "
        return (
            f"target {target.name} cannot be met at the upper confidence bound: {together}{', '.join(said)}; inject "
            "more to narrow the bounds, give options with more coverage, or lower the target"
        )


def _best(demand: Demand) -> str:
    digits = 6 if demand.den is None else 9
    return f"{float(demand.best()):.{digits}g}{demand.unit}"


def _plus(a: Table, b: Table, by: Fraction | int = 1) -> Table:
    return [[x + by * y for x, y in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)]


def _cell(block: Block, option: Option, kind: str) -> tuple[Fraction, ...]:
    own = block.exposures.get(kind, Exposure(0.0, 0.0, 0.0))
    does = option.effects.get(kind, Effect(0.0, 0.0))
    factor, added = exact(does.factor), exact(does.residual)
    residual = exact(own.residual) * factor
    return (
        exact(own.raw) * factor + exact(does.added),
        exact(own.residual_high) * factor * (1 - exact(does.coverage_low)) + added,
        exact(own.latent_high) * factor * (1 - exact(does.latent_low)) + exact(does.added_latent),
        residual * (1 - exact(does.coverage)) + added,
        residual * exact(does.corrected),
    )


def _selection(
    problem: _Problem, picks: Sequence[int], lifetime_hours: float | None, least: bool
) -> Selection:
    blocks = problem.blocks
    options = [block.options[pick] for block, pick in zip(blocks, picks, strict=True)]
    sums = {kind: [total(problem.table(kind, i), picks) for i in range(5)] for kind in KINDS}
    raw, residual, latent, *_ = sums["permanent"]
    pmhf = None
    if lifetime_hours is not None:
        second = sum(one[0] for one in sums.values()) * latent * exact(lifetime_hours) / _HOURS
        pmhf = float(sum(one[1] for one in sums.values()) + second)
    return Selection(
        choice={block.name: option.name for block, option in zip(blocks, options, strict=True)},
        area=float(total(problem.area, picks)),
        cycles=float(problem.cycles(picks)),
        raw_fit={kind: float(one[0]) for kind, one in sums.items()},
        residual_fit={kind: float(one[1]) for kind, one in sums.items()},
        residual_estimate={kind: float(one[3]) for kind, one in sums.items()},
        corrected_estimate={kind: float(one[4]) for kind, one in sums.items()},
        spfm={kind: float(1 - one[1] / one[0]) for kind, one in sums.items() if one[0]},
        lfm=float(1 - latent / (raw - residual)) if raw > residual else None,
        pmhf_fit=pmhf,
        least=least,
    )
