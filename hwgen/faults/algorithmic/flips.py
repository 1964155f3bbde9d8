"""Bits of weights as faults: which one, what it makes of the weight, and the network that has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hwgen.compile.network import Network
from hwgen.errors import BadInput
from hwgen.faults.algorithmic.forward import with_weights
from hwgen.faults.draws import permuted
from hwgen.numerics import IntArray

__all__ = ["BitFlip", "attackable", "bit_values", "flip", "flip_bit", "random_flips", "undo"]

_STRATUM = 0x4246_0000  # of random flips; far from the small numbers that campaigns give their own
_KEYS = {"layer", "index", "bit", "before", "after"}


@dataclass(frozen=True)
class BitFlip:
    """One flipped bit of one weight.

    Parameters
    ----------
    layer : str
        The product.
    index : tuple of int
        Of the weight in ``Network.data[layer].weight``: (kernel row, kernel column, input channel, output channel).
    bit : int
        Of the two's complement word of ``weight_bits`` bits; 0 is the lowest, ``weight_bits - 1`` the sign.
    before, after : int
        The weight.
    """

    layer: str
    index: tuple[int, int, int, int]
    bit: int
    before: int
    after: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "index": list(self.index)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> BitFlip:
        """What :meth:`to_dict` wrote.

        Raises
        ------
        BadInput
            If an entry is missing or unknown, or the index has not four integers.
        """
        if set(given) != _KEYS or not isinstance(given["index"], Sequence) or len(given["index"]) != 4:
            raise BadInput(
                f"a flip must have {', '.join(sorted(_KEYS))} and four integers as index, not {dict(given)}; write it "
                "with to_dict."
            )
        a, b, c, d = (int(i) for i in given["index"])
        bit, before, after = (int(given[key]) for key in ("bit", "before", "after"))
        return cls(str(given["layer"]), (a, b, c, d), bit, before, after)


def bit_values(bits: int) -> IntArray:
    """What each bit of a two's complement word is worth: ``1, 2, …, -2**(bits - 1)``.

    Parameters
    ----------
    bits : int
        Width, 1..8.
    """
    values = np.int64(1) << np.arange(bits, dtype=np.int64)
    values[-1] = -values[-1]
    return values


def flip_bit(weight: int, bit: int, bits: int) -> int:
    """A weight with one bit flipped; twice is none.

    Parameters
    ----------
    weight : int
        Of ``bits`` bits, signed.
    bit : int
        0..bits - 1.
    bits : int
        Width of the word, 1..8.
    """
    half = 1 << (bits - 1)
    return ((weight ^ (1 << bit)) + half & ((1 << bits) - 1)) - half


def flip(network: Network, flips: Sequence[BitFlip]) -> Network:
    """The network with flipped bits: an ordinary one, for the compiler, the simulator and the Verilog.

    Parameters
    ----------
    network : Network
        Before the first flip.
    flips : sequence of BitFlip
        One after the other.

    Raises
    ------
    BadInput
        If a flip names no weight or bit of the network, or finds another weight than it says.
    """
    bits = {one.name: one.weight_bits for one in network.workload.layers if one.product}
    weights: dict[str, IntArray] = {}
    for one in flips:
        found = network.data[one.layer].weight if one.layer in bits else None
        if found is None:
            raise BadInput(f"there is no product {one.layer!r}; name one of {', '.join(bits)}.")
        weight = weights.setdefault(one.layer, np.array(found, np.int64))
        if any(not 0 <= i < n for i, n in zip(one.index, weight.shape, strict=True)):
            raise BadInput(f"index {one.index} lies outside of the weight of {one.layer!r}, {weight.shape}.")
        if not 0 <= one.bit < bits[one.layer]:
            raise BadInput(
                f"bit of a flip in {one.layer!r} must lie in 0..{bits[one.layer] - 1}, not {one.bit}."
            )
        there = weight[one.index]
        after = flip_bit(int(there), one.bit, bits[one.layer])
        if (int(there), after) != (one.before, one.after):
            raise BadInput(
                f"flip of bit {one.bit} of {one.layer!r} at {one.index} says {one.before} -> {one.after}, but the "
                f"network gives {there} -> {after}; apply flips in order to the network that they were found on."
            )
        weight[one.index] = after
    return with_weights(network, weights)


def undo(flips: Sequence[BitFlip]) -> tuple[BitFlip, ...]:
    """The flips that take these back: in reverse order, each from ``after`` to ``before``."""
    return tuple(BitFlip(f.layer, f.index, f.bit, f.after, f.before) for f in reversed(flips))


def attackable(network: Network, layer: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which weights of a product have bits in memory.

    All of a dense product; of one with an N:M pattern only those that are not zero, because zeros are not stored.
    """
    weight = network.data[layer].weight
    assert weight is not None
    pattern = next(one.pattern for one in network.workload.layers if one.name == layer)
    stored: np.ndarray[Any, np.dtype[np.bool_]] = weight != 0 if pattern else np.ones(weight.shape, bool)
    return stored


def random_flips(network: Network, count: int, seed: int = 0) -> tuple[BitFlip, ...]:
    """Random bits of the network's weights, every bit as likely: what a search must beat.

    Parameters
    ----------
    network : Network
        Before the flips.
    count : int
        How many different bits; at most as many as there are.
    seed : int
        0..2**64 - 1. More flips of one seed begin with the fewer ones.

    Returns
    -------
    tuple of BitFlip
        To be applied in this order.

    Raises
    ------
    BadInput
        If ``count`` is negative or too large, or the seed out of range.
    """
    products = [one for one in network.workload.layers if one.product]
    places = {one.name: np.flatnonzero(attackable(network, one.name)) for one in products}
    ends = np.cumsum([len(places[one.name]) * one.weight_bits for one in products])
    if not 0 <= count <= ends[-1]:
        raise BadInput(f"count must lie in 0..{ends[-1]}, the bits of all weights, not {count}.")
    now: dict[tuple[str, int], int] = {}
    found = []
    for drawn in permuted(seed, _STRATUM, np.arange(count), int(ends[-1])):
        which = int(np.searchsorted(ends, drawn, side="right"))
        layer = products[which]
        place, bit = divmod(int(drawn - (ends[which - 1] if which else 0)), layer.weight_bits)
        flat = int(places[layer.name][place])
        weight = network.data[layer.name].weight
        assert weight is not None
        before = now.get((layer.name, flat), int(weight.flat[flat]))
        after = now[layer.name, flat] = flip_bit(before, bit, layer.weight_bits)
        a, b, c, d = (int(i) for i in np.unravel_index(flat, weight.shape))
        found.append(BitFlip(layer.name, (a, b, c, d), bit, before, after))
    return tuple(found)
