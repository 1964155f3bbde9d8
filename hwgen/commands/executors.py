"""Ways to run a program: the simulator, and the Verilog in its harness. They tell the same story, or one is wrong."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import sim
from hwgen import toolchain
from hwgen.program.program import Program
from hwgen.program.table import ENGINES
from hwgen.system.config import SystemConfig
from hwgen.system.schedule import schedule
from hwgen.verify.system_harness import SystemHarness
from sim import machine, native

__all__ = ["DRAM", "harness", "machine_config", "simulate", "timed"]

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
    )


def timed(config: SystemConfig, body: bytes) -> machine.Program:
    """Encoded instructions as the simulator wants them."""
    return machine.Program(**schedule(config, body))


def simulate(config: SystemConfig, program: Program, dram: machine.Dram = DRAM, *, skip: bool = True) -> machine.Run:
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
def harness(config: SystemConfig) -> SystemHarness:
    """The Verilog of an accelerator, compiled now or before."""
    return SystemHarness(config, (Path(sim.__file__).parent / "dram.hpp").read_text())
