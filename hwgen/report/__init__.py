"""Self-contained HTML reports: tables, figures and prose in one file that opens anywhere."""

from __future__ import annotations

from hwgen.report.html import Cell, Figure, Report, Section, Table, render
from hwgen.report.machine import Point, gantt, roofline
from hwgen.report.plots import bars, histogram, scatter, stacked_bars

__all__ = [
    "Cell",
    "Figure",
    "Point",
    "Report",
    "Section",
    "Table",
    "bars",
    "gantt",
    "histogram",
    "render",
    "roofline",
    "scatter",
    "stacked_bars",
]
