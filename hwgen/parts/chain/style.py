"""How a target's multipliers make sums: what is instantiated, and the registers on the way."""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.parts.packing import DspBlock, Packing

__all__ = ["Style"]

_INSTANTIATED = ("DSP48E1", "DSP48E2", "MULT18X18D")


@dataclass(frozen=True)
class Style:
    """What a chain is made of.

    Parameters
    ----------
    cell : str or None
        Block that is instantiated; None leaves ``*`` to synthesis.
    packs : bool
        Whether a multiplier may hold several products.
    cascade : bool
        Whether sums are made inside the blocks.
    """

    cell: str | None
    packs: bool
    cascade: bool

    @classmethod
    def of(cls, block: DspBlock | None) -> Style:
        """The style of a target's block; of multipliers of no particular target without one."""
        if block is None:
            return cls(None, False, False)
        return cls(block.name if block.name in _INSTANTIATED else None, True, block.cascade)

    @property
    def pipelined(self) -> bool:
        """Whether packed sums are made in the fabric, with a register around every adder and multiplier."""
        return self.packs and not self.cascade

    @property
    def mac_cycles(self) -> int:
        """Cycles from an activation to the sum with its product.

        Operand, product and sum have a register each; pipelined, there is one more in front of the multiplier and one
        more behind it.
        """
        return 5 if self.pipelined else 3

    def low_bits(self, packing: Packing) -> int:
        """Bits of a weight's upper lanes that go along a chain beside the packed weight, for the canaries."""
        lanes = packing.scheme.weight_lanes - 1
        return lanes * packing.low_weight_bits if self.packs else 0

    def count_bits(self, packing: Packing) -> int:
        """Bits of the canaries beside a chain: one for every field but the lowest."""
        return (len(packing.fields) - 1) * packing.scheme.canary_bits if self.packs else 0

    def separate_cycles(self, packing: Packing) -> int:
        """Cycles from packed sums to separate ones; pipelined, one and two for each field below a canary."""
        if self.pipelined and self.count_bits(packing):
            return 1 + 2 * (len(packing.fields) - 1)
        return 1
