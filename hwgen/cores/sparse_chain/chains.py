"""Decoder, expanders and chains: from packed streams to words of sums."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.cores.sparse_chain.array import SparseArray
from hwgen.cores.sparse_chain.decoder import CODE_BITS, Decoder
from hwgen.cores.sparse_chain.expander import Expander
from hwgen.cores.sparse_chain.position import ACT_BITS
from hwgen.cores.sparse_chain.shape import ROUND_BITS, ChainShape
from hwgen.emit import Unit, place
from hwgen.numerics import index_bits
from hwgen.parts.delay import delay
from hwgen.parts.select import select, words_of
from hwgen.parts.sparse import BLOCK

__all__ = ["ROW_DELAY", "SparseChains"]

ROW_DELAY = 2
"""Cycles from asking for a row of values or indices to its data."""


class SparseChains(Unit):
    """One run: all rounds of a stream with the activations that are in the operand memories.

    Members
    -------
    start, blocks, rounds, base, weight_bits, spread : In
        A run, as in :class:`Decoder`; taken with ``start``, a cycle before the decoder's. A run of another mode must
        not start before all words of the one before have come.
    code_valid, code, code_take, value_ready, index_ready, room
        As those of :class:`Decoder`.
    busy, begins, last
        As those of :class:`Decoder`.
    error : Out(1)
        A code that no pattern has or one behind the last block, or indices that do not ascend.
    value_take, index_take : Out(1)
        Another row is taken: ``value_row``, ``index_row`` hold it two cycles later, and until the next one's.
    value_row, index_row : In
        Rows: a word of each way, way 0 lowest.
    fill_en, fill_address, fill_data, fill_spread, coming, valid, number, row
        As those of :class:`SparseArray`.
    """

    def __init__(self, shape: ChainShape):
        self.shape = shape
        super().__init__({
            "start": In(1), "blocks": In(shape.block_bits + 1), "rounds": In(ROUND_BITS),
            "base": In(shape.block_bits), "weight_bits": In(4), "spread": In(1),
            "code_valid": In(1), "code": In(BLOCK * CODE_BITS), "code_take": Out(1),
            "value_ready": In(1), "index_ready": In(1), "room": In(1),
            "busy": Out(1), "begins": Out(1), "last": Out(1), "error": Out(1),
            "value_take": Out(1), "value_row": In(8 * shape.value_bytes),
            "index_take": Out(1), "index_row": In(8 * shape.index_bytes),
            "fill_en": In(1), "fill_address": In(index_bits(shape.depth)),
            "fill_data": In(ACT_BITS * shape.rows), "fill_spread": In(1),
            "coming": Out(1), "valid": Out(1), "number": Out(index_bits(shape.words)),
            "row": Out(BLOCK * shape.sum_bits),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``nm_chains``."""
        return "nm_chains"

    def elaborate(self, platform: Any) -> Module:
        """Build all three and what keeps them in step."""
        m = Module()
        shape = self.shape
        decoder, array = Decoder(shape), SparseArray(shape)
        place(m, "decoder", decoder, platform)
        place(m, "array", array, platform)
        for name in ("code_valid", "code", "value_ready", "index_ready", "room"):
            m.d.comb += getattr(decoder, name).eq(getattr(self, name))
        started = Signal()
        run = {}
        for name in ("blocks", "rounds", "base", "weight_bits", "spread"):
            value: Value = getattr(self, name)
            run[name] = Signal(len(value), name=f"run_{name}", reset_less=True)
            with m.If(self.start):
                m.d.sync += run[name].eq(value)
            m.d.comb += getattr(decoder, name).eq(run[name])
        m.d.sync += started.eq(self.start)
        m.d.comb += [
            decoder.start.eq(started),
            self.busy.eq(started | decoder.busy),
            array.spread.eq(run["spread"]),
        ]
        for name in ("code_take", "begins", "last"):
            m.d.comb += getattr(self, name).eq(getattr(decoder, name))
        for name in ("fill_en", "fill_address", "fill_data", "fill_spread"):
            m.d.comb += getattr(array, name).eq(getattr(self, name))
        for name in ("coming", "valid", "number", "row"):
            m.d.comb += getattr(self, name).eq(getattr(array, name))
        m.d.comb += [self.value_take.eq(decoder.value_new), self.index_take.eq(decoder.index_new)]

        def later(name: str, *, reset: bool = False) -> Value:
            return delay(m, getattr(decoder, name), ROW_DELAY, name=f"{name}_later", reset=reset)

        controls = {
            name: later(name) for name in ("turn", "dense", "four", "pair", "value_unit", "index_half")
        }
        controls["step"] = later("step", reset=True)
        # Steps of the run before may still be on their way in when the next one's width is known.
        weight_bits = delay(m, run["weight_bits"], ROW_DELAY, name="weight_bits_later")
        places = {"value": later("value_word"), "index": later("index_word")}
        errors: list[Value] = [decoder.error]
        for way in range(shape.ways):
            expander = Expander(shape)
            place(m, f"expander_{way}", expander, platform)
            for kind, width in (("value", 8 * shape.value_word), ("index", 4 * BLOCK)):
                words = words_of(getattr(self, f"{kind}_row"), width)
                own: Any = words[way]
                if shape.ways > 1 and way == 0:  # the first way computes alone if not spread
                    own = Mux(run["spread"], words[0], select(words, places[kind]))
                m.d.comb += getattr(expander, kind).eq(own)
            m.d.comb += [
                expander.step.eq(controls["step"]),
                expander.weight_bits.eq(weight_bits),
                expander.unit.eq(controls["value_unit"]),
                expander.half.eq(controls["index_half"]),
                expander.turn.eq(controls["turn"]),
                expander.dense.eq(controls["dense"]),
                expander.four.eq(controls["four"]),
                expander.pair.eq(controls["pair"]),
                getattr(array, f"weights_{way}").eq(expander.weights),
                getattr(array, f"numbers_{way}").eq(expander.numbers),
            ]
            errors.append(expander.error & run["spread"] if way else expander.error)
        m.d.comb += self.error.eq(Cat(errors).any())
        block = Signal(shape.block_bits, name="block_in_step", reset_less=True)
        first = Signal(name="first_in_step", reset_less=True)
        m.d.sync += [
            block.eq(later("block")),
            first.eq(delay(m, decoder.begins, ROW_DELAY, name="begins_later")),
        ]
        m.d.comb += [
            array.block.eq(block),
            array.first.eq(first),
            array.last.eq(delay(m, decoder.last, shape.EXPAND_DELAY, name="last_later", reset=True)),
        ]
        return m
