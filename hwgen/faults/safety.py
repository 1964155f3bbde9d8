"""Safety figures of a fault campaign: AVF, FIT, SPFM, LFM and PMHF, per block and in total, with bounds that hold.

Definitions
-----------
Failures in 1e9 hours (FIT) of a class of faults: raw rate of a bit x bits x the class's share of the injections. Every
fault is in one of four classes (ISO 26262-5, annex B, as public guides tell it):

- *residual*: it violates the safety goal, and no mechanism reported it (single-point faults too);
- *detected*: a mechanism reported it, or it shows at the ports to a monitor that the assumptions name;
- *latent*: permanent, without an effect that shows, and it waits for a second fault: its outcome was ``LATENT``, or it
  is in a mechanism and was masked. Transient faults are latent if their outcome was ``LATENT``; they are shown, and are
  in no metric, being gone with the next reset;
- *safe*: all others.

With sums over the raw rates λ of all rows:

- AVF = share of faults that are not masked;
- SPFM = 1 − Σλ(residual) / Σλ;
- LFM = 1 − Σλ(latent) / Σ(λ − λ(residual)), of permanent faults;
- PMHF = Σλ(residual) + Σλ(detected) · Σλ(latent, permanent) · lifetime: every latent fault is taken to disarm the
  mechanism of every detected one, which is at least what the standard's dual-point term says.

Bounds
------
The share of a class in one row has the bounds of Clopper and Pearson; AVF has Wilson's beside. A sum or a quotient of
shares of several rows is monotone in each of them. All sampled shares that it needs, say k, get bounds at confidence
1 − (1 − confidence)/k, and the worst of all of them together bounds the figure (Bonferroni): it holds at the confidence
or above, whatever the shares are. Bounds take into account that faults are drawn from so many without replacement, if
those are less than 100 times the samples; rows that were injected exhaustively are exact, and not counted in k. Each
figure holds by itself; raw rates are taken as exact.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from hwgen.errors import BadInput
from hwgen.faults.outcome import (
    CLASSES,
    DUE,
    HANDLED,
    NOT_MASKED,
    SILENT,
    Assumptions,
    Counts,
    Outcome,
    fault_class,
)
from hwgen.faults.rates import KINDS, Rates
from hwgen.faults.statistics import Interval, clopper_pearson, wilson

__all__ = [
    *(
        "COLUMNS",
        "DISCLAIMER",
        "GROUPS",
        "METHOD",
        "Assessment",
        "Figures",
        "RowFigures",
        "assess",
        "fmeda_csv",
    ),
]

DISCLAIMER = (
    "These figures are evidence from simulated fault injection under the named assumptions; they are no certification, "
    "and no assessor has confirmed them."
)
"""What every report and every file of figures says."""

METHOD = (
    "Shares of one row: Clopper-Pearson, and Wilson for AVF; sums and quotients: Clopper-Pearson bounds of all k "
    "sampled shares at confidence 1 - (1 - confidence)/k, put together at their worst (Bonferroni); exhaustive rows "
    "and raw rates are exact."
)
"""How bounds were made, for a report."""

GROUPS: Mapping[str, frozenset[Outcome]] = {
    "sdc": SILENT,
    "critical": frozenset({Outcome.CRITICAL}),
    "due": DUE,
    "hang": frozenset({Outcome.HANG}),
    "protocol": frozenset({Outcome.PROTOCOL}),
    "detected": frozenset({Outcome.DETECTED}),
    "corrected": frozenset({Outcome.CORRECTED}),
    "latent": frozenset({Outcome.LATENT}),
}
"""Outcomes that have a share and a FIT of their own; ``sdc`` contains ``critical``, ``due`` hang and protocol."""

_HOURS = 1e9  # of a FIT
_MANY = 100  # times the samples


@dataclass(frozen=True)
class RowFigures:
    """Figures of one row.

    Parameters
    ----------
    row : Counts
        The row.
    avf, avf_wilson : Interval
        Share of faults that are not masked, after Clopper and Pearson and after Wilson.
    coverage : Interval, optional
        Diagnostic coverage: detected faults among detected and residual ones; none if there were neither.
    raw_fit : float, optional
        Of all its bits; none without a raw rate.
    source : str
        Of that raw rate; empty without one.
    """

    row: Counts
    avf: Interval
    avf_wilson: Interval
    coverage: Interval | None
    raw_fit: float | None
    source: str


@dataclass(frozen=True)
class Figures:
    """Figures of a block, or of all blocks.

    Parameters
    ----------
    block : str
        Empty for all blocks.
    kind : str
        Of :data:`~hwgen.faults.rates.KINDS`; empty for both together.
    bits : float
        Of the rows; bits of both kinds are counted once for each.
    samples : int
        Injections.
    avf : Interval
        Share of faults that are not masked, of bits that count alike.
    shares : mapping of str to Interval
        Shares by :data:`GROUPS`, of bits that count alike.
    spfm_by_bits : Interval
        What SPFM is if all bits have the same raw rate: no SPFM by itself.
    raw_fit : float, optional
        Sum of raw rates. It, ``fit``, ``rates`` and the metrics are missing without raw rates.
    fit : mapping of str to Interval, optional
        FIT by :data:`GROUPS`.
    rates : mapping of str to Interval, optional
        FIT by :data:`CLASSES`.
    spfm : Interval, optional
        Single-point fault metric; of one kind of faults, and only if its raw rates are not all 0.
    lfm : Interval, optional
        Latent fault metric; of permanent faults, and only if they are not all residual.
    pmhf : Interval, optional
        Probabilistic metric of random hardware failures in FIT; a block's or a kind's part of it. Needs a lifetime,
        and faults of both kinds.
    """

    block: str
    kind: str
    bits: float
    samples: int
    avf: Interval
    shares: Mapping[str, Interval]
    spfm_by_bits: Interval
    raw_fit: float | None = None
    fit: Mapping[str, Interval] | None = None
    rates: Mapping[str, Interval] | None = None
    spfm: Interval | None = None
    lfm: Interval | None = None
    pmhf: Interval | None = None


@dataclass(frozen=True)
class Assessment:
    """All figures of a campaign.

    Parameters
    ----------
    confidence : float
        Of every interval by itself, two-sided.
    assumptions : Assumptions
        What was assumed.
    rows : tuple of RowFigures
        As given.
    blocks : tuple of Figures
        Per block and kind.
    totals : mapping of str to Figures
        Of all blocks: by kind, and ``"both"``.
    refused : tuple of str
        Figures that are missing, each with what to give: one sentence each.
    sources : tuple of str
        Of the raw rates that were used.
    """

    confidence: float
    assumptions: Assumptions
    rows: tuple[RowFigures, ...]
    blocks: tuple[Figures, ...]
    totals: Mapping[str, Figures]
    refused: tuple[str, ...]
    sources: tuple[str, ...]


def assess(
    rows: Sequence[Counts],
    rates: Rates | None = None,
    assumptions: Assumptions | None = None,
    confidence: float = 0.95,
) -> Assessment:
    """Figures of a campaign.

    Parameters
    ----------
    rows : sequence of Counts
        At least one; no two of the same block, element, kind and stratum.
    rates : Rates, optional
        Raw rates. Without them, or for a kind of faults without all that it needs, figures in FIT are refused.
    assumptions : Assumptions, optional
        The default: all undetected failures violate the safety goal; no PMHF.
    confidence : float
        Of every interval by itself, two-sided; between 0 and 1.

    Raises
    ------
    BadInput
        If there is no row, one is there twice, or the confidence is out of range.
    """
    given = Assumptions() if assumptions is None else assumptions
    if not rows:
        raise BadInput("there are no counts to assess; give at least one row of a campaign")
    if not 0 < confidence < 1:
        raise BadInput(f"confidence must be between 0 and 1, not {confidence!r}; 0.95 is usual")
    seen: set[tuple[str, str, str, str]] = set()
    for row in rows:
        key = (row.block, row.element, row.kind, row.stratum)
        if key in seen:
            raise BadInput(f"{row.name} is there twice; add their counts up, or tell them apart by stratum")
        seen.add(key)
    lab = _Lab(rows, rates, given, confidence)
    blocks = dict.fromkeys((row.block, row.kind) for row in rows)
    kinds = [kind for kind in KINDS if any(row.kind == kind for row in rows)]
    return Assessment(
        confidence=confidence,
        assumptions=given,
        rows=tuple(lab.row(row) for row in rows),
        blocks=tuple(lab.figures(block, kind) for block, kind in blocks),
        totals={**{kind: lab.figures("", kind) for kind in kinds}, "both": lab.figures("", "")},
        refused=lab.refused(),
        sources=() if rates is None else rates.sources(),
    )


_Member = Callable[[Counts, Outcome], bool]


@dataclass(frozen=True)
class _Lab:
    """What all figures are made from."""

    rows: Sequence[Counts]
    rates: Rates | None
    assumptions: Assumptions
    confidence: float
    missing: dict[str, str] = field(init=False)  # by kind: why it has no rates

    def __post_init__(self) -> None:
        missing: dict[str, str] = {}
        for row in self.rows:
            if row.kind not in missing:
                try:
                    self.fit(row)
                except BadInput as error:
                    missing[row.kind] = str(error)
        object.__setattr__(self, "missing", missing)

    def fit(self, row: Counts) -> float:
        """Raw rate of all bits of a row."""
        if self.rates is None:
            raise BadInput(
                "no raw rates were given, which FIT needs; give a file of raw rates with their sources"
            )
        return self.rates.fit(row.kind, row.element) * row.bits

    @property
    def absent(self) -> list[str]:
        """Kinds of faults that were not injected."""
        return [kind for kind in KINDS if all(row.kind != kind for row in self.rows)]

    def refused(self) -> tuple[str, ...]:
        found = []
        for kind, why in self.missing.items():
            what = "FIT, SPFM, LFM and PMHF" if kind == "permanent" else "FIT, SPFM and PMHF"
            found.append(f"{what} of {kind} faults are refused: {why}.")
        known = sorted({row.kind for row in self.rows} - set(self.missing))
        found += [
            f"SPFM of {kind} faults is refused: all their raw rates are 0; give those of the hardware."
            for kind in known
            if not any(self.fit(row) for row in self.rows if row.kind == kind)
        ]
        if not self.missing:
            found += [
                f"PMHF is refused: no {kind} faults were injected, and it is of both kinds; inject them too."
                for kind in self.absent
            ]
            if self.assumptions.lifetime_hours is None:
                found.append(
                    "PMHF is refused: its dual-point term needs a lifetime; give the hours of operation."
                )
            if self.assumptions.budget_share is None:
                found.append("PMHF is not judged: give this hardware's share of the item's budget.")
        return tuple(found)

    def row(self, row: Counts) -> RowFigures:
        given = row.kind not in self.missing
        x = row.count(NOT_MASKED)
        avf = _share(x, row, self.confidence)
        residual = self._count(row, self._in("residual"))
        detected = self._count(row, self._in("detected"))
        n = residual + detected
        population = n if row.exhaustive else None  # how many faults are of either class is known only then
        coverage = clopper_pearson(detected, n, self.confidence, population) if n else None
        return RowFigures(
            row=row,
            avf=avf,
            avf_wilson=wilson(x, row.samples, self.confidence, row.population),
            coverage=coverage,
            raw_fit=self.fit(row) if given else None,
            source=self.rates.rate(row.kind, row.element).source if given and self.rates else "",
        )

    def figures(self, block: str, kind: str) -> Figures:
        rows = [row for row in self.rows if block in ("", row.block) and kind in ("", row.kind)]
        bits = [row.bits for row in rows]
        total = math.fsum(bits)
        found = Figures(
            block=block,
            kind=kind,
            bits=total,
            samples=sum(row.samples for row in rows),
            avf=self._mean(rows, bits, _among(NOT_MASKED)),
            shares={name: self._mean(rows, bits, _among(which)) for name, which in GROUPS.items()},
            spfm_by_bits=_rest(self._mean(rows, bits, self._in("residual"))),
        )
        if any(row.kind in self.missing for row in rows):
            return found
        weights = [self.fit(row) for row in rows]
        raw = math.fsum(weights)
        metric = bool(kind) and raw > 0
        return replace(
            found,
            raw_fit=raw,
            fit={name: self._sum(rows, weights, _among(which)) for name, which in GROUPS.items()},
            rates={name: self._sum(rows, weights, self._in(name)) for name in CLASSES},
            spfm=_rest(self._mean(rows, weights, self._in("residual"))) if metric else None,
            lfm=self._lfm(rows, weights) if metric and kind == "permanent" else None,
            pmhf=self._pmhf(rows, weights),
        )

    def _in(self, name: str) -> _Member:
        return lambda row, outcome: fault_class(row, outcome, self.assumptions) == name

    def _count(self, row: Counts, member: _Member) -> int:
        return row.count(outcome for outcome in Outcome if member(row, outcome))

    def _level(self, sampled: int) -> float:
        """Confidence of each of so many sampled shares, so that all of them hold together."""
        return 1 - (1 - self.confidence) / max(1, sampled)

    def _sum(
        self, rows: Sequence[Counts], weights: Sequence[float], member: _Member, sampled: int | None = None
    ) -> Interval:
        """Bounds of a weighted sum of shares; ``sampled`` shares must hold together, by default those of the sum."""
        level = self._level(_sampled(rows, weights) if sampled is None else sampled)
        shares = [_share(self._count(row, member), row, level) for row in rows]
        return Interval(
            *(
                math.fsum(
                    weight * getattr(share, bound) for weight, share in zip(weights, shares, strict=True)
                )
                for bound in ("estimate", "low", "high")
            )
        )

    def _mean(self, rows: Sequence[Counts], weights: Sequence[float], member: _Member) -> Interval:
        total, found = math.fsum(weights), self._sum(rows, weights, member)
        return Interval(*(min(1.0, value / total) for value in (found.estimate, found.low, found.high)))

    def _lfm(self, rows: Sequence[Counts], weights: Sequence[float]) -> Interval | None:
        sampled = 2 * _sampled(rows, weights)
        raw = math.fsum(weights)
        latent = self._sum(rows, weights, self._in("latent"), sampled)
        residual = self._sum(rows, weights, self._in("residual"), sampled)
        if residual.estimate >= raw:
            return None

        def metric(waiting: float, violating: float) -> float:
            rest = raw - violating
            return max(0.0, 1 - waiting / rest) if rest > 0 else 0.0

        return Interval(
            metric(latent.estimate, residual.estimate),
            metric(latent.high, residual.high),
            metric(latent.low, residual.low),
        )

    def _pmhf(self, rows: Sequence[Counts], weights: Sequence[float]) -> Interval | None:
        hours = self.assumptions.lifetime_hours
        if hours is None or self.missing or self.absent:
            return None
        waiting = [row for row in self.rows if row.kind == "permanent"]
        waiting_weights = [self.fit(row) for row in waiting]
        sampled = 2 * _sampled(rows, weights) + _sampled(waiting, waiting_weights)
        residual = self._sum(rows, weights, self._in("residual"), sampled)
        detected = self._sum(rows, weights, self._in("detected"), sampled)
        latent = self._sum(waiting, waiting_weights, self._in("latent"), sampled)
        return Interval(
            *(
                getattr(residual, bound) + getattr(detected, bound) * getattr(latent, bound) * hours / _HOURS
                for bound in ("estimate", "low", "high")
            )
        )


def _among(outcomes: frozenset[Outcome]) -> _Member:
    return lambda row, outcome: outcome in outcomes


def _sampled(rows: Sequence[Counts], weights: Sequence[float]) -> int:
    """Rows whose shares are not exact, and matter."""
    return sum(not row.exhaustive and weight > 0 for row, weight in zip(rows, weights, strict=True))


def _share(x: int, row: Counts, confidence: float) -> Interval:
    return _bounds(x, row.samples, confidence, row.population)


@lru_cache(maxsize=100_000)
def _bounds(x: int, n: int, confidence: float, population: int) -> Interval:
    # Few of many are as good as drawn with replacement, where bounds take a hundredth of the time and are wider, if by
    # anything: tails of the hypergeometric distribution are below those of the binomial one (Uhlmann, Metrika 1966).
    return clopper_pearson(x, n, confidence, population if population < _MANY * n else None)


def _rest(share: Interval) -> Interval:
    return Interval(1 - share.estimate, 1 - share.high, 1 - share.low)


COLUMNS = (
    *("block", "stratum", "element", "fault_kind", "is_mechanism", "bits", "failure_mode", "fault_class"),
    *("samples", "population", "count", "share", "share_low", "share_high", "confidence"),
    *("row_raw_fit", "mode_fit", "mode_fit_low", "mode_fit_high", "raw_rate_source", "note"),
)
"""Columns of :func:`fmeda_csv`. Shares are of the row's faults, and rates in FIT; empty where there is no raw rate."""


def fmeda_csv(assessment: Assessment) -> str:
    """A table for an FMEDA: one line per row of the campaign and failure mode, as text in CSV with a header.

    Parameters
    ----------
    assessment : Assessment
        The figures. Bounds of a line hold by themselves at its confidence.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for figures in assessment.rows:
        row, raw = figures.row, figures.raw_fit
        handled = bool(row.count(HANDLED))
        for outcome in Outcome:
            name = fault_class(row, outcome, assessment.assumptions)
            if name == "residual" and not handled:
                name = "single-point or residual"  # nothing was ever reported: there may be no mechanism
            share = _share(row.count([outcome]), row, assessment.confidence)
            values = [share.estimate, share.low, share.high]
            fits = (
                [""] * 4 if raw is None else [f"{x:.9g}" for x in (raw, *(raw * value for value in values))]
            )
            writer.writerow(
                [
                    *(row.block, row.stratum, row.element, row.kind, int(row.mechanism), f"{row.bits:.15g}"),
                    *(outcome.name.lower(), name, row.samples, row.population, row.count([outcome])),
                    *(f"{value:.9g}" for value in values),
                    *(f"{assessment.confidence:.9g}", *fits, figures.source, DISCLAIMER),
                ]
            )
    return text.getvalue()
