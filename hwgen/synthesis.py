"""Yosys synthesis: what a design costs, as cell counts; those of AMD (Xilinx) devices by kind."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgen import toolchain
from hwgen.errors import BadInput, HwgenError
from hwgen.files import output_folder, write_if_changed

__all__ = ["Cells", "ModuleCells", "cells", "synthesise", "synthesise_modules", "yosys_stat"]

# LUTs that a distributed-RAM cell occupies (UG974, UG953): one per 64 x 1 (or 32 x 2) port.
_RAM_LUTS = {
    "RAM16X1S": 1, "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM512X1S": 8,
    "RAM16X1D": 2, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8,
    "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM32X16DR8": 8, "RAM64X8SW": 8,
}  # fmt: skip

_LUT = re.compile(r"LUT[1-6]|LUT6_2|INV|SRL16E?|SRLC(16|32)E?")
_RAM = re.compile(r"RAM\d+(X\d+(S|D|DR8|SW)|M\d*)(_1)?")

# Pseudo cells that only remember where something came from.
_NO_HARDWARE = re.compile(r"\$scopeinfo|\$print|\$check")


@dataclass(frozen=True)
class Cells:
    """Cells of a synthesised design.

    Parameters
    ----------
    counts : mapping of str to int
        Number of cells by Yosys' type name, such as ``LUT6`` or ``FDRE``.
    """

    counts: Mapping[str, int]

    @property
    def lut(self) -> int:
        """LUTs of the device that the cells occupy.

        Logic (an inverter counts as a LUT), shift registers, and distributed RAM by the LUTs that each of
        its cells takes. LUTs that a router may need to pass a signal into a carry chain are not in a netlist
        and not counted.
        """
        return self._sum(_LUT) + sum(
            _ram_luts(name) * n for name, n in self.counts.items() if _RAM.fullmatch(name)
        )

    @property
    def lut_cells(self) -> int:
        """Yosys cells that are LUTs or become one: as :attr:`lut`, but a distributed-RAM cell counts once."""
        return self._sum(_LUT) + self._sum(_RAM)

    @property
    def srl(self) -> int:
        """Shift registers in LUTs, part of :attr:`lut`."""
        return self._sum(re.compile(r"SRL.*"))

    @property
    def lutram(self) -> int:
        """LUTs used as memory, part of :attr:`lut`."""
        return sum(_ram_luts(name) * n for name, n in self.counts.items() if _RAM.fullmatch(name))

    @property
    def inverters(self) -> int:
        """``INV`` cells, part of :attr:`lut`."""
        return self.counts.get("INV", 0)

    @property
    def ff(self) -> int:
        """Flip-flops."""
        return self._sum(re.compile(r"FD[A-Z]+(_1)?"))

    @property
    def dsp(self) -> int:
        """DSP blocks."""
        return self._sum(re.compile(r"DSP48\w*"))

    @property
    def bram36(self) -> float:
        """Block RAMs of 36 Kbit; one of 18 Kbit is half of one."""
        return self._sum(re.compile(r"RAMB36\w*")) + self._sum(re.compile(r"RAMB18\w*")) / 2

    @property
    def carry(self) -> int:
        """Carry-chain cells, ``CARRY4`` or ``CARRY8``."""
        return self._sum(re.compile(r"CARRY[48]"))

    def _sum(self, pattern: re.Pattern[str]) -> int:
        return sum(n for name, n in self.counts.items() if pattern.fullmatch(name))


@dataclass(frozen=True)
class ModuleCells:
    """One module of a design that was synthesised with its hierarchy kept.

    Parameters
    ----------
    instances : int
        How often the module is in the design.
    cells : Cells
        Its own cells, those of the modules inside it excluded; for one instance.
    """

    instances: int
    cells: Cells


def synthesise(verilog: Path | Sequence[Path], top: str, family: str = "xcup") -> Cells:
    """Cells of a flattened design.

    The answer is kept in the cache, under a digest of the sources, the script and the Yosys version.

    Parameters
    ----------
    verilog : Path or sequence of Path
        The sources; models of vendor cells must not be among them.
    top : str
        Top module.
    family : str
        Family as ``synth_xilinx`` names it: ``xcup`` for UltraScale+, ``xc7`` for the 7 series.

    Raises
    ------
    BadInput
        If a source cannot be read, or Yosys refuses the design.
    """
    modules = yosys_stat(verilog, top, family, "-flatten -noiopad")["modules"]
    return _cells(modules[top])


def synthesise_modules(
    verilog: Path | Sequence[Path], top: str, family: str = "xcup"
) -> dict[str, ModuleCells]:
    """Cells of every module of a design whose hierarchy is kept; tells where the resources go.

    The sum is not that of :func:`synthesise`: nothing is optimised across the modules' borders.

    Parameters
    ----------
    verilog, top, family
        As for :func:`synthesise`.
    """
    modules = yosys_stat(verilog, top, family, "-noiopad")["modules"]
    instances: Counter[str] = Counter()

    def count(name: str) -> None:
        instances[name] += 1
        for kind, number in modules[name]["num_cells_by_type"].items():
            if kind in modules:
                for _ in range(number):
                    count(kind)

    count(top)
    return {
        name: ModuleCells(number, _cells(modules[name], without=modules))
        for name, number in instances.items()
    }


def cells(verilog: Path | Sequence[Path], top: str, command: str) -> dict[str, int]:
    """Cells of a flattened design for any family of devices, by Yosys' type.

    Parameters
    ----------
    verilog, top
        As for :func:`synthesise`.
    command : str
        Yosys' command for the family with its options, which have to flatten the design.
    """
    return dict(_cells(_statistics(verilog, top, command)["modules"][top]).counts)


def _cells(module: Mapping[str, Any], without: Mapping[str, Any] | None = None) -> Cells:
    """The hardware cells of a module in Yosys' statistics."""
    counts = {
        name: int(n)
        for name, n in sorted(module["num_cells_by_type"].items())
        if not _NO_HARDWARE.fullmatch(name) and name not in (without or ())
    }
    strange = sorted(name for name in counts if name.startswith("$"))
    if strange:
        raise HwgenError(f"Yosys left {', '.join(strange)} in the netlist, cells of the device were expected")
    return Cells(counts)


def _ram_luts(name: str) -> int:
    """LUTs of a distributed-RAM cell."""
    try:
        return _RAM_LUTS[name.removesuffix("_1")]
    except KeyError:
        raise HwgenError(
            f"the LUTs of distributed-RAM cell {name} are not known; add it to hwgen.synthesis"
        ) from None


def yosys_stat(verilog: Path | Sequence[Path], top: str, family: str, flags: str) -> dict[str, Any]:
    """Yosys' statistics of a design that was synthesised for AMD, from the cache if they are there."""
    if not re.fullmatch(r"\w+", family):
        raise BadInput(f"top and family must be plain names, not {top!r} and {family!r}")
    return _statistics(verilog, top, f"synth_xilinx -family {family} {flags}")


def _statistics(verilog: Path | Sequence[Path], top: str, command: str) -> dict[str, Any]:
    """Yosys' statistics after a command, from the cache if they are there."""
    paths = [verilog] if isinstance(verilog, Path) else list(verilog)
    if not re.fullmatch(r"\w+", top):
        raise BadInput(f"top and family must be plain names, not {top!r}")
    command = f"{command} -top {top}"
    try:
        sources = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be read ({error.strerror}): give a Verilog file") from error
    inputs = {"sources": sources, "script": command, "yosys": toolchain.yosys_version()}
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    kept = toolchain.cache_dir() / "synthesis" / f"{digest}.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text(encoding="utf-8"))["stat"])
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        # Copies under plain names: a Yosys script has no way to quote every possible path.
        copies = [Path(folder, f"{i}.v") for i in range(len(paths))]
        for path, copy in zip(paths, copies, strict=True):
            copy.write_bytes(path.read_bytes())
        answer = Path(folder, "stat.json")
        lines = [*(f"read_verilog {copy}" for copy in copies), command, f"tee -q -o {answer} stat -json"]
        toolchain.yosys("\n".join(lines) + "\n")
        raw = json.loads(answer.read_text(encoding="utf-8"))
    modules = {
        name.removeprefix("\\"): {"num_cells_by_type": _all_cells(entry)}
        for name, entry in raw["modules"].items()
    }
    if top not in modules:
        raise BadInput(f"the sources have no module {top}; they have {', '.join(sorted(modules)) or 'none'}")
    stat = {"modules": modules}
    output_folder(kept.parent)
    write_if_changed(kept, json.dumps({"inputs": inputs, "stat": stat}, indent=2, sort_keys=True) + "\n")
    return stat


def _all_cells(entry: Mapping[str, Any]) -> dict[str, int]:
    """Cells and instances of modules: newer Yosys versions list the two apart."""
    counts: Counter[str] = Counter()
    for key in ("num_cells_by_type", "num_submodules_by_type"):
        counts.update({name.removeprefix("\\"): int(n) for name, n in entry.get(key, {}).items()})
    return dict(counts)
