"""The bench that runs inside the simulator: drives AXI-Stream ports in exact patterns and records every beat.

It follows the same two rules as the compiled harness (see ``sim/streams.py``); bench.py starts it.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

__all__ = ["streams"]


class _Producer:
    def __init__(self, dut: Any, port: dict[str, Any], beats: Any, lasts: Any, gate: list[bool]):
        self.data = getattr(dut, f"{port['prefix']}_tdata")
        self.valid = getattr(dut, f"{port['prefix']}_tvalid")
        self.ready = getattr(dut, f"{port['prefix']}_tready")
        self.last = getattr(dut, f"{port['prefix']}_tlast") if port["last"] else None
        self.words = [int.from_bytes(row.tobytes(), "little") for row in beats]
        self.lasts = lasts
        self.gate = gate
        self.holds = False
        self.shown = False
        self.times: list[int] = []
        self.data.value = 0
        self.valid.value = 0
        if self.last is not None:
            self.last.value = 0

    def drive(self, cycle: int) -> None:
        if not self.holds and len(self.times) < len(self.words) and self.gate[cycle % len(self.gate)]:
            self.holds = True
            self.data.value = self.words[len(self.times)]
            if self.last is not None:
                self.last.value = int(self.lasts[len(self.times)])
        if self.shown != self.holds:
            self.valid.value = int(self.holds)
            self.shown = self.holds

    def sample(self, cycle: int) -> bool:
        if self.holds and self.ready.value:
            self.holds = False
            self.times.append(cycle)
            return True
        return False

    @property
    def done(self) -> bool:
        return len(self.times) == len(self.words)


class _Consumer:
    def __init__(self, dut: Any, port: dict[str, Any], expected: int, gate: list[bool]):
        self.data = getattr(dut, f"{port['prefix']}_tdata")
        self.valid = getattr(dut, f"{port['prefix']}_tvalid")
        self.ready = getattr(dut, f"{port['prefix']}_tready")
        self.last = getattr(dut, f"{port['prefix']}_tlast") if port["last"] else None
        self.bytes = port["bytes"]
        self.expected = expected
        self.gate = gate
        self.open = False
        self.times: list[int] = []
        self.words: list[bytes] = []
        self.lasts: list[bool] = []
        self.ready.value = 0

    def drive(self, cycle: int) -> None:
        is_open = self.gate[cycle % len(self.gate)]
        if is_open != self.open:
            self.ready.value = int(is_open)
            self.open = is_open

    def sample(self, cycle: int) -> bool:
        if self.open and self.valid.value:
            self.times.append(cycle)
            self.words.append(int(self.data.value).to_bytes(self.bytes, "little"))
            self.lasts.append(self.last is not None and bool(self.last.value))
            return True
        return False

    @property
    def done(self) -> bool:
        return len(self.times) >= self.expected


@cocotb.test()
async def streams(dut: Any) -> None:
    """Run one stimulus from reset until every expected beat has moved."""
    folder = Path(os.environ["HWGEN_BENCH"])
    plan = json.loads((folder / "plan.json").read_text())
    arrays = np.load(folder / "stimulus.npz")
    sides: dict[str, _Producer | _Consumer] = {}
    for port in plan["streams"]:
        name = port["name"]
        gate = arrays[f"gate_{name}"].tolist()
        if port["direction"] == "in":
            sides[name] = _Producer(
                dut, port, arrays[f"beats_{name}"], arrays[f"lasts_{name}"] if port["last"] else None, gate
            )
        else:
            sides[name] = _Consumer(dut, port, plan["expected"][name], gate)
    dut.rst.value = 1
    Clock(dut.clk, 10, unit="ns").start()
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0

    began = time.perf_counter()
    agents = list(sides.values())
    cycle = moved = 0
    finished = False
    while not (finished and cycle - moved > plan["quiet"]):
        for side in agents:
            side.drive(cycle)
        await FallingEdge(dut.clk)  # everything has settled, and no edge is near
        samples = [side.sample(cycle) for side in agents]
        if any(samples):
            moved = cycle
        finished = finished or all(side.done for side in agents)
        assert cycle - moved <= plan["patience"], f"no beat moved for {plan['patience']} cycles"
        await RisingEdge(dut.clk)
        cycle += 1
    seconds = time.perf_counter() - began

    results: dict[str, Any] = {"seconds": seconds, "simulated": cycle}
    for name, side in sides.items():
        results[f"times_{name}"] = np.array(side.times, np.int64)
        if isinstance(side, _Consumer):
            assert len(side.times) <= side.expected, (
                f"{name} sent {len(side.times)} beats, not {side.expected}"
            )
            results[f"beats_{name}"] = np.frombuffer(b"".join(side.words), np.uint8)
            results[f"lasts_{name}"] = np.array(side.lasts, np.bool_)
    np.savez(folder / "observed.npz", **results)
