"""The closed form against cycles that scalesim 3.0.0 reported when it was run."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwgen.errors import BadInput
from hwgen.explore.scalesim import layer_cycles, network_cycles
from hwgen.workloads import gemms, load

TABLES = Path(__file__).parent.parent / "data" / "scalesim"

# (array, dataflow) and the reported cycles of every layer of vit_s.csv.
VIT_S = {
    (16, "ws"): (69_695, 71_631, 71_631, 557_567, 557_567),
    (16, "os"): (64_583, 90_427, 62_711, 516_671, 488_591),
    (16, "is"): (74_255, 63_543, 105_819, 493_583, 536_639),
    (32, "ws"): (20_879, 21_459, 21_459, 167_039, 167_039),
    (32, "os"): (18_731, 32_633, 17_331, 149_855, 134_231),
    (32, "is"): (24_023, 17_779, 40_921, 136_919, 160_607),
}

# Cycles at 32 x 32 of layers of Resnet18.csv: weight and output stationary.
RESNET18_32 = {
    "Conv1": (121_939, 158_421),
    "Conv2_1a": (108_359, 117_391),
    "Conv3_1a": (63_215, 63_799),
    "Conv3_1b": (110_879, 106_831),
    "Conv3_s": (7_479, 13_607),
    "Conv4_1a": (83_519, 67_983),
    "Conv4_1b": (137_087, 94_639),
    "Conv4_s": (10_207, 12_159),
    "Conv5_1a": (164_735, 75_711),
    "Conv5_1b": (274_175, 74_719),
    "Conv5_s": (20_223, 10_175),
    "FC": (48_639, 18_367),
}


@pytest.mark.parametrize("run", VIT_S)
def test_every_layer_of_vit_s_as_reported(run):
    side, dataflow = run
    shapes = gemms(load(TABLES / "vit_s.csv"))
    cycles = tuple(layer_cycles(dataflow, s.m, s.k, s.n, rows=side, cols=side) for s in shapes)
    assert cycles == VIT_S[run]
    assert network_cycles(dataflow, shapes, rows=side, cols=side) == sum(VIT_S[run])


def test_layers_of_resnet18_as_reported():
    shapes = {s.name: s for s in gemms(load(TABLES / "Resnet18.csv"))}
    for name, reported in RESNET18_32.items():
        s = shapes[name]
        assert reported == tuple(layer_cycles(df, s.m, s.k, s.n, rows=32, cols=32) for df in ("ws", "os"))


@pytest.mark.parametrize(
    ("side", "dataflow", "cycles"),
    [
        (32, "ws", 2_519_815),
        (32, "os", 1_718_353),
        (32, "is", 2_838_997),
        (16, "ws", 7_885_563),
        (16, "os", 6_359_601),
        (16, "is", 8_539_239),
    ],
)
def test_resnet18_as_a_whole(side, dataflow, cycles):
    assert network_cycles(dataflow, gemms(load(TABLES / "Resnet18.csv")), rows=side, cols=side) == cycles


def test_what_it_cannot_count_is_refused():
    with pytest.raises(BadInput, match="dataflow must be one of ws, is, os, not 'rs'"):
        layer_cycles("rs", 1, 1, 1, rows=1, cols=1)
    with pytest.raises(BadInput, match="cols must be at least 1, not 0"):
        layer_cycles("ws", 1, 1, 1, rows=1, cols=0)
