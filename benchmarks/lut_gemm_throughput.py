"""Cycles of long GEMMs on the bit-serial core, and the proof that they are the Verilog's."""

from __future__ import annotations

import numpy as np
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.cores.lut_gemm import CORE, Gemm, LutGemmConfig, Operand, Shape
from hwgen.verify.block import Block
from hwgen.verify.stimulus import patterns, stimulus
from sim import OPEN, simulate

COMMAND = "python -m benchmarks.lut_gemm_throughput"
CONFIG = LutGemmConfig(dm=8, dk=256, dn=8, target="ultrascale+", b_words=1024)

# M, N, K, bits of A, bits of B, commands in a row. B of a command is loaded while the one before runs, and the
# next tile of A while this one does: that takes N >= dm * dn / bits of B, and M >= dm * dn.
SHAPES = (
    (4096, 256, 4096, 1, 1, 1),
    (512, 256, 4096, 1, 1, 16),
    (512, 512, 8192, 1, 1, 8),
    (512, 256, 4096, 2, 2, 8),
    (512, 128, 4096, 4, 4, 8),
    (512, 64, 4096, 8, 8, 8),
    (512, 256, 4096, 8, 1, 8),
    (512, 64, 4096, 1, 8, 8),
    (512, 256, 4100, 1, 1, 16),
    (100, 100, 1000, 3, 2, 16),
)

PROVED = LutGemmConfig(dm=2, dk=64, dn=3, a_words=64, b_words=1024)
PROVED_SHAPE = Shape(64, 24, 4096, 1, 1)


def measure(console: Console) -> list[Figure]:
    rows, binary = [], []
    for m, n, k, a_bits, b_bits, repeat in SHAPES:
        shape = Shape(m, n, k, a_bits, b_bits)
        cycles = simulate(CORE.timing(CONFIG), [shape] * repeat).cycles
        used = 100 * repeat * shape.binary_ops / (CONFIG.binary_ops_per_cycle * cycles)
        if a_bits == b_bits == 1 and k % CONFIG.dk == 0:
            binary.append(used)
        rows.append((f"{m} x {n} x {k}", f"{a_bits} x {b_bits}", repeat, cycles, f"{used:.2f} %"))
    heads = ("M x N x K", "bits", "commands", "cycles", "of 2 Dm Dk Dn per cycle")
    console.print(
        table("8 x 256 x 8, from the first command to the last result, loads included", heads, rows)
    )
    equal, beats, share = _prove(console)
    return [
        Figure(
            name="lut_gemm_throughput.binary.least_utilisation", value=min(binary), unit="%", command=COMMAND,
            goal=Goal(">=", 98),
        ),
        Figure(
            name="lut_gemm_throughput.binary_ops_per_cycle",
            value=min(binary) / 100 * CONFIG.binary_ops_per_cycle, unit="binary op/cycle", command=COMMAND,
        ),
        Figure(
            name="lut_gemm_throughput.equal_to_rtl", value=equal, unit="of 1 GEMM", command=COMMAND,
            goal=Goal("==", 1),
        ),
        Figure(name="lut_gemm_throughput.beats_compared", value=beats, unit="beats", command=COMMAND),
        Figure(
            name="lut_gemm_throughput.rtl_utilisation", value=share, unit="%", command=COMMAND,
            goal=Goal(">=", 98),
        ),
    ]  # fmt: skip


def _prove(console: Console) -> tuple[int, int, float]:
    """Whether every beat of commands in a row moves in the simulator's cycle in the Verilog; beats; utilisation."""
    block = Block(CORE, PROVED)
    rng = np.random.default_rng(0)
    bipolar = Operand("bipolar", 1)
    m, n, k = PROVED_SHAPE.m, PROVED_SHAPE.n, PROVED_SHAPE.k
    ops = [Gemm(bipolar.random(rng, (m, k)), bipolar.random(rng, (k, n)), bipolar, bipolar) for _ in range(8)]
    simulated = simulate(
        CORE.timing(PROVED),
        ops,
        values=lambda todo: CORE.values(PROVED, todo),
        inputs=dict.fromkeys(("cmd", "b", "a"), OPEN),
        outputs={"c": OPEN},
    )
    seen = block.harness().run(stimulus(CORE, PROVED, ops, patterns("free", block.streams, 0)))
    assert simulated.outputs is not None
    results = zip(
        CORE.collect(PROVED, ops, seen.outputs), simulated.outputs, CORE.golden(PROVED, ops), strict=True
    )
    values = all(np.array_equal(got, told) and np.array_equal(got, true) for got, told, true in results)
    times = all(np.array_equal(seen.transfers[k], simulated.transfers[k]) for k in simulated.transfers)
    free = simulate(CORE.timing(PROVED), ops).cycles == simulated.cycles == seen.cycles
    moved = sum(len(t) for t in seen.transfers.values())
    used = 100 * len(ops) * PROVED_SHAPE.binary_ops / (PROVED.binary_ops_per_cycle * seen.cycles)
    console.print(
        f"2 x 64 x 3, {len(ops)} bipolar GEMMs of {m} x {n} x {k} in a row: simulator {simulated.cycles}, Verilog "
        f"{seen.cycles} cycles; cycle of every beat {'equal' if times and free else 'DIFFERENT'}, values "
        f"{'equal' if values else 'DIFFERENT'}; {used:.2f} % of the array.",
        highlight=False,
    )
    return int(values and times and free), moved, used


if __name__ == "__main__":
    main(measure, __doc__)
