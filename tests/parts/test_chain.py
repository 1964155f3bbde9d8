"""Separation in hardware against exact integers, at the very bound of what a chain may accumulate."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from amaranth.sim import Simulator

from hwgen.cores.dsp_gemm import DspGemmConfig, Gemm
from hwgen.numerics import IntFormat
from hwgen.parts.chain.separate import Separate
from hwgen.parts.packing import packing

SIGNS = list(itertools.product((True, False), repeat=2))

# Rows at the bound and one beyond it, where the chain must split in two: (parameters, rows, segments).
BOUNDS = {
    "s4 x u4, eight rows": ({"act_bits": 4, "weight_bits": 4, "act_signed": False}, 8, 1),
    "s4 x u4, nine rows": ({"act_bits": 4, "weight_bits": 4, "act_signed": False}, 9, 2),
    "s4 x s4, seventeen rows": ({"act_bits": 4, "weight_bits": 4}, 17, 2),
    "s8 x u8, sixteen rows": ({"act_signed": False}, 16, 1),
    "u8 x u8, seventeen rows": ({"act_signed": False, "weight_signed": False}, 17, 2),
    "s8 x s8, thirty-two rows": ({}, 32, 1),
    "s8 x s8, thirty-three rows": ({}, 33, 2),
}


@pytest.mark.parametrize("case", BOUNDS)
def test_full_chains_of_extreme_operands_separate(case: str, agree: Callable[..., None]) -> None:
    parameters, rows, segments = BOUNDS[case]
    config = DspGemmConfig(rows=rows, cols=2, target="ultrascale+", tile_steps=16, **parameters)
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
@pytest.mark.parametrize(("weight_signed", "act_signed"), SIGNS)
def test_the_separator_undoes_the_packing(scheme: str, weight_signed: bool, act_signed: bool) -> None:
    bits = 8 if scheme == "int8x2" else 4
    p = packing(scheme, "ultrascale+", IntFormat(bits, weight_signed), IntFormat(bits, act_signed))
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

    async def bench(ctx) -> None:
        for word, counts in zip(packed.tolist(), canaries.tolist(), strict=True):
            ctx.set(block.p, word)
            if block.canary_bits:
                # The count in hardware starts from zero, like the sums of the top field.
                ctx.set(block.canary, counts[-1])
            await ctx.tick()
            found.append([ctx.get(getattr(block, f"s_{i}")) + p.increment(i) for i in range(len(sums))])

    simulator = Simulator(block)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    np.testing.assert_array_equal(np.array(found).T, sums)
