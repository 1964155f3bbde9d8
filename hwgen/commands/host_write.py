"""``hwgen host generate`` and ``zynq``: what boards and their tools need, as files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from hwgen.files import write_all
from hwgen.host.board import LEDS, board_emission
from hwgen.host.config import BoardConfig
from hwgen.host.overlay import overlay_files
from hwgen.host.zynq import ZynqBoard
from hwgen.system.config import SystemConfig
from hwgen.verify.system_harness import simulation_sources
from hwgen.version import VERSION

__all__ = ["write_board", "write_overlay"]

_MEANINGS = {
    "clk": "clock",
    "rst": "reset",
    "uart_rx": "serial line from the host, 8 data bits, no parity, one stop bit",
    "uart_tx": "serial line to the host",
    "leds": "from the lowest on: " + "; ".join(LEDS),
}


def write_board(board: BoardConfig, folder: Path) -> list[Path]:
    """Write ``board_system.v``, ``manifest.json`` and the models of vendor cells into ``folder``."""
    made = board_emission(board)
    models = {f"simulation/{path.name}": path.read_text() for path in simulation_sources(board.system)}
    latency, interval, depth, write_latency = board.memory_timing
    manifest = {
        "schema": "hwgen.board/1",
        "version": VERSION,
        "digest": board.digest,
        "system_digest": board.system.digest,
        "config": board.system.to_dict(),
        "top": made.top,
        "modules": list(made.modules),
        "files": [f"{made.top}.v", *models],
        "clock": "clk, rising edge",
        "reset": "rst, synchronous, active high",
        "ports": [asdict(port) | {"meaning": _MEANINGS[port.name]} for port in made.ports],
        "uart": asdict(board.uart) | {"divisor": board.uart.divisor},
        "memory": {
            "bytes": board.memory_bytes,
            "timing": {
                "latency": latency,
                "interval": interval,
                "depth": depth,
                "write_latency": write_latency,
            },
        },
    }
    files = {f"{made.top}.v": made.verilog, **models, "manifest.json": json.dumps(manifest, indent=2) + "\n"}
    return write_all(folder, files)


def write_overlay(config: SystemConfig, target: ZynqBoard, clock_mhz: float, folder: Path) -> list[Path]:
    """Write the package for a Zynq board into ``folder``; the bitstream is Vivado's to make."""
    return write_all(folder, overlay_files(config, target, clock_mhz))
