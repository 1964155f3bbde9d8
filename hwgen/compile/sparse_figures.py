"""What the weights of a layer on the sparse core are: how many, in which patterns, their bytes and their steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwgen.numerics import ceil_div

__all__ = ["SparseFigures"]


@dataclass(frozen=True, kw_only=True)
class SparseFigures:
    """Weights of one layer as the sparse core gets them.

    Parameters
    ----------
    weights, nonzero : int
        All weights of the layer, and those that are not zero; the same if the weights are not known.
    known : bool
        Whether they are. If not, every block is dense.
    patterns : mapping of str to int
        Blocks by their pattern; a block has one code, 16 rows, and 16 columns of each way that shares the code.
    bits : int
        Width of a weight in the streams.
    codes, values, indices : int
        Bytes of the streams as they lie in memory, in whole rows of their buffers.
    spread : bool
        Matrix-vector mode: the ways compute neighbouring column tiles of few outputs.
    tiles : int
        Tiles of outputs, each of which takes all steps of the streams.
    tile_steps : int
        Cycles of the array for one of them: what short rounds are filled up with counts, and gaps between rounds.
    dense_tile_steps : int
        The same if no weight of the layer were zero. Channels that pad a block are no weights, nor is what lies
        between groups.
    """

    weights: int
    nonzero: int
    known: bool
    patterns: Mapping[str, int]
    bits: int
    codes: int
    values: int
    indices: int
    spread: bool
    tiles: int
    tile_steps: int
    dense_tile_steps: int

    @property
    def density(self) -> float:
        """Part of the weights that is not zero."""
        return self.nonzero / self.weights

    @property
    def bytes(self) -> int:
        """Of all streams."""
        return self.codes + self.values + self.indices

    @property
    def dense_bytes(self) -> int:
        """Bytes of all weights at the same bits, without gaps."""
        return ceil_div(self.weights * self.bits, 8)

    @property
    def steps(self) -> int:
        """Cycles of the array for the whole layer."""
        return self.tiles * self.tile_steps

    @property
    def dense_steps(self) -> int:
        """The same if no weight were zero."""
        return self.tiles * self.dense_tile_steps

    @property
    def speed_up(self) -> float:
        """Steps of dense weights over those of these."""
        return self.dense_tile_steps / self.tile_steps

    @property
    def ideal(self) -> float | None:
        """Speed-up if zeros took no time and nothing else did: all weights over those that are not zero."""
        return self.weights / self.nonzero if self.nonzero else None
