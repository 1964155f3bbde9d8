"""The resource estimate against Yosys, on configurations small enough for every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hwgen.cores.dsp_gemm import CORE, DspGemmConfig

TOLERANCE = 0.15

CONFIGS: list[dict[str, Any]] = [
    {"target": "ultrascale+", "rows": 3, "cols": 4},
    {"target": "ultrascale+", "rows": 4, "cols": 4, "act_bits": 4, "weight_bits": 4, "size_bits": 12},
    {"target": "ultrascale+", "rows": 2, "cols": 3, "packing": "none", "tile_steps": 16},
    {"target": "generic", "rows": 2, "cols": 3},
]


@pytest.mark.parametrize("settings", CONFIGS, ids=lambda s: "-".join(map(str, s.values())))
def test_estimate_is_near_what_yosys_counts(
    settings: dict[str, Any], near_yosys: Callable[..., None]
) -> None:
    near_yosys(CORE, DspGemmConfig(**settings), TOLERANCE)


@pytest.mark.parametrize("target", ["generic", "ultrascale+"])
@pytest.mark.parametrize("act_bits", range(2, 9))
@pytest.mark.parametrize("weight_bits", range(2, 9))
def test_every_format_has_an_estimate(target: str, act_bits: int, weight_bits: int) -> None:
    config = DspGemmConfig(rows=4, cols=4, target=target, act_bits=act_bits, weight_bits=weight_bits)
    guess = CORE.resources(config)
    assert guess.lut > 0
    assert guess.ff > 0
    narrow = target == "generic" and act_bits + weight_bits < 9
    assert guess.dsp == (0 if narrow else config.dsps)


@pytest.mark.parametrize("size", [1, 5, 31, 33, 64])
@pytest.mark.parametrize("tile_steps", [4, 64, 4096])
@pytest.mark.parametrize("target", ["generic", "ultrascale+"])
def test_more_of_it_never_costs_less(size: int, tile_steps: int, target: str) -> None:
    config = DspGemmConfig(rows=size, cols=size, tile_steps=tile_steps, target=target)
    guess = CORE.resources(config)
    if size < 64:
        more = CORE.resources(DspGemmConfig(rows=64, cols=64, tile_steps=tile_steps, target=target))
        assert (guess.lut, guess.ff, guess.dsp) < (more.lut, more.ff, more.dsp)
    assert guess.dsp == config.dsps
