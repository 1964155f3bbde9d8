"""Attention heads of MiniLM with a sliding window and sinks: cycles beside the dense program, errors of the mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.commands.executors import DRAM, harness, simulate
from hwgen.commands.targets import accelerator
from hwgen.compile.attention import Attention, Head, compile_attention
from hwgen.compile.masks import WindowMask
from hwgen.numerics import IntArray
from hwgen.system.amounts import amounts
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.system.values import Values
from hwgen.workloads.minilm import load_sentences
from hwgen.workloads.minilm_attention import join_sentences, load_attention

COMMAND = "python -m benchmarks.sparse_attention"
TARGET = "attention"
LAYER = 0
WINDOWS = (64, 128, 256)
SINKS = 16
ROWS = 16
"""Queries of a block: two tiles, so that no pass waits for its weights."""

Floats = npt.NDArray[np.float64]


def _operands() -> Iterator[tuple[tuple[IntArray, IntArray, IntArray], float]]:
    """Integers of every head's Q, K and V, and what a product of Q and K is worth."""
    problem = load_attention([LAYER], [join_sentences(load_sentences(), 7)])[0]
    for matrices in zip(problem.query, problem.key, problem.value, strict=True):
        steps = [float(np.abs(x).max()) / 127 for x in matrices]
        q, k, v = (np.rint(x / step).astype(np.int64) for x, step in zip(matrices, steps, strict=True))
        yield (q, k, v), steps[0] * steps[1]


def _exact(q: IntArray, k: IntArray, v: IntArray, scale: float, seen: npt.NDArray[np.bool_]) -> Floats:
    """Attention in double, of the pairs that are seen."""
    logits = np.where(seen, q @ k.T * scale, -np.inf)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Floats = weights / weights.sum(axis=1, keepdims=True) @ v
    return found


def _turned(wanted: list[Floats], got: list[Any]) -> float:
    """One minus the cosine of all heads' results together, in the mean over the tokens."""
    unit = []
    for results in (wanted, got):
        joined = np.concatenate(results, axis=1)
        unit.append(joined / np.linalg.norm(joined, axis=1, keepdims=True))
    return float((((unit[0] - unit[1]) ** 2).sum(axis=1) / 2).mean())


def _results(made: Attention, operands: tuple[IntArray, IntArray, IntArray]) -> IntArray:
    values = Values(made.config, made.memory(*operands)[None])
    values.run(made.program.instructions)
    return made.output(values.dram[0])


def _differences(config: SystemConfig, operands: tuple[IntArray, IntArray, IntArray], head: Head) -> int:
    """Whether the executors differ on one head: values of all three, cycles of simulator and Verilog."""
    made = compile_attention(config, head)
    memory = made.memory(*operands)
    machine = Machine(config, memory.copy())
    machine.run(made.program.instructions)
    settings = (DRAM.latency, DRAM.interval, DRAM.depth, DRAM.write_latency)
    seen = harness(config).run(memory, made.image.program_address, len(made.program), dram=settings)
    return (
        int(not np.array_equal(_results(made, operands), made.output(machine.dram)))
        + int(not np.array_equal(seen.memory, machine.dram))
        + int(seen.cycles != simulate(config, made.program).drained + 1)
    )


def _cycles(made: Attention) -> int:
    return simulate(made.config, made.program).drained + 1


def _macs(made: Attention) -> int:
    return int(amounts(made.config, made.program.body).macs.sum())


def measure(console: Console) -> list[Figure]:
    config = accelerator(TARGET, {})
    problems = list(_operands())
    tokens, features = problems[0][0][0].shape
    rows: list[tuple[object, ...]] = []
    figures = []
    for causal in (False, True):
        name = "causal" if causal else "two_sided"
        dense = Head(tokens, tokens, features, problems[0][1], causal=causal)
        whole = compile_attention(config, dense)
        slow, most = _cycles(whole), _macs(whole)
        everything = WindowMask(tokens).wanted(tokens, tokens, causal=causal)
        full = [_exact(*operands, scale, everything) for operands, scale in problems]
        rows.append((f"{name}, dense", 0, slow, 1, 1, most / config.macs_per_cycle / slow, "", "", ""))
        for window in (*WINDOWS, tokens) if causal else WINDOWS:
            mask = WindowMask(window, SINKS, ROWS)
            seen = mask.pairs(tokens, tokens, config.lanes, causal=causal)
            wanted, got, worst = [], [], 0.0
            for operands, scale in problems:
                made = compile_attention(config, replace(dense, logit_scale=scale, mask=mask))
                result = _results(made, operands)
                wanted.append(_exact(*operands, scale, seen))
                got.append(result)
                worst = max(worst, float(np.abs(result - wanted[-1]).max()))
            # Every head of a size takes the same cycles.
            fast, done = _cycles(made), _macs(made)
            speed_up, ideal = slow / fast, most / done
            rows.append(
                (
                    f"{name}, window {window}", 1 - done / most, fast, speed_up, speed_up / ideal,
                    done / config.macs_per_cycle / fast, worst, _turned(wanted, got), _turned(full, wanted),
                )
            )  # fmt: skip
            figures += [
                Figure(
                    name=f"sparse_attention.{name}.window_{window}.speed_up", value=round(speed_up, 3),
                    unit="x dense", command=COMMAND, goal=Goal(">=", 0.85, over_peer=True), peer=round(ideal, 3),
                    peer_source="score tiles of the dense program over those that the mask keeps",
                ),
                Figure(
                    name=f"sparse_attention.{name}.window_{window}.largest_error", value=round(worst, 4),
                    unit="steps of int8", command=COMMAND, goal=Goal("<=", 0.6), peer=0.5,
                    peer_source="exact attention with the same mask, correctly rounded",
                ),
            ]  # fmt: skip
    title = (
        f"MiniLM layer {LAYER}, {len(problems)} heads, {tokens} tokens, {SINKS} sinks, blocks of {ROWS} queries, "
        f"on {TARGET}.\nskipped: share of the score tiles; cycles of a head; largest error in steps of int8, and "
        "1 - cosine, beside exact attention with the same mask; of the mask: 1 - cosine of that beside full attention"
    )
    heads = (
        "mask", "skipped", "cycles", "speed-up", "of ideal", "DSP used", "largest error", "1 - cosine", "of the mask",
    )  # fmt: skip
    console.print(table(title, heads, rows))

    scale = problems[0][1]
    heights = []
    for height in (config.lanes, 2 * config.lanes, 4 * config.lanes, 8 * config.lanes):
        cycles = [
            _cycles(
                compile_attention(
                    config,
                    Head(tokens, tokens, features, scale, True, mask=WindowMask(window, SINKS, height)),
                )
            )
            for window in WINDOWS
        ]
        heights.append((height, *cycles))
    console.print(
        table("Cycles per causal head by height of a block", ("queries", *map(str, WINDOWS)), heights)
    )

    one = Head(1, tokens, features, scale, True)
    slow = _cycles(compile_attention(config, one))
    steps = [("dense", slow, 1.0)]
    for window in WINDOWS:
        fast = _cycles(compile_attention(config, replace(one, mask=WindowMask(window, SINKS))))
        steps.append((f"window {window}", fast, slow / fast))
    console.print(table(f"One query, {tokens} keys from DRAM", ("mask", "cycles", "speed-up"), steps))

    small = 80
    differences = 0
    for causal in (False, True):
        part = tuple(x[:small] for x in problems[0][0])
        head = Head(small, small, features, scale, causal, mask=WindowMask(16, 4, ROWS))
        differences += _differences(config, (part[0], part[1], part[2]), head)
    figures.append(
        Figure(
            name="sparse_attention.differences", value=differences, unit="values or cycles", command=COMMAND,
            goal=Goal("==", 0),
        )
    )  # fmt: skip
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
