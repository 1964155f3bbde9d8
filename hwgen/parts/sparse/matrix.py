"""A matrix in the sparse format: packing, unpacking, sizes, steps and bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.parts.sparse.bitstrings import ByteArray
from hwgen.parts.sparse.blocks import Tiling, from_blocks, matrix_of, to_blocks
from hwgen.parts.sparse.check import (
    check_bits,
    check_codes,
    check_outside,
    check_patterns,
    check_slots,
    check_weights,
)
from hwgen.parts.sparse.choice import choose, fill, occupied, spread
from hwgen.parts.sparse.layout import (
    CODE_WORD_BLOCKS,
    WORD_BYTES,
    Streams,
    by_pattern,
    code_bytes,
    index_rows,
    read_codes,
    read_indices,
    read_values,
    value_rows,
    value_word_bytes,
    write_streams,
)
from hwgen.parts.sparse.patterns import BLOCK, PATTERNS, SLOTS, Pattern, allowed

__all__ = ["HEADER_BYTES", "SparseMatrix", "StreamSizes", "Streams"]

_HEADER = struct.Struct("<4sBBBBII")  # magic, version, bits, lanes, ways, K, N
_MAGIC = b"HWNM"
_VERSION = 2

HEADER_BYTES = _HEADER.size
"""Bytes before the three streams in a file."""


class StreamSizes(NamedTuple):
    """Bytes of each stream."""

    codes: int
    values: int
    indices: int

    @property
    def total(self) -> int:
        """Bytes of all three."""
        return sum(self)


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """Weights of a matrix product, K rows that are summed over and N columns of outputs.

    A block has 16 rows and 16 * lanes * ways columns. A step is one slot of each of its 16 * ways positions.
    Steps follow each other as in the streams: by block column, then block, then slot.
    Arrays are copied and cannot be written to.

    Parameters
    ----------
    shape : tuple of int
        K and N, without padding.
    bits : int
        Width of a weight, one of :data:`LANE_BITS` for these lanes.
    lanes : int
        Columns that share an index: 1, 3 or 4.
    ways : int
        Groups of 16 positions that share a code, one of :data:`WAYS`.
    codes : uint8 array, shape (block columns, block rows)
        Code of each block's pattern; in C order that of the streams.
    values : int8 array, shape (steps, ways, 16 positions, lanes)
        Slots without a weight hold zero.
    indices : uint8 array, shape (steps, ways, 16 positions)
        Row of each slot in its group. Those of dense blocks are here, 0..15, but in no stream.

    Raises
    ------
    BadInput
        If a code is unknown, the slots are not those of the codes, a value leaves its width, an index
        leaves its group or does not ascend in it, or a weight lies outside of the shape.
    """

    shape: tuple[int, int]
    bits: int
    lanes: int
    ways: int
    codes: ByteArray
    values: npt.NDArray[np.int8]
    indices: ByteArray

    def __post_init__(self) -> None:
        tiling = self._tiling
        check_bits(self.bits, self.lanes)
        check_codes(np.asarray(self.codes), tiling)
        self._freeze("codes", np.array(self.codes, np.uint8, order="C"))
        check_slots(self.codes, self.bits, tiling, np.asarray(self.values), np.asarray(self.indices))
        self._freeze("values", np.array(self.values, np.int8, order="C"))
        self._freeze("indices", np.array(self.indices, np.uint8, order="C"))
        if self.shape[0] % BLOCK or self.shape[1] % tiling.width:
            check_outside(self._padded(), tiling)

    def _freeze(self, name: str, array: npt.NDArray[np.integer]) -> None:
        array.flags.writeable = False
        object.__setattr__(self, name, array)

    @property
    def _tiling(self) -> Tiling:
        return Tiling(self.shape, self.lanes, self.ways)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SparseMatrix) and all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)
        )

    @classmethod
    def pack(
        cls,
        weights: npt.ArrayLike,
        *,
        bits: int = 8,
        patterns: Pattern | Iterable[Pattern] = PATTERNS,
        fewest: Literal["bytes", "slots"] = "bytes",
        lanes: int = 1,
        ways: int = 1,
    ) -> SparseMatrix:
        """Pack a matrix, each block in the cheapest pattern that fits it.

        Parameters
        ----------
        weights : array, shape (K, N)
            Whole numbers of ``bits`` bits.
        bits : int
            Width of a weight, one of :data:`LANE_BITS` for these lanes.
        patterns : Pattern or iterable of Pattern
            Those that a block may have.
        fewest : str
            What to have the fewest of: ``bytes`` of values and indices, or ``slots``, which are cycles. The
            other one decides between equals, then the lower code.
        lanes : int
            Columns that share an index: 1, 3 or 4.
        ways : int
            Groups of 16 positions that share a code, one of :data:`WAYS`.

        Raises
        ------
        BadInput
            If a weight is no whole number of that width, or a block fits no pattern.
        """
        matrix = matrix_of(weights)
        tiling = Tiling((matrix.shape[0], matrix.shape[1]), lanes, ways)
        check_bits(bits, lanes)
        if fewest not in ("bytes", "slots"):
            raise BadInput(f"fewest must be bytes or slots, not {fewest!r}")
        check_weights(matrix, bits, tiling)

        def cost(pattern: Pattern) -> tuple[int, ...]:
            both = (pattern.block_bytes(bits, lanes), pattern.slots)
            return *(both if fewest == "bytes" else both[::-1]), pattern.code

        blocks = to_blocks(matrix.astype(np.int8, copy=False), tiling)
        masks = occupied(blocks)
        codes = choose(masks, allowed(patterns), cost, tiling)
        values = np.empty((int(SLOTS[codes].sum()), ways, BLOCK, lanes), np.int8)
        indices = np.empty(values.shape[:-1], np.uint8)
        for pattern, chosen, steps in by_pattern(codes):
            values[steps], indices[steps] = fill(blocks[chosen], masks[chosen], pattern)
        return cls(tiling.shape, bits, lanes, ways, codes, values, indices)

    def unpack(self) -> npt.NDArray[np.int8]:
        """The matrix that was packed, shape (K, N)."""
        return self._padded()[: self.shape[0], : self.shape[1]].copy()

    def _padded(self) -> npt.NDArray[np.int8]:
        """The matrix in whole blocks."""
        blocks = np.zeros((self.codes.size, BLOCK, self.ways, BLOCK, self.lanes), np.int8)
        for pattern, chosen, steps in by_pattern(self.codes):
            blocks[chosen] = spread(self.values[steps], self.indices[steps], pattern)
        return from_blocks(blocks, self._tiling)

    def require(self, patterns: Pattern | Iterable[Pattern]) -> None:
        """Refuse a matrix for hardware that reads only these patterns.

        Raises
        ------
        BadInput
            With the first block that has another pattern.
        """
        check_patterns(self.codes, allowed(patterns))

    @property
    def slots(self) -> npt.NDArray[np.int_]:
        """Slots of one position in each block, shape (block columns, block rows): also the block's steps."""
        return SLOTS[self.codes]

    def cycles(self, least: int, gap: int = 0) -> int:
        """Steps that an array takes for the whole matrix, one block column after the other.

        A code word whose blocks are all empty costs one step: the array must look at it.

        Parameters
        ----------
        least : int
            Steps that a block column takes at least.
        gap : int
            Steps lost after each block column.

        Raises
        ------
        BadInput
            If a number is negative.
        """
        if min(least, gap) < 0:
            raise BadInput(f"least and gap must not be negative, not {least} and {gap}")
        of_words = np.add.reduceat(
            self.slots, np.arange(0, self.codes.shape[1], CODE_WORD_BLOCKS), axis=1, dtype=np.int64
        )
        of_columns = np.maximum(of_words, 1).sum(axis=1)
        return int(np.maximum(of_columns, least).sum()) + gap * len(of_columns)

    @property
    def density(self) -> float:
        """Part of the weights that is not zero."""
        return int(np.count_nonzero(self.values)) / (self.shape[0] * self.shape[1])

    @property
    def code_words(self) -> int:
        """Words of a block column in the stream of codes, of 16 codes each."""
        return ceil_div(self.codes.shape[1], CODE_WORD_BLOCKS)

    @property
    def value_rows(self) -> int:
        """Rows of the stream of values, of one word for each way."""
        return value_rows(self.codes, self.bits, self.lanes)

    @property
    def index_rows(self) -> int:
        """Rows of the stream of indices, of one word for each way."""
        return index_rows(self.codes)

    @property
    def sizes(self) -> StreamSizes:
        """Bytes of each stream."""
        return _sizes(self.codes, self.bits, self._tiling)

    @property
    def dense_bytes(self) -> int:
        """Bytes of the same weights without codes, indices and padding."""
        return ceil_div(self.shape[0] * self.shape[1] * self.bits, 8)

    @property
    def bytes_per_dense(self) -> float:
        """Bytes of the streams for each byte of :attr:`dense_bytes`."""
        return self.sizes.total / self.dense_bytes

    def streams(self) -> Streams:
        """What the hardware reads."""
        return write_streams(self.codes, self.bits, self.values, self.indices)

    @classmethod
    def from_streams(
        cls, shape: tuple[int, int], bits: int, streams: Streams, *, lanes: int = 1, ways: int = 1
    ) -> SparseMatrix:
        """Read what :meth:`streams` wrote.

        Parameters
        ----------
        shape, bits, lanes, ways
            Those of the matrix.
        streams : Streams
            Its bytes.

        Raises
        ------
        BadInput
            If a stream has not the length that shape, width and codes ask for, or what they say is no
            matrix.
        """
        tiling = Tiling(shape, lanes, ways)
        check_bits(bits, lanes)
        _check_length("codes", streams.codes, code_bytes(tiling))
        codes = read_codes(streams.codes, tiling)
        sizes = _sizes(codes, bits, tiling)
        _check_length("values", streams.values, sizes.values)
        _check_length("indices", streams.indices, sizes.indices)
        values = read_values(streams.values, codes, bits, tiling)
        return cls(shape, bits, lanes, ways, codes, values, read_indices(streams.indices, codes, ways))

    def to_bytes(self) -> bytes:
        """A header of :data:`HEADER_BYTES` bytes and the three streams."""
        header = _HEADER.pack(_MAGIC, _VERSION, self.bits, self.lanes, self.ways, *self.shape)
        return b"".join((header, *self.streams()))

    @classmethod
    def from_bytes(cls, data: bytes, *, patterns: Pattern | Iterable[Pattern] = PATTERNS) -> SparseMatrix:
        """Read what :meth:`to_bytes` wrote.

        Parameters
        ----------
        data : bytes
            All of it, and nothing behind it.
        patterns : Pattern or iterable of Pattern
            Those that a block may have.

        Raises
        ------
        BadInput
            If the header is wrong, bytes lack or are left, or what they say is no matrix of these patterns.
        """
        if len(data) < HEADER_BYTES:
            raise BadInput(f"a sparse matrix begins with {HEADER_BYTES} bytes of header, not {len(data)}")
        magic, version, bits, lanes, ways, K, N = _HEADER.unpack_from(data)
        if (magic, version) != (_MAGIC, _VERSION):
            raise BadInput(
                f"a sparse matrix begins with {_MAGIC!r} and version {_VERSION}, not with {bytes(data[:5])!r}; "
                "write it again with this version"
            )
        tiling = Tiling((K, N), lanes, ways)
        check_bits(bits, lanes)
        values_at = HEADER_BYTES + code_bytes(tiling)
        _check_length("header and codes", data[:values_at], values_at)
        codes = read_codes(data[HEADER_BYTES:values_at], tiling)
        check_patterns(codes, allowed(patterns))
        sizes = _sizes(codes, bits, tiling)
        _check_length("the whole matrix", data, HEADER_BYTES + sizes.total)
        indices_at = values_at + sizes.values
        streams = Streams(data[HEADER_BYTES:values_at], data[values_at:indices_at], data[indices_at:])
        return cls.from_streams(tiling.shape, bits, streams, lanes=lanes, ways=ways)


def _sizes(codes: ByteArray, bits: int, tiling: Tiling) -> StreamSizes:
    """Bytes of the streams of a matrix with these codes."""
    return StreamSizes(
        code_bytes(tiling),
        value_rows(codes, bits, tiling.lanes) * tiling.ways * value_word_bytes(bits, tiling.lanes),
        index_rows(codes) * tiling.ways * WORD_BYTES,
    )


def _check_length(what: str, data: bytes, wanted: int) -> None:
    if len(data) != wanted:
        raise BadInput(f"{what} must be {wanted} bytes long, not {len(data)}; the bytes are damaged")
