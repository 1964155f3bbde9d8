"""Adder trees with a register after every two levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Signal, Value

__all__ = ["sum_tree"]


def sum_tree(
    m: Module, values: Sequence[Any], name: str, *, bits: int | None = None, registered: bool = True
) -> Value:
    """The sum of values, as it was ``ceil(ceil(log2(n)) / 2)`` cycles ago.

    Parameters
    ----------
    m : Module
        Where the registers go.
    values : sequence of Value
        At least one; a single one is given as it is.
    name : str
        Begins the names of registers.
    bits : int, optional
        Sums wrap at this width; without, they grow.
    registered : bool
        Whether there is a register after the last levels; without, the sum is one cycle younger.
    """
    layer: list[Any] = list(values)
    level = 0
    while len(layer) > 1:
        level += 1
        pairs = [layer[i] + layer[i + 1] for i in range(0, len(layer) - 1, 2)]
        layer = [pair if bits is None else pair[:bits] for pair in pairs] + layer[2 * len(pairs) :]
        if len(layer) == 1 and not registered:
            break
        if level % 2 == 0 or len(layer) == 1:
            for i, value in enumerate(layer):
                stage = Signal(Value.cast(value).shape(), name=f"{name}_{level}_{i}", reset_less=True)
                m.d.sync += stage.eq(value)
                layer[i] = stage
    return Value.cast(layer[0])
