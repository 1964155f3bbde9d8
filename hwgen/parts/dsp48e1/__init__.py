"""The DSP48E1 block of 7-series devices, as a simulation model that any simulator can read."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SIMULATION_MODEL"]

#: Verilog-2001 source of module ``DSP48E1``; leave it out for synthesis, where the vendor has its own.
SIMULATION_MODEL = Path(__file__).with_name("DSP48E1.v")
