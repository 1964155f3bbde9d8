"""Copies of registers that are read all over the chip: Yosys makes one of all registers that hold the same.

A signal that goes to every lane, or to every column of an array, has a register per group of them in the design's
source. Synthesis finds the copies out and keeps one; nextpnr puts it in the middle, and the way from there to the
edges of the chip is the longest of the design.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["copy_registers"]

_MANY = 40  # readers from which on a register is copied
_FAR, _SOME = 80, 6  # or tiles around its readers, of which there are some
_EACH = 64  # readers of a copy, unless that many lie at one place
_DEPTH = 2  # LUTs in front of a register that may be copied
_LOGIC = ("LUT4", "PFUMX", "L6MUX21")
_CONTROLS = ("CLK", "LSR", "CE")
_REACH = 40  # tiles around those of a copy

Place = tuple[float, float]
Reader = tuple[str, str, int]


def copy_registers(module: dict[str, Any], places: Mapping[str, Place]) -> int:
    """Give groups of readers that lie apart a register of their own; the number of copies.

    Registers are copied of which the input comes from other registers by way of two LUTs at most: that leaves most
    of a cycle for the way to the copies. A copy has the register's inputs and start value, so it holds the same in
    every cycle. A single LUT between registers is copied with its register, and lies beside it.

    Parameters
    ----------
    module : dict
        A module of a netlist for ECP5 in Yosys' JSON; it is changed.
    places : mapping of str to (float, float)
        Where cells will lie, row and column, as far as that is known.
    """
    cells: dict[str, Any] = module["cells"]
    where = dict(places)
    readers: dict[int, list[Reader]] = defaultdict(list)
    drivers: dict[int, str] = {}
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            for i, bit in enumerate(bits):
                if isinstance(bit, int):
                    if cell["port_directions"].get(port) == "input":
                        readers[bit].append((name, port, i))
                    else:
                        drivers[bit] = name
    nets = [bit for net in module["netnames"].values() for bit in net["bits"] if isinstance(bit, int)]
    new = max([*readers, *drivers, *nets], default=0)
    copies = 0

    def add(origin: str, label: str, output: str) -> int:
        """A copy of a cell under that name; the net that it drives."""
        nonlocal new
        new += 1
        made = copy.deepcopy(cells[origin])
        made["connections"][output] = [new]
        cells[label] = made
        module["netnames"][f"{label}_{output}"] = {"hide_name": 0, "bits": [new], "attributes": {}}
        for port, bits in made["connections"].items():
            if made["port_directions"].get(port) == "input":
                for i, bit in enumerate(bits):
                    if isinstance(bit, int):
                        readers[bit].append((label, port, i))
        return new

    # Twice, because a copy of a LUT may be one reader too many for the registers that it reads.
    names = [name for name, cell in cells.items() if cell["type"] == "TRELLIS_FF"]
    for name in names * 2:
        cell = cells[name]
        output = cell["connections"]["Q"][0]
        groups = _groups(readers[output], where)
        many = len(readers[output]) >= _MANY or (
            len(readers[output]) >= _SOME and _extent(readers[output], where) > _FAR
        )
        if not many or len(groups) < 2 or not _shallow(cells, drivers, cell):
            continue
        logic = _own_lut(cells, drivers, readers, cell)
        for group in groups:
            copies += 1
            label = f"{name}$copy_{copies}"
            net = add(name, label, "Q")
            where[label] = where[group[len(group) // 2][0]]
            for reader, port, i in group:
                cells[reader]["connections"][port][i] = net
            readers[net] = group
            if logic:
                near = f"{label}$lut"
                given = add(logic, near, "Z")
                where[near] = where[label]
                readers[cell["connections"]["DI"][0]].remove((label, "DI", 0))
                cells[label]["connections"]["DI"] = [given]
                readers[given] = [(label, "DI", 0)]
        moved = {reader for group in groups for reader in group}
        readers[output] = [reader for reader in readers[output] if reader not in moved]
    return copies


def _own_lut(
    cells: Mapping[str, Any],
    drivers: Mapping[int, str],
    readers: Mapping[int, Sequence[Reader]],
    register: Mapping[str, Any],
) -> str:
    """The LUT in front of a register if it reads registers only and nobody else reads it; empty if there is none."""
    (bit,) = register["connections"].get("DI", [None])
    name = drivers.get(bit, "") if isinstance(bit, int) else ""
    if not name or cells[name]["type"] != "LUT4" or len(readers[bit]) != 1:
        return ""
    links = cells[name]["connections"]
    inputs = [bit for port in "ABCD" for bit in links.get(port, []) if isinstance(bit, int)]
    return (
        name if all(bit in drivers and cells[drivers[bit]]["type"] == "TRELLIS_FF" for bit in inputs) else ""
    )


def _groups(readers: Sequence[Reader], where: Mapping[str, Place]) -> list[list[Reader]]:
    """Readers of which the place is known, those together that lie together."""
    groups: list[list[Reader]] = []
    known = (reader for reader in readers if reader[0] in where)
    for reader in sorted(known, key=lambda reader: (where[reader[0]][::-1], reader)):
        for group in groups:
            here = where[reader[0]] == where[group[-1][0]]
            if (here or len(group) < _EACH) and _extent([*group, reader], where) <= _REACH:
                group.append(reader)
                break
        else:
            groups.append([reader])
    return groups


def _extent(readers: Sequence[Reader], where: Mapping[str, Place]) -> float:
    """Half the perimeter around readers."""
    places = {where[reader[0]] for reader in readers if reader[0] in where}
    return sum((max(ends) - min(ends) for ends in zip(*places, strict=True)), 0.0)


def _shallow(
    cells: Mapping[str, Any], drivers: Mapping[int, str], register: Mapping[str, Any], depth: int = _DEPTH
) -> bool:
    """Whether so many LUTs at most lie between other registers and the input of a register, or of a LUT."""
    links, directions = register["connections"], register["port_directions"]
    for port, bits in links.items():
        if directions.get(port) != "input" or port in _CONTROLS:
            continue
        for bit in bits:
            driver = cells[drivers[bit]] if bit in drivers else None
            if driver is None or driver["type"] == "TRELLIS_FF":
                continue
            if driver["type"] not in _LOGIC or not depth or not _shallow(cells, drivers, driver, depth - 1):
                return False
    return True
