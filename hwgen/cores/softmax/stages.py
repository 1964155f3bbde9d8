"""What the pipelines are made of: registers, trees over the lanes, shifts in two steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

__all__ = [
    "FINE_SHIFT",
    "at_most",
    "fresh",
    "lanes_of",
    "register",
    "shift",
    "shift_coarse",
    "shift_fine",
    "tree",
]

FINE_SHIFT = 3
"""Bits of a shift that its second step does."""


def register(m: Module, name: str, value: Value, shape: Any = None) -> Signal:
    """``value`` a cycle later."""
    held = Signal(value.shape() if shape is None else shape, name=name, reset_less=True)
    m.d.sync += held.eq(value)
    return held


def at_most(value: Value, limit: int) -> Value:
    """The smaller of an unsigned value and a constant; just the value if it is never above."""
    return Mux(value > limit, limit, value) if (1 << len(value)) - 1 > limit else value


def fresh(m: Module, valid: Value, last: Value) -> Signal:
    """Whether a beat is the first of its row."""
    first = Signal(name="first", init=1)
    with m.If(valid):
        m.d.sync += first.eq(last)
    return first


def lanes_of(word: Value, lanes: int) -> list[Value]:
    """Equal parts of a word, the lowest first."""
    width = len(word) // lanes
    return [word[i * width : (i + 1) * width] for i in range(lanes)]


def tree(
    m: Module,
    name: str,
    values: list[Any],
    join: Callable[[str, Any, Any], Any],
    hold: Callable[[str, Any], Any],
) -> Any:
    """Join neighbours, then their results, and so on: ``ceil(log2(n))`` cycles.

    ``join`` gives the registered result of two; ``hold`` keeps one that has no neighbour for a cycle.
    """
    level = 0
    while len(values) > 1:
        pairs = [values[i : i + 2] for i in range(0, len(values), 2)]
        values = [
            join(f"{name}_{level}_{i}", *pair) if len(pair) == 2 else hold(f"{name}_{level}_{i}", pair[0])
            for i, pair in enumerate(pairs)
        ]
        level += 1
    return values[0]


def shift(m: Module, name: str, value: Value, places: Value, width: int) -> Signal:
    """The lowest ``width`` bits of ``value >> places``, two cycles later."""
    fine = register(m, f"{name}_fine", places[:FINE_SHIFT])
    return shift_fine(
        m, name, shift_coarse(m, name, value, places, width + (1 << FINE_SHIFT) - 1), fine, width
    )


def shift_coarse(m: Module, name: str, value: Value, places: Value, width: int) -> Signal:
    """The lowest ``width`` bits of ``value`` shifted by all but the last bits of ``places``, a cycle later."""
    step = 1 << FINE_SHIFT
    far = places[FINE_SHIFT:]
    bits = max(((len(value) - 1) // step).bit_length(), 1)
    near, beyond = far[:bits], far[bits:]
    shifted = Signal(len(value), name=f"{name}_far")
    m.d.comb += shifted.eq(value >> Cat(Const(0, FINE_SHIFT), near))
    kept = shifted[:width]
    return register(
        m, f"{name}_coarse", Mux(beyond.any(), 0, kept) if len(beyond) else kept, min(width, len(value))
    )


def shift_fine(m: Module, name: str, value: Value, places: Value, width: int) -> Signal:
    """The lowest ``width`` bits of ``value >> places``, a cycle later."""
    return register(m, f"{name}_shifted", (value >> places)[:width], width)
