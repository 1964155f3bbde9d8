"""Configuration of the sparse chain, and every number that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from hwgen.config import CoreConfig, require_bool, require_choice, require_int
from hwgen.cores.sparse_chain.shape import PACKINGS, ChainShape
from hwgen.errors import BadInput
from hwgen.numerics import INT32, IntFormat, ceil_log2
from hwgen.parts.sparse import BLOCK
from hwgen.streams import Field, Stream

__all__ = ["TARGETS", "SparseChainConfig"]

TARGETS = ("generic", "ultrascale+")
"""Targets that the core is built for; ``generic`` leaves the multipliers to the synthesizer."""


@dataclass(frozen=True, kw_only=True)
class SparseChainConfig(CoreConfig):
    """Parameters of the sparse chain.

    Parameters
    ----------
    rows : int
        Rows of C computed at once, 1..64; even for packing ``a8x2``, whose multipliers serve two rows.
    ways : int
        Column tiles computed at once in matrix-vector mode: a power of two that divides the chains, 1..16.
    depth : int
        Activations of a row that the operand memories hold, a power of two, 64..4096; half of them are used while the
        other half is filled.
    narrow : bool
        Whether weights of 2, 3 and 4 bits are expanded on chip beside those of 8 (packing ``a8x2``).
    packing : str
        What a multiplier shares: ``a8x2`` one 8-bit weight between two activations; ``w4x3``, ``w2x4`` one activation
        between three 4-bit or four 2-bit weights (``ultrascale+`` only).
    target : str
        ``generic`` (inferred multipliers) or ``ultrascale+`` (DSP48E2 instances).
    sum_words : int
        Accumulators, in words of 16 sums: rows of C times column tiles that are worked on together if K takes several
        passes. A power of two, at least the sums of one round, up to 16,384.
    size_bits : int
        Width of M, N and K in a command, 6..32.
    """

    core: ClassVar[str] = "sparse_chain"

    rows: int = 16
    ways: int = 1
    depth: int = 512
    narrow: bool = True
    packing: str = "a8x2"
    target: str = "generic"
    sum_words: int = 1024
    size_bits: int = 20

    def __post_init__(self) -> None:
        require_choice("target", self.target, TARGETS)
        require_choice("packing", self.packing, tuple(PACKINGS))
        require_bool("narrow", self.narrow)
        require_int("rows", self.rows, 1, 64)
        require_int("ways", self.ways, 1, 16)
        require_int("depth", self.depth, 64, 4096)
        require_int("sum_words", self.sum_words, 16, 16384)
        require_int("size_bits", self.size_bits, 6, 32)
        packed = PACKINGS[self.packing]
        if packed.columns > 1 and self.target == "generic":
            raise BadInput(
                f"packing {self.packing} needs a DSP block of known port widths, which target generic does not have; "
                "choose packing=a8x2 or target=ultrascale+"
            )
        if packed.columns > 1 and self.narrow:
            raise BadInput(
                f"packing {self.packing} takes weights of {packed.weight_bits} bits only; choose narrow=false"
            )
        if self.rows % packed.rows:
            raise BadInput(f"rows must be even for packing {self.packing}, not {self.rows}")
        for name in ("ways", "depth", "sum_words"):
            value = getattr(self, name)
            if value & (value - 1):
                raise BadInput(f"{name} must be a power of two, not {value}")
        chains = self.rows // packed.rows
        if chains % self.ways:
            raise BadInput(
                f"ways must divide the {chains} chains that {self.rows} rows need, and {self.ways} does not; "
                "choose a smaller power of two"
            )
        if self.sum_words < self.array.words:
            raise BadInput(
                f"sum_words must be at least the {self.array.words} words of one round, not {self.sum_words}"
            )

    @cached_property
    def array(self) -> ChainShape:
        """Size of the chains."""
        primitive = self.target != "generic"
        return ChainShape(
            self.rows, self.ways, self.depth, self.narrow, self.packing, primitive, self.depth // 2
        )

    @property
    def weight_bits(self) -> tuple[int, ...]:
        """Widths that a command's weights can have."""
        return self.array.weight_bits

    @property
    def act(self) -> IntFormat:
        """Format of A."""
        return IntFormat(8, True)

    @property
    def pass_blocks(self) -> int:
        """Most blocks of K that are in the operand memories for one pass."""
        return self.depth // 2 // BLOCK

    @property
    def result_depth(self) -> int:
        """Entries of the result buffer: what leaves the array while another round's rows wait."""
        return 1 << ceil_log2(4 * self.array.words + 16)

    RESULT_DELAY: ClassVar[int] = 3
    """Cycles from a row leaving the array to its result being offered."""

    @property
    def latency(self) -> int:
        """Cycles from a column tile's last step to its first result being offered, nothing waiting."""
        return self.array.latency + self.RESULT_DELAY

    FIFO_DEPTH: ClassVar[int] = 4
    """Beats of codes, values and indices that are taken ahead."""

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Ports of the stand-alone block."""
        size = IntFormat(self.size_bits, False)
        flag = IntFormat(1, False)
        byte = IntFormat(8, False)
        array = self.array
        return (
            Stream(
                "cmd",
                "in",
                (
                    Field("m", 1, size, "rows of A and C"),
                    Field("tiles", 1, size, "columns of C, in tiles of 16"),
                    Field("k", 1, size, "columns of A"),
                    Field("rounds", 1, size, "rounds of column tiles"),
                    Field("group_rounds", 1, size, "rounds of column tiles per group"),
                    Field("pass_blocks", 1, IntFormat(8, False), "blocks of 16 of K per pass"),
                    Field("weight_bits", 1, IntFormat(4, False), "width of a weight"),
                    Field("spread", 1, flag, "matrix-vector: ways compute neighbouring column tiles"),
                ),
                "one word per product",
            ),
            Stream(
                "a",
                "in",
                (Field("a", self.rows, self.act, "A[m + r, k] in lane r"),),
                "activations, one k of a tile of rows per beat",
            ),
            Stream(
                "code",
                "in",
                (Field("code", BLOCK, IntFormat(4, False), "pattern of each block, the first one lowest"),),
                "codes of 16 blocks along K per beat",
            ),
            Stream(
                "value",
                "in",
                (Field("value", array.value_bytes, byte, "words of the ways, way 0 lowest"),),
                "values, one row of the packed stream per beat",
            ),
            Stream(
                "index",
                "in",
                (Field("index", array.index_bytes, byte, "words of the ways, way 0 lowest"),),
                "indices, one row of the packed stream per beat",
            ),
            Stream(
                "c",
                "out",
                (Field("c", BLOCK, INT32, "C[m, n + i] in lane i"),),
                "results, one row of a column tile per beat; TLAST ends a command",
                last=True,
            ),
        )
