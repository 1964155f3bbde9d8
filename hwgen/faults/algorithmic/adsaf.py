"""Arbitrary-distributed stuck-at faults (adSAF): broken cells of weight memories that hold weights as pairs.

Ning et al., "FTT-NAS", arXiv 2003.10375, section 4: a weight is the difference of two magnitudes in cells of a
resistive memory, ``w = w⁺ - w⁻``, and every cell may be stuck. On the integer weights of a network the result is an
ordinary network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.compile.network import Network
from hwgen.errors import BadInput
from hwgen.faults.algorithmic.forward import with_weights
from hwgen.faults.draws import uniforms
from hwgen.numerics import IntArray
from hwgen.workloads.layers import Layer

__all__ = [
    "SAF1_RATIO", "AdsafRun", "StuckBits", "StuckCells", "StuckPairs", "authors_cell_shares", "stick",
]  # fmt: skip

Words = npt.NDArray[np.uint8]

SAF1_RATIO = 0.163
"""Share of stuck cells that are stuck at their largest value (``fixed_point_rram_patch_all.py``)."""

_STRATUM = 0x5341_0000  # of layer 0; far from the small numbers that campaigns give their own
_STRATA = 4  # per layer: two sides, whether and where stuck


@dataclass(frozen=True)
class StuckBits:
    """Bit-exact variant: every magnitude bit of both sides has a cell of its own.

    Parameters
    ----------
    p : float
        Probability that a bit is stuck, 0..1.
    p_one : float
        Probability that a stuck bit is stuck at one, 0..1.

    Raises
    ------
    BadInput
        If one is no probability.

    Notes
    -----
    Source: ``examples/research/ftt-nas/fixed_point_plugins/fixed_point_rram_patch_bit.py``: 0.1 and 0.16.
    """

    p: float = 0.1
    p_one: float = 0.16

    def __post_init__(self) -> None:
        _probability("p", self.p)
        _probability("p_one", self.p_one)


@dataclass(frozen=True)
class StuckCells:
    """Whole-cell variant: each side is one analogue cell.

    Parameters
    ----------
    p : float
        Probability that a side is stuck, 0..1; 0.08 in ``adsaf_final.yaml``.
    p_one : float
        Of the stuck ones, how many at the largest magnitude; the others at zero.

    Raises
    ------
    BadInput
        If one is no probability.

    Notes
    -----
    Source: ``fixed_point_rram_patch_all.py``. There a side that is stuck high adds or subtracts max|w| of the tensor,
    and the sum is clamped after either side; here it holds the largest code. With max|w| for the largest code both
    are the same, but for negative weights whose two sides are stuck high: the pair is 0, the authors' sum the weight.
    """

    p: float = 0.08
    p_one: float = SAF1_RATIO

    def __post_init__(self) -> None:
        _probability("p", self.p)
        _probability("p_one", self.p_one)


@dataclass(frozen=True, eq=False)
class StuckPairs:
    """Stuck bits of one layer's pairs, and what they are on two's complement weight registers.

    Parameters
    ----------
    and_mask, or_mask : uint8 array, shape (2, *weight's shape)
        Of the magnitudes of w⁺ and w⁻: ``stored = (magnitude & and_mask) | or_mask``. Without a fault, all
        ``weight_bits - 1`` magnitude bits are set in ``and_mask`` and none in ``or_mask``.
    register_and, register_or : uint8 array, shape of the weight
        Of the word of ``weight_bits`` bits that a digital accelerator holds: the fewest stuck bits that turn this very
        weight into the faulty one. They hold for these weights only, unlike those of the pair.
    """

    and_mask: Words
    or_mask: Words
    register_and: Words
    register_or: Words


@dataclass(frozen=True, eq=False)
class AdsafRun:
    """A network with stuck weights.

    Parameters
    ----------
    network : Network
        For the compiler, the simulator and the Verilog.
    masks : mapping of str to StuckPairs
        Of the layers that were hit.
    """

    network: Network
    masks: Mapping[str, StuckPairs]


def authors_cell_shares(p: float) -> tuple[float, float]:
    """Probabilities of stuck-high and stuck-at-zero that the authors' sampler has.

    It draws an integer n below ``int(100 / p)``, calls the cell stuck high if ``n < 16.3`` and at zero if
    ``16.3 < n < 100``: 17 and 83 integers of ``int(100 / p)``, not 16.3 and 83.7 of ``100 / p``. :func:`stick` draws
    with the probabilities themselves.

    Parameters
    ----------
    p : float
        Of a stuck cell, more than 0, at most 1.

    Raises
    ------
    BadInput
        If ``p`` is out of range.
    """
    if not 0 < p <= 1:
        raise BadInput(f"p must be more than 0 and at most 1, not {p}.")
    whole = int(100 / p)
    high = int(np.ceil(100 * SAF1_RATIO))
    return high / whole, (100 - high) / whole


def stick(
    network: Network, model: StuckBits | StuckCells, *, seed: int, layers: tuple[str, ...] | None = None
) -> AdsafRun:
    """Weights with stuck cells.

    Parameters
    ----------
    network : Network
        Weights of products in ``-(2**(weight_bits - 1) - 1)..2**(weight_bits - 1) - 1``, as
        :func:`hwgen.compile.quantise.quantise` makes them, of 2 bits or more.
    model : StuckBits or StuckCells
        Which cells there are, and how likely each is stuck.
    seed : int
        0..2**64 - 1.
    layers : tuple of str or None
        Products that are hit; None for all.

    Returns
    -------
    AdsafRun
        The network, and the masks that make it.

    Raises
    ------
    BadInput
        If a layer is no product, or a weight has no pair of magnitudes.
    """
    products = {one.name: one for one in network.workload.layers if one.product}
    hit = tuple(products) if layers is None else layers
    unknown = [name for name in hit if name not in products]
    if unknown:
        raise BadInput(
            f"layers of adSAF must be products of {network.workload.name!r}, {', '.join(products)}, not "
            f"{', '.join(unknown)}."
        )
    names = [one.name for one in network.workload.layers]
    masks, weights = {}, {}
    for name in hit:
        stratum = _STRATUM + _STRATA * names.index(name)
        masks[name], weights[name] = _layer(network, products[name], model, seed, stratum)
    return AdsafRun(with_weights(network, weights), masks)


def _layer(
    network: Network, layer: Layer, model: StuckBits | StuckCells, seed: int, stratum: int
) -> tuple[StuckPairs, IntArray]:
    weight = network.data[layer.name].weight
    assert weight is not None
    bits = layer.weight_bits - 1
    most = (1 << bits) - 1
    if most < 1 or np.abs(weight).max() > most:
        raise BadInput(
            f"weights of layer {layer.name!r} must lie in {-most}..{most} of {layer.weight_bits} bits to be a pair of "
            f"magnitudes, not {weight.min()}..{weight.max()}; quantise them symmetrically to 2 bits or more."
        )
    sides = [_words(model, bits, weight, seed, stratum + 2 * side) for side in (0, 1)]
    stuck, ones = np.stack([side[0] for side in sides]), np.stack([side[1] for side in sides])
    and_mask, or_mask = (~(stuck & ~ones) & most).astype(np.uint8), (stuck & ones).astype(np.uint8)
    pair = np.stack([np.maximum(weight, 0), np.maximum(-weight, 0)]).astype(np.int64)
    held = (pair & and_mask) | or_mask
    faulty: IntArray = held[0] - held[1]
    word = (1 << layer.weight_bits) - 1
    # Bits that change: cleared by AND, set by OR.
    register_and = (~(weight & ~faulty) & word).astype(np.uint8)
    register_or = (~weight & faulty & word).astype(np.uint8)
    return StuckPairs(and_mask, or_mask, register_and, register_or), faulty


def _words(
    model: StuckBits | StuckCells, bits: int, weight: IntArray, seed: int, stratum: int
) -> tuple[IntArray, IntArray]:
    """Which bits of one side are stuck, and which of them would be at one."""
    most = (1 << bits) - 1
    if isinstance(model, StuckBits):
        shape, count = (weight.size, bits), weight.size * bits
        stuck = uniforms(seed, stratum, 0, count).reshape(shape) < model.p
        ones = uniforms(seed, stratum + 1, 0, count).reshape(shape) < model.p_one
        worth = np.int64(1) << np.arange(bits, dtype=np.int64)
        return (stuck @ worth).reshape(weight.shape), (ones @ worth).reshape(weight.shape)
    whole = uniforms(seed, stratum, 0, weight.size).reshape(weight.shape) < model.p
    high = uniforms(seed, stratum + 1, 0, weight.size).reshape(weight.shape) < model.p_one
    return whole * most, high * most


def _probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise BadInput(f"{name} must lie in 0..1, not {value}; it is a probability.")
