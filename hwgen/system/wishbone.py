"""A bridge from Wishbone, as LiteX has it, to AXI4-Lite."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import In, Out

from hwgen.config import require_int
from hwgen.emit import Unit

__all__ = ["WishboneBridge"]


class WishboneBridge(Unit):
    """Classic Wishbone slave, AXI4-Lite master, 32 bits of data; one transfer at a time.

    A master that ends the cycle before the answer gets none: the AXI4-Lite transfer is finished all the same, as that
    bus demands, and the next request waits for it. With :class:`~hwgen.system.control.Control` behind it ``ack``
    comes four cycles after the request of a write, five after that of a read.

    Parameters
    ----------
    address_bits : int
        Width of the byte addresses; Wishbone's are of words, two bits less.

    Members
    -------
    wb_adr, wb_dat_w, wb_sel, wb_cyc, wb_stb, wb_we : In
        Request.
    wb_dat_r, wb_ack, wb_err : Out
        Answer: ``ack`` or ``err`` for one cycle; ``err`` if the response was SLVERR or DECERR.
    m_axi_* : In, Out
        AXI4-Lite master.

    Raises
    ------
    BadInput
        If the width does not fit.
    """

    def __init__(self, address_bits: int):
        require_int("address_bits", address_bits, 3, 64)
        self.address_bits = address_bits
        super().__init__({
            "wb_adr": In(address_bits - 2), "wb_dat_w": In(32), "wb_dat_r": Out(32), "wb_sel": In(4),
            "wb_cyc": In(1), "wb_stb": In(1), "wb_we": In(1), "wb_ack": Out(1), "wb_err": Out(1),
            "m_axi_awaddr": Out(address_bits), "m_axi_awprot": Out(3),
            "m_axi_awvalid": Out(1), "m_axi_awready": In(1),
            "m_axi_wdata": Out(32), "m_axi_wstrb": Out(4), "m_axi_wvalid": Out(1), "m_axi_wready": In(1),
            "m_axi_bresp": In(2), "m_axi_bvalid": In(1), "m_axi_bready": Out(1),
            "m_axi_araddr": Out(address_bits), "m_axi_arprot": Out(3),
            "m_axi_arvalid": Out(1), "m_axi_arready": In(1),
            "m_axi_rdata": In(32), "m_axi_rresp": In(2), "m_axi_rvalid": In(1), "m_axi_rready": Out(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``wishbone_bridge``."""
        return "wishbone_bridge"

    def elaborate(self, platform: Any) -> Module:
        """Build the bridge."""
        m = Module()
        request = Signal()
        busy = Signal()
        wanted = Signal(reset_less=True)
        answered = Signal()
        failed = Signal()
        address = Signal(self.address_bits - 2, reset_less=True)
        write_data = Signal(32, reset_less=True)
        write_strobes = Signal(4, reset_less=True)
        read_data = Signal(32, reset_less=True)
        m.d.comb += [
            request.eq(self.wb_cyc & self.wb_stb),
            self.m_axi_awaddr.eq(Cat(0, 0, address)),
            self.m_axi_araddr.eq(Cat(0, 0, address)),
            self.m_axi_wdata.eq(write_data),
            self.m_axi_wstrb.eq(write_strobes),
            self.wb_dat_r.eq(read_data),
            # Both ready for as long as a transfer lasts: only the one that was asked for can answer.
            self.m_axi_bready.eq(busy),
            self.m_axi_rready.eq(busy),
            answered.eq(busy & (self.m_axi_bvalid | self.m_axi_rvalid)),
            failed.eq((self.m_axi_bvalid & self.m_axi_bresp[1]) | (self.m_axi_rvalid & self.m_axi_rresp[1])),
        ]
        for valid, ready in (
            (self.m_axi_awvalid, self.m_axi_awready),
            (self.m_axi_wvalid, self.m_axi_wready),
            (self.m_axi_arvalid, self.m_axi_arready),
        ):
            with m.If(ready):
                m.d.sync += valid.eq(0)

        m.d.sync += [self.wb_ack.eq(0), self.wb_err.eq(0)]
        with m.If(busy):
            m.d.sync += wanted.eq(wanted & request)
            with m.If(answered):
                answer = wanted & request
                m.d.sync += [busy.eq(0), self.wb_ack.eq(answer & ~failed), self.wb_err.eq(answer & failed)]
        # In the cycle of the answer the request is still the one answered.
        with m.Elif(request & ~self.wb_ack & ~self.wb_err):
            m.d.sync += [
                busy.eq(1),
                wanted.eq(1),
                address.eq(self.wb_adr),
                write_data.eq(self.wb_dat_w),
                write_strobes.eq(self.wb_sel),
                self.m_axi_awvalid.eq(self.wb_we),
                self.m_axi_wvalid.eq(self.wb_we),
                self.m_axi_arvalid.eq(~self.wb_we),
            ]
        with m.If(self.m_axi_rvalid):
            m.d.sync += read_data.eq(self.m_axi_rdata)
        return m
