"""Every refusal with its sentence, the digest, and the numbers that follow from a configuration."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwgen.cores.lut_gemm import CORE, Gemm, LutGemmConfig, Operand
from hwgen.errors import BadInput

WORDS = "8, 16, 32, 64, 128, 256, 512"
REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"dm": 0}, "dm must be an integer in 1..32, not 0"),
    ({"dm": 33}, "dm must be an integer in 1..32, not 33"),
    ({"dm": 2.0}, "dm must be an integer in 1..32, not 2.0"),
    ({"dn": True}, "dn must be an integer in 1..32, not True"),
    ({"dn": 33}, "dn must be an integer in 1..32, not 33"),
    ({"dk": 4}, f"dk must be one of {WORDS}, not 4"),
    ({"dk": 96}, f"dk must be one of {WORDS}, not 96"),
    ({"dk": "8"}, f"dk must be one of {WORDS}, not '8'"),
    ({"a_words": 4}, "a_words must be an integer in 8..16384, not 4"),
    ({"a_words": 48}, "a_words must be a power of two, not 48"),
    ({"b_words": 32768}, "b_words must be an integer in 8..16384, not 32768"),
    ({"b_words": 100}, "b_words must be a power of two, not 100"),
    ({"target": "ecp5"}, "target must be one of generic, xilinx7, ultrascale+, not 'ecp5'"),
    ({"size_bits": 5}, "size_bits must be an integer in 6..32, not 5"),
    (
        {"size_bits": 14},
        "buffers of 512 words of 64 bits hold K up to 32768, but size_bits=14 counts to 16383; "
        "choose size_bits=15 or fewer words",
    ),
]

CHANGES: dict[str, Any] = {
    "dm": 7,
    "dk": 32,
    "dn": 7,
    "a_words": 256,
    "b_words": 256,
    "target": "ultrascale+",
    "size_bits": 21,
}


@pytest.mark.parametrize(("parameters", "sentence"), REFUSALS, ids=lambda x: str(x)[:40])
def test_a_bad_parameter_is_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        LutGemmConfig(**parameters)


def test_settings_are_read() -> None:
    texts = {"dm": "0x2", "dk": "256", "target": "ultrascale+"}
    assert LutGemmConfig.from_settings(texts) == LutGemmConfig(dm=2, dk=256, target="ultrascale+")
    with pytest.raises(
        BadInput, match=r"^lut_gemm has no parameter 'rows'; it has dm, dk, dn, a_words, b_words"
    ):
        LutGemmConfig.from_settings({"rows": "4"})


def test_every_parameter_changes_the_digest() -> None:
    assert list(CHANGES) == [field.name for field in dataclasses.fields(LutGemmConfig)]
    digests = {LutGemmConfig(**{name: value}).digest for name, value in CHANGES.items()}
    assert len(digests | {LutGemmConfig().digest}) == len(CHANGES) + 1


@pytest.mark.parametrize("seed", range(40))
def test_derived_numbers_of_any_configuration(seed: int, random_config: Callable[..., LutGemmConfig]) -> None:
    config = random_config(np.random.default_rng(seed))
    shape = config.array
    assert shape.group(config.dm - 1) == shape.row_groups - 1
    assert shape.group(config.dn - 1) == shape.column_groups - 1
    assert config.result_depth >= config.dm + config.store_delay + 2
    assert config.result_depth & (config.result_depth - 1) == 0
    told = CORE.characteristics(config)
    assert told["binary_operations_per_cycle"] == 2 * config.dm * config.dk * config.dn
    assert told["latency_cycles"] == config.latency == shape.latency + 7


@pytest.mark.parametrize("dk", [8, 16, 32, 64, 128, 256, 512])
@pytest.mark.parametrize("dn", [1, 9, 17, 32])
def test_sums_of_values_are_read_before_others_are_stored(dk: int, dn: int) -> None:
    config = LutGemmConfig(dk=dk, dn=dn)
    assert config.array.latency < config.load_delay


FORMATS: list[tuple[str, Any, str]] = [
    ("float", 8, "kind must be one of unsigned, signed, bipolar, ternary, not 'float'"),
    ("signed", 0, "bits must be an integer in 1..8, not 0"),
    ("unsigned", 9, "bits must be an integer in 1..8, not 9"),
    ("bipolar", 2, "bipolar operands have 1 bits, not 2"),
    ("ternary", 1, "ternary operands have 2 bits, not 1"),
]


@pytest.mark.parametrize(("kind", "bits", "sentence"), FORMATS, ids=str)
def test_a_bad_format_is_refused(kind: str, bits: Any, sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        Operand(kind, bits)


S4, U8, BIPOLAR, TERNARY = (
    Operand("signed", 4),
    Operand("unsigned", 8),
    Operand("bipolar", 1),
    Operand("ternary", 2),
)
ONES = np.ones((2, 3), np.int64)
SMALL = {"dm": 2, "dk": 8, "dn": 2, "a_words": 8, "b_words": 16, "size_bits": 7}
GEMMS: list[tuple[dict[str, Any], Any, Any, Operand, Operand, str]] = [
    ({}, [[8]], [[1]], S4, U8, "a must hold whole numbers in -8..7 (signed 4-bit), not 8 at index [0, 0]"),
    (
        {},
        [[1], [-1]],
        [[-1]],
        S4,
        U8,
        "b must hold whole numbers in 0..255 (unsigned 8-bit), not -1 at index [0, 0]",
    ),
    ({}, [[1, 0]], [[1], [1]], BIPOLAR, S4, "a must hold only -1 and 1 (bipolar), not 0 at index [0, 1]"),
    ({}, [[1]], [[-2]], S4, TERNARY, "b must hold whole numbers in -1..1 (ternary), not -2 at index [0, 0]"),
    (
        {},
        [[0.5]],
        [[1]],
        S4,
        S4,
        "a must hold whole numbers in -2147483648..2147483647 (s32), not 0.5 at index [0, 0]",
    ),
    ({}, [["1"]], [[1]], S4, S4, "a must be an array of integers, not of <U1"),
    ({}, ONES, ONES, S4, S4, "a and b must have shapes (M, K) and (K, N), not (2, 3) and (2, 3)"),
    ({}, ONES[0], ONES, S4, S4, "a and b must have shapes (M, K) and (K, N), not (3,) and (2, 3)"),
    ({}, ONES[:0], ONES.T, S4, S4, "M must lie in 1..1048575 (size_bits is 20), not 0"),
    (SMALL, np.ones((128, 1)), [[1]], S4, S4, "M must lie in 1..127 (size_bits is 7), not 128"),
    (
        SMALL,
        np.ones((1, 17)),
        np.ones((17, 1)),
        S4,
        S4,
        "a row of A has 4 bit planes × 3 blocks of 8 along K = 12 words, but a_words is 8; split K",
    ),
    (
        SMALL,
        np.ones((1, 8)),
        np.ones((8, 9)),
        S4,
        S4,
        "B has 5 tiles of 2 columns × 4 bit planes × 1 block of 8 along K = 20 words, but b_words is 16; "
        "split N or K",
    ),
    (
        SMALL,
        np.ones((1, 17)),
        np.ones((17, 1)),
        Operand("unsigned", 1),
        Operand("unsigned", 8),
        "B has 1 tile of 2 columns × 8 bit planes × 3 blocks of 8 along K = 24 words, but b_words is 16; "
        "split N or K",
    ),
]


@pytest.mark.parametrize(
    ("parameters", "a", "b", "a_format", "b_format", "sentence"), GEMMS, ids=lambda x: str(x)[:30]
)
def test_bad_operands_are_refused(
    parameters: dict[str, Any], a: Any, b: Any, a_format: Operand, b_format: Operand, sentence: str
) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        Gemm.checked(LutGemmConfig(**parameters), a, b, a_format=a_format, b_format=b_format)


def test_operands_of_any_type_are_taken() -> None:
    config = LutGemmConfig(**SMALL)
    op = Gemm.checked(
        config, np.ones((3, 16), np.float32), np.ones((16, 4), np.int8), a_format=S4, b_format=S4
    )
    assert op.shape == (3, 4, 16)
    assert op.macs == 3 * 4 * 16
    assert op.a.dtype == np.int64


@pytest.mark.parametrize("kind", ["unsigned", "signed", "bipolar", "ternary"])
@pytest.mark.parametrize("bits", range(1, 9))
def test_random_values_are_of_the_format_and_reach_its_ends(kind: str, bits: int) -> None:
    fixed = {"bipolar": 1, "ternary": 2}.get(kind, bits)
    form = Operand(kind, fixed)
    values = form.random(np.random.default_rng(bits), (40, 40))
    assert form.check(values, "x") is not values
    assert {form.low, form.high} <= set(values.ravel().tolist())
