"""Protection of emitted Verilog: modules get check bits, copies and comparisons as a plan says.

Modules of which all instances keep what they have stay as they are, to the byte; others get a variant for each way in
which their instances are protected. What a module sees goes into a register of its own, and from there to the top in
one gate per level: a fault is reported in the third cycle after the one that it struck in.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput, HwgenError
from hwgen.faults.hook_edit import REPORTS, design_json, tidy_verilog
from hwgen.faults.hooks import plainly_named
from hwgen.faults.protection.abft import Emitted, checker, gemm_cores
from hwgen.faults.protection.module import Variant, protect_module
from hwgen.faults.protection.plan import TOP, Choice, Plan
from hwgen.faults.sites import Element, Kind, SiteTable

__all__ = ["CORRECTED", "DETECTED", "Protected", "SiteMap", "protected"]

DETECTED, CORRECTED = REPORTS
"""Ports of the protected top. The first is set from the first detection to the next reset; the second in each cycle in
which something was corrected, two cycles later."""

Path_ = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class SiteMap:
    """Where the sites of a design are in the protected one.

    Parameters
    ----------
    original : int64 array
        For each site of the design, the site of the protected one.
    added : int64 array
        Sites of the protected one that are none of the design's: its mechanism.
    """

    original: npt.NDArray[np.int64]
    added: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Protected:
    """A protected design.

    Parameters
    ----------
    top : str
        Top module; its ports are those it had, and :data:`DETECTED` and :data:`CORRECTED` if there is something to say.
    verilog : str
        Source text, with models of vendor cells if these were asked for.
    sources : tuple of Path
        What it was made from.
    plan : Plan
        What was asked for.
    vendor : bool
        Whether models of vendor cells are part of it.
    added : frozenset of str
        Registers that protection added, by label; what is in copies is below :attr:`copies`.
    copies : tuple of str
        Paths of instances that protection added.
    grown : mapping of str to int
        Memories that got wider, by label, and how wide they were.
    renamed : mapping of str to str
        Registers under another label, and the one that they had.
    hardened : frozenset of str
        Registers with the attribute ``hardened``.
    notes : tuple of str
        What was protected otherwise than asked for.
    """

    top: str
    verilog: str
    sources: tuple[Path, ...]
    plan: Plan
    vendor: bool
    added: frozenset[str] = frozenset()
    copies: tuple[str, ...] = ()
    grown: Mapping[str, int] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    hardened: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Of the Verilog."""
        return hashlib.sha256(self.verilog.encode()).hexdigest()[:16]

    @property
    def reports(self) -> tuple[str, ...]:
        """Which of :data:`DETECTED` and :data:`CORRECTED` it has."""
        head = self.verilog.partition(f"module {self.top}(")[2].partition(";")[0]
        return tuple(name for name in (DETECTED, CORRECTED) if re.search(rf"\b{name}\b", head))

    def is_added(self, element: Element) -> bool:
        """Whether an element of the protected design is part of the mechanism; of grown memories some bits are, too."""
        return element.label in self.added or any(
            element.label.startswith(f"{path}.") for path in self._copies(element.path)
        )

    def _copies(self, path: Path_) -> Iterator[str]:
        for size in range(1, len(path) + 1):
            name = ".".join(path[:size])
            if name in self._copied:
                yield name

    @cached_property
    def _copied(self) -> frozenset[str]:
        return frozenset(self.copies)

    def sites(self, before: SiteTable, after: SiteTable) -> SiteMap:
        """Where the sites of the design are.

        Parameters
        ----------
        before, after : SiteTable
            Of the design, and of the protected one.

        Raises
        ------
        BadInput
            If a site is not there: the tables are of other designs.
        """
        places: dict[tuple[str, int], int] = {}
        memories: dict[str, Element] = {}
        for e in after:
            if self.is_added(e):
                continue
            label = self.renamed.get(e.label, e.label)
            if e.kind is Kind.MEMORY:
                memories[label] = e
            else:
                places |= {(label, e.low + i): e.first + i for i in range(e.width)}
        found = np.zeros(len(before), np.int64)
        for e in before:
            try:
                if e.kind is Kind.MEMORY:
                    there = memories[e.label]
                    at = there.first + there.width * np.arange(e.depth)[:, None] + np.arange(e.width)
                    found[e.first : e.first + e.sites] = at.reshape(-1)
                else:
                    found[e.first : e.first + e.width] = [places[e.label, e.low + i] for i in range(e.width)]
            except KeyError:
                raise BadInput(
                    f"the protected design has no {e.label}; take the site table of the same design"
                ) from None
        return SiteMap(found, np.setdiff1d(np.arange(len(after)), found))


def protected(sources: Sequence[Path], top: str, plan: Plan, *, vendor: bool = False) -> Protected:
    """Protect a design.

    Parameters
    ----------
    sources : sequence of Path
        The design first, then models of vendor cells.
    top : str
        Top module, with a synchronous reset ``rst`` if it is to forget what it reported.
    plan : Plan
        Which blocks, and how.
    vendor : bool
        Protect what is in models of vendor cells too. They are then part of the Verilog, and it can be simulated only;
        without, these cells can be copied, and are not protected otherwise.

    Raises
    ------
    BadInput
        If the design cannot be read, or a block is none of it.
    """
    own = sources[0].read_text(encoding="utf-8")
    if plan.empty and not plan.blocks:
        return Protected(top, own, tuple(sources), plan, vendor)
    modules = plainly_named(design_json(sources if vendor else sources[:1], top), own)
    work = _Protecting(modules, top, plan, own)
    made = work.variant((), top)
    if made is None:
        return Protected(top, own, tuple(sources), plan, vendor, notes=tuple(work.notes))
    header = "".join(f"{line}\n" for line in own.splitlines()[:20] if line.startswith("// "))
    header += f"// protection: {plan.digest}\n"
    # With models of vendors' cells, modules that use these do so by other names.
    kept = "" if vendor else own
    text = _assembled(work, tidy_verilog(copy.deepcopy(work.modules), top, header), kept, header)
    return Protected(
        top, text, tuple(sources), plan, vendor, notes=tuple(dict.fromkeys(work.notes)), **work.facts(made)
    )


class _Protecting:
    """Modules that get protection, each once for every way in which its instances are protected."""

    def __init__(self, modules: dict[str, Any], top: str, plan: Plan, own: str):
        if top not in modules:
            raise BadInput(f"the sources have no module {top}; they have {', '.join(modules) or 'none'}")
        self.modules, self.top, self.plan = modules, top, plan
        self.kinds = {
            kind: {n: c["type"] for n, c in module["cells"].items() if c["type"] in modules}
            for kind, module in modules.items()
        }
        self.notes: list[str] = []
        self.kept: set[str] = set()
        """Kinds whose borders synthesis has to keep."""
        self.same: dict[str, str] = {}
        """Kinds that are copies of others as they are."""
        self.hardened: dict[str, set[str]] = {}
        self._original = dict(modules)
        self._variants: dict[Any, Variant] = {}
        plan.check_paths(self._paths())
        self.texts: dict[str, str] = {}
        """Verilog of modules that were not in the design."""
        self.watched = self._watched(own)
        """Checkers of instances, by path."""

    def _watched(self, own: str) -> dict[Path_, Emitted]:
        """Checkers that the plan asks for."""
        wanted = {name for name, choice in self.plan.blocks.items() if choice.abft}
        if not wanted:
            return {}
        found: dict[Path_, Emitted] = {}
        cores = gemm_cores(own, self.top)
        left = set(wanted)
        for path, kind in self._instances():
            what = self.plan.choice(path).abft
            if kind not in cores or what is None:
                continue
            found[path] = made = checker(kind, cores[kind], what, self._original[kind])
            left.discard(self.plan.block(path))
            self.modules |= made.modules
            self.texts |= made.texts
            self.kept.add(made.top)
        if left:
            there = ", ".join(".".join(path) or TOP for path, kind in self._instances() if kind in cores)
            raise BadInput(
                f"block {min(left)!r} has no GEMM core that abft can watch; such cores of the design: {there or 'none'}"
            )
        return found

    def _instances(self) -> Iterator[tuple[Path_, str]]:
        def below(path: Path_, kind: str) -> Iterator[tuple[Path_, str]]:
            yield path, kind
            for name, inner in self.kinds[kind].items():
                yield from below((*path, name), inner)

        return below((), self.top)

    def _watch(self, path: Path_, kind: str) -> dict[str, Emitted]:
        """Checkers in an instance; by the empty name that of the top module."""
        found = {n: self.watched[*path, n] for n in self.kinds[kind] if (*path, n) in self.watched}
        return found | ({"": self.watched[()]} if not path and () in self.watched else {})

    def _paths(self) -> Iterator[Path_]:
        return (path for path, _ in self._instances())

    def signature(self, path: Path_, kind: str) -> Any:
        """What distinguishes the protection of an instance from that of others of its kind; None if there is none."""
        choice = self._choice(path)
        inner = tuple((name, self._role((*path, name), k)) for name, k in self.kinds[kind].items())
        watch = tuple((name, made.top) for name, made in self._watch(path, kind).items())
        if choice.empty and not watch and all(role is None for _, role in inner):
            return None
        return kind, choice, inner, watch

    def _choice(self, path: Path_) -> Choice:
        """What is done in an instance: checksums are beside it."""
        return replace(self.plan.choice(path), abft=None)

    def _role(self, path: Path_, kind: str) -> Any:
        """Of an instance: how often it is copied whole, or its signature."""
        choice = self._choice(path)
        if choice.copies > 1 and self._uniform(path, kind, choice):
            return choice.copies
        return self.signature(path, kind)

    def _uniform(self, path: Path_, kind: str, choice: Choice) -> bool:
        """Whether an instance has one scheme, that of its copies."""
        if self._choice(path) != choice or choice.hardened or self._watch(path, kind):
            return False
        memories = any(c["type"] == "$mem_v2" for c in self._original[kind]["cells"].values())
        if memories and choice.memories is not choice.registers:
            return False
        return all(self._uniform((*path, name), k, choice) for name, k in self.kinds[kind].items())

    def variant(self, path: Path_, kind: str) -> Variant | None:
        """A kind as an instance of it needs it; None if as it is."""
        signature = self.signature(path, kind)
        if signature is None:
            return None
        if signature in self._variants:
            return self._variants[signature]
        choice = self._choice(path)
        children: dict[str, Variant | int] = {}
        for name, role in signature[2]:
            inner = self.kinds[kind][name]
            if isinstance(role, int):
                children[name] = role
            elif role is not None:
                made = self.variant((*path, name), inner)
                if made is not None:
                    children[name] = made
        name = kind if kind == self.top else self._name(f"{kind}_guarded")
        found = protect_module(
            name, copy.deepcopy(self._original[kind]), choice, children, kind == self.top, self._copy,
            self._watch(path, kind),
        )  # fmt: skip
        self._variants[signature] = found
        self.modules[name] = found.module
        if choice.hardened:
            self.hardened[name] = set(found.hardened)
        self.notes += [f"{kind}: {note}" for note in found.notes]
        return found

    def _name(self, base: str) -> str:
        name, number = base, 1
        while name in self.modules:
            number += 1
            name = f"{base}_{number}"
        return name

    def _copy(self, kind: str, module: dict[str, Any] | None) -> str:
        """Name of a module for copies: of the own logic of a variant, or of a kind as it is."""
        if module is None and (kind, None) in self._variants:
            return self._variants[kind, None].kind
        name = self._name(f"{kind}_copy")
        self.modules[name] = copy.deepcopy(self._original[kind]) if module is None else module
        self.kept.add(name)
        if module is None:
            self.same[name] = kind
            self._variants[kind, None] = Variant(name, {})
        return name

    def facts(self, made: Variant) -> dict[str, Any]:
        """Labels of what was added, for :class:`Protected`."""
        added: set[str] = set()
        copies: list[str] = []
        grown: dict[str, int] = {}
        renamed: dict[str, str] = {}
        hardened: set[str] = set()

        def walk(path: Path_, variant: Variant) -> None:
            def label(name: str) -> str:
                return ".".join((*path, name))

            added.update(map(label, variant.added))
            copies.extend(map(label, variant.copies))
            grown.update({label(name): width for name, width in variant.grown.items()})
            renamed.update({label(new): label(old) for new, old in variant.renamed.items()})
            hardened.update(map(label, variant.hardened))
            for name, inner in variant.children.items():
                if isinstance(inner, Variant):
                    walk((*path, name), inner)

        walk((), made)
        return {
            "added": frozenset(added), "copies": tuple(sorted(copies)), "grown": grown, "renamed": renamed,
            "hardened": frozenset(hardened),
        }  # fmt: skip


_MODULE = re.compile(r"^module (\S+?)\(.*?^endmodule\n", re.MULTILINE | re.DOTALL)


def _assembled(work: _Protecting, tidy: str, own: str, header: str) -> str:
    """The text: modules that nobody changed as they were, all that are used, copies with kept borders."""
    before = {found[1]: found[0] for found in _MODULE.finditer(own)}
    parts = {found[1]: found[0] for found in _MODULE.finditer(tidy)}
    changed = {v.kind for v in work._variants.values()}
    for name in parts:
        if name in work.texts:
            parts[name] = work.texts[name]
        elif name in before and name not in changed:
            parts[name] = before[name]
        elif name in work.same and work.same[name] in before:
            parts[name] = before[work.same[name]].replace(f"module {work.same[name]}(", f"module {name}(", 1)
        elif name in work.hardened:
            parts[name] = _hardened(parts[name], work.hardened[name])
        if name in work.kept:
            parts[name] = f"(* keep_hierarchy *)\n{parts[name]}"
    used: list[str] = []

    def need(name: str) -> None:
        if name in used or name not in parts:
            return
        used.append(name)
        for cell in work.modules[name]["cells"].values():
            need(cell["type"])

    need(work.top)
    first = tidy.removeprefix(header).partition("\n")[0]
    return f"{header}{first}\n\n" + "\n".join(parts[name] for name in parts if name in used)


def _hardened(text: str, registers: set[str]) -> str:
    """The attribute in front of registers."""
    marked = 0

    def mark(found: re.Match[str]) -> str:
        nonlocal marked
        if found[2] not in registers:
            return found[0]
        marked += 1
        return f"  (* hardened *)\n{found[0]}"

    text = re.sub(r"^  reg (\[\d+:\d+\] )?(\w+)(?= = |;)", mark, text, flags=re.MULTILINE)
    if marked < len(registers):
        raise HwgenError(
            f"{len(registers) - marked} registers to be hardened are not in the text; report this"
        )
    return text
