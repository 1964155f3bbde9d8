"""LUT: the bit-serial array between its plane buffers, with the same loops over activations as DSP."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.cores.lut_gemm.array import Array
from hwgen.emit import Unit, place
from hwgen.numerics import index_bits
from hwgen.parts.delay import delay
from hwgen.parts.loops import LoopNest
from hwgen.parts.payload import payload
from hwgen.parts.ram import READ_LATENCY
from hwgen.program.layout import layout
from hwgen.program.table import INSTRUCTION_BYTES
from hwgen.system.config import SystemConfig
from hwgen.system.fields import field, hold

__all__ = ["Lut", "PlaneMemory"]


class PlaneMemory(Unit):
    """Plane words of one unit's activations."""

    def __init__(self, words: int, width: int):
        self.words = words
        self.width = width
        members: dict[str, Any] = {
            "write_en": In(1), "write_address": In(index_bits(words)), "write_data": In(width),
            "read_en": In(1), "read_address": In(index_bits(words)), "read_data": Out(width),
        }  # fmt: skip
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``plane_memory``."""
        return "plane_memory"

    def elaborate(self, platform: Any) -> Module:
        """Build the memory and the register behind it."""
        m = Module()
        # The program's checker proves that no word is read and written at once.
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        memory: Memory[Any, Any] = Memory(shape=self.width, depth=self.words, init=[], attrs=attrs)
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()
        data = Signal(self.width, reset_less=True)
        m.d.comb += [
            write.en.eq(self.write_en),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.en.eq(self.read_en),
            read.addr.eq(self.read_address),
            self.read_data.eq(data),
        ]
        m.d.sync += data.eq(read.data)
        return m


class Lut(Unit):
    """The LUT engine.

    One *step* per cycle: a plane word of every unit's activations times a plane word of every output's weights. The
    steps of a sum go through the pairs of planes from the most significant *wavefront* (sum of the plane numbers)
    down, and for each pair through the products (ky, kx, c).

    Members
    -------
    start, begins, head, done
        The shell's side; with ``begins`` what starts is a run.
    plane_en, plane_address, plane_data : In
        Writes to the plane memories, one enable per unit.
    weight_en, weight_address : Out, weight_data : In
        Buffer of weight planes.
    acc_en, acc_address, acc_data : Out
        Buffer of sums.
    """

    def __init__(self, config: SystemConfig):
        self.config = config
        super().__init__({
            "start": In(1), "begins": In(1), "head": In(8 * INSTRUCTION_BYTES), "done": Out(1),
            "plane_en": In(config.lut_units), "plane_address": In(index_bits(config.plane_words)),
            "plane_data": In(config.lut_width),
            "weight_en": Out(1), "weight_address": Out(index_bits(config.plane_weight_words)),
            "weight_data": In(config.lanes * config.lut_width),
            "acc_en": Out(1), "acc_address": Out(index_bits(config.acc_words)), "acc_data": Out(32 * config.lanes),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``lut``."""
        return "lut"

    def elaborate(self, platform: Any) -> Module:
        """Build sequencer, memories, array and writer."""
        m = Module()
        begin = self.begins
        run = layout("lut.run")
        shape = {
            name: hold(m, self.start, self.head, 0, layout("lut.shape"), name) for name in layout("lut.shape")
        }
        given = {name: field(self.head, run, name) for name in run}
        step = Signal()
        nest, array = self._nest(m, platform, begin, shape, given, step), Array(self.config.lut_array)
        place(m, "array", array, platform)
        planes = self._planes(m, begin, given, step, nest, array)
        self._operands(m, platform, begin, given, step, nest, array, planes)
        self._sums(m, platform, begin, shape, given, array)
        return m

    def _nest(
        self,
        m: Module,
        platform: Any,
        begin: Signal,
        shape: dict[str, Value],
        given: dict[str, Value],
        step: Signal,
    ) -> LoopNest:
        """Loops, innermost first: c, kx, ky, pairs of planes, x, y, tiles."""
        bits = index_bits(self.config.plane_words)
        widths: tuple[int | None, ...] = (4, 12, 16, None, 14, 16, None)
        nest = LoopNest(
            "lut_act",
            bits,
            (10, 6, 6, 7, 12, 12, 10),
            tuple(None if width is None else min(bits, width) for width in widths),
        )
        place(m, "act_loops", nest, platform)
        m.d.comb += [
            nest.load.eq(begin),
            nest.base.eq(given["act"]),
            nest.count_0.eq(shape["c_count"]),
            nest.stride_0.eq(given["act_bits"]),
            nest.count_1.eq(shape["kx_count"]),
            nest.stride_1.eq(shape["kx_stride"]),
            nest.count_2.eq(shape["ky_count"]),
            nest.stride_2.eq(shape["ky_stride"]),
            nest.count_3.eq(given["act_bits"] * given["weight_bits"]),
            nest.count_4.eq(shape["x_count"]),
            nest.stride_4.eq(shape["x_stride"]),
            nest.count_5.eq(shape["y_count"]),
            nest.stride_5.eq(shape["y_stride"]),
            nest.count_6.eq(given["tiles"]),
            nest.step.eq(step),
        ]
        return nest

    def _planes(
        self,
        m: Module,
        begin: Signal,
        given: dict[str, Value],
        step: Signal,
        nest: LoopNest,
        array: Array,
    ) -> tuple[Signal, Signal]:
        """The pair of planes of each step, and what the array is to do with it."""
        rows = self.config.lut_units
        running = Signal()
        act_top = Signal(3, reset_less=True)
        weight_top = Signal(3, reset_less=True)
        kinds = Signal(2, name="sign_planes", reset_less=True)
        act = Signal(3, name="act_plane", reset_less=True)
        weight = Signal(3, name="weight_plane", reset_less=True)
        fresh = Signal()  # first step of a sum
        wave = Signal()  # first step of a wavefront
        spacing = Signal(range(rows + 1))  # cycles until the array takes the end of another sum
        pass_end, sum_end, run_end = nest.ends[2], nest.ends[3], nest.ends.all()
        front = Signal(4, name="next_front")
        front_end = Signal()
        next_act = Signal(3)
        m.d.comb += [
            step.eq(running & (~sum_end | (spacing == 0))),
            front_end.eq((act == 0) | (weight == weight_top)),
            front.eq(act + weight - 1),
            next_act.eq(Mux(front < act_top, front[:3], act_top)),
        ]
        with m.If(begin):
            m.d.sync += [
                running.eq(1),
                kinds.eq(Cat(given["act_signed"], given["weight_signed"])),
                act_top.eq(given["act_bits"] - 1),
                weight_top.eq(given["weight_bits"] - 1),
                act.eq(given["act_bits"] - 1),
                weight.eq(given["weight_bits"] - 1),
                fresh.eq(1),
                wave.eq(0),
            ]
        with m.Elif(step):
            m.d.sync += [fresh.eq(sum_end), wave.eq(pass_end & front_end & ~sum_end)]
            with m.If(sum_end):
                m.d.sync += [act.eq(act_top), weight.eq(weight_top)]
            with m.Elif(pass_end):
                with m.If(front_end):
                    m.d.sync += [act.eq(next_act), weight.eq(front - next_act)]
                with m.Else():
                    m.d.sync += [act.eq(act - 1), weight.eq(weight + 1)]
            with m.If(run_end):
                m.d.sync += running.eq(0)
        with m.If(step & sum_end):
            m.d.sync += spacing.eq(rows - 1)
        with m.Elif(spacing != 0):
            m.d.sync += spacing.eq(spacing - 1)
        negate = ((act == act_top) & kinds[0]) ^ ((weight == weight_top) & kinds[1])
        later = READ_LATENCY
        m.d.comb += [
            array.valid.eq(delay(m, step, later, reset=True)),
            array.clear.eq(delay(m, fresh, later)),
            array.shift.eq(delay(m, wave, later)),
            array.negate.eq(delay(m, negate, later, name="negate_delay")),
            array.last.eq(delay(m, sum_end, later, name="last_delay")),
        ]
        run_over = delay(
            m, step & run_end, later + self.config.lut_array.latency + rows, reset=True, name="run_over"
        )
        m.d.comb += self.done.eq(run_over)
        return act, weight

    def _operands(
        self,
        m: Module,
        platform: Any,
        begin: Signal,
        given: dict[str, Value],
        step: Signal,
        nest: LoopNest,
        array: Array,
        planes: tuple[Signal, Signal],
    ) -> None:
        """Addresses, plane memories, operands."""
        cfg = self.config
        act_plane, weight_plane = planes
        weight = Signal(len(self.weight_address), name="weight_at", reset_less=True)
        tile = Signal(len(self.weight_address), name="weight_tile", reset_less=True)
        stride = Signal(4, name="weight_stride", reset_less=True)
        following = Signal(len(self.weight_address), name="weight_next")
        m.d.comb += following.eq(weight + stride)
        with m.If(begin):
            m.d.sync += [
                weight.eq(given["weight"]),
                tile.eq(given["weight"]),
                stride.eq(given["weight_bits"]),
            ]
        with m.Elif(step):
            with m.If(~nest.ends[2]):
                m.d.sync += weight.eq(following)
            with m.Elif(nest.ends[5]):
                m.d.sync += [weight.eq(following), tile.eq(following)]
            with m.Else():
                m.d.sync += weight.eq(tile)
        m.d.comb += [
            self.weight_en.eq(step),
            self.weight_address.eq(weight + weight_plane),
            array.b.eq(self.weight_data),
        ]
        words = []
        for unit in range(cfg.lut_units):
            memory = PlaneMemory(cfg.plane_words, cfg.lut_width)
            place(m, f"planes_{unit}", memory, platform)
            m.d.comb += [
                memory.write_en.eq(self.plane_en[unit]),
                memory.write_address.eq(self.plane_address),
                memory.write_data.eq(self.plane_data),
                memory.read_en.eq(step),
                memory.read_address.eq(nest.address + act_plane),
            ]
            words.append(memory.read_data)
        m.d.comb += array.a.eq(Cat(words))

    def _sums(
        self,
        m: Module,
        platform: Any,
        begin: Signal,
        shape: dict[str, Value],
        given: dict[str, Value],
        array: Array,
    ) -> None:
        """Rows of the array to the buffer: of every sum, one word per unit."""
        cfg = self.config
        bits = len(self.acc_address)
        nest = LoopNest("lut_acc", bits, (6, 12, 12, 10), (min(bits, 12), 1, min(bits, 12), min(bits, 14)))
        place(m, "acc_loops", nest, platform)
        left = Signal(6, name="units_left", reset_less=True)
        units = Signal(6, reset_less=True)
        m.d.comb += [
            nest.load.eq(begin),
            nest.base.eq(given["acc"]),
            nest.count_0.eq(cfg.lut_units),
            nest.stride_0.eq(given["unit_stride"]),
            nest.count_1.eq(shape["x_count"]),
            nest.stride_1.eq(1),
            nest.count_2.eq(shape["y_count"]),
            nest.stride_2.eq(shape["x_count"]),
            nest.count_3.eq(given["tiles"]),
            nest.stride_3.eq(given["acc_stride"]),
            nest.step.eq(array.row_valid),
        ]
        with m.If(begin):
            m.d.sync += [units.eq(given["units"]), left.eq(given["units"])]
        with m.Elif(array.row_valid):
            m.d.sync += left.eq(Mux(nest.ends[0], units, Mux(left == 0, Const(0, 6), left - 1)))
        m.d.sync += [
            self.acc_en.eq(array.row_valid & (left != 0)),
            payload(m, self.acc_address).eq(nest.address),
            payload(m, self.acc_data).eq(array.row),
        ]
