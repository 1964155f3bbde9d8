"""Access to hooks from software: a controller behind AXI4-Lite, and a top module around design and controller."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.config import require_int
from hwgen.emit import Unit, emit
from hwgen.errors import BadInput
from hwgen.faults.access_registers import ADDRESS_BITS, FOREVER, ID, REGISTERS, offset
from hwgen.faults.hook_words import WORD_BITS
from hwgen.faults.hooks import FAULT_PORTS, Hooked
from hwgen.parts.axi_lite import OKAY, SLVERR, register_writes
from hwgen.version import VERSION

__all__ = ["FaultAccess", "wrapped"]

_WATCH_BITS = 32


class FaultAccess(Unit):
    """The fault controller; see :mod:`hwgen.faults.access_registers` for its registers.

    Its reset is not the design's: what was written survives a reset of the design, which starts the cycles anew. Reads
    and writes are independent, one of each at a time; no ``ready`` depends on a ``valid``.

    Parameters
    ----------
    address_bits, row_bits : int
        Widths of ``fault_word`` and ``fault_row``.
    digest : int
        What DIGEST reads, 64 bits.
    watch_bits : int
        Width of the watched value; 0 if nothing is watched.

    Members
    -------
    s_axi_fault_* : In, Out
        AXI4-Lite slave, 8 bits of address, 32 of data.
    restart : In(1)
        The next cycle without it is cycle 0.
    watched : In(max(watch_bits, 1))
        What can trigger a fault.
    fault_* : Out
        To the hooks.
    """

    def __init__(self, address_bits: int, row_bits: int, digest: int, watch_bits: int = 0):
        require_int("address_bits", address_bits, 1, 32)
        require_int("row_bits", row_bits, 1, 32)
        require_int("digest", digest, 0, (1 << 64) - 1)
        require_int("watch_bits", watch_bits, 0, _WATCH_BITS)
        self.address_bits = address_bits
        self.row_bits = row_bits
        self.digest = digest
        self.watch_bits = watch_bits
        a = "s_axi_fault_"
        super().__init__({
            f"{a}awaddr": In(ADDRESS_BITS), f"{a}awprot": In(3), f"{a}awvalid": In(1), f"{a}awready": Out(1),
            f"{a}wdata": In(32), f"{a}wstrb": In(4), f"{a}wvalid": In(1), f"{a}wready": Out(1),
            f"{a}bresp": Out(2), f"{a}bvalid": Out(1), f"{a}bready": In(1),
            f"{a}araddr": In(ADDRESS_BITS), f"{a}arprot": In(3), f"{a}arvalid": In(1), f"{a}arready": Out(1),
            f"{a}rdata": Out(32), f"{a}rresp": Out(2), f"{a}rvalid": Out(1), f"{a}rready": In(1),
            "restart": In(1), "watched": In(max(watch_bits, 1)),
            "fault_select": Out(1), "fault_word": Out(address_bits), "fault_row": Out(row_bits),
            "fault_column": Out(1), "fault_clear": Out(WORD_BITS), "fault_flip": Out(WORD_BITS),
            "fault_strobe": Out(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``fault_access``."""
        return "fault_access"

    def elaborate(self, platform: Any) -> Module:
        """Build bus, registers, trigger and window."""
        m = Module()
        offsets = {r.name: r.offset for r in REGISTERS if r.access != "ro"}
        written, data, mask = register_writes(m, self, "s_axi_fault_", offsets, "write_at")
        widths = {"WORD": self.address_bits, "ROW": self.row_bits, "MODE": 2}
        held = {
            r.name: Signal(widths.get(r.name, 32), name=r.name.lower()) for r in REGISTERS if r.access == "rw"
        }
        for name, value in held.items():
            with m.If(written[name]):
                m.d.sync += value.eq((value & ~mask) | (data & mask))
        values: dict[str, Value] = {
            "ID": Const(ID, 32),
            "DIGEST_LOW": Const(self.digest & 0xFFFFFFFF, 32),
            "DIGEST_HIGH": Const(self.digest >> 32, 32),
            "SHAPE": Const(self.address_bits | self.row_bits << 8 | self.watch_bits << 16, 32),
            **held,
        }
        orders = data & mask
        arm = Signal()
        disarm = Signal()
        m.d.comb += [arm.eq(written["CONTROL"] & orders[0]), disarm.eq(written["CONTROL"] & orders[1])]
        self._fault(m, values, held, arm, disarm)
        self._reads(m, values)
        return m

    def _fault(
        self, m: Module, values: dict[str, Value], held: dict[str, Signal], arm: Signal, disarm: Signal
    ) -> None:
        """When the fault begins, and in which cycles it is there."""
        armed = Signal()
        spent = Signal()
        window = Signal()
        left = Signal(32, reset_less=True)
        phase = Signal(32, reset_less=True)
        ahead = Signal(64)  # number of the next cycle: what decides on it is ready when it comes
        begins = Signal()
        waiting = Signal()
        start = Cat(held["START_LOW"], held["START_HIGH"])
        compare = held["MODE"][1]
        matched = Signal(32)  # `matches` is a word of SystemVerilog
        match = Signal()
        m.d.comb += [
            waiting.eq(armed & ~spent),
            match.eq(waiting & compare & ~((self.watched ^ held["VALUE"]) & held["MASK"]).any()),
        ]
        nth = (matched + 1 == held["COUNT"]) | ~held["COUNT"].any()
        with m.If(self.restart):
            m.d.sync += [ahead.eq(1), matched.eq(0)]
            m.d.comb += begins.eq(armed & ~compare & ~start.any())
        with m.Else():
            m.d.sync += ahead.eq(ahead + 1)
            with m.If(match):
                m.d.sync += matched.eq(matched + 1)
            m.d.comb += begins.eq(Mux(compare, match & nth, waiting & (ahead == start)))
        duration = held["DURATION"]
        with m.If(begins):
            m.d.sync += [window.eq(1), spent.eq(1), phase.eq(0), left.eq(duration)]
        with m.Elif(self.restart):
            m.d.sync += [window.eq(0), spent.eq(0)]
        with m.Elif(window):
            last = phase + 1 == held["PERIOD"]
            m.d.sync += phase.eq(Mux(last, 0, phase + 1))
            with m.If(~left[1:].any()):
                m.d.sync += window.eq(0)
            with m.Elif(left != FOREVER):
                m.d.sync += left.eq(left - 1)
        fired = Signal()
        fired_cycle = Signal(64)
        strobes = Signal(32)
        there = ~held["PERIOD"].any() | (phase < held["ACTIVE"])
        m.d.comb += self.fault_strobe.eq(armed & window & there & ~self.restart)
        with m.If(self.fault_strobe):
            m.d.sync += [fired.eq(1), strobes.eq(strobes + 1)]
            with m.If(~fired):
                m.d.sync += fired_cycle.eq(ahead - 1)
        # Orders come last: they win.
        with m.If(disarm):
            m.d.sync += [armed.eq(0), window.eq(0)]
        with m.Elif(arm):
            m.d.sync += [armed.eq(1), window.eq(0), spent.eq(0), matched.eq(0)]
            m.d.sync += [fired.eq(0), fired_cycle.eq(0), strobes.eq(0)]
        m.d.comb += [
            self.fault_select.eq(armed),
            self.fault_word.eq(held["WORD"]),
            self.fault_row.eq(held["ROW"]),
            self.fault_column.eq(held["MODE"][0]),
            self.fault_clear.eq(held["CLEAR"]),
            self.fault_flip.eq(held["FLIP"]),
        ]
        values["STATUS"] = Cat(armed, window, fired)
        values["FIRED_LOW"], values["FIRED_HIGH"] = fired_cycle[:32], fired_cycle[32:]
        values["STROBES"] = strobes

    def _reads(self, m: Module, values: dict[str, Value]) -> None:
        """Address, then data; an address without a register is answered with SLVERR."""
        free = Signal(init=1, name="read_free")
        word = Signal(ADDRESS_BITS - 2, name="read_at", reset_less=True)
        data = Signal(32, name="read_data", reset_less=True)
        response = Signal(2, name="read_response", reset_less=True)
        busy = Signal(name="read_busy")
        m.d.comb += [
            self.s_axi_fault_arready.eq(free),
            self.s_axi_fault_rdata.eq(data),
            self.s_axi_fault_rresp.eq(response),
            busy.eq(~free & ~self.s_axi_fault_rvalid),
        ]
        # The word is compared together with "there is one": what compares with zero alone, Yosys writes as a not.
        key = Cat(word, ~free)
        found = {r.name: key == (offset(r.name) >> 2 | 1 << len(word)) for r in REGISTERS}
        with m.If(free):
            m.d.sync += [word.eq(self.s_axi_fault_araddr[2:]), free.eq(~self.s_axi_fault_arvalid)]
        with m.If(busy):
            m.d.sync += [
                self.s_axi_fault_rvalid.eq(1),
                data.eq(reduce(or_, (Mux(found[name], value, 0) for name, value in values.items()))),
                response.eq(Mux(Cat(found.values()).any(), OKAY, SLVERR)),
            ]
        with m.Elif(self.s_axi_fault_rvalid & self.s_axi_fault_rready):
            m.d.sync += [self.s_axi_fault_rvalid.eq(0), free.eq(1)]


def wrapped(made: Hooked, watch: Sequence[str] = ()) -> str:
    """Verilog of ``<top>_fault_lab``: the hooked design, its ports passed through, and the controller.

    Beside them it has the controller's AXI4-Lite slave ``s_axi_fault_*``, the controller's reset ``fault_rst``, and
    ``fault_arm``: the cycle after it, or after the design's ``rst``, is cycle 0.

    Parameters
    ----------
    made : Hooked
        The design.
    watch : sequence of str
        Ports of the design that can trigger a fault, the least significant first; 32 bits at most.

    Raises
    ------
    BadInput
        If it has no clock ``clk``, no such port, or they are too wide together.
    """
    ports = _ports(made)
    if ports.get("clk") != ("input", 1):
        raise BadInput(f"{made.top} has no input clk: the controller needs the design's clock")
    for name in watch:
        if name not in ports:
            raise BadInput(f"{made.top} has no port {name} to watch; it has {', '.join(ports)}")
    bits = sum(ports[name][1] for name in watch)
    if bits > _WATCH_BITS:
        raise BadInput(f"{', '.join(watch)} have {bits} bits; at most {_WATCH_BITS} can be watched")
    access = FaultAccess(made.address_bits, made.row_bits, int(made.digest, 16), bits)
    emitted = emit(access, f"{made.top}_fault_access", {"hwgen": VERSION, "fault access of": made.top})
    bus = [p for p in emitted.ports if p.name.startswith("s_axi_fault_")]
    outer = [(d, w, n) for n, (d, w) in ports.items()] + [(p.direction, p.width, p.name) for p in bus]
    outer += [("input", 1, "fault_rst"), ("input", 1, "fault_arm")]
    names = [name for _, _, name in outer]
    if len(set(names)) < len(names):
        raise BadInput(f"{made.top} has a port with the name of one of the controller's; rename it")
    hooks = {name: width for name, width in _ports(made, hooks=True).items() if name in FAULT_PORTS}
    restart = "fault_arm | rst" if "rst" in ports else "fault_arm"
    watched = ", ".join(reversed(watch)) if watch else "1'h0"
    lines = [
        f"module {made.top}_fault_lab(",
        ",\n".join(f"  {direction} {_range(width)}{name}" for direction, width, name in outer),
        ");",
        *(f"  wire {_range(width)}{name};" for name, (_, width) in hooks.items()),
        f"  {made.top} hooked (",
        ",\n".join(f"    .{name}({name})" for name in (*ports, *hooks)),
        "  );",
        f"  {made.top}_fault_access controller (",
        "    .clk(clk),",
        "    .rst(fault_rst),",
        f"    .restart({restart}),",
        f"    .watched({{ {watched} }}),",
        ",\n".join(f"    .{name}({name})" for name in (*(p.name for p in bus), *hooks)),
        "  );",
        "endmodule",
    ]
    return "\n".join([made.verilog, emitted.verilog, "\n".join(lines), ""])


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def _ports(made: Hooked, *, hooks: bool = False) -> dict[str, tuple[str, int]]:
    """Direction and width of the top module's ports, from the text; those of the hooks only if asked for."""
    module = re.search(rf"^module {made.top}\(.*?^endmodule", made.verilog, re.MULTILINE | re.DOTALL)
    text = module[0] if module else ""
    found = {}
    for direction, high, name in re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", text, re.MULTILINE):
        if hooks or name not in FAULT_PORTS:
            found[name] = direction, int(high or 0) + 1
    return found
