"""Figures of every layer of a run: its physical bounds, where its cycles went, what it moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from hwgen.commands.jobs import Job, NetworkJob
from hwgen.compile.sparse_figures import SparseFigures
from hwgen.explore.account import LOSSES, LayerAccount, Story, account
from hwgen.explore.bounds import (
    Rate,
    compulsory_bytes,
    compulsory_words,
    compute_bound,
    reuse_bound,
    roofline,
    traffic_cycles,
)
from hwgen.numerics import IntArray, ceil_div
from hwgen.program.table import ENGINES
from hwgen.system.amounts import Amounts, amounts
from hwgen.system.config import SystemConfig
from hwgen.workloads.layers import Hwc, Layer, gemm_view, input_shapes, macs, output_shape
from sim.machine import Dram
from sim.machine import Program as Timed

__all__ = ["Bounds", "LayerFigures", "Totals", "bytes_per_cycle", "figures", "on_chip_bytes", "untimed"]


@dataclass(frozen=True)
class Bounds:
    """Cycles that no schedule can beat.

    Parameters
    ----------
    compute : int
        Of a product: its MACs over those that DSP and LUT core together do per cycle, at the layer's bits. Of one on
        the sparse core: its MACs with weights that are not zero, over those that this core does per cycle. Of a pool
        or an addition: the words that VEC reads, one per cycle.
    compulsory : int
        Every operand and result moved once: activations and results as bytes, weights as bytes, or packed to the
        layer's bits if there is a LUT core, or as their streams on the sparse core.
    capacity : int
        The same, or what a product has to move more because not everything fits on the chip at once.
    compulsory_bytes : int
        Bytes behind ``compulsory``.
    """

    compute: int
    compulsory: int
    capacity: int
    compulsory_bytes: int

    @property
    def roofline(self) -> int:
        """The largest of them."""
        return max(self.compute, self.compulsory, self.capacity)

    @property
    def limit(self) -> str:
        """What binds."""
        return "compute" if self.compute >= self.capacity else "memory"


@dataclass(frozen=True)
class LayerFigures:
    """One layer of a run.

    Parameters
    ----------
    name, kind, shape : str
        What it is; ``shape`` is a text.
    macs : int
        Multiply-accumulates, padding of the image included, that of channels to words not.
    act_bits, weight_bits : int
        Widths of the operands; 0 where there are none.
    lut_share : float or None
        Share of the column tiles on the LUT core, of a product on DSP and LUT core.
    sparse : SparseFigures or None
        Weights of a product on the sparse core.
    bounds : Bounds or None
        Of a layer of a network.
    account : LayerAccount or None
        Where the cycles went; None if the executor counts none.
    read, written : int
        Bytes that its runs of LOAD and STORE move.
    moved : int
        Bytes that runs of any layer move in its window; a run that goes beyond it counts in proportion.
    """

    name: str
    kind: str
    shape: str
    macs: int
    act_bits: int = 0
    weight_bits: int = 0
    lut_share: float | None = None
    sparse: SparseFigures | None = None
    bounds: Bounds | None = None
    account: LayerAccount | None = None
    read: int = 0
    written: int = 0
    moved: int = 0

    @property
    def cycles(self) -> int | None:
        """Length of its window."""
        return None if self.account is None else self.account.cycles

    @property
    def products(self) -> int:
        """MACs that must be made: on the sparse core those with weights that are not zero."""
        return self.macs if self.sparse is None else _products(self.macs, self.sparse)

    @property
    def utilisation(self) -> float | None:
        """Products over those that its cores could make in its cycles; 0 for a layer without MACs."""
        if self.account is None:
            return None
        return self.account.compute / self.account.cycles if self.macs and self.account.cycles else 0.0

    @property
    def efficiency(self) -> float | None:
        """Roofline over cycles; above one where work was done in the window of a layer before."""
        if self.account is None or self.bounds is None or not self.account.cycles:
            return None
        return self.bounds.roofline / self.account.cycles

    @property
    def main_loss(self) -> str:
        """The largest loss, empty if there is none."""
        losses = {} if self.account is None else self.account.losses
        name = max(losses, key=lambda one: losses[one], default="")
        return name if name and losses[name] > 0 else ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "shape": self.shape,
            "act_bits": self.act_bits,
            "weight_bits": self.weight_bits,
            "lut_share": self.lut_share,
            "cycles": self.cycles,
            "macs": self.macs,
            "utilisation": self.utilisation,
            "efficiency": self.efficiency,
        }
        if self.sparse is not None:
            found["sparse"] = _sparse_dict(self.sparse)
        if self.bounds is not None:
            b = self.bounds
            found["bounds"] = {
                "compute": b.compute, "compulsory_traffic": b.compulsory, "capacity_traffic": b.capacity,
                "roofline": b.roofline, "limit": b.limit, "compulsory_bytes": b.compulsory_bytes,
            }  # fmt: skip
        if self.account is not None:
            a = self.account
            found |= {
                "first_cycle": a.first, "engine": a.main, "busy": a.busy, "tiles": a.tiles, "compute": a.compute,
                "losses": a.losses, "waits": a.waits, "read_bytes": self.read, "written_bytes": self.written,
                "window_bytes": self.moved,
            }  # fmt: skip
        return found


@dataclass(frozen=True)
class Totals:
    """Sums over all layers.

    Parameters
    ----------
    layers : sequence of LayerFigures
        Timed.
    """

    layers: Sequence[LayerFigures]

    @property
    def cycles(self) -> int:
        """Of the run."""
        return sum(layer.cycles or 0 for layer in self.layers)

    @property
    def compute(self) -> int:
        """Bounds of products, and of what VEC does."""
        return sum(layer.account.compute for layer in self.layers if layer.account)

    @property
    def utilisation(self) -> float:
        """Products over those that every layer's cores could make in the cycles of the run."""
        useful = sum(layer.account.compute for layer in self.layers if layer.account and layer.macs)
        return useful / self.cycles

    @property
    def roofline(self) -> int | None:
        """Layer after layer at its bound."""
        bounds = [layer.bounds.roofline for layer in self.layers if layer.bounds]
        return sum(bounds) if len(bounds) == len(self.layers) else None

    @property
    def losses(self) -> dict[str, int]:
        """Cycles by cause."""
        return {name: sum(x.account.losses[name] for x in self.layers if x.account) for name in LOSSES}


def bytes_per_cycle(config: SystemConfig, dram: Dram) -> Fraction:
    """What the memory moves at most; reads and writes share its bus."""
    return Fraction(config.bus_bytes, dram.interval)


def on_chip_bytes(config: SystemConfig) -> int:
    """Size of all buffers."""
    spaces = [*config.load_targets.values(), config.acc]
    planes = config.plane_act.bytes * config.lut_units if config.lut else 0
    operands = config.operand.bytes if config.sparse else 0
    return sum(space.bytes for space in spaces) + planes + operands


def untimed(job_layers: Sequence[Layer], sizes: Mapping[str, Hwc]) -> list[LayerFigures]:
    """Figures of layers that no executor timed."""
    return [_described(layer, sizes[layer.name]) for layer in job_layers]


def figures(
    job: Job, timed: Timed, starts: IntArray, ends: IntArray, cycles: int, dram: Dram
) -> list[LayerFigures]:
    """Figures of every layer.

    Parameters
    ----------
    job : Job
        What was run.
    timed : Program
        The same as columns.
    starts, ends : int array
        First and last cycle of every instruction.
    cycles : int
        Of the run.
    dram : Dram
        The memory.
    """
    moved = amounts(job.config, job.program.body)
    bounded = _bounded(job, timed, moved, dram)
    story = Story(
        timed.engine.astype(np.int64), starts, ends, timed.wait.astype(np.int64), timed.signal.astype(np.int64),
        job.owner, moved.tiles, moved.short, cycles,
    )  # fmt: skip
    found = []
    accounts = account(story, bounded.compute, bounded.shares)
    for i, (layer, one) in enumerate(zip(bounded.layers, accounts, strict=True)):
        own = job.owner == i
        read, written = int(moved.read[own].sum()), int(moved.written[own].sum())
        window = one.first, one.first + one.cycles
        inside = _moved(moved.read + moved.written, starts, ends, window)
        found.append(replace(layer, account=one, read=read, written=written, moved=inside))
    return found


def _moved(size: IntArray, starts: IntArray, ends: IntArray, window: tuple[int, int]) -> int:
    """Bytes that runs move in a window, as if each moved evenly."""
    lengths = ends - starts + 1
    common = np.minimum(ends + 1, window[1]) - np.maximum(starts, window[0])
    return round(float((size * np.maximum(common, 0) / lengths).sum()))


@dataclass(frozen=True)
class _Bounded:
    """Layers with their bounds, and what the account wants of each."""

    layers: list[LayerFigures]
    compute: list[int]
    shares: list[Mapping[str, int]]


def _bounded(job: Job, timed: Timed, moved: Amounts, dram: Dram) -> _Bounded:
    if not isinstance(job, NetworkJob):
        # Of a bare program only the runs are known: what counts is what its busiest core does in full tiles.
        cores = [timed.engine == ENGINES.index(name) for name in ("dsp", "lut", "sparse")]
        tiles = [int(moved.tiles[core].sum()) for core in cores]
        bare = LayerFigures("program", "program", f"{len(job.program)} instructions", int(moved.macs.sum()))
        return _Bounded([bare], [max(tiles)], [{}])
    sizes = input_shapes(job.workload)
    found = _Bounded([], [], [])
    for layer in job.workload.layers:
        source = sizes[layer.name]
        share, sparse = job.compiled.lut_shares.get(layer.name), job.compiled.sparse.get(layer.name)
        bounds = layer_bounds(job.config, layer, source, dram, sparse)
        described = replace(_described(layer, source), lut_share=share, sparse=sparse, bounds=bounds)
        found.layers.append(described)
        found.compute.append(bounds.compute)
        if share is None:
            found.shares.append({"vec" if sparse is None else "sparse": bounds.compute})
        else:
            found.shares.append(_shares(job.config, layer, source, share))
    return found


def _shares(config: SystemConfig, layer: Layer, source: Hwc, share: float) -> dict[str, int]:
    """Fewest cycles of either core for the output channels that it computes; the LUT core has the last ones."""
    m, k, n, groups = gemm_view(layer, source)
    channels = n * groups
    tiles = ceil_div(channels, config.lanes)
    on_dsp = min(channels, (tiles - round(share * tiles)) * config.lanes)
    cores: dict[str, tuple[int, Rate]]
    cores = {"dsp": (on_dsp, config.macs_per_cycle), "lut": (channels - on_dsp, _lut_rate(config, layer))}
    return {name: compute_bound(m * k * part, rate) for name, (part, rate) in cores.items() if part}


def _lut_rate(config: SystemConfig, layer: Layer) -> Fraction:
    """MACs per cycle of the LUT core at a layer's bits; zero if there is none."""
    return Fraction(config.binary_macs_per_cycle, layer.act_bits * layer.weight_bits)


def _described(layer: Layer, source: Hwc) -> LayerFigures:
    if layer.product:
        m, k, n, groups = gemm_view(layer, source)
        shape = f"{m}×{k}×{n}" + (f" ×{groups}" if groups > 1 else "")
        return LayerFigures(
            layer.name, layer.kind, shape, macs(layer, source), layer.act_bits, layer.weight_bits
        )
    shape = "×".join(map(str, output_shape(layer, source)))
    if layer.kind != "add":
        shape += f" of {layer.kernel[0]}×{layer.kernel[1]}"
    return LayerFigures(layer.name, layer.kind, shape, 0, 8, 0)


def layer_bounds(
    config: SystemConfig, layer: Layer, source: Hwc, dram: Dram, sparse: SparseFigures | None = None
) -> Bounds:
    """Bounds of a layer that reads ``source``; ``sparse`` are its weights if the sparse core computes it."""
    rate = bytes_per_cycle(config, dram)
    if sparse is not None:
        return _sparse_bounds(config, layer, source, rate, sparse)
    # In memory, activations are bytes whatever their bits; only the LUT core takes weights that are packed.
    weight_bits = layer.weight_bits if config.lut and layer.product else 8
    stored = replace(layer, act_bits=8, weight_bits=weight_bits if layer.product else layer.weight_bits)
    least = compulsory_bytes(stored, source)
    compulsory = traffic_cycles(least, rate)
    if not layer.product:
        h, w, c = output_shape(layer, source)
        inputs = 2 if layer.kind == "add" else layer.kernel[0] * layer.kernel[1]
        return Bounds(ceil_div(h * w * c * inputs, config.lanes), compulsory, compulsory, least)
    rates: list[Rate] = [config.macs_per_cycle] if config.dsp else []
    rates += [_lut_rate(config, layer)] if config.lut else []
    words = on_chip_bytes(config) * 8 // min(8, weight_bits)
    line = roofline(
        stored,
        source,
        macs_per_cycle=Fraction(sum(map(Fraction, rates))),
        bytes_per_cycle=rate,
        fast_words=words,
    )
    return Bounds(compute_bound(macs(layer, source), *rates), compulsory, line.memory, least)


def _sparse_bounds(
    config: SystemConfig, layer: Layer, source: Hwc, rate: Rate, sparse: SparseFigures
) -> Bounds:
    """Bounds of a product on the sparse core: of what its weights leave to be done, and of their streams."""
    products = _products(macs(layer, source), sparse)
    words = compulsory_words(layer, source)
    least = moved = words.inputs + words.outputs + sparse.bytes
    if layer.kernel == (1, 1):  # windows that overlap reuse more
        width = min(8, sparse.bits)
        moved = max(least, ceil_div(reuse_bound(products, on_chip_bytes(config) * 8 // width) * width, 8))
    return Bounds(
        compute_bound(products, config.sparse_macs_per_cycle),
        traffic_cycles(least, rate),
        traffic_cycles(moved, rate),
        least,
    )


def _products(count: int, sparse: SparseFigures) -> int:
    """Of so many MACs those with weights that are not zero: every weight has as many as any other."""
    return count // sparse.weights * sparse.nonzero


def _sparse_dict(sparse: SparseFigures) -> dict[str, Any]:
    """For JSON."""
    return {
        "density": sparse.density, "weights": sparse.weights, "nonzero": sparse.nonzero, "known": sparse.known,
        "bits": sparse.bits, "patterns": dict(sparse.patterns),
        "bytes": {"codes": sparse.codes, "values": sparse.values, "indices": sparse.indices},
        "dense_bytes": sparse.dense_bytes, "mode": "vector" if sparse.spread else "matrix", "tiles": sparse.tiles,
        "steps": sparse.steps, "dense_steps": sparse.dense_steps, "speed_up": sparse.speed_up,
        "ideal_speed_up": sparse.ideal,
    }  # fmt: skip
