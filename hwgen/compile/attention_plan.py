"""Attention heads on an accelerator: which queries are worked on together, and where everything lies meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwgen.compile.image import align
from hwgen.compile.masks import Block, Stretch, WindowMask, require_past, stretches, whole
from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.system.config import SystemConfig

__all__ = ["Band", "Head", "Place", "Plan", "plan_attention"]


@dataclass(frozen=True)
class Head:
    """One head's sizes and scales.

    Parameters
    ----------
    queries, keys, features : int
        Rows of Q; rows of K and V; columns of all three.
    logit_scale : float
        What a score, a sum of products of integers, is worth as a logit: scales of Q and K, over the root of the
        features. Logits are kept in steps of 1/256 and clamped to -128..128.
    causal : bool
        Query ``i`` sees the keys up to ``keys - queries + i`` only.
    shift : int
        A result is worth ``2**-shift`` of what a value is worth, -16..15.
    mask : WindowMask, optional
        Which tiles of scores are left out; none if absent.
    """

    queries: int
    keys: int
    features: int
    logit_scale: float
    causal: bool = False
    shift: int = 0
    mask: WindowMask | None = None

    def blocks(self, lanes: int) -> tuple[Block, ...]:
        """Queries that see the same tiles of ``lanes`` keys; BadInput if a query sees nothing."""
        if self.mask is not None:
            return self.mask.blocks(self.queries, self.keys, lanes, causal=self.causal)
        if self.causal:
            require_past(self.queries, self.keys)
        return whole(self.queries, self.keys, lanes)


@dataclass(frozen=True)
class Band:
    """Queries that are worked on together.

    Parameters
    ----------
    first, rows : int
        The first query, and how many there are.
    loaded : tuple of (int, int)
        Stretches of key tiles that have to be on the chip: those that they see, at what a bus word fills.
    slots : tuple of (int, int)
        The tiles that they see, as they lie among the weights, where those that nobody sees have no place.
    keep : int
        Elements of the first row of scores that take part.
    """

    first: int
    rows: int
    loaded: tuple[Stretch, ...]
    slots: tuple[Stretch, ...]
    keep: int

    @property
    def kept(self) -> int:
        """Key tiles that they see: words of a row of scores."""
        return sum(end - begin for begin, end in self.slots)


@dataclass(frozen=True)
class Place:
    """First words of what a band has on the chip.

    Parameters
    ----------
    queries, exponentials, out : int
        Activations: operands of the scores, of the product with the values, and results.
    scores, sums : int
        Sums: what softmax reads, and what the product with the values makes.
    scales : int
        Parameters: what the rows are divided by.
    """

    queries: int
    exponentials: int
    out: int
    scores: int
    sums: int
    scales: int


@dataclass(frozen=True)
class Plan:
    """How a head is worked on.

    Parameters
    ----------
    chunks : int
        Words of a row of features.
    tiles : int
        Tiles of keys.
    loaded : tuple of (int, int)
        Stretches of key tiles that come onto the chip, at what a bus word fills.
    bands : tuple of Band
        All queries.
    places : tuple of Place
        One, or two for bands that take turns: then softmax of a band runs beside the products of another.
    """

    chunks: int
    tiles: int
    loaded: tuple[Stretch, ...]
    bands: tuple[Band, ...]
    places: tuple[Place, ...]

    @property
    def slots(self) -> int:
        """Key tiles that come onto the chip."""
        return sum(end - begin for begin, end in self.loaded)

    def slot(self, tile: int) -> int:
        """Where a key tile lies among those on the chip."""
        return sum(min(end, tile) - begin for begin, end in self.loaded if begin < tile)


def plan_attention(config: SystemConfig, head: Head) -> Plan:
    """Cut a head into bands and give them places.

    Raises
    ------
    BadInput
        If the head does not fit, or its mask leaves a query without keys.
    """
    return _Planner(config, head).plan()


class _Planner:
    """Cuts one head.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    head : Head
        Sizes and mask.
    """

    def __init__(self, config: SystemConfig, head: Head):
        self.config, self.head = config, head
        lanes = config.lanes
        self.unit = max(1, config.bus_bytes // lanes)
        self.chunks, self.tiles = ceil_div(head.features, lanes), ceil_div(head.keys, lanes)
        self.blocks = head.blocks(lanes)
        self.most = max(block.kept for block in self.blocks)
        # Blocks of weights begin at a bus word, so tiles smaller than that come together.
        self.together = max(1, config.bus_bytes // lanes**2)

    def plan(self) -> Plan:
        loaded = self._loaded(*self.blocks)
        self._check_room(sum(end - begin for begin, end in loaded))
        rows, places = self._rows(1)
        if len(self._cut(rows)) > 1:
            # Bands that take turns are worth lower ones, but not such that the core waits for its weights.
            turns, two = self._rows(2)
            if turns >= min(rows, 2 * self.config.lanes):
                rows, places = turns, two
        found = Plan(self.chunks, self.tiles, loaded, (), places)
        bands = tuple(self._band(found, *part) for part in self._cut(rows))
        return Plan(self.chunks, self.tiles, loaded, bands, places)

    def _loaded(self, *blocks: Block) -> tuple[Stretch, ...]:
        """Stretches of key tiles that some blocks need on the chip."""
        wanted = np.zeros(ceil_div(self.tiles, self.together), bool)
        for block in blocks:
            for begin, end in block.tiles:
                wanted[begin // self.together : ceil_div(end, self.together)] = True
        return tuple((a * self.together, b * self.together) for a, b in stretches(wanted))

    def _check_room(self, slots: int) -> None:
        """Refuse rows and matrices that are too large, however few queries are worked on together."""
        cfg, keys = self.config, min(self.head.keys, self.most * self.config.lanes)
        if self.most > cfg.softmax_words:
            raise BadInput(
                f"{keys} keys are rows of {self.most} words, and softmax_words is {cfg.softmax_words}; "
                "build the accelerator with longer rows"
            )
        block = self.chunks * slots * cfg.lanes
        if 2 * block > cfg.weight_words:
            raise BadInput(
                f"keys and values take {2 * block} words of weights, and weight_words is {cfg.weight_words}; "
                "build the accelerator with more"
            )
        if 2 * block > cfg.act_words:
            raise BadInput(
                f"keys and transposed keys take {2 * block} words, and act_words is {cfg.act_words}; "
                "build the accelerator with more"
            )

    def _rows(self, count: int) -> tuple[int, tuple[Place, ...]]:
        """Most queries of a band if ``count`` bands have a place each, and the places; BadInput if one has none."""
        cfg, digits = self.config, self.config.softmax_digits
        limits = {
            "acc_words": cfg.acc_words // count // (self.most + digits * self.chunks),
            "parameter_words": (cfg.parameter_words - self._first_scale) // count,
            "dsp_tile": cfg.dsp_tile // digits,
        }
        name, rows = min(limits.items(), key=lambda item: item[1])
        rows = min(rows, max(block.rows for block in self.blocks))
        while rows > 0:
            places = self._places(rows, count)
            if places:
                return rows, places
            rows, name = rows - 1, "act_words"
        if count > 1:
            return 0, ()
        raise BadInput(
            f"one query with {self.head.keys} keys does not fit into {name}={getattr(cfg, name)}; build the "
            "accelerator with more"
        )

    @property
    def _first_scale(self) -> int:
        """Parameter word of the first row; the words before it hold the constants of the logits."""
        return max(1, self.config.bus_bytes // self.config.parameter.word_bytes)

    def _places(self, rows: int, count: int) -> tuple[Place, ...]:
        """Where ``count`` bands of ``rows`` queries lie; empty if there is no room."""
        cfg, digits = self.config, self.config.softmax_digits
        queries = align(rows * self.chunks, self.unit)
        exponentials = align(digits * rows * self.most, self.unit)
        out = rows * align(self.chunks, self.unit)  # STORE reads whole words of the bus
        # LOAD writes queries while VEC writes exponentials, and STORE reads results while the DSP core reads both.
        apart = cfg.act.bank_words if count > 1 and cfg.act_banks >= 4 else self.unit
        second = align(count * queries, apart)
        third = align(second + count * exponentials, apart)
        if third + count * out > cfg.act_words:
            return ()
        scores, sums = rows * self.most, rows * digits * self.chunks
        return tuple(
            Place(
                queries=i * queries,
                exponentials=second + i * exponentials,
                out=third + i * out,
                scores=i * scores,
                sums=count * scores + i * sums,
                scales=self._first_scale + i * rows,
            )
            for i in range(count)
        )

    def _cut(self, most: int) -> list[tuple[Block, int, int]]:
        """Blocks in bands of at most ``most`` queries, as equal as can be: block, first query, queries."""
        parts = []
        for block in self.blocks:
            rows = ceil_div(block.rows, ceil_div(block.rows, most))
            firsts = range(0, block.rows, rows)
            parts += [(block, block.first + first, min(rows, block.rows - first)) for first in firsts]
        return parts

    def _band(self, plan: Plan, block: Block, first: int, rows: int) -> Band:
        """Some queries of a block."""
        lanes, head = self.config.lanes, self.head
        here = np.zeros(plan.slots, bool)
        for begin, end in block.tiles:
            here[plan.slot(begin) : plan.slot(begin) + end - begin] = True
        if head.causal:
            # From this key on no tile is left out: each row ends one element behind the row before it.
            tile, inside = divmod(head.keys - head.queries + first, lanes)
            before = sum(min(end, tile) - begin for begin, end in block.tiles if begin < tile)
            keep = before * lanes + inside + 1
        else:
            last = block.tiles[-1][1] == self.tiles
            keep = block.kept * lanes - (self.tiles * lanes - head.keys if last else 0)
        return Band(first, rows, self._loaded(block), stretches(here), keep)
