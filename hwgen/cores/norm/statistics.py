"""Between the passes: a row's sums become the line on which its elements are put; one row per cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.cores.norm.config import NormConfig
from hwgen.cores.norm.rsqrt import COARSE, centre, table
from hwgen.cores.norm.stages import Aged, Stages, choose
from hwgen.emit import Unit, place
from hwgen.parts.piecewise.rtl import Piecewise
from hwgen.parts.product.rtl import upper

__all__ = ["Statistics"]


class Statistics(Unit):
    """1 / sigma and mean / sigma of each row, from its exact variance.

    Timing: ``slope`` and ``intercept`` belong to the sums of ``config.rows.stat_latency - config.sums_latency``
    cycles before.

    Parameters
    ----------
    config : NormConfig
        The core.

    Members
    -------
    count, squares, eps : In
        Of a row; ``sum`` too for ``layer``.
    slope : Out
        1 / sigma, zero if the variance is.
    intercept : Out
        Less mean / sigma, and half of what the lanes cut off; not for ``rms``.
    """

    def __init__(self, config: NormConfig):
        self.config = config
        members: dict[str, Any] = {
            "count": In(config.count.bits), "squares": In(config.squares.bits), "eps": In(config.EPS.bits),
            "slope": Out(config.slope.bits),
        }  # fmt: skip
        if config.form == "layer":
            members |= {"sum": In(signed(config.sum.bits)), "intercept": Out(config.intercept.bits)}
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``statistics``."""
        return "statistics"

    def elaborate(self, platform: Any) -> Module:
        """Build the stages."""
        m = Module()
        stages = Stages(m, self.config.multiplier_bits)
        spread, varies = self._spread(stages)
        mantissa, moved = self._normalise(m, stages, spread)
        root = self._root(m, platform, stages, mantissa, moved)
        self._line(m, stages, root, moved, varies)
        return m

    def _linked(self, stages: Stages, product: Aged) -> Aged:
        """A product on its way to the next multiplier."""
        age = product.age + self.config.link_latency
        return Aged(f"{product.name}_linked", stages.at(product, age), age)

    def _input(self, name: str) -> Aged:
        return Aged(name, getattr(self, name), 0)

    def _spread(self, stages: Stages) -> tuple[Aged, Aged]:
        """The spread, and whether the variance is not zero."""
        cfg = self.config
        count = self._input("count")
        variance = stages.product("count_squares", self._input("squares"), count)
        if cfg.form == "layer":
            total = self._input("sum")
            (a, b), age = stages.align(variance, stages.product("sum_square", total, total))
            variance = Aged("variance", stages.held("variance", (a - b)[: cfg.variance.bits]), age + 1)
        square = self._linked(stages, stages.product("count_square", count, count))
        (a, b), age = stages.align(variance, stages.product("eps_share", self._input("eps"), square))
        spread = stages.held("spread", Cat(Const(0, cfg.eps_fraction), a) + b)
        varies = stages.held("varies", a.any())
        assert age + 1 == cfg.spread_latency
        return Aged("spread", spread, age + 1), Aged("varies", varies, age + 1)

    def _normalise(self, m: Module, stages: Stages, spread: Aged) -> tuple[Aged, Aged]:
        """The mantissa, its leading one uppermost, and by how many places of 64 the spread was moved up for it."""
        cfg = self.config
        value: Value = Cat(spread.value, Const(0, cfg.SPREAD.bits))[: cfg.SPREAD.bits]
        moved: Value = Const(0, 0)
        for step in (16, 4, 1):
            # What the steps to come can still bring to the top is kept, and nothing below it.
            width, size = cfg.mantissa_bits + step - 1, len(value)
            free = [value[size - n * step :] == 0 for n in (1, 2, 3)]
            count = Signal(2, name=f"steps_{step}")
            m.d.comb += count.eq(Cat(free[2] | (free[0] & ~free[1]), free[1]))
            padded = Cat(Const(0, width), value)
            choices = [padded[size - n * step :][:width] for n in range(4)]
            moved = stages.held(f"moved_{step}", Cat(count, moved))
            value = stages.held(f"top_{step}", choose(choices, count))
        age = spread.age + cfg.SHIFT_LATENCY
        return Aged("mantissa", value, age), Aged("moved", moved, age)

    def _root(self, m: Module, platform: Any, stages: Stages, mantissa: Aged, moved: Aged) -> Aged:
        """The reciprocal root."""
        cfg = self.config
        odd, bits = ~moved.value[0], cfg.mantissa_bits
        unit = Piecewise("rsqrt", table())
        place(m, "table_rsqrt", unit, platform)
        m.d.comb += unit.x.eq(Cat(mantissa.value[bits - cfg.TABLE_BITS : bits - 1], odd))
        assert (table().latency, len(unit.y)) == (cfg.TABLE_LATENCY, cfg.TABLE_FRACTION)
        guess = Aged("guess", unit.y, mantissa.age + cfg.TABLE_LATENCY)
        if not cfg.terms:
            return guess
        # 1 - m r², of which only the lower bits are not zero.
        square = self._linked(stages, stages.product("guess_square", guess, guess))
        scaled = Aged("scaled", mantissa.value << odd, mantissa.age)
        drop = bits - 1 + 2 * cfg.TABLE_FRACTION - cfg.error_fraction
        unity = stages.product("unity", square, scaled, drop + cfg.error.bits)
        one = centre(cfg.error_fraction) if cfg.terms == 1 else 0  # and 2**error_fraction, beyond its bits
        rest = (one - upper(unity.value, drop))[: cfg.error.bits].as_signed()
        error = Aged("error", stages.held("error", rest), unity.age + 1)
        if cfg.terms == 2:
            error = self._series(stages, error)
        (base, change), age = stages.align(guess, stages.product("correction", error, guess))
        places = cfg.TABLE_FRACTION + 1 + cfg.error_fraction - cfg.root_fraction
        twice = Cat(Const(1, 1), Const(0, cfg.root_fraction - cfg.TABLE_FRACTION), base)
        root = stages.held("root", (twice + upper(change, places - 1))[1 : 1 + cfg.root.bits])
        return Aged("root", root, age + 1)

    def _series(self, stages: Stages, error: Aged) -> Aged:
        """Three quarters of the error's square more."""
        fraction = self.config.error_fraction
        coarse = Aged("coarse", error.value[COARSE:].as_signed(), error.age)
        three = stages.held("three_errors", coarse.value + (coarse.value << 1))
        square = stages.held("error_square", three * stages.at(coarse, error.age + 1))
        share = upper(square, fraction - 2 * COARSE + 2)
        later = stages.at(error, error.age + 2)
        return Aged("series", stages.held("series", (later + share)[: len(later)].as_signed()), error.age + 3)

    def _line(self, m: Module, stages: Stages, root: Aged, moved: Aged, varies: Aged) -> None:
        """Products with the reciprocal root, moved by the exponent and rounded."""
        cfg = self.config
        parts = {"slope": (stages.product("count_root", root, self._input("count")), cfg.slope_fraction)}
        if cfg.form == "layer":
            parts["intercept"] = (
                stages.product("sum_root", root, self._input("sum")),
                cfg.intercept_fraction,
            )
        age = max(product.age for product, _ in parts.values())
        # A variance that is not zero has its leading one no lower than the first bit before the point.
        exponent = stages.held("exponent", ((~moved.value[1:])[:5] - cfg.eps_fraction // 2)[:5])
        places = stages.at(Aged("exponent", exponent, moved.age + 1), age)
        fine = stages.held("fine", places[:3])
        for name, (product, fraction) in parts.items():
            port: Value = getattr(self, name)
            drop, width = cfg.root_fraction - fraction, len(port) + 1  # the lowest bit decides about rounding
            later = stages.at(product, age)
            value = Cat(Const(0, max(-drop, 0) + 1), later)[max(drop, 0) :]
            fill = later[-1] if later.shape().signed else Const(0, 1)
            value = Cat(value, fill.replicate(width + 31))
            near = stages.held(
                f"{name}_near", choose([value[n * 8 :][: width + 7] for n in range(4)], places[3:])
            )
            twice = stages.held(f"{name}_twice", choose([near[n : n + width] for n in range(8)], fine))
            rounded = twice + 1
            if name == "intercept":
                half = 1 << (cfg.intercept_fraction - cfg.NORMALISED_FRACTION) >> 1
                rounded = ~twice + (1 + 2 * half)
            valid = stages.at(varies, age + 2)
            m.d.comb += port.eq(stages.held(f"{name}_held", Mux(valid, rounded[1:], 0)[: len(port)]))
        assert age + 3 == cfg.rows.stat_latency - cfg.sums_latency
