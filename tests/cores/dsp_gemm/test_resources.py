"""The resource estimate against Yosys, on configurations small enough for every run."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

import pytest

from hwgen.cores.dsp_gemm import CORE, DspGemmConfig
from hwgen.cores.dsp_gemm.config import TARGETS
from hwgen.synth.families import family
from hwgen.synthesis import cells, synthesise
from hwgen.verify.block import Block

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


PIPELINED: list[dict[str, Any]] = [
    {"rows": 2, "cols": 3, "packing": "none", "tile_steps": 16},
    {"rows": 3, "cols": 4},
    {"rows": 4, "cols": 4, "act_bits": 4, "weight_bits": 4, "size_bits": 12},
]
# One in every run; synthesis takes ten seconds and more.
FIRST_ONLY = [pytest.param(s, marks=[pytest.mark.slow] if i else []) for i, s in enumerate(PIPELINED)]
SEVEN = [{"rows": 3, "cols": 4}, {"rows": 6, "cols": 4, "act_bits": 4, "weight_bits": 4}]


@pytest.mark.parametrize("settings", FIRST_ONLY)
def test_estimate_for_ecp5_is_near_what_yosys_counts(settings: dict[str, Any]) -> None:
    config = DspGemmConfig(target="ecp5", **settings)
    block = Block(CORE, config)
    found = family("ecp5").count(cells(block.sources[0], block.emission.top, "synth_ecp5"))
    guess = CORE.resources(config)
    assert guess.dsp == found["DSP"] == config.dsps
    assert guess.bram36 == found["BRAM"]
    assert guess.lut == pytest.approx(found["LUT"], rel=TOLERANCE)
    assert guess.ff == pytest.approx(found["FF"], rel=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("settings", SEVEN, ids=str)
def test_estimate_for_the_7_series_is_near_what_yosys_counts(settings: dict[str, Any]) -> None:
    config = DspGemmConfig(target="xilinx7", **settings)
    block = Block(CORE, config)
    found, guess = synthesise(block.sources[0], block.emission.top, "xc7"), CORE.resources(config)
    assert guess.dsp == found.dsp
    assert guess.bram36 == ceil(found.bram36)
    assert guess.lut == pytest.approx(found.lut, rel=TOLERANCE)
    assert guess.ff == pytest.approx(found.ff, rel=TOLERANCE)


@pytest.mark.parametrize("target", TARGETS)
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
@pytest.mark.parametrize("target", TARGETS)
def test_more_of_it_never_costs_less(size: int, tile_steps: int, target: str) -> None:
    config = DspGemmConfig(rows=size, cols=size, tile_steps=tile_steps, target=target)
    guess = CORE.resources(config)
    if size < 64:
        more = CORE.resources(DspGemmConfig(rows=64, cols=64, tile_steps=tile_steps, target=target))
        assert (guess.lut, guess.ff, guess.dsp) < (more.lut, more.ff, more.dsp)
    assert guess.dsp == config.dsps
