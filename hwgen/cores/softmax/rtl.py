"""The stand-alone block: AXI-Stream ports around the two passes of a row."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.distance import Distances
from hwgen.cores.softmax.exact import ExactFirst, ExactSecond
from hwgen.cores.softmax.latency import FRONT, Latency
from hwgen.cores.softmax.online import OnlineFirst, OnlineSecond
from hwgen.cores.softmax.pairs import PairsSecond, RunningFirst
from hwgen.cores.softmax.parabola import IbertFirst, IbertSecond
from hwgen.cores.softmax.shifting import ItaFirst, ItaSecond, SofterFirst, SofterSecond, SoleFirst, SoleSecond
from hwgen.cores.softmax.twopass import TwopassFirst
from hwgen.cores.softmax.unified import UnifiedFirst
from hwgen.emit import Unit, place
from hwgen.parts.axi_stream import stream_ports
from hwgen.parts.elastic.rtl import Rows
from hwgen.parts.fifo import Fifo

__all__ = ["Softmax"]

_FIRST: dict[str, type[Any]] = {
    "online_pow2": RunningFirst,
    "twopass_ext": TwopassFirst,
    "online": OnlineFirst,
    "unified_max": UnifiedFirst,
    "table_exact": ExactFirst,
    "ibert": IbertFirst,
    "softermax": SofterFirst,
    "sole": SoleFirst,
    "ita": ItaFirst,
}
_SECOND: dict[str, type[Any]] = {
    "online": OnlineSecond,
    "table_exact": ExactSecond,
    "ibert": IbertSecond,
    "softermax": SofterSecond,
    "sole": SoleSecond,
    "ita": ItaSecond,
}


class Softmax(Unit):
    """Softmax with AXI-Stream ports; see the room's README for contract, timing and limits.

    Members
    -------
    s_axis_x_* : In
        Rows (TDATA, TVALID, TLAST; TREADY out).
    m_axis_y_* : Out
        Results (TDATA, TVALID, TLAST; TREADY in).
    m_axis_s_* : Out
        With ``after_pv``: a factor per row (TDATA, TVALID; TREADY in).
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = config
        super().__init__(stream_ports(config.streams))

    @property
    def kind(self) -> str:
        """``softmax``."""
        return "softmax"

    def elaborate(self, platform: Any) -> Module:
        """Build the block."""
        m = Module()
        cfg = self.config
        latency = Latency(cfg)
        first: Any = _FIRST[cfg.variant](cfg)
        second: Any = _SECOND.get(cfg.variant, PairsSecond)(cfg)
        rows = Rows(
            "softmax", len(first.store), len(first.stat), len(second.answer), latency.shape, latency.store
        )
        for name, unit in (("first_pass", first), ("second_pass", second), ("rows", rows)):
            place(m, name, unit, platform)
        room = Const(1) if cfg.divides else self._scales(m, platform, rows)
        logits = cfg.in_bits * cfg.lanes
        port = (self.s_axis_x_tvalid, self.s_axis_x_tlast, self.s_axis_x_tdata[: logits + cfg.lanes])
        if cfg.finds_maximum:
            front = Distances(cfg)
            place(m, "front", front, platform)
            m.d.comb += [
                front.in_valid.eq(port[0]),
                front.in_last.eq(port[1]),
                Cat(front.x, front.keep).eq(port[2]),
                self.s_axis_x_tready.eq(front.in_ready),
                front.out_ready.eq(rows.in_ready),
            ]
            port = (front.out_valid, front.out_last, Cat(front.distance, front.out_keep))
        elif cfg.may_repeat:
            # The rows close the input when they please; a queue keeps that from the port.
            queue = Fifo("front", 1 + len(port[2]), FRONT)
            place(m, "front", queue, platform)
            m.d.comb += [
                queue.push.eq(port[0] & ~queue.full),
                queue.data.eq(Cat(port[1], port[2])),
                queue.pop.eq(rows.take),
                self.s_axis_x_tready.eq(~queue.full),
                first.again.eq(rows.emit_again),
                first.again_last.eq(rows.again_last),
                first.again_word.eq(rows.kept),
                first.again_row.eq(rows.row),
                rows.stat_again.eq(first.stat_again),
            ]
            port = (queue.valid, queue.head[0], queue.head[1:])
        else:
            m.d.comb += self.s_axis_x_tready.eq(rows.in_ready & room)
        m.d.comb += [
            rows.in_valid.eq(port[0] & room),
            rows.in_last.eq(port[1]),
            Cat(first.x, first.keep).eq(port[2]),
            first.take.eq(rows.take),
            first.last.eq(rows.take_last),
            rows.store.eq(first.store),
            rows.stat.eq(first.stat),
            second.kept.eq(rows.kept),
            second.row.eq(rows.row),
            rows.answer.eq(second.answer),
            self.m_axis_y_tdata.eq(rows.out),
            self.m_axis_y_tlast.eq(rows.out_last),
            self.m_axis_y_tvalid.eq(rows.out_valid),
            rows.out_ready.eq(self.m_axis_y_tready),
        ]
        return m

    def _scales(self, m: Module, platform: Any, rows: Rows) -> Value:
        """The stream of factors, one with a row's last results; whether there is room for that of another row."""
        shape = Latency(self.config).shape
        queue = Fifo("scales", self.config.scale_bits, shape.rows)
        place(m, "scales", queue, platform)
        owed = Signal(range(shape.rows + 1), name="owed")
        room = Signal(name="room")
        sent = Signal(name="sent")
        m.d.comb += [
            room.eq(owed != shape.rows),
            queue.push.eq(rows.emit & rows.emit_last),
            queue.data.eq(rows.row[: self.config.scale_bits]),
            self.m_axis_s_tdata.eq(queue.head),
            self.m_axis_s_tvalid.eq(queue.valid),
            sent.eq(queue.valid & self.m_axis_s_tready),
            queue.pop.eq(sent),
        ]
        m.d.sync += owed.eq(owed + rows.take_last - sent)
        return room
