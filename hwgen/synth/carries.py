"""Carry chains of a netlist, between Yosys and nextpnr: the logic in front of an adder moves into it.

A bit of an ECP5's carry chain (half of a CCU2C) is a LUT of four inputs, of which Yosys' adders use two: what makes a
bit of a partial product then takes a LUT, and a way, of its own. It also ties unused inputs to zero, which nextpnr
brings to each of them from one LUT.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations, permutations
from typing import Any

__all__ = ["fill_carries", "free_carries"]

_PINS = "ABCD"  # of a LUT4, the lowest bit of the index first; with 0 or 1 behind them, of a half of a CCU2C
_CONSTANTS = {"0": -1, "x": -1, "z": -1, "1": -2}  # instead of the number of a variable
_OPEN = "1"  # an input that is left alone reads so, and costs no way

# First cell of a chain of carries: it makes a carry of its input A1 and heeds no other (Yosys' arith_map for Nexus).
_FIRST_CARRY = {"INIT0": "0xFFFF", "INIT1": "0x00AA", "INJECT": "NO"}

_Pin = int | tuple[int, tuple[int, ...]]
"""A variable or a constant; or a LUT's table and its own pins."""


def fill_carries(module: dict[str, Any]) -> int:
    """Move LUTs that only a carry chain of an ECP5 reads into it, and constants into its tables.

    A half takes what drives its inputs as long as no more than four are left. With the LUT's output P and the table's
    first four entries G, of A and B alone, it makes ``S = P ^ CIN`` and ``COUT = P ? CIN : G``: P has to stay the same
    function, and G where P is 0 (Lattice FPGA-TN-02200, ECP5 slice in ripple mode).

    Parameters
    ----------
    module : dict
        A module of a netlist in Yosys' JSON; it is changed.

    Returns
    -------
    int
        Number of LUTs that are gone.
    """
    cells: dict[str, Any] = module["cells"]
    chains = [cell for cell in cells.values() if cell["type"] == "CCU2C"]
    if not chains:  # other families have LUTs of that name with other pins
        return 0
    readers = _readers(module)
    alone = {
        cell["connections"]["Z"][0]: name
        for name, cell in cells.items()
        if cell["type"] == "LUT4" and readers[cell["connections"]["Z"][0]] == 1
    }
    gone = 0
    for cell in chains:
        links, settings = cell["connections"], cell["parameters"]
        for half in "01":
            if settings[f"INJECT1_{half}"] != "NO":
                continue
            bits = [links[pin + half][0] for pin in _PINS]
            for taken in _choices([bit for bit in bits if bit in alone]):
                luts = {bit: cells[alone[bit]] for bit in taken}
                variables = _variables(bits, luts)
                found = len(variables) <= len(_PINS) and _table(
                    int(settings[f"INIT{half}"], 2),
                    tuple(_pin(bit, luts, variables) for bit in bits),
                    len(variables),
                )
                if found:
                    settings[f"INIT{half}"] = f"{found[0]:016b}"
                    for pin, at in zip(_PINS, found[1], strict=True):
                        links[pin + half] = [_OPEN if at is None else variables[at]]
                    for bit in taken:
                        del cells[alone.pop(bit)]
                    gone += len(taken)
                    break
    return gone


def _readers(module: Mapping[str, Any]) -> Counter[Any]:
    """How often each net is read, in cells and at ports."""
    readers: Counter[Any] = Counter(bit for port in module["ports"].values() for bit in port["bits"])
    for cell in module["cells"].values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"].get(port) == "input":
                readers.update(bits)
    return readers


def _choices(luts: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """What a half could take, the most first."""
    for count in range(len(luts), -1, -1):
        yield from combinations(luts, count)


def _inputs(lut: Mapping[str, Any]) -> list[Any]:
    return [lut["connections"][pin][0] for pin in _PINS]


def _variables(bits: Sequence[Any], luts: Mapping[Any, Mapping[str, Any]]) -> list[int]:
    """Nets that a half reads once it has taken those LUTs."""
    reached = [net for bit in bits for net in (_inputs(luts[bit]) if bit in luts else [bit])]
    return [net for net in dict.fromkeys(reached) if isinstance(net, int)]


def _pin(bit: Any, luts: Mapping[Any, Mapping[str, Any]], variables: Sequence[int]) -> _Pin:
    """A pin as numbers of variables and tables, so that equal ones are tried once."""

    def number(net: Any) -> int:
        return variables.index(net) if isinstance(net, int) else _CONSTANTS[net]

    if bit not in luts:
        return number(bit)
    lut = luts[bit]
    return int(lut["parameters"]["INIT"], 2), tuple(number(net) for net in _inputs(lut))


@cache
def _table(init: int, pins: tuple[_Pin, ...], count: int) -> tuple[int, tuple[int | None, ...]] | None:
    """A half's table over its new inputs, and the variable at each; None if no order of them makes its carry."""
    propagate, generate = [], []
    for values in range(1 << count):
        index = sum(_value(pin, values) << i for i, pin in enumerate(pins))
        propagate.append(init >> index & 1)
        generate.append(init >> (index & 3) & 1)
    for order in permutations(range(len(_PINS)), count):
        table = sum(
            propagate[sum((index >> at & 1) << i for i, at in enumerate(order))] << index
            for index in range(1 << len(_PINS))
        )
        low = [sum((values >> i & 1) << at for i, at in enumerate(order)) & 3 for values in range(1 << count)]
        if all(
            p or table >> low[values] & 1 == g
            for values, (p, g) in enumerate(zip(propagate, generate, strict=True))
        ):
            return table, tuple(order.index(at) if at in order else None for at in range(len(_PINS)))
    return None


def _value(pin: _Pin, values: int) -> int:
    """A pin's value for those of the variables, one bit each."""
    if isinstance(pin, tuple):
        table, inputs = pin
        return table >> sum(_value(net, values) << i for i, net in enumerate(inputs)) & 1
    return values >> pin & 1 if pin >= 0 else int(pin == _CONSTANTS["1"])


def free_carries(module: dict[str, Any]) -> int:
    """Take the constant off the carry input of each chain's first cell on a Nexus: nextpnr wants it unconnected.

    The first cell's carry does not depend on that input, and its sums are not read; a cell of which that is not so is
    left as it is (https://github.com/YosysHQ/yosys/issues/4081).

    Parameters
    ----------
    module : dict
        A module of a netlist in Yosys' JSON; it is changed.

    Returns
    -------
    int
        Number of chains.
    """
    cells: dict[str, Any] = module["cells"]
    constant = {"0"} | {cell["connections"]["Z"][0] for cell in cells.values() if cell["type"] == "VLO"}
    read = {
        bit
        for cell in cells.values()
        for port, bits in cell["connections"].items()
        if cell["port_directions"].get(port) == "input"
        for bit in bits
    } | {bit for port in module["ports"].values() for bit in port["bits"]}
    freed = 0
    for cell in cells.values():
        links = cell["connections"]
        if (
            cell["type"] == "CCU2"
            and links.get("CIN", [None])[0] in constant
            and {name: cell["parameters"].get(name) for name in _FIRST_CARRY} == _FIRST_CARRY
            and not any(bit in read for port in ("S0", "S1") for bit in links.get(port, []))
        ):
            del links["CIN"]
            freed += 1
    return freed
