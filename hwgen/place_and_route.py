"""Yosys and nextpnr: the clock frequency of a design on a device, what limits it, what it takes, and its bitstream.

The design is placed in a shell (:mod:`hwgen.synth.netlist`) that keeps all its ports alive on three pins.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgen import toolchain
from hwgen.boards import Board
from hwgen.errors import BadInput, HwgenError
from hwgen.files import output_folder, replacing, write_if_changed
from hwgen.synth.carries import fill_carries, free_carries
from hwgen.synth.families import family, placer_of
from hwgen.synth.fanout import copy_registers
from hwgen.synth.floorplan import place_blocks, places
from hwgen.synth.netlist import TOP, absorb, ports_of, serial_wrapper, wrapper
from hwgen.synth.route import crowd, route
from hwgen.synth.tools import Placer, Tell, run

__all__ = [
    "ECP5_85_6",
    "Bitstream",
    "Device",
    "Layout",
    "Step",
    "Use",
    "bitstream",
    "layouts",
    "prepare",
    "read_report",
]

_FORM = 9  # of the netlists; a change of `wrapper` or of what is done to netlists is a new one
_SERIAL = 24  # digits of a digest that keep cached files apart
_CELL = re.compile(
    r"_(TRELLIS_\w+|LUT[1-4]|CCU2C?|PFUMX|L6MUX21|MULT18X18D|ALU54B|DP16KD|DPR16X4C?"  # ECP5, the first ones Nexus too
    r"|SB_\w+"  # iCE40
    r"|FD1P3[A-Z]X|WIDEFN9|MULT\d+X\d+|PDPSC16K|VLO|VHI|IB|OB"  # Nexus
    r"|DFF[A-Z]*|ALU|MUX2_LUT\d|RAM16S\w+|SDPX?9?B|DPX?9?B|[IO]BUF)(_.*)?$"  # Gowin
)
_DERIVED = re.compile(r"\$(nextpnr|PACKER|glb|CCU2|widefn|ccu2)\w*.*$")
_PADS = re.compile(r"(\$TRELLIS_IO_IN|\$SB_IO_IN|_IB_I_O|_IBUF_I_O)?(_?\$glb_clk)?$")


@dataclass(frozen=True)
class Device:
    """A device with its package and speed, as the tools name it.

    Parameters
    ----------
    name : str
        For tables.
    family : str
        Of :data:`hwgen.boards.FAMILIES`.
    options : tuple of str
        Options of nextpnr that choose device, package and speed.
    synthesis : tuple of str
        Options of Yosys' command for the family.
    """

    name: str
    family: str
    options: tuple[str, ...]
    synthesis: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """Yosys' command with its options."""
        return " ".join((family(self.family).synthesis, *self.synthesis))


ECP5_85_6 = Device("LFE5U-85F-6", "ecp5", ("--85k", "--package", "CABGA756", "--speed", "6"))
"""The largest ECP5 without transceivers, of the slowest speed."""


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
        Cells by nextpnr's type, shell included.
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


@dataclass(frozen=True)
class Bitstream:
    """A design as a device loads it.

    Parameters
    ----------
    layout : Layout
        Where it lies, and how fast it is.
    path : Path
        The file, in the cache.
    tools : mapping of str to str
        Versions of what made it, by package.
    """

    layout: Layout
    path: Path
    tools: Mapping[str, str]


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
    placer = family(device.family).placer
    if placer is None:
        raise BadInput(f"no open tools place a design on {device.name}; take a device of another family")
    version = placer.versions()[placer.package]
    sources, basis = _basis(verilog, top, clock, device)
    kept: dict[int, Path] = {}
    missing: dict[int, dict[str, Any]] = {}
    options = [*device.options, *placer.always]
    for seed in seeds:
        inputs = {
            **basis,
            "options": options,
            "seed": seed,
            "aim": target_mhz,
            "nextpnr": [placer.package, version],
        }
        kept[seed] = _kept(inputs)
        if not kept[seed].is_file():
            missing[seed] = inputs
    if missing:
        netlist = _netlist(sources, top, clock, device, basis)

        def place(seed: int) -> None:
            report, _ = _route(netlist, placer, options, seed, target_mhz)
            _keep_report(kept[seed], missing[seed], report)

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # each waits for a process of its own
            list(pool.map(place, missing))
    return [read_report(json.loads(kept[seed].read_text(encoding="utf-8"))["report"], seed) for seed in seeds]


def prepare(
    verilog: Path | Sequence[Path], top: str, board: Board, *, clock: str = "clk", shell: str = "pins"
) -> None:
    """Synthesise what :func:`bitstream` places, into the cache; parameters and errors are those of it."""
    device = _device(board)
    sources, basis = _basis(verilog, top, clock, device, shell)
    _netlist(sources, top, clock, device, basis)


def bitstream(
    verilog: Path | Sequence[Path],
    top: str,
    board: Board,
    *,
    seed: int = 1,
    target_mhz: float | None = None,
    clock: str = "clk",
    shell: str = "pins",
    tell: Tell = lambda text: None,
) -> Bitstream:
    """Place and route a design on a board, and pack its bitstream.

    Netlist, report and bitstream are kept in the cache, under digests of sources, constraints, options and versions of
    the tools. A run that is stopped leaves what it finished, and nothing half-written.

    Parameters
    ----------
    verilog : Path or sequence of Path
        The sources.
    top : str
        Top module.
    board : Board
        Where to; its pins are those of the shell.
    seed : int
        What nextpnr starts with.
    target_mhz : float, optional
        What nextpnr tries to reach; the board's own if absent.
    clock : str
        The only clock of the design.
    shell : str
        Of :data:`hwgen.synth.netlist.SHELLS`.
    tell : callable
        Is told what is being done.

    Raises
    ------
    BadInput
        If a source cannot be read, a tool refuses the design, or there are no open tools for the board.
    MissingTool
        If a tool is not installed.
    """
    device = _device(board)
    placer, pins = placer_of(board), board.constraints
    if pins is None:
        raise BadInput(f"board {board.name} has no file with pins; put one into {board.folder}")
    tools = placer.versions()
    sources, basis = _basis(verilog, top, clock, device, shell)
    aim = board.target_mhz if target_mhz is None else target_mhz
    name = f"pins{pins.suffix}"
    options = [*device.options, *placer.always]
    pack = [*board.option("pack"), *placer.pack]
    if placer.pack[0] == "pack":  # a sub-command comes before its options
        pack = [placer.pack[0], *board.option("pack"), *placer.pack[1:]]
    text = pins.read_bytes()
    inputs = {
        **basis, "options": options, "seed": seed, "aim": aim, "pack": pack, "pins": _digest(text), "tools": tools,
    }  # fmt: skip
    report, packed = _kept(inputs), _kept(inputs, f"bitstream{placer.suffix}")
    if not (report.is_file() and packed.is_file()):
        tell("synthesising")
        netlist = _netlist(sources, top, clock, device, basis)
        tell("placing")
        routed = placer.routed[-1]
        found, files = _route(netlist, placer, options, seed, aim, {name: text}, (routed,), tell)
        tell("packing the bitstream")
        made = f"bitstream{placer.suffix}"
        bits = run(placer.packer, pack, files, [made])[made]
        with replacing(packed) as partial:
            partial.write_bytes(bits)
        _keep_report(report, inputs, found)
    layout = read_report(json.loads(report.read_text(encoding="utf-8"))["report"], seed)
    return Bitstream(layout, packed, {"pyosys": toolchain.yosys_version(), **tools})


def _device(board: Board) -> Device:
    return Device(board.device, board.family, board.option("place"), board.option("synthesis"))


def _basis(
    verilog: Path | Sequence[Path], top: str, clock: str, device: Device, shell: str = "pins"
) -> tuple[list[bytes], dict[str, Any]]:
    """The sources, and all that a netlist depends on."""
    paths = [verilog] if isinstance(verilog, Path) else list(verilog)
    if not all(re.fullmatch(r"[A-Za-z_]\w*", name) for name in (top, clock)):
        raise BadInput(f"top and clock must be plain names, not {top!r} and {clock!r}")
    try:
        sources = [path.read_bytes() for path in paths]
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be read ({error.strerror}): give a Verilog file") from error
    return sources, {
        "sources": [_digest(source) for source in sources], "top": top, "clock": clock,
        "form": _FORM, "shell": shell, "device": device.options[:1],
        "synthesis": device.command, "yosys": toolchain.yosys_version(),
    }  # fmt: skip


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _kept(inputs: Mapping[str, Any], kind: str = "report.json") -> Path:
    """The cached file for such inputs; its folder is there."""
    digest = _digest(json.dumps(inputs, sort_keys=True).encode())[:_SERIAL]
    return output_folder(toolchain.cache_dir() / "place_and_route") / f"{digest}.{kind}"


def _keep_report(path: Path, inputs: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    slim = {name: report[name] for name in ("fmax", "critical_paths", "utilization")}
    write_if_changed(path, json.dumps({"inputs": inputs, "report": slim}, indent=1, sort_keys=True) + "\n")


def _netlist(
    sources: Sequence[bytes], top: str, clock: str, device: Device, basis: Mapping[str, Any]
) -> Path:
    """The design in its shell as cells of the device, from the cache if it is there."""
    kept = _kept(basis, "netlist.json")
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
        ports = ports_of(listed.read_text(encoding="utf-8"))
        text = serial_wrapper(ports, top) if basis["shell"] == "serial" else wrapper(ports, top, clock)
        around.write_text(text, encoding="utf-8")
        synthesis = f"{device.command} -top {TOP} -json {answer}"
        toolchain.yosys("\n".join([*read, f"read_verilog {around}", synthesis, ""]))
        made = json.loads(answer.read_text(encoding="utf-8"))
        absorb(made["modules"][TOP])
        fill_carries(made["modules"][TOP])
        free_carries(made["modules"][TOP])
        if place_blocks(made["modules"][TOP], device.options):
            copy_registers(made["modules"][TOP], places(made["modules"][TOP]))
            crowd(made["modules"][TOP])
        write_if_changed(kept, json.dumps(made) + "\n")
    return kept


def _route(
    netlist: Path,
    placer: Placer,
    options: Sequence[str],
    seed: int,
    aim: float,
    files: Mapping[str, bytes] | None = None,
    wanted: Sequence[str] = (),
    tell: Tell = lambda text: None,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Run nextpnr; gives its report, which can be read, and the files that are wanted."""
    command = [*options, "--seed", str(seed)]
    made = route(netlist.read_bytes(), placer, command, aim, files or {}, wanted, tell)
    report: dict[str, Any] = json.loads(made.pop("report.json"))
    read_report(report, seed)  # what cannot be read is not kept
    return report, made


def _clock(name: str) -> str:
    """The clock's name: in the report it is that of the global network behind its pin."""
    return _PADS.sub("", name.removeprefix("$glbnet$").removeprefix("design."))


def _step(step: Mapping[str, Any]) -> Step:
    name = step["net"] if step["type"] == "routing" else step["to"]["cell"]
    return Step(step["type"], float(step["delay"]), _plain(name))


def _plain(name: str) -> str:
    """A name as the design has it: without what Yosys and nextpnr put behind it for cells that they made."""
    plain = _CELL.sub("", _DERIVED.sub("", name))
    return plain.removeprefix("design.") or name
