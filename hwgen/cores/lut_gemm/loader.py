"""Takes one operand's beats and makes bit planes of them, and the sums that bipolar operands need."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.cores.lut_gemm.config import LutGemmConfig
from hwgen.emit import Unit, place
from hwgen.numerics import ceil_log2, index_bits
from hwgen.parts.corner_turn import LATENCY as CORNER_TURN_LATENCY
from hwgen.parts.corner_turn.rtl import CornerTurn
from hwgen.parts.delay import delay
from hwgen.parts.popcount import plan
from hwgen.parts.popcount.rtl import Popcount

__all__ = ["Loader", "times"]

_SUM_BITS = 32
_REGIONS = 2


class Loader(Unit):
    """Rows of A, or columns of B: beats in, plane words and sums of the operand's values out.

    A command's lanes (rows or columns) are loaded one by one in tiles of at most ``lanes``. They fill regions
    of the buffers in turn: A's loader takes a region for each tile, B's for all tiles of a command.

    Beats wait in a FIFO until a block is complete; then it runs through the corner turn without a gap, one
    cycle per plane. No ``ready`` depends on a ``valid``.

    Parameters
    ----------
    config : LutGemmConfig
        The core.
    operand : {"a", "b"}
        Which one.

    Members
    -------
    valid, ready, data : In, Out, In
        Operand stream.
    offered : In(1)
        A command waits to be taken.
    take : Out(1)
        It is taken.
    count, k_last, tail, top, top_negative : In
        Its lanes, blocks less one, values in the last block, planes less one, whether the top plane is negative.
    sum_needed, sum_double, sum_start : In
        The other operand is bipolar; both are; what the sums start from.
    freed : In(1)
        A region has been used for the last time.
    loaded : Out(1)
        A region's last word and sum are stored in this cycle.
    word, word_enable, word_address : Out
        A plane word, the lane that stores it (one bit each), and where: region highest.
    sum, sum_enable, sum_tile : Out
        Minus the sum of a lane's values (see ``Results``), the lane, and its tile: region highest.
    """

    def __init__(self, config: LutGemmConfig, operand: str):
        self.config = config
        self.operand = operand
        self.lanes, self.words = {
            "a": (config.dm, config.a_words),
            "b": (config.dn, config.b_words),
        }[operand]
        self.per_tile = operand == "a"
        self.tail_bits = ceil_log2(config.dk) + 1
        word = ceil_log2(self.words)
        self.tile_bits = 0 if self.per_tile else word
        super().__init__(
            {
                "valid": In(1), "ready": Out(1), "data": In(config.dk),
                "offered": In(1), "take": Out(1),
                "count": In(config.size_bits), "k_last": In(config.word_bits), "tail": In(self.tail_bits),
                "top": In(3), "top_negative": In(1),
                "sum_needed": In(1), "sum_double": In(1), "sum_start": In(config.size_bits),
                "freed": In(1), "loaded": Out(1),
                "word": Out(config.dk), "word_enable": Out(self.lanes), "word_address": Out(word + 1),
                "sum": Out(_SUM_BITS), "sum_enable": Out(self.lanes), "sum_tile": Out(self.tile_bits + 1),
            }
        )  # fmt: skip

    @property
    def kind(self) -> str:
        """``loader`` and the operand."""
        return f"loader_{self.operand}"

    def elaborate(self, platform: Any) -> Module:
        """Build FIFO, walk, corner turn, sums."""
        m = Module()
        walk = self._walk(m)
        head = self._fifo(m, walk)
        self._planes(m, platform, walk, head)
        self._sums(m, platform, walk)
        return m

    def _fifo(self, m: Module, walk: dict[str, Value]) -> Value:
        """Beats of blocks that are not complete yet; returns the oldest."""
        depth = self.config.FIFO_DEPTH
        fifo: Memory[Any, Any] = Memory(shape=self.config.dk, depth=depth, init=[])
        m.submodules.fifo = fifo
        write = fifo.write_port()
        read = fifo.read_port(domain="comb")
        level: Any = walk["level"]
        push = Signal()
        m.d.comb += [
            self.ready.eq(level != depth),
            push.eq(self.valid & self.ready),
            write.data.eq(self.data),
            write.en.eq(push),
        ]
        m.d.sync += level.eq(level + push - walk["pop"])
        write_index = Signal(ceil_log2(depth), name="push_index")
        read_index = Signal(ceil_log2(depth), name="pop_index")
        m.d.comb += [write.addr.eq(write_index), read.addr.eq(read_index)]
        with m.If(push):
            m.d.sync += write_index.eq(write_index + 1)
        with m.If(walk["pop"]):
            m.d.sync += read_index.eq(read_index + 1)
        oldest: Value = read.data
        return oldest

    def _walk(self, m: Module) -> dict[str, Value]:
        """The planes of a command one by one: which lane, where, and what is special about it."""
        cfg = self.config
        level = Signal(range(cfg.FIFO_DEPTH + 1))
        active = Signal()
        held = {name: Signal(len(getattr(self, name)), name=f"held_{name}") for name in (
            "k_last", "tail", "top", "top_negative", "sum_needed", "sum_double", "sum_start"
        )}  # fmt: skip
        left = Signal(cfg.size_bits)
        lane = Signal(index_bits(self.lanes))
        block = Signal(cfg.word_bits)
        phase = Signal(3)
        region = Signal()
        used = Signal(range(_REGIONS + 1))
        base = Signal(ceil_log2(self.words))
        tile = Signal(max(1, self.tile_bits))

        # Widths 1, 2, 3..4 and 5..8 travel in 1, 2, 4 and 8 bits: the last phase has all ones below.
        top = held["top"]
        last_phase = Signal(3)
        m.d.comb += last_phase.eq(Cat(top.any(), top[1:].any(), top[2]))
        block_last = Signal()
        lane_last = Signal()
        tile_last = Signal()
        beats = Signal(4)
        tail_beats = Signal(4)
        begin, go, end, room = (Signal(name=f"block_{name}") for name in ("begin", "go", "end", "room"))
        finish = Signal()
        m.d.comb += [
            block_last.eq(~(block ^ held["k_last"]).any()),
            lane_last.eq(left == 1),
            tile_last.eq(lane_last | (lane == self.lanes - 1)),
            tail_beats.eq(Mux(held["tail"] > last_phase, last_phase + 1, held["tail"])),
            beats.eq(Mux(block_last, tail_beats, last_phase + 1)),
            begin.eq(active & ~phase.any() & (level >= beats) & room),
            go.eq(begin | phase.any()),
            end.eq(go & ~(phase ^ last_phase).any()),
            finish.eq(end & block_last & lane_last),
        ]
        tile_begin = Signal()
        m.d.comb += tile_begin.eq(~lane.any() & ~block.any())
        free = used != _REGIONS
        if self.per_tile:
            m.d.comb += [room.eq(~tile_begin | free), self.take.eq(self.offered & ~active)]
            claim, full = begin & tile_begin, end & block_last & tile_last
        else:
            m.d.comb += [room.eq(1), self.take.eq(self.offered & ~active & free)]
            claim, full = self.take, finish
        m.d.sync += used.eq(used + claim - self.freed)
        with m.If(full):
            m.d.sync += region.eq(~region)

        # Planes of a row follow each other, each with all its blocks: a block's planes lie that far apart.
        address = Signal(len(base), name="address")
        before = Signal(len(base), name="address_before")
        m.d.comb += address.eq(Mux(phase.any(), before + held["k_last"] + 1, base + block))
        with m.If(go):
            m.d.sync += [phase.eq(Mux(end, 0, phase + 1)), before.eq(address)]
        with m.If(end):
            m.d.sync += block.eq(Mux(block_last, 0, block + 1))
            with m.If(block_last):
                m.d.sync += [left.eq(left - 1), lane.eq(Mux(tile_last, 0, lane + 1))]
                with m.If(lane_last):
                    m.d.sync += active.eq(0)
        if not self.per_tile:
            words = Signal(len(base), name="tile_words")
            blocks = Signal(len(base) + 1, name="blocks")
            m.d.comb += [blocks.eq(held["k_last"] + 1), words.eq(times(top, blocks) + blocks)]
            with m.If(end & block_last & tile_last):
                m.d.sync += [base.eq(base + words), tile.eq(tile + 1)]
        with m.If(self.take):
            m.d.sync += [held[name].eq(getattr(self, name)) for name in held]
            m.d.sync += [active.eq(1), left.eq(self.count), base.eq(0), tile.eq(0)]
        return {
            "level": level,
            "pop": go & (phase < beats),
            "first": ~phase.any(),
            "travel_log": Cat(last_phase[0] ^ last_phase[1] ^ last_phase[2], last_phase[1]),
            "values": Mux(block_last, held["tail"], cfg.dk),
            "store": go & (phase <= top),
            "lane": lane,
            "address": Cat(address, region),
            "weight": Mux(held["sum_double"], 1, phase),
            "negative": held["top_negative"] & ~(phase ^ top).any(),
            "needed": held["sum_needed"],
            "clear": ~phase.any() & ~block.any(),
            "start": held["sum_start"],
            "lane_end": end & block_last,
            "tile": Cat(tile[: self.tile_bits], region),
            "full": full,
        }

    def _planes(self, m: Module, platform: Any, walk: dict[str, Value], head: Value) -> None:
        """The corner turn, and the walk in step with its planes."""
        turn = CornerTurn(self.config.dk)
        place(m, "corner_turn", turn, platform)
        age = 1 + CORNER_TURN_LATENCY
        store = delay(m, walk["store"], age, reset=True, name="store_delay")
        lane = delay(m, walk["lane"], age)
        m.d.comb += [
            turn.i.eq(delay(m, head, 1, name="beat")),
            turn.first.eq(delay(m, walk["first"], 1, name="first")),
            turn.travel_log.eq(delay(m, walk["travel_log"], 1, name="travel_log")),
            turn.count.eq(delay(m, walk["values"], 1, name="values")),
            self.word.eq(turn.o),
            self.word_enable.eq(Cat(store & ~(lane ^ n).any() for n in range(self.lanes))),
            self.word_address.eq(delay(m, walk["address"], age, name="address_delay")),
        ]

    def _sums(self, m: Module, platform: Any, walk: dict[str, Value]) -> None:
        """Counts the ones of every plane, weighs and adds them, and stores a sum per lane."""
        cfg = self.config
        shape = plan(cfg.dk)
        ones = Popcount(shape, every=cfg.array.COUNT_STAGES, primitive=cfg.array.primitive)
        place(m, "ones", ones, platform)
        m.d.comb += ones.i.eq(self.word)
        age = 1 + CORNER_TURN_LATENCY + cfg.ones_latency
        use = delay(m, walk["needed"] & walk["store"], age, name="use_delay")
        weight = delay(m, walk["weight"], age, name="weight_delay")
        # The sum is subtracted from the result, so a plane counts down, but the sign's plane up.
        weighed = Signal(shape.out_bits + 7, reset_less=True)
        up = Signal(reset_less=True)
        total = Signal(_SUM_BITS, reset_less=True)
        m.d.sync += [
            weighed.eq(Mux(use, ones.o, 0) << weight),
            up.eq(delay(m, walk["negative"], age, name="negative_delay")),
        ]
        clear = delay(m, walk["clear"], age + 1, name="clear_delay")
        start = delay(m, walk["start"], age + 1, name="start_delay")
        base = Signal(_SUM_BITS, name="sum_base")
        m.d.comb += base.eq(Mux(clear, start, total))
        m.d.sync += total.eq(base + (weighed ^ (~up).replicate(_SUM_BITS)) + ~up)
        end = delay(m, walk["lane_end"], age + 2, reset=True, name="lane_end_delay")
        lane = delay(m, walk["lane"], age + 2, name="sum_lane_delay")
        m.d.comb += [
            self.sum.eq(total),
            self.sum_enable.eq(Cat(end & ~(lane ^ n).any() for n in range(self.lanes))),
            self.sum_tile.eq(delay(m, walk["tile"], age + 2, name="sum_tile_delay")),
            self.loaded.eq(delay(m, walk["full"], age + 2, reset=True, name="loaded_delay")),
        ]
        assert age + 2 == cfg.load_delay


def times(top: Value, blocks: Value) -> Value:
    """``top * blocks`` for a ``top`` of three bits, by addition: a product may become a DSP block."""
    low, middle, high = (Mux(top[n], blocks << n, 0) for n in range(3))
    return low + middle + high
