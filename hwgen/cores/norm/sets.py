"""Factors and offsets on their way in: two sets, one in use while the next one is loaded."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.cores.norm.config import NormConfig
from hwgen.emit import Unit
from hwgen.numerics import index_bits

__all__ = ["READ_LATENCY", "Sets"]

READ_LATENCY = 2
"""Cycles from ``read`` to the factors: the memory's register, and one behind it."""

_SETS = 2
_BLOCK_RAM_DEPTH = 64  # fewer words are cheaper in LUTs


class Sets(Unit):
    """The parameter buffer.

    A set is complete with its last beat. A row that loads takes it; the set before is free when the first word of
    that row goes into the second pass.

    Parameters
    ----------
    config : NormConfig
        The core.

    Members
    -------
    valid, last, data, eps : In; ready : Out
        The beats of sets: factors and offsets, and eps with the last one.
    loads, take : In(1)
        A row's first beat wants a set; it is taken in this cycle.
    waits : Out(1)
        The row must not be taken: its set is not complete.
    fresh : Out(1)
        With ``take``: the row takes the next set. Rows that load nothing use the one in use, but the first of all takes
        one.
    current, row_eps : Out
        The set of the last row whose first beat was taken, a cycle later; its eps.
    read, first, which, frees : In
        A word of the second pass, the row's first, its set, whether the row was ``fresh``.
    word : Out
        Its factors and offsets, ``READ_LATENCY`` cycles later.
    """

    def __init__(self, config: NormConfig):
        self.config = config
        self.width = config.lanes * (config.GAMMA.bits + config.beta.bits)
        super().__init__({
            "valid": In(1), "last": In(1), "data": In(self.width), "eps": In(config.EPS.bits), "ready": Out(1),
            "loads": In(1), "take": In(1), "waits": Out(1), "fresh": Out(1),
            "current": Out(1), "row_eps": Out(config.EPS.bits),
            "read": In(1), "first": In(1), "which": In(1), "frees": In(1), "word": Out(self.width),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``sets``."""
        return "sets"

    def elaborate(self, platform: Any) -> Module:
        """Build the memory and the count of sets."""
        m = Module()
        beats = self.config.beats
        depth = _SETS << index_bits(beats)
        # A set that is written is in no row.
        attrs: dict[str, Any] = {"no_rw_check": 1}
        if depth >= _BLOCK_RAM_DEPTH:
            attrs["ram_style"] = "block"
        memory: Memory[Any, Any] = Memory(shape=self.width, depth=depth, init=[], attrs=attrs)
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()

        room = Signal(range(_SETS + 1), init=_SETS)
        complete = Signal(range(_SETS + 1))
        filling = Signal()
        beat = Signal(index_bits(beats))
        put = Signal()
        done = Signal()
        # Whether counters are zero is known in registers: ready, of both streams, is at the start of long paths.
        none = Signal(name="no_room")
        some = Signal(name="some_complete")
        m.d.comb += [
            self.ready.eq(~none),
            put.eq(self.valid & self.ready),
            done.eq(put & self.last),
            write.addr.eq(Cat(beat, filling)),
            write.data.eq(self.data),
            write.en.eq(put),
        ]
        eps = [Signal(self.config.EPS.bits, name=f"eps_{n}", reset_less=True) for n in range(_SETS)]
        with m.If(put):
            m.d.sync += beat.eq(Mux(self.last, 0, beat + 1))
        with m.If(done):
            m.d.sync += filling.eq(~filling)
        # A row that takes the set asks for its eps two cycles after the set's last beat at the earliest.
        held = Signal(self.config.EPS.bits, name="eps_held", reset_less=True)
        ended = Signal()
        ending = Signal(reset_less=True)
        m.d.sync += [held.eq(self.eps), ended.eq(done), ending.eq(filling)]
        for n, register in enumerate(eps):
            with m.If(ended & (ending == n)):
                m.d.sync += register.eq(held)

        used = Signal()  # some row has taken a set
        newest = Signal(init=1)
        taken = Signal()
        m.d.comb += [
            self.fresh.eq(self.loads | ~used),
            self.waits.eq(self.fresh & ~some),
            taken.eq(self.take & self.fresh),
            self.current.eq(newest),
            self.row_eps.eq(Mux(newest, eps[1], eps[0])),
        ]
        m.d.sync += [
            used.eq(used | taken),
            newest.eq(newest ^ taken),
            complete.eq(complete + done - taken),
            some.eq(done | (some & ~(taken & (complete == 1)))),
        ]

        behind = Signal()  # there is a set before the one that a row brings
        freed = Signal()
        position = Signal(index_bits(beats))
        place = Signal(index_bits(beats))
        word = Signal(self.width, name="word_held", reset_less=True)
        m.d.comb += [
            freed.eq(self.read & self.first & self.frees & behind),
            place.eq(Mux(self.first, 0, position)),
            read.addr.eq(Cat(place, self.which)),
            read.en.eq(1),
            self.word.eq(word),
        ]
        with m.If(self.read):
            m.d.sync += position.eq(place + 1)
        m.d.sync += [
            behind.eq(behind | (self.read & self.first & self.frees)),
            room.eq(room - done + freed),
            none.eq(~freed & (none | (done & (room == 1)))),
            word.eq(read.data),
        ]
        return m
