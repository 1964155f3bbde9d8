"""Products of any width, from multipliers of a DSP block's size: how many it takes, and how long."""

from __future__ import annotations

from hwgen.numerics import IntFormat, ceil_div, ceil_log2

__all__ = ["NARROW", "product_latency", "product_parts"]

NARROW = 17
"""Bits of an unsigned part of the narrower operand: every target's multiplier takes one of 18 bits, signed."""


def product_parts(wide: IntFormat, narrow: IntFormat, port: int | None) -> tuple[int, int]:
    """Into how many parts each operand of a product goes.

    Parameters
    ----------
    wide, narrow : IntFormat
        Of the operands.
    port : int or None
        Bits of a multiplier's wider operand, signed; None leaves the product to synthesis, whole.
    """
    if port is None:
        return 1, 1
    return ceil_div(wide.bits - wide.signed, port - 1), ceil_div(narrow.bits - narrow.signed, NARROW)


def product_latency(wide: IntFormat, narrow: IntFormat, port: int | None) -> int:
    """Cycles of a product: its multipliers, and a tree of sums if they are several."""
    a, b = product_parts(wide, narrow, port)
    return 1 + ceil_log2(a * b)
