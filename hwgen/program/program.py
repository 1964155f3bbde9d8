"""A whole program and its file, which shows every damage."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hwgen.errors import BadInput
from hwgen.files import replacing
from hwgen.program import encoding
from hwgen.program.encoding import Columns, Instr
from hwgen.program.table import INSTRUCTION_BYTES

__all__ = ["HEADER", "HEADER_BYTES", "Program"]

MAGIC = b"HWP\x1a"  # byte 26 stops a terminal that types the file, and no text begins so
VERSION = 2
HALT = "control.halt"

HEADER: tuple[tuple[str, str, str], ...] = (
    ("magic", "4s", "`HWP` and byte 26"),
    ("version", "H", f"{VERSION}"),
    ("instruction_bytes", "H", f"{INSTRUCTION_BYTES}"),
    (
        "digest",
        "16s",
        "configuration that the program is for, hexadecimal digits; zero bytes if none is named",
    ),
    ("count", "I", "instructions"),
    ("crc", "I", "CRC-32 (as in zlib) of all other bytes, header first"),
)
"""Fields of the file's header in order, little endian: name, `struct` format, meaning."""

_HEADER = struct.Struct("<" + "".join(code for _, code, _ in HEADER))
HEADER_BYTES = _HEADER.size
_CRC_AT = HEADER_BYTES - 4  # the last field


@dataclass(frozen=True)
class Program:
    """Instructions in order, and the configuration they are for.

    Parameters
    ----------
    instructions : tuple of Instr
        In program order. Parts of a program are allowed; :meth:`validate` tells whether it is whole.
    digest : str
        Digest of the configuration (16 hexadecimal digits), or empty.

    Raises
    ------
    BadInput
        If the digest is something else.
    """

    instructions: tuple[Instr, ...]
    digest: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "instructions", tuple(self.instructions))
        if self.digest and not re.fullmatch("[0-9a-f]{16}", self.digest):
            raise BadInput(
                f"the digest of a configuration is 16 hexadecimal digits in lower case, not {self.digest!r}"
            )

    def __len__(self) -> int:
        return len(self.instructions)

    @cached_property
    def body(self) -> bytes:
        """The instructions as in memory, 16 bytes each."""
        return encoding.encode_all(self.instructions)

    def arrays(self) -> dict[str, Columns]:
        """The instructions by columns; see :func:`hwgen.program.encoding.arrays`."""
        return encoding.arrays(self.body)

    def validate(self) -> None:
        """Refuse a program that does not end with its only ``control.halt``.

        Raises
        ------
        BadInput
            With the number of the instruction in question.
        """
        halts = [i for i, one in enumerate(self.instructions) if one.mnemonic == HALT]
        last = len(self.instructions) - 1
        if last < 0:
            raise BadInput(f"a program must end with {HALT}, this one is empty; append it")
        if halts and halts[0] < last:
            raise BadInput(
                f"instruction {halts[0]} is {HALT}, and the {last - halts[0]} that follow would never run; "
                "halt only at the end"
            )
        if not halts:
            name = self.instructions[last].mnemonic
            raise BadInput(f"a program must end with {HALT}, instruction {last} is {name}; append it")

    def to_bytes(self) -> bytes:
        """The program file.

        Raises
        ------
        BadInput
            If the program is not whole (:meth:`validate`).
        """
        self.validate()
        digest = self.digest.encode()
        head = _HEADER.pack(MAGIC, VERSION, INSTRUCTION_BYTES, digest, len(self.instructions), 0)[:_CRC_AT]
        return head + _crc(head, self.body).to_bytes(4, "little") + self.body

    @classmethod
    def from_bytes(cls, data: bytes, *, digest: str | None = None) -> Program:
        """The program in a file's bytes.

        Parameters
        ----------
        data : bytes
            The whole file.
        digest : str, optional
            Digest of the configuration that must be the program's; absent: any.

        Raises
        ------
        BadInput
            If it is no program file, of another version, too short or too long, damaged, for another
            configuration, holds an illegal instruction, or is not whole.
        """
        if len(data) < HEADER_BYTES:
            raise BadInput(
                f"a program file begins with {HEADER_BYTES} bytes of header, this one has {len(data)} bytes"
            )
        magic, version, size, named, count, crc = _HEADER.unpack_from(data)
        if magic != MAGIC:
            raise BadInput(f"byte 0: a program file begins with {MAGIC!r}, not {magic!r}")
        if (version, size) != (VERSION, INSTRUCTION_BYTES):
            raise BadInput(
                f"byte 4: the program file has version {version} with {size} bytes per instruction, this hwgen "
                f"reads version {VERSION} with {INSTRUCTION_BYTES}; compile the program again"
            )
        end = HEADER_BYTES + count * INSTRUCTION_BYTES
        if len(data) != end:
            what = "is cut short" if len(data) < end else "goes on after its end"
            raise BadInput(
                f"byte {min(len(data), end)}: the program file {what}; {count} instructions end at byte {end}, "
                f"the file at {len(data)}"
            )
        body = data[HEADER_BYTES:]
        told = _crc(data[:_CRC_AT], body)
        if crc != told:
            raise BadInput(
                f"byte {_CRC_AT}: the program file is damaged; its CRC-32 is {crc:#010x}, its bytes give {told:#010x}"
            )
        try:
            name = named.rstrip(b"\0").decode("ascii")
        except UnicodeDecodeError:
            raise BadInput(f"byte 8: the digest must be hexadecimal digits, not {named!r}") from None
        if digest is not None and name != digest:
            raise BadInput(
                f"the program is for configuration {name or '(none named)'}, not {digest or '(none named)'}; "
                "compile it for this one"
            )
        program = cls(tuple(encoding.decode_all(body, offset=HEADER_BYTES)), name)
        program.validate()
        return program

    def save(self, path: Path) -> None:
        """Write the program file at one stroke.

        Raises
        ------
        BadInput
            If the program is not whole, or the file cannot be written.
        """
        data = self.to_bytes()
        with replacing(path) as partial:
            partial.write_bytes(data)

    @classmethod
    def load(cls, path: Path, *, digest: str | None = None) -> Program:
        """The program in a file; raises as :meth:`from_bytes` does, with the file's name."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BadInput(f"{path} cannot be read ({error.strerror}); name a program file") from None
        try:
            return cls.from_bytes(data, digest=digest)
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from None


def _crc(head: bytes, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(head))
