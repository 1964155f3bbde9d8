"""The documentation page of the instruction set, written from the table: ``python -m hwgen.program.document``."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from hwgen.files import write_all
from hwgen.program.layout import INSTRUCTION_BITS, default, opcode
from hwgen.program.program import HEADER, HEADER_BYTES
from hwgen.program.table import (
    CONTROL,
    ENGINE_BITS,
    ENGINE_LOW,
    ENGINES,
    FUNCTION_BITS,
    FUNCTION_LOW,
    INSTRUCTION_BYTES,
    INSTRUCTIONS,
    MASK_BITS,
    PAYLOAD_LOW,
    SIGNAL_LOW,
    WAIT_LOW,
    Field,
    Instruction,
)

__all__ = ["PAGE", "markdown"]

PAGE = Path(__file__).parents[2] / "docs" / "instructions.md"
"""Where the page is committed."""

ENGINE_TEXTS = {
    "control": "The dispatcher carries these out itself; they have no masks.",
    "load": "Moves bytes from DRAM to the buffers on chip.",
    "dsp": "Matrix products on DSP blocks.",
    "lut": "Matrix products on bit planes.",
    "sparse": "Matrix products with sparse weights. Block *b* of a sum is multiplied with 16 operand words, from word "
    "16 * (`operand` + *b*) on; element *r* of an operand word is of row *r*, or in way *w* of the elements that "
    "`columns` repeated for it. Element *p* of a word of sums is of output 16 * *tile* + *p*. A *round* is a tile, or "
    "as many tiles as there are ways if `spread` is set; it begins with a new word of codes. `hwgen/parts/sparse` says "
    "what the streams hold; without `spread` the words of values and indices fill the rows one after the other, with "
    "it each way has a slice of every row. An unknown code, or streams that do not take the `steps`, `value_rows` and "
    "`index_rows` that were set, is the error SPARSE_STREAM.",
    "vec": "Everything that is done element by element, from sums to activations.",
    "store": "Moves activations to DRAM.",
}


def markdown() -> str:
    """The page."""
    parts = [
        "# Instructions",
        "Written from `hwgen/program/table.py` by `python -m hwgen.program.document`; a test keeps the two equal.",
        *_format(),
        *_order(),
        *_file(),
    ]
    for engine in ("control", *ENGINES):
        kinds = [kind for kind in INSTRUCTIONS if kind.engine == engine]
        number = CONTROL if engine == "control" else ENGINES.index(engine)
        parts += [f"## `{engine}` (engine {number})", ENGINE_TEXTS[engine]]
        for kind in kinds:
            parts += _instruction(kind)
    return "\n\n".join(parts) + "\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def _bits(low: int, bits: int) -> str:
    return f"{low + bits - 1}:{low}" if bits > 1 else f"{low}"


def _format() -> list[str]:
    last = ENGINES[-1]
    rows = [
        (_bits(ENGINE_LOW, ENGINE_BITS), "engine", "who does it"),
        (_bits(FUNCTION_LOW, FUNCTION_BITS), "function", "which instruction of the engine"),
        (
            _bits(WAIT_LOW, MASK_BITS),
            "wait",
            "mask of engines: one token is taken from each before the start",
        ),
        (_bits(SIGNAL_LOW, MASK_BITS), "signal", "mask of engines: one token is given to each at the end"),
        (
            _bits(PAYLOAD_LOW, INSTRUCTION_BITS - PAYLOAD_LOW),
            "payload",
            "fields of the instruction, lowest first",
        ),
    ]
    return [
        "## Format",
        f"An instruction is {INSTRUCTION_BITS} bits: {INSTRUCTION_BYTES} bytes in memory, little endian, "
        f"at an address that is a multiple of {INSTRUCTION_BYTES}.",
        _table(("bits", "name", "meaning"), rows),
        f"Bit *n* of a mask stands for engine *n*: {', '.join(f'{i} `{name}`' for i, name in enumerate(ENGINES))}. "
        f"Engine {CONTROL} is the dispatcher (`control`). An engine's own bit, the mask bits above `{last}` and all "
        "bits that no field uses are reserved and must be zero. Signed fields are two's complement. An instruction "
        "with an unknown opcode, a reserved bit set or a field out of its range is illegal: the decoder refuses it.",
    ]


def _order() -> list[str]:
    return [
        "## Order",
        "Every engine has a queue and does its instructions one after the other, in program order. Between engines "
        "there is no order except by tokens. For every pair of engines there is a counter of tokens, zero at the "
        "start of a program.",
        "- `wait`: an instruction starts when, for every engine in its mask, the counter from that engine to its own "
        "is not zero; it then takes one token from each of them.\n"
        "- `signal`: when it ends, it adds one token to the counter from its own engine to every engine in its mask.",
        "So a consumer waits for its producer before it reads, and a producer waits for the consumer before it "
        "overwrites. A program whose tokens do not match hangs.",
        "A program ends with `control.halt` and has no other.",
    ]


def _file() -> list[str]:
    rows, at = [], 0
    for name, code, meaning in HEADER:
        size = struct.calcsize("<" + code)
        rows.append((f"{at}", f"{size}", name, meaning))
        at += size
    return [
        "## Program file (`.hwp`)",
        f"{HEADER_BYTES} bytes of header, little endian, then the instructions, nothing after them.",
        _table(("byte", "bytes", "name", "meaning"), rows),
    ]


def _instruction(kind: Instruction) -> list[str]:
    rows = [
        (_bits(at, field.bits), f"`{field.name}`", _range(field), _default(field), field.meaning)
        for field, at in kind.placed()
    ]
    free = INSTRUCTION_BITS - kind.reserved_low
    if free:
        rows.append((_bits(kind.reserved_low, free), "", "0", "", "reserved"))
    return [
        f"### `{kind.mnemonic}` (opcode {opcode(kind):#04x})",
        kind.meaning,
        _table(("bits", "name", "range", "default", "meaning"), rows),
    ]


def _range(field: Field) -> str:
    if field.names:
        return ", ".join(f"{number} `{name}`" for number, name in enumerate(field.names))
    return f"{field.low} … {field.high}"


def _default(field: Field) -> str:
    value = default(field)
    return f"`{field.names[value]}`" if field.names else f"{value}"


if __name__ == "__main__":
    write_all(PAGE.parent, {PAGE.name: markdown()})
