"""How protection was chosen, as a report: front, blocks, schemes, and the campaign that confirms it."""

from __future__ import annotations

from hwgen.commands.protect import Protection
from hwgen.faults.outcome import Outcome
from hwgen.faults.protection.candidates import Effects
from hwgen.faults.safety import DISCLAIMER
from hwgen.faults.selection import Block, Selection
from hwgen.report import Cell, Figure, Report, Section, Table
from hwgen.report.plots import bars, scatter
from hwgen.synthesis import Cells
from hwgen.version import VERSION

__all__ = ["block_rows", "front_rows", "protection_report", "verdict_lines"]

_MOST_POINTS = 400  # of the front, in the plot


def protection_report(found: Protection) -> Report:
    """The report of a choice.

    Parameters
    ----------
    found : Protection
        The choice, and its confirmation if there is one.
    """
    protected = sum(scheme != "none" for scheme in found.selection.choice.values())
    sections = [_front(found), _blocks(found), _schemes(found)]
    if found.confirmation is not None:
        sections.append(_confirmation(found))
    return Report(
        title="Protection",
        subtitle=f"{found.name}: {protected} of {len(found.blocks)} blocks protected for {found.target.name}, "
        f"{100 * found.overhead:.1f} % more LUTs and flip-flops",
        facts=_facts(found),
        sections=[*sections, _definitions(found)],
    )


def front_rows(found: Protection) -> tuple[list[str], list[list[Cell]]]:
    """Columns and rows of the front, thinned out; the chosen point is marked."""
    kinds = list(found.selection.spfm)
    unit = " [FIT]" if found.has_rates else " [bits]"
    lasting = ["LFM"] if "permanent" in kinds else []
    columns = ["LUT + FF", "more", f"residual rate{unit}", *(f"SPFM, {kind}" for kind in kinds), *lasting, ""]
    points = found.points()
    if all(one.area != found.selection.area for one in points):
        points = sorted([*points, found.selection], key=lambda one: one.area)
    rows: list[list[Cell]] = []
    for one in points:
        share = 100 * one.area / found.cells_before
        rows.append(
            [
                f"{one.area:,.0f}", f"{share:.1f} %", f"{_residual(one):.3g}",
                *(f"{100 * one.spfm[kind]:.3f} %" for kind in kinds),
                *("–" if one.lfm is None else f"{100 * one.lfm:.1f} %" for _ in lasting),
                "chosen" if one.area == found.selection.area else "",
            ]
        )  # fmt: skip
    return columns, rows


def block_rows(found: Protection) -> tuple[list[str], list[list[Cell]]]:
    """Columns and rows of the blocks: what they are exposed to, what was chosen, and what that leaves."""
    unit = "[FIT]" if found.has_rates else "[bits]"
    columns = ["block", f"raw {unit}", f"residual, at most {unit}", "scheme", "LUT + FF", "coverage, at least",
               f"left, at most {unit}"]  # fmt: skip
    rows: list[list[Cell]] = []
    for block in sorted(found.blocks, key=_harm, reverse=True):
        option = next(o for o in block.options if o.name == found.selection.choice[block.name])
        raw = sum(one.raw for one in block.exposures.values())
        high = _harm(block)
        left = 0.0
        for kind, one in block.exposures.items():
            does = option.effects.get(kind)
            left += one.residual_high if does is None else (
                one.residual_high * does.factor * (1 - does.coverage_low) + does.residual
            )  # fmt: skip
        low = f"{100 * (1 - left / high):.2f} %" if high and option.effects else "–"
        rows.append(
            [block.name, f"{raw:.4g}", f"{high:.4g}", option.name, f"{option.area:,.0f}", low, f"{left:.3g}"]
        )
    return columns, rows


def verdict_lines(found: Protection) -> list[str]:
    """What the new campaign says, metric by metric."""
    if found.confirmation is None:
        return ["not confirmed: no new campaign was run"]
    words = {None: "cannot be said", True: "confirmed", False: "NOT confirmed"}
    lines = []
    for one in found.confirmation.verdicts:
        sign = "≥" if one.metric in ("SPFM", "LFM") else "≤"
        share = one.metric in ("SPFM", "LFM")
        bound = (
            "none" if one.bound is None else f"{100 * one.bound:.3f} %" if share else f"{one.bound:.4g} FIT"
        )
        limit = f"{100 * one.limit:g} %" if share else f"{one.limit:g} FIT"
        lines.append(f"{one.metric} ({one.kind}) {sign} {bound}, asked {limit}: {words[one.met]}")
    return lines


def _residual(one: Selection) -> float:
    return sum(one.residual_fit.values())


def _harm(block: Block) -> float:
    return sum(one.residual_high for one in block.exposures.values())


def _facts(found: Protection) -> dict[str, str]:
    return {
        "design and job": found.name,
        "target": found.target.name + (f"; {found.target.note}" if found.target.note else ""),
        "confidence": f"{100 * found.confidence:g} %: all bounds of the choice together",
        "choice": "least area, proved by HiGHS"
        if found.selection.least
        else "no other choice was found to be smaller",
        "area without": f"{_cells(found.before)} (Yosys, xcup)",
        "area with": f"{_cells(found.after)}: {100 * found.overhead:+.1f} % LUT + FF; "
        f"{100 * found.predicted:+.1f} % was predicted",
        "raw rates": "; ".join(found.rates.sources()) if found.has_rates else "none: all bits count alike",
        "configuration": str(found.config),
        "tools": f"hwgen {VERSION}",
    }


def _cells(cells: Cells) -> str:
    return f"{cells.lut:,} LUT, {cells.ff:,} FF, {cells.bram36:g} BRAM36"


def _front(found: Protection) -> Section:
    columns, rows = front_rows(found)
    front = found.front
    step = max(1, len(front.area) // _MOST_POINTS)
    points = [
        (100 * a / found.cells_before, r)
        for a, r in list(zip(front.area, front.residual_fit, strict=True))[::step]
        if r > 0
    ]
    chosen = [(100 * found.selection.area / found.cells_before, _residual(found.selection))]
    unit = "FIT" if found.has_rates else "bits"
    items: list[Table | Figure] = []
    if points:
        svg = scatter(
            {"least area": points, "chosen": chosen}, xlabel="more LUTs and flip-flops [%]",
            ylabel=f"residual rate, at most [{unit}]", log_y=True,
        )  # fmt: skip
        items.append(Figure(title="Residual rate against area", svg=svg, note=f"{len(front.area):,} points."))
    note = "Area is the sum of what blocks cost alone; rates are upper confidence bounds."
    items.append(Table(title="Points of the front", columns=columns, rows=rows, note=note))
    return Section(
        title="What can be had",
        text="Every point is the least area for its residual rate; no choice of schemes is better in both.",
        items=items,
    )


def _blocks(found: Protection) -> Section:
    columns, rows = block_rows(found)
    shown = [block for block in sorted(found.blocks, key=_harm, reverse=True) if _harm(block) > 0][:24]
    unit = "FIT" if found.has_rates else "bits"
    svg = ""
    if shown:
        svg = bars(
            [block.name for block in shown], {"at most": [_harm(block) for block in shown]},
            ylabel=f"residual rate without protection [{unit}]", value_format=".3g",
        )  # fmt: skip
    table = Table(
        title="Blocks and their schemes", columns=columns, rows=rows,
        note="A block is what is in its instance, but for what has a line of its own.",
    )  # fmt: skip
    return Section(
        title="Blocks", items=[Figure(title="Where harm comes from", svg=svg), table] if shown else [table]
    )


def _schemes(found: Protection) -> Section:
    rows = [_scheme(found, name, one) for name, several in found.effects.items() for one in several]
    columns = [
        *("scheme", "bits added", "harmful struck", "escaped", "corrected", "latency: least, median, most"),
        *("added bits struck", "harm", "harmless struck", "reported", "new harm", "LUT + FF", "cycles"),
    ]
    notes = dict.fromkeys(note for several in found.effects.values() for one in several for note in one.notes)
    return Section(
        title="Schemes",
        text="Each scheme was put into the whole design once. Faults that had been harmful struck again, the same bit "
        "in the same cycle; so did some that had not.",
        items=[Table(title="What schemes do in all blocks together", columns=columns, rows=rows,
                     note="; ".join([*notes][:8]))],
    )  # fmt: skip


def _scheme(found: Protection, name: str, one: Effects) -> list[Cell]:
    parts = list(one.parts.values())
    told = [p.latency for p in parts if p.latency]
    latency = (
        f"{min(t[0] for t in told)}, {sorted(t[1] for t in told)[len(told) // 2]}, {max(t[2] for t in told)}"
        if told
        else "–"
    )
    whole = sum(o.area for block in found.blocks for o in block.options if o.name == name)
    return [
        name, sum(p.added_bits for p in parts), sum(p.harmful for p in parts), sum(p.escaped for p in parts),
        sum(p.corrected for p in parts), latency, sum(p.added for p in parts), sum(p.added_harm for p in parts),
        one.harmless, one.alarms, one.new_harm, f"{whole:,.0f}", one.cycles,
    ]  # fmt: skip


def _confirmation(found: Protection) -> Section:
    confirmation = found.confirmation
    assert confirmation is not None
    rows: list[list[Cell]] = []
    for one in confirmation.campaigns:
        whole = one.summary.whole
        rows.append(
            [
                f"{one.request.model}, {' and '.join(one.request.kinds)}", whole.samples,
                *(whole.outcomes[o.name.lower()] for o in Outcome if o is not Outcome.CRITICAL),
                f"{100 * whole.alarm.estimate:.2f} %",
            ]
        )  # fmt: skip
    names = [o.name.lower() for o in Outcome if o is not Outcome.CRITICAL]
    return Section(
        title="Confirmation",
        text="\n\n".join(verdict_lines(found)),
        items=[
            Table(title="A new campaign on the protected design",
                  columns=["faults", "number", *names, "false alarms"], rows=rows,
                  note="Drawn anew over all bits, those of the mechanism too. False alarms: reported, though the "
                  "design did all it should."),
        ],
    )  # fmt: skip


def _definitions(found: Protection) -> Section:
    sentences = (
        "Upper bounds of what faults do, lower bounds of coverage and upper bounds of what faults of the mechanism do "
        "hold together (Bonferroni).",
        "SPFM = 1 − residual rate / raw rate; the mechanism's own bits count in both.",
        "LFM = 1 − latent rate / (raw − residual rate), of permanent faults; bits of the mechanism that can be stuck "
        "without a report are latent.",
        "Faults without harm are taken to stay without with protection; the new campaign does not rest on it.",
        *((found.confirmation.assessment.assumptions.statements()) if found.confirmation else ()),
        DISCLAIMER,
    )
    return Section(title="What the figures say", text="\n\n".join(sentences))
