"""The array: dot-product units that count ones of products and sum the counts bit plane by bit plane."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.cores.lut_gemm.shape import ArrayShape
from hwgen.emit import Unit, place
from hwgen.numerics import index_bits
from hwgen.parts.delay import delay
from hwgen.parts.popcount import plan
from hwgen.parts.popcount.rtl import Popcount

__all__ = ["Array", "DotProduct"]

_SUM_BITS = 32


class DotProduct(Unit):
    """One sum: the ones of ``a & b`` are counted, and the count is added to the shifted sum or taken from it.

    The sum is kept complemented after a step that subtracts: then ``s - c`` is ``~(~s + c)``, the count goes
    into the adder as it is, and a bit of the adder with all that selects its other operand is one LUT.

    Timing: ``a`` and ``b`` are taken in one cycle; the controls of the step one cycle before the count is
    there, which is ``popcount latency`` cycles later.

    Parameters
    ----------
    shape : ArrayShape
        The array.

    Members
    -------
    a, b : In(dk)
        Plane words, registered outside.
    valid : In(1)
        The sum takes a count.
    clear, shift : In(1)
        It starts from zero; it is doubled first.
    flip : In(1)
        What is added to is complemented.
    fill : In(1)
        The bit that doubling brings in: zero, or one while the sum is kept complemented.
    store : In(1)
        The sum, as it is in this cycle, becomes the result.
    result : Out(32)
        The last stored sum, complemented if its last step subtracted.
    """

    def __init__(self, shape: ArrayShape):
        self.shape = shape
        super().__init__(
            {
                "a": In(shape.dk),
                "b": In(shape.dk),
                **{name: In(1) for name in ("valid", "clear", "shift", "flip", "fill", "store")},
                "result": Out(_SUM_BITS),
            }
        )

    @property
    def kind(self) -> str:
        """``dot_product`` and its width."""
        return f"dot_product_{self.shape.dk}"

    def elaborate(self, platform: Any) -> Module:
        """Build counter, adder, result register."""
        m = Module()
        shape = self.shape
        counter = Popcount(plan(shape.dk, products=True), every=shape.COUNT_STAGES, primitive=shape.primitive)
        place(m, "counter", counter, platform)
        m.d.comb += [counter.i.eq(self.a), counter.j.eq(self.b)]
        names = ("clear", "shift", "flip", "fill")
        step = {name: Signal(name=f"step_{name}", reset_less=True) for name in names}
        valid = Signal(name="step_valid")
        m.d.sync += [step[name].eq(getattr(self, name)) for name in names]
        m.d.sync += valid.eq(self.valid)
        total = Signal(_SUM_BITS, reset_less=True)
        doubled = Cat(step["fill"], total[: _SUM_BITS - 1])
        base = Signal(_SUM_BITS)
        m.d.comb += base.eq(
            Mux(step["clear"], 0, Mux(step["shift"], doubled, total)) ^ step["flip"].replicate(_SUM_BITS)
        )
        with m.If(valid):
            m.d.sync += total.eq(counter.o + base)
        stored = Signal(_SUM_BITS, reset_less=True)
        with m.If(self.store):
            m.d.sync += stored.eq(total)
        m.d.comb += self.result.eq(stored)
        return m


class Array(Unit):
    """``dm`` x ``dn`` dot products of ``dk`` bits per cycle; sums leave row by row while the next ones grow.

    A *step* is a cycle with ``valid``: every sum takes the ones of its row's word of A and its column's word
    of B. A sum is a run of steps: ``clear`` in the first one, ``shift`` in every step before which the sum is
    to be doubled, ``negate`` where the count is subtracted, ``last`` in the last one. Cycles without
    ``valid`` may lie anywhere; the other controls mean nothing in them.

    Timing: the first row leaves ``shape.latency`` cycles after ``last``, the others in the cycles after it:
    ``row_valid`` is high for ``dm`` cycles. The next ``last`` must not come earlier than ``dm`` cycles after
    this one; the next ``clear`` may come in the cycle after.

    Parameters
    ----------
    shape : ArrayShape
        Size and target.

    Members
    -------
    a : In(dm * dk)
        Plane words of A, row 0 lowest.
    b : In(dn * dk)
        Plane words of B, column 0 lowest.
    valid, clear, shift, negate, last : In(1)
        The step; only ``valid`` is reset inside.
    row_valid : Out(1)
        A row leaves.
    row : Out(dn * 32)
        Its sums, column 0 lowest.
    """

    def __init__(self, shape: ArrayShape):
        self.shape = shape
        super().__init__(
            {
                "a": In(shape.dm * shape.dk),
                "b": In(shape.dn * shape.dk),
                **{name: In(1) for name in ("valid", "clear", "shift", "negate", "last")},
                "row_valid": Out(1),
                "row": Out(shape.dn * _SUM_BITS),
            }
        )

    @property
    def kind(self) -> str:
        """``array``."""
        return "array"

    def elaborate(self, platform: Any) -> Module:
        """Build groups of dot products and the way out."""
        m = Module()
        shape = self.shape
        controls, negated = self._controls(m)
        columns: list[list[Value]] = [[] for _ in range(shape.dn)]
        words_a = self._words(m, "a", self.a, shape.dm, shape.row_groups, shape.column_groups)
        words_b = self._words(m, "b", self.b, shape.dn, shape.column_groups, shape.row_groups)
        for row in range(shape.dm):
            for column in range(shape.dn):
                down, right = shape.group(row), shape.group(column)
                cell = DotProduct(shape)
                place(m, f"dot_{row}_{column}", cell, platform)
                m.d.comb += [
                    cell.a.eq(words_a[right][row]),
                    cell.b.eq(words_b[down][column]),
                    *(getattr(cell, name).eq(value) for name, value in controls[down + right].items()),
                ]
                columns[column].append(cell.result)
        self._rows(m, controls, negated, columns)
        return m

    def _words(
        self, m: Module, name: str, words: Value, lanes: int, own: int, across: int
    ) -> list[list[Value]]:
        """Registered words as every group of the other side sees them: a cycle later for every group crossed."""
        shape = self.shape
        groups: list[list[Value]] = []
        for other in range(across):
            now = []
            for lane in range(lanes):
                word = words.word_select(lane, shape.dk)
                if other:
                    word = groups[-1][lane]
                age = 1 if other else 1 + shape.group(lane)
                now.append(delay(m, word, age, name=f"{name}_{lane}_group_{other}"))
            groups.append(now)
        return groups

    def _controls(self, m: Module) -> tuple[list[dict[str, Value]], Value]:
        """What the dot products do, by groups crossed, and whether the stored sums are complemented."""
        shape = self.shape
        complemented = Signal(reset_less=True)
        with m.If(self.valid):
            m.d.sync += complemented.eq(self.negate)
        flip = self.negate ^ (complemented & ~self.clear)
        age = shape.count_latency  # the dot product registers its controls once more
        now: dict[str, Value] = {
            "valid": delay(m, self.valid, age, reset=True),
            "clear": delay(m, self.clear, age),
            "shift": delay(m, self.shift, age),
            "flip": delay(m, flip, age, name="flip_delay"),
            "fill": delay(m, complemented, age),
            "store": delay(m, self.valid & self.last, age + 2, reset=True, name="store_delay"),
        }
        negated = delay(m, self.negate, age + 2)
        groups = [now]
        for group in range(1, shape.row_groups + shape.column_groups - 1):
            now = {
                name: delay(m, value, 1, reset=name in ("valid", "store"), name=f"{name}_group_{group}")
                for name, value in now.items()
            }
            groups.append(now)
        return groups, negated

    def _rows(
        self, m: Module, controls: list[dict[str, Value]], negated: Value, columns: list[list[Value]]
    ) -> None:
        """Selects one row after the other, each group of columns in its own time, and aligns the groups."""
        shape = self.shape
        store = controls[0]["store"]
        index = Signal(index_bits(shape.dm))
        busy = Signal()
        invert = Signal(reset_less=True)
        # A row is read at the earliest in the cycle after its group stored it, as groups are that many rows down.
        with m.If(store):
            m.d.sync += [index.eq(0), busy.eq(1), invert.eq(negated)]
        with m.Elif(index == shape.dm - 1):
            m.d.sync += busy.eq(0)
        with m.Else():
            m.d.sync += index.eq(index + 1)
        select: Value = index
        inverts: Value = invert
        out: list[Value] = []
        for group in range(shape.column_groups):
            if group:
                select = delay(m, select, 1, name=f"row_group_{group}")
                inverts = delay(m, inverts, 1, name=f"invert_group_{group}")
            for column in range(shape.dn):
                if shape.group(column) != group:
                    continue
                picked = Signal(_SUM_BITS, name=f"picked_{column}", reset_less=True)
                m.d.sync += picked.eq(_select(columns[column], select) ^ inverts.replicate(_SUM_BITS))
                out.append(delay(m, picked, shape.column_groups - 1 - group))
        m.d.comb += [
            self.row.eq(Cat(out)),
            self.row_valid.eq(delay(m, busy, shape.column_groups, reset=True)),
        ]


def _select(values: list[Value], index: Value) -> Value:
    """A tree of two-way selections: synthesizers fold it four to a LUT."""
    bit = 0
    while len(values) > 1:
        values = [
            Mux(index[bit], values[n + 1], values[n]) if n + 1 < len(values) else values[n]
            for n in range(0, len(values), 2)
        ]
        bit += 1
    return values[0]
