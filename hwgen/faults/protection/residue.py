"""Residues modulo 3 of registers that hold results of arithmetic, predicted from those of its operands.

All is exact for words as patterns of bits, read as numbers without sign: ``2^i`` is 1 or 2 modulo 3, so a single wrong
bit never keeps the residue. A sum that wraps loses ``2^n`` when it carries out, so the adder gets one bit more for
that; a word with sign that is made longer gains ``2^n - 2^w`` if it is negative. A fault in a carry changes sum and
carry out by numbers that do not cancel.

What only goes into sums and registers that have residues needs no check of its own, because a wrong bit stays one on
the way. Operands of products are checked: times a multiple of three, an error would vanish.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hwgen.faults.hook_edit import Bit, words_of
from hwgen.faults.protection.copies import Findings
from hwgen.faults.protection.edit import Guarded, Pin
from hwgen.faults.protection.registers import Leaf, Loading, Tree, loading

__all__ = ["protect_arithmetic", "remainder"]

Digit = tuple[Bit, Bit]
"""A number modulo 3 as two bits, low first: 00, 10 or 01 in this order; never both."""

_WIDEST = 63  # with its carry, a sum is a word that the fault simulator knows

_SUMS = ("$add", "$sub")
_POWER = (1, 2)  # of two, modulo three: even and odd exponents


def protect_arithmetic(editor: Guarded, cells: Collection[str], found: Findings) -> set[str]:
    """Give registers that hold results of arithmetic, and those that hold its operands, residues.

    Parameters
    ----------
    editor : Guarded
        The module.
    cells : collection of str
        Cells of the registers that may get one.
    found : Findings
        Gets the checks.

    Returns
    -------
    set of str
        Cells that got one; others need something else.
    """
    editor.forget()
    return _Residues(editor, cells, found).protect()


def remainder(editor: Guarded, bits: Sequence[Bit]) -> Digit:
    """A word modulo 3, by a tree of three digits each: six inputs, two outputs."""
    digits: list[Digit] = []
    for i in range(0, len(bits), 2):
        low, high = bits[i], bits[i + 1] if i + 1 < len(bits) else "0"
        if (low, high) != ("0", "0"):
            digits.append((_without(editor, low, high), _without(editor, high, low)))
    while len(digits) > 1:
        digits = [_sum(editor, *digits[i : i + 3]) for i in range(0, len(digits), 3)]
    return digits[0] if digits else ("0", "0")


def _without(editor: Guarded, bit: Bit, other: Bit) -> Bit:
    return editor.all(bit, editor.inverse([other])[0])


def _sum(editor: Guarded, *digits: Digit) -> Digit:
    total, *rest = [d for d in digits if d != ("0", "0")] or [("0", "0")]
    for digit in rest:
        (a1, a2), (b1, b2) = total, digit
        a0, b0 = (editor.inverse([editor.any(d)])[0] for d in (total, digit))
        one = editor.any([editor.all(a1, b0), editor.all(a0, b1), editor.all(a2, b2)])
        two = editor.any([editor.all(a2, b0), editor.all(a0, b2), editor.all(a1, b1)])
        total = one, two
    return total


def _product(editor: Guarded, a: Digit, b: Digit) -> Digit:
    one = editor.any([editor.all(a[0], b[0]), editor.all(a[1], b[1])])
    two = editor.any([editor.all(a[0], b[1]), editor.all(a[1], b[0])])
    return one, two


def _negative(digit: Digit) -> Digit:
    return digit[1], digit[0]


def _times(bit: Bit, factor: int) -> Digit:
    """A bit times a number."""
    return (("0", "0"), (bit, "0"), ("0", bit))[factor % 3]


class _Residues:
    """Registers with residues in a module."""

    def __init__(self, editor: Guarded, cells: Collection[str], found: Findings):
        self._e = editor
        self._found = found
        self._loads = {name: loading(editor, name) for name in sorted(cells) if len(_q(editor, name)) > 1}
        self._owner = {tuple(one.q): one for one in self._loads.values()}
        self._stored: dict[str, Digit] = {}
        self._waiting: list[Loading] = []
        self._linear: dict[str, set[Pin]] = {}
        self._carries: dict[str, Bit] = {}

    def protect(self) -> set[str]:
        """Give residues, and check them."""
        e = self._e
        reads = e.reads()
        for one in self._loads.values():
            leaves = [leaf for leaf in _data(one.tree) if self._arithmetic(leaf.bits)]
            understood = [leaf for leaf in leaves if self._exact(leaf.bits, reads)]
            if leaves and len(leaves) == len(understood):
                self._track(one)
            elif leaves:
                name = ", ".join(dict.fromkeys(e.labels(one.q)))
                self._found.notes.append(
                    f"{name} has parity: its arithmetic is cut, or has other results too"
                )
        while self._waiting:
            one = self._waiting.pop()
            follow = self._follow(one.tree, self._stored[one.cell])
            e.register(one.clock, list(follow), list(self._stored[one.cell]))
        # A sum takes an error on to where it is seen, if nothing but registers with residues has it.
        taken = {pin for name in self._stored for pins in self._loads[name].passes for pin in pins}
        linear: set[Pin] = set()
        for name, operands in self._linear.items():
            if all(pin in taken for bit in e.cells[name]["connections"]["Y"] for pin in reads.get(bit, ())):
                linear |= operands
        for name, stored in self._stored.items():
            one = self._loads[name]
            # New cells do not count: they only read what they check, or take over its residue.
            seen = ((i, pin) for i, bit in enumerate(one.q) for pin in reads.get(bit, ()))
            if any(pin not in linear and pin not in one.holds[i] for i, pin in seen):
                self._found.detected.append(e.differ(remainder(e, one.q), stored))
        return set(self._stored)

    def _track(self, one: Loading) -> Digit:
        if one.cell not in self._stored:
            number = len(self._stored)
            init = sum(bit << i for i, bit in enumerate(_residue(self._e.init(one.q))))
            low, high = self._e.guard(f"residue_{number}", 2, init)
            self._stored[one.cell] = low, high
            self._waiting.append(one)
        return self._stored[one.cell]

    def _follow(self, tree: Tree, hold: Digit) -> Digit:
        """The residue of what a register loads."""
        if not isinstance(tree, Leaf):
            no, yes = (self._follow(side, hold) for side in tree[1:])
            low, high = self._e.choose(tree[0], list(no), list(yes))
            return low, high
        if tree.kind == "hold":
            return hold
        return self._of(list(tree.bits), True)

    def _arithmetic(self, bits: Sequence[Bit]) -> str:
        """The cell of which some bits are the lowest of the result."""
        name, port, at = self._e.driver.get(bits[0], ("", "", 0))
        cell = self._e.cells.get(name)
        if cell is None or cell["type"] not in (*_SUMS, "$mul") or port != "Y" or at:
            return ""
        return name if list(bits) == cell["connections"]["Y"][: len(bits)] else ""

    def _exact(self, bits: Sequence[Bit], reads: dict[Bit, list[Pin]]) -> bool:
        """Whether the residue of the result can be told."""
        name = self._arithmetic(bits)
        cell = self._e.cells[name]
        if len(bits) > _WIDEST:
            return False
        if cell["type"] == "$mul":
            return len(bits) >= self._size(name)
        return not any(reads.get(bit) for bit in cell["connections"]["Y"][len(bits) :])

    def _signed(self, name: str) -> bool:
        parameters = self._e.cells[name]["parameters"]
        return all(int(parameters[f"{port}_SIGNED"], 2) for port in "AB")

    def _short(self, name: str, port: str) -> list[Bit]:
        """An operand without bits that only repeat its sign."""
        bits = list(self._e.cells[name]["connections"][port])
        signed = self._signed(name)
        while len(bits) > 1 and bits[-1] == (bits[-2] if signed else "0"):
            bits.pop()
        return bits

    def _size(self, name: str) -> int:
        """Bits of a product, so that none is lost."""
        return sum(len(self._short(name, port)) for port in "AB")

    def _of(self, bits: list[Bit], whole: bool) -> Digit:
        """The residue of a word; ``whole`` if all of it is what a register loads."""
        e = self._e
        while bits and bits[-1] == "0":
            bits = bits[:-1]
        if not bits:
            return "0", "0"
        name = self._arithmetic(bits) if whole else ""
        if name and (e.cells[name]["type"] != "$mul" or len(bits) >= self._size(name)):
            return self._result(name, len(bits))
        one = self._owner.get(tuple(bits))
        if one is not None:
            return self._track(one)
        step = e.selected(bits)
        if step is not None and any(all(isinstance(b, str) for b in side) for side in step[1:]):
            low, high = e.choose(step[0], *[list(self._of(list(side), False)) for side in step[1:]])
            return low, high
        return remainder(e, bits)

    def _result(self, name: str, width: int) -> Digit:
        """The residue of a result from those of its operands."""
        e = self._e
        cell, signed = e.cells[name], self._signed(name)
        if cell["type"] == "$mul":
            operands = []
            for port in "AB":
                bits = self._short(name, port)
                # The number with sign: the pattern, less 2^w if it is negative.
                less = _times(bits[-1], -_POWER[len(bits) % 2]) if signed else ("0", "0")
                operands.append(_sum(e, self._of(bits, False), less))
            value = _product(e, operands[0], operands[1])
            top = cell["connections"]["Y"][width - 1]
            return _sum(e, value, _times(top, _POWER[width % 2])) if signed else value
        digits = [self._operand(name, port, width, signed) for port in "AB"]
        carry = self._carry(name, width, signed)
        if cell["type"] == "$sub":
            return _sum(e, digits[0], _negative(digits[1]), _times(carry, _POWER[width % 2]))
        return _sum(e, digits[0], digits[1], _times(carry, -_POWER[width % 2]))

    def _operand(self, name: str, port: str, width: int, signed: bool) -> Digit:
        """The residue of an operand of a sum, cut or made longer to its width."""
        bits = self._short(name, port)
        if len(bits) <= width and tuple(bits) in self._owner:
            # A register that is read whole stays wrong in the sum.
            pins = {(name, port, i) for i in range(len(self._e.cells[name]["connections"][port]))}
            self._linear.setdefault(name, set()).update(pins)
        own = self._of(bits[:width], False)
        if not signed or len(bits) >= width:
            return own
        return _sum(self._e, own, _times(bits[-1], _POWER[width % 2] - _POWER[len(bits) % 2]))

    def _carry(self, name: str, width: int, signed: bool) -> Bit:
        """What a sum of so many bits carries out; of a difference what it borrows."""
        if name not in self._carries:
            cell = self._e.cells[name]
            links = cell["connections"]
            ins = {}
            for port in "AB":
                bits = links[port][:width]
                ins[port] = [*bits, *[bits[-1] if signed else "0"] * (width - len(bits)), "0"]
            carry = self._e.net(1)
            links |= ins
            links["Y"] = [*links["Y"][:width], *carry]
            sizes = {
                "A_WIDTH": width + 1,
                "B_WIDTH": width + 1,
                "Y_WIDTH": width + 1,
                "A_SIGNED": 0,
                "B_SIGNED": 0,
            }
            cell["parameters"] |= {n: words_of(v, 32) for n, v in sizes.items()}
            self._carries[name] = carry[0]
        return self._carries[name]


def _q(editor: Guarded, name: str) -> list[Bit]:
    return list(editor.cells[name]["connections"]["Q"])


def _data(tree: Tree) -> list[Leaf]:
    if isinstance(tree, Leaf):
        return [tree] if tree.kind == "data" else []
    return _data(tree[1]) + _data(tree[2])


def _residue(number: int) -> tuple[int, int]:
    return int(number % 3 == 1), int(number % 3 == 2)
