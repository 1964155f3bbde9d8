"""The stand-alone block: AXI-Stream ports, sums, statistics, sets of factors and offsets, lanes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value

from hwgen.cores.norm.config import NormConfig
from hwgen.cores.norm.lane import Lane
from hwgen.cores.norm.sets import READ_LATENCY, Sets
from hwgen.cores.norm.statistics import Statistics
from hwgen.cores.norm.sums import Sums
from hwgen.emit import Unit, place
from hwgen.parts.axi_stream import stream_ports
from hwgen.parts.delay import delay
from hwgen.parts.elastic.rtl import Rows
from hwgen.streams import Stream

__all__ = ["Norm"]


class Norm(Unit):
    """LayerNorm or RMSNorm with AXI-Stream ports; see the room's README for contract, timing and limits.

    Members
    -------
    s_axis_x_*, s_axis_p_* : In
        Rows, sets of factors and offsets (TDATA, TVALID, TLAST; TREADY out).
    m_axis_y_* : Out
        Results (TDATA, TVALID, TLAST; TREADY in).
    """

    def __init__(self, config: NormConfig):
        self.config = config
        super().__init__(stream_ports(config.streams))

    @property
    def kind(self) -> str:
        """``norm``."""
        return "norm"

    def elaborate(self, platform: Any) -> Module:
        """Build the block."""
        m = Module()
        cfg = self.config
        lanes, layer = cfg.lanes, cfg.form == "layer"
        x, p, _ = cfg.streams
        line = cfg.slope.bits + (cfg.intercept.bits if layer else 0)
        sums, statistics, sets = Sums(cfg), Statistics(cfg), Sets(cfg)
        rows = Rows(
            "norm", lanes * (cfg.in_bits + 1), line + 2, lanes * cfg.out_bits, cfg.rows, store_latency=1
        )
        for name, unit in (("sums", sums), ("statistics", statistics), ("sets", sets), ("rows", rows)):
            place(m, name, unit, platform)
        gammas, betas, eps = _fields(p, self.s_axis_p_tdata)
        elements, keep, load = _fields(x, self.s_axis_x_tdata)

        # First pass: the sums; a row that loads waits for its set.
        begins = Signal(init=1)
        open_ = Signal()
        m.d.comb += [
            open_.eq(~(begins & sets.waits)),
            rows.in_valid.eq(self.s_axis_x_tvalid & open_),
            rows.in_last.eq(self.s_axis_x_tlast),
            self.s_axis_x_tready.eq(rows.in_ready & open_),
            sums.x.eq(elements),
            sums.keep.eq(keep),
            sums.take.eq(rows.take),
            sums.begins.eq(begins),
            rows.store.eq(sums.store),
            sets.valid.eq(self.s_axis_p_tvalid),
            sets.last.eq(self.s_axis_p_tlast),
            sets.data.eq(Cat(gammas, betas)),
            sets.eps.eq(eps),
            self.s_axis_p_tready.eq(sets.ready),
            sets.loads.eq(load),
            sets.take.eq(rows.take & begins),
        ]
        with m.If(rows.take):
            m.d.sync += begins.eq(rows.take_last)

        # Between the passes: the line, and which set belongs to the row.
        frees = Signal()
        with m.If(rows.take & begins):
            m.d.sync += frees.eq(sets.fresh)
        now = cfg.rows.stat_latency - 1
        m.d.comb += [
            statistics.count.eq(sums.count),
            statistics.squares.eq(sums.squares),
            rows.stat.eq(
                Cat(
                    statistics.slope,
                    *([statistics.intercept] if layer else []),
                    delay(m, Cat(sets.current, frees), now, name="row_set"),
                )
            ),
        ]
        m.d.comb += statistics.eps.eq(delay(m, sets.row_eps, cfg.sums_latency - 1, name="row_eps"))
        if layer:
            m.d.comb += statistics.sum.eq(sums.sum)

        # Second pass: lanes.
        row: Value = rows.row
        m.d.comb += [
            sets.read.eq(rows.emit),
            sets.first.eq(rows.emit_first),
            sets.which.eq(row[line]),
            sets.frees.eq(row[line + 1]),
            rows.answer.eq(self._lanes(m, platform, rows.kept, row, sets.word)),
            rows.out_ready.eq(self.m_axis_y_tready),
            self.m_axis_y_tvalid.eq(rows.out_valid),
            self.m_axis_y_tlast.eq(rows.out_last),
            self.m_axis_y_tdata.eq(rows.out),
        ]
        return m

    def _lanes(self, m: Module, platform: Any, kept: Value, row: Value, word: Value) -> Value:
        """The lanes' results."""
        cfg = self.config
        lanes = cfg.lanes
        later = delay(m, word, cfg.normalised_latency - READ_LATENCY, name="word")
        gammas, betas = later[: lanes * cfg.GAMMA.bits], later[lanes * cfg.GAMMA.bits :]
        results = []
        for n in range(lanes):
            lane = Lane(cfg)
            place(m, f"lane_{n}", lane, platform)
            m.d.comb += [
                lane.x.eq(kept[n * cfg.in_bits : (n + 1) * cfg.in_bits]),
                lane.keep.eq(kept[lanes * cfg.in_bits + n]),
                lane.slope.eq(row[: cfg.slope.bits]),
                lane.gamma.eq(gammas[n * cfg.GAMMA.bits : (n + 1) * cfg.GAMMA.bits]),
                lane.beta.eq(betas[n * cfg.beta.bits : (n + 1) * cfg.beta.bits]),
            ]
            if cfg.form == "layer":
                m.d.comb += lane.intercept.eq(row[cfg.slope.bits : cfg.slope.bits + cfg.intercept.bits])
            results.append(lane.y)
        return Cat(results)


def _fields(stream: Stream, data: Value) -> list[Value]:
    """The fields of a beat."""
    values, at = [], 0
    for field in stream.fields:
        width = field.lanes * field.format.bits
        values.append(data[at : at + width])
        at += width
    return values
