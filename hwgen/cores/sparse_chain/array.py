"""All chains: slots from one to the next, or from each way's own stream, and sums out word by word."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.cores.sparse_chain.chain import SLOTS, Chain
from hwgen.cores.sparse_chain.position import ACT_BITS, position_bits
from hwgen.cores.sparse_chain.shape import ChainShape
from hwgen.emit import Unit, place
from hwgen.numerics import ceil_log2, index_bits
from hwgen.parts.delay import delay
from hwgen.parts.select import select, words_of
from hwgen.parts.sparse import BLOCK

__all__ = ["SparseArray"]

_GROUP = 4


class SparseArray(Unit):
    """The chains and their reduction node.

    Matrix-matrix mode: a step enters the first chain and moves from chain to chain. Matrix-vector mode (``spread``):
    the chains are cut into ways, and each way gets its own slots of the same step.

    The *reduction node* ends a round: it takes the sums of each chain in the cycle in which they are complete, while
    the chain begins the next round from zero, and gives them as words of sixteen.

    Members
    -------
    fill_en, fill_address, fill_data, fill_spread : In
        An activation of every row; ``fill_spread`` gives the first way's rows to all ways.
    spread : In(1)
        Matrix-vector mode; must not change while a step is inside.
    first, last, block : In
        First and last cycle of a round; block of activations.
    numbers_<w>, weights_<w> : In
        Slots of way ``w``; all weights zero in a cycle without a step.
    coming, valid : Out(1)
        ``row`` holds a word in the next cycle, in this one.
    number : Out
        The word in the next cycle (with ``coming``): its chain times words per chain, plus the word of the chain.
    row : Out(16 × sum bits)
        Sums.
    """

    def __init__(self, shape: ChainShape):
        self.shape = shape
        members: dict[str, Any] = {
            "fill_en": In(1), "fill_address": In(index_bits(shape.depth)),
            "fill_data": In(ACT_BITS * shape.rows), "fill_spread": In(1),
            "spread": In(1), "first": In(1), "last": In(1), "block": In(shape.block_bits),
            "coming": Out(1), "valid": Out(1), "number": Out(index_bits(shape.words)),
            "row": Out(BLOCK * shape.sum_bits),
        }  # fmt: skip
        for way in range(shape.ways):
            members[f"numbers_{way}"] = In(4 * BLOCK)
            members[f"weights_{way}"] = In(BLOCK * shape.slot_bits)
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``nm_array``."""
        return "nm_array"

    def elaborate(self, platform: Any) -> Module:
        """Build chains and reduction node."""
        m = Module()
        self._reduction(m, self._chains(m, platform))
        return m

    def _chains(self, m: Module, platform: Any) -> list[Chain]:
        shape = self.shape
        chains: list[Chain] = []
        data = words_of(self.fill_data, ACT_BITS * shape.shared.rows)
        for number in range(shape.chains):
            chain = Chain(shape)
            place(m, f"chain_{number}", chain, platform)
            way, place_in_way = divmod(number, shape.way_chains)
            own = {"first": self.first, "block": self.block} | {
                name: getattr(self, f"{name}_{way}") for name in ("numbers", "weights")
            }
            for name in SLOTS:
                value = own[name]
                if number:
                    on = getattr(chains[-1], f"next_{name}")
                    value = on if place_in_way else Mux(self.spread, value, on)
                m.d.comb += getattr(chain, name).eq(value)
            m.d.comb += [
                chain.fill_en.eq(self.fill_en),
                chain.fill_address.eq(self.fill_address),
                chain.fill_data.eq(
                    Mux(self.fill_spread, data[place_in_way], data[number]) if way else data[number]
                ),
            ]
            chains.append(chain)
        return chains

    def _reduction(self, m: Module, chains: list[Chain]) -> None:
        shape = self.shape
        words = shape.shared.words
        giving = Signal(name="giving")
        number = Signal(index_bits(shape.words), name="leaving_number")
        part = Signal(index_bits(words), name="leaving_part")
        chain = Signal(index_bits(shape.chains), name="leaving_chain")
        starts = delay(m, self.last, shape.MAC_DELAY, reset=True)
        active = Signal(name="active")
        # The first word's cycle is the one in which `starts` is set; the others are counted.
        m.d.comb += active.eq(starts | giving)
        final = number == shape.words - 1
        with m.If(starts):
            m.d.sync += [
                giving.eq(shape.words > 1),
                number.eq(1 if shape.words > 1 else 0),
                part.eq(1 if words > 1 else 0),
                chain.eq(0),
            ]
        with m.Elif(giving):
            m.d.sync += number.eq(Mux(final, 0, number + 1))
            with m.If(part == words - 1):
                m.d.sync += [part.eq(0), chain.eq(chain + 1)]
            with m.Else():
                m.d.sync += part.eq(part + 1)
            with m.If(final):
                m.d.sync += giving.eq(0)
        now_chain = Mux(starts, 0, chain)
        now_part = Mux(starts, 0, part)
        now_number = Mux(starts, 0, number)
        # Four chains to a register, and these registers to one word: two levels of one LUT per bit.
        groups = [chains[at : at + _GROUP] for at in range(0, len(chains), _GROUP)]
        taken = [Signal(len(chains[0].sums), name=f"sums_{i}", reset_less=True) for i in range(len(groups))]
        which = Signal(index_bits(shape.chains), name="leaving_chain_1", reset_less=True)
        part_1 = Signal(index_bits(words), name="leaving_part_1", reset_less=True)
        number_1 = Signal(index_bits(shape.words), name="leaving_number_1", reset_less=True)
        active_1 = Signal(name="active_1")
        with m.If(now_part == 0):
            for register, group in zip(taken, groups, strict=True):
                m.d.sync += register.eq(select([one.sums for one in group], now_chain[: ceil_log2(_GROUP)]))
        m.d.sync += [
            which.eq(now_chain),
            part_1.eq(now_part),
            number_1.eq(now_number),
            active_1.eq(active),
            self.valid.eq(active_1),
        ]
        sums = select(taken, which[ceil_log2(_GROUP) :])
        wraps = select([one.wraps for one in chains], which) if shape.primitive else None
        held = [Signal(BLOCK * shape.sum_bits, name=f"word_{i}", reset_less=True) for i in range(words)]
        with m.If(part_1 == 0):
            for i, word in enumerate(self._separated(m, sums, wraps)):
                m.d.sync += held[i].eq(word)
        part_2 = Signal(index_bits(words), name="leaving_part_2", reset_less=True)
        m.d.sync += part_2.eq(part_1)
        m.d.comb += [
            self.coming.eq(active_1),
            self.number.eq(number_1),
            self.row.eq(select(held, part_2)),
        ]

    def _separated(self, m: Module, sums: Value, wraps: Value | None) -> list[Value]:
        """Sums of every product of a chain's multipliers, sixteen positions together."""
        shape, shared = self.shape, self.shape.shared
        width, wrap_width = position_bits(shape)
        out: list[list[Value]] = [[] for _ in range(shared.words)]
        for at in range(BLOCK):
            packed = sums[at * width : (at + 1) * width]
            if wraps is None:
                for i in range(shared.words):
                    out[i].append(packed[i * shape.sum_bits : (i + 1) * shape.sum_bits])
                continue
            counts = wraps[at * wrap_width : (at + 1) * wrap_width]
            bits = shape.wrap_bits(shared.spacing)
            below: Any = None  # what the field below has not added to this one
            for i in range(shared.words):
                total = Signal(signed(shape.sum_bits), name=f"sum_{at}_{i}")
                low = i * shared.spacing
                if i == shared.words - 1:
                    value: Value = packed[low:].as_signed()
                else:
                    count = counts[i * bits : (i + 1) * bits].as_signed()
                    field = packed[low : low + shared.spacing]
                    if shared.rows == 2:
                        # It was counted as a signed field; the one above sees it as a number from zero on.
                        count = (count - field[-1])[:bits].as_signed()
                    value = Cat(field, count).as_signed()
                m.d.comb += total.eq(value if below is None else below + value)
                out[i].append(total.as_unsigned())
                if i < shared.words - 1:
                    below = Signal(signed(bits), name=f"below_{at}_{i}")
                    m.d.comb += below.eq(-count)
        return [Cat(part) for part in out]
