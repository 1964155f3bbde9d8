"""What a quantised network computes, from the mathematics of its layers: no tiles, no instructions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hwgen.compile.network import LayerData, Network, kernel_of
from hwgen.matmul import float_matmul
from hwgen.numerics import IntArray, wrap
from hwgen.parts.requantise.golden import requantise
from hwgen.workloads.layers import Hwc, Layer, input_shapes, shapes

__all__ = ["layer_result", "run"]


def run(network: Network, inputs: Mapping[str, IntArray]) -> dict[str, IntArray]:
    """Results of all layers.

    Parameters
    ----------
    network : Network
        The network.
    inputs : mapping of str to int array
        ``input`` and, by their names, the operands of layers that stand alone; shape (h, w, c), or
        (images, h, w, c) for all of them.

    Returns
    -------
    dict of str to int64 array
        By layer; the images first if the inputs have them.
    """
    known = dict(inputs)
    source = input_shapes(network.workload)
    sizes = shapes(network.workload)
    for layer in network.workload.layers:
        tensors = [known[name] for name in layer.inputs] or [inputs[layer.name]]
        zero = network.zero(layer.inputs[0]) if layer.inputs else 0
        known[layer.name] = layer_result(
            layer, network.data[layer.name], tensors, source[layer.name], sizes[layer.name], zero
        )
    return {layer.name: known[layer.name] for layer in network.workload.layers}


def layer_result(
    layer: Layer, data: LayerData, tensors: list[IntArray], source: Hwc, size: Hwc, zero: int
) -> IntArray:
    """Result of one layer; ``zero`` is the value of padding."""
    batched = tensors[0].ndim == 4
    # Tensors of other shapes hold the same elements in the same order: a GEMM's rows, say.
    x = [np.asarray(t, np.int64).reshape(-1, *source) for t in tensors]
    if layer.kind == "add":
        sums = x[0] * data.weights[0] + x[1] * data.weights[1]
    elif layer.kind == "maxpool":
        sums = _windows(x[0], layer.kernel, layer.stride, layer.pad, -128).max(axis=(-3, -2))
    elif layer.kind == "avgpool":
        sums = _windows(x[0], layer.kernel, layer.stride, layer.pad, zero).sum(axis=(-3, -2))
    else:
        assert data.weight is not None
        sums = _product(layer, data.weight, x[0], source, zero)
    r = data.requantiser
    result = requantise(
        wrap(sums, 32), r.bias, r.multiplier, r.shift,
        zero=r.zero, low=r.low, high=r.high, rounding=r.rounding,
    ).reshape(-1, *size)  # fmt: skip
    return result if batched else result[0]


def _windows(
    x: IntArray, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int, int, int], value: int
) -> IntArray:
    """Every window, shape (images, rows, columns, kernel rows, kernel columns, channels)."""
    top, left, bottom, right = pad
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2))[:, :: stride[0], :: stride[1]]
    return np.moveaxis(view, 3, -1)


def _product(layer: Layer, weight: IntArray, x: IntArray, source: Hwc, zero: int) -> IntArray:
    """Sums of a convolution or GEMM, group by group; exact in float64, because they stay below 2**53."""
    windows = _windows(x, kernel_of(layer, source), layer.stride, layer.pad, zero)
    groups = layer.groups
    inner, outer = weight.shape[2], weight.shape[3] // groups
    sums = []
    for group in range(groups):
        a = windows[..., group * inner : (group + 1) * inner]
        b = weight[..., group * outer : (group + 1) * outer]
        flat = float_matmul(
            a.reshape(*a.shape[:3], -1).astype(np.float64), b.reshape(-1, outer).astype(np.float64)
        )
        sums.append(flat.astype(np.int64))
    return np.concatenate(sums, axis=-1)
