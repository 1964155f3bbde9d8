"""Configuration of the activation core, and every number that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar, Self

from hwgen.config import CoreConfig, require_bool, require_choice, require_int
from hwgen.cores.activation.formats import Formats, rational
from hwgen.cores.activation.functions import FUNCTIONS, RealFunction
from hwgen.cores.activation.ibert import LATENCY, IbertGelu
from hwgen.cores.activation.reduction import Reduction, direct, reduction
from hwgen.cores.activation.segments import DEFAULTS, PEERS, decode, encode, fit, layout, variants
from hwgen.errors import BadInput, HwgenError
from hwgen.numerics import IntFormat
from hwgen.parts.elastic.timing import ElasticTiming
from hwgen.parts.piecewise import Region, Table
from hwgen.streams import Field, Stream

__all__ = ["CHEAPEST", "CUSTOM", "MAX_TABLE_BITS", "VARIANTS", "ActivationConfig"]

CUSTOM = "custom"
"""The function of a configuration that carries its table, made from a Python callable."""

CHEAPEST = "cheapest"
"""The variant that stands for the one that :func:`~hwgen.cores.activation.design.design` finds."""

VARIANTS = (
    "table", "delta_uniform", "delta_octave", "delta_quad", "uniform", "octave", "quad", *PEERS, CHEAPEST,
)  # fmt: skip

MAX_TABLE_BITS = 12
"""Widest argument of the variant ``table``."""

_FORMATS = tuple(field.name for field in fields(Formats))


@dataclass(frozen=True, kw_only=True)
class ActivationConfig(CoreConfig):
    """Parameters of the activation core: ``y = f(x)``, element by element.

    An argument ``x`` means ``v = x * scale / 2**in_fraction``, a result ``y`` means ``y / 2**out_fraction``.

    Parameters
    ----------
    function : str
        Of :data:`~hwgen.cores.activation.functions.FUNCTIONS`, or ``custom`` (see :meth:`of_callable`).
    variant : str
        ``table`` (correctly rounded, arguments of at most 12 bits); ``delta_uniform``, ``delta_octave``,
        ``delta_quad`` for functions near ReLU; ``uniform``, ``octave``, ``quad`` for the others; ``ibert``,
        ``sigmoid1702`` for ``gelu``, which others use; ``cheapest``: the configuration becomes the cheapest one
        that stays within ``max_error``.
    in_bits, in_fraction, in_signed : int, int, bool
        Format of arguments: 4..20 bits, -8..24 fraction bits.
    out_bits, out_fraction, out_signed : int, int, bool
        Format of results: 2..24 bits, -8..24 fraction bits.
    scale : str
        A further factor of the argument, a decimal number or a fraction such as ``-1/16``.
    steps : str
        Segments: the name of a preset, or ``step:stop`` with commas between, such as ``1/32:1,1/16:3``; empty for
        the variant's own.
    guard : int
        Bits of coefficients behind the result's last bit, 1..20; 0 for the preset's.
    saturate : bool
        Whether results that the output format does not hold become its nearest value; they are refused
        otherwise.
    lanes : int
        Elements per cycle, 1..32.
    table : str
        The integers of a ``custom`` function's table; empty for the others.
    max_error : str
        With the variant ``cheapest``: a decimal number or a fraction. Empty as soon as the variant is found.
    """

    core: ClassVar[str] = "activation"

    function: str = "gelu"
    variant: str = "table"
    in_bits: int = 8
    in_fraction: int = 4
    in_signed: bool = True
    out_bits: int = 8
    out_fraction: int = 4
    out_signed: bool = True
    scale: str = "1"
    steps: str = ""
    guard: int = 0
    saturate: bool = False
    lanes: int = 1
    table: str = ""
    max_error: str = ""

    def __post_init__(self) -> None:
        require_choice("function", self.function, (*FUNCTIONS, CUSTOM))
        require_choice("variant", self.variant, VARIANTS)
        require_int("guard", self.guard, 0, 20)
        require_int("lanes", self.lanes, 1, 32)
        require_bool("saturate", self.saturate)
        if (self.variant == CHEAPEST) != bool(self.max_error):
            raise BadInput(
                "max_error is for the variant cheapest, and that one needs it: give both or neither"
            )
        if self.variant == CHEAPEST:
            self._become_cheapest()
            return
        formats, factor = self.formats, self.factor  # refused when they are wrong
        if self.variant == "table" and self.in_bits > MAX_TABLE_BITS:
            raise BadInput(
                f"the variant table takes arguments of at most {MAX_TABLE_BITS} bits, not {self.in_bits}; choose a "
                "piecewise one"
            )
        if (self.function == CUSTOM) != bool(self.table) or (self.table and (self.steps or self.guard)):
            raise BadInput(
                "a custom function comes as a table, without steps and guard, and no other one does; make it by "
                "ActivationConfig.of_callable"
            )
        own = "direct" if self.function == CUSTOM else FUNCTIONS[self.function].shape
        if self.variant not in variants(self.function, own):
            raise BadInput(
                f"{self.function} has the variants {', '.join(variants(self.function, own))}, not {self.variant}"
            )
        if self.variant == "table" and (self.steps or self.guard):
            raise BadInput("the variant table has an entry per argument: leave steps and guard empty")
        if self.variant == "ibert" and (self.steps or self.guard):
            raise BadInput("the variant ibert has one parabola: leave steps and guard empty")
        if self.function == CUSTOM:
            decode(self.table, self.reduction)
            return
        formats.ideal(FUNCTIONS[self.function].of, float(factor), saturate=self.saturate, name=self.function)
        if self.variant == "ibert":
            _ = self.ibert  # refused when arguments are too coarse or too fine
        else:
            self._layout()  # refused when there is none in these formats

    def _become_cheapest(self) -> None:
        from hwgen.cores.activation.design import design  # designs are configurations

        if self.function == CUSTOM or self.steps or self.guard or self.table:
            raise BadInput(
                "the variant cheapest chooses steps and guard of a function with a name; leave them and table empty"
            )
        found = design(
            self.function, self.formats, float(_number("max_error", self.max_error)), scale=self.scale,
            saturate=self.saturate, lanes=self.lanes,
        )  # fmt: skip
        for name, value in found.to_dict().items():
            object.__setattr__(self, name, value)

    @classmethod
    def of_callable(cls, function: RealFunction, **settings: Any) -> Self:
        """The configuration of any real function.

        Parameters
        ----------
        function : callable
            From arrays of float64 to arrays of float64. The configuration holds the integers that it leads to,
            not the callable.
        **settings
            Parameters of the configuration: formats, ``scale``, ``variant`` (``table``, ``uniform``, ``octave``,
            ``quad``), ``steps``, ``guard``, ``saturate``, ``lanes``.

        Raises
        ------
        BadInput
            If the function gives no number, or leaves the output format: the argument is named.
        """
        variant, steps = settings.get("variant", "table"), settings.pop("steps", "")
        require_choice("variant", variant, ("table", *DEFAULTS["direct"]))
        if variant != "table" and not steps:
            raise BadInput(f"the variant {variant} of a callable needs steps, such as steps='1/4:0,1/2:4'")
        formats = Formats(**{name: settings[name] for name in _FORMATS if name in settings})
        factor, saturate = _factor(settings.get("scale", "1")), settings.get("saturate", False)
        formats.ideal(function, float(factor), saturate=saturate, name="the function")
        how = direct(function, formats, factor)
        made = fit(how, *layout(how, variant, steps, settings.pop("guard", 0)))
        return cls(function=CUSTOM, table=encode(made), **settings)

    @cached_property
    def formats(self) -> Formats:
        """Formats of arguments and results."""
        return Formats(**{name: getattr(self, name) for name in _FORMATS})

    @property
    def argument(self) -> IntFormat:
        """Format of an argument."""
        return self.formats.argument

    @property
    def result(self) -> IntFormat:
        """Format of a result."""
        return self.formats.result

    @property
    def factor(self) -> Fraction:
        """The number that ``scale`` spells."""
        return _factor(self.scale)

    @property
    def shape(self) -> str:
        """What is used of the function's shape: see :class:`~hwgen.cores.activation.functions.Real`.

        ``product`` is a table's result times the argument, ``parabola`` the integers of I-BERT.
        """
        if self.function == CUSTOM or self.variant == "table":
            return "direct"
        peers = {"ibert": "parabola", "sigmoid1702": "product"}
        return peers.get(self.variant, FUNCTIONS[self.function].shape)

    @cached_property
    def reduction(self) -> Reduction:
        """The arithmetic around the table."""
        return reduction(self)

    @cached_property
    def pieces(self) -> Table:
        """The table."""
        if self.shape == "parabola":
            raise HwgenError("the variant ibert has no table")
        if self.table:
            return decode(self.table, self.reduction)
        return fit(self.reduction, *self._layout())

    @cached_property
    def ibert(self) -> IbertGelu:
        """The integers of the variant ``ibert``."""
        return IbertGelu.of(self.factor * Fraction(2) ** -self.in_fraction, self.out_fraction)

    @property
    def table_bits(self) -> int:
        """Bits of a lane's table."""
        return 0 if self.shape == "parabola" else self.pieces.table_bits

    def _layout(self) -> tuple[str, tuple[Region, ...], int]:
        defaults = DEFAULTS.get(self.function, DEFAULTS[self.shape])
        return layout(self.reduction, self.variant, self.steps, self.guard, defaults)

    @cached_property
    def clamps(self) -> bool:
        """Whether results have to be clamped to the output format: some argument's is beyond it."""
        from hwgen.cores.activation.golden import unclamped  # golden models need configurations

        y = unclamped(self, self.formats.arguments)
        return bool((y < self.result.low).any() or (y > self.result.high).any())

    @property
    def latency(self) -> int:
        """Cycles of a lane, from its argument to its result."""
        if self.shape == "parabola":
            return LATENCY + self.clamps
        before = {"direct": 0, "power": 0 if self.reduction.factor == 1 else 3, "reciprocal": 2, "rsqrt": 2}
        after = {"direct": 0, "delta": 1, "odd": 1, "mirror": 1, "product": 3}
        return before.get(self.shape, 1) + self.pieces.latency + after.get(self.shape, 2) + self.clamps

    @property
    def elastic(self) -> ElasticTiming:
        """The flow control around the lanes."""
        return ElasticTiming(self.latency)

    @property
    def multipliers(self) -> int:
        """Multipliers of a lane."""
        if self.shape == "parabola":
            return 3
        return self.pieces.multipliers + (self.reduction.factor != 1) + (self.shape == "product")

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Ports of the stand-alone block."""
        return (
            Stream(
                "x",
                "in",
                (
                    Field("x", self.lanes, self.argument, f"arguments, {self.in_fraction} fraction bits"),
                    Field(
                        "keep", self.lanes, IntFormat(1, False), "1: the element counts, 0: its result is 0"
                    ),
                ),
                "a vector; TLAST ends it",
                last=True,
            ),
            Stream(
                "y",
                "out",
                (Field("y", self.lanes, self.result, f"results, {self.out_fraction} fraction bits"),),
                "results, beat by beat; TLAST as at the input",
                last=True,
            ),
        )


def _factor(scale: str) -> Fraction:
    factor = _number("scale", scale)
    if not factor:
        raise BadInput(f"scale must be a number such as 0.125 or -1/8, and not zero; it is {scale!r}")
    return factor


def _number(name: str, text: str) -> Fraction:
    try:
        return rational(text)
    except (ValueError, TypeError):
        raise BadInput(f"{name} must be a number such as 0.125 or 1/8, not {text!r}") from None
