"""Second pass: an element onto its row's line, times its channel's factor, plus its offset."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.cores.norm.config import NormConfig
from hwgen.cores.norm.stages import Aged, Stages
from hwgen.emit import Unit
from hwgen.parts.product.rtl import upper

__all__ = ["Lane"]


class Lane(Unit):
    """``y = clamp(floor((x * slope + intercept) * gamma + beta))``, one element per cycle.

    Timing: ``y`` belongs to the inputs of ``config.result_latency`` cycles before; but ``gamma`` and ``beta`` come
    ``config.normalised_latency`` cycles after the others. ``x``, ``slope`` and ``gamma`` are registers.

    Parameters
    ----------
    config : NormConfig
        The core.

    Members
    -------
    x, keep : In
        An element, and whether it is there.
    slope, intercept : In
        Of its row; no ``intercept`` for ``rms``.
    gamma, beta : In
        Of its channel.
    y : Out
        The result, zero if the element is not there.
    """

    def __init__(self, config: NormConfig):
        self.config = config
        members: dict[str, Any] = {
            "x": In(signed(config.in_bits)), "keep": In(1), "slope": In(config.slope.bits),
            "gamma": In(signed(config.GAMMA.bits)), "beta": In(signed(config.beta.bits)),
            "y": Out(signed(config.out_bits)),
        }  # fmt: skip
        if config.form == "layer":
            members["intercept"] = In(config.intercept.bits)
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``lane``."""
        return "lane"

    def elaborate(self, platform: Any) -> Module:
        """Build the stages."""
        m = Module()
        cfg = self.config
        stages = Stages(m, cfg.multiplier_bits)
        normalised = self._normalise(stages)
        scaled = stages.product("scaled", normalised, Aged("gamma", self.gamma, cfg.normalised_latency))
        beta = stages.at(Aged("beta", self.beta, cfg.normalised_latency), scaled.age)
        cut = cfg.NORMALISED_FRACTION + cfg.gamma_fraction - cfg.BETA_FRACTION
        # Whatever lies behind the offset's last bit cannot change the floor.
        total = stages.held("total", upper(scaled.value, cut) + beta)
        whole = total[cfg.BETA_FRACTION :]
        sign, beyond = whole[-1], whole[cfg.out_bits - 1 : -1]
        end = Mux(sign, Const(cfg.result.low), Const(cfg.result.high))
        fits = beyond == sign.replicate(len(beyond))
        keep = stages.at(Aged("keep", self.keep, 0), scaled.age + 1)
        y = stages.held("y_held", Mux(keep, Mux(fits, whole[: cfg.out_bits], end), 0)[: cfg.out_bits])
        m.d.comb += self.y.eq(y)
        assert scaled.age + 2 == cfg.result_latency
        return m

    def _normalise(self, stages: Stages) -> Aged:
        """The normalised element."""
        cfg = self.config
        fine = cfg.slope_fraction - cfg.intercept_fraction
        extra = cfg.intercept_fraction - cfg.NORMALISED_FRACTION
        bits = fine + cfg.intercept.bits  # the sum wraps back
        product = stages.product("product", Aged("slope", self.slope, 0), Aged("x", self.x, 0), bits)
        intercept: Value | int = 1 << extra >> 1
        if cfg.form == "layer":
            intercept = stages.at(Aged("intercept", self.intercept, 0), product.age)
        y = Signal(signed(cfg.normalised.bits), name="normalised", reset_less=True)
        stages.m.d.sync += y.eq((upper(product.value, fine) + intercept)[extra:])
        assert product.age + 1 == cfg.normalised_latency
        return Aged("normalised", y, product.age + 1)
