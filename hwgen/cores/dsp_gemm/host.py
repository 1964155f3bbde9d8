"""The host's side: operands to beats in the order of the passes, and beats back to C."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgen.cores.dsp_gemm.config import DspGemmConfig
from hwgen.cores.dsp_gemm.operation import Gemm
from hwgen.cores.dsp_gemm.tiling import Pass, passes
from hwgen.cores.dsp_gemm.timing import Shape
from hwgen.numerics import IntArray, ceil_div
from hwgen.streams import Beats

__all__ = ["collect", "marks", "outside", "stimulus"]


def stimulus(config: DspGemmConfig, operations: Sequence[Gemm]) -> dict[str, Beats]:
    """Beats of the streams ``cmd``, ``a`` and ``b``.

    Lanes outside the matrices carry the format's smallest value: the hardware masks them, and would be found
    out if it did not.
    """
    cmd, weights, acts = config.streams[:3]
    sizes = [np.array([op.shape[i] for op in operations], np.int64)[:, None] for i in (0, 1, 2)]
    flags = [
        np.array([getattr(op, f) for op in operations], np.int64)[:, None] for f in ("accumulate", "keep")
    ]
    a_beats, b_beats = [], []
    for op in operations:
        m, n, k = op.shape
        height = ceil_div(m, config.m_lanes) * config.m_lanes
        a = np.pad(op.a, ((0, height - m), (0, -k % config.rows)), constant_values=config.act.low)
        b = np.pad(op.b, ((0, 0), (0, -n % config.n_lanes)), constant_values=config.weight.low)
        # One step's beat: m_lanes rows of A, each with the pass's run of k.
        steps = a.reshape(-1, config.m_lanes, a.shape[1])
        for p in passes(config, m, n, k):
            run = steps[p.step : p.step + p.steps, :, p.k : p.k + config.rows]
            a_beats.append(run.reshape(p.steps, -1))
            b_beats.append(b[p.k : p.k + p.k_count, p.n : p.n + config.n_lanes][::-1])
    return {
        "cmd": cmd.pack(*sizes, *flags),
        "b": weights.pack(np.concatenate(b_beats)),
        "a": acts.pack(np.concatenate(a_beats)),
    }


def _sent(config: DspGemmConfig, op: Gemm | Shape) -> list[Pass]:
    """Passes whose sums leave the core."""
    return [] if op.keep else [p for p in passes(config, *op.shape) if p.last]


def collect(config: DspGemmConfig, operations: Sequence[Gemm], beats: Beats) -> list[IntArray]:
    """C of each operation from the beats of stream ``c``; empty (0, N) where the sums are kept.

    The lanes outside C are dropped here; :func:`outside` gives them.
    """
    sums = _rows(config, beats)
    results, at = [], 0
    for op in operations:
        m, n, _ = op.shape
        c = np.zeros((0 if op.keep else m, n), np.int64)
        for p in _sent(config, op):
            rows = sums[at : at + p.steps].reshape(-1, config.n_lanes)
            top = p.step * config.m_lanes
            c[top : top + len(rows), p.n : p.n + p.n_count] = rows[: m - top, : p.n_count]
            at += p.steps
        results.append(c)
    return results


def _rows(config: DspGemmConfig, beats: Beats) -> IntArray:
    lanes: IntArray = np.ascontiguousarray(beats).view("<i4").astype(np.int64)
    return lanes.reshape(len(lanes), config.m_lanes, config.n_lanes)


def outside(config: DspGemmConfig, operations: Sequence[Gemm], beats: Beats) -> IntArray:
    """Every value in a lane of stream ``c`` that is outside its C: all must be zero."""
    sums = _rows(config, beats)
    values, at = [], 0
    for op in operations:
        m = op.shape[0]
        for p in _sent(config, op):
            rows = sums[at : at + p.steps].reshape(-1, config.n_lanes)
            inside = m - p.step * config.m_lanes
            values += [rows[:, p.n_count :].ravel(), rows[inside:, : p.n_count].ravel()]
            at += p.steps
    return np.concatenate(values) if values else np.zeros(0, np.int64)


def marks(config: DspGemmConfig, operations: Sequence[Gemm | Shape]) -> dict[str, list[int]]:
    """Beats of each operation on every stream."""
    walks = [list(passes(config, *op.shape)) for op in operations]
    return {
        "cmd": [1] * len(walks),
        "b": [sum(p.k_count for p in walk) for walk in walks],
        "a": [sum(p.steps for p in walk) for walk in walks],
        "c": [sum(p.steps for p in _sent(config, op)) for op in operations],
    }
