"""The whole accelerator: control, fetch, engines, buffers, AXI."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.parts.delay import delay
from hwgen.parts.pair import Pair
from hwgen.parts.payload import payload
from hwgen.parts.ram import READ_LATENCY
from hwgen.parts.scratchpad import Scratchpad
from hwgen.program.table import BUFFERS, CONTROL, ENGINE_BITS, ENGINE_LOW, ENGINES, INSTRUCTIONS, MASK_BITS
from hwgen.system.config import Space, SystemConfig
from hwgen.system.control import Control
from hwgen.system.dispatch import Dispatch
from hwgen.system.dsp import Dsp
from hwgen.system.load import Load
from hwgen.system.lut import Lut
from hwgen.system.ports import ReadPort, WritePort
from hwgen.system.registers import ADDRESS_BITS, ERRORS
from hwgen.system.shell import Shell
from hwgen.system.store import Store
from hwgen.system.vec import Vec
from hwgen.version import VERSION

__all__ = ["Accelerator"]

_CODES = {error.name: error.code for error in ERRORS}
_RUN_FUNCTION = {i.engine: i.function for i in INSTRUCTIONS if i.name == "run"}


class Accelerator(Unit):
    """An accelerator with an AXI4-Lite slave for control and an AXI4 master for programs and data.

    A run begins in the cycle after the start register is written (*cycle 0*, the first in which ``running`` is set)
    and ends when the program halts or an error stops it. Then everything but the AXI ports is reset, the ports bring
    their transactions to an end, and only then the interrupt is raised.

    Members
    -------
    s_axi_*
        AXI4-Lite slave, see :mod:`hwgen.system.registers`.
    m_axi_*
        AXI4 master, INCR bursts of full width, no IDs (all in order).
    irq : Out(1)
        Interrupt.
    running : Out(1)
        A program runs.
    event_began, event_ended : Out(8)
        Trace: the engines whose instruction starts, or ends, in this cycle.
    """

    def __init__(self, config: SystemConfig):
        self.config = config
        address, bus = config.address_bits, config.bus_bytes
        super().__init__({
            "s_axi_awaddr": In(ADDRESS_BITS), "s_axi_awprot": In(3),
            "s_axi_awvalid": In(1), "s_axi_awready": Out(1),
            "s_axi_wdata": In(32), "s_axi_wstrb": In(4), "s_axi_wvalid": In(1), "s_axi_wready": Out(1),
            "s_axi_bresp": Out(2), "s_axi_bvalid": Out(1), "s_axi_bready": In(1),
            "s_axi_araddr": In(ADDRESS_BITS), "s_axi_arprot": In(3),
            "s_axi_arvalid": In(1), "s_axi_arready": Out(1),
            "s_axi_rdata": Out(32), "s_axi_rresp": Out(2), "s_axi_rvalid": Out(1), "s_axi_rready": In(1),
            "irq": Out(1),
            "m_axi_araddr": Out(address), "m_axi_arlen": Out(8), "m_axi_arsize": Out(3),
            "m_axi_arburst": Out(2), "m_axi_arcache": Out(4), "m_axi_arprot": Out(3),
            "m_axi_arvalid": Out(1), "m_axi_arready": In(1),
            "m_axi_rdata": In(8 * bus), "m_axi_rresp": In(2), "m_axi_rlast": In(1),
            "m_axi_rvalid": In(1), "m_axi_rready": Out(1),
            "m_axi_awaddr": Out(address), "m_axi_awlen": Out(8), "m_axi_awsize": Out(3),
            "m_axi_awburst": Out(2), "m_axi_awcache": Out(4), "m_axi_awprot": Out(3),
            "m_axi_awvalid": Out(1), "m_axi_awready": In(1),
            "m_axi_wdata": Out(8 * bus), "m_axi_wstrb": Out(bus), "m_axi_wlast": Out(1),
            "m_axi_wvalid": Out(1), "m_axi_wready": In(1),
            "m_axi_bresp": In(2), "m_axi_bvalid": In(1), "m_axi_bready": Out(1),
            "running": Out(1), "event_began": Out(MASK_BITS), "event_ended": Out(MASK_BITS),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``accelerator``."""
        return "accelerator"

    def elaborate(self, platform: Any) -> Module:
        """Build everything."""
        m = Module()
        cfg = self.config
        # Resets all but the ports and the control registers, out of a flip-flop: it reaches far. So these are reset a
        # cycle after the others, which do not heed them until then.
        quell = Signal(init=1)

        control = Control(cfg.engines, cfg.address_bits, int(cfg.digest, 16), VERSION)
        place(m, "control", control, platform)
        dispatch = Dispatch(cfg)
        place(m, "dispatch", dispatch, platform, reset=quell, covers=True)
        reads = ReadPort(cfg.address_bits, cfg.bus_bytes, cfg.outstanding, cfg.far)
        place(m, "reads", reads, platform)
        writes = WritePort(cfg.address_bits, cfg.bus_bytes, cfg.outstanding, cfg.far)
        place(m, "writes", writes, platform)
        shells = {}
        for name in cfg.engines:
            shells[name] = Shell(_RUN_FUNCTION[name], cfg.queue_depth, cfg.TOKEN_BITS)
            place(m, f"{name}_shell", shells[name], platform, reset=quell, covers=True)
        units: dict[str, Any] = {"load": Load(cfg), "vec": Vec(cfg), "store": Store(cfg)}
        if cfg.dsp:
            units["dsp"] = Dsp(cfg)
        if cfg.lut:
            units["lut"] = Lut(cfg)
        if cfg.sparse:
            from hwgen.system.sparse import Sparse  # only those who have it need it

            units["sparse"] = Sparse(cfg)
        for name in cfg.engines:
            place(m, f"{name}_engine", units[name], platform, reset=quell, covers=True)

        self._outside(m, control, reads, writes)
        self._queues(m, quell, dispatch, shells, units)
        self._memory(m, dispatch, reads, writes, units)
        self._loaded(m, platform, quell, reads, units["load"])
        conflicts = self._buffers(m, platform, units)
        stream_error = units["sparse"].error if cfg.sparse else Const(0, 1)
        self._sequence(m, quell, control, dispatch, reads, writes, shells, conflicts, stream_error)
        self._counters(m, quell, control, dispatch, reads, writes, shells, units)
        return m

    def _outside(self, m: Module, control: Control, reads: ReadPort, writes: WritePort) -> None:
        """The accelerator's own ports."""
        for unit in (control, reads, writes):
            for path, member, value in unit.signature.flatten(unit):
                name = str(path[0])
                if name.startswith(("s_axi_", "m_axi_")) or name == "irq":
                    own = getattr(self, name)
                    m.d.comb += own.eq(value) if member.flow == Out else value.eq(own)
        m.d.comb += [
            # Normal, non-cacheable, bufferable; data, secure, unprivileged.
            *(getattr(self, f"m_axi_{channel}cache").eq(0b0011) for channel in ("ar", "aw")),
            *(getattr(self, f"m_axi_{channel}prot").eq(0) for channel in ("ar", "aw")),
        ]

    def _queues(
        self, m: Module, quell: Signal, dispatch: Dispatch, shells: dict[str, Shell], units: dict[str, Any]
    ) -> None:
        """Dispatcher to shells, shells to each other and to their engines."""
        # Far from each other, an engine's tokens come a cycle after it gave them.
        stages = int(self.config.far)
        gives = {
            name: delay(m, shell.gives, stages, name=f"{name}_gave", reset=True)
            for name, shell in shells.items()
        }
        for name, shell in shells.items():
            number = ENGINES.index(name)
            unit = units[name]
            m.d.comb += [
                shell.push.eq(getattr(dispatch, f"{name}_push")),
                shell.word.eq(dispatch.word),
                getattr(dispatch, f"{name}_began").eq(shell.began),
                getattr(dispatch, f"{name}_idle").eq(shell.idle),
                shell.given.eq(
                    Cat(gives[other][number] if other in gives else Const(0, 1) for other in ENGINES)
                ),
                shell.done.eq(unit.done),
                self.event_began[number].eq(shell.began),
                self.event_ended[number].eq(shell.ended),
            ]
            if self.config.far:
                m.d.sync += [
                    payload(m, unit.head).eq(shell.head),
                    unit.start.eq(shell.start & ~quell),
                    unit.begins.eq(shell.begins & ~quell),
                ]
            else:
                m.d.comb += [
                    unit.head.eq(shell.head),
                    unit.start.eq(shell.start),
                    unit.begins.eq(shell.begins),
                ]

    def _memory(
        self, m: Module, dispatch: Dispatch, reads: ReadPort, writes: WritePort, units: dict[str, Any]
    ) -> None:
        """Fetch, LOAD and STORE to the AXI ports."""
        load, store = units["load"], units["store"]
        m.d.comb += [
            reads.fetch_valid.eq(dispatch.read_valid),
            reads.fetch_address.eq(dispatch.read_address),
            reads.fetch_beats.eq(dispatch.read_beats),
            dispatch.read_ready.eq(reads.fetch_ready),
            dispatch.data_valid.eq(reads.fetch_data),
            dispatch.data.eq(reads.data),
            reads.load_valid.eq(load.read_valid),
            reads.load_address.eq(load.read_address),
            reads.load_beats.eq(load.read_beats),
            load.read_ready.eq(reads.load_ready),
            writes.burst_valid.eq(store.burst_valid),
            writes.burst_address.eq(store.burst_address),
            writes.burst_beats.eq(store.burst_beats),
            store.burst_ready.eq(writes.burst_ready),
            writes.beat_valid.eq(store.beat_valid),
            writes.beat_data.eq(store.beat_data),
            writes.beat_strobe.eq(store.beat_strobe),
            store.beat_ready.eq(writes.beat_ready),
            store.port_idle.eq(writes.idle),
        ]

    def _loaded(self, m: Module, platform: Any, quell: Signal, reads: ReadPort, load: Load) -> None:
        """What memory answers to LOAD, by way of registers if they are far from each other."""
        if not self.config.far:
            m.d.comb += [
                load.data_valid.eq(reads.load_data),
                load.data.eq(reads.data),
                reads.load_take.eq(load.data_take),
            ]
            return
        beats = Pair("beats", len(load.data))
        place(m, "beats", beats, platform, reset=quell, covers=True)
        m.d.comb += [
            beats.i_valid.eq(reads.load_data),
            beats.i_data.eq(reads.data),
            reads.load_take.eq(beats.i_ready),
            load.data_valid.eq(beats.o_valid),
            load.data.eq(beats.o_data),
            beats.o_ready.eq(load.data_take),
        ]

    def _buffers(self, m: Module, platform: Any, units: dict[str, Any]) -> list[Value]:
        """The buffers, and whether two engines met in a bank."""
        cfg = self.config
        bus, lanes = cfg.bus_bytes, cfg.lanes
        load, vec, store = units["load"], units["vec"], units["store"]
        readers = {"vec": lanes, "store": bus} | ({"dsp": lanes} if cfg.dsp else {})
        late = ("store",) if cfg.store_latency > cfg.buffer_latency else ()
        act = self._far(cfg.act, {"load": bus, "vec_write": lanes}, readers, late)
        place(m, "act_buffer", act, platform)
        size = cfg.parameter.word_bytes
        scale = {} if cfg.softmax is None else {"scale": size}
        parameter = self._far(cfg.parameter, {"load": bus} | scale, {"vec": size // cfg.requantise_cycles})
        place(m, "parameter_buffer", parameter, platform)
        m.d.comb += [
            act.vec_write_en.eq(vec.write_en),
            act.vec_write_address.eq(vec.write_address),
            act.vec_write_data.eq(vec.write_data),
            act.vec_en.eq(vec.act_en),
            act.vec_address.eq(vec.act_address),
            vec.act_data.eq(act.vec_data),
            act.store_en.eq(store.read_en),
            act.store_address.eq(store.read_address),
            store.read_data.eq(act.store_data),
            parameter.vec_en.eq(vec.par_en),
            parameter.vec_address.eq(vec.par_address),
            vec.par_data.eq(parameter.vec_data),
        ]
        loaded = {"act": act, "parameter": parameter}
        conflicts: list[Value] = [act.conflict]
        if cfg.softmax is not None:
            conflicts.append(parameter.conflict)
            m.d.comb += [
                parameter.scale_en.eq(vec.scale_en),
                parameter.scale_address.eq(vec.scale_address),
                parameter.scale_data.eq(vec.scale_data),
            ]
        writers: list[str] = [name for name in ("dsp", "lut", "sparse") if name in units]
        if writers:
            size = cfg.acc.word_bytes
            acc = self._far(cfg.acc, dict.fromkeys(writers, size), {"vec": size})
            place(m, "acc_buffer", acc, platform)
            conflicts.append(acc.conflict)
            for name in writers:
                m.d.comb += [
                    getattr(acc, f"{name}_en").eq(units[name].acc_en),
                    getattr(acc, f"{name}_address").eq(units[name].acc_address),
                    getattr(acc, f"{name}_data").eq(units[name].acc_data),
                ]
            m.d.comb += [
                acc.vec_en.eq(vec.acc_en),
                acc.vec_address.eq(vec.acc_address),
                vec.acc_data.eq(acc.vec_data),
            ]
        if "dsp" in units:
            dsp = units["dsp"]
            weight = self._far(cfg.weight, {"load": bus}, {"dsp": lanes})
            place(m, "weight_buffer", weight, platform)
            loaded["weight"] = weight
            m.d.comb += [
                act.dsp_en.eq(dsp.act_en),
                act.dsp_address.eq(dsp.act_address),
                dsp.act_data.eq(act.dsp_data),
                weight.dsp_en.eq(dsp.weight_en),
                weight.dsp_address.eq(dsp.weight_address),
                dsp.weight_data.eq(weight.dsp_data),
            ]
        if "lut" in units:
            lut = units["lut"]
            plane = _buffer(cfg.plane_weight, {"load": bus}, {"lut": cfg.plane_weight.word_bytes})
            place(m, "plane_buffer", plane, platform)
            loaded["plane"] = plane
            m.d.comb += [
                plane.lut_en.eq(lut.weight_en),
                plane.lut_address.eq(lut.weight_address),
                lut.weight_data.eq(plane.lut_data),
                lut.plane_en.eq(vec.plane_en),
                lut.plane_address.eq(vec.plane_address),
                lut.plane_data.eq(vec.plane_data),
            ]
        if "sparse" in units:
            loaded |= self._sparse_buffers(m, platform, vec, units["sparse"])
        for name, buffer in loaded.items():
            m.d.comb += [
                buffer.load_en.eq(load.write_en[BUFFERS.index(name)]),
                buffer.load_address.eq(load.write_address),
                buffer.load_data.eq(load.write_data),
            ]
        return conflicts

    def _far(
        self, space: Space, writers: dict[str, int], readers: dict[str, int], late: Collection[str] = ()
    ) -> Scratchpad:
        """A buffer that several engines use; it may lie far from them."""
        return _buffer(space, writers, readers, self.config.buffer_latency, late)

    def _sparse_buffers(self, m: Module, platform: Any, vec: Vec, sparse: Any) -> dict[str, Scratchpad]:
        """Buffers of the streams of sparse weights, by name; and the way of the operands."""
        cfg = self.config
        found = {}
        for space in (cfg.code, cfg.value, cfg.index):
            name = space.name
            buffer = _buffer(space, {"load": cfg.bus_bytes}, {"sparse": space.word_bytes})
            place(m, f"{name}_buffer", buffer, platform)
            m.d.comb += [
                buffer.sparse_en.eq(getattr(sparse, f"{name}_en")),
                buffer.sparse_address.eq(getattr(sparse, f"{name}_address")),
                getattr(sparse, f"{name}_data").eq(buffer.sparse_data),
            ]
            found[name] = buffer
        for part in ("en", "address", "data", "spread"):
            m.d.comb += getattr(sparse, f"operand_{part}").eq(getattr(vec, f"operand_{part}"))
        return found

    def _sequence(
        self,
        m: Module,
        quell: Signal,
        control: Control,
        dispatch: Dispatch,
        reads: ReadPort,
        writes: WritePort,
        shells: dict[str, Shell],
        conflicts: list[Value],
        stream_error: Value,
    ) -> None:
        """Idle, run, drain; what stops a run, and how it is told."""
        code = Signal(8)
        engine = Signal(4)
        position = Signal(32)
        stop = Signal()
        waits = Cat(~shell.busy & ~shell.began for shell in shells.values()).all()
        if self.config.far:  # then the dispatcher sees a cycle later what they did
            waited = Signal()
            m.d.sync += waited.eq(waits)
            waits = waits & waited
        none = CONTROL
        causes: list[tuple[Value, Any, Any]] = [
            (dispatch.illegal, _CODES["ILLEGAL"], dispatch.word[ENGINE_LOW : ENGINE_LOW + ENGINE_BITS]),
            (
                reads.error != 0,
                Mux(reads.error[0], _CODES["READ_DECERR"], _CODES["READ_SLVERR"]),
                Mux(reads.load_data, ENGINES.index("load"), none),
            ),
            (
                writes.error != 0,
                Mux(writes.error[0], _CODES["WRITE_DECERR"], _CODES["WRITE_SLVERR"]),
                ENGINES.index("store"),
            ),
            (Cat(conflicts).any(), _CODES["BANK_CONFLICT"], none),
            (stream_error, _CODES["SPARSE_STREAM"], ENGINES.index("sparse")),
            (Cat(shell.overflow for shell in shells.values()).any(), _CODES["TOKEN_OVERFLOW"], none),
            (dispatch.stuck & waits, _CODES["DEADLOCK"], none),
            (dispatch.truncated, _CODES["TRUNCATED"], none),
            (control.stop, _CODES["STOPPED"], none),
        ]
        active = self.running & ~quell
        stages = int(self.config.far)  # registers, because they come from everywhere
        causes = [
            (
                delay(m, flag & active, stages, reset=True, name=f"failed_{i}"),
                error if isinstance(error, int) else delay(m, error, stages, name=f"code_{i}"),
                blamed if isinstance(blamed, int) else delay(m, blamed, stages, name=f"blamed_{i}"),
            )
            for i, (flag, error, blamed) in enumerate(causes)
        ]
        where = delay(m, dispatch.position, stages, name="position_then")
        # The first of them counts: chosen by pairs, so that none passes more than a few choices.
        while len(causes) > 1:
            pairs = [causes[i : i + 2] for i in range(0, len(causes), 2)]
            causes = [_first_of(*pair) if len(pair) > 1 else pair[0] for pair in pairs]
        ((failed, cause, whose),) = causes
        settled = Signal()  # the ports are idle
        idle = reads.idle & writes.idle
        if self.config.far:
            m.d.sync += settled.eq(idle & quell)
        else:
            m.d.comb += settled.eq(idle)
        with m.If(failed & (code == 0)):
            m.d.sync += [code.eq(cause), engine.eq(whose), position.eq(where)]
        m.d.comb += [
            stop.eq(dispatch.halted | failed),
            dispatch.address.eq(control.program_address),
            dispatch.count.eq(control.program_count),
            reads.drain.eq(quell),
            writes.drain.eq(quell),
            control.running.eq(self.running),
            control.error_code.eq(code),
            control.error_engine.eq(engine),
            control.error_instruction.eq(position),
        ]
        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.sync += quell.eq(0)
                with m.If(control.start):
                    m.d.sync += [dispatch.go.eq(1), code.eq(0)]
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self.running.eq(1)
                m.d.sync += dispatch.go.eq(0)
                with m.If(stop):
                    m.d.sync += quell.eq(1)
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.comb += self.running.eq(1)
                with m.If(settled):
                    m.d.comb += [control.done.eq(code == 0), control.error.eq(code != 0)]
                    m.d.sync += quell.eq(0)
                    m.next = "IDLE"

    def _counters(
        self,
        m: Module,
        quell: Signal,
        control: Control,
        dispatch: Dispatch,
        reads: ReadPort,
        writes: WritePort,
        shells: dict[str, Shell],
        units: dict[str, Any],
    ) -> None:
        """Every cycle of a run is, for every engine, one of run, idle, wait and stall."""
        m.d.comb += [
            control.dispatched.eq(dispatch.dispatched),
            control.read_beat.eq(reads.beat),
            control.write_beat.eq(writes.beat),
        ]
        for name, shell in shells.items():
            unit = units[name]
            missing = Signal(MASK_BITS, name=f"{name}_missing")
            stalls: Value = shell.busy & unit.stall if hasattr(unit, "stall") else Const(0, 1)
            m.d.comb += [
                getattr(control, f"{name}_run").eq((shell.busy & ~stalls) | shell.began),
                getattr(control, f"{name}_idle").eq(shell.idle),
                getattr(control, f"{name}_wait").eq(shell.waiting),
                getattr(control, f"{name}_stall").eq(stalls),
                getattr(control, f"{name}_done").eq(shell.ended),
                getattr(control, f"{name}_waiting").eq(missing),
            ]
            with m.If(self.running & ~quell):  # what a stopped program waited for stays readable
                m.d.sync += missing.eq(shell.missing)


def _buffer(
    space: Space,
    writers: dict[str, int],
    readers: dict[str, int],
    latency: int = READ_LATENCY,
    late: Collection[str] = (),
) -> Scratchpad:
    """The memory of a buffer."""
    return Scratchpad(space.name, space.bytes, space.word_bytes, space.banks, writers, readers, latency, late)


def _first_of(one: tuple[Value, Any, Any], other: tuple[Value, Any, Any]) -> tuple[Value, Any, Any]:
    """Of two causes with code and engine the first one that holds, and whether one does."""
    return (one[0] | other[0], Mux(one[0], one[1], other[1]), Mux(one[0], one[2], other[2]))
