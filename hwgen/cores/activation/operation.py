"""One vector, as a host hands it to the core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.cores.activation.config import ActivationConfig
from hwgen.errors import BadInput
from hwgen.numerics import IntArray

__all__ = ["Vector", "random_vectors"]


@dataclass(frozen=True, eq=False)
class Vector:
    """Arguments.

    Parameters
    ----------
    x : int array, shape (elements,)
        In the core's argument format.
    """

    x: IntArray

    @property
    def macs(self) -> int:
        """None: the products inside are no part of a matrix."""
        return 0

    @classmethod
    def checked(cls, config: ActivationConfig, x: npt.ArrayLike) -> Vector:
        """A vector that the core can take.

        Raises
        ------
        BadInput
            If it is empty or no vector, or a value is outside the format (value and index named).
        """
        values = config.argument.check(x, "x")
        if values.ndim != 1 or not values.size:
            raise BadInput(f"x must be a vector of at least one element, not of shape {tuple(values.shape)}")
        return cls(values)


def random_vectors(config: ActivationConfig, count: int, rng: np.random.Generator) -> list[Vector]:
    """Vectors of all fillings of the last beat; extreme arguments, those around zero, and stretches among them."""
    form = config.argument
    found = []
    for _ in range(count):
        size = int(
            rng.choice([1, config.lanes, config.lanes + 1, int(rng.integers(1, 8 * config.lanes + 40))])
        )
        x = form.random(rng, (size,))
        near = rng.integers(max(form.low, -20), min(form.high, 20), size, endpoint=True)
        start = int(rng.integers(form.low, form.high, endpoint=True))
        stretch = np.clip(start + np.arange(size), form.low, form.high)
        found.append(Vector(np.choose(rng.integers(0, 3, size), [x, near, stretch])))
    return found
