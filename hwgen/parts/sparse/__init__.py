"""The format of N:M sparse weights: patterns, packing, pruning, and the bytes that an engine reads."""

from __future__ import annotations

from hwgen.parts.sparse.layout import CODE_WORD_BLOCKS, WORD_BYTES, value_word_bytes
from hwgen.parts.sparse.matrix import HEADER_BYTES, SparseMatrix, Streams, StreamSizes
from hwgen.parts.sparse.patterns import (
    BLOCK,
    LANE_BITS,
    PATTERNS,
    WAYS,
    WEIGHT_BITS,
    Pattern,
    pattern_named,
)
from hwgen.parts.sparse.prune import prune

__all__ = [
    "BLOCK",
    "CODE_WORD_BLOCKS",
    "HEADER_BYTES",
    "LANE_BITS",
    "PATTERNS",
    "WAYS",
    "WEIGHT_BITS",
    "WORD_BYTES",
    "Pattern",
    "SparseMatrix",
    "StreamSizes",
    "Streams",
    "pattern_named",
    "prune",
    "value_word_bytes",
]
