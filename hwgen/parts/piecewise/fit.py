"""Tables for real functions: knots by a linear program, coefficients rounded against the exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, eye_array, hstack, vstack

from hwgen.errors import BadInput, HwgenError
from hwgen.numerics import IntArray, IntFormat
from hwgen.parts.piecewise.table import FORMS, FloatArray, Region, Table, check_regions, narrowest

__all__ = ["Function", "octave", "uniform"]

Function = Callable[[FloatArray], FloatArray]
"""A real function of arrays of real numbers."""

_PROGRAM_POINTS = 33  # arguments per segment in the linear program
_WORST = 100  # what the largest error of all weighs against the sum of the segments' ones
_POINTS = 1 << 10  # and in the choice of integers; every argument of segments up to this length


def uniform(
    function: Function,
    low: float,
    high: float,
    *,
    in_bits: int,
    segments: int,
    form: str,
    out_fraction: int,
    guard: int = 4,
    out: IntFormat | None = None,
) -> Table:
    """A table of equal segments for ``function`` on ``[low, high)``.

    Parameters
    ----------
    function : callable
        From arrays of real numbers to arrays of real numbers.
    low, high : float
        The domain; ``high - low`` must be a power of two.
    in_bits : int
        The argument is ``low + x * (high - low) / 2**in_bits``.
    segments : int
        A power of two.
    form : str
        Of :data:`~hwgen.parts.piecewise.FORMS`; ``constant`` has a segment per argument.
    out_fraction : int
        Fraction bits of the result.
    guard : int
        Bits that coefficients have behind the result's last bit; ``constant`` has none.
    out : IntFormat, optional
        Format of the result, by default the narrowest.

    Raises
    ------
    BadInput
        If something is out of its range, or ``function`` is not finite somewhere: the argument is named.
    """
    span = np.log2(high - low) if high > low else np.nan
    if span != np.round(span):
        raise BadInput(f"high - low must be a power of two, not {high - low}")
    step_bits = in_bits - (segments - 1).bit_length()
    if segments != 1 << (in_bits - step_bits) or step_bits < 0:
        raise BadInput(f"segments must be a power of two in 1..{1 << in_bits}, not {segments}")
    problem = Problem(function, in_bits, in_bits - int(span), low, out_fraction, out)
    return problem.fit(form, (Region(1 << in_bits, step_bits),), guard)


def octave(
    function: Function,
    steps: Sequence[tuple[float, float]],
    *,
    in_bits: int,
    in_fraction: int,
    form: str,
    out_fraction: int,
    guard: int = 4,
    low: float = 0.0,
    out: IntFormat | None = None,
) -> Table:
    """A table whose segments are shorter where the function bends more.

    Parameters
    ----------
    function, in_bits, form, out_fraction, guard, out
        As for :func:`uniform`.
    steps : sequence of (float, float)
        Stop and step of each region, ascending. Beyond the last stop the table is constant.
    in_fraction : int
        The argument is ``low + x * 2**-in_fraction``.
    low : float
        Start of the first region.

    Raises
    ------
    BadInput
        As :func:`uniform`.
    """
    regions = []
    for stop, step in steps:
        place, length = ((stop - low) * 2**in_fraction, step * 2**in_fraction)
        bits = int(length).bit_length() - 1
        if place != int(place) or length != 1 << max(bits, 0):
            raise BadInput(
                f"stops must be multiples of 2**-{in_fraction} and steps powers of two not below it, not "
                f"{stop} and {step}"
            )
        regions.append(Region(int(place), bits))
    return Problem(function, in_bits, in_fraction, low, out_fraction, out).fit(form, tuple(regions), guard)


class Problem:
    """What a table is wanted for, whatever its segments; keeps the linear programs it has solved.

    Parameters
    ----------
    function, in_bits, in_fraction, low, out_fraction, out
        As for :func:`octave`.
    """

    def __init__(
        self,
        function: Function,
        in_bits: int,
        in_fraction: int,
        low: float,
        out_fraction: int,
        out: IntFormat | None,
    ):
        self.function = function
        self.in_bits = in_bits
        self.in_fraction = in_fraction
        self.low = low
        self.out_fraction = out_fraction
        self.out = out
        self._solved: dict[tuple[str, tuple[Region, ...]], list[FloatArray]] = {}

    def fit(self, form: str, regions: tuple[Region, ...], guard: int) -> Table:
        """The table of the smallest error found: minimax in real numbers, then the integers beside them."""
        if form not in FORMS:
            raise BadInput(f"form must be one of {', '.join(FORMS)}, not {form!r}")
        check_regions(self.in_bits, regions)
        guard = 0 if form == "constant" else guard
        if form == "knots":
            columns = [self._knots(regions, guard)]
        else:
            columns = self._pieces(form, regions, guard)
            tail = self._tail(regions)
            if tail.size:
                f = self.values(tail, guard)
                end = np.rint((f.min() + f.max()) / 2)
                columns = [np.append(c, end if k == 0 else 0) for k, c in enumerate(columns)]
        table = Table(
            form, self.in_bits, self.out or IntFormat(62, True), regions,
            tuple(tuple(int(c) for c in column) for column in columns),
            guard, self.low, self.in_fraction, self.out_fraction,
        )  # fmt: skip
        return table if self.out else replace(table, out=narrowest(*table.range))

    def values(self, x: IntArray, guard: int) -> FloatArray:
        """The function at integer arguments, in units of the coefficients."""
        at = self.low + np.asarray(x * 2.0**-self.in_fraction, np.float64)
        with np.errstate(all="ignore"):
            y = np.asarray(self.function(at), np.float64)
        broken = ~np.isfinite(y)
        if broken.any():
            where = at[broken].flat[0]
            raise BadInput(f"the function is {y[broken].flat[0]} at {where}; it must be finite on the domain")
        scaled: FloatArray = y * 2.0 ** (self.out_fraction + guard)
        return scaled

    def _segments(self, regions: tuple[Region, ...], points: int) -> list[IntArray]:
        """Arguments of each region, shape (segments, points): all of them, or evenly spread ones."""
        found = []
        start = 0
        for region in regions:
            step = 1 << region.step_bits
            u = np.unique(np.rint(np.linspace(0, step - 1, min(step, points))).astype(np.int64))
            found.append(np.arange(start, region.stop, step)[:, None] + u)
            start = region.stop
        return found

    def _tail(self, regions: tuple[Region, ...]) -> IntArray:
        """Arguments beyond the last region, or evenly spread ones."""
        stop, end = regions[-1].stop, 1 << self.in_bits
        return np.unique(np.rint(np.linspace(stop, end - 1, min(end - stop, 1 << 12))).astype(np.int64))

    def _pieces(self, form: str, regions: tuple[Region, ...], guard: int) -> list[IntArray]:
        """A polynomial per segment."""
        areas = self._segments(regions, _POINTS)
        if form == "constant":
            bounds = [(f.min(axis=1), f.max(axis=1)) for f in (self.values(x, guard) for x in areas)]
            return [np.rint(np.concatenate([(low + high) / 2 for low, high in bounds]))]
        degree = {"linear": 1, "quadratic": 2}[form]
        s = max(region.step_bits for region in regions) - 1
        if (form, regions) not in self._solved:
            self._solved[form, regions] = [self._minimax(x, degree, s) for x in areas]
        real = self._solved[form, regions]
        parts = [
            _integers(self.values(x, guard), x[0] - x[0, 0], s, c * 2.0**guard)
            for x, c in zip(areas, real, strict=True)
        ]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _minimax(self, x: IntArray, degree: int, s: int) -> FloatArray:
        """Coefficients in ``u / 2**s``, shape (degree + 1, segments), of the best polynomials of one region."""
        few = np.unique(np.rint(np.linspace(0, x.shape[1] - 1, min(x.shape[1], _PROGRAM_POINTS))).astype(int))
        f = self.values(x[:, few], 0)
        count, points = f.shape
        u = x[0, few] - x[0, 0]
        unit = max(int(u[-1]), 1)  # of the places in the program: 0..1
        shape = (count, points, degree + 1)
        rows = np.arange(count * points).reshape(count, points, 1)
        columns = np.arange(count * (degree + 1)).reshape(count, 1, degree + 1)
        places = (
            np.broadcast_to(rows, shape).ravel(),
            np.broadcast_to(columns, shape).ravel(),
        )
        powers = np.broadcast_to((u / unit)[:, None] ** np.arange(degree + 1), shape).ravel()
        matrix = coo_array((powers, places), (rows.size, columns.size))
        found = _least_error(matrix, (f - f[:, :1]).ravel(), np.repeat(np.arange(count), points))
        real: FloatArray = (
            found.reshape(count, degree + 1).T * (2.0**s / unit) ** np.arange(degree + 1)[:, None]
        )
        return real

    def _knots(self, regions: tuple[Region, ...], guard: int) -> IntArray:
        """Values at the ends of all segments: a linear program for all of them, then steps of one."""
        wheres, places, arguments = [], [], []
        count = 0
        for x, region in zip(self._segments(regions, _PROGRAM_POINTS), regions, strict=True):
            wheres.append(np.broadcast_to(count + np.arange(len(x))[:, None], x.shape).ravel())
            places.append(np.broadcast_to((x[0] - x[0, 0]) / (1 << region.step_bits), x.shape).ravel())
            arguments.append(x.ravel())
            count += len(x)
        tail = self._tail(regions)
        wheres.append(np.full(tail.shape, count))
        places.append(np.zeros(tail.shape))
        arguments.append(tail)
        left, share, x = (np.concatenate(parts) for parts in (wheres, places, arguments))
        right = np.minimum(left + 1, count)  # the last knot has no right neighbour, and no argument beside it
        if ("knots", regions) not in self._solved:
            rows = np.tile(np.arange(len(x)), 2)
            lines = coo_array(
                (np.concatenate([1 - share, share]), (rows, np.concatenate([left, right]))),
                (len(x), count + 1),
            )
            self._solved["knots", regions] = [_least_error(lines, self.values(x, 0), left)]
        knots = np.rint(self._solved["knots", regions][0] * 2.0**guard).astype(np.int64)
        return _stepwise(knots, left, right, share, self.values(x, guard))


def _integers(f: FloatArray, u: IntArray, s: int, real: FloatArray) -> list[IntArray]:
    """Columns near ``real`` with the smallest error found, for the segments of one region.

    ``f`` has shape (segments, arguments). Every choice of the upper coefficients near the real ones is tried;
    the best ``c0`` to each follows from it.
    """
    degree, count = len(real) - 1, len(f)
    place = u / 2.0**s
    best = np.full(count, np.inf)
    chosen = [np.zeros(count, np.int64) for _ in range(degree + 1)]
    for above in (0, 1)[:degree]:
        c2, slope = np.zeros(count, np.int64), real[1]
        if degree == 2:
            c2 = np.floor(real[2]).astype(np.int64) + above
            # A line makes up for most of what c2 lost, and for the half that t loses on average.
            slope = slope + (real[2] - c2) * place[-1] + 0.5
        for beside in range(-2, 3):
            c1 = np.rint(slope).astype(np.int64) + beside
            rest = f - (c1[:, None] + ((c2[:, None] * u) >> s)) * place
            low, high = rest.min(axis=1), rest.max(axis=1)
            c0 = np.rint((low + high) / 2).astype(np.int64)
            error = np.maximum(high - c0, c0 - low)
            better = error < best
            best[better] = error[better]
            for column, c in zip(chosen, (c0, c1, c2), strict=False):
                column[better] = c[better]
    return chosen


def _least_error(matrix: coo_array, f: FloatArray, block: IntArray) -> FloatArray:
    """The ``c`` with the smallest largest ``|matrix @ c - f|``.

    Of those, the one with the smallest sum over the blocks of rows of the largest in the block: that makes it
    unique, so that every solver finds the same table, and segments that are not the worst one good too.
    """
    rows, unknowns = matrix.shape
    blocks = int(block.max()) + 1
    error = coo_array((np.ones(rows), (np.arange(rows), block)), (rows, blocks))
    each, none, all_of_them = eye_array(blocks), coo_array((blocks, unknowns)), np.ones((blocks, 1))
    size = max(float(np.abs(f).max()), 1.0)
    done = linprog(
        np.concatenate([np.zeros(unknowns), np.ones(blocks), [_WORST * blocks]]),
        A_ub=vstack(
            [
                hstack([matrix, -error, coo_array((rows, 1))]),
                hstack([-matrix, -error, coo_array((rows, 1))]),
                hstack([none, each, -all_of_them]),
            ]
        ).tocsc(),
        b_ub=np.concatenate([f, -f, np.zeros(blocks)]) / size,
        bounds=[(None, None)] * (unknowns + blocks + 1),
        method="highs",
    )
    if done.status != 0:
        raise HwgenError(f"the linear program for the coefficients was not solved: {done.message}")
    found: FloatArray = done.x[:unknowns] * size
    return found


def _stepwise(knots: IntArray, left: IntArray, right: IntArray, share: FloatArray, f: FloatArray) -> IntArray:
    """Knots moved by one as long as the largest error beside them falls."""
    ends = np.searchsorted(left, np.arange(len(knots) + 1))
    for _ in range(8):
        before = knots.copy()
        for knot in range(len(knots)):
            near = slice(ends[max(knot - 1, 0)], ends[knot + 1])
            # How far a step of this knot moves the line at each argument, and how far it is away now.
            weight = np.where(left[near] == knot, 1 - share[near], share[near])
            error = knots[left[near]] * (1 - share[near]) + knots[right[near]] * share[near] - f[near]
            worst = [np.abs(error + step * weight).max(initial=0.0) for step in (0, 1, -1)]
            knots[knot] += (0, 1, -1)[int(np.argmin(worst))]
        if (knots == before).all():
            break
    return knots
