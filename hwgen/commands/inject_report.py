"""A fault campaign as a report: what came of the faults, where and when, and what that says of safety."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Drawing

from hwgen.commands.inject import MODELS, Injection
from hwgen.commands.inject_terms import MEANINGS, NAMES, PHASES, named_outcomes
from hwgen.commands.network_report import network_section
from hwgen.faults.consequence_campaign import NetworkCampaign
from hwgen.faults.figures import Floats, Grid, Groups, Sample, Shares, grids, kind_of
from hwgen.faults.models import MEANINGS as MODEL_MEANINGS
from hwgen.faults.outcome import CLASSES, NOT_MASKED, SILENT, UNDETECTED, Outcome
from hwgen.faults.results import Share
from hwgen.faults.safety import DISCLAIMER, METHOD, Assessment, Figures
from hwgen.faults.statistics import Interval
from hwgen.faults.targets import ASIL, judge
from hwgen.report import Cell, Figure, Report, Section, Table, histogram, stacked_bars
from hwgen.report.look import HEIGHT, INK, WIDTH, as_svg, captions, draw_legend, look, new_axes, scale
from hwgen.version import VERSION

__all__ = ["COLOURS", "injection_report"]

COLOURS = {
    Outcome.SDC: "#E69F00", Outcome.CRITICAL: "#D55E00", Outcome.HANG: "#CC79A7", Outcome.PROTOCOL: "#7F7F7F",
    Outcome.DETECTED: "#009E73", Outcome.CORRECTED: "#0072B2", Outcome.LATENT: "#56B4E9", Outcome.MASKED: "#d5dbe1",
}  # fmt: skip
"""Of the outcomes, in the order in which bars are made of them."""

_DRAWS = {
    "exhaustive": "every site in every cycle", "uniform": "uniform, without replacement",
    "stratified": "stratified by class, bit and phase",
    "importance": "more often where a pilot saw what was looked for",
}  # fmt: skip
_HEAT = LinearSegmentedColormap.from_list("heat", ["#f2f7fb", "#9ecae1", "#0072B2", "#08305c"])
_MOST_TEXTS = 300  # cells that have their number written in
_MOST_TICKS = 24
_NARROW = 0.06  # part of the run that has room for a phase's name
_COARSE = 0.01  # half-width of an interval from which on tenths of a percent say nothing
_MOST_REGISTERS = 20
_MOST_GRIDS = 2
_BANDS = {"with an effect": ("#0072B2", NOT_MASKED), "undetected failure": ("#D55E00", UNDETECTED),
          "wrong result": ("#E69F00", SILENT)}  # fmt: skip


def injection_report(
    found: Injection, assessment: Assessment, *, workload: str = "", network: NetworkCampaign | None = None
) -> Report:
    """The report of a campaign.

    Parameters
    ----------
    found : Injection
        The campaign.
    assessment : Assessment
        Its safety figures.
    workload : str
        What the user called the job.
    network : NetworkCampaign, optional
        What faults meant for a network.
    """
    sample = Sample(
        found.rows, found.subject.sites, found.population, found.strata, found.request.confidence, found.plan
    )
    whole = found.summary.whole
    where = found.subject.name if workload in found.subject.name else f"{found.subject.name}, {workload}"
    return Report(
        title="Fault injection",
        subtitle=f"{where}: {_text(whole.avf)} of the faults have an effect, {_text(whole.sdc)} a wrong result",
        facts=_facts(found, workload),
        sections=[
            _outcomes(found, sample),
            *([] if network is None else [network_section(network)]),
            _places(sample),
            _bits(sample),
            _times(sample, found),
            _latency(found, sample),
            _registers(sample),
            _safety(assessment),
            _definitions(found),
        ],
    )


# Numbers as text


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.2f} %"


def _text(one: Interval | None, digits: int = 2) -> str:
    """A share with its interval, which is left out where it has no width."""
    if one is None:
        return "–"
    if one.high - one.low < 1e-9:
        return f"{100 * one.estimate:.{digits}f}\u00a0%"
    # No place for a line to break: cells of tables are narrow.
    low, high = f"{100 * one.low:.{digits}f}", f"{100 * one.high:.{digits}f}"
    return f"{100 * one.estimate:.{digits}f}\u00a0%\u00a0({low}..{high})"


def _short(one: Interval | None) -> str:
    """A share in a narrow column: no digits that its interval does not bear out."""
    return _text(one, 0 if one is not None and one.half_width > _COARSE else 1)


def _fit(one: Interval | None) -> str:
    """A rate with its interval."""
    if one is None:
        return "–"
    if one.high - one.low <= 1e-9 * one.high:
        return f"{one.estimate:.3g}"
    return f"{one.estimate:.3g}\u00a0({one.low:.3g}..{one.high:.3g})"


def _one(shares: Shares, i: int) -> Interval | None:
    """The share of one group; none without faults."""
    if not shares.faults[i]:
        return None
    return Interval(float(shares.estimate[i]), float(shares.low[i]), float(shares.high[i]))


def _facts(found: Injection, workload: str) -> dict[str, str]:
    request, members, table = found.request, found.population, found.subject.sites
    model = MODEL_MEANINGS[MODELS[request.model]]
    if request.model == "mbu":
        model = f"{request.size} {model}"
    if request.model == "override":
        model += f", {request.value:#x}"
    last = members.first + members.cycles
    draws = _DRAWS[request.sampling] + ("; stopped early" if found.stopped else "")
    facts = {
        "design": f"top module {found.subject.top}, digest {found.subject.netlist.digest}",
        "job": f"{workload or 'program'}, digest {found.subject.digest}",
        "sites": f"{members.sites:,} gates of {len(table):,}"
        if request.model == "set"
        else f"{members.sites:,} bits ({', '.join(k.replace('_', '-') for k in request.kinds)}) of "
        f"{table.flip_flops:,} in flip-flops and {table.memory_bits:,} in memories",
        "cycles": f"{members.first:,}..{last:,} of {found.subject.lanes.cycles:,}",
        "faults": f"{request.model}, {model}",
        "simulated": f"{len(found.rows):,} of {len(members):,}, {draws}",
        "seed": f"{request.seed}",
        "confidence": f"{100 * request.confidence:g} %, each interval by itself",
        "results": f"digest {found.digest[:16]}",
        "tools": f"hwgen {VERSION}",
    }
    for name, kept in (("selected sites", request.where), ("selected classes", request.classes)):
        if kept:
            facts[name] = ", ".join(kept)
    if (woken := found.waking) is not None:
        facts["trigger"] = (
            f"{' and '.join(request.triggers)}, for time {woken.count} of {len(woken.matches):,}: faults begin in "
            f"cycle {woken.first:,}, once in a run"
        )
    if found.computed:
        facts["rate"] = f"{found.rate:,.0f} faults per second"
    if (both := found.agreement) is not None:
        facts["hooked Verilog"] = (
            f"{both.mismatches} of {both.faults:,} faults differ; {both.rate:,.0f} per second"
        )
    return facts


# Sections


def _outcomes(found: Injection, sample: Sample) -> Section:
    whole = found.summary.whole
    everything = sample.by(lambda e: "all")
    mix = sample.mix(everything)[0]
    rows: list[list[Cell]] = []
    for outcome in named_outcomes(found):
        count = whole.outcomes[outcome.name.lower()]
        share = _one(sample.shares(everything, {outcome}), 0)
        rows.append([NAMES[outcome], count, _text(share), MEANINGS[outcome]])
    kinds = sample.by(lambda e: e.kind.value.replace("_", "-"))
    effect, wrong = sample.shares(kinds, NOT_MASKED), sample.shares(kinds, SILENT)
    table = [_row("all", whole)]
    for i, name in enumerate(kinds.names):
        table.append([str(name), int(effect.faults[i]), _text(_one(effect, i)), _text(_one(wrong, i))])
    table += [_row(share.name, share) for share in found.summary.classes]
    blocks = sample.by(lambda e: e.block)
    note = "Wilson's intervals."
    if found.strata:
        note = (
            "Score intervals over strata. Shares are those of strata weighed by their faults, not of counts."
        )
    if found.plan:
        note = "Shares are weighed means of draws that are not uniform; intervals are like Wilson's."
    items: list[Table | Figure] = [
        Table(title="Outcomes", columns=["outcome", "faults", "share", "meaning"], rows=rows,
              note=note),
        Table(title="By kind and class of what was struck",
              columns=["faults in", "faults", "with an effect (AVF)", "wrong result"], rows=table),
        Table(title="By block", columns=["faults in", "faults", "with an effect (AVF)", "wrong result"],
              rows=[_row(share.name, share) for share in found.summary.blocks]),
        _mixed("Outcomes by block", sample, blocks),
    ]  # fmt: skip
    masked = mix[Outcome.MASKED]
    alarms = ""
    if whole.outcomes["detected"]:
        alarms = f"\n\n{_text(whole.alarm)} of the faults are false alarms: detected, though the results were right."
    return Section(
        title="Outcomes",
        text=f"{_percent(float(masked))} of the faults are masked. Effects are all other outcomes; their share is the "
        "architectural vulnerability factor (AVF). It contains latent faults, which did no harm in this run."
        + alarms,
        items=items,
    )


def _row(name: str, share: Share) -> list[Cell]:
    return [name, share.samples, _text(share.avf), _text(share.sdc)]


def _mixed(title: str, sample: Sample, groups: Groups) -> Figure:
    """Bars of all outcomes but masked ones."""
    mix = sample.mix(groups)
    kept = np.flatnonzero(~np.isnan(mix[:, 0]))
    parts = _parts(mix[kept])
    names = [str(groups.names[i]) for i in kept]
    svg = stacked_bars(names, parts, ylabel="share of the faults [%]", value_format=".1f",
                       colours={NAMES[o]: c for o, c in COLOURS.items()})  # fmt: skip
    return Figure(title=title, svg=svg, note="Masked faults are left out.")


def _parts(mix: Floats) -> dict[str, list[float]]:
    """Outcomes that occur, in percent; always wrong results, so that there is something to draw."""
    return {
        NAMES[o]: [100 * float(value) for value in mix[:, o]]
        for o in COLOURS
        if o is not Outcome.MASKED and (mix[:, o].any() or o is Outcome.SDC)
    }


def _places(sample: Sample) -> Section:
    arrays = grids(sample.table, sample.population.elements)[:_MOST_GRIDS]
    if not arrays:
        return _block_map(sample)
    return Section(
        title="Where: the array",
        text="Share of the faults in the registers of each instance of the array that have an effect, and that end as "
        "a failure which nothing reported: a wrong result, a hang or a protocol error.",
        items=[_array(sample, grid) for grid in arrays],
    )


def _array(sample: Sample, grid: Grid) -> Figure:
    groups = sample.by_cell(grid)
    effect, failed = sample.shares(groups, NOT_MASKED), sample.shares(groups, UNDETECTED)
    shape = len(grid.rows), len(grid.columns)
    svg = _heat_maps(
        {"with an effect": effect.estimate.reshape(shape), "undetected failure": failed.estimate.reshape(shape)},
        grid.columns, grid.rows, xlabel=grid.across, ylabel=grid.down,
    )  # fmt: skip
    struck = effect.faults[groups.sizes.any(axis=0)]
    least, most = int(struck.min()), int(struck.max())
    note = f"{least:,}{f' to {most:,}' if most > least else ''} faults in each instance"
    widest = float(np.max(np.nan_to_num(effect.high - effect.low))) / 2
    note += (
        f"; intervals of the left panel reach up to ±{100 * widest:.1f} % points." if widest > 1e-9 else "."
    )
    return Figure(title=f"{grid.name}, percent of the faults", svg=svg, note=note)


def _block_map(sample: Sample) -> Section:
    """For designs without an array: blocks against classes."""
    blocks, classes = sample.by(lambda e: e.block).names, sample.by(lambda e: e.group.value).names
    pairs = sample.by(lambda e: (e.block, e.group.value))
    index = {pair: i for i, pair in enumerate(pairs.names)}
    panels = {}
    for title, outcomes in (("with an effect", NOT_MASKED), ("undetected failure", UNDETECTED)):
        estimate = sample.shares(pairs, outcomes).estimate
        panels[title] = np.array(
            [[estimate[index[b, c]] if (b, c) in index else np.nan for c in classes] for b in blocks]
        )
    svg = _heat_maps(panels, [str(c) for c in classes], [str(b) for b in blocks], xlabel="class", ylabel="")
    return Section(
        title="Where: blocks and classes",
        text="The design has no array of instances, so the map shows its blocks against what their registers do.",
        items=[
            Figure(
                title="Percent of the faults", svg=svg, note="Empty cells have no such register, or no fault."
            )
        ],
    )


def _bits(sample: Sample) -> Section:
    groups = sample.by_bit()
    items: list[Table | Figure] = []
    mix = sample.mix(groups) if groups.names else np.zeros((0, len(Outcome)))
    if not np.isnan(mix).all():
        svg = _columns([str(name) for name in groups.names], _parts(np.nan_to_num(mix)), xlabel="bit")
        note = "Bit 0 is the lowest one. Registers of a single bit and masked faults are left out."
        items = [Figure(title="Outcomes by the bit's position in its register or word", svg=svg, note=note)]
    return Section(title="Which bit", text="" if items else "No register has more than one bit.", items=items)


def _times(sample: Sample, found: Injection) -> Section:
    groups = sample.by_cycle()
    spans = np.array(groups.names, np.float64)
    shares = {
        name: sample.shares(groups, outcomes)
        for name, (_, outcomes) in _BANDS.items()
        if name != "wrong result" or not np.array_equal(*_two(sample, groups))
    }
    svg = _bands(spans, shares, found.phases if found.subject.phases else {})
    length = int(spans[0, 1] - spans[0, 0])
    note = (
        f"{len(spans)} parts of about {length:,} cycle{'s' * (length > 1)} of the run's "
        f"{found.subject.lanes.cycles:,}; bands are {100 * sample.confidence:g} % intervals."
    )
    rows: list[list[Cell]] = []
    for share in found.summary.phases:
        first, end = found.phases[share.name]
        rows.append(
            [share.name, f"{first:,}..{end - 1:,}", share.samples, _text(share.avf), _text(share.sdc)]
        )
    items: list[Table | Figure] = [
        Figure(title="Share of the faults by the cycle they strike in", svg=svg, note=note),
        Table(title="By phase", columns=["phase", "cycles", "faults", "with an effect (AVF)", "wrong result"],
              rows=rows, note=PHASES if found.subject.phases else "Equal parts of the run."),
    ]  # fmt: skip
    return Section(title="When", items=items)


def _two(sample: Sample, groups: Groups) -> tuple[Floats, Floats]:
    """Estimates of failures and of wrong results: often the same."""
    failed, wrong = (np.nan_to_num(sample.shares(groups, o).estimate) for o in (UNDETECTED, SILENT))
    return failed, wrong


def _latency(found: Injection, sample: Sample) -> Section:
    told = sample.latencies
    if not len(told):
        return Section(title="Detection latency", text="The hardware reported none of the faults.")
    summary = found.summary.latency
    svg = histogram({"reported faults": told.tolist()}, xlabel="cycles from the fault to its report",
                    ylabel="faults", bins=min(40, max(1, int(told.max() - told.min()) + 1)), log=True)  # fmt: skip
    return Section(
        title="Detection latency",
        text=f"{len(told):,} faults were reported by the hardware itself: half of them within {summary['median']:,.0f} "
        f"cycles, 95 % within {summary['p95']:,.0f}, all within {summary['max']:,.0f}.",
        items=[
            Figure(
                title="Cycles from the first active cycle of a fault to the report of an error",
                svg=svg,
                note="Counts are on a logarithmic scale.",
            )
        ],
    )


def _registers(sample: Sample) -> Section:
    items: list[Table | Figure] = []
    for title, name, groups in (
        ("Registers", "register", sample.by(lambda e: e.label)),
        ("Alike registers of repeated instances together", "registers", sample.by(lambda e: kind_of(e.label))),
    ):  # fmt: skip
        failed, effect = sample.shares(groups, UNDETECTED), sample.shares(groups, NOT_MASKED)
        sizes = groups.sizes.sum(axis=0)
        parts = np.nan_to_num(failed.estimate) * sizes
        owner = {e.label: e for e in sample.population.elements}
        owner |= {kind_of(e.label): e for e in sample.population.elements}
        rows: list[list[Cell]] = []
        for i in failed.worst(_MOST_REGISTERS):
            label = str(groups.names[i])
            rows.append(
                [
                    label, owner[label].group.value, int(sizes[i]) // sample.population.cycles,
                    int(failed.faults[i]), _short(_one(failed, i)), _short(_one(effect, i)),
                    f"{100 * parts[i] / parts.sum():.1f} %",
                ]
            )  # fmt: skip
        columns = [name, "class", "bits", "faults", "undetected failure", "with an effect", "of all"]
        note = "Last column: how much of the undetected failures of all that was selected."
        items.append(Table(title=title, columns=columns, rows=rows, note=note))
    return Section(
        title="Most vulnerable registers",
        text="Ordered by the lower bound of the share of undetected failures, because the largest estimates are those "
        "of the registers with the fewest faults. Of many intervals at once some miss: the tables say where to look.",
        items=items,
    )


def _safety(assessment: Assessment) -> Section:
    items: list[Table | Figure] = []
    figures = [*assessment.totals.values(), *assessment.blocks]
    if len(assessment.totals) == 2:  # of one kind of faults, both together are the same again
        figures.remove(assessment.totals["both"])
    groups = {"wrong result": "sdc", "hang or protocol": "due", "detected": "detected", "latent": "latent"}
    share: list[list[Cell]] = [
        [_block(f), f.kind or "both", f"{f.bits:,.0f}", _text(f.avf, 1),
         *(_text(f.shares[g], 1) for g in groups.values())]
        for f in figures
    ]  # fmt: skip
    text = [DISCLAIMER]
    if assessment.sources:
        outcomes: list[list[Cell]] = [
            [_block(f), f.kind or "both", f"{f.raw_fit:.4g}" if f.raw_fit is not None else "–",
             *(_fit(f.fit[g] if f.fit else None) for g in ("sdc", "due"))]
            for f in figures
        ]  # fmt: skip
        classes: list[list[Cell]] = [
            [_block(f), f.kind or "both", *(_fit(f.rates[c] if f.rates else None) for c in CLASSES[:3])]
            for f in figures
        ]  # fmt: skip
        metrics: list[list[Cell]] = [
            [_block(f), f.kind or "both", _text(f.spfm), _text(f.lfm), _fit(f.pmhf)]
            for f in figures
        ]  # fmt: skip
        verdicts: list[list[Cell]] = [
            [level.upper(), v.metric, v.kind, "–" if v.bound is None else _bound(v.metric, v.bound),
             f"below {v.limit:g} FIT" if v.metric == "PMHF" else f"at least {100 * v.limit:g} %",
             {None: "not judged", True: "met", False: "not met"}[v.met]]
            for level in ASIL for v in judge(assessment, level)
        ]  # fmt: skip
        items += [
            Table(title="Metrics", columns=["block", "faults", "SPFM", "LFM", "PMHF [FIT]"], rows=metrics),
            Table(title="Targets of ISO 26262-5, at the worse bound",
                  columns=["level", "metric", "faults", "bound", "target", "verdict"], rows=verdicts,
                  note="; ".join(f"{level.upper()}: {target.source}" for level, target in ASIL.items()) + "."),
            Table(title="Failures in 10⁹ hours (FIT) by outcome",
                  columns=["block", "faults", "raw rate", *list(groups)[:2]], rows=outcomes),
            Table(title="Failures in 10⁹ hours (FIT) by class of the safety analysis",
                  columns=["block", "faults", *CLASSES[:3]], rows=classes,
                  note="Residual faults violate the safety goal and nothing reports them; latent ones wait for a "
                  "second fault. What is in no class is safe."),
            Table(title="Raw rates, the user's", columns=["rate of a bit and its source"],
                  rows=[[source] for source in assessment.sources]),
        ]  # fmt: skip
    else:
        text.append("FIT, SPFM, LFM and PMHF need raw rates, which were not given; AVF is given below.")
    columns = ["block", "faults", "bits", "AVF", *groups]
    items.append(Table(title="Shares of outcomes", columns=columns, rows=share, note=METHOD))
    statements = [[one] for one in (*assessment.assumptions.statements(), *assessment.refused)]
    items.append(
        Table(title="Assumptions, and figures that are missing", columns=["statement"], rows=statements)
    )
    return Section(title="Safety", text="\n\n".join(text), items=items)


def _block(figures: Figures) -> str:
    return figures.block or "all"


def _bound(metric: str, value: float) -> str:
    return f"{value:.3g} FIT" if metric == "PMHF" else f"{100 * value:.2f} %"


def _definitions(found: Injection) -> Section:
    both = found.agreement
    compared = (
        f"{both.faults:,} of the faults, drawn anew, were repeated on the Verilog with hooks under Verilator: "
        f"{both.mismatches} differ in outcome, length or any word that the design gave."
        if both is not None
        else "No fault was repeated on the Verilog under Verilator; --verify does that."
    )
    sections = [
        "A fault strikes one site in one cycle: what the site holds at the end of that cycle is changed. Every "
        "selected site in every cycle of the window counts alike.",
        "Blocks are the outermost instances. Classes: control decides what loads or is addressed, configuration is "
        "loaded by an instruction and kept, datapath is the rest.",
        compared,
    ]
    if found.stopped:
        sections.append(
            "Sampling stopped when the interval of all effects was narrow enough; that interval is widened for the "
            "stopping, those of parts are not."
        )
    if found.plan:
        sections.append(
            "Registers in which a uniform pilot saw the outcome that was looked for were struck more often, and count "
            "less. Safety figures rest on the pilot alone."
        )
    if found.strata:
        sections.append(
            "The draws are stratified: intervals are score intervals over strata, and blocks of the safety figures "
            "are the classes that faults were drawn from."
        )
    return Section(title="What the figures mean", text="\n\n".join(sections))


# Drawings


def _heat_maps(
    panels: Mapping[str, Floats], columns: Sequence[str], rows: Sequence[str], *, xlabel: str, ylabel: str
) -> str:
    """Shares over two directions, side by side; every panel has its own scale of colours."""
    few = len(rows) * len(columns) <= _MOST_TEXTS
    height = min(9.0, max(2.2, 1.1 + len(rows) * min(0.48, 4.2 / len(columns))))
    with look():
        figure = Drawing(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        for number, (name, shares) in enumerate(panels.items(), 1):
            axes = figure.add_subplot(1, len(panels), number)
            percent = 100 * np.ma.masked_invalid(shares)
            top = float(percent.max()) if percent.count() else 1.0
            mesh = axes.pcolormesh(
                percent, cmap=_HEAT, vmin=0, vmax=top or 1.0, edgecolors="white", linewidth=0.6
            )
            axes.invert_yaxis()
            for side in axes.spines.values():
                side.set_visible(False)
            _ticks(axes.set_xticks, columns)
            _ticks(axes.set_yticks, rows)
            axes.tick_params(length=0)
            for (y, x), value in np.ndenumerate(shares):
                if few and not np.isnan(value):
                    colour = "white" if 100 * value > 0.55 * (top or 1.0) else INK
                    text = f"{100 * value:.1f}" if len(columns) <= 8 else f"{100 * value:.0f}"
                    axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7.5, color=colour)
            captions(axes, xlabel=xlabel, ylabel=ylabel if number == 1 else "", title=name)
            if not few:
                figure.colorbar(mesh, ax=axes, shrink=0.8).outline.set_visible(False)
        return as_svg(figure)


def _ticks(put: Callable[..., object], names: Sequence[str]) -> None:
    """Names of the cells in one direction; some of them where there are many."""
    step = -(-len(names) // _MOST_TICKS)
    places = list(range(0, len(names), step))
    put([place + 0.5 for place in places], [names[place] for place in places])


def _columns(names: Sequence[str], parts: Mapping[str, Sequence[float]], *, xlabel: str) -> str:
    """Narrow bars made of parts, side by side however many there are."""
    colours = {NAMES[outcome]: colour for outcome, colour in COLOURS.items()}
    with look():
        figure, axes = new_axes(HEIGHT)
        base = np.zeros(len(names))
        for name, values in parts.items():
            axes.bar(range(len(names)), values, 0.8, base, color=colours[name], label=name, linewidth=0)
            base = base + np.asarray(values)
        axes.set_xticks(range(len(names)), names, fontsize=8)
        for text in axes.get_xticklabels():
            text.set_rotation(60 if len(text.get_text()) > 2 or len(names) > 40 else 0)
        axes.set_xlim(-0.7, len(names) - 0.3)
        axes.grid(visible=True, axis="y")
        captions(axes, xlabel=xlabel, ylabel="share of the faults [%]", title="")
        draw_legend(axes, wanted=True)
        return as_svg(figure)


def _bands(spans: Floats, shares: Mapping[str, Shares], phases: Mapping[str, tuple[int, int]]) -> str:
    """Shares over the run as steps in bands of their intervals, with marks where phases begin."""
    edges = np.append(spans[:, 0], spans[-1, 1])
    with look():
        figure, axes = new_axes(HEIGHT)
        for name, share in shares.items():
            colour = _BANDS[name][0]
            axes.stairs(100 * share.estimate, edges, baseline=None, color=colour, linewidth=1.6, label=name)
            low, high = (np.append(100 * bound, 100 * bound[-1]) for bound in (share.low, share.high))
            axes.fill_between(edges, low, high, step="post", color=colour, alpha=0.18, linewidth=0)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        narrow = _NARROW * (edges[-1] - edges[0])
        for name, (first, end) in phases.items():
            axes.axvline(first, color=INK, linewidth=0.7, linestyle=":")
            if end - first > narrow:
                axes.text(
                    (first + end) / 2,
                    1.01,
                    name,
                    transform=axes.get_xaxis_transform(),
                    ha="center",
                    fontsize=8,
                )
        scale(axes.xaxis, log=False)
        axes.grid(visible=True)
        captions(axes, xlabel="cycle of the fault", ylabel="share of the faults [%]", title="")
        draw_legend(axes, wanted=True)
        return as_svg(figure)
