"""Changing a module in Yosys' JSON: what protection needs beside what hooks do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hwgen.errors import BadInput
from hwgen.faults.hook_edit import Bit, Editor
from hwgen.faults.netlist import _Names

__all__ = ["PREFIX", "Guarded", "Pin", "Use"]

PREFIX = "guard_"
"""Begins the names of all registers, memories' counters and ports that protection adds."""

_INPUTS = 6  # of a LUT

Pin = tuple[str, str, int]
"""Cell, port and number of a bit there."""

Use = Callable[[str, str, int], bool]
"""Whether a place where a bit is read is meant."""


class Guarded(Editor):
    """A module that gets protection.

    Parameters
    ----------
    kind : str
        Its name.
    module : dict
        It is changed.
    """

    def __init__(self, kind: str, module: dict[str, Any]):
        super().__init__(kind, module)
        taken = [n for n in (*self.nets, *self.cells) if n.startswith(PREFIX)]
        if taken:
            raise BadInput(
                f"module {kind} has {taken[0]}; names that begin with {PREFIX} are those of protection: rename it"
            )
        self.added: set[str] = set()
        """Registers that protection added."""
        self.renamed: dict[str, str] = {}
        """Registers whose name an output port took, and that name."""

    def define(self) -> None:
        """What is undefined counts as zero, as in the netlist; two readers must see the same."""
        for cell in self.cells.values():
            for port, bits in cell["connections"].items():
                cell["connections"][port] = ["0" if bit in ("x", "z") else bit for bit in bits]

    def forget(self) -> None:
        """Build what was built before anew: what is there may come to see other bits."""
        self._known.clear()

    def names(self) -> _Names:
        """Names of its bits, as the netlist has them."""
        return _Names(self.module)

    def labels(self, bits: Sequence[Bit]) -> list[str]:
        """What the registers are called that bits are of."""
        return [label for label, *_ in self.names().runs([bit for bit in bits if isinstance(bit, int)])]

    def init(self, bits: Sequence[Bit]) -> int:
        """First value of register bits."""
        known = self.names()._init
        return sum(known.get(bit, 0) << i for i, bit in enumerate(bits) if isinstance(bit, int))

    # Cells.

    def odd(self, *parts: Sequence[Bit]) -> Bit:
        """Exclusive or of bits; parts are added up apart, so that one that is needed twice is there once."""
        sums: list[Bit] = []
        for part in parts:
            sums += [self._sum(part)] if len(part) > _INPUTS and len(parts) > 1 else part
        return self._sum(sums)

    def _sum(self, bits: Sequence[Bit]) -> Bit:
        ones = sum(bit == "1" for bit in bits) % 2
        left: list[Bit] = [bit for bit in bits if not isinstance(bit, str)]
        if not left:
            return str(ones)
        while len(left) > 1:  # as LUTs will have it: a flat sum becomes a tree of gates with two inputs
            whole = len(left) // _INPUTS * _INPUTS or len(left)
            cut = [left[i : i + _INPUTS] for i in range(0, whole, _INPUTS)]
            sums = [self._operation("$reduce_xor", part, None, 1)[0] for part in cut]
            left = [*sums, *left[whole:]]
        return self.inverse(left)[0] if ones else left[0]

    def differ(self, a: Sequence[Bit], b: Sequence[Bit]) -> Bit:
        """Whether two words are not the same."""
        if not a or list(a) == list(b):
            return "0"
        return self._operation("$ne", a, b, 1)[0]

    def guard(self, name: str, width: int, init: int = 0) -> list[Bit]:
        """Bits of a register that protection adds; :meth:`register` must drive them."""
        shown = self.fresh_name(name)
        self.added.add(shown)
        return self.net(width, shown, init)

    def fresh_name(self, name: str) -> str:
        """A name that nothing has, from :data:`PREFIX` and ``name``."""
        base = shown = f"{PREFIX}{name}"
        number = 1
        while shown in self.nets or shown in self.cells:
            number += 1
            shown = f"{base}_{number}"
        return shown

    def instance(
        self, name: str, kind: str, ins: Mapping[str, Sequence[Bit]], outs: Mapping[str, Sequence[Bit]]
    ) -> None:
        """An instance of another module."""
        self.cells[name] = {
            "hide_name": 0, "type": kind, "parameters": {}, "attributes": {},
            "port_directions": {**dict.fromkeys(ins, "input"), **dict.fromkeys(outs, "output")},
            "connections": {n: list(bits) for n, bits in (*ins.items(), *outs.items())},
        }  # fmt: skip

    # What is there.

    def reads(self) -> dict[Bit, list[Pin]]:
        """Where each bit is read, as things are now; output ports are pins of the cell with the empty name."""
        found: dict[Bit, list[Pin]] = {}
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                if cell.get("port_directions", {}).get(port) != "output":
                    for i, bit in enumerate(bits):
                        found.setdefault(bit, []).append((name, port, i))
        for name, port in self.ports.items():
            if port["direction"] == "output":
                for i, bit in enumerate(port["bits"]):
                    found.setdefault(bit, []).append(("", name, i))
        return found

    def rewire(self, new: Mapping[Bit, Bit], use: Use = lambda *_: True) -> None:
        """Let readers see other bits; whatever drives the old ones still does."""
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                if cell.get("port_directions", {}).get(port) != "output":
                    for i, bit in enumerate(bits):
                        if bit in new and use(name, port, i):
                            bits[i] = new[bit]
        for name, port in self.ports.items():
            if port["direction"] == "output" and any(bit in new for bit in port["bits"]):
                shown = [
                    new[bit] if bit in new and use("", name, i) else bit for i, bit in enumerate(port["bits"])
                ]
                if shown != port["bits"]:
                    self._show(name, shown)

    def _show(self, name: str, bits: list[Bit]) -> None:
        """Let an output port show other bits; a register that had the port's name gets another one."""
        net = self.nets[name]
        own = {
            (label, low + i)
            for label, low, _, count in self.names().runs(net["bits"])
            for i in range(count)
            if label == name
        }
        del self.nets[name]
        if own:
            kept = f"{name}_kept"
            while kept in self.nets or kept in self.cells:
                kept += "_"
            mine: list[Bit] = [bit if (name, i) in own else "0" for i, bit in enumerate(net["bits"])]
            self.nets[kept] = {**net, "bits": mine}
            self.renamed[kept] = name
        self.ports[name]["bits"] = self.net(len(bits), name)
        self.join(self.ports[name]["bits"], bits)
