"""Runs of different engines that meet in one memory without a token that puts them in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwgen.numerics import IntArray
from hwgen.program.dataflow import Dataflow
from hwgen.system.access import Access, Rows, Words, overlap
from hwgen.system.config import Space

__all__ = ["Hazard", "banks", "hazards"]


@dataclass(frozen=True)
class Hazard:
    """Two runs of different engines that may go on at the same time, and must not.

    Parameters
    ----------
    first, second : int
        Instructions, in program order.
    space : str
        Memory, as in :class:`~hwgen.system.access.Access`.
    writes : (bool, bool)
        Whether the one, and the other, writes.
    bank : int or None
        Bank whose port both use; None if they touch the same addresses.
    low, high : int
        First address that both touch, or of the bank, and one behind the last.
    """

    first: int
    second: int
    space: str
    writes: tuple[bool, bool]
    bank: int | None
    low: int
    high: int


def banks(where: Words | Rows, bank_words: int) -> int:
    """Mask of the banks in which addresses lie."""
    mask = 0
    for first, end in zip(*where.ranges, strict=True):
        low, high = int(first) // bank_words, (int(end) - 1) // bank_words
        mask |= (2 << high) - (1 << low)
    return mask


class _Table:
    """All accesses of one engine to one memory, as columns, in program order."""

    def __init__(self, flow: Dataflow, entries: list[tuple[int, Access]], bank_words: int):
        self.entries = entries
        self.index = np.array([i for i, _ in entries])
        self.position = np.array([flow.position[i] for i, _ in entries])
        self.low = np.array([access.where.low for _, access in entries])
        self.high = np.array([access.where.high for _, access in entries])
        self.write = np.array([access.write for _, access in entries])
        self.units = np.array([access.units for _, access in entries])
        # By bounds only; looked at closely where they meet.
        self.banks = np.zeros(len(entries), np.int64)
        if bank_words:
            self.banks = np.left_shift(2, (self.high - 1) // bank_words) - np.left_shift(
                1, self.low // bank_words
            )


def hazards(
    flow: Dataflow, accesses: Mapping[int, Sequence[Access]], buffers: Mapping[str, Space]
) -> Iterator[Hazard]:
    """Every pair of runs that is not in order and must be, by the second one's number; the first reason of each.

    Two runs must be in order if they are of different engines and touch a common address that one of them writes, or
    if both read, or both write, in one bank of a buffer that has several: a bank has one port per direction.

    Parameters
    ----------
    flow : Dataflow
        The program, which must not hang.
    accesses : mapping of sequence of Access
        By instruction.
    buffers : mapping of Space
        Buffers by name.
    """
    by_space: dict[str, dict[str, list[tuple[int, Access]]]] = {}
    for index, found in accesses.items():
        engine = flow.instructions[index].engine
        for access in found:
            by_space.setdefault(access.space, {}).setdefault(engine, []).append((index, access))
    doubts = []
    for space, by_engine in by_space.items():
        # Banks matter only where several engines share a direction.
        bank_words = buffers[space].bank_words if space in ("act", "acc", "parameter") else 0
        tables = {engine: _Table(flow, entries, bank_words) for engine, entries in by_engine.items()}
        for first in tables:
            for second in tables:
                if first != second:
                    pairs = _unordered(flow, first, tables[first], second, tables[second])
                    doubts += [
                        (*tables[second].entries[b], *tables[first].entries[a], bank_words)
                        for a, b in zip(*pairs, strict=True)
                    ]
    doubts.sort(key=lambda doubt: (doubt[0], doubt[2]))  # stable: reads before writes, as they were listed
    told: tuple[int, int] | None = None
    for later, new, earlier, old, bank_words in doubts:
        if told == (earlier, later):
            continue
        hazard = _met(earlier, old, later, new, bank_words)
        if hazard:
            told = earlier, later
            yield hazard


def _unordered(flow: Dataflow, first: str, a: _Table, second: str, b: _Table) -> tuple[list[int], list[int]]:
    """Entries of both that may meet: a's instruction is earlier in the program, but nothing orders the two."""
    # In front of b's instruction, those of a's engine that may still run: behind the last that has surely ended.
    engines = flow.engines
    begin = np.searchsorted(a.position, flow.ended[b.index, engines.index(first)], "left")
    end = np.searchsorted(a.index, b.index, "left")
    count = np.maximum(end - begin, 0)
    mine = np.repeat(np.arange(len(b.index)), count)
    offset = np.arange(len(mine)) - np.repeat(np.cumsum(count) - count, count)
    theirs: IntArray = np.repeat(begin, count) + offset
    near = (a.low[theirs] < b.high[mine]) & (b.low[mine] < a.high[theirs])
    touches = near & (a.write[theirs] | b.write[mine]) & (a.units[theirs] & b.units[mine] != 0)
    shares = (a.write[theirs] == b.write[mine]) & (a.banks[theirs] & b.banks[mine] != 0)
    # The later one can also be first for sure: if the earlier one waits for it.
    open_ = flow.ended[a.index[theirs], engines.index(second)] <= b.position[mine]
    keep = (touches | shares) & open_
    return theirs[keep].tolist(), mine[keep].tolist()


def _met(earlier: int, old: Access, later: int, new: Access, bank_words: int) -> Hazard | None:
    """The hazard, if exact addresses show one."""
    writes = old.write, new.write
    if any(writes) and old.units & new.units:
        common = overlap(old.where, new.where)
        if common:
            return Hazard(earlier, later, old.space, writes, None, *common)
    if bank_words and old.write == new.write:
        shared = banks(old.where, bank_words) & banks(new.where, bank_words)
        if shared:
            bank = (shared & -shared).bit_length() - 1
            return Hazard(earlier, later, old.space, writes, bank, bank * bank_words, (bank + 1) * bank_words)
    return None
