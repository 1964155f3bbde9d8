"""From a netlist to operations on words.

Words wider than 64 bits are cut. Equal operations are computed once, and those that nothing sees are left out.
Registers and memories all stay: they are sites.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hwgen.errors import BadInput
from hwgen.faults.classes import order
from hwgen.faults.netlist import ONE, ZERO, Cell, Netlist
from hwgen.faults.operations import WORD, Code, LoweredMemory, LoweredRegister, Op, Program, Value

__all__ = ["lower", "lower_gates"]


def lower(netlist: Netlist) -> Program:
    """Translate a netlist.

    Raises
    ------
    BadInput
        If it has a cell of a kind that there is no operation for.
    """
    return _Lowering(netlist).program()


def lower_gates(
    netlist: Netlist, tied: Mapping[str, int]
) -> tuple[Program, dict[tuple[tuple[str, ...], str], Value]]:
    """Translate a netlist of gates so that each of the nets that it tells is a value of its own.

    Parameters
    ----------
    netlist : Netlist
        With ``nets`` of one bit each.
    tied : mapping of str to int
        Inputs that are constant, and what they are: those of hooks, which vanish with it.

    Returns
    -------
    Program
        The design.
    dict
        Value of each net.
    """
    work = _Lowering(netlist, tied)
    program = work.program()
    return program, {key: work.place[bits[0]][0] for key, bits in netlist.nets.items()}


class _Lowering:
    """A netlist being translated."""

    def __init__(self, netlist: Netlist, tied: Mapping[str, int] | None = None):
        self.netlist = netlist
        self.tied = tied
        self.marked = set() if tied is None else {bits[0] for bits in netlist.nets.values()}
        self.own: set[Value] = set()  # results of single gates, of which nothing else knows
        self.widths: list[int] = []
        self.constants: dict[Value, int] = {}
        self.known: dict[tuple[int, int], Value] = {}
        self.ops: list[Op] = []
        self.made: dict[tuple[object, ...], Value] = {}
        self.place: dict[int, tuple[Value, int]] = {}
        self.packed: dict[tuple[int, ...], Value] = {}
        self.order = order(netlist)
        self.alias = {} if self.marked else _aliases(netlist, self.order)
        self.used = {
            bit
            for group in (
                *(bits for cell in netlist.cells for port, bits in cell.ports.items() if port != "Y"),
                *(r.d for r in netlist.registers),
                *(a for m in netlist.memories for a, _ in m.reads),
                *(bits for m in netlist.memories for ports in m.writes for bits in ports),
                *(p.bits for p in netlist.ports if p.direction == "output"),
            )
            for bit in group
        }

    # Values.

    def fresh(self, width: int) -> Value:
        """A new value."""
        self.widths.append(width)
        return len(self.widths) - 1

    def constant(self, number: int, width: int) -> Value:
        """A value that is known."""
        key = (number & ((1 << width) - 1), width)
        if key not in self.known:
            self.known[key] = self.fresh(width)
            self.constants[self.known[key]] = key[0]
        return self.known[key]

    def define(self, bits: Sequence[int], value: Value) -> None:
        """Say that some bits of the netlist are this value."""
        for i, bit in enumerate(bits):
            if bit in self.marked:
                self.place[bit] = (self._alone(value, i), 0)
            elif bit > ONE:
                self.place[bit] = (value, i)

    def _alone(self, value: Value, bit: int) -> Value:
        """A bit of a value as a value that nobody else reads."""
        if self.widths[value] == 1 and value in self.own:
            self.own.discard(value)
            return value
        result = self.fresh(1)
        self.ops.append(Op(Code.SLICE, result, (value,), bit))
        return result

    def source(self, bits: Sequence[int]) -> tuple[Value, ...]:
        """New values for bits that come from outside, 64 at a time."""
        out = []
        for at in range(0, len(bits), WORD):
            out.append(self.fresh(len(bits[at : at + WORD])))
            self.define(bits[at : at + WORD], out[-1])
        return tuple(out)

    def value(self, bits: Sequence[int]) -> Value:
        """The value of at most 64 bits of the netlist."""
        key = self.canonical(bits)
        if key not in self.packed:
            self.packed[key] = self._pack(key)
        return self.packed[key]

    def canonical(self, bits: Sequence[int]) -> tuple[int, ...]:
        """Bits, those that are always equal to another one under its number."""
        return tuple(self.alias.get(bit, bit) for bit in bits)

    def _pack(self, bits: tuple[int, ...]) -> Value:
        own = len(bits)
        while own > 1 and bits[own - 1] == bits[own - 2]:
            own -= 1
        if 1 < own < len(bits) and bits[-1] not in (ZERO, ONE):  # the last bit again and again: a sign
            return self.op(Code.SIGN_EXTEND, len(bits), (self.value(bits[:own]),), own)
        pieces: list[Value] = []
        shifts: list[int] = []
        first = 0
        while first < len(bits):
            count = 1
            bit = bits[first]
            if bit in (ZERO, ONE):
                while first + count < len(bits) and bits[first + count] in (ZERO, ONE):
                    count += 1
                number = sum(b << i for i, b in enumerate(bits[first : first + count]))
                piece = self.constant(number, count)
            else:
                if bit not in self.place:
                    self.place[bit] = (self.constant(0, 1), 0)  # nothing drives it
                value, low = self.place[bit]
                while first + count < len(bits) and self.place.get(bits[first + count]) == (
                    value,
                    low + count,
                ):
                    count += 1
                piece = self.cut(value, low, count)
            pieces.append(piece)
            shifts.append(first)
            first += count
        return self.concat(pieces, shifts, len(bits))

    # Operations, simplified where constants allow.

    def op(
        self, code: Code, width: int, args: Sequence[Value], immediate: int = 0, shifts: Sequence[int] = ()
    ) -> Value:
        """The result of an operation, computed before if it was."""
        key = (code, width, tuple(args), immediate, tuple(shifts))
        if key not in self.made or (self.marked and width == 1):  # two gates that are equal stay two
            result = self.fresh(width)
            self.ops.append(Op(code, result, tuple(args), immediate, tuple(shifts)))
            self.made[key] = result
            self.own.add(result)
        return self.made[key]

    def number(self, value: Value) -> int | None:
        """What a value always is, if that is known."""
        return self.constants.get(value)

    def cut(self, value: Value, low: int, width: int) -> Value:
        """Bits of a value."""
        if low == 0 and width == self.widths[value]:
            return value
        known = self.number(value)
        if known is not None:
            return self.constant(known >> low, width)
        return self.op(Code.SLICE, width, (value,), low)

    def concat(self, pieces: Sequence[Value], shifts: Sequence[int], width: int) -> Value:
        """Values beside each other; zeros between them need no piece."""
        if len(pieces) == 1 and self.widths[pieces[0]] == width:
            return pieces[0]
        left = [(p, s) for p, s in zip(pieces, shifts, strict=True) if self.number(p) != 0]
        if all(self.number(p) is not None for p, _ in left):
            return self.constant(sum(self.constants[p] << s for p, s in left), width)
        if len(left) == 1 and left[0][1] == 0:
            return self.op(Code.SLICE, width, (left[0][0],), 0)
        return self.op(Code.CONCAT, width, [p for p, _ in left], 0, [s for _, s in left])

    def extend(self, bits: Sequence[int], width: int, signed: bool) -> Value:
        """Bits as a word of another width."""
        if len(bits) >= width:
            return self.value(bits[:width])
        if not bits:
            return self.constant(0, width)
        if not signed or bits[-1] == ZERO:
            return self.value((*bits, *[ZERO] * (width - len(bits))))
        value, own = self.value(bits), len(bits)
        known = self.number(value)
        if known is not None:
            return self.constant(known - (known >> (own - 1) << own), width)
        return self.op(Code.SIGN_EXTEND, width, (value,), own)

    def invert(self, a: Value) -> Value:
        """Complement."""
        known = self.number(a)
        if known is not None:
            return self.constant(~known, self.widths[a])
        return self.op(Code.NOT, self.widths[a], (a,))

    def logic(self, code: Code, a: Value, b: Value) -> Value:
        """And, or, xor."""
        width = self.widths[a]
        ones = (1 << width) - 1
        for one, other in ((a, b), (b, a)):
            known = self.number(one)
            if known is None:
                continue
            if self.number(other) is not None:
                x, y = known, self.constants[other]
                return self.constant({Code.AND: x & y, Code.OR: x | y, Code.XOR: x ^ y}[code], width)
            if known == (ones if code is Code.AND else 0):
                return other
            if known == (0 if code is Code.AND else ones) and code is not Code.XOR:
                return one
            if known == ones:
                return self.invert(other)
        if a == b:
            return self.constant(0, width) if code is Code.XOR else a
        return self.op(code, width, sorted((a, b)))

    def mux(self, select: Value, a: Value, b: Value) -> Value:
        """``b`` if selected, else ``a``."""
        known = self.number(select)
        if known is not None or a == b:
            return b if known else a
        if self.widths[a] == 1:
            x, y = self.number(a), self.number(b)
            if (x, y) == (0, 1):
                return select
            if (x, y) == (1, 0):
                return self.invert(select)
            if x == 0:
                return self.logic(Code.AND, select, b)
            if y == 1:
                return self.logic(Code.OR, select, a)
        return self.op(Code.MUX, self.widths[a], (a, b, select))

    def equal(self, a: Value, b: Value) -> Value:
        """Whether two words are the same, as a bit."""
        x, y = self.number(a), self.number(b)
        if (x is not None and y is not None) or a == b:
            return self.constant(x == y or a == b, 1)
        if self.widths[a] == 1:
            return self.invert(self.logic(Code.XOR, a, b))
        if y == 0 or x == 0:
            return self.invert(self.any(a if y == 0 else b))
        return self.op(Code.EQUAL, 1, sorted((a, b)))

    def any(self, a: Value) -> Value:
        """Whether a word is not zero, as a bit."""
        known = self.number(a)
        if known is not None:
            return self.constant(known != 0, 1)
        return a if self.widths[a] == 1 else self.op(Code.ANY, 1, (a,))

    # Cells.

    def program(self) -> Program:
        """Translate everything."""
        n = self.netlist
        inputs = {}
        for p in n.ports:
            if p.direction == "input" and p.name in (self.tied or ()):
                self.define(p.bits, self.constant((self.tied or {})[p.name], len(p.bits)))
            elif p.direction == "input":
                inputs[p.name] = self.source(p.bits)
        pieces: list[tuple[int, int, Value, int, tuple[int, ...]]] = []
        for element, r in enumerate(n.registers):
            for i, q in enumerate(self.source(r.q)):
                at = i * WORD
                init = r.init >> at & ((1 << WORD) - 1)
                pieces.append((element, at, q, init, r.d[at : at + WORD]))
        reads: dict[int, tuple[int, int]] = {}
        memories: list[tuple[int, int, int]] = []  # element, low, width of every slice
        slices: dict[int, list[int]] = {}
        for m, memory in enumerate(n.memories):
            element = len(n.registers) + m
            slices[m] = []
            for low, width in _cuts(memory.width, [self.canonical(enable) for _, _, enable in memory.writes]):
                slices[m].append(len(memories))
                memories.append((element, low, width))
            reads |= {bit: (m, i) for i, (_, data) in enumerate(memory.reads) for bit in data}
        done: set[tuple[int, int]] = set()

        def fetch(bits: Sequence[int]) -> None:
            """Emit the reads whose data are among some bits, unless they are there; address cells came before."""
            for bit in bits:
                port = reads.get(bit)
                if port is None or port in done:
                    continue
                done.add(port)
                memory = n.memories[port[0]]
                address, data = memory.reads[port[1]]
                fetch(address)
                where = self.value(address)
                for one in slices[port[0]]:
                    _, low, width = memories[one]
                    self.define(data[low : low + width], self.op(Code.READ, width, (where,), one))

        for number in self.order:
            cell = n.cells[number]
            for port, bits in cell.ports.items():
                if port != "Y":
                    fetch(bits)
            self._cell(cell)
        for *_, d in pieces:
            fetch(d)
        for memory in n.memories:
            for ports in memory.writes:
                for bits in ports:
                    fetch(bits)
        outputs = {}
        for p in n.ports:
            if p.direction == "output":
                fetch(p.bits)
                outputs[p.name] = tuple(
                    self.value(p.bits[at : at + WORD]) for at in range(0, len(p.bits), WORD)
                )
        registers = [LoweredRegister(e, low, self.value(d), q, init) for e, low, q, init, d in pieces]
        made = []
        for m, memory in enumerate(n.memories):
            for one in slices[m]:
                element, low, width = memories[one]
                writes = tuple(
                    (self.value(a), self.value(d[low : low + width]), self.value(e[low : low + 1]))
                    for a, d, e in memory.writes
                )
                words = tuple(word >> low & ((1 << width) - 1) for word in memory.init)
                made.append(LoweredMemory(element, low, width, memory.depth, words, writes))
        return Program(
            tuple(self.widths), self.constants, inputs, outputs, self._needed(registers, made, outputs),
            tuple(registers), tuple(made),
        )  # fmt: skip

    def _needed(
        self,
        registers: list[LoweredRegister],
        memories: list[LoweredMemory],
        outputs: dict[str, tuple[Value, ...]],
    ) -> tuple[Op, ...]:
        """Operations that a register, a memory or an output depends on."""
        needed = {r.d for r in registers} | {v for m in memories for port in m.writes for v in port}
        needed |= {v for port in outputs.values() for v in port}
        needed |= {self.place[bit][0] for bit in self.marked}
        kept = []
        for op in reversed(self.ops):
            if op.result in needed:
                needed.update(op.args)
                kept.append(op)
        return tuple(reversed(kept))

    def _cell(self, cell: Cell) -> None:
        """Define the bits that a cell drives."""
        y = cell.ports["Y"]
        if all(bit in self.alias for bit in y):
            return
        if cell.kind in ("add", "sub", "mul", "neg"):  # what nobody reads at the top need not be computed
            while len(y) > 1 and y[-1] not in self.used:
                y = y[:-1]
        a, b = cell.ports.get("A", ()), cell.ports.get("B", ())
        kind, width = cell.kind, len(y)
        if kind in ("and", "or", "xor", "xnor", "not", "pos", "mux", "pmux"):
            if kind not in ("mux", "pmux"):  # their operands have the result's width
                a, b = (_extended(bits, width, cell.signed) for bits in (a, b))
            for at in range(0, width, WORD):
                part = slice(at, min(at + WORD, width))
                self.define(y[part], self._bitwise(kind, a, b, cell.ports.get("S", ()), part, width))
            return
        if kind in ("reduce_and", "reduce_or", "reduce_bool", "reduce_xor", "reduce_xnor", "logic_not"):
            self.define(y, self._one_bit(self._reduced(kind, a), width))
        elif kind in ("logic_and", "logic_or"):
            x, z = self._reduced("reduce_or", a), self._reduced("reduce_or", b)
            code = Code.AND if kind == "logic_and" else Code.OR
            self.define(y, self._one_bit(self.logic(code, x, z), width))
        elif kind in ("eq", "ne", "lt", "le", "gt", "ge"):
            self.define(y, self._one_bit(self._compared(kind, a, b, cell.signed), width))
        elif kind in ("add", "sub", "mul", "neg", "shl", "sshl", "shr", "sshr") and width <= WORD:
            self.define(y, self._arithmetic(cell, kind, a, b, width))
        else:
            raise BadInput(
                f"{'.'.join(cell.path) or self.netlist.top} has a ${kind} of {width} bits, which the lane engine "
                "lacks; use other operators, or words of at most 64 bits"
            )

    def _one_bit(self, bit: Value, width: int) -> Value:
        return bit if width == 1 else self.concat([bit], [0], width)

    def _bitwise(
        self, kind: str, a: Sequence[int], b: Sequence[int], s: Sequence[int], part: slice, width: int
    ) -> Value:
        x = self.value(a[part])
        if kind == "pmux":
            # The Verilog has a casez: the first select that is set counts.
            for i in reversed(range(len(s))):
                x = self.mux(self.value(s[i : i + 1]), x, self.value(b[i * width : (i + 1) * width][part]))
            return x
        if kind == "mux":
            return self.mux(self.value(s), x, self.value(b[part]))
        if kind in ("not", "pos"):
            return self.invert(x) if kind == "not" else x
        code = {"and": Code.AND, "or": Code.OR, "xor": Code.XOR, "xnor": Code.XOR}[kind]
        made = self.logic(code, x, self.value(b[part]))
        return self.invert(made) if kind == "xnor" else made

    def _reduced(self, kind: str, bits: Sequence[int]) -> Value:
        words = [self.value(bits[at : at + WORD]) for at in range(0, len(bits), WORD)]
        if kind in ("reduce_xor", "reduce_xnor"):
            parities = [w if self.widths[w] == 1 else self.op(Code.PARITY, 1, (w,)) for w in words]
            out = self._all(Code.XOR, parities)
            return self.invert(out) if kind == "reduce_xnor" else out
        if kind == "reduce_and":
            ones = [self.equal(w, self.constant(-1, self.widths[w])) for w in words]
            return self._all(Code.AND, ones)
        out = self._all(Code.OR, [self.any(w) for w in words])
        return self.invert(out) if kind == "logic_not" else out

    def _all(self, code: Code, bits: list[Value]) -> Value:
        out = bits[0]
        for bit in bits[1:]:
            out = self.logic(code, out, bit)
        return out

    def _compared(self, kind: str, a: Sequence[int], b: Sequence[int], signed: bool) -> Value:
        size = max(len(a), len(b))
        if kind in ("eq", "ne"):
            a, b = (_extended(bits, size, signed) for bits in (a, b))
            parts = [slice(at, at + WORD) for at in range(0, size, WORD)]
            same = self._all(Code.AND, [self.equal(self.value(a[p]), self.value(b[p])) for p in parts])
            return same if kind == "eq" else self.invert(same)
        if size > WORD:
            raise BadInput(
                f"{self.netlist.top} compares words of {size} bits, more than the lane engine's {WORD}"
            )
        if size == 1:  # a plane has no order of its own
            size = 2
        x, y = self.extend(a, size, signed), self.extend(b, size, signed)
        if kind in ("gt", "le"):
            x, y = y, x
        known = self.number(x), self.number(y)
        if known[0] is not None and known[1] is not None:
            half = 1 << (size - 1) if signed else 0
            less = self.constant((known[0] ^ half) < (known[1] ^ half), 1)
        else:
            less = self.op(Code.LESS_SIGNED if signed else Code.LESS, 1, (x, y), size)
        return less if kind in ("lt", "gt") else self.invert(less)

    def _arithmetic(self, cell: Cell, kind: str, a: Sequence[int], b: Sequence[int], width: int) -> Value:
        size = max(2, width)  # of one bit, words of two
        if kind in ("shl", "sshl", "shr", "sshr"):
            size = max(size, len(a)) if kind.endswith("shr") else size
            if max(size, len(b)) > WORD:
                raise BadInput(
                    f"{self.netlist.top} shifts words of {size} bits, more than the lane engine's {WORD}"
                )
            x = self.extend(a, size, cell.signed)
            # An amount as wide as the word; more than that shifts everything out.
            amount = self.value(b)
            signed = kind == "sshr" and cell.signed
            code = (
                Code.SHIFT_RIGHT_SIGNED
                if signed
                else Code.SHIFT_RIGHT
                if kind.endswith("shr")
                else Code.SHIFT_LEFT
            )
            return self.cut(self.op(code, size, (x, amount), size), 0, width)
        if kind == "neg":
            return self.cut(
                self.op(Code.SUB, size, (self.constant(0, size), self.extend(a, size, cell.signed))), 0, width
            )
        x, y = self.extend(a, size, cell.signed), self.extend(b, size, cell.signed)
        known = self.number(x), self.number(y)
        code = {"add": Code.ADD, "sub": Code.SUB, "mul": Code.MUL}[kind]
        if known[0] is not None and known[1] is not None:
            p, q = known[0], known[1]
            number = {Code.ADD: p + q, Code.SUB: p - q, Code.MUL: p * q}[code]
            return self.cut(self.constant(number, size), 0, width)
        if known[1] == 0 and code is not Code.MUL:
            return self.cut(x, 0, width)
        return self.cut(self.op(code, size, (x, y)), 0, width)


def _aliases(netlist: Netlist, ordered: Sequence[int]) -> dict[int, int]:
    """Bits of multiplexers that are always a select, or one of the inputs: such as enables of memories, bit by bit."""
    found: dict[int, int] = {}
    for number in ordered:
        cell = netlist.cells[number]
        if cell.kind == "mux":
            select = found.get(cell.ports["S"][0], cell.ports["S"][0])
            for a, b, y in zip(cell.ports["A"], cell.ports["B"], cell.ports["Y"], strict=True):
                one, other = found.get(a, a), found.get(b, b)
                if one == other or select in (ZERO, ONE):
                    found[y] = other if select == ONE else one
                elif (one, other) == (ZERO, ONE):
                    found[y] = select
    return found


def _extended(bits: Sequence[int], width: int, signed: bool) -> tuple[int, ...]:
    """Bits in another width."""
    if len(bits) >= width:
        return tuple(bits[:width])
    return (*bits, *[bits[-1] if signed and bits else ZERO] * (width - len(bits)))


def _cuts(width: int, enables: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Stretches of a memory's words that are always written together, at most 64 bits each: first bit and width."""
    out: list[tuple[int, int]] = []
    first = 0
    for at in range(1, width + 1):
        if at == width or at - first == WORD or any(e[at] != e[at - 1] for e in enables):
            out.append((first, at - first))
            first = at
    return out
