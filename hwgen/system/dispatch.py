"""Instruction fetch and dispatch: from DRAM to the engines' queues, in order, one per cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.numerics import ceil_log2
from hwgen.parts.delay import delay
from hwgen.parts.fifo import Fifo
from hwgen.parts.payload import payload
from hwgen.parts.select import select, words_of
from hwgen.program.table import (
    ENGINE_BITS,
    ENGINE_LOW,
    ENGINES,
    FUNCTION_BITS,
    FUNCTION_LOW,
    INSTRUCTION_BYTES,
    INSTRUCTIONS,
    MASK_BITS,
    SIGNAL_LOW,
    VEC_OPS,
    WAIT_LOW,
    Instruction,
)
from hwgen.system.config import SystemConfig
from hwgen.system.ports import BEATS_BITS

__all__ = ["PROGRAM_ALIGNMENT", "Dispatch"]

_BITS = 8 * INSTRUCTION_BYTES

PROGRAM_ALIGNMENT = 4096
"""Programs begin at a multiple of this many bytes, so that no fetch crosses an AXI boundary."""


class Dispatch(Unit):
    """Fetches ``count`` instructions from ``address`` on, checks each, and pushes it to its engine's queue.

    Members
    -------
    go : In(1), address, count : In
        Starts; address is rounded down to 4 KiB.
    read_valid, read_address, read_beats : Out, read_ready : In; data_valid, data : In
        The read port's fetch client; data are always taken.
    <engine>_push : Out(1), <engine>_began, <engine>_idle : In(1), word : Out
        The engines that the configuration has; with ``began`` an instruction left the engine's queue.
    dispatched : Out(1)
        An instruction left for its engine, or was carried out here.
    position : Out(32)
        How many have.
    halted, illegal, truncated : Out(1)
        The program has ended; its next instruction is illegal; it ended without halt.
    stuck : Out(1)
        The next instruction cannot leave until an engine moves.
    """

    def __init__(self, config: SystemConfig):
        self.config = config
        members: dict[str, Any] = {
            "go": In(1), "address": In(config.address_bits), "count": In(32),
            "read_valid": Out(1), "read_address": Out(config.address_bits), "read_beats": Out(BEATS_BITS),
            "read_ready": In(1), "data_valid": In(1), "data": In(8 * config.bus_bytes),
            "word": Out(_BITS), "dispatched": Out(1), "position": Out(32),
            "halted": Out(1), "illegal": Out(1), "truncated": Out(1), "stuck": Out(1),
        }  # fmt: skip
        for engine in config.engines:
            members |= {f"{engine}_push": Out(1), f"{engine}_began": In(1), f"{engine}_idle": In(1)}
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``dispatch``."""
        return "dispatch"

    def elaborate(self, platform: Any) -> Module:
        """Build fetch, the instruction register, and the checks."""
        m = Module()
        running = Signal()
        valid = Signal()
        take = Signal()
        more = Signal()  # there are instructions that are not yet in the register
        word: Value = self.word
        position = payload(m, self.position)
        with m.If(self.go):
            m.d.sync += [running.eq(1), position.eq(0)]
        engines = self.config.engines
        # Of the instruction in the register: whose it is, if it is legal.
        own = {name: Signal(name=f"for_{name}", reset_less=True) for name in (*engines, "control")}
        control = own["control"]
        free = {name: self._free(m, name) for name in engines}
        idle = Signal()
        room = Signal()
        fence = Signal()
        m.d.comb += [
            fence.eq(word[FUNCTION_LOW]),
            room.eq(Cat(free[e] & own[e] for e in engines).any()),
            self.illegal.eq(running & valid & ~Cat(own.values()).any()),
            self.halted.eq(running & valid & control & ~fence & idle),
            self.stuck.eq(running & valid & Mux(control, ~idle, Cat(own.values()).any() & ~room)),
            self.truncated.eq(running & ~valid & ~more),
            take.eq(running & valid & (room | (control & fence & idle))),
            self.dispatched.eq(take | self.halted),
        ]
        # Far from them, it sees a cycle later that all are idle; its next instruction comes later than that, too.
        all_idle = Cat(getattr(self, f"{e}_idle") for e in engines).all()
        m.d.comb += idle.eq(delay(m, all_idle, int(self.config.far), reset=True, name="were_idle"))
        for e in engines:
            m.d.comb += getattr(self, f"{e}_push").eq(running & valid & own[e] & free[e])
        source, fill = self._fetch(m, platform, valid, take, more)
        with m.If(fill):
            m.d.sync += [here.eq(_legal(source, name, self.config)) for name, here in own.items()]
        with m.If(take):
            m.d.sync += position.eq(position + 1)
        with m.If(self.halted | self.illegal | self.truncated):
            m.d.sync += running.eq(0)
        return m

    def _free(self, m: Module, engine: str) -> Value:
        """Whether the engine's queue has room, by a count of its own: far from it, room is seen a cycle later."""
        depth = self.config.queue_depth
        # One less than there is: the sign says that there is none.
        count = Signal(range(-1, depth), name=f"{engine}_free", init=depth - 1)
        left = delay(m, getattr(self, f"{engine}_began"), int(self.config.far), reset=True)
        m.d.sync += count.eq(count - getattr(self, f"{engine}_push") + left)
        return ~count[-1]

    def _fetch(
        self, m: Module, platform: Any, valid: Signal, take: Signal, more: Signal
    ) -> tuple[Value, Value]:
        """Keeps the buffer of beats filled and loads the instruction register from it: from what, and when."""
        cfg = self.config
        depth = cfg.FETCH_BEATS
        burst = depth // 2
        buffer = Fifo("fetch", 8 * cfg.bus_bytes, depth, registered=True)
        place(m, "buffer", buffer, platform)
        left = Signal(32, reset_less=True)  # instructions that are not yet in the register
        beats_left = Signal(33, reset_less=True)
        some = Signal(name="beats_there")  # beats_left != 0
        full = Signal(name="beats_for_a_burst")  # beats_left >= burst
        reserved = Signal(range(depth + 1))  # beats inside or on their way
        ask = Signal()
        m.d.comb += [
            buffer.push.eq(self.data_valid),
            buffer.data.eq(self.data),
            self.read_beats.eq(Mux(full, burst, beats_left[:BEATS_BITS])),
            self.read_valid.eq(some & (reserved <= depth - burst)),
            ask.eq(self.read_valid & self.read_ready),
        ]
        m.d.sync += reserved.eq(reserved + Mux(ask, self.read_beats, 0) - buffer.pop)
        shift = ceil_log2(cfg.bus_bytes)
        address = payload(m, self.read_address)
        with m.If(ask):
            moved = address + (self.read_beats << shift)
            m.d.sync += [
                beats_left.eq(beats_left - self.read_beats),
                some.eq(beats_left > burst),
                full.eq(beats_left >= 2 * burst),
                address.eq(moved[: cfg.address_bits]),
            ]
        per_beat = cfg.bus_bytes // INSTRUCTION_BYTES
        with m.If(self.go):
            beats: Value = (
                self.count << 1 if per_beat == 0 else (self.count + (per_beat - 1)) >> ceil_log2(per_beat)
            )
            low = ceil_log2(PROGRAM_ALIGNMENT)
            m.d.sync += [
                beats_left.eq(beats),
                some.eq(self.count != 0),
                full.eq(beats >= burst),
                left.eq(self.count),
                more.eq(self.count != 0),
                address.eq(Cat(Const(0, low), self.address[low:])),
            ]
        free = Signal()
        fill = Signal()
        word = payload(m, self.word)
        # Far from the engines, the register is filled when it is empty, and not because an engine has room.
        m.d.comb += free.eq(~valid if cfg.far else ~valid | take)
        if per_beat == 0:  # two beats make an instruction
            lower = Signal(_BITS // 2, reset_less=True)
            half = Signal()
            m.d.comb += [
                buffer.pop.eq(buffer.valid & (~half | (free & more))),
                fill.eq(buffer.valid & half & free & more),
            ]
            with m.If(buffer.pop):
                m.d.sync += half.eq(~half)
                with m.If(~half):
                    m.d.sync += lower.eq(buffer.head)
            source: Value = Cat(lower, buffer.head)
        else:
            at = Signal(max(1, ceil_log2(per_beat)))
            last = Value.cast(1) if per_beat == 1 else (at == per_beat - 1)
            m.d.comb += [
                fill.eq(buffer.valid & free & more),
                buffer.pop.eq(fill & last),
            ]
            if per_beat > 1:
                with m.If(fill):
                    m.d.sync += at.eq(at + 1)
                source = select(words_of(buffer.head, _BITS), at)
            else:
                source = buffer.head
        with m.If(fill):
            m.d.sync += [word.eq(source), valid.eq(1), left.eq(left - 1), more.eq(left != 1)]
        with m.Elif(take):
            m.d.sync += valid.eq(0)
        return source, fill


def _legal(word: Value, engine: str, config: SystemConfig) -> Value:
    """Whether the instruction is one that the engine has in this configuration, and all its fields are in range."""
    own = [i for i in INSTRUCTIONS if i.engine == engine]
    if config.softmax is None:
        own = [i for i in own if i.mnemonic != "vec.row"]
    opcode = Cat(
        word[ENGINE_LOW : ENGINE_LOW + ENGINE_BITS], word[FUNCTION_LOW : FUNCTION_LOW + FUNCTION_BITS]
    )
    cases = []
    for kind in own:
        number = kind.engine_number | kind.function << ENGINE_BITS
        cases.append((opcode == number) & _fields_legal(word, kind, config))
    return Cat(cases).any()


def _fields_legal(word: Value, kind: Instruction, config: SystemConfig) -> Value:
    """Reserved bits zero, masks only over engines that are there and not itself, values within limits."""
    present = 0 if kind.engine == "control" else sum(1 << ENGINES.index(e) for e in config.engines)
    if kind.engine != "control":
        present &= ~(1 << kind.engine_number)
    absent = ~present & ((1 << MASK_BITS) - 1)
    checks: list[Value] = [
        (word[WAIT_LOW : WAIT_LOW + MASK_BITS] & absent) == 0,
        (word[SIGNAL_LOW : SIGNAL_LOW + MASK_BITS] & absent) == 0,
    ]
    if kind.reserved_low < _BITS:
        checks.append(word[kind.reserved_low :] == 0)
    for field, at in kind.placed():
        value = word[at : at + field.bits]
        if field.low == 1:
            checks.append(value != 0)
        elif field.low > 1:
            checks.append(value >= field.low)
        if field.high < (1 << (field.bits - field.signed)) - 1:
            checks.append(value <= field.high)
        if (kind.mnemonic, field.name) == ("vec.run", "op"):
            checks += [value != VEC_OPS.index(name) for name in VEC_OPS if name not in config.vec_ops]
        if (kind.mnemonic, field.name) == ("vec.shape", "digits") and config.softmax is None:
            checks.append(value == 0)
    return Cat(checks).all()
