"""Control: walks a product's passes, fills one half of the operand memories while the other one is used."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.cores.sparse_chain.config import SparseChainConfig
from hwgen.emit import Unit
from hwgen.numerics import ceil_log2, index_bits
from hwgen.parts.sparse import BLOCK

__all__ = ["PASS", "Sequencer", "pass_fields"]

PASS = ("half", "blocks", "rounds", "rows", "tiles", "first", "last", "closing", "weight_bits", "spread")
"""What is known of a pass."""


def pass_fields(config: SparseChainConfig) -> dict[str, int]:
    """Width of each of :data:`PASS`: half of the operand memories; blocks along K; rounds of column tiles; rows of C;
    column tiles that are left; whether it begins, ends a sum, ends the command; the weights' width; the mode."""
    size = config.size_bits
    widths = (1, config.array.block_bits, size, config.rows.bit_length(), size, 1, 1, 1, 4, 1)
    return dict(zip(PASS, widths, strict=True))


class Sequencer(Unit):
    """Groups of column tiles outermost, then tiles of rows, then passes along K.

    A pass is offered to those who compute (``pass_valid``) once its activations are there. No ``ready`` depends on a
    ``valid``.

    Members
    -------
    cmd_valid, cmd_ready, m, tiles, k, rounds, group_rounds, most_blocks, weight_bits, spread : In, Out
        Commands; ``most_blocks`` is the command's ``pass_blocks``.
    a_valid, a_ready : In, Out
        Activations, one k per beat.
    fill_en, fill_address : Out
        Where this cycle's activations go.
    fill_spread : Out(1)
        All ways get the first way's rows.
    filled : Out(1)
        The pass in ``pass_<field>`` is filled with this cycle's beat.
    pass_<field> : Out
        The pass.
    freed : In(1)
        The earliest pass that is under way is through.
    """

    def __init__(self, config: SparseChainConfig):
        self.config = config
        size = config.size_bits
        super().__init__({
            "cmd_valid": In(1), "cmd_ready": Out(1), "m": In(size), "tiles": In(size), "k": In(size),
            "rounds": In(size), "group_rounds": In(size), "most_blocks": In(8), "weight_bits": In(4),
            "spread": In(1), "a_valid": In(1), "a_ready": Out(1), "fill_en": Out(1),
            "fill_address": Out(index_bits(config.depth)), "fill_spread": Out(1), "filled": Out(1),
            **{f"pass_{name}": Out(width) for name, width in pass_fields(config).items()}, "freed": In(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``sequencer``."""
        return "sequencer"

    def elaborate(self, platform: Any) -> Module:
        """Build loops and fill."""
        m = Module()
        cfg = self.config
        size = cfg.size_bits
        m_total = Signal(size)
        k_total = Signal(size)
        m_left = Signal(size)
        k_left = Signal(size)
        tiles_left = Signal(size)
        rounds_left = Signal(size)
        group_rounds = Signal(size, name="command_group_rounds")
        most_blocks = Signal(8, name="command_most_blocks")
        weight_bits = Signal(4, name="command_weight_bits")
        spread = Signal(name="command_spread")
        half = Signal()
        k_first = Signal()
        used = Signal(2)  # halves of the operand memories
        word = Signal(index_bits(cfg.depth // 2))
        filling = Signal()

        pass_k = Signal(8 + ceil_log2(BLOCK))
        rows = Signal(cfg.rows.bit_length())
        k_last = Signal()
        m_last = Signal()
        group_last = Signal()
        k_count = Signal(index_bits(cfg.depth // 2) + 1)
        m.d.comb += [
            pass_k.eq(most_blocks << ceil_log2(BLOCK)),
            rows.eq(Mux(spread, cfg.rows // cfg.ways, cfg.rows)),
            k_last.eq(k_left <= pass_k),
            m_last.eq(m_left <= rows),
            group_last.eq(rounds_left <= group_rounds),
            k_count.eq(Mux(k_last, k_left, pass_k)),
            self.fill_en.eq(filling & self.a_valid),
            self.fill_address.eq(Cat(word, half)),
            self.fill_spread.eq(spread),
            self.a_ready.eq(filling),
            self.filled.eq(filling & self.a_valid & (word + 1 == k_count)),
            self.pass_half.eq(half),
            self.pass_blocks.eq((k_count + BLOCK - 1) >> ceil_log2(BLOCK)),
            self.pass_rounds.eq(Mux(group_last, rounds_left, group_rounds)),
            self.pass_rows.eq(Mux(m_last, m_left, rows)),
            self.pass_tiles.eq(tiles_left),
            self.pass_first.eq(k_first),
            self.pass_last.eq(k_last),
            self.pass_closing.eq(k_last & m_last & group_last),
            self.pass_weight_bits.eq(weight_bits),
            self.pass_spread.eq(spread),
        ]
        begins = Signal(name="fill_begins")
        m.d.sync += used.eq(used + begins - self.freed)
        with m.FSM(name="walk"):
            with m.State("IDLE"):
                m.d.comb += self.cmd_ready.eq(1)
                with m.If(self.cmd_valid):
                    m.d.sync += [
                        m_total.eq(self.m),
                        m_left.eq(self.m),
                        k_total.eq(self.k),
                        k_left.eq(self.k),
                        tiles_left.eq(self.tiles),
                        rounds_left.eq(self.rounds),
                        group_rounds.eq(self.group_rounds),
                        most_blocks.eq(self.most_blocks),
                        weight_bits.eq(self.weight_bits),
                        spread.eq(self.spread),
                        k_first.eq(1),
                    ]
                    with m.If((self.m != 0) & (self.tiles != 0) & (self.k != 0)):
                        m.next = "WAIT"
            with m.State("WAIT"), m.If(used != 2):
                m.d.comb += begins.eq(1)
                m.d.sync += word.eq(0)
                m.next = "FILL"
            with m.State("FILL"):
                m.d.comb += filling.eq(1)
                with m.If(self.a_valid):
                    m.d.sync += word.eq(word + 1)
                with m.If(self.filled):
                    m.d.sync += [half.eq(~half), k_first.eq(k_last)]
                    m.d.sync += k_left.eq(Mux(k_last, k_total, k_left - pass_k))
                    with m.If(k_last):
                        m.d.sync += m_left.eq(Mux(m_last, m_total, m_left - rows))
                        with m.If(m_last):
                            m.d.sync += [
                                rounds_left.eq(rounds_left - group_rounds),
                                tiles_left.eq(tiles_left - self._columns(group_rounds, spread)),
                            ]
                    with m.If(self.pass_closing):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "WAIT"
        return m

    def _columns(self, rounds: Value, spread: Value) -> Value:
        """Column tiles of so many rounds."""
        per_round = self.config.array.shared.columns
        # Three are a sum: the synthesizer would spend a multiplier on them.
        tiles = (rounds << 1) + rounds if per_round == 3 else rounds * per_round
        return Mux(spread, tiles << ceil_log2(self.config.ways), tiles)
