"""Exponentials of logits as mantissa and exponent, and their way to fixed point."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.memory import Memory, ReadPort
from amaranth.lib.wiring import In, Out

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.latency import ALIGN, Latency
from hwgen.cores.softmax.polynomial import SplitPiecewise
from hwgen.cores.softmax.stages import register, shift
from hwgen.cores.softmax.tables import RESCALE_BITS, mantissas, pairs, rescale_mantissas
from hwgen.emit import Unit, place
from hwgen.numerics import ceil_log2
from hwgen.parts.delay import delay
from hwgen.parts.piecewise.rtl import Piecewise
from hwgen.parts.piecewise.table import Table
from hwgen.parts.product.rtl import multiply

__all__ = ["Align", "Exponential", "rom"]


def rom(m: Module, name: str, address: Value, words: list[int], width: int) -> Signal:
    """A constant array, read into a register."""
    memory: Memory[Any, Any] = Memory(shape=width, depth=len(words), init=words)
    m.submodules[f"rom_{name}"] = memory
    signature = ReadPort.Signature(addr_width=ceil_log2(len(words)), shape=width)
    port: Any = ReadPort(signature, memory=memory, domain="comb", path=(name,))  # names its signals
    m.d.comb += port.addr.eq(address)
    return register(m, name, Value.cast(port.data))


class Exponential(Unit):
    """``mantissa * 2**exponent = exp(x * step)``, one per cycle.

    Timing: the results belong to the ``x`` of ``Latency.exponential`` cycles before; ``x`` must be a register.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.
    difference : bool
        Whether ``x`` is a logit less the largest one, so never positive and a bit wider.
    fine : bool
        Whether the mantissa is one of those that rescale sums.

    Members
    -------
    x : In
        Signed.
    keep : In(1)
        Not of a difference: whether the element takes part; in the cycle before the results. The exponent is the
        smallest there is if it does not.
    mantissa : Out
        Fraction bits of a number in [1, 2), one of them before the point.
    exponent : Out
        Signed; of a difference, how far it is below zero, unsigned.
    """

    def __init__(self, config: SoftmaxConfig, *, difference: bool, fine: bool = False):
        self.config = config
        self.difference = difference
        self.fine = fine
        self.bits = RESCALE_BITS[config.out_bits] if fine else config.mantissa_bits
        self.latency = Latency(config).fine_exponential if fine else Latency(config).exponential
        exponent: Any = config.fall_bits if difference else signed(config.exponent_bits)
        super().__init__({
            "x": In(signed(config.in_bits + difference)), **({} if difference else {"keep": In(1)}),
            "mantissa": Out(self.bits + 1), "exponent": Out(exponent),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``exponential``, of a difference, fine."""
        return "exponential" + "_of_difference" * self.difference + "_fine" * self.fine

    def elaborate(self, platform: Any) -> Module:
        """Build the multiplier and the table behind it, or the table."""
        m = Module()
        if self.config.exponential == "table":
            self._read(m)
        else:
            self._compute(m, platform)
        return m

    def _read(self, m: Module) -> None:
        """A word for every input."""
        cfg = self.config
        address = self.x[: cfg.in_bits]
        # Words in the order of the unsigned address; of differences, the lowest bits of a negative number.
        logits = np.arange(1 << cfg.in_bits)
        logits = (
            np.where(logits > 0, logits - (1 << cfg.in_bits), 0)
            if self.difference
            else (np.where(logits > cfg.logit.high, logits - (1 << cfg.in_bits), logits))
        )
        mantissa, exponent = pairs(cfg, self.bits, logits)
        width = len(self.exponent)
        exponent = (-exponent if self.difference else exponent) & ((1 << width) - 1)
        words = (exponent << self.bits | (mantissa - (1 << self.bits))).tolist()
        word = rom(m, "word", address, words, width + self.bits)
        found = word[self.bits :]
        if not self.difference:
            found = Mux(register(m, "kept", self.keep), found, 1 << (width - 1))
        m.d.comb += [self.mantissa.eq(Cat(word[: self.bits], Const(1, 1))), self.exponent.eq(found)]

    def _compute(self, m: Module, platform: Any) -> None:
        """Octaves by a product; their fraction goes through the table."""
        cfg = self.config
        table: Table = rescale_mantissas(cfg) if self.fine else mantissas(cfg)
        latency = Latency(cfg)
        octaves = multiply(m, "octaves", self.x, Const(cfg.multiplier), cfg.split)
        drop = cfg.multiplier_shift - self.bits
        cut = Signal(signed(self.bits + cfg.exponent_bits + self.difference), name="cut")
        m.d.comb += cut.eq(octaves >> drop if drop >= 0 else octaves << -drop)
        whole = cut[self.bits :].as_signed()
        name = f"power_of_two{'_fine' * self.fine}"
        cycles = latency.kernel_products(table)
        split = max(cycles) > 1
        kernel = SplitPiecewise(name, table, cfg.split) if split else Piecewise(name, table)
        place(m, "kernel", kernel, platform)
        if self.difference:
            fall = Signal(len(self.exponent), name="fall")
            m.d.comb += fall.eq(-whole)
            whole = fall
        mantissa = Value.cast(kernel.y)
        if table.range[0] < 1 << self.bits:  # lines begin a little below one
            mantissa = Cat(mantissa[:-1] & mantissa[-1].replicate(self.bits), Const(1, 1))
        late = delay(m, whole, latency.kernel(table) - 1, name="whole_delay")
        if not self.difference:  # before the register: what compares exponents has a whole cycle
            late = Mux(self.keep, late[: cfg.exponent_bits].as_signed(), -(1 << (cfg.exponent_bits - 1)))
        m.d.comb += [
            kernel.x.eq(cut[: self.bits]),
            self.mantissa.eq(mantissa),
            self.exponent.eq(register(m, "whole_held", late)),
        ]


class Align(Unit):
    """``value + carry = mantissa * 2**-places`` rounded: the carry waits for an adder that takes it.

    Timing: the results belong to the operands of :data:`~hwgen.cores.softmax.latency.ALIGN` cycles before, which
    must be registers.

    Parameters
    ----------
    mantissa : int
        Bits of the mantissa, one of them before the point.
    fraction : int
        Fraction bits of the value.
    places : int
        Bits of ``places``.

    Members
    -------
    keep : In(1)
        Otherwise the result is zero.
    mantissa, places : In
        Operands, unsigned.
    value, carry : Out
        The result.
    """

    def __init__(self, mantissa: int, fraction: int, places: int):
        self.fraction = fraction
        super().__init__({
            "keep": In(1), "mantissa": In(mantissa), "places": In(places), "value": Out(fraction + 1), "carry": Out(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``align``."""
        return "align"

    def elaborate(self, platform: Any) -> Module:
        """Build the two steps of the shift."""
        m = Module()
        # One bit below the result's last one: it is the carry.
        wide = Cat(Const(0, self.fraction + 2 - len(self.mantissa)), self.mantissa)
        kept = Signal(len(wide), name="kept")
        m.d.comb += kept.eq(wide & self.keep.replicate(len(wide)))
        shifted = shift(m, "term", kept, self.places, len(wide))
        m.d.comb += [self.value.eq(shifted[1:]), self.carry.eq(shifted[0])]
        assert ALIGN == 2
        return m
