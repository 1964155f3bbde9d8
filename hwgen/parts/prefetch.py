"""Reads a scratchpad ahead of a consumer that may wait, one word per cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.numerics import ceil_log2
from hwgen.parts.fifo import Fifo
from hwgen.parts.pair import Pair
from hwgen.parts.ram import READ_LATENCY

__all__ = ["Prefetch"]

_QUEUE = 2  # cycles of queue on a word's way out, and on its room's way back


class Prefetch(Unit):
    """Turns "an address is there" into a stream of words with valid and ready.

    The first word is offered ``latency + 1`` cycles after its read; from then on there is one in every cycle.

    Parameters
    ----------
    width : int
        Bits of a word.
    latency : int
        Cycles from a read to its data.

    Members
    -------
    ask, last : In
        An address is there; it is the last one. ``step``: it was used.
    step : Out(1)
        The read is made in this cycle: enable of the memory, and step of the address generator.
    read_data : In
        The memory's answer.
    valid, data, is_last : Out; ready : In
        The stream.
    clear : In(1)
        Forget everything.
    """

    def __init__(self, width: int, latency: int = READ_LATENCY):
        self.width = width
        self.latency = latency
        super().__init__({
            "ask": In(1), "last": In(1), "step": Out(1), "read_data": In(width),
            "valid": Out(1), "data": Out(width), "is_last": Out(1), "ready": In(1), "clear": In(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``prefetch`` and the width."""
        return f"prefetch_{self.width}"

    def elaborate(self, platform: Any) -> Module:
        """Build queue and credits."""
        m = Module()
        depth = 1 << ceil_log2(self.latency + _QUEUE)
        queue = Fifo(f"prefetch_{self.width}", self.width + 1, depth)
        place(m, "queue", queue, platform, reset=self.clear)
        reserved = Signal(range(depth + 1))
        on_way = Signal(self.latency)
        lasts = Signal(self.latency, reset_less=True)
        pop = Signal()
        m.d.comb += [
            self.step.eq(self.ask & (reserved != depth) & ~self.clear),
            pop.eq(self.valid & self.ready),
            queue.data.eq(Cat(self.read_data, lasts[-1])),
        ]
        if self.latency == READ_LATENCY:
            m.d.comb += [
                queue.push.eq(on_way[-1]),
                queue.pop.eq(pop),
                self.valid.eq(queue.valid),
                Cat(self.data, self.is_last).eq(queue.head),
            ]
        else:  # far from its memory, a word goes on from a register
            pair = Pair(f"prefetch_{self.width}", self.width + 1)
            place(m, "pair", pair, platform, reset=self.clear)
            m.d.comb += [
                queue.push.eq(on_way[-1] & (queue.valid | ~pair.i_ready)),
                queue.pop.eq(pair.i_ready),
                pair.i_valid.eq(queue.valid | on_way[-1]),
                pair.i_data.eq(Mux(queue.valid, queue.head, queue.data)),
                self.valid.eq(pair.o_valid),
                Cat(self.data, self.is_last).eq(pair.o_data),
                pair.o_ready.eq(self.ready),
            ]
        m.d.sync += [
            on_way.eq(Cat(self.step, on_way[:-1])),
            lasts.eq(Cat(self.last, lasts[:-1])),
            reserved.eq(reserved + self.step - pop),
        ]
        with m.If(self.clear):
            m.d.sync += [on_way.eq(0), reserved.eq(0)]
        return m
