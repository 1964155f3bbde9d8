"""The resource estimate against Yosys, on configurations small enough for every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hwgen.cores.lut_gemm import CORE, LutGemmConfig

TOLERANCE = 0.15

CONFIGS: list[dict[str, Any]] = [
    {"target": "ultrascale+", "dm": 2, "dk": 32, "dn": 3, "b_words": 64},
    {"target": "generic", "dm": 3, "dk": 16, "dn": 2, "a_words": 8, "size_bits": 16},
]


@pytest.mark.parametrize("settings", CONFIGS, ids=lambda s: "-".join(map(str, s.values())))
def test_estimate_is_near_what_yosys_counts(
    settings: dict[str, Any], near_yosys: Callable[..., None]
) -> None:
    near_yosys(CORE, LutGemmConfig(**settings), TOLERANCE)


@pytest.mark.parametrize("target", ["generic", "ultrascale+"])
@pytest.mark.parametrize("dk", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("size", [1, 7, 17])
def test_more_of_it_never_costs_less(target: str, dk: int, size: int) -> None:
    guess = CORE.resources(LutGemmConfig(dm=size, dk=dk, dn=size, target=target))
    for more in ({"dm": size + 9}, {"dn": size + 9}, {"dk": 2 * dk}, {"b_words": 1024}):
        other = CORE.resources(LutGemmConfig(**{"dm": size, "dk": dk, "dn": size, "target": target, **more}))
        assert other.lut >= guess.lut > 0
        assert other.ff >= guess.ff > 0
        assert other.bram36 >= guess.bram36


def test_words_deeper_than_a_block_ram_are_counted() -> None:
    config = LutGemmConfig(dm=1, dk=8, dn=1, a_words=16384, b_words=16384)
    assert CORE.resources(config).bram36 >= 2 * 8 * 32768 // 36864
