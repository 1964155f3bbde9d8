"""The accelerator's AXI4-Lite registers, once: hardware, C header and documentation all read this table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwgen.errors import BadInput
from hwgen.files import write_all
from hwgen.program.table import CONTROL, ENGINES

__all__ = [
    "ADDRESS_BITS",
    "ERRORS",
    "ID",
    "PAGE",
    "REGISTERS",
    "ErrorCode",
    "Field",
    "Register",
    "c_registers",
    "markdown",
    "register",
    "version_word",
]

ADDRESS_BITS = 12
"""Width of the AXI4-Lite addresses."""

PAGE = Path(__file__).parents[2] / "docs" / "registers.md"
"""Where the page is committed; ``python -m hwgen.system.registers`` writes it."""

ID = 0x4857474E
"""What the register ID reads: ``HWGN``."""

ENGINE_BASE, ENGINE_STRIDE = 0x100, 0x20

_ACCESS = {
    "ro": "read only",
    "rw": "read and write",
    "wo": "write only",
    "w1c": "writing one clears",
}


@dataclass(frozen=True)
class Field:
    """Some bits of a register.

    Parameters
    ----------
    name : str
        In lower case.
    low : int
        Lowest bit.
    bits : int
        Width.
    meaning : str
        One line.
    """

    name: str
    low: int
    bits: int
    meaning: str

    @property
    def mask(self) -> int:
        """Its bits within the register."""
        return ((1 << self.bits) - 1) << self.low

    @property
    def place(self) -> str:
        """Its bits as text: ``3`` or ``7:0``."""
        return str(self.low) if self.bits == 1 else f"{self.low + self.bits - 1}:{self.low}"


@dataclass(frozen=True)
class Register:
    """One register of 32 bits.

    Parameters
    ----------
    name : str
        In upper case.
    offset : int
        Byte address.
    access : {"ro", "rw", "wo", "w1c"}
        What software can do with it.
    meaning : str
        One line.
    fields : tuple of Field
        Its parts; none if it is one number.
    counts : str
        The input of :class:`~hwgen.system.control.Control` whose cycles it counts during a run, if any.
    engine : str
        The engine that it belongs to, if any; it reads zero where the configuration lacks that engine.
    """

    name: str
    offset: int
    access: str
    meaning: str
    fields: tuple[Field, ...] = ()
    counts: str = ""
    engine: str = ""


@dataclass(frozen=True)
class ErrorCode:
    """Why a run failed.

    Parameters
    ----------
    name : str
        In upper case.
    code : int
        Value of the field ``code`` of register ERROR.
    meaning : str
        One line.
    """

    name: str
    code: int
    meaning: str


def _engine_registers() -> Iterator[Register]:
    kinds = (
        ("run", "cycles in which {} worked"),
        ("idle", "cycles in which {} had no instruction"),
        ("wait", "cycles in which {} waited for a token"),
        ("stall", "cycles in which {} waited for memory or a buffer"),
        ("done", "instructions that {} completed"),
    )
    for index, engine in enumerate(ENGINES):
        base, upper = ENGINE_BASE + index * ENGINE_STRIDE, engine.upper()
        for i, (kind, meaning) in enumerate(kinds):
            name = f"{upper}_{kind.upper()}"
            text = meaning.format(upper)
            yield Register(name, base + 4 * i, "ro", text, counts=f"{engine}_{kind}", engine=engine)
        masks = (Field("engines", 0, 8, "one bit per engine, by number"),)
        text = f"engines whose token the head instruction of {upper} lacks"
        yield Register(f"{upper}_WAITING", base + 20, "ro", text, masks, engine=engine)


_EVENTS = (
    Field("done", 0, 1, "the program ended"),
    Field("error", 1, 1, "the program failed"),
)

REGISTERS: tuple[Register, ...] = (
    Register("ID", 0x000, "ro", f"0x{ID:08X}: this is a hwgen accelerator"),
    Register(
        "VERSION", 0x004, "ro", "version of hwgen that generated it",
        (Field("patch", 0, 8, "patch"), Field("minor", 8, 8, "minor"), Field("major", 16, 16, "major")),
    ),
    Register("DIGEST_LOW", 0x008, "ro", "digest of the configuration, bits 31:0"),
    Register("DIGEST_HIGH", 0x00C, "ro", "digest of the configuration, bits 63:32"),
    Register(
        "CONTROL", 0x010, "wo", "orders; reads zero",
        (
            Field("start", 0, 1, "start the program; ignored during a run"),
            Field("stop", 1, 1, "abort the run; ignored outside of one"),
        ),
    ),
    Register(
        "STATUS", 0x014, "ro", "state of the run; start clears done and error",
        (
            Field("running", 0, 1, "a program runs"),
            Field("done", 1, 1, "the last program ended"),
            Field("error", 2, 1, "the last program failed; see ERROR"),
        ),
    ),
    Register(
        "ERROR", 0x018, "ro", "first error of the run; start clears it",
        (
            Field("code", 0, 8, "what happened, see the error codes"),
            Field("engine", 8, 4, f"where, by engine number; {CONTROL} is the dispatcher"),
        ),
    ),
    Register("ERROR_INSTRUCTION", 0x01C, "ro", "index of the instruction with the first error; start clears it"),
    Register("IRQ_ENABLE", 0x020, "rw", "events that raise the interrupt", _EVENTS),
    Register("IRQ_STATUS", 0x024, "w1c", "events that happened; start does not clear them", _EVENTS),
    Register("PROGRAM_LOW", 0x028, "rw", "byte address of the program, bits 31:0"),
    Register("PROGRAM_HIGH", 0x02C, "rw", "byte address of the program, bits 63:32, as far as addresses are wide"),
    Register("PROGRAM_COUNT", 0x030, "rw", "number of instructions of the program"),
    Register("INSTRUCTIONS", 0x034, "ro", "instructions dispatched since start", counts="dispatched"),
    Register("CYCLES_LOW", 0x038, "ro", "cycles of the run, bits 31:0; reading it holds CYCLES_HIGH"),
    Register("CYCLES_HIGH", 0x03C, "ro", "cycles of the run, bits 63:32, when CYCLES_LOW was last read"),
    Register("READ_BEATS", 0x040, "ro", "beats of the AXI read data channel", counts="read_beat"),
    Register("WRITE_BEATS", 0x044, "ro", "beats of the AXI write data channel", counts="write_beat"),
    *_engine_registers(),
)  # fmt: skip
"""Every register, by rising offset."""

ERRORS: tuple[ErrorCode, ...] = (
    ErrorCode("NONE", 0, "no error"),
    ErrorCode("ILLEGAL", 1, "illegal instruction"),
    ErrorCode("READ_SLVERR", 2, "a read was answered with SLVERR: the memory refused"),
    ErrorCode("READ_DECERR", 3, "a read was answered with DECERR: no memory at this address"),
    ErrorCode("WRITE_SLVERR", 4, "a write was answered with SLVERR: the memory refused"),
    ErrorCode("WRITE_DECERR", 5, "a write was answered with DECERR: no memory at this address"),
    ErrorCode("DEADLOCK", 6, "every engine waits for a token of another"),
    ErrorCode("BANK_CONFLICT", 7, "two engines used one bank of a buffer in the same cycle"),
    ErrorCode("TOKEN_OVERFLOW", 8, "an engine signalled more tokens than a counter holds"),
    ErrorCode("TRUNCATED", 9, "the program ended without halt"),
    ErrorCode("STOPPED", 10, "a stop was requested"),
    ErrorCode(
        "SPARSE_STREAM",
        11,
        "a stream of sparse weights has an unknown code, indices that do not ascend, or not the length that the "
        "program says",
    ),
)
"""Values of the field ``code`` of register ERROR."""

_BY_NAME = {r.name: r for r in REGISTERS}


def register(name: str) -> Register:
    """The register called ``name``; KeyError if there is none."""
    return _BY_NAME[name]


def version_word(version: str) -> int:
    """What register VERSION reads for a version such as ``1.2.3``; what follows the patch number is dropped.

    Raises
    ------
    BadInput
        If it does not begin with three numbers that fit.
    """
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    numbers = [int(part) for part in found.groups()] if found else []
    if not found or numbers[0] >= 1 << 16 or max(numbers[1:]) >= 1 << 8:
        raise BadInput(f"version must begin with major.minor.patch, below 65536.256.256, not {version!r}")
    return numbers[0] << 16 | numbers[1] << 8 | numbers[2]


def c_registers(prefix: str) -> list[str]:
    """Registers, their fields, engine numbers and error codes as ``#define`` lines.

    Parameters
    ----------
    prefix : str
        Begins every macro, in upper case.
    """
    p = prefix.upper()
    lines = [f"#define {p}_ID_VALUE 0x{ID:08X}u /* what register ID reads */"]
    for r in REGISTERS:
        lines.append(f"#define {p}_REG_{r.name} 0x{r.offset:03X}u /* {_ACCESS[r.access]}: {r.meaning} */")
        for f in r.fields:
            name = f"{p}_{r.name}_{f.name.upper()}"
            lines.append(f"#define {name}_SHIFT {f.low}")
            lines.append(f"#define {name}_MASK 0x{f.mask:08X}u /* {f.meaning} */")
    lines += [f"#define {p}_ENGINE_{name.upper()} {i}" for i, name in enumerate(ENGINES)]
    lines += [f"#define {p}_ERR_{e.name} {e.code} /* {e.meaning} */" for e in ERRORS]
    return lines


def markdown() -> str:
    """The page that describes registers and error codes."""
    lines = [
        "# Registers",
        "",
        "AXI4-Lite, 32 bits. Counters count during a run only, and start clears them. Registers of an engine that",
        "the configuration lacks read zero. Bits without a meaning read zero and ignore what is written. An address",
        "without a register is answered with SLVERR, and so is a write to a register that is read only. The two",
        "lowest address bits are ignored; byte strobes are obeyed.",
        "",
        *_table(
            ("offset", "name", "access", "meaning"),
            [(f"`0x{r.offset:03X}`", f"`{r.name}`", _ACCESS[r.access], r.meaning) for r in REGISTERS],
        ),
        "",
        "## Fields",
        "",
        *_table(
            ("register", "bits", "field", "meaning"),
            [(f"`{r.name}`", f.place, f"`{f.name}`", f.meaning) for r in REGISTERS for f in r.fields],
        ),
        "",
        "## Error codes",
        "",
        *_table(("code", "name", "meaning"), [(str(e.code), f"`{e.name}`", e.meaning) for e in ERRORS]),
    ]
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    write_all(PAGE.parent, {PAGE.name: markdown()})
