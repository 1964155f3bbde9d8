"""Every refusal with its sentence, the digest, and the numbers that follow from a configuration."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwgen.core import GemmSize
from hwgen.cores.sparse_chain import CORE, Shape, SparseChainConfig, SparseProduct
from hwgen.errors import BadInput
from hwgen.parts.sparse import BLOCK, pattern_named

US = {"target": "ultrascale+"}
W4 = {"packing": "w4x3", "narrow": False, **US}
W2 = {"packing": "w2x4", "narrow": False, **US}
REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"rows": 0}, "rows must be an integer in 1..64, not 0"),
    ({"rows": 66}, "rows must be an integer in 1..64, not 66"),
    ({"rows": 2.0}, "rows must be an integer in 1..64, not 2.0"),
    ({"rows": True}, "rows must be an integer in 1..64, not True"),
    ({"rows": 3}, "rows must be even for packing a8x2, not 3"),
    ({"ways": 0}, "ways must be an integer in 1..16, not 0"),
    ({"ways": 32, "rows": 64}, "ways must be an integer in 1..16, not 32"),
    ({"ways": 3, "rows": 6}, "ways must be a power of two, not 3"),
    (
        {"ways": 4, "rows": 12},
        "ways must divide the 6 chains that 12 rows need, and 4 does not; choose a smaller power of two",
    ),
    (
        {"ways": 2, "rows": 3, **W4},
        "ways must divide the 3 chains that 3 rows need, and 2 does not; choose a smaller power of two",
    ),
    ({"depth": 32}, "depth must be an integer in 64..4096, not 32"),
    ({"depth": 8192}, "depth must be an integer in 64..4096, not 8192"),
    ({"depth": 96}, "depth must be a power of two, not 96"),
    ({"narrow": 1}, "narrow must be true or false, not 1"),
    ({"packing": "int8x2"}, "packing must be one of a8x2, w4x3, w2x4, not 'int8x2'"),
    ({"target": "ecp5"}, "target must be one of generic, ultrascale+, not 'ecp5'"),
    (
        {"packing": "w4x3", "narrow": False},
        "packing w4x3 needs a DSP block of known port widths, which target generic does not have; "
        "choose packing=a8x2 or target=ultrascale+",
    ),
    (
        {"packing": "w2x4", **US},
        "packing w2x4 takes weights of 2 bits only; choose narrow=false",
    ),
    ({"sum_words": 8}, "sum_words must be an integer in 16..16384, not 8"),
    ({"sum_words": 131_072}, "sum_words must be an integer in 16..16384, not 131072"),
    ({"sum_words": 24}, "sum_words must be a power of two, not 24"),
    ({"rows": 18, "sum_words": 16}, "sum_words must be at least the 18 words of one round, not 16"),
    ({"rows": 12, "sum_words": 32, **W4}, "sum_words must be at least the 36 words of one round, not 32"),
    ({"size_bits": 5}, "size_bits must be an integer in 6..32, not 5"),
    ({"size_bits": 33}, "size_bits must be an integer in 6..32, not 33"),
]

SETTINGS: list[tuple[dict[str, str], str]] = [
    (
        {"cols": "4"},
        "sparse_chain has no parameter 'cols'; it has rows, ways, depth, narrow, packing, target, sum_words, size_bits",
    ),
    ({"rows": "four"}, "rows must be an integer, not 'four'"),
    ({"narrow": "maybe"}, "narrow must be true or false, not 'maybe'"),
]

CHANGES: dict[str, Any] = {
    "rows": 18,
    "ways": 2,
    "depth": 1024,
    "narrow": False,
    "packing": "w4x3",
    "target": "ultrascale+",
    "sum_words": 512,
    "size_bits": 21,
}


@pytest.mark.parametrize(("parameters", "sentence"), REFUSALS, ids=lambda x: str(x)[:40])
def test_a_bad_parameter_is_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        SparseChainConfig(**parameters)


@pytest.mark.parametrize(("settings", "sentence"), SETTINGS, ids=lambda x: str(x)[:40])
def test_a_bad_setting_is_refused(settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        SparseChainConfig.from_settings(settings)


def test_settings_are_read() -> None:
    texts = {"rows": "0x0a", "narrow": "no", "target": "ultrascale+"}
    assert SparseChainConfig.from_settings(texts) == SparseChainConfig(rows=10, narrow=False, **US)
    assert SparseChainConfig.from_settings({}) == SparseChainConfig()


def test_every_parameter_changes_the_digest() -> None:
    assert list(CHANGES) == [field.name for field in dataclasses.fields(SparseChainConfig)]
    digests = {SparseChainConfig().digest}
    for name, value in CHANGES.items():
        digests.add(SparseChainConfig(**{name: value} | (W4 if name == "packing" else {})).digest)
    assert len(digests) == len(CHANGES) + 1


@pytest.mark.parametrize(
    ("parameters", "dsps", "macs", "bits"),
    [
        ({}, 256, 256, (2, 3, 4, 8)),
        (US, 128, 256, (2, 3, 4, 8)),
        ({**US, "narrow": False}, 128, 256, (8,)),
        (W4, 256, 768, (4,)),
        (W2, 256, 1024, (2,)),
        ({**W4, "rows": 1}, 16, 48, (4,)),
    ],
    ids=str,
)
def test_multipliers(parameters: dict[str, Any], dsps: int, macs: int, bits: tuple[int, ...]) -> None:
    config = SparseChainConfig(**parameters)
    assert config.array.dsps == dsps
    assert config.array.macs == macs
    assert config.weight_bits == bits
    assert CORE.characteristics(config)["multipliers"] == dsps
    assert CORE.characteristics(config)["macs_per_cycle"] == macs


@pytest.mark.parametrize("seed", range(60))
def test_derived_numbers_of_any_configuration(
    seed: int, random_config: Callable[..., SparseChainConfig]
) -> None:
    rng = np.random.default_rng(seed)
    config = random_config(rng, rows=int(rng.integers(1, 65)), sum_words=512)
    array, shared = config.array, config.array.shared
    assert array.chains * shared.rows == config.rows
    assert array.way_chains * config.ways == array.chains
    assert array.words == array.chains * shared.words
    # A row of C, or of a way, for each word that leaves.
    assert array.words == config.rows * shared.columns
    assert 2 * config.pass_blocks * BLOCK == config.depth
    assert array.least(False) >= array.least(True) >= 4
    assert array.gap(False) == 0 <= array.gap(True)
    # The longest sums of the lowest and highest products fit, and no narrower width would do.
    ends = [end * config.depth // 2 for end in shared.product_range]
    assert -1 << (array.sum_bits - 1) <= min(ends)
    assert max(ends) < 1 << (array.sum_bits - 1)
    assert max(ends) >= 1 << (array.sum_bits - 2)
    # What stands beside a field holds all carries out of it.
    for end in ends:
        assert -1 << (array.wrap_bits(shared.spacing) - 1) <= end >> shared.spacing
        assert (end >> shared.spacing) + 1 < 1 << (array.wrap_bits(shared.spacing) - 1)
    assert config.result_depth >= 4 * array.words
    assert {s.name: s.direction for s in config.streams} == {
        "cmd": "in", "a": "in", "code": "in", "value": "in", "index": "in", "c": "out"
    }  # fmt: skip


ONES = np.ones((2, 3))
PRODUCTS: list[tuple[dict[str, Any], Any, Any, dict[str, Any], str]] = [
    ({}, [[128]], [[1]], {}, "a must hold whole numbers in -128..127 (s8), not 128 at index [0, 0]"),
    ({}, [[1]], [[-129]], {}, "b must hold whole numbers in -128..127 (s8), not -129 at index [0, 0]"),
    ({}, [[1]], [[8]], {"weight_bits": 4}, "b must hold whole numbers in -8..7 (s4), not 8 at index [0, 0]"),
    ({}, [[1]], [[1]], {"weight_bits": 5}, "weight_bits must be 2 or 3 or 4 or 8 on this core, not 5"),
    ({"narrow": False}, [[1]], [[1]], {"weight_bits": 4}, "weight_bits must be 8 on this core, not 4"),
    (W4, [[1]], [[1]], {}, "weight_bits must be 4 on this core, not 8"),
    ({}, ONES, ONES, {}, "a and b must have shapes (M, K) and (K, N), not (2, 3) and (2, 3)"),
    ({}, ONES[0], ONES, {}, "a and b must have shapes (M, K) and (K, N), not (3,) and (2, 3)"),
    ({}, ONES[:0], ONES.T, {}, "M must lie in 1..1048575 (size_bits is 20), not 0"),
    ({}, ONES, ONES.T[:, :0], {}, "N must lie in 1..1048575 (size_bits is 20), not 0"),
    ({"size_bits": 6}, np.ones((1, 64)), np.ones((64, 1)), {}, "K must lie in 1..63 (size_bits is 6), not 64"),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "a", "b", "fields", "sentence"), PRODUCTS, ids=lambda x: str(x)[:30])
def test_bad_operands_are_refused(
    parameters: dict[str, Any], a: Any, b: Any, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        SparseProduct.checked(SparseChainConfig(**parameters), a, b, **fields)


def test_a_block_without_a_pattern_is_refused_by_its_place() -> None:
    weights = np.ones((20, 40), int)
    with pytest.raises(BadInput, match=r"(?s)block.*fits none of 2:4.*prune"):
        SparseProduct.checked(SparseChainConfig(), np.ones((1, 20)), weights, patterns=pattern_named("2:4"))
    assert SparseProduct.checked(SparseChainConfig(), np.ones((1, 20)), weights).macs == 800


def test_products_of_any_network_are_taken() -> None:
    rng = np.random.default_rng(0)
    config = SparseChainConfig(ways=8)
    for size, bits, spread in (
        (GemmSize(16, 20, 30), 8, False),
        (GemmSize(3, 20, 30, 8, 3), 3, False),
        (GemmSize(2, 20, 30, 5, 1), 2, True),
        (GemmSize(1, 20, 30, 8, 6), 8, True),
    ):
        shape, product = CORE.gemm(config, size, None), CORE.gemm(config, size, rng)
        assert shape == Shape(size.m, size.n, size.k, bits, spread)
        assert (product.shape, product.weight_bits, product.spread) == (shape.shape, bits, spread)
        assert shape.macs == product.macs == size.macs
    narrow = SparseChainConfig(**W4)
    with pytest.raises(
        BadInput, match=r"^weight_bits is 5, and the core takes 4 at most; build it with packing=a8x2$"
    ):
        CORE.gemm(narrow, GemmSize(1, 1, 1, 8, 5), None)
    with pytest.raises(BadInput, match=r"^act_bits is 9, and the core has 8; use fewer$"):
        CORE.gemm(narrow, GemmSize(1, 1, 1, 9, 4), None)


def test_the_smallest_workload_is_a_pass_of_every_chain() -> None:
    for config in CORE.supported.values():
        (product,) = CORE.tile(config, np.random.default_rng(0))
        assert product.shape == (2 * config.rows, 48, config.depth // 2)
