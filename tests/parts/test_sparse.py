"""The sparse format against a reference written slot by slot, and against bytes written by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.parts.sparse import (
    HEADER_BYTES,
    LANE_BITS,
    PATTERNS,
    WAYS,
    WEIGHT_BITS,
    Pattern,
    SparseMatrix,
    Streams,
    pattern_named,
    prune,
    value_word_bytes,
)

DENSE = pattern_named("16:16")
# Bits, lanes, ways; and widths of indices: written down once more.
BITS_AND_LANES = [(2, 1), (3, 1), (4, 1), (8, 1), (4, 3), (2, 4)]
FORMS = [(bits, lanes, ways) for bits, lanes in BITS_AND_LANES for ways in (1, 2, 4, 8, 16)]
INDEX_BITS = {"0:16": 0, "1:16": 4, "2:16": 4, "4:16": 4, "8:16": 4, "16:16": 0, "1:4": 2, "2:4": 2}
Form = tuple[int, int, int]

SHAPES = st.tuples(st.integers(1, 50), st.integers(1, 120))
SEEDS = st.integers(0, 2**32 - 1)


def _grid(shape: tuple[int, int], form: Form) -> tuple[int, int]:
    return math.ceil(shape[1] / (16 * form[1] * form[2])), math.ceil(shape[0] / 16)


def _weights(shape: tuple[int, int], form: Form, seed: int) -> np.ndarray:
    """Weights with blocks of every pattern, many of them at the ends of the range."""
    bits, lanes, ways = form
    rng = np.random.default_rng(seed)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    weights = rng.integers(low, high, shape, endpoint=True)
    weights = np.where(rng.random(shape) < 0.3, rng.choice([low, high], shape), weights)
    weights *= rng.random(shape) < rng.choice([0.1, 1])
    return prune(weights, rng.integers(0, 8, _grid(shape, form)), lanes=lanes, ways=ways)


def _pack(weights: np.ndarray, form: Form, **options: object) -> SparseMatrix:
    bits, lanes, ways = form
    return SparseMatrix.pack(weights, bits=bits, lanes=lanes, ways=ways, **options)


def _position(weights: np.ndarray, form: Form, place: tuple[int, int, int, int]) -> list[list[int]]:
    """Weights of a position: 16 rows of one number per lane, zeros around the matrix."""
    _, lanes, ways = form
    block_row, block_column, way, position = place
    columns = [(block_column * ways + way) * 16 * lanes + lane * 16 + position for lane in range(lanes)]
    K, N = weights.shape
    return [
        [int(weights[row, c]) if row < K and c < N else 0 for c in columns]
        for row in range(16 * block_row, 16 * block_row + 16)
    ]


def _slots(rows: list[list[int]], pattern: Pattern) -> list[tuple[int, list[int]]]:
    """Index and values of each slot of a position."""
    slots = []
    for first in range(0, 16, pattern.m):
        group = rows[first : first + pattern.m]
        taken = [i for i, row in enumerate(group) if any(row)]
        free = [i for i, row in enumerate(group) if not any(row)]
        slots += [(i, group[i]) for i in sorted(taken + free[: pattern.n - len(taken)])]
    return slots


def _fits(weights: np.ndarray, form: Form, block: tuple[int, int], pattern: Pattern) -> bool:
    return all(
        len(_slots(_position(weights, form, (*block, way, position)), pattern)) == pattern.n * 16 // pattern.m
        for way in range(form[2])
        for position in range(16)
    )


class _String:
    """A bit string, the first number lowest."""

    def __init__(self) -> None:
        self.bits: list[str] = []

    def put(self, number: int, width: int) -> None:
        if width:
            self.bits.append(f"{number & ((1 << width) - 1):0{width}b}"[::-1])

    def words(self, word: int) -> list[bytes]:
        text = "".join(self.bits)
        size = math.ceil(len(text) / (8 * word)) * word
        data = int("0" + text[::-1], 2).to_bytes(size, "little")
        return [data[i : i + word] for i in range(0, size, word)]


def _rows(strings: list[_String], word: int) -> bytes:
    rows = zip(*(s.words(word) for s in strings), strict=True)
    return b"".join(itertools.chain(*rows))


def _reference(weights: np.ndarray, form: Form, codes: np.ndarray) -> Streams:
    """The streams as the README describes them."""
    bits, lanes, ways = form
    columns, rows = _grid(weights.shape, form)
    code_words = b""
    values, indices = ([_String() for _ in range(ways)] for _ in range(2))
    for column in range(columns):
        nibbles = _String()
        for row in range(rows):
            pattern = PATTERNS[codes[column, row]]
            nibbles.put(pattern.code, 4)
            for way in range(ways):
                places = [(row, column, way, position) for position in range(16)]
                slots = [_slots(_position(weights, form, place), pattern) for place in places]
                for index, numbers in itertools.chain(*zip(*slots, strict=True)):
                    indices[way].put(index, INDEX_BITS[str(pattern)])
                    for number in numbers:
                        values[way].put(number, bits)
        code_words += b"".join(nibbles.words(8))
    return Streams(code_words, _rows(values, 24 if lanes * bits > 8 else 16), _rows(indices, 8))


@given(SHAPES, st.sampled_from(FORMS), SEEDS)
@example((1, 1), (8, 1, 1), 0)
@example((16, 16), (3, 1, 1), 1)
@example((17, 33), (4, 3, 1), 2)
@example((17, 1), (2, 4, 2), 3)
@example((1, 33), (4, 1, 2), 4)
@example((300, 20), (3, 1, 1), 5)  # two code words
@example((256, 17), (8, 1, 1), 6)
@example((20, 300), (4, 1, 16), 7)
@settings(max_examples=120, deadline=None)
def test_round_trips_and_bytes(shape: tuple[int, int], form: Form, seed: int) -> None:
    bits, lanes, ways = form
    weights = _weights(shape, form, seed)
    packed = _pack(weights, form)
    assert np.array_equal(packed.unpack(), weights)
    assert packed.unpack().dtype == np.int8
    streams = packed.streams()
    assert streams == _reference(weights, form, packed.codes)
    assert packed.sizes == tuple(map(len, streams))
    assert packed.sizes == (
        packed.codes.shape[0] * packed.code_words * 8,
        packed.value_rows * ways * value_word_bytes(bits, lanes),
        packed.index_rows * ways * 8,
    )
    assert SparseMatrix.from_streams(shape, bits, streams, lanes=lanes, ways=ways) == packed
    data = packed.to_bytes()
    assert len(data) == HEADER_BYTES + packed.sizes.total
    assert SparseMatrix.from_bytes(data) == packed
    assert packed.density == (weights != 0).sum() / weights.size
    assert packed.dense_bytes == math.ceil(weights.size * bits / 8)
    assert packed.bytes_per_dense == packed.sizes.total / packed.dense_bytes
    assert packed.codes.shape == packed.slots.shape == _grid(shape, form)
    assert packed.values.shape == (packed.slots.sum(), ways, 16, lanes)
    assert packed.indices.shape == packed.values.shape[:-1]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_form_with_any_codes_and_indices(form: Form) -> None:
    """Slots that `pack` never makes: codes of any size, free slots anywhere."""
    bits, lanes, ways = form
    rng = np.random.default_rng(FORMS.index(form))
    codes = rng.permutation(np.r_[np.arange(8), rng.integers(0, 8, 32)]).reshape(2, 20)
    steps = sum(PATTERNS[c].slots for c in codes.ravel())
    shape = (320, 2 * 16 * lanes * ways)
    values = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (steps, ways, 16, lanes))
    indices = np.zeros((steps, ways, 16), int)
    weights = np.zeros(shape, int)
    step = 0
    for (column, row), code in np.ndenumerate(codes):
        pattern = PATTERNS[code]
        for first in range(0, 16 if pattern.n else 0, pattern.m):
            rows = rng.permuted(np.broadcast_to(np.arange(pattern.m), (ways, 16, pattern.m)), axis=-1)
            chosen = np.sort(rows[..., : pattern.n], axis=-1)
            for slot, way, position, lane in np.ndindex(pattern.n, ways, 16, lanes):
                index = indices[step + slot, way, position] = chosen[way, position, slot]
                place = 16 * row + first + index, ((column * ways + way) * lanes + lane) * 16 + position
                weights[place] = values[step + slot, way, position, lane]
            step += pattern.n
    matrix = SparseMatrix(shape, bits, lanes, ways, codes, values, indices)
    assert np.array_equal(matrix.unpack(), weights)
    assert SparseMatrix.from_bytes(matrix.to_bytes()) == matrix
    assert np.array_equal(_pack(weights, form).unpack(), weights)


@given(
    SHAPES,
    st.sampled_from(FORMS),
    SEEDS,
    st.sets(st.sampled_from(PATTERNS), min_size=1),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_the_cheapest_pattern_is_chosen(
    shape: tuple[int, int], form: Form, seed: int, patterns: set[Pattern], by_slots: bool
) -> None:
    weights = _weights(shape, form, seed)

    def cost(pattern: Pattern) -> tuple[float, ...]:
        slots = pattern.n * 16 // pattern.m
        size = slots * 16 * (form[0] * form[1] + INDEX_BITS[str(pattern)]) / 8
        return (slots, size, pattern.code) if by_slots else (size, slots, pattern.code)

    columns, rows = _grid(shape, form)
    best = {
        block: min((p for p in patterns if _fits(weights, form, block, p)), key=cost, default=None)
        for block in ((row, column) for column in range(columns) for row in range(rows))
    }
    fewest = "slots" if by_slots else "bytes"
    misfits = [block for block, pattern in best.items() if pattern is None]
    if misfits:
        words = f"^block row {misfits[0][0]}, block column {misfits[0][1]} fits none of "
        with pytest.raises(BadInput, match=words):
            _pack(weights, form, patterns=patterns, fewest=fewest)
        return
    packed = _pack(weights, form, patterns=patterns, fewest=fewest)
    assert {(r, c): PATTERNS[packed.codes[c, r]] for r, c in best} == best
    packed.require(patterns)
    assert np.array_equal(packed.unpack(), weights)
    assert packed.streams() == _reference(weights, form, packed.codes)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_every_column_packs_where_it_fits(pattern: Pattern) -> None:
    masks = (np.arange(1 << 16) >> np.arange(16)[:, None]) & 1
    full = masks.reshape(16 // pattern.m, pattern.m, -1).sum(axis=1).max(axis=0)
    weights = (masks * -(1 + np.arange(16)[:, None]))[:, full <= pattern.n]
    packed = SparseMatrix.pack(weights, patterns=pattern)
    assert set(packed.codes.ravel()) == {pattern.code}
    assert np.array_equal(packed.unpack(), weights)
    if pattern.n:
        indices = packed.indices.reshape(-1, pattern.n, 16)
        assert (np.diff(indices.astype(int), axis=1) > 0).all()
        assert indices.max() < pattern.m


@pytest.mark.parametrize(("bits", "lanes"), BITS_AND_LANES)
@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_every_value_of_every_width(pattern: Pattern, bits: int, lanes: int) -> None:
    values = np.arange(-(1 << (bits - 1)), 1 << (bits - 1))
    weights = prune(np.tile(values, (32, 1)), pattern, lanes=lanes)
    packed = SparseMatrix.pack(weights, bits=bits, patterns=pattern, lanes=lanes)
    assert np.array_equal(SparseMatrix.from_bytes(packed.to_bytes()).unpack(), weights)
    columns = math.ceil(len(values) / (16 * lanes))
    assert packed.slots.tolist() == [[pattern.n * 16 // pattern.m] * 2] * columns


@given(
    st.tuples(st.integers(1, 700), st.integers(1, 60)),
    st.sampled_from([1, 2]),
    SEEDS,
    st.integers(0, 60),
    st.integers(0, 9),
)
@example((1, 1), 1, 0, 0, 0)
@settings(max_examples=60, deadline=None)
def test_cycles(shape: tuple[int, int], ways: int, seed: int, least: int, gap: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 8, _grid(shape, (8, 1, ways))) * (rng.random(_grid(shape, (8, 1, ways))) < 0.1)
    packed = SparseMatrix.pack(prune(np.ones(shape, int), codes, ways=ways), ways=ways)
    expected = 0
    for column in packed.codes:
        steps = 0
        for first in range(0, len(column), 16):
            steps += max(1, sum(PATTERNS[code].slots for code in column[first : first + 16]))
        expected += max(least, steps) + gap
    assert packed.cycles(least, gap) == expected
    assert packed.cycles(least) == expected - gap * len(packed.codes)
    assert packed.code_words == math.ceil(shape[0] / 256)


EXAMPLE = np.zeros((20, 3), int)
EXAMPLE[[3, 9, 17], [0, 0, 2]] = 5, -2, 7
EXAMPLE_STREAMS = Streams(
    codes=bytes.fromhex("12" + 7 * "00"),
    values=bytes.fromhex("05" + 7 * "00" + "0E" + 7 * "00" + "0007" + 6 * "00" + 8 * "00"),
    indices=bytes.fromhex("03" + 7 * "00" + "19" + 7 * "11" + "0001" + 6 * "00"),
)


def test_the_example_of_the_readme() -> None:
    packed = SparseMatrix.pack(EXAMPLE, bits=4)
    assert packed.codes.tolist() == [[2, 1]]
    assert packed.streams() == EXAMPLE_STREAMS
    header = b"HWNM" + bytes([2, 4, 1, 1, 20, 0, 0, 0, 3, 0, 0, 0])
    assert packed.to_bytes() == header + b"".join(EXAMPLE_STREAMS)
    assert packed.sizes == (8, 32, 24)
    assert packed.sizes.total == 64
    assert packed.dense_bytes == 30
    assert (packed.code_words, packed.value_rows, packed.index_rows) == (1, 2, 3)
    assert packed.cycles(0) == 3
    assert packed.cycles(8, gap=2) == 10


def test_three_lanes_by_hand() -> None:
    weights = np.zeros((16, 34), int)
    weights[2, [0, 16]] = 1, -1  # position 0, lanes 0 and 1
    weights[5, 32] = 7  # position 0, lane 2
    weights[0, 17] = 3  # position 1, lane 1
    packed = SparseMatrix.pack(weights, bits=4, lanes=3)
    assert packed.streams() == Streams(
        codes=bytes.fromhex("02" + 7 * "00"),
        values=bytes.fromhex("F10003" + 21 * "00" + "0007" + 22 * "00"),
        indices=bytes.fromhex("02" + 7 * "00" + "15" + 7 * "11"),
    )


def test_two_ways_by_hand() -> None:
    weights = np.zeros((32, 32), int)
    weights[4, 0] = 9  # way 0, position 0: in slot 1, behind the free row 0
    weights[[6, 7], 17] = -1, 2  # way 1, position 1
    weights[[17, 22, 27, 28], 0] = 1, 2, 3, 4  # indices 1, 2, 3, 0 of 1:4
    weights[[19, 20], 18] = 5, 6
    packed = SparseMatrix.pack(weights, ways=2)
    assert packed.streams() == Streams(
        codes=bytes.fromhex("62" + 7 * "00"),
        values=bytes.fromhex(
            (16 * "00" + "00FF" + 14 * "00")
            + ("09" + 15 * "00" + "0002" + 14 * "00")
            + ("01" + 15 * "00" + "000005" + 13 * "00")
            + ("02" + 15 * "00" + "000006" + 13 * "00")
            + ("03" + 15 * "00" + 16 * "00")
            + ("04" + 15 * "00" + 16 * "00")
        ),
        indices=bytes.fromhex(
            (8 * "00" + "60" + 7 * "00")
            + ("14" + 7 * "11" + "71" + 7 * "11")
            + ("01000000" + "02000000" + "30000000" + "00000000")
            + ("03000000" + "00000000" + 8 * "00")
        ),
    )


def test_patterns_are_what_hardware_decodes() -> None:
    assert [p.code for p in PATTERNS] == list(range(8))
    assert [p.slots for p in PATTERNS] == [(1 << c) >> 1 if c < 6 else 4 << (c & 1) for c in range(8)]
    assert {str(p): p.index_bits for p in PATTERNS} == INDEX_BITS
    assert [pattern_named(str(p)) for p in PATTERNS] == list(PATTERNS)
    assert [(bits, lanes, ways) for lanes in LANE_BITS for bits in LANE_BITS[lanes] for ways in WAYS] == FORMS
    assert LANE_BITS[1] == WEIGHT_BITS
    assert [p.block_bytes(4, 3) for p in PATTERNS] == [0, 32, 64, 128, 256, 384, 112, 224]


def test_arrays_are_copied_and_frozen() -> None:
    packed = SparseMatrix.pack(EXAMPLE, bits=4)
    for array in (packed.codes, packed.values, packed.indices):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    values = packed.values.copy()
    other = SparseMatrix(packed.shape, 4, 1, 1, packed.codes, values, packed.indices)
    values[:] = 0
    assert other == packed
    assert packed != SparseMatrix.pack(EXAMPLE, bits=8)
    assert packed != SparseMatrix.pack(EXAMPLE, bits=4, ways=2)
    assert packed != SparseMatrix.pack(EXAMPLE, bits=4, patterns=DENSE)
    assert packed != "a matrix"


def test_few_bits_make_slots_and_bytes_differ() -> None:
    weights = prune(np.ones((16, 16), int), pattern_named("8:16"))
    assert SparseMatrix.pack(weights, bits=2).codes.item() == DENSE.code
    assert SparseMatrix.pack(weights, bits=2, fewest="slots").codes.item() == pattern_named("8:16").code
    # Equal in bytes: the one with fewer slots.
    assert SparseMatrix.pack(weights, bits=4).codes.item() == pattern_named("8:16").code
