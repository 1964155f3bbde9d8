"""What a search for bits wants: sums of cross-entropies, to be raised (BFA) or lowered (T-BFA)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import IntArray

__all__ = ["Objective", "cross_entropy", "n_to_one", "one_to_one", "stealthy", "untargeted"]

Floats = npt.NDArray[np.float64]


def cross_entropy(logits: Floats, targets: IntArray) -> tuple[Floats, Floats]:
    """Cross-entropy of every image and its derivative.

    Parameters
    ----------
    logits : float64 array, shape (images, classes)
        Natural units, at least two classes.
    targets : int array, shape (images,)
        0..classes - 1.

    Returns
    -------
    losses : float64 array, shape (images,)
        ``log(sum_j exp(z_j)) - z_t``, in nats; exact to double precision down to 1e-300, because it is computed from
        the differences to ``z_t``: a network that is sure of its digits has losses of 1e-30, and a search ranks them.
    gradient : float64 array, shape (images, classes)
        By the logits: softmax less one at the target.
    """
    rows = np.arange(len(logits))
    others = logits - logits[rows, targets][:, None]
    others[rows, targets] = -np.inf
    top = others.max(axis=1)
    against = top + np.log(np.exp(others - top[:, None]).sum(axis=1))
    losses = np.logaddexp(0.0, against)
    gradient = np.exp(others - losses[:, None])
    gradient[rows, targets] = -gradient.sum(axis=1)
    return losses, gradient


@dataclass(frozen=True, eq=False)
class Objective:
    """A weighted mean of cross-entropies over the images of an attack.

    Parameters
    ----------
    name : str
        ``untargeted``, ``n_to_1``, ``1_to_1`` or ``1_to_1_stealthy``.
    targets : int64 array, shape (images,)
        Class whose cross-entropy counts, image by image.
    weights : float64 array, shape (images,)
        How much it counts, 0 or more; 0 for images that the attack does not look at.
    maximise : bool
        Whether flips are to raise the loss.
    labels : int64 array, shape (images,)
        The true classes.
    victims : bool array, shape (images,)
        Images whose class the attack wants to change.
    """

    name: str
    targets: IntArray
    weights: Floats
    maximise: bool
    labels: IntArray
    victims: npt.NDArray[np.bool_]

    def loss(self, logits: Floats) -> float:
        """``sum(weights · CE) / images``, in nats.

        Parameters
        ----------
        logits : float64 array, shape (images, classes)
            In natural units.
        """
        return float(self.weights @ cross_entropy(logits, self.targets)[0] / len(self.weights))

    def gradient(self, logits: Floats) -> Floats:
        """Derivative of :meth:`loss` by the logits, shape (images, classes)."""
        slope: Floats = self.weights[:, None] * cross_entropy(logits, self.targets)[1] / len(self.weights)
        return slope

    def success(self, classes: IntArray) -> float:
        """Share of the victims that the attack has where it wants them, 0..1.

        Untargeted: not in their own class. Otherwise: in the target's class, T-BFA's attack success rate.
        """
        hit = classes != self.labels if self.maximise else classes == self.targets
        return float(hit[self.victims].mean())

    def others_right(self, classes: IntArray) -> float:
        """Share of the other images that are still in their own class, 0..1; NaN if there are no others."""
        others = ~self.victims
        return float((classes == self.labels)[others].mean()) if others.any() else float("nan")


def untargeted(labels: IntArray) -> Objective:
    """BFA: raise ``sum CE(f(x), y)`` over all images.

    Notes
    -----
    Source: Rakin, He, Fan: Bit-Flip Attack, ICCV 2019, section 3; there the mean of a batch, as here.
    """
    every = _labels(labels)
    return Objective("untargeted", every, np.ones(len(every)), True, every, np.ones(len(every), bool))


def n_to_one(labels: IntArray, target: int) -> Objective:
    """T-BFA, N-to-1: lower ``sum CE(f(x), t)`` over all images, so that all become ``t``.

    Parameters
    ----------
    labels : int array, shape (images,)
        True classes.
    target : int
        The class ``t``, 0 or more. Its own images count in the loss, but not as victims.

    Raises
    ------
    BadInput
        If all images are of the target's class, or it is negative.

    Notes
    -----
    Source: Rakin et al., T-BFA, arXiv 2007.12336, section 4.
    """
    every = _labels(labels)
    victims = every != _class("target", target)
    if not victims.any():
        raise BadInput(f"all images are of class {target} already; give images of other classes as well.")
    return Objective("n_to_1", np.full_like(every, target), np.ones(len(every)), False, every, victims)


def one_to_one(labels: IntArray, source: int, target: int) -> Objective:
    """T-BFA, 1-to-1: lower ``sum CE(f(x), t)`` over the images of one class.

    Parameters
    ----------
    labels : int array, shape (images,)
        True classes.
    source, target : int
        Whose images are to become ``target``.

    Raises
    ------
    BadInput
        If both classes are the same, one is negative, or no image is of the source's class.
    """
    every, victims = _pair(labels, source, target)
    return Objective(
        "1_to_1", np.where(victims, target, every), victims.astype(np.float64), False, every, victims
    )


def stealthy(labels: IntArray, source: int, target: int, stealth: float = 1.0) -> Objective:
    """T-BFA, 1-to-1 stealthy: lower ``sum_source CE(f(x), t) + stealth · sum_others CE(f(x), y)``.

    Parameters
    ----------
    labels : int array, shape (images,)
        True classes.
    source, target : int
        As in :func:`one_to_one`.
    stealth : float
        λ, more than 0: how much the other images count.

    Raises
    ------
    BadInput
        As :func:`one_to_one`, or if ``stealth`` is not a positive number.

    Notes
    -----
    The authors' code (``adnansirajrakin/T-BFA``, ``attack.py``) turns the others' loss into a plain number before the
    back-propagation, so that it decides between layers but not between bits; here it decides both, as in the formula.
    """
    if not (np.isfinite(stealth) and stealth > 0):
        raise BadInput(f"stealth must be a positive number, not {stealth}; without it, use one_to_one.")
    every, victims = _pair(labels, source, target)
    weights = np.where(victims, 1.0, stealth).astype(np.float64)
    return Objective("1_to_1_stealthy", np.where(victims, target, every), weights, False, every, victims)


def _pair(labels: IntArray, source: int, target: int) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    every = _labels(labels)
    if _class("source", source) == _class("target", target):
        raise BadInput(f"source and target must be two classes, not both {source}; choose another target.")
    victims = every == source
    if not victims.any():
        raise BadInput(f"no image is of class {source}; give images of the source's class.")
    return every, victims


def _labels(labels: IntArray) -> IntArray:
    every = np.asarray(labels)
    if every.ndim != 1 or not len(every) or every.dtype.kind not in "iu" or every.min() < 0:
        raise BadInput(
            f"labels must be a row of class numbers from 0 on, one per image, not {every.dtype} of shape "
            f"{every.shape}; give those of mnist_images."
        )
    return every.astype(np.int64)


def _class(role: str, value: int) -> int:
    if value < 0:
        raise BadInput(f"{role} must be a class number from 0 on, not {value}; the digits are 0..9.")
    return value
