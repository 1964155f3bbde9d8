"""The part of a run's report that is about sparse weights: bytes, steps, speed-up, and what limits each layer."""

from __future__ import annotations

from hwgen.commands.run import RunResult
from hwgen.commands.run_account import LayerFigures
from hwgen.compile.sparse_figures import SparseFigures
from hwgen.report import Cell, Figure, Section, Table, bars

__all__ = ["sparse_section"]

_MOST_PATTERNS = 3


def sparse_section(result: RunResult) -> list[Section]:
    """The section; none if no layer ran on the sparse core."""
    pairs = [(layer, layer.sparse) for layer in result.layers if layer.sparse is not None]
    if not pairs:
        return []
    unknown = [layer.name for layer, sparse in pairs if not sparse.known]
    items: list[Table | Figure] = [_bytes(pairs), _steps(pairs)]
    shown = [(layer.name, s.speed_up, s.ideal) for layer, s in pairs if s.ideal is not None]
    if shown:
        items.insert(0, _figure(shown))
    return [
        Section(
            title="Sparse weights",
            text="Layers that the sparse core computed. It gets only slots that a block's pattern has, so weights "
            "that are zero take neither time nor bytes as far as patterns can leave them out."
            + (f" Weights were not known, hence dense: {', '.join(unknown)}." if unknown else ""),
            items=items,
        )
    ]


def _figure(shown: list[tuple[str, float, float]]) -> Figure:
    names, found, ideal = zip(*shown, strict=True)
    return Figure(
        title="Speed-up of the array over dense weights",
        svg=bars(names, {"as packed": found, "ideal": ideal}, ylabel="× dense", value_format=".2f"),
        note="Steps of the same layer if no weight were zero over its steps, on the same chains. Ideal: all weights "
        "over those that are not zero.",
    )


def _bytes(pairs: list[tuple[LayerFigures, SparseFigures]]) -> Table:
    rows: list[list[Cell]] = [
        [
            layer.name, _percent(s.density), _patterns(s), s.bits, s.codes, s.values, s.indices, s.bytes,
            s.dense_bytes, _percent(s.bytes / s.dense_bytes), layer.read, layer.written,
        ]
        for layer, s in pairs
    ]  # fmt: skip
    return Table(
        title="Weights in memory [bytes]",
        columns=[
            "layer", "density", "patterns", "bits", "codes", "values", "indices", "all streams", "dense weights",
            "of dense", "layer reads", "layer writes",
        ],
        rows=rows,
        note="Patterns: share of the blocks, the most frequent first. Streams are in whole rows of their buffers. "
        "Dense weights: all of them at the same bits, without gaps. The layer reads and writes: everything that its "
        "transfers move, activations included.",
    )  # fmt: skip


def _steps(pairs: list[tuple[LayerFigures, SparseFigures]]) -> Table:
    rows: list[list[Cell]] = []
    for layer, s in pairs:
        account, bounds = layer.account, layer.bounds
        assert account is not None
        rows.append([
            layer.name, "vector" if s.spread else "matrix", s.tiles, s.steps, s.dense_steps, f"{s.speed_up:.2f} ×",
            "–" if s.ideal is None else f"{s.ideal:.2f} ×", account.cycles,
            "–" if bounds is None else _LIMITS[bounds.limit], layer.main_loss or "–",
        ])  # fmt: skip
    return Table(
        title="Steps of the array [cycles]",
        columns=[
            "layer", "mode", "tiles of outputs", "steps", "dense steps", "speed-up", "ideal", "cycles", "limit",
            "largest loss",
        ],
        rows=rows,
        note="Each tile of outputs takes all steps of the weights. Limit: which bound of the layer is the larger one. "
        "Vector: the ways of the chains compute neighbouring columns of few outputs.",
    )  # fmt: skip


_LIMITS = {"compute": "compute", "memory": "traffic"}


def _patterns(sparse: SparseFigures) -> str:
    """Shares of the blocks, the most frequent first."""
    count = sum(sparse.patterns.values())
    ordered = sorted(sparse.patterns.items(), key=lambda one: -one[1])
    texts = [f"{name} {_percent(blocks / count)}" for name, blocks in ordered[:_MOST_PATTERNS]]
    if len(texts) == 1:
        return ordered[0][0]
    return ", ".join(texts) + (", …" if len(ordered) > _MOST_PATTERNS else "")


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
