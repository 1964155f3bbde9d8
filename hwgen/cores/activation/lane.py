"""One lane: an argument in, its result a fixed number of cycles later, one per cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib.wiring import In, Out

from hwgen.cores.activation.config import ActivationConfig
from hwgen.cores.activation.ibert import DROPPED
from hwgen.cores.activation.reduction import Reduction
from hwgen.emit import Unit, place
from hwgen.numerics import IntFormat, bits_for_range, ceil_log2
from hwgen.parts.delay import delay
from hwgen.parts.piecewise.rtl import Piecewise

__all__ = ["Lane"]

_FINE = 2  # bits of a shift that the second cycle of the shifter does


class Lane(Unit):
    """``y = f(x)``, one result per cycle.

    Timing: ``y`` belongs to the ``x`` of ``config.latency`` cycles before. No reset: what was not put in means
    nothing. ``y`` is a register.

    Parameters
    ----------
    config : ActivationConfig
        The core.

    Members
    -------
    x : In
        The argument.
    y : Out
        The result.
    """

    def __init__(self, config: ActivationConfig):
        self.config = config
        super().__init__({"x": In(_shape(config.argument)), "y": Out(_shape(config.result))})

    @property
    def kind(self) -> str:
        """``lane``."""
        return "lane"

    @property
    def how(self) -> Reduction:
        """The arithmetic around the table."""
        return self.config.reduction

    def elaborate(self, platform: Any) -> Module:
        """Build what surrounds the table."""
        m = Module()
        result = self._parabola(m) if self.config.shape == "parabola" else self._tabled(m, platform)
        if self.config.clamps:
            result = self._clamp(m, result)
        m.d.comb += self.y.eq(result)
        return m

    def _tabled(self, m: Module, platform: Any) -> Value:
        pieces = Piecewise("pieces", self.config.pieces)
        place(m, "pieces", pieces, platform)
        if self.how.shape == "direct":
            return self._direct(m, pieces)
        if self.how.scaled:
            return self._scaled(m, pieces)
        return self._symmetric(m, pieces)

    def _direct(self, m: Module, pieces: Piecewise) -> Value:
        # From the lowest argument up: two's complement with its sign inverted.
        top = self.x[-1] ^ self.config.in_signed
        m.d.comb += pieces.x.eq(Cat(self.x[:-1], top))
        y: Value = pieces.y
        return y

    def _magnitude(self, m: Module) -> tuple[Value, Value]:
        """Whether the argument is negative, and a register of its magnitude; the lowest one's is one too small."""
        negative: Value = Const(0, 1)
        magnitude: Value = self.x
        if self.config.in_signed:
            negative, low = self.x[-1], self.x[:-1]
            magnitude = (low ^ negative.replicate(len(low))) + (negative & low.any())
        return negative, _register(m, "magnitude", magnitude, unsigned(self.config.formats.magnitude_bits))

    def _symmetric(self, m: Module, pieces: Piecewise) -> Value:
        """Functions of ``|x|`` with a symmetry."""
        how, age = self.how, self.config.pieces.latency
        negative, argument = self._magnitude(m)
        m.d.comb += pieces.x.eq(argument)
        if how.shape == "delta":
            relu = _register(m, "relu", Mux(negative, 0, self.x), unsigned(how.in_bits))
            half = (1 << how.down) >> 1
            return _register(m, "sum", ((delay(m, relu, age) << how.up) - pieces.y + half) >> how.down)
        turned = delay(m, _register(m, "turned", negative if how.shape == "odd" else ~negative), age)
        one = 1 if how.shape == "odd" else (1 << how.out_fraction) + 1
        y = Signal(signed(len(pieces.y) + 1), name="upright")
        m.d.comb += y.eq(pieces.y)
        inverted = (y.as_unsigned() ^ turned.replicate(len(y))).as_signed()
        if how.shape != "product":
            return _register(m, "sum", inverted + Mux(turned, one, 0))
        weight = _register(m, "weight", inverted + Mux(turned, one, 0), unsigned(how.out_fraction + 1))
        product = _register(m, "product", delay(m, self.x, age + 2, name="x_weight") * weight)
        return _rounded(m, product, how.down)

    def _parabola(self, m: Module) -> Value:
        """I-BERT: the square, the weight ``h``, its product with the argument, and that times the factor."""
        c = self.config.ibert
        negative, magnitude = self._magnitude(m)
        bits = c.root.bit_length()
        left = Signal(signed(max(bits, len(magnitude)) + 1), name="left")
        m.d.comb += left.eq(c.root - magnitude)
        away = _register(m, "away", Mux(left[-1], 0, left), unsigned(bits))
        square = _register(m, "square", away * away)
        late = delay(m, _register(m, "negative", negative), 2)
        q = _register(m, "q", Mux(late, c.top - square, square - c.top))
        h = _register(m, "h", c.one - (q >> DROPPED), unsigned((2 * c.one + 1).bit_length()))
        product = _register(m, "product", delay(m, self.x, 5, name="x_h") * h)
        scaled = _register(m, "scaled", product * Const(c.factor))
        return _rounded(m, scaled, c.drop)

    def _scaled(self, m: Module, pieces: Piecewise) -> Value:
        """A mantissa from the table, shifted right by the exponent, rounded half up."""
        how, age = self.how, self.config.pieces.latency
        exponent, u, absent = self._exponential(m) if how.shape == "power" else self._normalised(m)
        m.d.comb += pieces.x.eq(u)
        mantissa: Value = Cat(Const(0, 1), pieces.y)  # the bit that is shifted out last decides the rounding
        bits = ceil_log2(len(mantissa) + 1)
        shift = Signal(signed(bits_for_range(how.shift_low, how.shift_high)), name="shift")
        m.d.comb += shift.eq(exponent - how.shift_base if how.falling else how.shift_base - exponent)
        amount = _register(m, "near", shift[:bits])
        if how.shift_high >> bits:
            amount = Mux(_register(m, "far", shift[bits:-1].any()), -1, amount)
        amount = delay(m, _register(m, "amount", amount, unsigned(bits)), age - 2)
        coarse = _register(m, "coarse", mantissa >> (amount[_FINE:] << _FINE), unsigned(len(mantissa)))
        fine = _register(m, "fine", amount[:_FINE])
        rounded = (((coarse >> fine) + 1) >> 1)[: len(pieces.y) + 1]
        beyond = [*absent, *([shift[-1]] if how.shift_low < 0 else [])]
        if beyond:
            late = delay(m, _register(m, "beyond", Cat(beyond).any()), age)
            rounded = Mux(late, self.config.result.high, rounded)
        return _register(m, "rounded", rounded)

    def _exponential(self, m: Module) -> tuple[Value, Value, list[Value]]:
        """``power``: exponent and its fraction."""
        how = self.how
        e: Value = self.x
        if how.factor != 1:
            x = _register(m, "argument", self.x)
            product = _register(m, "product", x * Const(how.factor))
            e = _register(m, "exponent", (product + ((1 << how.drop) >> 1)) >> how.drop)
        exponent = e[how.in_bits :]
        return exponent.as_signed() if self.config.in_signed else exponent, e[: how.in_bits], []

    def _normalised(self, m: Module) -> tuple[Value, Value, list[Value]]:
        """``reciprocal``, ``rsqrt``: the leading one moved to the top in two cycles, in steps that halve.

        Gives the exponent, the fraction behind the leading one, and that there is none.
        """
        n = self.config.in_bits
        word: Value = self.x
        zeros: list[Value] = []  # from the largest step down
        steps = [1 << k for k in reversed(range(ceil_log2(n)))]
        half = (len(steps) + 1) // 2
        for cycle, part in enumerate((steps[:half], steps[half:])):
            for step in part:
                zeros.append(~word[n - step :].any())
                word = Mux(zeros[-1], word << step, word)[:n]
            zeros = [_register(m, f"zeros_{cycle}_{i}", bit) for i, bit in enumerate(zeros)]
            word = _register(m, f"word_{cycle}", word, unsigned(n))
        leading: Value = Cat(*reversed(zeros))
        absent = [~word[-1]]
        if self.how.shape == "reciprocal":
            return leading, word[:-1], absent
        power = Signal(signed(len(leading) + 8), name="power")
        m.d.comb += power.eq((n - 1 - self.config.in_fraction) - leading)
        return power >> 1, Cat(word[:-1], power[0]), absent

    def _clamp(self, m: Module, value: Value) -> Value:
        """The nearest value that the output format holds."""
        form = self.config.result
        wide = Signal(signed(max(len(value) + 1, form.bits + 1)), name="unclamped")
        m.d.comb += wide.eq(value)
        above = wide[form.bits - form.signed : -1]
        sign = wide[-1]
        low, high = form.low & ((1 << form.bits) - 1), form.high
        wrong = Mux(sign, ~above.all() if form.signed else 1, above.any())
        chosen = Mux(wrong, Mux(sign, low, high), wide[: form.bits])
        return _register(m, "clamped", chosen, unsigned(form.bits))


def _shape(form: IntFormat) -> Any:
    return signed(form.bits) if form.signed else unsigned(form.bits)


def _rounded(m: Module, value: Value, bits: int) -> Value:
    """``value`` without its lower bits, rounded half up."""
    total = value + (1 << (bits - 1))
    upper = total[bits:]
    return _register(m, "rounded", upper.as_signed() if value.shape().signed else upper)


def _register(m: Module, name: str, value: Value, shape: Any = None) -> Value:
    register = Signal(value.shape() if shape is None else shape, name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register
