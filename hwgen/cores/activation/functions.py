"""The real functions by name, and what is known of their shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["FUNCTIONS", "FloatArray", "Real", "RealFunction"]

FloatArray = npt.NDArray[np.float64]
RealFunction = Callable[[FloatArray], FloatArray]

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


@dataclass(frozen=True)
class Real:
    """A real function.

    Parameters
    ----------
    of : callable
        From arrays of real numbers to arrays of real numbers.
    shape : str
        What saves table: ``delta`` (``f(v) = max(v, 0) - d(|v|)``), ``odd``, ``mirror`` (``f(-v) = 1 - f(v)``),
        ``power`` (``2**v`` or ``e**v``), ``reciprocal``, ``rsqrt``, ``direct`` (nothing is known).
    meaning : str
        The formula.
    """

    of: RealFunction
    shape: str
    meaning: str


def _gelu(v: FloatArray) -> FloatArray:
    return np.asarray(0.5 * v * _erfc(-v / math.sqrt(2)), np.float64)


def _sigmoid(v: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-v))


def _gelu_tanh(v: FloatArray) -> FloatArray:
    # 0.5 v (1 + tanh(a)) = v sigmoid(2 a), which does not cancel where v is far below zero.
    return v * _sigmoid(2 * math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))


FUNCTIONS: dict[str, Real] = {
    "gelu": Real(_gelu, "delta", "v (1 + erf(v / sqrt 2)) / 2"),
    "gelu_tanh": Real(_gelu_tanh, "delta", "v (1 + tanh(sqrt(2 / pi) (v + 0.044715 v^3))) / 2"),
    "quick_gelu": Real(lambda v: v * _sigmoid(1.702 * v), "delta", "v sigmoid(1.702 v)"),
    "silu": Real(lambda v: v * _sigmoid(v), "delta", "v sigmoid(v)"),
    "sigmoid": Real(_sigmoid, "mirror", "1 / (1 + e^-v)"),
    "tanh": Real(np.tanh, "odd", "tanh(v)"),
    "exp": Real(np.exp, "power", "e^v"),
    "exp2": Real(np.exp2, "power", "2^v"),
    "reciprocal": Real(lambda v: 1 / v, "reciprocal", "1 / v"),
    "rsqrt": Real(lambda v: 1 / np.sqrt(v), "rsqrt", "1 / sqrt(v)"),
}
"""By name.

Source: Hendrycks and Gimpel, arXiv 1606.08415 (``gelu``, ``gelu_tanh``, ``quick_gelu``, ``silu``).
"""
