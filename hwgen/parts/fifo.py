"""A small queue whose first entry is always on show."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit
from hwgen.numerics import index_bits

__all__ = ["Fifo"]


class Fifo(Unit):
    """Queue in distributed RAM; an entry is on show the cycle after it was pushed.

    Parameters
    ----------
    name : str
        What distinguishes the module.
    width : int
        Bits per word.
    depth : int
        Words, a power of two and at least two.
    registered : bool
        Whether ``head`` comes out of a register, for logic behind it; a register and a choice more per bit.
        ``popped`` and ``kept`` tell it a cycle before, with and without a ``pop``.

    Members
    -------
    push, data : In
        Adds a word; the caller has seen ``full`` low, or knows that there is room.
    pop : In(1)
        Removes the first word if there is one.
    valid, head : Out
        Whether there is a first word, and it.
    full : Out(1)
        No room.
    level : Out
        Words inside.
    """

    def __init__(self, name: str, width: int, depth: int, *, registered: bool = False):
        self.name = name
        self.registered = registered
        self.width = width
        self.depth = depth
        super().__init__({
            "push": In(1), "data": In(width), "pop": In(1), "valid": Out(1), "head": Out(width),
            "full": Out(1), "level": Out(range(depth + 1)),
            **({"popped": Out(width), "kept": Out(width)} if registered else {}),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``fifo`` and the name."""
        return f"fifo_{self.name}"

    def elaborate(self, platform: Any) -> Module:
        """Build the queue."""
        m = Module()
        memory: Memory[Any, Any] = Memory(shape=self.width, depth=self.depth, init=[])
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port(domain="comb")
        first = Signal(index_bits(self.depth))
        free = Signal(index_bits(self.depth))
        level: Value = self.level
        there = Signal()
        take = Signal()
        m.d.comb += [
            take.eq(self.pop & there),
            write.addr.eq(free),
            write.data.eq(self.data),
            write.en.eq(self.push),
            self.valid.eq(there),
            self.full.eq(level[-1]),  # the depth is a power of two
        ]
        m.d.sync += [
            level.eq(level + self.push - take),
            there.eq(self.push | (there & ~(self.pop & (level == 1)))),
        ]
        if self.registered:
            # The word behind the first one is read, to be the first: the one just pushed if there is none. Without a
            # first word it does not matter what is shown, so a push need not reach all the bits.
            second = Signal(index_bits(self.depth), init=1)
            few = Signal()  # no word behind the first
            shown = Signal(self.width, reset_less=True)
            after = Mux(few, self.data, read.data)
            m.d.comb += [
                few.eq(level[1:] == 0),
                read.addr.eq(second),
                self.head.eq(shown),
                self.popped.eq(after),
                self.kept.eq(Mux(there, shown, self.data)),
            ]
            with m.If(self.pop | ~there):
                m.d.sync += shown.eq(after)
            with m.If(take):
                m.d.sync += second.eq(second + 1)
        else:
            m.d.comb += [read.addr.eq(first), self.head.eq(read.data)]
        with m.If(self.push):
            m.d.sync += free.eq(free + 1)
        with m.If(take):
            m.d.sync += first.eq(first + 1)
        return m
