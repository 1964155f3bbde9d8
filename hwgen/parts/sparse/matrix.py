"""A matrix in the sparse format: packing, unpacking, sizes and bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.parts.sparse.bitstrings import ByteArray
from hwgen.parts.sparse.blocks import from_blocks, groups, matrix_of, to_blocks
from hwgen.parts.sparse.check import (
    check_codes,
    check_form,
    check_outside,
    check_patterns,
    check_slots,
    check_weights,
)
from hwgen.parts.sparse.choice import choose, fill, nonzero_masks
from hwgen.parts.sparse.layout import (
    Streams,
    StreamSizes,
    by_pattern,
    code_bytes,
    read_codes,
    read_indices,
    read_values,
    stream_sizes,
    write_streams,
)
from hwgen.parts.sparse.patterns import BLOCK, PATTERNS, SLOTS, Pattern, allowed

__all__ = ["HEADER_BYTES", "SparseMatrix", "StreamSizes", "Streams"]

_HEADER = struct.Struct("<4sBBHII")  # magic, version, bits, zero, K, N
_MAGIC = b"HWNM"
_VERSION = 1

HEADER_BYTES = _HEADER.size
"""Bytes before the three streams in a file."""


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """Weights of a matrix product, K rows that are summed over and N columns of outputs.

    Arrays are copied and cannot be written to.

    Parameters
    ----------
    shape : tuple of int
        K and N, without padding.
    bits : int
        Width of a weight, one of :data:`WEIGHT_BITS`.
    codes : uint8 array, shape (block columns, block rows)
        Code of each block's pattern; in C order that of the streams.
    values : int8 array, shape (slots,)
        By block, column, group, index; slots without a weight hold zero.
    indices : uint8 array, shape (slots,)
        Row of each value in its group. Those of dense blocks are here, 0..15, but in no stream.

    Raises
    ------
    BadInput
        If a code is unknown, the slots are not those of the codes, a value leaves its width, an index
        leaves its group or does not ascend in it, or a weight lies outside of the shape.
    """

    shape: tuple[int, int]
    bits: int
    codes: ByteArray
    values: npt.NDArray[np.int8]
    indices: ByteArray

    def __post_init__(self) -> None:
        check_form(self.shape, self.bits)
        check_codes(np.asarray(self.codes), self.shape)
        self._freeze("codes", np.array(self.codes, np.uint8))
        check_slots(self.codes, self.bits, np.asarray(self.values), np.asarray(self.indices))
        self._freeze("values", np.array(self.values, np.int8))
        self._freeze("indices", np.array(self.indices, np.uint8))
        if self.shape[0] % BLOCK or self.shape[1] % BLOCK:
            check_outside(self._padded(), self.shape)

    def _freeze(self, name: str, array: npt.NDArray[np.integer]) -> None:
        array.flags.writeable = False
        object.__setattr__(self, name, array)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SparseMatrix)
            and (self.shape, self.bits) == (other.shape, other.bits)
            and np.array_equal(self.codes, other.codes)
            and np.array_equal(self.values, other.values)
            and np.array_equal(self.indices, other.indices)
        )

    @classmethod
    def pack(
        cls,
        weights: npt.ArrayLike,
        *,
        bits: int = 8,
        patterns: Pattern | Iterable[Pattern] = PATTERNS,
        fewest: Literal["bytes", "slots"] = "bytes",
    ) -> SparseMatrix:
        """Pack a matrix, each block in the cheapest pattern that fits it.

        Parameters
        ----------
        weights : array, shape (K, N)
            Whole numbers of ``bits`` bits.
        bits : int
            Width of a weight, one of :data:`WEIGHT_BITS`.
        patterns : Pattern or iterable of Pattern
            Those that a block may have.
        fewest : str
            What to have the fewest of: ``bytes`` of values and indices, or ``slots``, which are cycles. The
            other one decides between equals, then the lower code.

        Raises
        ------
        BadInput
            If a weight is no whole number of that width, or a block fits no pattern.
        """
        matrix = matrix_of(weights)
        shape = (matrix.shape[0], matrix.shape[1])
        check_form(shape, bits)
        if fewest not in ("bytes", "slots"):
            raise BadInput(f"fewest must be bytes or slots, not {fewest!r}")
        check_weights(matrix, bits)

        def cost(pattern: Pattern) -> tuple[int, ...]:
            both = (pattern.block_bytes(bits), pattern.slots)
            return *(both if fewest == "bytes" else both[::-1]), pattern.code

        blocks = to_blocks(matrix.astype(np.int8, copy=False))
        masks = nonzero_masks(blocks)
        codes = choose(masks, allowed(patterns), cost, shape)
        values = np.empty((int(SLOTS[codes].sum()), BLOCK), np.int8)
        indices = np.empty(values.shape, np.uint8)
        for pattern, chosen, steps in by_pattern(codes):
            found, rows = fill(blocks[chosen], masks[chosen], pattern)
            values[steps] = found.reshape(*steps.shape, BLOCK)
            indices[steps] = rows.reshape(*steps.shape, BLOCK)
        return cls(shape, bits, codes, values.ravel(), indices.ravel())

    def unpack(self) -> npt.NDArray[np.int8]:
        """The matrix that was packed, shape (K, N)."""
        return self._padded()[: self.shape[0], : self.shape[1]].copy()

    def _padded(self) -> npt.NDArray[np.int8]:
        """The matrix in whole blocks."""
        blocks = np.zeros((self.codes.size, BLOCK, BLOCK), np.int8)
        values, indices = self.values.reshape(-1, BLOCK), self.indices.reshape(-1, BLOCK)
        for pattern, chosen, steps in by_pattern(self.codes):
            slots = (len(chosen), BLOCK, BLOCK // pattern.m, pattern.n)
            if pattern.n == pattern.m:
                blocks[chosen] = values[steps].reshape(-1, BLOCK, BLOCK)
                continue
            part = groups(np.zeros((len(chosen), BLOCK, BLOCK), np.int8), pattern)
            rows = indices[steps].reshape(slots).astype(np.intp)
            np.put_along_axis(part, rows, values[steps].reshape(slots), axis=-1)
            blocks[chosen] = part.reshape(-1, BLOCK, BLOCK)
        return from_blocks(blocks, self.shape)

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
        """Slots of one output in each block, shape (block columns, block rows): also the block's steps of 16 slots."""
        return SLOTS[self.codes]

    @property
    def density(self) -> float:
        """Part of the weights that is not zero."""
        return int(np.count_nonzero(self.values)) / (self.shape[0] * self.shape[1])

    @property
    def sizes(self) -> StreamSizes:
        """Bytes of each stream."""
        return stream_sizes(self.codes, self.bits)

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
    def from_streams(cls, shape: tuple[int, int], bits: int, streams: Streams) -> SparseMatrix:
        """Read what :meth:`streams` wrote.

        Raises
        ------
        BadInput
            If a stream has not the length that shape, width and codes ask for, or what they say is no
            matrix.
        """
        check_form(shape, bits)
        _check_length("codes", streams.codes, code_bytes(shape))
        codes = read_codes(streams.codes, shape)
        sizes = stream_sizes(codes, bits)
        _check_length("values", streams.values, sizes.values)
        _check_length("indices", streams.indices, sizes.indices)
        return cls(
            shape, bits, codes, read_values(streams.values, bits), read_indices(streams.indices, codes)
        )

    def to_bytes(self) -> bytes:
        """A header of :data:`HEADER_BYTES` bytes and the three streams."""
        return b"".join((_HEADER.pack(_MAGIC, _VERSION, self.bits, 0, *self.shape), *self.streams()))

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
        magic, version, bits, zero, *size = _HEADER.unpack_from(data)
        if (magic, version, zero) != (_MAGIC, _VERSION, 0):
            raise BadInput(
                f"a sparse matrix begins with {_MAGIC!r}, version {_VERSION}, its width and two zero bytes, "
                f"not with {bytes(data[:8])!r}"
            )
        shape = (size[0], size[1])
        check_form(shape, bits)
        values_at = HEADER_BYTES + code_bytes(shape)
        _check_length("header and codes", data[:values_at], values_at)
        codes = read_codes(data[HEADER_BYTES:values_at], shape)
        check_patterns(codes, allowed(patterns))
        sizes = stream_sizes(codes, bits)
        _check_length("the whole matrix", data, HEADER_BYTES + sizes.total)
        indices_at = values_at + sizes.values
        streams = Streams(data[HEADER_BYTES:values_at], data[values_at:indices_at], data[indices_at:])
        return cls.from_streams(shape, bits, streams)


def _check_length(what: str, data: bytes, wanted: int) -> None:
    if len(data) != wanted:
        raise BadInput(f"{what} must be {wanted} bytes long, not {len(data)}; the bytes are damaged")
