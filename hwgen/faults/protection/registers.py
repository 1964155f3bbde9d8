"""Check bits of registers: predicted from what a word loads, compared with what it holds in every cycle.

A word holds registers that are enabled and reset together, and its check bits are enabled and reset with it: one that
holds its value costs nothing. Where only the next register reads what one holds, it takes over the check bits, and only
the last one of such a row is checked. What loads in every cycle, and groups of few bits, share words with others: there
what loads and what stays is told group by group.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias, TypeVar, Union

from hwgen.faults.hook_edit import Bit
from hwgen.faults.protection.codes import Code
from hwgen.faults.protection.edit import Guarded, Pin
from hwgen.faults.protection.memory import Checker

__all__ = ["HOLD", "Leaf", "Loading", "Tree", "loading", "protect_registers"]


@dataclass(frozen=True)
class Leaf:
    """What a register can load: ``hold`` its value, a ``constant``, or ``data``."""

    kind: str
    bits: tuple[Bit, ...] = ()


HOLD = Leaf("hold")
T = TypeVar("T")

Tree: TypeAlias = Union[Leaf, "tuple[Bit, Tree, Tree]"]
"""A leaf, or a multiplexer's select and what it chooses from."""

FEW = 16
"""Registers of at most so many bits, with an enable of their own, share words with others."""


@dataclass
class Loading:
    """What a register loads.

    Parameters
    ----------
    cell : str
        Its cell.
    q : list of Bit
        What it holds.
    clock : Bit
        Its clock.
    tree : Tree
        What it loads.
    holds : list of set of Pin
        For each bit, pins that read what it holds only to hold it.
    passes : list of set of Pin
        For each bit, pins that read the data.
    """

    cell: str
    q: list[Bit]
    clock: Bit
    tree: Tree
    holds: list[set[Pin]] = field(default_factory=list)
    passes: list[set[Pin]] = field(default_factory=list)

    @cached_property
    def key(self) -> object:
        """The same for registers that are controlled together."""
        return self.clock, _shape(self.tree)

    @cached_property
    def source(self) -> tuple[Bit, ...] | None:
        """The only data that it can load; none if there are several."""
        found = [leaf for leaf in _leaves(self.tree) if leaf.kind == "data"]
        return found[0].bits if len(found) == 1 else None


def _shape(tree: Tree) -> object:
    return tree.kind if isinstance(tree, Leaf) else (tree[0], _shape(tree[1]), _shape(tree[2]))


def _leaves(tree: Tree) -> list[Leaf]:
    return [tree] if isinstance(tree, Leaf) else _leaves(tree[1]) + _leaves(tree[2])


def loading(editor: Guarded, cell: str) -> Loading:
    """What a register loads, multiplexers before it taken apart as far as they hold its value or load constants."""
    links = editor.cells[cell]["connections"]
    q = list(links["Q"])
    found = Loading(cell, q, links["CLK"][0], HOLD, [set() for _ in q], [set() for _ in q])

    def walk(pins: list[Pin], bits: list[Bit], data: list[list[Pin]]) -> Tree:
        if bits == q:
            for own, pin in zip(found.holds, pins, strict=True):
                own.add(pin)
            return HOLD
        if all(isinstance(bit, str) for bit in bits):
            return Leaf("constant", tuple(bits))
        step = editor.selected(bits)
        if step is not None:
            select, *sides = step
            inner: list[list[Pin]] = []
            trees = [
                walk([(editor.driver[b][0], port, editor.driver[b][2]) for b in bits], side, inner)
                for port, side in zip("AB", sides, strict=True)
            ]
            if any(not isinstance(tree, Leaf) or tree.kind != "data" for tree in trees):
                data += inner
                return select, trees[0], trees[1]
        data.append(pins)
        return Leaf("data", tuple(bits))

    read: list[list[Pin]] = []
    found.tree = walk([(cell, "D", i) for i in range(len(q))], list(links["D"]), read)
    for pins in read:
        for own, pin in zip(found.passes, pins, strict=True):
            own.add(pin)
    return found


Place: TypeAlias = tuple[Loading, int]
"""A bit of a register."""


@dataclass
class _Word:
    """Bits that share check bits; ``before`` is the word that it takes everything from."""

    bits: list[Place]
    before: _Word | None = None
    checks: list[Bit] = field(default_factory=list)

    @property
    def q(self) -> list[Bit]:
        return [one.q[i] for one, i in self.bits]

    @property
    def parts(self) -> list[list[Bit]]:
        """What it holds, register by register."""
        return [[one.q[i] for one, i in part] for part in _by_register(self.bits)]

    @property
    def holds(self) -> set[Pin]:
        return {pin for one, i in self.bits for pin in one.holds[i]}

    @property
    def passes(self) -> set[Pin]:
        return {pin for one, i in self.bits for pin in one.passes[i]}

    @property
    def together(self) -> bool:
        return len({id(one) for one, _ in self.bits}) == 1 or len({one.key for one, _ in self.bits}) == 1


def protect_registers(
    editor: Guarded,
    cells: Collection[str],
    code: Callable[[int], Code],
    most: int,
    checker: Checker,
    label: str,
) -> None:
    """Give registers check bits.

    Parameters
    ----------
    editor : Guarded
        The module.
    cells : collection of str
        Cells of the registers.
    code : callable
        Code for a number of data bits.
    most : int
        Data bits of a word, at most.
    checker : Checker
        For the checks.
    label : str
        Part of the names of check bits.
    """
    before = set(editor.cells)
    editor.forget()
    loads = {name: loading(editor, name) for name in cells}
    reads = editor.reads()
    words = _words(_chains(loads, reads), most)
    for number, word in enumerate(words):
        bits = word.q
        rows = code(len(bits))
        word.checks = editor.guard(f"{label}_{number}", rows.checks, rows.encode(editor.init(bits)))
    followed = {id(word.before): word for word in words if word.before}
    corrected: dict[Bit, Bit] = {}
    stays: set[Pin] = set()
    for number, word in enumerate(words):
        bits, holds = word.q, word.holds
        after = followed.get(id(word))
        passed = after.passes if after is not None else set()
        if after is not None and all(p in holds or p in passed for bit in bits for p in reads.get(bit, ())):
            continue
        good = checker.check(code(len(bits)), bits, word.checks, f"{label}_{number}", word.parts)
        if good != bits:
            corrected |= dict(zip(bits, good, strict=True))
            # Bits that hold their value together with their check bits need no correction to do so.
            stays |= passed | (holds if word.together else set())
    for word in words:
        _predict(editor, word, code(len(word.bits)), corrected)
    if corrected:
        editor.rewire(corrected, lambda *pin: pin not in stays and (not pin[0] or pin[0] in before))


def _by_register(bits: Sequence[Place]) -> list[list[Place]]:
    found: dict[int, list[Place]] = {}
    for one, i in bits:
        found.setdefault(id(one), []).append((one, i))
    return list(found.values())


def _chains(loads: dict[str, Loading], reads: dict[Bit, list[Pin]]) -> list[list[Place]]:
    """Bits in rows, each passing on what the one before holds; what something else reads too ends a row."""
    owner: dict[Bit, tuple[str, int]] = {
        bit: (name, i) for name, one in loads.items() for i, bit in enumerate(one.q)
    }
    after: dict[tuple[str, int], tuple[str, int]] = {}
    follows: set[tuple[str, int]] = set()
    for name, one in loads.items():
        for i, bit in enumerate(one.source or ()):
            before = owner.get(bit)
            if before is None or before == (name, i) or before in after:
                continue
            own = loads[before[0]].holds[before[1]] | one.passes[i]
            if all(pin in own for pin in reads.get(bit, ())):
                after[before] = name, i
                follows.add((name, i))
    places = [(name, i) for name, one in loads.items() for i in range(len(one.q))]
    chains, done = [], set()
    # Rings have no beginning: they are cut where they are found first.
    for start in [place for place in places if place not in follows] + places:
        chain: list[Place] = []
        at: tuple[str, int] | None = start
        while at is not None and at not in done:
            done.add(at)
            chain.append((loads[at[0]], at[1]))
            at = after.get(at)
        if chain:
            chains.append(chain)
    return chains


def _words(chains: Sequence[Sequence[Place]], most: int) -> list[_Word]:
    numbers: dict[object, int] = {}
    groups: dict[tuple[int, ...], list[Sequence[Place]]] = {}
    for chain in chains:
        groups.setdefault(tuple(numbers.setdefault(one.key, len(numbers)) for one, _ in chain), []).append(
            chain
        )
    words: list[_Word] = []
    rest: list[Place] = []
    for members in groups.values():
        # What loads in every cycle can share a word with anything.
        if len(members[0]) == 1 and (len(members) <= FEW or isinstance(members[0][0][0].tree, Leaf)):
            rest += [chain[0] for chain in members]
            continue
        for picked in _cut(members, most):
            before = None
            for stage in range(len(members[0])):
                before = _Word([chain[stage] for chain in picked], before)
                words.append(before)
    return words + [_Word(list(picked)) for picked in _cut(rest, most)]


def _cut(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """Items in parts of about the same size."""
    count = -(-len(items) // most)
    return [items[n * len(items) // count : (n + 1) * len(items) // count] for n in range(count)]


def _predict(editor: Guarded, word: _Word, code: Code, corrected: dict[Bit, Bit]) -> None:
    """Registers of the check bits."""
    d: list[Bit] = []
    groups: dict[object, list[int]] = {}
    for n, (one, _) in enumerate(word.bits):
        groups.setdefault(one.key, []).append(n)
    for k, row in enumerate(code.rows()):
        covered = set(row)
        terms: list[Bit] = []
        for members in groups.values():
            mine = [word.bits[n] for n in members if n in covered]
            if not mine:
                continue
            hold = word.checks[k]
            if len(groups) > 1:
                held = [[corrected.get(one.q[i], one.q[i]) for one, i in part] for part in _by_register(mine)]
                hold = editor.odd(*held)
            passed = word.before.checks[k] if word.before else None
            trees: list[tuple[Tree, list[int]]] = [
                (one.tree, [i for _, i in part]) for part in _by_register(mine) for one in [part[0][0]]
            ]
            terms.append(_follow(editor, trees, hold, passed, corrected))
        d.append(editor.odd(terms))
    editor.register(word.bits[0][0].clock, d, word.checks)


def _follow(
    editor: Guarded,
    picked: list[tuple[Tree, list[int]]],
    hold: Bit,
    passed: Bit | None,
    corrected: dict[Bit, Bit],
) -> Bit:
    """A check bit of what registers with the same control load; ``passed`` if it comes from the word before."""
    first = picked[0][0]
    if isinstance(first, Leaf):
        if first.kind == "hold":
            return hold
        if first.kind == "data" and passed is not None:
            return passed
        parts = [[tree.bits[i] for i in mine] for tree, mine in picked if isinstance(tree, Leaf)]
        return editor.odd(*[[corrected.get(bit, bit) for bit in part] for part in parts])
    sides = []
    for side in (1, 2):
        inner: list[tuple[Tree, list[int]]] = [
            (tree[1] if side == 1 else tree[2], mine) for tree, mine in picked if not isinstance(tree, Leaf)
        ]
        sides.append([_follow(editor, inner, hold, passed, corrected)])
    return editor.choose(corrected.get(first[0], first[0]), *sides)[0]
