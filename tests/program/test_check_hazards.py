"""Hazards: each kind by hand, and random programs against all paths of the graph and plain sets of words."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.program import Instr, Program, instr
from hwgen.program.dataflow import END, MOMENTS, START, Dataflow
from hwgen.system.access import Access, accesses
from hwgen.system.check import check, problems
from hwgen.system.config import SystemConfig
from hwgen.system.hazards import hazards
from hwgen.system.structure import spaces

HALT = instr("control.halt")
FENCE = instr("control.fence")
CONFIG = SystemConfig(
    lut=True, lut_units=3, lut_width=32, act_words=64, act_banks=2, acc_words=64, acc_banks=2,
    weight_words=64, parameter_words=8, plane_words=16, plane_weight_words=16, queue_depth=2,
)  # fmt: skip


def program(*instructions: Instr) -> Program:
    return Program((*instructions, HALT))


def vec(op: str, count: int = 1, **fields: int) -> tuple[Instr, ...]:
    return (
        instr("vec.shape", n0=count),
        instr("vec.source", n0=1),
        instr("vec.target", n0=1),
        instr("vec.run", op=op, **fields),
    )


def load(word: int = 0, words: int = 1, address: int = 0x1000, **more: str) -> Instr:
    return instr("load.run", target=8 * word, run_bytes=8 * words, address=address, **more)


DSP = (instr("dsp.shape", x_count=8, x_stride=2), instr("dsp.run", act=0))
LUT = (instr("lut.shape"), instr("lut.run", act=4, act_bits=4))
PLANES = vec("planes", source=40, target=7, planes=2, unit=2)

HAZARDS: dict[str, tuple[Instr, ...]] = {
    "instruction 2 (load.run): it writes words 14..14 of act while dsp may read the same for instruction 1 "
    "(dsp.run); let one wait for the other": (*DSP, load(14, 2)),
    "instruction 2 (dsp.run): it reads words 4..4 of act while load may write the same for instruction 0 "
    "(load.run); let one wait for the other": (load(3, 2), *DSP),
    "instruction 1 (store.run): it reads words 5..5 of act while load may write the same for instruction 0 "
    "(load.run); let one wait for the other": (load(5), instr("store.run", source=4, run_bytes=9)),
    "instruction 2 (dsp.run): it reads words 0..7 of weight while load may write the same for instruction 0 "
    "(load.run); let one wait for the other": (load(0, 9, buffer="weight"), *DSP),
    "instruction 4 (vec.run): it reads words 2..2 of parameter while load may write the same for instruction 0 "
    "(load.run); let one wait for the other": (
        load(16, 4, buffer="parameter"), *vec("sum", parameter=2, source=40, target=8),
    ),
    "instruction 2 (lut.run): it reads words 3..3 of plane while load may write the same for instruction 0 "
    "(load.run); let one wait for the other": (
        load(12, 1, buffer="plane"), LUT[0], instr("lut.run", weight=3),
    ),
    "instruction 5 (vec.run): it writes words 7..7 of plane_act while lut may read the same for instruction 1 "
    "(lut.run); let one wait for the other": (*LUT, *PLANES),
    "instruction 5 (vec.run): it reads words 6..7 of acc while dsp may write the same for instruction 1 "
    "(dsp.run); let one wait for the other": (*DSP, *vec("requantise", 9, source=6, target=40)),
    "instruction 3 (lut.run): it writes words 7..7 of acc while dsp may write the same for instruction 1 "
    "(dsp.run); let one wait for the other": (*DSP, LUT[0], instr("lut.run", acc=7)),
    "instruction 3 (lut.run): it writes in bank 0 of acc (words 0..31) while dsp may write there for instruction 1 "
    "(dsp.run), and a bank has one write port; let lut wait for dsp, or use another bank": (
        *DSP, LUT[0], instr("lut.run", acc=31),
    ),
    "instruction 2 (store.run): it reads in bank 0 of act (words 0..31) while dsp may read there for instruction 1 "
    "(dsp.run), and a bank has one read port; let store wait for dsp, or use another bank": (
        *DSP, instr("store.run", source=31),
    ),
    "instruction 4 (vec.run): it writes in bank 1 of act (words 32..63) while load may write there for instruction 0 "
    "(load.run), and a bank has one write port; let vec wait for load, or use another bank": (
        load(40), *vec("copy", source=0, target=63),
    ),
    "instruction 1 (load.run): it reads bytes 0x1007..0x1007 of DRAM while store may write the same for instruction 0 "
    "(store.run); let one wait for the other": (
        instr("store.run", source=40, address=0x1000, run_bytes=8), load(address=0x1007),
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", HAZARDS)
def test_a_hazard_names_both_and_the_range(sentence: str) -> None:
    instructions = HAZARDS[sentence]
    found = problems(program(*instructions), CONFIG)
    assert sentence in [problem.sentence for problem in found if problem.rule == "hazard"]
    # A fence between the two is order enough, and nothing else was wrong.
    second = next(problem.index for problem in found if problem.sentence == sentence)
    with_fence = [*instructions]
    for index in sorted({problem.index for problem in found}, reverse=True):
        with_fence.insert(index, FENCE)
    check(program(*with_fence), CONFIG)
    assert second == len(instructions) - 1


SAFE: dict[str, tuple[Instr, ...]] = {
    "words between those that DSP reads, in turns": (*DSP, load(1), load(3), load(15, 4)),
    "other banks": (*DSP, instr("store.run", source=32)),
    "sums in other banks": (*DSP, LUT[0], instr("lut.run", acc=32)),
    "planes that are not read": (*LUT, *vec("planes", source=40, target=8, unit=2)),
    "sums that are kept": (
        DSP[0], instr("dsp.run", keep=1), *vec("requantise", 8, source=0, target=40),
    ),
    "padding is not read": (
        instr("store.run", source=40, address=0x1000, run_bytes=8), instr("load.window", row_bytes=8),
        instr("load.position", x_start=-8), instr("load.run", address=0x1000, run_bytes=16, windowed=1),
    ),
    "a token": (load(0, 4, signal="dsp"), DSP[0], instr("dsp.run", wait="load")),
    "a token and the engine's own order": (
        load(0, 4), load(20, 1, signal="dsp"), instr("dsp.shape", x_count=8, wait="load"), DSP[1],
    ),
    "by way of a third engine": (
        load(0, 4, signal="vec"), instr("vec.shape", wait="load", signal="dsp"),
        instr("dsp.shape", wait="vec"), DSP[1],
    ),
    "the later one goes first": (DSP[0], instr("dsp.run", wait="load"), load(0, 4, signal="dsp")),
    "the queue was full in between": (*DSP, *[DSP[0]] * 3, load(0, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", SAFE)
def test_what_is_in_order_or_apart(name: str) -> None:
    check(program(*SAFE[name]), CONFIG)


def test_the_queue_was_not_full() -> None:
    with pytest.raises(BadInput, match="while dsp may read"):
        check(program(*DSP, *[DSP[0]] * 2, load(0, 4)), CONFIG)


def test_a_strided_load_from_between_rows_that_are_stored() -> None:
    def between(offset: int) -> Program:
        return program(
            instr("store.window", row_pitch=32),
            instr("store.run", source=40, address=0x1000, run_bytes=13, run_count=3),
            instr("load.window", row_pitch=32, row_bytes=64, row_count=9),
            instr("load.position"),
            instr("load.run", address=0x1000 + offset, run_bytes=19, run_count=2, windowed=1),
        )

    check(between(13), CONFIG)
    for offset, text in ((12, "0x100c..0x100c"), (14, "0x1020..0x1020")):
        with pytest.raises(BadInput, match=f"reads bytes {text} of DRAM while store may write"):
            check(between(offset), CONFIG)


RUNS = st.one_of(
    st.builds(lambda w, n, a: load(w, n, a), st.integers(0, 60), st.integers(1, 4), st.sampled_from((0, 8, 99))),
    st.builds(lambda a, c: instr("dsp.run", act=a, acc=c), st.integers(0, 50), st.integers(0, 60)),
    st.builds(
        lambda a, c, u: instr("lut.run", act=a, acc=c, act_bits=2, units=u),
        st.integers(0, 14), st.integers(0, 50), st.integers(1, 3),
    ),
    st.builds(
        lambda op, s, t: instr("vec.run", op=op, source=s, target=t),
        st.sampled_from(("requantise", "raw", "copy", "sum")), st.integers(0, 60), st.integers(0, 50),
    ),
    st.builds(
        lambda s, t, u: instr("vec.run", op="planes", source=s, target=t, unit=u),
        st.integers(0, 60), st.integers(0, 12), st.integers(0, 2),
    ),
    st.builds(
        lambda s, a: instr("store.run", source=s, address=a, run_bytes=9),
        st.integers(0, 60), st.sampled_from((0, 16)),
    ),
)  # fmt: skip
PREPARED = (
    instr("dsp.shape", x_count=3, x_stride=4),
    instr("lut.shape", x_count=2, x_stride=1),
    instr("vec.shape", n0=2),
    instr("vec.source", n0=3),
    instr("vec.target", n0=2),
)


@st.composite
def random_programs(draw: st.DrawFn) -> list[Instr]:
    """Runs on few words, with some tokens forward and some fences."""
    runs = draw(st.lists(RUNS, min_size=2, max_size=9))
    waits: list[set[str]] = [set() for _ in runs]
    signals: list[set[str]] = [set() for _ in runs]
    pairs = list(combinations(range(len(runs)), 2))
    for giver, taker in draw(st.lists(st.sampled_from(pairs), max_size=8)):
        names = runs[giver].engine, runs[taker].engine
        if names[0] != names[1] and names[1] not in signals[giver] and names[0] not in waits[taker]:
            signals[giver].add(names[1])
            waits[taker].add(names[0])
    made = [
        Instr(run.instruction, run.values, tuple(waits[i]), tuple(signals[i])) for i, run in enumerate(runs)
    ]
    for at in draw(st.lists(st.integers(0, len(made)), max_size=1)):
        made.insert(at, FENCE)
    return [*PREPARED, *made, HALT]


def conflict(one: Access, other: Access) -> bool:
    """Two accesses of different engines that must not go on at the same time."""
    if one.space != other.space:
        return False
    a, b = (set(access.where.addresses().tolist()) for access in (one, other))
    if (one.write or other.write) and a & b and one.units & other.units:
        return True
    bank = {"act": CONFIG.act.bank_words, "acc": CONFIG.acc.bank_words}.get(one.space)
    return bool(bank and one.write == other.write and {w // bank for w in a} & {w // bank for w in b})


@settings(derandomize=True, deadline=None, max_examples=300)
@given(random_programs(), st.integers(1, 3))
def test_hazards_are_those_of_all_paths(instructions: list[Instr], depth: int) -> None:
    flow = Dataflow(instructions, depth)
    assert not flow.hangs
    touched = accesses(instructions, CONFIG)
    paths = {node: nx.descendants(flow.graph, node) for node in flow.graph}
    expected = {
        (i, j)
        for i, j in combinations(touched, 2)
        if instructions[i].engine != instructions[j].engine
        and MOMENTS * j + START not in paths[MOMENTS * i + END]
        and MOMENTS * i + START not in paths[MOMENTS * j + END]
        and any(conflict(one, other) for one in touched[i] for other in touched[j])
    }
    found = list(hazards(flow, touched, spaces(CONFIG)))
    assert {(hazard.first, hazard.second) for hazard in found} == expected
    assert len(found) == len(expected)
    assert found == sorted(found, key=lambda hazard: (hazard.second, hazard.first))
    for hazard in found:
        sets = [
            {*access.where.addresses().tolist()}
            for i, write in zip((hazard.first, hazard.second), hazard.writes, strict=True)
            for access in touched[i]
            if (access.space, access.write) == (hazard.space, write)
        ]
        claimed = {*range(hazard.low, hazard.high)}
        assert all(claimed <= words if hazard.bank is None else claimed & words for words in sets)
