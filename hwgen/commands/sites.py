"""``hwgen sites``: every bit of state of a design, with the numbers and names that faults are given."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from hwgen.commands.design import Design
from hwgen.commands.generate import Generated
from hwgen.commands.system_generate import generate_design
from hwgen.errors import BadInput
from hwgen.faults.hooks import HookMap
from hwgen.faults.netlist import read_netlist
from hwgen.faults.sites import Element, Kind, SiteTable
from hwgen.files import replacing

__all__ = ["Sites", "csv_text", "sites_of", "source_files", "write_table"]

_FORMATS = (".csv", ".parquet")


@dataclass(frozen=True, eq=False)
class Sites:
    """Sites of a design.

    Parameters
    ----------
    top : str
        Top module.
    table : SiteTable
        All of them.
    found : tuple of Element
        Those that were asked for.
    """

    top: str
    table: SiteTable
    found: tuple[Element, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """Bits by class and by block, flip-flops and memories apart."""
        tables: dict[str, dict[str, int]] = {}
        for what in ("class", "block"):
            counted: Counter[tuple[str, str]] = Counter()
            for e in self.found:
                counted[e.group.value if what == "class" else e.block, e.kind.value] += e.sites
            for (name, kind), bits in counted.items():
                tables.setdefault(f"{what} {name}", {k.value: 0 for k in Kind})[kind] = bits
        return tables

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = self.table.rows()
        return {
            "top": self.top,
            "digest": self.table.digest,
            "sites": len(self.table),
            "flip_flops": self.table.flip_flops,
            "memory_bits": self.table.memory_bits,
            "found": sum(e.sites for e in self.found),
            "counts": self.counts(),
            "elements": [rows[e.number] for e in self.found],
        }


def source_files(made: Generated) -> list[Path]:
    """The design, then models of vendor cells."""
    verilog = [path for path in made.files if path.suffix == ".v"]
    return sorted(verilog, key=lambda path: path.name != f"{made.top}.v")


def sites_of(design: Design, find: str | None = None) -> Sites:
    """Sites of a design.

    Parameters
    ----------
    design : Design
        A core or an accelerator.
    find : str, optional
        Only registers and memories with this in their names.

    Raises
    ------
    BadInput
        If there is none.
    """
    with TemporaryDirectory(prefix="hwgen-") as folder:
        made = generate_design(design, Path(folder))
        table = SiteTable.of(read_netlist(source_files(made), made.top))
    found = tuple(e for e in table if find is None or find in e.label)
    if not found:
        raise BadInput(
            f"no register or memory of {made.top} has {find!r} in its name; leave out --find to list all"
        )
    return Sites(made.top, table, found)


def write_table(path: Path, elements: Iterable[Element]) -> None:
    """Write bits of elements as CSV or Parquet, see :func:`csv_text`.

    Raises
    ------
    BadInput
        If the file has another ending, or cannot be written.
    """
    if path.suffix not in _FORMATS:
        raise BadInput(f"-o takes a file that ends in {' or '.join(_FORMATS)}, not {path}")
    with replacing(path) as partial:
        if path.suffix == ".csv":
            partial.write_text(csv_text(elements), encoding="utf-8")
        else:
            pq.write_table(pa.table(_columns(elements, None)), partial)


def csv_text(elements: Iterable[Element], places: HookMap | None = None) -> str:
    """A row for each bit of a register, and for each bit of a memory's words.

    Parameters
    ----------
    elements : iterable of Element
        In the order of the table.
    places : HookMap, optional
        Where the hooks are: adds address of the word, and bit in it; -1 where no hook reaches.

    Notes
    -----
    ``id`` is the site's number. A memory has ``rows`` words: the bit of word *r* has the number ``id + r · row_step``,
    and *r* is what a hook calls its row.
    """
    columns = _columns(elements, places)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def _columns(elements: Iterable[Element], places: HookMap | None) -> dict[str, list[Any]]:
    names = ["id", "name", "class", "kind", "bit", "rows", "row_step", "vendor_cell"]
    names += [] if places is None else ["hook_word", "hook_bit"]
    found: dict[str, list[Any]] = {name: [] for name in names}
    for e in elements:
        ids = e.first + np.arange(e.width)
        shared = (e.label, e.group.value, e.kind.value)
        own: list[list[Any]] = [
            ids.tolist(), *([one] * e.width for one in shared), list(range(e.low, e.low + e.width)),
            [e.depth] * e.width, [e.width if e.kind is Kind.MEMORY else 0] * e.width, [int(e.vendor)] * e.width,
        ]  # fmt: skip
        if places is not None:
            word, _, bit = places.locate(ids)
            own += [word.tolist(), bit.tolist()]
        for name, values in zip(names, own, strict=True):
            found[name] += values
    return found
