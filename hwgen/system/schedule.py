"""A program as time sees it: which engine, how many cycles, which transfers. The simulator's input, as plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import IntArray
from hwgen.program.encoding import Columns, arrays
from hwgen.program.table import CONTROL, ENGINES
from hwgen.system.config import SystemConfig
from hwgen.system.durations import dsp_cycles, lut_cycles, sparse_cycles
from hwgen.system.vec_timing import vec_cycles

__all__ = ["KINDS", "LOAD_FIELDS", "STORE_FIELDS", "outputs_and_products", "schedule", "sticky"]

KINDS = ("single", "fixed", "load_run", "store_run", "halt", "fence")
"""What instructions do to time, by number."""

LOAD_FIELDS = (
    *("address", "run_bytes", "run_count", "windowed", "row_pitch", "x_step", "row_bytes", "row_count"),
    *("x_start", "y_start", "group_count"),
)
STORE_FIELDS = ("address", "run_bytes", "run_count", "row_pitch")


def schedule(config: SystemConfig, body: bytes) -> dict[str, npt.NDArray[Any]]:
    """Columns of a program.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    body : bytes
        Encoded instructions.

    Returns
    -------
    dict of arrays
        ``engine, kind, wait, signal, duration, run``: one entry per instruction; ``kind`` is an index into
        :data:`KINDS`, ``run`` one into ``loads`` or ``stores``, which hold :data:`LOAD_FIELDS` and
        :data:`STORE_FIELDS` of every run, those that earlier instructions set among them.

    Raises
    ------
    BadInput
        If an instruction is illegal; its place is named.
    """
    table = arrays(body)
    count = sum(len(columns.index) for columns in table.values())
    out: dict[str, npt.NDArray[Any]] = {
        name: np.zeros(count, np.uint8) for name in ("engine", "kind", "wait", "signal")
    }
    out |= {name: np.zeros(count, np.int64) for name in ("duration", "run")}
    for mnemonic, columns in table.items():
        engine, _, name = mnemonic.partition(".")
        out["engine"][columns.index] = CONTROL if engine == "control" else ENGINES.index(engine)
        out["wait"][columns.index] = columns.wait
        out["signal"][columns.index] = columns.signal
        kind = name if engine == "control" else "single"
        if name == "run":
            kind = f"{engine}_run" if engine in ("load", "store") else "fixed"
        out["kind"][columns.index] = KINDS.index(kind)
    for engine, fields in (("load", LOAD_FIELDS), ("store", STORE_FIELDS)):
        runs = table.get(f"{engine}.run")
        number = 0 if runs is None else len(runs.index)
        entries = np.zeros(number, [(name, np.int64) for name in fields])
        if runs is not None:
            known = sticky(table, engine, runs)
            for name in fields:
                entries[name] = known[name]
            if engine == "load":
                entries["address"] &= (1 << config.address_bits) - 1
            out["run"][runs.index] = np.arange(number)
        out[f"{engine}s"] = entries
    for engine, cycles in (("dsp", _dsp), ("lut", _lut), ("sparse", _sparse), ("vec", _vec)):
        runs = table.get(f"{engine}.run")
        if runs is not None:
            _refuse_unset(table, engine, runs)
            out["duration"][runs.index] = int(config.far) + cycles(config, sticky(table, engine, runs))
    return out


def _refuse_unset(table: dict[str, Columns], engine: str, runs: Columns) -> None:
    """Refuse runs before what decides their cycles was set: they would take no one knows how long."""
    first = int(runs.index[0])
    needed = {"shape": "loops"} | ({"stream": "steps"} if engine == "sparse" else {})
    for setting, what in needed.items():
        settings = table.get(f"{engine}.{setting}")
        if settings is None or first < settings.index[0]:
            raise BadInput(
                f"instruction {first} ({engine}.run) comes before any {engine}.{setting}; "
                f"set the {what} before it runs"
            )


def sticky(table: dict[str, Columns], engine: str, runs: Columns) -> dict[str, IntArray]:
    """Fields of the runs together with what the engine's other instructions had set before each.

    Settings are called by their bare names; of two with one name, ``source.n0`` and ``target.n0``, by both parts.
    """
    known = dict(runs.fields)
    for mnemonic, columns in table.items():
        owner, _, name = mnemonic.partition(".")
        if owner != engine or name == "run":
            continue
        last = np.searchsorted(columns.index, runs.index) - 1
        for field, values in columns.fields.items():
            kept = np.where(last >= 0, values[np.maximum(last, 0)], 0)
            known[f"{name}.{field}"] = kept
            known.setdefault(field, kept)
    for field in (*LOAD_FIELDS, *STORE_FIELDS):
        known.setdefault(field, np.zeros(len(runs.index), np.int64))
    return known


def outputs_and_products(f: dict[str, IntArray]) -> tuple[IntArray, IntArray]:
    """Outputs per column tile, and operand words per output, of runs of the DSP or the LUT core."""
    return f["shape.x_count"] * f["shape.y_count"], f["shape.c_count"] * f["shape.kx_count"] * f[
        "shape.ky_count"
    ]


def _dsp(config: SystemConfig, f: dict[str, IntArray]) -> IntArray:
    outputs, products = outputs_and_products(f)
    return dsp_cycles(config, outputs, products, f["tiles"], f["keep"])


def _lut(config: SystemConfig, f: dict[str, IntArray]) -> IntArray:
    outputs, products = outputs_and_products(f)
    return lut_cycles(config, outputs * f["tiles"], f["act_bits"] * f["weight_bits"] * products)


def _sparse(config: SystemConfig, f: dict[str, IntArray]) -> IntArray:
    return sparse_cycles(config, f["stream.steps"], f["shape.spread"])


def _vec(config: SystemConfig, f: dict[str, IntArray]) -> IntArray:
    r0, r1, n0, n1, n2 = (f[f"shape.{name}"] for name in ("r0", "r1", "n0", "n1", "n2"))
    return np.asarray(vec_cycles(config, f["op"], r0, r1, n0, n1, n2, f["planes"]))
