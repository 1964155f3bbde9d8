"""The stand-alone block: AXI-Stream ports, loaders, plane buffers, sequencer, array, results."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module

from hwgen.cores.lut_gemm.array import Array
from hwgen.cores.lut_gemm.buffer import WordBuffer
from hwgen.cores.lut_gemm.config import LutGemmConfig
from hwgen.cores.lut_gemm.loader import Loader
from hwgen.cores.lut_gemm.results import Results
from hwgen.cores.lut_gemm.sequencer import Sequencer
from hwgen.emit import Unit, place
from hwgen.parts.axi_stream import stream_ports
from hwgen.parts.delay import delay

__all__ = ["LutGemm"]


class LutGemm(Unit):
    """Bit-serial GEMM with AXI-Stream ports; see the room's README for contract, timing and limits.

    Members
    -------
    s_axis_cmd_*, s_axis_b_*, s_axis_a_* : In
        Commands, B, A (TDATA, TVALID; TREADY out).
    m_axis_c_* : Out
        Results (TDATA, TVALID, TLAST; TREADY in).
    """

    def __init__(self, config: LutGemmConfig):
        self.config = config
        super().__init__(stream_ports(config.streams))

    @property
    def kind(self) -> str:
        """``lut_gemm``."""
        return "lut_gemm"

    def elaborate(self, platform: Any) -> Module:
        """Build the block."""
        m = Module()
        cfg = self.config
        sequencer, results, array = Sequencer(cfg), Results(cfg), Array(cfg.array)
        place(m, "sequencer", sequencer, platform)
        place(m, "results", results, platform)
        place(m, "array", array, platform)
        self._command(m, sequencer)
        for name, words in (("a", array.a), ("b", array.b)):
            self._operand(m, platform, name, sequencer, results, words)
        for name in ("clear", "shift", "negate", "last"):
            m.d.comb += getattr(array, name).eq(delay(m, getattr(sequencer, name), cfg.OPERAND_DELAY))
        m.d.comb += array.valid.eq(delay(m, sequencer.step, cfg.OPERAND_DELAY, reset=True))

        # What is known of a tile at its last step waits until the cycle before its first row.
        age = cfg.OPERAND_DELAY + cfg.array.latency - 1
        for name in ("rows", "columns", "scale", "a", "b", "end"):
            m.d.comb += getattr(results, f"tile_{name}").eq(delay(m, getattr(sequencer, f"tile_{name}"), age))
        m.d.comb += [
            results.tile.eq(delay(m, sequencer.step & sequencer.last, age, reset=True, name="tile_delay")),
            results.row_valid.eq(array.row_valid),
            results.row.eq(array.row),
            results.ready.eq(self.m_axis_c_tready),
            sequencer.freed.eq(results.freed),
            self.m_axis_c_tvalid.eq(results.valid),
            self.m_axis_c_tdata.eq(results.data),
            self.m_axis_c_tlast.eq(results.last),
        ]
        return m

    def _command(self, m: Module, sequencer: Sequencer) -> None:
        """Fields of a command."""
        at = 0
        for field in self.config.streams[0].fields:
            width = field.format.bits
            m.d.comb += getattr(sequencer, field.name).eq(self.s_axis_cmd_tdata[at : at + width])
            at += width
        m.d.comb += [
            sequencer.cmd_valid.eq(self.s_axis_cmd_tvalid),
            self.s_axis_cmd_tready.eq(sequencer.cmd_ready),
        ]

    def _operand(
        self, m: Module, platform: Any, name: str, sequencer: Sequencer, results: Results, words: Any
    ) -> None:
        """One operand from its stream to the array: loader and plane buffers."""
        loader = Loader(self.config, name)
        place(m, f"loader_{name}", loader, platform)
        other = "b" if name == "a" else "a"
        both = sequencer.a_bipolar & sequencer.b_bipolar
        m.d.comb += [
            loader.valid.eq(getattr(self, f"s_axis_{name}_tvalid")),
            loader.data.eq(getattr(self, f"s_axis_{name}_tdata")),
            getattr(self, f"s_axis_{name}_tready").eq(loader.ready),
            loader.offered.eq(getattr(sequencer, f"{name}_offered")),
            getattr(sequencer, f"{name}_take").eq(loader.take),
            loader.count.eq(sequencer.front_m if name == "a" else sequencer.front_n),
            loader.k_last.eq(sequencer.k_last),
            loader.tail.eq(sequencer.tail),
            loader.top.eq(getattr(sequencer, f"front_{name}_top")),
            loader.top_negative.eq(getattr(sequencer, f"{name}_signed")),
            loader.sum_needed.eq(getattr(sequencer, f"{other}_bipolar")),
            loader.sum_double.eq(both),
            # K of the correction is added once, through the sums of A.
            loader.sum_start.eq(
                both.replicate(self.config.size_bits) & sequencer.front_k if name == "a" else 0
            ),
            loader.freed.eq(getattr(sequencer, f"{name}_freed")),
            getattr(sequencer, f"{name}_loaded").eq(loader.loaded),
            getattr(results, f"{name}_sum").eq(loader.sum),
            getattr(results, f"{name}_sum_enable").eq(loader.sum_enable),
            getattr(results, f"{name}_sum_tile").eq(loader.sum_tile),
        ]
        address = delay(m, getattr(sequencer, f"{name}_address"), 1)
        out = []
        for lane in range(loader.lanes):
            buffer = WordBuffer(self.config.dk, 2 * loader.words)
            place(m, f"planes_{name}_{lane}", buffer, platform)
            m.d.comb += [
                buffer.enable.eq(loader.word_enable[lane]),
                buffer.address.eq(loader.word_address),
                buffer.word.eq(loader.word),
                buffer.read_enable.eq(1),
                buffer.read_address.eq(address),
            ]
            out.append(buffer.o)
        m.d.comb += words.eq(Cat(out))
