"""Boards: the folders of `boards/`, each a file in TOML that says what the device has, and what was built for it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgen.errors import BadInput

__all__ = ["FAMILIES", "FOLDER", "KINDS", "STATUSES", "Board", "board", "boards", "load"]

FOLDER = Path(__file__).parents[1] / "boards"
"""Where the boards are; absent if hwgen was installed without its repository."""

FAMILIES = ("ecp5", "ice40", "nexus", "gowin", "xilinx7", "ultrascale+")
"""Families of devices that designs can be synthesised for."""

STATUSES = ("placed and routed", "synthesized", "project only")
"""What was done for a board with the tools at hand: a bitstream from open tools; cells counted by Yosys, and a project
for tools that have to be bought or licensed; the project alone."""

KINDS = ("LUT", "FF", "CARRY", "DSP", "BRAM", "LUTRAM", "SPRAM", "LRAM")
"""Resources: four- or six-input LUTs, flip-flops, cells of carry chains, multipliers, block RAMs, LUTs that are memory
(a part of the LUTs), single-port RAMs of an iCE40 UltraPlus, large RAMs of a Nexus."""

_REQUIRED = ("LUT", "FF", "DSP", "BRAM")
_KEYS = {
    "summary": str, "status": str, "family": str, "device": str, "package": str, "speed": str, "sources": list,
    "clock": dict, "pins": dict, "resources": dict, "options": dict, "notes": list,
}  # fmt: skip
_OPTIONAL = ("pins", "options", "notes")
_STEPS = ("synthesis", "place", "pack", "part", "files")


@dataclass(frozen=True)
class Board:
    """A board: its device, and how designs get onto it.

    Parameters
    ----------
    name : str
        The folder's.
    summary : str
        One line.
    status : str
        Of :data:`STATUSES`.
    family : str
        Of :data:`FAMILIES`.
    device, package, speed : str
        What is on the board, as its maker calls it.
    clock_mhz : float
        Of the oscillator that drives the design.
    target_mhz : float
        What place and route aims at unless told otherwise.
    pins : mapping of str to str
        Sites of the package, by port of the shell; empty if the design's ports stay inside the device.
    resources : mapping of str to int
        How much the device has, by :data:`KINDS`.
    sources : tuple of str
        Where these numbers and the pins come from.
    options : mapping of str to tuple of str
        Options of the tools, by step: ``synthesis``, ``place``, ``pack``; ``part``, the name that a vendor's tool has
        for the device, and ``files``, patterns of its files for the board.
    notes : tuple of str
        What a user has to know.
    folder : Path
        Where the files are.
    """

    name: str
    summary: str
    status: str
    family: str
    device: str
    package: str
    speed: str
    clock_mhz: float
    target_mhz: float
    pins: Mapping[str, str]
    resources: Mapping[str, int]
    sources: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]
    folder: Path

    @property
    def constraints(self) -> Path | None:
        """The file with pins for nextpnr; None if there is none."""
        found = [path for kind in ("lpf", "pcf", "pdc", "cst") for path in self.folder.glob(f"*.{kind}")]
        return found[0] if found else None

    @property
    def project(self) -> Path | None:
        """The script in Tcl that builds the project of a vendor's tool: the board's own, or that of all Zynq boards.

        None if there is none.
        """
        path = self.folder / "build.tcl"
        if path.is_file():
            return path
        return FOLDER / "vivado" / "zynq.tcl" if self.option("part") else None

    def option(self, step: str) -> tuple[str, ...]:
        """Options of a step; empty if the board has none."""
        return self.options.get(step, ())


def boards() -> dict[str, Board]:
    """All boards, by name.

    Raises
    ------
    BadInput
        If one of the files is wrong.
    """
    return {path.parent.name: load(path) for path in sorted(FOLDER.glob("*/board.toml"))}


def board(name: str) -> Board:
    """One board: a name of :func:`boards`, or a folder that has a ``board.toml``.

    Raises
    ------
    BadInput
        If there is no such board, or its file is wrong.
    """
    if name.isidentifier():
        path = FOLDER / name / "board.toml"
        if path.is_file():
            return load(path)
    elif (Path(name) / "board.toml").is_file():
        return load(Path(name) / "board.toml")
    names = ", ".join(sorted(path.parent.name for path in FOLDER.glob("*/board.toml"))) or "none"
    raise BadInput(f"there is no board {name!r}; there are {names}, and folders with a board.toml")


def load(path: Path) -> Board:
    """The board of a file.

    Raises
    ------
    BadInput
        If the file cannot be read, is no TOML, or says something else than a board.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); name a board") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path} is not TOML: {error}") from None
    try:
        return _board(path.absolute().parent, found)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def _board(folder: Path, found: Mapping[str, Any]) -> Board:
    for key in found:
        if key not in _KEYS:
            raise BadInput(f"there is no key {key!r}; a board has {', '.join(_KEYS)}")
    for key, wanted in _KEYS.items():
        if key not in found and key not in _OPTIONAL:
            raise BadInput(f"the key {key!r} is missing; a board has {', '.join(_KEYS)}")
        if key in found and not isinstance(found[key], wanted):
            raise BadInput(f"{key} must be a {wanted.__name__}, not {found[key]!r}")
    for key, choices in (("status", STATUSES), ("family", FAMILIES)):
        if found[key] not in choices:
            raise BadInput(f"{key} must be one of {', '.join(choices)}, not {found[key]!r}")
    resources = found["resources"]
    for kind, number in resources.items():
        if kind not in KINDS:
            raise BadInput(f"there is no resource {kind!r}; there are {', '.join(KINDS)}")
        if type(number) is not int or number < 0:
            raise BadInput(f"{kind} must be a number of cells, not {number!r}")
    for kind in _REQUIRED:
        if kind not in resources:
            raise BadInput(f"the resource {kind} is missing; a device has {', '.join(_REQUIRED)} at least")
    clock = found["clock"]
    if set(clock) != {"mhz", "target_mhz"} or not all(
        type(value) in (int, float) and value > 0 for value in clock.values()
    ):
        raise BadInput(f"clock must have mhz and target_mhz, both above 0, not {clock!r}")
    pins, options = found.get("pins", {}), found.get("options", {})
    if not all(isinstance(site, str) for site in pins.values()):
        raise BadInput(f"pins must be sites by port, not {pins!r}")
    for step, words in options.items():
        if step not in _STEPS:
            raise BadInput(f"there is no step {step!r} with options; there are {', '.join(_STEPS)}")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise BadInput(f"options of {step} must be a list of words, not {words!r}")
    words = [*found["sources"], *found.get("notes", [])]
    if not found["sources"] or not all(isinstance(word, str) for word in words):
        raise BadInput("sources and notes must be lists of sentences, and there must be a source")
    return Board(
        name=folder.name,
        **{key: found[key] for key in ("summary", "status", "family", "device", "package", "speed")},
        clock_mhz=float(clock["mhz"]),
        target_mhz=float(clock["target_mhz"]),
        pins=pins,
        resources=resources,
        sources=tuple(found["sources"]),
        options={step: tuple(words) for step, words in options.items()},
        notes=tuple(found.get("notes", [])),
        folder=folder,
    )
