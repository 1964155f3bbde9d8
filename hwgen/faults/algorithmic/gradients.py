"""How a loss changes with every integer weight of a quantised network: back-propagation in NumPy.

Rounding counts as the identity and a clamp as open strictly between its bounds (the straight-through estimator of
Bengio et al., arXiv 1308.3432, and of the quantised layers that BFA attacks). The activations are the integer
network's own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.compile.network import kernel_of, weight_shape
from hwgen.errors import BadInput
from hwgen.faults.algorithmic.forward import Array, Evaluation, padded, patches
from hwgen.matmul import float_matmul
from hwgen.workloads.layers import Hwc, Layer, input_shapes, shapes

__all__ = ["weight_gradients"]

Floats = npt.NDArray[np.float64]

_PAPER = -128.0
_CHUNK = 16  # images at a time, as in the forward pass


def weight_gradients(evaluation: Evaluation, slope: Floats) -> dict[str, Floats]:
    """Derivative of a loss by every weight.

    Parameters
    ----------
    evaluation : Evaluation
        The network on the images of the loss, with ``gradient=True`` and all tensors.
    slope : float64 array, shape (images, classes)
        Derivative of the loss by :attr:`Evaluation.logits`: per step of the last layer's result. What a logit is worth
        (its ``Scale.step``) is a factor that the caller multiplies in, here and before the loss.

    Returns
    -------
    dict of str to float64 array
        By product, in the shape of its weight; loss per integer step. Zero where the last layer does not depend on it.

    Raises
    ------
    BadInput
        If the evaluation was made without what this needs, or the slope has another shape.

    Notes
    -----
    With ``y = clamp(zero + s · (x * w + bias))`` and ``s = multiplier / 2**shift`` per channel, let ``d = s · open ·
    dL/dy``. Then ``dL/dw = x * d`` and ``dL/dx = w * d``, where ``*`` are the correlations that belong to the layer.
    ``x`` is the integer itself, its zero point included: the bias, which corrects for the zero point, stays as it is
    when a weight's bit flips in hardware. A maximum hands its derivative to the first of its largest values.

    With a smooth evaluation the result is the exact derivative of the smooth network wherever it has one.
    """
    network, tensors = evaluation.network, evaluation.tensors
    missing = [one.name for one in network.workload.layers if one.name not in evaluation.open]
    if missing:
        raise BadInput(
            f"the evaluation lacks what the gradient of layer {missing[0]!r} needs; make it with gradient=True and "
            "keep=True."
        )
    if slope.shape != evaluation.logits.shape:
        raise BadInput(f"slope must have shape {evaluation.logits.shape} as the logits, not {slope.shape}.")
    sources, sizes = input_shapes(network.workload), shapes(network.workload)
    layers = network.workload.layers
    # Only what lies behind a product with weights needs a derivative of its input.
    needed = _behind_weights(layers)
    found = {one.name: np.zeros(weight_shape(network.workload, one)) for one in layers if one.product}
    slopes: dict[str, Floats] = {layers[-1].name: slope.reshape(-1, *sizes[layers[-1].name])}
    for layer in reversed(layers):
        if layer.name not in slopes:
            continue
        work = _Backward(evaluation, layer, sources[layer.name], sizes[layer.name])
        given = slopes.pop(layer.name)
        wanted = [name in needed for name in layer.inputs]
        reach: list[Floats | None] = [
            np.zeros((evaluation.images, *sources[layer.name])) if want else None for want in wanted
        ]
        for begin in range(0, evaluation.images, _CHUNK):
            part = slice(begin, begin + _CHUNK)
            inner = work.inner(given[part], part)
            if layer.product:
                found[layer.name] += work.weight(inner, part)
            for index, into in enumerate(reach):
                if into is not None:
                    into[part] = work.input(inner, index, part)
        for name, into in zip(layer.inputs, reach, strict=True):
            if into is not None:
                shaped = into.reshape(tensors[name].shape)
                slopes[name] = slopes[name] + shaped if name in slopes else shaped
    return found


def _behind_weights(layers: tuple[Layer, ...]) -> set[str]:
    """Tensors that depend on some weight."""
    known: set[str] = set()
    for layer in layers:
        if layer.product or known.intersection(layer.inputs):
            known.add(layer.name)
    return known


class _Backward:
    """One layer, backwards, some images at a time."""

    def __init__(self, evaluation: Evaluation, layer: Layer, source: Hwc, size: Hwc):
        network = evaluation.network
        self.layer, self.source, self.size = layer, source, size
        self.data = network.data[layer.name]
        self.zero = network.zero(layer.inputs[0])
        self.open = evaluation.open[layer.name]
        self.tensors = [evaluation.tensors[name] for name in layer.inputs]
        r = self.data.requantiser
        self.scale = np.ldexp(r.multiplier.astype(np.float64), -r.shift.astype(np.int32))
        self.kernel = kernel_of(layer, source) if layer.product else layer.kernel

    def inner(self, slope: Floats, part: slice) -> Floats:
        """Derivative by the sums."""
        result: Floats = np.where(self.open[part], slope, 0.0)
        result *= self.scale
        return result

    def weight(self, inner: Floats, part: slice) -> Floats:
        """Derivative by the weight."""
        x = self.tensors[0][part].reshape(-1, *self.source)
        columns = patches(self.layer, x, self.source, self.zero)
        rows = inner.reshape(-1, inner.shape[-1])
        outer = rows.shape[1] // self.layer.groups
        parts = [
            float_matmul(a.astype(np.float64).T, rows[:, g * outer : (g + 1) * outer])
            for g, a in enumerate(columns)
        ]
        joined: Floats = np.concatenate(parts, axis=-1)
        return joined.reshape((*self.kernel, -1, joined.shape[-1]))

    def input(self, inner: Floats, index: int, part: slice) -> Floats:
        """Derivative by one of the inputs."""
        if self.layer.kind == "add":
            result: Floats = inner * self.data.weights[index]
            return result
        if self.layer.kind == "maxpool":
            return self._spread(self._winners(inner, part))
        if self.layer.kind == "avgpool":
            return self._spread([inner] * (self.kernel[0] * self.kernel[1]))
        weight = self.data.weight
        assert weight is not None
        outer = weight.shape[3] // self.layer.groups
        rows = inner.reshape(-1, inner.shape[-1])
        parts = [
            float_matmul(
                rows[:, g * outer : (g + 1) * outer],
                weight[..., g * outer : (g + 1) * outer].reshape(-1, outer).T.astype(np.float64),
            ).reshape(*self._grid(inner), -1, weight.shape[2])
            for g in range(self.layer.groups)
        ]
        every = np.concatenate(parts, axis=-1)
        return self._spread([every[..., place, :] for place in range(every.shape[-2])])

    def _grid(self, inner: Array) -> tuple[int, int, int]:
        """Images, rows and columns of windows; a GEMM that flattens has one window."""
        return len(inner), self.size[0], self.size[1]

    def _winners(self, inner: Floats, part: slice) -> list[Floats]:
        """What each position of a maximum's windows gets: the first of the largest, all of it."""
        x = padded(self.tensors[0][part], self.layer.pad, _PAPER)
        views = [x[place] for place in self._places()]
        first = np.stack(views).argmax(axis=0)
        return [np.where(first == place, inner, 0.0) for place in range(len(views))]

    def _spread(self, shares: list[Floats]) -> Floats:
        """Add up what every element gets from all windows that hold it, one share per position in a window."""
        top, left, bottom, right = self.layer.pad
        h, w, c = self.source
        framed = np.zeros((len(shares[0]), h + top + bottom, w + left + right, c))
        for place, share in zip(self._places(), shares, strict=True):
            framed[place] += share
        return framed[:, top : top + h, left : left + w]

    def _places(self) -> list[tuple[slice, slice, slice]]:
        """For every position in a window, where its elements lie in the framed images."""
        (kh, kw), (sh, sw), (rows, columns, _) = self.kernel, self.layer.stride, self.size
        return [
            (slice(None), slice(i, i + sh * (rows - 1) + 1, sh), slice(j, j + sw * (columns - 1) + 1, sw))
            for i in range(kh)
            for j in range(kw)
        ]
