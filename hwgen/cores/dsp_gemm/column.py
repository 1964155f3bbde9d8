"""A column of the array: chains, separation, accumulators and result buffer of the outputs it computes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.cores.dsp_gemm.config import DspGemmConfig
from hwgen.emit import Unit, place
from hwgen.numerics import index_bits
from hwgen.parts.chain.chain import Chain
from hwgen.parts.chain.mac import mac_shapes
from hwgen.parts.chain.separate import Separate, sum_shape

__all__ = ["Column", "block_ram", "chain_terms"]

_SUM_BITS = 32


def chain_terms(config: DspGemmConfig) -> int:
    """Length of the longest cascade."""
    return config.segments[0].rows


class Column(Unit):
    """One packed weight per row, up to four sums of 32 bits.

    Timing: see the room's README; the caller drives each port in the cycle that it belongs to. An accumulator
    is read in one cycle, added to in the next, and stored in the one after; pipelined, two cycles later: a register
    is behind what a memory gives, and one in front of the adder.

    Parameters
    ----------
    config : DspGemmConfig
        The array.
    weight_lanes : int
        Columns of C that this one computes.

    Members
    -------
    w, low : In
        Packed weight on its way in, and the low bits of its upper lane (with a canary only).
    load, swap, a : In
        Per row, row 0 lowest; already skewed.
    read_index : In
        Accumulators to read.
    clear : In(1)
        When what was read is there: start from zero instead.
    write_index, keep, send, send_index : In
        A cycle later: where the sums go, accumulator or result buffer.
    out_enable, out_index : In
        Result to fetch.
    c : Out
        What was fetched, one 32-bit sum per field.
    """

    def __init__(self, config: DspGemmConfig, weight_lanes: int):
        self.config = config
        self.weight_lanes = weight_lanes
        self.primitive = config.target != "generic"
        style = config.style
        self.low_bits = style.low_bits(config.arithmetic)
        self.fields = [f for f in config.arithmetic.fields if f.weight_lane < weight_lanes]
        shapes = mac_shapes(config.arithmetic, chain_terms(config), self.primitive)
        members = {
            "w": In(shapes["w"]),
            "load": In(config.rows),
            "swap": In(config.rows),
            "a": In(config.rows * config.arithmetic.packed_act_bits),
            "read_index": In(index_bits(config.tile_steps)),
            "clear": In(1),
            "write_index": In(index_bits(config.tile_steps)),
            "keep": In(1),
            "send": In(1),
            "send_index": In(index_bits(config.result_depth)),
            "out_enable": In(1),
            "out_index": In(index_bits(config.result_depth)),
            "c": Out(len(self.fields) * _SUM_BITS),
        }
        if self.low_bits:
            members["low"] = In(self.low_bits)
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``column`` and its number of sums."""
        return f"column_{len(self.fields)}"

    def elaborate(self, platform: Any) -> Module:
        """Build the column."""
        m = Module()
        sums = self._total(m, self._segments(m, platform))
        width = len(self.fields) * _SUM_BITS

        accumulators: Memory[Any, Any] = Memory(
            shape=width, depth=self.config.tile_steps, init=[], attrs=self._attributes(self.config.tile_steps)
        )
        m.submodules.accumulators = accumulators
        read = accumulators.read_port()
        write = accumulators.write_port()
        stored = Signal(width, reset_less=True)
        base = Signal(width, reset_less=self.config.pipelined)
        m.d.comb += [
            read.addr.eq(self.read_index),
            write.addr.eq(self.write_index),
            write.data.eq(stored),
            write.en.eq(self.keep),
        ]
        kept = Mux(self.clear, 0, self._behind(m, read.data, "accumulators"))
        # Pipelined, the adder has a cycle of its own.
        if self.config.pipelined:
            m.d.sync += base.eq(kept)
        else:
            m.d.comb += base.eq(kept)
        for i, value in enumerate(sums):
            old = base.word_select(i, _SUM_BITS)
            # x - ~y is x + y + 1: the increment that the separation left over rides on the carry-in.
            new = value - ~old if self.config.arithmetic.increment(i) else value + old
            m.d.sync += stored.word_select(i, _SUM_BITS).eq(new)

        results: Memory[Any, Any] = Memory(
            shape=width,
            depth=self.config.result_depth,
            init=[],
            attrs=self._attributes(self.config.result_depth),
        )
        m.submodules.results = results
        out = results.read_port()
        into = results.write_port()
        m.d.comb += [
            into.addr.eq(self.send_index),
            into.data.eq(stored),
            into.en.eq(self.send),
            out.addr.eq(self.out_index),
            out.en.eq(self.out_enable),
            self.c.eq(self._behind(m, out.data, "results")),
        ]
        return m

    def _attributes(self, depth: int) -> dict[str, Any]:
        """Of a memory. No word is read in the cycle in which it is written, or its value is not used then.

        Sums are read ``accumulate_cycles`` after they were read for the last time, and stored in the one before;
        results are read once they are counted. To be told so saves ECP5 the registers that keep a word's old value.
        """
        return block_ram(depth) | ({"no_rw_check": 1} if self.config.pipelined else {})

    def _behind(self, m: Module, data: Any, memory: str) -> Any:
        """What a memory gives; pipelined, from a register that can be the memory block's own."""
        if not self.config.pipelined:
            return data
        held = Signal(len(data), name=f"{memory}_read", reset_less=True)
        m.d.sync += held.eq(data)
        return held

    def _segments(self, m: Module, platform: Any) -> list[list[Any]]:
        """Separated sums of each segment, per field."""
        cfg, packing = self.config, self.config.arithmetic
        act_bits = packing.packed_act_bits
        w: Any = self.w
        low: Any = self.low if self.low_bits else None
        sums = []
        for i, segment in enumerate(cfg.segments):
            chain = Chain(
                packing, segment.rows, terms=chain_terms(cfg), primitive=self.primitive, first=i == 0
            )
            place(m, f"chain_{i}", chain, platform)
            separate = Separate(packing, chain_terms(cfg), self.weight_lanes, primitive=self.primitive)
            place(m, f"separate_{i}", separate, platform)
            rows = slice(segment.first_row, segment.first_row + segment.rows)
            m.d.comb += [
                chain.w_in.eq(w),
                chain.load.eq(self.load[rows]),
                chain.swap.eq(self.swap[rows]),
                chain.a.eq(self.a[rows.start * act_bits : rows.stop * act_bits]),
                separate.p.eq(chain.p),
            ]
            w = chain.w_out
            if self.low_bits:
                m.d.comb += [chain.low_in.eq(low), separate.canary.eq(chain.canary)]
                low = chain.low_out
            sums.append([getattr(separate, f"s_{f}") for f in range(len(self.fields))])
        return sums

    def _total(self, m: Module, segments: list[list[Any]]) -> list[Any]:
        """Sum over the segments by a tree with a register per level."""
        packing = self.config.arithmetic
        shape = sum_shape(packing, self.config.rows)
        for level in range(self.config.sum_levels):
            joined = []
            for pair in range(0, len(segments), 2):
                row = []
                for i in range(len(self.fields)):
                    total = Signal(shape, name=f"sum_{level}_{pair // 2}_{i}", reset_less=True)
                    value = segments[pair][i]
                    if pair + 1 < len(segments):
                        other = segments[pair + 1][i]
                        value = value - ~other if packing.increment(i) else value + other
                    m.d.sync += total.eq(value)
                    row.append(total)
                joined.append(row)
            segments = joined
        return segments[0]


def block_ram(depth: int) -> dict[str, str]:
    """Memories of a block RAM's depth belong into block RAM; smaller ones are the synthesizer's choice."""
    return {"ram_style": "block"} if depth >= 64 else {}
