"""Float32 arithmetic on integers: a sum as a significand, and a product of significands rounded twice.

A significand is a signed number of 24 bits beside its sign, the uppermost of which is one (of the magnitude); a
negative power of two may have one bit more and half the weight, which changes no value.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed

from hwgen.parts.requantise.product import LATENCY as PRODUCT
from hwgen.parts.requantise.window import Window

__all__ = ["NORMALISE", "ROUND_PRODUCT", "normalise", "round_product"]

NORMALISE = 3
"""Cycles from a sum to its significand."""

ROUND_PRODUCT = 2
"""Cycles from a product of significands to its window."""

_BITS = 24
_DROPPED = 7  # bits of a normalised sum behind its significand
_LEAST = 2 * _BITS - 1 - _BITS  # bits dropped from a product that is the shorter of the two
_NEAR = 16  # the smallest shift of what is left whose result is in reach of a byte
_KEPT = 10  # as in the other modes: nine bits of the quotient, one behind the point


def normalise(m: Module, total: Signal) -> tuple[Signal, Value]:
    """The significand of a sum of 32 bits, and by how many places the sum was moved up for it.

    Returns
    -------
    significand : Signal
        Signed, 26 bits: rounding may carry into a power of two. ``sum = significand * 2**(7 - raised)``, rounded
        to the nearest float32, ties to even. :data:`NORMALISE` cycles after ``total``.
    raised : Value
        0..31; with the significand.
    """
    value: Value = total
    raised: list[Value] = []
    for step, name in ((8, "bytes"), (2, "pairs")):
        # The number is moved up by three, two, one steps or none, as far as copies of the sign lie above it.
        fits = [_same(value, n * step) for n in (1, 2, 3)]
        count = Cat(fits[2] | (fits[0] & ~fits[1]), fits[1])
        moved = Signal(len(total), name=f"moved_{name}", reset_less=True)
        choices = [value << n * step for n in range(4)]
        m.d.sync += moved.eq(
            Mux(count[1], Mux(count[0], choices[3], choices[2]), Mux(count[0], choices[1], choices[0]))
        )
        held = Signal(len(count) + len(Cat(raised)), name=f"raised_{name}", reset_less=True)
        m.d.sync += held.eq(Cat(count, *raised))
        value, raised = moved, [held]
    last = _same(value, 1)
    aligned = Signal(len(total), name="aligned")
    significand = Signal(signed(_BITS + 2), reset_less=True)
    places = Signal(5, name="raised", reset_less=True)
    m.d.comb += aligned.eq(Mux(last, value << 1, value))
    rest = aligned[:_DROPPED]
    up = rest[-1] & (rest[:-1].any() | aligned[_DROPPED])
    m.d.sync += [
        significand.eq(aligned[_DROPPED:].as_signed() + up),
        places.eq(Cat(last, *raised)),
    ]
    return significand, places


def round_product(m: Module, product: Value, shift: Value, raised: Value) -> tuple[Window, Value]:
    """The window of ``product * 2**(7 - raised - shift)`` rounded to a float32, and whether it then goes up.

    The first rounding is never carried out: all that it can change is which numbers lie in the middle.

    Parameters
    ----------
    product : Value
        Of a sum's significand and a multiplier of 24 bits whose uppermost one is one, or which is zero.
    shift, raised : Value
        With the sum's significand, :data:`~hwgen.parts.requantise.product.LATENCY` cycles before ``product``.
    """
    # What is left of the product is shifted by `shift + raised - 30`, of which all is said by 16..31.
    both = Signal(range(95), reset_less=True)
    less = Signal(signed(8), name="less", reset_less=True)
    place = Signal(4, reset_less=True)
    huge = Signal(reset_less=True)
    base = _LEAST + _DROPPED + _NEAR
    m.d.sync += [
        both.eq(shift + raised),
        less.eq(both - base),
        huge.eq(less < 0),
        place.eq(less[:4] | (less[4:7].any().replicate(4))),
    ]
    assert PRODUCT == 3

    left = product[_LEAST:]
    sign = product[-1]
    longer = product[2 * _BITS - 1] ^ sign  # one bit more of it is dropped
    rest = product[:_LEAST]
    half = Mux(longer, left[0], rest[-1])
    beyond = rest[:-1].any() | (longer & rest[-1])
    up_first = Signal(name="up_first", reset_less=True)
    up_later = Signal(name="up_later", reset_less=True)
    m.d.sync += [up_first.eq(half & (beyond | Mux(longer, left[1], left[0]))), up_later.eq(up_first)]

    near = Window(left[_NEAR - 1 :], sign, gaps=True)
    always = left[1 : _NEAR - 1]
    near.sticky = always.any() | (left[0] & ~longer)
    near.gap = ~always.all() | (~left[0] & ~longer)
    near.over = huge & (sign | left[_BITS - 1 : _BITS + 1].any())
    near.cut(m, "near", place[2:], 2, _KEPT + 3)
    fine = Signal(2, name="fine", reset_less=True)
    m.d.sync += fine.eq(place[:2])
    near.hold(m, "near")
    near.cut(m, "last", fine, 0, _KEPT)
    near.hold(m, "last")
    assert near.gap is not None
    after, odd = near.bits[:2]
    return near, Mux(after, near.sticky | up_later | odd, ~near.gap & up_later & odd)


def _same(value: Value, count: int) -> Value:
    """Whether the upper ``count`` bits are all copies of the sign that the one below them holds too."""
    upper = value[len(value) - 1 - count :]
    return (upper == 0) | (upper == (1 << len(upper)) - 1)
