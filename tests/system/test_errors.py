"""Every way in which a run can fail, on the compiled Verilog: what the registers tell, and that simulator agrees."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.sim import Simulator

from hwgen.commands.executors import deadlock_message, harness, simulate
from hwgen.errors import BadInput
from hwgen.program.dataflow import Dataflow, deadlock_sentence
from hwgen.program.encoding import Instr, decode, encode, instr
from hwgen.program.program import Program
from hwgen.program.table import CONTROL, ENGINES, INSTRUCTIONS, VEC_OPS
from hwgen.system.config import SystemConfig
from hwgen.system.dispatch import _legal
from hwgen.system.registers import ERRORS
from hwgen.verify.system_harness import Fault, SystemHarness, SystemRun
from sim.machine import Dram, Outcome

CODES = {e.name: e.code for e in ERRORS}
NAMES = {e.code: e.name for e in ERRORS}
OUTCOMES = {
    Outcome.FINISHED: "NONE",
    Outcome.DEADLOCK: "DEADLOCK",
    Outcome.OVERFLOW: "TOKEN_OVERFLOW",
    Outcome.TRUNCATED: "TRUNCATED",
}
HALT = instr("control.halt")
MEMORY = 0x3000
PROGRAM = 0x1000  # below it are data, from 0x2000 on results


@pytest.fixture(scope="module")
def verilog(tiny: SystemConfig) -> SystemHarness:
    return harness(tiny)


def run(verilog: SystemHarness, body: bytes, count: int | None = None, **how: Any) -> SystemRun:
    """Run encoded instructions."""
    memory = np.arange(MEMORY).astype(np.uint8)
    memory[PROGRAM : PROGRAM + len(body)] = np.frombuffer(body, np.uint8)
    return verilog.run(memory, PROGRAM, len(body) // 16 if count is None else count, **how)


def end(seen: SystemRun) -> tuple[str, int, int]:
    """Error, engine and instruction; what holds of every end is checked."""
    registers = seen.registers
    name = NAMES[registers["ERROR"] & 0xFF]
    assert (registers["STATUS"], registers["IRQ_STATUS"]) == ((2, 1) if name == "NONE" else (4, 2))
    assert registers["CYCLES_LOW"] == seen.cycles
    return name, registers["ERROR"] >> 8, registers["ERROR_INSTRUCTION"]


def test_any_burst_can_fail(verilog: SystemHarness, network_job: Callable[[int], Any]) -> None:
    job = network_job(7)
    good = verilog.run(job.memory, job.address, len(job.program))
    assert end(good) == ("NONE", 0, 0)
    assert np.array_equal(good.memory, job.expected)
    timing = Dram(latency=20, interval=1, depth=8, write_latency=10)
    told = simulate(verilog.config, job.program, timing)
    for kind, count in (("read", told.read_bursts), ("write", told.write_bursts)):
        for code, response in ((2, "SLVERR"), (3, "DECERR")):
            engines: Counter[int] = Counter()
            for number in range(count):
                fault = Fault(response=code, **{kind: number})
                seen = verilog.run(job.memory, job.address, len(job.program), fault=fault)
                name, engine, instruction = end(seen)
                assert name == f"{kind.upper()}_{response}"
                assert instruction <= len(job.program)
                assert seen.cycles <= good.cycles
                engines[engine] += 1
                # No byte is there that neither was before nor comes after.
                assert ((seen.memory == job.memory) | (seen.memory == job.expected)).all()
            fetches = -(-len(job.program) // 4)
            if kind == "read":
                assert engines == {CONTROL: fetches, ENGINES.index("load"): count - fetches}
            else:
                assert engines == {ENGINES.index("store"): count}


@pytest.mark.parametrize("dram", [(1, 1, 8, 1), (60, 3, 2, 40)])
def test_a_stop_at_any_time(
    dram: tuple[int, int, int, int], verilog: SystemHarness, network_job: Callable[[int], Any]
) -> None:
    job = network_job(8)
    good = verilog.run(job.memory, job.address, len(job.program), dram=dram)
    for stop_at in [*range(12), *range(12, good.cycles - 20, good.cycles // 60)]:
        seen = verilog.run(job.memory, job.address, len(job.program), dram=dram, fault=Fault(stop_at=stop_at))
        name, engine, instruction = end(seen)
        assert (name, engine) == ("STOPPED", CONTROL)
        # One more may leave in the cycle of the stop, and one in the next, in which it takes effect.
        assert seen.registers["INSTRUCTIONS"] - instruction in (0, 1, 2)
        assert stop_at < seen.cycles < stop_at + 2000
        assert ((seen.memory == job.memory) | (seen.memory == job.expected)).all()
    late = verilog.run(
        job.memory, job.address, len(job.program), dram=dram, fault=Fault(stop_at=good.cycles + 99)
    )
    assert end(late) == ("NONE", 0, 0)


def changed(one: Instr, low: int, bits: int, value: int) -> bytes:
    """An instruction with other bits somewhere."""
    word = int.from_bytes(encode(one), "little")
    mask = ((1 << bits) - 1) << low
    return (word & ~mask | value << low).to_bytes(16, "little")


def field(mnemonic: str, name: str, value: int) -> bytes:
    """An instruction with a value that its field should not have."""
    one = instr(mnemonic)
    place = one.instruction.offsets[name]
    bits = next(f.bits for f in one.instruction.fields if f.name == name)
    return changed(one, place, bits, value)


ILLEGAL = {
    "an engine that nobody has": changed(instr("vec.run"), 0, 4, 7),
    "the last engine number before the dispatcher": changed(instr("vec.run"), 0, 4, 14),
    "an engine that this one lacks": encode(instr("lut.run")),
    "sparse, which this one lacks too": changed(instr("vec.run"), 0, 4, ENGINES.index("sparse")),
    "a function that load lacks": changed(instr("load.run"), 4, 4, 3),
    "a function that dsp lacks": changed(instr("dsp.run"), 4, 4, 2),
    "a function that vec lacks": changed(instr("vec.run"), 4, 4, 15),
    "a function that store lacks": changed(instr("store.run"), 4, 4, 2),
    "a function that the dispatcher lacks": changed(HALT, 4, 4, 2),
    "the first reserved bit": changed(instr("store.window"), 72, 1, 1),
    "the last bit": changed(instr("load.run"), 127, 1, 1),
    "a payload of halt": changed(HALT, 24, 1, 1),
    "a halt that waits": changed(HALT, 8, 8, 1),
    "a fence that signals": changed(instr("control.fence"), 16, 8, 16),
    "load waits for itself": changed(instr("load.run"), 8, 8, 1),
    "store signals itself": changed(instr("store.run"), 16, 8, 1 << ENGINES.index("store")),
    "a token from an engine that is not there": changed(instr("vec.run"), 8, 8, 1 << ENGINES.index("lut")),
    "a token for an engine that is not there": changed(instr("vec.run"), 16, 8, 1 << ENGINES.index("sparse")),
    "a token for no engine at all": changed(instr("vec.run"), 16, 8, 1 << 7),
    "no bytes": field("load.run", "run_bytes", 0),
    "no rows": field("store.run", "run_count", 0),
    "no groups": field("load.position", "group_count", 0),
    "no tiles": field("dsp.run", "tiles", 0),
    "no outputs": field("dsp.shape", "x_count", 0),
    "no steps": field("vec.shape", "r1", 0),
    "an operation that this vec lacks": field("vec.run", "op", VEC_OPS.index("softmax")),
    "an operation that no vec has": field("vec.run", "op", len(VEC_OPS)),
    "rows of a softmax that is not there": encode(instr("vec.row")),
    "no planes": field("vec.run", "planes", 0),
    "nine planes": field("vec.run", "planes", 9),
    "nothing but zeros": bytes(16),
    "nothing but ones": b"\xff" * 16,
}  # fmt: skip


@pytest.mark.parametrize("before", [0, 5])
def test_illegal_instructions_are_named(before: int, verilog: SystemHarness) -> None:
    for name, word in ILLEGAL.items():
        body = encode(instr("vec.source")) * before + word + encode(HALT)
        assert end(run(verilog, body)) == ("ILLEGAL", word[0] & 15, before), name


@pytest.mark.parametrize("softmax", [0, 4])
@pytest.mark.parametrize("lut", [False, True])
def test_the_dispatcher_refuses_what_the_decoder_refuses(lut: bool, softmax: int, tiny: SystemConfig) -> None:
    """Every bit of every instruction and every value of the small fields, by the expression that the hardware has."""
    config = SystemConfig(lanes=16, lut=True, dsp=False, sparse=True) if lut else tiny
    config = replace(config, softmax_words=softmax)
    words = list(_mutants(random.Random(5)))
    m = Module()
    word, legal = Signal(128), Signal()
    m.d.comb += legal.eq(Cat(_legal(word, name, config) for name in (*config.engines, "control")).any())
    found = []

    async def bench(ctx: Any) -> None:
        for value in words:
            ctx.set(word, value)
            found.append(bool(ctx.get(legal)))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert found == [_allowed(value, config) for value in words]
    assert len(found) / 5 < sum(found) < len(found) * 4 / 5
    if lut:
        bad = int.from_bytes(field("lut.run", "act_bits", 9), "little")
        assert bad in words
        assert not found[words.index(bad)]
        narrow = int.from_bytes(field("sparse.shape", "weight_bits", 1), "little")
        assert narrow in words
        assert not found[words.index(narrow)]


def _mutants(rng: random.Random) -> Iterator[int]:
    for kind in INSTRUCTIONS:
        one = instr(kind.mnemonic)
        word = int.from_bytes(encode(one), "little")
        yield word
        yield from (word ^ 1 << bit for bit in range(128))
        for f, at in kind.placed():
            clear = word & ~(((1 << f.bits) - 1) << at)
            values = range(1 << f.bits) if f.bits <= 4 else (0, 1, rng.getrandbits(f.bits), (1 << f.bits) - 1)
            yield from (clear | value << at for value in values)


def _allowed(word: int, config: SystemConfig) -> bool:
    try:
        one = decode(word.to_bytes(16, "little"))
    except BadInput:
        return False
    if config.softmax is None and (one.mnemonic == "vec.row" or one.fields.get("digits")):
        return False
    if one.mnemonic == "vec.run" and VEC_OPS[one["op"]] not in config.vec_ops:
        return False
    return {one.engine, *one.wait, *one.signal} <= {*config.engines, "control"}


@pytest.mark.parametrize("length", [1, 4, 5, 9, 30])
def test_a_program_that_is_cut_short(length: int, verilog: SystemHarness) -> None:
    window, load = instr("store.window"), instr("load.run", buffer="act", run_bytes=999)
    # An engine may still be at work: the run ends all the same.
    body = Program((*[load] * (length > 4), *[window] * (length - (length > 4)))).body
    assert end(run(verilog, body)) == ("TRUNCATED", CONTROL, length)
    whole = body + encode(HALT)
    assert end(run(verilog, whole)) == ("NONE", 0, 0)
    for count in {0, 1, length}:
        assert end(run(verilog, whole, count)) == ("TRUNCATED", CONTROL, count)
    # More than there is: halt comes first.
    assert end(run(verilog, whole, length + 50)) == ("NONE", 0, 0)


def test_a_program_behind_the_end_of_memory(verilog: SystemHarness) -> None:
    memory = np.zeros(MEMORY, np.uint8)
    assert end(verilog.run(memory, 0x80000, 3)) == ("READ_DECERR", CONTROL, 0)


def test_the_ends_of_memory(verilog: SystemHarness) -> None:
    """The last bytes of the address space are read and written; the program's address is rounded down."""
    top = 1 << verilog.config.address_bits
    body = Program(
        (
            instr("load.run", address=top - 301, buffer="act", run_bytes=301, signal=("store",)),
            instr("store.run", address=top - 4096 - 64, run_bytes=301, wait=("load",)),
            instr("load.run", address=0, buffer="act", run_bytes=64),
            HALT,
        )
    ).body
    memory = np.random.default_rng(1).integers(0, 256, top, np.uint8)
    memory[PROGRAM : PROGRAM + len(body)] = np.frombuffer(body, np.uint8)
    expected = memory.copy()
    expected[top - 4160 : top - 4160 + 301] = memory[top - 301 :]
    seen = verilog.run(memory, PROGRAM + 0xABC, len(body) // 16)
    assert end(seen) == ("NONE", 0, 0)
    assert np.array_equal(seen.memory, expected)


def clash(read: bool, tokens: bool) -> Program:
    """Two engines that want one bank of activations at the same time, if no token orders them."""
    vec = [instr("vec.shape", n0=100), instr("vec.source", n0=1), instr("vec.target", n0=1)]
    copy = instr("vec.run", op="copy", source=0, target=0 if not read else 128)
    load, store = (
        instr("load.run", buffer="act", run_bytes=400),
        instr("store.run", address=0x2000, run_bytes=400),
    )
    other = store if read else load
    if tokens:
        copy = Instr(copy.instruction, copy.values, wait=(other.engine,))
        other = Instr(other.instruction, other.values, signal=("vec",))
    return Program((*vec, other, copy, HALT))


@pytest.mark.parametrize("read", [False, True])
def test_two_engines_in_a_bank(read: bool, verilog: SystemHarness) -> None:
    name, engine, instruction = end(run(verilog, clash(read, tokens=False).body))
    assert (name, engine, instruction) == ("BANK_CONFLICT", CONTROL, 5)
    assert end(run(verilog, clash(read, tokens=True).body)) == ("NONE", 0, 0)


def compared(verilog: SystemHarness, program: Program, dram: Dram) -> tuple[str, SystemRun, Any]:
    """Run a program both ways; error, instruction and cycles must be the same."""
    timing = (dram.latency, dram.interval, dram.depth, dram.write_latency)
    seen = run(verilog, program.body, dram=timing)
    told = simulate(verilog.config, program, dram)
    name, _, instruction = end(seen)
    assert name == OUTCOMES[told.outcome]
    assert instruction == (0 if name == "NONE" else told.position)
    assert seen.cycles == told.drained + 1
    return name, seen, told


DRAMS = [Dram(latency=20, write_latency=10), Dram(latency=90, interval=6, depth=2, write_latency=70)]


@pytest.mark.parametrize("dram", DRAMS, ids=["fast", "slow"])
def test_too_many_tokens(dram: Dram, verilog: SystemHarness) -> None:
    gives = instr("store.window", signal=["load"])
    most = (1 << verilog.config.TOKEN_BITS) - 1
    for count in (most, most + 1):
        name, _, _ = compared(verilog, Program((*[gives] * count, HALT)), dram)
        assert name == ("NONE" if count == most else "TOKEN_OVERFLOW")


def message(verilog: SystemHarness, program: Program, seen: SystemRun, told: Any) -> str:
    """The sentence about a deadlock, the same from both and, but for the cycle, from the graph alone."""
    sentence = deadlock_message(verilog.config, program, seen.registers)
    assert sentence == deadlock_message(verilog.config, program, told)
    flow = Dataflow(program.instructions, verilog.config.queue_depth)
    assert sentence == deadlock_sentence(seen.cycles - 1, flow.stuck())
    return sentence


CIRCLE = [
    instr("vec.source", wait=["store"], signal=["store"]),
    instr("store.window", wait=["vec"], signal=["vec"]),
]
WORK = [
    instr("load.run", address=3, buffer="weight", run_bytes=700),
    instr("vec.shape", n0=40),
    instr("vec.source"),
]
DEADLOCKS: dict[str, tuple[Sequence[Instr], str]] = {
    "a circle": (
        (*CIRCLE, HALT),
        "vec at instruction 0 waits for store; store at instruction 1 waits for vec; the dispatcher at instruction "
        "2 waits for vec and store",
    ),
    "a full queue": (
        (*[instr("load.window", wait=["store"])] * 10, instr("store.window", signal=["load"]), HALT),
        "load at instruction 0 waits for store; the dispatcher at instruction 8 waits for load",
    ),
    "a fence, and much behind it": (
        (instr("load.window", wait=["vec", "store"]), instr("control.fence"), *[instr("vec.target")] * 40, HALT),
        "load at instruction 0 waits for vec and store; the dispatcher at instruction 1 waits for load",
    ),
    "after work": (
        (*WORK, instr("vec.target"), instr("vec.run", op="copy"), *CIRCLE, instr("load.window", wait=["dsp"]), HALT),
        "load at instruction 7 waits for dsp; vec at instruction 5 waits for store; store at instruction 6 waits for "
        "vec; the dispatcher at instruction 8 waits for load, vec and store",
    ),
}  # fmt: skip


@pytest.mark.parametrize("dram", DRAMS, ids=["fast", "slow"])
@pytest.mark.parametrize("name", DEADLOCKS)
def test_a_deadlock_is_told_alike(name: str, dram: Dram, verilog: SystemHarness) -> None:
    instructions, who = DEADLOCKS[name]
    program = Program(tuple(instructions))
    error, seen, told = compared(verilog, program, dram)
    assert error == "DEADLOCK"
    assert message(verilog, program, seen, told) == f"deadlock at cycle {told.drained}: {who}"
    # Fetches that were under way lie between the deadlock and the end of the run, but only they.
    assert (told.drained > told.cycles + 1) == (name in ("a full queue", "a fence, and much behind it"))


def test_only_a_deadlock_has_a_message(verilog: SystemHarness) -> None:
    program = Program((HALT,))
    _, seen, told = compared(verilog, program, DRAMS[0])
    for what in (seen.registers, told):
        with pytest.raises(BadInput, match=re.escape("the run did not end in a deadlock")):
            deadlock_message(verilog.config, program, what)


def tangled(rng: random.Random, engines: Sequence[str]) -> Program:
    """Instructions with any tokens; where they meet, they use different banks."""
    settings = {"load": "load.window", "dsp": "dsp.shape", "vec": "vec.source", "store": "store.window"}
    works: dict[str, dict[str, Any]] = {
        "load": {"buffer": "weight"}, "vec": {"op": "copy"}, "store": {"source": 128, "address": 0x2000},
    }  # fmt: skip
    chance = rng.choice([0.05, 0.15, 0.3])
    made = []
    for _ in range(rng.randint(2, 60)):
        engine = rng.choice(engines)
        others = [name for name in engines if name != engine]
        tokens = {
            "wait": [name for name in others if rng.random() < chance / 2],
            "signal": [name for name in others if rng.random() < chance],
        }
        fields: dict[str, Any] = {}
        if engine in works and rng.random() < 0.5:
            fields = works[engine] | ({} if engine == "vec" else {"run_bytes": rng.randint(1, 300)})
        made.append(instr(f"{engine}.run" if fields else settings[engine], **tokens, **fields))
        if rng.random() < 0.03:
            made.append(instr("control.fence"))
    return Program((instr("vec.shape"), *made, HALT))  # runs need a shape


@pytest.mark.parametrize("count", [150, pytest.param(3000, marks=pytest.mark.slow)])
def test_tangled_programs_end_alike(count: int, verilog: SystemHarness) -> None:
    rng = random.Random(count)
    ends: Counter[str] = Counter()
    for _ in range(count):
        program = tangled(rng, verilog.config.engines)
        name, seen, told = compared(verilog, program, rng.choice(DRAMS))
        ends[name] += 1
        if name == "DEADLOCK":
            message(verilog, program, seen, told)
    assert min(ends["NONE"], ends["DEADLOCK"]) > count / 10
