"""Separation in hardware against exact integers, at the very bound of what a chain may accumulate."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from amaranth.hdl import Module, Shape, Signal
from amaranth.sim import Simulator

from hwgen.cores.dsp_gemm import DspGemmConfig, Gemm
from hwgen.numerics import IntFormat
from hwgen.parts.chain.canary import LOW_PRODUCT_CYCLES, low_product
from hwgen.parts.chain.separate import Separate
from hwgen.parts.packing import BLOCKS, packing

SIGNS = list(itertools.product((True, False), repeat=2))

INT4 = {"act_bits": 4, "weight_bits": 4}
UNSIGNED = {"act_signed": False, "weight_signed": False}

# Rows at the bound and one beyond it, where the chain must split in two: (parameters, rows, segments).
BOUNDS = {
    "s4 x u4, eight rows": ({"act_bits": 4, "weight_bits": 4, "act_signed": False}, 8, 1),
    "s4 x u4, nine rows": ({"act_bits": 4, "weight_bits": 4, "act_signed": False}, 9, 2),
    "s4 x s4, seventeen rows": ({"act_bits": 4, "weight_bits": 4}, 17, 2),
    "s8 x u8, sixteen rows": ({"act_signed": False}, 16, 1),
    "u8 x u8, seventeen rows": ({"act_signed": False, "weight_signed": False}, 17, 2),
    "s8 x s8, thirty-two rows": ({}, 32, 1),
    "s8 x s8, thirty-three rows": ({}, 33, 2),
    "DSP48E1 s8 x s8": ({"target": "xilinx7"}, 16, 1),
    "DSP48E1 s4 x s4": ({"target": "xilinx7", **INT4}, 8, 1),
    "DSP48E1 u8 x u8": ({"target": "xilinx7", **UNSIGNED}, 8, 1),
    "MULT18X18D s8 x s8": ({"target": "ecp5"}, 8, 1),
    "MULT18X18D s8 x s8, nine rows": ({"target": "ecp5"}, 9, 2),
    "MULT18X18D u8 x u8": ({"target": "ecp5", **UNSIGNED}, 4, 1),
    "MULT18X18D s4 x s4": ({"target": "ecp5", **INT4}, 8, 1),
    "MULT18X18D s4 x u4": ({"target": "ecp5", **INT4, "act_signed": False}, 4, 1),
    "SB_MAC16 s8 x s8": ({"target": "ice40"}, 32, 1),
    "SB_MAC16 u8 x u8": ({"target": "ice40", **UNSIGNED}, 32, 1),
    "SB_MAC16 s4 x s4": ({"target": "ice40", **INT4}, 8, 1),
    "inferred s8 x s8": ({"target": "gowin", "packing": "int8x2"}, 8, 1),
}
SLOW = {
    name
    for name in BOUNDS
    if " x " in name and name.split()[0] in ("DSP48E1", "MULT18X18D", "SB_MAC16", "inferred")
}
SLOW -= {"DSP48E1 s8 x s8", "MULT18X18D s8 x s8", "MULT18X18D s4 x s4", "SB_MAC16 s8 x s8"}
CASES = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in BOUNDS]


@pytest.mark.parametrize("case", CASES)
def test_full_chains_of_extreme_operands_separate(case: str, agree: Callable[..., None]) -> None:
    parameters, rows, segments = BOUNDS[case]
    config = DspGemmConfig(
        **{"rows": rows, "cols": 2, "target": "ultrascale+", "tile_steps": 16, **parameters}
    )
    assert len(config.segments) == segments
    acts, weights = (config.act.low, config.act.high), (config.weight.low, config.weight.high)
    # Every pair of rows of A meets every pair of columns of B, each at one end of its range.
    a = np.array(list(itertools.product(acts, repeat=2)), np.int64).reshape(-1, 1).repeat(rows, axis=1)
    ops = [
        Gemm(a, np.array([columns], np.int64).repeat(rows, axis=0))
        for columns in itertools.product(weights, repeat=config.n_lanes)
    ]
    agree(config, ops)


@pytest.mark.parametrize("scheme", ["int8x2", "int4x4"])
@pytest.mark.parametrize("target", BLOCKS)
@pytest.mark.parametrize(("weight_signed", "act_signed"), SIGNS)
def test_the_separator_undoes_the_packing(
    scheme: str, target: str, weight_signed: bool, act_signed: bool
) -> None:
    bits = 8 if scheme == "int8x2" else 4
    p = packing(scheme, target, IntFormat(bits, weight_signed), IntFormat(bits, act_signed))
    rng = np.random.default_rng(7)
    shape = (400, p.max_terms)
    weights = p.weight.random(rng, (*shape, 2))
    acts = p.act.random(rng, (*shape, p.scheme.act_lanes))
    weights[:8] = np.array(list(itertools.product((p.weight.low, p.weight.high), repeat=3)))[:, None, :2]
    acts[:8] = np.where(np.arange(8) % 2, p.act.low, p.act.high)[:, None, None]
    sums = [(weights[..., f.weight_lane] * acts[..., f.act_lane]).sum(axis=1) for f in p.fields]
    packed, canaries = p.accumulate(weights, acts), p.canaries(weights, acts)

    block = Separate(p, p.max_terms, 2, primitive=True)
    found: list[list[int]] = []
    latency = block.style.separate_cycles(p)

    async def bench(ctx) -> None:
        for at in range(len(packed) + latency):
            if at >= latency:
                found.append([ctx.get(getattr(block, f"s_{i}")) + p.increment(i) for i in range(len(sums))])
            if at < len(packed):
                ctx.set(block.p, int(packed[at]))
                if block.canary_bits:
                    counts = (
                        int(count) << (i * block.canary_bits) for i, count in enumerate(canaries[at, 1:])
                    )
                    ctx.set(block.canary, sum(counts))
            await ctx.tick()

    simulator = Simulator(block)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    np.testing.assert_array_equal(np.array(found).T, sums)


LOW_PRODUCTS = [
    (left, right, bits) for left, right in itertools.product([(4, True), (3, False), (8, True)], repeat=2)
    for bits in (4, 5, 9) if left[0] + right[0] <= 12
]  # fmt: skip


@pytest.mark.parametrize(("left", "right", "bits"), LOW_PRODUCTS, ids=str)
def test_low_products_are_exact_for_every_operand(
    left: tuple[int, bool], right: tuple[int, bool], bits: int
) -> None:
    m = Module()
    a, b = (Signal(Shape(*shape)) for shape in (left, right))
    y = Signal(bits)
    m.d.comb += y.eq(low_product(m, "product", a, b, bits))
    ranges = [range(-(1 << (width - 1)) if sign else 0, 1 << (width - sign)) for width, sign in (left, right)]
    pairs = list(itertools.product(*ranges))
    found: list[int] = []

    async def bench(ctx) -> None:
        for at in range(len(pairs) + LOW_PRODUCT_CYCLES):
            if at >= LOW_PRODUCT_CYCLES:
                found.append(ctx.get(y))
            if at < len(pairs):
                ctx.set(a, pairs[at][0])
                ctx.set(b, pairs[at][1])
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert found == [x * y % (1 << bits) for x, y in pairs]
