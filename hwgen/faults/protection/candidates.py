"""What each scheme does in each block: measured once for a scheme in the whole design, block by block.

A mechanism sees only what is inside its module, so what it does for a block does not depend on the others. One design
for each scheme, with the scheme everywhere, tells it for all blocks:

- *coverage*: upsets of a campaign that were harmful without protection strike again, the same bit in the same cycle;
- *new harm*: some that were harmless strike again too;
- *latent faults*: permanent ones that were latent without protection strike again;
- *the mechanism*: bits that it added are struck at random;
- *area*: the design is synthesised with all borders kept, and a block's modules are added up.

Counts are kept in the cache under a digest of all that they come from.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen import toolchain
from hwgen.faults.campaign import NEVER, classified
from hwgen.faults.engine.engine import RESULT
from hwgen.faults.models import Faults
from hwgen.faults.outcome import Outcome
from hwgen.faults.protection.abft import gemm_cores
from hwgen.faults.protection.blocks import Blocks
from hwgen.faults.protection.measure import Guarded, guard
from hwgen.faults.protection.plan import REST, Choice, Plan
from hwgen.faults.results import PERMANENT
from hwgen.faults.sites import Element, Kind
from hwgen.faults.subject import Subject
from hwgen.files import output_folder, write_if_changed
from hwgen.synthesis import Cells, synthesise_modules
from hwgen.version import VERSION

__all__ = ["SCHEMES", "Effects", "Lab", "Part", "gemm_paths", "scheme_words"]

SCHEMES = ("parity", "parity+memories:none", "memories:parity", "residue", "secded", "dmr", "tmr")
"""Schemes that are tried; words of one are joined by ``+``."""

_HARMLESS = 2000  # upsets without harm that strike again
_ADDED = 20_000  # upsets of bits that a scheme adds
_LEAST = 50  # of them in each block
_DRAWS = {"harmful": 1, "harmless": 2, "added": 3, "latent": 4}  # parts of the seed
_SILENT = (int(Outcome.MASKED), int(Outcome.LATENT))


def scheme_words(scheme: str) -> tuple[str, ...]:
    """Words of a scheme, as a plan has them; ``none`` has none."""
    return () if scheme == "none" else tuple(scheme.split("+"))


@dataclass(frozen=True)
class Part:
    """What a scheme does for the registers or the memories of a block.

    Parameters
    ----------
    harmful : int
        Upsets that were harmful without it and struck again.
    whole : bool
        Whether all of them were struck again.
    escaped : int
        Of these, how many still are.
    corrected : int
        Of these, how many did no harm, and were reported as corrected or not at all.
    latency : tuple of int
        Cycles to the report of the others: least, median, most; empty without any.
    added_bits : float
        Bits that the scheme added.
    added, added_harm : int
        Faults of these, and how many did harm without a report.
    added_silent : int
        How many of these did no harm, and were not reported either.
    latent, latent_left : int
        Permanent faults that were latent without the scheme and struck again, and how many still are.
    """

    harmful: int = 0
    whole: bool = False
    escaped: int = 0
    corrected: int = 0
    latency: tuple[int, ...] = ()
    added_bits: float = 0
    added: int = 0
    added_harm: int = 0
    added_silent: int = 0
    latent: int = 0
    latent_left: int = 0


@dataclass(frozen=True)
class Effects:
    """What a scheme does in a design.

    Parameters
    ----------
    scheme : str
        Its words.
    cycles : int
        How much longer a run takes.
    parts : mapping of (str, str) to Part
        By block and element.
    harmless, new_harm : int
        Upsets without harm that struck again, and how many did harm then.
    alarms : int
        How many of those were reported, or rather not corrected.
    notes : tuple of str
        What it did otherwise than asked for.
    """

    scheme: str
    cycles: int
    parts: Mapping[tuple[str, str], Part]
    harmless: int
    new_harm: int
    alarms: int
    notes: tuple[str, ...]


class Lab:
    """A design with a job whose blocks are to be protected.

    Parameters
    ----------
    subject : Subject
        Without protection.
    blocks : Blocks
        Its blocks.
    rows : Faults
        Upsets with their outcomes, see :data:`hwgen.faults.campaign.OUTCOME`; of one model.
    strike : callable
        Makes faults of the same model from sites and cycles.
    violations : frozenset of Outcome
        Outcomes that are harm.
    results : str
        Digest of the rows.
    most : int
        Harmful upsets that strike again, at most.
    seed : int
        Of draws.
    like : Lab, optional
        One of the same design, whose protected designs are used again.
    """

    def __init__(
        self, subject: Subject, blocks: Blocks, rows: Faults, strike: Callable[[Any, Any], Faults],
        violations: frozenset[Outcome], results: str, *, most: int = 20_000, seed: int = 0, like: Lab | None = None,
    ):  # fmt: skip
        self.subject, self.blocks, self._rows, self._strike = subject, blocks, rows, strike
        self.violations, self._results, self._most, self._seed = violations, results, most, seed
        self._made: dict[str, Guarded] = {} if like is None else like._made

    @cached_property
    def memories(self) -> frozenset[str]:
        """Blocks with memories."""
        return frozenset(self.blocks.of(e.path) for e in self.subject.sites if e.kind is Kind.MEMORY)

    def guarded(self, scheme: str) -> Guarded:
        """The design with a scheme everywhere; checked to do the same."""
        if scheme not in self._made:
            self._made[scheme] = guard(self.subject, Plan.of({REST: scheme_words(scheme)}))
        return self._made[scheme]

    # Coverage.

    def effects(self, scheme: str) -> Effects:
        """What a scheme does, from the cache if it is there.

        Raises
        ------
        BadInput
            If there is no such scheme.
        """
        Choice.of(scheme_words(scheme))
        key = {
            "version": VERSION, "netlist": self.subject.netlist.digest, "job": self.subject.digest,
            "results": self._results, "blocks": self.blocks.names, "scheme": scheme, "seed": self._seed,
            "draws": [self._most, _HARMLESS, _ADDED], "harm": sorted(int(o) for o in self.violations),
            "transform": _transform_digest(),
        }  # fmt: skip
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        kept = toolchain.cache_dir() / "protection" / f"{digest}.json"
        if kept.is_file():
            return _loaded(json.loads(kept.read_text(encoding="utf-8")))
        found = self._measure(scheme)
        output_folder(kept.parent)
        facts = asdict(found) | {"parts": [[*names, asdict(part)] for names, part in found.parts.items()]}
        write_if_changed(kept, json.dumps(facts) + "\n")
        return found

    def _measure(self, scheme: str) -> Effects:
        made = self.guarded(scheme)
        after = made.after
        harm = np.isin(self._rows["outcome"], [int(o) for o in self.violations])
        again = self._some(np.flatnonzero(harm), self._most, "harmful")
        rest = self._some(np.flatnonzero(~harm), _HARMLESS, "harmless")
        lasting = (
            ~harm
            & (self._rows["outcome"] == Outcome.LATENT)
            & np.isin(self._rows["model"], [int(m) for m in PERMANENT])
        )
        wait = self._some(np.flatnonzero(lasting), self._most, "latent")
        struck, extra, hidden = (self._struck(made, self._rows[some]) for some in (again, rest, wait))
        own, hiding = (self._places(self.subject, self._rows["site"][some]) for some in (again, wait))
        sites = self._added(made)
        places = self._places(after, sites)
        new = _outcomes(after, self._strike(sites, self._cycles(len(sites)))) if len(sites) else struck[:0]
        bits: dict[tuple[str, str], int] = {}
        for e in after.sites:
            where = self.blocks.of(e.path), e.kind.value
            bits[where] = bits.get(where, 0) + e.sites
        for e in self.subject.sites:
            bits[self.blocks.of(e.path), e.kind.value] -= e.sites
        parts = {}
        for where, count in bits.items():
            mine = struck[[place == where for place in own]]
            added = new[[place == where for place in places]]
            told = mine["latency"][mine["latency"] != NEVER]
            bad, spoilt = (
                np.isin(some["outcome"], [int(o) for o in self.violations]) for some in (mine, added)
            )
            still = hidden[[place == where for place in hiding]]["outcome"]
            parts[where] = Part(
                harmful=len(mine), whole=len(again) == int(harm.sum()), escaped=int(bad.sum()),
                corrected=int(((mine["outcome"] != Outcome.DETECTED) & ~bad).sum()),
                latency=tuple(int(x) for x in np.percentile(told, [0, 50, 100], method="higher"))
                if len(told) else (),
                added_bits=count, added=len(added), added_harm=int(spoilt.sum()),
                added_silent=int(np.isin(added["outcome"][~spoilt], _SILENT).sum()),
                latent=len(still), latent_left=int(np.isin(still, _SILENT).sum()),
            )  # fmt: skip
        return Effects(
            scheme, after.lanes.cycles - self.subject.lanes.cycles, parts, len(extra),
            int(np.isin(extra["outcome"], [int(o) for o in self.violations]).sum()),
            int((extra["outcome"] == Outcome.DETECTED).sum()), made.protected.notes,
        )  # fmt: skip

    def _struck(self, made: Guarded, rows: Faults) -> Faults:
        return _outcomes(made.after, self._strike(made.sites.original[rows["site"]], rows["cycle"]))

    def _draw(self, what: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, _DRAWS[what]])

    def _some(self, pool: npt.NDArray[np.int64], most: int, what: str) -> npt.NDArray[np.int64]:
        return pool if len(pool) <= most else np.sort(self._draw(what).choice(pool, most, replace=False))

    def _added(self, made: Guarded) -> npt.NDArray[np.int64]:
        """Bits that a scheme added, drawn so that each block has its share, and some at least."""
        struck = {place[1] for place in self._places(self.subject, np.unique(self._rows["site"]))}
        pool = made.sites.added
        pool = pool[[place[1] in struck for place in self._places(made.after, pool)]]
        draw = self._draw("added")
        places = np.array(["|".join(place) for place in self._places(made.after, pool)], object)
        picked = [np.zeros(0, np.int64)]
        for place in sorted(set(places)):
            own = pool[places == place]
            share = _ADDED * len(own) // len(pool)
            picked.append(draw.choice(own, max(_LEAST, share)))
        return np.concatenate(picked)

    def _cycles(self, count: int) -> npt.NDArray[np.int64]:
        return self._draw("harmful").integers(0, self.subject.lanes.cycles, count)

    def _places(self, subject: Subject, sites: npt.NDArray[np.int64]) -> list[tuple[str, str]]:
        """Block and element of sites."""
        elements: list[Element] = list(subject.sites)
        known = [(self.blocks.of(e.path), e.kind.value) for e in elements]
        return [known[i] for i in subject.sites.locate(sites)[0]]

    # Area.

    def areas(
        self, schemes: Sequence[str], tell: Callable[[str], None] = lambda text: None
    ) -> dict[tuple[str, str], int]:
        """LUTs and flip-flops that schemes add to blocks, by block and scheme; what they save does not count."""
        tell("area without protection")
        before = self._sizes(self.subject, {})
        found: dict[tuple[str, str], int] = {}
        for scheme in schemes:
            tell(f"area with {scheme}")
            made = self.guarded(scheme)
            after = self._sizes(made.after, dict.fromkeys(made.protected.copies))
            found |= {(n, scheme): max(0, round(after[n] - before[n])) for n in self.blocks.names}
        return found

    def _sizes(self, subject: Subject, copies: Mapping[str, None]) -> dict[str, float]:
        """LUTs and flip-flops of blocks, from one synthesis that keeps all borders.

        Copies of instances are compared in the module around. What that module has more of than an instance of it
        without copies is split over what is copied in it, by the bits that are compared.
        """
        own = synthesise_modules(subject.sources[:1], subject.top)
        text = _Text(subject.sources[0])
        found = dict.fromkeys(self.blocks.names, 0.0)
        plain = _Text(self.subject.sources[0])
        base = synthesise_modules(self.subject.sources[:1], self.subject.top) if copies else {}

        def walk(path: tuple[str, ...], kind: str, was: str) -> None:
            cells = own[kind].cells if kind in own else Cells({})
            size = float(cells.lut + cells.ff)
            here = self.blocks.of(path)
            inside = text.instances[kind]
            added = {name: inner for name, inner in inside.items() if ".".join((*path, name)) in copies}
            if added and was in base:
                more = size - base[was].cells.lut - base[was].cells.ff
                bits = {name: text.outputs[inner] for name, inner in added.items()}
                for name, count in bits.items():
                    found[self.blocks.of((*path, name))] += more * count / sum(bits.values())
                size -= more
            found[here] += size
            for name, inner in inside.items():
                walk((*path, name), inner, plain.instances.get(was, {}).get(name, inner))

        walk((), subject.top, self.subject.top)
        return found


class _Text:
    """Modules of a Verilog text: their instances, and how many bits their outputs have."""

    _MODULE = re.compile(r"^module (\w+)\s*\(.*?^endmodule", re.MULTILINE | re.DOTALL)
    _INSTANCE = re.compile(r"^  (\w+) (\w+) \($", re.MULTILINE)
    _OUTPUT = re.compile(r"^  output (?:\[(\d+):0\] )?\w+;", re.MULTILINE)

    def __init__(self, path: Path):
        found = {m[1]: m[0] for m in self._MODULE.finditer(path.read_text(encoding="utf-8"))}
        self.instances = {
            kind: {name: inner for inner, name in self._INSTANCE.findall(body) if inner in found}
            for kind, body in found.items()
        }
        self.outputs = {
            kind: sum(int(high or 0) + 1 for high in self._OUTPUT.findall(body))
            for kind, body in found.items()
        }


def gemm_paths(subject: Subject) -> tuple[tuple[str, ...], ...]:
    """Paths of the GEMM cores in a design, which checksums can watch."""
    text = _Text(subject.sources[0])
    kinds = gemm_cores(subject.verilog[0][1], subject.top)

    def below(path: tuple[str, ...], kind: str) -> Iterator[tuple[str, ...]]:
        if kind in kinds:
            yield path
        for name, inner in text.instances[kind].items():
            yield from below((*path, name), inner)

    return tuple(below((), subject.top))


def _outcomes(subject: Subject, listed: Faults) -> Faults:
    results, _ = subject.lanes.inject(listed)
    rows = np.zeros(len(listed), [("site", "<i8"), ("cycle", "<u4"), ("model", "u1"), ("stratum", "<u4")])
    for name in ("site", "cycle", "model"):
        rows[name] = listed[name]
    return classified(rows, results.astype(RESULT, copy=False), subject.lanes.fault_free)


def _transform_digest() -> str:
    """Of the code that protects: what was measured holds for what it made then."""
    folder = Path(__file__).parent
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _loaded(facts: dict[str, Any]) -> Effects:
    parts = {
        (name, element): Part(**{**part, "latency": tuple(part["latency"])})
        for name, element, part in facts["parts"]
    }
    return Effects(**{**facts, "parts": parts, "notes": tuple(facts["notes"])})
