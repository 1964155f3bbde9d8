"""A campaign on one tile of a network with its consequences: what faults do to the core, and to the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hwgen.compile.network import Network
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig
from hwgen.errors import BadInput
from hwgen.faults import statistics
from hwgen.faults.consequence import Consequences, Where, consequences, joined
from hwgen.faults.consequence_minilm import MiniLmSite
from hwgen.faults.consequence_tile import TileSite
from hwgen.faults.intervals import Interval
from hwgen.faults.models import Faults, Model, faults
from hwgen.faults.outcome import DUE, Outcome
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
from hwgen.faults.sites import Kind, SiteTable
from hwgen.workloads.mnist import IMAGES, mnist_images, mnist_network

__all__ = ["NETWORKS", "NetworkCampaign", "network_campaign", "run_campaign", "site_of"]

NETWORKS = {"mnist": 8, "mnist_w4a8": 4, "minilm": 8}
"""Networks that can be struck, and bits of their weights."""

Sampling = Literal["exhaustive", "uniform", "stratified"]
_PILOT = 50  # draws of each stratum
_CHUNK = 1 << 16  # faults at a time


@dataclass(frozen=True, eq=False)
class NetworkCampaign:
    """What faults on one tile of a network came to.

    Parameters
    ----------
    name, layer : str
        Network and product.
    image : int
        Number of the digit, or of the sentence.
    site : TileSite or MiniLmSite
        The tile.
    config : DspGemmConfig
        The core.
    plan : dict
        How faults were drawn: kind, seed, model, ...
    population : Population
        Sites and cycles.
    strata : tuple of Stratum
        Of a stratified campaign.
    found : Consequences
        Every fault.
    hardware, network : Summary
        Shares of outcomes at the core's ports, and as the application sees them.
    confidence : float
        Of all intervals.
    """

    name: str
    layer: str
    image: int
    site: TileSite | MiniLmSite
    config: DspGemmConfig
    plan: dict[str, Any]
    population: Population
    strata: tuple[Stratum, ...]
    found: Consequences
    hardware: Summary
    network: Summary
    confidence: float

    @property
    def rows(self) -> Faults:
        """Faults with what they came to, :data:`hwgen.faults.consequence.CONSEQUENCE`."""
        return self.found.rows

    def share(self, chosen: npt.NDArray[np.bool_]) -> Interval:
        """Share of some faults in the population, with its interval.

        Parameters
        ----------
        chosen : bool array
            Of each row, whether it counts.
        """
        if not self.strata:
            return statistics.wilson(int(chosen.sum()), len(chosen), self.confidence, len(self.population))
        own = self.rows["stratum"]
        return statistics.stratified(
            [
                statistics.Stratum(
                    int(chosen[own == h].sum()),
                    int((own == h).sum()),
                    float(len(s.population)),
                    len(s.population),
                )
                for h, s in enumerate(self.strata)
                if (own == h).any()
            ],
            self.confidence,
        )

    @property
    def critical(self) -> Interval:
        """Share of faults that change the answer and say nothing."""
        return self.share(self.rows["outcome"] == Outcome.CRITICAL)

    @property
    def silent(self) -> Interval:
        """Share of faults after which a result of the application differs, and nothing says so."""
        return self.share(np.isin(self.rows["outcome"], (Outcome.SDC, Outcome.CRITICAL)))

    @property
    def masked(self) -> dict[str, Interval]:
        """Where faults were masked: shares of all of them, which add up to 1."""
        return {where.name.lower(): self.share(self.rows["masked"] == where) for where in Where}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = self.rows
        followed = rows[rows["hardware"] == Outcome.SDC]
        found: dict[str, Any] = {
            "network": self.name, "layer": self.layer, "image": self.image, "digest": self.config.digest,
            "tile": {
                "rows": list(self.site.rows), "columns": list(self.site.columns), "k": self.site.a.shape[1],
            },
            "plan": self.plan, "confidence": self.confidence, "sites": self.population.sites,
            "cycles": self.population.cycles,
            "hardware": self.hardware.to_dict(), "application": self.network.to_dict(),
            "masked": {name: _interval(one) for name, one in self.masked.items()},
            "silent": _interval(self.silent), "critical": _interval(self.critical),
            "hung": _interval(self.share(np.isin(rows["outcome"], tuple(DUE)))),
            "changed": _quantiles(followed["changed"]), "deviation": _quantiles(followed["deviation"]),
            "observed": self.found.observed, "distinct": self.found.distinct, "seconds": self.found.seconds,
            "rate_per_second": self.found.rate,
        }  # fmt: skip
        if isinstance(self.site, TileSite):
            label, answer = self.site.label, self.site.answer
            found |= {
                "class": answer, "label": label, "right": label == answer,
                "margin": _quantiles(followed["margin"]),
                "margin_without_fault": float(self.site.untouched(1)["margin"][0]),
            }  # fmt: skip
        else:
            found |= {f"cosine_{name}": _quantiles(followed[name]) for name in ("product", "layer", "answer")}
            found["critical_below"] = self.site.critical
        return found


def network_campaign(
    name: str, layer: str, image: int = 0, config: DspGemmConfig | None = None, *, model: str = "seu", size: int = 2,
    duration: int | None = None, period: int = 1, on: int = 1, where: Sequence[str] = (),
    classes: Sequence[str] = (), kinds: Sequence[str] = ("flip_flop",), window: tuple[int, int] | None = None,
    sampling: Sampling = "uniform", samples: int = 1000, phases: int = 4, seed: int = 0, confidence: float = 0.95,
    rows: tuple[int, int] | None = None, columns: tuple[int, int] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> NetworkCampaign:  # fmt: skip
    """Inject faults while a core computes a tile of a network, and say what becomes of the network's answer.

    Parameters
    ----------
    name : str
        Of :data:`NETWORKS`.
    layer : str
        A product: ``conv1``, ``conv2``, ``fc1``, ``fc2``; of ``minilm`` such as ``layer0.ffn_up``.
    image : int
        Number of the digit, or of the sentence.
    config : DspGemmConfig, optional
        The core; 8 × 8, and for ``minilm`` that of ``hwgen demo``, if absent.
    model, size, duration, period, on
        See :func:`hwgen.faults.models.faults`; the model's name in small letters, with hyphens.
    where, classes, kinds, window
        See :func:`hwgen.faults.plan.population`.
    sampling : str
        ``exhaustive``, ``uniform`` or ``stratified``: a pilot, then Neyman's rule.
    samples : int
        Faults, if not exhaustive; the pilot counts.
    phases : int
        Of a stratified campaign.
    seed : int
        Of all draws.
    confidence : float
        Of all intervals, each by itself.
    rows, columns : (int, int), optional
        Of the tile: first and number of output pixels or tokens, and of output channels. The middle 64 rows, and one
        pass over the core's columns, if absent.
    tell : callable
        Is told what goes on.

    Raises
    ------
    BadInput
        If there is no such network, product, image or tile, or the plan cannot be met.
    MissingTool
        If a package with weights or data is missing.
    """
    known = {one.name.lower().replace("_", "-"): one for one in Model}
    if model not in known:
        raise BadInput(f"there is no fault model {model!r}; there are {', '.join(known)}")
    if config is None:
        config = (
            CORE.supported["dsp_gemm_int8_16x16_ultrascale"]
            if name == "minilm"
            else DspGemmConfig(rows=8, cols=8)
        )
    tell("operands")
    site = site_of(name, layer, image, config, rows=rows, columns=columns)
    one = known[model]
    prototype = faults(
        0, 0, one, size=size if one is Model.MBU else 1, duration=duration, period=period, on=on
    )
    tell("fault-free run")
    subject = site.subject(config)
    members = population(
        subject.sites, subject.lanes.cycles, prototype, where=where, classes=classes,
        kinds=[_kind(kind) for kind in kinds], window=window,
    )  # fmt: skip
    plan = {"kind": sampling, "seed": seed, "model": model, "kinds": list(kinds), "classes": list(classes),
            "where": list(where), "window": list(window) if window else None}  # fmt: skip
    return run_campaign(
        site, config, members, name=name, image=image, sampling=sampling, samples=samples, phases=phases, seed=seed,
        confidence=confidence, plan=plan, tell=tell,
    )  # fmt: skip


def run_campaign(
    site: TileSite | MiniLmSite, config: DspGemmConfig, members: Population, *, name: str, image: int = 0,
    sampling: Sampling = "uniform", samples: int = 1000, phases: int = 4, seed: int = 0, confidence: float = 0.95,
    plan: dict[str, Any] | None = None, tell: Callable[[str], None] = lambda text: None,
) -> NetworkCampaign:  # fmt: skip
    """The same for a tile of any network, and any population of faults on it.

    Parameters
    ----------
    site : TileSite or MiniLmSite
        The tile.
    config : DspGemmConfig
        The core.
    members : Population
        Faults, of ``site.subject(config)``.
    name : str
        Of the network.
    image, sampling, samples, phases, seed, confidence, tell
        See :func:`network_campaign`.
    plan : dict, optional
        What is said about the plan; its kind and seed if absent.

    Raises
    ------
    BadInput
        If the plan cannot be met.
    """
    subject = site.subject(config)
    strata: tuple[Stratum, ...] = ()
    parts: list[Consequences] = []

    def perform(what: Plan) -> None:
        for first in range(0, what.total, _CHUNK):
            tell(f"fault {first + 1} of {what.total}")
            listed = what(first, min(_CHUNK, what.total - first))
            parts.append(consequences(site, subject, listed))

    if sampling == "exhaustive":
        perform(Exhaustive(members))
    elif sampling == "uniform":
        perform(Uniform(members, min(samples, len(members)), seed))
    elif sampling == "stratified":
        strata = strata_of(members, phases)
        first = tuple(min(_PILOT, len(s.population)) for s in strata)
        if sum(first) > samples:
            raise BadInput(
                f"a pilot of {len(strata)} strata takes {sum(first)} faults, more than the {samples} samples; choose "
                "more samples or fewer phases"
            )
        perform(Stratified(strata, first, seed))
        pilot = joined(parts).rows
        shares = [
            (int(np.count_nonzero(pilot["outcome"][pilot["stratum"] == h] != Outcome.MASKED)) + 1) / (n + 2)
            for h, n in enumerate(first)
        ]
        sizes = neyman(strata, shares, samples - sum(first), first)
        if sum(sizes):
            perform(Stratified(strata, sizes, seed, first))
    else:
        raise BadInput(f"sampling must be exhaustive, uniform or stratified, not {sampling!r}")
    found = joined(parts)
    at_ports = found.rows.copy()
    at_ports["outcome"] = found.rows["hardware"]
    described = plan or {"kind": sampling, "seed": seed}

    def told(rows: Faults) -> Summary:
        return _summary(rows, subject.sites, members, strata, confidence)

    return NetworkCampaign(
        name, site.layer, image, site, config, {**described, "samples": len(found.rows)}, members, strata, found,
        told(at_ports), told(found.rows), confidence,
    )  # fmt: skip


def site_of(
    name: str, layer: str, image: int, config: DspGemmConfig, *, rows: tuple[int, int] | None = None,
    columns: tuple[int, int] | None = None,
) -> TileSite | MiniLmSite:  # fmt: skip
    """A tile of a network that has a name; parameters as of :func:`network_campaign`.

    Raises
    ------
    BadInput
        If there is no such network, product, image or tile.
    """
    if name not in NETWORKS:
        raise BadInput(f"there is no network {name!r} with consequences; there are {', '.join(NETWORKS)}")
    wide = columns or (0, config.n_lanes)
    if name == "minilm":
        return MiniLmSite.of(layer, image, rows=rows, columns=wide)
    if not 0 <= image < IMAGES:
        raise BadInput(f"image must lie in 0..{IMAGES - 1}, not {image}; there are no more digits")
    network = _mnist(NETWORKS[name])
    pixels, labels = mnist_images(image + 1)
    return TileSite.of(network, layer, pixels[image], rows=rows, columns=wide, label=int(labels[image]))


@cache
def _mnist(bits: int) -> Network:
    return mnist_network(bits)


def _kind(name: str) -> Kind:
    try:
        return Kind(name)
    except ValueError:
        raise BadInput(f"kinds of sites are {', '.join(Kind)}, not {name!r}") from None


def _summary(
    rows: Faults, table: SiteTable, members: Population, strata: tuple[Stratum, ...], confidence: float
) -> Summary:
    return summary(rows, table, members.elements, members.cycles, strata=strata, confidence=confidence)


def _interval(one: Interval) -> dict[str, float]:
    return {"estimate": one.estimate, "low": one.low, "high": one.high}


def _quantiles(values: npt.NDArray[Any]) -> dict[str, float]:
    """Of what reached the application's side of the core; empty if nothing did."""
    if not len(values):
        return {}
    shares = {"min": 0.0, "p5": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}
    return {name: float(np.quantile(values.astype(np.float64), share)) for name, share in shares.items()}
