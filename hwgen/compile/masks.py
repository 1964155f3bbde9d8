"""Which keys a query of attention sees: a sliding window with sinks, in whole tiles of keys.

Hardware skips a tile of scores as a whole, for all queries of a block; within a tile it can only leave out the end of a
row. So a window is rounded outwards: a block of queries sees every tile of keys that one of its queries needs::

    keys      sinks              window
    block 0   [##|..|..|..|..|..]        a row of blocks: queries, `rows` of them
    block 1   [##|##|..|..|..|..]        a column: a tile of `lanes` keys
    block 2   [##|##|##|..|..|..]
    block 3   [##|..|##|##|..|..]        # kept, . skipped: no load, no scores, no softmax, no product
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.config import require_int
from hwgen.errors import BadInput
from hwgen.numerics import ceil_div

__all__ = ["Block", "WindowMask", "require_past", "stretches", "whole"]

_LARGEST = 1 << 30

Stretch = tuple[int, int]
"""First, and one behind the last."""


def stretches(wanted: npt.ArrayLike) -> tuple[Stretch, ...]:
    """Where a row of truth values is true, as stretches (first, one behind the last) in ascending order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(wanted, np.int8), [0]])))
    return tuple((int(a), int(b)) for a, b in edges.reshape(-1, 2))


def require_past(queries: int, keys: int) -> None:
    """Refuse a causal mask of fewer keys than queries: the first queries would see nothing."""
    if keys < queries:
        raise BadInput(
            f"with a causal mask there must be as many keys as queries, {queries}, not {keys}; give more keys, or "
            "leave out the first queries"
        )


@dataclass(frozen=True)
class Block:
    """Neighbouring queries that see the same tiles of keys.

    Parameters
    ----------
    first, rows : int
        The first query, and how many there are.
    tiles : tuple of (int, int)
        Stretches of tiles that are kept: the first one, and one behind the last; ascending, with gaps between them.
    """

    first: int
    rows: int
    tiles: tuple[Stretch, ...]

    @property
    def kept(self) -> int:
        """Tiles that are kept."""
        return sum(end - begin for begin, end in self.tiles)


def whole(queries: int, keys: int, lanes: int) -> tuple[Block, ...]:
    """The blocks without a mask: one, which keeps all tiles."""
    return (Block(0, queries, ((0, ceil_div(keys, lanes)),)),)


@dataclass(frozen=True)
class WindowMask:
    """A sliding window over the keys, and the first keys for all: "attention sinks".

    Query ``i`` stands at key ``p``: ``keys - queries + i`` if the head is causal, else ``i``. It wants the keys
    ``p - window + 1 .. p`` (causal) or those with ``|p - j| < window`` (not causal), and the first ``sinks`` keys, of
    which a causal head leaves out those behind ``p``. What takes part is more, see :meth:`pairs`.

    Parameters
    ----------
    window : int
        Keys that a query sees on one side, its own among them; at least 1.
    sinks : int
        Keys at the beginning that all see; 0 for none.
    rows : int, optional
        Queries of a block; as many as there are lanes if absent. High blocks keep more tiles; low ones keep the DSP
        core waiting, which takes ``lanes`` + 1 cycles for new weights.

    Raises
    ------
    BadInput
        If a number is out of range.
    """

    window: int
    sinks: int = 0
    rows: int | None = None

    def __post_init__(self) -> None:
        require_int("window", self.window, 1, _LARGEST)
        require_int("sinks", self.sinks, 0, _LARGEST)
        if self.rows is not None:
            require_int("rows", self.rows, 1, _LARGEST)

    def wanted(self, queries: int, keys: int, *, causal: bool = False) -> npt.NDArray[np.bool_]:
        """The pairs that the mask asks for, before they are rounded to tiles.

        Parameters
        ----------
        queries, keys : int
            Sizes in tokens.
        causal : bool
            Whether a query sees no key behind its own.

        Returns
        -------
        bool array, shape (queries, keys)
            Whether a query wants a key.
        """
        at = (keys - queries if causal else 0) + np.arange(queries)[:, None]
        key = np.arange(keys)
        near: npt.NDArray[np.bool_] = (np.abs(at - key) < self.window) | (key < self.sinks)
        return near & (key <= at) if causal else near

    def blocks(self, queries: int, keys: int, lanes: int, *, causal: bool = False) -> tuple[Block, ...]:
        """Which tiles of keys each block of queries keeps.

        Parameters
        ----------
        queries, keys : int
            Sizes in tokens.
        lanes : int
            Keys of a tile.
        causal : bool
            Whether a query sees no key behind its own.

        Returns
        -------
        tuple of Block
            All queries in ascending order; neighbouring blocks that keep the same tiles are one. If ``causal``, the
            tiles from that of a block's first query to that of its last query are kept without a gap, and they are
            the last ones.

        Raises
        ------
        BadInput
            If a query would see nothing: fewer keys than queries in a causal head, or, without sinks, queries a
            whole window behind the last key.
        """
        if causal:
            require_past(queries, keys)
        rows = lanes if self.rows is None else self.rows
        made: list[Block] = []
        for first in range(0, queries, rows):
            count = min(rows, queries - first)
            tiles = self._tiles(first, count, queries, keys, lanes, causal)
            if not tiles:
                raise BadInput(
                    f"queries from {first} on see none of the {keys} keys through a window of {self.window}; "
                    "make the window larger, give sinks, or leave out these queries"
                )
            if made and made[-1].tiles == tiles:
                made[-1] = Block(made[-1].first, made[-1].rows + count, tiles)
            else:
                made.append(Block(first, count, tiles))
        return tuple(made)

    def pairs(self, queries: int, keys: int, lanes: int, *, causal: bool = False) -> npt.NDArray[np.bool_]:
        """What takes part, exactly: the tiles that a query's block keeps, without keys behind a causal query.

        A query takes part with a key if its block of ``rows`` queries has any query that :meth:`wanted` any key of
        the key's tile, and, if ``causal``, the key is not behind the query.

        Parameters
        ----------
        queries, keys, lanes, causal
            As for :meth:`blocks`.

        Returns
        -------
        bool array, shape (queries, keys)
            Whether a query and a key take part.

        Raises
        ------
        BadInput
            As :meth:`blocks`.
        """
        out = np.zeros((queries, keys), bool)
        for block in self.blocks(queries, keys, lanes, causal=causal):
            for begin, end in block.tiles:
                out[block.first : block.first + block.rows, begin * lanes : end * lanes] = True
        if causal:
            out &= np.arange(keys) <= keys - queries + np.arange(queries)[:, None]
        return out

    def _tiles(
        self, first: int, rows: int, queries: int, keys: int, lanes: int, causal: bool
    ) -> tuple[Stretch, ...]:
        """Stretches of tiles that some queries keep."""
        begin = first + (keys - queries if causal else 0)
        end = begin + rows  # one behind the last query's place
        seen = end if causal else keys
        kept = np.zeros(ceil_div(keys, lanes), bool)
        kept[: ceil_div(min(self.sinks, seen), lanes)] = True
        low = max(begin - self.window + 1, 0)
        high = min(end if causal else end - 1 + self.window, keys)
        if low < high:
            kept[low // lanes : ceil_div(high, lanes)] = True
        return stretches(kept)
