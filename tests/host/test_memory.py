# amaranth: UnusedElaboratable=no
"""The memory on the chip is the simulator's memory, to the cycle; a host beside it gets and leaves the right words."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

from hwgen.emit import emit
from hwgen.errors import BadInput
from hwgen.host.config import MEMORY_LATENCY, MEMORY_WRITE_LATENCY
from hwgen.host.memory import OnChipMemory
from hwgen.host.model import compiled

HERE = Path(__file__).parent
CONTRACT = HERE.parents[1] / "sim" / "dram.hpp"


@cache
def model(size: int, bus: int, depth: int) -> Path:
    facts = {"SIZE": size, "BUS_BYTES": bus, "DEPTH": depth}
    facts |= {"LATENCY": MEMORY_LATENCY, "WRITE_LATENCY": MEMORY_WRITE_LATENCY}
    constants = "".join(f"constexpr uint64_t {name} = {value};\n" for name, value in facts.items())
    text = (
        CONTRACT.read_text().replace("#pragma once", "") + constants + (HERE / "memory_bench.cpp").read_text()
    )
    made = emit(OnChipMemory(size, 16, bus, depth), "on_chip_memory", {"hwgen": "test"})
    return compiled(made, f"on_chip_memory_{size}_{bus}_{depth}", text, [])


def run(shape: tuple[int, int, int], seed: int, cycles: int, *, host: bool) -> list[int]:
    done = subprocess.run(
        [model(*shape), str(seed), str(cycles), str(int(host))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


SHAPES = [
    (4 * 4096, 8, 4),
    *(pytest.param(s, marks=pytest.mark.slow) for s in ((2 * 4096, 64, 2), (6 * 4096, 16, 8))),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_keeps_the_contract_in_every_cycle(shape: tuple[int, int, int]) -> None:
    for seed in range(1, 5):
        reads, writes, _ = run(shape, seed, 100_000, host=False)
        assert min(reads, writes) > 300


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_host_beside_it(shape: tuple[int, int, int]) -> None:
    for seed in range(11, 15):
        reads, writes, words = run(shape, seed, 100_000, host=True)
        assert min(reads, writes, words) > 150


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4095, 16, 8, 4), "size_bytes must be an integer in 4096..65536, not 4095"),
        ((5000, 16, 8, 4), "size_bytes must be a multiple of 4096, not 5000"),
        ((4096, 16, 12, 4), "bus_bytes must be a power of two, not 12"),
        ((4096, 16, 8, 1), "depth must be an integer in 2..64, not 1"),
    ],
)
def test_wrong_sizes_are_refused(shape: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(BadInput, match=f"^{message}$"):
        OnChipMemory(*shape)
