"""The order in which the core walks a GEMM: what a host must send, and what it gets back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hwgen.cores.dsp_gemm.config import DspGemmConfig
from hwgen.numerics import ceil_div

__all__ = ["Pass", "passes", "tile_lengths"]


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


def tile_lengths(steps: int, depth: int) -> list[int]:
    """Lengths of the tiles along M: full ones, and the last two share what is left.

    No tile is shorter than half the accumulator depth unless M itself is, because a short tile cannot
    hide the load of the next weights.
    """
    lengths = []
    while steps:
        if steps >= 2 * depth:
            take = depth
        elif steps > depth:
            take = ceil_div(steps, 2)
        else:
            take = steps
        lengths.append(take)
        steps -= take
    return lengths


def passes(config: DspGemmConfig, m: int, n: int, k: int) -> Iterator[Pass]:
    """Passes of an M × N × K command in the order in which the core makes them: N, then M, then K."""
    lengths = tile_lengths(ceil_div(m, config.m_lanes), config.tile_steps)
    for n0 in range(0, n, config.n_lanes):
        step = 0
        for length in lengths:
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
