"""What several tests share: a bridge with a memory and odd registers, the board of `tiny`; each built once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

import hwgen.host
from hwgen.emit import Unit, emit, place
from hwgen.host.board import split
from hwgen.host.bridge import UartBridge
from hwgen.host.config import BoardConfig, UartConfig
from hwgen.host.memory import OnChipMemory
from hwgen.host.model import compiled
from hwgen.host.protocol import Hello, Kind
from hwgen.host.wire import SimulatedWire, board_model
from hwgen.system.configs import named

MEMORY, ADDRESS_BITS, BUS_BYTES = 3 * 4096, 16, 16
REFUSED, SILENT = 0x20, 0x24
"""Registers that answer SLVERR, and not at all; the others below 0x20 hold what is written, but their lowest bit."""

LINE = UartConfig(clock_hz=1_000_000, baud=250_000, buffer_bytes=64, timeout_us=200)
HELLO = Hello(Kind.STREAMS, LINE.buffer_bytes, MEMORY)


class OddRegisters(Unit):
    """Eight registers behind AXI4-Lite, one that is refused, one that never answers."""

    def __init__(self) -> None:
        super().__init__({
            "s_axi_awaddr": In(12), "s_axi_awvalid": In(1), "s_axi_awready": Out(1),
            "s_axi_wdata": In(32), "s_axi_wstrb": In(4), "s_axi_wvalid": In(1), "s_axi_wready": Out(1),
            "s_axi_bresp": Out(2), "s_axi_bvalid": Out(1), "s_axi_bready": In(1),
            "s_axi_araddr": In(12), "s_axi_arvalid": In(1), "s_axi_arready": Out(1),
            "s_axi_rdata": Out(32), "s_axi_rresp": Out(2), "s_axi_rvalid": Out(1), "s_axi_rready": In(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        return "odd_registers"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        words = [Signal(32, name=f"word_{i}") for i in range(8)]
        write_at, read_at = Signal(12, name="write_at"), Signal(12, name="read_at")
        address, data, reading = Signal(name="address"), Signal(name="data"), Signal(name="reading")
        given = Signal(32, name="given")
        m.d.comb += [
            self.s_axi_awready.eq(~address),
            self.s_axi_wready.eq(~data),
            self.s_axi_arready.eq(~reading),
        ]
        with m.If(self.s_axi_awvalid & ~address):
            m.d.sync += [address.eq(1), write_at.eq(self.s_axi_awaddr)]
        with m.If(self.s_axi_wvalid & ~data):
            m.d.sync += [data.eq(1), given.eq(self.s_axi_wdata)]
        with m.If(address & data & (write_at != SILENT)):
            m.d.sync += [address.eq(0), data.eq(0), self.s_axi_bvalid.eq(1)]
            m.d.sync += self.s_axi_bresp.eq(Mux(write_at < REFUSED, 0, 2))
            for i, word in enumerate(words):
                with m.If(Cat(write_at, 1) == (4 * i | 1 << 12)):
                    m.d.sync += word.eq(given & ~1)
        with m.Elif(self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)
        with m.If(self.s_axi_arvalid & ~reading):
            m.d.sync += [reading.eq(1), read_at.eq(self.s_axi_araddr)]
        with m.If(reading & (read_at != SILENT) & ~self.s_axi_rvalid):
            m.d.sync += [self.s_axi_rvalid.eq(1), self.s_axi_rresp.eq(Mux(read_at < REFUSED, 0, 2))]
            for i, word in enumerate(words):
                with m.If(Cat(read_at, 1) == (4 * i | 1 << 12)):
                    m.d.sync += self.s_axi_rdata.eq(word)
        with m.Elif(self.s_axi_rvalid & self.s_axi_rready):
            m.d.sync += [self.s_axi_rvalid.eq(0), reading.eq(0)]
        return m


class OddBoard(Unit):
    """A board without an accelerator; it has the pins that the harness wants."""

    def __init__(self) -> None:
        super().__init__({"uart_rx": In(1), "uart_tx": Out(1), "leds": Out(4)})

    @property
    def kind(self) -> str:
        return "odd_board"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bridge = UartBridge(LINE, ADDRESS_BITS, 12, HELLO)
        registers = OddRegisters()
        memory = OnChipMemory(MEMORY, ADDRESS_BITS, BUS_BYTES, 4)
        place(m, "bridge", bridge, platform)
        place(m, "registers", registers, platform, reset=bridge.reset)
        place(m, "memory", memory, platform, reset=bridge.reset)
        split(m, bridge, registers, "s_axi", memory, "host")
        requests = Signal(4)
        m.d.sync += requests.eq(requests + bridge.request)
        m.d.comb += [bridge.uart_rx.eq(self.uart_rx), self.uart_tx.eq(bridge.uart_tx), self.leds.eq(requests)]
        return m


@pytest.fixture(scope="session")
def odd_board() -> Path:
    """The odd board, compiled."""
    harness = Path(hwgen.host.__file__).with_name("board_harness.cpp").read_text()
    made = emit(OddBoard(), "odd_board", {"hwgen": "test"})
    return compiled(made, "odd_board", f"#define DIVISOR {LINE.divisor}\n{harness}", [])


@pytest.fixture
def odd_wire(odd_board: Path) -> Iterator[SimulatedWire]:
    """A fresh odd board's line."""
    wire = SimulatedWire(odd_board, LINE)
    yield wire
    wire.close()


BOARD = BoardConfig(
    system=named()["tiny"].config,
    uart=UartConfig(clock_hz=1_000_000, baud=250_000, buffer_bytes=1024, timeout_us=1000),
    memory_bytes=1 << 15,
)


@pytest.fixture(scope="session")
def tiny_wire() -> Callable[[], SimulatedWire]:
    """Makes lines to fresh boards with `tiny`."""
    executable = board_model(BOARD)
    return lambda: SimulatedWire(executable, BOARD.uart)
