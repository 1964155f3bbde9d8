"""Ways to run a program: the simulator, and the Verilog in its harness. They tell the same story, or one is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import sim
from hwgen import toolchain
from hwgen.errors import BadInput
from hwgen.faults.protection.plan import UNPROTECTED, Plan
from hwgen.program.dataflow import Waiting, deadlock_sentence
from hwgen.program.program import Program
from hwgen.program.table import ENGINES
from hwgen.system.config import SystemConfig
from hwgen.system.registers import ERRORS
from hwgen.system.schedule import schedule
from hwgen.verify.system_harness import SystemHarness
from sim import machine, native

__all__ = ["DRAM", "deadlock_message", "harness", "machine_config", "simulate", "timed"]

_DEADLOCK = next(error.code for error in ERRORS if error.name == "DEADLOCK")

DRAM = machine.Dram()
"""Memory where nobody says otherwise."""


def machine_config(config: SystemConfig) -> machine.MachineConfig:
    """What of an accelerator decides time."""
    return machine.MachineConfig(
        engines=tuple(ENGINES.index(name) for name in config.engines),
        queue_depth=config.queue_depth,
        token_bits=config.TOKEN_BITS,
        bus_bytes=config.bus_bytes,
        lanes=config.lanes,
        burst_beats=config.burst_beats,
        outstanding=config.outstanding,
        fetch_beats=config.FETCH_BEATS,
        run_fifo=config.RUN_FIFO,
        store_fifo=config.STORE_FIFO,
        buffer_latency=config.store_latency,
        far=config.far,
    )


def timed(config: SystemConfig, body: bytes) -> machine.Program:
    """Encoded instructions as the simulator wants them."""
    return machine.Program(**schedule(config, body))


def simulate(
    config: SystemConfig, program: Program, dram: machine.Dram = DRAM, *, skip: bool = True
) -> machine.Run:
    """Cycles of a program.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    program : Program
        Its instructions.
    dram : Dram
        The memory.
    skip : bool
        Leave out cycles in which nothing happens; the result is the same.
    """
    library = native.library(toolchain.compiler(), toolchain.cache_dir() / "native")
    return machine.run(library, machine_config(config), dram, timed(config, program.body), skip=skip)


@cache
def harness(config: SystemConfig, plan: Plan = UNPROTECTED) -> SystemHarness:
    """The Verilog of an accelerator, protected as a plan says, compiled now or before."""
    return SystemHarness(config, (Path(sim.__file__).parent / "dram.hpp").read_text(), plan)


def deadlock_message(config: SystemConfig, program: Program, seen: machine.Run | Mapping[str, int]) -> str:
    """Who waits for whom, and when: the same sentence from the simulator's result and from the hardware's registers.

    The cycle is the last one of the run, the simulator's ``drained``: nothing moves any more, on the bus neither. It
    is the hardware's CYCLES less one, because that counts cycle 0 too. The cycle in which the deadlock was noticed
    is not told: no register holds it, and fetches that were under way lie between the two.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    program : Program
        What hangs.
    seen : Run, or mapping of str to int
        The simulator's result, or the registers by name as they are after the interrupt.

    Raises
    ------
    BadInput
        If the run did not end in a deadlock.
    """
    if isinstance(seen, machine.Run):
        hangs = seen.outcome is machine.Outcome.DEADLOCK
        cycle, position = seen.drained, seen.position
        waiting: list[Waiting] = [
            (ENGINES[one.engine], one.instruction, [ENGINES[i] for i in one.missing]) for one in seen.waiting
        ]
    else:
        hangs = seen["ERROR"] & 0xFF == _DEADLOCK
        cycle = (seen["CYCLES_HIGH"] << 32 | seen["CYCLES_LOW"]) - 1
        position = seen["ERROR_INSTRUCTION"]
        waiting = _waiting(config, program, seen) if hangs else []
    if not hangs:
        raise BadInput("the run did not end in a deadlock; ask only for the message of one that did")
    target = program.instructions[position].engine
    # The dispatcher waits for all who are not done, or for a place in one queue.
    lacks = [engine for engine, _, _ in waiting] if target == "control" else [target]
    return deadlock_sentence(cycle, [*waiting, ("control", position, lacks)])


def _waiting(config: SystemConfig, program: Program, registers: Mapping[str, int]) -> list[Waiting]:
    """Engines that lack a token; the first instruction of a queue follows those that its engine completed."""
    waiting: list[Waiting] = []
    for engine in config.engines:
        mask = registers[f"{engine.upper()}_WAITING"]
        if mask:
            own = [i for i, one in enumerate(program.instructions) if one.engine == engine]
            missing = [other for bit, other in enumerate(ENGINES) if mask >> bit & 1]
            waiting.append((engine, own[registers[f"{engine.upper()}_DONE"]], missing))
    return waiting
