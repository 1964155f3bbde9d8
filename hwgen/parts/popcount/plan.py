"""Which bits are compressed with which, stage by stage: the shape of a popcount without any hardware."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hwgen.errors import BadInput
from hwgen.numerics import ceil_div

__all__ = ["Group", "Plan", "plan"]

_WIDE = 6  # inputs of a LUT: six bits of one weight become a count of three, in three LUTs
_NARROW = 3  # a full adder: three bits become two, in one dual-output LUT
_PRODUCTS = 3  # three AND gates of two inputs each fill a LUT, so their count of two bits takes two


@dataclass(frozen=True)
class Group:
    """Bits of one weight that become their count.

    Parameters
    ----------
    weight : int
        Binary logarithm of the weight.
    inputs : int
        How many bits; six, or three.
    """

    weight: int
    inputs: int

    @property
    def outputs(self) -> int:
        """Bits of the count; the lowest has the group's weight."""
        return self.inputs.bit_length()


@dataclass(frozen=True)
class Plan:
    """A popcount.

    Parameters
    ----------
    bits : int
        Inputs: bits, or pairs of bits if ``products``.
    products : bool
        Whether each input is the AND of two bits, folded into the first stage.
    stages : tuple of tuple of Group
        Groups of each stage; bits in no group pass to the next one. With ``products`` they follow a first stage
        that counts the products three at a time.
    heights : tuple of int
        Bits per weight that are left for the final adder: one or two.
    """

    bits: int
    products: bool
    stages: tuple[tuple[Group, ...], ...]
    heights: tuple[int, ...]

    @property
    def out_bits(self) -> int:
        """Width of the count."""
        return self.bits.bit_length()

    @property
    def depth(self) -> int:
        """Stages before the final adder."""
        return len(self.stages) + self.products

    @cached_property
    def adder_bits(self) -> int:
        """Width of the final adder: from the lowest weight with two bits up."""
        double = [weight for weight, height in enumerate(self.heights) if height == 2]
        return self.out_bits - double[0] if double else 0

    @property
    def luts(self) -> int:
        """LUTs on a six-input LUT with two outputs: an estimate, and what synthesis is held to."""
        first = 2 * (self.bits // _PRODUCTS) + self.bits % _PRODUCTS if self.products else 0
        groups = sum(1 if g.inputs == _NARROW else g.outputs for stage in self.stages for g in stage)
        return first + groups + self.adder_bits

    def latency(self, every: int) -> int:
        """Registers from input to output with one after every ``every`` stages and one after the final adder."""
        return ceil_div(self.depth, every) + (self.adder_bits > 0)


def plan(bits: int, *, products: bool = False) -> Plan:
    """The plan for ``bits`` inputs: widest compressors first, until no weight has more than two bits.

    Both compressors remove one bit per LUT, which is the best a LUT without its carry chain can do; the wide
    one needs fewer stages. Compare Jan Gray's popcount of 6:3 compressors, cited by BISMO.

    Raises
    ------
    BadInput
        If ``bits`` is not positive.
    """
    if bits < 1:
        raise BadInput(f"a popcount needs at least one bit, not {bits}")
    heights = _first_heights(bits) if products else [bits]
    stages = []
    while max(heights) > 2:
        stage, heights = _stage(heights)
        stages.append(stage)
    return Plan(bits, products, tuple(stages), tuple(heights))


def _first_heights(bits: int) -> list[int]:
    """Bits per weight after the products were counted three at a time; two left over make a count as well."""
    ones, twos = ceil_div(bits, _PRODUCTS), bits // _PRODUCTS + (bits % _PRODUCTS == 2)
    return [ones, twos] if twos else [ones]


def _stage(heights: list[int]) -> tuple[tuple[Group, ...], list[int]]:
    groups = []
    left = [0] * (len(heights) + 2)
    for weight, height in enumerate(heights):
        for inputs in (_WIDE, _NARROW):
            while height >= inputs:
                group = Group(weight, inputs)
                groups.append(group)
                height -= inputs
                for i in range(group.outputs):
                    left[weight + i] += 1
        left[weight] += height
    while left[-1] == 0:
        left.pop()
    return tuple(groups), left
