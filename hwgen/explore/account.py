"""Where the cycles of a run go, layer by layer, from the first and last cycle of every instruction alone.

Definitions
-----------
*Window.* A layer ends with its last instruction, or with a layer before it that ends later. Its cycles are those from
the end of the layer before it to its own; the last layer's go on to the end of the program. So they add up to the run.

*Main engine.* DSP, LUT or SPARSE, whichever is busy longest with instructions of the layer; VEC if it has none of
them.

*Compute.* The fewest cycles that the layer's arithmetic takes, given by the caller: all cores busy to the end.

*Losses.* What the layer's cycles are more than that. With ``tiles``, ``short`` and ``busy`` summed over the main
engine's instructions of the layer:

- ``split``: what the main engine's share of the arithmetic takes more than that, because the other core has less to do,
  or nothing;
- ``edges``: from there to ``tiles``: partly filled tiles, channels padded to words; of sparse weights also slots that
  no weight needs, and what short rounds are filled up with;
- ``weight load``: ``short``, passes of fewer outputs than the weights of the next pass take to come;
- ``fill and drain``: what is left of ``busy``: constants of every run, and setting loops;
- ``dram`` and ``synchronisation``: cycles of the window in which the main engine did nothing, see *chain*;
- ``overlap``: cycles of the window in which it worked for other layers, less those outside of the window in which it
  worked for this one. Negative where a layer's work began before the layer ahead had ended; over a network what one
  layer gains another one loses.

Compute and losses add up to the layer's cycles exactly.

*Chain.* An instruction starts once its engine and its tokens are there: what released it is, of the engine's
instruction before and the givers of its tokens, the one that ended last. In a cycle in which the main engine does
nothing, follow this chain back from its next instruction of the layer (after the last one: from the instruction that
ends the layer) to the instruction that runs in that cycle. The cycle belongs to that engine: to ``dram`` if it is LOAD
or STORE, else to ``synchronisation``. If no instruction of the chain runs, the next one was not there yet: such cycles
are the dispatcher's, and ``synchronisation`` too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.numerics import IntArray
from hwgen.program.table import ENGINES

__all__ = ["DISPATCH", "LOSSES", "LayerAccount", "Story", "account"]

LOSSES = ("split", "edges", "weight load", "fill and drain", "dram", "synchronisation", "overlap")
"""Parts of a layer's cycles beside compute."""

DISPATCH = "dispatch"
"""Who is waited for when an instruction has not left the dispatcher."""

_VEC = ENGINES.index("vec")
_CORES = tuple(ENGINES.index(name) for name in ("dsp", "lut", "sparse"))


@dataclass(frozen=True, eq=False)
class Story:
    """What happened. Arrays have one entry per instruction, in program order.

    Parameters
    ----------
    engine : int array
        Index into :data:`~hwgen.program.table.ENGINES`; any other number for the dispatcher's own.
    starts, ends : int64 array
        First and last cycle.
    wait, signal : int array
        Masks of engines.
    layer : int array
        Index of the layer; -1 for none.
    tiles, short : int64 array
        See :class:`hwgen.system.amounts.Amounts`.
    cycles : int
        Of the run.
    """

    engine: IntArray
    starts: IntArray
    ends: IntArray
    wait: IntArray
    signal: IntArray
    layer: IntArray
    tiles: IntArray
    short: IntArray
    cycles: int

    @cached_property
    def released(self) -> IntArray:
        """Which instruction's end let each one start; -1 if it waited for none."""
        found = np.full(len(self.engine), -1, np.int64)
        ends = np.full(len(self.engine), -1, np.int64)
        of_engine = [np.flatnonzero(self.engine == number) for number in range(len(ENGINES))]
        pairs = [
            (own[self.signal[own] >> taker & 1 == 1], other[self.wait[other] >> giver & 1 == 1])
            for giver, own in enumerate(of_engine)
            for taker, other in enumerate(of_engine)
        ]
        # Of two that end together the giver of a token counts, hence the order.
        for givers, takers in (*pairs, *((own[:-1], own[1:]) for own in of_engine)):
            count = min(len(givers), len(takers))
            givers, takers = givers[:count], takers[:count]
            later = self.ends[givers] > ends[takers]
            found[takers[later]] = givers[later]
            ends[takers[later]] = self.ends[givers[later]]
        return found


@dataclass(frozen=True)
class LayerAccount:
    """One layer.

    Parameters
    ----------
    first, cycles : int
        First cycle of its window, and length.
    main : str
        Name of the main engine; empty if the layer computes nothing.
    busy : dict of str to int
        Cycles of its instructions, by engine.
    compute : int
        The bound that was given, of all cores together.
    tiles : int
        Cycles of full tiles on the main engine.
    losses : dict of str to int
        By :data:`LOSSES`.
    waits : dict of str to int
        Cycles in which the main engine did nothing, by the engine that it waited for, or :data:`DISPATCH`.
    """

    first: int
    cycles: int
    main: str
    busy: dict[str, int]
    compute: int
    tiles: int
    losses: dict[str, int]
    waits: dict[str, int]


def account(story: Story, compute: Sequence[int], shares: Sequence[Mapping[str, int]]) -> list[LayerAccount]:
    """Account for every cycle.

    Parameters
    ----------
    story : Story
        A run that came to its end.
    compute : sequence of int
        Fewest cycles of every layer's arithmetic, in the order of the layers.
    shares : sequence of mapping of str to int
        Fewest cycles of what each engine computes of every layer, by engine.

    Raises
    ------
    ValueError
        If a layer's arithmetic took fewer cycles than that.
    """
    done = np.full(len(compute), -1, np.int64)
    owned = story.layer >= 0
    np.maximum.at(done, story.layer[owned], story.ends[owned])
    done = np.maximum.accumulate(done)
    done[-1:] = story.cycles - 1
    firsts = np.concatenate([[0], done[:-1] + 1])
    return [
        _layer(story, index, (int(firsts[index]), int(done[index])), bound, share)
        for index, (bound, share) in enumerate(zip(compute, shares, strict=True))
    ]


def _layer(
    story: Story, index: int, window: tuple[int, int], compute: int, shares: Mapping[str, int]
) -> LayerAccount:
    first, last = window
    own = np.flatnonzero(story.layer == index)
    lengths = story.ends - story.starts + 1
    busy = {name: int(lengths[own[story.engine[own] == e]].sum()) for e, name in enumerate(ENGINES)}
    main = max(_CORES, key=lambda core: busy[ENGINES[core]])
    if not busy[ENGINES[main]]:
        main = _VEC
    runs = own[story.engine[own] == main]
    total = int(lengths[runs].sum())
    if compute > total:
        raise ValueError(f"layer {index} computed in {total} cycles, and its bound is {compute}")
    tiles = int(story.tiles[runs].sum())
    short = int(story.short[runs].sum())
    steps = np.maximum.accumulate([compute, shares.get(ENGINES[main], 0), tiles, tiles + short, total])
    split, edges, weights, fill = np.diff(np.minimum(steps, total)).tolist()

    everyone = np.flatnonzero(story.engine == main)
    inside = int(_common(story, runs, first, last).sum())
    foreign = int(_common(story, everyone, first, last).sum()) - inside
    waits = _waits(story, own, runs, everyone, first, last)
    dram = waits.get("load", 0) + waits.get("store", 0)
    idle = sum(waits.values()) - dram
    parts = (split, edges, weights, fill, dram, idle, foreign - (total - inside))
    return LayerAccount(
        first,
        last - first + 1,
        ENGINES[main] if total else "",
        {name: cycles for name, cycles in busy.items() if cycles},
        compute,
        tiles,
        dict(zip(LOSSES, parts, strict=True)),
        waits,
    )


def _common(story: Story, which: IntArray, first: int, last: int) -> IntArray:
    """Cycles that instructions have in a window."""
    cycles = np.minimum(story.ends[which], last) - np.maximum(story.starts[which], first) + 1
    return np.asarray(np.maximum(0, cycles))


def _waits(
    story: Story, own: IntArray, runs: IntArray, everyone: IntArray, first: int, last: int
) -> dict[str, int]:
    """Cycles of a window in which the main engine did nothing, by whom the chain leads to."""
    waits: dict[str, int] = {}
    ends, lengths = story.ends[everyone], story.ends[everyone] - story.starts[everyone] + 1
    sums = np.concatenate([[0], np.cumsum(lengths)])

    def busy(cycle: int) -> int:
        """Cycles up to this one in which the main engine did something."""
        at = int(np.searchsorted(ends, cycle))  # those before have ended by then, or end now
        if at == len(ends):
            return int(sums[-1])
        return int(sums[at]) + max(0, cycle - int(story.starts[everyone[at]]) + 1)

    def tell(engine: int, low: int, high: int) -> None:
        cycles = high - low + 1 - (busy(high) - busy(low - 1))
        name = ENGINES[engine] if engine >= 0 else DISPATCH
        if cycles:
            waits[name] = waits.get(name, 0) + cycles

    def follow(index: int, low: int, high: int) -> None:
        """The chain from before an instruction's start, through the cycles from ``high`` down to ``low``."""
        while high >= low:
            index = int(story.released[index])
            start, end = (int(story.starts[index]), int(story.ends[index])) if index >= 0 else (-1, -1)
            if end < high:
                tell(-1, max(low, end + 1), high)
            high = min(high, end)
            if start <= high and low <= high:
                tell(int(story.engine[index]), max(low, start), high)
            high = min(high, start - 1)

    low = first
    for index in runs.tolist():
        follow(index, low, min(last, int(story.starts[index]) - 1))
        low = max(low, int(story.ends[index]) + 1)
    if low <= last and len(own):
        final = int(own[np.argmax(story.ends[own])])
        start, end = int(story.starts[final]), int(story.ends[final])
        if end < last:
            tell(-1, max(low, end + 1), last)
        if max(low, start) <= end:
            tell(int(story.engine[final]), max(low, start), end)
        follow(final, low, start - 1)
    elif low <= last:
        tell(-1, low, last)
    return waits
