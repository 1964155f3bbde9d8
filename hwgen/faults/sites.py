"""Every bit that holds state, with a number, a name and a class: the one list that all engines share.

Sites are numbered element by element: registers by path, name and first bit, then memories by path and name, row after
row, bit 0 first. The numbers are stable as long as the Verilog's digest is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.faults.classes import SiteClass, classify
from hwgen.faults.netlist import Netlist

__all__ = ["Element", "Kind", "Site", "SiteTable"]


class Kind(StrEnum):
    """What holds a bit."""

    FLIP_FLOP = "flip_flop"
    MEMORY = "memory"
    GATE = "gate"


@dataclass(frozen=True)
class Element:
    """A register, or a memory.

    Parameters
    ----------
    number : int
        Position in the table.
    path : tuple of str
        Names of the instances around it; empty in the top module.
    module : str
        Kind of the innermost instance.
    name : str
        Verilog name.
    kind : Kind
        Flip-flops or memory.
    group : SiteClass
        What its bits do.
    low : int
        Number of its first bit in the Verilog name.
    width, depth : int
        Bits of a word, and words; a register has one.
    first : int
        Its first site.
    vendor : bool
        Whether it is inside a vendor's cell: hooks of an FPGA cannot reach it.
    """

    number: int
    path: tuple[str, ...]
    module: str
    name: str
    kind: Kind
    group: SiteClass
    low: int
    width: int
    depth: int
    first: int
    vendor: bool

    @property
    def sites(self) -> int:
        """How many."""
        return self.width * self.depth

    @property
    def label(self) -> str:
        """Path and name, joined by dots."""
        return ".".join((*self.path, self.name))

    @property
    def block(self) -> str:
        """Name of the outermost instance; ``top`` for what is in the top module itself."""
        return self.path[0] if self.path else "top"


@dataclass(frozen=True)
class Site:
    """One bit.

    Parameters
    ----------
    id : int
        Its number.
    element : Element
        Where it is.
    row, bit : int
        Word, and bit in the word.
    """

    id: int
    element: Element
    row: int
    bit: int

    def __str__(self) -> str:
        row = f"[{self.row}]" if self.element.kind is Kind.MEMORY else ""
        return f"{self.element.label}{row}[{self.element.low + self.bit}]"


@dataclass(frozen=True, eq=False)
class SiteTable:
    """All sites of a netlist.

    Parameters
    ----------
    digest : str
        Of the Verilog.
    elements : tuple of Element
        Registers, then memories: register *i* of the netlist is element *i*.
    """

    digest: str
    elements: tuple[Element, ...]

    @classmethod
    def of(cls, netlist: Netlist) -> SiteTable:
        """The sites of a netlist."""
        groups = classify(netlist)
        found: list[Element] = []
        first = 0
        for r, group in zip(netlist.registers, groups, strict=True):
            found.append(
                Element(
                    len(found), r.path, r.module, r.name, Kind.FLIP_FLOP, group, r.low, len(r.q), 1, first, r.vendor
                )
            )  # fmt: skip
            first += found[-1].sites
        for m in netlist.memories:
            found.append(
                Element(
                    len(found), m.path, m.module, m.name, Kind.MEMORY, SiteClass.MEMORY, 0, m.width, m.depth, first,
                    False,
                )
            )  # fmt: skip
            first += found[-1].sites
        return cls(netlist.digest, tuple(found))

    def __len__(self) -> int:
        return self.elements[-1].first + self.elements[-1].sites if self.elements else 0

    def __iter__(self) -> Iterator[Element]:
        return iter(self.elements)

    @cached_property
    def _firsts(self) -> npt.NDArray[np.int64]:
        return np.array([e.first for e in self.elements], np.int64)

    @cached_property
    def flip_flops(self) -> int:
        """Sites in registers: those with numbers below it."""
        return sum(e.sites for e in self.elements if e.kind is Kind.FLIP_FLOP)

    @property
    def memory_bits(self) -> int:
        """Sites in memories."""
        return sum(e.sites for e in self.elements if e.kind is Kind.MEMORY)

    def locate(self, ids: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], ...]:
        """Element, row and bit of sites, as three arrays.

        Raises
        ------
        BadInput
            If there is no such site.
        """
        sites = np.asarray(ids, np.int64)
        wrong = sites[(sites < 0) | (sites >= len(self))]
        if wrong.size:
            raise BadInput(f"there is no site {wrong.flat[0]}; this netlist has 0..{len(self) - 1}")
        element = np.searchsorted(self._firsts, sites, side="right") - 1
        offset = sites - self._firsts[element]
        width = np.array([e.width for e in self.elements], np.int64)[element]
        return element, offset // width, offset % width

    def site(self, number: int) -> Site:
        """A site by its number.

        Raises
        ------
        BadInput
            If there is none.
        """
        element, row, bit = (int(part) for part in self.locate(number))
        return Site(number, self.elements[element], row, bit)

    def find(self, name: str) -> list[Element]:
        """Elements by label, or by the beginning of a label that ends at a dot.

        Raises
        ------
        BadInput
            If there is none.
        """
        found = [e for e in self.elements if e.label == name or e.label.startswith(f"{name}.")]
        if not found:
            tail = name.rsplit(".", 1)[-1]
            near = [e.label for e in self.elements if e.name == tail or tail in e.path][:3]
            raise BadInput(
                f"there is no site {name!r}"
                + (f"; near are {', '.join(near)}" if near else "; see `hwgen sites`")
            )
        return found

    def rows(self) -> list[dict[str, Any]]:
        """The table, an element per row, for files and people."""
        return [
            {
                "element": e.number,
                "name": e.label,
                "module": e.module,
                "kind": e.kind.value,
                "class": e.group.value,
                "width": e.width,
                "depth": e.depth,
                "first_site": e.first,
                "vendor_cell": e.vendor,
            }
            for e in self.elements
        ]

    def count(self, groups: Sequence[SiteClass]) -> int:
        """Sites of some classes."""
        return sum(e.sites for e in self.elements if e.group in groups)
