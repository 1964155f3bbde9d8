"""Runs inside the simulator: a cycle-exact model of Control against the Verilog; test_control.py starts it."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from hwgen.system.registers import ERRORS, ID, REGISTERS, Register, register

PLAN = json.loads(Path(os.environ["HWGEN_BENCH"], "plan.json").read_text())
PROGRAM_MASK = (1 << PLAN["address_bits"]) - 1
BY_WORD = {r.offset >> 2: r for r in REGISTERS}
COUNTED = [r for r in REGISTERS if r.counts and (not r.engine or r.engine in PLAN["engines"])]
ERROR_INPUTS = {"error_code": 8, "error_engine": 4, "error_instruction": 32}
WAITING = [f"{name}_waiting" for name in PLAN["engines"]]
CODES = {e.name: e.code for e in ERRORS}


class Model:
    """What every output is in every cycle, from the inputs of the cycles before."""

    def __init__(self) -> None:
        self.upper = 0  # no reset
        self.starts = self.reads = self.writes = self.refused = 0
        self.reset()

    def reset(self) -> None:
        self.aw: int | None = None
        self.w: tuple[int, int] | None = None
        self.b: int | None = None
        self.ar: int | None = None
        self.phase = 0  # of the read: 0 none, 1 select, 2 sample, 3 answered
        self.held = 0
        self.r = (0, 0)
        self.start = self.stop = self.irq = 0
        self.enable = self.status = 0
        self.program = self.count = 0
        self.done = self.failed = 0
        self.first = (0, 0, 0)
        self.cycles = 0
        self.counts = dict.fromkeys((r.counts for r in COUNTED), 0)
        self.coming = self.counts  # events of the cycle before

    def outputs(self) -> dict[str, int]:
        """All that is defined in this cycle."""
        out = {
            "s_axi_awready": int(self.aw is None),
            "s_axi_wready": int(self.w is None),
            "s_axi_bvalid": int(self.b is not None),
            "s_axi_arready": int(self.phase == 0),
            "s_axi_rvalid": int(self.phase == 3),
            "irq": self.irq,
            "start": self.start,
            "stop": self.stop,
            "program_address": self.program,
            "program_count": self.count,
        }
        if self.b is not None:
            out["s_axi_bresp"] = self.b
        if self.phase == 3:
            out["s_axi_rdata"], out["s_axi_rresp"] = self.r
        return out

    def read(self, word: int, pins: dict[str, int]) -> tuple[int, int]:
        """Data and response; counters have been looked up the cycle before."""
        if word not in BY_WORD:
            return 0, int(AxiResp.SLVERR)
        r = BY_WORD[word]
        code, engine, instruction = self.first
        values = {
            "ID": ID,
            "VERSION": PLAN["version"],
            "DIGEST_LOW": PLAN["digest"] & 0xFFFFFFFF,
            "DIGEST_HIGH": PLAN["digest"] >> 32,
            "CONTROL": 0,
            "STATUS": pins["running"] | self.done << 1 | self.failed << 2,
            "ERROR": code | engine << 8,
            "ERROR_INSTRUCTION": instruction,
            "IRQ_ENABLE": self.enable,
            "IRQ_STATUS": self.status,
            "PROGRAM_LOW": self.program & 0xFFFFFFFF,
            "PROGRAM_HIGH": self.program >> 32,
            "PROGRAM_COUNT": self.count,
            "CYCLES_LOW": self.cycles & 0xFFFFFFFF,
            "CYCLES_HIGH": self.upper,
        }
        if r.name in values:
            return values[r.name], 0
        if r.engine and r.engine not in PLAN["engines"]:
            return 0, 0
        return (self.held, 0) if r.counts else (pins[r.name.lower()], 0)

    def cycle(self, pins: dict[str, int]) -> None:
        """Go on to the next cycle."""
        after: dict[str, Any] = {"start": 0, "stop": 0}
        after["irq"] = int(bool(self.enable & self.status))
        self._read_side(pins, after)
        cleared = self._write_side(pins, after)
        after["coming"] = {name: pins[name] & pins["running"] for name in self.counts}
        after["status"] = (self.status & ~cleared) | pins["done"] | pins["error"] << 1
        if self.start:
            after |= {"done": 0, "failed": 0, "first": (0, 0, 0), "cycles": 0}
            after["counts"] = dict.fromkeys(self.counts, 0)
            self.starts += 1
        else:
            after["counts"] = {name: count + self.coming[name] for name, count in self.counts.items()}
            if pins["done"]:
                after["done"] = 1
            if pins["error"] and not self.failed:
                after |= {"failed": 1, "first": tuple(pins[name] for name in ERROR_INPUTS)}
            if pins["running"]:
                after["cycles"] = (self.cycles + 1) % (1 << 64)
        for name, value in after.items():
            setattr(self, name, value)

    def _read_side(self, pins: dict[str, int], after: dict[str, Any]) -> None:
        if self.phase == 0 and pins["s_axi_arvalid"]:
            after |= {"phase": 1, "ar": pins["s_axi_araddr"] >> 2}
        elif self.phase == 1:
            r = BY_WORD.get(self.ar or 0)
            after["phase"] = 2
            after["held"] = 0 if self.start or r is None else self.counts.get(r.counts, 0)
        elif self.phase == 2:
            assert self.ar is not None
            after |= {"phase": 3, "r": self.read(self.ar, pins)}
            if BY_WORD.get(self.ar) is register("CYCLES_LOW"):
                after["upper"] = self.cycles >> 32
        elif self.phase == 3 and pins["s_axi_rready"]:
            after["phase"] = 0
            self.reads += 1

    def _write_side(self, pins: dict[str, int], after: dict[str, Any]) -> int:
        """Takes part in the write channels; returns the bits of IRQ_STATUS that are cleared."""
        if self.aw is None and pins["s_axi_awvalid"]:
            after["aw"] = pins["s_axi_awaddr"] >> 2
        if self.w is None and pins["s_axi_wvalid"]:
            after["w"] = (pins["s_axi_wdata"], pins["s_axi_wstrb"])
        if self.b is not None:
            if pins["s_axi_bready"]:
                after["b"] = None
                self.writes += 1
            return 0
        if self.aw is None or self.w is None:
            return 0
        r = BY_WORD.get(self.aw)
        after |= {"aw": None, "w": None}
        if r is None or r.access == "ro":
            after["b"] = int(AxiResp.SLVERR)
            self.refused += 1
            return 0
        after["b"] = 0
        data, strobes = self.w
        mask = sum(0xFF << (8 * i) for i in range(4) if strobes >> i & 1)
        if r.name == "CONTROL":
            after["start"] = data & mask & 1 & ~pins["running"]
            after["stop"] = (data & mask) >> 1 & pins["running"]
        elif r.name == "IRQ_ENABLE":
            after["enable"] = (self.enable & ~mask | data & mask) & 3
        elif r.name == "PROGRAM_COUNT":
            after["count"] = self.count & ~mask | data & mask
        elif r.name in ("PROGRAM_LOW", "PROGRAM_HIGH"):
            up = 32 * (r.name == "PROGRAM_HIGH")
            after["program"] = (self.program & ~(mask << up) | (data & mask) << up) & PROGRAM_MASK
        return data & mask & 3 if r.name == "IRQ_STATUS" else 0


class Bench:
    """Control, the model beside it, and an accelerator that is played at random or by hand."""

    def __init__(self, dut: Any, seed: int, *, plays: bool = True):
        self.dut = dut
        self.rng = random.Random(seed)
        self.model = Model()
        self.plays = plays
        names = ["running", "done", "error", *ERROR_INPUTS, *(r.counts for r in COUNTED), *WAITING]
        self.inside = dict.fromkeys(names, 0)
        self.left = 0
        self.density = 0.5
        self.cycles = 0
        for name in names:
            getattr(dut, name).value = 0
        dut.rst.value = 0
        self.bus = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        Clock(dut.clk, 10, unit="ns").start()
        cocotb.start_soon(self._clock())

    async def _clock(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            if self.plays:
                self._play()
            driven = dict(self.inside)  # a test may change its mind in the middle of the cycle
            for name, value in driven.items():
                getattr(self.dut, name).value = value
            await FallingEdge(self.dut.clk)
            if self.dut.rst.value:
                self.model.reset()
                self.left = 0
                continue
            self.cycles += 1
            for name, expected in self.model.outputs().items():
                got = getattr(self.dut, name).value
                assert got == expected, f"{name} is {got} in cycle {self.cycles}, not {expected:#x}"
            pins = {name: int(getattr(self.dut, f"s_axi_{name}").value) for name in HANDSHAKE}
            pins |= {name: int(getattr(self.dut, f"s_axi_{name}").value) for name in _payloads(pins)}
            self.model.cycle({f"s_axi_{name}": value for name, value in pins.items()} | driven)

    def _play(self) -> None:
        """An accelerator that does anything at any time."""
        rng = self.rng
        if self.dut.start.value:
            self.left = rng.randint(1, 150)
            self.density = rng.choice([0, 0.1, 0.5, 1])
        # The model saw start in the cycle before, so running rises in the cycle after it.
        self.inside["running"] = int(self.left > 0 and not self.model.start)
        if self.model.start:
            self.left += 1
        for r in COUNTED:
            self.inside[r.counts] = int(rng.random() < self.density)
        for name in WAITING:
            self.inside[name] = rng.getrandbits(8)
        for name, bits in ERROR_INPUTS.items():
            self.inside[name] = rng.getrandbits(bits)
        self.inside["error"] = int(rng.random() < 0.02)
        self.inside["done"] = int(self.left == 1 or rng.random() < 0.01)
        self.left -= self.left > 0

    async def reset(self) -> None:
        """One cycle of reset."""
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    def pause(self) -> None:
        """Every channel pauses at random."""
        write, read = self.bus.write_if, self.bus.read_if
        for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
            channel.set_pause_generator(_pauses(random.Random(self.rng.random())))

    async def read(self, name: str) -> int:
        """The value of a register."""
        answer = await self.bus.read(register(name).offset, 4)
        assert answer.resp == AxiResp.OKAY
        return int.from_bytes(answer.data, "little")

    async def write(self, name: str, value: int, size: int = 4, offset: int = 0) -> AxiResp:
        """Write some bytes of a register."""
        answer = await self.bus.write(register(name).offset + offset, value.to_bytes(size, "little"))
        return answer.resp

    async def pulse(self, **values: int) -> None:
        """Inputs for one cycle."""
        await FallingEdge(self.dut.clk)
        self.inside.update(values)
        await FallingEdge(self.dut.clk)
        self.inside.update(dict.fromkeys(values, 0))

    async def traffic(self, count: int, *, reads: bool) -> None:
        """Random transfers, one after the other."""
        rng = self.rng
        for _ in range(count):
            address, size = _target(rng, reads), rng.choice([1, 2, 4, 4, 4, 8])
            size = min(size, 4096 - address)
            if reads:
                await self.bus.read(address, size)
            else:
                await self.bus.write(address, rng.choice([rng.randbytes(size), b"\1" * size, b"\3" * size]))


HANDSHAKE = ("awvalid", "wvalid", "bready", "arvalid", "rready")


def _payloads(pins: dict[str, int]) -> list[str]:
    """What means something now; the rest may be unknown."""
    names = ["awaddr"] if pins["awvalid"] else []
    names += ["wdata", "wstrb"] if pins["wvalid"] else []
    return names + (["araddr"] if pins["arvalid"] else [])


def _target(rng: random.Random, reads: bool) -> int:
    """An address: of a register, often one that matters, or of none."""
    kind = rng.random()
    if kind < 0.1:
        return rng.randrange(4096)
    often = ["CYCLES_LOW", "CYCLES_HIGH", "STATUS"] if reads else ["CONTROL", "CONTROL", "IRQ_STATUS"]
    chosen: Register = register(rng.choice(often)) if kind < 0.4 else rng.choice(REGISTERS)
    if not reads and kind > 0.6:
        chosen = rng.choice([r for r in REGISTERS if r.access != "ro"])
    return chosen.offset + (rng.randrange(4) if rng.random() < 0.2 else 0)


def _pauses(rng: random.Random) -> Iterator[bool]:
    while True:
        pause = rng.random() < 0.5
        yield from [pause] * rng.randint(1, 6)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def anything(dut: Any) -> None:
    """Random reads and writes at the same time, pauses everywhere, an accelerator that does anything."""
    bench = Bench(dut, 1)
    await bench.reset()
    for paused in (False, True):
        if paused:
            bench.pause()
        writes = cocotb.start_soon(bench.traffic(500, reads=False))
        await bench.traffic(500, reads=True)
        await writes
    seen = bench.model
    assert seen.reads > 1000
    assert seen.writes > 1000
    assert seen.starts > 30
    assert seen.refused > 50


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def resets(dut: Any) -> None:
    """A reset at any time; what follows is as after the first."""
    bench = Bench(dut, 2)
    bench.pause()
    for _ in range(40):
        await bench.reset()
        tasks = [cocotb.start_soon(bench.traffic(1000, reads=reads)) for reads in (False, True)]
        await ClockCycles(dut.clk, bench.rng.randint(1, 80))
        for task in tasks:
            task.cancel()
    assert bench.model.starts > 10


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counters(dut: Any) -> None:
    """Everything counts in every cycle while counters are read as fast as the bus can."""
    bench = Bench(dut, 3, plays=False)
    await bench.reset()
    assert await bench.write("CONTROL", 1) == AxiResp.OKAY
    bench.inside.update({r.counts: 1 for r in COUNTED}, running=1)
    begin = bench.cycles
    before = bench.model.reads
    for _ in range(400 // len(COUNTED)):
        asked = [bench.bus.init_read(r.offset, 4) for r in COUNTED]
        for answer in asked:
            await answer.wait()
    assert (bench.cycles - begin) / (bench.model.reads - before) < 4.5
    bench.inside["running"] = 0
    await ClockCycles(dut.clk, 5)
    total = await bench.read("CYCLES_LOW")
    assert total > 1000
    for r in COUNTED:
        assert await bench.read(r.name) == total
    # A new run starts from zero everywhere, at once.
    await bench.write("CONTROL", 1)
    for r in reversed(COUNTED):
        assert await bench.read(r.name) == 0
    # A start while a read is on its way, right after a run: the model knows what it sees.
    for delay in range(8):
        bench.inside["running"] = 1
        await ClockCycles(dut.clk, 45)
        bench.inside["running"] = 0
        start = bench.bus.init_write(register("CONTROL").offset, b"\1")
        await ClockCycles(dut.clk, delay)
        await bench.read("LOAD_DONE")
        await start.wait()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def by_hand(dut: Any) -> None:
    """One run as a driver sees it, with the values that the table promises."""
    bench = Bench(dut, 4, plays=False)
    inside = bench.inside
    await bench.reset()
    assert await bench.read("ID") == 0x4857474E
    assert await bench.read("VERSION") == PLAN["version"]
    assert await bench.read("DIGEST_LOW") | await bench.read("DIGEST_HIGH") << 32 == PLAN["digest"]

    # Bytes, wherever they are; and what cannot be written.
    assert await bench.write("PROGRAM_LOW", 0x11223344) == AxiResp.OKAY
    assert await bench.write("PROGRAM_LOW", 0xAB, 1, 2) == AxiResp.OKAY
    assert await bench.write("PROGRAM_HIGH", 0x12345678) == AxiResp.OKAY
    address = 0x1234567811AB3344 & PROGRAM_MASK
    assert await bench.read("PROGRAM_LOW") == address & 0xFFFFFFFF
    assert await bench.read("PROGRAM_HIGH") == address >> 32
    assert int(dut.program_address.value) == address
    assert await bench.write("ID", 0) == AxiResp.SLVERR
    assert await bench.write("LUT_RUN", 0) == AxiResp.SLVERR
    for address in (0x048, 0x0FC, 0x118, 0x1C0, 0xFFC):
        nothing = await bench.bus.read(address, 4)
        assert (nothing.resp, nothing.data) == (AxiResp.SLVERR, bytes(4))
        assert (await bench.bus.write(address, bytes(4))).resp == AxiResp.SLVERR

    # A run with two errors.
    assert await bench.write("CONTROL", 2) == AxiResp.OKAY  # nothing runs: no stop
    await bench.write("IRQ_ENABLE", 2)
    await bench.write("CONTROL", 3)
    inside["running"] = 1
    for code in ("READ_DECERR", "STOPPED"):
        where = 0x1234567 + CODES[code]
        await bench.pulse(error=1, error_code=CODES[code], error_engine=5, error_instruction=where)
    await ClockCycles(dut.clk, 2)
    assert dut.irq.value
    assert await bench.read("STATUS") == 5
    assert await bench.read("ERROR") == 5 << 8 | CODES["READ_DECERR"]
    assert await bench.read("ERROR_INSTRUCTION") == 0x1234567 + CODES["READ_DECERR"]
    await bench.write("IRQ_STATUS", 0x2, 1, 1)  # the wrong byte
    assert await bench.read("IRQ_STATUS") == 2
    await bench.write("IRQ_STATUS", 2)
    await ClockCycles(dut.clk, 2)
    assert not dut.irq.value
    # An event in every cycle cannot be cleared: none is ever lost.
    inside["error"] = 1
    await bench.write("IRQ_STATUS", 2)
    inside["error"] = 0
    await ClockCycles(dut.clk, 2)
    assert dut.irq.value

    # The end; the interrupt of it is not enabled. Then a start clears what it must, and no more.
    await bench.pulse(done=1)
    inside["running"] = 0
    assert await bench.read("STATUS") == 6
    await bench.write("CONTROL", 1)
    assert await bench.read("STATUS") == 0
    assert await bench.read("ERROR") == 0
    assert await bench.read("ERROR_INSTRUCTION") == 0
    assert await bench.read("IRQ_STATUS") == 3


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def many_cycles(dut: Any) -> None:
    """The two halves of the cycle counter belong together, even around the carry."""
    bench = Bench(dut, 5, plays=False)
    await bench.reset()
    await bench.write("CONTROL", 1)
    bench.inside["running"] = 1
    await ClockCycles(dut.clk, 3)
    await FallingEdge(dut.clk)
    near = (7 << 32) - 40
    dut.cycle_count.value = near
    bench.model.cycles = near
    before = near
    for _ in range(20):
        low = await bench.read("CYCLES_LOW")
        await ClockCycles(dut.clk, bench.rng.randint(0, 9))
        now = low | await bench.read("CYCLES_HIGH") << 32
        assert before < now < before + 60
        before = now
    assert before > 7 << 32
