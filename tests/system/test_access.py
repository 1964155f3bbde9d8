"""What runs read and write, against plain loops over the definition of each instruction."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.program import Instr, Program, instr
from hwgen.program.table import BUFFERS, VEC_OPS
from hwgen.system.access import Access, Rows, Words, accesses, overlap
from hwgen.system.config import SystemConfig

PROPERTY = settings(derandomize=True, deadline=None, max_examples=150)
CONFIG = SystemConfig(lut=True, lut_units=3, lut_width=32, lanes=8, bus_bytes=16)
LOOP = st.tuples(st.integers(1, 6), st.integers(-20, 20))


def plain(base: int, *loops: tuple[int, int]) -> set[int]:
    rounds = itertools.product(*(range(count) for count, _ in loops))
    return {base + sum(i * stride for i, (_, stride) in zip(r, loops, strict=True)) for r in rounds}


def check_set(where: Words | Rows, expected: set[int]) -> None:
    assert where.addresses().tolist() == sorted(expected)
    assert (where.low, where.high) == (min(expected), max(expected) + 1)
    first, end = where.ranges
    assert (first < end).all()
    assert (end[:-1] < first[1:]).all()


@PROPERTY
@given(st.integers(-50, 50), st.lists(LOOP, max_size=5))
def test_loops(base: int, loops: list[tuple[int, int]]) -> None:
    check_set(Words(base, loops), plain(base, *loops))


@PROPERTY
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=5),
    st.integers(0, 30),
    st.integers(1, 4),
)
def test_rows(pieces: list[tuple[int, int]], pitch: int, rows: int) -> None:
    first, size = np.array(pieces).T
    expected = {f + r * pitch + i for f, n in pieces for r in range(rows) for i in range(n)}
    check_set(Rows(first, size, pitch, rows), expected)


@PROPERTY
@given(*[st.tuples(st.integers(0, 40), st.lists(LOOP, max_size=3))] * 2)
def test_overlaps(one: tuple[int, list[tuple[int, int]]], other: tuple[int, list[tuple[int, int]]]) -> None:
    a, b = plain(one[0], *one[1]), plain(other[0], *other[1])
    found = overlap(Words(*one), Words(*other))
    assert (found is None) == (not a & b)
    if found:
        assert set(range(*found)) <= a & b
        assert found[0] == min(a & b)


def test_large_sets_are_quick() -> None:
    where = Words(0, ((4000, 2), (4000, 16), (63, 1024), (63, 512), (1000, 2)))
    assert len(where.addresses()) == (where.high + 1) // 2


def of(*program: Instr, config: SystemConfig = CONFIG) -> dict[tuple[str, bool], Access]:
    """Accesses of the last instruction, by memory and direction."""
    found = accesses(program, config)[len(program) - 1]
    by_kind = {(access.space, access.write): access for access in found}
    assert len(by_kind) == len(found)
    return by_kind


def sets(found: dict[tuple[str, bool], Access]) -> dict[tuple[str, bool], set[int]]:
    for access in found.values():
        check_set(access.where, set(access.where.addresses().tolist()))
    return {kind: set(access.where.addresses().tolist()) for kind, access in found.items()}


@PROPERTY
@given(
    st.fixed_dictionaries(
        {"run_bytes": st.integers(1, 40), "run_count": st.integers(1, 4), "target": st.integers(0, 9)}
    ),
    st.fixed_dictionaries(
        {"x_start": st.integers(-30, 30), "y_start": st.integers(-5, 5), "group_count": st.integers(1, 5)}
    ),
    st.fixed_dictionaries(
        {
            "row_pitch": st.integers(0, 100),
            "x_step": st.integers(-20, 20),
            "row_bytes": st.integers(1, 60),
            "row_count": st.integers(1, 5),
        }
    ),
    st.sampled_from(BUFFERS),
)
def test_load(run: dict[str, int], position: dict[str, int], window: dict[str, int], buffer: str) -> None:
    run["target"] *= CONFIG.bus_bytes
    found = of(
        instr("load.window", **window),
        instr("load.position", **position),
        instr("load.run", address=1000, buffer=buffer, windowed=1, **run),
    )
    reads, written = set(), 0
    for g in range(position["group_count"]):
        for r in range(run["run_count"]):
            for b in range(run["run_bytes"]):
                x, y = position["x_start"] + g * window["x_step"] + b, position["y_start"] + r
                if 0 <= x < window["row_bytes"] and 0 <= y < window["row_count"]:
                    reads.add(1000 + g * window["x_step"] + r * window["row_pitch"] + b)
                written += 1
        written += -written % CONFIG.lanes
    written += -written % CONFIG.bus_bytes
    word = {"act": 8, "weight": 8, "parameter": 64, "plane": 32, "code": 8, "value": 16, "index": 8}[buffer]
    expected = {(buffer, True): {(run["target"] + b) // word for b in range(written)}}
    assert sets(found) == expected | ({("dram", False): reads} if reads else {})


def test_load_without_a_window() -> None:
    found = sets(of(instr("load.run", address=77, buffer="act", target=32, run_bytes=19)))
    assert found == {("dram", False): {*range(77, 96)}, ("act", True): {4, 5, 6, 7}}


SHAPE = st.fixed_dictionaries(
    {
        **{f"{name}_count": st.integers(1, 3) for name in ("x", "y", "c", "kx", "ky")},
        **{f"{name}_stride": st.integers(0, 12) for name in ("x", "y", "kx", "ky")},
    }
)


def outputs(shape: dict[str, int]) -> int:
    return shape["x_count"] * shape["y_count"]


def operands(shape: dict[str, int], act: int, chunk: int) -> set[int]:
    loops = ((shape[f"{n}_count"], shape[f"{n}_stride"]) for n in ("x", "y", "kx", "ky"))
    return plain(act, *loops, (shape["c_count"], chunk))


@PROPERTY
@given(SHAPE, st.integers(1, 3), st.integers(0, 12), st.booleans())
def test_dsp(shape: dict[str, int], tiles: int, acc_stride: int, keep: bool) -> None:
    run = instr("dsp.run", act=7, weight=9, acc=11, tiles=tiles, acc_stride=acc_stride, keep=keep)
    blocks = tiles * shape["ky_count"] * shape["kx_count"] * shape["c_count"]
    expected = {("act", False): operands(shape, 7, 1), ("weight", False): {*range(9, 9 + blocks * 8)}}
    if not keep:
        expected["acc", True] = {
            11 + t * acc_stride + y * shape["x_count"] + x
            for t in range(tiles)
            for y in range(shape["y_count"])
            for x in range(shape["x_count"])
        }
    assert sets(of(instr("dsp.shape", **shape), run)) == expected


@PROPERTY
@given(
    SHAPE,
    st.fixed_dictionaries(
        {
            "tiles": st.integers(1, 3),
            "acc_stride": st.integers(0, 12),
            "units": st.integers(1, 3),
            "unit_stride": st.integers(0, 12),
            "act_bits": st.integers(1, 8),
            "weight_bits": st.integers(1, 8),
        }
    ),
)
def test_lut(shape: dict[str, int], f: dict[str, int]) -> None:
    found = of(instr("lut.shape", **shape), instr("lut.run", act=7, weight=9, acc=11, **f))
    passes = shape["ky_count"] * shape["kx_count"] * shape["c_count"]
    chunks = operands(shape, 7, f["act_bits"])
    assert sets(found) == {
        ("plane_act", False): {a + p for a in chunks for p in range(f["act_bits"])},
        ("plane", False): {*range(9, 9 + f["tiles"] * passes * f["weight_bits"])},
        ("acc", True): plain(
            11, (outputs(shape), 1), (f["tiles"], f["acc_stride"]), (f["units"], f["unit_stride"])
        ),
    }
    assert found["plane_act", False].units == 0b111
    assert found["acc", True].units == 1


@PROPERTY
@given(
    st.fixed_dictionaries(
        {
            "blocks": st.integers(1, 40),
            "rows": st.integers(1, 4),
            "weight_bits": st.sampled_from((2, 3, 4, 8)),
        }
    ),
    st.fixed_dictionaries({"tiles": st.integers(1, 9), "acc_stride": st.integers(0, 12)}),
    st.fixed_dictionaries({"value_rows": st.integers(0, 9), "index_rows": st.integers(0, 9)}),
    st.booleans(),
)
def test_sparse(shape: dict[str, int], f: dict[str, int], stream: dict[str, int], spread: bool) -> None:
    config = SystemConfig(lanes=16, sparse=True, sparse_ways=4)
    run = instr("sparse.run", operand=3, code=5, value=7, index=9, acc=11, **f)
    found = of(
        instr("sparse.shape", spread=int(spread), **shape),
        instr("sparse.stream", **stream),
        run,
        config=config,
    )
    rounds = -(-f["tiles"] // 4) if spread else f["tiles"]
    expected = {
        ("operand", False): {*range(48, 48 + 16 * shape["blocks"])},
        ("code", False): {*range(5, 5 + rounds * -(-shape["blocks"] // 16))},
        ("value", False): {*range(7, 7 + stream["value_rows"])},
        ("index", False): {*range(9, 9 + stream["index_rows"])},
        ("acc", True): plain(11, (shape["rows"], 1), (f["tiles"], f["acc_stride"])),
    }
    assert sets(found) == {kind: words for kind, words in expected.items() if words}


@PROPERTY
@given(
    st.sampled_from(VEC_OPS),
    st.tuples(*[st.tuples(st.integers(1, 3), st.integers(-12, 12), st.integers(-12, 12))] * 5),
    st.integers(0, 2),
    st.integers(1, 8),
)
def test_vec(op: str, loops: tuple[tuple[int, int, int], ...], parameter_n2: int, planes: int) -> None:
    names = ("r0", "r1", "n0", "n1", "n2")
    counts = {name: loop[0] for name, loop in zip(names, loops, strict=True)}
    source = {name: loop[1] for name, loop in zip(names, loops, strict=True)}
    target = {name: loop[2] for name, loop in zip(names[2:], loops[2:], strict=True)}
    found = of(
        instr("vec.shape", **counts),
        instr("vec.source", **source),
        instr("vec.target", parameter_n2=parameter_n2, **target),
        instr("vec.row", parameter=40),
        instr("vec.run", op=op, source=70, target=90, parameter=5, planes=planes, unit=2),
    )
    # A block that is transposed is the inputs (r1, r0); it is read once for all its words along n0.
    read = [n for n in names if op not in ("transpose", "columns") or n != "n0"]
    reads = plain(70, *((counts[n], source[n]) for n in read))
    writes = plain(90, *((counts[n], target[n]) for n in names[2:]))
    expected: dict[tuple[str, bool], set[int]] = {}
    expected["acc" if op in ("requantise", "raw", "softmax") else "act", False] = reads
    if op == "softmax":
        expected["parameter", True] = {40 + i for i in range(counts["n2"] * counts["n1"])}
    if op in ("requantise", "sum", "max", "product", "softmax"):
        expected["parameter", False] = {5 + i * parameter_n2 for i in range(counts["n2"])}
    if op == "planes":
        expected["plane_act", True] = {w + p for w in writes for p in range(planes)}
        assert found["plane_act", True].units == 0b100
    elif op == "columns":
        expected["operand", True] = writes
    else:
        expected["act", True] = {w + q for w in writes for q in range(4 if op == "raw" else 1)}
    assert sets(found) == expected


@PROPERTY
@given(
    st.integers(1, 50),
    st.integers(1, 4),
    st.integers(0, 4),
    st.integers(0, 4),
    st.sampled_from(((8, 16), (16, 8), (8, 8))),
)
def test_store(run_bytes: int, rows: int, row_pitch: int, pitch: int, widths: tuple[int, int]) -> None:
    lanes, bus = widths
    config = SystemConfig(lanes=lanes, bus_bytes=bus)
    found = of(
        instr("store.window", row_pitch=row_pitch * bus, source_pitch=2 * pitch),
        instr("store.run", address=64, source=6, run_bytes=run_bytes, run_count=rows),
        config=config,
    )
    read = -(-run_bytes // bus) * bus
    assert sets(found) == {
        ("act", False): {6 + r * 2 * pitch + b // lanes for r in range(rows) for b in range(read)},
        ("dram", True): {64 + r * row_pitch * bus + b for r in range(rows) for b in range(run_bytes)},
    }


def test_settings_hold_until_they_are_changed() -> None:
    program = Program(
        (
            instr("dsp.shape", x_count=2),
            instr("dsp.run"),
            instr("lut.shape", x_count=5),
            instr("dsp.run", act=3),
            instr("dsp.shape", x_count=4, x_stride=1),
            instr("control.fence"),
            instr("dsp.run"),
            instr("control.halt"),
        )
    )
    found = accesses(program, CONFIG)
    assert list(found) == [1, 3, 6]
    acc = {i: next(a for a in found[i] if a.space == "acc") for i in found}
    assert [acc[i].where.addresses().tolist() for i in found] == [[0, 1], [0, 1], [0, 1, 2, 3]]


NEEDS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "load.run": ({"windowed": 1}, ["window", "position"]),
    "dsp.run": ({}, ["shape"]),
    "lut.run": ({}, ["shape"]),
    "sparse.run": ({}, ["shape", "stream"]),
    "vec.run": ({}, ["shape", "source", "target"]),
    "store.run": ({"run_count": 2}, ["window"]),
}


@pytest.mark.parametrize("mnemonic", NEEDS)
def test_a_run_needs_its_settings(mnemonic: str) -> None:
    fields, names = NEEDS[mnemonic]
    engine = mnemonic.split(".")[0]
    for lacking in names:
        made = [instr(f"{engine}.{name}") for name in names if name != lacking]
        with pytest.raises(BadInput) as caught:
            accesses([*made, instr(mnemonic, **fields)], CONFIG)
        expected = f"instruction {len(made)} ({mnemonic}) comes before any {engine}.{lacking}"
        assert str(caught.value) == expected
    accesses([*(instr(f"{engine}.{name}") for name in names), instr(mnemonic, **fields)], CONFIG)
