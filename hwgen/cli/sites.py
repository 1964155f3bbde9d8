"""``hwgen sites``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from hwgen.cli.terminal import JSON, OUT, PROTECT, SET, examples, print_table, progress, write_json
from hwgen.commands import targets

if TYPE_CHECKING:  # the fault lab is loaded by those who need it
    from hwgen.faults.sites import Element

__all__ = ["sites_command"]

_MOST = 40  # rows that are printed


@click.command(
    "sites",
    epilog=examples(
        "hwgen sites dsp_gemm --set rows=4 --set cols=4",
        "hwgen sites tiny --find vec",
        "hwgen sites edge -o sites.parquet --json sites.json",
    ),
)
@click.argument("target")
@SET
@click.option("--find", metavar="TEXT", help="Only registers and memories with this in their names.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
    help="Write a row for each bit: .csv or .parquet.",
)  # fmt: skip
@PROTECT
@JSON
def sites_command(
    target: str, settings: tuple[str, ...], find: str | None, output: Path | None, protect: Path | None,
    json_file: Path | None,
) -> None:  # fmt: skip
    """List what faults can strike in TARGET: every flip-flop and memory bit of its Verilog.

    TARGET is what hwgen generate takes. Names are those that hwgen inject --sites takes, of a register or of an
    instance with all that it holds; numbers are the same as long as the Verilog is.
    """
    from hwgen.commands.design import design
    from hwgen.commands.sites import sites_of, write_table

    began = time.perf_counter()
    with progress() as tell:
        tell("reading the Verilog")
        found = sites_of(design(target, targets.parse_settings(settings), protect), find)
    if output is not None:
        write_table(output, found.found)
    table = Table("bits in", box=None, padding=(0, 2, 0, 0))
    for name in ("flip-flops", "memories"):
        table.add_column(name, justify="right")
    for name, bits in found.counts().items():
        table.add_row(name, *(f"{count:,}" for count in bits.values()))
    number = sum(e.sites for e in found.found)
    lines = [f"{number:,} of {len(found.table):,} sites, digest {found.table.digest}"]
    print_table(table, lines)
    if find is not None:
        _print_elements(found.found[:_MOST])
        if len(found.found) > _MOST:
            OUT.print(f"and {len(found.found) - _MOST:,} more; -o FILE writes them all")
    if output is not None:
        OUT.print(f"table: {output}", soft_wrap=True, markup=False)
    write_json(json_file, "sites", found.to_dict(), began)


def _print_elements(elements: Sequence[Element]) -> None:
    """Registers and memories with their numbers."""
    table = Table("name", "class", box=None, padding=(0, 2, 0, 0))
    for name in ("bits", "words", "sites"):
        table.add_column(name, justify="right")
    for e in elements:
        last = e.first + e.sites - 1
        sites = f"{e.first}..{last}" if e.sites > 1 else f"{e.first}"
        table.add_row(e.label, e.group.value, f"{e.width:,}", f"{e.depth:,}", sites)
    print_table(table, [])
