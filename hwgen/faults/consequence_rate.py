"""Accuracy of a network on labelled images while faults strike its inferences at a given probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hwgen.compile.network import Network
from hwgen.cores.dsp_gemm import DspGemmConfig
from hwgen.errors import BadInput
from hwgen.faults.consequence import Where, consequences
from hwgen.faults.consequence_tile import ROWS, TileSite, tile_subject
from hwgen.faults.draws import integers, uniforms
from hwgen.faults.models import faults
from hwgen.faults.outcome import DUE, Outcome
from hwgen.faults.plan import Population, population
from hwgen.faults.subject import CoreSubject
from hwgen.numerics import IntArray, ceil_div
from hwgen.workloads.layers import shapes

__all__ = ["FaultyAccuracy", "accuracy_under_faults"]

_STRATUM = 0x4143_0000  # of these draws; far from the small numbers that campaigns give their own
_STRIKES, _FAULTS, _TILES = range(3)


@dataclass(frozen=True)
class FaultyAccuracy:
    """Accuracy under faults.

    Parameters
    ----------
    layer : str
        Where they strike.
    images, replicates : int
        Digits, and inferences of each.
    faults : int
        That were simulated: in inferences that the largest probability strikes.
    clean : float
        Accuracy without faults.
    probabilities : tuple of float
        Of a fault in an inference.
    accuracy, error : tuple of float
        Share of inferences with the right class, for each probability, and its standard error over replicates.
    harmful : float
        Share of the simulated faults that make a right class wrong or missing, less those that correct a wrong one.
    """

    layer: str
    images: int
    replicates: int
    faults: int
    clean: float
    probabilities: tuple[float, ...]
    accuracy: tuple[float, ...]
    error: tuple[float, ...]
    harmful: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def accuracy_under_faults(
    network: Network, images: IntArray, labels: IntArray, layer: str, config: DspGemmConfig,
    probabilities: Sequence[float], *, replicates: int = 16, seed: int = 0,
) -> FaultyAccuracy:  # fmt: skip
    """Draw faults for inferences, and classify with their exact consequences.

    Parameters
    ----------
    network : Network
        All of its layers read the input or each other.
    images : int array, shape (images, h, w, c)
        As the network reads them.
    labels : int array, shape (images,)
        Their classes.
    layer : str
        The product in which faults strike.
    config : DspGemmConfig
        The core that computes it.
    probabilities : sequence of float
        Of an upset of one flip-flop, in 0..1, while the struck tile is computed: uniform over flip-flops and cycles.
    replicates : int
        Inferences of each image, 1 or more.
    seed : int
        0..2**64 - 1.

    Raises
    ------
    BadInput
        If a number is out of range, or there is no such layer.

    Notes
    -----
    Each image has one tile of the layer, drawn once. Whether an inference is struck is ``u < p`` with one u for all p:
    faults of a smaller probability are among those of a larger one. A hang and a broken handshake leave no class, which
    counts as wrong; a fault that the hardware reports counts as repeated, and so as without fault.
    """
    given = tuple(float(p) for p in probabilities)
    if not given or not all(0 <= p <= 1 for p in given):
        raise BadInput(f"probabilities must lie in 0..1, and one at least, not {list(given)}")
    if replicates < 1 or len(images) != len(labels) or not len(images):
        raise BadInput(
            f"replicates must be 1 or more and every image needs a label, not {replicates}, {len(images)} and "
            f"{len(labels)}"
        )
    u = np.stack(
        [uniforms(seed, _STRATUM + _STRIKES, i * replicates, replicates) for i in range(len(images))]
    )
    struck_right = np.zeros(u.shape)
    clean = np.zeros(len(images))
    like: CoreSubject | None = None
    members: Population | None = None
    simulated = 0
    harm = 0.0
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        tile = _tile(network, layer, image, int(label), config, seed, i)
        clean[i] = tile.answer == label
        struck_right[i] = clean[i]
        hit = np.flatnonzero(u[i] < max(given))
        if not len(hit):
            continue
        # Tiles at the edges are smaller, and take another number of cycles.
        subject = tile_subject(config, tile.a, tile.b, f"{layer} {config.digest}", like)
        like = like or subject
        members = population(subject.sites, subject.lanes.cycles, faults(0, 0))
        numbers = integers(seed, _STRATUM + _FAULTS, i * replicates, replicates, len(members))[hit]
        found = consequences(tile, subject, members.faults(numbers)).rows
        right = found["top"] == label
        right[np.isin(found["outcome"], tuple(DUE))] = False
        right[found["outcome"] == Outcome.DETECTED] = bool(clean[i])
        assert (right[found["masked"] <= Where.NETWORK] == clean[i]).all()
        struck_right[i, hit] = right
        simulated += len(hit)
        harm += float((clean[i] - right).sum())
    accuracies = [np.where(u < p, struck_right, clean[:, None]).mean(axis=0) for p in given]
    spread = [
        float(a.std(ddof=1) / np.sqrt(replicates)) if replicates > 1 else float("nan") for a in accuracies
    ]
    return FaultyAccuracy(
        layer, len(images), replicates, simulated, float(clean.mean()), given,
        tuple(float(a.mean()) for a in accuracies), tuple(spread), harm / simulated if simulated else 0.0,
    )  # fmt: skip


def _tile(
    network: Network, layer: str, image: IntArray, label: int, config: DspGemmConfig, seed: int, number: int
) -> TileSite:
    """One of the layer's tiles, every one as likely."""
    sizes = shapes(network.workload)
    if layer not in sizes:
        raise BadInput(
            f"there is no layer {layer!r} in {network.workload.name!r}; name one of {', '.join(sizes)}"
        )
    h, w, c = sizes[layer]
    groups = next(one.groups for one in network.workload.layers if one.name == layer)
    inner = c // groups
    wide = min(config.n_lanes, inner)
    high, across = ceil_div(h * w, ROWS), ceil_div(inner, wide)
    drawn = int(integers(seed, _STRATUM + _TILES, number, 1, high * across * groups)[0])
    group, drawn = divmod(drawn, high * across)
    y, x = divmod(drawn, across)
    rows = (y * ROWS, min(ROWS, h * w - y * ROWS))
    columns = (group * inner + x * wide, min(wide, inner - x * wide))
    return TileSite.of(network, layer, image, rows=rows, columns=columns, label=label)
