"""What several tests share: the core under test, random configurations of it, and the three executors."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

import sim
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig, Gemm
from hwgen.errors import BadInput
from hwgen.verify.block import Block
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import Observation, Stimulus, patterns


@functools.cache
def _harness(config: DspGemmConfig) -> Harness:
    return Block(CORE, config).harness()


def _stimulus(config: DspGemmConfig, ops: list[Gemm], regime: str = "free", seed: int = 1) -> Stimulus:
    expected = {"c": sum(CORE.marks(config, ops)["c"])}
    return Stimulus(CORE.stimulus(config, ops), expected, patterns(regime, config.streams, seed))


def _same_as_models(config: DspGemmConfig, ops: list[Gemm], stimulus: Stimulus, seen: Observation) -> None:
    """Assert that a run showed what golden model and simulator say: every value, every beat's cycle."""
    golden = CORE.golden(config, ops)
    gates = {name: sim.Gate(pattern) for name, pattern in stimulus.gates.items()}
    inputs = {name: gate for name, gate in gates.items() if name != "c"}
    told = sim.simulate(
        CORE.timing(config),
        ops,
        values=lambda todo: CORE.values(config, todo),
        inputs=inputs,
        outputs={"c": gates["c"]},
    )
    assert told.outputs is not None
    for expected, simulated, got in zip(
        golden, told.outputs, CORE.collect(config, ops, seen.outputs), strict=True
    ):
        np.testing.assert_array_equal(simulated, expected)
        np.testing.assert_array_equal(got, expected)
    for stream in config.streams:
        np.testing.assert_array_equal(seen.transfers[stream.name], told.transfers[stream.name], stream.name)
    assert seen.cycles == told.cycles
    assert not CORE.outside(config, ops, seen.outputs).any()
    counts = CORE.marks(config, ops)
    ends = [sent for sent, count in zip(np.cumsum(counts["c"]), counts["c"], strict=True) if count]
    np.testing.assert_array_equal(np.flatnonzero(seen.lasts["c"]) + 1, ends)
    assert list(told.starts) == seen.transfers["cmd"].tolist()
    for i, op in enumerate(ops):
        name = "a" if op.keep else "c"
        assert told.ends[i] == seen.transfers[name][sum(counts[name][: i + 1]) - 1]


def _agree(config: DspGemmConfig, ops: list[Gemm], regime: str = "free", seed: int = 1) -> None:
    stimulus = _stimulus(config, ops, regime, seed)
    seen = _harness(config).run(stimulus)
    _same_as_models(config, ops, stimulus, seen)
    if regime == "free":
        free = sim.simulate(CORE.timing(config), ops)
        assert free.cycles == seen.cycles
        assert list(free.starts) == seen.transfers["cmd"].tolist()


def _random_config(rng: np.random.Generator, **fixed: object) -> DspGemmConfig:
    while True:
        draw = {
            "rows": int(rng.choice([1, 2, 3, 5, 8, 9, 16, 17, int(rng.integers(1, 41))])),
            "cols": int(rng.choice([1, 2, 3, 5, 8, 9, 16, 17, int(rng.integers(1, 41))])),
            "act_bits": int(rng.integers(2, 9)),
            "weight_bits": int(rng.integers(2, 9)),
            "act_signed": bool(rng.integers(2)),
            "weight_signed": bool(rng.integers(2)),
            "target": str(rng.choice(["generic", "ultrascale+"])),
            "packing": str(rng.choice(["auto", "none", "int8x2", "int4x4"])),
            "tile_steps": int(2 ** rng.integers(2, 10)),
            "size_bits": int(rng.integers(4, 33)),
        }
        try:
            return DspGemmConfig(**{**draw, **fixed})
        except BadInput:
            continue


@pytest.fixture(scope="session")
def random_config() -> Callable[..., DspGemmConfig]:
    """Draw a valid configuration from the whole parameter space; keywords fix parameters."""
    return _random_config


@pytest.fixture(scope="session")
def stimulus() -> Callable[..., Stimulus]:
    """Beats and gates for operations in one of the four regimes."""
    return _stimulus


@pytest.fixture(scope="session")
def harness() -> Callable[[DspGemmConfig], Harness]:
    """The compiled harness of a configuration; built once per session."""
    return _harness


@pytest.fixture(scope="session")
def agree() -> Callable[..., None]:
    """Assert golden = simulator = Verilog under the compiled harness, in one regime."""
    return _agree


@pytest.fixture(scope="session")
def same_as_models() -> Callable[..., None]:
    """Assert that an observation is what golden model and simulator say."""
    return _same_as_models
