"""The stand-alone block: AXI-Stream ports, lanes side by side."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module

from hwgen.cores.activation.config import ActivationConfig
from hwgen.cores.activation.lane import Lane
from hwgen.emit import Unit, place
from hwgen.parts.axi_stream import stream_ports
from hwgen.parts.delay import delay
from hwgen.parts.elastic.rtl import Elastic

__all__ = ["Activation"]


class Activation(Unit):
    """Element-wise function with AXI-Stream ports; see the room's README for contract, timing and limits.

    Members
    -------
    s_axis_x_* : In
        Arguments (TDATA, TVALID, TLAST; TREADY out).
    m_axis_y_* : Out
        Results (TDATA, TVALID, TLAST; TREADY in).
    """

    def __init__(self, config: ActivationConfig):
        self.config = config
        super().__init__(stream_ports(config.streams))

    @property
    def kind(self) -> str:
        """``activation``."""
        return "activation"

    def elaborate(self, platform: Any) -> Module:
        """Build the block."""
        m = Module()
        cfg = self.config
        bits = cfg.in_bits
        results = []
        keep = delay(m, self.s_axis_x_tdata[cfg.lanes * bits :][: cfg.lanes], cfg.latency, name="keep")
        for i in range(cfg.lanes):
            lane = Lane(cfg)
            place(m, f"lane_{i}", lane, platform)
            m.d.comb += lane.x.eq(self.s_axis_x_tdata[i * bits : (i + 1) * bits])
            results.append(lane.y.as_unsigned() & keep[i].replicate(cfg.out_bits))
        elastic = Elastic("y", cfg.lanes * cfg.out_bits, cfg.latency)
        place(m, "elastic", elastic, platform)
        m.d.comb += [
            elastic.in_valid.eq(self.s_axis_x_tvalid),
            elastic.in_last.eq(self.s_axis_x_tlast),
            self.s_axis_x_tready.eq(elastic.in_ready),
            elastic.result.eq(Cat(results)),
            self.m_axis_y_tvalid.eq(elastic.out_valid),
            self.m_axis_y_tlast.eq(elastic.out_last),
            self.m_axis_y_tdata.eq(elastic.out),
            elastic.out_ready.eq(self.m_axis_y_tready),
        ]
        return m
