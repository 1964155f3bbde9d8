"""Quantised networks: layers with integer weights and the constants of their requantisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hwgen.errors import BadInput
from hwgen.numerics import IntArray
from hwgen.parts.requantise.scales import scale_constants
from hwgen.parts.sparse import pattern_named, prune
from hwgen.program.table import ROUNDING
from hwgen.workloads.layers import INPUT, Hwc, Layer, Workload, input_shapes, shapes

__all__ = [
    "LayerData",
    "Network",
    "Requantiser",
    "kernel_of",
    "pruned_weight",
    "random_input",
    "random_network",
    "weight_shape",
]


@dataclass(frozen=True, eq=False)
class Requantiser:
    """``y = clamp(zero + round((acc + bias) · multiplier / 2**shift), low, high)``, per channel.

    Parameters
    ----------
    bias, multiplier, shift : int64 arrays, shape (channels,)
        int32; 0..2**24 - 1; 0..63.
    zero, low, high : int
        int8.
    rounding : str
        One that the accelerator's requantiser has: ``half_even`` or ``half_away``; ``half_up``; or ``ort``.
    """

    bias: IntArray
    multiplier: IntArray
    shift: IntArray
    zero: int = 0
    low: int = -128
    high: int = 127
    rounding: str = "half_even"


@dataclass(frozen=True, eq=False)
class LayerData:
    """What a layer has beside its shape.

    Parameters
    ----------
    requantiser : Requantiser
        To its output. Biases hold the corrections for the input's zero point.
    weight : int64 array or None
        Of a product: shape (kernel rows, kernel columns, input channels per group, output channels); a GEMM has a
        1 × 1 kernel, or its input's size if it flattens it.
    weights : tuple of int
        Of an ``add``: weights of its two inputs.
    """

    requantiser: Requantiser
    weight: IntArray | None = None
    weights: tuple[int, int] = (1, 1)


@dataclass(frozen=True, eq=False)
class Network:
    """A workload with numbers: what the compiler takes.

    Parameters
    ----------
    workload : Workload
        Shapes.
    data : mapping of str to LayerData
        By layer.
    zeros : mapping of str to int
        Zero point of every tensor by the layer that makes it (``input`` for the network's): the value of padding.
    """

    workload: Workload
    data: Mapping[str, LayerData]
    zeros: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for layer in self.workload.layers:
            if layer.name not in self.data:
                raise BadInput(f"layer {layer.name!r} has no data; give its requantiser and weights")
            given = self.data[layer.name].weight
            if layer.product:
                wanted = weight_shape(self.workload, layer)
                if given is None or given.shape != wanted:
                    shape = None if given is None else given.shape
                    raise BadInput(f"weight of layer {layer.name!r} must have shape {wanted}, not {shape}")

    def rounded(self, rounding: str) -> Network:
        """The same network with another rounding of all layers.

        Parameters
        ----------
        rounding : str
            Of :class:`Requantiser`.
        """
        data = {
            name: replace(one, requantiser=replace(one.requantiser, rounding=rounding))
            for name, one in self.data.items()
        }
        return Network(self.workload, data, self.zeros)

    def zero(self, tensor: str) -> int:
        """Zero point of a tensor."""
        return self.zeros.get(tensor, 0)


def pruned_weight(weight: IntArray, pattern: str) -> IntArray:
    """Weights of a product pruned by magnitude to an N:M pattern along its input channels.

    Parameters
    ----------
    weight : int array, shape (kernel rows, kernel columns, input channels, output channels)
    pattern : str
        Name of the pattern; its groups begin anew at every kernel position.
    """
    kept = [[prune(place, pattern_named(pattern)) for place in row] for row in weight]
    return np.stack([np.stack(row) for row in kept])


def kernel_of(layer: Layer, shape: Hwc) -> tuple[int, int]:
    """Kernel of a product seen as a convolution; a GEMM of one row that flattens its input has the input's size."""
    if layer.kind == "gemm":
        assert layer.gemm is not None
        return (shape[0], shape[1]) if layer.inputs and layer.gemm[0] == 1 else (1, 1)
    return layer.kernel


def weight_shape(workload: Workload, layer: Layer) -> tuple[int, int, int, int]:
    """Shape of a product's weights."""
    shape = input_shapes(workload)[layer.name]
    kh, kw = kernel_of(layer, shape)
    out = shapes(workload)[layer.name][2]
    return kh, kw, shape[2] // layer.groups, out


def random_network(
    workload: Workload,
    seed: int,
    scale_bits: int = 24,
    *,
    roundings: Sequence[str] = ROUNDING,
    with_weights: bool = True,
) -> Network:
    """Random weights within each layer's bits, and scales that spread its results over int8.

    Without weights, the network takes no memory: they read as zero. It compiles to the same program, but on the sparse
    core, where such weights count as dense.
    """
    rng = np.random.default_rng(seed)
    data = {}
    for layer in workload.layers:
        channels = shapes(workload)[layer.name][2]
        low = 0 if layer.relu else -128
        rounding = str(rng.choice(list(roundings)))
        weight = None
        spread = 1.0  # standard deviation of the sums
        bias = np.zeros(channels, np.int64)
        if layer.product:
            shape = weight_shape(workload, layer)
            top = 1 << (layer.weight_bits - 1)
            weight = rng.integers(-top, max(top, 1), shape)
            if not with_weights:
                weight = np.broadcast_to(np.zeros((), np.int8), shape)
            elif layer.pattern:
                weight = pruned_weight(weight, layer.pattern)
            spread = np.sqrt(np.prod(shape[:3])) * max(top, 1) / 1.7 * (1 << (layer.act_bits - 1)) / 1.7
            bias = rng.integers(-int(spread), int(spread) + 1, channels)
            scale = (
                1 / spread * (1 << (_result_bits(workload, layer) - 1)) / 2 * rng.uniform(0.7, 1.4, channels)
            )
        elif layer.kind == "avgpool":
            scale = np.full(channels, 1 / (layer.kernel[0] * layer.kernel[1]))
        elif layer.kind == "add":
            scale = np.full(channels, 0.6)
        else:
            scale = np.ones(channels)
        multiplier, shift = scale_constants(scale, scale_bits)
        bits = _result_bits(workload, layer)
        requantiser = Requantiser(
            bias,
            multiplier,
            shift,
            low=max(low, -(1 << (bits - 1))),
            high=(1 << (bits - 1)) - 1,
            rounding=rounding,
        )
        data[layer.name] = LayerData(requantiser, weight)
    return Network(workload, data)


def _result_bits(workload: Workload, layer: Layer) -> int:
    """Bits that the readers of a layer's result take: the most that any of them wants."""
    readers = [other.act_bits for other in workload.layers if layer.name in other.inputs]
    return max(readers, default=8)


def random_input(network: Network, layer: Layer | None, shape: Hwc, seed: int) -> IntArray:
    """A random tensor for the network, or for a layer that stands alone, within the bits that its readers take."""
    readers = [layer] if layer else [one for one in network.workload.layers if INPUT in one.inputs]
    bits = max((one.act_bits for one in readers), default=8)
    rng = np.random.default_rng(seed)
    return rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), shape)
