"""A design with a job: its fault-free run, and faults on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput, HwgenError
from hwgen.faults.engine.native import library
from hwgen.faults.engine.tables import Numbers, Pieces, program_table
from hwgen.faults.models import Faults, masks
from hwgen.faults.operations import Program
from hwgen.faults.sites import SiteTable

__all__ = ["LANES", "RESULT", "Effort", "LaneEngine"]

LANES = (64, 256, 512)
"""Faults that can be simulated at once."""

RESULT = np.dtype(
    [
        ("digest", "<u8"), ("end", "<u4"), ("wrong", "<u4"), ("flag", "<u4"), ("status", "u1"), ("latent", "u1"),
        ("escaped", "u1"), ("padding", "u1"),
    ]
)  # fmt: skip
"""What came of a fault: digest of all that the design gave, cycles until it was done, words that differ, cycle in which
it reported an error (2^32 - 1: never), 0 done | 1 hung | 2 broke a rule, whether its state differs in the end, and
whether it was simulated whole."""

NEVER = (1 << 32) - 1


@dataclass(frozen=True)
class Effort:
    """What the engine did: operations on all lanes, cycles of batches, batches, copies that were simulated whole."""

    operations: int
    cycles: int
    batches: int
    escapes: int


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
        self._refuse_late(listed)
        numbers, first = self._pieces.table(listed, masks(self.table, listed))
        return self._run(numbers, first, listed["cycle"], lanes, window)

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
        if when.size and when.max() >= self.cycles:
            raise BadInput(
                f"a transient in cycle {when.max()} comes after the end; the run has cycles 0..{self.cycles - 1}"
            )
        table = np.zeros((len(where), 10), np.uint64)
        table[:, 0], table[:, 6] = when, where
        table[:, [1, 2, 3, 4, 9]] = 1  # duration, period, on, targets, mask
        table[:, 5] = 3
        return self._run(table.reshape(-1), where.astype(np.int64), when.astype(np.uint32), lanes, None)

    def _run(
        self, numbers: Numbers, first: npt.NDArray[np.int64], cycle: npt.NDArray[np.uint32], lanes: int,
        window: int | None,
    ) -> tuple[npt.NDArray[np.void], Effort]:  # fmt: skip
        order, batches = _batches(first, cycle, lanes, window or self.cycles)
        results = np.zeros(len(cycle), RESULT)
        effort = np.zeros(4, np.uint64)
        failed = self._library.faults_inject(
            self._engine, numbers.ctypes.data, len(cycle), order.ctypes.data, batches.ctypes.data, len(batches) - 1,
            lanes, self.limit, results.ctypes.data, effort.ctypes.data,
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
        self._refuse_late(listed)
        numbers, _ = self._pieces.table(listed, masks(self.table, listed))
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

    def _refuse_late(self, listed: Faults) -> None:
        late = listed[listed["cycle"] >= self.cycles]
        if late.size:
            raise BadInput(
                f"a fault in cycle {int(late['cycle'][0])} comes after the end; the run has cycles 0..{self.cycles - 1}"
            )


def _batches(
    first: npt.NDArray[np.int64], cycle: npt.NDArray[np.uint32], lanes: int, window: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Faults in an order in which neighbours reach the same part of the design, and where batches begin."""
    part = cycle // window
    order = np.lexsort((cycle, first, part)).astype(np.uint32)
    begins = np.arange(0, len(order), lanes)
    return order, np.append(begins, len(order)).astype(np.uint32)
