"""What registers do, from the netlist alone.

* control: within a cycle, the register decides whether another one loads, whether a memory is written, or which word of
  a memory is meant;
* configuration: it keeps its value until it is loaded anew, neither when nor what it loads depends on what it holds,
  and it loads when an address or an operation code has a certain value: what was compared with a constant is no
  counter and no state, and if the register loads from a memory, it came from there too;
* datapath: all others.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from hwgen.faults.netlist import Cell, Netlist

__all__ = ["SiteClass", "classify"]


class SiteClass(StrEnum):
    """What a bit does."""

    DATAPATH = "datapath"
    CONTROL = "control"
    CONFIGURATION = "configuration"
    MEMORY = "memory"
    LOGIC = "logic"


def classify(netlist: Netlist) -> list[SiteClass]:
    """Class of every register."""
    return _Classes(netlist).classes()


class _Classes:
    """What reaches which bits within a cycle, as sets in integers: a bit per register, memory and port."""

    def __init__(self, netlist: Netlist):
        self.netlist = netlist
        self.driver: dict[int, int] = {}
        for number, cell in enumerate(netlist.cells):
            for bit in cell.ports["Y"]:
                self.driver[bit] = number
        self.owner = {bit: i for i, r in enumerate(netlist.registers) for bit in r.q}
        start = len(netlist.registers)
        self.memories = 0
        for number, memory in enumerate(netlist.memories, start):
            self.memories |= 1 << number
            self.owner |= {bit: number for _, data in memory.reads for bit in data}
        start += len(netlist.memories)
        for number, port in enumerate(netlist.ports, start):
            if port.direction == "input":
                self.owner |= dict.fromkeys(port.bits, number)
        self.reach: list[int] = [0] * len(netlist.cells)
        self.compared: list[int] = [0] * len(netlist.cells)
        for number in order(netlist):
            cell = netlist.cells[number]
            bits = [bit for port, wires in cell.ports.items() if port != "Y" for bit in wires]
            self.reach[number] = self.sources(bits)
            self.compared[number] = self.decodes(bits)
            if (cell.kind in ("eq", "ne") and _constant(cell)) or cell.kind == "logic_not":
                wide = len(cell.ports["A"]) > 1
                self.compared[number] |= self.reach[number] if wide else 0

    def sources(self, bits: Iterable[int]) -> int:
        """What reaches some bits: registers, data of memories, ports."""
        found = 0
        for bit in set(bits):
            if bit in self.owner:
                found |= 1 << self.owner[bit]
            elif bit in self.driver:
                found |= self.reach[self.driver[bit]]
        return found

    def decodes(self, bits: Iterable[int]) -> int:
        """What was compared with constants on the way to some bits."""
        found = 0
        for bit in set(bits):
            if bit in self.driver:
                found |= self.compared[self.driver[bit]]
        return found

    def classes(self) -> list[SiteClass]:
        """Class of every register."""
        control, holds = 0, []
        for r in self.netlist.registers:
            select, loaded = self.hold(r.d, r.q)
            holds.append((select, loaded))
            control |= self.sources(select)
        for memory in self.netlist.memories:
            for address, _ in memory.reads:
                control |= self.sources(address)
            for address, _, enable in memory.writes:
                control |= self.sources((*address, *enable))
        # Counters, states, accumulators: what they hold decides what comes next.
        own = sum(1 << i for i, both in enumerate(holds) if self.sources(both[0] + both[1]) >> i & 1)
        found = []
        for i, (select, loaded) in enumerate(holds):
            data, decoded = self.sources(loaded), self.decodes(select) & ~own
            kept = select and data and not own >> i & 1
            if kept and decoded and (not data & self.memories or data & self.memories & decoded):
                found.append(SiteClass.CONFIGURATION)
            else:
                found.append(SiteClass.CONTROL if control >> i & 1 else SiteClass.DATAPATH)
        return found

    def hold(self, d: tuple[int, ...], q: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Selects of the multiplexers that keep a register's value, and what it loads otherwise."""
        selects: list[int] = []
        waiting, loaded, seen = list(d[:1]), [], set()
        # One bit tells for all: they are clocked together.
        while waiting:
            bit = waiting.pop()
            cell = self.netlist.cells[self.driver[bit]] if bit in self.driver else None
            if bit == q[0] or bit in seen:
                continue
            seen.add(bit)
            if cell is None or cell.kind not in ("mux", "pmux") or not self._keeps(cell, bit, q[0], 0):
                loaded.append(bit)
                continue
            selects += cell.ports["S"]
            at, size = cell.ports["Y"].index(bit), len(cell.ports["Y"])
            waiting.append(cell.ports["A"][at])
            waiting += [cell.ports["B"][at + i * size] for i in range(len(cell.ports["S"]))]
        return tuple(selects), tuple(loaded)

    def _keeps(self, cell: Cell, bit: int, q: int, depth: int) -> bool:
        """Whether a multiplexer, or one before it, can pass a register's own value."""
        at, size = cell.ports["Y"].index(bit), len(cell.ports["Y"])
        inputs = [cell.ports["A"][at], *(cell.ports["B"][at + i * size] for i in range(len(cell.ports["S"])))]
        if q in inputs:
            return True
        if depth == 8:  # chains of enables and resets are shorter
            return False
        before = [(b, self.netlist.cells[self.driver[b]]) for b in inputs if b in self.driver]
        return any(c.kind in ("mux", "pmux") and self._keeps(c, b, q, depth + 1) for b, c in before)


def _constant(cell: Cell) -> bool:
    """Whether a comparison is with a constant."""
    return all(bit < 2 for bit in cell.ports["B"]) or all(bit < 2 for bit in cell.ports["A"])


def order(netlist: Netlist) -> list[int]:
    """Numbers of the cells so that each comes behind those that drive it; a memory's data come behind its address.

    Raises
    ------
    ValueError
        If there is a loop without a register.
    """
    driver: dict[int, int] = {}
    for number, cell in enumerate(netlist.cells):
        for bit in cell.ports["Y"]:
            driver[bit] = number
    address = {bit: a for m in netlist.memories for a, data in m.reads for bit in data}

    def before(number: int) -> list[int]:
        found: dict[int, None] = {}
        for port, bits in netlist.cells[number].ports.items():
            if port != "Y":
                for bit in bits:
                    for one in address.get(bit, (bit,)):
                        if one in driver:
                            found[driver[one]] = None
        return list(found)

    done: list[int] = []
    state = bytearray(len(netlist.cells))
    for start in range(len(netlist.cells)):
        stack = [(start, iter(before(start)))] if not state[start] else []
        if stack:
            state[start] = 1
        while stack:
            number, rest = stack[-1]
            for one in rest:
                if state[one] == 1:
                    raise ValueError("the netlist has a loop without a register")
                if not state[one]:
                    state[one] = 1
                    stack.append((one, iter(before(one))))
                    break
            else:
                state[number] = 2
                done.append(number)
                stack.pop()
    return done
