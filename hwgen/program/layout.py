"""Where the bits of an instruction are, as plain data: for hardware, decoder, C header and documentation."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from hwgen.errors import BadInput
from hwgen.program.table import (
    ENGINE_LOW,
    ENGINES,
    FUNCTION_LOW,
    INSTRUCTION_BYTES,
    INSTRUCTIONS,
    MASK_BITS,
    SIGNAL_LOW,
    WAIT_LOW,
    Field,
    Instruction,
    engine_mask,
    instruction,
)

__all__ = ["Limit", "Placement", "default", "layout", "limits", "opcode", "opcodes", "reserved_mask"]

INSTRUCTION_BITS = 8 * INSTRUCTION_BYTES


class Placement(NamedTuple):
    """Bits ``low .. low + bits - 1`` of an instruction; two's complement if ``signed``."""

    low: int
    bits: int
    signed: bool


class Limit(NamedTuple):
    """A check that the width alone does not make: the field must lie in ``minimum..maximum``."""

    field: str
    low: int
    bits: int
    signed: bool
    minimum: int
    maximum: int


def default(field: Field) -> int:
    """Value of a field that is not given: zero, or its smallest value where zero is illegal."""
    return 0 if field.low <= 0 <= field.high else field.low


def layout(mnemonic: str) -> dict[str, Placement]:
    """Bits of every payload field by name, lowest first; KeyError if there is no such instruction."""
    return {
        field.name: Placement(at, field.bits, field.signed) for field, at in instruction(mnemonic).placed()
    }


def limits(instruction: Instruction) -> list[Limit]:
    """The range checks that are left once every field has its width, lowest field first."""
    found = []
    for field, at in instruction.placed():
        wide = Field(field.name, field.bits, "", field.signed)
        if (field.low, field.high) != (wide.low, wide.high):
            found.append(Limit(field.name, at, field.bits, field.signed, field.low, field.high))
    return found


def reserved_mask(instruction: Instruction, engines: Collection[str] = ENGINES) -> int:
    """Bits of the 128 that must be zero in this instruction.

    These are the bits that no field uses and, in both masks, the bits without an engine and the bit of the
    instruction's own engine. An instruction of the dispatcher carries no masks: all their bits are reserved.

    Parameters
    ----------
    instruction : Instruction
        The kind of instruction.
    engines : collection of str
        Engines that exist; the bits of the others are reserved, too, since nobody would answer.

    Raises
    ------
    BadInput
        If a name is not one of :data:`~hwgen.program.table.ENGINES`.
    """
    _known(engines)
    partners = (
        [name for name in engines if name != instruction.engine] if instruction.engine != "control" else []
    )
    unused = (1 << MASK_BITS) - 1 - engine_mask(*dict.fromkeys(partners))
    above = (1 << INSTRUCTION_BITS) - (1 << instruction.reserved_low)
    return above | unused << WAIT_LOW | unused << SIGNAL_LOW


def opcode(instruction: Instruction) -> int:
    """Lowest byte of the instruction: engine number and function."""
    return instruction.engine_number << ENGINE_LOW | instruction.function << FUNCTION_LOW


def opcodes(engines_present: Collection[str] = ENGINES) -> dict[int, Instruction]:
    """Legal values of the lowest byte where only these engines exist; the dispatcher's own are always legal.

    Raises
    ------
    BadInput
        If a name is not one of :data:`~hwgen.program.table.ENGINES`.
    """
    _known(engines_present)
    return {opcode(kind): kind for kind in INSTRUCTIONS if kind.engine in {*engines_present, "control"}}


def _known(engines: Collection[str]) -> None:
    for name in engines:
        if name not in ENGINES:
            raise BadInput(f"there is no engine {name!r}; there are {', '.join(ENGINES)}")
