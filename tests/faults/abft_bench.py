"""A core and its checker in Amaranth's simulator, with results that are changed on their way to the checker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth.hdl import Cat, ClockDomain, Module, Signal
from amaranth.sim import Simulator

from hwgen.cores.dsp_gemm import CORE, Gemm
from hwgen.cores.dsp_gemm.abft import Checker
from hwgen.cores.dsp_gemm.abft_config import AbftConfig
from hwgen.cores.dsp_gemm.rtl import DspGemm
from hwgen.numerics import IntArray

__all__ = ["Seen", "gemms", "watch"]

Tamper = Callable[[int], IntArray]
"""What is added to the sums of a beat, by its number."""


@dataclass
class Seen:
    """What happened.

    Parameters
    ----------
    beats : list of int
        Cycles in which results were handed over.
    sums : list of int64 array
        What the checker saw of them.
    alarms : list of int
        Cycles in which it reported.
    """

    beats: list[int] = field(default_factory=list)
    sums: list[IntArray] = field(default_factory=list)
    alarms: list[int] = field(default_factory=list)


def gemms(config: Any, rng: np.random.Generator) -> list[Gemm]:
    """Commands that are hard for checksums.

    Sizes around the array's edges, extreme operands, sums that are kept, continued and dropped; a long pass before
    short ones, so that work piles up; many passes of one row of B.
    """
    most = (1 << config.size_bits) - 1
    tile, rows, lanes = config.tile_steps * config.m_lanes, config.rows, config.n_lanes

    def one(m: int, n: int, k: int, ends: tuple[str, str] | None = None, **flags: bool) -> Gemm:
        m, n, k = (min(size, most) for size in (m, n, k))
        a, b = config.act.random(rng, (m, k)), config.weight.random(rng, (k, n))
        if ends:
            a, b = (
                np.full_like(a, getattr(config.act, ends[0])),
                np.full_like(b, getattr(config.weight, ends[1])),
            )
        return Gemm(a, b, **flags)

    ops = [*CORE.random_operations(config, 10, rng), *(one(1, 1, 1) for _ in range(10))]
    for _ in range(2):
        ops += [one(min(tile, 70), lanes, rows), one(1, lanes, rows), one(1, (2 * rows + 3) * lanes, 1)]
    ops += [one(1, 3 * lanes, 2 * rows + 1), one(3, 2 * lanes + 1, 1)]
    ops += [
        one(config.m_lanes + 1, lanes, 2 * rows + 1, (a, b))
        for a, b in (("low", "low"), ("low", "high"), ("high",) * 2)
    ]
    for m in (1, 2, min(tile, 40)):
        ops += [one(m, lanes, 1, keep=True), one(m, lanes, rows + 1, keep=True, accumulate=True)]
        ops += [one(m, lanes, 2, accumulate=True), one(2, 2, 2)]
        ops += [
            one(m, lanes, 3, keep=True),
            one(2, 2, 2),
            one(m, lanes, 3, keep=True),
            one(m, lanes, 3, keep=True),
        ]
    ops += [one(1, 1, 1) for _ in range(10)]
    return [*ops, one(min(tile + 3, 150), lanes + 1, rows + 1), one(1, 1, 1), one(1, 1, rows)]


def watch(
    config: AbftConfig,
    operations: list[Gemm],
    *,
    tamper: Tamper | None = None,
    busy: float = 1.0,
    seed: int = 0,
    resets: tuple[int, ...] = (),
    quiet: int = 40,
) -> Seen:
    """Run operations on both.

    Parameters
    ----------
    config : AbftConfig
        The checker, and its core.
    operations : list of Gemm
        What the core does.
    tamper : callable, optional
        Changes results.
    busy : float
        Share of the cycles in which the other side of a stream moves.
    seed : int
        Of that.
    resets : tuple of int
        Cycles in which both are reset; operations begin anew.
    quiet : int
        Cycles after the last beat.
    """
    core = config.core
    m = Module()
    m.domains.sync = domain = ClockDomain("sync")
    m.submodules.core = one = DspGemm(core)
    m.submodules.checker = checker = Checker(config)
    errors = [Signal(32, name=f"error_{i}") for i in range(core.cols)]
    changed = Cat((one.m_axis_c_tdata.word_select(i, 32) + error)[:32] for i, error in enumerate(errors))
    for path, _, port in checker.signature.flatten(checker):
        name = str(path[0])
        if name != "alarm":
            m.d.comb += port.eq(changed if name == "m_axis_c_tdata" else getattr(one, name))

    beats = {
        name: [int.from_bytes(row.tobytes(), "little") for row in rows]
        for name, rows in CORE.stimulus(core, operations).items()
    }
    expected = sum(CORE.marks(core, operations)["c"])
    found = Seen()

    async def bench(ctx: Any) -> None:
        rng = np.random.default_rng(seed)
        at = dict.fromkeys(beats, 0)
        taken = cycle = 0
        left = quiet
        while left or cycle < max(resets, default=0):
            reset = cycle in resets
            ctx.set(domain.rst, int(reset))
            for name, rows in beats.items():
                go = at[name] < len(rows) and rng.random() < busy
                ctx.set(getattr(one, f"s_axis_{name}_tvalid"), int(go))
                if go:
                    ctx.set(getattr(one, f"s_axis_{name}_tdata"), rows[at[name]])
            ctx.set(one.m_axis_c_tready, int(rng.random() < busy))
            if tamper:
                for error, value in zip(errors, tamper(taken), strict=True):
                    ctx.set(error, int(value) % (1 << 32))
            moved = {
                n: ctx.get(getattr(one, f"s_axis_{n}_tvalid") & getattr(one, f"s_axis_{n}_tready"))
                for n in at
            }
            if ctx.get(one.m_axis_c_tvalid & one.m_axis_c_tready):
                word = ctx.get(changed)
                found.beats.append(cycle)
                found.sums.append(np.array([word >> 32 * i & 0xFFFFFFFF for i in range(core.cols)], np.int64))
                taken += 1
            if ctx.get(checker.alarm):
                found.alarms.append(cycle)
            at = {name: count + moved[name] for name, count in at.items()}
            await ctx.tick()
            cycle += 1
            if reset:
                at, taken = dict.fromkeys(beats, 0), 0
                found.beats.clear()
                found.sums.clear()
            left = quiet if taken < expected else left - 1
            assert cycle < 100_000

    sim = Simulator(m)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    return found
