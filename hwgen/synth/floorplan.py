"""Where the multipliers of a large array lie: nextpnr's placers do not see that an array is a grid.

The multipliers of an ECP5 lie in a few rows that span the chip. Every one of these takes whole columns of the array,
side by side: those that get the same activation are neighbours, a column goes through the row from left to right, and
sums move to the next multiplier along it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["place_multipliers"]

_ARRAY = re.compile(r"(.*\.)?column_(\d+)\.chain_(\d+)\.row_(\d+)\.multiplier$")

# Of the LFE5U-85F and LFE5UM5G-85F: the rows with multipliers, and in each of these groups of four in nine columns (the
# clock's spine lies between the seventh and the eighth), as nextpnr 0.11 numbers them.
_ROWS = (10, 34, 58)
_GROUPS = (*range(4, 59, 9), *range(69, 115, 9))
_OF_GROUP = ((0, "MULT18_0"), (1, "MULT18_1"), (4, "MULT18_4"), (5, "MULT18_5"))
_CHIPS = ("--85k", "--um-85k", "--um5g-85k")  # nextpnr's options for these devices

_LARGE = 0.5  # part of the multipliers from which on an array is given its place


def place_multipliers(module: dict[str, Any], options: Sequence[str]) -> int:
    """Give the multipliers of a large array their sites; the number of those that got one.

    Parameters
    ----------
    module : dict
        The netlist's top module, as Yosys writes it in JSON; is changed.
    options : sequence of str
        Options of nextpnr that choose the device. If it is not one that is known here the netlist stays as it is.
    """
    if not set(_CHIPS) & set(options):
        return 0
    sites = [(x + dx, name) for x in _GROUPS for dx, name in _OF_GROUP]
    array = _array(module["cells"])
    columns = {column for column, _ in array}
    steps = {step for _, step in array}
    if len(array) < _LARGE * len(_ROWS) * len(sites) or len(array) != len(columns) * len(steps):
        return 0
    side_by_side = -(-len(columns) // len(_ROWS))
    if side_by_side * len(steps) > len(sites):
        return 0
    for (column, step), cell in array.items():
        row, lane = divmod(column, side_by_side)
        x, name = sites[step * len(sites) // len(steps) + lane]
        cell.setdefault("attributes", {})["BEL"] = f"X{x}/Y{_ROWS[row]}/{name}"
    return len(array)


def _array(cells: Mapping[str, Any]) -> dict[tuple[int, int], dict[str, Any]]:
    """Multipliers of an array by column and by step along it: through its chains, one after the other."""
    found: dict[tuple[int, int, int], dict[str, Any]] = {}
    for name, cell in cells.items():
        place = _ARRAY.match(name) if cell["type"] == "MULT18X18D" else None
        if place:
            column, chain, row = (int(number) for number in place.groups()[1:])
            found[column, chain, row] = cell
    order = {where: step for step, where in enumerate(sorted({(chain, row) for _, chain, row in found}))}
    return {(column, order[chain, row]): cell for (column, chain, row), cell in found.items()}
