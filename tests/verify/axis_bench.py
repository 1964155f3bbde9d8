"""Runs inside the simulator: cocotbext-axi's own sources and sink as the other side; test_bench.py starts it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource

FOLDER = Path(os.environ["HWGEN_BENCH"])


class Bench:
    """The block's four ports; ``times`` has the cycle after reset of every result beat."""

    def __init__(self, dut: Any):
        self.dut = dut
        self.data = np.load(FOLDER / "stimulus.npz")
        self.frames = int(self.data["frames"])
        self.sources = {
            name: AxiStreamSource(AxiStreamBus.from_prefix(dut, f"s_axis_{name}"), dut.clk, dut.rst)
            for name in ("cmd", "a", "b")
        }
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_c"), dut.clk, dut.rst)
        self.times: list[int] = []
        dut.rst.value = 0
        Clock(dut.clk, 10, unit="ns").start()
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        cycle = 0
        while True:
            await FallingEdge(self.dut.clk)
            if self.dut.rst.value:
                cycle = 0
                self.times.clear()
                continue
            if self.dut.m_axis_c_tvalid.value and self.dut.m_axis_c_tready.value:
                self.times.append(cycle)
            cycle += 1

    async def reset(self) -> None:
        """One cycle of reset; what was under way is gone, and the whole stimulus waits at the ports."""
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 1
        await RisingEdge(self.dut.clk)
        for source in self.sources.values():
            source.clear()
        self.sink.clear()
        for name, source in self.sources.items():
            source.send_nowait(self.data[name].tobytes())
        self.dut.rst.value = 0

    async def results(self) -> list[bytes]:
        """All results, one frame per TLAST; nothing may follow."""
        frames = [bytes((await self.sink.recv()).tdata) for _ in range(self.frames)]
        await ClockCycles(self.dut.clk, 100)
        assert self.sink.empty()
        assert self.sink.idle()
        return frames


def _pauses(rng: random.Random) -> Iterator[bool]:
    while True:
        pause = rng.random() < 0.6
        yield from [pause] * rng.randint(1, 6)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def pauses(dut: Any) -> None:
    """Every side pauses at random."""
    bench = Bench(dut)
    rng = random.Random(1)
    for side in (*bench.sources.values(), bench.sink):
        side.set_pause_generator(_pauses(rng))
    await bench.reset()
    frames = await bench.results()
    np.savez(FOLDER / "frames.npz", *[np.frombuffer(frame, np.uint8) for frame in frames])


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def resets(dut: Any) -> None:
    """A reset at any time, and the run after it is like the first."""
    bench = Bench(dut)
    await bench.reset()
    first = await bench.results()
    times = list(bench.times)
    rng = random.Random(2)
    for cut in [1, 2, 3, *(rng.randint(1, times[-1]) for _ in range(20))]:
        await bench.reset()
        await ClockCycles(dut.clk, cut)
        await bench.reset()
        assert await bench.results() == first, f"other results after a reset in cycle {cut}"
        assert bench.times == times, f"other cycles after a reset in cycle {cut}"
    np.savez(FOLDER / "frames.npz", *[np.frombuffer(frame, np.uint8) for frame in first])
