"""How much the runs of a program do: bytes that they move, and cycles that their work takes at the least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.numerics import IntArray
from hwgen.program.encoding import arrays
from hwgen.system.config import SPARSE_LANES, SystemConfig
from hwgen.system.schedule import outputs_and_products, schedule, sticky

__all__ = ["Amounts", "amounts"]


@dataclass(frozen=True, eq=False)
class Amounts:
    """Of every instruction, in program order; zero for what is no run.

    Parameters
    ----------
    tiles : int64 array
        Cycles of a run of a computing engine in which operands enter, one word per cycle: DSP outputs × products ×
        tiles; LUT the same for every pair of bit planes, per unit; SPARSE the steps of its streams; VEC the words
        that it reads.
    short : int64 array
        Cycles of a DSP run in which a pass of fewer than lanes + 1 outputs waits for the weights of the next one.
    macs : int64 array
        Multiply-accumulates of DSP, LUT and SPARSE runs, those on padding included. Of SPARSE runs an upper bound:
        those of all steps, though in some of them a chain may wait, and the last round's ways may lack a tile.
    read, written : int64 array
        Bytes of DRAM that a run of LOAD or STORE moves; padding is not read.
    """

    tiles: IntArray
    short: IntArray
    macs: IntArray
    read: IntArray
    written: IntArray


def amounts(config: SystemConfig, body: bytes) -> Amounts:
    """Amounts of a program.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    body : bytes
        Encoded instructions.
    """
    columns, table = schedule(config, body), arrays(body)
    made = Amounts(*(np.zeros(len(columns["kind"]), np.int64) for _ in range(5)))
    for engine in ("dsp", "lut", "sparse", "vec"):
        runs = table.get(f"{engine}.run")
        if runs is None:
            continue
        f = sticky(table, engine, runs)
        if engine == "sparse":
            tiles = f["stream.steps"]
            ways = np.where(f["shape.spread"] == 1, config.sparse_ways, 1)
            made.macs[runs.index] = tiles * SPARSE_LANES * f["shape.rows"] * ways
        elif engine == "vec":
            tiles = f["shape.r0"] * f["shape.r1"] * f["shape.n0"] * f["shape.n1"] * f["shape.n2"]
        else:
            outputs, products = outputs_and_products(f)
            tiles = outputs * products * f["tiles"]
            if engine == "lut":
                made.macs[runs.index] = tiles * f["units"] * config.lut_width * config.lanes
                tiles = tiles * f["act_bits"] * f["weight_bits"]
            else:
                made.macs[runs.index] = tiles * config.lanes * config.lanes
                passes = products * f["tiles"]
                made.short[runs.index] = (passes - 1) * np.maximum(0, config.lanes + 1 - outputs)
        made.tiles[runs.index] = np.minimum(tiles, columns["duration"][runs.index])
    if "load.run" in table:
        made.read[table["load.run"].index] = _read(columns["loads"])
    if "store.run" in table:
        stores = columns["stores"]
        made.written[table["store.run"].index] = stores["run_bytes"] * stores["run_count"]
    return made


def _read(loads: npt.NDArray[Any]) -> IntArray:
    """Bytes of every run of LOAD that lie within their tensor."""
    plain = loads["run_bytes"]
    groups = np.where(loads["windowed"] == 1, loads["group_count"], 0)
    run = np.repeat(np.arange(len(loads)), groups)
    number = np.arange(len(run)) - np.repeat(np.cumsum(groups) - groups, groups)
    x = loads["x_start"][run] + number * loads["x_step"][run]
    inside = np.minimum(x + plain[run], loads["row_bytes"][run]) - np.maximum(x, 0)
    wide = np.bincount(run, np.maximum(inside, 0), len(loads)).astype(np.int64)
    y = loads["y_start"]
    high = np.minimum(y + loads["run_count"], loads["row_count"]) - np.maximum(y, 0)
    return np.asarray(np.where(loads["windowed"] == 1, wide * np.maximum(high, 0), plain))
