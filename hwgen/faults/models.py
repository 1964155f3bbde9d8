"""Fault models: what happens to a site, and when."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.faults.sites import Element, Kind, SiteTable

__all__ = ["FAULT", "FOREVER", "MEANINGS", "Faults", "Masks", "Model", "faults", "masks", "swaps"]


class Model(IntEnum):
    """What a fault does. In every active cycle, a struck bit becomes ``(next & ~clear) ^ flip`` at the cycle's end."""

    SEU = 0
    """Single-event upset: the bit is inverted once."""
    MBU = 1
    """Multi-bit upset: ``size`` neighbouring bits of a register or a word are inverted once."""
    STUCK_AT_0 = 2
    STUCK_AT_1 = 3
    INTERMITTENT = 4
    """What the bit takes in is inverted in ``on`` of every ``period`` cycles."""
    WORD = 5
    """All bits of a register or of a memory's word are inverted once."""
    COLUMN_AT_0 = 6
    """A bit line of a memory: the bit reads as zero in every word; what is stored stays."""
    COLUMN_AT_1 = 7
    OVERRIDE = 8
    """All bits of a register, 64 at most, load ``value`` instead."""
    SWAP = 9
    """A register, and another one of the same instance, load what the other one should."""
    SET = 10
    """A gate gives the wrong value in one cycle; sites are those of :class:`hwgen.faults.transients.GateSubject`."""


MEANINGS = {
    Model.SEU: "a bit is inverted once",
    Model.MBU: "neighbouring bits of a register or of a memory's word are inverted once",
    Model.STUCK_AT_0: "a bit stays at 0",
    Model.STUCK_AT_1: "a bit stays at 1",
    Model.INTERMITTENT: "what a bit takes in is inverted now and then",
    Model.WORD: "all bits of a register or of a memory's word are inverted once",
    Model.COLUMN_AT_0: "a memory's bit line always reads as 0; what is stored stays",
    Model.COLUMN_AT_1: "a memory's bit line always reads as 1; what is stored stays",
    Model.OVERRIDE: "a register loads a given value",
    Model.SWAP: "two registers of an instance load what the other one should",
    Model.SET: "a gate gives the wrong value in one cycle",
}
"""Each model in a line."""

FAULT = np.dtype(
    [
        ("site", "<i8"), ("model", "u1"), ("size", "u1"), ("cycle", "<u4"), ("duration", "<u4"), ("period", "<u4"),
        ("on", "<u4"), ("value", "<u8"),
    ]
)  # fmt: skip
"""A fault: site, :class:`Model`, bits of a multi-bit upset, first active cycle, for how long and how often; and what an
override loads, or a site of the register that a swap exchanges it with."""

FOREVER = (1 << 32) - 1
"""A duration until the end."""

Faults = npt.NDArray[np.void]

_ONCE = (Model.SEU, Model.MBU, Model.WORD, Model.OVERRIDE, Model.SWAP, Model.SET)
_WHOLE = (Model.WORD, Model.OVERRIDE, Model.SWAP)
_ALL = np.uint64((1 << 64) - 1)


def faults(
    site: npt.ArrayLike,
    cycle: npt.ArrayLike,
    model: Model = Model.SEU,
    *,
    size: int = 1,
    duration: int | None = None,
    period: int = 1,
    on: int = 1,
    value: npt.ArrayLike = 0,
) -> Faults:
    """Faults of one model.

    Parameters
    ----------
    site, cycle : array_like of int
        Where, and the first active cycle; shapes must broadcast.
    model : Model
        What.
    size : int
        Neighbouring bits of a multi-bit upset, 2..64; for others 1.
    duration : int, optional
        Cycles from the first active one to the last; 1 for upsets, overrides and swaps, without limit for the others,
        if absent.
    period, on : int
        Of an intermittent fault: active in the first ``on`` of every ``period`` cycles.
    value : array_like of int
        Of an override: what is loaded. Of a swap: a site of the other register.

    Raises
    ------
    BadInput
        If the numbers are none of the model's.
    """
    if model is Model.MBU and not 2 <= size <= 64:
        raise BadInput(f"a multi-bit upset has 2..64 bits, not {size}")
    if not 1 <= on <= period:
        raise BadInput(f"an intermittent fault is active in 1..{period} of {period} cycles, not {on}")
    where, when, what = np.broadcast_arrays(
        np.asarray(site, np.int64), np.asarray(cycle, np.int64), np.asarray(value, np.uint64)
    )
    if when.size and (when.min() < 0 or when.max() >= FOREVER):
        raise BadInput(f"the cycle of a fault must lie in 0..{FOREVER - 1}, not {int(when.min())}")
    made = np.zeros(where.shape, FAULT)
    made["site"], made["cycle"], made["model"] = where, when, int(model)
    made["size"] = size if model is Model.MBU else 1
    made["duration"] = (1 if model in _ONCE else FOREVER) if duration is None else duration
    made["period"], made["on"], made["value"] = period, on, what
    return made.reshape(-1)


@dataclass(frozen=True, eq=False)
class Masks:
    """Faults as masks on elements.

    Parameters
    ----------
    element, row, low, width : int64 array, shape (faults,)
        Element of the site table, word, and the bits: ``width`` of them from ``low`` on.
    clear, flip : bool array, shape (faults,)
        Whether these bits are cleared, and whether they are inverted then.
    column : bool array, shape (faults,)
        Whether what is read from a memory is meant, not what is stored.
    value : uint64 array, shape (faults,)
        Which of the bits are inverted, the lowest one first; all ones but for overrides.
    other : int64 array, shape (faults,)
        Element that is exchanged with this one; -1 if none is.
    """

    element: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    low: npt.NDArray[np.int64]
    width: npt.NDArray[np.int64]
    clear: npt.NDArray[np.bool_]
    flip: npt.NDArray[np.bool_]
    column: npt.NDArray[np.bool_]
    value: npt.NDArray[np.uint64]
    other: npt.NDArray[np.int64]

    def __getitem__(self, some: slice) -> Masks:
        return Masks(*(getattr(self, field.name)[some] for field in fields(self)))


def masks(table: SiteTable, listed: Faults) -> Masks:
    """What faults do to which bits.

    Raises
    ------
    BadInput
        If a site does not exist, or is no site for the model: a column needs a memory, an override a register of at
        most 64 bits that the value fits, a swap two registers of one width in one instance.
    """
    element, row, bit = table.locate(listed["site"])
    model = listed["model"]
    if (model == Model.SET).any():
        raise BadInput("transients strike gates, not registers; strike the subject's gates")
    total = np.array([e.width for e in table.elements], np.int64)[element]
    memory = np.array([e.kind is Kind.MEMORY for e in table.elements], np.bool_)[element]
    column = (model == Model.COLUMN_AT_0) | (model == Model.COLUMN_AT_1)
    wrong = np.flatnonzero(column & ~memory)
    if wrong.size:
        raise BadInput(
            f"site {table.site(int(listed['site'][wrong[0]]))} is no memory; columns are struck in memories"
        )
    whole = np.isin(model, _WHOLE)
    # An upset of several bits at the end of a word strikes the last ones.
    low = np.where(whole, 0, np.maximum(np.minimum(bit, total - listed["size"]), 0))
    width = np.where(whole, total, np.minimum(listed["size"], total))
    clear = np.isin(
        model,
        [Model.STUCK_AT_0, Model.STUCK_AT_1, Model.COLUMN_AT_0, Model.COLUMN_AT_1, Model.OVERRIDE],
    )
    flip = ~np.isin(model, [Model.STUCK_AT_0, Model.COLUMN_AT_0])
    value = np.full(len(listed), _ALL)
    own = model == Model.OVERRIDE
    value[own] = listed["value"][own]
    for one, number in set(zip(element[own].tolist(), value[own].tolist(), strict=True)):
        _refuse_override(table.elements[one], number)
    other = np.full(len(listed), -1, np.int64)
    swapped = model == Model.SWAP
    other[swapped] = table.locate(listed["value"][swapped].astype(np.int64))[0]
    for one, two in set(zip(element[swapped].tolist(), other[swapped].tolist(), strict=True)):
        _refuse_swap(table.elements[one], table.elements[two])
    return Masks(element, row, low, width, clear, flip, column, value, other)


def swaps(table: SiteTable, listed: Faults) -> list[tuple[str, str]]:
    """Registers that faults exchange, by their labels."""
    own = listed[listed["model"] == Model.SWAP]
    sites = np.unique(np.stack([own["site"], own["value"].astype(np.int64)], axis=1), axis=0)
    labels = ([table.site(int(site)).element.label for site in pair] for pair in sites)
    return list(dict.fromkeys((one, two) for one, two in labels))


def _refuse_override(element: Element, value: int) -> None:
    if element.kind is not Kind.FLIP_FLOP or element.width > 64:
        raise BadInput(f"{element.label} cannot be overridden; name a register of at most 64 bits")
    if value >> element.width:
        raise BadInput(f"{value:#x} does not fit the {element.width} bits of {element.label}; choose less")


def _refuse_swap(one: Element, two: Element) -> None:
    registers = one.kind is two.kind is Kind.FLIP_FLOP
    if one is two or not registers or one.path != two.path or one.width != two.width:
        raise BadInput(
            f"{one.label} and {two.label} cannot be exchanged; name two registers of one width in one instance"
        )
