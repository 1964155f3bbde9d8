"""What protection costs and what it finds: area by Yosys, coverage and latency by the lane engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput, Misbehaviour
from hwgen.faults.engine.engine import NEVER
from hwgen.faults.models import faults
from hwgen.faults.protection.plan import REST, TOP, Plan
from hwgen.faults.protection.transform import Protected, SiteMap, protected
from hwgen.faults.sites import Kind, SiteTable
from hwgen.faults.subject import Subject
from hwgen.synthesis import Cells, yosys_stat

__all__ = ["Coverage", "Guarded", "area", "block_sites", "coverage", "guard"]

_FLAGS = "-flatten -noiopad"


@dataclass(frozen=True, eq=False)
class Guarded:
    """A protected subject beside the one that it was made from.

    Parameters
    ----------
    before, after : Subject
        Without and with protection; they do the same job.
    protected : Protected
        The protected design.
    sites : SiteMap
        Where the sites of the first are in the second.
    """

    before: Subject
    after: Subject
    protected: Protected
    sites: SiteMap

    @property
    def added_flip_flops(self) -> int:
        """Bits of registers that protection added."""
        return self.after.sites.flip_flops - self.before.sites.flip_flops

    @property
    def added_memory_bits(self) -> int:
        """Bits of memories that protection added."""
        return self.after.sites.memory_bits - self.before.sites.memory_bits


@dataclass(frozen=True)
class Coverage:
    """What came of single-event upsets.

    Parameters
    ----------
    injected : int
        Upsets of original bits.
    harmful : int
        Of these, how many change what the design gives, or hang it, without protection.
    detected : int
        Harmful ones after which ``fault_detected`` was set.
    corrected : int
        Harmful ones after which the protected design gave what it should.
    escaped : int
        Harmful ones that are neither: the protected design was wrong and said nothing.
    alarms : int
        Harmless ones that were reported.
    latency : tuple of int
        Cycles from the upset to the report: least, median, 99 %, most; empty if there was none.
    added : int
        Upsets of bits that protection added.
    added_alarms, added_harmful : int
        Of these, how many were reported, and how many made the design wrong without a report.
    """

    injected: int
    harmful: int
    detected: int
    corrected: int
    escaped: int
    alarms: int
    latency: tuple[int, ...]
    added: int
    added_alarms: int
    added_harmful: int

    @property
    def diagnostic(self) -> float:
        """Share of harmful upsets that were detected or corrected; 1 if there was none."""
        return 1 - self.escaped / self.harmful if self.harmful else 1.0


def guard(subject: Subject, plan: Plan, *, vendor: bool = False) -> Guarded:
    """A subject with protection, checked: without a fault all outputs are the same in all cycles, and none reports one.

    Parameters
    ----------
    subject : Subject
        A design with a job.
    plan : Plan
        What to protect.
    vendor : bool
        As for :func:`hwgen.faults.protection.transform.protected`.

    Raises
    ------
    BadInput
        If the plan does not fit the design.
    Misbehaviour
        If the protected design behaves differently, or reports a fault.
    """
    made = protected(subject.sources, subject.top, plan, vendor=vendor)
    models = () if vendor and not plan.empty else subject.verilog[1:]
    after = replace(subject, verilog=((subject.verilog[0][0], made.verilog), *models))
    one, two = subject.lanes, after.lanes
    if one.cycles != two.cycles:
        raise Misbehaviour(
            f"with protection {subject.name} takes {two.cycles} cycles instead of {one.cycles}"
        )
    for name, values in subject.program.outputs.items():
        pairs = list(zip(values, after.program.outputs[name], strict=True))
        for cycle in range(one.cycles):
            if any(one.value(cycle, a) != two.value(cycle, b) for a, b in pairs):
                raise Misbehaviour(f"with protection {subject.name} gives another {name} in cycle {cycle}")
    if two.fault_free["flag"] != one.fault_free["flag"] or two.fault_free["mended"]:
        raise Misbehaviour(f"protected {subject.name} reports a fault where there is none")
    # Which registers were added is known only now that its sites are; nothing that was built depends on it.
    vars(after)["mechanisms"] = frozenset(e.label for e in after.sites if made.is_added(e))
    return Guarded(subject, after, made, made.sites(subject.sites, after.sites))


def area(sources: Path | Sequence[Path], top: str, *, family: str = "xcup", dsp: bool = True) -> Cells:
    """Cells of a design, flattened but for copies: these keep their borders, and are counted with what is in them.

    Parameters
    ----------
    sources : Path or sequence of Path
        Without models of vendor cells.
    top : str
        Top module.
    family : str
        As for :func:`hwgen.synthesis.synthesise`.
    dsp : bool
        Whether products may go into DSP blocks.
    """
    modules = yosys_stat(sources, top, family, _FLAGS if dsp else f"{_FLAGS} -nodsp")["modules"]
    found: Counter[str] = Counter()

    def add(name: str, times: int) -> None:
        for kind, number in modules[name]["num_cells_by_type"].items():
            if kind in modules:
                add(kind, times * number)
            elif not kind.startswith("$"):
                found[kind] += times * number

    add(top, 1)
    return Cells(dict(found))


def block_sites(table: SiteTable, block: str, kind: Kind | None = None) -> npt.NDArray[np.int64]:
    """Sites of a block, as a plan names it.

    Raises
    ------
    BadInput
        If there is none.
    """
    path = tuple(block.split("."))
    found = [
        np.arange(e.first, e.first + e.sites)
        for e in table
        if (block == REST or (not e.path if block == TOP else e.path[: len(path)] == path))
        and kind in (None, e.kind)
    ]
    if not found:
        raise BadInput(f"block {block!r} has no {kind or 'site'}s; see `hwgen sites`")
    return np.concatenate(found)


def coverage(
    guarded: Guarded, sites: npt.ArrayLike, count: int, seed: int = 0, *, added: int | None = None
) -> Coverage:
    """Strike original bits and bits that protection added, each in a random cycle.

    Parameters
    ----------
    guarded : Guarded
        From :func:`guard`.
    sites : array_like of int
        Sites of the design without protection, of which some are drawn.
    count, seed : int
        How many, at least 1, and by which random numbers.
    added : int, optional
        Upsets of added flip-flops; as many as of original ones if absent.

    Raises
    ------
    BadInput
        If there is nothing to draw.
    """
    pool = np.asarray(sites, np.int64)
    if not pool.size or count < 1:
        raise BadInput(f"{count} upsets of {pool.size} sites cannot be drawn; give at least one of each")
    draw = np.random.default_rng(seed)
    # In the last cycles of a run a report would come too late to be seen.
    last = max(1, guarded.before.lanes.cycles - 8)
    where, when = draw.choice(pool, count), draw.integers(0, last, count)
    plain, _ = guarded.before.lanes.inject(faults(where, when))
    safe, _ = guarded.after.lanes.inject(faults(guarded.sites.original[where], when))
    # Digests of accelerators depend on how many memories there are: each engine has its own.
    harmful = (plain["digest"] != guarded.before.lanes.fault_free["digest"]) | (plain["status"] != 0)
    golden = guarded.after.lanes.fault_free["digest"]
    wrong = (safe["digest"] != golden) | (safe["status"] != 0)
    known = safe["flag"] != NEVER
    took = safe["flag"][known].astype(np.int64) - when[known]
    latency = np.percentile(took, [0, 50, 99, 100], method="higher") if took.size else np.zeros(0)
    mechanism = guarded.sites.added[guarded.sites.added < guarded.after.sites.flip_flops]
    number = (count if added is None else added) if mechanism.size else 0
    alarms = hidden = 0
    if number:
        extra, _ = guarded.after.lanes.inject(
            faults(draw.choice(mechanism, number), draw.integers(0, last, number))
        )
        loud = extra["flag"] != NEVER
        bad = (extra["digest"] != golden) | (extra["status"] != 0)
        alarms, hidden = int(loud.sum()), int((bad & ~loud).sum())
    return Coverage(
        injected=count,
        harmful=int(harmful.sum()),
        detected=int((harmful & known).sum()),
        corrected=int((harmful & ~wrong).sum()),
        escaped=int((wrong & ~known).sum()),
        alarms=int((known & ~harmful).sum()),
        latency=tuple(map(int, latency)),
        added=number,
        added_alarms=alarms,
        added_harmful=hidden,
    )
