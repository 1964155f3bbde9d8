"""What several tests share: building a unit for cocotb and running one test of a bench on it; small programs."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from hwgen import toolchain
from hwgen.compile.builder import Builder, Region
from hwgen.compile.compiler import compile_network
from hwgen.compile.network import random_input, random_network
from hwgen.emit import Unit, emit
from hwgen.files import output_folder, write_if_changed
from hwgen.program.program import Program
from hwgen.system.check import check, order
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.verify.bench import CocotbBench
from hwgen.workloads.layers import INPUT, Layer, Workload

TINY = SystemConfig(
    lanes=4, bus_bytes=8, act_words=256, act_banks=2, weight_words=256, acc_words=128, acc_banks=2,
    parameter_words=8, dsp_tile=16, address_bits=20,
)  # fmt: skip
"""The accelerator of all tests that look at buses and errors: one build for each kind of bench."""


@dataclass(frozen=True, eq=False)
class Job:
    """A program in its memory, and the memory after it."""

    program: Program
    address: int
    memory: npt.NDArray[np.uint8]
    expected: npt.NDArray[np.uint8]


def _job(program: Program, address: int, memory: npt.NDArray[np.uint8]) -> Job:
    golden = Machine(TINY, memory)
    golden.run(program.instructions[i] for i in order(program, TINY))
    return Job(program, address, memory, golden.dram)


def _network_job(seed: int) -> Job:
    """Two convolutions and a pooling layer, compiled."""
    layers = (
        Layer("a", "conv", inputs=(INPUT,), out_channels=6, kernel=(3, 3), pad=(1, 1, 1, 1), relu=True),
        Layer("b", "maxpool", inputs=("a",), kernel=(2, 2), stride=(2, 2)),
        Layer("c", "conv", inputs=("b",), out_channels=5, kernel=(1, 1)),
    )
    workload = Workload(name="small", layers=layers, input_shape=(6, 5, 4), source="test")
    network = random_network(workload, seed, TINY.scale_bits)
    compiled = compile_network(TINY, network)
    memory = compiled.memory({INPUT: random_input(network, None, (6, 5, 4), seed)})
    return _job(compiled.program, compiled.image.program_address, memory)


_RESULTS, _PROGRAM = 0x4000, 0x8000


def _random_job(seed: int, runs: int) -> Job:
    """Random runs of LOAD, VEC (copies) and STORE, near and across 4 KiB, with the tokens that they need."""
    rng = random.Random(seed)
    b = Builder(TINY)
    b.reach(_PROGRAM)
    lanes, words, bus = TINY.lanes, TINY.act_words, TINY.bus_bytes
    unit = bus // lanes

    def place(low: int, high: int, size: int, step: int) -> int:
        """An address for ``size`` bytes; every other one has a boundary inside, if it fits."""
        if rng.random() < 0.5:
            low = max(low, rng.choice(range(low + 4096, high, 4096)) - size)
            high = min(high, low + 2 * size)
        return step * rng.randrange(low // step, (high - size) // step + 1)

    def load(target: int, size: int) -> None:
        region = Region.span("act", target, -(-size // bus) * unit)
        b.emit(
            "load.run", address=place(0, _RESULTS, size, 1), buffer="act", target=target * lanes,
            run_bytes=size, run_count=1, windowed=0, writes=[region],
        )  # fmt: skip

    def window() -> None:
        pitch, rows, groups, size = (
            rng.randint(1, 300),
            rng.randint(1, 6),
            rng.randint(1, 3),
            rng.randint(1, 50),
        )
        written = -(-rows * size // lanes) * groups
        target = unit * rng.randrange((words - written - unit) // unit)
        b.set(
            "load.window", row_pitch=pitch, x_step=rng.randint(-40, 40), row_bytes=rng.randint(1, 100),
            row_count=rng.randint(1, 8), pad_value=rng.randint(-128, 127),
        )  # fmt: skip
        b.set("load.position", x_start=rng.randint(-60, 60), y_start=rng.randint(-3, 6), group_count=groups)
        b.emit(
            "load.run", address=place(1000, _RESULTS - 4096, 2000, 1), buffer="act", target=target * lanes,
            run_bytes=size, run_count=rows, windowed=1,
            writes=[Region.span("act", target, -(-written // unit) * unit)],
        )  # fmt: skip

    def copy() -> None:
        count = rng.randint(1, words // 2)
        source, target = rng.sample(
            [rng.randrange(words // 2 - count + 1), words // 2 + rng.randrange(words // 2 - count + 1)], 2
        )
        b.set("vec.shape", n0=count)
        b.set("vec.source", n0=1)
        b.set("vec.target", n0=1)
        b.emit(
            "vec.run", op="copy", source=source, target=target,
            reads=[Region.span("act", source, count)], writes=[Region.span("act", target, count)],
        )  # fmt: skip

    def store(source: int, size: int, rows: int) -> None:
        pitch, taken = bus * (-(-size // bus) + rng.randint(0, 60)), unit * rng.randint(0, 4)
        span = (rows - 1) * taken + -(-size // bus) * unit
        b.set("store.window", row_pitch=pitch, source_pitch=taken)
        address = place(_RESULTS, _PROGRAM, rows * pitch, bus)
        b.emit(
            "store.run", address=address, source=source, run_bytes=size, run_count=rows,
            reads=[Region.span("act", source, span)], writes=[Region.dram(address, rows * pitch)],
        )  # fmt: skip

    load(0, words * lanes)
    for _ in range(runs):
        kind = rng.choice(["load", "window", "copy", "store"])
        if kind == "load":
            target = unit * rng.randrange(words // unit)
            load(target, rng.randint(1, (words - target) * lanes))
        elif kind == "store":
            rows, size = rng.randint(1, 5), rng.randint(1, 160)
            room = words - (rows - 1) * 4 * unit - -(-size // bus) * unit
            store(unit * rng.randrange(room // unit + 1), size, rows)
        else:
            window() if kind == "window" else copy()
    store(0, words * lanes, 1)
    program = b.program()
    memory = np.random.default_rng(seed).integers(0, 256, _PROGRAM + 4096, np.uint8)
    memory[_PROGRAM : _PROGRAM + len(program.body)] = np.frombuffer(program.body, np.uint8)
    check(program, TINY, dram_bytes=len(memory), program_address=_PROGRAM)
    return _job(program, _PROGRAM, memory)


@pytest.fixture(scope="session")
def tiny() -> SystemConfig:
    """The accelerator of the tests of buses and errors."""
    return TINY


@pytest.fixture(scope="session")
def network_job() -> Callable[[int], Job]:
    """A compiled network with random numbers, by seed."""
    return _network_job


@pytest.fixture(scope="session")
def random_job() -> Callable[[int, int], Job]:
    """A program of random runs, by seed and number of runs."""
    return _random_job


def _build(component: Unit, top: str, simulator: str) -> CocotbBench:
    text = emit(component, top, {}).verilog
    assert "[-1:0]" not in text
    path = output_folder(toolchain.cache_dir() / "verilog" / "system") / f"{top}.v"
    write_if_changed(path, text)
    return CocotbBench([path], top, [], simulator)


@pytest.fixture(scope="session")
def build() -> Callable[[Unit, str, str], CocotbBench]:
    """A unit under the name of its top module, for one of the simulators; from the cache if it was built before."""
    return _build


@pytest.fixture
def run_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run one test of a bench module beside this file; it finds ``plan`` in ``plan.json``."""
    monkeypatch.syspath_prepend(Path(__file__).parent)

    def run(bench: CocotbBench, module: str, test: str, plan: dict[str, Any] | None = None) -> None:
        (tmp_path / "plan.json").write_text(json.dumps(plan or {}))
        folder = tmp_path / "build"
        folder.mkdir()
        for name in {bench.build.name, bench.top}:
            (folder / name).symlink_to(bench.build)
        log = tmp_path / "log"
        with contextlib.suppress(SystemExit):  # its message says less than the log
            get_runner(bench.simulator).test(
                test_module=module,
                testcase=test,
                hdl_toplevel=bench.top,
                hdl_toplevel_lang="verilog",
                build_dir=folder,
                test_dir=tmp_path,
                results_xml=str(tmp_path / "results.xml"),
                extra_env={"HWGEN_BENCH": str(tmp_path), "COCOTB_LOG_LEVEL": "WARNING"},
                log_file=log,
            )
        assert get_results(tmp_path / "results.xml") == (1, 0), log.read_text()

    return run
