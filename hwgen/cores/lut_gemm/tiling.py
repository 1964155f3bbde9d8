"""What the cycles of a GEMM depend on: its sizes and widths, cut into the array's tiles and blocks."""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.cores.lut_gemm.config import LutGemmConfig
from hwgen.cores.lut_gemm.operation import Gemm
from hwgen.numerics import ceil_div
from hwgen.parts.corner_turn import block_beats, travel_bits

__all__ = ["Shape"]


@dataclass(frozen=True)
class Shape:
    """A GEMM without operands.

    Parameters
    ----------
    m, n, k : int
        Sizes.
    a_bits, b_bits : int
        Widths of the operands, 1..8.
    """

    m: int
    n: int
    k: int
    a_bits: int = 1
    b_bits: int = 1

    @classmethod
    def of(cls, op: Gemm | Shape) -> Shape:
        """The shape of an operation."""
        return op if isinstance(op, Shape) else cls(*op.shape, op.a_format.bits, op.b_format.bits)

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, N, K."""
        return self.m, self.n, self.k

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.m * self.n * self.k

    @property
    def binary_ops(self) -> int:
        """Operations on single bits: an AND and an addition per pair of bits."""
        return 2 * self.macs * self.a_bits * self.b_bits

    def blocks(self, config: LutGemmConfig) -> int:
        """Words of a bit plane of one row of A or column of B."""
        return ceil_div(self.k, config.dk)

    def column_tiles(self, config: LutGemmConfig) -> int:
        """Tiles along N."""
        return ceil_div(self.n, config.dn)

    def steps(self, config: LutGemmConfig) -> int:
        """Steps of a tile."""
        return self.a_bits * self.b_bits * self.blocks(config)

    def last_beats(self, config: LutGemmConfig, bits: int) -> int:
        """Beats of a row's last block."""
        return block_beats((self.k - 1) % config.dk + 1, travel_bits(bits))

    def row_beats(self, config: LutGemmConfig, bits: int) -> int:
        """Beats of a row of A, or of a column of B, of ``bits`` bits."""
        return (self.blocks(config) - 1) * travel_bits(bits) + self.last_beats(config, bits)

    def row_cycles(self, config: LutGemmConfig, bits: int) -> int:
        """Cycles in which the corner turn is busy with it."""
        return self.blocks(config) * travel_bits(bits)
