"""``hwgen inject``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hwgen.cli.terminal import (
    ERR,
    JSON,
    OUT,
    PROTECT,
    SET,
    examples,
    file_option,
    print_table,
    progress,
    write_json,
)
from hwgen.commands import targets
from hwgen.errors import BadInput
from hwgen.files import output_folder, write_all, write_if_changed

if TYPE_CHECKING:  # the fault lab is loaded by those who need it
    from hwgen.commands.inject import Injection, Sampling
    from hwgen.faults.consequence_campaign import NetworkCampaign
    from hwgen.faults.results import Share
    from hwgen.faults.safety import Assessment
    from hwgen.faults.statistics import Interval

__all__ = ["inject_command"]

_MODELS = (
    "seu", "mbu", "stuck-at-0", "stuck-at-1", "intermittent", "word", "column-at-0", "column-at-1", "override",
    "swap", "set",
)  # fmt: skip


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on a terminal, nothing in a pipe."""
    if not ERR.is_terminal:
        yield None
        return
    columns = (TextColumn("faults"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERR, transient=True) as bar:
        task = bar.add_task("faults", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _window(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, dots, end = text.partition("..")
    if not dots or not first.isdecimal() or not end.isdecimal():
        raise BadInput(f"--window takes FIRST..END, two cycles such as 100..200, not {text!r}")
    return int(first), int(end)


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        raise BadInput(f"--value takes a number such as 12 or 0xff, not {text!r}") from None


@click.command(
    "inject",
    epilog=examples(
        "hwgen inject dsp_gemm --set rows=4 --set cols=4 tile --exhaustive -o out/tile",
        "hwgen inject edge gemm:8x64x8 --samples 100000 -o out/edge --verify 500",
        "hwgen inject edge gemm:8x64x8 --stratified --error 0.005 -o out/strata",
        "hwgen inject tiny tile --model stuck-at-1 --classes control --classes configuration -o out/stuck",
        "hwgen inject tiny tile --kinds memory --sites act_buffer -o out/memory --resume",
        "hwgen inject dsp_gemm --set rows=8 --set cols=8 mnist --layer conv2 --image 7 -o out/conv2",
        "hwgen inject tiny tile --trigger irq=0 --model stuck-at-1 --duration 9 --sites dispatch -o out/woken",
        "hwgen inject edge gemm:8x64x8 -o out/edge --resume --report out/edge-report --rates rates.toml",
        "hwgen inject tiny tile -o out/seu --with out/stuck --rates rates.toml --lifetime 8760 --fmeda out/fmeda.csv",
    ),
)
@click.argument("target", metavar="CONFIG")
@click.argument("workload", required=False)
@SET
@click.option(
    "--model", type=click.Choice(_MODELS), default="seu", show_default=True, help="What a fault does."
)
@click.option("--size", default=2, show_default=True, help="Bits of a multi-bit upset (mbu).")
@click.option(
    "--duration", type=int, metavar="CYCLES", help="How long; an upset 1, others to the end if absent."
)
@click.option("--period", default=1, show_default=True, help="Of an intermittent fault, in cycles.")
@click.option("--on", default=1, show_default=True, help="Active cycles of every period.")
@click.option("--value", metavar="NUMBER", help="What an override loads, such as 12 or 0xff.")
@click.option(
    "--trigger", "triggers", multiple=True, metavar="NAME=VALUE[/MASK]",
    help="A trojan: faults begin after the cycle in which this port or register has the value; may be repeated.",
)  # fmt: skip
@click.option(
    "--trigger-count", "count", type=int, default=1, show_default=True,
    help="Number of the matching cycle, from 1.",
)  # fmt: skip
@click.option(
    "--layer", metavar="NAME", help="Strike a tile of this layer, and follow it to the network's answer."
)
@click.option("--image", default=0, show_default=True, help="Of --layer: number of the digit or sentence.")
@click.option("--exhaustive", is_flag=True, help="Every selected site in every cycle.")
@click.option(
    "--stratified", is_flag=True, help="Strata of class, bit and phase; a pilot divides the samples."
)
@click.option(
    "--importance", type=click.Choice(("sdc", "hang", "protocol", "detected", "corrected", "latent")),
    help="Draw more where a pilot saw this outcome, and weigh the draws.",
)  # fmt: skip
@click.option("--phases", default=4, show_default=True, help="Equal parts of the run, for strata.")
@click.option("--samples", type=click.IntRange(min=1), help="Faults; what --error needs if absent.")
@click.option(
    "--error", type=click.FloatRange(0, 0.5, min_open=True, max_open=True), default=0.01, show_default=True,
    help="Half the width of the interval.",
)  # fmt: skip
@click.option(
    "--confidence", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.95, show_default=True,
    help="Of all intervals.",
)  # fmt: skip
@click.option("--early-stop", is_flag=True, help="Stop when the interval is narrow enough.")
@click.option("--sites", "where", multiple=True, metavar="NAME", help="Only this instance or register.")
@click.option(
    "--classes", multiple=True, type=click.Choice(("datapath", "control", "configuration", "memory")),
    help="Only this class.",
)  # fmt: skip
@click.option(
    "--kinds", multiple=True, type=click.Choice(("flip_flop", "memory")), default=("flip_flop",), show_default=True,
    help="Flip-flops, bits of memories.",
)  # fmt: skip
@click.option("--window", metavar="FIRST..END", help="Only these cycles.")
@click.option("--regime", default="free", show_default=True, help="For cores: when the other sides move.")
@click.option("--seed", default=0, show_default=True, help="Seed of draws, operands and weights.")
@click.option("--verify", default=0, show_default=True, help="Repeat so many faults on the hooked Verilog.")
@click.option(
    "--processes", type=click.IntRange(min=1), default=2, show_default=True, help="On this machine."
)
@click.option("--cluster", metavar="ADDRESS", help="Run on this Dask cluster instead.")
@click.option("--resume", is_flag=True, help="Go on with the results that are in the folder.")
@file_option("--program", "For accelerators: run this program (.hwasm or .hwp) instead of a workload.")
@file_option("--memory", "Bytes of DRAM for --program.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    required=True,
    help="Folder of the results.",
)
@PROTECT
@file_option("--report", "Write report.html into this folder.", "DIR")
@file_option("--rates", "Raw failure rates (TOML), for FIT, SPFM, LFM and PMHF.")
@file_option("--fmeda", "Write a table for an FMEDA (CSV).")
@click.option(
    "--with", "others", multiple=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Results of a campaign on the same job, of other faults, for the safety figures.",
)  # fmt: skip
@click.option("--lifetime", type=float, metavar="HOURS", help="For PMHF: how long a latent fault waits.")
@click.option("--budget-share", type=float, metavar="SHARE", help="Of the item's PMHF that is the design's.")
@JSON
def inject_command(
    target: str, workload: str | None, settings: tuple[str, ...], model: str, size: int, duration: int | None,
    period: int, on: int, value: str | None, triggers: tuple[str, ...], count: int, layer: str | None, image: int,
    exhaustive: bool, stratified: bool, importance: str | None, phases: int, samples: int | None, error: float,
    confidence: float, early_stop: bool, where: tuple[str, ...], classes: tuple[str, ...], kinds: tuple[str, ...],
    window: str | None, regime: str, seed: int, verify: int, processes: int, cluster: str | None, resume: bool,
    program: Path | None, memory: Path | None, output: Path, protect: Path | None, report: Path | None,
    rates: Path | None, fmeda: Path | None, others: tuple[Path, ...], lifetime: float | None,
    budget_share: float | None, json_file: Path | None,
) -> None:  # fmt: skip
    """Inject faults into CONFIG while it runs WORKLOAD, and tell what came of them.

    CONFIG is a core with --set, a name in configs/ or a TOML file; WORKLOAD is tile, a layer such as gemm:8x64x8, or
    for accelerators any network that hwgen run takes. Faults are drawn uniformly, so many that the share of faults with
    an effect is known to --error, unless --exhaustive, --stratified or --importance say otherwise. Results are Parquet
    files in the folder; a campaign that was stopped goes on with --resume, and ends with the same bytes. One that is
    finished is only read, which writes --report, --fmeda and --json without simulating again.

    Figures in FIT need raw rates, which are the user's: --rates names a file with their sources. PMHF also needs
    --lifetime, and campaigns of transient and of permanent faults: give the folder of the other one to --with.

    A trojan is a --trigger and a --model, which is its payload: it wakes up once in a run, for --duration cycles.

    With --layer, WORKLOAD is mnist, mnist_w4a8 or minilm and CONFIG the core dsp_gemm, which computes a tile of that
    layer; wrong sums go on through the network, and the tables tell where they were masked and what the answer is.

    A design with protection is first compared with the same one without: same cycles, same outputs, no report.

    --verify repeats faults on the hooked Verilog under Verilator; a difference ends with exit code 1.
    """
    from hwgen.commands.inject import Request, inject, job_of, safety, safety_facts, subject_of
    from hwgen.commands.inject_network import followed, network_work
    from hwgen.faults.outcome import Assumptions
    from hwgen.faults.rates import load_rates

    began = time.perf_counter()
    if exhaustive and (stratified or importance or samples or early_stop):
        raise BadInput(
            "--exhaustive takes every fault; leave out --stratified, --importance, --samples and --early-stop"
        )
    if stratified and importance:
        raise BadInput("--stratified and --importance are two ways to draw; give one of them")
    if early_stop and (stratified or importance):
        raise BadInput(
            "--early-stop is for uniform draws; leave it out or drop --stratified and --importance"
        )
    if importance and layer is not None:
        raise BadInput("--importance looks at the design alone; with --layer draw uniformly or stratified")
    if workload is None and program is None:
        raise BadInput(f"give a workload for {target}, such as tile or gemm:8x64x8")
    if layer is not None and (program or memory or protect or regime != "free"):
        raise BadInput(
            "--layer strikes a plain core on streams that never wait; leave out --program, --memory, --protect and "
            "--regime"
        )
    if rates is None and (lifetime is not None or budget_share is not None):
        raise BadInput("--lifetime and --budget-share are for PMHF, which needs raw rates; add --rates FILE")
    raw = None if rates is None else load_rates(rates)
    assumptions = Assumptions(lifetime_hours=lifetime, budget_share=budget_share)
    if report is not None:
        output_folder(report)
    if fmeda is not None:
        output_folder(fmeda.parent)
    sampling: Sampling = "exhaustive" if exhaustive else "stratified" if stratified else "uniform"
    sampling = "importance" if importance else sampling
    request = Request(
        model=model, size=size, duration=duration, period=period, on=on, where=where, classes=classes, kinds=kinds,
        window=_window(window), sampling=sampling, samples=samples, error=error, confidence=confidence,
        early=early_stop, phases=phases, sought=importance or "sdc", seed=seed, verify=verify,
        value=_number(value), triggers=triggers, count=count,
        job={} if layer else job_of(target, settings, workload, seed, regime, program, memory, protect),
    )  # fmt: skip
    work = None
    with progress() as tell:
        tell("design and job")
        if layer is not None:
            work = network_work(target, targets.parse_settings(settings), workload or "", layer, image)
        subject = work.subject if work else subject_of(
            target, targets.parse_settings(settings), workload or "", seed=seed, program=program, memory=memory,
            regime=regime, protect=protect,
        )  # fmt: skip
    with _bar() as advance:
        found = inject(
            subject, output, request, resume=resume, processes=processes, cluster=cluster, progress=advance,
            warn=lambda text: ERR.print(text, soft_wrap=True, markup=False), work=work,
        )  # fmt: skip
    network = followed(found, work) if work else None
    figures = safety(found, raw, assumptions, others)
    _print_outcomes(found)
    if network is not None:
        _print_network(network)
    _print_shares(found)
    if raw is not None:
        _print_safety(figures)
    for name, path in _written(found, figures, workload or str(program), report, fmeda, network).items():
        OUT.print(f"{name}: {path}", soft_wrap=True, markup=False)
    OUT.print(f"results in {found.folder}", soft_wrap=True, markup=False)
    more = {} if network is None else {"network": network.to_dict()}
    write_json(json_file, "inject", found.to_dict() | more | {"safety": safety_facts(figures)}, began)
    if found.agreement is not None and found.agreement.mismatches:
        raise SystemExit(1)


def _written(
    found: Injection, figures: Assessment, workload: str, report: Path | None, fmeda: Path | None,
    network: NetworkCampaign | None,
) -> dict[str, Path]:  # fmt: skip
    """Write the files that were asked for."""
    written = {}
    if report is not None:
        from hwgen.commands.inject_report import injection_report
        from hwgen.report import render

        page = render(injection_report(found, figures, workload=workload, network=network))
        (written["report"],) = write_all(report, {"report.html": page})
    if fmeda is not None:
        from hwgen.faults.safety import fmeda_csv

        try:
            write_if_changed(fmeda, fmeda_csv(figures))
        except OSError as error:
            raise BadInput(
                f"--fmeda {fmeda} cannot be written ({error.strerror}); name another file"
            ) from None
        written["fmeda"] = fmeda
    return written


def _print_outcomes(found: Injection) -> None:
    """Every outcome, with what it means."""
    from hwgen.commands.inject_terms import MEANINGS, NAMES, named_outcomes

    whole = found.summary.whole
    table = Table("outcome", box=None, padding=(0, 2, 0, 0))
    table.add_column("faults", justify="right")
    table.add_column("share", justify="right")
    table.add_column("meaning")
    for one in named_outcomes(found):
        count = whole.outcomes[one.name.lower()]
        share = "" if found.strata else f"{count / whole.samples:.2%}"  # counts of strata are no shares
        if found.plan is not None:
            share = _shares(
                found.plan.share(found.rows, found.rows["outcome"] == one, found.request.confidence)
            )
        table.add_row(NAMES[one], f"{count:,}", share, MEANINGS[one])
    lines = []
    if (woken := found.waking) is not None:
        lines.append(
            f"{' and '.join(found.request.triggers)} in {len(woken.matches):,} cycles, so faults begin in cycle "
            f"{woken.first:,}"
        )
    print_table(table, lines)


def _print_network(campaign: NetworkCampaign) -> None:
    """Where faults were masked, and the network's answer."""
    from hwgen.commands.inject_network import WHERE, answers

    shares = campaign.masked
    table = Table("right from here on", box=None, padding=(0, 2, 0, 0))
    for name in ("faults", "share"):
        table.add_column(name, justify="right")
    table.add_column("meaning")
    for where, meaning in WHERE.items():
        name = where.name.lower()
        count = int((campaign.rows["masked"] == where).sum())
        table.add_row(name.replace("_", " "), f"{count:,}", _shares(shares[name]), meaning)
    lines = [
        f"the network's results differ: {_shares(campaign.silent)}; its answer: {_shares(campaign.critical)}"
    ]
    print_table(table, [*lines, *(f"{name}: {text}" for name, text in answers(campaign).items())])


def _print_shares(found: Injection) -> None:
    """Shares of outcomes as a table, in all and by class, block and phase."""
    from hwgen.commands.inject_terms import NAMES
    from hwgen.faults.outcome import Outcome

    summary = found.summary
    shares = [summary.whole, *summary.classes, *summary.blocks, *summary.phases]
    ends = {0, len(summary.classes), len(summary.classes) + len(summary.blocks)}
    spans = {}
    if found.subject.phases:  # those without names have their cycles as names
        for i, share in enumerate(summary.phases, len(shares) - len(summary.phases)):
            first, end = found.phases[share.name]
            spans[i] = f" ({first:,}..{end - 1:,})"
    names = {one.name.lower(): NAMES[one] for one in Outcome if one is not Outcome.SDC}
    names = {name: text for name, text in names.items() if summary.whole.outcomes[name]}
    sites, cycles = found.population.sites, found.population.cycles
    size = f"{sites:,} site{'s' * (sites > 1)}, {cycles:,} cycle{'s' * (cycles > 1)}"
    table = Table(title=f"{found.subject.name}: {size}")
    table.add_column("faults in")
    for name in ("faults", "not masked", "wrong result", *names.values()):
        table.add_column(name, justify="right")
    for i, share in enumerate(shares):
        # Counts of draws that are not uniform are no shares.
        cells = [
            f"{share.outcomes[name]:,}"
            if found.strata or found.plan
            else f"{share.outcomes[name] / share.samples:.2%}"
            for name in names
        ]
        table.add_row(
            f"{share.name}{spans.get(i, '')}", f"{share.samples:,}", _interval(share, "avf"),
            _interval(share, "sdc"), *cells,
        )  # fmt: skip
        if i in ends:
            table.add_section()
    lines = []
    if found.computed:
        lines.append(f"{found.computed:,} faults in {found.seconds:.1f} s: {found.rate:,.0f} per second")
    if found.stopped:
        lines.append("stopped early: the interval is as narrow as was asked for")
    if found.summary.latency:
        parts = ", ".join(f"{name} {value:,.0f}" for name, value in found.summary.latency.items())
        lines.append(f"cycles from a fault to the design's report of an error: {parts}")
        lines.append(
            f"false alarms, reported though the design did all it should: {_interval(summary.whole, 'alarm')}"
        )
    if (both := found.agreement) is not None:
        ratio = f"; {found.rate / both.rate:,.1f} times as fast" if found.computed and both.rate else ""
        lines.append(
            f"hooked Verilog: {both.faults:,} faults, {both.mismatches} mismatches, {both.rate:,.0f} per second{ratio}"
        )
        if both.first:
            lines.append(both.first)
    print_table(table, lines)


def _print_safety(figures: Assessment) -> None:
    """Metrics by kind of fault, and whether levels are met."""
    from hwgen.faults.safety import DISCLAIMER
    from hwgen.faults.targets import ASIL, judge

    table = Table(title="safety")
    table.add_column("faults")
    for name in ("raw FIT", "residual FIT", "AVF", "SPFM", "LFM", "PMHF"):
        table.add_column(name, justify="right")
    for kind, one in figures.totals.items():
        if kind == "both" and len(figures.totals) == 2:
            continue  # of one kind, both together are the same again
        table.add_row(
            kind, "–" if one.raw_fit is None else f"{one.raw_fit:.4g}",
            _rate(one.rates["residual"] if one.rates else None), _shares(one.avf), _shares(one.spfm),
            _shares(one.lfm), _rate(one.pmhf),
        )  # fmt: skip
    words = {None: "not judged", True: "met", False: "not met"}
    lines = []
    for level in ASIL:
        verdicts = (f"{v.metric} ({v.kind}) {words[v.met]}" for v in judge(figures, level))
        lines.append(f"{level.upper()}: {', '.join(verdicts)}")
    print_table(table, [*lines, *figures.refused, DISCLAIMER])


def _interval(share: Share, name: str) -> str:
    one: Interval = getattr(share, name)
    return _shares(one)


def _shares(one: Interval | None) -> str:
    return "–" if one is None else f"{one.estimate:.2%} ({one.low:.2%}..{one.high:.2%})"


def _rate(one: Interval | None) -> str:
    return "–" if one is None else f"{one.estimate:.4g} ({one.low:.4g}..{one.high:.4g})"
