"""Instructions to bytes and back, against an encoding by plain big integers; what is refused, and where it says so."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.program import (
    ENGINES,
    INSTRUCTIONS,
    Instr,
    Instruction,
    arrays,
    decode,
    decode_all,
    encode,
    encode_all,
    instr,
)
from hwgen.program.encoding import engine_names
from hwgen.program.layout import opcode, reserved_mask
from hwgen.program.table import engine_mask

PROPERTY = settings(derandomize=True, deadline=None, max_examples=100)
KINDS = pytest.mark.parametrize("kind", INSTRUCTIONS, ids=lambda kind: kind.mnemonic)


def reference(one: Instr) -> bytes:
    """The format by its definition."""
    kind = one.instruction
    word = (
        kind.engine_number | kind.function << 4 | engine_mask(*one.wait) << 8 | engine_mask(*one.signal) << 16
    )
    for (field, low), value in zip(kind.placed(), one.values, strict=True):
        word |= value % (1 << field.bits) << low
    return word.to_bytes(16, "little")


def edges(kind: Instruction) -> Iterable[Instr]:
    """Every field at its ends and at every power of two, the others at their ends; every single partner."""
    for corner in ("low", "high"):
        base = [getattr(f, corner) for f in kind.fields]
        yield Instr(kind, tuple(base))
        for i, field in enumerate(kind.fields):
            values = {field.low, field.high, -1, 0, 1, *(s << b for b in range(field.bits) for s in (1, -1))}
            for value in values:
                if field.low <= value <= field.high:
                    yield Instr(kind, (*base[:i], value, *base[i + 1 :]))
        if kind.engine != "control":
            for partner in ENGINES:
                if partner != kind.engine:
                    yield Instr(kind, tuple(base), (partner,))
                    yield Instr(kind, tuple(base), (), (partner,))


@KINDS
def test_every_field_at_its_edges(kind: Instruction) -> None:
    program = list(edges(kind))
    data = encode_all(program)
    assert data == b"".join(map(reference, program))
    assert decode_all(data) == program


@PROPERTY
@given(st.lists(st.from_type(Instr), max_size=40))
def test_programs_come_back(program: list[Instr]) -> None:
    data = encode_all(program)
    assert data == b"".join(map(reference, program)) == b"".join(map(encode, program))
    assert decode_all(data) == program == [decode(encode(one)) for one in program]
    columns = arrays(data)
    assert sorted(i for c in columns.values() for i in c.index) == list(range(len(program)))
    for mnemonic, column in columns.items():
        assert len(column) == len(column.index)
        assert all(column[name] is values for name, values in column.fields.items())
        assert list(column.fields) == [f.name for f in column.instruction.fields]
        for k, i in enumerate(column.index):
            assert program[i].mnemonic == mnemonic
            assert program[i].fields == {name: values[k] for name, values in column.fields.items()}
            assert (engine_names(column.wait[k]), engine_names(column.signal[k])) == (
                program[i].wait,
                program[i].signal,
            )
        assert all(v.dtype == np.int64 for v in (column.index, column.wait, *column.fields.values()))


@KINDS
@PROPERTY
@given(payload=st.integers(0, (1 << 128) - 1), reserved=st.integers(0, 3))
def test_random_bytes_are_refused_or_come_back(kind: Instruction, payload: int, reserved: int) -> None:
    word = payload >> 8 << 8 | opcode(kind)
    if reserved:  # most of the time without the bits that would refuse nearly everything
        word &= ~reserved_mask(kind)
    _refused_or_back(word.to_bytes(16, "little"))


@PROPERTY
@given(st.binary(min_size=16, max_size=16))
def test_any_bytes_are_refused_or_come_back(data: bytes) -> None:
    _refused_or_back(data)


def _refused_or_back(data: bytes) -> None:
    try:
        one = decode(data)
    except BadInput:
        return
    assert encode(one) == data


@KINDS
def test_every_reserved_bit_is_refused(kind: Instruction) -> None:
    data = int.from_bytes(encode(instr(kind.mnemonic)), "little")
    for bit in range(128):
        if reserved_mask(kind) >> bit & 1:
            with pytest.raises(BadInput, match=rf"^instruction 0 \(byte 0\): {kind.mnemonic}: "):
                decode((data | 1 << bit).to_bytes(16, "little"))


def test_every_opcode_is_known_or_refused() -> None:
    known = {opcode(i): i for i in INSTRUCTIONS}
    for code in range(256):
        word = int.from_bytes(encode(instr(known[code].mnemonic)), "little") if code in known else code
        if code in known:
            assert decode(word.to_bytes(16, "little")).instruction is known[code]
        else:
            with pytest.raises(BadInput, match="is reserved"):
                decode(word.to_bytes(16, "little"))


def test_absent_fields_have_their_default() -> None:
    one = instr(
        "load.run", address=1 << 39, buffer="plane", wait=("vec", "dsp"), signal="vec", comment="first"
    )
    assert one.fields == {
        "address": 1 << 39,
        "buffer": 3,
        "target": 0,
        "run_bytes": 1,
        "run_count": 1,
        "windowed": 0,
    }
    assert (one.wait, one.signal, one.comment) == (("dsp", "vec"), ("vec",), "first")
    assert one["run_bytes"] == 1
    assert (one.mnemonic, one.engine) == ("load.run", "load")
    assert eval(repr(one), {"instr": instr}) == one
    with pytest.raises(KeyError):
        one["nothing"]


def test_integers_of_any_kind_become_int() -> None:
    one = instr("dsp.run", act=np.int32(5), keep=True, accumulate=np.True_, tiles=np.uint8(3))
    assert one == instr("dsp.run", act=5, keep=1, accumulate=1, tiles=3)
    assert all(type(value) is int for value in one.values)


def test_an_instruction_stays_legal() -> None:
    one = instr("dsp.run", wait=("load",))
    assert dataclasses.replace(one, signal=["vec"]).signal == ("vec",)
    assert dataclasses.replace(one, values=[1] * 7).values == (1,) * 7
    assert pickle.loads(pickle.dumps(one)) == one
    assert encode(pickle.loads(pickle.dumps(one))) == encode(one)
    with pytest.raises(BadInput, match="tiles"):
        dataclasses.replace(one, values=(0,) * 7)
    with pytest.raises(BadInput, match=r"dsp\.run has 7 fields, not 1"):
        dataclasses.replace(one, values=(0,))


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("dsp.go", {}, "there is no instruction 'dsp.go'; there are control.halt, "),
    ("dsp.run", {"lanes": 1}, "dsp.run has no field 'lanes'; its fields are act, weight, acc, "),
    ("control.halt", {"act": 1}, "control.halt has no field 'act'; it has none"),
    ("dsp.run", {"tiles": 0}, "dsp.run: tiles must be an integer in 1..1023, not 0"),
    ("dsp.run", {"act": 1 << 20}, "dsp.run: act must be an integer in 0..1048575, not 1048576"),
    (
        "dsp.run",
        {"act": 1 << 80},
        "dsp.run: act must be an integer in 0..1048575, not 1208925819614629174706176",
    ),
    ("dsp.run", {"act": 1.0}, "dsp.run: act must be an integer in 0..1048575, not 1.0"),
    ("dsp.run", {"act": "here"}, "dsp.run: act must be an integer in 0..1048575, not 'here'"),
    ("lut.run", {"act_bits": 9}, "lut.run: act_bits must be an integer in 1..8, not 9"),
    ("vec.shape", {"zero": 128}, "vec.shape: zero must be an integer in -128..127, not 128"),
    ("vec.run", {"op": 10}, "vec.run: op must be one of requantise, raw, "),
    (
        "load.run",
        {"buffer": "sum"},
        "one of act, weight, parameter, plane, code, value, index, or its number in 0..6, not 'sum'",
    ),
    ("sparse.shape", {"weight_bits": 1}, "sparse.shape: weight_bits must be an integer in 2..8, not 1"),
    ("sparse.stream", {"steps": 0}, "sparse.stream: steps must be an integer in 1..16777215, not 0"),
    ("dsp.run", {"wait": ("fft",)}, "dsp.run: wait names 'fft', which is no engine; there are load, dsp, "),
    ("dsp.run", {"signal": ("control",)}, "signal names 'control', which is no engine"),
    ("dsp.run", {"wait": (3,)}, "wait names 3, which is no engine"),
    ("dsp.run", {"wait": "dsp"}, "dsp.run: wait names dsp, its own engine"),
    ("dsp.run", {"signal": ("vec", "dsp")}, "dsp.run: signal names dsp, its own engine"),
    ("dsp.run", {"signal": ("vec", "vec")}, "dsp.run: signal names vec twice"),
    ("control.fence", {"wait": ("vec",)}, "control.fence is the dispatcher's and has no wait, not vec"),
    ("control.halt", {"signal": ("vec",)}, "control.halt is the dispatcher's and has no signal, not vec"),
]


@pytest.mark.parametrize(("mnemonic", "given", "reason"), REFUSED)
def test_what_cannot_be_is_refused(mnemonic: str, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        instr(mnemonic, **given)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def _word(mnemonic: str, flip: int = 0, **fields: int) -> bytes:
    return (int.from_bytes(encode(instr(mnemonic, **fields)), "little") ^ flip).to_bytes(16, "little")


ILLEGAL = {
    "engine number 9 is reserved": (9).to_bytes(16, "little"),
    "function 15 of engine dsp is reserved": (0xF1).to_bytes(16, "little"),
    "function 2 of engine control is reserved": (0x2F).to_bytes(16, "little"),
    "function 3 of engine sparse is reserved": (0x33).to_bytes(16, "little"),
    "sparse.shape: weight_bits must be in 2..8, not 9": _word("sparse.shape", 0b1011 << 40),
    "load.run: buffer must be in 0..6, not 7": _word("load.run", 7 << 64),
    "dsp.run: reserved bit 127 is set": _word("dsp.run", 1 << 127),
    "dsp.run: tiles must be in 1..1023, not 0": _word("dsp.run", 1 << 80),
    "lut.run: act_bits must be in 1..8, not 9": _word("lut.run", 8 << 114),
    "vec.run: op must be in 0..9, not 10": _word("vec.run", 10 << 24),
    "dsp.run: wait names dsp, its own engine": _word("dsp.run", 2 << 8),
    "dsp.run: signal names dsp, its own engine": _word("dsp.run", 2 << 16),
    "dsp.run: signal names engine number 6, which is reserved": _word("dsp.run", 1 << 22),
    "control.halt: the dispatcher's instructions have no wait, but bit 12 is set": _word(
        "control.halt", 1 << 12
    ),
}


@pytest.mark.parametrize("reason", ILLEGAL)
def test_the_first_illegal_instruction_is_named(reason: str) -> None:
    good = encode_all([instr("vec.run"), instr("dsp.run"), instr("lut.run"), instr("control.fence")])
    for illegal_after in (b"", *(bytes([code]) + bytes(15) for code in (9, 0x11, 0x12))):
        with pytest.raises(BadInput) as caught:
            arrays(good + ILLEGAL[reason] + good + illegal_after, offset=32)
        assert str(caught.value) == f"instruction 4 (byte 96): {reason}"


def test_lengths() -> None:
    assert encode_all([]) == b""
    assert decode_all(b"") == []
    assert arrays(b"") == {}
    with pytest.raises(
        BadInput, match="multiple of 16 bytes, not 35; the instruction at byte 132 is cut short"
    ):
        decode_all(bytes(35), offset=100)
    with pytest.raises(BadInput, match="an instruction is 16 bytes, not 32"):
        decode(bytes(32))
