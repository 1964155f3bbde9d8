"""A piecewise polynomial as an integer function: what the hardware computes, bit for bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import IntArray, IntFormat, bits_for_range

__all__ = ["FORMS", "MAX_IN_BITS", "FloatArray", "Region", "Table", "check_regions", "narrowest"]

FloatArray = npt.NDArray[np.float64]

FORMS = ("constant", "knots", "linear", "quadratic")
"""What a segment is: a value, a line between the values at its ends, a line or a parabola of its own."""

MAX_IN_BITS = 24
"""Widest argument: every input can still be visited in a second."""

_CHUNK = 1 << 18  # inputs that are visited at once


@dataclass(frozen=True)
class Region:
    """Segments of one step.

    Parameters
    ----------
    stop : int
        The first argument behind it; a multiple of the step.
    step_bits : int
        Its segments are ``2**step_bits`` arguments long.
    """

    stop: int
    step_bits: int


@dataclass(frozen=True)
class Table:
    """``y = floor((p(x) + 2**(guard - 1)) / 2**guard)`` with a polynomial ``p`` per segment.

    Segment ``i`` begins at ``x_i``; ``u = x - x_i``, and ``s`` is the largest ``step_bits``::

        constant    p = c0[i]                                     (guard is 0, nothing is rounded)
        knots       p = c0[i] + (c0[i + 1] - c0[i]) * u / 2**step_bits      of the segment's region
        linear      p = c0[i] + c1[i] * u / 2**(s - 1)
        quadratic   p = c0[i] + t * u / 2**(s - 1),   t = c1[i] + floor(c2[i] * u / 2**(s - 1))

    So bits are dropped in one place, the final rounding (half up), and in a quadratic at ``t`` before it.
    At and beyond the last region's stop, ``p`` is the last entry of ``c0``.

    Parameters
    ----------
    form : str
        Of :data:`FORMS`.
    in_bits : int
        Width of the unsigned argument, 1..24.
    out : IntFormat
        Format of the result.
    regions : tuple of Region
        Ascending; the last one may end before ``2**in_bits``.
    coefficients : tuple of tuple of int
        ``c0``, ``c1``, ``c2`` as the form has them. One entry per segment, and one more if arguments lie
        beyond the last region (``c1`` and ``c2`` are zero there) or the form is ``knots``.
    guard : int
        Bits of the coefficients behind the result's last bit.
    low, in_fraction, out_fraction : float, int, int
        What the integers stand for: ``low + x * 2**-in_fraction`` and ``y * 2**-out_fraction``.

    Raises
    ------
    BadInput
        If a part contradicts another, or a result leaves the format.
    """

    form: str
    in_bits: int
    out: IntFormat
    regions: tuple[Region, ...]
    coefficients: tuple[tuple[int, ...], ...]
    guard: int
    low: float
    in_fraction: int
    out_fraction: int

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise BadInput(f"form must be one of {', '.join(FORMS)}, not {self.form!r}")
        if not 1 <= self.in_bits <= MAX_IN_BITS:
            raise BadInput(f"in_bits must lie in 1..{MAX_IN_BITS}, not {self.in_bits}")
        if (self.guard == 0) != (self.form == "constant") or self.guard < 0:
            raise BadInput(
                f"a table of form {self.form} rounds its result, so guard must be "
                f"{'0' if self.form == 'constant' else 'at least 1'}, not {self.guard}"
            )
        check_regions(self.in_bits, self.regions)
        if self.form != "constant" and not self.step_bits:
            raise BadInput("segments of one argument have no inside: use the form constant")
        wanted = {"constant": 1, "knots": 1, "linear": 2, "quadratic": 3}[self.form]
        sizes = [len(column) for column in self.coefficients]
        if sizes != [self.entries] * wanted:
            raise BadInput(f"{self.form} needs {wanted} columns of {self.entries} entries, not {sizes}")
        if self.beyond and any(column[-1] for column in self.coefficients[1:]):
            raise BadInput("beyond the last region a table is constant: c1 and c2 must end with 0")
        low, high = self.range
        if low < self.out.low or high > self.out.high:
            raise BadInput(f"the results reach {low}..{high}, which {self.out} does not hold; widen it")

    @property
    def segments(self) -> int:
        """Number of segments, without what lies beyond the last region."""
        start = segments = 0
        for region in self.regions:
            segments += (region.stop - start) >> region.step_bits
            start = region.stop
        return segments

    @property
    def beyond(self) -> bool:
        """Whether arguments lie beyond the last region."""
        return self.regions[-1].stop < 1 << self.in_bits

    @property
    def entries(self) -> int:
        """Entries of a column."""
        return self.segments + (self.form == "knots" or self.beyond)

    @property
    def step_bits(self) -> int:
        """Of the longest segment."""
        return max(region.step_bits for region in self.regions)

    @property
    def unit_bits(self) -> int:
        """Of the stretch along which the coefficients are differences: the longest segment, or half of it."""
        return self.step_bits - (self.form != "knots")

    @property
    def direct(self) -> bool:
        """Whether the upper bits of the argument are the entry's address."""
        return len(self.regions) == 1

    @property
    def multipliers(self) -> int:
        """Multipliers of the hardware."""
        return {"constant": 0, "knots": 1, "linear": 1, "quadratic": 2}[self.form]

    @property
    def latency(self) -> int:
        """Cycles from an argument to its result in hardware."""
        if self.form == "knots":
            return 5
        return (not self.direct) + {"constant": 1, "linear": 3, "quadratic": 5}[self.form]

    @cached_property
    def range(self) -> tuple[int, int]:
        """Smallest and largest result, over every argument."""
        results = [(int(y.min()), int(y.max())) for y in map(self.evaluate, self._visit())]
        return min(low for low, _ in results), max(high for _, high in results)

    @cached_property
    def formats(self) -> tuple[IntFormat, ...]:
        """The narrowest format of each column."""
        return tuple(narrowest(min(column), max(column)) for column in self.coefficients)

    @cached_property
    def slopes(self) -> tuple[int, int]:
        """Smallest and largest ``t`` of a quadratic."""
        _, c1, c2 = (np.array(column, np.int64) for column in self.coefficients)
        ends = [c1[-1:]]
        start = base = 0
        for region in self.regions:
            segments = (region.stop - start) >> region.step_bits
            part = slice(base, base + segments)
            ends += [c1[part], c1[part] + (c2[part] * ((1 << region.step_bits) - 1) >> self.unit_bits)]
            start, base = region.stop, base + segments
        return min(int(e.min()) for e in ends), max(int(e.max()) for e in ends)

    @property
    def table_bits(self) -> int:
        """Bits of all coefficients."""
        return sum(self.entries * form.bits for form in self.formats)

    @property
    def digest(self) -> str:
        """SHA-256 (16 hexadecimal digits) of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def evaluate(self, x: npt.ArrayLike) -> IntArray:
        """The result, int64, for arguments in ``0..2**in_bits - 1``."""
        p, scale = self._polynomial(np.asarray(x, np.int64))
        half = (1 << self.guard) >> 1
        y: IntArray = (p + (half << scale)) >> (self.guard + scale)
        return y

    def unrounded(self, x: npt.ArrayLike) -> FloatArray:
        """The real number that :meth:`evaluate` rounds at last."""
        p, scale = self._polynomial(np.asarray(x, np.int64))
        return np.asarray(p * 2.0 ** -(scale + self.guard + self.out_fraction), np.float64)

    def argument(self, x: npt.ArrayLike) -> FloatArray:
        """The real numbers that arguments stand for."""
        return self.low + np.asarray(np.asarray(x) * 2.0**-self.in_fraction, np.float64)

    def max_error(self, function: Callable[[FloatArray], FloatArray], *, rounded: bool = True) -> float:
        """Largest distance from a real function, over **every** argument.

        Parameters
        ----------
        function : callable
            From arrays of real numbers to arrays of real numbers.
        rounded : bool
            Of the result; without, of the number that is rounded to it.
        """
        return max(float(np.abs(error).max()) for error in self._errors(function, rounded))

    def mean_square_error(
        self, function: Callable[[FloatArray], FloatArray], *, rounded: bool = True
    ) -> float:
        """Mean of the squared distance from a real function, over every argument."""
        total = sum(float(np.square(error).sum()) for error in self._errors(function, rounded))
        return total / (1 << self.in_bits)

    def _errors(self, function: Callable[[FloatArray], FloatArray], rounded: bool) -> Iterator[FloatArray]:
        for x in self._visit():
            y = self.evaluate(x) * 2.0**-self.out_fraction if rounded else self.unrounded(x)
            yield y - function(self.argument(x))

    def _visit(self) -> Iterator[IntArray]:
        """Every argument, in order."""
        for start in range(0, 1 << self.in_bits, _CHUNK):
            yield np.arange(start, min(start + _CHUNK, 1 << self.in_bits), dtype=np.int64)

    def _polynomial(self, x: IntArray) -> tuple[IntArray, int]:
        """``p * 2**scale`` and ``scale``."""
        columns = [np.array(column, np.int64) for column in self.coefficients]
        if self.form == "constant":
            return columns[0][self._locate(x)[0]], 0
        entry, u, left = self._locate(x)
        s = self.unit_bits
        if self.form == "knots":
            c0 = columns[0]
            return (c0[entry] << s) + (c0[np.minimum(entry + 1, len(c0) - 1)] - c0[entry]) * (u << left), s
        t = columns[1][entry]
        if self.form == "quadratic":
            t = t + ((columns[2][entry] * u) >> s)
        return (columns[0][entry] << s) + t * u, s

    def _locate(self, x: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Entry, place inside its segment, and by how many bits the segment is shorter than the longest."""
        entry = np.full(x.shape, self.entries - 1)
        u, left = np.zeros_like(x), np.zeros_like(x)
        start = base = 0
        for region in self.regions:
            inside = (x >= start) & (x < region.stop)
            step = region.step_bits
            entry[inside] = base + ((x[inside] - start) >> step)
            u[inside] = x[inside] & ((1 << step) - 1)
            left[inside] = self.step_bits - step
            base += (region.stop - start) >> step
            start = region.stop
        return entry, u, left


def check_regions(in_bits: int, regions: tuple[Region, ...]) -> None:
    """Refuse regions that do not divide the arguments, or a part of them from 0 up, into whole segments."""
    start = 0
    for region in regions:
        if region.stop <= start or (region.stop | start) & ((1 << region.step_bits) - 1):
            raise BadInput(
                f"a region of step {1 << region.step_bits} must begin and end at multiples of it, "
                f"not at {start} and {region.stop}"
            )
        start = region.stop
    if not 0 < start <= 1 << in_bits:
        raise BadInput(f"the regions must end within 1..{1 << in_bits}, not at {start}")


def narrowest(low: int, high: int) -> IntFormat:
    """The narrowest format that holds both; one bit at least."""
    if low < 0:
        return IntFormat(bits_for_range(low, high), True)
    return IntFormat(max(1, high.bit_length()), False)
