"""The cheapest configuration that meets an error target, proved by visiting every argument."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from fractions import Fraction
from itertools import product
from typing import Any

from hwgen.cores.activation.accuracy import accuracy
from hwgen.cores.activation.config import CUSTOM, MAX_TABLE_BITS, ActivationConfig
from hwgen.cores.activation.formats import Formats
from hwgen.cores.activation.functions import FUNCTIONS, RealFunction
from hwgen.cores.activation.reduction import Reduction, direct
from hwgen.cores.activation.resources import lane
from hwgen.cores.activation.segments import DEFAULTS, encode, steps_text
from hwgen.errors import BadInput
from hwgen.parts.piecewise import Table

__all__ = ["DSP_LUTS", "cost", "design"]

DSP_LUTS = 100
"""LUTs that a DSP block counts as where costs are compared."""

_SHARES = (1.0, 0.9, 0.75, 0.5)  # of the target, for the table alone, tried in turn


def cost(config: ActivationConfig) -> int:
    """Estimated LUTs of a lane, a DSP block counted as :data:`DSP_LUTS`, a block RAM as five of them."""
    one = lane(config)
    return one.lut + DSP_LUTS * (one.dsp + 5 * one.bram36)


def design(
    function: str | RealFunction,
    formats: Formats,
    max_error: float,
    *,
    scale: str = "1",
    saturate: bool = False,
    lanes: int = 1,
) -> ActivationConfig:
    """The cheapest configuration whose results are nowhere farther from the function than ``max_error``.

    Every variant that the function has is tried with the fewest table bits that meet the target; the cheapest by
    :func:`cost` is returned. The error is that of :func:`~hwgen.cores.activation.accuracy.accuracy`: over every
    argument, final rounding included.

    Parameters
    ----------
    function : str or callable
        A name of :data:`~hwgen.cores.activation.functions.FUNCTIONS`, or a function of float64 arrays.
    formats : Formats
        Of arguments and results.
    max_error : float
        In real units; half of ``2**-out_fraction`` is correct rounding.
    scale, saturate, lanes : str, bool, int
        As in :class:`~hwgen.cores.activation.config.ActivationConfig`.

    Raises
    ------
    BadInput
        If the target is not positive, or no configuration meets it: the sentence names the best one found, its
        error and its cost.
    """
    if not max_error > 0:
        raise BadInput(f"max_error must be positive, not {max_error:g}")
    settings: dict[str, Any] = {**asdict(formats), "scale": scale, "saturate": saturate, "lanes": lanes}
    real = _real(function)
    best: ActivationConfig | None = None
    nearest: tuple[float, ActivationConfig] | None = None
    for found in _candidates(function, settings, max_error):
        error = accuracy(found, real).largest
        if nearest is None or error < nearest[0]:
            nearest = error, found
        if error <= max_error and (best is None or cost(found) < cost(best)):
            best = found
    if best is not None:
        return best
    assert nearest is not None
    error, found = nearest
    one = lane(found)
    raise BadInput(
        f"no variant stays within {max_error:g}; the nearest, {found.variant} with {found.pieces.table_bits} table "
        f"bits, about {one.lut} LUT, {one.dsp} DSP and {one.bram36} block RAM, stays within {error:.4g}: allow that, "
        "or more fraction bits of results"
    )


def _candidates(
    function: str | RealFunction, settings: dict[str, Any], max_error: float
) -> Iterator[ActivationConfig]:
    """Configurations that may meet the target, the nearest known of those variants that cannot among them."""
    from hwgen.parts.piecewise.search import Unreachable, cheapest

    if settings["in_bits"] <= MAX_TABLE_BITS:
        yield _make(function, settings, "table", None)
    try:
        how = _reduction(function, settings)
    except BadInput:  # the function cannot be reduced in these formats
        return
    prefix = "delta_" if how.shape == "delta" else ""
    target = max_error
    if how.scaled:  # in the units of a result that is not shifted
        target *= 2.0 ** (settings["out_fraction"] - how.out_fraction)
    forms = ("linear" if how.scaled else "knots", "quadratic")
    for form, max_regions in product(forms, (1,) if how.scaled else (1, 4)):
        for share in _SHARES:
            reached = True
            try:
                table = cheapest(
                    how.of, in_bits=how.in_bits, in_fraction=how.in_fraction, low=float(how.low),
                    out_fraction=how.out_fraction, max_error=share * target, forms=(form,), max_regions=max_regions,
                )  # fmt: skip
            except Unreachable as error:
                table, reached = error.table, False
            name = "quad" if form == "quadratic" else "uniform" if table.direct else "octave"
            found = _make(function, settings, prefix + name, table)
            yield found
            if not reached or accuracy(found, _real(function)).largest <= max_error:
                break


def _real(function: str | RealFunction) -> RealFunction:
    return FUNCTIONS[function].of if isinstance(function, str) else function


def _reduction(function: str | RealFunction, settings: dict[str, Any]) -> Reduction:
    """The reduction for a piecewise variant."""
    if not isinstance(function, str):
        formats = Formats(**{field.name: settings[field.name] for field in fields(Formats)})
        factor = Fraction(settings["scale"])
        formats.ideal(function, float(factor), saturate=settings["saturate"], name="the function")
        return direct(function, formats, factor)
    variant = next(iter(DEFAULTS[FUNCTIONS[function].shape]))
    return ActivationConfig(function=function, variant=variant, **settings).reduction


def _make(
    function: str | RealFunction, settings: dict[str, Any], variant: str, table: Table | None
) -> ActivationConfig:
    """The configuration of a variant; with the segments of a table that was found."""
    if isinstance(function, str):
        steps, guard = (steps_text(table), table.guard) if table else ("", 0)
        return ActivationConfig(function=function, variant=variant, steps=steps, guard=guard, **settings)
    if table is None:
        return ActivationConfig.of_callable(function, variant=variant, **settings)
    return ActivationConfig(function=CUSTOM, variant=variant, table=encode(table), **settings)
