"""A quantised network on a batch of images: bit for bit what the reference says, at the speed of BLAS.

What a change of one layer leaves as it is, is kept, so that a search which tries one layer after the other computes
only what follows that layer. The same code without rounding is the smooth function whose derivative
:mod:`hwgen.faults.algorithmic.gradients` takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.compile.network import LayerData, Network, Requantiser, kernel_of
from hwgen.errors import BadInput
from hwgen.matmul import exact_matmul, float_matmul
from hwgen.numerics import IntArray, wrap
from hwgen.parts.requantise.golden import requantise
from hwgen.workloads.layers import INPUT, Hwc, Layer, input_shapes, shapes

__all__ = [
    "Array", "Evaluation", "LayerRun", "check_images", "evaluate", "logits", "padded", "patches", "with_weights",
]  # fmt: skip

Array = npt.NDArray[Any]

_LARGEST = 128  # magnitude of an int8
_PAPER = -128  # what a maximum reads beside the image
# Images at a time: what they need stays in the processor's cache, where an element costs a third.
_CHUNK = 16
_BATCH = 128


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A network on images, with everything that a gradient or a changed layer needs.

    Parameters
    ----------
    network : Network
        What was computed.
    images : int
        How many.
    tensors : mapping of str to float array, shape (images, h, w, c)
        Input and results of all layers: whole numbers, int8, unless ``smooth``.
    open : mapping of str to bool array, shape (images, h, w, c)
        Where the clamp of a layer's requantiser let the value through: strictly between its bounds before rounding.
    smooth : bool
        Whether rounding was left out.
    """

    network: Network
    images: int
    tensors: Mapping[str, Array]
    open: Mapping[str, npt.NDArray[np.bool_]]
    smooth: bool = False

    @property
    def logits(self) -> npt.NDArray[np.float64]:
        """Results of the last layer less its zero point, shape (images, classes)."""
        last = self.network.workload.layers[-1].name
        values = self.tensors[last].reshape(self.images, -1).astype(np.float64)
        centred: npt.NDArray[np.float64] = values - self.network.zero(last)
        return centred

    @property
    def classes(self) -> IntArray:
        """What :func:`hwgen.workloads.mnist.classify` says, shape (images,): the first of the largest logits."""
        found: IntArray = self.logits.argmax(axis=1)
        return found

    def changed(self, layer: str, weight: IntArray, *, gradient: bool = False) -> Evaluation:
        """The same images on the network with another weight in one layer; only what depends on it is computed.

        Parameters
        ----------
        layer : str
            A product.
        weight : int array
            Of the shape of the layer's weight, int8.
        gradient : bool
            Whether ``open`` is wanted. Without it, the result has no ``open`` and keeps only the last tensor.

        Returns
        -------
        Evaluation
            Of :func:`with_weights` of the network.
        """
        network = with_weights(self.network, {layer: weight})
        return _run(network, self.tensors, self.images, self.smooth, gradient, first=layer, before=self)


def evaluate(
    network: Network, images: Array, *, smooth: bool = False, gradient: bool = True, keep: bool = True
) -> Evaluation:
    """Compute a network.

    Parameters
    ----------
    network : Network
        All of its layers read the input or each other.
    images : array, shape (images, h, w, c)
        Whole numbers in -128..127 as the network reads them; any numbers if ``smooth``.
    smooth : bool
        Leave rounding out: ``clamp(zero + (acc + bias) · multiplier / 2**shift, low, high)`` in float64, without the
        wrap at 32 bits.
    gradient : bool
        Whether ``open`` is wanted; it costs a third of the time.
    keep : bool
        Whether all tensors are wanted, or only the last one.

    Raises
    ------
    BadInput
        If a layer stands alone, or the images have another shape or leave int8.
    """
    check_images(network, images, smooth=smooth)
    start = {INPUT: images.astype(np.float64 if smooth else np.float32)}
    done = _run(network, start, len(images), smooth, gradient, first=network.workload.layers[0].name)
    if keep:
        return done
    last = network.workload.layers[-1].name
    return replace(done, tensors={last: done.tensors[last]})


def check_images(network: Network, images: Array, *, smooth: bool = False) -> None:
    """Refuse what cannot be evaluated.

    Raises
    ------
    BadInput
        If a layer stands alone, or the images have another shape than the network's input or, unless ``smooth``, hold
        anything but whole numbers in -128..127.
    """
    alone = next((one.name for one in network.workload.layers if not one.inputs), None)
    if alone is not None:
        raise BadInput(
            f"layer {alone!r} of {network.workload.name!r} stands alone and has no input from the network; "
            "give a network whose layers read its input or each other."
        )
    wanted = network.workload.input_shape
    if images.ndim != 4 or not len(images) or images.shape[1:] != wanted:
        raise BadInput(f"images must have shape (images, *{wanted}), not {images.shape}.")
    if not smooth and (
        images.min() < -_LARGEST or images.max() >= _LARGEST or (images != np.rint(images)).any()
    ):
        raise BadInput(
            f"images must hold whole numbers in -128..127, not {images.min()}..{images.max()}; shift them as "
            "mnist_images does."
        )


def logits(network: Network, images: Array) -> npt.NDArray[np.float64]:
    """Results of the last layer less its zero point, for any number of images, shape (images, classes).

    Raises
    ------
    BadInput
        As :func:`evaluate`.
    """
    parts = [
        evaluate(network, images[begin : begin + _BATCH], gradient=False, keep=False).logits
        for begin in range(0, max(1, len(images)), _BATCH)
    ]
    return np.concatenate(parts)


def with_weights(network: Network, weights: Mapping[str, IntArray]) -> Network:
    """The network with other weights in some products; everything else is shared.

    Raises
    ------
    BadInput
        If there is no such product, or a weight has another shape.
    """
    for name in weights:
        if name not in network.data or network.data[name].weight is None:
            known = ", ".join(one.name for one in network.workload.layers if one.product)
            raise BadInput(f"there is no product {name!r} in {network.workload.name!r}; name one of {known}.")
    data = {
        name: replace(one, weight=weights[name].astype(np.int64)) if name in weights else one
        for name, one in network.data.items()
    }
    return Network(network.workload, data, network.zeros)


def padded(x: Array, pad: tuple[int, int, int, int], value: float) -> Array:
    """Images with a frame (top, left, bottom, right)."""
    top, left, bottom, right = pad
    if not any(pad):
        return x
    shape = (len(x), x.shape[1] + top + bottom, x.shape[2] + left + right, x.shape[3])
    framed = np.full(shape, value, x.dtype)
    framed[:, top : top + x.shape[1], left : left + x.shape[2]] = x
    return framed


def patches(layer: Layer, x: Array, source: Hwc, value: float) -> list[Array]:
    """Left operand of a product's GEMM for every group, shape (images × rows × columns, k).

    Parameters
    ----------
    layer : Layer
        A product.
    x : float array, shape (images, *source)
        What it reads.
    source : tuple of int
        (h, w, c).
    value : float
        Of padding.
    """
    kernel = kernel_of(layer, source)
    framed = padded(x, layer.pad, value)
    view = np.lib.stride_tricks.sliding_window_view(framed, kernel, axis=(1, 2))
    windows = np.moveaxis(view[:, :: layer.stride[0], :: layer.stride[1]], 3, -1)
    rows = windows.shape[0] * windows.shape[1] * windows.shape[2]
    return [part.reshape(rows, -1) for part in np.split(windows, layer.groups, axis=-1)]


def _run(
    network: Network,
    known: Mapping[str, Array],
    images: int,
    smooth: bool,
    gradient: bool,
    *,
    first: str,
    before: Evaluation | None = None,
) -> Evaluation:
    """Compute ``first`` and what depends on it; the rest is known."""
    sources, sizes = input_shapes(network.workload), shapes(network.workload)
    tensors = dict(known)
    opened = dict(before.open) if before else {}
    stale: set[str] = set()
    for layer in network.workload.layers:
        if before and layer.name != first and not stale.intersection(layer.inputs):
            continue
        stale.add(layer.name)
        reader = LayerRun(network, layer, sources[layer.name], sizes[layer.name], smooth=smooth)
        tensors[layer.name], opened[layer.name] = reader.result([tensors[n] for n in layer.inputs], gradient)
    if before and not gradient:
        last = network.workload.layers[-1].name
        return Evaluation(network, images, {last: tensors[last]}, {}, smooth)
    return Evaluation(network, images, tensors, opened if gradient else {}, smooth)


class LayerRun:
    """How one layer is computed.

    Parameters
    ----------
    network : Network
        That it belongs to.
    layer : Layer
        One with inputs.
    source, size : tuple of int
        (h, w, c) of its input and its result.
    smooth : bool
        Without rounding, as in :func:`evaluate`.
    data : LayerData or None
        In place of the network's.
    """

    def __init__(
        self,
        network: Network,
        layer: Layer,
        source: Hwc,
        size: Hwc,
        *,
        smooth: bool = False,
        data: LayerData | None = None,
    ):
        self.layer, self.source, self.size, self.smooth = layer, source, size, smooth
        self.data = data or network.data[layer.name]
        self.zero = network.zero(layer.inputs[0])
        self.kind = np.float64 if smooth else np.float32
        r = self.data.requantiser
        self.bias = r.bias.astype(np.float64)
        # A multiplier has 24 bits, so that this quotient is exact.
        self.scale = np.ldexp(r.multiplier.astype(np.float64), -r.shift.astype(np.int64).astype(np.int32))
        self.fast = smooth or _fits(r, self._largest_sum())
        weight, self.columns = self.data.weight, list[Array]()
        if weight is not None:
            split = np.split(weight, layer.groups, axis=3)
            self.columns = [part.reshape(-1, part.shape[3]).astype(self.kind) for part in split]
            self.largest = _LARGEST * max(1, int(np.abs(weight).max()))

    def result(self, tensors: list[Array], gradient: bool = False) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Result, float32 (float64 if smooth), and where its clamp is open (of no images, if that is not wanted)."""
        count = len(tensors[0])
        values = np.empty((count, *self.size), self.kind)
        opened = np.empty((count if gradient else 0, *self.size), bool)
        for begin in range(0, count, _CHUNK):
            part = slice(begin, begin + _CHUNK)
            sums = self._sums([x[part].reshape(-1, *self.source) for x in tensors])
            values[part], inside = self._requantised(sums.reshape(-1, *self.size), gradient)
            if gradient:
                opened[part] = inside
        return values, opened

    def _largest_sum(self) -> int:
        """Bound on the magnitude of a sum of int8."""
        layer, weight = self.layer, self.data.weight
        if weight is not None:
            return int(_LARGEST * np.abs(weight).reshape(-1, weight.shape[-1]).sum(axis=0).max())
        if layer.kind == "add":
            return _LARGEST * sum(map(abs, self.data.weights))
        return _LARGEST * (layer.kernel[0] * layer.kernel[1] if layer.kind == "avgpool" else 1)

    def _sums(self, xs: list[Array]) -> Array:
        layer = self.layer
        if layer.kind == "add":
            one, other = self.data.weights
            added: Array = xs[0].astype(np.float64) * one + xs[1].astype(np.float64) * other
            return added
        if layer.kind == "maxpool":
            views = self._slices(padded(xs[0], layer.pad, _PAPER))
            top = next(views).copy()
            for view in views:
                np.maximum(top, view, out=top)
            return top
        if layer.kind == "avgpool":
            views = self._slices(padded(xs[0], layer.pad, self.zero))
            total = next(views).astype(np.float64)
            for view in views:
                total += view
            return total
        return self._product(xs[0])

    def _slices(self, framed: Array) -> Iterator[Array]:
        """Every window's element at one position after the other."""
        (kh, kw), (sh, sw), (rows, columns, _) = self.layer.kernel, self.layer.stride, self.size
        for i in range(kh):
            for j in range(kw):
                yield framed[:, i : i + sh * rows : sh, j : j + sw * columns : sw][:, :rows, :columns]

    def _product(self, x: Array) -> Array:
        pairs = zip(patches(self.layer, x, self.source, self.zero), self.columns, strict=True)
        if self.smooth:
            sums: list[Array] = [float_matmul(a, b) for a, b in pairs]
        else:
            sums = [exact_matmul(a, b, self.largest) for a, b in pairs]
        return sums[0] if len(sums) == 1 else np.concatenate(sums, axis=-1)

    def _requantised(self, sums: Array, gradient: bool) -> tuple[Array, npt.NDArray[np.bool_]]:
        r = self.data.requantiser
        nowhere = np.empty((0, *self.size), bool)
        if not self.fast:
            whole = wrap(sums.astype(np.int64), 32)
            values = requantise(
                whole, r.bias, r.multiplier, r.shift, zero=r.zero, low=r.low, high=r.high, rounding=r.rounding
            ).astype(self.kind)
            if not gradient:
                return values, nowhere
            real: Array = wrap(whole + r.bias, 32) * self.scale + r.zero
            return values, (real > r.low) & (real < r.high)
        real = sums + self.bias
        real *= self.scale
        inside = (real > r.low - r.zero) & (real < r.high - r.zero) if gradient else nowhere
        if not self.smooth:
            _rounded(real, r.rounding)
        real += r.zero
        np.clip(real, r.low, r.high, out=real)
        return real, inside


def _fits(r: Requantiser, largest: int) -> bool:
    """Whether float64 computes a requantiser exactly, and its sums do not wrap."""
    total = largest + int(np.abs(r.bias).max(initial=0))
    product = total * int(r.multiplier.max(initial=0))
    return (
        r.rounding in ("half_even", "half_away", "half_up")
        and total < 1 << 31
        and product < 1 << 52
        and int(r.shift.max(initial=0)) <= 52  # so that half of the last place is no smaller than a double's
    )


def _rounded(values: Array, rounding: str) -> None:
    """Round to whole numbers in place; exact where :func:`_fits` holds."""
    if rounding == "half_even":
        np.rint(values, out=values)
    elif rounding == "half_up":
        values += 0.5
        np.floor(values, out=values)
    else:
        values += np.copysign(0.5, values)
        np.trunc(values, out=values)
