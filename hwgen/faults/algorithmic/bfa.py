"""Progressive bit search: the few bits of a network's weights whose flips do most (BFA and T-BFA).

BFA (Rakin, He, Fan, ICCV 2019; code ``elliothe/BFA``) raises the loss, T-BFA (Rakin et al., arXiv 2007.12336) lowers
one that says where images are to go. Both are :class:`BitSearch` with an objective. Losses are those of the exact
integer network, so that what is found acts in hardware as it did here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.compile.network import Network
from hwgen.errors import BadInput
from hwgen.faults.algorithmic.flips import BitFlip, attackable, bit_values, flip, flip_bit
from hwgen.faults.algorithmic.forward import Array, Evaluation, evaluate
from hwgen.faults.algorithmic.gradients import weight_gradients
from hwgen.faults.algorithmic.objectives import Objective
from hwgen.numerics import IntArray

__all__ = ["BitSearch", "SearchResult", "SearchStep", "candidates", "search"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SearchStep:
    """One iteration of the search: the flips that were kept.

    Parameters
    ----------
    flips : tuple of BitFlip
        All in one layer; usually one.
    before, after : float
        The objective's loss, in nats.
    losses : dict of str to float
        Loss that each layer's best flips would have given, at the number of flips at which one was good enough.
    success : float
        Of the objective on the images of the attack, after the flips.
    """

    flips: tuple[BitFlip, ...]
    before: float
    after: float
    losses: dict[str, float]
    success: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "flips": [one.to_dict() for one in self.flips],
            "before": self.before,
            "after": self.after,
            "losses": dict(self.losses),
            "success": self.success,
        }


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Parameters
    ----------
    workload, objective : str
        Names.
    images : int
        Of the attack.
    k_top : int
        As given.
    steps : tuple of SearchStep
        In order.
    exhausted : bool
        Whether it ended because no flips of any layer improve the objective.
    """

    workload: str
    objective: str
    images: int
    k_top: int
    steps: tuple[SearchStep, ...]
    exhausted: bool

    @property
    def flips(self) -> tuple[BitFlip, ...]:
        """All flips in order, for :func:`hwgen.faults.algorithmic.flips.flip`."""
        return tuple(one for step in self.steps for one in step.flips)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "workload": self.workload,
            "objective": self.objective,
            "images": self.images,
            "k_top": self.k_top,
            "steps": [step.to_dict() for step in self.steps],
            "exhausted": self.exhausted,
        }


class BitSearch:
    """A search on one network, one set of images, one objective.

    Parameters
    ----------
    network : Network
        The victim.
    images : int array, shape (images, h, w, c)
        Of the attack, as many as the objective has; those that do not count in it are left out of the work.
    objective : Objective
        What to raise or lower.
    k_top : int
        Weights per layer and iteration whose bits are looked at, those with the largest gradients; 1 or more.
    logit_step : float
        What one step of the last layer's result is worth: ``Quantised.scales[last].step``. Positive. It is 1.01 for the
        MNIST CNN.

    Raises
    ------
    BadInput
        If sizes do not fit, a parameter is out of range, or the network cannot be evaluated.

    Notes
    -----
    One iteration (``attack/BFA.py``, ``progressive_bit_search``):

    1. the loss, and its gradient by every weight; ``n = 0``;
    2. ``n += 1``; in every layer, flip the ``n`` bits of :func:`candidates` with the largest bit gradients, take the
       loss, and flip them back; until the best layer's loss is better than the one of step 1;
    3. keep the flips of that layer.

    Differences: gradients are by integers, whose steps differ between channels, so that they compare what a bit does to
    the loss (the authors have one step per layer); a layer drops out once ``n`` exceeds its candidates, while the
    authors go on with bits of gradient zero; without any candidate the search ends instead of running for ever.
    T-BFA's published code (``adnansirajrakin/T-BFA``) takes one bit per iteration, of all weights, whether or not it
    helps; here it is the loop above with the mask inverted, as the paper has it.
    """

    def __init__(
        self,
        network: Network,
        images: Array,
        objective: Objective,
        *,
        k_top: int = 10,
        logit_step: float = 1.0,
    ):
        if k_top < 1:
            raise BadInput(f"k_top must be 1 or more, not {k_top}; the authors take 10.")
        if not (np.isfinite(logit_step) and logit_step > 0):
            raise BadInput(
                f"logit_step must be a positive number, not {logit_step}; take the step of the last layer."
            )
        if len(images) != len(objective.labels):
            raise BadInput(
                f"images and labels must be as many, not {len(images)} and {len(objective.labels)}; give both of "
                "the same digits."
            )
        self.objective, self.k_top, self.logit_step = objective, k_top, logit_step
        counts = objective.weights > 0
        # Divided by all images as before, so that losses do not depend on who was left out.
        share = counts.sum() / len(counts)
        self._seen = Objective(
            objective.name, objective.targets[counts], objective.weights[counts] * share, objective.maximise,
            objective.labels[counts], objective.victims[counts],
        )  # fmt: skip
        self._now = evaluate(network, images[counts])
        classes = self._now.logits.shape[1]
        most = max(int(objective.labels.max()), int(objective.targets.max()))
        if classes < 2 or most >= classes:
            raise BadInput(
                f"{network.workload.name!r} must tell apart at least two classes and all that the objective names, "
                f"0..{most}, but it has {classes} results."
            )
        self._bits = {one.name: one.weight_bits for one in network.workload.layers if one.product}

    @property
    def network(self) -> Network:
        """The network with all flips so far."""
        return self._now.network

    def step(self) -> SearchStep | None:
        """Search and keep the next flips; None if no flips of any layer improve the objective."""
        before = self._loss(self._now)
        slope = self._seen.gradient(self._now.logits * self.logit_step) * self.logit_step
        gradients = weight_gradients(self._now, slope)
        found = {name: self._candidates(name, gradients[name]) for name in self._bits}
        sign = 1 if self.objective.maximise else -1
        for n in range(1, max(map(len, found.values())) + 1):
            tried = {name: some[:n] for name, some in found.items() if len(some) >= n}
            losses = {
                name: self._loss(self._now.changed(name, self._flipped(name, some)))
                for name, some in tried.items()
            }
            best = max(losses, key=lambda name: sign * losses[name])
            if sign * losses[best] > sign * before:
                return self._keep(best, tried[best], before, losses)
        return None

    def _keep(
        self, layer: str, bits: list[tuple[int, int]], before: float, losses: dict[str, float]
    ) -> SearchStep:
        weight, width = self._weight(layer), self._bits[layer]
        flips = []
        values = weight.reshape(-1).copy()
        for place, bit in bits:
            was = int(values[place])
            values[place] = flip_bit(was, bit, width)
            a, b, c, d = (int(i) for i in np.unravel_index(place, weight.shape))
            flips.append(BitFlip(layer, (a, b, c, d), bit, was, int(values[place])))
        # Through the very function that replays them elsewhere.
        changed = flip(self.network, flips).data[layer].weight
        assert changed is not None
        self._now = self._now.changed(layer, changed, gradient=True)
        return SearchStep(tuple(flips), before, losses[layer], losses, self._seen.success(self._now.classes))

    def _loss(self, evaluation: Evaluation) -> float:
        return self._seen.loss(evaluation.logits * self.logit_step)

    def _weight(self, layer: str) -> IntArray:
        weight = self.network.data[layer].weight
        assert weight is not None
        return weight

    def _candidates(self, layer: str, gradient: Floats) -> list[tuple[int, int]]:
        stored = np.where(attackable(self.network, layer), gradient, 0.0)
        return candidates(
            self._weight(layer), stored, self._bits[layer], self.k_top, maximise=self.objective.maximise
        )

    def _flipped(self, layer: str, bits: list[tuple[int, int]]) -> IntArray:
        weight = self._weight(layer).copy()
        flat = weight.reshape(-1)
        for place, bit in bits:
            flat[place] = flip_bit(int(flat[place]), bit, self._bits[layer])
        return weight


def candidates(
    weight: IntArray, gradient: Floats, bits: int, k_top: int, *, maximise: bool = True
) -> list[tuple[int, int]]:
    """Bits whose flip the gradient recommends, the best first.

    Parameters
    ----------
    weight : int array
        Of ``bits`` bits, any shape.
    gradient : float array
        Of the loss by each weight, the same shape.
    bits : int
        Width of the words, 1..8.
    k_top : int
        How many weights are looked at: those with the largest magnitudes of the gradient.
    maximise : bool
        Whether the loss is to rise.

    Returns
    -------
    list of (int, int)
        (index in the flattened weight, bit), by falling magnitude of the bit gradient; bits of gradient zero are left
        out. Of equals, the one with the smaller place in the gradients' order comes first.

    Notes
    -----
    Source: ``attack/BFA.py``, ``flip_bit``. The gradient of a bit is ``G = g · b_w`` with its worth ``b_w`` (negative
    for the sign). Its flip raises the loss, to first order, if the bit is 0 and G positive, or 1 and G negative: the
    mask ``bit xor (G > 0)``. T-BFA inverts the mask.
    """
    flat, slopes = weight.reshape(-1), gradient.reshape(-1)
    top = np.argsort(-np.abs(slopes), kind="stable")[:k_top]
    worth = bit_values(bits)
    bit = (flat[top, None] >> np.arange(bits)) & 1
    by_bit = slopes[top, None] * worth
    raises = bit ^ (by_bit > 0)
    wanted = (raises == maximise) & (by_bit != 0)
    order = np.argsort(-np.where(wanted, np.abs(by_bit), 0.0).reshape(-1), kind="stable")[: int(wanted.sum())]
    return [(int(top[i // bits]), int(i % bits)) for i in order]


def search(
    network: Network,
    images: Array,
    objective: Objective,
    *,
    flips: int = 20,
    enough: float = 1.0,
    k_top: int = 10,
    logit_step: float = 1.0,
) -> SearchResult:
    """Search until an attack is good enough.

    Parameters
    ----------
    network, images, objective, k_top, logit_step
        Of :class:`BitSearch`.
    flips : int
        Most flips, 1 or more; the last iteration may go beyond if it needs several.
    enough : float
        Success on the images of the attack at which to stop, 0..1: wrong digits for BFA, victims in the target's class
        for T-BFA.

    Returns
    -------
    SearchResult
        ``flip(network, result.flips)`` is the network after the attack.

    Raises
    ------
    BadInput
        As :class:`BitSearch`, or if ``flips`` or ``enough`` is out of range.
    """
    if flips < 1 or not 0 <= enough <= 1:
        raise BadInput(f"flips must be 1 or more and enough lie in 0..1, not {flips} and {enough}.")
    attack = BitSearch(network, images, objective, k_top=k_top, logit_step=logit_step)
    steps: list[SearchStep] = []
    exhausted = True
    for step in _steps(attack):
        steps.append(step)
        if sum(len(one.flips) for one in steps) >= flips or step.success >= enough:
            exhausted = False
            break
    return SearchResult(network.workload.name, objective.name, len(images), k_top, tuple(steps), exhausted)


def _steps(attack: BitSearch) -> Iterator[SearchStep]:
    while (step := attack.step()) is not None:
        yield step
