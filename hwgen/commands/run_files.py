"""What a run leaves behind: traces, events, results."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hwgen.commands.executors import timed
from hwgen.commands.run import RunResult
from hwgen.errors import BadInput
from hwgen.files import output_folder, replacing, write_all
from hwgen.numerics import IntArray
from hwgen.program.table import ENGINES
from sim import events, trace

__all__ = ["prepare", "write", "write_events", "write_outputs", "write_trace"]


def prepare(executor: str, timing_only: bool, trace_file: Path | None, events_file: Path | None,
            outputs: Path | None, report: Path | None) -> None:  # fmt: skip
    """Refuse, before the run, files that it could not write.

    Raises
    ------
    BadInput
        If a file is of an unknown kind, its folder cannot be used, or the run will not have what is wanted.
    """
    timed_files = {"--trace": trace_file, "--events": events_file, "--report": report}
    for option, path in timed_files.items():
        if path is not None and executor == "golden":
            raise BadInput(
                f"{option} is about cycles, and the golden model counts none; choose the executor sim or rtl"
            )
    if trace_file is not None and trace_file.suffix not in (".json", ".vcd"):
        raise BadInput(f"--trace {trace_file} must end in .json (Perfetto) or .vcd (waves)")
    if outputs is not None and outputs.suffix != ".npz":
        raise BadInput(f"--outputs {outputs} must end in .npz")
    if outputs is not None and timing_only:
        raise BadInput("--outputs wants values, and --timing-only leaves them out; choose one")
    for path in (trace_file, events_file, outputs):
        if path is not None:
            output_folder(path.parent)
    if report is not None:
        output_folder(report)


def write(
    result: RunResult,
    trace_file: Path | None,
    events_file: Path | None,
    outputs: Path | None,
    report: Path | None,
    clock_mhz: float | None,
    target: str,
) -> dict[str, Path]:
    """Write what was asked for; gives the files by what they are."""
    written: dict[str, Path] = {}
    if trace_file is not None:
        write_trace(trace_file, result)
        written["trace"] = trace_file
    if events_file is not None:
        write_events(events_file, result)
        written["events"] = events_file
    if outputs is not None:
        assert result.outputs is not None
        write_outputs(outputs, result.outputs)
        written["outputs"] = outputs
    if report is not None:
        from hwgen.commands.run_report import run_report
        from hwgen.report import render

        (written["report"],) = write_all(
            report, {"report.html": render(run_report(result, clock_mhz, target))}
        )
    return written


def write_trace(path: Path, result: RunResult) -> None:
    """Write a timeline: for Perfetto (``.json``), or waves (``.vcd``)."""
    job, timing = result.job, result.timing
    assert job is not None
    assert timing is not None
    columns = timed(job.config, job.program.body)
    labels = [
        f"{one.mnemonic} {owner}" if owner else one.mnemonic
        for one, owner in zip(job.program.instructions, job.owners, strict=True)
    ]
    line = trace.Timeline(
        timing.starts, timing.ends, columns.engine.astype(np.int64), timing.cycles - 1,
        {ENGINES.index(name): name for name in job.config.engines}, labels, wait=columns.wait, signal=columns.signal,
    )  # fmt: skip
    with replacing(path) as file:
        (trace.write_vcd if path.suffix == ".vcd" else trace.write_chrome)(file, line)


def write_events(path: Path, result: RunResult) -> None:
    """Write in which cycle every instruction begins and ends, as JSON lines."""
    job, timing = result.job, result.timing
    assert job is not None
    assert timing is not None
    engines = timed(job.config, job.program.body).engine
    with replacing(path) as file:
        events.write(file, events.records(timing.starts, timing.ends, engines))


def write_outputs(path: Path, results: Mapping[str, IntArray]) -> None:
    """Write the results of all layers."""
    with replacing(path) as file, contextlib.closing(file.open("wb")) as opened:
        np.savez(opened, **results)  # type: ignore[arg-type]
