"""A campaign: a plan of faults on a subject, their outcomes in a folder, whoever computes them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hwgen.faults.engine.engine import RESULT
from hwgen.faults.models import Faults
from hwgen.faults.outcome import Outcome
from hwgen.faults.plan import Plan
from hwgen.faults.runner import Prefix, run
from hwgen.faults.statistics import Sequential
from hwgen.faults.store import Finished, Manifest, Store
from hwgen.faults.subject import Subject
from hwgen.version import VERSION

__all__ = ["NEVER", "OUTCOME", "Precision", "Work", "classified", "manifest", "perform"]

NEVER = (1 << 32) - 1

OUTCOME = np.dtype(
    [
        ("site", "<i8"), ("cycle", "<u4"), ("model", "u1"), ("outcome", "u1"), ("stratum", "<u4"), ("latency", "<u4"),
        ("end", "<u4"), ("wrong", "<u4"), ("digest", "<u8"), ("effect", "u1"),
    ]
)  # fmt: skip
"""A row of results: the fault, its :class:`hwgen.faults.outcome.Outcome`, cycles from its first active cycle to the
design's report of an error (2^32 - 1: none), length of the run, words that differ, digest of all that was given, and
the outcome that it would have if no report counted."""


def classified(rows: Faults, results: Faults, fault_free: Any) -> Faults:
    """Outcomes of faults, from what an engine found.

    Parameters
    ----------
    rows : structured array of :data:`hwgen.faults.plan.ROW`
        Faults.
    results : structured array of :data:`hwgen.faults.engine.engine.RESULT`
        What came of them.
    fault_free : scalar of RESULT
        The run without a fault.
    """
    made = np.zeros(len(rows), OUTCOME)
    for name in ("site", "cycle", "model", "stratum"):
        made[name] = rows[name]
    for name in ("end", "wrong", "digest"):
        made[name] = results[name]
    outcome = np.where(results["latent"] != 0, np.uint8(Outcome.LATENT), np.uint8(Outcome.MASKED))
    outcome[results["digest"] != fault_free["digest"]] = Outcome.SDC
    outcome[results["status"] == 1] = Outcome.HANG
    outcome[results["status"] == 2] = Outcome.PROTOCOL
    made["effect"] = outcome
    right = (outcome == Outcome.MASKED) | (outcome == Outcome.LATENT)
    outcome[right & (results["mended"] > fault_free["mended"])] = Outcome.CORRECTED
    flagged = results["flag"] != fault_free["flag"]
    outcome[flagged] = Outcome.DETECTED
    made["outcome"] = outcome
    made["latency"] = np.where(flagged, results["flag"] - rows["cycle"], NEVER)
    return made


_OPENING = threading.Lock()


@dataclass(eq=False)
class Work:
    """Simulates faults; the lane engine is opened at the first call in a process.

    Parameters
    ----------
    subject : Subject
        What they are injected into.
    lanes : int
        Of :data:`hwgen.faults.engine.engine.LANES`; results do not depend on it.
    """

    subject: Subject
    lanes: int = 256

    outcome: ClassVar[np.dtype[np.void]] = OUTCOME
    """What it gives for each fault."""
    threads: ClassVar[bool] = True
    """Whether several threads may call it at once."""

    def __call__(self, rows: Faults) -> Faults:
        """One row of :data:`OUTCOME` for each row of a plan."""
        with _OPENING:
            engine = self.subject.lanes
        results, _ = engine.inject(rows, lanes=self.lanes)
        return classified(rows, results.astype(RESULT, copy=False), engine.fault_free)


@dataclass(frozen=True)
class Precision:
    """A rule for stopping: when the share of faults with an effect is known well enough.

    Parameters
    ----------
    error : float
        Half the width of the interval that is wanted, in 0..0.5.
    confidence : float
        Of the interval.
    population : int
        Faults that there are.
    """

    error: float
    confidence: float
    population: int

    def to_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return {"error": self.error, "confidence": self.confidence}


class _Stop:
    """Counts effects shard by shard, and looks only as often as the rule allows."""

    def __init__(self, precision: Precision):
        self.rule = Sequential(precision.error, precision.confidence, precision.population)
        self.looks = set(self.rule.looks)
        self.x = self.n = 0

    def __call__(self, prefix: Prefix) -> bool:
        outcomes = prefix.newest()["outcome"]
        before = self.n
        for look in sorted(look for look in self.looks if before < look <= before + len(outcomes)):
            part = outcomes[: look - before]
            if self.rule.stop(self.x + int(np.count_nonzero(part != Outcome.MASKED)), look):
                return True
        self.x += int(np.count_nonzero(outcomes != Outcome.MASKED))
        self.n += len(outcomes)
        return False


def manifest(
    subject: Subject, plan: Plan, settings: dict[str, Any], *, shard_size: int | None = None,
    precision: Precision | None = None, outcome: np.dtype[np.void] = OUTCOME,
) -> Manifest:  # fmt: skip
    """What decides the results of a campaign.

    Parameters
    ----------
    subject : Subject
        What faults are injected into.
    plan : Plan
        Which faults.
    settings : dict
        What the user asked for, as JSON values.
    shard_size : int, optional
        Faults of a file of results.
    precision : Precision, optional
        Rule for stopping.
    outcome : dtype
        Of a row of results.
    """
    # The engine is quicker the more faults it has at once; a rule for stopping is asked after each file.
    part = plan.total // (4 if precision is None else 64)
    size = shard_size or max(1024, min(1 << 18, part))
    head = (
        plan(0, min(plan.total, 256)).tobytes()
        + plan(max(0, plan.total - 256), min(plan.total, 256)).tobytes()
    )
    listed = hashlib.sha256(json.dumps([plan.to_dict(), plan.total], sort_keys=True).encode() + head)
    rule = {} if precision is None else {"precision": precision.to_dict()}
    return Manifest(
        netlist=subject.netlist.digest,
        stimulus=subject.digest,
        faults=listed.hexdigest()[:16],
        outcome=outcome,
        shard_size=size,
        total=plan.total,
        versions={"hwgen": VERSION},
        settings={**settings, "subject": subject.name, "plan": plan.to_dict(), **rule},
    )


def perform(
    folder: Path, subject: Subject, plan: Plan, described: Manifest, *, resume: bool = False, processes: int = 1,
    cluster: str | None = None, lanes: int = 256, precision: Precision | None = None,
    progress: Callable[[int, int], None] | None = None, warn: Callable[[str], None] | None = None,
    work: Work | None = None,
) -> tuple[Store, Finished]:  # fmt: skip
    """Run a campaign, or what is missing of it.

    Parameters
    ----------
    folder : Path
        Of the results.
    subject, plan, described
        The campaign, see :func:`manifest`.
    resume : bool
        Whether results may be there already.
    processes : int
        On this machine.
    cluster : str, optional
        Address of a Dask scheduler, instead of these.
    lanes : int
        Faults at once.
    precision : Precision, optional
        Rule for stopping.
    progress : callable, optional
        Is told faults done and in all.
    warn : callable, optional
        Is told which files were damaged.
    work : Work, optional
        What is done with faults, if it is more than to classify them.

    Raises
    ------
    BadInput
        If the folder holds another campaign, or one and ``resume`` is false.
    """
    store = Store.resume(folder, described, warn) if resume else Store.create(folder, described)
    with store:
        done = run(
            store, plan, work or Work(subject, lanes), plan.total, processes=processes, cluster=cluster,
            progress=progress, stop=None if precision is None else _Stop(precision),
        )  # fmt: skip
    return Store.open(folder), done
