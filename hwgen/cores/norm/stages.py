"""Pipelines written as formulas: values that know their age, and products of any width."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal, Value

from hwgen.parts.delay import delay
from hwgen.parts.product import product_latency
from hwgen.parts.product.rtl import format_of, multiply

__all__ = ["Aged", "Stages", "choose"]


@dataclass(frozen=True)
class Aged:
    """A value, and the cycles since the inputs that it comes from.

    Parameters
    ----------
    name : str
        Of the value; unique in its module.
    value : Value
        The value.
    age : int
        In cycles.
    """

    name: str
    value: Value
    age: int


class Stages:
    """Registers and multipliers in a module.

    Parameters
    ----------
    m : Module
        Where they go.
    port : int
        Bits of a multiplier's wider operand, signed.
    """

    def __init__(self, m: Module, port: int):
        self.m = m
        self.port = port
        self._ages: dict[str, dict[int, Value]] = {}

    def held(self, name: str, value: Value) -> Signal:
        """The value in a register."""
        register = Signal(value.shape(), name=name, reset_less=True)
        self.m.d.sync += register.eq(value)
        return register

    def at(self, value: Aged, age: int) -> Value:
        """The value when it is so old."""
        known = self._ages.setdefault(value.name, {value.age: value.value})
        if age not in known:
            latest = max(earlier for earlier in known if earlier < age)
            known[age] = delay(self.m, known[latest], age - latest, name=f"{value.name}_at_{age}")
        return known[age]

    def align(self, *values: Aged) -> tuple[list[Value], int]:
        """The values at the age of the oldest one, and this age."""
        age = max(value.age for value in values)
        return [self.at(value, age) for value in values], age

    def product(self, name: str, wide: Aged, narrow: Aged, bits: int | None = None) -> Aged:
        """``wide * narrow``, :func:`~hwgen.parts.product.product_latency` cycles later.

        With ``bits`` only so many of its lower bits; they have no sign then.
        """
        (a, b), age = self.align(wide, narrow)
        latency = product_latency(format_of(a), format_of(b), self.port)
        return Aged(name, multiply(self.m, name, a, b, self.port, bits), age + latency)


def choose(values: list[Value], index: Value) -> Value:
    """One of ``2**len(index)`` values of one width."""
    for bit in index:
        values = [Mux(bit, *pair) for pair in zip(values[1::2], values[::2], strict=True)]
    return values[0]
