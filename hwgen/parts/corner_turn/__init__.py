"""Packed values in, their bit planes out: the conversion that bit-serial arithmetic needs."""

from __future__ import annotations

from hwgen.parts.corner_turn.layout import LATENCY, WIDTHS, beats, block_beats, codes, travel_bits

__all__ = ["LATENCY", "WIDTHS", "beats", "block_beats", "codes", "travel_bits"]
