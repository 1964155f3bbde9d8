"""Integer formats and exact integer arithmetic, without any hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput

__all__ = ["INT32", "IntArray", "IntFormat", "bits_for_range", "ceil_div", "ceil_log2", "index_bits", "wrap"]

IntArray = npt.NDArray[np.signedinteger[Any]]


def ceil_div(a: int, b: int) -> int:
    """Smallest integer not below ``a / b``."""
    return -(-a // b)


def ceil_log2(n: int) -> int:
    """Smallest ``b`` with ``2**b >= n``, for ``n >= 1``."""
    return (n - 1).bit_length()


def index_bits(n: int) -> int:
    """Width of an index into ``n`` things; one bit for one thing, because Verilog has no zero-width port."""
    return max(1, ceil_log2(n))


def bits_for_range(low: int, high: int) -> int:
    """Width of the narrowest two's complement word that holds every integer in ``low..high``."""
    return max((v if v >= 0 else ~v).bit_length() for v in (low, high)) + 1


def wrap(values: IntArray, bits: int) -> IntArray:
    """Two's complement value of the low ``bits`` bits: what a register of that width keeps."""
    half = 1 << (bits - 1)
    return ((values.astype(np.int64) + half) & ((1 << bits) - 1)) - half


@dataclass(frozen=True)
class IntFormat:
    """A fixed-width integer.

    Parameters
    ----------
    bits : int
        Width.
    signed : bool
        Two's complement if true, otherwise unsigned.
    """

    bits: int
    signed: bool

    @property
    def low(self) -> int:
        """Smallest value."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest value."""
        return (1 << (self.bits - self.signed)) - 1

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}"

    def check(self, values: npt.ArrayLike, name: str) -> IntArray:
        """Integers of this format as int64, or the first offender by value and index.

        Raises
        ------
        BadInput
            If a value is not a whole number of this format.
        """
        array = np.asarray(values)
        if array.dtype.kind == "f":
            broken = ~np.isfinite(array) | (array != np.trunc(np.nan_to_num(array)))
        elif array.dtype.kind in "iub":
            broken = np.zeros(array.shape, bool)
        else:
            raise BadInput(f"{name} must be an array of integers, not of {array.dtype}")
        broken = broken | (array < self.low) | (array > self.high)
        if broken.any():
            index = tuple(int(i) for i in np.argwhere(broken)[0])
            raise BadInput(
                f"{name} must hold whole numbers in {self.low}..{self.high} ({self}), "
                f"not {array[index].item()!r} at index {list(index)}"
            )
        return array.astype(np.int64)

    def random(self, rng: np.random.Generator, shape: tuple[int, ...]) -> IntArray:
        """Values of this format, a third of them at the ends of the range, where arithmetic breaks."""
        values = rng.integers(self.low, self.high, size=shape, endpoint=True)
        ends = np.where(rng.random(shape) < 0.5, self.low, self.high)
        return np.where(rng.random(shape) < 1 / 3, ends, values)


INT32 = IntFormat(32, True)
"""The accumulator format of every GEMM core."""
