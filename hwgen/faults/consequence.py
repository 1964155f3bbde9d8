"""What a fault in a core means for the application: its sums go on through the requantiser and the rest of a network.

The lane engine simulates the core that computes one tile of a layer, with the real operands of that tile. Faults whose
results differ are simulated once more for the results themselves; these take the place of the tile's sums, and
everything behind them is computed exactly. Nothing is modelled between the flipped bit and the answer.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hwgen.errors import HwgenError
from hwgen.faults.campaign import OUTCOME, classified
from hwgen.faults.engine.engine import RESULT
from hwgen.faults.models import Faults, faults
from hwgen.faults.outcome import Outcome
from hwgen.faults.subject import CoreSubject
from hwgen.numerics import IntArray

__all__ = ["CONSEQUENCE", "FOLLOWED", "Consequences", "Tile", "Where", "consequences", "distinct", "joined"]


class Where(IntEnum):
    """The first place behind which every value is that of the fault-free run. Later places may not be reached.

    ENFOR-SA's columns ``gemm_msk``, ``scale_msk``, ``round_msk`` and ``clamp_msk`` are the first four. Numbers are
    stored in files: they never change.
    """

    ARRAY = 0
    """All sums of the tile are right."""

    SCALE = 1
    """Sums differ, and their products with the multipliers do not: one is zero, or float32 rounds them (``ort``)."""

    ROUND = 2
    """Scaled values differ, and what they are rounded to does not."""

    CLAMP = 3
    """Rounded values differ, and the bounds of the word, or of a fused ReLU, cut the difference off."""

    POOL = 4
    """The layer's results differ; all its readers are pools, and none of their results differs."""

    NETWORK = 5
    """A later layer made the difference vanish: all results of the last layer are right."""

    NOWHERE = 6
    """Results of the network differ, if only by a step of one of them."""

    NOT_FOLLOWED = 7
    """There are no results to go on with, or the hardware reported them: hang, protocol, detected, corrected; or the
    mark that ends a command is wrong."""


FOLLOWED = np.dtype(
    [
        ("masked", "u1"), ("critical", "?"), ("changed", "<u4"), ("deviation", "<f8"), ("top", "<i4"),
        ("margin", "<f8"), ("product", "<f8"), ("layer", "<f8"), ("answer", "<f8"),
    ]
)  # fmt: skip
"""What became of results: :class:`Where` the fault was masked; whether the application's answer is another one; how
many outputs of the tile differ behind the requantiser, and the largest difference in its steps; the class, and by how
much the logit of the fault-free class exceeds all others; cosines with the fault-free product, layer and answer. What
an application does not have is -1 or NaN."""

CONSEQUENCE = np.dtype([*OUTCOME.descr, ("hardware", "u1"), *FOLLOWED.descr])
"""A row of results: of :data:`hwgen.faults.campaign.OUTCOME`, where ``outcome`` is what the application sees; then what
the core's ports show; then :data:`FOLLOWED`."""


class Tile(Protocol):
    """Part of a product with real operands, and what comes after it."""

    @property
    def sums(self) -> IntArray:
        """Fault-free results of the core, shape (m, n)."""

    def follow(self, sums: IntArray) -> Faults:
        """What becomes of other results, shape (count, m, n): rows of :data:`FOLLOWED`."""

    def untouched(self, count: int) -> Faults:
        """Rows of :data:`FOLLOWED` for a run without a fault."""


@dataclass(frozen=True, eq=False)
class Consequences:
    """Faults and what they meant.

    Parameters
    ----------
    rows : structured array of :data:`CONSEQUENCE`
        In the order of the faults.
    observed : int
        Results of the core that were simulated for their values: those with digests of their own.
    distinct : int
        Different sums among these, which went through the rest of the application.
    seconds : dict of str to float
        Of ``inject``, ``observe`` and ``follow``.
    """

    rows: Faults
    observed: int
    distinct: int
    seconds: dict[str, float]

    @property
    def rate(self) -> float:
        """Faults per second, all steps together."""
        spent = sum(self.seconds.values())
        return len(self.rows) / spent if spent else 0.0


def consequences(
    tile: Tile, subject: CoreSubject, rows: Faults, *, lanes: int = 256, chunk: int = 256
) -> Consequences:
    """Simulate faults in the core, and follow what differs to the application's answer.

    Parameters
    ----------
    tile : Tile
        What the core computes.
    subject : CoreSubject
        The core with this tile as its only operation, see ``TileSite.subject``.
    rows : structured array of :data:`hwgen.faults.plan.ROW`
        Faults of a plan.
    lanes : int
        Of :data:`hwgen.faults.engine.engine.LANES`; results do not depend on it.
    chunk : int
        Results that are held at once.

    Raises
    ------
    HwgenError
        If the engine's fast and its whole simulation of a fault differ.

    Notes
    -----
    A silent corruption becomes ``CRITICAL`` if the answer changes, and stays ``SDC`` if any result of the application
    differs. If none does, the fault is ``MASKED``, or ``LATENT`` if the state of the core differs in the end. Results
    whose TLAST is wrong become ``PROTOCOL``: whoever takes them sees too many or too few. All other outcomes stay what
    they are at the core's ports.
    """
    began = time.perf_counter()
    engine = subject.lanes
    found, _ = engine.inject(rows, lanes=lanes)
    base = classified(rows, found.astype(RESULT, copy=False), engine.fault_free)
    injected = time.perf_counter()
    made = np.zeros(len(rows), CONSEQUENCE)
    for name in OUTCOME.names or ():
        made[name] = base[name]
    made["hardware"] = base["outcome"]
    right = np.isin(base["outcome"], (Outcome.MASKED, Outcome.LATENT))
    _fill(made, np.flatnonzero(right), tile.untouched(int(right.sum())))
    lost = np.flatnonzero(~right & (base["outcome"] != Outcome.SDC))
    _fill(made, lost, tile.untouched(len(lost)))
    made["masked"][lost] = Where.NOT_FOLLOWED

    silent = np.flatnonzero(base["outcome"] == Outcome.SDC)
    # Equal digests are equal results: one fault stands for all of them.
    _, first, group = np.unique(base["digest"][silent], return_index=True, return_inverse=True)
    chosen = silent[first]
    marks = _marks(subject, _fault_free(subject)) if len(chosen) else None
    parts: list[IntArray] = []
    framed: list[npt.NDArray[np.bool_]] = []
    for begin in range(0, len(chosen), chunk):
        some = chosen[begin : begin + chunk]
        words, again = engine.observe(rows[some])
        if (again["digest"] != base["digest"][some]).any():
            raise HwgenError("two simulations of one fault give different results; report this")
        framed.append((_marks(subject, words) == marks).all(axis=1))
        parts.append(np.stack([subject.results(one)[0] for one in words]).astype(np.int32))
    observed = time.perf_counter()
    count = 0
    if parts:
        sums = np.concatenate(parts)
        own, of = distinct(sums)
        count = len(own)
        followed = tile.follow(sums[own])[of][group.reshape(-1)]
        _fill(made, silent, followed)
        gone = followed["masked"] <= Where.NETWORK
        latent = found["latent"][silent] != 0
        made["outcome"][silent] = np.where(
            gone, np.where(latent, Outcome.LATENT, Outcome.MASKED),
            np.where(followed["critical"], Outcome.CRITICAL, Outcome.SDC),
        )  # fmt: skip
        broken = silent[~np.concatenate(framed)[group.reshape(-1)]]
        _fill(made, broken, tile.untouched(len(broken)))
        made["masked"][broken], made["outcome"][broken] = Where.NOT_FOLLOWED, Outcome.PROTOCOL
    ended = time.perf_counter()
    seconds = {"inject": injected - began, "observe": observed - injected, "follow": ended - observed}
    return Consequences(made, len(chosen), count, seconds)


def distinct(values: npt.NDArray[np.generic]) -> tuple[IntArray, IntArray]:
    """First member of every group of equal arrays along the first axis, and the group of each.

    Sorting them would take longer than all that follows.
    """
    known: dict[bytes, int] = {}
    first: list[int] = []
    of = np.zeros(len(values), np.int64)
    for i, one in enumerate(values):
        digest = hashlib.blake2b(np.ascontiguousarray(one).tobytes(), digest_size=16).digest()
        group = known.setdefault(digest, len(first))
        if group == len(first):
            first.append(i)
        of[i] = group
    return np.array(first, np.int64), of


def joined(parts: Sequence[Consequences]) -> Consequences:
    """Several calls as one."""
    seconds = {name: sum(part.seconds[name] for part in parts) for name in parts[0].seconds}
    return Consequences(
        np.concatenate([part.rows for part in parts]), sum(part.observed for part in parts),
        sum(part.distinct for part in parts), seconds,
    )  # fmt: skip


def _fault_free(subject: CoreSubject) -> npt.NDArray[np.uint64]:
    """What the core gives without a fault: that of a fault in the last cycle, which comes too late."""
    words, found = subject.lanes.observe(faults([0], [subject.lanes.cycles - 1]))
    if found["digest"][0] != subject.lanes.fault_free["digest"]:
        raise HwgenError("a fault in the last cycle changes what was given before; report this")
    return words


def _marks(subject: CoreSubject, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """TLAST of every beat of all results, shape (faults, beats)."""
    found, at = [], 0
    for s in subject.streams:
        if s.direction == "out":
            count, size = subject.stimulus.expected[s.name], -(-s.bytes // 8) + 1
            found.append(words[:, at : at + count * size].reshape(len(words), count, size)[:, :, -1])
            at += count * size
    return np.concatenate(found, axis=1)


def _fill(made: Faults, where: IntArray, followed: Faults) -> None:
    for name in FOLLOWED.names or ():
        made[name][where] = followed[name]
