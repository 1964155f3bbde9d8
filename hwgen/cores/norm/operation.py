"""One row with its elements, as a host hands it to the core, and sets of factors and offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.cores.norm.config import NormConfig
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, IntFormat, ceil_div

__all__ = ["Parameters", "Row", "effective", "random_parameters", "random_rows"]


@dataclass(frozen=True, eq=False)
class Parameters:
    """A set of factors and offsets, and eps: ``out = floor(y gamma + beta)``, clamped.

    Parameters
    ----------
    gamma : int array, shape (channels,)
        In units of ``2**-gamma_fraction``.
    beta : int array, shape (channels,)
        In units of ``2**-7``; half a unit of the result in it makes the floor a rounding.
    eps : int
        Added to the variance of the elements, in units of ``2**-eps_fraction``.
    """

    gamma: IntArray
    beta: IntArray
    eps: int

    @property
    def channels(self) -> int:
        """Elements of the longest row that it serves."""
        return len(self.gamma)

    def beats(self, lanes: int) -> int:
        """Beats on stream ``p``."""
        return ceil_div(self.channels, lanes)

    @classmethod
    def of_reals(
        cls,
        config: NormConfig,
        gamma: npt.ArrayLike,
        beta: npt.ArrayLike,
        *,
        eps: float,
        in_scale: float,
        out_scale: float,
        out_zero: int = 0,
    ) -> Parameters:
        """The set nearest to a layer's real parameters; its results are rounded to the nearest integer, halves up.

        Parameters
        ----------
        config : NormConfig
            The core.
        gamma, beta : float array, shape (channels,)
            Of the layer.
        eps : float
            Of the layer: added to the variance of the real elements.
        in_scale, out_scale : float
            What a unit of an element, and of a result, stands for.
        out_zero : int
            Result that stands for zero.

        Raises
        ------
        BadInput
            If a number does not fit its format.
        """
        if not (np.isfinite([in_scale, out_scale]).all() and in_scale > 0 and out_scale > 0):
            raise BadInput(f"in_scale and out_scale must be positive, not {in_scale} and {out_scale}")
        factor = np.asarray(gamma, np.float64) / out_scale * 2.0**config.gamma_fraction
        offset = (np.asarray(beta, np.float64) / out_scale + out_zero + 0.5) * 2.0**config.BETA_FRACTION
        variance = eps / in_scale**2 * 2.0**config.eps_fraction
        return cls(
            _rounded("gamma / out_scale", factor, config.GAMMA, config.gamma_fraction),
            _rounded("beta / out_scale + out_zero", offset, config.beta, config.BETA_FRACTION),
            int(_rounded("eps / in_scale**2", np.array([variance]), config.EPS, config.eps_fraction)[0]),
        )


def _rounded(name: str, units: npt.NDArray[np.float64], form: IntFormat, fraction: int) -> IntArray:
    values = np.rint(units)
    fits = (values >= form.low) & (values <= form.high)
    if not fits.all():
        worst = float(np.ravel(units)[int(np.flatnonzero(~np.ravel(fits))[0])]) * 2.0**-fraction
        low, high = form.low * 2.0**-fraction, form.high * 2.0**-fraction
        raise BadInput(
            f"{name} must lie in {low:g}..{high:g} ({form}, {fraction} bits behind the point), not {worst:g}; "
            "choose other scales" + (" or a smaller gamma_fraction" if name.startswith("gamma") else "")
        )
    return values.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Row:
    """One operation.

    Parameters
    ----------
    x : int array, shape (elements,)
        Of format ``config.element``.
    keep : bool array, shape (elements,)
        Which elements take part; the results of the others are zero.
    load : Parameters or None
        The set that holds from this row on; None for that of the row before.
    """

    x: IntArray
    keep: npt.NDArray[np.bool_]
    load: Parameters | None = None

    def beats(self, lanes: int) -> int:
        """Beats on streams ``x`` and ``y``."""
        return ceil_div(len(self.x), lanes)

    @property
    def macs(self) -> int:
        """None: its multiplications are no multiply-accumulates of a product."""
        return 0

    @classmethod
    def checked(
        cls,
        config: NormConfig,
        x: npt.ArrayLike,
        keep: npt.ArrayLike | None = None,
        load: Parameters | None = None,
    ) -> Row:
        """A row that the core can take; ``keep`` is all of it by default.

        Raises
        ------
        BadInput
            If the row is empty or too long, a value is outside its format, or shapes do not match.
        """
        elements = config.element.check(x, "x")
        if elements.ndim != 1 or not 1 <= len(elements) <= config.longest:
            raise BadInput(f"x must have 1..{config.longest} elements in one row, not shape {elements.shape}")
        kept = np.ones(len(elements), np.bool_) if keep is None else np.asarray(keep)
        if kept.dtype != np.bool_ or kept.shape != elements.shape:
            raise BadInput(
                f"keep must be {len(elements)} times true or false, not {kept.dtype} of shape {kept.shape}"
            )
        if load is not None:
            config.GAMMA.check(load.gamma, "gamma")
            config.beta.check(load.beta, "beta")
            config.EPS.check(load.eps, "eps")
            if load.gamma.shape != load.beta.shape or not len(elements) <= load.channels <= config.longest:
                raise BadInput(
                    f"gamma and beta must have {len(elements)}..{config.longest} channels each, not "
                    f"{len(load.gamma)} and {len(load.beta)}"
                )
        return cls(elements, kept, load)


def effective(operations: Sequence[Row]) -> list[Parameters]:
    """The set that holds for each row.

    Raises
    ------
    BadInput
        If the first row loads none, or a set has fewer channels than a row.
    """
    held: list[Parameters] = []
    for index, row in enumerate(operations):
        current = row.load or (held[-1] if held else None)
        if current is None:
            raise BadInput("the first row must load a set of factors and offsets; give it one")
        if current.channels < len(row.x):
            raise BadInput(
                f"row {index} has {len(row.x)} elements, but its factors and offsets only "
                f"{current.channels} channels; load a larger set"
            )
        held.append(current)
    return held


def random_parameters(config: NormConfig, channels: int, rng: np.random.Generator) -> Parameters:
    """A set, half of whose factors spread results over their range; the others are of any size."""
    usual = rng.uniform(-0.4, 0.4, channels) * 2.0 ** (config.out_bits + config.gamma_fraction - 1)
    usual = np.clip(usual, config.GAMMA.low, config.GAMMA.high).astype(np.int64)
    gamma = np.where(rng.random(channels) < 0.5, usual, config.GAMMA.random(rng, (channels,)))
    small = rng.integers(-(1 << 9), 1 << 9, channels)
    beta = np.where(rng.random(channels) < 0.7, small, config.beta.random(rng, (channels,)))
    eps = int(rng.choice([0, 1, int(rng.integers(1 << 12)), config.EPS.high]))
    return Parameters(gamma, beta, eps)


def random_rows(config: NormConfig, count: int, rng: np.random.Generator) -> list[Row]:
    """Rows of every kind that is hard, lengths at their ends, sets that come seldom or with every row."""
    rows: list[Row] = []
    often = rng.choice([0.1, 0.5, 1.0])
    channels = 0
    for _ in range(count):
        edges = [1, 2, config.lanes, config.lanes + 1, int(rng.integers(1, config.longest + 1))]
        if rng.random() < 0.1:
            edges = [config.longest]
        n = min(int(rng.choice(edges)), config.longest)
        load = None
        if n > channels or rng.random() < often:
            channels = int(rng.integers(n, min(config.longest, n + 3 * config.lanes) + 1))
            load = random_parameters(config, channels, rng)
        keep = rng.random(n) < rng.choice([0.0, 0.3, 0.9, 1.0, 1.0, 1.0])
        rows.append(Row(_elements(config, n, rng), keep, load))
    return rows


def _elements(config: NormConfig, n: int, rng: np.random.Generator) -> IntArray:
    """Noise of any size, constants, one outlier, alternating ends of the range."""
    form = config.element
    kind = int(rng.integers(6))
    if kind == 0:
        return np.full(n, rng.choice([form.low, form.high, 0, -1, 1]))
    x = np.full(n, int(rng.choice([form.low + 1, form.high - 1, 0])))
    if kind == 1:
        x[rng.integers(n)] += int(rng.choice([1, -1]))
        return x
    if kind == 2:
        x[rng.integers(n)] = int(rng.choice([form.low, form.high]))
        return x
    if kind == 3:
        return np.where(np.arange(n) % 2, form.low, form.high)
    if kind == 4:
        return form.random(rng, (n,))
    sigma, mean = 2.0 ** rng.uniform(-1, config.in_bits - 2), rng.uniform(form.low, form.high)
    return np.clip(np.rint(rng.normal(mean, sigma, n)), form.low, form.high).astype(np.int64)
