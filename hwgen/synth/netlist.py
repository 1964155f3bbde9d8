"""Netlists: the shell that keeps a design's ports alive on three pins, and what is moved between Yosys and nextpnr.

The design's ports go to registers, not to pins: a shift register from one pin feeds all inputs, and all outputs are
folded onto one pin. So a block of any number of ports fits any package, and no pin is in a path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwgen.errors import BadInput

__all__ = ["SHELLS", "TOP", "Port", "absorb", "ports_of", "serial_wrapper", "wrapper"]

TOP = "hwgen_pins"
"""The shell's module; the design in it is called ``design``."""

SHELLS = ("pins", "serial")
"""What lies around a design: :func:`wrapper`, :func:`serial_wrapper`."""

_RESET_BITS = 8  # cycles of reset after the device is configured: half of what so many bits count

# Cells with registers behind their outputs: the outputs, what else has to be connected, and how they are switched on.
_ABSORBING: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "MULT18X18D": (
        r"P\d+", {"CLK0": "clk", "CE0": "1", "RST0": "0"},
        {"REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0", "REG_OUTPUT_RST": "RST0", "GSR": "DISABLED"},
    ),
    "DP16KD": (
        r"DO[AB]\d+",
        {"CLKA": "clk", "CLKB": "clk", "OCEA": "1", "OCEB": "1", "RSTA": "0", "RSTB": "0"},
        {"REGMODE_A": "OUTREG", "REGMODE_B": "OUTREG"},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Port:
    """A port of the design.

    Parameters
    ----------
    name : str
        Its name.
    width : int
        Its bits.
    direction : {"input", "output"}
        Seen from the design.
    """

    name: str
    width: int
    direction: str


def wrapper(ports: Sequence[Port], design: str, clock: str = "clk") -> str:
    """A module in Verilog around a design: one pin for its clock, one for all inputs, one for all outputs.

    Inputs come from a register of which each bit adds the one before it: the tools would take a plain shift register
    and the design's input registers for one and the same. Outputs go through registers into another one, each bit
    exclusive-or the one before it, so that none of them can be optimised away and a bit costs one LUT.

    Parameters
    ----------
    ports : sequence of Port
        Ports of the design.
    design : str
        Its name.
    clock : str
        Its clock, the only one.

    Raises
    ------
    BadInput
        If the design has no such clock, or nothing comes out of it.
    """
    if Port(clock, 1, "input") not in ports:
        raise BadInput(f"{design} has no clock {clock}: name the input that is its only clock")
    strange = [port.name for port in ports if port.direction not in ("input", "output")]
    if strange:
        raise BadInput(f"{design} has {', '.join(strange)} both ways: only inputs and outputs are supported")
    inputs = [port for port in ports if port.direction == "input" and port.name != clock]
    outputs = [port for port in ports if port.direction == "output"]
    if not outputs:
        raise BadInput(f"{design} has no output: nothing of it would remain")
    n_in, n_out = max(sum(port.width for port in inputs), 1), sum(port.width for port in outputs)
    lines, links = [], [f".{clock}(clk)"]
    for group, word in ((inputs, "given"), (outputs, "result")):
        at = 0
        for port in group:
            links.append(f".{port.name}({word}[{at + port.width - 1}:{at}])")
            at += port.width
    lines += [
        f"module {TOP}(input clk, input serial_in, output reg serial_out);",
        f"  reg [{n_in - 1}:0] given;",
        f"  wire [{n_out - 1}:0] result;",
        f"  reg [{n_out - 1}:0] seen, folded;",
        f"  {design} design({', '.join(links)});",
        "  always @(posedge clk) begin",
        "    given <= given ^ {given, serial_in};",
        "    seen <= result;",
        "    folded <= seen ^ {folded, 1'b0};",
        f"    serial_out <= folded[{n_out - 1}];",
        "  end",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def serial_wrapper(ports: Sequence[Port], design: str) -> str:
    """A module in Verilog around a board's system: both lines of a serial port on two pins, and a reset at power-up.

    Parameters
    ----------
    ports : sequence of Port
        Ports of the design.
    design : str
        Its name.

    Raises
    ------
    BadInput
        If it is not a board's system.
    """
    wanted = {"clk": "clk", "rst": f"~up[{_RESET_BITS - 1}]", "uart_rx": "serial_in", "uart_tx": "serial_out"}
    if not set(wanted) <= {port.name for port in ports}:
        raise BadInput(f"{design} has no serial line: generate it with `hwgen host generate`")
    links = ", ".join(f".{name}({value})" for name, value in wanted.items())
    lines = [
        f"module {TOP}(input clk, input serial_in, output serial_out);",
        f"  reg [{_RESET_BITS - 1}:0] up = 0;",
        f"  always @(posedge clk) if (!up[{_RESET_BITS - 1}]) up <= up + 1'b1;",
        f"  {design} design({links});",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def absorb(module: dict[str, Any]) -> int:
    """Move registers behind multipliers and block RAMs into them: Yosys leaves those that ECP5's have unused.

    A cell takes the registers of its outputs if each bit that is read goes to one flip-flop and nowhere else, without
    enable, reset and start value. The cycle in which a value is where does not change: the tests have Yosys prove that
    for a design with both kinds.

    Parameters
    ----------
    module : dict
        A module of a netlist in Yosys' JSON; it is changed.

    Returns
    -------
    int
        Number of cells that took their registers.
    """
    cells: dict[str, Any] = module["cells"]
    readers: dict[Any, list[str]] = {}
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"].get(port) == "input":
                for bit in bits:
                    readers.setdefault(bit, []).append(name)
    for port in module["ports"].values():
        for bit in port["bits"]:
            readers.setdefault(bit, []).append("")
    absorbed = 0
    for cell in [cell for cell in cells.values() if cell["type"] in _ABSORBING]:
        outputs, ties, settings = _ABSORBING[cell["type"]]
        links = cell["connections"]
        found = {
            port: readers.get(bits[0], []) for port, bits in links.items() if re.fullmatch(outputs, port)
        }
        taken = {port: names[0] for port, names in found.items() if names}
        clocks = {_clock_of(cells.get(name)) for name in taken.values()}
        if len(clocks) != 1 or None in clocks or any(len(names) > 1 for names in found.values()):
            continue
        clock = clocks.pop()
        links_wanted = {port: [clock] if value == "clk" else [value] for port, value in ties.items()}
        if any(
            port in links and links[port] != bits and not port.startswith("OCE") and not _idle(cell, port)
            for port, bits in links_wanted.items()
        ):
            continue
        for port in found:
            del links[port]
        for port, name in taken.items():
            links[port] = cells.pop(name)["connections"]["Q"]
        links.update(links_wanted)
        cell["port_directions"].update(dict.fromkeys(links_wanted, "input"))
        cell["parameters"].update(settings)
        absorbed += 1
    return absorbed


def _idle(cell: Mapping[str, Any], port: str) -> bool:
    """Whether that is the clock of a memory's port that is never used: it may be connected."""
    links = cell["connections"]
    return port in ("CLKA", "CLKB") and links[port] == ["0"] and links.get(f"CE{port[-1]}") == ["0"]


def _clock_of(cell: Mapping[str, Any] | None) -> Any:
    """The clock of a plain flip-flop; None of anything else."""
    if cell is None or cell["type"] != "TRELLIS_FF":
        return None
    settings, links = cell["parameters"], cell["connections"]
    plain = settings.get("CEMUX", "1").strip() == "1" and settings.get("CLKMUX", "CLK") == "CLK"
    if not plain or settings.get("REGSET", "RESET") != "RESET" or links.get("LSR", ["0"]) != ["0"]:
        return None
    return links["CLK"][0]


def ports_of(listed: str) -> list[Port]:
    """Ports of a module, from Yosys' list of them."""
    return [
        Port(name, abs(int(left) - int(right)) + 1, direction)
        for direction, left, right, name in re.findall(
            r"^(input|output|inout) \[(-?\d+):(-?\d+)\] (\S+)$", listed, re.MULTILINE
        )
    ]
