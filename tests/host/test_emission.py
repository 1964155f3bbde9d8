"""Bridge and memory become readable Verilog, whatever their parameters."""

from __future__ import annotations

import pytest

from hwgen.emit import emit
from hwgen.host.board import board_emission
from hwgen.host.bridge import UartBridge
from hwgen.host.config import UartConfig
from hwgen.host.memory import OnChipMemory
from hwgen.host.protocol import Hello

from .conftest import BOARD

LINES = [
    (100_000_000, 115_200, 4096, 40),
    *(
        pytest.param(*line, marks=pytest.mark.slow)
        for line in (
            (12_000_000, 9600, 64, 20), (48_000_000, 3_000_000, 128, 39), (27_000_000, 921_600, 2048, 24),
            (12_000_000, 1_000_000, 1024, 12),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("clock", "baud", "buffer", "address_bits"), LINES)
def test_bridges_of_all_kinds(clock: int, baud: int, buffer: int, address_bits: int) -> None:
    config = UartConfig(clock_hz=clock, baud=baud, buffer_bytes=buffer)
    made = emit(UartBridge(config, address_bits, 12, Hello(1, buffer, 4096)), "bridge", {})
    widths = {port.name: port.width for port in made.ports}
    assert widths["m_axi_awaddr"] == address_bits + 1
    assert "[-1:0]" not in made.verilog


MEMORIES = [(4096, 12, 4, 2), *(pytest.param(*m, marks=pytest.mark.slow) for m in ((196_608, 40, 64, 32),))]


@pytest.mark.parametrize(("size", "address_bits", "bus", "depth"), MEMORIES)
def test_memories_of_all_kinds(size: int, address_bits: int, bus: int, depth: int) -> None:
    made = emit(OnChipMemory(size, address_bits, bus, depth), "memory", {})
    assert f"[{8 * bus - 1}:0] memory [{size // bus - 1}:0]" in made.verilog
    assert "[-1:0]" not in made.verilog


@pytest.mark.slow
def test_the_same_board_is_the_same_text() -> None:
    one, two = board_emission(BOARD), board_emission(BOARD)
    assert one.verilog == two.verilog
    assert BOARD.digest in one.verilog
    assert [(port.name, port.width) for port in one.ports] == [
        ("clk", 1), ("rst", 1), ("uart_rx", 1), ("uart_tx", 1), ("leds", 4)
    ]  # fmt: skip
