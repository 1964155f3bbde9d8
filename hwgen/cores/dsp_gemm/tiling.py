"""The order in which the core walks a GEMM: what a host must send, and what it gets back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hwgen.cores.dsp_gemm.config import DspGemmConfig
from hwgen.numerics import ceil_div

__all__ = ["Pass", "passes", "tile_runs"]


@dataclass(frozen=True)
class Pass:
    """One load of weights and the steps that use it.

    Parameters
    ----------
    n, n_count : int
        First column of C and how many.
    step, steps : int
        First step (``m_lanes`` rows of C each) and how many.
    k, k_count : int
        First term of the sum and how many.
    first, last : bool
        Whether it begins and ends the tile's sum over K.
    """

    n: int
    n_count: int
    step: int
    steps: int
    k: int
    k_count: int
    first: bool
    last: bool


def tile_runs(steps: int, depth: int) -> list[tuple[int, int]]:
    """Tiles along M as (length, how many of it in a row): full ones, and the last two share what is left.

    No tile is shorter than half the accumulator depth unless M itself is, because a short tile cannot
    hide the load of the next weights.
    """
    if steps == 0:
        return []
    full = max(0, steps // depth - 1)
    rest = steps - full * depth  # less than two tiles
    larger = ceil_div(rest, 2)
    tail = [(rest, 1)] if rest <= depth else [(larger, 1), (rest - larger, 1)]
    return [(depth, full), *tail] if full else tail


def passes(config: DspGemmConfig, m: int, n: int, k: int) -> Iterator[Pass]:
    """Passes of an M × N × K command in the order in which the core makes them: N, then M, then K."""
    runs = tile_runs(ceil_div(m, config.m_lanes), config.tile_steps)
    for n0 in range(0, n, config.n_lanes):
        step = 0
        for length in (length for length, count in runs for _ in range(count)):
            for k0 in range(0, k, config.rows):
                yield Pass(
                    n0,
                    min(config.n_lanes, n - n0),
                    step,
                    length,
                    k0,
                    min(config.rows, k - k0),
                    k0 == 0,
                    k0 + config.rows >= k,
                )
            step += length
