"""Faults as algorithms see them: biased feature maps, stuck weight cells, and searches for the worst bits."""

from __future__ import annotations
