"""One module and its protection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hwgen.faults.hook_edit import Bit
from hwgen.faults.hook_memory import MemoryHooks, ReadRegister, read_registers
from hwgen.faults.hook_registers import Masks
from hwgen.faults.protection.abft import Emitted, observe
from hwgen.faults.protection.codes import Code, hsiao, parity
from hwgen.faults.protection.copies import Findings, copy_instance, copy_own
from hwgen.faults.protection.edit import PREFIX, Guarded
from hwgen.faults.protection.memory import Checker, protect_memory
from hwgen.faults.protection.plan import COPIES, Choice, Scheme
from hwgen.faults.protection.registers import protect_registers
from hwgen.faults.protection.residue import protect_arithmetic

__all__ = ["CODES", "Variant", "protect_module"]

CODES: dict[Scheme, tuple[Callable[[int], Code], int]] = {
    Scheme.PARITY: (parity, 35),
    Scheme.SECDED: (hsiao, 57),
}
"""Code of a scheme, and data bits of its words at most: 35 and a check bit are two levels of six-input LUTs, and 57 the
most that seven check bits of a SECDED code are for."""

_MEMORY_BITS = {Scheme.PARITY: 32, Scheme.SECDED: 64}
"""The same for memories: a block RAM's word has 32 bits and 4 more, or 64 and 8."""

MakeCopy = Callable[[str, dict[str, Any] | None], str]


@dataclass
class Variant:
    """A kind of module with protection.

    Parameters
    ----------
    kind : str
        Its name.
    module : dict
        In Yosys' JSON.
    added : set of str
        Registers that protection added.
    copies : list of str
        Instances that it added.
    grown : dict
        Memories that got wider, and how wide they were.
    renamed : dict
        Registers under another name, and the one that they had.
    hardened : set of str
        Registers with that attribute.
    children : mapping
        Instances with protection.
    notes : list of str
        What was protected otherwise than asked for.
    """

    kind: str
    module: dict[str, Any]
    added: set[str] = field(default_factory=set)
    copies: list[str] = field(default_factory=list)
    grown: dict[str, int] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    hardened: set[str] = field(default_factory=set)
    children: Mapping[str, Variant | int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def reports(self) -> list[str]:
        """Its ports that tell of faults."""
        return [name for name in (f"{PREFIX}detected", f"{PREFIX}corrected") if name in self.module["ports"]]


def protect_module(
    kind: str,
    module: dict[str, Any],
    choice: Choice,
    children: Mapping[str, Variant | int],
    top: bool,
    make_copy: MakeCopy,
    watch: Mapping[str, Emitted] | None = None,
) -> Variant:
    """Protect a module.

    Parameters
    ----------
    kind : str
        Name of the variant.
    module : dict
        It is changed.
    choice : Choice
        What its own registers and memories get.
    children : mapping
        Instances with protection: their variants, or how often they are there.
    top : bool
        Whether it is the top module.
    make_copy : callable
        Gives the name of a module for copies.
    watch : mapping of str to Emitted, optional
        Checkers of instances; of the module itself by the empty name.
    """
    editor = Guarded(kind, module)
    made = Variant(kind, module, children=children)
    # What a core's ports are now: copies may change who drives them.
    seen = {
        name: dict(editor.cells[name]["connections"])
        if name
        else {n: p["bits"] for n, p in editor.ports.items()}
        for name in watch or ()
    }
    registers = {n for n, c in editor.cells.items() if c["type"] == "$dff"}
    memories = {n for n, c in editor.cells.items() if c["type"] == "$mem_v2"}
    if choice.hardened:
        runs = [run for n in registers for run in editor.names().runs(editor.cells[n]["connections"]["Q"])]
        made.hardened = {label for label, *_ in runs}
    _straighten(editor, memories)
    editor.define()
    behind = read_registers(editor)
    found = Findings()
    if choice.copies > 1:
        alone = set() if choice.memories is choice.registers else memories
        left = alone | _around(editor, [r for r in behind if r.memory in alone])
        names, copied = copy_own(editor, f"{kind}_copy", choice.copies, left, found)
        if copied is not None:
            real = make_copy(kind.removesuffix("_guarded"), copied)
            for name in names:
                editor.cells[name]["type"] = real
            made.copies += names
    for name, role in children.items():
        if isinstance(role, int):
            inner = editor.cells[name]["type"]
            made.copies += copy_instance(editor, name, make_copy(inner, None), role, found)
    if choice.memories is not None and choice.memories not in COPIES:
        code, _ = CODES[choice.memories]
        for name in sorted(memories):
            label = str(editor.cells[name]["parameters"]["MEMID"]).lstrip("\\")
            made.grown[label] = int(editor.cells[name]["parameters"]["WIDTH"], 2)
            protect_memory(editor, name, behind, code, _MEMORY_BITS[choice.memories], found)
    _own_registers(editor, choice, registers, memories, behind, found)
    made.copies += [observe(editor, name, (watch or {})[name], bits, found) for name, bits in seen.items()]
    _report(editor, made, found, top)
    made.added, made.renamed, made.notes = editor.added, editor.renamed, found.notes
    return made


def _straighten(editor: Guarded, memories: set[str]) -> None:
    """Write ports as a memory has them, without the multiplexers that a Verilog process becomes."""
    hooks = MemoryHooks(editor, Masks([], [], "0"), [], "0", lambda _: "0", "0")
    for name in memories:
        numbers = editor.cells[name]["parameters"]
        hooks.canonical(editor.cells[name], int(numbers["WIDTH"], 2), int(numbers["ABITS"], 2))


def _around(editor: Guarded, registers: list[ReadRegister]) -> set[str]:
    """Registers behind memories, and the multiplexers between."""
    found = {r.cell for r in registers}
    for register in registers:
        waiting = list(editor.cells[register.cell]["connections"]["D"])
        while waiting:
            bit = waiting.pop()
            name, *_ = editor.driver.get(bit, ("", "", 0))
            if name in found or name not in editor.cells or editor.cells[name]["type"] != "$mux":
                continue
            found.add(name)
            waiting += editor.cells[name]["connections"]["A"] + editor.cells[name]["connections"]["B"]
    return found


def _own_registers(
    editor: Guarded,
    choice: Choice,
    registers: set[str],
    memories: set[str],
    behind: list[ReadRegister],
    found: Findings,
) -> None:
    """Registers, but for those behind memories: these are part of a block RAM, and what protects it protects them."""
    if choice.registers in (None, *COPIES):
        return
    mine = registers - {r.cell for r in behind}
    if choice.memories is None and len(mine) < len(registers):
        found.notes.append("registers behind memories have no protection, because the memories have none")
    if choice.registers is Scheme.RESIDUE:
        mine -= protect_arithmetic(editor, mine, found)
    # What is no arithmetic has no residue of its own: one parity bit finds the same faults.
    scheme = Scheme.SECDED if choice.registers is Scheme.SECDED else Scheme.PARITY
    code, most = CODES[scheme]
    if mine:
        protect_registers(editor, sorted(mine), code, most, Checker(editor, found), str(scheme))


def _report(editor: Guarded, made: Variant, found: Findings, top: bool) -> None:
    """What is found here and inside, to the module around, or to the ports of the top."""
    clock = editor.clock()
    for what, own in (("detected", found.detected), ("corrected", found.corrected)):
        bits: list[Bit] = []
        here = editor.any(own)
        if here != "0" and clock is not None:
            bits = [*editor.guard(f"{what}_here", 1)]
            editor.register(clock, [here], bits)
        elif here != "0":
            bits = [here]
        for name, child in made.children.items():
            if isinstance(child, Variant) and f"{PREFIX}{what}" in child.reports:
                cell = editor.cells[name]
                inner = editor.net(1)
                cell["connections"][f"{PREFIX}{what}"] = inner
                cell["port_directions"][f"{PREFIX}{what}"] = "output"
                bits += inner
        if not bits:
            continue
        some = editor.any(bits)
        if not top:
            editor.join(editor.port(f"{PREFIX}{what}", "output", 1), [some])
            continue
        name = f"fault_{what}"
        editor.added.add(name)
        out = editor.net(1, name, 0)
        editor.ports[name] = {"direction": "output", "bits": out}
        if what == "detected":
            reset = editor.ports.get("rst")
            stays = editor.either([some], out)
            if reset is not None:
                stays = editor.both(stays, editor.inverse(reset["bits"]))
            some = stays[0]
        editor.register(clock or "0", [some], out)
    for name, child in made.children.items():
        if isinstance(child, Variant):
            editor.cells[name]["type"] = child.kind
