"""When a trojan wakes up: watched ports and registers that have certain values, for the n-th time.

Until then the design is as it was, so the cycle is known from the fault-free run, and what the trojan does is a fault
that begins there. It does so once in a run, for the fault's duration, as the controller of the hooks does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hwgen.errors import BadInput
from hwgen.faults.engine.engine import LaneEngine
from hwgen.faults.engine.tables import MEMORY_PINS
from hwgen.faults.models import Model
from hwgen.faults.sites import Kind, SiteTable

__all__ = ["Trigger", "Waking", "parse_trigger", "payload", "waking"]

_WORD = 64


@dataclass(frozen=True)
class Trigger:
    """A comparator.

    Parameters
    ----------
    name : str
        Port of the design, or label of a register in the site table.
    value : int
        What it must be.
    mask : int or None
        Bits that are compared; all if absent.
    """

    name: str
    value: int
    mask: int | None = None

    def __str__(self) -> str:
        mask = "" if self.mask is None else f"/{self.mask:#x}"
        return f"{self.name}={self.value:#x}{mask}"


@dataclass(frozen=True)
class Waking:
    """When all triggers match in the fault-free run.

    Parameters
    ----------
    matches : tuple of int
        Every cycle in which they do.
    count : int
        Which of them counts, from 1.
    """

    matches: tuple[int, ...]
    count: int

    @property
    def first(self) -> int:
        """First cycle of the fault: the one after the match that counts."""
        return self.matches[self.count - 1] + 1


def parse_trigger(text: str) -> Trigger:
    """``NAME=VALUE`` or ``NAME=VALUE/MASK``, numbers as in Python.

    Raises
    ------
    BadInput
        If it is something else.
    """
    name, equals, numbers = text.partition("=")
    value, slash, mask = numbers.partition("/")
    try:
        found = Trigger(name, int(value, 0), int(mask, 0) if slash else None)
    except ValueError:
        found = Trigger("", 0)
    if not name or not equals or not found.name or found.value < 0 or (found.mask or 0) < 0:
        raise BadInput(
            f"--trigger takes NAME=VALUE or NAME=VALUE/MASK, such as irq=1 or x=0x40/0xf0, not {text!r}"
        )
    return found


def waking(engine: LaneEngine, triggers: Sequence[Trigger], count: int = 1) -> Waking:
    """Find the cycle in which a trojan wakes up.

    Parameters
    ----------
    engine : LaneEngine
        With the fault-free run.
    triggers : sequence of Trigger
        All must match in the same cycle.
    count : int
        Number of the matching cycle, from 1; cycle 0 is the first after reset.

    Raises
    ------
    BadInput
        If something watched is not there, a value does not fit it, or it does not come to so many matches before the
        last cycle.
    """
    if count < 1:
        raise BadInput(f"--trigger-count counts matching cycles from 1, not {count}")
    watched = [(one, _values(engine, one)) for one in triggers]
    found = [
        cycle
        for cycle in range(engine.cycles - 1)  # what a match in the last one starts comes after the end
        if all(_matches(engine, cycle, one, values) for one, values in watched)
    ]
    if len(found) < count:
        text = " and ".join(map(str, triggers))
        raise BadInput(
            f"{text} holds in {len(found)} of the run's {engine.cycles} cycles, not in {count}; "
            "choose another trigger or a smaller --trigger-count"
        )
    return Waking(tuple(found), count)


def payload(
    table: SiteTable, model: Model, where: Sequence[str], value: int | None
) -> tuple[Sequence[str], int]:
    """Where a fault strikes, and the value that it needs: of an override what is loaded, of a swap the other register.

    Parameters
    ----------
    table : SiteTable
        All sites.
    model : Model
        What happens.
    where : sequence of str
        Names of instances and registers; of a swap the two registers.
    value : int, optional
        Given by the user, for an override.

    Raises
    ------
    BadInput
        If a value is missing or too much, or a swap has not two registers.
    """
    if (model is Model.OVERRIDE) != (value is not None):
        raise BadInput(
            f"--value is what --model override loads; {'give it' if value is None else 'leave it out'}"
        )
    if model is not Model.SWAP:
        return where, value or 0
    found = [e for name in where for e in table.find(name)]
    if len(found) != 2:
        raise BadInput(
            f"a swap exchanges two registers, and --sites names {len(found)}; give --sites twice, a register each"
        )
    return [found[0].label], found[1].first


def _matches(engine: LaneEngine, cycle: int, one: Trigger, values: Sequence[int]) -> bool:
    seen = sum(engine.value(cycle, value) << _WORD * i for i, value in enumerate(values))
    return not (seen ^ one.value) & (-1 if one.mask is None else one.mask)


def _values(engine: LaneEngine, one: Trigger) -> Sequence[int]:
    """Values of the lowered program, 64 bits each."""
    program = engine.program
    inner = ("clk", *MEMORY_PINS)
    ports = {name: values for name, values in (program.outputs | program.inputs).items() if name not in inner}
    if one.name in ports:
        values = ports[one.name]
    else:
        elements = [e for e in engine.table if e.label == one.name and e.kind is Kind.FLIP_FLOP]
        if len(elements) != 1:
            raise BadInput(
                f"there is no port or register {one.name!r} to watch; ports are {', '.join(ports)}; registers are "
                "listed by `hwgen sites`"
            )
        pieces = sorted((r.low, r.q) for r in program.registers if r.element == elements[0].number)
        assert all(high - low == _WORD for (low, _), (high, _) in pairwise(pieces))
        values = tuple(q for _, q in pieces)
    width = sum(program.widths[value] for value in values)
    if (one.value | (one.mask or 0)) >> width:
        raise BadInput(f"{one} does not fit the {width} bits of {one.name}; choose less")
    return values
