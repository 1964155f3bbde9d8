"""The package for a Zynq board: everything but the bitstream, which only Vivado can make."""

from __future__ import annotations

import json

from hwgen.emit import Emission
from hwgen.host.vivado import block_design, wrapper
from hwgen.host.zynq import IP, ZynqBoard, address_map
from hwgen.system.config import SystemConfig
from hwgen.verify.system_harness import emission

__all__ = ["overlay_files"]

_DRIVER = '''"""Opens the accelerator of this folder, on the board.

    from driver import open_device
    device = open_device()
    outcome, memory = device.run(image, program, address)   # as hwgen compiles them
"""

from pathlib import Path

from hwgen.host.pynq import open_overlay


def open_device(memory_bytes=1 << 26):
    """Load the bitstream beside this file, and give the hwgen.host.Device in it."""
    return open_overlay(Path(__file__).parent, memory_bytes)
'''


def overlay_files(
    config: SystemConfig, target: ZynqBoard, clock_mhz: float, made: Emission | None = None
) -> dict[str, str]:
    """All files of the package by their names.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    target : ZynqBoard
        The board.
    clock_mhz : float
        The design's clock.
    made : Emission, optional
        The accelerator's Verilog, if there is more in it than the configuration says: protection.

    Raises
    ------
    BadInput
        If the clock is out of range.
    """
    facts = address_map(config, target, clock_mhz)
    made = emission(config) if made is None else made
    sources = [f"rtl/{made.top}.v", f"rtl/{IP}.v"]
    return {
        sources[0]: made.verilog,
        sources[1]: wrapper(made, facts),
        **target.constraints,
        "design.tcl": block_design(made, facts, target, sources),
        "overlay.json": json.dumps(facts, indent=2) + "\n",
        "driver.py": _DRIVER,
        "README.md": _readme(config, target, clock_mhz),
    }


def _readme(config: SystemConfig, target: ZynqBoard, clock_mhz: float) -> str:
    return f"""# Overlay for {target.name} ({target.part}), {clock_mhz:g} MHz

**The bitstream is not included, and was not built**: Vivado, which is not free to install for all, makes it.

1. On a computer with Vivado: `vivado -mode batch -source design.tcl`. It leaves `accelerator.bit` and
   `accelerator.hwh` in this folder, or tells which timing or resource was missed.
2. Copy the folder to the board, install hwgen there (`pip install hwgen`; it needs no compiler to drive hardware).
3. `from driver import open_device`; see `driver.py`, and docs/host.md of hwgen.

| file | what |
|---|---|
| `rtl/` | the accelerator, and a wrapper that tells Vivado its interfaces |
| `design.tcl` | project, block design, bitstream |
| `overlay.json` | address map: registers, errors, widths, the configuration |
| `driver.py` | opens it |

Configuration: `{config}`, digest {config.digest}.
"""
