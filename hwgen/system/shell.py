"""What every engine has around it: queue, semaphores, and the state that counters and traces show."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.parts.fifo import Fifo
from hwgen.program.table import (
    ENGINES,
    FUNCTION_BITS,
    FUNCTION_LOW,
    INSTRUCTION_BYTES,
    MASK_BITS,
    SIGNAL_LOW,
    WAIT_LOW,
)

__all__ = ["Shell"]


class Shell(Unit):
    """Starts an engine's instructions in order, each when its tokens are there.

    An instruction pushed in one cycle can start in the next. A ``run`` keeps the engine busy from ``start`` to
    ``done``; every other instruction ends in the cycle in which it starts. Tokens given in one cycle count from the
    next.

    Parameters
    ----------
    run : int
        Function number of the engine's ``run``.
    depth : int
        Instructions that the queue holds.
    token_bits : int
        Width of a semaphore.

    Members
    -------
    push, word
        The dispatcher's side; it knows how much room the queue has.
    given : In(8), gives : Out(8)
        Tokens from and to the other engines, by number.
    start, begins, head, done
        The engine's side: ``head`` is the instruction that starts, a run if ``begins``; ``done`` is the last cycle of
        a run.
    busy, idle, waiting : Out(1)
        A run is under way; nothing is queued; the first instruction lacks a token.
    began, ended : Out(1)
        Events: an instruction starts, ends.
    missing : Out(8)
        Engines whose token the first instruction lacks.
    overflow : Out(1)
        A semaphore is full and was given another token.
    """

    def __init__(self, run: int, depth: int, token_bits: int):
        self.run = run
        self.depth = depth
        self.token_bits = token_bits
        super().__init__({
            "push": In(1), "word": In(8 * INSTRUCTION_BYTES),
            "given": In(MASK_BITS), "gives": Out(MASK_BITS),
            "start": Out(1), "begins": Out(1), "head": Out(8 * INSTRUCTION_BYTES), "done": In(1),
            "busy": Out(1), "idle": Out(1), "waiting": Out(1), "began": Out(1), "ended": Out(1),
            "missing": Out(MASK_BITS), "overflow": Out(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``shell`` and the function that runs."""
        return f"shell_{self.run}"

    def elaborate(self, platform: Any) -> Module:
        """Build queue and semaphores."""
        m = Module()
        queue = Fifo("queue", 8 * INSTRUCTION_BYTES, self.depth, registered=True)
        place(m, "queue", queue, platform)
        head: Value = self.head
        wait = head[WAIT_LOW : WAIT_LOW + len(ENGINES)]
        signal = head[SIGNAL_LOW : SIGNAL_LOW + len(ENGINES)]
        single = Signal()  # the first instruction is no run: known a cycle before, too
        signals = Signal(len(ENGINES), reset_less=True)
        blocked = Signal()  # the first instruction lacks a token: known a cycle before
        free = Signal()  # for the first instruction, if there is one
        ends = Signal()
        lacks = Signal(len(ENGINES))
        waits_popped, waits_kept = (word[WAIT_LOW:] for word in (queue.popped, queue.kept))
        blocked_popped: Value = Const(0, 1)
        blocked_kept: Value = Const(0, 1)
        full = []
        for e in range(len(ENGINES)):
            tokens = Signal(self.token_bits, name=f"tokens_{ENGINES[e]}")
            some = Signal(name=f"has_{ENGINES[e]}")  # tokens != 0, which is asked late
            taken = Signal(name=f"takes_{ENGINES[e]}")
            given, most = self.given[e], tokens.all()
            m.d.comb += [lacks[e].eq(wait[e] & ~some), taken.eq(self.start & wait[e])]
            if_taken, if_not = given | (tokens != 1), Mux(given, ~most, some)
            m.d.sync += [tokens.eq(tokens + given - taken), some.eq(Mux(taken, if_taken, if_not))]
            blocked_popped = blocked_popped | (waits_popped[e] & ~Mux(wait[e], if_taken, if_not))
            blocked_kept = blocked_kept | (waits_kept[e] & ~if_not)
            full.append(most & given & ~taken)
        m.d.comb += [
            queue.push.eq(self.push),
            queue.data.eq(self.word),
            free.eq(~self.busy & ~blocked),
            queue.pop.eq(free),
            head.eq(queue.head),
            self.start.eq(queue.valid & free),
            self.begins.eq(self.start & ~single),
            ends.eq(Mux(self.busy, self.done, self.start & single)),
            self.gives.eq(Mux(ends, Mux(self.busy, signals, signal), 0)),
            self.began.eq(self.start),
            self.ended.eq(ends),
            self.idle.eq(~self.busy & ~queue.valid),
            self.waiting.eq(~self.busy & queue.valid & blocked),
            self.missing.eq(Mux(self.waiting, lacks, 0)),
            self.overflow.eq(Cat(full).any()),
        ]
        popped_single, kept_single = (
            word[FUNCTION_LOW : FUNCTION_LOW + FUNCTION_BITS] != self.run
            for word in (queue.popped, queue.kept)
        )
        m.d.sync += [
            blocked.eq(Mux(self.start, blocked_popped, blocked_kept)),
            single.eq(Mux(self.start, popped_single, kept_single)),
        ]
        with m.If(self.begins):
            m.d.sync += [self.busy.eq(1), signals.eq(signal)]
        with m.Elif(self.done):
            m.d.sync += self.busy.eq(0)
        return m
