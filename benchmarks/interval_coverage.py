"""Coverage of nominal 95 % intervals on resampled campaigns, with and without early stopping.

A truth says of every fault whether it has an effect; ``--truth FILE.npy`` gives one from an exhaustive campaign.
Without it, truths of a range of shares are made up.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.errors import BadInput
from hwgen.faults.coverage import Coverage, Fixed, Plan, coverage, exact_coverage
from hwgen.faults.intervals import Method
from hwgen.faults.statistics import Sequential

COMMAND = "python -m benchmarks.interval_coverage"
CAMPAIGNS, SAMPLES, ERROR = 1000, 10_000, 0.01
FAULTS = 1_241_600  # every flip-flop in every cycle of a 16 x 16 array, depth 64
SHARES = (0.02, 0.05, 0.13, 0.3, 0.524, 0.853)  # at least twice the error
METHODS: tuple[Method, ...] = ("wilson", "clopper-pearson")
LEAST = {"wilson": 94.0, "clopper-pearson": 95.0}
MOST = 97.0  # of Wilson's


def measure(console: Console, file: Path | None = None) -> list[Figure]:
    rows: list[tuple[object, ...]] = []
    seen: dict[
        tuple[str, str], list[tuple[Coverage, float]]
    ] = {}  # by interval and plan: resampled, computed
    began = time.perf_counter()
    truths = [_made_up(share) for share in SHARES] if file is None else [_read(file)]
    for seed, truth in enumerate(truths):
        effects, faults = int(truth.sum()), truth.size
        plans: dict[tuple[str, str], Plan] = {
            **{(m, "fixed"): Fixed(min(SAMPLES, faults), m, 0.95, faults) for m in METHODS},
            **{(m, "stopped"): Sequential(ERROR, 0.95, faults, m) for m in METHODS},
        }
        for (key, plan), result in zip(
            plans.items(), coverage(truth, list(plans.values()), CAMPAIGNS, seed), strict=True
        ):
            computed = exact_coverage(plan, effects).covered
            seen.setdefault(key, []).append((result, computed))
            rows.append(
                (f"{result.truth:.4f}", *key, round(100 * result.share.estimate, 1),
                 f"{100 * result.share.low:.1f} to {100 * result.share.high:.1f}",
                 round(100 * computed, 2), result.below, result.above,
                 round(result.samples), f"{result.half_width:.5f}")
            )  # fmt: skip
    heads = ("truth", "interval", "samples", "covered %", "95 % of it", "computed %", "below", "above",
             "mean samples", "half-width")  # fmt: skip
    seconds = time.perf_counter() - began
    title = f"{CAMPAIGNS} campaigns per row, {SAMPLES} samples or half-width {ERROR}, {seconds:.0f} s"
    console.print(table(title, heads, rows))
    figures = []
    for (method, when), results in seen.items():
        name = f"interval_coverage.{method.replace('-', '_')}.{when}"
        share = 100 * sum(r.covered for r, _ in results) / sum(r.campaigns for r, _ in results)
        exact = [100 * c for _, c in results]
        # The campaigns of one truth tell a coverage to 1.4 points: too coarse for a goal.
        least = Goal(">=", LEAST[method])
        figures += [
            Figure(
                name=f"{name}.resampled", value=share, unit="%", command=COMMAND, goal=None if file else least
            ),
            Figure(name=f"{name}.computed.lowest", value=min(exact), unit="%", command=COMMAND, goal=least),
        ]
        if method == "wilson":
            most = Goal("<=", MOST)
            figures.append(
                Figure(
                    name=f"{name}.computed.highest", value=max(exact), unit="%", command=COMMAND, goal=most
                )
            )
    off = max(abs(_deviations(*pair)) for pairs in seen.values() for pair in pairs)
    figures.append(
        Figure(
            name="interval_coverage.disagreement",
            value=off,
            unit="deviations",
            command=COMMAND,
            goal=Goal("<=", 4),
        )
    )
    return figures


def _deviations(result: Coverage, computed: float) -> float:
    """How far a resampled coverage is from the computed one, in standard deviations."""
    n = result.campaigns
    return (result.covered - n * computed) / max(1.0, n * computed * (1 - computed)) ** 0.5


def _made_up(share: float) -> npt.NDArray[np.bool_]:
    """A truth with a given share of effects; where they are does not matter to a random sample."""
    return np.arange(FAULTS) < round(share * FAULTS)


def _read(file: Path) -> npt.NDArray[np.bool_]:
    try:
        array = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} is no readable .npy file ({error}): write one with numpy.save") from error
    if not isinstance(array, np.ndarray) or not np.isin(array, (0, 1)).all():
        raise BadInput(f"{file} must hold one array of 0 and 1, one per fault: write the outcomes so")
    return array.astype(bool).reshape(-1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--truth", type=Path)
    options, sys.argv[1:] = parser.parse_known_args()
    main(partial(measure, file=options.truth), __doc__)
