"""The cycle model: when each beat moves, exactly, with and without stalls.

Names of the recurrences, all in cycles after reset (the hardware's registers are named alike):

* ``open``: the first activations of a pass may move; ``filled``: its last ones did.
* ``start``: the pass is handed to the decoder. Five cycles later the first round may begin.
* ``begin``, ``end``: first and last cycle of a round; ``come``: its last word leaves the array.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hwgen.core import Schedule, StreamEnd
from hwgen.cores.sparse_chain.config import SparseChainConfig
from hwgen.cores.sparse_chain.operation import Shape, SparseProduct
from hwgen.cores.sparse_chain.tiling import Pass, cut
from hwgen.numerics import ceil_div
from hwgen.parts.sparse import BLOCK, PATTERNS

__all__ = ["SparseChainTiming"]

_START = 5
"""Cycles from a pass' start to its first round."""

_SLOTS = np.array([p.slots for p in PATTERNS])
_DENSE = next(p.code for p in PATTERNS if p.n == p.m)
_FOUR = {p.code for p in PATTERNS if p.m == 4}


class SparseChainTiming:
    """Cycle model of one configuration.

    Parameters
    ----------
    config : SparseChainConfig
        The core.
    """

    def __init__(self, config: SparseChainConfig):
        self.config = config

    def free(self, operations: Sequence[SparseProduct | Shape]) -> Schedule:
        """Schedule when every stream is always ready; work per pass, not per beat."""
        run, command = _Passes(self.config), 0
        starts, ends = [], []
        for op in operations:
            starts.append(command)
            ready = command + 1
            for part in cut(self.config, *op.shape, op.spread).passes():
                opened = run.open(ready)
                filled = opened + part.k_count - 1
                ready = filled + 1
                start = run.start(filled + 1, op.spread)
                cycles = self._rounds(op, part)
                begin = max(start + _START, run.end + 1 + run.gap)
                gap = self.config.array.gap(op.spread)
                run.finish(begin + int(cycles.sum()) + (len(cycles) - 1) * gap - 1, op.spread)
            command = ready
            ends.append(run.end + self.config.latency + self._last_word(op))
        return Schedule(starts, ends, max(ends) + 1 if ends else 0)

    def stalled(self, operations: Sequence[SparseProduct | Shape], ends: Mapping[str, StreamEnd]) -> Schedule:
        """Schedule with producers and a consumer that may wait: every beat in turn."""
        run, queues = _Passes(self.config), _Queues(self.config, ends)
        starts, finals = [], []
        ready = 0
        for op in operations:
            starts.append(ends["cmd"].transfer(ready))
            ready = starts[-1] + 1
            for part in cut(self.config, *op.shape, op.spread).passes():
                moved = run.open(ready) - 1
                for _ in range(part.k_count):
                    moved = ends["a"].transfer(moved + 1)
                ready = moved + 1
                start = run.start(ready, op.spread)
                self._walk(op, part, start, run, queues)
            finals.append(queues.sent)
        return Schedule(starts, finals, max(finals) + 1 if finals else 0)

    def losses(self, operation: SparseProduct | Shape) -> dict[str, float]:
        """Where the cycles of one command go when it runs alone; the values add up to its cycles.

        ``compute`` is the physical bound, the products that the slots of the blocks stand for over the multipliers;
        ``edges`` what partly filled tiles and blocks add; ``rounds`` what short rounds add; ``fill and drain``
        activations on their way in that nothing hides, and the way out.
        """
        array = self.config.array
        m, n, k = operation.shape
        slots = blocks = rounds = 0
        for part in cut(self.config, m, n, k, operation.spread).passes():
            taken = _SLOTS[operation.codes(self.config, part)]
            slots, blocks = slots + int(taken.sum()), blocks + taken.size
            cycles = self._rounds(operation, part)
            rounds += int(cycles.sum()) + len(cycles) * array.gap(operation.spread)
        rounds -= array.gap(operation.spread)  # nothing follows the last one
        total = self.free([operation]).cycles
        compute = operation.macs * slots / (BLOCK * blocks) / array.macs
        return {
            "compute": compute,
            "edges": slots - compute,
            "rounds": float(rounds - slots),
            "fill and drain": float(total - rounds),
        }

    def _rounds(self, op: SparseProduct | Shape, part: Pass) -> npt.NDArray[np.int64]:
        """Cycles of each round of a pass, without the gaps between them."""
        slots = _SLOTS[op.codes(self.config, part)]
        words = ceil_div(slots.shape[1], BLOCK)
        padded = np.zeros((len(slots), words * BLOCK), np.int64)
        padded[:, : slots.shape[1]] = slots
        steps = np.maximum(padded.reshape(len(slots), words, BLOCK).sum(axis=-1), 1).sum(axis=-1)
        cycles: npt.NDArray[np.int64] = np.maximum(steps, self.config.array.least(op.spread))
        return cycles

    def _last_word(self, op: SparseProduct | Shape) -> int:
        """Number of a command's last word within its round."""
        return int(self._sent_words(op, list(cut(self.config, *op.shape, op.spread).passes())[-1])[-1][-1])

    def _sent_words(self, op: SparseProduct | Shape, part: Pass) -> list[npt.NDArray[np.int64]]:
        """Numbers of the words that each round of a pass sends."""
        cfg, lanes = self.config, self.config.array.shared.columns
        ways = cfg.ways if op.spread else 1
        numbers = np.arange(cfg.array.words)
        rows = numbers // lanes % (cfg.rows // ways)
        tiles = numbers // (cfg.rows // ways * lanes) * lanes + numbers % lanes
        left = ceil_div(part.n_count, BLOCK)
        count = ceil_div(left, ways * lanes)
        inside = rows < part.m_count
        return [numbers[inside & (tiles < left - r * ways * lanes)] for r in range(count)]

    def _walk(self, op: SparseProduct | Shape, part: Pass, start: int, run: _Passes, queues: _Queues) -> None:
        """Step by step through a pass."""
        cfg = self.config
        array = cfg.array
        gap = array.gap(op.spread)
        rows, blocks = _Rows(cfg, op.weight_bits, op.spread), _Blocks(start, queues)
        sent = self._sent_words(op, part) if part.last else None
        for number, codes in enumerate(op.codes(cfg, part)):
            begin = -1
            fire = run.end + run.gap
            for word in range(0, len(codes), BLOCK):
                items = [int(code) for code in codes[word : word + BLOCK] if code] or [0]
                for place, code in enumerate(items):
                    fire = max(fire, blocks.take(place == 0))
                    for _ in range(max(1, int(_SLOTS[code]))):
                        earliest = fire + 1
                        if begin < 0 and sent is not None:
                            earliest = max(earliest, queues.room(array.words))
                        fire = queues.operands(earliest, rows.step(code))
                        begin = fire if begin < 0 else begin
                    blocks.ends(fire)
            run.end = max(fire, begin + array.least(op.spread) - 1)
            run.gap = gap
            if sent is not None:
                queues.words(run.end + array.latency, array.words, sent[number])
        run.finish(run.end, op.spread)


class _Passes:
    """Halves of the operand memories, and what the passes before leave behind."""

    def __init__(self, config: SparseChainConfig):
        self.array = config.array
        self.end = -1  # last cycle of the last round
        self.gap = 0
        self._come: deque[int] = deque([-2, -2], maxlen=2)  # the last word of the last two passes comes
        self._spread = False

    def open(self, ready: int) -> int:
        """First cycle in which a pass' activations can move; ``ready`` is when the walker gets to it."""
        return max(ready, self._come[0] + 1) + 1

    def start(self, ready: int, spread: bool) -> int:
        """The pass is handed over; modes do not mix."""
        start = max(ready, self.end + 1)
        if spread or self._spread:
            start = max(start, self._come[-1] + 1)
        self._spread = spread
        return start

    def finish(self, end: int, spread: bool) -> None:
        """A pass' last round ends in cycle ``end``."""
        self.end, self.gap = end, self.array.gap(spread)
        self._come.append(end + self.array.latency + self.array.words - 2)


class _Blocks:
    """Words of codes, the next block, and the block whose slots are taken: when each gets there."""

    def __init__(self, start: int, queues: _Queues):
        self._queues = queues
        self._emptied = start + 2  # the register of words can take the next one
        self._moved = self._taken = self._ended = -1

    def take(self, new_word: bool) -> int:
        """Cycle in which the next block with slots becomes the one that they are taken from."""
        if new_word:
            self._moved = self._queues.code(max(self._emptied, self._moved))
        self._moved = max(self._moved + 1, self._taken)
        self._taken = max(self._moved + 1, self._ended)
        return self._taken

    def ends(self, cycle: int) -> None:
        """Its last slots are taken."""
        self._ended = cycle


class _Rows:
    """Which steps take another row of values, of indices."""

    def __init__(self, config: SparseChainConfig, bits: int, spread: bool):
        self.words = 1 if spread else config.ways
        self.bits = bits if config.narrow else 8
        self.narrow = config.narrow
        self._unit = self._half = 0

    def step(self, code: int) -> list[str]:
        """Streams of which a step on a block takes a row."""
        if not _SLOTS[code]:
            return []
        size = 8 * self.words
        first, last = self._unit, self._unit + self.bits - 1
        names = ["value"] if first == 0 or last >= size else []
        self._unit = (last + 1) % size
        if code != _DENSE:
            names += ["index"] if self._half == 0 else []
            self._half = (self._half + (1 if code in _FOUR else 2)) % (2 * self.words)
        return names


class _Queues:
    """Beats that wait in front of the decoder, and the result buffer."""

    def __init__(self, config: SparseChainConfig, ends: Mapping[str, StreamEnd]):
        self._ends = ends
        self._pops = {
            name: deque([-1] * config.FIFO_DEPTH, maxlen=config.FIFO_DEPTH)
            for name in ("code", "value", "index")
        }
        self._free = config.result_depth
        # First cycles in which entries of the result buffer count as free again.
        self._returns: list[int] = []
        self.sent = -1  # last transfer of a result

    def _arrives(self, name: str) -> int:
        """First cycle in which the next beat can be taken."""
        return self._ends[name].transfer(self._pops[name][0] + 1) + 1

    def code(self, earliest: int) -> int:
        """Cycle in which a word of codes is taken."""
        cycle = max(earliest, self._arrives("code"))
        self._pops["code"].append(cycle)
        return cycle

    def operands(self, earliest: int, names: Sequence[str]) -> int:
        """Cycle in which a step takes a row of each of these streams."""
        cycle = max([earliest, *(self._arrives(name) for name in names)])
        for name in names:
            self._pops[name].append(cycle)
        return cycle

    def room(self, words: int) -> int:
        """First cycle in which so many entries are free; they are taken."""
        cycle = 0
        while self._free < words:
            cycle = heapq.heappop(self._returns)
            self._free += 1
        self._free -= words
        return cycle

    def words(self, first: int, count: int, sent: npt.NDArray[np.int64]) -> None:
        """A round's words come from cycle ``first`` on; those that are sent leave when they can."""
        inside = set(sent.tolist())
        for number in range(count):
            came = first + number
            if number not in inside:
                heapq.heappush(self._returns, came + 2)
                continue
            read = max(came + 2, self.sent)
            heapq.heappush(self._returns, read + 1)
            self.sent = self._ends["c"].transfer(read + 1)
