"""Size of the chains, what follows from it, and the packings of a multiplier."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from hwgen.numerics import IntFormat, bits_for_range, ceil_log2
from hwgen.parts.sparse import BLOCK, WEIGHT_BITS

__all__ = ["PACKINGS", "ROUND_BITS", "ChainShape", "SharedMultiplier"]

ROUND_BITS = 20
"""Width of a run's number of rounds."""


@dataclass(frozen=True)
class SharedMultiplier:
    """What one multiplier computes.

    Parameters
    ----------
    rows, columns : int
        Rows and columns of C whose products it makes: one of them is 1.
    weight_bits : int
        Widest weight.
    spacing : int
        Distance between neighbouring products on a DSP48E2, in bits.
    """

    rows: int
    columns: int
    weight_bits: int
    spacing: int

    @property
    def words(self) -> int:
        """Products of a multiplier: words of 16 sums that a chain yields."""
        return self.rows * self.columns

    @property
    def product_range(self) -> tuple[int, int]:
        """Smallest and largest product."""
        weight, act = IntFormat(self.weight_bits, True), IntFormat(8, True)
        return weight.low * act.high, weight.low * act.low


PACKINGS = {
    "a8x2": SharedMultiplier(2, 1, 8, 18),
    "w4x3": SharedMultiplier(1, 3, 4, 11),
    "w2x4": SharedMultiplier(1, 4, 2, 8),
}
"""Packings by name: 27-bit port x 18-bit port (FlightLLM, FPGA'24, section 4.1; AMD WP486 for ``a8x2``)."""


@dataclass(frozen=True)
class ChainShape:
    """Chains of 16 positions: each position has a memory of activations, a multiplier and its sums.

    Parameters
    ----------
    rows, ways, depth, narrow, packing
        As in :class:`SparseChainConfig`.
    primitive : bool
        DSP48E2 instances if true, otherwise inferred multipliers.
    terms : int
        Most products of a sum.
    """

    rows: int
    ways: int
    depth: int
    narrow: bool
    packing: str
    primitive: bool
    terms: int

    @cached_property
    def shared(self) -> SharedMultiplier:
        """What a multiplier computes."""
        return PACKINGS[self.packing]

    @property
    def chains(self) -> int:
        """Chains side by side."""
        return self.rows // self.shared.rows

    @property
    def way_chains(self) -> int:
        """Chains of one way."""
        return self.chains // self.ways

    @property
    def dsps(self) -> int:
        """Multipliers: DSP blocks where the target has them."""
        return self.chains * BLOCK * (1 if self.primitive else self.shared.words)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per cycle."""
        return self.chains * BLOCK * self.shared.words

    @property
    def tile(self) -> int:
        """Columns of C in a tile."""
        return BLOCK * self.shared.columns

    @property
    def words(self) -> int:
        """Words of 16 sums in a round: what all chains yield."""
        return self.chains * self.shared.words

    @property
    def weight_bits(self) -> tuple[int, ...]:
        """Widths that weights can have."""
        return WEIGHT_BITS if self.narrow else (self.shared.weight_bits,)

    @property
    def slot_bits(self) -> int:
        """Width of a slot's weights behind the expansion."""
        return self.shared.columns * self.shared.weight_bits

    @property
    def value_word(self) -> int:
        """Bytes of a way's word of values: one step of the widest weights."""
        return 2 * self.slot_bits

    @property
    def value_bytes(self) -> int:
        """Bytes of a row of values."""
        return self.ways * self.value_word

    @property
    def index_bytes(self) -> int:
        """Bytes of a row of indices."""
        return self.ways * BLOCK // 2

    @property
    def blocks(self) -> int:
        """Blocks of 16 activations that the memories hold."""
        return self.depth // BLOCK

    @property
    def sum_bits(self) -> int:
        """Width of a sum."""
        low, high = self.shared.product_range
        return bits_for_range(low * self.terms, high * self.terms)

    def wrap_bits(self, spacing: int) -> int:
        """Width of the count of times that a sum has left a field of ``spacing`` bits."""
        low, high = self.shared.product_range
        return bits_for_range((low * self.terms >> spacing) - 1, (high * self.terms >> spacing) + 1)

    def least(self, spread: bool) -> int:
        """Fewest cycles of a round: its sums leave one word per cycle, and an accumulator takes four cycles."""
        return max(self.words // self.ways if spread else self.words, 4)

    def gap(self, spread: bool) -> int:
        """Cycles between two rounds: the ways end at once, and their sums leave one way after the other."""
        return self.words - self.words // self.ways if spread else 0

    EXPAND_DELAY: ClassVar[int] = 3
    """Cycles from a step in the decoder to its slots at the first chain."""

    MAC_DELAY: ClassVar[int] = 5
    """Cycles from slots at a chain to their sums."""

    @property
    def latency(self) -> int:
        """Cycles from a round's last step in the decoder to its first word."""
        return self.EXPAND_DELAY + self.MAC_DELAY + 2

    @property
    def block_bits(self) -> int:
        """Width of a block's number."""
        return ceil_log2(self.blocks)
