"""The instruction set, once: encoder, decoder, assembler, program files, C header, documentation, hardware layout."""

from __future__ import annotations

from hwgen.program.assembly import assemble, disassemble
from hwgen.program.encoding import Columns, Instr, arrays, decode, decode_all, encode, encode_all, instr
from hwgen.program.program import Program
from hwgen.program.table import ENGINES, INSTRUCTIONS, Instruction

__all__ = [
    "ENGINES",
    "INSTRUCTIONS",
    "Columns",
    "Instr",
    "Instruction",
    "Program",
    "arrays",
    "assemble",
    "decode",
    "decode_all",
    "disassemble",
    "encode",
    "encode_all",
    "instr",
]
