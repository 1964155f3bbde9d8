"""Two registers that take turns: a stream's valid and ready cross them without waiting for each other."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit

__all__ = ["Pair"]


class Pair(Unit):
    """A stream, a cycle later: one word per cycle, and no path from one side to the other in a cycle.

    Parameters
    ----------
    name : str
        What distinguishes the module.
    width : int
        Bits of a word.

    Members
    -------
    i_valid, i_data : In; i_ready : Out
        The words that come; ``i_ready`` follows from registers.
    o_valid, o_data : Out; o_ready : In
        The words that leave; ``o_valid`` and ``o_data`` follow from registers.
    """

    def __init__(self, name: str, width: int):
        self.name = name
        self.width = width
        super().__init__({
            "i_valid": In(1), "i_data": In(width), "i_ready": Out(1),
            "o_valid": Out(1), "o_data": Out(width), "o_ready": In(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``pair`` and the name."""
        return f"pair_{self.name}"

    def elaborate(self, platform: Any) -> Module:
        """Build both registers and whose turn it is."""
        m = Module()
        there = Signal(2)
        comes, leaves = Signal(name="turn_in"), Signal(name="turn_out")
        words = [Signal(self.width, name=f"word_{k}", reset_less=True) for k in range(2)]
        for k in range(2):
            mine_in, mine_out = comes == k, leaves == k
            # Until a word comes it does not matter what is here: so valid need not reach all the bits.
            with m.If(mine_in & ~there[k]):
                m.d.sync += words[k].eq(self.i_data)
            m.d.sync += there[k].eq(Mux(there[k], ~(self.o_ready & mine_out), self.i_valid & mine_in))
        m.d.comb += [
            self.i_ready.eq(~there.all()),
            self.o_valid.eq(there.any()),
            self.o_data.eq(Mux(leaves, words[1], words[0])),
        ]
        m.d.sync += [
            comes.eq(comes ^ (self.i_valid & self.i_ready)),
            leaves.eq(leaves ^ (self.o_valid & self.o_ready)),
        ]
        return m
