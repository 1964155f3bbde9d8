"""Products of any width: parts and cycles, and the hardware against exact integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Shape
from amaranth.lib.wiring import Component, In, Out
from amaranth.sim import Simulator

from hwgen.numerics import IntFormat
from hwgen.parts.product import product_latency, product_parts
from hwgen.parts.product.rtl import multiply


class _Product(Component):
    """The product as a component."""

    def __init__(self, wide: IntFormat, narrow: IntFormat, port: int | None, bits: int | None):
        self.settings = port, bits
        size = wide.bits + narrow.bits if bits is None else bits
        sign = bits is None and (wide.signed or narrow.signed)
        super().__init__({
            "a": In(Shape(wide.bits, wide.signed)), "b": In(Shape(narrow.bits, narrow.signed)),
            "y": Out(Shape(size, sign)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += self.y.eq(multiply(m, "product", self.a, self.b, *self.settings))
        return m


WIDE = (
    IntFormat(1, False),
    IntFormat(16, True),
    IntFormat(26, False),
    IntFormat(53, False),
    IntFormat(64, True),
)
NARROW = (IntFormat(2, True), IntFormat(17, False), IntFormat(18, True), IntFormat(40, False))
CASES = [
    (wide, narrow, port, bits)
    for wide in WIDE
    for narrow in NARROW
    for port in (None, 18, 25, 27)
    for bits in (None, 11)
    if bits is None or wide.bits + narrow.bits > 11
]  # fmt: skip


@pytest.mark.parametrize(("wide", "narrow", "port", "bits"), CASES, ids=str)
def test_exact_for_extreme_and_random_operands(
    wide: IntFormat, narrow: IntFormat, port: int | None, bits: int | None
) -> None:
    rng = np.random.default_rng([wide.bits, narrow.bits])
    ends = [(a, b) for a in (wide.low, wide.high, 0) for b in (narrow.low, narrow.high)]
    drawn = [
        (int(rng.integers(f.low, f.high, endpoint=True, dtype=_type(f))) for f in (wide, narrow))
        for _ in range(20)
    ]
    operands = [*ends, *map(tuple, drawn)]
    dut = _Product(wide, narrow, port, bits)
    latency = product_latency(wide, narrow, port)

    async def bench(ctx: Any) -> None:
        for i in range(len(operands) + latency):
            if i < len(operands):
                ctx.set(dut.a, operands[i][0])
                ctx.set(dut.b, operands[i][1])
            if i >= latency:
                a, b = operands[i - latency]
                want = a * b if bits is None else a * b % (1 << bits)
                assert ctx.get(dut.y) == want
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def _type(form: IntFormat) -> Any:
    return np.int64 if form.signed else np.uint64


def test_products_go_into_multipliers() -> None:
    u26, s27, s18, u18 = IntFormat(26, False), IntFormat(27, True), IntFormat(18, True), IntFormat(18, False)
    assert product_parts(u26, s18, 27) == (1, 1)
    assert product_parts(s27, s18, 27) == (1, 1)
    assert product_parts(u26, u18, 18) == (2, 2)
    assert product_latency(s27, s18, 27) == 1
    assert product_latency(s27, u18, 18) == 3
    assert product_parts(u26, u18, None) == (1, 1)
    assert product_latency(u26, u18, None) == 1
