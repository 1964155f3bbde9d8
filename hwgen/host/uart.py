"""The two halves of a serial port: 8 data bits, no parity, one stop bit."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hwgen.config import require_int
from hwgen.emit import Unit

__all__ = ["UartReceiver", "UartTransmitter"]

_BITS = 10  # of a byte on the line: start, data, stop


class UartReceiver(Unit):
    """Bytes from a line that idles high.

    The line goes through two registers; a bit is looked at once, in its middle. A start bit that is gone by then is
    noise. After a byte without a stop bit the line must be high again before the next one can begin, so a line that
    stays low is reported once.

    Parameters
    ----------
    divisor : int
        Cycles per bit, at least 4.

    Members
    -------
    rx : In(1)
        The line.
    data, valid : Out
        A byte, for one cycle.
    broken : Out(1)
        A byte had no stop bit, for one cycle.

    Raises
    ------
    BadInput
        If the divisor is out of range.
    """

    def __init__(self, divisor: int):
        require_int("divisor", divisor, 4, 1 << 20)
        self.divisor = divisor
        super().__init__({"rx": In(1), "data": Out(8), "valid": Out(1), "broken": Out(1)})

    @property
    def kind(self) -> str:
        """``uart_receiver``."""
        return "uart_receiver"

    def elaborate(self, platform: Any) -> Module:
        """Build synchroniser, timer and shift register."""
        m = Module()
        first = Signal(init=1)
        line = Signal(init=1)
        armed = Signal()
        busy = Signal()
        timer = Signal(range(self.divisor))
        position = Signal(range(_BITS))
        start = Signal()
        look = Signal()
        m.d.comb += [
            start.eq(~position.any()),
            look.eq(timer == Mux(start, self.divisor // 2 - 1, self.divisor - 1)),
        ]
        m.d.sync += [first.eq(self.rx), line.eq(first), self.valid.eq(0), self.broken.eq(0)]
        with m.If(~busy):
            m.d.sync += [timer.eq(0), position.eq(0)]
            with m.If(line):
                m.d.sync += armed.eq(1)
            with m.Elif(armed):
                m.d.sync += busy.eq(1)
        with m.Elif(~look):
            m.d.sync += timer.eq(timer + 1)
        with m.Else():
            m.d.sync += [timer.eq(0), position.eq(position + 1)]
            with m.If(start):
                m.d.sync += busy.eq(~line)
            with m.Elif(position == _BITS - 1):
                m.d.sync += [busy.eq(0), armed.eq(line), self.valid.eq(line), self.broken.eq(~line)]
            with m.Else():
                m.d.sync += self.data.eq(Cat(self.data[1:], line))
        return m


class UartTransmitter(Unit):
    """Bytes to a line that idles high; one byte takes ten times ``divisor`` cycles.

    Parameters
    ----------
    divisor : int
        Cycles per bit, at least 4.

    Members
    -------
    tx : Out(1)
        The line.
    data, valid : In; ready : Out
        A byte is taken when both are high.

    Raises
    ------
    BadInput
        If the divisor is out of range.
    """

    def __init__(self, divisor: int):
        require_int("divisor", divisor, 4, 1 << 20)
        self.divisor = divisor
        super().__init__({"tx": Out(1), "data": In(8), "valid": In(1), "ready": Out(1)})

    @property
    def kind(self) -> str:
        """``uart_transmitter``."""
        return "uart_transmitter"

    def elaborate(self, platform: Any) -> Module:
        """Build timer and shift register."""
        m = Module()
        bits = Signal(_BITS, init=(1 << _BITS) - 1)
        busy = Signal()
        sent = Signal(range(_BITS))
        timer = Signal(range(self.divisor))
        m.d.comb += [self.ready.eq(~busy), self.tx.eq(bits[0])]
        with m.If(self.ready):
            m.d.sync += timer.eq(0)
            with m.If(self.valid):
                m.d.sync += [bits.eq(Cat(Const(0, 1), self.data, Const(1, 1))), busy.eq(1), sent.eq(0)]
        with m.Elif(timer != self.divisor - 1):
            m.d.sync += timer.eq(timer + 1)
        with m.Else():
            m.d.sync += [timer.eq(0), bits.eq(Cat(bits[1:], Const(1, 1))), sent.eq(sent + 1)]
            with m.If(sent == _BITS - 1):
                m.d.sync += busy.eq(0)
        return m
