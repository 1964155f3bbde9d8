"""Hardware of ``twopass_ext``: sums are kept as mantissa and exponent too, so no maximum is looked for."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.cores.softmax.latency import PAIR
from hwgen.cores.softmax.pairs import Pair, PairsFirst
from hwgen.cores.softmax.stages import fresh, register, tree
from hwgen.cores.softmax.sums import add
from hwgen.emit import Unit, place
from hwgen.parts.delay import delay

__all__ = ["PairAdd", "PairSum", "TwopassFirst"]


class PairAdd(Unit):
    """The sum of two numbers with exponents, at the larger one, or the next if it is two or more.

    Timing: the result belongs to the operands of :data:`~hwgen.cores.softmax.latency.PAIR` cycles before.

    Parameters
    ----------
    mantissa, exponent : int
        Bits of a mantissa (one before the point), and of an exponent, signed.
    held : bool
        Whether the result changes only with ``enable``.

    Members
    -------
    mantissa_0, exponent_0, mantissa_1, exponent_1 : In
        Operands.
    enable : In(1)
        The result is wanted, in the cycle before it.
    mantissa, exponent : Out
        The sum.
    """

    def __init__(self, mantissa: int, exponent: int, *, held: bool = False):
        self.bits = mantissa
        self.exponent_bits = exponent
        self.held = held
        super().__init__({
            "mantissa_0": In(mantissa), "exponent_0": In(signed(exponent)),
            "mantissa_1": In(mantissa), "exponent_1": In(signed(exponent)),
            "mantissa": Out(mantissa), "exponent": Out(signed(exponent)), **({"enable": In(1)} if held else {}),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``pair_add``, or ``pair_add_held``."""
        return "pair_add" + "_held" * self.held

    def elaborate(self, platform: Any) -> Module:
        """Build comparison, shift and addition, a cycle each."""
        m = Module()
        bits = self.bits
        above = Signal(signed(self.exponent_bits + 1), name="above")
        below = Signal(signed(self.exponent_bits + 1), name="below")
        m.d.comb += [above.eq(self.exponent_0 - self.exponent_1), below.eq(self.exponent_1 - self.exponent_0)]
        less = above[-1]
        places = register(m, "places", Mux(less, below, above)[: self.exponent_bits])
        upper = register(m, "upper", Mux(less, self.mantissa_1, self.mantissa_0))
        lower = register(m, "lower", Mux(less, self.mantissa_0, self.mantissa_1))
        exponent = register(
            m, "larger_exponent", Mux(less, self.exponent_1, self.exponent_0), signed(self.exponent_bits)
        )
        aligned = register(m, "aligned", (Cat(Const(0, 1), lower) >> places)[: bits + 1])
        upper = register(m, "upper_held", upper)
        exponent = register(m, "exponent_held", exponent)
        total = add(m, "sum", upper, aligned[1:], aligned[0])
        carry = total[bits]
        mantissa = Signal(bits, name="total", reset_less=True)
        summed = Signal(signed(self.exponent_bits), name="total_exponent", reset_less=True)
        with m.If(self.enable if self.held else 1):
            m.d.sync += [mantissa.eq(Mux(carry, total[1:], total)), summed.eq(exponent + carry)]
        m.d.comb += [self.mantissa.eq(mantissa), self.exponent.eq(summed)]
        assert PAIR == 3
        return m


class PairSum(Unit):
    """The sum of a row in three parts: a beat adds to the part of three beats before.

    Timing: ``total`` belongs to what the last beat adds, three times :data:`~hwgen.cores.softmax.latency.PAIR`
    cycles before.

    Parameters
    ----------
    mantissa, exponent : int
        Bits of a mantissa (one before the point), and of an exponent, signed.

    Members
    -------
    valid, last : In(1)
        A beat; it ends a row.
    mantissa, exponent : In
        What it adds, a cycle later.
    total, total_exponent : Out
        The sum of the parts, for every beat.
    """

    def __init__(self, mantissa: int, exponent: int):
        self.bits = mantissa
        self.exponent_bits = exponent
        super().__init__({
            "valid": In(1), "last": In(1), "mantissa": In(mantissa), "exponent": In(signed(exponent)),
            "total": Out(mantissa), "total_exponent": Out(signed(exponent)),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``pair_sum``."""
        return "pair_sum"

    def elaborate(self, platform: Any) -> Module:
        """Build the loop of three cycles, and two additions behind it."""
        m = Module()
        adder = PairAdd(self.bits, self.exponent_bits, held=True)
        place(m, "adder", adder, platform)
        under_way = Signal(PAIR - 1, name="under_way")
        now = delay(m, self.valid, 1, reset=True, name="adds")
        m.d.sync += under_way.eq(Cat(now, under_way[:-1]))
        done = Cat(adder.mantissa, adder.exponent)
        parts: list[Value] = [done]
        for i in (1, 2):
            held = Signal(len(done), name=f"part_{i}", reset_less=True)
            with m.If(under_way[-1]):
                m.d.sync += held.eq(parts[-1])
            parts.append(held)
        # Parts before the row's first, by age of the beat: which of the last three there are.
        nothing = Cat(Const(0, self.bits), Const(1 << (self.exponent_bits - 1), self.exponent_bits))
        count = Signal(2, name="beats_so_far", reset_less=True)  # of the row, before this one, at most three
        before = Signal(2, name="beats_before")
        m.d.comb += before.eq(Mux(fresh(m, self.valid, self.last), 0, count))
        with m.If(self.valid):
            m.d.sync += count.eq(Mux(before == 3, 3, before + 1))
        # Which part a beat adds to is chosen a cycle before: choice, comparison and exchange are the longest path.
        ahead = Cat(now, under_way[:-1])
        choice = register(m, "choice", Mux(before == 3, Mux(ahead.all(), 0, Mux(ahead.any(), 1, 2)), 3), 2)
        mine = Mux(choice[1], Mux(choice[0], nothing, parts[2]), Mux(choice[0], parts[1], parts[0]))
        m.d.comb += [
            Cat(adder.mantissa_0, adder.exponent_0).eq(mine),
            adder.mantissa_1.eq(self.mantissa),
            adder.exponent_1.eq(self.exponent),
            adder.enable.eq(under_way[-1]),
        ]
        older = delay(m, before, 1 + PAIR, name="beats_before_delay")
        last: Value = done
        wanted = [Mux(older != 0, parts[1], nothing), Mux(older[1], parts[2], nothing)]
        for i, part in enumerate(wanted):
            end = PairAdd(self.bits, self.exponent_bits)
            place(m, f"end_{i}", end, platform)
            m.d.comb += [
                Cat(end.mantissa_0, end.exponent_0).eq(last),
                Cat(end.mantissa_1, end.exponent_1).eq(delay(m, part, i * PAIR, name=f"end_part_{i}_delay")),
            ]
            last = Cat(end.mantissa, end.exponent)
        m.d.comb += Cat(self.total, self.total_exponent).eq(last)
        return m


class TwopassFirst(PairsFirst):
    """``twopass_ext``: lanes, then beats are added as pairs of mantissa and exponent."""

    def _sum(
        self, m: Module, platform: Any, valid: Value, last: Value, pairs: list[Pair]
    ) -> tuple[Value, Value, Value]:
        cfg = self.config
        bits, exponent_bits = cfg.total_bits, cfg.row_bits
        levels = self.latency.levels

        def join(name: str, a: tuple[Value, Value], b: tuple[Value, Value]) -> tuple[Value, Value]:
            unit = PairAdd(bits, exponent_bits)
            place(m, name, unit, platform)
            m.d.comb += [
                unit.mantissa_0.eq(a[0]), unit.exponent_0.eq(a[1]), unit.mantissa_1.eq(b[0]), unit.exponent_1.eq(b[1]),
            ]  # fmt: skip
            return unit.mantissa, unit.exponent

        def hold(name: str, a: tuple[Value, Value]) -> tuple[Value, Value]:
            return delay(m, a[0], PAIR, name=f"{name}_mantissa"), delay(
                m, a[1], PAIR, name=f"{name}_exponent"
            )

        lanes = []
        for i, pair in enumerate(pairs):
            mantissa = Signal(bits, name=f"mantissa_{i}")
            exponent = Signal(signed(exponent_bits), name=f"wide_exponent_{i}")
            wide = Cat(Const(0, bits - len(pair.mantissa)), pair.mantissa)
            m.d.comb += [mantissa.eq(wide & pair.keep.replicate(bits)), exponent.eq(pair.exponent)]
            lanes.append((mantissa, exponent))
        mantissa, exponent = tree(m, "pair", lanes, join, hold)
        total = PairSum(bits, exponent_bits)
        place(m, "sum", total, platform)
        early = self.latency.store + PAIR * levels - 1
        m.d.comb += [
            total.valid.eq(delay(m, self.take, early, reset=True, name="early_delay")),
            total.last.eq(delay(m, self.last, early, name="early_last_delay")),
            total.mantissa.eq(mantissa),
            total.exponent.eq(exponent),
        ]
        return total.total, total.total_exponent, total.total_exponent
