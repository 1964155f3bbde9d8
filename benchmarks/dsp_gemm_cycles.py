"""Cycles and utilisation of MiniLM and ResNet-18 on 16 x 16 INT8, and the proof that they are the Verilog's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig, Gemm, Shape
from hwgen.verify.block import Block
from hwgen.verify.stimulus import patterns, stimulus
from hwgen.workloads import GemmShape, minilm_gemms, resnet18_gemms
from sim import OPEN, simulate

COMMAND = "python -m benchmarks.dsp_gemm_cycles"
CONFIG = DspGemmConfig(rows=16, cols=16, target="ultrascale+")
NETWORKS = {"minilm": minilm_gemms(128), "resnet18": resnet18_gemms()}

PROVED = (
    "layer0.q_proj", "layer0.scores", "layer0.context",
    "layer2.0.downsample", "layer3.0.downsample", "layer4.0.downsample", "fc",
)  # fmt: skip
"""GEMMs that are run in the Verilog too, at full size, one repeat of each."""


def measure(console: Console) -> list[Figure]:
    figures = []
    for network, shapes in NETWORKS.items():
        figures += _network(console, network, shapes)
    proved, beats = _prove(console)
    figures.append(
        Figure(
            name="dsp_gemm_cycles.gemms_equal_to_rtl", value=proved, unit=f"of {len(PROVED)} GEMMs",
            command=COMMAND, goal=Goal("==", len(PROVED)),
        )
    )  # fmt: skip
    figures.append(Figure(name="dsp_gemm_cycles.beats_compared", value=beats, unit="beats", command=COMMAND))
    return figures


def _network(console: Console, network: str, shapes: Sequence[GemmShape]) -> list[Figure]:
    """Every GEMM alone (its repeats queued), and the whole network queued."""
    peak = CONFIG.rows * CONFIG.cols
    model = CORE.timing(CONFIG)
    rows, dividing = [], []
    for s in shapes:
        cycles = simulate(model, [Shape(s.m, s.n, s.k)] * s.repeat).cycles
        used = s.macs / (peak * cycles)
        divides = s.n % CONFIG.cols == 0 and s.k % CONFIG.rows == 0
        dividing += [used] if divides else []
        row = (s.m, s.n, s.k, s.repeat, cycles, f"{100 * used:.2f} %", "yes" if divides else "no")
        rows.append((s.name, *row))
    if network == "minilm":  # six equal layers
        assert [row[1:] for row in rows[:8]] * 6 == [row[1:] for row in rows]
        rows = rows[:8]
    heads = ("GEMM", "M", "N", "K", "repeats", "cycles", "utilisation", "N, K divide by 16")
    title = (
        f"{network}{' (layer 0; the others are equal)' if network == 'minilm' else ''}, start to last result"
    )
    console.print(table(title, heads, rows))
    whole = simulate(model, [Shape(s.m, s.n, s.k) for s in shapes for _ in range(s.repeat)]).cycles
    macs = sum(s.macs for s in shapes)
    return [
        Figure(
            name=f"dsp_gemm_cycles.{network}.least_utilisation_where_n_k_divide", value=100 * min(dividing),
            unit="%", command=COMMAND, goal=Goal(">=", 97),
        ),
        Figure(name=f"dsp_gemm_cycles.{network}.cycles", value=whole, unit="cycles", command=COMMAND),
        Figure(
            name=f"dsp_gemm_cycles.{network}.utilisation", value=100 * macs / (peak * whole), unit="%",
            command=COMMAND,
        ),
    ]  # fmt: skip


def _prove(console: Console) -> tuple[int, int]:
    """Number of GEMMs whose every beat moves in the simulator's cycle in the Verilog, and number of beats."""
    block = Block(CORE, CONFIG)
    harness = block.harness()
    every = {s.name: s for shapes in NETWORKS.values() for s in reversed(shapes)}
    rng = np.random.default_rng(0)
    rows, equal, beats = [], 0, 0
    for name in PROVED:
        s = every[name]
        ops = [
            Gemm(rng.integers(-128, 128, (s.m, s.k), np.int8), rng.integers(-128, 128, (s.k, s.n), np.int8))
        ]
        gates = dict.fromkeys([stream.name for stream in block.streams], OPEN)
        simulated = simulate(
            CORE.timing(CONFIG),
            ops,
            values=lambda ops: CORE.values(CONFIG, ops),
            inputs={k: gates[k] for k in ("cmd", "b", "a")},
            outputs={"c": gates["c"]},
        )
        seen = harness.run(stimulus(CORE, CONFIG, ops, patterns("free", block.streams, 0)))
        assert simulated.outputs is not None
        values = np.array_equal(CORE.collect(CONFIG, ops, seen.outputs)[0], simulated.outputs[0])
        golden = np.array_equal(CORE.golden(CONFIG, ops)[0], simulated.outputs[0])
        times = all(np.array_equal(seen.transfers[k], simulated.transfers[k]) for k in gates)
        closed = simulate(CORE.timing(CONFIG), ops).cycles == simulated.cycles == seen.cycles
        moved = sum(len(t) for t in seen.transfers.values())
        good = values and golden and times and closed
        equal, beats = equal + good, beats + moved
        result = [
            f"{seen.seconds:.2f}",
            *("equal" if ok else "DIFFERENT" for ok in (times and closed, values and golden)),
        ]
        rows.append((name, f"{s.m} x {s.n} x {s.k}", simulated.cycles, seen.cycles, moved, *result))
    heads = ("GEMM", "M x N x K", "simulator", "Verilog", "beats", "seconds", "cycle of every beat", "values")
    console.print(table("Simulator and Verilog (compiled harness), whole GEMMs", heads, rows))
    return equal, beats


if __name__ == "__main__":
    main(measure, __doc__)
