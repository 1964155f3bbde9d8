"""``hwgen inject``: a fault campaign on a core or an accelerator, with a check against the hooked Verilog."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

import sim.native as sim_native
from hwgen.commands import targets
from hwgen.commands.jobs import network_job, numbers, program_job
from hwgen.commands.run_core import layers_of
from hwgen.errors import BadInput
from hwgen.faults import statistics
from hwgen.faults.campaign import OUTCOME, Precision, manifest, perform
from hwgen.faults.models import Faults, Model, faults
from hwgen.faults.outcome import Outcome
from hwgen.faults.plan import (
    Exhaustive,
    Plan,
    Population,
    Stratified,
    Stratum,
    Uniform,
    neyman,
    population,
    strata_of,
)
from hwgen.faults.results import Summary, summary
from hwgen.faults.sites import Kind
from hwgen.faults.subject import Subject, core_subject, system_subject

__all__ = ["MODELS", "Agreement", "Injection", "Request", "inject", "subject_of"]

MODELS = {model.name.lower().replace("_", "-"): model for model in Model}
"""Fault models by the names that users give."""

Sampling = Literal["exhaustive", "uniform", "stratified"]
_PILOT = 50  # draws of each stratum
_COMPARED = ("digest", "end", "wrong", "flag", "status")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user wants.

    Parameters
    ----------
    model : str
        Of :data:`MODELS`.
    size, duration, period, on
        See :func:`hwgen.faults.models.faults`.
    where, classes, kinds : sequence of str
        Which sites.
    window : (int, int), optional
        Cycles: the first, and one after the last.
    sampling : str
        ``exhaustive``, ``uniform`` or ``stratified``.
    samples : int, optional
        Faults; what the error needs if absent.
    error, confidence : float
        Half the width of the interval that is wanted, and its confidence.
    early : bool
        Stop as soon as the interval is narrow enough.
    phases : int
        Of a stratified campaign.
    seed : int
        Of draws, operands and weights.
    verify : int
        So many of the faults are simulated on the hooked Verilog, too.
    """

    model: str = "seu"
    size: int = 2
    duration: int | None = None
    period: int = 1
    on: int = 1
    where: Sequence[str] = ()
    classes: Sequence[str] = ()
    kinds: Sequence[str] = ("flip_flop",)
    window: tuple[int, int] | None = None
    sampling: Sampling = "uniform"
    samples: int | None = None
    error: float = 0.01
    confidence: float = 0.95
    early: bool = False
    phases: int = 4
    seed: int = 0
    verify: int = 0

    def settings(self) -> dict[str, Any]:
        """What decides the results, for the manifest."""
        kept = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "verify"}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in kept.items()}


@dataclass(frozen=True)
class Agreement:
    """The same faults on both engines.

    Parameters
    ----------
    faults, mismatches : int
        How many, and for how many they differ in outcome, length or any word that was given.
    first : str
        The first one that differs.
    seconds : float
        Of the hooked Verilog, every run from reset.
    """

    faults: int
    mismatches: int
    first: str
    seconds: float

    @property
    def rate(self) -> float:
        """Faults per second of the hooked Verilog."""
        return self.faults / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Injection:
    """A campaign that was run.

    Parameters
    ----------
    subject : Subject
        What was struck.
    folder : Path
        Of the results.
    population : Population
        Sites and cycles.
    summary : Summary
        Shares of outcomes.
    computed : int
        Faults that were simulated now; the others were there.
    seconds : float
        Time of these.
    stopped : bool
        Whether the rule for stopping ended it.
    digest : str
        Of all results.
    agreement : Agreement, optional
        With the hooked Verilog.
    """

    subject: Subject
    folder: Path
    population: Population
    summary: Summary
    computed: int
    seconds: float
    stopped: bool
    digest: str
    agreement: Agreement | None

    @property
    def rate(self) -> float:
        """Faults per second."""
        return self.computed / self.seconds if self.computed else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON; keys of the design's section 8."""
        found = {
            "target": self.subject.name,
            "digest": self.subject.netlist.digest,
            "results_digest": self.digest,
            "folder": str(self.folder),
            "sites": self.population.sites,
            "cycles": self.subject.lanes.cycles,
            **self.summary.to_dict(),
            "stopped_early": self.stopped,
            "rate_per_second": self.rate,
        }
        if self.agreement is not None:
            found["baseline_rate_per_second"] = self.agreement.rate
            found["verified"] = self.agreement.faults
            found["mismatches"] = self.agreement.mismatches
            found["first_mismatch"] = self.agreement.first
        return found


def subject_of(
    target: str, settings: dict[str, str], workload: str, *, seed: int = 0, program: Path | None = None,
    memory: Path | None = None, regime: str = "free",
) -> Subject:  # fmt: skip
    """What a user calls a design and its work.

    Parameters
    ----------
    target : str
        A core, a configuration of one, an accelerator or a file.
    settings : dict
        Changed parameters.
    workload : str
        ``tile``, a layer such as ``gemm:8x64x8``, or for accelerators any network that fits.
    seed : int
        Of operands and weights.
    program, memory : Path, optional
        For accelerators: a program and its memory, instead of a workload.
    regime : str
        For cores: when the other sides of the streams move.

    Raises
    ------
    BadInput
        If there is no such thing.
    """
    if targets.is_core(target):
        core, config = targets.resolve(target, settings)
        if program is not None or memory is not None:
            raise BadInput(f"{target} is a core and runs no programs; leave out --program and --memory")
        _, layers, _ = layers_of(core, config, workload, seed)
        operations = [op for _, _, own in layers for op in own]
        return core_subject(core.name, config, operations, regime=regime, seed=seed)
    accelerator = targets.accelerator(target, settings)
    model = (Path(sim_native.__file__).parent / "dram.hpp").read_text(encoding="utf-8")
    if program is not None:
        job: Any = program_job(accelerator, program, memory)
    else:
        job = network_job(accelerator, numbers(accelerator, workload, seed=seed), lut_share=None, images=1)
    image = next(iter(job.batches()))[0]
    count = len(job.program.instructions)
    return system_subject(
        accelerator, image, job.address, count, memory_model=model, name=f"{target} {job.name}"
    )


def inject(
    subject: Subject, folder: Path, request: Request, *, resume: bool = False, processes: int = 1,
    cluster: str | None = None, tell: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] | None = None, warn: Callable[[str], None] | None = None,
) -> Injection:  # fmt: skip
    """Run a campaign.

    Parameters
    ----------
    subject : Subject
        Design and job.
    folder : Path
        For the results.
    request : Request
        Which faults, and how many.
    resume : bool
        Go on with what is there.
    processes : int
        On this machine.
    cluster : str, optional
        Address of a Dask scheduler.
    tell, progress, warn : callable
        Are told what goes on, how far it is, and what was damaged.

    Raises
    ------
    BadInput
        If the request cannot be met.
    """
    if request.model not in MODELS:
        raise BadInput(f"there is no fault model {request.model!r}; there are {', '.join(MODELS)}")
    tell("fault-free run")
    engine = subject.lanes
    model = MODELS[request.model]
    prototype = faults(
        0, 0, model, size=request.size if model is Model.MBU else 1, duration=request.duration, period=request.period,
        on=request.on,
    )  # fmt: skip
    members = population(
        subject.sites, engine.cycles, prototype, where=request.where, classes=request.classes,
        kinds=[Kind(kind) for kind in request.kinds], window=request.window,
    )  # fmt: skip
    tell("faults")
    began = time.perf_counter()
    strata: tuple[Stratum, ...] = ()
    pilot = np.zeros(0, OUTCOME)
    plan: Plan
    precision = None
    if request.sampling == "exhaustive":
        plan = Exhaustive(members)
    else:
        total = request.samples or statistics.sample_size(len(members), request.error, request.confidence)
        total = min(total, len(members))
        if request.sampling == "uniform":
            plan = Uniform(members, total, request.seed)
            if request.early:
                precision = Precision(request.error, request.confidence, len(members))
        else:
            strata = strata_of(members, request.phases)
            first = tuple(min(_PILOT, len(s.population)) for s in strata)
            trial = Stratified(strata, first, request.seed)
            store, _ = perform(
                folder / "pilot", subject, trial, manifest(subject, trial, request.settings()), resume=resume,
                processes=processes, cluster=cluster, warn=warn,
            )  # fmt: skip
            pilot = store.read()
            shares = [
                (int(np.count_nonzero(pilot["outcome"][pilot["stratum"] == h] != Outcome.MASKED)) + 1)
                / (n + 2)
                for h, n in enumerate(first)
            ]
            plan = Stratified(strata, neyman(strata, shares, total, first), request.seed, first)
    described = manifest(subject, plan, request.settings(), precision=precision)
    done_before = 0

    def advance(done: int, total: int) -> None:
        nonlocal done_before
        done_before = done_before or done
        if progress:
            progress(done, total)

    store, finished = perform(
        folder, subject, plan, described, resume=resume, processes=processes, cluster=cluster, precision=precision,
        progress=advance, warn=warn,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    rows = np.concatenate([pilot, store.read()])
    found = summary(
        rows, subject.sites, members.elements, members.cycles, strata=strata, confidence=request.confidence
    )
    agreement = None
    if request.verify:
        tell("hooked Verilog")
        agreement = agree(subject, members, request.verify, request.seed)
    return Injection(
        subject, folder, members, found, max(0, finished.rows - done_before), seconds, finished.stopped,
        store.digest(), agreement,
    )  # fmt: skip


def agree(subject: Subject, members: Population, count: int, seed: int) -> Agreement:
    """Simulate faults on both engines."""
    drawn = Uniform(members, min(count, len(members)), seed + 1)
    listed: Faults = drawn(0, drawn.total)
    ours, _ = subject.lanes.inject(listed)
    theirs = subject.run_verilated(listed, forked=False)
    differs = np.zeros(len(listed), np.bool_)
    for name in _COMPARED:
        differs |= ours[name] != theirs.results[name]
    first = ""
    if differs.any():
        i = int(np.flatnonzero(differs)[0])
        site = subject.sites.site(int(listed["site"][i]))
        first = f"{site} in cycle {listed['cycle'][i]}: lanes {ours[i]}, Verilog {theirs.results[i]}"
    return Agreement(len(listed), int(differs.sum()), first, theirs.seconds)
