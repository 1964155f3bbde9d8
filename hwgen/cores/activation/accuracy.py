"""How far a configuration is away from its real function, over every argument."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwgen.cores.activation.config import CUSTOM, ActivationConfig
from hwgen.cores.activation.functions import FUNCTIONS, RealFunction
from hwgen.cores.activation.values import all_results
from hwgen.errors import BadInput

__all__ = ["Accuracy", "accuracy"]


@dataclass(frozen=True)
class Accuracy:
    """Errors over every argument; results that the output format does not hold count as its nearest value.

    Parameters
    ----------
    largest, mean, mean_square : float
        Of the absolute error, in real units; of its square.
    ulp : float
        The largest one in units of the result's last bit; half of one is correct rounding.
    at : float
        The real argument of the largest one.
    """

    largest: float
    mean: float
    mean_square: float
    ulp: float
    at: float


def accuracy(config: ActivationConfig, function: RealFunction | None = None) -> Accuracy:
    """Errors of a configuration, proved: every argument is visited.

    Parameters
    ----------
    config : ActivationConfig
        The core.
    function : callable, optional
        What to compare with; its own function by default.

    Raises
    ------
    BadInput
        If the function is ``custom`` and no callable is given.
    """
    if function is None:
        if config.function == CUSTOM:
            raise BadInput(
                "a custom function is known by its table only: give the callable to compare it with"
            )
        function = FUNCTIONS[config.function].of
    ideal = config.formats.ideal(function, float(config.factor), saturate=True, name=config.function)
    error = np.abs(all_results(config) * 2.0**-config.out_fraction - ideal)
    worst = int(np.argmax(error))
    largest = float(error[worst])
    return Accuracy(
        largest,
        float(error.mean()),
        float(np.square(error).mean()),
        largest * 2.0**config.out_fraction,
        float(config.formats.arguments[worst] * config.factor) * 2.0**-config.in_fraction,
    )
