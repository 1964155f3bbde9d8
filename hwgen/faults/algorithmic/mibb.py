"""MAC-i.i.d. bit-bias (MiBB): faults of the units that multiply and add, as biases on the values that they make.

Ning et al., "FTT-NAS: Discovering Fault-Tolerant Neural Architecture", arXiv 2003.10375, section 4; formulas as in the
authors' ``aw_nas/objective/fault_injection.py``. Their feature maps have a step and a symmetric range; here one step is
one of a layer's integers, and the range is the one that its words have.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from hwgen.compile.network import Network, weight_shape
from hwgen.errors import BadInput
from hwgen.faults.algorithmic.forward import Array, LayerRun, check_images
from hwgen.faults.draws import uniforms
from hwgen.numerics import IntArray, ceil_div
from hwgen.workloads.layers import INPUT, Hwc, Layer, input_shapes, shapes

__all__ = ["BiasFaults", "Mibb", "MibbRun", "Terms", "authors_probability", "run", "terms"]

Floats = npt.NDArray[np.float64]

_STRATUM = 0x4D42_0000  # of layer 0; far from the small numbers that campaigns give their own
_CHUNK = 25  # images at a time, which fit the processor's cache


@dataclass(frozen=True)
class Mibb:
    """Parameters of the model.

    Parameters
    ----------
    p_mac : float
        Probability p_m that a multiply-accumulate is faulty, 0..1. The authors search with 1e-4.
    n_cin : int or None
        Multipliers that work in parallel and share an adder tree, 1 or more; a broken one is met again and again while
        a result is made. None: every multiplication of a result has hardware of its own.
    dependence : float
        r, 0..1: probability that an input makes a broken unit show itself; 1 is the authors' default.
    tile : tuple of int or None
        Rows and columns of outputs that are computed side by side, each 1 or more: outputs at the same place of their
        tiles, and in the same channel, share hardware and so their fault, in all tiles of an image. None: every output
        draws for itself.
    layers : tuple of str or None
        Products that are hit; None for all.

    Raises
    ------
    BadInput
        If a parameter is out of range.
    """

    p_mac: float
    n_cin: int | None = None
    dependence: float = 1.0
    tile: tuple[int, int] | None = None
    layers: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, share in (("p_mac", self.p_mac), ("dependence", self.dependence)):
            if not 0 <= share <= 1:
                raise BadInput(f"{name} must lie in 0..1, not {share}; it is a probability.")
        if self.n_cin is not None and self.n_cin < 1:
            raise BadInput(f"n_cin must be 1 or more, not {self.n_cin}; leave it out for MACs of their own.")
        if self.tile is not None and min(self.tile) < 1:
            raise BadInput(f"tile must be two sizes of 1 or more, not {self.tile}; leave it out for none.")


@dataclass(frozen=True)
class Terms:
    """What the model says of one layer.

    Parameters
    ----------
    probability : float
        p of a faulty output, 0..1, extra low bits included.
    n_mac : int
        How often a broken unit is met during one output.
    low_bits : int
        a: bits below the lowest one from which repeated errors grow into the word.
    bits : int
        Q, width of an output.
    """

    probability: float
    n_mac: int
    low_bits: int
    bits: int

    @property
    def biases(self) -> Floats:
        """β: every ``2**j`` and ``-2**j`` for j = -a..Q-1, in this order."""
        powers = np.ldexp(1.0, np.arange(-self.low_bits, self.bits))
        signed: Floats = np.concatenate([powers, -powers])
        return signed


@dataclass(frozen=True, eq=False)
class BiasFaults:
    """Faults of one layer.

    Parameters
    ----------
    index : int64 array, shape (faults, 4)
        (image, row, column, channel) of each faulty output.
    bias : int64 array, shape (faults,)
        What is added to the output before the clamp of its range, ``floor(n_b · β)``.
    """

    index: IntArray
    bias: IntArray


@dataclass(frozen=True, eq=False)
class MibbRun:
    """A faulty pass.

    Parameters
    ----------
    results : dict of str to int64 array, shape (images, h, w, c)
        Of all layers, as :func:`hwgen.compile.reference.run`.
    faults : dict of str to BiasFaults
        Of the layers that are hit.
    """

    results: dict[str, IntArray]
    faults: dict[str, BiasFaults] = field(default_factory=dict)


def terms(model: Mibb, layer: Layer, weight: tuple[int, int, int, int], bits: int = 8) -> Terms:
    """Probability and biases of one layer.

    Parameters
    ----------
    model : Mibb
        The parameters.
    layer : Layer
        A product.
    weight : tuple of int
        Shape of its weight: (kernel rows, kernel columns, input channels per group, output channels).
    bits : int
        Q of its results, 1..8.

    Notes
    -----
    With ``M = C_in/groups · k_h · k_w`` multiplications per output:

    - without ``n_cin``: ``p = 1 - (1 - p_m)**M``, ``n_mac = 1``;
    - with it: ``p = 1 - (1 - p_m)**n_cin``, ``n_mac = ceil(C_in / groups / n_cin) · k_h · k_w``;
    - with it, depthwise: ``p = p_m``, ``n_mac = k_h · k_w``, because one multiplier works for an output.

    Then ``a = min(Q - 1, floor(log2(n_mac)))`` and ``p ← min(1, p · (Q + a) / Q)``. The authors' formula has no
    ``min``; above one it is no probability.
    """
    rows, columns, channels, _ = weight
    if model.n_cin is None:
        exponent, n_mac = rows * columns * channels, 1
    elif layer.groups > 1 and channels == 1:
        exponent, n_mac = 1, rows * columns
    else:
        exponent, n_mac = model.n_cin, ceil_div(channels, model.n_cin) * rows * columns
    low_bits = min(bits - 1, n_mac.bit_length() - 1)
    # expm1 and log1p keep the digits of 1e-12.
    single = 1.0 if model.p_mac == 1 else float(-np.expm1(exponent * np.log1p(-model.p_mac)))
    return Terms(min(1.0, single * (bits + low_bits) / bits), n_mac, low_bits, bits)


def authors_probability(probability: float) -> float:
    """What the authors' sampler makes of a probability: ``1 / floor(1 / p)``.

    It draws an integer below ``int(1 / p)`` and takes zero for a fault, so that 0.4 becomes 0.5 and everything above
    0.5 becomes 1. :func:`run` draws with the probability itself; this is for comparisons with published figures.

    Parameters
    ----------
    probability : float
        0..1; 0 stays 0.

    Raises
    ------
    BadInput
        If it is no probability.
    """
    if not 0 <= probability <= 1:
        raise BadInput(f"probability must lie in 0..1, not {probability}.")
    return 1 / int(1 / probability) if probability else 0.0


def run(
    network: Network,
    images: IntArray,
    model: Mibb,
    *,
    seed: int,
    first: int = 0,
    keep: tuple[str, ...] | None = None,
) -> MibbRun:
    """Results of a network whose MACs are faulty.

    Parameters
    ----------
    network : Network
        All of its layers read the input or each other.
    images : int array, shape (images, h, w, c)
        As the network reads them.
    model : Mibb
        The parameters.
    seed : int
        0..2**64 - 1.
    first : int
        Number of the first image, 0 or more: a pass over a part of the images gives what the pass over all of them
        gives there.
    keep : tuple of str or None
        Layers whose results are wanted; None for all, which takes 400 kB per digit of the MNIST CNN.

    Returns
    -------
    MibbRun
        Results and faults.

    Raises
    ------
    BadInput
        If a layer of the model is no product of the network or one to keep no layer, images do not fit, or a number is
        out of range.

    Notes
    -----
    The fault falls on the requantised result before the clamp of a fused ReLU: ``y' = clamp(y + floor(n_b · β))`` to
    the range of the word, then the ReLU's bound. ``n_b`` is ``n_mac``, or Binomial(n_mac, r). The authors clip at ±2^S,
    where the positive end is one step more than a word holds.

    One uniform number u per output decides: faulty if u < p; then u / p, which is uniform again, picks β. A second one,
    if r < 1, gives n_b by the inverse of its distribution.
    """
    workload = network.workload
    products = {one.name for one in workload.layers if one.product}
    hit = products if model.layers is None else set(model.layers)
    if hit - products:
        raise BadInput(
            f"layers of MiBB must be products of {workload.name!r}, {', '.join(sorted(products))}, not "
            f"{', '.join(sorted(hit - products))}."
        )
    names = tuple(one.name for one in workload.layers)
    wanted = names if keep is None else keep
    if set(wanted) - set(names):
        raise BadInput(
            f"layers to keep must be among those of {workload.name!r}, {', '.join(names)}, not "
            f"{', '.join(sorted(set(wanted) - set(names)))}."
        )
    check_images(network, images)
    if first < 0:
        raise BadInput(f"first must be 0 or more, not {first}; it is the number of an image.")
    parts = [
        _batch(network, images[begin : begin + _CHUNK], model, hit, wanted, seed, first + begin, begin)
        for begin in range(0, len(images), _CHUNK)
    ]
    results = {name: np.concatenate([part.results[name] for part in parts]) for name in wanted}
    faults = {
        name: BiasFaults(
            np.concatenate([part.faults[name].index for part in parts]),
            np.concatenate([part.faults[name].bias for part in parts]),
        )
        for name in parts[0].faults
    }
    return MibbRun(results, faults)


def _batch(
    network: Network,
    images: IntArray,
    model: Mibb,
    hit: set[str],
    keep: tuple[str, ...],
    seed: int,
    first: int,
    shown: int,
) -> MibbRun:
    """Some images; ``shown`` is where they begin among those of the call."""
    workload = network.workload
    sources, sizes = input_shapes(workload), shapes(workload)
    known: dict[str, Array] = {INPUT: images.astype(np.float32)}
    faults = {}
    for number, layer in enumerate(workload.layers):
        name, data = layer.name, network.data[layer.name]
        tensors = [known[one] for one in layer.inputs]
        if name not in hit:
            known[name] = LayerRun(network, layer, sources[name], sizes[name]).result(tensors)[0]
            continue
        r = data.requantiser
        bits = r.high.bit_length() + 1
        low = -(1 << (bits - 1))
        wide = replace(data, requantiser=replace(r, low=low))  # without its ReLU
        values = LayerRun(network, layer, sources[name], sizes[name], data=wide).result(tensors)[0]
        says = terms(model, layer, weight_shape(workload, layer), bits)
        found = _draw(model, says, sizes[name], len(images), seed, _STRATUM + 2 * number, first)
        where = tuple(found.index.T)
        values[where] = np.clip(values[where] + found.bias, low, r.high)
        known[name] = np.maximum(values, r.low)
        faults[name] = BiasFaults(found.index + np.array([shown, 0, 0, 0]), found.bias)
    return MibbRun({name: known[name].astype(np.int64) for name in keep}, faults)


def _draw(
    model: Mibb, says: Terms, size: Hwc, images: int, seed: int, stratum: int, first: int
) -> BiasFaults:
    """The faults of a layer on some images."""
    h, w, c = size
    rows, columns = (h, w) if model.tile is None else (min(h, model.tile[0]), min(w, model.tile[1]))
    each = rows * columns * c
    u = uniforms(seed, stratum, first * each, images * each)
    places = np.flatnonzero(u < says.probability)
    choices = says.biases
    picked = np.minimum((u[places] / says.probability * len(choices)).astype(np.int64), len(choices) - 1)
    met = np.full(len(places), says.n_mac, np.int64)
    if model.dependence < 1 and len(places):
        met = _binomial(
            says.n_mac, model.dependence, uniforms(seed, stratum + 1, first * each, images * each)[places]
        )
    bias = np.floor(met * choices[picked]).astype(np.int64)
    index = np.stack(np.unravel_index(places, (images, rows, columns, c)), axis=1)
    if (rows, columns) != (h, w):
        index, bias = _tiled(index, bias, size, (rows, columns))
    return BiasFaults(index, bias)


def _binomial(n: int, share: float, u: Floats) -> IntArray:
    """Binomial numbers: the smallest k whose cumulated probability exceeds u."""
    cumulated = binom.cdf(np.arange(n), n, share)
    found: IntArray = np.searchsorted(cumulated, u, side="right").astype(np.int64)
    return found


def _tiled(index: IntArray, bias: IntArray, size: Hwc, tile: tuple[int, int]) -> tuple[IntArray, IntArray]:
    """The same faults in every tile; tiles at the lower and right edges may be cut."""
    (h, w, _), (rows, columns) = size, tile
    shifts = np.array([(0, i, j, 0) for i in range(0, h, rows) for j in range(0, w, columns)], np.int64)
    every = (index[:, None, :] + shifts).reshape(-1, 4)
    inside = (every[:, 1] < h) & (every[:, 2] < w)
    every, biases = every[inside], np.repeat(bias, len(shifts))[inside]
    order = np.lexsort(every.T[::-1])
    return every[order], biases[order]
