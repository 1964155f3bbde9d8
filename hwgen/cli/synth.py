"""``hwgen synth``."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.table import Table

from hwgen.boards import board as find_board
from hwgen.cli.terminal import JSON, PROTECT, SET, examples, print_table, progress, write_json
from hwgen.commands.design import design
from hwgen.commands.targets import parse_settings
from hwgen.errors import BadInput

__all__ = ["synth_command"]


@click.command(
    "synth",
    epilog=examples(
        "hwgen synth edge_ecp5 --board ulx3s",
        "hwgen synth dsp_gemm --set rows=4 --set cols=4 --board ulx3s --pnr",
        "hwgen synth tiny --board ulx3s --serial --baud 1000000 --pnr",
        "hwgen synth dsp_gemm --set rows=2 --set cols=2 --board icebreaker --pnr",
        "hwgen synth n3h_z7020 --board pynq_z2 -o build/overlay",
        "hwgen synth dsp_gemm_int8_16x16_ultrascale --board zcu104 --json cells.json",
    ),
)
@click.argument("target")
@SET
@click.option("--board", metavar="B", required=True, help="A name of `hwgen list boards`.")
@click.option("--pnr", is_flag=True, help="Also place, route and write a bitstream, with open tools.")
@click.option("--seed", default=1, show_default=True, help="Of nextpnr.")
@click.option(
    "--mhz",
    "target_mhz",
    type=click.FloatRange(min=1),
    help="What nextpnr aims at; the board's own if absent.",
)
@click.option("--serial", is_flag=True, help="Build what runs on the board, see below.")
@click.option("--baud", type=int, metavar="N", help="Bits per second of its line.  [default: 115200]")
@click.option("--memory", default=64, show_default=True, metavar="KIB", help="Its memory on the chip.")
@PROTECT
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR",
    help="Folder to write; build/TARGET_BOARD if absent.",
)  # fmt: skip
@JSON
def synth_command(
    target: str, settings: tuple[str, ...], board: str, pnr: bool, seed: int, target_mhz: float | None,
    serial: bool, baud: int | None, memory: int, protect: Path | None, output: Path | None, json_file: Path | None,
) -> None:  # fmt: skip
    """Count the cells of TARGET for a board, beside what its device has; with --pnr, build its bitstream.

    TARGET is what `hwgen generate` takes. Its Verilog goes into the folder; of boards whose tools are not open, also
    a project for these tools. The bitstream has the design in a shell that keeps all its ports alive on three pins: it
    proves frequency and fit, it does not run programs. Exit code 2 if a resource of the device does not suffice.

    With --serial, the accelerator TARGET gets memory on the chip and a serial line on the board's USB port: that
    bitstream runs what `hwgen host run TARGET` sends, given the same --clock, --baud and --memory.

    Counts are Yosys' of the design alone, estimates of no later tool; the frequency is nextpnr's of the routed design.
    """
    from hwgen.commands.synth import Serial, path_text, synth

    began = time.perf_counter()
    chosen = find_board(board)
    found = design(target, parse_settings(settings), protect)
    folder = output or Path("build", f"{Path(target).stem}_{chosen.name}")
    with progress() as tell:
        made = synth(
            found, chosen, folder, pnr=pnr, seed=seed, target_mhz=target_mhz,
            serial=Serial(baud, memory) if serial else None, tell=tell,
        )  # fmt: skip
    table = Table("resource", box=None, padding=(0, 2, 0, 0))
    for heading in ("used", "available", "share"):
        table.add_column(heading, justify="right")
    for kind, use in made.uses.items():
        share = f"{use.share:.1%}" if use.available else "none there"
        table.add_row(
            kind, f"{use.used:,g}" if use.used < 1e6 else f"{use.used:,.0f}", f"{use.available:,}", share
        )
    lines = [f"cells by Yosys {made.tools['pyosys']} for {chosen.device}, the design alone"]
    if made.built is not None:
        layout = made.built.layout
        for clock, mhz in layout.mhz.items():
            lines.append(f"{clock}: {mhz:.1f} MHz placed and routed, shell {made.shell!r} around it")
        lines.append(f"limited by: {path_text(layout)}")
        lines.append(f"bitstream: {made.bitstream}")
        if serial:
            rate = f" --baud {baud}" if baud is not None else ""
            lines.append(
                f"with it on the board: hwgen host run {target} tile --port /dev/ttyUSB0 "
                f"--clock {chosen.clock_mhz:g}{rate} --memory {memory}"
            )
    if chosen.project is not None and made.overflow is None:
        lines.append(f"project, not built: vivado -mode batch -source {folder / 'build.tcl'}")
    lines += [f"note: {note}" for note in chosen.notes]
    print_table(table, lines)
    write_json(json_file, "synth", made.to_dict(), began)
    if made.overflow is not None:
        raise BadInput(made.overflow)
