"""Selections as trees of two-way multiplexers, which every synthesizer folds into the widest its cells have."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Mux, Value

__all__ = ["select", "words_of"]


def select(values: Sequence[Value], index: Value) -> Value:
    """``values[index]``; undefined beyond the last one."""
    level = list(values)
    bit = 0
    while len(level) > 1:
        level = [
            Mux(index[bit], level[n + 1], level[n]) if n + 1 < len(level) else level[n]
            for n in range(0, len(level), 2)
        ]
        bit += 1
    return level[0]


def words_of(value: Value, width: int) -> list[Value]:
    """Consecutive words of ``width`` bits, the lowest first."""
    return [value[at : at + width] for at in range(0, len(value), width)]
