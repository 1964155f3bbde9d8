"""Bounds against counts by definition and against schedules that exist: none may be beaten."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.explore.bounds import (
    Roofline,
    capacity_bound,
    capacity_estimate,
    compulsory_bytes,
    compulsory_words,
    compute_bound,
    lut_rate,
    reuse_bound,
    roofline,
    split_optimum,
    tile_bound,
    traffic_cycles,
)
from hwgen.workloads import Layer, load
from hwgen.workloads.layers import gemm_view, input_shapes, output_shape

CONV = Layer("c", "conv", inputs=("input",), out_channels=64, kernel=(3, 3), pad=(1, 1, 1, 1))
SIZES = st.integers(1, 40)


def test_rates_of_two_cores_add_up():
    lut = lut_rate(8, 128, 16, act_bits=3, weight_bits=7)
    assert lut == Fraction(16384, 21)
    assert compute_bound(1_000_000, 256, lut) == ceil(1_000_000 / (256 + 16384 / 21))
    assert compute_bound(512, 256) == 2
    assert compute_bound(513, 256) == 3
    assert compute_bound(0, 256) == 0


def test_tiles_lose_what_does_not_divide():
    assert tile_bound(10, 32, 32, rows=16, cols=16) == compute_bound(10 * 32 * 32, 256) == 40
    assert tile_bound(10, 33, 17, rows=16, cols=16) == 10 * 3 * 2
    assert tile_bound(10, 9, 1, rows=16, cols=16, groups=32) == 320


@given(m=SIZES, k=SIZES, n=SIZES, rows=SIZES, cols=SIZES, groups=st.integers(1, 4))
def test_tiles_never_beat_the_compute_bound(m, k, n, rows, cols, groups):
    tiles = tile_bound(m, k, n, rows=rows, cols=cols, groups=groups)
    assert tiles >= compute_bound(m * k * n * groups, rows * cols)


def test_a_convolution_reads_its_tensor_not_its_patches():
    words = compulsory_words(CONV, (56, 56, 64))
    assert (words.inputs, words.weights, words.outputs) == (56 * 56 * 64, 9 * 64 * 64, 56 * 56 * 64)
    assert compulsory_bytes(CONV, (56, 56, 64)) == words.total
    narrow = replace(CONV, act_bits=4, weight_bits=2)
    want = (words.inputs * 4 + words.weights * 2 + words.outputs * 32) / 8
    assert compulsory_bytes(narrow, (56, 56, 64), out_bits=32) == want


def test_depthwise_pool_and_addition_count_what_they_touch():
    assert compulsory_words(replace(CONV, groups=64), (8, 8, 64)).weights == 9 * 64
    pool = Layer("p", "maxpool", inputs=("c",), kernel=(2, 2), stride=(2, 2))
    assert compulsory_words(pool, (9, 8, 3)).inputs == 8 * 8 * 3
    assert compulsory_words(pool, (9, 8, 3)).weights == 0
    add = Layer("a", "add", inputs=("x", "y"))
    assert compulsory_words(add, (4, 4, 2)).total == 3 * 32
    assert compulsory_bytes(Layer("g", "gemm", gemm=(2, 3, 5), groups=4), (2, 1, 12)) == 4 * (6 + 15 + 10)


@given(
    size=st.tuples(st.integers(1, 15), st.integers(1, 15)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    pad=st.tuples(*[st.integers(0, 6)] * 4),
)
def test_inputs_are_the_pixels_that_windows_touch(size, kernel, stride, pad):
    layer = replace(CONV, kernel=kernel, stride=stride, pad=pad)
    assume(all(k <= n + pad[i] + pad[i + 2] for i, (n, k) in enumerate(zip(size, kernel, strict=True))))
    rows, columns, _ = output_shape(layer, (*size, 3))
    touched = {
        (y, x)
        for oy in range(rows)
        for ox in range(columns)
        for y in range(oy * stride[0] - pad[0], oy * stride[0] - pad[0] + kernel[0])
        for x in range(ox * stride[1] - pad[1], ox * stride[1] - pad[1] + kernel[1])
        if 0 <= y < size[0] and 0 <= x < size[1]
    }
    assert compulsory_words(layer, (*size, 3)).inputs == 3 * len(touched)


def test_capacity_bound_by_hand():
    assert capacity_bound(100, 100, 100, 100) == 2 * 100**3 // 10 - 200
    assert capacity_bound(100, 100, 100, 1 << 20) == 30_000  # all of it fits: every operand once
    assert capacity_estimate(100, 100, 100, 100) == 230_000
    assert capacity_bound(8, 8, 8, 4, groups=3) == 3 * 512 - 8
    assert reuse_bound(100**3 // 4, 100) == 2 * 100**3 // 40 - 200
    assert reuse_bound(100**3, 1 << 20) == reuse_bound(0, 1) == 0


@given(m=SIZES, k=SIZES, n=SIZES, side=st.integers(1, 12), groups=st.integers(1, 3))
def test_a_schedule_of_square_tiles_never_beats_the_bound(m, k, n, side, groups):
    """Sums of ``side`` x ``side`` stay, one column of A and one row of B pass: it needs side^2 + 2 side words."""
    moved = 0
    for i in range(0, m, side):
        for j in range(0, n, side):
            high, wide = min(side, m - i), min(side, n - j)
            moved += k * (high + wide) + high * wide
    words = side * side + 2 * side
    assert capacity_bound(m, k, n, words, groups=groups) <= groups * moved
    assert capacity_bound(m, k, n, words, groups=groups) <= capacity_estimate(m, k, n, words, groups=groups)


def test_roofline_says_what_binds():
    fc = Layer("fc", "gemm", gemm=(1, 512, 1000))
    line = roofline(fc, (1, 1, 512), macs_per_cycle=256, bytes_per_cycle=8)
    assert line == Roofline(compute=2000, memory=ceil((512 + 512_000 + 1000) / 8))
    assert (line.limit, line.cycles) == ("memory", line.memory)
    conv = roofline(CONV, (56, 56, 64), macs_per_cycle=256, bytes_per_cycle=8)
    assert (conv.limit, conv.cycles) == ("compute", 56 * 56 * 9 * 64 * 64 // 256)
    assert conv.efficiency(2 * conv.cycles) == 0.5
    pool = Layer("p", "maxpool", inputs=("c",), kernel=(2, 2), stride=(2, 2))
    assert roofline(pool, (8, 8, 4), macs_per_cycle=1, bytes_per_cycle=1) == Roofline(
        compute=0, memory=256 + 64
    )


def test_little_memory_raises_the_roofline_of_a_product_only():
    gemm = Layer("g", "gemm", gemm=(256, 256, 256))
    given = {"macs_per_cycle": 1 << 20, "bytes_per_cycle": 1}
    much, little = (
        roofline(gemm, (256, 1, 256), fast_words=words, **given).memory for words in (1 << 30, 64)
    )
    assert (much, little) == (3 * 256 * 256, 2 * 256**3 // 8 - 128)
    narrow = replace(gemm, weight_bits=4)
    assert roofline(narrow, (256, 1, 256), fast_words=64, **given).memory == little // 2
    # A 3 x 3 kernel reuses its neighbours' pixels: the bound of its unrolled product is none of its own.
    assert roofline(CONV, (9, 9, 64), fast_words=4, **given) == roofline(CONV, (9, 9, 64), **given)


def test_every_layer_of_resnet18_has_a_consistent_roofline():
    net = load("resnet18")
    for layer in net.layers:
        shape = input_shapes(net)[layer.name]
        line = roofline(layer, shape, macs_per_cycle=256, bytes_per_cycle=8, fast_words=1 << 18)
        assert line.cycles == max(line.compute, line.memory) > 0
        if layer.product:
            m, k, n, groups = gemm_view(layer, shape)
            assert tile_bound(m, k, n, rows=16, cols=16, groups=groups) >= line.compute


@given(dsp=st.integers(1, 10**9), lut=st.integers(1, 10**9))
def test_the_best_split_ends_on_both_cores_at_once(dsp, lut):
    best = split_optimum(dsp, lut)
    assert best.cycles == pytest.approx(best.lut_share * lut)
    assert best.cycles == pytest.approx((1 - best.lut_share) * dsp)
    assert best.cycles < min(dsp, lut)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lut_rate(8, 0, 8, act_bits=1, weight_bits=1), "dk must be at least 1, not 0"),
        (lambda: compute_bound(8), "rates must not be empty"),
        (lambda: compute_bound(8, 256, 0), "rate must be above zero, not 0"),
        (lambda: tile_bound(1, 1, 1, rows=0, cols=1), "rows must be at least 1, not 0"),
        (lambda: traffic_cycles(8, 0), "bytes_per_cycle must be above zero, not 0"),
        (lambda: capacity_bound(1, 1, 1, 0), "words must be at least 1, not 0"),
        (lambda: reuse_bound(1, 0), "words must be at least 1, not 0"),
        (lambda: capacity_estimate(0, 1, 1, 1), "m must be at least 1, not 0"),
        (lambda: compulsory_bytes(CONV, (4, 4, 1), out_bits=0), "out_bits must be at least 1, not 0"),
        (lambda: split_optimum(0, 1), "cycles of the dsp core must be above zero, not 0"),
        (lambda: Roofline(compute=1, memory=1).efficiency(0), "cycles must be at least 1, not 0"),
    ],
)
def test_what_is_no_machine_is_refused(call, message):
    with pytest.raises(BadInput, match=message):
        call()
