"""Configuration of the bit-serial GEMM core, and every number that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwgen.config import CoreConfig, require_choice, require_int
from hwgen.cores.lut_gemm.shape import LUT6_TARGETS, ArrayShape
from hwgen.errors import BadInput
from hwgen.numerics import INT32, IntFormat, ceil_log2
from hwgen.parts.corner_turn import LATENCY as CORNER_TURN_LATENCY
from hwgen.parts.popcount import plan
from hwgen.streams import Field, Stream

__all__ = ["TARGETS", "LutGemmConfig"]

TARGETS = ("generic", *LUT6_TARGETS)
"""Targets that the core is built for; all but ``generic`` place LUT6 and LUT6_2 instances."""

_WORD_BITS = (8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True, kw_only=True)
class LutGemmConfig(CoreConfig):
    """Parameters of the bit-serial GEMM core.

    Parameters
    ----------
    dm : int
        Rows of C computed at once, 1..32.
    dk : int
        Bits per dot product and cycle: 8, 16, 32, 64, 128, 256 or 512.
    dn : int
        Columns of C computed at once, 1..32; ``2 * dm * dk * dn`` is the array's binary operations per cycle.
    a_words : int
        Bit-plane words that a row of A may have, a power of two, 8..16384; two tiles of A are kept.
    b_words : int
        Bit-plane words that a column of the array may have for B, all tiles of a command together, a power of
        two, 8..16384; two commands' B are kept.
    target : str
        ``generic`` (counters left to the synthesizer), ``xilinx7`` or ``ultrascale+`` (LUT6 and LUT6_2 instances).
    size_bits : int
        Width of M, N and K in a command, 6..32, and enough for the K that fills the larger buffer.
    """

    core: ClassVar[str] = "lut_gemm"

    dm: int = 8
    dk: int = 64
    dn: int = 8
    a_words: int = 512
    b_words: int = 512
    target: str = "generic"
    size_bits: int = 20

    def __post_init__(self) -> None:
        require_int("dm", self.dm, 1, 32)
        require_int("dn", self.dn, 1, 32)
        if self.dk not in _WORD_BITS or isinstance(self.dk, bool):
            raise BadInput(f"dk must be one of {', '.join(map(str, _WORD_BITS))}, not {self.dk!r}")
        for name in ("a_words", "b_words"):
            words = getattr(self, name)
            require_int(name, words, 8, 16384)
            if words & (words - 1):
                raise BadInput(f"{name} must be a power of two, not {words!r}")
        require_choice("target", self.target, TARGETS)
        require_int("size_bits", self.size_bits, 6, 32)
        needs = ceil_log2(self.dk) + self.word_bits
        if self.size_bits < needs:
            raise BadInput(
                f"buffers of {1 << self.word_bits} words of {self.dk} bits hold K up to {1 << needs}, but "
                f"size_bits={self.size_bits} counts to {(1 << self.size_bits) - 1}; choose size_bits={needs} or "
                "fewer words"
            )

    @property
    def array(self) -> ArrayShape:
        """The array of dot-product units."""
        return ArrayShape(self.dm, self.dk, self.dn, self.target in LUT6_TARGETS)

    @property
    def binary_ops_per_cycle(self) -> int:
        """AND and addition of single bits per cycle: what BISMO calls binary operations."""
        return 2 * self.dm * self.dk * self.dn

    @property
    def word_bits(self) -> int:
        """Width of an index of words of one operand, without the region."""
        return ceil_log2(max(self.a_words, self.b_words))

    FIFO_DEPTH: ClassVar[int] = 16
    """Beats that wait in front of the corner turn: a block being read and one that arrives."""

    @property
    def ones_latency(self) -> int:
        """Cycles from a plane word to the number of its ones."""
        return plan(self.dk).latency(self.array.COUNT_STAGES)

    @property
    def load_delay(self) -> int:
        """Cycles from the cycle of a plane in its block to the one in which it and its sum have been stored.

        Operand register, corner turn, count of ones, their weight, the sum.
        """
        return 1 + CORNER_TURN_LATENCY + self.ones_latency + 2

    OPERAND_DELAY: ClassVar[int] = 2
    """Cycles from a step to its words at the array: address register and memory."""

    RESULT_DELAY: ClassVar[int] = 3
    """Cycles from a row at the array's output to its entry into the result buffer."""

    @property
    def store_delay(self) -> int:
        """Cycles from a sum's last step to its first row entering the result buffer."""
        return self.OPERAND_DELAY + self.array.latency + self.RESULT_DELAY

    @property
    def latency(self) -> int:
        """Cycles from a sum's last step to its first row being offered, nothing waiting."""
        return self.store_delay + 2

    @property
    def result_depth(self) -> int:
        """Rows in the result buffer: those in flight and a whole tile beside them."""
        return 1 << ceil_log2(self.dm + self.store_delay + 4)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Ports of the stand-alone block."""
        size, top, kind = IntFormat(self.size_bits, False), IntFormat(3, False), IntFormat(2, False)
        order = "value k of a block of dk in beat k % w, lane k // w, w = 1, 2, 4, 8 bits"
        return (
            Stream(
                "cmd",
                "in",
                (
                    Field("m", 1, size, "rows of A and C"),
                    Field("n", 1, size, "columns of B and C"),
                    Field("k", 1, size, "columns of A, rows of B"),
                    Field("a_top", 1, top, "bits of A's operands, less one"),
                    Field("b_top", 1, top, "bits of B's operands, less one"),
                    Field("a_kind", 1, kind, "0 unsigned, 1 signed, 2 bipolar, 3 ternary"),
                    Field("b_kind", 1, kind, "the same for B"),
                ),
                "one word per GEMM",
            ),
            Stream("b", "in", (Field("b", self.dk, IntFormat(1, False), order),), "columns of B, one by one"),
            Stream("a", "in", (Field("a", self.dk, IntFormat(1, False), order),), "rows of A, one by one"),
            Stream(
                "c",
                "out",
                (Field("c", self.dn, INT32, "C[m, n + i] in lane i"),),
                "results, one row of a tile per beat; TLAST ends a command",
                last=True,
            ),
        )
