"""Cycle models of the elastic parts: when every beat moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from hwgen.core import Schedule, StreamEnd
from hwgen.numerics import ceil_log2

__all__ = ["READ_LATENCY", "ElasticTiming", "RowBeats", "RowsShape", "RowsTiming"]

READ_LATENCY = 2
"""Cycles from a read of the row buffer to its word: the memory's register, and one behind it."""


class _Open:
    """The other side of a stream that never waits."""

    def transfer(self, earliest: int) -> int:
        return earliest


class ElasticTiming:
    """When the beats of an ``Elastic`` move.

    Parameters
    ----------
    latency : int
        Cycles of the datapath.
    """

    def __init__(self, latency: int):
        self.latency = latency

    @property
    def depth(self) -> int:
        """Beats that may be inside: enough for one in every cycle, rounded up to a power of two."""
        return 1 << ceil_log2(self.latency + 2)

    def run(self, beats: Sequence[int], source: StreamEnd | None, sink: StreamEnd | None) -> Schedule:
        """Schedule of operations of so many beats; an end that is absent never waits."""
        read, write = source or _Open(), sink or _Open()
        if source is None and sink is None:
            return self._free(beats)
        leaves: deque[int] = deque(maxlen=self.depth)
        starts, ends = [], []
        taken = left = -1
        for count in beats:
            for beat in range(count):
                room = leaves[0] + 1 if len(leaves) == self.depth else 0
                taken = read.transfer(max(taken + 1, room))
                left = write.transfer(max(left + 1, taken + self.latency + 1))
                leaves.append(left)
                if beat == 0:
                    starts.append(taken)
            ends.append(left)
        return Schedule(starts, ends, left + 1)

    def _free(self, beats: Sequence[int]) -> Schedule:
        starts, ends, done = [], [], 0
        for count in beats:
            starts.append(done)
            done += count
            ends.append(done + self.latency)
        return Schedule(starts, ends, done + self.latency + 1 if beats else 0)


@dataclass(frozen=True)
class RowsShape:
    """What decides the cycles of a ``Rows``.

    Parameters
    ----------
    longest : int
        Beats of the longest row.
    stat_latency : int
        Cycles from the take of a row's last word to its statistics.
    result_latency : int
        Cycles from a kept word to its result.
    again : int, optional
        If rows may have to go through the first pass once more: cycles from the last word to new statistics.
    settle : int
        How long no words are taken before that, so that those on their way are out of it.
    """

    longest: int
    stat_latency: int
    result_latency: int
    again: int | None = None
    settle: int = 0

    @property
    def words(self) -> int:
        """Words of the row buffer: the longest row, and what arrives before its second pass begins."""
        return self.longest + self.stat_latency + 2

    @property
    def rows(self) -> int:
        """Rows that may wait between the passes: enough for rows of one beat in every cycle."""
        return 1 << ceil_log2(self.stat_latency + 2)

    @property
    def results(self) -> int:
        """Results that may be on their way out."""
        return 1 << ceil_log2(READ_LATENCY + self.result_latency + 2)

    @property
    def latency(self) -> int:
        """Cycles from the transfer of a row's last word to its first result's, when nothing waits."""
        return self.stat_latency + 1 + READ_LATENCY + self.result_latency + 1


@dataclass(frozen=True)
class RowBeats:
    """Cycles of one row.

    Parameters
    ----------
    first, last : int
        Transfer of its first and of its last word.
    begun : int
        Its first word is read for the second pass.
    freed : int
        Its last word is read for the second pass.
    end : int
        Transfer of its last result.
    """

    first: int
    last: int
    begun: int
    freed: int
    end: int


class RowsTiming:
    """When the beats of a ``Rows`` move, row by row.

    Parameters
    ----------
    shape : RowsShape
        Latencies and room.
    source, sink : StreamEnd, optional
        Other sides of input and output; one that is absent never waits.
    """

    def __init__(self, shape: RowsShape, source: StreamEnd | None = None, sink: StreamEnd | None = None):
        self.shape = shape
        self._read, self._write = source or _Open(), sink or _Open()
        self._reads: deque[int] = deque(maxlen=shape.words)
        self._freed: deque[int] = deque(maxlen=shape.rows)
        self._leaves: deque[int] = deque(maxlen=shape.results)
        self._taken = self._go = self._left = -1
        self._first = self._words = 0  # of the row that is being taken
        self.closed: deque[tuple[int, int]] = deque(maxlen=shape.rows)
        """First and last of the cycles in which no word is taken because a row goes by again: a source looks here."""

    def row(self, beats: int, earliest: int = 0) -> RowBeats:
        """The next row, of so many beats, whose first word is not taken before ``earliest``."""
        for beat in range(beats):
            self.take(0 if beat else earliest)
        return self.finish()

    def take(self, earliest: int = 0) -> int:
        """Transfer of the row's next word, not before ``earliest``: for rows whose source is another ``Rows``."""
        shape = self.shape
        row_room = self._freed[0] + 1 if len(self._freed) == shape.rows else 0
        spare = shape.words - len(self._reads)  # places that no word has had yet
        # Its own words are read only when all of them are there, so the room comes from rows before it.
        room = self._reads[self._words - spare] + 1 if self._words >= spare else 0
        self._taken = self._read.transfer(max(self._taken + 1, room, row_room, earliest))
        if self._words == 0:
            self._first = self._taken
        self._words += 1
        return self._taken

    def finish(self, *, again: bool = False) -> RowBeats:
        """The second pass of the row whose words have been taken, and if ``again`` once more the first one before.

        That keeps the input closed: see :attr:`closed`.
        """
        shape = self.shape
        known = self._taken + shape.stat_latency + 1
        if again and shape.again is not None:
            start = max(known, self._go + 1)
            end = start + shape.settle + self._words - 1
            self.closed.append((start, end))
            known = end + READ_LATENCY + shape.again + 1
        begun = 0
        for word in range(self._words):
            credit = self._leaves[0] + 1 if len(self._leaves) == shape.results else 0
            self._go = max(self._go + 1, known, credit)
            if word == 0:
                begun = self._go
            self._left = self._write.transfer(
                max(self._left + 1, self._go + READ_LATENCY + shape.result_latency + 1)
            )
            self._reads.append(self._go)
            self._leaves.append(self._left)
        self._freed.append(self._go)
        self._words = 0
        return RowBeats(self._first, self._taken, begun, self._go, self._left)

    def run(self, beats: Sequence[int]) -> Schedule:
        """Schedule of rows of so many beats."""
        rows = [self.row(count) for count in beats]
        return Schedule([row.first for row in rows], [row.end for row in rows], self._left + 1)
