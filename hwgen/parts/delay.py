"""Delays as wide shift registers, which synthesizers turn into SRL cells."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value

__all__ = ["delay"]


def delay(m: Module, value: Any, cycles: int, *, reset: bool = False, name: str | None = None) -> Value:
    """``value`` as it was ``cycles`` cycles ago, of the same shape.

    Parameters
    ----------
    m : Module
        Where the registers go.
    value : Value
        What is delayed.
    cycles : int
        Zero or more.
    reset : bool
        Whether the registers are cleared by reset; then they cannot become SRL cells.
    name : str, optional
        Name of the register; from the value's by default.
    """
    source: Value = Value.cast(value)
    width = len(source)
    if cycles == 0 or width == 0:
        return source
    line = Signal(
        width * cycles, name=name or f"{getattr(source, 'name', 'value')}_delay", reset_less=not reset
    )
    m.d.sync += line.eq(Cat(source, line[: width * (cycles - 1)]))
    out: Value = line[width * (cycles - 1) :]
    return out.as_signed() if source.shape().signed else out
