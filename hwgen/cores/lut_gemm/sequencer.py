"""Control: holds the next command for the loaders, and walks a command's tiles, pairs of planes and blocks."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hwgen.cores.lut_gemm.config import LutGemmConfig
from hwgen.cores.lut_gemm.loader import times
from hwgen.emit import Unit
from hwgen.numerics import ceil_log2

__all__ = ["Sequencer"]

_BIPOLAR = 2  # code of the kind; the odd codes, signed and ternary, have a sign plane


class Sequencer(Unit):
    """*Front*: one command, held until both loaders and the runner have taken it. *Runner*: one step per cycle.

    For each tile of A all tiles of B, for each of them pairs of planes in wavefronts of falling weight, for
    each pair all blocks. The runner goes from tile to tile and from command to command without a bubble when
    what comes next is loaded. A tile's last step waits until ``dm`` cycles have passed since the one before,
    and until the result buffer has room for its rows.

    Members
    -------
    cmd_valid, cmd_ready, m, n, k, a_top, b_top, a_kind, b_kind : In, Out
        Command stream. A command with a size of zero is taken and ignored.
    a_offered, b_offered, a_take, b_take : Out, In
        The command in front is offered to a loader; the loader takes it.
    front_m, front_n, front_k, k_last, tail, front_a_top, ..., a_bipolar, b_bipolar : Out
        What the loaders are told.
    a_loaded, b_loaded, a_freed, b_freed : In, Out
        A region is filled; it has been used for the last time.
    step, clear, shift, negate, last : Out(1)
        Controls of the array.
    a_address, b_address : Out
        Words of the step.
    tile_rows, tile_columns, tile_scale, tile_a, tile_b, tile_end : Out
        With ``last``: rows and columns inside C, binary logarithm of the factor of the sums, where the operands'
        sums are, whether the command ends.
    freed : In(1)
        A row was read from the result buffer.
    """

    def __init__(self, config: LutGemmConfig):
        self.config = config
        size, a_word, b_word = config.size_bits, ceil_log2(config.a_words), ceil_log2(config.b_words)
        self.a_word, self.b_word = a_word, b_word
        flags = ("a_signed", "b_signed", "a_bipolar", "b_bipolar")
        super().__init__(
            {
                "cmd_valid": In(1), "cmd_ready": Out(1), "m": In(size), "n": In(size), "k": In(size),
                "a_top": In(3), "b_top": In(3), "a_kind": In(2), "b_kind": In(2),
                "a_offered": Out(1), "b_offered": Out(1), "a_take": In(1), "b_take": In(1),
                "front_m": Out(size), "front_n": Out(size), "front_k": Out(size),
                "k_last": Out(config.word_bits), "tail": Out(ceil_log2(config.dk) + 1),
                "front_a_top": Out(3), "front_b_top": Out(3), **{name: Out(1) for name in flags},
                "a_loaded": In(1), "b_loaded": In(1), "a_freed": Out(1), "b_freed": Out(1),
                **{name: Out(1) for name in ("step", "clear", "shift", "negate", "last")},
                "a_address": Out(a_word + 1), "b_address": Out(b_word + 1),
                "tile_rows": Out(config.dm.bit_length()), "tile_columns": Out(config.dn.bit_length()),
                "tile_scale": Out(2), "tile_a": Out(1), "tile_b": Out(b_word + 1), "tile_end": Out(1),
                "freed": In(1),
            }
        )  # fmt: skip

    @property
    def kind(self) -> str:
        """``sequencer``."""
        return "sequencer"

    def elaborate(self, platform: Any) -> Module:
        """Build front and runner."""
        m = Module()
        offered = Signal()
        take = Signal()
        self._front(m, offered, take)
        self._runner(m, offered, take)
        return m

    def _front(self, m: Module, offered: Signal, take: Signal) -> None:
        cfg = self.config
        sizes = {name: Signal(cfg.size_bits, name=f"held_{name}") for name in "mnk"}
        tops = {name: Signal(3, name=f"held_{name}_top") for name in "ab"}
        kinds = {name: Signal(2, name=f"held_{name}_kind") for name in "ab"}
        block_bits = ceil_log2(cfg.dk)
        k_less = Signal(max(cfg.size_bits, block_bits + 1))
        wanted = {
            "a": Signal(name="a_wanted"),
            "b": Signal(name="b_wanted"),
            "run": Signal(name="run_wanted"),
        }
        takes = {"a": self.a_take, "b": self.b_take, "run": take}
        m.d.comb += [
            self.cmd_ready.eq(~Cat(wanted.values()).any()),
            self.a_offered.eq(wanted["a"]),
            self.b_offered.eq(wanted["b"]),
            offered.eq(wanted["run"]),
            self.front_m.eq(sizes["m"]),
            self.front_n.eq(sizes["n"]),
            self.front_k.eq(sizes["k"]),
            self.front_a_top.eq(tops["a"]),
            self.front_b_top.eq(tops["b"]),
            self.k_last.eq(k_less[block_bits:]),
            self.tail.eq(k_less[:block_bits] + 1),
            self.a_signed.eq(kinds["a"][0]),
            self.b_signed.eq(kinds["b"][0]),
            self.a_bipolar.eq(kinds["a"] == _BIPOLAR),
            self.b_bipolar.eq(kinds["b"] == _BIPOLAR),
        ]
        for name, taken in takes.items():
            with m.If(taken):
                m.d.sync += wanted[name].eq(0)
        with m.If(self.cmd_valid & self.cmd_ready):
            m.d.sync += [sizes[name].eq(getattr(self, name)) for name in sizes]
            m.d.sync += [k_less.eq(self.k - 1)]
            m.d.sync += [tops[name].eq(getattr(self, f"{name}_top")) for name in tops]
            m.d.sync += [kinds[name].eq(getattr(self, f"{name}_kind")) for name in kinds]
            m.d.sync += [flag.eq(self.m.any() & self.n.any() & self.k.any()) for flag in wanted.values()]

    def _runner(self, m: Module, offered: Signal, take: Signal) -> None:
        cfg = self.config
        at = self._pairs(m, take)
        busy = Signal()
        run = Signal()
        a_ready = Signal(range(3), name="a_regions")
        b_ready = Signal(range(3), name="b_regions")
        m_left = Signal(cfg.size_bits)
        n_left = Signal(cfg.size_bits)
        n_total = Signal(cfg.size_bits)
        recent = Signal(max(1, cfg.dm - 1))  # tiles that ended in the last cycles, whose rows still leave
        credits = Signal(range(cfg.result_depth + 1), init=cfg.result_depth)
        a_region = Signal()
        b_region = Signal()
        tile = Signal(self.b_word)
        scale = Signal(2)
        m_last, n_last, tile_done, a_done, done, next_a = (
            Signal(name=name) for name in ("m_last", "n_last", "tile_done", "a_done", "done", "next_a")
        )
        m.d.comb += [
            m_last.eq(m_left <= cfg.dm),
            n_last.eq(n_left <= cfg.dn),
            self.tile_rows.eq(Mux(m_last, m_left, cfg.dm)),
            self.tile_columns.eq(Mux(n_last, n_left, cfg.dn)),
            self.step.eq(run & ~(at["last"] & (recent.any() | (credits < self.tile_rows)))),
            self.last.eq(at["last"]),
            tile_done.eq(self.step & at["last"]),
            a_done.eq(tile_done & n_last),
            done.eq(a_done & m_last),
            # The next tile of A in this command, now or after having waited for it.
            next_a.eq(a_ready.any() & ((a_done & ~m_last) | (busy & ~run))),
            take.eq(offered & a_ready.any() & b_ready.any() & (~busy | done)),
            self.a_freed.eq(a_done),
            self.b_freed.eq(done),
            at["step"].eq(self.step),
            at["tile_done"].eq(tile_done),
            at["n_last"].eq(n_last),
            self.a_address.eq(Cat(at["a"], a_region)),
            self.b_address.eq(Cat(at["b"], b_region)),
            self.tile_scale.eq(scale),
            self.tile_a.eq(a_region),
            self.tile_b.eq(Cat(tile, b_region)),
            self.tile_end.eq(m_last & n_last),
        ]
        m.d.sync += [
            a_ready.eq(a_ready + self.a_loaded - (take | next_a)),
            b_ready.eq(b_ready + self.b_loaded - take),
            credits.eq(credits - Mux(tile_done, self.tile_rows, 0) + self.freed),
        ]
        with m.If(tile_done):
            m.d.sync += tile.eq(Mux(n_last, 0, tile + 1))
            m.d.sync += n_left.eq(Mux(n_last, n_total, n_left - cfg.dn))
        if cfg.dm > 1:
            m.d.sync += recent.eq(Cat(tile_done, recent))
        with m.If(a_done):
            m.d.sync += [run.eq(0), a_region.eq(~a_region), m_left.eq(m_left - cfg.dm)]
        with m.If(done):
            m.d.sync += [busy.eq(0), b_region.eq(~b_region)]
        with m.If(next_a):
            m.d.sync += run.eq(1)
        with m.If(take):
            m.d.sync += [
                busy.eq(1),
                run.eq(1),
                m_left.eq(self.front_m),
                n_left.eq(self.front_n),
                n_total.eq(self.front_n),
                scale.eq(self.a_bipolar + self.b_bipolar),
            ]

    def _pairs(self, m: Module, take: Signal) -> dict[str, Any]:
        """The pairs of planes of a tile in wavefronts, the blocks of each; addresses without the region."""
        step, tile_done, n_last = (Signal(name=f"pair_{name}") for name in ("step", "tile_done", "n_last"))
        bits = self.config.word_bits
        k_last = Signal(bits, name="run_k_last")
        a_top = Signal(3, name="run_a_top")
        b_top = Signal(3, name="run_b_top")
        a_signed = Signal(name="run_a_signed")
        b_signed = Signal(name="run_b_signed")
        a_high = Signal(self.a_word)  # first word of the top planes
        b_high = Signal(self.b_word)
        base = Signal(self.b_word)
        # Where the wavefront began, and where it is: planes and their first words.
        a_first = Signal(3)
        b_first = Signal(3)
        a_plane = Signal(3)
        b_plane = Signal(3)
        a_start = Signal(self.a_word)
        b_start = Signal(self.b_word)
        a_word = Signal(self.a_word, name="run_a_word")
        b_word = Signal(self.b_word, name="run_b_word")
        block = Signal(bits)
        clear = Signal(name="run_clear")
        shift = Signal(name="run_shift")
        blocks = Signal(bits + 1)
        pair_end = Signal()
        wave_end = Signal()
        next_base = Signal(self.b_word)
        m.d.comb += [
            blocks.eq(k_last + 1),
            pair_end.eq(~(block ^ k_last).any()),
            wave_end.eq(~a_plane.any() | ~(b_plane ^ b_top).any()),
            next_base.eq(Mux(n_last, 0, base + b_high + blocks)),
            self.clear.eq(clear),
            self.shift.eq(shift),
            self.negate.eq((a_signed & ~(a_plane ^ a_top).any()) ^ (b_signed & ~(b_plane ^ b_top).any())),
        ]
        with m.If(step):
            m.d.sync += [clear.eq(0), shift.eq(0), block.eq(block + 1)]
            with m.If(pair_end):
                m.d.sync += [
                    block.eq(0),
                    a_plane.eq(a_plane - 1),
                    b_plane.eq(b_plane + 1),
                    a_word.eq(a_word - blocks),
                    b_word.eq(b_word + blocks),
                ]
                with m.If(wave_end):
                    m.d.sync += shift.eq(1)
                    down_b = b_first.any()
                    a_next = Mux(down_b, a_first, a_first - 1)
                    b_next = Mux(down_b, b_first - 1, 0)
                    a_from = Mux(down_b, a_start, a_start - blocks)
                    b_from = Mux(down_b, b_start - blocks, b_start)
                    m.d.sync += [
                        a_first.eq(a_next),
                        a_plane.eq(a_next),
                        a_start.eq(a_from),
                        a_word.eq(a_from),
                    ]
                    m.d.sync += [
                        b_first.eq(b_next),
                        b_plane.eq(b_next),
                        b_start.eq(b_from),
                        b_word.eq(b_from),
                    ]
        with m.If(tile_done):
            m.d.sync += base.eq(next_base)
            m.d.sync += [a_first.eq(a_top), a_plane.eq(a_top), a_start.eq(a_high), a_word.eq(a_high)]
            m.d.sync += [b_first.eq(b_top), b_plane.eq(b_top)]
            m.d.sync += [b_start.eq(next_base + b_high), b_word.eq(next_base + b_high)]
            m.d.sync += [clear.eq(1), shift.eq(0)]
        with m.If(take):
            front_blocks = Signal(bits + 1)
            a_front = Signal(self.a_word)
            b_front = Signal(self.b_word)
            m.d.comb += [
                front_blocks.eq(self.k_last + 1),
                a_front.eq(times(self.front_a_top, front_blocks)),
                b_front.eq(times(self.front_b_top, front_blocks)),
            ]
            m.d.sync += [k_last.eq(self.k_last), block.eq(0), base.eq(0), clear.eq(1), shift.eq(0)]
            m.d.sync += [a_signed.eq(self.a_signed), b_signed.eq(self.b_signed)]
            m.d.sync += [signal.eq(self.front_a_top) for signal in (a_top, a_first, a_plane)]
            m.d.sync += [signal.eq(self.front_b_top) for signal in (b_top, b_first, b_plane)]
            m.d.sync += [signal.eq(a_front) for signal in (a_high, a_start, a_word)]
            m.d.sync += [signal.eq(b_front) for signal in (b_high, b_start, b_word)]
        last = pair_end & ~a_first.any() & ~b_first.any()
        return {
            "step": step, "tile_done": tile_done, "n_last": n_last, "last": last,
            "a": (a_word + block)[: self.a_word], "b": (b_word + block)[: self.b_word],
        }  # fmt: skip
