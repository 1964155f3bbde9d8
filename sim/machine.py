"""The whole accelerator, cycle by cycle: dispatcher, queues, semaphores, LOAD, STORE, AXI ports and memory.

The work is done in C++ (``machine.cpp``); here are its inputs and outputs. Engines are numbers: 0 is LOAD, 5 is STORE,
15 is the dispatcher itself, all others compute. See the README of this folder for the contract.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "CONTROL",
    "ENGINE_COUNT",
    "LOAD",
    "LOAD_RUN",
    "STORE",
    "STORE_RUN",
    "Counters",
    "Dram",
    "Kind",
    "MachineConfig",
    "Outcome",
    "Program",
    "Run",
    "Waiting",
    "run",
]

Int64s = npt.NDArray[np.int64]

ENGINE_COUNT = 6
LOAD, STORE, CONTROL = 0, 5, 15


class Kind(IntEnum):
    """What an instruction does to time."""

    SINGLE = 0
    """Begins and ends in one cycle."""
    FIXED = 1
    """Keeps a computing engine busy for ``duration`` cycles."""
    LOAD_RUN = 2
    STORE_RUN = 3
    HALT = 4
    FENCE = 5
    ILLEGAL = 6
    """The dispatcher refuses it."""


class Outcome(Enum):
    """How a program ended."""

    FINISHED = "finished"
    ILLEGAL = "illegal"
    OVERFLOW = "overflow"
    DEADLOCK = "deadlock"
    TRUNCATED = "truncated"


# In the order of the C++ side, which has one more: a machine that stands still for ever.
_OUTCOMES = tuple(Outcome)

# Fields of a run of LOAD with their smallest and largest values; those of the window come from the instructions
# before the run.
_LOAD_FIELDS = {
    "address": (0, (1 << 40) - 1),
    "run_bytes": (1, (1 << 20) - 1),
    "run_count": (1, (1 << 14) - 1),
    "windowed": (0, 1),
    "row_pitch": (0, (1 << 28) - 1),
    "x_step": (-(1 << 15), (1 << 15) - 1),
    "row_bytes": (0, (1 << 20) - 1),
    "row_count": (0, (1 << 16) - 1),
    "x_start": (-(1 << 20), (1 << 20) - 1),
    "y_start": (-(1 << 16), (1 << 16) - 1),
    "group_count": (0, (1 << 16) - 1),
}
_STORE_FIELDS = {name: _LOAD_FIELDS[name] for name in ("address", "run_bytes", "run_count", "row_pitch")}

LOAD_RUN = np.dtype([(name, np.int64) for name in _LOAD_FIELDS])
"""A run of LOAD: its own fields, and what window and position were set to."""

STORE_RUN = np.dtype([(name, np.int64) for name in _STORE_FIELDS])
"""A run of STORE, and its row pitch."""


def _check(name: str, value: int, low: int, high: int, *, power: bool = False) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in {low}..{high}, not {value}")
    if power and value & (value - 1):
        raise ValueError(f"{name} must be a power of two, not {value}")


@dataclass(frozen=True, kw_only=True)
class MachineConfig:
    """What of the accelerator decides time.

    Parameters
    ----------
    engines : tuple of int
        Numbers of the engines that are there; LOAD and STORE always are.
    queue_depth : int
        Instructions per engine that can wait.
    token_bits : int
        Width of a semaphore.
    bus_bytes : int
        Width of the AXI data bus.
    lanes : int
        Bytes of a word of activations.
    burst_beats : int
        Longest burst of LOAD and STORE.
    outstanding : int
        Most bursts in flight per direction.
    fetch_beats : int
        Beats that the instruction buffer holds; it asks for half of them at a time.
    run_fifo : int
        Runs that LOAD's requests may be ahead of its data.
    store_fifo : int
        Beats that STORE reads ahead.
    buffer_latency : int
        Cycles from STORE's read of the buffer to its data.
    far : bool
        Whether registers stand between the parts, because they lie far from each other: a run of LOAD or STORE begins a
        cycle after its start (other runs have it in their duration), one of STORE ends a cycle later, tokens and beats
        for LOAD come a cycle later, what fills the end of LOAD's groups takes another cycle, the ports and the
        dispatcher know a cycle before whom they serve, the dispatcher sees a cycle later that all are idle, and an
        error, and the end of the last transfer, end a program a cycle later.
    """

    engines: tuple[int, ...] = (0, 1, 4, 5)
    queue_depth: int = 8
    token_bits: int = 6
    bus_bytes: int = 8
    lanes: int = 8
    burst_beats: int = 16
    outstanding: int = 8
    fetch_beats: int = 16
    run_fifo: int = 16
    store_fifo: int = 8
    buffer_latency: int = 2
    far: bool = False

    def __post_init__(self) -> None:
        if len(set(self.engines)) != len(self.engines) or not {LOAD, STORE} <= set(self.engines):
            raise ValueError(
                f"engines must be different numbers, {LOAD} and {STORE} among them, not {self.engines}"
            )
        for engine in self.engines:
            _check("an engine", engine, 0, ENGINE_COUNT - 1)
        _check("token_bits", self.token_bits, 1, 16)
        _check("buffer_latency", self.buffer_latency, 1, 16)
        powers = {
            "queue_depth": (2, 1024),
            "bus_bytes": (8, 64),
            "lanes": (1, 4096),
            "burst_beats": (1, 256),
            "outstanding": (2, 64),
            "fetch_beats": (2, 256),
            "run_fifo": (2, 1024),
            "store_fifo": (2, 1024),
        }
        for name, (low, high) in powers.items():
            _check(name, getattr(self, name), low, high, power=True)

    @property
    def present(self) -> int:
        """Mask of the engines that are there."""
        return sum(1 << engine for engine in self.engines)


@dataclass(frozen=True, kw_only=True)
class Dram:
    """The memory; ``dram.hpp`` is its contract.

    Parameters
    ----------
    latency : int
        Cycles from a read's address to the first cycle that may show its data.
    interval : int
        Cycles per beat.
    depth : int
        Bursts that it accepts ahead, per direction.
    write_latency : int
        Cycles from a write's last beat to its response.
    """

    latency: int = 20
    interval: int = 1
    depth: int = 8
    write_latency: int = 4

    def __post_init__(self) -> None:
        _check("latency", self.latency, 1, 1 << 30)
        _check("interval", self.interval, 1, 1 << 30)
        _check("depth", self.depth, 1, 1 << 16)
        _check("write_latency", self.write_latency, 1, 1 << 30)


@dataclass(frozen=True, eq=False)
class Program:
    """A program as time sees it: one entry per instruction.

    Parameters
    ----------
    engine : uint8 array
        Who does it; 15 for HALT and FENCE, anything for ILLEGAL.
    kind : uint8 array
        Of :class:`Kind`.
    wait, signal : uint8 array
        Masks of the engines whose token it takes, and to which it gives one.
    duration : int64 array
        Cycles of a FIXED run, the first and the last included; at least two, because the hardware's queues look for
        a run's end from the cycle after its start.
    run : int64 array
        Entry of ``loads`` or ``stores`` of a LOAD_RUN or STORE_RUN.
    loads : LOAD_RUN array
        Runs of LOAD.
    stores : STORE_RUN array
        Runs of STORE.
    """

    engine: npt.NDArray[np.uint8]
    kind: npt.NDArray[np.uint8]
    wait: npt.NDArray[np.uint8]
    signal: npt.NDArray[np.uint8]
    duration: Int64s
    run: Int64s
    loads: npt.NDArray[np.void]
    stores: npt.NDArray[np.void]

    def __post_init__(self) -> None:
        for name in ("engine", "kind", "wait", "signal"):
            object.__setattr__(self, name, _column(name, getattr(self, name), 255, np.uint8))
        for name in ("duration", "run"):
            object.__setattr__(self, name, _column(name, getattr(self, name), 1 << 40, np.int64))
        for name, kind in (("loads", LOAD_RUN), ("stores", STORE_RUN)):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), kind))
        lengths = {
            len(getattr(self, name)) for name in ("engine", "kind", "wait", "signal", "duration", "run")
        }
        if len(lengths) != 1:
            raise ValueError(
                f"the columns of a program have {sorted(lengths)} entries; give all the same number"
            )
        _runs_in_range("loads", self.loads, _LOAD_FIELDS)
        _runs_in_range("stores", self.stores, _STORE_FIELDS)

    def __len__(self) -> int:
        return len(self.engine)

    def check(self, config: MachineConfig) -> None:
        """ValueError if an instruction makes no sense on that machine; says which, and why."""
        kind, engine = self.kind, self.engine
        known = np.isin(engine, config.engines)
        own = np.left_shift(np.uint8(1), np.minimum(engine, 7), dtype=np.uint8)
        partners = np.where(known, config.present & ~own, 0)
        legal = kind != Kind.ILLEGAL
        computes = known & (engine != LOAD) & (engine != STORE)
        loads, stores = kind == Kind.LOAD_RUN, kind == Kind.STORE_RUN
        control = (kind == Kind.HALT) | (kind == Kind.FENCE)
        rules = (
            (kind > Kind.ILLEGAL, "has a kind that does not exist"),
            (control & (engine != CONTROL), f"is for the dispatcher: its engine must be {CONTROL}"),
            (legal & ~control & ~known, "is for an engine that is not there"),
            ((kind == Kind.FIXED) & ~computes, "runs for a fixed time on an engine that does not compute"),
            ((kind == Kind.FIXED) & (self.duration < 2), "must last at least two cycles"),
            (loads & (engine != LOAD), "is a run of LOAD on another engine"),
            (stores & (engine != STORE), "is a run of STORE on another engine"),
            (loads & ((self.run < 0) | (self.run >= len(self.loads))), "has no entry in loads"),
            (stores & ((self.run < 0) | (self.run >= len(self.stores))), "has no entry in stores"),
            (legal & (self.wait & ~partners != 0), "waits for itself or for an engine that is not there"),
            (legal & (self.signal & ~partners != 0), "signals itself or an engine that is not there"),
        )
        for wrong, text in rules:
            if wrong.any():
                raise ValueError(f"instruction {int(np.argmax(wrong))} {text}")


def _column(name: str, values: Any, high: int, kind: type) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise ValueError(f"{name} must be a list of integers")
    low = 0 if np.issubdtype(kind, np.unsignedinteger) else -1  # -1: has none
    if array.size and (array.min() < low or array.max() > high):
        raise ValueError(f"{name} holds a number outside {low}..{high}")
    return np.ascontiguousarray(array, kind)


def _runs_in_range(name: str, runs: npt.NDArray[np.void], limits: Mapping[str, tuple[int, int]]) -> None:
    for column, (low, high) in limits.items():
        wrong = (runs[column] < low) | (runs[column] > high)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise ValueError(f"{column} of {name}[{at}] must lie in {low}..{high}, not {runs[column][at]}")


@dataclass(frozen=True)
class Counters:
    """Cycles of one engine, as the hardware's performance counters have them: from cycle 0 to ``Run.drained``.

    Parameters
    ----------
    run : int
        An instruction began, or a run was under way and moved on.
    idle : int
        Nothing was queued.
    wait : int
        The first instruction lacked a token.
    stall : int
        A run of LOAD or STORE was under way and moved nothing.
    """

    run: int
    idle: int
    wait: int
    stall: int


@dataclass(frozen=True)
class Waiting:
    """An engine in a deadlock.

    Parameters
    ----------
    engine : int
        Its number.
    instruction : int
        The first instruction of its queue.
    missing : tuple of int
        Engines whose token it lacks.
    """

    engine: int
    instruction: int
    missing: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Run:
    """What happened.

    Parameters
    ----------
    outcome : Outcome
        How it ended.
    cycles : int
        The cycle in which it ended; cycle 0 is the first in which the accelerator runs.
    drained : int
        The cycle in which the AXI ports were idle after that; the accelerator reports it then, and its cycle counter
        reads one more.
    position : int
        Instructions that had left the dispatcher before cycle ``cycles``. If one was refused, its number; in a
        deadlock, the number of the one that could not leave.
    dispatched, starts, ends : int64 array
        Cycle in which each instruction left the dispatcher, began, ended; -1 if it never did.
    waited : int64 array
        Cycles for which it was first in its queue and lacked a token, right before its start.
    stalled : int64 array
        Cycles in which a finished run of LOAD or STORE moved nothing, its first cycle not counted.
    read_beats, read_bursts, write_beats, write_bursts : int
        Traffic up to ``drained``, instruction fetch included.
    counters : mapping of int to Counters
        By engine.
    waiting : tuple of Waiting
        In a deadlock, the engines that have something to do.
    steps : int
        Cycles that the simulator did not leave out.
    """

    outcome: Outcome
    cycles: int
    drained: int
    position: int
    dispatched: Int64s
    starts: Int64s
    ends: Int64s
    waited: Int64s
    stalled: Int64s
    read_beats: int
    read_bursts: int
    write_beats: int
    write_bursts: int
    counters: Mapping[int, Counters]
    waiting: tuple[Waiting, ...]
    steps: int


class _Settings(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("present", *(f.name for f in fields(MachineConfig) if f.name != "engines"))
    ] + [(name, ctypes.c_int64) for name in (*(f.name for f in fields(Dram)), "skip")]


_BYTE_COLUMNS = ("engine", "kind", "wait", "signal")
_LONG_COLUMNS = ("duration", "run")
_TIMES = ("dispatched", "starts", "ends", "waited", "stalled")
_NUMBERS = ("outcome", "cycle", "drained", "position")
_TRAFFIC = ("read_beats", "read_bursts", "write_beats", "write_bursts")
_PER_ENGINE = ("run", "idle", "wait", "stall", "missing", "head")


class _Program(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int64)] + [
        (name, ctypes.c_void_p) for name in (*_BYTE_COLUMNS, *_LONG_COLUMNS, "loads", "stores")
    ]


class _Result(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in _TIMES),
        *((name, ctypes.c_int64) for name in (*_NUMBERS, *_TRAFFIC, "steps")),
        *((name, ctypes.c_int64 * ENGINE_COUNT) for name in _PER_ENGINE),
    ]


def _same_layout(library: ctypes.CDLL) -> None:
    sizes = (ctypes.c_int64 * 5)()
    library.machine_sizes(sizes)
    structs = [ctypes.sizeof(struct) for struct in (_Settings, _Program, _Result)]
    own = [structs[0], LOAD_RUN.itemsize, STORE_RUN.itemsize, *structs[1:]]
    if list(sizes) != own:
        raise RuntimeError(
            f"the compiled machine has structs of {list(sizes)} bytes, not {own}: build it anew"
        )


def run(
    library: ctypes.CDLL, config: MachineConfig, dram: Dram, program: Program, *, skip: bool = True
) -> Run:
    """Run a program from its first cycle to its end.

    Parameters
    ----------
    library : CDLL
        From :func:`sim.native.library`.
    config : MachineConfig
        The accelerator.
    dram : Dram
        The memory.
    program : Program
        What is run. It need not be right: a deadlock or a missing halt is an outcome.
    skip : bool
        Leave out cycles in which nothing but time moves; the result is the same.

    Raises
    ------
    ValueError
        If an instruction makes no sense on that machine.
    """
    _same_layout(library)
    program.check(config)
    settings = _Settings(config.present, *_values(config, skip="engines"), *_values(dram), int(skip))
    columns = (getattr(program, name) for name in (*_BYTE_COLUMNS, *_LONG_COLUMNS, "loads", "stores"))
    view = _Program(len(program), *(column.ctypes.data for column in columns))
    never = np.full((3, len(program)), -1, np.int64)
    times = dict(zip(_TIMES, np.concatenate([never, np.zeros((2, len(program)), np.int64)]), strict=True))
    result = _Result(*(column.ctypes.data for column in times.values()))
    if library.machine_run(ctypes.byref(settings), ctypes.byref(view), ctypes.byref(result)):
        raise MemoryError("there is not enough memory for the program's queues")
    if result.outcome >= len(_OUTCOMES):
        raise RuntimeError(
            f"the machine stands still from cycle {result.cycle} on: a defect of the simulator"
        )
    return Run(
        outcome=_OUTCOMES[result.outcome],
        cycles=result.cycle,
        drained=result.drained,
        position=result.position,
        **times,
        **{name: getattr(result, name) for name in _TRAFFIC},
        counters={
            e: Counters(result.run[e], result.idle[e], result.wait[e], result.stall[e])
            for e in sorted(config.engines)
        },
        waiting=tuple(
            Waiting(e, result.head[e], tuple(i for i in range(ENGINE_COUNT) if result.missing[e] >> i & 1))
            for e in sorted(config.engines)
            if result.outcome == _OUTCOMES.index(Outcome.DEADLOCK) and result.head[e] >= 0
        ),
        steps=result.steps,
    )


def _values(record: MachineConfig | Dram, skip: str = "") -> list[int]:
    return [getattr(record, f.name) for f in fields(record) if f.name != skip]
