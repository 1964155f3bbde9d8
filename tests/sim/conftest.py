"""What the simulator's tests share: the compiled machine, and programs written by hand."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwgen import toolchain
from sim import machine, native
from sim.machine import CONTROL, LOAD, LOAD_RUN, STORE, STORE_RUN, Dram, Kind, MachineConfig, Program, Run


class Builder:
    """A program, instruction by instruction."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, ...]] = []
        self.loads: list[tuple[int, ...]] = []
        self.stores: list[tuple[int, ...]] = []

    def add(self, engine: int, kind: int = Kind.SINGLE, wait=0, signal=0, duration=0, run=0) -> Builder:
        self.rows.append((engine, kind, wait, signal, duration, run))
        return self

    def fixed(self, engine: int, duration: int, wait=0, signal=0) -> Builder:
        return self.add(engine, Kind.FIXED, wait, signal, duration)

    def load(self, wait=0, signal=0, **fields: int) -> Builder:
        default = {"run_bytes": 8, "run_count": 1, "row_bytes": 1, "row_count": 1, "group_count": 1}
        values = default | fields
        self.loads.append(tuple(values.get(name, 0) for name in LOAD_RUN.names))
        return self.add(LOAD, Kind.LOAD_RUN, wait, signal, run=len(self.loads) - 1)

    def store(self, wait=0, signal=0, **fields: int) -> Builder:
        values = {"run_bytes": 8, "run_count": 1} | fields
        self.stores.append(tuple(values.get(name, 0) for name in STORE_RUN.names))
        return self.add(STORE, Kind.STORE_RUN, wait, signal, run=len(self.stores) - 1)

    def fence(self) -> Builder:
        return self.add(CONTROL, Kind.FENCE)

    def halt(self) -> Builder:
        return self.add(CONTROL, Kind.HALT)

    def illegal(self) -> Builder:
        return self.add(CONTROL, Kind.ILLEGAL)

    @property
    def program(self) -> Program:
        columns = np.array(self.rows, np.int64).reshape(-1, 6).T
        return Program(*columns, np.array(self.loads, LOAD_RUN), np.array(self.stores, STORE_RUN))


@pytest.fixture
def build() -> Builder:
    """An empty program."""
    return Builder()


@pytest.fixture(scope="session")
def new_program() -> type[Builder]:
    """Makes empty programs."""
    return Builder


@pytest.fixture(scope="session")
def library() -> ctypes.CDLL:
    """The compiled machine."""
    return native.library(toolchain.compiler(), toolchain.cache_dir() / "sim")


@pytest.fixture(scope="session")
def simulate(library: ctypes.CDLL) -> Callable[..., Run]:
    """Run a program with and without leaving out cycles; the same must come out."""

    def run(build: Builder, dram: Dram | None = None, **config: Any) -> Run:
        runs = [
            machine.run(library, MachineConfig(**config), dram or Dram(latency=1), build.program, skip=skip)
            for skip in (True, False)
        ]
        assert_same(*runs)
        return runs[0]

    return run


def assert_same(one: Run, other: Run) -> None:
    for name, value in vars(one).items():
        if name != "steps":
            np.testing.assert_equal(value, getattr(other, name), name)
    assert one.steps <= other.steps == other.drained + 1
