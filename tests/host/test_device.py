"""The driver on the Verilog of a board with `tiny`, over its serial pins."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from hwgen.commands.executors import simulate
from hwgen.commands.jobs import NetworkJob, network_job, numbers
from hwgen.commands.run import run
from hwgen.errors import BadInput, Misbehaviour
from hwgen.host import Device, UartLink
from hwgen.host.device import relocated
from hwgen.host.protocol import Op, Request
from hwgen.host.transport import LinkError
from hwgen.host.wire import SimulatedWire
from hwgen.program.encoding import instr
from hwgen.program.program import Program
from hwgen.system.config import SystemConfig
from hwgen.system.registers import REGISTERS
from sim import machine

from .conftest import BOARD

TINY = BOARD.system
WORKLOAD = "gemm:20x24x12"
TIMEOUT = BOARD.uart.timeout_us / 1e6


def opened(wire: SimulatedWire) -> Device:
    return Device(UartLink(wire, BOARD.uart.baud, TIMEOUT), TINY)


@pytest.fixture
def wire(tiny_wire: Callable[[], SimulatedWire]) -> Iterator[SimulatedWire]:
    made = tiny_wire()
    yield made
    made.close()


@pytest.fixture(scope="module")
def job() -> NetworkJob:
    return network_job(TINY, numbers(TINY, WORKLOAD, seed=3), lut_share=None, images=1)


def dram() -> machine.Dram:
    latency, interval, depth, write_latency = BOARD.memory_timing
    return machine.Dram(latency=latency, interval=interval, depth=depth, write_latency=write_latency)


def test_a_gemm_is_the_golden_models_and_takes_the_simulators_cycles(
    wire: SimulatedWire, job: NetworkJob
) -> None:
    device = opened(wire)
    (memory,) = next(job.batches())
    found, after = device.run(memory, job.program, job.address)
    golden = run(TINY, WORKLOAD, "golden", seed=3).outputs
    assert golden is not None
    results = job.results(after)
    for name, values in golden.items():
        np.testing.assert_array_equal(results[name].reshape(values[0].shape), values[0])
    told = simulate(TINY, job.program, dram())
    assert found.cycles == told.drained + 1
    assert found.instructions == len(job.program)
    assert (found.read_beats, found.write_beats) == (told.read_beats, told.write_beats)
    assert found.counters["store"]["done"] == sum(one.engine == "store" for one in job.program.instructions)

    # It runs again, and what the lights say: the interrupt was cleared, nothing runs.
    again, _ = device.run(memory, job.program, job.address)
    assert again == found
    assert wire.status()[1] & 0b0011 == 0
    assert device.transport.repeated == 0  # type: ignore[attr-defined]


def test_a_program_that_hangs_or_fails_is_told_and_the_next_one_runs(
    wire: SimulatedWire, job: NetworkJob
) -> None:
    device = opened(wire)
    window, halt = instr("store.window"), instr("control.halt")
    waits = instr("store.window", wait=["load"])
    bad = Program((window, waits, halt))
    image = bad.body + bytes(4096 - len(bad.body))
    with pytest.raises(
        Misbehaviour, match=r"instruction 2, control: every engine waits .*store waits for load"
    ):
        device.run(image, bad, 0)
    far = Program((instr("load.run", address=BOARD.memory_bytes, buffer="act", run_bytes=8), halt))
    image = far.body + bytes(4096 - len(far.body))
    with pytest.raises(
        Misbehaviour, match="load: a read was answered with DECERR: no memory at this address"
    ):
        device.run(image, far, 0)
    (memory,) = next(job.batches())
    _, after = device.run(memory, job.program, job.address)
    assert device.read(5, 7).tolist() == after[5:12].tolist()


def long_program() -> Program:
    """Loads for hundreds of milliseconds of this clock."""
    one = instr("load.run", address=0, buffer="act", run_bytes=1024)
    return Program((*[one] * 1000, instr("control.halt")))


def test_a_long_run_is_given_up_stopped_or_reset(wire: SimulatedWire, job: NetworkJob) -> None:
    device = opened(wire)
    program = long_program()
    (memory,) = next(job.batches())
    device.transport.write(0, program.body)
    device.start(0, len(program))
    with pytest.raises(BadInput, match="a program runs on the device already"):
        device.start(0, 1)
    assert wire.status()[1] & 1
    # Memory answers while the program runs, and its words are right.
    assert device.read(64, 256).tobytes() == program.body[64:320]
    device.transport.write(1 << 14, b"at once.")
    assert device.read(1 << 14, 8).tobytes() == b"at once."
    with pytest.raises(Misbehaviour, match=r"did not end within 0\.01 s and was stopped"):
        device.wait(0.01)
    assert device.outcome().error == "STOPPED"

    device.start(0, len(program))
    device.reset()
    assert not device.running
    device.start(0, len(program))
    device.stop()
    assert device.wait().error == "STOPPED"
    found, _ = device.run(memory, job.program, job.address)
    assert found.cycles == simulate(TINY, job.program, dram()).drained + 1


def test_the_boards_reset_in_the_middle(wire: SimulatedWire, job: NetworkJob) -> None:
    device = opened(wire)
    program = long_program()
    device.transport.write(0, program.body)
    device.start(0, len(program))
    wire.write(Request(Op.READ_MEMORY, 200, 0, 1024).to_bytes())
    wire.pause(0.01)  # an answer is on its way, the program runs
    wire.press_reset()
    device = opened(wire)
    assert not device.running
    (memory,) = next(job.batches())
    device.run(memory, job.program, job.address)


def test_noise_on_the_line_changes_nothing(wire: SimulatedWire, job: NetworkJob) -> None:
    rng = random.Random(4)
    device = opened(wire)
    (memory,) = next(job.batches())
    device.load(memory, job.program, job.address)
    for _ in range(5):
        wire.write(rng.randbytes(50))
        wire.pause(3 * TIMEOUT)
    wire.read(1 << 16, TIMEOUT)
    device.start(job.address, len(job.program))
    assert device.wait().ok
    golden = run(TINY, WORKLOAD, "golden", seed=3).outputs
    assert golden is not None
    results = job.results(device.read(0, len(memory)))
    assert all(
        np.array_equal(results[name].reshape(-1), values.reshape(-1)) for name, values in golden.items()
    )


def test_what_does_not_fit_is_refused(wire: SimulatedWire, job: NetworkJob) -> None:
    device = opened(wire)
    halt = Program((instr("control.halt"),))
    with pytest.raises(BadInput, match=r"has 40000 bytes and the device 32768; .* memory_bytes=40960"):
        device.load(bytes(40000), halt, 0)
    with pytest.raises(BadInput, match="multiple of 4096"):
        device.load(bytes(8192), halt, 64)
    with pytest.raises(BadInput, match="is for configuration 0123456789abcdef, and the device has"):
        device.load(bytes(8192), replace(halt, digest="0123456789abcdef"), 0)
    with pytest.raises(BadInput, match="do not lie in the device's memory"):
        device.read(32764, 8)
    with pytest.raises(BadInput, match="words of 4 bytes"):
        device.transport.write(2, b"abcd")
    with pytest.raises(LinkError, match="write registers at 0x0 failed: the bus refused it"):
        device.write_register("ID", 1)
    with pytest.raises(BadInput, match="the device has configuration"):
        Device(device.transport, SystemConfig())
    assert set(device.registers()) == {
        r.name for r in REGISTERS if r.access != "wo" and r.engine in ("", *TINY.engines)
    }


def test_a_relocated_program_differs_in_addresses_only() -> None:
    program = Program(
        (
            instr("load.run", address=64, buffer="act", run_bytes=8, signal=["store"]),
            instr("store.run", address=128, run_bytes=8, wait=["load"]),
            instr("control.halt"),
        )
    )
    moved = relocated(program, 0x10_0000, TINY)
    assert [one.fields.get("address") for one in moved.instructions] == [0x10_0040, 0x10_0080, None]
    assert [one.wait for one in moved.instructions] == [one.wait for one in program.instructions]
    assert relocated(program, 0) == program
    with pytest.raises(BadInput, match="must be a multiple of 4096, not 0x64"):
        relocated(program, 100)
    with pytest.raises(BadInput, match="beyond the 32 bits"):
        relocated(program, 1 << 32, TINY)
