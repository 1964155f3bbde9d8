"""``hwgen synth``: cells of a design beside what a board has, and its bitstream where there are open tools."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from hwgen import toolchain
from hwgen.boards import Board
from hwgen.commands.design import Design
from hwgen.commands.host_device import board_config
from hwgen.commands.host_write import write_board
from hwgen.commands.system_generate import generate_design
from hwgen.errors import BadInput
from hwgen.faults.protection.emission import protect_emission
from hwgen.files import output_folder, replacing, write_all
from hwgen.host.config import BoardConfig
from hwgen.place_and_route import Bitstream, Layout, Step, bitstream, prepare
from hwgen.synth.families import Use, family, fit, overflow, placer_of
from hwgen.synth.project import project_files
from hwgen.synth.tools import Tell
from hwgen.synthesis import cells
from hwgen.verify.system_harness import emission

__all__ = ["Serial", "Synthesised", "path_text", "synth"]


@dataclass(frozen=True)
class Serial:
    """An accelerator as a board runs it, with memory on the chip behind a serial line.

    Parameters
    ----------
    baud : int, optional
        Bits per second; 115,200 if absent.
    memory_kib : int
        Memory.
    """

    baud: int | None = None
    memory_kib: int = 64


@dataclass(frozen=True)
class Synthesised:
    """What was found and built.

    Parameters
    ----------
    board : Board
        For what.
    digest : str
        Of the design.
    shell : str
        What lies around the design in a bitstream: ``pins``, registers that keep all its ports alive, or ``serial``, a
        serial line's two pins.
    counts : mapping of str to int
        Cells by Yosys' type, without the shell.
    uses : mapping of str to Use
        Resources by kind.
    seconds : mapping of str to float
        Wall time of the steps; next to nothing if the cache had them.
    built : Bitstream, optional
        The placed and routed design in its shell.
    files : tuple of Path
        Written.
    """

    board: Board
    digest: str
    shell: str
    counts: Mapping[str, int]
    uses: Mapping[str, Use]
    seconds: Mapping[str, float]
    built: Bitstream | None = None
    files: tuple[Path, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)

    @property
    def overflow(self) -> str | None:
        """A sentence about the first resource of which there is not enough; none if the design fits."""
        return overflow(self.uses, self.board)

    @property
    def bitstream(self) -> Path | None:
        """The file, in the folder that was asked for."""
        suffix = None if self.built is None else self.built.path.suffix
        return next((path for path in self.files if path.suffix == suffix), None)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; keys of the design's section 8."""
        layout = None if self.built is None else self.built.layout
        return {
            "board": self.board.name,
            "device": self.board.device,
            "digest": self.digest,
            "cells": dict(self.counts),
            "resources": {
                kind: {"used": _whole(use.used), "available": use.available}
                for kind, use in self.uses.items()
            },
            "fits": self.overflow is None,
            "fmax_mhz": None
            if layout is None
            else {clock: round(mhz, 2) for clock, mhz in layout.mhz.items()},
            "critical_path": None if layout is None else _steps(layout.limiting),
            "placed": None
            if layout is None
            else {kind: {"used": use.used, "available": use.available} for kind, use in layout.use.items()},
            "shell": None if layout is None else self.shell,
            "bitstream": None if self.bitstream is None else str(self.bitstream),
            "files": [str(path) for path in self.files],
            "tools": dict(self.tools),
            "steps_seconds": {step: round(seconds, 3) for step, seconds in self.seconds.items()},
        }


def synth(
    design: Design,
    board: Board,
    folder: Path,
    *,
    pnr: bool = False,
    seed: int = 1,
    target_mhz: float | None = None,
    serial: Serial | None = None,
    tell: Tell = lambda text: None,
) -> Synthesised:
    """Count a design's cells for a board, and build its bitstream or its project.

    The design's Verilog, manifest and header go into ``folder``; with ``pnr`` also the bitstream, of a board with a
    project that too. Counts, netlists and bitstreams come from the cache if they are there. A design that does not fit
    is not placed.

    Parameters
    ----------
    design : Design
        A core or an accelerator.
    board : Board
        Where to.
    folder : Path
        Folder to write.
    pnr : bool
        Whether to place, route and pack.
    seed : int
        What nextpnr starts with.
    target_mhz : float, optional
        What nextpnr tries to reach; the board's own if absent.
    serial : Serial, optional
        Build what runs on the board: the accelerator with memory and a serial line.
    tell : callable
        Is told what is being done.

    Raises
    ------
    BadInput
        If a tool refuses the design, the folder cannot be used, or there are no open tools to place it.
    MissingTool
        If a tool is not installed.
    """
    found = family(board.family)
    shell = "pins" if serial is None else "serial"
    whole = None if serial is None else _serial(design, board, serial)
    if pnr:
        placer_of(board).versions()  # what is missing is said before the work
    output_folder(folder)
    seconds: dict[str, float] = {}
    tell("generating Verilog")
    began = time.perf_counter()
    top, digest, files = _generate(design, whole, folder)
    source = folder / f"{top}.v"
    seconds["generate"] = time.perf_counter() - began
    tell(f"synthesising for {board.device}")
    began = time.perf_counter()
    command = " ".join(filter(None, (found.synthesis, *board.option("synthesis"), found.part)))
    with ThreadPoolExecutor(1) as pool:  # the design alone is counted while it is synthesised in its shell
        shelled = pool.submit(prepare, source, top, board, shell=shell) if pnr else None
        counts = cells(source, top, command)
    if shelled is not None:
        shelled.result()
    uses = fit(counts, board)
    seconds["synthesis"] = time.perf_counter() - began
    tools = {"pyosys": toolchain.yosys_version()}
    built = None
    if overflow(uses, board) is None:
        if board.project is not None:
            made = None
            if not design.plan.empty and design.core is None:
                made = protect_emission(emission(design.system), design.plan).emission
            project = project_files(board, top, source.name, design.config, digest, made)
            files += write_all(folder, project)
        if pnr:
            began = time.perf_counter()
            built = bitstream(source, top, board, seed=seed, target_mhz=target_mhz, shell=shell, tell=tell)
            seconds["place and route"] = time.perf_counter() - began
            tools |= built.tools
            named = folder / f"{top}_{board.name}{built.path.suffix}"
            with replacing(named) as partial:
                shutil.copyfile(built.path, partial)
            files.append(named)
    return Synthesised(board, digest, shell, counts, uses, seconds, built, tuple(files), tools)


def _generate(design: Design, whole: BoardConfig | None, folder: Path) -> tuple[str, str, list[Path]]:
    """Write a design's Verilog, or that of the whole around it: its top module, its digest, all files."""
    if whole is None:
        made = generate_design(design, folder)
        return made.top, made.digest, list(made.files)
    return "board_system", whole.digest, write_board(whole, folder)


def _serial(design: Design, board: Board, serial: Serial) -> BoardConfig:
    """What lies behind a board's serial line; refuses what none can be built for."""
    if board.project is not None:
        raise BadInput(
            f"{board.name} reaches the accelerator by AXI, no serial line is needed: leave --serial out"
        )
    if not design.plan.empty:
        raise BadInput("a serial line is for accelerators without protection: leave --protect out")
    if design.core is not None:
        raise BadInput(f"{design.core.name} is a core, and only accelerators have a serial line: name one")
    return board_config(design.system, board.clock_mhz, serial.baud, serial.memory_kib)


def path_text(layout: Layout) -> str:
    """The path that limits a layout in a line: signals in order, with the nanoseconds up to each."""
    parts = []
    for name, steps in groupby(layout.limiting, key=lambda step: step.name.split("[")[0]):
        parts.append(f"{name} {sum(step.ns for step in steps):.2f}")
    return " > ".join(parts)


def _whole(number: float) -> int | float:
    """The number, without a point if it needs none."""
    return int(number) if float(number).is_integer() else number


def _steps(path: Sequence[Step]) -> list[dict[str, Any]]:
    return [{"kind": step.kind, "ns": round(step.ns, 3), "name": step.name} for step in path]
