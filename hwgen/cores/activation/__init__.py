"""Scalar functions, element by element: correctly rounded tables, and piecewise polynomials of proved error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hwgen.core import Core, Resources
from hwgen.cores.activation import golden, resources, values
from hwgen.cores.activation.config import ActivationConfig
from hwgen.cores.activation.formats import Formats
from hwgen.cores.activation.host import collect, marks, outside, stimulus
from hwgen.cores.activation.operation import Vector, random_vectors
from hwgen.cores.activation.timing import ActivationTiming
from hwgen.numerics import IntArray
from hwgen.streams import Beats, Stream

if TYPE_CHECKING:
    from hwgen.emit import Unit

__all__ = ["CORE", "ActivationConfig", "Formats", "Vector"]

_Q3_12: dict[str, Any] = {"in_bits": 16, "in_fraction": 12, "out_bits": 16, "out_fraction": 12}


class ActivationCore(Core):
    """The contract of :class:`hwgen.core.Core`, answered for the activation core."""

    name = "activation"
    summary = (
        "GELU, SiLU, sigmoid, tanh, exp, 1/x, 1/sqrt(x) or any function, tables and pieces of proved error"
    )
    config = ActivationConfig
    supported: ClassVar[Mapping[str, ActivationConfig]] = {
        "activation_gelu_int8": ActivationConfig(lanes=8),
        "activation_gelu_q3_12": ActivationConfig(variant="delta_octave", lanes=4, **_Q3_12),
    }

    def streams(self, config: ActivationConfig) -> tuple[Stream, ...]:
        return config.streams

    def component(self, config: ActivationConfig) -> Unit:
        from hwgen.cores.activation.rtl import Activation  # Amaranth, only for those who build hardware

        return Activation(config)

    def golden(self, config: ActivationConfig, operations: Sequence[Vector]) -> list[IntArray]:
        return golden.run(config, operations)

    def values(self, config: ActivationConfig, operations: Sequence[Vector]) -> list[IntArray]:
        return values.run(config, operations)

    def timing(self, config: ActivationConfig) -> ActivationTiming:
        return ActivationTiming(config)

    def resources(self, config: ActivationConfig) -> Resources:
        return resources.estimate(config)

    def characteristics(self, config: ActivationConfig) -> Mapping[str, int | str]:
        found: dict[str, int | str] = {
            "elements_per_cycle": config.lanes,
            "latency_cycles": config.latency + 1,
            "lane_latency_cycles": config.latency,
            "table_bits_per_lane": config.table_bits,
            "multipliers_per_lane": config.multipliers,
        }
        if config.table_bits:
            found |= {"table_form": config.pieces.form, "table_entries_per_lane": config.pieces.entries}
        return found

    def random_operations(
        self, config: ActivationConfig, count: int, rng: np.random.Generator
    ) -> list[Vector]:
        return random_vectors(config, count, rng)

    def tile(self, config: ActivationConfig, rng: np.random.Generator) -> list[Vector]:
        return [Vector(config.argument.random(rng, (64 * config.lanes,))) for _ in range(4)]

    def stimulus(self, config: ActivationConfig, operations: Sequence[Vector]) -> dict[str, Beats]:
        return stimulus(config, operations)

    def collect(
        self, config: ActivationConfig, operations: Sequence[Vector], beats: Mapping[str, Beats]
    ) -> list[IntArray]:
        return collect(config, operations, beats["y"])

    def outside(
        self, config: ActivationConfig, operations: Sequence[Vector], beats: Mapping[str, Beats]
    ) -> IntArray:
        return outside(config, operations, beats["y"])

    def marks(self, config: ActivationConfig, operations: Sequence[Vector]) -> dict[str, list[int]]:
        return marks(config, operations)

    def simulation_sources(self, config: ActivationConfig) -> Sequence[Path]:
        return []


CORE = ActivationCore()
