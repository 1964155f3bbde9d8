"""The registers of the fault controller, once: hardware, C header and documentation all read this table."""

from __future__ import annotations

from hwgen.system.registers import Field, Register

__all__ = ["ADDRESS_BITS", "FOREVER", "ID", "REGISTERS", "c_header", "markdown", "offset"]

ADDRESS_BITS = 8
"""Width of the AXI4-Lite addresses."""

ID = 0x4857464C
"""What the register ID reads: ``HWFL``."""

FOREVER = 0xFFFFFFFF
"""A DURATION that does not end."""

REGISTERS: tuple[Register, ...] = (
    Register("ID", 0x00, "ro", f"0x{ID:08X}: this is a hwgen fault controller"),
    Register("DIGEST_LOW", 0x04, "ro", "digest of the Verilog with hooks, bits 31:0"),
    Register("DIGEST_HIGH", 0x08, "ro", "digest of the Verilog with hooks, bits 63:32"),
    Register(
        "SHAPE", 0x0C, "ro", "what the hooks take",
        (
            Field("word_bits", 0, 8, "width of WORD"),
            Field("row_bits", 8, 8, "width of ROW"),
            Field("watch_bits", 16, 8, "width of the watched value"),
        ),
    ),
    Register(
        "CONTROL", 0x10, "wo", "orders; reads zero",
        (
            Field("arm", 0, 1, "select the word and wait for the trigger; clears STATUS, FIRED and STROBES"),
            Field("disarm", 1, 1, "end the fault, and select nothing: rows of memories read as they were written"),
        ),
    ),
    Register(
        "STATUS", 0x14, "ro", "where the fault is",
        (
            Field("armed", 0, 1, "a word is selected"),
            Field("active", 1, 1, "the fault has begun and not ended"),
            Field("fired", 2, 1, "the fault was active in a cycle since it was armed"),
        ),
    ),
    Register("WORD", 0x18, "rw", "address of the hook word"),
    Register("ROW", 0x1C, "rw", "row, if the word is a memory's"),
    Register("CLEAR", 0x20, "rw", "bits of the word that become zero"),
    Register("FLIP", 0x24, "rw", "bits of the word that are inverted then"),
    Register(
        "MODE", 0x28, "rw", "kind of fault, and of trigger",
        (
            Field("column", 0, 1, "all that is read from the memory, instead of a row of it"),
            Field("compare", 1, 1, "begin when the watched value matches, instead of in a certain cycle"),
        ),
    ),
    Register("START_LOW", 0x2C, "rw", "first cycle of the fault, bits 31:0; cycle 0 follows reset or fault_arm"),
    Register("START_HIGH", 0x30, "rw", "first cycle of the fault, bits 63:32"),
    Register("DURATION", 0x34, "rw", "cycles from the first to the last; 0 counts as 1, 0xFFFFFFFF does not end"),
    Register("PERIOD", 0x38, "rw", "period of an intermittent fault; 0 for one that is always there"),
    Register("ACTIVE", 0x3C, "rw", "cycles at the beginning of each period in which the fault is there"),
    Register("VALUE", 0x40, "rw", "what the watched value is compared with"),
    Register("MASK", 0x44, "rw", "bits that are compared"),
    Register("COUNT", 0x48, "rw", "number of the matching cycle that triggers, from 1; the fault begins after it"),
    Register("FIRED_LOW", 0x4C, "ro", "first cycle in which the fault was there, bits 31:0"),
    Register("FIRED_HIGH", 0x50, "ro", "first cycle in which the fault was there, bits 63:32"),
    Register("STROBES", 0x54, "ro", "cycles in which the fault was there"),
)  # fmt: skip
"""Every register, by rising offset."""

_OFFSETS = {r.name: r.offset for r in REGISTERS}


def offset(name: str) -> int:
    """Byte address of a register; KeyError if there is none."""
    return _OFFSETS[name]


def c_header(prefix: str = "hwgen_fault") -> str:
    """A C header with the registers and their fields.

    Parameters
    ----------
    prefix : str
        Begins every macro, in upper case.
    """
    p = prefix.upper()
    lines = [
        f"#ifndef {p}_H",
        f"#define {p}_H",
        "",
        f"#define {p}_ID_VALUE 0x{ID:08X}u /* what register ID reads */",
    ]
    for r in REGISTERS:
        lines.append(f"#define {p}_REG_{r.name} 0x{r.offset:02X}u /* {r.meaning} */")
        for f in r.fields:
            lines.append(f"#define {p}_{r.name}_{f.name.upper()}_SHIFT {f.low}")
            lines.append(f"#define {p}_{r.name}_{f.name.upper()}_MASK 0x{f.mask:08X}u /* {f.meaning} */")
    return "\n".join([*lines, "", "#endif", ""])


def markdown() -> str:
    """The table of registers and fields for a page."""
    lines = ["| offset | register | access | meaning |", "| --- | --- | --- | --- |"]
    for r in REGISTERS:
        fields = "; ".join(f"{f.place} `{f.name}`: {f.meaning}" for f in r.fields)
        lines.append(
            f"| `0x{r.offset:02X}` | `{r.name}` | {r.access} | {r.meaning}{f': {fields}' if fields else ''} |"
        )
    return "\n".join(lines) + "\n"
