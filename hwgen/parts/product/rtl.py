"""The hardware of a product."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value

from hwgen.numerics import IntFormat
from hwgen.parts.product import NARROW, product_latency, product_parts

__all__ = ["format_of", "multiply", "upper"]


def multiply(
    m: Module, name: str, wide: Value, narrow: Value, port: int | None, bits: int | None = None
) -> Value:
    """``wide * narrow``, :func:`~hwgen.parts.product.product_latency` cycles later.

    Parameters
    ----------
    m : Module
        Where the registers go.
    name : str
        Of the product; unique in its module.
    wide, narrow : Value
        Operands, signed or not.
    port : int or None
        As for :func:`~hwgen.parts.product.product_parts`.
    bits : int, optional
        Only so many of the lower bits are wanted; they have no sign then.
    """
    shapes = format_of(wide), format_of(narrow)
    size = len(wide) + len(narrow) if bits is None else bits
    counts = product_parts(*shapes, port)
    step = (port or 0) - 1

    def held(suffix: str, value: Value) -> Value:
        register = Signal(value.shape(), name=f"{name}{suffix}", reset_less=True)
        m.d.sync += register.eq(value)
        return register

    terms: list[tuple[Value, int]] = []
    for i, left in enumerate(_parts(wide, step, counts[0])):
        for j, right in enumerate(_parts(narrow, NARROW, counts[1])):
            place = i * step + j * NARROW
            suffix = f"_{i}_{j}" if max(counts) > 1 else ""
            terms.append((held(suffix, _lower(left * right, size - place)), place))
    level = 0
    while len(terms) > 1:
        level += 1
        terms.sort(key=lambda term: term[1])
        pairs = [terms[n : n + 2] for n in range(0, len(terms), 2)]
        terms = [(held(f"_sum_{level}_{n}", _sum(pair, size)), pair[0][1]) for n, pair in enumerate(pairs)]
    assert 1 + level == product_latency(*shapes, port)
    whole = terms[0][0]
    # A sum cut to the product's width has its sign there.
    return whole.as_signed() if bits is None and (wide * narrow).shape().signed else whole


def upper(value: Value, places: int) -> Value:
    """``value >> places``, of the width that it has."""
    rest = value[places:]
    return rest.as_signed() if value.shape().signed else rest


def format_of(value: Value) -> IntFormat:
    """Width and sign of a value."""
    return IntFormat(len(value), value.shape().signed)


def _parts(value: Value, size: int, count: int) -> list[Value]:
    """The value in parts of ``size`` bits, the lowest first; the last one has its sign."""
    lower = [value[n * size : (n + 1) * size] for n in range(count - 1)]
    return [*lower, upper(value, (count - 1) * size)]


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
