"""The checker: one refused program for every rule about operands and tokens, beside one that is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from hwgen.errors import BadInput
from hwgen.program import Instr, Program, instr
from hwgen.system import dispatch
from hwgen.system.check import PROGRAM_ALIGNMENT, Problem, Report, check, order, problems
from hwgen.system.config import SystemConfig

HALT = instr("control.halt")
CONFIG = SystemConfig(lut=True, lut_units=3, lut_width=32, bus_bytes=16, address_bits=24)
LOAD = instr("load.run", run_bytes=16)
DSP = (instr("dsp.shape"), instr("dsp.run"))
LUT = (instr("lut.shape"), instr("lut.run"))
STORE = instr("store.run")


def program(*instructions: Instr, halt: bool = True) -> Program:
    return Program((*instructions, *([HALT] if halt else [])))


def vec(op: str, *, target: dict[str, int] | None = None, **fields: int) -> tuple[Instr, ...]:
    """A run of VEC with its settings; fields of the shape by their names, others go to the run."""
    shape = {name: fields.pop(name) for name in ("r0", "r1", "n0", "n1", "n2") if name in fields}
    source = {"n0": 1} if op not in ("transpose", "columns") else {"r0": 1}
    return (
        instr("vec.shape", **shape),
        instr("vec.source", **source),
        instr("vec.target", **(target or {"n0": 4 if op == "raw" else 8 if op == "planes" else 1})),
        instr("vec.run", op=op, **fields),
    )


def windowed(x_start: int = 0, y_start: int = 0, groups: int = 1, **window: int) -> tuple[Instr, Instr]:
    return (
        instr("load.window", **window),
        instr("load.position", x_start=x_start, y_start=y_start, group_count=groups),
    )


ACCEPTED: dict[str, tuple[Instr, ...]] = {
    "nothing": (),
    "load to the last byte": (instr("load.run", target=2048 * 8 - 16, run_bytes=9, address=(1 << 24) - 9),),
    "load all padding": (*windowed(x_start=5, row_bytes=5), instr("load.run", address=1 << 30, windowed=1)),
    "load from address 0": (
        *windowed(x_start=-3, y_start=-1, row_pitch=16, row_bytes=16, row_count=2),
        instr("load.run", address=0, run_bytes=8, run_count=1, windowed=1),
    ),
    "load farthest group": (
        *windowed(groups=257, x_step=32767, row_bytes=9),
        instr("load.run", run_bytes=8, windowed=1),
    ),
    "dsp tile": (instr("dsp.shape", x_count=16, y_count=16), instr("dsp.run")),
    "dsp products": (
        instr("dsp.shape", c_count=32, kx_count=2, ky_count=2), instr("dsp.run", weight=1024),
    ),
    "dsp keeps": (
        instr("dsp.shape", x_count=6), instr("dsp.run", keep=1),
        instr("dsp.shape", x_count=2, y_count=3, c_count=5), instr("dsp.run", keep=1, accumulate=1),
        instr("load.run", buffer="parameter"), instr("dsp.run", accumulate=1),
    ),
    "lut": (instr("lut.shape", c_count=8), instr("lut.run", units=3, act_bits=8, weight_bits=8, act=960)),
    "vec raw": vec("raw", n0=512),
    "vec copy": vec("copy", n0=2048),
    "vec product": (*vec("product", n0=2, r0=2), *vec("product", n0=2, r1=2), *vec("product", n0=2)),
    "vec transpose": vec("transpose", n0=8, r0=8),
    "vec planes": vec("planes", n0=128, r0=2, r1=2, planes=8, unit=2),
    "vec backwards": (
        *vec("copy", n0=9, target={"n0": -1})[:3],
        instr("vec.run", op="copy", target=8),
    ),
    "store": (
        instr("store.window", row_pitch=32, source_pitch=4),
        instr("store.run", address=(1 << 24) - 48, source=2040, run_bytes=9, run_count=2),
    ),
    "store one row": (instr("store.run", run_bytes=16384),),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_accepted(name: str) -> None:
    whole = program(*ACCEPTED[name])
    assert isinstance(check(whole, CONFIG), Report)
    assert problems(whole, CONFIG) == []
    assert order(whole, CONFIG) == list(range(len(whole)))


REFUSED: dict[str, tuple[Instr, ...]] = {
    "instruction 0 (load.run): target must be a multiple of the bus width, 16 bytes, not 8": (
        instr("load.run", target=8),
    ),
    "instruction 0 (load.run): it writes words 2046..2049 of act, which has 0..2047": (
        instr("load.run", target=2046 * 8, run_bytes=17),
    ),
    "instruction 0 (load.run): it writes words 62..64 of parameter, which has 0..63": (
        instr("load.run", target=62 * 64, run_bytes=129, buffer="parameter"),
    ),
    "instruction 0 (load.run): it writes words 511..512 of plane, which has 0..511": (
        instr("load.run", target=511 * 32, run_bytes=33, buffer="plane"),
    ),
    "instruction 0 (load.run): it reads bytes 0xfffff8..0x1000007 of DRAM, which ends at 0xffffff": (
        instr("load.run", address=0xFFFFF8, run_bytes=16),
    ),
    "instruction 2 (load.run): it reads bytes -0x8..0x7 of DRAM, which ends at 0xffffff": (
        *windowed(groups=2, x_start=8, x_step=-8, row_bytes=16),
        instr("load.run", address=0, run_bytes=8, windowed=1),
    ),
    "instruction 0 (load.run): run_count must be 1 if the run is not windowed, not 2": (
        instr("load.run", run_count=2),
    ),
    "instruction 1 (load.run): it comes before any load.position, which it uses": (
        instr("load.window"), instr("load.run", windowed=1),
    ),
    "instruction 2 (load.run): its last group begins at byte 8421119 of a row, and LOAD counts -8388608..8388607": (
        *windowed(groups=258, x_step=32767), instr("load.run", run_bytes=1, windowed=1),
    ),
    "instruction 0 (dsp.run): it comes before any dsp.shape, which it uses": (DSP[1],),
    "instruction 1 (dsp.run): x_count × y_count is 272 outputs, and dsp_tile is 256": (
        instr("dsp.shape", x_count=17, y_count=16), instr("dsp.run"),
    ),
    "instruction 1 (dsp.run): c × kx × ky × lanes is 1048576 products per output, and the core counts to 1048575": (
        instr("dsp.shape", c_count=512, kx_count=16, ky_count=16), instr("dsp.run"),
    ),
    "instruction 1 (dsp.run): it reads words 2046..2048 of act, which has 0..2047": (
        instr("dsp.shape", c_count=3), instr("dsp.run", act=2046),
    ),
    "instruction 1 (dsp.run): it reads words 2041..2048 of weight, which has 0..2047": (
        DSP[0], instr("dsp.run", weight=2041),
    ),
    "instruction 1 (dsp.run): it writes words 1000..1024 of acc, which has 0..1023": (
        instr("dsp.shape", x_count=5), instr("dsp.run", acc=1000, tiles=2, acc_stride=20),
    ),
    "instruction 1 (dsp.run): keep works within one tile, and tiles is 2": (
        DSP[0], instr("dsp.run", keep=1, tiles=2),
    ),
    "instruction 2 (dsp.run): accumulate works within one tile, and tiles is 3": (
        DSP[0], instr("dsp.run", keep=1), instr("dsp.run", accumulate=1, tiles=3),
    ),
    "instruction 1 (dsp.run): it accumulates, and the run of dsp before it kept no sums": (
        DSP[0], instr("dsp.run", accumulate=1),
    ),
    "instruction 3 (dsp.run): it accumulates, and the run of dsp before it kept no sums": (
        DSP[0], instr("dsp.run", keep=1), DSP[1], instr("dsp.run", accumulate=1),
    ),
    "instruction 3 (dsp.run): it accumulates 6 outputs, and the run before it (instruction 1) kept 5": (
        instr("dsp.shape", x_count=5), instr("dsp.run", keep=1),
        instr("dsp.shape", x_count=2, y_count=3), instr("dsp.run", accumulate=1),
    ),
    "instruction 0 (lut.run): it comes before any lut.shape, which it uses": (LUT[1],),
    "instruction 1 (lut.run): units must be in 1..3, not 4": (LUT[0], instr("lut.run", units=4)),
    "instruction 1 (lut.run): it reads words 1020..1025 of plane_act, which has 0..1023": (
        instr("lut.shape", c_count=2), instr("lut.run", act=1020, act_bits=3),
    ),
    "instruction 1 (lut.run): it reads words 509..514 of plane, which has 0..511": (
        instr("lut.shape", c_count=2), instr("lut.run", weight=509, weight_bits=3),
    ),
    "instruction 1 (lut.run): it writes words 1000..1040 of acc, which has 0..1023": (
        LUT[0], instr("lut.run", acc=1000, units=3, unit_stride=20),
    ),
    "instruction 2 (vec.run): it comes before any vec.target, which it uses": (
        instr("vec.shape"), instr("vec.source"), instr("vec.run"),
    ),
    "instruction 3 (vec.run): it reads words 1020..1024 of acc, which has 0..1023": vec(
        "requantise", n0=5, source=1020
    ),
    "instruction 3 (vec.run): it reads words 64..64 of parameter, which has 0..63": vec("max", parameter=64),
    "instruction 3 (vec.run): it writes words 2040..2051 of act, which has 0..2047": (
        *vec("raw", n0=3)[:3], instr("vec.run", op="raw", target=2040),
    ),
    "instruction 3 (vec.run): it writes words -1..0 of act, which has 0..2047": vec(
        "copy", n0=2, target={"n0": -1}
    ),
    "instruction 3 (vec.run): it reads words 2041..2048 of act, which has 0..2047": vec(
        "transpose", n0=8, r0=8, source=2041
    ),
    "instruction 3 (vec.run): it writes words 1020..1027 of plane_act, which has 0..1023": (
        *vec("planes")[:3], instr("vec.run", op="planes", planes=8, target=1020),
    ),
    "instruction 3 (vec.run): r0 × r1 must be 1 for raw, not 2": vec("raw", r0=2),
    "instruction 3 (vec.run): r0 × r1 must be 1 for copy, not 6": vec("copy", r0=2, r1=3),
    "instruction 3 (vec.run): r0 × r1 must be 1 or 2 for product, not 3": vec("product", r1=3),
    "instruction 3 (vec.run): transpose works on blocks: r0 and n0 must be 8 and r1 must be 1, not 8, 7 and 1": vec(
        "transpose", r0=8, n0=7
    ),
    "instruction 3 (vec.run): planes must be 1 and unit 0 for sum, not 2 and 0": vec("sum", planes=2),
    "instruction 3 (vec.run): planes must be 1 and unit 0 for copy, not 1 and 1": vec("copy", unit=1),
    "instruction 3 (vec.run): r0 × r1 must be in 1..4 for planes, the words of a plane word, not 5": vec(
        "planes", r0=5
    ),
    "instruction 3 (vec.run): unit must be in 0..2, not 3": vec("planes", unit=3),
    "instruction 0 (store.window): row_pitch must be a multiple of the bus width, 16 bytes, not 8": (
        instr("store.window", row_pitch=8),
    ),
    "instruction 0 (store.window): source_pitch must be a multiple of the bus width, 16 bytes, "
    "not 3 words (24 bytes)": (
        instr("store.window", source_pitch=3),
    ),
    "instruction 0 (store.run): address must be a multiple of the bus width, 16 bytes, not 8": (
        instr("store.run", address=8),
    ),
    "instruction 0 (store.run): source must be a multiple of the bus width, 16 bytes, not word 1 (8 bytes)": (
        instr("store.run", source=1),
    ),
    "instruction 0 (store.run): it comes before any store.window, which it uses": (
        instr("store.run", run_count=2),
    ),
    "instruction 0 (store.run): it reads words 2046..2049 of act, which has 0..2047": (
        instr("store.run", source=2046, run_bytes=17),
    ),
    "instruction 0 (store.run): it writes bytes 0xfffff0..0x1000000 of DRAM, which ends at 0xffffff": (
        instr("store.run", address=0xFFFFF0, run_bytes=17),
    ),
    "instruction 0 (load.window): it waits for sparse, and this accelerator has no such engine": (
        instr("load.window", wait="sparse"),
    ),
    "instruction 0 (load.window): nobody takes the token that load gives to vec; "
    "the program gives 1 of them and takes 0": (instr("load.window", signal="vec"),),
    "instruction 2 (vec.shape): nobody gives the token that vec takes from load; "
    "the program gives 1 of them and takes 2": (
        instr("load.window", signal="vec"), instr("vec.shape", wait="load"), instr("vec.shape", wait="load"),
    ),
    "instruction 63 (load.window): after it 64 tokens from load to dsp can lie untaken, and a counter holds 63; "
    "let load wait for dsp before": (
        *[instr("load.window", signal="dsp")] * 64, *[instr("dsp.shape", wait="load")] * 64,
    ),
    "deadlock: load at instruction 0 waits for dsp; dsp at instruction 1 waits for load": (
        instr("load.window", wait="dsp", signal="dsp"), instr("dsp.shape", wait="load", signal="load"),
    ),
}  # fmt: skip


SPARSE = SystemConfig(lanes=16, sparse=True, sparse_ways=4, sparse_depth=128, bus_bytes=16)


def sparse(
    tiles: int = 1, acc_stride: int = 0, at: dict[str, int] | None = None, **fields: int
) -> tuple[Instr, ...]:
    """A run of SPARSE; fields of the stream by their names, others go to the shape."""
    stream = {name: fields.pop(name) for name in ("steps", "value_rows", "index_rows") if name in fields}
    return (
        instr("sparse.shape", **{"weight_bits": 8, **fields}),
        instr("sparse.stream", **stream),
        instr("sparse.run", tiles=tiles, acc_stride=acc_stride, **(at or {})),
    )


SPARSE_ACCEPTED: dict[str, tuple[Instr, ...]] = {
    "the last words of all": sparse(
        tiles=2,
        acc_stride=16,
        rows=16,
        blocks=8,
        value_rows=1024,
        index_rows=1024,
        at={"acc": 992, "code": 510},
    ),
    "weights of nothing but zeros": sparse(at={"value": 1 << 17, "index": 1 << 17}),
    "ways": sparse(tiles=9, acc_stride=4, rows=4, blocks=1, spread=1, at={"code": 509}),
    "narrow": sparse(weight_bits=3),
    "columns": vec("columns", r0=16, n0=16, n1=8, target={"n0": 1, "n1": 16}),
    "columns for ways": vec("columns", r0=4, n0=16, unit=1),
    "load": tuple(instr("load.run", buffer=name, run_bytes=4096) for name in ("code", "value", "index")),
}

SPARSE_REFUSED: dict[str, tuple[Instr, ...]] = {
    "instruction 1 (sparse.run): it comes before any sparse.stream, which it uses": (
        instr("sparse.shape"), instr("sparse.run"),
    ),
    "instruction 2 (sparse.run): weight_bits must be 2, 3, 4 or 8, not 6": sparse(weight_bits=6),
    "instruction 2 (sparse.run): rows must be in 1..16, not 17": sparse(rows=17),
    "instruction 2 (sparse.run): rows must be in 1..4 over 4 ways, not 5": sparse(rows=5, spread=1),
    "instruction 2 (sparse.run): acc_stride must be at least 3, the rows of a tile, not 2": sparse(
        rows=3, tiles=2, acc_stride=2
    ),
    "instruction 2 (sparse.run): it reads words 112..143 of operand, which has 0..127": sparse(
        blocks=2, at={"operand": 7}
    ),
    "instruction 2 (sparse.run): it reads words 511..512 of code, which has 0..511": sparse(
        tiles=2, acc_stride=1, at={"code": 511}
    ),
    "instruction 2 (sparse.run): it reads words 1000..1024 of value, which has 0..1023": sparse(
        value_rows=25, at={"value": 1000}
    ),
    "instruction 2 (sparse.run): it reads words 1023..1024 of index, which has 0..1023": sparse(
        index_rows=2, at={"index": 1023}
    ),
    "instruction 2 (sparse.run): it writes words 1000..1024 of acc, which has 0..1023": sparse(
        rows=5, tiles=2, acc_stride=20, at={"acc": 1000}
    ),
    "instruction 0 (load.run): it writes words 1023..1024 of value, which has 0..1023": (
        instr("load.run", buffer="value", target=1023 * 64, run_bytes=65),
    ),
    "instruction 3 (vec.run): columns works on blocks: n0 must be 16 and r1 must be 1, not 15 and 1": vec(
        "columns", n0=15
    ),
    "instruction 3 (vec.run): columns works on blocks: n0 must be 16 and r1 must be 1, not 16 and 2": vec(
        "columns", n0=16, r1=2
    ),
    "instruction 3 (vec.run): planes must be 1 and unit 0 or 1 for columns, not 2 and 0": vec(
        "columns", n0=16, planes=2
    ),
    "instruction 3 (vec.run): planes must be 1 and unit 0 or 1 for columns, not 1 and 2": vec(
        "columns", n0=16, unit=2
    ),
    "instruction 3 (vec.run): r0 must be in 1..16 for columns, the rows of an operand word, not 17": vec(
        "columns", n0=16, r0=17
    ),
    "instruction 3 (vec.run): r0 must be in 1..4 for columns, the rows of an operand word, not 5": vec(
        "columns", n0=16, r0=5, unit=1
    ),
    "instruction 3 (vec.run): it writes words 113..128 of operand, which has 0..127": (
        *vec("columns", n0=16)[:3], instr("vec.run", op="columns", target=113),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPARSE_ACCEPTED)
def test_what_is_accepted_with_sparse_weights(name: str) -> None:
    assert problems(program(*SPARSE_ACCEPTED[name]), SPARSE) == []


@pytest.mark.parametrize("sentence", SPARSE_REFUSED)
def test_what_is_refused_with_sparse_weights(sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        check(program(*SPARSE_REFUSED[sentence]), SPARSE)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_is_refused(sentence: str) -> None:
    whole = program(*REFUSED[sentence])
    with pytest.raises(BadInput) as caught:
        check(whole, CONFIG)
    assert str(caught.value) == sentence
    assert sentence in [problem.sentence for problem in problems(whole, CONFIG)]


SMALL = SystemConfig(dsp=False)
ABSENT: dict[str, tuple[tuple[Instr, ...], SystemConfig]] = {
    "instruction 0 (dsp.shape): this accelerator has no engine dsp; it has load, vec, store": (DSP, SMALL),
    "instruction 0 (lut.shape): this accelerator has no engine lut; it has load, dsp, vec, store": (
        LUT,
        SystemConfig(),
    ),
    "instruction 0 (load.run): this accelerator has no buffer weight; it has act, parameter": (
        (instr("load.run", buffer="weight"),),
        SMALL,
    ),
    "instruction 0 (load.run): this accelerator has no buffer plane; it has act, parameter, weight": (
        (instr("load.run", buffer="plane"),),
        SystemConfig(),
    ),
    "instruction 3 (vec.run): requantise reads sums, and this accelerator has neither dsp nor lut nor sparse": (
        vec("requantise"),
        SMALL,
    ),
    "instruction 3 (vec.run): planes are for the lut engine, which this accelerator has not": (
        vec("planes"),
        SMALL,
    ),
    "instruction 3 (vec.run): columns are for the sparse engine, which this accelerator has not": (
        vec("columns"),
        SMALL,
    ),
    "instruction 0 (load.run): this accelerator has no buffer code; it has act, parameter, weight": (
        (instr("load.run", buffer="code"),),
        SystemConfig(),
    ),
    "instruction 2 (sparse.run): spread is for several ways, and sparse_ways is 1": (
        sparse(spread=1),
        SystemConfig(lanes=16, sparse=True),
    ),
    "instruction 2 (sparse.run): weight_bits must be 8, because sparse_narrow is false, not 4": (
        sparse(weight_bits=4),
        SystemConfig(lanes=16, sparse=True, sparse_narrow=False),
    ),
    "instruction 0 (load.window): it signals dsp, and this accelerator has no such engine": (
        (instr("load.window", signal="dsp"),),
        SMALL,
    ),
}


@pytest.mark.parametrize("sentence", ABSENT)
def test_what_the_accelerator_has_not(sentence: str) -> None:
    instructions, config = ABSENT[sentence]
    with pytest.raises(BadInput) as caught:
        check(program(*instructions), config)
    assert str(caught.value) == sentence


def test_the_end_of_a_program() -> None:
    for bad, reason in (
        (program(halt=False), "this one is empty"),
        (program(LOAD, halt=False), "instruction 0 is load.run; append it"),
        (program(LOAD, HALT, STORE), "instruction 1 is control.halt, and the 2 that follow would never run"),
    ):
        with pytest.raises(BadInput, match=reason):
            check(bad, CONFIG)


def test_the_memory_that_there_is() -> None:
    whole = program(LOAD, instr("store.run", source=1024, address=0x8000, run_bytes=16))
    assert check(whole, CONFIG, dram_bytes=0x8010, program_address=0x7000).extents["dram"] == (0, 0x8010)
    refused: dict[str, dict[str, Any]] = {
        "instruction 1 (store.run): it writes bytes 0x8000..0x800f of DRAM, which ends at 0x800e": {
            "dram_bytes": 0x800F,
        },
        "instruction 0 (load.run): it reads bytes 0x0..0xf of DRAM, where the program itself lies": {
            "program_address": 0,
        },
        "instruction 1 (store.run): it writes bytes 0x8000..0x800f of DRAM, where the program itself lies": {
            "program_address": 0x8000,
        },
        "the program's 3 instructions lie at 0x9000..0x902f of DRAM, which ends at 0x901f": {
            "program_address": 0x9000,
            "dram_bytes": 0x9020,
        },
        "program_address must be a multiple of 4096, not 0x10": {"program_address": 16},
        "program_address must be an integer in 0..16777215, not 16777216": {"program_address": 1 << 24},
        "dram_bytes must be an integer in 1..16777216, not 0": {"dram_bytes": 0},
    }
    for sentence, given in refused.items():
        with pytest.raises(BadInput) as caught:
            check(whole, CONFIG, **given)
        assert str(caught.value) == sentence
    assert dispatch.PROGRAM_ALIGNMENT == PROGRAM_ALIGNMENT


def test_all_problems_in_their_order() -> None:
    whole = program(
        instr("load.run", address=0xFFFFFF, run_bytes=2, signal="store"),
        instr("dsp.run", tiles=2, keep=1, accumulate=1),
        instr("dsp.shape", wait="sparse"),
        instr("load.run", target=1, run_count=2),
    )
    found = problems(whole, CONFIG)
    assert [(problem.rule, problem.index) for problem in found] == [
        ("structure", 0),
        ("structure", 1),
        ("structure", 3),
        ("structure", 3),
        ("tokens", 2),
        ("tokens", 0),
        ("deadlock", 2),
    ]
    assert all(isinstance(problem, Problem) and "\n" not in problem.sentence for problem in found)


def test_what_is_reported() -> None:
    whole = program(
        instr("load.run", run_bytes=40, address=0x100, signal="store"),
        instr("load.run", run_bytes=16, target=1024, signal="store"),
        instr("store.run", run_bytes=40, address=0x1000, wait="load"),
        instr("load.window", wait="store"),
        instr("store.window", wait="load", signal="load"),
    )
    assert check(whole, CONFIG) == Report(
        instructions=6,
        runs={"load": 2, "store": 1},
        tokens={("load", "store"): 2, ("store", "load"): 1},
        outstanding={("load", "store"): 2, ("store", "load"): 1},
        extents={"act": (0, 130), "dram": (0, 0x1028)},
    )


def test_an_order_is_given_or_the_reason_why_not() -> None:
    whole = program(instr("vec.shape", wait="load"), instr("load.window", signal="vec"))
    assert order(whole, CONFIG) == [1, 0, 2]
    with pytest.raises(
        BadInput, match=r"^deadlock: vec at instruction 0 waits for load; the dispatcher at inst"
    ):
        order(program(instr("vec.shape", wait="load")), CONFIG)
