"""Proof that idle hooks change nothing: each kind of module, in what was written, against the design it came from.

Both modules are cut at registers, memories and instances, so a proof is about one cycle. The relation of their states
is that registers of one name are equal and that those which only hooks have are zero. It holds at the start, which is
compared; Yosys' SAT solver shows for all inputs and all such states that it holds a cycle later, that all outputs are
the same, and that memories and instances are told the same. Instances are of kinds that are proved in the same way, so
that the whole is proved when all kinds are.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwgen import toolchain
from hwgen.errors import BadInput
from hwgen.faults.gate_hooks import GateLevel, mapped
from hwgen.faults.hook_edit import Bit, design_json
from hwgen.faults.hooks import Hooked, plainly_named
from hwgen.faults.netlist import _Names

__all__ = ["Proof", "prove_idle"]


@dataclass(frozen=True)
class Proof:
    """What was found about a kind of module.

    Parameters
    ----------
    kind : str
        Its name.
    equivalent : bool
        Whether idle hooks are proved to change nothing.
    reason : str
        If not, what differs.
    state, dropped, tracking : int
        Bits of registers that both have, that only the design has because nothing reads them, and that only the hooks
        have.
    seconds : float
        How long the solver worked on it.
    """

    kind: str
    equivalent: bool
    reason: str
    state: int
    dropped: int
    tracking: int
    seconds: float = field(compare=False)


def prove_idle(made: Hooked | GateLevel, kinds: Sequence[str] | None = None) -> list[Proof]:
    """Prove for kinds of modules that without a strobe their hooks change nothing.

    Parameters
    ----------
    made : Hooked or GateLevel
        The design. Its Verilog is read again, and so are the sources it was made from. Gates with hooks are compared
        with gates without: how Yosys makes gates of an operation is not in question.
    kinds : sequence of str, optional
        Names of the modules; all that have hooks if there are none.

    Raises
    ------
    BadInput
        If there is no such kind with hooks.
    """
    own = made.sources[0].read_text(encoding="utf-8")
    models: tuple[Path, ...] = ()
    if isinstance(made, GateLevel):
        gold = mapped(made.sources, made.top)
    else:
        gold = plainly_named(design_json(made.sources, made.top), own)
        models = () if made.vendor else made.sources[1:]
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        path = Path(folder, "hooked.v")
        path.write_text(made.verilog, encoding="utf-8")
        gate = plainly_named(design_json([path, *models], made.top), made.verilog)
    raw: dict[str, dict[str, list[tuple[str, int]]]] = {}
    if isinstance(made, Hooked):
        raw = {kind: layout.raw for kind, layout in made.layouts.items() if not layout.empty}
    else:
        raw = {kind: {} for kind in made.kinds}
    wrong = [kind for kind in kinds or () if kind not in raw]
    if wrong:
        raise BadInput(f"there are no hooks in {wrong[0]}; they are in {', '.join(raw)}")
    return [_prove(kind, gold, gate, raw[kind], isinstance(made, GateLevel)) for kind in kinds or raw]


class _Differs(Exception):
    """The modules differ in a way that needs no solver."""


def _prove(
    kind: str,
    gold: dict[str, Any],
    gate: dict[str, Any],
    raw: dict[str, list[tuple[str, int]]],
    gates: bool,
) -> Proof:
    """Prove one kind."""
    one, two = _Cut(gold, kind), _Cut(gate, kind)
    try:
        counts = _relate(one, two, raw)
        one.finish()
        two.finish()
    except _Differs as difference:
        return Proof(kind, False, str(difference), 0, 0, 0, 0.0)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        into = Path(folder, "pair.json")
        into.write_text(json.dumps({"creator": "hwgen", "modules": {"gold": one.module, "gate": two.module}}))
        script = [
            f"read_json {into}", "miter -equiv -flatten -make_outputs gold gate pair", "hierarchy -top pair",
            # What is the same in both becomes one; only what hooks did is left for the solver.
            *(["simplemap"] if gates else []), *["opt_expr -fine", "opt_merge"] * 3, "opt_clean",
            "sat -prove trigger 0 -show-ports pair",
        ]  # fmt: skip
        said = toolchain.yosys("\n".join(script) + "\n")
    seconds = time.perf_counter() - began
    if "SAT proof finished - no model found: SUCCESS!" in said:
        return Proof(kind, True, "", *counts, seconds)
    found = re.findall(r"^\s*\\?(?:gold|gate)_(\S+)\s", said, re.MULTILINE)
    reason = f"Yosys found inputs that tell them apart, at {_which(said, found)}"
    return Proof(kind, False, reason, *counts, seconds)


def _which(said: str, names: Sequence[str]) -> str:
    """Outputs that differ in a counterexample."""
    values = dict(re.findall(r"^\s*\\?((?:gold|gate)_\S+)\s+\S+\s+\S+\s+(\S+)", said, re.MULTILINE))
    found = [n for n in dict.fromkeys(names) if values.get(f"gold_{n}") != values.get(f"gate_{n}")]
    return ", ".join(found[:3]) or "an output"


class _Cut:
    """A module without its registers, memories and instances: their outputs are inputs, and the other way round."""

    def __init__(self, modules: dict[str, Any], kind: str):
        if kind not in modules:
            raise BadInput(f"the Verilog has no module {kind}")
        self.modules = modules
        self.source = modules[kind]
        self.module: dict[str, Any] = {"attributes": {}, "ports": {}, "cells": {}, "netnames": {}}
        self.registers: dict[Bit, tuple[Bit, Bit, int]] = {}
        self.memories: dict[str, Any] = {}
        self.instances: dict[str, Any] = {}
        self._next = 2 + max(
            (bit for _, bits in self._links() for bit in bits if isinstance(bit, int)), default=0
        )
        names = self.names = _Names(self.source)
        for name, cell in self.source["cells"].items():
            links = cell["connections"]
            if cell["type"] == "$dff":
                for i, (d, q) in enumerate(zip(links["D"], links["Q"], strict=True)):
                    self.registers[q] = d, links["CLK"][0], names.init(links["Q"][i : i + 1])
            elif cell["type"] == "$mem_v2":
                self.memories[str(cell["parameters"]["MEMID"])] = cell
            elif cell["type"].startswith("$"):
                if cell["type"] != "$scopeinfo":
                    self.module["cells"][name] = cell
            else:
                self.instances[name] = cell
        for cell in self.module["cells"].values():
            cell["connections"] = {n: self.defined(bits) for n, bits in cell["connections"].items()}

    def _links(self) -> list[tuple[str, list[Bit]]]:
        every = [(n, net["bits"]) for n, net in self.source["netnames"].items()]
        for cell in self.source["cells"].values():
            every += list(cell["connections"].items())
        return every

    @staticmethod
    def defined(bits: Sequence[Bit]) -> list[Bit]:
        """Bits, of which those that are undefined are zero: everywhere in the fault lab."""
        return [bit if isinstance(bit, int) or bit == "1" else "0" for bit in bits]

    def fresh(self, width: int) -> list[Bit]:
        """New bits."""
        self._next += width
        return list(range(self._next - width, self._next))

    def named(self, name: str, at: int) -> Bit | None:
        """The bit that a name means."""
        net = self.source["netnames"].get(name)
        bits: list[Bit] = net["bits"] if net else []
        return bits[at] if at < len(bits) else None

    def is_slice(self, q: Bit) -> bool:
        """Whether a register says which word of a memory is selected."""
        return any(re.fullmatch(r"fault_\w+_slice_\d+", n) for n, _, _, _ in self.names.runs([q]))  # type: ignore[list-item]

    def put(self, name: str, direction: str, bits: Sequence[Bit]) -> None:
        """A port of what is compared."""
        if bits:
            self.module["ports"][name] = {"direction": direction, "bits": self.defined(bits)}

    def tie(self, bits: Sequence[Bit]) -> None:
        """Make bits zero that nothing drives any more."""
        for bit in bits:
            if isinstance(bit, int):
                self.module["cells"][f"$zero${bit}"] = {
                    "hide_name": 1, "type": "$not", "attributes": {}, "port_directions": {"A": "input", "Y": "output"},
                    "parameters": {"A_SIGNED": "0", "A_WIDTH": format(1, "032b"), "Y_WIDTH": format(1, "032b")},
                    "connections": {"A": ["1"], "Y": [bit]},
                }  # fmt: skip

    def finish(self) -> None:
        """Make zero what nothing drives."""
        driven: set[Bit] = set()
        read: dict[Bit, None] = {}
        for cell in self.module["cells"].values():
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] == "output":
                    driven |= set(bits)
                else:
                    read |= dict.fromkeys(bits)
        for port in self.module["ports"].values():
            if port["direction"] == "input":
                driven |= set(port["bits"])
            else:
                read |= dict.fromkeys(port["bits"])
        self.tie([bit for bit in read if bit not in driven])

    def masked(self, bits: Sequence[Bit], enables: Sequence[Bit]) -> list[Bit]:
        """Bits where their enables are set."""
        bits, enables = self.defined(bits), self.defined(enables)
        y = self.fresh(len(bits))
        width = format(len(bits), "032b")
        self.module["cells"][f"$masked${self._next}"] = {
            "hide_name": 1, "type": "$and", "attributes": {},
            "port_directions": {"A": "input", "B": "input", "Y": "output"},
            "parameters": {"A_SIGNED": "0", "B_SIGNED": "0", "A_WIDTH": width, "B_WIDTH": width, "Y_WIDTH": width},
            "connections": {"A": bits, "B": enables, "Y": y},
        }  # fmt: skip
        return y

    def any(self, bits: Sequence[Bit]) -> Bit:
        """Whether one is set."""
        bit = self.fresh(1)[0]
        self.module["cells"][f"$any${bit}"] = {
            "hide_name": 1, "type": "$reduce_or", "attributes": {},
            "port_directions": {"A": "input", "Y": "output"},
            "parameters": {"A_SIGNED": "0", "A_WIDTH": format(len(bits), "032b"), "Y_WIDTH": format(1, "032b")},
            "connections": {"A": self.defined(bits), "Y": [bit]},
        }  # fmt: skip
        return bit


def _relate(gold: _Cut, gate: _Cut, raw: dict[str, list[tuple[str, int]]]) -> tuple[int, int, int]:
    """Give both modules the same ports; gives how many bits both have, only the design, and only the hooks."""
    _ports(gold, gate)
    places = {label: (name, i) for name, labels in raw.items() for i, label in enumerate(labels)}
    names = _Names(gold.source)
    state: list[tuple[Bit, Bit]] = []
    dropped: list[Bit] = []
    for q in gold.registers:
        label = next(((n, low) for n, low, _, _ in names.runs([q])), ("", 0))  # type: ignore[list-item]
        mine = gate.named(*places.get(label, label))
        if mine is None or mine not in gate.registers:
            dropped.append(q)
            continue
        if gold.registers[q][2] != gate.registers[mine][2]:
            raise _Differs(f"{label[0]}[{label[1]}] begins with another value")
        state.append((q, mine))
    shared = {mine for _, mine in state}
    if len(shared) != len(state):
        raise _Differs("two registers became one")
    tracking = [q for q in gate.registers if q not in shared]
    chosen = {q for q in tracking if gate.is_slice(q)}
    tracking = [q for q in tracking if q not in chosen]
    if any(gate.registers[q][2] for q in tracking):
        raise _Differs("a register of the hooks does not begin as zero")
    for cut, bits in ((gold, [q for q, _ in state]), (gate, [q for _, q in state])):
        cut.put("held", "input", bits)
        cut.put("next", "output", [cut.registers[q][0] for q in bits])
        cut.put("clocks", "output", [cut.registers[q][1] for q in bits])
    # Bits that nothing reads are gone: whatever they hold, the rest has to be the same.
    gold.put("dropped", "input", dropped)
    gate.put("dropped", "input", gate.fresh(len(dropped)))
    # Which word of a wide memory is selected may be anything.
    gate.put("chosen", "input", list(chosen))
    gold.put("chosen", "input", gold.fresh(len(chosen)))
    gate.tie(tracking)
    zero = [gate.registers[q][0] for q in tracking]
    _memories(gold, gate)
    zero += _instances(gold, gate)
    gate.put("zero", "output", zero)
    gold.put("zero", "output", ["0"] * len(zero))
    return len(state), len(dropped), len(tracking) + len(chosen)


def _ports(gold: _Cut, gate: _Cut) -> None:
    """Ports of the module: the same, and those of the hooks, of which the strobe is zero."""
    before, after = gold.source["ports"], gate.source["ports"]
    if list(before) != [name for name in after if not name.startswith("fault_")]:
        raise _Differs("the ports are not those it had")
    for name, port in after.items():
        direction, bits = port["direction"], port["bits"]
        if name in before:
            if before[name]["direction"] != direction or len(before[name]["bits"]) != len(bits):
                raise _Differs(f"port {name} is not what it was")
            gold.put(f"port_{name}", direction, before[name]["bits"])
            gate.put(f"port_{name}", direction, bits)
        elif name == "fault_strobe":
            gate.tie(bits)
        else:
            gate.put(name, direction, bits)
            gold.put(name, direction, gold.fresh(len(bits)))


def _memories(gold: _Cut, gate: _Cut) -> None:
    """What memories are told is compared, what they answer is anything."""
    if set(gold.memories) != set(gate.memories):
        raise _Differs("the memories are not those it had")
    for number, (name, cell) in enumerate(sorted(gold.memories.items())):
        both = cell, gate.memories[name]
        sizes = [
            {
                n: v
                for n, v in one["parameters"].items()
                if not n.startswith(("RD_TRANS", "RD_COLL", "WR_WIDE"))
            }
            for one in both
        ]
        if sizes[0] != sizes[1]:
            differ = [n for n in sizes[0] if sizes[0][n] != sizes[1].get(n)]
            raise _Differs(f"memory {name} has another {', '.join(differ)}")
        width, abits = (int(cell["parameters"][n], 2) for n in ("WIDTH", "ABITS"))
        for cut, one in ((gold, both[0]), (gate, both[1])):
            links = one["connections"]
            cut.put(f"memory_{number}_data", "input", links["RD_DATA"])
            cut.put(f"memory_{number}_address", "output", links["RD_ADDR"])
            cut.put(f"memory_{number}_enable", "output", links["WR_EN"])
            cut.put(f"memory_{number}_clock", "output", links["WR_CLK"] if links["WR_EN"] else [])
            for port in range(len(links["WR_EN"]) // width):
                enables = links["WR_EN"][port * width : (port + 1) * width]
                data = cut.masked(links["WR_DATA"][port * width : (port + 1) * width], enables)
                cut.put(f"memory_{number}_written_{port}", "output", data)
                where = links["WR_ADDR"][port * abits : (port + 1) * abits]
                row = cut.masked(where, [cut.any(enables)] * len(where)) if where else []
                cut.put(f"memory_{number}_row_{port}", "output", row)


def _instances(gold: _Cut, gate: _Cut) -> list[Bit]:
    """What instances are told is compared, what they answer is anything; gives the strobes that they are told."""
    if {n: c["type"] for n, c in gold.instances.items()} != {n: c["type"] for n, c in gate.instances.items()}:
        raise _Differs("the instances are not those it had")
    strobes: list[Bit] = []
    for name, cell in gold.instances.items():
        for port, inner in gold.modules[cell["type"]]["ports"].items():
            what = "output" if inner["direction"] == "input" else "input"
            for cut in (gold, gate):
                bits = cut.instances[name]["connections"].get(port, [])
                if what == "input" and any(not isinstance(bit, int) for bit in bits):
                    raise _Differs(f"output {port} of {name} goes to a constant")
                cut.put(f"instance_{name}_{port}", what, bits)
        links = gate.instances[name]["connections"]
        strobes += links.get("fault_strobe", [])
        if "fault_strobe" in gate.modules[cell["type"]]["ports"] and "fault_strobe" not in links:
            raise _Differs(f"{name} has no strobe")
    return strobes
