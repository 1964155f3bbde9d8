"""Copies of logic: two that are compared (DMR), or three of which the majority counts (TMR).

An instance is copied whole where nothing in it has another scheme: copies beside it get the same inputs. Otherwise a
module's own logic is copied, without its instances and without memories that keep a scheme of their own: into a module
that sees what comes from these, and gives what goes to them. Copies are modules of which synthesis tools are told to
keep the borders; without, they would find that a copy is the same as what it copies.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hwgen.faults.hook_edit import Bit, words_of
from hwgen.faults.protection.edit import Guarded

__all__ = ["Findings", "copy_instance", "copy_own"]

_NAMES = ("copy", "third")


@dataclass
class Findings:
    """Bits that say what a module sees in a cycle.

    Parameters
    ----------
    detected, corrected : list of Bit
        Set when something is wrong, and when something was put right.
    notes : list of str
        What was protected otherwise than asked for.
    """

    detected: list[Bit] = field(default_factory=list)
    corrected: list[Bit] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def copy_instance(editor: Guarded, name: str, kind: str, count: int, found: Findings) -> list[str]:
    """Put copies beside an instance.

    Parameters
    ----------
    editor : Guarded
        The module around it.
    name : str
        The instance.
    kind : str
        Kind of the copies.
    count : int
        2 or 3, the original included.
    found : Findings
        Gets the comparison.

    Returns
    -------
    list of str
        Names of the copies.
    """
    cell = editor.cells[name]
    outs = {p: b for p, b in cell["connections"].items() if cell["port_directions"][p] == "output"}
    ins = {p: b for p, b in cell["connections"].items() if p not in outs}
    made, answers = [], []
    for suffix in _NAMES[: count - 1]:
        made.append(_free(editor, f"{name}_{suffix}"))
        answers.append({p: editor.net(len(bits)) for p, bits in outs.items()})
        editor.instance(made[-1], kind, ins, answers[-1])
    for port, bits in outs.items():
        _judge(editor, bits, [answer[port] for answer in answers], found, (name, port))
    return made


def _free(editor: Guarded, name: str) -> str:
    while name in editor.cells or name in editor.nets:
        name += "_"
    return name


def _judge(
    editor: Guarded,
    bits: Sequence[Bit],
    copies: Sequence[Sequence[Bit]],
    found: Findings,
    driver: tuple[str, str],
) -> None:
    """Compare what an output of an instance and its copies give; with three, readers see the majority."""
    real = [i for i, bit in enumerate(bits) if not isinstance(bit, str)]
    if len(copies) == 1:
        found.detected.append(editor.differ([bits[i] for i in real], [copies[0][i] for i in real]))
        return
    # The instance drives new bits: all that shows the old ones shows the vote.
    own = editor.net(len(bits))
    name, port = driver
    editor.cells[name]["connections"][port] = list(own)
    vote, wrong = majority(editor, [own[i] for i in real], *[[copy[i] for i in real] for copy in copies])
    editor.join([bits[i] for i in real], vote)
    found.corrected.append(wrong)


def majority(editor: Guarded, a: Sequence[Bit], b: Sequence[Bit], c: Sequence[Bit]) -> tuple[list[Bit], Bit]:
    """What at least two of three say, bit by bit, and whether not all three say the same."""
    vote = editor.either(editor.both(a, b), editor.both(c, editor.either(a, b)))
    return vote, editor.any([editor.differ(a, b), editor.differ(a, c)])


def copy_own(
    editor: Guarded,
    kind: str,
    count: int,
    left: Collection[str],
    found: Findings,
) -> tuple[list[str], dict[str, Any] | None]:
    """Copy a module's own logic.

    Parameters
    ----------
    editor : Guarded
        The module; its instances are not copied.
    kind : str
        Kind of the copies.
    count : int
        2 or 3, the original included.
    left : collection of str
        Cells that are not copied either.
    found : Findings
        Gets the comparison.

    Returns
    -------
    list of str, dict
        Names of the copies, and their module; none if there is nothing to copy.
    """
    mine = {n for n, c in editor.cells.items() if c["type"].startswith("$") and n not in left}
    driven = {
        bit: n
        for n in mine
        for port, bits in editor.cells[n]["connections"].items()
        if editor.cells[n]["port_directions"].get(port) == "output"
        for bit in bits
    }
    if not driven:
        return [], None
    gives = _gives(editor, mine, driven)
    takes = _takes(editor, mine, driven)
    module = _module(editor, mine, takes, gives)
    made, answers = [], []
    for suffix in _NAMES[: count - 1]:
        made.append(_free(editor, f"own_{suffix}"))
        answers.append({port: editor.net(len(bits)) for port, bits in gives.items()})
        editor.instance(made[-1], kind, takes, answers[-1])
    new: dict[Bit, Bit] = {}
    for port, bits in gives.items():
        if count == 2:
            found.detected.append(editor.differ(bits, answers[0][port]))
            continue
        vote, wrong = majority(editor, bits, answers[0][port], answers[1][port])
        new |= dict(zip(bits, vote, strict=True))
        found.corrected.append(wrong)
    if new:
        outside = {n for n, c in editor.cells.items() if n not in mine and not n.startswith("$fault$")} - set(
            made
        )
        editor.rewire(new, lambda cell, *_: not cell or cell in outside)
    return made, module


def _gives(editor: Guarded, mine: Collection[str], driven: Mapping[Bit, str]) -> dict[str, list[Bit]]:
    """Bits of the logic that something else reads, by a name for each reader's port."""
    gives: dict[str, list[Bit]] = {}
    seen: set[Bit] = set()
    for bit, pins in editor.reads().items():
        if bit not in driven or bit in seen:
            continue
        for cell, port, _ in pins:
            if cell not in mine:
                seen.add(bit)
                gives.setdefault(_plain(editor, f"to_{cell}_{port}" if cell else f"to_{port}"), []).append(
                    bit
                )
                break
    return gives


def _takes(editor: Guarded, mine: Collection[str], driven: Mapping[Bit, str]) -> dict[str, list[Bit]]:
    """Bits that the logic reads and does not drive, by a name for each source."""
    used = {
        bit
        for n in mine
        for port, bits in editor.cells[n]["connections"].items()
        if editor.cells[n]["port_directions"].get(port) != "output"
        for bit in bits
        if not isinstance(bit, str) and bit not in driven
    }
    takes: dict[str, list[Bit]] = {}
    for name, port in editor.ports.items():
        if port["direction"] == "input":
            bits = [bit for bit in port["bits"] if bit in used]
            if bits:
                takes[name] = bits
                used -= set(bits)
    for name, cell in editor.cells.items():
        for port, bits in cell["connections"].items():
            if name not in mine and cell.get("port_directions", {}).get(port) == "output":
                here = [bit for bit in bits if bit in used]
                if here:
                    takes.setdefault(_plain(editor, f"from_{name}_{port}"), []).extend(here)
                    used -= set(here)
    if used:  # nothing drives them
        takes["undriven"] = sorted(used, key=str)
    return takes


def _plain(editor: Guarded, name: str) -> str:
    """A port's name; cells of Yosys' own have none that is one."""
    if "$" in name:
        way, *rest = name.split("_")
        name = f"{way}_logic_{rest[-1]}" if way == "from" else "to_memory"
    while name in editor.nets:
        name += "_"
    return name


def _module(
    editor: Guarded, mine: Collection[str], takes: Mapping[str, list[Bit]], gives: Mapping[str, list[Bit]]
) -> dict[str, Any]:
    """The copies' module: the same cells, names and numbers of nets."""
    cells = {n: _copied(c) for n, c in editor.cells.items() if n in mine}
    inside = {bit for bits in takes.values() for bit in bits}
    inside |= {
        bit
        for c in cells.values()
        for port, bits in c["connections"].items()
        if c["port_directions"].get(port) == "output"
        for bit in bits
    }
    nets = {
        name: {**net, "attributes": dict(net["attributes"])}
        for name, net in editor.nets.items()
        if all(isinstance(bit, str) or bit in inside for bit in net["bits"]) and name not in takes
    }
    ports: dict[str, Any] = {}
    nets |= {name: {"hide_name": 0, "bits": list(bits), "attributes": {}} for name, bits in takes.items()}
    ports |= {name: {"direction": "input", "bits": list(bits)} for name, bits in takes.items()}
    fresh = max([bit for bit in inside if isinstance(bit, int)], default=1) + 1
    for name, bits in gives.items():
        out = list(range(fresh, fresh + len(bits)))
        fresh += len(bits)
        nets[name] = {"hide_name": 0, "bits": out, "attributes": {}}
        ports[name] = {"direction": "output", "bits": out}
        sizes = {"A_SIGNED": "0", "A_WIDTH": words_of(len(bits), 32), "Y_WIDTH": words_of(len(bits), 32)}
        cells[f"$shown${name}"] = {
            "hide_name": 1, "type": "$pos", "parameters": sizes, "attributes": {},
            "port_directions": {"A": "input", "Y": "output"}, "connections": {"A": list(bits), "Y": out},
        }  # fmt: skip
    return {"attributes": {}, "ports": ports, "cells": cells, "netnames": nets}


def _copied(cell: dict[str, Any]) -> dict[str, Any]:
    return {
        **cell,
        "parameters": dict(cell["parameters"]),
        "attributes": dict(cell["attributes"]),
        "connections": {port: list(bits) for port, bits in cell["connections"].items()},
    }
