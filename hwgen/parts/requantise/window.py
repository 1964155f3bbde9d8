"""A shifter that keeps the bits around the point, and remembers what it has to know of the others."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.numerics import ceil_div

__all__ = ["Window"]


class Window:
    """Bits of a number around the point, and what has to be known of those that were cut off.

    Parameters
    ----------
    bits : Value
        The number; bit 0 lies behind the point.
    sign : Value
        Its sign.
    gaps : bool
        Whether zeros that are cut off matter too.
    """

    def __init__(self, bits: Value, sign: Value, *, gaps: bool = False):
        self.bits = bits
        self.sign = sign
        self.sticky: Value = Const(0, 1)  # a one was cut off below
        self.gap: Value | None = Const(0, 1) if gaps else None  # a zero was cut off below
        self.over: Value = Const(0, 1)  # something that is not the sign was cut off above

    def cut(self, m: Module, name: str, places: Value, log_step: int, width: int, ignored: int = 0) -> None:
        """Shift right by ``places << log_step`` and keep the lowest ``width`` bits.

        The last cut (``log_step`` 0) also has to know whether the topmost bit it keeps is the sign. The lowest
        ``ignored`` bits do not count as cut off.
        """
        steps = 1 << len(places)
        step = 1 << log_step
        count = max(len(self.bits), width + (steps - 1) * step)
        extended = Cat(self.bits, *(self.sign for _ in range(count - len(self.bits))))
        kept = Signal(width, name=f"{name}_window")
        sticky = Signal(name=f"{name}_below")
        over = Signal(name=f"{name}_above")
        first_above = width - (log_step == 0)
        choices = [extended[n * step : n * step + width] for n in range(steps)]
        for bit in places:
            choices = [Mux(bit, *pair) for pair in zip(choices[1::2], choices[::2], strict=True)]
        m.d.comb += kept.eq(choices[0])
        # Groups of one step each, so that each is looked at once however far the shift goes.
        beyond = [*(places > n for n in range(steps - 1)), Const(0, 1)]  # the shift goes beyond group n
        stops = [(n + 1) * step for n in range(steps - 1)]
        groups = [extended[min(max(stop - step, ignored), stop) : stop] for stop in stops]
        below = [group.any() & beyond[n] for n, group in enumerate(groups)]
        above = []
        for n in range(min(steps, ceil_div(len(self.bits) - first_above, step))):
            at = first_above + n * step
            group = self.bits[at : at + step] if n < steps - 1 else self.bits[at:]
            above.append((group ^ self.sign.replicate(len(group))).any() & ~beyond[n])
        m.d.comb += [sticky.eq(self.sticky | Cat(below).any()), over.eq(self.over | Cat(above).any())]
        if self.gap is not None:
            gap = Signal(name=f"{name}_hole")
            holes = [~group.all() & beyond[n] for n, group in enumerate(groups)]
            m.d.comb += gap.eq(self.gap | Cat(holes).any())
            self.gap = gap
        self.bits, self.sticky, self.over = kept, sticky, over

    def hold(self, m: Module, name: str) -> None:
        """Put a register behind all of it."""
        for part in ("bits", "sign", "sticky", "over", *(["gap"] if self.gap is not None else [])):
            value: Value = getattr(self, part)
            register = Signal(len(value), name=f"{name}_{part}", reset_less=True)
            m.d.sync += register.eq(value)
            setattr(self, part, register)
