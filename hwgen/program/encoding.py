"""Instructions to bytes and back: one by one, as lists, and as columns for those who need a whole program fast."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput
from hwgen.numerics import IntArray, wrap
from hwgen.program.layout import default, layout, limits, opcode, reserved_mask
from hwgen.program.table import (
    CONTROL,
    ENGINE_BITS,
    ENGINES,
    FUNCTION_LOW,
    INSTRUCTION_BYTES,
    INSTRUCTIONS,
    MASK_BITS,
    SIGNAL_LOW,
    WAIT_LOW,
    Field,
    Instruction,
)

__all__ = [
    "Columns",
    "Instr",
    "arrays",
    "decode",
    "decode_all",
    "encode",
    "encode_all",
    "engine_names",
    "field_value",
    "instr",
    "no_such_field",
]

WORD = 64
_Words = npt.NDArray[np.uint64]

_NAMES = [tuple(name for i, name in enumerate(ENGINES) if mask >> i & 1) for mask in range(1 << len(ENGINES))]
"""Engines by mask, in the order of the table."""


class _Kind:
    """What is worked out once per kind of instruction, so that building one instruction is a few look-ups."""

    def __init__(self, instruction: Instruction):
        self.instruction = instruction
        self.mnemonic = instruction.mnemonic
        self.opcode = opcode(instruction)
        self.layout = layout(self.mnemonic)
        self.defaults: dict[str, SupportsIndex | str] = {f.name: default(f) for f in instruction.fields}
        self.index = {f.name: i for i, f in enumerate(instruction.fields)}
        self.lows = [f.low for f in instruction.fields]
        self.highs = [f.high for f in instruction.fields]
        own = instruction.engine
        self.masks = {names: mask for mask, names in enumerate(_NAMES) if own not in names}
        if own == "control":
            self.masks = {(): 0}


_KINDS = {(i.engine, i.name): _Kind(i) for i in INSTRUCTIONS}
_BY_MNEMONIC = {kind.mnemonic: kind for kind in _KINDS.values()}


@dataclass(frozen=True, slots=True, repr=False)
class Instr:
    """One instruction, always legal.

    Parameters
    ----------
    instruction : Instruction
        Its kind, of the table.
    values : tuple of int
        Value of every field, in the order of the table; a field with names also takes a name.
    wait : tuple of str
        Engines from which it takes one token each before it starts; kept in the order of the table.
    signal : tuple of str
        Engines to which it gives one token each when it ends; kept in the order of the table.
    comment : str
        For the reader of the assembly text; neither encoded nor compared.

    Raises
    ------
    BadInput
        If a value is outside its range, an engine is unknown, named twice or the instruction's own, or an
        instruction of the dispatcher waits or signals.
    """

    instruction: Instruction
    values: tuple[int, ...]
    wait: tuple[str, ...] = ()
    signal: tuple[str, ...] = ()
    comment: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        kind = _KINDS[self.instruction.engine, self.instruction.name]
        if type(self.values) is not tuple:
            object.__setattr__(self, "values", tuple(self.values))
        if len(self.values) != len(kind.lows):
            raise BadInput(f"{kind.mnemonic} has {len(kind.lows)} fields, not {len(self.values)}")
        for value, low, high in zip(self.values, kind.lows, kind.highs, strict=True):
            if type(value) is not int or not low <= value <= high:
                pairs = zip(kind.instruction.fields, self.values, strict=True)
                found = tuple(field_value(kind.instruction, f, v) for f, v in pairs)
                object.__setattr__(self, "values", found)
                break
        if type(self.wait) is not tuple or self.wait not in kind.masks:
            object.__setattr__(self, "wait", _checked_engines(kind, "wait", self.wait))
        if type(self.signal) is not tuple or self.signal not in kind.masks:
            object.__setattr__(self, "signal", _checked_engines(kind, "signal", self.signal))

    @property
    def mnemonic(self) -> str:
        """``engine.name``."""
        return self.instruction.mnemonic

    @property
    def engine(self) -> str:
        """Who does it: of ``ENGINES``, or ``control``."""
        return self.instruction.engine

    @property
    def fields(self) -> dict[str, int]:
        """Value of every field by name, in the order of the table."""
        return {f.name: value for f, value in zip(self.instruction.fields, self.values, strict=True)}

    def __getitem__(self, name: str) -> int:
        """Value of one field; KeyError if there is none of that name."""
        return self.values[_KINDS[self.instruction.engine, self.instruction.name].index[name]]

    def __repr__(self) -> str:
        given = [f"{name}={value}" for name, value in self.fields.items()]
        given += [
            f"{name}={names}" for name, names in (("wait", self.wait), ("signal", self.signal)) if names
        ]
        return f"instr({', '.join([repr(self.mnemonic), *given])})"


def instr(
    mnemonic: str,
    /,
    *,
    wait: Iterable[str] = (),
    signal: Iterable[str] = (),
    comment: str = "",
    **fields: SupportsIndex | str,
) -> Instr:
    """Build an instruction, such as ``instr("load.run", address=64, buffer="act", run_bytes=32, signal=("dsp",))``.

    Parameters
    ----------
    mnemonic : str
        ``engine.name``.
    wait, signal : str or iterable of str
        Names of engines.
    comment : str
        For the reader of the assembly text.
    **fields : int or str
        Values of fields. A field that is absent is zero, or its smallest value where zero is illegal (counts: 1).

    Raises
    ------
    BadInput
        If the instruction or a field is unknown, or for the reasons of :class:`Instr`.
    """
    kind = _BY_MNEMONIC.get(mnemonic)
    if kind is None:
        raise BadInput(f"there is no instruction {mnemonic!r}; there are {', '.join(_BY_MNEMONIC)}")
    given = kind.defaults | fields
    if len(given) != len(kind.defaults):
        raise no_such_field(kind.instruction, next(name for name in fields if name not in kind.defaults))
    return Instr(
        kind.instruction,
        tuple(given.values()),  # type: ignore[arg-type]  # Instr turns names and NumPy integers into int
        wait,  # type: ignore[arg-type]  # and any collection of engines into a tuple
        signal,  # type: ignore[arg-type]
        comment,
    )


def no_such_field(instruction: Instruction, name: str) -> BadInput:
    """The error that says so."""
    names = ", ".join(f.name for f in instruction.fields)
    has = f"its fields are {names}" if names else "it has none"
    return BadInput(f"{instruction.mnemonic} has no field {name!r}; {has}")


def field_value(instruction: Instruction, field: Field, value: object) -> int:
    """``value`` as an integer that is legal in the field; a name of the field's list is its number.

    Raises
    ------
    BadInput
        If it is no integer, no name of the field, or outside the range.
    """
    if isinstance(value, str) and value in field.names:
        return field.names.index(value)
    try:
        number = int(operator.index(bool(value) if isinstance(value, np.bool_) else value))  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or not field.low <= number <= field.high:
        names = f"one of {', '.join(field.names)}, or its number" if field.names else "an integer"
        raise BadInput(
            f"{instruction.mnemonic}: {field.name} must be {names} in {field.low}..{field.high}, not {value!r}"
        )
    return number


def engine_names(mask: int) -> tuple[str, ...]:
    """Names of the engines in a mask of ``0 .. 2**len(ENGINES) - 1``, in the order of the table."""
    return _NAMES[mask]


def _checked_engines(kind: _Kind, what: str, names: Iterable[str]) -> tuple[str, ...]:
    """``names`` in the order of the table; see :class:`Instr` for what is refused."""
    names = (names,) if isinstance(names, str) else tuple(names)
    own = kind.instruction.engine
    if names and own == "control":
        raise BadInput(
            f"{kind.mnemonic} is the dispatcher's and has no {what}, not {', '.join(map(str, names))}"
        )
    for name in names:
        if name not in ENGINES:
            raise BadInput(
                f"{kind.mnemonic}: {what} names {name!r}, which is no engine; there are {', '.join(ENGINES)}"
            )
        if name == own:
            raise BadInput(
                f"{kind.mnemonic}: {what} names {name}, its own engine, which keeps order by itself"
            )
        if names.count(name) > 1:
            raise BadInput(f"{kind.mnemonic}: {what} names {name} twice; there is one token per instruction")
    return tuple(name for name in ENGINES if name in names)


def encode(one: Instr) -> bytes:
    """The 16 bytes of one instruction."""
    return encode_all([one])


def encode_all(instructions: Sequence[Instr]) -> bytes:
    """The bytes of a program's instructions, 16 each, in order."""
    groups: dict[str, list[int]] = {mnemonic: [] for mnemonic in _BY_MNEMONIC}
    keyed = {key: groups[kind.mnemonic] for key, kind in _KINDS.items()}
    for i, one in enumerate(instructions):
        keyed[one.instruction.engine, one.instruction.name].append(i)
    words = np.zeros((len(instructions), 2), "<u8")
    for mnemonic, where in groups.items():
        if where:
            words[where] = _packed(_BY_MNEMONIC[mnemonic], [instructions[i] for i in where])
    return words.tobytes()


def _packed(kind: _Kind, instructions: Sequence[Instr]) -> _Words:
    """Two words for each of the instructions, all of one kind; shape (n, 2)."""
    masks = kind.masks
    head = np.array([masks[one.wait] << WAIT_LOW | masks[one.signal] << SIGNAL_LOW for one in instructions])
    words = np.zeros((len(instructions), 2), np.uint64)
    words[:, 0] = head | kind.opcode
    values = np.array([one.values for one in instructions], np.int64).astype(np.uint64)
    for column, (low, bits, _) in enumerate(kind.layout.values()):
        value = values[:, column] & np.uint64((1 << bits) - 1)
        if low < WORD:
            words[:, 0] |= value << np.uint64(low)
            words[:, 1] |= value >> np.uint64(WORD - low)  # what did not fit; zero for most fields
        else:
            words[:, 1] |= value << np.uint64(low - WORD)
    return words


@dataclass(frozen=True, eq=False)
class Columns:
    """All instructions of one kind in a program, field by field.

    Parameters
    ----------
    instruction : Instruction
        The kind.
    index : int64 array, shape (n,)
        Where they are in the program, ascending.
    wait, signal : int64 array, shape (n,)
        Masks of engines.
    fields : dict of int64 array, shape (n,)
        Values by name, in the order of the table.
    """

    instruction: Instruction
    index: IntArray
    wait: IntArray
    signal: IntArray
    fields: dict[str, IntArray]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, name: str) -> IntArray:
        """Values of one field; KeyError if there is none of that name."""
        return self.fields[name]


def arrays(data: bytes, *, offset: int = 0) -> dict[str, Columns]:
    """Decode a program by columns.

    Parameters
    ----------
    data : bytes
        Instructions, 16 bytes each.
    offset : int
        Byte offset of ``data`` in its file, for messages.

    Returns
    -------
    dict of Columns
        By mnemonic, in the order of the table; only kinds that occur.

    Raises
    ------
    BadInput
        If the length is no multiple of 16, or an instruction is illegal: the first one, with its number in the
        program, its byte offset and the reason.
    """
    if len(data) % INSTRUCTION_BYTES:
        raise BadInput(
            f"a program is a multiple of {INSTRUCTION_BYTES} bytes, not {len(data)}; "
            f"the instruction at byte {offset + len(data) // INSTRUCTION_BYTES * INSTRUCTION_BYTES} is cut short"
        )
    words = np.frombuffer(data, "<u8").reshape(-1, 2).astype(np.uint64, copy=False)
    codes = (words[:, 0] & np.uint64((1 << WAIT_LOW) - 1)).astype(np.uint8)
    found: dict[str, Columns] = {}
    faults: list[tuple[int, str]] = []
    known = np.zeros(1 << WAIT_LOW, np.bool_)
    for kind in _BY_MNEMONIC.values():
        known[kind.opcode] = True
        index = np.flatnonzero(codes == kind.opcode)
        if index.size:
            columns, fault = _unpacked(kind, index, words[index])
            found[kind.mnemonic] = columns
            faults += [fault] if fault else []
    strange = np.flatnonzero(~known[codes])
    if strange.size:
        faults.append((int(strange[0]), _unknown_opcode(int(codes[strange[0]]))))
    if faults:
        number, reason = min(faults)
        raise BadInput(f"instruction {number} (byte {offset + INSTRUCTION_BYTES * number}): {reason}")
    return found


def _unpacked(kind: _Kind, index: IntArray, words: _Words) -> tuple[Columns, tuple[int, str] | None]:
    """Columns of instructions of one kind, and the first that is illegal, with the reason."""

    def bits_at(low: int, bits: int) -> IntArray:
        if low >= WORD:
            value = words[:, 1] >> np.uint64(low - WORD)
        else:
            value = words[:, 0] >> np.uint64(low)
            if low + bits > WORD:
                value = value | words[:, 1] << np.uint64(WORD - low)
        return (value & np.uint64((1 << bits) - 1)).astype(np.int64)

    fields: dict[str, IntArray] = {}
    for name, (low, bits, signed) in kind.layout.items():
        value = bits_at(low, bits)
        fields[name] = wrap(value, bits) if signed else value
    columns = Columns(
        kind.instruction, index, bits_at(WAIT_LOW, MASK_BITS), bits_at(SIGNAL_LOW, MASK_BITS), fields
    )
    mask = reserved_mask(kind.instruction)
    halves = np.array([mask % (1 << WORD), mask >> WORD], np.uint64)
    bad = np.flatnonzero((words & halves).any(axis=1))
    faults: list[tuple[int, str]] = []
    if bad.size:
        first = int(bad[0])
        bits = (int(words[first, 0]) | int(words[first, 1]) << WORD) & mask
        faults.append((int(index[first]), _reserved_bit(kind, (bits & -bits).bit_length() - 1)))
    for limit in limits(kind.instruction):
        value = fields[limit.field]
        bad = np.flatnonzero((value < limit.minimum) | (value > limit.maximum))
        if bad.size:
            reason = f"{limit.field} must be in {limit.minimum}..{limit.maximum}, not {int(value[bad[0]])}"
            faults.append((int(index[bad[0]]), f"{kind.mnemonic}: {reason}"))
    return columns, min(faults, key=operator.itemgetter(0), default=None)


def _unknown_opcode(code: int) -> str:
    number, function = code % (1 << ENGINE_BITS), code >> FUNCTION_LOW
    if number == CONTROL or number < len(ENGINES):
        engine = "control" if number == CONTROL else ENGINES[number]
        return f"function {function} of engine {engine} is reserved"
    return f"engine number {number} is reserved"


def _reserved_bit(kind: _Kind, bit: int) -> str:
    for what, low in (("wait", WAIT_LOW), ("signal", SIGNAL_LOW)):
        if low <= bit < low + MASK_BITS:
            if kind.instruction.engine == "control":
                return f"{kind.mnemonic}: the dispatcher's instructions have no {what}, but bit {bit} is set"
            if bit - low < len(ENGINES):
                return f"{kind.mnemonic}: {what} names {kind.instruction.engine}, its own engine"
            return f"{kind.mnemonic}: {what} names engine number {bit - low}, which is reserved"
    return f"{kind.mnemonic}: reserved bit {bit} is set"


def decode(data: bytes) -> Instr:
    """The instruction in 16 bytes.

    Raises
    ------
    BadInput
        If it is illegal, or there are more or fewer bytes.
    """
    if len(data) != INSTRUCTION_BYTES:
        raise BadInput(f"an instruction is {INSTRUCTION_BYTES} bytes, not {len(data)}")
    return decode_all(data)[0]


def decode_all(data: bytes, *, offset: int = 0) -> list[Instr]:
    """The instructions of a program, in order; raises as :func:`arrays` does."""
    columns = arrays(data, offset=offset)
    where = np.concatenate([c.index for c in columns.values()]) if columns else np.zeros(0, np.int64)
    made = list(itertools.chain.from_iterable(map(_rows, columns.values())))
    return [made[i] for i in np.argsort(where)]


def _rows(columns: Columns) -> Iterator[Instr]:
    """Instructions of one kind."""
    values = (
        zip(*(v.tolist() for v in columns.fields.values()), strict=True)
        if columns.fields
        else [()] * len(columns)
    )
    for row, wait, signal in zip(values, columns.wait.tolist(), columns.signal.tolist(), strict=True):
        yield Instr(columns.instruction, row, _NAMES[wait], _NAMES[signal])
