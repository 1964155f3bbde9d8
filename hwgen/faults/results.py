"""What a campaign showed: shares of outcomes with intervals, in all and by class, block, bit and phase."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.faults import statistics
from hwgen.faults.importance import Importance
from hwgen.faults.models import Faults, Model
from hwgen.faults.outcome import Counts, Outcome
from hwgen.faults.plan import Stratum
from hwgen.faults.sites import Element, SiteTable
from hwgen.faults.statistics import Interval

__all__ = ["PERMANENT", "Share", "Summary", "block_counts", "groups", "share_of", "summary", "together"]

PERMANENT = frozenset(
    {Model.STUCK_AT_0, Model.STUCK_AT_1, Model.COLUMN_AT_0, Model.COLUMN_AT_1, Model.INTERMITTENT}
)
"""Models whose faults are not gone with the next reset."""


@dataclass(frozen=True)
class Share:
    """Outcomes of a group of faults.

    Parameters
    ----------
    name : str
        Of the group.
    samples, population : int
        Faults that were simulated, and that there are.
    outcomes : dict of str to int
        How many had each outcome.
    avf : Interval
        Share of faults that are not masked.
    sdc : Interval
        Share that gave a wrong result without a word.
    alarm : Interval
        Share that were reported as not corrected, though the design did what it should: false alarms.
    """

    name: str
    samples: int
    population: int
    outcomes: dict[str, int]
    avf: Interval
    sdc: Interval
    alarm: Interval

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "samples": self.samples,
            "population": self.population,
            "outcomes": self.outcomes,
            "avf": _interval(self.avf),
            "sdc": _interval(self.sdc),
            "false_alarms": _interval(self.alarm),
        }


@dataclass(frozen=True)
class Summary:
    """A campaign as a whole.

    Parameters
    ----------
    whole : Share
        All faults.
    classes, blocks, phases : tuple of Share
        By what a site does, where it is, and when it is struck.
    latency : dict of str to float
        Cycles from a fault to the design's report: median, 95 % quantile and maximum, if there was a report.
    """

    whole: Share
    classes: tuple[Share, ...]
    blocks: tuple[Share, ...]
    latency: dict[str, float]
    phases: tuple[Share, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "injections": self.whole.samples,
            "population": self.whole.population,
            "outcomes": self.whole.outcomes,
            "avf": _interval(self.whole.avf),
            "sdc": _interval(self.whole.sdc),
            "false_alarms": _interval(self.whole.alarm),
            "classes": [share.to_dict() for share in self.classes],
            "blocks": [share.to_dict() for share in self.blocks],
            "phases": [share.to_dict() for share in self.phases],
            "latency": self.latency,
        }


def _interval(one: Interval) -> dict[str, float]:
    return {"estimate": one.estimate, "low": one.low, "high": one.high}


_Counted = dict[str, int]


def _outcomes(rows: Faults) -> _Counted:
    counted = np.bincount(rows["outcome"], minlength=len(Outcome))
    return {one.name.lower(): int(counted[one]) for one in Outcome}


def _share(
    name: str,
    rows: Faults,
    sizes: dict[int, int],
    method: Callable[..., Interval],
    confidence: float,
    plan: Importance | None = None,
) -> Share:
    """Outcomes of rows that were drawn from strata of these sizes."""
    population = sum(sizes.values())

    def interval(chosen: npt.NDArray[np.bool_]) -> Interval:
        if plan is not None:
            return plan.share(rows, chosen, confidence)
        if len(sizes) == 1:
            return method(int(chosen.sum()), len(rows), confidence, population)
        strata = []
        for h, size in sizes.items():
            mine = rows["stratum"] == h
            strata.append(
                statistics.Stratum(int(chosen[mine].sum()), int(mine.sum()), size / population, size)
            )
        return statistics.stratified(strata, confidence)

    effect = interval(rows["outcome"] != Outcome.MASKED)
    sdc = interval((rows["outcome"] == Outcome.SDC) | (rows["outcome"] == Outcome.CRITICAL))
    harmless = (rows["effect"] == Outcome.MASKED) | (rows["effect"] == Outcome.LATENT)
    alarm = interval((rows["outcome"] == Outcome.DETECTED) & harmless)
    return Share(name, len(rows), population, _outcomes(rows), effect, sdc, alarm)


def groups(rows: Faults, table: SiteTable, key: Callable[[Element], str]) -> dict[str, npt.NDArray[np.bool_]]:
    """Rows by a property of their elements: masks, in the order in which elements have the property."""
    names = [key(e) for e in table.elements]
    index = {name: i for i, name in enumerate(dict.fromkeys(names))}
    own = np.array([index[name] for name in names])[table.locate(rows["site"])[0]]
    return {name: own == i for name, i in index.items() if (own == i).any()}


def summary(
    rows: Faults, table: SiteTable, elements: Iterable[Element], cycles: int, *, strata: Sequence[Stratum] = (),
    exact: bool = False, confidence: float = 0.95, phases: Mapping[str, tuple[int, int]] | None = None,
    plan: Importance | None = None,
) -> Summary:  # fmt: skip
    """Shares and their intervals.

    Parameters
    ----------
    rows : structured array of :data:`hwgen.faults.campaign.OUTCOME`
        Results.
    table : SiteTable
        All sites.
    elements : iterable of Element
        Those of the population.
    cycles : int
        Of its window.
    strata : sequence of Stratum
        Of a stratified campaign.
    exact : bool
        Clopper-Pearson intervals instead of Wilson's.
    confidence : float
        Of all intervals, each by itself.
    phases : mapping of str to (int, int), optional
        Parts of the window: first cycle, and one after the last.
    plan : Importance, optional
        Of a campaign with importance sampling.
    """
    method = statistics.clopper_pearson if exact else statistics.wilson
    chosen = list(elements)

    def by(key: Callable[[Element], str]) -> tuple[Share, ...]:
        found = []
        for name, mask in groups(rows, table, key).items():
            members = [e for e in chosen if key(e) == name]
            if strata:
                sizes = _sizes(strata, lambda e, name=name: key(e) == name)  # type: ignore[misc]
                sizes = {h: n for h, n in sizes.items() if (rows["stratum"][mask] == h).any()}
            else:
                sizes = {0: sum(e.sites for e in members) * cycles}
            found.append(_share(name, rows[mask], sizes, method, confidence, plan))
        return tuple(found)

    def during(name: str, first: int, end: int) -> Share | None:
        own = rows[(rows["cycle"] >= first) & (rows["cycle"] < end)]
        if strata:
            sizes = {
                h: n for h, n in _sizes(strata, span=(first, end)).items() if (own["stratum"] == h).any()
            }
        else:
            sizes = {0: sum(e.sites for e in chosen) * (end - first)}
        return _share(name, own, sizes, method, confidence, plan) if len(own) else None

    sizes = _sizes(strata) if strata else {0: sum(e.sites for e in chosen) * cycles}
    told = rows["latency"][rows["outcome"] == Outcome.DETECTED]
    latency = (
        {"median": float(np.median(told)), "p95": float(np.quantile(told, 0.95)), "max": float(told.max())}
        if len(told)
        else {}
    )
    return Summary(
        _share("all", rows, sizes, method, confidence, plan),
        by(lambda e: e.group.value),
        by(lambda e: e.block),
        latency,
        tuple(share for name, span in (phases or {}).items() if (share := during(name, *span)) is not None),
    )


def _sizes(
    strata: Sequence[Stratum],
    wanted: Callable[[Element], bool] = lambda e: True,
    span: tuple[int, int] = (0, 1 << 62),
) -> dict[int, int]:
    """Faults of every stratum on some elements, in some cycles."""
    found = {}
    for h, stratum in enumerate(strata):
        p = stratum.population
        spans = p.bits or tuple((0, e.width) for e in p.elements)
        sites = sum(
            (high - low) * e.depth for e, (low, high) in zip(p.elements, spans, strict=True) if wanted(e)
        )
        cycles = min(p.first + p.cycles, span[1]) - max(p.first, span[0])
        if sites and cycles > 0:
            found[h] = sites * cycles
    return found


def block_counts(
    rows: Faults,
    table: SiteTable,
    elements: Iterable[Element],
    cycles: int,
    *,
    mechanisms: frozenset[str] = frozenset(),
    block: Callable[[Element], str] = lambda e: e.block,
) -> list[Counts]:
    """Counts for the safety figures: a row for each block, kind of element and kind of fault.

    Parameters
    ----------
    rows, table, elements, cycles
        As of :func:`summary`; of campaigns that draw uniformly or take everything.
    mechanisms : frozenset of str
        Labels of elements that protect others.
    block : callable
        The block of an element.
    """
    found: list[Counts] = []
    chosen = list(elements)
    transient = ~np.isin(rows["model"], [int(m) for m in PERMANENT])

    def key(e: Element) -> str:
        return f"{block(e)}|{e.kind.value}|{int(e.label in mechanisms)}"

    for name, mask in groups(rows, table, key).items():
        where, kind, mechanism = name.split("|")
        members = [e for e in chosen if key(e) == name]
        bits = sum(e.sites for e in members)
        for lasting, own in (("transient", mask & transient), ("permanent", mask & ~transient)):
            if not own.any():
                continue
            counted = np.bincount(rows["outcome"][own], minlength=len(Outcome))
            found.append(
                Counts(
                    block=where, element=kind, kind=lasting, bits=bits, samples=int(own.sum()),
                    population=bits * cycles,
                    counts={one: int(counted[one]) for one in Outcome if counted[one]},
                    mechanism=mechanism == "1", stratum="mechanism" if mechanism == "1" else "",
                )
            )  # fmt: skip
    return found


_PAIRS = ({Model.STUCK_AT_0, Model.STUCK_AT_1}, {Model.COLUMN_AT_0, Model.COLUMN_AT_1})


def share_of(model: Model, models: Iterable[Model]) -> float:
    """Part of the raw rate that a campaign stands for among others on the same sites: a half, if the other value that
    bits can be stuck at has a campaign of its own."""
    pair = next((pair for pair in _PAIRS if model in pair), set())
    return 0.5 if pair and pair <= set(models) else 1.0


def together(parts: Sequence[tuple[Model, Sequence[Counts]]]) -> list[list[Counts]]:
    """Counts of campaigns that are put together, each with the part of the bits that it stands for.

    Parameters
    ----------
    parts : sequence of (Model, sequence of Counts)
        Campaigns on one design and job.

    Returns
    -------
    list of list of Counts
        Of each campaign.
    """
    found = []
    for model, rows in parts:
        kinds = {(row.element, row.kind) for row in rows}
        others = [m for m, some in parts if kinds & {(row.element, row.kind) for row in some}]
        share = share_of(model, others)
        found.append(
            list(rows)
            if share == 1
            else [
                replace(row, bits=row.bits * share, stratum=f"{row.stratum} {model.name}".strip())
                for row in rows
            ]
        )
    return found
