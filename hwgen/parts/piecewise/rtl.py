"""The hardware of a piecewise table: constants in LUTs, one multiplier per degree, a register behind every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Const, Module, Signal, Value, signed, unsigned
from amaranth.lib.memory import Memory, ReadPort
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit
from hwgen.numerics import IntFormat, ceil_log2, index_bits
from hwgen.parts.piecewise.table import Table, narrowest

__all__ = ["Piecewise"]

_SMALL = 5  # bits of an address that leave one input of a LUT6


class Piecewise(Unit):
    """``y = table.evaluate(x)``, one result per cycle.

    Timing: ``y`` belongs to the ``x`` of ``table.latency`` cycles before. No reset: what was not put in means
    nothing. ``y`` is a register.

    Parameters
    ----------
    name : str
        Name of the module; tables that differ need different names.
    table : Table
        The function.

    Members
    -------
    x : In(in_bits)
        Unsigned argument.
    y : Out
        The result, of format ``table.out``.
    """

    def __init__(self, name: str, table: Table):
        self.name = name
        self.table = table
        super().__init__({"x": In(table.in_bits), "y": Out(_shape(table.out))})

    @property
    def kind(self) -> str:
        """The name given."""
        return self.name

    def elaborate(self, platform: Any) -> Module:
        """Build the stages."""
        m = Module()
        entry, u = self._locate(m)
        if self.table.form == "constant":
            result = _rom(m, "c0", entry, self._column(0, entry))
        elif self.table.form == "knots":
            result = self._between_knots(m, entry, u)
        else:
            result = self._polynomial(m, entry, u)
        m.d.comb += self.y.eq(_register(m, "result", result, _shape(self.table.out)))
        return m

    def _locate(self, m: Module) -> tuple[Value, Value]:
        """The segment, and the place inside it; in steps of the longest segment for ``knots``."""
        table = self.table
        s = table.step_bits
        if table.direct:
            entry, u = self.x[s:] if s < table.in_bits else Const(0, 1), self.x[:s]
        else:
            entry, u = Signal(index_bits(table.entries), name="found"), Signal(s, name="offset")
            start = base = 0
            for region in table.regions:
                with m.If(self.x < region.stop) if not start else m.Elif(self.x < region.stop):
                    step = region.step_bits
                    left = s - step if table.form == "knots" else 0
                    m.d.comb += [
                        entry.eq(self.x[step:] + (base - (start >> step))),
                        u.eq(self.x[:step] << left),
                    ]
                base += (region.stop - start) >> step
                start = region.stop
            with m.Else():
                m.d.comb += entry.eq(table.entries - 1)
        if table.direct and table.form != "knots":
            return entry, u
        return _register(m, "entry", entry), _register(m, "place", u)

    def _polynomial(self, m: Module, entry: Value, u: Value) -> Value:
        """Horner's rule: a cycle for the first coefficient, one for each product, one for each sum."""
        table = self.table
        degree = len(table.coefficients) - 1
        factor = self._coefficient(m, degree, entry, registered=True)
        u, entry = _register(m, f"u_{degree}", u), _register(m, f"entry_{degree}", entry)
        while True:
            product = _register(m, f"product_{degree}", factor * u)
            u, next_entry = (
                _register(m, f"u_{degree}_product", u),
                _register(m, f"entry_{degree}_product", entry),
            )
            degree -= 1
            # A table of few entries and the adder behind it are one LUT per bit.
            small = len(entry) <= _SMALL
            added = self._coefficient(m, degree, next_entry if small else entry, registered=not small)
            total = (product >> table.unit_bits) + added
            if degree == 0:
                return total >> table.guard
            factor = _register(m, f"factor_{degree}", total, _shape(narrowest(*table.slopes)))
            u, entry = _register(m, f"u_{degree}", u), _register(m, f"entry_{degree}", next_entry)

    def _coefficient(self, m: Module, degree: int, entry: Value, *, registered: bool) -> Value:
        """A coefficient of the segment: at once, or a cycle later."""
        words = self._column(degree, entry)
        value = _rom(m, f"c{degree}", entry, words)
        return _register(m, f"c{degree}_now", value, _shape(_format(words))) if registered else value

    def _between_knots(self, m: Module, entry: Value, u: Value) -> Value:
        """Two tables, of the even and of the odd knots: every knot is there once, and both ends are read at once.

        The place is counted from the even end: ``v = u``, or ``2**s - u`` in an odd segment.
        """
        table = self.table
        s = table.step_bits
        knots = self._column(0, entry)
        knots.append(knots[-1])
        odd = entry[0]
        ends = {}
        for name, words, address in (
            ("even", knots[::2], (entry + 1) >> 1),
            ("odd", knots[1::2], entry[1:]),
        ):
            ends[name] = _register(m, name, _rom(m, name, address, words), _shape(_format(knots)))
        v = _register(m, "v", (u ^ odd.replicate(s)) + odd, unsigned(s + 1))
        rise = _register(m, "rise", ends["odd"] - ends["even"])
        v = _register(m, "v_rise", v)
        even = _register(m, "even_rise", ends["even"])
        product = _register(m, "product", rise * v)
        even = _register(m, "even_product", even)
        return (even + (product >> s)) >> table.guard

    def _column(self, degree: int, entry: Value) -> list[int]:
        """A column, as long as its address needs; the rounding's half is in ``c0``."""
        words = list(self.table.coefficients[degree])
        if degree == 0:
            words = [word + ((1 << self.table.guard) >> 1) for word in words]
        if self.table.direct:
            words += words[-1:] * ((1 << len(entry)) - len(words))
        return words


def _shape(form: IntFormat) -> Any:
    return signed(form.bits) if form.signed else unsigned(form.bits)


def _format(words: Sequence[int]) -> IntFormat:
    return narrowest(min(words), max(words))


def _register(m: Module, name: str, value: Value, shape: Any = None) -> Value:
    if isinstance(value, Const):
        return value
    register = Signal(value.shape() if shape is None else shape, name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register


def _rom(m: Module, name: str, address: Value, words: Sequence[int]) -> Value:
    """A constant array: Yosys makes fewer LUTs of a memory than of the same as ``case``."""
    if min(words) == max(words):
        return Const(words[0])
    shape = _shape(_format(words))
    memory: Any = Memory(shape=shape, depth=len(words), init=words)
    m.submodules[f"rom_{name}"] = memory
    signature = ReadPort.Signature(addr_width=ceil_log2(len(words)), shape=shape)
    port: Any = ReadPort(signature, memory=memory, domain="comb", path=(name,))  # names its signals
    m.d.comb += port.addr.eq(address)
    return Value.cast(port.data)
