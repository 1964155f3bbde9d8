"""Bit-serial GEMM on LUTs: operands of 1 to 8 bits chosen at run time, ones of products counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hwgen.core import GemmCore, GemmSize, Resources
from hwgen.cores.lut_gemm import golden, resources, values
from hwgen.cores.lut_gemm.config import LutGemmConfig
from hwgen.cores.lut_gemm.host import collect, marks, outside, stimulus
from hwgen.cores.lut_gemm.operand import Operand
from hwgen.cores.lut_gemm.operation import Gemm, check_size, random_gemms
from hwgen.cores.lut_gemm.tiling import Shape
from hwgen.cores.lut_gemm.timing import LutGemmTiming
from hwgen.numerics import IntArray
from hwgen.parts.popcount import SIMULATION_MODEL
from hwgen.streams import Beats, Stream

if TYPE_CHECKING:
    from hwgen.emit import Unit

__all__ = ["CORE", "Gemm", "LutGemmConfig", "Operand", "Shape"]


class LutGemmCore(GemmCore):
    """The contract of :class:`hwgen.core.Core`, answered for the bit-serial GEMM core."""

    name = "lut_gemm"
    summary = (
        "bit-serial GEMM on LUTs, 1..8-bit operands chosen per command, bipolar and ternary too, 32-bit sums"
    )
    config = LutGemmConfig
    supported: ClassVar[Mapping[str, LutGemmConfig]] = {
        "lut_gemm_8x64x8_generic": LutGemmConfig(dm=8, dk=64, dn=8, target="generic"),
        "lut_gemm_8x256x8_ultrascale": LutGemmConfig(dm=8, dk=256, dn=8, target="ultrascale+"),
    }

    def streams(self, config: LutGemmConfig) -> tuple[Stream, ...]:
        return config.streams

    def component(self, config: LutGemmConfig) -> Unit:
        from hwgen.cores.lut_gemm.rtl import LutGemm  # Amaranth, only for those who build hardware

        return LutGemm(config)

    def golden(self, config: LutGemmConfig, operations: Sequence[Gemm]) -> list[IntArray]:
        return golden.run(operations)

    def values(self, config: LutGemmConfig, operations: Sequence[Gemm]) -> list[IntArray]:
        return values.run(operations)

    def timing(self, config: LutGemmConfig) -> LutGemmTiming:
        return LutGemmTiming(config)

    def resources(self, config: LutGemmConfig) -> Resources:
        return resources.estimate(config)

    def characteristics(self, config: LutGemmConfig) -> Mapping[str, int | str]:
        return {
            "binary_operations_per_cycle": config.binary_ops_per_cycle,
            "rows_of_c_at_once": config.dm,
            "columns_of_c_at_once": config.dn,
            "bits_per_dot_product_and_cycle": config.dk,
            "latency_cycles": config.latency,
            "array_latency_cycles": config.array.latency,
            "operand_bits": "1..8, per command",
            "operand_kinds": "unsigned, signed, bipolar, ternary",
        }

    def random_operations(self, config: LutGemmConfig, count: int, rng: np.random.Generator) -> list[Gemm]:
        return random_gemms(config, count, rng)

    def gemm(self, config: LutGemmConfig, size: GemmSize, rng: np.random.Generator | None) -> Gemm | Shape:
        check_size(config, size.m, size.n, size.k, size.act_bits, size.weight_bits)
        if rng is None:
            return Shape(size.m, size.n, size.k, size.act_bits, size.weight_bits)
        act, weight = Operand("signed", size.act_bits), Operand("signed", size.weight_bits)
        return Gemm(act.random(rng, (size.m, size.k)), weight.random(rng, (size.k, size.n)), act, weight)

    def tile_size(self, config: LutGemmConfig) -> GemmSize:
        limit = (1 << config.size_bits) - 1
        bits = min(8, config.a_words, config.b_words)
        blocks = min(4, config.a_words // bits, config.b_words // bits)
        tiles = min(2, config.b_words // (bits * blocks))
        m, k, n = 4 * config.dm, blocks * config.dk, tiles * config.dn
        return GemmSize(min(m, limit), min(k, limit), min(n, limit), bits, bits)

    def stimulus(self, config: LutGemmConfig, operations: Sequence[Gemm]) -> dict[str, Beats]:
        return stimulus(config, operations)

    def collect(
        self, config: LutGemmConfig, operations: Sequence[Gemm], beats: Mapping[str, Beats]
    ) -> list[IntArray]:
        return collect(config, operations, beats["c"])

    def outside(
        self, config: LutGemmConfig, operations: Sequence[Gemm], beats: Mapping[str, Beats]
    ) -> IntArray:
        return outside(config, operations, beats["c"])

    def marks(self, config: LutGemmConfig, operations: Sequence[Gemm]) -> dict[str, list[int]]:
        return marks(config, operations)

    def simulation_sources(self, config: LutGemmConfig) -> Sequence[Path]:
        return [SIMULATION_MODEL] if config.array.primitive else []


CORE = LutGemmCore()
