"""What golden model, simulator and Verilog must agree on, and the first place where they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hwgen.numerics import IntArray
from hwgen.verify.stimulus import lasts as lasts_of

__all__ = ["Difference", "first_cycle", "first_last", "first_value"]


@dataclass(frozen=True)
class Difference:
    """Two executors disagree.

    Parameters
    ----------
    kind : {"value", "cycle", "last"}
        A result; the cycle of a transfer; TLAST.
    executors : tuple of str
        Who disagrees; the reference first.
    where : str
        Operation and element, or stream and beat.
    expected, found : int
        What the reference has, and what the other one has.
    """

    kind: Literal["value", "cycle", "last"]
    executors: tuple[str, str]
    where: str
    expected: int
    found: int

    def __str__(self) -> str:
        one, other = self.executors
        return f"{self.kind} of {self.where}: {one} has {self.expected}, {other} has {self.found}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"text": str(self)}


def first_value(
    executors: tuple[str, str], expected: Sequence[IntArray], found: Sequence[IntArray]
) -> Difference | None:
    """First element of the first operation whose results differ."""
    for i, (one, other) in enumerate(zip(expected, found, strict=True)):
        differs = np.argwhere(one != other)
        if len(differs):
            index = tuple(int(x) for x in differs[0])
            return Difference(
                "value", executors, f"operation {i} at {list(index)}", int(one[index]), int(other[index])
            )
    return None


def first_cycle(
    executors: tuple[str, str],
    expected: Mapping[str, npt.NDArray[np.int64]],
    found: Mapping[str, npt.NDArray[np.int64]],
) -> Difference | None:
    """Earliest transfer, over all streams, whose cycle differs."""
    differences = []
    for name, one in expected.items():
        other = found[name]
        count = min(len(one), len(other))
        at = np.flatnonzero(one[:count] != other[:count])
        if len(at) or len(one) != len(other):
            i = int(at[0]) if len(at) else count
            cycles = [int(times[i]) if i < len(times) else -1 for times in (one, other)]
            differences.append(
                Difference("cycle", executors, f"stream {name}, beat {i}", cycles[0], cycles[1])
            )
    return min(differences, key=lambda d: min(d.expected, d.found), default=None)


def first_last(
    executor: str, counts: Mapping[str, Sequence[int]], lasts: Mapping[str, npt.NDArray[np.bool_]]
) -> Difference | None:
    """First beat whose TLAST is not what the operations' lengths say."""
    for name, found in lasts.items():
        expected = lasts_of(counts[name])
        at = np.flatnonzero(expected != found)
        if len(at):
            i = int(at[0])
            where = f"stream {name}, beat {i}"
            return Difference("last", ("golden", executor), where, int(expected[i]), int(found[i]))
    return None
