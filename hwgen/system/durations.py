"""How many cycles the runs of the computing engines take, from the cycle in which they start to the last one."""

from __future__ import annotations

import numpy as np

from hwgen.numerics import IntArray
from hwgen.system.config import SystemConfig

__all__ = ["dsp_cycles", "lut_cycles", "sparse_cycles"]

_WRITE = 2  # cycles from the core's last beat to the end of the run, that cycle included
_SPARSE_FIXED = (
    17  # cycles of a sparse run before its first step and behind its last, without the words that leave
)


def dsp_cycles(
    config: SystemConfig, outputs: IntArray, products: IntArray, tiles: IntArray, keep: IntArray
) -> IntArray:
    """Cycles of ``dsp.run``: the DSP core's closed form for one command of full tiles.

    Parameters
    ----------
    outputs, products, tiles : int arrays
        Outputs per tile, blocks of weights per output, column tiles.
    keep : int array
        Whether the sums stay inside.
    """
    core = config.dsp_core
    load = config.lanes + core.load_cycles  # weights of a pass
    safe = np.maximum(outputs, core.accumulate_cycles)
    inner = np.maximum(safe, load)
    last = np.maximum(np.where(keep, safe, outputs), load)
    lead = (products - 1) * inner
    first = core.command_cycles + config.lanes + 1
    final = first + (tiles - 1) * (lead + last) + lead  # swap of the last pass
    end = final + outputs - 1 + np.where(keep, 0, core.latency)
    return np.asarray(config.buffer_latency + end + _WRITE)  # the command waits for the first weights


def lut_cycles(config: SystemConfig, sums: IntArray, steps: IntArray) -> IntArray:
    """Cycles of ``lut.run``.

    Parameters
    ----------
    sums : int array
        Outputs times tiles, per unit.
    steps : int array
        Cycles that a sum needs: pairs of planes times products. Sums follow each other by no less than the units.
    """
    units = config.lut_units
    return np.asarray(steps + (sums - 1) * np.maximum(steps, units) + config.lut_array.latency + units + 3)


def sparse_cycles(config: SystemConfig, steps: IntArray, spread: IntArray) -> IntArray:
    """Cycles of ``sparse.run``.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    steps : int array
        Cycles that the array works, as ``sparse.stream`` says.
    spread : int array
        Whether the ways compute neighbouring column tiles: then the last round's gap is among the steps.
    """
    words = np.where(spread, config.sparse_way_rows(True), config.sparse_rows)
    return np.asarray(steps + words + _SPARSE_FIXED)
