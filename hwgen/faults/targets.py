"""What figures must meet: levels of ISO 26262-5, targets that a user says, and verdicts at the worse bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hwgen.errors import BadInput
from hwgen.faults.knapsack import exact
from hwgen.faults.outcome import Assumptions
from hwgen.faults.safety import Assessment
from hwgen.faults.statistics import Interval

__all__ = ["ASIL", "AsilTarget", "Target", "Verdict", "confirm", "judge", "parse_target"]


@dataclass(frozen=True)
class AsilTarget:
    """What ISO 26262-5 asks of an item.

    Parameters
    ----------
    spfm, lfm : float
        At least; shares.
    pmhf_fit : float
        Below; FIT of the whole item, of which a block of hardware has a share.
    source : str
        Where the numbers are from, and what of them is not confirmed.
    """

    spfm: float
    lfm: float
    pmhf_fit: float
    source: str


_UNCONFIRMED = "LFM as public guides print it; SPFM and PMHF from memory: check them against ISO 26262-5"

ASIL: Mapping[str, AsilTarget] = {
    "asil-b": AsilTarget(0.90, 0.60, 100.0, _UNCONFIRMED),
    "asil-c": AsilTarget(0.97, 0.80, 100.0, _UNCONFIRMED),
    "asil-d": AsilTarget(0.99, 0.90, 10.0, "as public guides print it: check it against ISO 26262-5"),
}
"""Targets by level."""


@dataclass(frozen=True)
class Target:
    """What a choice must meet; ``None`` asks nothing.

    Parameters
    ----------
    name : str
        As the user said it.
    residual_fit : float, optional
        Most residual rate of both kinds of faults, in FIT.
    spfm : float, optional
        Least single-point fault metric of each kind of faults; a share.
    lfm : float, optional
        Least latent fault metric of permanent faults; a share.
    pmhf_fit : float, optional
        Rate that PMHF must be below, in FIT; needs ``lifetime_hours``.
    lifetime_hours : float, optional
        Hours that a latent fault waits.
    cycles : float, optional
        Largest product of the options' factors on cycles.
    note : str
        What a report must say of the target.
    """

    name: str
    residual_fit: float | None = None
    spfm: float | None = None
    lfm: float | None = None
    pmhf_fit: float | None = None
    lifetime_hours: float | None = None
    cycles: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("residual_fit", "pmhf_fit", "lifetime_hours", "cycles"):
            value = getattr(self, name)
            if value is not None and not (
                math.isfinite(value) and (value > 0 or (value == 0 and name != "cycles"))
            ):
                raise BadInput(f"target {self.name!r}: {name} must be a number above 0, not {value!r}")
        for name in ("spfm", "lfm"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise BadInput(f"target {self.name!r}: {name} must be a share from 0 to 1, not {value!r}")
        if self.pmhf_fit is not None and self.lifetime_hours is None:
            raise BadInput(f"target {self.name!r}: PMHF needs a lifetime; give the hours of operation")


@dataclass(frozen=True)
class Verdict:
    """One metric against its target.

    Parameters
    ----------
    metric, kind : str
        ``"SPFM"``, ``"LFM"`` or ``"PMHF"``, and the kind of faults; ``"both"`` for PMHF.
    bound : float, optional
        The bound of the interval that must meet the limit; none if there is no such figure.
    limit : float
        At least, or for PMHF below: the item's target times this hardware's share.
    met : bool, optional
        None if it cannot be said.
    note : str
        Where the limit is from, and why there is no answer.
    """

    metric: str
    kind: str
    bound: float | None
    limit: float
    met: bool | None
    note: str


def parse_target(
    text: str,
    assumptions: Assumptions | None = None,
    *,
    rates_given: bool = True,
    cycles: float | None = None,
) -> Target:
    """A target as it is said on the command line.

    Parameters
    ----------
    text : str
        ``asil-b``, ``asil-c`` or ``asil-d``; ``fit=N``, the most residual FIT; or ``spfm=P``, a share such as 0.99 or
        99%.
    assumptions : Assumptions, optional
        Lifetime and share of the budget, which a level needs for PMHF.
    rates_given : bool
        Whether the user gave raw rates. If not, a level asks no PMHF, and metrics are shares by bits.
    cycles : float, optional
        Limit on the factors on cycles.

    Raises
    ------
    BadInput
        If it is none of these, or needs what was not given.
    """
    given = Assumptions() if assumptions is None else assumptions
    note = (
        ""
        if rates_given
        else "no raw rates were given: metrics are shares by bits, as if all bits failed alike"
    )
    if text in ASIL:
        level = ASIL[text]
        if not rates_given:
            note = f"{note}, and PMHF is not asked"
            return Target(text, spfm=level.spfm, lfm=level.lfm, cycles=cycles, note=f"{note}; {level.source}")
        if given.lifetime_hours is None or given.budget_share is None:
            raise BadInput(
                f"target {text} asks PMHF, which needs a lifetime and this hardware's share of the item's "
                f"{level.pmhf_fit:g} FIT; give both"
            )
        limit, note = _budget(level, given.budget_share)
        return Target(text, None, level.spfm, level.lfm, limit, given.lifetime_hours, cycles, note)
    name, _, said = text.partition("=")
    percent = name == "spfm" and said.endswith("%")
    try:
        value = float(said.removesuffix("%") if percent else said)
    except ValueError:
        value = math.nan
    if percent and math.isfinite(value):
        value = float(exact(value) / 100)
    if name == "fit" and 0 <= value < math.inf:
        if not rates_given:
            raise BadInput(
                f"target {text} is in FIT, which needs raw rates; give a file of raw rates, or spfm=P"
            )
        return Target(text, residual_fit=value, cycles=cycles, note=note)
    if name == "spfm" and 0 <= value <= 1:
        return Target(text, spfm=value, cycles=cycles, note=note)
    raise BadInput(
        f"{text!r} is no target; expected {', '.join(ASIL)}, fit=N with N from 0, or spfm=P with P from 0 to 1 or in %"
    )


def judge(assessment: Assessment, level: str) -> tuple[Verdict, ...]:
    """Compare metrics, at the bound that is worse, with a level: all that it asks, whether there is a figure or not.

    Parameters
    ----------
    assessment : Assessment
        The figures.
    level : str
        Of :data:`ASIL`.

    Raises
    ------
    BadInput
        If there is no such level.
    """
    if level not in ASIL:
        raise BadInput(f"there are no targets of {level!r}; expected one of {', '.join(ASIL)}")
    asil, given, totals = ASIL[level], assessment.assumptions, assessment.totals
    found = [
        _least("SPFM", kind, totals[kind].spfm, asil.spfm, asil.source) for kind in totals if kind != "both"
    ]
    permanent = totals.get("permanent")
    found.append(_least("LFM", "permanent", permanent.lfm if permanent else None, asil.lfm, asil.source))
    if given.budget_share is None:
        note = f"not judged without this hardware's share of the item's budget, which is the limit here; {asil.source}"
        bound = totals["both"].pmhf
        found.append(Verdict("PMHF", "both", bound.high if bound else None, asil.pmhf_fit, None, note))
    else:
        limit, note = _budget(asil, given.budget_share)
        found.append(_pmhf(assessment, limit, note))
    return tuple(found)


def confirm(assessment: Assessment, target: Target) -> tuple[Verdict, ...]:
    """Compare what a campaign on the protected hardware found, at the bound that is worse, with the target.

    Parameters
    ----------
    assessment : Assessment
        The new campaign, with the lifetime of the target if it asks PMHF; made with
        :data:`hwgen.faults.selection.BIT_WEIGHTS` if there are no raw rates.
    target : Target
        What was asked; its limit on cycles is not compared.
    """
    totals, found = assessment.totals, []
    if target.residual_fit is not None:
        rates = totals["both"].rates
        bound = rates["residual"].high if rates else None
        met = None if bound is None else bound <= target.residual_fit
        found.append(Verdict("residual rate", "both", bound, target.residual_fit, met, target.note))
    if target.spfm is not None:
        kinds = [kind for kind in totals if kind != "both"]
        found += [_least("SPFM", kind, totals[kind].spfm, target.spfm, target.note) for kind in kinds]
    if target.lfm is not None:
        permanent = totals.get("permanent")
        found.append(
            _least("LFM", "permanent", permanent.lfm if permanent else None, target.lfm, target.note)
        )
    if target.pmhf_fit is not None:
        same = assessment.assumptions.lifetime_hours == target.lifetime_hours
        found.append(_pmhf(assessment, target.pmhf_fit, target.note, same))
    return tuple(found)


def _least(metric: str, kind: str, figure: Interval | None, limit: float, note: str) -> Verdict:
    if figure is None:
        return Verdict(metric, kind, None, limit, None, f"there is no {metric} of {kind} faults; {note}")
    return Verdict(metric, kind, figure.low, limit, figure.low >= limit, note)


def _pmhf(assessment: Assessment, limit: float, note: str, same: bool = True) -> Verdict:
    figure = assessment.totals["both"].pmhf
    if figure is None or not same:
        why = "there is no PMHF" if figure is None else "PMHF was made with another lifetime"
        return Verdict("PMHF", "both", None, limit, None, f"{why}; {note}")
    return Verdict("PMHF", "both", figure.high, limit, figure.high < limit, note)


def _budget(asil: AsilTarget, share: float) -> tuple[float, str]:
    """This hardware's part of what an item may have, and what a report says of it."""
    limit = float(exact(asil.pmhf_fit) * exact(share))
    return limit, f"PMHF below {limit:g} FIT is {share:.4g} of the item's, the user's choice; {asil.source}"
