"""Operations on words: a design as the lane engine interprets it.

Words have 1 to 64 bits. A word of one bit is kept as a plane (a bit per lane), others as an array of 8, 16, 32 or 64
bits per lane. Operations are in the order in which a cycle computes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

__all__ = ["WORD", "Code", "LoweredMemory", "LoweredRegister", "Op", "Program", "Value"]

WORD = 64
"""Bits of the widest word."""

Value: TypeAlias = int


class Code(IntEnum):
    """Operations; ``engine/program.hpp`` has the same list."""

    NOT = 0  # ~a
    AND = 1
    OR = 2
    XOR = 3
    MUX = 4  # c ? b : a
    ADD = 5
    SUB = 6
    MUL = 7
    EQUAL = 8  # to a bit, as the next ones
    LESS = 9  # unsigned
    LESS_SIGNED = 10  # of words with immediate bits
    ANY = 11  # a != 0
    PARITY = 12
    SHIFT_LEFT = 13  # by b; beyond the word gives zero
    SHIFT_RIGHT = 14
    SHIFT_RIGHT_SIGNED = 15  # of a word with immediate bits
    SLICE = 16  # bits of a from immediate on
    SIGN_EXTEND = 17  # of a word with immediate bits
    CONCAT = 18  # pieces
    READ = 19  # memory immediate at address a


@dataclass(frozen=True, slots=True)
class Op:
    """One operation; its result is value number ``result``.

    Parameters
    ----------
    code : Code
        What.
    result : int
        Value.
    args : tuple of int
        Values; of a concatenation, as many as there are pieces.
    immediate : int
        See :class:`Code`.
    shifts : tuple of int
        Of a concatenation: first bit of every piece in the result.
    """

    code: Code
    result: Value
    args: tuple[Value, ...]
    immediate: int = 0
    shifts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LoweredRegister:
    """A register, or a piece of 64 bits of one.

    Parameters
    ----------
    element, low : int
        Element of the site table, and the first bit in it.
    d, q : int
        Values.
    init : int
        First value.
    """

    element: int
    low: int
    d: Value
    q: Value
    init: int


@dataclass(frozen=True, slots=True)
class LoweredMemory:
    """A slice of a memory's words: at most 64 bits that are always written together.

    Parameters
    ----------
    element, low, width, depth : int
        Element of the site table, first bit in its words, bits, words.
    init : tuple of int
        First contents.
    writes : tuple of (int, int, int)
        Ports: values of address, data, enable (a bit), in order.
    external : bool
        Whether it lies outside of the design; what it holds is what the design gives then.
    """

    element: int
    low: int
    width: int
    depth: int
    init: tuple[int, ...]
    writes: tuple[tuple[Value, Value, Value], ...]
    external: bool = False


@dataclass(frozen=True, eq=False)
class Program:
    """What the engine interprets.

    Parameters
    ----------
    widths : tuple of int
        Bits of every value.
    constants : dict of int to int
        Values that never change.
    inputs, outputs : dict of str to tuple of int
        Values of the ports, 64 bits each, least significant first.
    ops : tuple of Op
        In order.
    registers, memories
        What holds state.
    """

    widths: tuple[int, ...]
    constants: dict[Value, int]
    inputs: dict[str, tuple[Value, ...]]
    outputs: dict[str, tuple[Value, ...]]
    ops: tuple[Op, ...]
    registers: tuple[LoweredRegister, ...]
    memories: tuple[LoweredMemory, ...]
