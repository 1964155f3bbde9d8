"""Named accelerators on their boards: an ECP5 placed, routed and packed by open tools; Zynqs by Yosys' count.

`edge_ecp5` on the ULX3S-85F ends in a bitstream: its frequency, its share of the board's multipliers, and how long it
takes with nothing in the cache. `n3h_z7020` and `n3h_z7045` are counted beside the XC7Z020 and the XC7Z045, in minutes:
the share of each resource, of which the largest is the figure.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.boards import Board, board
from hwgen.commands.design import design
from hwgen.commands.synth import Synthesised, path_text, synth

COMMAND = "python -m benchmarks.boards"
OPEN = ("edge_ecp5", "ulx3s")
COUNTED = (("n3h_z7020", "pynq_z2"), ("n3h_z7045", "zc706"))


def build(
    target: str, where: Board, *, fresh: bool = False, pnr: bool = False
) -> tuple[Synthesised, float, int]:
    """A design for a board, the seconds it took, and the bitstream's bytes; ``fresh`` leaves the cache alone."""
    before = os.environ.get("HWGEN_CACHE")
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        if fresh:
            os.environ["HWGEN_CACHE"] = str(Path(folder, "cache"))
        try:
            began = time.perf_counter()
            found = synth(design(target, {}), where, Path(folder, "out"), pnr=pnr)
            seconds = time.perf_counter() - began
            return found, seconds, found.bitstream.stat().st_size if found.bitstream else 0
        finally:
            if fresh:
                os.environ.pop("HWGEN_CACHE")
                if before is not None:
                    os.environ["HWGEN_CACHE"] = before


def measure(console: Console) -> list[Figure]:
    """All figures."""
    return [*placed(console), *counted(console)]


def placed(console: Console) -> list[Figure]:
    """What is built to the end."""
    target, name = OPEN
    found, seconds, size = build(target, board(name), fresh=True, pnr=True)
    assert found.built is not None
    layout = found.built.layout
    rows = [(kind, use.used, use.available, f"{use.share:.1%}") for kind, use in found.uses.items()]
    console.print(table(f"{target} on {name}", ("resource", "used", "available", "share"), rows))
    console.print(
        f"{layout.slowest:.1f} MHz, limited by {path_text(layout)}; bitstream of {size:,} bytes",
        highlight=False,
    )
    share = 100 * found.uses["DSP"].share
    figures = {
        f"{target}.{name}.fmax": (round(layout.slowest, 1), "MHz", Goal(">=", 100)),
        f"{target}.{name}.dsp_share": (round(share, 1), "%", Goal(">=", 75)),
        f"{target}.{name}.build_time": (round(seconds / 60, 1), "minutes", Goal("<=", 15)),
    }
    return [
        Figure(name=label, value=value, unit=unit, command=COMMAND, goal=goal)
        for label, (value, unit, goal) in figures.items()
    ]


def counted(console: Console) -> list[Figure]:
    """What is synthesised only: a project for Vivado goes with it, which nobody built."""
    figures = []
    for target, name in COUNTED:
        found, _, _ = build(target, board(name))
        rows = [(kind, use.used, use.available, f"{use.share:.1%}") for kind, use in found.uses.items()]
        console.print(
            table(
                f"{target} on {found.board.device}, Yosys' count",
                ("resource", "used", "available", "share"), rows,
            )
        )  # fmt: skip
        worst = max(found.uses.values(), key=lambda use: use.share)
        figures.append(
            Figure(
                name=f"{target}.{name}.largest_share", value=round(100 * worst.share, 1), unit="%",
                command=COMMAND, goal=Goal("<=", 85),
            )
        )  # fmt: skip
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
