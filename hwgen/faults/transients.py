"""Single-event transients: the design as gates, each of which can give the wrong value for a cycle, in both engines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwgen import toolchain
from hwgen.errors import BadInput
from hwgen.faults.classes import SiteClass
from hwgen.faults.engine.engine import Effort, LaneEngine
from hwgen.faults.engine.tables import Numbers, with_memory
from hwgen.faults.gate_hooks import GateLevel, gate_level
from hwgen.faults.lower import lower_gates
from hwgen.faults.models import Faults, Model
from hwgen.faults.netlist import Netlist, read_netlist
from hwgen.faults.operations import Program
from hwgen.faults.phases import Phases
from hwgen.faults.sites import Element, Kind, SiteTable
from hwgen.faults.subject import Subject
from hwgen.faults.verilated.engine import ExternalMemory, VerilatedEngine, VerilatedRun
from hwgen.files import output_folder, write_if_changed

__all__ = ["GateEngine", "GateSubject"]

_IDLE = {"fault_select": 0, "fault_gate": 0, "fault_strobe": 0}


class GateEngine(LaneEngine):
    """The lane engine on gates, for transients: the cycle of each on gates, what follows it on the design's words.

    Parameters
    ----------
    table : SiteTable
        Registers and memories of the gates' netlist.
    program, bench, job, memory_model
        See :class:`hwgen.faults.engine.engine.LaneEngine`.
    values : int64 array, shape (gates,)
        Value of each gate in the program.
    words : LaneEngine
        The design with the same job.
    """

    def __init__(
        self, table: SiteTable, program: Program, bench: str, job: Numbers, *, memory_model: str,
        values: npt.NDArray[np.int64], words: LaneEngine,
    ):  # fmt: skip
        super().__init__(table, program, bench, job, memory_model=memory_model)
        self._values, self._words = values, words

    @cached_property
    def _sites(self) -> npt.NDArray[np.int64]:
        """Site of the design of the first bit of each register of the program; a register's bits follow it."""
        known = {(e.label, e.kind): e for e in self._words.table}
        found = []
        for register in self.program.registers:
            mine = self.table.elements[register.element]
            there = known[mine.label, mine.kind]
            found.append(there.first + mine.low + register.low - there.low)
        return np.array(found, np.int64)

    def inject(
        self, listed: Faults, *, lanes: int = 256, window: int | None = None
    ) -> tuple[npt.NDArray[np.void], Effort]:
        """Simulate transients.

        Parameters
        ----------
        listed : Faults
            Their sites are numbers of gates.
        lanes, window
            See :meth:`hwgen.faults.engine.engine.LaneEngine.inject`.

        Returns
        -------
        structured array of RESULT, shape (faults,), Effort
            Effort of what follows the cycle on gates.

        Raises
        ------
        BadInput
            If a fault is none of a gate, or there is no such cycle.
        """
        gates, when = listed["site"], listed["cycle"].astype(np.int64)
        if (listed["model"] != Model.SET).any():
            raise BadInput("gates are struck by transients only; choose the model set")
        wrong = gates[(gates < 0) | (gates >= len(self._values))]
        if wrong.size:
            raise BadInput(f"there is no gate {wrong[0]}; the design has 0..{len(self._values) - 1}")
        self._refuse_late(listed["cycle"])
        values = self._values[gates]
        shown, changes = self.spread(values, when)
        results = np.full(len(listed), self._words.fault_free)
        # What the design gives differs in the very cycle: all on gates.
        results[shown], _ = self.transients(values[shown], when[shown])
        upsets = np.sort(
            changes["fault"].astype(np.int64) << 32 | self._sites[changes["reg"]] + changes["bit"]
        )
        fault, site = upsets >> 32, upsets & 0xFFFF_FFFF
        new = np.diff(fault, prepend=-1) != 0
        struck = fault[new]
        results[struck], effort = self._words.differing(np.cumsum(new) - 1, site, when[struck])
        return results, effort


@dataclass(frozen=True, eq=False)
class GateSubject(Subject):
    """The gates of a design that does a job, numbered as :class:`hwgen.faults.gate_hooks.GateLevel` has them.

    Parameters
    ----------
    plain : Subject
        The design.
    """

    plain: Subject

    @classmethod
    def of(cls, plain: Subject) -> GateSubject:
        """Gates of a subject."""
        return cls(f"gates of {plain.name}", plain.top, plain.verilog, plain)

    @property
    def bench(self) -> str:
        """The design's."""
        return self.plain.bench

    @property
    def job(self) -> Numbers:
        """The design's."""
        return self.plain.job

    @property
    def memory_model(self) -> str:
        """The design's."""
        return self.plain.memory_model

    @property
    def memory(self) -> ExternalMemory | None:
        """The design's."""
        return self.plain.memory

    @property
    def phases(self) -> Phases:
        """The design's."""
        return self.plain.phases

    @cached_property
    def level(self) -> GateLevel:
        """The gates, with hooks."""
        return gate_level(self.plain.sources, self.top)

    @cached_property
    def sources(self) -> list[Path]:
        """The gates as Verilog in the cache, and models of vendors' cells."""
        folder = output_folder(toolchain.cache_dir() / "verilog" / f"gates-{self.level.digest}")
        path = folder / f"{self.top}.v"
        write_if_changed(path, self.level.verilog)
        return [path, *self.plain.sources[1:]]

    @cached_property
    def netlist(self) -> Netlist:
        """The gates, flat; the net of each is told."""
        gates = [self.level.gate(i) for i in range(len(self.level))]
        return read_netlist(self.sources, self.top, {(gate.path, gate.net) for gate in gates})

    @cached_property
    def sites(self) -> SiteTable:
        """A row of gates for each instance that has some; a site is a gate."""
        found: list[Element] = []
        firsts = self.level.firsts.tolist()
        for (path, kind, _), first, end in zip(self.level.instances, firsts[:-1], firsts[1:], strict=True):
            found.append(
                Element(
                    len(found),
                    path,
                    kind,
                    "gates",
                    Kind.GATE,
                    SiteClass.LOGIC,
                    0,
                    end - first,
                    1,
                    first,
                    False,
                )
            )
        return SiteTable(self.netlist.digest, tuple(found))

    @cached_property
    def values(self) -> npt.NDArray[np.int64]:
        """Value of each gate in the program."""
        return self._lowered[1]

    @cached_property
    def _lowered(self) -> tuple[Program, npt.NDArray[np.int64]]:
        """The program without hooks, and the value of each gate in it."""
        program, values = lower_gates(self.netlist, _IDLE)
        gates = (self.level.gate(i) for i in range(len(self.level)))
        return program, np.array([values[gate.path, gate.net] for gate in gates], np.int64)

    @cached_property
    def program(self) -> Program:
        """The design as the lane engine runs it."""
        program = self._lowered[0]
        return (
            program if self.memory is None else with_memory(program, self.memory.image, self.memory.bus_bytes)
        )

    @cached_property
    def lanes(self) -> GateEngine:
        """The lane engine, with the fault-free run done."""
        return GateEngine(
            SiteTable.of(self.netlist), self.program, self.bench, self.job, memory_model=self.memory_model,
            values=self.values, words=self.plain.lanes,
        )  # fmt: skip

    @cached_property
    def verilated(self) -> VerilatedEngine:
        """The gates with hooks, compiled by Verilator."""
        return VerilatedEngine(
            self.level, self.lanes.table, self.program, self.bench, memory_model=self.memory_model,
            simulation_sources=self.sources[1:],
        )  # fmt: skip

    def run_verilated(self, listed: Faults, *, forked: bool = True, processes: int = 2) -> VerilatedRun:
        """Transients on the hooked Verilog of the gates, always forked."""
        return self.verilated.transients(
            self.job, listed["site"], listed["cycle"], memory=self.memory, processes=processes
        )
