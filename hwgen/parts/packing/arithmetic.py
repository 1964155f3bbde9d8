"""The arithmetic of DSP packing: offsets, biases, canaries, separation and accumulation bounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.errors import BadInput
from hwgen.numerics import IntArray, IntFormat, bits_for_range, wrap

__all__ = ["BLOCKS", "SCHEMES", "DspBlock", "Field", "Packing", "Scheme", "packing", "placement"]


@dataclass(frozen=True)
class DspBlock:
    """Port widths of a DSP block; both multiplier ports are signed.

    Parameters
    ----------
    name : str
        Vendor's name.
    wide_bits, narrow_bits : int
        Multiplier ports; packed weights enter the wide one, packed activations the narrow one.
    accumulator_bits : int
        Width of the adder and of the cascade; without them, of the longest product.
    cascade : bool
        Whether the block adds its product to its neighbour's sum; otherwise sums are made in the fabric.
    """

    name: str
    wide_bits: int
    narrow_bits: int
    accumulator_bits: int
    cascade: bool = True


BLOCKS = {
    "xilinx7": DspBlock("DSP48E1", 25, 18, 48),
    "ultrascale+": DspBlock("DSP48E2", 27, 18, 48),
    "ecp5": DspBlock("MULT18X18D", 18, 18, 36, cascade=False),
    "ice40": DspBlock("SB_MAC16", 16, 16, 32, cascade=False),
    "nexus": DspBlock("MULT18X18", 18, 18, 36, cascade=False),
    "gowin": DspBlock("MULT18X18", 18, 18, 36, cascade=False),
}
"""Known blocks by target (UG479, UG579, Lattice FPGA-TN-02205, FPGA-TN-02007, FPGA-TN-02096, Gowin UG287)."""


@dataclass(frozen=True)
class Scheme:
    """A way to place operands, independent of their formats.

    Parameters
    ----------
    weight_lanes, act_lanes : int
        Operands per port; every cross product is a result.
    spacing : int
        Distance between neighbouring products, in bits.
    canary_bits : int
        Width of the side counter that tells how far a product reaches into its upper neighbour;
        zero if products never meet.
    operand_bits : int
        Widest operand that the scheme is named for.
    lane_bits : int
        If not zero, weights lie side by side in so many bits each, the block multiplies each of them by itself, and
        the products are added up apart: nothing flows from one into another.
    """

    weight_lanes: int
    act_lanes: int
    spacing: int
    canary_bits: int
    operand_bits: int
    lane_bits: int = 0


SCHEMES = {
    "none": Scheme(1, 1, 48, 0, 8),
    # WP486: two weights 18 apart, one activation; here with a canary, so that a whole chain accumulates.
    "int8x2": Scheme(2, 1, 18, 2, 8),
    # WP521: (w0 + w1 << 22) * (a0 + a1 << 11), all four cross products.
    "int4x4": Scheme(2, 2, 11, 0, 4),
}
"""Packing schemes by name."""

_ON_18_BITS = {
    # Two weights of 8 bits reach 18 bits when they are 9 apart, and with full range not when they are 10 apart.
    "int8x2": Scheme(2, 1, 9, 9, 8),
    "int4x4": Scheme(2, 2, 6, 4, 4),
}

_PLACEMENTS: dict[str, dict[str, Scheme]] = {
    # A chain of 16 products needs 19 bits of a field: three more than there are between two on a port of 25.
    "xilinx7": {"int8x2": Scheme(2, 1, 16, 3, 8), "int4x4": Scheme(2, 2, 10, 0, 4)},
    "ecp5": _ON_18_BITS,
    "nexus": _ON_18_BITS,
    "gowin": _ON_18_BITS,
    # Two multipliers of 8 by 8 bits; 22 bits hold 32 of any products.
    "ice40": {"int8x2": Scheme(2, 1, 22, 0, 8, lane_bits=8), "int4x4": Scheme(2, 2, 5, 5, 4)},
}
"""Placements on blocks whose ports are too narrow for those of :data:`SCHEMES`: closer, with wider canaries."""


def placement(name: str, target: str) -> Scheme:
    """Scheme ``name`` as a target's block takes it."""
    return _PLACEMENTS.get(target, {}).get(name, SCHEMES[name])


@dataclass(frozen=True)
class Field:
    """One sum inside the packed accumulator.

    Parameters
    ----------
    weight_lane, act_lane : int
        Which operands it sums the products of.
    offset : int
        Lowest bit.
    """

    weight_lane: int
    act_lane: int
    offset: int


@dataclass(frozen=True)
class Packing:
    """A scheme with operand formats: everything that the hardware needs to pack and to separate.

    Sums of ``n`` products per field are exact for ``n <= max_terms``. Every field but the top one is
    biased so that its content is never negative: a neighbour above then needs no correction, and the
    bias leaves the field by inverting one bit (``offset_binary``), plus one (:meth:`increment`).

    Parameters
    ----------
    scheme : Scheme
        Placement.
    weight, act : IntFormat
        Operand formats.
    block : DspBlock
        The multiplier it must fit.
    """

    scheme: Scheme
    weight: IntFormat
    act: IntFormat
    block: DspBlock

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Fields from the lowest to the top one."""
        s = self.scheme
        return tuple(
            Field(i, j, (i * s.act_lanes + j) * s.spacing)
            for i in range(s.weight_lanes)
            for j in range(s.act_lanes)
        )

    @property
    def weight_spacing(self) -> int:
        """Distance between packed weights, in bits."""
        return self.scheme.lane_bits or self.scheme.spacing * self.scheme.act_lanes

    @property
    def act_spacing(self) -> int:
        """Distance between packed activations, in bits."""
        return self.scheme.spacing

    @property
    def product_range(self) -> tuple[int, int]:
        """Smallest and largest product of one weight and one activation."""
        corners = [w * a for w in (self.weight.low, self.weight.high) for a in (self.act.low, self.act.high)]
        return min(corners), max(corners)

    @property
    def low_weight_bits(self) -> int:
        """Bits of a weight that a canary multiplies."""
        return min(self.weight.bits, self.scheme.canary_bits)

    @property
    def packed_act_bits(self) -> int:
        """Width of packed activations, without sign extension to the port."""
        lanes = self.scheme.act_lanes - 1
        return self.act.bits + lanes * self.act_spacing + (1 if lanes and self.act.signed else 0)

    @property
    def packed_weight_range(self) -> tuple[int, int]:
        """Smallest and largest packed weight."""
        if self.scheme.lane_bits:
            return 0, (1 << (self.scheme.lane_bits * self.scheme.weight_lanes)) - 1
        ones = sum(1 << (lane * self.weight_spacing) for lane in range(self.scheme.weight_lanes))
        return self.weight.low * ones, self.weight.high * ones

    def packed_sum_bits(self, terms: int) -> int:
        """Width of a packed sum of so many products, with its biases; it reaches beyond every canary."""
        if self.scheme.lane_bits:
            return self.scheme.spacing * len(self.fields)
        ones = sum(1 << field.offset for field in self.fields)
        low, high = (terms * end * ones for end in self.product_range)
        seen = self.fields[-2].offset + self.window if len(self.fields) > 1 else 0
        return max(bits_for_range(low, high + self.bias_word), seen + 1)

    @property
    def window(self) -> int:
        """Bits in which a field below the top one is recovered: its spacing and the canary."""
        return self.scheme.spacing + self.scheme.canary_bits

    def _terms(self, bias: int) -> int:
        low, high = self.product_range
        room = (1 << self.window) - 1 - bias
        above = room // high if high > 0 else room
        below = bias // -low if low < 0 else room
        return min(above, below)

    @cached_property
    def bias(self) -> int:
        """Added once per sum to every field but the top one.

        Of the three biases that cost no logic to remove, the one with the most accumulations: zero,
        half the window, or one less (which lets the positive end, 128·128·n, just fit).
        """
        half = 1 << (self.window - 1)
        if self.scheme.lane_bits:
            return 0
        return max((0, half, half - 1), key=self._terms)

    @property
    def offset_binary(self) -> bool:
        """Whether a field's top bit is inverted to become a sign."""
        return self.bias != 0

    def increment(self, field: int) -> int:
        """Added to field ``field`` after the inversion to remove its bias: 0 or 1."""
        biased = field < len(self.fields) - 1 and self.offset_binary
        return (1 << (self.window - 1)) - self.bias if biased else 0

    @cached_property
    def max_terms(self) -> int:
        """Largest number of products per field for which the separation is exact."""
        low, high = self.product_range
        if self.scheme.lane_bits:
            return ((1 << (self.scheme.spacing - 1)) - 1) // max(high, -low)
        capacity = (1 << (self.block.accumulator_bits - self.fields[-1].offset - 1)) - 1
        top = capacity // max(high, -low)
        return top if len(self.fields) == 1 else min(self._terms(self.bias), top)

    @property
    def bias_word(self) -> int:
        """Constant that starts every sum: the bias at each field but the top one."""
        return sum(self.bias << f.offset for f in self.fields[:-1])

    def pack_weights(self, weights: IntArray) -> IntArray:
        """Packed weights; the last axis of ``weights`` holds the lanes."""
        if self.scheme.lane_bits:
            weights = weights & ((1 << self.scheme.lane_bits) - 1)
        packed: IntArray = (weights << (np.arange(self.scheme.weight_lanes) * self.weight_spacing)).sum(
            axis=-1
        )
        return packed

    def pack_acts(self, acts: IntArray) -> IntArray:
        """Packed activations; the last axis of ``acts`` holds the lanes."""
        packed: IntArray = (acts << (np.arange(self.scheme.act_lanes) * self.act_spacing)).sum(axis=-1)
        return packed

    def accumulate(self, weights: IntArray, acts: IntArray) -> IntArray:
        """What the chain of multipliers holds after the terms on axis -2: packed, biased sums."""
        if self.scheme.lane_bits:
            sums = [(weights[..., f.weight_lane] * acts[..., f.act_lane]).sum(axis=-1) for f in self.fields]
            mask = (1 << self.scheme.spacing) - 1
            beside: IntArray = sum(
                (total & mask) << f.offset for total, f in zip(sums, self.fields, strict=True)
            )
            return beside
        products = self.pack_weights(weights) * self.pack_acts(acts)
        total: IntArray = products.sum(axis=-1) + self.bias_word
        bits = self.block.accumulator_bits
        return (total << (64 - bits)) >> (64 - bits)

    def canaries(self, weights: IntArray, acts: IntArray) -> IntArray:
        """Low ``canary_bits`` of each field's biased sum, kept beside the chain; shape (..., fields)."""
        mask = (1 << self.scheme.canary_bits) - 1
        sums = [(weights[..., f.weight_lane] * acts[..., f.act_lane]).sum(axis=-1) for f in self.fields]
        biases = [self.bias] * (len(sums) - 1) + [0]
        return np.stack([(s + b) & mask for s, b in zip(sums, biases, strict=True)], axis=-1)

    def separate(self, packed: IntArray, canaries: IntArray) -> IntArray:
        """The sums, shape (..., fields), from the packed accumulator and the canaries."""
        spacing, counter = self.scheme.spacing, (1 << self.scheme.canary_bits) - 1
        if self.scheme.lane_bits:
            return np.stack([wrap(packed >> f.offset, spacing) for f in self.fields], axis=-1)
        rest, sums = packed, []
        for i in range(len(self.fields) - 1):
            low, rest = rest & ((1 << spacing) - 1), rest >> spacing
            carry = (rest - canaries[..., i + 1]) & counter
            rest = rest - carry
            sums.append(low + (carry << spacing) - self.bias)
        return np.stack([*sums, rest], axis=-1)


def packing(name: str, target: str, weight: IntFormat, act: IntFormat) -> Packing:
    """Packing ``name`` of the given operands on a target's DSP block.

    Raises
    ------
    BadInput
        If the packed operands do not fit the block's ports, or not one product can be separated.
    """
    scheme, block = placement(name, target), BLOCKS[target]
    result = Packing(scheme, weight, act, block)
    if max(weight.bits, act.bits) > scheme.operand_bits:
        raise BadInput(
            f"packing {name} takes operands of up to {scheme.operand_bits} bits, "
            f"not {weight} weights and {act} activations; choose packing=auto"
        )
    if scheme.lane_bits:
        return result
    for what, fmt, lanes, gap, port in (
        ("weights", weight, scheme.weight_lanes, result.weight_spacing, block.wide_bits),
        ("activations", act, scheme.act_lanes, result.act_spacing, block.narrow_bits),
    ):
        reach = [sum(end << (lane * gap) for lane in range(lanes)) for end in (fmt.low, fmt.high)]
        need = max((v if v >= 0 else ~v).bit_length() for v in reach) + 1
        if need > port:
            raise BadInput(
                f"packing {name} puts {lanes} {fmt} {what} into {need} bits, but the port of "
                f"{block.name} (target {target}) has {port}; choose packing=none or another target"
            )
    if result.max_terms < 1:
        raise BadInput(f"packing {name} cannot separate even one product of {weight} and {act}")
    return result
