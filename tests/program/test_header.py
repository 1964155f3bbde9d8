"""The C header: compiled as C and as C++, its functions give the bytes that Python gives."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest

from hwgen.program import ENGINES, INSTRUCTIONS, Instr, Instruction, encode_all
from hwgen.program.header import c_header, function_name
from hwgen.program.layout import opcode
from hwgen.program.table import engine_mask
from hwgen.toolchain import compiler

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-pedantic", "-Werror"]


def _random(rng: random.Random, kind: Instruction) -> Instr:
    values = tuple(rng.choice([f.low, f.high, rng.randint(f.low, f.high)]) for f in kind.fields)
    if kind.engine == "control":
        return Instr(kind, values)
    partners = [name for name in ENGINES if name != kind.engine]
    wait, signal = (tuple(name for name in partners if rng.random() < 0.5) for _ in range(2))
    return Instr(kind, values, wait, signal)


def _call(one: Instr) -> str:
    masks = [] if one.engine == "control" else [engine_mask(*one.wait), engine_mask(*one.signal)]
    return f"    {function_name(one.instruction)}({', '.join(map(str, ['word', *masks, *one.values]))}); put(word);"


@pytest.mark.parametrize("language", ["c99", "c++11"])
def test_c_gives_the_same_bytes(language: str, tmp_path: Path) -> None:
    rng = random.Random(1)
    program = [_random(rng, kind) for kind in INSTRUCTIONS for _ in range(40)]
    source = [
        "#include <stdio.h>",
        *c_header(),
        "static void put(const uint64_t word[2])",
        "{",
        "    for (int i = 0; i < 16; i++) putchar((int)(word[i / 8] >> 8 * (i % 8) & 0xff));",
        "}",
        "int main(void)",
        "{",
        "    uint64_t word[2];",
        *map(_call, program),
        "    return 0;",
        "}",
    ]
    (tmp_path / "a.txt").write_text("\n".join(source) + "\n", encoding="utf-8")
    kind = ["-x", "c" if language == "c99" else "c++", f"-std={language}"]
    command = [str(compiler()), *kind, *WARNINGS, "a.txt", "-o", "a"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert subprocess.run([tmp_path / "a"], capture_output=True, check=True).stdout == encode_all(program)


def test_constants_are_the_tables() -> None:
    pairs = [m.groups() for line in c_header() if (m := re.fullmatch(r"#define (\w+) (.*)", line))]
    defined = dict(pairs)
    assert len(defined) == len(pairs)
    for number, engine in enumerate(ENGINES):
        assert defined[f"HWGEN_ENGINE_{engine.upper()}"] == str(number)
        assert int(defined[f"HWGEN_MASK_{engine.upper()}"], 16) == 1 << number
    for kind in INSTRUCTIONS:
        base = f"HWGEN_{kind.engine}_{kind.name}".upper()
        assert int(defined[f"{base}_OPCODE"], 16) == opcode(kind)
        for field, low in kind.placed():
            name = f"{base}_{field.name}".upper()
            assert defined[f"{name}_LOW_BIT"] == str(low)
            assert defined[f"{name}_BITS"] == str(field.bits)
            assert defined[f"{name}_SIGNED"] == str(int(field.signed))
            assert defined[f"{name}_MINIMUM"].strip("()") == str(field.low)
            assert str(field.high) in defined[f"{name}_MAXIMUM"]
            for number, text in enumerate(field.names):
                assert defined[f"{name}_{text}".upper()] == str(number)
