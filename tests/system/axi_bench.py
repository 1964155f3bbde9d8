"""Runs inside the simulator: the whole accelerator between cocotbext-axi's models; test_axi.py starts it.

A watch looks at all ten channels in every cycle. Whatever a test does, the watch checks the rules of AXI.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam, AxiResp
from wishbone_bench import Master

from hwgen.program.table import CONTROL, ENGINES
from hwgen.system.registers import ERRORS, register

PLAN = json.loads(Path(os.environ["HWGEN_BENCH"], "plan.json").read_text())
CODES = {e.name: e.code for e in ERRORS}
NAMES = {e.code: e.name for e in ERRORS}
BUS, LONGEST, DRAM = 8, 16, 1 << 20
PAGE = 4096
SPARE = 0xC000  # where programs lie that are no job's

Burst = tuple[int, int]  # address, beats


def _bytes(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


class Job:
    """A program, its memory, and the memory after it."""

    def __init__(self, told: dict[str, Any]):
        self.address, self.count = told["address"], told["count"]
        self.memory, self.expected = _bytes(told["memory"]), _bytes(told["expected"])


class Channel:
    """One channel: what is shown, and whether it stays until it is taken."""

    def __init__(self, dut: Any, prefix: str, name: str, *payload: str):
        self.name = f"{prefix}_{name}"
        self.valid = getattr(dut, f"{self.name}valid")
        self.ready = getattr(dut, f"{self.name}ready")
        self.payload = [getattr(dut, f"{self.name}{part}") for part in payload]
        self.held: tuple[int, ...] | None = None

    def sample(self) -> tuple[tuple[int, ...] | None, bool, bool]:
        """What is shown in this cycle, whether it is new, whether it is taken."""
        if not self.valid.value:
            assert self.held is None, f"{self.name}valid fell before it was taken"
            return None, False, False
        shown = tuple(int(part.value) for part in self.payload)
        new = self.held is None
        assert new or shown == self.held, f"{self.name} changed before it was taken: {self.held}, {shown}"
        taken = bool(self.ready.value)
        self.held = None if taken else shown
        return shown, new, taken


class Watch:
    """Every channel in every cycle; the counts are those since ``forget``."""

    def __init__(self, dut: Any):
        self.dut = dut
        address = ("addr", "len", "size", "burst", "cache", "prot")
        self.memory = {
            "ar": Channel(dut, "m_axi", "ar", *address),
            "r": Channel(dut, "m_axi", "r", "data", "resp", "last"),
            "aw": Channel(dut, "m_axi", "aw", *address),
            "w": Channel(dut, "m_axi", "w", "data", "strb", "last"),
            "b": Channel(dut, "m_axi", "b", "resp"),
        }
        self.control = [
            Channel(dut, "s_axi", "aw", "addr"),
            Channel(dut, "s_axi", "w", "data", "strb"),
            Channel(dut, "s_axi", "b", "resp"),
            Channel(dut, "s_axi", "ar", "addr"),
            Channel(dut, "s_axi", "r", "data", "resp"),
        ]
        self.cycle = 0
        self.forget()
        cocotb.start_soon(self._run())

    def forget(self) -> None:
        """Start to count anew; nothing is under way."""
        for channel in (*self.memory.values(), *self.control):
            channel.held = None
        self.reads: list[Burst] = []  # taken by the memory
        self.writes: list[Burst] = []
        self.asked: list[int] = []  # cycles in which a request was first shown
        self.announced: list[int] = []  # beats of the writes that were shown
        self.read_beats = self.write_beats = 0
        self.reads_done = self.data_done = self.writes_done = 0
        self.in_read = self.in_write = 0  # beats of the current burst
        self.ahead = 0  # reads that were taken before the first data
        self.failed: int | None = None
        self.owed_strobes = 0  # beats shown after the stop that would change memory
        self.irq: int | None = None
        self.ended: int | None = None

    def quiet(self) -> None:
        """Every transaction that began has ended."""
        assert self.reads_done == len(self.reads)
        assert self.data_done == self.writes_done == len(self.writes) == len(self.announced)
        assert self.in_read == self.in_write == 0
        assert not any(channel.held for channel in self.memory.values())

    async def _run(self) -> None:
        while True:
            await FallingEdge(self.dut.clk)  # everything has settled, and no edge is near
            self.cycle += 1
            if self.dut.rst.value:
                self.forget()
                continue
            for channel in self.control:
                channel.sample()
            for name, channel in self.memory.items():
                shown, new, taken = channel.sample()
                if shown is not None:
                    getattr(self, f"_{name}")(shown, new, taken)
            if self.dut.irq.value and self.irq is None:
                self.irq = self.cycle
                self.quiet()
                assert not self.dut.running.value

    def _request(self, shown: tuple[int, ...]) -> Burst:
        address, length, size, kind, cache, prot = shown
        beats = length + 1
        assert (1 << size, kind, cache, prot) == (BUS, 1, 3, 0)
        assert address % BUS == 0
        assert beats <= LONGEST
        assert address // PAGE == (address + beats * BUS - 1) // PAGE, f"{address:#x}, {beats} beats"
        return address, beats

    def _ar(self, shown: tuple[int, ...], new: bool, taken: bool) -> None:
        burst = self._request(shown)
        if new:
            self.asked.append(self.cycle)
        if taken:
            self.reads.append(burst)

    def _aw(self, shown: tuple[int, ...], new: bool, taken: bool) -> None:
        burst = self._request(shown)
        if new:
            self.asked.append(self.cycle)
            self.announced.append(burst[1])
        if taken:
            self.writes.append(burst)

    def _r(self, shown: tuple[int, ...], new: bool, taken: bool) -> None:
        if not self.read_beats:
            self.ahead = len(self.reads)
        if taken:
            self.read_beats += 1
            self.in_read += 1
            if shown[2]:
                assert self.in_read == self.reads[self.reads_done][1]
                self.reads_done += 1
                self.in_read = 0
            self._answer(shown[1])

    def _w(self, shown: tuple[int, ...], new: bool, taken: bool) -> None:
        assert self.data_done < len(self.announced), "a write beat without an address"
        last = self.in_write + 1 == self.announced[self.data_done]
        assert shown[2] == last, "WLAST is wrong"
        if new and self.failed is not None and self.cycle > self.failed + 1:
            self.owed_strobes |= shown[1]
        if taken:
            self.write_beats += 1
            self.in_write = 0 if last else self.in_write + 1
            self.data_done += last

    def _b(self, shown: tuple[int, ...], new: bool, taken: bool) -> None:
        if taken:
            self.writes_done += 1
            assert self.writes_done <= min(self.data_done, len(self.writes))
            self._answer(shown[0])

    def _answer(self, response: int) -> None:
        if response > 1 and self.failed is None:
            self.failed = self.cycle


class Bench:
    """The accelerator, its memory, its host."""

    def __init__(self, dut: Any):
        self.dut = dut
        self.rng = random.Random(PLAN["seed"])
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        self.ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=DRAM)
        self.fault: tuple[str, int, int, AxiResp] | None = None  # kind, number, beat, response
        self.program = 0
        self.cycles = 0
        self._counts: dict[str, int] = {}
        self._beat = self._burst = 0
        self._send_read = self.ram.read_if.r_channel.send
        self._send_response = self.ram.write_if.b_channel.send
        self.ram.read_if.r_channel.send = self._read
        self.ram.write_if.b_channel.send = self._response
        for name in ("rst", "by_wishbone", "near_wb_cyc", "near_wb_stb"):
            getattr(dut, name).value = 0
        Clock(dut.clk, 10, unit="ns").start()
        self.watch = Watch(dut)

    async def _read(self, answer: Any) -> None:
        """The memory's answer, spoiled if the test wants that."""
        address, beats = self.watch.reads[self._burst]
        kind = "fetch" if address >= self.program else "load"
        fault = self.fault
        if (
            fault
            and fault[:2] == (kind, self._counts.get(kind, 0))
            and self._beat == min(fault[2], beats - 1)
        ):
            answer.rresp = fault[3]
            answer.rdata = self.rng.getrandbits(8 * BUS)
        self._beat += 1
        if answer.rlast:
            self._beat = 0
            self._burst += 1
            self._counts[kind] = self._counts.get(kind, 0) + 1
        await self._send_read(answer)

    async def _response(self, answer: Any) -> None:
        number = self._counts.get("store", 0)
        self._counts["store"] = number + 1
        if self.fault and self.fault[:2] == ("store", number):
            answer.bresp = self.fault[3]
        await self._send_response(answer)

    async def reset(self, cycles: int = 2) -> None:
        """A reset, and what the outputs are after it."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, cycles)
        self.dut.rst.value = 0
        await FallingEdge(self.dut.clk)
        for name in ("m_axi_ar", "m_axi_aw", "m_axi_w", "s_axi_b", "s_axi_r"):
            assert not getattr(self.dut, f"{name}valid").value
        for name in ("s_axi_aw", "s_axi_w", "s_axi_ar", "m_axi_b"):
            assert getattr(self.dut, f"{name}ready").value
        for name in ("irq", "running", "event_began", "event_ended", "m_axi_rready"):
            assert not int(getattr(self.dut, name).value)
        self._counts, self._beat, self._burst = {}, 0, 0
        await RisingEdge(self.dut.clk)

    def pause(self, *, some: bool = True) -> None:
        """Every channel of both buses pauses at random, each as often as it likes; or none does."""
        read, write = self.ram.read_if, self.ram.write_if
        sides = [
            *(read.ar_channel, read.r_channel, write.aw_channel, write.w_channel, write.b_channel),
            *(self.host.write_if.aw_channel, self.host.write_if.w_channel, self.host.write_if.b_channel),
            *(self.host.read_if.ar_channel, self.host.read_if.r_channel),
        ]
        for side in sides:
            if some:
                side.set_pause_generator(_pauses(random.Random(self.rng.random())))
            else:
                side.clear_pause_generator()
                side.pause = False
        # How many requests the memory takes ahead.
        read.ar_channel.queue_occupancy_limit = self.rng.choice([1, 2, 8]) if some else 8
        write.aw_channel.queue_occupancy_limit = self.rng.choice([1, 2, 8]) if some else 8

    async def get(self, name: str) -> int:
        """The value of a register."""
        answer = await self.host.read(register(name).offset, 4)
        assert answer.resp == AxiResp.OKAY
        return int.from_bytes(answer.data, "little")

    async def put(self, name: str, value: int) -> None:
        """Write a register."""
        answer = await self.host.write(register(name).offset, value.to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY

    def fill(self, job: Job) -> None:
        """The job's memory; zeros behind it."""
        self.ram.write(0, job.memory + bytes(DRAM - len(job.memory)))

    def check(self, job: Job) -> None:
        """All of memory is as it must be after the job."""
        got = self.ram.read(0, DRAM)
        want = job.expected + bytes(DRAM - len(job.expected))
        assert got == want, f"byte {next(i for i in range(DRAM) if got[i] != want[i]):#x} is wrong"

    async def begin(self, program: int, count: int) -> None:
        """Start a program."""
        self.program = program
        await self.put("IRQ_ENABLE", 3)
        await self.put("PROGRAM_LOW", program)
        await self.put("PROGRAM_COUNT", count)
        self.watch.forget()
        self._counts, self._beat, self._burst = {}, 0, 0
        await self.put("CONTROL", 1)

    async def end(self, code: str = "NONE") -> dict[str, int]:
        """Wait for the interrupt; the registers, after what must always hold."""
        for _ in range(60_000):
            if self.watch.irq is not None:
                break
            await RisingEdge(self.dut.clk)
        watch = self.watch
        assert watch.irq is not None, "no interrupt"
        await ClockCycles(self.dut.clk, self.rng.randint(1, 40))  # nothing more may come
        watch.quiet()
        names = (
            "STATUS",
            "ERROR",
            "ERROR_INSTRUCTION",
            "IRQ_STATUS",
            "INSTRUCTIONS",
            "READ_BEATS",
            "WRITE_BEATS",
        )
        seen = {name: await self.get(name) for name in names}
        assert NAMES[seen["ERROR"] & 0xFF] == code
        assert (seen["STATUS"], seen["IRQ_STATUS"]) == ((2, 1) if code == "NONE" else (4, 2))
        assert (seen["READ_BEATS"], seen["WRITE_BEATS"]) == (watch.read_beats, watch.write_beats)
        await self.put("IRQ_STATUS", 3)
        await ClockCycles(self.dut.clk, 2)
        assert not self.dut.irq.value
        return seen

    async def whole(self, job: Job) -> dict[str, int]:
        """A run from the job's memory to its result."""
        self.fill(job)
        await self.begin(job.address, job.count)
        seen = await self.end()
        self.check(job)
        assert seen["INSTRUCTIONS"] == job.count
        return seen

    async def again(self, job: Job) -> None:
        """A run without pauses: whatever was before, it takes as long as the first one."""
        self.pause(some=False)
        await self.whole(job)
        cycles = await self.get("CYCLES_LOW")
        self.cycles = self.cycles or cycles
        assert cycles == self.cycles

    def stopped(self) -> None:
        """Nothing new was asked for after the cycle of the error, and nothing was changed in memory."""
        failed = self.watch.failed
        assert failed is not None
        assert max(self.watch.asked) <= failed + 1
        assert not self.watch.owed_strobes


def _pauses(rng: random.Random) -> Iterator[bool]:
    """Some channels pause seldom, some most of the time, some in long stretches."""
    share, longest = rng.choice([0.0, 0.2, 0.5, 0.8]), rng.choice([1, 4, 30])
    while True:
        yield from [rng.random() < share] * rng.randint(1, longest)


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def runs(dut: Any) -> None:
    """Every job with many patterns of pauses: always the same memory, and every beat counted."""
    bench = Bench(dut)
    await bench.reset()
    ahead, pages = [], 0
    for told in PLAN["jobs"]:
        job = Job(told)
        beats = set()
        for i in range(PLAN["rounds"]):
            bench.pause(some=i > 0)
            seen = await bench.whole(job)
            ahead.append(bench.watch.ahead)
            beats.add((seen["READ_BEATS"], seen["WRITE_BEATS"]))
            pages += _meetings(bench.watch.reads) + _meetings(bench.watch.writes)
        assert len(beats) == 1
    assert max(ahead) >= 2, "never two reads at once"
    assert pages > 5, "no transfer met a boundary"


def _meetings(bursts: list[Burst]) -> int:
    """Bursts that end at a boundary and go on behind it."""
    return sum(a + n * BUS == b and b % PAGE == 0 for (a, n), (b, _) in itertools.pairwise(bursts))


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def bus_errors(dut: Any) -> None:
    """SLVERR and DECERR on the first, a middle and the last burst of fetch, LOAD and STORE; then a run that is good."""
    bench = Bench(dut)
    await bench.reset()
    job = Job(PLAN["jobs"][0])
    await bench.again(job)
    fetches = sum(address >= job.address for address, _ in bench.watch.reads)
    counts = {"fetch": fetches, "load": len(bench.watch.reads) - fetches, "store": len(bench.watch.writes)}
    engines = {"fetch": CONTROL, "load": ENGINES.index("load"), "store": ENGINES.index("store")}
    for kind, count in counts.items():
        assert count > 3
        for number in (0, count // 2, count - 1):
            for response in (AxiResp.SLVERR, AxiResp.DECERR):
                bench.pause(some=bench.rng.random() < 0.7)
                beat = bench.rng.randrange(LONGEST)
                bench.fault = (kind, number, beat, response)
                bench.fill(job)
                await bench.begin(job.address, job.count)
                seen = await bench.end(f"{'WRITE' if kind == 'store' else 'READ'}_{response.name}")
                bench.stopped()
                assert seen["ERROR"] >> 8 == engines[kind]
                assert seen["INSTRUCTIONS"] - seen["ERROR_INSTRUCTION"] in (0, 1, 2)
                if kind == "fetch":  # nothing from the failed beat on was carried out
                    assert seen["ERROR_INSTRUCTION"] <= (number * 8 + min(beat, 7)) // 2
                bench.fault = None
                await bench.again(job)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def memory_that_ends(dut: Any) -> None:
    """A memory that refuses what is outside of it: the model raises, the bus says SLVERR."""
    bench = Bench(dut)
    await bench.reset()
    job = Job(PLAN["jobs"][0])
    for side, code in (("read", "READ_SLVERR"), ("write", "WRITE_SLVERR")):
        model = getattr(bench.ram, f"{side}_if")
        good = getattr(model, f"_{side}")

        async def refuse(address: int, what: Any, good: Any = good, side: str = side) -> Any:
            if (0x2000 if side == "read" else 0x5800) <= address < job.address:
                raise ValueError("there is no such address")
            return await good(address, what)

        setattr(model, f"_{side}", refuse)
        bench.pause()
        bench.fill(job)
        await bench.begin(job.address, job.count)
        seen = await bench.end(code)
        bench.stopped()
        assert seen["ERROR"] >> 8 == ENGINES.index("load" if side == "read" else "store")
        setattr(model, f"_{side}", good)
        await bench.again(job)


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def resets(dut: Any) -> None:
    """A reset in any cycle of a run; the next run is as if nothing had been."""
    bench = Bench(dut)
    await bench.reset()
    job = Job(PLAN["jobs"][0])
    await bench.again(job)
    for i in range(24):
        bench.pause(some=i % 3 > 0)
        bench.fill(job)
        await bench.begin(job.address, job.count)
        await ClockCycles(dut.clk, bench.rng.randrange(900) if i % 2 else bench.rng.randrange(80))
        await bench.reset(bench.rng.randint(1, 3))
        for name in (
            "STATUS",
            "ERROR",
            "PROGRAM_COUNT",
            "IRQ_ENABLE",
            "IRQ_STATUS",
            "INSTRUCTIONS",
            "READ_BEATS",
        ):
            assert await bench.get(name) == 0, name
        if i % 4 == 3:
            await bench.again(job)
    await bench.again(job)


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def orders(dut: Any) -> None:
    """Stops at any time; starts and new settings during a run, which change nothing; programs cut short."""
    bench = Bench(dut)
    await bench.reset()
    job = Job(PLAN["jobs"][0])
    for i in range(16):
        bench.pause(some=i % 2 > 0)
        bench.fill(job)
        await bench.begin(job.address, job.count)
        await ClockCycles(dut.clk, bench.rng.randrange(500) if i > 2 else i)
        assert await bench.get("STATUS") == 1
        if i % 4 == 3:
            # Neither a start nor another program matters now.
            await bench.put("CONTROL", 1)
            await bench.put("PROGRAM_COUNT", 0)
            await bench.put("PROGRAM_LOW", 0)
            seen = await bench.end()
            bench.check(job)
            assert seen["INSTRUCTIONS"] == job.count
        else:
            await bench.put("CONTROL", 2)
            seen = await bench.end("STOPPED")
            assert seen["ERROR"] >> 8 == CONTROL
            assert seen["ERROR_INSTRUCTION"] <= job.count
        if i % 4 == 0:
            await bench.again(job)
    for count in (0, 1, 7, job.count - 1):
        bench.fill(job)
        await bench.begin(job.address, count)
        seen = await bench.end("TRUNCATED")
        assert seen["ERROR"] >> 8 == CONTROL
        assert seen["ERROR_INSTRUCTION"] == seen["INSTRUCTIONS"] == count
    # More than the program has: what is fetched behind halt is thrown away, whatever it is.
    bench.fill(job)
    await bench.begin(job.address, job.count + 100)
    assert (await bench.end())["INSTRUCTIONS"] == job.count
    bench.check(job)
    await bench.again(job)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def wrong_programs(dut: Any) -> None:
    """Programs that must fail, each followed by one that must not."""
    bench = Bench(dut)
    await bench.reset()
    job = Job(PLAN["jobs"][0])
    for name, told in PLAN["wrong"].items():
        bench.pause()
        body = _bytes(told["body"])
        bench.fill(job)
        bench.ram.write(SPARE, body)
        await bench.begin(SPARE, len(body) // 16)
        seen = await bench.end(name)
        assert seen["ERROR"] >> 8 == told["engine"]
        assert told["index"] in (None, seen["ERROR_INSTRUCTION"])
        await bench.again(job)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def by_wishbone(dut: Any) -> None:
    """A run started, watched and acknowledged over Wishbone."""
    bench = Bench(dut)
    await bench.reset()
    job = Job(PLAN["jobs"][0])
    bench.fill(job)
    bench.program = job.address
    dut.by_wishbone.value = 1
    host = Master(dut, "near")
    await RisingEdge(dut.clk)
    for name, value in (
        ("IRQ_ENABLE", 3),
        ("PROGRAM_LOW", job.address),
        ("PROGRAM_COUNT", job.count),
        ("CONTROL", 1),
    ):
        assert await host.ask(register(name).offset // 4, value) == 0
    assert await host.ask(register("STATUS").offset // 4) == 1
    while not dut.irq.value:
        await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    assert await host.ask(register("STATUS").offset // 4) == 2
    assert await host.ask(register("INSTRUCTIONS").offset // 4) == job.count
    assert await host.ask(register("ID").offset // 4, 0) is None  # read only: err
    await host.ask(register("IRQ_STATUS").offset // 4, 1)
    await ClockCycles(dut.clk, 2)
    assert not dut.irq.value
    bench.check(job)
    dut.by_wishbone.value = 0
    await bench.again(job)
