"""What ``hwgen run`` shows on a terminal."""

from __future__ import annotations

from rich.table import Table

from hwgen.commands.run import RunResult
from hwgen.commands.run_account import LayerFigures
from hwgen.commands.run_core import CoreRun

__all__ = ["core_lines", "core_table", "run_lines", "run_table"]


def run_table(result: RunResult) -> Table:
    """One line per layer; without cycles, what the layers are.

    With cycles: how much of the cores' arithmetic was *used*, the *bound* and what it is set *by*, how much of it was
    *kept* (bound over cycles), and the largest loss. If there are sparse weights: their *density*, and the speed-up of
    their steps over those of dense weights (*× dense*).
    """
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("layer", no_wrap=True, min_width=8)
    if result.timing is None:
        table.add_column("shape", no_wrap=True)
        table.add_column("MACs", justify="right", no_wrap=True)
        for layer in result.layers:
            table.add_row(layer.name, layer.shape, f"{layer.macs:,}")
        return table
    sparse = any(layer.sparse for layer in result.layers)
    for heading in (*(("density", "× dense") if sparse else ()), "cycles", "used", "bound"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("by", no_wrap=True)
    table.add_column("kept", justify="right", no_wrap=True)
    table.add_column("main loss", no_wrap=True)
    for layer in result.layers:
        account, bounds, loss = layer.account, layer.bounds, layer.main_loss
        assert account is not None
        share = f" {100 * account.losses[loss] / account.cycles:.0f} %" if loss and account.cycles else ""
        table.add_row(
            layer.name,
            *(_weights(layer) if sparse else ()),
            f"{account.cycles:,}",
            _percent(layer.utilisation) if layer.macs else "–",
            "–" if bounds is None else f"{bounds.roofline:,}",
            "" if bounds is None else bounds.limit,
            _percent(layer.efficiency),
            f"{loss}{share}",
        )
    return table


def _weights(layer: LayerFigures) -> tuple[str, str]:
    """Density and speed-up of sparse weights."""
    found = layer.sparse
    return ("–", "–") if found is None else (_percent(found.density), f"{found.speed_up:.2f}")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def run_lines(result: RunResult, clock_mhz: float | None) -> list[str]:
    """The totals, and what was checked."""
    timing, totals = result.timing, result.totals
    lines = []
    if timing is not None:
        bound = (
            ""
            if totals.roofline is None
            else f", {100 * totals.roofline / timing.cycles:.1f} % of the roofline"
        )
        lines.append(
            f"{_cycles(timing.cycles, clock_mhz)}, utilisation {100 * totals.utilisation:.1f} %{bound}, "
            f"{result.macs:,} MACs, {timing.read_bytes:,} bytes read, {timing.written_bytes:,} written"
        )
        shares = {"compute": totals.compute, **totals.losses}
        lines.append(", ".join(f"{name} {100 * v / timing.cycles:.1f} %" for name, v in shares.items() if v))
    else:
        lines.append(f"{result.macs:,} MACs per image")
    if result.correct is not None and result.labels is not None:
        count = len(result.labels)
        lines.append(f"{result.correct} of {count} images correct ({100 * result.correct / count:.2f} %)")
    lines += result.checks
    lines += [f"first difference: {text}" for text in result.differences[:1]]
    return lines


def _cycles(cycles: int, clock_mhz: float | None) -> str:
    return f"{cycles:,} cycles" + (
        f" ({cycles / clock_mhz / 1e3:,.3f} ms at {clock_mhz:g} MHz)" if clock_mhz else ""
    )


def core_table(result: CoreRun) -> Table:
    """One line per layer."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("layer", no_wrap=True, min_width=8)
    table.add_column("M×K×N", no_wrap=True)
    counted = result.cycles is not None
    for heading in ("cycles", "used", "edges", "waits") if counted else ("MACs",):
        table.add_column(heading, justify="right", no_wrap=True)
    for part in result.parts:
        if part.cycles is None or part.waits is None:
            table.add_row(part.name, part.shape, f"{part.macs:,}")
        else:
            shares = (f"{100 * x / part.cycles:.1f} %" for x in (part.compute, part.edges, part.waits))
            table.add_row(part.name, part.shape, f"{part.cycles:,}", *shares)
    return table


def core_lines(result: CoreRun, clock_mhz: float | None) -> list[str]:
    """The totals, and what was checked."""
    lines = []
    if result.cycles is not None and result.utilisation is not None:
        lines.append(
            f"{_cycles(result.cycles, clock_mhz)}, utilisation {100 * result.utilisation:.1f} %, {result.macs:,} MACs, "
            f"{result.traffic_bytes:,} bytes over the streams"
        )
    else:
        lines.append(f"{result.macs:,} MACs")
    if result.left_out:
        lines.append(f"left out, because they multiply no matrices: {', '.join(result.left_out)}")
    return lines + result.checks + [f"first difference: {text}" for text in result.differences[:1]]
