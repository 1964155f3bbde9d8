"""Operand formats: which values an operand's bits stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.config import require_choice, require_int
from hwgen.errors import BadInput
from hwgen.numerics import INT32, IntArray
from hwgen.parts.corner_turn import travel_bits

__all__ = ["KINDS", "Operand"]

KINDS = ("unsigned", "signed", "bipolar", "ternary")
"""In the order of their codes in a command."""

_FIXED = {"bipolar": 1, "ternary": 2}


@dataclass(frozen=True)
class Operand:
    """Format of one operand of a GEMM.

    Parameters
    ----------
    kind : str
        ``unsigned``, ``signed`` (two's complement), ``bipolar`` (one bit: +1 and -1) or ``ternary`` (two bits:
        -1, 0, +1).
    bits : int
        Width, 1..8.

    Raises
    ------
    BadInput
        If the kind is unknown or has another width.
    """

    kind: str
    bits: int

    def __post_init__(self) -> None:
        require_choice("kind", self.kind, KINDS)
        require_int("bits", self.bits, 1, 8)
        if self.bits != _FIXED.get(self.kind, self.bits):
            raise BadInput(f"{self.kind} operands have {_FIXED[self.kind]} bits, not {self.bits}")

    @property
    def low(self) -> int:
        """Smallest value."""
        return {"unsigned": 0, "signed": -(1 << (self.bits - 1))}.get(self.kind, -1)

    @property
    def high(self) -> int:
        """Largest value."""
        return {"unsigned": (1 << self.bits) - 1, "signed": (1 << (self.bits - 1)) - 1}.get(self.kind, 1)

    @property
    def bipolar(self) -> bool:
        """Whether zero is no value of it."""
        return self.kind == "bipolar"

    @property
    def code(self) -> int:
        """Of the kind, in a command."""
        return KINDS.index(self.kind)

    @property
    def travel(self) -> int:
        """Width in which values travel: 1, 2, 4 or 8."""
        return travel_bits(self.bits)

    def __str__(self) -> str:
        return self.kind if self.kind in _FIXED else f"{self.kind} {self.bits}-bit"

    def check(self, values: npt.ArrayLike, name: str) -> IntArray:
        """Values of this format as int64, or the first offender by value and index.

        Raises
        ------
        BadInput
            If a value is none of this format.
        """
        array = INT32.check(values, name)
        broken = (array < self.low) | (array > self.high) | (self.bipolar & (array == 0))
        if broken.any():
            index = tuple(int(i) for i in np.argwhere(broken)[0])
            what = "only -1 and 1" if self.bipolar else f"whole numbers in {self.low}..{self.high}"
            raise BadInput(
                f"{name} must hold {what} ({self}), not {array[index].item()} at index {list(index)}"
            )
        return array

    def random(self, rng: np.random.Generator, shape: tuple[int, ...]) -> IntArray:
        """Values of this format, a third of them at the ends of the range."""
        values = rng.integers(self.low, self.high, size=shape, endpoint=True)
        ends = np.where(rng.random(shape) < 0.5, self.low, self.high)
        return np.where((rng.random(shape) < 1 / 3) | (self.bipolar & (values == 0)), ends, values)
