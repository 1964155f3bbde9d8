"""Programs as text: the text of a program gives the program; errors name line, column and word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.program import INSTRUCTIONS, Instr, Program, assemble, disassemble, instr
from hwgen.program.layout import default

TEXT = """\
.digest 0123456789abcdef
load.run address=0x10000 buffer=weight run_bytes=64 signal=dsp
dsp.run act=0x10 tiles=4 wait=load,vec signal=vec  ; first; # layer
vec.shape rounding=half_away low=-128 high=127
vec.run op=planes
control.halt
"""

PROGRAM = Program(
    (
        instr("load.run", address=65536, buffer=1, run_bytes=64, signal=("dsp",)),
        instr("dsp.run", act=16, tiles=4, wait=("vec", "load"), signal=("vec",)),
        instr("vec.shape", rounding=1, low=-128, high=127),
        instr("vec.run", op="planes"),
        instr("control.halt"),
    ),
    "0123456789abcdef",
)


def test_an_example_both_ways() -> None:
    assert assemble(TEXT) == PROGRAM
    assert disassemble(assemble(TEXT)) == TEXT
    assert assemble(TEXT).instructions[1].comment == "first; # layer"
    assert disassemble(assemble(TEXT), comments=False) == TEXT.replace("  ; first; # layer", "")
    assert disassemble(Program(())) == ""
    assert assemble("") == assemble("\n # nothing \n") == Program(())


def test_other_spellings() -> None:
    other = (
        "# a file\n\n\tvec.run\top=7  unit=0b11 # here\n;\ndsp.run signal=vec wait=vec,load act=1_0 tiles=0x4"
    )
    program = assemble(other)
    assert program.instructions == (
        instr("vec.run", op="planes", unit=3),
        instr("dsp.run", act=10, tiles=4, wait=("load", "vec"), signal=("vec",)),
    )
    assert [one.comment for one in program.instructions] == ["here", ""]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.from_type(Instr), st.text(max_size=20)), max_size=10),
    st.sampled_from(["", "f" * 16]),
)
def test_texts_come_back(parts: list[tuple[Instr, str]], digest: str) -> None:
    instructions = [Instr(one.instruction, one.values, one.wait, one.signal, text) for one, text in parts]
    program = Program(tuple(instructions), digest)
    assert assemble(disassemble(program, comments=False)) == program
    again = assemble(disassemble(program))
    assert again == program
    assert [one.comment for one in again.instructions] == [" ".join(t.splitlines()).strip() for _, t in parts]


def test_every_name_of_every_value() -> None:
    for kind in INSTRUCTIONS:
        assert disassemble(Program((instr(kind.mnemonic),))) == f"{kind.mnemonic}\n"
        for field in kind.fields:
            for number, name in enumerate(field.names):
                program = Program((instr(kind.mnemonic, **{field.name: number}),))
                assert assemble(f"{kind.mnemonic} {field.name}={name}") == program
                assert assemble(f"{kind.mnemonic} {field.name}={number}") == program
                assert (f"{field.name}={name}" in disassemble(program)) == (number != default(field))


REFUSED = {
    "dsp.go": "line 2, column 1, 'dsp.go': there is no such instruction; there are control.halt, ",
    "  dsp.run act": "line 2, column 11, 'act': expected name=value",
    "dsp.run act=": "line 2, column 9, 'act=': expected name=value",
    "dsp.run  lanes=3": "line 2, column 10, 'lanes=3': dsp.run has no field 'lanes'; its fields are act, ",
    "dsp.run comment=3": "line 2, column 9, 'comment=3': dsp.run has no field 'comment'",
    "control.halt act=3": "line 2, column 14, 'act=3': control.halt has no field 'act'; it has none",
    "dsp.run act=1 act=1": "line 2, column 15, 'act=1': act is given twice",
    "dsp.run wait=vec wait=load": "line 2, column 18, 'wait=load': wait is given twice",
    "dsp.run tiles=0": "line 2, column 9, 'tiles=0': dsp.run: tiles must be an integer in 1..1023, not 0",
    "dsp.run act=ten": "line 2, column 9, 'act=ten': dsp.run: act must be an integer in 0..1048575, not 'ten'",
    "load.run buffer=sum": "'buffer=sum': load.run: buffer must be one of act, weight, parameter, plane, code, value,",
    "dsp.run act=1 wait=load,fft": "line 2, column 15, 'wait=load,fft': dsp.run: wait names 'fft', which is no engine",
    "dsp.run wait=load,": "line 2, column 9, 'wait=load,': dsp.run: wait names '', which is no engine",
    "dsp.run signal=dsp": "line 2, column 9, 'signal=dsp': dsp.run: signal names dsp, its own engine",
    "control.halt wait=vec": "column 14, 'wait=vec': control.halt is the dispatcher's and has no wait, not vec",
    ".digest": "line 2, column 1, '.digest': .digest must come once, before all instructions",
}


@pytest.mark.parametrize("text", REFUSED)
def test_errors_name_the_word(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        assemble(f"vec.run ; fine\n{text} # wrong\nalso wrong")
    assert REFUSED[text] in str(caught.value)
    assert str(caught.value).startswith("line 2, column ")
    assert "\n" not in str(caught.value)


def test_digests_are_checked() -> None:
    with pytest.raises(BadInput, match=r"line 1, column 9, 'abc': the digest of a configuration is 16 hex"):
        assemble(".digest abc")
    with pytest.raises(BadInput, match=r"line 1, column 1, '\.digest': \.digest takes one word"):
        assemble(".digest")
    with pytest.raises(BadInput, match=r"line 2, column 1, '\.digest': \.digest must come once"):
        assemble(".digest 0123456789abcdef\n.digest 0123456789abcdef")
