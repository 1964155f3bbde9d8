"""Memory on the chip for boards without DRAM, with the timing that the simulator knows."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.config import require_int
from hwgen.emit import Unit, place
from hwgen.errors import BadInput
from hwgen.host.config import PAGE
from hwgen.numerics import ceil_log2, index_bits
from hwgen.parts.axi_lite import OKAY
from hwgen.parts.fifo import Fifo
from hwgen.parts.select import select, words_of

__all__ = ["OnChipMemory"]

_DECERR = 0b11
_RESPONSES = 4


class OnChipMemory(Unit):
    """Memory behind the accelerator's AXI4 master, with a second, narrow entrance for a host.

    Timing: the contract of ``sim/dram.hpp`` with latency 2, one beat per cycle, ``depth`` bursts ahead and write
    latency 1, to the cycle, as long as the host leaves it alone and write responses are taken at once. A host's word is
    moved when no burst is under way, and no new burst begins before: a cycle or two for each word.

    A read that overtakes a write to the same row, that is one asked for before the write's response came, is undefined.
    Both entrances answer DECERR to what lies behind ``size_bytes``, and change nothing there.

    Parameters
    ----------
    size_bytes : int
        Size, a multiple of 4 KiB.
    address_bits : int
        Width of the byte addresses of both entrances.
    bus_bytes : int
        Width of the wide one's data, a power of two, at least 4.
    depth : int
        Bursts that it accepts ahead per direction, a power of two, at least 2.

    Members
    -------
    s_axi_* : In, Out
        AXI4 slave: INCR bursts of full width that do not cross 4 KiB, without IDs.
    host_* : In, Out
        AXI4-Lite slave, 32 bits of data.

    Raises
    ------
    BadInput
        If a number does not fit.
    """

    def __init__(self, size_bytes: int, address_bits: int, bus_bytes: int, depth: int):
        require_int("size_bytes", size_bytes, PAGE, 1 << address_bits)
        if size_bytes % PAGE:
            raise BadInput(f"size_bytes must be a multiple of {PAGE}, not {size_bytes}")
        for name, value, low, high in (("bus_bytes", bus_bytes, 4, 128), ("depth", depth, 2, 64)):
            require_int(name, value, low, high)
            if value & (value - 1):
                raise BadInput(f"{name} must be a power of two, not {value}")
        self.size_bytes = size_bytes
        self.address_bits = address_bits
        self.bus_bytes = bus_bytes
        self.depth = depth
        super().__init__({
            "s_axi_araddr": In(address_bits), "s_axi_arlen": In(8),
            "s_axi_arvalid": In(1), "s_axi_arready": Out(1),
            "s_axi_rdata": Out(8 * bus_bytes), "s_axi_rresp": Out(2), "s_axi_rlast": Out(1),
            "s_axi_rvalid": Out(1), "s_axi_rready": In(1),
            "s_axi_awaddr": In(address_bits), "s_axi_awlen": In(8),
            "s_axi_awvalid": In(1), "s_axi_awready": Out(1),
            "s_axi_wdata": In(8 * bus_bytes), "s_axi_wstrb": In(bus_bytes),
            "s_axi_wvalid": In(1), "s_axi_wready": Out(1),
            "s_axi_bresp": Out(2), "s_axi_bvalid": Out(1), "s_axi_bready": In(1),
            "host_awaddr": In(address_bits), "host_awvalid": In(1), "host_awready": Out(1),
            "host_wdata": In(32), "host_wstrb": In(4), "host_wvalid": In(1), "host_wready": Out(1),
            "host_bresp": Out(2), "host_bvalid": Out(1), "host_bready": In(1),
            "host_araddr": In(address_bits), "host_arvalid": In(1), "host_arready": Out(1),
            "host_rdata": Out(32), "host_rresp": Out(2), "host_rvalid": Out(1), "host_rready": In(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``on_chip_memory``."""
        return "on_chip_memory"

    def elaborate(self, platform: Any) -> Module:
        """Build the memory, the queues of bursts, and who has the bus."""
        m = Module()
        rows = self.size_bytes // self.bus_bytes
        # No word is read and written at once: see the class.
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        memory: Memory[Any, Any] = Memory(shape=8 * self.bus_bytes, depth=rows, init=[], attrs=attrs)
        m.submodules.memory = memory
        self.writer = memory.write_port(granularity=8)
        self.reader = memory.read_port()
        self.row_bits = index_bits(rows)
        self.idle = Signal()  # neither burst is under way
        self.wanted = Signal(name="host_wanted")
        self._bursts(m, platform)
        self._host(m)
        return m

    def _where(self, address: Value) -> tuple[Value, Value]:
        """Row of an address, and whether there is one: of a burst's first byte, because bursts stay in a page."""
        row = address[ceil_log2(self.bus_bytes) :]
        return row[: self.row_bits], row < self.size_bytes // self.bus_bytes

    def _bursts(self, m: Module, platform: Any) -> None:
        """The wide entrance; a burst has the bus from its grant to its last beat."""
        reading = Signal()
        writing = Signal()
        last_wrote = Signal(init=1)
        row = Signal(self.row_bits, reset_less=True)  # of the next beat
        there = Signal(reset_less=True)
        left = Signal(8, reset_less=True)
        reads, r_row, r_there, r_len = self._queue(m, platform, "read", "ar", reading)
        writes, w_row, w_there, w_len = self._queue(m, platform, "write", "aw", writing)
        responses = Fifo("responses", 1, _RESPONSES)
        place(m, "responses", responses, platform)

        last = Signal()
        moves = Signal()
        free = Signal()
        read_wants = Signal()
        write_wants = Signal()
        grant_read = Signal()
        grant_write = Signal()
        spoiled = Signal()
        spoils = Signal()
        waits = Signal(name="write_waits")
        taken = Signal(name="write_taken")
        m.d.comb += [
            last.eq(~left.any()),
            moves.eq((reading & self.s_axi_rready) | (writing & self.s_axi_wvalid)),
            self.idle.eq(~reading & ~writing),
            free.eq((self.idle | (moves & last)) & ~self.wanted),
            read_wants.eq(free & reads.valid),
            # At most two more can come before a burst that begins now asks for its own place.
            write_wants.eq(free & waits & (responses.level <= _RESPONSES - 2)),
            grant_read.eq(read_wants & (~write_wants | last_wrote)),
            grant_write.eq(write_wants & ~grant_read),
            reads.pop.eq(grant_read),
            self.s_axi_rvalid.eq(reading),
            self.s_axi_rlast.eq(last),
            self.s_axi_rresp.eq(Mux(there, OKAY, _DECERR)),
            self.s_axi_rdata.eq(self.reader.data),
            self.s_axi_wready.eq(writing),
            self.reader.addr.eq(Mux(grant_read, r_row, row)),
            self.reader.en.eq(grant_read | (reading & self.s_axi_rready & ~last)),
            self.writer.addr.eq(row),
            self.writer.data.eq(self.s_axi_wdata),
            self.writer.en.eq(Mux(writing & self.s_axi_wvalid & there, self.s_axi_wstrb, 0)),
            spoils.eq(writing & self.s_axi_wvalid & ~there & self.s_axi_wstrb.any()),
            responses.push.eq(writing & moves & last),
            responses.data.eq(spoiled | spoils),
            responses.pop.eq(responses.valid & self.s_axi_bready),
            self.s_axi_bvalid.eq(responses.valid),
            self.s_axi_bresp.eq(Mux(responses.head, _DECERR, OKAY)),
        ]
        m.d.comb += writes.pop.eq(grant_write & writes.valid)
        with m.If(moves):
            m.d.sync += [left.eq(left - 1), spoiled.eq((spoiled | spoils) & ~last)]
            with m.If(last):
                m.d.sync += [reading.eq(0), writing.eq(0)]
        with m.If(grant_read):
            m.d.sync += [
                reading.eq(1), last_wrote.eq(0), left.eq(r_len), row.eq(r_row + 1), there.eq(r_there)
            ]  # fmt: skip
        with m.Elif(grant_write):
            m.d.sync += [writing.eq(1), last_wrote.eq(1), left.eq(w_len), row.eq(w_row), there.eq(w_there)]
        with m.Elif(moves):
            m.d.sync += row.eq(row + 1)
        m.d.comb += [
            taken.eq(self.s_axi_awvalid & self.s_axi_awready),
            # A write that finds nobody before it can begin in the next cycle already.
            waits.eq(writes.valid | taken),
            writes.push.eq(taken & ~(grant_write & ~writes.valid)),
        ]

    def _queue(
        self, m: Module, platform: Any, name: str, channel: str, busy: Value
    ) -> tuple[Fifo, Value, Value, Value]:
        """Bursts that were accepted and not begun: the queue, the first one's row, whether there is one, its length.

        ``depth`` counts those that have not ended. For writes, what is shown is what comes in while nothing waits.
        """
        valid, ready = getattr(self, f"s_axi_{channel}valid"), getattr(self, f"s_axi_{channel}ready")
        row, there = self._where(getattr(self, f"s_axi_{channel}addr"))
        entry = Cat(getattr(self, f"s_axi_{channel}len"), there, row)
        queue = Fifo(f"{name}s", len(entry), self.depth)
        place(m, f"{name}s", queue, platform)
        held = Signal(range(self.depth + 1), name=f"{name}s_held")
        ends = Signal(name=f"{name}_ends")
        side = self.s_axi_rready if channel == "ar" else self.s_axi_wvalid
        m.d.comb += [
            ready.eq(held != self.depth),
            ends.eq(busy & side & self.s_axi_rlast),
            queue.data.eq(entry),
        ]
        m.d.sync += held.eq(held + (valid & ready) - ends)
        first = Signal(len(entry), name=f"next_{name}")
        if channel == "ar":
            m.d.comb += [queue.push.eq(valid & ready), first.eq(queue.head)]
        else:
            m.d.comb += first.eq(Mux(queue.valid, queue.head, entry))
        return queue, first[9:], first[8], first[:8]

    def _host(self, m: Module) -> None:
        """The narrow entrance: a word when the wide one rests."""
        parts = self.bus_bytes // 4
        part_bits = ceil_log2(parts)
        read_held = Signal()
        write_held = Signal()
        data_held = Signal()
        fetching = Signal()
        address = Signal(self.address_bits, reset_less=True, name="host_address")
        write_address = Signal(self.address_bits, reset_less=True, name="host_write_address")
        data = Signal(32, reset_less=True, name="host_data")
        strobes = Signal(4, reset_less=True, name="host_strobes")
        read_now = Signal(name="host_reads")
        write_now = Signal(name="host_writes")
        read_row, read_there = self._where(address)
        write_row, write_there = self._where(write_address)
        m.d.comb += [
            self.host_arready.eq(~read_held & ~fetching & ~self.host_rvalid),
            self.host_awready.eq(~write_held & ~self.host_bvalid),
            self.host_wready.eq(~data_held & ~self.host_bvalid),
            self.wanted.eq(read_held | (write_held & data_held)),
            read_now.eq(self.idle & read_held),
            write_now.eq(self.idle & write_held & data_held & ~read_held),
        ]
        with m.If(self.host_arvalid & self.host_arready):
            m.d.sync += [read_held.eq(1), address.eq(self.host_araddr)]
        with m.If(self.host_awvalid & self.host_awready):
            m.d.sync += [write_held.eq(1), write_address.eq(self.host_awaddr)]
        with m.If(self.host_wvalid & self.host_wready):
            m.d.sync += [data_held.eq(1), data.eq(self.host_wdata), strobes.eq(self.host_wstrb)]

        part = address[2 : 2 + part_bits]
        m.d.sync += fetching.eq(read_now)
        with m.If(read_now):
            m.d.comb += [self.reader.addr.eq(read_row), self.reader.en.eq(1)]
            m.d.sync += read_held.eq(0)
        with m.If(fetching):
            words = words_of(self.reader.data, 32)
            m.d.sync += [
                self.host_rvalid.eq(1),
                self.host_rdata.eq(select(words, part)),
                self.host_rresp.eq(Mux(read_there, OKAY, _DECERR)),
            ]
        with m.Elif(self.host_rready):
            m.d.sync += self.host_rvalid.eq(0)

        write_part = write_address[2 : 2 + part_bits]
        mask = Cat(Mux(write_part == i if part_bits else 1, strobes, 0) for i in range(parts))
        with m.If(write_now):
            m.d.comb += [
                self.writer.addr.eq(write_row),
                self.writer.data.eq(data.replicate(parts)),
                self.writer.en.eq(Mux(write_there, mask, 0)),
            ]
            m.d.sync += [
                write_held.eq(0),
                data_held.eq(0),
                self.host_bvalid.eq(1),
                self.host_bresp.eq(Mux(write_there, OKAY, _DECERR)),
            ]
        with m.Elif(self.host_bready):
            m.d.sync += self.host_bvalid.eq(0)
