"""Registers behind output ports that mean nothing without a valid beside them."""

from __future__ import annotations

from amaranth.hdl import Module, Signal

__all__ = ["payload"]


def payload(m: Module, port: Signal) -> Signal:
    """A register without reset that drives ``port``: assign it in ``m.d.sync``.

    A reset would cost every bit a pin of a net that spans the chip. Not to be called under a condition, which would
    become one of the port's value.
    """
    held = Signal(port.shape(), name=f"{port.name}_held", reset_less=True)
    m.d.comb += port.eq(held)
    return held
