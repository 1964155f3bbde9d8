"""The host's side: rows to beats, and beats back to results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.operation import Row
from hwgen.numerics import IntArray, ceil_div
from hwgen.streams import Beats

__all__ = ["collect", "marks", "outside", "stimulus"]


def marks(config: SoftmaxConfig, rows: Sequence[Row]) -> dict[str, list[int]]:
    """Beats of each row on every stream."""
    beats = [ceil_div(len(row.x), config.lanes) for row in rows]
    return {s.name: [1] * len(rows) if s.name == "s" else beats for s in config.streams}


def stimulus(config: SoftmaxConfig, rows: Sequence[Row]) -> dict[str, Beats]:
    """Beats of the stream ``x``; the last one of a row is filled up with lanes that take no part.

    What such lanes carry is the largest logit: the hardware must not look at it.
    """
    x, keep = [], []
    for row in rows:
        spare = -len(row.x) % config.lanes
        x.append(np.pad(row.x, (0, spare), constant_values=config.logit.high))
        keep.append(np.pad(row.keep, (0, spare)))
    lanes = [np.concatenate(parts).astype(np.int64).reshape(-1, config.lanes) for parts in (x, keep)]
    return {"x": config.streams[0].pack(*lanes)}


def _spans(config: SoftmaxConfig, rows: Sequence[Row]) -> Iterator[tuple[slice, slice]]:
    """Elements of each row in the sequence of all lanes, and the spare lanes behind them."""
    at = 0
    for row in rows:
        end = at + len(row.x)
        stop = at + ceil_div(len(row.x), config.lanes) * config.lanes
        yield slice(at, end), slice(end, stop)
        at = stop


def collect(config: SoftmaxConfig, rows: Sequence[Row], beats: Mapping[str, Beats]) -> list[IntArray]:
    """Results of each row, as :func:`hwgen.cores.softmax.golden.softmax` gives them."""
    y, *flags = config.streams[1].unpack(beats["y"])
    y = y.ravel()
    results = [y[inside] for inside, _ in _spans(config, rows)]
    if not config.divides:
        factors = np.concatenate(config.streams[2].unpack(beats["s"]), axis=1)
        results = [np.concatenate(parts) for parts in zip(results, factors, strict=True)]
    if config.may_repeat:
        last = np.cumsum(marks(config, rows)["y"]) - 1
        results = [np.append(result, flag) for result, flag in zip(results, flags[0][last, 0], strict=True)]
    return results


def outside(config: SoftmaxConfig, rows: Sequence[Row], beats: Mapping[str, Beats]) -> IntArray:
    """Every result in a lane beyond a row's end: all must be zero."""
    y = config.streams[1].unpack(beats["y"])[0].ravel()
    return np.concatenate([y[:0], *(y[spare] for _, spare in _spans(config, rows))])
