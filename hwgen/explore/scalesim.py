"""SCALE-Sim v3's compute cycles as a closed form.

SCALE-Sim builds the addresses of every cycle and every processing element; the number of cycles that it reports
("Total Cycles" in CALC mode, no stalls) is this product of ceilings exactly. Found by comparing with runs of the
published package ``scalesim`` 3.0.0 (MIT) on 72 layers in eight configurations.
"""

from __future__ import annotations

from collections.abc import Iterable

from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.workloads.shapes import GemmShape

__all__ = ["DATAFLOWS", "layer_cycles", "network_cycles"]

DATAFLOWS = ("ws", "is", "os")
"""Weight, input and output stationary."""


def layer_cycles(dataflow: str, m: int, k: int, n: int, *, rows: int, cols: int) -> int:
    """Cycles that SCALE-Sim reports for one dense layer.

    Parameters
    ----------
    dataflow : str
        ``"ws"``, ``"is"`` or ``"os"``.
    m, k, n : int
        Product ``(m, k) @ (k, n)``, each at least 1.
    rows, cols : int
        Height and width of the array, each at least 1.

    Returns
    -------
    int
        Folds times the length of a fold, less one. Ragged folds cost as much as full ones; ``os`` has no drain; the
        minus one is in SCALE-Sim too (its issue 125).

    Raises
    ------
    BadInput
        If the dataflow is unknown, or a size is below 1.
    """
    for name, value in {"m": m, "k": k, "n": n, "rows": rows, "cols": cols}.items():
        if value < 1:
            raise BadInput(f"{name} must be at least 1, not {value}; give a positive number.")
    if dataflow == "ws":
        return ceil_div(k, rows) * ceil_div(n, cols) * (m + 2 * rows + cols - 2) - 1
    if dataflow == "is":
        return ceil_div(k, rows) * ceil_div(m, cols) * (n + 2 * rows + cols - 2) - 1
    if dataflow == "os":
        return ceil_div(m, rows) * ceil_div(n, cols) * (k + rows + cols - 2) - 1
    raise BadInput(f"dataflow must be one of {', '.join(DATAFLOWS)}, not {dataflow!r}; choose one.")


def network_cycles(dataflow: str, shapes: Iterable[GemmShape], *, rows: int, cols: int) -> int:
    """The sum over a network, each repeat of a shape a layer of its own; errors as in :func:`layer_cycles`."""
    return sum(s.repeat * layer_cycles(dataflow, s.m, s.k, s.n, rows=rows, cols=cols) for s in shapes)
