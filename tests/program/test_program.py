"""Program files: what is saved is loaded, and every damage is refused with its place."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.program import INSTRUCTIONS, Instr, Program, encode_all, instr
from hwgen.program.program import HEADER_BYTES

DIGEST = "0123456789abcdef"
HALT = instr("control.halt")
FENCE = instr("control.fence")
EACH = Program((*(instr(i.mnemonic) for i in INSTRUCTIONS if i is not HALT.instruction), HALT), DIGEST)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(st.from_type(Instr).filter(lambda one: one.instruction != HALT.instruction), max_size=20))
def test_a_program_comes_back(instructions: list[Instr]) -> None:
    for digest in ("", DIGEST):
        program = Program((*instructions, HALT), digest)
        again = Program.from_bytes(program.to_bytes(), digest=digest)
        assert again == program
        assert again.body == encode_all(program.instructions) == program.to_bytes()[HEADER_BYTES:]
        assert len(again) == len(instructions) + 1
        assert sum(len(columns) for columns in again.arrays().values()) == len(program)


def test_the_file_is_what_the_documentation_says() -> None:
    data = EACH.to_bytes()
    expected = b"HWP\x1a" + struct.pack("<HH", 2, 16) + DIGEST.encode() + struct.pack("<I", len(INSTRUCTIONS))
    assert data[:28] == expected
    assert struct.unpack("<I", data[28:32])[0] == zlib.crc32(data[:28] + data[32:])


def test_every_flipped_bit_is_detected() -> None:
    data = EACH.to_bytes()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadInput, match="byte "):
            Program.from_bytes(bytes(damaged))


def test_every_length_but_its_own_is_refused() -> None:
    data = EACH.to_bytes()
    for length in range(len(data)):
        with pytest.raises(BadInput, match="bytes of header" if length < HEADER_BYTES else "is cut short"):
            Program.from_bytes(data[:length])
    with pytest.raises(BadInput, match=f"byte {len(data)}: the program file goes on after its end"):
        Program.from_bytes(data + b"\0")


def _file(body: bytes, *, magic: bytes = b"HWP\x1a", version: int = 2, digest: bytes = b"") -> bytes:
    head = struct.pack("<4sHH16sI", magic, version, 16, digest, len(body) // 16)
    return head + struct.pack("<I", zlib.crc32(head + body)) + body


REFUSED = {
    "byte 0: a program file begins with b'HWP\\x1a', not b'MPEG'": _file(
        HALT_BODY := encode_all([HALT]), magic=b"MPEG"
    ),
    "byte 4: the program file has version 1 with 16 bytes per instruction, this hwgen reads version 2": _file(
        HALT_BODY, version=1
    ),
    "the digest of a configuration is 16 hexadecimal digits in lower case, not 'ABC'": _file(
        HALT_BODY, digest=b"ABC"
    ),
    "byte 8: the digest must be hexadecimal digits": _file(HALT_BODY, digest=b"\xff" * 16),
    "instruction 1 (byte 48): engine number 9 is reserved": _file(HALT_BODY + b"\x09" + bytes(15)),
    "instruction 0 is control.halt, and the 1 that follow would never run": _file(HALT_BODY + HALT_BODY),
    "a program must end with control.halt, instruction 0 is control.fence": _file(encode_all([FENCE])),
    "a program must end with control.halt, this one is empty": _file(b""),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_no_program_is(reason: str, tmp_path: Path) -> None:
    assert Program.from_bytes(_file(HALT_BODY)) == Program((HALT,))
    with pytest.raises(BadInput) as caught:
        Program.from_bytes(REFUSED[reason])
    assert reason in str(caught.value)
    path = tmp_path / "bad.hwp"
    path.write_bytes(REFUSED[reason])
    with pytest.raises(BadInput) as caught:
        Program.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)


def test_another_configuration_is_refused() -> None:
    with pytest.raises(BadInput, match=f"for configuration {DIGEST}, not fedcba9876543210"):
        Program.from_bytes(EACH.to_bytes(), digest="fedcba9876543210")
    with pytest.raises(BadInput, match=rf"for configuration \(none named\), not {DIGEST}"):
        Program.from_bytes(Program((HALT,)).to_bytes(), digest=DIGEST)
    with pytest.raises(BadInput, match="16 hexadecimal digits in lower case, not 'xyz'"):
        Program((HALT,), "xyz")


def test_parts_of_programs_are_allowed_but_not_saved(tmp_path: Path) -> None:
    for part, reason in (((), "empty"), ((FENCE,), "append it"), ((HALT, FENCE), "halt only at the end")):
        program = Program(part)
        with pytest.raises(BadInput, match=reason):
            program.validate()
        with pytest.raises(BadInput, match=reason):
            program.save(tmp_path / "part.hwp")
    assert not list(tmp_path.iterdir())


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.hwp"
    EACH.save(path)
    EACH.save(path)
    assert Program.load(path, digest=DIGEST) == EACH
    assert [p.name for p in tmp_path.iterdir()] == ["a.hwp"]
    for impossible in (tmp_path, path / "below.hwp"):
        with pytest.raises(BadInput, match=r"cannot be written|is a file"):
            EACH.save(impossible)
        with pytest.raises(BadInput, match="cannot be read"):
            Program.load(impossible)
    assert [p.name for p in tmp_path.iterdir()] == ["a.hwp"]


def test_no_hardware_library_is_needed() -> None:
    modules = [f"hwgen.program.{p.stem}" for p in Path(sys.modules["hwgen.program"].__path__[0]).glob("*.py")]
    assert len(modules) >= 8
    code = f"import sys, {', '.join(modules)}; sys.exit('amaranth' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
