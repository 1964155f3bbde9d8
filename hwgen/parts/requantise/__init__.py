"""Sums in, bytes out: a scale, a rounding, a zero point, a clamp; the scale as one of five kinds of arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["MODES", "ROUNDINGS", "Mode"]

ROUNDINGS = ("half_even", "half_away")
"""Roundings by number, where a unit leaves the choice to run time: what becomes of a result in the middle."""


@dataclass(frozen=True)
class Mode:
    """A kind of arithmetic, chosen when hardware is generated.

    Parameters
    ----------
    rounding : str or None
        Rounding of the golden model; None if it is one of :data:`ROUNDINGS`, chosen at run time.
    scale_bits : tuple of int
        Narrowest and widest multiplier; zero if there is none.
    max_shift : int
        Largest shift.
    latency : int
        Cycles from a sum to its byte.
    """

    rounding: str | None
    scale_bits: tuple[int, int]
    max_shift: int
    latency: int


MODES: Mapping[str, Mode] = {
    "nearest": Mode(None, (8, 24), 63, 9),
    "pot": Mode(None, (0, 0), 31, 6),
    "single": Mode("half_up", (8, 31), 63, 9),
    "tflite": Mode("tflite", (31, 31), 62, 9),
    "ort": Mode("ort", (24, 24), 63, 12),
}
"""Modes by name; the room's README says what each computes."""
