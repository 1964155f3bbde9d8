"""What faults are injected into: a design that does a job, for both engines.

A subject holds texts and numbers only, so that it can be sent to other processes and machines; everything that takes
time to build is built when it is first needed.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen import toolchain
from hwgen.core import Core
from hwgen.faults.engine.engine import LaneEngine
from hwgen.faults.engine.tables import Numbers, stream_table, system_table, with_memory
from hwgen.faults.hooks import Hooked, hooked
from hwgen.faults.lower import lower
from hwgen.faults.models import Faults, swaps
from hwgen.faults.netlist import Netlist, read_netlist
from hwgen.faults.operations import Program
from hwgen.faults.phases import Phases, stream_phases, system_phases
from hwgen.faults.sites import SiteTable
from hwgen.faults.verilated.engine import ExternalMemory, VerilatedEngine, VerilatedRun
from hwgen.files import output_folder, write_if_changed
from hwgen.numerics import IntArray
from hwgen.registry import core as core_of
from hwgen.streams import Beats, Stream
from hwgen.system.config import SystemConfig
from hwgen.verify import block, system_harness
from hwgen.verify.stimulus import Stimulus, patterns, stimulus

__all__ = ["CoreSubject", "Subject", "SystemSubject", "core_subject", "system_subject"]

_QUIET = 32
"""Cycles that a stream block is watched after its last beat."""


@dataclass(frozen=True, eq=False)
class Subject(ABC):
    """A design and its job.

    Parameters
    ----------
    name : str
        For people.
    top : str
        Top module.
    verilog : tuple of (str, str)
        Names and texts of the sources: the design first, then models of vendor cells.
    mechanisms : frozenset of str
        Labels of elements that protect others.
    """

    name: str
    top: str
    verilog: tuple[tuple[str, str], ...]
    mechanisms: frozenset[str] = field(default=frozenset(), kw_only=True)

    @property
    @abstractmethod
    def bench(self) -> str:
        """Kind of bench."""

    @property
    @abstractmethod
    def program(self) -> Program:
        """The design as the lane engine runs it, with what its bench brings."""

    @property
    @abstractmethod
    def job(self) -> Numbers:
        """What the bench does."""

    @property
    def memory_model(self) -> str:
        """C++ text of the memory's contract, if the bench has one."""
        return ""

    @property
    def memory(self) -> ExternalMemory | None:
        """Memory outside of the design, if it has one."""
        return None

    def __getstate__(self) -> dict[str, Any]:
        # What is built is not sent.
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    @cached_property
    def netlist(self) -> Netlist:
        """The design."""
        return read_netlist(self.sources, self.top)

    @cached_property
    def sites(self) -> SiteTable:
        """Its sites."""
        return SiteTable.of(self.netlist)

    @cached_property
    def lowered(self) -> Program:
        """The design as operations."""
        return lower(self.netlist)

    @cached_property
    def sources(self) -> list[Path]:
        """The texts as files in the cache."""
        digest = hashlib.sha256(repr(self.verilog).encode()).hexdigest()[:16]
        folder = output_folder(toolchain.cache_dir() / "verilog" / f"subject-{digest}")
        paths = []
        for name, text in self.verilog:
            paths.append(folder / name)
            write_if_changed(paths[-1], text)
        return paths

    @cached_property
    def digest(self) -> str:
        """Of the job: what is sent, when, and what memory holds."""
        found = hashlib.sha256(self.job.tobytes())
        if self.memory is not None:
            found.update(self.memory.image.tobytes())
        return found.hexdigest()[:16]

    @cached_property
    def lanes(self) -> LaneEngine:
        """The lane engine, with the fault-free run done."""
        return LaneEngine(self.sites, self.program, self.bench, self.job, memory_model=self.memory_model)

    @cached_property
    def hooked(self) -> Hooked:
        """The design with hooks, those in vendors' cells included."""
        return hooked(self.sources, self.top, vendor=True)

    @cached_property
    def verilated(self) -> VerilatedEngine:
        """The hooked Verilog, compiled."""
        return self._compiled(self.hooked)

    def _compiled(self, made: Hooked) -> VerilatedEngine:
        return VerilatedEngine(
            made, self.sites, self.program, self.bench, memory_model=self.memory_model,
            simulation_sources=self.sources[1:],
        )  # fmt: skip

    def run_verilated(self, listed: Faults, *, forked: bool = True, processes: int = 2) -> VerilatedRun:
        """Faults on the hooked Verilog; registers that faults exchange get hooks for it, and all is built anew."""
        pairs = swaps(self.sites, listed)
        engine = self.verilated
        if pairs:
            engine = self._compiled(hooked(self.sources, self.top, vendor=True, swaps=pairs))
        return engine.run(self.job, listed, memory=self.memory, forked=forked, processes=processes)

    @property
    def phases(self) -> Phases:
        """Parts of the run with a name; there may be none."""
        return {}


@dataclass(frozen=True, eq=False)
class CoreSubject(Subject):
    """A core that stands alone.

    Parameters
    ----------
    streams : tuple of Stream
        Its ports.
    stimulus : Stimulus
        What is sent.
    core : str
        Name of the core.
    config : CoreConfig
        Its configuration.
    operations : tuple
        What it was made of.
    """

    streams: tuple[Stream, ...]
    stimulus: Stimulus
    core: str
    config: Any
    operations: tuple[Any, ...]

    @property
    def bench(self) -> str:
        """Streams."""
        return "streams"

    @property
    def program(self) -> Program:
        """The design."""
        return self.lowered

    @cached_property
    def job(self) -> Numbers:
        """Beats and patterns."""
        return stream_table(self.program, self.streams, self.stimulus, _QUIET)

    @cached_property
    def phases(self) -> Phases:
        """See :func:`hwgen.faults.phases.stream_phases`."""
        return stream_phases(self.lanes, self.streams)

    def results(self, words: npt.NDArray[np.uint64]) -> list[IntArray]:
        """Results of the operations, from what :meth:`LaneEngine.observe` gave for one fault."""
        beats: dict[str, Beats] = {}
        at = 0
        for s in self.streams:
            if s.direction == "out":
                count, size = self.stimulus.expected[s.name], -(-s.bytes // 8)
                table = words[at : at + count * (size + 1)].reshape(count, size + 1)[:, :size]
                beats[s.name] = np.ascontiguousarray(table).view(np.uint8)[:, : s.bytes]
                at += count * (size + 1)
        return core_of(self.core).collect(self.config, list(self.operations), beats)


@dataclass(frozen=True, eq=False)
class SystemSubject(Subject):
    """An accelerator that runs a program.

    Parameters
    ----------
    image : uint8 array
        Memory before the run.
    bus_bytes : int
        Width of its bus.
    address, count : int
        Byte address of the program, and its number of instructions.
    dram : tuple of int
        Latency, interval, depth and write latency of the memory, cycles.
    model : str
        C++ text of the memory's contract, ``sim/dram.hpp``.
    """

    image: npt.NDArray[np.uint8]
    bus_bytes: int
    address: int
    count: int
    dram: tuple[int, int, int, int]
    model: str

    @property
    def bench(self) -> str:
        """Host and memory."""
        return "system"

    @property
    def memory_model(self) -> str:
        """The contract."""
        return self.model

    @cached_property
    def program(self) -> Program:
        """The design with its memory."""
        return with_memory(self.lowered, self.image, self.bus_bytes)

    @cached_property
    def job(self) -> Numbers:
        """What host and memory do."""
        return system_table(
            self.program, len(self.image), self.bus_bytes, self.dram, self.address, self.count
        )

    @cached_property
    def memory(self) -> ExternalMemory:
        """Memory outside."""
        return ExternalMemory(self.image, self.bus_bytes)

    @cached_property
    def phases(self) -> Phases:
        """See :func:`hwgen.faults.phases.system_phases`."""
        return system_phases(self.lanes)

    def memory_after(self, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
        """Bytes of memory after the run, from what :meth:`LaneEngine.observe` gave for one fault."""
        rows = words.astype(np.uint8).reshape(self.bus_bytes, -1).T.reshape(-1)
        return np.concatenate([rows, self.image[len(rows) :]])


def core_subject(
    name: str, config: Any, operations: list[Any], *, regime: str = "free", seed: int = 0
) -> CoreSubject:
    """A core with operations.

    Parameters
    ----------
    name : str
        Of the core.
    config : CoreConfig
        Its configuration.
    operations : list
        The core's.
    regime : str
        When the other sides move, one of :data:`hwgen.verify.stimulus.REGIMES`.
    seed : int
        Of that.
    """
    core: Core = core_of(name)
    made = block.emission(core, config)
    streams = core.streams(config)
    models = [Path(path) for path in core.simulation_sources(config)]
    texts = [(f"{made.top}.v", made.verilog), *((path.name, path.read_text()) for path in models)]
    given = stimulus(core, config, operations, patterns(regime, streams, seed))
    return CoreSubject(str(config), made.top, tuple(texts), streams, given, name, config, tuple(operations))


def system_subject(
    config: SystemConfig, image: npt.NDArray[np.uint8], address: int, count: int, *,
    dram: tuple[int, int, int, int] = (20, 1, 8, 10), memory_model: str, name: str = "accelerator",
) -> SystemSubject:  # fmt: skip
    """An accelerator with a program in memory.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    image : uint8 array
        Memory before the run; addresses count from 0.
    address, count : int
        Byte address of the program, and its number of instructions.
    dram : tuple of int
        Latency, interval, depth and write latency of the memory, cycles.
    memory_model : str
        C++ text of the memory's contract, ``sim/dram.hpp``.
    name : str
        For people.
    """
    made = system_harness.emission(config)
    models = system_harness.simulation_sources(config)
    texts = [(f"{made.top}.v", made.verilog), *((path.name, path.read_text()) for path in models)]
    return SystemSubject(
        name, made.top, tuple(texts), image, config.bus_bytes, address, count, dram, memory_model
    )
