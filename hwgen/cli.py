"""The command line. The only module that prints or ends the program."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hwgen.commands import targets
from hwgen.commands.check import RTL_EXECUTORS, check
from hwgen.commands.generate import Generated, generate
from hwgen.commands.listing import KINDS, listing
from hwgen.commands.system_generate import generate_system
from hwgen.errors import BadInput, HwgenError
from hwgen.files import output_folder, write_all, write_if_changed
from hwgen.system.config import SystemConfig
from hwgen.system.configs import named
from hwgen.version import VERSION

__all__ = ["cli", "main"]

_OUT = Console(highlight=False)
_ERR = Console(stderr=True, highlight=False)
_PIPE_WIDTH = 240


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A spinner with the step's name on a terminal, nothing in a pipe."""
    if not _ERR.is_terminal:
        yield lambda text: None
        return
    with _ERR.status("starting") as status:
        yield lambda text: status.update(text)


def _write_json(path: Path | None, schema: str, found: dict[str, Any], began: float) -> None:
    if path is None:
        return
    facts = {
        "schema": f"hwgen.{schema}/1",
        "version": VERSION,
        "seconds": round(time.perf_counter() - began, 3),
    }
    output_folder(path.parent)
    try:
        write_if_changed(path, json.dumps(facts | found, indent=2) + "\n")
    except OSError as error:
        raise BadInput(f"--json {path} cannot be written ({error.strerror}); name another file") from None


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


_SET = click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change one parameter; may be repeated."
)
_JSON = click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what was found as JSON.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="hwgen")
def cli() -> None:
    """Generate neural-network hardware, check it against its models, and run real networks on it."""


@cli.command(
    "list", epilog=_examples("hwgen list", "hwgen list configs", "hwgen list tools --json tools.json")
)
@click.argument("kind", required=False, type=click.Choice(KINDS))
@_JSON
def list_command(kind: str | None, json_file: Path | None) -> None:
    """List cores, configurations with their status, or the tools that hwgen finds on this machine."""
    began = time.perf_counter()
    found = {k: listing(k) for k in ([kind] if kind else KINDS)}
    for name, things in found.items():
        _OUT.print(f"[bold]{name}[/bold]")
        width = max(map(len, things))
        for thing, text in things.items():
            _OUT.print(f"  {thing:<{width}}  {text}", soft_wrap=True, markup=False)
    digest = {name: config.digest for name, (_, config) in targets.supported().items()}
    digest |= {name: one.config.digest for name, one in named().items()}
    _write_json(json_file, "list", {**found, "digest": digest}, began)


@cli.command(
    "generate",
    epilog=_examples(
        "hwgen generate dsp_gemm --set rows=8 --set cols=8 -o build/gemm",
        "hwgen generate dsp_gemm_int8_16x16_ultrascale -o build/int8",
        "hwgen generate tiny -o build/tiny",
        "hwgen generate accelerator --set lanes=16 --set lut=true -o build/mine",
        "hwgen generate supported -o rtl_out",
    ),
)
@click.argument("target")
@_SET
@click.option("--top", metavar="NAME", help="Name of the top module; begins the names of the others.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder to write; build/TARGET if absent.",
)
@_JSON
def generate_command(
    target: str, settings: tuple[str, ...], top: str | None, output: Path | None, json_file: Path | None
) -> None:
    """Write Verilog, manifest.json and C header of TARGET.

    TARGET is a core, a configuration of `hwgen list configs`, "accelerator", or a file with an accelerator in TOML.
    "supported" writes every supported configuration into a folder of its own.
    """
    began = time.perf_counter()
    folder = output or Path("build", Path(target).stem)
    made: list[Generated] = []
    with _progress() as tell:
        if target == "supported":
            if settings or top:
                raise BadInput(
                    "'supported' takes neither --set nor --top; name one configuration to change it"
                )
            for name, (core, config) in targets.supported().items():
                tell(name)
                made.append(generate(core, config, folder / name))
            for name, accelerator in targets.supported_systems().items():
                tell(name)
                made.append(generate_system(accelerator.config, folder / name))
        else:
            given = targets.parse_settings(settings)
            system = targets.resolve_system(target, given)
            tell(f"generating {target}")
            if system is not None:
                made.append(generate_system(system, folder, top))
            else:
                made.append(generate(*targets.resolve(target, given), folder, top))
    for one in made:
        _OUT.print(f"{one.top}: {len(one.modules)} modules, {one.bytes:,} bytes, digest {one.config.digest}")
        for path in one.files:
            _OUT.print(f"  {path}", soft_wrap=True)
    found = made[0].to_dict() if target != "supported" else {"generated": [one.to_dict() for one in made]}
    _write_json(json_file, "generate", found, began)


@cli.command(
    "check",
    epilog=_examples(
        "hwgen check dsp_gemm --set rows=5 --set cols=3 --set weight_bits=4",
        "hwgen check dsp_gemm_int4_16x16_ultrascale --vectors 100 --seed 7",
        "hwgen check dsp_gemm --set rows=64 --set cols=64 --rtl harness --json check.json",
        "hwgen check tiny --vectors 50",
        "hwgen check accelerator --set lanes=4 --set bus_bytes=16",
    ),
)
@click.argument("target")
@_SET
@click.option("--vectors", default=20, show_default=True, help="Operations to run.")
@click.option("--seed", default=0, show_default=True, help="Seed of operands and stalls.")
@click.option(
    "--rtl",
    "executors",
    multiple=True,
    type=click.Choice(RTL_EXECUTORS),
    help="How to run the Verilog; may be repeated; all that the machine has if absent.",
)
@_JSON
def check_command(
    target: str,
    settings: tuple[str, ...],
    vectors: int,
    seed: int,
    executors: tuple[str, ...],
    json_file: Path | None,
) -> None:
    """Compare golden model, simulator and Verilog of TARGET: every value, and the cycle of every beat.

    Runs random operations of a core back to back under four stall regimes. Of an accelerator, runs random programs
    and compiled networks on memories of many kinds, and compares DRAM, start and end of every instruction, and all
    counters. Exit code 1 if anything differs.
    """
    began = time.perf_counter()
    given = targets.parse_settings(settings)
    system = targets.resolve_system(target, given)
    if system is not None:
        _check_system(system, vectors, seed, executors, json_file, began)
        return
    core, config = targets.resolve(target, given)
    with _progress() as tell:
        result = check(core, config, vectors=vectors, seed=seed, executors=executors or None, tell=tell)
    _OUT.print(f"{config}, digest {config.digest}", soft_wrap=True)
    _OUT.print(f"{result.vectors} operations, {result.macs:,} MACs, seed {seed}")
    table = Table("regime", "RTL run by", box=None, padding=(0, 2, 0, 0))
    for heading in ("sim cycles", "RTL cycles", "RTL cycles/s"):
        table.add_column(heading, justify="right")
    for run in result.runs:
        numbers = (f"{run[key]:,}" for key in ("sim_cycles", "rtl_cycles", "rtl_cycles_per_second"))
        table.add_row(run["regime"], run["executor"], *numbers)
    _OUT.print(table)
    for difference in result.differences[:1]:
        _OUT.print(f"first difference: {difference}", soft_wrap=True)
    _OUT.print(
        f"values {'equal' if result.values_equal else 'DIFFER'}, "
        f"cycles {'equal' if result.cycles_equal else 'DIFFER'}"
    )
    _write_json(json_file, "check", result.to_dict(), began)
    if not result.passed:
        raise SystemExit(1)


def _check_system(
    config: SystemConfig,
    vectors: int,
    seed: int,
    rtl: tuple[str, ...],
    json_file: Path | None,
    began: float,
) -> None:
    """``hwgen check`` of an accelerator."""
    from hwgen.commands.system_check import check_system

    if set(rtl) - {"harness"}:
        raise BadInput(f"an accelerator is run by --rtl harness only, not {', '.join(rtl)}; leave --rtl out")
    with _progress() as tell:
        result = check_system(config, vectors=vectors, seed=seed, tell=tell)
    _OUT.print(f"{config}, digest {config.digest}", soft_wrap=True)
    table = Table("what", box=None, padding=(0, 2, 0, 0))
    for heading in ("number", "instructions", "sim cycles", "RTL cycles", "RTL cycles/s"):
        table.add_column(heading, justify="right")
    for row in result.summary():
        table.add_row(*(cell if isinstance(cell, str) else f"{cell:,}" for cell in row))
    _OUT.print(table)
    for difference in result.differences[:1]:
        _OUT.print(f"first difference: {difference}", soft_wrap=True, markup=False)
    _OUT.print(
        f"values {'equal' if result.values_equal else 'DIFFER'}, "
        f"cycles {'equal' if result.cycles_equal else 'DIFFER'}"
    )
    _write_json(json_file, "check", result.to_dict(), began)
    if not result.passed:
        raise SystemExit(1)


@cli.command("demo", epilog=_examples("hwgen demo", "hwgen demo -o out/demo --json demo.json"))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    default=Path("out/demo"),
    show_default=True,
    help="Folder of the report.",
)
@_JSON
def demo_command(output: Path, json_file: Path | None) -> None:
    """Run a real transformer layer on the 16×16 INT8 core: golden model, simulator and Verilog.

    Takes layer 0 of all-MiniLM-L6-v2 and three sentences, compares every integer with onnxruntime and every
    cycle between simulator and Verilog, and writes a self-contained HTML report. Exit code 1 if anything differs.
    """
    from hwgen.commands.demo import run_demo
    from hwgen.commands.demo_report import demo_report
    from hwgen.report import render

    began = time.perf_counter()
    output_folder(output)
    with _progress() as tell:
        demo = run_demo(tell)
        tell("writing the report")
        (report,) = write_all(output, {"report.html": render(demo_report(demo))})
    table = Table("product", "M×K×N", box=None, padding=(0, 2, 0, 0))
    for heading in ("cycles", "utilisation", "float error"):
        table.add_column(heading, justify="right")
    table.add_column("comparison")
    for p in demo.products:
        s = p.problem.shape
        table.add_row(
            p.problem.name,
            f"{s.m}×{s.k}×{s.n}",
            f"{p.cycles:,}",
            f"{100 * p.utilisation:.1f} %",
            f"{100 * p.error.relative:.2f} %",
            str(p.differences[0]) if p.differences else "equal",
        )
    _OUT.print(table)
    cells = demo.cells
    _OUT.print(
        f"resources (Yosys, xcup): {cells.dsp:,} DSP48E2, {cells.lut:,} LUT, {cells.ff:,} FF, {cells.bram36:g} RAMB36",
        soft_wrap=True,
    )
    _OUT.print(f"report: {report}", soft_wrap=True)
    _write_json(json_file, "demo", demo.to_dict(), began)
    if not demo.passed:
        raise SystemExit(1)


def _file(option: str, text: str, metavar: str = "FILE") -> Callable[[Any], Any]:
    return click.option(option, type=click.Path(path_type=Path), metavar=metavar, help=text)


@cli.command(
    "run",
    epilog=_examples(
        "hwgen run n3h_z7045 resnet18 --report out/resnet18",
        "hwgen run tiny conv:8x8x5,k3,s1,p1,n9 --executor rtl --verify",
        "hwgen run accelerator gemm:128x384x384 --set lanes=16 --timing-only --json run.json",
        "hwgen run tiny tile --trace tile.json --events tile.jsonl",
        "hwgen run dsp_gemm --set rows=32 --set cols=32 minilm --timing-only",
        "hwgen run tiny --program test.hwasm --memory image.bin --outputs after.npz",
    ),
)
@click.argument("target", metavar="CONFIG")
@click.argument("workload", required=False)
@_SET
@click.option(
    "--executor",
    type=click.Choice(("golden", "sim", "rtl")),
    default="sim",
    show_default=True,
    help="Golden model (values), simulator, or Verilog (values and cycles).",
)
@click.option("--timing-only", is_flag=True, help="Cycles without values; simulator only.")
@click.option("--seed", default=0, show_default=True, help="Seed of random weights and inputs.")
@click.option("--images", default=1, show_default=True, help="How many inputs.")
@click.option(
    "--lut-share",
    type=float,
    metavar="SHARE",
    help="Share of the output channels on the LUT core, 0..1; the compiler weighs all if absent.",
)
@click.option(
    "--dram",
    metavar="L,I,D,W",
    help="Memory: read latency, cycles per beat, bursts ahead, write latency.  [default: 20,1,8,4]",
)
@click.option(
    "--clock", type=click.FloatRange(min=0, min_open=True), metavar="MHZ", help="Tell cycles as time too."
)
@click.option("--verify", is_flag=True, help="Compare every value with the golden model.")
@click.option("--force", is_flag=True, help="Run a program that was not checked.")
@_file("--program", "Run this program (.hwasm text or .hwp) instead of a workload.")
@_file("--memory", "Bytes of DRAM from address 0 on, for --program; zero if absent.")
@_file("--report", "Write report.html into this folder.", "DIR")
@_file("--trace", "Write a timeline: .json for Perfetto, .vcd for waves.")
@_file("--events", "Write begin and end of every instruction, for hwgen diff.")
@_file("--outputs", "Write the results of all layers (.npz).")
@_JSON
def run_command(
    target: str,
    workload: str | None,
    settings: tuple[str, ...],
    executor: str,
    timing_only: bool,
    seed: int,
    images: int,
    lut_share: float | None,
    dram: str | None,
    clock: float | None,
    verify: bool,
    force: bool,
    program: Path | None,
    memory: Path | None,
    report: Path | None,
    trace: Path | None,
    events: Path | None,
    outputs: Path | None,
    json_file: Path | None,
) -> None:
    """Run WORKLOAD on the accelerator or core CONFIG: cycles, where they went, and results.

    CONFIG is a name in configs/, a TOML file, "accelerator" or a core with --set. WORKLOAD is resnet18, mobilenet_v2,
    minilm, mnist and mnist_w4a8 (real digits), tile (one GEMM that fills the core), a layer such as gemm:128x384x384 or
    conv:56x56x64,k3,s1,p1,n64, or a table that ends in .toml or .csv. A core alone runs the products of a table one
    after the other; files other than --outputs and --json are for accelerators.

    The table tells of every layer how much of all cores' arithmetic was used, its bound and what it is set by, how
    much of the cycles the bound is (kept), and the largest loss. Of layers on the sparse core also the density of their
    weights, and how much faster their steps are than dense ones. Exit code 1 if executors differ, or a program that
    was forced does not come to its end.
    """
    from hwgen.commands import run_files
    from hwgen.commands.run import parse_dram, run
    from hwgen.commands.run_table import run_lines, run_table

    began = time.perf_counter()
    given = targets.parse_settings(settings)
    if targets.is_core(target):
        only = {
            "--images": images > 1, "--lut-share": lut_share is not None, "--dram": dram, "--program": program,
            "--memory": memory, "--force": force, "--report": report, "--trace": trace, "--events": events,
        }  # fmt: skip
        _run_core(target, given, workload, executor, seed, timing_only, verify, clock, outputs, json_file,
                  [name for name, value in only.items() if value])  # fmt: skip
        return
    config = targets.accelerator(target, given)
    run_files.prepare(executor, timing_only, trace, events, outputs, report)
    with _progress() as tell:
        result = run(
            config,
            workload,
            executor,
            seed=seed,
            share=lut_share,
            dram=parse_dram(dram),
            timing_only=timing_only,
            images=images,
            program=program,
            memory=memory,
            force=force,
            verify=verify,
            tell=tell,
        )
        tell("writing files")
        written = run_files.write(result, trace, events, outputs, report, clock, target)
    _print_table(run_table(result), run_lines(result, clock))
    for what, path in written.items():
        _OUT.print(f"{what}: {path}", soft_wrap=True, markup=False)
    found = result.to_dict() | {name: str(path) for name, path in written.items()}
    _write_json(json_file, "run", found, began)
    if result.differences:
        raise SystemExit(1)


def _run_core(
    target: str, settings: dict[str, str], workload: str | None, executor: str, seed: int, timing_only: bool,
    verify: bool, clock: float | None, outputs: Path | None, json_file: Path | None, refused: list[str],
) -> None:  # fmt: skip
    """Run a workload on a core that stands alone."""
    from hwgen.commands import run_files
    from hwgen.commands.run_core import run_core
    from hwgen.commands.run_table import core_lines, core_table

    began = time.perf_counter()
    if refused:
        raise BadInput(
            f"{refused[0]} is for accelerators, and {target} is a core; leave it out or run a configuration of configs/"
        )
    if workload is None:
        raise BadInput(f"give a workload for {target}, such as tile or gemm:128x384x384")
    core, config = targets.resolve(target, settings)
    run_files.prepare(executor, timing_only, None, None, outputs, None)
    with _progress() as tell:
        result = run_core(
            core, config, workload, executor, seed=seed, timing_only=timing_only, verify=verify, tell=tell
        )
        if outputs is not None:
            run_files.write_outputs(outputs, result.arrays())
    _print_table(core_table(result), core_lines(result, clock))
    found = result.to_dict() | ({} if outputs is None else {"outputs": str(outputs)})
    _write_json(json_file, "run", found, began)
    if result.differences:
        raise SystemExit(1)


def _print_table(table: Table, lines: list[str]) -> None:
    # A pipe has no width: nothing is cut there.
    console = _OUT if _OUT.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)
    console.print(table)
    for line in lines:
        _OUT.print(line, soft_wrap=True, markup=False)


@cli.command("diff", epilog=_examples("hwgen diff sim.jsonl rtl.jsonl"))
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@_JSON
def diff_command(first: Path, second: Path, json_file: Path | None) -> None:
    """Compare the events of two runs, FIRST and SECOND, as hwgen run --events writes them.

    Names the first event that differs: cycle, engine, begin or end, instruction. Exit code 1 if there is one.
    """
    from hwgen.commands.diff import diff

    began = time.perf_counter()
    count, difference = diff(first, second)
    _OUT.print(
        difference.text if difference else f"{count:,} events, all equal", soft_wrap=True, markup=False
    )
    found = (
        None
        if difference is None
        else {
            "index": difference.index,
            "first": difference.first,
            "second": difference.second,
            "text": difference.text,
        }
    )
    facts = {"digest": None, "files": [str(first), str(second)], "equal": difference is None}
    _write_json(json_file, "diff", facts | {"first_difference": found}, began)
    if difference is not None:
        raise SystemExit(1)


def main() -> None:
    """Run the command line; errors are one sentence on standard error and the error's exit code."""
    try:
        cli(prog_name="hwgen", standalone_mode=False)
    except HwgenError as error:
        _ERR.print(f"hwgen: {error}", soft_wrap=True, markup=False)
        sys.exit(error.exit_code)
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        _ERR.print(f"hwgen: {error.format_message()}{hint}", soft_wrap=True, markup=False)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _ERR.print("hwgen: interrupted")
        sys.exit(130)


if __name__ == "__main__":
    main()
