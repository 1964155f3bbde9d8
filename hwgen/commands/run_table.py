"""What ``hwgen run`` shows on a terminal."""

from __future__ import annotations

from rich.table import Table

from hwgen.commands.run import RunResult

__all__ = ["run_lines", "run_table"]


def run_table(result: RunResult) -> Table:
    """One line per layer; without cycles, what the layers are.

    With cycles: how much of the cores' arithmetic was *used*, the *bound* and what it is set *by*, how much of it was
    *kept* (bound over cycles), and the largest loss.
    """
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("layer", no_wrap=True, min_width=8)
    if result.timing is None:
        table.add_column("shape", no_wrap=True)
        table.add_column("MACs", justify="right", no_wrap=True)
        for layer in result.layers:
            table.add_row(layer.name, layer.shape, f"{layer.macs:,}")
        return table
    for heading in ("cycles", "used", "bound"):
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
            f"{account.cycles:,}",
            _percent(layer.utilisation) if layer.macs else "–",
            "–" if bounds is None else f"{bounds.roofline:,}",
            "" if bounds is None else bounds.limit,
            _percent(layer.efficiency),
            f"{loss}{share}",
        )
    return table


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def run_lines(result: RunResult, clock_mhz: float | None) -> list[str]:
    """The totals, and what was checked."""
    timing, totals = result.timing, result.totals
    lines = []
    if timing is not None:
        time = f" ({timing.cycles / clock_mhz / 1e3:,.3f} ms at {clock_mhz:g} MHz)" if clock_mhz else ""
        bound = (
            ""
            if totals.roofline is None
            else f", {100 * totals.roofline / timing.cycles:.1f} % of the roofline"
        )
        lines.append(
            f"{timing.cycles:,} cycles{time}, utilisation {100 * totals.utilisation:.1f} %{bound}, "
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
