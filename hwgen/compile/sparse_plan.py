"""How a product is cut for the sparse core: passes along K, tiles of outputs, groups of column tiles."""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.compile.plan import (
    LOAD_CYCLES,
    PARAMETER_PLACES,
    RESIDENT,
    RUN_CYCLES,
    Bands,
    Geometry,
    candidates,
    widths,
)
from hwgen.compile.sparse_weights import STREAMS, SparseWeights, stream_spaces
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, ceil_div
from hwgen.system.config import SystemConfig
from hwgen.workloads.layers import Layer

__all__ = ["SparsePlan", "plan_sparse"]

_MOST_TILES = 1023  # what an instruction counts


@dataclass(frozen=True, kw_only=True)
class SparsePlan(Bands):
    """Sizes that fit the buffers.

    Parameters
    ----------
    rect : tuple of int
        Rows and columns of outputs that are computed together; one of them lies at equal distances in the buffer.
    weights : SparseWeights
        Weights, and the mode.
    groups : tuple of (int, int)
        Rounds whose weights are in the buffers together: the first one, and how many.
    """

    rect: tuple[int, int]
    weights: SparseWeights
    groups: tuple[tuple[int, int], ...]

    @property
    def tile_steps(self) -> int:
        """Cycles of the array for one tile of outputs: all passes and rounds."""
        weights = self.weights
        return sum(weights.steps(part, 0, weights.rounds) for part in range(len(weights.passes)))

    def cycles(self, config: SystemConfig, g: Geometry) -> float:
        """Rough cycles of the layer: the chains, or the transfers."""
        weights = self.weights
        tiles = ceil_div(g.size[0], self.rect[0]) * ceil_div(g.size[1], self.rect[1])
        every = [weights.steps(part, *group) for group in self.groups for part in range(len(weights.passes))]
        bands = ceil_div(g.size[0], self.band) * ceil_div(g.size[1], self.columns)
        needs, spaces = weights.needs(0, weights.rounds), stream_spaces(config)
        size = sum(sum(needs[name]) * space.word_bytes for name, space in spaces.items())
        reloads = bands if len(self.groups) > RESIDENT else 1
        unit = max(1, config.bus_bytes // config.lanes)
        load = g.rows(self.band) * g.row_words(self.columns, unit) * config.lanes
        store = self.band * self.columns * g.tiles * config.lanes
        loads = len(self.groups) * len(STREAMS) * LOAD_CYCLES * config.bus_bytes
        moved = bands * (load + store) + reloads * (size + loads)
        chains = tiles * (sum(every) + RUN_CYCLES * len(every))
        return (load + store) / config.bus_bytes + max(chains, moved / config.bus_bytes)


def plan_sparse(config: SystemConfig, layer: Layer, g: Geometry, weight: IntArray, known: bool) -> SparsePlan:
    """A plan for a product on the sparse core.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    layer : Layer
        The product.
    g : Geometry
        Its geometry.
    weight : int array, shape (kernel rows, kernel columns, channels in whole words, outputs in whole tiles)
        Its weights.
    known : bool
        Whether they are the weights; if not, every block is dense.

    Raises
    ------
    BadInput
        If it does not fit; the sentence says which buffer is too small.
    """
    spread = g.size[0] * g.size[1] <= config.sparse_way_rows(True) < config.sparse_rows
    weights = SparseWeights(config, weight.reshape(-1, weight.shape[3]), layer.weight_bits, spread, not known)
    reason = f"act_words={config.act_words}"
    for columns in widths(config, g):
        for height in sorted(candidates(g.size[0]), reverse=True):
            for double in (True, False):
                if not _fits(config, g, height, columns, double):
                    continue
                rect = _rect(config, g, height, columns, spread)
                groups = _groups(config, weights, rect[0] * rect[1])
                if isinstance(groups, str):
                    reason = groups
                    break
                return SparsePlan(
                    band=height, columns=columns, double=double, rect=rect, weights=weights,
                    groups=groups,
                )  # fmt: skip
    raise BadInput(
        f"layer {layer.name!r} does not fit: its smallest piece needs more than {reason}; choose a larger buffer"
    )


def _fits(config: SystemConfig, g: Geometry, height: int, columns: int, double: bool) -> bool:
    """Whether input and output of a band fit."""
    unit = max(1, config.bus_bytes // config.lanes)
    region = config.act_words // (4 if double else 2)
    out_row = ceil_div(columns * g.tiles, unit) * unit
    return g.rows(height) * g.row_words(columns, unit) <= region and height * out_row <= region


def _rect(config: SystemConfig, g: Geometry, height: int, columns: int, spread: bool) -> tuple[int, int]:
    """Outputs that are computed together, so that their inputs lie at equal distances."""
    most = config.sparse_way_rows(spread)
    if columns == 1:
        return min(height, most), 1
    unit = max(1, config.bus_bytes // config.lanes)
    even = g.steps[1] * g.words * columns == g.steps[0] * g.row_words(columns, unit)
    if columns >= most or not even or g.size[1] % columns:
        return 1, min(columns, most)
    return min(height, most // columns), columns


def _groups(config: SystemConfig, weights: SparseWeights, outputs: int) -> tuple[tuple[int, int], ...] | str:
    """Rounds that fit the buffers together, or the buffer that not even one fits."""
    acc = config.acc_words // 2 // (outputs * len(weights.passes)) // weights.ways
    tiles = min(config.parameter_words // PARAMETER_PLACES, _MOST_TILES) // weights.ways
    if not acc:
        return f"acc_words={config.acc_words}"
    if not tiles:
        return f"parameter_words={config.parameter_words}"
    room = {name: space.words // 2 for name, space in stream_spaces(config).items()}
    groups: list[tuple[int, int]] = []
    first = 0
    while first < weights.rounds:
        count, stops = weights.fitting(first, min(acc, tiles, weights.rounds - first), room)
        if not count:
            name = f"sparse_{stops}_words"
            return f"{name}={getattr(config, name)}"
        groups.append((first, count))
        first += count
    return tuple(groups)
