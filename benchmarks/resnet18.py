"""Whole ResNet-18 (224 x 224) on a named accelerator: speed of the simulator, memory, and how busy the hardware is."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from rich.console import Console

from benchmarks.common import Figure, Goal, main, median_seconds, table
from hwgen.commands.executors import DRAM, harness, simulate
from hwgen.commands.jobs import network_job, numbers
from hwgen.commands.run import RunResult, run
from hwgen.commands.run_account import bytes_per_cycle
from hwgen.commands.targets import accelerator
from hwgen.compile.network import random_network
from hwgen.workloads.tables import load

COMMAND = "python -m benchmarks.resnet18"
TARGET = "n3h_z7045"
PREFIX = 2  # layers that the Verilog runs too: the first convolution and its pool

# Recorded with the published packages on two cores, ResNet-18 on a 32 x 32 array; see facts of the project.
SCALESIM_SECONDS, SCALESIM_MEGABYTES, ZIGZAG_SECONDS = 344.0, 5460.0, 70.0
SCALESIM = (
    "SCALE-Sim 3.0.0, conv_nets/Resnet18.csv, 32x32 weight stationary: CPU seconds and memory as recorded"
)
ZIGZAG = "ZigZag 3.9.1, ResNet-18 on a 32x32 array: CPU seconds as recorded"

_PEAK = f"""
from hwgen.commands.run import run
from hwgen.commands.targets import accelerator
run(accelerator("{TARGET}", {{}}), "resnet18", timing_only=True, share=0.0)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]))  # getrusage would count the process that started this one
"""


def speed(console: Console) -> list[Figure]:
    """Seconds and memory of the simulator, beside other simulators."""
    config = accelerator(TARGET, {})
    whole = run(config, "resnet18", share=0.0)
    assert whole.timing is not None
    assert whole.job is not None
    job = whole.job
    timing = median_seconds(lambda: simulate(config, job.program), 5)
    values = whole.seconds["values"] + whole.seconds["simulator"]
    peak = subprocess.run([sys.executable, "-c", _PEAK], capture_output=True, text=True, check=True)
    rows = [(name, seconds) for name, seconds in whole.seconds.items()] + [("simulator, median of 5", timing)]
    console.print(table(f"ResNet-18 on {TARGET}: {whole.timing.cycles:,} cycles", ("step", "seconds"), rows))
    return [
        Figure(
            name="resnet18.values_and_cycles", value=values, unit="s", command=COMMAND, goal=Goal("<=", 20),
            peer=SCALESIM_SECONDS, peer_source=SCALESIM,
        ),
        Figure(
            name="resnet18.cycles", value=timing, unit="s", command=COMMAND, goal=Goal("<=", 0.2),
            peer=ZIGZAG_SECONDS, peer_source=ZIGZAG,
        ),
        Figure(
            name="resnet18.peak_memory_timing_only", value=int(peak.stdout) * 1024 / 1e6, unit="MB", command=COMMAND,
            goal=Goal("<=", 200), peer=SCALESIM_MEGABYTES, peer_source=SCALESIM,
        ),
    ]  # fmt: skip


def against_verilog(console: Console) -> list[Figure]:
    """Cycles per second beside the same program on the compiled Verilog."""
    config = accelerator(TARGET, {})
    network = load("resnet18")
    first = replace(network, name="prefix", layers=network.layers[:PREFIX])
    given = replace(numbers(config, "resnet18"), network=random_network(first, 0, config.scale_bits))
    job = network_job(config, given, lut_share=0.0, images=1)
    dram = (DRAM.latency, DRAM.interval, DRAM.depth, DRAM.write_latency)
    (memory,) = next(job.batches())
    seen = harness(config).run(memory, job.address, len(job.program), dram=dram)
    told = simulate(config, job.program)
    assert seen.cycles == told.drained + 1, "simulator and Verilog differ in cycles"
    ours = told.drained / median_seconds(lambda: simulate(config, job.program), 5)
    rate = seen.cycles / seen.seconds
    rows = [("simulator", told.drained + 1, ours), ("Verilog, compiled harness", seen.cycles, rate)]
    heads = (f"first {PREFIX} layers", "cycles", "cycles per second")
    console.print(table(f"ResNet-18 on {TARGET}, equal cycles", heads, rows))
    source = (
        f"the Verilog of {TARGET} in the compiled harness, same program, one thread, measured in this run"
    )
    return [
        Figure(
            name="resnet18.simulated_cycles_per_second", value=round(ours), unit="cycles/s", command=COMMAND,
            goal=Goal(">=", 200, over_peer=True), peer=round(rate), peer_source=source,
        )
    ]  # fmt: skip


def hardware(console: Console) -> list[Figure]:
    """How busy the DSP core is in convolutions, and the bus in all other layers."""
    result = run(accelerator(TARGET, {}), "resnet18", share=0.0, timing_only=True)
    busy, moved = shares(result)
    products = {layer.name for layer in result.layers if layer.kind in ("conv", "gemm")}  # pools are VEC's
    rows = [(name, "arithmetic", share) for name, share in busy.items()]
    rows += [(name, "memory", share) for name, share in moved.items()]
    heads = ("layer", "bound by", "DSP busy, or bandwidth used")
    console.print(table(f"ResNet-18 on {TARGET}, all products on the DSP core", heads, rows))
    return [
        Figure(
            name=f"resnet18.dsp_busy.{name}", value=round(share, 4), unit="of the layer's cycles", command=COMMAND,
            goal=Goal(">=", 0.9),
        )
        for name, share in busy.items()
    ] + [
        Figure(
            name=f"resnet18.bandwidth.{name}", value=round(share, 4), unit="of the bus, about", command=COMMAND,
            goal=Goal(">=", 0.95) if name in products else None,
        )
        for name, share in moved.items()
    ]  # fmt: skip


def shares(result: RunResult) -> tuple[dict[str, float], dict[str, float]]:
    """DSP's busy share of each compute-bound convolution's window; the bandwidth used in the other layers'."""
    rate = float(bytes_per_cycle(result.config, DRAM))
    busy, moved = {}, {}
    for layer in result.layers:
        a, b = layer.account, layer.bounds
        assert a is not None
        assert b is not None
        if layer.kind == "conv" and a.tiles >= b.capacity:
            busy[layer.name] = (a.busy["dsp"] + a.losses["overlap"]) / a.cycles
        else:
            moved[layer.name] = layer.moved / (a.cycles * rate)
    return busy, moved


def measure(console: Console) -> list[Figure]:
    return speed(console) + hardware(console) + against_verilog(console)


if __name__ == "__main__":
    main(measure, __doc__)
