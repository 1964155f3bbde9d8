"""The resource estimate against Yosys, on configurations small enough for every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hwgen.cores.sparse_chain import CORE, SparseChainConfig

TOLERANCE = 0.15

CONFIGS: list[dict[str, Any]] = [
    {"target": "ultrascale+", "rows": 2, "depth": 128, "sum_words": 64},
    {"target": "generic", "rows": 2, "depth": 128, "narrow": False, "sum_words": 64},
]
PACKINGS: list[dict[str, Any]] = [
    {"target": "generic"},
    {"target": "ultrascale+"},
    {"target": "ultrascale+", "packing": "w4x3", "narrow": False},
    {"target": "ultrascale+", "packing": "w2x4", "narrow": False},
]


@pytest.mark.parametrize("settings", CONFIGS, ids=lambda s: "-".join(map(str, s.values())))
def test_estimate_is_near_what_yosys_counts(
    settings: dict[str, Any], near_yosys: Callable[..., None]
) -> None:
    near_yosys(CORE, SparseChainConfig(**settings), TOLERANCE)


@pytest.mark.parametrize("packing", PACKINGS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("depth", [64, 512, 2048])
@pytest.mark.parametrize("rows", [8, 16, 32])  # whose result buffer is block RAM
def test_more_of_it_never_costs_less(packing: dict[str, Any], depth: int, rows: int) -> None:
    settings = {"rows": rows, "depth": depth, **packing}
    guess = CORE.resources(SparseChainConfig(**settings))
    more: list[dict[str, Any]] = [{"rows": 2 * rows}, {"ways": 2}, {"sum_words": 4096}, {"size_bits": 32}]
    if depth > 64:  # from LUTs to block RAM, LUTs become fewer
        more.append({"depth": 2 * depth})
    if packing["target"] == "generic":
        more.append({"narrow": True})
        settings["narrow"] = False
        guess = CORE.resources(SparseChainConfig(**settings))
    for change in more:
        other = CORE.resources(SparseChainConfig(**settings | change))
        assert other.lut >= guess.lut > 0
        assert other.ff >= guess.ff > 0
        assert other.dsp >= guess.dsp
        assert other.bram36 >= guess.bram36


@pytest.mark.parametrize(("depth", "halves"), [(128, 1), (512, 1), (1024, 1), (2048, 2), (4096, 4)])
def test_every_position_has_its_block_ram(depth: int, halves: int) -> None:
    """Sixteen rows: 128 positions with two activations in a word, 256 with one."""
    two = SparseChainConfig(depth=depth, target="ultrascale+")
    one = SparseChainConfig(depth=depth, target="ultrascale+", packing="w4x3", narrow=False)
    shallow = SparseChainConfig(depth=64, target="ultrascale+")
    rest = CORE.resources(shallow).bram36
    assert CORE.resources(two).bram36 == rest + 64 * halves
    assert CORE.resources(one).dsp == 256
    assert CORE.resources(one).bram36 >= 128 * max(1, halves // 2)


def test_a_multiplier_serves_as_many_products_as_it_is_packed_for() -> None:
    assert [CORE.resources(SparseChainConfig(**packing)).dsp for packing in PACKINGS] == [256, 128, 256, 256]
