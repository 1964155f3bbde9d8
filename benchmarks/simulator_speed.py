"""A whole forward pass of MiniLM in the simulator, beside the same Verilog in the compiled harness."""

from __future__ import annotations

import numpy as np
from rich.console import Console

from benchmarks.common import Figure, Goal, main, median_seconds, table
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig, Gemm, Shape
from hwgen.verify.block import Block
from hwgen.verify.stimulus import patterns, stimulus
from hwgen.workloads import minilm_gemms
from sim import simulate

COMMAND = "python -m benchmarks.simulator_speed"
CONFIG = DspGemmConfig(rows=16, cols=16, target="ultrascale+")
SEQUENCE = 128
PREFIX = 6  # GEMMs: the three projections and the scores of three heads
REPEATS = 5


def measure(console: Console) -> list[Figure]:
    rng = np.random.default_rng(0)
    ops = [
        Gemm(rng.integers(-128, 128, (s.m, s.k), np.int8), rng.integers(-128, 128, (s.k, s.n), np.int8))
        for s in minilm_gemms(SEQUENCE)
        for _ in range(s.repeat)
    ]
    model = CORE.timing(CONFIG)
    shapes = [Shape.of(op) for op in ops]
    cycles = simulate(model, shapes).cycles
    timing = median_seconds(lambda: simulate(model, shapes), REPEATS)
    values = median_seconds(lambda: simulate(model, ops, values=lambda o: CORE.values(CONFIG, o)), REPEATS)

    block = Block(CORE, CONFIG)
    harness = block.harness()
    prefix = ops[:PREFIX]
    made = stimulus(CORE, CONFIG, prefix, patterns("free", block.streams, 0))
    runs = [harness.run(made) for _ in range(3)]
    seen = sorted(runs, key=lambda run: run.seconds)[1]
    simulated = simulate(model, prefix, values=lambda o: CORE.values(CONFIG, o))
    assert simulated.cycles == seen.cycles, "simulator and Verilog differ in cycles"
    assert simulated.outputs is not None
    for ours, theirs in zip(simulated.outputs, CORE.collect(CONFIG, prefix, seen.outputs), strict=True):
        np.testing.assert_array_equal(ours, theirs)

    rate = seen.simulated / seen.seconds
    source = (
        f"the Verilog in the compiled harness on the first {PREFIX} GEMMs of the same list "
        f"({seen.cycles:,} cycles, values and cycles equal), one thread, measured in this run"
    )
    rows = [
        ("simulator, timing only", len(ops), cycles, timing, cycles / timing),
        ("simulator, with values", len(ops), cycles, values, cycles / values),
        ("Verilog, compiled harness", PREFIX, seen.cycles, seen.seconds, rate),
        ("Verilog, whole pass (extrapolated)", len(ops), cycles, cycles / rate, rate),
    ]
    heads = ("16 x 16 INT8, MiniLM", "GEMMs", "cycles", "seconds", "cycles per second")
    console.print(table(f"Forward pass of {SEQUENCE} tokens, medians", heads, rows))
    return [
        Figure(
            name=f"simulator_speed.{name}",
            value=round(cycles / seconds),
            unit="cycles/s",
            command=COMMAND,
            goal=Goal(">=", bound, over_peer=True),
            peer=round(rate),
            peer_source=source,
        )
        for name, seconds, bound in (("timing_only", timing, 1000), ("with_values", values, 100))
    ]


if __name__ == "__main__":
    main(measure, __doc__)
