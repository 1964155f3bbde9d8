"""The accelerator's control side: AXI4-Lite registers, interrupt, performance counters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.config import require_int
from hwgen.emit import Unit, place
from hwgen.errors import BadInput, HwgenError
from hwgen.numerics import ceil_div, ceil_log2, index_bits
from hwgen.parts.axi_lite import OKAY, SLVERR, register_writes
from hwgen.program.table import ENGINES
from hwgen.system.registers import ADDRESS_BITS, ID, REGISTERS, register, version_word

__all__ = ["Control", "Counters"]

READ_SPACING = 4  # cycles from one read of a register to the next, at least


class Counters(Unit):
    """Event counters of 32 bits that share one memory and one adder.

    Each event has a few bits of its own, the *part*, which counts what happened since the walk last came by. The
    walk visits one counter per cycle: it adds the part to the total in the memory and starts the part anew. A read
    takes the walk's place for one cycle and adds the same way, without writing; so what it sees is exact.
    After ``clear`` the first round of the walk starts from zero whatever the memory holds.

    Parameters
    ----------
    count : int
        Number of counters.

    Members
    -------
    events : In(count)
        What is counted: cycles in which the bit is set.
    clear : In(1)
        Set all to zero.
    read, slot : In
        Read counter ``slot``; at most every fourth cycle, or a part may overflow.
    value : Out(32)
        Events in the cycles before ``read``; valid in the cycle after it.
    """

    def __init__(self, count: int):
        self.count = count
        super().__init__({
            "events": In(count), "clear": In(1), "read": In(1), "slot": In(index_bits(count)), "value": Out(32),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``counters``."""
        return "counters"

    @property
    def part_bits(self) -> int:
        """Width of a part: holds the longest time between two visits, reads in between included."""
        longest = ceil_div(READ_SPACING * (self.count + 1), READ_SPACING - 1) + 1
        return ceil_log2(longest + 1)

    def elaborate(self, platform: Any) -> Module:
        """Build parts, walk, memory and adder."""
        m = Module()
        walk = Signal(index_bits(self.count))
        first_round = Signal(init=1)  # the memory is not cleared by reset
        with m.If(self.clear):
            m.d.sync += [walk.eq(0), first_round.eq(1)]
        with m.Elif(~self.read):
            m.d.sync += walk.eq(walk + 1)
            with m.If(walk == self.count - 1):
                m.d.sync += [walk.eq(0), first_round.eq(0)]

        parts = []
        for i in range(self.count):
            part = Signal(self.part_bits, name=f"part_{i}")
            visited = ~self.read & _is(walk, i)
            with m.If(self.clear):
                m.d.sync += part.eq(0)
            with m.Else():
                m.d.sync += part.eq(Mux(visited, 0, part) + self.events[i])
            parts.append(part)

        # Second stage: the adder, and in the same cycle the memory, so no total is ever on its way.
        index = Signal.like(walk)
        now_index = Signal.like(walk, reset_less=True)
        now_part = Signal(self.part_bits, reset_less=True)
        blank = Signal(reset_less=True)
        store = Signal()
        m.d.comb += index.eq(Mux(self.read, self.slot, walk))
        m.d.sync += [
            now_index.eq(index),
            now_part.eq(Mux(self.clear, 0, _at(parts, index))),
            blank.eq(self.clear | (first_round & (index >= walk))),
            store.eq(~self.read),
        ]
        totals: Memory[Any, Any] = Memory(shape=32, depth=self.count, init=[])
        m.submodules.totals = totals
        old = totals.read_port(domain="comb")
        new = totals.write_port()
        m.d.comb += [
            old.addr.eq(now_index),
            self.value.eq(Mux(blank, 0, old.data) + now_part),
            new.addr.eq(now_index),
            new.data.eq(self.value),
            new.en.eq(store),
        ]
        return m


class Control(Unit):
    """Registers of the accelerator behind an AXI4-Lite slave; see :mod:`hwgen.system.registers` for the table.

    Reads and writes are independent, one of each at a time; no ``ready`` depends on a ``valid``. A write takes effect
    in the cycle after the later of its address and data, or when the response before it was taken. A read is
    answered three cycles after its address. ``running`` must rise in the cycle after ``start``: a start that comes
    while it is high is ignored. Events and cycles count while ``running`` is high, events a cycle later than cycles.

    Parameters
    ----------
    engines : sequence of str
        Engines that the configuration has, of :data:`~hwgen.program.table.ENGINES`.
    address_bits : int
        Width of the byte addresses of memory.
    digest : int
        What DIGEST reads, 64 bits.
    version : str
        What VERSION reads.

    Members
    -------
    s_axi_* : In, Out
        AXI4-Lite slave, 12 bits of address, 32 of data.
    irq : Out(1)
        Interrupt, level, one cycle after IRQ_STATUS.
    start, stop : Out(1)
        Pulses.
    program_address, program_count : Out
        Where the program is, and how long; they follow the registers, during a run too.
    running : In(1)
        A program runs.
    done, error : In(1)
        Pulses: the program ended; it failed. With ``error``, ``error_code``, ``error_engine`` and
        ``error_instruction`` say how; a run's first error is kept.
    dispatched, read_beat, write_beat : In(1)
        Counted.
    <engine>_run, <engine>_idle, <engine>_wait, <engine>_stall, <engine>_done : In(1)
        Counted; for every engine that there is.
    <engine>_waiting : In(8)
        Engines whose token the head instruction lacks.

    Raises
    ------
    BadInput
        If an engine does not exist, or a number does not fit.
    """

    def __init__(self, engines: Sequence[str], address_bits: int, digest: int, version: str):
        for name in engines:
            if name not in ENGINES:
                raise BadInput(f"engines must be of {', '.join(ENGINES)}, not {name!r}")
        require_int("address_bits", address_bits, 5, 64)
        require_int("digest", digest, 0, (1 << 64) - 1)
        self.engines = tuple(name for name in ENGINES if name in engines)
        self.address_bits = address_bits
        self.digest = digest
        self.version = version_word(version)
        self.counted = tuple(r for r in REGISTERS if r.counts and (not r.engine or r.engine in self.engines))
        events = {r.counts: In(1) for r in self.counted}
        super().__init__({
            "s_axi_awaddr": In(ADDRESS_BITS), "s_axi_awprot": In(3),
            "s_axi_awvalid": In(1), "s_axi_awready": Out(1),
            "s_axi_wdata": In(32), "s_axi_wstrb": In(4), "s_axi_wvalid": In(1), "s_axi_wready": Out(1),
            "s_axi_bresp": Out(2), "s_axi_bvalid": Out(1), "s_axi_bready": In(1),
            "s_axi_araddr": In(ADDRESS_BITS), "s_axi_arprot": In(3),
            "s_axi_arvalid": In(1), "s_axi_arready": Out(1),
            "s_axi_rdata": Out(32), "s_axi_rresp": Out(2), "s_axi_rvalid": Out(1), "s_axi_rready": In(1),
            "irq": Out(1), "start": Out(1), "stop": Out(1),
            "program_address": Out(address_bits), "program_count": Out(32),
            "running": In(1), "done": In(1), "error": In(1),
            "error_code": In(8), "error_engine": In(4), "error_instruction": In(32),
            **events, **{f"{name}_waiting": In(8) for name in self.engines},
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``control``."""
        return "control"

    def elaborate(self, platform: Any) -> Module:
        """Build the two sides of the bus and what is between them."""
        m = Module()
        values: dict[str, Value] = {
            "ID": Const(ID, 32),
            "VERSION": Const(self.version, 32),
            "DIGEST_LOW": Const(self.digest, 64)[:32],
            "DIGEST_HIGH": Const(self.digest, 64)[32:],
        }
        values |= {f"{name.upper()}_WAITING": getattr(self, f"{name}_waiting") for name in self.engines}
        offsets = {r.name: r.offset for r in REGISTERS if r.access != "ro"}
        written, data, mask = register_writes(m, self, "s_axi_", offsets)
        self._orders(m, written["CONTROL"], data & mask)
        self._program(m, values, written, data, mask)
        self._status(m, values)
        self._interrupt(m, values, written, data, mask)
        hold_cycles = Signal()
        self._cycles(m, values, hold_cycles)
        self._reads(m, platform, values, hold_cycles)
        return m

    def _orders(self, m: Module, written: Value, ones: Value) -> None:
        """Start and stop."""
        start, stop = (register("CONTROL").fields[i].low for i in (0, 1))
        m.d.sync += [
            self.start.eq(written & ones[start] & ~self.running),
            self.stop.eq(written & ones[stop] & self.running),
        ]

    def _program(
        self, m: Module, values: dict[str, Value], written: dict[str, Value], data: Value, mask: Value
    ) -> None:
        """Where the program is."""
        parts = {
            "PROGRAM_LOW": self.program_address[:32],
            "PROGRAM_HIGH": self.program_address[32:],
            "PROGRAM_COUNT": self.program_count,
        }
        for name, part in parts.items():
            if len(part):
                values[name] = part
                with m.If(written[name]):
                    m.d.sync += part.eq((part & ~mask) | (data & mask))

    def _status(self, m: Module, values: dict[str, Value]) -> None:
        """How the run is, and how the last one ended."""
        done = Signal(name="status_done")
        failed = Signal(name="status_error")
        code = Signal(8, name="first_code")
        engine = Signal(4, name="first_engine")
        instruction = Signal(32, name="first_instruction")
        with m.If(self.start):
            m.d.sync += [done.eq(0), failed.eq(0), code.eq(0), engine.eq(0), instruction.eq(0)]
        with m.Else():
            with m.If(self.done):
                m.d.sync += done.eq(1)
            with m.If(self.error & ~failed):
                m.d.sync += [
                    failed.eq(1),
                    code.eq(self.error_code),
                    engine.eq(self.error_engine),
                    instruction.eq(self.error_instruction),
                ]
        values["STATUS"] = _fields("STATUS", running=self.running, done=done, error=failed)
        values["ERROR"] = _fields("ERROR", code=code, engine=engine)
        values["ERROR_INSTRUCTION"] = instruction

    def _interrupt(
        self, m: Module, values: dict[str, Value], written: dict[str, Value], data: Value, mask: Value
    ) -> None:
        """Enables, events, and the line; an event in the cycle in which it is cleared stays."""
        enable = Signal(2, name="irq_enable")
        status = Signal(2, name="irq_status")
        events = _fields("IRQ_STATUS", done=self.done, error=self.error)
        with m.If(written["IRQ_ENABLE"]):
            m.d.sync += enable.eq((enable & ~mask) | (data & mask))
        cleared = Mux(written["IRQ_STATUS"], data & mask, 0)
        m.d.sync += [status.eq((status & ~cleared) | events), self.irq.eq((enable & status).any())]
        values["IRQ_ENABLE"] = enable
        values["IRQ_STATUS"] = status

    def _cycles(self, m: Module, values: dict[str, Value], hold: Value) -> None:
        """The cycles of the run; the upper half waits for whoever read the lower."""
        cycles = Signal(64, name="cycle_count")
        upper = Signal(32, name="cycle_count_upper", reset_less=True)
        with m.If(self.start):
            m.d.sync += cycles.eq(0)
        with m.Elif(self.running):
            m.d.sync += cycles.eq(cycles + 1)
        with m.If(hold):
            m.d.sync += upper.eq(cycles[32:])
        values["CYCLES_LOW"] = cycles[:32]
        values["CYCLES_HIGH"] = upper

    def _reads(self, m: Module, platform: Any, values: dict[str, Value], hold_cycles: Signal) -> None:
        """Address, one cycle for the counters to look theirs up, data."""
        counters = Counters(len(self.counted))
        place(m, "counters", counters, platform)
        free = Signal(init=1, name="read_free")
        select = Signal(name="read_select")
        sample = Signal(name="read_sample")
        data = Signal(32, name="read_data", reset_less=True)
        response = Signal(2, name="read_response", reset_less=True)
        # Registered, because events come from everywhere: they count in the cycle after.
        m.d.sync += counters.events.eq(Cat(getattr(self, r.counts) & self.running for r in self.counted))
        m.d.comb += [
            counters.clear.eq(self.start),
            counters.read.eq(select),
            self.s_axi_arready.eq(free),
            self.s_axi_rdata.eq(data),
            self.s_axi_rresp.eq(response),
        ]
        m.d.sync += [select.eq(free & self.s_axi_arvalid), sample.eq(select)]
        found = {r.name: Signal(name=f"reads_{r.name.lower()}") for r in REGISTERS}
        slot = Signal(len(counters.slot), name="read_slot", reset_less=True)
        with m.If(free):
            word = self.s_axi_araddr[2:]
            asked = [(_is(word, r.offset >> 2), Const(i, len(slot))) for i, r in enumerate(self.counted)]
            m.d.sync += slot.eq(_any_of(asked))
            m.d.sync += [
                *(found[r.name].eq(_is(word, r.offset >> 2)) for r in REGISTERS),
                free.eq(~self.s_axi_arvalid),
            ]
        is_counter = Cat(found[r.name] for r in self.counted).any()
        m.d.comb += counters.slot.eq(slot)
        choices = [(is_counter, counters.value), *((found[name], value) for name, value in values.items())]
        m.d.comb += hold_cycles.eq(sample & found["CYCLES_LOW"])
        with m.If(sample):
            m.d.sync += [
                self.s_axi_rvalid.eq(1),
                data.eq(_any_of(choices)),
                response.eq(Mux(Cat(found.values()).any(), OKAY, SLVERR)),
            ]
        with m.Elif(self.s_axi_rvalid & self.s_axi_rready):
            m.d.sync += [self.s_axi_rvalid.eq(0), free.eq(1)]


def _is(value: Value, number: int) -> Value:
    """Whether ``value`` is ``number``, in words that Verilator accepts: Yosys writes ``== 0`` as a logical not."""
    return value == number if number else ~value.any()


def _at(values: Sequence[Value], index: Value) -> Value:
    """``values[index]`` as a tree, one bit of the index per level; why not an Array, see :func:`_any_of`."""
    for bit in index:
        low, high = values[::2], values[1::2]
        values = [*(Mux(bit, b, a) for a, b in zip(low, high, strict=False)), *low[len(high) :]]
    return values[0]


def _any_of(choices: Iterable[tuple[Value, Value]]) -> Value:
    """The value whose condition holds, of which at most one does; otherwise zero.

    Not a switch, because Verilator takes what Yosys makes of a small one for a mistake.
    """
    return reduce(or_, (Mux(condition, value, 0) for condition, value in choices))


def _fields(name: str, **parts: Value) -> Value:
    """The register's fields, each where the table has it; they leave no gap."""
    values: list[Value] = []
    low = 0
    for field in register(name).fields:
        if field.low != low or field.bits != len(parts[field.name]):
            raise HwgenError(f"field {field.name} of {name} is not where the table has it")
        values.append(parts[field.name])
        low += field.bits
    return Cat(values)
