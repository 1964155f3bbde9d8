"""Hooks of memories: what a faulty row holds is worked out when it is read, so that the memory stays a RAM.

A row's content is ``f(f(... written))`` with ``f(x) = (x & ~clear) ^ flip``, once for every cycle with a fault since
the write. Because ``f(f(x))`` is ``x`` where only flip is set, and ``f(x)`` where clear is, two bits tell how often:
*live*, at least once, and *odd*. There is a pair for each group of bits that are written together, and another one
behind each register that holds what was read: the register itself can then stay the output register of a block RAM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hwgen.faults.hook_edit import Bit, Editor
from hwgen.faults.hook_registers import Masks
from hwgen.faults.hook_words import WORD_BITS

__all__ = ["MemoryHooks", "ReadRegister", "read_registers"]

Pair = tuple[Bit, Bit]
"""Live and odd."""


@dataclass
class ReadRegister:
    """A register that only loads or holds what one port reads.

    Parameters
    ----------
    cell : str
        Its cell.
    memory : str
        Cell of the memory.
    bits : list of int
        Bit of the word of the memory that each of its bits loads.
    data : list of Bit
        What it loads.
    enable : Bit
        When it does.
    names : list of (str, int)
        What its bits are called.
    raw : str
        What it is called once what is seen of it comes from the hook.
    words : dict
        Its hook word for each word of the memory; a bit has the place that it has there.
    """

    cell: str
    memory: str
    bits: list[int]
    data: list[Bit]
    enable: Bit
    names: list[tuple[str, int]] = field(default_factory=list)
    raw: str = ""
    words: dict[int, int] = field(default_factory=dict)


def read_registers(editor: Editor) -> list[ReadRegister]:
    """Registers behind read ports that can be the output registers of a RAM; what is between them has no other use."""
    e = editor
    source: dict[Bit, tuple[str, int, int]] = {}
    for name, cell in e.cells.items():
        if cell["type"] == "$mem_v2":
            width = int(cell["parameters"]["WIDTH"], 2)
            for i, bit in enumerate(cell["connections"]["RD_DATA"]):
                source[bit] = name, i // width, i % width
    found = []
    for name, cell in e.cells.items():
        if cell["type"] != "$dff":
            continue
        q, data = cell["connections"]["Q"], cell["connections"]["D"]
        enables: list[tuple[Bit, bool]] = []
        while (step := e.selected(data)) and all(len(e.readers.get(bit, ())) == 1 for bit in data):
            select, no, yes = step
            if no != q and yes != q:
                break
            enables.append((select, no == q))
            data = yes if no == q else no
        froms = {source[bit][:2] for bit in data if bit in source}
        if len(froms) == 1 and all(bit in source for bit in data):
            bits = [source[bit][2] for bit in data]
            if len(set(bits)) == len(bits):
                enable = e.all(*(s if straight else e.inverse([s])[0] for s, straight in enables))
                found.append(ReadRegister(name, froms.pop()[0], bits, list(data), enable))
    return found


class MemoryHooks:
    """Hooks of a memory.

    Parameters
    ----------
    editor : Editor
        The module.
    masks : Masks
        Its fault ports.
    row : list of Bit
        Row that is meant.
    column : Bit
        Whether all that is read is meant, instead of a row.
    at : callable
        Bit that says that a word is selected.
    clock : Bit
        The clock.
    """

    def __init__(
        self, editor: Editor, masks: Masks, row: list[Bit], column: Bit, at: Callable[[int], Bit], clock: Bit
    ):
        self._e = editor
        self._masks = masks
        self._row = row
        self._column = column
        self._at = at
        self._clock = clock

    def hook(self, name: str, first: int, label: str, registers: Sequence[ReadRegister]) -> None:
        """Hook a memory and the registers behind it.

        Parameters
        ----------
        name : str
            Its cell.
        first : int
            Its first word.
        label : str
            What it is called.
        registers : sequence of ReadRegister
            Those behind it.
        """
        e = self._e
        cell = e.cells[name]
        links, numbers = cell["connections"], _numbers(cell)
        width, abits = numbers["WIDTH"], numbers["ABITS"]
        self.canonical(cell, width, abits)
        lanes = self._lanes(links["WR_EN"], width)
        selected = e.any([self._at(first + i) for i in range(-(-width // WORD_BITS))])
        # In the cycle of a column fault everything that is read is wrong; a row's fault is there from the next on.
        strobe = e.all(selected, self._masks.strobe)
        content = e.all(strobe, e.inverse([self._column])[0])
        column = e.all(strobe, self._column)
        e.call(f"fault_{label}_begins", [content])
        pairs: list[Pair] = []
        for number, enables in enumerate(dict.fromkeys(lanes)):
            live, odd = (e.net(1, f"fault_{label}_{what}_{number}", 0)[0] for what in ("live", "odd"))
            addresses = [links["WR_ADDR"][i * abits : (i + 1) * abits] for i in range(len(enables))]
            hits = [
                e.all(enable, self._here(address))
                for enable, address in zip(enables, addresses, strict=True)
                if enable != "0"
            ]
            stays = e.all(selected, e.inverse([e.any(hits)])[0])
            e.register(self._clock, e.either([content], [e.all(live, stays)]), [live])
            e.register(self._clock, e.other([content], [e.all(odd, stays)]), [odd])
            pairs.append((live, odd))
        group = {enables: i for i, enables in enumerate(dict.fromkeys(lanes))}
        groups = [group[enables] for enables in lanes]
        for port in range(numbers["RD_PORTS"]):
            here = self._here(links["RD_ADDR"][port * abits : (port + 1) * abits])
            bad = [
                (e.either([e.all(a, here)], [column])[0], e.either([e.all(b, here)], [column])[0])
                for a, b in pairs
            ]
            data = links["RD_DATA"][port * width : (port + 1) * width]
            mine = [r for r in registers if r.memory == name and r.data[0] in data]
            raw = e.net(width, f"fault_{label}_raw_{port}")
            links["RD_DATA"][port * width : (port + 1) * width] = raw
            place = {bit: i for i, bit in enumerate(data)}
            for i, register in enumerate(mine):
                loaded = [raw[place[bit]] for bit in register.data]
                self._behind(register, loaded, first, f"{label}_{port}_{i}", groups, bad)
            if any(self._used_elsewhere(bit, mine) for bit in data):
                wrong = {(i // WORD_BITS, groups[i]): bad[groups[i]] for i in range(width)}
                # A memory of one word is known to be selected when something is wrong with it.
                slices = range(-(-width // WORD_BITS))
                at: dict[int, Bit] = {i: self._at(first + i) if len(slices) > 1 else "1" for i in slices}
                self._overlay(raw, data, list(range(width)), groups, wrong, at)

    def _used_elsewhere(self, bit: Bit, registers: Sequence[ReadRegister]) -> bool:
        """Whether something but those registers reads a bit."""
        owned = sum(bit in r.data for r in registers)
        return len(self._e.readers.get(bit, ())) > owned

    def _behind(
        self,
        register: ReadRegister,
        loaded: list[Bit],
        first: int,
        label: str,
        group: Sequence[int],
        bad: Sequence[Pair],
    ) -> None:
        """Hook a register that holds what was read, with what tells how wrong it is."""
        e = self._e
        cell = e.cells.pop(register.cell)
        q = cell["connections"]["Q"]
        register.raw = f"fault_{label}_raw"
        raw = e.net(len(q), register.raw, self._take_init(q))
        e.register(cell["connections"]["CLK"][0], loaded, raw, enable=register.enable)
        at: dict[int, Bit] = dict.fromkeys(register.words, "1")
        # What is wrong with a row is known of all its words together.
        for s, word in register.words.items() if len(group) > WORD_BITS else ():
            # From a register, so that the decoder is not on the way of what was read.
            at[s] = e.net(1, f"fault_{label}_slice_{s}", 0)[0]
            e.register(self._clock, [e.any([self._at(first + s), self._at(word)])], [at[s]])
        wrong: dict[tuple[int, int], Pair] = {}
        own = e.any([self._at(word) for word in register.words.values()])
        now = e.all(self._masks.strobe, own)
        selected = e.any([own, *(self._at(first + s) for s in register.words)])
        for number in sorted({group[bit] for bit in register.bits}):
            live, odd = (e.net(1, f"fault_{label}_{what}_{number}", 0)[0] for what in ("live", "odd"))
            next_live = e.choose(register.enable, [e.all(selected, live)], [bad[number][0]])
            next_odd = e.choose(register.enable, [e.all(selected, odd)], [bad[number][1]])
            e.register(self._clock, e.either([now], next_live), [live])
            e.register(self._clock, e.other([now], next_odd), [odd])
            for s in register.words:
                wrong[s, number] = live, odd
        self._overlay(raw, q, register.bits, group, wrong, at)

    def _overlay(
        self,
        raw: Sequence[Bit],
        out: Sequence[Bit],
        bits: Sequence[int],
        group: Sequence[int],
        wrong: dict[tuple[int, int], Pair],
        at: dict[int, Bit],
    ) -> None:
        """What is seen of stored bits: as they are, or with the fault."""
        e = self._e
        parts: dict[tuple[int, int], list[int]] = {}
        for i, bit in enumerate(bits):
            parts.setdefault((bit // WORD_BITS, group[bit]), []).append(i)
        for (s, number), members in parts.items():
            live, odd = (e.all(at[s], bit) for bit in wrong[s, number])
            clear = [self._masks.clear[bits[i] % WORD_BITS] for i in members]
            flip = [self._masks.flip[bits[i] % WORD_BITS] for i in members]
            cleared = e.both(clear, [live] * len(members))
            # Where clear is set, the flip is part of what the bit is stuck at; what is odd is live too.
            flipped = e.both(flip, e.either(cleared, [odd] * len(members)))
            seen = e.other(e.both([raw[i] for i in members], e.inverse(cleared)), flipped)
            e.join([out[i] for i in members], seen)

    def _here(self, address: Sequence[Bit]) -> Bit:
        """Whether an address is the row's."""
        return self._e.equal(address, self._row[: len(address)])

    def _take_init(self, bits: Sequence[Bit]) -> int:
        """First value of a register; its name loses it, because it is no longer a register's."""
        found = 0
        for net in self._e.nets.values():
            init = str(net["attributes"].get("init", ""))
            if not init or not set(net["bits"]) & set(bits):
                continue
            text = list(reversed(init))
            for i, bit in enumerate(net["bits"]):
                if i < len(text) and bit in bits:
                    found |= (text[i] == "1") << list(bits).index(bit)
                    text[i] = "x"
            if set(text) == {"x"}:
                del net["attributes"]["init"]
            else:
                net["attributes"]["init"] = "".join(reversed(text))
        return found

    def canonical(self, cell: dict[str, Any], width: int, abits: int) -> None:
        """Write ports without the multiplexers that a Verilog process becomes: tidy text, and lanes are seen."""
        links = cell["connections"]
        links["WR_EN"] = [self._straight(bit) for bit in links["WR_EN"]]
        for i in range(len(links["WR_EN"]) // width if width else 0):
            address = slice(i * abits, (i + 1) * abits)
            links["WR_ADDR"][address] = [self._straight(bit) for bit in links["WR_ADDR"][address]]
            for at in range(i * width, (i + 1) * width):
                bit = self._straight(links["WR_DATA"][at])
                links["WR_DATA"][at] = "0" if links["WR_EN"][at] == "0" else bit

    def _straight(self, bit: Bit) -> Bit:
        """The bit behind multiplexers that choose between it and nothing, or between zero and one."""
        name, _, at = self._e.driver.get(bit, ("", "", 0))
        cell = self._e.cells.get(name)
        if cell is None or cell["type"] != "$mux":
            return bit
        links = cell["connections"]
        no, yes = self._straight(links["A"][at]), self._straight(links["B"][at])
        if no == yes or yes == "x":
            return no
        if no == "x":
            return yes
        return links["S"][0] if (no, yes) == ("0", "1") else bit

    def _lanes(self, enables: Sequence[Bit], width: int) -> list[tuple[Bit, ...]]:
        """For each bit of a word the enables of all write ports."""
        return [tuple(enables[i::width]) for i in range(width)]


def _numbers(cell: dict[str, Any]) -> dict[str, int]:
    return {n: int(v, 2) for n, v in cell["parameters"].items() if v and set(v) <= {"0", "1"}}
