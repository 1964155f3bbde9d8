"""Cycles per second of the compiled harness and of cocotb, same Verilog, same stimulus, same Verilator."""

from __future__ import annotations

import statistics

import numpy as np
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig, Gemm
from hwgen.verify.bench import CocotbBench
from hwgen.verify.block import Block
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import patterns, stimulus

COMMAND = "python -m benchmarks.harness_speed"
PAIRS = 5
COCOTB = "cocotb 2.1 on the same Verilator, same Verilog and stimulus, measured in this run in pairs"


def measure(console: Console) -> list[Figure]:
    rng = np.random.default_rng(0)
    figures = []
    for target in ("ultrascale+", "generic"):
        config = DspGemmConfig(rows=16, cols=16, target=target)
        block = Block(CORE, config)
        ops = [
            Gemm(rng.integers(-128, 128, (m, k), np.int8), rng.integers(-128, 128, (k, n), np.int8))
            for m, n, k in ((200, 192, 144), (64, 40, 60))
        ]
        made = stimulus(CORE, config, ops, patterns("both", block.streams, 0))
        runners: dict[str, Harness | CocotbBench] = {"harness": block.harness(), "cocotb": block.bench()}
        speeds: dict[str, list[float]] = {name: [] for name in runners}
        for _ in range(PAIRS):
            seen = {name: runner.run(made) for name, runner in runners.items()}
            for name, run in seen.items():
                speeds[name].append(run.simulated / run.seconds)
            for stream in block.streams:
                np.testing.assert_array_equal(
                    seen["harness"].transfers[stream.name], seen["cocotb"].transfers[stream.name]
                )
            np.testing.assert_array_equal(seen["harness"].outputs["c"], seen["cocotb"].outputs["c"])
        ratios = [a / b for a, b in zip(speeds["harness"], speeds["cocotb"], strict=True)]
        medians = {name: statistics.median(values) for name, values in speeds.items()}
        rows: list[tuple[object, ...]] = [
            (name, round(min(speeds[name])), round(medians[name]), round(max(speeds[name])))
            for name in speeds
        ]
        rows.append(
            (
                "ratio of pairs",
                round(min(ratios), 1),
                round(statistics.median(ratios), 1),
                round(max(ratios), 1),
            )
        )
        title = f"16 x 16 INT8 {target}: cycles per second, {PAIRS} pairs of {seen['harness'].cycles} cycles"
        console.print(table(title, ("", "least", "median", "most"), rows))
        figures.append(
            Figure(
                name=f"harness_speed.{target}", value=round(medians["harness"]), unit="cycles/s", command=COMMAND,
                goal=Goal(">=", 20, over_peer=True), peer=round(medians["cocotb"]), peer_source=COCOTB,
            )
        )  # fmt: skip
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
