"""The sparse format against a reference written slot by slot, and what it refuses."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.parts.sparse import (
    HEADER_BYTES,
    PATTERNS,
    WEIGHT_BITS,
    Pattern,
    SparseMatrix,
    Streams,
    pattern_named,
    prune,
)

DENSE = pattern_named("16:16")
SHAPES = st.tuples(st.integers(1, 50), st.integers(1, 40))
SEEDS = st.integers(0, 2**32 - 1)
BITS = st.sampled_from(WEIGHT_BITS)
SUBSETS = st.sets(st.sampled_from(PATTERNS), min_size=1)
# Widths of codes and indices, written down once more.
INDEX_BITS = {"0:16": 0, "1:16": 4, "2:16": 4, "4:16": 4, "8:16": 4, "16:16": 0, "1:4": 2, "2:4": 2}


def _grid(shape: tuple[int, int]) -> tuple[int, int]:
    return math.ceil(shape[1] / 16), math.ceil(shape[0] / 16)


def _weights(shape: tuple[int, int], bits: int, seed: int) -> np.ndarray:
    """Weights with blocks of every pattern, many of them at the ends of the range."""
    rng = np.random.default_rng(seed)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    weights = rng.integers(low, high, shape, endpoint=True)
    weights = np.where(rng.random(shape) < 0.3, rng.choice([low, high], shape), weights)
    return prune(weights * (rng.random(shape) < rng.choice([0.1, 1])), rng.integers(0, 8, _grid(shape)))


def _groups(weights: np.ndarray, block_row: int, block_column: int, m: int) -> Iterator[list[int]]:
    """Groups of a block in the order of the slots, zeros around the matrix."""
    K, N = weights.shape
    for column in range(16 * block_column, 16 * block_column + 16):
        for first in range(16 * block_row, 16 * block_row + 16, m):
            yield [int(weights[r, column]) if r < K and column < N else 0 for r in range(first, first + m)]


def _blocks(shape: tuple[int, int]) -> list[tuple[int, int]]:
    columns, rows = _grid(shape)
    return [(row, column) for column in range(columns) for row in range(rows)]


def _fits(weights: np.ndarray, block: tuple[int, int], pattern: Pattern) -> bool:
    return all(sum(w != 0 for w in group) <= pattern.n for group in _groups(weights, *block, pattern.m))


class _String:
    """A bit string, the first number lowest."""

    def __init__(self) -> None:
        self.bits = 0
        self.length = 0

    def put(self, number: int, width: int) -> None:
        self.bits |= (number & ((1 << width) - 1)) << self.length
        self.length += width

    def bytes(self) -> bytes:
        return self.bits.to_bytes(math.ceil(self.length / 8), "little")


def _reference(weights: np.ndarray, bits: int, codes: np.ndarray) -> Streams:
    """The streams as the README describes them."""
    strings = [_String() for _ in range(3)]
    for row, column in _blocks(weights.shape):
        pattern = PATTERNS[codes[column, row]]
        strings[0].put(pattern.code, 3)
        for group in _groups(weights, row, column, pattern.m):
            taken = [i for i, w in enumerate(group) if w]
            free = [i for i, w in enumerate(group) if not w]
            for index in sorted(taken + free[: pattern.n - len(taken)]):
                strings[1].put(group[index], bits)
                strings[2].put(index, INDEX_BITS[str(pattern)])
        assert strings[1].length % 8 == strings[2].length % 8 == 0
    return Streams(*(s.bytes() for s in strings))


@given(SHAPES, BITS, SEEDS)
@example((1, 1), 8, 0)
@example((16, 16), 3, 1)
@example((17, 1), 2, 2)
@example((1, 33), 4, 3)
@settings(max_examples=150, deadline=None)
def test_round_trips_and_bytes(shape: tuple[int, int], bits: int, seed: int) -> None:
    weights = _weights(shape, bits, seed)
    packed = SparseMatrix.pack(weights, bits=bits)
    assert np.array_equal(packed.unpack(), weights)
    assert packed.unpack().dtype == np.int8
    streams = packed.streams()
    assert streams == _reference(weights, bits, packed.codes)
    assert packed.sizes == tuple(map(len, streams))
    assert SparseMatrix.from_streams(shape, bits, streams) == packed
    data = packed.to_bytes()
    assert len(data) == HEADER_BYTES + packed.sizes.total
    assert SparseMatrix.from_bytes(data) == packed
    assert packed.density == (weights != 0).sum() / weights.size
    assert packed.dense_bytes == math.ceil(weights.size * bits / 8)
    assert packed.bytes_per_dense == packed.sizes.total / packed.dense_bytes
    assert packed.slots.sum() * 16 == packed.values.size == packed.indices.size


@given(SHAPES, BITS, SEEDS, SUBSETS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_cheapest_pattern_is_chosen(
    shape: tuple[int, int], bits: int, seed: int, patterns: set[Pattern], by_slots: bool
) -> None:
    weights = _weights(shape, bits, seed)

    def cost(pattern: Pattern) -> tuple[float, ...]:
        slots = pattern.n * 16 // pattern.m
        size = slots * 16 * (bits + INDEX_BITS[str(pattern)]) / 8
        return (slots, size, pattern.code) if by_slots else (size, slots, pattern.code)

    best = {
        block: min((p for p in patterns if _fits(weights, block, p)), key=cost, default=None)
        for block in _blocks(shape)
    }
    fewest = "slots" if by_slots else "bytes"
    misfits = [block for block, pattern in best.items() if pattern is None]
    if misfits:
        words = f"^block row {misfits[0][0]}, block column {misfits[0][1]} fits none of "
        with pytest.raises(BadInput, match=words):
            SparseMatrix.pack(weights, bits=bits, patterns=patterns, fewest=fewest)
        return
    packed = SparseMatrix.pack(weights, bits=bits, patterns=patterns, fewest=fewest)
    assert {(r, c): PATTERNS[packed.codes[c, r]] for r, c in best} == best
    packed.require(patterns)
    assert np.array_equal(packed.unpack(), weights)
    assert packed.streams() == _reference(weights, bits, packed.codes)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_every_column_packs_where_it_fits(pattern: Pattern) -> None:
    masks = (np.arange(1 << 16) >> np.arange(16)[:, None]) & 1
    full = masks.reshape(16 // pattern.m, pattern.m, -1).sum(axis=1).max(axis=0)
    weights = (masks * -(1 + np.arange(16)[:, None]))[:, full <= pattern.n]
    packed = SparseMatrix.pack(weights, patterns=pattern)
    assert set(packed.codes.ravel()) == {pattern.code}
    assert np.array_equal(packed.unpack(), weights)
    if pattern.n:
        indices = packed.indices.reshape(-1, pattern.n)
        assert (np.diff(indices.astype(int), axis=1) > 0).all()
        assert indices.max() < pattern.m


@pytest.mark.parametrize("bits", WEIGHT_BITS)
@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_every_value_of_every_width(pattern: Pattern, bits: int) -> None:
    values = np.arange(-(1 << (bits - 1)), 1 << (bits - 1))
    weights = prune(np.tile(values, (32, 1)), pattern)
    packed = SparseMatrix.pack(weights, bits=bits, patterns=pattern)
    assert np.array_equal(SparseMatrix.from_bytes(packed.to_bytes()).unpack(), weights)
    assert packed.slots.tolist() == [[pattern.n * 16 // pattern.m] * 2] * math.ceil(len(values) / 16)


def _pruned(weights: np.ndarray, codes: np.ndarray) -> np.ndarray:
    kept = np.zeros_like(weights)
    for row, column in np.ndindex(*weights.shape):
        pattern = PATTERNS[codes[column // 16, row // 16]]
        first = row // pattern.m * pattern.m
        rows = range(first, min(first + pattern.m, weights.shape[0]))
        best = sorted(rows, key=lambda r, c=column: (-abs(weights[r, c].item()), r))[: pattern.n]
        if row in best:
            kept[row, column] = weights[row, column]
    return kept


@given(SHAPES, SEEDS, st.sampled_from(["i1", "i8", "u1", "f4", "f8", "?"]), st.booleans())
@settings(max_examples=100, deadline=None)
def test_pruning_keeps_the_largest(shape: tuple[int, int], seed: int, kind: str, narrow: bool) -> None:
    rng = np.random.default_rng(seed)
    if kind[0] in "iu":
        info = np.iinfo(kind)
        low, high = (max(-2, info.min), 2) if narrow else (info.min, info.max)  # narrow: many ties
        weights = rng.integers(low, high, shape, dtype=kind, endpoint=True)
    else:
        weights = rng.normal(size=shape).round(0 if narrow else 3).astype(kind)
    before = weights.copy()
    codes = rng.integers(0, 8, _grid(shape))
    pruned = prune(weights, codes)
    assert pruned.dtype == weights.dtype
    assert np.array_equal(pruned, _pruned(weights, codes))
    assert np.array_equal(prune(pruned, codes), pruned)
    assert np.array_equal(weights, before)
    assert all(_fits(pruned, (r, c), PATTERNS[codes[c, r]]) for r, c in _blocks(shape))
    pattern = PATTERNS[codes[0, 0]]
    assert np.array_equal(prune(weights, pattern), prune(weights, np.full_like(codes, pattern.code)))


def test_the_lowest_integers_are_the_largest_magnitudes() -> None:
    weights = np.array([[127], [-128], [127], [-128]], np.int8)
    assert prune(weights, pattern_named("2:4")).ravel().tolist() == [0, -128, 0, -128]
    lowest = np.iinfo(np.int64).min
    assert prune([[lowest + 1], [lowest]], pattern_named("1:4")).ravel().tolist() == [0, lowest]
    packed = SparseMatrix.pack(weights, patterns=DENSE)
    assert packed.streams().values[:4] == bytes([127, 128, 127, 128])
    assert packed.unpack().tolist() == weights.tolist()


def _read(data: bytes) -> SparseMatrix | None:
    """The matrix of bytes; none if they are refused, and no other error."""
    try:
        return SparseMatrix.from_bytes(data)
    except BadInput:
        return None


@given(SHAPES, BITS, SEEDS, st.data())
@settings(max_examples=300, deadline=None)
def test_corrupt_bytes_are_refused_or_mean_a_matrix(
    shape: tuple[int, int], bits: int, seed: int, data: st.DataObject
) -> None:
    whole = bytearray(SparseMatrix.pack(_weights(shape, bits, seed), bits=bits).to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(whole) - 1))
        match data.draw(st.sampled_from(["flip", "set", "cut", "drop", "add"])):
            case "flip":
                whole[position] ^= 1 << data.draw(st.integers(0, 7))
            case "set":
                whole[position] = data.draw(st.integers(0, 255))
            case "cut":
                del whole[max(1, position) :]
            case "drop" if len(whole) > 1:
                del whole[position]
            case "add":
                whole.insert(position, data.draw(st.integers(0, 255)))
    read = _read(bytes(whole))
    if read is None:
        return
    assert read.to_bytes() == whole
    again = SparseMatrix.pack(read.unpack(), bits=read.bits)
    assert np.array_equal(again.unpack(), read.unpack())
    assert again.sizes.total <= read.sizes.total


EXAMPLE = np.zeros((20, 3), int)
EXAMPLE[[3, 9, 17], [0, 0, 2]] = 5, -2, 7
EXAMPLE_STREAMS = Streams(
    codes=bytes.fromhex("0A"),
    values=bytes.fromhex("E5" + 15 * "00") + bytes.fromhex("0007" + 6 * "00"),
    indices=bytes.fromhex("93" + 15 * "10") + bytes.fromhex("0001" + 6 * "00"),
)


def test_the_example_of_the_readme() -> None:
    packed = SparseMatrix.pack(EXAMPLE, bits=4)
    assert packed.codes.tolist() == [[2, 1]]
    assert packed.streams() == EXAMPLE_STREAMS
    header = b"HWNM" + bytes([1, 4, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0])
    assert packed.to_bytes() == header + b"".join(EXAMPLE_STREAMS)
    assert packed.sizes == (1, 24, 24)
    assert packed.sizes.total == 49
    assert packed.dense_bytes == 30


def test_patterns_are_what_hardware_decodes() -> None:
    assert [p.code for p in PATTERNS] == list(range(8))
    assert [p.slots for p in PATTERNS] == [(1 << c) >> 1 if c < 6 else 4 << (c & 1) for c in range(8)]
    assert {str(p): p.index_bits for p in PATTERNS} == INDEX_BITS
    assert [pattern_named(str(p)) for p in PATTERNS] == list(PATTERNS)


def test_arrays_are_copied_and_frozen() -> None:
    packed = SparseMatrix.pack(EXAMPLE, bits=4)
    for array in (packed.codes, packed.values, packed.indices):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    values = packed.values.copy()
    other = SparseMatrix(packed.shape, 4, packed.codes, values, packed.indices)
    values[:] = 0
    assert other == packed
    assert packed != SparseMatrix.pack(EXAMPLE, bits=8)
    assert packed != SparseMatrix.pack(EXAMPLE, bits=4, patterns=DENSE)
    assert packed != "a matrix"


def test_few_bits_make_slots_and_bytes_differ() -> None:
    weights = prune(np.ones((16, 16), int), pattern_named("8:16"))
    assert SparseMatrix.pack(weights, bits=2).codes.item() == DENSE.code
    assert SparseMatrix.pack(weights, bits=2, fewest="slots").codes.item() == pattern_named("8:16").code
    # Equal in bytes: the one with fewer slots.
    assert SparseMatrix.pack(weights, bits=4).codes.item() == pattern_named("8:16").code


def _with(place: tuple[int, int], value: float, shape: tuple[int, int] = (40, 40)) -> np.ndarray:
    weights = np.zeros(shape)
    weights[place] = value
    return weights


@pytest.mark.parametrize(
    ("weights", "options", "words"),
    [
        (
            _with((17, 35), 8),
            {"bits": 4},
            "in -8..7, not 8.0 at row 17, column 35 (block row 1, block column 2)",
        ),
        (
            _with((0, 0), -3),
            {"bits": 2},
            "in -2..1, not -3.0 at row 0, column 0 (block row 0, block column 0)",
        ),
        (_with((39, 1), 0.5), {}, "not 0.5 at row 39, column 1 (block row 2, block column 0)"),
        (_with((2, 2), np.nan), {}, "not nan at row 2, column 2"),
        (_with((2, 2), np.inf), {}, "not inf at row 2, column 2"),
        (np.array([[200]], np.uint8), {}, "in -128..127, not 200 at row 0, column 0"),
        (np.zeros((0, 3)), {}, "not of shape (0, 3)"),
        (np.zeros(3), {}, "not of shape (3,)"),
        ([["a"]], {}, "weights must be integers or floats"),
        (np.zeros((1, 1)), {"bits": 5}, "2, 3, 4, 8 bits, not 5"),
        (np.zeros((1, 1)), {"patterns": ()}, "at least one pattern"),
        (np.zeros((1, 1)), {"patterns": Pattern(3, 3, 16)}, "code 3 for 3:16 is no pattern"),
        (np.zeros((1, 1)), {"fewest": "bits"}, "not 'bits'"),
    ],
)
def test_bad_weights_are_refused(weights: np.ndarray, options: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=re.escape(words)):
        SparseMatrix.pack(weights, **options)


def test_a_broken_pattern_is_named() -> None:
    weights = np.zeros((38, 20), int)
    weights[[33, 36, 37], 18] = 1
    words = (
        "block row 2, block column 1 fits none of 1:16, 1:4: column 18 has 2 non-zero weights in rows 36..37, "
        "the last in row 37, and 1:4 allows 1; prune the matrix or allow a denser pattern"
    )
    with pytest.raises(BadInput, match=f"^{re.escape(words)}$"):
        SparseMatrix.pack(weights, patterns=map(pattern_named, ["1:4", "1:16"]))
    with pytest.raises(
        BadInput, match=r"column 18 has 3 non-zero weights in rows 32..37, the last in row 37, and 0:16"
    ):
        SparseMatrix.pack(weights, patterns=pattern_named("0:16"))


def test_unknown_names_and_bad_pruning_are_refused() -> None:
    with pytest.raises(BadInput, match="no pattern '3:4'; the patterns are 0:16, 1:16"):
        pattern_named("3:4")
    with pytest.raises(BadInput, match="must be finite to be pruned, not nan at row 5, column 17"):
        prune(_with((5, 17), np.nan), DENSE)
    with pytest.raises(BadInput, match=r"shape \(3, 2\)"):
        prune(np.zeros((20, 40)), np.zeros((2, 3), int))
    with pytest.raises(BadInput, match=r"integers of shape \(1, 1\)"):
        prune(np.zeros((1, 1)), np.zeros((1, 1)))
    with pytest.raises(BadInput, match="block row 1, block column 0 has the unknown code 8"):
        prune(np.zeros((20, 1)), np.array([[0, 8]]))


def _matrix(**changes: object) -> SparseMatrix:
    """One of 33 x 20 weights: block columns of 2:16, 1:4 and a dense row of blocks."""
    weights = np.zeros((33, 20), int)
    weights[[1, 5], 0] = 3
    weights[[17, 21, 25], 2] = 4
    weights[32] = -1
    packed = SparseMatrix.pack(weights, patterns=map(pattern_named, ["2:16", "1:4", "16:16"]))
    assert packed.codes.tolist() == [[2, 6, 2], [2, 2, 2]]
    parts = {name: getattr(packed, name) for name in ("shape", "bits", "codes", "values", "indices")}
    return SparseMatrix(**{**parts, **changes})


def _changed(name: str, slot: int, value: int) -> dict[str, object]:
    array = getattr(_matrix(), name).astype(int)
    array[slot] = value
    return {name: array}


# Block row 0 has 32 slots, then come the 64 of block row 1, column by column.
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (_changed("values", 1, 128), "not 128 at row 5, column 0 (block row 0, block column 0)"),
        (_changed("values", 32 + 9, -129), "not -129 at row 21, column 2 (block row 1, block column 0)"),
        (_changed("indices", 0, 5), "5 follows 5 at row 5, column 0 (block row 0, block column 0)"),
        (_changed("indices", 3, 0), "0 follows 0 at row 0, column 1 (block row 0, block column 0)"),
        (_changed("indices", 1, 16), "0..15, not 16 in rows 0..15, column 0 (block row 0, block column 0)"),
        (
            _changed("indices", 32 + 9, 4),
            "0..3, not 4 in rows 20..23, column 2 (block row 1, block column 0)",
        ),
        (_changed("indices", 40, -1), "0..3, not -1 in rows 16..19, column 2 (block row 1, block column 0)"),
        (_changed("values", 32 + 64 + 1, 9), "not 9 at row 33, column 0 (block row 2, block column 0)"),
        (
            _changed("values", 32 + 64 + 32 + 8, 2),
            "padding around 33 rows and 20 columns must be zero, not 2 at row 0, column 20",
        ),
        ({"codes": np.array([[2, 6, 2], [2, 8, 2]])}, "block row 1, block column 1 has the unknown code 8"),
        ({"codes": np.array([[2, 6, 2], [2, -1, 2]])}, "block row 1, block column 1 has the unknown code -1"),
        ({"codes": np.array([[2, 6, 2]])}, "codes must be integers of shape (2, 3)"),
        ({"codes": np.array([[2, 6, 2], [2, 2, 1]])}, "values must be 208 integers"),
        ({"indices": np.zeros(3, int)}, "indices must be 224 integers"),
        ({"values": np.zeros(224)}, "not float64 of shape (224,)"),
        ({"bits": 2}, "not 3 at row 1, column 0"),
        ({"bits": 1}, "2, 3, 4, 8 bits, not 1"),
        ({"shape": (0, 20)}, "not shape (0, 20)"),
    ],
)
def test_bad_matrices_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=re.escape(words)):
        _matrix(**changes)


def test_dense_blocks_name_every_row() -> None:
    packed = SparseMatrix.pack(np.ones((16, 16), int))
    indices = packed.indices.copy()
    indices[[16, 17]] = 1, 0
    with pytest.raises(BadInput, match="0 follows 1 at row 0, column 1"):
        SparseMatrix(packed.shape, 8, packed.codes, packed.values, indices)


def test_patterns_that_hardware_lacks_are_refused() -> None:
    matrix = _matrix()
    has = [pattern_named("2:16"), DENSE]
    words = re.escape(
        "block row 1, block column 0 has the pattern 1:4 (code 6), but only 2:16, 16:16 can be read"
    )
    with pytest.raises(BadInput, match=words):
        matrix.require(has)
    with pytest.raises(BadInput, match=words):
        SparseMatrix.from_bytes(matrix.to_bytes(), patterns=has)
    assert SparseMatrix.from_bytes(matrix.to_bytes(), patterns=[*has, pattern_named("1:4")]) == matrix


def test_every_other_length_is_refused() -> None:
    data = SparseMatrix.pack(EXAMPLE, bits=4).to_bytes()
    for length in range(len(data)):
        with pytest.raises(BadInput, match="bytes"):
            SparseMatrix.from_bytes(data[:length])
    with pytest.raises(BadInput, match="the whole matrix must be 65 bytes long, not 66"):
        SparseMatrix.from_bytes(data + b"\0")


@pytest.mark.parametrize(
    ("position", "value", "words"),
    [
        (0, 0, "begins with b'HWNM'"),
        (4, 2, "version 1"),
        (5, 6, "2, 3, 4, 8 bits, not 6"),
        (6, 1, "two zero bytes"),
        (8, 0, "not shape (0, 3)"),
        (11, 255, "header and codes must be 100270097 bytes long, not 65"),
        (16, 0x4A, "bits behind the last of 2 codes must be zero"),
        (16 + 25, 0x33, "3 follows 3 at row 3, column 0 (block row 0, block column 0)"),
    ],
)
def test_damage_is_named(position: int, value: int, words: str) -> None:
    data = bytearray(SparseMatrix.pack(EXAMPLE, bits=4).to_bytes())
    data[position] = value
    with pytest.raises(BadInput, match=re.escape(words)):
        SparseMatrix.from_bytes(bytes(data))


def test_free_slots_may_have_any_ascending_index() -> None:
    data = bytearray(SparseMatrix.pack(EXAMPLE, bits=4).to_bytes())
    data[16 + 25 + 1 : 16 + 25 + 3] = 0xF4, 0xE0
    read = SparseMatrix.from_bytes(bytes(data))
    assert read.indices[2:6].tolist() == [4, 15, 0, 14]
    assert np.array_equal(read.unpack(), EXAMPLE)
    assert read.to_bytes() == data


@pytest.mark.parametrize("stream", Streams._fields)
def test_streams_of_other_lengths_are_refused(stream: str) -> None:
    longer = EXAMPLE_STREAMS._replace(**{stream: getattr(EXAMPLE_STREAMS, stream) + b"\0"})
    with pytest.raises(BadInput, match=f"{stream} must be"):
        SparseMatrix.from_streams((20, 3), 4, longer)


def test_blocks_follow_along_the_rows_first() -> None:
    weights = np.zeros((48, 32), int)
    for number, (row, column) in enumerate(itertools.product(range(3), range(2))):
        weights[16 * row, 16 * column] = 1 + number
    packed = SparseMatrix.pack(weights, patterns=pattern_named("1:16"))
    assert packed.values[::16].tolist() == [1, 3, 5, 2, 4, 6]
