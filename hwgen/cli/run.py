"""``hwgen run`` and ``diff``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from hwgen.cli.terminal import JSON, OUT, SET, examples, file_option, print_table, progress, write_json
from hwgen.commands import targets
from hwgen.errors import BadInput

__all__ = ["diff_command", "run_command"]


@click.command(
    "run",
    epilog=examples(
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
@SET
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
@file_option("--program", "Run this program (.hwasm text or .hwp) instead of a workload.")
@file_option("--memory", "Bytes of DRAM from address 0 on, for --program; zero if absent.")
@file_option("--report", "Write report.html into this folder.", "DIR")
@file_option("--trace", "Write a timeline: .json for Perfetto, .vcd for waves.")
@file_option("--events", "Write begin and end of every instruction, for hwgen diff.")
@file_option("--outputs", "Write the results of all layers (.npz).")
@JSON
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
    with progress() as tell:
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
    print_table(run_table(result), run_lines(result, clock))
    for what, path in written.items():
        OUT.print(f"{what}: {path}", soft_wrap=True, markup=False)
    found = result.to_dict() | {name: str(path) for name, path in written.items()}
    write_json(json_file, "run", found, began)
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
    with progress() as tell:
        result = run_core(
            core, config, workload, executor, seed=seed, timing_only=timing_only, verify=verify, tell=tell
        )
        if outputs is not None:
            run_files.write_outputs(outputs, result.arrays())
    print_table(core_table(result), core_lines(result, clock))
    found = result.to_dict() | ({} if outputs is None else {"outputs": str(outputs)})
    write_json(json_file, "run", found, began)
    if result.differences:
        raise SystemExit(1)


@click.command("diff", epilog=examples("hwgen diff sim.jsonl rtl.jsonl"))
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@JSON
def diff_command(first: Path, second: Path, json_file: Path | None) -> None:
    """Compare the events of two runs, FIRST and SECOND, as hwgen run --events writes them.

    Names the first event that differs: cycle, engine, begin or end, instruction. Exit code 1 if there is one.
    """
    from hwgen.commands.diff import diff

    began = time.perf_counter()
    count, difference = diff(first, second)
    OUT.print(difference.text if difference else f"{count:,} events, all equal", soft_wrap=True, markup=False)
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
    write_json(json_file, "diff", facts | {"first_difference": found}, began)
    if difference is not None:
        raise SystemExit(1)
