"""Attention heads of MiniLM on an accelerator, from scores to results on the chip: error, cycles, all executors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.commands.executors import DRAM, harness, simulate
from hwgen.commands.targets import accelerator
from hwgen.compile.attention import Head, compile_attention
from hwgen.system.golden import Machine
from hwgen.system.values import Values
from hwgen.workloads.minilm_attention import load_attention

COMMAND = "python -m benchmarks.attention"
TARGET = "attention"
LAYER = 0


def measure(console: Console) -> list[Figure]:
    problem = load_attention([LAYER])[0]
    heads, tokens, features = problem.query.shape
    rows, figures = [], []
    for bits in (16, 8):
        config = replace(accelerator(TARGET, {}), softmax_bits=bits)
        worst, differences, cycles, products = 0.0, 0, 0, 0
        wanted, got = [], []
        for head in range(heads):
            matrices = (problem.query[head], problem.key[head], problem.value[head])
            steps = [float(np.abs(x).max()) / 127 for x in matrices]
            q, k, v = (np.rint(x / s).astype(np.int64) for x, s in zip(matrices, steps, strict=True))
            made = compile_attention(config, Head(tokens, tokens, features, steps[0] * steps[1]))
            memory = made.memory(q, k, v)
            machine = Machine(config, memory)
            machine.run(made.program.instructions)
            values = Values(config, memory[None].copy())
            values.run(made.program.instructions)
            differences += not np.array_equal(values.dram[0], machine.dram)
            told = simulate(config, made.program)
            result = made.output(machine.dram)
            logits = q @ k.T * (steps[0] * steps[1])
            weights = np.exp(logits - logits.max(axis=1, keepdims=True))
            exact = weights / weights.sum(axis=1, keepdims=True) @ v
            worst = max(worst, float(np.abs(result - exact).max()))
            wanted.append(exact * steps[2])
            got.append(result * steps[2])
            cycles += told.drained + 1
            products += 2 * tokens * tokens * features
            if head == 0 and bits == 16:
                memory_ = (DRAM.latency, DRAM.interval, DRAM.depth, DRAM.write_latency)
                seen = harness(config).run(
                    memory, made.image.program_address, len(made.program), dram=memory_
                )
                differences += not np.array_equal(seen.memory, machine.dram)
                differences += seen.cycles != told.drained + 1
        one, other = (np.concatenate(x, axis=1) for x in (wanted, got))
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (one, other)]
        turned = float((((unit[0] - unit[1]) ** 2).sum(axis=1) / 2).mean())
        rows.append(
            (f"{bits} bits", worst, turned, cycles // heads, products / config.macs_per_cycle / (cycles))
        )
        figures += [
            Figure(
                name=f"attention.{bits}_bits.largest_error", value=round(worst, 4), unit="steps of int8",
                command=COMMAND, goal=Goal("<=", 0.6) if bits == 16 else None, peer=0.5,
                peer_source="the exact result, correctly rounded",
            ),
            Figure(
                name=f"attention.{bits}_bits.differences", value=differences, unit="heads or cycles", command=COMMAND,
                goal=Goal("==", 0),
            ),
        ]  # fmt: skip
    title = f"MiniLM layer {LAYER}, {heads} heads, {tokens} tokens, int8 Q, K, V, on {TARGET}"
    heads_ = (
        "exponentials",
        "largest error, steps of int8",
        "1 - cosine, mean",
        "cycles per head",
        "DSP array used",
    )
    console.print(table(title, heads_, rows))
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
