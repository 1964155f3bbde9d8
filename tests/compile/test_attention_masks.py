"""Attention with a mask: the mathematics of its pairs, all executors, and that what is skipped is not done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwgen.commands.executors import harness, simulate
from hwgen.compile.attention import Attention, Head, compile_attention
from hwgen.compile.masks import WindowMask
from hwgen.errors import BadInput
from hwgen.system.amounts import amounts
from hwgen.verify.sweep import CI
from sim.machine import Dram
from tests.compile.test_attention import DRAM, config, exact, operands, run

HEADS = {
    "no sinks": Head(40, 40, 8, 0.001, mask=WindowMask(5)),
    "one sink": Head(40, 40, 8, 0.001, mask=WindowMask(5, 1)),
    "several sinks": Head(61, 61, 12, 0.002, mask=WindowMask(9, 19)),
    "causal, no sinks": Head(40, 40, 8, 0.001, causal=True, mask=WindowMask(1)),
    "causal, one sink": Head(45, 45, 5, 0.003, causal=True, mask=WindowMask(6, 1)),
    "causal, several sinks": Head(61, 61, 20, 0.001, causal=True, mask=WindowMask(9, 19)),
    "causal, with a past": Head(11, 90, 16, 0.002, causal=True, mask=WindowMask(10, 5)),
    "one query": Head(1, 100, 8, 0.002, causal=True, mask=WindowMask(20, 4)),
    "one query, one key": Head(1, 1, 1, 0.1, mask=WindowMask(1)),
    "high blocks": Head(90, 90, 8, 0.001, causal=True, mask=WindowMask(7, 3, rows=40)),
    "low blocks": Head(23, 23, 8, 0.001, causal=True, mask=WindowMask(7, 3, rows=3)),
    "more queries than keys": Head(30, 19, 8, 0.001, mask=WindowMask(14, 0)),
    "wide heads": Head(33, 33, 40, 0.001, mask=WindowMask(3, 1)),
    "flat, so that keys that only fill a word would count": Head(37, 37, 8, 1e-9, mask=WindowMask(5, 1)),
    "one key takes all": Head(40, 40, 32, 0.05, causal=True, mask=WindowMask(6, 2)),
}


def pairs(head: Head, lanes: int) -> Any:
    assert head.mask is not None
    return head.mask.pairs(head.queries, head.keys, lanes, causal=head.causal)


def macs(made: Attention) -> int:
    return int(amounts(made.config, made.program.body).macs.sum())


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(("lanes", "bus"), [(4, 8), (4, 64), (8, 16), (16, 8)])
def test_masked_heads_are_as_good_as_rounding(name: str, lanes: int, bus: int) -> None:
    head = HEADS[name]
    q, k, v = operands(head)
    made = compile_attention(config(lanes, bus_bytes=bus), head)
    # As for the dense head: half a step is rounding, the rest logits and exponentials.
    assert np.abs(run(made, q, k, v) - exact(head, q, k, v, pairs(head, lanes))).max() <= 0.5 + 0.25


@pytest.mark.parametrize("name", HEADS)
def test_eight_bits_are_near(name: str) -> None:
    head = HEADS[name]
    q, k, v = operands(head)
    made = compile_attention(config(8, softmax_bits=8, act_banks=2), head)
    assert np.abs(run(made, q, k, v) - exact(head, q, k, v, pairs(head, 8))).max() <= 2.5


@pytest.mark.parametrize("lanes", [4, 8])
def test_skipped_tiles_are_not_computed(lanes: int) -> None:
    for head in HEADS.values():
        made = compile_attention(config(lanes), head)
        chunks = -(-head.features // lanes)
        kept = sum(block.kept * block.rows for block in head.blocks(lanes))
        # A word of scores costs `chunks` words of Q, and each of its two digits `chunks` words of V.
        assert macs(made) == 3 * kept * chunks * lanes**2


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", [WindowMask(50), WindowMask(1000, 3), WindowMask(1, 50)])
def test_a_window_over_all_keys_is_the_dense_head(causal: bool, mask: WindowMask) -> None:
    head = Head(50, 50, 12, 0.002, causal=causal)
    q, k, v = operands(head, 5)
    dense = compile_attention(config(8), head)
    masked = compile_attention(config(8), replace(head, mask=mask))
    np.testing.assert_array_equal(run(masked, q, k, v), run(dense, q, k, v))
    if causal:  # tiles behind the diagonal are skipped
        assert macs(masked) < 0.7 * macs(dense)
    else:
        assert masked.program.body == dense.program.body


def test_keys_that_nobody_sees_are_not_loaded() -> None:
    head = Head(3, 400, 8, 0.002, causal=True, mask=WindowMask(30, 4))
    small = config(8, weight_words=128, act_words=128)
    with pytest.raises(BadInput, match="keys and values take 800 words of weights"):
        compile_attention(small, replace(head, mask=None))
    made = compile_attention(small, head)
    q, k, v = operands(head)
    result = run(made, q, k, v)
    assert np.abs(result - exact(head, q, k, v, pairs(head, 8))).max() <= 0.75
    unseen = ~pairs(head, 8).any(axis=0)
    assert unseen.sum() > 300
    k[unseen], v[unseen] = 127, -128
    np.testing.assert_array_equal(run(made, q, k, v), result)
    read = int(amounts(made.config, made.program.body).read.sum())
    assert read < 8 * (3 + 3 * 8 * 6) + 400  # queries; keys twice and values of six tiles; constants


VERILOG = {
    "window": Head(17, 17, 6, 0.004, mask=WindowMask(3)),
    "one sink": Head(22, 22, 6, 0.004, causal=True, mask=WindowMask(5, 1)),
    "several sinks": Head(24, 24, 4, 0.004, causal=True, mask=WindowMask(3, 6, rows=8)),
    "one query": Head(1, 60, 6, 0.004, causal=True, mask=WindowMask(9, 2)),
}


@pytest.mark.parametrize("name", VERILOG)
@pytest.mark.parametrize("dram", [DRAM, (1, 1, 1, 1), (150, 3, 4, 90)])
def test_the_verilog_has_the_same_values_and_cycles(name: str, dram: tuple[int, int, int, int]) -> None:
    head = VERILOG[name]
    made = compile_attention(CI["softmax"], head)
    q, k, v = operands(head, 3)
    memory = made.memory(q, k, v)
    seen = harness(made.config).run(memory, made.image.program_address, len(made.program), dram=dram)
    assert not seen.registers["ERROR"]
    np.testing.assert_array_equal(made.output(seen.memory), run(made, q, k, v))
    memory_model = Dram(latency=dram[0], interval=dram[1], depth=dram[2], write_latency=dram[3])
    assert seen.cycles == simulate(made.config, made.program, memory_model).drained + 1


def test_fewer_tiles_are_fewer_cycles() -> None:
    big = config(8, bus_bytes=16, act_words=8192)
    head = Head(200, 200, 16, 0.001, causal=True)
    masks = [None, WindowMask(200, rows=16), WindowMask(64, 8, rows=16), WindowMask(16, 8, rows=16)]
    cycles = [
        simulate(big, compile_attention(big, replace(head, mask=mask)).program).drained for mask in masks
    ]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > 3.5 * cycles[-1]


REFUSED = {
    "no past": (Head(3, 2, 8, 1.0, causal=True, mask=WindowMask(2)), "as many keys as queries, 3, not 2"),
    "no key": (Head(30, 9, 8, 1.0, mask=WindowMask(2)), "queries from 16 on see none of the 9 keys"),
    "long rows": (Head(8, 1200, 8, 1.0, mask=WindowMask(1000)), "1008 keys are rows of 126 words"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_sentence(case: str) -> None:
    head, text = REFUSED[case]
    with pytest.raises(BadInput, match=text):
        compile_attention(config(8), head)
