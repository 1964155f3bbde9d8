"""``hwgen protect``."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.table import Table

from hwgen.cli.terminal import JSON, examples, file_option, print_table, progress, write_json
from hwgen.errors import BadInput
from hwgen.files import output_folder, write_all

__all__ = ["protect_command"]

_SCHEMES = "parity, parity+memories:none, memories:parity, residue, secded, dmr, tmr"


@click.command(
    "protect",
    epilog=examples(
        "hwgen inject tiny gemm:8x64x8 --samples 250000 -o out/plain",
        "hwgen protect out/plain --target spfm=99% -o out/protected",
        "hwgen protect out/plain --with out/memory --rates rates.toml --target fit=0.5 -o out/protected",
        "hwgen protect out/plain --target spfm=0.9 --schemes parity --schemes tmr --no-confirm -o out/sketch",
        "hwgen generate out/protected/protected.toml -o build/protected",
    ),
)
@click.argument("campaign", type=click.Path(path_type=Path))
@click.option(
    "--target", "goal", required=True, metavar="GOAL", help="asil-b, asil-c, asil-d, fit=N or spfm=P."
)
@file_option("--rates", "Raw failure rates (TOML); without them all bits count alike.")
@click.option(
    "--with", "others", multiple=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Another campaign on the same job, of other faults.",
)  # fmt: skip
@click.option(
    "--schemes", multiple=True, metavar="SCHEME", help=f"Only this one; may be repeated. [{_SCHEMES}]"
)
@click.option("--blocks", default=40, show_default=True, help="Cut the design into so many blocks at most.")
@click.option(
    "--area-limit", metavar="PERCENT", type=click.FloatRange(min=0), help="Most LUTs and flip-flops to add."
)
@click.option(
    "--confidence", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.95, show_default=True,
    help="Of all bounds together.",
)  # fmt: skip
@click.option(
    "--confirm/--no-confirm", default=True, show_default=True, help="Run a new campaign on the result."
)
@click.option(
    "--samples", type=click.IntRange(min=1), help="Faults of it; as many as CAMPAIGN has if absent."
)
@click.option("--lifetime", type=float, metavar="HOURS", help="For PMHF: how long a latent fault waits.")
@click.option("--budget-share", type=float, metavar="SHARE", help="Of the item's PMHF that is the design's.")
@click.option("--seed", default=0, show_default=True, help="Of draws.")
@click.option(
    "--processes", type=click.IntRange(min=1), default=2, show_default=True, help="Of the new campaign."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", required=True,
    help="Folder of the protected configuration, the report and the new campaign.",
)  # fmt: skip
@JSON
def protect_command(
    campaign: Path, goal: str, rates: Path | None, others: tuple[Path, ...], schemes: tuple[str, ...], blocks: int,
    area_limit: float | None, confidence: float, confirm: bool, samples: int | None, lifetime: float | None,
    budget_share: float | None, seed: int, processes: int, output: Path, json_file: Path | None,
) -> None:  # fmt: skip
    """Choose protection for the design of CAMPAIGN, so that GOAL is met with the least area, and confirm it.

    CAMPAIGN is the folder of a finished `hwgen inject` without protection. The design is cut into blocks, and every
    scheme is tried in each: harmful faults of the campaign strike again, and Yosys counts LUTs and flip-flops. The
    choice is exact (HiGHS), at the upper confidence bound of what is left. Written are protected.toml, which `hwgen
    generate`, `hwgen check` and `hwgen inject` take, report.html, and the results of a new campaign on it. Exit code
    1 if that does not confirm the goal.

    A goal in FIT needs raw rates, which are the user's. Without them spfm=P is a share by bits, as if all bits failed
    alike. asil-b to asil-d ask LFM and PMHF too, so they need permanent faults (--with).
    """
    from hwgen.commands.protect import protect
    from hwgen.commands.protect_report import block_rows, front_rows, protection_report, verdict_lines
    from hwgen.faults.outcome import Assumptions
    from hwgen.faults.protection.candidates import SCHEMES
    from hwgen.faults.rates import load_rates
    from hwgen.report import render

    began = time.perf_counter()
    if rates is None and (lifetime is not None or budget_share is not None):
        raise BadInput("--lifetime and --budget-share are for PMHF, which needs raw rates; add --rates FILE")
    if samples is not None and not confirm:
        raise BadInput("--samples is for the new campaign, and --no-confirm runs none; leave one of them out")
    raw = None if rates is None else load_rates(rates)
    with progress() as tell:
        found = protect(
            campaign, goal, output, others=others, rates=raw,
            assumptions=Assumptions(lifetime_hours=lifetime, budget_share=budget_share),
            schemes=tuple(dict.fromkeys(schemes)) or SCHEMES, most_blocks=blocks,
            area_limit=None if area_limit is None else area_limit / 100, confidence=confidence, confirmed=confirm,
            samples=samples, processes=processes, seed=seed, tell=tell,
        )  # fmt: skip
        (report,) = write_all(output_folder(output), {"report.html": render(protection_report(found))})
    _print("least area for each residual rate", *front_rows(found), [])
    notes = dict.fromkeys(note for several in found.effects.values() for one in several for note in one.notes)
    before, after = found.before, found.after
    _print(
        f"{found.name}: blocks", *block_rows(found),
        [
            *notes,
            f"LUT {before.lut:,} → {after.lut:,}, FF {before.ff:,} → {after.ff:,}, BRAM36 {before.bram36:g} → "
            f"{after.bram36:g}: {100 * found.overhead:+.1f} % LUT + FF ({100 * found.predicted:+.1f} % predicted)",
            *([found.target.note] if found.target.note else []),
            *verdict_lines(found),
            f"configuration: {found.config}",
            f"report: {report}",
        ],
    )  # fmt: skip
    write_json(json_file, "protect", found.to_dict(), began)
    if found.confirmation is not None and not found.confirmation.met:
        raise SystemExit(1)


def _print(title: str, columns: list[str], rows: list[list[str | int | float]], lines: list[str]) -> None:
    table = Table(title=title)
    for name in columns:
        table.add_column(name, justify="left" if name in ("block", "scheme", "") else "right")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    print_table(table, lines)
