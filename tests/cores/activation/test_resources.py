"""The resource estimate against Yosys, on every shape of function; the LUTs that the figures promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hwgen.cores.activation import CORE, ActivationConfig
from hwgen.cores.activation.lane import Lane
from hwgen.cores.activation.resources import lane
from hwgen.emit import emit
from hwgen.synthesis import Cells, synthesise
from hwgen.verify.block import Block

Q3_12: dict[str, Any] = {"in_bits": 16, "in_fraction": 12, "out_bits": 16, "out_fraction": 12}
UNSIGNED: dict[str, Any] = {"in_signed": False, "out_signed": False, "saturate": True}
EXP: dict[str, Any] = {
    "in_signed": False,
    "out_signed": False,
    "out_bits": 18,
    "out_fraction": 17,
    "scale": "-1",
}
TOLERANCE = 0.15

LANES: dict[str, tuple[ActivationConfig, int, int]] = {
    # Configuration, most LUTs, DSP blocks.
    "gelu_int8": (ActivationConfig(), 30, 0),
    "gelu_octave": (ActivationConfig(variant="delta_octave", **Q3_12), 145, 1),
    "gelu_quad": (ActivationConfig(variant="delta_quad", **Q3_12), 95, 2),
    "gelu_ibert": (ActivationConfig(variant="ibert", **Q3_12), 130, 4),
    "gelu_sigmoid1702": (ActivationConfig(variant="sigmoid1702", **Q3_12), 160, 2),
    "sigmoid": (ActivationConfig(function="sigmoid", variant="quad", **Q3_12), 80, 2),
    "exp_difference": (ActivationConfig(function="exp", in_bits=8, in_fraction=3, **EXP), 60, 0),
    "exp2": (ActivationConfig(function="exp2", variant="uniform", in_bits=17, in_fraction=12, **EXP), 90, 1),
    "exp": (ActivationConfig(function="exp", variant="quad", in_bits=16, in_fraction=12, **EXP), 100, 3),
    "rsqrt": (
        ActivationConfig(
            function="rsqrt", variant="quad", in_bits=16, in_fraction=9, out_bits=16, out_fraction=11, **UNSIGNED
        ),
        165, 2,
    ),
    "block RAM": (ActivationConfig(in_bits=12, in_fraction=8, out_bits=16, out_fraction=12), 2, 0),
}  # fmt: skip


def _cells(config: ActivationConfig, folder: Path) -> Cells:
    path = folder / "lane.v"
    path.write_text(emit(Lane(config), "lane", {}).verilog)
    return synthesise(path, "lane")


@pytest.mark.parametrize("name", LANES)
def test_a_lane_costs_what_is_said(name: str, tmp_path: Path) -> None:
    config, most, dsp = LANES[name]
    cells, guess = _cells(config, tmp_path), lane(config)
    assert cells.lut <= most
    assert guess.dsp == cells.dsp == dsp
    assert guess.bram36 == cells.bram36
    if name in ("exp_difference", "block RAM"):  # what a deep table leaves depends on its numbers
        return
    assert guess.lut == pytest.approx(cells.lut, rel=TOLERANCE)
    assert guess.ff == pytest.approx(cells.ff, rel=TOLERANCE)


@pytest.mark.parametrize("lanes", [1, 6])
def test_the_whole_block_is_near_what_yosys_counts(lanes: int) -> None:
    config = ActivationConfig(variant="delta_quad", lanes=lanes, **Q3_12)
    block = Block(CORE, config)
    cells, guess = synthesise(block.sources[0], block.emission.top), CORE.resources(config)
    assert guess.dsp == cells.dsp == 2 * lanes
    assert guess.lut == pytest.approx(cells.lut, rel=TOLERANCE)
    assert guess.ff == pytest.approx(cells.ff, rel=TOLERANCE)
