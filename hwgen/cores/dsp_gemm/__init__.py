"""Dense GEMM on DSP blocks: packed products, cascaded sums, no bubble between tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hwgen.core import GemmCore, GemmSize, Resources
from hwgen.cores.dsp_gemm import golden, resources, values
from hwgen.cores.dsp_gemm.config import DspGemmConfig
from hwgen.cores.dsp_gemm.host import collect, marks, outside, stimulus
from hwgen.cores.dsp_gemm.operation import Gemm, check_size, random_gemms
from hwgen.cores.dsp_gemm.timing import DspGemmTiming, Shape
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, IntFormat
from hwgen.parts.dsp48e1 import SIMULATION_MODEL as DSP48E1_MODEL
from hwgen.parts.dsp48e2 import SIMULATION_MODEL as DSP48E2_MODEL
from hwgen.parts.mult18x18d import SIMULATION_MODEL as MULT18X18D_MODEL
from hwgen.parts.sb_mac16 import SIMULATION_MODEL as SB_MAC16_MODEL
from hwgen.streams import Beats, Stream

if TYPE_CHECKING:
    from hwgen.emit import Unit

__all__ = ["CORE", "DspGemmConfig", "Gemm", "Shape"]


class DspGemmCore(GemmCore):
    """The contract of :class:`hwgen.core.Core`, answered for the dense GEMM core."""

    name = "dsp_gemm"
    summary = "dense GEMM on DSP blocks, signed or unsigned 2..8-bit operands, 32-bit sums"
    config = DspGemmConfig
    supported: ClassVar[Mapping[str, DspGemmConfig]] = {
        "dsp_gemm_int8_8x8_generic": DspGemmConfig(rows=8, cols=8, target="generic"),
        "dsp_gemm_int8_16x16_ultrascale": DspGemmConfig(rows=16, cols=16, target="ultrascale+"),
        "dsp_gemm_int4_16x16_ultrascale": DspGemmConfig(
            rows=16, cols=16, act_bits=4, weight_bits=4, target="ultrascale+"
        ),
    }

    def streams(self, config: DspGemmConfig) -> tuple[Stream, ...]:
        return config.streams

    def component(self, config: DspGemmConfig) -> Unit:
        from hwgen.cores.dsp_gemm.rtl import DspGemm  # Amaranth, only for those who build hardware

        return DspGemm(config)

    def golden(self, config: DspGemmConfig, operations: Sequence[Gemm]) -> list[IntArray]:
        return golden.run(operations)

    def values(self, config: DspGemmConfig, operations: Sequence[Gemm]) -> list[IntArray]:
        return values.run(operations)

    def timing(self, config: DspGemmConfig) -> DspGemmTiming:
        return DspGemmTiming(config)

    def resources(self, config: DspGemmConfig) -> Resources:
        return resources.estimate(config)

    def characteristics(self, config: DspGemmConfig) -> Mapping[str, int | str]:
        return {
            "macs_per_cycle": config.rows * config.cols,
            "multipliers": config.dsps,
            "latency_cycles": config.latency,
            "rows_of_c_per_step": config.m_lanes,
            "columns_of_c_per_step": config.n_lanes,
            "products_per_multiplier": config.m_lanes * config.arithmetic.scheme.weight_lanes,
            "longest_cascade": config.segments[0].rows,
        }

    def random_operations(self, config: DspGemmConfig, count: int, rng: np.random.Generator) -> list[Gemm]:
        return random_gemms(config, count, rng)

    def gemm(self, config: DspGemmConfig, size: GemmSize, rng: np.random.Generator | None) -> Gemm | Shape:
        check_size(config, size.m, size.n, size.k)
        for name in ("act_bits", "weight_bits"):
            wanted, there = getattr(size, name), getattr(config, name)
            if wanted > there:
                raise BadInput(f"{name} is {wanted}, and the core has {there}; build it with {name}={wanted}")
        if rng is None:
            return Shape(size.m, size.n, size.k)
        act, weight = (
            IntFormat(size.act_bits, config.act_signed),
            IntFormat(size.weight_bits, config.weight_signed),
        )
        return Gemm(act.random(rng, (size.m, size.k)), weight.random(rng, (size.k, size.n)))

    def tile_size(self, config: DspGemmConfig) -> GemmSize:
        limit = (1 << config.size_bits) - 1
        m, k, n = config.tile_steps * config.m_lanes, 4 * config.rows, 2 * config.n_lanes
        return GemmSize(min(m, limit), min(k, limit), min(n, limit), config.act_bits, config.weight_bits)

    def stimulus(self, config: DspGemmConfig, operations: Sequence[Gemm]) -> dict[str, Beats]:
        return stimulus(config, operations)

    def collect(
        self, config: DspGemmConfig, operations: Sequence[Gemm], beats: Mapping[str, Beats]
    ) -> list[IntArray]:
        return collect(config, operations, beats["c"])

    def outside(
        self, config: DspGemmConfig, operations: Sequence[Gemm], beats: Mapping[str, Beats]
    ) -> IntArray:
        return outside(config, operations, beats["c"])

    def marks(self, config: DspGemmConfig, operations: Sequence[Gemm]) -> dict[str, list[int]]:
        return marks(config, operations)

    def simulation_sources(self, config: DspGemmConfig) -> Sequence[Path]:
        cell = "SB_MAC16" if config.arithmetic.scheme.lane_bits else config.style.cell
        model = _MODELS.get(cell)
        return [model] if model else []


_MODELS: Mapping[str | None, Path] = {
    "DSP48E1": DSP48E1_MODEL,
    "DSP48E2": DSP48E2_MODEL,
    "MULT18X18D": MULT18X18D_MODEL,
    "SB_MAC16": SB_MAC16_MODEL,
}

CORE = DspGemmCore()
