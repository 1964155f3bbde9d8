"""What faults in a tile meant for a network, for the report of a campaign."""

from __future__ import annotations

import numpy as np

from hwgen.commands.inject_network import WHERE, answers
from hwgen.faults.consequence import Where
from hwgen.faults.consequence_campaign import NetworkCampaign
from hwgen.faults.consequence_tile import TileSite
from hwgen.faults.intervals import Interval
from hwgen.faults.outcome import Outcome
from hwgen.report import Cell, Figure, Section, Table, bars, histogram

__all__ = ["network_section"]


def network_section(campaign: NetworkCampaign) -> Section:
    """Where faults were masked, and what became of the answer."""
    shares = campaign.masked
    rows: list[list[Cell]] = []
    for where in Where:
        count = int((campaign.rows["masked"] == where).sum())
        rows.append(
            [where.name.lower().replace("_", " "), count, _text(shares[where.name.lower()]), WHERE[where]]
        )
    items: list[Table | Figure] = [
        Table(
            title="The first place behind which everything is right",
            columns=["place", "faults", "share", "meaning"], rows=rows,
        ),
        Table(
            title="The network's answer", columns=["what", "value"],
            rows=[
                ["results of the network differ", _text(campaign.silent)],
                ["the answer is another one (critical)", _text(campaign.critical)],
                *([name, text] for name, text in answers(campaign).items()),
            ],
        ),
    ]  # fmt: skip
    later = [w for w in Where if w not in (Where.ARRAY, Where.NOT_FOLLOWED)]
    if any((campaign.rows["masked"] == w).any() for w in later):
        values = [100 * shares[w.name.lower()].estimate for w in later]
        svg = bars([w.name.lower() for w in later], {"faults": values}, ylabel="share of all faults [%]",
                   value_format=".2f")  # fmt: skip
        items.append(Figure(title="Faults that made wrong sums, by the place that masked them", svg=svg,
                            note="“nowhere”: a result of the network is wrong."))  # fmt: skip
    wrong = campaign.rows[campaign.rows["hardware"] == Outcome.SDC]
    digits = isinstance(campaign.site, TileSite)
    seen = wrong["margin" if digits else "answer"]
    seen = seen[np.isfinite(seen)]
    if len(seen):
        label = (
            "lead of the fault-free class [steps of the last layer]" if digits else "cosine of the embedding"
        )
        svg = histogram({"wrong sums": seen.tolist()}, xlabel=label, ylabel="faults", bins=40, log=True)
        note = "Below zero the class is another one." if digits else "With the fault-free embedding."
        items.append(Figure(title="Answers after wrong sums", svg=svg, note=note))
    site = campaign.site
    return Section(
        title="The network",
        text=f"The core computes rows {site.rows[0]}..{sum(site.rows) - 1} and columns {site.columns[0]}.."
        f"{sum(site.columns) - 1} of {campaign.layer} in {campaign.name}, on input {campaign.image}. What a fault "
        "makes of their sums goes on through the requantiser and the rest of the network, computed exactly.",
        items=items,
    )


def _text(one: Interval) -> str:
    return f"{100 * one.estimate:.2f}\u00a0%\u00a0({100 * one.low:.2f}..{100 * one.high:.2f})"
