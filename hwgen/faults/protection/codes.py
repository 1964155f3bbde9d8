"""Codes over words: which data bits each check bit is the exclusive or of.

The SECDED code is Hsiao's: every column of the check matrix has odd weight, all columns differ, weights are as small as
they can be and rows as equal. Any two columns then differ in an even number of places, so a double error has a
syndrome of even weight that is not zero, and is never taken for a single one.

M. Y. Hsiao, "A class of optimal minimum odd-weight-column SEC-DED codes", IBM J. Res. Dev. 14(4), 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from hwgen.errors import BadInput

__all__ = ["Code", "check_bits", "hsiao", "parity"]


@dataclass(frozen=True)
class Code:
    """A systematic linear code.

    Parameters
    ----------
    columns : tuple of int
        For each data bit the check bits that it is in, as a mask.
    checks : int
        Check bits.
    corrects : bool
        Whether a single error can be corrected.
    """

    columns: tuple[int, ...]
    checks: int
    corrects: bool

    def rows(self) -> list[list[int]]:
        """For each check bit, the data bits that it covers."""
        return [[i for i, column in enumerate(self.columns) if column >> k & 1] for k in range(self.checks)]

    def encode(self, word: int) -> int:
        """Check bits of a data word."""
        found = 0
        for i, column in enumerate(self.columns):
            found ^= column if word >> i & 1 else 0
        return found

    def decode(self, word: int, checks: int) -> tuple[int, bool, bool]:
        """Data as they are taken, whether an error was corrected, and whether one was detected that cannot be."""
        syndrome = self.encode(word) ^ checks
        if not syndrome:
            return word, False, False
        if self.corrects and syndrome.bit_count() == 1:
            return word, True, False
        if self.corrects and syndrome in self.columns:
            return word ^ 1 << self.columns.index(syndrome), True, False
        return word, False, True


def parity(width: int) -> Code:
    """One check bit."""
    return Code((1,) * width, 1, False)


def check_bits(width: int) -> int:
    """Check bits of a SECDED code for so many data bits: the least r with 2**(r-1) >= width + r."""
    if width < 1:
        raise BadInput(f"a SECDED code needs at least one data bit, not {width}")
    r = 2
    while 1 << (r - 1) < width + r:
        r += 1
    return r


@cache
def hsiao(width: int) -> Code:
    """Hsiao's SECDED code.

    Parameters
    ----------
    width : int
        Data bits, at least 1.

    Raises
    ------
    BadInput
        If there is no data bit.
    """
    r = check_bits(width)
    columns: list[int] = []
    load = [0] * r
    for weight in range(3, r + 1, 2):
        wanted = min(width - len(columns), _count(r, weight))
        columns += _balanced(r, weight, wanted, load)
    return Code(tuple(columns), r, True)


def _count(r: int, weight: int) -> int:
    found = 1
    for i in range(weight):
        found = found * (r - i) // (i + 1)
    return found


def _balanced(r: int, weight: int, wanted: int, load: list[int]) -> list[int]:
    """Columns of a weight, chosen so that rows stay as equal as they can; ``load`` counts ones of rows."""
    left = [sum(1 << i for i in places) for places in combinations(range(r), weight)]
    made: list[int] = []
    while len(made) < wanted:
        best = min(left, key=lambda column: (sum(load[i] for i in _places(column)), column))
        left.remove(best)
        made.append(best)
        for i in _places(best):
            load[i] += 1
    return made


def _places(column: int) -> Sequence[int]:
    return [i for i in range(column.bit_length()) if column >> i & 1]
