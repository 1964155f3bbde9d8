"""Reading and changing a module in Yosys' JSON: what hooks are built with."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwgen import toolchain
from hwgen.errors import BadInput, HwgenError
from hwgen.faults.netlist import _Names

__all__ = ["REPORTS", "Bit", "Editor", "design_json", "tidy_verilog", "words_of"]

Bit = int | str
"""A net's number in Yosys' JSON, or the character of a constant."""

REPORTS = ("fault_detected", "fault_corrected")
"""Ports of protected designs, with the names of the registers behind them: hooks have no such names."""

_KEPT = {"init", "ram_style", "rom_style", "no_rw_check", "keep"}
_UNARY = {"$not", "$reduce_or"}
_ZEROES = re.compile(
    r"^  reg \[\d+:0\] (\w+) \[(\d+):0\];\n  initial begin\n((?:    \w+\[\d+\] = \d+'[dh]0+;\n)+)  end\n",
    re.MULTILINE,
)
"""A memory of zeros, a line for each word."""


_PARTS = re.compile(r"\\(\w+_reg)\[(\d+(?::\d+)?)\] ")
"""A register that is part of a wire, as Yosys calls it."""


def words_of(number: int, width: int) -> str:
    """A parameter in Yosys' JSON."""
    return format(number, f"0{width}b")


def design_json(sources: Sequence[Path], top: str, extra: str = "") -> dict[str, Any]:
    """Modules of a design in Yosys' JSON, with registers and memories as :mod:`hwgen.faults.netlist` sees them.

    Parameters
    ----------
    sources : sequence of Path
        Verilog files. Cells of which there is no model among them stay boxes.
    top : str
        Top module.
    extra : str
        Yosys commands before the design is written.

    Raises
    ------
    BadInput
        If a file cannot be read, or Yosys refuses the design.
    """
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        copies = []
        for i, path in enumerate(sources):
            copies.append(Path(folder, f"{i}.v"))  # a Yosys script has no way to quote every possible path
            try:
                copies[-1].write_bytes(path.read_bytes())
            except OSError as error:
                raise BadInput(f"{path} cannot be read ({error.strerror}): give a Verilog file") from error
        reads = "\n".join(f"read_verilog {copy}" for copy in copies)
        out = Path(folder, "design.json")
        script = (
            f"{reads}\nhierarchy -top {top}\nproc\nopt_clean\nmemory_collect\n{extra}\nwrite_json {out}\n"
        )
        toolchain.yosys(script)
        modules: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))["modules"]
    return modules


def tidy_verilog(modules: dict[str, Any], top: str, header: str) -> str:
    """Verilog of modules in Yosys' JSON: plain names, in their order, each time the same bytes.

    Parameters
    ----------
    modules : dict
        They lose all attributes that say nothing about hardware.
    top : str
        Top module.
    header : str
        Lines for the beginning of the file.
    """
    for module in modules.values():
        _one_name_each(module)
        module["attributes"] = {}
        nets: dict[str, Any] = {}
        memories = [str(c["parameters"]["MEMID"]) for c in module["cells"].values() if c["type"] == "$mem_v2"]
        for name in memories:  # the counter of the loop that filled it with zeros; there will be a new one
            counter = name.lstrip("\\") + "_row"
            if all(isinstance(bit, str) for bit in module["netnames"].get(counter, {"bits": ()})["bits"]):
                module["netnames"].pop(counter, None)
        for i, (name, net) in enumerate(module["netnames"].items()):
            plain = re.fullmatch(r"[A-Za-z_]\w*", name)  # what Yosys made of a function's variables is not
            nets[name if plain else f"$net${i}"] = net if plain else {**net, "hide_name": 1}
        module["netnames"] = nets
        for part in (*module["cells"].values(), *module["netnames"].values()):
            part["attributes"] = {n: v for n, v in part["attributes"].items() if n in _KEPT}
        for cell in module["cells"].values():
            if cell["type"] == "$mem_v2":
                cell["attributes"].pop("init", None)
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        into, out = Path(folder, "design.json"), Path(folder, "design.v")
        into.write_text(json.dumps({"creator": "hwgen", "modules": modules}), encoding="utf-8")
        toolchain.yosys(f"read_json {into}\nhierarchy -top {top}\nopt_clean\nwrite_verilog {out}\n")
        text = out.read_text(encoding="utf-8")
    text = re.sub(r"^ *\(\* (init|top|keep_hierarchy) =.*? \*\)\n", "", text, flags=re.MULTILINE)
    text = _PARTS.sub(lambda found: f"{found[1]}_{found[2].replace(':', '_')}", text)
    text = _ZEROES.sub(_zeroes, text)
    first, *_ = text.partition("\n")
    parts = dict(re.findall(r"^(module (?:\S+?)\(.*?^endmodule\n)()", text, re.MULTILINE | re.DOTALL))
    named = {re.match(r"module (\S+?)\(", part)[1]: part for part in parts}  # type: ignore[index]
    text = "\n".join(named[name] for name in modules if name in named)
    escaped = re.search(r"\\\S+", text)
    if escaped:
        raise HwgenError(
            f"the hooked Verilog of {top} has the name {escaped[0]!r}, which is no plain identifier"
        )
    return f"{header}{first}\n\n{text}"


def _one_name_each(module: dict[str, Any]) -> None:
    """Registers have the name of the register alone; whatever else shows their bits is assigned.

    In JSON a bit does not say whose it is. Yosys could take a port that shows several registers for the register, and
    then assign parts of it to each other: a loop to those who do not look at single bits.
    """
    names = _Names(module)
    owner: dict[Bit, tuple[str, int]] = {}
    for cell in module["cells"].values():
        if cell["type"] in ("$dff", "$dffe", "$sdff", "$sdffe", "$sdffce"):
            for label, low, first, count in names.runs(cell["connections"]["Q"]):
                owner |= {cell["connections"]["Q"][first + i]: (label, low + i) for i in range(count)}
    # The gates of gate_hooks.py: as parts of a vector they would look like loops too.
    gates = {n: net["bits"] for n, net in module["netnames"].items() if re.fullmatch(r"fault_gate_\d+", n)}
    owner |= {bits[0]: (name, 0) for name, bits in gates.items()}
    bits = [b for net in module["netnames"].values() for b in net["bits"] if isinstance(b, int)]
    bits += [
        b
        for c in module["cells"].values()
        for s in c["connections"].values()
        for b in s
        if isinstance(b, int)
    ]
    fresh = max(bits, default=1) + 1
    for name, net in list(module["netnames"].items()):
        if net["hide_name"] or all(
            owner.get(bit, (name, i)) == (name, i) for i, bit in enumerate(net["bits"])
        ):
            continue
        old, width = net["bits"], len(net["bits"])
        net["bits"] = list(range(fresh, fresh + width))
        net["attributes"].pop("init", None)
        if name in module["ports"]:
            module["ports"][name]["bits"] = net["bits"]
        fresh += width
        sizes = {"A_SIGNED": "0", "A_WIDTH": words_of(width, 32), "Y_WIDTH": words_of(width, 32)}
        module["cells"][f"$shown${name}"] = {
            "hide_name": 1, "type": "$pos", "parameters": sizes, "attributes": {},
            "port_directions": {"A": "input", "Y": "output"}, "connections": {"A": old, "Y": net["bits"]},
        }  # fmt: skip


def _zeroes(found: re.Match[str]) -> str:
    name, last, lines = found[1], int(found[2]), found[3].count("\n")
    if lines != last + 1:
        return found[0]
    first, *_ = found[0].partition("\n")
    loop = f"for ({name}_row = 0; {name}_row <= {last}; {name}_row = {name}_row + 1) {name}[{name}_row] = 0;"
    return f"{first}\n  integer {name}_row;\n  initial {loop}\n"


class Editor:
    """A module in Yosys' JSON, being changed.

    Parameters
    ----------
    kind : str
        Its name.
    module : dict
        It is changed.
    """

    def __init__(self, kind: str, module: dict[str, Any]):
        self.kind = kind
        self.module = module
        self.cells: dict[str, Any] = module["cells"]
        self.ports: dict[str, Any] = module["ports"]
        self.nets: dict[str, Any] = module["netnames"]
        taken = [n for n in (*self.nets, *self.cells) if n.startswith("fault_") and n not in REPORTS]
        if taken:
            raise BadInput(
                f"module {kind} has {taken[0]}; names that begin with fault_ are those of hooks: rename it"
            )
        numbers = [bit for net in self.nets.values() for bit in net["bits"] if isinstance(bit, int)]
        for cell in self.cells.values():
            for bits in cell["connections"].values():
                numbers += [bit for bit in bits if isinstance(bit, int)]
        self._next = max(numbers, default=1) + 1
        self._made = 0
        self._known: dict[tuple[Any, ...], list[Bit]] = {}
        self._index()

    def _index(self) -> None:
        """Who drives a bit, and how often it is read."""
        self.driver: dict[Bit, tuple[str, str, int]] = {}
        self.readers: dict[Bit, list[str]] = {}
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                # Of a vendor's cell without a model nothing is known: all of its ports count as readers.
                out = cell.get("port_directions", {}).get(port) == "output"
                for i, bit in enumerate(bits):
                    if out:
                        self.driver[bit] = (name, port, i)
                    else:
                        self.readers.setdefault(bit, []).append(name)
        for name, port in self.ports.items():
            if port["direction"] == "output":
                for bit in port["bits"]:
                    self.readers.setdefault(bit, []).append(f"port {name}")

    # Nets and ports.

    def net(self, width: int, name: str = "", init: int | None = None) -> list[Bit]:
        """New bits; with a name, they are called so in the Verilog."""
        bits: list[Bit] = list(range(self._next, self._next + width))
        self._next += width
        attributes = {} if init is None else {"init": words_of(init, width)}
        shown = name or f"$fault${bits[0] if bits else 0}"
        self.nets[shown] = {"hide_name": int(not name), "bits": bits, "attributes": attributes}
        return bits

    def call(self, name: str, bits: Sequence[Bit]) -> list[Bit]:
        """Call bits by a name."""
        self.nets[name] = {"hide_name": 0, "bits": list(bits), "attributes": {}}
        return list(bits)

    def port(self, name: str, direction: str, width: int) -> list[Bit]:
        """A new port."""
        bits = self.net(width, name)
        self.ports[name] = {"direction": direction, "bits": bits}
        return bits

    # Cells.

    def cell(
        self, kind: str, ins: dict[str, Sequence[Bit]], outs: dict[str, Sequence[Bit]], **parameters: str
    ) -> str:
        """A new cell; gives its name."""
        name = f"$fault${self._made}"
        self._made += 1
        self.cells[name] = {
            "hide_name": 1, "type": kind, "parameters": parameters, "attributes": {},
            "port_directions": {**dict.fromkeys(ins, "input"), **dict.fromkeys(outs, "output")},
            "connections": {n: list(bits) for n, bits in (*ins.items(), *outs.items())},
        }  # fmt: skip
        return name

    def _operation(self, kind: str, a: Sequence[Bit], b: Sequence[Bit] | None, width: int) -> list[Bit]:
        key = kind, tuple(a), None if b is None else tuple(b)
        if key in self._known:
            return self._known[key]
        y = self._known[key] = self.net(width)
        ins = {"A": a} if b is None else {"A": a, "B": b}
        numbers = {"A_WIDTH": len(a), "Y_WIDTH": width, "A_SIGNED": 0}
        if b is not None:
            numbers |= {"B_WIDTH": len(b), "B_SIGNED": 0}
        self.cell(kind, ins, {"Y": y}, **{n: words_of(v, 32) for n, v in numbers.items()})
        return y

    def both(self, a: Sequence[Bit], b: Sequence[Bit]) -> list[Bit]:
        """Bitwise and; what is constant needs no cell."""
        if all(bit == "1" for bit in a):
            return list(b)
        if all(bit == "1" for bit in b):
            return list(a)
        if all(bit == "0" for bit in a) or all(bit == "0" for bit in b):
            return ["0"] * len(a)
        return self._operation("$and", a, b, len(a))

    def either(self, a: Sequence[Bit], b: Sequence[Bit]) -> list[Bit]:
        """Bitwise or."""
        if all(bit == "0" for bit in a):
            return list(b)
        if all(bit == "0" for bit in b):
            return list(a)
        if all(bit == "1" for bit in a) or all(bit == "1" for bit in b):
            return ["1"] * len(a)
        return self._operation("$or", a, b, len(a))

    def other(self, a: Sequence[Bit], b: Sequence[Bit]) -> list[Bit]:
        """Bitwise exclusive or."""
        return self._operation("$xor", a, b, len(a))

    def inverse(self, a: Sequence[Bit]) -> list[Bit]:
        """Bitwise not."""
        if all(isinstance(bit, str) for bit in a):
            return ["0" if bit == "1" else "1" for bit in a]
        return self._operation("$not", a, None, len(a))

    def any(self, a: Sequence[Bit]) -> Bit:
        """Whether a bit is set."""
        bits = list(dict.fromkeys(bit for bit in a if bit != "0"))
        if "1" in bits:
            return "1"
        if len(bits) < 2:
            return bits[0] if bits else "0"
        return self._operation("$reduce_or", bits, None, 1)[0]

    def all(self, *bits: Bit) -> Bit:
        """Whether all are set."""
        found: Bit = "1"
        for bit in bits:
            found = self.both([found], [bit])[0]
        return found

    def equal(self, a: Sequence[Bit], b: Sequence[Bit]) -> Bit:
        """Whether two words are the same."""
        return self._operation("$eq", a, b, 1)[0] if a else "1"

    def is_number(self, a: Sequence[Bit], number: int) -> Bit:
        """Whether a word has a value, in words that Verilator accepts: no comparison with one bit, or with zero."""
        if not a:
            return "1"
        if not number:
            return self.inverse([self.any(a)])[0]
        if len(a) == 1:
            return a[0]
        return self.equal(a, [str(number >> i & 1) for i in range(len(a))])

    def choose(self, select: Bit, no: Sequence[Bit], yes: Sequence[Bit]) -> list[Bit]:
        """Multiplexer."""
        if select in ("0", "1") or list(no) == list(yes):
            return list(yes if select == "1" else no)
        key = "$mux", select, tuple(no), tuple(yes)
        if key in self._known:
            return self._known[key]
        y = self._known[key] = self.net(len(no))
        self.cell("$mux", {"A": no, "B": yes, "S": [select]}, {"Y": y}, WIDTH=words_of(len(no), 32))
        return y

    def join(self, bits: Sequence[Bit], value: Sequence[Bit]) -> None:
        """Drive bits that are there with a value."""
        numbers = {"A_SIGNED": 0, "A_WIDTH": len(bits), "Y_WIDTH": len(bits)}
        self.cell("$pos", {"A": value}, {"Y": bits}, **{n: words_of(v, 32) for n, v in numbers.items()})

    def register(self, clock: Bit, d: Sequence[Bit], q: Sequence[Bit], **control: Any) -> str:
        """A register.

        Parameters
        ----------
        clock : Bit
            Its clock.
        d, q : sequence of Bit
            Next value, and value.
        control : Bit, or sequence of Bit
            ``enable``; ``reset`` and ``value``; ``first`` is ``enable`` if a reset needs it.
        """
        kind, ins, parameters = "$dff", {"CLK": [clock], "D": d}, {"CLK_POLARITY": "1"}
        if control.get("reset", "0") != "0":
            kind = "$sdff"
            ins["SRST"] = [control["reset"]]
            value = "".join("1" if bit == "1" else "0" for bit in reversed(control["value"]))
            parameters |= {"SRST_POLARITY": "1", "SRST_VALUE": value}
        if control.get("enable", "1") != "1":
            kind = "$dffe" if kind == "$dff" else "$sdffce" if control.get("first") == "enable" else "$sdffe"
            ins["EN"] = [control["enable"]]
            parameters["EN_POLARITY"] = "1"
        return self.cell(kind, ins, {"Q": q}, WIDTH=words_of(len(q), 32), **parameters)

    # What is there.

    def clock(self) -> Bit | None:
        """The clock of the module, if it has any."""
        for cell in self.cells.values():
            for port in ("CLK", "WR_CLK"):
                if cell["type"] in ("$dff", "$mem_v2") and cell["connections"].get(port, ["x"])[:1] not in (
                    [],
                    ["x"],
                ):
                    found: Bit = cell["connections"][port][0]
                    return found
        given: Any = self.ports.get("clk")
        return given["bits"][0] if given and given["direction"] == "input" else None

    def selected(self, bits: Sequence[Bit]) -> tuple[Bit, list[Bit], list[Bit]] | None:
        """Select and inputs of the multiplexers behind some bits, if all have one select."""
        select: Bit | None = None
        no: list[Bit] = []
        yes: list[Bit] = []
        for bit in bits:
            name, _, at = self.driver.get(bit, ("", "", 0))
            cell = self.cells.get(name)
            if cell is None or cell["type"] != "$mux":
                return None
            links = cell["connections"]
            if select not in (None, links["S"][0]):
                return None
            select = links["S"][0]
            no.append(links["A"][at])
            yes.append(links["B"][at])
        return None if select is None else (select, no, yes)
