"""``hwgen run`` on a core that stands alone: its own tile, or the products of a network, one command after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwgen.config import CoreConfig
from hwgen.core import Core, GemmCore, GemmSize
from hwgen.errors import BadInput
from hwgen.numerics import IntArray
from hwgen.verify.block import Block
from hwgen.verify.compare import first_value
from hwgen.verify.stimulus import patterns, stimulus
from hwgen.workloads.layers import gemm_view, input_shapes
from hwgen.workloads.tables import load

__all__ = ["CoreRun", "Layers", "Part", "layers_of", "run_core"]


@dataclass(frozen=True)
class Part:
    """One layer of a run on a core.

    Parameters
    ----------
    name : str
        Of the layer.
    shape : str
        What is multiplied.
    macs : int
        Multiply-accumulates.
    cycles : int or None
        From the last transfer of the layer before to its own; None if the executor counts none.
    compute, edges : float
        Of these cycles: those that the work takes at the core's full rate, and what partly filled tiles add.
    """

    name: str
    shape: str
    macs: int
    cycles: int | None
    compute: float
    edges: float

    @property
    def utilisation(self) -> float | None:
        """Share of the core's arithmetic that was used."""
        return None if self.cycles is None else self.compute / self.cycles

    @property
    def waits(self) -> float | None:
        """Cycles in which operands or results were waited for, or data were on their way."""
        return None if self.cycles is None else self.cycles - self.compute - self.edges


@dataclass(frozen=True, eq=False)
class CoreRun:
    """What a run on a core found.

    Parameters
    ----------
    name : str
        Of the workload.
    core : str
        The core's name.
    config : CoreConfig
        What was run.
    executor : str
        ``golden``, ``sim`` or ``rtl``.
    settings : mapping of str to object
        Seed, whether time alone was asked for.
    parts : list of Part
        The layers that are work for the core, in order.
    left_out : list of str
        Those that are not.
    traffic_bytes : int or None
        Bytes that cross all streams.
    outputs : dict of str to list of int array, or None
        Results of every operation of every layer.
    checks, differences : list of str
        What was found right, and different.
    seconds : dict of str to float
        Wall time by step.
    """

    name: str
    core: str
    config: CoreConfig
    executor: str
    settings: Mapping[str, Any]
    parts: list[Part]
    left_out: list[str]
    traffic_bytes: int | None
    outputs: dict[str, list[IntArray]] | None = None
    checks: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def cycles(self) -> int | None:
        """Of the whole run."""
        return None if self.executor == "golden" else sum(part.cycles or 0 for part in self.parts)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(part.macs for part in self.parts)

    @property
    def utilisation(self) -> float | None:
        """Share of the core's arithmetic that was used."""
        return self.cycles and sum(part.compute for part in self.parts) / self.cycles

    def to_dict(self) -> dict[str, Any]:
        """For JSON; keys of the design's section 8, and more."""
        return {
            "digest": self.config.digest,
            "core": self.core,
            "config": self.config.to_dict(),
            "workload": self.name,
            "executor": self.executor,
            **self.settings,
            "cycles": self.cycles,
            "macs": self.macs,
            "utilisation": self.utilisation,
            "traffic_bytes": self.traffic_bytes,
            "layers": [
                {
                    "name": part.name, "shape": part.shape, "cycles": part.cycles, "macs": part.macs,
                    "utilisation": part.utilisation, "compute": part.compute, "edges": part.edges, "waits": part.waits,
                }
                for part in self.parts
            ],
            "left_out": self.left_out,
            "outputs": None,
            "checks": self.checks,
            "differences": self.differences,
            "step_seconds": {name: round(value, 4) for name, value in self.seconds.items()},
        }  # fmt: skip

    def arrays(self) -> dict[str, IntArray]:
        """Results by layer; operations first where a layer has several of one shape."""
        assert self.outputs is not None
        return {
            name: found[0] if len(found) == 1 else np.stack(found) for name, found in self.outputs.items()
        }


def run_core(
    core: Core,
    config: CoreConfig,
    workload: str,
    executor: str = "sim",
    *,
    seed: int = 0,
    timing_only: bool = False,
    verify: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> CoreRun:
    """Run a workload on a core whose streams never wait.

    Parameters
    ----------
    core, config : Core, CoreConfig
        What to run on.
    workload : str
        ``tile``, which every core has, or what :func:`hwgen.workloads.tables.load` takes, for cores that multiply
        matrices; convolutions are unrolled.
    executor : str
        ``golden``, ``sim`` or ``rtl``.
    seed : int
        Of random operands.
    timing_only : bool
        Leave out values; only the simulator can.
    verify : bool
        Compare the results with those of the golden model.
    tell : callable
        Is told what goes on.

    Raises
    ------
    BadInput
        If there is no such workload, or an operation does not fit the core (the layer is named).
    """
    from sim import simulate

    if timing_only and (executor != "sim" or verify):
        raise BadInput("--timing-only leaves values out; it goes with the executor sim, and without --verify")
    if seed < 0:
        raise BadInput(f"seed must not be negative, not {seed}")
    seconds: dict[str, float] = {}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        tell(name)
        began = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - began

    with step("operands"):
        name, layers, left_out = layers_of(core, config, workload, None if timing_only else seed)
    operations = [op for _, _, own in layers for op in own]
    outputs: list[IntArray] | None = None
    checks: list[str] = []
    differences: list[str] = []
    timing = core.timing(config)
    with step("simulator"):
        told = simulate(timing, operations)
    if executor == "sim" and not timing_only:
        with step("values"):
            outputs = core.values(config, operations)
    elif executor == "rtl":
        block = Block(core, config)
        with step("build of the Verilog"):
            harness = block.harness()
        made = stimulus(core, config, operations, patterns("free", block.streams, seed))
        with step("Verilog"):
            seen = harness.run(made)
        outputs = core.collect(config, operations, seen.outputs)
        if seen.cycles == told.cycles:
            checks.append("the Verilog takes the simulator's cycles")
        else:
            differences.append(f"cycles: the Verilog takes {seen.cycles}, the simulator {told.cycles}")
    if executor == "golden" or verify:
        with step("golden model"):
            golden = core.golden(config, operations)
        if outputs is None:
            outputs = golden
        elif (found := first_value(("golden", executor), golden, outputs)) is not None:
            differences.append(str(found))
        else:
            checks.append("every value equals the golden model's")
    with step("account"):
        parts = _parts(layers, told.ends, timing, counted=executor != "golden")
        marks = core.marks(config, operations)
        traffic = sum(sum(marks[s.name]) * s.bytes for s in core.streams(config))
    settings = {"seed": seed, "timing_only": timing_only}
    by_layer = None if outputs is None else _by_layer(layers, outputs)
    return CoreRun(
        name, core.name, config, executor, settings, parts, left_out, traffic, by_layer, checks, differences, seconds
    )  # fmt: skip


Layers = list[tuple[str, str, list[Any]]]
"""Of every layer its name, its shape as text, its operations."""


def layers_of(
    core: Core, config: CoreConfig, workload: str, seed: int | None
) -> tuple[str, Layers, list[str]]:
    """A workload on a core: its name, its layers as operations, and the layers that the core has no part in.

    Parameters
    ----------
    core, config : Core, CoreConfig
        What it runs on.
    workload : str
        See :func:`run_core`.
    seed : int or None
        Of random operands; none are made without.

    Raises
    ------
    BadInput
        If there is no such workload, or an operation does not fit the core (the layer is named).
    """
    rng = None if seed is None else np.random.default_rng(seed)
    if not isinstance(core, GemmCore):
        if workload != "tile":
            raise BadInput(
                f"the core {core.name} multiplies no matrices, so it runs its own tile only, not {workload!r}"
            )
        made = core.tile(config, rng or np.random.default_rng(0))
        return "tile", [("tile", f"{len(made)} operations", made)], []
    if workload == "tile":
        size = core.tile_size(config)
        return "tile", [("tile", _text(size, 1), [core.gemm(config, size, rng)])], []
    network = load(workload)
    reads = input_shapes(network)
    found: Layers = []
    left_out = []
    for layer in network.layers:
        if not layer.product:
            left_out.append(layer.name)
            continue
        m, k, n, groups = gemm_view(layer, reads[layer.name])
        size = GemmSize(m, k, n, layer.act_bits, layer.weight_bits)
        try:
            found.append(
                (layer.name, _text(size, groups), [core.gemm(config, size, rng) for _ in range(groups)])
            )
        except BadInput as error:
            raise BadInput(f"layer {layer.name!r} does not fit the core {core.name}: {error}") from None
    return network.name, found, left_out


def _text(size: GemmSize, groups: int) -> str:
    times = f"{groups} of " if groups > 1 else ""
    return f"{times}{size.m}×{size.k}×{size.n}"


def _parts(layers: Layers, ends: Any, timing: Any, *, counted: bool) -> list[Part]:
    parts = []
    first = done = 0
    for name, shape, own in layers:
        lost = [timing.losses(op) for op in own]
        last = int(ends[first + len(own) - 1]) + 1
        parts.append(
            Part(
                name, shape, sum(op.macs for op in own), last - done if counted else None,
                float(sum(one["compute"] for one in lost)), float(sum(one["edges"] for one in lost)),
            )
        )  # fmt: skip
        first, done = first + len(own), last
    return parts


def _by_layer(layers: Layers, outputs: list[IntArray]) -> dict[str, list[IntArray]]:
    rest = iter(outputs)
    return {name: [next(rest) for _ in own] for name, _, own in layers}
