"""Softmax of rows of logits, streaming: one element per lane and cycle, no bubble between rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hwgen.core import Core, Resources
from hwgen.cores.softmax import golden, resources, values
from hwgen.cores.softmax.bound import error_bound
from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.host import collect, marks, outside, stimulus
from hwgen.cores.softmax.latency import Latency
from hwgen.cores.softmax.operation import Row, causal, quantise, random_rows
from hwgen.cores.softmax.timing import SoftmaxTiming
from hwgen.numerics import IntArray
from hwgen.streams import Beats, Stream

if TYPE_CHECKING:
    from hwgen.emit import Unit

__all__ = ["CORE", "Row", "SoftmaxConfig", "causal", "quantise"]


class SoftmaxCore(Core):
    """The contract of :class:`hwgen.core.Core`, answered for softmax."""

    name = "softmax"
    summary = "softmax of rows in fixed point, one element per lane and cycle; masks, proved error bounds"
    config = SoftmaxConfig
    supported: ClassVar[Mapping[str, SoftmaxConfig]] = {
        "softmax_u8_online_pow2": SoftmaxConfig(),
    }

    def streams(self, config: SoftmaxConfig) -> tuple[Stream, ...]:
        return config.streams

    def component(self, config: SoftmaxConfig) -> Unit:
        from hwgen.cores.softmax.rtl import Softmax  # Amaranth, only for those who build hardware

        return Softmax(config)

    def golden(self, config: SoftmaxConfig, operations: Sequence[Row]) -> list[IntArray]:
        return golden.run(config, operations)

    def values(self, config: SoftmaxConfig, operations: Sequence[Row]) -> list[IntArray]:
        return values.run(config, operations)

    def timing(self, config: SoftmaxConfig) -> SoftmaxTiming:
        return SoftmaxTiming(config)

    def resources(self, config: SoftmaxConfig) -> Resources:
        return resources.estimate(config)

    def characteristics(self, config: SoftmaxConfig) -> Mapping[str, int | str]:
        bound = error_bound(config)
        return {
            "elements_per_cycle": config.lanes,
            "row_latency_cycles": Latency(config).row,
            "longest_row": config.longest,
            "largest_error_ulp": f"{bound.ulp:.2f}" if bound else "none stated",
        }

    def random_operations(self, config: SoftmaxConfig, count: int, rng: np.random.Generator) -> list[Row]:
        return random_rows(config, count, rng)

    def tile(self, config: SoftmaxConfig, rng: np.random.Generator) -> list[Row]:
        """Rows of up to 64 beats, many enough that the first and the last one are a small part of them."""
        n = min(config.longest, 64 * config.lanes)
        count = 4 + 5 * Latency(config).row * config.lanes // n
        return [Row(quantise(config, rng.normal(0, 3, n)), np.ones(n, bool)) for _ in range(count)]

    def stimulus(self, config: SoftmaxConfig, operations: Sequence[Row]) -> dict[str, Beats]:
        return stimulus(config, operations)

    def collect(
        self, config: SoftmaxConfig, operations: Sequence[Row], beats: Mapping[str, Beats]
    ) -> list[IntArray]:
        return collect(config, operations, beats)

    def outside(
        self, config: SoftmaxConfig, operations: Sequence[Row], beats: Mapping[str, Beats]
    ) -> IntArray:
        return outside(config, operations, beats)

    def marks(self, config: SoftmaxConfig, operations: Sequence[Row]) -> dict[str, list[int]]:
        return marks(config, operations)

    def simulation_sources(self, config: SoftmaxConfig) -> Sequence[Path]:
        return []


CORE = SoftmaxCore()
