"""The AXI4 master: a read port that instruction fetch and LOAD share, and STORE's write port.

Both keep every promise of the protocol on their own. With ``drain`` they take no new request and bring what is under
way to its end, so that the engines behind them can be reset at any time.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.numerics import ceil_log2
from hwgen.parts.fifo import Fifo
from hwgen.parts.pair import Pair
from hwgen.parts.payload import payload

__all__ = ["BEATS_BITS", "ReadPort", "WritePort"]

BEATS_BITS = 9
"""Width of a burst's number of beats, 1..256."""


class ReadPort(Unit):
    """AXI4 reads for two clients; data come back in the order of the requests.

    ``fetch`` goes first when both ask. A request is taken when the address register is free and fewer than
    ``outstanding`` bursts are in flight.

    Parameters
    ----------
    address_bits, bus_bytes, outstanding : int
        Of the configuration.
    far : bool
        Whether clients are far away: then it is known a cycle before whether a request is taken, and whose, so that
        no client waits for the memory's ``ready`` or for the other client's request of the same cycle. It takes a
        cycle until the address register counts as free, and one until the port turns to the other client.

    Members
    -------
    m_axi_ar*, m_axi_r*
        AXI4 read channels, INCR bursts of full width, one ID.
    <client>_valid, <client>_address, <client>_beats : In, <client>_ready : Out
        Requests; they must not cross 4 KiB.
    data : Out
        The beat; for ``fetch`` with ``fetch_data`` (never refused), for ``load`` with ``load_data`` and
        ``load_take``.
    drain : In(1), idle : Out(1), error : Out(2)
        ``error`` is the RRESP of a failed beat (2 or 3), otherwise 0.
    """

    def __init__(self, address_bits: int, bus_bytes: int, outstanding: int, far: bool = False):
        self.address_bits = address_bits
        self.bus_bytes = bus_bytes
        self.outstanding = outstanding
        self.far = far
        super().__init__({
            "m_axi_araddr": Out(address_bits), "m_axi_arlen": Out(8), "m_axi_arsize": Out(3),
            "m_axi_arburst": Out(2), "m_axi_arvalid": Out(1), "m_axi_arready": In(1),
            "m_axi_rdata": In(8 * bus_bytes), "m_axi_rresp": In(2), "m_axi_rlast": In(1),
            "m_axi_rvalid": In(1), "m_axi_rready": Out(1),
            "fetch_valid": In(1), "fetch_address": In(address_bits), "fetch_beats": In(BEATS_BITS),
            "fetch_ready": Out(1), "fetch_data": Out(1),
            "load_valid": In(1), "load_address": In(address_bits), "load_beats": In(BEATS_BITS),
            "load_ready": Out(1), "load_data": Out(1), "load_take": In(1),
            "data": Out(8 * bus_bytes), "beat": Out(1),
            "drain": In(1), "idle": Out(1), "error": Out(2),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``read_port``."""
        return "read_port"

    def elaborate(self, platform: Any) -> Module:
        """Build arbiter, address register and the queue of whose burst comes next."""
        m = Module()
        order = Fifo("order", 1, self.outstanding, registered=True)
        place(m, "order", order, platform)
        flying = Signal(range(self.outstanding + 1))
        free = Signal()
        accept = Signal()
        last = Signal()
        transfer = Signal()
        for_load: Value = ~self.fetch_valid
        room = flying != self.outstanding
        if self.far:
            for_load = Signal(name="for_load")
            m.d.sync += [for_load.eq(~self.fetch_valid), free.eq(~self.m_axi_arvalid & ~accept & room)]
        else:
            m.d.comb += free.eq((~self.m_axi_arvalid | self.m_axi_arready) & room & ~self.drain)
        m.d.comb += [
            self.fetch_ready.eq(free & ~for_load),
            self.load_ready.eq(free & for_load),
            accept.eq(free & Mux(for_load, self.load_valid, self.fetch_valid) & ~self.drain),
            order.push.eq(accept),
            order.data.eq(for_load),
            order.pop.eq(last),
            self.m_axi_arsize.eq(ceil_log2(self.bus_bytes)),
            self.m_axi_arburst.eq(1),
            self.m_axi_rready.eq(order.valid & (~order.head | self.load_take | self.drain)),
            transfer.eq(self.m_axi_rvalid & self.m_axi_rready),
            last.eq(transfer & self.m_axi_rlast),
            self.fetch_data.eq(self.m_axi_rvalid & order.valid & ~order.head & ~self.drain),
            self.load_data.eq(self.m_axi_rvalid & order.valid & order.head & ~self.drain),
            self.data.eq(self.m_axi_rdata),
            self.beat.eq(transfer),
            self.idle.eq((flying == 0) & ~self.m_axi_arvalid),
            self.error.eq(Mux(transfer & self.m_axi_rresp[1] & ~self.drain, self.m_axi_rresp, 0)),
        ]
        m.d.sync += flying.eq(flying + accept - last)
        araddr, arlen = (payload(m, port) for port in (self.m_axi_araddr, self.m_axi_arlen))
        # What is not valid may be anything: it need not wait for a request.
        with m.If(~self.m_axi_arvalid | self.m_axi_arready):
            beats: Value = Mux(for_load, self.load_beats, self.fetch_beats)
            m.d.sync += [
                araddr.eq(Mux(for_load, self.load_address, self.fetch_address)),
                arlen.eq(beats - 1),
            ]
        with m.If(accept):
            m.d.sync += self.m_axi_arvalid.eq(1)
        with m.Elif(self.m_axi_arready):
            m.d.sync += self.m_axi_arvalid.eq(0)
        return m


class WritePort(Unit):
    """AXI4 writes for one client: bursts are asked for, then their beats are given in order.

    A burst's first beat follows its request by at least a cycle. In ``drain`` the beats still owed are sent without
    strobes: they change nothing. Parameters are those of the read port.

    Members
    -------
    m_axi_aw*, m_axi_w*, m_axi_b*
        AXI4 write channels, INCR bursts of full width, one ID.
    burst_valid, burst_address, burst_beats : In, burst_ready : Out
        Requests; they must not cross 4 KiB.
    beat_valid, beat_data, beat_strobe : In, beat_ready : Out
        Data.
    drain : In(1), idle : Out(1), error : Out(2)
        ``idle``: every burst was answered. ``error`` is the BRESP of a failed burst (2 or 3), otherwise 0.
    """

    def __init__(self, address_bits: int, bus_bytes: int, outstanding: int, far: bool = False):
        self.address_bits = address_bits
        self.bus_bytes = bus_bytes
        self.outstanding = outstanding
        self.far = far
        super().__init__({
            "m_axi_awaddr": Out(address_bits), "m_axi_awlen": Out(8), "m_axi_awsize": Out(3),
            "m_axi_awburst": Out(2), "m_axi_awvalid": Out(1), "m_axi_awready": In(1),
            "m_axi_wdata": Out(8 * bus_bytes), "m_axi_wstrb": Out(bus_bytes), "m_axi_wlast": Out(1),
            "m_axi_wvalid": Out(1), "m_axi_wready": In(1),
            "m_axi_bresp": In(2), "m_axi_bvalid": In(1), "m_axi_bready": Out(1),
            "burst_valid": In(1), "burst_address": In(address_bits), "burst_beats": In(BEATS_BITS),
            "burst_ready": Out(1),
            "beat_valid": In(1), "beat_data": In(8 * bus_bytes), "beat_strobe": In(bus_bytes),
            "beat_ready": Out(1), "beat": Out(1),
            "drain": In(1), "idle": Out(1), "error": Out(2),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``write_port``."""
        return "write_port"

    def elaborate(self, platform: Any) -> Module:
        """Build address and data registers, and the queue of bursts whose beats are owed."""
        m = Module()
        owed = Fifo("owed", BEATS_BITS, self.outstanding, registered=True)
        place(m, "owed", owed, platform)
        flying = Signal(range(self.outstanding + 1))
        none = Signal(init=1, name="none_flying")  # flying == 0, which is asked late
        number = Signal(BEATS_BITS, init=1)  # of the next beat of the first owed burst
        accept = Signal()
        room = Signal()
        move = Signal()
        last = Signal()
        more = flying != self.outstanding
        if self.far:
            m.d.sync += self.burst_ready.eq(~self.m_axi_awvalid & ~accept & more)
        else:
            free = ~self.m_axi_awvalid | self.m_axi_awready
            m.d.comb += self.burst_ready.eq(free & more & ~self.drain)
        m.d.comb += [
            accept.eq(self.burst_valid & self.burst_ready & ~self.drain),
            owed.push.eq(accept),
            owed.data.eq(self.burst_beats),
            self.m_axi_awsize.eq(ceil_log2(self.bus_bytes)),
            self.m_axi_awburst.eq(1),
            self.beat_ready.eq(room & ~self.drain),
            move.eq(room & (self.beat_valid | self.drain)),
            last.eq(number == owed.head),
            owed.pop.eq(move & last),
            self.m_axi_bready.eq(1),
            self.beat.eq(self.m_axi_wvalid & self.m_axi_wready),
            self.idle.eq(none & ~self.m_axi_awvalid & ~self.m_axi_wvalid),
            self.error.eq(Mux(self.m_axi_bvalid & self.m_axi_bresp[1] & ~self.drain, self.m_axi_bresp, 0)),
        ]
        awaddr, awlen = (payload(m, port) for port in (self.m_axi_awaddr, self.m_axi_awlen))
        m.d.sync += [
            flying.eq(flying + accept - self.m_axi_bvalid),
            none.eq(~accept & Mux(self.m_axi_bvalid, flying == 1, none)),
        ]
        # What is not valid may be anything: it need not wait for a request or a beat.
        with m.If(~self.m_axi_awvalid | self.m_axi_awready):
            m.d.sync += [awaddr.eq(self.burst_address), awlen.eq(self.burst_beats - 1)]
        with m.If(accept):
            m.d.sync += self.m_axi_awvalid.eq(1)
        with m.Elif(self.m_axi_awready):
            m.d.sync += self.m_axi_awvalid.eq(0)
        with m.If(move):
            m.d.sync += number.eq(Mux(last, 1, number + 1))
        free = self._beats(m, platform, move, last)
        m.d.comb += room.eq(owed.valid & free)
        return m

    def _beats(self, m: Module, platform: Any, move: Value, last: Value) -> Value:
        """The data channel, behind registers; gives whether a beat can go there."""
        beat = Cat(self.beat_data, Mux(self.drain, 0, self.beat_strobe), last)
        channel = Cat(self.m_axi_wdata, self.m_axi_wstrb, self.m_axi_wlast)
        if self.far:
            pair = Pair("written", len(beat))
            place(m, "beats", pair, platform)
            m.d.comb += [
                pair.i_valid.eq(move),
                pair.i_data.eq(beat),
                self.m_axi_wvalid.eq(pair.o_valid),
                channel.eq(pair.o_data),
                pair.o_ready.eq(self.m_axi_wready),
            ]
            ready: Value = pair.i_ready
            return ready
        free: Value = ~self.m_axi_wvalid | self.m_axi_wready
        register = Signal(len(beat), name="w_register", reset_less=True)
        m.d.comb += channel.eq(register)
        with m.If(free):
            m.d.sync += register.eq(beat)
        with m.If(move):
            m.d.sync += self.m_axi_wvalid.eq(1)
        with m.Elif(self.m_axi_wready):
            m.d.sync += self.m_axi_wvalid.eq(0)
        return free
