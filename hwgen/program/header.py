"""The instruction set for C and C++: constants, and one function per instruction that writes its two words."""

from __future__ import annotations

import textwrap

from hwgen.program.layout import INSTRUCTION_BITS, opcode
from hwgen.program.table import (
    CONTROL,
    ENGINES,
    INSTRUCTION_BYTES,
    INSTRUCTIONS,
    MASK_BITS,
    SIGNAL_LOW,
    WAIT_LOW,
    Field,
    Instruction,
    engine_mask,
)

__all__ = ["c_header", "function_name"]

WORD = 64


def function_name(instruction: Instruction) -> str:
    """Name of the C function that encodes the instruction."""
    return f"hwgen_{instruction.engine}_{instruction.name}"


def c_header() -> list[str]:
    """Lines of a C99 and C++11 header, without an include guard.

    A function takes ``uint64_t word[2]``, the masks of ``wait`` and ``signal`` (except instructions of the
    dispatcher) and every field in the order of the table. It cuts values to the field's width and checks nothing.
    On a big-endian host each word must be swapped before it goes to memory.
    """
    lines = [
        "#include <stdint.h>",
        "",
        f"/* Instructions: {INSTRUCTION_BITS} bits, two little-endian {WORD}-bit words, low word first. */",
        f"#define HWGEN_INSTRUCTION_BYTES {INSTRUCTION_BYTES}",
        f"#define HWGEN_WAIT_LOW_BIT {WAIT_LOW}",
        f"#define HWGEN_SIGNAL_LOW_BIT {SIGNAL_LOW}",
        f"#define HWGEN_MASK_BITS {MASK_BITS}",
    ]
    for number, engine in enumerate(ENGINES):
        lines += [
            f"#define HWGEN_ENGINE_{engine.upper()} {number}",
            f"#define HWGEN_MASK_{engine.upper()} {engine_mask(engine):#x}",
        ]
    lines.append(f"#define HWGEN_ENGINE_CONTROL {CONTROL}")
    for instruction in INSTRUCTIONS:
        lines += ["", *_constants(instruction), *_function(instruction)]
    return lines


def _constants(instruction: Instruction) -> list[str]:
    base = f"HWGEN_{instruction.engine.upper()}_{instruction.name.upper()}"
    lines = textwrap.wrap(
        f"/* {instruction.mnemonic}: {instruction.meaning} */",
        100,
        subsequent_indent="   ",
        break_long_words=False,
    )
    lines.append(f"#define {base}_OPCODE {opcode(instruction):#04x}")
    for field, low in instruction.placed():
        name = f"{base}_{field.name.upper()}"
        lines += [
            f"/* {field.meaning} */",
            f"#define {name}_LOW_BIT {low}",
            f"#define {name}_BITS {field.bits}",
            f"#define {name}_SIGNED {int(field.signed)}",
            f"#define {name}_MINIMUM {_literal(field.low)}",
            f"#define {name}_MAXIMUM {_literal(field.high)}",
            *(f"#define {name}_{text.upper()} {number}" for number, text in enumerate(field.names)),
        ]
    return lines


def _literal(value: int) -> str:
    """An integer as C writes it; in brackets if negative, so that it survives any expression."""
    if value < 0:
        return f"({value})"
    return f"{value}" if value < 1 << 31 else f"UINT64_C({value})"


def _function(instruction: Instruction) -> list[str]:
    places = [(field.name, low, field.bits) for field, low in instruction.placed()]
    arguments = [f"{_type(field)} {field.name}" for field in instruction.fields]
    if instruction.engine != "control":
        places += [("wait_mask", WAIT_LOW, MASK_BITS), ("signal_mask", SIGNAL_LOW, MASK_BITS)]
        arguments = ["uint8_t wait_mask", "uint8_t signal_mask", *arguments]
    head = f"static inline void {function_name(instruction)}("
    lines = textwrap.wrap(
        head + ", ".join(["uint64_t word[2]", *arguments]) + ")", 100, subsequent_indent=" " * 4
    )
    lines.append("{")
    for half, first in enumerate((f"UINT64_C({opcode(instruction):#04x})", "UINT64_C(0)")):
        terms = [first]
        for name, low, bits in places:
            term = f"((uint64_t){name} & UINT64_C({(1 << bits) - 1:#x}))"
            shift = low - WORD * half
            if 0 <= shift < WORD:
                terms.append(f"{term} << {shift}" if shift else term)
            elif -bits < shift < 0:  # begun in the low word
                terms.append(f"{term} >> {-shift}")
        lines.append(f"    word[{half}] = " + "\n        | ".join(terms) + ";")
    return [*"\n".join([*lines, "}"]).split("\n")]


def _type(field: Field) -> str:
    return f"{'' if field.signed else 'u'}int{32 if field.bits <= 32 else 64}_t"
