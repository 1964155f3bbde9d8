"""Runs inside the simulator: a plain Wishbone master at two bridges; test_wishbone.py starts it.

``near``'s AXI4-Lite side is Control, ``far``'s is at the ports, where a slave answers as it likes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotbext.axi import AxiLiteBus
from cocotbext.axi.axil_channels import (
    AxiLiteARSink,
    AxiLiteAWSink,
    AxiLiteBSource,
    AxiLiteRSource,
    AxiLiteWSink,
)

from hwgen.system.registers import register

OKAY, EXOKAY, SLVERR, DECERR = range(4)


class Master:
    """Classic Wishbone: a request stays until it is answered, unless the master gives up."""

    def __init__(self, dut: Any, prefix: str):
        self.clk = dut.clk
        self.pins = {name: getattr(dut, f"{prefix}_wb_{name}") for name in ("adr", "dat_w", "sel", "we")}
        self.calls = [getattr(dut, f"{prefix}_wb_{name}") for name in ("cyc", "stb")]
        self.ack, self.err, self.data = (
            getattr(dut, f"{prefix}_wb_{name}") for name in ("ack", "err", "dat_r")
        )
        self.cycles = 0
        self.drop()

    def drop(self) -> None:
        """No request any more."""
        for pin in self.calls:
            pin.value = 0

    async def ask(self, adr: int, data: int | None = None, sel: int = 15, patience: int = 300) -> Any:
        """Begin a request right after a clock edge: the data read, 0 of a write, None if err; or "gone".

        The next request may begin at once: then the master has not let go in between.
        """
        for pin in self.calls:
            pin.value = 1
        values = {"adr": adr, "dat_w": data or 0, "sel": sel, "we": int(data is not None)}
        for name, value in values.items():
            self.pins[name].value = value
        answer: Any = "gone"
        for self.cycles in range(patience):
            await FallingEdge(self.clk)
            assert not (self.ack.value and self.err.value)
            if self.ack.value:
                answer = int(self.data.value) if data is None else 0
            elif self.err.value:
                answer = None
            await RisingEdge(self.clk)
            if answer != "gone":
                break
        self.drop()
        return answer


async def _begin(dut: Any) -> tuple[Master, Master]:
    near, far = Master(dut, "near"), Master(dut, "far")
    for name in ("running", "done", "error"):
        getattr(dut, name).value = 0
    dut.rst.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    await _reset(dut)
    return near, far


async def _reset(dut: Any) -> None:
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def registers(dut: Any) -> None:
    """Random requests to Control, some given up in the middle, some in a row; each gets its own answer."""
    near, _ = await _begin(dut)
    rng = random.Random(1)
    names = ["ID", "PROGRAM_LOW", "PROGRAM_COUNT", "IRQ_ENABLE", "READ_BEATS", "LUT_RUN"]
    where = {name: register(name).offset // 4 for name in names} | {"NOTHING": 0x3FF}
    held = dict.fromkeys(names, 0) | {"ID": 0x4857474E}
    writable = {"PROGRAM_LOW": 0xFFFFFFFF, "PROGRAM_COUNT": 0xFFFFFFFF, "IRQ_ENABLE": 3}
    given_up = 0
    answer: Any = None
    for _ in range(600):
        name = rng.choice(list(where))
        data, sel = rng.choice([None, rng.getrandbits(32)]), rng.randrange(16)
        patience = _patience(rng, answer)
        answer = await near.ask(where[name], data, sel, patience)
        if data is not None and name in writable:
            mask = sum(0xFF << (8 * i) for i in range(4) if sel >> i & 1)
            held[name] = (held[name] & ~mask | data & mask) & writable[name]
        if answer == "gone":
            given_up += 1
            await ClockCycles(dut.clk, 1)
        elif name == "NOTHING" or (data is not None and name not in writable):
            assert answer is None
        else:
            assert answer == (held[name] if data is None else 0)
        if rng.random() < 0.5:
            await ClockCycles(dut.clk, rng.randint(1, 3))
    assert given_up > 30
    assert int(dut.program_count.value) == held["PROGRAM_COUNT"]

    # How long it takes, and the lines on the other side of Control.
    await ClockCycles(dut.clk, 5)
    await near.ask(where["IRQ_ENABLE"], 1)
    assert near.cycles == 4
    await ClockCycles(dut.clk, 5)
    await near.ask(where["ID"])
    assert near.cycles == 5
    dut.done.value = 1
    await ClockCycles(dut.clk, 1)
    dut.done.value = 0
    await ClockCycles(dut.clk, 3)
    assert dut.irq.value


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def resets(dut: Any) -> None:
    """A reset in the middle of a transfer; the next transfer is the first again."""
    near, _ = await _begin(dut)
    count = register("PROGRAM_COUNT").offset // 4
    for cycles in [*range(9), *range(9)]:
        assert await near.ask(count, 0x1234) == 0
        task = cocotb.start_soon(near.ask(count, [None, 0x5678][cycles % 2]))
        await ClockCycles(dut.clk, cycles)
        task.cancel()
        near.drop()
        await _reset(dut)
        assert not near.ack.value
        assert await near.ask(count) == 0
        assert await near.ask(0) == 0x4857474E


class Slave:
    """A slave that pauses on all channels and answers by the address; its words tell which it is."""

    def __init__(self, dut: Any, rng: random.Random):
        bus = AxiLiteBus.from_prefix(dut, "m_axi")
        clock = (dut.clk, dut.rst)
        self.aw, self.w = AxiLiteAWSink(bus.write.aw, *clock), AxiLiteWSink(bus.write.w, *clock)
        self.b, self.ar = AxiLiteBSource(bus.write.b, *clock), AxiLiteARSink(bus.read.ar, *clock)
        self.r = AxiLiteRSource(bus.read.r, *clock)
        self.words: dict[int, int] = {}
        for channel in (self.aw, self.w, self.b, self.ar, self.r):
            channel.set_pause_generator(_pauses(random.Random(rng.random())))
        cocotb.start_soon(self._writes())
        cocotb.start_soon(self._reads())

    @staticmethod
    def response(address: int) -> int:
        return {3: SLVERR, 5: DECERR}.get(address // 4 % 8, OKAY)

    def word(self, address: int) -> int:
        return self.words.get(address, _fresh(address))

    def store(self, address: int, data: int, strobes: int) -> None:
        mask = sum(0xFF << (8 * i) for i in range(4) if strobes >> i & 1)
        self.words[address] = self.word(address) & ~mask | data & mask

    async def _writes(self) -> None:
        while True:
            aw, w = await self.aw.recv(), await self.w.recv()
            address = int(aw.awaddr)
            if self.response(address) == OKAY:
                self.store(address, int(w.wdata), int(w.wstrb))
            b = self.b._transaction_obj()
            b.bresp = self.response(address)
            await self.b.send(b)

    async def _reads(self) -> None:
        while True:
            address = int((await self.ar.recv()).araddr)
            r = self.r._transaction_obj()
            r.rdata, r.rresp = self.word(address), self.response(address)
            await self.r.send(r)


def _fresh(address: int) -> int:
    """What a word holds before it is written."""
    return 0x9E3779B1 * (address + 1) & 0xFFFFFFFF


def _patience(rng: random.Random, last: Any) -> int:
    """Sometimes too little; but after that enough, or nobody knows whether the bridge took the request at all."""
    return rng.randint(1, 9) if last != "gone" and rng.random() < 0.4 else 300


def _pauses(rng: random.Random) -> Iterator[bool]:
    while True:
        pause = rng.random() < 0.5
        yield from [pause] * rng.randint(1, 6)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def far_side(dut: Any) -> None:
    """A slave that pauses and refuses: data, strobes and errors arrive at their own requests."""
    _, far = await _begin(dut)
    rng = random.Random(2)
    slave = Slave(dut, rng)
    # What this side believes; the slave has its own memory.
    mirror: dict[int, int] = {}
    seen = dict.fromkeys(("gone", "error", "fine"), 0)
    answer: Any = None
    for _ in range(500):
        address = 4 * rng.randrange(32)
        data, sel = rng.choice([None, rng.getrandbits(32)]), rng.randrange(16)
        patience = _patience(rng, answer)
        before = mirror.get(address, _fresh(address))
        answer = await far.ask(address // 4, data, sel, patience)
        refused = slave.response(address) != OKAY
        if data is not None and not refused:
            mask = sum(0xFF << (8 * i) for i in range(4) if sel >> i & 1)
            mirror[address] = before & ~mask | data & mask
        if answer == "gone":
            seen["gone"] += 1
            await ClockCycles(dut.clk, 1)
        elif refused:
            seen["error"] += 1
            assert answer is None
        else:
            seen["fine"] += 1
            assert answer == (before if data is None else 0)
        if rng.random() < 0.3:
            await ClockCycles(dut.clk, rng.randint(1, 12))
    await ClockCycles(dut.clk, 100)
    assert slave.words == mirror
    assert min(seen.values()) > 40
