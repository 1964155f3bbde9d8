"""The patterns a block can have, their codes and what they cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hwgen.errors import BadInput
from hwgen.numerics import ceil_log2

__all__ = [
    "BLOCK",
    "CODE_BITS",
    "INDEX_BITS",
    "LANE_BITS",
    "PATTERNS",
    "SLOTS",
    "WAYS",
    "WEIGHT_BITS",
    "Pattern",
    "allowed",
    "names",
    "pattern_named",
]

BLOCK = 16
"""Rows of a block, and positions of a way: each takes one slot in a step."""

CODE_BITS = 4
"""Width of a pattern's code in the stream; codes from 8 on stand for nothing."""

WEIGHT_BITS = (2, 3, 4, 8)
"""Widths that a weight can have."""

LANE_BITS = {1: WEIGHT_BITS, 3: (4,), 4: (2,)}
"""Widths by lanes. More than one lane is what a DSP48E2 multiplies by one activation: W4A8x3 and W2A8x4."""

WAYS = (1, 2, 4, 8, 16)
"""Numbers of neighbouring blocks that can share a code."""


@dataclass(frozen=True)
class Pattern:
    """At most ``n`` weights that are not zero in each group of ``m`` consecutive rows of a column.

    Parameters
    ----------
    code : int
        What stands for it in the stream of codes.
    n : int
        Slots of a group.
    m : int
        Rows of a group, 4 or 16.
    """

    code: int
    n: int
    m: int

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"

    @property
    def slots(self) -> int:
        """Slots of one output in a block, and steps of a block: 0..16."""
        return self.n * (BLOCK // self.m)

    @property
    def index_bits(self) -> int:
        """Width of an index; none where every row of a group has a slot, or none has."""
        return 0 if self.n in (0, self.m) else ceil_log2(self.m)

    def block_bytes(self, bits: int, lanes: int = 1) -> int:
        """Bytes of the values and indices of a block of one way, without its code.

        Parameters
        ----------
        bits : int
            Width of a weight.
        lanes : int
            Weights of a slot.
        """
        return self.slots * BLOCK * (lanes * bits + self.index_bits) // 8


PATTERNS = (
    Pattern(0, 0, 16),
    Pattern(1, 1, 16),
    Pattern(2, 2, 16),
    Pattern(3, 4, 16),
    Pattern(4, 8, 16),
    Pattern(5, 16, 16),
    Pattern(6, 1, 4),
    Pattern(7, 2, 4),
)
"""All patterns by code. An output has ``(1 << code) >> 1`` slots in a block, from code 6 on ``4 << (code & 1)``."""

SLOTS = np.array([p.slots for p in PATTERNS])
"""Slots of one output in a block, by code."""

INDEX_BITS = np.array([p.index_bits for p in PATTERNS])
"""Width of an index, by code."""


def pattern_named(name: str) -> Pattern:
    """Pattern by its name, such as ``2:4``.

    Raises
    ------
    BadInput
        If no pattern has that name.
    """
    for pattern in PATTERNS:
        if str(pattern) == name:
            return pattern
    raise BadInput(f"there is no pattern {name!r}; the patterns are {names(PATTERNS)}")


def names(patterns: Iterable[Pattern]) -> str:
    """Patterns in a sentence."""
    return ", ".join(map(str, patterns))


def allowed(patterns: Pattern | Iterable[Pattern]) -> tuple[Pattern, ...]:
    """One or several patterns as a tuple, by code, each once.

    Raises
    ------
    BadInput
        If there is none, or one that :data:`PATTERNS` lacks.
    """
    found = {patterns} if isinstance(patterns, Pattern) else set(patterns)
    if not found:
        raise BadInput(f"at least one pattern must be allowed, of {names(PATTERNS)}")
    for pattern in found:
        if pattern not in PATTERNS:
            raise BadInput(
                f"code {pattern.code} for {pattern} is no pattern; the patterns are {names(PATTERNS)}"
            )
    return tuple(sorted(found, key=lambda p: p.code))
