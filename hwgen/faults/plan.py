"""Which faults a campaign injects: every one, or draws that depend on seed and number alone.

The population is every selected site in every cycle of a window. Fault *i* of a plan is always the same one, whoever
asks for it and in which pieces.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.faults import draws, statistics
from hwgen.faults.models import FAULT, Faults, Model, masks
from hwgen.faults.sites import Element, Kind, SiteTable

__all__ = [
    "ROW",
    "Exhaustive",
    "Plan",
    "Population",
    "Stratified",
    "Stratum",
    "Uniform",
    "population",
    "strata_of",
]

ROW = np.dtype([*((name, FAULT[name]) for name in FAULT.names or ()), ("stratum", "<u4")])
"""A fault and the stratum that it was drawn from."""

_PROTOTYPE = ("model", "size", "duration", "period", "on", "value")
_KEPT = 1 << 20  # sites whose ids are kept: flip-flops are fewer, bits of memories can be more


@dataclass(frozen=True)
class Population:
    """Sites and cycles.

    Parameters
    ----------
    elements : tuple of Element
        Whose bits are struck; all rows and bits of them.
    first, cycles : int
        Window: first cycle, and how many.
    prototype : tuple
        Model, size, duration, period, on-time and value of every fault, see :data:`hwgen.faults.models.FAULT`.
    bits : tuple of (int, int) or None
        Of each element: the bits that count, first and one after the last; all of them if absent.
    """

    elements: tuple[Element, ...]
    first: int
    cycles: int
    prototype: tuple[int, int, int, int, int, int]
    bits: tuple[tuple[int, int], ...] | None = None

    @cached_property
    def _spans(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First bit of each element that counts, and how many."""
        spans = np.array(self.bits or [(0, e.width) for e in self.elements], np.int64).reshape(-1, 2)
        return spans[:, 0], spans[:, 1] - spans[:, 0]

    @cached_property
    def sites_of(self) -> npt.NDArray[np.int64]:
        """Sites of each element."""
        return self._spans[1] * np.array([e.depth for e in self.elements], np.int64)

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        return np.cumsum(self.sites_of)

    @property
    def sites(self) -> int:
        """How many."""
        return int(self._ends[-1]) if self.elements else 0

    def __len__(self) -> int:
        return self.sites * self.cycles

    def faults(self, numbers: npt.NDArray[np.int64], stratum: npt.ArrayLike = 0) -> Faults:
        """Members by number, site by site of each cycle, as rows of :data:`ROW`."""
        cycle, place = np.divmod(numbers, self.sites)
        return self.at(place, cycle, stratum)

    def at(
        self, place: npt.NDArray[np.int64], cycle: npt.NDArray[np.int64], stratum: npt.ArrayLike = 0
    ) -> Faults:
        """Members by the number of their site and of their cycle, as rows of :data:`ROW`."""
        prototype = np.zeros(1, ROW)
        for name, value in zip(_PROTOTYPE, self.prototype, strict=True):
            prototype[name] = value
        made = np.repeat(prototype, len(place))
        made["site"] = self._ids(place) if self._known is None else self._known[place]
        made["cycle"] = self.first + cycle
        made["stratum"] = stratum
        return made

    @cached_property
    def _known(self) -> npt.NDArray[np.int64] | None:
        """Ids of all sites, unless they are too many to keep."""
        return self._ids(np.arange(self.sites)) if self.sites <= _KEPT else None

    def _ids(self, place: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Ids of sites in the table."""
        element = np.searchsorted(self._ends, place, side="right")
        low, width = self._spans
        row, bit = np.divmod(place - (self._ends - self.sites_of)[element], width[element])
        first, whole = (np.array([(e.first, e.width) for e in self.elements], np.int64)[element]).T
        ids: npt.NDArray[np.int64] = first + row * whole + low[element] + bit
        return ids


def population(
    table: SiteTable, cycles: int, prototype: Faults, *, where: Sequence[str] = (), classes: Sequence[str] = (),
    kinds: Sequence[Kind] = (Kind.FLIP_FLOP,), window: tuple[int, int] | None = None, reachable: bool = False,
) -> Population:  # fmt: skip
    """Select sites and cycles.

    Parameters
    ----------
    table : SiteTable
        All sites.
    cycles : int
        Of the fault-free run.
    prototype : Faults
        One fault: model, size, duration, period, on-time and value of all.
    where : sequence of str
        Labels, or beginnings of labels, of elements; everything if empty.
    classes : sequence of str
        Names of site classes; all if empty.
    kinds : sequence of Kind
        Flip-flops, memories.
    window : (int, int), optional
        First cycle, and one after the last.
    reachable : bool
        Leave out what lies inside vendors' cells.

    Raises
    ------
    BadInput
        If nothing is left, or the window is not within the run.
    """
    elements = list(table.elements)
    if where:
        numbers = sorted({e.number for name in where for e in table.find(name)})
        elements = [table.elements[n] for n in numbers]
    kept = [
        e for e in elements
        if e.kind in kinds and (not classes or e.group.value in classes) and not (reachable and e.vendor)
    ]  # fmt: skip
    if not kept:
        raise BadInput("the selection has no site; widen --sites, --classes or --kinds (see `hwgen sites`)")
    first, end = window or (0, cycles)
    if not 0 <= first < end <= cycles:
        raise BadInput(f"the window {first}..{end} is not within the run's cycles 0..{cycles}")
    one = prototype[0]
    if one["model"] in (Model.COLUMN_AT_0, Model.COLUMN_AT_1):
        kept = [e for e in kept if e.kind is Kind.MEMORY]
        if not kept:
            raise BadInput("columns are struck in memories; add --kinds memory")
        # One row stands for all: a column has no row.
        kept = [replace(e, depth=1) for e in kept]
    if one["model"] in (Model.OVERRIDE, Model.SWAP):
        # One bit stands for all: a register loads as a whole.
        kept = [replace(e, width=1) for e in kept if e.kind is Kind.FLIP_FLOP]
        if not kept:
            raise BadInput("overrides and swaps strike registers; leave out --kinds memory")
    numbers_of = tuple(int(one[name]) for name in _PROTOTYPE)
    made = Population(tuple(kept), first, end - first, numbers_of)  # type: ignore[arg-type]
    if one["model"] in (Model.OVERRIDE, Model.SWAP):
        masks(table, made.faults(np.arange(made.sites) * made.cycles))  # refuses what cannot be
    return made


class Plan(ABC):
    """A list of faults that is computed, not stored."""

    total: int

    @abstractmethod
    def __call__(self, first: int, count: int) -> Faults:
        """Faults ``first`` to ``first + count - 1``, as rows of :data:`ROW`."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What decides the faults, for the manifest."""


@dataclass(frozen=True)
class Exhaustive(Plan):
    """Every member of a population once, in order."""

    population: Population

    @property
    def total(self) -> int:  # type: ignore[override]
        """All of them."""
        return len(self.population)

    def __call__(self, first: int, count: int) -> Faults:
        """See :class:`Plan`."""
        return self.population.faults(np.arange(first, first + count, dtype=np.int64))

    def to_dict(self) -> dict[str, Any]:
        """See :class:`Plan`."""
        return {"kind": "exhaustive"}


@dataclass(frozen=True)
class Uniform(Plan):
    """Draws without replacement: the first ``total`` of a permutation that the seed chooses."""

    population: Population
    total: int
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= self.total <= len(self.population):
            raise BadInput(
                f"{self.total} samples cannot be drawn from {len(self.population)} faults; choose fewer"
            )

    def __call__(self, first: int, count: int) -> Faults:
        """See :class:`Plan`."""
        numbers = draws.permuted(self.seed, 0, np.arange(first, first + count), len(self.population))
        return self.population.faults(numbers)

    def to_dict(self) -> dict[str, Any]:
        """See :class:`Plan`."""
        return {"kind": "uniform", "seed": self.seed}


@dataclass(frozen=True)
class Stratum:
    """A part of a population.

    Parameters
    ----------
    key : tuple of str
        Class, bits and phase.
    population : Population
        Its members.
    """

    key: tuple[str, str, str]
    population: Population

    @property
    def name(self) -> str:
        """For people."""
        return " ".join(self.key)


_BITS = ((0, 4), (4, 8), (8, 16), (16, 1 << 20))


def strata_of(whole: Population, phases: int = 4) -> tuple[Stratum, ...]:
    """Strata of a population: register class, position of the bit in its register, and phase of the run.

    Parameters
    ----------
    whole : Population
        To be divided.
    phases : int
        Equal parts of the window, at least 1.

    Raises
    ------
    BadInput
        If there are more phases than cycles.
    """
    if not 1 <= phases <= whole.cycles:
        raise BadInput(f"phases must lie in 1..{whole.cycles}, the cycles of the window, not {phases}")
    cuts = [whole.first + whole.cycles * i // phases for i in range(phases + 1)]
    found = []
    for group in dict.fromkeys(e.group for e in whole.elements):
        for low, high in _BITS:
            members = [e for e in whole.elements if e.group is group and e.width > low]
            if not members:
                continue
            spans = tuple((low, min(high, e.width)) for e in members)
            text = f"bits {low}..{high - 1}" if high < 1 << 20 else f"bits from {low}"
            for i in range(phases):
                part = replace(
                    whole, elements=tuple(members), bits=spans, first=cuts[i], cycles=cuts[i + 1] - cuts[i]
                )
                found.append(Stratum((group.value, text, f"cycles {cuts[i]}..{cuts[i + 1] - 1}"), part))
    return tuple(found)


@dataclass(frozen=True)
class Stratified(Plan):
    """So many draws without replacement from each stratum, one stratum after the other.

    Parameters
    ----------
    strata : tuple of Stratum
        Parts of the population.
    sizes : tuple of int
        Draws from each.
    seed : int
        Of the draws.
    skip : tuple of int, optional
        Draws of each that were made before, by a pilot of the same seed.
    """

    strata: tuple[Stratum, ...]
    sizes: tuple[int, ...]
    seed: int
    skip: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        before = self.skip or (0,) * len(self.sizes)
        for stratum, size, skipped in zip(self.strata, self.sizes, before, strict=True):
            if size + skipped > len(stratum.population):
                raise BadInput(f"{size} samples cannot be drawn from {stratum.name}; choose fewer")

    @property
    def total(self) -> int:  # type: ignore[override]
        """All draws."""
        return sum(self.sizes)

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        return np.cumsum(self.sizes)

    def __call__(self, first: int, count: int) -> Faults:
        """See :class:`Plan`."""
        numbers = np.arange(first, first + count)
        which = np.searchsorted(self._ends, numbers, side="right")
        made = np.zeros(count, ROW)
        for h in np.unique(which):
            mine = which == h
            begin = int(self._ends[h]) - self.sizes[h] - (self.skip[h] if self.skip else 0)
            members = self.strata[h].population
            drawn = draws.permuted(self.seed, int(h) + 1, numbers[mine] - begin, len(members))
            made[mine] = members.faults(drawn, h)
        return made

    def to_dict(self) -> dict[str, Any]:
        """See :class:`Plan`."""
        return {
            "kind": "stratified",
            "seed": self.seed,
            "sizes": list(self.sizes),
            "skip": list(self.skip or ()),
        }


def neyman(
    strata: Sequence[Stratum], shares: Sequence[float], total: int, pilot: Sequence[int]
) -> tuple[int, ...]:
    """Draws of each stratum in a campaign after a pilot, by Neyman's rule.

    Parameters
    ----------
    strata : sequence of Stratum
        Parts of the population.
    shares : sequence of float
        Share of effects that the pilot saw in each.
    total : int
        Draws to divide.
    pilot : sequence of int
        Draws of the pilot, which are not repeated.
    """
    sizes = np.array([len(s.population) for s in strata], np.int64)
    left = sizes - np.asarray(pilot, np.int64)
    return tuple(
        int(n) for n in statistics.neyman(sizes, np.asarray(shares), min(total, int(left.sum())), 0, left)
    )
