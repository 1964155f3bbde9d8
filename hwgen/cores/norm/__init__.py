"""LayerNorm and RMSNorm on integers: exact statistics, a refined reciprocal square root, per-channel factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hwgen.core import Core, Resources
from hwgen.cores.norm import golden, resources
from hwgen.cores.norm.config import NormConfig
from hwgen.cores.norm.host import collect, marks, outside, stimulus
from hwgen.cores.norm.operation import Parameters, Row, random_parameters, random_rows
from hwgen.cores.norm.timing import NormTiming
from hwgen.numerics import IntArray
from hwgen.streams import Beats, Stream

if TYPE_CHECKING:
    from hwgen.emit import Unit

__all__ = ["CORE", "NormConfig", "Parameters", "Row"]


class NormCore(Core):
    """The contract of :class:`hwgen.core.Core`, answered for the normalisation core."""

    name = "norm"
    summary = "LayerNorm and RMSNorm of integer rows to 4,096 elements, exact statistics, factors per channel"
    config = NormConfig
    supported: ClassVar[Mapping[str, NormConfig]] = {
        "norm_layer_int8_8_lanes": NormConfig(),
        "norm_rms_int16_4_lanes_ecp5": NormConfig(
            form="rms", lanes=4, in_bits=16, out_bits=16, gamma_fraction=4, multiplier_bits=18
        ),
    }

    def streams(self, config: NormConfig) -> tuple[Stream, ...]:
        return config.streams

    def component(self, config: NormConfig) -> Unit:
        from hwgen.cores.norm.rtl import Norm  # Amaranth, only for those who build hardware

        return Norm(config)

    def golden(self, config: NormConfig, operations: Sequence[Row]) -> list[IntArray]:
        return golden.run(config, operations)

    def values(self, config: NormConfig, operations: Sequence[Row]) -> list[IntArray]:
        return golden.run(config, operations)  # whole arrays at once, so nothing is faster

    def timing(self, config: NormConfig) -> NormTiming:
        return NormTiming(config)

    def resources(self, config: NormConfig) -> Resources:
        return resources.estimate(config)

    def characteristics(self, config: NormConfig) -> Mapping[str, int | str]:
        return {
            "elements_per_cycle": config.lanes,
            "longest_row": config.longest,
            "latency_cycles": config.latency,
            "first_pass_cycles": config.rows.stat_latency,
            "second_pass_cycles": config.result_latency,
            "eps_fraction_bits": config.eps_fraction,
            "beta_fraction_bits": config.BETA_FRACTION,
        }

    def random_operations(self, config: NormConfig, count: int, rng: np.random.Generator) -> list[Row]:
        return random_rows(config, count, rng)

    def tile(self, config: NormConfig, rng: np.random.Generator) -> list[Row]:
        """A dozen of the longest rows with one set."""
        n = config.longest
        rows = [Row(config.element.random(rng, (n,)), np.ones(n, np.bool_)) for _ in range(12)]
        rows[0] = Row(rows[0].x, rows[0].keep, random_parameters(config, n, rng))
        return rows

    def stimulus(self, config: NormConfig, operations: Sequence[Row]) -> dict[str, Beats]:
        return stimulus(config, operations)

    def collect(
        self, config: NormConfig, operations: Sequence[Row], beats: Mapping[str, Beats]
    ) -> list[IntArray]:
        return collect(config, operations, beats["y"])

    def outside(self, config: NormConfig, operations: Sequence[Row], beats: Mapping[str, Beats]) -> IntArray:
        return outside(config, operations, beats["y"])

    def marks(self, config: NormConfig, operations: Sequence[Row]) -> dict[str, list[int]]:
        return marks(config, operations)

    def simulation_sources(self, config: NormConfig) -> Sequence[Any]:
        return []


CORE = NormCore()
