"""Plans and codes of protection."""

from __future__ import annotations

from itertools import combinations

import pytest

from hwgen.errors import BadInput
from hwgen.faults.protection.codes import Code, check_bits, hsiao, parity
from hwgen.faults.protection.plan import Checksums, Choice, Plan, Scheme
from tests.faults.subjects import subject

BLOCKS = {
    "column_0": ["dmr", "secded"],
    "sequencer": ["tmr"],
    "top": ["parity", "hardened"],
    "column_1": ["memories:secded"],
    "column_1.chain_0": [],
    "column_2": ["residue", "memories:none"],
}


def test_a_plan_survives_text_and_dictionary() -> None:
    plan = Plan.of(BLOCKS)
    assert Plan.from_toml(plan.to_toml()) == plan
    assert Plan.of(plan.to_dict()) == plan
    assert (
        Plan.from_toml(plan.to_toml()).digest == plan.digest == Plan.of(dict(reversed(BLOCKS.items()))).digest
    )
    assert plan.digest != Plan.of({**BLOCKS, "top": ["parity"]}).digest
    assert {plan: 1}[Plan.of(BLOCKS)] == 1


def test_what_schemes_mean() -> None:
    assert Choice.of(["secded"]) == Choice(Scheme.SECDED, Scheme.SECDED)
    assert Choice.of(["parity"]) == Choice(Scheme.PARITY, Scheme.PARITY)
    assert Choice.of(["residue"]) == Choice(Scheme.RESIDUE, Scheme.PARITY)
    assert Choice.of(["dmr", "secded"]) == Choice(Scheme.DMR, Scheme.SECDED)
    assert Choice.of(["hardened", "secded"]) == Choice(None, Scheme.SECDED, True)
    assert Choice.of(["tmr", "memories:none"]) == Choice(Scheme.TMR, None)
    assert Choice.of(["abft", "parity"]) == Choice(Scheme.PARITY, Scheme.PARITY, abft=Checksums.ROWS)
    assert not Choice.of(["abft:columns"]).empty
    assert Choice.of([]).empty


def test_the_longest_path_counts() -> None:
    plan = Plan.of({**BLOCKS, "*": ["tmr"]})
    assert plan.choice(("column_1", "chain_0", "row_1")).empty
    assert plan.choice(("column_1", "separate_0")).memories is Scheme.SECDED
    assert plan.choice(("column_9",)).registers is Scheme.TMR
    assert plan.choice(()).registers is Scheme.PARITY
    assert Plan().choice(()).empty


@pytest.mark.parametrize(
    ("blocks", "says"),
    [
        ({"a": ["crc"]}, "no protection 'crc'"),
        ({"a": ["dmr", "tmr"]}, "exclude each other"),
        ({"a": ["abft", "abft:columns"]}, "abft:both is for rows and columns"),
        ({"a": ["dmr", "secded", "memories:parity"]}, "exclude each other"),
        ({"a": ["memories:tmr"]}, "memories alone"),
        ({"a": "parity"}, "list of schemes"),
        ({"a..b": ["parity"]}, "is no block"),
    ],
)
def test_wrong_plans_are_refused(blocks: dict[str, list[str]], says: str) -> None:
    with pytest.raises(BadInput, match=says) as error:
        Plan.of(blocks)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["blocks = 3", "[other]", "[blocks", "[blocks]\na = 1"])
def test_other_toml_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        Plan.from_toml(text)


def test_a_plan_is_compared_with_a_design() -> None:
    table = subject("array").sites
    Plan.of({"column_0.chain_0": ["parity"], "top": [], "*": ["dmr"]}).check(table)
    with pytest.raises(BadInput, match="no block 'column_7'; it has"):
        Plan.of({"column_7": ["parity"]}).check(table)
    with pytest.raises(BadInput, match=r"it has column_0\.chain_0"):
        Plan.of({"chain_0": ["parity"]}).check(table)


@pytest.mark.parametrize("width", range(1, 27))
def test_secded_corrects_every_single_error_and_detects_every_double_one(width: int) -> None:
    code = hsiao(width)
    total = width + code.checks
    for word in {0, (1 << width) - 1, 0x5A5A5A5A5A & ((1 << width) - 1)}:
        sent = word | code.encode(word) << width

        def received(*flips: int, sent: int = sent) -> tuple[int, bool, bool]:
            got = sent
            for flip in flips:
                got ^= 1 << flip
            return code.decode(got & ((1 << width) - 1), got >> width)

        assert received() == (word, False, False)
        assert all(received(one) == (word, True, False) for one in range(total))
        assert all(received(*two)[1:] == (False, True) for two in combinations(range(total), 2))


@pytest.mark.parametrize("width", [1, 4, 11, 26, 32, 57, 64, 120, 200])
def test_the_secded_code_is_hsiaos(width: int) -> None:
    code = hsiao(width)
    every = [*code.columns, *(1 << k for k in range(code.checks))]
    # Odd and different columns: no two of them add up to nothing or to a third one.
    assert all(column.bit_count() % 2 for column in every)
    assert len(set(every)) == width + code.checks
    # As light as odd columns can be, rows as equal as possible, and no check bit too many.
    weights = sorted(column.bit_count() for column in code.columns)
    light = sorted(c.bit_count() for c in range(1 << code.checks) if c.bit_count() % 2 and c.bit_count() > 1)
    assert weights == light[:width]
    rows = [len(row) for row in code.rows()]
    assert max(rows) - min(rows) <= 1
    assert 1 << (code.checks - 2) < width + code.checks - 1


def test_sizes_of_published_secded_codes() -> None:
    assert [check_bits(n) for n in (8, 16, 32, 64, 128)] == [5, 6, 7, 8, 9]
    assert sum(c.bit_count() for c in hsiao(64).columns) + 8 == 216  # Hsiao's (72,64)
    with pytest.raises(BadInput, match="at least one data bit"):
        hsiao(0)


def test_parity() -> None:
    assert parity(3) == Code((1, 1, 1), 1, False)
    assert parity(3).decode(0b101, 0) == (0b101, False, False)
    assert parity(3).decode(0b100, 0)[2]
