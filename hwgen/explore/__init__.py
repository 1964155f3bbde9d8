"""Analytic models: physical bounds of a layer, and published latency models to compare with."""

from __future__ import annotations
