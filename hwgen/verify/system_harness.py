"""A whole accelerator in a compiled harness: programs on the emitted Verilog, with the memory of the simulator."""

from __future__ import annotations

import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwgen import toolchain
from hwgen.cores.dsp_gemm import CORE as DSP_CORE
from hwgen.emit import Emission, emit
from hwgen.errors import HwgenError, Misbehaviour
from hwgen.faults.protection.plan import Plan, digest_of
from hwgen.files import output_folder, write_if_changed
from hwgen.parts.dsp48e2 import SIMULATION_MODEL as DSP48E2_MODEL
from hwgen.parts.popcount import SIMULATION_MODEL as LUT_MODEL
from hwgen.system.config import SystemConfig
from hwgen.system.registers import REGISTERS
from hwgen.verilated import build_model
from hwgen.version import VERSION

__all__ = ["Fault", "SystemHarness", "SystemRun", "emission", "simulation_sources"]

_NEVER = (1 << 64) - 1
_EVENT = np.dtype([("cycle", "<u8"), ("began", "<u4"), ("ended", "<u4")])


def emission(config: SystemConfig, top: str = "accelerator") -> Emission:
    """Verilog of an accelerator, its facts in the first lines."""
    from hwgen.system.rtl import Accelerator  # Amaranth, only for those who build hardware

    header = {"hwgen": VERSION, "configuration": str(config), "digest": config.digest}
    return emit(Accelerator(config), top, header)


def simulation_sources(config: SystemConfig) -> list[Path]:
    """Verilog models of the vendor cells in it."""
    found = [*DSP_CORE.simulation_sources(config.dsp_core)] if config.dsp else []
    found += [DSP48E2_MODEL] if config.sparse and config.sparse_chain.primitive else []
    found += [LUT_MODEL] if config.lut and config.lut_array.primitive else []
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Fault:
    """What is to go wrong during a run.

    Parameters
    ----------
    read, write : int, optional
        Number of the read or write burst that is answered with an error.
    response : int
        The answer: 2 SLVERR, 3 DECERR.
    stop_at : int, optional
        Cycle after which a stop is requested.
    """

    read: int | None = None
    write: int | None = None
    response: int = 2
    stop_at: int | None = None


@dataclass(frozen=True)
class SystemRun:
    """What the Verilog did.

    Parameters
    ----------
    cycles : int
        Cycles with ``running`` high.
    registers : dict of str to int
        Status, error and counter registers afterwards.
    events : structured array
        Cycles in which an engine began or ended an instruction, with masks of engines.
    memory : uint8 array
        DRAM afterwards.
    seconds : float
        Time of the simulation.
    """

    cycles: int
    registers: dict[str, int]
    events: npt.NDArray[np.void]
    memory: npt.NDArray[np.uint8]
    seconds: float = field(compare=False)


class SystemHarness:
    """An accelerator, compiled; built on construction, or taken from the cache.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    memory_model : str
        C++ text of the memory's contract, ``sim/dram.hpp``.
    plan : Plan, optional
        What of it is protected.
    """

    def __init__(self, config: SystemConfig, memory_model: str, plan: Plan | None = None):
        self.config = config
        self.plan = plan or Plan()
        here = Path(__file__).parent
        registers = {r.name: r.offset for r in REGISTERS}
        self.wanted = {n: a for n, a in registers.items() if n not in ("CONTROL", "PROGRAM_HIGH")}
        names = ("CONTROL", "IRQ_ENABLE", "PROGRAM_LOW", "PROGRAM_HIGH", "PROGRAM_COUNT")
        constants = "".join(f"constexpr uint32_t {n} = {registers[n]};\n" for n in names)
        text = (
            memory_model.replace("#pragma once", "")
            + f"constexpr uint32_t BUS_BYTES = {config.bus_bytes};\n{constants}"
            + (here / "system_harness.cpp").read_text()
        )
        made = self.emission
        folder = output_folder(toolchain.cache_dir() / "verilog" / digest_of(config.digest, self.plan))
        path = folder / f"{made.top}.v"
        write_if_changed(path, made.verilog)
        lines = [f'no_inline -module "{name}"\n' for name in made.repeated]
        with tempfile.TemporaryDirectory(prefix="hwgen-") as temporary:
            shared = Path(temporary, "repeated.vlt")
            shared.write_text("".join(["`verilator_config\n", *lines]))
            self.executable = build_model(
                verilog=[path, *simulation_sources(config)],
                top=made.top,
                harness=text,
                waivers=[toolchain.waivers(), shared],
            )

    @cached_property
    def emission(self) -> Emission:
        """The Verilog."""
        made = emission(self.config)
        if self.plan.empty:
            return made
        from hwgen.faults.protection.emission import protect_emission  # for those who need it

        return protect_emission(made, self.plan).emission

    def run(
        self,
        memory: npt.NDArray[np.uint8],
        program: int,
        count: int,
        *,
        dram: tuple[int, int, int, int] = (20, 1, 8, 10),
        limit: int = 10_000_000,
        fault: Fault | None = None,
    ) -> SystemRun:
        """Run a program that lies in memory.

        Parameters
        ----------
        memory : uint8 array
            DRAM before the run; addresses count from 0.
        program, count : int
            Byte address of the program, and its number of instructions.
        dram : tuple of int
            Latency, interval, depth and write latency of the memory.
        limit : int
            Cycles after which it is given up.
        fault : Fault, optional
            What is to go wrong.

        Raises
        ------
        Misbehaviour
            If it does not end within the limit, or breaks a rule of AXI.
        HwgenError
            If the simulation ends by itself.
        """
        wrong = fault or Fault()
        numbers = [*dram, program, count, limit, _NEVER if wrong.stop_at is None else wrong.stop_at]
        numbers += [
            _NEVER if wrong.read is None else wrong.read,
            _NEVER if wrong.write is None else wrong.write,
        ]
        numbers += [wrong.response, len(self.wanted), *self.wanted.values(), len(memory)]
        with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
            into, out = Path(folder, "in"), Path(folder, "out")
            into.write_bytes(struct.pack(f"<{len(numbers)}Q", *numbers) + memory.tobytes())
            began = time.perf_counter()
            done = subprocess.run([self.executable, into, out], capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - began
            words = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            if done.returncode == 2:
                raise Misbehaviour(f"the accelerator did not end within {limit} cycles")
            if done.returncode == 4:
                raise Misbehaviour(f"the accelerator broke a rule of AXI: {words[-1]}")
            if done.returncode:
                raise HwgenError(f"the simulation ended with code {done.returncode}: {words[-1]}")
            return self._read(out.read_bytes(), seconds)

    def _read(self, raw: bytes, seconds: float) -> SystemRun:
        count = len(self.wanted) + 2
        cycles, *values, events = struct.unpack_from(f"<{count}Q", raw)
        at = 8 * count
        table = np.frombuffer(raw, _EVENT, events, at)
        memory = np.frombuffer(raw, np.uint8, offset=at + table.nbytes)
        return SystemRun(cycles, dict(zip(self.wanted, values, strict=True)), table, memory, seconds)
