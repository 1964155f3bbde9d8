"""The SB_MAC16 block of iCE40 devices as two 8 × 8 multipliers: a simulation model that any simulator can read."""

from __future__ import annotations

from pathlib import Path

__all__ = ["PRODUCT_CYCLES", "SIMULATION_MODEL"]

#: Verilog-2001 source of module ``SB_MAC16``; leave it out for synthesis, where the tools have their own.
SIMULATION_MODEL = Path(__file__).with_name("SB_MAC16.v")

PRODUCT_CYCLES = 3
"""Registers of a product: those of the operands, of the multipliers, and of the outputs."""
