"""``hwgen generate --hooks``: the same design with hooks, a controller for them, and where every bit is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hwgen.commands.generate import Generated
from hwgen.commands.sites import csv_text, source_files
from hwgen.faults.access import wrapped
from hwgen.faults.access_registers import c_header
from hwgen.faults.hooks import FAULT_PORTS, Hooked, hooked
from hwgen.files import write_all
from hwgen.version import VERSION

__all__ = ["FOLDER", "with_hooks"]

FOLDER = "hooks"
"""Where the files are that only hooks need. The others are what they are without hooks."""


def with_hooks(
    make: Callable[[Path], Generated],
    folder: Path,
    watch: Sequence[str] = (),
    swaps: Sequence[tuple[str, str]] = (),
) -> Generated:
    """Write a design, and in the folder ``hooks`` below it the design with hooks.

    These are ``<top>.v``, in place of the plain one; ``<top>_fault_lab.v``, which is that with its controller and a
    top module around both; ``fault_access.h``, the controller's registers in C; ``sites.csv``, which word and bit every
    site has; and ``manifest.json``.

    Parameters
    ----------
    make : callable
        Writes the plain design into a folder.
    folder : Path
        To write into.
    watch : sequence of str
        Ports that can trigger a trojan, see :func:`hwgen.faults.access.wrapped`.
    swaps : sequence of (str, str)
        Registers that can be exchanged, see :func:`hwgen.faults.hooks.hooked`.

    Raises
    ------
    BadInput
        If the folder cannot be used, there is no such port or pair, or the design cannot be hooked. Nothing is written
        then.
    """
    with TemporaryDirectory(prefix="hwgen-") as scratch:
        plain = make(Path(scratch))
        made = hooked(source_files(plain), plain.top, swaps=swaps)
        files = {
            f"{made.top}.v": made.verilog,
            f"{made.top}_fault_lab.v": wrapped(made, watch),
            "fault_access.h": c_header(),
            "sites.csv": csv_text(made.map.table, made.map),
        }
    files["manifest.json"] = json.dumps(_manifest(made, plain, watch), indent=2) + "\n"
    written = make(folder)
    paths = write_all(folder, {f"{FOLDER}/{name}": text for name, text in files.items()})
    left = made.unreachable.size
    notes = (f"{left:,} bits in vendors' cells have no hook",) if left else ()
    return replace(written, files=(*written.files, *paths), notes=(*written.notes, *notes))


def _manifest(made: Hooked, plain: Generated, watch: Sequence[str]) -> dict[str, object]:
    """What software must know."""
    table = made.map.table
    return {
        "schema": "hwgen.hooks/1",
        "version": VERSION,
        "digest": made.digest,
        "design_digest": plain.digest,
        "top": made.top,
        "lab": f"{made.top}_fault_lab",
        "ports": list(FAULT_PORTS),
        "word_bits": made.address_bits,
        "row_bits": made.row_bits,
        "sites": len(table),
        "unreachable": int(made.unreachable.size),
        "watch": list(watch),
        "swaps": [{"registers": list(pair), "word": word} for pair, word in made.swaps.items()],
    }
