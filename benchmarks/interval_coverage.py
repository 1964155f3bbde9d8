"""Coverage of nominal 95 % intervals on resampled campaigns, with and without early stopping.

A truth says of every fault whether it has an effect: of every flip-flop upset in every cycle of a tile, simulated here,
and made up for a range of shares.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.commands.inject import subject_of
from hwgen.faults.coverage import Coverage, Fixed, Plan, coverage, exact_coverage
from hwgen.faults.intervals import Method
from hwgen.faults.models import faults
from hwgen.faults.plan import Exhaustive, population
from hwgen.faults.statistics import Sequential

COMMAND = "python -m benchmarks.interval_coverage"
CAMPAIGNS, SAMPLES, ERROR = 1000, 10_000, 0.01
FAULTS = 1_241_600  # every flip-flop in every cycle of a 16 x 16 array, depth 64
SHARES = (0.02, 0.05, 0.13, 0.3, 0.524, 0.853)  # at least twice the error
METHODS: tuple[Method, ...] = ("wilson", "clopper-pearson")
LEAST = {"wilson": 94.0, "clopper-pearson": 95.0}
MOST = 97.0  # of Wilson's


TILE = ("dsp_gemm", {"rows": "8", "cols": "8", "tile_steps": "16"}, "gemm:8x64x8")


def measure(console: Console) -> list[Figure]:
    rows: list[tuple[object, ...]] = []
    seen: dict[
        tuple[str, str], list[tuple[Coverage, float]]
    ] = {}  # by interval and plan: resampled, computed
    began = time.perf_counter()
    truths = _tile() | {f"made up: {share}": _made_up(share) for share in SHARES}
    for seed, (name_of, truth) in enumerate(truths.items()):
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
                (name_of, f"{result.truth:.4f}", *key, round(100 * result.share.estimate, 1),
                 f"{100 * result.share.low:.1f} to {100 * result.share.high:.1f}",
                 round(100 * computed, 2), result.below, result.above,
                 round(result.samples), f"{result.half_width:.5f}")
            )  # fmt: skip
    heads = ("truth", "share", "interval", "samples", "covered %", "95 % of it", "computed %", "below", "above",
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
            Figure(name=f"{name}.resampled", value=share, unit="%", command=COMMAND, goal=least),
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


def _tile() -> dict[str, npt.NDArray[np.bool_]]:
    """What came of every upset of every flip-flop in every cycle of a tile."""
    subject = subject_of(*TILE)
    golden = subject.lanes.fault_free
    plan = Exhaustive(population(subject.sites, subject.lanes.cycles, faults(0, 0)))
    found, _ = subject.lanes.inject(plan(0, plan.total))
    wrong = (found["digest"] != golden["digest"]) | (found["status"] != 0)
    return {"tile: not masked": wrong | (found["latent"] != 0), "tile: wrong or hung": wrong}


if __name__ == "__main__":
    main(measure, __doc__)
