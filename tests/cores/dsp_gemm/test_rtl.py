"""Golden model = simulator = Verilog: values, and the cycle of every beat, under four flow-control regimes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sim
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig, Gemm, Shape
from hwgen.cores.dsp_gemm.config import TARGETS
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import REGIMES, Stimulus

US = {"target": "ultrascale+"}
INT4 = {"act_bits": 4, "weight_bits": 4}
UNSIGNED = {"act_signed": False, "weight_signed": False}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "1x1": {"rows": 1, "cols": 1, "tile_steps": 4},
    "1x1 dsp": {"rows": 1, "cols": 1, "tile_steps": 8, **US},
    "one row": {"rows": 1, "cols": 7, "act_bits": 2, "act_signed": False, "tile_steps": 16},
    "one column": {"rows": 6, "cols": 1, "weight_bits": 3, "size_bits": 5},
    "odd": {"rows": 5, "cols": 3, "act_bits": 7, "weight_signed": False, "tile_steps": 4},
    "several segments": {"rows": 40, "cols": 2, "weight_bits": 2, "tile_steps": 8},
    "two groups": {"rows": 3, "cols": 10, "act_bits": 5, "act_signed": False, "tile_steps": 32},
    "int8x2": {"rows": 8, "cols": 5, **US},
    "int8x2 unsigned": {
        "rows": 18,
        "cols": 4,
        "act_signed": False,
        "weight_signed": False,
        "tile_steps": 16,
        **US,
    },
    "int8x2 three groups": {"rows": 2, "cols": 37, "act_bits": 6, "weight_bits": 5, "tile_steps": 4, **US},
    "int4x4": {"rows": 7, "cols": 6, "act_bits": 4, "weight_bits": 4, "tile_steps": 16, "size_bits": 8, **US},
    "int4x4 three segments": {
        "rows": 20,
        "cols": 2,
        "act_bits": 4,
        "weight_bits": 4,
        "act_signed": False,
        "tile_steps": 4,
        **US,
    },
    "unpacked": {"rows": 4, "cols": 4, "act_bits": 8, "weight_bits": 6, "packing": "none", **US},
    "xilinx7": {"rows": 17, "cols": 3, "tile_steps": 4, "target": "xilinx7"},
    "xilinx7 two-bit weights": {"rows": 5, "cols": 2, "weight_bits": 2, "tile_steps": 8, "target": "xilinx7"},
    "xilinx7 int4x4": {"rows": 9, "cols": 4, **INT4, "tile_steps": 8, "target": "xilinx7"},
    "ecp5": {"rows": 9, "cols": 5, "tile_steps": 4, "size_bits": 6, "target": "ecp5"},
    "ecp5 1x1": {"rows": 1, "cols": 1, "tile_steps": 4, "target": "ecp5"},
    "ecp5 unsigned": {"rows": 5, "cols": 4, **UNSIGNED, "tile_steps": 4, "target": "ecp5"},
    "ecp5 two groups": {"rows": 3, "cols": 20, "act_signed": False, "tile_steps": 16, "target": "ecp5"},
    "ecp5 int4x4": {"rows": 9, "cols": 6, **INT4, "target": "ecp5"},
    "ecp5 int4x4 unsigned": {"rows": 5, "cols": 2, **INT4, **UNSIGNED, "tile_steps": 4, "target": "ecp5"},
    "ecp5 unpacked": {"rows": 2, "cols": 3, "packing": "none", "tile_steps": 4, "target": "ecp5"},
    "ice40": {
        "rows": 3,
        "cols": 3,
        "act_bits": 7,
        "weight_signed": False,
        "tile_steps": 8,
        "target": "ice40",
    },
    "ice40 int4x4": {"rows": 9, "cols": 4, **INT4, "act_signed": False, "tile_steps": 8, "target": "ice40"},
    "nexus": {"rows": 4, "cols": 3, "tile_steps": 8, "target": "nexus"},
    "gowin": {"rows": 3, "cols": 2, "tile_steps": 8, "target": "gowin"},
    "gowin int4x4": {"rows": 2, "cols": 4, **INT4, "tile_steps": 8, "target": "gowin"},
}


# What others of the same target do not cover is built in every run; a build takes seconds.
SLOW = {
    "xilinx7 two-bit weights", "ecp5 1x1", "ecp5 two groups", "ecp5 int4x4 unsigned", "ecp5 unpacked", "ice40 int4x4",
    "gowin int4x4",
}  # fmt: skip
NAMES = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in CONFIGURATIONS]


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", NAMES)
def test_three_executors_agree(name: str, regime: str, agree: Callable[..., None]) -> None:
    config = DspGemmConfig(**CONFIGURATIONS[name])
    rng = np.random.default_rng([len(name), REGIMES.index(regime)])
    agree(config, CORE.random_operations(config, 25, rng), regime)


def test_the_chosen_configurations_reach_every_structure() -> None:
    configs = [DspGemmConfig(**parameters) for parameters in CONFIGURATIONS.values()]
    assert {len(c.segments) for c in configs} >= {1, 2, 3}
    assert {c.groups for c in configs} == {1, 2, 3, 5}
    assert {c.column_lanes(c.columns - 1) for c in configs if c.arithmetic.scheme.weight_lanes == 2} == {1, 2}
    assert {c.arithmetic.scheme.canary_bits for c in configs} == {0, 2, 3, 4, 5, 9}
    assert {c.target for c in configs} == set(TARGETS)
    assert {c.pipelined for c in configs if len(c.segments) > 1} == {False, True}
    assert {c.arithmetic.increment(0) for c in configs} == {0, 1}
    assert {(c.act_signed, c.weight_signed) for c in configs} >= {
        (False, True),
        (True, False),
        (False, False),
    }


KEEP = {"keep": True}
CONTINUE = {"accumulate": True}
BOTH = {"keep": True, "accumulate": True}


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize(
    "name", ["1x1", "int8x2 three groups", "int4x4", "odd", "ecp5", "ecp5 int4x4", "xilinx7"]
)
def test_sums_kept_between_commands(name: str, regime: str, agree: Callable[..., None]) -> None:
    config = DspGemmConfig(**CONFIGURATIONS[name])
    rng = np.random.default_rng(3)
    ops = []
    # One step is the hardest: what it stores must be there before the next pass reads it.
    for m in (1, 2, config.tile_steps * config.m_lanes):
        for k, flags in ((1, KEEP), (config.rows + 1, BOTH), (1, BOTH), (2, CONTINUE)):
            a, b = config.act.random(rng, (m, k)), config.weight.random(rng, (k, config.n_lanes))
            ops.append(Gemm(a, b, **flags))
    agree(config, [*ops, Gemm(ops[0].a, ops[0].b, keep=True)], regime)


@pytest.mark.parametrize("target", ["generic", "ultrascale+", "ecp5"])
def test_sums_wrap_in_the_accumulators(target: str, agree: Callable[..., None]) -> None:
    config = DspGemmConfig(rows=16, cols=2, tile_steps=4, target=target)
    a, b = np.full((1, 70_000), -128, np.int64), np.full((70_000, 2), -128, np.int64)
    b[:, 1] = 127
    ops = [Gemm(a, b, keep=True), Gemm(a, b, accumulate=True)]
    assert CORE.golden(config, ops)[1].tolist() == [[140_000 * 16384 - 2**32, 2**32 - 140_000 * 16256]]
    agree(config, ops)


@pytest.mark.parametrize("name", ["odd", "int4x4", "ecp5"])
@pytest.mark.parametrize("regime", ["free", "both"])
def test_a_command_with_a_size_of_zero_is_ignored(
    name: str, regime: str, harness: Callable[..., Harness], stimulus: Callable[..., Stimulus]
) -> None:
    config = DspGemmConfig(**CONFIGURATIONS[name])
    rng = np.random.default_rng(4)
    empty = [Shape(0, 2, 3), Shape(2, 0, 3), Shape(2, 2, 0), Shape(0, 0, 0), Shape(0, 1, 1, keep=True)]
    real = [
        Gemm(config.act.random(rng, (3, k)), config.weight.random(rng, (k, config.n_lanes)), **flags)
        for k, flags in ((3, {}), (config.rows + 1, KEEP), (4, CONTINUE), (2, {}))
    ]
    # Before, between and after others, and between a command that keeps its sums and the one that adds to them.
    order = [*empty, real[0], *empty, real[1], *empty, *real[2:], *empty]
    words = [np.array([[getattr(Shape.of(op), field)] for op in order]) for field in Shape.__annotations__]
    base = stimulus(config, real, regime)
    inputs = {**base.inputs, "cmd": config.streams[0].pack(*words)}
    seen = harness(config).run(Stimulus(inputs, base.expected, base.gates))
    for got, expected in zip(
        CORE.collect(config, real, seen.outputs), CORE.golden(config, real), strict=True
    ):
        np.testing.assert_array_equal(got, expected)
    gates = {name: sim.Gate(pattern) for name, pattern in base.gates.items()}
    ends = {"c": sim.Consumer(gates["c"])} | {name: sim.Producer(gates[name]) for name in "ab"}
    ends["cmd"] = sim.Producer(gates["cmd"])
    CORE.timing(config).stalled([Shape.of(op) for op in order], ends)
    for stream, end in ends.items():
        assert seen.transfers[stream].tolist() == end.times


@pytest.mark.parametrize("lanes", ["a", "b"])
@pytest.mark.parametrize("name", ["odd", "int8x2", "int4x4", "ecp5 int4x4"])
def test_what_the_host_puts_beside_the_matrices_does_not_matter(
    name: str, lanes: str, harness: Callable[..., Harness], stimulus: Callable[..., Stimulus]
) -> None:
    config = DspGemmConfig(**CONFIGURATIONS[name])
    rng = np.random.default_rng(6)
    k = config.rows
    full = Gemm(config.act.random(rng, (k, k)), config.weight.random(rng, (k, config.n_lanes)))
    ops = [full, Gemm(np.ones((1, 1), np.int64), np.ones((1, 1), np.int64))]
    base = stimulus(config, ops)
    stream = next(s for s in config.streams if s.name == lanes)
    beats = stream.unpack(base.inputs[lanes])[0]
    for _ in range(8):
        beats[-1, 1:] = stream.fields[0].format.random(rng, beats[-1, 1:].shape)
        inputs = {**base.inputs, lanes: stream.pack(beats)}
        seen = harness(config).run(Stimulus(inputs, base.expected, base.gates))
        np.testing.assert_array_equal(CORE.collect(config, ops, seen.outputs)[0], CORE.golden(config, ops)[0])
        assert CORE.collect(config, ops, seen.outputs)[1].tolist() == [[1]]
        assert not CORE.outside(config, ops, seen.outputs).any()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_any_configuration_agrees(
    seed: int, random_config: Callable[..., DspGemmConfig], agree: Callable[..., None]
) -> None:
    rng = np.random.default_rng([11, seed])
    config = random_config(rng, target=TARGETS[seed % len(TARGETS)])
    for i, regime in enumerate(REGIMES):
        agree(config, CORE.random_operations(config, 20, rng), regime, seed=i)


EXTREMES: dict[str, dict[str, Any]] = {
    "largest": {"rows": 64, "cols": 64, "tile_steps": 64},
    "longest": {"rows": 64, "cols": 1, "tile_steps": 4096, "act_bits": 2, "weight_bits": 2, "size_bits": 32},
    "widest": {"rows": 1, "cols": 64, "tile_steps": 4, "act_signed": False, "size_bits": 7},
}


@pytest.mark.slow
@pytest.mark.parametrize("target", ["ultrascale+", "generic", "ecp5"])
@pytest.mark.parametrize("name", EXTREMES)
def test_the_extremes_agree(name: str, target: str, agree: Callable[..., None]) -> None:
    config = DspGemmConfig(target=target, **EXTREMES[name])
    for regime in REGIMES:
        agree(config, CORE.random_operations(config, 12, np.random.default_rng(9)), regime)
