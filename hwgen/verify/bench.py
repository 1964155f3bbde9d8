"""Emitted Verilog under cocotb: on Verilator, and on Icarus, which shows what is unknown."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from cocotb_tools import config as cocotb_config
from cocotb_tools.runner import get_runner

from hwgen import toolchain
from hwgen.errors import BadInput, HwgenError, Misbehaviour, MissingTool
from hwgen.streams import Stream
from hwgen.verify.stimulus import PATIENCE, QUIET, Observation, Stimulus
from hwgen.verilated import build_model

__all__ = ["SIMULATORS", "CocotbBench"]

SIMULATORS = ("verilator", "icarus")
"""Simulators that the bench runs on."""


class CocotbBench:
    """A block with AXI-Stream ports under cocotb; built on construction, or taken from the cache.

    Parameters
    ----------
    sources : sequence of Path
        The block's Verilog, and models of the vendor cells in it.
    top : str
        Name of the top module.
    streams : sequence of Stream
        Its ports.
    simulator : {"verilator", "icarus"}
        What runs it.
    """

    def __init__(self, sources: Sequence[Path], top: str, streams: Sequence[Stream], simulator: str):
        if simulator not in SIMULATORS:
            raise BadInput(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
        self.streams = tuple(streams)
        self.top = top
        self.simulator = simulator
        self.build = _verilator(sources, top) if simulator == "verilator" else _icarus(sources, top)

    def run(self, stimulus: Stimulus) -> Observation:
        """Run from reset until every expected beat has moved.

        Raises
        ------
        HwgenError
            If the bench fails; its message holds the bench's own.
        """
        with tempfile.TemporaryDirectory(prefix="hwgen-") as name:
            folder = Path(name)
            _write(folder, self.streams, stimulus)
            (folder / "build").mkdir()
            (folder / "build" / self.build.name).symlink_to(self.build)
            if self.simulator == "verilator":
                (folder / "build" / self.top).symlink_to(self.build)
            with _quiet_exit(folder):
                get_runner(self.simulator).test(
                    test_module="hwgen.verify.cocotb_bench",
                    hdl_toplevel=self.top,
                    hdl_toplevel_lang="verilog",
                    build_dir=folder / "build",
                    test_dir=folder,
                    results_xml=str(folder / "results.xml"),
                    extra_env={"HWGEN_BENCH": str(folder), "COCOTB_LOG_LEVEL": "WARNING"},
                    log_file=folder / "log",
                )
            return _read(folder, self.streams, self.top)


def _verilator(sources: Sequence[Path], top: str) -> Path:
    """The executable that cocotb's runner would build, from our cache of models."""
    main = cocotb_config.share_dir / "lib" / "verilator" / "verilator.cpp"
    libraries = cocotb_config.libs_dir
    link = f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"
    flags = ["--vpi", "--public-flat-rw", "--timescale", "1ns/1ps", "-LDFLAGS", link]
    return build_model(
        verilog=list(sources), top=top, harness=main.read_text(), flags=flags, waivers=[toolchain.waivers()]
    )


def _icarus(sources: Sequence[Path], top: str) -> Path:
    """The compiled program for ``vvp``."""
    if toolchain.icarus() is None:
        raise MissingTool(
            "Icarus Verilog was not found: install it (Debian's package is iverilog) or leave it out."
        )
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    program = toolchain.cache_dir() / "icarus" / digest / "sim.vvp"
    if not program.is_file():
        with tempfile.TemporaryDirectory(prefix="hwgen-") as folder, _quiet_exit(Path(folder)):
            get_runner("icarus").build(
                sources=list(sources),
                hdl_toplevel=top,
                build_dir=folder,
                timescale=("1ns", "1ps"),
                log_file=Path(folder, "log"),
            )
            program.parent.mkdir(parents=True, exist_ok=True)
            partial = program.with_suffix(f".{os.getpid()}")
            shutil.copyfile(Path(folder, "sim.vvp"), partial)
            partial.replace(program)
    return program


@contextlib.contextmanager
def _quiet_exit(folder: Path) -> Iterator[None]:
    """Turn the runner's ``sys.exit`` and its chatter into one sentence."""
    try:
        with contextlib.redirect_stdout(None):
            yield
    except (SystemExit, RuntimeError) as stop:
        raise _failure(folder, str(stop)) from None


def _failure(folder: Path, otherwise: str) -> HwgenError:
    """What the log says last: the bench's own assertions are findings, all else is not."""
    log = folder / "log"
    lines = log.read_text().splitlines() if log.is_file() else []
    told = [line.strip() for line in lines if "error" in line.lower()]
    kind = Misbehaviour if any("AssertionError" in line for line in told) else HwgenError
    return kind(f"the cocotb run failed: {told[-1] if told else otherwise}")


def _write(folder: Path, streams: Sequence[Stream], stimulus: Stimulus) -> None:
    ports = [
        {"name": s.name, "prefix": s.prefix, "direction": s.direction, "last": s.last, "bytes": s.bytes}
        for s in streams
    ]
    plan = {"streams": ports, "expected": dict(stimulus.expected), "patience": PATIENCE, "quiet": QUIET}
    (folder / "plan.json").write_text(json.dumps(plan))
    arrays = {f"beats_{name}": beats for name, beats in stimulus.inputs.items()}
    arrays |= {f"lasts_{name}": lasts.astype(np.uint8) for name, lasts in stimulus.lasts.items()}
    arrays |= {f"gate_{name}": gate.astype(np.uint8) for name, gate in stimulus.gates.items()}
    np.savez(folder / "stimulus.npz", **arrays)  # type: ignore[arg-type]


def _read(folder: Path, streams: Sequence[Stream], top: str) -> Observation:
    try:
        seen = np.load(folder / "observed.npz")
    except FileNotFoundError:
        raise _failure(folder, f"no result of {top}") from None
    outputs = [s for s in streams if s.direction == "out"]
    return Observation(
        {s.name: seen[f"times_{s.name}"] for s in streams},
        {s.name: seen[f"beats_{s.name}"].reshape(-1, s.bytes) for s in outputs},
        {s.name: seen[f"lasts_{s.name}"] for s in outputs if s.last},
        float(seen["seconds"]),
        int(seen["simulated"]),
    )
