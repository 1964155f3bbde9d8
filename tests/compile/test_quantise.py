"""Post-training quantisation: close to float for every kind of layer, within its formats, and refused where it must."""

import numpy as np
import pytest

from hwgen.compile import reference
from hwgen.compile.network import LayerData, Requantiser, weight_shape
from hwgen.compile.quantise import FloatNetwork, Scale, fit_scale, quantise, run_float
from hwgen.errors import BadInput
from hwgen.workloads.layers import INPUT, Layer, Workload, input_shapes, shapes

SCALE = Scale(step=0.01, zero=-94.67)  # as after a normalisation: 0.0 lies between two integers


def _network(layers, shape=(12, 10, 4), seed=0, scale=SCALE):
    """Random weights under which the spread of values stays near one."""
    workload = Workload(name="t", layers=tuple(layers), input_shape=shape)
    rng = np.random.default_rng(seed)
    weights, biases = {}, {}
    for layer in workload.layers:
        if layer.product:
            size = weight_shape(workload, layer)
            weights[layer.name] = rng.normal(0, np.sqrt(2 / np.prod(size[:3])), size).astype(np.float32)
            biases[layer.name] = rng.normal(0, 0.3, size[3]).astype(np.float32)
    return FloatNetwork(workload, weights, biases, scale)


def _mixed(bits=8):
    window = {"kernel": (3, 3), "pad": (1, 1, 1, 1)}
    return [
        Layer("c", "conv", inputs=("input",), out_channels=8, **window, relu=True, weight_bits=bits),
        Layer("m", "maxpool", inputs=("c",), **window, stride=(2, 2)),
        Layer("g", "conv", inputs=("m",), out_channels=12, groups=4, **window, weight_bits=bits),
        Layer("a", "avgpool", inputs=("g",), **window, stride=(2, 1)),
        Layer("s", "conv", inputs=("a",), out_channels=6, kernel=(1, 2), stride=(1, 2), weight_bits=bits),
        Layer("f", "gemm", inputs=("s",), gemm=(1, 3 * 2 * 6, 5), relu=True, weight_bits=bits),
        Layer("h", "gemm", inputs=("f",), gemm=(1, 5, 7), weight_bits=bits),
    ]


def _images(network, count, seed):
    return np.random.default_rng(seed).integers(-128, 128, (count, *network.workload.input_shape))


def _errors(network, quantised, images):
    """Norm of each layer's error over that of its values."""
    exact = run_float(network, images)
    got = reference.run(quantised.network, {INPUT: images})
    return {
        name: np.linalg.norm(quantised.scales[name].real(got[name]) - exact[name])
        / np.linalg.norm(exact[name])
        for name in exact
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_eight_bits_come_close_to_float_in_every_kind_of_layer(seed):
    network = _network(_mixed(), seed=seed)
    errors = _errors(network, quantise(network, _images(network, 64, 2)), _images(network, 64, 3))
    assert max(errors.values()) < 0.05, errors


def test_fewer_bits_cost_more_but_not_everything():
    found = []
    for bits in (8, 6, 4, 3):
        network = _network(_mixed(bits))
        errors = _errors(network, quantise(network, _images(network, 64, 2)), _images(network, 64, 3))
        found.append(errors["h"])
    assert found == sorted(found)
    assert found[2] < 0.25


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_keep_their_bits(bits):
    network = _network(_mixed(bits))
    made = quantise(network, _images(network, 16, 2)).network
    most = (1 << (bits - 1)) - 1
    for layer in made.workload.layers:
        if layer.product:
            weight = made.data[layer.name].weight
            assert weight.dtype == np.int64
            assert np.abs(weight).max() == most


def test_constants_fit_the_requantiser():
    network = _network(_mixed())
    for scale_bits in (8, 24):
        made = quantise(network, _images(network, 16, 2), scale_bits)
        for name, data in made.network.data.items():
            r = data.requantiser
            assert -(1 << 31) <= r.bias.min() <= r.bias.max() < 1 << 31
            assert 0 <= r.multiplier.min() <= r.multiplier.max() < 1 << scale_bits
            assert 0 <= r.shift.min() <= r.shift.max() <= 63
            assert -128 <= r.low <= r.high <= 127
            assert made.network.zeros[name] == made.scales[name].zero
        assert made.network.zeros["input"] == -95
        assert made.network.data["c"].requantiser.low == made.network.zeros["c"] == -128


def test_padding_is_the_float_zero():
    """Where a kernel sees padding alone beside weights of one sign, a wrong value of padding would show."""
    layer = Layer("c", "conv", inputs=("input",), out_channels=1, kernel=(3, 3), pad=(1, 1, 1, 1))
    network = _network([layer], shape=(3, 3, 1))
    network.weights["c"][:] = 1
    network.biases["c"][:] = 0
    images = np.random.default_rng(0).integers(-128, 128, (32, 3, 3, 1))
    made = quantise(network, images)
    got = made.scales["c"].real(reference.run(made.network, {INPUT: images})["c"])
    # Five taps of padding that are a third of a step from zero, and half a step of rounding and of the weights.
    most = 5 * 0.33 * SCALE.step + made.scales["c"].step * 1.5
    assert np.abs(got - run_float(network, images)["c"]).max() < most


def test_a_dead_channel_gives_its_bias():
    layer = Layer("c", "conv", inputs=("input",), out_channels=3)
    network = _network([layer])
    network.weights["c"][..., 1:] = 0
    network.biases["c"][:] = (0, 1.5, 0)
    images = _images(network, 8, 0)
    made = quantise(network, images)
    got = made.scales["c"].real(reference.run(made.network, {INPUT: images})["c"])
    np.testing.assert_allclose(got[..., 1], 1.5, atol=made.scales["c"].step / 2)
    np.testing.assert_array_equal(got[..., 2], 0)


def test_a_bias_far_above_the_weights_still_fits():
    network = _network([Layer("c", "conv", inputs=("input",), out_channels=2)])
    network.weights["c"][...] *= 1e-9
    network.biases["c"][:] = (100, -50)
    images = _images(network, 8, 0)
    made = quantise(network, images)
    got = made.scales["c"].real(reference.run(made.network, {INPUT: images})["c"])
    np.testing.assert_allclose(got[..., 0], 100, rtol=0.01)
    np.testing.assert_allclose(got[..., 1], -50, rtol=0.02)


def test_the_mean_error_of_coarse_weights_goes_into_the_bias():
    network = _network([Layer("c", "conv", inputs=("input",), out_channels=8, weight_bits=2)])
    images = np.random.default_rng(0).integers(
        40, 128, (64, 12, 10, 4)
    )  # far from zero: errors do not cancel
    made = quantise(network, images)
    got = made.scales["c"].real(reference.run(made.network, {INPUT: images})["c"])
    error = (got - run_float(network, images)["c"]).mean(axis=(0, 1, 2))
    assert np.abs(error).max() < made.scales["c"].step


def test_results_have_the_bits_that_all_readers_take():
    network = _network(
        [
            Layer("c", "conv", inputs=("input",), out_channels=8, relu=True),
            Layer("m", "maxpool", inputs=("c",), kernel=(2, 2), stride=(2, 2)),
            Layer("d", "conv", inputs=("m",), out_channels=4, act_bits=4),
            Layer("e", "conv", inputs=("m",), out_channels=4, act_bits=3),
        ]
    )
    images = _images(network, 16, 0)
    made = quantise(network, images)
    results = reference.run(made.network, {INPUT: images})
    assert (results["c"].min(), results["c"].max()) == (-4, 3)
    assert (made.scales["m"].low, made.scales["m"].high) == (-4, 3)
    assert results["d"].max() > 7


def test_the_float_pass_computes_what_the_integer_reference_does():
    """On small integers both are exact; the reference is held to other truths elsewhere."""
    network = _network(_mixed()[:4], scale=Scale(1.0, 0.0))
    rng = np.random.default_rng(5)
    x = rng.integers(-3, 4, (2, *network.workload.input_shape))
    sources, sizes = input_shapes(network.workload), shapes(network.workload)
    for layer in network.workload.layers:
        alone = Workload(
            name="t",
            input_shape=sources[layer.name],
            layers=(Layer(**{**_fields(layer), "inputs": ("input",), "relu": False}),),
        )
        layer = alone.layers[0]
        weights, data = {}, LayerData(Requantiser(0, 1, 0, low=-(1 << 20), high=1 << 20))
        if layer.product:
            weights[layer.name] = rng.integers(-3, 4, weight_shape(alone, layer))
            data = LayerData(data.requantiser, weights[layer.name])
        biases = {name: np.zeros(w.shape[-1]) for name, w in weights.items()}
        got = run_float(FloatNetwork(alone, weights, biases, Scale(1.0, 0.0)), x)[layer.name]
        wanted = reference.layer_result(layer, data, [x], sources[layer.name], sizes[layer.name], 0)
        if layer.kind == "avgpool":
            np.testing.assert_allclose(got * 9, wanted, rtol=1e-5, atol=1e-4)
        else:
            np.testing.assert_array_equal(got, wanted)
        x = wanted


def _fields(layer):
    return {name: getattr(layer, name) for name in layer.__dataclass_fields__ if name != "_"}


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(("low", "high"), [(0, 3), (-1, 1), (-5, -2), (2, 7), (0, 0)])
def test_a_scale_covers_its_sample(bits, low, high):
    values = np.random.default_rng(0).uniform(low, high, 5000).astype(np.float32)
    scale = fit_scale(values, bits)
    assert scale.step > 0
    assert scale.zero == int(scale.zero)
    assert -(1 << (bits - 1)) == scale.low <= scale.zero <= scale.high == (1 << (bits - 1)) - 1
    assert scale.real(scale.integers(np.zeros(1))) == 0
    error = np.abs(scale.real(scale.integers(values)) - values)
    assert error.mean() <= 0.3 * (max(high, 0) - min(low, 0)) / (2**bits - 1) + 1e-9


def test_a_scale_clips_an_outlier_that_is_not_worth_its_steps():
    values = np.append(np.random.default_rng(0).normal(0, 1, 50_000), 12.0)
    scale = fit_scale(values, 4)
    assert scale.step < 0.7 * (values.max() - values.min()) / 15


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ([Layer("c", "conv", inputs=("input",), out_channels=4), Layer("x", "add", inputs=("c", "input"))], "'x'"),
        ([Layer("m", "gemm", gemm=(2, 3, 4)), Layer("c", "conv", inputs=("input",), out_channels=4)], "'m'"),
        ([Layer("c", "conv", inputs=("input",), out_channels=4, weight_bits=1)], "2 or more"),
        ([Layer("c", "maxpool", inputs=("input",), act_bits=1)], "2 or more"),
    ],
)  # fmt: skip
def test_layers_that_cannot_be_quantised_are_named(layers, says):
    with pytest.raises(BadInput, match=says):
        _network(layers)


def test_weights_of_another_shape_are_refused():
    good = _network([Layer("c", "conv", inputs=("input",), out_channels=4)])
    with pytest.raises(BadInput, match=r"weights of layer 'c' must have shape \(1, 1, 4, 4\), not None"):
        FloatNetwork(good.workload, {}, good.biases, SCALE)
    with pytest.raises(BadInput, match=r"biases of layer 'c' must have shape \(4,\), not \(3,\)"):
        FloatNetwork(good.workload, good.weights, {"c": np.zeros(3)}, SCALE)


def test_sums_that_could_leave_int32_are_refused():
    network = _network([Layer("f", "gemm", inputs=("input",), gemm=(1, 140_000, 1))], shape=(1, 1, 140_000))
    network.weights["f"][:] = 1
    with pytest.raises(BadInput, match=r"sums of layer 'f' can reach \d+ and must stay below 2\^31"):
        quantise(network, _images(network, 2, 0))


@pytest.mark.parametrize("shape", [(12, 10, 4), (0, 12, 10, 4), (3, 10, 12, 4)])
def test_samples_of_another_shape_are_refused(shape):
    network = _network([Layer("c", "conv", inputs=("input",), out_channels=4)])
    with pytest.raises(BadInput, match=r"samples must have shape \(images, \*\(12, 10, 4\)\), not"):
        quantise(network, np.zeros(shape, np.int64))
