"""The format of N:M sparse weights: patterns, packing, pruning, and the bytes that an engine reads."""

from __future__ import annotations

from hwgen.parts.sparse.matrix import HEADER_BYTES, SparseMatrix, Streams, StreamSizes
from hwgen.parts.sparse.patterns import BLOCK, PATTERNS, WEIGHT_BITS, Pattern, pattern_named
from hwgen.parts.sparse.prune import prune

__all__ = [
    "BLOCK",
    "HEADER_BYTES",
    "PATTERNS",
    "WEIGHT_BITS",
    "Pattern",
    "SparseMatrix",
    "StreamSizes",
    "Streams",
    "pattern_named",
    "prune",
]
