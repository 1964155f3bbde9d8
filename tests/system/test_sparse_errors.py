"""Streams of sparse weights that were damaged in memory, on the compiled Verilog: an error code, no stray writes."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.commands.executors import harness
from hwgen.compile.builder import Builder, Region
from hwgen.errors import BadInput
from hwgen.parts.sparse import SparseMatrix, pattern_named, prune
from hwgen.program.table import ENGINES
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.system.registers import ERRORS
from hwgen.system.values import Values

CONFIG = SystemConfig(
    lanes=16, dsp=False, sparse=True, sparse_rows=4, sparse_ways=2, sparse_depth=128, bus_bytes=32
)
CODES = {e.name: e.code for e in ERRORS}
STREAMS = {"code": 0x1000, "value": 0x2000, "index": 0x3000}
PROGRAM, SUMS, MEMORY = 0x4000, 0x6000, 0x8000
ROWS, TILES, SPARE = 4, 3, 8  # the sums lie between spare words that nothing may write


def program(weights: SparseMatrix, **said: int):
    """Weights to the chains, operands that are all activation word 0, sums and spare words to DRAM."""
    b = Builder(CONFIG)
    b.reach(MEMORY)
    for (name, address), size in zip(STREAMS.items(), weights.sizes, strict=True):
        space = CONFIG.load_targets[name]
        b.emit(
            "load.run", address=address, buffer=name, target=0, run_bytes=-(-size // 32) * 32,
            reads=[Region.dram(address, size)], writes=[Region.span(name, 0, -(-size // space.word_bytes))],
        )  # fmt: skip
    blocks = weights.shape[0] // 16
    b.set("vec.shape", r0=ROWS, n0=16, n1=blocks, n2=1)
    b.set("vec.source", r0=1, n1=1)
    b.set("vec.target", n0=1, n1=16)
    b.emit(
        "vec.run", op="columns", source=0, target=0, parameter=0, planes=1, unit=0,
        reads=[Region.span("act", 0, ROWS + blocks)], writes=[Region.span("operand", 0, 16 * blocks)],
    )  # fmt: skip
    fields = {
        "steps": weights.cycles(CONFIG.sparse_least(False)),
        "value_rows": -(-weights.value_rows // CONFIG.sparse_ways),
        "index_rows": -(-weights.index_rows // CONFIG.sparse_ways),
    } | said
    b.set("sparse.shape", blocks=blocks, rows=ROWS, weight_bits=8, spread=0)
    b.set("sparse.stream", **fields)
    b.emit(
        "sparse.run", operand=0, code=0, value=0, index=0, acc=SPARE, tiles=TILES, acc_stride=ROWS,
        reads=[Region.span("operand", 0, 16 * blocks), *(Region.span(name, 0, 1) for name in STREAMS)],
        writes=[Region.span("acc", SPARE, TILES * ROWS)],
    )  # fmt: skip
    return b.program()


@pytest.fixture(scope="module")
def weights() -> SparseMatrix:
    rng = np.random.default_rng(1)
    dense = rng.integers(-128, 128, (48, 16 * TILES))
    return SparseMatrix.pack(prune(dense, pattern_named("4:16")), patterns=pattern_named("4:16"))


def memory_of(weights: SparseMatrix, made) -> np.ndarray:
    memory = np.zeros(MEMORY, np.uint8)
    for address, data in zip(STREAMS.values(), weights.streams(), strict=True):
        memory[address : address + len(data)] = np.frombuffer(data, np.uint8)
    memory[PROGRAM : PROGRAM + len(made.body)] = np.frombuffer(made.body, np.uint8)
    return memory


def run(memory: np.ndarray, made) -> tuple[str, int]:
    seen = harness(CONFIG).run(memory, PROGRAM, len(made))
    code = seen.registers["ERROR"]
    return next(name for name, value in CODES.items() if value == code & 0xFF), code >> 8


def test_a_right_stream_is_no_error(weights: SparseMatrix) -> None:
    made = program(weights)
    assert run(memory_of(weights, made), made) == ("NONE", 0)


def flip(memory: np.ndarray, stream: str, nibble: int, value: int) -> np.ndarray:
    """Memory with another nibble in a stream."""
    found = memory.copy()
    at, high = STREAMS[stream] + nibble // 2, 4 * (nibble % 2)
    found[at] = (int(found[at]) & ~(15 << high)) | (value << high)
    return found


DAMAGES = {
    "unknown code": ("code", 1, 9),
    "a pattern with more slots": ("code", 0, 4),
    "a pattern with fewer slots": ("code", 2, 2),
    "an empty block": ("code", 0, 0),
    "a block behind the last one": ("code", 3, 3),
    "a row twice": ("index", 16, 0),  # the second step's row of position 0 is no more behind the first step's
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_streams_raise_an_error(name: str, weights: SparseMatrix) -> None:
    made = program(weights)
    memory = flip(memory_of(weights, made), *DAMAGES[name])
    assert run(memory, made) == ("SPARSE_STREAM", ENGINES.index("sparse"))
    machine = Machine(CONFIG, memory)
    with pytest.raises(BadInput):
        machine.run(made.instructions)
    with pytest.raises(BadInput):
        Values(CONFIG, memory[None].copy()).run(made.instructions)


@pytest.mark.parametrize("said", [{"steps": 1}, {"steps": 60}, {"value_rows": 3}, {"index_rows": 40}])
def test_lengths_that_are_not_the_streams_raise_an_error(said: dict[str, int], weights: SparseMatrix) -> None:
    made = program(weights, **said)
    assert run(memory_of(weights, made), made) == ("SPARSE_STREAM", ENGINES.index("sparse"))


def test_any_damage_ends_the_run_and_leaves_other_sums_alone(weights: SparseMatrix) -> None:
    """What a damaged stream computes is wrong, but it is written where the program says: traced in simulation."""
    from amaranth.sim import Simulator

    from hwgen.program.encoding import encode, instr
    from hwgen.system.sparse import Sparse

    rng = np.random.default_rng(2)
    engine = Sparse(CONFIG)
    addresses: list[int] = []
    ends: list[bool] = []

    async def bench(context) -> None:
        for _ in range(3):
            words = [
                instr("sparse.shape", blocks=3, rows=ROWS, weight_bits=8),
                instr("sparse.stream", steps=36, value_rows=18, index_rows=18),
                instr("sparse.run", acc=SPARE, tiles=TILES, acc_stride=ROWS),
            ]
            for word in words:
                context.set(engine.head, int.from_bytes(encode(word), "little"))
                context.set(engine.start, 1)
                context.set(engine.begins, word is words[-1])
                await context.tick()
            context.set(engine.start, 0)
            context.set(engine.begins, 0)
            for _ in range(2000):
                for name in STREAMS:
                    port = getattr(engine, f"{name}_data")
                    context.set(port, int.from_bytes(rng.bytes(len(port) // 8), "little"))
                done = context.get(engine.done)
                if context.get(engine.acc_en):
                    addresses.append(context.get(engine.acc_address))
                await context.tick()
                if done:
                    break
            ends.append(bool(done and context.get(engine.error)))
            await context.tick()

    simulator = Simulator(engine)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert ends == [True] * 3
    assert addresses
    assert set(addresses) <= set(range(SPARE, SPARE + TILES * ROWS))
