"""Blocks with options for :mod:`hwgen.faults.selection`, from what a campaign and :mod:`.candidates` measured.

Confidence
----------
Half of the error is for the campaign: upper bounds of residual shares of every block and element together (Bonferroni).
The other half is for the schemes: lower bounds of coverage and upper bounds of harm done by added bits, of every block,
element and scheme together; of permanent faults the same for latent ones. So all bounds hold at once, whatever is
chosen.

Harmless faults are taken to stay harmless with protection; some are struck again to see it, and the new campaign on the
protected design does not rest on it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from hwgen.errors import BadInput
from hwgen.faults.outcome import Assumptions, Counts
from hwgen.faults.protection.candidates import Effects, Part, scheme_words
from hwgen.faults.protection.plan import Choice
from hwgen.faults.rates import Rates
from hwgen.faults.selection import Block, Effect, Exposure, Option, exposures
from hwgen.faults.statistics import upper

__all__ = ["Measured", "options"]


@dataclass(frozen=True)
class Measured:
    """What one kind of faults did, without and with schemes.

    Parameters
    ----------
    rows : tuple of Counts
        Of a campaign without protection, by block and element; of one kind of faults.
    effects : tuple of Effects
        What schemes did.
    share : float
        Part of the raw rate that they stand for, see :func:`hwgen.faults.results.together`.
    """

    rows: tuple[Counts, ...]
    effects: tuple[Effects, ...]
    share: float = 1.0

    @property
    def kind(self) -> str:
        """Of the faults."""
        return self.rows[0].kind


def options(
    names: Sequence[str],
    measured: Sequence[Measured],
    areas: Mapping[tuple[str, str], int],
    rates: Rates,
    assumptions: Assumptions,
    confidence: float,
    only: Mapping[str, Collection[str]] | None = None,
) -> list[Block]:
    """Blocks with what can be done for them; a scheme that changes nothing in a block is none of its options.

    Parameters
    ----------
    names : sequence of str
        Of the blocks.
    measured : sequence of Measured
        Each element and kind of faults once.
    areas : mapping of (str, str) to int
        What schemes add, by block and scheme.
    rates : Rates
        Raw rates.
    assumptions : Assumptions
        What violates the safety goal.
    confidence : float
        With which all bounds hold together.
    only : mapping of str to collection of str, optional
        By scheme, blocks that can have it; all if the scheme is not there.

    Raises
    ------
    BadInput
        If an element's faults are there twice, or a raw rate is missing.
    """
    rows = [replace(row, block=f"{row.block}|{_part(row)}") for one in measured for row in one.rows]
    if len({(row.block, row.kind) for row in rows}) < len(rows):
        raise BadInput(
            "two campaigns strike the same kind of sites with the same kind of faults; give one of them"
        )
    half = (1 - confidence) / 2
    shown = exposures(rows, rates, assumptions, 1 - half)
    cells = sum(
        (1 + (part.added > 0)) * (1 + (one.kind == "permanent"))
        for one in measured
        for e in one.effects
        for part in e.parts.values()
    )
    level = 1 - half / max(1, cells)
    counts = {(row.block, row.kind): row for row in rows}
    by_kind: dict[str, dict[str, dict[str, dict[str, Part]]]] = {}
    schemes: dict[str, None] = {}
    for one in measured:
        struck = {row.element: _part(row) for row in one.rows}
        for e in one.effects:
            schemes[e.scheme] = None
            for (name, element), part in e.parts.items():
                if element not in struck:  # the campaign says nothing of it
                    continue
                own_part = replace(part, added_bits=part.added_bits * one.share)
                named = by_kind.setdefault(one.kind, {}).setdefault(e.scheme, {}).setdefault(name, {})
                named[struck[element]] = own_part
    pieces = list(dict.fromkeys(_part(row) for one in measured for row in one.rows))
    found = []
    for name in names:
        own = {
            kind: {e: shown[f"{name}|{e}"][kind] for e in pieces if kind in shown.get(f"{name}|{e}", {})}
            for kind in by_kind
        }
        made = [Option("none", 0, {})]
        known: set[Choice] = set()
        for scheme in schemes:
            choice = Choice.of(scheme_words(scheme))
            if not any((name, "memory") in e.parts for one in measured for e in one.effects):
                choice = replace(choice, memories=None)  # it has none
            if name not in (only or {}).get(scheme, names) or choice in known:
                continue
            known.add(choice)
            parts = {kind: table[scheme].get(name, {}) for kind, table in by_kind.items() if own[kind]}
            if any(
                p.added_bits or p.escaped < p.harmful for several in parts.values() for p in several.values()
            ):
                does = {
                    kind: _effect(
                        {e: (counts[f"{name}|{e}", kind], one) for e, one in own[kind].items()},
                        several,
                        rates,
                        level,
                    )
                    for kind, several in parts.items()
                }
                made.append(Option(scheme, areas[name, scheme], does))
        if not any(own.values()):
            continue
        found.append(Block(name, {kind: _sum(parts) for kind, parts in own.items() if parts}, tuple(made)))
    return found


def _part(row: Counts) -> str:
    """What bounds are for, besides a block: a kind of sites, and strata of these."""
    return f"{row.element}|{row.stratum}"


def _sum(parts: Mapping[str, Exposure]) -> Exposure:
    """Registers and memories together."""
    raw, residual, high, latent = (
        math.fsum(getattr(one, name) for one in parts.values())
        for name in ("raw", "residual", "residual_high", "latent_high")
    )
    return Exposure(raw, min(raw, residual), min(raw, max(residual, high)), min(raw, latent))


def _effect(
    own: Mapping[str, tuple[Counts, Exposure]], parts: Mapping[str, Part], rates: Rates, level: float
) -> Effect:
    """What a scheme does against one kind of faults in a block."""
    whole = seen = fixed = left = sure = added = harm = silent = waiting = hidden = 0.0
    for name, (row, exposure) in own.items():
        part = parts.get(name, Part())
        whole += exposure.residual
        sure += exposure.residual_high
        if part.harmful:
            seen += exposure.residual * (1 - part.escaped / part.harmful)
            fixed += exposure.residual * min(part.corrected, part.harmful - part.escaped) / part.harmful
        if part.whole:  # each fault of the campaign was harmful and escapes, or not
            left += exposure.raw * upper(part.escaped, row.samples, level, row.population)
        elif part.harmful:
            left += exposure.residual_high * upper(part.escaped, part.harmful, level)
        else:
            left += exposure.residual_high
        waiting += exposure.latent_high
        hidden += exposure.latent_high * (upper(part.latent_left, part.latent, level) if part.latent else 1.0)
        if part.added_bits > 0:
            raw = rates.fit(row.kind, row.element) * part.added_bits
            added += raw
            harm += raw * (float(upper(part.added_harm, part.added, level)) if part.added else 1.0)
            silent += raw * (float(upper(part.added_silent, part.added, level)) if part.added else 1.0)
    coverage = min(1.0, seen / whole) if whole else 1.0  # of nothing
    low = min(coverage, max(0.0, 1 - left / sure)) if sure else 0.0
    permanent = any(row.kind == "permanent" for row, _ in own.values())
    return Effect(
        coverage, low, corrected=min(coverage, fixed / whole) if whole else 0.0, added=added,
        added_residual=min(added, harm), added_latent=min(silent, max(0.0, added - harm)) if permanent else 0.0,
        latent_low=max(0.0, 1 - hidden / waiting) if waiting else 0.0,
    )  # fmt: skip
