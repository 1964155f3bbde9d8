"""``hwgen protect``: from a campaign on a design without protection to the cheapest one that meets a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwgen.commands.design import Design, design, to_toml
from hwgen.commands.inject import MODELS, Injection, Request, inject, job_of, subject_of
from hwgen.commands.targets import parse_settings
from hwgen.errors import BadInput
from hwgen.faults.models import Faults, Model, faults
from hwgen.faults.outcome import Assumptions
from hwgen.faults.protection.blocks import MOST, Blocks, cut
from hwgen.faults.protection.candidates import SCHEMES, Effects, Lab, gemm_paths, scheme_words
from hwgen.faults.protection.measure import Guarded, area, guard
from hwgen.faults.protection.options import Measured, options
from hwgen.faults.protection.plan import Choice
from hwgen.faults.rates import Rates
from hwgen.faults.results import block_counts, share_of, together
from hwgen.faults.safety import Assessment, assess
from hwgen.faults.selection import BIT_WEIGHTS, Block, Front, Selection, choose, pareto
from hwgen.faults.sites import Kind
from hwgen.faults.store import Store
from hwgen.faults.subject import Subject
from hwgen.faults.targets import Target, Verdict, confirm, parse_target
from hwgen.files import output_folder, write_if_changed
from hwgen.synthesis import Cells

__all__ = ["Campaign", "Confirmation", "Protection", "protect", "read_campaign"]

_MODELS = (Model.SEU, Model.STUCK_AT_0, Model.STUCK_AT_1)
_WHOLE = "design"


@dataclass(frozen=True)
class Campaign:
    """A finished campaign on a design without protection.

    Parameters
    ----------
    folder : Path
        Of its results.
    request : Request
        What was asked for.
    rows : Faults
        Its results.
    digest : str
        Of these.
    netlist, stimulus : str
        Digests of the design and of the job.
    """

    folder: Path
    request: Request
    rows: Faults
    digest: str
    netlist: str
    stimulus: str

    @property
    def model(self) -> Model:
        """Of its faults."""
        return MODELS[self.request.model]

    def strike(self, sites: Any, cycles: Any) -> Faults:
        """Faults of the same model."""
        r = self.request
        return faults(sites, cycles, self.model, duration=r.duration, period=r.period, on=r.on)


@dataclass(frozen=True)
class Confirmation:
    """A new campaign on the protected design.

    Parameters
    ----------
    campaigns : tuple of Injection
        For each campaign without protection one with.
    assessment : Assessment
        Their figures.
    verdicts : tuple of Verdict
        Against the target.
    """

    campaigns: tuple[Injection, ...]
    assessment: Assessment
    verdicts: tuple[Verdict, ...]

    @property
    def met(self) -> bool:
        """Whether all that the target asks is confirmed."""
        return all(verdict.met for verdict in self.verdicts)


@dataclass(frozen=True)
class Protection:
    """A protected design, and how it was chosen.

    Parameters
    ----------
    design : Design
        With its plan.
    name : str
        What the user called the design and its job.
    target : Target
        What it has to meet.
    rates : Rates
        Raw rates, or weights that stand for them.
    blocks : tuple of Block
        Blocks with their options.
    effects : mapping of str to tuple of Effects
        By scheme: what it did against the faults of each campaign.
    selection : Selection
        What was chosen, and predicted of it.
    front : Front
        Least area for every residual rate.
    before, after : Cells
        Of the whole design, without and with.
    guarded : Guarded
        Both designs.
    config : Path
        The configuration that was written.
    confidence : float
        Of all bounds.
    confirmation : Confirmation, optional
        A new campaign.
    """

    design: Design
    name: str
    target: Target
    rates: Rates
    blocks: tuple[Block, ...]
    effects: Mapping[str, tuple[Effects, ...]]
    selection: Selection
    front: Front
    before: Cells
    after: Cells
    guarded: Guarded
    config: Path
    confidence: float
    confirmation: Confirmation | None = None

    @property
    def cells_before(self) -> int:
        """LUTs and flip-flops without protection."""
        return self.before.lut + self.before.ff

    @property
    def overhead(self) -> float:
        """Measured: LUTs and flip-flops of the whole, share that was added."""
        return (self.after.lut + self.after.ff) / self.cells_before - 1

    @property
    def predicted(self) -> float:
        """The same, as the sum of what blocks cost alone."""
        return self.selection.area / self.cells_before

    @property
    def has_rates(self) -> bool:
        """Whether figures are in FIT."""
        return self.rates is not BIT_WEIGHTS

    def points(self, most: int = 12) -> list[Selection]:
        """Points of the front, at most so many, first and last among them."""
        count = len(self.front.area)
        picked = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))
        return [self.front.selection(int(i)) for i in picked]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        confirmed = None
        if (c := self.confirmation) is not None:
            confirmed = {
                "met": c.met,
                "verdicts": [asdict(v) for v in c.verdicts],
                "folders": [str(one.folder) for one in c.campaigns],
                "campaigns": [one.to_dict() for one in c.campaigns],
            }
        return {
            "target": self.name,
            "goal": self.target.name,
            "note": self.target.note,
            "confidence": self.confidence,
            "raw_rates": list(self.rates.sources()) if self.has_rates else [],
            "config": str(self.config),
            "plan": self.design.plan.to_dict(),
            "least": self.selection.least,
            "area": {
                "before": {"lut": self.before.lut, "ff": self.before.ff, "bram36": self.before.bram36},
                "after": {"lut": self.after.lut, "ff": self.after.ff, "bram36": self.after.bram36},
                "overhead": self.overhead,
                "predicted_overhead": self.predicted,
            },
            "predicted": asdict(self.selection),
            "front": [
                {"area": a, "residual": r} for a, r in zip(self.front.area, self.front.residual_fit, strict=True)
            ],
            "blocks": [asdict(block) for block in self.blocks],
            "schemes": {
                name: [
                    {
                        "cycles": e.cycles, "harmless": e.harmless, "new_harm": e.new_harm, "alarms": e.alarms,
                        "notes": list(e.notes),
                        "parts": [{"block": b, "element": k, **asdict(p)} for (b, k), p in e.parts.items()],
                    }
                    for e in several
                ]
                for name, several in self.effects.items()
            },
            "confirmation": confirmed,
        }  # fmt: skip


def read_campaign(folder: Path) -> Campaign:
    """A campaign from which protection can be chosen.

    Raises
    ------
    BadInput
        If it is none, not finished, stratified, of a protected design, or leaves sites, cycles or its job out.
    """
    if not (folder / "manifest.json").exists() and (folder / "main" / "manifest.json").exists():
        raise BadInput(
            f"{folder} was not drawn uniformly and says little of blocks; leave out --stratified and --importance"
        )
    store = Store.open(folder)
    if store.finished is None:
        raise BadInput(f"{folder} is not finished; go on with it first, with hwgen inject --resume")
    settings = store.manifest.settings
    if not settings.get("job"):
        raise BadInput(f"{folder} does not say what design it struck; run it again with hwgen inject")
    kept = {name: settings[name] for name in Request.__dataclass_fields__ if name in settings}
    asked: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in kept.items()}
    request = Request(**asked)
    if request.where or request.classes or request.window or request.triggers:
        raise BadInput(
            f"{folder} left sites or cycles out, so metrics of the whole are not known; run it without --sites, "
            "--classes, --window and --trigger"
        )
    if request.sampling == "stratified" or MODELS[request.model] not in _MODELS:
        names = ", ".join(name for name, model in MODELS.items() if model in _MODELS)
        raise BadInput(
            f"{folder} is of {request.model} faults; protection is chosen from uniform ones of {names}"
        )
    if "protect" in request.job:
        raise BadInput(
            f"{folder} struck a protected design; give a campaign on the design without protection"
        )
    return Campaign(
        folder, request, store.read(), store.digest(), store.manifest.netlist, store.manifest.stimulus
    )  # fmt: skip


def _subject(campaign: Campaign) -> tuple[Design, Subject]:
    """The design and the job of a campaign, built again."""
    job = campaign.request.job
    settings = parse_settings(job["settings"])
    found = design(job["target"], settings)
    if not found.plan.empty:
        raise BadInput(
            f"{campaign.folder} struck a protected design; give a campaign on the design without protection"
        )
    subject = subject_of(
        job["target"], settings, job["workload"], seed=job["seed"], regime=job["regime"],
        program=_file(job, "program"), memory=_file(job, "memory"),
    )  # fmt: skip
    if (subject.netlist.digest, subject.digest) != (campaign.netlist, campaign.stimulus):
        raise BadInput(
            f"{campaign.folder} is about another design or job than {subject.name} is now; run the campaign again"
        )
    return found, subject


def _file(job: Mapping[str, Any], name: str) -> Path | None:
    return Path(job[name]) if name in job else None


def protect(
    folder: Path, goal: str, output: Path, *, others: Sequence[Path] = (), rates: Rates | None = None,
    assumptions: Assumptions | None = None, schemes: Sequence[str] = SCHEMES, most_blocks: int = MOST,
    area_limit: float | None = None, confidence: float = 0.95, confirmed: bool = True, samples: int | None = None,
    processes: int = 1, seed: int = 0, tell: Callable[[str], None] = lambda text: None,
) -> Protection:  # fmt: skip
    """Choose protection, write the protected configuration, and confirm it by a new campaign.

    Parameters
    ----------
    folder : Path
        Of a campaign on the design without protection.
    goal : str
        See :func:`hwgen.faults.targets.parse_target`.
    output : Path
        Folder for ``protected.toml`` and the new campaigns.
    others : sequence of Path
        Campaigns of other faults on the same design and job, such as those of memories.
    rates : Rates, optional
        Raw rates; without them all bits count alike.
    assumptions : Assumptions, optional
        What violates the safety goal, lifetime, share of the budget.
    schemes : sequence of str
        Which are tried; words of one joined by ``+``.
    most_blocks : int
        Blocks that the design is cut into, at most.
    area_limit : float, optional
        Most area that may be added; a share of the LUTs and flip-flops.
    confidence : float
        With which all bounds hold together.
    confirmed : bool
        Whether a new campaign is run.
    samples : int, optional
        Faults of each new campaign; as many as in the old one if absent.
    processes : int
        Of new campaigns.
    seed : int
        Of draws.
    tell : callable
        Is told what goes on.

    Raises
    ------
    BadInput
        If campaigns do not fit, the target cannot be met, or needs more area than is allowed.
    """
    given = Assumptions() if assumptions is None else assumptions
    for scheme in schemes:
        Choice.of(scheme_words(scheme))
    target = parse_target(goal, given, rates_given=rates is not None)
    weights = BIT_WEIGHTS if rates is None else rates
    output_folder(output)
    campaigns = [read_campaign(one) for one in (folder, *others)]
    tell("design and job")
    found, subject = _subject(campaigns[0])
    for one in campaigns[1:]:
        if (one.netlist, one.stimulus) != (campaigns[0].netlist, campaigns[0].stimulus):
            raise BadInput(f"{one.folder} is about another design or job than {folder}; name one on the same")
    summed = [scheme for scheme in schemes if Choice.of(scheme_words(scheme)).abft]
    cores = gemm_paths(subject) if summed else ()
    if summed and () in (cores or ((),)):
        raise BadInput(
            f"{summed[0]} is for a GEMM core inside of an accelerator, and {subject.name} has none; leave it out"
        )
    blocks = cut(subject.sites, most_blocks, cores)
    measured, areas, effects = _measure(campaigns, subject, blocks, given, schemes, seed, tell)
    made = options(
        blocks.names,
        measured,
        areas,
        weights,
        given,
        confidence,
        {scheme: [blocks.of(p) for p in cores] for scheme in summed},
    )
    tell("choosing")
    selection = choose(made, target)
    plain = area(subject.sources[0], subject.top)
    if area_limit is not None and selection.area > area_limit * (plain.lut + plain.ff):
        raise BadInput(
            f"target {goal} needs {100 * selection.area / (plain.lut + plain.ff):.1f} % more LUTs and flip-flops, and "
            f"--area-limit allows {100 * area_limit:g} %; allow more, or lower the target"
        )
    plan = blocks.plan({n: scheme_words(scheme) for n, scheme in selection.choice.items()})
    protected = replace(found, plan=plan)
    tell("the protected design")
    guarded = guard(subject, plan)
    config = output / "protected.toml"
    write_if_changed(config, to_toml(protected, f"{campaigns[0].request.job['target']} protected for {goal}"))
    tell("its area")
    result = Protection(
        protected, subject.name, target, weights, tuple(made), effects, selection, pareto(made), plain,
        area(guarded.after.sources[0], subject.top), guarded, config, confidence,
    )  # fmt: skip
    if not confirmed:
        return result
    new = _confirm(
        campaigns, guarded.after, config, target, weights, given, confidence, samples, processes, tell
    )
    return replace(result, confirmation=new)


def _measure(
    campaigns: Sequence[Campaign], subject: Subject, blocks: Blocks, given: Assumptions, schemes: Sequence[str],
    seed: int, tell: Callable[[str], None],
) -> tuple[list[Measured], dict[tuple[str, str], int], dict[str, tuple[Effects, ...]]]:  # fmt: skip
    """What campaigns say of blocks, and what schemes do."""
    counted = []
    for campaign in campaigns:
        kinds = {Kind(kind) for kind in campaign.request.kinds}
        elements = [e for e in subject.sites if e.kind in kinds]
        rows = block_counts(
            campaign.rows, subject.sites, elements, subject.lanes.cycles, block=lambda e: blocks.of(e.path)
        )
        left = sum(e.sites for e in elements) - round(sum(row.bits for row in rows))
        if left:
            raise BadInput(
                f"{campaign.folder} has no fault in blocks with {left} sites; draw more with --samples, or cut the "
                "design into fewer blocks with --blocks"
            )
        counted.append((campaign.model, rows))
    measured = []
    lab: Lab | None = None
    for campaign, rows in zip(campaigns, together(counted), strict=True):
        lab = Lab(
            subject,
            blocks,
            campaign.rows,
            campaign.strike,
            given.violations,
            campaign.digest,
            seed=seed,
            like=lab,
        )
        found = []
        for scheme in schemes:
            tell(f"{scheme}: {campaign.request.model} faults of {' and '.join(campaign.request.kinds)}")
            found.append(lab.effects(scheme))
        share = share_of(campaign.model, [model for model, _ in counted])
        measured.append(Measured(tuple(rows), tuple(found), share))
    assert lab is not None
    areas = lab.areas(schemes, tell)
    effects = {s: tuple(e for one in measured for e in one.effects if e.scheme == s) for s in schemes}
    return measured, areas, effects


def _confirm(
    campaigns: Sequence[Campaign], subject: Subject, config: Path, target: Target, rates: Rates, given: Assumptions,
    confidence: float, samples: int | None, processes: int, tell: Callable[[str], None],
) -> Confirmation:  # fmt: skip
    """A new campaign on the protected design for each that there was on the plain one."""
    made, parts = [], []
    for number, campaign in enumerate(campaigns):
        job = campaign.request.job
        again = job_of(
            str(config), (), job["workload"], job["seed"], job["regime"],
 _file(job, "program"), _file(job, "memory"), None,
        )  # fmt: skip
        request = replace(
            campaign.request, sampling="uniform", samples=samples or len(campaign.rows), early=False, verify=0,
            seed=campaign.request.seed + 1, job=again,
        )  # fmt: skip
        tell(f"new campaign: {request.samples:,} {request.model} faults")
        # Another choice in the same folder is another campaign.
        where = config.parent / f"confirm_{subject.netlist.digest[:8]}_{number}"
        found = inject(subject, where, request, resume=where.exists(), processes=processes)
        made.append(found)
        # One uniform draw over the whole design is one row: nothing is lost by bounding blocks apart.
        counted = block_counts(
            found.rows, subject.sites, found.population.elements, found.population.cycles,
            mechanisms=subject.mechanisms if campaign.model is not Model.SEU else frozenset(), block=lambda e: _WHOLE,
        )  # fmt: skip
        parts.append((campaign.model, counted))
    rows = [row for counted in together(parts) for row in counted]
    assessment = assess(rows, rates, given, confidence)
    return Confirmation(tuple(made), assessment, confirm(assessment, target))
