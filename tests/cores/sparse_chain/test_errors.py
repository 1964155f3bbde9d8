"""Codes and indices that nobody packed: the output ``error``, which is no stream, and results that still end."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwgen.cores.sparse_chain import CORE, SparseChainConfig, SparseProduct
from hwgen.numerics import IntFormat, ceil_div
from hwgen.parts.sparse import BLOCK, PATTERNS, pattern_named, prune
from hwgen.streams import Field, Stream
from hwgen.verify.block import Block
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import Observation, Stimulus

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "shallow": {"rows": 4, "ways": 2, "depth": 64, "sum_words": 16},
    "deeper": {"rows": 2, "depth": 1024, "narrow": False, "target": "ultrascale+"},
}
RISES = Stream("error", "out", (Field("error", 1, IntFormat(1, False), "a beat when `error` rises"),), "")


def _wrapper(streams: tuple[Stream, ...]) -> str:
    """The block with a stream more: a beat whenever ``error`` changes."""
    ports, links = [], []
    for s in streams:
        into = s.direction == "in"
        names = {"tdata": (into, 8 * s.bytes), "tvalid": (into, 1), "tready": (not into, 1)}
        if s.last:
            names["tlast"] = (into, 1)
        for name, (is_input, width) in names.items():
            kind = "input" if is_input else "output"
            ports.append(f"{kind} wire [{width - 1}:0] {s.prefix}_{name}")
            links.append(f".{s.prefix}_{name}({s.prefix}_{name})")
    error = RISES.prefix
    ports += [f"output wire [7:0] {error}_tdata", f"output wire {error}_tvalid", f"input wire {error}_tready"]
    return f"""
module with_error(input wire clk, input wire rst, {", ".join(ports)});
    wire error;
    reg was;
    always @(posedge clk) was <= !rst & error;
    assign {error}_tdata = {{7'b0, error}};
    assign {error}_tvalid = !rst & (error != was);
    {CORE.name} block(.clk(clk), .rst(rst), .error(error), {", ".join(links)});
endmodule
"""


@functools.cache
def _watched(name: str) -> tuple[SparseChainConfig, Harness]:
    config = SparseChainConfig(**CONFIGURATIONS[name])
    block = Block(CORE, config)
    path = block.sources[0].with_name("with_error.v")
    path.write_text(_wrapper(config.streams), encoding="utf-8")
    streams = (*config.streams, RISES)
    return config, Harness([*block.sources, path], "with_error", streams, block.emission.repeated)


def _run(harness: Harness, base: Stimulus, errors: int, **inputs: np.ndarray) -> Observation:
    expected = {**base.expected, "error": errors}
    gates = {**base.gates, "error": np.ones(1, np.bool_)}
    return harness.run(Stimulus({**base.inputs, **inputs}, expected, gates))


def _product(config: SparseChainConfig, codes: list[list[int]]) -> SparseProduct:
    """Blocks of these codes, so many that some pass' last word of codes is not full."""
    rng = np.random.default_rng(1)
    shape = (BLOCK * len(codes[0]), BLOCK * len(codes))
    weights = prune(rng.integers(1, 128, shape), np.array(codes))
    return SparseProduct(rng.integers(-128, 128, (config.rows, shape[0])), weights)


@pytest.mark.parametrize("regime", ["free", "both"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_codes_of_patterns_raise_no_error(name: str, regime: str, stimulus: Callable[..., Stimulus]) -> None:
    config, harness = _watched(name)
    ops = CORE.random_operations(config, 12, np.random.default_rng(2))
    seen = _run(harness, stimulus(config, ops, regime), 0)
    for got, expected in zip(CORE.collect(config, ops, seen.outputs), CORE.golden(config, ops), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("code", range(8, 16))
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_an_unknown_code_is_an_empty_block_and_an_error(
    name: str, code: int, stimulus: Callable[..., Stimulus]
) -> None:
    config, harness = _watched(name)
    op = _product(config, [[1, 0], [7, 2]])
    base = stimulus(config, [op])
    codes = config.streams[2].unpack(base.inputs["code"])[0]
    assert codes[0, 1] == 0
    codes[0, 1] = code
    seen = _run(harness, base, 1, code=config.streams[2].pack(codes))
    np.testing.assert_array_equal(CORE.collect(config, [op], seen.outputs)[0], CORE.golden(config, [op])[0])


@pytest.mark.parametrize("pattern", PATTERNS[1:], ids=str)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_broken_code_drops_its_block_and_no_result(
    name: str, pattern: Any, stimulus: Callable[..., Stimulus]
) -> None:
    """The last block's code is overwritten: neither its slots are taken nor is a word of C missing or too many."""
    config, harness = _watched(name)
    op = _product(config, [[4, 3], [5, pattern.code]])
    base = stimulus(config, [op])
    without = SparseProduct(
        op.a, op.b * np.pad(np.zeros((BLOCK, BLOCK), int), [(BLOCK, 0)] * 2, constant_values=1)
    )
    rest = stimulus(config, [without])
    codes = config.streams[2].unpack(base.inputs["code"])[0]
    codes[-1, 1] = 9
    inputs = {"code": config.streams[2].pack(codes)} | {
        name: rest.inputs[name] for name in ("value", "index")
    }
    seen = _run(harness, base, 1, **inputs)
    assert len(seen.transfers["c"]) == base.expected["c"]
    expected = CORE.golden(config, [without])[0]
    np.testing.assert_array_equal(CORE.collect(config, [op], seen.outputs)[0], expected)


@pytest.mark.parametrize("place", range(2, BLOCK))
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_code_behind_the_last_block_is_an_error(
    name: str, place: int, stimulus: Callable[..., Stimulus]
) -> None:
    config, harness = _watched(name)
    op = _product(config, [[4, 3], [5, 1]])
    base = stimulus(config, [op])
    codes = config.streams[2].unpack(base.inputs["code"])[0]
    codes[-1, place] = pattern_named("1:16").code
    # Its slot needs a word of each; the words of rows that are not full are zero.
    more = {}
    for stream, words in (("value", 8 + 4 + 16 + 1), ("index", 8 + 4 + 1)):
        rows = ceil_div(words + 1, config.ways) - ceil_div(words, config.ways)
        more[stream] = np.vstack([base.inputs[stream], np.zeros_like(base.inputs[stream][:rows])])
    seen = _run(harness, base, 1, code=config.streams[2].pack(codes), **more)
    np.testing.assert_array_equal(CORE.collect(config, [op], seen.outputs)[0], CORE.golden(config, [op])[0])


@pytest.mark.parametrize("step", [1, 2, 3, 5])
@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("position", [0, 9, 15])
def test_indices_that_do_not_ascend_are_an_error(
    position: int, spread: bool, step: int, stimulus: Callable[..., Stimulus]
) -> None:
    """Four slots of a block; one points where the one before it does. All results come, one column is wrong."""
    config, harness = _watched("shallow")
    op = _product(config, [[3, 3], [3, 3]])
    op = SparseProduct(op.a[: config.rows // config.ways] if spread else op.a, op.b, spread=spread)
    base = stimulus(config, [op])
    words = base.inputs["index"].reshape(-1, BLOCK // 2).copy()
    # A word of each way for each step, or the steps of the only way one after the other.
    way, ways = (1, config.ways) if spread else (0, 1)
    at, before = words[step * ways + way], words[(step - 1) * ways + way]
    mask = np.uint8(0xF0 if position % 2 else 0x0F)
    at[position // 2] = (at[position // 2] & ~mask) | (before[position // 2] & mask)
    seen = _run(harness, base, 1, index=words.reshape(base.inputs["index"].shape))
    wrong = CORE.collect(config, [op], seen.outputs)[0] != CORE.golden(config, [op])[0]
    assert set(np.flatnonzero(wrong.any(axis=0))) == {BLOCK * way + position}
