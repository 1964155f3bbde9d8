"""The DSP48E2 block of UltraScale+ devices, as a simulation model that any simulator can read."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SIMULATION_MODEL"]

#: Verilog-2001 source of module ``DSP48E2``; leave it out for synthesis, where the vendor has its own.
SIMULATION_MODEL = Path(__file__).with_name("DSP48E2.v")
