"""The exact product of a sum and a multiplier, from multipliers of a DSP block's size or from adders."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed

from hwgen.parts.delay import delay

__all__ = ["LATENCY", "MADE_OF", "multiply"]

LATENCY = 3
"""Cycles from the sum to the product."""

MADE_OF = ("multipliers", "luts", "carries")
"""What the product is made of: multipliers of a DSP block, or adders of terms that LUTs choose, two bits of the
multiplier at a time, or that carry chains choose themselves, where a bit of one has four inputs (ECP5)."""

_SPLIT = 17  # bits of a lower part: what a signed 18-bit multiplier takes of an unsigned number
_JOINED = 4  # terms that are added up in a cycle: two adders, one behind the other
_WIDE = 24  # widest multiplier that goes whole into the other side of a multiplier


def multiply(m: Module, total: Signal, multiplier: Value, made_of: str = "multipliers") -> Value:
    """``total * multiplier``, :data:`LATENCY` cycles after ``total``.

    Parameters
    ----------
    m : Module
        Where the stages go.
    total : Signal
        Signed, at least 18 bits; a register.
    multiplier : Value
        Unsigned, at most 34 bits; one cycle before ``total``. Over 24 bits it takes four multipliers instead of two.
    made_of : str
        Of :data:`MADE_OF`. Without multipliers it takes more than one LUT for each bit of the one and two bits of the
        other.
    """
    if made_of != "multipliers":
        return _added(m, total, multiplier, carries=made_of == "carries")
    return (_two if len(multiplier) <= _WIDE else _four)(m, total, multiplier)


def _two(m: Module, total: Signal, multiplier: Value) -> Value:
    """Two multipliers, the second one adds."""
    total_bits, scale_bits = len(total), len(multiplier)
    scale = Signal(scale_bits, name="scale", reset_less=True)
    scale_later = Signal(scale_bits, name="scale_later", reset_less=True)
    upper = Signal(signed(total_bits - _SPLIT), name="upper", reset_less=True)
    product_bits = total_bits + scale_bits
    low_product = Signal(_SPLIT + scale_bits, name="low_product", reset_less=True)
    low_sum = Signal(_SPLIT + scale_bits, name="low_sum", reset_less=True)
    high_product = Signal(signed(product_bits - _SPLIT), name="high_product", reset_less=True)
    high_sum = Signal(signed(product_bits - _SPLIT), name="high_sum", reset_less=True)
    low_bits = Signal(_SPLIT, name="low_bits", reset_less=True)
    m.d.sync += [
        scale.eq(multiplier),
        low_product.eq(total[:_SPLIT] * scale),
        upper.eq(total[_SPLIT:]),
        scale_later.eq(scale),
        low_sum.eq(low_product),
        high_product.eq(upper * scale_later),
        high_sum.eq(high_product + low_sum[_SPLIT:]),
        low_bits.eq(low_sum),
    ]
    return Cat(low_bits, high_sum).as_signed()


def _four(m: Module, total: Signal, multiplier: Value) -> Value:
    """Four multipliers; the outer products do not overlap, so one addition joins them with the inner ones' sum."""
    total_bits, scale_bits = len(total), len(multiplier)
    scale = Signal(scale_bits, name="scale", reset_less=True)
    m.d.sync += scale.eq(multiplier)
    halves = {"low": (total[:_SPLIT], scale[:_SPLIT])}
    halves["high"] = (total[_SPLIT:].as_signed(), scale[_SPLIT:])
    halves["left"] = (halves["high"][0], halves["low"][1])
    halves["right"] = (halves["low"][0], halves["high"][1])
    products = {}
    for name, (a, b) in halves.items():
        product = a * b
        products[name] = Signal(product.shape(), name=f"product_{name}", reset_less=True)
        m.d.sync += products[name].eq(product)
    outer = Signal(signed(total_bits + scale_bits), name="outer", reset_less=True)
    inner = Signal((products["left"] + products["right"]).shape(), name="inner", reset_less=True)
    upper = Signal(signed(total_bits + scale_bits - _SPLIT), name="upper", reset_less=True)
    lower = Signal(_SPLIT, name="lower", reset_less=True)
    m.d.sync += [
        outer.eq(Cat(products["low"], products["high"])),
        inner.eq(products["left"] + products["right"]),
        upper.eq(outer[_SPLIT:].as_signed() + inner),
        lower.eq(outer),
    ]
    return Cat(lower, upper).as_signed()


def _added(m: Module, total: Signal, multiplier: Value, *, carries: bool) -> Value:
    """Two bits of the multiplier at a time; then, in each of two cycles, up to four terms become one."""
    scale = Signal(len(multiplier), name="scale", reset_less=True)
    m.d.sync += scale.eq(multiplier)
    threefold: Value = total
    if not carries:
        threefold = Signal(signed(len(total) + 2), name="threefold")
        m.d.comb += threefold.eq(total + (total << 1))
    terms: list[Value] = []
    for at in range(0, len(scale), 2):
        once = Mux(scale[at], total, 0)
        if at + 1 == len(scale):
            term: Value = once
        elif carries:
            term = once + (Mux(scale[at + 1], total, 0) << 1)
        else:
            term = Mux(scale[at + 1], Mux(scale[at], threefold, total << 1), once)
        terms.append(delay(m, term, 1, name=f"term_{at}"))
    step = 2
    for level in range(1, LATENCY):
        terms = [
            delay(m, _joined(terms[i : i + _JOINED], step), 1, name=f"sum_{level}_{i}")
            for i in range(0, len(terms), _JOINED)
        ]
        step *= _JOINED
    assert len(terms) == 1
    return terms[0][: len(total) + len(scale)].as_signed()


def _joined(terms: Sequence[Value], step: int) -> Value:
    """Sum of terms that are ``step`` bits apart, in pairs: what lies below the upper one of a pair is not added."""
    while len(terms) > 1:
        pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
        terms = [
            Cat(pair[0][:step], (pair[0] >> step) + pair[1]).as_signed() if len(pair) > 1 else pair[0]
            for pair in pairs
        ]
        step *= 2
    return terms[0]
