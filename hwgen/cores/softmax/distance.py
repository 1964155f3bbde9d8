"""Rows that go by once more before everything else: each logit becomes its distance from the row's largest."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib.wiring import In, Out

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.latency import Latency
from hwgen.cores.softmax.stages import lanes_of, register
from hwgen.cores.softmax.sums import RunningMaximum
from hwgen.emit import Unit, place
from hwgen.parts.delay import delay
from hwgen.parts.elastic.rtl import Rows

__all__ = ["Distances"]


class Distances(Unit):
    """A stream of rows in, the same rows out, as distances from their maximum.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.

    Members
    -------
    in_valid, in_last, x, keep : In; in_ready : Out
        Logits.
    out_valid, out_last, distance, out_keep : Out; out_ready : In
        Distances; without meaning where ``out_keep`` is zero.
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = config
        lanes = config.lanes
        super().__init__({
            "in_valid": In(1), "in_last": In(1), "x": In(config.in_bits * lanes), "keep": In(lanes), "in_ready": Out(1),
            "out_valid": Out(1), "out_last": Out(1), "distance": Out(config.in_bits * lanes), "out_keep": Out(lanes),
            "out_ready": In(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``distances``."""
        return "distances"

    def elaborate(self, platform: Any) -> Module:
        """Build the maximum and the subtraction."""
        m = Module()
        cfg = self.config
        latency = Latency(cfg)
        shape = latency.distances
        width = cfg.in_bits * cfg.lanes
        rows = Rows("distances", width + cfg.lanes, cfg.in_bits, width + cfg.lanes, shape, 1)
        top = RunningMaximum(cfg.in_bits, cfg.lanes, 0)
        for name, unit in (("rows", rows), ("top", top)):
            place(m, name, unit, platform)
        x, keep = register(m, "logits", self.x), register(m, "kept", self.keep)
        least = Const(1 << (cfg.in_bits - 1), cfg.in_bits)
        masked = [Mux(keep[i], logit, least) for i, logit in enumerate(lanes_of(x, cfg.lanes))]
        m.d.comb += [
            rows.in_valid.eq(self.in_valid),
            rows.in_last.eq(self.in_last),
            self.in_ready.eq(rows.in_ready),
            rows.store.eq(Cat(x, keep)),
            top.valid.eq(delay(m, rows.take, 1, reset=True)),
            top.last.eq(delay(m, rows.take_last, 1)),
            top.values.eq(Cat(masked)),
            rows.stat.eq(top.top),
        ]
        logits, kept = rows.kept[:width], rows.kept[width:]
        distances = [
            (rows.row.as_signed() - q.as_signed())[: cfg.in_bits] for q in lanes_of(logits, cfg.lanes)
        ]
        m.d.comb += [
            rows.answer.eq(register(m, "answer", Cat(*distances, kept))),
            Cat(self.distance, self.out_keep).eq(rows.out),
            self.out_valid.eq(rows.out_valid),
            self.out_last.eq(rows.out_last),
            rows.out_ready.eq(self.out_ready),
        ]
        return m
