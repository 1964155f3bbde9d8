"""Matrix-vector mode: weights of MiniLM's layers through the sparse core, token after token, and memory's limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.commands.executors import DRAM, harness, simulate
from hwgen.commands.targets import accelerator
from hwgen.compile.decode import Decode, Linear, compile_decode
from hwgen.compile.network import Requantiser
from hwgen.numerics import IntArray
from hwgen.parts.requantise.golden import requantise
from hwgen.parts.requantise.scales import scale_constants
from hwgen.parts.sparse import pattern_named, prune
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.system.values import Values
from hwgen.workloads.minilm import load_layer
from hwgen.workloads.shapes import MINILM_LAYERS

COMMAND = "python -m benchmarks.sparse_decode"
TARGET = "sparse_u280"
PATTERNS = ("16:16", "8:16", "4:16", "2:16", "2:4", "1:4", "1:16")
MEMORY_BOUND = ("16:16", "8:16", "4:16", "2:4")
IN_VERILOG = "4:16"
TOKENS = 4
LATENCIES = (20, 60)


def measure(console: Console) -> list[Figure]:
    config = accelerator(TARGET, {})
    matrices = [problem.weights.astype(np.int64) for n in range(MINILM_LAYERS) for problem in load_layer(n)]
    x = load_layer(0)[0].activations[:1].astype(np.int64)
    rows, figures = [], []
    differences = 0
    for name in PATTERNS:
        layers, result = chain(config, matrices, x, name)
        made = compile_decode(config, layers, times=TOKENS)
        memory = made.memory(x)
        values = Values(config, memory[None].copy())
        values.run(made.program.instructions)
        differences += not np.array_equal(made.output(values.dram[0]), result)
        for latency in LATENCIES:
            dram = replace(DRAM, latency=latency)
            cycles = simulate(config, made.program, dram=dram).drained + 1
            share = sum(made.weight_bytes.values()) / config.bus_bytes / cycles
            rows.append(row(config, name, made, latency, cycles, share))
            figures.append(
                Figure(
                    name=f"sparse_decode.{name.replace(':', '_of_')}.latency_{latency}", value=round(share, 4),
                    unit="of the memory's bandwidth", command=COMMAND,
                    goal=Goal(">=", 0.95) if name in MEMORY_BOUND and latency == DRAM.latency else None, peer=0.659,
                    peer_source="FlightLLM on a U280, LLaMA2-7B (arXiv 2401.03868); published, not run here",
                )
            )  # fmt: skip
        if name == IN_VERILOG:
            differences += in_verilog(config, made, memory)
    columns = (
        "pattern", "latency", "values", "indices", "parameters", "of dense", "pieces", "cycles", "memory", "chains",
        "share", "limit",
    )  # fmt: skip
    title = (
        f"{TOKENS} tokens through {len(matrices)} matrices of MiniLM on {TARGET}: bytes of weights; cycles, at least "
        f"for memory ({config.bus_bytes} bytes each) and chains; share of the bandwidth"
    )
    console.print(table(title, columns, rows))
    figures.append(
        Figure(
            name="sparse_decode.differences", value=differences, unit="of values, cycles", command=COMMAND,
            goal=Goal("==", 0),
        )
    )  # fmt: skip
    return figures


def chain(
    config: SystemConfig, matrices: list[IntArray], x: IntArray, pattern: str
) -> tuple[list[Linear], IntArray]:
    """Layers one after the other, each result spread over int8; and the result, from the mathematics."""
    layers: list[Linear] = []
    for number, dense in enumerate(matrices):
        weight = np.asarray(prune(dense, pattern_named(pattern)), np.int64)
        sums = x @ weight
        scale = np.full(weight.shape[1], 127 / max(1, int(np.abs(sums).max())))
        multiplier, shift = scale_constants(scale, config.scale_bits)
        requantiser = Requantiser(np.zeros(weight.shape[1], np.int64), multiplier, shift)
        layers.append(Linear(f"matrix {number}", weight, requantiser))
        r = requantiser
        x = requantise(sums, r.bias, multiplier, shift, zero=0, low=-128, high=127, rounding=r.rounding)
    for layer in layers * (TOKENS - 1):
        r = layer.requantiser
        x = requantise(
            x @ layer.weight, r.bias, r.multiplier, r.shift, zero=0, low=-128, high=127, rounding=r.rounding
        )
    return layers, x


def row(
    config: SystemConfig, name: str, made: Decode, latency: int, cycles: int, share: float
) -> tuple[object, ...]:
    """A line of the table."""
    sizes = made.weight_bytes
    size = sum(sizes.values())
    dense = TOKENS * sum(k * n for k, n in made.shapes)
    chains = dense * pattern_named(name).slots / 16 / (config.sparse_ways * 16)
    memory = size / config.bus_bytes
    if cycles <= 1.06 * memory:
        limit = "memory: " + ("values" if sizes["value"] >= sizes["index"] else "indices")
    else:
        limit = "chains" if cycles <= 1.06 * chains else "layers in turn"
    return (
        name, latency, sizes["value"], sizes["index"], sizes["parameter"], round(size / dense, 3), made.pieces, cycles,
        round(memory), round(chains), round(share, 4), limit,
    )  # fmt: skip


def in_verilog(config: SystemConfig, made: Decode, memory: npt.NDArray[np.uint8]) -> int:
    """Differences between golden model, simulator and Verilog."""
    machine = Machine(config, memory)
    machine.run(made.program.instructions)
    told = simulate(config, made.program)
    seen = harness(config).run(
        memory, made.image.program_address, len(made.program),
        dram=(DRAM.latency, DRAM.interval, DRAM.depth, DRAM.write_latency),
    )  # fmt: skip
    return int(not np.array_equal(seen.memory, machine.dram)) + int(seen.cycles != told.drained + 1)


if __name__ == "__main__":
    main(measure, __doc__)
