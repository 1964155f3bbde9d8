"""The accelerator's simulator beside its Verilog: start and end of every instruction, on random programs."""

from __future__ import annotations

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.commands.system_check import check_system
from hwgen.verify.sweep import SWEEP

COMMAND = "python -m benchmarks.simulator_exactness"
FINN = (
    "FINN's own test of a cycle estimate against its RTL allows 15 cycles "
    "(tests/fpgadataflow/test_fpgadataflow_thresholding.py, atol=15); read, not run here"
)
PROGRAMS, NETWORKS, SEED = 9, 3, 11  # per accelerator


def measure(console: Console) -> list[Figure]:
    rows, programs, instructions, off, differences = [], 0, 0, 0, 0
    for name, config in SWEEP.items():
        result = check_system(config, vectors=PROGRAMS, networks=NETWORKS, seed=SEED)
        largest = max(run.off for run in result.runs)
        latencies = sorted(run.dram["latency"] for run in result.runs)
        cycles = sum(run.rtl_cycles for run in result.runs)
        rows.append(
            (name, config.bus_bytes, config.lanes, f"{latencies[0]} to {latencies[-1]}", len(result.runs),
             result.instructions, cycles, largest, len(result.differences))
        )  # fmt: skip
        for difference in result.differences[:1]:
            console.print(f"{name}: {difference}", highlight=False)
        programs += len(result.runs)
        instructions += result.instructions
        off = max(off, largest)
        differences += len(result.differences)
    heads = ("accelerator", "bus bytes", "lanes", "latency", "programs", "instructions", "cycles", "largest difference",
             "differences")  # fmt: skip
    console.print(table("Simulator and Verilog, start and end of every instruction", heads, rows))
    return [
        Figure(name="system.programs", value=programs, unit="programs", command=COMMAND, goal=Goal(">=", 200)),
        Figure(name="system.accelerators", value=len(rows), unit="accelerators", command=COMMAND, goal=Goal(">=", 20)),
        Figure(name="system.instructions", value=instructions, unit="instructions", command=COMMAND),
        Figure(
            name="system.cycle_difference", value=off, unit="cycles", command=COMMAND, goal=Goal("==", 0), peer=15,
            peer_source=FINN,
        ),
        Figure(
            name="system.differences", value=differences, unit="values, cycles, counters", command=COMMAND,
            goal=Goal("==", 0),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main(measure, __doc__)
