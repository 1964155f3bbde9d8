"""Single-event transients: the design as gates, each of which can give the wrong value for a cycle, in both engines."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwgen import toolchain
from hwgen.errors import BadInput
from hwgen.faults.engine.engine import Effort, LaneEngine
from hwgen.faults.engine.tables import with_memory
from hwgen.faults.gate_hooks import GateLevel, gate_level
from hwgen.faults.lower import lower_gates
from hwgen.faults.netlist import Netlist, read_netlist
from hwgen.faults.operations import Program
from hwgen.faults.sites import SiteTable
from hwgen.faults.subject import Subject
from hwgen.faults.verilated.engine import VerilatedEngine, VerilatedRun
from hwgen.files import output_folder, write_if_changed

__all__ = ["TransientLab"]

_IDLE = {"fault_select": 0, "fault_gate": 0, "fault_strobe": 0}


class TransientLab:
    """Gates of a subject's design, numbered as :class:`hwgen.faults.gate_hooks.GateLevel` has them.

    Parameters
    ----------
    subject : Subject
        A design that does a job.
    """

    def __init__(self, subject: Subject):
        self.subject = subject

    @cached_property
    def level(self) -> GateLevel:
        """The gates, with hooks."""
        return gate_level(self.subject.sources, self.subject.top)

    @cached_property
    def sources(self) -> list[Path]:
        """The gates as Verilog in the cache, and models of vendors' cells."""
        folder = output_folder(toolchain.cache_dir() / "verilog" / f"gates-{self.level.digest}")
        path = folder / f"{self.subject.top}.v"
        write_if_changed(path, self.level.verilog)
        return [path, *self.subject.sources[1:]]

    @cached_property
    def netlist(self) -> Netlist:
        """The gates, flat; the net of each is told."""
        gates = [self.level.gate(i) for i in range(len(self.level))]
        return read_netlist(self.sources, self.subject.top, {(gate.path, gate.net) for gate in gates})

    @cached_property
    def _lowered(self) -> tuple[Program, npt.NDArray[np.int64]]:
        """The program without hooks, and the value of each gate in it."""
        program, values = lower_gates(self.netlist, _IDLE)
        gates = (self.level.gate(i) for i in range(len(self.level)))
        return program, np.array([values[gate.path, gate.net] for gate in gates], np.int64)

    @cached_property
    def program(self) -> Program:
        """The design as the lane engine runs it."""
        memory = self.subject.memory
        program = self._lowered[0]
        return program if memory is None else with_memory(program, memory.image, memory.bus_bytes)

    @cached_property
    def lanes(self) -> LaneEngine:
        """The lane engine, with the fault-free run done."""
        one = self.subject
        return LaneEngine(
            SiteTable.of(self.netlist), self.program, one.bench, one.job, memory_model=one.memory_model
        )

    @cached_property
    def verilated(self) -> VerilatedEngine:
        """The gates with hooks, compiled by Verilator."""
        one = self.subject
        return VerilatedEngine(
            self.level, self.lanes.table, self.program, one.bench, memory_model=one.memory_model,
            simulation_sources=self.sources[1:],
        )  # fmt: skip

    @cached_property
    def _sites(self) -> npt.NDArray[np.int64]:
        """Site of the design of the first bit of each register of the gates' program; a register's bits follow it."""
        known = {(e.label, e.kind): e for e in self.subject.sites}
        found = []
        for register in self.program.registers:
            mine = self.lanes.table.elements[register.element]
            there = known[mine.label, mine.kind]
            found.append(there.first + mine.low + register.low - there.low)
        return np.array(found, np.int64)

    def inject(self, gates: npt.ArrayLike, cycles: npt.ArrayLike) -> tuple[npt.NDArray[np.void], Effort]:
        """Transients at gates, by the lane engine: the cycle of each on gates, what follows it on words.

        Parameters
        ----------
        gates, cycles : array_like of int, shape (faults,)
            Numbers of gates, and the cycle in which each gives the wrong value.

        Returns
        -------
        structured array of RESULT, shape (faults,), Effort
            Effort of what follows.

        Raises
        ------
        BadInput
            If there is no such gate or cycle.
        """
        numbers, when = np.asarray(gates, np.int64), np.asarray(cycles, np.int64)
        self.level.locate(numbers)  # refuses those that there are not
        late = when[when >= self.lanes.cycles]
        if late.size:
            raise BadInput(
                f"a transient in cycle {late[0]} comes after the end; the run has cycles 0..{self.lanes.cycles - 1}"
            )
        values = self._lowered[1][numbers]
        shown, changes = self.lanes.spread(values, when)
        words = self.subject.lanes
        results = np.full(len(numbers), words.fault_free)
        # What the design gives differs in the very cycle: all on gates.
        results[shown], _ = self.lanes.transients(values[shown], when[shown])
        upsets = np.sort(
            changes["fault"].astype(np.int64) << 32 | self._sites[changes["reg"]] + changes["bit"]
        )
        fault, site = upsets >> 32, upsets & 0xFFFF_FFFF
        new = np.diff(fault, prepend=-1) != 0
        struck = fault[new]
        results[struck], effort = words.differing(np.cumsum(new) - 1, site, when[struck])
        return results, effort

    def run_verilated(
        self, gates: npt.ArrayLike, cycles: npt.ArrayLike, *, processes: int = 2
    ) -> VerilatedRun:
        """The same on the hooked Verilog."""
        one = self.subject
        return self.verilated.transients(one.job, gates, cycles, memory=one.memory, processes=processes)
