"""BFA and T-BFA on the MNIST CNN: accuracy after each found flip beside random ones, success, seconds per flip."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.commands.targets import accelerator
from hwgen.compile import reference
from hwgen.compile.network import Network
from hwgen.compile.quantise import quantise
from hwgen.faults.algorithmic.bfa import BitSearch
from hwgen.faults.algorithmic.flips import BitFlip, flip, random_flips
from hwgen.faults.algorithmic.forward import logits
from hwgen.faults.algorithmic.objectives import Objective, n_to_one, one_to_one, stealthy, untargeted
from hwgen.numerics import IntArray
from hwgen.workloads.layers import INPUT
from hwgen.workloads.mnist import CALIBRATION, mnist_float, mnist_images

COMMAND = "python -m benchmarks.bit_search"
TARGET = "edge"

ATTACK, TESTED = (
    128,
    1000,
)  # digits that the search sees, and those that tell what it did: the ones behind them
FLIPS = 20
GUESS = 11.0  # % of ten classes: as good as guessing
SEEDS = range(5)
SOURCE, TO = 3, 8
WIDTHS = {"int8": 8, "w4a8": 4}

RANDOM_SOURCE = "as many random bits of the same weights, mean of 5 draws, in this run"


@dataclass(frozen=True)
class Attack:
    """What one search did."""

    flips: list[BitFlip]
    counts: list[int]
    seconds: list[float]
    networks: list[Network]


def attack(
    network: Network, images: IntArray, objective: Objective, step: float, enough: float = 2.0
) -> Attack:
    """Search until enough, or as many flips as there may be."""
    search = BitSearch(network, images, objective, logit_step=step)
    done = Attack([], [], [], [])
    while len(done.flips) < FLIPS:
        began = time.perf_counter()
        found = search.step()
        if found is None:
            break
        seconds = time.perf_counter() - began
        done.flips.extend(found.flips)
        done.counts.append(len(done.flips))
        done.seconds.append(seconds / len(found.flips))
        done.networks.append(search.network)
        if found.success >= enough:
            break
    return done


def accuracy(network: Network, images: IntArray, labels: IntArray) -> float:
    return 100 * float((logits(network, images).argmax(axis=1) == labels).mean())


def measure(console: Console) -> list[Figure]:
    figures: list[Figure] = []
    images, labels = mnist_images(ATTACK + TESTED)
    for name, bits in WIDTHS.items():
        config = accelerator(TARGET, {})
        made = quantise(mnist_float(bits), mnist_images(CALIBRATION)[0], config.scale_bits)
        network = made.network.rounded(config.roundings[0])
        step = made.scales[network.workload.layers[-1].name].step
        figures += untargeted_figures(console, name, network, images, labels, step)
        if name == "int8":
            figures += targeted_figures(console, network, images, labels, step)
    return figures


def untargeted_figures(
    console: Console, name: str, network: Network, images: IntArray, labels: IntArray, step: float
) -> list[Figure]:
    tests, answers = images[ATTACK:], labels[ATTACK:]
    done = attack(network, images[:ATTACK], untargeted(labels[:ATTACK]), step)
    found = [accuracy(one, tests, answers) for one in done.networks]
    draws = [random_flips(network, done.counts[-1], seed) for seed in SEEDS]
    drawn = [accuracy(flip(network, draws[0][:count]), tests, answers) for count in done.counts]
    ends = [drawn[-1], *(accuracy(flip(network, draw), tests, answers) for draw in draws[1:])]
    rows: list[tuple[object, ...]] = [(0, "", accuracy(network, tests, answers), "", "")]
    before = 0
    for count, right, other, seconds in zip(done.counts, found, drawn, done.seconds, strict=True):
        told = "; ".join(
            f"{f.layer}{list(f.index)} bit {f.bit}: {f.before} to {f.after}" for f in done.flips[before:count]
        )
        rows.append((count, told, round(right, 2), round(other, 2), round(seconds, 2)))
        before = count
    heads = ("flips", "found by the search", "accuracy, %", "random flips, %", "seconds per flip")
    title = f"BFA on the MNIST CNN, {name}: {ATTACK} digits to search with, {TESTED:,} others to test"
    console.print(table(title, heads, rows))
    enough = next((n for n, right in zip(done.counts, found, strict=True) if right <= GUESS), 10 * FLIPS)
    wrong = differences(done.networks[-1], tests[:100])
    return [
        Figure(
            name=f"bit_search.{name}.flips", value=enough, command=COMMAND, goal=Goal("<=", FLIPS),
            unit=f"flips to {GUESS:g} % accuracy",
        ),
        Figure(
            name=f"bit_search.{name}.accuracy", value=found[-1], unit="%", command=COMMAND, goal=Goal("<=", GUESS),
            peer=statistics.mean(ends), peer_source=RANDOM_SOURCE,
        ),
        Figure(
            name=f"bit_search.{name}.seconds_per_flip", value=round(statistics.median(done.seconds), 3), unit="s",
            command=COMMAND, goal=Goal("<=", 2),
        ),
        Figure(
            name=f"bit_search.{name}.differences", value=wrong, command=COMMAND, goal=Goal("==", 0),
            unit="results that the reference gives otherwise, 100 digits after the attack",
        ),
    ]  # fmt: skip


def differences(network: Network, images: IntArray) -> int:
    last = network.workload.layers[-1].name
    wanted = reference.run(network, {INPUT: images})[last].reshape(len(images), -1) - network.zero(last)
    return int((logits(network, images) != wanted).sum())


def targeted_figures(
    console: Console, network: Network, images: IntArray, labels: IntArray, step: float
) -> list[Figure]:
    few, many = labels[:ATTACK], labels[ATTACK:]
    goals = {
        "n_to_1": (n_to_one(few, TO), n_to_one(many, TO)),
        "1_to_1": (one_to_one(few, SOURCE, TO), one_to_one(many, SOURCE, TO)),
        "1_to_1_stealthy": (stealthy(few, SOURCE, TO), stealthy(many, SOURCE, TO)),
    }
    rows, figures = [], []
    for name, (sought, tested) in goals.items():
        done = attack(network, images[:ATTACK], sought, step, enough=1.0)
        classes = logits(done.networks[-1], images[ATTACK:]).argmax(axis=1)
        success, others = 100 * tested.success(classes), 100 * tested.others_right(classes)
        right = 100 * float((classes == many).mean())
        rows.append((name, len(done.flips), round(success, 2), round(others, 2), round(right, 2),
                     round(statistics.median(done.seconds), 2)))  # fmt: skip
        figures.append(
            Figure(
                name=f"bit_search.{name}.success", value=round(success, 2), command=COMMAND,
                goal=Goal(">=", 60 if name == "1_to_1_stealthy" else 90),
                unit=f"% of victims are an {TO}, {len(done.flips)} flips",
            )
        )  # fmt: skip
        if name == "1_to_1_stealthy":
            figures.append(
                Figure(
                    name=f"bit_search.{name}.others", value=round(others, 2), unit="% of the other digits right",
                    command=COMMAND, goal=Goal(">=", 80),
                )
            )  # fmt: skip
    heads = (
        "objective",
        "flips",
        "attack success, %",
        "other digits right, %",
        "accuracy, %",
        "seconds per flip",
    )
    title = f"T-BFA on the MNIST CNN, int8: all digits, or the {SOURCE}s, are to become {TO}s"
    console.print(table(title, heads, rows))
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
