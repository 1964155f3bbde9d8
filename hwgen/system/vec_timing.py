"""Cycles of the vector engine: a closed form, because nothing ever waits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.cores.softmax.latency import Latency
from hwgen.numerics import IntArray
from hwgen.parts.elastic.timing import RowsShape
from hwgen.parts.requantise import MODES
from hwgen.program.table import VEC_OPS
from hwgen.system.config import SystemConfig

__all__ = ["softmax_rows", "vec_cycles"]

_ISSUE = 2  # the start cycle, and the register in front of the buffers' write port
_COPY = _ISSUE + 1  # a register behind the buffer
_TURN = _ISSUE + 3  # the same, and the turning memory

# Cycles of a run that are neither reading of inputs nor requantising, by operation; without the buffer's latency.
_FIXED = {
    "requantise": _COPY + 1,
    "raw": _COPY,
    "sum": _COPY + 4,
    "max": _COPY + 4,
    "product": _COPY + 4,
    "copy": _COPY,
    "transpose": _TURN + 1,
    "columns": _TURN + 1,
    "planes": _TURN,
    "softmax": _COPY + 1,
}

_REQUANTISED = ("requantise", "sum", "max", "product", "softmax")

_TURNED = ("transpose", "columns", "planes")

_RAW_WORDS = 4  # words of activations that a word of sums fills


def softmax_rows(config: SystemConfig) -> RowsShape:
    """Room and latencies of the rows of softmax: those of its core, and a cycle that rounds to digits."""
    assert config.softmax is not None
    shape = Latency(config.softmax).shape
    return RowsShape(shape.longest, shape.stat_latency, shape.result_latency + 1)


def vec_cycles(
    config: SystemConfig,
    op: str | int | IntArray,
    r0: npt.ArrayLike,
    r1: npt.ArrayLike,
    n0: npt.ArrayLike,
    n1: npt.ArrayLike,
    n2: npt.ArrayLike,
    planes: npt.ArrayLike = 1,
) -> Any:
    """Cycles of a ``vec.run``, from ``start`` to ``done``, both counted.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    op : str, or int or int array
        Of :data:`~hwgen.program.table.VEC_OPS`, by name or number.
    r0, r1, n0, n1, n2, planes : int or int array
        The fields of the instructions; arrays broadcast.

    Returns
    -------
    int, or int array if anything is an array
    """
    number = np.asarray(VEC_OPS.index(op) if isinstance(op, str) else op)
    inputs = np.multiply(r0, r1, dtype=np.int64)
    blocks = np.multiply(n1, n2, dtype=np.int64)
    words = blocks * np.asarray(n0)
    # A block of planes leaves while the next one comes in; the last one leaves alone.
    planes_cycles = (words - 1) * np.maximum(inputs, planes) + inputs + np.asarray(planes)
    # An output lasts at least as long as its requantisation; its last part follows.
    turns = config.requantise_cycles
    reduced = (words - 1) * np.maximum(inputs, turns) + inputs + turns - 1
    # A row's results follow when its last word is in.
    rows = softmax_rows(config).latency if config.softmax is not None else 0
    busy = {
        **dict.fromkeys(_REQUANTISED, reduced),
        "softmax": words + np.asarray(n0) - 1 + rows,
        "raw": _RAW_WORDS * words,
        "transpose": blocks * inputs + config.lanes,
        # The columns of a block leave one by one; the next block's may not meet them.
        "columns": (blocks - 1) * np.maximum(inputs, config.lanes) + inputs + config.lanes,
        "planes": planes_cycles,
    }
    behind = dict.fromkeys(_REQUANTISED, MODES[config.requantiser].latency)
    behind |= dict.fromkeys(_TURNED, int(config.far))
    fixed = {name: config.buffer_latency + own + behind.get(name, 0) for name, own in _FIXED.items()}
    choices = [busy.get(name, words * inputs) + fixed[name] for name in VEC_OPS]
    cycles = np.select([number == i for i in range(len(VEC_OPS))], choices)
    return int(cycles) if cycles.ndim == 0 else cycles
