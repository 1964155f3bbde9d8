"""Fields of instruction words in hardware, by the table's names."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Module, Signal, Value

from hwgen.program.table import FUNCTION_BITS, FUNCTION_LOW

__all__ = ["field", "hold"]


def field(word: Value, places: Mapping[str, tuple[int, int, bool]], name: str) -> Value:
    """A field of an instruction word, signed where the table says so."""
    low, bits, signed = places[name]
    value = word[low : low + bits]
    return value.as_signed() if signed else value


def hold(
    m: Module,
    start: Value,
    word: Value,
    function: int,
    places: Mapping[str, tuple[int, int, bool]],
    name: str,
) -> Value:
    """A register that keeps a field of the last instruction of that function."""
    value = field(word, places, name)
    kept = Signal(len(value), name=f"set_{function}_{name}", reset_less=True)
    with m.If(start & (word[FUNCTION_LOW : FUNCTION_LOW + FUNCTION_BITS] == function)):
        m.d.sync += kept.eq(value)
    return kept.as_signed() if value.shape().signed else kept
