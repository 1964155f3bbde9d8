"""``hwgen inject``: a fault campaign on a core or an accelerator, with a check against the hooked Verilog."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

import sim.native as sim_native
from hwgen.commands import targets
from hwgen.commands.jobs import network_job, numbers, program_job
from hwgen.commands.run_core import layers_of
from hwgen.errors import BadInput
from hwgen.faults import statistics
from hwgen.faults.campaign import Precision, manifest, perform
from hwgen.faults.models import Faults, Model, faults
from hwgen.faults.outcome import Assumptions, Counts, Outcome
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
from hwgen.faults.rates import Rates
from hwgen.faults.results import Summary, block_counts, summary
from hwgen.faults.safety import DISCLAIMER, METHOD, Assessment, assess
from hwgen.faults.sites import Kind, SiteTable
from hwgen.faults.store import Store
from hwgen.faults.subject import Subject, core_subject, system_subject
from hwgen.faults.targets import ASIL, judge

__all__ = ["MODELS", "Agreement", "Injection", "Request", "inject", "safety", "safety_facts", "subject_of"]

MODELS = {model.name.lower().replace("_", "-"): model for model in Model}
"""Fault models by the names that users give."""

Sampling = Literal["exhaustive", "uniform", "stratified"]
_PILOT = 50  # draws of each stratum
_PARTS = ("pilot", "main")  # folders of a stratified campaign
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
    request : Request
        What was asked for.
    folder : Path
        Of the results.
    population : Population
        Sites and cycles.
    strata : tuple of Stratum
        Of a stratified campaign.
    rows : structured array of :data:`hwgen.faults.campaign.OUTCOME`
        All results.
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
    request: Request
    folder: Path
    population: Population
    strata: tuple[Stratum, ...]
    rows: Faults
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
    tell("fault-free run")
    members = _population(subject, request)
    tell("faults")
    began = time.perf_counter()
    strata: tuple[Stratum, ...] = ()
    parts: list[tuple[Store, bool]] = []
    computed = 0

    def perform_part(where: Path, plan: Plan, precision: Precision | None = None) -> None:
        nonlocal computed
        before: int | None = None

        def advance(done: int, total: int) -> None:
            nonlocal before
            before = done if before is None else before
            if progress:
                progress(done, total)

        store, finished = perform(
            where, subject, plan, manifest(subject, plan, request.settings(), precision=precision), resume=resume,
            processes=processes, cluster=cluster, precision=precision, progress=advance, warn=warn,
        )  # fmt: skip
        computed += max(0, finished.rows - (before or 0))
        parts.append((store, finished.stopped))

    precision = None
    if request.sampling == "exhaustive":
        perform_part(folder, Exhaustive(members))
    else:
        total = request.samples or statistics.sample_size(len(members), request.error, request.confidence)
        total = min(total, len(members))
        if request.sampling == "uniform":
            if request.early:
                precision = Precision(request.error, request.confidence, len(members))
            perform_part(folder, Uniform(members, total, request.seed), precision)
        else:
            if (folder / "manifest.json").exists():
                raise BadInput(f"{folder} holds another campaign; name another folder")
            strata = strata_of(members, request.phases)
            first = tuple(min(_PILOT, len(s.population)) for s in strata)
            perform_part(folder / _PARTS[0], Stratified(strata, first, request.seed))
            pilot = parts[0][0].read()
            shares = [
                (int(np.count_nonzero(pilot["outcome"][pilot["stratum"] == h] != Outcome.MASKED)) + 1)
                / (n + 2)
                for h, n in enumerate(first)
            ]
            sizes = neyman(strata, shares, total, first)
            perform_part(folder / _PARTS[1], Stratified(strata, sizes, request.seed, first))
    seconds = time.perf_counter() - began
    rows = np.concatenate([store.read() for store, _ in parts])
    store, stopped = parts[-1]
    found = summary(
        rows, subject.sites, members.elements, members.cycles, strata=strata, confidence=request.confidence
    )
    if stopped and precision is not None:
        # Whoever stops when the interval is narrow needs a wider one.
        rule = statistics.Sequential(precision.error, precision.confidence, precision.population)
        effects = int(np.count_nonzero(rows["outcome"] != Outcome.MASKED))
        found = replace(found, whole=replace(found.whole, avf=rule.interval(effects, len(rows))))
    agreement = None
    if request.verify:
        tell("hooked Verilog")
        agreement = agree(subject, members, request.verify, request.seed)
    return Injection(
        subject, request, folder, members, strata, rows, found, computed, seconds, stopped, store.digest(), agreement
    )  # fmt: skip


def _population(subject: Subject, request: Request) -> Population:
    """Sites and cycles that a request means."""
    if request.model not in MODELS:
        raise BadInput(f"there is no fault model {request.model!r}; there are {', '.join(MODELS)}")
    model = MODELS[request.model]
    prototype = faults(
        0, 0, model, size=request.size if model is Model.MBU else 1, duration=request.duration, period=request.period,
        on=request.on,
    )  # fmt: skip
    return population(
        subject.sites, subject.lanes.cycles, prototype, where=request.where, classes=request.classes,
        kinds=[Kind(kind) for kind in request.kinds], window=request.window,
    )  # fmt: skip


def safety(
    found: Injection, rates: Rates | None = None, assumptions: Assumptions | None = None, others: Sequence[Path] = ()
) -> Assessment:  # fmt: skip
    """Safety figures of a campaign, and of others on the same design and job.

    Blocks are the outermost instances; of a stratified campaign they are the classes of sites, which are what its
    faults were drawn from.

    Parameters
    ----------
    found : Injection
        The campaign.
    rates : Rates, optional
        Raw rates; without them there is no figure in FIT.
    assumptions : Assumptions, optional
        What cannot be known.
    others : sequence of Path
        Folders of campaigns that add what this one left out, such as permanent faults.

    Raises
    ------
    BadInput
        If another campaign is not finished, is about another design or job, or repeats this one; or if there are raw
        rates, and blocks without a fault.
    """
    parts = [
        (_counts(found.rows, found.subject.sites, found.population, found.strata), found.population.sites)
    ]
    parts += [_recorded(found.subject, folder) for folder in others]
    for counted, sites in parts:
        left = sites - round(sum(row.bits for row in counted))
        if rates is not None and left:
            raise BadInput(
                f"no fault was drawn in blocks with {left} of the {sites} sites, so their FIT is not known; draw "
                "more with --samples"
            )
    rows = [row for counted, _ in parts for row in counted]
    return assess(rows, rates, assumptions, found.request.confidence)


def safety_facts(assessment: Assessment) -> dict[str, Any]:
    """Safety figures for JSON, with all that they rest on."""
    return {
        "disclaimer": DISCLAIMER,
        "confidence": assessment.confidence,
        "method": METHOD,
        "assumptions": list(assessment.assumptions.statements()),
        "raw_rates": list(assessment.sources),
        "refused": list(assessment.refused),
        "totals": {kind: asdict(figures) for kind, figures in assessment.totals.items()},
        "blocks": [asdict(figures) for figures in assessment.blocks],
        "verdicts": {level: [asdict(one) for one in judge(assessment, level)] for level in ASIL}
        if assessment.sources
        else {},
    }


def _counts(rows: Faults, table: SiteTable, members: Population, strata: tuple[Stratum, ...]) -> list[Counts]:
    """Counts of a campaign, for its safety figures."""
    if not strata:
        return block_counts(rows, table, members.elements, members.cycles)
    (whole,) = block_counts(rows[:1], table, members.elements, members.cycles)
    found = []
    for h, stratum in enumerate(strata):
        outcomes = rows["outcome"][rows["stratum"] == h]
        p = stratum.population
        found.append(
            Counts(
                block=stratum.key[0], element=p.elements[0].kind.value, kind=whole.kind,
                bits=p.sites * p.cycles / members.cycles, samples=len(outcomes), population=len(p),
                counts={one: n for one in Outcome if (n := int(np.count_nonzero(outcomes == one)))},
                stratum=stratum.name,
            )
        )  # fmt: skip
    return found


def _recorded(subject: Subject, folder: Path) -> tuple[list[Counts], int]:
    """Counts of a campaign that is in a folder, and its sites."""
    stratified = (folder / _PARTS[1]).is_dir()
    stores = [Store.open(folder / part) for part in _PARTS] if stratified else [Store.open(folder)]
    for store in stores:
        if store.finished is None:
            raise BadInput(f"{folder} is not finished; go on with it first, with --resume")
        if (store.manifest.netlist, store.manifest.stimulus) != (subject.netlist.digest, subject.digest):
            raise BadInput(f"{folder} is about another design or job; name a campaign on {subject.name}")
    kept = {
        name: stores[0].manifest.settings[name] for name in Request.__dataclass_fields__ if name != "verify"
    }
    asked: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in kept.items()}
    request = Request(**asked)
    members = _population(subject, request)
    rows = np.concatenate([store.read() for store in stores])
    strata = strata_of(members, request.phases) if stratified else ()
    return _counts(rows, subject.sites, members, strata), members.sites


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
