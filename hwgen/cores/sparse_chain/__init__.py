"""Sparse products on DSP blocks: N:M weights, a pattern per block chosen at run time, dense on the same hardware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hwgen.core import GemmCore, GemmSize, Resources
from hwgen.cores.sparse_chain import golden, resources, values
from hwgen.cores.sparse_chain.config import SparseChainConfig
from hwgen.cores.sparse_chain.host import collect, marks, outside, stimulus
from hwgen.cores.sparse_chain.operation import Shape, SparseProduct, check_size, random_products
from hwgen.cores.sparse_chain.timing import SparseChainTiming
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, IntFormat
from hwgen.parts.dsp48e2 import SIMULATION_MODEL
from hwgen.streams import Beats, Stream

if TYPE_CHECKING:
    from hwgen.emit import Unit

__all__ = ["CORE", "Shape", "SparseChainConfig", "SparseProduct"]


class SparseChainCore(GemmCore):
    """The contract of :class:`hwgen.core.Core`, answered for the sparse chain."""

    name = "sparse_chain"
    summary = "sparse products on DSP blocks, N:M weights of 2, 3, 4, 8 bits, 8-bit activations, 32-bit sums"
    config = SparseChainConfig
    supported: ClassVar[Mapping[str, SparseChainConfig]] = {
        "sparse_chain_4_generic": SparseChainConfig(rows=4, target="generic"),
        "sparse_chain_16_ultrascale": SparseChainConfig(rows=16, ways=8, depth=1024, target="ultrascale+"),
    }

    def streams(self, config: SparseChainConfig) -> tuple[Stream, ...]:
        return config.streams

    def component(self, config: SparseChainConfig) -> Unit:
        from hwgen.cores.sparse_chain.rtl import SparseChain  # Amaranth, only for those who build hardware

        return SparseChain(config)

    def golden(self, config: SparseChainConfig, operations: Sequence[SparseProduct]) -> list[IntArray]:
        return golden.run(operations)

    def values(self, config: SparseChainConfig, operations: Sequence[SparseProduct]) -> list[IntArray]:
        return values.run(operations)

    def timing(self, config: SparseChainConfig) -> SparseChainTiming:
        return SparseChainTiming(config)

    def resources(self, config: SparseChainConfig) -> Resources:
        return resources.estimate(config)

    def characteristics(self, config: SparseChainConfig) -> Mapping[str, int | str]:
        array = config.array
        return {
            "macs_per_cycle": array.macs,
            "multipliers": array.dsps,
            "chains": array.chains,
            "products_per_multiplier": array.shared.words if array.primitive else 1,
            "rows_of_c_at_once": config.rows,
            "columns_of_c_at_once": array.tile,
            "columns_of_c_at_once_matrix_vector": array.tile * config.ways,
            "latency_cycles": config.latency,
            "shortest_round_cycles": array.least(False),
            "activations_per_pass": config.depth // 2,
            "weight_bits": ", ".join(map(str, config.weight_bits)),
        }

    def random_operations(
        self, config: SparseChainConfig, count: int, rng: np.random.Generator
    ) -> list[SparseProduct]:
        return random_products(config, count, rng)

    def gemm(
        self, config: SparseChainConfig, size: GemmSize, rng: np.random.Generator | None
    ) -> SparseProduct | Shape:
        check_size(config, size.m, size.n, size.k)
        if size.act_bits > config.act.bits:
            raise BadInput(f"act_bits is {size.act_bits}, and the core has {config.act.bits}; use fewer")
        bits = min((b for b in config.weight_bits if b >= size.weight_bits), default=None)
        if bits is None:
            raise BadInput(
                f"weight_bits is {size.weight_bits}, and the core takes {config.weight_bits[-1]} at most; "
                "build it with packing=a8x2"
            )
        spread = size.m <= config.rows // config.ways < config.rows
        if rng is None:
            return Shape(size.m, size.n, size.k, bits, spread)
        acts = IntFormat(size.act_bits, True).random(rng, (size.m, size.k))
        weights = IntFormat(size.weight_bits, True).random(rng, (size.k, size.n))
        return SparseProduct(acts, weights, bits, spread)

    def tile_size(self, config: SparseChainConfig) -> GemmSize:
        limit = (1 << config.size_bits) - 1
        k, n = min(config.depth // 2, limit), min(3 * config.array.tile, limit)
        return GemmSize(min(2 * config.rows, limit), k, n, 8, config.weight_bits[-1])

    def stimulus(self, config: SparseChainConfig, operations: Sequence[SparseProduct]) -> dict[str, Beats]:
        return stimulus(config, operations)

    def collect(
        self, config: SparseChainConfig, operations: Sequence[SparseProduct], beats: Mapping[str, Beats]
    ) -> list[IntArray]:
        return collect(config, operations, beats["c"])

    def outside(
        self, config: SparseChainConfig, operations: Sequence[SparseProduct], beats: Mapping[str, Beats]
    ) -> IntArray:
        return outside(config, operations, beats["c"])

    def marks(self, config: SparseChainConfig, operations: Sequence[SparseProduct]) -> dict[str, list[int]]:
        return marks(config, operations)

    def simulation_sources(self, config: SparseChainConfig) -> Sequence[Path]:
        return [SIMULATION_MODEL] if config.target == "ultrascale+" else []


CORE = SparseChainCore()
