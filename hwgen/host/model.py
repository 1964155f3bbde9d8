"""Verilog in a compiled harness, for the transports that drive a simulation."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hwgen import toolchain
from hwgen.emit import Emission
from hwgen.files import output_folder, write_if_changed
from hwgen.verilated import build_model

__all__ = ["compiled"]


def compiled(made: Emission, digest: str, harness: str, models: Sequence[Path]) -> Path:
    """A program from Verilog and C++ around it.

    Parameters
    ----------
    made : Emission
        The Verilog.
    digest : str
        Names its folder in the cache.
    harness : str
        C++ text with a ``main``.
    models : sequence of Path
        Models of vendor cells.
    """
    path = output_folder(toolchain.cache_dir() / "verilog" / digest) / f"{made.top}.v"
    write_if_changed(path, made.verilog)
    shared = "".join(["`verilator_config\n", *(f'no_inline -module "{name}"\n' for name in made.repeated)])
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        waiver = Path(folder, "repeated.vlt")
        waiver.write_text(shared)
        return build_model(
            verilog=[path, *models], top=made.top, harness=harness, waivers=[toolchain.waivers(), waiver]
        )
