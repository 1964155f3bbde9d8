"""``hwgen host`` from the command line."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hwgen import toolchain
from hwgen.cli.device import host_command
from hwgen.commands import host_device
from hwgen.commands.host_device import board_config, host_run
from hwgen.errors import BadInput, HwgenError, MissingTool
from hwgen.host.config import BoardConfig, UartConfig
from hwgen.host.device import Device
from hwgen.host.wire import SerialWire

from .conftest import BOARD

TINY = BOARD.system


def called(*arguments: object) -> tuple[int, str]:
    """Exit code and output; errors for users are raised."""
    seen = CliRunner().invoke(host_command, [str(one) for one in arguments], catch_exceptions=True)
    if isinstance(seen.exception, HwgenError):
        raise seen.exception
    assert seen.exception is None or isinstance(seen.exception, SystemExit), seen.exception
    return seen.exit_code, seen.output


@pytest.fixture
def same_board(monkeypatch: pytest.MonkeyPatch, tiny_wire: Callable[[], Any]) -> None:
    """The simulated board is the one that other tests built."""
    monkeypatch.setattr(host_device, "board_config", lambda *a, **k: BOARD)


@pytest.mark.usefixtures("same_board")
def test_run_and_info_on_the_simulated_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = called("run", "tiny", "gemm:8x8x8", "--port", "simulated", "--images", 2, "--verify",
                        "--outputs", tmp_path / "out.npz", "--json", tmp_path / "run.json")  # fmt: skip
    assert code == 0
    found = json.loads((tmp_path / "run.json").read_text())
    assert f"every run took the simulator's {found['cycles']:,} cycles" in text
    assert "every value of every layer equals the simulator's" in text
    assert "every value of every layer equals the golden model's" in text
    assert (found["executor"], found["digest"], found["differences"]) == ("device", TINY.digest, [])
    assert found["traffic_bytes"] == found["read_bytes"] + found["written_bytes"] > 0
    with np.load(tmp_path / "out.npz") as outputs:
        assert outputs["gemm"].shape[0] == 2

    code, text = called("info", "tiny", "--port", "simulated", "--json", tmp_path / "info.json")
    assert code == 0
    assert f"configuration {TINY.digest}, 32 KiB, no program runs" in text
    found = json.loads((tmp_path / "info.json").read_text())
    assert found["registers"]["ID"] == 0x4857474E

    # A device that computes something else is a difference, and exit code 1.
    honest = Device.read

    def lies(self: Device, address: int, count: int) -> Any:
        seen = honest(self, address, count).copy()
        seen[: count // 2] ^= 1
        return seen

    monkeypatch.setattr(Device, "read", lies)
    code, text = called("run", "tiny", "gemm:8x8x8", "--port", "simulated")
    assert code == 1
    assert "different: gemm[" in text
    with pytest.raises(BadInput, match=r"takes \d+ KiB of memory and the board has 32; .* --memory \d+"):
        called("run", "tiny", "gemm:200x64x64", "--port", "simulated")


def test_generate_writes_a_board_that_reads_as_verilog(tmp_path: Path) -> None:
    code, text = called("generate", "tiny", "--clock", 12, "--baud", 1_000_000, "--memory", 16, "-o", tmp_path,
                        "--json", tmp_path / "found.json")  # fmt: skip
    assert code == 0
    assert "board_system.v" in text
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [port["name"] for port in manifest["ports"]] == ["clk", "rst", "uart_rx", "uart_tx", "leds"]
    assert manifest["memory"]["bytes"] == 16384
    assert manifest["uart"]["divisor"] == 12
    log = toolchain.yosys(f"read_verilog {tmp_path}/board_system.v\nhierarchy -check -top board_system\n")
    assert "board_system_uart_bridge" in log
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["digest"] == manifest["digest"]


def test_zynq_writes_an_overlay(tmp_path: Path) -> None:
    code, text = called("zynq", "tiny", "--board", "zc706", "-o", tmp_path)
    assert code == 0
    assert "the bitstream is not included" in text
    assert {path.name for path in tmp_path.iterdir()} == {
        "rtl", "design.tcl", "overlay.json", "driver.py", "README.md", "zc706.xdc"
    }  # fmt: skip
    compile((tmp_path / "driver.py").read_text(), "driver.py", "exec")
    assert not list(tmp_path.rglob("*.bit"))


def test_what_is_wrong_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="name a CONFIG, such as tiny"):
        called("info", "--port", "simulated")
    with pytest.raises(BadInput, match="baud must be at most a quarter of the clock, 250000, not 500000"):
        called("generate", "tiny", "--clock", 1, "--baud", 500_000, "-o", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    with pytest.raises(BadInput, match="timeout must be above 0 seconds, not -1"):
        host_run(TINY, "tile", "simulated", board=BOARD, timeout=-1)
    monkeypatch.setitem(__import__("sys").modules, "serial", None)
    with pytest.raises(MissingTool, match="a serial port needs pyserial"):
        called("info", "--port", "/dev/ttyUSB0")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clock_hz": 1}, "clock_hz must be an integer in 100000..1000000000, not 1"),
        (
            {"clock_hz": 1_000_000, "baud": 180_000},
            "a clock of 1000000 Hz divided by 6 misses 180000 baud by 7.4 %",
        ),
        ({"buffer_bytes": 100}, "buffer_bytes must be a power of two, not 100"),
        ({"timeout_us": 100}, "timeout_us must be at least 348 at 115200 baud, four bytes' time, not 100"),
    ],
)
def test_lines_that_cannot_be_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        UartConfig(**changes)


def test_boards_differ_in_their_digest() -> None:
    boards = [
        BOARD,
        BoardConfig(system=TINY, uart=BOARD.uart, memory_bytes=1 << 16),
        board_config(TINY, 25, None, 64),
        board_config(TINY, 25, None, 64, "simulated"),
    ]
    assert len({one.digest for one in boards}) == 4
    with pytest.raises(BadInput, match="memory_bytes must be a multiple of 4096, not 5000"):
        BoardConfig(system=TINY, memory_bytes=5000)


@pytest.mark.skipif(importlib.util.find_spec("serial") is None, reason="pyserial is not installed")
def test_a_real_serial_port_through_a_loop() -> None:
    wire = SerialWire("loop://", 115_200)
    wire.write(b"there and back")
    assert wire.read(14, 1.0) == b"there and back"
    before = wire.now()
    assert wire.read(1, 0.05) == b""
    wire.pause(0.01)
    assert wire.now() - before >= 0.05
    wire.close()
    with pytest.raises(BadInput, match="the serial port /dev/nothing cannot be opened at 9600 baud"):
        SerialWire("/dev/nothing", 9600)
