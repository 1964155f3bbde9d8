"""The host's side: rows and sets to beats, and beats back to rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgen.cores.norm.config import NormConfig
from hwgen.cores.norm.operation import Row
from hwgen.numerics import IntArray
from hwgen.streams import Beats

__all__ = ["collect", "marks", "outside", "stimulus"]


def stimulus(config: NormConfig, operations: Sequence[Row]) -> dict[str, Beats]:
    """Beats of the streams ``p`` and ``x``; lanes beyond a row or a set are ones, which must not matter."""
    x, p, _ = config.streams
    lanes = config.lanes
    sets = [row.load for row in operations if row.load is not None]
    eps = [np.repeat(s.eps, s.beats(lanes)) for s in sets]
    empty = [np.zeros(0, np.int64)]
    loads = [
        np.arange(row.beats(lanes)) == 0 if row.load else np.zeros(row.beats(lanes)) for row in operations
    ]
    return {
        "x": x.pack(
            _beats([row.x for row in operations], lanes, -1),
            _beats([row.keep.astype(np.int64) for row in operations], lanes, 0),
            np.concatenate(loads or empty)[:, None].astype(np.int64),
        ),
        "p": p.pack(
            _beats([s.gamma for s in sets], lanes, -1),
            _beats([s.beta for s in sets], lanes, -1),
            np.concatenate(eps or empty)[:, None].astype(np.int64),
        ),
    }


def _beats(values: Sequence[IntArray], lanes: int, fill: int) -> IntArray:
    """Values one after the other, each filled up to whole beats."""
    parts = [np.pad(v, (0, -len(v) % lanes), constant_values=fill) for v in values]
    return np.concatenate([np.zeros(0, np.int64), *parts]).reshape(-1, lanes)


def collect(config: NormConfig, operations: Sequence[Row], beats: Beats) -> list[IntArray]:
    """Each row's results from the beats of stream ``y``; :func:`outside` gives the other lanes."""
    return [values[: len(row.x)] for row, values in _rows(config, operations, beats)]


def outside(config: NormConfig, operations: Sequence[Row], beats: Beats) -> IntArray:
    """Every value in a lane beyond a row: all must be zero."""
    rest = [values[len(row.x) :] for row, values in _rows(config, operations, beats)]
    return np.concatenate([np.zeros(0, np.int64), *rest])


def _rows(config: NormConfig, operations: Sequence[Row], beats: Beats) -> list[tuple[Row, IntArray]]:
    (values,) = config.streams[2].unpack(beats)
    ends = np.cumsum([row.beats(config.lanes) for row in operations])
    parts = np.split(values, ends[:-1]) if len(ends) else []
    return [(row, part.ravel()) for row, part in zip(operations, parts, strict=True)]


def marks(config: NormConfig, operations: Sequence[Row]) -> dict[str, list[int]]:
    """Beats of each operation on every stream."""
    beats = [row.beats(config.lanes) for row in operations]
    sets = [row.load.beats(config.lanes) if row.load else 0 for row in operations]
    return {"x": beats, "p": sets, "y": beats}
