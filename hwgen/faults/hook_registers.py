"""Hooks of flip-flops: q(t+1) = (next & ~clear) ^ flip while a word is selected, without a flip-flop more.

Enables and resets stay on the pins of the flip-flops, because a hook that is before them would make logic of them. In
the cycle of a fault they are overruled and the hook does what they would have done. A bit then costs one LUT: its
inputs are what is loaded, what is held, which of them, whether there is a fault, and the two masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hwgen.faults.hook_edit import Bit, Editor

__all__ = ["Masks", "RegisterHooks"]

NARROW = 2
"""Registers of so many bits keep no pins: overruling them would cost more than it saves."""


@dataclass
class Masks:
    """What a module knows of the fault.

    Parameters
    ----------
    clear, flip : list of Bit
        Masks of a word.
    strobe : Bit
        Whether the fault is active.
    """

    clear: list[Bit]
    flip: list[Bit]
    strobe: Bit


@dataclass
class _Control:
    """How a register is controlled, and what it loads."""

    data: list[Bit]
    reset: Bit = "0"
    value: Sequence[Bit] = ()
    enable: Bit = "1"
    enable_first: bool = False


class RegisterHooks:
    """Hooks of the registers of a module.

    Parameters
    ----------
    editor : Editor
        The module.
    masks : Masks
        Its fault ports.
    now : callable
        Bit that says that a word's fault is active.
    """

    def __init__(self, editor: Editor, masks: Masks, now: Callable[[int], Bit]):
        self._e = editor
        self._masks = masks
        self._now = now
        self._known: dict[tuple[Any, ...], Any] = {}

    def hook(
        self, name: str, places: Sequence[tuple[int, int]], swap: tuple[Bit, Sequence[Bit]] | None = None
    ) -> None:
        """Hook a register.

        Parameters
        ----------
        name : str
            Name of the cell, which goes away.
        places : sequence of (word, bit)
            Of each of its bits.
        swap : (Bit, sequence of Bit), optional
            When to load something else, and what.
        """
        cell = self._e.cells[name]
        links = cell["connections"]
        clock, d, q = links["CLK"][0], links["D"], links["Q"]
        control = self._control(d, q) if len(q) > NARROW and swap is None else _Control(list(d))
        del self._e.cells[name]
        groups: dict[int, list[int]] = {}
        for i, (word, _) in enumerate(places):
            groups.setdefault(word, []).append(i)
        for word, members in groups.items():
            part = _Control(
                [control.data[i] for i in members],
                control.reset,
                [control.value[i] for i in members] if control.value else (),
                control.enable,
                control.enable_first,
            )
            at = [places[i][1] for i in members]
            other = None if swap is None else (swap[0], [swap[1][i] for i in members])
            self._hook(clock, part, [q[i] for i in members], word, at, other)

    def _hook(
        self,
        clock: Bit,
        control: _Control,
        q: list[Bit],
        word: int,
        at: list[int],
        swap: tuple[Bit, list[Bit]] | None,
    ) -> None:
        """Hook bits of a register that share a word."""
        e, now, data = self._e, self._now(word), control.data
        reset, enable, value = control.reset, control.enable, list(control.value)
        if reset == "0" and enable == "1":
            changed = e.choose(now, data, self._upset(data, at))
            if swap is not None:
                changed = e.choose(swap[0], changed, swap[1])
            e.register(clock, changed, q)
            return
        if control.enable_first:
            kept = e.choose(enable, q, e.choose(reset, data, value))
        else:
            kept = e.choose(reset, e.choose(enable, q, data), value)
        changed = e.choose(now, data, self._upset(kept, at))
        pins: dict[str, Any] = {}
        if reset != "0":
            pins |= {"reset": self._once("reset", word, reset), "value": value}
        if enable != "1":
            pins |= {"enable": self._once("enable", word, enable)}
        e.register(clock, changed, q, first="enable" if control.enable_first else "reset", **pins)

    def _once(self, what: str, word: int, pin: Bit) -> Bit:
        """A pin, overruled by the fault."""
        key = what, word, pin
        if key not in self._known:
            e, now = self._e, self._now(word)
            made = e.either([pin], [now]) if what == "enable" else e.both([pin], e.inverse([now]))
            self._known[key] = made[0]
        return self._known[key]  # type: ignore[no-any-return]

    def _upset(self, bits: Sequence[Bit], at: Sequence[int]) -> list[Bit]:
        """The fault's operation on bits that have places in a word."""
        if ("keep",) not in self._known:
            self._known["keep",] = self._e.inverse(self._masks.clear)
        keep = self._known["keep",]
        kept = self._e.both(bits, [keep[i] for i in at])
        return self._e.other(kept, [self._masks.flip[i] for i in at])

    def _control(self, d: Sequence[Bit], q: Sequence[Bit]) -> _Control:
        """Enables and resets of a register: multiplexers before it that hold its value or load a constant."""
        e = self._e
        found = _Control(list(d))
        resets, found.data, found.value = self._resets(found.data)
        enables: list[Bit] = []
        while step := e.selected(found.data):
            select, no, yes = step
            if no == list(q):
                enables.append(select)
                found.data = yes
            elif yes == list(q):
                enables.append(e.inverse([select])[0])
                found.data = no
            else:
                break
        if enables and not resets:
            resets, found.data, found.value = self._resets(found.data)
            found.enable_first = bool(resets)
        found.enable = e.all(*enables)
        for bit in resets:
            found.reset = e.either([found.reset], [bit])[0]
        return found

    def _resets(self, data: list[Bit]) -> tuple[list[Bit], list[Bit], Sequence[Bit]]:
        """Conditions under which one constant is loaded, what is loaded otherwise, and the constant."""
        resets: list[Bit] = []
        value: Sequence[Bit] = ()
        while step := self._e.selected(data):
            select, no, yes = step
            if all(isinstance(bit, str) for bit in yes) and (not resets or value == yes):
                resets.append(select)
                value, data = yes, no
            elif all(isinstance(bit, str) for bit in no) and (not resets or value == no):
                resets.append(self._e.inverse([select])[0])
                value, data = no, yes
            else:
                break
        return resets, data, ["1" if bit == "1" else "0" for bit in value]
