"""What the sparse format refuses, and the words for it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.parts.sparse import LANE_BITS, PATTERNS, Pattern, SparseMatrix, Streams, pattern_named, prune

DENSE = pattern_named("16:16")


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
            _with((17, 35), 8),
            {"bits": 4, "ways": 2},
            "in -8..7, not 8.0 at row 17, column 35 (block row 1, block column 1)",
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
        (np.zeros((1, 1)), {"bits": 5}, "in 1 lane must have 2, 3, 4, 8 bits, not 5"),
        (np.zeros((1, 1)), {"bits": 8, "lanes": 3}, "in 3 lanes must have 4 bits, not 8"),
        (np.zeros((1, 1)), {"bits": 4, "lanes": 4}, "in 4 lanes must have 2 bits, not 4"),
        (np.zeros((1, 1)), {"lanes": 2}, "lanes must be one of 1, 3, 4, not 2"),
        (np.zeros((1, 1)), {"ways": 3}, "ways must be one of 1, 2, 4, 8, 16, not 3"),
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
        "block row 2, block column 1 fits none of 1:16, 1:4: in column 18, 2 of the rows 36..37 are not zero, "
        "the last one row 37, and 1:4 allows 1; prune the matrix or allow a denser pattern"
    )
    with pytest.raises(BadInput, match=f"^{re.escape(words)}$"):
        SparseMatrix.pack(weights, patterns=map(pattern_named, ["1:4", "1:16"]))
    words = "in column 18, 3 of the rows 32..37 are not zero, the last one row 37, and 0:16"
    with pytest.raises(BadInput, match=words):
        SparseMatrix.pack(weights, patterns=pattern_named("0:16"))


def test_a_broken_pattern_of_lanes_and_ways_is_named() -> None:
    weights = np.zeros((20, 300), int)
    weights[[17, 18], [192 + 48 + 5, 192 + 48 + 16 + 5]] = 1  # block column 2, way 1, lanes 0 and 1
    words = (
        "block row 1, block column 2 fits none of 1:4: in columns 245, 261, 277, 2 of the rows 16..19 are not"
    )
    with pytest.raises(BadInput, match=f"^{words}"):
        SparseMatrix.pack(weights, bits=4, lanes=3, ways=2, patterns=pattern_named("1:4"))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(BadInput, match="no pattern '3:4'; the patterns are 0:16, 1:16"):
        pattern_named("3:4")


def test_negative_steps_are_refused() -> None:
    with pytest.raises(BadInput, match="must not be negative, not 1 and -1"):
        _matrix().cycles(1, -1)


def _parts(packed: SparseMatrix) -> dict[str, object]:
    names = ("shape", "bits", "lanes", "ways", "codes", "values", "indices")
    return {name: getattr(packed, name) for name in names}


def _matrix(**changes: object) -> SparseMatrix:
    """One of 33 x 20 weights. Steps 0 and 1 are block row 0, steps 2 to 5 the 1:4 of block row 1."""
    weights = np.zeros((33, 20), int)
    weights[[1, 5], 0] = 3
    weights[[17, 21, 25], 2] = 4
    weights[32] = -1
    packed = SparseMatrix.pack(weights, patterns=map(pattern_named, ["2:16", "1:4", "16:16"]))
    assert packed.codes.tolist() == [[2, 6, 2], [2, 2, 2]]
    return SparseMatrix(**{**_parts(packed), **changes})


def _changed(name: str, place: tuple[int, ...], value: int, packed: SparseMatrix | None = None) -> dict:
    array = getattr(packed or _matrix(), name).astype(int)
    array[place] = value
    return {name: array}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            _changed("values", (1, 0, 0, 0), 128),
            "not 128 at row 5, column 0 (block row 0, block column 0)",
        ),
        (
            _changed("values", (3, 0, 2, 0), -129),
            "not -129 at row 21, column 2 (block row 1, block column 0)",
        ),
        (
            _changed("indices", (0, 0, 0), 5),
            "5 follows 5 at row 5, column 0 (block row 0, block column 0)",
        ),
        (
            _changed("indices", (1, 0, 1), 0),
            "0 follows 0 at row 0, column 1 (block row 0, block column 0)",
        ),
        (
            _changed("indices", (1, 0, 0), 16),
            "0..15, not 16 in rows 0..15, column 0 (block row 0, block column 0)",
        ),
        (
            _changed("indices", (3, 0, 2), 4),
            "0..3, not 4 in rows 20..23, column 2 (block row 1, block column 0)",
        ),
        (
            _changed("indices", (2, 0, 2), -1),
            "0..3, not -1 in rows 16..19, column 2 (block row 1, block column 0)",
        ),
        (
            _changed("values", (7, 0, 0, 0), 9),
            "not 9 at row 33, column 0 (block row 2, block column 0)",
        ),
        (
            _changed("values", (8, 0, 4, 0), 2),
            "padding around 33 rows and 20 columns must be zero, not 2 at row 0, column 20",
        ),
        ({"codes": np.array([[2, 6, 2], [2, 8, 2]])}, "block row 1, block column 1 has the unknown code 8"),
        ({"codes": np.array([[2, 6, 2], [2, -1, 2]])}, "block row 1, block column 1 has the unknown code -1"),
        ({"codes": np.array([[2, 6, 2]])}, "codes must be integers of shape (2, 3)"),
        ({"codes": np.array([[2, 6, 2], [2, 2, 1]])}, "values must be integers of shape (13, 1, 16, 1)"),
        (
            {"indices": np.zeros(3, int)},
            "indices must be integers of shape (14, 1, 16) (steps, ways, positions)",
        ),
        ({"values": np.zeros((14, 1, 16, 1))}, "not float64 of shape (14, 1, 16, 1)"),
        ({"bits": 2}, "not 3 at row 1, column 0"),
        ({"bits": 1}, "2, 3, 4, 8 bits, not 1"),
        ({"lanes": 0}, "lanes must be one of 1, 3, 4, not 0"),
        ({"lanes": 3}, "in 3 lanes must have 4 bits, not 8"),
        ({"ways": 32}, "ways must be one of 1, 2, 4, 8, 16, not 32"),
        ({"ways": 2}, "codes must be integers of shape (1, 3)"),
        ({"shape": (0, 20)}, "not shape (0, 20)"),
    ],
)
def test_bad_matrices_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=re.escape(words)):
        _matrix(**changes)


@pytest.mark.parametrize(
    ("name", "place", "value", "words"),
    [
        ("values", (1, 1, 3, 2), 8, "not 8 at row 9, column 83 (block row 0, block column 0)"),
        ("indices", (1, 1, 3), 16, "not 16 in rows 0..15, columns 51, 67, 83 (block row 0, block column 0)"),
        ("indices", (0, 1, 3), 9, "9 follows 9 at row 9, columns 51, 67, 83 (block row 0, block column 0)"),
    ],
)
def test_places_in_lanes_and_ways_are_named(
    name: str, place: tuple[int, ...], value: int, words: str
) -> None:
    weights = np.zeros((16, 96), int)
    weights[[4, 9], 51] = 1
    packed = SparseMatrix.pack(weights, bits=4, lanes=3, ways=2)
    with pytest.raises(BadInput, match=re.escape(words)):
        SparseMatrix(**{**_parts(packed), **_changed(name, place, value, packed)})


def test_padding_of_lanes_and_ways_is_named() -> None:
    zeros = np.zeros((16, 97), int)  # the second block column is padding but for its first column
    packed = SparseMatrix.pack(zeros, bits=4, lanes=3, ways=2, patterns=pattern_named("1:16"))
    words = r"not 1 at row 0, column 144 \(block row 0, block column 1\)"
    with pytest.raises(BadInput, match=words):
        SparseMatrix(**{**_parts(packed), **_changed("values", (1, 1, 0, 0), 1, packed)})


def test_dense_blocks_name_every_row() -> None:
    packed = SparseMatrix.pack(np.ones((16, 16), int))
    indices = packed.indices.copy()
    indices[[0, 1], 0, 1] = 1, 0
    with pytest.raises(BadInput, match="0 follows 1 at row 0, column 1"):
        SparseMatrix(**{**_parts(packed), "indices": indices})


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


def _small() -> SparseMatrix:
    """The example of the README: codes are bytes 16..23, values 24..55, indices 56..79."""
    weights = np.zeros((20, 3), int)
    weights[[3, 9, 17], [0, 0, 2]] = 5, -2, 7
    return SparseMatrix.pack(weights, bits=4)


def test_every_other_length_is_refused() -> None:
    data = _small().to_bytes()
    for length in range(len(data)):
        with pytest.raises(BadInput, match="bytes"):
            SparseMatrix.from_bytes(data[:length])
    with pytest.raises(BadInput, match="the whole matrix must be 80 bytes long, not 81"):
        SparseMatrix.from_bytes(data + b"\0")


@pytest.mark.parametrize(
    ("position", "value", "words"),
    [
        (0, 0, "begins with b'HWNM'"),
        (4, 1, "version 2"),
        (5, 6, "2, 3, 4, 8 bits, not 6"),
        (6, 3, "the whole matrix must be"),
        (6, 4, "in 4 lanes must have 2 bits, not 4"),
        (6, 0, "lanes must be one of 1, 3, 4, not 0"),
        (7, 6, "ways must be one of 1, 2, 4, 8, 16, not 6"),
        (8, 16, "codes behind the last block row of block column 0 must be 0, not 1"),
        (9, 255, "header and codes must be"),
        (16, 0x92, "block row 1, block column 0 has the unknown code 9; codes are 0..7"),
        (16, 0x1F, "block row 0, block column 0 has the unknown code 15; codes are 0..7"),
        (17, 0x40, "codes behind the last block row of block column 0 must be 0, not 4"),
        (24 + 24, 1, "the bits behind the last step of way 0's values must be zero"),
        (56 + 8, 0x13, "3 follows 3 at row 3, column 0 (block row 0, block column 0)"),
    ],
)
def test_damage_is_named(position: int, value: int, words: str) -> None:
    data = bytearray(_small().to_bytes())
    data[position] = value
    with pytest.raises(BadInput, match=re.escape(words)):
        SparseMatrix.from_bytes(bytes(data))


def test_damage_behind_a_way_is_named() -> None:
    packed = SparseMatrix.pack(np.zeros((1, 1), int), bits=2, ways=4, patterns=pattern_named("1:16"))
    data = bytearray(packed.to_bytes())
    data[16 + 8 + 2 * 16 + 15] = 1
    with pytest.raises(BadInput, match="the bits behind the last step of way 2's values must be zero"):
        SparseMatrix.from_bytes(bytes(data))


def test_free_slots_may_have_any_ascending_index() -> None:
    data = bytearray(_small().to_bytes())
    data[56 + 1], data[56 + 9] = 0x04, 0xEF  # positions 2 and 3 of the first block
    read = SparseMatrix.from_bytes(bytes(data))
    assert read.indices[:2, 0, 2:4].tolist() == [[4, 0], [15, 14]]
    assert np.array_equal(read.unpack(), _small().unpack())
    assert read.to_bytes() == data


@pytest.mark.parametrize("stream", Streams._fields)
def test_streams_of_other_lengths_are_refused(stream: str) -> None:
    streams = _small().streams()
    longer = streams._replace(**{stream: getattr(streams, stream) + b"\0"})
    with pytest.raises(BadInput, match=f"{stream} must be"):
        SparseMatrix.from_streams((20, 3), 4, longer)


def _read(data: bytes) -> SparseMatrix | None:
    """The matrix of bytes; none if they are refused, and no other error."""
    try:
        return SparseMatrix.from_bytes(data)
    except BadInput:
        return None


def _block_bytes(matrix: SparseMatrix) -> int:
    return sum(PATTERNS[code].block_bytes(matrix.bits, matrix.lanes) for code in matrix.codes.ravel())


@given(
    st.tuples(st.integers(1, 50), st.integers(1, 70)),
    st.sampled_from([(bits, lanes) for lanes in LANE_BITS for bits in LANE_BITS[lanes]]),
    st.sampled_from([1, 2, 4]),
    st.integers(0, 2**32 - 1),
    st.data(),
)
@settings(max_examples=300, deadline=None)
def test_corrupt_bytes_are_refused_or_mean_a_matrix(
    shape: tuple[int, int], form: tuple[int, int], ways: int, seed: int, data: st.DataObject
) -> None:
    bits, lanes = form
    rng = np.random.default_rng(seed)
    weights = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), shape)
    weights = prune(weights, PATTERNS[rng.integers(8)], lanes=lanes)
    whole = bytearray(SparseMatrix.pack(weights, bits=bits, lanes=lanes, ways=ways).to_bytes())
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
    again = SparseMatrix.pack(read.unpack(), bits=read.bits, lanes=read.lanes, ways=read.ways)
    assert np.array_equal(again.unpack(), read.unpack())
    assert _block_bytes(again) <= _block_bytes(read)
