"""The MULT18X18D block of ECP5 devices, as a simulation model that any simulator can read."""

from __future__ import annotations

from pathlib import Path

__all__ = ["PRODUCT_CYCLES", "SIMULATION_MODEL"]

#: Verilog-2001 source of module ``MULT18X18D``; leave it out for synthesis, where the tools have their own.
SIMULATION_MODEL = Path(__file__).with_name("MULT18X18D.v")

PRODUCT_CYCLES = 3
"""Registers of a product: those of the operands, inside the multiplier, and of the result."""
