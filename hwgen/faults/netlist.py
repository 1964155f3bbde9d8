"""Emitted Verilog as a flat netlist: cells, registers and memories of every instance, with their names.

Yosys reads the Verilog that was written, so what is here is what a synthesis tool gets; nothing is taken from the
generator. Flattening happens here, because instances must keep their paths.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hwgen import toolchain
from hwgen.errors import BadInput

__all__ = ["ONE", "ZERO", "Cell", "Memory", "Netlist", "Port", "Register", "read_netlist"]

ZERO, ONE = 0, 1
"""Bits that are constant; all others are numbers from 2 on. What is undefined counts as zero."""

Bits = tuple[int, ...]

_NUMBERED = re.compile(r"_\d+_$")
_IGNORED = {"$scopeinfo", "$print", "$check", "$assert", "$assume", "$cover"}


@dataclass(frozen=True)
class Port:
    """A port of the top module.

    Parameters
    ----------
    name : str
        Verilog name.
    direction : str
        ``input`` or ``output``.
    bits : tuple of int
        Least significant first.
    """

    name: str
    direction: str
    bits: Bits


@dataclass(frozen=True)
class Cell:
    """A combinational cell, in Yosys' word-level terms.

    Parameters
    ----------
    kind : str
        Without the dollar: ``add``, ``mux``.
    ports : dict of str to tuple of int
        Bits of ``A``, ``B``, ``S``, ``Y``.
    signed : bool
        Whether operands are two's complement.
    path : tuple of str
        Names of the instances around it.
    """

    kind: str
    ports: dict[str, Bits]
    signed: bool
    path: tuple[str, ...]


@dataclass(frozen=True)
class Register:
    """Flip-flops that the Verilog clocks together, or a part of such a register.

    Parameters
    ----------
    path : tuple of str
        Names of the instances around it.
    module : str
        Kind of the innermost instance.
    name : str
        Verilog name.
    low : int
        Number of its first bit in that name.
    d, q : tuple of int
        Next value, and value.
    init : int
        Value before the first edge.
    vendor : bool
        Whether it lies in the model of a vendor cell.
    """

    path: tuple[str, ...]
    module: str
    name: str
    low: int
    d: Bits
    q: Bits
    init: int
    vendor: bool = False


@dataclass(frozen=True)
class Memory:
    """An array of words. Reads are asynchronous here: registers behind them are registers.

    Parameters
    ----------
    path, module, name
        As of a register.
    width, depth : int
        Bits of a word, and words.
    init : tuple of int
        First words; all others begin as zero.
    reads : tuple of (address, data)
        Ports, as bits.
    writes : tuple of (address, data, enable)
        Ports, as bits, in the order in which they write; a bit of ``enable`` for each bit of data.
    """

    path: tuple[str, ...]
    module: str
    name: str
    width: int
    depth: int
    init: tuple[int, ...]
    reads: tuple[tuple[Bits, Bits], ...]
    writes: tuple[tuple[Bits, Bits, Bits], ...]


@dataclass(frozen=True, eq=False)
class Netlist:
    """A design, flat.

    Parameters
    ----------
    top : str
        Name of the top module.
    digest : str
        Of the Verilog text, models of vendor cells included.
    ports : tuple of Port
        Clock and reset included.
    cells : tuple of Cell
        Combinational cells.
    registers : tuple of Register
        By path, name and first bit.
    memories : tuple of Memory
        By path and name.
    clock : int
        The clock's bit.
    nets : dict of (tuple of str, str) to tuple of int
        Bits of the nets that were asked for, by path and Verilog name.
    """

    top: str
    digest: str
    ports: tuple[Port, ...]
    cells: tuple[Cell, ...]
    registers: tuple[Register, ...]
    memories: tuple[Memory, ...]
    clock: int
    nets: dict[tuple[tuple[str, ...], str], Bits] = field(default_factory=dict)

    @cached_property
    def port(self) -> dict[str, Port]:
        """Ports by name."""
        return {port.name: port for port in self.ports}


def read_netlist(
    sources: Sequence[Path], top: str, nets: Container[tuple[tuple[str, ...], str]] = ()
) -> Netlist:
    """Read Verilog.

    Parameters
    ----------
    sources : sequence of Path
        The design first, then models of vendor cells.
    top : str
        Name of the top module.
    nets : container of (tuple of str, str)
        Path and Verilog name of nets whose bits are to be told.

    Raises
    ------
    BadInput
        If there is something in it for which this has no words: more than one clock, latches, other cells.
    """
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        out = Path(folder, "netlist.json")
        copies = []
        for i, path in enumerate(sources):
            copies.append(Path(folder, f"{i}.v"))
            copies[-1].write_bytes(path.read_bytes())
        reads = "\n".join(f"read_verilog {copy}" for copy in copies)
        toolchain.yosys(f"{reads}\nhierarchy -top {top}\nproc\nopt_clean\nmemory_collect\nwrite_json {out}\n")
        modules = json.loads(out.read_text(encoding="utf-8"))["modules"]
    own = sources[0].read_text(encoding="utf-8")
    vendor = {name for name in modules if f"\nmodule {_plain(name)}(" not in own}
    return _Flat(modules, vendor, nets).netlist(top, digest)


def _plain(kind: str) -> str:
    """Verilog name of a module; with parameters, Yosys calls it ``$paramod$...\\name`` or ``$paramod\\name\\...``."""
    if not kind.startswith("$paramod"):
        return kind
    return kind.split("\\")[1]


@dataclass
class _Flat:
    """A hierarchy being flattened."""

    modules: dict[str, Any]
    vendor: set[str]
    wanted: Container[tuple[tuple[str, ...], str]] = ()
    nets: dict[tuple[tuple[str, ...], str], Bits] = field(default_factory=dict)
    parents: list[int] = field(default_factory=lambda: [ZERO, ONE])
    cells: list[Cell] = field(default_factory=list)
    registers: list[Register] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    clocks: set[int] = field(default_factory=set)

    def netlist(self, top: str, digest: str) -> Netlist:
        """Flatten everything below ``top``."""
        made: dict[int, int] = {}
        self._instance(top, (), made)
        ports = [
            Port(name, port["direction"], self._bits(port["bits"], made))
            for name, port in self.modules[top]["ports"].items()
        ]
        # Bits that turned out to be the same get one number, constants win.
        one = self._root
        clocks = {one(bit) for bit in self.clocks}
        if len(clocks) > 1:
            raise BadInput(f"{top} has {len(clocks)} clocks; the fault lab needs a design with one clock")
        registers = [
            Register(r.path, r.module, r.name, r.low, self._same(r.d), self._same(r.q), r.init, r.vendor)
            for r in self.registers
        ]
        memories = [
            Memory(
                m.path, m.module, m.name, m.width, m.depth, m.init,
                tuple((self._same(a), self._same(d)) for a, d in m.reads),
                tuple((self._same(a), self._same(d), self._same(e)) for a, d, e in m.writes),
            )
            for m in self.memories
        ]  # fmt: skip
        return Netlist(
            top,
            digest,
            tuple(Port(p.name, p.direction, self._same(p.bits)) for p in ports),
            tuple(
                Cell(c.kind, {n: self._same(b) for n, b in c.ports.items()}, c.signed, c.path)
                for c in self.cells
            ),
            tuple(sorted(registers, key=lambda r: (r.path, r.name, r.low))),
            tuple(sorted(memories, key=lambda m: (m.path, m.name))),
            min(clocks, default=ZERO),
            {key: self._same(bits) for key, bits in self.nets.items()},
        )

    # Bits: numbers that can be found to be the same.

    def _root(self, bit: int) -> int:
        while self.parents[bit] != bit:
            self.parents[bit] = self.parents[self.parents[bit]]
            bit = self.parents[bit]
        return bit

    def _same(self, bits: Bits) -> Bits:
        return tuple(self._root(bit) for bit in bits)

    def _join(self, one: int, other: int) -> None:
        """Two numbers are one bit; the smaller one stays, so that constants do."""
        a, b = self._root(one), self._root(other)
        if a != b:
            self.parents[max(a, b)] = min(a, b)

    def _bits(self, local: Sequence[int | str], made: dict[int, int]) -> Bits:
        """Numbers of a module's bits in an instance of it."""
        out = []
        for bit in local:
            if isinstance(bit, str):
                out.append(ONE if bit == "1" else ZERO)
            else:
                if bit not in made:
                    made[bit] = len(self.parents)
                    self.parents.append(made[bit])
                out.append(made[bit])
        return tuple(out)

    def _instance(self, kind: str, path: tuple[str, ...], made: dict[int, int]) -> None:
        """Everything in an instance."""
        module = self.modules[kind]
        names = _Names(module)
        for name, net in module["netnames"].items():
            if (path, name) in self.wanted:
                self.nets[path, name] = self._bits(net["bits"], made)
        shown = _plain(kind)
        for name, cell in module["cells"].items():
            what: str = cell["type"]
            ports = cell["connections"]
            if what in _IGNORED:
                continue
            if what == "$mem_v2":
                self._memory(cell, shown, path, made)
            elif what == "$dff":
                self.clocks.update(self._bits(ports["CLK"], made))
                if cell["parameters"]["CLK_POLARITY"][-1] != "1":
                    raise BadInput(f"{'.'.join((*path, name))} uses the falling edge; use the rising one")
                d, q = self._bits(ports["D"], made), self._bits(ports["Q"], made)
                for label, low, first, count in names.runs(ports["Q"]):
                    init = names.init(ports["Q"][first : first + count])
                    part = slice(first, first + count)
                    self.registers.append(
                        Register(path, shown, label, low, d[part], q[part], init, kind in self.vendor)
                    )
            elif what in self.modules:
                inner: dict[int, int] = {}
                for port, local in self.modules[what]["ports"].items():
                    outside = self._bits(ports.get(port, ["0"] * len(local["bits"])), made)
                    for bit, number in zip(local["bits"], outside, strict=True):
                        if isinstance(bit, str):
                            self._join(number, ONE if bit == "1" else ZERO)
                        elif bit in inner:
                            self._join(inner[bit], number)
                        else:
                            inner[bit] = number
                self._instance(what, (*path, name), inner)
            elif what.startswith("$"):
                signed = cell["parameters"].get("A_SIGNED", "0")[-1] == "1"
                bits = {port: self._bits(local, made) for port, local in ports.items()}
                self.cells.append(Cell(what[1:], bits, signed, path))
            else:
                raise BadInput(
                    f"{'.'.join((*path, name))} is a {what}, of which there is no model; add its Verilog"
                )

    def _memory(self, cell: Any, kind: str, path: tuple[str, ...], made: dict[int, int]) -> None:
        numbers = {
            name: int(value, 2)
            for name, value in cell["parameters"].items()
            if value and set(value) <= {"0", "1"}
        }
        width, depth, abits = numbers["WIDTH"], numbers["SIZE"], numbers["ABITS"]
        name = str(cell["parameters"]["MEMID"]).lstrip("\\")
        ports = cell["connections"]
        if numbers["OFFSET"] or "1" in str(cell["parameters"]["RD_CLK_ENABLE"]):
            raise BadInput(
                f"memory {'.'.join((*path, name))} has an offset or clocked read ports; use plain ones"
            )
        self.clocks.update(self._bits(ports["WR_CLK"][:1] if numbers["WR_PORTS"] else [], made))

        def parts(port: str, count: int, size: int) -> list[Bits]:
            bits = self._bits(ports[port], made)
            return [bits[i * size : (i + 1) * size] for i in range(count)]

        reads, writes = numbers["RD_PORTS"], numbers["WR_PORTS"]
        text = str(cell["parameters"]["INIT"])
        words = [text[max(0, len(text) - (i + 1) * width) : len(text) - i * width] for i in range(depth)]
        init = [int(word.replace("x", "0") or "0", 2) for word in words]
        while init and not init[-1]:
            init.pop()
        self.memories.append(
            Memory(
                path, kind, name, width, depth, tuple(init),
                tuple(zip(parts("RD_ADDR", reads, abits), parts("RD_DATA", reads, width), strict=True)),
                tuple(
                    zip(
                        parts("WR_ADDR", writes, abits), parts("WR_DATA", writes, width),
                        parts("WR_EN", writes, width), strict=True,
                    )
                ),
            )
        )  # fmt: skip


class _Names:
    """What the bits of a module are called in its Verilog."""

    def __init__(self, module: Any):
        self._named: dict[int, tuple[str, int]] = {}
        self._init: dict[int, int] = {}
        ports = module["ports"]
        shown = {n: net for n, net in module["netnames"].items() if not net["hide_name"]}
        # A register's name says its first value; a wire or port that shows it comes after, a numbered name last.
        order = sorted(
            shown,
            key=lambda n: (
                _NUMBERED.match(n) is not None,
                "init" not in shown[n]["attributes"],
                n in ports,
                n,
            ),
        )
        for name in order:
            net = shown[name]
            init = str(net["attributes"].get("init", ""))[::-1]
            for i, bit in enumerate(net["bits"]):
                if isinstance(bit, int):
                    self._named.setdefault(bit, (name, i))
                    if i < len(init) and init[i] == "1":
                        self._init[bit] = 1

    def runs(self, bits: Sequence[int]) -> Iterator[tuple[str, int, int, int]]:
        """Stretches of bits that are neighbours in a name: name, first bit in it, first one here, count."""
        first = 0
        while first < len(bits):
            name, low = self._named.get(bits[first], (f"unnamed_{bits[first]}", 0))
            count = 1
            while first + count < len(bits) and self._named.get(bits[first + count]) == (name, low + count):
                count += 1
            yield name, low, first, count
            first += count

    def init(self, bits: Sequence[int]) -> int:
        """First value of a register."""
        return sum(self._init.get(bit, 0) << i for i, bit in enumerate(bits))
