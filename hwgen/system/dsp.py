"""DSP: the dense GEMM core between the buffers, its activations read as a convolution reads them."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.cores.dsp_gemm.rtl import DspGemm
from hwgen.emit import Unit, place
from hwgen.numerics import ceil_log2, index_bits
from hwgen.parts.delay import delay
from hwgen.parts.loops import LoopNest
from hwgen.parts.payload import payload
from hwgen.parts.prefetch import Prefetch
from hwgen.program.layout import layout
from hwgen.program.table import INSTRUCTION_BYTES
from hwgen.system.config import SystemConfig
from hwgen.system.fields import field, hold

__all__ = ["Dsp"]


class Dsp(Unit):
    """The DSP engine.

    A run starts, the operands are read ahead, and as many cycles later as the buffers take the core gets its command;
    from then on it never waits, because operands come one per cycle and results are always taken.

    Members
    -------
    start, begins, head, done
        The shell's side; with ``begins`` what starts is a run.
    act_en, act_address : Out, act_data : In
        Buffer of activations, in words.
    weight_en, weight_address : Out, weight_data : In
        Buffer of weights.
    acc_en, acc_address, acc_data : Out
        Buffer of sums.
    """

    def __init__(self, config: SystemConfig):
        self.config = config
        super().__init__({
            "start": In(1), "begins": In(1), "head": In(8 * INSTRUCTION_BYTES), "done": Out(1),
            "act_en": Out(1), "act_address": Out(index_bits(config.act_words)), "act_data": In(8 * config.lanes),
            "weight_en": Out(1), "weight_address": Out(index_bits(config.weight_words)),
            "weight_data": In(8 * config.lanes),
            "acc_en": Out(1), "acc_address": Out(index_bits(config.acc_words)), "acc_data": Out(32 * config.lanes),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``dsp``."""
        return "dsp"

    def elaborate(self, platform: Any) -> Module:
        """Build readers, core and writer."""
        m = Module()
        begin = self.begins
        run = layout("dsp.run")
        shape = {
            name: hold(m, self.start, self.head, 0, layout("dsp.shape"), name) for name in layout("dsp.shape")
        }
        core = DspGemm(self.config.dsp_core, waits=False)
        place(m, "core", core, platform)
        keeps = Signal()
        with m.If(begin):
            m.d.sync += keeps.eq(field(self.head, run, "keep"))
        last_act = self._activations(m, platform, begin, shape, core)
        self._weights(m, platform, begin, core)
        self._command(m, begin, shape, core)
        self._sums(m, platform, begin, shape, core)
        last_sum = core.m_axis_c_tvalid & core.m_axis_c_tlast
        m.d.sync += self.done.eq(Mux(keeps, last_act, last_sum))
        return m

    def _activations(
        self, m: Module, platform: Any, begin: Signal, shape: dict[str, Value], core: DspGemm
    ) -> Value:
        cfg = self.config
        bits = len(self.act_address)
        nest = LoopNest(
            "dsp_act", bits, (12, 12, 10, 6, 6, 10), tuple(min(bits, w) if w else None for w in (14, 16, 1, 12, 16, 0))
        )  # fmt: skip
        place(m, "act_loops", nest, platform)
        reader = Prefetch(8 * cfg.lanes, cfg.buffer_latency)
        place(m, "act_reader", reader, platform)
        run = layout("dsp.run")
        asking = Signal(name="act_asking")
        every_end = nest.ends.all()
        m.d.comb += [
            nest.load.eq(begin),
            nest.base.eq(field(self.head, run, "act")),
            nest.count_0.eq(shape["x_count"]),
            nest.stride_0.eq(shape["x_stride"]),
            nest.count_1.eq(shape["y_count"]),
            nest.stride_1.eq(shape["y_stride"]),
            nest.count_2.eq(shape["c_count"]),
            nest.stride_2.eq(1),
            nest.count_3.eq(shape["kx_count"]),
            nest.stride_3.eq(shape["kx_stride"]),
            nest.count_4.eq(shape["ky_count"]),
            nest.stride_4.eq(shape["ky_stride"]),
            nest.count_5.eq(field(self.head, run, "tiles")),
            nest.step.eq(reader.step),
            reader.ask.eq(asking),
            reader.last.eq(every_end),
            reader.read_data.eq(self.act_data),
            reader.clear.eq(self.done),
            self.act_en.eq(reader.step),
            self.act_address.eq(nest.address),
            core.s_axis_a_tvalid.eq(reader.valid),
            core.s_axis_a_tdata.eq(reader.data),
            reader.ready.eq(core.s_axis_a_tready),
        ]
        with m.If(begin):
            m.d.sync += asking.eq(1)
        with m.Elif(reader.step & every_end):
            m.d.sync += asking.eq(0)
        taken: Value = reader.valid & core.s_axis_a_tready & reader.is_last
        return taken

    def _weights(self, m: Module, platform: Any, begin: Signal, core: DspGemm) -> None:
        reader = Prefetch(8 * self.config.lanes, self.config.buffer_latency)
        place(m, "weight_reader", reader, platform)
        asking = Signal(name="weight_asking")
        address = Signal(len(self.weight_address), name="weight_at", reset_less=True)
        m.d.comb += [
            reader.ask.eq(asking),
            reader.read_data.eq(self.weight_data),
            reader.clear.eq(self.done),
            self.weight_en.eq(reader.step),
            self.weight_address.eq(address),
            core.s_axis_b_tvalid.eq(reader.valid),
            core.s_axis_b_tdata.eq(reader.data),
            reader.ready.eq(core.s_axis_b_tready),
        ]
        with m.If(begin):
            m.d.sync += [asking.eq(1), address.eq(field(self.head, layout("dsp.run"), "weight"))]
        with m.Elif(self.done):
            m.d.sync += asking.eq(0)
        with m.Elif(reader.step):
            m.d.sync += address.eq(address + 1)

    def _command(self, m: Module, begin: Signal, shape: dict[str, Value], core: DspGemm) -> None:
        """The command: products of counts, which settle while the operands are on their way."""
        cfg = self.config
        size = cfg.dsp_core.size_bits
        run = layout("dsp.run")
        outputs = Signal(size, reset_less=True)
        positions = Signal(12, reset_less=True)
        blocks = Signal(size - ceil_log2(cfg.lanes), reset_less=True)
        tiles = Signal(10, reset_less=True)
        flags = Signal(2, reset_less=True)
        soon = Signal()
        valid = Signal()
        zeros = Const(0, ceil_log2(cfg.lanes))
        m.d.sync += [
            outputs.eq(shape["x_count"] * shape["y_count"]),
            positions.eq(shape["kx_count"] * shape["ky_count"]),
            blocks.eq(positions * shape["c_count"]),
            soon.eq(delay(m, begin, cfg.buffer_latency - 2, reset=True)),
        ]
        with m.If(begin):
            m.d.sync += [
                tiles.eq(field(self.head, run, "tiles")),
                flags.eq(Cat(field(self.head, run, "accumulate"), field(self.head, run, "keep"))),
            ]
        with m.If(soon):
            m.d.sync += valid.eq(1)
        with m.Elif(core.s_axis_cmd_tready):
            m.d.sync += valid.eq(0)
        wide = Signal(size, name="all_columns")
        deep = Signal(size, name="all_products")
        m.d.comb += [
            wide.eq(Cat(zeros, tiles)),
            deep.eq(Cat(zeros, blocks)),
            core.s_axis_cmd_tvalid.eq(valid),
            core.s_axis_cmd_tdata.eq(Cat(outputs, wide, deep, flags)),
        ]

    def _sums(self, m: Module, platform: Any, begin: Signal, shape: dict[str, Value], core: DspGemm) -> None:
        bits = len(self.acc_address)
        nest = LoopNest("dsp_acc", bits, (12, 12, 10), (1, min(bits, 12), min(bits, 14)))
        place(m, "acc_loops", nest, platform)
        run = layout("dsp.run")
        beat = Signal(name="sum_beat")
        m.d.comb += [
            core.m_axis_c_tready.eq(1),
            beat.eq(core.m_axis_c_tvalid),
            nest.load.eq(begin),
            nest.base.eq(field(self.head, run, "acc")),
            nest.count_0.eq(shape["x_count"]),
            nest.stride_0.eq(1),
            nest.count_1.eq(shape["y_count"]),
            nest.stride_1.eq(shape["x_count"]),
            nest.count_2.eq(field(self.head, run, "tiles")),
            nest.stride_2.eq(field(self.head, run, "acc_stride")),
            nest.step.eq(beat),
        ]
        m.d.sync += [
            self.acc_en.eq(beat),
            payload(m, self.acc_address).eq(nest.address),
            payload(m, self.acc_data).eq(core.m_axis_c_tdata),
        ]
