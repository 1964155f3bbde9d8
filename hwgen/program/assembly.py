"""Programs as text: one line per instruction.

::

    .digest 0123456789abcdef
    dsp.run act=0x10 tiles=4 wait=load signal=vec  ; the first layer

Fields that are not given have their default. Numbers are decimal, ``0x``, ``0o`` or ``0b``; values with names take
the name or the number. A comment begins with ``;`` or ``#``.
"""

from __future__ import annotations

import re

from hwgen.errors import BadInput
from hwgen.program.encoding import Instr, field_value, instr, no_such_field
from hwgen.program.layout import default
from hwgen.program.program import Program
from hwgen.program.table import INSTRUCTIONS, Field

__all__ = ["assemble", "disassemble", "line"]

DIGEST = ".digest"
HEX_BITS = 16
"""Fields at least this wide that hold places, not counts, are written in hexadecimal."""

_FIELDS = {i.mnemonic: {f.name: f for f in i.fields} for i in INSTRUCTIONS}
_INSTRUCTIONS = {i.mnemonic: i for i in INSTRUCTIONS}


def line(one: Instr) -> str:
    """One instruction as a line of text, without its comment."""
    words = [one.mnemonic]
    for field, value in zip(one.instruction.fields, one.values, strict=True):
        if value != default(field):
            words.append(f"{field.name}={_text(field, value)}")
    for what, names in (("wait", one.wait), ("signal", one.signal)):
        if names:
            words.append(f"{what}={','.join(names)}")
    return " ".join(words)


def _text(field: Field, value: int) -> str:
    if field.names:
        return field.names[value]
    place = field.bits >= HEX_BITS and not field.signed and field.minimum is None
    return f"{value:#x}" if place and value > 9 else str(value)


def disassemble(program: Program, *, comments: bool = True) -> str:
    """The program as text, which :func:`assemble` turns into an equal program.

    Comments are written on one line each, without blanks at their ends; ``comments=False`` leaves them out.
    """
    lines = [f"{DIGEST} {program.digest}"] if program.digest else []
    for one in program.instructions:
        comment = " ".join(one.comment.splitlines()).strip() if comments else ""
        lines.append(f"{line(one)}  ; {comment}" if comment else line(one))
    return "".join(f"{text}\n" for text in lines)


def assemble(text: str) -> Program:
    """The program in ``text``; whether it is whole is left to :meth:`Program.validate`.

    Raises
    ------
    BadInput
        At the first error: its line and column (from 1), the word, and the reason.
    """
    instructions: list[Instr] = []
    digest = ""
    for number, content in enumerate(text.splitlines(), 1):
        code, _, comment = _split(content)
        words = [(match.start() + 1, match.group()) for match in re.finditer(r"\S+", code)]
        if not words:
            continue
        try:
            if words[0][1] == DIGEST:
                digest = _digest(words, late=bool(instructions or digest))
            else:
                instructions.append(_instruction(words, comment.strip()))
        except _Wrong as wrong:
            raise BadInput(f"line {number}, column {wrong.column}, {wrong.word!r}: {wrong.reason}") from None
    return Program(tuple(instructions), digest)


class _Wrong(Exception):
    """A word that cannot stay."""

    def __init__(self, place: tuple[int, str], reason: str):
        self.column, self.word = place
        self.reason = reason


def _split(content: str) -> tuple[str, str, str]:
    """Code, the mark, the comment."""
    mark = re.search("[;#]", content)
    return (content[: mark.start()], mark.group(), content[mark.end() :]) if mark else (content, "", "")


def _digest(words: list[tuple[int, str]], *, late: bool) -> str:
    if late:
        raise _Wrong(words[0], f"{DIGEST} must come once, before all instructions")
    if len(words) != 2:
        raise _Wrong(words[-1], f"{DIGEST} takes one word, the digest of the configuration")
    try:
        return Program((), words[1][1]).digest
    except BadInput as error:
        raise _Wrong(words[1], str(error)) from None


def _instruction(words: list[tuple[int, str]], comment: str) -> Instr:
    mnemonic = words[0][1]
    if mnemonic not in _FIELDS:
        raise _Wrong(words[0], f"there is no such instruction; there are {', '.join(_FIELDS)}")
    fields = _FIELDS[mnemonic]
    values: dict[str, int] = {}
    engines: dict[str, tuple[str, ...]] = {}
    for place in words[1:]:
        name, equals, text = place[1].partition("=")
        if not equals or not text:
            raise _Wrong(place, "expected name=value")
        if name in values or name in engines:
            raise _Wrong(place, f"{name} is given twice")
        try:
            if name in ("wait", "signal"):
                engines[name] = tuple(text.split(","))
                instr(mnemonic, **{name: engines[name]})  # type: ignore[arg-type]  # alone, to name this word
            elif name in fields:
                values[name] = field_value(_INSTRUCTIONS[mnemonic], fields[name], _number(text))
            else:
                raise no_such_field(_INSTRUCTIONS[mnemonic], name)
        except BadInput as error:
            raise _Wrong(place, str(error)) from None
    return instr(mnemonic, **engines, comment=comment, **values)  # type: ignore[arg-type]


def _number(text: str) -> int | str:
    """The number that ``text`` spells; else the text, which may be a name."""
    try:
        return int(text, 0)
    except ValueError:
        return text
