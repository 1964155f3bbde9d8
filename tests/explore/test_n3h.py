"""N3H-Core's latency model: small cases worked out by hand, and what is known of the published point."""

from __future__ import annotations

import pytest

from hwgen.errors import BadInput
from hwgen.explore.n3h import (
    PUBLISHED,
    RESNET18_STRATEGY,
    Point,
    dsp_cycles,
    layer_cycles,
    lut_cycles,
    network,
)
from hwgen.workloads import Layer, Workload, load


def test_lut_core_when_fetching_hides_execution():
    """Two tiles, one round: 238 + two fetches of 46 + 8*2*2, one of 46 + 16*3*2; execution (1 + 8)*6 + 8 = 62."""
    assert lut_cycles(16, 128, 16, act_bits=2, weight_bits=3) == 238 + 2 * 78 + 142


def test_lut_core_with_several_rounds():
    """Four regions, five row tiles in two rounds with one left, two column tiles; execution 152, fetches 78, 302."""
    stall = ((4 - 3) * (2 - 1) * 2 + 1) * 152 + 2 * (10 + (4 - 3) * (152 - 78))
    want = 238 + 78 * 5 + 302 * 2 * 2 + stall
    assert want == 2460
    assert lut_cycles(40, 128, 32, act_bits=2, weight_bits=8, point=Point(lut_depth=8)) == want


def test_lut_core_with_one_round_of_more_than_three_tiles():
    """Sixteen regions, five row tiles, four column tiles: the round is the last one."""
    stall = (5 - 3) * (4 - 1) * 152 + (10 + (16 - 3) * (152 - 78))
    want = 238 + 78 * 5 + 302 * 4 + stall
    assert want == 3720
    assert lut_cycles(40, 128, 64, act_bits=2, weight_bits=8, point=Point(lut_depth=32)) == want


def test_lut_core_with_one_round_of_up_to_three_tiles():
    """Three row tiles, eight column tiles: only the term of each round is left."""
    want = 238 + 78 * 3 + 302 * 8 + (10 + (16 - 3) * (152 - 78))
    assert lut_cycles(24, 128, 128, act_bits=2, weight_bits=8, point=Point(lut_depth=32)) == want


def test_dsp_core_in_one_corner():
    """Two tiles of k, one of n, three rows: 12 products, weights 48 + 2*16, activations 33 + 2*16, base 32."""
    assert dsp_cycles(3, 32, 16, wide=True) == 12 + 80 + 65 + 32


SMALL = Point(dsp_act_depth=4, dsp_weight_depth=8)  # regions of two rows and two columns at two tiles of k


def test_dsp_core_with_all_four_parts():
    full = 4 * (16 + 6 + 104 + 65)
    last_rows = 2 * (8 + 104 + 65)
    last_columns = 2 * (8 + 128 + 65)
    corner = 4 + 80 + 65
    assert full + last_rows + last_columns + corner + 32 == 1701
    assert dsp_cycles(5, 32, 80, wide=True, point=SMALL) == 1701


def test_dsp_core_is_charged_for_reads_of_parts_that_are_empty():
    """As the released software does: last rows 104 + 65, last columns 96 + 65, corner 48 + 65."""
    assert dsp_cycles(4, 32, 64, wide=True, point=SMALL) == 4 * 191 + 2 * 169 + 2 * 161 + 113 + 32


def test_four_bits_halve_the_tiles_of_k():
    assert dsp_cycles(5, 64, 80, wide=False) == dsp_cycles(5, 32, 80, wide=True)
    assert dsp_cycles(5, 33, 80, wide=False) == dsp_cycles(5, 17, 80, wide=True)


def test_no_channels_take_no_time():
    assert dsp_cycles(5, 32, 0, wide=True) == lut_cycles(5, 32, 0, act_bits=1, weight_bits=1) == 0


def test_a_layer_is_split_by_output_channels():
    layer = layer_cycles(784, 576, 128, (2, 3, 0.88), wide=False)
    assert (layer.n_lut, layer.n_dsp) == (113, 15)
    assert layer.lut_part == lut_cycles(784, 576, 113, act_bits=2, weight_bits=3)
    assert layer.dsp_part == dsp_cycles(784, 576, 15, wide=False)
    assert layer.split == max(layer.lut_part, layer.dsp_part)
    assert layer.better == min(layer.dsp, layer.lut)
    assert layer.ideal == pytest.approx(1 / (1 / layer.dsp + 1 / layer.lut))
    assert layer_cycles(784, 576, 128, (2, 3, 0), wide=False).split == layer.dsp
    assert layer_cycles(784, 576, 128, (2, 3, 1), wide=False).split == layer.lut


def test_the_published_strategy_does_what_is_known_of_it():
    """About 1.3 times better than the better core for each layer, about 90 % of the ideal split."""
    result = network()
    assert len(result.layers) == len(RESNET18_STRATEGY) == 21
    assert result.better / result.split == pytest.approx(1.3, abs=0.05)
    assert result.ideal / result.split == pytest.approx(0.9, abs=0.05)
    assert result.ideal < result.split < result.better < min(result.dsp, result.lut)
    assert result.split == sum(layer.split for layer in result.layers)


def test_the_published_totals_do_not_drift():
    """Our own evaluation of the model, in cycles at 100 MHz: 100.2, 81.8 and 36.9 ms."""
    result = network()
    assert (result.dsp, result.lut, result.split) == (10_022_833, 8_179_554, 3_689_956)


def test_shortcuts_have_the_small_shares():
    products = [layer for layer in load("resnet18").layers if layer.product]
    shares = {layer.name: share for layer, (_, _, share) in zip(products, RESNET18_STRATEGY, strict=True)}
    small = {name for name, share in shares.items() if share < 0.2}
    assert small == {f"layer{stage}.0.downsample" for stage in (2, 3, 4)}


def test_first_and_last_layers_are_8_bit_on_the_dsp_core():
    layers = network().layers
    assert layers[0].dsp == dsp_cycles(12544, 147, 64, wide=True)
    assert layers[1].dsp == dsp_cycles(3136, 576, 64, wide=False)
    assert layers[-1].dsp == dsp_cycles(1, 512, 1000, wide=True)


def test_groups_count_as_products():
    heads = Workload(name="heads", layers=(Layer("h", "gemm", gemm=(8, 32, 8), groups=3),))
    assert len(network(heads, ((4, 4, 0.5),) * 3).layers) == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Point(lut_m=0), "lut_m must be at least 1, not 0"),
        (lambda: Point(lut_k=96), "lut_k must be a multiple of 64, not 96"),
        (lambda: lut_cycles(0, 1, 1, act_bits=1, weight_bits=1), "m must be at least 1, not 0"),
        (lambda: lut_cycles(1, 1, 1, act_bits=9, weight_bits=1), r"act_bits must lie in 1\.\.8, not 9"),
        (
            lambda: lut_cycles(1, 20_000, 1, act_bits=8, weight_bits=8),
            "lut_depth is 1024, but k = 20000 at 8 bits takes 1256 entries",
        ),
        (lambda: dsp_cycles(1, 1, -1, wide=True), "n must be at least 0, not -1"),
        (
            lambda: dsp_cycles(1, 20_000, 1, wide=True),
            "dsp_weight_depth is 1024, too small for k = 20000, which takes 1250 tiles",
        ),
        (lambda: layer_cycles(1, 1, 1, (8, 8, 1.1), wide=True), r"share of layer 'layer' must lie in 0\.\.1"),
        (lambda: network(strategy=((8, 8, 0.5),)), "strategy has 1 triples for 21 products"),
    ],
)
def test_what_the_model_cannot_say_is_refused(call, message):
    with pytest.raises(BadInput, match=message):
        call()


def test_the_published_point():
    assert vars(PUBLISHED) == {
        "lut_m": 8,
        "lut_n": 16,
        "lut_k": 128,
        "lut_depth": 1024,
        "dsp_act_depth": 2048,
        "dsp_weight_depth": 1024,
    }
