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

from hwgen.cli.terminal import ERR, JSON, OUT, SET, examples, file_option, print_table, progress, write_json
from hwgen.commands import targets
from hwgen.errors import BadInput
from hwgen.files import output_folder, write_all, write_if_changed

if TYPE_CHECKING:  # the fault lab is loaded by those who need it
    from hwgen.commands.inject import Injection
    from hwgen.faults.results import Share
    from hwgen.faults.safety import Assessment
    from hwgen.faults.statistics import Interval

__all__ = ["inject_command"]

_MODELS = (
    "seu", "mbu", "stuck-at-0", "stuck-at-1", "intermittent", "word", "column-at-0", "column-at-1",
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


@click.command(
    "inject",
    epilog=examples(
        "hwgen inject dsp_gemm --set rows=4 --set cols=4 tile --exhaustive -o out/tile",
        "hwgen inject edge_ecp5 gemm:8x64x8 --samples 100000 -o out/edge --verify 500",
        "hwgen inject edge_ecp5 gemm:8x64x8 --stratified --error 0.005 -o out/strata",
        "hwgen inject tiny tile --model stuck-at-1 --classes control --classes configuration -o out/stuck",
        "hwgen inject tiny tile --kinds memory --sites act_buffer -o out/memory --resume",
        "hwgen inject edge_ecp5 gemm:8x64x8 -o out/edge --resume --report out/edge-report --rates rates.toml",
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
@click.option("--exhaustive", is_flag=True, help="Every selected site in every cycle.")
@click.option(
    "--stratified", is_flag=True, help="Strata of class, bit and phase; a pilot divides the samples."
)
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
    period: int, on: int, exhaustive: bool, stratified: bool, phases: int, samples: int | None, error: float,
    confidence: float, early_stop: bool, where: tuple[str, ...], classes: tuple[str, ...], kinds: tuple[str, ...],
    window: str | None, regime: str, seed: int, verify: int, processes: int, cluster: str | None, resume: bool,
    program: Path | None, memory: Path | None, output: Path, report: Path | None, rates: Path | None,
    fmeda: Path | None, others: tuple[Path, ...], lifetime: float | None, budget_share: float | None,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Inject faults into CONFIG while it runs WORKLOAD, and tell what came of them.

    CONFIG is a core with --set, a name in configs/ or a TOML file; WORKLOAD is tile, a layer such as gemm:8x64x8, or
    for accelerators any network that hwgen run takes. Faults are drawn uniformly, so many that the share of faults with
    an effect is known to --error, unless --exhaustive or --stratified say otherwise. Results are Parquet files in the
    folder; a campaign that was stopped goes on with --resume, and ends with the same bytes. One that is finished is
    only read, which writes --report, --fmeda and --json without simulating again.

    Figures in FIT need raw rates, which are the user's: --rates names a file with their sources. PMHF also needs
    --lifetime, and campaigns of transient and of permanent faults: give the folder of the other one to --with.

    --verify repeats faults on the hooked Verilog under Verilator; a difference ends with exit code 1.
    """
    from hwgen.commands.inject import Request, inject, safety, safety_facts, subject_of
    from hwgen.faults.outcome import Assumptions
    from hwgen.faults.rates import load_rates

    began = time.perf_counter()
    if exhaustive and (stratified or samples or early_stop):
        raise BadInput("--exhaustive takes every fault; leave out --stratified, --samples and --early-stop")
    if early_stop and stratified:
        raise BadInput("--early-stop is for uniform draws; leave it out or drop --stratified")
    if workload is None and program is None:
        raise BadInput(f"give a workload for {target}, such as tile or gemm:8x64x8")
    if rates is None and (lifetime is not None or budget_share is not None):
        raise BadInput("--lifetime and --budget-share are for PMHF, which needs raw rates; add --rates FILE")
    raw = None if rates is None else load_rates(rates)
    assumptions = Assumptions(lifetime_hours=lifetime, budget_share=budget_share)
    if report is not None:
        output_folder(report)
    if fmeda is not None:
        output_folder(fmeda.parent)
    request = Request(
        model=model, size=size, duration=duration, period=period, on=on, where=where, classes=classes, kinds=kinds,
        window=_window(window), sampling="exhaustive" if exhaustive else "stratified" if stratified else "uniform",
        samples=samples, error=error, confidence=confidence, early=early_stop, phases=phases, seed=seed, verify=verify,
    )  # fmt: skip
    with progress() as tell:
        tell("design and job")
        subject = subject_of(
            target, targets.parse_settings(settings), workload or "", seed=seed, program=program, memory=memory,
            regime=regime,
        )  # fmt: skip
    with _bar() as advance:
        found = inject(
            subject, output, request, resume=resume, processes=processes, cluster=cluster, progress=advance,
            warn=lambda text: ERR.print(text, soft_wrap=True, markup=False),
        )  # fmt: skip
    figures = safety(found, raw, assumptions, others)
    _print_shares(found)
    if raw is not None:
        _print_safety(figures)
    for name, path in _written(found, figures, workload or str(program), report, fmeda).items():
        OUT.print(f"{name}: {path}", soft_wrap=True, markup=False)
    OUT.print(f"results in {found.folder}", soft_wrap=True, markup=False)
    write_json(json_file, "inject", found.to_dict() | {"safety": safety_facts(figures)}, began)
    if found.agreement is not None and found.agreement.mismatches:
        raise SystemExit(1)


def _written(
    found: Injection, figures: Assessment, workload: str, report: Path | None, fmeda: Path | None
) -> dict[str, Path]:
    """Write the files that were asked for."""
    written = {}
    if report is not None:
        from hwgen.commands.inject_report import injection_report
        from hwgen.report import render

        page = render(injection_report(found, figures, workload=workload))
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


def _print_shares(found: Injection) -> None:
    """Shares of outcomes as a table."""
    shares = [found.summary.whole, *found.summary.classes, *found.summary.blocks]
    names = [name for name, count in found.summary.whole.outcomes.items() if count]
    table = Table(
        title=f"{found.subject.name}: {found.population.sites:,} sites, {found.population.cycles:,} cycles"
    )
    table.add_column("faults in")
    for name in ("faults", "not masked", "wrong result", *names):
        table.add_column(name.replace("_", " "), justify="right")
    for i, share in enumerate(shares):
        # Counts of stratified draws are no shares.
        cells = [
            f"{share.outcomes[name]:,}" if found.strata else f"{share.outcomes[name] / share.samples:.2%}"
            for name in names
        ]
        table.add_row(
            share.name, f"{share.samples:,}", _interval(share, "avf"), _interval(share, "sdc"), *cells
        )
        if i in (0, len(found.summary.classes)):
            table.add_section()
    lines = []
    if found.computed:
        lines.append(f"{found.computed:,} faults in {found.seconds:.1f} s: {found.rate:,.0f} per second")
    if found.stopped:
        lines.append("stopped early: the interval is as narrow as was asked for")
    if found.summary.latency:
        parts = ", ".join(f"{name} {value:,.0f}" for name, value in found.summary.latency.items())
        lines.append(f"cycles from a fault to the design's report of an error: {parts}")
    if (both := found.agreement) is not None:
        ratio = f"; {found.rate / both.rate:,.0f} times as fast" if found.computed and both.rate else ""
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
