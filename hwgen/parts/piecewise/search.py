"""The cheapest table that meets an error target, proved by visiting every argument."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hwgen.errors import BadInput
from hwgen.numerics import IntFormat
from hwgen.parts.piecewise.fit import Function, Problem
from hwgen.parts.piecewise.table import FORMS, FloatArray, Region, Table

__all__ = ["Unreachable", "cheapest"]

_PROBES = 9  # arguments per segment that tell how far a polynomial stays away from the function
_MAX_SEGMENTS = 1 << 10
_GUARDS = range(1, 8)
_SHARES = (1.25, 1.0, 0.85, 0.7, 0.5, 0.3)  # of what the target leaves to the polynomials, tried in turn
_LONGEST = (0, 1, 2, 24)  # octaves from the shortest step to the longest
_DEGREE = {"constant": 0, "knots": 1, "linear": 1, "quadratic": 2}


class Unreachable(BadInput):
    """No table meets an error target; holds the nearest one.

    Parameters
    ----------
    wanted, error : float
        The target, and the error of the nearest table.
    table : Table
        The nearest table.
    """

    def __init__(self, wanted: float, error: float, table: Table):
        self.error = error
        self.table = table
        super().__init__(
            f"no table stays within {wanted:g}; the best found, {table.form} with {table.table_bits} bits, stays "
            f"within {error:.3g}: allow that, or more fraction bits than {table.out_fraction}"
        )


def cheapest(
    function: Function,
    *,
    in_bits: int,
    in_fraction: int,
    out_fraction: int,
    max_error: float,
    low: float = 0.0,
    forms: Sequence[str] = FORMS,
    max_regions: int = 4,
    out: IntFormat | None = None,
) -> Table:
    """The table with the fewest bits, then multipliers, whose result is nowhere farther off than ``max_error``.

    Parameters
    ----------
    function, in_bits, in_fraction, out_fraction, low, out
        As for :func:`~hwgen.parts.piecewise.fit.octave`.
    max_error : float
        Of the rounded result, so at least half of ``2**-out_fraction``.
    forms : sequence of str
        Forms that may be used.
    max_regions : int
        Different lengths of segments that a table may have.

    Raises
    ------
    Unreachable
        If none does: the sentence names the best one found and its bits.
    """
    problem = Problem(function, in_bits, in_fraction, low, out_fraction, out)
    best: Table | None = None
    nearest: tuple[float, Table] | None = None
    f = problem.values(np.arange(0, 1 << in_bits, 1 << max(0, in_bits - 12)), 0)
    least = int(f.max() - f.min()).bit_length()  # bits of a segment, whatever its form
    for form in forms:
        for segments, regions in _segmentations(problem, form, max_error, max_regions):
            if best is not None and segments * least >= best.table_bits:
                break
            # With the most guard bits first: where these do not help, fewer do not either.
            for guard in (0,) if form == "constant" else (_GUARDS[-1], *_GUARDS):
                table = problem.fit(form, regions, guard)
                if best is not None and guard != _GUARDS[-1] and _cost(table) >= _cost(best):
                    break
                error = table.max_error(function)
                if nearest is None or error < nearest[0]:
                    nearest = error, table
                if error > max_error and guard == _GUARDS[-1]:
                    break
                if error <= max_error and (best is None or _cost(table) < _cost(best)):
                    best = table
    if best is not None:
        return best
    if nearest is None:
        raise BadInput(
            f"a table of form {' or '.join(forms)} has at most {_MAX_SEGMENTS} segments: allow others"
        )
    raise Unreachable(max_error, *nearest)


def _cost(table: Table) -> tuple[int, int]:
    return table.table_bits, table.multipliers


def _segmentations(
    problem: Problem, form: str, max_error: float, max_regions: int
) -> list[tuple[int, tuple[Region, ...]]]:
    """Choices of segments about as long as the target allows, and their number; those of few segments first."""
    target = max_error * 2.0**problem.out_fraction  # all errors here are in units of the result's last bit
    spare = target if form == "constant" else max(target - 0.5, 1 / 64)
    errors = _errors(problem, _DEGREE[form], 0 if form == "constant" else 1)
    found: dict[tuple[Region, ...], int] = {}
    for share in _SHARES:
        for longest in _LONGEST:
            runs = _runs(errors, share * spare, longest, problem)
            while runs:
                segments = sum((stop - start) >> step for start, stop, step in runs)
                whole = all(left[2] != right[2] for left, right in pairwise(runs))
                if whole and len(runs) <= max_regions and segments <= _MAX_SEGMENTS:
                    found[tuple(Region(stop, step) for _, stop, step in runs)] = segments
                runs = _joined(runs)
    return sorted(((segments, regions) for regions, segments in found.items()), key=lambda pair: pair[0])


def _errors(problem: Problem, degree: int, finest: int) -> dict[int, FloatArray]:
    """By step, for every aligned segment: about how far a polynomial stays away from the function."""
    angle = np.linspace(0, np.pi, _PROBES)
    errors = {}
    for step in range(finest, problem.in_bits + 1):
        u = np.unique(np.rint((1 - np.cos(angle)) / 2 * ((1 << step) - 1)).astype(np.int64))
        starts = np.arange(0, 1 << problem.in_bits, 1 << step)
        if len(starts) > _MAX_SEGMENTS:
            continue
        f = problem.values(starts[:, None] + u, 0)
        powers = (u / (1 << step))[:, None] ** np.arange(min(degree + 1, len(u)))
        rest = np.eye(len(u)) - powers @ np.linalg.pinv(powers)
        errors[step] = np.abs(f @ rest.T).max(axis=1)
    return errors


def _runs(
    errors: dict[int, FloatArray], allowed: float, longest: int, problem: Problem
) -> list[tuple[int, int, int]]:
    """Start, stop and step of stretches of equal segments, each as long as the error allows."""
    finest = min(errors)
    steps = np.full(1 << (problem.in_bits - finest), finest)
    for step in sorted(errors):
        steps[np.repeat(errors[step] <= allowed, 1 << (step - finest))] = step
    # What is constant at the end needs no segments.
    x = np.arange(0, 1 << problem.in_bits, 1 << max(0, problem.in_bits - 16))
    f = problem.values(x, 0)[::-1]
    flat = np.maximum.accumulate(f) - np.minimum.accumulate(f) <= 2 * allowed
    stop = int(x[len(x) - np.count_nonzero(flat)]) if not flat.all() else 1
    steps = steps[: -(-stop >> finest)]
    steps = np.minimum(steps, steps.min() + longest)
    edges = [0, *(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(steps)]
    runs = [(a << finest, b << finest, int(steps[a])) for a, b in pairwise(edges)]
    start, stop, step = runs[-1]
    return [*runs[:-1], (start, -(-stop >> step) << step, step)]


def _joined(runs: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Two neighbours made one with the shorter step, those that need the fewest segments more; none left: empty."""
    if len(runs) == 1:
        return []
    choices = []
    for i, (left, right) in enumerate(pairwise(runs)):
        step = min(left[2], right[2])
        more = sum(((r[1] - r[0]) >> step) - ((r[1] - r[0]) >> r[2]) for r in (left, right))
        choices.append((more, i, (left[0], right[1], step)))
    _, i, joined = min(choices)
    return [*runs[:i], joined, *runs[i + 2 :]]
