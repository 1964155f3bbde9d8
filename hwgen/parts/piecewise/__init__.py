"""Piecewise polynomials as exact integer functions: the table, its fit to a real function, its hardware."""

from __future__ import annotations

from hwgen.parts.piecewise.table import FORMS, Region, Table

__all__ = ["FORMS", "Region", "Table"]
