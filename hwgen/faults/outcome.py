"""What injected faults came to: eight outcomes that exclude each other, whatever the fault's model, and their counts.

Where a fault was masked (array, scale, round, clamp) is a second column of a campaign, not an outcome of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from hwgen.errors import BadInput
from hwgen.faults.rates import ELEMENTS, KINDS

__all__ = [
    "CLASSES",
    "DUE",
    "HANDLED",
    "NOT_MASKED",
    "SILENT",
    "UNDETECTED",
    "Assumptions",
    "Counts",
    "Outcome",
    "fault_class",
]


class Outcome(IntEnum):
    """The class of one injection. Numbers are stored in campaign files: they never change.

    The first that holds, in this order: reported as not corrected is ``DETECTED``, whatever else happened; then
    ``HANG``, ``PROTOCOL``, ``CRITICAL``, ``SDC``; reported as corrected is ``CORRECTED``, which a wrong correction is
    not; then ``LATENT`` and ``MASKED``.
    """

    MASKED = 0
    """Outputs and the state at the end equal those of the run without the fault."""

    LATENT = 1
    """Outputs are equal, and the state at the end differs."""

    SDC = 2
    """Silent data corruption: outputs differ, nothing told so, and the application tolerates the difference."""

    CRITICAL = 3
    """Silent data corruption that changes the application's answer, such as the top-1 class."""

    HANG = 4
    """The run did not end within its limit of cycles, and no mechanism told so."""

    PROTOCOL = 5
    """A handshake rule of a port was broken, or outputs were too many or too few, and no mechanism told so."""

    DETECTED = 6
    """A mechanism of the hardware reported the fault, and did not correct it."""

    CORRECTED = 7
    """A mechanism reported that it corrected the fault, and outputs are right. A silent correction is ``MASKED``."""


SILENT = frozenset({Outcome.SDC, Outcome.CRITICAL})
"""Outputs are wrong and nothing says so."""

DUE = frozenset({Outcome.HANG, Outcome.PROTOCOL})
"""Errors that show at the ports, where a watchdog or a bus monitor outside of the hardware may see them."""

UNDETECTED = SILENT | DUE
"""Failures that no mechanism of the hardware reported."""

HANDLED = frozenset({Outcome.DETECTED, Outcome.CORRECTED})
"""A mechanism of the hardware reported the fault."""

NOT_MASKED = frozenset(Outcome) - {Outcome.MASKED}
"""What the architectural vulnerability factor counts. Latent faults are in it: state that matters later differs."""

CLASSES = ("residual", "detected", "latent", "safe")
"""Classes of a safety analysis; :mod:`hwgen.faults.safety` defines them. Every fault is in one."""


@dataclass(frozen=True)
class Counts:
    """Outcomes of injections drawn uniformly from one part of the fault space: a row of the table.

    Parameters
    ----------
    block : str
        The block of the hardware; one line of text.
    element, kind : str
        Of :data:`~hwgen.faults.rates.ELEMENTS` and of :data:`~hwgen.faults.rates.KINDS`.
    bits : float
        Bits that the row stands for; above 0. A stratum has its share of the bits, not always whole.
    samples, population : int
        Injections, drawn without replacement, and sites x cycles that there are; 1 <= samples <= population.
    counts : mapping of Outcome to int
        How often each; they add up to ``samples``. Those left out are 0.
    mechanism : bool
        Whether the block is a safety mechanism, so that a masked permanent fault in it is latent.
    stratum : str
        Tells rows of the same block, element and kind apart.
    """

    block: str
    element: str
    kind: str
    bits: float
    samples: int
    population: int
    counts: Mapping[Outcome, int]
    mechanism: bool = False
    stratum: str = ""

    def __post_init__(self) -> None:
        if not self.block or not self.block.isprintable():
            raise BadInput(f"a block's name must be one line of text, not {self.block!r}; name the block")
        where = self.name
        for name, value, known in (("element", self.element, ELEMENTS), ("kind", self.kind, KINDS)):
            if value not in known:
                raise BadInput(f"{where}: {name} must be one of {', '.join(known)}, not {value!r}")
        if not (math.isfinite(self.bits) and self.bits > 0):
            raise BadInput(f"{where}: bits must be a number above 0, not {self.bits!r}; leave out empty rows")
        if not 1 <= self.samples <= self.population:
            raise BadInput(
                f"{where}: {self.samples} samples of a population of {self.population}; expected at least 1, and no "
                "more than there are: inject into every row"
            )
        for outcome, count in self.counts.items():
            if not isinstance(outcome, Outcome) or count < 0:
                raise BadInput(
                    f"{where}: {outcome!r} was counted {count!r} times; counts are of outcomes, from 0"
                )
        if sum(self.counts.values()) != self.samples:
            raise BadInput(
                f"{where}: outcomes add up to {sum(self.counts.values())}, not to the {self.samples} samples; count "
                "every injection once"
            )

    @property
    def name(self) -> str:
        """Names the row in errors."""
        stratum = f", {self.stratum}" if self.stratum else ""
        return f"row {self.block!r} ({self.element}, {self.kind}{stratum})"

    @property
    def exhaustive(self) -> bool:
        """Whether every fault was injected: shares are exact."""
        return self.samples == self.population

    def count(self, outcomes: Iterable[Outcome]) -> int:
        """How many injections came to one of these."""
        return sum(self.counts.get(outcome, 0) for outcome in outcomes)


@dataclass(frozen=True)
class Assumptions:
    """What a campaign cannot know. A report names all of it.

    Parameters
    ----------
    violations : frozenset of Outcome
        Outcomes that violate the safety goal: ``CRITICAL``, and any of ``SDC``, ``HANG``, ``PROTOCOL``, ``LATENT``.
        Without ``SDC``, wrong outputs that the application tolerates are safe. Without ``HANG`` or ``PROTOCOL``, a
        monitor outside of the hardware is taken to detect them.
    lifetime_hours : float, optional
        Hours in which a latent fault waits for a second one; above 0. Without it there is no PMHF.
    budget_share : float, optional
        Share of the item's PMHF that this hardware may use; above 0, at most 1. Without it PMHF is not judged.
    """

    violations: frozenset[Outcome] = UNDETECTED
    lifetime_hours: float | None = None
    budget_share: float | None = None

    def __post_init__(self) -> None:
        if Outcome.CRITICAL not in self.violations or not self.violations <= UNDETECTED | {Outcome.LATENT}:
            said = ", ".join(o.name for o in sorted(self.violations)) or "none"
            raise BadInput(
                f"violations of the safety goal are CRITICAL, and any of SDC, HANG, PROTOCOL and LATENT; not {said}"
            )
        hours, share = self.lifetime_hours, self.budget_share
        if hours is not None and not (math.isfinite(hours) and hours > 0):
            raise BadInput(
                f"lifetime_hours must be a number above 0, not {hours!r}; give the hours of operation"
            )
        if share is not None and not 0 < share <= 1:
            raise BadInput(
                f"budget_share must be above 0 and at most 1, not {share!r}; give this hardware's share"
            )

    def statements(self) -> tuple[str, ...]:
        """One sentence for each assumption."""
        names = ", ".join(o.name for o in sorted(self.violations))
        found = [f"The safety goal is violated by: {names}."]
        if Outcome.SDC not in self.violations:
            found.append("Wrong outputs that do not change the application's answer are safe.")
        outside = [o.name for o in sorted(DUE - self.violations)]
        if outside:
            found.append(f"A monitor outside of the hardware detects: {', '.join(outside)}.")
        if Outcome.LATENT not in self.violations:
            found.append("Transient faults that are latent are gone with the next reset and in no metric.")
        if self.lifetime_hours is not None:
            found.append(f"A latent permanent fault waits {self.lifetime_hours:g} hours for a second fault.")
        if self.budget_share is not None:
            found.append(
                f"This hardware may use {self.budget_share:.4g} of the item's PMHF: the user's choice."
            )
        return tuple(found)


def fault_class(row: Counts, outcome: Outcome, assumptions: Assumptions) -> str:
    """Which of :data:`CLASSES` the faults of a row with one outcome are in."""
    if outcome in assumptions.violations:
        return "residual"
    if outcome in HANDLED or outcome in DUE:
        return "detected"
    if outcome is Outcome.LATENT or (row.mechanism and row.kind == "permanent"):
        return "latent"
    return "safe"
