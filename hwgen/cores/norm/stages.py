"""Pipelines written as formulas: values that know their age, and products of any width."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.cores.norm.config import product_latency, product_parts
from hwgen.numerics import IntFormat
from hwgen.parts.delay import delay

__all__ = ["Aged", "Stages", "choose", "format_of", "upper"]

_NARROW_BITS = 17  # of an unsigned part of the narrower operand


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
        """``wide * narrow``, :func:`~hwgen.cores.norm.config.product_latency` cycles later.

        With ``bits`` only so many of its lower bits; they have no sign then.
        """
        (a, b), age = self.align(wide, narrow)
        shapes = format_of(a), format_of(b)
        size = len(a) + len(b) if bits is None else bits
        counts = product_parts(*shapes, self.port)
        terms: list[tuple[Value, int]] = []
        for i, left in enumerate(_parts(a, self.port - 1, counts[0])):
            for j, right in enumerate(_parts(b, _NARROW_BITS, counts[1])):
                place = i * (self.port - 1) + j * _NARROW_BITS
                terms.append((self.held(f"{name}_{i}_{j}", _lower(left * right, size - place)), place))
        level = 0
        while len(terms) > 1:
            level += 1
            terms.sort(key=lambda term: term[1])
            pairs = [terms[n : n + 2] for n in range(0, len(terms), 2)]
            terms = [
                (self.held(f"{name}_sum_{level}_{n}", _sum(pair, size)), pair[0][1])
                for n, pair in enumerate(pairs)
            ]
        whole = terms[0][0]
        if bits is None and (a * b).shape().signed:
            whole = whole.as_signed()  # a sum cut to the product's width has its sign there
        return Aged(name, whole, age + product_latency(*shapes, self.port))


def choose(values: list[Value], index: Value) -> Value:
    """One of ``2**len(index)`` values of one width."""
    for bit in index:
        values = [Mux(bit, *pair) for pair in zip(values[1::2], values[::2], strict=True)]
    return values[0]


def upper(value: Value, places: int) -> Value:
    """``value >> places``, of the width that it has."""
    rest = value[places:]
    return rest.as_signed() if value.shape().signed else rest


def format_of(value: Value) -> IntFormat:
    """Width and sign of a value."""
    return IntFormat(len(value), value.shape().signed)


def _parts(value: Value, size: int, count: int) -> list[Value]:
    """The value in parts of ``size`` bits, the lowest first; the last one has its sign."""
    return [
        *(value[n * size : (n + 1) * size] for n in range(count - 1)),
        upper(value, (count - 1) * size),
    ]


def _sum(terms: list[tuple[Value, int]], size: int) -> Value:
    """One or two terms at their places: what lies below both is passed on, what lies beyond the size is not."""
    if len(terms) == 1:
        return terms[0][0]
    (low, below), (high, above) = terms
    step = above - below
    fill = low[-1] if low.shape().signed else Const(0, 1)
    tail = Cat(low, fill.replicate(max(step - len(low), 0)))[:step]
    total = _lower(upper(low, min(step, len(low) - 1)) + high, size - above)
    joined: Value = Cat(tail, total)
    return joined.as_signed() if total.shape().signed else joined


def _lower(value: Value, size: int) -> Value:
    """The value, or only its lower bits if it has more than ``size``."""
    return value if len(value) <= size else value[:size]
