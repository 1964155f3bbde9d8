"""Sums in, bytes out: a scale that is a multiplication and a shift, rounded once, clamped."""

from __future__ import annotations

__all__ = ["LATENCY", "MAX_SHIFT", "ROUNDINGS"]

ROUNDINGS = ("half_even", "half_away")
"""Roundings by number: what becomes of a result that lies exactly in the middle."""

MAX_SHIFT = 63
"""Largest shift; the product has at most 56 bits, so more than that leaves only its sign."""

LATENCY = 9
"""Cycles from a sum to its byte."""
