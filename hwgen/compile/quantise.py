"""From float weights and sample images to a quantised network (post-training quantisation).

Weights become symmetric integers with one step per output channel, activations int8 with a zero point. The
workload says the bits of each. Layers are quantised one after the other: each one's weights are fitted to the
float results on what the quantised layers before it deliver, so that it makes up for a part of their errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.compile.network import LayerData, Network, Requantiser, kernel_of, weight_shape
from hwgen.compile.reference import layer_result
from hwgen.errors import BadInput
from hwgen.matmul import float_matmul
from hwgen.numerics import IntArray
from hwgen.parts.requantise.scales import scale_constants
from hwgen.workloads.layers import INPUT, Hwc, Layer, Workload, input_shapes, shapes

__all__ = ["FloatArray", "FloatNetwork", "Quantised", "Scale", "fit_scale", "quantise", "run_float"]

FloatArray = npt.NDArray[np.floating[Any]]

_ROWS = 4096
"""Most outputs per channel that decide about a channel's step."""

_VALUES = 1 << 17
"""Most values that decide about a tensor's step."""

_SHARES = np.linspace(1.0, 0.3, 29)
"""Shares of the whole range that are tried: fewer values clipped, or finer steps for the others."""

_MOST = 1 << 30
"""Largest bias in steps of a sum: leaves the other half of int32 to the products."""


@dataclass(frozen=True)
class Scale:
    """What integers stand for: ``step * (q - zero)``.

    Parameters
    ----------
    step : float
        What one of them is worth; positive.
    zero : float
        The integer that stands for 0.0. Of the network's input it may lie between integers; padding then has the
        nearest.
    low, high : int
        Least and largest integer.
    """

    step: float
    zero: float
    low: int = -128
    high: int = 127

    @property
    def padding(self) -> int:
        """The integer nearest to 0.0."""
        return int(np.clip(np.rint(self.zero), self.low, self.high))

    def real(self, values: IntArray) -> FloatArray:
        """What the integers stand for, as float32."""
        real: FloatArray = ((values - self.zero) * self.step).astype(np.float32)
        return real

    def integers(self, values: FloatArray) -> IntArray:
        """The nearest integers, clipped."""
        nearest = np.rint(values / self.step + self.zero)
        clipped: IntArray = np.clip(nearest, self.low, self.high).astype(np.int64)
        return clipped


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A network with float weights.

    Parameters
    ----------
    workload : Workload
        Layers, with the bits that they are to be quantised to, 2 or more; no ``add``, and every layer has an input.
    weights : mapping of str to float array
        By product, shape (kernel rows, kernel columns, input channels per group, output channels).
    biases : mapping of str to float array
        By product, shape (output channels,).
    input_scale : Scale
        What the integers of the input stand for; it takes in any normalisation of the input.

    Raises
    ------
    BadInput
        If a layer cannot be quantised, or a product's weights or biases are missing or have another shape.
    """

    workload: Workload
    weights: Mapping[str, FloatArray]
    biases: Mapping[str, FloatArray]
    input_scale: Scale

    def __post_init__(self) -> None:
        for layer in self.workload.layers:
            if layer.kind == "add" or not layer.inputs:
                raise BadInput(
                    f"layer {layer.name!r} must be a product or a pool that reads one tensor to be quantised here; "
                    "give its integers yourself."
                )
            if layer.act_bits < 2 or (layer.product and layer.weight_bits < 2):
                raise BadInput(
                    f"act_bits and weight_bits of layer {layer.name!r} must be 2 or more to be quantised here, "
                    f"not {layer.act_bits} and {layer.weight_bits}."
                )
            if layer.product:
                wanted = weight_shape(self.workload, layer)
                self._check(layer, "weights", self.weights, wanted)
                self._check(layer, "biases", self.biases, wanted[-1:])

    def _check(
        self, layer: Layer, role: str, given: Mapping[str, FloatArray], wanted: tuple[int, ...]
    ) -> None:
        found = given[layer.name].shape if layer.name in given else None
        if found != wanted:
            raise BadInput(f"{role} of layer {layer.name!r} must have shape {wanted}, not {found}.")


@dataclass(frozen=True, eq=False)
class Quantised:
    """A quantised network and what its integers stand for.

    Parameters
    ----------
    network : Network
        For the compiler and the reference.
    scales : dict of str to Scale
        Of every tensor by the layer that makes it, and of ``input``.
    """

    network: Network
    scales: Mapping[str, Scale]


def run_float(network: FloatNetwork, images: IntArray) -> dict[str, FloatArray]:
    """Float results of all layers.

    Parameters
    ----------
    network : FloatNetwork
        The network.
    images : int array, shape (images, h, w, c)
        Input in the integers of ``network.input_scale``. Padding is 0.0.

    Returns
    -------
    dict of str to float32 array, shape (images, h, w, c)
        By layer.
    """
    sizes = shapes(network.workload)
    known = {INPUT: network.input_scale.real(images)}
    for layer in network.workload.layers:
        known[layer.name] = _float_result(network, layer, known[layer.inputs[0]], sizes[layer.name])
    return {layer.name: known[layer.name] for layer in network.workload.layers}


def _float_result(network: FloatNetwork, layer: Layer, x: FloatArray, size: Hwc) -> FloatArray:
    """Float result of one layer."""
    if layer.kind == "maxpool":
        result = _windows(layer, x, -np.inf).max(axis=(-3, -2))
    elif layer.kind == "avgpool":
        result = _windows(layer, x, 0.0).mean(axis=(-3, -2))
    else:
        weight = network.weights[layer.name].astype(np.float32)
        patches = _patches(layer, x, 0.0)
        result = np.concatenate(
            [float_matmul(rows, part) for rows, part in zip(patches, _columns(layer, weight), strict=True)],
            axis=-1,
        )
        result = result + network.biases[layer.name].astype(np.float32)
    shaped: FloatArray = result.reshape(-1, *size)
    return np.maximum(shaped, 0) if layer.relu else shaped


def _windows(layer: Layer, x: npt.NDArray[Any], padding: float) -> npt.NDArray[Any]:
    """Every window, shape (images, rows, columns, kernel rows, kernel columns, channels)."""
    top, left, bottom, right = layer.pad
    kernel = kernel_of(layer, (x.shape[1], x.shape[2], x.shape[3]))
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=padding)
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2))
    return np.moveaxis(view[:, :: layer.stride[0], :: layer.stride[1]], 3, -1)


def _patches(layer: Layer, x: npt.NDArray[Any], padding: float) -> list[npt.NDArray[Any]]:
    """The GEMM's left operand for every group, shape (images × rows × columns, k)."""
    windows = _windows(layer, x, padding)
    split = np.split(windows, layer.groups, axis=-1)
    return [part.reshape(windows.shape[0] * windows.shape[1] * windows.shape[2], -1) for part in split]


def _columns(layer: Layer, weight: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """The GEMM's right operand for every group, shape (k, channels)."""
    split = np.split(weight, layer.groups, axis=-1)
    return [part.reshape(-1, part.shape[-1]) for part in split]


def fit_scale(values: FloatArray, bits: int = 8) -> Scale:
    """The scale of ``bits`` bits that rounds and clips these values with the least mean square error.

    Parameters
    ----------
    values : float array
        A sample of a tensor, at least one value; all its signs are kept: without negative ones, the least integer
        stands for 0.0.
    bits : int
        2..8.

    Returns
    -------
    Scale
        With a whole ``zero``. Its range is a share of the sample's range, 30 % to 100 %.
    """
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    least, largest = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if least == largest:
        return Scale(1.0, low, low, high)
    flat = values.reshape(-1)
    flat = flat[:: max(1, flat.size // _VALUES)].astype(np.float64)
    candidates = []
    for share in _SHARES:
        step = float(share) * (largest - least) / (high - low)
        zero = float(np.clip(np.rint(low - float(share) * least / step), low, high))
        candidates.append(Scale(step, zero, low, high))
    errors = [
        np.square((s.integers(flat) - s.zero) * s.step - flat).mean(dtype=np.float64) for s in candidates
    ]
    return candidates[int(np.argmin(errors))]


def quantise(network: FloatNetwork, samples: IntArray, scale_bits: int = 24) -> Quantised:
    """Quantise a network.

    Parameters
    ----------
    network : FloatNetwork
        Layers with their bits, float weights, and what the input's integers stand for.
    samples : int array, shape (images, h, w, c)
        Images that decide about steps and corrections, in the integers of ``network.input_scale``; a few hundred
        that look like those to come. No labels are used.
    scale_bits : int
        Width of the requantisers' multipliers, 8..24: that of the accelerator.

    Returns
    -------
    Quantised
        The same workload, weights in ``-(2**(weight_bits - 1) - 1)..2**(weight_bits - 1) - 1``, with the zero
        points of all tensors. Results have as many bits as all of their readers take, the last one eight.

    Raises
    ------
    BadInput
        If the samples have another shape than the network's input, or a sum could leave int32.

    Notes
    -----
    A channel's step is the one, of 29 clipping thresholds, whose products on the samples are nearest to the float
    ones in mean square. The mean error that remains goes into the bias. Sums of floats differ between CPUs in the
    last bits; now and then a bias may come out one step apart on another machine.
    """
    workload = network.workload
    if samples.ndim != 4 or not len(samples) or samples.shape[1:] != workload.input_shape:
        raise BadInput(f"samples must have shape (images, *{workload.input_shape}), not {samples.shape}.")
    sources, sizes = input_shapes(workload), shapes(workload)
    scales = {INPUT: network.input_scale}
    integers: dict[str, IntArray] = {INPUT: samples}
    reals = {INPUT: network.input_scale.real(samples)}
    data = {}
    for layer in workload.layers:
        name, source = layer.name, layer.inputs[0]
        reals[name] = _float_result(network, layer, reals[source], sizes[name])
        scales[name] = (
            scales[source]
            if layer.kind == "maxpool"
            else fit_scale(reals[name], _result_bits(workload, layer))
        )
        if layer.product:
            x = (reals[source], integers[source])
            data[name] = _product(network, layer, x, scales[source], scales[name], scale_bits)
        else:
            data[name] = _pool(layer, sizes[name], scales[source], scales[name], scale_bits)
        padding = scales[source].padding
        integers[name] = layer_result(
            layer, data[name], [integers[source]], sources[name], sizes[name], padding
        )
    zeros = {name: scale.padding for name, scale in scales.items()}
    return Quantised(Network(workload, data, zeros), scales)


def _result_bits(workload: Workload, layer: Layer) -> int:
    """Bits that every reader of a layer's result takes; a maximum hands its integers on to its own readers."""
    bits = [8]
    for reader in workload.layers:
        if layer.name in reader.inputs:
            bits.append(reader.act_bits)
            if reader.kind == "maxpool":
                bits.append(_result_bits(workload, reader))
    return min(bits)


def _pool(layer: Layer, size: Hwc, source: Scale, result: Scale, scale_bits: int) -> LayerData:
    """A maximum keeps its integers; a mean is the sum less the zero points, over the window's size."""
    bias, zero, scale = 0.0, 0, 1.0
    if layer.kind == "avgpool":
        area = layer.kernel[0] * layer.kernel[1]
        bias, zero = -area * source.zero, int(result.zero)
        scale = source.step / (area * result.step)
    multiplier, shift = scale_constants(np.full(size[2], scale), scale_bits)
    biases = np.full(size[2], round(bias), np.int64)
    return LayerData(Requantiser(biases, multiplier, shift, zero, result.low, result.high))


def _product(
    network: FloatNetwork,
    layer: Layer,
    x: tuple[FloatArray, IntArray],
    source: Scale,
    result: Scale,
    scale_bits: int,
) -> LayerData:
    """Weights, biases and scales of a product; ``x`` is its input in floats and in integers."""
    weight = network.weights[layer.name].astype(np.float64)
    bias = network.biases[layer.name].astype(np.float64)
    exact = _patches(layer, x[0], 0.0)
    rounded = _patches(layer, x[1], source.padding)
    every = max(1, len(exact[0]) // _ROWS)
    parts = []
    for group, columns in enumerate(_columns(layer, weight)):
        wanted = float_matmul(exact[group][::every].astype(np.float64), columns)
        given = (rounded[group][::every] - source.zero) * source.step
        channels = slice(group * columns.shape[1], (group + 1) * columns.shape[1])
        least = np.abs(bias[channels]) / (_MOST * source.step)
        parts.append(_fit_columns(columns, wanted, given, layer.weight_bits, least))
    integers = np.concatenate([part[0] for part in parts], axis=-1)
    step = np.concatenate([part[1] for part in parts]) * source.step
    bias = bias + np.concatenate([part[2] for part in parts])
    biases = np.rint(bias / step - source.zero * integers.sum(axis=0)).astype(np.int64)
    largest = int((np.abs(biases) + 128 * np.abs(integers).sum(axis=0)).max())
    if largest >= 1 << 31:
        raise BadInput(
            f"sums of layer {layer.name!r} can reach {largest} and must stay below 2^31; "
            "use fewer weight bits or split the layer."
        )
    multiplier, shift = scale_constants(step / result.step, scale_bits)
    low = max(result.low, int(result.zero)) if layer.relu else result.low
    requantiser = Requantiser(biases, multiplier, shift, int(result.zero), low, result.high)
    return LayerData(requantiser, integers.reshape(weight.shape))


def _fit_columns(
    columns: FloatArray, wanted: FloatArray, given: FloatArray, bits: int, least: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Integers and step of every channel whose products are nearest to the float ones.

    Parameters
    ----------
    columns : float array, shape (k, channels)
        Float weights.
    wanted : float array, shape (rows, channels)
        Products of the float network.
    given : float array, shape (rows, k)
        What the quantised network multiplies, as floats.
    bits : int
        Of the integers, which are symmetric: 2..8.
    least : float array, shape (channels,)
        Smallest step at which the bias still fits.

    Returns
    -------
    integers : int64 array, shape (k, channels)
    step, correction : float arrays, shape (channels,)
        What one is worth; the mean error, which belongs into the bias.
    """
    most = (1 << (bits - 1)) - 1
    reach = np.abs(columns).max(axis=0)
    channels = columns.shape[1]
    best = np.full(channels, np.inf)
    integers = np.zeros(columns.shape, np.int64)
    step, correction = np.ones(channels), np.zeros(channels)
    for share in _SHARES:
        steps = np.maximum(reach * share / most, least)
        steps = np.where(steps > 0, steps, 1.0)
        rounded = np.clip(np.rint(columns / steps), -most, most)
        error = wanted - float_matmul(given, rounded * steps)
        better = (spread := error.var(axis=0)) < best
        best = np.where(better, spread, best)
        integers[:, better] = rounded[:, better].astype(np.int64)
        step = np.where(better, steps, step)
        correction = np.where(better, error.mean(axis=0), correction)
    return integers, step, correction
