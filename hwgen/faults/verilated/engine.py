"""Faults on the hooked Verilog, compiled by Verilator: the same job, the same faults, the same results as the lanes."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwgen import toolchain
from hwgen.errors import BadInput, HwgenError
from hwgen.faults.engine.engine import RESULT
from hwgen.faults.engine.tables import MEMORY_PINS, Numbers, input_pins, output_pins
from hwgen.faults.gate_hooks import GateLevel
from hwgen.faults.hooks import Hooked
from hwgen.faults.models import Faults, masks
from hwgen.faults.operations import Program
from hwgen.faults.sites import SiteTable
from hwgen.files import output_folder, write_if_changed
from hwgen.verilated import build_model

__all__ = ["ExternalMemory", "VerilatedEngine", "VerilatedRun"]

_ENGINE = Path(__file__).parents[1] / "engine"
_WORD = 32  # bits that a hook strikes at once


@dataclass(frozen=True, eq=False)
class ExternalMemory:
    """Memory behind an accelerator.

    Parameters
    ----------
    image : uint8 array
        Bytes before the run.
    bus_bytes : int
        Width of the bus.
    """

    image: npt.NDArray[np.uint8]
    bus_bytes: int


@dataclass(frozen=True, eq=False)
class VerilatedRun:
    """What came of faults.

    Parameters
    ----------
    results : structured array of RESULT, shape (faults,)
        ``latent`` and ``escaped`` are zero: nobody looks at the state.
    fault_free : structured scalar of RESULT
        Of the run without a fault.
    cycles : int
        Length of that run.
    seconds : float
        Of the faulty runs, without building.
    """

    results: npt.NDArray[np.void]
    fault_free: np.void
    cycles: int
    seconds: float


class VerilatedEngine:
    """A hooked design with a bench; built on construction, or taken from the cache.

    Parameters
    ----------
    hooked : Hooked or GateLevel
        The design, with hooks in its registers or behind its gates. Its models of vendor cells must be hooked too if
        faults are to reach them.
    table : SiteTable
        Its sites, of the design without hooks.
    program : Program
        What the lane engine runs: it says in which order pins are.
    bench : str
        ``streams`` or ``system``.
    memory_model : str
        For ``system``: C++ text of the memory's contract, ``sim/dram.hpp``.
    simulation_sources : sequence of Path
        Models of vendor cells, if they are not hooked.
    """

    def __init__(
        self, hooked: Hooked | GateLevel, table: SiteTable, program: Program, bench: str, *, memory_model: str = "",
        simulation_sources: Sequence[Path] = (),
    ):  # fmt: skip
        self.hooked, self.table, self.program, self.bench = hooked, table, program, bench
        folder = output_folder(toolchain.cache_dir() / "verilog" / f"hooked-{hooked.digest}")
        path = folder / f"{hooked.top}.v"
        write_if_changed(path, hooked.verilog)
        self.executable = build_model(
            verilog=[path, *([] if isinstance(hooked, Hooked) and hooked.vendor else simulation_sources)],
            top=hooked.top,
            harness=self._harness(memory_model),
            waivers=[toolchain.waivers()],
        )

    def _harness(self, memory_model: str) -> str:
        name = self.bench.removesuffix("s").capitalize()
        gates = "#define FAULTS_GATES\n" if isinstance(self.hooked, GateLevel) else ""
        parts = [gates, memory_model, f"#define FAULTS_JOB {name}Job\n#define FAULTS_CLASS {name}Bench\n"]
        parts += [(_ENGINE / f"{part}.hpp").read_text() for part in ("program", "fault", self.bench)]
        parts.append(Path(__file__).with_name("serial.cpp").read_text())
        text = re.sub(r'^#(?:pragma once|include ".*\.hpp")$', "", "".join(parts), flags=re.MULTILINE)
        ports = {**self._ports("input"), **self._ports("output")}
        put = "".join(
            f"    put(top.{n}, in + {at});\n" for n, at in ports["in"].items() if n not in MEMORY_PINS
        )
        get = "".join(f"    get(top.{n}, out + {at});\n" for n, at in ports["out"].items())
        pins = ports["in"]
        sizes = sum(len(v) for n, v in self.program.inputs.items() if n != "clk") + self._data_words
        return (
            text
            + "\nnamespace faults {\n"
            + f"const u32 INPUTS = {sizes}, OUTPUTS = {sum(map(len, self.program.outputs.values()))}, "
            + f"RESET = {pins['rst']};\n"
            + f"void put_pins(Vtop& top, const u64* in) {{\n{put}}}\n"
            + f"void get_pins(const Vtop& top, u64* out) {{\n{get}}}\n}}  // namespace faults\n"
        )

    @property
    def _data_words(self) -> int:
        """Words of RDATA, which is no input of the program with its memory."""
        return 0 if self.bench == "streams" else len(self.program.outputs["m_axi_wdata"])

    def _ports(self, direction: str) -> dict[str, dict[str, int]]:
        if direction == "output":
            return {"out": output_pins(self.program)}
        pins = input_pins(self.program)
        if self.bench == "system":
            pins["m_axi_rdata"] = sum(len(v) for n, v in self.program.inputs.items() if n != "clk")
        return {"in": pins}

    def run(
        self, job: Numbers, listed: Faults, *, memory: ExternalMemory | None = None, forked: bool = True,
        processes: int = 2, limit: int = 1_000_000,
    ) -> VerilatedRun:  # fmt: skip
        """Run faults.

        Parameters
        ----------
        job : Numbers
            As the lane engine has it.
        listed : Faults
            In any order.
        memory : ExternalMemory, optional
            Of an accelerator.
        forked : bool
            Split processes off a fault-free run, instead of beginning with a reset for every fault.
        processes : int
            How many of these at once.
        limit : int
            Cycles after which the fault-free run is given up.

        Raises
        ------
        BadInput
            If a fault strikes what no hook reaches, or more than the bits of one hook.
        HwgenError
            If the simulation ends by itself.
        """
        return self._run(job, self._faults(listed), memory, [int(forked), processes, limit])

    def transients(
        self, job: Numbers, gates: npt.ArrayLike, cycles: npt.ArrayLike, *, memory: ExternalMemory | None = None,
        processes: int = 2, limit: int = 1_000_000,
    ) -> VerilatedRun:  # fmt: skip
        """Single-event transients at gates, by their numbers; see :meth:`run`."""
        assert isinstance(self.hooked, GateLevel)
        address = self.hooked.locate(gates).astype(np.uint64)
        table = np.zeros((len(address), 9), np.uint64)
        table[:, 0], table[:, 4] = np.asarray(cycles), address
        table[:, 1:4] = 1
        numbers = np.concatenate([np.array([len(address)], np.uint64), table.reshape(-1)])
        return self._run(job, numbers, memory, [1, processes, limit])

    def _run(
        self, job: Numbers, faults: Numbers, memory: ExternalMemory | None, header: list[int]
    ) -> VerilatedRun:
        """Faults as the compiled program takes them."""
        out = np.concatenate([np.array(header, np.uint64), job, self._memory(memory), faults])
        with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
            into, back = Path(folder, "in"), Path(folder, "out")
            into.write_bytes(out.astype("<u8").tobytes())
            done = subprocess.run([self.executable, into, back], capture_output=True, text=True, check=False)
            if done.returncode:
                words = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
                raise HwgenError(
                    f"the simulation of {self.hooked.top} ended with code {done.returncode}: {words[-1]}"
                )
            raw = back.read_bytes()
        seconds = float(np.frombuffer(raw, "<f8", 1)[0])
        cycles = int(np.frombuffer(raw, "<u8", 1, 8)[0])
        results = np.frombuffer(raw, RESULT, offset=16)
        return VerilatedRun(results[:-1], results[-1], cycles, seconds)

    def _memory(self, memory: ExternalMemory | None) -> Numbers:
        if memory is None:
            return np.zeros(9, np.uint64)
        inputs, outputs = input_pins(self.program), output_pins(self.program)
        shown = self._ports("input")["in"]["m_axi_rdata"]
        head = [memory.bus_bytes, shown, *(inputs[name] for name in MEMORY_PINS)]
        head += [outputs[f"m_axi_{name}"] for name in ("wdata", "wstrb", "wvalid")]
        head.append(len(memory.image))
        padded = np.zeros(-(-len(memory.image) // 8) * 8, np.uint8)
        padded[: len(memory.image)] = memory.image
        return np.concatenate([np.array(head, np.uint64), padded.view("<u8")])

    def _faults(self, listed: Faults) -> Numbers:
        """Faults as the hooks' ports have them, a row for each; their number in front."""
        assert isinstance(self.hooked, Hooked)
        given = masks(self.table, listed)
        first = np.array([e.first for e in self.table.elements], np.int64)[given.element]
        width = np.array([e.width for e in self.table.elements], np.int64)[given.element]
        lowest = first + given.row * width + given.low
        word, row, bit = self.hooked.locate(lowest)
        last = self.hooked.locate(lowest + given.width - 1)[0]
        wrong = np.flatnonzero(((word < 0) | (word != last)) & (given.other < 0))
        if wrong.size:
            site = self.table.site(int(listed["site"][wrong[0]]))
            why = (
                "no hook reaches it"
                if word[wrong[0]] < 0
                else f"a hook strikes at most {_WORD} bits that it holds"
            )
            raise BadInput(
                f"a fault at {site} cannot be run on the hooked Verilog: {why}; use the lane engine"
            )
        mask = ((np.uint64(1) << given.width.astype(np.uint64)) - np.uint64(1)) << bit.astype(np.uint64)
        flip = (given.value << bit.astype(np.uint64)) & mask
        zero = np.zeros(len(listed), np.uint64)
        for i in np.flatnonzero(given.other >= 0):
            one, two = (self.table.elements[e].label for e in (given.element[i], given.other[i]))
            word[i], mask[i], flip[i] = self.hooked.swaps[one, two], 0, 0
        columns = (
            listed["cycle"], listed["duration"], listed["period"], listed["on"], word, row, given.column,
            np.where(given.clear, mask, zero), np.where(given.flip, flip, zero),
        )  # fmt: skip
        table = np.stack([np.asarray(column).astype(np.uint64) for column in columns], axis=1)
        return np.concatenate([np.array([len(listed)], np.uint64), table.reshape(-1)])
