"""Memories with check bits: stored beside each word that is written as one, checked where data are used.

Check bits have the write enables of the data that they are of. Data that are read into a register, as a block RAM has
one at its output, are checked behind it, and the check bits go through a register of their own with the same enable; so
memory and register stay one block RAM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hwgen.errors import HwgenError
from hwgen.faults.hook_edit import Bit, words_of
from hwgen.faults.hook_memory import ReadRegister
from hwgen.faults.protection.codes import Code
from hwgen.faults.protection.copies import Findings
from hwgen.faults.protection.edit import Guarded, Pin

__all__ = ["Checker", "protect_memory"]


@dataclass
class _Lane:
    """Bits of a word that are written together and read by the same registers."""

    bits: list[int]
    code: Code
    first: int = 0  # of its check bits, in the wider word


@dataclass
class Checker:
    """Checks words, and puts them right if the code can.

    Parameters
    ----------
    editor : Guarded
        The module.
    found : Findings
        Gets what is found.
    """

    editor: Guarded
    found: Findings

    def checks(self, code: Code, data: Sequence[Bit]) -> list[Bit]:
        """Check bits of data."""
        return [self.editor.odd([data[i] for i in row]) for row in code.rows()]

    def check(
        self,
        code: Code,
        data: Sequence[Bit],
        checks: Sequence[Bit],
        label: str,
        parts: Sequence[Sequence[Bit]] = (),
    ) -> list[Bit]:
        """Compare data with their check bits; gives the data as they are taken.

        Of data whose ``parts`` are added up elsewhere too, one parity bit can use these sums.
        """
        e = self.editor
        if not code.corrects:
            self.found.detected.append(e.odd(*(parts or [data]), checks))
            return list(data)
        rows = code.rows()
        syndrome = [e.odd([bit, *(data[i] for i in row)]) for bit, row in zip(checks, rows, strict=True)]
        # All columns are odd, those of check bits too: an error of odd weight is taken for a single one.
        odd, some = e.odd(syndrome), e.any(syndrome)
        flips = e.net(len(data), e.fresh_name(f"{label}_flips"))
        hits = [e.is_number(syndrome, column) for column in code.columns]
        e.join(flips, hits)
        alone = [e.is_number(syndrome, 1 << k) for k in range(code.checks)]
        single = e.any([*flips, *alone])
        self.found.corrected.append(single)
        self.found.detected.append(
            e.any([e.all(some, e.inverse([odd])[0]), e.all(odd, e.inverse([single])[0])])
        )
        return e.other(list(data), flips)


def protect_memory(
    editor: Guarded,
    name: str,
    registers: Sequence[ReadRegister],
    code: Callable[[int], Code],
    most: int,
    found: Findings,
) -> int:
    """Give a memory check bits.

    Parameters
    ----------
    editor : Guarded
        The module.
    name : str
        Cell of the memory.
    registers : sequence of ReadRegister
        Registers behind the module's memories.
    code : callable
        Code for a number of data bits.
    most : int
        Data bits that share check bits, at most.
    found : Findings
        Gets the checks.

    Returns
    -------
    int
        Check bits of a word.
    """
    before = set(editor.cells)
    editor.forget()
    cell = editor.cells[name]
    links, numbers = cell["connections"], _numbers(cell)
    width, reads = numbers["WIDTH"], numbers["RD_PORTS"]
    label = str(cell["parameters"]["MEMID"]).lstrip("\\")
    mine = [r for r in registers if r.memory == name]
    lanes = _lanes(links, width, mine, code, most)
    checks = sum(lane.code.checks for lane in lanes)
    checker = Checker(editor, found)
    old = {port: list(links[port]) for port in ("RD_DATA", "WR_DATA", "WR_EN")}
    for port, bits in old.items():
        links[port] = []
        for i in range(len(bits) // width if width else 0):
            word = bits[i * width : (i + 1) * width]
            links[port] += word + _extra(checker, port, word, lanes)
    read_checks = [
        links["RD_DATA"][i * (width + checks) + width : (i + 1) * (width + checks)] for i in range(reads)
    ]
    _grow(cell, numbers, lanes, width, checks)
    changed: dict[Bit, Bit] = {}
    kept: set[Pin] = set()
    for i in range(reads):
        data = old["RD_DATA"][i * width : (i + 1) * width]
        behind = [r for r in mine if r.data[0] in data]
        for lane in lanes:
            word = [data[bit] for bit in lane.bits]
            stored = read_checks[i][lane.first : lane.first + lane.code.checks]
            owners = [r for r in behind if set(r.bits) & set(lane.bits)]
            direct = _read_elsewhere(editor, word, owners)
            if direct or not owners:
                good = checker.check(lane.code, word, stored, f"{label}_{i}")
                changed |= {a: b for a, b in zip(word, good, strict=True) if a != b}
            for number, register in enumerate(owners):
                q, shadow, holds = _shadow(editor, register, lane, stored, f"{label}_{i}_{number}")
                good = checker.check(lane.code, q, shadow, f"{label}_{i}_{number}")
                changed |= {a: b for a, b in zip(q, good, strict=True) if a != b}
                kept |= holds
    if changed:
        editor.rewire(changed, lambda *pin: pin not in kept and (not pin[0] or pin[0] in before))
    return checks


def _numbers(cell: dict[str, Any]) -> dict[str, int]:
    return {n: int(v, 2) for n, v in cell["parameters"].items() if v and set(v) <= {"0", "1"}}


def _lanes(
    links: dict[str, list[Bit]],
    width: int,
    registers: Sequence[ReadRegister],
    code: Callable[[int], Code],
    most: int,
) -> list[_Lane]:
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i in range(width):
        readers = tuple(r.cell for r in registers if i in r.bits)
        groups.setdefault((tuple(links["WR_EN"][i::width]), readers), []).append(i)
    lanes, first = [], 0
    for bits in groups.values():
        parts = -(-len(bits) // most)
        for p in range(parts):
            lane = bits[p * len(bits) // parts : (p + 1) * len(bits) // parts]
            lanes.append(_Lane(lane, code(len(lane)), first))
            first += lanes[-1].code.checks
    return lanes


def _extra(checker: Checker, port: str, word: Sequence[Bit], lanes: Sequence[_Lane]) -> list[Bit]:
    """Check bits of a port."""
    made: list[Bit] = []
    for lane in lanes:
        bits = [word[i] for i in lane.bits]
        if port == "RD_DATA":
            made += checker.editor.net(lane.code.checks)
        elif port == "WR_EN":
            made += [bits[0]] * lane.code.checks
        else:
            made += checker.checks(lane.code, bits)
    return made


def _grow(
    cell: dict[str, Any], numbers: dict[str, int], lanes: Sequence[_Lane], width: int, checks: int
) -> None:
    """Width and first contents."""
    parameters = cell["parameters"]
    parameters["WIDTH"] = words_of(width + checks, 32)
    for name in ("RD_INIT_VALUE", "RD_ARST_VALUE", "RD_SRST_VALUE"):  # of clocked ports, which these are not
        parameters[name] = "x" * (numbers["RD_PORTS"] * (width + checks))
    text, depth = str(parameters["INIT"]), numbers["SIZE"]
    if set(text) <= {"x"}:  # of what is undefined the check bits would not be right
        text = ""
    text = text.replace("x", "0").rjust(width * depth, "0")
    words = []
    for row in range(depth):
        end = len(text) - row * width
        word = int(text[end - width : end], 2)
        for lane in lanes:
            data = sum((word >> bit & 1) << i for i, bit in enumerate(lane.bits))
            word |= lane.code.encode(data) << (width + lane.first)
        words.append(words_of(word, width + checks))
    parameters["INIT"] = "".join(reversed(words))


def _read_elsewhere(editor: Guarded, word: Sequence[Bit], registers: Sequence[ReadRegister]) -> bool:
    """Whether something but those registers reads a word."""
    return any(len(editor.readers.get(bit, ())) > sum(bit in r.data for r in registers) for bit in word)


def _shadow(
    editor: Guarded, register: ReadRegister, lane: _Lane, stored: Sequence[Bit], label: str
) -> tuple[list[Bit], list[Bit], set[Pin]]:
    """Value of a lane in a read register, its check bits in a register beside, and pins that stay as they are."""
    links = editor.cells[register.cell]["connections"]
    at = [register.bits.index(bit) for bit in lane.bits]
    q, data = [links["Q"][i] for i in at], [register.data[i] for i in at]
    shadow = editor.guard(f"{label}_checks", lane.code.checks, lane.code.encode(editor.init(q)))
    stays: set[Pin] = set()

    def following(pins: list[Pin], bits: list[Bit]) -> list[Bit]:
        """What the check bits load where data would load some bits."""
        if bits in (q, data):
            stays.update(pins)
            return list(shadow if bits == q else stored)
        step = editor.selected(bits)
        if step is None:
            raise HwgenError(f"a register behind memory {label} of {editor.kind} is none; report this")
        select, *sides = step
        ways = []
        for port, side in zip("AB", sides, strict=True):
            ways.append(following([(editor.driver[b][0], port, editor.driver[b][2]) for b in bits], side))
        return editor.choose(select, *ways)

    d = following([(register.cell, "D", i) for i in at], [links["D"][i] for i in at])
    editor.register(links["CLK"][0], d, shadow)
    return q, shadow, stays
