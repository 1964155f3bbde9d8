"""The table itself: what it says fits in 128 bits and means one thing; the layout that hardware reads from it."""

from __future__ import annotations

import itertools

import pytest

from hwgen.errors import BadInput
from hwgen.program import ENGINES, INSTRUCTIONS, Instruction
from hwgen.program.layout import default, layout, limits, opcode, opcodes, reserved_mask
from hwgen.program.table import (
    CONTROL,
    MASK_BITS,
    PAYLOAD_LOW,
    SIGNAL_LOW,
    WAIT_LOW,
    engine_mask,
    instruction,
)

KINDS = pytest.mark.parametrize("kind", INSTRUCTIONS, ids=lambda kind: kind.mnemonic)


def test_names_and_numbers_are_unique() -> None:
    assert len({i.mnemonic for i in INSTRUCTIONS}) == len(INSTRUCTIONS)
    assert len({(i.engine_number, i.function) for i in INSTRUCTIONS}) == len(INSTRUCTIONS)
    assert len(ENGINES) <= min(MASK_BITS, CONTROL)
    assert all(0 <= i.function < 16 for i in INSTRUCTIONS)


@KINDS
def test_fields_fit_and_mean_something(kind: Instruction) -> None:
    assert kind.reserved_low <= 128
    assert len({f.name for f in kind.fields}) == len(kind.fields)
    for field in kind.fields:
        assert field.name.isidentifier()
        assert field.name not in ("wait", "signal", "comment"), "taken by instr() and by the text"
        assert field.bits < 63, "columns are int64"
        lowest = -(1 << field.bits - 1) if field.signed else 0
        assert lowest <= field.low <= field.high < lowest + (1 << field.bits)
        assert field.low <= default(field) <= field.high
        assert default(field) == 0 or field.low > 0
        assert len(field.names) in (0, field.high + 1)
        assert not any(c in name for name in field.names for c in " =,;#")


@KINDS
def test_every_bit_belongs_to_one_field_or_is_reserved(kind: Instruction) -> None:
    spans = [(1 << place.bits) - 1 << place.low for place in layout(kind.mnemonic).values()]
    partners = [e for e in ENGINES if e != kind.engine and kind.engine != "control"]
    mask = engine_mask(*partners)
    spans += [0xFF, mask << WAIT_LOW, mask << SIGNAL_LOW, reserved_mask(kind)]
    assert sum(spans) == (1 << 128) - 1
    assert not any(a & b for a, b in itertools.combinations(spans, 2))
    assert min((p.low for p in layout(kind.mnemonic).values()), default=PAYLOAD_LOW) == PAYLOAD_LOW


@KINDS
def test_limits_are_what_the_width_leaves(kind: Instruction) -> None:
    left = {limit.field: limit for limit in limits(kind)}
    for field in kind.fields:
        everything = (
            range(-(1 << field.bits - 1), 1 << field.bits - 1) if field.signed else range(1 << field.bits)
        )
        legal = range(field.low, field.high + 1)
        assert (field.name in left) == (legal != everything)
        if field.name in left:
            place = layout(kind.mnemonic)[field.name]
            assert left[field.name] == (field.name, *place, field.low, field.high)


def test_known_limits() -> None:
    assert [(x.field, x.minimum, x.maximum) for x in limits(instruction("lut.run"))] == [
        ("tiles", 1, 1023),
        ("units", 1, 63),
        ("act_bits", 1, 8),
        ("weight_bits", 1, 8),
    ]
    assert layout("dsp.run")["acc"] == (64, 16, False)


def test_engines_that_are_absent_are_reserved() -> None:
    kind = instruction("vec.run")
    assert reserved_mask(kind, ("load", "vec")) >> WAIT_LOW & 0xFF == 0xFE
    assert reserved_mask(kind, ("load", "vec")) >> SIGNAL_LOW & 0xFF == 0xFE
    assert reserved_mask(kind) >> WAIT_LOW & 0xFF == 0b11010000
    some = opcodes(("load", "store"))
    assert {i.engine for i in some.values()} == {"load", "store", "control"}
    assert opcodes() == {opcode(i): i for i in INSTRUCTIONS}
    assert opcode(instruction("dsp.run")) == 0x11
    with pytest.raises(BadInput, match="no engine 'fft'; there are load"):
        opcodes(("fft",))
    with pytest.raises(BadInput, match="no engine 'fft'"):
        reserved_mask(kind, ("fft",))
