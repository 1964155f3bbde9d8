"""Row checksums: A times the row sums of B is what the rows of C must add up to."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.cores.dsp_gemm.abft_config import SUM_BITS, AbftConfig
from hwgen.cores.dsp_gemm.column import block_ram
from hwgen.emit import Unit
from hwgen.numerics import index_bits
from hwgen.parts.delay import delay
from hwgen.parts.sum_tree import sum_tree

__all__ = ["RowSums"]


class RowSums(Unit):
    """One more column of the array, whose weights are the row sums of B, and a comparison with every beat of C.

    The column has accumulators and a buffer of its own as the core's columns have, so that checksums are added over
    the passes of a tile, kept and continued as the sums are. All is modulo 2**32, and so is exact.

    With two rows of C in a step, both of A's rows share a multiplier: their products with a row sum of B lie
    ``field_bits`` apart, too far to meet.

    Parameters
    ----------
    config : AbftConfig
        The checker.

    Members
    -------
    b_beat, b_data, column_mask : In
        Weights that are taken, and which of them are inside B.
    a_data, odd, row_mask, swap : In
        Activations, which of them are inside A, and whether they are a pass's first.
    step_write, step_send, step_clear, step_index : In
        As the sequencer gives them.
    c_beat, c_data : In
        Results that are taken.
    wrong : Out(1)
        A beat of C was not what it must be, ``result_registers`` + 1 cycles ago.
    """

    def __init__(self, config: AbftConfig):
        self.config = config
        core = config.core
        super().__init__({
            "b_beat": In(1), "b_data": In(core.n_lanes * core.weight_bits), "column_mask": In(core.n_lanes),
            "a_data": In(core.m_lanes * core.rows * core.act_bits), "odd": In(1), "row_mask": In(core.rows),
            "swap": In(1),
            "step_write": In(1), "step_send": In(1), "step_clear": In(1),
            "step_index": In(index_bits(core.tile_steps)),
            "c_beat": In(1), "c_data": In(core.cols * SUM_BITS), "wrong": Out(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``row_sums``."""
        return "row_sums"

    def elaborate(self, platform: Any) -> Module:
        """Build the column and the comparison."""
        m = Module()
        sums = self._accumulators(m, self._products(m, self._weights(m)))
        self._compare(m, sums)
        return m

    def _weights(self, m: Module) -> list[Signal]:
        """Row sums of the pass that runs; zero in rows outside B."""
        core, cfg = self.config.core, self.config
        fmt = core.weight
        lanes = []
        for n in range(core.n_lanes):
            lane = Mux(self.column_mask[n], self.b_data.word_select(n, fmt.bits), 0)
            lanes.append(lane.as_signed() if fmt.signed else lane)
        total = sum_tree(m, lanes, "weights", registered=False)
        load = delay(m, self.b_beat, cfg.weight_delay, reset=True)
        swap = delay(m, self.swap, cfg.weight_delay, reset=True)
        mask = delay(m, self.row_mask, cfg.weight_delay)
        shape = Shape(cfg.weight_sum.bits, fmt.signed)
        shadow = [Signal(shape, name=f"shadow_{r}", reset_less=True) for r in range(core.rows)]
        active = [Signal(shape, name=f"active_{r}", reset_less=True) for r in range(core.rows)]
        with m.If(load):  # the last row comes first, and ends above those after it
            m.d.sync += [one.eq(before) for one, before in zip(shadow, [total, *shadow], strict=False)]
        with m.If(swap):
            m.d.sync += [now.eq(Mux(mask[r], shadow[r], 0)) for r, now in enumerate(active)]
        return active

    def _products(self, m: Module, weights: list[Signal]) -> Value:
        """Row checksums of a step, before those of other passes are added."""
        core, cfg = self.config.core, self.config
        fmt = core.act
        data = delay(m, self.a_data, cfg.weight_delay)
        odd = delay(m, self.odd, cfg.weight_delay)
        products = []
        for r, weight in enumerate(weights):
            lanes: list[Any] = []
            for j in range(core.m_lanes):
                raw: Value = data.word_select(j * core.rows + r, fmt.bits)
                if j:
                    raw = Mux(odd, 0, raw)
                lanes.append((raw.as_signed() if fmt.signed else raw).shift_left(j * cfg.field_bits))
            packed = sum(lanes[1:], lanes[0])
            act = Signal(Value.cast(packed).shape(), name=f"act_{r}", reset_less=True)
            product = Signal((act * weight).shape(), name=f"product_{r}", reset_less=True)
            m.d.sync += [act.eq(packed), product.eq(act * weight)]
            products.append(product)
        return sum_tree(m, products, "products")

    def _accumulators(self, m: Module, total: Value) -> list[Value]:
        """Row checksums of a step with those of the passes before; a register later."""
        core, cfg = self.config.core, self.config
        depth, width = core.tile_steps, core.m_lanes * SUM_BITS
        memory: Memory[Any, Any] = Memory(shape=width, depth=depth, init=[], attrs=block_ram(depth))
        m.submodules.accumulators = memory
        read = memory.read_port()
        write = memory.write_port()
        read_index = delay(m, self.step_index, cfg.sum_delay - 1)
        clear = delay(m, self.step_clear, cfg.sum_delay)
        base = Signal(width)
        stored = [Signal(SUM_BITS, name=f"sum_{j}", reset_less=True) for j in range(core.m_lanes)]
        m.d.comb += [
            read.addr.eq(read_index),
            base.eq(Mux(clear, 0, read.data)),
            write.addr.eq(delay(m, read_index, 2, name="write_index")),
            write.data.eq(Cat(stored)),
            write.en.eq(delay(m, self.step_write, cfg.sum_delay + 1, reset=True)),
        ]
        signed = core.act.signed or core.weight.signed
        for j, sum_ in enumerate(stored):
            part: Any = total
            if core.m_lanes > 1:
                low, high = j * cfg.field_bits, (j + 1) * cfg.field_bits if j + 1 < core.m_lanes else None
                part = total[low:high]
                part = part.as_signed() if signed else part
                if j and signed:  # a negative field below took one from this one
                    part = part + total[low - 1]
            old: Value = base.word_select(j, SUM_BITS)
            m.d.sync += sum_.eq((old.as_signed() if signed else old) + part)
        return list(stored)

    def _compare(self, m: Module, sums: list[Value]) -> None:
        """Row sums of C beside the checksums, which wait in the order of the steps."""
        core, cfg = self.config.core, self.config
        depth = core.result_depth
        send = delay(m, self.step_send, cfg.sum_delay + 1, reset=True)
        memory: Memory[Any, Any] = Memory(
            shape=core.m_lanes * SUM_BITS, depth=depth, init=[], attrs=block_ram(depth)
        )
        m.submodules.expected = memory
        into = memory.write_port()
        out = memory.read_port()
        write_at = Signal(index_bits(depth))
        read_at = Signal(index_bits(depth))
        waiting = Signal(range(depth + 1))
        valid = Signal()
        fetch = Signal()
        pop = delay(m, self.c_beat, cfg.result_registers, reset=True)
        m.d.comb += [
            fetch.eq((waiting != 0) & (~valid | pop)),
            into.addr.eq(write_at),
            into.data.eq(Cat(sums)),
            into.en.eq(send),
            out.addr.eq(read_at),
            out.en.eq(fetch),
        ]
        m.d.sync += waiting.eq(waiting + send - fetch)
        with m.If(send):
            m.d.sync += write_at.eq(write_at + 1)
        with m.If(fetch):
            m.d.sync += [valid.eq(1), read_at.eq(read_at + 1)]
        with m.Elif(pop):
            m.d.sync += valid.eq(0)
        seen: list[Value] = []
        for j in range(core.m_lanes):
            lanes = [self.c_data.word_select(j * core.n_lanes + n, SUM_BITS) for n in range(core.n_lanes)]
            total = sum_tree(m, lanes, f"results_{j}", bits=SUM_BITS)
            seen.append(total if core.n_lanes > 1 else delay(m, total, 1, name=f"results_{j}"))
        m.d.sync += self.wrong.eq(pop & (~valid | (Cat(seen) != out.data)))
