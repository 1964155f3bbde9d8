"""A design with a job: its fault-free run, and faults on it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput, HwgenError
from hwgen.faults.engine.native import library
from hwgen.faults.engine.tables import Numbers, Pieces, program_table
from hwgen.faults.models import Faults, Model, faults, masks
from hwgen.faults.operations import Program
from hwgen.faults.sites import SiteTable

__all__ = ["CHANGE", "LANES", "RESULT", "Effort", "LaneEngine"]

LANES = (64, 256, 512)
"""Faults that can be simulated at once."""

RESULT = np.dtype(
    [
        ("digest", "<u8"), ("end", "<u4"), ("wrong", "<u4"), ("flag", "<u4"), ("status", "u1"), ("latent", "u1"),
        ("escaped", "u1"), ("mended", "u1"),
    ]
)  # fmt: skip
"""What came of a fault: digest of all that the design gave, cycles until it was done, words that differ, cycle in which
it reported an error (2^32 - 1: never), 0 done | 1 hung | 2 broke a rule, whether its state differs in the end, whether
it was simulated whole, and whether it reported that it corrected an error."""

CHANGE = np.dtype([("fault", "<u4"), ("reg", "<u4"), ("bit", "<u4")])
"""A bit of a register of the program that differs: number of the fault, of the register, and of the bit."""

NEVER = (1 << 32) - 1

_SPREADING = threading.Lock()
_WINDOW = 48  # of 8 to whole runs, the quickest on cores and accelerators


@dataclass(frozen=True)
class Effort:
    """What the engine did: operations on all lanes, cycles of batches, batches, copies that were simulated whole, and
    faults that were simulated; the others come to the same as one of these, or vanish on the way."""

    operations: int
    cycles: int
    batches: int
    escapes: int
    simulated: int


class LaneEngine:
    """A design with a job.

    Parameters
    ----------
    table : SiteTable
        Its sites.
    program : Program
        The design.
    bench : str
        What drives it: ``streams`` or ``system``.
    job : Numbers
        For that bench, see :mod:`hwgen.faults.engine.tables`.
    memory_model : str
        For ``system``: C++ text of the memory's contract, ``sim/dram.hpp``.
    limit : int
        Cycles after which the fault-free run is given up.

    Raises
    ------
    BadInput
        If the fault-free run does not end, or breaks a rule.
    """

    def __init__(
        self, table: SiteTable, program: Program, bench: str, job: Numbers, *, memory_model: str = "",
        limit: int = 1_000_000,
    ):  # fmt: skip
        self.table, self.program = table, program
        self._library = library(bench, memory_model)
        self._pieces = Pieces(program)
        self._program, self._job = program_table(program), job
        self._engine = self._library.faults_open(self._program.ctypes.data, job.ctypes.data, limit)
        if not self._engine:
            raise HwgenError(
                f"the lane engine failed: {self._library.faults_complaint().decode()}; report this"
            )
        self.cycles: int = self._library.faults_cycles(self._engine)
        found = np.zeros(1, RESULT)
        self._library.faults_fault_free(self._engine, found.ctypes.data)
        self.fault_free: Any = found[0]
        if self.fault_free["status"]:
            raise BadInput(
                f"the fault-free run does not end well within {limit} cycles; correct the workload"
            )

    def __del__(self) -> None:
        if getattr(self, "_engine", None):
            self._library.faults_close(self._engine)

    def value(self, cycle: int, value: int) -> int:
        """A value of the fault-free run."""
        known = self.program.constants.get(value)
        return known if known is not None else int(self._library.faults_value(self._engine, cycle, value))

    @property
    def limit(self) -> int:
        """Cycles after which a faulty copy counts as hung: twice the fault-free run."""
        return 2 * self.cycles + 64

    def inject(
        self, listed: Faults, *, lanes: int = 256, window: int | None = None
    ) -> tuple[npt.NDArray[np.void], Effort]:
        """Simulate faults.

        Parameters
        ----------
        listed : Faults
            In any order; results do not depend on it.
        lanes : int
            One of :data:`LANES`.
        window : int, optional
            Faults of so many cycles share batches; if absent, the engine chooses.

        Returns
        -------
        structured array of RESULT, shape (faults,), Effort
        """
        if lanes not in LANES:
            raise BadInput(f"lanes must be one of {', '.join(map(str, LANES))}, not {lanes}")
        self._refuse_late(listed["cycle"])
        site = listed["site"]
        upset = (listed["model"] == Model.SEU) & (listed["duration"] == 1) & (site < self.table.flip_flops)
        if not (upset.all() and (site >= 0).all()):
            numbers = self._pieces.table(listed, masks(self.table, listed))
            return self._run("inject", (numbers,), len(listed), lanes, window)
        bits, cycles = self._bits[site], listed["cycle"].astype(np.uint32)  # most campaigns are of these
        return self._run("upsets", (bits, cycles), len(listed), lanes, window)

    def transients(
        self, values: npt.ArrayLike, cycles: npt.ArrayLike, *, lanes: int = 512
    ) -> tuple[npt.NDArray[np.void], Effort]:
        """Simulate single-event transients: what an operation gives is inverted in one cycle.

        Parameters
        ----------
        values, cycles : array_like of int, shape (faults,)
            Values of one bit that operations give, and when.
        lanes : int
            One of :data:`LANES`.

        Returns
        -------
        structured array of RESULT, shape (faults,), Effort
        """
        where, when = np.asarray(values, np.uint64), np.asarray(cycles, np.uint64)
        self._refuse_late(when)
        table = np.zeros((len(where), 10), np.uint64)
        table[:, 0], table[:, 6] = when, where
        table[:, [1, 2, 3, 4, 9]] = 1  # duration, period, on, targets, mask
        table[:, 5] = 3
        return self._run("inject", (table.reshape(-1),), len(where), lanes, None)

    def spread(
        self, values: npt.ArrayLike, cycles: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.void]]:
        """What transients leave behind at the end of their cycle.

        Parameters
        ----------
        values, cycles : array_like of int
            As for :meth:`transients`.

        Returns
        -------
        bool array, shape (faults,)
            Whether the design gives something else in that cycle, or a memory takes something else.
        structured array of CHANGE
            Bits of registers that differ, of the other faults.
        """
        where, when = np.asarray(values, np.uint64), np.asarray(cycles, np.uint32)
        shown = np.zeros(len(where), np.bool_)
        with _SPREADING:  # the engine keeps what it found until it is fetched
            found = self._library.faults_spread(
                self._engine, where.ctypes.data, when.ctypes.data, len(where), shown.ctypes.data
            )
            if found < 0:
                raise HwgenError(
                    f"the lane engine failed: {self._library.faults_complaint().decode()}; report this"
                )
            changes = np.zeros(found, CHANGE)
            self._library.faults_changes(self._engine, changes.ctypes.data)
        return shown, changes

    def differing(
        self, fault: npt.NDArray[np.int64], site: npt.NDArray[np.int64], cycle: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.void], Effort]:
        """Simulate upsets of any number of flip-flops in a cycle.

        Parameters
        ----------
        fault, site : int64 array, shape (upsets,)
            Number of a fault, ascending, each at least once, and a flip-flop that it strikes.
        cycle : int64 array, shape (faults,)
            When each fault strikes.

        Returns
        -------
        structured array of RESULT, shape (faults,), Effort
        """
        first = np.flatnonzero(np.diff(fault, prepend=-1))
        begin = 5 * (first + np.arange(len(first)))
        numbers = np.zeros(5 * (len(fault) + len(first)), np.uint64)
        numbers[begin] = cycle
        for column in (1, 2, 3):
            numbers[begin + column] = 1
        numbers[begin + 4] = np.diff(first, append=len(fault))
        at = 5 * (np.arange(len(fault)) + fault + 1)
        for column in range(5):
            numbers[at + column] = self._upsets[site, 5 + column]
        return self._run("inject", (numbers,), len(cycle), 256, None)

    def _run(
        self, function: str, listed: tuple[npt.NDArray[Any], ...], count: int, lanes: int, window: int | None
    ) -> tuple[npt.NDArray[np.void], Effort]:
        results = np.zeros(count, RESULT)
        effort = np.zeros(5, np.uint64)
        failed = getattr(self._library, f"faults_{function}")(
            self._engine, *(part.ctypes.data for part in listed), count, lanes, window or _WINDOW, self.limit,
            results.ctypes.data, effort.ctypes.data,
        )  # fmt: skip
        if failed:
            raise HwgenError(
                f"the lane engine failed: {self._library.faults_complaint().decode()}; report this"
            )
        return results, Effort(*map(int, effort))

    def observe(self, listed: Faults) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.void]]:
        """Everything that faulty copies give: for few faults, each of which is simulated whole.

        Parameters
        ----------
        listed : Faults
            In any order.

        Returns
        -------
        uint64 array, shape (faults, words)
            Words given, of streams in their order with TLAST behind the data of every beat; then the bytes that memory
            outside holds at the end, byte lane by byte lane of the bus.
        structured array of RESULT, shape (faults,)
            As :meth:`inject` gives it.
        """
        self._refuse_late(listed["cycle"])
        numbers = self._pieces.table(listed, masks(self.table, listed))
        words = np.zeros((len(listed), self._library.faults_observed(self._engine)), np.uint64)
        results = np.zeros(len(listed), RESULT)
        failed = self._library.faults_observe(
            self._engine, numbers.ctypes.data, len(listed), self.limit, words.ctypes.data, results.ctypes.data
        )
        if failed:
            raise HwgenError(
                f"the lane engine failed: {self._library.faults_complaint().decode()}; report this"
            )
        return words, results

    @cached_property
    def _upsets(self) -> Numbers:
        """Upsets of flip-flops as the engine takes them, by site; cycles are filled in."""
        listed = faults(np.arange(self.table.flip_flops), 0)
        return self._pieces.table(listed, masks(self.table, listed)).reshape(len(listed), -1)

    @cached_property
    def _bits(self) -> npt.NDArray[np.uint32]:
        """Bit of each flip-flop, counted through the registers of the program."""
        widths = np.array([self.program.widths[r.q] for r in self.program.registers], np.int64)
        register, mask = self._upsets[:, 6].astype(np.int64), self._upsets[:, 9]
        place = (np.cumsum(widths) - widths)[register] + np.log2(mask.astype(np.float64)).astype(np.int64)
        return place.astype(np.uint32)

    def _refuse_late(self, cycles: npt.NDArray[Any]) -> None:
        if cycles.size and cycles.max() >= self.cycles:
            raise BadInput(
                f"a fault in cycle {int(cycles.max())} comes after the end; the run has cycles 0..{self.cycles - 1}"
            )
