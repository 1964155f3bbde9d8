"""``hwgen host``: boards and what is on them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hwgen.cli.terminal import JSON, OUT, SET, examples, file_option, progress, write_json
from hwgen.commands import targets
from hwgen.errors import BadInput

__all__ = ["host_command"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group("host")
def host_command() -> None:
    """Boards: design for a serial line, package for a Zynq, and programs on either."""


def _line(command: _Command) -> _Command:
    """Options that say what a board's serial line and memory are."""
    for option in reversed((
        click.option("--clock", default=25.0, show_default=True, metavar="MHZ", help="The design's clock."),
        click.option("--baud", type=int, metavar="N", help="Bits per second.  [default: 115200; simulated: clock / 4]"),
        click.option("--memory", default=64, show_default=True, metavar="KIB", help="Memory on the chip."),
    )):  # fmt: skip
        command = option(command)
    return command


_PORT = click.option(
    "--port",
    required=True,
    metavar="PORT",
    help='Serial port such as /dev/ttyUSB0, or "simulated": the Verilog.',
)
_FOLDER = click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Where to write.",
)


@host_command.command(
    "run",
    epilog=examples(
        "hwgen host run tiny gemm:20x24x12 --port simulated",
        "hwgen host run edge tile --port /dev/ttyUSB0 --clock 50 --baud 1000000 --json run.json",
    ),
)
@click.argument("target", metavar="CONFIG")
@click.argument("workload")
@SET
@_PORT
@_line
@click.option("--seed", default=0, show_default=True, help="Seed of random weights and inputs.")
@click.option("--images", default=1, show_default=True, help="How many inputs.")
@click.option("--timeout", default=60.0, show_default=True, metavar="S", help="Time that one image may take.")
@click.option("--verify", is_flag=True, help="Compare with the golden model too.")
@file_option("--outputs", "Write the results of all layers (.npz).")
@JSON
def run_on_device(
    target: str,
    workload: str,
    settings: tuple[str, ...],
    port: str,
    clock: float,
    baud: int | None,
    memory: int,
    seed: int,
    images: int,
    timeout: float,
    verify: bool,
    outputs: Path | None,
    json_file: Path | None,
) -> None:
    """Run WORKLOAD on the board at PORT, which holds the accelerator CONFIG; see hwgen run for both.

    Clock, rate and memory are those that the board's design was generated with. Values and cycles are compared with the
    simulator's, whose memory is the board's. Exit code 1 if they differ, or the program fails.
    """
    from hwgen.commands import run_files
    from hwgen.commands.host_device import board_config, host_run

    began = time.perf_counter()
    config = targets.accelerator(target, targets.parse_settings(settings))
    board = board_config(config, clock, baud, memory, port)
    run_files.prepare("sim", False, None, None, outputs, None)
    with progress() as tell:
        result = host_run(
            config,
            workload,
            port,
            board=board,
            seed=seed,
            images=images,
            timeout=timeout,
            verify=verify,
            tell=tell,
        )
    for line in (*result.checks, *(f"different: {text}" for text in result.differences)):
        OUT.print(line, soft_wrap=True, markup=False)
    OUT.print(
        f"{workload} on {target} at {port}: {result.cycles:,} cycles "
        f"({result.cycles / board.uart.clock_hz * 1e3:.3f} ms at {clock:g} MHz), {images} image(s) in "
        f"{result.seconds:.1f} s with transfers, {result.repeated} request(s) repeated",
        soft_wrap=True,
        markup=False,
    )
    found = result.to_dict()
    if outputs is not None:
        run_files.write_outputs(outputs, result.outputs)
        found["outputs"] = str(outputs)
    write_json(json_file, "run", found, began)
    if result.differences:
        raise SystemExit(1)


@host_command.command(
    "info", epilog=examples("hwgen host info --port /dev/ttyUSB0", "hwgen host info tiny --port simulated")
)
@click.argument("target", metavar="[CONFIG]", required=False)
@SET
@_PORT
@_line
@JSON
def info(
    target: str | None,
    settings: tuple[str, ...],
    port: str,
    clock: float,
    baud: int | None,
    memory: int,
    json_file: Path | None,
) -> None:
    """Tell what is at PORT: version, digest, memory, registers. CONFIG is needed to simulate it."""
    from hwgen.commands.host_device import SIMULATED, board_config, host_info
    from hwgen.system.config import SystemConfig

    began = time.perf_counter()
    if target is None and (port == SIMULATED or settings):
        raise BadInput("name a CONFIG, such as tiny: there is nothing to simulate or to change without one")
    given = targets.parse_settings(settings)
    config = SystemConfig() if target is None else targets.accelerator(target, given)
    board = board_config(config, clock, baud, memory, port)
    with progress() as tell:
        found = host_info(port, board, tell)
    OUT.print(
        f"hwgen {found['device_version']}, configuration {found['digest']}, {found['memory_bytes'] >> 10} KiB, "
        f"{'a program runs' if found['running'] else 'no program runs'}",
        markup=False,
    )
    for name, value in found["registers"].items():
        OUT.print(f"{name:20} {value:#010x}", markup=False)
    write_json(json_file, "host-info", found, began)


@host_command.command(
    "generate", epilog=examples("hwgen host generate tiny --clock 25 --baud 1000000 -o out/board")
)
@click.argument("target", metavar="CONFIG")
@SET
@_line
@_FOLDER
@JSON
def generate_board(
    target: str,
    settings: tuple[str, ...],
    clock: float,
    baud: int | None,
    memory: int,
    folder: Path,
    json_file: Path | None,
) -> None:
    """Write what a board's wrapper instantiates: CONFIG with memory on the chip behind a serial line."""
    from hwgen.commands.host_device import board_config
    from hwgen.commands.host_write import write_board

    began = time.perf_counter()
    config = targets.accelerator(target, targets.parse_settings(settings))
    board = board_config(config, clock, baud, memory)
    with progress() as tell:
        tell("Verilog")
        paths = write_board(board, folder)
    _wrote(paths)
    found = {"digest": board.digest, "top": "board_system", "files": [str(path) for path in paths]}
    write_json(json_file, "host-generate", found, began)


@host_command.command(
    "zynq", epilog=examples("hwgen host zynq tiny --board pynq_z2 --clock 100 -o out/overlay")
)
@click.argument("target", metavar="CONFIG")
@SET
@click.option("--board", default="pynq_z2", show_default=True, metavar="BOARD", help="The board.")
@click.option("--clock", default=100.0, show_default=True, metavar="MHZ", help="The design's clock.")
@_FOLDER
@JSON
def zynq(
    target: str, settings: tuple[str, ...], board: str, clock: float, folder: Path, json_file: Path | None
) -> None:
    """Write an overlay for a Zynq board: Verilog, block design for Vivado, address map, driver.

    The bitstream is not included: Vivado makes it from design.tcl.
    """
    from hwgen.commands.host_write import write_overlay
    from hwgen.host.zynq import board as zynq_board

    began = time.perf_counter()
    config = targets.accelerator(target, targets.parse_settings(settings))
    chosen = zynq_board(board)
    with progress() as tell:
        tell("Verilog")
        paths = write_overlay(config, chosen, clock, folder)
    _wrote(paths)
    OUT.print(
        "the bitstream is not included; build it with: vivado -mode batch -source design.tcl", markup=False
    )
    found = {
        "digest": config.digest,
        "board": board,
        "bitstream": None,
        "files": [str(path) for path in paths],
    }
    write_json(json_file, "host-zynq", found, began)


def _wrote(paths: list[Path]) -> None:
    for path in paths:
        OUT.print(path, soft_wrap=True, markup=False)
