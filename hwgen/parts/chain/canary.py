"""Canaries of packed products: the low bits of the upper fields, computed beside the multiplier."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from hwgen.parts.packing import Packing

__all__ = ["LOW_PRODUCT_CYCLES", "canary_counts", "low_product"]

LOW_PRODUCT_CYCLES = 3
"""Cycles of :func:`low_product`: pairs of partial products, pairs of those, and all."""


def canary_counts(m: Module, packing: Packing, weight: Value, low: Value, act: Value) -> list[Value]:
    """Products of every field but the lowest modulo 2**canary_bits, :data:`LOW_PRODUCT_CYCLES` cycles later.

    Parameters
    ----------
    m : Module
        Where the registers go.
    packing : Packing
        Where the fields are.
    weight, act : Value
        Packed operands.
    low : Value
        Low bits of the weight's upper lanes, ``packing.low_weight_bits`` each.
    """
    bits = packing.scheme.canary_bits
    size = packing.low_weight_bits
    weights: list[Value] = [weight[:size], *(low.word_select(i, size) for i in range(len(low) // size))]
    acts: list[Value] = [act[: min(bits, packing.act.bits)]]
    for lane in range(1, packing.scheme.act_lanes):
        at = lane * packing.act_spacing
        value: Value = act[at : at + packing.act.bits]
        # A negative lane below took one from this one.
        acts.append((value + act[at - 1])[: packing.act.bits] if packing.act.signed else value)
    products = []
    for field in packing.fields[1:]:
        w, a = weights[field.weight_lane], acts[field.act_lane]
        signs = packing.weight.signed, packing.act.signed
        one, two = (v.as_signed() if sign else v for v, sign in zip((w, a), signs, strict=True))
        products.append(low_product(m, f"low_{field.weight_lane}_{field.act_lane}", one, two, bits))
    return products


def low_product(m: Module, name: str, left: Value, right: Value, bits: int) -> Value:
    """The low ``bits`` bits of ``left * right``, from adders: a multiplier would have to be inferred for ``*``.

    Operands may be cut to their low ``bits`` bits; longer or shorter, their sign counts.

    Parameters
    ----------
    m : Module
        Where the registers go.
    name : str
        Of the registers; unique in its module.
    left, right : Value
        Operands, signed or not; ``right`` has at most nine bits.
    bits : int
        Of the product.
    """
    top = len(right) - 1
    terms: list[tuple[Value, int]] = []
    for at in range(0, min(len(right), bits), 2):
        pair: Any = Mux(right[at], left, 0)
        if at + 1 < min(len(right), bits):
            upper = Mux(right[at + 1], left, 0) << 1
            pair = pair - upper if at + 1 == top and right.shape().signed else pair + upper
        elif at == top and right.shape().signed:
            pair = -pair
        terms.append((_held(m, f"{name}_{at}", pair, bits - at), at))
    for level in range(1, LOW_PRODUCT_CYCLES):
        joined = []
        for i in range(0, len(terms), 2):
            (first, at), *more = terms[i : i + 2]
            total: Any = first
            if more:
                second, above = more[0]
                step = above - at
                total = Cat(first[:step], (first[step:] + second)[: bits - above])
            joined.append((_held(m, f"{name}_sum_{level}_{i // 2}", total, bits - at), at))
        terms = joined
    assert len(terms) == 1
    return terms[0][0]


def _held(m: Module, name: str, value: Value, bits: int) -> Value:
    register = Signal(bits, name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register
