"""Recurrences over the beats of a row: the running maximum, and sums that follow it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.cores.softmax.latency import MAXIMUM, RUNNING_SUM
from hwgen.cores.softmax.stages import fresh, lanes_of, register, tree
from hwgen.emit import Unit
from hwgen.numerics import ceil_log2
from hwgen.parts.delay import delay

__all__ = ["LaneSum", "RowSum", "RunningMaximum", "RunningSum", "add"]


class RunningMaximum(Unit):
    """The largest value of a row so far, and how much it rose over the last beats.

    Timing: with ``t`` the cycles of a tree over the lanes, ``top`` belongs to the beat of ``t + 1`` cycles before,
    ``rise`` and the flags to that of ``t + 2``.

    Parameters
    ----------
    width, lanes : int
        Bits of a value, signed; values per beat.
    back : int
        Rises are over 1 .. ``back`` beats.

    Members
    -------
    valid, last : In(1)
        A beat; it ends a row.
    values : In
        Its values; those of masked lanes are the smallest there is.
    top : Out(signed)
        The maximum.
    rise_1 .. : Out
        By how much the maximum of so many beats before is smaller.
    young_1 .. : Out(1)
        The row has had no more beats than that, so there is no such maximum.
    """

    def __init__(self, width: int, lanes: int, back: int):
        self.width = width
        self.lanes = lanes
        self.back = back
        rises = {f"rise_{i}": Out(width) for i in range(1, back + 1)}
        young = {f"young_{i}": Out(1) for i in range(1, back + 1)}
        super().__init__({
            "valid": In(1), "last": In(1), "values": In(width * lanes), "top": Out(signed(width)), **rises, **young,
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``running_maximum``."""
        return "running_maximum"

    def elaborate(self, platform: Any) -> Module:
        """Build the tree and the recurrence."""
        m = Module()

        def larger(name: str, a: Value, b: Value) -> Value:
            return register(m, name, Mux(a > b, a, b), signed(self.width))

        values = [v.as_signed() for v in lanes_of(self.values, self.lanes)]
        beat = tree(m, "larger", values, larger, lambda name, a: register(m, name, a, signed(self.width)))
        levels = ceil_log2(self.lanes)
        valid = delay(m, self.valid, levels, reset=True, name="valid_delay")
        first = fresh(m, valid, delay(m, self.last, levels, name="last_delay"))
        tops = [Signal(signed(self.width), name=f"top_{i}", reset_less=True) for i in range(self.back + 1)]
        ages = [
            Signal(name=f"age_{i}", reset_less=True) for i in range(self.back)
        ]  # the row has more beats than i
        with m.If(valid):
            m.d.sync += [
                tops[0].eq(Mux(first | (beat > tops[0]), beat, tops[0])),
                *(older.eq(newer) for newer, older in pairwise(tops)),
                *(age.eq(~first & before) for before, age in pairwise([Const(1, 1), *ages])),
            ]
        m.d.comb += self.top.eq(tops[0])
        for i in range(1, self.back + 1):
            rise = register(m, f"rise_{i}_now", (tops[0] - tops[i])[: self.width])
            m.d.comb += [
                getattr(self, f"rise_{i}").eq(rise),
                getattr(self, f"young_{i}").eq(register(m, f"young_{i}_now", ~ages[i - 1])),
            ]
        assert MAXIMUM == 1
        return m


class LaneSum(Unit):
    """The sum of a beat's lanes; every lane brings a carry, and one is left over.

    Timing: ``ceil(log2(lanes))`` cycles.

    Parameters
    ----------
    width, lanes : int
        Bits of a value, unsigned; values per beat.

    Members
    -------
    values, carries : In
        Operands.
    value, carry : Out
        ``value + carry`` is the sum of all of them.
    """

    def __init__(self, width: int, lanes: int):
        self.width = width
        self.lanes = lanes
        super().__init__({
            "values": In(width * lanes), "carries": In(lanes), "value": Out(width + ceil_log2(lanes)), "carry": Out(1),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``lane_sum``."""
        return "lane_sum"

    def elaborate(self, platform: Any) -> Module:
        """Build the tree: each adder takes one carry and passes one on."""
        m = Module()

        def join(name: str, a: tuple[Value, Value], b: tuple[Value, Value]) -> tuple[Value, Value]:
            return register(m, name, add(m, name, a[0], b[0], a[1])), register(m, f"{name}_carry", b[1])

        def hold(name: str, a: tuple[Value, Value]) -> tuple[Value, Value]:
            return register(m, name, a[0]), register(m, f"{name}_carry", a[1])

        values = list(zip(lanes_of(self.values, self.lanes), self.carries, strict=True))
        value, carry = tree(m, "sum", values, join, hold)
        m.d.comb += [self.value.eq(value), self.carry.eq(carry)]
        return m


def add(m: Module, name: str, a: Value, b: Value, carry: Value) -> Value:
    """``a + b + carry`` by one adder: the lowest bit makes the carry of the others."""
    total = Signal(max(len(a), len(b)) + 2, name=f"{name}_total")
    m.d.comb += total.eq(Cat(Const(1, 1), a) + Cat(carry, b))
    return total[1:]


class RowSum(Unit):
    """The sum of a row's beats.

    Timing: ``total`` belongs to the beat of the cycle before.

    Parameters
    ----------
    term, total : int
        Bits of what a beat adds, and of the sum.

    Members
    -------
    valid, last : In(1)
        A beat; it ends a row.
    term, carry : In
        What it adds.
    total : Out
        The sum so far.
    """

    def __init__(self, term: int, total: int):
        self.width = total
        super().__init__(
            {"valid": In(1), "last": In(1), "term": In(term), "carry": In(1), "total": Out(total)}
        )

    @property
    def kind(self) -> str:
        """``row_sum``."""
        return "row_sum"

    def elaborate(self, platform: Any) -> Module:
        """Build the recurrence."""
        m = Module()
        total = Signal(self.width, name="sum", reset_less=True)
        before = Signal(self.width, name="row_so_far")
        m.d.comb += [before.eq(Mux(fresh(m, self.valid, self.last), 0, total)), self.total.eq(total)]
        with m.If(self.valid):
            m.d.sync += total.eq(add(m, "row", before, self.term, self.carry))
        return m


class RunningSum(Unit):
    """The sum of a row while its reference rises, in two parts: a beat adds to the part of two beats before.

    Timing: a beat takes two cycles, a shift and an addition; ``total`` belongs to the last beat of
    :data:`~hwgen.cores.softmax.latency.RUNNING_SUM` cycles before.

    Parameters
    ----------
    term, total : int
        Bits of what a beat adds, and of the sum.
    places : int
        Bits of a shift.

    Members
    -------
    valid, last : In(1)
        A beat; it ends a row.
    places_2, young_2 : In
        By how much its part is to be shifted to the right, a cycle before; the part is new, or nothing is left of it.
    places_1, young_1 : In
        The same for the other part, if the beat is the row's last.
    term, carry : In
        What to add, a cycle later.
    total : Out
        The sum of both parts, for every beat.
    """

    def __init__(self, term: int, total: int, places: int):
        self.width = total
        super().__init__({
            "valid": In(1), "last": In(1), "places_2": In(places), "young_2": In(1),
            "places_1": In(places), "young_1": In(1), "term": In(term), "carry": In(1), "total": Out(total),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``running_sum``."""
        return "running_sum"

    def elaborate(self, platform: Any) -> Module:
        """Build the loop and its end."""
        m = Module()
        new = Signal(self.width, name="new_part", reset_less=True)
        old = Signal(self.width, name="old_part", reset_less=True)
        adding = Signal(name="adding")
        # Which part is shifted is chosen a cycle before: the shift takes a whole one.
        mine = Signal(self.width, name="mine", reset_less=True)
        # The row's end shifts the other part where the first two beats of the next row have nothing to shift.
        ends = delay(m, self.valid & self.last, 1, reset=True, name="ends")
        newest = Signal(name="newest")
        m.d.comb += newest.eq(self.valid & ~ends)
        m.d.sync += adding.eq(self.valid)
        places = register(m, "places", Mux(ends, delay(m, self.places_1, 2), self.places_2))
        # Two registers, each cleared where there is no part: nothing but an adder is behind them.
        shifted = Signal(self.width, name="shifted")
        m.d.comb += shifted.eq(mine >> places)
        scaled = Signal(self.width, name="scaled", reset_less=True)
        other = Signal(self.width, name="other", reset_less=True)
        m.d.sync += [scaled.eq(shifted), other.eq(shifted)]
        with m.If(self.young_2):
            m.d.sync += scaled.eq(0)
        with m.If(delay(m, self.young_1, 2, name="alone")):
            m.d.sync += other.eq(0)
        part = add(m, "part", scaled, self.term, self.carry)
        m.d.sync += mine.eq(Mux(newest & adding, part, Mux(newest | adding, new, old)))
        with m.If(adding):
            m.d.sync += [new.eq(part), old.eq(new)]
        last = register(m, "last_part", new)
        whole = other + last
        m.d.comb += self.total.eq(register(m, "sum", whole[: self.width]))
        assert RUNNING_SUM == 4
        return m
