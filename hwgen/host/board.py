"""What a board's wrapper instantiates: an accelerator, its memory and the bridge, behind five pins."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hwgen.emit import Emission, Unit, emit, place
from hwgen.host.bridge import UartBridge
from hwgen.host.config import BoardConfig
from hwgen.host.memory import OnChipMemory
from hwgen.host.protocol import Hello, Kind
from hwgen.numerics import ceil_log2
from hwgen.system.registers import ADDRESS_BITS
from hwgen.system.rtl import Accelerator
from hwgen.version import VERSION

__all__ = ["LEDS", "BoardSystem", "board_emission"]

LEDS = (
    "a program runs",
    "the interrupt is raised",
    "changes with every request",
    "blinks, about once a second",
)
"""What the lights mean, from the lowest on."""

_READ = ("araddr", "arlen", "arvalid", "rready")
_WRITE = ("awaddr", "awlen", "awvalid", "wdata", "wstrb", "wvalid", "bready")
_BACK = (
    *("arready", "rdata", "rresp", "rlast", "rvalid"),
    *("awready", "wready", "bresp", "bvalid"),
)  # fmt: skip


class BoardSystem(Unit):
    """An accelerator with memory on the chip, driven over a serial line.

    Parameters
    ----------
    config : BoardConfig
        Accelerator, line and memory.

    Members
    -------
    uart_rx : In(1), uart_tx : Out(1)
        The serial line.
    leds : Out(4)
        See :data:`LEDS`.
    """

    def __init__(self, config: BoardConfig):
        self.config = config
        super().__init__({"uart_rx": In(1), "uart_tx": Out(1), "leds": Out(len(LEDS))})

    @property
    def kind(self) -> str:
        """``board_system``."""
        return "board_system"

    def elaborate(self, platform: Any) -> Module:
        """Join the three, and split the bridge's addresses."""
        m = Module()
        cfg = self.config
        system = cfg.system
        hello = Hello(Kind.ACCELERATOR, cfg.uart.buffer_bytes, cfg.memory_bytes)
        bridge = UartBridge(cfg.uart, system.address_bits, ADDRESS_BITS, hello)
        accelerator = Accelerator(system)
        memory = OnChipMemory(cfg.memory_bytes, system.address_bits, system.bus_bytes, cfg.memory_depth)
        place(m, "bridge", bridge, platform)
        place(m, "accelerator", accelerator, platform, reset=bridge.reset)
        place(m, "memory", memory, platform, reset=bridge.reset)
        m.d.comb += [bridge.uart_rx.eq(self.uart_rx), self.uart_tx.eq(bridge.uart_tx)]
        for name in (*_READ, *_WRITE):
            m.d.comb += getattr(memory, f"s_axi_{name}").eq(getattr(accelerator, f"m_axi_{name}"))
        for name in _BACK:
            m.d.comb += getattr(accelerator, f"m_axi_{name}").eq(getattr(memory, f"s_axi_{name}"))
        split(m, bridge, accelerator, "s_axi", memory, "host")
        self._lights(m, accelerator, bridge)
        return m

    def _lights(self, m: Module, accelerator: Accelerator, bridge: UartBridge) -> None:
        """Signs of life."""
        beat = Signal(ceil_log2(self.config.uart.clock_hz), name="heartbeat")
        request = Signal(name="request_light")
        m.d.sync += [beat.eq(beat + 1), request.eq(request ^ bridge.request)]
        m.d.comb += self.leds.eq(Cat(accelerator.running, accelerator.irq, request, beat[-1]))


def split(
    m: Module, bridge: UartBridge, upper: Any, upper_prefix: str, lower: Any, lower_prefix: str
) -> None:
    """Give the upper half of the bridge's addresses to one AXI4-Lite slave, the lower half to another.

    The bridge has one transfer at a time, and holds its address until the next: so the address tells whose the
    answers are.
    """
    for channel, request in (("aw", "aw"), ("w", "aw"), ("ar", "ar")):
        is_upper = getattr(bridge, f"m_axi_{request}addr")[-1]
        valid = getattr(bridge, f"m_axi_{channel}valid")
        m.d.comb += [
            getattr(upper, f"{upper_prefix}_{channel}valid").eq(valid & is_upper),
            getattr(lower, f"{lower_prefix}_{channel}valid").eq(valid & ~is_upper),
        ]
    for name in ("awaddr", "wdata", "wstrb", "bready", "araddr", "rready"):
        for unit, prefix in ((upper, upper_prefix), (lower, lower_prefix)):
            m.d.comb += getattr(unit, f"{prefix}_{name}").eq(getattr(bridge, f"m_axi_{name}"))
    for channel, names in (
        ("aw", ("awready", "wready", "bresp", "bvalid")),
        ("ar", ("arready", "rdata", "rresp", "rvalid")),
    ):
        is_upper = getattr(bridge, f"m_axi_{channel}addr")[-1]
        for name in names:
            one, other = getattr(upper, f"{upper_prefix}_{name}"), getattr(lower, f"{lower_prefix}_{name}")
            m.d.comb += getattr(bridge, f"m_axi_{name}").eq(Mux(is_upper, one, other))


def board_emission(config: BoardConfig, top: str = "board_system") -> Emission:
    """Verilog of a board's system, its facts in the first lines."""
    header = {"hwgen": VERSION, "configuration": str(config), "digest": config.digest}
    return emit(BoardSystem(config), top, header)
