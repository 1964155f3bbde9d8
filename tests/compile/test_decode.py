"""Chains of layers on a few vectors: golden model, simulator and Verilog give what the layers' mathematics gives."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.commands.executors import DRAM, harness, simulate
from hwgen.compile.decode import Decode, Linear, compile_decode
from hwgen.compile.network import Requantiser
from hwgen.errors import BadInput
from hwgen.parts.requantise.golden import requantise
from hwgen.parts.requantise.scales import scale_constants
from hwgen.parts.sparse import PATTERNS, prune
from hwgen.system.check import check, order
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.system.values import Values

SMALL = SystemConfig(
    lanes=16, dsp=False, sparse=True, sparse_rows=4, sparse_ways=2, sparse_depth=128, bus_bytes=32,
    sparse_value_words=512, sparse_index_words=256, parameter_words=64,
)  # fmt: skip
ONE_WAY = SystemConfig(lanes=16, dsp=False, sparse=True, sparse_rows=4, bus_bytes=16, sparse_value_words=2048)
WIDE = SystemConfig(lanes=16, sparse=True, sparse_ways=8, bus_bytes=64, sparse_depth=256)


def layers_of(config: SystemConfig, sizes, rng, firsts=(), bits=8) -> list[Linear]:
    """Random layers, every one with another pattern."""
    made = []
    for number, (k, n) in enumerate(sizes):
        half = 1 << (bits - 1)
        pattern = PATTERNS[int(rng.integers(1, len(PATTERNS)))]
        weight = np.asarray(prune(rng.integers(-half, half, (k, n)), pattern), np.int64)
        scale = 40 / (np.sqrt(k) * 70 * half / 2)
        multiplier, shift = scale_constants(np.full(n, scale), config.scale_bits)
        requantiser = Requantiser(rng.integers(-1000, 1000, n), multiplier, shift)
        first = firsts[number] if number < len(firsts) else 0
        made.append(Linear(f"l{number}", weight, requantiser, bits, first))
    return made


def result_of(layers: list[Linear], x: np.ndarray, times: int = 1) -> np.ndarray:
    """The chain from its mathematics."""
    for layer in layers * times:
        r = layer.requantiser
        part = x[:, layer.first : layer.first + len(layer.weight)]
        x = requantise(
            part @ layer.weight, r.bias, r.multiplier, r.shift, zero=r.zero, low=r.low, high=r.high, rounding=r.rounding
        )  # fmt: skip
    return x


def agree(made: Decode, x: np.ndarray, wanted: np.ndarray, *, rtl: bool = False) -> None:
    """The program is legal, and its executors give what is wanted."""
    config, program = made.config, made.program
    check(program, config, dram_bytes=made.image.bytes, program_address=made.image.program_address)
    memory = made.memory(x)
    golden = Machine(config, memory)
    golden.run(program.instructions[i] for i in order(program, config))
    np.testing.assert_array_equal(made.output(golden.dram), wanted)
    values = Values(config, memory[None].copy())
    values.run(program.instructions)
    np.testing.assert_array_equal(values.dram[0], golden.dram)
    if rtl:
        dram = (DRAM.latency, DRAM.interval, DRAM.depth, DRAM.write_latency)
        seen = harness(config).run(memory, made.image.program_address, len(program), dram=dram)
        np.testing.assert_array_equal(seen.memory, golden.dram)
        assert seen.cycles == simulate(config, program).drained + 1


CHAINS = {
    "odd": ([(40, 70), (64, 33), (33, 100)], ()),
    "one": ([(1, 1)], ()),
    "long": ([(96, 160), (160, 96), (96, 20)], ()),
    "parts of a result": ([(96, 160), (64, 96)], (0, 96)),
}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize(("config", "rows"), [(SMALL, 1), (SMALL, 2), (SMALL, 4), (ONE_WAY, 1), (WIDE, 1)])
def test_chains(chain, config, rows):
    sizes, firsts = CHAINS[chain]
    if rows > 1 and sizes[-1][1] % 32:  # rows of the result begin at a bus word
        sizes = [*sizes[:-1], (sizes[-1][0], 32)]
    rng = np.random.default_rng(len(chain))
    layers = layers_of(config, sizes, rng, firsts)
    x = rng.integers(-128, 128, (rows, sizes[0][0]))
    agree(compile_decode(config, layers, rows), x, result_of(layers, x))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_in_verilog(bits):
    rng = np.random.default_rng(bits)
    layers = layers_of(SMALL, [(64, 96), (96, 64)], rng, bits=bits)
    x = rng.integers(-128, 128, (1, 64))
    made = compile_decode(SMALL, layers, times=3)
    agree(made, x, result_of(layers, x, 3), rtl=True)


def test_pieces_hold_several_layers():
    rng = np.random.default_rng(5)
    layers = layers_of(WIDE, [(64, 64)] * 6, rng)
    made = compile_decode(WIDE, layers)
    loads = [one for one in made.program.instructions if one.mnemonic == "load.run"]
    assert made.pieces == 1
    assert len(loads) <= 5  # input, codes, values, indices, parameters
    assert made.shapes == ((64, 64),) * 6


def test_refusals():
    rng = np.random.default_rng(1)
    layers = layers_of(SMALL, [(32, 48), (48, 32)], rng)
    with pytest.raises(BadInput, match="need the sparse core; build the accelerator with sparse=true"):
        compile_decode(SystemConfig(), layers)
    with pytest.raises(BadInput, match="there must be at least one layer, not none"):
        compile_decode(SMALL, [])
    with pytest.raises(BadInput, match=r"rows must lie in 1\.\.4 on this accelerator, not 5"):
        compile_decode(SMALL, layers, 5)
    with pytest.raises(BadInput, match="times must be at least 1, not 0"):
        compile_decode(SMALL, layers, times=0)
    with pytest.raises(BadInput, match=r"layer 'l1' reads channels 16\.\.63 of 48"):
        compile_decode(SMALL, layers_of(SMALL, [(32, 48), (48, 32)], rng, (0, 16)))
    with pytest.raises(BadInput, match=r"layer 'l1' reads channels 8\.\.39 of 48"):
        compile_decode(SMALL, layers_of(SMALL, [(32, 48), (32, 32)], rng, (0, 8)))
    big = Linear("big", np.ones((4000, 16), np.int64), layers[0].requantiser)
    with pytest.raises(BadInput, match="layer 'big' does not fit: 32 of its outputs take more than half"):
        compile_decode(SMALL, [big])
