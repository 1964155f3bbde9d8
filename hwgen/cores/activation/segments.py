"""Segments as text, presets of them, and the integers of a table as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from hwgen.cores.activation.formats import rational
from hwgen.errors import BadInput
from hwgen.numerics import IntFormat
from hwgen.parts.piecewise import Region, Table
from hwgen.parts.piecewise.table import narrowest

if TYPE_CHECKING:
    from hwgen.cores.activation.reduction import Reduction

__all__ = [
    "DEFAULTS",
    "PEERS",
    "PRESETS",
    "Preset",
    "decode",
    "encode",
    "fit",
    "layout",
    "steps_text",
    "variants",
]

PEERS = ("ibert", "sigmoid1702")
"""Approximations of GELU that others use, for comparison."""


@dataclass(frozen=True)
class Preset:
    """Segments and precision.

    Parameters
    ----------
    steps : str
        As in the configuration.
    guard : int
        Bits of coefficients behind the result's last bit.
    fraction : int
        If not zero, fraction bits of the coefficients, whatever the result has.
    """

    steps: str
    guard: int = 4
    fraction: int = 0


PRESETS: dict[str, dict[str, Preset]] = {
    "delta_uniform": {"edge_moe": Preset("1/32:5.5", fraction=22)},
    "delta_octave": {
        "19": Preset("1/8:1,1/4:3,1/2:4"),
        "37": Preset("1/16:1,1/8:3,1/4:4"),
        "77": Preset("1/32:1,1/16:3,1/8:4.5", guard=5),
        "109": Preset("1/64:0.5,1/32:1.5,1/16:3.5,1/8:5", guard=6),
    },
    "delta_quad": {
        "8": Preset("1/2:4"),
        "16": Preset("1/4:4"),
        "40": Preset("1/8:5", guard=6),
    },
}
"""By variant and name: the step and range of Edge-MoE, numbers of knots, numbers of segments."""

DEFAULTS: dict[str, dict[str, str]] = {
    "delta": {"delta_uniform": "edge_moe", "delta_octave": "77", "delta_quad": "16"},
    "silu": {
        "delta_uniform": "1/16:12",
        "delta_octave": "1/16:2,1/8:6,1/4:12",
        "delta_quad": "1/4:12",
    },
    "quick_gelu": {
        "delta_uniform": "1/32:7",
        "delta_octave": "1/32:1,1/16:3,1/8:7",
        "delta_quad": "1/4:7",
    },
    "odd": {"uniform": "1/32:5", "octave": "1/32:2,1/16:3,1/8:5", "quad": "1/8:5"},
    "mirror": {"uniform": "1/16:8", "octave": "1/8:2,1/4:6,1/2:9", "quad": "1/4:8"},
    "power": {"uniform": "1/16:1", "quad": "1/4:1"},
    "reciprocal": {"uniform": "1/32:1", "quad": "1/8:1"},
    "rsqrt": {"uniform": "1/16:2", "quad": "1/8:2"},
    "direct": {"uniform": "", "octave": "", "quad": ""},
    "product": {"sigmoid1702": "1/16:2,1/8:4,1/4:6"},
}
"""By shape (or function) and variant: what an empty ``steps`` stands for, and with it a shape's variants."""


def variants(function: str, shape: str) -> tuple[str, ...]:
    """The variants of a function of a shape."""
    return ("table", *DEFAULTS[shape], *(PEERS if function == "gelu" else ()))


def _regions(
    text: str, reduction: Reduction, presets: Mapping[str, Preset], *, coarser: bool
) -> tuple[Region, ...]:
    """Regions of integer arguments from text such as ``1/32:1,1/16:3``; what lies beyond the last one is left out.

    Parameters
    ----------
    text : str
        Step and stop of each region, in real numbers.
    reduction : Reduction
        Has the table's argument.
    presets : mapping of str to Preset
        The variant's, for the sentence.
    coarser : bool
        Whether steps shorter than two arguments become two; otherwise they are refused.

    Raises
    ------
    BadInput
        If the text is no list of steps and stops, or they do not divide the arguments.
    """
    unit = Fraction(2) ** reduction.in_fraction
    found: list[Region] = []
    start = 0
    for part in text.split(","):
        try:
            step, stop = (rational(number) for number in part.split(":"))
        except ValueError:
            names = f", or one of the variant's presets ({', '.join(presets)})" if presets else ""
            raise BadInput(
                f"steps must be step:stop with commas between, such as 1/32:1,1/16:3{names}, not {text!r}"
            ) from None
        length = max(step * unit, Fraction(2)) if coarser else step * unit
        bits = int(length).bit_length() - 1
        if bits < 1 or length != 1 << bits:
            raise BadInput(
                f"a step must be a power of two of at least {2 / unit} (two arguments), not {step}; choose a "
                "longer one"
            )
        end = min((stop - reduction.low) * unit, Fraction(1 << reduction.in_bits))
        if end.denominator != 1 or int(end) & ((1 << bits) - 1) or start & ((1 << bits) - 1):
            raise BadInput(
                f"the region of step {step} must begin and end at multiples of its step, not at {stop}"
            )
        if end <= start and found:
            break
        found.append(Region(int(end), bits))
        start = int(end)
    return tuple(found)


def steps_text(table: Table) -> str:
    """The text that stands for a table's regions."""
    unit = Fraction(2) ** -table.in_fraction
    low = Fraction(table.low)
    return ",".join(f"{unit * (1 << r.step_bits)}:{low + r.stop * unit}" for r in table.regions)


def encode(table: Table) -> str:
    """The integers of a table as text: form, guard, regions, columns."""
    parts = [",".join(f"{r.stop}:{r.step_bits}" for r in table.regions)]
    parts += [",".join(map(str, column)) for column in table.coefficients]
    return ";".join([table.form, str(table.guard), *parts])


def decode(text: str, reduction: Reduction) -> Table:
    """The table that :func:`encode` wrote.

    Raises
    ------
    BadInput
        If it is none.
    """
    try:
        form, guard, pairs, *columns = text.split(";")
        stops = [pair.split(":") for pair in pairs.split(",")]
        return _table(
            reduction,
            form,
            tuple(Region(int(stop), int(bits)) for stop, bits in stops),
            tuple(tuple(map(int, column.split(","))) for column in columns),
            int(guard),
        )
    except ValueError:
        raise BadInput("table must be a text that ActivationConfig.of_callable wrote") from None


def _table(
    reduction: Reduction,
    form: str,
    regions: tuple[Region, ...],
    columns: tuple[tuple[int, ...], ...],
    guard: int,
) -> Table:
    """The table with the narrowest format of results."""
    wide = Table(
        form, reduction.in_bits, IntFormat(62, True), regions, columns, guard,
        float(reduction.low), reduction.in_fraction, reduction.out_fraction,
    )  # fmt: skip
    return replace(wide, out=narrowest(*wide.range))


def layout(
    reduction: Reduction, variant: str, steps: str, guard: int, defaults: Mapping[str, str] | None = None
) -> tuple[str, tuple[Region, ...], int]:
    """Form, regions and guard of a variant's table.

    Parameters
    ----------
    reduction : Reduction
        Has the table's argument.
    variant, steps, guard : str, str, int
        As in the configuration.
    defaults : mapping of str to str, optional
        What empty ``steps`` stand for, by variant.

    Raises
    ------
    BadInput
        If the steps do not fit the variant or the argument.
    """
    if variant == "table":
        return "constant", (Region(1 << reduction.in_bits, 0),), 0
    presets = PRESETS.get(variant, {})
    name = steps or (defaults or {}).get(variant, "")
    preset = presets.get(name) or Preset(name)
    # Presets are for any format, so where arguments are farther apart, segments are too.
    regions = _regions(preset.steps, reduction, presets, coarser=not steps or steps in presets)
    if "uniform" in variant and len(regions) > 1:
        raise BadInput(
            f"the variant {variant} has one step, not {preset.steps!r}; choose one, or an octave variant"
        )
    # Mantissas jump from octave to octave, so knots are not for them.
    form = "quadratic" if variant.endswith("quad") else "linear" if reduction.scaled else "knots"
    behind = max(preset.fraction - reduction.out_fraction, 1) if preset.fraction else preset.guard
    return form, regions, guard or behind


def fit(reduction: Reduction, form: str, regions: tuple[Region, ...], guard: int) -> Table:
    """The table of a layout."""
    from hwgen.parts.piecewise.fit import Problem  # SciPy, only for those who need a table made

    low = float(reduction.low)
    problem = Problem(
        reduction.of, reduction.in_bits, reduction.in_fraction, low, reduction.out_fraction, None
    )
    return problem.fit(form, regions, guard)
