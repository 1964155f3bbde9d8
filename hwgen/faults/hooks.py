"""Verilog with hooks: the same modules, in which any bit of state can be made wrong while the design runs.

Which bit, how and when is said by ports, so nothing is built anew for another fault. Registers and memories are found
in the emitted Verilog by the same means as the site table's, so every site has a place.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.faults.hook_edit import Bit, Editor, design_json, tidy_verilog
from hwgen.faults.hook_memory import MemoryHooks, ReadRegister, read_registers
from hwgen.faults.hook_registers import Masks, RegisterHooks
from hwgen.faults.hook_words import WORD_BITS, Decoder, Layout, allocate, pack
from hwgen.faults.netlist import _Names, read_netlist
from hwgen.faults.sites import Kind, SiteTable

__all__ = ["FAULT_PORTS", "HookMap", "Hooked", "hooked", "plainly_named"]

FAULT_PORTS = (
    "fault_select", "fault_word", "fault_row", "fault_column", "fault_clear", "fault_flip", "fault_strobe",
)  # fmt: skip
"""Ports of the hooks, in their order, all of them inputs."""


@dataclass(frozen=True, eq=False)
class HookMap:
    """Where the sites of a table are.

    Parameters
    ----------
    table : SiteTable
        The sites.
    word, bit : int64 array
        Address and bit of the word, for each bit of a row of each element; -1 where no hook reaches.
    first : int64 array
        Where an element begins in them.
    """

    table: SiteTable
    word: npt.NDArray[np.int64]
    bit: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]

    def locate(
        self, ids: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Word, row and bit of sites, as three arrays; the word is -1 where no hook reaches.

        Raises
        ------
        BadInput
            If there is no such site.
        """
        element, row, bit = self.table.locate(ids)
        at = self.first[element] + bit
        return self.word[at], row, self.bit[at]

    @cached_property
    def unreachable(self) -> npt.NDArray[np.int64]:
        """Sites that no hook reaches: those in vendors' cells, if these were left alone."""
        return np.concatenate([
            np.arange(e.first, e.first + e.sites) for e in self.table.elements if self.word[self.first[e.number]] < 0
        ] or [np.zeros(0, np.int64)])  # fmt: skip


@dataclass(frozen=True, eq=False)
class Hooked:
    """A design with hooks.

    Parameters
    ----------
    top : str
        Top module; its ports are those it had, and :data:`FAULT_PORTS`.
    verilog : str
        Source text, with the hooked models of vendor cells if these were asked for.
    sources : tuple of Path
        What it was made from.
    vendor : bool
        Whether models of vendor cells are hooked too; that is for simulation only.
    address_bits, row_bits : int
        Widths of ``fault_word`` and ``fault_row``.
    swaps : dict
        Word that exchanges two registers, by their labels.
    layouts : dict
        Words of each kind of module.
    kinds : dict
        Kind of each instance in a kind.
    """

    top: str
    verilog: str
    sources: tuple[Path, ...]
    vendor: bool
    address_bits: int
    row_bits: int
    swaps: Mapping[tuple[str, str], int]
    layouts: Mapping[str, Layout] = field(repr=False)
    kinds: Mapping[str, Mapping[str, str]] = field(repr=False)

    @cached_property
    def map(self) -> HookMap:
        """Where the sites are of the netlist that the sources are."""
        return self.map_of(SiteTable.of(read_netlist(self.sources, self.top)))

    @cached_property
    def digest(self) -> str:
        """Of the Verilog."""
        return hashlib.sha256(self.verilog.encode()).hexdigest()[:16]

    @property
    def unreachable(self) -> npt.NDArray[np.int64]:
        """Sites that no hook reaches."""
        return self.map.unreachable

    def locate(
        self, ids: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Word, row and bit of sites, see :meth:`HookMap.locate`."""
        return self.map.locate(ids)

    def map_of(self, table: SiteTable) -> HookMap:
        """Where the sites of a table of the same design are.

        Raises
        ------
        BadInput
            If it is another design's.
        """
        words: list[npt.NDArray[np.int64]] = []
        bits: list[npt.NDArray[np.int64]] = []
        for e in table.elements:
            found = self._reach(e.path)
            if found is None:
                words.append(np.full(e.width, -1, np.int64))
                bits.append(np.full(e.width, -1, np.int64))
                continue
            base, kind = found
            layout = self.layouts[kind]
            try:
                if e.kind is Kind.MEMORY:
                    first = layout.memories[e.name]
                    local = [(first + i // WORD_BITS, i % WORD_BITS) for i in range(e.width)]
                else:
                    local = [layout.places[e.name, e.low + i] for i in range(e.width)]
            except KeyError:
                raise BadInput(
                    f"{e.label} has no hook; take the site table of the design that was hooked"
                ) from None
            words.append(np.array([base + layout.own[word] for word, _ in local], np.int64))
            bits.append(np.array([bit for _, bit in local], np.int64))
        first_of = np.cumsum([0, *(e.width for e in table.elements)])[:-1]
        empty = np.zeros(0, np.int64)
        return HookMap(table, np.concatenate([empty, *words]), np.concatenate([empty, *bits]), first_of)

    def _reach(self, path: tuple[str, ...]) -> tuple[int, str] | None:
        """First address and kind of an instance; None if no hook reaches it."""
        if path not in self._reached:
            if not path:
                self._reached[path] = 0, self.top
            else:
                before = self._reach(path[:-1])
                found = None
                if before is not None:
                    kind = self.kinds[before[1]].get(path[-1])
                    if kind is not None and path[-1] in self.layouts[before[1]].children:
                        found = before[0] + self.layouts[before[1]].children[path[-1]], kind
                self._reached[path] = found
        return self._reached[path]

    @cached_property
    def _reached(self) -> dict[tuple[str, ...], tuple[int, str] | None]:
        return {}


def hooked(
    sources: Sequence[Path], top: str, *, vendor: bool = False, swaps: Sequence[tuple[str, str]] = ()
) -> Hooked:
    """Put hooks into a design.

    Parameters
    ----------
    sources : sequence of Path
        The design first, then models of vendor cells.
    top : str
        Top module.
    vendor : bool
        Hook the models of vendor cells too. They are then part of the Verilog, under other names, and it can be
        simulated only; without, instances of vendor cells stay as they are.
    swaps : sequence of (str, str)
        Pairs of registers, by their labels in the site table, that can be made to load what the other should: of one
        width, in one instance. Each pair is a word of its own in every instance of that kind.

    Raises
    ------
    BadInput
        If the design cannot be read or cannot be hooked, or a pair of registers is none.
    """
    modules = design_json(sources if vendor else sources[:1], top)
    own = sources[0].read_text(encoding="utf-8")
    modules = plainly_named(modules, own)
    header = "".join(f"{line}\n" for line in own.splitlines()[:20] if line.startswith("// "))
    work = _Hooking(modules, top)
    pairs = work.resolve(swaps)
    work.module(top)
    layout = work.layouts[top]
    address = max(1, layout.address_bits)
    facts = f"// hooks: {address} address bits, {len(pairs)} swaps, vendor cells {'' if vendor else 'not '}hooked\n"
    text = tidy_verilog(modules, top, header + facts)
    made = Hooked(
        top, text, tuple(sources), vendor, address, max(1, layout.row_bits), {}, work.layouts, work.kinds
    )
    return replace(made, swaps=work.addresses(made, pairs)) if pairs else made


def plainly_named(modules: dict[str, Any], own: str) -> dict[str, Any]:
    """Modules in the order of the text, those with parameters under plain names."""
    order = {name: i for i, name in enumerate(re.findall(r"^module (\w+)", own, re.MULTILINE))}
    names: dict[str, str] = {}
    for kind in sorted(modules):
        plain = kind
        if kind.startswith("$paramod"):
            base = kind.split("\\")[1]
            plain = f"{base}_{sum(n.startswith(f'{base}_') for n in names.values())}"
        names[kind] = plain
    for module in modules.values():
        for cell in module["cells"].values():
            if cell["type"] in names:
                cell["type"] = names[cell["type"]]
                cell["parameters"] = {}
    ranked = sorted(modules, key=lambda kind: (order.get(kind, len(order)), names[kind]))
    return {names[kind]: modules[kind] for kind in ranked}


class _Hooking:
    """Modules that get hooks, each kind once, what is inside first."""

    def __init__(self, modules: dict[str, Any], top: str):
        if top not in modules:
            raise BadInput(f"the sources have no module {top}; they have {', '.join(modules) or 'none'}")
        self.modules = modules
        self.top = top
        self.layouts: dict[str, Layout] = {}
        self.kinds: dict[str, dict[str, str]] = {
            kind: {n: c["type"] for n, c in module["cells"].items() if c["type"] in modules}
            for kind, module in modules.items()
        }
        self._swaps: dict[str, list[tuple[str, str]]] = {}

    def resolve(self, swaps: Sequence[tuple[str, str]]) -> list[tuple[tuple[str, str], tuple[str, ...]]]:
        """Pairs of registers with the path of their instance; each is noted for its kind."""
        found = []
        for one, two in swaps:
            (*path, a), (*other, b) = one.split("."), two.split(".")
            kind: str | None = self.top
            for name in path:
                kind = self.kinds[kind].get(name) if kind else None
            if path != other or kind is None or a == b:
                raise BadInput(f"{one} and {two} are not two registers of one instance; see `hwgen sites`")
            pair = min(a, b), max(a, b)
            if pair not in self._swaps.setdefault(kind, []):
                self._swaps[kind].append(pair)
            found.append(((one, two), tuple(path)))
        return found

    def addresses(
        self, made: Hooked, pairs: Sequence[tuple[tuple[str, str], tuple[str, ...]]]
    ) -> dict[tuple[str, str], int]:
        """Word of each pair."""
        found = {}
        for labels, path in pairs:
            base, kind = made._reach(path) or (0, made.top)
            one, two = sorted(label.split(".")[-1] for label in labels)
            found[labels] = base + self.layouts[kind].own[self.layouts[kind].swaps[one, two]]
        return found

    def module(self, kind: str) -> Layout:
        """Hook a kind of module."""
        if kind in self.layouts:
            return self.layouts[kind]
        children = {name: self.module(inner) for name, inner in self.kinds[kind].items()}
        children = {name: layout for name, layout in children.items() if not layout.empty}
        editor = Editor(kind, self.modules[kind])
        registers, memories = read_registers(editor), self._memories(editor)
        layout = self._layout(editor, registers, memories, children)
        self.layouts[kind] = layout
        if layout.empty and kind != self.top:
            return layout
        ports = self._ports(editor, layout)
        decoder = Decoder(editor, ports["select"][0], ports["word"])
        clock = editor.clock()
        if clock is None and layout.needs_clock:
            if kind == self.top:
                raise BadInput(f"{kind} holds a memory and has no clock: give it an input clk")
            clock = editor.port("fault_clock", "input", 1)[0]
        masks = Masks(ports["clear"], ports["flip"], ports["strobe"][0])
        words: dict[tuple[str, int], Bit] = {}

        def at(word: int) -> Bit:
            if ("at", word) not in words:
                words["at", word] = decoder.word(layout.own[word])
                editor.call(f"fault_at_{word}", [words["at", word]])
            return words["at", word]

        def now(word: int) -> Bit:
            if ("now", word) not in words:
                words["now", word] = decoder.word(layout.own[word], masks.strobe)
                editor.call(f"fault_now_{word}", [words["now", word]])
            return words["now", word]

        plain = self._plain(editor, layout, {r.cell for r in registers})
        for name, label in memories:
            hooks = MemoryHooks(editor, masks, ports["row"], ports["column"][0], at, clock or "0")
            hooks.hook(name, layout.memories[label], label, registers)
        layout.raw = {r.raw: r.names for r in registers}
        others = self._exchanges(editor, layout, plain, now)
        register_hooks = RegisterHooks(editor, masks, now)
        for name, places in plain.items():
            register_hooks.hook(name, places, others.get(name))
        for name, inner in children.items():
            self._child(
                editor, name, inner, ports, decoder.range(layout.children[name], inner.address_bits), clock
            )
        return layout

    @staticmethod
    def _memories(editor: Editor) -> list[tuple[str, str]]:
        """Cells of the memories and what they are called."""
        found = []
        for name, cell in editor.cells.items():
            if cell["type"] == "$mem_v2":
                found.append((name, str(cell["parameters"]["MEMID"]).lstrip("\\")))
        return sorted(found, key=lambda both: both[1])

    def _layout(
        self,
        editor: Editor,
        registers: Sequence[ReadRegister],
        memories: Sequence[tuple[str, str]],
        children: Mapping[str, Layout],
    ) -> Layout:
        """Words and addresses of a kind."""
        layout = Layout(needs_clock=bool(memories) or any(c.needs_clock for c in children.values()))
        names = _Names(editor.module)
        special = {r.cell: r for r in registers}
        plain = []
        count = 0
        rows = [c.row_bits for c in children.values()]
        for name, label in memories:
            numbers = editor.cells[name]["parameters"]
            layout.memories[label] = count
            count += -(-int(numbers["WIDTH"], 2) // WORD_BITS)
            rows.append(int(numbers["ABITS"], 2))
        for name, cell in editor.cells.items():
            if cell["type"] != "$dff":
                continue
            for label, low, begin, width in names.runs(cell["connections"]["Q"]):
                if name not in special:
                    plain.append((label, low, width))
                    continue
                register = special[name]
                for i in range(width):
                    bit = register.bits[begin + i]
                    if bit // WORD_BITS not in register.words:
                        register.words[bit // WORD_BITS] = count
                        count += 1
                    register.names.append((label, low + i))
                    layout.places[label, low + i] = register.words[bit // WORD_BITS], bit % WORD_BITS
        layout.places |= pack(plain, count)
        count = 1 + max([count - 1, *(word for word, _ in layout.places.values())])
        for pair in self._swaps.get(editor.kind, ()):
            layout.swaps[pair] = count
            count += 1
        bits = {name: c.address_bits for name, c in children.items()}
        layout.address_bits, layout.own, layout.children = allocate(count, bits)
        layout.row_bits = max(rows, default=0)
        return layout

    def _ports(self, editor: Editor, layout: Layout) -> dict[str, list[Bit]]:
        """Fault ports: all of them at the top, inside only those that something reads."""
        top = editor.kind == self.top
        widths = {
            "select": 1,
            "word": max(layout.address_bits, int(top)),
            "row": max(layout.row_bits, int(top)),
            "column": int(layout.row_bits > 0 or top),
            "clear": WORD_BITS,
            "flip": WORD_BITS,
            "strobe": 1,
        }
        made = {n: editor.port(f"fault_{n}", "input", width) if width else [] for n, width in widths.items()}
        made["word"] = made["word"][: layout.address_bits]
        made["column"] = made["column"] or ["0"]
        return made

    @staticmethod
    def _plain(editor: Editor, layout: Layout, special: set[str]) -> dict[str, list[tuple[int, int]]]:
        """Cells of all registers but those behind memories, with the places of their bits."""
        names = _Names(editor.module)
        found: dict[str, list[tuple[int, int]]] = {}
        for name, cell in editor.cells.items():
            if cell["type"] == "$dff" and name not in special:
                runs = names.runs(cell["connections"]["Q"])
                found[name] = [
                    layout.places[label, low + i] for label, low, _, width in runs for i in range(width)
                ]
        return found

    @staticmethod
    def _exchanges(
        editor: Editor,
        layout: Layout,
        plain: Mapping[str, Sequence[tuple[int, int]]],
        now: Callable[[int], Bit],
    ) -> dict[str, tuple[Bit, list[Bit]]]:
        """When cells load something else, and what."""
        names = _Names(editor.module) if layout.swaps else None
        labels: dict[str, str] = {}
        for name in plain if names else ():
            runs = list(names.runs(editor.cells[name]["connections"]["Q"])) if names else []
            if len(runs) == 1:
                labels[runs[0][0]] = name
        found: dict[str, tuple[Bit, list[Bit]]] = {}
        for pair, word in layout.swaps.items():
            a, b = (labels.get(label, "") for label in pair)
            data = [editor.cells[name]["connections"]["D"] if name else [] for name in (a, b)]
            if not a or not b or len(data[0]) != len(data[1]) or {a, b} & set(found):
                raise BadInput(
                    f"{pair[0]} and {pair[1]} of {editor.kind} cannot be exchanged; name two whole registers of one "
                    "width, none of them twice and none the output of a memory"
                )
            found[a], found[b] = (now(word), list(data[1])), (now(word), list(data[0]))
        return found

    def _child(
        self,
        editor: Editor,
        name: str,
        inner: Layout,
        ports: dict[str, list[Bit]],
        select: Bit,
        clock: Bit | None,
    ) -> None:
        """Connect an instance."""
        cell = editor.cells[name]
        links: dict[str, list[Bit]] = {
            "select": editor.call(f"fault_select_{name}", [select]),
            "word": ports["word"][: inner.address_bits],
            "row": ports["row"][: inner.row_bits],
            "column": ports["column"] if inner.row_bits else [],
            "clear": ports["clear"],
            "flip": ports["flip"],
            "strobe": ports["strobe"],
        }
        if "fault_clock" in self.modules[cell["type"]]["ports"]:
            links["clock"] = [clock or "0"]
        for port, bits in links.items():
            if bits:
                cell["connections"][f"fault_{port}"] = bits
                cell["port_directions"][f"fault_{port}"] = "input"
