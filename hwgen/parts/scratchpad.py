"""Banked on-chip memory with ports of several widths."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.numerics import ceil_log2, index_bits
from hwgen.parts.delay import delay
from hwgen.parts.ram import READ_LATENCY
from hwgen.parts.select import select, words_of

__all__ = ["Scratchpad"]

_BANK_REGISTERS = 2  # of the registers that a latency asks for, those around a bank


class Scratchpad(Unit):
    """Simple dual-port banks behind several read and write ports.

    Every bank serves one read and one write per cycle. Which port uses which bank is the program's business: two
    ports of one direction on one bank in one cycle raise ``conflict`` a cycle later, and the data are undefined.
    A read of a word that is written in the same cycle is undefined as well; a read of another word never is.

    Parameters
    ----------
    name : str
        What distinguishes the module.
    size_bytes : int
        Total size.
    word_bytes : int
        What is never read and written at once: a word, as programs see it.
    banks : int
        Equal ranges of addresses; a power of two.
    writers, readers : mapping of str to int
        Width of each port in bytes, powers of two. Addresses count in units of the port's width.
    latency : int
        Cycles from a read's address to its data, of :data:`~hwgen.parts.ram.LATENCIES`. The registers that they put
        in front of a memory are on the way of its writes as well, so that a read sees what was written in the cycle
        before it, as ever.
    late : collection of str, optional
        Readers whose data come a cycle later: there is a register between the choice of a bank and that of a word. Only
        with more than the least latency.

    Members
    -------
    <writer>_en, <writer>_address, <writer>_data : In
        A write.
    <reader>_en, <reader>_address : In
        A read; ``<reader>_data`` is the answer ``latency`` cycles later. If that is two cycles, it stays until the next
        one's; otherwise it is there in that cycle only, and no enable has to reach all its bits.
    conflict : Out(1)
        Two ports met in one bank, in the cycle before, or with registers at the ports in the one before that.
    """

    def __init__(
        self,
        name: str,
        size_bytes: int,
        word_bytes: int,
        banks: int,
        writers: dict[str, int],
        readers: dict[str, int],
        latency: int = READ_LATENCY,
        late: Collection[str] = (),
    ):
        assert not late or latency > READ_LATENCY
        self.name = name
        self.size_bytes = size_bytes
        self.word_bytes = word_bytes
        self.banks = banks
        self.writers = writers
        self.readers = readers
        self.latency = latency
        self.late = late
        widths = [*writers.values(), *readers.values()]
        self.row_bytes = max(widths)
        self.column_bytes = min(widths)
        members: dict[str, Any] = {}
        for port, width in writers.items():
            members[f"{port}_en"] = In(1)
            members[f"{port}_address"] = In(index_bits(size_bytes // width))
            members[f"{port}_data"] = In(8 * width)
        for port, width in readers.items():
            members[f"{port}_en"] = In(1)
            members[f"{port}_address"] = In(index_bits(size_bytes // width))
            members[f"{port}_data"] = Out(8 * width)
        members["conflict"] = Out(1)
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``scratchpad`` and the name."""
        return f"scratchpad_{self.name}"

    def _split(self, m: Module, port: str, width: int) -> tuple[Value, Value, Value]:
        """Bank, row and first column of a port's address."""
        address = self._late(m, port, "address")
        part_bits = ceil_log2(self.row_bytes // width)
        row_bits = ceil_log2(self.size_bytes // self.banks // self.row_bytes)
        part = address[:part_bits]
        row = address[part_bits : part_bits + row_bits]
        bank = address[part_bits + row_bits :]
        return bank, row, part

    def elaborate(self, platform: Any) -> Module:
        """Build banks and multiplexers."""
        m = Module()
        rows = self.size_bytes // self.banks // self.row_bytes
        banks = [
            _Bank(
                self.name,
                rows,
                self.row_bytes,
                self.column_bytes,
                self.row_bytes <= self.word_bytes,
                self._around_bank,
            )
            for _ in range(self.banks)
        ]
        for i, bank in enumerate(banks):
            place(m, f"bank_{i}", bank, platform)
        conflicts = [*self._write(m, banks), *self._read(m, banks)]
        m.d.sync += self.conflict.eq(Cat(conflicts).any() if conflicts else 0)
        return m

    @property
    def _around_bank(self) -> int:
        """Registers in front of every bank and behind it."""
        return min(self.latency - READ_LATENCY, _BANK_REGISTERS)

    @property
    def _at_ports(self) -> int:
        """Registers at every port."""
        return self.latency - READ_LATENCY - self._around_bank

    def _late(self, m: Module, port: str, what: str) -> Value:
        """A port's member, by way of the register at it if there is one."""
        name = f"{port}_{what}"
        return delay(m, getattr(self, name), self._at_ports, reset=what == "en", name=f"{name}_late")

    def _hits(self, m: Module, port: str, width: int) -> list[Value]:
        """One bit per bank, registered as the port is: the port uses it."""
        en: Value = getattr(self, f"{port}_en")
        bank = getattr(self, f"{port}_address")[ceil_log2(self.size_bytes // self.banks // width) :]
        hits: list[Value] = []
        for i in range(self.banks):
            hit = Signal(name=f"{port}_hit_{i}")
            m.d.comb += hit.eq(en & (bank == i) if len(bank) else en)
            hits.append(delay(m, hit, self._at_ports, reset=True))
        return hits

    def _write(self, m: Module, banks: list[_Bank]) -> list[Value]:
        columns = self.row_bytes // self.column_bytes
        ports = []
        for port, width in self.writers.items():
            _, row, part = self._split(m, port, width)
            hits = self._hits(m, port, width)
            copies = self.row_bytes // width
            data = self._late(m, port, "data").replicate(copies)
            own = width // self.column_bytes
            mask = Cat((part == c // own if len(part) else Value.cast(1)) for c in range(columns))
            ports.append((hits, row, mask, data))
        for i, bank in enumerate(banks):
            row_value: Value = ports[-1][1]
            mask_value: Value = ports[-1][2]
            data_value: Value = ports[-1][3]
            for hits, row, mask, data in reversed(ports[:-1]):
                row_value = Mux(hits[i], row, row_value)
                mask_value = Mux(hits[i], mask, mask_value)
                data_value = Mux(hits[i], data, data_value)
            used = Cat(hits[i] for hits, *_ in ports).any()
            m.d.comb += [
                bank.write_row.eq(row_value),
                bank.write_mask.eq(Mux(used, mask_value, 0)),
                bank.write_data.eq(data_value),
            ]
        return [_several([hits[i] for hits, *_ in ports]) for i in range(self.banks) if len(ports) > 1]

    def _read(self, m: Module, banks: list[_Bank]) -> list[Value]:
        ports = []
        for port, width in self.readers.items():
            which, row, part = self._split(m, port, width)
            hits = self._hits(m, port, width)
            ports.append((hits, row))
            en = self._late(m, port, "en")
            bank_was = Signal(max(1, len(which)), name=f"{port}_bank", reset_less=True)
            part_was = Signal(max(1, len(part)), name=f"{port}_part", reset_less=True)
            asked = Signal(name=f"{port}_asked")
            later = self._around_bank
            data = Signal(8 * width, name=f"{port}_out", reset_less=True)
            m.d.sync += asked.eq(en)
            with m.If(en):
                m.d.sync += [bank_was.eq(which), part_was.eq(part)]
            whole = Signal(8 * self.row_bytes, name=f"{port}_row")
            m.d.comb += whole.eq(select([bank.read_data for bank in banks], delay(m, bank_was, later)))
            more = int(port in self.late)
            word = select(words_of(delay(m, whole, more), 8 * width), delay(m, part_was, later + more))
            with m.If(Const(1, 1) if later else asked):
                m.d.sync += data.eq(word)
            m.d.comb += getattr(self, f"{port}_data").eq(data)
        for i, bank_unit in enumerate(banks):
            row_value = ports[-1][1]
            for hits, row in reversed(ports[:-1]):
                row_value = Mux(hits[i], row, row_value)
            m.d.comb += [
                bank_unit.read_row.eq(row_value),
                bank_unit.read_en.eq(Cat(hits[i] for hits, _ in ports).any()),
            ]
        return [_several([hits[i] for hits, _ in ports]) for i in range(self.banks) if len(ports) > 1]


def _several(hits: list[Value]) -> Value:
    """Whether more than one is set."""
    pairs = [hits[i] & hits[j] for i in range(len(hits)) for j in range(i)]
    return Cat(pairs).any()


class _Bank(Unit):
    """One block of memory, a read and a write per cycle; up to two registers more on a read's way."""

    def __init__(
        self, name: str, rows: int, row_bytes: int, column_bytes: int, exclusive: bool, registers: int
    ):
        self.name = name
        self.exclusive = exclusive
        self.registers = registers
        self.rows = rows
        self.row_bytes = row_bytes
        self.column_bytes = column_bytes
        super().__init__({
            "write_row": In(index_bits(rows)),
            "write_mask": In(row_bytes // column_bytes),
            "write_data": In(8 * row_bytes),
            "read_row": In(index_bits(rows)),
            "read_en": In(1),
            "read_data": Out(8 * row_bytes),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``bank`` and the name."""
        return f"bank_{self.name}"

    def elaborate(self, platform: Any) -> Module:
        """Build the memory."""
        m = Module()
        # The program's checker proves that no word is read and written at once, so no logic need keep either; but
        # a row of several words may be.
        attrs: dict[str, Any] = {"no_rw_check": 1} if self.exclusive else {}
        if self.rows >= 64:
            attrs["ram_style"] = "block"
        memory: Memory[Any, Any] = Memory(shape=8 * self.row_bytes, depth=self.rows, init=[], attrs=attrs)
        m.submodules.memory = memory
        write = memory.write_port(granularity=8 * self.column_bytes)
        read = memory.read_port()
        m.d.comb += [
            write.addr.eq(self._early(m, self.write_row)),
            write.data.eq(self._early(m, self.write_data)),
            write.en.eq(self._early(m, self.write_mask, reset=True)),
            read.addr.eq(self._early(m, self.read_row)),
            read.en.eq(self._early(m, self.read_en, reset=True)),
            self.read_data.eq(delay(m, read.data, self.registers // 2, name="read_behind")),
        ]
        return m

    def _early(self, m: Module, value: Value, reset: bool = False) -> Value:
        """What goes into the memory, by way of the register in front of it if there is one."""
        return delay(m, value, min(self.registers, 1), reset=reset)
