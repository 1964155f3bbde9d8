"""What the figures of a campaign show, as arrays: shares of outcomes over arrays, bits, cycles and registers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hwgen.faults import statistics
from hwgen.faults.importance import Importance
from hwgen.faults.models import Faults
from hwgen.faults.outcome import Outcome
from hwgen.faults.plan import Population, Stratum
from hwgen.faults.sites import Element, SiteTable
from hwgen.faults.statistics import Interval
from hwgen.numerics import IntArray

__all__ = ["Grid", "Groups", "Sample", "Shares", "grids", "kind_of"]

Floats = npt.NDArray[np.float64]

_NUMBER = re.compile(r"\d+")
_ALL_BITS, _SINGLE_BITS = 48, 32  # wider registers: single bits, then groups that double
_FILLED = 0.5  # of a grid's cells that must be there


@dataclass(frozen=True, eq=False)
class Groups:
    """Faults put into groups.

    Parameters
    ----------
    names : tuple
        Of the groups.
    member : int64 array, shape (rows,)
        Group of each row of results; -1 if it is in none.
    sizes : int64 array, shape (strata, groups)
        Faults that there are in each; one stratum if the campaign has none.
    """

    names: tuple[Hashable, ...]
    member: IntArray
    sizes: IntArray


@dataclass(frozen=True, eq=False)
class Shares:
    """A share of each group with its interval; not a number where a group has no fault.

    Parameters
    ----------
    faults : int64 array, shape (groups,)
        That were simulated.
    estimate, low, high : float64 array, shape (groups,)
        In 0..1.
    """

    faults: IntArray
    estimate: Floats
    low: Floats
    high: Floats

    def worst(self, count: int) -> IntArray:
        """Groups with the largest lower bounds, the largest first; those without a single effect are left out.

        Lower bounds, because the largest estimates are those of the groups with the fewest faults.
        """
        order = np.lexsort((-np.nan_to_num(self.estimate), -np.nan_to_num(self.low)))
        return order[np.nan_to_num(self.estimate[order]) > 0][:count].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Grid:
    """Instances that form an array.

    Parameters
    ----------
    name : str
        Path of its instances with ``#`` for numbers.
    across, down : str
        What the numbers in each direction count.
    columns, rows : tuple of str
        These numbers.
    cell : int64 array, shape (elements of the table,)
        ``row * len(columns) + column`` of each element; -1 outside of the array.
    """

    name: str
    across: str
    down: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cell: IntArray


def kind_of(label: str) -> str:
    """A label with ``#`` for numbers: the same for alike registers of repeated instances."""
    return _NUMBER.sub("#", label)


def grids(table: SiteTable, elements: Iterable[Element]) -> tuple[Grid, ...]:
    """Arrays of instances, found by the numbers in their paths; those with most sites first.

    Two numbers that vary are two directions: ``column_3.chain_0.row_4``, ``dot_3_4``. A number that another one
    determines is no direction; if there are more than two, all but the outermost count as one.

    Parameters
    ----------
    table : SiteTable
        All sites.
    elements : iterable of Element
        Those to look at.
    """
    levels: dict[str, list[tuple[tuple[int, ...], Element]]] = {}
    for e in elements:
        for depth, name in enumerate(e.path, 1):
            if _NUMBER.search(name):
                prefix = ".".join(e.path[:depth])
                numbers = tuple(map(int, _NUMBER.findall(prefix)))
                levels.setdefault(kind_of(prefix), []).append((numbers, e))
    best: dict[str, tuple[int, Grid]] = {}
    for depth, sites, name in sorted(
        (name.count("#"), sum(e.sites for _, e in levels[name]), name) for name in levels
    ):
        axes = _axes(np.array([numbers for numbers, _ in levels[name]], np.int64))
        if depth < 2 or len(axes) < 2:
            continue
        grid = _grid(table, name, axes, levels[name])
        # Within the same outermost instances there is one array: the finest one that holds half of what others do.
        outer = "#".join(name.split("#")[: axes[0] + 1])
        if grid is not None and sites * 2 >= best.get(outer, (0, grid))[0]:
            best[outer] = sites, grid
    return tuple(grid for _, grid in sorted(best.values(), key=lambda one: -one[0]))


def _axes(numbers: IntArray) -> list[int]:
    """Positions of numbers that vary and are not determined by another one."""
    kept = [i for i in range(numbers.shape[1]) if len(np.unique(numbers[:, i])) > 1]
    for i in tuple(kept):
        others = (j for j in kept if j != i)
        if any(len(np.unique(numbers[:, [i, j]], axis=0)) == len(np.unique(numbers[:, j])) for j in others):
            kept.remove(i)
    return kept


def _grid(
    table: SiteTable, name: str, axes: list[int], members: list[tuple[tuple[int, ...], Element]]
) -> Grid | None:
    """The array of one kind of instances, unless it has too many holes."""
    first, rest = axes[0], axes[1:]
    outer: list[tuple[int, ...]] = [(numbers[first],) for numbers, _ in members]
    inner = [tuple(numbers[i] for i in rest) for numbers, _ in members]
    across, down = _counted(name, [first]), _counted(name, rest)
    if len(axes) == 2 and _component(name, first) == _component(name, rest[0]):
        # Two numbers in one name are row and column, as of a matrix.
        outer, inner, across, down = inner, outer, f"{down}, second number", f"{across}, first number"
    columns, rows = sorted(set(outer)), sorted(set(inner))
    if len(set(zip(outer, inner, strict=True))) < _FILLED * len(columns) * len(rows):
        return None
    at_column = {key: i for i, key in enumerate(columns)}
    at_row = {key: i for i, key in enumerate(rows)}
    cell = np.full(len(table.elements), -1, np.int64)
    for x, y, (_, e) in zip(outer, inner, members, strict=True):
        cell[e.number] = at_row[y] * len(columns) + at_column[x]
    texts = [tuple(".".join(map(str, key)) for key in keys) for keys in (columns, rows)]
    return Grid(name, across, down, texts[0], texts[1], cell)


def _component(name: str, number: int) -> int:
    """Which part of a path a number is in."""
    return "#".join(name.split("#")[: number + 1]).count(".")


def _counted(name: str, numbers: list[int]) -> str:
    """What numbers count: the names before them."""
    parts = name.split(".")
    return ".".join(parts[_component(name, i)].split("#")[0].rstrip("_") for i in numbers)


@dataclass(frozen=True, eq=False)
class Sample:
    """Results of a campaign, and what they were drawn from.

    Parameters
    ----------
    rows : structured array of :data:`hwgen.faults.campaign.OUTCOME`
        Results.
    table : SiteTable
        All sites.
    population : Population
        Sites and cycles.
    strata : tuple of Stratum
        Of a stratified campaign; a group's share is then that of its strata, weighed by their faults.
    confidence : float
        Of each interval by itself.
    plan : Importance, optional
        Of a campaign with importance sampling.
    """

    rows: Faults
    table: SiteTable
    population: Population
    strata: tuple[Stratum, ...] = ()
    confidence: float = 0.95
    plan: Importance | None = None

    @cached_property
    def _places(self) -> tuple[IntArray, ...]:
        return self.table.locate(self.rows["site"])

    @cached_property
    def _layers(self) -> tuple[Population, ...]:
        """What was drawn from by itself."""
        return tuple(s.population for s in self.strata) or (self.population,)

    @cached_property
    def _stratum(self) -> IntArray:
        return np.asarray(self.rows["stratum"] if self.strata else np.zeros(len(self.rows)), np.int64)

    @cached_property
    def latencies(self) -> IntArray:
        """Cycles from each reported fault to its report."""
        return np.asarray(self.rows["latency"][self.rows["outcome"] == Outcome.DETECTED], np.int64)

    # Groups

    def by(self, key: Callable[[Element], Hashable]) -> Groups:
        """By a property of what was struck, in the order in which elements have it."""
        names = tuple(dict.fromkeys(key(e) for e in self.population.elements))
        index = {name: i for i, name in enumerate(names)}
        own = np.full(len(self.table.elements), -1, np.int64)
        for e in self.population.elements:
            own[e.number] = index[key(e)]
        return self._by_element(names, own)

    def by_cell(self, grid: Grid) -> Groups:
        """By position in an array, row after row."""
        return self._by_element(
            tuple((row, column) for row in grid.rows for column in grid.columns), grid.cell
        )

    def _by_element(self, names: tuple[Hashable, ...], own: IntArray) -> Groups:
        sizes = np.zeros((len(self._layers), len(names)), np.int64)
        for h, layer in enumerate(self._layers):
            for e, (low, high) in _spans(layer):
                if own[e.number] >= 0:
                    sizes[h, own[e.number]] += (high - low) * e.depth * layer.cycles
        return Groups(names, own[self._places[0]], sizes)

    def by_bit(self) -> Groups:
        """By the bit's number in its register or word; those of a single bit are in no group.

        Beyond 48 bits, those from 32 on are put together: from 32, from 64, from 128 and so on.
        """
        wide = np.array([e.low + e.width > 1 for e in self.table])
        top = max((e.low + e.width for e in self.population.elements if wide[e.number]), default=0)
        starts = list(range(top if top <= _ALL_BITS else _SINGLE_BITS))
        names = [str(bit) for bit in starts]
        low = _SINGLE_BITS
        while top > _ALL_BITS and low < top:
            starts.append(low)
            names.append(f"{low}+")
            low *= 2
        sizes = np.zeros((len(self._layers), len(names)), np.int64)
        for h, layer in enumerate(self._layers):
            for e, (first, end) in _spans(layer):
                if wide[e.number]:
                    bits = np.searchsorted(starts, np.arange(e.low + first, e.low + end), side="right") - 1
                    np.add.at(sizes[h], bits, e.depth * layer.cycles)
        element, _, bit = self._places
        lows = np.array([e.low for e in self.table], np.int64)
        member = np.searchsorted(starts, lows[element] + bit, side="right") - 1
        return Groups(tuple(names), np.where(wide[element], member, -1).astype(np.int64), sizes)

    def by_cycle(self, bins: int = 40) -> Groups:
        """By the cycle of the fault, in parts of the window that are nearly equal; names are first and end."""
        p = self.population
        count = min(bins, p.cycles)
        edges = p.first + np.arange(count + 1, dtype=np.int64) * p.cycles // count
        member = np.searchsorted(edges, self.rows["cycle"], side="right") - 1
        sizes = [
            np.diff(np.clip(edges, layer.first, layer.first + layer.cycles)) * layer.sites
            for layer in self._layers
        ]
        names = tuple((int(a), int(b)) for a, b in pairwise(edges))
        return Groups(names, member.astype(np.int64), np.array(sizes, np.int64))

    # Shares

    def _count(self, groups: Groups, chosen: npt.NDArray[np.bool_]) -> IntArray:
        """How many rows that are chosen are in each group, by stratum."""
        some = chosen & (groups.member >= 0)
        found = np.zeros(groups.sizes.shape, np.int64)
        np.add.at(found, (self._stratum[some], groups.member[some]), 1)
        return found

    def mix(self, groups: Groups) -> Floats:
        """Share of every outcome in every group, shape (groups, outcomes); not a number without faults."""
        if self.plan is not None:
            return self._weighted_mix(groups, self.plan.weights(self.rows))
        drawn = self._count(groups, np.ones(len(self.rows), np.bool_))
        weight = np.where(drawn > 0, groups.sizes, 0) / np.maximum(drawn, 1)
        total = (weight * drawn).sum(axis=0)
        total[total == 0] = np.nan
        hits = [(weight * self._count(groups, self.rows["outcome"] == one)).sum(axis=0) for one in Outcome]
        return np.asarray(np.stack(hits, axis=1) / total[:, None])

    def _weighted_mix(self, groups: Groups, weights: Floats) -> Floats:
        found = np.zeros((len(groups.names), len(Outcome)))
        some = groups.member >= 0
        np.add.at(found, (groups.member[some], self.rows["outcome"][some]), weights[some])
        total = found.sum(axis=1, keepdims=True)
        total[total == 0] = np.nan
        return np.asarray(found / total)

    def shares(self, groups: Groups, outcomes: Collection[Outcome]) -> Shares:
        """Share of some outcomes in every group, with Wilson's interval, or the stratified one like it."""
        drawn = self._count(groups, np.ones(len(self.rows), np.bool_))
        chosen = [int(one) for one in outcomes]
        hits = self._count(groups, np.isin(self.rows["outcome"], chosen))
        bounds = np.full((3, len(groups.names)), np.nan)
        for i in np.flatnonzero(drawn.any(axis=0)):
            if self.plan is not None:
                own = self.rows[groups.member == i]
                found = self.plan.share(own, np.isin(own["outcome"], chosen), self.confidence)
                bounds[:, i] = found.estimate, found.low, found.high
                continue
            found = self._interval(hits[:, i], drawn[:, i], groups.sizes[:, i])
            bounds[:, i] = found.estimate, found.low, found.high
        return Shares(drawn.sum(axis=0), bounds[0], bounds[1], bounds[2])

    def _interval(self, x: IntArray, n: IntArray, sizes: IntArray) -> Interval:
        """Of one group that was drawn from some strata."""
        from_ = [int(h) for h in np.flatnonzero(n)]
        if len(from_) == 1:
            (h,) = from_
            return statistics.wilson(int(x[h]), int(n[h]), self.confidence, int(sizes[h]))
        whole = int(sizes[from_].sum())
        parts = [
            statistics.Stratum(int(x[h]), int(n[h]), int(sizes[h]) / whole, int(sizes[h])) for h in from_
        ]
        return statistics.stratified(parts, self.confidence)


def _spans(layer: Population) -> Iterator[tuple[Element, tuple[int, int]]]:
    """Elements and the bits of them that count."""
    return zip(layer.elements, layer.bits or [(0, e.width) for e in layer.elements], strict=True)
