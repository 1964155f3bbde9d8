"""How long AXI bursts may be."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value

from hwgen.numerics import ceil_log2
from hwgen.system.config import SystemConfig

__all__ = ["burst_limit"]

_PAGE = 4096  # bytes that no burst crosses


def burst_limit(m: Module, config: SystemConfig, first: Value, begin: Value, step: Value) -> Signal:
    """Most beats of the next burst: ``burst_beats``, or up to the next boundary of 4 KiB.

    It comes out of a register, so that what is compared with it can be late.

    Parameters
    ----------
    m : Module
        Where the registers go.
    config : SystemConfig
        The accelerator.
    first : Value
        Byte address of the first burst, in the cycle of ``begin``.
    begin : Value
        From the next cycle, the limit is that of a burst at ``first``.
    step : Value
        From the next cycle, the limit is that of a burst behind one of as many beats as were allowed.
    """
    shift = ceil_log2(config.bus_bytes)
    words = _PAGE >> shift
    left = Signal(range(words + 1), name="beats_to_boundary", reset_less=True)
    limit = Signal(range(min(config.burst_beats, words) + 1), name="burst_limit", reset_less=True)
    fresh = Signal.like(left, name="beats_to_first_boundary")
    behind = Signal.like(left, name="beats_behind")
    m.d.comb += [fresh.eq(words - first[shift:12]), behind.eq(left - limit)]
    onward = Mux(behind == 0, words, behind)
    for when, beats in ((step, onward), (begin, fresh)):
        with m.If(when):
            m.d.sync += [left.eq(beats), limit.eq(Mux(beats < config.burst_beats, beats, config.burst_beats))]
    return limit
