"""``hwgen inject --layer``: faults in a tile of a network, followed to its answer."""

from __future__ import annotations

from typing import cast

import numpy as np

from hwgen.commands import targets
from hwgen.commands.inject import Injection
from hwgen.cores.dsp_gemm import DspGemmConfig
from hwgen.errors import BadInput
from hwgen.faults.consequence import Consequences, Where
from hwgen.faults.consequence_campaign import NETWORKS, NetworkCampaign
from hwgen.faults.consequence_tile import TileSite
from hwgen.faults.consequence_work import NetworkWork
from hwgen.faults.outcome import Outcome
from hwgen.faults.results import summary

__all__ = ["WHERE", "answers", "followed", "network_work"]

WHERE = {
    Where.ARRAY: "right sums: nothing wrong leaves the array",
    Where.SCALE: "wrong sums, right products with the multipliers",
    Where.ROUND: "wrong products, right rounded values",
    Where.CLAMP: "wrong rounded values, right within the word's or the ReLU's bounds",
    Where.POOL: "wrong results of the layer, right ones of the pools behind it",
    Where.NETWORK: "wrong results of the layer, right ones of the network",
    Where.NOWHERE: "a result of the network is wrong",
    Where.NOT_FOLLOWED: "no results to go on with, or the hardware reported the fault",
}
"""What it means that a fault was masked at a place."""


def network_work(target: str, settings: dict[str, str], workload: str, layer: str, image: int) -> NetworkWork:
    """What a user calls a core, a network and one of its layers.

    Parameters
    ----------
    target : str
        ``dsp_gemm`` or a configuration of it.
    settings : dict
        Changed parameters.
    workload, layer : str
        Of :data:`hwgen.faults.consequence_campaign.NETWORKS`, and a product of it.
    image : int
        Number of the digit, or of the sentence.

    Raises
    ------
    BadInput
        If there is no such thing.
    MissingTool
        If a package with weights or data is missing.
    """
    if workload not in NETWORKS:
        raise BadInput(
            f"--layer follows faults in {', '.join(NETWORKS)}, not in {workload!r}; name one of them"
        )
    config = targets.resolve(target, settings)[1] if targets.is_core(target) else None
    if not isinstance(config, DspGemmConfig):
        raise BadInput(f"--layer needs the core dsp_gemm, not {target}; name it or a configuration of it")
    return NetworkWork.of(workload, layer, image, config)


def followed(found: Injection, work: NetworkWork) -> NetworkCampaign:
    """A campaign that had this work, with what became of the network's answer."""
    rows, request = found.rows, found.request
    at_ports = rows.copy()
    at_ports["outcome"] = rows["hardware"]
    members = found.population
    hardware = summary(
        at_ports, found.subject.sites, members.elements, members.cycles, strata=found.strata,
        confidence=request.confidence,
    )  # fmt: skip
    silent = rows["hardware"] == Outcome.SDC
    observed = len(np.unique(rows["digest"][silent]))
    plan = {"kind": request.sampling, "seed": request.seed, "model": request.model, "samples": len(rows)}
    return NetworkCampaign(
        work.network, work.layer, work.image, work.site, work.config, plan, members, found.strata,
        Consequences(cast(np.ndarray, rows), observed, observed, {"all": found.seconds if found.computed else 0.0}),
        hardware, found.summary, request.confidence,
    )  # fmt: skip


def answers(campaign: NetworkCampaign) -> dict[str, str]:
    """What the network answers with and without faults, by plain names."""
    rows, site = campaign.rows, campaign.site
    wrong = rows[rows["hardware"] == Outcome.SDC]
    found = {}
    if isinstance(site, TileSite):
        lead = site.untouched(1)["margin"][0]
        right = "right" if site.answer == site.label else f"wrong, the label is {site.label}"
        found["answer without faults"] = f"class {site.answer} ({right}), {lead:g} steps ahead of the next"
        found["wrong sums reached the application in"] = f"{len(wrong):,} faults"
        if len(wrong):
            found["smallest lead after a fault"] = f"{wrong['margin'].min():g} steps"
    else:
        found["an answer is critical"] = f"if its embedding's cosine is below {site.critical:g}"
        found["wrong sums reached the application in"] = f"{len(wrong):,} faults"
        for name, what in (("product", "product"), ("layer", "encoder layer"), ("answer", "embedding")):
            if len(wrong):
                low, median = np.quantile(wrong[name], [0.05, 0.5])
                found[f"cosine of the {what}"] = f"median {median:.6f}, 5 % are below {low:.6f}"
    return found
