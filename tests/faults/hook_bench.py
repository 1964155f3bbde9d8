"""What tests of hooks share: hooked Verilog in a small harness, and a model of faults that knows nothing of hooks."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen import toolchain
from hwgen.faults.classes import order
from hwgen.faults.hooks import HookMap
from hwgen.faults.netlist import Cell, Netlist
from hwgen.verilated import build_model

Lanes = npt.NDArray[np.bool_]
"""A bit in all runs."""

HARNESS = r"""
#include "Vtop.h"
#include "verilated.h"
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <type_traits>
#include <vector>
using Words = std::vector<uint32_t>;
template <class T> void put(T& port, const Words& words, size_t& at) {
  if constexpr (std::is_integral_v<T>) {
    uint64_t value = words[at++];
    if (sizeof(T) == 8) value |= uint64_t(words[at++]) << 32;
    port = T(value);
  } else {
    for (size_t i = 0; i < sizeof(T) / 4; ++i) port[i] = words[at++];
  }
}
template <class T> void get(const T& port, Words& words) {
  if constexpr (std::is_integral_v<T>) {
    words.push_back(uint32_t(port));
    if (sizeof(T) == 8) words.push_back(uint32_t(uint64_t(port) >> 32));
  } else {
    for (size_t i = 0; i < sizeof(T) / 4; ++i) words.push_back(port[i]);
  }
}
int main(int, char** argv) {
  std::ifstream in(argv[1], std::ios::binary);
  uint32_t head[3];
  in.read(reinterpret_cast<char*>(head), sizeof head);
  Words words(size_t(head[0]) * head[1] * head[2]), out;
  in.read(reinterpret_cast<char*>(words.data()), words.size() * 4);
  size_t at = 0;
  for (uint32_t run = 0; run < head[0]; ++run) {
    Vtop top;
    @CLOCK_LOW@
    for (uint32_t cycle = 0; cycle < head[1]; ++cycle) {
      @PUT@
      top.eval();
      @GET@
      @CLOCK_HIGH@
      top.eval();
      @CLOCK_LOW@
      top.eval();
    }
  }
  std::ofstream(argv[2], std::ios::binary).write(reinterpret_cast<char*>(out.data()), out.size() * 4);
}
"""


def _words(width: int) -> int:
    return 1 if width <= 32 else 2 if width <= 64 else -(-width // 32)


@dataclass
class Bench:
    """Verilog in a harness that sets all inputs and reads all outputs in every cycle.

    Parameters
    ----------
    sources : sequence of Path
        Verilog.
    top : str
        Top module.
    inputs, outputs : mapping of str to int
        Widths of the ports but the clock ``clk``.
    """

    sources: Sequence[Path]
    top: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    executable: Path = field(init=False)

    def __post_init__(self) -> None:
        text = HARNESS
        for name, lines in (
            ("PUT", [f"put(top.{n}, words, at);" for n in self.inputs]),
            ("GET", [f"get(top.{n}, out);" for n in self.outputs]),
            ("CLOCK_LOW", ["top.clk = 0;"]),
            ("CLOCK_HIGH", ["top.clk = 1;"]),
        ):
            text = text.replace(f"@{name}@", "\n      ".join(lines))
        self.executable = build_model(
            verilog=list(self.sources),
            top=self.top,
            harness=text,
            waivers=[toolchain.waivers()],
            flags=["-O1"],
        )

    def run(self, given: Mapping[str, npt.NDArray[Any]], folder: Path) -> dict[str, npt.NDArray[np.object_]]:
        """Values of all outputs, shape (runs, cycles); inputs that are not given are zero."""
        shape = np.broadcast_shapes(*(np.shape(v) for v in given.values()))
        columns = []
        for name, width in self.inputs.items():
            values = np.broadcast_to(np.asarray(given.get(name, 0), object), shape)
            columns += [(values >> 32 * i) & 0xFFFFFFFF for i in range(_words(width))]
        data = np.stack(columns, axis=-1).astype(np.uint32)
        into, out = folder / "in", folder / "out"
        into.write_bytes(struct.pack("<3I", *data.shape) + data.tobytes())
        subprocess.run([self.executable, into, out], check=True)
        raw = np.frombuffer(out.read_bytes(), "<u4").reshape(*shape, -1).astype(object)
        found, at = {}, 0
        for name, width in self.outputs.items():
            count = _words(width)
            found[name] = sum((raw[..., at + i] << 32 * i for i in range(1, count)), raw[..., at])
            at += count
        return found


@dataclass(frozen=True)
class Fault:
    """What the ports of the hooks are told in a run, and in which cycles the strobe is set."""

    word: int
    row: int
    clear: int
    flip: int
    cycles: tuple[int, ...]
    column: bool = False


def ports(faults: Sequence[Fault], cycles: int) -> dict[str, npt.NDArray[Any]]:
    """The ports of the hooks, for runs with a fault each."""
    strobe = np.zeros((len(faults), cycles), np.int64)
    for run, fault in enumerate(faults):
        strobe[run, list(fault.cycles)] = 1
    given = {
        f"fault_{name}": np.array([[int(getattr(f, name))] for f in faults], object)
        for name in ("word", "row", "clear", "flip", "column")
    }
    return {**given, "fault_strobe": strobe, "fault_select": np.ones((len(faults), 1), np.int64)}


class Model:
    """The netlist without hooks, evaluated bit by bit, with faults as the contract has them; a lane is a run."""

    def __init__(self, netlist: Netlist, where: HookMap, faults: Sequence[Fault]):
        self.netlist, self.where, self.faults = netlist, where, faults
        self.lanes = len(faults)
        self.bits: dict[int, Lanes] = {0: self._all(False), 1: self._all(True)}
        self.order = [netlist.cells[i] for i in order(netlist)]
        # A memory's data are read when something needs them first.
        self.source = {bit: (m, a) for m in range(len(netlist.memories)) for a, (_, data) in
                       enumerate(netlist.memories[m].reads) for bit in data}  # fmt: skip
        for r in netlist.registers:
            for i, bit in enumerate(r.q):
                self.bits[bit] = self._all(bool(r.init >> i & 1))
        self.content = []
        for memory in netlist.memories:
            rows = np.zeros((self.lanes, memory.depth, memory.width), np.bool_)
            for row, value in enumerate(memory.init):
                rows[:, row] = [bool(value >> i & 1) for i in range(memory.width)]
            self.content.append(rows)
        self.targets = self._targets()

    def _all(self, value: bool) -> Lanes:
        return np.full(self.lanes, value)

    def _targets(self) -> list[list[tuple[int, int, bool, bool]]]:
        """For each run the bits that are meant: element, bit of it, whether it is cleared, whether flipped."""
        by_word: dict[int, list[tuple[int, int, int]]] = {}
        for element in self.where.table:
            for i in range(element.width):
                at = self.where.first[element.number] + i
                by_word.setdefault(int(self.where.word[at]), []).append(
                    (element.number, i, int(self.where.bit[at]))
                )
        return [
            [(e, i, bool(f.clear >> b & 1), bool(f.flip >> b & 1)) for e, i, b in by_word.get(f.word, ())]
            for f in self.faults
        ]

    def run(self, given: Mapping[str, npt.NDArray[Any]], cycles: int) -> dict[str, npt.NDArray[np.object_]]:
        """Values of all outputs, shape (runs, cycles)."""
        outputs = {p.name: p for p in self.netlist.ports if p.direction == "output"}
        found = {name: np.zeros((self.lanes, cycles), object) for name in outputs}
        for cycle in range(cycles):
            for port in self.netlist.ports:
                if port.direction == "input" and port.bits[0] != self.netlist.clock:
                    values = np.broadcast_to(
                        np.asarray(given.get(port.name, 0), object), (self.lanes, cycles)
                    )
                    for i, bit in enumerate(port.bits):
                        self.bits[bit] = np.array((values[:, cycle] >> i) & 1, np.bool_)
            self._settle(cycle)
            for name, port in outputs.items():
                found[name][:, cycle] = self._number(port.bits)
            self._edge(cycle)
        return found

    def _settle(self, cycle: int) -> None:
        known = {bit for r in self.netlist.registers for bit in r.q} | {0, 1}
        known |= {bit for p in self.netlist.ports if p.direction == "input" for bit in p.bits}
        self.stale = {b for b in self.source if b not in known}
        for cell in self.order:
            for name, bits in cell.ports.items():
                if name != "Y":
                    self._fresh(bits, cycle)
            self._cell(cell)
        for bits in [p.bits for p in self.netlist.ports] + [r.d for r in self.netlist.registers]:
            self._fresh(bits, cycle)

    def _fresh(self, bits: Sequence[int], cycle: int) -> None:
        for bit in bits:
            if bit in self.stale:
                number, port = self.source[bit]
                self._read(number, port, cycle)

    def _read(self, number: int, port: int, cycle: int) -> None:
        memory = self.netlist.memories[number]
        address, data = memory.reads[port]
        self._fresh(address, cycle)
        rows = self._number(address).astype(np.int64)
        words = self.content[number][np.arange(self.lanes), np.minimum(rows, memory.depth - 1)].copy()
        words[rows >= memory.depth] = False
        element = len(self.netlist.registers) + number
        for lane, fault in enumerate(self.faults):
            if fault.column and cycle in fault.cycles:
                for e, i, clear, flip in self.targets[lane]:
                    if e == element:
                        words[lane, i] = (words[lane, i] and not clear) != flip
        for i, bit in enumerate(data):
            self.bits[bit] = words[:, i]
            self.stale.discard(bit)

    def _edge(self, cycle: int) -> None:
        following = [np.stack([self.bits.get(b, self.bits[0]) for b in r.d]) for r in self.netlist.registers]
        for number, memory in enumerate(self.netlist.memories):
            for address, data, enable in memory.writes:
                self._fresh((*address, *data, *enable), cycle)
                rows = self._number(address).astype(np.int64)
                for i in range(memory.width):
                    on = np.flatnonzero(self.bits.get(enable[i], self.bits[0]) & (rows < memory.depth))
                    self.content[number][on, rows[on], i] = self.bits.get(data[i], self.bits[0])[on]
        for lane, fault in enumerate(self.faults):
            if cycle not in fault.cycles:
                continue
            for e, i, clear, flip in self.targets[lane]:
                if e < len(following):
                    following[e][i, lane] = (following[e][i, lane] and not clear) != flip
                elif not fault.column and fault.row < self.content[e - len(following)].shape[1]:
                    rows = self.content[e - len(following)]
                    rows[lane, fault.row, i] = (rows[lane, fault.row, i] and not clear) != flip
        for r, values in zip(self.netlist.registers, following, strict=True):
            for bit, value in zip(r.q, values, strict=True):
                self.bits[bit] = value.copy()

    def _number(self, bits: Sequence[int], signed: bool = False) -> npt.NDArray[np.object_]:
        value = np.zeros(self.lanes, object)
        for i, bit in enumerate(bits):
            weight = -(1 << i) if signed and i == len(bits) - 1 else 1 << i
            value = value + self.bits.get(bit, self.bits[0]).astype(object) * weight
        return value

    def _cell(self, cell: Cell) -> None:
        p, y = cell.ports, cell.ports["Y"]
        if cell.kind in ("mux", "pmux"):
            out = [self.bits.get(b, self.bits[0]) for b in p["A"]]
            for i, s in enumerate(p["S"]):
                chosen = p["B"][i * len(y) : (i + 1) * len(y)]
                out = [
                    np.where(self.bits[s], self.bits.get(b, self.bits[0]), o)
                    for b, o in zip(chosen, out, strict=True)
                ]
        else:
            both = cell.signed and cell.kind not in ("shl", "shr")
            a = self._number(p["A"], cell.signed and not cell.kind.startswith("reduce"))
            b = self._number(p["B"], both) if "B" in p else None
            value = _OPERATIONS[cell.kind](a, b, len(p["A"]))
            out = [np.array((value >> i) & 1, np.bool_) for i in range(len(y))]
        self.bits |= dict(zip(y, out, strict=True))


def _truth(value: Any) -> npt.NDArray[np.object_]:
    return np.array(value, np.bool_).astype(object) * 1


_OPERATIONS: dict[str, Callable[[Any, Any, int], Any]] = {
    "add": lambda a, b, n: a + b,
    "sub": lambda a, b, n: a - b,
    "mul": lambda a, b, n: a * b,
    "and": lambda a, b, n: a & b,
    "or": lambda a, b, n: a | b,
    "xor": lambda a, b, n: a ^ b,
    "not": lambda a, b, n: ~a,
    "neg": lambda a, b, n: -a,
    "pos": lambda a, b, n: a,
    "eq": lambda a, b, n: _truth(a == b),
    "ne": lambda a, b, n: _truth(a != b),
    "lt": lambda a, b, n: _truth(a < b),
    "le": lambda a, b, n: _truth(a <= b),
    "gt": lambda a, b, n: _truth(a > b),
    "ge": lambda a, b, n: _truth(a >= b),
    "shl": lambda a, b, n: a << b,
    "shr": lambda a, b, n: a >> b,
    "reduce_or": lambda a, b, n: _truth(a != 0),
    "reduce_bool": lambda a, b, n: _truth(a != 0),
    "reduce_and": lambda a, b, n: _truth(a == (1 << n) - 1),
    "logic_not": lambda a, b, n: _truth(a == 0),
    "logic_and": lambda a, b, n: _truth((a != 0) & (b != 0)),
    "logic_or": lambda a, b, n: _truth((a != 0) | (b != 0)),
}
