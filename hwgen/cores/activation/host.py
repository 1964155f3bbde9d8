"""The host's side: vectors to beats, and beats back to vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgen.cores.activation.config import ActivationConfig
from hwgen.cores.activation.operation import Vector
from hwgen.numerics import IntArray, ceil_div
from hwgen.streams import Beats

__all__ = ["collect", "marks", "outside", "stimulus"]


def stimulus(config: ActivationConfig, operations: Sequence[Vector]) -> dict[str, Beats]:
    """Beats of the stream ``x``; lanes beside a vector hold ones, which the hardware must mask."""
    fields: list[list[IntArray]] = [[], []]
    for op in operations:
        size = ceil_div(op.x.size, config.lanes) * config.lanes
        x = np.full(size, -1, np.int64)
        x[: op.x.size] = op.x
        fields[0].append(x)
        fields[1].append((np.arange(size) < op.x.size).astype(np.int64))
    return {"x": config.streams[0].pack(*(np.concatenate(f).reshape(-1, config.lanes) for f in fields))}


def collect(config: ActivationConfig, operations: Sequence[Vector], beats: Beats) -> list[IntArray]:
    """The results of each vector from the beats of stream ``y``; :func:`outside` gives the other lanes."""
    return [
        lanes[: op.x.size] for op, lanes in zip(operations, _split(config, operations, beats), strict=True)
    ]


def outside(config: ActivationConfig, operations: Sequence[Vector], beats: Beats) -> IntArray:
    """Every value in a lane that belongs to no vector: all must be zero."""
    found = _split(config, operations, beats)
    return np.concatenate([lanes[op.x.size :] for op, lanes in zip(operations, found, strict=True)])


def _split(config: ActivationConfig, operations: Sequence[Vector], beats: Beats) -> list[IntArray]:
    values = config.streams[1].unpack(beats)[0].ravel()
    sizes = [count * config.lanes for count in marks(config, operations)["y"]]
    return np.split(values, np.cumsum(sizes)[:-1])


def marks(config: ActivationConfig, operations: Sequence[Vector]) -> dict[str, list[int]]:
    """Beats of each vector on both streams."""
    beats = [ceil_div(op.x.size, config.lanes) for op in operations]
    return {"x": beats, "y": beats}
