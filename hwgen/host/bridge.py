"""From frames on a serial line to an AXI4-Lite bus."""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.config import require_int
from hwgen.emit import Unit, place
from hwgen.host.config import UartConfig
from hwgen.host.protocol import (
    ADDRESS_BYTES,
    CRC_BYTES,
    CRC_RESIDUE,
    REPLY_HEAD,
    REPLY_SYNC,
    REQUEST_HEAD,
    REQUEST_SYNC,
    UNKNOWN_TAG,
    WORD_BYTES,
    Hello,
    Op,
    Status,
)
from hwgen.host.uart import UartReceiver, UartTransmitter
from hwgen.numerics import ceil_log2, index_bits

__all__ = ["RESET_CYCLES", "UartBridge"]

RESET_CYCLES = 16
"""How long a reset lasts."""

_CRC_BITS = 8 * CRC_BYTES
_POLYNOMIAL = 0xEDB88320  # of CRC-32, reflected
_WRITES = (Op.WRITE_REGISTERS, Op.WRITE_MEMORY)
_READS = (Op.READ_REGISTERS, Op.READ_MEMORY)


class UartBridge(Unit):
    """Executes the requests of :mod:`hwgen.host.protocol` on a bus, one at a time, and answers each.

    A request is taken whole before anything is done, so a damaged one does nothing. A write with the tag of the
    request before it is not done again, only answered: so whoever misses an answer may ask again. Bytes that come
    before the answer is on its way are lost. After a damaged frame the bridge listens again when the line was silent
    for ``timeout_cycles``. It waits as long for the bus, then answers STALLED; the transfer stays on the bus.

    Addresses on the bus are a bit wider than memory's: the upper half is the registers'.

    Parameters
    ----------
    config : UartConfig
        The line.
    address_bits : int
        Width of the memory's byte addresses, 12..40.
    register_bits : int
        Width of the registers' byte addresses, at most as wide.
    hello : Hello
        What it says of itself.

    Members
    -------
    uart_rx : In(1), uart_tx : Out(1)
        The line.
    m_axi_* : In, Out
        AXI4-Lite master, ``address_bits + 1`` bits of address, 32 of data.
    reset : Out(1)
        Resets what is behind the bus, for ``RESET_CYCLES`` cycles.
    request : Out(1)
        A request came whole, for one cycle.

    Raises
    ------
    BadInput
        If a width does not fit.
    """

    def __init__(self, config: UartConfig, address_bits: int, register_bits: int, hello: Hello):
        require_int("address_bits", address_bits, 12, 8 * ADDRESS_BYTES)
        require_int("register_bits", register_bits, 3, address_bits)
        self.config = config
        self.address_bits = address_bits
        self.register_bits = register_bits
        self.hello = hello
        wide = address_bits + 1
        super().__init__({
            "uart_rx": In(1), "uart_tx": Out(1),
            "m_axi_awaddr": Out(wide), "m_axi_awvalid": Out(1), "m_axi_awready": In(1),
            "m_axi_wdata": Out(32), "m_axi_wstrb": Out(4), "m_axi_wvalid": Out(1), "m_axi_wready": In(1),
            "m_axi_bresp": In(2), "m_axi_bvalid": In(1), "m_axi_bready": Out(1),
            "m_axi_araddr": Out(wide), "m_axi_arvalid": Out(1), "m_axi_arready": In(1),
            "m_axi_rdata": In(32), "m_axi_rresp": In(2), "m_axi_rvalid": In(1), "m_axi_rready": Out(1),
            "reset": Out(1), "request": Out(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``uart_bridge``."""
        return "uart_bridge"

    def elaborate(self, platform: Any) -> Module:
        """Build the line's two halves, the buffer, and the sequence of a frame."""
        m = Module()
        self._parts(m, platform)
        self._bus(m)
        with m.FSM(name="state"):
            self._receive(m)
            self._execute(m)
            self._answer(m)
        return m

    def _parts(self, m: Module, platform: Any) -> None:
        """Registers, buffer, CRC and timer, which the states share."""
        cfg = self.config
        self.line_in = UartReceiver(cfg.divisor)
        self.line_out = UartTransmitter(cfg.divisor)
        place(m, "receiver", self.line_in, platform)
        place(m, "transmitter", self.line_out, platform)
        m.d.comb += [self.line_in.rx.eq(self.uart_rx), self.uart_tx.eq(self.line_out.tx)]

        self.op = Signal(8, reset_less=True)
        self.tag = Signal(8, reset_less=True)
        self.length = Signal(16, reset_less=True)
        self.address = Signal(8 * ADDRESS_BYTES + 1, reset_less=True)  # a bit more, to see the end
        self.status = Signal(4, reset_less=True)
        self.answer_bytes = Signal(index_bits(cfg.buffer_bytes + 1), reset_less=True)
        self.count = Signal(16, reset_less=True)  # bytes of the part of the frame, or words, that went by
        self.step = Signal(3, reset_less=True)  # byte within a word
        self.word = Signal(32, reset_less=True)
        self.deaf = Signal(reset_less=True)  # the frame was damaged: nobody knows where the next one begins
        self.last_tag = Signal(8, init=UNKNOWN_TAG)
        self.last_status = Signal.like(self.status)
        self.is_write = Signal()
        self.is_read = Signal()
        self.registers = Signal()
        m.d.comb += [
            self.is_write.eq(reduce(lambda a, b: a | b, [self.op == op for op in _WRITES])),
            self.is_read.eq(reduce(lambda a, b: a | b, [self.op == op for op in _READS])),
            self.registers.eq((self.op == Op.READ_REGISTERS) | (self.op == Op.WRITE_REGISTERS)),
        ]

        # Written while a frame or a word comes, read while one goes: never both in a cycle.
        attrs: dict[str, Any] = {"no_rw_check": 1} | ({"ram_style": "block"} if cfg.buffer_bytes > 64 else {})
        buffer: Memory[Any, Any] = Memory(shape=8, depth=cfg.buffer_bytes, init=[], attrs=attrs)
        m.submodules.buffer = buffer
        self.store = buffer.write_port()
        self.fetch = buffer.read_port()
        self.pointer = Signal(index_bits(cfg.buffer_bytes), reset_less=True)
        m.d.comb += [
            self.store.addr.eq(self.pointer),
            self.fetch.addr.eq(self.pointer),
            self.store.data.eq(self.line_in.data),
            self.fetch.en.eq(0),
        ]

        self.crc = Signal(_CRC_BITS, reset_less=True)
        self.crc_byte = Signal(8)
        self.crc_next = Signal(_CRC_BITS)
        m.d.comb += self.crc_next.eq(_crc_next(self.crc, self.crc_byte))

        timer = Signal(range(cfg.timeout_cycles + 1))
        self.restart = Signal()
        self.expired = Signal()
        heard = self.line_in.valid | self.line_in.broken
        m.d.comb += self.expired.eq(timer == cfg.timeout_cycles)
        with m.If(heard | self.restart):
            m.d.sync += timer.eq(0)
        with m.Elif(~self.expired):
            m.d.sync += timer.eq(timer + 1)

    def _bus(self, m: Module) -> None:
        """The bus master; ``owed`` from the first cycle of a transfer until its answer, however late that is."""
        self.owed = Signal()
        self.answered = Signal()
        self.response = Signal(2)
        where = Signal(self.address_bits + 1, reset_less=True, name="bus_address")
        self.starts = Signal()
        reading = Signal(reset_less=True)
        m.d.comb += [
            self.m_axi_awaddr.eq(where),
            self.m_axi_araddr.eq(where),
            self.m_axi_wstrb.eq(0b1111),
            self.m_axi_bready.eq(self.owed & ~reading),
            self.m_axi_rready.eq(self.owed & reading),
            self.answered.eq(self.owed & Mux(reading, self.m_axi_rvalid, self.m_axi_bvalid)),
            self.response.eq(Mux(reading, self.m_axi_rresp, self.m_axi_bresp)),
        ]
        for channel in ("aw", "w", "ar"):
            valid = getattr(self, f"m_axi_{channel}valid")
            with m.If(getattr(self, f"m_axi_{channel}ready")):
                m.d.sync += valid.eq(0)
        with m.If(self.answered):
            m.d.sync += self.owed.eq(0)
        with m.If(self.starts):
            m.d.comb += self.restart.eq(1)
            m.d.sync += [
                where.eq(Cat(self.address[: self.address_bits], self.registers)),
                reading.eq(self.is_read),
                self.m_axi_wdata.eq(self.word),
                self.owed.eq(1),
                self.m_axi_arvalid.eq(self.is_read),
                self.m_axi_awvalid.eq(self.is_write),
                self.m_axi_wvalid.eq(self.is_write),
            ]

    def _fail(self, m: Module, status: Status, *, deaf: bool = False) -> None:
        """Answer without a payload."""
        m.d.sync += [
            self.status.eq(status),
            self.deaf.eq(int(deaf)),
            self.answer_bytes.eq(0),
            self.count.eq(0),
        ]
        m.next = "ANSWER_HEAD"

    def _cut(self, m: Module) -> None:
        """What ends a frame in the middle."""
        with m.If(self.line_in.broken):
            self._fail(m, Status.LINE, deaf=True)
        with m.Elif(self.expired & ~self.line_in.valid):
            self._fail(m, Status.CUT)

    def _receive(self, m: Module) -> None:
        """A frame, byte by byte."""
        got, byte = self.line_in.valid, self.line_in.data
        m.d.comb += self.crc_byte.eq(byte)
        with m.State("HUNT"), m.If(got & (byte == REQUEST_SYNC[0])):
            m.next = "SYNC"
        with m.State("SYNC"):
            m.d.sync += [
                self.tag.eq(UNKNOWN_TAG),
                self.address.eq(0),
                self.count.eq(0),
                self.crc.eq((1 << _CRC_BITS) - 1),
            ]
            with m.If(got & (byte == REQUEST_SYNC[1])):
                m.next = "HEAD"
            with m.Elif((got & (byte != REQUEST_SYNC[0])) | self.line_in.broken | self.expired):
                m.next = "HUNT"
        with m.State("HEAD"):
            with m.If(got):
                m.d.sync += [self.count.eq(self.count + 1), self.crc.eq(self.crc_next), self.pointer.eq(0)]
                targets = Cat(self.op, self.tag, self.length, self.address)
                with m.Switch(self.count):
                    for i in range(REQUEST_HEAD.size):
                        with m.Case(i):
                            m.d.sync += targets[8 * i : 8 * i + 8].eq(byte)
                with m.If(self.count == REQUEST_HEAD.size - 1):
                    m.d.sync += self.count.eq(0)
                    m.next = "CRC"
                    with m.If(self.is_write & self.length.any()):
                        m.next = "PAYLOAD"
                        with m.If(self.length > self.config.buffer_bytes):
                            self._fail(m, Status.BAD_REQUEST, deaf=True)
            with m.Else():
                self._cut(m)
        with m.State("PAYLOAD"):
            with m.If(got):
                m.d.comb += self.store.en.eq(1)
                m.d.sync += [
                    self.pointer.eq(self.pointer + 1),
                    self.count.eq(self.count + 1),
                    self.crc.eq(self.crc_next),
                ]
                with m.If(self.count == self.length - 1):
                    m.d.sync += self.count.eq(0)
                    m.next = "CRC"
            with m.Else():
                self._cut(m)
        with m.State("CRC"):
            with m.If(got):
                m.d.sync += [self.count.eq(self.count + 1), self.crc.eq(self.crc_next)]
                with m.If(self.count == CRC_BYTES - 1):
                    m.next = "JUDGE"
                    with m.If(self.crc_next != CRC_RESIDUE):
                        self._fail(m, Status.BAD_CRC, deaf=True)
            with m.Else():
                self._cut(m)
        with m.State("DEAF"), m.If(self.expired):
            m.next = "HUNT"

    def _execute(self, m: Module) -> None:
        """A request that came whole: word by word."""
        usable = self.length.any() & (self.length <= self.config.buffer_bytes)
        aligned = ~(self.address[:2] | self.length[:2]).any()
        beyond = Mux(
            self.registers, self.address[self.register_bits :], self.address[self.address_bits :]
        ).any()
        with m.State("JUDGE"):
            m.d.comb += self.request.eq(1)
            m.d.sync += [
                self.last_tag.eq(self.tag),
                self.last_status.eq(Status.OK),
                self.deaf.eq(0),
                self.answer_bytes.eq(0),
                self.status.eq(Status.OK),
                self.count.eq(0),
                self.pointer.eq(0),
                self.step.eq(0),
            ]
            with m.If(self.op == Op.HELLO):
                m.d.sync += self.answer_bytes.eq(len(self.hello.to_bytes()))
                m.next = "ANSWER_HEAD"
            with m.Elif(self.op == Op.RESET):
                m.next = "RESET"
            with m.Elif(self.is_write & (self.tag == self.last_tag) & (self.tag != UNKNOWN_TAG)):
                m.d.sync += [self.status.eq(self.last_status), self.last_status.eq(self.last_status)]
                m.next = "ANSWER_HEAD"
            with m.Elif(~(self.is_write | self.is_read) | ~usable | ~aligned):
                m.d.sync += self.last_status.eq(Status.BAD_REQUEST)
                self._fail(m, Status.BAD_REQUEST)
            with m.Else():
                m.next = "NEXT"
        with m.State("RESET"):
            # What is on the bus is forgotten on both sides.
            m.d.comb += self.reset.eq(1)
            m.d.sync += [self.count.eq(self.count + 1), self.owed.eq(0)]
            m.d.sync += [getattr(self, f"m_axi_{channel}valid").eq(0) for channel in ("aw", "w", "ar")]
            with m.If(self.count == RESET_CYCLES - 1):
                m.d.sync += self.count.eq(0)
                m.next = "ANSWER_HEAD"
        with m.State("NEXT"):
            m.d.sync += self.step.eq(0)
            with m.If(self.count == self.length):
                m.d.sync += [
                    self.answer_bytes.eq(Mux(self.is_read, self.length, 0)),
                    self.count.eq(0),
                    self.pointer.eq(0),
                ]
                m.next = "ANSWER_HEAD"
            with m.Elif(self.owed):
                self._refuse(m, Status.STALLED)
            with m.Elif(beyond):
                self._refuse(m, Status.DECERR)
            with m.Elif(self.is_write):
                m.next = "GATHER"
            with m.Else():
                m.next = "BEGIN"
        with m.State("GATHER"):
            # The buffer's answer comes a cycle after the pointer.
            m.d.comb += self.fetch.en.eq(1)
            m.d.sync += [self.step.eq(self.step + 1), self.word.eq(Cat(self.word[8:], self.fetch.data))]
            with m.If(self.step != WORD_BYTES):
                m.d.sync += self.pointer.eq(self.pointer + 1)
            with m.Else():
                m.next = "BEGIN"
        with m.State("BEGIN"):
            m.d.comb += self.starts.eq(1)
            m.next = "WAIT"
        with m.State("WAIT"):
            m.d.sync += self.step.eq(0)
            with m.If(self.answered):
                m.d.sync += [
                    self.word.eq(self.m_axi_rdata),
                    self.address.eq(self.address + WORD_BYTES),
                    self.count.eq(self.count + WORD_BYTES),
                ]
                with m.If(self.response[1]):
                    with m.If(self.response[0]):
                        self._refuse(m, Status.DECERR)
                    with m.Else():
                        self._refuse(m, Status.SLVERR)
                with m.Elif(self.is_read):
                    m.next = "SCATTER"
                with m.Else():
                    m.next = "NEXT"
            with m.Elif(self.expired):
                self._refuse(m, Status.STALLED)
        with m.State("SCATTER"):
            m.d.comb += [self.store.en.eq(1), self.store.data.eq(self.word[:8])]
            m.d.sync += [
                self.pointer.eq(self.pointer + 1),
                self.step.eq(self.step + 1),
                self.word.eq(self.word[8:]),
            ]
            with m.If(self.step == WORD_BYTES - 1):
                m.next = "NEXT"

    def _refuse(self, m: Module, status: Status) -> None:
        """Answer that a request that was begun could not be finished."""
        m.d.sync += self.last_status.eq(status)
        self._fail(m, status)

    def _answer(self, m: Module) -> None:
        """A reply, byte by byte; its CRC is worked out as it goes."""
        out = self.line_out
        goes = Signal(name="byte_goes")
        head = Cat(
            Const(int.from_bytes(REPLY_SYNC, "little"), 16), self.status, Const(0, 8 - len(self.status)), self.tag,
            self.answer_bytes, Const(0, 16 - len(self.answer_bytes)),
        )  # fmt: skip
        head_bytes = len(REPLY_SYNC) + REPLY_HEAD.size
        m.d.comb += goes.eq(out.valid & out.ready)
        with m.State("ANSWER_HEAD"):
            m.d.comb += [
                self.fetch.en.eq(1),
                out.valid.eq(1),
                out.data.eq(_pick(m, head, self.count, head_bytes, "head_byte")),
                self.crc_byte.eq(out.data),
            ]
            with m.If(goes):
                m.d.sync += [self.count.eq(self.count + 1), self.crc.eq(self.crc_next), self.pointer.eq(0)]
                with m.If(self.count < len(REPLY_SYNC)):
                    m.d.sync += self.crc.eq((1 << _CRC_BITS) - 1)
                with m.If(self.count == head_bytes - 1):
                    m.d.sync += self.count.eq(0)
                    m.next = "ANSWER_CRC"
                    with m.If(self.answer_bytes.any()):
                        m.next = "ANSWER_DATA"
        with m.State("ANSWER_DATA"):
            hello = Const(int.from_bytes(self.hello.to_bytes(), "little"), 8 * len(self.hello.to_bytes()))
            spoken = _pick(m, hello, self.count, len(self.hello.to_bytes()), "hello_byte")
            m.d.comb += [
                self.fetch.en.eq(1),
                out.valid.eq(1),
                out.data.eq(Mux(self.op == Op.HELLO, spoken, self.fetch.data)),
                self.crc_byte.eq(out.data),
            ]
            with m.If(goes):
                m.d.sync += [
                    self.count.eq(self.count + 1),
                    self.pointer.eq(self.pointer + 1),
                    self.crc.eq(self.crc_next),
                ]
                with m.If(self.count == self.answer_bytes - 1):
                    m.d.sync += self.count.eq(0)
                    m.next = "ANSWER_CRC"
        with m.State("ANSWER_CRC"):
            m.d.comb += [out.valid.eq(1), out.data.eq(~self.crc[:8])]
            with m.If(goes):
                m.d.sync += [self.count.eq(self.count + 1), self.crc.eq(self.crc >> 8)]
                with m.If(self.count == CRC_BYTES - 1):
                    m.next = "HUNT"
                    with m.If(self.deaf):
                        m.next = "DEAF"


def _pick(m: Module, whole: Value, index: Value, count: int, name: str) -> Value:
    """Byte ``index`` of ``count``."""
    byte = Signal(8, name=name)
    short = index[: ceil_log2(count)]
    with m.Switch(short):
        for i in range(count):
            with m.Case(i):
                m.d.comb += byte.eq(whole[8 * i : 8 * i + 8])
    return byte


def _crc_next(crc: Value, byte: Value) -> Value:
    """The CRC register after another byte: every new bit is the parity of some old ones."""
    # Bit i of a mask stands for bit i of the register, and bit 32 + i for bit i of the byte.
    rows = [1 << i | (1 << (_CRC_BITS + i) if i < 8 else 0) for i in range(_CRC_BITS)]
    for _ in range(8):
        low = rows[0]
        rows = [
            (rows[i + 1] if i + 1 < _CRC_BITS else 0) ^ (low if _POLYNOMIAL >> i & 1 else 0)
            for i in range(_CRC_BITS)
        ]
    both = Cat(crc, byte)
    return Cat(reduce(xor, [both[i] for i in range(len(both)) if row >> i & 1]) for row in rows)
