"""Single-event transients: the design as simple gates, with a hook behind each of them.

Each kind of module is mapped once and instances are kept, so that a large array is as quick as its cell. Registers,
memories and vendors' cells stay what they are. A transient inverts what a gate gives in the cycles of the strobe; what
comes of it is latched, or is gone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput, HwgenError
from hwgen.faults.hook_edit import Bit, Editor, design_json, tidy_verilog
from hwgen.faults.hook_words import Decoder, allocate
from hwgen.faults.hooks import plainly_named
from hwgen.faults.netlist import _Names
from hwgen.numerics import ceil_div, ceil_log2

__all__ = ["GATE_PORTS", "Gate", "GateLevel", "gate_level", "mapped"]

GATE_PORTS = ("fault_select", "fault_gate", "fault_strobe")
"""Ports of the hooks, all of them inputs; ``fault_gate`` is the gate's address."""

_GATE = re.compile(r"\$_(AND|OR|XOR|MUX|NOT)_")
_KEPT = ("$dff", "$mem_v2", "$scopeinfo")
_PASSES = 6
_SCRIPT = "+strash;ifraig;scorr;dc2;strash;dch,-f;map,-B,0.9"
"""Gives two percent more gates than Yosys' own, in a sixth of the time."""
_OWN = ""  # the module's own gates, among its instances


@dataclass(frozen=True)
class Gate:
    """A gate.

    Parameters
    ----------
    id : int
        Its number.
    path : tuple of str
        Names of the instances around it.
    module : str
        Kind of the innermost one.
    net : str
        Net that it drives, in the Verilog with hooks.
    kind : str
        ``and``, ``or``, ``xor``, ``mux``, ``not``.
    shown : str
        What the net is called in the design, if it has a name there.
    """

    id: int
    path: tuple[str, ...]
    module: str
    net: str
    kind: str
    shown: str

    def __str__(self) -> str:
        return ".".join((*self.path, self.shown or self.net))


@dataclass(frozen=True)
class _Kind:
    """A module as gates: their kinds and names, and addresses in it."""

    gates: tuple[tuple[str, str], ...]
    address_bits: int
    bases: Mapping[str, int]
    children: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class GateLevel:
    """A design of gates with hooks. Gates are numbered instance by instance, by path.

    Parameters
    ----------
    top : str
        Top module; its ports are those it had, and :data:`GATE_PORTS`.
    verilog : str
        Source text, without models of vendor cells.
    sources : tuple of Path
        What it was made from.
    address_bits : int
        Width of ``fault_gate``.
    """

    top: str
    verilog: str
    sources: tuple[Path, ...]
    address_bits: int
    _kinds: Mapping[str, _Kind] = field(repr=False)

    def __len__(self) -> int:
        return int(self.firsts[-1])

    @cached_property
    def digest(self) -> str:
        """Of the Verilog."""
        return hashlib.sha256(self.verilog.encode()).hexdigest()[:16]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Modules with hooks, in them or in what is inside."""
        return tuple(kind for kind, found in self._kinds.items() if found.bases)

    @cached_property
    def instances(self) -> tuple[tuple[tuple[str, ...], str, int], ...]:
        """Path, kind and first address of each instance with gates."""
        found: list[tuple[tuple[str, ...], str, int]] = []

        def walk(path: tuple[str, ...], kind: str, base: int) -> None:
            module = self._kinds[kind]
            if module.gates:
                found.append((path, kind, base + module.bases[_OWN]))
            for name, inner in module.children.items():
                if name in module.bases:
                    walk((*path, name), inner, base + module.bases[name])

        walk((), self.top, 0)
        return tuple(sorted(found))

    @cached_property
    def firsts(self) -> npt.NDArray[np.int64]:
        """First gate of each instance, and the number of gates."""
        counts = [len(self._kinds[kind].gates) for _, kind, _ in self.instances]
        return np.cumsum([0, *counts])

    def _at(self, ids: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Instance, and number in it."""
        gates = np.asarray(ids, np.int64)
        wrong = gates[(gates < 0) | (gates >= len(self))]
        if wrong.size:
            raise BadInput(f"there is no gate {wrong.flat[0]}; this design has 0..{len(self) - 1}")
        instance = np.searchsorted(self.firsts, gates, side="right") - 1
        return instance, gates - self.firsts[instance]

    def locate(self, ids: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Addresses of gates.

        Raises
        ------
        BadInput
            If there is no such gate.
        """
        instance, local = self._at(ids)
        bases = np.array([base for _, _, base in self.instances], np.int64)
        return bases[instance] + local if len(bases) else local

    def gate(self, number: int) -> Gate:
        """A gate by its number.

        Raises
        ------
        BadInput
            If there is none.
        """
        instance, local = (int(part) for part in self._at(number))
        path, kind, _ = self.instances[instance]
        what, shown = self._kinds[kind].gates[local]
        return Gate(number, path, kind, f"fault_gate_{local}", what, shown)


def gate_level(sources: Sequence[Path], top: str) -> GateLevel:
    """A design as gates with hooks.

    Parameters
    ----------
    sources : sequence of Path
        The design first; models of vendor cells are not mapped, their instances stay.
    top : str
        Top module.

    Raises
    ------
    BadInput
        If the design cannot be read.
    """
    modules = mapped(sources, top)
    own = sources[0].read_text(encoding="utf-8")
    kinds: dict[str, _Kind] = {}
    _hook(top, top, modules, kinds)
    header = "".join(f"{line}\n" for line in own.splitlines()[:20] if line.startswith("// "))
    bits = max(1, kinds[top].address_bits)
    text = tidy_verilog(modules, top, header + f"// hooks: behind every gate, {bits} address bits\n")
    return GateLevel(top, text, tuple(sources), bits, kinds)


def mapped(sources: Sequence[Path], top: str) -> dict[str, Any]:
    """A design as gates, without hooks: modules in Yosys' JSON.

    Parameters
    ----------
    sources, top
        As of :func:`gate_level`.
    """
    kept = " ".join(f"t:{kind} %d" for kind in _KEPT)
    # What a map is made of is mapped by the next pass only, because what is left out has to be named.
    passes = [f"techmap t:* {kept} t:$_*_ %d"] * _PASSES
    script = [*passes, "opt_clean", f"abc -g AND,OR,XOR,MUX -script {_SCRIPT}", "opt_clean"]
    modules = design_json(sources[:1], top, "\n".join(script))
    return plainly_named(modules, sources[0].read_text(encoding="utf-8"))


def _hook(kind: str, top: str, modules: dict[str, Any], kinds: dict[str, _Kind]) -> _Kind:
    """Hook the gates of a kind, after those of what is inside it."""
    if kind in kinds:
        return kinds[kind]
    module = modules[kind]
    children = {n: c["type"] for n, c in sorted(module["cells"].items()) if c["type"] in modules}
    inner = {name: _hook(child, top, modules, kinds) for name, child in children.items()}
    left = sorted({c["type"] for c in module["cells"].values() if c["type"].startswith("$")} - set(_KEPT))
    left = [what for what in left if not _GATE.fullmatch(what)]
    if left:
        raise HwgenError(f"Yosys left {', '.join(left)} in {kind}, gates were expected")
    editor = Editor(kind, module)
    cells = [n for n, c in editor.cells.items() if _GATE.fullmatch(c["type"])]
    sizes = {n: k.address_bits for n, k in inner.items() if k.gates or k.bases}
    if cells:
        sizes[_OWN] = ceil_log2(len(cells))
    bits, _, bases = allocate(0, sizes)
    names = _Names(module)
    gates = []
    for name in cells:
        cell = editor.cells[name]
        shown = next(((n, low) for n, low, _, _ in names.runs(cell["connections"]["Y"])), ("", 0))
        known = not shown[0].startswith("unnamed_")
        what = cell["type"][2:-1].lower()
        gates.append((what, f"{shown[0]}[{shown[1]}]" if known else ""))
    kinds[kind] = made = _Kind(tuple(gates), bits, bases, children)
    if not sizes and kind != top:
        return made
    select = editor.port("fault_select", "input", 1)[0]
    width = max(bits, int(kind == top))
    address = editor.port("fault_gate", "input", width)[:bits] if width else []
    strobe = editor.port("fault_strobe", "input", 1)[0]
    decoder = Decoder(editor, select, address)
    if cells:
        low, high = _hits(editor, decoder, bases[_OWN], sizes[_OWN], strobe, address, len(cells))
        for i, name in enumerate(cells):
            y = editor.cells[name]["connections"]["Y"]
            raw = editor.net(1)
            editor.cells[name]["connections"]["Y"] = raw
            editor.call(f"fault_gate_{i}", y)
            hit = editor.both([low[i % len(low)]], [high[i // len(low)]])
            editor.join(y, editor.other(raw, hit))
    for name, child in inner.items():
        if name in bases:
            links = {
                "select": editor.call(
                    f"fault_select_{name}", [decoder.range(bases[name], child.address_bits)]
                ),
                "gate": address[: child.address_bits],
                "strobe": [strobe],
            }
            for port, wires in links.items():
                if wires:
                    editor.cells[name]["connections"][f"fault_{port}"] = wires
                    editor.cells[name]["port_directions"][f"fault_{port}"] = "input"
    return made


def _hits(
    editor: Editor, decoder: Decoder, base: int, bits: int, strobe: Bit, address: Sequence[Bit], count: int
) -> tuple[list[Bit], list[Bit]]:
    """Two vectors of which one bit each is set, that of the gate: a gate compares no address."""
    low_bits = bits // 2
    now = editor.all(decoder.range(base, bits), strobe)
    low = _one_hot(editor, now, address[:low_bits], min(count, 1 << low_bits))
    high = _one_hot(editor, "1", address[low_bits:bits], ceil_div(count, 1 << low_bits))
    editor.call("fault_gate_low", low)
    if any(isinstance(bit, int) for bit in high):
        editor.call("fault_gate_high", high)
    return low, high


def _one_hot(editor: Editor, bit: Bit, places: Sequence[Bit], width: int) -> list[Bit]:
    """A vector with ``bit`` at a place and zeros elsewhere."""
    return [editor.all(bit, editor.is_number(places, i)) for i in range(width)]
