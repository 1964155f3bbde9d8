"""The stand-alone block: AXI-Stream ports, passes, chains, results."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import Out

from hwgen.cores.sparse_chain.chains import SparseChains
from hwgen.cores.sparse_chain.config import SparseChainConfig
from hwgen.cores.sparse_chain.results import Results
from hwgen.cores.sparse_chain.sequencer import PASS, Sequencer, pass_fields
from hwgen.emit import Unit, place
from hwgen.parts.axi_stream import stream_ports
from hwgen.parts.fifo import Fifo

__all__ = ["SparseChain"]


class SparseChain(Unit):
    """Sparse products with AXI-Stream ports; see the room's README for contract, timing and limits.

    Members
    -------
    s_axis_cmd_*, s_axis_a_*, s_axis_code_*, s_axis_value_*, s_axis_index_* : In
        Commands, activations, and the three streams of the weights (TDATA, TVALID; TREADY out).
    m_axis_c_* : Out
        Results (TDATA, TVALID, TLAST; TREADY in).
    error : Out(1)
        The codes were no codes; stays until reset.
    """

    def __init__(self, config: SparseChainConfig):
        self.config = config
        super().__init__({**stream_ports(config.streams), "error": Out(1)})

    @property
    def kind(self) -> str:
        """``sparse_chain``."""
        return "sparse_chain"

    def elaborate(self, platform: Any) -> Module:
        """Build the block."""
        m = Module()
        cfg = self.config
        sequencer, chains, results = Sequencer(cfg), SparseChains(cfg.array), Results(cfg)
        place(m, "sequencer", sequencer, platform)
        place(m, "chains", chains, platform)
        place(m, "results", results, platform)
        self._command(m, sequencer)
        self._weights(m, platform, chains)
        self._passes(m, platform, sequencer, chains, results)
        m.d.comb += [
            chains.fill_en.eq(sequencer.fill_en),
            chains.fill_address.eq(sequencer.fill_address),
            chains.fill_data.eq(self.s_axis_a_tdata),
            chains.fill_spread.eq(sequencer.fill_spread),
            chains.room.eq(results.room),
            results.begins.eq(chains.begins),
            results.coming.eq(chains.coming),
            results.number.eq(chains.number),
            results.row.eq(chains.row),
            results.ready.eq(self.m_axis_c_tready),
            self.m_axis_c_tvalid.eq(results.valid),
            self.m_axis_c_tdata.eq(results.data),
            self.m_axis_c_tlast.eq(results.tlast),
        ]
        with m.If(chains.error):
            m.d.sync += self.error.eq(1)
        return m

    def _passes(
        self, m: Module, platform: Any, sequencer: Sequencer, chains: SparseChains, results: Results
    ) -> None:
        """Passes wait until their activations are there, then until their words have come."""
        cfg, widths = self.config, pass_fields(self.config)
        filled = Fifo("passes", sum(widths.values()), 2)
        under_way = Fifo("rounds", sum(widths.values()), 2)
        place(m, "passes", filled, platform)
        place(m, "under_way", under_way, platform)
        start = Signal()
        inside = Signal(10, name="rounds_inside")  # rounds that have begun and whose words have not all come
        mode = Signal(name="mode")
        ended = Signal(name="round_ended")
        keeps = Signal()
        now, leaving = _fields(filled.head, widths), _fields(under_way.head, widths)
        m.d.comb += [
            filled.push.eq(sequencer.filled),
            filled.data.eq(Cat(getattr(sequencer, f"pass_{name}") for name in PASS)),
            # Ways and chains do not mix: all words of one mode come before the other one's first step.
            start.eq(filled.valid & ~chains.busy & (~(now["spread"] | mode) | (inside == 0))),
            filled.pop.eq(start),
            under_way.push.eq(start),
            under_way.data.eq(filled.head),
            under_way.pop.eq(results.drained),
            sequencer.freed.eq(results.drained),
            ended.eq(chains.coming & (chains.number == cfg.array.words - 1)),
            chains.start.eq(start),
            chains.base.eq(Cat(Const(0, cfg.array.block_bits - 1), now["half"])),
        ]
        for name in ("blocks", "rounds", "weight_bits", "spread"):
            m.d.comb += getattr(chains, name).eq(now[name])
        for name in ("rows", "tiles", "rounds", "first", "last", "closing", "spread"):
            m.d.comb += getattr(results, name).eq(leaving[name])
        m.d.sync += inside.eq(inside + chains.begins - ended)
        with m.If(start):
            m.d.sync += [mode.eq(now["spread"]), keeps.eq(~now["last"])]
        m.d.comb += results.keeps.eq(keeps)

    def _command(self, m: Module, sequencer: Sequencer) -> None:
        """Fields of a command."""
        at = 0
        for field in self.config.streams[0].fields:
            width = field.format.bits
            name = "most_blocks" if field.name == "pass_blocks" else field.name
            m.d.comb += getattr(sequencer, name).eq(self.s_axis_cmd_tdata[at : at + width])
            at += width
        m.d.comb += [
            sequencer.cmd_valid.eq(self.s_axis_cmd_tvalid),
            self.s_axis_cmd_tready.eq(sequencer.cmd_ready),
            sequencer.a_valid.eq(self.s_axis_a_tvalid),
            self.s_axis_a_tready.eq(sequencer.a_ready),
        ]

    def _weights(self, m: Module, platform: Any, chains: SparseChains) -> None:
        """Streams of the weights, a few beats ahead."""
        for name in ("code", "value", "index"):
            data: Value = getattr(self, f"s_axis_{name}_tdata")
            fifo = Fifo(name, len(data), self.config.FIFO_DEPTH)
            place(m, f"{name}_fifo", fifo, platform)
            ready = getattr(self, f"s_axis_{name}_tready")
            take = getattr(chains, f"{name}_take")
            m.d.comb += [
                ready.eq(~fifo.full),
                fifo.push.eq(getattr(self, f"s_axis_{name}_tvalid") & ready),
                fifo.data.eq(data),
                fifo.pop.eq(take),
            ]
            if name == "code":
                m.d.comb += [chains.code_valid.eq(fifo.valid), chains.code.eq(fifo.head)]
                continue
            taken = Signal(len(data), name=f"{name}_taken", reset_less=True)
            row = Signal(len(data), name=f"{name}_row", reset_less=True)
            with m.If(take):
                m.d.sync += taken.eq(fifo.head)
            m.d.sync += row.eq(taken)
            m.d.comb += [
                getattr(chains, f"{name}_ready").eq(fifo.valid),
                getattr(chains, f"{name}_row").eq(row),
            ]


def _fields(word: Value, widths: dict[str, int]) -> dict[str, Value]:
    """Parts of a word, the first one lowest."""
    at, found = 0, {}
    for name, width in widths.items():
        found[name] = word[at : at + width]
        at += width
    return found
