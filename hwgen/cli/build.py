"""``hwgen list``, ``generate``, ``check`` and ``demo``."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.table import Table

from hwgen.cli.terminal import JSON, OUT, PROTECT, SET, examples, progress, write_json
from hwgen.commands import targets
from hwgen.commands.check import RTL_EXECUTORS, check
from hwgen.commands.design import design
from hwgen.commands.generate import Generated, generate
from hwgen.commands.listing import KINDS, listing
from hwgen.commands.system_generate import generate_design, generate_system
from hwgen.errors import BadInput
from hwgen.faults.protection.plan import Plan, digest_of
from hwgen.files import output_folder, write_all
from hwgen.system.config import SystemConfig
from hwgen.system.configs import named

__all__ = ["check_command", "demo_command", "generate_command", "list_command"]


@click.command(
    "list", epilog=examples("hwgen list", "hwgen list configs", "hwgen list tools --json tools.json")
)
@click.argument("kind", required=False, type=click.Choice(KINDS))
@JSON
def list_command(kind: str | None, json_file: Path | None) -> None:
    """List cores, configurations with their status, models of faults, or the tools that hwgen finds on this machine."""
    began = time.perf_counter()
    found = {k: listing(k) for k in ([kind] if kind else KINDS)}
    for name, things in found.items():
        OUT.print(f"[bold]{name}[/bold]")
        width = max(map(len, things))
        for thing, text in things.items():
            OUT.print(f"  {thing:<{width}}  {text}", soft_wrap=True, markup=False)
    digest = {name: config.digest for name, (_, config) in targets.supported().items()}
    digest |= {name: one.config.digest for name, one in named().items()}
    write_json(json_file, "list", {**found, "digest": digest}, began)


@click.command(
    "generate",
    epilog=examples(
        "hwgen generate dsp_gemm --set rows=8 --set cols=8 -o build/gemm",
        "hwgen generate dsp_gemm_int8_16x16_ultrascale -o build/int8",
        "hwgen generate tiny -o build/tiny",
        "hwgen generate tiny --protect plan.toml -o build/tiny_protected",
        "hwgen generate tiny --hooks --watch irq -o build/tiny_hooks",
        "hwgen generate accelerator --set lanes=16 --set lut=true -o build/mine",
        "hwgen generate supported -o rtl_out",
    ),
)
@click.argument("target")
@SET
@click.option("--top", metavar="NAME", help="Name of the top module; begins the names of the others.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder to write; build/TARGET if absent.",
)
@PROTECT
@click.option("--hooks", is_flag=True, help="Also write the Verilog with fault hooks and their controller.")
@click.option("--watch", multiple=True, metavar="PORT", help="Of --hooks: a port that can trigger a trojan.")
@click.option(
    "--swap", "swaps", multiple=True, nargs=2, metavar="A B",
    help="Of --hooks: two registers of an instance that can be exchanged.",
)  # fmt: skip
@JSON
def generate_command(
    target: str, settings: tuple[str, ...], top: str | None, output: Path | None, protect: Path | None, hooks: bool,
    watch: tuple[str, ...], swaps: tuple[tuple[str, str], ...], json_file: Path | None,
) -> None:  # fmt: skip
    """Write Verilog, manifest.json and C header of TARGET.

    TARGET is a core, a configuration of `hwgen list configs`, "accelerator", or a file with one of these in TOML.
    "supported" writes every supported configuration into a folder of its own.

    A table [protection.blocks] in the file, or a plan given to --protect, adds parity, error-correcting codes, residues
    or copies to blocks; protection.toml and protection.json tell what was done.

    With --hooks, a folder hooks holds the same design with ports through which any bit of state can be made wrong, a
    top module with an AXI4-Lite controller for them, its registers in C, and a table of all bits (sites.csv).
    """
    began = time.perf_counter()
    if (watch or swaps) and not hooks:
        raise BadInput("--watch and --swap are for hooks; add --hooks")
    folder = output or Path("build", Path(target).stem)
    made: list[Generated] = []
    with progress() as tell:
        if target == "supported":
            if settings or top or protect or hooks:
                raise BadInput(
                    "'supported' takes none of --set, --top, --protect, --hooks; name one configuration to change it"
                )
            for name, (core, config) in targets.supported().items():
                tell(name)
                made.append(generate(core, config, folder / name))
            for name, accelerator in targets.supported_systems().items():
                tell(name)
                made.append(generate_system(accelerator.config, folder / name))
        else:
            found = design(target, targets.parse_settings(settings), protect)
            tell(f"generating {target}")
            if hooks:
                from hwgen.commands.hooks import with_hooks

                made.append(with_hooks(lambda to: generate_design(found, to, top), folder, watch, swaps))
            else:
                made.append(generate_design(found, folder, top))
    for one in made:
        OUT.print(f"{one.top}: {len(one.modules)} modules, {one.bytes:,} bytes, digest {one.digest}")
        for note in one.notes:
            OUT.print(f"  {note}", soft_wrap=True, markup=False)
        for path in one.files:
            OUT.print(f"  {path}", soft_wrap=True)
    facts = made[0].to_dict() if target != "supported" else {"generated": [one.to_dict() for one in made]}
    write_json(json_file, "generate", facts, began)


@click.command(
    "check",
    epilog=examples(
        "hwgen check dsp_gemm --set rows=5 --set cols=3 --set weight_bits=4",
        "hwgen check dsp_gemm_int4_16x16_ultrascale --vectors 100 --seed 7",
        "hwgen check dsp_gemm --set rows=64 --set cols=64 --rtl harness --json check.json",
        "hwgen check tiny --vectors 50",
        "hwgen check accelerator --set lanes=4 --set bus_bytes=16",
    ),
)
@click.argument("target")
@SET
@click.option("--vectors", default=20, show_default=True, help="Operations to run.")
@click.option("--seed", default=0, show_default=True, help="Seed of operands and stalls.")
@click.option(
    "--rtl",
    "executors",
    multiple=True,
    type=click.Choice(RTL_EXECUTORS),
    help="How to run the Verilog; may be repeated; all that the machine has if absent.",
)
@PROTECT
@JSON
def check_command(
    target: str,
    settings: tuple[str, ...],
    vectors: int,
    seed: int,
    executors: tuple[str, ...],
    protect: Path | None,
    json_file: Path | None,
) -> None:
    """Compare golden model, simulator and Verilog of TARGET: every value, and the cycle of every beat.

    Runs random operations of a core back to back under four stall regimes. Of an accelerator, runs random programs
    and compiled networks on memories of many kinds, and compares DRAM, start and end of every instruction, and all
    counters. Exit code 1 if anything differs. Of a protected design, the Verilog has its protection.
    """
    began = time.perf_counter()
    found = design(target, targets.parse_settings(settings), protect)
    if found.core is None:
        _check_system(found.system, found.plan, vectors, seed, executors, json_file, began)
        return
    core, config = found.core, found.config
    with progress() as tell:
        result = check(
            core, config, vectors=vectors, seed=seed, executors=executors or None, plan=found.plan, tell=tell
        )
    OUT.print(f"{config}, digest {digest_of(config.digest, found.plan)}", soft_wrap=True)
    OUT.print(f"{result.vectors} operations, {result.macs:,} MACs, seed {seed}")
    table = Table("regime", "RTL run by", box=None, padding=(0, 2, 0, 0))
    for heading in ("sim cycles", "RTL cycles", "RTL cycles/s"):
        table.add_column(heading, justify="right")
    for run in result.runs:
        numbers = (f"{run[key]:,}" for key in ("sim_cycles", "rtl_cycles", "rtl_cycles_per_second"))
        table.add_row(run["regime"], run["executor"], *numbers)
    OUT.print(table)
    for difference in result.differences[:1]:
        OUT.print(f"first difference: {difference}", soft_wrap=True)
    OUT.print(
        f"values {'equal' if result.values_equal else 'DIFFER'}, "
        f"cycles {'equal' if result.cycles_equal else 'DIFFER'}"
    )
    write_json(json_file, "check", result.to_dict(), began)
    if not result.passed:
        raise SystemExit(1)


def _check_system(
    config: SystemConfig,
    plan: Plan,
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
    with progress() as tell:
        result = check_system(config, vectors=vectors, seed=seed, plan=plan, tell=tell)
    OUT.print(f"{config}, digest {digest_of(config.digest, plan)}", soft_wrap=True)
    table = Table("what", box=None, padding=(0, 2, 0, 0))
    for heading in ("number", "instructions", "sim cycles", "RTL cycles", "RTL cycles/s"):
        table.add_column(heading, justify="right")
    for row in result.summary():
        table.add_row(*(cell if isinstance(cell, str) else f"{cell:,}" for cell in row))
    OUT.print(table)
    for difference in result.differences[:1]:
        OUT.print(f"first difference: {difference}", soft_wrap=True, markup=False)
    OUT.print(
        f"values {'equal' if result.values_equal else 'DIFFER'}, "
        f"cycles {'equal' if result.cycles_equal else 'DIFFER'}"
    )
    write_json(json_file, "check", result.to_dict(), began)
    if not result.passed:
        raise SystemExit(1)


@click.command("demo", epilog=examples("hwgen demo", "hwgen demo -o out/demo --json demo.json"))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    default=Path("out/demo"),
    show_default=True,
    help="Folder of the report.",
)
@JSON
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
    with progress() as tell:
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
    OUT.print(table)
    cells = demo.cells
    OUT.print(
        f"resources (Yosys, xcup): {cells.dsp:,} DSP48E2, {cells.lut:,} LUT, {cells.ff:,} FF, {cells.bram36:g} RAMB36",
        soft_wrap=True,
    )
    OUT.print(f"report: {report}", soft_wrap=True)
    write_json(json_file, "demo", demo.to_dict(), began)
    if not demo.passed:
        raise SystemExit(1)
