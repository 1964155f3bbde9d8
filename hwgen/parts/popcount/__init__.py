"""Counts the ones of a wide word with compressors instead of adders."""

from __future__ import annotations

from pathlib import Path

from hwgen.parts.popcount.plan import Group, Plan, plan

__all__ = ["SIMULATION_MODEL", "Group", "Plan", "plan"]

SIMULATION_MODEL = Path(__file__).with_name("LUT6.v")
"""Verilog models of the LUT cells, for simulation."""
