"""``hwgen inject``: a fault campaign on a core or an accelerator, with a check against the hooked Verilog."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

import sim.native as sim_native
from hwgen.commands.design import Design, design
from hwgen.commands.jobs import network_job, numbers, program_job
from hwgen.commands.run_core import layers_of
from hwgen.errors import BadInput
from hwgen.faults import statistics
from hwgen.faults.campaign import OUTCOME, Precision, Work, manifest, perform
from hwgen.faults.importance import Importance, proposal
from hwgen.faults.models import Faults, Model, faults
from hwgen.faults.outcome import Assumptions, Counts, Outcome
from hwgen.faults.phases import Phases, phases_of
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
from hwgen.faults.protection.measure import guard
from hwgen.faults.rates import Rates
from hwgen.faults.results import Summary, block_counts, summary, together
from hwgen.faults.safety import DISCLAIMER, METHOD, Assessment, assess
from hwgen.faults.sites import Kind
from hwgen.faults.store import Store
from hwgen.faults.subject import Subject, core_subject, system_subject
from hwgen.faults.targets import ASIL, judge
from hwgen.faults.transients import GateSubject
from hwgen.faults.trojans import Waking, parse_trigger, payload, waking

__all__ = [
    "MODELS",
    "Agreement",
    "Injection",
    "Request",
    "inject",
    "job_of",
    "safety",
    "safety_facts",
    "subject_of",
]

MODELS = {model.name.lower().replace("_", "-"): model for model in Model}
"""Fault models by the names that users give."""

Sampling = Literal["exhaustive", "uniform", "stratified", "importance"]
_PILOT = 50  # draws of each stratum
_PARTS = ("pilot", "main")  # folders of a campaign with a pilot
_COMPARED = ("digest", "end", "wrong", "flag", "status", "mended")


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
        ``exhaustive``, ``uniform``, ``stratified`` or ``importance``.
    samples : int, optional
        Faults; what the error needs if absent.
    error, confidence : float
        Half the width of the interval that is wanted, and its confidence.
    early : bool
        Stop as soon as the interval is narrow enough.
    phases : int
        Of a stratified campaign.
    sought : str
        Outcome that importance sampling looks for.
    seed : int
        Of draws, operands and weights.
    verify : int
        So many of the faults are simulated on the hooked Verilog, too.
    value : int, optional
        What an override loads.
    triggers : sequence of str
        Of a trojan: all faults begin after the cycle in which these match, see :mod:`hwgen.faults.trojans`.
    count : int
        For the how manieth time they do.
    job : mapping
        Arguments of :func:`subject_of`, so that others can do the same job.
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
    sought: str = "sdc"
    seed: int = 0
    verify: int = 0
    value: int | None = None
    triggers: Sequence[str] = ()
    count: int = 1
    job: Mapping[str, Any] = field(default_factory=dict)

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
    plan : Importance, optional
        Of a campaign with importance sampling.
    pilot : structured array, optional
        Results of its pilot, which was drawn uniformly.
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
    plan: Importance | None = None
    pilot: Faults | None = None

    @property
    def rate(self) -> float:
        """Faults per second."""
        return self.computed / self.seconds if self.computed else 0.0

    @property
    def phases(self) -> Phases:
        """Parts of the window, see :func:`hwgen.faults.phases.phases_of`."""
        return phases_of(self.subject.phases, self.population.first, self.population.cycles)

    @property
    def waking(self) -> Waking | None:
        """When the trojan wakes up, if there is one."""
        return waking_of(self.subject, self.request)

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
        found["spans"] = {name: list(span) for name, span in self.phases.items()}
        if (woken := self.waking) is not None:
            found["trigger"] = {
                "watched": list(self.request.triggers), "matches": len(woken.matches), "count": woken.count,
                "first_cycle": woken.first,
            }  # fmt: skip
        if self.agreement is not None:
            found["baseline_rate_per_second"] = self.agreement.rate
            found["verified"] = self.agreement.faults
            found["mismatches"] = self.agreement.mismatches
            found["first_mismatch"] = self.agreement.first
        return found


def subject_of(
    target: str, settings: dict[str, str], workload: str, *, seed: int = 0, program: Path | None = None,
    memory: Path | None = None, regime: str = "free", protect: Path | None = None,
) -> Subject:  # fmt: skip
    """What a user calls a design and its work; a protected design was compared with the same one without.

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
    protect : Path, optional
        A plan of what to protect, in place of the configuration's own.

    Raises
    ------
    BadInput
        If there is no such thing.
    Misbehaviour
        If with protection it does not do the same.
    """
    found = design(target, settings, protect)
    plain = _plain(found, target, workload, seed, program, memory, regime)
    return plain if found.plan.empty else guard(plain, found.plan).after


def job_of(
    target: str, settings: Sequence[str], workload: str | None, seed: int, regime: str, program: Path | None,
    memory: Path | None, protect: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """What was struck and what it did, as a user said it; for the manifest, in plain values."""
    paths = {"program": program, "memory": memory, "protect": protect}
    return {
        "target": target, "settings": list(settings), "workload": workload or "", "seed": seed, "regime": regime,
        **{name: str(path) for name, path in paths.items() if path is not None},
    }  # fmt: skip


def _plain(
    found: Design,
    target: str,
    workload: str,
    seed: int,
    program: Path | None,
    memory: Path | None,
    regime: str,
) -> Subject:
    """A design without protection, and its work."""
    if found.core is not None:
        core, config = found.core, found.config
        if program is not None or memory is not None:
            raise BadInput(f"{target} is a core and runs no programs; leave out --program and --memory")
        _, layers, _ = layers_of(core, config, workload, seed)
        operations = [op for _, _, own in layers for op in own]
        return core_subject(core.name, config, operations, regime=regime, seed=seed)
    accelerator = found.system
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
    work: Work | None = None,
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
    work : Work, optional
        What is done with each fault, if it is more than to classify it.

    Raises
    ------
    BadInput
        If the request cannot be met.
    """
    if MODELS.get(request.model) is Model.SET:
        tell("gates")
        subject = GateSubject.of(subject)
    tell("fault-free run")
    members = _population(subject, request)
    tell("faults")
    began = time.perf_counter()
    strata: tuple[Stratum, ...] = ()
    weighted: Importance | None = None
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

        outcome = OUTCOME if work is None else work.outcome
        described = manifest(subject, plan, request.settings(), precision=precision, outcome=outcome)
        store, finished = perform(
            where, subject, plan, described, resume=resume, processes=processes, cluster=cluster, precision=precision,
            progress=advance, warn=warn, work=work,
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
        elif (folder / "manifest.json").exists():
            raise BadInput(f"{folder} holds another campaign; name another folder")
        elif request.sampling == "importance":
            perform_part(folder / _PARTS[0], Uniform(members, pilot_size(total), request.seed))
            pilot = parts[0][0].read()
            shares = proposal(members, pilot, pilot["outcome"] == Outcome[request.sought.upper()])
            weighted = Importance(members, shares, total, request.seed)
            perform_part(folder / _PARTS[1], weighted)
        else:
            strata = strata_of(members, request.phases)
            first = tuple(min(_PILOT, len(s.population)) for s in strata)
            perform_part(folder / _PARTS[0], Stratified(strata, first, request.seed))
            pilot = parts[0][0].read()
            seen = [
                (int(np.count_nonzero(pilot["outcome"][pilot["stratum"] == h] != Outcome.MASKED)) + 1)
                / (n + 2)
                for h, n in enumerate(first)
            ]
            sizes = neyman(strata, seen, total, first)
            perform_part(folder / _PARTS[1], Stratified(strata, sizes, request.seed, first))
    seconds = time.perf_counter() - began
    # A uniform pilot only says where to look; one of strata is a part of the sample.
    rows = np.concatenate([store.read() for store, _ in (parts[1:] if weighted else parts)])
    store, stopped = parts[-1]
    found = summary(
        rows, subject.sites, members.elements, members.cycles, strata=strata, confidence=request.confidence,
        phases=phases_of(subject.phases, members.first, members.cycles), plan=weighted,
    )  # fmt: skip
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
        subject, request, folder, members, strata, rows, found, computed, seconds, stopped, store.digest(), agreement,
        weighted, parts[0][0].read() if weighted else None,
    )  # fmt: skip


def pilot_size(total: int) -> int:
    """Draws of a uniform pilot before so many by importance."""
    return min(total, max(500, total // 5))


def _population(subject: Subject, request: Request) -> Population:
    """Sites and cycles that a request means."""
    if request.model not in MODELS:
        raise BadInput(f"there is no fault model {request.model!r}; there are {', '.join(MODELS)}")
    model = MODELS[request.model]
    where, value = payload(subject.sites, model, request.where, request.value)
    prototype = faults(
        0, 0, model, size=request.size if model is Model.MBU else 1, duration=request.duration, period=request.period,
        on=request.on, value=value,
    )  # fmt: skip
    window = request.window
    if (woken := waking_of(subject, request)) is not None:
        window = woken.first, woken.first + 1
    return population(
        subject.sites, subject.lanes.cycles, prototype, where=where, classes=request.classes,
        kinds=[Kind.GATE] if model is Model.SET else [Kind(kind) for kind in request.kinds], window=window,
    )  # fmt: skip


def waking_of(subject: Subject, request: Request) -> Waking | None:
    """When the trojan wakes up that was asked for.

    Raises
    ------
    BadInput
        If a trigger is none, never matches, or cycles are given too.
    """
    if not request.triggers:
        return None
    if request.window is not None or request.sampling in ("stratified", "importance"):
        raise BadInput("--trigger says when faults begin; leave out --window, --stratified and --importance")
    return waking(subject.lanes, [parse_trigger(text) for text in request.triggers], request.count)


def safety(
    found: Injection, rates: Rates | None = None, assumptions: Assumptions | None = None, others: Sequence[Path] = ()
) -> Assessment:  # fmt: skip
    """Safety figures of a campaign, and of others on the same design and job.

    Blocks are the outermost instances; of a stratified campaign they are the classes of sites, which are what its
    faults were drawn from. Of one with importance sampling only the pilot counts, which was drawn uniformly.

    Parameters
    ----------
    found : Injection
        The campaign.
    rates : Rates, optional
        Raw rates; without them there is no figure in FIT.
    assumptions : Assumptions, optional
        What cannot be known.
    others : sequence of Path
        Folders of campaigns that add what this one left out, such as permanent faults. Bits stuck at 0 and at 1
        are half of the permanent faults each.

    Raises
    ------
    BadInput
        If another campaign is not finished, is about another design or job, or repeats this one; or if there are raw
        rates, and blocks without a fault.
    """
    rows_of = found.rows if found.pilot is None else found.pilot
    mine = _counts(rows_of, found.subject, found.population, found.strata)
    parts = [(MODELS[found.request.model], mine, found.population.sites)]
    parts += [_recorded(found.subject, folder) for folder in others]
    for _, counted, sites in parts:
        left = sites - round(sum(row.bits for row in counted))
        if rates is not None and left:
            raise BadInput(
                f"no fault was drawn in blocks with {left} of the {sites} sites, so their FIT is not known; draw "
                "more with --samples"
            )
    rows = [row for counted in together([(model, rows) for model, rows, _ in parts]) for row in counted]
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


def _counts(rows: Faults, subject: Subject, members: Population, strata: tuple[Stratum, ...]) -> list[Counts]:
    """Counts of a campaign, for its safety figures."""
    table = subject.sites
    if not strata:
        return block_counts(rows, table, members.elements, members.cycles, mechanisms=subject.mechanisms)
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


def _recorded(subject: Subject, folder: Path) -> tuple[Model, list[Counts], int]:
    """Model and counts of a campaign that is in a folder, and its sites."""
    parts = _PARTS if (folder / _PARTS[1]).is_dir() else ("",)
    stores = [Store.open(folder / part) for part in parts]
    for store in stores:
        if store.finished is None:
            raise BadInput(f"{folder} is not finished; go on with it first, with --resume")
        if (store.manifest.netlist, store.manifest.stimulus) != (subject.netlist.digest, subject.digest):
            raise BadInput(f"{folder} is about another design or job; name a campaign on {subject.name}")
    settings = stores[0].manifest.settings
    kept = {name: settings[name] for name in Request.__dataclass_fields__ if name in settings}
    asked: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in kept.items()}
    request = Request(**asked)
    members = _population(subject, request)
    pilot = request.sampling == "importance"
    rows = np.concatenate([store.read() for store in stores[: 1 if pilot else None]])
    strata = strata_of(members, request.phases) if request.sampling == "stratified" else ()
    return MODELS[request.model], _counts(rows, subject, members, strata), members.sites


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
