"""Where the blocks of a large array lie: nextpnr's placers do not see that an array is a grid, and lanes a row.

The multipliers of an ECP5 lie in a few rows that span the chip, and so do its block RAMs. Every row of multipliers
takes whole columns of the array, side by side: those that get the same activation are neighbours, a column goes through
the row from left to right, and sums move to the next multiplier along it. What an accelerator has per lane lies where
the array takes that lane's activations: slices of the buffers' words, and the lanes' own multipliers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

__all__ = ["place_blocks", "places"]

_CHIPS = ("--85k", "--um-85k", "--um5g-85k")  # nextpnr's options for these devices

# Of the LFE5U-85F and LFE5UM5G-85F: the rows with multipliers and those with block RAMs, and in each of these groups of
# four in nine columns (the clock's spine lies between the seventh and the eighth), as nextpnr 0.11 numbers them.
_GROUPS: tuple[int, ...] = (*range(4, 59, 9), *range(69, 115, 9))
_ROWS, _OF_GROUP = (10, 34, 58), ((0, "MULT18_0"), (1, "MULT18_1"), (4, "MULT18_4"), (5, "MULT18_5"))
_RAM_ROWS, _RAMS_OF_GROUP = (22, 46, 70, 82), ((0, "EBR0"), (2, "EBR1"), (4, "EBR2"), (6, "EBR3"))
_LEFT, _WIDTH = _GROUPS[0], _GROUPS[-1] + 8 - _GROUPS[0]

_MULTIPLIER = re.compile(r"(.*\.)?column_(\d+)\.chain_(\d+)\.row_(\d+)\.multiplier$")
_LANE = re.compile(r"(.*\.)?vec_engine\.lane_(\d+)\.")
_SHARED = re.compile(r"(.*\.)?vec_engine\.requantise_(\d+)\.")
_ROW = re.compile(r"(.*\.)?column_(\d+)\.chain_(\d+)\.row_(\d+)\.")
_SLICE = re.compile(r"(.*\.)?(act|acc|parameter|weight)_buffer\.bank_\d+\.memory\.\d+\.(\d+)$")
_SUMS = re.compile(r"(.*\.)?column_(\d+)\.(accumulators|results)\.\d+\.\d+$")

_LARGE = 0.5  # part of the multipliers from which on an array is given its place
_RISE = 0.5  # what a step from row to row is to one along them: there are fewer rows to go to

# Heights: activations go to all rows of the array, sums and parameters to the lanes, which take the rows below it;
# weights enter at the left, sums leave where the last two chains end.
_ACTIVATIONS, _LANES, _WEIGHTS = 46, 76, (8, 34)
_ENDS = 0.72

# Cells beside others: pins of a net that tells, tiles between the others, and nets that are followed in a row.
_FEW_PINS, _TOGETHER, _STEPS = 8, 40, 6

Site = tuple[int, int, str]


def place_blocks(module: dict[str, Any], options: Sequence[str]) -> int:
    """Give the multipliers of a large array their sites, and the blocks that work with them; the number of those.

    Parameters
    ----------
    module : dict
        The netlist's top module, as Yosys writes it in JSON; is changed.
    options : sequence of str
        Options of nextpnr that choose the device. If it is not one that is known here the netlist stays as it is.
    """
    if not set(_CHIPS) & set(options):
        return 0
    cells = module["cells"]
    rows = _place_array(cells)
    if not rows:
        return 0
    taken = {cell["attributes"]["BEL"] for cell in cells.values() if "BEL" in cell.get("attributes", {})}
    multipliers = [site for site in _sites(_ROWS, _OF_GROUP) if _bel(site) not in taken]
    _assign(cells, _lanes(cells), multipliers)
    _assign(cells, _memories(cells, rows), _sites(_RAM_ROWS, _RAMS_OF_GROUP))
    return sum("BEL" in cell.get("attributes", {}) for cell in cells.values())


def places(module: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Row and column of cells that have a site, and of those that will hardly lie anywhere else than beside them.

    That are cells of the same lane or the same step of the array, and those between such cells: a net of few pins joins
    them with one, or with several that lie together.

    Parameters
    ----------
    module : mapping
        The netlist's top module, after :func:`place_blocks`.
    """
    found: dict[str, tuple[float, float]] = {}
    near: dict[tuple[str, ...], tuple[float, float]] = {}
    for name, cell in module["cells"].items():
        site = re.match(r"X(\d+)/Y(\d+)/", cell.get("attributes", {}).get("BEL", ""))
        if site:
            found[name] = float(site.group(2)), float(site.group(1))
            if owner := _owner(name):
                near[owner] = found[name]
    for name in module["cells"]:
        owner = _owner(name)
        if owner in near:
            found.setdefault(name, near[owner])
    for _ in range(_STEPS):
        found |= _beside(module["cells"], found)
    return found


def _beside(
    cells: Mapping[str, Any], found: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Where cells lie that nets of few pins join with cells of which the place is known."""
    nets: dict[int, list[str]] = {}
    for name, cell in cells.items():
        for bits in cell.get("connections", {}).values():
            for bit in bits:
                if isinstance(bit, int):
                    nets.setdefault(bit, []).append(name)
    joined: dict[str, list[tuple[float, float]]] = {}
    for pins in nets.values():
        known = [found[name] for name in pins if name in found] if len(pins) <= _FEW_PINS else []
        for name in pins if known else ():
            if name not in found:
                joined.setdefault(name, []).extend(known)
    middles = {}
    for name, around in joined.items():
        spread = sum(max(ends) - min(ends) for ends in zip(*around, strict=True))
        if spread <= _TOGETHER:
            y, x = (sum(ends) / len(ends) for ends in zip(*around, strict=True))
            middles[name] = (y, x)
    return middles


def _owner(name: str) -> tuple[str, ...] | None:
    """The lane or the multiplier of the array that a cell belongs to, by its name."""
    owner = _LANE.match(name) or _ROW.match(name)
    return owner.groups() if owner else None


def _place_array(cells: dict[str, Any]) -> dict[int, int]:
    """Place the array; the height of each column, none if there is no large array."""
    sites = [(x + dx, name) for x in _GROUPS for dx, name in _OF_GROUP]
    array = _array(cells)
    columns = {column for column, _ in array}
    steps = {step for _, step in array}
    if len(array) < _LARGE * len(_ROWS) * len(sites) or len(array) != len(columns) * len(steps):
        return {}
    side_by_side = -(-len(columns) // len(_ROWS))
    if side_by_side * len(steps) > len(sites):
        return {}
    for (column, step), cell in array.items():
        row, lane = divmod(column, side_by_side)
        x, name = sites[step * len(sites) // len(steps) + lane]
        cell.setdefault("attributes", {})["BEL"] = _bel((x, _ROWS[row], name))
    return {column: _ROWS[column // side_by_side] for column in columns}


def _array(cells: Mapping[str, Any]) -> dict[tuple[int, int], dict[str, Any]]:
    """Multipliers of an array by column and by step along it: through its chains, one after the other."""
    found: dict[tuple[int, int, int], dict[str, Any]] = {}
    for name, cell in cells.items():
        place = _MULTIPLIER.match(name) if cell["type"] == "MULT18X18D" else None
        if place:
            column, chain, row = (int(number) for number in place.groups()[1:])
            found[column, chain, row] = cell
    order = {where: step for step, where in enumerate(sorted({(chain, row) for _, chain, row in found}))}
    return {(column, order[chain, row]): cell for (column, chain, row), cell in found.items()}


def _lanes(cells: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Where the lanes' multipliers should lie."""
    found = {
        name: int(lane.group(2))
        for name, cell in cells.items()
        if cell["type"] == "MULT18X18D" and (lane := _LANE.match(name))
    }
    order = _order(cells)
    return {name: (_along(order[lane]), _LANES) for name, lane in found.items()}


def _order(cells: Mapping[str, Any]) -> list[float]:
    """Where each lane should lie, from 0 to 1: those that share a requantiser together."""
    lanes = {int(found.group(2)) for name in cells if (found := _LANE.match(name))}
    shared = {int(found.group(2)) for name in cells if (found := _SHARED.match(name))}
    count, groups = max(lanes, default=0) + 1, max(shared, default=0) + 1
    order = sorted(range(count), key=lambda lane: (lane % groups, lane))
    return [(order.index(lane) + 0.5) / count for lane in range(count)]


def _memories(cells: Mapping[str, Any], rows: Mapping[int, int]) -> dict[str, tuple[float, float]]:
    """Where the block RAMs should lie: slices of the buffers' words along the rows as their lanes do."""
    names = [name for name, cell in cells.items() if cell["type"] == "DP16KD"]
    slices = {name: (found.group(2), int(found.group(3))) for name in names if (found := _SLICE.match(name))}
    counts: dict[str, int] = {}
    for kind, at in slices.values():
        counts[kind] = max(counts.get(kind, 0), at + 1)
    order = _order(cells)
    wanted: dict[str, tuple[float, float]] = {}
    for name, (kind, at) in slices.items():
        height = _ACTIVATIONS if kind == "act" else _LANES
        part = (at + 0.5) / counts[kind]
        if kind == "acc":
            part = order[int(part * len(order))]
        wanted[name] = _WEIGHTS if kind == "weight" else (_along(part), height)
    for name in names:
        if found := _SUMS.match(name):
            wanted[name] = _along(_ENDS), rows.get(int(found.group(2)), _LANES)
    return wanted


def _along(part: float) -> float:
    return _LEFT + part * _WIDTH


def _sites(rows: Sequence[int], of_group: Sequence[tuple[int, str]]) -> list[Site]:
    return [(x + dx, y, name) for y in rows for x in _GROUPS for dx, name in of_group]


def _bel(site: Site) -> str:
    x, y, name = site
    return f"X{x}/Y{y}/{name}"


def _assign(
    cells: Mapping[str, Any], wanted: Mapping[str, tuple[float, float]], sites: Sequence[Site]
) -> None:
    """Give each cell a site of its own, so that together they lie as near as they can to where they should."""
    if not wanted or len(wanted) > len(sites):
        return
    at = np.array([(x, y * _RISE) for x, y in wanted.values()])
    to = np.array([(x, y * _RISE) for x, y, _ in sites])
    ways = np.abs(at[:, None] - to[None]).sum(axis=2)
    for name, site in zip(wanted, linear_sum_assignment(ways)[1], strict=True):
        cells[name].setdefault("attributes", {})["BEL"] = _bel(sites[site])
